//! docs/worlds.md is true: its example is loaded, built and diagnosed, and it names every field.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");
const PAGE: &str = include_str!("../../../docs/worlds.md");

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The files of the page, each a block that begins with `# NAME/FILE`.
fn example(test: &str) -> Folder {
    let dir = Folder(std::env::temp_dir().join(format!("netshoot-{test}-{}", std::process::id())));
    let mut blocks = 0;
    for block in PAGE.split("```yaml\n# ").skip(1) {
        let (text, _) = block.split_once("\n```").unwrap();
        let (path, text) = text.split_once('\n').unwrap();
        let path = dir.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        blocks += 1;
    }
    assert_eq!(blocks, 2, "objects.yaml and world.yaml");
    dir
}

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(words)
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_example_is_listed() {
    let dir = example("list");
    let out = run(&[
        "lab",
        "list",
        "-o",
        "json",
        "--labs",
        dir.0.to_str().unwrap(),
    ]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let rows: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(rows[0]["name"], "payments-refuse");
    assert_eq!(rows[0]["catalogue"], serde_json::json!(["F23"]));
}

#[test]
fn the_example_stands_and_is_solved() {
    let dir = example("run");
    let labs = dir.0.to_str().unwrap();
    let ask = [
        "lab",
        "run",
        "payments-refuse",
        "--labs",
        labs,
        "--",
        "netshoot",
        "diagnose",
        "-n",
        "shop",
        "--symptom",
        "checkout cannot reach payments",
        "-o",
        "json",
    ];
    let out = run(&ask);
    if text(&out.stderr).contains("CAP_SYS_ADMIN or user namespaces") {
        println!("SKIPPED: no right to make the namespaces of a world");
        return;
    }
    let report: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}\n{}", text(&out.stdout), text(&out.stderr)));
    assert_eq!(report["cause"]["catalogue"], "F23", "{report:#}");
    assert_eq!(report["cause"]["subject"]["name"], "payments", "{report:#}");
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn a_mistake_names_its_file_and_line() {
    let dir = example("mistake");
    let file = dir.0.join("payments-refuse/objects.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    let line = good
        .lines()
        .position(|l| l.contains("replicas: 2"))
        .unwrap()
        + 1;
    std::fs::write(&file, good.replace("replicas: 2", "replica: 2")).unwrap();
    let out = run(&["lab", "list", "--labs", dir.0.to_str().unwrap()]);
    let said = text(&out.stderr);
    assert_ne!(out.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("objects.yaml:{line}")), "{said}");
    assert!(said.contains("spec.replica"), "{said}");
}

/// Names of fields (`pub name:`) and, in enums, of variants as they are written in YAML.
fn words_of(source: &str, item: &str) -> Vec<String> {
    let (_, body) = source
        .split_once(item)
        .unwrap_or_else(|| panic!("no {item}"));
    let (body, _) = body.split_once("\n}\n").unwrap();
    let snake = |word: &str| {
        let mut out = String::new();
        for c in word.chars() {
            if c.is_ascii_uppercase() && !out.is_empty() {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        }
        out
    };
    let mut words = Vec::new();
    for line in body.lines() {
        let bare = line.trim();
        if let Some(field) = bare.strip_prefix("pub ") {
            words.extend(field.split(':').next().map(String::from));
        } else if line.starts_with("    ") && !line.starts_with("     ") {
            let word: String = bare
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            if word.starts_with(|c: char| c.is_ascii_uppercase()) {
                words.push(snake(&word));
            }
        } else if item.contains("enum") && bare.ends_with(',') && !bare.starts_with('}') {
            words.extend(bare.split_once(':').map(|(f, _)| f.to_string()));
        }
    }
    assert!(!words.is_empty(), "{item} has no fields?");
    words
}

#[test]
fn every_field_has_its_words_on_the_page() {
    let source = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../lab/src")
            .join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"))
    };
    let (world, behave) = (source("world.rs"), source("behave.rs"));
    let mut missing = Vec::new();
    for (text, items) in [
        (
            &world,
            &[
                "pub struct Plan",
                "pub struct Ask",
                "pub struct Reference",
                "pub struct Target",
                "pub struct Expect",
                "pub struct Pace",
                "pub struct Past",
                "pub struct Place",
                "pub struct Wiring",
                "pub struct Cable",
                "pub struct PodBehaviour",
                "pub enum Action",
            ][..],
        ),
        (
            &behave,
            &[
                "pub struct Behaviour",
                "pub struct Listen",
                "pub struct Call",
                "pub struct Memory",
                "pub struct Crash",
            ][..],
        ),
    ] {
        for item in items {
            let said =
                |w: &String| PAGE.contains(&format!("`{w}`")) || PAGE.contains(&format!("`{w}:"));
            missing.extend(
                words_of(text, item)
                    .into_iter()
                    .filter(|w| !said(w))
                    .map(|w| format!("{item}: {w}")),
            );
        }
    }
    assert!(
        missing.is_empty(),
        "docs/worlds.md does not speak of {missing:#?}"
    );
}
