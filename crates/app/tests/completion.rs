//! Completion in the shells themselves: names that only a kubeconfig or a cluster knows. Contexts stand in a file, so no
//! cluster is needed here; `cluster_streams` asks one for pods.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::Command;

const KUBECONFIG: &str = "apiVersion: v1
kind: Config
current-context: shop-east
clusters:
- {name: c, cluster: {server: 'https://127.0.0.1:1'}}
users:
- {name: u, user: {token: x}}
contexts:
- {name: shop-east, context: {cluster: c, user: u}}
- {name: shop-west, context: {cluster: c, user: u}}
- {name: crm, context: {cluster: c, user: u}}
";

struct Folder(PathBuf);

impl Folder {
    /// With the program, a kubeconfig, and the script of a shell.
    fn new(shell: &str, word: &str) -> Folder {
        let name = format!("netshoot-completion-{shell}-{word}-{}", std::process::id());
        let at = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&at).unwrap();
        let own = Path::new(env!("CARGO_BIN_EXE_netshoot"));
        std::os::unix::fs::symlink(own, at.join("netshoot")).unwrap();
        std::fs::write(at.join("config"), KUBECONFIG).unwrap();
        let script = Command::new(own).args(["completion", shell]).output();
        std::fs::write(at.join("script"), script.unwrap().stdout).unwrap();
        Folder(at)
    }

    /// What the shell says; none where it is not installed.
    fn run(&self, shell: &str, words: &[&str]) -> Option<String> {
        let path = std::env::var("PATH").unwrap();
        let said = Command::new(shell)
            .args(words)
            .current_dir(&self.0)
            .env("PATH", format!("{}:{path}", self.0.display()))
            .env("KUBECONFIG", self.0.join("config"))
            .env("HOME", &self.0)
            .output();
        let Ok(said) = said else {
            eprintln!("SKIPPED: {shell} is not installed (apt-get install {shell})");
            return None;
        };
        let err = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{err}");
        Some(String::from_utf8_lossy(&said.stdout).into_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// zsh has no completion without a keyboard: its own `compadd` and the parser's part are played.
fn zsh(folder: &Folder, line: &str, typed: &str) -> Option<Vec<String>> {
    let play = format!(
        "compdef() {{ : }}
        source ./script
        compadd() {{ while [[ $1 != -- ]]; do shift; done; shift; print -l -- \"$@\" }}
        _netshoot_parsed() {{ print parsed }}
        words=({line} '{typed}') CURRENT=$#words PREFIX='{typed}'
        _netshoot"
    );
    let said = folder.run("zsh", &["-f", "-c", &play])?;
    let mut all: Vec<String> = said.lines().map(String::from).collect();
    all.retain(|l| !l.is_empty());
    Some(all)
}

#[test]
fn zsh_completes_names() {
    let folder = Folder::new("zsh", "names");
    let expected = [
        (
            "netshoot debug --context",
            "shop-",
            &["shop-east", "shop-west"][..],
        ),
        (
            "netshoot diagnose --context",
            "",
            &["shop-east", "shop-west", "crm"],
        ),
        ("netshoot diagnose -n shop --from", "s", &["svc/"]),
        ("netshoot debug", "--con", &["parsed"]),
        ("netshoot explain", "tcp", &["parsed"]),
    ];
    for (line, typed, names) in expected {
        let Some(mut said) = zsh(&folder, line, typed) else {
            return;
        };
        said.sort();
        let mut names: Vec<&str> = names.to_vec();
        names.sort_unstable();
        assert_eq!(said, names, "{line} {typed}");
    }
}

/// The script is loaded as people load it, beside the real completion system.
#[test]
fn zsh_takes_the_script_as_it_is() {
    let folder = Folder::new("zsh", "script");
    let play = "autoload -U compinit; compinit -u -D; source ./script; print $_comps[netshoot]; whence -w _netshoot_parsed";
    let Some(said) = folder.run("zsh", &["-f", "-c", play]) else {
        return;
    };
    assert_eq!(said, "_netshoot\n_netshoot_parsed: function\n");
}

#[test]
fn fish_completes_names() {
    let folder = Folder::new("fish", "names");
    let expected = [
        (
            "netshoot debug --context shop-",
            &["shop-east", "shop-west"][..],
        ),
        ("netshoot diagnose --context cr", &["crm"]),
        ("netshoot diagnose -n shop --from s", &["svc/"]),
    ];
    for (line, names) in expected {
        let play = format!("source ./script; complete -C '{line}'");
        let Some(said) = folder.run("fish", &["--no-config", "-c", &play]) else {
            return;
        };
        let mut said: Vec<&str> = said.lines().filter_map(|l| l.split('\t').next()).collect();
        said.sort_unstable();
        assert_eq!(said, names, "{line}");
    }
    let play = "source ./script; complete -C 'netshoot debug --profi'";
    let said = folder.run("fish", &["--no-config", "-c", play]);
    assert!(
        said.is_none_or(|s| s.contains("--profile")),
        "flags are the parser's"
    );
}
