//! Deployment to ReplicaSets: a new one for each template, scaled up as the old go down.

use super::{Pass, conditions};
use crate::shape::{self, at, fnv, int, rfc3339, text};
use serde_json::{Value, json};
use std::sync::Arc;

const REVISION: &str = "deployment.kubernetes.io/revision";
/// The label that ties pods to the template they were made from.
pub const HASH: &str = "pod-template-hash";

/// One pass over all Deployments.
pub fn pass(pass: &Pass<'_>) {
    for deployment in pass.store.of("Deployment") {
        if !shape::is_ending(&deployment) {
            roll(pass, &deployment);
        }
    }
}

/// A hash of a pod template, in the letters Kubernetes uses.
pub fn template_hash(template: &Value) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let sum = (fnv(template.to_string().as_bytes()) >> 16) as u32;
    sum.to_string()
        .bytes()
        .map(|d| {
            char::from(
                ALPHABET
                    .get(usize::from(d) % ALPHABET.len())
                    .copied()
                    .unwrap_or(b'x'),
            )
        })
        .collect()
}

/// ReplicaSets that a Deployment controls.
pub fn owned(pass: &Pass<'_>, deployment: &Value) -> Vec<Arc<Value>> {
    let mine = |o: &Arc<Value>| shape::controller(o).is_some_and(|c| c.2 == shape::uid(deployment));
    pass.store
        .of("ReplicaSet")
        .into_iter()
        .filter(mine)
        .collect()
}

/// `25%` or a number, of `of`, rounded up or down.
fn share(value: &Value, of: i64, up: bool) -> i64 {
    match value
        .as_str()
        .and_then(|s| s.strip_suffix('%'))
        .and_then(|s| s.parse::<i64>().ok())
    {
        Some(percent) if up => (percent * of + 99) / 100,
        Some(percent) => percent * of / 100,
        None => value.as_i64().unwrap_or(0),
    }
}

fn roll(pass: &Pass<'_>, deployment: &Value) {
    let template = at(deployment, "spec.template");
    let hash = template_hash(template);
    let wanted = int(deployment, "spec.replicas").unwrap_or(1);
    let mut sets = owned(pass, deployment);
    let revision_of = |o: &Value| shape::annotation(o, REVISION).parse::<i64>().unwrap_or(0);
    let newest = sets.iter().map(|s| revision_of(s)).max().unwrap_or(0);
    let current = match sets.iter().find(|s| shape::label(s, HASH) == hash) {
        Some(set) => set.clone(),
        None => match pass
            .store
            .apply(new_set(deployment, template, &hash, newest + 1, wanted))
        {
            Ok(set) => {
                let set = Arc::new(set);
                sets.push(set.clone());
                set
            }
            // The store says why only when the deployment itself is broken, and then it refused that first.
            Err(_) => return,
        },
    };
    // Going back to an old template makes its ReplicaSet the newest again.
    let revision = if revision_of(&current) < newest {
        newest + 1
    } else {
        revision_of(&current)
    };
    annotate(
        pass,
        &current,
        &[
            (REVISION, revision.to_string()),
            (
                "deployment.kubernetes.io/desired-replicas",
                wanted.to_string(),
            ),
        ],
    );
    annotate(pass, deployment, &[(REVISION, revision.to_string())]);
    if !shape::truth(deployment, "spec.paused") {
        scale_all(pass, deployment, &current, &sets, wanted);
    }
    status(pass, deployment, shape::name(&current), wanted);
}

fn annotate(pass: &Pass<'_>, object: &Value, pairs: &[(&str, String)]) {
    let change = |o: &mut Value| {
        let meta = shape::child(o, "metadata");
        let slot = meta.entry("annotations").or_insert(json!({}));
        for (key, value) in pairs {
            slot[*key] = json!(value);
        }
    };
    let _ = pass.store.edit(
        shape::kind(object),
        shape::namespace(object),
        shape::name(object),
        change,
    );
}

fn new_set(deployment: &Value, template: &Value, hash: &str, revision: i64, wanted: i64) -> Value {
    let mut template = template.clone();
    let labels = shape::child(&mut template, "metadata")
        .entry("labels")
        .or_insert(json!({}));
    labels[HASH] = json!(hash);
    let mut selector = at(deployment, "spec.selector").clone();
    shape::child(&mut selector, "matchLabels").insert(HASH.into(), json!(hash));
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", shape::name(deployment)), "namespace": shape::namespace(deployment),
            "labels": at(&template, "metadata.labels"),
            "annotations": {REVISION: revision.to_string(), "deployment.kubernetes.io/desired-replicas": wanted.to_string()},
            "ownerReferences": [shape::owner_reference(deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    })
}

