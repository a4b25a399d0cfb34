//! Who talks to whom, as configurations say it: URLs and `host:port` words in environments and
//! arguments.

use crate::object::{Object, ObjectRef, at};
use crate::path::{Conversation, Destination};
use crate::topology::{Topology, is_running};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

/// A Service named in a pod's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The Service.
    pub service: ObjectRef,
    /// Port as written.
    pub port: Option<u16>,
    /// Scheme as written, `http`; empty for none.
    pub scheme: String,
    /// URL path as written.
    pub path: String,
}

/// What the settings of all pods name: a pass over them, made once. Replicas name the same, and each pod is named by
/// many: of thousands of pods each list and each name is held once.
#[derive(Debug, Default)]
pub struct Configured {
    /// By pod.
    pub by_pod: HashMap<Rc<ObjectRef>, Rc<[Reference]>>,
    /// The pods that name a Service, by name.
    pub by_service: BTreeMap<ObjectRef, Vec<Rc<ObjectRef>>>,
}

impl Configured {
    /// Reads the settings of all pods.
    pub fn of(topology: &Topology<'_>) -> Configured {
        let mut all = Configured::default();
        let mut lists: HashSet<Rc<[Reference]>> = HashSet::new();
        for pod in topology.all("Pod") {
            let named = references(topology, pod);
            let own = Rc::new(pod.reference());
            for r in &named {
                if !all.by_service.contains_key(&r.service) {
                    all.by_service.insert(r.service.clone(), Vec::new());
                }
                let callers = all.by_service.get_mut(&r.service);
                if let Some(callers) = callers.filter(|c| c.last() != Some(&own)) {
                    callers.push(Rc::clone(&own));
                }
            }
            let list = match lists.get(named.as_slice()) {
                Some(same) => Rc::clone(same),
                None => {
                    let list: Rc<[Reference]> = named.into();
                    lists.insert(Rc::clone(&list));
                    list
                }
            };
            all.by_pod.insert(own, list);
        }
        all
    }
}

/// Services that a pod's environment and arguments name.
pub fn references(topology: &Topology<'_>, pod: &Object) -> Vec<Reference> {
    let mut out: Vec<Reference> = Vec::new();
    for c in pod.list("spec.containers") {
        let env = at(c, "env").as_array().map(Vec::as_slice).unwrap_or(&[]);
        let values = env.iter().filter_map(|e| at(e, "value").as_str());
        let words = ["command", "args"]
            .into_iter()
            .flat_map(|k| at(c, k).as_array().map(Vec::as_slice).unwrap_or(&[]))
            .filter_map(Value::as_str);
        let texts = values.map(|v| (v, true)).chain(words.map(|w| (w, false)));
        for (text, own) in texts {
            for word in text.split(|ch: char| ch.is_whitespace() || ch == ',' || ch == '=') {
                let whole = own && word == text;
                let found = reference(topology, word, pod.namespace())
                    .or_else(|| missing(topology, word, pod, whole));
                if let Some(r) = found.filter(|r| !out.contains(r)) {
                    out.push(r);
                }
            }
        }
    }
    out
}

/// What a word of a configuration names: scheme, host, port, path.
fn written(word: &str) -> (&str, &str, Option<u16>, String) {
    let (scheme, rest) = word.split_once("://").unwrap_or(("", word));
    let (authority, path) = rest
        .split_once('/')
        .map_or((rest, String::new()), |(a, p)| (a, format!("/{p}")));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, h)| h);
    let (host, port) = super::words::host_port(authority);
    (scheme, host, port.and_then(|p| p.parse().ok()), path)
}

/// The port as written, else that of the scheme.
fn port_of(scheme: &str, port: Option<u16>) -> Option<u16> {
    port.or(match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })
}

fn reference(topology: &Topology<'_>, word: &str, namespace: &str) -> Option<Reference> {
    let (scheme, host, port, path) = written(word);
    if scheme.is_empty() && port.is_none() && !host.contains(".svc") {
        return None;
    }
    let service = super::words::service_named(topology, host, namespace)?;
    Some(Reference {
        service,
        port: port_of(scheme, port),
        scheme: scheme.into(),
        path,
    })
}

