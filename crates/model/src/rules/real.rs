//! Real kube-proxy rules of one cluster, both modes and both families; and the same, broken.

use super::tests::{ip, pod_to_pod, to};
use super::*;
use netshoot_wire::nft::expr::{BitOp, Expr, MetaKey, PayloadBase};
use netshoot_wire::nft::{Table, Verdict};

/// Real kube-proxy rules of one cluster, as the kernel gives them: an iptables node and an
/// nftables node, and the same of a dual-stack cluster.
const IPTABLES: &str = include_str!("../../testdata/rules-iptables.json");
const NFTABLES: &str = include_str!("../../testdata/rules-nftables.json");
const DUAL_NFTABLES: &str = include_str!("../../testdata/rules-dual-nftables.json");
const DUAL_IP6TABLES: &str = include_str!("../../testdata/rules-dual-ip6tables.json");

fn tables(text: &str) -> Vec<Table> {
    serde_json::from_str(text).unwrap()
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
    // But where the kubelet says that rules would be here, there are none, of its family.
    let mark = netshoot_wire::nft::Table {
        family: netshoot_wire::nft::Family::Ip6,
        name: "mangle".into(),
        chains: vec![netshoot_wire::nft::Chain {
            name: "KUBE-KUBELET-CANARY".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let got = targets(std::slice::from_ref(&mark), "[fd96::1]:80", TCP);
    assert!(got.known && got.endpoints.is_empty(), "{got:?}");
    assert!(!targets(&[mark], "10.96.0.1:443", TCP).known);
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

#[test]
fn real_rules_let_pods_speak_to_pods() {
    for rules in [tables(IPTABLES), tables(NFTABLES)] {
        assert_eq!(blockers(&rules, &pod_to_pod()), vec![]);
    }
}
