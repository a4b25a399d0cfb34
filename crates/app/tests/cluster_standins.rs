//! The worlds' stand-ins meet the real thing: for the objects of this cluster, the worlds' kube-proxy writes the rules that the
//! real one wrote, in both modes, and the worlds' DNS answers as the real CoreDNS does.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod ring5;

use netshoot_host::netns::NetNs;
use netshoot_lab::controllers::system::COREFILE;
use netshoot_lab::dns::chain::{Chain, Kept, Over};
use netshoot_lab::dns::{corefile, zone::Zone};
use netshoot_wire::dns::{Message, rcode_word, type_number, type_word};
use ring5::{Cluster, Space, shared, until};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

/// Services of many kinds, and what stands behind them.
fn town(space: &Space<'_>) {
    space.apply(include_str!("ring5/shop.yaml"));
    space.apply(include_str!("ring5/services.yaml"));
    space
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])
        .ok();
    space
        .kubectl(&["rollout", "status", "statefulset/db", "--timeout=60s"])
        .ok();
    space.ready(&["pod/client-a", "pod/client-b", "pod/on-host", "pod/lone"]);
}

fn objects(cluster: &Cluster, kinds: &str) -> Vec<Value> {
    let text = cluster.kubectl(&["get", kinds, "-A", "-o", "json"]).ok();
    let list: Value = serde_json::from_str(&text).unwrap();
    list["items"].as_array().unwrap().clone()
}

fn shown(ns: &NetNs, tool: &str, words: &[&str]) -> String {
    let output = ns.enter(|| Command::new(tool).args(words).output());
    String::from_utf8_lossy(&output.unwrap().unwrap().stdout).into_owned()
}

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
        let rule = rule.replace(
            " -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts",
            "",
        );
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

/// Until other tests' namespaces are gone the real one writes on: both are read again.
fn as_the_real_one(cluster: &Cluster, mode: &str) -> usize {
    let node = if mode == "iptables" {
        "node-a"
    } else {
        "node-b"
    };
    until(&format!("the same rules in {mode} mode"), 60, || {
        let objects = objects(cluster, "nodes,servicecidrs,services,endpointslices");
        let ns = NetNs::new().unwrap();
        netshoot_lab::proxy::sync(&ns, node, mode, &objects).unwrap();
        let (ours, theirs) = if mode == "iptables" {
            let theirs = chains(&cluster.on(node, &["iptables-save"]).ok());
            (chains(&shown(&ns, "iptables-save", &[])), theirs)
        } else {
            let words = ["list", "table", "ip", "kube-proxy"];
            let theirs = cluster.on(node, &[&["nft"], &words[..]].concat()).ok();
            let whole =
                |text: &str| BTreeMap::from([(String::new(), lines(text).into_iter().collect())]);
            (whole(&shown(&ns, "nft", &words)), whole(&theirs))
        };
        let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
            (ours.into_iter().collect(), theirs.into_iter().collect());
        let found = if mode == "iptables" {
            differences(&ours, &theirs)
        } else {
            let flat = |all: &BTreeSet<(String, Vec<String>)>| -> BTreeSet<String> {
                all.iter().flat_map(|(_, lines)| lines.clone()).collect()
            };
            differences(&flat(&ours), &flat(&theirs))
        };
        let count = theirs.iter().map(|(_, rules)| rules.len()).sum();
        if found.is_empty() {
            Ok(count)
        } else {
            Err(format!("{found:#?}"))
        }
    })
}

/// What is asked about the Services and pods of a namespace.
fn questions(namespace: &str, objects: &[Value]) -> BTreeSet<(String, &'static str)> {
    let zone = "cluster.local";
    let mut all = BTreeSet::new();
    let text = |o: &Value, pointer: &str| {
        o.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string()
    };
    let mut reverse = |address: &str| {
        if address.parse::<std::net::Ipv4Addr>().is_err() {
            return; // a headless Service, a pod without address
        }
        let parts: Vec<&str> = address.split('.').rev().collect();
        all.insert((format!("{}.in-addr.arpa", parts.join(".")), "PTR"));
    };
    for object in objects
        .iter()
        .filter(|o| text(o, "/metadata/namespace") == namespace)
    {
        reverse(&text(object, "/spec/clusterIP"));
        reverse(&text(object, "/status/podIP"));
    }
    reverse("10.96.0.1");
    reverse("10.96.0.10");
    reverse("10.96.0.99");
    reverse("192.0.2.1");
    for object in objects
        .iter()
        .filter(|o| text(o, "/metadata/namespace") == namespace)
    {
        let name = text(object, "/metadata/name");
        if text(object, "/kind") == "Service" {
            let full = format!("{name}.{namespace}.svc.{zone}");
            for kind in ["A", "AAAA", "SRV", "TXT", "ANY", "CNAME", "MX", "NS"] {
                all.insert((full.clone(), kind));
            }
            for port in [
                "_http._tcp",
                "_sql._tcp",
                "_echo._udp",
                "_http._udp",
                "_none._tcp",
            ] {
                all.insert((format!("{port}.{full}"), "SRV"));
                all.insert((format!("{port}.{full}"), "A"));
            }
            for host in ["db-0", "db-1", "db-7", "nobody"] {
                all.insert((format!("{host}.{full}"), "A"));
                all.insert((format!("{host}.{full}"), "AAAA"));
            }
        } else if text(object, "/kind") == "Pod" {
            let dashed = text(object, "/status/podIP").replace('.', "-");
            for kind in ["A", "AAAA", "TXT"] {
                all.insert((format!("{dashed}.{namespace}.pod.{zone}"), kind));
            }
            all.insert((format!("{dashed}.web-headless.{namespace}.svc.{zone}"), "A"));
            all.insert((format!("{dashed}.web.{namespace}.svc.{zone}"), "A"));
        }
    }
    for name in [
        "cluster.local",
        "svc.cluster.local",
        "pod.cluster.local",
        "kube-system.svc.cluster.local",
        "dns-version.cluster.local",
        "kubernetes.default.svc.cluster.local",
        "KUBE-dns.Kube-System.svc.cluster.LOCAL",
        "nosuch.default.svc.cluster.local",
        "web.nosuch.svc.cluster.local",
        "1-2-3-4.nosuch.pod.cluster.local",
        "1-2-3-4.default.pod.cluster.local",
        "x.default.pod.cluster.local",
        "a.b.c.d.svc.cluster.local",
        "web",
        "default",
        "www.example.test",
        "example.test",
        "www.nosuch.test",
        "ns.dns.cluster.local",
        "10.in-addr.arpa",
    ] {
        for kind in ["A", "AAAA", "SOA", "NS", "SRV", "TXT"] {
            all.insert((name.to_string(), kind));
        }
    }
    all
}