/// A Service that is named and does not exist. Only what can hardly mean anything else counts: a URL,
/// a name below `.svc`, a name with a namespace that is there, or a setting that is `name:port` and
/// nothing more.
fn missing(topology: &Topology<'_>, word: &str, pod: &Object, whole: bool) -> Option<Reference> {
    let (scheme, host, port, path) = written(word);
    let host = host.trim_end_matches('.');
    let mut labels = host.splitn(3, '.');
    let (name, ns, tail) = (labels.next()?, labels.next(), labels.next());
    let is_label = |l: &str| {
        l.starts_with(|c: char| c.is_ascii_lowercase())
            && l.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let known = |ns: &str| topology.find("Namespace", "", ns).is_some();
    let plain = match (ns, tail) {
        (None, _) => {
            matches!(scheme, "http" | "https" | "grpc" | "tcp" | "redis")
                || (scheme.is_empty() && whole && port.is_some())
        }
        (Some(ns), None) => known(ns) && (!scheme.is_empty() || port.is_some()),
        (Some(ns), Some(tail)) => {
            known(ns) && (tail == "svc" || tail == format!("svc.{}", topology.domain()))
        }
    };
    let own_host = pod.list("spec.hostAliases").iter().any(|a| {
        let names = at(a, "hostnames").as_array();
        names.is_some_and(|n| n.iter().any(|n| n.as_str() == Some(host)))
    });
    if !plain || own_host || name == "localhost" || !is_label(name) {
        return None;
    }
    // Nothing is missing where Services could not be read. Where those of the cluster were refused and these were not,
    // there is none here.
    let service = ObjectRef::new("Service", ns.unwrap_or(pod.namespace()), name);
    let some = !topology.all("Service").is_empty() || topology.unread("Service", "kube-system");
    let read = some && !topology.unread("Service", &service.namespace);
    (read && topology.get(&service).is_none()).then(|| Reference {
        service,
        port: port_of(scheme, port),
        scheme: scheme.into(),
        path,
    })
}

/// The Services that clients in a namespace (empty: any) are configured for and that do not exist.
pub fn missing_services(topology: &Topology<'_>, namespace: &str) -> Vec<ObjectRef> {
    let here = |p: &Rc<ObjectRef>| namespace.is_empty() || p.namespace == namespace;
    topology
        .callers()
        .iter()
        .filter(|(s, pods)| pods.iter().any(here) && topology.get(s).is_none())
        .map(|(s, _)| s.clone())
        .collect()
}

/// The missing Service that a word means: `cart`, `cart.shop`.
pub fn missing_named(topology: &Topology<'_>, host: &str, namespace: &str) -> Option<ObjectRef> {
    let mut labels = host.split('.');
    let (name, ns) = (labels.next()?, labels.next());
    missing_services(topology, namespace)
        .into_iter()
        .find(|s| s.name == name && ns.is_none_or(|ns| s.namespace == ns))
}

/// A conversation with a Service that does not exist: what the client would have.
pub fn missing_conversation(
    from: Option<ObjectRef>,
    service: ObjectRef,
    port: u16,
    scheme: &str,
    path: &str,
) -> Conversation {
    let tls = scheme == "https";
    let http = (tls || scheme == "http").then(|| {
        if path.is_empty() {
            "/".to_string()
        } else {
            path.to_string()
        }
    });
    Conversation {
        from,
        to: Destination::Service(service),
        port,
        protocol: "TCP".into(),
        tls,
        http,
        through: None,
    }
}

/// Pods that probably talk to a destination: those that name it, else running pods beside it.
pub fn clients_of(topology: &Topology<'_>, to: &Destination) -> Vec<ObjectRef> {
    let (Destination::Service(r) | Destination::Pod(r)) = to else {
        return Vec::new();
    };
    let callers = topology.callers().get(r);
    let naming: Vec<&Object> = callers
        .into_iter()
        .flatten()
        .filter_map(|p| topology.get(p))
        .filter(|p| is_running(p))
        .collect();
    if !naming.is_empty() {
        return super::ends::one_per_node(naming);
    }
    let own: BTreeSet<ObjectRef> = match topology.get(r) {
        Some(s) if s.kind() == "Service" => topology
            .selected(s.namespace(), s.get("spec.selector"))
            .iter()
            .map(|p| p.reference())
            .collect(),
        _ => BTreeSet::from([r.clone()]),
    };
    // A pod on the node's network stands for no other: it sends from the node's address, past policies.
    let on_node = |p: &Object| p.get("spec.hostNetwork").as_bool() == Some(true);
    topology
        .in_namespace("Pod", &r.namespace)
        .filter(|p| is_running(p) && !own.contains(&p.reference()))
        .min_by_key(|p| (on_node(p), p.name()))
        .map(Object::reference)
        .into_iter()
        .collect()
}

/// A conversation with a Service's port.
pub fn service_conversation(
    topology: &Topology<'_>,
    from: Option<ObjectRef>,
    service: &Object,
    port: u16,
    scheme: &str,
    path: &str,
) -> Conversation {
    let entry = service
        .list("spec.ports")
        .iter()
        .find(|p| at(p, "port").as_i64() == Some(i64::from(port)));
    let word = |key: &str| {
        entry
            .map(|p| at(p, key).as_str().unwrap_or("").to_string())
            .unwrap_or_default()
    };
    let (name, app) = (word("name"), word("appProtocol"));
    let protocol = Some(word("protocol"))
        .filter(|p| !p.is_empty())
        .unwrap_or_else(|| "TCP".into());
    let pods = topology.selected(service.namespace(), service.get("spec.selector"));
    let target = entry
        .map(|p| at(p, "targetPort").clone())
        .unwrap_or(Value::Null);
    let probe = pods.iter().find_map(|p| probe_of(p, &target, port));
    let says_https = scheme == "https"
        || name.starts_with("https")
        || app == "https"
        || (scheme.is_empty() && matches!(port, 443 | 8443));
    let says_http = scheme == "http"
        || name.starts_with("http")
        || app.starts_with("http")
        || (name.is_empty() && app.is_empty() && matches!(port, 80 | 8080));
    let tls = protocol == "TCP" && (says_https || probe.as_ref().is_some_and(|(_, tls)| *tls));
    let http = (protocol == "TCP" && (says_http || says_https || probe.is_some())).then(|| {
        if !path.is_empty() {
            path.to_string()
        } else {
            probe.map(|(p, _)| p).unwrap_or_else(|| "/".into())
        }
    });
    Conversation {
        from,
        to: Destination::Service(service.reference()),
        port,
        protocol,
        tls,
        http,
        through: None,
    }
}

/// A conversation with a pod's port.
pub fn pod_conversation(
    from: Option<ObjectRef>,
    pod: &Object,
    port: u16,
    scheme: &str,
    path: &str,
) -> Conversation {
    let probe = probe_of(pod, &Value::from(port), port);
    let tls = scheme == "https" || probe.as_ref().is_some_and(|(_, tls)| *tls);
    let http = (!scheme.is_empty() || probe.is_some()).then(|| {
        if !path.is_empty() {
            path.to_string()
        } else {
            probe.map(|(p, _)| p).unwrap_or_else(|| "/".into())
        }
    });
    Conversation {
        from,
        to: Destination::Pod(pod.reference()),
        port,
        protocol: "TCP".into(),
        tls,
        http,
        through: None,
    }
}

/// Path and TLS of an HTTP readiness or liveness probe on the target port: the application's own
/// word on what it speaks there.
fn probe_of(pod: &Object, target: &Value, port: u16) -> Option<(String, bool)> {
    let same = |p: &Value, c: &Value| {
        let number = |v: &Value| {
            v.as_i64().or_else(|| {
                let ports = at(c, "ports").as_array()?;
                ports
                    .iter()
                    .find(|e| at(e, "name") == v)
                    .and_then(|e| at(e, "containerPort").as_i64())
            })
        };
        let wanted = if target.is_null() {
            Some(i64::from(port))
        } else {
            number(target)
        };
        number(p) == wanted
    };
    for c in pod.list("spec.containers") {
        for kind in ["readinessProbe", "livenessProbe", "startupProbe"] {
            let get = at(c, &format!("{kind}.httpGet")).clone();
            if get.is_object() && same(at(&get, "port"), c) {
                let path = at(&get, "path").as_str().unwrap_or("/").to_string();
                return Some((path, at(&get, "scheme").as_str() == Some("HTTPS")));
            }
        }
    }
    None
}
