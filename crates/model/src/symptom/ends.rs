//! The two ends as they are written: `deploy/web`, `svc/cart.shop:http`, `shop/cart`, a URL.

use super::nearest;
use super::{clients, routes, words};
use crate::object::{Object, ObjectRef, at};
use crate::path::Destination;
use crate::route;
use crate::text;
use crate::text::Text;
use crate::topology::{Topology, is_running};

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
    /// `TCP`, `UDP`; empty to take the port's own.
    pub protocol: String,
    /// The Ingress or HTTPRoute that is meant, or behind which it is.
    pub through: Option<ObjectRef>,
}

impl Target {
    /// Any port of a destination, spoken to as its objects say.
    pub fn any(to: Destination) -> Target {
        Target {
            to,
            port: None,
            scheme: String::new(),
            path: String::new(),
            protocol: String::new(),
            through: None,
        }
    }
}

/// `; did you mean web?`, or nothing where no name is near.
pub fn did_you_mean(word: &str, names: &[&str]) -> Text {
    let near = nearest(word, names);
    if near.is_empty() {
        return Text::default();
    }
    let near = Text::new(near.join(" or "), near.join(" 或 "));
    text!("; did you mean {near}?", "；您指的是 {near:#} 吗？")
}

/// The same, and where nothing is near: what is there.
pub fn or_what_is_there(word: &str, names: &[&str]) -> Text {
    let near = did_you_mean(word, names);
    if !near.is_empty() || names.is_empty() {
        return near;
    }
    let mut few = names.to_vec();
    few.sort_unstable();
    few.dedup();
    let more = few.len() > 6;
    few.truncate(6);
    let there = few.join(", ");
    if more {
        text!("; there are {there}, ...", "；现有：{there}……")
    } else {
        text!("; there is {there}", "；现有：{there}")
    }
}

/// `there is no pod web in namespace shop; did you mean web-1?` of `no pod web`, in Chinese of the
/// thing alone.
pub fn there_is(none: &Text, ns: &str, near: &Text) -> Text {
    if ns.is_empty() {
        text!("there is {none}{near}", "没有 {none:#}{near:#}")
    } else {
        text!(
            "there is {none} in namespace {ns}{near}",
            "命名空间 {ns} 中没有 {none:#}{near:#}"
        )
    }
}

/// The namespace written before a name, `shop/cart`, and the name; else the namespace given.
fn namespaced<'t>(topology: &Topology<'_>, text: &'t str, given: &'t str) -> (&'t str, &'t str) {
    match text.split_once('/') {
        Some((ns, rest))
            if words::kind_of(ns).is_none()
                && topology.has_namespace(ns)
                && !rest.trim().is_empty() =>
        {
            (ns, rest)
        }
        _ => (given, text),
    }
}

/// `web.shop` as name and namespace, where there is such a namespace.
fn dotted<'t>(topology: &Topology<'_>, text: &'t str, given: &'t str) -> (&'t str, &'t str) {
    match text.split_once('.') {
        Some((n, ns)) if topology.has_namespace(ns) => (n, ns),
        _ => (text, given),
    }
}

