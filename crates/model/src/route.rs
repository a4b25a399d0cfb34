//! Ingress and HTTPRoute: which hosts and paths they serve, to which Service they send, and whether that can work. A walk
//! along references; nobody's controller is asked.

use crate::object::{Object, ObjectRef, at, string_map};
use crate::path::{Destination, Path};
use crate::topology::Topology;
use serde_json::Value;

/// Kinds that take requests for a host and send them to a Service.
pub const KINDS: [&str; 2] = ["Ingress", "HTTPRoute"];

/// A port as a route writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// By number.
    Number(u16),
    /// By the name of a Service's port; only an Ingress can.
    Named(String),
    /// Not at all.
    Unsaid,
}

/// One backend of a route: requests for these hosts and this path go to that Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sends {
    /// Hosts; none for every host.
    pub hosts: Vec<String>,
    /// Path; empty for every path.
    pub path: String,
    /// Where to.
    pub service: ObjectRef,
    /// Which port of it.
    pub port: Port,
    /// Where the Service's name stands in the route: `spec.rules.0.http.paths.1.backend.service`.
    pub field: String,
}

impl Sends {
    /// `shop.example.com/cart`; the hosts are those that the route names.
    pub fn asked(&self) -> String {
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        let hosts = self.hosts.join(",");
        if hosts.is_empty() {
            path.to_string()
        } else {
            format!("{hosts}{path}")
        }
    }

    /// The number of the port: as written, or as the Service says of the name. 0 where it has no such port.
    pub fn number(&self, topology: &Topology<'_>) -> u16 {
        match &self.port {
            Port::Number(n) => *n,
            Port::Unsaid => 0,
            Port::Named(name) => {
                let service = topology.get(&self.service);
                let ports = service.map_or(&[][..], |s| s.list("spec.ports"));
                let entry = ports
                    .iter()
                    .find(|p| at(p, "name").as_str() == Some(name.as_str()));
                entry
                    .and_then(|p| u16::try_from(at(p, "port").as_i64()?).ok())
                    .unwrap_or(0)
            }
        }
    }

    /// The port as it is written.
    pub fn port_word(&self) -> String {
        match &self.port {
            Port::Number(n) => n.to_string(),
            Port::Named(n) => n.clone(),
            Port::Unsaid => String::new(),
        }
    }
}

fn items<'a>(v: &'a Value, key: &str) -> &'a [Value] {
    at(v, key).as_array().map(Vec::as_slice).unwrap_or(&[])
}

fn word<'a>(v: &'a Value, key: &str) -> &'a str {
    at(v, key).as_str().unwrap_or("")
}

fn number(v: &Value) -> Option<u16> {
    v.as_u64().and_then(|n| u16::try_from(n).ok())
}

/// Everything that a route sends to Services, in its order.
pub fn sends(route: &Object) -> Vec<Sends> {
    match route.kind() {
        "Ingress" => of_ingress(route),
        "HTTPRoute" => of_http_route(route),
        _ => Vec::new(),
    }
}

fn of_ingress(route: &Object) -> Vec<Sends> {
    let one = |backend: &Value, hosts: Vec<String>, path: &str, field: String| {
        let service = at(backend, "service");
        let name = word(service, "name");
        (!name.is_empty()).then(|| Sends {
            hosts,
            path: path.into(),
            service: ObjectRef::new("Service", route.namespace(), name),
            port: match (
                number(at(service, "port.number")),
                word(service, "port.name"),
            ) {
                (Some(n), _) => Port::Number(n),
                (None, "") => Port::Unsaid,
                (None, name) => Port::Named(name.into()),
            },
            field,
        })
    };
    let mut out = Vec::new();
    for (i, rule) in route.list("spec.rules").iter().enumerate() {
        let hosts: Vec<String> = Some(word(rule, "host"))
            .filter(|h| !h.is_empty())
            .map(String::from)
            .into_iter()
            .collect();
        for (j, p) in items(rule, "http.paths").iter().enumerate() {
            let field = format!("spec.rules.{i}.http.paths.{j}.backend.service");
            out.extend(one(at(p, "backend"), hosts.clone(), word(p, "path"), field));
        }
    }
    let rest = route.get("spec.defaultBackend");
    let field = "spec.defaultBackend.service".to_string();
    out.extend(one(rest, Vec::new(), "", field));
    out
}

