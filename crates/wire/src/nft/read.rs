//! Tables, chains, rules, sets and elements from netlink messages.

use super::{Chain, Compat, Element, Family, Hook, Rule, Set, Table, Verdict, expr_read};
use crate::Malformed;
use crate::netlink::{Attr, Attrs};

/// Length of `struct nfgenmsg`, which every message begins with.
pub const HEADER: usize = 4;
/// `NFT_DATA_VERDICT`
pub(super) const DATA_VERDICT: u32 = 0xffff_ff00;

/// The attributes of one level.
#[derive(Debug)]
pub struct Fields<'a>(Vec<Attr<'a>>);

impl<'a> Fields<'a> {
    /// Reads them all.
    pub fn read(attrs: Attrs<'a>) -> Result<Self, Malformed> {
        attrs.collect::<Result<Vec<_>, _>>().map(Fields)
    }

    /// The attribute of a type.
    pub fn get(&self, kind: u16) -> Option<Attr<'a>> {
        self.0.iter().find(|a| a.kind == kind).copied()
    }

    /// Its text, empty when it is not there.
    pub fn str(&self, kind: u16) -> String {
        self.get(kind).map(|a| a.str()).unwrap_or_default()
    }

    /// Its number, 0 when it is not there.
    pub fn be32(&self, kind: u16) -> Result<u32, Malformed> {
        Ok(self.maybe(kind)?.unwrap_or(0))
    }

    /// Its number.
    pub fn maybe(&self, kind: u16) -> Result<Option<u32>, Malformed> {
        self.get(kind).map(|a| a.be32()).transpose()
    }

    /// Its number, 0 when it is not there.
    pub fn be64(&self, kind: u16) -> Result<u64, Malformed> {
        self.get(kind).map_or(Ok(0), |a| a.be64())
    }

    /// The value inside (`NFTA_DATA_VALUE`), empty when it is not there.
    pub fn data(&self, kind: u16) -> Result<Vec<u8>, Malformed> {
        let Some(attr) = self.get(kind) else {
            return Ok(Vec::new());
        };
        Ok(Fields::read(attr.nested())?
            .get(1)
            .map(|v| v.payload.to_vec())
            .unwrap_or_default())
    }

    /// What is nested in it, nothing when it is not there.
    pub fn nested(&self, kind: u16) -> Attrs<'a> {
        self.get(kind).map_or(Attrs::new(&[]), |a| a.nested())
    }
}

/// Something read from one message, with the table it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// Family of the table.
    pub family: Family,
    /// Name of the table.
    pub table: String,
    /// What was read.
    pub what: T,
}

fn start(message: &[u8]) -> Result<(Family, Fields<'_>), Malformed> {
    let family = message
        .first()
        .copied()
        .and_then(Family::from_number)
        .ok_or(Malformed {
            format: "nf_tables message",
            at: 0,
            expected: "a protocol family with nf_tables",
        })?;
    Ok((family, Fields::read(Attrs::after(message, HEADER)?)?))
}

/// User data are type, length, value with one byte each for type and length.
fn user_data(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = bytes;
    while let [kind, len, tail @ ..] = rest {
        let len = usize::from(*len);
        let value = tail.get(..len)?;
        if *kind == wanted {
            return Some(value);
        }
        rest = tail.get(len..)?;
    }
    None
}

fn comment(attr: Option<Attr<'_>>, kind: u8) -> String {
    let value = attr.and_then(|a| user_data(a.payload, kind)).unwrap_or(&[]);
    let text = value.split(|b| *b == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(text).into_owned()
}

/// `NFT_MSG_NEWTABLE`, without chains and sets.
pub fn table(message: &[u8]) -> Result<Table, Malformed> {
    let (family, f) = start(message)?;
    Ok(Table {
        family,
        name: f.str(1),
        comment: comment(f.get(6), 0),
        dormant: f.be32(2)? & 1 != 0,
        chains: Vec::new(),
        sets: Vec::new(),
    })
}

/// Names of the hooks of a family, by number (linux/netfilter.h, netfilter_arp.h).
pub(super) fn hook_points(family: Family) -> &'static [&'static str] {
    match family {
        Family::Arp => &["input", "output", "forward"],
        Family::Netdev => &["ingress", "egress"],
        _ => &[
            "prerouting",
            "input",
            "forward",
            "output",
            "postrouting",
            "ingress",
        ],
    }
}

/// `NFT_MSG_NEWCHAIN`, without rules.
pub fn chain(message: &[u8]) -> Result<Placed<Chain>, Malformed> {
    let (family, f) = start(message)?;
    let mut chain = Chain {
        name: f.str(3),
        comment: comment(f.get(12), 0),
        ..Chain::default()
    };
    if let Some(hook) = f.get(4) {
        let h = Fields::read(hook.nested())?;
        let number = h.be32(1)?;
        let point = usize::try_from(number)
            .ok()
            .and_then(|n| hook_points(family).get(n));
        let counters = f.get(8).map(|c| Fields::read(c.nested())).transpose()?;
        for device in h.nested(4) {
            chain.devices.push(device?.str());
        }
        if let Some(device) = h.get(3)
            && chain.devices.is_empty()
        {
            chain.devices.push(device.str());
        }
        chain.hook = Some(Hook {
            kind: f.str(7),
            point: point.map_or_else(|| number.to_string(), |p| (*p).to_string()),
            priority: h.be32(2)?.cast_signed(),
            policy_drop: f.maybe(5)? == Some(0),
            policy_packets: counters.map(|c| c.be64(2)).transpose()?,
        });
    }
    Ok(Placed {
        family,
        table: f.str(1),
        what: chain,
    })
}

