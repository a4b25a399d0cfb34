//! `ip link` and `ip addr`.

use super::counters::statistics;
use super::record::{Json, Record};
use super::{
    NO_FAMILY, Options, Refused, Shown, index, name, names, prefix, scope_word, value, within,
};
use netshoot_host::link::raw;
use netshoot_wire::rtnl::{self, Address, IFF_UP, Link};
use std::collections::BTreeMap;
use std::net::IpAddr;

type Names = BTreeMap<u32, String>;

/// `IFF_*` in the order in which they are told, without `RUNNING`.
const FLAGS: &[(u32, &str)] = &[
    (0x8, "LOOPBACK"),
    (0x2, "BROADCAST"),
    (0x10, "POINTOPOINT"),
    (0x1000, "MULTICAST"),
    (0x80, "NOARP"),
    (0x200, "ALLMULTI"),
    (0x100, "PROMISC"),
    (0x400, "MASTER"),
    (0x800, "SLAVE"),
    (0x4, "DEBUG"),
    (0x8000, "DYNAMIC"),
    (0x4000, "AUTOMEDIA"),
    (0x2000, "PORTSEL"),
    (0x20, "NOTRAILERS"),
    (0x1, "UP"),
    (0x1_0000, "LOWER_UP"),
    (0x2_0000, "DORMANT"),
    (0x4_0000, "ECHO"),
];
/// `IFF_RUNNING`
const RUNNING: u32 = 0x40;
/// `IFF_POINTOPOINT`
const POINT_TO_POINT: u32 = 0x10;

/// `IFA_F_*`, with the word of IPv6 where it differs; `!` for what is said when the bit is not set.
const ADDRESS_FLAGS: &[(u32, &str, &str)] = &[
    (0x1, "secondary", "temporary"),
    (0x2, "nodad", "nodad"),
    (0x4, "optimistic", "optimistic"),
    (0x8, "dadfailed", "dadfailed"),
    (0x10, "home", "home"),
    (0x20, "deprecated", "deprecated"),
    (0x40, "tentative", "tentative"),
    (0x80, "!dynamic", "!dynamic"),
    (0x100, "mngtmpaddr", "mngtmpaddr"),
    (0x200, "noprefixroute", "noprefixroute"),
    (0x400, "autojoin", "autojoin"),
    (0x800, "stable-privacy", "stable-privacy"),
];

/// What is to be shown.
#[derive(Default)]
struct Wanted {
    device: Option<String>,
    up: bool,
    kind: Option<String>,
    master: Option<String>,
    group: Option<u32>,
    scope: Option<u8>,
    to: Option<(IpAddr, u8)>,
    label: Option<String>,
    /// Bit and whether it must be set.
    flags: Vec<(u32, bool)>,
}

impl Wanted {
    fn take(words: &[String], family: u8, of_addresses: bool) -> Result<Wanted, Refused> {
        let mut w = Wanted::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "up" => w.up = true,
                "type" => w.kind = Some(value(&mut words)?.into()),
                "master" => w.master = Some(value(&mut words)?.into()),
                "group" => {
                    let group = value(&mut words)?;
                    let number = if group == "default" {
                        Ok(0)
                    } else {
                        group.parse()
                    };
                    w.group = Some(number.map_err(|_| {
                        let said = format!(
                            "Error: argument \"{group}\" is wrong: Invalid \"group\" value\n"
                        );
                        Refused::new(255, said)
                    })?);
                }
                "scope" if of_addresses => w.scope = Some(scope(value(&mut words)?)?),
                "to" if of_addresses => w.to = prefix(value(&mut words)?, family)?,
                "label" if of_addresses => w.label = Some(value(&mut words)?.into()),
                word if of_addresses && flag(word).is_some() => w.flags.extend(flag(word)),
                word => {
                    let given = match word {
                        "dev" => value(&mut words)?,
                        other => other,
                    };
                    if w.device.replace(given.into()).is_some() {
                        let said = format!(
                            "Error: either \"dev\" is duplicate, or \"{given}\" is a garbage."
                        );
                        return Err(Refused::new(255, said));
                    }
                }
            }
        }
        Ok(w)
    }

    fn has(&self, link: &Link, names: &Names) -> Result<bool, Refused> {
        let master = self
            .master
            .as_deref()
            .map(|m| index(names, m))
            .transpose()?;
        Ok(self.device.as_ref().is_none_or(|d| *d == link.name)
            && (!self.up || link.flags & IFF_UP != 0)
            && self.kind.as_ref().is_none_or(|k| *k == link.kind)
            && self.group.is_none_or(|g| g == link.group)
            && master.is_none_or(|m| m == link.master))
    }

    /// Whether some addresses are not wanted.
    fn chooses(&self) -> bool {
        self.scope.is_some() || self.to.is_some() || self.label.is_some() || !self.flags.is_empty()
    }

    fn has_address(&self, a: &Address, family: u8) -> bool {
        let own = rtnl::family(a.address);
        (family == 0 || family == own)
            && self.scope.is_none_or(|s| s == a.scope)
            && self.to.is_none_or(|to| within(a.address, to))
            && self.label.as_ref().is_none_or(|l| *l == a.label)
            && self
                .flags
                .iter()
                .all(|(bit, set)| (a.flags & bit != 0) == *set)
    }
}

