//! The image in a real container runtime: containerd and runc, private to these tests, in namespaces that end with
//! them. Containers have no network; what is asked of them is printed by the program itself.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");
const ROOT: &str = "docker.io/library/netshoot:test";
const NONROOT: &str = "docker.io/library/netshoot:test-nonroot";

/// containerd with a folder of its own.
struct Engine {
    folder: PathBuf,
    process: Child,
    /// Numbers the containers.
    next: Mutex<u32>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The first process of their PID namespace: all containers end with it, and all mounts.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The engine of all tests that run at the moment, with the image in it; nothing after saying why.
fn engine() -> Option<Arc<Engine>> {
    static SHARED: Mutex<Weak<Engine>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(engine) = shared.upgrade() {
        return Some(engine);
    }
    let engine = Arc::new(Engine::start()?);
    let archive = engine.folder.join("image.tar");
    let file = archive.to_str().unwrap();
    written(&[file, "--tag", "test", "--compress", "none"]);
    engine.import(&archive);
    *shared = Arc::downgrade(&engine);
    Some(engine)
}

fn written(words: &[&str]) {
    let image = Command::new(PROGRAM)
        .arg("image")
        .args(words)
        .output()
        .unwrap();
    assert!(image.status.success(), "{}", text(&image.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited a minute in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A PATH in which Debian's root finds its programs.
fn path() -> String {
    format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    )
}

impl Engine {
    fn start() -> Option<Engine> {
        for tool in ["containerd", "ctr", "runc", "unshare"] {
            let found = Command::new(tool)
                .arg("--version")
                .env("PATH", path())
                .output();
            if found.is_err() {
                println!("SKIPPED: {tool} is not installed");
                return None;
            }
        }
        let namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let may = Command::new("unshare")
            .args(namespaces)
            .arg("true")
            .output()
            .unwrap();
        if !may.status.success() {
            println!("SKIPPED: containers need root here");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("netshoot-engine-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let at = folder.display();
        let config = format!(
            "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{at}/socket\"\n"
        );
        std::fs::write(folder.join("config.toml"), config).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let process = Command::new("unshare")
            .args(namespaces)
            .args(["containerd", "--config"])
            .arg(folder.join("config.toml"))
            .env("PATH", path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let engine = Engine {
            folder,
            process,
            next: Mutex::new(0),
        };
        until("containerd answers", || {
            engine
                .ctr(&["version"])
                .output()
                .unwrap()
                .status
                .success()
                .then_some(())
        });
        Some(engine)
    }

    fn ctr(&self, words: &[&str]) -> Command {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address")
            .arg(self.folder.join("socket"))
            .args(["--namespace", "test"]);
        ctr.args(words).env("PATH", path()).stdin(Stdio::null());
        ctr
    }

    #[track_caller]
    fn import(&self, archive: &Path) {
        let done = self
            .ctr(&["images", "import", archive.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
    }

    fn name(&self) -> String {
        let mut next = self.next.lock().unwrap_or_else(|e| e.into_inner());
        *next += 1;
        format!("c{next}")
    }

    /// Runs a command in a fresh container; `flags` are those of `ctr run`.
    fn run(&self, image: &str, flags: &[&str], command: &[&str]) -> Output {
        let name = self.name();
        let mut words = vec!["run", "--rm", "--cgroup", ""];
        words.extend(flags);
        words.extend([image, &name]);
        words.extend(command);
        self.ctr(&words).output().unwrap()
    }

    /// What the program sees of a container.
    #[track_caller]
    fn here(&self, image: &str, flags: &[&str]) -> Value {
        let out = self.run(image, flags, &["netshoot", "here", "-o", "json"]);
        assert!(out.status.success(), "{}", text(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    /// Starts a container; gives its name.
    fn started(&self, image: &str, command: &[&str]) -> Running<'_> {
        let name = self.name();
        let mut words = vec!["run", "--rm", "--cgroup", "", image, &name];
        words.extend(command);
        let child = self.ctr(&words).stdout(Stdio::piped()).spawn().unwrap();
        until("the container runs", || {
            let tasks = self.ctr(&["tasks", "ls"]).output().unwrap();
            let tasks = text(&tasks.stdout);
            let mut rows = tasks
                .lines()
                .map(|l| l.split_ascii_whitespace().collect::<Vec<_>>());
            rows.any(|r| r.first() == Some(&name.as_str()) && r.contains(&"RUNNING"))
                .then_some(())
        });
        Running {
            engine: self,
            name,
            child,
        }
    }
}

struct Running<'a> {
    engine: &'a Engine,
    name: String,
    child: Child,
}

impl Running<'_> {
    fn exec(&self, flags: &[&str], command: &[&str]) -> String {
        let mut words = vec!["tasks", "exec", "--exec-id", "e"];
        words.extend(flags);
        words.push(&self.name);
        words.extend(command);
        text(&self.engine.ctr(&words).output().unwrap().stdout)
    }

    /// Sends a signal; the exit code and how long it took.
    fn ended_by(mut self, signal: &str) -> (i32, Duration) {
        let since = Instant::now();
        let kill = self
            .engine
            .ctr(&["tasks", "kill", "-s", signal, &self.name])
            .output();
        assert!(kill.unwrap().status.success());
        let status = until("the container ends", || self.child.try_wait().unwrap());
        (status.code().unwrap_or(-1), since.elapsed())
    }
}

fn list(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
        .collect()
}

fn because(here: &Value) -> Vec<&str> {
    let all = here["not_possible"].as_array().unwrap();
    all.iter().map(|l| l["because"].as_str().unwrap()).collect()
}

/// The shell is part of this build.
fn has_shell() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let help = Command::new(PROGRAM)
            .args(["bash", "-c", "true"])
            .output()
            .unwrap();
        help.status.success()
    })
}

#[test]
fn the_first_tag_is_user_0_with_what_the_runtime_gives() {
    let Some(engine) = engine() else { return };
    let here = engine.here(ROOT, &[]);
    assert_eq!(here["user"], 0);
    assert_eq!(here["place"], "container");
    assert_eq!(
        list(&here["capabilities"]),
        ["CAP_NET_RAW"],
        "containerd's default"
    );
    let both = engine.here(ROOT, &["--cap-add", "CAP_NET_ADMIN"]);
    assert_eq!(
        list(&both["capabilities"]),
        ["CAP_NET_ADMIN", "CAP_NET_RAW"]
    );
}

#[test]
fn nonroot_may_capture_where_the_container_is_given_the_rights() {
    let Some(engine) = engine() else { return };
    let given = ["--cap-add", "CAP_NET_ADMIN", "--cap-add", "CAP_NET_RAW"];
    // ctr sets no_new_privs (allowPrivilegeEscalation: false) unless told otherwise.
    for more in [&[][..], &["--allow-new-privs"][..]] {
        let here = engine.here(NONROOT, &[&given[..], more].concat());
        assert_eq!(here["user"], 65532);
        assert_eq!(
            list(&here["capabilities"]),
            ["CAP_NET_ADMIN", "CAP_NET_RAW"],
            "{more:?}"
        );
    }
}

#[test]
fn nonroot_starts_where_none_or_one_of_the_rights_is_given() {
    let Some(engine) = engine() else { return };
    for more in [&[][..], &["--allow-new-privs"][..]] {
        let none = engine.here(NONROOT, &[&["--cap-drop", "CAP_NET_RAW"], more].concat());
        assert_eq!(none["user"], 65532);
        assert!(list(&none["capabilities"]).is_empty(), "{none}");
        assert!(because(&none).contains(&"no CAP_NET_RAW"), "{none}");
        let one = engine.here(NONROOT, more);
        assert_eq!(list(&one["capabilities"]), ["CAP_NET_RAW"], "{more:?}");
    }
}

#[test]
fn any_user_id_will_do() {
    let Some(engine) = engine() else { return };
    if !has_shell() {
        println!("SKIPPED: this build has no shell");
        return;
    }
    let running = engine.started(ROOT, &["sleep", "3600"]);
    for (user, uid) in [("12345", 12345), ("1000650000:0", 1_000_650_000)] {
        let said = running.exec(&["--user", user], &["netshoot", "here", "-o", "json"]);
        let here: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(here["user"], uid);
    }
    assert_eq!(running.ended_by("SIGTERM").0, 143);
}

#[test]
fn a_read_only_root_will_do() {
    let Some(engine) = engine() else { return };
    let here = engine.here(NONROOT, &["--read-only"]);
    let said = because(&here);
    assert!(
        said.iter()
            .any(|b| b.starts_with("the root is read-only and no volume")),
        "{said:?}"
    );
    let tmp = "type=tmpfs,src=tmpfs,dst=/tmp,options=mode=1777:size=1m";
    let here = engine.here(NONROOT, &["--read-only", "--mount", tmp]);
    assert!(because(&here).contains(&"the root is read-only"), "{here}");
}

#[test]
fn every_packing_is_taken_by_containerd_and_skopeo() {
    let Some(engine) = engine() else { return };
    // The smallest static program there is: a header.
    let mut program = vec![0u8; 64];
    program[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (program[16], program[18], program[54]) = (3, 62, 56);
    let binary = engine.folder.join("header");
    std::fs::write(&binary, program).unwrap();
    let skopeo = Command::new("skopeo").arg("--version").output().is_ok();
    if !skopeo {
        println!("SKIPPED: skopeo is not installed");
    }
    for how in ["zstd", "gzip", "none"] {
        let archive = engine.folder.join(format!("{how}.tar"));
        let (file, binary) = (archive.to_str().unwrap(), binary.to_str().unwrap());
        let name = format!("localhost/packed-{how}");
        written(&[
            file,
            "--binary",
            binary,
            "--name",
            &name,
            "--tag",
            "1",
            "--compress",
            how,
        ]);
        engine.import(&archive);
        let held = text(
            &engine
                .ctr(&["images", "ls", "--quiet"])
                .output()
                .unwrap()
                .stdout,
        );
        for tag in ["1", "1-nonroot"] {
            assert!(held.lines().any(|l| l == format!("{name}:{tag}")), "{held}");
        }
        if !skopeo {
            continue;
        }
        for (reference, user) in [
            (format!("oci-archive:{file}:1"), "0"),
            (format!("oci-archive:{file}:1-nonroot"), "65532:65532"),
            (
                format!("docker-archive:{file}:{name}:1-nonroot"),
                "65532:65532",
            ),
        ] {
            let said = Command::new("skopeo")
                .args(["inspect", "--config", &reference])
                .output()
                .unwrap();
            assert!(said.status.success(), "{reference}: {}", text(&said.stderr));
            let config: Value = serde_json::from_slice(&said.stdout).unwrap();
            assert_eq!(config["config"]["User"], user, "{reference}");
        }
    }
}

#[test]
fn the_first_process_passes_signals_on_and_exit_codes_back() {
    let Some(engine) = engine() else { return };
    if !has_shell() {
        println!("SKIPPED: this build has no shell");
        return;
    }
    let seven = engine.run(ROOT, &[], &["/bin/bash", "-c", "exit 7"]);
    assert_eq!(seven.status.code(), Some(7));
    // As the article's Deployment and Pod have it.
    for command in ["while true; do sleep 3600; done", "sleep 3600"] {
        let running = engine.started(ROOT, &["/bin/bash", "-c", command]);
        let (code, took) = running.ended_by("SIGTERM");
        assert_eq!(code, 143, "{command}");
        assert!(took < Duration::from_secs(3), "{command}: {took:?}");
    }
    let running = engine.started(ROOT, &["sleep", "3600"]);
    assert_eq!(running.ended_by("SIGINT").0, 130);
}

#[test]
fn the_first_process_takes_orphans() {
    let Some(engine) = engine() else { return };
    if !has_shell() {
        println!("SKIPPED: this build has no shell");
        return;
    }
    let running = engine.started(
        ROOT,
        &["/bin/bash", "-c", "while true; do sleep 3600; done"],
    );
    // The shell in between ends at once; its child then belongs to the first process.
    let orphan = "sh -c 'exec sleep 8.5' </dev/null >/dev/null 2>&1 & exit 0";
    running.exec(&[], &["/bin/sh", "-c", orphan]);
    let states = "for p in /proc/[0-9]*; do sed -n 's/^State:[^A-Z]*//p' $p/status; tr '\\0' ' ' <$p/cmdline; echo; done";
    let mut slept = false;
    until("the orphan has ended and is gone", || {
        let said = running.exec(&[], &["/bin/sh", "-c", states]);
        slept |= said.contains("sleep 8.5");
        let alive = said.contains("sleep 3600");
        (alive && !said.contains("sleep 8.5") && !said.contains("(zombie)")).then_some(())
    });
    assert!(slept, "the orphan was never seen, so nothing is proven");
    assert_eq!(running.ended_by("SIGTERM").0, 143);
}
