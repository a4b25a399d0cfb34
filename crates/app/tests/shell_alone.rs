//! The shell where there is nothing else: in an empty root, as the first process, at a terminal, with nobody reading.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");
const LIMIT: Duration = Duration::from_secs(20);

/// Waits for something, with a limit.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    tasks
        .flatten()
        .filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok())
        .flat_map(|l| {
            l.split_whitespace()
                .filter_map(|p| p.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

fn signal(name: &str, pid: u32) {
    to(name, &pid.to_string());
}

fn to(name: &str, whom: &str) {
    let done = Command::new("kill")
        .args([&format!("-{name}"), "--", whom])
        .status();
    assert!(done.unwrap().success());
}

fn bash(text: &str) -> Command {
    let mut c = Command::new(PROGRAM);
    c.arg0("bash").args(["-c", text]).process_group(0);
    c
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Until the shell's own child runs.
fn running(child: &Child) -> u32 {
    until("the shell's child", || {
        let all = children(child.id());
        all.into_iter().find(|p| {
            let name = std::fs::read_to_string(format!("/proc/{p}/comm"));
            name.is_ok_and(|n| n.starts_with("sleep"))
        })
    })
}

#[test]
fn the_articles_loop_stops_at_once() {
    for name in ["TERM", "INT", "HUP", "INT", "INT", "INT"] {
        let mut child = bash("while true; do sleep 3600; done").spawn().unwrap();
        let sleeps = running(&child);
        let asked = Instant::now();
        match name {
            // Ctrl-C reaches the child too, and at once: else the loop has begun another.
            "INT" => to(name, &format!("-{}", child.id())),
            _ => signal(name, child.id()),
        }
        let status = until("the end", || child.try_wait().unwrap());
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{name}: {:?}",
            asked.elapsed()
        );
        assert!(status.signal().is_some(), "{name}: {status:?}");
        if name == "INT" {
            until("the end of all that the loop began", || {
                let alive = Command::new("kill")
                    .args(["-0", "--", &format!("-{}", child.id())])
                    .stderr(Stdio::null())
                    .status();
                (!alive.unwrap().success()).then_some(())
            });
        }
        if name != "INT" {
            signal("KILL", sleeps);
        }
    }
}

#[test]
fn a_trap_runs_before_the_end() {
    let mut child = bash("trap 'echo bye' EXIT; while true; do sleep 3600; done")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let sleeps = running(&child);
    signal("TERM", child.id());
    let mut said = String::new();
    let status = until("the end", || child.try_wait().unwrap());
    signal("KILL", sleeps);
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((said.as_str(), status.signal()), ("bye\n", Some(15)));
}

#[test]
fn as_the_first_process_it_ends_when_told() {
    let ways: [&[&str]; 2] = [&["unshare", "-pf"], &["unshare", "-Urpf"]];
    let Some(way) = ways.iter().find(|w| {
        let tried = Command::new(w[0]).args(&w[1..]).arg("true").output();
        tried.is_ok_and(|o| o.status.success())
    }) else {
        println!("SKIPPED: no namespace of processes to be the first in");
        return;
    };
    for (loops, expected) in [
        ("echo up; while true; do sleep 3600; done", ""),
        (
            "trap 'echo bye; exit 7' TERM; echo up; while true; do sleep 0.05; done",
            "bye\n",
        ),
        ("echo up; sleep 3600", ""),
    ] {
        let mut child = Command::new(way[0])
            .args(&way[1..])
            .args([PROGRAM, "bash", "-c", loops])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let first = until("the first process", || {
            let shell = children(child.id()).first().copied()?;
            (!children(shell).is_empty()).then_some(shell)
        });
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut up = String::new();
        out.read_line(&mut up).unwrap();
        assert_eq!(up, "up\n", "{loops}");
        let asked = Instant::now();
        signal("TERM", first);
        let mut said = String::new();
        out.read_to_string(&mut said).unwrap();
        let status = until("the end", || child.try_wait().unwrap());
        assert!(
            asked.elapsed() < Duration::from_secs(3),
            "{loops}: {:?}",
            asked.elapsed()
        );
        let code = if expected.is_empty() { 143 } else { 7 };
        assert_eq!(
            (said.as_str(), status.code()),
            (expected, Some(code)),
            "{loops}"
        );
    }
}

/// A folder of this test's own, taken away at the end.
struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn in_root(root: &Path, way: &[&str], line: &str) -> Option<Output> {
    let path = format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    );
    Command::new(way[0])
        .args(&way[1..])
        .arg(root)
        .args(["/n", "bash", "-c", line])
        .env("PATH", &path)
        .output()
        .ok()
}

#[test]
fn in_an_empty_root_every_word_is_there() {
    let root = Root(std::env::temp_dir().join(format!("netshoot-alone-{}", std::process::id())));
    std::fs::create_dir_all(&root.0).unwrap();
    std::fs::copy(PROGRAM, root.0.join("n")).unwrap();
    let ways: [&[&str]; 2] = [&["chroot"], &["unshare", "-r", "chroot"]];
    let Some(way) = ways.iter().find(|way| {
        in_root(&root.0, way, "true").is_some_and(|o| !text(&o.stderr).contains("not permitted"))
    }) else {
        println!("SKIPPED: neither root nor a user namespace to change the root in");
        return;
    };
    for (line, expected) in [
        ("ls / | grep n | awk '{print $1 \"!\"}'", "n!\n"),
        ("seq 3 | sed s/2/two/ | tail -2 | sort -r", "two\n3\n"),
        (
            "echo '{\"a\":1}' | jq .a; type -t ls; command -v ls",
            "1\nfile\n/n\n",
        ),
        (
            "find / -maxdepth 1 -type f; echo x > f; gzip f; zcat f.gz; rm f.gz",
            "/n\nx\n",
        ),
        ("sleep 5 & kill $!; wait $!; echo $?", "143\n"),
        ("exec echo gone", "gone\n"),
        ("sh -c 'ls -d /'; bash -c 'echo $0'", "/\nbash\n"),
        (
            "awk 'BEGIN { \"echo piped\" | getline x; print x }'",
            "piped\n",
        ),
    ] {
        let out = in_root(&root.0, way, line).unwrap();
        assert_eq!(
            (text(&out.stdout).as_str(), text(&out.stderr).as_str()),
            (expected, ""),
            "{line}"
        );
    }
}

#[test]
fn tools_die_quietly_when_nobody_reads() {
    for words in [
        &["yes"][..],
        &["seq", "1000000"],
        &["cat", "/dev/zero"],
        &["awk", "BEGIN { while (1) print 1 }"],
        &["grep", "-a", "-z", "", "/dev/zero"],
    ] {
        let mut child = Command::new(PROGRAM)
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 2];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let status = until("the end", || child.try_wait().unwrap());
        assert_eq!(
            (said.as_str(), status.signal()),
            ("", Some(13)),
            "{words:?}"
        );
    }
}
