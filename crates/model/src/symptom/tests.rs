//! Sentences, and what is understood of them.

mod asked_back;
mod ends;
mod routes;

use super::{Request, understand};
use crate::object::Object;
use crate::path::{Conversation, Destination};
use crate::snapshot::ClusterSnapshot;
use crate::topology::Topology;
use serde_json::{Value, json};

fn deployment(namespace: &str, name: &str, env: Value) -> Vec<Value> {
    let labels = json!({"app": name});
    let set = format!("{name}-5f");
    let owner = |kind: &str, name: &str| json!([{"kind": kind, "name": name, "controller": true}]);
    let spec = json!({"nodeName": "node-a", "containers": [{"name": name, "env": env}]});
    vec![
        json!({"kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": {"matchLabels": labels}}}),
        json!({"kind": "ReplicaSet", "metadata": {"name": set, "namespace": namespace, "labels": labels,
            "ownerReferences": owner("Deployment", name)}}),
        json!({"kind": "Pod", "metadata": {"name": format!("{set}-x1"), "namespace": namespace, "labels": labels,
            "ownerReferences": owner("ReplicaSet", &set)}, "spec": spec,
            "status": {"phase": "Running", "podIP": "10.244.1.2"}}),
    ]
}

fn service(namespace: &str, name: &str, port: u16) -> Value {
    json!({"kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": 8080}]}})
}

/// A shop: `web` and `frontend` call `cart` (8080) and `api` (80); `worker` has no Service; `stock`
/// lives in another namespace; `in` and `error` are names that are words too.
pub(super) fn shop() -> ClusterSnapshot {
    let mut all: Vec<Value> = ["shop", "warehouse", "quiet"]
        .iter()
        .map(|n| json!({"kind": "Namespace", "metadata": {"name": n}}))
        .collect();
    all.push(json!({"kind": "Node", "metadata": {"name": "node-a"}}));
    let calls = |urls: &[&str]| {
        let env = urls.iter().map(|u| json!({"name": "URL", "value": u}));
        Value::Array(env.collect())
    };
    for (ns, name, port, urls) in [
        ("shop", "web", 80, calls(&["http://cart:8080/x"])),
        ("shop", "frontend", 80, calls(&[])),
        ("shop", "cart", 8080, calls(&[])),
        ("shop", "api", 80, calls(&[])),
        ("shop", "worker", 0, calls(&["http://cart:8080"])),
        ("shop", "error", 80, calls(&[])),
        ("shop", "user-service", 80, calls(&[])),
        ("shop", "auth-service", 80, calls(&[])),
        ("warehouse", "stock", 5432, calls(&[])),
    ] {
        all.extend(deployment(ns, name, urls));
        if port > 0 {
            all.push(service(ns, name, port));
        }
    }
    let mut snapshot = ClusterSnapshot::new("test", "you", 0);
    snapshot.objects = all.into_iter().map(Object).collect();
    snapshot
}

pub(super) fn words(c: &Conversation) -> String {
    let from = c.from.as_ref().map_or("this host".into(), |r| {
        r.name.split("-5f").next().unwrap_or("").to_string()
    });
    let to = match &c.to {
        Destination::Service(r) if r.namespace == "shop" => r.name.clone(),
        Destination::Service(r) => format!("{}.{}", r.name, r.namespace),
        Destination::Pod(r) => format!("pod/{}", r.name),
        Destination::Host(h) => h.clone(),
    };
    let path = c.http.as_deref().filter(|p| *p != "/").unwrap_or("");
    let tls = if c.tls { "tls " } else { "" };
    format!("{from} > {tls}{to}:{}{path}", c.port)
}

/// Nobody's settings name the cluster's DNS, and everybody asks it: nodes stand for all.
#[test]
fn the_namespace_of_the_clusters_dns_is_looked_at() {
    let mut snapshot = shop();
    let node = |n: &str| json!({"kind": "Node", "metadata": {"name": n}});
    let pod = json!({"kind": "Pod", "metadata": {"name": "coredns-1", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"nodeName": "node-b", "dnsPolicy": "Default", "containers": []}, "status": {"phase": "Running"}});
    let dns = json!({"kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"selector": {"k8s-app": "kube-dns"}, "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}});
    let lone = json!({"kind": "Service", "metadata": {"name": "lone", "namespace": "kube-system"},
        "spec": {"selector": {"app": "lone"}, "ports": [{"port": 80}]}});
    let system = json!({"kind": "Namespace", "metadata": {"name": "kube-system"}});
    let more = [system, node("node-b"), node("node-c"), pod, dns, lone];
    snapshot.objects.extend(more.into_iter().map(Object));
    let topology = Topology::new(&snapshot);
    let request = Request {
        namespace: "kube-system".into(),
        ..Request::default()
    };
    let (_, all) = understand(&topology, &request);
    let seen: Vec<String> = all.iter().map(words).collect();
    let dns = |s: &&String| s.contains("kube-dns");
    let asked: Vec<&String> = seen.iter().filter(dns).collect();
    assert_eq!(
        asked,
        [
            "node-a > kube-dns.kube-system:53",
            "node-b > kube-dns.kube-system:53"
        ],
        "{seen:?}"
    );
}

