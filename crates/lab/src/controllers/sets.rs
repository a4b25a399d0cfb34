//! StatefulSet (one after the other, with names that stay) and DaemonSet (one on every node).

use super::deployments::template_hash;
use super::replicas::{is_ready, new_pod, pods_of};
use super::{Pass, scheduler};
use crate::shape::{self, at, int};
use serde_json::{Value, json};
use std::sync::Arc;

const REVISION_HASH: &str = "controller-revision-hash";

/// One pass over both kinds.
pub fn pass(pass: &Pass<'_>) {
    for set in pass.store.of("StatefulSet") {
        if !shape::is_ending(&set) {
            stateful(pass, &set);
        }
    }
    for set in pass.store.of("DaemonSet") {
        if !shape::is_ending(&set) {
            daemon(pass, &set);
        }
    }
}

fn ready_of(pods: &[Arc<Value>]) -> usize {
    pods.iter()
        .filter(|p| is_ready(p) && !shape::is_ending(p))
        .count()
}

fn stateful(pass: &Pass<'_>, set: &Value) {
    let wanted = int(set, "spec.replicas").unwrap_or(1);
    let hash = template_hash(at(set, "spec.template"));
    let pods = pods_of(pass, set);
    let parallel = shape::text(set, "spec.podManagementPolicy") == "Parallel";
    for index in 0..wanted {
        let name = format!("{}-{index}", shape::name(set));
        match pods.iter().find(|p| shape::name(p) == name) {
            None => {
                let more = [
                    ("statefulset.kubernetes.io/pod-name", name.clone()),
                    ("apps.kubernetes.io/pod-index", index.to_string()),
                    (REVISION_HASH, hash.clone()),
                ];
                let mut pod = new_pod(set, Some(name.clone()), &more);
                let spec = shape::child(&mut pod, "spec");
                spec.insert("hostname".into(), json!(name));
                spec.insert("subdomain".into(), at(set, "spec.serviceName").clone());
                if pass.store.apply(pod).is_ok() {
                    let words = format!(
                        "create Pod {name} in StatefulSet {} successful",
                        shape::name(set)
                    );
                    pass.store.event(
                        set,
                        "Normal",
                        "SuccessfulCreate",
                        &words,
                        ("statefulset-controller", ""),
                    );
                }
                if !parallel {
                    break;
                }
            }
            Some(pod) if !is_ready(pod) && !parallel => break,
            Some(_) => {}
        }
    }
    let too_many = |p: &&Arc<Value>| {
        shape::name(p)
            .rsplit('-')
            .next()
            .and_then(|n| n.parse::<i64>().ok())
            .is_none_or(|n| n >= wanted)
    };
    replace_outdated(pass, &pods, &hash, ready_of(&pods) as i64 >= wanted);
    for pod in pods.iter().filter(too_many) {
        let _ = pass
            .store
            .delete("Pod", shape::namespace(pod), shape::name(pod));
    }
    let pods = pods_of(pass, set);
    let updated = pods
        .iter()
        .filter(|p| shape::label(p, REVISION_HASH) == hash)
        .count();
    let revision = format!("{}-{hash}", shape::name(set));
    let status = json!({
        "observedGeneration": int(set, "metadata.generation"), "replicas": pods.len(), "readyReplicas": ready_of(&pods), "availableReplicas": ready_of(&pods),
        "currentReplicas": updated, "updatedReplicas": updated, "currentRevision": revision, "updateRevision": revision, "collisionCount": 0,
    });
    pass.store.set_status(
        "StatefulSet",
        shape::namespace(set),
        shape::name(set),
        &status,
    );
}

/// A pod of an older template goes, one at a time and only while the rest is well.
fn replace_outdated(pass: &Pass<'_>, pods: &[Arc<Value>], hash: &str, rest_is_well: bool) {
    let outdated = |p: &&Arc<Value>| shape::label(p, REVISION_HASH) != hash;
    let Some(pod) = pods.iter().rfind(outdated) else {
        return;
    };
    if (rest_is_well || !is_ready(pod)) && !pods.iter().any(|p| shape::is_ending(p)) {
        let _ = pass
            .store
            .delete("Pod", shape::namespace(pod), shape::name(pod));
    }
}

fn daemon(pass: &Pass<'_>, set: &Value) {
    let hash = template_hash(at(set, "spec.template"));
    let pods = pods_of(pass, set);
    let nodes = pass.store.of("Node");
    let mut wanted = 0;
    for node in &nodes {
        let mut pod = new_pod(
            set,
            None,
            &[
                (REVISION_HASH, hash.clone()),
                (
                    "pod-template-generation",
                    int(set, "metadata.generation").unwrap_or(1).to_string(),
                ),
            ],
        );
        let pinned = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [shape::name(node)]}]}]}}});
        shape::child(&mut pod, "spec").insert("affinity".into(), pinned);
        if !scheduler::fits(&pod, node, true) {
            continue;
        }
        wanted += 1;
        let here = |p: &&Arc<Value>| scheduler::fits_pinned(p, shape::name(node));
        if !pods.iter().any(|p| here(&p))
            && let Ok(pod) = pass.store.apply(pod)
        {
            pass.store.event(
                set,
                "Normal",
                "SuccessfulCreate",
                &format!("Created pod: {}", shape::name(&pod)),
                ("daemonset-controller", ""),
            );
        }
    }
    replace_outdated(pass, &pods, &hash, ready_of(&pods) >= wanted);
    for pod in pods.iter().filter(|p| {
        !nodes
            .iter()
            .any(|n| scheduler::fits_pinned(p, shape::name(n)))
    }) {
        let _ = pass
            .store
            .delete("Pod", shape::namespace(pod), shape::name(pod));
    }
    let pods = pods_of(pass, set);
    let ready = ready_of(&pods);
    let updated = pods
        .iter()
        .filter(|p| shape::label(p, REVISION_HASH) == hash)
        .count();
    let mut status = json!({
        "observedGeneration": int(set, "metadata.generation"), "currentNumberScheduled": pods.len(), "desiredNumberScheduled": wanted, "numberMisscheduled": 0,
        "numberReady": ready,
    });
    for (key, number) in [
        ("numberAvailable", ready),
        ("updatedNumberScheduled", updated),
        ("numberUnavailable", wanted.saturating_sub(ready)),
    ] {
        if number > 0 {
            status[key] = json!(number);
        }
    }
    pass.store.set_status(
        "DaemonSet",
        shape::namespace(set),
        shape::name(set),
        &status,
    );
}
