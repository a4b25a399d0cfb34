//! The policy agent's part: NetworkPolicies to packet-filter rules of one node.
//!
//! Written from the API's description alone (networking.k8s.io/v1), not from the evaluator that
//! later explains it: objects become address sets and rules, and packets decide.
//!
//! Reading order: [`select`] (who is meant), [`ranges`] (addresses as intervals), then the table
//! here. Deliberately absent: pods in their node's network (the API leaves policy for them
//! undefined; they are no peers of selectors either), AdminNetworkPolicy.

mod ranges;
mod select;
#[cfg(test)]
mod tests;

use crate::Error;
use netshoot_host::netns::NetNs;
use netshoot_host::nft::{Batch, dump};
use netshoot_wire::nft::build::{End, intervals, state};
use netshoot_wire::nft::{Chain, Expr, Family, Hook, Rule, Set, Table, Verdict};
use ranges::Ranges;
use select::{Pod, World, list, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The table's name.
const TABLE: &str = "policy";

/// Makes table `inet policy` of a node's network namespace enforce the NetworkPolicies among these
/// objects (NetworkPolicies, Pods, Namespaces; others are passed over) for the pods on that node.
/// One transaction; counters of dropped packets go on.
pub fn sync(ns: &NetNs, node: &str, objects: &[Value]) -> Result<(), Error> {
    let mut table = table(node, objects);
    ns.enter(|| {
        if let Some(old) = dump()?
            .iter()
            .find(|t| t.name == TABLE && t.family == Family::Inet)
        {
            keep_counters(old, &mut table);
        }
        Batch::new().replace(&table).apply()
    })??;
    Ok(())
}

fn keep_counters(old: &Table, new: &mut Table) {
    for chain in &mut new.chains {
        let before = old.chains.iter().find(|c| c.name == chain.name);
        let counter = before.and_then(|c| c.rules.last()?.exprs.first());
        let now = chain.rules.last_mut().and_then(|r| r.exprs.first_mut());
        if let (Some(before @ Expr::Counter { .. }), Some(now @ Expr::Counter { .. })) =
            (counter, now)
        {
            *now = before.clone();
        }
    }
}

/// Which way a connection goes, seen from the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }

    /// Rules of the policy for this direction; none when it does not isolate here.
    fn rules(self, policy: &Value) -> Option<&[Value]> {
        let types: Vec<&str> = list(policy, "/spec/policyTypes")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let (word, pointer, peers) = match self {
            Direction::Ingress => ("Ingress", "/spec/ingress", true),
            // Without policyTypes a policy is about egress only when it has egress rules.
            Direction::Egress => (
                "Egress",
                "/spec/egress",
                !list(policy, "/spec/egress").is_empty(),
            ),
        };
        let isolates = if types.is_empty() {
            peers
        } else {
            types.contains(&word)
        };
        isolates.then(|| list(policy, pointer))
    }

    fn peers(self) -> &'static str {
        if self == Direction::Ingress {
            "/from"
        } else {
            "/to"
        }
    }

    /// The end of a packet that the peer is.
    fn peer_end(self) -> End {
        if self == Direction::Ingress {
            End::Source
        } else {
            End::Destination
        }
    }

    fn own_end(self) -> End {
        if self == Direction::Ingress {
            End::Destination
        } else {
            End::Source
        }
    }
}

/// The whole table of one node.
fn table(node: &str, objects: &[Value]) -> Table {
    let world = World::read(objects);
    let mut writer = Writer {
        world: &world,
        sets: Vec::new(),
        named: BTreeMap::new(),
    };
    let (mut forward, mut input, mut chains) = (opening(), opening(), Vec::new());
    for direction in [Direction::Egress, Direction::Ingress] {
        for pod in world.pods.iter().filter(|p| p.node == node) {
            let Some(mut rules) = writer.pod(pod, direction) else {
                continue;
            };
            let comment = format!("{} {}/{}", direction.word(), pod.namespace, pod.name);
            rules.push(Rule::new().counter().drop().comment(&comment));
            let name = format!("{}-{}", direction.word(), pod.id);
            for address in &pod.addresses {
                // A pod can always reach itself, also through a Service.
                let own = Rule::new().ip_version(address.is_ipv6()).address(
                    direction.own_end(),
                    true,
                    *address,
                );
                if direction == Direction::Egress {
                    input.push(own.clone().jump(&name));
                }
                forward.push(
                    own.address(direction.peer_end(), false, *address)
                        .jump(&name),
                );
            }
            chains.push(Chain {
                name,
                rules,
                ..Chain::default()
            });
        }
    }
    // What comes from the node itself (kubelet's probes) passes neither hook.
    chains.insert(0, base("input", input));
    chains.insert(0, base("forward", forward));
    Table {
        family: Family::Inet,
        name: TABLE.into(),
        chains,
        sets: writer.sets,
        ..Table::default()
    }
}

