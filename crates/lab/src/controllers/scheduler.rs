//! A node for every pod: what the pod demands, then what the plan places, then spread.

use super::Pass;
use crate::shape::{self, at, list, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Binds every pod that has no node and fits one.
pub fn pass(pass: &Pass<'_>) {
    for pod in pass.store.of("Pod") {
        if text(&pod, "spec.nodeName").is_empty()
            && !shape::is_ending(&pod)
            && text(&pod, "spec.schedulerName") == "default-scheduler"
        {
            place(pass, &pod);
        }
    }
}

fn place(pass: &Pass<'_>, pod: &Value) {
    let nodes = pass.store.of("Node");
    let pods = pass.store.of("Pod");
    let mut fit: Vec<&Arc<Value>> = nodes
        .iter()
        .filter(|n| fits(pod, n, false) && neighbours_allow(pod, n, &nodes, &pods))
        .collect();
    if let Some(node) = planned(pass, pod, &pods)
        && fit.iter().any(|n| shape::name(n) == node)
    {
        fit.retain(|n| shape::name(n) == node);
    }
    let owner = shape::controller(pod).map(|c| c.2.to_string());
    let count = |node: &Value, only: bool| {
        let same =
            |p: &&Arc<Value>| !only || shape::controller(p).map(|c| c.2.to_string()) == owner;
        pods.iter()
            .filter(|p| text(p, "spec.nodeName") == shape::name(node))
            .filter(same)
            .count()
    };
    let (space, name) = (shape::namespace(pod), shape::name(pod));
    let Some(node) = fit
        .into_iter()
        .min_by_key(|n| (count(n, true), count(n, false), shape::name(n).to_string()))
    else {
        return unschedulable(pass, pod, nodes.len());
    };
    let bind = |o: &mut Value| {
        shape::child(o, "spec").insert("nodeName".into(), json!(shape::name(node)));
        let now = shape::rfc3339(pass.now_ms);
        shape::child(o, "status").insert("conditions".into(), json!([{"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}]));
    };
    if let Ok(Some(bound)) = pass.store.edit("Pod", space, name, bind) {
        let words = format!(
            "Successfully assigned {space}/{name} to {}",
            shape::name(node)
        );
        pass.store.event(
            &bound,
            "Normal",
            "Scheduled",
            &words,
            ("default-scheduler", ""),
        );
    }
}

/// The node the plan has for this pod: those of its owner's list, the one with fewest of its pods.
fn planned<'a>(pass: &Pass<'a>, pod: &Value, pods: &[Arc<Value>]) -> Option<&'a str> {
    let belongs = |p: &Value, name: &str| {
        let owned = shape::controller(p).is_some_and(|(kind, owner, _)| {
            owner == name
                || (kind == "ReplicaSet"
                    && owner
                        .rsplit_once('-')
                        .is_some_and(|(front, _)| front == name))
        });
        owned || shape::name(p) == name
    };
    let place = pass
        .plan
        .placement
        .iter()
        .find(|p| p.namespace == shape::namespace(pod) && belongs(pod, &p.name))?;
    let have = |node: &str| {
        pods.iter()
            .filter(|p| {
                text(p, "spec.nodeName") == node
                    && shape::namespace(p) == place.namespace
                    && belongs(p, &place.name)
            })
            .count()
    };
    let listed = |node: &str| place.nodes.iter().filter(|n| *n == node).count();
    // A node listed twice gets twice as many.
    place
        .nodes
        .iter()
        .min_by_key(|n| have(n) * 1000 / listed(n).max(1))
        .map(String::as_str)
}

fn unschedulable(pass: &Pass<'_>, pod: &Value, nodes: usize) {
    let words = format!(
        "0/{nodes} nodes are available: {nodes} node(s) didn't match Pod's node affinity/selector or had untolerated taints. preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
    );
    if list(pod, "status.conditions")
        .iter()
        .any(|c| text(c, "reason") == "Unschedulable" && text(c, "message") == words)
    {
        return;
    }
    let now = shape::rfc3339(pass.now_ms);
    let status = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words, "lastProbeTime": null, "lastTransitionTime": now}]});
    pass.store
        .set_status("Pod", shape::namespace(pod), shape::name(pod), &status);
    pass.store.event(
        pod,
        "Warning",
        "FailedScheduling",
        &words,
        ("default-scheduler", ""),
    );
}

