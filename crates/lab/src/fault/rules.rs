//! Firewall rules as an administrator, or Docker, leaves them on a node.

use crate::Error;
use crate::ground::address::{Cidr, bits};
use crate::ground::cable::hook;
use netshoot_host::nft::Batch;
use netshoot_wire::nft::build::End;
use netshoot_wire::nft::{Chain, Family, Rule};

/// One dropping rule.
pub(super) struct Firewall<'a> {
    pub hook: &'a str,
    pub protocol: &'a str,
    pub port: u16,
}

/// Adds it to table `inet firewall` of the calling thread's namespace.
pub(super) fn firewall(wanted: &Firewall<'_>) -> Result<(), Error> {
    if !["input", "forward", "output"].contains(&wanted.hook) {
        return Err(Error::Absent {
            what: format!("hook {} (input, forward, output)", wanted.hook),
        });
    }
    let protocols: &[i32] = match (wanted.protocol, wanted.port) {
        ("udp", _) => &[libc::IPPROTO_UDP],
        ("tcp", _) => &[libc::IPPROTO_TCP],
        ("", 0) => &[],
        // A port of any protocol that has one.
        ("", _) => &[libc::IPPROTO_TCP, libc::IPPROTO_UDP],
        (other, _) => {
            return Err(Error::Absent {
                what: format!("protocol {other} (tcp, udp)"),
            });
        }
    };
    let matching = |protocol: &i32| {
        let rule = Rule::new().protocol(*protocol as u8);
        if wanted.port > 0 {
            rule.port(End::Destination, wanted.port)
        } else {
            rule
        }
    };
    let mut rules: Vec<Rule> = protocols.iter().map(matching).collect();
    if rules.is_empty() {
        rules.push(Rule::new());
    }
    let chain = Chain {
        name: wanted.hook.into(),
        hook: Some(hook("filter", wanted.hook, 0)),
        ..Chain::default()
    };
    let (family, table) = (Family::Inet, "firewall");
    let mut batch = Batch::new();
    batch
        .add_table(family, table, "")
        .add_chain(family, table, &chain);
    for rule in rules {
        batch.add_rule(family, table, wanted.hook, &rule.counter().drop());
    }
    Ok(batch.apply()?)
}

/// Sets the policy of FORWARD in `ip filter` and `ip6 filter`; traffic between the two prefixes
/// of an `accept` entry (`A B`, or `A` for from and to A) keeps a rule.
pub(super) fn forward_policy(drop: bool, accept: &[String]) -> Result<(), Error> {
    let allowed: Vec<(Cidr, Cidr)> = accept
        .iter()
        .map(|text| pairs(text))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    let mut batch = Batch::new();
    for (family, v4) in [(Family::Ip, true), (Family::Ip6, false)] {
        let chain = Chain {
            name: "FORWARD".into(),
            hook: Some(netshoot_wire::nft::Hook {
                policy_drop: drop,
                ..hook("filter", "forward", 0)
            }),
            ..Chain::default()
        };
        batch
            .add_table(family, "filter", "")
            .add_chain(family, "filter", &chain);
        for (from, to) in allowed
            .iter()
            .filter(|(from, _)| from.address.is_ipv4() == v4)
        {
            let part = |rule: Rule, end, c: &Cidr| {
                if c.prefix == 0 {
                    rule
                } else {
                    rule.network(end, true, c.network(), c.prefix)
                }
            };
            let rule = part(part(Rule::new(), End::Source, from), End::Destination, to)
                .counter()
                .accept();
            batch.add_rule(family, "filter", "FORWARD", &rule);
        }
    }
    Ok(batch.apply()?)
}

/// From and to of the rules that an entry stands for.
fn pairs(text: &str) -> Result<Vec<(Cidr, Cidr)>, Error> {
    let wrong = || Error::Absent {
        what: format!("accept entry {text:?} is not a prefix or two"),
    };
    let read = |t: &str| {
        Cidr::parse(t)
            .or_else(|| {
                t.parse().ok().map(|ip| Cidr {
                    address: ip,
                    prefix: bits(ip),
                })
            })
            .ok_or_else(wrong)
    };
    let parts: Vec<Cidr> = text
        .split([' ', ','])
        .filter(|p| !p.is_empty())
        .map(read)
        .collect::<Result<_, _>>()?;
    match parts.as_slice() {
        [one] => {
            let any = Cidr {
                address: one.address,
                prefix: 0,
            };
            Ok(vec![(*one, any), (any, *one)])
        }
        [a, b] if a.address.is_ipv4() == b.address.is_ipv4() => Ok(vec![(*a, *b), (*b, *a)]),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netshoot_host::netns::NetNs;
    use netshoot_host::nft::dump;

    fn in_new_network(work: impl FnOnce() + Send) {
        NetNs::new().unwrap().enter(work).unwrap();
    }

    #[test]
    fn an_administrators_rules_add_up() {
        in_new_network(|| {
            let all = [
                ("input", "udp", 8472, 1),
                ("input", "", 80, 3),
                ("forward", "", 0, 1),
                ("output", "tcp", 0, 1),
            ];
            for (hook, protocol, port, rules) in all {
                firewall(&Firewall {
                    hook,
                    protocol,
                    port,
                })
                .unwrap();
                let tables = dump().unwrap();
                let chain = tables[0].chains.iter().find(|c| c.name == hook).unwrap();
                assert_eq!(
                    (tables[0].name.as_str(), chain.rules.len()),
                    ("firewall", rules),
                    "{hook} {protocol} {port}"
                );
            }
            for (hook, protocol) in [("sideways", ""), ("input", "sctp")] {
                assert!(
                    firewall(&Firewall {
                        hook,
                        protocol,
                        port: 1
                    })
                    .is_err()
                );
            }
        });
    }

    #[test]
    fn the_forward_policy_changes_and_keeps_its_rules() {
        in_new_network(|| {
            let accept = [
                "10.244.0.0/16".to_string(),
                "fd44::/32 fd90::/64".to_string(),
            ];
            forward_policy(true, &accept).unwrap();
            forward_policy(false, &[]).unwrap();
            forward_policy(true, &[]).unwrap();
            for table in dump().unwrap() {
                let [chain] = table.chains.as_slice() else {
                    panic!("{table:?}")
                };
                assert!(chain.hook.as_ref().unwrap().policy_drop);
                assert_eq!(
                    (chain.name.as_str(), chain.rules.len()),
                    ("FORWARD", 2),
                    "{:?}",
                    table.family
                );
            }
            for bad in ["", "x", "10.0.0.0/8 fd00::/8", "1.1.1.1 2.2.2.2 3.3.3.3"] {
                assert!(forward_policy(true, &[bad.to_string()]).is_err(), "{bad}");
            }
        });
    }

    #[test]
    fn damaged_entries_are_refused_or_go_both_ways() {
        let seeds = ["10.244.0.0/16", "10.0.0.1, 10.0.0.2/32", "fd00::/8 fd01::1"];
        netshoot_wire::fuzz::texts(&seeds, 20_000, |text| {
            for (from, to) in pairs(text).unwrap_or_default() {
                assert_eq!(from.address.is_ipv4(), to.address.is_ipv4(), "{text:?}");
                assert!(pairs(text).unwrap().contains(&(to, from)), "{text:?}");
            }
        });
    }
}
