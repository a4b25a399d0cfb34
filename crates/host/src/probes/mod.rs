//! The shelf of probes: one file each, run in the namespace of the calling thread. What they ask and need, and
//! their pages, are data, which is read where nothing can be asked, too: `netshoot_model::probe::kinds`.
//!
//! To add one: its kind there; here a file with a `pub const PROBE: Runs`, a `mod` line, a line in [`ALL`]; a law
//! test says what is missing.
//!
//! What a probe does on the network is a plain function beside its `PROBE`, so that an applet and
//! a check ask in the same way.

mod capture_packets;
mod dump_rules;
mod http_get;
mod icmp_echo;
mod lookup_name;
mod lookup_route;
mod path_mtu;
mod read_conntrack;
mod read_counters;
mod read_links;
mod read_neighbours;
mod read_resolv_conf;
mod read_routes;
mod read_sockets;
mod read_sysctls;
mod resolve_name;
mod tcp_connect;
mod tls_handshake;
mod udp_exchange;

use crate::clock;
use netshoot_model::probe::kinds::Kind;
pub use netshoot_model::probe::kinds::Need;
use netshoot_model::probe::{Answer, Answered, Probe, Question};
use netshoot_model::text::Text;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// All probes that are answered here.
pub const ALL: &[&Runs] = &[
    &tcp_connect::PROBE,
    &http_get::PROBE,
    &tls_handshake::PROBE,
    &resolve_name::PROBE,
    &lookup_name::PROBE,
    &read_sockets::PROBE,
    &read_counters::PROBE,
    &read_conntrack::PROBE,
    &read_sysctls::PROBE,
    &read_links::PROBE,
    &read_neighbours::PROBE,
    &read_routes::PROBE,
    &lookup_route::PROBE,
    &read_resolv_conf::PROBE,
    &dump_rules::PROBE,
    &udp_exchange::PROBE,
    &icmp_echo::PROBE,
    &path_mtu::PROBE,
    &capture_packets::PROBE,
];

/// Probes of one batch in flight at the same time: a capture must see what the others send.
const AT_ONCE: usize = 16;

/// A kind of question, and what asks it here.
pub struct Runs {
    /// What is known of it wherever it is asked.
    pub kind: &'static Kind,
    /// Asks, in the namespace of the calling thread.
    pub run: fn(&Question, &Place) -> Answer,
}

/// What of the vantage point is not in its network namespace.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Text of resolv.conf as processes there see it; none reads `/etc/resolv.conf`.
    pub resolv_conf: Option<String>,
}

/// A gap without a missing right.
pub fn could_not_ask(why: impl Into<String>) -> Answer {
    Answer::CouldNotAsk {
        why: why.into(),
        missing: Text::default(),
        how_to_get: Text::default(),
    }
}

/// The gap that an error of this crate makes: a refused permission names the right.
pub fn gap(error: &crate::Error, need: Need) -> Answer {
    match error {
        crate::Error::Denied {
            tried,
            missing,
            how_to_get,
        } => Answer::CouldNotAsk {
            why: tried.clone(),
            missing: Text::same(*missing),
            how_to_get: Text::same(how_to_get),
        },
        e if matches!(e.errno(), Some(libc::EPERM | libc::EACCES)) => need.missing(e.to_string()),
        e => could_not_ask(e.to_string()),
    }
}

/// The gap of a `run` that was handed another kind's question.
pub fn not_mine(question: &Question) -> Answer {
    could_not_ask(format!("{} was handed to another probe", question.id()))
}

/// The kind that answers a question here, if one does.
pub fn kind(question: &Question) -> Option<&'static Runs> {
    ALL.iter().copied().find(|p| p.kind.id == question.id())
}

/// Asks one question in the namespace of the calling thread. The vantage is the caller's business.
pub fn ask(probe: &Probe, place: &Place) -> Answered {
    let at_ms = clock::now_ms();
    let began = Instant::now();
    let answer = match kind(&probe.question) {
        Some(asks) => (asks.run)(&probe.question, place),
        None => could_not_ask(format!(
            "{} is not answered from inside a network namespace",
            probe.question.id()
        )),
    };
    Answered {
        probe: probe.clone(),
        at_ms,
        took_ms: began.elapsed().as_millis() as u64,
        answer,
    }
}