fn scope(word: &str) -> Result<u8, Refused> {
    Ok(match word {
        "global" | "universe" => 0,
        "site" => 200,
        "link" => 253,
        "host" => 254,
        "nowhere" => 255,
        n => n.parse().map_err(|_| {
            Refused::new(
                255,
                format!("Error: argument \"{word}\" is wrong: invalid \"scope\"\n"),
            )
        })?,
    })
}

/// A word that chooses addresses by a flag; a dash before it turns it round.
fn flag(word: &str) -> Option<(u32, bool)> {
    let (word, set) = match word.strip_prefix('-') {
        Some(rest) => (rest, false),
        None => (word, true),
    };
    match word {
        "permanent" => Some((0x80, set)),
        "dynamic" => Some((0x80, !set)),
        "primary" => Some((0x1, !set)),
        word => {
            let found = ADDRESS_FLAGS.iter().find(|f| f.1 == word || f.2 == word);
            found.map(|f| (f.0, set))
        }
    }
}

/// `ip link show`
pub fn links(words: &[String], options: &Options) -> Shown {
    let wanted = Wanted::take(words, options.family, false)?;
    let all = raw::links()?;
    exists(&wanted, &all)?;
    let names = names(&all);
    let mut shown = Vec::new();
    for link in &all {
        if wanted.has(link, &names)? {
            let mut r = Record::default();
            if options.brief {
                brief(&mut r, link, &all);
            } else {
                head(&mut r, link, &all, true);
                hardware(&mut r, link);
                if !link.alias.is_empty() {
                    let said = format!("\n    alias {}", link.alias);
                    r.both("ifalias", link.alias.as_str(), said);
                }
                statistics(&mut r, link, options);
            }
            shown.push(r);
        }
    }
    Ok(shown)
}

fn exists(wanted: &Wanted, all: &[Link]) -> Result<(), Refused> {
    match &wanted.device {
        Some(name) if !all.iter().any(|l| l.name == *name) => Err(Refused::new(
            1,
            format!("Device \"{name}\" does not exist."),
        )),
        _ => Ok(()),
    }
}

/// `ip addr show`
pub fn addresses(words: &[String], options: &Options) -> Shown {
    let wanted = Wanted::take(words, options.family, true)?;
    let all = raw::links()?;
    exists(&wanted, &all)?;
    let names = names(&all);
    let family = match (options.family, wanted.to) {
        (NO_FAMILY, _) => NO_FAMILY,
        (0, Some((to, _))) => rtnl::family(to),
        (family, _) => family,
    };
    let addresses = match family {
        NO_FAMILY => Vec::new(),
        _ => raw::addresses(0)?,
    };
    let mut shown = Vec::new();
    for link in &all {
        if !wanted.has(link, &names)? {
            continue;
        }
        let own: Vec<&Address> = addresses.iter().filter(|a| a.index == link.index).collect();
        let chosen: Vec<&Address> = own
            .iter()
            .copied()
            .filter(|a| wanted.has_address(a, family))
            .collect();
        let by_family = ![0, NO_FAMILY].contains(&family);
        let narrowed = by_family || wanted.label.is_some();
        if chosen.is_empty() && (narrowed || wanted.chooses() && !own.is_empty()) {
            continue;
        }
        if options.one_line && !options.json && family != NO_FAMILY {
            shown.extend(chosen.iter().map(|a| on_one_line(link, a)));
            continue;
        }
        shown.push(with_addresses(
            link, &all, &chosen, !by_family, &wanted, options,
        ));
    }
    Ok(shown)
}

fn on_one_line(link: &Link, a: &Address) -> Record {
    let mut r = Record::default();
    r.text(format!("{}: {}", link.index, link.name));
    address(&mut r, a);
    r
}

