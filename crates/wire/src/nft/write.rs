//! Tables, chains, rules, sets and elements to the payloads of netlink messages.

use super::expr_write::{self, SetIds};
use super::read::{DATA_VERDICT, hook_points};
use super::{Chain, Element, Family, Rule, Set, Verdict};
use crate::netlink::Builder;

/// Elements a message holds: an attribute is limited to 64 KiB, an element to some 600 bytes.
pub const ELEMENTS_A_MESSAGE: usize = 100;

/// `NFNL_SUBSYS_NFTABLES` (linux/netfilter/nfnetlink.h).
pub const SUBSYSTEM: u16 = 10;

/// `enum nf_tables_msg_types` with the subsystem in the upper byte.
pub mod kind {
    /// `NFT_MSG_NEWTABLE`
    pub const NEW_TABLE: u16 = 0x0a00;
    /// `NFT_MSG_GETTABLE`
    pub const GET_TABLE: u16 = 0x0a01;
    /// `NFT_MSG_DELTABLE`
    pub const DELETE_TABLE: u16 = 0x0a02;
    /// `NFT_MSG_NEWCHAIN`
    pub const NEW_CHAIN: u16 = 0x0a03;
    /// `NFT_MSG_GETCHAIN`
    pub const GET_CHAIN: u16 = 0x0a04;
    /// `NFT_MSG_DELCHAIN`
    pub const DELETE_CHAIN: u16 = 0x0a05;
    /// `NFT_MSG_NEWRULE`
    pub const NEW_RULE: u16 = 0x0a06;
    /// `NFT_MSG_GETRULE`
    pub const GET_RULE: u16 = 0x0a07;
    /// `NFT_MSG_DELRULE`
    pub const DELETE_RULE: u16 = 0x0a08;
    /// `NFT_MSG_NEWSET`
    pub const NEW_SET: u16 = 0x0a09;
    /// `NFT_MSG_GETSET`
    pub const GET_SET: u16 = 0x0a0a;
    /// `NFT_MSG_DELSET`
    pub const DELETE_SET: u16 = 0x0a0b;
    /// `NFT_MSG_NEWSETELEM`
    pub const NEW_ELEMENT: u16 = 0x0a0c;
    /// `NFT_MSG_GETSETELEM`
    pub const GET_ELEMENT: u16 = 0x0a0d;
    /// `NFT_MSG_DELSETELEM`
    pub const DELETE_ELEMENT: u16 = 0x0a0e;
    /// `NFT_MSG_GETGEN`
    pub const GET_GENERATION: u16 = 0x0a10;
}

/// `struct nfgenmsg` of a family, or of all (0).
fn message(family: Option<Family>) -> Builder {
    Builder::after(&[family.map_or(0, Family::number), 0, 0, 0])
}

/// What a dump of everything asks: the header only.
pub fn everything() -> Vec<u8> {
    message(None).finish()
}

/// What a dump of a set's elements asks.
pub fn elements_of(family: Family, table: &str, set: &str) -> Vec<u8> {
    message(Some(family)).str(1, table).str(2, set).finish()
}

fn user_comment(kind: u8, comment: &str) -> Vec<u8> {
    // The length is one byte, the whole at most NFT_USERDATA_MAXLEN.
    let mut text: Vec<u8> = comment.bytes().filter(|b| *b != 0).take(127).collect();
    text.push(0);
    let mut data = vec![kind, u8::try_from(text.len()).unwrap_or(128)];
    data.extend(text);
    data
}

/// `NFT_MSG_NEWTABLE`
pub fn table(family: Family, name: &str, comment: &str) -> Vec<u8> {
    let mut b = message(Some(family));
    b.str(1, name).be32(2, 0);
    if !comment.is_empty() {
        b.put(6, &user_comment(0, comment));
    }
    b.finish()
}

/// `NFT_MSG_DELTABLE`
pub fn delete_table(family: Family, name: &str) -> Vec<u8> {
    message(Some(family)).str(1, name).finish()
}

