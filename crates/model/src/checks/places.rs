//! What several checks share: which nodes a failing conversation crosses, and whose template to
//! mend.

use crate::check::View;
use crate::object::{Object, ObjectRef, at};
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Outcome, Question, Transport};
use crate::topology::Endpoint;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// Endpoints that gave no answer at all: silent, or said to be unreachable.
pub fn lost<'v, 'a>(view: &'v View<'a>) -> Vec<(&'v Endpoint, &'a Answered)> {
    let o = view.observed();
    let mut out = o.endpoints_that(Outcome::Silent);
    out.extend(o.endpoints_that(Outcome::Unreachable));
    out
}

/// The conversation loses packets: the front or an endpoint is silent or unreachable, or no DNS
/// server answers.
pub fn loses(view: &View<'_>) -> bool {
    let o = view.observed();
    let front = o.some_connect(Outcome::Silent) || o.some_connect(Outcome::Unreachable);
    front || !lost(view).is_empty() || o.name_fails() == Some(true) || view.supposes_loss()
}

/// Nodes that failing traffic crosses, with the hop they are: the client's, then those of the
/// endpoints that gave no answer (of the DNS endpoints, when names fail).
pub fn nodes(view: &View<'_>) -> Vec<(String, HopKind)> {
    let mut out: Vec<(String, HopKind)> = Vec::new();
    let mut add = |node: &str, hop: HopKind| {
        if !node.is_empty() && !out.iter().any(|(n, _)| n == node) {
            out.push((node.to_string(), hop));
        }
    };
    add(&view.path.client_node, HopKind::ClientNode);
    for (e, _) in lost(view) {
        add(&e.node, HopKind::ServerNode);
    }
    if view.supposes_loss() {
        for e in &view.path.backends {
            add(&e.node, HopKind::ServerNode);
        }
    }
    if view.observed().name_fails() == Some(true) {
        for e in dns_endpoints(view) {
            add(&e.node, HopKind::ServerNode);
        }
    }
    out
}

/// Addresses of the cluster DNS that the client can reach by family.
pub fn dns_addresses(view: &View<'_>) -> Vec<SocketAddr> {
    let Some(dns) = view.topology.dns() else {
        return told_by_the_client(view);
    };
    let mut out: Vec<SocketAddr> = crate::topology::addresses_of_service(dns)
        .into_iter()
        .filter(|a| has_family(&view.path.client_addresses, *a))
        .map(|a| SocketAddr::new(a, 53))
        .collect();
    // A cache on the client's node speaks for it.
    let cache = view.path.cache.as_ref();
    let cache = cache.map(|c| SocketAddr::new(c.address, 53));
    out.extend(cache.filter(|c| !out.contains(c)));
    out
}

/// Where the Service of the cluster's DNS may not be read: the servers that kubelet wrote into the client's own file, if they
/// answer as only the cluster's DNS does.
fn told_by_the_client(view: &View<'_>) -> Vec<SocketAddr> {
    let known = format!("kubernetes.default.svc.{}", view.topology.domain());
    let mut servers = servers_by_kubelet(view);
    servers.retain(|server| {
        let question = Question::Resolve {
            name: known.clone(),
            record: if server.is_ipv4() { "A" } else { "AAAA" }.into(),
            server: *server,
            over: Transport::Udp,
            timeout_ms: crate::observe::FAR_MS,
        };
        let answered = view.ask(view.path.vantage(), question);
        matches!(answered.map(|a| &a.answer), Some(Answer::Resolve(r)) if !r.answers.is_empty())
    });
    servers
}

/// Where the Service of the cluster's DNS may not be read: the servers in the client's own file, if its settings leave that to
/// kubelet, which writes the cluster's there.
pub fn servers_by_kubelet(view: &View<'_>) -> Vec<SocketAddr> {
    let (Some(client), true) = (
        view.path.client,
        view.topology.unread("Service", "kube-system"),
    ) else {
        return Vec::new();
    };
    let policy = client.str("spec.dnsPolicy");
    let on_host = client.get("spec.hostNetwork").as_bool() == Some(true);
    let written = policy == "ClusterFirstWithHostNet" || policy == "ClusterFirst" && !on_host;
    if !written || !client.list("spec.dnsConfig.nameservers").is_empty() {
        return Vec::new();
    }
    let asked = view.ask(view.path.vantage(), Question::ResolvConf);
    let Some(Answer::ResolvConf(file)) = asked.map(|a| &a.answer) else {
        return Vec::new();
    };
    let servers = file.nameservers.iter();
    servers.map(|a| SocketAddr::new(*a, 53)).collect()
}

/// Endpoints of the cluster DNS (port 53/UDP's slices; the list is the same for TCP).
pub fn dns_endpoints(view: &View<'_>) -> Vec<Endpoint> {
    view.topology
        .dns()
        .map(|s| view.topology.endpoints(s, 53))
        .unwrap_or_default()
}

/// The list has an address of that family, or is empty.
pub fn has_family(list: &[IpAddr], address: IpAddr) -> bool {
    list.is_empty() || list.iter().any(|a| a.is_ipv4() == address.is_ipv4())
}

/// A node as a subject.
pub fn node(name: &str) -> ObjectRef {
    ObjectRef::new("Node", "", name)
}

/// A patch of the pod template of a workload (or of a bare pod's spec).
pub fn template_patch(owner: &ObjectRef, spec: Value) -> Value {
    if owner.kind == "Pod" {
        json!({ "spec": spec })
    } else {
        json!({"spec": {"template": {"spec": spec}}})
    }
}

/// Environment entries and arguments of a pod's containers as (container, name, value); arguments
/// have the name `args` or `command`.
pub fn settings(pod: &Object) -> Vec<(String, String, String)> {
    let mut out = Vec::new();
    for c in pod.list("spec.containers") {
        let container = at(c, "name").as_str().unwrap_or("");
        let text = |v: &Value, k: &str| at(v, k).as_str().map(str::to_string);
        for e in at(c, "env").as_array().map(Vec::as_slice).unwrap_or(&[]) {
            if let (Some(n), Some(v)) = (text(e, "name"), text(e, "value")) {
                out.push((container.into(), n, v));
            }
        }
        for key in ["command", "args"] {
            for a in at(c, key).as_array().map(Vec::as_slice).unwrap_or(&[]) {
                out.extend(
                    a.as_str()
                        .map(|a| (container.to_string(), key.to_string(), a.to_string())),
                );
            }
        }
    }
    out
}
