//! Nothing of ours still runs when a test has ended: the whole cluster is listed before and after it, `kube-system` too, also
//! where a client was killed. Tests beside it are left alone: what is in their namespaces is theirs to judge, and elsewhere
//! only what has no client any more counts.

use netshoot_api::live::{Cluster as Api, Connect, Resource, Selection};
use netshoot_model::object::Object;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Namespaces of tests that run now.
static OPEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// What ends with its stream or its client is gone within a few seconds.
const LIMIT: Duration = Duration::from_secs(30);

pub fn opens(namespace: &str) {
    let mut open = OPEN.lock().unwrap_or_else(|p| p.into_inner());
    open.insert(namespace.into());
}

pub fn closes(namespace: &str) {
    let mut open = OPEN.lock().unwrap_or_else(|p| p.into_inner());
    open.remove(namespace);
}

/// What of ours ran before a test.
pub struct Left {
    api: Api,
    before: BTreeSet<String>,
}

impl Left {
    pub fn before(kubeconfig: &Path) -> Left {
        let connect = Connect {
            kubeconfig: Some(kubeconfig.into()),
            ..Connect::default()
        };
        let api = Api::connect(&connect).unwrap();
        let mut left = Left {
            api,
            before: BTreeSet::new(),
        };
        left.before = left.runs("");
        left
    }

    /// Of a namespace that ends, and of the cluster's own.
    #[track_caller]
    pub fn nothing_more_in(&self, namespace: &str) {
        self.nothing_of(namespace);
    }

    /// Of the whole cluster.
    #[track_caller]
    pub fn nothing_more(&self) {
        self.nothing_of("");
    }

    #[track_caller]
    fn nothing_of(&self, own: &str) {
        let end = Instant::now() + LIMIT;
        let mut left: Option<BTreeSet<String>> = None;
        loop {
            let now: BTreeSet<String> = self.runs(own).difference(&self.before).cloned().collect();
            // One that came later is of a test beside this one.
            let still = match &left {
                None => now,
                Some(l) => l.intersection(&now).cloned().collect(),
            };
            if still.is_empty() {
                return;
            }
            assert!(
                Instant::now() < end,
                "still runs {LIMIT:?} after the test: {still:?}"
            );
            left = Some(still);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What of ours runs, outside of other tests' namespaces.
    fn runs(&self, own: &str) -> BTreeSet<String> {
        let list = |labels: &str, fields: &str| {
            let which = Selection {
                labels: labels.into(),
                fields: fields.into(),
            };
            self.api.list(&Resource::pods(), "", &which).unwrap()
        };
        let made = list("app.kubernetes.io/managed-by=netshoot", "");
        let guests = list("", "status.phase=Running");
        let open = OPEN.lock().unwrap_or_else(|p| p.into_inner()).clone();
        let others = |p: &&Object| p.namespace() == own || !open.contains(p.namespace());
        let made = made.iter().filter(others).filter(|p| is_orphan(p));
        let made = made.map(|p| format!("pod {}", p.reference()));
        let guests = guests.iter().filter(others).flat_map(|p| {
            let names = agents(p).into_iter();
            names.map(|c| format!("container {c} of pod {}", p.reference()))
        });
        made.chain(guests).collect()
    }
}

/// A pod that a command of ours made, which has not ended and whose client has.
fn is_orphan(pod: &Object) -> bool {
    let ended = ["Succeeded", "Failed"].contains(&pod.str("status.phase"));
    let goes = !pod.str("metadata.deletionTimestamp").is_empty();
    let client = pod.0["metadata"]["annotations"]["netshoot/client"].as_str();
    let pid = client.and_then(|c| c.rsplit_once('/')).map(|(_, pid)| pid);
    let lives = pid.is_some_and(|pid| Path::new("/proc").join(pid).exists());
    // The resident one has an owner, its ReplicaSet, and stays on purpose.
    let resident = pod.list("metadata.ownerReferences").iter().next().is_some();
    !(ended || goes || lives || resident)
}

/// Containers of ours that were added to a pod and run.
fn agents(pod: &Object) -> Vec<String> {
    let runs = |s: &&Value| s["state"]["running"].is_object();
    let all = pod.list("status.ephemeralContainerStatuses");
    let names = all.iter().filter(runs).filter_map(|s| s["name"].as_str());
    names
        .filter(|n| n.starts_with("netshoot") && is_agent(pod, n))
        .map(String::from)
        .collect()
}

/// One of a diagnosis; that of `debug` stays a while for whoever comes next, and ends by itself.
fn is_agent(pod: &Object, name: &str) -> bool {
    let all = pod.list("spec.ephemeralContainers");
    let mut of = all.iter().filter(|c| c["name"].as_str() == Some(name));
    of.any(|c| {
        let words = [&c["command"], &c["args"]];
        let mut words = words.into_iter().filter_map(Value::as_array).flatten();
        words.any(|w| w.as_str() == Some("agent"))
    })
}
