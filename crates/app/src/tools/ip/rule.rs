//! `ip rule`.

use super::record::Record;
use super::route::protocol_word;
use super::{Options, Refused, Shown, prefix, table_number, table_word, value};
use netshoot_host::link::raw;
use netshoot_wire::rtnl::{AF_INET, AF_INET6, Rule};
use std::net::IpAddr;

/// `FR_ACT_TO_TBL`
const TO_TABLE: u8 = 1;

/// `ip rule show`
pub fn rules(words: &[String], options: &Options) -> Shown {
    let family = match options.family {
        AF_INET6 => AF_INET6,
        _ => AF_INET,
    };
    let (mut table, mut priority, mut from) = (None, None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "table" | "lookup" => {
                let word = value(&mut words)?;
                let wrong = || {
                    let said = format!("Error: argument \"{word}\" is wrong: invalid table id\n");
                    Refused::new(255, said)
                };
                table = Some(table_number(word).ok_or_else(wrong)?);
            }
            "pref" | "preference" | "priority" | "order" => {
                priority = value(&mut words)?.parse::<u32>().ok();
            }
            word => {
                let word = if word == "from" {
                    value(&mut words)?
                } else {
                    word
                };
                from = prefix(word, family)?;
            }
        }
    }
    let links = raw::links()?;
    let here = |name: &str| links.iter().any(|l| l.name == name);
    let all = raw::rules(family)?.into_iter().filter(|r| {
        table.is_none_or(|t| t == r.table)
            && (from.is_none() || from == r.from)
            && priority.is_none_or(|p| p == r.priority)
    });
    Ok(all.map(|r| one(&r, &here, options)).collect())
}

fn ends(r: &mut Record, word: &str, keys: [&'static str; 2], prefix: Option<(IpAddr, u8)>) {
    let Some((address, bits)) = prefix else {
        return;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    r.field(keys[0], address.to_string());
    r.text(format!(" {word} {address}"));
    if bits != most {
        r.both(keys[1], u32::from(bits), format!("/{bits}"));
    }
}

fn one(rule: &Rule, here: &dyn Fn(&str) -> bool, options: &Options) -> Record {
    let mut r = Record::default();
    r.both("priority", rule.priority, format!("{}:\t", rule.priority));
    if rule.inverted {
        r.both("not", super::Json::Null, "not ");
    }
    match rule.from {
        None => r.both("src", "all", "from all"),
        Some(_) => {
            ends(&mut r, "from", ["src", "srclen"], rule.from);
            r.text = r.text.replacen("\t ", "\t", 1).replacen("not  ", "not ", 1);
            &mut r
        }
    };
    ends(&mut r, "to", ["dst", "dstlen"], rule.to);
    if rule.tos != 0 {
        let tos = format!("{:#x}", rule.tos);
        r.both("tos", tos.as_str(), format!(" tos {tos}"));
    }
    if let Some((mark, mask)) = rule.mark {
        r.both("fwmark", format!("{mark:#x}"), format!(" fwmark {mark:#x}"));
        if mask != u32::MAX {
            r.both("fwmask", format!("{mask:#x}"), format!("/{mask:#x}"));
        }
    }
    let links = [
        ("iif", "iif_detached", &rule.incoming),
        ("oif", "oif_detached", &rule.outgoing),
    ];
    for (key, detached, name) in links {
        if !name.is_empty() {
            r.both(key, name.as_str(), format!(" {key} {name}"));
            if !here(name) {
                r.both(detached, super::Json::Null, " [detached]");
            }
        }
    }
    if let Some((first, last)) = rule.users {
        r.text(format!(" uidrange {first}-{last}"));
        r.field("uid_start", first).field("uid_end", last);
    }
    if let Some(protocol) = rule.protocol {
        let word = match protocol {
            1 => "icmp".to_string(),
            6 => "tcp".to_string(),
            17 => "udp".to_string(),
            58 => "ipv6-icmp".to_string(),
            n => format!("ipproto-{n}"),
        };
        r.both("ipproto", word.as_str(), format!(" ipproto {word}"));
    }
    let ports = [
        ("sport", ["sport_start", "sport_end"], rule.source_ports),
        (
            "dport",
            ["dport_start", "dport_end"],
            rule.destination_ports,
        ),
    ];
    for (key, keys, ports) in ports {
        match ports {
            Some((a, b)) if a == b => {
                r.both(key, u32::from(a), format!(" {key} {a}"));
            }
            Some((a, b)) => {
                r.text(format!(" {key} {a}-{b}"));
                r.field(keys[0], u32::from(a)).field(keys[1], u32::from(b));
            }
            None => {}
        }
    }
    action(&mut r, rule, options);
    if options.details
        && let Some(protocol) = rule.made_by
    {
        let word = protocol_word(protocol, options.numeric);
        r.both("protocol", word.as_str(), format!(" proto {word}"));
    }
    r
}

fn action(r: &mut Record, rule: &Rule, options: &Options) {
    match rule.action {
        TO_TABLE => {
            let table = table_word(rule.table, options.numeric);
            r.both("table", table.as_str(), format!(" lookup {table}"));
            if let Some(bits) = rule.suppress_prefix {
                r.both(
                    "suppress_prefixlen",
                    bits,
                    format!(" suppress_prefixlength {bits}"),
                );
            }
        }
        2 => {
            r.both("goto", rule.goto, format!(" goto {}", rule.goto));
        }
        other => {
            let word = match other {
                3 => "nop",
                6 => "blackhole",
                7 => "unreachable",
                8 => "prohibit",
                _ => "unknown",
            };
            r.both("action", word, format!(" {word}"));
        }
    }
}
