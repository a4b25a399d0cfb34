//! Damaged Corefiles, objects and names.

use super::corefile::parse;
use super::zone::{Answered, Zone};
use crate::controllers::system::COREFILE;
use netshoot_wire::dns::{Message, rcode, rtype};
use netshoot_wire::fuzz;
use serde_json::Value;

const RESOLV: &str = "nameserver 198.51.100.53\nnameserver 2001:db8::53\n";
const OTHERS: &str = "shop.example:5353, dns://x.:54 {\n  hosts {\n    10.0.0.1 a.example b.example\n    ttl 60\n    fallthrough\n  }\n  template IN A example. {\n    rcode NXDOMAIN\n    answer \"{{ .Name }} 60 IN A 10.0.0.9\"\n  }\n  forward example. 10.0.0.53 [::1]:54 {\n    except a.example\n    force_tcp\n  }\n  cache 5\n}\n";

#[test]
fn a_damaged_corefile_is_refused_with_its_line() {
    let mut read = 0;
    fuzz::texts(&[COREFILE, OTHERS], 20_000, |text| {
        match parse(text, RESOLV) {
            Ok(blocks) => {
                read += 1;
                assert!(!blocks.is_empty());
                for block in blocks {
                    let zones = block.kubernetes.iter().flat_map(|k| &k.zones);
                    for zone in block.zones.iter().chain(zones) {
                        assert!(!zone.ends_with('.'), "{zone:?} of {text}");
                    }
                    assert!(block.forwards.iter().all(|f| !f.to.is_empty()), "{text}");
                }
            }
            Err(why) => assert!(why.starts_with("/etc/coredns/Corefile:"), "{why}"),
        }
    });
    assert!(read > 1000, "{read}");
}

#[test]
fn a_corefile_of_blocks_within_blocks_is_refused() {
    let said = parse(&"a {\n".repeat(200_000), RESOLV).unwrap_err();
    assert!(said.contains("deep"), "{said}");
}

fn names(objects: &[Value]) -> Vec<String> {
    let of = |o: &Value| {
        let (name, namespace) = (crate::shape::name(o), crate::shape::namespace(o));
        format!("{name}.{namespace}.svc.cluster.local.")
    };
    let mut names: Vec<String> = objects
        .iter()
        .filter(|o| crate::shape::kind(o) == "Service")
        .map(of)
        .collect();
    for more in [
        "_http._tcp.web.shop.svc.cluster.local.",
        "10.0.96.10.in-addr.arpa.",
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.d.f.ip6.arpa.",
        "10-244-1-2.shop.pod.cluster.local.",
        "dns-version.cluster.local.",
        "cluster.local.",
    ] {
        names.push(more.into());
    }
    names
}

#[test]
fn any_name_is_answered_in_a_message_that_can_be_sent() {
    let text = include_str!("real/dual.objects.json");
    let objects: Vec<Value> = serde_json::from_str(text).unwrap();
    let settings = parse(COREFILE, RESOLV)
        .unwrap()
        .remove(0)
        .kubernetes
        .unwrap();
    let zone = Zone::new(&objects, &settings, 7);
    let names = names(&objects);
    let seeds: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut found = 0;
    fuzz::texts(&seeds, 5_000, |name| {
        for asked in [rtype::A, rtype::AAAA, rtype::SRV, rtype::PTR, 255] {
            // As it comes out of a message: without the final dot.
            let query = Message::query(7, name, asked);
            let name = &query.questions[0].name;
            let Answered::Here(said) = zone.answer(name, asked) else {
                continue;
            };
            if said.rcode == rcode::NXDOMAIN {
                assert!(said.answers.is_empty(), "{name}");
            }
            found += said.answers.len();
            // A name that no message can carry cannot have been asked for.
            if query.encode().is_ok() {
                let mut reply = query.reply(said.rcode);
                reply.answers = said.answers;
                assert!(reply.encode().is_ok(), "{name:?} {reply:?}");
            }
        }
    });
    assert!(found > 500, "{found}");
}

#[test]
fn damaged_objects_make_a_zone() {
    let text = include_str!("real/single.objects.json");
    let settings = parse(COREFILE, RESOLV)
        .unwrap()
        .remove(0)
        .kubernetes
        .unwrap();
    let objects: Vec<Value> = serde_json::from_str(text).unwrap();
    let names = names(&objects);
    let mut read = 0;
    fuzz::texts(&[text], 200, |text| {
        let Ok(objects) = serde_json::from_str::<Vec<Value>>(text) else {
            return;
        };
        read += 1;
        let zone = Zone::new(&objects, &settings, 7);
        for name in &names {
            zone.answer(name, rtype::A);
            zone.answer(name, rtype::SRV);
        }
    });
    assert!(read > 20, "{read}");
}
