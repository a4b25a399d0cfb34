//! A node's link loses packets at random (F87).

use crate::check::{Check, Findings, View};
use crate::checks::places::{has_family, node};
use crate::finding::Seen;
use crate::observe::attempts;
use crate::path::HopKind;
use crate::probe::{Answered, Outcome, Question, Vantage};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use std::net::IpAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "link-loses-packets",
    title: "Link of a node loses packets at random",
    title_zh: "节点的链路随机丢包",
    catalogue: &["F87"],
    layer: "L3",
    looks_at: &["Node", "Pod", "Service", "EndpointSlice"],
    after: &["link-down", "node-not-reporting", "conntrack-table-full"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

/// Echo requests to one place.
const ECHOES: u32 = 40;
/// Fewer lost ones than that may be anything.
const LEAST: usize = 3;
const PATIENCE_MS: u32 = 700;

/// Echoes to one place: sent, lost.
struct Tally<'a> {
    answered: &'a Answered,
    sent: usize,
    lost: usize,
}

impl Tally<'_> {
    /// Some came back and some did not.
    fn lossy(&self) -> bool {
        self.lost >= LEAST && self.lost < self.sent
    }

    fn words(&self) -> Text {
        let (lost, sent) = (self.lost, self.sent);
        text!(
            "{lost} of {sent} echoes lost",
            "{sent} 次 echo 丢失 {lost} 次"
        )
    }
}

fn run(view: &View<'_>, out: &mut Findings) {
    let client = &view.path.client_node;
    if client.is_empty() || view.path.service.is_none() || !now_and_then(view) {
        return;
    }
    // Both series in one batch: whoever loses packets is asked for long enough as it is.
    let peers: Vec<(String, Tally<'_>)> = view
        .topology
        .all("Node")
        .iter()
        .map(|n| n.name().to_string())
        .filter(|n| n != client)
        .take(6)
        .filter_map(|n| {
            let to = address_of(view, &n)?;
            let t = echoes(view, view.node(client), to)?;
            Some((n, t))
        })
        .collect();
    // ICMP takes the same way and meets no listener: whoever loses echoes loses them on the way.
    let Some((server, first)) = lossy_endpoint(view) else {
        return;
    };
    if server == *client {
        return;
    }
    let at_server = peers.iter().find(|(n, t)| *n == server && t.lossy());
    let Some((_, between)) = at_server else {
        return;
    };
    let alive = peers.iter().filter(|(_, t)| t.lost < t.sent);
    let clean = alive.clone().filter(|(_, t)| !t.lossy()).count();
    // One bad link makes all ways over it bad, and no other.
    let blamed = if clean > 0 || peers.len() == 1 {
        server.clone()
    } else {
        client.clone()
    };
    let hop = if blamed == *client {
        HopKind::ClientNode
    } else {
        HopKind::Path
    };
    let words = between.words();
    let says = text!(
        "the link of node {blamed} loses packets at random: {words} between nodes {client} and {server}",
        "节点 {blamed} 的链路随机丢包：节点 {client} 与 {server} 之间 {words:#}"
    );
    let seen = view.saw(
        HopKind::Path,
        between.answered,
        text!(
            "node {client} to node {server}: {words}",
            "节点 {client} 到节点 {server}：{words:#}"
        ),
    );
    let f = out.broken(node(&blamed), hop, says, seen);
    for seen in rest(view, &peers, &server, first) {
        f.and(seen);
    }
    f.then(text!(
        "the link of node {blamed} loses some packets of any kind",
        "节点 {blamed} 的链路丢失部分报文，不论种类"
    ))
    .then(text!(
        "TCP sends them again, after a second when it is the first",
        "TCP 会重传；若丢的是首个报文，则要等一秒"
    ))
    .then(text!(
        "calls over that link are slow or time out now and then",
        "经过该链路的调用时而变慢或超时"
    ));
    f.remedy(remedy(&blamed));
}

/// What else was seen: the pods' own echoes, and the ways to the other nodes.
fn rest(view: &View<'_>, peers: &[(String, Tally<'_>)], server: &str, pod: Tally<'_>) -> Vec<Seen> {
    let client = &view.path.client_node;
    let words = pod.words();
    let mut out = vec![view.saw(
        HopKind::Path,
        pod.answered,
        text!(
            "from the client to an endpoint: {words}",
            "从客户端到端点：{words:#}"
        ),
    )];
    for (n, t) in peers.iter().filter(|(n, _)| n != server) {
        let words = t.words();
        out.push(view.saw(
            HopKind::Path,
            t.answered,
            text!(
                "node {client} to node {n}: {words}",
                "节点 {client} 到节点 {n}：{words:#}"
            ),
        ));
    }
    out
}

/// Some tries of the client are lost without a word, and others come through.
fn now_and_then(view: &View<'_>) -> bool {
    let o = view.observed();
    let lost = o.some_connect(Outcome::Silent)
        || o.requests_made()
            .iter()
            .any(|r| r.outcome == Outcome::Silent)
        || !o.endpoints_that(Outcome::Silent).is_empty();
    let through =
        o.some_connect(Outcome::Answered) || !o.endpoints_that(Outcome::Answered).is_empty();
    lost && through
}

