//! Expressions to netlink attributes.

use super::expr::{BitOp, Expr, Xt};
use super::write::write_verdict;
use crate::netlink::Builder;

/// The number by which a set made in the same transaction is known; none for one that is there.
pub type SetIds<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// One expression: name and data.
pub fn one(out: &mut Builder, kind: u16, expr: &Expr, ids: SetIds<'_>) {
    out.nest(kind, |b| {
        if let Expr::Other { name, data } = expr {
            b.str(1, name).put(2 | 0x8000, data);
            return;
        }
        b.str(1, name(expr)).nest(2, |b| data(b, expr, ids));
    });
}

/// The kernel's name of an expression.
pub fn name(expr: &Expr) -> &str {
    match expr {
        Expr::Counter { .. } => "counter",
        Expr::Verdict(_) | Expr::Immediate { .. } => "immediate",
        Expr::Payload { .. } | Expr::PayloadSet { .. } => "payload",
        Expr::Meta { .. } | Expr::MetaSet { .. } => "meta",
        Expr::Ct { .. } | Expr::CtSet { .. } => "ct",
        Expr::Cmp { .. } => "cmp",
        Expr::Range { .. } => "range",
        Expr::Bitwise { .. } => "bitwise",
        Expr::Byteorder { .. } => "byteorder",
        Expr::Lookup { .. } => "lookup",
        Expr::Dynset { .. } => "dynset",
        Expr::Nat { .. } => "nat",
        Expr::Masquerade { .. } => "masq",
        Expr::Redirect { .. } => "redir",
        Expr::Reject { .. } => "reject",
        Expr::Numgen { .. } => "numgen",
        Expr::Hash { .. } => "hash",
        Expr::Limit { .. } => "limit",
        Expr::Quota { .. } => "quota",
        Expr::Connlimit { .. } => "connlimit",
        Expr::Fib { .. } => "fib",
        Expr::Rt { .. } => "rt",
        Expr::Exthdr { .. } | Expr::ExthdrSet { .. } => "exthdr",
        Expr::Log { .. } => "log",
        Expr::Notrack => "notrack",
        Expr::Queue { .. } => "queue",
        Expr::Objref { .. } => "objref",
        Expr::Match(_) => "match",
        Expr::Target(_) => "target",
        Expr::Other { name, .. } => name,
    }
}

fn value(b: &mut Builder, kind: u16, bytes: &[u8]) {
    b.nest(kind, |b| {
        b.put(1, bytes);
    });
}

fn register(b: &mut Builder, kind: u16, register: Option<u32>) {
    if let Some(register) = register {
        b.be32(kind, register);
    }
}

fn data(b: &mut Builder, expr: &Expr, ids: SetIds<'_>) {
    match expr {
        Expr::Counter { packets, bytes } => {
            b.be64(1, *bytes).be64(2, *packets);
        }
        Expr::Verdict(verdict) => {
            b.be32(1, 0).nest(2, |b| write_verdict(b, 2, verdict));
        }
        Expr::Immediate { dreg, data } => {
            b.be32(1, *dreg);
            value(b, 2, data);
        }
        Expr::Meta { dreg, key } => {
            b.be32(1, *dreg).be32(2, key.number());
        }
        Expr::MetaSet { sreg, key } => {
            b.be32(2, key.number()).be32(3, *sreg);
        }
        Expr::Cmp { sreg, op, data } => {
            b.be32(1, *sreg).be32(2, op.number());
            value(b, 3, data);
        }
        Expr::Range {
            sreg,
            inverted,
            from,
            to,
        } => {
            b.be32(1, *sreg).be32(2, u32::from(*inverted));
            value(b, 3, from);
            value(b, 4, to);
        }
        Expr::Byteorder {
            sreg,
            dreg,
            to_network,
            len,
            size,
        } => {
            b.be32(1, *sreg)
                .be32(2, *dreg)
                .be32(3, u32::from(*to_network));
            b.be32(4, *len).be32(5, *size);
        }
        Expr::Reject { kind, code } => {
            b.be32(1, *kind);
            if *kind != 1 {
                b.u8(2, *code);
            }
        }
        Expr::Numgen {
            dreg,
            modulus,
            random,
            offset,
        } => {
            b.be32(1, *dreg)
                .be32(2, *modulus)
                .be32(3, u32::from(*random))
                .be32(4, *offset);
        }
        Expr::Fib {
            dreg,
            result,
            flags,
        } => {
            b.be32(1, *dreg).be32(2, *result).be32(3, *flags);
        }
        Expr::Rt { dreg, key } => {
            b.be32(1, *dreg).be32(2, *key);
        }
        Expr::Match(xt) | Expr::Target(xt) => write_xt(b, xt),
        Expr::Notrack | Expr::Other { .. } => {}
        Expr::Lookup { .. } | Expr::Dynset { .. } => with_set(b, expr, ids),
        Expr::Nat { .. } | Expr::Masquerade { .. } | Expr::Redirect { .. } => nat(b, expr),
        Expr::Payload { .. } | Expr::PayloadSet { .. } | Expr::Ct { .. } | Expr::CtSet { .. } => {
            packet(b, expr);
        }
        _ => rare(b, expr),
    }
}

