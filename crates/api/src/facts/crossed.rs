//! Where conversations lead beyond the namespaces in question: words of the question, settings of pods, what routes refer to.

use super::{Job, SYSTEM, Wanted};
use netshoot_model::object::Object;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most namespaces that are read beside the asked ones.
pub(super) const MOST_CROSSED: usize = 12;

/// Namespaces that conversations of the asked ones cross: named in the question, in the settings of
/// pods (`cart.other`, `http://cart.other.svc/`), in what routes refer to.
pub(super) fn crossed(wanted: &Wanted, objects: &[Object]) -> BTreeSet<String> {
    if wanted.namespaces.is_empty() {
        return BTreeSet::new();
    }
    let known: BTreeSet<&str> = objects
        .iter()
        .filter(|o| o.kind() == "Namespace")
        .map(Object::name)
        .collect();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    let mut look = |text: &str, weight: usize| {
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')) {
            let Some(part) = namespace_in(word) else {
                continue;
            };
            if known.contains(part) || known.is_empty() && word.contains(".svc") {
                *count.entry(part.to_string()).or_default() += weight;
            }
        }
    };
    look(&wanted.words, 1000);
    for word in wanted
        .words
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
    {
        if known.contains(word) {
            look(&format!("x.{word}"), 1000);
        }
    }
    for o in objects
        .iter()
        .filter(|o| wanted.namespaces.contains(o.namespace()))
    {
        match o.kind() {
            "Pod" => texts(o.get("spec.containers"), &mut |t| look(t, 1)),
            "ConfigMap" => texts(o.get("data"), &mut |t| look(t, 1)),
            "Service" => look(o.str("spec.externalName"), 10),
            "HTTPRoute" | "Gateway" | "Ingress" => references(o.get("spec"), &mut |n| {
                look(&format!("x.{n}"), 10);
            }),
            _ => {}
        }
    }
    for n in wanted.namespaces.iter().map(String::as_str).chain([SYSTEM]) {
        count.remove(n);
    }
    let mut by_weight: Vec<(usize, String)> = count.into_iter().map(|(n, w)| (w, n)).collect();
    by_weight.sort_by(|a, b| b.cmp(a));
    by_weight
        .into_iter()
        .take(MOST_CROSSED)
        .map(|(_, n)| n)
        .collect()
}

/// The second label of a name: `cart.shop`, `cart.shop.svc.cluster.local`.
fn namespace_in(word: &str) -> Option<&str> {
    let (_, rest) = word.split_once('.')?;
    rest.split('.').next().filter(|n| !n.is_empty())
}

fn texts(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::String(s) => each(s),
        Value::Array(items) => items.iter().for_each(|v| texts(v, each)),
        Value::Object(map) => map.values().for_each(|v| texts(v, each)),
        _ => {}
    }
}

/// `namespace` fields below a value.
fn references(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|v| references(v, each)),
        Value::Object(map) => {
            if let Some(n) = map.get("namespace").and_then(Value::as_str) {
                each(n);
            }
            map.values().for_each(|v| references(v, each));
        }
        _ => {}
    }
}

/// What lets routes into the cluster's own namespace: read where a route refers to that.
pub(super) fn routes_of_system(wanted: &Wanted, objects: &[Object]) -> Vec<Job> {
    let mut refers = false;
    for o in objects.iter().filter(|o| o.kind() == "HTTPRoute") {
        references(o.get("spec"), &mut |n| refers |= n == SYSTEM);
    }
    let read = wanted.namespaces.is_empty() || wanted.namespaces.contains(SYSTEM);
    let kinds = ["Gateway", "ReferenceGrant"].into_iter();
    kinds
        .filter(|k| refers && !read && wanted.kinds.contains(*k))
        .map(|k| Job {
            kind: k.into(),
            namespace: SYSTEM.into(),
        })
        .collect()
}
