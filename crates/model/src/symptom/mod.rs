//! From what a person says hurts to the conversations that are looked at.
//!
//! Names are matched against the objects that exist; words only tell the roles. What could not be
//! understood is asked back, never guessed.

mod clients;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod missing;
#[cfg(test)]
mod tests;
mod words;

pub use clients::{Reference, clients_of, references};
pub use words::{nearest, symptoms};

use crate::object::{Object, ObjectRef, at};
use crate::path::{Conversation, Destination};
use crate::report::Understood;
use crate::text;
use crate::text::Text;
use crate::topology::{Topology, is_running};
use words::{Role, Token, roles, tokens};

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `--symptom`, free words.
    pub said: String,
    /// `-n`; empty for none given.
    pub namespace: String,
    /// `--from`, `pod/NAME`, `deploy/NAME`, `node/NAME`; empty for none.
    pub from: String,
    /// `--to`, `svc/NAME:PORT`, `pod/NAME:PORT`, `HOST:PORT`, a URL; empty for none.
    pub to: String,
}

/// The most conversations that are looked at in one run.
const MOST: usize = 24;

/// Understands a request.
pub fn understand(topology: &Topology<'_>, request: &Request) -> (Understood, Vec<Conversation>) {
    let mut u = Understood {
        said: request.said.clone(),
        namespace: request.namespace.clone(),
        symptom: symptoms(&request.said),
        ..Understood::default()
    };
    let known_namespaces = topology.all("Namespace");
    if !request.namespace.is_empty()
        && !known_namespaces.is_empty()
        && topology.find("Namespace", "", &request.namespace).is_none()
    {
        let names: Vec<&str> = known_namespaces.iter().map(|n| n.name()).collect();
        let ns = &request.namespace;
        let near = did_you_mean(ns, &names);
        u.asked_back.push(text!(
            "there is no namespace {ns}{near}",
            "没有命名空间 {ns}{near:#}"
        ));
        return (u, Vec::new());
    }
    let (mut from, mut to) = (Vec::new(), Vec::new());
    if !request.from.is_empty() {
        match named_client(topology, &request.from, &request.namespace) {
            Ok(c) => from = c,
            Err(why) => u.asked_back.push(why),
        }
    }
    if !request.to.is_empty() {
        match named_target(topology, &request.to, &request.namespace) {
            Ok(t) => to.push(t),
            Err(why) => u.asked_back.push(why),
        }
    }
    if u.asked_back.is_empty() && !request.said.is_empty() {
        from_words(topology, request, &mut from, &mut to, &mut u);
    }
    if !u.asked_back.is_empty() {
        return (u, Vec::new());
    }
    let mut all = conversations(topology, &request.namespace, &from, &to);
    all.dedup();
    all.truncate(MOST);
    if all.is_empty() {
        u.asked_back.push(nothing_understood(topology, request));
    }
    u.conversations = all
        .iter()
        .map(|c| crate::path::Path::new(topology, c.clone()).describe())
        .collect();
    (u, all)
}

/// Somewhere to go: the object or host, with port and URL parts where they were said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub to: Destination,
    /// Port; none to take the object's own.
    pub port: Option<u16>,
    /// `http`, `https`, empty.
    pub scheme: String,
    /// URL path; empty for none.
    pub path: String,
}

fn did_you_mean(word: &str, names: &[&str]) -> Text {
    let near = nearest(word, names);
    if near.is_empty() {
        return Text::default();
    }
    let near = Text::new(near.join(" or "), near.join(" 或 "));
    text!("; did you mean {near}?", "；您指的是 {near:#} 吗？")
}

fn nothing_understood(topology: &Topology<'_>, request: &Request) -> Text {
    let ns = &request.namespace;
    let services: Vec<&str> = topology
        .all("Service")
        .iter()
        .filter(|s| ns.is_empty() || s.namespace() == ns)
        .map(|s| s.name())
        .take(6)
        .collect();
    let Some(first) = services.first() else {
        let none = if ns.is_empty() {
            Text::default()
        } else {
            text!(
                "; there is no Service in that namespace",
                "；该命名空间中没有 Service"
            )
        };
        return text!(
            "which conversation? say --from pod/NAME --to svc/NAME:PORT, or --to HOST:PORT{none}",
            "是哪一个会话？请指定 --from pod/NAME --to svc/NAME:PORT，或 --to HOST:PORT{none:#}"
        );
    };
    let names = Text::names(&services);
    text!(
        "which conversation is meant? Services there are {names}; say for instance --from pod/NAME --to svc/{first}",
        "指的是哪一个会话？现有的 Service：{names:#}；例如可指定 --from pod/NAME --to svc/{first}"
    )
}

