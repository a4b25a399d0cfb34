//! `ip route`.

use super::record::{Json, Record};
use super::{
    Options, Refused, Shown, index, name, names, prefix, scope_word, shows, table_number,
    table_word, value, within,
};
use netshoot_host::link::raw::{self, Packet};
use netshoot_wire::rtnl::{self, AF_INET, AF_INET6, NextHop, Route};
use std::collections::BTreeMap;
use std::net::IpAddr;

type Names = BTreeMap<u32, String>;

const MAIN: u32 = 254;
const LOCAL: u32 = 255;
/// `RTM_F_CLONED`
const CLONED: u32 = 0x200;
const UNICAST: u8 = 1;
/// `RTPROT_BOOT`
const BOOT: u8 = 3;

/// `RTPROT_*` in words.
const PROTOCOLS: &[(u8, &str)] = &[
    (0, "unspec"),
    (1, "redirect"),
    (2, "kernel"),
    (3, "boot"),
    (4, "static"),
    (8, "gated"),
    (9, "ra"),
    (10, "mrt"),
    (11, "zebra"),
    (12, "bird"),
    (13, "dnrouted"),
    (14, "xorp"),
    (15, "ntk"),
    (16, "dhcp"),
    (18, "keepalived"),
    (42, "babel"),
    (186, "bgp"),
    (187, "isis"),
    (188, "ospf"),
    (189, "rip"),
    (192, "eigrp"),
];
/// `RTAX_*` in words.
const METRICS: &[(u16, &str)] = &[
    (2, "mtu"),
    (3, "window"),
    (4, "rtt"),
    (5, "rttvar"),
    (6, "ssthresh"),
    (7, "cwnd"),
    (8, "advmss"),
    (9, "reordering"),
    (10, "hoplimit"),
    (11, "initcwnd"),
    (12, "features"),
    (13, "rto_min"),
    (14, "initrwnd"),
    (15, "quickack"),
];
/// `RTNH_F_*` in words.
const HOP_FLAGS: &[(u32, &str)] = &[
    (1, "dead"),
    (4, "onlink"),
    (2, "pervasive"),
    (8, "offload"),
    (16, "linkdown"),
    (32, "unresolved"),
    (64, "trap"),
];
/// `RTCF_*` in words, of a looked-up route of IPv4.
const CACHE_FLAGS: &[(u32, &str)] = &[
    (0x8000_0000, "local"),
    (0x4000_0000, "reject"),
    (0x2000_0000, "mcast"),
    (0x1000_0000, "brd"),
    (0x0800_0000, "dst-nat"),
    (0x0400_0000, "src-direct"),
    (0x0004_0000, "redirected"),
    (0x0001_0000, "notify"),
];

/// `ip route`
pub fn routes(words: &[String], options: &Options) -> Shown {
    if let Some(first) = words.first()
        && !first.is_empty()
        && "get".starts_with(first.as_str())
    {
        return get(words.get(1..).unwrap_or_default(), options);
    }
    let changing = [
        "add", "change", "chg", "replace", "prepend", "append", "test", "del", "flush", "save",
        "restore", "showdump",
    ];
    list(shows(words, "route", &changing)?, options)
}

/// How a prefix is compared.
enum Match {
    /// The same prefix.
    Exact(Option<(IpAddr, u8)>),
    /// Not shorter than it.
    Root(Option<(IpAddr, u8)>),
    /// Not longer than it.
    Covering(Option<(IpAddr, u8)>),
}

/// What is to be shown.
struct Wanted {
    /// 0 for all.
    table: u32,
    to: Vec<Match>,
    device: Option<u32>,
    via: Option<IpAddr>,
    source: Option<(IpAddr, u8)>,
    protocol: Option<u8>,
    scope: Option<u8>,
    kind: Option<u8>,
}

