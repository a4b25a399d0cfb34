//! One rule against one conversation.

use super::cidr::Cidr;
use super::selector::{Labels, NAMESPACE_NAME_LABEL, list, selects};
use super::{Direction, End, on_host_network};
use crate::object::{Object, at};
use serde_json::Value;

/// A conversation as the policies of one end see it.
pub(super) struct Conversation<'a> {
    pub direction: Direction,
    /// The end whose policies are asked.
    pub own: End<'a>,
    pub peer: End<'a>,
    /// The pod on which named ports are looked up.
    pub destination: Option<&'a Object>,
    pub protocol: &'a str,
    pub port: u16,
    pub namespaces: &'a [&'a Object],
    pub pods: &'a [&'a Object],
}

impl<'a> Conversation<'a> {
    pub fn rule_allows(&self, policy: &Object, rule: &Value) -> bool {
        self.port_allowed(rule) && self.peer_allowed(policy, rule)
    }

    /// Absent or empty `ports`: all ports.
    pub fn port_allowed(&self, rule: &Value) -> bool {
        let ports = list(rule, "ports");
        ports.is_empty() || ports.iter().any(|p| self.port_matches(p))
    }

    /// Absent or empty `from` or `to`: everybody, pods or not.
    fn peer_allowed(&self, policy: &Object, rule: &Value) -> bool {
        let peers = list(rule, self.direction.peers());
        peers.is_empty() || peers.iter().any(|p| self.peer_matches(policy, p))
    }

    fn port_matches(&self, entry: &Value) -> bool {
        if !protocol_of(entry).eq_ignore_ascii_case(self.protocol) {
            return false;
        }
        match at(entry, "port") {
            Value::Null => true,
            Value::String(name) => self.named_port(name) == Some(self.port),
            number => {
                let Some(first) = number.as_u64() else {
                    return false;
                };
                let last = at(entry, "endPort").as_u64().unwrap_or(first);
                (first..=last).contains(&u64::from(self.port))
            }
        }
    }

    /// The number of a named port of this conversation's protocol on the destination pod.
    fn named_port(&self, name: &str) -> Option<u16> {
        ports_of(self.destination?)
            .into_iter()
            .find(|p| {
                at(p, "name").as_str() == Some(name)
                    && protocol_of(p).eq_ignore_ascii_case(self.protocol)
            })
            .and_then(|p| u16::try_from(at(p, "containerPort").as_u64()?).ok())
    }

    fn peer_matches(&self, policy: &Object, peer: &Value) -> bool {
        if let Some(block) = peer.get("ipBlock").filter(|b| !b.is_null()) {
            return self.block_matches(block);
        }
        let (namespaces, pods) = (
            selector_of(peer, "namespaceSelector"),
            selector_of(peer, "podSelector"),
        );
        // A peer without any selector is refused by the API; it allows nobody.
        if namespaces.is_none() && pods.is_none() {
            return false;
        }
        // A pod in its node's network speaks with the node's address: selectors do not see it.
        let Some(pod) = self.peer.pod.filter(|p| !on_host_network(p)) else {
            return false;
        };
        let namespace_fits = match namespaces {
            Some(selector) => selects(selector, &self.labels_of_namespace(pod.namespace())),
            None => pod.namespace() == policy.namespace(),
        };
        namespace_fits && pods.is_none_or(|selector| selects(selector, &pod.labels()))
    }

    fn block_matches(&self, block: &Value) -> bool {
        let within = |text: &Value| {
            let cidr = text.as_str().and_then(|t| t.parse::<Cidr>().ok());
            cidr.is_some_and(|c| c.contains(self.peer.address))
        };
        within(at(block, "cidr")) && !list(block, "except").iter().any(within)
    }

    /// Labels of a namespace by name; of one that is not known, only the label that all have.
    pub fn labels_of_namespace(&self, name: &'a str) -> Labels<'a> {
        match self.namespace(name) {
            Some(namespace) => namespace.labels(),
            None => Labels::from([(NAMESPACE_NAME_LABEL, name)]),
        }
    }

    pub fn namespace(&self, name: &str) -> Option<&'a Object> {
        self.namespaces.iter().copied().find(|n| n.name() == name)
    }

    /// What a denial rests on without having been seen.
    pub fn unknown<'r>(&self, mut rules: impl Iterator<Item = &'r Value>) -> Vec<String> {
        let Some(pod) = self.peer.pod.filter(|p| !on_host_network(p)) else {
            return Vec::new();
        };
        let asked = rules.any(|rule| {
            list(rule, self.direction.peers())
                .iter()
                .any(|peer| selector_of(peer, "namespaceSelector").is_some())
        });
        if asked && self.namespace(pod.namespace()).is_none() {
            vec![format!("labels of Namespace {}", pod.namespace())]
        } else {
            Vec::new()
        }
    }
}

/// A selector that is there (an empty one is, JSON null is not).
pub(super) fn selector_of<'v>(peer: &'v Value, key: &str) -> Option<&'v Value> {
    peer.get(key).filter(|s| !s.is_null())
}

/// `protocol` of a policy's or container's port; TCP when absent.
pub(super) fn protocol_of(port: &Value) -> &str {
    at(port, "protocol").as_str().unwrap_or("TCP")
}

/// All ports of a pod's containers, those of init containers that stay (sidecars) too.
pub(super) fn ports_of(pod: &Object) -> Vec<&Value> {
    let containers = pod.list("spec.containers").iter();
    let sidecars = pod
        .list("spec.initContainers")
        .iter()
        .filter(|c| at(c, "restartPolicy").as_str() == Some("Always"));
    containers
        .chain(sidecars)
        .flat_map(|c| list(c, "ports"))
        .collect()
}
