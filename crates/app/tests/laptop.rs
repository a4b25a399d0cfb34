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

/// A program for macOS on arm64, as small as the look at it allows.
#[derive(Clone, Copy)]
struct Program {
    library: &'static str,
    /// The library of its one symbol by number; 254 says whichever has it.
    of: u32,
    oldest: u32,
    /// The page size of the signature as a power of two, if there is one.
    signed: Option<u32>,
}

const RUNS: Program = Program {
    library: "/usr/lib/libSystem.B.dylib",
    of: 1,
    oldest: 11 << 16,
    signed: Some(12),
};

fn words(of: &[u32]) -> Vec<u8> {
    of.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn command(kind: u32, fields: &[u32], name: &str) -> Vec<u8> {
    let mut bytes = words(fields);
    bytes.extend(name.bytes().chain([0]));
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let size = u32::try_from(bytes.len() + 8).unwrap();
    [words(&[kind, size]), bytes].concat()
}

impl Program {
    fn bytes(self, folder: &Path) -> Vec<u8> {
        let at = 1024;
        let mut all = vec![
            command(0xc, &[24, 0, 0, 0], self.library),
            command(0xe, &[12], "/usr/lib/dyld"),
            command(0x8000_0028, &[0, 0, 0, 0], ""),
            command(0x32, &[1, self.oldest, self.oldest, 0], ""),
            command(2, &[at, 1, at + 16, 7], ""),
        ];
        if self.signed.is_some() {
            all.push(command(0x1d, &[at + 24, 96], ""));
        }
        let count = u32::try_from(all.len()).unwrap();
        let commands = all.concat();
        let size = u32::try_from(commands.len()).unwrap();
        let mut file = words(&[0xfeed_facf, 0x0100_000c, 0, 2, count, size, 0x20_0085, 0]);
        file.extend(commands);
        file.resize(at as usize, 0);
        file.extend(words(&[1, 1 | self.of << 24, 0, 0]));
        file.extend(b"\0_exit\0\0");
        if let Some(page) = self.signed {
            let path = folder.join("page");
            std::fs::write(&path, &file).unwrap();
            let sum = Command::new("sha256sum").arg(&path).output().unwrap();
            let sum = out(&sum);
            let head = [0xfade_0cc0, 96, 1, 0, 20];
            let directory = [0xfade_0c02, 76, 0x2_0400, 2, 44, 44, 0, 1, at + 24];
            let hash = (0..8).map(|n| u32::from_str_radix(&sum[8 * n..8 * n + 8], 16).unwrap());
            let rest = [0x2002_0000 | page, 0].into_iter().chain(hash);
            let signature = head.into_iter().chain(directory).chain(rest);
            file.extend(signature.flat_map(u32::to_be_bytes));
        }
        file
    }
}

/// What `scripts/laptop` links for macOS is looked at without a Mac; here, that the look sees what would not run.
#[test]
fn what_no_mac_would_run_is_refused() {
    let folder = std::env::temp_dir().join(format!("netshoot-macho-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let look = |bytes: &[u8], arch: &str| {
        let path = folder.join("program");
        std::fs::write(&path, bytes).unwrap();
        let look = project().join("crates/app/tests/laptop/macho.py");
        let said = Command::new("python3")
            .arg(look)
            .arg(arch)
            .arg(path)
            .output();
        let said = said.unwrap();
        (said.status.code(), err(&said))
    };
    let good = RUNS.bytes(&folder);
    assert_eq!(look(&good, "aarch64"), (Some(0), String::new()));
    let mut changed = good.clone();
    changed[1000] = 1;
    let with = |p: Program| p.bytes(&folder);
    let of = |of| with(Program { of, ..RUNS });
    let library = "/opt/homebrew/lib/libz.dylib";
    for (bytes, why) in [
        (changed, "page 0 is not the one that was signed"),
        (of(254), "the symbol _exit is of no library"),
        (of(2), "the symbol _exit is of no library"),
        (with(Program { library, ..RUNS }), "which not every Mac has"),
        (
            with(Program {
                oldest: 15 << 16,
                ..RUNS
            }),
            "15.0",
        ),
        (
            with(Program {
                signed: None,
                ..RUNS
            }),
            "it is not signed",
        ),
        (b"#!/bin/sh\n".to_vec(), "it is no program for macOS"),
        (good[..900].to_vec(), "no Mac would run"),
    ] {
        let (code, said) = look(&bytes, "aarch64");
        assert_eq!(code, Some(65), "{why}: {said}");
        assert!(said.contains(why), "{why}: {said}");
    }
    let (code, said) = look(&good, "x86_64");
    assert_eq!(code, Some(65), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}