fn with_addresses(
    link: &Link,
    all: &[Link],
    chosen: &[&Address],
    with_hardware: bool,
    wanted: &Wanted,
    options: &Options,
) -> Record {
    let mut r = Record::default();
    if options.brief {
        r.text(format!("{:<16} ", full_name(link, all)));
        peer(&mut r, link, all);
        r.field("ifname", link.name.as_str());
        r.both("operstate", state(link), format!("{:<14} ", state(link)));
    } else {
        if wanted.label.is_none() || options.json {
            head(&mut r, link, all, false);
        }
        if with_hardware && wanted.label.is_none() || options.json {
            hardware(&mut r, link);
        }
    }
    let mut list = Vec::new();
    for a in chosen {
        let mut one = Record::default();
        if options.brief {
            let far = a.peer.map_or(String::new(), |p| format!(" peer {p}"));
            one.text(format!("{}{far}/{} ", a.address, a.prefix));
            one.field("local", a.address.to_string());
            if let Some(peer) = a.peer {
                one.field("address", peer.to_string());
            }
            one.field("prefixlen", u32::from(a.prefix));
        } else {
            one.text("\n");
            address(&mut one, a);
        }
        r.text(&one.text);
        list.push(Json::Object(one.fields));
    }
    if wanted.label.is_some() {
        r.text = r.text.trim_start_matches('\n').to_string();
    }
    r.fields.push(("addr_info", Json::List(list)));
    if !options.brief {
        statistics(&mut r, link, options);
    }
    r
}

/// The name, and behind `@` the lower device or the peer.
fn full_name(link: &Link, all: &[Link]) -> String {
    match lower(link, all) {
        Some((_, text)) => format!("{}@{text}", link.name),
        None => link.name.clone(),
    }
}

/// Whether the lower device has a name here, and its name.
fn lower(link: &Link, all: &[Link]) -> Option<(bool, String)> {
    match (link.link_given, link.link, link.link_netns) {
        (false, _, _) => None,
        (true, 0, _) => Some((true, "NONE".into())),
        (true, index, None) => {
            let found = all.iter().find(|l| l.index == index);
            Some((true, found.map_or(format!("if{index}"), |l| l.name.clone())))
        }
        (true, index, Some(_)) => Some((false, format!("if{index}"))),
    }
}

fn peer(r: &mut Record, link: &Link, all: &[Link]) {
    match lower(link, all) {
        Some((true, text)) if text == "NONE" => r.field("link", Json::Null),
        Some((true, text)) => r.field("link", text),
        Some((false, _)) => r.field("link_index", link.link),
        None => r,
    };
}

fn state(link: &Link) -> &'static str {
    let words = [
        "UNKNOWN",
        "NOTPRESENT",
        "DOWN",
        "LOWERLAYERDOWN",
        "TESTING",
        "DORMANT",
        "UP",
    ];
    words
        .get(usize::from(link.operstate))
        .copied()
        .unwrap_or("UNKNOWN")
}

fn flags(link: &Link, all: &[Link]) -> Vec<String> {
    let mut words = Vec::new();
    if link.flags & IFF_UP != 0 && link.flags & RUNNING == 0 {
        words.push("NO-CARRIER".to_string());
    }
    let known = FLAGS.iter().filter(|(bit, _)| link.flags & bit != 0);
    words.extend(known.map(|(_, word)| word.to_string()));
    let lower = all.iter().find(|l| l.index == link.link);
    if link.link_given
        && link.link_netns.is_none()
        && link.link != 0
        && lower.is_none_or(|l| l.flags & IFF_UP == 0)
    {
        words.push("M-DOWN".into());
    }
    words
}

fn list(words: &[String]) -> Json {
    Json::List(words.iter().map(|w| w.as_str().into()).collect())
}

fn brief(r: &mut Record, link: &Link, all: &[Link]) {
    r.text(format!("{:<16} ", full_name(link, all)));
    peer(r, link, all);
    r.field("ifname", link.name.as_str());
    r.both("operstate", state(link), format!("{:<14} ", state(link)));
    let mac = hardware_text(link.hardware, &link.mac);
    r.both("address", mac.as_str(), format!("{mac} "));
    let flags = flags(link, all);
    r.both("flags", list(&flags), format!("<{}> ", flags.join(",")));
}

