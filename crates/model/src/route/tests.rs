use super::*;
use crate::path::Conversation;
use crate::snapshot::{ClusterSnapshot, Gap};
use crate::text::Text;
use serde_json::json;

fn snapshot(objects: Value, unread: &[&str]) -> ClusterSnapshot {
    let mut s = ClusterSnapshot::new("test", "test", 0);
    s.objects = serde_json::from_value(objects).unwrap();
    s.gaps.extend(unread.iter().map(|what| Gap {
        what: Text::same(*what),
        missing: Text::default(),
        how_to_get: Text::default(),
    }));
    s
}

fn route(spec: Value) -> Value {
    json!({"kind": "HTTPRoute", "metadata": {"name": "front", "namespace": "shop"}, "spec": spec})
}

fn service(namespace: &str) -> Value {
    json!({"kind": "Service", "metadata": {"name": "cart", "namespace": namespace}, "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80}]}})
}

/// What is found behind the first backend of `shop/front`.
fn found(objects: Value, unread: &[&str]) -> String {
    let s = snapshot(objects, unread);
    let topology = Topology::new(&s);
    let route = all(&topology).next().unwrap();
    let first = sends(route).remove(0);
    let path = Path::new(
        &topology,
        Conversation {
            from: None,
            port: first.number(&topology),
            to: Destination::Service(first.service),
            protocol: "TCP".into(),
            tls: false,
            http: None,
            through: Some(route.reference()),
        },
    );
    format!("{:?}", path.astray)
}

#[test]
fn what_an_ingress_and_a_route_send() {
    let s = snapshot(
        json!([
            {"kind": "Ingress", "metadata": {"name": "web", "namespace": "shop"}, "spec": {
                "defaultBackend": {"service": {"name": "rest", "port": {"name": "http"}}},
                "rules": [{"host": "shop.example.com", "http": {"paths": [
                    {"path": "/cart", "backend": {"service": {"name": "cart", "port": {"number": 80}}}},
                    {"path": "/static", "backend": {"resource": {"kind": "Bucket", "name": "files"}}}]}}, {}]}},
            route(json!({"hostnames": ["*.example.org"], "rules": [{"matches": [{"path": {"value": "/a"}}], "backendRefs": [
                {"name": "cart", "namespace": "stock", "port": 80}, {"name": "none", "weight": 0}, {"kind": "Bucket", "group": "x", "name": "b"}]}]})),
        ]),
        &[],
    );
    let topology = Topology::new(&s);
    let said: Vec<String> = all(&topology)
        .flat_map(sends)
        .map(|s| format!("{} {} {} {}", s.asked(), s.service, s.port_word(), s.field))
        .collect();
    assert_eq!(
        said,
        [
            "shop.example.com/cart shop/Service/cart 80 spec.rules.0.http.paths.0.backend.service",
            "/ shop/Service/rest http spec.defaultBackend.service",
            "*.example.org/a stock/Service/cart 80 spec.rules.0.backendRefs.0",
        ]
    );
    assert_eq!(hosts(&topology), ["shop.example.com"]);
    for (host, want) in [
        ("shop.example.com", 1),
        ("SHOP.example.com.", 1),
        ("a.example.org", 1),
        ("example.org", 0),
        ("xexample.org", 0),
        ("other.example.com", 0),
    ] {
        assert_eq!(serving(&topology, host).len(), want, "{host}");
    }
}

#[test]
fn references_are_walked_and_what_was_not_read_is_not_missing() {
    let here = json!({"rules": [{"backendRefs": [{"name": "cart", "port": 80}]}]});
    let there =
        json!({"rules": [{"backendRefs": [{"name": "cart", "namespace": "stock", "port": 80}]}]});
    let grant = |kind: &str, namespace: &str, name: &str| {
        json!({"kind": "ReferenceGrant", "metadata": {"name": "g", "namespace": "stock"}, "spec": {
        "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": namespace}], "to": [{"group": "", "kind": "Service", "name": name}]}})
    };
    let pod = json!({"kind": "Pod", "metadata": {"name": "x", "namespace": "stock"}});
    let other = json!({"kind": "Service", "metadata": {"name": "other", "namespace": "shop"}});
    for (objects, unread, want) in [
        (
            json!([route(here.clone()), service("shop")]),
            &[][..],
            "None",
        ),
        (json!([route(here.clone()), other]), &[], "NoService"),
        (
            json!([route(here.clone()), other]),
            &["objects of kind Service in namespace shop"],
            "Unread(\"Service\"",
        ),
        (json!([route(here.clone())]), &[], "Unread(\"Service\""),
        (
            json!([route(there.clone()), service("stock")]),
            &[],
            "NoGrant",
        ),
        (
            json!([route(there.clone()), service("stock")]),
            &["objects of kind ReferenceGrant in namespace stock"],
            "Unread(\"ReferenceGrant\"",
        ),
        // Nothing of that namespace was read: whether it grants it is not known.
        (
            json!([route(there.clone())]),
            &[],
            "Unread(\"ReferenceGrant\"",
        ),
        (
            json!([
                route(there.clone()),
                service("stock"),
                grant("HTTPRoute", "shop", "cart")
            ]),
            &[],
            "None",
        ),
        (
            json!([
                route(there.clone()),
                service("stock"),
                grant("GRPCRoute", "shop", "cart")
            ]),
            &[],
            "NoGrant",
        ),
        (
            json!([
                route(there.clone()),
                service("stock"),
                grant("HTTPRoute", "shop", "other")
            ]),
            &[],
            "NoGrant",
        ),
        (
            json!([
                route(there.clone()),
                pod,
                grant("HTTPRoute", "shop", "cart")
            ]),
            &[],
            "NoService",
        ),
        (
            json!([
                route(there.clone()),
                other,
                grant("HTTPRoute", "shop", "cart")
            ]),
            &[],
            "Unread(\"Service\"",
        ),
    ] {
        let got = found(objects.clone(), unread);
        assert!(
            got.trim_start_matches("Some(").starts_with(want),
            "{got}, not {want}: {objects}"
        );
    }
}