/// `pod/NAME`, `deploy/NAME`, `node/NAME`, `NAMESPACE/NAME` or a bare name.
pub fn named_client(
    topology: &Topology<'_>,
    text: &str,
    namespace: &str,
) -> Result<Vec<ObjectRef>, Text> {
    let (ns, rest) = namespaced(topology, text, namespace);
    let (kind, rest) = match rest.split_once('/') {
        Some((k, r)) => (kind_or_error(topology, k, text)?, r),
        None => ("", rest),
    };
    if rest.trim().is_empty() {
        return Err(text!(
            "'{text}' names nobody; say --from pod/NAME, deploy/NAME or node/NAME",
            "“{text}”没有指明对象；请指定 --from pod/NAME、deploy/NAME 或 node/NAME"
        ));
    }
    if kind == "Node" {
        return match topology.find("Node", "", rest) {
            Some(n) => Ok(vec![n.reference()]),
            None => {
                let names: Vec<&str> = topology.all("Node").iter().map(|n| n.name()).collect();
                let near = or_what_is_there(rest, &names);
                Err(text!(
                    "there is no node {rest}{near}",
                    "没有节点 {rest}{near:#}"
                ))
            }
        };
    }
    let (name, ns) = dotted(topology, words::host_port(rest).0, ns);
    let here = |o: &&&Object| ns.is_empty() || o.namespace() == ns;
    if matches!(kind, "" | "Pod") {
        let pods = topology.all("Pod").iter().filter(here);
        let by_pod: Vec<ObjectRef> = pods
            .filter(|p| p.name() == name)
            .map(|p| p.reference())
            .collect();
        if !by_pod.is_empty() {
            return Ok(by_pod);
        }
    }
    let kinds: &[&str] = match kind {
        "" => WORKLOADS,
        "Pod" => &[],
        one => &[one],
    };
    let found = workload(topology, kinds, name, ns);
    if !found.is_empty() {
        return Ok(found);
    }
    let names: Vec<&str> = ["Deployment", "StatefulSet", "DaemonSet", "Pod"]
        .iter()
        .filter(|k| kind.is_empty() || kind == **k)
        .flat_map(|k| topology.all(k).iter().filter(here))
        .map(|o| o.name())
        .collect();
    let exists = kinds.iter().any(|k| {
        topology
            .all(k)
            .iter()
            .filter(here)
            .any(|o| o.name() == name)
    });
    if exists {
        return Err(text!(
            "{text} has no running pod to ask from",
            "{text} 没有可供提问的运行中的 Pod"
        ));
    }
    let none = text!("no {text}", "{text}");
    Err(there_is(&none, ns, &or_what_is_there(name, &names)))
}

/// Kinds whose pods ask. A Service's pods do too: people call an application by its Service's name.
const WORKLOADS: &[&str] = &[
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "Service",
];

fn kind_or_error(topology: &Topology<'_>, word: &str, text: &str) -> Result<&'static str, Text> {
    if let Some(kind) = words::kind_of(word) {
        return Ok(kind);
    }
    let mut names = vec!["pod", "deploy", "sts", "ds", "node", "svc"];
    names.extend(topology.all("Namespace").iter().map(|n| n.name()));
    let near = did_you_mean(word, &names);
    Err(text!(
        "'{word}' in '{text}' is neither a kind (pod, deploy, sts, ds, job, node, svc) nor a namespace{near}",
        "“{text}”中的“{word}”既不是种类（pod、deploy、sts、ds、job、node、svc）也不是命名空间{near:#}"
    ))
}

/// Pods of a workload (or behind a Service) with that name, running ones, one for each node.
fn workload(topology: &Topology<'_>, kinds: &[&str], name: &str, ns: &str) -> Vec<ObjectRef> {
    let mut pods: Vec<&Object> = Vec::new();
    for kind in kinds {
        for owner in topology
            .all(kind)
            .iter()
            .filter(|o| o.name() == name && (ns.is_empty() || o.namespace() == ns))
        {
            if owner.kind() == "Service" {
                let selector = owner.get("spec.selector");
                pods.extend(topology.selected(owner.namespace(), selector));
            } else {
                pods.extend(topology.pods_of(owner));
            }
        }
        if !pods.is_empty() {
            break;
        }
    }
    one_per_node(pods)
}

/// Running pods of a list, one for each node, at most three.
pub fn one_per_node(mut pods: Vec<&Object>) -> Vec<ObjectRef> {
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

/// The cluster's DNS has no client that a setting names: everybody asks it. A node that carries one of its pods and one
/// that carries none stand for all.
pub fn nodes_that_ask(topology: &Topology<'_>, dns: &Object) -> Vec<ObjectRef> {
    let pods = topology.selected(dns.namespace(), dns.get("spec.selector"));
    let carries = |n: &&&Object| pods.iter().any(|p| p.str("spec.nodeName") == n.name());
    let nodes = topology.all("Node");
    let first = |with: bool| {
        nodes
            .iter()
            .filter(|n| carries(n) == with)
            .min_by_key(|n| n.name())
    };
    [false, true]
        .into_iter()
        .filter_map(|with| first(with).map(|n| n.reference()))
        .collect()
}

/// A port as it was written.
enum Port<'t> {
    None,
    Number(u16),
    Named(&'t str),
}

fn port_written<'t>(port: Option<&'t str>, scheme: &str, text: &str) -> Result<Port<'t>, Text> {
    let Some(p) = port else {
        return Ok(match scheme {
            "http" => Port::Number(80),
            "https" => Port::Number(443),
            _ => Port::None,
        });
    };
    if let Some(n) = p.parse::<u16>().ok().filter(|p| *p > 0) {
        return Ok(Port::Number(n));
    }
    let is_name = p.bytes().any(|b| b.is_ascii_lowercase())
        && p.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if is_name {
        return Ok(Port::Named(p));
    }
    Err(text!(
        "'{p}' in '{text}' is not a port (1 to 65535)",
        "“{text}”中的“{p}”不是端口（1 到 65535）"
    ))
}

