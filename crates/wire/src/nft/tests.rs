//! There and back, and whatever bytes come.

use super::expr::Xt;
use super::xt::XtMeaning;
use super::*;
use crate::netlink::Attrs;

/// One of every expression.
fn every() -> Vec<Expr> {
    let set = String::from("s");
    let bits = |op| Expr::Bitwise {
        sreg: 1,
        dreg: 2,
        len: 4,
        op,
    };
    let mut all = vec![
        Expr::Counter {
            packets: 1,
            bytes: 1 << 40,
        },
        Expr::Immediate {
            dreg: 9,
            data: vec![1, 2, 3, 4],
        },
        Expr::Payload {
            dreg: 1,
            base: PayloadBase::Network,
            offset: 12,
            len: 4,
        },
        Expr::PayloadSet {
            sreg: 1,
            base: PayloadBase::Transport,
            offset: 2,
            len: 2,
            checksum: 1,
            checksum_offset: 16,
            checksum_flags: 1,
        },
        Expr::Meta {
            dreg: 1,
            key: MetaKey::Number(99),
        },
        Expr::MetaSet {
            sreg: 1,
            key: MetaKey::Mark,
        },
        Expr::Ct {
            dreg: 1,
            key: CtKey::Dst,
            direction: Some(1),
        },
        Expr::CtSet {
            sreg: 1,
            key: CtKey::Mark,
            direction: None,
        },
        Expr::Cmp {
            sreg: 1,
            op: CmpOp::Gte,
            data: vec![0, 80],
        },
        Expr::Range {
            sreg: 1,
            inverted: true,
            from: vec![1],
            to: vec![9],
        },
        bits(BitOp::MaskXor {
            mask: vec![255; 4],
            xor: vec![0; 4],
        }),
        bits(BitOp::ShiftLeft(3)),
        bits(BitOp::ShiftRight(5)),
        Expr::Byteorder {
            sreg: 1,
            dreg: 1,
            to_network: true,
            len: 4,
            size: 4,
        },
        Expr::Lookup {
            sreg: 1,
            set: set.clone(),
            dreg: Some(0),
            inverted: false,
        },
        Expr::Lookup {
            sreg: 1,
            set: set.clone(),
            dreg: None,
            inverted: true,
        },
        Expr::Dynset {
            set,
            op: DynsetOp::Update,
            sreg_key: 1,
            sreg_data: Some(2),
            timeout_ms: 5000,
            inverted: true,
            exprs: vec![
                Expr::Counter {
                    packets: 0,
                    bytes: 0,
                },
                Expr::Notrack,
            ],
        },
        Expr::Nat {
            kind: NatKind::Dnat,
            family: 2,
            addr: Some(1),
            addr_max: Some(2),
            port: Some(3),
            port_max: None,
            flags: expr::NAT_PERSISTENT,
        },
        Expr::Masquerade {
            flags: expr::NAT_FULLY_RANDOM,
            port: None,
            port_max: None,
        },
        Expr::Redirect {
            flags: 0,
            port: Some(1),
            port_max: Some(2),
        },
        Expr::Reject { kind: 1, code: 0 },
        Expr::Reject { kind: 2, code: 3 },
        Expr::Numgen {
            dreg: 1,
            modulus: 3,
            random: true,
            offset: 1,
        },
        Expr::Limit {
            rate: 10,
            per_seconds: 60,
            burst: 5,
            bytes: true,
            inverted: true,
        },
        Expr::Quota {
            bytes: 1000,
            consumed: 10,
            inverted: true,
        },
        Expr::Connlimit {
            count: 3,
            inverted: false,
        },
        Expr::Fib {
            dreg: 1,
            result: 3,
            flags: 2,
        },
        Expr::Rt { dreg: 1, key: 3 },
        Expr::Exthdr {
            dreg: 1,
            kind: 2,
            offset: 2,
            len: 2,
            flags: 0,
            op: 1,
        },
        Expr::ExthdrSet {
            sreg: 1,
            kind: 2,
            offset: 2,
            len: 2,
            op: 1,
        },
        Expr::Log {
            prefix: "x".into(),
            group: None,
            level: 6,
            flags: 1,
        },
        Expr::Log {
            prefix: String::new(),
            group: Some(5),
            level: 4,
            flags: 0,
        },
        Expr::Notrack,
        Expr::Queue {
            first: 3,
            total: 2,
            flags: 1,
        },
        Expr::Objref {
            kind: 1,
            name: "c".into(),
        },
        Expr::Match(Xt {
            name: "comment".into(),
            revision: 0,
            info: b"hello\0".to_vec(),
        }),
        Expr::Target(Xt {
            name: "MARK".into(),
            revision: 2,
            info: vec![0; 8],
        }),
        Expr::Other {
            name: "osf".into(),
            data: vec![8, 0, 1, 0, 0, 0, 0, 1],
        },
    ];
    for seed in [Some(1), None] {
        all.push(Expr::Hash {
            sreg: seed,
            dreg: 2,
            len: seed.map_or(0, |_| 4),
            modulus: 8,
            seed: seed.unwrap_or(0),
            offset: 0,
            symmetric: seed.is_none(),
        });
    }
    for verdict in [
        Verdict::Accept,
        Verdict::Drop,
        Verdict::Continue,
        Verdict::Return,
        Verdict::Queue,
        Verdict::Jump("a".into()),
        Verdict::Goto("b".into()),
    ] {
        all.push(Expr::Verdict(verdict));
    }
    all
}