impl Wanted {
    fn take(words: &[String], family: u8, names: &Names) -> Result<Wanted, Refused> {
        let mut w = Wanted {
            table: MAIN,
            to: Vec::new(),
            device: None,
            via: None,
            source: None,
            protocol: None,
            scope: None,
            kind: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "table" => {
                    let word = value(&mut words)?;
                    let wrong = || wrong(word, "table id value is invalid");
                    w.table = match word {
                        "all" => 0,
                        word => table_number(word).ok_or_else(wrong)?,
                    };
                }
                "dev" | "oif" => w.device = Some(index(names, value(&mut words)?)?),
                "via" => w.via = prefix(value(&mut words)?, family)?.map(|p| p.0),
                "src" => w.source = prefix(value(&mut words)?, family)?,
                "proto" | "protocol" => {
                    let word = value(&mut words)?;
                    let known = PROTOCOLS.iter().find(|p| p.1 == word).map(|p| p.0);
                    let number = known.or(word.parse().ok());
                    w.protocol = Some(number.ok_or_else(|| wrong(word, "invalid \"protocol\""))?);
                }
                "scope" => {
                    let word = value(&mut words)?;
                    let found = (0..=255u8).find(|n| scope_word(*n, false) == word);
                    w.scope = Some(found.ok_or_else(|| wrong(word, "invalid \"scope\""))?);
                }
                "type" => {
                    let word = value(&mut words)?;
                    let found = (1..=10u8).find(|n| kind_word(*n) == word);
                    w.kind = Some(found.ok_or_else(|| wrong(word, "unknown type"))?);
                }
                "cache" => w.table = u32::MAX,
                word => w.prefix(word, &mut words, family)?,
            }
        }
        Ok(w)
    }

    fn prefix(
        &mut self,
        word: &str,
        words: &mut std::slice::Iter<'_, String>,
        family: u8,
    ) -> Result<(), Refused> {
        let word = if word == "to" { value(words)? } else { word };
        let kind = (1..=10u8).find(|n| kind_word(*n) == word);
        if let Some(kind) = kind {
            self.kind = Some(kind);
            return Ok(());
        }
        self.to.push(match word {
            "root" => Match::Root(prefix(value(words)?, family)?),
            "match" => Match::Covering(prefix(value(words)?, family)?),
            "exact" => Match::Exact(prefix(value(words)?, family)?),
            word => Match::Exact(prefix(word, family)?),
        });
        Ok(())
    }

    fn has(&self, r: &Route) -> bool {
        let own = r.to.map(|a| (a, r.header.prefix));
        let table = match self.table {
            0 => true,
            table => r.table == table,
        };
        // The ways of a multipath route are not looked at.
        let single = r.hops.first().filter(|_| r.hops.len() == 1);
        let hop = |test: &dyn Fn(&NextHop) -> bool| single.is_some_and(test);
        table
            && r.header.flags & CLONED == 0
            && self.device.is_none_or(|d| hop(&|h| h.index == d))
            && self.via.is_none_or(|v| hop(&|h| h.via == Some(v)))
            && self
                .source
                .is_none_or(|s| r.source.is_some_and(|own| within(own, s)))
            && self.protocol.is_none_or(|p| p == r.header.protocol)
            && self.scope.is_none_or(|s| s == r.header.scope)
            && self.kind.is_none_or(|k| k == r.header.kind)
            && self.to.iter().all(|m| match m {
                Match::Exact(to) => *to == own,
                Match::Root(None) | Match::Covering(None) if own.is_none() => true,
                Match::Root(None) => true,
                Match::Root(Some(to)) => own.is_some_and(|own| own.1 >= to.1 && within(own.0, *to)),
                Match::Covering(None) => false,
                Match::Covering(Some(to)) => {
                    own.is_none_or(|own| own.1 <= to.1 && within(to.0, own))
                }
            })
    }
}

fn wrong(word: &str, why: &str) -> Refused {
    Refused::new(255, format!("Error: argument \"{word}\" is wrong: {why}\n"))
}

/// Who made a route or a rule, in words.
pub fn protocol_word(protocol: u8, numeric: bool) -> String {
    let known = PROTOCOLS.iter().find(|p| p.0 == protocol && !numeric);
    known.map_or(protocol.to_string(), |p| p.1.to_string())
}

fn kind_word(kind: u8) -> &'static str {
    let mut route = Route::default();
    route.header.kind = kind;
    route.kind_word()
}

fn list(words: &[String], options: &Options) -> Shown {
    let links = raw::links()?;
    let names = names(&links);
    let wanted = Wanted::take(words, options.family, &names)?;
    let named = wanted.to.iter().find_map(|m| match m {
        Match::Exact(to) | Match::Root(to) | Match::Covering(to) => to.map(|t| rtnl::family(t.0)),
    });
    let families: &[u8] = match (options.family, named) {
        (AF_INET6, _) | (0, Some(AF_INET6)) => &[AF_INET6],
        (0, None) if wanted.table == 0 => &[AF_INET, AF_INET6],
        _ => &[AF_INET],
    };
    let mut shown = Vec::new();
    for family in families {
        let all = raw::routes(*family)?;
        // The kernel knows no empty table.
        let fixed = [0, 253, MAIN, LOCAL, u32::MAX].contains(&wanted.table);
        if !fixed && !all.iter().any(|r| r.table == wanted.table) {
            let family = if *family == AF_INET { "ipv4" } else { "ipv6" };
            let said = format!("Error: {family}: FIB table does not exist.\nDump terminated");
            return Err(Refused::new(2, said));
        }
        let all = all.iter().filter(|r| wanted.has(r));
        shown.extend(all.map(|r| one(r, &names, Some(&wanted), options)));
    }
    Ok(shown)
}

