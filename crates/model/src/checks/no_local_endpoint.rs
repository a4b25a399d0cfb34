//! internalTrafficPolicy Local, and no endpoint on the client's node (F32).

use crate::check::{Check, Findings, View};
use crate::checks::behind::{came_up_lately, pods};
use crate::object::Object;
use crate::path::HopKind;
use crate::probe::Outcome;
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use serde_json::json;

/// The check.
pub const CHECK: Check = Check {
    id: "no-local-endpoint",
    title: "internalTrafficPolicy is Local and the client's node has no endpoint",
    title_zh: "internalTrafficPolicy 为 Local，而客户端所在节点没有端点",
    catalogue: &["F32"],
    layer: "L4",
    looks_at: &["Service", "EndpointSlice", "Pod", "Node"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

/// The Service sends only to endpoints on the client's own node.
pub fn local_only(service: &Object) -> bool {
    service.str("spec.internalTrafficPolicy") == "Local"
}

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(service) = view.path.service.filter(|s| local_only(s)) else {
        return;
    };
    let node = &view.path.client_node;
    let ready: Vec<_> = view.path.ready_backends().collect();
    // Where a slice does not tell the node of an endpoint, it cannot be told to be elsewhere.
    if node.is_empty() || ready.is_empty() || ready.iter().any(|e| e.node.is_empty()) {
        return;
    }
    let mut nodes: Vec<&str> = ready.iter().map(|e| e.node.as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let elsewhere = Text::names(&nodes);
    let name = service.name();
    let seen = view.fact(
        HopKind::Service,
        service,
        "EndpointSlices",
        text!(
            "ready endpoints on {elsewhere}",
            "就绪的端点位于 {elsewhere:#}"
        ),
    );
    let o = view.observed();
    // One that ends or was only just started is being replaced: the next one is there in a moment.
    let waits = |p: &&Object| {
        p.str("spec.nodeName") == node
            && (!p.get("metadata.deletionTimestamp").is_null() || came_up_lately(view, p))
    };
    if !nodes.contains(&node.as_str()) && pods(view, service).iter().any(waits) {
        return;
    }
    if nodes.contains(&node.as_str()) {
        out.fine(
            service.reference(),
            HopKind::Service,
            text!(
                "internalTrafficPolicy is Local, and node {node} has an endpoint of Service {name}",
                "internalTrafficPolicy 为 Local，节点 {node} 上有 Service {name} 的端点"
            ),
            seen,
        );
        return;
    }
    let fails = o.connects().is_empty() || !o.some_connect(Outcome::Answered);
    if o.hurts() == Some(false) || !fails {
        return;
    }
    let says = text!(
        "Service {name} sends only to endpoints on the client's node (internalTrafficPolicy Local), and node {node} has none",
        "Service {name} 只转发到客户端所在节点的端点（internalTrafficPolicy 为 Local），而节点 {node} 上没有端点"
    );
    let f = out.broken(
        service.reference(),
        HopKind::Service,
        says,
        view.fact(
            HopKind::Service,
            service,
            "spec.internalTrafficPolicy",
            Text::same("Local"),
        ),
    );
    f.and(seen);
    for (to, a) in o.connect.iter().take(1) {
        let how = crate::observe::tally(crate::observe::attempts(a).iter().map(|t| t.outcome));
        f.and(view.saw(
            HopKind::Service,
            a,
            text!(
                "TCP connect to {to} from node {node}: {how}",
                "从节点 {node} TCP 连接 {to}：{how:#}"
            ),
        ));
    }
    for (e, a) in o.endpoints_that(Outcome::Answered).into_iter().take(1) {
        f.and(view.saw(
            HopKind::Listener,
            a,
            text!(
                "TCP connect to endpoint {}:{} on {} itself: answered",
                "直接 TCP 连接 {2} 上的端点 {0}:{1}：有应答",
                e.address,
                e.port,
                e.node
            ),
        ));
    }
    f.then(Text::same("internalTrafficPolicy: Local"))
        .then(text!(
            "no endpoint on node {node}",
            "节点 {node} 上没有端点"
        ))
        .then(text!(
            "the node drops what is sent to the Service's address; from nodes with an endpoint it works",
            "该节点丢弃发往该 Service 地址的报文；有端点的节点则正常"
        ));
    f.remedy(Remedy {
        safe: false,
        because: text!(
            "Cluster sends to endpoints on any node; keep Local only where every client's node runs an endpoint (a DaemonSet)",
            "Cluster 会转发到任何节点的端点；只有每个客户端节点都运行端点（DaemonSet）时才应保留 Local"
        ),
        steps: vec![Step::Patch {
            object: service.reference(),
            strategic: false,
            patch: json!({"spec": {"internalTrafficPolicy": "Cluster"}}),
        }],
    });
}

const PAGE: &str = r#"
## What it looks at

`internalTrafficPolicy` of the Service, the nodes of its ready endpoints, the node of the client.

## What proves it

The policy is Local, every ready endpoint is on another node than the client, and no handshake with the
Service's address comes through.

## What to do

Set the policy to Cluster, or run an endpoint on each node that has clients.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, internalTrafficPolicy: Local, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 300}]}}
```
```finding
no-local-endpoint shop/Service/cart
  because Service cart sends only to endpoints on the client's node (internalTrafficPolicy Local), and node a has none
```

An endpoint is on the client's node, so something else is wrong:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, internalTrafficPolicy: Local, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b}, {addresses: [10.244.1.7], nodeName: a}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
```
```finding
```

The slice does not say where its endpoints are, so it cannot be told:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, internalTrafficPolicy: Local, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3]}]}
```
```finding
```

A pod of the Service was started on the client's node ten seconds ago: it is only being replaced.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, internalTrafficPolicy: Local, ports: [{port: 80}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.7, containerStatuses: [{name: c, state: {running: {startedAt: "2026-01-07T23:59:50Z"}}}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 300}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

Service 的 `internalTrafficPolicy`、其就绪端点所在的节点、客户端所在的节点。

## 凭什么证实

策略为 Local，所有就绪的端点都在客户端以外的节点上，且到该 Service 地址的握手没有一次成功。

## 怎么办

把策略改为 Cluster，或在每个有客户端的节点上运行一个端点。
"#;
