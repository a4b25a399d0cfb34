//! The words of built-in commands, read as their tools read them.

use crate::ground::address::{Cidr, bits};
use netshoot_wire::nft::Family;
use std::net::IpAddr;

/// A command that needs no tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    /// `sysctl [-w] NAME[=VALUE] ...`
    Sysctls {
        set: Vec<(String, Option<String>)>,
        only_value: bool,
    },
    /// `ip link set NAME [up|down] [mtu N] [master B|nomaster]`; an empty master takes it out.
    Link {
        name: String,
        up: Option<bool>,
        mtu: Option<u32>,
        master: Option<String>,
    },
    /// `bridge link set dev NAME hairpin on|off`
    Hairpin { name: String, on: bool },
    /// `ip route add|replace|del TO [via ROUTER] [dev LINK]`
    Route {
        add: bool,
        replace: bool,
        to: Cidr,
        via: Option<IpAddr>,
        dev: Option<String>,
    },
    /// `nft chain FAMILY TABLE CHAIN { policy accept ; }`, `iptables -P CHAIN ACCEPT`
    Policy {
        family: Family,
        table: String,
        chain: String,
        drop: bool,
    },
    /// `nft delete rule FAMILY TABLE CHAIN handle N`
    DeleteRule {
        family: Family,
        table: String,
        chain: String,
        handle: u64,
    },
    /// `nft delete table FAMILY TABLE`
    DeleteTable { family: Family, table: String },
}

/// The built-in command of these words; none for words (or tools) that are not built in.
pub(super) fn parse(argv: &[String]) -> Option<Builtin> {
    let (tool, rest) = argv.split_first()?;
    let tool = tool.rsplit('/').next()?;
    // A remedy's `{ policy accept ; }` may come as one word or as several.
    let words: Vec<&str> = rest.iter().flat_map(|w| w.split_whitespace()).collect();
    match tool {
        "sysctl" => sysctl(&words),
        "ip" => ip(&words),
        "bridge" => bridge(&words),
        "nft" => nft(&words),
        "iptables" => iptables(&words, Family::Ip),
        "ip6tables" => iptables(&words, Family::Ip6),
        _ => None,
    }
}

fn sysctl(words: &[&str]) -> Option<Builtin> {
    let (options, names): (Vec<&str>, Vec<&str>) = words.iter().partition(|w| w.starts_with('-'));
    if !options
        .iter()
        .all(|o| matches!(*o, "-w" | "-n" | "-q" | "--write" | "--values"))
        || names.is_empty()
    {
        return None;
    }
    let one = |w: &&str| match w.split_once('=') {
        Some((name, value)) => (name.to_string(), Some(value.to_string())),
        None => (w.to_string(), None),
    };
    let only_value = options.iter().any(|o| matches!(*o, "-n" | "--values"));
    Some(Builtin::Sysctls {
        set: names.iter().map(one).collect(),
        only_value,
    })
}

fn ip(words: &[&str]) -> Option<Builtin> {
    let (v6, words) = match words {
        ["-6", rest @ ..] => (true, rest),
        ["-4", rest @ ..] => (false, rest),
        all => (false, all),
    };
    match words {
        ["link" | "l", "set", "dev", name, rest @ ..] | ["link" | "l", "set", name, rest @ ..] => {
            link(name, rest)
        }
        [
            "route" | "r",
            verb @ ("add" | "replace" | "del" | "delete"),
            to,
            rest @ ..,
        ] => route(verb, to, rest, v6),
        _ => None,
    }
}

fn link(name: &str, words: &[&str]) -> Option<Builtin> {
    let (mut up, mut mtu, mut master) = (None, None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "up" => up = Some(true),
            "down" => up = Some(false),
            "nomaster" => master = Some(String::new()),
            "mtu" => mtu = Some(words.next()?.parse().ok()?),
            "master" => master = Some(words.next()?.to_string()),
            _ => return None,
        }
    }
    Some(Builtin::Link {
        name: name.into(),
        up,
        mtu,
        master,
    })
}

