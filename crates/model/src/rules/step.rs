//! One rule: its expressions, one after the other, every way they may go.

use super::packet::{Packet, SOURCE_NAT};
use super::registers::{self, Byte, Registers, all, known, unknown};
use super::set::{Found, lookup};
use super::xt;
use netshoot_wire::nft::{CtKey, Expr, MetaKey, NatKind, Rule, Table, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A random choice with more ways than this stays undecided.
const MOST_WAYS: u32 = 1024;
/// Ways of one rule at one time.
const MOST_FRAMES: usize = 4096;

/// What the walk knows while it looks at one rule.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(super) struct Frame {
    pub packet: Packet,
    pub share: f64,
    /// Why this way is not sure, and whether it goes on as if that part of the rule held.
    pub doubts: Vec<(String, bool)>,
    /// What the rule did besides deciding.
    pub did: Vec<String>,
    registers: Registers,
}

/// What an expression leads to.
pub(super) enum Next {
    /// On with the next expression.
    Go,
    /// The rule does not match.
    Break,
    /// It may match; on with the next expression, in doubt.
    Doubt(String),
    /// Several ways, each with its share of this one; none for "does not match".
    Fork(Vec<(f64, Option<Frame>)>),
    /// Decided.
    Act(Action),
}

/// What a rule decides.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Verdict(Verdict),
    Reject,
    /// What it decides is not known.
    Unknown(String),
}

/// One way a rule may go: matched or not, decided or not.
pub(super) struct Way {
    pub frame: Frame,
    pub matched: bool,
    pub action: Option<Action>,
}

/// All ways of a rule.
pub(super) fn ways(
    table: &Table,
    rule: &Rule,
    hook: &str,
    packet: &Packet,
    share: f64,
) -> Vec<Way> {
    let start = Frame {
        packet: packet.clone(),
        share,
        doubts: Vec::new(),
        did: Vec::new(),
        registers: Registers::new(),
    };
    let mut todo = vec![(0usize, start)];
    let mut out: Vec<Way> = Vec::new();
    while let Some((at, mut frame)) = todo.pop() {
        if out.len().saturating_add(todo.len()) > MOST_FRAMES {
            let why = Action::Unknown("more ways than can be walked".into());
            push(
                &mut out,
                Way {
                    frame,
                    matched: true,
                    action: Some(why),
                },
            );
            continue;
        }
        let Some(expr) = rule.exprs.get(at) else {
            push(
                &mut out,
                Way {
                    frame,
                    matched: true,
                    action: None,
                },
            );
            continue;
        };
        let next = at.saturating_add(1);
        match step(table, hook, expr, &mut frame) {
            Next::Go => todo.push((next, frame)),
            Next::Break => push(
                &mut out,
                Way {
                    frame,
                    matched: false,
                    action: None,
                },
            ),
            Next::Doubt(why) => {
                let mut unmatched = frame.clone();
                unmatched.doubts.push((why.clone(), false));
                push(
                    &mut out,
                    Way {
                        frame: unmatched,
                        matched: false,
                        action: None,
                    },
                );
                frame.doubts.push((why, true));
                todo.push((next, frame));
            }
            Next::Fork(ways) => {
                for (part, way) in ways {
                    match way {
                        Some(mut way) => {
                            way.share = frame.share * part;
                            todo.push((next, way));
                        }
                        None => {
                            let mut frame = frame.clone();
                            frame.share *= part;
                            push(
                                &mut out,
                                Way {
                                    frame,
                                    matched: false,
                                    action: None,
                                },
                            );
                        }
                    }
                }
            }
            Next::Act(action) => push(
                &mut out,
                Way {
                    frame,
                    matched: true,
                    action: Some(action),
                },
            ),
        }
    }
    settle(out, packet, share)
}

/// Adds a way, or its share to one that is just the same: registers do not outlive a rule.
fn push(out: &mut Vec<Way>, mut way: Way) {
    way.frame.registers = Registers::new();
    let same = out.iter_mut().find(|w| {
        w.matched == way.matched
            && w.action == way.action
            && w.frame.packet == way.frame.packet
            && w.frame.doubts == way.frame.doubts
    });
    match same {
        Some(w) => w.frame.share += way.frame.share,
        None => out.push(way),
    }
}

