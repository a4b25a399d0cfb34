//! Ours against Debian's `nft`, each in a namespace of its own.

use super::*;
use crate::testing::{in_new_netns, oracle_text};
use netshoot_wire::nft::build::{End, concat, intervals, key_type, network_range, state};
use netshoot_wire::nft::expr::NAT_FULLY_RANDOM;
use netshoot_wire::nft::{Expr, Hook, MetaKey, Verdict};
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn base(kind: &str, point: &str, priority: i32) -> Option<Hook> {
    Some(Hook {
        kind: kind.into(),
        point: point.into(),
        priority,
        policy_drop: false,
        policy_packets: None,
    })
}

/// One table with most of what the proxy and the policy agent write.
fn sample(v6: bool) -> Table {
    let (own, net) = if v6 {
        (ip("fd96::a"), ip("fd44::"))
    } else {
        (ip("10.96.0.10"), ip("10.244.0.0"))
    };
    let address = netshoot_wire::nft::build::address_bytes(own);
    let len = u32::try_from(address.len()).expect("a length");
    let part = if v6 { key_type::IPV6 } else { key_type::IPV4 };
    let services = Set {
        name: "services".into(),
        key_type: key_type::concat(&[part, key_type::PROTOCOL, key_type::PORT]),
        key_len: len + 8,
        fields: vec![len, 1, 2],
        map: true,
        verdicts: true,
        comment: "addresses of services".into(),
        elements: vec![Element {
            key: concat(&[&address, &[6], &80u16.to_be_bytes()]),
            verdict: Some(Verdict::Goto("web".into())),
            comment: "default/web".into(),
            ..Element::default()
        }],
        ..Set::default()
    };
    let mut pods = Set::addresses("pods", v6);
    pods.interval = true;
    pods.elements = intervals(vec![network_range(net, if v6 { 64 } else { 16 })]);
    let mut sticky = Set::addresses("sticky", v6);
    sticky.dynamic = true;
    sticky.timeout_ms = 10_800_000;
    let parts = Rule::new()
        .load_address(1, v6, End::Destination)
        .expr(Expr::Meta {
            dreg: if v6 { 2 } else { 9 },
            key: MetaKey::L4proto,
        })
        .load_port(if v6 { 13 } else { 10 }, End::Destination)
        .verdict_map(1, "services");
    // The kernel names registers by their 16-byte number where it can.
    Table {
        family: if v6 { Family::Ip6 } else { Family::Ip },
        name: "t".into(),
        comment: "a test".into(),
        chains: vec![
            Chain {
                name: "pre".into(),
                hook: base("nat", "prerouting", -100),
                rules: vec![
                    parts.comment("by address"),
                    Rule::new().iifname(true, "lo").counter().drop(),
                    Rule::new()
                        .address_in(End::Source, false, v6, "pods")
                        .mark_change(0x4000, 0x4000),
                ],
                ..Chain::default()
            },
            Chain {
                name: "post".into(),
                hook: base("nat", "postrouting", 100),
                rules: vec![Rule::new().mark_has(0x4000).masquerade(NAT_FULLY_RANDOM)],
                ..Chain::default()
            },
            Chain {
                name: "forward".into(),
                hook: base("filter", "forward", 0),
                rules: vec![
                    Rule::new()
                        .ct_state(state::ESTABLISHED | state::RELATED)
                        .accept(),
                    Rule::new()
                        .protocol(6)
                        .ports(End::Destination, 8000, 8080)
                        .network(End::Source, false, net, if v6 { 65 } else { 17 })
                        .reject(v6)
                        .comment("closed"),
                ],
                ..Chain::default()
            },
            Chain {
                name: "web".into(),
                rules: vec![Rule::new().random(2).verdict_map(1, "__map0")],
                ..Chain::default()
            },
            Chain {
                name: "one".into(),
                comment: "first backend".into(),
                rules: vec![
                    Rule::new()
                        .load_address(1, v6, End::Source)
                        .update_set(1, "sticky"),
                    Rule::new().protocol(6).dnat(own, 8080),
                ],
                ..Chain::default()
            },
            Chain {
                name: "two".into(),
                ..Chain::default()
            },
        ],
        sets: vec![
            services,
            pods,
            sticky,
            Set::choice("__map0", ["one", "two"].map(|c| Verdict::Goto(c.into()))),
        ],
        ..Table::default()
    }
}

/// What the kernel adds by itself.
fn comparable(mut table: Table) -> Table {
    table.sets.sort_by(|a, b| a.name.cmp(&b.name));
    for set in &mut table.sets {
        set.size = 0;
        set.timeout |= set.timeout_ms > 0;
        set.elements.sort_by(|a, b| a.key.cmp(&b.key));
    }
    for chain in &mut table.chains {
        for rule in &mut chain.rules {
            rule.handle = 0;
        }
    }
    table
}

#[test]
fn what_is_applied_is_dumped() {
    for v6 in [false, true] {
        in_new_netns(|| {
            let table = sample(v6);
            Batch::new().replace(&table).apply().expect("applies");
            let found = dump().expect("dumps");
            assert_eq!(found.len(), 1);
            assert_eq!(comparable(found[0].clone()), comparable(table.clone()));
            // What was dumped can be put back, over itself.
            Batch::new()
                .replace(&found[0])
                .apply()
                .expect("applies again");
            assert_eq!(
                comparable(dump().expect("dumps")[0].clone()),
                comparable(table)
            );
        });
    }
}

