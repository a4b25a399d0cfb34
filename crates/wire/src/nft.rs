//! nf_tables over netlink (linux/netfilter/nf_tables.h): tables, chains, rules, sets and their expressions, both ways.

use serde::{Deserialize, Serialize};

/// Address family of a table (`NFPROTO_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `ip`
    Ip,
    /// `ip6`
    Ip6,
    /// `inet`
    Inet,
    /// `bridge`
    Bridge,
    /// `arp`
    Arp,
    /// `netdev`
    Netdev,
}

/// One table with everything in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Family.
    pub family: Family,
    /// Name.
    pub name: String,
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
    /// Expressions in order.
    pub exprs: Vec<Expr>,
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
    /// Elements are intervals.
    pub interval: bool,
    /// Anonymous.
    pub anonymous: bool,
    /// Constant.
    pub constant: bool,
    /// Elements.
    pub elements: Vec<Element>,
}

/// One element of a set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Element {
    /// Key bytes in network order.
    pub key: Vec<u8>,
    /// End of an interval (exclusive marker element) as the kernel stores it.
    pub interval_end: bool,
    /// Catch-all element.
    pub catch_all: bool,
    /// Verdict of a verdict map.
    pub verdict: Option<Verdict>,
    /// Data of a data map.
    pub data: Vec<u8>,
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

/// One expression of a rule. Registers are numbered as the kernel does (`NFT_REG_*`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    /// `counter`
    Counter {
        /// Packets.
        packets: u64,
        /// Bytes.
        bytes: u64,
    },
    /// `immediate` with a verdict.
    Verdict(Verdict),
    /// Anything this decoder does not know yet: the kernel's name for it.
    Other(String),
}
