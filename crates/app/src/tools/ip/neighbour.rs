//! `ip neigh`.

use super::record::{Json, Record};
use super::{
    NO_FAMILY, Options, Refused, Shown, index, name, names, no_device, prefix, value, within,
};
use netshoot_host::link::raw;
use netshoot_wire::rtnl::{self, AF_INET, AF_INET6, Neighbour};
use std::net::IpAddr;

/// `NUD_*` that are shown unless others are asked for: all but `NONE` and `NOARP`.
const SHOWN: u16 = 0x80 | 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20;
const STATES: &[(&str, u16)] = &[
    ("permanent", 0x80),
    ("noarp", 0x40),
    ("none", 0),
    ("reachable", 0x2),
    ("stale", 0x4),
    ("delay", 0x8),
    ("probe", 0x10),
    ("failed", 0x20),
    ("incomplete", 0x1),
    ("all", 0xff),
];

/// `ip neigh show`
pub fn neighbours(words: &[String], options: &Options) -> Shown {
    let links = raw::links()?;
    let names = names(&links);
    let (mut device, mut to, mut states) = (None, None::<(IpAddr, u8)>, 0u16);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "dev" => device = Some(value(&mut words)?.to_string()),
            "nud" => {
                let word = value(&mut words)?;
                let known = STATES.iter().find(|s| s.0 == word);
                states |= known.map(|s| s.1).ok_or_else(|| {
                    let said = format!("Error: argument \"{word}\" is wrong: nud state is bad\n");
                    Refused::new(255, said)
                })?;
            }
            "unused" | "proxy" | "nomaster" => {}
            word => {
                let given = if word == "to" {
                    value(&mut words)?
                } else {
                    word
                };
                to = prefix(given, options.family)?;
            }
        }
    }
    let device = device
        .map(|d| index(&names, &d).map_err(|_| no_device(&d)))
        .transpose()?;
    let families: &[u8] = match options.family {
        AF_INET => &[AF_INET],
        AF_INET6 => &[AF_INET6],
        NO_FAMILY => &[],
        _ => &[AF_INET, AF_INET6],
    };
    let states = if states == 0 { SHOWN } else { states };
    let mut shown = Vec::new();
    for family in families {
        for n in raw::neighbours(*family)? {
            let asked = n.state & states != 0
                && device.is_none_or(|d| d == n.index)
                && to.is_none_or(|to| n.address.is_some_and(|a| within(a, to)));
            if asked {
                let place = device.is_none().then(|| name(&names, n.index));
                shown.push(one(&n, place, options));
            }
        }
    }
    Ok(shown)
}

fn one(n: &Neighbour, device: Option<String>, options: &Options) -> Record {
    let mut r = Record::default();
    if let Some(a) = n.address {
        r.both("dst", a.to_string(), format!("{a} "));
    }
    if let Some(device) = device {
        r.both("dev", device.as_str(), format!("dev {device} "));
    }
    if !n.mac.is_empty() {
        let mac = rtnl::mac_text(&n.mac);
        r.both("lladdr", mac.as_str(), format!("lladdr {mac} "));
    }
    for (bit, word) in [(0x80, "router"), (0x08, "proxy"), (0x10, "extern_learn")] {
        if n.flags & bit != 0 {
            r.both(word, Json::Null, format!("{word} "));
        }
    }
    if options.statistics > 0 {
        if n.references != 0 {
            r.both("refcnt", n.references, format!(" ref {}", n.references));
        }
        // Ticks of 10 ms.
        let [used, confirmed, updated] = n.ages.map(|t| t / 100);
        r.text(format!(" used {used}/{confirmed}/{updated}"));
        r.field("used", used)
            .field("confirmed", confirmed)
            .field("updated", updated);
        if let Some(probes) = n.probes {
            r.both("probes", probes, format!("probes {probes} "));
        }
    }
    let state = n.state_word();
    r.both("state", Json::List(vec![state.into()]), format!("{state} "));
    r
}
