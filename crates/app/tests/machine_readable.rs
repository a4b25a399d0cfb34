//! Who asks the tools for names with --json can read what they say, also where nobody answers; the exit codes stay those of
//! the originals. The servers are on loopback, where nobody listens.

#![allow(clippy::unwrap_used)]

use std::process::Command;

/// The tool's words, and its exit code.
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

#[test]
fn a_name_nobody_answers_for_is_json_too() {
    for (line, code) in SILENT {
        let words = line.split(' ');
        let mut c = Command::new(env!("CARGO_BIN_EXE_netshoot"));
        let out = c.args(words).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert_eq!(out.status.code(), Some(*code), "{line}: {said}");
        let values = serde_json::Deserializer::from_slice(&out.stdout).into_iter();
        let values: Vec<serde_json::Value> = values
            .map(|v| v.unwrap_or_else(|e| panic!("{line}: {e}: {said}")))
            .collect();
        let told = values.iter().any(|v| {
            v["question"][0]["name"] == "shop.example"
                && v["error"].as_str().is_some_and(|e| !e.is_empty())
        });
        assert!(told, "{line}: {said}");
    }
}
