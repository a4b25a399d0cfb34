//! A node's Service rules do not follow the endpoints (F43).

use crate::check::{Check, Findings, View};
use crate::checks::places::node;
use crate::object::ObjectRef;
use crate::path::HopKind;
use crate::probe::{Answer, Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::rules::{TCP, UDP, service_targets};
use std::net::SocketAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "service-rules-stale",
    title: "Service rules of a node do not follow the endpoints",
    title_zh: "节点上的 Service 规则未随端点更新",
    catalogue: &["F43", "F44"],
    layer: "L4",
    looks_at: &["Service", "EndpointSlice", "Pod", "Node"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let (Some(service), true, false) = (
        view.path.service,
        o.hurts() == Some(true),
        view.path.client_node.is_empty(),
    ) else {
        return;
    };
    let front_fails = !o.connects().is_empty() && !o.every_connect(Outcome::Answered);
    if !front_fails || o.endpoints_that(Outcome::Answered).is_empty() {
        return;
    }
    let name = view.path.client_node.clone();
    let Some(answered) = view.ask(view.node(&name), Question::Rules) else {
        return;
    };
    let Answer::Rules(tables) = &answered.answer else {
        return;
    };
    let protocol = if view.path.conversation.protocol == "UDP" {
        UDP
    } else {
        TCP
    };
    for front in &view.path.front {
        let targets = service_targets(tables, front.ip(), front.port(), protocol);
        let known: Vec<SocketAddr> = view
            .path
            .backends
            .iter()
            .map(|b| SocketAddr::new(b.address, b.port))
            .collect();
        let ready: Vec<SocketAddr> = view
            .path
            .ready_backends()
            .filter(|b| b.address.is_ipv4() == front.is_ipv4())
            .map(|b| SocketAddr::new(b.address, b.port))
            .collect();
        let gone: Vec<SocketAddr> = targets
            .endpoints
            .iter()
            .copied()
            .filter(|t| !known.contains(t))
            .collect();
        let missing = targets.known && targets.endpoints.is_empty() && !ready.is_empty();
        if gone.is_empty() && !missing {
            if targets.known && !targets.endpoints.is_empty() {
                let seen = view.saw(
                    HopKind::ClientNode,
                    answered,
                    format!("{front} goes to {}", list(&targets.endpoints)),
                );
                out.fine(
                    node(&name),
                    HopKind::ClientNode,
                    format!("the Service rules of node {name} match the endpoints"),
                    seen,
                );
            }
            continue;
        }
        let says = if missing {
            format!(
                "node {name} has no rule that sends {front} to the endpoints of Service {}",
                service.name()
            )
        } else {
            format!(
                "the rules of node {name} send Service {} to {}, which no endpoint is any more",
                service.name(),
                list(&gone)
            )
        };
        let goes = if missing {
            "nobody".into()
        } else {
            list(&targets.endpoints)
        };
        let f = out.broken(
            node(&name),
            HopKind::ClientNode,
            says,
            view.saw(
                HopKind::ClientNode,
                answered,
                format!("rules send {front} to {goes}"),
            ),
        );
        f.and(view.fact(
            HopKind::Service,
            service,
            "EndpointSlices",
            format!("ready: {}", list(&ready)),
        ));
        for (e, a) in o.endpoints_that(Outcome::Answered).into_iter().take(1) {
            f.and(view.saw(
                HopKind::Listener,
                a,
                format!(
                    "TCP connect to endpoint {}:{} itself: answered",
                    e.address, e.port
                ),
            ));
        }
        f.then(format!("kube-proxy of node {name} missed an update"))
            .then("its rules name addresses that are gone")
            .then("connections from that node go nowhere, from others they work");
        f.remedy(remedy(view, &name));
        return;
    }
}

fn list(all: &[SocketAddr]) -> String {
    all.iter()
        .map(SocketAddr::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Its DaemonSet starts the pod anew, and a new kube-proxy writes all rules anew.
fn remedy(view: &View<'_>, name: &str) -> Remedy {
    let pod = view.topology.all("Pod").iter().find(|p| {
        p.str("spec.nodeName") == name
            && (p.labels().get("k8s-app") == Some(&"kube-proxy")
                || p.name().starts_with("kube-proxy-"))
    });
    match pod {
        Some(p) => Remedy {
            safe: true,
            because: "a new kube-proxy reads everything and writes its rules anew in one transaction; connections that stand are not cut".into(),
            steps: vec![Step::Delete { object: ObjectRef::new("Pod", p.namespace(), p.name()) }],
        },
        None => Remedy {
            safe: false,
            because: "no kube-proxy pod of that node is seen".into(),
            steps: vec![Step::Ask { question: format!("what keeps the Service rules of node {name}? Restart it and look at its log").into() }],
        },
    }
}

const PAGE: &str = r#"
## What it looks at

The packet-filter rules of the client's node, walked with a packet to the Service's address, against the
endpoints in the EndpointSlices.

## What proves it

The Service's address fails from the client while an endpoint itself answers, and the node's rules send the
address to somewhere that no EndpointSlice names (or nowhere).

## What to do

Start kube-proxy of that node anew. Its log says why it missed the update.

## Examples

No endpoint answers either: the rules are not looked at.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
```
```finding
```

The node has NAT rules, but none for this address, while the endpoint answers:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {node: {name: a}}, question: rules, answer: {rules: [{family: ip, name: nat, chains: [{name: PREROUTING, hook: {kind: nat, point: prerouting, priority: -100, policy_drop: false}}], sets: []}]}}
```
```finding
service-rules-stale Node/a
  because node a has no rule that sends 10.96.0.9:80 to the endpoints of Service cart
```
"#;

const PAGE_ZH: &str = "";
