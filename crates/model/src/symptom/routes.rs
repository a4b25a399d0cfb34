//! From an Ingress, an HTTPRoute or a host that one of them serves to the Services behind.

use super::ends::Target;
use crate::object::{Object, ObjectRef};
use crate::path::{Conversation, Destination, Path};
use crate::route::{self, Fault, Sends};
use crate::text;
use crate::text::Text;
use crate::topology::Topology;
use std::collections::BTreeSet;

/// The Ingress or HTTPRoute of a name, seen from a namespace (empty: any).
pub fn named<'a>(
    topology: &Topology<'a>,
    kind: &str,
    name: &str,
    namespace: &str,
) -> Option<&'a Object> {
    let (own, ns) = match name.split_once('.') {
        Some((own, ns)) if topology.has_namespace(ns) => (own, ns),
        _ => (name, namespace),
    };
    route::all(topology).find(|r| {
        (kind.is_empty() || r.kind() == kind)
            && r.name() == own
            && (ns.is_empty() || r.namespace() == ns)
    })
}

/// The targets with those behind routes in the place of the routes. A host that was said with scheme or port is kept: that
/// way can be walked, too.
pub fn followed(topology: &Topology<'_>, to: Vec<Target>, left_out: &mut Vec<Text>) -> Vec<Target> {
    let mut out: Vec<Target> = Vec::new();
    let mut kept: Vec<Target> = Vec::new();
    for t in to {
        let found: Vec<(&Object, Vec<Sends>)> = match (&t.through, &t.to) {
            (Some(r), _) => topology
                .get(r)
                .map(|r| (r, route::sends(r)))
                .into_iter()
                .collect(),
            (None, Destination::Host(host)) => route::serving(topology, host),
            _ => Vec::new(),
        };
        let by_name = t.through.is_some();
        let whole = t.port.is_some() || !t.scheme.is_empty();
        for (route, sends) in &found {
            out.extend(
                of_path(sends, &t.path)
                    .into_iter()
                    .map(|s| target(topology, route, s)),
            );
            if by_name || !whole {
                let (kind, name) = (route.kind(), route.name());
                left_out.push(text!(
                    "the way to {kind} {name} itself (its controller, its address): what it sends to is looked at; for the other say --to https://HOST/",
                    "到 {kind} {name} 本身的路径（其控制器及地址）：只检查它转发到的目标；要检查前者请指定 --to https://HOST/"
                ));
            }
        }
        if found.is_empty() || !by_name && whole {
            kept.push(t);
        }
    }
    out.extend(kept);
    out
}

/// Of what a route sends, what a path belongs to: the longest that begins it; all where none was said.
fn of_path<'s>(sends: &'s [Sends], path: &str) -> Vec<&'s Sends> {
    let begins = |s: &&Sends| {
        let rest = path.strip_prefix(s.path.trim_end_matches('/'));
        rest.is_some_and(|r| r.is_empty() || r.starts_with('/'))
    };
    let longest = sends.iter().filter(begins).map(|s| s.path.len()).max();
    match longest {
        Some(n) if !path.is_empty() => sends
            .iter()
            .filter(begins)
            .filter(|s| s.path.len() == n)
            .collect(),
        _ => sends.iter().collect(),
    }
}

fn target(topology: &Topology<'_>, route: &Object, s: &Sends) -> Target {
    Target {
        port: Some(s.number(topology)),
        through: Some(route.reference()),
        ..Target::any(Destination::Service(s.service.clone()))
    }
}

/// Conversations behind the routes of a namespace that cannot work; what is well is walked as the Service's own.
pub fn astray(
    topology: &Topology<'_>,
    namespace: &str,
    of: &dyn Fn(&Target) -> Vec<Conversation>,
) -> Vec<Conversation> {
    let mut met: BTreeSet<(ObjectRef, ObjectRef, u16)> = BTreeSet::new();
    let mut out = Vec::new();
    for route in route::all(topology).filter(|r| r.namespace() == namespace) {
        for s in route::sends(route) {
            if !met.insert((route.reference(), s.service.clone(), s.number(topology))) {
                continue;
            }
            let all = of(&target(topology, route, &s));
            out.extend(all.into_iter().filter(|c| {
                let path = Path::new(topology, c.clone());
                !matches!(path.astray, None | Some(Fault::Unread(..)))
            }));
        }
    }
    out
}
