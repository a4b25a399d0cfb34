//! The smallest change of policies that opens one conversation.

use super::near::{Miss, NearMiss};
use super::selector::{NAMESPACE_NAME_LABEL, Need, list, selects};
use super::{Cidr, Direction, End, Side, on_host_network, verdict};
use crate::object::{Object, ObjectRef, at};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A change that opens something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suggestion {
    /// A merge patch (RFC 7386) on a NetworkPolicy or a Namespace.
    Patch {
        /// Which side it opens.
        direction: Direction,
        /// What is patched.
        object: ObjectRef,
        /// The patch.
        patch: Value,
    },
    /// A new NetworkPolicy.
    Create {
        /// Which side it opens.
        direction: Direction,
        /// The policy.
        object: Value,
    },
}

/// Labels that tell pods of one workload apart, or its generations: useless to select a workload.
const OF_ONE_POD: [&str; 9] = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];

/// For each side that denies the conversation, the change that opens exactly it: pods labelled
/// like the one end, to pods labelled like the other, on this port. A policy is extended when it
/// speaks of just these pods, otherwise a new one is made.
pub fn suggest_allow(
    policies: &[&Object],
    namespaces: &[&Object],
    pods: &[&Object],
    from: &End<'_>,
    to: &End<'_>,
    protocol: &str,
    port: u16,
) -> Vec<Suggestion> {
    let verdict = verdict(policies, namespaces, pods, from, to, protocol, port);
    let mut out = Vec::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let (own, peer) = match direction {
            Direction::Ingress => (to, from),
            Direction::Egress => (from, to),
        };
        let (side, Some(pod)) = (verdict.side(direction), own.pod) else {
            continue;
        };
        if side.allowed {
            continue;
        }
        let rule = json!({
            direction.peers(): [peer_of(peer, pod.namespace())],
            "ports": [{ "protocol": protocol.to_ascii_uppercase(), "port": port }],
        });
        out.push(match extendable(policies, pods, side, pod) {
            Some(policy) => add_rule(policy, direction, rule),
            None => create(policies, direction, pod, peer, port, rule),
        });
    }
    out
}

/// The changes that make a rule which almost fitted fit: its selector corrected to the label that
/// is there, the namespace labelled as the selector wants it, its only port corrected. More than
/// one where a person must say which is meant.
pub fn mend(policy: &Object, direction: Direction, near: &NearMiss) -> Vec<Suggestion> {
    let mut out = Vec::new();
    let [miss] = near.misses.as_slice() else {
        return out;
    };
    let mut spec = policy.get("spec").clone();
    let rule = spec
        .get_mut(direction.field())
        .and_then(|rules| rules.get_mut(near.rule));
    let changed = match (miss, rule) {
        (Miss::Port { asked, .. }, Some(rule)) => correct_port(rule, asked),
        (Miss::Namespace { unmet, .. }, Some(rule)) => {
            correct_peer(rule, direction, near.peer, "namespaceSelector", unmet)
        }
        (Miss::Pod { unmet, .. }, Some(rule)) => {
            correct_peer(rule, direction, near.peer, "podSelector", unmet)
        }
        _ => false,
    };
    if changed {
        out.push(Suggestion::Patch {
            direction,
            object: policy.reference(),
            patch: json!({ "spec": { direction.field(): spec.get(direction.field()) } }),
        });
    }
    if let Miss::Namespace {
        namespace, unmet, ..
    } = miss
        && let Some(labels) = wanted_labels(unmet)
    {
        out.push(Suggestion::Patch {
            direction,
            object: ObjectRef::new("Namespace", "", namespace),
            patch: json!({ "metadata": { "labels": labels } }),
        });
    }
    out
}

/// The labels that all pods of this one's workload carry, as `matchLabels`.
fn identity(pod: &Object) -> Map<String, Value> {
    pod.labels()
        .into_iter()
        .filter(|(key, _)| !OF_ONE_POD.contains(key))
        .map(|(key, value)| (key.to_string(), json!(value)))
        .collect()
}

fn selector(labels: Map<String, Value>) -> Value {
    if labels.is_empty() {
        json!({})
    } else {
        json!({ "matchLabels": labels })
    }
}

fn peer_of(peer: &End<'_>, own_namespace: &str) -> Value {
    match peer.pod.filter(|p| !on_host_network(p)) {
        Some(pod) if pod.namespace() == own_namespace => {
            json!({ "podSelector": selector(identity(pod)) })
        }
        Some(pod) => json!({
            "namespaceSelector": { "matchLabels": { NAMESPACE_NAME_LABEL: pod.namespace() } },
            "podSelector": selector(identity(pod)),
        }),
        None => json!({ "ipBlock": { "cidr": Cidr::host(peer.address).to_string() } }),
    }
}