#[test]
fn a_route_that_no_gateway_takes() {
    let by = |parents: Value| json!({"parentRefs": parents, "rules": [{"backendRefs": [{"name": "cart", "port": 80}]}]});
    let gateway = |namespace: &str, allowed: Value| {
        json!({"kind": "Gateway", "metadata": {"name": "edge", "namespace": namespace}, "spec": {
        "listeners": [{"name": "web", "port": 80, "allowedRoutes": allowed}]}})
    };
    let all = json!({"namespaces": {"from": "All"}});
    let labelled =
        json!({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"edge": "yes"}}}});
    let space = |label: &str| json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"edge": label}}});
    let infra = json!([{"name": "edge", "namespace": "infra"}]);
    let own = |more: Value| {
        let mut parent = json!({"name": "edge"});
        parent
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        json!([parent])
    };
    let mut accepted = route(by(infra.clone()));
    accepted["status"] =
        json!({"parents": [{"conditions": [{"type": "Accepted", "status": "True"}]}]});
    for (objects, want) in [
        (
            json!([route(by(own(json!({})))), gateway("shop", json!({}))]),
            "None",
        ),
        (
            json!([
                route(by(own(json!({"sectionName": "tls"})))),
                gateway("shop", json!({}))
            ]),
            "NoListener",
        ),
        (
            json!([
                route(by(own(json!({"port": 443})))),
                gateway("shop", json!({}))
            ]),
            "NoListener",
        ),
        (json!([route(by(own(json!({}))))]), "NoGateway"),
        (
            json!([route(by(infra.clone())), gateway("infra", json!({}))]),
            "NotAllowed",
        ),
        (
            json!([route(by(infra.clone())), gateway("infra", all)]),
            "None",
        ),
        (
            json!([
                route(by(infra.clone())),
                gateway("infra", labelled.clone()),
                space("yes")
            ]),
            "None",
        ),
        (
            json!([
                route(by(infra.clone())),
                gateway("infra", labelled.clone()),
                space("no")
            ]),
            "NotAllowed",
        ),
        (
            json!([route(by(infra.clone())), gateway("infra", labelled)]),
            "None",
        ),
        (json!([route(by(infra.clone()))]), "Unread(\"Gateway\""),
        (
            json!([
                route(by(
                    json!([{"name": "edge"}, {"name": "edge", "namespace": "infra"}])
                )),
                gateway("infra", json!({"namespaces": {"from": "All"}}))
            ]),
            "None",
        ),
        // The first refuses it, and of the other nothing is known.
        (
            json!([
                route(by(
                    json!([{"name": "edge", "sectionName": "tls"}, {"name": "edge", "namespace": "infra"}])
                )),
                gateway("shop", json!({}))
            ]),
            "Unread(\"Gateway\"",
        ),
        (json!([accepted, gateway("infra", json!({}))]), "None"),
    ] {
        let mut objects = objects;
        objects.as_array_mut().unwrap().push(service("shop"));
        let got = found(objects.clone(), &[]);
        assert!(got.contains(want), "{got}, not {want}: {objects}");
    }
}
