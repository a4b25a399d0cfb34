//! Our image in the cluster of ring 5, and the plugin as people type it.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part

use crate::ring5::{Cluster, Said, Space, shared, until};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Mutex;

/// Not the name that the cluster has for the image, which may be of another build.
pub const NAME: &str = "localhost/netshoot-under-test";
/// The image of this build.
pub const IMAGE: &str = concat!("localhost/netshoot-under-test:", env!("CARGO_PKG_VERSION"));
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");

/// What was said, as the report that it is, where the exit code is that one.
#[track_caller]
pub fn report(said: &Said, code: i32) -> serde_json::Value {
    assert_eq!(said.code, code, "{}", said.all());
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}", said.all()))
}

/// The cluster that all tests share, with the image of this build on every node.
pub fn ready() -> Option<Cluster> {
    let cluster = shared()?;
    load(&cluster);
    Some(cluster)
}

/// Brings the image to every node of a cluster, unless the one of this very binary is there.
pub fn load(cluster: &Cluster) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|p| p.into_inner());
    let about = std::fs::metadata(PROGRAM).unwrap();
    let of = format!("{} {} {}", about.ino(), about.size(), about.mtime());
    let mark = cluster.state().join("under-test.loaded");
    if std::fs::read_to_string(&mark).is_ok_and(|m| m == of) {
        return;
    }
    let (bare, archive) = (
        cluster.state().join("under-test.binary"),
        cluster.state().join("under-test.tar"),
    );
    let (bare, archive) = (bare.to_str().unwrap(), archive.to_str().unwrap());
    // Symbols only make it slower to load.
    let stripped = Command::new("strip").args(["-o", bare, PROGRAM]).status();
    if !stripped.is_ok_and(|s| s.success()) {
        std::fs::copy(PROGRAM, bare).unwrap();
    }
    // Packed by a debug build it would take minutes.
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/image");
    let words = [
        archive,
        "--binary",
        bare,
        "--name",
        NAME,
        "--compress",
        "none",
    ];
    let said = text(&Command::new(image).args(words).output().unwrap());
    assert_eq!(said.code, 0, "{}", said.err);
    cluster.script(&["load", archive]).ok();
    let _ = std::fs::remove_file(bare);
    let _ = std::fs::remove_file(archive);
    let _ = std::fs::remove_file(format!("{archive}.sbom.json"));
    std::fs::write(mark, of).unwrap();
}

/// `kubectl netshoot WORD -n NAMESPACE ...`, as kubectl starts it.
pub fn plugin(space: &Space<'_>, words: &[&str]) -> Command {
    let (word, rest) = words.split_first().unwrap();
    let mut c = command(space.cluster);
    c.arg(word).args(["-n", &space.name]).args(rest);
    c
}

/// `kubectl netshoot`, of any namespace.
pub fn command(cluster: &Cluster) -> Command {
    let mut c = cluster.command("kubectl-netshoot");
    c.env("NETSHOOT_IMAGE", IMAGE);
    c
}

pub fn text(output: &Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub fn say(space: &Space<'_>, words: &[&str]) -> Said {
    text(&plugin(space, words).output().unwrap())
}

/// Starts it with its output to be read here.
pub fn start(mut c: Command) -> (Child, ChildStdout) {
    let mut child = c
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    (child, out)
}

/// Sends a signal to a child.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Pods of ours in the namespace.
pub fn ours(space: &Space<'_>) -> String {
    let label = "app.kubernetes.io/managed-by=netshoot";
    space
        .kubectl(&["get", "pods", "-l", label, "-o", "name"])
        .ok()
}

/// Waits until nothing of ours is left in the namespace, nor in kube-system, where pods go that it refuses.
#[track_caller]
pub fn nothing_is_left(space: &Space<'_>) {
    nothing_in_the_system(space);
    until("nothing of ours is left", 30, || match ours(space) {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    });
}

/// Another test's may be there for a moment.
#[track_caller]
fn nothing_in_the_system(space: &Space<'_>) {
    let words = ["-n", "kube-system", "get", "pods", "-o", "name"];
    let label = ["-l", "app.kubernetes.io/managed-by=netshoot"];
    until("nothing of ours in kube-system", 60, || {
        match space.cluster.kubectl(&[&words[..], &label].concat()).ok() {
            none if none.is_empty() => Ok(()),
            some => Err(some),
        }
    });
}

/// Waits until nothing of ours runs in the namespace; ended entries of ephemeral containers may stay.
#[track_caller]
pub fn nothing_of_ours_runs(space: &Space<'_>) {
    nothing_in_the_system(space);
    until("nothing of ours runs", 30, || {
        let states = "{range .items[*]}{range .status.ephemeralContainerStatuses[*]}{.name}={.state.running} {end}{end}";
        let ephemeral = space
            .kubectl(&["get", "pods", "-o", &format!("jsonpath={states}")])
            .ok();
        let running: Vec<&str> = ephemeral.split(' ').filter(|s| s.contains("={")).collect();
        let pods = agents(space, &["--field-selector=status.phase=Running"]);
        if running.is_empty() && pods.is_empty() {
            Ok(())
        } else {
            Err(format!("{running:?} {pods}"))
        }
    });
}

/// Pods that a diagnosis made in the namespace.
pub fn agents(space: &Space<'_>, more: &[&str]) -> String {
    let words = ["get", "pods", "-l", "netshoot/role=agent", "-o", "name"];
    space.kubectl(&[&words, more].concat()).ok()
}

/// Whether a word can be run in our image: it is a link to this build.
pub fn has_word(word: &str) -> bool {
    static WORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut words = WORDS.lock().unwrap_or_else(|p| p.into_inner());
    if words.is_empty() {
        *words = all_words();
    }
    words.iter().any(|w| w == word)
}

fn all_words() -> Vec<String> {
    let folder = std::env::temp_dir().join(format!("netshoot-words-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let said = Command::new(PROGRAM).arg("install").arg(&folder).output();
    assert!(said.unwrap().status.success());
    let name =
        |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
    let all = std::fs::read_dir(&folder).unwrap().map(name).collect();
    std::fs::remove_dir_all(&folder).unwrap();
    all
}

/// A web server whose image holds no shell of ours; gives its pod.
pub fn web(space: &Space<'_>) -> String {
    space.apply(
        "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: 'localhost/agnhost:lab', imagePullPolicy: Never, args: [netexec]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
",
    );
    space
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])
        .ok();
    let first = "jsonpath={.items[0].metadata.name}";
    space
        .kubectl(&["get", "pods", "-l", "app=web", "-o", first])
        .ok()
}

/// A file beside the program under test.
pub fn beside(path: &str) -> String {
    let at = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    std::fs::read_to_string(&at).unwrap_or_else(|e| panic!("{}: {e}", at.display()))
}