/// A doubt that changes nothing is none: when no way of the rule decides anything or touches the
/// packet, the packet simply goes on.
fn settle(mut out: Vec<Way>, before: &Packet, share: f64) -> Vec<Way> {
    let idle = out.iter().all(|w| {
        matches!(w.action, None | Some(Action::Verdict(Verdict::Continue)))
            && w.frame.packet == *before
    });
    if idle && out.len() > 1 {
        out.truncate(1);
        if let Some(first) = out.first_mut() {
            first.frame.doubts.clear();
            first.frame.did.clear();
            first.frame.share = share;
            first.matched = false;
            first.action = None;
        }
    }
    out
}

fn decided(holds: Option<bool>, inverted: bool, why: impl FnOnce() -> String) -> Next {
    match holds {
        Some(holds) if holds != inverted => Next::Go,
        Some(_) => Next::Break,
        None => Next::Doubt(why()),
    }
}

fn step(table: &Table, hook: &str, expr: &Expr, frame: &mut Frame) -> Next {
    match expr {
        Expr::Verdict(verdict) => Next::Act(Action::Verdict(verdict.clone())),
        Expr::Counter { .. } | Expr::Log { .. } | Expr::ExthdrSet { .. } => Next::Go,
        Expr::Cmp { sreg, op, data } => {
            let left = frame.registers.load(*sreg, data.len());
            decided(registers::compare(&left, *op, data), false, || {
                "compares what is not known".into()
            })
        }
        Expr::Range {
            sreg,
            inverted,
            from,
            to,
        } => {
            let value = frame.registers.load(*sreg, from.len());
            let inside = registers::order(&value, from)
                .zip(registers::order(&value, to))
                .map(|(low, high)| low.is_ge() && high.is_le());
            decided(inside, *inverted, || "compares what is not known".into())
        }
        Expr::Lookup {
            sreg,
            set,
            dreg,
            inverted,
        } => look(table, frame, *sreg, set, *dreg, *inverted),
        Expr::Numgen {
            dreg,
            modulus,
            offset,
            ..
        }
        | Expr::Hash {
            dreg,
            modulus,
            offset,
            ..
        } => choose(frame, *dreg, *modulus, *offset),
        Expr::Quota {
            bytes,
            consumed,
            inverted,
        } => decided(Some(consumed < bytes), *inverted, String::new),
        Expr::Limit { .. } => Next::Doubt("limit of a rate".into()),
        Expr::Connlimit { .. } => Next::Doubt("limit of connections".into()),
        Expr::Objref { kind: 1, .. } => Next::Go,
        Expr::Objref { name, .. } => Next::Doubt(format!("object {name}")),
        Expr::Dynset {
            inverted: false, ..
        } => Next::Go,
        Expr::Dynset { set, .. } => Next::Doubt(format!("whether set {set} has room")),
        Expr::Notrack => {
            frame.packet.ct_state = 64;
            Next::Go
        }
        Expr::Queue { .. } => Next::Act(Action::Verdict(Verdict::Queue)),
        Expr::Reject { .. } => Next::Act(Action::Reject),
        Expr::Masquerade { .. } => masquerade(frame),
        Expr::Redirect { port, .. } => {
            let port = port.and_then(|r| port_in(frame, r));
            redirect(frame, hook, port)
        }
        Expr::Nat {
            kind,
            family,
            addr,
            addr_max,
            port,
            port_max,
            ..
        } => {
            let address = addr.map(|r| address_in(frame, r, *family));
            let to = port.map(|r| port_in(frame, r));
            let spread =
                addr_max.is_some() && addr_max != addr || port_max.is_some() && port_max != port;
            nat(frame, *kind == NatKind::Dnat, address, to, spread)
        }
        Expr::Match(m) => xt::matches(table.family, m, frame),
        Expr::Target(t) => xt::target(table.family, t, frame, hook),
        Expr::Other { name, .. } => Next::Doubt(format!("expression {name}")),
        Expr::PayloadSet { .. } => Next::Doubt("rewrites bytes of the packet".into()),
        Expr::CtSet { sreg, key, .. } => {
            if *key == CtKey::Mark {
                frame.packet.ct_mark = registers::number(&frame.registers.load(*sreg, 4));
            }
            Next::Go
        }
        Expr::MetaSet { sreg, key } => {
            if *key == MetaKey::Mark {
                let mark = registers::number(&frame.registers.load(*sreg, 4));
                set_mark(frame, mark);
            }
            Next::Go
        }
        _ => compute(hook, expr, frame),
    }
}

