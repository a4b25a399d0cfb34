use super::zone::{Answered, Found, Zone};
use super::{from_table, upstreams};
use netshoot_wire::dns::{Message, rcode, rtype, type_number};
use serde_json::json;
use std::collections::BTreeMap;

fn zone() -> Zone {
    let slice = |name: &str, service: &str, addresses: &[(&str, &str, bool)], port: (&str, u16)| {
        let endpoints: Vec<_> = addresses
            .iter()
            .map(|(a, h, ready)| {
                if h.is_empty() {
                    json!({"addresses": [a], "conditions": {"ready": ready}})
                } else {
                    json!({"addresses": [a], "hostname": h, "conditions": {"ready": ready}})
                }
            })
            .collect();
        json!({"kind": "EndpointSlice", "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": service}}, "ports": [{"name": port.0, "port": port.1, "protocol": "TCP"}], "endpoints": endpoints})
    };
    let service = |name: &str, spec| json!({"kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    Zone::new(
        &[
            json!({"kind": "Namespace", "metadata": {"name": "shop"}}),
            service(
                "web",
                json!({"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}),
            ),
            service(
                "dual",
                json!({"clusterIP": "fd96::1", "clusterIPs": ["fd96::1", "10.96.1.2"], "ports": [{"port": 80}]}),
            ),
            service(
                "db",
                json!({"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]}),
            ),
            service(
                "ext",
                json!({"type": "ExternalName", "externalName": "api.example.test"}),
            ),
            service(
                "alias",
                json!({"type": "ExternalName", "externalName": "web.shop.svc.cluster.local"}),
            ),
            slice(
                "db-1",
                "db",
                &[
                    ("10.244.1.3", "db-0", true),
                    ("10.244.2.4", "", true),
                    ("10.244.2.5", "db-2", false),
                ],
                ("sql", 5432),
            ),
        ],
        7,
    )
}

fn here(name: &str, kind: &str) -> Found {
    match zone().answer(name, type_number(kind).unwrap()) {
        Answered::Here(found) => found,
        Answered::Elsewhere => panic!("{name} {kind} is forwarded"),
    }
}

/// Rows as the real CoreDNS 1.15 answered them.
#[test]
fn answers_are_those_of_the_real_one() {
    let rows: &[(&str, &str, u16, &[&str])] = &[
        (
            "web.shop.svc.cluster.local",
            "A",
            rcode::NOERROR,
            &["10.96.1.1"],
        ),
        (
            "WEB.shop.svc.cluster.local.",
            "A",
            rcode::NOERROR,
            &["10.96.1.1"],
        ),
        ("web.shop.svc.cluster.local", "AAAA", rcode::NOERROR, &[]),
        (
            "dual.shop.svc.cluster.local",
            "AAAA",
            rcode::NOERROR,
            &["fd96::1"],
        ),
        (
            "dual.shop.svc.cluster.local",
            "A",
            rcode::NOERROR,
            &["10.96.1.2"],
        ),
        (
            "db.shop.svc.cluster.local",
            "A",
            rcode::NOERROR,
            &["10.244.1.3", "10.244.2.4"],
        ),
        (
            "db-0.db.shop.svc.cluster.local",
            "A",
            rcode::NOERROR,
            &["10.244.1.3"],
        ),
        (
            "10-244-2-4.db.shop.svc.cluster.local",
            "A",
            rcode::NOERROR,
            &["10.244.2.4"],
        ),
        ("db-2.db.shop.svc.cluster.local", "A", rcode::NXDOMAIN, &[]),
        ("none.shop.svc.cluster.local", "A", rcode::NXDOMAIN, &[]),
        ("web.nowhere.svc.cluster.local", "A", rcode::NXDOMAIN, &[]),
        ("shop.svc.cluster.local", "A", rcode::NOERROR, &[]),
        ("nowhere.svc.cluster.local", "A", rcode::NXDOMAIN, &[]),
        ("svc.cluster.local", "A", rcode::NOERROR, &[]),
        ("cluster.local", "A", rcode::NOERROR, &[]),
        (
            "10-1-2-3.shop.pod.cluster.local",
            "A",
            rcode::NOERROR,
            &["10.1.2.3"],
        ),
        (
            "_x._tcp.web.shop.svc.cluster.local",
            "SRV",
            rcode::NXDOMAIN,
            &[],
        ),
        (
            "_http._udp.web.shop.svc.cluster.local",
            "SRV",
            rcode::NXDOMAIN,
            &[],
        ),
        (
            "1.1.96.10.in-addr.arpa",
            "PTR",
            rcode::NOERROR,
            &["web.shop.svc.cluster.local"],
        ),
    ];
    for (name, kind, code, want) in rows {
        let found = here(name, kind);
        let got: Vec<String> = found
            .answers
            .iter()
            .map(|r| r.data.to_string().trim_end_matches('.').to_string())
            .collect();
        assert_eq!(
            (found.rcode, got),
            (*code, want.iter().map(|w| w.to_string()).collect()),
            "{name} {kind}"
        );
        assert_eq!(
            found.answers.is_empty(),
            !found.authorities.is_empty(),
            "{name} {kind}: a SOA where there is no answer"
        );
    }
}

#[test]
fn services_as_srv() {
    let found = here("_http._tcp.web.shop.svc.cluster.local", "SRV");
    assert_eq!((found.answers.len(), found.additional.len()), (1, 1));
    let found = here("_sql._tcp.db.shop.svc.cluster.local", "SRV");
    let text: Vec<String> = found.answers.iter().map(|r| r.data.to_string()).collect();
    assert!(
        text.iter()
            .any(|t| t.contains("50 5432 db-0.db.shop.svc.cluster.local")),
        "{text:?}"
    );
}

#[test]
fn names_of_others_are_forwarded() {
    for name in ["example.test", "notcluster.local", "8.8.8.8.in-addr.arpa"] {
        assert!(
            matches!(zone().answer(name, rtype::A), Answered::Elsewhere),
            "{name}"
        );
    }
    let found = here("ext.shop.svc.cluster.local", "A");
    assert_eq!(
        (found.answers.len(), found.chase.as_deref()),
        (1, Some("api.example.test"))
    );
    let found = here("alias.shop.svc.cluster.local", "A");
    assert_eq!((found.answers.len(), found.chase), (2, None));
}

#[test]
fn where_forward_goes() {
    let own = "nameserver 198.51.100.53\n";
    for (corefile, want) in [
        (
            ".:53 {\n    forward . /etc/resolv.conf {\n",
            "198.51.100.53:53",
        ),
        ("forward . 192.0.2.7", "192.0.2.7:53"),
        ("forward . [2001:db8::1]:5353", "[2001:db8::1]:5353"),
    ] {
        assert_eq!(
            upstreams(corefile, own)
                .iter()
                .map(|a| a.to_string())
                .collect::<Vec<_>>(),
            [want],
            "{corefile}"
        );
    }
}

#[test]
fn the_outside_knows_its_table() {
    let table = BTreeMap::from([(
        "api.example.test".to_string(),
        "198.51.100.80".parse().unwrap(),
    )]);
    let ask = |n: &str| from_table(&table, &Message::query(1, n, rtype::A));
    assert_eq!(ask("API.example.test").answers.len(), 1);
    assert_eq!(ask("web.shop.svc.cluster.local").rcode, rcode::NXDOMAIN);
}
