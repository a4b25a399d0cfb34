//! What people type, in one healthy world: each line of tier 1 as it stands, and each example on the page of a tool. Our
//! shell runs them with our tools; nothing else of the machine answers.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");

/// Tools of tier 1 that are not on the shelf yet; their lines wait.
const PENDING: &[&str] = &[];

/// Waits until the names resolve, then runs the line in each file of `$DIR`; one that lasts is told to end after a moment.
const TYPED: &str = r#"
mkdir -p "$DIR/home" "$DIR/bin"
ln -s "$(command -v netshoot)" "$DIR/bin/netshoot"
cd "$DIR/home"
for try in $(seq 100); do
  netshoot dig +short service-name.default.svc.cluster.local | grep -q . &&
    netshoot nc -z -w 1 my-service 8080 && netshoot nc -z -w 1 web.production 443 && break
  sleep 0.1
done
for line in "$DIR"/*.line; do
  at=${line%.line}
  patience=30
  [ -e "$at.lasts" ] && patience=1.5
  PATH=$DIR/bin /usr/bin/timeout -k 1 $patience netshoot bash -c "$(cat "$line")" </dev/null >"$at.out" 2>&1
  echo $? >"$at.code"
  # The next server may want the port of the last one, which ends a moment after its shell.
  for try in $(seq 100); do netshoot ss -Hltun | grep -q . || break; sleep 0.02; done
done
"#;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One line and what is known of its right answer.
#[derive(Debug, Default)]
struct Typed {
    line: String,
    /// Where it stands.
    place: String,
    code: i32,
    /// It does not end by itself.
    lasts: bool,
    says: Vec<String>,
}

/// What the shell's words have to be for the line to work: the first of each pipe.
fn words(line: &str) -> BTreeSet<&str> {
    line.split([';', '|', '&'])
        .filter_map(|part| part.split_whitespace().find(|w| !w.contains('=')))
        .collect()
}

/// The shell's and the shelf's names.
fn known() -> BTreeSet<String> {
    let out = Command::new(PROGRAM)
        .args(["toolbox", "-o", "json"])
        .output();
    let tools: serde_json::Value = serde_json::from_slice(&out.unwrap().stdout).unwrap();
    let tools = tools.as_array().unwrap();
    let names = tools
        .iter()
        .map(|t| t["name"].as_str().unwrap().to_string());
    names.collect()
}

/// Runs all of them; what is wrong with each.
fn run(test: &str, lines: &[Typed]) -> Vec<String> {
    let dir = Folder(std::env::temp_dir().join(format!("netshoot-{test}-{}", std::process::id())));
    std::fs::create_dir_all(&dir.0).unwrap();
    let file = |i: usize, what: &str| dir.0.join(format!("{i:03}.{what}"));
    for (i, t) in lines.iter().enumerate() {
        std::fs::write(file(i, "line"), &t.line).unwrap();
        if t.lasts {
            std::fs::write(file(i, "lasts"), "").unwrap();
        }
    }
    let ground = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/typed");
    let path = format!(
        "{}:{}",
        Path::new(PROGRAM).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let out = Command::new(PROGRAM)
        .args(["lab", "run", "ground", "--labs"])
        .arg(&ground)
        .args(["--", "sh", "-c", TYPED])
        .env("DIR", &dir.0)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .env("NO_COLOR", "1")
        .env_remove("NETSHOOT_WORLD")
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let mut wrong = Vec::new();
    for (i, t) in lines.iter().enumerate() {
        let said = std::fs::read(file(i, "out")).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let code = std::fs::read_to_string(file(i, "code")).unwrap_or_default();
        // 124: it had to be told, as one does with Ctrl-C.
        let right = if t.lasts { 124 } else { t.code };
        let missing: Vec<&String> = t.says.iter().filter(|s| !said.contains(*s)).collect();
        if code.trim() != right.to_string() || !missing.is_empty() {
            wrong.push(format!(
                "---- {}: {}\nexit {} where {right} is right, lacks {missing:?}\n{said}",
                t.place,
                t.line,
                code.trim()
            ));
        }
    }
    wrong
}

fn check(test: &str, lines: &[Typed]) {
    let wrong = run(test, lines);
    println!("{test}: {} lines, {} wrong", lines.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lines_of_tier_one_work_as_they_stand() {
    let mut lines: Vec<Typed> = Vec::new();
    for (i, text) in include_str!("typed/lines.txt").lines().enumerate() {
        let below = text.trim_start();
        match (text.starts_with(' '), lines.last_mut()) {
            _ if text.starts_with('#') || below.is_empty() => {}
            (true, Some(last)) => match below.strip_prefix("= ") {
                Some(code) => last.code = code.parse().unwrap(),
                None => last.says.push(below.to_string()),
            },
            _ => lines.push(Typed {
                line: text.to_string(),
                place: format!("lines.txt:{}", i + 1),
                ..Typed::default()
            }),
        }
    }
    let tools = known();
    let first = |t: &Typed| t.line.split(' ').next().unwrap().to_string();
    let (here, pending): (Vec<Typed>, Vec<Typed>) =
        lines.into_iter().partition(|t| tools.contains(&first(t)));
    let pending: BTreeSet<String> = pending.iter().map(first).collect();
    assert_eq!(
        pending,
        PENDING.iter().map(|p| p.to_string()).collect(),
        "tools that are not here"
    );
    check("tier-one", &here);
}

/// `$ LINE` of a page's examples; a remark behind it says `until ...` where it lasts, and `exits N` where that is right.
fn examples(file: &Path) -> Vec<Typed> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let Some(typed) = line.strip_prefix("$ ") else {
            continue;
        };
        let (line, remark) = typed.split_once("  # ").unwrap_or((typed, ""));
        let exits = remark
            .strip_prefix("exits ")
            .map(|r| r.split([' ', ':']).next().unwrap());
        found.push(Typed {
            line: line.trim_end().to_string(),
            place: format!("{}:{}", file.file_name().unwrap().to_str().unwrap(), i + 1),
            code: exits.map_or(0, |n| n.parse().unwrap()),
            lasts: remark.starts_with("until "),
            says: Vec::new(),
        });
    }
    found
}

#[test]
fn examples_of_pages_work() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tools/pages");
    let mut files: Vec<PathBuf> = std::fs::read_dir(pages)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    let mut lines = Vec::new();
    for file in &files {
        let of = examples(file);
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(
            of.iter().any(|t| words(&t.line).contains(name)),
            "{name}: no example"
        );
        lines.extend(of);
    }
    let tools = known();
    for t in &lines {
        assert!(
            words(&t.line).iter().any(|w| tools.contains(*w)),
            "{}: {}: no tool of ours",
            t.place,
            t.line
        );
    }
    check("examples", &lines);
}
