//! What a release consists of: the archives, and the manifests by which krew installs the plugins. krew itself cannot
//! be had here: its documented format is held field by field, and what it does at an install is done here.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

struct Folder(PathBuf);

impl Folder {
    fn new(word: &str) -> Folder {
        let at = std::env::temp_dir().join(format!("netshoot-dist-{word}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&at);
        std::fs::create_dir_all(&at).unwrap();
        Folder(at)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn dist(to: &Path, binaries: &[String]) -> Output {
    let mut c = Command::new(project().join("scripts/dist"));
    c.arg(to).args(["--url", "https://releases.example/v0"]);
    for b in binaries {
        c.args(["--binary", b]);
    }
    c.env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap()
}

#[track_caller]
fn ok(out: &Output) -> String {
    let err = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{err}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn manifest(folder: &Path, name: &str) -> Value {
    let text = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
    serde_yaml_ng::from_str(&text).unwrap()
}

fn keys(v: &Value) -> Vec<&str> {
    v.as_object().unwrap().keys().map(String::as_str).collect()
}

fn is_semver(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('v') else {
        return false;
    };
    let core = rest.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|n| n.parse::<u64>().is_ok())
}

/// The documented rules of a manifest, field by field.
#[track_caller]
fn holds_to_the_format(m: &Value, name: &str) {
    assert_eq!(
        m["apiVersion"],
        "krew.googlecontainertools.github.com/v1alpha2"
    );
    assert_eq!(m["kind"], "Plugin");
    assert_eq!(keys(m), ["apiVersion", "kind", "metadata", "spec"]);
    assert_eq!(
        m["metadata"],
        serde_json::json!({"name": name}),
        "the file's name without .yaml"
    );
    let spec = &m["spec"];
    let known = [
        "caveats",
        "description",
        "homepage",
        "platforms",
        "shortDescription",
        "version",
    ];
    assert!(
        keys(spec).iter().all(|k| known.contains(k)),
        "{:?}",
        keys(spec)
    );
    assert!(
        is_semver(spec["version"].as_str().unwrap()),
        "{}",
        spec["version"]
    );
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(
        !short.is_empty() && short.len() <= 50 && !short.contains('\n') && !short.ends_with('.'),
        "{short}"
    );
    assert!(!spec["description"].as_str().unwrap().trim().is_empty());
    assert!(spec["homepage"].as_str().unwrap().starts_with("https://"));
    let platforms = spec["platforms"].as_array().unwrap();
    assert!(!platforms.is_empty());
    for p in platforms {
        assert_eq!(keys(p), ["bin", "files", "selector", "sha256", "uri"]);
        let uri = p["uri"].as_str().unwrap();
        assert!(
            uri.starts_with("https://") && uri.ends_with(".tar.gz"),
            "{uri}"
        );
        let sum = p["sha256"].as_str().unwrap();
        assert!(
            sum.len() == 64
                && sum
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{sum}"
        );
        let labels = &p["selector"]["matchLabels"];
        assert_eq!(keys(&p["selector"]), ["matchLabels"]);
        assert_eq!(keys(labels), ["arch", "os"]);
        assert!(["linux", "darwin", "windows"].contains(&labels["os"].as_str().unwrap()));
        assert!(["amd64", "arm64"].contains(&labels["arch"].as_str().unwrap()));
        let windows = labels["os"] == "windows";
        assert_eq!(p["bin"].as_str().unwrap().ends_with(".exe"), windows, "{p}");
        for f in p["files"].as_array().unwrap() {
            assert_eq!(keys(f), ["from", "to"]);
            for path in [&f["from"], &f["to"]] {
                let path = path.as_str().unwrap();
                assert!(
                    !path.is_empty() && !path.starts_with('/') && !path.contains(".."),
                    "{path}"
                );
            }
        }
    }
}

/// As krew installs: choose by platform, check the sum, unpack, move the files, look for the program, link it.
#[track_caller]
fn install(m: &Value, dist: &Path, root: &Path) -> PathBuf {
    let platforms = m["spec"]["platforms"].as_array().unwrap();
    let fits = |p: &&Value| {
        p["selector"]["matchLabels"] == serde_json::json!({"os": "linux", "arch": "amd64"})
    };
    let platform = platforms.iter().find(fits).unwrap();
    let archive = dist.join(
        platform["uri"]
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap(),
    );
    let sum = ok(&Command::new("sha256sum").arg(&archive).output().unwrap());
    assert_eq!(sum.split(' ').next(), platform["sha256"].as_str());
    let name = m["metadata"]["name"].as_str().unwrap();
    let (unpacked, store) = (
        root.join("download").join(name),
        root.join("store")
            .join(name)
            .join(m["spec"]["version"].as_str().unwrap()),
    );
    for folder in [&unpacked, &store, &root.join("bin")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    ok(&Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(&unpacked)
        .output()
        .unwrap());
    for f in platform["files"].as_array().unwrap() {
        let from = unpacked.join(f["from"].as_str().unwrap());
        assert!(from.is_file(), "the archive lacks {f}");
        let to = store.join(f["to"].as_str().unwrap());
        let to = if f["to"] == "." {
            store.join(from.file_name().unwrap())
        } else {
            to
        };
        std::fs::copy(&from, to).unwrap();
    }
    let program = store.join(platform["bin"].as_str().unwrap());
    assert!(program.is_file(), "bin is not among the files");
    let link = root
        .join("bin")
        .join(format!("kubectl-{}", name.replace('-', "_")));
    std::os::unix::fs::symlink(&program, &link).unwrap();
    link
}

#[test]
fn krew_installs_both_plugins_from_the_archive() {
    let (out, root) = (Folder::new("krew"), Folder::new("root"));
    let own = env!("CARGO_BIN_EXE_netshoot");
    let other = root.0.join("other");
    std::fs::write(&other, "a program of another platform").unwrap();
    let binaries = [
        format!("linux/amd64={own}"),
        format!("darwin/arm64={}", other.display()),
        format!("windows/amd64={}", other.display()),
    ];
    let said = ok(&dist(&out.0, &binaries));
    for line in said.lines() {
        assert!(out.0.join(line).is_file(), "{line}");
    }
    let sums = Command::new("sha256sum")
        .args(["-c", "--quiet", "SHA256SUMS"])
        .current_dir(&out.0)
        .output();
    ok(&sums.unwrap());
    for (name, words, expected) in [
        ("netshoot", ["version", "--client"], "Client Version:"),
        ("ai-debug", ["--help", "--lang=en"], "--symptom"),
    ] {
        let m = manifest(&out.0, name);
        holds_to_the_format(&m, name);
        assert_eq!(m["spec"]["platforms"].as_array().unwrap().len(), 3);
        let link = install(&m, &out.0, &root.0);
        let said = ok(&Command::new(link)
            .args(words)
            .env("LC_ALL", "C")
            .output()
            .unwrap());
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn the_same_binary_gives_the_same_archive() {
    let (a, b) = (Folder::new("a"), Folder::new("b"));
    let other = a.0.join("program");
    std::fs::write(&other, "anything").unwrap();
    let binaries = [format!("linux/amd64={}", other.display())];
    ok(&dist(&a.0, &binaries));
    ok(&dist(&b.0, &binaries));
    let sums = |f: &Folder| std::fs::read_to_string(f.0.join("SHA256SUMS")).unwrap();
    assert_eq!(sums(&a), sums(&b));
}

#[test]
fn a_wrong_platform_or_file_is_named() {
    let out = Folder::new("wrong");
    for (binary, code, named) in [
        ("plan9/amd64=/dev/null", 64, "plan9/amd64"),
        ("linux/amd64=/no/such/file", 66, "/no/such/file"),
    ] {
        let said = dist(&out.0, &[binary.to_string()]);
        assert_eq!(said.status.code(), Some(code));
        let err = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(err.contains(named), "{err}");
    }
}
