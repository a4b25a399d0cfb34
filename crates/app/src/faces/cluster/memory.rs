//! What a diagnosis holds: inside a pod of the cluster, and outside of it against five thousand pods; and how large the image
//! is that the pods run.

use super::asked::{Answer, Asker};
use super::kubernetes::Kubernetes;
use super::play::wait;
use super::promised::{DIST, Image};
use crate::faces::image::HARDEST;
use crate::faces::lab::STATS;
use anyhow::{Context, Result, bail};
use netshoot_api::live::{Cluster as Api, Connect, Resource};
use serde_json::{Value, json};
use std::time::Duration;

/// Where the pods are.
const SPACE: &str = "crowd";
/// As many as a large namespace has.
const CROWD: usize = 5_000;
/// So many are made at a time.
const HANDS: usize = 4;
const TAKEN: Duration = Duration::from_secs(30);
/// A level of zstd.
const QUICK: i32 = 3;
/// The line of a binary that says what it was built with.
const PROFILE: &str = "netshoot-stats: profile=";

/// What was measured.
pub struct Held {
    pub image: Image,
    /// Of a diagnosis in a pod, MiB; nothing where it did not say.
    pub pod_mib: Option<f64>,
    /// Against the crowd, the same.
    pub crowd_mib: Option<f64>,
}

/// Measures all three. Nothing else runs beside it, and the crowd is gone when it ends.
pub fn measure(kubernetes: &Kubernetes, asker: &Asker) -> Result<Held> {
    let namespace = [SPACE.to_string()];
    kubernetes.clear(&namespace, true)?;
    kubernetes.kubectl(&["create", "namespace", SPACE])?;
    let list = objects(kubernetes.variable("NETSHOOT_IMAGE"));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": list});
    // No pod is taken before the namespace has its account.
    wait("the pod is taken", TAKEN, || {
        kubernetes.feed(&["-n", SPACE, "apply", "-f", "-"], &list.to_string())
    })?;
    let ready = ["wait", "--for=condition=Ready", "pod/inside"];
    kubernetes.kubectl(&[&["-n", SPACE, "--timeout=60s"], &ready[..]].concat())?;
    let (inside, profile) = inside(kubernetes)?;
    crowd(kubernetes)?;
    let words = [&["-n", SPACE, "--access", "objects"], &ASKED[..]].concat();
    let outside = asker.ask(kubernetes, &words)?;
    kubernetes.clear(&namespace, true)?;
    for (answer, place) in [(&inside, "in a pod"), (&outside, "against the crowd")] {
        if answer.verdict() != "broken" {
            bail!("the diagnosis {place} says {:?}", answer.verdict());
        }
    }
    Ok(Held {
        image: image(kubernetes, profile)?,
        pod_mib: mib(&inside),
        crowd_mib: mib(&outside),
    })
}

/// A Service that selects nobody: objects say so.
const ASKED: [&str; 4] = ["--from", "pod/inside", "--to", "svc/lost:80"];

fn mib(answer: &Answer) -> Option<f64> {
    answer.peak_kib.map(|kib| kib as f64 / 1024.0)
}

/// By the pod's own account, with the least that must do; and the profile that the image's binary was built with.
fn inside(kubernetes: &Kubernetes) -> Result<(Answer, String)> {
    let diagnose = ["netshoot", "diagnose", "-o", "json", "-n", SPACE];
    let words = ["-n", SPACE, "exec", "inside", "--"];
    let words = [&words[..], &diagnose, &ASKED].concat();
    let said = kubernetes.output("kubectl", &words)?;
    let err = String::from_utf8_lossy(&said.stderr);
    let profile = err.lines().find_map(|l| l.strip_prefix(PROFILE));
    let profile = profile.unwrap_or_default().to_string();
    Ok((Answer::of(&said, &words, 0)?, profile))
}

/// Packed as what is shipped is packed, where it is built as that is; else as hard as takes a second, for nothing depends on it.
fn image(kubernetes: &Kubernetes, profile: String) -> Result<Image> {
    let file = kubernetes.image_file();
    let archive = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
    let level = if profile == DIST { HARDEST } else { QUICK };
    let packed = zstd::bulk::compress(&archive, level).context("pack the image")?;
    Ok(Image {
        packed: packed.len() as u64,
        level,
        profile,
    })
}

/// Pods that nobody schedules.
fn crowd(kubernetes: &Kubernetes) -> Result<()> {
    let connect = Connect {
        kubeconfig: Some(kubernetes.variable("KUBECONFIG").into()),
        ..Connect::default()
    };
    let part = |hand: usize| -> Result<()> {
        let api = Api::connect(&connect)?;
        for i in (hand..CROWD).step_by(HANDS) {
            api.create(&Resource::pods(), SPACE, &one(i), false)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|h| scope.spawn(move || part(h))).collect();
        for hand in hands {
            let panicked = |_| anyhow::anyhow!("making pods ended in a panic");
            hand.join().map_err(panicked)?.context("make many pods")?;
        }
        Ok(())
    })
}

fn one(number: usize) -> Value {
    let variable = |e: usize| json!({"name": format!("SETTING_{e}"), "value": format!("http://service-{e}:8080/")});
    let env: Vec<Value> = (0..8).map(variable).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("crowd-{number}"), "labels": {"app": "crowd"}},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "localhost/none:lab", "env": env}]}})
}

/// Who asks, with the right to read its namespace and the limit of the article's Deployment, and the Service it asks for.
fn objects(image: &str) -> Vec<Value> {
    let limits = json!({"memory": "128Mi"});
    vec![
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "inside"}, "spec": {"terminationGracePeriodSeconds": 0,
            "containers": [{"name": "inside", "image": image, "imagePullPolicy": "Never", "command": ["sleep", "infinity"],
                "env": [{"name": STATS, "value": "1"}], "resources": {"limits": limits}}]}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "lost"},
            "spec": {"selector": {"app": "nobody"}, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "inside"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": SPACE}]}),
    ]
}