fn packet(b: &mut Builder, expr: &Expr) {
    match expr {
        Expr::Payload {
            dreg,
            base,
            offset,
            len,
        } => {
            b.be32(1, *dreg)
                .be32(2, base.number())
                .be32(3, *offset)
                .be32(4, *len);
        }
        Expr::PayloadSet {
            sreg,
            base,
            offset,
            len,
            checksum,
            checksum_offset,
            checksum_flags,
        } => {
            b.be32(2, base.number())
                .be32(3, *offset)
                .be32(4, *len)
                .be32(5, *sreg);
            b.be32(6, *checksum)
                .be32(7, *checksum_offset)
                .be32(8, *checksum_flags);
        }
        Expr::Ct {
            dreg,
            key,
            direction,
        } => {
            b.be32(1, *dreg).be32(2, key.number());
            if let Some(direction) = direction {
                b.u8(3, *direction);
            }
        }
        Expr::CtSet {
            sreg,
            key,
            direction,
        } => {
            b.be32(2, key.number()).be32(4, *sreg);
            if let Some(direction) = direction {
                b.u8(3, *direction);
            }
        }
        _ => {}
    }
}

/// The kernel looks a name up first and numbers anonymous sets in its own order, so that one made
/// in this transaction must be called by no number at all.
fn set_name<'a>(set: &'a str, ids: SetIds<'_>) -> &'a str {
    match ids(set) {
        Some(_) if set.starts_with("__set") => "__set%d",
        Some(_) if set.starts_with("__map") => "__map%d",
        _ => set,
    }
}

fn with_set(b: &mut Builder, expr: &Expr, ids: SetIds<'_>) {
    match expr {
        Expr::Lookup {
            sreg,
            set,
            dreg,
            inverted,
        } => {
            b.str(1, set_name(set, ids)).be32(2, *sreg);
            register(b, 3, *dreg);
            register(b, 4, ids(set));
            b.be32(5, u32::from(*inverted));
        }
        Expr::Dynset {
            set,
            op,
            sreg_key,
            sreg_data,
            timeout_ms,
            inverted,
            exprs,
        } => {
            b.str(1, set_name(set, ids));
            register(b, 2, ids(set));
            b.be32(3, op.number()).be32(4, *sreg_key);
            register(b, 5, *sreg_data);
            if *timeout_ms > 0 {
                b.be64(6, *timeout_ms);
            }
            match exprs.as_slice() {
                [] => {}
                [single] => one(b, 7, single, ids),
                several => {
                    b.nest(10, |b| several.iter().for_each(|e| one(b, 1, e, ids)));
                }
            }
            if *inverted {
                b.be32(9, 1);
            }
        }
        _ => {}
    }
}

