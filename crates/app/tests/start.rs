//! How the program starts and stops: in an empty root, by any name, with nobody reading.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");

/// A folder of this test's own, taken away at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("netshoot-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(program: &Path, words: &[&str]) -> Output {
    Command::new(program)
        .args(words)
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

fn own(words: &[&str]) -> Output {
    run(Path::new(PROGRAM), words)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn version_names_version_commit_and_target() {
    let out = own(&["--version"]);
    let said = text(&out.stdout);
    let words: Vec<&str> = said.split_whitespace().collect();
    let [name, version, commit, target] = words.as_slice() else {
        panic!("{said}");
    };
    assert_eq!((*name, *version), ("netshoot", env!("CARGO_PKG_VERSION")));
    assert!(commit.starts_with('(') && commit.ends_with(')'), "{said}");
    assert!(target.contains("-linux-"), "{said}");
    assert_eq!(out.status.code(), Some(0));
}

#[test]
fn starts_in_an_empty_root() {
    let root = Folder::new("root");
    std::fs::copy(PROGRAM, root.0.join("n")).unwrap();
    let dir = root.0.to_str().unwrap();
    // As root at once, else as root of a user namespace of one's own.
    let ways: [&[&str]; 2] = [&["chroot"], &["unshare", "-r", "chroot"]];
    let path = format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    );
    let enter = |way: &[&str], words: &[&str]| {
        Command::new(way[0])
            .args(&way[1..])
            .args([dir, "/n"])
            .args(words)
            .env("PATH", &path)
            .output()
            .ok()
    };
    let Some(way) = ways.iter().find(|way| {
        enter(way, &["--version"]).is_some_and(|o| !text(&o.stderr).contains("not permitted"))
    }) else {
        println!("SKIPPED: neither root nor a user namespace to change the root in");
        return;
    };
    for words in [
        &["--version"][..],
        &["checks"],
        &["lab", "list"],
        &["--help"],
    ] {
        let out = enter(way, words).unwrap();
        assert_eq!(
            (out.status.code(), text(&out.stderr)),
            (Some(0), String::new()),
            "{words:?}"
        );
        assert!(!out.stdout.is_empty(), "{words:?}");
    }
    // Without /proc, /sys and /etc there is less to see; that is said, and nothing falls over.
    let out = enter(way, &["diagnose", "--to", "127.0.0.1:9"]).unwrap();
    assert!(
        matches!(out.status.code(), Some(0..=2)) && !text(&out.stderr).contains("panicked"),
        "{out:?}"
    );
}

