//! The half for laptops: what it is made of, and what it does. Run twice: in the whole program, and with
//! `--no-default-features`, where it is all there is (`scripts/laptop`).

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Laptops.
const TARGETS: [&str; 3] = [
    "aarch64-apple-darwin",
    "x86_64-apple-darwin",
    "x86_64-pc-windows-gnu",
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names of the crates that a build for the target is made of.
fn made_of(target: &str, features: &[&str]) -> BTreeSet<String> {
    let out = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(project())
        .args(["tree", "--locked", "--package", "netshoot-app"])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--target", target])
        .args(features)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    let text = String::from_utf8(out.stdout).unwrap();
    let names = text.lines().filter_map(|l| l.split(' ').next());
    names.map(String::from).collect()
}

/// What only Linux has, or what only pods and nodes need.
fn is_foreign(name: &str) -> bool {
    let rooms = ["netshoot-host", "netshoot-lab", "netshoot-shell"];
    rooms.contains(&name)
        || ["brush", "uu_", "uucore", "netlink"]
            .iter()
            .any(|start| name.starts_with(start))
        || ["zstd-sys", "procfs"].contains(&name)
}

#[test]
fn what_a_laptop_gets_holds_nothing_of_pods_and_nodes() {
    for target in TARGETS {
        let made = made_of(target, &["--no-default-features"]);
        for room in ["netshoot-model", "netshoot-api", "kube-client"] {
            assert!(made.contains(room), "{target} lacks {room}");
        }
        let foreign: Vec<&String> = made.iter().filter(|n| is_foreign(n)).collect();
        assert!(foreign.is_empty(), "{target}: {foreign:?}");
    }
    let whole = made_of("x86_64-unknown-linux-gnu", &[]);
    let there = whole.iter().filter(|n| is_foreign(n)).count();
    assert!(there > 20, "the law would not see them: {there}");
}

fn netshoot(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netshoot"))
        .args(words)
        .env_remove("NETSHOOT_WORLD")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("KUBECONFIG", "/no/such/kubeconfig")
        .env("HOME", "/no/such/home")
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

fn out(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).replace("\r\n", "\n")
}

fn err(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

fn held(path: &str) -> String {
    let at = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path);
    std::fs::read_to_string(at).unwrap()
}

/// Recordings are as good on a laptop as where they were made: the same report, to the byte.
#[test]
fn a_recording_gives_the_report_that_it_gives_everywhere() {
    for (story, code) in [("broken", 1), ("healthy", 0), ("unknown", 2)] {
        let recording = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/recordings")
            .join(format!("{story}.json"));
        let said = netshoot(&["diagnose", "--snapshot", recording.to_str().unwrap()]);
        assert_eq!(said.status.code(), Some(code), "{story}: {}", err(&said));
        assert_eq!(out(&said), held(&format!("reports/{story}.en.txt")));
    }
}

#[test]
fn probes_checks_and_their_pages_are_there() {
    for (words, holds) in [
        (&["probes"][..], "tcp_connect"),
        (&["explain", "tcp_connect"], "## What it sends"),
        (&["checks"], "listens-on-loopback-only"),
        (
            &["explain", "listens-on-loopback-only"],
            "## What proves it",
        ),
        (&["completion", "zsh"], "explain"),
        (&["man", "debug"], "kubectl"),
        (&["version", "--client"], "Client Version:"),
        (&["run", "--help"], "--host-network"),
        (&["debug", "--help"], "--profile"),
    ] {
        let said = netshoot(words);
        assert!(said.status.success(), "{words:?}: {}", err(&said));
        assert!(out(&said).contains(holds), "{words:?}: {}", out(&said));
    }
}

#[test]
fn a_pod_is_written_without_a_cluster() {
    let said = netshoot(&[
        "run",
        "tmp-shell",
        "--dry-run=client",
        "-o",
        "yaml",
        "--",
        "bash",
    ]);
    assert!(said.status.success(), "{}", err(&said));
    assert!(out(&said).contains("kind: Pod"), "{}", out(&said));
}

#[test]
fn without_a_cluster_it_is_said_what_to_name() {
    let said = netshoot(&["debug", "web"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(err(&said).contains("kubeconfig"), "{}", err(&said));
}

/// What only Linux has is no word there, and its absence is a sentence.
#[cfg(not(feature = "node"))]
#[test]
fn what_is_not_there_is_said() {
    for word in ["lab", "agent", "image", "here", "bash", "dig"] {
        let said = netshoot(&[word]);
        assert_eq!(said.status.code(), Some(64), "{word}");
        assert!(err(&said).contains("there is no word"), "{}", err(&said));
    }
    let said = netshoot(&["diagnose", "--to", "https://example.com/"]);
    assert_eq!(said.status.code(), Some(64), "{}", err(&said));
    assert!(err(&said).contains("for laptops"), "{}", err(&said));
}
