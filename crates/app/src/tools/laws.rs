//! Laws of the shelf of tools: a file, a name and a page for each, and cases against the original.

use super::ALL;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn folder(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/tools")
        .join(below)
}

fn stems(below: &str) -> BTreeSet<String> {
    std::fs::read_dir(folder(below))
        .unwrap()
        .filter_map(|e| Some(e.ok()?.path().file_stem()?.to_str()?.to_string()))
        .collect()
}

#[test]
fn each_tool_has_its_name_once_its_page_and_its_cases() {
    let names: BTreeSet<String> = ALL.iter().map(|t| t.name.to_string()).collect();
    assert_eq!(names.len(), ALL.len(), "a tool stands twice");
    assert_eq!(stems("pages"), names, "pages and tools");
    assert_eq!(stems("cases"), names, "cases and tools");
    let known: BTreeSet<String> = netshoot_shell::NEIGHBOURS
        .iter()
        .map(|n| n.to_string())
        .collect();
    assert_eq!(known, names, "the shell finds each tool, and no other");
    for name in &names {
        let small = netshoot_shell::ALL.iter().any(|w| w.name == name);
        let word = crate::applets::named(name).is_some();
        assert!(!small && !word, "{name} has two owners");
    }
}

#[test]
fn each_tool_says_what_it_is_in_both_languages() {
    for t in ALL {
        assert!(t.about.is_ascii() && !t.about.ends_with('.'), "{}", t.name);
        assert!(
            !t.about_zh.is_ascii() && !t.about_zh.ends_with('。'),
            "{}",
            t.name
        );
        assert!(!t.stands_for.is_empty(), "{}", t.name);
        let head = t.page.split("\n## ").next().unwrap();
        assert!(
            head.lines().any(|l| l.is_ascii() && !l.is_empty()),
            "{}: English",
            t.name
        );
        assert!(head.lines().any(|l| !l.is_ascii()), "{}: Chinese", t.name);
        for heading in ["## Examples", "## Differences"] {
            assert!(t.page.contains(heading), "{}: {heading}", t.name);
        }
    }
}

#[test]
fn each_tool_has_cases_enough_and_each_begins_with_its_name() {
    for t in ALL {
        let lines = t.lines();
        let least = if t.tier == 1 { 15 } else { 8 };
        assert!(
            lines.len() >= least,
            "{}: {} cases of {least}",
            t.name,
            lines.len()
        );
        let all: BTreeSet<_> = lines.iter().collect();
        assert_eq!(all.len(), lines.len(), "{}: a case stands twice", t.name);
        for (place, line) in lines {
            assert!(!place.is_empty(), "{}: {line}: where?", t.name);
            assert!(line.split(' ').any(|w| w == t.name), "{}: {line}", t.name);
        }
    }
}

/// Tools that speak to machines by a flag of the original's own, or whose output is made for them already.
const BY_THEMSELVES: &[(&str, &str)] = &[
    ("ip", "-json"),
    ("mtr", "-j"),
    ("trip", "json"),
    ("curl", "%{json}"),
    ("grpcurl", "JSON"),
];

#[test]
fn each_tool_speaks_to_machines_and_explains_itself() {
    for t in ALL {
        let by_itself = BY_THEMSELVES.iter().any(|(name, _)| *name == t.name);
        // The page of https says: those of http.
        let flags = ["--json", "`-json`", "`--as-json`"];
        let json = flags.iter().any(|f| t.page.contains(f)) || t.name == "https";
        assert!(by_itself || json, "{}: its page knows no --json", t.name);
        let explains = t.page.contains("-explain") || t.name == "https";
        assert!(explains, "{}: its page knows no --explain", t.name);
    }
}