/// Number and protocol of a named port among the entries of a Service or of containers.
fn port_named(
    entries: &[&serde_json::Value],
    key: &str,
    name: &str,
    whose: &Text,
) -> Result<(u16, String), Text> {
    let number = |p: &serde_json::Value| at(p, key).as_u64().and_then(|n| u16::try_from(n).ok());
    let found = entries
        .iter()
        .find(|p| at(p, "name").as_str() == Some(name));
    if let Some((entry, n)) = found.and_then(|p| Some((p, number(p)?))) {
        let protocol = at(entry, "protocol").as_str().unwrap_or("TCP");
        return Ok((n, protocol.to_string()));
    }
    let has: Vec<String> = entries
        .iter()
        .filter_map(|p| {
            let n = number(p)?;
            Some(match at(p, "name").as_str() {
                Some(name) => format!("{n} ({name})"),
                None => n.to_string(),
            })
        })
        .collect();
    let has = Text::names(&has);
    Err(text!(
        "{whose} has no port named {name}; it has {has}",
        "{whose:#} 没有名为 {name} 的端口；它的端口是 {has:#}"
    ))
}

/// `svc/NAME:PORT`, `pod/NAME:PORT`, `NAMESPACE/NAME:PORT`, `NAME.NAMESPACE:PORT`, a URL, `HOST:PORT`; with
/// `/udp` behind the port where it is not TCP.
pub fn named_target(topology: &Topology<'_>, text: &str, namespace: &str) -> Result<Target, Text> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    if !scheme.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(text!(
            "'{scheme}' in '{text}' is no scheme of a URL; say http://HOST/, https://HOST/, svc/NAME:PORT or HOST:PORT",
            "“{text}”中的“{scheme}”不是 URL 协议；请写作 http://HOST/、https://HOST/、svc/NAME:PORT 或 HOST:PORT"
        ));
    }
    let (ns, rest) = match scheme {
        "" => namespaced(topology, rest, namespace),
        _ => (namespace, rest),
    };
    let (kind, rest) = match rest.split_once('/') {
        Some((k, r)) if scheme.is_empty() => match words::kind_of(k) {
            Some(kind) => (kind, r),
            None => ("", rest),
        },
        _ => ("", rest),
    };
    let (authority, mut path) = match rest.split_once('/') {
        Some((a, p)) => (a, format!("/{p}")),
        None => (rest, String::new()),
    };
    let mut scheme = scheme.to_string();
    let mut protocol = String::new();
    for (said, after) in [(&mut scheme, ""), (&mut path, "/")] {
        let word = said.strip_prefix(after).unwrap_or("").to_ascii_uppercase();
        match word.as_str() {
            "TCP" | "UDP" => {
                protocol = word;
                said.clear();
            }
            "SCTP" => {
                return Err(text!(
                    "'{text}' is SCTP, which is not asked; TCP and UDP are",
                    "“{text}”是 SCTP，无法探测；可以探测 TCP 与 UDP"
                ));
            }
            _ => {}
        }
    }
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = words::host_port(authority);
    let port = port_written(port, &scheme, text)?;
    let host = host.trim();
    if host.is_empty() || authority.starts_with('[') != authority.contains(']') {
        return Err(text!(
            "'{text}' names no host; say svc/NAME:PORT, pod/NAME:PORT, HOST:PORT or [IPV6]:PORT",
            "“{text}”没有指明主机；请写作 svc/NAME:PORT、pod/NAME:PORT、HOST:PORT 或 [IPV6]:PORT"
        ));
    }
    let target = Target {
        port: match port {
            Port::Number(n) => Some(n),
            _ => None,
        },
        scheme,
        path,
        protocol,
        ..Target::any(Destination::Host(host.to_string()))
    };
    of_object(topology, text, (kind, host, ns), port, target)
}