/// Expressions that only put something into a register.
fn compute(hook: &str, expr: &Expr, frame: &mut Frame) -> Next {
    let (dreg, bytes): (u32, Vec<Byte>) = match expr {
        Expr::Immediate { dreg, data } => (*dreg, known(data)),
        Expr::Payload {
            dreg,
            base,
            offset,
            len,
        } => (*dreg, frame.packet.bytes(*base, *offset, *len)),
        Expr::Meta { dreg, key } => (*dreg, frame.packet.meta(*key, hook)),
        Expr::Ct {
            dreg,
            key,
            direction: None | Some(0),
        } => (*dreg, frame.packet.ct(*key)),
        Expr::Ct { dreg, .. } | Expr::Rt { dreg, .. } => (*dreg, unknown(16)),
        Expr::Exthdr { dreg, len, .. } => (
            *dreg,
            unknown(usize::try_from(*len).unwrap_or(0).clamp(1, 64)),
        ),
        Expr::Bitwise {
            sreg,
            dreg,
            len,
            op,
        } => {
            let len = usize::try_from(*len).unwrap_or(0);
            (
                *dreg,
                registers::bitwise(&frame.registers.load(*sreg, len), op),
            )
        }
        Expr::Byteorder {
            sreg,
            dreg,
            len,
            size,
            ..
        } => {
            let len = usize::try_from(*len).unwrap_or(0);
            (
                *dreg,
                registers::byteorder(&frame.registers.load(*sreg, len), *size),
            )
        }
        Expr::Fib {
            dreg,
            result: 3,
            flags,
        } => {
            let address = if flags & 1 != 0 {
                frame.packet.src
            } else {
                frame.packet.dst
            };
            let kind = frame.packet.address_type(address);
            (
                *dreg,
                kind.map_or_else(|| unknown(4), |k| known(&k.to_ne_bytes())),
            )
        }
        Expr::Fib { dreg, .. } => (*dreg, unknown(16)),
        _ => return Next::Doubt("expression of a kind not known here".into()),
    };
    frame.registers.store(dreg, &bytes);
    Next::Go
}

/// A number below `modulus`: all of them, each with the same share.
fn choose(frame: &Frame, dreg: u32, modulus: u32, offset: u32) -> Next {
    if modulus == 0 || modulus > MOST_WAYS {
        let mut blind = frame.clone();
        blind.registers.store(dreg, &unknown(4));
        return Next::Fork(vec![(1.0, Some(blind))]);
    }
    let part = 1.0 / f64::from(modulus);
    let ways = (0..modulus).map(|n| {
        let mut way = frame.clone();
        let value = n.wrapping_add(offset).to_ne_bytes();
        way.registers.store(dreg, &known(&value));
        (part, Some(way))
    });
    Next::Fork(ways.collect())
}

fn look(
    table: &Table,
    frame: &mut Frame,
    sreg: u32,
    set: &str,
    dreg: Option<u32>,
    inverted: bool,
) -> Next {
    let Some(set) = table.sets.iter().find(|s| s.name == set) else {
        return Next::Doubt(format!("set {set} is not in the dump"));
    };
    let key = frame
        .registers
        .load(sreg, usize::try_from(set.key_len).unwrap_or(64));
    let found = lookup(set, &key);
    let Some(dreg) = dreg else {
        let holds = match found {
            Found::Yes(_) => Some(true),
            Found::No => Some(false),
            Found::Maybe => None,
        };
        return decided(holds, inverted, || {
            format!("whether a value that is not known is in {}", set.name)
        });
    };
    match found {
        Found::No => Next::Break,
        Found::Yes(element) if dreg == 0 => match &element.verdict {
            Some(verdict) => Next::Act(Action::Verdict(verdict.clone())),
            None => Next::Doubt(format!("map {} holds no verdict there", set.name)),
        },
        Found::Yes(element) => {
            frame.registers.store(dreg, &known(&element.data));
            Next::Go
        }
        Found::Maybe if dreg == 0 => Next::Act(Action::Unknown(format!(
            "the verdict of map {} for a value that is not known",
            set.name
        ))),
        Found::Maybe => {
            frame
                .registers
                .store(dreg, &unknown(usize::try_from(set.data_len).unwrap_or(16)));
            Next::Doubt(format!(
                "what map {} holds for a value that is not known",
                set.name
            ))
        }
    }
}

