//! Expressions from netlink attributes.

use super::expr::{BitOp, CmpOp, CtKey, DynsetOp, Expr, MetaKey, NatKind, PayloadBase, Xt};
use super::read::{Fields, verdict};
use crate::Malformed;
use crate::netlink::{Attr, Attrs};

/// The flags that only repeat which registers are given.
const NAT_IMPLIED: u32 = 3;

/// A list of expressions (`NFTA_RULE_EXPRESSIONS`).
pub fn list(attrs: Attrs<'_>) -> Result<Vec<Expr>, Malformed> {
    let mut exprs = Vec::new();
    for element in attrs {
        exprs.push(one(element?.nested())?);
    }
    Ok(exprs)
}

/// One expression: name and data. What is not understood is kept as it came.
pub fn one(attrs: Attrs<'_>) -> Result<Expr, Malformed> {
    let fields = Fields::read(attrs)?;
    let name = fields.str(1);
    let data = fields.get(2).map(|a| a.payload).unwrap_or(&[]);
    match known(&name, Attrs::new(data))? {
        Some(expr) => Ok(expr),
        None => Ok(Expr::Other {
            name,
            data: data.to_vec(),
        }),
    }
}

fn known(name: &str, data: Attrs<'_>) -> Result<Option<Expr>, Malformed> {
    let f = Fields::read(data)?;
    Ok(Some(match name {
        "counter" => Expr::Counter {
            bytes: f.be64(1)?,
            packets: f.be64(2)?,
        },
        "immediate" => return immediate(&f),
        "payload" => payload(&f)?,
        "meta" => match f.maybe(3)? {
            Some(sreg) => Expr::MetaSet {
                sreg,
                key: MetaKey::from_number(f.be32(2)?),
            },
            None => Expr::Meta {
                dreg: f.be32(1)?,
                key: MetaKey::from_number(f.be32(2)?),
            },
        },
        "ct" => ct(&f)?,
        "cmp" => Expr::Cmp {
            sreg: f.be32(1)?,
            op: CmpOp::from_number(f.be32(2)?),
            data: f.data(3)?,
        },
        "range" => Expr::Range {
            sreg: f.be32(1)?,
            inverted: f.be32(2)? == 1,
            from: f.data(3)?,
            to: f.data(4)?,
        },
        "bitwise" => return bitwise(&f),
        "byteorder" => Expr::Byteorder {
            sreg: f.be32(1)?,
            dreg: f.be32(2)?,
            to_network: f.be32(3)? == 1,
            len: f.be32(4)?,
            size: f.be32(5)?,
        },
        "lookup" => Expr::Lookup {
            set: f.str(1),
            sreg: f.be32(2)?,
            dreg: f.maybe(3)?,
            inverted: f.be32(5)? & 1 != 0,
        },
        "dynset" => dynset(&f)?,
        "nat" | "masq" | "redir" => nat(name, &f)?,
        "reject" => Expr::Reject {
            kind: f.be32(1)?,
            code: f.get(2).map(|a| a.u8()).transpose()?.unwrap_or(0),
        },
        "numgen" => Expr::Numgen {
            dreg: f.be32(1)?,
            modulus: f.be32(2)?,
            random: f.be32(3)? == 1,
            offset: f.be32(4)?,
        },
        "fib" => Expr::Fib {
            dreg: f.be32(1)?,
            result: f.be32(2)?,
            flags: f.be32(3)?,
        },
        "rt" => Expr::Rt {
            dreg: f.be32(1)?,
            key: f.be32(2)?,
        },
        "notrack" => Expr::Notrack,
        "match" => Expr::Match(xt(&f)?),
        "target" => Expr::Target(xt(&f)?),
        other => return rare(other, &f),
    }))
}

fn rare(name: &str, f: &Fields<'_>) -> Result<Option<Expr>, Malformed> {
    Ok(Some(match name {
        "hash" => Expr::Hash {
            sreg: f.maybe(1)?,
            dreg: f.be32(2)?,
            len: f.be32(3)?,
            modulus: f.be32(4)?,
            seed: f.be32(5)?,
            offset: f.be32(6)?,
            symmetric: f.be32(7)? == 1,
        },
        "limit" => Expr::Limit {
            rate: f.be64(1)?,
            per_seconds: f.be64(2)?,
            burst: f.be32(3)?,
            bytes: f.be32(4)? == 1,
            inverted: f.be32(5)? & 1 != 0,
        },
        "quota" => Expr::Quota {
            bytes: f.be64(1)?,
            inverted: f.be32(2)? & 1 != 0,
            consumed: f.be64(4)?,
        },
        "connlimit" => Expr::Connlimit {
            count: f.be32(1)?,
            inverted: f.be32(2)? & 1 != 0,
        },
        "exthdr" => exthdr(f)?,
        "log" => Expr::Log {
            group: f.get(1).map(|a| a.be16()).transpose()?,
            prefix: f.str(2),
            level: f.maybe(5)?.unwrap_or(4),
            flags: f.be32(6)?,
        },
        "queue" => {
            let number = |kind| f.get(kind).map_or(Ok(0), |a| a.be16());
            if f.get(4).is_some() {
                return Ok(None); // the queue's number comes from a register
            }
            Expr::Queue {
                first: number(1)?,
                total: number(2)?,
                flags: number(3)?,
            }
        }
        "objref" if f.get(2).is_some() => Expr::Objref {
            kind: f.be32(1)?,
            name: f.str(2),
        },
        _ => return Ok(None),
    }))
}