/// Asks a batch at the same time, in the namespace of the calling thread; answers in the order
/// of the questions.
pub fn ask_all(probes: &[Probe], place: &Place) -> Vec<Answered> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::with_capacity(probes.len()));
    let work = || {
        while let Some((i, probe)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, probes.get(i)?)))
        {
            let answered = ask(probe, place);
            if let Ok(mut all) = answers.lock() {
                all.push((i, answered));
            }
        }
    };
    // New threads start in the namespace of the thread that makes them.
    std::thread::scope(|scope| {
        for _ in 1..probes.len().min(AT_ONCE) {
            scope.spawn(work);
        }
        work();
    });
    let mut answers = answers.into_inner().unwrap_or_default();
    answers.sort_by_key(|(i, _)| *i);
    answers.into_iter().map(|(_, a)| a).collect()
}

/// [`ask_all`] for a caller that does not know the model: a JSON array of probes in, a JSON array
/// of answers out. Text that is no such array gives `{"error": "..."}`.
pub fn ask_json(probes_json: &str, place: &Place) -> String {
    let answers = serde_json::from_str::<Vec<Probe>>(probes_json)
        .map_err(|e| format!("read probes: {e}"))
        .and_then(|probes| {
            serde_json::to_string(&ask_all(&probes, place))
                .map_err(|e| format!("write answers: {e}"))
        });
    answers.unwrap_or_else(|e| serde_json::json!({ "error": e }).to_string())
}

#[cfg(test)]
mod laws {
    use super::*;
    use netshoot_model::probe::{Transport, Vantage, kinds};
    use std::collections::BTreeSet;

    /// Answered by the node's agent or the API server, not from a namespace.
    const ELSEWHERE: &[&str] = &["watch_memory", "read_log"];

    fn questions() -> Vec<Question> {
        let ip = std::net::IpAddr::from([127, 0, 0, 1]);
        let to = std::net::SocketAddr::new(ip, 9);
        let (s, timeout_ms) = (String::new, 10);
        vec![
            Question::Links,
            Question::Neighbours,
            Question::Routes,
            Question::RouteTo { to: ip },
            Question::ResolvConf,
            Question::Sockets,
            Question::Counters,
            Question::Conntrack { to: None },
            Question::Rules,
            Question::Sysctls { names: vec![] },
            Question::Memory {
                namespace: s(),
                pod: s(),
                watch_ms: 0,
            },
            Question::Log {
                namespace: s(),
                pod: s(),
                container: s(),
                previous: false,
            },
            Question::Capture {
                interface: s(),
                host: None,
                port: None,
                millis: 0,
            },
            Question::Resolve {
                name: s(),
                record: "A".into(),
                server: to,
                over: Transport::Udp,
                timeout_ms,
            },
            Question::Lookup {
                name: s(),
                timeout_ms,
            },
            Question::TcpConnect {
                to,
                tries: 1,
                timeout_ms,
            },
            Question::UdpExchange {
                to,
                payload: s(),
                timeout_ms,
            },
            Question::Echo {
                to: ip,
                count: 1,
                timeout_ms,
            },
            Question::PathMtu {
                to: ip,
                largest: 1500,
                timeout_ms,
            },
            Question::TlsHandshake {
                to,
                server_name: s(),
                authorities: s(),
                timeout_ms,
            },
            Question::Http {
                to,
                host: s(),
                path: s(),
                tls: false,
                padding: 0,
                tries: 1,
                timeout_ms,
            },
        ]
    }

    #[test]
    fn every_question_is_answered_somewhere() {
        for q in questions() {
            let elsewhere = ELSEWHERE.contains(&q.id());
            assert_ne!(
                kind(&q).is_some(),
                elsewhere,
                "{}: on the shelf, or else named in ELSEWHERE",
                q.id()
            );
        }
    }