/// `ip route get`
fn get(words: &[String], options: &Options) -> Shown {
    let links = raw::links()?;
    let names = names(&links);
    let mut packet = Packet::default();
    let mut words = words.iter();
    let mut family = options.family;
    while let Some(word) = words.next() {
        match word.as_str() {
            "from" => packet.from = prefix(value(&mut words)?, family)?.map(|p| p.0),
            "iif" => packet.incoming = index(&names, value(&mut words)?)?,
            "oif" | "dev" => packet.outgoing = index(&names, value(&mut words)?)?,
            "mark" => {
                let word = value(&mut words)?;
                let hex = word.strip_prefix("0x").map(|h| u32::from_str_radix(h, 16));
                let number = hex.unwrap_or_else(|| word.parse());
                packet.mark = number.map_err(|_| wrong(word, "invalid mark"))?;
            }
            "fibmatch" => packet.matching = true,
            "connected" | "notify" => {}
            word => {
                let word = if word == "to" {
                    value(&mut words)?
                } else {
                    word
                };
                packet.to = prefix(word, family)?;
                family = packet.to.map_or(family, |p| rtnl::family(p.0));
            }
        }
    }
    if packet.to.is_none() {
        return Err(Refused::new(1, "need at least a destination address"));
    }
    let found = raw::route_of(&packet)?;
    Ok(found
        .iter()
        .map(|r| one(r, &names, None, options))
        .collect())
}

/// One route; `wanted` leaves out what all that are shown have in common.
fn one(route: &Route, names: &Names, wanted: Option<&Wanted>, options: &Options) -> Record {
    let mut r = Record::default();
    let h = &route.header;
    let v6 = h.family == AF_INET6;
    let details = options.details;
    if h.kind != UNICAST || details {
        let word = route.kind_word();
        r.both("type", word, format!("{word} "));
    }
    let most = if v6 { 128 } else { 32 };
    let to = match route.to {
        Some(to) if h.prefix == most => to.to_string(),
        Some(to) => format!("{to}/{}", h.prefix),
        None if h.prefix > 0 => format!("0/{}", h.prefix),
        None => "default".into(),
    };
    r.both("dst", to.as_str(), format!("{to} "));
    if let Some((from, bits)) = route.from {
        let from = match bits == most {
            true => from.to_string(),
            false => format!("{from}/{bits}"),
        };
        r.both("from", from.as_str(), format!("from {from} "));
    }
    if let Some(id) = route.nexthop {
        r.both("nhid", id, format!("nhid {id} "));
    }
    let several = route.hops.len() > 1;
    if let Some(hop) = route.hops.first().filter(|_| !several) {
        if wanted.is_none_or(|w| w.via.is_none()) {
            via(&mut r, hop, v6);
        }
        if hop.index != 0 && wanted.is_none_or(|w| w.device.is_none()) {
            let device = name(names, hop.index);
            r.both("dev", device.as_str(), format!("dev {device} "));
        }
    }
    about(&mut r, route, wanted, options);
    let none = NextHop::default();
    let hop = route.hops.first().filter(|_| !several).unwrap_or(&none);
    flags(
        &mut r,
        if several {
            0
        } else {
            hop.flags | h.flags & 0xff
        },
    );
    if let Some(uid) = route.uid {
        r.both("uid", uid, format!("uid {uid} "));
    }
    cached(&mut r, route, v6);
    metrics(&mut r, route);
    if route.incoming != 0 {
        let device = name(names, route.incoming);
        r.both("iif", device.as_str(), format!("iif {device} "));
    }
    if several {
        hops(&mut r, route, names, v6);
    }
    if let Some(preference) = route.preference {
        let word = match preference {
            1 => "high",
            3 => "low",
            _ => "medium",
        };
        r.both("pref", word, format!("pref {word}"));
    }
    r
}

