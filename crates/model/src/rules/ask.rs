//! What checks ask of a node's rules.

use super::{Outcome, Packet, Possible, RuleRef, Step, fits, journey};
use netshoot_wire::nft::{Chain, Expr, NatKind, Table, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a node's rules send a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// The rules could be followed to the end. False: what `endpoints` says may not be all, see
    /// `doubts`.
    pub known: bool,
    /// Where new connections go, sorted.
    pub endpoints: Vec<SocketAddr>,
    /// Connections are refused, or dropped, by this rule.
    pub rejected: Option<RuleRef>,
    /// `rejected` drops without a word.
    pub dropped: bool,
    /// The rules of the first way, in order.
    pub trail: Vec<Step>,
    /// What could not be decided.
    pub doubts: Vec<String>,
}

/// How a packet comes by this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// To a process here.
    In,
    /// From one device to another.
    Through,
    /// From a process here.
    Out,
}

impl Way {
    /// Its hooks, in order.
    pub fn hooks(self) -> &'static [&'static str] {
        match self {
            Way::In => &["prerouting", "input"],
            Way::Through => &["prerouting", "forward", "postrouting"],
            Way::Out => &["output", "postrouting"],
        }
    }
}

/// A rule or policy that stops a packet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blocker {
    /// The rule, or the policy of a base chain.
    pub rule: RuleRef,
    /// On which way.
    pub way: Way,
    /// Refuses rather than drops.
    pub rejects: bool,
    /// Share of packets that it stops, 0 to 1.
    pub share: f64,
    /// Nothing undecided stands before it.
    pub certain: bool,
    /// The rules on the way to it.
    pub trail: Vec<Step>,
}

/// Which endpoints this node's rules send new connections to a Service's address to. Works on
/// kube-proxy's nftables and iptables modes alike, since the rules are walked, not recognised. The
/// client is one that no rule treats specially. No rules for the address: known, and no endpoints.
pub fn service_targets(tables: &[Table], address: IpAddr, port: u16, protocol: u8) -> Targets {
    let nobody = if address.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let mut packet = Packet::new(nobody, SocketAddr::new(address, port), protocol);
    packet.local = Some(Vec::new());
    let nat = tables.iter().any(|t| {
        let base = |c: &netshoot_wire::nft::Chain| {
            c.hook
                .as_ref()
                .is_some_and(|h| h.kind == "nat" && h.point == "prerouting")
        };
        !t.dormant && fits(t.family, address) && t.chains.iter().any(base)
    });
    let mut out = Targets {
        known: nat || tables.iter().any(|t| kubelets(t, address)),
        endpoints: Vec::new(),
        rejected: None,
        dropped: false,
        trail: Vec::new(),
        doubts: Vec::new(),
    };
    if !out.known {
        out.doubts.push("no NAT rules of this family".into());
    }
    let mut endpoints = BTreeSet::new();
    for way in journey(tables, &["prerouting"], &packet).possible {
        match way.target() {
            Some(target) => {
                endpoints.insert(target);
            }
            // What is not rewritten goes on as it is: there the rules refuse what has no endpoints.
            None if way.outcome == Outcome::Accept => {
                for end in journey(tables, &["forward"], &way.packet).possible {
                    out.stopped(&end);
                    out.note(&end);
                }
            }
            None => out.stopped(&way),
        }
        out.note(&way);
    }
    out.endpoints = endpoints.into_iter().collect();
    out.doubts.sort();
    out.doubts.dedup();
    out
}

/// Whether the kubelet's marks of this family stand here: by them kube-proxy's iptables takes nf_tables rather than the
/// legacy tables that nobody reads here, so that no rule here is no rule at all.
fn kubelets(table: &Table, address: IpAddr) -> bool {
    let marks = ["KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT"];
    let marked = table
        .chains
        .iter()
        .any(|c| marks.contains(&c.name.as_str()));
    marked && fits(table.family, address)
}

