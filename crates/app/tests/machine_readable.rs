//! What the tools say to machines, and what they explain, by runs: with --json every value on standard output can be read
//! and names what was asked about, also where nothing answers; with --explain lines come after the original's output, which
//! stays what it was. Everything is on the loopback of a network of its own; the servers are this program's.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use serde_json::Value;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");

/// Tools for names where nobody listens, and their exit codes, which are the originals'.
const SILENT: &[(&str, i32)] = &[
    ("dig --json -p 1 @127.0.0.1 shop.example +tries=1", 9),
    ("dig --json -p 1 @127.0.0.1 shop.example AXFR", 9),
    ("dig --json -p 1 @127.0.0.1 shop.example +tcp +tries=1", 9),
    ("host --json -p 1 shop.example 127.0.0.1", 1),
    ("host --json -v -p 1 -t MX shop.example 127.0.0.1", 1),
    ("nslookup --json -port=1 shop.example 127.0.0.1", 1),
    ("nslookup --json -port=1 -type=mx shop.example 127.0.0.1", 1),
    ("drill --json -p 1 @127.0.0.1 shop.example", 1),
];

/// With what stands for MACHINE, and for EXPLAIN, and a word that the JSON holds.
const LINES: &[(&str, &str)] = &[
    ("ping MACHINE EXPLAIN -c 1 127.0.0.1", "127.0.0.1"),
    ("fping MACHINE EXPLAIN -c 1 127.0.0.1", "127.0.0.1"),
    ("traceroute MACHINE EXPLAIN -n 127.0.0.1", "127.0.0.1"),
    ("tracepath MACHINE EXPLAIN -n 127.0.0.1", "127.0.0.1"),
    (
        "tcptraceroute MACHINE EXPLAIN -n 127.0.0.1 8080",
        "127.0.0.1",
    ),
    ("mtr EXPLAIN -n -r -c 1 MACHINE 127.0.0.1", "127.0.0.1"),
    (
        "delv MACHINE EXPLAIN @127.0.0.1 -p 1 shop.example",
        "shop.example",
    ),
    (
        "wget MACHINE EXPLAIN -q -O /dev/null http://127.0.0.1:8080/",
        "127.0.0.1:8080",
    ),
    (
        "wget MACHINE EXPLAIN -q -t 1 -O /dev/null http://127.0.0.1:1/",
        "127.0.0.1:1/",
    ),
    (
        "http MACHINE EXPLAIN -I -h 127.0.0.1:8080/",
        "\"status\":200",
    ),
    ("http MACHINE EXPLAIN -I 127.0.0.1:1/", "refused"),
    (
        "https MACHINE EXPLAIN -I --verify=no 127.0.0.1:8443/",
        "https://127.0.0.1:8443/",
    ),
    ("nc MACHINE EXPLAIN -zv 127.0.0.1 8080", "8080"),
    ("nc MACHINE EXPLAIN -zv 127.0.0.1 1", "refused"),
    ("telnet MACHINE EXPLAIN 127.0.0.1 1", "127.0.0.1"),
    ("ss MACHINE EXPLAIN -tln", "8080"),
    (
        "openssl s_client MACHINE EXPLAIN -connect 127.0.0.1:8443",
        "TLSv1.3",
    ),
    (
        "openssl s_client MACHINE EXPLAIN -connect 127.0.0.1:1",
        "Connection refused",
    ),
    ("arping MACHINE EXPLAIN -c 1 -I lo 127.0.0.1", "ARPable"),
    (
        "whois MACHINE EXPLAIN -h 127.0.0.1 -p 1 shop.example",
        "refused",
    ),
    ("websocat MACHINE EXPLAIN ws://127.0.0.1:1/", "refused"),
];

/// A network with our servers; it ends with this.
struct Place(Child);

impl Place {
    fn new() -> Option<Place> {
        let script = "ip link set lo up
            \"$0\" echo-server --quiet --http 8080 --https 8443 --name localhost </dev/null >/dev/null 2>&1 &
            trap 'kill $!' EXIT
            cat";
        let made = Command::new("unshare")
            .args(["-r", "-n", "sh", "-ec", script, PROGRAM])
            .stdin(Stdio::piped())
            .spawn();
        let Ok(made) = made else {
            println!("SKIPPED: unshare: not here");
            return None;
        };
        let place = Place(made);
        let until = Instant::now() + Duration::from_secs(20);
        for port in ["8080", "8443"] {
            while place.run(&format!("nc -z 127.0.0.1 {port}")).status.code() != Some(0) {
                assert!(Instant::now() < until, "no server at {port}");
            }
        }
        Some(place)
    }

    fn run(&self, line: &str) -> Output {
        Command::new("nsenter")
            .arg(format!("--target={}", self.0.id()))
            .args(["--user", "--net", "--preserve-credentials", PROGRAM])
            .args(line.split(' '))
            .stdin(Stdio::null())
            .env("LC_ALL", "C")
            .output()
            .unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // At the end of its input it ends, and the servers with it.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn values(line: &str, out: &Output) -> Vec<Value> {
    let said = String::from_utf8_lossy(&out.stdout);
    serde_json::Deserializer::from_slice(&out.stdout)
        .into_iter()
        .map(|v| v.unwrap_or_else(|e| panic!("{line}: {e}: {said}")))
        .collect()
}

#[test]
fn a_name_nobody_answers_for_is_json_too() {
    for (line, code) in SILENT {
        let mut c = Command::new(PROGRAM);
        let out = c.args(line.split(' ')).output().unwrap();
        let values = values(line, &out);
        assert_eq!(out.status.code(), Some(*code), "{line}: {values:?}");
        let told = values.iter().any(|v| {
            v["question"][0]["name"] == "shop.example"
                && v["error"].as_str().is_some_and(|e| !e.is_empty())
        });
        assert!(told, "{line}: {values:?}");
    }
}

/// Lines without their figures, which vary.
fn shape(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).replace(|c: char| c.is_ascii_digit() || c == '.', "");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).filter(|l| !l.is_empty()).collect()
}

#[test]
fn each_tool_is_read_by_machines_and_explains_itself_after_its_output() {
    let Some(place) = Place::new() else { return };
    for (line, holds) in LINES {
        let with = |machine: &str, explain: &str| {
            let words = line.replace("MACHINE", machine).replace("EXPLAIN", explain);
            words.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        // Where HTTPie's own --json says what is sent.
        let flag = if line.starts_with("http") {
            "--as-json"
        } else {
            "--json"
        };
        let asked = with(flag, "");
        let out = place.run(&asked);
        let values = values(&asked, &out);
        let told = serde_json::to_string(&values).unwrap();
        assert!(
            !values.is_empty() && told.contains(holds),
            "{asked}: {told}"
        );
        let (plain, more) = (place.run(&with("", "")), place.run(&with("", "--explain")));
        assert_eq!(plain.status.code(), more.status.code(), "{line}");
        let (before, after) = (shape(&plain.stdout), shape(&more.stdout));
        assert!(
            after.starts_with(&before),
            "{line}: {before:?} and {after:?}"
        );
        let lines = |o: &Output| shape(&o.stdout).len() + shape(&o.stderr).len();
        assert!(lines(&more) > lines(&plain), "{line}: {after:?}");
    }
}
