//! What the API shows of a pod.

use super::container::{Container, End, State};
use super::{Round, Sandbox};
use crate::controllers::conditions;
use crate::shape::{self, at, list, rfc3339, text};
use serde_json::{Value, json};
use std::net::IpAddr;

/// The addresses of a node, in order.
pub fn node_addresses(node: &Value) -> Vec<IpAddr> {
    list(node, "status.addresses")
        .iter()
        .filter(|a| text(a, "type") == "InternalIP")
        .filter_map(|a| text(a, "address").parse().ok())
        .collect()
}

/// Every container of it is ready.
pub(super) fn is_ready(pod: &Sandbox) -> bool {
    pod.containers.iter().all(Container::is_ready)
}

fn terminated(end: &End) -> Value {
    json!({"terminated": {"exitCode": end.code, "reason": end.reason, "startedAt": rfc3339(end.started_ms), "finishedAt": rfc3339(end.finished_ms), "containerID": end.id}})
}

fn container_status(container: &Container, spec: &Value) -> Value {
    let state = match &container.state {
        State::Waiting {
            reason, message, ..
        } if message.is_empty() => json!({"waiting": {"reason": reason}}),
        State::Waiting {
            reason, message, ..
        } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running { since_ms, .. } => json!({"running": {"startedAt": rfc3339(*since_ms)}}),
        State::Ended { end, .. } => terminated(end),
    };
    let running = container.pid().is_some();
    // While it lies ended, the end is its state and not yet its last one.
    let last = container
        .last
        .as_ref()
        .filter(|last| !matches!(&container.state, State::Ended { end, .. } if end == *last));
    let mut status = json!({
        "name": container.name, "image": container.image, "imageID": format!("sha256:{:016x}", shape::fnv(container.image.as_bytes())),
        "state": state, "lastState": last.map_or(json!({}), terminated), "ready": container.is_ready(), "restartCount": container.restarts,
        "started": running && container.watched.has_started(),
    });
    if !container.id.is_empty() {
        status["containerID"] = json!(container.id);
    }
    if !at(spec, "resources").is_null() && running {
        status["resources"] = at(spec, "resources").clone();
    }
    status
}

fn phase(pod: &Sandbox, object: &Value) -> &'static str {
    let over = |c: &Container| matches!(&c.state, State::Ended { again_ms: None, .. });
    let never = text(object, "spec.restartPolicy") != "Always" || shape::is_ending(object);
    if never && pod.containers.iter().all(over) {
        let well = pod
            .containers
            .iter()
            .all(|c| matches!(&c.state, State::Ended { end, .. } if end.code == 0));
        return if well { "Succeeded" } else { "Failed" };
    }
    if pod.containers.iter().any(|c| c.id.is_empty()) {
        "Pending"
    } else {
        "Running"
    }
}

fn quality(object: &Value) -> &'static str {
    let all = list(object, "spec.containers");
    let has =
        |c: &Value, what: &str, key: &str| !at(c, &format!("resources.{what}.{key}")).is_null();
    let same = |c: &Value, key: &str| {
        has(c, "limits", key)
            && at(c, &format!("resources.limits.{key}"))
                == at(c, &format!("resources.requests.{key}"))
    };
    if all.iter().all(|c| same(c, "memory") && same(c, "cpu")) {
        "Guaranteed"
    } else if all.iter().any(|c| {
        ["memory", "cpu"]
            .iter()
            .any(|k| has(c, "limits", k) || has(c, "requests", k))
    }) {
        "Burstable"
    } else {
        "BestEffort"
    }
}

/// Writes a pod's status, when it differs.
pub(super) fn write(pod: &Sandbox, object: &Value, round: &Round<'_>) {
    let now = rfc3339(round.now_ms);
    let ready = is_ready(pod);
    let unready: Vec<&str> = pod
        .containers
        .iter()
        .filter(|c| !c.is_ready())
        .map(|c| c.name.as_str())
        .collect();
    let because = format!("containers with unready status: [{}]", unready.join(" "));
    let (reason, message) = if ready {
        ("", String::new())
    } else {
        ("ContainersNotReady", because)
    };
    let word = if ready { "True" } else { "False" };
    let mut made = conditions(
        list(object, "status.conditions"),
        &[
            ("PodReadyToStartContainers", "True", "", String::new()),
            ("Initialized", "True", "", String::new()),
            ("Ready", word, reason, message.clone()),
            ("ContainersReady", word, reason, message),
            ("PodScheduled", "True", "", String::new()),
        ],
        &now,
        None,
    );
    for condition in made.as_array_mut().into_iter().flatten() {
        condition["lastProbeTime"] = Value::Null;
    }
    let specs = list(object, "spec.containers");
    let none = Value::Null;
    let containers: Vec<Value> = pod
        .containers
        .iter()
        .map(|c| {
            container_status(
                c,
                specs
                    .iter()
                    .find(|s| text(s, "name") == c.name)
                    .unwrap_or(&none),
            )
        })
        .collect();
    let mut status = json!({
        "phase": phase(pod, object), "conditions": made, "containerStatuses": containers, "qosClass": quality(object), "startTime": rfc3339(pod.started_ms),
        "observedGeneration": shape::int(object, "metadata.generation"),
    });
    if let Some(node) = round.store.find("Node", "", &pod.node) {
        let hosts = node_addresses(&node);
        status["hostIP"] = json!(hosts.first());
        status["hostIPs"] = json!(hosts.iter().map(|a| json!({"ip": a})).collect::<Vec<_>>());
    }
    if let Some(first) = pod.addresses.first() {
        status["podIP"] = json!(first);
        status["podIPs"] = json!(
            pod.addresses
                .iter()
                .map(|a| json!({"ip": a}))
                .collect::<Vec<_>>()
        );
    }
    round
        .store
        .set_status("Pod", &pod.namespace, &pod.name, &status);
}