/// Sentence, the first conversation, the symptoms.
pub(super) const SENTENCES: &[(&str, &str, &str)] = &[
    (
        "connection refused from frontend to cart",
        "frontend > cart:8080",
        "refused",
    ),
    ("web cannot reach cart", "web > cart:8080", "unreachable"),
    (
        "frontend cannot reach cart on port 9201",
        "frontend > cart:9201",
        "unreachable",
    ),
    (
        "frontend 访问不了 cart 的 9201 端口",
        "frontend > cart:9201",
        "unreachable",
    ),
    (
        "shop/frontend cannot reach warehouse/stock",
        "frontend > stock.warehouse:5432",
        "unreachable",
    ),
    (
        "frontend cannot connect to the cart since this morning",
        "frontend > cart:8080",
        "unreachable",
    ),
    (
        "frontend can't connect to cart",
        "frontend > cart:8080",
        "unreachable",
    ),
    (
        "cart is unreachable from web",
        "web > cart:8080",
        "unreachable",
    ),
    (
        "cart cannot be reached from frontend",
        "frontend > cart:8080",
        "unreachable",
    ),
    (
        "cart is not reachable by frontend",
        "frontend > cart:8080",
        "unreachable",
    ),
    (
        "frontend to cart times out",
        "frontend > cart:8080",
        "timeout",
    ),
    (
        "frontend -> cart times out",
        "frontend > cart:8080",
        "timeout",
    ),
    (
        "user-service calls to auth-service time out",
        "user-service > auth-service:80",
        "timeout",
    ),
    (
        "requests from user-service to auth-service hang",
        "user-service > auth-service:80",
        "timeout",
    ),
    (
        "timeouts calling http://cart.shop:8080/x from frontend",
        "frontend > cart:8080/x",
        "timeout",
    ),
    (
        "frontend gets 502 from cart",
        "frontend > cart:8080",
        "error",
    ),
    (
        "frontend gets connection errors from api",
        "frontend > api:80",
        "error",
    ),
    (
        "frontend receives resets from cart",
        "frontend > cart:8080",
        "reset",
    ),
    (
        "cart returns 503 to frontend",
        "frontend > cart:8080",
        "error",
    ),
    ("web cannot resolve api", "web > api:80", "dns"),
    ("from web, cart is slow", "web > cart:8080", "slow"),
    (
        "curl: (28) timeout when `frontend` calls `cart`",
        "frontend > cart:8080",
        "timeout",
    ),
    (
        "frontend fails to talk to svc/api:80",
        "frontend > api:80",
        "error",
    ),
    (
        "deploy/worker to svc/cart:8080 timed out",
        "worker > cart:8080",
        "timeout",
    ),
    (
        "Frontend cannot reach Cart",
        "frontend > cart:8080",
        "unreachable",
    ),
    (
        "frontend cannot reach cart:9090",
        "frontend > cart:9090",
        "unreachable",
    ),
    (
        "frontend cannot reach cart.shop.svc.cluster.local",
        "frontend > cart:8080",
        "unreachable",
    ),
    (
        "frontend cannot reach stock in warehouse",
        "frontend > stock.warehouse:5432",
        "unreachable",
    ),
    (
        "frontend cannot reach stock.warehouse",
        "frontend > stock.warehouse:5432",
        "unreachable",
    ),
    (
        "packet loss between frontend and cart",
        "frontend > cart:8080",
        "loss",
    ),
    ("worker gets errors", "worker > cart:8080", "error"),
    ("nobody can reach cart", "web > cart:8080", "unreachable"),
    (
        "x509 certificate errors from web to https://api.shop:443/",
        "web > tls api:443",
        "tls,error",
    ),
    (
        "frontend cannot reach https://example.com/health",
        "frontend > tls example.com:443/health",
        "unreachable",
    ),
    (
        "an error occurs when frontend calls cart",
        "frontend > cart:8080",
        "error",
    ),
    (
        "frontend 访问不了 cart",
        "frontend > cart:8080",
        "unreachable",
    ),
    (
        "frontend访问不了cart",
        "frontend > cart:8080",
        "unreachable",
    ),
    ("从 web 到 cart 超时", "web > cart:8080", "timeout"),
    ("cart 被 web 调用时报 502", "web > cart:8080", "error"),
    (
        "cart 无法被 frontend 访问",
        "frontend > cart:8080",
        "unreachable",
    ),
    (
        "frontend 调用 cart 被拒绝",
        "frontend > cart:8080",
        "refused",
    ),
    (
        "frontend 连不上 cart",
        "frontend > cart:8080",
        "unreachable",
    ),
    ("frontend 解析不了 api", "frontend > api:80", "dns"),
    ("frontend 请求 cart 卡住", "frontend > cart:8080", "timeout"),
    (
        "frontend 访问 api 证书报错",
        "frontend > api:80",
        "tls,error",
    ),
    ("frontend 访问 cart 很慢", "frontend > cart:8080", "slow"),
    ("frontend 到 cart 丢包", "frontend > cart:8080", "loss"),
    (
        "frontend 从今早起访问不了 cart",
        "frontend > cart:8080",
        "unreachable",
    ),
    (
        "frontend 访问不了 warehouse 的 stock",
        "frontend > stock.warehouse:5432",
        "unreachable",
    ),
    (
        "在 frontend 里访问 cart 超时，其他 Pod 正常",
        "frontend > cart:8080",
        "timeout",
    ),
    (
        "cart 从 frontend 访问超时",
        "frontend > cart:8080",
        "timeout",
    ),
    ("访问 cart 超时", "web > cart:8080", "timeout"),
    (
        "user-service 调用 auth-service 超时",
        "user-service > auth-service:80",
        "timeout",
    ),
    (
        "frontend 连接 cart 时连接被重置",
        "frontend > cart:8080",
        "reset",
    ),
    (
        "cart gets no requests from frontend",
        "frontend > cart:8080",
        "",
    ),
    (
        "svc/error refused connections from frontend",
        "frontend > error:80",
        "refused,error",
    ),
    (
        "error cannot reach cart",
        "error > cart:8080",
        "unreachable,error",
    ),
    (
        "frontend sends requests to cart and times out",
        "frontend > cart:8080",
        "timeout",
    ),
    // Only a namespace: everything that its workloads are configured to call.
    ("service timeout", "web > cart:8080/x", "timeout"),
    ("DNS 解析失败", "web > cart:8080/x", "dns,error"),
];

