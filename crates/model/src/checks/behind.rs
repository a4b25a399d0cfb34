//! What several checks ask of a Service that nobody answers for: its pods, the workloads that should
//! make them, and what the cluster said about either.

use crate::check::View;
use crate::object::{Object, ObjectRef, at, string_map};
use crate::remedy::quote;
use crate::text;
use crate::text::Text;
use crate::time;
use serde_json::Value;

/// The conversation's Service, if none of its endpoints is ready and nothing says that the client is
/// well all the same.
pub fn nobody_ready<'a>(view: &View<'a>) -> Option<&'a Object> {
    match view.observed().hurts() {
        Some(false) => None,
        _ => no_endpoint_ready(view),
    }
}

/// The conversation's Service, if none of its endpoints is ready, however the client fares.
pub fn no_endpoint_ready<'a>(view: &View<'a>) -> Option<&'a Object> {
    let service = view.path.service?;
    let selects = !string_map(service.get("spec.selector")).is_empty();
    let nobody = view.path.ready_backends().next().is_none() && !view.path.lacks_port();
    if !selects || !nobody {
        return None;
    }
    if service.list("spec.ports").is_empty() && view.topology.any_ready(service) {
        return None;
    }
    if view.topology.unread("EndpointSlice", service.namespace()) {
        slices_unread(view, service);
        return None;
    }
    Some(service)
}

/// Notes that nobody read where a Service leads: what is not in hand is not "none".
pub fn slices_unread(view: &View<'_>, service: &Object) {
    view.gap(
        text!(
            "whether Service {} has endpoints",
            "Service {} 是否有端点",
            service.name()
        ),
        text!(
            "its EndpointSlices were not read",
            "没有读到它的 EndpointSlice"
        ),
        Text::same(format!(
            "kubectl get endpointslices -n {} -o yaml",
            quote(service.namespace())
        )),
    );
}

/// The pods that a Service selects.
pub fn pods<'a>(view: &View<'a>, service: &Object) -> Vec<&'a Object> {
    view.topology
        .selected(service.namespace(), service.get("spec.selector"))
}

/// What happened so little ago may have happened again since it was read.
const LATELY_MS: i64 = 60_000;

/// A process of the pod is not running.
pub fn is_down(pod: &Object) -> bool {
    let down =
        |s: &Value| !at(s, "state.terminated").is_null() || !at(s, "state.waiting").is_null();
    pod.list("status.containerStatuses").iter().any(down)
}

/// A process of the pod is not running, or was started again within the last minute: that a node's rules lead nowhere says
/// nothing then about whether they follow the endpoints.
pub fn came_and_went(view: &View<'_>, pod: &Object) -> bool {
    is_down(pod) || any_lately(view, pod, &["lastState.terminated.finishedAt"])
}

/// A process of the pod was started within the last minute, for the first time or again: that it does not listen yet says
/// nothing then about what the application is told to do.
pub fn came_up_lately(view: &View<'_>, pod: &Object) -> bool {
    any_lately(
        view,
        pod,
        &["lastState.terminated.finishedAt", "state.running.startedAt"],
    )
}

fn any_lately(view: &View<'_>, pod: &Object, when: &[&str]) -> bool {
    let now = view.topology.snapshot().taken_at_ms as i64;
    let lately = |s: &Value, k: &str| {
        let then = at(s, k).as_str().and_then(time::parse);
        then.is_some_and(|t| (now - t).abs() < LATELY_MS)
    };
    let mut all = pod.list("status.containerStatuses").iter();
    all.any(|s| when.iter().any(|k| lately(s, k)))
}

/// Workloads whose pods the Service would select, and the ReplicaSets of such Deployments.
pub fn workloads<'a>(view: &View<'a>, service: &Object) -> Vec<&'a Object> {
    let selector = string_map(service.get("spec.selector"));
    let ns = service.namespace();
    let mut out: Vec<&Object> = Vec::new();
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        out.extend(view.topology.in_namespace(kind, ns).filter(|w| {
            let labels = string_map(w.get("spec.template.metadata.labels"));
            selector.iter().all(|(k, v)| labels.get(k) == Some(v))
        }));
    }
    let owned = |r: &Object| {
        let owner = view.topology.owner_of(r);
        out.iter().any(|w| w.reference() == owner)
    };
    let sets: Vec<&Object> = view
        .topology
        .in_namespace("ReplicaSet", ns)
        .filter(|r| owned(r))
        .collect();
    out.extend(sets);
    out
}

/// Events about an object, the latest first.
pub fn events<'a>(view: &View<'a>, about: &ObjectRef) -> Vec<&'a Object> {
    let mut all: Vec<&Object> = view
        .topology
        .in_namespace("Event", &about.namespace)
        .filter(|e| {
            e.str("involvedObject.kind") == about.kind && e.str("involvedObject.name") == about.name
        })
        .collect();
    all.sort_by_key(|e| std::cmp::Reverse(said_at(e)));
    all
}

/// When an event was last seen, milliseconds since 1970.
pub fn said_at(event: &Object) -> Option<i64> {
    [
        "series.lastObservedTime",
        "lastTimestamp",
        "eventTime",
        "metadata.creationTimestamp",
    ]
    .into_iter()
    .filter_map(|k| time::parse(event.str(k)))
    .max()
}

/// The condition of a type: status, reason, message.
pub fn condition<'o>(object: &'o Object, kind: &str) -> Option<(&'o str, &'o str, &'o str)> {
    let c = object
        .list("status.conditions")
        .iter()
        .find(|c| at(c, "type").as_str() == Some(kind))?;
    let word = |k: &str| at(c, k).as_str().unwrap_or("");
    Some((word("status"), word("reason"), word("message")))
}

/// Endpoints in all and ready ones, in words for evidence.
pub fn ready_of_all(view: &View<'_>) -> Text {
    let (all, ready) = (view.path.backends.len(), view.path.ready_backends().count());
    text!(
        "{ready} of {all} endpoints ready",
        "{all} 个端点中有 {ready} 个就绪"
    )
}
