//! docs/worlds.md is true: its example is loaded, built and diagnosed, and it names every field.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::io::{BufRead, BufReader};
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

/// The example with a later fault that fails.
fn with_a_fault_that_fails(test: &str) -> Folder {
    let dir = example(test);
    let file = dir.0.join("payments-refuse/world.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    let fault = "- at_ms: 2000\n  do: {cable: {node: node-b, loss_percent: 5}}";
    let fails =
        "- at_ms: 1\n  do: {run: {on: node/node-a, argv: [sh, -c, 'echo broken >&2; exit 3']}}";
    assert!(good.contains(fault));
    std::fs::write(&file, good.replace(fault, fails)).unwrap();
    dir
}

/// Whoever holds a world hears at once that a fault of it is not there.
#[test]
fn a_fault_that_cannot_be_carried_out_is_told() {
    let dir = with_a_fault_that_fails("told");
    let heard = dir.0.join("heard");
    // The command ends when its test has read the line, or after half a minute.
    let wait = "for i in $(seq 300); do [ -e \"$HEARD\" ] && exit 7; sleep 0.1; done";
    let mut child = Command::new(PROGRAM)
        .args(["lab", "run", "payments-refuse", "--labs"])
        .arg(&dir.0)
        .args(["--", "sh", "-c", wait])
        .env("HEARD", &heard)
        .env("LC_ALL", "C")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains("could not be carried out") {
            std::fs::write(&heard, "").unwrap();
        }
        said += &line;
    }
    let code = child.wait().unwrap().code();
    if said.contains("CAP_SYS_ADMIN or user namespaces") {
        println!("SKIPPED: no right to make the namespaces of a world");
        return;
    }
    let told = "payments-refuse: a fault of this world could not be carried out: at 1 ms: ";
    assert!(
        said.contains(told) && said.contains("on node/node-a: code 3: broken"),
        "{said}"
    );
    assert_eq!(code, Some(7), "{said}");
}

#[test]
fn a_bench_run_without_its_fault_is_an_error() {
    let dir = with_a_fault_that_fails("bench-error");
    // Another world, so that something is measured.
    let (bad, good) = (dir.0.join("payments-refuse"), dir.0.join("fine"));
    std::fs::create_dir(&good).unwrap();
    std::fs::copy(bad.join("objects.yaml"), good.join("objects.yaml")).unwrap();
    let text = std::fs::read_to_string(bad.join("world.yaml")).unwrap();
    let (before, after) = text.split_once("- at_ms: 1\n").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    std::fs::write(good.join("world.yaml"), format!("{before}{after}")).unwrap();
    let out = run(&[
        "lab",
        "bench",
        "-o",
        "json",
        "--labs",
        dir.0.to_str().unwrap(),
    ]);
    let err = String::from_utf8_lossy(&out.stderr);
    if err.contains("CAP_SYS_ADMIN or user namespaces") {
        println!("SKIPPED: no right to make the namespaces of a world");
        return;
    }
    let f: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {err}"));
    // The near-miss twin and the healthy one have faults of their own: none of them fails.
    assert_eq!(f["total"]["errors"], 1, "{f:#}{err}");
    assert_eq!(
        (&f["kinds"][0]["runs"], &f["kinds"][0]["first"]),
        (&1.into(), &1.into()),
        "{f:#}{err}"
    );
    assert_eq!(f["twins"]["runs"], 4, "{f:#}{err}");
    assert!(
        err.contains("could not run: a fault of the world could not be carried out: at 1 ms"),
        "{err}"
    );
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn a_number_out_of_range_names_its_file_and_place() {
    let dir = example("range");
    let file = dir.0.join("payments-refuse/world.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    for (old, new, says) in [
        (
            "settle_ms: 300",
            "settle_ms: 3000000",
            "settle_ms: 3000000 is not between 0 and 600000",
        ),
        (
            "port: 8080",
            "port: 80800",
            "port 80800 is neither a number from 1 to 65535 nor env:NAME",
        ),
        (
            "loss_percent: 5",
            "loss_percent: 500",
            "faults[1].do.cable.loss_percent: 500 is not between 0 and 100",
        ),
        (
            "every_ms: 500",
            "every_ms: 0",
            "behaviour[1].does.call[0].every_ms: 0 is not between 1 and 3600000",
        ),
    ] {
        assert!(good.contains(old));
        std::fs::write(&file, good.replace(old, new)).unwrap();
        let out = run(&["lab", "list", "--labs", dir.0.to_str().unwrap()]);
        let said = text(&out.stderr);
        assert_ne!(out.status.code(), Some(0), "{said}");
        assert!(
            said.contains("payments-refuse/world.yaml: ") && said.contains(says),
            "{said}"
        );
    }
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