#[test]
fn a_link_is_the_word_it_is_called() {
    let dir = Folder::new("links");
    let out = own(&["--install", dir.0.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    for word in ["diagnose", "lab", "kubectl-netshoot", "netshoot"] {
        assert!(
            dir.0.join(word).is_symlink(),
            "{word}: {}",
            text(&out.stdout)
        );
    }
    let through = run(&dir.0.join("lab"), &["list"]);
    assert_eq!(text(&through.stdout), text(&own(&["lab", "list"]).stdout));
    let help = run(&dir.0.join("diagnose"), &["--help"]);
    assert!(text(&help.stdout).contains("Usage: netshoot diagnose"));
    // Words of other tools get no link, and what is there stays. `install` is then the one that copies files.
    assert!(!dir.0.join("man").exists());
    let copy = run(&dir.0.join("install"), &["--version"]);
    assert!(text(&copy.stdout).contains("coreutils"), "{copy:?}");
    std::fs::remove_file(dir.0.join("lab")).unwrap();
    std::fs::write(dir.0.join("lab"), "mine").unwrap();
    let again = own(&["install", dir.0.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(std::fs::read_to_string(dir.0.join("lab")).unwrap(), "mine");
}

#[test]
fn wrong_words_get_the_nearest_and_exit_64() {
    let cases: [(&[&str], &str); 7] = [
        (&["diagnos"], "did you mean diagnose"),
        (&["frobnicate"], "netshoot --help"),
        (&["explain", "path-mtu-blackhole"], "path-mtu-black-hole"),
        (&["explain", "tcp_conect"], "tcp_connect"),
        (&["man", "dignose"], "diagnose"),
        (&["checks", "--bogus"], "--bogus"),
        (&["--lang", "fr", "checks"], "fr"),
    ];
    for (words, hint) in cases {
        let out = own(words);
        assert_eq!(out.status.code(), Some(64), "{words:?}: {out:?}");
        assert!(text(&out.stderr).contains(hint), "{words:?}: {out:?}");
        assert!(out.stdout.is_empty(), "{words:?}: {out:?}");
    }
}

#[test]
fn manual_pages_are_there_for_every_depth() {
    for (words, name) in [
        (&["man"][..], "netshoot"),
        (&["man", "diagnose"], "netshoot\\-diagnose"),
        (&["man", "lab", "run"], "netshoot\\-lab\\-run"),
    ] {
        let page = text(&own(words).stdout);
        assert!(
            page.contains(&format!(".SH NAME\n{name} ")),
            "{words:?}: {page}"
        );
        assert!(page.contains("OPTIONS"), "{words:?}: {page}");
    }
    assert_eq!(own(&["man", "lab", "rum"]).status.code(), Some(64));
}

#[test]
fn a_hostile_word_reaches_no_terminal() {
    let out = own(&["\x1b[2Jx"]);
    assert_eq!(out.status.code(), Some(64));
    assert!(!text(&out.stderr).contains('\x1b'), "{out:?}");
}

#[test]
fn texts_follow_the_flag_and_the_locale() {
    let heading = |out: Output| text(&out.stdout).contains("用法：");
    assert!(heading(own(&["--lang", "zh", "--help"])));
    assert!(heading(own(&["lab", "--help", "--lang=zh"])));
    assert!(!heading(own(&["--help"])));
    let by_locale = Command::new(PROGRAM)
        .arg("--help")
        .env("LC_ALL", "zh_CN.UTF-8")
        .output()
        .unwrap();
    assert!(heading(by_locale));
    let page = |id: &str| text(&own(&["explain", id, "--lang", "zh"]).stdout);
    assert!(page("path-mtu-black-hole").contains("## 看什么"));
    assert!(page("tcp_connect").contains("## 问什么"));
}

#[test]
fn nobody_reading_is_no_error() {
    for words in [
        &["explain", "path-mtu-black-hole"][..],
        &["completion", "bash"],
        &["lab", "--help"],
    ] {
        let mut child = Command::new(PROGRAM)
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        {
            let mut out = BufReader::with_capacity(16, child.stdout.take().unwrap());
            out.read_line(&mut line).unwrap();
        }
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!(said, "", "{words:?}");
        assert!(matches!(code, Some(0 | 141)), "{words:?}: {code:?}");
    }
}

#[test]
fn every_check_says_what_rights_it_needs() {
    let out = own(&["checks", "-o", "json"]);
    let rows: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        for key in ["id", "title", "layer"] {
            assert!(row[key].as_str().is_some_and(|s| !s.is_empty()), "{row}");
        }
        // A cause of a plain host may have no catalogue number, and reads no object.
        assert!(
            row["catalogue"].is_array() && row["kinds"].is_array(),
            "{row}"
        );
        let rights = row["rights"].as_array().unwrap();
        let resources: usize = rights
            .iter()
            .map(|r| r["resources"].as_array().unwrap().len())
            .sum();
        assert_eq!(resources, row["kinds"].as_array().unwrap().len(), "{row}");
        for r in rights {
            assert!(r["apiGroups"].is_array() && r["verbs"].is_array(), "{row}");
        }
    }
    let of = |id: &str| rows.iter().find(|r| r["id"] == id).map(|r| &r["rights"]);
    let rights = of("service-selects-no-pod").and_then(|r| r.as_array());
    assert!(rights.is_some_and(|r| !r.is_empty()), "{rights:?}");
}

#[test]
fn a_link_to_a_link_works() {
    let dir = Folder::new("far");
    symlink(PROGRAM, dir.0.join("netshoot")).unwrap();
    symlink(dir.0.join("netshoot"), dir.0.join("checks")).unwrap();
    let out = run(&dir.0.join("checks"), &[]);
    assert_eq!(text(&out.stdout), text(&own(&["checks"]).stdout));
}
