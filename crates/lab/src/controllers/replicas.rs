//! ReplicaSet to pods: as many as wanted, the worst go first.

use super::{Pass, admission};
use crate::shape::{self, at, int, text};
use serde_json::{Value, json};
use std::sync::Arc;

/// One pass over all ReplicaSets.
pub fn pass(pass: &Pass<'_>) {
    for set in pass.store.of("ReplicaSet") {
        if !shape::is_ending(&set) {
            keep(pass, &set);
        }
    }
}

/// Pods that an object controls, those that ended for good left out.
pub fn pods_of(pass: &Pass<'_>, owner: &Value) -> Vec<Arc<Value>> {
    let mine = |p: &Arc<Value>| {
        shape::controller(p).is_some_and(|c| c.2 == shape::uid(owner))
            && !matches!(text(p, "status.phase"), "Succeeded" | "Failed")
    };
    pass.store.of("Pod").into_iter().filter(mine).collect()
}

/// A pod from its owner's template. Its name is `name`, or made up when none is given.
pub fn new_pod(owner: &Value, name: Option<String>, more_labels: &[(&str, String)]) -> Value {
    let template = at(owner, "spec.template");
    let mut meta = json!({
        "namespace": shape::namespace(owner), "labels": at(template, "metadata.labels"),
        "ownerReferences": [shape::owner_reference(owner)],
    });
    if !at(template, "metadata.annotations").is_null() {
        meta["annotations"] = at(template, "metadata.annotations").clone();
    }
    for (key, value) in more_labels {
        meta["labels"][*key] = json!(value);
    }
    meta["generateName"] = json!(format!("{}-", shape::name(owner)));
    if let Some(name) = name {
        meta["name"] = json!(name);
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": at(template, "spec"), "status": {"phase": "Pending"}})
}

/// Ready as its conditions say.
pub fn is_ready(pod: &Value) -> bool {
    shape::condition(pod, "Ready") == "True"
}

fn keep(pass: &Pass<'_>, set: &Value) {
    let wanted = int(set, "spec.replicas").unwrap_or(1).max(0) as usize;
    let mut alive: Vec<Arc<Value>> = pods_of(pass, set)
        .into_iter()
        .filter(|p| !shape::is_ending(p))
        .collect();
    let source = ("replicaset-controller", "");
    for _ in alive.len()..wanted {
        let pod = new_pod(set, None, &[]);
        if let Some(why) = admission::refuses(pass, &pod) {
            // Said now and then, as a controller does that waits longer each time.
            if !pass.store.said_lately(set, "FailedCreate", 1_000) {
                let words = format!("Error creating: {why}");
                pass.store
                    .event(set, "Warning", "FailedCreate", &words, source);
            }
            break;
        }
        match pass.store.apply(pod) {
            Ok(pod) => pass.store.event(
                set,
                "Normal",
                "SuccessfulCreate",
                &format!("Created pod: {}", shape::name(&pod)),
                source,
            ),
            Err(e) => pass.store.event(
                set,
                "Warning",
                "FailedCreate",
                &format!("Error creating: {e}"),
                source,
            ),
        }
    }
    // Unscheduled, then not ready, then young pods go first.
    alive.sort_by_key(|p| {
        (
            !text(p, "spec.nodeName").is_empty(),
            is_ready(p),
            std::cmp::Reverse(text(p, "metadata.creationTimestamp").to_string()),
        )
    });
    for pod in alive.iter().take(alive.len().saturating_sub(wanted)) {
        if pass
            .store
            .delete("Pod", shape::namespace(pod), shape::name(pod))
            .is_ok()
        {
            pass.store.event(
                set,
                "Normal",
                "SuccessfulDelete",
                &format!("Deleted pod: {}", shape::name(pod)),
                source,
            );
        }
    }
    let pods: Vec<Arc<Value>> = pods_of(pass, set)
        .into_iter()
        .filter(|p| !shape::is_ending(p))
        .collect();
    let ready = pods.iter().filter(|p| is_ready(p)).count();
    let mut status =
        json!({"replicas": pods.len(), "observedGeneration": int(set, "metadata.generation")});
    for (key, number) in [
        ("fullyLabeledReplicas", pods.len()),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
    ] {
        if number > 0 {
            status[key] = json!(number);
        }
    }
    pass.store.set_status(
        "ReplicaSet",
        shape::namespace(set),
        shape::name(set),
        &status,
    );
}