/// `NFT_MSG_NEWRULE`: the chain it stands in, and the rule.
pub fn rule(message: &[u8]) -> Result<Placed<(String, Rule)>, Malformed> {
    let (family, f) = start(message)?;
    let compat = match f.get(5) {
        Some(attr) => {
            let c = Fields::read(attr.nested())?;
            Some(Compat {
                proto: c.be32(1)?,
                inverted: c.be32(2)? & 2 != 0,
            })
        }
        None => None,
    };
    let rule = Rule {
        handle: f.be64(3)?,
        comment: comment(f.get(7), 0),
        compat,
        exprs: expr_read::list(f.nested(4))?,
    };
    Ok(Placed {
        family,
        table: f.str(1),
        what: (f.str(2), rule),
    })
}

/// A verdict (`NFTA_DATA_VERDICT`); none for a code without a name here.
pub fn verdict(attrs: Attrs<'_>) -> Result<Option<Verdict>, Malformed> {
    let f = Fields::read(attrs)?;
    let code = f.be32(1)?;
    Ok(Some(match code.cast_signed() {
        -1 => Verdict::Continue,
        -3 => Verdict::Jump(f.str(2)),
        -4 => Verdict::Goto(f.str(2)),
        -5 => Verdict::Return,
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        // NF_QUEUE carries the queue's number in its upper half.
        other if other & 0xff == 3 => Verdict::Queue,
        _ => return Ok(None),
    }))
}

/// `NFT_MSG_NEWSET`, without elements.
pub fn set(message: &[u8]) -> Result<Placed<Set>, Malformed> {
    let (family, f) = start(message)?;
    let flags = f.be32(3)?;
    let data_type = f.be32(6)?;
    let verdicts = data_type == DATA_VERDICT;
    let mut set = Set {
        name: f.str(2),
        key_type: f.be32(4)?,
        key_len: f.be32(5)?,
        anonymous: flags & 0x1 != 0,
        constant: flags & 0x2 != 0,
        interval: flags & 0x4 != 0,
        map: flags & 0x8 != 0,
        timeout: flags & 0x10 != 0,
        dynamic: flags & 0x20 != 0,
        verdicts,
        data_type: if verdicts { 0 } else { data_type },
        data_len: if verdicts { 0 } else { f.be32(7)? },
        timeout_ms: f.be64(11)?,
        comment: comment(f.get(13), 7),
        ..Set::default()
    };
    let order = f.get(13).and_then(|a| user_data(a.payload, 0));
    // BYTEORDER_HOST_ENDIAN of nft is 1.
    set.host_order = order
        .and_then(|o| o.first_chunk::<4>())
        .map(|o| u32::from_ne_bytes(*o))
        == Some(1);
    let description = Fields::read(f.nested(9))?;
    set.size = description.be32(1)?;
    for field in description.nested(2) {
        set.fields.push(Fields::read(field?.nested())?.be32(1)?);
    }
    Ok(Placed {
        family,
        table: f.str(1),
        what: set,
    })
}

/// `NFT_MSG_NEWSETELEM`: the set, and some of its elements.
pub fn elements(message: &[u8]) -> Result<Placed<(String, Vec<Element>)>, Malformed> {
    let (family, f) = start(message)?;
    let mut elements = Vec::new();
    for attr in f.nested(3) {
        elements.push(element(attr?.nested())?);
    }
    Ok(Placed {
        family,
        table: f.str(1),
        what: (f.str(2), elements),
    })
}

fn element(attrs: Attrs<'_>) -> Result<Element, Malformed> {
    let f = Fields::read(attrs)?;
    let flags = f.be32(3)?;
    let data = Fields::read(f.nested(2))?;
    let exprs = match (f.get(7), f.get(11)) {
        (Some(single), _) => vec![expr_read::one(single.nested())?],
        (None, Some(several)) => expr_read::list(several.nested())?,
        (None, None) => Vec::new(),
    };
    Ok(Element {
        key: f.data(1)?,
        key_end: f.data(10)?,
        interval_end: flags & 1 != 0,
        catch_all: flags & 2 != 0,
        verdict: match data.get(2) {
            Some(v) => verdict(v.nested())?,
            None => None,
        },
        data: data.get(1).map(|v| v.payload.to_vec()).unwrap_or_default(),
        timeout_ms: f.be64(4)?,
        expires_ms: f.be64(5)?,
        exprs,
        comment: comment(f.get(6), 0),
    })
}