#[test]
fn sentences_are_understood() {
    let snapshot = shop();
    let topology = Topology::new(&snapshot);
    let mut wrong = Vec::new();
    for (said, first, symptoms) in SENTENCES {
        let request = Request {
            said: said.to_string(),
            namespace: "shop".into(),
            ..Request::default()
        };
        let (u, all) = understand(&topology, &request);
        let got = all.first().map(words).unwrap_or_else(|| asked_back(&u));
        // A sentence that names both ends means one conversation only.
        let one = said.contains("service timeout") || said.contains("DNS") || all.len() <= 1;
        if got != *first || u.symptom.join(",") != *symptoms || !one {
            wrong.push(format!(
                "{said}\n    {got} ({}), {} in all",
                u.symptom.join(","),
                all.len()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn several_ends_are_all_looked_at() {
    let snapshot = shop();
    let topology = Topology::new(&snapshot);
    for (said, expected) in [
        (
            "frontend cannot reach cart and api",
            "frontend > cart:8080, frontend > api:80",
        ),
        (
            "frontend 访问不了 cart、api 和 stock.warehouse",
            "frontend > cart:8080, frontend > api:80, frontend > stock.warehouse:5432",
        ),
        (
            "frontend and worker time out calling cart",
            "frontend > cart:8080, worker > cart:8080",
        ),
        (
            "packet loss between frontend and cart",
            "frontend > cart:8080",
        ),
        (
            "frontend cannot reach cart, web and worker work",
            "frontend > cart:8080",
        ),
    ] {
        let request = Request {
            said: said.into(),
            namespace: "shop".into(),
            ..Request::default()
        };
        let (_, all) = understand(&topology, &request);
        let got: Vec<String> = all.iter().map(words).collect();
        assert_eq!(got.join(", "), expected, "{said}");
    }
}

fn asked_back(u: &crate::report::Understood) -> String {
    let all: Vec<String> = u.asked_back.iter().map(|t| t.to_string()).collect();
    all.join("; ")
}
