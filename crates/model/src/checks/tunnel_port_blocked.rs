//! A node's firewall drops the overlay's packets (F76).

use crate::check::{Check, Findings, View};
use crate::checks::places::{loses, lost, node, nodes};
use crate::observe::{attempts, tally};
use crate::path::HopKind;
use crate::probe::{Answer, Link, Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::rules::{Blocker, Packet, UDP, Way, blockers_on};
use crate::text;
use std::net::{IpAddr, SocketAddr};

/// The check.
pub const CHECK: Check = Check {
    id: "tunnel-port-blocked",
    title: "Overlay's UDP port is blocked on a node",
    title_zh: "节点防火墙拦截了覆盖网络端口",
    catalogue: &["F76"],
    layer: "L3",
    looks_at: &["Node", "Pod", "Service", "EndpointSlice"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

/// VXLAN's port where the device does not say (RFC 7348).
const VXLAN: u16 = 4789;

fn run(view: &View<'_>, out: &mut Findings) {
    if !loses(view) || view.path.client_node.is_empty() {
        return;
    }
    let here = view.path.client_node.clone();
    for (there, _) in nodes(view).into_iter().filter(|(n, _)| *n != here) {
        let (Some(tunnel), Some(far)) = (tunnel(view, &here), tunnel(view, &there)) else {
            continue;
        };
        let port = tunnel.tunnel_port.unwrap_or(VXLAN);
        let (Some(a), Some(b)) = (end(view, tunnel, &here), end(view, far, &there)) else {
            continue;
        };
        // The nodes themselves reach each other: it is not the cable.
        let Some(echo) = view.ask(
            view.node(&here),
            Question::Echo {
                to: b,
                count: 2,
                timeout_ms: 400,
            },
        ) else {
            continue;
        };
        if !attempts(echo)
            .iter()
            .any(|t| t.outcome == Outcome::Answered)
        {
            continue;
        }
        let ways = [
            (there.as_str(), Way::In, a, b),
            (here.as_str(), Way::Out, a, b),
            (here.as_str(), Way::In, b, a),
            (there.as_str(), Way::Out, b, a),
        ];
        for (at, way, src, dst) in ways {
            let Some(answered) = view.ask(view.node(at), Question::Rules) else {
                continue;
            };
            let Answer::Rules(tables) = &answered.answer else {
                continue;
            };
            let packet = Packet::new(src, SocketAddr::new(dst, port), UDP);
            let Some(blocker) = blockers_on(tables, way, &packet)
                .into_iter()
                .find(|x| x.certain && x.share > 0.99)
            else {
                continue;
            };
            let (rule, link) = (&blocker.rule, &tunnel.name);
            let says = text!(
                "the firewall of node {at} drops the overlay's packets: UDP port {port} of {link}",
                "节点 {at} 的防火墙丢弃覆盖网络的报文：{link} 的 UDP 端口 {port}"
            );
            let f = out.broken(
                node(at),
                HopKind::Path,
                says,
                view.saw(
                    HopKind::Path,
                    answered,
                    text!(
                        "{rule}: drops UDP {src} to {dst}:{port}",
                        "{rule:#}：丢弃 {src} 到 {dst}:{port} 的 UDP 报文"
                    ),
                ),
            );
            let share = tally(attempts(echo).iter().map(|t| t.outcome));
            f.and(view.saw(
                HopKind::Path,
                echo,
                text!(
                    "ICMP echo from node {here} to node {there}: {share}",
                    "从节点 {here} 到节点 {there} 的 ICMP echo：{share:#}"
                ),
            ));
            for (e, c) in lost(view)
                .into_iter()
                .filter(|(e, _)| e.node == there)
                .take(1)
            {
                f.and(view.saw(
                    HopKind::Path,
                    c,
                    text!(
                        "TCP connect to {}:{} on node {there}: no answer",
                        "TCP 连接节点 {there} 上的 {}:{}：无应答",
                        e.address,
                        e.port
                    ),
                ));
            }
            f.then(text!(
                "a rule of node {at} drops UDP port {port}",
                "节点 {at} 的一条规则丢弃 UDP 端口 {port} 的报文"
            ))
            .then(text!(
                "encapsulated packets do not arrive",
                "封装后的报文无法到达"
            ))
            .then(text!(
                "pods on other nodes are silent, the nodes themselves answer",
                "其他节点上的 Pod 无应答，而节点本身有应答"
            ));
            f.remedy(remedy(at, port, way, &blocker));
            return;
        }
    }
}

fn tunnel<'a>(view: &View<'a>, name: &str) -> Option<&'a Link> {
    match &view.ask(view.node(name), Question::Links)?.answer {
        Answer::Links(all) => all.iter().find(|l| l.kind == "vxlan"),
        _ => None,
    }
}

/// The outer address of a node's tunnel.
fn end(view: &View<'_>, tunnel: &Link, name: &str) -> Option<IpAddr> {
    tunnel
        .tunnel_local
        .filter(|a| !a.is_unspecified())
        .or_else(|| view.topology.node_addresses(name).first().copied())
}

fn remedy(at: &str, port: u16, way: Way, b: &Blocker) -> Remedy {
    let r = &b.rule;
    let steps = match (r.handle, way) {
        (Some(handle), _) if handle > 0 => {
            let words = [
                "nft",
                "delete",
                "rule",
                r.family.name(),
                &r.table,
                &r.chain,
                "handle",
                &handle.to_string(),
            ]
            .map(String::from);
            vec![Step::OnNode {
                node: at.into(),
                argv: words.to_vec(),
            }]
        }
        _ => vec![Step::Ask {
            question: text!(
                "how is the firewall of node {at} configured? It must accept UDP port {port} from the other nodes",
                "节点 {at} 的防火墙是如何配置的？它必须放行来自其他节点的 UDP 端口 {port}"
            ),
        }],
    };
    Remedy {
        safe: false,
        because: text!(
            "the overlay needs UDP port {port} between all nodes; delete the rule here and where it is written, or it comes back",
            "覆盖网络需要所有节点之间的 UDP 端口 {port}；除了在此删除规则，还要在写入它的地方删除，否则它会再次出现"
        ),
        steps,
    }
}

const PAGE: &str = r#"
## What it looks at

The tunnel devices of both nodes, whether the nodes reach each other outside the tunnel, and both nodes' rules,
walked with an outer packet of the tunnel.

## What proves it

Packets to another node's pods are lost; the nodes answer each other's ICMP; and a rule at the input or output
of one of them drops UDP to the tunnel's port.

## What to do

Accept the port between the nodes, in the place where the firewall is configured.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 3, name: flannel.1, kind: vxlan, up: true, tunnel_port: 8472, tunnel_local: 10.90.0.11}]}}
- {from: {node: {name: b}}, question: links, answer: {links: [{index: 3, name: flannel.1, kind: vxlan, up: true, tunnel_port: 8472, tunnel_local: 10.90.0.12}]}}
- {from: {node: {name: a}}, question: {echo: {to: 10.90.0.12, count: 2, timeout_ms: 400}}, answer: {echo: [{outcome: answered, took_us: 90}]}}
- {from: {node: {name: b}}, question: rules, answer: {rules: [{family: inet, name: firewall, chains: [{name: input, hook: {kind: filter, point: input, priority: 0, policy_drop: false}, rules: [{handle: 4, exprs: [{verdict: drop}]}]}], sets: []}]}}
```
```finding
tunnel-port-blocked Node/b
  because the firewall of node b drops the overlay's packets: UDP port 8472 of flannel.1
```

Without a tunnel between the nodes there is nothing to block:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 2, name: eth0, mtu: 1500, up: true}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

两个节点的隧道设备、节点在隧道之外能否互通，以及两个节点的规则，用隧道的外层报文逐条推演。

## 凭什么证实

发往另一节点上 Pod 的报文丢失；节点之间的 ICMP 有应答；并且其中一个节点在 input 或 output 上有规则丢弃发往隧道端口的 UDP 报文。

## 怎么办

在配置防火墙的地方，放行节点之间的该端口。
"#;
