mod iptables;
mod nftables;

use super::*;
use netshoot_wire::nft::build::{End, state};
use netshoot_wire::nft::expr::{CmpOp, Expr};
use netshoot_wire::nft::{Chain, Hook, Rule, Set, Verdict};

pub(super) fn to(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
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

pub(super) fn pod_to_pod() -> Packet {
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
}