/// `NFT_MSG_NEWCHAIN`, without rules.
pub fn chain(family: Family, table: &str, chain: &Chain) -> Vec<u8> {
    let mut b = message(Some(family));
    b.str(1, table).str(3, &chain.name);
    if let Some(hook) = &chain.hook {
        let place = hook_points(family).iter().position(|p| *p == hook.point);
        let number = place
            .and_then(|p| u32::try_from(p).ok())
            .unwrap_or(u32::MAX);
        b.nest(4, |b| {
            b.be32(1, number).be32(2, hook.priority.cast_unsigned());
            match chain.devices.as_slice() {
                [] => {}
                [device] => {
                    b.str(3, device);
                }
                devices => {
                    b.nest(4, |b| {
                        for device in devices {
                            b.str(1, device);
                        }
                    });
                }
            }
        });
        b.be32(5, u32::from(!hook.policy_drop)).str(7, &hook.kind);
        if let Some(packets) = hook.policy_packets {
            b.nest(8, |b| {
                b.be64(1, 0).be64(2, packets);
            });
        }
    }
    if !chain.comment.is_empty() {
        b.put(12, &user_comment(0, &chain.comment));
    }
    b.finish()
}

/// `NFT_MSG_NEWCHAIN` for a base chain that is there: another policy.
pub fn chain_policy(family: Family, table: &str, chain: &str, drop: bool) -> Vec<u8> {
    message(Some(family))
        .str(1, table)
        .str(3, chain)
        .be32(5, u32::from(!drop))
        .finish()
}

/// `NFT_MSG_DELCHAIN`
pub fn delete_chain(family: Family, table: &str, chain: &str) -> Vec<u8> {
    message(Some(family)).str(1, table).str(3, chain).finish()
}

/// `NFT_MSG_NEWRULE`. With `before` it is put in front of the rule of that handle.
pub fn rule(
    family: Family,
    table: &str,
    chain: &str,
    rule: &Rule,
    before: Option<u64>,
    ids: SetIds<'_>,
) -> Vec<u8> {
    let mut b = message(Some(family));
    b.str(1, table).str(2, chain);
    if let Some(handle) = before {
        b.be64(6, handle);
    }
    b.nest(4, |b| {
        rule.exprs
            .iter()
            .for_each(|e| expr_write::one(b, 1, e, ids))
    });
    if let Some(compat) = &rule.compat {
        b.nest(5, |b| {
            b.be32(1, compat.proto)
                .be32(2, if compat.inverted { 2 } else { 0 });
        });
    }
    if !rule.comment.is_empty() {
        b.put(7, &user_comment(0, &rule.comment));
    }
    b.finish()
}

/// `NFT_MSG_DELRULE`: one rule by its handle, or all rules of a chain, or of all chains.
pub fn delete_rule(
    family: Family,
    table: &str,
    chain: Option<&str>,
    handle: Option<u64>,
) -> Vec<u8> {
    let mut b = message(Some(family));
    b.str(1, table);
    if let Some(chain) = chain {
        b.str(2, chain);
    }
    if let Some(handle) = handle {
        b.be64(3, handle);
    }
    b.finish()
}

/// Adds a verdict as attribute `kind`.
pub fn write_verdict(b: &mut Builder, kind: u16, verdict: &Verdict) {
    let (code, chain) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Queue => (3, None),
        Verdict::Continue => (-1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
        Verdict::Return => (-5i32, None),
    };
    b.nest(kind, |b| {
        b.be32(1, code.cast_unsigned());
        if let Some(chain) = chain {
            b.str(2, chain);
        }
    });
}

