//! nf_tables over netlink (linux/netfilter/nf_tables.h): tables, chains, rules, sets and their expressions, both ways.
//!
//! Reading order: the types here, [`expr`] (what a rule is made of), [`xt`] (the same for rules
//! that iptables wrote), [`read`] and [`write`] (netlink messages).

use serde::{Deserialize, Serialize};

pub mod build;
pub mod expr;
pub mod expr_read;
pub mod expr_write;
pub mod read;
pub mod write;
pub mod xt;

pub use expr::{
    BitOp, CmpOp, CtKey, DynsetOp, Expr, MetaKey, NatKind, PayloadBase, register_offset,
};

/// Address family of a table (`NFPROTO_*`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `ip`
    Ip,
    /// `ip6`
    Ip6,
    /// `inet`
    #[default]
    Inet,
    /// `bridge`
    Bridge,
    /// `arp`
    Arp,
    /// `netdev`
    Netdev,
}

impl Family {
    /// The kernel's number (linux/netfilter.h `NFPROTO_*`).
    pub fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Ip => 2,
            Family::Arp => 3,
            Family::Netdev => 5,
            Family::Bridge => 7,
            Family::Ip6 => 10,
        }
    }

    /// The family of a kernel's number.
    pub fn from_number(number: u8) -> Option<Family> {
        Some(match number {
            1 => Family::Inet,
            2 => Family::Ip,
            3 => Family::Arp,
            5 => Family::Netdev,
            7 => Family::Bridge,
            10 => Family::Ip6,
            _ => return None,
        })
    }

    /// As `nft` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Family::Inet => "inet",
            Family::Ip => "ip",
            Family::Arp => "arp",
            Family::Netdev => "netdev",
            Family::Bridge => "bridge",
            Family::Ip6 => "ip6",
        }
    }
}

/// One table with everything in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    /// Family.
    pub family: Family,
    /// Name.
    pub name: String,
    /// User comment, empty for none.
    pub comment: String,
    /// Taken out of the packet path (`NFT_TABLE_F_DORMANT`).
    pub dormant: bool,
    /// Chains.
    pub chains: Vec<Chain>,
    /// Named and anonymous sets and maps.
    pub sets: Vec<Set>,
}

/// One chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chain {
    /// Name.
    pub name: String,
    /// Where a base chain is hooked; none for a regular chain.
    pub hook: Option<Hook>,
    /// Devices of a netdev or ingress chain.
    pub devices: Vec<String>,
    /// User comment, empty for none.
    pub comment: String,
    /// Rules in order.
    pub rules: Vec<Rule>,
}

/// How a base chain is attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// `filter`, `nat`, `route`.
    pub kind: String,
    /// `prerouting`, `input`, `forward`, `output`, `postrouting`, `ingress`.
    pub point: String,
    /// Priority; lower runs first.
    pub priority: i32,
    /// The verdict when no rule decides: true for drop.
    pub policy_drop: bool,
    /// Packets that fell through to the policy, where the kernel counts them.
    #[serde(default)]
    pub policy_packets: Option<u64>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Kernel handle, 0 for a rule that was not read from a kernel.
    pub handle: u64,
    /// User comment, empty for none.
    pub comment: String,
    /// What x_tables matches and targets in it are told (`NFTA_RULE_COMPAT`).
    pub compat: Option<Compat>,
    /// Expressions in order.
    pub exprs: Vec<Expr>,
}

/// The IP protocol that x_tables matches in a rule rely on (`enum nft_rule_compat_attributes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compat {
    /// IP protocol number, 0 for any.
    pub proto: u32,
    /// The protocol must be any other (`NFT_RULE_COMPAT_F_INV`).
    pub inverted: bool,
}

/// One set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Set {
    /// Name; anonymous ones are `__set0`, `__map1`, ...
    pub name: String,
    /// Length of each key, bytes (concatenations are padded to 4 bytes a part).
    pub key_len: u32,
    /// nft's key type number (`NFTA_SET_KEY_TYPE`), only for `nft list` to print it well.
    pub key_type: u32,
    /// A map (to data or verdict) rather than a set.
    pub map: bool,
    /// Map data are verdicts.
    pub verdicts: bool,
    /// Length of the data of a data map, bytes.
    pub data_len: u32,
    /// nft's type number of the data of a data map (`NFTA_SET_DATA_TYPE`).
    pub data_type: u32,
    /// Lengths of the parts of a concatenated key, bytes; empty for a simple key.
    pub fields: Vec<u32>,
    /// Keys are numbers in the machine's byte order, not the network's (marks, `numgen`).
    pub host_order: bool,
    /// Elements are intervals.
    pub interval: bool,
    /// Anonymous.
    pub anonymous: bool,
    /// Constant.
    pub constant: bool,
    /// Rules add elements (`NFT_SET_EVAL`).
    pub dynamic: bool,
    /// Elements end (`NFT_SET_TIMEOUT`).
    pub timeout: bool,
    /// When they end unless an element says otherwise, milliseconds; 0 for never.
    pub timeout_ms: u64,
    /// Most elements it takes, 0 for no limit.
    pub size: u32,
    /// User comment, empty for none.
    pub comment: String,
    /// Elements.
    pub elements: Vec<Element>,
}

/// One element of a set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Element {
    /// Key bytes in network order.
    pub key: Vec<u8>,
    /// Last key (inclusive) of an interval of a concatenated key; empty elsewhere.
    pub key_end: Vec<u8>,
    /// End of an interval (exclusive marker element) as the kernel stores it.
    pub interval_end: bool,
    /// Catch-all element.
    pub catch_all: bool,
    /// Verdict of a verdict map.
    pub verdict: Option<Verdict>,
    /// Data of a data map.
    pub data: Vec<u8>,
    /// Time to live, milliseconds; 0 for the set's.
    pub timeout_ms: u64,
    /// Milliseconds until it ends; 0 where it does not.
    pub expires_ms: u64,
    /// Counters and the like attached to it.
    pub exprs: Vec<Expr>,
    /// Comment.
    pub comment: String,
}

/// What a rule or map element decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Accept.
    Accept,
    /// Drop.
    Drop,
    /// Go on behind the base chain's rule.
    Continue,
    /// Back to the calling chain.
    Return,
    /// Call a chain.
    Jump(String),
    /// Continue in a chain, without coming back.
    Goto(String),
    /// Hand to user space.
    Queue,
}

#[cfg(test)]
mod tests;
