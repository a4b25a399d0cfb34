//! Ring 5: a real Kubernetes under the tests (`lab/cluster`). One cluster is shared by all of them: the first that
//! needs it starts it, `scripts/test` ends it. Each test makes namespaces of its own and leaves nothing in others.
//! Whoever breaks a node or the control plane takes a `Fresh` one, which ends with the test.
//!
//!     mod ring5;
//!     let Some(cluster) = ring5::shared() else { return };        // has said SKIPPED: why
//!     let space = cluster.namespace("shop");                      // deleted when dropped
//!     space.apply("kind: Pod ...");
//!     assert_eq!(space.kubectl(&["get", "pods"]).code, 0);
//!     cluster.command("kubectl-netshoot").args(...)               // as people use it: KUBECONFIG, PATH
//!     cluster.on("node-a", &["nft", "list", "ruleset"]);

#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout)] // each test file uses its part

mod left;

use left::Left;
use netshoot_host::netns::NetNs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What a program said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    fn of(output: Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Its output; it must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// Both streams, for a search.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Asks until there is an answer; panics with the last refusal when the limit is over.
#[track_caller]
pub fn until<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(last) if Instant::now() > end => {
                panic!("waited {seconds} s in vain for: {what}; last: {last}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// As an answer for `until`: whether the text holds the words.
pub fn holds(text: String, words: &str) -> Result<String, String> {
    if text.contains(words) {
        Ok(text)
    } else {
        Err(text)
    }
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A cluster that runs.
pub struct Cluster {
    state: PathBuf,
    env: Vec<(String, String)>,
    /// What of ours ran before the test; none until it is up.
    left: Option<Left>,
}

impl Drop for Cluster {
    /// The cluster is listed before and after each test: nothing of ours still runs that did not run before.
    fn drop(&mut self) {
        if let Some(left) = self.left.take()
            && !std::thread::panicking()
        {
            left.nothing_more();
        }
    }
}

/// The cluster that all tests share, or nothing after saying why.
pub fn shared() -> Option<Cluster> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| project().join("target"), PathBuf::from);
    let state = target.join("cluster");
    if std::env::var_os("NETSHOOT_CLUSTER").is_none() && !state.join("up").exists() {
        println!(
            "SKIPPED: no Kubernetes is started unasked (scripts/test does it; or scripts/cluster up)"
        );
        return None;
    }
    Cluster::start(state, &[])
}

impl Cluster {
    /// Starts it, or finds it started.
    fn start(state: PathBuf, settings: &[(&str, &str)]) -> Option<Cluster> {
        let mut cluster = Cluster {
            state,
            env: settings
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
            left: None,
        };
        let up = cluster.script(&["up"]);
        let why = || up.err.lines().next().unwrap_or_default();
        match up.code {
            3 => println!("SKIPPED: {}", why()),
            4 => println!("ABSENT: {}", why()),
            _ => {}
        }
        if [3, 4].contains(&up.code) {
            return None;
        }
        assert_eq!(up.code, 0, "{}{}", up.out, up.err);
        for line in cluster.script(&["env"]).ok().lines() {
            let (name, value) = line
                .strip_prefix("export ")
                .unwrap()
                .split_once('=')
                .unwrap();
            let value = match value.strip_suffix(":\"$PATH\"") {
                Some(ours) => format!("{ours}:{}", std::env::var("PATH").unwrap_or_default()),
                None => value.to_string(),
            };
            cluster.env.push((name.to_string(), value));
        }
        cluster.left = Some(Left::before(&cluster.state.join("kubeconfig")));
        Some(cluster)
    }

    /// `scripts/cluster` with these words.
    pub fn script(&self, words: &[&str]) -> Said {
        let mut command = Command::new(project().join("scripts/cluster"));
        command
            .args(words)
            .envs(self.env.iter().cloned())
            .env("CLUSTER_STATE", &self.state)
            .env("NETSHOOT_BIN", env!("CARGO_BIN_EXE_netshoot"))
            .stdin(Stdio::null());
        Said::of(command.output().unwrap())
    }

    /// An ordinary program of the machine, with what `scripts/cluster env` says.
    pub fn command(&self, program: &str) -> Command {
        let path = self.env.iter().find(|(name, _)| name == "PATH");
        let found = path
            .into_iter()
            .flat_map(|(_, path)| std::env::split_paths(path))
            .map(|folder| folder.join(program))
            .find(|file| file.is_file());
        let mut command = Command::new(found.unwrap_or_else(|| program.into()));
        command
            .envs(self.env.iter().cloned())
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, program: &str, words: &[&str]) -> Said {
        Said::of(self.command(program).args(words).output().unwrap())
    }

    pub fn kubectl(&self, words: &[&str]) -> Said {
        self.run("kubectl", words)
    }

    /// kubectl with a text on its standard input.
    pub fn feed(&self, words: &[&str], text: &str) -> Said {
        use std::io::Write;
        let mut child = self
            .command("kubectl")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        Said::of(child.wait_with_output().unwrap())
    }

    /// On a node (`world`, `control`, a worker), or in the network of `NAMESPACE/POD` with the node's tools.
    pub fn on(&self, place: &str, words: &[&str]) -> Said {
        self.script(&[&["on", place], words].concat())
    }

    /// A namespace of the test's own.
    pub fn namespace(&self, word: &str) -> Space<'_> {
        let nonce = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let name = format!("{word}-{:06x}", (nonce / 1000) & 0xff_ffff);
        self.kubectl(&["create", "namespace", &name]).ok();
        // A pod is refused as long as its namespace has no ServiceAccount.
        until("the default ServiceAccount", 20, || {
            let said = self.kubectl(&["-n", &name, "get", "serviceaccount", "default"]);
            if said.code == 0 {
                Ok(())
            } else {
                Err(said.err)
            }
        });
        left::opens(&name);
        Space {
            cluster: self,
            name,
        }
    }

    fn name(&self) -> String {
        let settings = std::fs::read_to_string(self.state.join("settings")).unwrap();
        let mut lines = settings.lines();
        let name = lines.find_map(|l| l.strip_prefix("CLUSTER_NAME="));
        name.unwrap().to_string()
    }

    /// The network of a node.
    pub fn node(&self, node: &str) -> NetNs {
        NetNs::open(&format!("/run/netns/{}-{node}", self.name())).unwrap()
    }

    /// The network of a pod, for packets sent by the test itself. Where the node's processes are is told by the cgroup that
    /// kubelet names after the pod.
    pub fn network(&self, node: &str, uid: &str) -> NetNs {
        let name = self.name();
        let folder = format!("/sys/fs/cgroup/memory/{name}/{node}/kubepods");
        let process = until("the pod's processes", 10, || {
            let found = first_process(Path::new(&folder), &format!("pod{uid}"), false);
            found.ok_or_else(|| format!("none of pod {uid} in {folder}"))
        });
        NetNs::open(&format!("/proc/{process}/ns/net")).unwrap()
    }

    /// What the policy agent of a node says is in force: `NAMESPACE/NAME UID GENERATION`, sorted.
    pub fn enforced(&self, node: &str) -> Vec<String> {
        let file = self.state.join(node).join("netpol.enforced");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The value of a variable of `scripts/cluster env`.
    pub fn variable(&self, name: &str) -> &str {
        &self.env.iter().find(|(n, _)| n == name).unwrap().1
    }
}

/// The first process in a cgroup of this name, or below it.
fn first_process(folder: &Path, name: &str, inside: bool) -> Option<String> {
    let inside = inside || folder.file_name().is_some_and(|f| f == name);
    if inside {
        let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        if let Some(process) = text.lines().next() {
            return Some(process.to_string());
        }
    }
    let folders = std::fs::read_dir(folder).ok()?.flatten();
    folders
        .filter(|f| f.path().is_dir())
        .find_map(|f| first_process(&f.path(), name, inside))
}

/// A namespace that goes with its test.
pub struct Space<'a> {
    pub cluster: &'a Cluster,
    pub name: String,
}

impl Space<'_> {
    pub fn kubectl(&self, words: &[&str]) -> Said {
        self.cluster.kubectl(&[&["-n", &self.name], words].concat())
    }

    #[track_caller]
    pub fn apply(&self, manifests: &str) {
        self.cluster
            .feed(&["-n", &self.name, "apply", "-f", "-"], manifests)
            .ok();
    }

    #[track_caller]
    pub fn delete(&self, manifests: &str) {
        self.cluster
            .feed(&["-n", &self.name, "delete", "-f", "-"], manifests)
            .ok();
    }

    /// One field of one object.
    pub fn field(&self, object: &str, path: &str) -> String {
        self.kubectl(&["get", object, "-o", &format!("jsonpath={path}")])
            .out
    }

    /// Waits for a condition of all these objects.
    #[track_caller]
    pub fn ready(&self, objects: &[&str]) {
        self.kubectl(&[&["wait", "--for=condition=Ready", "--timeout=60s"], objects].concat())
            .ok();
    }

    /// In a container of the pod.
    pub fn exec(&self, pod: &str, words: &[&str]) -> Said {
        self.kubectl(&[&["exec", pod, "--"], words].concat())
    }

    /// What the pod is answered by an HTTP server.
    pub fn get(&self, pod: &str, url: &str) -> Said {
        // The -T of Debian's static busybox crashes.
        self.exec(pod, &["timeout", "3", "wget", "-q", "-O", "-", url])
    }
}

impl Drop for Space<'_> {
    fn drop(&mut self) {
        if let Some(left) = self.cluster.left.as_ref()
            && !std::thread::panicking()
        {
            left.nothing_more_in(&self.name);
        }
        left::closes(&self.name);
        self.cluster
            .kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A cluster for one test, to be broken.
pub struct Fresh {
    cluster: Cluster,
    _turn: MutexGuard<'static, ()>,
}

impl Fresh {
    /// Starts one beside the shared one; the settings are those of `scripts/cluster`.
    pub fn start(word: &str, settings: &[(&str, &str)]) -> Option<Fresh> {
        // It starts only where the shared one may: else SKIPPED was said.
        let first = shared()?;
        let turn = ONE_AT_A_TIME
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        let state = first.state.with_file_name(format!("cluster-{word}"));
        Some(Fresh {
            cluster: Cluster::start(state, settings)?,
            _turn: turn,
        })
    }
}

impl std::ops::Deref for Fresh {
    type Target = Cluster;
    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // What was in it ends with it; its processes are seen to by `down`.
        self.cluster.left = None;
        self.cluster.script(&["down"]);
    }
}
