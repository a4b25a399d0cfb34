//! Bridged packets skip the packet filter, so answers inside a node are not translated back (F55).

use crate::check::{Check, Findings, View};
use crate::checks::hosts::holds;
use crate::checks::places::node;
use crate::path::HopKind;
use crate::probe::{Answer, Answered, ConntrackEntry, Link, Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::topology::Endpoint;
use std::net::IpAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "bridge-skips-filter",
    title: "Packets between pods of one node skip the packet filter",
    title_zh: "同一节点上 Pod 间的报文绕过了包过滤器",
    catalogue: &["F55"],
    layer: "L3",
    looks_at: &["Node", "Pod", "Service", "EndpointSlice"],
    after: &["service-rules-stale", "no-local-endpoint"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const V4: &str = "net.bridge.bridge-nf-call-iptables";
const V6: &str = "net.bridge.bridge-nf-call-ip6tables";

fn run(view: &View<'_>, out: &mut Findings) {
    let name = view.path.client_node.clone();
    let o = view.observed();
    let front_fails = !o.connects().is_empty() && !o.every_connect(Outcome::Answered);
    let Some((local, direct)) = beside(view).filter(|_| !name.is_empty() && front_fails) else {
        return;
    };
    let Some((links, bridge)) = bridge(view, &name, local.address) else {
        return;
    };
    let key = if local.address.is_ipv4() { V4 } else { V6 };
    let question = Question::Sysctls {
        names: vec![V4.into(), V6.into()],
    };
    let Some(answered) = view.ask(view.node(&name), question) else {
        return;
    };
    let Answer::Sysctls(values) = &answered.answer else {
        return;
    };
    let value = values.get(key).map(String::as_str);
    let shown = match value {
        Some(v) => text!("{key} = {v} on node {name}", "节点 {name} 上 {key} = {v}"),
        None => text!(
            "{key} does not exist on node {name}: br_netfilter is not loaded",
            "节点 {name} 上不存在 {key}：没有加载 br_netfilter"
        ),
    };
    let seen = view.saw(HopKind::ClientNode, answered, shown.clone());
    if value.is_some_and(|v| v != "0") {
        out.fine(
            node(&name),
            HopKind::ClientNode,
            text!(
                "packets between pods of node {name} pass the packet filter",
                "节点 {name} 上 Pod 间的报文经过包过滤器"
            ),
            seen,
        );
        return;
    }
    let tracked = tracked(view, &name, local);
    // The filter saw an answer: then it is not skipped, whatever the setting says.
    if tracked.is_some_and(|(_, e)| !e.unreplied) {
        return;
    }
    let says = text!(
        "on node {name} packets between pods skip the packet filter ({shown}): answers come from the pod's own address",
        "节点 {name} 上 Pod 间的报文绕过包过滤器（{shown:#}）：应答来自 Pod 自身的地址"
    );
    let f = out.broken(node(&name), HopKind::ClientNode, says, seen);
    let ports = &bridge.addresses;
    f.and(view.saw(
        HopKind::ClientNode,
        links,
        text!(
            "client and endpoint are on bridge {} ({})",
            "客户端与端点在同一网桥 {} 上（{}）",
            bridge.name,
            ports.join(", ")
        ),
    ));
    f.and(view.saw(
        HopKind::Listener,
        direct,
        text!(
            "TCP connect to endpoint {}:{} on the same node itself: answered",
            "直接 TCP 连接同一节点上的端点 {}:{}：有应答",
            local.address,
            local.port
        ),
    ));
    if let Some((a, e)) = tracked {
        f.and(view.saw(
            HopKind::ClientNode,
            a,
            text!(
                "conntrack: {} to {} was sent to {}, and no reply was seen",
                "conntrack：{} 到 {} 被转发到 {}，没有看到应答",
                e.source,
                e.destination,
                e.reply_source
            ),
        ));
    }
    f.then(text!(
        "the bridge passes answers on without the packet filter",
        "网桥直接转发应答，不经过包过滤器"
    ))
    .then(text!(
        "nobody translates their source back to the Service's address",
        "没有人把源地址转换回 Service 的地址"
    ))
    .then(text!(
        "the client resets what it never asked for: through the Service the same node fails, other nodes work",
        "客户端重置它未曾请求的连接：经由 Service 访问同节点失败，访问其他节点正常"
    ));
    f.remedy(remedy(&name, key, value.is_none()));
}

/// A ready endpoint on the client's own node that is not the client, and answers by itself.
fn beside<'v, 'a>(view: &'v View<'a>) -> Option<(&'v Endpoint, &'a Answered)> {
    view.path.service?;
    view.observed()
        .endpoints_that(Outcome::Answered)
        .into_iter()
        .find(|(e, _)| {
            e.ready
                && e.node == view.path.client_node
                && !view.path.client_addresses.contains(&e.address)
        })
}

/// The bridge of a node that client and endpoint are both behind.
fn bridge<'a>(view: &View<'a>, name: &str, endpoint: IpAddr) -> Option<(&'a Answered, &'a Link)> {
    let answered = view.ask(view.node(name), Question::Links)?;
    let Answer::Links(all) = &answered.answer else {
        return None;
    };
    let spans = |l: &&Link| {
        l.kind == "bridge"
            && l.addresses.iter().any(|block| {
                holds(block, endpoint)
                    && view.path.client_addresses.iter().any(|c| holds(block, *c))
            })
    };
    all.iter().find(spans).map(|l| (answered, l))
}

/// The client's connection to the Service's address that the node sent to that endpoint.
fn tracked<'a>(
    view: &View<'a>,
    name: &str,
    local: &Endpoint,
) -> Option<(&'a Answered, &'a ConntrackEntry)> {
    let front = view
        .path
        .front
        .iter()
        .find(|f| f.is_ipv4() == local.address.is_ipv4())?;
    let question = Question::Conntrack {
        to: Some(front.ip()),
    };
    let answered = view.ask(view.node(name), question)?;
    let Answer::Conntrack(table) = &answered.answer else {
        return None;
    };
    let client = &view.path.client_addresses;
    table
        .entries
        .iter()
        .filter(|e| {
            e.protocol == "tcp"
                && e.destination == *front
                && e.reply_source.ip() == local.address
                && client.contains(&e.source.ip())
        })
        // Connections from before the setting changed keep their replies for minutes: what has none decides.
        .max_by_key(|e| e.unreplied)
        .map(|e| (answered, e))
}