fn scale(pass: &Pass<'_>, deployment: &Value, set: &Value, to: i64) {
    let from = int(set, "spec.replicas").unwrap_or(0);
    if from == to {
        return;
    }
    let change = |o: &mut Value| {
        shape::child(o, "spec").insert("replicas".into(), json!(to));
    };
    let _ = pass.store.edit(
        "ReplicaSet",
        shape::namespace(set),
        shape::name(set),
        change,
    );
    let direction = if to > from { "up" } else { "down" };
    let words = format!(
        "Scaled {direction} replica set {} from {from} to {to}",
        shape::name(set)
    );
    pass.store.event(
        deployment,
        "Normal",
        "ScalingReplicaSet",
        &words,
        ("deployment-controller", ""),
    );
}

fn scale_all(
    pass: &Pass<'_>,
    deployment: &Value,
    current: &Value,
    sets: &[Arc<Value>],
    wanted: i64,
) {
    let replicas = |o: &Value| int(o, "spec.replicas").unwrap_or(0);
    let available = |o: &Value| int(o, "status.availableReplicas").unwrap_or(0);
    let old: Vec<&Arc<Value>> = sets
        .iter()
        .filter(|s| shape::name(s) != shape::name(current) && replicas(s) > 0)
        .collect();
    let now = replicas(current);
    if text(deployment, "spec.strategy.type") == "Recreate" {
        for set in &old {
            scale(pass, deployment, set, 0);
        }
        let left = sets.iter().any(|s| {
            shape::name(s) != shape::name(current) && int(s, "status.replicas").unwrap_or(0) > 0
        });
        if old.is_empty() && !left {
            scale(pass, deployment, current, wanted);
        }
        return;
    }
    let mut unavailable = share(
        at(deployment, "spec.strategy.rollingUpdate.maxUnavailable"),
        wanted,
        false,
    );
    let surge = share(
        at(deployment, "spec.strategy.rollingUpdate.maxSurge"),
        wanted,
        true,
    );
    if unavailable == 0 && surge == 0 {
        unavailable = 1;
    }
    if old.is_empty() {
        scale(pass, deployment, current, wanted);
        return;
    }
    let total: i64 = sets.iter().map(|s| replicas(s)).sum();
    let room = wanted + surge - total;
    if now > wanted {
        scale(pass, deployment, current, wanted);
        return;
    }
    if now < wanted && room > 0 {
        scale(pass, deployment, current, now + room.min(wanted - now));
        return;
    }
    // As many old pods may go as stay above the minimum: the dead ones first, they hurt nobody.
    let least = wanted - unavailable;
    let mut may_go = total - least - (now - available(current)).max(0);
    for set in &old {
        let dead = (replicas(set) - available(set)).max(0).min(may_go.max(0));
        let alive: i64 = sets.iter().map(|s| available(s)).sum::<i64>() - least;
        let go = dead + alive.max(0).min(may_go - dead).min(available(set)).max(0);
        if go > 0 {
            scale(pass, deployment, set, replicas(set) - go);
            may_go -= go;
        }
    }
}

fn status(pass: &Pass<'_>, deployment: &Value, current: &str, wanted: i64) {
    let sets = owned(pass, deployment);
    let sum = |key: &str, only: Option<&str>| -> i64 {
        sets.iter()
            .filter(|s| only.is_none_or(|n| shape::name(s) == n))
            .map(|s| int(s, key).unwrap_or(0))
            .sum()
    };
    let (total, ready, available) = (
        sum("status.replicas", None),
        sum("status.readyReplicas", None),
        sum("status.availableReplicas", None),
    );
    let updated = sum("status.replicas", Some(current));
    let now = rfc3339(pass.now_ms);
    let least = wanted
        - share(
            at(deployment, "spec.strategy.rollingUpdate.maxUnavailable"),
            wanted,
            false,
        );
    let is_available = if available >= least {
        (
            "Available",
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.".to_string(),
        )
    } else {
        (
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.".to_string(),
        )
    };
    let done = updated == wanted && available >= wanted && total == updated;
    let old = shape::list(deployment, "status.conditions");
    let was_done = old.iter().any(|c| {
        text(c, "reason") == "NewReplicaSetAvailable" && text(c, "message").contains(current)
    });
    let progress = if done || was_done {
        (
            "Progressing",
            "True",
            "NewReplicaSetAvailable",
            format!("ReplicaSet \"{current}\" has successfully progressed."),
        )
    } else {
        (
            "Progressing",
            "True",
            "ReplicaSetUpdated",
            format!("ReplicaSet \"{current}\" is progressing."),
        )
    };
    let mut status = json!({
        "observedGeneration": int(deployment, "metadata.generation"),
        "conditions": conditions(old, &[is_available, progress], &now, Some("lastUpdateTime")),
    });
    for (key, number) in [
        ("replicas", total),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        (
            "unavailableReplicas",
            (wanted.max(total) - available).max(0),
        ),
    ] {
        if number > 0 {
            status[key] = json!(number);
        }
    }
    pass.store.set_status(
        "Deployment",
        shape::namespace(deployment),
        shape::name(deployment),
        &status,
    );
}