/// A reply as a set of lines. Serials are moments, and a cache counts its seconds down.
fn told(m: &Message) -> Vec<String> {
    let flag = |on: bool, word: &'static str| if on { word } else { "" };
    let mut all = vec![format!(
        "{} {} {} {}",
        rcode_word(m.rcode),
        flag(m.authoritative, "aa"),
        flag(m.truncated, "tc"),
        flag(m.recursion_available, "ra")
    )];
    for (section, records) in [
        ("answer", &m.answers),
        ("authority", &m.authorities),
        ("additional", &m.additional),
    ] {
        for r in records {
            let data = r.data.to_string();
            let words = data.split(' ').enumerate();
            let data: Vec<&str> = words
                .map(|(i, w)| {
                    if type_word(r.rtype) == "SOA" && i == 2 {
                        "SERIAL"
                    } else {
                        w
                    }
                })
                .collect();
            all.push(format!(
                "{section} {} {} {}",
                r.name,
                type_word(r.rtype),
                data.join(" ")
            ));
        }
    }
    all.sort();
    all
}

#[test]
fn stand_ins_do_as_the_real_ones() {
    let Some(cluster) = shared() else { return };
    let space = cluster.namespace("kinds");
    town(&space);
    for mode in ["iptables", "nftables"] {
        let rules = as_the_real_one(&cluster, mode);
        println!("{mode}: {rules} rules as the real kube-proxy's");
        assert!(rules > 60, "{rules}");
    }

    let settings = std::fs::read_to_string(cluster.state().join("settings")).unwrap();
    let name = settings
        .lines()
        .find_map(|l| l.strip_prefix("CLUSTER_NAME="))
        .unwrap();
    let node = NetNs::open(&format!("/run/netns/{name}-node-a")).unwrap();
    let compared = until("the same answers", 30, || {
        let objects = objects(&cluster, "namespaces,services,endpointslices,pods");
        let text = COREFILE.replace("/etc/resolv.conf", "198.51.100.53");
        let blocks = corefile::parse(&text, "").unwrap();
        let seen = blocks.into_iter().map(|b| {
            let zone = b.kubernetes.as_ref().map(|k| Zone::new(&objects, k, 7));
            (b, zone)
        });
        let (chain, kept) = (
            Chain {
                blocks: seen.collect(),
            },
            Kept::default(),
        );
        let asked = questions(&space.name, &objects);
        let differ = node.enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect("10.96.0.10:53").unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(3)))
                .unwrap();
            let differ = asked.iter().filter_map(|(name, kind)| {
                let query = Message::query(id_of(name, kind), name, type_number(kind).unwrap());
                socket.send(&query.encode().unwrap()).unwrap();
                let mut bytes = [0; 4096];
                let theirs = loop {
                    let Ok(length) = socket.recv(&mut bytes) else {
                        return Some(format!("{name} {kind}: no answer"));
                    };
                    let reply = Message::decode(&bytes[..length]).unwrap();
                    if reply.id == query.id {
                        break reply;
                    }
                };
                let ours = chain.answer(&query, Over::Udp, 53, &kept);
                let (ours, theirs) = (told(&ours), told(&theirs));
                (ours != theirs)
                    .then(|| format!("{name} {kind}: ours {ours:#?}\ntheirs {theirs:#?}"))
            });
            differ.collect::<Vec<_>>()
        });
        let differ = differ.unwrap();
        if differ.is_empty() {
            Ok(asked.len())
        } else {
            Err(differ.join("\n"))
        }
    });
    println!("{compared} questions answered as the real CoreDNS does");
    assert!(compared > 200, "{compared}");
}

/// A number that tells an answer from a late one of another question.
fn id_of(name: &str, kind: &str) -> u16 {
    let sum = name
        .bytes()
        .chain(kind.bytes())
        .fold(7u32, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
    (sum ^ (sum >> 16)) as u16
}
