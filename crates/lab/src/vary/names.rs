//! Names: of namespaces, workloads, Services, nodes and what else users name.

use super::{each_text, rewrite};
use crate::shape::{self, Dice, at};
use crate::world::World;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Words that are never a user's name, whatever object carries them.
const NEVER: &[&str] = &[
    "default",
    "kubernetes",
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "kube-dns",
    "coredns",
    "kube-proxy",
    "policy-agent",
    "cluster",
    "local",
    "svc",
    "pod",
    "node",
    "http",
    "https",
    "tcp",
    "udp",
    "grpc",
    "dns",
    "ipv4",
    "ipv6",
    "routed",
    "vxlan",
    "nftables",
    "iptables",
    "true",
    "false",
    "linux",
    "amd64",
    "test",
    "example",
    "registry",
    "health",
    "internal-ca",
    "kubelet",
    "input",
    "forward",
    "output",
    "cni0",
    "eth0",
    "lo",
    "host",
    "policy",
    "names",
    "ports",
    "addresses",
    "replicas",
    "placement",
    "families",
    "noise",
    "network",
    "healthy",
    "near-miss",
    "grpc-health",
    "env",
    "memory",
    "in",
    "a",
    "to",
    "from",
    "on",
    "the",
    "and",
    "of",
    "is",
    "not",
    "that",
    "no",
    "with",
    "by",
    "at",
    "l1",
    "l2",
    "l3",
    "l4",
    "l6",
    "l7",
];

const WORKLOADS: &[&str] = &[
    "cart",
    "basket",
    "invoice",
    "ledger",
    "catalog",
    "search",
    "profile",
    "session",
    "mailer",
    "pricing",
    "stocklist",
    "shipping",
    "reviews",
    "wallet",
    "booking",
    "tickets",
    "quotes",
    "tax",
    "loyalty",
    "coupons",
    "feeds",
    "reports",
    "exports",
    "imports",
    "scheduler",
    "notifier",
    "geocoder",
    "ratings",
    "archive",
    "uploads",
    "previews",
    "accounts",
    "tokens",
    "billing",
    "fraud",
];
const ENDINGS: &[&str] = &[
    "", "", "-api", "-svc", "-service", "-backend", "-core", "-v2",
];
const NAMESPACES: &[&str] = &[
    "shop",
    "payments",
    "staging",
    "live",
    "platform",
    "team-blue",
    "team-red",
    "backoffice",
    "retail",
    "core-apps",
    "eu-west",
    "partner",
];
const NODES: &[&str] = &[
    "worker",
    "node",
    "k8s-worker",
    "pool-a",
    "compute",
    "ip-10-0-0",
];

/// Letters that a name consists of.
fn is_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

fn may_change(name: &str) -> bool {
    !NEVER.contains(&name)
        && name.chars().all(is_name)
        && name.chars().any(|c| c.is_ascii_lowercase())
        && name.len() > 1
}

/// Every name that users gave: namespaces, nodes, objects, containers, and (`labels`) the values
/// of labels and selectors.
pub(super) fn of(world: &World, labels: bool) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for object in &world.objects {
        take(object, labels, &mut all);
    }
    if let Ok(plan) = serde_json::to_value(&world.plan) {
        plan_names(&plan, labels, &mut all);
    }
    all.retain(|n| may_change(n));
    all
}

fn take(object: &Value, labels: bool, all: &mut BTreeSet<String>) {
    if !super::is_users(object) || shape::name(object).starts_with("kube-") {
        return;
    }
    all.insert(shape::name(object).to_string());
    all.insert(shape::namespace(object).to_string());
    for pod in [at(object, "spec"), at(object, "spec.template.spec")] {
        all.extend(
            shape::list(pod, "containers")
                .iter()
                .map(|c| shape::text(c, "name").to_string()),
        );
    }
    if labels {
        label_values(object, all);
    }
}

fn label_values(value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|v| label_values(v, all)),
        Value::Object(map) => {
            for (key, inner) in map {
                if ["labels", "selector", "matchLabels"].contains(&key.as_str()) {
                    all.extend(shape::strings(inner).into_values());
                }
                label_values(inner, all);
            }
        }
        _ => {}
    }
}

/// Objects that faults and twins bring, and labels they set.
fn plan_names(value: &Value, labels: bool, all: &mut BTreeSet<String>) {
    if value.get("kind").is_some() && value.get("metadata").is_some() {
        take(value, labels, all);
    } else if labels {
        label_values(value, all);
    }
    match value {
        Value::Array(items) => items.iter().for_each(|v| plan_names(v, labels, all)),
        Value::Object(map) => map.values().for_each(|v| plan_names(v, labels, all)),
        _ => {}
    }
}

