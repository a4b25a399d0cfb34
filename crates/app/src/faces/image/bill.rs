//! The bill of materials: what the binary was made of, as CycloneDX 1.5 JSON, from what
//! `cargo metadata` says about the build. Only what ends up in the binary: no build scripts, no
//! macros, no test crates.

use super::{Written, hex, layout};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The package that the binary is.
const ROOT: &str = "netshoot-app";

/// What the bill is written from.
pub struct Sources<'a> {
    /// The output of `cargo metadata --format-version 1`.
    pub metadata: &'a Value,
    /// The text of Cargo.lock: the checksums.
    pub lock: &'a str,
    /// The program, which carries the C library's banner and the compiler's.
    pub program: &'a [u8],
}

/// The bill, for an image.
pub fn of_materials(
    sources: &Sources<'_>,
    written: &Written,
    tag: &str,
    epoch: u64,
) -> Result<Value> {
    let graph = Graph::read(sources.metadata)?;
    let checksums = checksums(sources.lock);
    let (mut components, mut dependencies) = (Vec::new(), Vec::new());
    let within = graph.within()?;
    for id in &within {
        let package = graph.package(id)?;
        if text(package, "name") != ROOT {
            components.push(component(package, &checksums));
        }
        let needs = graph.normal(id).into_iter().filter(|n| within.contains(*n));
        let needs: BTreeSet<String> = needs
            .filter_map(|n| Some(reference(graph.package(n).ok()?)))
            .collect();
        dependencies.push(json!({"ref": reference(package), "dependsOn": needs}));
    }
    components.extend(linked(sources.program));
    components.sort_by_key(|c| text(c, "bom-ref").to_string());
    dependencies.sort_by_key(|d| text(d, "ref").to_string());
    let images = written
        .tags
        .iter()
        .map(|t| json!({"name": format!("netshoot:image:{}", t.name), "value": t.digest}));
    let mut bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": layout::time(epoch)?,
            "component": {
                "type": "container",
                "bom-ref": graph.root()?,
                "name": "netshoot",
                "version": tag,
                "licenses": [{"expression": "Apache-2.0"}],
                "properties": images.collect::<Vec<_>>(),
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    bill["serialNumber"] = serial(&bill).into();
    Ok(bill)
}

/// A UUID that is the same for the same bill (RFC 9562, version 8).
fn serial(bill: &Value) -> String {
    let sum = ring::digest::digest(&ring::digest::SHA256, bill.to_string().as_bytes());
    let mut bytes: Vec<u8> = sum.as_ref().iter().take(16).copied().collect();
    for (at, keep, set) in [(6, 0x0f, 0x80), (8, 0x3f, 0x80)] {
        if let Some(byte) = bytes.get_mut(at) {
            *byte = *byte & keep | set;
        }
    }
    let mut text = hex(&bytes);
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    format!("urn:uuid:{text}")
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let (name, version) = (text(package, "name"), text(package, "version"));
    let mut all = Map::new();
    all.insert("type".into(), "library".into());
    all.insert("bom-ref".into(), reference(package).into());
    all.insert("name".into(), name.into());
    all.insert("version".into(), version.into());
    if let Some(licence) = package["license"].as_str() {
        // Cargo's older spelling of OR.
        let expression = licence.replace(" / ", "/").replace('/', " OR ");
        all.insert("licenses".into(), json!([{"expression": expression}]));
    }
    if !package["source"].is_null() {
        all.insert("purl".into(), reference(package).into());
    }
    if let Some(sum) = checksums.get(&(name.to_string(), version.to_string())) {
        all.insert("hashes".into(), json!([{"alg": "SHA-256", "content": sum}]));
    }
    Value::Object(all)
}

/// What is linked in without being a crate of the graph; versions as the program itself tells them.
fn linked(program: &[u8]) -> [Value; 2] {
    let (glibc, rust) = ("LGPL-2.1-or-later", "MIT OR Apache-2.0");
    // The banner of the C library, and the compiler's note in the section .comment.
    [
        ("glibc", glibc, "GNU C Library (", " release version "),
        ("rust-std", rust, "rustc version ", "rustc version "),
    ]
    .map(|(name, licence, begins, before)| {
        let mut component = json!({
            "type": "library",
            "bom-ref": name,
            "name": name,
            "licenses": [{"expression": licence}],
        });
        if let Some(version) = told(program, begins.as_bytes(), before) {
            component["version"] = version.into();
        }
        component
    })
}

/// The number behind `before` in the first line that begins so and has one. This program itself
/// holds the words without a number.
fn told(program: &[u8], begins: &[u8], before: &str) -> Option<String> {
    let windows = program.windows(begins.len()).enumerate();
    let mut found = windows.filter_map(|(at, w)| (w == begins).then_some(at));
    found.find_map(|at| {
        let line = program.get(at..at + 100).or_else(|| program.get(at..))?;
        let line = String::from_utf8_lossy(line.split(|b| *b < b' ').next()?).into_owned();
        let number = line.split_once(before)?.1.split(' ').next()?;
        let number = number.trim_end_matches('.');
        (number.starts_with(|c: char| c.is_ascii_digit())).then(|| number.to_string())
    })
}

/// A purl for a crate of the registry, name and version for one of ours.
fn reference(package: &Value) -> String {
    let (name, version) = (text(package, "name"), text(package, "version"));
    if package["source"].is_null() {
        format!("{name}@{version}")
    } else {
        // In a purl a plus (build metadata) is written as its code.
        format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
    }
}

/// SHA-256 of each crate in Cargo.lock, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut all = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |key: &str| {
            let line = package.lines().find_map(|l| l.strip_prefix(key))?;
            Some(line.strip_prefix(" = \"")?.strip_suffix('"')?.to_string())
        };
        if let (Some(name), Some(version), Some(sum)) =
            (field("name"), field("version"), field("checksum"))
        {
            all.insert((name, version), sum);
        }
    }
    all
}

