//! From what a person says hurts to the conversations that are looked at.
//!
//! Names are matched against the objects that exist; words only tell the roles. What could not be
//! understood is asked back, never guessed.

mod clients;
mod ends;
#[cfg(test)]
mod fuzz;
mod routes;
mod strange;
#[cfg(test)]
mod tests;
mod words;

pub use clients::{Configured, Reference, clients_of, references};
pub use ends::Target;
pub use words::{nearest, symptoms};

use crate::object::{ObjectRef, at};
use crate::path::{Conversation, Destination};
use crate::report::Understood;
use crate::text;
use crate::text::Text;
use crate::topology::{Topology, is_running};
use ends::{did_you_mean, named_client, named_target, one_per_node, or_what_is_there, there_is};
use std::collections::{BTreeMap, BTreeSet};
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
    let to = routes::followed(topology, to, &mut u.left_out);
    let mut all = conversations(topology, &request.namespace, &from, &to);
    let mut met = BTreeSet::new();
    all.retain(|c| met.insert(c.clone()));
    let found = all.len();
    let whole = from.is_empty() && to.is_empty() && found > 0;
    let alone = whole.then(|| uncovered(topology, &request.namespace, &all));
    u.left_out.extend(alone.flatten());
    all.truncate(MOST);
    if found > MOST {
        u.left_out.push(text!(
            "{} of {found} conversations: at most {MOST} are looked at in one run, those first that most pods have; name another with --from or --to",
            "{found} 个会话中的 {} 个：一次最多检查 {MOST} 个，先查涉及 Pod 最多的；可用 --from 或 --to 指定其他会话",
            found - MOST
        ));
    }
    if all.is_empty() {
        u.asked_back.push(nothing_understood(topology, request));
    }
    u.conversations = all
        .iter()
        .map(|c| crate::path::Path::new(topology, c.clone()).describe())
        .collect();
    (u, all)
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

fn from_words(
    topology: &Topology<'_>,
    request: &Request,
    from: &mut Vec<ObjectRef>,
    to: &mut Vec<Target>,
    u: &mut Understood,
) {
    let ns = request.namespace.as_str();
    let all = roles(&request.said, tokens(topology, &request.said, ns));
    let anywhere = |own: Text, other: Result<(), Text>| match other {
        Ok(()) => None,
        Err(_) => Some(own),
    };
    for Token {
        role, text, joined, ..
    } in &all
    {
        let wrong = match role {
            Role::Client if (from.is_empty() || *joined) && request.from.is_empty() => {
                match named_client(topology, text, ns) {
                    Ok(c) => {
                        from.extend(c);
                        None
                    }
                    Err(e) => anywhere(e, named_client(topology, text, "").map(|c| from.extend(c))),
                }
            }
            Role::Server if (to.is_empty() || *joined) && request.to.is_empty() => {
                match named_target(topology, text, ns) {
                    Ok(t) => {
                        to.push(t);
                        None
                    }
                    Err(e) => anywhere(e, named_target(topology, text, "").map(|t| to.push(t))),
                }
            }
            _ => None,
        };
        u.asked_back.extend(wrong);
    }
    if all.len() > 1 && all.iter().all(|t| t.role == Role::Open) {
        u.asked_back.push(who_asks_whom(&all));
    }
    let mut known = words::known_names(topology);
    known.extend(all.iter().map(|t| words::bare_name(&t.text).to_string()));
    for word in strange::strange_names(&request.said, &known, all.len() < 2) {
        let none = text!("nothing called {word}", "名为 {word} 的对象");
        let near = or_what_is_there(&word, &names_there(topology, ns, &known, &word));
        u.asked_back.push(there_is(&none, ns, &near));
    }
    if u.asked_back.is_empty() {
        port_of_words(topology, &request.said, to, u);
    }
    let nobody = from.is_empty() && to.is_empty() && u.asked_back.is_empty();
    let says_nothing = u.symptom.is_empty() && !strange::speaks_of_trouble(&request.said);
    if nobody && (ns.is_empty() || says_nothing) {
        u.asked_back.push(nothing_understood(topology, request));
    }
}