/// The object that kind and name mean, as the target's destination.
fn of_object(
    topology: &Topology<'_>,
    text: &str,
    (kind, host, ns): (&str, &str, &str),
    port: Port<'_>,
    mut target: Target,
) -> Result<Target, Text> {
    if kind == "Pod" {
        return pod_target(topology, (host, ns), port, target);
    }
    if let Some(found) = of_route(topology, (kind, host, ns)) {
        target.through = Some(found?);
        return Ok(target);
    }
    if !matches!(kind, "" | "Service") {
        return Err(no_address(topology, kind, host, ns, text));
    }
    if let Some(s) = words::service_named(topology, host, ns) {
        if let (Port::Named(name), Some(service)) = (&port, topology.get(&s)) {
            let entries: Vec<_> = service.list("spec.ports").iter().collect();
            let whose = Text::same(format!("Service {}", s.name));
            let (number, own) = port_named(&entries, "port", name, &whose)?;
            target.port = Some(number);
            if target.protocol.is_empty() {
                target.protocol = own;
            }
        }
        target.to = Destination::Service(s);
        return Ok(target);
    }
    if let Port::Named(p) = port {
        return Err(text!(
            "'{p}' in '{text}' is not a port (1 to 65535), and no Service is there that has such a name for one",
            "“{text}”中的“{p}”不是端口（1 到 65535），也没有 Service 以它命名端口"
        ));
    }
    // Somebody is configured for it: that it does not exist may be the very trouble.
    if let Some(s) = clients::missing_named(topology, host, ns) {
        target.to = Destination::Service(s);
        return Ok(target);
    }
    if !kind.is_empty() {
        let here = |o: &&&Object| ns.is_empty() || o.namespace() == ns;
        let all = topology.all("Service").iter().filter(here);
        let names: Vec<&str> = all.map(|p| p.name()).collect();
        let none = text!("no Service {host}", "Service {host}");
        return Err(there_is(&none, ns, &or_what_is_there(host, &names)));
    }
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Pod"] {
        let (name, ns) = dotted(topology, host, ns);
        let here = |o: &&Object| o.name() == name && (ns.is_empty() || o.namespace() == ns);
        if topology.all(kind).iter().any(here) {
            return Err(no_address(topology, kind, name, ns, text));
        }
    }
    if let Some(route) = routes::named(topology, "", host, ns) {
        target.through = Some(route.reference());
        return Ok(target);
    }
    let served = !route::serving(topology, host).is_empty();
    if target.port.is_none() && target.scheme.is_empty() && !served {
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
    Ok(target)
}

/// The Ingress or HTTPRoute of that kind and name; none where another kind is meant.
fn of_route(
    topology: &Topology<'_>,
    (kind, name, ns): (&str, &str, &str),
) -> Option<Result<ObjectRef, Text>> {
    let kind = *route::KINDS.iter().find(|k| **k == kind)?;
    let Some(found) = routes::named(topology, kind, name, ns) else {
        let here = |o: &&&Object| ns.is_empty() || o.namespace() == ns;
        let all = topology.all(kind).iter().filter(here);
        let names: Vec<&str> = all.map(|o| o.name()).collect();
        let none = text!("no {kind} {name}", "{kind} {name}");
        return Some(Err(there_is(&none, ns, &or_what_is_there(name, &names))));
    };
    if route::sends(found).is_empty() {
        return Some(Err(text!(
            "{kind} {name} sends nothing to a Service, so there is nothing behind it to look at",
            "{kind} {name} 不转发到任何 Service，其后没有可检查的对象"
        )));
    }
    Some(Ok(found.reference()))
}