/// Packages and who needs whom.
struct Graph<'a> {
    packages: BTreeMap<&'a str, &'a Value>,
    nodes: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Graph<'a> {
    fn read(metadata: &'a Value) -> Result<Graph<'a>> {
        let by_id = |list: &'a Value| -> Option<BTreeMap<&'a str, &'a Value>> {
            list.as_array()?
                .iter()
                .map(|v| Some((v["id"].as_str()?, v)))
                .collect()
        };
        Ok(Graph {
            packages: by_id(&metadata["packages"]).context("there are no packages in it")?,
            nodes: by_id(&metadata["resolve"]["nodes"])
                .context("there is no resolve.nodes in it; was --no-deps given?")?,
        })
    }

    fn package(&self, id: &str) -> Result<&'a Value> {
        let found = self.packages.get(id).copied();
        found.with_context(|| format!("package {id} is named and not listed"))
    }

    fn root_id(&self) -> Result<&'a str> {
        let mut all = self.packages.iter();
        let found = all.find(|(_, p)| text(p, "name") == ROOT);
        found
            .map(|(id, _)| *id)
            .with_context(|| format!("there is no package {ROOT} in it"))
    }

    fn root(&self) -> Result<String> {
        Ok(reference(self.package(self.root_id()?)?))
    }

    /// What `id` is linked with.
    fn normal(&self, id: &str) -> Vec<&'a str> {
        let deps = self.nodes.get(id).and_then(|n| n["deps"].as_array());
        let is_normal = |d: &&Value| {
            let mut kinds = d["dep_kinds"].as_array().into_iter().flatten();
            kinds.any(|k| k["kind"].is_null())
        };
        deps.into_iter()
            .flatten()
            .filter(is_normal)
            .filter_map(|d| d["pkg"].as_str())
            .filter(|id| self.packages.get(id).is_some_and(|p| !is_macro(p)))
            .collect()
    }

    /// Everything that ends up in the binary.
    fn within(&self) -> Result<BTreeSet<&'a str>> {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![self.root_id()?]);
        while let Some(id) = todo.pop() {
            if seen.insert(id) {
                todo.extend(self.normal(id));
            }
        }
        if seen.len() == 1 {
            bail!("{ROOT} depends on nothing in it");
        }
        Ok(seen)
    }
}

fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    let mut kinds = targets.filter_map(|t| t["kind"].as_array()).flatten();
    kinds.any(|k| k == "proc-macro")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
