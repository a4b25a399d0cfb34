//! Address families, and other ranges for nodes, pods and Services.

use super::{each_text, rewrite};
use crate::shape::{self, Dice};
use crate::store::defaults::{offset, parse_cidr};
use crate::world::World;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

/// Another set of families, where nothing in the world is written for one of them.
pub(super) fn families(world: &mut World, dice: &mut Dice) {
    let sets: &[&[&str]] = if has_ipv4_literal(world) {
        &[&["ipv4"], &["ipv4", "ipv6"]]
    } else {
        &[&["ipv4"], &["ipv6"], &["ipv4", "ipv6"], &["ipv6", "ipv4"]]
    };
    let chosen: Vec<String> = dice
        .pick(sets)
        .copied()
        .unwrap_or(&["ipv4"])
        .iter()
        .map(|f| f.to_string())
        .collect();
    if chosen.len() > 1 {
        for object in world.objects.iter_mut().filter(|o| {
            shape::kind(o) == "Service"
                && shape::text(o, "spec.type") != "ExternalName"
                && shape::at(o, "spec.ipFamilies").is_null()
        }) {
            if dice.below(3) > 0 {
                shape::child(object, "spec")
                    .entry("ipFamilyPolicy")
                    .or_insert(json!("PreferDualStack"));
            }
        }
    }
    world.plan.wiring.families = chosen;
    *world = world.completed();
}

/// Whether an IPv4 address stands anywhere but where this module writes them itself.
fn has_ipv4_literal(world: &World) -> bool {
    let mut found = false;
    let mut look = |text: &str| {
        found |= text
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .any(|w| w.parse::<Ipv4Addr>().is_ok());
        None
    };
    for object in world.objects.iter().filter(|o| shape::kind(o) != "Node") {
        each_text(&mut object.clone(), &mut look);
    }
    let mut plan = serde_json::to_value(&world.plan).unwrap_or_default();
    if let Some(wiring) = plan.get_mut("wiring").and_then(Value::as_object_mut) {
        wiring.remove("service_cidrs");
    }
    each_text(&mut plan, &mut look);
    found
}

/// A range and what it becomes.
type Moved = (IpAddr, u8, IpAddr);

/// Other ranges; addresses written anywhere move with theirs.
pub(super) fn vary(world: &World, dice: &mut Dice) -> World {
    let mut moves: Vec<Moved> = Vec::new();
    let (pods, lan, services) = (
        100 + dice.below(150) as u8,
        dice.below(250) as u8,
        64 + dice.below(60) as u8,
    );
    let lan = *dice
        .pick(&[[172, 20, lan], [192, 168, lan], [10, 80, lan]])
        .unwrap_or(&[10, 80, lan]);
    let unique = dice.below(0xffff) as u128;
    for (i, node) in world
        .objects
        .iter()
        .filter(|o| shape::kind(o) == "Node")
        .enumerate()
    {
        for (base, bits) in shape::texts(node, "spec.podCIDRs")
            .iter()
            .filter_map(|c| parse_cidr(c))
        {
            let new = match base {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(10, pods, i as u8 + 1, 0)),
                IpAddr::V6(_) => IpAddr::V6(
                    (0xfd45_0000_0000_0000_u128 << 64 | unique << 96 | (i as u128 + 1) << 64)
                        .into(),
                ),
            };
            moves.push((base, bits, new));
        }
        for address in crate::kubelet::status::node_addresses(node) {
            let (bits, new) = match address {
                IpAddr::V4(a) => (
                    32,
                    IpAddr::V4(Ipv4Addr::new(lan[0], lan[1], lan[2], a.octets()[3])),
                ),
                IpAddr::V6(a) => (
                    128,
                    IpAddr::V6(
                        (0xfd91_u128 << 112 | unique << 96 | (u128::from(a) & 0xffff)).into(),
                    ),
                ),
            };
            moves.push((address, bits, new));
        }
    }
    for (base, bits) in world
        .plan
        .wiring
        .service_cidrs
        .iter()
        .filter_map(|c| parse_cidr(c))
    {
        let new = match base {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(10, services, 0, 0)),
            IpAddr::V6(_) => IpAddr::V6((0xfd97_u128 << 112 | unique << 96).into()),
        };
        moves.push((base, bits, new));
    }
    let mut change = |text: &str| {
        let new = moved_text(text, &moves);
        (new != text).then_some(new)
    };
    rewrite(world, |whole| each_text(whole, &mut change))
}

fn moved(address: IpAddr, moves: &[Moved]) -> Option<IpAddr> {
    let number = |a: IpAddr| match a {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    };
    moves
        .iter()
        .filter(|m| m.0.is_ipv4() == address.is_ipv4())
        .find_map(|(base, bits, new)| {
            let width = if base.is_ipv4() { 32 } else { 128 };
            let host = width - u32::from(*bits).min(width);
            let within = number(address).wrapping_sub(number(*base));
            (number(address) >= number(*base) && within.checked_shr(host).unwrap_or(0) == 0)
                .then(|| offset(*new, within))
        })
}

fn moved_text(text: &str, moves: &[Moved]) -> String {
    let part_of = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(|c| !part_of(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        // `10.0.0.1:80` is an address and a port.
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) if word.matches(':').count() == 1 => (host, Some(port)),
            _ => (word, None),
        };
        match host.parse().ok().and_then(|a| moved(a, moves)) {
            Some(new) => {
                out.push_str(&new.to_string());
                if let Some(port) = port {
                    out.push(':');
                    out.push_str(port);
                }
            }
            None => out.push_str(word),
        }
        let other = after.find(part_of).unwrap_or(after.len());
        let (between, after) = after.split_at(other);
        out.push_str(between);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_move_with_their_range() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        let moves = [
            (ip("10.244.1.0"), 24, ip("10.9.1.0")),
            (ip("fd44::"), 64, ip("fd45::")),
            (ip("10.90.0.11"), 32, ip("172.20.0.11")),
        ];
        for (text, want) in [
            ("10.244.1.0/24", "10.9.1.0/24"),
            ("http://10.244.1.7:80/", "http://10.9.1.7:80/"),
            (
                "[fd44::5]:80 and 10.90.0.11",
                "[fd45::5]:80 and 172.20.0.11",
            ),
            (
                "10.244.2.1 10.90.0.12 1.4.2 face:b00c",
                "10.244.2.1 10.90.0.12 1.4.2 face:b00c",
            ),
        ] {
            assert_eq!(moved_text(text, &moves), want);
        }
    }
}