/// Names to offer for a word: all that are known where one of them is near, else what calls and is called there.
fn names_there<'k>(
    topology: &'k Topology<'_>,
    ns: &str,
    known: &'k BTreeSet<String>,
    word: &str,
) -> Vec<&'k str> {
    let all: Vec<&str> = known.iter().map(String::as_str).collect();
    if ns.is_empty() || !nearest(word, &all).is_empty() {
        return all;
    }
    ["Deployment", "StatefulSet", "DaemonSet", "Service"]
        .into_iter()
        .flat_map(|k| topology.all(k).iter())
        .filter(|o| o.namespace() == ns)
        .map(|o| o.name())
        .collect()
}

fn who_asks_whom(all: &[Token]) -> Text {
    let names: Vec<&str> = all.iter().map(|t| t.text.as_str()).collect();
    let (first, second) = (
        names.first().copied().unwrap_or_default(),
        names.get(1).copied().unwrap_or_default(),
    );
    let names = Text::names(&names);
    text!(
        "{names}: who asks, and who is asked? say for instance --from deploy/{first} --to svc/{second}",
        "{names:#}：谁访问谁？例如可指定 --from deploy/{first} --to svc/{second}"
    )
}

/// The port that the words give to the one who is asked.
fn port_of_words(topology: &Topology<'_>, said: &str, to: &mut [Target], u: &mut Understood) {
    let Some(port) = strange::port_said(said) else {
        return;
    };
    let number = port.parse::<u32>().ok();
    let [target] = to else {
        if to.is_empty() && number.is_some() {
            u.asked_back.push(text!(
                "port {port} of what? say --to svc/NAME:{port}",
                "哪个对象的端口 {port}？请指定 --to svc/NAME:{port}"
            ));
        }
        return;
    };
    if target.port.is_some() && !target.scheme.is_empty() || target.port.map(u32::from) == number {
        return;
    }
    match (number, &target.to) {
        (Some(n), _) => match u16::try_from(n).ok().filter(|n| *n > 0) {
            Some(n) => target.port = Some(n),
            None => u.asked_back.push(text!(
                "{port} is not a port (1 to 65535)",
                "{port} 不是端口（1 到 65535）"
            )),
        },
        (None, Destination::Service(s)) => {
            let ports = topology.get(s).map(|s| s.list("spec.ports")).unwrap_or(&[]);
            let found = ports.iter().find(|p| at(p, "name").as_str() == Some(&port));
            let number = found.and_then(|p| u16::try_from(at(p, "port").as_i64()?).ok());
            target.port = number.or(target.port);
        }
        _ => {}
    }
}

/// How many running pods are configured for each Service.
fn clients_by_service(topology: &Topology<'_>) -> BTreeMap<ObjectRef, usize> {
    let mut all = BTreeMap::new();
    for (service, pods) in topology.callers() {
        let running = pods
            .iter()
            .filter(|p| topology.get(p).is_some_and(is_running));
        all.insert(service.clone(), running.count());
    }
    all
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
        (true, true) => out = of_namespace(topology, namespace),
    }
    out
}

/// What is called in a namespace, and by it: what most pods have first, and each destination once before any of
/// them a second time.
fn of_namespace(topology: &Topology<'_>, namespace: &str) -> Vec<Conversation> {
    let mut out = Vec::new();
    for pod in workload_pods(topology, namespace) {
        out.extend(of_client(topology, &pod));
    }
    let called: BTreeSet<Destination> = out.iter().map(|c| c.to.clone()).collect();
    for service in topology.in_namespace("Service", namespace) {
        let to = Destination::Service(service.reference());
        if called.contains(&to) {
            continue;
        }
        let mut clients = clients_of(topology, &to);
        clients.truncate(1);
        if clients.is_empty()
            && topology
                .dns()
                .is_some_and(|d| d.reference() == service.reference())
        {
            clients = ends::nodes_that_ask(topology, service);
        }
        for f in clients {
            out.extend(of_target(topology, Some(f), &Target::any(to.clone())));
        }
    }
    out.extend(routes::astray(topology, namespace, &|t| {
        let mut clients = clients_of(topology, &t.to);
        clients.truncate(1);
        of_target(topology, clients.pop(), t)
    }));
    let clients = clients_by_service(topology);
    let mut times: BTreeMap<(Destination, u16, bool), usize> = BTreeMap::new();
    let mut keyed: Vec<_> = out
        .into_iter()
        .map(|c| {
            let by_route = c.through.is_some();
            let nth = times.entry((c.to.clone(), c.port, by_route)).or_default();
            *nth += 1;
            let pods = match &c.to {
                Destination::Service(s) => clients.get(s).copied().unwrap_or(0),
                _ => 0,
            };
            ((*nth, std::cmp::Reverse(pods)), c)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, c)| c).collect()
}