fn messages() -> Vec<Vec<u8>> {
    let rule = Rule {
        exprs: every(),
        comment: "why".into(),
        compat: Some(Compat {
            proto: 6,
            inverted: true,
        }),
        ..Rule::default()
    };
    let hook = Hook {
        kind: "filter".into(),
        point: "forward".into(),
        priority: -5,
        policy_drop: true,
        policy_packets: Some(7),
    };
    let chain = Chain {
        name: "c".into(),
        hook: Some(hook),
        devices: vec!["a".into(), "b".into()],
        comment: "c".into(),
        rules: Vec::new(),
    };
    let element = Element {
        key: vec![1, 2, 3, 4],
        key_end: vec![1, 2, 3, 9],
        verdict: Some(Verdict::Drop),
        timeout_ms: 5,
        expires_ms: 4,
        exprs: vec![Expr::Counter {
            packets: 1,
            bytes: 2,
        }],
        comment: "e".into(),
        ..Element::default()
    };
    let set = Set {
        name: "s".into(),
        fields: vec![4, 2],
        key_len: 8,
        size: 9,
        comment: "s".into(),
        ..Set::default()
    };
    vec![
        write::table(Family::Inet, "t", "a table"),
        write::chain(Family::Inet, "t", &chain),
        write::rule(Family::Inet, "t", "c", &rule, None, &|_| None),
        write::set(Family::Inet, "t", &set, 1),
        write::elements(Family::Inet, "t", "s", None, &[element.clone(), element]),
    ]
}

#[test]
fn every_expression_there_and_back() {
    for expr in every() {
        let rule = Rule {
            exprs: vec![expr.clone()],
            comment: "why".into(),
            ..Rule::default()
        };
        let message = write::rule(Family::Ip6, "t", "c", &rule, None, &|_| None);
        let read = read::rule(&message).expect("reads");
        assert_eq!((read.family, read.table.as_str()), (Family::Ip6, "t"));
        assert_eq!(read.what, ("c".to_string(), rule), "{expr:?}");
    }
}

#[test]
fn messages_there_and_back() {
    let all = messages();
    let table = read::table(&all[0]).expect("reads");
    assert_eq!(
        (table.name.as_str(), table.comment.as_str()),
        ("t", "a table")
    );
    let chain = read::chain(&all[1]).expect("reads").what;
    let hook = chain.hook.expect("a base chain");
    assert_eq!(
        (hook.point.as_str(), hook.priority, hook.policy_drop),
        ("forward", -5, true)
    );
    assert_eq!((hook.policy_packets, chain.devices.len()), (Some(7), 2));
    let set = read::set(&all[3]).expect("reads").what;
    assert_eq!(
        (set.fields, set.size, set.comment.as_str()),
        (vec![4, 2], 9, "s")
    );
    let (name, elements) = read::elements(&all[4]).expect("reads").what;
    assert_eq!((name.as_str(), elements.len()), ("s", 2));
    assert_eq!(
        (elements[0].key_end.len(), elements[0].comment.as_str()),
        (4, "e")
    );
}

