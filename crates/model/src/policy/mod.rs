//! NetworkPolicy evaluation (networking.k8s.io/v1): may this end speak to that one, by whose
//! leave, and if not, which rule came closest.
//!
//! Reading order: here, [`selector`], `rule` (one rule against one conversation), [`near`] (what
//! was missing), [`remedy`] (the smallest rule that would open it).
//!
//! Deliberately absent: what is decided elsewhere (AdminNetworkPolicy, CNI policies), and
//! conntrack: replies follow the conversation they belong to. A pod's traffic to itself is judged
//! like any other, as by an enforcement that sees it (behind a Service it does).

mod cidr;
mod near;
mod remedy;
mod rule;
pub mod selector;

pub use cidr::Cidr;
pub use near::{Miss, NearMiss};
pub use remedy::{Suggestion, mend, suggest_allow};
pub use selector::{Labels, Need, selects, unmet};

use crate::object::{Object, ObjectRef, at};
use rule::Conversation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;

/// One end of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The pod; none for an outside machine or a node.
    pub pod: Option<&'a Object>,
    /// The address a packet carries.
    pub address: IpAddr,
}

/// Which way rules look at a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// What the pod may receive.
    Ingress,
    /// What the pod may send.
    Egress,
}

impl Direction {
    /// As in `policyTypes`.
    pub fn word(self) -> &'static str {
        match self {
            Direction::Ingress => "Ingress",
            Direction::Egress => "Egress",
        }
    }

    /// `spec.ingress`, `spec.egress`.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }

    /// The peers of a rule: `from`, `to`.
    pub(crate) fn peers(self) -> &'static str {
        match self {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        }
    }
}

/// Why policies do not speak of an end at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exempt {
    /// The end is no pod.
    NoPod,
    /// The pod lives in its node's network; policies do not cover it.
    HostNetwork,
    /// The other end is the pod's own node, which is always allowed.
    OwnNode,
}

/// One direction of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Allowed.
    pub allowed: bool,
    /// Policies that select the pod in this direction; none: it is not isolated.
    pub selecting: Vec<ObjectRef>,
    /// The first rule that allows it: policy, and index in `spec.ingress` or `spec.egress`.
    pub allowed_by: Option<(ObjectRef, usize)>,
    /// When denied: the rules that came close, the closest first.
    pub near_misses: Vec<NearMiss>,
    /// Why policies do not matter here.
    pub exempt: Option<Exempt>,
    /// Facts that the verdict lacks, as words: `labels of Namespace shop`. When there are any and
    /// the side is denied, the truth may be the other one.
    pub unknown: Vec<String>,
}

/// Both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// At the destination.
    pub ingress: Side,
    /// At the source.
    pub egress: Side,
}

impl Verdict {
    /// Both directions allow it.
    pub fn allowed(&self) -> bool {
        self.ingress.allowed && self.egress.allowed
    }

    /// The side of a direction.
    pub fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Judges one conversation: the first packet from `from` to `to`, `protocol` `TCP`, `UDP` or
/// `SCTP`, `port` the port at the destination pod (behind a Service: the target port). `pods` and
/// `namespaces` are all that are known; they only serve the explanation of near misses, except
/// for the labels of the ends' namespaces.
pub fn verdict(
    policies: &[&Object],
    namespaces: &[&Object],
    pods: &[&Object],
    from: &End<'_>,
    to: &End<'_>,
    protocol: &str,
    port: u16,
) -> Verdict {
    let conversation = |direction| {
        let (own, peer) = match direction {
            Direction::Ingress => (to, from),
            Direction::Egress => (from, to),
        };
        Conversation {
            direction,
            own: *own,
            peer: *peer,
            destination: to.pod,
            protocol,
            port,
            namespaces,
            pods,
        }
    };
    Verdict {
        ingress: side(policies, &conversation(Direction::Ingress)),
        egress: side(policies, &conversation(Direction::Egress)),
    }
}

/// Whether a policy isolates the pods it selects in a direction: `policyTypes`, or by default
/// Ingress always and Egress where there are egress rules.
pub fn applies(policy: &Object, direction: Direction) -> bool {
    match policy.list("spec.policyTypes") {
        [] => direction == Direction::Ingress || !policy.list("spec.egress").is_empty(),
        types => types.iter().any(|t| t.as_str() == Some(direction.word())),
    }
}

/// Whether a policy selects a pod, in whatever direction.
pub fn covers(policy: &Object, pod: &Object) -> bool {
    policy.namespace() == pod.namespace()
        && selects(policy.get("spec.podSelector"), &pod.labels())
        && !on_host_network(pod)
}

pub(crate) fn on_host_network(pod: &Object) -> bool {
    pod.get("spec.hostNetwork").as_bool() == Some(true)
}

/// The addresses of the node that a pod runs on, as its status says.
fn node_addresses(pod: &Object) -> impl Iterator<Item = IpAddr> + '_ {
    let many = pod.list("status.hostIPs").iter().map(|h| at(h, "ip"));
    many.chain([pod.get("status.hostIP")])
        .filter_map(|v: &Value| v.as_str()?.parse().ok())
}