/// The node of an endpoint to which the client loses echoes.
fn lossy_endpoint<'a>(view: &View<'a>) -> Option<(String, Tally<'a>)> {
    let all: Vec<(String, Tally<'a>)> = view
        .path
        .ready_backends()
        .filter(|e| !e.node.is_empty())
        .take(4)
        .filter_map(|e| {
            let t = echoes(view, view.path.vantage(), e.address)?;
            Some((e.node.clone(), t))
        })
        .collect();
    all.into_iter()
        .filter(|(_, t)| t.lossy())
        .max_by_key(|(n, t)| (*n != view.path.client_node, t.lost))
}

fn echoes<'a>(view: &View<'a>, from: Vantage, to: IpAddr) -> Option<Tally<'a>> {
    let question = Question::Echo {
        to,
        count: ECHOES,
        timeout_ms: PATIENCE_MS,
    };
    let answered = view.ask(from, question)?;
    let all = attempts(answered);
    Some(Tally {
        answered,
        sent: all.len(),
        lost: all
            .iter()
            .filter(|t| t.outcome != Outcome::Answered)
            .count(),
    })
}

fn address_of(view: &View<'_>, name: &str) -> Option<IpAddr> {
    view.topology
        .node_addresses(name)
        .into_iter()
        .find(|a| has_family(&view.path.client_addresses, *a))
}

fn remedy(blamed: &str) -> Remedy {
    Remedy {
        safe: false,
        because: text!(
            "something between the node's network card and the switch loses frames; the way to other nodes is clean",
            "丢帧发生在该节点网卡与交换机之间；通往其他节点的路径正常"
        ),
        steps: vec![Step::Ask {
            question: text!(
                "what loses frames at node {blamed}? On it: ip -s -s link; ethtool -S eth0 | grep -i -e err -e drop; tc -s qdisc; nft list ruleset | grep -e random; then cable, port and switch",
                "节点 {blamed} 处是什么在丢帧？在节点上：ip -s -s link；ethtool -S eth0 | grep -i -e err -e drop；tc -s qdisc；nft list ruleset | grep -e random；然后检查网线、端口和交换机"
            ),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

A conversation that fails now and then: 40 ICMP echoes from the client to each endpoint, and from the client's node to every other node.

## What proves it

Echoes are lost on the way to an endpoint, which no listener, queue or memory limit can do, and between the two nodes as well. Of the
other nodes' ways those over the same link lose too: that tells whose link it is. A server that is overloaded loses no echoes.

## What to do

Look at the link of that node: error counters, queueing rules, cable, switch.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Node, metadata: {name: b}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}]}}
---
{kind: Node, metadata: {name: c}, status: {addresses: [{type: InternalIP, address: 10.90.0.13}]}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}, {outcome: answered, took_us: 300}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {echo: {to: 10.244.2.3, count: 40, timeout_ms: 700}}, answer: {echo: [{outcome: silent, took_us: 0}, {outcome: silent, took_us: 0}, {outcome: silent, took_us: 0}, {outcome: answered, took_us: 90}]}}
- {from: {node: {name: a}}, question: {echo: {to: 10.90.0.12, count: 40, timeout_ms: 700}}, answer: {echo: [{outcome: silent, took_us: 0}, {outcome: silent, took_us: 0}, {outcome: silent, took_us: 0}, {outcome: answered, took_us: 90}]}}
- {from: {node: {name: a}}, question: {echo: {to: 10.90.0.13, count: 40, timeout_ms: 700}}, answer: {echo: [{outcome: answered, took_us: 90}, {outcome: answered, took_us: 90}]}}
```
```finding
link-loses-packets Node/b
  because the link of node b loses packets at random: 3 of 4 echoes lost between nodes a and b
```

Connections are lost and no echo is: the server, not the way.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Node, metadata: {name: b}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}]}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}, {outcome: answered, took_us: 300}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {echo: {to: 10.244.2.3, count: 40, timeout_ms: 700}}, answer: {echo: [{outcome: answered, took_us: 90}, {outcome: answered, took_us: 90}]}}
- {from: {node: {name: a}}, question: {echo: {to: 10.90.0.12, count: 40, timeout_ms: 700}}, answer: {echo: [{outcome: answered, took_us: 90}]}}
```
```finding
```

The pods lose echoes, and nobody may ask from the nodes: whose link it is cannot be told.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Node, metadata: {name: b}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}]}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}, {outcome: answered, took_us: 300}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {echo: {to: 10.244.2.3, count: 40, timeout_ms: 700}}, answer: {echo: [{outcome: silent, took_us: 0}, {outcome: silent, took_us: 0}, {outcome: silent, took_us: 0}, {outcome: answered, took_us: 90}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

时好时坏的会话：从客户端向每个端点、从客户端节点向其他每个节点各发 40 次 ICMP echo。

## 凭什么证实

到端点的路上丢失 echo（监听者、队列或内存限制都做不到这一点），且两个节点之间也丢。在通往其他节点的路径中，经过同一链路的也会丢：由此
得知是谁的链路。过载的服务端不会丢失 echo。

## 怎么办

检查该节点的链路：错误计数器、排队规则、网线、交换机。
"#;
