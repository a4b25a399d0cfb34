//! A node has no route to another node's pods, or a wrong one (F74).

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{holds, way};
use crate::checks::places::{dns_endpoints, loses, lost, node};
use crate::object::Object;
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Question, Route};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use crate::topology::same_family;
use std::net::IpAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "pod-route-missing",
    title: "Node has no right route to another node's pods",
    title_zh: "节点没有通往另一节点 Pod 的正确路由",
    catalogue: &["F74"],
    layer: "L3",
    looks_at: &["Node", "Pod", "Service", "EndpointSlice"],
    after: &["link-down", "node-not-reporting"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

/// A node, an address that it must lead to, and the node that has the address.
#[derive(Clone, PartialEq, Eq)]
struct Way {
    from: String,
    to: IpAddr,
    owner: String,
    hop: HopKind,
}

/// What is wrong with a node's route.
enum Wrong<'a> {
    Missing,
    ThrownAway(&'a Route),
    Elsewhere(&'a Route, String),
}

fn run(view: &View<'_>, out: &mut Findings) {
    if view.path.client_node.is_empty() || !loses(view) {
        return;
    }
    for w in ways(view) {
        let Some((answered, routes)) = routes_of(view, &w.from) else {
            continue;
        };
        let Some(range) = range_of(view, &w.owner, w.to) else {
            continue;
        };
        let taken = longest(routes, w.to);
        let wrong = match taken {
            None => Wrong::Missing,
            Some(r) if r.to == "default" || r.to.ends_with("/0") => Wrong::Missing,
            Some(r) if matches!(r.kind.as_str(), "blackhole" | "unreachable" | "prohibit") => {
                Wrong::ThrownAway(r)
            }
            Some(r) => match r.via.and_then(|via| another(view, via, &w)) {
                Some(other) => Wrong::Elsewhere(r, other),
                None => {
                    fine(view, out, &w, answered, r);
                    continue;
                }
            },
        };
        // Some networks route pods outside the nodes: then no node has such routes, and none lacks one.
        let Some(sibling) = sibling(view, &w) else {
            continue;
        };
        say(view, out, &w, &range, (answered, &wrong), &sibling);
        return;
    }
}

/// The ways between the nodes of the conversation, forth and back.
fn ways(view: &View<'_>) -> Vec<Way> {
    let client = &view.path.client_node;
    let mut ends: Vec<(IpAddr, String)> = lost(view)
        .into_iter()
        .map(|(e, _)| (e.address, e.node.clone()))
        .collect();
    if view.observed().name_fails() == Some(true) {
        ends.extend(
            dns_endpoints(view)
                .into_iter()
                .filter(|e| e.ready)
                .map(|e| (e.address, e.node)),
        );
    }
    let mut out: Vec<Way> = Vec::new();
    for (address, owner) in ends {
        if owner.is_empty() || owner == *client {
            continue;
        }
        let forth = Way {
            from: client.clone(),
            to: address,
            owner: owner.clone(),
            hop: HopKind::ClientNode,
        };
        let back = view.path.client_addresses.iter().map(|a| Way {
            from: owner.clone(),
            to: *a,
            owner: client.clone(),
            hop: HopKind::ServerNode,
        });
        for w in std::iter::once(forth).chain(back) {
            let known = out
                .iter()
                .any(|o| o.from == w.from && o.owner == w.owner && same_family(o.to, w.to));
            if !known && same_family(w.to, address) {
                out.push(w);
            }
        }
    }
    out.truncate(8);
    out
}

fn routes_of<'a>(view: &View<'a>, node: &str) -> Option<(&'a Answered, &'a [Route])> {
    let answered = view.ask(view.node(node), Question::Routes)?;
    match &answered.answer {
        Answer::Routes(all) => Some((answered, all)),
        _ => None,
    }
}

/// The pod range of a node that holds an address; none for host-network pods.
fn range_of(view: &View<'_>, node: &str, address: IpAddr) -> Option<String> {
    ranges(view.topology.find("Node", "", node)?)
        .into_iter()
        .find(|c| holds(c, address))
}

fn ranges(node: &Object) -> Vec<String> {
    let mut all: Vec<String> = node
        .list("spec.podCIDRs")
        .iter()
        .filter_map(|c| c.as_str().map(String::from))
        .collect();
    if all.is_empty() && !node.str("spec.podCIDR").is_empty() {
        all.push(node.str("spec.podCIDR").into());
    }
    all
}

/// The route that the kernel takes: the longest prefix, then the least metric.
fn longest(routes: &[Route], to: IpAddr) -> Option<&Route> {
    let length = |r: &Route| -> Option<u8> {
        match r.to.split_once('/') {
            Some((_, n)) => holds(&r.to, to).then(|| n.parse().ok()).flatten(),
            None if r.to == "default" => r
                .via
                .or(r.source)
                .is_none_or(|a| same_family(a, to))
                .then_some(0),
            None => (r.to.parse() == Ok(to)).then_some(128),
        }
    };
    routes
        .iter()
        .filter(|r| matches!(r.table, 0 | 254))
        .filter_map(|r| Some((length(r)?, std::cmp::Reverse(r.metric), r)))
        .max_by_key(|(l, m, _)| (*l, *m))
        .map(|(.., r)| r)
}

/// The next hop is a node, and not the one that has the pods.
fn another(view: &View<'_>, via: IpAddr, w: &Way) -> Option<String> {
    view.topology
        .all("Node")
        .iter()
        .map(|n| n.name())
        .find(|n| view.topology.node_addresses(n).contains(&via))
        .filter(|n| *n != w.owner)
        .map(String::from)
}

/// Proof that nodes here hold routes to each other's pods: one that this node has for a third node, or the
/// other node for this one.
struct Sibling {
    shown: Text,
    routed: bool,
}

fn sibling(view: &View<'_>, w: &Way) -> Option<Sibling> {
    let mut pairs: Vec<(&str, &Object)> = Vec::new();
    for n in view.topology.all("Node") {
        if n.name() != w.from && n.name() != w.owner {
            pairs.push((w.from.as_str(), n));
        } else if n.name() == w.from {
            pairs.push((w.owner.as_str(), n));
        }
    }
    pairs.into_iter().find_map(|(at, of)| {
        let (_, routes) = routes_of(view, at)?;
        let name = of.name();
        ranges(of)
            .iter()
            .filter(|c| c.contains(':') == w.to.is_ipv6())
            .find_map(|c| {
                let r = routes.iter().find(|r| r.to == *c && r.kind == "unicast")?;
                let way = way(r);
                let routed = r
                    .via
                    .is_some_and(|v| view.topology.node_addresses(name).contains(&v));
                Some(Sibling {
                    shown: text!(
                        "node {at} reaches {c} of node {name}: {way}",
                        "节点 {at} 到节点 {name} 的 {c}：{way:#}"
                    ),
                    routed,
                })
            })
    })
}

fn fine(view: &View<'_>, out: &mut Findings, w: &Way, answered: &Answered, r: &Route) {
    let (from, owner, way) = (&w.from, &w.owner, way(r));
    let says = text!(
        "node {from} has a route to the pods of node {owner}: {} {way}",
        "节点 {from} 有通往节点 {owner} 的 Pod 的路由：{} {way:#}",
        r.to
    );
    out.fine(
        node(from),
        w.hop,
        says.clone(),
        view.saw(w.hop, answered, says),
    );
}

fn say(
    view: &View<'_>,
    out: &mut Findings,
    w: &Way,
    range: &str,
    (answered, wrong): (&Answered, &Wrong<'_>),
    sibling: &Sibling,
) {
    let (from, owner) = (&w.from, &w.owner);
    let (says, seen) = match wrong {
        Wrong::Missing => (
            text!(
                "node {from} has no route to the pods of node {owner} ({range})",
                "节点 {from} 没有通往节点 {owner} 的 Pod（{range}）的路由"
            ),
            text!("no route to {range}", "没有到 {range} 的路由"),
        ),
        Wrong::ThrownAway(r) => (
            text!(
                "node {from} throws away what is sent to the pods of node {owner} ({} {})",
                "节点 {from} 丢弃发往节点 {owner} 的 Pod 的报文（{} {}）",
                r.kind,
                r.to
            ),
            Text::same(format!("{} {}", r.kind, r.to)),
        ),
        Wrong::Elsewhere(r, other) => (
            text!(
                "node {from} sends what is for the pods of node {owner} ({range}) to node {other}",
                "节点 {from} 把发往节点 {owner} 的 Pod（{range}）的报文送到了节点 {other}"
            ),
            {
                let way = way(r);
                text!("{} goes to {way}", "{} 送往 {way:#}", r.to)
            },
        ),
    };
    let f = out.broken(node(from), w.hop, says, view.saw(w.hop, answered, seen));
    if let Some(n) = view.topology.find("Node", "", owner) {
        f.and(view.fact(HopKind::Path, n, "spec.podCIDR", Text::same(range)));
    }
    f.and(view.fact(
        HopKind::Path,
        view.topology.find("Node", "", from).unwrap_or(&NOTHING),
        "routes",
        sibling.shown.clone(),
    ));
    f.then(text!(
        "node {from} does not know the way to {range}",
        "节点 {from} 不知道通往 {range} 的路"
    ))
    .then(text!(
        "packets to the pods of node {owner} go astray",
        "发往节点 {owner} 的 Pod 的报文走错了路"
    ))
    .then(text!(
        "only this pair of nodes fails, others work",
        "只有这两个节点之间不通，其他节点正常"
    ));
    f.remedy(remedy(view, w, range, sibling.routed));
}

static NOTHING: Object = Object(serde_json::Value::Null);

fn remedy(view: &View<'_>, w: &Way, range: &str, routed: bool) -> Remedy {
    let (from, owner) = (&w.from, &w.owner);
    let via = view
        .topology
        .node_addresses(owner)
        .into_iter()
        .find(|a| same_family(*a, w.to));
    match via.filter(|_| routed) {
        Some(via) => {
            let family = if via.is_ipv4() { "-4" } else { "-6" };
            Remedy {
                safe: false,
                because: text!(
                    "the routes of this cluster lead over the nodes' own addresses; what took it away (the network plugin's agent, a cloud route controller) may do it again",
                    "本集群的路由经由节点自身的地址；删除它的组件（网络插件代理、云路由控制器）可能再次删除"
                ),
                steps: vec![Step::OnNode {
                    node: from.clone(),
                    argv: [
                        "ip",
                        family,
                        "route",
                        "replace",
                        range,
                        "via",
                        &via.to_string(),
                    ]
                    .map(String::from)
                    .to_vec(),
                }],
            }
        }
        None => Remedy {
            safe: false,
            because: text!(
                "the network plugin keeps these routes",
                "这些路由由网络插件维护"
            ),
            steps: vec![Step::Ask {
                question: text!(
                    "does the network plugin's agent run on node {from}, and does it know node {owner}? Its log, then a restart of its pod there",
                    "节点 {from} 上的网络插件代理在运行吗？它知道节点 {owner} 吗？查看其日志，然后重启那里的 Pod"
                ),
            }],
        },
    }
}

const PAGE: &str = r#"
## What it looks at

The routing tables of the nodes of a conversation that loses its packets, forth and back, against the pod ranges and addresses in
the Node objects.

## What proves it

The longest prefix that holds the pod's address is none, the default route, one that throws away, or one that leads to a
third node; while routes to other nodes' pods are there. Where no node has such routes (the network outside does it), nothing is said.

## What to do

Put the route back, and find out why the network plugin's agent lost it.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Node, metadata: {name: a}, spec: {podCIDR: 10.244.1.0/24}, status: {addresses: [{type: InternalIP, address: 10.90.0.11}]}}
---
{kind: Node, metadata: {name: b}, spec: {podCIDR: 10.244.2.0/24}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}]}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: routes, answer: {routes: [{to: default, via: 10.90.0.1, interface: eth0, table: 254, kind: unicast}, {to: 10.244.1.0/24, interface: cni0, table: 254, kind: unicast}]}}
- {from: {node: {name: b}}, question: routes, answer: {routes: [{to: 10.244.1.0/24, via: 10.90.0.11, interface: eth0, table: 254, kind: unicast}, {to: 10.244.2.0/24, interface: cni0, table: 254, kind: unicast}]}}
```
```finding
pod-route-missing Node/a
  because node a has no route to the pods of node b (10.244.2.0/24)