#[test]
fn broken_bytes_are_refused_or_read_but_never_fatal() {
    let mut refused = 0;
    for message in messages() {
        crate::fuzz::mutations(&message, 3_000, |bytes| {
            refused += usize::from(read::table(bytes).is_err());
            let _ = read::chain(bytes);
            let _ = read::set(bytes);
            let _ = read::elements(bytes);
            if let Ok(rule) = read::rule(bytes) {
                for expr in rule.what.1.exprs {
                    if let Expr::Match(xt) | Expr::Target(xt) = expr {
                        xt.read_match(Family::Ip6);
                        xt.read_target(Family::Ip);
                    }
                }
            }
            let _ = expr_read::one(Attrs::new(bytes));
        });
    }
    assert!(refused > 100);
}

#[test]
fn x_tables_structures() {
    let xt = |name: &str, revision, info: &[u8]| Xt {
        name: name.into(),
        revision,
        info: info.to_vec(),
    };
    let mut dnat = vec![0; 40];
    dnat[..4].copy_from_slice(&3u32.to_ne_bytes());
    dnat[4..8].copy_from_slice(&[10, 0, 0, 1]);
    dnat[20..24].copy_from_slice(&[10, 0, 0, 1]);
    dnat[36..40].copy_from_slice(&[0x1f, 0x90, 0x1f, 0x90]);
    let address: std::net::IpAddr = "10.0.0.1".parse().expect("an address");
    assert_eq!(
        xt("DNAT", 2, &dnat).read_target(Family::Ip),
        XtMeaning::Nat {
            destination: true,
            addresses: Some((address, address)),
            ports: Some((8080, 8080)),
            flags: 0
        }
    );
    assert_eq!(
        xt("comment", 0, b"ns/svc:http\0junk").read_match(Family::Ip),
        XtMeaning::Comment("ns/svc:http".into())
    );
    let half = [
        &0u16.to_ne_bytes()[..],
        &0u16.to_ne_bytes(),
        &(1u32 << 30).to_ne_bytes(),
    ]
    .concat();
    assert_eq!(
        xt("statistic", 0, &half).read_match(Family::Ip),
        XtMeaning::StatisticRandom {
            probability: 1 << 30,
            inverted: false
        }
    );
    let local = [&0u16.to_ne_bytes()[..], &4u16.to_ne_bytes(), &[0; 4]].concat();
    assert_eq!(
        xt("addrtype", 1, &local).read_match(Family::Ip),
        XtMeaning::Addrtype {
            source: 0,
            destination: 4,
            invert_source: false,
            invert_destination: false
        }
    );
    assert_eq!(
        xt("MARK", 2, &[]).read_target(Family::Ip),
        XtMeaning::SetMark { value: 0, mask: 0 }
    );
    assert_eq!(
        xt("hashlimit", 3, &[1]).read_match(Family::Ip),
        XtMeaning::Unknown
    );
}

#[test]
fn intervals_merge_where_they_touch() {
    let keys = |ranges: &[(u8, u8)]| {
        let ranges = ranges.iter().map(|(a, b)| (vec![*a], vec![*b])).collect();
        build::intervals(ranges)
            .into_iter()
            .map(|e| (e.key[0], e.interval_end))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&[(5, 9), (1, 2)]),
        [(1, false), (3, true), (5, false), (10, true)]
    );
    assert_eq!(keys(&[(1, 4), (5, 9), (2, 3)]), [(1, false), (10, true)]);
    assert_eq!(keys(&[(1, 255), (7, 9)]), [(1, false)]);
    assert_eq!(keys(&[(0, 255)]), [(0, false)]);
}

#[test]
fn a_recording_keeps_a_rule() {
    let rule = Rule {
        exprs: every(),
        ..Rule::default()
    };
    let value = serde_json::to_value(&rule).expect("serialises");
    assert_eq!(serde_json::from_value::<Rule>(value).expect("reads"), rule);
}