fn immediate(f: &Fields<'_>) -> Result<Option<Expr>, Malformed> {
    let inside = Fields::read(f.get(2).map_or(Attrs::new(&[]), |a: Attr<'_>| a.nested()))?;
    Ok(match (inside.get(1), inside.get(2)) {
        (Some(value), _) => Some(Expr::Immediate {
            dreg: f.be32(1)?,
            data: value.payload.to_vec(),
        }),
        (None, Some(decision)) => verdict(decision.nested())?.map(Expr::Verdict),
        (None, None) => None,
    })
}

fn payload(f: &Fields<'_>) -> Result<Expr, Malformed> {
    let (base, offset, len) = (PayloadBase::from_number(f.be32(2)?), f.be32(3)?, f.be32(4)?);
    Ok(match f.maybe(5)? {
        Some(sreg) => Expr::PayloadSet {
            sreg,
            base,
            offset,
            len,
            checksum: f.be32(6)?,
            checksum_offset: f.be32(7)?,
            checksum_flags: f.be32(8)?,
        },
        None => Expr::Payload {
            dreg: f.be32(1)?,
            base,
            offset,
            len,
        },
    })
}

fn ct(f: &Fields<'_>) -> Result<Expr, Malformed> {
    let key = CtKey::from_number(f.be32(2)?);
    let direction = f.get(3).map(|a| a.u8()).transpose()?;
    Ok(match f.maybe(4)? {
        Some(sreg) => Expr::CtSet {
            sreg,
            key,
            direction,
        },
        None => Expr::Ct {
            dreg: f.be32(1)?,
            key,
            direction,
        },
    })
}

fn bitwise(f: &Fields<'_>) -> Result<Option<Expr>, Malformed> {
    let shift = || -> Result<u32, Malformed> {
        Ok(f.data(7)?
            .first_chunk::<4>()
            .map_or(0, |b| u32::from_ne_bytes(*b)))
    };
    let op = match f.be32(6)? {
        0 => BitOp::MaskXor {
            mask: f.data(4)?,
            xor: f.data(5)?,
        },
        1 => BitOp::ShiftLeft(shift()?),
        2 => BitOp::ShiftRight(shift()?),
        _ => return Ok(None),
    };
    Ok(Some(Expr::Bitwise {
        sreg: f.be32(1)?,
        dreg: f.be32(2)?,
        len: f.be32(3)?,
        op,
    }))
}

fn dynset(f: &Fields<'_>) -> Result<Expr, Malformed> {
    let mut exprs = Vec::new();
    if let Some(single) = f.get(7) {
        exprs.push(one(single.nested())?);
    } else if let Some(several) = f.get(10) {
        exprs = list(several.nested())?;
    }
    Ok(Expr::Dynset {
        set: f.str(1),
        op: DynsetOp::from_number(f.be32(3)?),
        sreg_key: f.be32(4)?,
        sreg_data: f.maybe(5)?,
        timeout_ms: f.be64(6)?,
        inverted: f.be32(9)? & 1 != 0,
        exprs,
    })
}

fn nat(name: &str, f: &Fields<'_>) -> Result<Expr, Malformed> {
    // The kernel repeats the first register where no range was given.
    let last = |first: Option<u32>, max: Option<u32>| max.filter(|m| Some(*m) != first);
    if name == "nat" {
        let (addr, port) = (f.maybe(3)?, f.maybe(5)?);
        return Ok(Expr::Nat {
            kind: NatKind::from_number(f.be32(1)?),
            family: f.be32(2)?,
            addr,
            addr_max: last(addr, f.maybe(4)?),
            port,
            port_max: last(port, f.maybe(6)?),
            flags: f.be32(7)? & !NAT_IMPLIED,
        });
    }
    let (flags, first, max) = if name == "masq" { (1, 2, 3) } else { (3, 1, 2) };
    let (flags, port) = (f.be32(flags)? & !NAT_IMPLIED, f.maybe(first)?);
    let port_max = last(port, f.maybe(max)?);
    Ok(if name == "masq" {
        Expr::Masquerade {
            flags,
            port,
            port_max,
        }
    } else {
        Expr::Redirect {
            flags,
            port,
            port_max,
        }
    })
}

fn exthdr(f: &Fields<'_>) -> Result<Expr, Malformed> {
    let kind = f.get(2).map_or(Ok(0), |a| a.u8())?;
    let (offset, len, op) = (f.be32(3)?, f.be32(4)?, f.be32(6)?);
    Ok(match f.maybe(7)? {
        Some(sreg) => Expr::ExthdrSet {
            sreg,
            kind,
            offset,
            len,
            op,
        },
        None => Expr::Exthdr {
            dreg: f.be32(1)?,
            kind,
            offset,
            len,
            flags: f.be32(5)?,
            op,
        },
    })
}

fn xt(f: &Fields<'_>) -> Result<Xt, Malformed> {
    Ok(Xt {
        name: f.str(1),
        revision: f.be32(2)?,
        info: f.get(3).map(|a| a.payload.to_vec()).unwrap_or_default(),
    })
}
