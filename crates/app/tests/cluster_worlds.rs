//! Worlds on the real kube-proxy and CoreDNS (`--real`): the same causes come first, the twins stay silent. Kinds that pass DNS or
//! the rules of Services, in both modes; the others say nothing new here.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod ring5;

use serde_json::Value;

const WORLDS: &[&str] = &[
    "client-asks-wrong-resolver",
    "corefile-denies-names",
    "dns-without-endpoints",
    "egress-policy-forgets-dns",
    "external-name-to-nowhere",
    "hairpin-off",
    "headless-without-ready-pods",
    "selector-matches-nothing",
    "service-deleted",
    "service-sends-to-wrong-port",
    "stale-rules-in-iptables",
    "stale-rules-on-a-node",
    "traffic-policy-local",
    "upstream-resolver-gone",
];

#[test]
fn worlds_on_the_real_programs_are_diagnosed_as_before() {
    let Some(cluster) = ring5::shared() else {
        return;
    };
    let only = WORLDS.join(",");
    let words = ["lab", "bench", "--real", "--only", &only, "-o", "json"];
    let said = cluster.run("netshoot", &words);
    let figures: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.err));
    println!("{}", figures["total"]);
    for kind in figures["kinds"].as_array().unwrap() {
        assert_eq!(kind["first"], kind["runs"], "{kind:#}\n{}", said.err);
    }
    assert_eq!(figures["twins"]["false_alarms"], 0, "{}", said.err);
    assert_eq!(figures["twins"]["runs"], 2 * WORLDS.len(), "{figures:#}");
    assert_eq!(figures["total"]["errors"], 0, "{}", said.err);
    assert_eq!(said.code, 0, "{}", said.err);
}

#[test]
fn the_real_programs_run_in_such_a_world_and_nothing_stays() {
    let Some(cluster) = ring5::shared() else {
        return;
    };
    let inside = "readlink /proc/self/ns/pid; ps aux | grep -c '[/]program -conf'; ps aux | grep -c 'kube-prox[y] --config'";
    let words = ["lab", "run", "selector-matches-nothing", "--real"];
    let place = ["--in", "node/node-a", "--", "sh", "-c", inside];
    let said = cluster.run("netshoot", &[&words[..], &place].concat()).ok();
    let counts: Vec<u32> = said.lines().filter_map(|l| l.trim().parse().ok()).collect();
    assert_eq!(counts.first(), Some(&2), "{said}");
    assert!(counts.last().is_some_and(|proxies| *proxies >= 2), "{said}");
    let own = said.lines().next().unwrap_or_default();
    assert!(own.starts_with("pid:["), "{said}");
    ring5::until("every process of the world to end", 20, || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let in_world = |p: &std::path::PathBuf| {
            std::fs::read_link(p.join("ns/pid")).is_ok_and(|ns| ns.as_os_str() == own)
        };
        let left: Vec<_> = all.map(|p| p.path()).filter(in_world).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
}