/// `pod/NAME`, `deploy/NAME`, `node/NAME` or a bare name.
fn named_client(
    topology: &Topology<'_>,
    text: &str,
    namespace: &str,
) -> Result<Vec<ObjectRef>, Text> {
    let (kind, rest) = text.split_once('/').unwrap_or(("", text));
    if rest.trim().is_empty() {
        return Err(text!(
            "'{text}' names nobody; say --from pod/NAME, deploy/NAME or node/NAME",
            "“{text}”没有指明对象；请指定 --from pod/NAME、deploy/NAME 或 node/NAME"
        ));
    }
    let (name, ns) = match rest.split_once('.') {
        Some((n, ns)) if topology.find("Namespace", "", ns).is_some() => (n, ns),
        _ => (rest, namespace),
    };
    if kind == "node" || kind == "nodes" || kind == "no" {
        return match topology.find("Node", "", rest) {
            Some(n) => Ok(vec![n.reference()]),
            None => {
                let names: Vec<&str> = topology.all("Node").iter().map(|n| n.name()).collect();
                let near = did_you_mean(rest, &names);
                Err(text!(
                    "there is no node {rest}{near}",
                    "没有节点 {rest}{near:#}"
                ))
            }
        };
    }
    let here = |o: &&&Object| ns.is_empty() || o.namespace() == ns;
    let by_pod: Vec<ObjectRef> = topology
        .all("Pod")
        .iter()
        .filter(here)
        .filter(|p| p.name() == name)
        .map(|p| p.reference())
        .collect();
    if !by_pod.is_empty() && matches!(kind, "" | "pod" | "pods" | "po") {
        return Ok(by_pod);
    }
    if !matches!(kind, "pod" | "pods" | "po") {
        let found = workload(topology, name, ns);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let names: Vec<&str> = ["Deployment", "StatefulSet", "DaemonSet", "Pod"]
        .iter()
        .flat_map(|k| topology.all(k).iter().filter(here))
        .map(|o| o.name())
        .collect();
    let none = text!("no {text}", "{text}");
    Err(there_is(&none, ns, &did_you_mean(name, &names)))
}

/// `there is no pod web in namespace shop; did you mean web-1?` of `no pod web`, in Chinese of the
/// thing alone.
fn there_is(none: &Text, ns: &str, near: &Text) -> Text {
    if ns.is_empty() {
        text!("there is {none}{near}", "没有 {none:#}{near:#}")
    } else {
        text!(
            "there is {none} in namespace {ns}{near}",
            "命名空间 {ns} 中没有 {none:#}{near:#}"
        )
    }
}

/// Pods of a workload with that name, running ones first, one for each node.
fn workload(topology: &Topology<'_>, name: &str, ns: &str) -> Vec<ObjectRef> {
    let mut pods: Vec<&Object> = Vec::new();
    for kind in [
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Job",
    ] {
        for owner in topology
            .all(kind)
            .iter()
            .filter(|o| o.name() == name && (ns.is_empty() || o.namespace() == ns))
        {
            pods.extend(topology.pods_of(owner));
        }
        if !pods.is_empty() {
            break;
        }
    }
    one_per_node(pods)
}

fn one_per_node(mut pods: Vec<&Object>) -> Vec<ObjectRef> {
    pods.sort_by_key(|p| (!is_running(p), p.name()));
    let mut nodes: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    for pod in pods {
        let node = pod.str("spec.nodeName");
        if is_running(pod) && !nodes.contains(&node) && out.len() < 3 {
            nodes.push(node);
            out.push(pod.reference());
        }
    }
    out
}

/// `svc/NAME:PORT`, `pod/NAME:PORT`, `NAME.NAMESPACE:PORT`, a URL, `HOST:PORT`.
fn named_target(topology: &Topology<'_>, text: &str, namespace: &str) -> Result<Target, Text> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (kind, rest) = match rest.split_once('/') {
        Some((k, r)) if scheme.is_empty() && words::is_kind(k) => (k, r),
        _ => ("", rest),
    };
    let (authority, path) = match rest.split_once('/') {
        Some((a, p)) => (a, format!("/{p}")),
        None => (rest, String::new()),
    };
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = words::host_port(authority);
    let port = match port {
        Some(p) => Some(p.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(|| {
            text!(
                "'{p}' in '{text}' is not a port (1 to 65535)",
                "“{text}”中的“{p}”不是端口（1 到 65535）"
            )
        })?),
        None => match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        },
    };
    let host = host.trim();
    if host.is_empty() || authority.starts_with('[') != authority.contains(']') {
        return Err(text!(
            "'{text}' names no host; say svc/NAME:PORT, pod/NAME:PORT, HOST:PORT or [IPV6]:PORT",
            "“{text}”没有指明主机；请写作 svc/NAME:PORT、pod/NAME:PORT、HOST:PORT 或 [IPV6]:PORT"
        ));
    }
    let target = |to: Destination| Target {
        to,
        port,
        scheme: scheme.to_string(),
        path: path.clone(),
    };
    if matches!(kind, "pod" | "pods" | "po") {
        let found = topology
            .all("Pod")
            .iter()
            .find(|p| match host.strip_prefix(p.name()) {
                Some("") => namespace.is_empty() || p.namespace() == namespace,
                Some(tail) => tail.strip_prefix('.') == Some(p.namespace()),
                None => false,
            });
        return found
            .map(|p| target(Destination::Pod(p.reference())))
            .ok_or_else(|| {
                let names: Vec<&str> = topology.all("Pod").iter().map(|p| p.name()).collect();
                let none = text!("no pod {host}", "Pod {host}");
                there_is(&none, namespace, &did_you_mean(host, &names))
            });
    }
    if let Some(s) = words::service_named(topology, host, namespace) {
        return Ok(target(Destination::Service(s)));
    }
    // Somebody is configured for it: that it does not exist may be the very trouble.
    if let Some(s) = clients::missing_named(topology, host, namespace) {
        return Ok(target(Destination::Service(s)));
    }
    if !kind.is_empty() {
        let names: Vec<&str> = topology.all("Service").iter().map(|p| p.name()).collect();
        let none = text!("no Service {host}", "Service {host}");
        return Err(there_is(&none, namespace, &did_you_mean(host, &names)));
    }
    if port.is_none() && scheme.is_empty() {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_string()
        };
        return Err(text!(
            "which port of {host}? say --to {host}:PORT",
            "{host} 的哪个端口？请指定 --to {host}:PORT"
        ));
    }
    Ok(target(Destination::Host(host.to_string())))
}