/// Whether a node is what a pod demands. Pods of a DaemonSet tolerate what nodes are sick of.
pub fn fits(pod: &Value, node: &Value, daemon: bool) -> bool {
    let mut labels: BTreeMap<String, String> = shape::labels(node);
    labels
        .entry("kubernetes.io/hostname".into())
        .or_insert_with(|| shape::name(node).to_string());
    let selected = shape::pairs_hold(at(pod, "spec.nodeSelector"), &labels);
    let terms = list(
        pod,
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
    );
    let fields = BTreeMap::from([("metadata.name".to_string(), shape::name(node).to_string())]);
    let term_holds = |t: &Value| {
        list(t, "matchExpressions")
            .iter()
            .all(|e| shape::expression_holds(e, &labels))
            && list(t, "matchFields")
                .iter()
                .all(|e| shape::expression_holds(e, &fields))
    };
    let wanted = terms.is_empty() || terms.iter().any(term_holds);
    let daemon = daemon || shape::controller(pod).is_some_and(|c| c.0 == "DaemonSet");
    let tolerated = list(node, "spec.taints").iter().all(|taint| {
        text(taint, "effect") == "PreferNoSchedule"
            || (daemon && text(taint, "key").starts_with("node.kubernetes.io/"))
            || list(pod, "spec.tolerations")
                .iter()
                .any(|t| tolerates(t, taint))
    });
    selected && wanted && tolerated && (daemon || !shape::truth(node, "spec.unschedulable"))
}

/// Whether a DaemonSet's pod is meant for this node.
pub fn fits_pinned(pod: &Value, node: &str) -> bool {
    let terms = list(
        pod,
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
    );
    terms
        .iter()
        .flat_map(|t| list(t, "matchFields"))
        .any(|f| shape::texts(f, "values").iter().any(|v| v == node))
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let effect = text(toleration, "effect");
    let key = text(toleration, "key");
    let by_key = if key.is_empty() {
        text(toleration, "operator") == "Exists"
    } else {
        key == text(taint, "key")
    };
    let by_value = text(toleration, "operator") == "Exists"
        || text(toleration, "value") == text(taint, "value");
    (effect.is_empty() || effect == text(taint, "effect")) && by_key && by_value
}

/// Required pod affinity and anti-affinity, by topology key.
fn neighbours_allow(pod: &Value, node: &Value, nodes: &[Arc<Value>], pods: &[Arc<Value>]) -> bool {
    let zone = |node: &Value, key: &str| {
        if key == "kubernetes.io/hostname" {
            shape::name(node).to_string()
        } else {
            shape::label(node, key).to_string()
        }
    };
    let holds = |term: &Value| {
        let key = text(term, "topologyKey");
        let spaces = shape::texts(term, "namespaces");
        pods.iter().filter(|p| !shape::is_ending(p)).any(|other| {
            let near = nodes.iter().any(|n| {
                shape::name(n) == text(other, "spec.nodeName") && zone(n, key) == zone(node, key)
            });
            let space = if spaces.is_empty() {
                shape::namespace(other) == shape::namespace(pod)
            } else {
                spaces.iter().any(|s| s == shape::namespace(other))
            };
            near && space && shape::selector_takes(at(term, "labelSelector"), &shape::labels(other))
        })
    };
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    list(at(pod, "spec.affinity.podAffinity"), required)
        .iter()
        .all(holds)
        && !list(at(pod, "spec.affinity.podAntiAffinity"), required)
            .iter()
            .any(holds)
}
