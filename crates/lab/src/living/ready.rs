//! When a workload stands as well as it can.

use crate::controllers::deployments::{HASH, template_hash};
use crate::fault::Daemons;
use crate::shape::{self, at, int, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is looked at.
pub(super) struct Look<'a> {
    pub pods: &'a [Arc<Value>],
    /// Pods that were ready once or will never be.
    pub settled: &'a BTreeSet<String>,
    pub daemons: &'a Daemons,
    /// ReplicaSets that were refused a pod: namespace and name.
    pub refused: &'a BTreeSet<(String, String)>,
}

impl Look<'_> {
    /// What a workload still waits for; none when it stands, or when its newest pods are stuck and
    /// it will not get further.
    pub fn missing(&self, kind: &str, workload: &Value) -> Option<String> {
        let wanted = int(
            workload,
            if kind == "DaemonSet" {
                "status.desiredNumberScheduled"
            } else {
                "spec.replicas"
            },
        )
        .unwrap_or(0);
        let waits = |what: String| {
            Some(format!(
                "{kind} {}/{}: {what}",
                shape::namespace(workload),
                shape::name(workload)
            ))
        };
        if int(workload, "status.observedGeneration") != int(workload, "metadata.generation") {
            return waits("its controller has not seen it".into());
        }
        let all: Vec<&Arc<Value>> = self
            .pods
            .iter()
            .filter(|p| belongs(kind, workload, p) && !shape::is_ending(p))
            .collect();
        let hash = template_hash(at(workload, "spec.template"));
        let is_new = |p: &&&Arc<Value>| match kind {
            "Deployment" => shape::label(p, HASH) == hash,
            _ => shape::label(p, "controller-revision-hash") == hash,
        };
        let new: Vec<&&Arc<Value>> = all.iter().filter(is_new).collect();
        let settled = new.iter().filter(|p| self.is_settled(p)).count();
        let stuck = new
            .iter()
            .any(|p| self.is_settled(p) && shape::condition(p, "Ready") != "True");
        let newest = (
            shape::namespace(workload).to_string(),
            format!("{}-{hash}", shape::name(workload)),
        );
        let stuck = stuck || self.refused.contains(&newest);
        let whole = new.len() as i64 >= wanted && all.len() == new.len();
        if settled < new.len() || (!whole && !stuck) {
            return waits(format!("{settled} of {wanted} pods"));
        }
        None
    }

    fn is_settled(&self, pod: &Value) -> bool {
        let node = text(pod, "spec.nodeName");
        let silent = !node.is_empty() && !self.daemons.running(node, "kubelet");
        let homeless = shape::list(pod, "status.conditions")
            .iter()
            .any(|c| text(c, "reason") == "Unschedulable");
        self.settled.contains(shape::uid(pod)) || homeless || silent
    }

    /// On its way out, with a kubelet that will see to it.
    pub fn is_going(&self, pod: &Value) -> bool {
        shape::is_ending(pod) && self.daemons.running(text(pod, "spec.nodeName"), "kubelet")
    }
}

/// Whether a workload controls a pod, itself or through its ReplicaSet.
fn belongs(kind: &str, workload: &Value, pod: &Value) -> bool {
    let Some((owner_kind, owner, uid)) = shape::controller(pod) else {
        return false;
    };
    let of_set = || {
        owner_kind == "ReplicaSet"
            && owner
                .rsplit_once('-')
                .is_some_and(|(front, _)| front == shape::name(workload))
    };
    shape::namespace(pod) == shape::namespace(workload)
        && if kind == "Deployment" {
            of_set()
        } else {
            uid == shape::uid(workload)
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rollout_is_waited_for_until_it_is_whole_or_stuck() {
        let template = json!({"metadata": {"labels": {"app": "web"}}});
        let new = template_hash(&template);
        let web = json!({"metadata": {"name": "web", "namespace": "s", "generation": 2}, "spec": {"replicas": 2, "template": template}, "status": {"observedGeneration": 2}});
        let pod = |uid: &str, hash: &str, ready: &str| {
            Arc::new(
                json!({"metadata": {"namespace": "s", "uid": uid, "labels": {"pod-template-hash": hash},
                "ownerReferences": [{"controller": true, "kind": "ReplicaSet", "name": format!("web-{hash}"), "uid": "x"}]},
                "spec": {"nodeName": "n"}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}),
            )
        };
        let daemons = Daemons::default();
        for (pods, settled, stands) in [
            (
                vec![pod("a", &new, "True"), pod("b", &new, "True")],
                vec!["a", "b"],
                true,
            ),
            (
                vec![pod("a", &new, "True"), pod("b", &new, "False")],
                vec!["a"],
                false,
            ),
            (
                vec![
                    pod("a", &new, "True"),
                    pod("o", "old", "True"),
                    pod("b", &new, "True"),
                ],
                vec!["a", "b", "o"],
                false,
            ),
            (
                vec![pod("o", "old", "True"), pod("p", "old", "True")],
                vec!["o", "p"],
                false,
            ),
            (
                vec![
                    pod("o", "old", "True"),
                    pod("p", "old", "True"),
                    pod("a", &new, "False"),
                ],
                vec!["a", "o", "p"],
                true,
            ),
        ] {
            let settled: BTreeSet<String> = settled.into_iter().map(str::to_string).collect();
            let look = Look {
                pods: &pods,
                settled: &settled,
                daemons: &daemons,
                refused: &BTreeSet::new(),
            };
            assert_eq!(
                look.missing("Deployment", &web).is_none(),
                stands,
                "{pods:?}"
            );
        }
    }
}
