//! Large packets vanish on the way, and nobody says so (F71).

use crate::check::{Check, Findings, View};
use crate::checks::places::node;
use crate::observe::answered;
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Link, PathMtu, Question};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use std::net::IpAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "path-mtu-black-hole",
    title: "Large packets vanish between nodes (path MTU black hole)",
    title_zh: "节点间大包被静默丢弃（路径 MTU 黑洞）",
    catalogue: &["F71"],
    layer: "L3",
    looks_at: &["Node", "Pod", "Service", "EndpointSlice"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

/// Patience for a rung of the ladder inside a cluster.
const RUNG_MS: u32 = 400;

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let requests = o.requests_made();
    // Small goes, large hangs: the handshake worked, and the request's own bytes were never acknowledged
    // or its answer never came.
    let hangs = requests
        .iter()
        .any(|r| !answered(r) && r.connect_us > 0 && r.phase != "connect");
    if !hangs || view.path.client_node.is_empty() {
        return;
    }
    let here = view.path.client_node.clone();
    let mut holes: Vec<(String, &Answered, &PathMtu)> = Vec::new();
    let others: Vec<String> = view
        .topology
        .all("Node")
        .iter()
        .map(|n| n.name().to_string())
        .filter(|n| *n != here)
        .take(6)
        .collect();
    for other in &others {
        let Some((a, m)) = ladder(view, &here, other) else {
            continue;
        };
        if m.smallest_lost > 0
            && m.largest_answered > 0
            && m.announced.is_none()
            && m.local.is_none()
        {
            holes.push((other.clone(), a, m));
        } else if m.largest_answered > 0 && m.smallest_lost == 0 {
            let size = m.largest_answered;
            let says = text!(
                "node {here} to node {other}: {size} bytes pass",
                "节点 {here} 到节点 {other}：{size} 字节的报文可以通过"
            );
            let seen = text!(
                "largest packet answered {size}",
                "得到应答的最大报文：{size} 字节"
            );
            let seen = view.saw(HopKind::Path, a, seen);
            out.fine(node(other), HopKind::Path, says, seen);
        }
    }
    let Some((_, a, m)) = holes.first() else {
        return;
    };
    let Some(culprit) = culprit(view, &here, &others, &holes) else {
        return;
    };
    let size = holes
        .iter()
        .map(|h| h.2.largest_answered)
        .min()
        .unwrap_or(m.largest_answered);
    let says = text!(
        "packets above {size} bytes to or from node {culprit} vanish without a word",
        "进出节点 {culprit} 的报文超过 {size} 字节即被静默丢弃"
    );
    let seen = view.saw(HopKind::Path, a, shown(m));
    let f = out.broken(node(&culprit), HopKind::Path, says, seen);
    for (other, a, m) in holes.iter().skip(1) {
        let what = shown(m);
        let what = text!("to node {other}: {what}", "到节点 {other}：{what:#}");
        f.and(view.saw(HopKind::Path, a, what));
    }
    f.then(text!(
        "a link of node {culprit} carries at most {size} bytes",
        "节点 {culprit} 的一条链路最多承载 {size} 字节"
    ))
    .then(text!(
        "larger packets are dropped and no ICMP says so",
        "更大的报文被丢弃，且没有 ICMP 通知"
    ))
    .then(text!(
        "the handshake and small requests pass, full segments are sent again and again",
        "握手和小请求可以通过，满长的报文段反复重传"
    ))
    .then(text!("requests hang", "请求挂起"));
    f.remedy(remedy(view, size));
}

fn shown(m: &PathMtu) -> Text {
    text!(
        "{} bytes pass, {} are lost without an ICMP message",
        "{} 字节可以通过，{} 字节丢失且没有 ICMP 消息",
        m.largest_answered,
        m.smallest_lost
    )
}

/// The ladder between two nodes, up to what the sender's own link carries.
fn ladder<'a>(view: &View<'a>, from: &str, to: &str) -> Option<(&'a Answered, &'a PathMtu)> {
    let family = view
        .path
        .client_addresses
        .first()
        .is_none_or(IpAddr::is_ipv4);
    let address = view
        .topology
        .node_addresses(to)
        .into_iter()
        .find(|a| a.is_ipv4() == family)
        .or_else(|| view.topology.node_addresses(to).first().copied())?;
    let largest = uplink(view, from)?.mtu;
    let answered = view.ask(
        view.node(from),
        Question::PathMtu {
            to: address,
            largest,
            timeout_ms: RUNG_MS,
        },
    )?;
    match &answered.answer {
        Answer::PathMtu(m) => Some((answered, m)),
        _ => None,
    }
}

/// The link that holds the node's own address.
fn uplink<'a>(view: &View<'a>, name: &str) -> Option<&'a Link> {
    let own = view.topology.node_addresses(name);
    match &view.ask(view.node(name), Question::Links)?.answer {
        Answer::Links(all) => all.iter().find(|l| {
            l.addresses
                .iter()
                .filter_map(|a| a.split('/').next()?.parse().ok())
                .any(|a: IpAddr| own.contains(&a))
        }),
        _ => None,
    }
}