fn head(r: &mut Record, link: &Link, all: &[Link], with_mode: bool) {
    r.both("ifindex", link.index, format!("{}: ", link.index));
    peer(r, link, all);
    r.both(
        "ifname",
        link.name.as_str(),
        format!("{}: ", full_name(link, all)),
    );
    let flags = flags(link, all);
    r.both("flags", list(&flags), format!("<{}> ", flags.join(",")));
    r.both("mtu", link.mtu, format!("mtu {} ", link.mtu));
    if !link.qdisc.is_empty() {
        r.both(
            "qdisc",
            link.qdisc.as_str(),
            format!("qdisc {} ", link.qdisc),
        );
    }
    if link.master != 0 {
        let master = name(&names(all), link.master);
        r.both("master", master.as_str(), format!("master {master} "));
    }
    r.both("operstate", state(link), format!("state {} ", state(link)));
    if with_mode {
        let mode = if link.linkmode == 1 {
            "DORMANT"
        } else {
            "DEFAULT"
        };
        r.both("linkmode", mode, format!("mode {mode} "));
    }
    let group = match link.group {
        0 => "default".to_string(),
        n => n.to_string(),
    };
    r.both("group", group.as_str(), format!("group {group} "));
    if link.txqlen != 0 {
        r.both("txqlen", link.txqlen, format!("qlen {}", link.txqlen));
    }
}

/// `ARPHRD_*` in words.
fn hardware_word(hardware: u16) -> String {
    match hardware {
        1 => "ether".into(),
        32 => "infiniband".into(),
        512 => "ppp".into(),
        768 => "ipip".into(),
        769 => "tunnel6".into(),
        772 => "loopback".into(),
        776 => "sit".into(),
        778 => "gre".into(),
        801 => "ieee802.11".into(),
        823 => "gre6".into(),
        824 => "netlink".into(),
        65534 => "none".into(),
        n => format!("[{n}]"),
    }
}

/// A hardware address; that of a tunnel is an IP address.
fn hardware_text(hardware: u16, bytes: &[u8]) -> String {
    match (hardware, rtnl::address(bytes)) {
        (768 | 776 | 778, Ok(a @ IpAddr::V4(_))) => a.to_string(),
        (769 | 823, Ok(a @ IpAddr::V6(_))) => a.to_string(),
        _ => rtnl::mac_text(bytes),
    }
}

fn hardware(r: &mut Record, link: &Link) {
    let word = hardware_word(link.hardware);
    r.both("link_type", word.as_str(), format!("\n    link/{word} "));
    if !link.mac.is_empty() {
        let mac = hardware_text(link.hardware, &link.mac);
        r.both("address", mac.as_str(), &mac);
    }
    if !link.broadcast.is_empty() {
        let far = hardware_text(link.hardware, &link.broadcast);
        if link.flags & POINT_TO_POINT != 0 {
            r.field("link_pointtopoint", Json::Bool(true));
            r.both("broadcast", far.as_str(), format!(" peer {far}"));
        } else {
            r.both("broadcast", far.as_str(), format!(" brd {far}"));
        }
    }
    if let Some(id) = link.link_netns {
        let id = i64::from(id);
        r.both(
            "link_netnsid",
            Json::Number(id),
            format!(" link-netnsid {id}"),
        );
    }
}

fn address(r: &mut Record, a: &Address) {
    let v6 = a.address.is_ipv6();
    let family = if v6 { "inet6" } else { "inet" };
    r.both("family", family, format!("    {family} "));
    r.both("local", a.address.to_string(), a.address.to_string());
    if let Some(peer) = a.peer {
        r.both("address", peer.to_string(), format!(" peer {peer}"));
    }
    r.both("prefixlen", u32::from(a.prefix), format!("/{} ", a.prefix));
    if let Some(b) = a.broadcast {
        r.both("broadcast", b.to_string(), format!("brd {b} "));
    }
    let scope = scope_word(a.scope, false);
    r.both("scope", scope.as_str(), format!("scope {scope} "));
    for (bit, v4_word, v6_word) in ADDRESS_FLAGS {
        let word = if v6 { v6_word } else { v4_word };
        let (word, wanted) = match word.strip_prefix('!') {
            Some(word) => (word, false),
            None => (*word, true),
        };
        if (a.flags & bit != 0) == wanted {
            r.both(word, Json::Bool(true), format!("{word} "));
        }
    }
    if !a.label.is_empty() {
        r.both("label", a.label.as_str(), &a.label);
    }
    let (preferred, valid) = a.lifetimes;
    let seconds = |n: u32| match n {
        u32::MAX => "forever".to_string(),
        n => format!("{n}sec"),
    };
    r.both(
        "valid_life_time",
        valid,
        format!("\n       valid_lft {}", seconds(valid)),
    );
    r.both(
        "preferred_life_time",
        preferred,
        format!(" preferred_lft {}", seconds(preferred)),
    );
}