fn from_words(
    topology: &Topology<'_>,
    request: &Request,
    from: &mut Vec<ObjectRef>,
    to: &mut Vec<Target>,
    u: &mut Understood,
) {
    let all = tokens(topology, &request.said, &request.namespace);
    let all = roles(&request.said, all);
    for Token {
        role, text, joined, ..
    } in &all
    {
        match role {
            Role::Client if (from.is_empty() || *joined) && request.from.is_empty() => {
                if let Ok(c) = named_client(topology, text, &request.namespace)
                    .or_else(|e| named_client(topology, text, "").map_err(|_| e))
                {
                    from.extend(c);
                }
            }
            Role::Server if (to.is_empty() || *joined) && request.to.is_empty() => {
                match named_target(topology, text, &request.namespace) {
                    Ok(t) => to.push(t),
                    Err(_) => {
                        if let Ok(t) = named_target(topology, text, "") {
                            to.push(t);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    let known = words::known_names(topology);
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    for word in words::strange_names(&request.said, &known, all.len() < 2) {
        let none = text!("nothing called {word}", "名为 {word} 的对象");
        let near = did_you_mean(&word, &names);
        u.asked_back
            .push(there_is(&none, &request.namespace, &near));
    }
    if from.is_empty() && to.is_empty() && request.namespace.is_empty() && u.asked_back.is_empty() {
        u.asked_back.push(nothing_understood(topology, request));
    }
}

fn conversations(
    topology: &Topology<'_>,
    namespace: &str,
    from: &[ObjectRef],
    to: &[Target],
) -> Vec<Conversation> {
    let mut out = Vec::new();
    match (from.is_empty(), to.is_empty()) {
        (_, false) => {
            for t in to {
                let froms = if from.is_empty() {
                    clients_of(topology, &t.to)
                } else {
                    from.to_vec()
                };
                let froms: Vec<Option<ObjectRef>> = if froms.is_empty() {
                    vec![None]
                } else {
                    froms.into_iter().map(Some).collect()
                };
                for f in froms {
                    out.extend(of_target(topology, f, t));
                }
            }
        }
        (false, true) => {
            for f in from {
                out.extend(of_client(topology, f));
            }
        }
        (true, true) => {
            for pod in workload_pods(topology, namespace) {
                out.extend(of_client(topology, &pod));
            }
            for service in topology.in_namespace("Service", namespace) {
                let to = Destination::Service(service.reference());
                if !out.iter().any(|c: &Conversation| c.to == to) {
                    for f in clients_of(topology, &to).into_iter().take(1) {
                        out.extend(of_target(
                            topology,
                            Some(f),
                            &Target {
                                to: to.clone(),
                                port: None,
                                scheme: String::new(),
                                path: String::new(),
                            },
                        ));
                    }
                }
            }
        }
    }
    out
}

/// One running pod of each workload and node in a namespace.
fn workload_pods(topology: &Topology<'_>, namespace: &str) -> Vec<ObjectRef> {
    let mut owners: Vec<ObjectRef> = Vec::new();
    for pod in topology.in_namespace("Pod", namespace) {
        let owner = topology.owner_of(pod);
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    owners
        .iter()
        .flat_map(|o| {
            topology
                .get(o)
                .map(|o| one_per_node(topology.pods_of(o)))
                .unwrap_or_default()
        })
        .collect()
}

/// What a client's own configuration says it talks to.
fn of_client(topology: &Topology<'_>, from: &ObjectRef) -> Vec<Conversation> {
    let Some(pod) = topology.get(from) else {
        return Vec::new();
    };
    references(topology, pod)
        .into_iter()
        .flat_map(|r| {
            of_target(
                topology,
                Some(from.clone()),
                &Target {
                    to: Destination::Service(r.service),
                    port: r.port,
                    scheme: r.scheme,
                    path: r.path,
                },
            )
        })
        .collect()
}

/// A target's ports as conversations.
fn of_target(topology: &Topology<'_>, from: Option<ObjectRef>, t: &Target) -> Vec<Conversation> {
    let said = from
        .as_ref()
        .and_then(|f| topology.get(f))
        .map(|pod| references(topology, pod))
        .unwrap_or_default();
    match &t.to {
        Destination::Service(r) => {
            let own = said.iter().find(|s| s.service == *r);
            let wanted = t.port.or(own.and_then(|o| o.port));
            let Some(service) = topology.get(r) else {
                let scheme = own.map_or(t.scheme.as_str(), |o| o.scheme.as_str());
                let port = wanted.unwrap_or(if scheme == "https" { 443 } else { 80 });
                let path = own
                    .map(|o| o.path.as_str())
                    .filter(|_| t.path.is_empty())
                    .unwrap_or(&t.path);
                let to = r.clone();
                return vec![clients::missing_conversation(from, to, port, scheme, path)];
            };
            let ports: Vec<u16> = service
                .list("spec.ports")
                .iter()
                .filter_map(|p| u16::try_from(at(p, "port").as_i64()?).ok())
                .collect();
            let chosen: Vec<u16> = match wanted {
                Some(p) => vec![p],
                None if ports.is_empty() => vec![80],
                None => ports,
            };
            let scheme = if t.scheme.is_empty() {
                own.map(|o| o.scheme.clone()).unwrap_or_default()
            } else {
                t.scheme.clone()
            };
            chosen
                .into_iter()
                .map(|port| {
                    clients::service_conversation(
                        topology,
                        from.clone(),
                        service,
                        port,
                        &scheme,
                        &t.path,
                    )
                })
                .collect()
        }
        Destination::Pod(r) => {
            let Some(pod) = topology.get(r) else {
                return Vec::new();
            };
            let declared = pod
                .list("spec.containers")
                .iter()
                .flat_map(|c| at(c, "ports").as_array().cloned().unwrap_or_default());
            let ports: Vec<u16> = match t.port {
                Some(p) => vec![p],
                None => declared
                    .filter_map(|p| u16::try_from(at(&p, "containerPort").as_i64()?).ok())
                    .collect(),
            };
            ports
                .into_iter()
                .map(|port| clients::pod_conversation(from.clone(), pod, port, &t.scheme, &t.path))
                .collect()
        }
        Destination::Host(h) => {
            let port = t.port.unwrap_or(if t.scheme == "https" { 443 } else { 80 });
            let tls = t.scheme == "https" || matches!(port, 443 | 8443 | 6443);
            let http = (tls && port != 6443 || t.scheme == "http" || matches!(port, 80 | 8080))
                .then(|| {
                    if t.path.is_empty() {
                        "/".to_string()
                    } else {
                        t.path.clone()
                    }
                });
            vec![Conversation {
                from,
                to: Destination::Host(h.clone()),
                port,
                protocol: "TCP".into(),
                tls,
                http,
            }]
        }
    }
}