fn pod_target(
    topology: &Topology<'_>,
    (host, ns): (&str, &str),
    port: Port<'_>,
    mut target: Target,
) -> Result<Target, Text> {
    let found = topology
        .all("Pod")
        .iter()
        .find(|p| match host.strip_prefix(p.name()) {
            Some("") => ns.is_empty() || p.namespace() == ns,
            Some(tail) => tail.strip_prefix('.') == Some(p.namespace()),
            None => false,
        });
    let Some(pod) = found else {
        let here = |o: &&&Object| ns.is_empty() || o.namespace() == ns;
        let names: Vec<&str> = topology
            .all("Pod")
            .iter()
            .filter(here)
            .map(|p| p.name())
            .collect();
        let none = text!("no pod {host}", "Pod {host}");
        return Err(there_is(&none, ns, &or_what_is_there(host, &names)));
    };
    if let Port::Named(name) = port {
        let entries: Vec<_> = pod
            .list("spec.containers")
            .iter()
            .flat_map(|c| at(c, "ports").as_array().map(Vec::as_slice).unwrap_or(&[]))
            .collect();
        let whose = Text::same(format!("Pod {}", pod.name()));
        let (number, own) = port_named(&entries, "containerPort", name, &whose)?;
        target.port = Some(number);
        if target.protocol.is_empty() {
            target.protocol = own;
        }
    }
    target.to = Destination::Pod(pod.reference());
    Ok(target)
}

/// What has no address of its own is not taken for something that has one.
fn no_address(topology: &Topology<'_>, kind: &str, name: &str, ns: &str, text: &str) -> Text {
    let nodes = topology.all("Node");
    if kind == "Node" && !nodes.is_empty() && !nodes.iter().any(|n| n.name() == name) {
        let names: Vec<&str> = nodes.iter().map(|n| n.name()).take(8).collect();
        let there = names.join(", ");
        return text!(
            "there is no Node {name}; there is {there}",
            "没有节点 {name}；现有：{there}"
        );
    }
    if kind == "Node" {
        return text!(
            "'{text}' is a node: say --to ADDRESS:PORT",
            "“{text}”是节点：请指定 --to 地址:PORT"
        );
    }
    let owner = topology
        .all(kind)
        .iter()
        .find(|o| o.name() == name && (ns.is_empty() || o.namespace() == ns));
    let Some(owner) = owner else {
        let here = |o: &&&Object| ns.is_empty() || o.namespace() == ns;
        let names: Vec<&str> = topology
            .all(kind)
            .iter()
            .filter(here)
            .map(|o| o.name())
            .collect();
        let none = text!("no {kind} {name}", "{kind} {name}");
        return there_is(&none, ns, &or_what_is_there(name, &names));
    };
    let pods = topology.pods_of(owner);
    let pod = pods.first().map_or("NAME", |p| p.name());
    let port = pods
        .iter()
        .flat_map(|p| p.list("spec.containers"))
        .flat_map(|c| at(c, "ports").as_array().map(Vec::as_slice).unwrap_or(&[]))
        .find_map(|p| at(p, "containerPort").as_i64())
        .map_or("PORT".to_string(), |p| p.to_string());
    let behind = topology
        .in_namespace("Service", owner.namespace())
        .find(|s| {
            let selected = topology.selected(s.namespace(), s.get("spec.selector"));
            selected
                .iter()
                .any(|p| pods.iter().any(|q| q.name() == p.name()))
        });
    match behind {
        Some(s) => text!(
            "{kind} {name} has no address of its own: say --to svc/{} for the Service before it, or --to pod/{pod}:{port} for one of its pods",
            "{kind} {name} 没有自己的地址：请指定 --to svc/{}（它前面的 Service），或 --to pod/{pod}:{port}（它的某个 Pod）",
            s.name()
        ),
        None => text!(
            "no Service leads to {kind} {name}, so nobody can call it by that name: say --to pod/{pod}:{port} for one of its pods",
            "没有 Service 指向 {kind} {name}，因此无法以该名称调用它：请指定 --to pod/{pod}:{port}（它的某个 Pod）"
        ),
    }
}