/// Which end of a bad pair is it? The one that is bad with a third node too.
fn culprit(
    view: &View<'_>,
    here: &str,
    others: &[String],
    holes: &[(String, &Answered, &PathMtu)],
) -> Option<String> {
    let (bad, _, _) = holes.first()?;
    if others.len() < 2 {
        return Some(bad.clone());
    }
    if holes.len() < others.len() {
        return Some(bad.clone());
    }
    // Every other node is behind a hole: is it the client's own? A second opinion between two others.
    let (a, b) = (others.first()?, others.get(1)?);
    let (_, m) = ladder(view, a, b)?;
    if m.smallest_lost == 0 {
        Some(here.to_string())
    } else {
        Some(bad.clone())
    }
}

fn remedy(view: &View<'_>, size: u32) -> Remedy {
    let mut steps = Vec::new();
    for n in view.topology.all("Node").iter().take(16) {
        let Some(Answer::Links(all)) = view
            .ask(view.node(n.name()), Question::Links)
            .map(|a| &a.answer)
        else {
            continue;
        };
        let uplink = uplink(view, n.name());
        let tunnel = all.iter().find(|l| l.kind == "vxlan");
        // VXLAN adds 50 bytes over IPv4 and 70 over IPv6 (RFC 7348 section 5).
        let head = if tunnel
            .and_then(|t| t.tunnel_local)
            .is_some_and(|a| a.is_ipv6())
        {
            70
        } else {
            50
        };
        let (link, mtu) = match (tunnel, uplink) {
            (Some(t), _) => (t, size.saturating_sub(head)),
            (None, Some(u)) => (u, size),
            _ => continue,
        };
        if link.mtu > mtu {
            steps.push(Step::OnNode {
                node: n.name().into(),
                argv: [
                    "ip",
                    "link",
                    "set",
                    "dev",
                    &link.name,
                    "mtu",
                    &mtu.to_string(),
                ]
                .map(String::from)
                .to_vec(),
            });
        }
    }
    steps.push(Step::Ask {
        question: text!(
            "can the switch, VPN or cloud network be made to carry what the nodes' links say? Then the smaller MTU can go again",
            "能否让交换机、VPN 或云网络承载节点接口所设的 MTU？若能，较小的 MTU 便可撤回"
        ),
    });
    Remedy {
        safe: false,
        because: text!(
            "with {size} bytes on every node's way out the kernel itself says what does not fit, and senders adapt; set the CNI's MTU to match, so that it outlives a reboot",
            "每个节点的出口都设为 {size} 字节后，内核自己就会告知放不下的报文，发送方随之调整；CNI 的 MTU 也要相应设置，以便重启后仍然有效"
        ),
        steps,
    }
}

const PAGE: &str = r#"
## What it looks at

Requests whose handshake works and whose full-size segments do not, and a ladder of unfragmentable packets
between the nodes.

## What proves it

Packets up to a size are answered, larger ones that the sender's own link carries are lost, and no ICMP
"fragmentation needed" comes back. Which node it is, a third node tells.

## What to do

Make the network carry the size, or lower the MTU of the nodes' way out (and of the CNI) to what it carries.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80, http: /}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Node, metadata: {name: a}, status: {addresses: [{type: InternalIP, address: 10.90.0.11}]}}
---
{kind: Node, metadata: {name: b}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {http: {to: "10.96.0.9:80", host: cart.shop.svc.cluster.local, path: /, tls: false, padding: 4000, tries: 3, timeout_ms: 900}}, answer: {http: [{outcome: silent, phase: response, status: 0, connect_us: 80, tls_us: 0, first_byte_us: 0, total_us: 900000, retransmissions: 2, unacknowledged: 4000}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 2, name: eth0, mtu: 1500, up: true, addresses: [10.90.0.11/24]}]}}
- {from: {node: {name: a}}, question: {path_mtu: {to: 10.90.0.12, largest: 1500, timeout_ms: 400}}, answer: {path_mtu: {largest_answered: 1400, smallest_lost: 1401}}}
```
```finding
path-mtu-black-hole Node/b
  because packets above 1400 bytes to or from node b vanish without a word
```

A smaller MTU that is announced works: senders adapt.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80, http: /}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Node, metadata: {name: a}, status: {addresses: [{type: InternalIP, address: 10.90.0.11}]}}
---
{kind: Node, metadata: {name: b}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {http: {to: "10.96.0.9:80", host: cart.shop.svc.cluster.local, path: /, tls: false, padding: 4000, tries: 3, timeout_ms: 900}}, answer: {http: [{outcome: silent, phase: response, status: 0, connect_us: 80, tls_us: 0, first_byte_us: 0, total_us: 900000, retransmissions: 2, unacknowledged: 4000}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 2, name: eth0, mtu: 1500, up: true, addresses: [10.90.0.11/24]}]}}
- {from: {node: {name: a}}, question: {path_mtu: {to: 10.90.0.12, largest: 1500, timeout_ms: 400}}, answer: {path_mtu: {largest_answered: 1400, smallest_lost: 1401, announced: 1400}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

握手正常而满长报文段不通的请求，以及在节点之间逐级增大的不可分片报文。

## 凭什么证实

不超过某个大小的报文有应答，更大的、发送方自己的链路能承载的报文却丢失，并且没有返回 ICMP“需要分片”。问题在哪个节点，由第三个节点来判断。

## 怎么办

让网络承载该大小，或把节点出口（以及 CNI）的 MTU 降到网络所能承载的值。
"#;