fn route(verb: &str, to: &str, words: &[&str], v6: bool) -> Option<Builtin> {
    let (mut via, mut dev) = (None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "via" => via = Some(words.next()?.parse::<IpAddr>().ok()?),
            "dev" => dev = Some(words.next()?.to_string()),
            "onlink" => {}
            _ => return None,
        }
    }
    let to = match to {
        "default" if v6 || via.is_some_and(|v| v.is_ipv6()) => Cidr::parse("::/0"),
        "default" => Cidr::parse("0.0.0.0/0"),
        text => Cidr::parse(text).or_else(|| {
            text.parse().ok().map(|ip| Cidr {
                address: ip,
                prefix: bits(ip),
            })
        }),
    }?;
    let (add, replace) = (!verb.starts_with("del"), verb == "replace");
    Some(Builtin::Route {
        add,
        replace,
        to,
        via,
        dev,
    })
}

fn bridge(words: &[&str]) -> Option<Builtin> {
    match words {
        [
            "link",
            "set",
            "dev",
            name,
            "hairpin",
            state @ ("on" | "off"),
        ] => Some(Builtin::Hairpin {
            name: name.to_string(),
            on: *state == "on",
        }),
        _ => None,
    }
}

fn family(word: &str) -> Option<Family> {
    [
        Family::Ip,
        Family::Ip6,
        Family::Inet,
        Family::Bridge,
        Family::Arp,
        Family::Netdev,
    ]
    .into_iter()
    .find(|f| f.name() == word)
}

fn nft(words: &[&str]) -> Option<Builtin> {
    match words {
        ["delete", "rule", f, table, chain, "handle", handle] => Some(Builtin::DeleteRule {
            family: family(f)?,
            table: table.to_string(),
            chain: chain.to_string(),
            handle: handle.parse().ok()?,
        }),
        ["delete", "table", f, table] => Some(Builtin::DeleteTable {
            family: family(f)?,
            table: table.to_string(),
        }),
        ["chain", f, table, chain, rest @ ..] | ["add", "chain", f, table, chain, rest @ ..] => {
            let inside = rest.join(" ").replace([';', '{', '}'], " ");
            let policy = match inside.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["policy", "accept"] => false,
                ["policy", "drop"] => true,
                _ => return None,
            };
            Some(Builtin::Policy {
                family: family(f)?,
                table: table.to_string(),
                chain: chain.to_string(),
                drop: policy,
            })
        }
        _ => None,
    }
}

