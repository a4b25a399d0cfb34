//! The worlds' DNS beside the real CoreDNS: the same answers to the same questions.

use super::objects;
use crate::ring5::{Cluster, Space, until};
use netshoot_lab::controllers::system::COREFILE;
use netshoot_lab::dns::chain::{Chain, Kept, Over};
use netshoot_lab::dns::{corefile, zone::Zone};
use netshoot_wire::dns::{Message, rcode_word, type_number, type_word};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
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
    let texts = |o: &Value, pointer: &str, field: &str| -> Vec<String> {
        let list = o.pointer(pointer).and_then(Value::as_array);
        let words = list.into_iter().flatten();
        let words = words.filter_map(|w| w.as_str().or_else(|| w[field].as_str()));
        words.map(str::to_string).collect()
    };
    let mut reverse = |address: &str| {
        let Ok(address) = address.parse::<IpAddr>() else {
            return; // a headless Service
        };
        all.insert((backwards(address), "PTR"));
    };
    for object in objects
        .iter()
        .filter(|o| text(o, "/metadata/namespace") == namespace)
    {
        let services = texts(object, "/spec/clusterIPs", "");
        let pods = texts(object, "/status/podIPs", "ip");
        for address in services.iter().chain(&pods) {
            reverse(address);
        }
    }
    for address in ["fd96::1", "fd96::99", "2001:db8::80", "2001:db8::1"] {
        reverse(address);
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
            for address in texts(object, "/status/podIPs", "ip") {
                let dashed = address.replace(['.', ':'], "-");
                for kind in ["A", "AAAA", "TXT"] {
                    all.insert((format!("{dashed}.{namespace}.pod.{zone}"), kind));
                }
                for service in ["web-headless", "db", "web"] {
                    for kind in ["A", "AAAA"] {
                        all.insert((format!("{dashed}.{service}.{namespace}.svc.{zone}"), kind));
                    }
                }
            }
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
        "6.9.d.f.ip6.arpa",
        "fd44--1.default.pod.cluster.local",
        "fd44--x.default.pod.cluster.local",
    ] {
        for kind in ["A", "AAAA", "SOA", "NS", "SRV", "TXT"] {
            all.insert((name.to_string(), kind));
        }
    }
    all
}

/// The name below in-addr.arpa or ip6.arpa.
fn backwards(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let parts = v4.octets().into_iter().rev();
            let parts: Vec<String> = parts.map(|p| p.to_string()).collect();
            format!("{}.in-addr.arpa", parts.join("."))
        }
        IpAddr::V6(v6) => {
            let halves = v6.octets().into_iter().rev().flat_map(|o| [o & 15, o >> 4]);
            let halves: Vec<String> = halves.map(|h| format!("{h:x}")).collect();
            format!("{}.ip6.arpa", halves.join("."))
        }
    }
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

/// Asks the cluster's DNS and ours about all that is in the namespace; how many questions.
pub fn same_answers(cluster: &Cluster, space: &Space<'_>) -> usize {
    let node = cluster.node("node-a");
    until("the same answers", 30, || {
        let objects = objects(cluster, "namespaces,services,endpointslices,pods");
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
    })
}

/// A number that tells an answer from a late one of another question.
fn id_of(name: &str, kind: &str) -> u16 {
    let sum = name
        .bytes()
        .chain(kind.bytes())
        .fold(7u32, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
    (sum ^ (sum >> 16)) as u16
}
