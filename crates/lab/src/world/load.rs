//! Reading a world from two texts: errors name the file and the line.

use super::{Plan, World};
use crate::Error;
use crate::{kinds, shape};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// A world from its name and the texts of `objects.yaml` and `world.yaml`.
pub fn from_texts(name: &str, objects: &str, plan: &str) -> Result<World, Error> {
    let objects = manifests(&format!("{name}/objects.yaml"), objects)?;
    let file = format!("{name}/world.yaml");
    shallow(&file, plan)?;
    let plan: Plan = serde_yaml_ng::with::singleton_map_recursive::deserialize(
        serde_yaml_ng::Deserializer::from_str(plan),
    )
    .map_err(|e| Error::Format {
        file: file.clone(),
        why: e.to_string(),
    })?;
    let world = World {
        name: name.to_string(),
        objects,
        plan,
    };
    super::check::references(&world)?;
    super::limits::check(&world)?;
    for twin in world.plan.twins.keys() {
        world.twin(twin)?;
    }
    Ok(world)
}

/// A world from a folder.
pub fn from_dir(path: &Path) -> Result<World, Error> {
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let read = |file: &str| {
        std::fs::read_to_string(path.join(file)).map_err(|e| Error::Format {
            file: path.join(file).display().to_string(),
            why: format!("read: {e}"),
        })
    };
    from_texts(&name, &read("objects.yaml")?, &read("world.yaml")?)
}

/// All worlds in a folder of folders, sorted by name; folders without `world.yaml` are none.
pub fn all_in(path: &Path) -> Result<Vec<World>, Error> {
    let unreadable = |e: std::io::Error| Error::Format {
        file: path.display().to_string(),
        why: format!("read folder: {e}"),
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        folders.push(entry.map_err(unreadable)?.path());
    }
    folders.sort();
    folders
        .iter()
        .filter(|f| f.join("world.yaml").is_file())
        .map(|f| from_dir(f))
        .collect()
}

/// The objects of a manifest of several documents; lists are opened. Kinds and fields that nobody
/// knows are refused.
pub fn manifests(file: &str, text: &str) -> Result<Vec<Value>, Error> {
    shallow(file, text)?;
    let mut found = Vec::new();
    for (first_line, document) in documents(text) {
        let wrong = |line: usize, why: String| Error::Format {
            file: format!("{file}:{line}"),
            why,
        };
        let value: Value = match serde_yaml_ng::Deserializer::from_str(&document)
            .next()
            .map(Value::deserialize)
        {
            None => continue,
            Some(Ok(value)) => value,
            Some(Err(e)) => {
                let line = e
                    .location()
                    .map_or(first_line, |l| first_line + l.line().saturating_sub(1));
                return Err(wrong(line, e.to_string()));
            }
        };
        if value.is_null() {
            continue;
        }
        let line_of =
            |key: &str| first_line + document.lines().position(|l| mentions(l, key)).unwrap_or(0);
        let opened = if shape::kind(&value).ends_with("List") {
            shape::list(&value, "items").to_vec()
        } else {
            vec![value]
        };
        for object in opened {
            let kind = shape::kind(&object).to_string();
            let known = kinds::find(&kind)
                .ok_or_else(|| wrong(line_of("kind"), format!("unknown kind \"{kind}\"")))?;
            if shape::text(&object, "apiVersion") != known.api_version {
                return Err(wrong(
                    line_of("apiVersion"),
                    format!("{kind} has apiVersion {}", known.api_version),
                ));
            }
            if let Some(unknown) = kinds::unknown_field(&object) {
                return Err(wrong(
                    line_of(&unknown.key),
                    format!(
                        "unknown field \"{}\" in {kind} {}",
                        unknown.path,
                        shape::name(&object)
                    ),
                ));
            }
            if shape::name(&object).is_empty() {
                return Err(wrong(
                    line_of("metadata"),
                    format!("{kind} without metadata.name"),
                ));
            }
            if let Some(why) = unbuildable(&object) {
                return Err(wrong(line_of(why.0), format!("{kind} {}", why.1)));
            }
            found.push(object);
        }
    }
    Ok(found)
}