fn base(point: &str, rules: Vec<Rule>) -> Chain {
    let hook = Hook {
        kind: "filter".into(),
        point: point.into(),
        priority: 0,
        policy_drop: false,
        policy_packets: None,
    };
    Chain {
        name: point.into(),
        hook: Some(hook),
        rules,
        ..Chain::default()
    }
}

/// Answers, and the neighbour discovery that IPv6 cannot do without (RFC 4861: types 133 to 137).
fn opening() -> Vec<Rule> {
    /// `IPPROTO_ICMPV6`
    const ICMPV6: u8 = 58;
    let discovery = Rule::new()
        .ip_version(true)
        .protocol(ICMPV6)
        .first_byte_in(133, 137);
    vec![
        Rule::new()
            .ct_state(state::ESTABLISHED | state::RELATED)
            .accept(),
        discovery.accept(),
    ]
}

struct Writer<'a> {
    world: &'a World,
    sets: Vec<Set>,
    /// Names of sets by policy, direction, rule, family: pods of one policy share them.
    named: BTreeMap<String, Option<String>>,
}

/// A port of a rule, for one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Port {
    /// Protocol, first and last number.
    Numbers(u8, u16, u16),
    /// Protocol, any port.
    Any(u8),
    /// Protocol and name: a different number with each peer.
    Name(u8, String),
}

fn protocol(word: &str) -> u8 {
    match word {
        "UDP" => 17,
        "SCTP" => 132,
        _ => 6,
    }
}

/// A port as the API writes it; none for one that cannot match.
fn read_port(port: &Value) -> Option<Port> {
    let protocol = protocol(text(port, "/protocol"));
    let number = |v: &Value| v.as_u64().and_then(|n| u16::try_from(n).ok());
    match port.get("port") {
        None | Some(Value::Null) => Some(Port::Any(protocol)),
        Some(Value::String(name)) => match name.parse() {
            Ok(number) => Some(Port::Numbers(protocol, number, number)),
            Err(_) => Some(Port::Name(protocol, name.clone())),
        },
        Some(first) => {
            let first = number(first)?;
            let last = port.get("endPort").and_then(number).unwrap_or(first);
            Some(Port::Numbers(protocol, first, last))
        }
    }
}