/// Whether kube-proxy works by IPVS here: chains that it makes in that mode only, and none of another mode, for it leaves them
/// behind where the mode is changed. Then no rule says where a Service goes.
pub fn works_by_ipvs(tables: &[Table], address: IpAddr) -> bool {
    let ipvs = ["KUBE-NODE-PORT", "KUBE-LOAD-BALANCER", "KUBE-IPVS-FILTER"];
    let here = tables
        .iter()
        .filter(|t| !t.dormant && fits(t.family, address));
    let by = |names: &[&str]| {
        let mut chains = here.clone().flat_map(|t| &t.chains);
        chains.any(|c| names.contains(&c.name.as_str()))
    };
    let other = by(&["KUBE-NODEPORTS"]) || here.clone().any(|t| t.name == "kube-proxy");
    by(&ipvs) && !other
}

/// Whether any rule that new packets of this family come by rewrites a destination: without kube-proxy, nothing does.
/// Where its rules stand, the API server's own Service at least is rewritten.
pub fn rewrites_destinations(tables: &[Table], address: IpAddr) -> bool {
    let here = tables
        .iter()
        .filter(|t| !t.dormant && fits(t.family, address));
    here.into_iter().any(|t| {
        let based = |c: &&Chain| {
            c.hook
                .as_ref()
                .is_some_and(|h| h.kind == "nat" && h.point == "prerouting")
        };
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&Chain> = t.chains.iter().filter(based).collect();
        while let Some(chain) = open.pop() {
            if !seen.insert(&chain.name) {
                continue;
            }
            for e in chain.rules.iter().flat_map(|r| &r.exprs) {
                let dnat = matches!(e, Expr::Nat { kind, .. } if *kind == NatKind::Dnat);
                if dnat || matches!(e, Expr::Target(x) if ["DNAT", "REDIRECT"].contains(&x.name.as_str())) {
                    return true;
                }
                let verdicts: Vec<&Verdict> = match e {
                    Expr::Verdict(v) => vec![v],
                    Expr::Lookup { set, .. } => {
                        let found = t.sets.iter().filter(|s| s.name == *set);
                        found
                            .flat_map(|s| s.elements.iter().filter_map(|e| e.verdict.as_ref()))
                            .collect()
                    }
                    _ => Vec::new(),
                };
                for v in verdicts {
                    if let Verdict::Jump(to) | Verdict::Goto(to) = v {
                        open.extend(t.chains.iter().filter(|c| c.name == *to));
                    }
                }
            }
        }
        false
    })
}

impl Targets {
    fn stopped(&mut self, way: &Possible) {
        if let Outcome::Drop(rule) | Outcome::Reject(rule) = &way.outcome {
            self.dropped = matches!(way.outcome, Outcome::Drop(_));
            self.rejected = Some(rule.clone());
        }
    }

    fn note(&mut self, way: &Possible) {
        if self.trail.is_empty() {
            self.trail = way.trail.clone();
        }
        for (rule, why) in &way.undecided {
            self.known = false;
            self.doubts.push(format!("{rule}: {why}"));
        }
        if let Outcome::Unknown(why) = &way.outcome {
            self.known = false;
            self.doubts.push(why.clone());
        }
    }
}

/// The rules and policies that would stop a packet. It goes through when it has both devices, in
/// or out when it has one, and any way when it has none.
pub fn blockers(tables: &[Table], packet: &Packet) -> Vec<Blocker> {
    let ways: &[Way] = match (&packet.iif, &packet.oif) {
        (Some(_), Some(_)) => &[Way::Through],
        (Some(_), None) => &[Way::In],
        (None, Some(_)) => &[Way::Out],
        (None, None) => &[Way::Through, Way::In, Way::Out],
    };
    ways.iter()
        .flat_map(|way| blockers_on(tables, *way, packet))
        .collect()
}

/// The same on one way; each rule once, its shares added up.
pub fn blockers_on(tables: &[Table], way: Way, packet: &Packet) -> Vec<Blocker> {
    let mut out: Vec<Blocker> = Vec::new();
    for end in journey(tables, way.hooks(), packet).possible {
        let (Outcome::Drop(rule) | Outcome::Reject(rule)) = &end.outcome else {
            continue;
        };
        let certain = end.undecided.is_empty();
        if let Some(same) = out
            .iter_mut()
            .find(|b| b.rule == *rule && b.certain == certain)
        {
            same.share += end.share;
            continue;
        }
        out.push(Blocker {
            rule: rule.clone(),
            way,
            rejects: matches!(end.outcome, Outcome::Reject(_)),
            share: end.share,
            certain,
            trail: end.trail.clone(),
        });
    }
    out
}
