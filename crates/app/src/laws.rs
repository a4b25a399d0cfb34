//! Laws of the house that Cargo and clippy cannot see, read from the sources.

mod article;
mod parsers;

use crate::golden::root;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// A source without the tests that stand in it.
fn own(text: &str) -> &str {
    let inline = |(at, mark): &(usize, &str)| {
        let behind = text[at + mark.len()..].lines().next();
        behind.is_some_and(|line| line.ends_with('{'))
    };
    let tests = text.match_indices("#[cfg(test)]\nmod ").find(inline);
    tests.map_or(text, |(at, _)| &text[..at])
}

/// Sources below a folder of `crates/`, each with its text up to its tests.
fn texts(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&root().join("crates").join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} holds no source");
    found
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let own = own(&text).to_string();
            (path, own)
        })
        .collect()
}

fn own_dependencies(krate: &str) -> BTreeSet<String> {
    let manifest = root().join("crates").join(krate).join("Cargo.toml");
    let text = std::fs::read_to_string(manifest).unwrap();
    let (_, dependencies) = text.split_once("[dependencies]").unwrap();
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    dependencies
        .lines()
        .filter_map(|l| l.strip_prefix("netshoot-")?.split(['.', ' ']).next())
        .map(String::from)
        .collect()
}

#[test]
fn rooms_depend_on_each_other_as_the_map_says() {
    let rooms: [(&str, &[&str]); 7] = [
        ("wire", &[]),
        ("model", &["wire"]),
        ("host", &["wire", "model"]),
        ("api", &["model"]),
        ("lab", &["wire", "host"]),
        ("shell", &[]),
        ("app", &["wire", "model", "host", "api", "lab", "shell"]),
    ];
    for (krate, expected) in rooms {
        let expected: BTreeSet<String> = expected.iter().map(|d| d.to_string()).collect();
        assert_eq!(own_dependencies(krate), expected, "{krate}");
    }
    let folders = std::fs::read_dir(root().join("crates")).unwrap().count();
    assert_eq!(
        folders,
        rooms.len(),
        "a room more needs a sentence in ARCHITECTURE.md"
    );
}

#[test]
fn nobody_sees_what_is_not_theirs() {
    let rules: [(&str, &[&str], &str); 5] = [
        (
            "app/src/applets",
            &["Topology"],
            "an applet never sees a Topology",
        ),
        (
            "app/src/report",
            &["Topology", "engine::", "EvidenceSet"],
            "a renderer never decides",
        ),
        (
            "model/src/checks",
            &["std::net::TcpStream", "netshoot_host"],
            "a check never sees a socket",
        ),
        (
            "lab/src",
            &["netshoot_model"],
            "a world cannot call what explains it",
        ),
        (
            "host/src",
            &["EndpointSlice", "NetworkPolicy", "kubectl"],
            "host never knows Kubernetes",
        ),
    ];
    for (folder, words, law) in rules {
        for (path, text) in texts(folder) {
            if path
                .file_name()
                .is_some_and(|f| f == "laws.rs" || f == "tests.rs")
            {
                continue;
            }
            let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
            for line in code {
                for word in words {
                    assert!(!line.contains(word), "{law}: {}: {line}", path.display());
                }
            }
        }
    }
}

#[test]
fn the_map_shows_every_room_and_shelf() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for place in [
        "wire/",
        "model/",
        "host/",
        "api/",
        "lab/",
        "shell/",
        "app/",
        "src/checks/",
        "src/probes/",
        "src/applets/",
        "src/faces/",
        "src/access/",
        "src/report/",
        "src/policy/",
        "src/rules/",
        "labs/",
        "docs/generated/",
    ] {
        assert!(map.contains(place), "ARCHITECTURE.md does not show {place}");
    }
}

#[test]
fn every_link_in_the_papers_leads_somewhere() {
    for paper in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/worlds.md",
    ] {
        let text = std::fs::read_to_string(root().join(paper)).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let is_path = word.contains('/')
                && !word.contains(|c: char| c.is_whitespace() || "*{}<>:|".contains(c))
                && word.starts_with(|c: char| c.is_ascii_lowercase());
            let known = ["crates/", "docs/", "labs/", "scripts/"];
            if is_path && known.iter().any(|k| word.starts_with(k)) && !word.contains("my_") {
                assert!(root().join(word).exists(), "{paper}: there is no {word}");
            }
        }
    }
}