fn of_http_route(route: &Object) -> Vec<Sends> {
    let hosts: Vec<String> = route
        .list("spec.hostnames")
        .iter()
        .filter_map(|h| h.as_str().map(String::from))
        .collect();
    let mut out = Vec::new();
    for (i, rule) in route.list("spec.rules").iter().enumerate() {
        let matches = items(rule, "matches");
        let path = matches
            .iter()
            .map(|m| word(m, "path.value"))
            .find(|p| !p.is_empty());
        for (j, b) in items(rule, "backendRefs").iter().enumerate() {
            let kind = at(b, "kind").as_str().unwrap_or("Service");
            let other = !word(b, "group").is_empty() || kind != "Service";
            // Nothing is sent to a weight of nought.
            if other || word(b, "name").is_empty() || at(b, "weight").as_u64() == Some(0) {
                continue;
            }
            let namespace = at(b, "namespace").as_str().unwrap_or(route.namespace());
            out.push(Sends {
                hosts: hosts.clone(),
                path: path.unwrap_or_default().into(),
                service: ObjectRef::new("Service", namespace, word(b, "name")),
                port: number(at(b, "port")).map_or(Port::Unsaid, Port::Number),
                field: format!("spec.rules.{i}.backendRefs.{j}"),
            });
        }
    }
    out
}

/// All routes.
pub fn all<'a, 't>(topology: &'t Topology<'a>) -> impl Iterator<Item = &'a Object> + use<'a, 't> {
    KINDS
        .into_iter()
        .flat_map(|kind| topology.all(kind).iter().copied())
}

/// `*.example.com` serves any name below it.
fn serves(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    match pattern.strip_prefix("*.") {
        Some(below) => host
            .strip_suffix(below)
            .is_some_and(|head| head.len() > 1 && head.ends_with('.')),
        None => pattern == host,
    }
}

/// The routes that serve a host by its name, with what they send of it; a route of every host serves none by name.
pub fn serving<'a>(topology: &Topology<'a>, host: &str) -> Vec<(&'a Object, Vec<Sends>)> {
    let host = host.trim_end_matches('.');
    all(topology)
        .filter_map(|route| {
            let mut own = sends(route);
            own.retain(|s| s.hosts.iter().any(|h| serves(h, host)));
            (!own.is_empty()).then_some((route, own))
        })
        .collect()
}

/// The hosts that routes name, without patterns.
pub fn hosts(topology: &Topology<'_>) -> Vec<String> {
    let mut out: Vec<String> = all(topology)
        .flat_map(|r| sends(r).into_iter().flat_map(|s| s.hosts))
        .filter(|h| !h.starts_with('*'))
        .collect();
    out.sort();
    out.dedup();
    out
}

/// What of a route leads to a conversation's Service and port.
pub fn leading(topology: &Topology<'_>, route: &Object, path: &Path<'_>) -> Vec<Sends> {
    let Destination::Service(to) = &path.conversation.to else {
        return Vec::new();
    };
    let mut own = sends(route);
    own.retain(|s| s.service == *to && s.number(topology) == path.conversation.port);
    own
}

/// Why nothing comes to the Service by a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault<'a> {
    /// There is no such Service.
    NoService(Sends),
    /// The Service has no such port.
    NoPort(Sends, &'a Object),
    /// The Service is in another namespace, which does not grant that.
    NoGrant(Sends),
    /// Nobody takes the route: the class or gateways that it names are not there, or do not take it.
    Untaken(Untaken),
    /// What would decide could not be read: objects of a kind in a namespace.
    Unread(&'static str, String),
}

/// Who should take a route, and why nobody does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untaken {
    /// The IngressClass of this name is not there.
    NoClass(String),
    /// The Gateway is not there.
    NoGateway(ObjectRef),
    /// The Gateway has no listener of that name or port.
    NoListener(ObjectRef, String),
    /// The Gateway takes routes of its own namespace only, or of none.
    NotAllowed(ObjectRef, String),
}