fn address_in(frame: &Frame, register: u32, family: u32) -> Option<IpAddr> {
    let v6 = family == 10 || family != 2 && frame.packet.v6();
    if v6 {
        let bytes = all(&frame.registers.load(register, 16))?;
        bytes
            .first_chunk::<16>()
            .map(|b| IpAddr::V6(Ipv6Addr::from(*b)))
    } else {
        let bytes = all(&frame.registers.load(register, 4))?;
        bytes
            .first_chunk::<4>()
            .map(|b| IpAddr::V4(Ipv4Addr::from(*b)))
    }
}

fn port_in(frame: &Frame, register: u32) -> Option<u16> {
    let bytes = all(&frame.registers.load(register, 2))?;
    bytes.first_chunk::<2>().map(|b| u16::from_be_bytes(*b))
}

pub(super) fn set_mark(frame: &mut Frame, mark: Option<u32>) {
    frame.did.push(match mark {
        Some(mark) => format!("mark {mark:#x}"),
        None => "mark unknown".into(),
    });
    frame.packet.mark = mark;
}

pub(super) fn masquerade(frame: &mut Frame) -> Next {
    frame.packet.nat |= SOURCE_NAT;
    frame.did.push("masquerade".into());
    Next::Act(Action::Verdict(Verdict::Accept))
}

/// To the machine itself: its own address behind the incoming device is not known here.
pub(super) fn redirect(frame: &mut Frame, hook: &str, port: Option<u16>) -> Next {
    if hook != "output" {
        frame.doubts.push((
            "redirected to the address of the incoming device".into(),
            true,
        ));
    }
    let own = frame.packet.loopback();
    frame
        .packet
        .redirect((hook == "output").then_some(own), port);
    frame.did.push(format!(
        "redirect to {}",
        end(frame.packet.dst, frame.packet.dport)
    ));
    Next::Act(Action::Verdict(Verdict::Accept))
}

/// NAT to an address and a port, each absent, or present and perhaps not known; `spread`: to one
/// of a range that begins there.
pub(super) fn nat(
    frame: &mut Frame,
    destination: bool,
    address: Option<Option<IpAddr>>,
    port: Option<Option<u16>>,
    spread: bool,
) -> Next {
    if spread {
        frame
            .doubts
            .push(("which of a range of addresses or ports".into(), true));
    }
    if address == Some(None) || port == Some(None) {
        return Next::Act(Action::Unknown("NAT to what is not known".into()));
    }
    let (address, port) = (address.flatten(), port.flatten());
    if address.is_some_and(|a| a.is_ipv6() != frame.packet.v6()) {
        return Next::Act(Action::Unknown(
            "NAT to an address of the other family".into(),
        ));
    }
    if destination {
        frame.packet.redirect(address, port);
        frame.did.push(format!(
            "dnat to {}",
            end(frame.packet.dst, frame.packet.dport)
        ));
    } else {
        frame.packet.src = address.unwrap_or(frame.packet.src);
        frame.packet.sport = port.or(frame.packet.sport);
        frame.packet.nat |= SOURCE_NAT;
        frame
            .did
            .push(format!("snat to {}", end(frame.packet.src, port)));
    }
    Next::Act(Action::Verdict(Verdict::Accept))
}

fn end(address: IpAddr, port: Option<u16>) -> String {
    match port {
        Some(port) => std::net::SocketAddr::new(address, port).to_string(),
        None => address.to_string(),
    }
}