impl Writer<'_> {
    /// Rules that let connections of a pod through; none when no policy isolates it.
    fn pod(&mut self, pod: &Pod, direction: Direction) -> Option<Vec<Rule>> {
        let mut isolated = false;
        let mut rules = Vec::new();
        for policy in &self.world.policies {
            let here = text(policy, "/metadata/namespace") == pod.namespace;
            // Without a selector it is about every pod of its namespace.
            let selector = policy.pointer("/spec/podSelector").filter(|s| !s.is_null());
            if !here || !selector.is_none_or(|s| select::matches(Some(s), &pod.labels)) {
                continue;
            }
            let Some(allowed) = direction.rules(policy) else {
                continue;
            };
            isolated = true;
            for (number, rule) in allowed.iter().enumerate() {
                let about = format!(
                    "{}/{}-{}-{number}",
                    pod.namespace,
                    text(policy, "/metadata/name"),
                    direction.word()
                );
                self.rule(pod, direction, rule, &about, &mut rules);
            }
        }
        isolated.then_some(rules)
    }

    fn rule(
        &mut self,
        pod: &Pod,
        direction: Direction,
        rule: &Value,
        about: &str,
        out: &mut Vec<Rule>,
    ) {
        let peers = list(rule, direction.peers());
        let listed = list(rule, "/ports");
        let ports: Vec<Option<Port>> = match listed {
            [] => vec![None],
            some => some.iter().filter_map(read_port).map(Some).collect(),
        };
        let comment = |r: Rule| r.verdict(Verdict::Return).comment(about);
        for port in ports {
            if let Some(Port::Name(protocol, name)) = &port {
                for (number, within) in self.named_port(pod, direction, peers, (*protocol, name)) {
                    for peer in self.peer_rules(
                        direction,
                        within,
                        &format!("{about}-{name}-{protocol}-{number}"),
                    ) {
                        let port = Port::Numbers(*protocol, number, number);
                        out.push(comment(to_port(peer, Some(&port))));
                    }
                }
                continue;
            }
            let within = (!peers.is_empty()).then(|| self.world.peers(&pod.namespace, peers));
            for peer in self.peer_rules(direction, within, about) {
                out.push(comment(to_port(peer, port.as_ref())));
            }
        }
    }

    /// Numbers that a port's name stands for, each with the peers it holds for (none: everybody).
    fn named_port(
        &self,
        pod: &Pod,
        direction: Direction,
        peers: &[Value],
        (protocol, name): (u8, &str),
    ) -> Vec<(u16, Option<Ranges>)> {
        let called = |p: &Pod| {
            let mine = p
                .ports
                .iter()
                .filter(|(n, proto, _)| n == name && *proto == protocol);
            mine.map(|(_, _, number)| *number).collect::<Vec<_>>()
        };
        if direction == Direction::Ingress {
            let within = || (!peers.is_empty()).then(|| self.world.peers(&pod.namespace, peers));
            return called(pod)
                .into_iter()
                .map(|number| (number, within()))
                .collect();
        }
        // The name is the destination's own: blocks of addresses have none.
        let mut numbers: BTreeMap<u16, Ranges> = BTreeMap::new();
        for peer in self.world.peer_pods(&pod.namespace, peers) {
            for number in called(peer) {
                numbers.entry(number).or_default().add_all(&peer.addresses);
            }
        }
        numbers
            .into_iter()
            .map(|(number, within)| (number, Some(within)))
            .collect()
    }

    /// One rule a family that some peer has an address of; one for both when it is everybody.
    fn peer_rules(
        &mut self,
        direction: Direction,
        within: Option<Ranges>,
        about: &str,
    ) -> Vec<Rule> {
        let Some(within) = within else {
            return vec![Rule::new()];
        };
        let mut rules = Vec::new();
        for v6 in [false, true] {
            if let Some(set) = self.set(&within, v6, about) {
                let rule = Rule::new().ip_version(v6);
                rules.push(rule.address_in(direction.peer_end(), true, v6, &set));
            }
        }
        rules
    }

    /// The name of a set of these addresses; none when it would be empty.
    fn set(&mut self, within: &Ranges, v6: bool, about: &str) -> Option<String> {
        let key = format!("{about}-{}", if v6 { "v6" } else { "v4" });
        if let Some(name) = self.named.get(&key) {
            return name.clone();
        }
        let elements = intervals(within.bytes(v6));
        let name = (!elements.is_empty()).then(|| {
            // Names are limited to 255 bytes; the number keeps cut ones apart.
            let short: String = key.chars().take(200).collect();
            let name = format!("{short}-{}", self.sets.len());
            let set = Set {
                interval: true,
                elements,
                ..Set::addresses(&name, v6)
            };
            self.sets.push(set);
            name
        });
        self.named.insert(key, name.clone());
        name
    }
}

fn to_port(rule: Rule, port: Option<&Port>) -> Rule {
    match port {
        None | Some(Port::Name(..)) => rule,
        Some(Port::Any(protocol)) => rule.protocol(*protocol),
        Some(Port::Numbers(protocol, first, last)) if first == last => {
            rule.protocol(*protocol).port(End::Destination, *first)
        }
        Some(Port::Numbers(protocol, first, last)) => {
            rule.protocol(*protocol)
                .ports(End::Destination, *first, *last)
        }
    }
}

/// An address in the order of the network, as a number.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u32::from(a).into(),
        IpAddr::V6(a) => a.into(),
    }
}
