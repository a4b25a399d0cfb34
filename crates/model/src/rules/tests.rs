use super::*;
use netshoot_wire::nft::build::{End, intervals, network_range, state};
use netshoot_wire::nft::expr::{BitOp, CmpOp, Expr, MetaKey, PayloadBase, Xt};
use netshoot_wire::nft::{Chain, Element, Hook, Rule, Set, Verdict};

/// Real kube-proxy rules of one cluster, as the kernel gives them: an iptables node and an
/// nftables node, and the same of a dual-stack cluster.
const IPTABLES: &str = include_str!("../../testdata/rules-iptables.json");
const NFTABLES: &str = include_str!("../../testdata/rules-nftables.json");
const DUAL_NFTABLES: &str = include_str!("../../testdata/rules-dual-nftables.json");
const DUAL_IP6TABLES: &str = include_str!("../../testdata/rules-dual-ip6tables.json");

fn tables(text: &str) -> Vec<Table> {
    serde_json::from_str(text).unwrap()
}

fn to(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn targets(t: &[Table], front: &str, protocol: u8) -> Targets {
    service_targets(t, to(front).ip(), to(front).port(), protocol)
}

fn words(t: &Targets) -> Vec<String> {
    t.endpoints.iter().map(ToString::to_string).collect()
}

#[test]
fn both_modes_of_kube_proxy_send_services_to_the_same_endpoints() {
    let (a, b) = (tables(IPTABLES), tables(NFTABLES));
    let cases = [
        (
            "10.96.145.179:80",
            TCP,
            vec!["10.244.1.2:8080", "10.244.1.3:8080", "10.244.2.4:8080"],
        ),
        ("10.96.0.10:53", UDP, vec!["10.244.2.2:53", "10.244.2.3:53"]),
        ("10.96.0.1:443", TCP, vec!["10.90.0.10:6443"]),
        // Session affinity: a new client may go anywhere.
        (
            "10.96.14.108:80",
            TCP,
            vec![
                "10.244.1.2:8080",
                "10.244.1.3:8080",
                "10.244.1.18:8080",
                "10.244.2.4:8080",
            ],
        ),
    ];
    for (front, protocol, want) in cases {
        for (mode, rules) in [("iptables", &a), ("nftables", &b)] {
            let got = targets(rules, front, protocol);
            assert!(
                got.known && got.rejected.is_none(),
                "{mode} {front}: {got:?}"
            );
            assert_eq!(words(&got), want, "{mode} {front}");
            assert!(!got.trail.is_empty());
        }
    }
    // Every address and port that the nftables node knows, asked of both.
    let mut compared = 0;
    let map = b
        .iter()
        .flat_map(|t| &t.sets)
        .find(|s| s.name == "service-ips")
        .unwrap();
    for e in &map.elements {
        let address = IpAddr::from(*e.key.first_chunk::<4>().unwrap());
        let (protocol, port) = (e.key[4], u16::from_be_bytes([e.key[8], e.key[9]]));
        if !address.to_string().starts_with("10.96.") {
            continue;
        }
        let (x, y) = (
            service_targets(&a, address, port, protocol),
            service_targets(&b, address, port, protocol),
        );
        assert!(x.known && y.known, "{x:?} {y:?}");
        assert_eq!(x.endpoints, y.endpoints, "{address} {port}");
        assert!(!x.endpoints.is_empty());
        compared += 1;
    }
    assert_eq!(compared, 17);
}

#[test]
fn both_modes_of_ipv6_too() {
    let (a, b) = (tables(DUAL_IP6TABLES), tables(DUAL_NFTABLES));
    for (front, protocol) in [
        ("[fd96::1791]:80", TCP),
        ("[fd96::2a6d]:80", TCP),
        ("[fd96::2a6d]:8081", UDP),
    ] {
        let (x, y) = (targets(&a, front, protocol), targets(&b, front, protocol));
        assert!(x.known && y.known, "{x:?} {y:?}");
        assert_eq!(x.endpoints, y.endpoints);
        assert!(
            x.endpoints.len() >= 2 && x.endpoints.iter().all(|e| e.is_ipv6()),
            "{x:?}"
        );
    }
}

#[test]
fn services_without_endpoints_are_refused() {
    let (a, b) = (tables(IPTABLES), tables(NFTABLES));
    for front in ["10.96.144.2:80", "10.96.11.136:80", "10.96.235.239:80"] {
        for rules in [&a, &b] {
            let got = targets(rules, front, TCP);
            assert!(
                got.known && got.endpoints.is_empty() && got.rejected.is_some() && !got.dropped,
                "{got:?}"
            );
        }
    }
    // An unused port of a ClusterIP, and a ClusterIP of nobody.
    let got = targets(&b, "10.96.145.179:81", TCP);
    assert!(!got.dropped && got.rejected.unwrap().comment.contains("invalid ports"));
    let got = targets(&b, "10.96.200.200:80", TCP);
    assert!(got.dropped && got.rejected.unwrap().comment.contains("unallocated"));
    let got = targets(&a, "10.96.200.200:80", TCP);
    assert!(
        got.known && got.endpoints.is_empty() && got.rejected.is_none(),
        "{got:?}"
    );
    // Nothing there at all is no knowledge.
    assert!(!targets(&[], "10.96.0.1:443", TCP).known);
    assert!(
        !targets(&b, "[fd00::1]:80", TCP)
            .endpoints
            .iter()
            .any(|e| e.is_ipv4())
    );
}

#[test]
fn a_service_taken_out_of_the_rules_is_seen() {
    let mut b = tables(NFTABLES);
    for set in b.iter_mut().flat_map(|t| &mut t.sets) {
        if set.name == "service-ips" {
            set.elements
                .retain(|e| !e.key.starts_with(&[10, 96, 145, 179]));
        }
    }
    assert_eq!(
        words(&targets(&b, "10.96.145.179:80", TCP)),
        Vec::<String>::new()
    );
    let mut a = tables(IPTABLES);
    for chain in a.iter_mut().flat_map(|t| &mut t.chains) {
        if chain.name == "KUBE-SVC-67NZLRHBNDSAWJRO" {
            chain.rules.pop();
        }
    }
    assert_eq!(targets(&a, "10.96.145.179:80", TCP).endpoints.len(), 2);
}

#[test]
fn shares_of_random_choices_add_up() {
    for rules in [tables(IPTABLES), tables(NFTABLES)] {
        let packet = Packet {
            local: Some(vec![]),
            ..Packet::new(ip("10.244.1.8"), to("10.96.145.179:80"), TCP)
        };
        let w = journey(&rules, &["prerouting", "forward", "postrouting"], &packet);
        assert_eq!(w.possible.len(), 3, "{w:#?}");
        for p in &w.possible {
            assert_eq!(p.outcome, Outcome::Accept);
            assert!((p.share - 1.0 / 3.0).abs() < 1e-6, "{p:?}");
            assert!(!p.masqueraded() && p.undecided.is_empty(), "{p:?}");
        }
        // From outside the cluster it is masqueraded.
        let outside = Packet {
            src: ip("192.0.2.7"),
            ..packet
        };
        let w = journey(&rules, &["prerouting", "forward", "postrouting"], &outside);
        assert!(
            w.possible
                .iter()
                .all(|p| p.masqueraded() && p.target().is_some()),
            "{w:#?}"
        );
    }
}

fn base(name: &str, point: &str, priority: i32, policy_drop: bool, rules: Vec<Rule>) -> Chain {
    let kind = if name == "nat" { "nat" } else { "filter" };
    Chain {
        name: name.into(),
        hook: Some(Hook {
            kind: kind.into(),
            point: point.into(),
            priority,
            policy_drop,
            policy_packets: Some(7),
        }),
        rules,
        ..Chain::default()
    }
}

fn plain(name: &str, rules: Vec<Rule>) -> Chain {
    Chain {
        name: name.into(),
        rules,
        ..Chain::default()
    }
}

fn table(family: Family, chains: Vec<Chain>, sets: Vec<Set>) -> Table {
    Table {
        family,
        name: "t".into(),
        chains,
        sets,
        ..Table::default()
    }
}

fn pod_to_pod() -> Packet {
    Packet::new(ip("10.1.0.5"), to("10.1.1.6:8080"), TCP).through("veth0", "eth0")
}

/// `accept`, `drop CHAIN N`, `drop CHAIN policy`, ... of the one sure way; `?` in front otherwise.
fn outcome(t: &[Table], packet: &Packet) -> String {
    let w = walk(t, "forward", packet);
    let mut all: Vec<String> = w
        .possible
        .iter()
        .map(|p| {
            let place = |r: &RuleRef| {
                format!(
                    "{} {}",
                    r.chain,
                    r.index.map_or("policy".into(), |i| i.to_string())
                )
            };
            let sure = if p.undecided.is_empty() { "" } else { "?" };
            match &p.outcome {
                Outcome::Accept => format!("{sure}accept"),
                Outcome::Drop(r) => format!("{sure}drop {}", place(r)),
                Outcome::Reject(r) => format!("{sure}reject {}", place(r)),
                Outcome::Queue(r) => format!("{sure}queue {}", place(r)),
                Outcome::Unknown(_) => "unknown".into(),
            }
        })
        .collect();
    all.sort();
    all.join(", ")
}

fn return_() -> Rule {
    Rule::new().verdict(Verdict::Return)
}

#[test]
fn chains_jumps_and_policies() {
    let other = || Expr::Other {
        name: "osf".into(),
        data: vec![],
    };
    let port80 = || Rule::new().protocol(TCP).port(End::Destination, 80);
    let port8080 = || Rule::new().protocol(TCP).port(End::Destination, 8080);
    let udp = || Rule::new().protocol(UDP);
    let cases: Vec<(Vec<Rule>, Vec<Rule>, bool, &str)> = vec![
        (vec![], vec![], false, "accept"),
        (vec![], vec![], true, "drop f policy"),
        (
            vec![Rule::new().ct_state(state::ESTABLISHED).accept()],
            vec![],
            true,
            "drop f policy",
        ),
        (
            vec![
                Rule::new()
                    .ct_state(state::ESTABLISHED | state::NEW)
                    .accept(),
            ],
            vec![],
            true,
            "accept",
        ),
        (
            vec![port80().drop(), port8080().counter().drop()],
            vec![],
            false,
            "drop f 1",
        ),
        (vec![udp().drop()], vec![], false, "accept"),
        (
            vec![Rule::new().jump("c"), Rule::new().drop()],
            vec![port8080().accept()],
            false,
            "accept",
        ),
        (
            vec![Rule::new().jump("c"), Rule::new().drop()],
            vec![return_(), Rule::new().accept()],
            false,
            "drop f 1",
        ),
        (
            vec![Rule::new().goto("c"), Rule::new().drop()],
            vec![return_()],
            true,
            "drop f policy",
        ),
        (
            vec![Rule::new().goto("c"), Rule::new().drop()],
            vec![],
            false,
            "accept",
        ),
        (
            vec![Rule::new().jump("c")],
            vec![Rule::new().jump("c")],
            false,
            "unknown",
        ),
        (vec![Rule::new().jump("nowhere")], vec![], false, "unknown"),
        (vec![Rule::new().reject(false)], vec![], false, "reject f 0"),
        (
            vec![Rule::new().iifname(true, "veth0").drop()],
            vec![],
            false,
            "drop f 0",
        ),
        (
            vec![Rule::new().oifname(false, "eth0").drop()],
            vec![],
            false,
            "accept",
        ),
        (
            vec![
                Rule::new()
                    .network(End::Source, true, ip("10.1.0.0"), 16)
                    .accept(),
            ],
            vec![],
            true,
            "accept",
        ),
        (
            vec![
                Rule::new()
                    .network(End::Destination, false, ip("10.1.1.0"), 24)
                    .accept(),
            ],
            vec![],
            true,
            "drop f policy",
        ),
        (
            vec![
                Rule::new()
                    .protocol(TCP)
                    .ports(End::Destination, 8000, 8100)
                    .drop(),
            ],
            vec![],
            false,
            "drop f 0",
        ),
        (
            vec![
                Rule::new().mark_change(0, 0x4000),
                Rule::new().mark_has(0x4000).drop(),
            ],
            vec![],
            false,
            "drop f 1",
        ),
        (
            vec![
                Rule::new().mark_change(0x4000, 0x4000),
                Rule::new().mark_has(0x8000).drop(),
            ],
            vec![],
            false,
            "accept",
        ),
        // Undecided: both ways, and said so; unless it does not matter.
        (
            vec![Rule::new().expr(other()).drop()],
            vec![],
            false,
            "?accept, ?drop f 0",
        ),
        (
            vec![Rule::new().expr(other()).counter()],
            vec![],
            false,
            "accept",
        ),
        (vec![port80().expr(other()).drop()], vec![], false, "accept"),
        (
            vec![Rule::new().expr(other()).jump("c")],
            vec![udp().drop()],
            false,
            "accept",
        ),
        (
            vec![Rule::new().expr(other()).drop(), Rule::new().drop()],
            vec![],
            false,
            "?drop f 0, ?drop f 1",
        ),
        (
            vec![
                Rule::new().expr(other()).drop(),
                Rule::new().expr(other()).jump("c"),
            ],
            vec![udp().drop()],
            false,
            "?accept, ?drop f 0",
        ),
        (
            vec![
                Rule::new()
                    .load_port(1, End::Source)
                    .expr(Expr::Cmp {
                        sreg: 1,
                        op: CmpOp::Eq,
                        data: vec![0, 53],
                    })
                    .accept(),
            ],
            vec![],
            true,
            "?accept, ?drop f policy",
        ),
        (
            vec![Rule::new().is_local(End::Destination).drop()],
            vec![],
            false,
            "?accept, ?drop f 0",
        ),
    ];
    for (i, (rules, called, policy_drop, want)) in cases.into_iter().enumerate() {
        let t = [table(
            Family::Ip,
            vec![
                base("f", "forward", 0, policy_drop, rules),
                plain("c", called),
            ],
            vec![],
        )];
        assert_eq!(outcome(&t, &pod_to_pod()), want, "case {i}");
    }
}

#[test]
fn base_chains_run_by_priority_and_accept_ends_only_one() {
    let t = |family, priority, rules| {
        table(
            family,
            vec![base("f", "forward", priority, false, rules)],
            vec![],
        )
    };
    let accept = || vec![Rule::new().accept()];
    let drop = || vec![Rule::new().drop()];
    assert_eq!(
        outcome(
            &[t(Family::Ip, 0, accept()), t(Family::Inet, 10, drop())],
            &pod_to_pod()
        ),
        "drop f 0"
    );
    assert_eq!(
        outcome(
            &[t(Family::Ip6, 0, drop()), t(Family::Bridge, 0, drop())],
            &pod_to_pod()
        ),
        "accept"
    );
    let dormant = Table {
        dormant: true,
        ..t(Family::Ip, 0, drop())
    };
    assert_eq!(outcome(&[dormant], &pod_to_pod()), "accept");
    let mark = vec![Rule::new().mark_change(0, 1)];
    let marked = vec![Rule::new().mark_has(1).drop()];
    assert_eq!(
        outcome(
            &[
                t(Family::Inet, 5, marked.clone()),
                t(Family::Ip, -5, mark.clone())
            ],
            &pod_to_pod()
        ),
        "drop f 0"
    );
    assert_eq!(
        outcome(
            &[t(Family::Inet, -5, marked), t(Family::Ip, 5, mark)],
            &pod_to_pod()
        ),
        "accept"
    );
    let v6 = Packet::new(ip("fd00::1"), to("[fd00::2]:80"), TCP);
    let only_v6 = vec![
        Rule::new()
            .ip_version(true)
            .address(End::Destination, true, ip("fd00::2"))
            .drop(),
    ];
    assert_eq!(
        outcome(&[t(Family::Inet, 0, only_v6.clone())], &v6),
        "drop f 0"
    );
    assert_eq!(
        outcome(&[t(Family::Inet, 0, only_v6)], &pod_to_pod()),
        "accept"
    );
}

#[test]
fn sets_with_intervals_ranges_and_verdicts() {
    let nets = Set {
        name: "nets".into(),
        key_len: 4,
        interval: true,
        elements: intervals(vec![
            network_range(ip("10.1.0.0"), 24),
            network_range(ip("10.3.0.0"), 16),
        ]),
        ..Set::default()
    };
    let pair = |from: [u8; 8], to: [u8; 8]| Element {
        key: from.into(),
        key_end: to.into(),
        ..Element::default()
    };
    let pairs = Set {
        name: "pairs".into(),
        key_len: 8,
        fields: vec![4, 2],
        interval: true,
        elements: vec![pair(
            [10, 1, 1, 0, 31, 64, 0, 0],
            [10, 1, 1, 255, 31, 164, 0, 0],
        )],
        ..Set::default()
    };
    let verdicts = Set {
        name: "v".into(),
        key_len: 4,
        map: true,
        verdicts: true,
        elements: vec![
            Element {
                key: vec![10, 1, 1, 6],
                verdict: Some(Verdict::Goto("c".into())),
                ..Element::default()
            },
            Element {
                catch_all: true,
                verdict: Some(Verdict::Drop),
                ..Element::default()
            },
        ],
        ..Set::default()
    };
    let sets = vec![nets, pairs, verdicts];
    let key = || {
        Rule::new()
            .load_address(1, false, End::Destination)
            .load_port(9, End::Destination)
    };
    let rules = [
        (
            Rule::new()
                .address_in(End::Source, true, false, "nets")
                .drop(),
            "10.1.0.5",
            "drop f 0",
        ),
        (
            Rule::new()
                .address_in(End::Source, true, false, "nets")
                .drop(),
            "10.1.1.5",
            "accept",
        ),
        (
            Rule::new()
                .address_in(End::Source, true, false, "nets")
                .drop(),
            "10.3.255.255",
            "drop f 0",
        ),
        (
            Rule::new()
                .address_in(End::Source, true, false, "nets")
                .drop(),
            "10.4.0.0",
            "accept",
        ),
        (
            Rule::new()
                .address_in(End::Source, false, false, "nets")
                .drop(),
            "9.0.0.1",
            "drop f 0",
        ),
        (
            key().lookup(1, true, "pairs").drop(),
            "10.1.0.5",
            "drop f 0",
        ),
        (
            Rule::new()
                .load_address(1, false, End::Destination)
                .verdict_map(1, "v"),
            "10.1.0.5",
            "reject c 0",
        ),
        (
            Rule::new()
                .load_address(1, false, End::Source)
                .verdict_map(1, "v"),
            "10.1.0.5",
            "drop f 0",
        ),
        (
            Rule::new()
                .load_address(1, false, End::Source)
                .verdict_map(1, "gone"),
            "10.1.0.5",
            "accept",
        ),
    ];
    for (i, (rule, src, want)) in rules.into_iter().enumerate() {
        let chains = vec![
            base("f", "forward", 0, false, vec![rule]),
            plain("c", vec![Rule::new().reject(false)]),
        ];
        let t = [table(Family::Ip, chains, sets.clone())];
        let packet = Packet {
            src: ip(src),
            ..pod_to_pod()
        };
        assert_eq!(outcome(&t, &packet), want, "case {i}");
    }
}

#[test]
fn nat_rewrites_once_and_only_new_connections() {
    let dnat = |to: &str| Rule::new().dnat(ip(to), 9000);
    let t = [
        table(
            Family::Ip,
            vec![base(
                "nat",
                "prerouting",
                -100,
                false,
                vec![dnat("10.9.0.1")],
            )],
            vec![],
        ),
        table(
            Family::Ip,
            vec![base(
                "nat",
                "prerouting",
                -90,
                false,
                vec![dnat("10.9.0.2")],
            )],
            vec![],
        ),
        table(
            Family::Ip,
            vec![base(
                "f",
                "forward",
                0,
                false,
                vec![
                    Rule::new()
                        .ct_status(32)
                        .address(End::Destination, true, ip("10.9.0.1"))
                        .drop(),
                ],
            )],
            vec![],
        ),
    ];
    let w = journey(&t, &["prerouting", "forward"], &pod_to_pod());
    assert_eq!(w.possible.len(), 1);
    assert_eq!(w.possible[0].target(), Some(to("10.9.0.1:9000")));
    assert!(matches!(w.certain(), Some(Outcome::Drop(_))));
    let later = Packet {
        ct_state: state::ESTABLISHED,
        ..pod_to_pod()
    };
    assert_eq!(
        journey(&t, &["prerouting", "forward"], &later).certain(),
        Some(&Outcome::Accept)
    );
}

#[test]
fn blockers_name_the_rule_its_counter_and_its_share() {
    let lossy = Rule::new()
        .expr(Expr::Numgen {
            dreg: 1,
            modulus: 100,
            random: true,
            offset: 0,
        })
        .expr(Expr::Byteorder {
            sreg: 1,
            dreg: 1,
            to_network: true,
            len: 4,
            size: 4,
        })
        .expr(Expr::Cmp {
            sreg: 1,
            op: CmpOp::Lt,
            data: vec![0, 0, 0, 30],
        })
        .expr(Expr::Counter {
            packets: 12,
            bytes: 700,
        })
        .drop();
    let t = [table(
        Family::Inet,
        vec![base(
            "fw",
            "forward",
            0,
            true,
            vec![lossy, Rule::new().protocol(UDP).accept()],
        )],
        vec![],
    )];
    let got = blockers(&t, &pod_to_pod());
    assert_eq!(got.len(), 2, "{got:#?}");
    let drop = got.iter().find(|b| b.rule.index == Some(0)).unwrap();
    assert!((drop.share - 0.3).abs() < 1e-9 && drop.certain && drop.rule.packets == Some(12));
    let policy = got.iter().find(|b| b.rule.handle.is_none()).unwrap();
    assert!((policy.share - 0.7).abs() < 1e-9 && policy.rule.packets == Some(7));
    assert_eq!(policy.rule.to_string(), "inet t fw policy (7 packets)");
    assert!(
        blockers(
            &t,
            &Packet {
                oif: None,
                ..pod_to_pod()
            }
        )
        .is_empty()
    );
    // The real rules let pods speak to pods.
    for rules in [tables(IPTABLES), tables(NFTABLES)] {
        assert_eq!(blockers(&rules, &pod_to_pod()), vec![]);
    }
}

#[test]
fn what_iptables_wrote_is_read() {
    let xt = |name: &str, revision, info: Vec<u8>| Xt {
        name: name.into(),
        revision,
        info,
    };
    let ne = |n: u32| n.to_ne_bytes();
    let m = |x| Rule::new().expr(Expr::Match(x)).drop();
    let tcp = |first: u16, last: u16, inverted: u8| {
        let mut info = vec![0, 0, 255, 255];
        info.extend(first.to_ne_bytes());
        info.extend(last.to_ne_bytes());
        info.extend([0, 0, 0, inverted]);
        xt("tcp", 0, info)
    };
    let mark =
        |value, mask, inverted| xt("mark", 1, [&ne(value)[..], &ne(mask), &[inverted]].concat());
    let mut addrtype = vec![0, 0];
    addrtype.extend(4u16.to_ne_bytes());
    addrtype.extend(ne(0));
    let cases = [
        (m(tcp(8000, 8100, 0)), "drop f 0"),
        (m(tcp(8000, 8100, 2)), "accept"),
        (m(tcp(80, 80, 0)), "accept"),
        (m(mark(0x4000, 0x4000, 0)), "accept"),
        (m(mark(0x4000, 0x4000, 1)), "drop f 0"),
        (m(xt("addrtype", 1, addrtype)), "?accept, ?drop f 0"),
        (m(xt("nfacct", 0, vec![])), "drop f 0"),
        (m(xt("physdev", 0, vec![])), "?accept, ?drop f 0"),
        (
            Rule::new().expr(Expr::Target(xt("REJECT", 0, ne(3).into()))),
            "reject f 0",
        ),
        (
            Rule::new().expr(Expr::Target(xt("LOG", 0, vec![]))),
            "accept",
        ),
        (
            Rule::new().expr(Expr::Target(xt("TPROXY", 0, vec![]))),
            "unknown",
        ),
    ];
    for (i, (rule, want)) in cases.into_iter().enumerate() {
        let t = [table(
            Family::Ip,
            vec![base("f", "forward", 0, false, vec![rule])],
            vec![],
        )];
        assert_eq!(outcome(&t, &pod_to_pod()), want, "case {i}");
    }
}

/// Rules cut, mixed and overwritten at random: an answer, never a panic, never without an end.
#[test]
fn strange_rules_do_no_harm() {
    let mut x = 0x2545_F491_4F6C_DD1Du64;
    let mut roll = |below: usize| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 20) as usize % below.max(1)
    };
    let sources = [
        tables(IPTABLES),
        tables(NFTABLES),
        tables(DUAL_NFTABLES),
        tables(DUAL_IP6TABLES),
    ];
    let odd = [
        Expr::Payload {
            dreg: 77,
            base: PayloadBase::Network,
            offset: u32::MAX,
            len: u32::MAX,
        },
        Expr::Bitwise {
            sreg: 23,
            dreg: 4,
            len: u32::MAX,
            op: BitOp::ShiftLeft(u32::MAX),
        },
        Expr::Bitwise {
            sreg: 1,
            dreg: 1,
            len: 7,
            op: BitOp::ShiftRight(33),
        },
        Expr::Byteorder {
            sreg: 1,
            dreg: 23,
            to_network: true,
            len: 9,
            size: 0,
        },
        Expr::Numgen {
            dreg: 1,
            modulus: 0,
            random: true,
            offset: u32::MAX,
        },
        Expr::Numgen {
            dreg: 1,
            modulus: 900,
            random: true,
            offset: u32::MAX,
        },
        Expr::Meta {
            dreg: 0,
            key: MetaKey::Iifname,
        },
        Expr::Verdict(Verdict::Jump("KUBE-SERVICES".into())),
        Expr::Verdict(Verdict::Goto("services".into())),
        Expr::Range {
            sreg: 2,
            inverted: false,
            from: vec![],
            to: vec![9; 99],
        },
    ];
    for _ in 0..150 {
        let mut t = sources[roll(sources.len())].clone();
        for _ in 0..30 {
            let at = roll(t.len());
            let table = &mut t[at];
            if let Some(set) = (!table.sets.is_empty())
                .then(|| roll(table.sets.len()))
                .map(|i| &mut table.sets[i])
            {
                match roll(4) {
                    0 => set.key_len = roll(200) as u32,
                    1 => set.fields = vec![roll(90) as u32, u32::MAX],
                    2 => set.interval = !set.interval,
                    _ => set.elements.iter_mut().for_each(|e| e.key.truncate(3)),
                }
            }
            let at = roll(table.chains.len());
            let Some(chain) = table.chains.get_mut(at) else {
                continue;
            };
            let at = roll(chain.rules.len());
            let Some(rule) = chain.rules.get_mut(at) else {
                continue;
            };
            let at = roll(rule.exprs.len() + 1);
            rule.exprs.insert(at, odd[roll(odd.len())].clone());
            for e in &mut rule.exprs {
                if let Expr::Match(m) | Expr::Target(m) = e
                    && roll(3) == 0
                {
                    m.info.truncate(roll(40));
                }
            }
        }
        for packet in [
            pod_to_pod(),
            Packet::new(ip("fd00::1"), to("[fd96::1791]:80"), TCP),
        ] {
            blockers(&t, &packet);
            service_targets(&t, packet.dst, 80, TCP);
        }
        service_targets(&t, ip("10.96.145.179"), 80, TCP);
    }
}