/// The policies that keep a pod from everybody outside its namespace over a protocol, on whatever port: they isolate its
/// egress, and no rule of theirs could let that through. None where one might.
pub fn shut_in(policies: &[&Object], pod: &Object, protocol: &str) -> Vec<ObjectRef> {
    let isolating = |p: &&&Object| applies(p, Direction::Egress) && covers(p, pod);
    let selecting: Vec<&Object> = policies.iter().filter(isolating).copied().collect();
    let over = |rule: &Value| {
        let ports = selector::list(rule, "ports");
        let same = |p: &Value| rule::protocol_of(p).eq_ignore_ascii_case(protocol);
        ports.is_empty() || ports.iter().any(same)
    };
    let outside = |rule: &Value| {
        let peers = selector::list(rule, Direction::Egress.peers());
        let beyond = |p: &Value| {
            ["namespaceSelector", "ipBlock"]
                .iter()
                .any(|k| rule::selector_of(p, k).is_some())
        };
        peers.is_empty() || peers.iter().any(beyond)
    };
    let opens = |p: &&Object| {
        let rules = selector::list(p.get("spec"), Direction::Egress.field());
        rules.iter().any(|r| over(r) && outside(r))
    };
    if selecting.iter().any(opens) {
        return Vec::new();
    }
    selecting.iter().map(|p| p.reference()).collect()
}

fn side(policies: &[&Object], c: &Conversation<'_>) -> Side {
    let mut side = Side {
        allowed: true,
        selecting: Vec::new(),
        allowed_by: None,
        near_misses: Vec::new(),
        exempt: None,
        unknown: Vec::new(),
    };
    let Some(pod) = c.own.pod else {
        side.exempt = Some(Exempt::NoPod);
        return side;
    };
    if on_host_network(pod) {
        side.exempt = Some(Exempt::HostNetwork);
        return side;
    }
    let selecting: Vec<&Object> = policies
        .iter()
        .copied()
        .filter(|p| applies(p, c.direction) && covers(p, pod))
        .collect();
    side.selecting = selecting.iter().map(|p| p.reference()).collect();
    let plain_peer = c.peer.pod.is_none_or(on_host_network);
    if plain_peer && node_addresses(pod).any(|a| a == c.peer.address) {
        side.exempt = Some(Exempt::OwnNode);
        return side;
    }
    if selecting.is_empty() {
        return side;
    }
    let rules = || {
        selecting.iter().flat_map(|p| {
            selector::list(p.get("spec"), c.direction.field())
                .iter()
                .enumerate()
                .map(|(index, rule)| (*p, index, rule))
        })
    };
    side.allowed_by = rules()
        .find(|(policy, _, rule)| c.rule_allows(policy, rule))
        .map(|(policy, index, _)| (policy.reference(), index));
    side.allowed = side.allowed_by.is_some();
    if !side.allowed {
        side.near_misses = rules()
            .filter_map(|(policy, index, rule)| c.near_miss(policy, index, rule))
            .collect();
        side.near_misses
            .sort_by_key(|m| (m.distance, m.policy.clone(), m.rule));
        side.unknown = c.unknown(rules().map(|(_, _, rule)| rule));
    }
    side
}

#[cfg(test)]
mod generated;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
