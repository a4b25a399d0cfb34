//! x_tables matches and targets, as iptables puts them into rules.

use super::packet::{TCP, UDP};
use super::step::{Action, Frame, Next, masquerade, nat, redirect, set_mark};
use netshoot_wire::nft::Family;
use netshoot_wire::nft::expr::Xt;
use netshoot_wire::nft::xt::XtMeaning;

/// `XT_CONNTRACK_STATE_SNAT`, `_DNAT`, `_UNTRACKED` and fields (linux/netfilter/xt_conntrack.h).
const STATE_SNAT: u32 = 64;
const STATE_DNAT: u32 = 128;
const STATE_UNTRACKED: u32 = 256;
const FIELD_STATE: u16 = 1;
const FIELD_STATUS: u16 = 64;

fn decided(holds: Option<bool>, name: &str) -> Next {
    match holds {
        Some(true) => Next::Go,
        Some(false) => Next::Break,
        None => Next::Doubt(format!("match {name}")),
    }
}

pub(super) fn matches(family: Family, m: &Xt, frame: &Frame) -> Next {
    let packet = &frame.packet;
    let meaning = m.read_match(family);
    let share = |part: f64, inverted: bool| {
        let part = if inverted { 1.0 - part } else { part };
        Next::Fork(vec![(part, Some(frame.clone())), (1.0 - part, None)])
    };
    let holds = match meaning {
        XtMeaning::Comment(_) => Some(true),
        XtMeaning::StatisticRandom {
            probability,
            inverted,
        } => {
            return share(f64::from(probability) / 2_147_483_648.0, inverted);
        }
        XtMeaning::StatisticNth {
            every, inverted, ..
        } => {
            return share(1.0 / f64::from(every.max(1)), inverted);
        }
        XtMeaning::Addrtype {
            source,
            destination,
            invert_source,
            invert_destination,
        } => {
            let of = |mask: u16, address, inverted: bool| match mask {
                0 => Some(true),
                mask => packet.address_type(address).map(|t| {
                    let bit = 1u16.checked_shl(t).unwrap_or(0);
                    (mask & bit != 0) != inverted
                }),
            };
            both(
                of(source, packet.src, invert_source),
                of(destination, packet.dst, invert_destination),
            )
        }
        XtMeaning::Mark {
            mark,
            mask,
            inverted,
        } => packet.mark.map(|m| (m & mask == mark) != inverted),
        XtMeaning::Conntrack {
            fields,
            inverted,
            states,
            statuses,
        } => conntrack(frame, fields, inverted, states, statuses),
        XtMeaning::State(states) => Some(u32::from(states) & conntrack_state(frame) != 0),
        XtMeaning::Tcp {
            source,
            destination,
            flag_mask,
            flags,
            inverted,
        } => {
            let ports = both(
                within(packet.sport, source, inverted & 1 != 0),
                within(packet.dport, destination, inverted & 2 != 0),
            );
            let flags = (packet.tcp_flags & flag_mask == flags) != (inverted & 4 != 0);
            both(Some(packet.protocol == TCP && flags), ports)
        }
        XtMeaning::Udp {
            source,
            destination,
            inverted,
        } => {
            let ports = both(
                within(packet.sport, source, inverted & 1 != 0),
                within(packet.dport, destination, inverted & 2 != 0),
            );
            both(Some(packet.protocol == UDP), ports)
        }
        XtMeaning::Multiport {
            which,
            ports,
            inverted,
        } => {
            let among =
                |port: Option<u16>| port.map(|p| ports.iter().any(|(a, b)| (*a..=*b).contains(&p)));
            let any = match which {
                0 => among(packet.sport),
                1 => among(packet.dport),
                _ => either(among(packet.sport), among(packet.dport)),
            };
            any.map(|a| a != inverted)
        }
        XtMeaning::Icmp { .. } if !matches!(packet.protocol, 1 | 58) => Some(false),
        _ => match m.name.as_str() {
            // Counts in a named counter and lets pass.
            "nfacct" => Some(true),
            "recent" => recent(&m.info),
            _ => None,
        },
    };
    decided(holds, &m.name)
}

/// `-m recent` (`struct xt_recent_mtinfo`: seconds, hit count, what to do, inverted): `--set`
/// always matches; the client of this packet has not been seen before.
fn recent(info: &[u8]) -> Option<bool> {
    let (todo, inverted) = (info.get(8)?, info.get(9)?);
    Some((todo & 2 != 0) != (*inverted != 0))
}

pub(super) fn target(family: Family, t: &Xt, frame: &mut Frame, hook: &str) -> Next {
    match t.read_target(family) {
        XtMeaning::SetMark { value, mask } => {
            let mark = frame.packet.mark.map(|m| (m & !mask) ^ value);
            set_mark(frame, mark);
            Next::Go
        }
        XtMeaning::Nat {
            destination,
            addresses,
            ports,
            ..
        } => {
            let spread =
                addresses.is_some_and(|(a, b)| a != b) || ports.is_some_and(|(a, b)| a != b);
            nat(
                frame,
                destination,
                addresses.map(|(a, _)| Some(a)),
                ports.map(|(p, _)| Some(p)),
                spread,
            )
        }
        XtMeaning::Masquerade { .. } => masquerade(frame),
        XtMeaning::Redirect { ports } => redirect(frame, hook, ports.map(|(p, _)| p)),
        XtMeaning::Reject(_) => Next::Act(Action::Reject),
        XtMeaning::TcpMss(_) => Next::Go,
        _ => match t.name.as_str() {
            "LOG" | "NFLOG" | "TRACE" | "AUDIT" | "CHECKSUM" | "CLASSIFY" | "TOS" | "DSCP"
            | "TTL" | "HL" | "SET" | "RATEEST" | "IDLETIMER" | "TCPOPTSTRIP" => Next::Go,
            "CONNMARK" => {
                frame.packet.ct_mark = None;
                set_mark(frame, None);
                Next::Go
            }
            name => Next::Act(Action::Unknown(format!("target {name}"))),
        },
    }
}

fn both(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn either(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn within(port: Option<u16>, (first, last): (u16, u16), inverted: bool) -> Option<bool> {
    if (first, last) == (0, u16::MAX) {
        return Some(!inverted);
    }
    port.map(|p| (first..=last).contains(&p) != inverted)
}

/// The states of nf_tables and of x_tables have the same low bits; NAT and untracked differ.
fn conntrack_state(frame: &Frame) -> u32 {
    let state = frame.packet.ct_state;
    let nat = frame.packet.nat;
    (state & 15)
        | if state & 64 != 0 { STATE_UNTRACKED } else { 0 }
        | if nat & 16 != 0 { STATE_SNAT } else { 0 }
        | if nat & 32 != 0 { STATE_DNAT } else { 0 }
}

fn conntrack(
    frame: &Frame,
    fields: u16,
    inverted: u16,
    states: u16,
    statuses: u16,
) -> Option<bool> {
    let mut holds = if fields & !(FIELD_STATE | FIELD_STATUS) == 0 {
        Some(true)
    } else {
        None
    };
    if fields & FIELD_STATE != 0 {
        let hit = u32::from(states) & conntrack_state(frame) != 0;
        holds = both(holds, Some(hit != (inverted & FIELD_STATE != 0)));
    }
    if fields & FIELD_STATUS != 0 {
        let ours = frame.packet.is_new() && u32::from(statuses) & !48 == 0;
        let hit = ours.then(|| u32::from(statuses) & frame.packet.nat != 0);
        holds = both(holds, hit.map(|h| h != (inverted & FIELD_STATUS != 0)));
    }
    holds
}