    #[test]
    fn ids_are_unique_and_belong_to_a_question() {
        let ids: BTreeSet<_> = ALL.iter().map(|p| p.kind.id).collect();
        assert_eq!(ids.len(), ALL.len(), "an id is on the shelf twice");
        let shown: Vec<_> = kinds::ALL.iter().map(|k| k.id).collect();
        let asked: Vec<_> = ALL.iter().map(|p| p.kind.id).collect();
        assert_eq!(asked, shown, "what is shown is what can be asked");
        let known: BTreeSet<_> = questions().iter().map(|q| q.id()).collect();
        assert!(
            ids.is_subset(&known),
            "ids without a question: {:?}",
            ids.difference(&known)
        );
    }

    #[test]
    fn the_shelf_and_the_folder_are_the_same() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/probes");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the folder of this file")
            .filter_map(|e| {
                e.ok()?
                    .file_name()
                    .to_str()?
                    .strip_suffix(".rs")
                    .map(String::from)
            })
            .filter(|f| f != "mod")
            .collect();
        let ids: BTreeSet<String> = ALL.iter().map(|p| p.kind.id.to_string()).collect();
        assert_eq!(files, ids, "a file per probe, a line in ALL per file");
    }

    #[test]
    fn a_kind_disturbs_at_least_as_much_as_its_questions() {
        for q in questions() {
            if let Some(Runs { kind: k, .. }) = kind(&q) {
                assert!(
                    k.harm >= q.harm(),
                    "{}: {:?} < {:?}",
                    k.id,
                    k.harm,
                    q.harm()
                );
            }
        }
    }

    #[test]
    fn another_kinds_question_is_a_gap() {
        for k in ALL {
            let (k, run) = (k.kind, k.run);
            for q in questions().iter().filter(|q| q.id() != k.id) {
                assert!(
                    matches!(run(q, &Place::default()), Answer::CouldNotAsk { .. }),
                    "{} answered {}",
                    k.id,
                    q.id()
                );
            }
        }
    }

    #[test]
    fn what_is_answered_elsewhere_is_a_gap() {
        let question = Question::Memory {
            namespace: "a".into(),
            pod: "b".into(),
            watch_ms: 1,
        };
        let answered = ask(
            &Probe {
                from: Vantage::Here,
                question,
            },
            &Place::default(),
        );
        assert!(matches!(answered.answer, Answer::CouldNotAsk { .. }));
    }

    #[test]
    fn without_a_right_it_is_a_gap_with_the_command_that_gives_it() {
        crate::testground::alone(|| {
            crate::testground::drop_capabilities();
            for q in questions() {
                let raw = |p: &&Runs| p.kind.needs.contains(&Need::NetRaw);
                let Some(Runs { kind: k, run }) = kind(&q).filter(raw) else {
                    continue;
                };
                match run(&q, &Place::default()) {
                    Answer::CouldNotAsk {
                        why,
                        missing,
                        how_to_get,
                    } => {
                        assert!(
                            !why.is_empty() && missing.as_str() == "CAP_NET_RAW",
                            "{}: {why}; {missing}",
                            k.id
                        );
                        assert!(
                            how_to_get.as_str().contains("cap_net_raw"),
                            "{}: {how_to_get}",
                            k.id
                        );
                    }
                    other => panic!("{} answered without CAP_NET_RAW: {other:?}", k.id),
                }
            }
        });
    }

    #[test]
    fn a_batch_is_json_both_ways() {
        let log = Question::Log {
            namespace: "a".into(),
            pod: "b".into(),
            container: "".into(),
            previous: false,
        };
        let probes: Vec<Probe> = (0..40)
            .map(|_| Probe {
                from: Vantage::Here,
                question: log.clone(),
            })
            .collect();
        let out = ask_json(&serde_json::to_string(&probes).unwrap(), &Place::default());
        let answers: Vec<Answered> = serde_json::from_str(&out).unwrap();
        assert_eq!(answers.len(), 40);
        assert!(ask_json("[{}]", &Place::default()).starts_with("{\"error\""));
    }
}