/// Other names as people give them, each different from the others and from every word there is.
pub(super) fn plausible(world: &World, dice: &mut Dice) -> BTreeMap<String, String> {
    let names = of(world, false);
    let kinds = |kind: &str| -> Vec<String> {
        world
            .objects
            .iter()
            .filter(|o| shape::kind(o) == kind)
            .map(|o| shape::name(o).to_string())
            .collect()
    };
    let (namespaces, nodes) = (kinds("Namespace"), kinds("Node"));
    let mut words = BTreeSet::new();
    let mut collect = |text: &str| {
        words.extend(text.split(|c| !is_name(c)).map(str::to_string));
        None
    };
    for object in &world.objects {
        each_text(&mut object.clone(), &mut collect);
    }
    if let Ok(mut plan) = serde_json::to_value(&world.plan) {
        each_text(&mut plan, &mut collect);
    }
    let node_word = dice.pick(NODES).copied().unwrap_or("node");
    let mut map = BTreeMap::new();
    let mut taken = words.clone();
    let mut fresh = |wish: &mut dyn FnMut() -> String| -> String {
        for _ in 0..200 {
            let name = wish();
            if taken.insert(name.clone()) {
                return name;
            }
        }
        let name = format!("{}-{}", wish(), taken.len());
        taken.insert(name.clone());
        name
    };
    for (i, node) in nodes.iter().enumerate() {
        let first = 1 + i * (1 + dice.below(3));
        let mut n = first;
        map.insert(
            node.clone(),
            fresh(&mut || {
                n += 1;
                format!("{node_word}-{n}")
            }),
        );
    }
    for name in names.iter().filter(|n| !nodes.contains(n)) {
        // `cart-config` follows `cart`.
        let parent = map
            .iter()
            .filter_map(|(old, new): (&String, &String)| {
                Some((
                    old.len(),
                    format!(
                        "{new}{}",
                        name.strip_prefix(old.as_str())
                            .filter(|rest| rest.starts_with('-'))?
                    ),
                ))
            })
            .max();
        let new = match parent.filter(|(_, new)| !words.contains(new)) {
            Some((_, new)) => new,
            None if namespaces.contains(name) => {
                fresh(&mut || dice.pick(NAMESPACES).copied().unwrap_or("apps").to_string())
            }
            None => fresh(&mut || {
                format!(
                    "{}{}",
                    dice.pick(WORKLOADS).unwrap_or(&"app"),
                    dice.pick(ENDINGS).unwrap_or(&"")
                )
            }),
        };
        map.insert(name.clone(), new);
    }
    // Labels that a slip of the fingers made out of a name stay such a slip.
    for word in of(world, true) {
        if map.contains_key(&word) {
            continue;
        }
        let slip = map
            .iter()
            .filter(|(old, _)| old.len() >= 4)
            .find_map(|(old, new)| {
                let longer = word
                    .strip_prefix(old.as_str())
                    .map(|rest| format!("{new}{rest}"));
                let shorter = || {
                    old.strip_prefix(word.as_str())
                        .filter(|rest| rest.len() <= 2)
                        .and_then(|rest| new.get(..new.len().checked_sub(rest.len())?))
                        .map(str::to_string)
                };
                longer.or_else(shorter)
            });
        if let Some(new) = slip.filter(|n| !words.contains(n)) {
            map.insert(word, new);
        }
    }
    map
}

/// Replaces whole names in every text of objects and plan.
pub(super) fn rename(world: &World, map: &BTreeMap<String, String>) -> World {
    let mut change = |text: &str| -> Option<String> {
        let new = replaced(text, map);
        (new != text).then_some(new)
    };
    rewrite(world, |whole| {
        each_text(whole, &mut change);
        // The only keys that hold names of users: host names of the outside.
        let outside = whole
            .pointer_mut("/plan/wiring/outside")
            .and_then(Value::as_object_mut);
        if let Some(outside) = outside {
            *outside = std::mem::take(outside)
                .into_iter()
                .map(|(k, v)| (replaced(&k, map), v))
                .collect();
        }
    })
}

fn replaced(text: &str, map: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(word);
        // `_` and capitals belong to the word around them: no name of ours.
        let joined = out
            .chars()
            .last()
            .is_some_and(|c| c.is_alphanumeric() || c == '_')
            || after
                .chars()
                .next()
                .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        out.push_str(
            map.get(name)
                .filter(|_| !joined)
                .map_or(name, String::as_str),
        );
        let other = after.find(is_name).unwrap_or(after.len());
        let (between, after) = after.split_at(other);
        out.push_str(between);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_only() {
        let map = BTreeMap::from([
            ("cart".to_string(), "h1".to_string()),
            ("shop".to_string(), "h2".to_string()),
        ]);
        for (text, want) in [
            (
                "http://cart.shop.svc.cluster.local:80/cart",
                "http://h1.h2.svc.cluster.local:80/h1",
            ),
            ("cart-api", "cart-api"),
            ("Cart cart_x cart", "Cart cart_x h1"),
            ("cart 访问不了 shop 的", "h1 访问不了 h2 的"),
            ("", ""),
            (
                "registry.example.test/cart:1.2",
                "registry.example.test/h1:1.2",
            ),
            ("pod:shop/cart", "pod:h2/h1"),
        ] {
            assert_eq!(replaced(text, &map), want);
        }
    }
}