/// A policy of the denying ones that selects just the pods labelled like this one; the one with
/// the nearest rule first.
fn extendable<'a>(
    policies: &[&'a Object],
    pods: &[&Object],
    side: &Side,
    pod: &Object,
) -> Option<&'a Object> {
    let alike = selector(identity(pod));
    let same = |policy: &Object| {
        policy.get("spec.podSelector") == &alike
            || pods
                .iter()
                .filter(|p| p.namespace() == pod.namespace())
                .all(|p| {
                    let labels = p.labels();
                    selects(policy.get("spec.podSelector"), &labels) == selects(&alike, &labels)
                })
    };
    let near = side.near_misses.iter().map(|m| &m.policy);
    near.chain(&side.selecting)
        .filter_map(|r| policies.iter().copied().find(|p| p.reference() == *r))
        .find(|p| same(p))
}

fn add_rule(policy: &Object, direction: Direction, rule: Value) -> Suggestion {
    let mut rules = list(policy.get("spec"), direction.field()).to_vec();
    rules.push(rule);
    Suggestion::Patch {
        direction,
        object: policy.reference(),
        patch: json!({ "spec": { direction.field(): rules } }),
    }
}

fn create(
    policies: &[&Object],
    direction: Direction,
    pod: &Object,
    peer: &End<'_>,
    port: u16,
    rule: Value,
) -> Suggestion {
    let other = peer
        .pod
        .map(short_name)
        .unwrap_or_else(|| peer.address.to_string());
    let base = match direction {
        Direction::Ingress => format!("allow-{other}-to-{}-{port}", short_name(pod)),
        Direction::Egress => format!("allow-{}-out-to-{other}-{port}", short_name(pod)),
    };
    let base = dns_label(&base);
    let taken = |name: &str| {
        policies
            .iter()
            .any(|p| p.namespace() == pod.namespace() && p.name() == name)
    };
    let name = (2..)
        .map(|n: u32| format!("{base}-{n}"))
        .take(policies.len().saturating_add(1))
        .fold(
            base.clone(),
            |name, next| if taken(&name) { next } else { name },
        );
    Suggestion::Create {
        direction,
        object: json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": { "name": name, "namespace": pod.namespace() },
            "spec": {
                "podSelector": selector(identity(pod)),
                "policyTypes": [direction.word()],
                direction.field(): [rule],
            },
        }),
    }
}

fn short_name(pod: &Object) -> String {
    let labels = pod.labels();
    ["app.kubernetes.io/name", "app", "k8s-app"]
        .iter()
        .find_map(|key| labels.get(key))
        .map_or_else(|| pod.name().to_string(), ToString::to_string)
}

/// A name that the API takes (RFC 1123 label, 63 bytes, room for a number).
fn dns_label(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(58)
        .collect();
    clean.trim_matches('-').to_string()
}

/// Replaces the only port of a rule by the one asked for (`TCP/8080`).
fn correct_port(rule: &mut Value, asked: &str) -> bool {
    let Some([entry]) = rule
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .map(Vec::as_mut_slice)
    else {
        return false;
    };
    let Some((protocol, port)) = asked.split_once('/') else {
        return false;
    };
    let Ok(port) = port.parse::<u16>() else {
        return false;
    };
    *entry = json!({ "protocol": protocol.to_ascii_uppercase(), "port": port });
    true
}

/// Replaces the values that a peer's selector asks for by those that are there.
fn correct_peer(
    rule: &mut Value,
    direction: Direction,
    peer: Option<usize>,
    which: &str,
    unmet: &[Need],
) -> bool {
    let Some(selector) = peer
        .and_then(|i| rule.get_mut(direction.peers())?.get_mut(i))
        .and_then(|p| p.get_mut(which))
    else {
        return false;
    };
    unmet.iter().all(|need| {
        let (Some(has), "In") = (&need.has, need.operator.as_str()) else {
            return false;
        };
        let mut done = false;
        if let Some(value) = selector
            .get_mut("matchLabels")
            .and_then(|labels| labels.get_mut(&need.key))
        {
            *value = json!(has);
            done = true;
        }
        for e in selector
            .get_mut("matchExpressions")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let values: Vec<&str> = list(e, "values").iter().filter_map(Value::as_str).collect();
            if at(e, "key").as_str() == Some(&need.key)
                && at(e, "operator").as_str() == Some("In")
                && !values.contains(&has.as_str())
            {
                let values = vec![has.clone()];
                if let Some(map) = e.as_object_mut() {
                    map.insert("values".into(), json!(values));
                    done = true;
                }
            }
        }
        done
    })
}

/// Labels that would meet needs; none when the API or the needs leave no single way.
fn wanted_labels(unmet: &[Need]) -> Option<Map<String, Value>> {
    unmet
        .iter()
        .map(
            |need| match (need.operator.as_str(), need.values.as_slice()) {
                ("In", [value]) if need.key != NAMESPACE_NAME_LABEL => {
                    Some((need.key.clone(), json!(value)))
                }
                _ => None,
            },
        )
        .collect()
}
