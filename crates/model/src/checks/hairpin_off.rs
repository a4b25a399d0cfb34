//! A pod that is sent back to itself through its Service gets no answer: hairpin mode is off (F35).

use crate::check::{Check, Findings, View};
use crate::checks::places::node;
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Link, Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;

/// The check.
pub const CHECK: Check = Check {
    id: "hairpin-off",
    title: "Pod cannot reach itself through its Service: hairpin mode is off",
    title_zh: "Pod 经由自己的 Service 访问不到自己：网桥端口的 hairpin 模式关闭",
    catalogue: &["F35"],
    layer: "L2",
    looks_at: &["Service", "EndpointSlice", "Pod", "Node"],
    after: &["service-rules-stale"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (Some(client), Some(service)) = (view.path.client, view.path.service) else {
        return;
    };
    let own = client.reference();
    let o = view.observed();
    let itself = view
        .path
        .ready_backends()
        .any(|e| e.pod.as_ref() == Some(&own));
    if !itself || !o.some_connect(Outcome::Silent) {
        return;
    }
    // Another endpoint that gives no answer is a reason of its own.
    let others = o
        .endpoints
        .iter()
        .filter(|(e, _)| e.ready && e.pod.as_ref() != Some(&own));
    let silent = |a: &Answered| {
        crate::observe::attempts(a)
            .iter()
            .any(|t| t.outcome != Outcome::Answered)
    };
    if others.clone().any(|(_, a)| silent(a)) {
        return;
    }
    let Some((answered, port, bridge)) = port_of(view) else {
        return;
    };
    let (on, name, bridge_name) = (&view.path.client_node, client.name(), &bridge.name);
    let seen = |words: Text| view.saw(HopKind::ClientNode, answered, words);
    if port.hairpin != Some(false) || bridge.promiscuous {
        let why = if bridge.promiscuous {
            text!(
                "bridge {bridge_name} is promiscuous",
                "网桥 {bridge_name} 处于混杂模式"
            )
        } else {
            text!(
                "hairpin mode of {} is on",
                "{} 的 hairpin 模式已开启",
                port.name
            )
        };
        out.fine(
            node(on),
            HopKind::ClientNode,
            text!(
                "pod {name} can be sent back to itself: {why}",
                "Pod {name} 的报文可以送回自身：{why:#}"
            ),
            seen(why.clone()),
        );
        return;
    }
    let says = text!(
        "pod {name} cannot reach itself through Service {}: hairpin mode of its bridge port {} on node {on} is off",
        "Pod {name} 经由 Service {} 访问不到自己：节点 {on} 上其网桥端口 {} 的 hairpin 模式关闭",
        service.name(),
        port.name
    );
    let f = out.broken(
        node(on),
        HopKind::ClientNode,
        says,
        seen(text!(
            "{} on bridge {bridge_name}: hairpin off, and the bridge is not promiscuous",
            "网桥 {bridge_name} 上的 {}：hairpin 关闭，且网桥不处于混杂模式",
            port.name
        )),
    );
    f.and(view.fact(
        HopKind::Service,
        service,
        "EndpointSlices",
        text!(
            "pod {name} is one of its {} ready endpoints",
            "Pod {name} 是其 {} 个就绪端点之一",
            view.path.ready_backends().count()
        ),
    ));
    for (to, a) in o.connect.iter().take(1) {
        let how = crate::observe::tally(crate::observe::attempts(a).iter().map(|t| t.outcome));
        f.and(view.saw(
            HopKind::Service,
            a,
            text!(
                "TCP connect from pod {name} to {to}: {how}",
                "从 Pod {name} TCP 连接 {to}：{how:#}"
            ),
        ));
    }
    f.then(text!(
        "the Service sends the pod's own connection back to it",
        "Service 把该 Pod 自己的连接送回给它"
    ))
    .then(text!(
        "a bridge never sends a frame out where it came in, unless hairpin mode is on",
        "除非开启 hairpin 模式，网桥不会把帧从进入的端口送出"
    ))
    .then(text!(
        "the connection works only when another pod is chosen",
        "只有选中其他 Pod 时连接才成功"
    ));
    let argv = ["bridge", "link", "set", "dev", &port.name, "hairpin", "on"];
    f.remedy(Remedy {
        safe: true,
        because: text!(
            "this mends the pod that runs; for new pods set hairpinMode (or promiscMode) to true in the network plugin's configuration",
            "这只修复正在运行的 Pod；对新 Pod，须在网络插件的配置中把 hairpinMode（或 promiscMode）设为 true"
        ),
        steps: vec![Step::OnNode {
            node: on.clone(),
            argv: argv.map(String::from).to_vec(),
        }],
    });
}

/// The bridge port of the client's node that the client's own link leads to, and its bridge.
fn port_of<'a>(view: &View<'a>) -> Option<(&'a Answered, &'a Link, &'a Link)> {
    let inside = view.ask(view.path.vantage(), Question::Links)?;
    let outside = view.ask(view.path.node_vantage()?, Question::Links)?;
    let (Answer::Links(own), Answer::Links(all)) = (&inside.answer, &outside.answer) else {
        return None;
    };
    let peers: Vec<u32> = own
        .iter()
        .filter(|l| l.kind == "veth" && l.peer > 0)
        .map(|l| l.peer)
        .collect();
    let port = all
        .iter()
        .find(|l| peers.contains(&l.index) && l.kind == "veth" && l.master > 0)?;
    let bridge = all
        .iter()
        .find(|l| l.index == port.master && l.kind == "bridge")?;
    Some((outside, port, bridge))
}

