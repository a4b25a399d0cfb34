//! What kube-proxy's nftables mode is made of: sets, maps of verdicts.

use super::*;
use netshoot_wire::nft::Element;
use netshoot_wire::nft::build::{intervals, network_range};

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