fn iptables(words: &[&str], family: Family) -> Option<Builtin> {
    let words: Vec<&str> = words
        .iter()
        .copied()
        .filter(|w| !matches!(*w, "-w" | "--wait"))
        .collect();
    let (table, words) = match words.as_slice() {
        ["-t", table, rest @ ..] => (*table, rest),
        all => ("filter", all),
    };
    match words {
        ["-P" | "--policy", chain, target @ ("ACCEPT" | "DROP")] => Some(Builtin::Policy {
            family,
            table: table.into(),
            chain: chain.to_string(),
            drop: *target == "DROP",
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(String::from).collect()
    }

    #[test]
    fn reads_what_remedies_say() {
        let link = |up, mtu, master: Option<&str>| Builtin::Link {
            name: "cni0".into(),
            up,
            mtu,
            master: master.map(String::from),
        };
        let policy = |family, table: &str, drop| Builtin::Policy {
            family,
            table: table.into(),
            chain: "FORWARD".into(),
            drop,
        };
        let route = |add, replace, to: &str, via: Option<&str>, dev: Option<&str>| Builtin::Route {
            add,
            replace,
            to: Cidr::parse(to).unwrap(),
            via: via.map(|v| v.parse().unwrap()),
            dev: dev.map(String::from),
        };
        let set = |name: &str, value: Option<&str>, only_value| Builtin::Sysctls {
            set: vec![(name.into(), value.map(String::from))],
            only_value,
        };
        let cases = [
            (
                "sysctl -w net.ipv4.ip_forward=1",
                Some(set("net.ipv4.ip_forward", Some("1"), false)),
            ),
            (
                "/sbin/sysctl -n net.ipv4.ip_forward",
                Some(set("net.ipv4.ip_forward", None, true)),
            ),
            ("sysctl -p", None),
            ("sysctl", None),
            ("ip link set cni0 up", Some(link(Some(true), None, None))),
            (
                "ip link set dev cni0 down mtu 1400",
                Some(link(Some(false), Some(1400), None)),
            ),
            (
                "ip link set cni0 master br",
                Some(link(None, None, Some("br"))),
            ),
            (
                "ip link set cni0 nomaster",
                Some(link(None, None, Some(""))),
            ),
            ("ip link set cni0 mtu", None),
            ("ip link show", None),
            (
                "ip route add 10.244.2.0/24 via 10.90.0.12 dev eth0",
                Some(route(
                    true,
                    false,
                    "10.244.2.0/24",
                    Some("10.90.0.12"),
                    Some("eth0"),
                )),
            ),
            (
                "ip -6 route replace default via fe80::1 dev eth0",
                Some(route(true, true, "::/0", Some("fe80::1"), Some("eth0"))),
            ),
            (
                "ip route del 10.0.0.1",
                Some(route(false, false, "10.0.0.1/32", None, None)),
            ),
            ("ip route add nonsense", None),
            (
                "bridge link set dev veth1 hairpin on",
                Some(Builtin::Hairpin {
                    name: "veth1".into(),
                    on: true,
                }),
            ),
            (
                "nft chain ip filter FORWARD { policy accept ; }",
                Some(policy(Family::Ip, "filter", false)),
            ),
            (
                "nft chain ip6 filter FORWARD {policy drop;}",
                Some(policy(Family::Ip6, "filter", true)),
            ),
            (
                "nft add chain ip filter FORWARD { type filter hook forward priority 0 ; }",
                None,
            ),
            (
                "nft delete rule inet firewall input handle 7",
                Some(Builtin::DeleteRule {
                    family: Family::Inet,
                    table: "firewall".into(),
                    chain: "input".into(),
                    handle: 7,
                }),
            ),
            ("nft delete rule inet firewall input handle x", None),
            (
                "nft delete table inet firewall",
                Some(Builtin::DeleteTable {
                    family: Family::Inet,
                    table: "firewall".into(),
                }),
            ),
            ("nft list ruleset", None),
            (
                "iptables -P FORWARD ACCEPT",
                Some(policy(Family::Ip, "filter", false)),
            ),
            (
                "ip6tables -w -t filter -P FORWARD DROP",
                Some(policy(Family::Ip6, "filter", true)),
            ),
            ("iptables -L", None),
            ("reboot", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(&words(text)), expected, "{text}");
        }
        assert_eq!(parse(&[]), None);
    }

    #[test]
    fn damaged_words_mean_the_same_in_one_piece_and_in_several() {
        let seeds = [
            "sysctl -w net.ipv4.ip_forward=1",
            "ip link set dev cni0 mtu 1450 up",
            "ip -6 route replace fd00::/64 via fd90::2 dev eth0",
            "bridge link set dev v1 hairpin on",
            "nft chain inet t c { policy accept ; }",
            "nft delete rule ip t c handle 7",
            "iptables -P FORWARD ACCEPT",
        ];
        let mut read = 0;
        netshoot_wire::fuzz::texts(&seeds, 20_000, |text| {
            let (tool, rest) = text.split_once(' ').unwrap_or((text, ""));
            let pieces = rest.split_whitespace().map(String::from);
            let several: Vec<String> = std::iter::once(tool.to_string()).chain(pieces).collect();
            let found = parse(&several);
            read += usize::from(found.is_some());
            assert_eq!(found, parse(&[tool.into(), rest.into()]), "{text:?}");
        });
        assert!(read > 1000, "{read}");
    }
}