/// Pods that no conversation concerns: they ask nobody that their settings name, and no Service leads to
/// them.
fn uncovered(topology: &Topology<'_>, namespace: &str, all: &[Conversation]) -> Option<Text> {
    let mut covered: BTreeSet<ObjectRef> = BTreeSet::new();
    for c in all {
        let client = c.from.as_ref().and_then(|f| topology.get(f));
        covered.extend(client.map(|p| topology.owner_of(p)));
        if let Destination::Service(s) = &c.to
            && let Some(s) = topology.get(s)
        {
            let pods = topology.selected(s.namespace(), s.get("spec.selector"));
            covered.extend(pods.iter().map(|p| topology.owner_of(p)));
        }
    }
    let mut left: BTreeMap<ObjectRef, usize> = BTreeMap::new();
    for pod in topology.in_namespace("Pod", namespace) {
        let owner = topology.owner_of(pod);
        if !covered.contains(&owner) {
            *left.entry(owner).or_default() += 1;
        }
    }
    let pods: usize = left.values().sum();
    let first: Vec<String> = left
        .keys()
        .take(4)
        .map(|o| format!("{}/{}", o.kind, o.name))
        .collect();
    let more = if left.len() > first.len() {
        ", ..."
    } else {
        ""
    };
    let names = format!("{}{more}", first.join(", "));
    (pods > 0).then(|| {
        text!(
            "{pods} pods ({names}): no setting of theirs names a Service, and no Service leads to them; say --from or --to to have them looked at",
            "{pods} 个 Pod（{names}）：其配置没有提到任何 Service，也没有 Service 指向它们；可用 --from 或 --to 指定"
        )
    })
}

/// One running pod of each workload and node in a namespace.
fn workload_pods(topology: &Topology<'_>, namespace: &str) -> Vec<ObjectRef> {
    let mut seen: BTreeSet<ObjectRef> = BTreeSet::new();
    let mut out = Vec::new();
    for pod in topology.in_namespace("Pod", namespace) {
        let owner = topology.owner_of(pod);
        if !seen.contains(&owner) {
            let pods = topology.get(&owner).map(|o| topology.pods_of(o));
            out.extend(one_per_node(pods.unwrap_or_default()));
            seen.insert(owner);
        }
    }
    out
}

/// What a client's own configuration says it talks to.
fn of_client(topology: &Topology<'_>, from: &ObjectRef) -> Vec<Conversation> {
    topology
        .configured(from)
        .iter()
        .flat_map(|r| {
            let target = Target {
                port: r.port,
                scheme: r.scheme.clone(),
                path: r.path.clone(),
                ..Target::any(Destination::Service(r.service.clone()))
            };
            of_target(topology, Some(from.clone()), &target)
        })
        .collect()
}

/// A target's ports as conversations.
fn of_target(topology: &Topology<'_>, from: Option<ObjectRef>, t: &Target) -> Vec<Conversation> {
    let mut all = ports_of_target(topology, from, t);
    for c in all
        .iter_mut()
        .filter(|c| !t.protocol.is_empty() && c.protocol != t.protocol)
    {
        c.protocol.clone_from(&t.protocol);
        if c.protocol != "TCP" {
            (c.tls, c.http) = (false, None);
        }
    }
    for c in &mut all {
        c.through.clone_from(&t.through);
    }
    all
}

fn ports_of_target(
    topology: &Topology<'_>,
    from: Option<ObjectRef>,
    t: &Target,
) -> Vec<Conversation> {
    let said = from.as_ref().map_or(&[][..], |f| topology.configured(f));
    match &t.to {
        Destination::Service(r) => {
            let own = said.iter().find(|s| s.service == *r);
            let wanted = t.port.or(own.and_then(|o| o.port));
            let Some(service) = topology.get(r) else {
                let scheme = own.map_or(t.scheme.as_str(), |o| o.scheme.as_str());
                let port = wanted.unwrap_or(if scheme == "https" { 443 } else { 80 });
                let to = r.clone();
                return vec![clients::missing_conversation(
                    from, to, port, scheme, &t.path,
                )];
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
                through: None,
            }]
        }
    }
}