/// The first reason, in the order in which a request meets them.
pub fn fault<'a>(topology: &Topology<'a>, path: &Path<'a>) -> Option<Fault<'a>> {
    let route = path.through?;
    let sends = leading(topology, route, path).into_iter().next()?;
    let both = [untaken(topology, route), behind(topology, route, sends)];
    let unread = |f: &Fault<'_>| matches!(f, Fault::Unread(..));
    // What is known comes before what could not be read.
    let mut all: Vec<Fault<'a>> = both.into_iter().flatten().collect();
    all.sort_by_key(unread);
    all.into_iter().next()
}

fn unread(topology: &Topology<'_>, kind: &'static str, ns: &str) -> Option<Fault<'static>> {
    topology
        .unread(kind, ns)
        .then(|| Fault::Unread(kind, ns.into()))
}

/// The same, where it may be that nothing of the namespace was asked for: then nothing is known to be missing there.
fn unknown(topology: &Topology<'_>, kind: &'static str, ns: &str) -> Option<Fault<'static>> {
    let looked_at = [kind, "Service", "Pod", "EndpointSlice"]
        .iter()
        .any(|k| topology.in_namespace(k, ns).next().is_some());
    let unasked = || (!looked_at).then(|| Fault::Unread(kind, ns.into()));
    unread(topology, kind, ns).or_else(unasked)
}

/// What is wrong with where it sends.
fn behind<'a>(topology: &Topology<'a>, route: &Object, sends: Sends) -> Option<Fault<'a>> {
    let ns = sends.service.namespace.clone();
    if ns != route.namespace() && !granted(topology, route, &sends) {
        return Some(unknown(topology, "ReferenceGrant", &ns).unwrap_or(Fault::NoGrant(sends)));
    }
    let Some(service) = topology.get(&sends.service) else {
        // Who read Services at all read those beside the route.
        let beside = ns == route.namespace() && !topology.all("Service").is_empty();
        let gap = if beside {
            unread(topology, "Service", &ns)
        } else {
            unknown(topology, "Service", &ns)
        };
        return Some(gap.unwrap_or(Fault::NoService(sends)));
    };
    let entry = service
        .list("spec.ports")
        .iter()
        .any(|p| match &sends.port {
            Port::Number(n) => number(at(p, "port")) == Some(*n),
            Port::Named(n) => at(p, "name").as_str() == Some(n.as_str()),
            Port::Unsaid => true,
        });
    // A name that lies elsewhere has no ports to keep.
    let elsewhere = service.str("spec.type") == "ExternalName";
    (!entry && !elsewhere).then_some(Fault::NoPort(sends, service))
}

/// A ReferenceGrant in the Service's namespace lets routes of the other namespace refer to it.
fn granted(topology: &Topology<'_>, route: &Object, sends: &Sends) -> bool {
    let from = |g: &&Object| {
        g.list("spec.from").iter().any(|f| {
            word(f, "group") == "gateway.networking.k8s.io"
                && word(f, "kind") == route.kind()
                && word(f, "namespace") == route.namespace()
        })
    };
    let to = |g: &&Object| {
        g.list("spec.to").iter().any(|t| {
            let name = word(t, "name");
            word(t, "group").is_empty()
                && word(t, "kind") == "Service"
                && (name.is_empty() || name == sends.service.name)
        })
    };
    topology
        .in_namespace("ReferenceGrant", &sends.service.namespace)
        .any(|g| from(&g) && to(&g))
}

fn untaken<'a>(topology: &Topology<'a>, route: &Object) -> Option<Fault<'a>> {
    match route.kind() {
        "Ingress" => without_class(topology, route),
        _ => without_gateway(topology, route),
    }
}