fn remedy(name: &str, key: &str, absent: bool) -> Remedy {
    let set = format!("{key}=1");
    let mut steps = Vec::new();
    if absent {
        steps.push(Step::OnNode {
            node: name.into(),
            argv: ["modprobe", "br_netfilter"].map(String::from).to_vec(),
        });
    }
    steps.push(Step::OnNode {
        node: name.into(),
        argv: ["sysctl", "-w", &set].map(String::from).to_vec(),
    });
    Remedy {
        safe: true,
        because: text!(
            "kube-proxy needs it wherever pods hang on a bridge; to keep it over a reboot, write it to /etc/sysctl.d and br_netfilter to /etc/modules-load.d",
            "只要 Pod 接在网桥上，kube-proxy 就需要它；要在重启后仍然生效，还需写入 /etc/sysctl.d，并把 br_netfilter 写入 /etc/modules-load.d"
        ),
        steps,
    }
}

const PAGE: &str = r#"
## What it looks at

A Service whose address fails for a client while an endpoint on the client's own node answers by itself: the node's bridges,
`net.bridge.bridge-nf-call-iptables` (`ip6tables` for IPv6), and what conntrack saw.

## What proves it

Client and endpoint are behind one bridge, the setting is 0 or does not exist, and conntrack has seen no reply to a connection that
it sent to that endpoint; older connections, from before the setting changed, may have theirs. Where pods are routed and not bridged the setting means nothing.

