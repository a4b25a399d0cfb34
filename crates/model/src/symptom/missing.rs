//! Services that clients are configured for and that do not exist.

use super::tests::{shop, words};
use super::{Request, clients_of, understand};
use crate::object::{Object, ObjectRef};
use crate::path::Destination;
use crate::snapshot::ClusterSnapshot;
use crate::topology::Topology;
use serde_json::json;

/// The shop with one pod more, `till`, whose environment is this.
fn with_till(env: &[&str], args: &[&str]) -> ClusterSnapshot {
    let mut snapshot = shop();
    let env: Vec<_> = env
        .iter()
        .map(|v| json!({"name": "X", "value": v}))
        .collect();
    snapshot.objects.push(Object(
        json!({"kind": "Pod", "metadata": {"name": "till", "namespace": "shop"},
            "spec": {"nodeName": "node-a", "hostAliases": [{"ip": "10.9.0.1", "hostnames": ["printer"]}],
                "containers": [{"name": "c", "env": env, "args": args}]},
            "status": {"phase": "Running", "podIP": "10.244.1.9"}}),
    ));
    snapshot
}

fn asked(snapshot: &ClusterSnapshot, said: &str, from: &str, to: &str) -> Vec<String> {
    let topology = Topology::new(snapshot);
    let request = Request {
        said: said.into(),
        namespace: "shop".into(),
        from: from.into(),
        to: to.into(),
    };
    let (_, all) = understand(&topology, &request);
    all.iter().map(words).collect()
}

#[test]
fn what_a_client_is_configured_for_is_asked_though_it_does_not_exist() {
    for (value, to) in [
        ("http://prices:9000/x", "prices"),
        ("prices:6379", "prices"),
        ("http://prices.warehouse/", "prices.warehouse"),
        ("prices.warehouse.svc:80", "prices.warehouse"),
        (
            "https://prices.warehouse.svc.cluster.local/",
            "prices.warehouse",
        ),
    ] {
        let snapshot = with_till(&[value], &[]);
        let by_client = asked(&snapshot, "", "pod/till", "");
        assert_eq!(by_client.len(), 1, "{value}: {by_client:?}");
        assert!(by_client[0].contains(to), "{value}: {by_client:?}");
        let said = asked(&snapshot, "till cannot reach prices", "", "");
        assert_eq!(said, by_client, "{value}");
    }
}

#[test]
fn what_may_mean_anything_else_is_no_missing_service() {
    for value in [
        "printer:9100",
        "http://localhost:80/",
        "http://10.0.0.9/",
        "http://www.example.com/",
        "http://prices.nowhere/",
        "prices",
        "level=info prices:7",
        "Prices:80",
    ] {
        let snapshot = with_till(&[value], &["--image", "prices:7"]);
        let all = asked(&snapshot, "", "pod/till", "");
        assert!(all.is_empty(), "{value}: {all:?}");
    }
}

#[test]
fn who_is_configured_for_it_is_its_client() {
    let snapshot = with_till(&["http://prices:9000/"], &[]);
    let topology = Topology::new(&snapshot);
    let missing = Destination::Service(ObjectRef::new("Service", "shop", "prices"));
    let clients = clients_of(&topology, &missing);
    assert_eq!(clients, [ObjectRef::new("Pod", "shop", "till")]);
    // Where no Service could be read, none is missing.
    let mut blind = with_till(&["http://prices:9000/"], &[]);
    blind.objects.retain(|o| o.kind() != "Service");
    assert!(asked(&blind, "", "pod/till", "").is_empty());
    // Those of the cluster were refused, these were read and there is none.
    let refused = |place: &str| crate::snapshot::Gap {
        what: crate::text!(
            "objects of kind Pod, Service in namespace {place}",
            "{place}"
        ),
        missing: crate::text::Text::default(),
        how_to_get: crate::text::Text::default(),
    };
    blind.gaps = vec![refused("kube-system")];
    assert_eq!(asked(&blind, "", "pod/till", "").len(), 1);
    blind.gaps.push(refused("shop"));
    assert!(asked(&blind, "", "pod/till", "").is_empty());
}