/// More brackets open at once than any world needs: the YAML scanner's time grows with their square.
const MOST_DEPTH: usize = 1000;
/// The most replicas of one workload: each is a namespace with processes on this machine.
const MOST_REPLICAS: i64 = 100;
/// The longest name the API server takes (RFC 1123 subdomain).
const LONGEST_NAME: usize = 253;

pub(crate) fn shallow(file: &str, text: &str) -> Result<(), Error> {
    let mut depth = 0usize;
    for b in text.bytes() {
        match b {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MOST_DEPTH {
            return Err(Error::Format {
                file: file.into(),
                why: format!("brackets nested more than {MOST_DEPTH} deep"),
            });
        }
    }
    Ok(())
}

/// What the API server would refuse, or this machine could not carry: the key and the reason.
fn unbuildable(object: &Value) -> Option<(&'static str, String)> {
    for key in ["name", "namespace"] {
        let name = shape::text(object, &format!("metadata.{key}"));
        let ordinary = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if !name.chars().all(ordinary) || name.starts_with('.') || name.len() > LONGEST_NAME {
            return Some((
                key,
                format!("has a metadata.{key} that is no name: {name:?}"),
            ));
        }
    }
    let replicas = shape::int(object, "spec.replicas");
    replicas
        .filter(|n| !(0..=MOST_REPLICAS).contains(n))
        .map(|n| {
            let why = format!("asks for {n} replicas: a world has 0 to {MOST_REPLICAS}");
            ("replicas", why)
        })
}

fn mentions(line: &str, key: &str) -> bool {
    if key.is_empty() {
        return false; // it would be everywhere, and the search below would never move on
    }
    let mut from = 0;
    while let Some(at) = line.get(from..).and_then(|l| l.find(key)) {
        let (start, end) = (from + at, from + at + key.len());
        let before = line.get(..start).and_then(|s| s.chars().last());
        let after = line
            .get(end..)
            .and_then(|s| s.trim_start_matches(['"', '\'']).chars().next());
        if before.is_none_or(|c| !c.is_alphanumeric()) && after == Some(':') {
            return true;
        }
        from = end;
    }
    false
}

/// The documents of a stream with the number of their first line (from 1).
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut all = vec![(1, String::new())];
    for (number, line) in text.lines().enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            all.push((number + 2, String::new()));
        } else if let Some((_, document)) = all.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_brackets_are_refused_at_once() {
        let deep = "[".repeat(200_000);
        for said in [
            manifests("w", &deep).map(|_| ()),
            from_texts("w", "", &deep).map(|_| ()),
        ] {
            let said = said.unwrap_err().to_string();
            assert!(said.contains("nested more than 1000"), "{said}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, want) in [
            (
                "apiVersion: v1\nkind: Pot\nmetadata: {name: a}\n",
                "w:2: unknown kind \"Pot\"",
            ),
            (
                "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  container: []\n",
                "w:6: unknown field \"spec.container\"",
            ),
            (
                "# c\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a\n",
                "w:",
            ),
            (
                "apiVersion: v2\nkind: Pod\nmetadata: {name: a}\n",
                "w:1: Pod has apiVersion v1",
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {}\n",
                "w:3: Pod without metadata.name",
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata:\n  name: ../../etc\n",
                "w:4: Pod has a metadata.name that is no name",
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: $(id)\n",
                "w:5: Pod has a metadata.namespace",
            ),
            (
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: 1000000000\n",
                "w:5: Deployment asks for 1000000000 replicas",
            ),
            (
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: -3\n",
                "w:5: Deployment asks for -3 replicas",
            ),
        ] {
            let said = manifests("w", text).unwrap_err().to_string();
            assert!(said.starts_with(want), "{said}");
        }
    }

    #[test]
    fn lists_and_empty_documents() {
        let text = "---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n";
        assert_eq!(manifests("w", text).unwrap().len(), 2);
    }
}