## What to do

Load `br_netfilter`, set it to 1, and keep both over a reboot.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 3, name: cni0, kind: bridge, up: true, carrier: true, addresses: [10.244.1.1/24]}]}}
- {from: {node: {name: a}}, question: {sysctls: {names: [net.bridge.bridge-nf-call-iptables, net.bridge.bridge-nf-call-ip6tables]}}, answer: {sysctls: {net.bridge.bridge-nf-call-iptables: "0", net.bridge.bridge-nf-call-ip6tables: "0"}}}
```
```finding
bridge-skips-filter Node/a
  because on node a packets between pods skip the packet filter (net.bridge.bridge-nf-call-iptables = 0 on node a): answers come from the pod's own address
```

A connection from before has its replies, the new one has none:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 3, name: cni0, kind: bridge, up: true, carrier: true, addresses: [10.244.1.1/24]}]}}
- {from: {node: {name: a}}, question: {sysctls: {names: [net.bridge.bridge-nf-call-iptables, net.bridge.bridge-nf-call-ip6tables]}}, answer: {sysctls: {net.bridge.bridge-nf-call-iptables: "0", net.bridge.bridge-nf-call-ip6tables: "0"}}}
- {from: {node: {name: a}}, question: {conntrack: {to: 10.96.0.9}}, answer: {conntrack: {count: 2, max: 65536, stats: {}, entries: [{protocol: tcp, state: TIME_WAIT, source: "10.244.1.2:40000", destination: "10.96.0.9:80", reply_source: "10.244.1.3:8080", reply_destination: "10.244.1.2:40000", unreplied: false}, {protocol: tcp, state: SYN_SENT, source: "10.244.1.2:40004", destination: "10.96.0.9:80", reply_source: "10.244.1.3:8080", reply_destination: "10.244.1.2:40004", unreplied: true}]}}}
```
```finding
bridge-skips-filter Node/a
  because on node a packets between pods skip the packet filter (net.bridge.bridge-nf-call-iptables = 0 on node a): answers come from the pod's own address
```

Conntrack saw the replies, so the filter is not skipped:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 3, name: cni0, kind: bridge, up: true, carrier: true, addresses: [10.244.1.1/24]}]}}
- {from: {node: {name: a}}, question: {sysctls: {names: [net.bridge.bridge-nf-call-iptables, net.bridge.bridge-nf-call-ip6tables]}}, answer: {sysctls: {net.bridge.bridge-nf-call-iptables: "0"}}}
- {from: {node: {name: a}}, question: {conntrack: {to: 10.96.0.9}}, answer: {conntrack: {count: 1, max: 65536, stats: {}, entries: [{protocol: tcp, state: TIME_WAIT, source: "10.244.1.2:40000", destination: "10.96.0.9:80", reply_source: "10.244.1.3:8080", reply_destination: "10.244.1.2:40000", unreplied: false}]}}}
```
```finding
```

Pods of this node are routed, not bridged:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 3, name: cali1, kind: veth, up: true, carrier: true}]}}
- {from: {node: {name: a}}, question: {sysctls: {names: [net.bridge.bridge-nf-call-iptables, net.bridge.bridge-nf-call-ip6tables]}}, answer: {sysctls: {}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

客户端访问 Service 地址失败、而客户端所在节点上的端点自身有应答时：该节点的网桥、`net.bridge.bridge-nf-call-iptables`
（IPv6 为 `ip6tables`），以及 conntrack 所见。

## 凭什么证实

客户端与端点在同一网桥之后；该参数为 0 或不存在；且 conntrack 没有看到某条发往该端点的连接的应答；参数改变之前的旧连接可能有应答。若 Pod 经路由而非网桥相连，该参数没有意义。

## 怎么办

加载 `br_netfilter`，把参数设为 1，并使两者在重启后仍然生效。
"#;
