//! Ends as they are written, and what is left out.

use super::*;

#[test]
fn ends_are_taken_as_they_are_written() {
    let mut snapshot = shop();
    let ports =
        json!([{"name": "http", "port": 80}, {"name": "stats", "port": 9102, "protocol": "UDP"}]);
    snapshot.objects.push(Object(
        json!({"kind": "Service", "metadata": {"name": "named", "namespace": "shop"},
        "spec": {"selector": {"app": "cart"}, "ports": ports}}),
    ));
    let topology = Topology::new(&snapshot);
    for (namespace, to, expected) in [
        ("shop", "svc/named:http", "named:80 TCP"),
        ("shop", "svc/named:stats", "named:9102 UDP"),
        ("shop", "named:9102/udp", "named:9102 UDP"),
        ("shop", "named:80/udp", "named:80 UDP"),
        ("", "shop/named:80", "named:80 TCP"),
        ("", "warehouse/stock", "stock.warehouse:5432 TCP"),
        ("", "udp://192.0.2.1:53", "192.0.2.1:53 UDP"),
    ] {
        let request = Request {
            namespace: namespace.into(),
            from: "shop/frontend".into(),
            to: to.into(),
            ..Request::default()
        };
        let (u, all) = understand(&topology, &request);
        let got = all.first().map_or_else(
            || asked_back(&u),
            |c| format!("{} {}", words(c), c.protocol),
        );
        assert_eq!(got, format!("frontend > {expected}"), "{to}");
    }
}

#[test]
fn what_is_not_looked_at_is_said() {
    let snapshot = shop();
    let topology = Topology::new(&snapshot);
    let request = Request {
        namespace: "shop".into(),
        ..Request::default()
    };
    let (u, all) = understand(&topology, &request);
    // Two workloads are configured for cart; nobody is for the others.
    assert_eq!(
        all.first().map(words).unwrap_or_default(),
        "web > cart:8080/x"
    );
    assert!(all.len() > 5, "{all:?}");
    let left: Vec<String> = u.left_out.iter().map(|t| t.to_string()).collect();
    assert!(left.is_empty(), "{left:?}");
    let (u, _) = understand(
        &topology,
        &Request {
            namespace: "warehouse".into(),
            ..Request::default()
        },
    );
    assert!(u.left_out.is_empty(), "{:?}", u.left_out);
    // More than fit: how many are left is said, and that pods which only do not fit name nobody is not.
    let mut snapshot = shop();
    let urls = (0..30).map(|i| json!({"name": "URL", "value": format!("http://s{i}:80/")}));
    let mut all = deployment("quiet", "caller", Value::Array(urls.collect()));
    all.extend((0..30).map(|i| service("quiet", &format!("s{i}"), 80)));
    all.extend(deployment("quiet", "alone", json!([])));
    snapshot.objects.extend(all.into_iter().map(Object));
    let topology = Topology::new(&snapshot);
    let request = Request {
        namespace: "quiet".into(),
        ..Request::default()
    };
    let (u, all) = understand(&topology, &request);
    let left: Vec<String> = u.left_out.iter().map(|t| t.to_string()).collect();
    assert_eq!((all.len(), left.len()), (24, 2), "{left:?}");
    assert!(
        left.iter().any(|l| l.starts_with("6 of 30 conversations")),
        "{left:?}"
    );
    assert!(
        left.iter()
            .any(|l| l.starts_with("1 pods (Deployment/alone)")),
        "{left:?}"
    );
}
