//! A cluster that `scripts/cluster` started, used as a person uses it: by that script and by kubectl.

use crate::clock;
use anyhow::{Context, Result, bail};
use netshoot_lab::certs::{self, Authority};
use netshoot_lab::scenario::{Certificate, Daemon, On, Patch, Scenario, Shape, Step};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// An authority lives so long in both directions: what expires is a certificate of it.
const TEN_YEARS_MS: i64 = 10 * 365 * 86_400_000;

/// A cluster.
pub struct Kubernetes {
    script: PathBuf,
    /// Where cargo builds.
    target: PathBuf,
    state: Option<PathBuf>,
    env: Vec<(String, String)>,
    shape: Shape,
    /// How long it took until it worked; of one that was up, next to nothing.
    up_ms: u64,
    /// Signs the certificates of scenarios.
    signs: Authority,
}

impl Kubernetes {
    /// The shared one, or one of its own beside it, which ends with this value.
    pub fn start(script: &Path, own: Option<&str>, shape: &Shape) -> Result<Kubernetes> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || script.with_file_name("").join("../target"),
            PathBuf::from,
        );
        let now = i64::try_from(clock::now_ms()).unwrap_or_default();
        let signs = Authority::new("scenarios", now - TEN_YEARS_MS, now + TEN_YEARS_MS)?;
        let mut cluster = Kubernetes {
            script: script.to_path_buf(),
            state: own.map(|word| target.join(format!("cluster-{word}"))),
            target,
            env: Vec::new(),
            shape: shape.clone(),
            up_ms: 0,
            signs,
        };
        if cluster.state.is_some() {
            cluster.script(&["down"])?; // what a killed run left
        }
        for (name, value) in [
            ("CLUSTER_NETWORK", &shape.network),
            ("CLUSTER_PROXY", &shape.proxy),
        ] {
            if !value.is_empty() {
                cluster.env.push((name.into(), value.clone()));
            }
        }
        let began = Instant::now();
        cluster.script(&["up"])?;
        cluster.up_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        for line in cluster.script(&["env"])?.lines() {
            if let Some((name, value)) =
                line.strip_prefix("export ").and_then(|l| l.split_once('='))
            {
                let value = match value.strip_suffix(":\"$PATH\"") {
                    Some(first) => format!("{first}:{}", std::env::var("PATH").unwrap_or_default()),
                    None => value.to_string(),
                };
                cluster.env.push((name.into(), value));
            }
        }
        std::fs::write(cluster.authority(), cluster.signs.pem())
            .with_context(|| format!("write {}", cluster.authority().display()))?;
        Ok(cluster)
    }

    /// The value of a variable of `scripts/cluster env`.
    pub fn variable(&self, name: &str) -> &str {
        let found = self.env.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }

    /// The certificate of the scenarios' authority, in the folder that nodes see too.
    pub fn authority(&self) -> PathBuf {
        Path::new(self.variable("KUBECONFIG")).with_file_name("scenarios-ca.crt")
    }

    /// A program of this machine that knows the cluster.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.envs(self.env.iter().cloned()).stdin(Stdio::null());
        if let Some(state) = &self.state {
            command.env("CLUSTER_STATE", state);
        }
        command
    }

    /// The archive that our own image on the nodes is of.
    pub fn image_file(&self) -> PathBuf {
        std::env::var_os("NETSHOOT_IMAGE_FILE")
            .map_or_else(|| self.target.join("netshoot-image.tar"), PathBuf::from)
    }

    fn program(&self, name: &str) -> PathBuf {
        if name == "scripts/cluster" {
            return self.script.clone();
        }
        std::env::split_paths(self.variable("PATH"))
            .map(|f| f.join(name))
            .find(|f| f.is_file())
            .unwrap_or_else(|| name.into())
    }

    /// What `scripts/cluster` or another program says, well or not.
    pub fn output(&self, name: &str, words: &[&str]) -> Result<Output> {
        let _begun = super::BEGUN.read();
        self.command(&self.program(name))
            .args(words)
            .output()
            .with_context(|| format!("start {name}"))
    }

    fn done(&self, name: &str, words: &[&str]) -> Result<String> {
        told(name, words, &self.output(name, words)?)
    }

    /// `scripts/cluster` with these words; what it printed.
    pub fn script(&self, words: &[&str]) -> Result<String> {
        self.done("scripts/cluster", words)
    }

    /// kubectl with these words; what it printed.
    pub fn kubectl(&self, words: &[&str]) -> Result<String> {
        self.done("kubectl", words)
    }

    /// kubectl with a text on its standard input.
    pub fn feed(&self, words: &[&str], text: &str) -> Result<()> {
        let mut child = self
            .command(&self.program("kubectl"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start kubectl")?;
        if let Some(mut stdin) = child.stdin.take() {
            // Whoever ends early says why, which tells more than a broken pipe.
            let _ = stdin.write_all(text.as_bytes());
        }
        let output = child.wait_with_output().context("wait for kubectl")?;
        told("kubectl", words, &output).map(drop)
    }

    /// Applies a manifest of the scenario's folder in the asked namespace.
    pub fn apply(&self, scenario: &Scenario, file: &str) -> Result<()> {
        let file = scenario.folder.join(file).display().to_string();
        let namespace = &scenario.plan.ask.namespace;
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
        let mut all = Vec::new();
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            let object = Value::deserialize(document).with_context(|| format!("read {file}"))?;
            all.extend(object.is_object().then_some(object));
        }
        // An object may name another namespace than the asked one, which `kubectl -n` refuses.
        let named = |o: &Value| o.pointer("/metadata/namespace").is_some();
        let (named, bare): (Vec<Value>, Vec<Value>) = all.into_iter().partition(named);
        for (items, words) in [(named, &[][..]), (bare, &["-n", namespace])] {
            if !items.is_empty() {
                let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
                self.feed(&[&["apply", "-f", "-"], words].concat(), &list.to_string())
                    .with_context(|| format!("apply {file}"))?;
            }
        }
        Ok(())
    }

    /// Does what a step says.
    pub fn step(&self, scenario: &Scenario, step: &Step) -> Result<()> {
        let namespace = ["-n", &scenario.plan.ask.namespace];
        match step {
            Step::Apply(file) => self.apply(scenario, file),
            Step::Patch(Patch { object, patch }) => {
                let patch = patch.to_string();
                let words = ["patch", object, "--type=strategic", "-p", &patch];
                self.kubectl(&[&namespace[..], &words].concat()).map(drop)
            }
            Step::Delete(object) => self
                .kubectl(&[&namespace[..], &["delete", object]].concat())
                .map(drop),
            Step::Kubectl(words) => {
                let words = words.iter().map(String::as_str);
                let words: Vec<&str> = namespace.into_iter().chain(words).collect();
                self.kubectl(&words).map(drop)
            }
            Step::On(On { place, run }) => {
                let run = run.iter().map(String::as_str);
                let words: Vec<&str> = ["on", place].into_iter().chain(run).collect();
                self.script(&words).map(drop)
            }
            Step::Daemon(Daemon { what, node, name }) => {
                self.script(&["daemon", what, node, name]).map(drop)
            }
            Step::Certificate(c) => self.certificate(&scenario.plan.ask.namespace, c),
        }
    }

    fn certificate(&self, namespace: &str, c: &Certificate) -> Result<()> {
        let now = i64::try_from(clock::now_ms()).unwrap_or_default();
        let until = now + c.expires_in_s * 1000;
        let begins = now.min(until) - 30 * 86_400_000;
        let (certificate, key) = certs::issue(&self.signs, &c.names, begins, until)?;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": c.secret, "namespace": namespace},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": key, "ca.crt": self.signs.pem()},
        });
        self.feed(&["apply", "-f", "-"], &secret.to_string())
    }

    /// Deletes namespaces; `gone`: and waits until they are.
    pub fn clear(&self, namespaces: &[String], gone: bool) -> Result<()> {
        let names = namespaces.iter().map(String::as_str);
        let wait = if gone { "--wait=true" } else { "--wait=false" };
        let words = ["delete", "namespace", "--ignore-not-found", wait];
        let words: Vec<&str> = words
            .into_iter()
            .chain(["--timeout=90s"])
            .chain(names)
            .collect();
        self.kubectl(&words).map(drop)
    }

    /// How long `scripts/cluster up` took, milliseconds.
    pub fn up_ms(&self) -> u64 {
        self.up_ms
    }

    /// Has that shape.
    pub fn is(&self, shape: &Shape) -> bool {
        self.shape == *shape
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        if self.state.is_some() {
            // What it cannot take away, the next one does.
            let _ = self.script(&["down"]);
        }
    }
}

/// Its output, when it went well.
fn told(name: &str, words: &[&str], output: &Output) -> Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{name} {}: {}", words.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
