//! Damaged sentences and ends: what is understood of them can be said again.

use super::tests::{SENTENCES, shop};
use super::words::host_port;
use super::{Request, understand};
use crate::path::{Conversation, Destination};
use crate::topology::Topology;
use netshoot_wire::fuzz;

const ENDS: &[&str] = &[
    "svc/cart:8080",
    "svc/cart.shop:8080",
    "service/stock.warehouse.svc.cluster.local:5432",
    "pod/web-5f-x1:80",
    "pod/web-5f-x1.shop:80",
    "deploy/worker",
    "node/node-a",
    "https://example.com/x?y=1",
    "http://user:pw@api.shop/v1",
    "[fd00::1]:443",
    "10.0.0.1:53",
];

fn request(said: &str, from: &str, to: &str, namespace: &str) -> Request {
    Request {
        said: said.into(),
        namespace: namespace.into(),
        from: from.into(),
        to: to.into(),
    }
}

#[test]
fn any_sentence_is_survived() {
    let snapshot = shop();
    let topology = Topology::new(&snapshot);
    let seeds: Vec<&str> = SENTENCES.iter().map(|s| s.0).collect();
    let mut understood = 0;
    fuzz::texts(&seeds, 700, |said| {
        let (u, all) = understand(&topology, &request(said, "", "", "shop"));
        assert_eq!(u.asked_back.is_empty(), !all.is_empty(), "{said}");
        understood += usize::from(!all.is_empty());
    });
    assert!(understood > 100, "{understood}");
}

/// An end as a report's command says it.
fn said_again(c: &Conversation) -> String {
    match &c.to {
        Destination::Service(r) => format!("svc/{}.{}:{}", r.name, r.namespace, c.port),
        Destination::Pod(r) => format!("pod/{}.{}:{}", r.name, r.namespace, c.port),
        Destination::Host(h) if h.contains(':') => format!("[{h}]:{}", c.port),
        Destination::Host(h) => format!("{h}:{}", c.port),
    }
}

#[test]
fn an_end_that_is_understood_can_be_said_again() {
    let snapshot = shop();
    let topology = Topology::new(&snapshot);
    let mut understood = 0;
    fuzz::texts(ENDS, 4_000, |text| {
        let (u, _) = understand(&topology, &request("", text, "", "shop"));
        assert!(!u.namespace.is_empty());
        let (_, all) = understand(&topology, &request("", "pod/web-5f-x1", text, "shop"));
        for c in all {
            understood += 1;
            let again = said_again(&c);
            let (u, same) = understand(&topology, &request("", "pod/web-5f-x1", &again, "shop"));
            let same = same.first().map(|s| (&s.to, s.port));
            assert_eq!(same, Some((&c.to, c.port)), "{text:?} {again:?} {u:?}");
        }
    });
    assert!(understood > 500, "{understood}");
}

#[test]
fn host_and_port_are_parts_of_the_text() {
    fuzz::texts(ENDS, 20_000, |text| {
        let (host, port) = host_port(text);
        assert!(text.contains(host));
        if let Some(port) = port {
            assert!(text.ends_with(&format!(":{port}")), "{text}");
        }
    });
}
