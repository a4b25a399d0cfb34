//! A node whose kubelet says nothing: unknown, tainted, its pods not ready.

use super::Pass;
use crate::shape::{self, list, text};
use serde_json::{Value, json};

const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// One pass over all nodes.
pub fn pass(pass: &Pass<'_>) {
    for node in pass.store.of("Node") {
        let silent = (pass.silent_ms)(shape::name(&node)) > pass.plan.pace.node_grace_ms;
        if silent && shape::condition(&node, "Ready") == "True" {
            lose(pass, &node);
        } else if !silent
            && list(&node, "spec.taints")
                .iter()
                .any(|t| text(t, "key") == UNREACHABLE)
            && shape::condition(&node, "Ready") == "True"
        {
            let clear = |n: &mut Value| {
                let kept: Vec<Value> = list(n, "spec.taints")
                    .iter()
                    .filter(|t| text(t, "key") != UNREACHABLE)
                    .cloned()
                    .collect();
                shape::child(n, "spec").insert("taints".into(), json!(kept));
            };
            let _ = pass.store.edit("Node", "", shape::name(&node), clear);
        }
    }
}

fn lose(pass: &Pass<'_>, node: &Value) {
    let now = shape::rfc3339(pass.now_ms);
    let change = |n: &mut Value| {
        let conditions = n
            .get_mut("status")
            .and_then(|s| s.get_mut("conditions"))
            .and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten() {
            condition["status"] = json!("Unknown");
            condition["reason"] = json!("NodeStatusUnknown");
            condition["message"] = json!("Kubelet stopped posting node status.");
            condition["lastTransitionTime"] = json!(now);
        }
        let mut taints = list(n, "spec.taints").to_vec();
        for effect in ["NoSchedule", "NoExecute"] {
            taints.push(json!({"key": UNREACHABLE, "effect": effect, "timeAdded": now}));
        }
        shape::child(n, "spec").insert("taints".into(), json!(taints));
    };
    let _ = pass.store.edit("Node", "", shape::name(node), change);
    let words = format!("Node {} status is now: NodeNotReady", shape::name(node));
    pass.store.event(
        node,
        "Normal",
        "NodeNotReady",
        &words,
        ("node-controller", ""),
    );
    for pod in pass
        .store
        .of("Pod")
        .iter()
        .filter(|p| text(p, "spec.nodeName") == shape::name(node))
    {
        let unready = |p: &mut Value| {
            let conditions = p
                .get_mut("status")
                .and_then(|s| s.get_mut("conditions"))
                .and_then(Value::as_array_mut);
            for condition in conditions
                .into_iter()
                .flatten()
                .filter(|c| text(c, "type") == "Ready" && text(c, "status") == "True")
            {
                condition["status"] = json!("False");
                condition["lastTransitionTime"] = json!(now);
            }
        };
        let _ = pass
            .store
            .edit("Pod", shape::namespace(pod), shape::name(pod), unready);
        pass.store.event(
            pod,
            "Warning",
            "NodeNotReady",
            "Node is not ready",
            ("node-controller", ""),
        );
    }
}