/// `NFT_MSG_NEWSET`, without elements. The kernel names an anonymous set itself; the transaction
/// knows it by `id`.
pub fn set(family: Family, table: &str, set: &Set, id: u32) -> Vec<u8> {
    let name = match (set.anonymous, set.map) {
        (false, _) => set.name.as_str(),
        (true, false) => "__set%d",
        (true, true) => "__map%d",
    };
    let bits = [
        (set.anonymous, 0x1),
        (set.constant, 0x2),
        (set.interval, 0x4),
        (set.map, 0x8),
        (set.timeout || set.timeout_ms > 0, 0x10),
        (set.dynamic, 0x20),
        (set.fields.len() > 1, 0x80u32),
    ];
    let flags = bits
        .iter()
        .filter(|(on, _)| *on)
        .fold(0, |all, (_, bit)| all | bit);
    let mut b = message(Some(family));
    b.str(1, table)
        .str(2, name)
        .be32(3, flags)
        .be32(4, set.key_type)
        .be32(5, set.key_len);
    if set.verdicts {
        b.be32(6, DATA_VERDICT).be32(7, 0);
    } else if set.map {
        b.be32(6, set.data_type).be32(7, set.data_len);
    }
    if set.size > 0 || set.fields.len() > 1 {
        b.nest(9, |b| {
            if set.size > 0 {
                b.be32(1, set.size);
            }
            if set.fields.len() > 1 {
                b.nest(2, |b| {
                    for len in &set.fields {
                        b.nest(1, |b| {
                            b.be32(1, *len);
                        });
                    }
                });
            }
        });
    }
    b.be32(10, id);
    if set.timeout_ms > 0 {
        b.be64(11, set.timeout_ms);
    }
    // nft prints numbers by the byte order noted here: 1 the machine's, 2 the network's.
    let order: u32 = if set.host_order { 1 } else { 2 };
    let mut user = vec![0, 4];
    user.extend(order.to_ne_bytes());
    if !set.comment.is_empty() {
        user.extend(user_comment(7, &set.comment));
    }
    b.put(13, &user);
    b.finish()
}

/// `NFT_MSG_DELSET`
pub fn delete_set(family: Family, table: &str, set: &str) -> Vec<u8> {
    message(Some(family)).str(1, table).str(2, set).finish()
}

/// `NFT_MSG_NEWSETELEM` or `NFT_MSG_DELSETELEM` for some elements (at most
/// [`ELEMENTS_A_MESSAGE`]). `id` is given for a set made in the same transaction.
pub fn elements(
    family: Family,
    table: &str,
    set: &str,
    id: Option<u32>,
    elements: &[Element],
) -> Vec<u8> {
    let mut b = message(Some(family));
    b.str(1, table).str(2, set);
    if let Some(id) = id {
        b.be32(4, id);
    }
    b.nest(3, |b| {
        for element in elements {
            b.nest(1, |b| write_element(b, element));
        }
    });
    b.finish()
}

fn write_element(b: &mut Builder, element: &Element) {
    let flags = u32::from(element.interval_end) | u32::from(element.catch_all) << 1;
    if flags != 0 {
        b.be32(3, flags);
    }
    if !element.catch_all {
        b.nest(1, |b| {
            b.put(1, &element.key);
        });
    }
    if !element.key_end.is_empty() {
        b.nest(10, |b| {
            b.put(1, &element.key_end);
        });
    }
    if let Some(verdict) = &element.verdict {
        b.nest(2, |b| write_verdict(b, 2, verdict));
    } else if !element.data.is_empty() {
        b.nest(2, |b| {
            b.put(1, &element.data);
        });
    }
    if element.timeout_ms > 0 {
        b.be64(4, element.timeout_ms);
    }
    if element.expires_ms > 0 {
        b.be64(5, element.expires_ms);
    }
    match element.exprs.as_slice() {
        [] => {}
        [single] => expr_write::one(b, 7, single, &|_| None),
        several => {
            b.nest(11, |b| {
                several
                    .iter()
                    .for_each(|e| expr_write::one(b, 1, e, &|_| None))
            });
        }
    }
    if !element.comment.is_empty() {
        b.put(6, &user_comment(0, &element.comment));
    }
}
