//! What a diagnosis makes in a cluster when it is allowed to: an ephemeral container in a pod, a pod
//! on a node. Both end by themselves: with their stream, when idle, and at a deadline.

use crate::clock;
use crate::faces::plugin::{owner, pods};
use anyhow::{Result, bail};
use netshoot_api::live::{Change, Cluster, Error, Propagation, Resource};
use netshoot_model::object::{Object, at};
use netshoot_model::time;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long an image may take to be pulled and started.
const START: Duration = Duration::from_secs(60);
/// A kubelet tells within a second or two that it has begun; one that says nothing for so long cannot be heard. Where
/// another one spoke meanwhile, the cluster is as fast as that one.
const SILENCE: Duration = Duration::from_secs(6);
/// The least and the most that is waited where another one spoke: three times as long as that took.
const SILENCE_BESIDE: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(10)];
/// Everything made here has ended after so many seconds, whatever became of this program.
const DEADLINE: &str = "600";
/// Beginning of the names of everything that is made.
pub const PREFIX: &str = "netshoot-";

/// What was to run on a node, and its kubelet said nothing of it.
#[derive(Debug)]
pub struct Silent(String);

impl std::fmt::Display for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Silent {}

/// How long kubelets of this cluster take until they speak, as far as it was seen in this run.
#[derive(Debug, Default)]
pub struct Heard {
    longest_ms: AtomicU64,
}

impl Heard {
    fn after(&self, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        self.longest_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// What is waited for one that says nothing.
    fn patience(&self) -> Duration {
        let [least, most] = SILENCE_BESIDE;
        match self.longest_ms.load(Ordering::Relaxed) {
            0 => SILENCE,
            ms => Duration::from_millis(ms.saturating_mul(3)).clamp(least, most),
        }
    }
}

/// A pod that was made and must be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadePod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl MadePod {
    /// Deletes it; one that is gone already is fine.
    pub fn delete(&self, cluster: &Cluster) -> Result<()> {
        let pods = Resource::pods();
        match cluster.delete(
            &pods,
            &self.namespace,
            &self.name,
            Some(0),
            Propagation::Background,
        ) {
            Err(e) if !e.is_not_found() => Err(e.into()),
            _ => Ok(()),
        }
    }
}

fn command() -> Value {
    json!(["netshoot", "agent", "--idle", "120", "--deadline", DEADLINE])
}

/// The rights of our container, from most to least; the first that is admitted is taken.
fn rights(pod: &Object) -> Vec<Value> {
    let nobody = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if pod.get("spec.securityContext.runAsNonRoot").as_bool() == Some(true) {
        return vec![nobody];
    }
    vec![
        json!({"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}}),
        // What baseline admits: the runtime's own capabilities, as a rule with NET_RAW.
        json!({"runAsUser": 0}),
        nobody,
    ]
}

/// A container that ended longer ago than this is steady again.
const LATELY_MS: i64 = 600_000;

/// Why a container of the pod ended within the last minutes, or is not running: it may end again at any moment.
pub fn ended_lately(pod: &Object, now_ms: u64) -> Option<String> {
    let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let mut ends = pod.list("status.containerStatuses").iter().flat_map(|s| {
        let ended = [at(s, "state.terminated"), at(s, "lastState.terminated")];
        ended.into_iter().filter(|e| !e.is_null())
    });
    let lately = |e: &&Value| {
        let when = at(e, "finishedAt").as_str().and_then(time::parse);
        when.is_none_or(|t| now - t < LATELY_MS)
    };
    let reason = |e: &Value| at(e, "reason").as_str().unwrap_or("").to_string();
    ends.find(lately).map(reason)
}

/// Adds our container to a running pod and waits until it runs; gives its name.
pub fn ephemeral(
    cluster: &Cluster,
    pod: &Object,
    image: &str,
    letters: &str,
    heard: &Heard,
) -> Result<String> {
    let name = format!("{PREFIX}{letters}");
    let ended = ended_lately(pod, clock::now_ms());
    if ended.as_deref() == Some("OOMKilled") {
        bail!(
            "pod {} ran out of memory lately, and what is added to it counts against the same limit; --access node asks from its node",
            pod.reference()
        );
    }
    // Processes of a container that share its process ids end with it.
    let target = match ended {
        Some(_) => "",
        None => at(pod.get("spec.containers"), "0.name")
            .as_str()
            .unwrap_or(""),
    };
    let mut last = None;
    for security in rights(pod) {
        let container = json!({
            "name": name,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": command(),
            "stdin": true,
            "stdinOnce": true,
            "targetContainerName": target,
            "securityContext": security,
        });
        match cluster.add_ephemeral_container(pod.namespace(), pod.name(), &container) {
            Ok(_) => {
                runs(cluster, pod.namespace(), pod.name(), &name, heard)?;
                return Ok(name);
            }
            Err(e @ Error::PodSecurity { .. }) => last = Some(e),
            Err(e) => return Err(e.into()),
        }
    }
    match last {
        Some(e) => Err(e.into()),
        None => bail!("no profile to try for {}", pod.name()),
    }
}

/// Makes a pod in the network of a node; with `sees` also among its processes, with the right to
/// enter the networks of its pods.
pub fn on_node(
    cluster: &Cluster,
    made: &MadePod,
    node: &str,
    sees: bool,
    image: &str,
) -> Result<()> {
    let (namespace, name) = (&made.namespace, &made.name);
    let security = if sees {
        json!({"privileged": true, "runAsUser": 0})
    } else {
        json!({"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}})
    };
    let deadline_s = DEADLINE.parse().unwrap_or(600);
    let owner = owner::us(Some(cluster), Duration::from_secs(deadline_s));
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/name": "netshoot",
                pods::MANAGED_BY.0: pods::MANAGED_BY.1,
                "netshoot/role": "agent",
            },
            // By these `clean` knows whose it is and whether anybody still needs it.
            "annotations": {
                pods::OWNER: owner.who,
                pods::CLIENT: owner.client,
                pods::DEADLINE: owner.deadline,
            },
        },
        "spec": {
            "nodeName": node,
            "hostNetwork": true,
            "hostPID": sees,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": deadline_s,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": "agent",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": command(),
                "stdin": true,
                "stdinOnce": true,
                "securityContext": security,
                "resources": {"limits": {"memory": "128Mi"}, "requests": {"memory": "32Mi", "cpu": "10m"}},
            }],
        },
    });
    cluster.create(&Resource::pods(), namespace, &pod, false)?;
    Ok(())
}

