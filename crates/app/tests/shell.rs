//! The shell against Debian's bash, and its tools against Debian's, line by line: `shell/*.cases`.
//! Signals, terminals and roots that hold nothing else: in `shell/`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write as _;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");
const SHELL: &str = include_str!("shell/bash.cases");
const TOOLS: &str = include_str!("shell/tools.cases");

/// What may differ.
#[derive(Clone, Copy, Debug, PartialEq)]
enum May {
    Nothing,
    /// Only the words on stderr.
    Wording,
    /// Kept: must differ.
    Everything,
}

struct Case {
    line: usize,
    text: String,
    may: May,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut may = May::Nothing;
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if let Some(mark) = line.strip_prefix("#! ") {
            may = match mark.split_once(": ") {
                Some(("stderr", why)) if !why.is_empty() => May::Wording,
                Some(("differs", why)) if !why.is_empty() => May::Everything,
                _ => panic!("line {}: {line}", at + 1),
            };
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut text = line.to_string();
        if line == "{{{" {
            let inside: Vec<&str> = lines
                .by_ref()
                .map(|(_, l)| l)
                .take_while(|l| *l != "}}}")
                .collect();
            text = inside.join("\n");
        }
        cases.push(Case {
            line: at + 1,
            text,
            may,
        });
        may = May::Nothing;
    }
    cases
}

#[derive(Debug, PartialEq)]
struct Seen {
    out: String,
    err: String,
    code: Option<i32>,
}

/// Runs a case in an empty folder of its own.
fn run(shell: &str, text: &str, folder: &Path, path: &str) -> Seen {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder.join("w")).unwrap();
    let mut out = tempfile(folder, "out");
    let mut err = tempfile(folder, "err");
    let mut child = Command::new(shell)
        .arg0("bash")
        .args(["-c", text])
        .current_dir(folder.join("w"))
        .env_clear()
        .envs([("PATH", path), ("HOME", "/root"), ("LC_ALL", "C.UTF-8")])
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap())
        .process_group(0)
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > end {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = child.wait();
            break None;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    };
    let text = |f: &mut std::fs::File| {
        let mut all = Vec::new();
        f.rewind().unwrap();
        f.read_to_end(&mut all).unwrap();
        String::from_utf8_lossy(&all).into_owned()
    };
    use std::os::unix::process::ExitStatusExt;
    Seen {
        out: text(&mut out),
        err: text(&mut err),
        code: status.and_then(|s| s.code().or_else(|| s.signal().map(|n| 1000 + n))),
    }
}

fn tempfile(folder: &Path, name: &str) -> std::fs::File {
    std::fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(folder.join(name))
        .unwrap()
}

const DEBIANS: &str = "/usr/bin:/bin";

/// What is wrong with a case, if anything is.
fn judge(case: &Case, theirs: &Seen, ours: &Seen) -> Option<String> {
    let same = ours.out == theirs.out && ours.code == theirs.code;
    let worded = ours.err.is_empty() == theirs.err.is_empty();
    let right = match case.may {
        May::Nothing => ours == theirs,
        May::Wording => same && worded && ours.err != theirs.err,
        May::Everything => !(same && worded),
    };
    if right {
        return None;
    }
    let mut said = String::new();
    let (line, text, may) = (case.line, &case.text, case.may);
    let _ = writeln!(said, "line {line} ({may:?}): {text}");
    for (who, seen) in [("theirs", theirs), ("ours", ours)] {
        let _ = writeln!(
            said,
            "  {who}: {:?} {:?} {:?}",
            seen.code, seen.out, seen.err
        );
    }
    Some(said)
}

/// Runs all cases on a few threads, and reports those that are wrong.
fn compare(name: &str, text: &str, both: impl Fn(&Case, &Path) -> (Seen, Seen) + Sync) {
    let only = std::env::var("ONLY").unwrap_or_default();
    let cases: Vec<Case> = cases(text)
        .into_iter()
        .filter(|c| c.text.contains(&only))
        .collect();
    let next = AtomicUsize::new(0);
    let folder: PathBuf =
        std::env::temp_dir().join(format!("netshoot-{name}-{}", std::process::id()));
    let mut wrong: Vec<(usize, String)> = std::thread::scope(|s| {
        let workers: Vec<_> = (0..4)
            .map(|n| {
                let (cases, next, both) = (&cases, &next, &both);
                let folder = folder.join(n.to_string());
                s.spawn(move || {
                    let mut wrong = Vec::new();
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let (theirs, ours) = both(case, &folder);
                        wrong.extend(judge(case, &theirs, &ours).map(|said| (case.line, said)));
                    }
                    wrong
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|w| w.join().unwrap())
            .collect()
    });
    let _ = std::fs::remove_dir_all(&folder);
    wrong.sort();
    let kept = cases.iter().filter(|c| c.may == May::Everything).count();
    println!(
        "{name}: {} lines compared, {kept} differences kept",
        cases.len()
    );
    let all: String = wrong.iter().map(|(_, said)| said.as_str()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} lines differ:\n{all}",
        wrong.len(),
        cases.len()
    );
}

#[test]
fn lines_that_people_type_do_what_bash_does() {
    if !Path::new("/bin/bash").exists() {
        println!("SKIPPED: no /bin/bash to compare with");
        return;
    }
    compare("bash", SHELL, |case, folder| {
        let theirs = run("/bin/bash", &case.text, &folder.join("a"), DEBIANS);
        let ours = run(PROGRAM, &case.text, &folder.join("b"), DEBIANS);
        (theirs, ours)
    });
}

#[test]
fn tools_do_what_debians_do() {
    if !Path::new("/bin/bash").exists() {
        println!("SKIPPED: no /bin/bash to compare with");
        return;
    }
    let links = std::env::temp_dir().join(format!("netshoot-tools-{}-bin", std::process::id()));
    std::fs::create_dir_all(&links).unwrap();
    let made = Command::new(PROGRAM).arg("install").arg(&links).output();
    assert!(made.unwrap().status.success());
    let path = format!("{}:{DEBIANS}", links.display());
    compare("tools", TOOLS, |case, folder| {
        let mut theirs = run("/bin/bash", &case.text, &folder.join("a"), DEBIANS);
        let mut ours = run("/bin/bash", &case.text, &folder.join("b"), &path);
        // Each tool words its complaints itself; that both complain is no matter of scripts either.
        theirs.err.clear();
        ours.err.clear();
        (theirs, ours)
    });
    let _ = std::fs::remove_dir_all(&links);
}