```

A route that leads to the wrong node:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Node, metadata: {name: a}, spec: {podCIDR: 10.244.1.0/24}, status: {addresses: [{type: InternalIP, address: 10.90.0.11}]}}
---
{kind: Node, metadata: {name: b}, spec: {podCIDR: 10.244.2.0/24}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}]}}
---
{kind: Node, metadata: {name: c}, spec: {podCIDR: 10.244.3.0/24}, status: {addresses: [{type: InternalIP, address: 10.90.0.13}]}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: routes, answer: {routes: [{to: 10.244.2.0/24, via: 10.90.0.13, interface: eth0, table: 254, kind: unicast}, {to: 10.244.3.0/24, via: 10.90.0.13, interface: eth0, table: 254, kind: unicast}]}}
```
```finding
pod-route-missing Node/a
  because node a sends what is for the pods of node b (10.244.2.0/24) to node c
```

Pods are routed by the network outside: no node has such a route, and none lacks one.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Node, metadata: {name: a}, spec: {podCIDR: 10.244.1.0/24}, status: {addresses: [{type: InternalIP, address: 10.90.0.11}]}}
---
{kind: Node, metadata: {name: b}, spec: {podCIDR: 10.244.2.0/24}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}]}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: routes, answer: {routes: [{to: default, via: 10.90.0.1, interface: eth0, table: 254, kind: unicast}]}}
- {from: {node: {name: b}}, question: routes, answer: {routes: [{to: default, via: 10.90.0.1, interface: eth0, table: 254, kind: unicast}]}}
```
```finding
```

The routes of the node could not be read:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Node, metadata: {name: b}, spec: {podCIDR: 10.244.2.0/24}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}]}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

丢失报文的会话所涉节点的路由表（去程与回程），与 Node 对象中的 Pod 网段和地址对照。

## 凭什么证实

包含该 Pod 地址的最长前缀不存在、是默认路由、是丢弃路由，或通向第三个节点；而通往其他节点 Pod 的路由都在。若没有任何节点有这类
路由（由外部网络负责），则什么也不说。

## 怎么办

补回路由，并查明网络插件代理为何丢失了它。
"#;