#[test]
fn nft_lists_what_we_applied() {
    in_new_netns(|| {
        Batch::new()
            .replace(&sample(false))
            .apply()
            .expect("applies");
        let Some(text) = oracle_text("nft", &["list", "ruleset"]) else {
            return;
        };
        for line in [
            "table ip t {",
            "type ipv4_addr . inet_proto . inet_service : verdict",
            "elements = { 10.96.0.10 . tcp . 80 comment \"default/web\" : goto web }",
            "elements = { 10.244.0.0/16 }",
            "timeout 3h",
            "type nat hook prerouting priority dstnat; policy accept;",
            "ip daddr . meta l4proto . th dport vmap @services comment \"by address\"",
            "iifname \"lo\" counter packets 0 bytes 0 drop",
            "ip saddr != @pods meta mark set meta mark | 0x00004000",
            "meta mark & 0x00004000 != 0x00000000 masquerade fully-random",
            "ct state established,related accept",
            "tcp dport 8000-8080 ip saddr != 10.244.0.0/17 reject comment \"closed\"",
            "numgen random mod 2 vmap { 0 : goto one, 1 : goto two }",
            "update @sticky { ip saddr }",
            "meta l4proto tcp dnat to 10.96.0.10:8080",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    });
}

#[test]
fn what_nft_loaded_is_read() {
    let script = r#"
table inet x {
  set ports { type inet_service; flags interval; elements = { 80, 8000-8100 } }
  map m { type mark : ipv4_addr; elements = { 0x1 : 10.0.0.1 } }
  set nets { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 80-90 } }
  chain input {
    type filter hook input priority filter; policy drop;
    ct state vmap { invalid : drop, established : accept }
    tcp dport @ports ct direction original limit rate 5/second burst 7 packets counter accept
    ip saddr . tcp dport @nets log prefix "seen " level info accept
    fib daddr type local meta l4proto { tcp, udp } reject with icmpx admin-prohibited
    tcp flags syn / syn,ack tcp option maxseg size set 1300
    ip6 daddr fd00::/8 tcp dport != 53 reject with tcp reset
    iifname "eth*" meta mark & 0xff == 0x10 quota over 10 mbytes drop
    jhash ip saddr mod 4 seed 0x1 0 ct count over 3 notrack
  }
  chain out {
    type nat hook postrouting priority srcnat;
    ip daddr 10.0.0.0/8 snat ip to 10.1.1.1-10.1.1.9 persistent
    oifname "eth0" tcp sport 1-1023 masquerade to :1024-65535
  }
}
"#;
    in_new_netns(|| {
        let Ok(mut child) = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
        else {
            println!("SKIPPED: nft is not installed");
            return;
        };
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(script.as_bytes()).expect("written");
        drop(stdin);
        assert!(child.wait().expect("ends").success());
        let before = oracle_text("nft", &["list", "ruleset"]).expect("nft is here");
        let tables = dump().expect("dumps");
        let exprs: Vec<&Expr> = tables
            .iter()
            .flat_map(|t| &t.chains)
            .flat_map(|c| &c.rules)
            .flat_map(|r| &r.exprs)
            .collect();
        let unknown: Vec<_> = exprs
            .iter()
            .filter(|e| matches!(e, Expr::Other { .. }))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        let chain = &tables[0].chains[0];
        assert!(
            chain
                .hook
                .as_ref()
                .is_some_and(|h| h.policy_drop && h.point == "input")
        );
        assert!(exprs.iter().any(|e| matches!(
            e,
            Expr::Limit {
                rate: 5,
                burst: 7,
                ..
            }
        )));
        assert!(
            exprs
                .iter()
                .any(|e| matches!(e, Expr::Log { prefix, level: 6, .. } if prefix == "seen "))
        );
        // Everything was understood: written back by us, nft shows the same.
        let mut batch = Batch::new();
        batch.replace(&tables[0]).apply().expect("applies");
        let after = oracle_text("nft", &["list", "ruleset"]).expect("nft is here");
        assert_eq!(before, after);
    });
}

#[test]
fn single_changes() {
    in_new_netns(|| {
        let t = (Family::Inet, "t");
        let chain = Chain {
            name: "c".into(),
            hook: base("filter", "input", 0),
            ..Chain::default()
        };
        Batch::new()
            .add_table(t.0, t.1, "")
            .add_chain(t.0, t.1, &chain)
            .add_rule(t.0, t.1, "c", &Rule::new().comment("second").accept())
            .insert_rule(t.0, t.1, "c", &Rule::new().comment("first").drop(), None)
            .set_policy(t.0, t.1, "c", true)
            .apply()
            .expect("applies");
        let chain = dump().expect("dumps")[0].chains[0].clone();
        assert!(chain.hook.as_ref().is_some_and(|h| h.policy_drop));
        let words: Vec<_> = chain.rules.iter().map(|r| r.comment.as_str()).collect();
        assert_eq!(words, ["first", "second"]);
        Batch::new()
            .delete_rule(t.0, t.1, "c", chain.rules[0].handle)
            .apply()
            .expect("applies");
        assert_eq!(dump().expect("dumps")[0].chains[0].rules.len(), 1);
        // The refused change is named, and nothing of its batch is done.
        let error = Batch::new()
            .flush_table(t.0, t.1)
            .add_rule(t.0, t.1, "nowhere", &Rule::new().accept())
            .apply()
            .expect_err("no such chain");
        assert!(
            error.to_string().contains("add rule inet t nowhere"),
            "{error}"
        );
        assert_eq!(error.errno(), Some(libc::ENOENT));
        assert_eq!(dump().expect("dumps")[0].chains[0].rules.len(), 1);
        Batch::new()
            .remove_table(t.0, t.1)
            .apply()
            .expect("applies");
        assert_eq!(dump().expect("dumps"), Vec::new());
    });
}
