//! A walk through packet-filter rules: what would happen to this packet here?
//!
//! Reading order: here, [`packet`], `chain` (base chains, jumps, verdicts), `step` (one
//! expression), `xt` (what iptables wrote), `set` (lookups), [`ask`] (the questions of checks).
//!
//! A rule that asks for something unknown, or that this reader does not understand, is
//! *undecided*: the walk goes on both ways and says so. A random choice is walked every way, each
//! with its share.
//!
//! Deliberately absent: iptables' legacy tables, eBPF, bridges, routing. The caller says which
//! hooks a packet comes by.

pub mod ask;
mod chain;
mod packet;
mod registers;
mod set;
mod step;
mod xt;

pub use ask::{
    Blocker, Targets, Way, blockers, blockers_on, rewrites_destinations, service_targets,
    works_by_ipvs,
};
pub use packet::{Packet, SCTP, TCP, UDP};

use crate::text;
use crate::text::Text;
use netshoot_wire::nft::{Family, Table};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A rule, or the policy of a base chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleRef {
    /// Family of the table.
    pub family: Family,
    /// Table.
    pub table: String,
    /// Chain.
    pub chain: String,
    /// The rule's handle; none for the chain's policy.
    pub handle: Option<u64>,
    /// Its place in the chain, from 0; none for the chain's policy.
    pub index: Option<usize>,
    /// Its comment, empty for none.
    pub comment: String,
    /// Packets it counted, where it counts.
    pub packets: Option<u64>,
}

/// `{}` in English, `{:#}` in Chinese.
impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.family.name(), self.table, self.chain)?;
        match (self.handle, self.index) {
            (None, None) => text!("policy", "默认策略"),
            (Some(handle), _) if handle > 0 => Text::same(format!("handle {handle}")),
            (_, index) => {
                let nth = index.unwrap_or(0);
                text!("rule {nth}", "规则 {nth}")
            }
        }
        .fmt(f)?;
        if !self.comment.is_empty() {
            write!(f, " \"{}\"", self.comment)?;
        }
        match self.packets {
            Some(n) => text!(" ({n} packets)", "（{n} 个报文）").fmt(f),
            None => Ok(()),
        }
    }
}

/// What a rule did on the way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Step {
    /// The rule.
    pub rule: RuleRef,
    /// What it did: `jump KUBE-SVC-X`, `dnat to 10.0.0.1:80`, `mark 0x4000`, `drop`.
    pub did: String,
}

/// How a walk ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It passes.
    Accept,
    /// Dropped without a word.
    Drop(RuleRef),
    /// Refused with an ICMP error or a TCP reset.
    Reject(RuleRef),
    /// Given to a program.
    Queue(RuleRef),
    /// Cannot be said: why.
    Unknown(String),
}

/// One way the walk may go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Possible {
    /// Its end.
    pub outcome: Outcome,
    /// Which share of packets goes this way, 0 to 1, as far as the random choices say; an
    /// undecided rule halves nothing: both of its ways keep the whole share.
    pub share: f64,
    /// The packet at its end, rewritten by NAT.
    pub packet: Packet,
    /// The rules that did something, in order.
    pub trail: Vec<Step>,
    /// Rules on the way that could not be decided, and why; empty: this way is sure.
    pub undecided: Vec<(RuleRef, String)>,
}

impl Possible {
    /// Where destination NAT sends it, if it does.
    pub fn target(&self) -> Option<SocketAddr> {
        let port = self.packet.dport?;
        (self.packet.nat & packet::DESTINATION_NAT != 0)
            .then(|| SocketAddr::new(self.packet.dst, port))
    }

    /// Whether its source is rewritten.
    pub fn masqueraded(&self) -> bool {
        self.packet.nat & packet::SOURCE_NAT != 0
    }
}

/// All ways a walk may go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Walk {
    /// The hooks, in order.
    pub hooks: Vec<String>,
    /// The ways; never empty.
    pub possible: Vec<Possible>,
}

impl Walk {
    /// The one outcome, if all ways end alike and none ends in ignorance.
    pub fn certain(&self) -> Option<&Outcome> {
        let first = &self.possible.first()?.outcome;
        let alike = self.possible.iter().all(|p| p.outcome == *first);
        (alike && !matches!(first, Outcome::Unknown(_))).then_some(first)
    }
}

/// Walks the base chains of one hook (`prerouting`, `input`, `forward`, `output`, `postrouting`,
/// `ingress`) in the order of their priorities.
pub fn walk(tables: &[Table], hook: &str, packet: &Packet) -> Walk {
    journey(tables, &[hook], packet)
}

/// Walks several hooks one after the other.
pub fn journey(tables: &[Table], hooks: &[&str], packet: &Packet) -> Walk {
    chain::Walker::new(tables).journey(hooks, packet)
}

/// Whether an address can be the destination of a packet of this family.
pub(crate) fn fits(table: Family, address: IpAddr) -> bool {
    match table {
        Family::Ip => address.is_ipv4(),
        Family::Ip6 => address.is_ipv6(),
        Family::Inet | Family::Netdev => true,
        Family::Bridge | Family::Arp => false,
    }
}

#[cfg(test)]
mod real;
#[cfg(test)]
mod tests;