/// Waits until the pod that was made on a node runs; deletes it where it does not.
pub fn starts(cluster: &Cluster, made: &MadePod, heard: &Heard) -> Result<()> {
    let started = runs(cluster, &made.namespace, &made.name, "agent", heard);
    if started.is_err() {
        let _ = made.delete(cluster);
    }
    started
}

/// The pod that is going to be made.
pub fn named(namespace: &str, node: &str, letters: &str) -> MadePod {
    let short: String = node.chars().take(30).collect();
    MadePod {
        namespace: namespace.into(),
        name: format!("{PREFIX}{short}-{letters}").replace(['.', '_'], "-"),
    }
}

/// Waits until a container runs; says why it does not.
fn runs(cluster: &Cluster, namespace: &str, pod: &str, container: &str, all: &Heard) -> Result<()> {
    let mut why = String::new();
    let (began, mut heard, mut silent) = (Instant::now(), false, false);
    let seen = cluster.wait_for_one(&Resource::pods(), namespace, pod, START, &mut |change| {
        let object = match change {
            Change::Now(object) => object,
            Change::Gone(_) => return Some(Err("it was deleted".to_string())),
            Change::Tick => {
                let waited = all.patience();
                silent = !heard && began.elapsed() >= waited;
                let says = || {
                    let s = waited.as_secs_f64().ceil();
                    Err(format!("its kubelet says nothing of it within {s} s"))
                };
                return silent.then(says);
            }
        };
        let state = state_of(object, container);
        if !heard && !state.is_null() {
            heard = true;
            all.after(began.elapsed());
        }
        if !at(&state, "running").is_null() {
            return Some(Ok(()));
        }
        let (reason, message) = match (at(&state, "terminated"), at(&state, "waiting")) {
            (Value::Null, waiting) => (at(waiting, "reason"), at(waiting, "message")),
            (ended, _) => (at(ended, "reason"), at(ended, "message")),
        };
        let reason = reason.as_str().unwrap_or("");
        why = format!("{reason} {}", message.as_str().unwrap_or(""));
        let ended = !at(&state, "terminated").is_null() || object.str("status.phase") == "Failed";
        (ended || HOPELESS.contains(&reason)).then(|| Err(why.clone()))
    })?;
    let what = format!("container {container} of pod {namespace}/{pod}");
    match seen {
        Some(Ok(())) => Ok(()),
        Some(Err(why)) if silent => Err(Silent(format!("{what} does not start: {why}")).into()),
        Some(Err(why)) => bail!("{what} does not start: {}", why.trim()),
        None => bail!(
            "{what} does not run after {} s: {}",
            START.as_secs(),
            if why.trim().is_empty() {
                "nothing is said of it"
            } else {
                why.trim()
            }
        ),
    }
}

/// Reasons of a waiting container that will not start.
const HOPELESS: [&str; 7] = [
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// What its kubelet says of a container; nothing when it says nothing.
fn state_of(pod: &Object, container: &str) -> Value {
    ["containerStatuses", "ephemeralContainerStatuses"]
        .iter()
        .flat_map(|l| pod.list(&format!("status.{l}")))
        .find(|s| at(s, "name").as_str() == Some(container))
        .map(|s| at(s, "state").clone())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_kubelet_is_waited_for_as_long_as_others_let_expect() {
        let heard = Heard::default();
        assert_eq!(heard.patience(), SILENCE);
        for (took_ms, waited_ms) in [(400, 3_000), (1_500, 4_500), (700, 4_500), (60_000, 10_000)] {
            heard.after(Duration::from_millis(took_ms));
            assert_eq!(
                heard.patience(),
                Duration::from_millis(waited_ms),
                "{took_ms}"
            );
        }
    }
}
