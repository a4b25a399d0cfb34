//! The worlds' stand-ins meet the real thing: for the objects of this cluster, the worlds' kube-proxy writes the rules that the
//! real one wrote, in both modes, they do the same with real packets, and the worlds' DNS answers as the real CoreDNS does.
//! IPv6: `cluster_machine`, whose cluster has both families.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod ring5;
mod standins;

use netshoot_lab::controllers::system::COREFILE;
use netshoot_lab::dns::chain::{Chain, Kept, Over};
use netshoot_lab::dns::{corefile, zone::Zone};
use netshoot_wire::dns::{Message, rcode_word, type_number, type_word};
use ring5::{shared, until};
use serde_json::Value;
use standins::{objects, same_rules, same_ways, town};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

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
    for (node, mode) in [("node-a", "iptables"), ("node-b", "nftables")] {
        let rules = same_rules(&cluster, node, mode, false);
        let ways = same_ways(&space, node, mode, false);
        println!("{mode}: {rules} rules as the real kube-proxy's, {ways} ways of packets too");
        assert!(rules > 60 && ways > 60, "{rules} {ways}");
    }

    let node = cluster.node("node-a");
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
