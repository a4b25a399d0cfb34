//! A node's firewall drops the overlay's packets (F76).

use crate::check::{Check, Findings, View};
use crate::checks::places::{loses, lost, node, nodes};
use crate::observe::{attempts, tally};
use crate::path::HopKind;
use crate::probe::{Answer, Link, Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::rules::{Blocker, Packet, UDP, Way, blockers_on};
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
            let says = format!(
                "the firewall of node {at} drops the overlay's packets: UDP port {port} of {}",
                tunnel.name
            );
            let f = out.broken(
                node(at),
                HopKind::Path,
                says,
                view.saw(
                    HopKind::Path,
                    answered,
                    format!("{}: drops UDP {src} to {dst}:{port}", blocker.rule),
                ),
            );
            f.and(view.saw(
                HopKind::Path,
                echo,
                format!(
                    "ICMP echo from node {here} to node {there}: {}",
                    tally(attempts(echo).iter().map(|t| t.outcome))
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
                    format!(
                        "TCP connect to {}:{} on node {there}: no answer",
                        e.address, e.port
                    ),
                ));
            }
            f.then(format!("a rule of node {at} drops UDP port {port}"))
                .then("encapsulated packets do not arrive")
                .then("pods on other nodes are silent, the nodes themselves answer");
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
            question: format!(
                "how is the firewall of node {at} configured? It must accept UDP port {port} from the other nodes"
            ).into(),
        }],
    };
    Remedy {
        safe: false,
        because: format!(
            "the overlay needs UDP port {port} between all nodes; delete the rule here and where it is written, or it comes back"
        ).into(),
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

const PAGE_ZH: &str = "";