const PAGE: &str = r#"
## What it looks at

A client that is an endpoint of the Service it calls: its own bridge port on its node, hairpin mode, and whether the bridge is
promiscuous.

## What proves it

Handshakes with the Service's address are lost, all other endpoints answer, and the port that leads to the client has hairpin mode
off on a bridge that is not promiscuous (which would do instead).

## What to do

Switch hairpin mode on for that port, and in the network plugin's configuration for those to come.

## Examples

```cluster
ask: {from: Pod shop/cart-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.2], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: cart-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: links, answer: {links: [{index: 2, name: eth0, kind: veth, up: true, carrier: true, peer: 7}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 3, name: cni0, kind: bridge, up: true, carrier: true}, {index: 7, name: veth1, kind: veth, up: true, carrier: true, master: 3, hairpin: false}]}}
```
```finding
hairpin-off Node/a
  because pod cart-1 cannot reach itself through Service cart: hairpin mode of its bridge port veth1 on node a is off
```

The bridge is promiscuous, which does the same as hairpin mode:

```cluster
ask: {from: Pod shop/cart-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.2], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: cart-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: links, answer: {links: [{index: 2, name: eth0, kind: veth, up: true, carrier: true, peer: 7}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 3, name: cni0, kind: bridge, up: true, carrier: true, promiscuous: true}, {index: 7, name: veth1, kind: veth, up: true, carrier: true, master: 3, hairpin: false}]}}
```
```finding
```

The client is no endpoint of the Service:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.9}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.2], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 3, name: cni0, kind: bridge, up: true, carrier: true}, {index: 7, name: veth1, kind: veth, up: true, carrier: true, master: 3, hairpin: false}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

客户端自身就是所访问 Service 的端点时：其节点上通往该客户端的网桥端口、hairpin 模式，以及网桥是否处于混杂模式。

## 凭什么证实

到 Service 地址的握手丢失，其他端点都有应答；通往该客户端的端口 hairpin 模式关闭，且网桥不处于混杂模式（混杂模式可起同样作用）。

## 怎么办

为该端口开启 hairpin 模式，并在网络插件的配置中为后续 Pod 开启。
"#;