fn nat(b: &mut Builder, expr: &Expr) {
    match expr {
        Expr::Nat {
            kind,
            family,
            addr,
            addr_max,
            port,
            port_max,
            flags,
        } => {
            b.be32(1, kind.number()).be32(2, *family);
            register(b, 3, *addr);
            register(b, 4, *addr_max);
            register(b, 5, *port);
            register(b, 6, *port_max);
            register(b, 7, Some(*flags).filter(|f| *f != 0));
        }
        Expr::Masquerade {
            flags,
            port,
            port_max,
        } => {
            register(b, 1, Some(*flags).filter(|f| *f != 0));
            register(b, 2, *port);
            register(b, 3, *port_max);
        }
        Expr::Redirect {
            flags,
            port,
            port_max,
        } => {
            register(b, 1, *port);
            register(b, 2, *port_max);
            register(b, 3, Some(*flags).filter(|f| *f != 0));
        }
        _ => {}
    }
}

fn rare(b: &mut Builder, expr: &Expr) {
    match expr {
        Expr::Bitwise {
            sreg,
            dreg,
            len,
            op,
        } => {
            b.be32(1, *sreg).be32(2, *dreg).be32(3, *len);
            match op {
                BitOp::MaskXor { mask, xor } => {
                    b.be32(6, 0);
                    value(b, 4, mask);
                    value(b, 5, xor);
                }
                BitOp::ShiftLeft(bits) => {
                    b.be32(6, 1);
                    value(b, 7, &bits.to_ne_bytes());
                }
                BitOp::ShiftRight(bits) => {
                    b.be32(6, 2);
                    value(b, 7, &bits.to_ne_bytes());
                }
            }
        }
        Expr::Hash {
            sreg,
            dreg,
            len,
            modulus,
            seed,
            offset,
            symmetric,
        } => {
            register(b, 1, *sreg);
            b.be32(2, *dreg);
            if !*symmetric {
                b.be32(3, *len).be32(5, *seed);
            }
            b.be32(4, *modulus)
                .be32(6, *offset)
                .be32(7, u32::from(*symmetric));
        }
        Expr::Limit {
            rate,
            per_seconds,
            burst,
            bytes,
            inverted,
        } => {
            b.be64(1, *rate).be64(2, *per_seconds).be32(3, *burst);
            b.be32(4, u32::from(*bytes)).be32(5, u32::from(*inverted));
        }
        Expr::Quota {
            bytes,
            consumed,
            inverted,
        } => {
            b.be64(1, *bytes)
                .be32(2, u32::from(*inverted))
                .be64(4, *consumed);
        }
        Expr::Connlimit { count, inverted } => {
            b.be32(1, *count).be32(2, u32::from(*inverted));
        }
        Expr::Exthdr {
            dreg,
            kind,
            offset,
            len,
            flags,
            op,
        } => {
            b.be32(1, *dreg)
                .u8(2, *kind)
                .be32(3, *offset)
                .be32(4, *len)
                .be32(5, *flags)
                .be32(6, *op);
        }
        Expr::ExthdrSet {
            sreg,
            kind,
            offset,
            len,
            op,
        } => {
            b.u8(2, *kind)
                .be32(3, *offset)
                .be32(4, *len)
                .be32(6, *op)
                .be32(7, *sreg);
        }
        Expr::Log {
            prefix,
            group,
            level,
            flags,
        } => {
            if !prefix.is_empty() {
                b.str(2, prefix);
            }
            match group {
                Some(group) => {
                    b.be16(1, *group);
                }
                None => {
                    b.be32(5, *level).be32(6, *flags);
                }
            }
        }
        Expr::Queue {
            first,
            total,
            flags,
        } => {
            b.be16(1, *first).be16(2, *total).be16(3, *flags);
        }
        Expr::Objref { kind, name } => {
            b.be32(1, *kind).str(2, name);
        }
        _ => {}
    }
}

fn write_xt(b: &mut Builder, xt: &Xt) {
    b.str(1, &xt.name).be32(2, xt.revision).put(3, &xt.info);
}