/// Table, protocol, scope, source, metric.
fn about(r: &mut Record, route: &Route, wanted: Option<&Wanted>, options: &Options) {
    let h = &route.header;
    let details = options.details;
    let one_table = wanted.is_some_and(|w| w.table != 0);
    if !one_table && (route.table != MAIN || details) {
        let table = table_word(route.table, options.numeric);
        r.both("table", table.as_str(), format!("table {table} "));
    }
    let cloned = h.flags & CLONED != 0;
    if !cloned || details {
        if (h.protocol != BOOT || details) && wanted.is_none_or(|w| w.protocol.is_none()) {
            let word = protocol_word(h.protocol, options.numeric);
            r.both("protocol", word.as_str(), format!("proto {word} "));
        }
        if (h.scope != 0 || details) && wanted.is_none_or(|w| w.scope.is_none()) {
            let word = scope_word(h.scope, options.numeric);
            r.both("scope", word.as_str(), format!("scope {word} "));
        }
    }
    // Whoever asks for one source address knows it.
    let asked = |source: IpAddr| {
        let most = if source.is_ipv4() { 32 } else { 128 };
        wanted.is_some_and(|w| w.source == Some((source, most)))
    };
    if let Some(source) = route.source.filter(|s| !asked(*s)) {
        r.both("prefsrc", source.to_string(), format!("src {source} "));
    }
    if route.priority != 0 || h.family == AF_INET6 {
        r.both(
            "metric",
            route.priority,
            format!("metric {} ", route.priority),
        );
    }
}

fn via(r: &mut Record, hop: &NextHop, v6: bool) {
    let Some(gateway) = hop.via else {
        return;
    };
    let text = gateway.to_string();
    if gateway.is_ipv6() == v6 {
        r.both("gateway", text.as_str(), format!("via {text} "));
    } else {
        let family = if gateway.is_ipv6() { "inet6" } else { "inet" };
        let both = vec![
            ("family", Json::from(family)),
            ("host", Json::from(text.as_str())),
        ];
        r.both("via", Json::Object(both), format!("via {family} {text} "));
    }
}

fn flags(r: &mut Record, flags: u32) {
    let words = HOP_FLAGS.iter().filter(|f| flags & f.0 != 0);
    let words: Vec<&str> = words.map(|f| f.1).collect();
    for word in &words {
        r.text(format!("{word} "));
    }
    r.fields.push((
        "flags",
        Json::List(words.into_iter().map(Json::from).collect()),
    ));
}

/// What a looked-up route of IPv4 says of its cache entry; of IPv6, when it goes.
fn cached(r: &mut Record, route: &Route, v6: bool) {
    let (expires, error) = route.expires;
    if !v6 && route.header.flags & CLONED != 0 {
        let words = CACHE_FLAGS.iter().filter(|f| route.header.flags & f.0 != 0);
        let words: Vec<&str> = words.map(|f| f.1).collect();
        r.text("\n    cache ");
        if !words.is_empty() {
            r.text(format!("<{}> ", words.join(",")));
        }
        r.fields.push((
            "cache",
            Json::List(words.into_iter().map(Json::from).collect()),
        ));
    }
    if expires != 0 {
        let seconds = i64::from(expires) / 100;
        r.both(
            "expires",
            Json::Number(seconds),
            format!("expires {seconds}sec "),
        );
    }
    if v6 && error != 0 {
        let error = i64::from(i32::from_ne_bytes(error.to_ne_bytes()));
        r.both("error", Json::Number(error), format!("error {error} "));
    }
}

fn metrics(r: &mut Record, route: &Route) {
    let mut fields = Vec::new();
    for (kind, value) in &route.metrics {
        let Some((_, word)) = METRICS.iter().find(|m| m.0 == *kind) else {
            continue;
        };
        r.text(format!("{word} {value} "));
        fields.push((*word, Json::from(*value)));
    }
    if !fields.is_empty() {
        r.fields
            .push(("metrics", Json::List(vec![Json::Object(fields)])));
    }
}

fn hops(r: &mut Record, route: &Route, names: &Names, v6: bool) {
    let mut list = Vec::new();
    for hop in &route.hops {
        let mut one = Record::default();
        one.text("\n\tnexthop ");
        via(&mut one, hop, v6);
        if hop.index != 0 {
            let device = name(names, hop.index);
            one.both("dev", device.as_str(), format!("dev {device} "));
        }
        one.both("weight", hop.weight, format!("weight {} ", hop.weight));
        flags(&mut one, hop.flags);
        r.text(&one.text);
        list.push(Json::Object(one.fields));
    }
    r.fields.push(("nexthops", Json::List(list)));
}
