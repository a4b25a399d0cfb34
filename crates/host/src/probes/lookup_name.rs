use super::{Need, Place, Runs, could_not_ask, gap, not_mine};
use crate::{dns, resolv};
use netshoot_model::probe::{Answer, Question, kinds};
use std::net::IpAddr;

/// A resolver library's walk; the function is [`dns::lookup`].
pub const PROBE: Runs = Runs {
    kind: &kinds::lookup_name::KIND,
    run,
};

fn run(question: &Question, place: &Place) -> Answer {
    let Question::Lookup { name, timeout_ms } = question else {
        return not_mine(question);
    };
    let text = match &place.resolv_conf {
        Some(text) => text.clone(),
        None => match std::fs::read_to_string("/etc/resolv.conf") {
            Ok(text) => text,
            // A resolver library takes an absent file for an empty one.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return could_not_ask(format!("read /etc/resolv.conf: {e}")),
        },
    };
    // A place with a resolv.conf of its own has a hosts file of its own, which is not at hand.
    let known = match &place.resolv_conf {
        Some(_) => Vec::new(),
        None => in_hosts(
            name,
            &std::fs::read_to_string("/etc/hosts").unwrap_or_default(),
        ),
    };
    if !known.is_empty() {
        return Answer::Lookup {
            queries: Vec::new(),
            addresses: known,
        };
    }
    match dns::lookup(name, &resolv::parse(&text), *timeout_ms) {
        Ok((queries, addresses)) => Answer::Lookup { queries, addresses },
        Err(e) => gap(&e, Need::None),
    }
}

/// Addresses that a hosts(5) file gives a name, IPv4 first as resolvers ask.
fn in_hosts(name: &str, text: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let mut found: Vec<IpAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|w| w.eq_ignore_ascii_case(name))
                .then_some(address)
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::super::resolve_name::tests::serve_udp;
    use super::*;
    use crate::testground::alone;
    use netshoot_model::probe::{DnsReply, Outcome};
    use netshoot_wire::dns::{Data, Record, rcode, rtype};
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    #[test]
    fn a_hosts_file_knows_names_without_asking() {
        let text = "127.0.0.1 localhost\n::1 localhost ip6\n# 10.0.0.1 box\n10.0.0.2\tbox Box.Example # old\nnonsense box\n";
        for (name, found) in [
            ("localhost", "127.0.0.1 ::1"),
            ("box.example.", "10.0.0.2"),
            ("old", ""),
            ("", ""),
        ] {
            let got: Vec<String> = in_hosts(name, text).iter().map(|a| a.to_string()).collect();
            assert_eq!(got.join(" "), found, "{name}");
        }
    }

    /// Looks `name` up at servers that know `web.shop.cluster.local`, with both families.
    fn lookup(name: &str, conf: &str, servers: &[&str]) -> (Vec<DnsReply>, Vec<IpAddr>) {
        for server in servers {
            serve_udp(UdpSocket::bind(server).unwrap(), 100, |q| {
                let asked = q.questions.first()?;
                let known = asked.name == "web.shop.cluster.local";
                let mut reply = q.reply(if known {
                    rcode::NOERROR
                } else {
                    rcode::NXDOMAIN
                });
                match asked.rtype {
                    _ if !known => {}
                    rtype::A => {
                        reply.answers =
                            vec![Record::new(&*asked.name, 5, Data::A([10, 0, 0, 1].into()))]
                    }
                    _ => {
                        reply.answers =
                            vec![Record::new(&*asked.name, 5, Data::Aaaa([0xfd; 16].into()))]
                    }
                }
                reply.encode().ok()
            });
        }
        let question = Question::Lookup {
            name: name.into(),
            timeout_ms: 300,
        };
        match run(
            &question,
            &Place {
                resolv_conf: Some(conf.into()),
            },
        ) {
            Answer::Lookup { queries, addresses } => (queries, addresses),
            other => panic!("{other:?}"),
        }
    }

    fn names(queries: &[DnsReply]) -> Vec<String> {
        queries
            .iter()
            .map(|q| format!("{} {}", q.name, q.record))
            .collect()
    }

    #[test]
    fn the_search_list_is_walked() {
        for server in ["127.0.0.1", "::1"] {
            alone(|| {
                let conf = format!(
                    "search x.cluster.local cluster.local\nnameserver {server}\noptions ndots:5\n"
                );
                let at = if server == "::1" {
                    "[::1]:53"
                } else {
                    "127.0.0.1:53"
                };
                let (queries, addresses) = lookup("web.shop", &conf, &[at]);
                let asked = ["web.shop.x.cluster.local", "web.shop.cluster.local"];
                let asked: Vec<String> = asked
                    .iter()
                    .flat_map(|n| [format!("{n} A"), format!("{n} AAAA")])
                    .collect();
                assert_eq!(names(&queries), asked);
                assert_eq!(
                    addresses,
                    [IpAddr::from([10, 0, 0, 1]), IpAddr::from([0xfd; 16])]
                );
            });
        }
    }

    #[test]
    fn an_unknown_name_is_asked_everywhere_and_an_address_nowhere() {
        alone(|| {
            let conf = "search a b\nnameserver 127.0.0.1\n";
            let (queries, addresses) = lookup("no.where", conf, &["127.0.0.1:53"]);
            assert_eq!(
                names(&queries).join(" "),
                "no.where A no.where AAAA no.where.a A no.where.a AAAA no.where.b A no.where.b AAAA"
            );
            assert!(addresses.is_empty() && queries.iter().all(|q| q.rcode == "NXDOMAIN"));
            assert_eq!(
                lookup("10.0.0.9", conf, &[]),
                (vec![], vec![[10, 0, 0, 9].into()])
            );
        });
    }

    #[test]
    fn a_silent_server_costs_one_timeout_and_the_next_is_asked() {
        alone(|| {
            let _silent = UdpSocket::bind("127.0.0.2:53").unwrap();
            let conf = "nameserver 127.0.0.2\nnameserver 127.0.0.1\n";
            let began = Instant::now();
            let (queries, addresses) = lookup("web.shop.cluster.local", conf, &["127.0.0.1:53"]);
            let outcomes: Vec<Outcome> = queries.iter().map(|q| q.outcome).collect();
            assert_eq!(
                outcomes,
                [
                    Outcome::Silent,
                    Outcome::Silent,
                    Outcome::Answered,
                    Outcome::Answered
                ]
            );
            assert_eq!(addresses.len(), 2);
            assert!(began.elapsed() < Duration::from_millis(500));
        });
    }

    #[test]
    fn silence_everywhere_ends_the_search() {
        alone(|| {
            let _silent = UdpSocket::bind("127.0.0.2:53").unwrap();
            let (queries, addresses) = lookup("web", "search a b c\nnameserver 127.0.0.2\n", &[]);
            assert_eq!((queries.len(), addresses.len()), (2, 0), "{queries:?}");
        });
    }

    #[test]
    fn a_damaged_hosts_file_gives_no_address_that_is_not_in_it() {
        let seeds = [
            "127.0.0.1 localhost\n::1 localhost ip6 # x\n10.0.0.2\tbox Box.Example\nnonsense box\n",
        ];
        netshoot_wire::fuzz::texts(&seeds, 20_000, |text| {
            for name in ["box", "localhost."] {
                for address in in_hosts(name, text) {
                    let of =
                        |l: &str| l.split_whitespace().next().map(str::parse) == Some(Ok(address));
                    assert!(text.lines().any(of), "{address} {text:?}");
                }
            }
        });
    }
}
