use super::super::{Request, understand};
use crate::path::Path;
use crate::snapshot::ClusterSnapshot;
use crate::topology::Topology;
use serde_json::json;

fn shop() -> ClusterSnapshot {
    let mut s = ClusterSnapshot::new("test", "test", 0);
    let service = |name: &str| json!({"kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": {"clusterIP": "10.96.0.9", "selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}});
    s.objects = serde_json::from_value(json!([
        {"kind": "Namespace", "metadata": {"name": "shop"}},
        {"kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop"}, "spec": {"nodeName": "a"}, "status": {"phase": "Running", "podIP": "10.244.1.2"}},
        service("cart"), service("catalog"),
        {"kind": "Ingress", "metadata": {"name": "front", "namespace": "shop"}, "spec": {"rules": [{"host": "shop.example.com", "http": {"paths": [
            {"path": "/cart", "backend": {"service": {"name": "cart", "port": {"name": "http"}}}},
            {"path": "/", "backend": {"service": {"name": "catalogue", "port": {"number": 80}}}}]}}]}},
        {"kind": "HTTPRoute", "metadata": {"name": "back", "namespace": "shop"}, "spec": {"hostnames": ["*.example.org"],
            "rules": [{"backendRefs": [{"name": "catalog", "port": 80}]}]}},
    ]))
    .unwrap();
    s
}

/// The conversations that are understood, and what is asked back.
fn understood(said: &str, to: &str) -> (Vec<String>, String) {
    let s = shop();
    let topology = Topology::new(&s);
    let request = Request {
        said: said.into(),
        namespace: "shop".into(),
        from: String::new(),
        to: to.into(),
    };
    let (u, all) = understand(&topology, &request);
    let ways = all
        .into_iter()
        .map(|c| Path::new(&topology, c).describe().to_string())
        .collect();
    let asked: Vec<String> = u.asked_back.iter().map(|t| t.to_string()).collect();
    (ways, asked.join("; "))
}

const CART: &str = "shop/Pod/web-1 to shop/Service/cart:80 (TCP), behind shop/Ingress/front";
const NONE: &str = "shop/Pod/web-1 to shop/Service/catalogue:80 (TCP), behind shop/Ingress/front";
const ROUTE: &str = "shop/Pod/web-1 to shop/Service/catalog:80 (TCP), behind shop/HTTPRoute/back";

#[test]
fn an_ingress_or_a_host_that_it_serves_means_what_is_behind() {
    let mut wrong = Vec::new();
    for (said, to, want) in [
        ("shop.example.com fails", "", &[CART, NONE][..]),
        ("shop.example.com 访问不了", "", &[CART, NONE]),
        ("nobody can reach shop.example.com", "", &[CART, NONE]),
        ("ingress/front times out", "", &[CART, NONE]),
        ("the ingress front times out", "", &[CART, NONE]),
        ("a.example.org is down", "", &[ROUTE]),
        ("", "ingress/front", &[CART, NONE]),
        ("", "ing/front", &[CART, NONE]),
        ("", "shop.example.com", &[CART, NONE]),
        ("", "httproute/back", &[ROUTE]),
        (
            "",
            "https://shop.example.com/cart/7",
            &[CART, "this host to shop.example.com:443 (TCP)"],
        ),
        (
            "",
            "http://shop.example.com/carts",
            &[NONE, "this host to shop.example.com:80 (TCP)"],
        ),
    ] {
        let (ways, asked) = understood(said, to);
        if ways != want {
            wrong.push(format!("{said}{to}\n    {ways:?} {asked}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn who_names_none_is_asked_back() {
    for (to, want) in [
        (
            "ingress/frnt",
            "there is no Ingress frnt in namespace shop; did you mean front?",
        ),
        ("httproute/front", "no HTTPRoute front"),
        ("other.example.com", "which port of other.example.com"),
    ] {
        let (ways, asked) = understood("", to);
        assert!(ways.is_empty() && asked.contains(want), "{ways:?} {asked}");
    }
}

#[test]
fn a_namespace_is_asked_about_with_the_routes_that_lead_nowhere() {
    let (ways, asked) = understood("something is broken", "");
    assert!(asked.is_empty(), "{asked}");
    assert!(ways.iter().any(|w| w == NONE), "{ways:?}");
    assert!(!ways.iter().any(|w| w == CART || w == ROUTE), "{ways:?}");
}
