//! The worlds' kube-proxy beside the real one: the same rules for the same objects, and the same ways for the same packets.

#![allow(dead_code)] // each test file uses its part

mod answers;
mod packets;

pub use answers::same_answers;

use crate::ring5::{Cluster, Space, until};
use netshoot_host::netns::NetNs;
use packets::{Scene, places};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

/// Services of many kinds, and what stands behind them.
pub fn town(space: &Space<'_>) {
    space.apply(include_str!("../ring5/shop.yaml"));
    space.apply(include_str!("../ring5/services.yaml"));
    let balanced = r#"{"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.98"}, {"ip": "2001:db8::98"}]}}}"#;
    let patch = ["patch", "service", "balanced", "--subresource=status"];
    space
        .kubectl(&[&patch[..], &["--type=merge", "-p", balanced]].concat())
        .ok();
    for object in ["deployment/web", "statefulset/db"] {
        space
            .kubectl(&["rollout", "status", object, "--timeout=60s"])
            .ok();
    }
    space.ready(&["pod/client-a", "pod/client-b", "pod/on-host", "pod/lone"]);
}

pub fn objects(cluster: &Cluster, kinds: &str) -> Vec<Value> {
    let text = cluster.kubectl(&["get", kinds, "-A", "-o", "json"]).ok();
    let list: Value = serde_json::from_str(&text).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// What a tool says in a network, told this.
fn fed(ns: &NetNs, words: &[&str], input: &str) -> String {
    let run = || {
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    };
    let output = ns.enter(run).unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What counts invalid packets, beside the rule that drops them.
const COUNTED: &str = " -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts";

/// Rules of a save by table and chain. Ours leave counting objects (nfacct) and kubelet's chains away; the order in the chains
/// that list Services is by chance.
fn chains(save: &str) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::<String, Vec<String>>::new();
    let mut table = "";
    for line in save.lines() {
        if line.starts_with('*') {
            table = line;
        }
        let Some((chain, rule)) = line.strip_prefix("-A ").and_then(|l| l.split_once(' ')) else {
            continue;
        };
        let counted_only = rule.starts_with("-d 127.0.0.0/8 ") && rule.contains("nfacct");
        if !line.contains("KUBE-") || line.contains("KUBE-FIREWALL") || counted_only {
            continue;
        }
        let rule = rule.replace(COUNTED, "");
        all.entry(format!("{table} {chain}"))
            .or_default()
            .push(rule);
    }
    for (chain, rules) in &mut all {
        if ["SERVICES", "NODEPORTS", "PROXY-FIREWALL"]
            .iter()
            .any(|c| chain.contains(c))
        {
            rules.sort();
        }
    }
    // What nothing jumps to any more is deleted by and by.
    let jumped: BTreeSet<String> = all
        .values()
        .flatten()
        .filter_map(|r| Some(r.split(" -j ").nth(1)?.split(' ').next()?.to_string()))
        .collect();
    all.retain(|chain, _| {
        let name = chain.split(' ').nth(1).unwrap_or_default();
        !name.starts_with("KUBE-SEP-") && !name.starts_with("KUBE-SVC-") || jumped.contains(name)
    });
    all
}

/// A listing of one table as a set of lines, each with the chain or set it stands in: order differs by hashing.
fn lines(listing: &str) -> BTreeSet<String> {
    let joined = listing.replace(",\n", ", ");
    let (mut block, mut all) = (String::new(), BTreeSet::new());
    for line in joined
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
    {
        if ["chain ", "set ", "map "]
            .iter()
            .any(|b| line.starts_with(b))
        {
            block = line;
        } else if let Some(elements) = line.strip_prefix("elements = {") {
            for element in elements.trim_end_matches('}').split(", ") {
                all.insert(format!("{block} {}", element.trim()));
            }
        } else if line.len() > 1 {
            all.insert(format!("{block} {line}"));
        }
    }
    all
}

fn differences<T: Ord + std::fmt::Debug>(ours: &BTreeSet<T>, theirs: &BTreeSet<T>) -> Vec<String> {
    let missing = theirs.difference(ours).map(|l| format!("missing: {l:?}"));
    let extra = ours.difference(theirs).map(|l| format!("extra: {l:?}"));
    missing.chain(extra).collect()
}

/// A listing as a set, in which rules of iptables keep their places.
fn rules(mode: &str, listing: &str) -> BTreeSet<String> {
    if mode != "iptables" {
        return lines(listing);
    }
    let numbered = chains(listing).into_iter().flat_map(|(chain, rules)| {
        let rules = rules.into_iter().enumerate();
        rules.map(move |(n, rule)| format!("{chain} {n}: {rule}"))
    });
    numbered.collect()
}

/// Where the rules of a mode and family are looked at, and how they are written down again.
struct Tools {
    list: Vec<&'static str>,
    load: Vec<&'static str>,
}

fn tools(mode: &str, v6: bool) -> Tools {
    let (list, load) = match (mode, v6) {
        ("iptables", false) => (vec!["iptables-save"], vec!["iptables-restore"]),
        ("iptables", true) => (vec!["ip6tables-save"], vec!["ip6tables-restore"]),
        (_, false) => (
            vec!["nft", "list", "table", "ip", "kube-proxy"],
            vec!["nft", "-f", "-"],
        ),
        (_, true) => (
            vec!["nft", "list", "table", "ip6", "kube-proxy"],
            vec!["nft", "-f", "-"],
        ),
    };
    Tools { list, load }
}

const KINDS: &str = "nodes,servicecidrs,services,endpointslices";

/// Until other tests' namespaces are gone the real one writes on: both are read again. Gives how many rules there are.
pub fn same_rules(cluster: &Cluster, node: &str, mode: &str, v6: bool) -> usize {
    until(&format!("the same rules in {mode} mode"), 60, || {
        let objects = objects(cluster, KINDS);
        let ns = NetNs::new().unwrap();
        netshoot_lab::proxy::sync(&ns, node, mode, &objects).unwrap();
        let list = tools(mode, v6).list;
        let (ours, theirs) = (fed(&ns, &list, ""), cluster.on(node, &list).ok());
        let (ours, theirs) = (rules(mode, &ours), rules(mode, &theirs));
        let found = differences(&ours, &theirs);
        if found.is_empty() {
            Ok(theirs.len())
        } else {
            Err(format!("{found:#?}"))
        }
    })
}

/// The real one's rules, and those of the worlds for the same objects, are each laid into a network; packets are sent through
/// both. Gives how many places were called by whom.
pub fn same_ways(space: &Space<'_>, node: &str, mode: &str, v6: bool) -> usize {
    let (cluster, tools) = (space.cluster, tools(mode, v6));
    let namespaces = ["default", "kube-system", &space.name];
    let ways = until(&format!("the same ways in {mode} mode"), 60, || {
        let objects = objects(cluster, KINDS);
        let theirs = cluster.on(node, &tools.list).ok();
        let places = places(node, &objects, &namespaces, v6);
        let (ours, theirs) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| {
                let scene = Scene::new(node, &objects);
                netshoot_lab::proxy::sync(&scene.node, node, mode, &objects).unwrap();
                scene.decisions(&places, v6)
            });
            let scene = Scene::new(node, &objects);
            fed(&scene.node, &tools.load, &loadable(&theirs));
            let theirs = scene.decisions(&places, v6);
            (ours.join().unwrap(), theirs)
        });
        let pairs = |all: BTreeMap<String, BTreeSet<String>>| all.into_iter().collect();
        let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = (pairs(ours), pairs(theirs));
        let found = differences(&ours, &theirs);
        if found.is_empty() {
            Ok(theirs)
        } else {
            Err(format!("{found:#?}"))
        }
    });
    // What never happened is not held by anything above.
    let seen: BTreeSet<&str> = ways
        .iter()
        .flat_map(|(_, w)| w)
        .map(String::as_str)
        .collect();
    assert!(
        seen.iter().any(|w| w.ends_with(" masqueraded")),
        "{ways:#?}"
    );
    assert!(
        seen.contains("refused") && seen.contains("dropped"),
        "{ways:#?}"
    );
    assert!(ways.iter().any(|(_, w)| w.len() == 5), "{ways:#?}");
    ways.len()
}

/// Counting objects cannot be loaded: they count only.
fn loadable(rules: &str) -> String {
    let lines = rules
        .lines()
        .filter(|l| !(l.contains("-d 127.0.0.0/8 ") && l.contains("nfacct")));
    let all = lines.map(|l| l.replace(COUNTED, "") + "\n");
    all.collect()
}