/// A class by its name that is not there; who has an address was taken by somebody all the same.
fn without_class<'a>(topology: &Topology<'a>, route: &Object) -> Option<Fault<'a>> {
    let class = route.str("spec.ingressClassName");
    let taken = !route.list("status.loadBalancer.ingress").is_empty();
    if class.is_empty() || taken || topology.find("IngressClass", "", class).is_some() {
        return None;
    }
    let gap = unread(topology, "IngressClass", "");
    Some(gap.unwrap_or(Fault::Untaken(Untaken::NoClass(class.into()))))
}

/// Every parent of the route refuses it, and none has said that it accepts it.
fn without_gateway<'a>(topology: &Topology<'a>, route: &Object) -> Option<Fault<'a>> {
    let accepted = route.list("status.parents").iter().any(|p| {
        items(p, "conditions")
            .iter()
            .any(|c| word(c, "type") == "Accepted" && word(c, "status") == "True")
    });
    if accepted {
        return None;
    }
    let mut first = None;
    for parent in route.list("spec.parentRefs") {
        let kind = at(parent, "kind").as_str().unwrap_or("Gateway");
        // A mesh takes the routes of a Service.
        if kind != "Gateway" {
            return None;
        }
        let fault = refused_by(topology, route, parent)?;
        // Where one could not be read, it may be the one that takes it.
        if first.is_none() || matches!(fault, Fault::Unread(..)) {
            first = Some(fault);
        }
    }
    first
}

fn refused_by<'a>(topology: &Topology<'a>, route: &Object, parent: &Value) -> Option<Fault<'a>> {
    let ns = at(parent, "namespace")
        .as_str()
        .unwrap_or(route.namespace());
    let name = ObjectRef::new("Gateway", ns, word(parent, "name"));
    let Some(gateway) = topology.get(&name) else {
        // The route's own namespace was read with the route.
        let gap = if ns == route.namespace() {
            unread(topology, "Gateway", ns)
        } else {
            unknown(topology, "Gateway", ns)
        };
        return Some(gap.unwrap_or(Fault::Untaken(Untaken::NoGateway(name))));
    };
    let (section, port) = (word(parent, "sectionName"), number(at(parent, "port")));
    let listeners: Vec<&Value> = gateway
        .list("spec.listeners")
        .iter()
        .filter(|l| section.is_empty() || word(l, "name") == section)
        .filter(|l| port.is_none() || number(at(l, "port")) == port)
        .collect();
    if listeners.is_empty() {
        let wanted = match port {
            Some(p) if section.is_empty() => p.to_string(),
            _ => section.to_string(),
        };
        return Some(Fault::Untaken(Untaken::NoListener(name, wanted)));
    }
    let refuses = |l: &&Value| {
        let from = at(l, "allowedRoutes.namespaces.from").as_str();
        match from.unwrap_or("Same") {
            "Same" => ns != route.namespace(),
            "None" => true,
            "Selector" => !selected(topology, l, route.namespace()),
            _ => false,
        }
    };
    let first = *listeners.first()?;
    let from = at(first, "allowedRoutes.namespaces.from").as_str();
    let from = from.unwrap_or("Same").to_string();
    listeners
        .iter()
        .all(refuses)
        .then_some(Fault::Untaken(Untaken::NotAllowed(name, from)))
}

/// The listener's selector takes the namespace; what cannot be told counts as taken.
fn selected(topology: &Topology<'_>, listener: &Value, namespace: &str) -> bool {
    let selector = at(listener, "allowedRoutes.namespaces.selector");
    let Some(namespace) = topology.find("Namespace", "", namespace) else {
        return true;
    };
    if !items(selector, "matchExpressions").is_empty() {
        return true;
    }
    let labels = namespace.labels();
    string_map(at(selector, "matchLabels"))
        .iter()
        .all(|(k, v)| labels.get(k) == Some(v))
}

#[cfg(test)]
mod tests;
