//! A node's Service rules do not follow the endpoints (F43).

use crate::check::{Check, Findings, View};
use crate::checks::behind::came_and_went;
use crate::checks::no_local_endpoint::local_only;
use crate::checks::places::node;
use crate::object::ObjectRef;
use crate::path::HopKind;
use crate::probe::{Answer, Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::rules::{TCP, UDP, rewrites_destinations, service_targets, works_by_ipvs};
use crate::text;
use crate::text::Text;
use crate::topology::Endpoint;
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
    if view.path.lacks_port() || view.topology.unread("EndpointSlice", service.namespace()) {
        return;
    }
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
        let ready: Vec<&Endpoint> = view
            .path
            .ready_backends()
            .filter(|b| b.address.is_ipv4() == front.is_ipv4())
            // Where only the node's own endpoints count, no rule leads to the others: rightly.
            .filter(|b| !local_only(service) || b.node == name)
            .collect();
        let gone: Vec<SocketAddr> = targets
            .endpoints
            .iter()
            .copied()
            .filter(|t| !known.contains(t))
            .collect();
        let nowhere = targets.known && targets.endpoints.is_empty();
        if nowhere && works_by_ipvs(tables, front.ip()) {
            ipvs(view, &name, *front);
            continue;
        }
        // One that comes and goes may have gone since it was read. That a node rewrites nothing at all is no endpoint's doing.
        let stays = |b: &&Endpoint| {
            let pod = b.pod.as_ref().and_then(|p| view.topology.get(p));
            !pod.is_some_and(|p| came_and_went(view, p))
        };
        let nothing = nowhere && !ready.is_empty() && !rewrites_destinations(tables, front.ip());
        let missing = nothing || nowhere && ready.iter().any(stays);
        if gone.is_empty() && !missing {
            if targets.known && !targets.endpoints.is_empty() {
                let goes = Text::names(&targets.endpoints);
                let seen = text!("{front} goes to {goes}", "{front} 转发到 {goes:#}");
                out.fine(
                    node(&name),
                    HopKind::ClientNode,
                    text!(
                        "the Service rules of node {name} match the endpoints",
                        "节点 {name} 的 Service 规则与端点一致"
                    ),
                    view.saw(HopKind::ClientNode, answered, seen),
                );
            }
            continue;
        }
        let (says, goes) = if nothing {
            let (all, all_zh) = if front.is_ipv4() {
                ("", "")
            } else {
                ("IPv6 ", " IPv6") // those of IPv4 may well stand
            };
            let says = text!(
                "node {name} has no {all}Service rules at all: none sends {front} of Service {service} to its endpoints",
                "节点 {name} 上没有任何{all_zh} Service 规则：没有一条把 Service {service} 的 {front} 转发到端点",
                service = service.name()
            );
            (says, text!("nobody", "无"))
        } else if missing {
            let says = text!(
                "node {name} has no rule that sends {front} to the endpoints of Service {}",
                "节点 {name} 上没有把 {front} 转发到 Service {} 端点的规则",
                service.name()
            );
            (says, text!("nobody", "无"))
        } else {
            let gone = Text::names(&gone);
            let says = text!(
                "the rules of node {name} send Service {} to {gone}, which no endpoint is any more",
                "节点 {name} 的规则把 Service {} 转发到 {gone:#}，而那里已不再是端点",
                service.name()
            );
            (says, Text::names(&targets.endpoints))
        };
        let seen = text!(
            "rules send {front} to {goes}",
            "规则把 {front} 转发到：{goes:#}"
        );
        let seen = view.saw(HopKind::ClientNode, answered, seen);
        let f = out.broken(node(&name), HopKind::ClientNode, says, seen);
        let ready: Vec<SocketAddr> = ready
            .iter()
            .map(|b| SocketAddr::new(b.address, b.port))
            .collect();
        let ready = Text::names(&ready);
        f.and(view.fact(
            HopKind::Service,
            service,
            "EndpointSlices",
            text!("ready: {ready}", "就绪：{ready:#}"),
        ));
        for (e, a) in o.endpoints_that(Outcome::Answered).into_iter().take(1) {
            f.and(view.saw(
                HopKind::Listener,
                a,
                text!(
                    "TCP connect to endpoint {}:{} itself: answered",
                    "直接 TCP 连接端点 {}:{}：有应答",
                    e.address,
                    e.port
                ),
            ));
        }
        if nothing {
            f.numbered("F44").then(text!(
                "kube-proxy of node {name} does not run, or its rules were flushed and it has not written them anew",
                "节点 {name} 的 kube-proxy 没有运行，或它的规则被清空后尚未重写"
            ));
        } else {
            f.then(text!(
                "kube-proxy of node {name} missed an update",
                "节点 {name} 的 kube-proxy 漏掉了一次更新"
            ))
            .then(text!(
                "its rules name addresses that are gone",
                "它的规则指向已不存在的地址"
            ));
        }
        f.then(text!(
            "the rules send {front} nowhere that answers",
            "规则没有把 {front} 转发到有应答之处"
        ))
        .then(text!(
            "connections from that node go nowhere, from others they work",
            "从该节点发起的连接无处可达，从其他节点则正常"
        ));
        f.remedy(remedy(view, &name));
        return;
    }
}

/// Where it sends a Service, the kernel's table of virtual servers knows, which nothing here reads.
fn ipvs(view: &View<'_>, name: &str, front: SocketAddr) {
    view.gap(
        text!(
            "where node {name} sends {front}",
            "节点 {name} 把 {front} 转发到哪里"
        ),
        text!(
            "kube-proxy of node {name} works by IPVS: its virtual servers are not among the packet-filter rules",
            "节点 {name} 的 kube-proxy 以 IPVS 方式工作：其虚拟服务器不在包过滤规则中"
        ),
        Text::same(format!("ipvsadm -L -n -t {front}")),
    );
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
            because: text!(
                "a new kube-proxy reads everything and writes its rules anew in one transaction; connections that stand are not cut",
                "新的 kube-proxy 会重新读取全部对象，并在一个事务中重写规则；已建立的连接不会中断"
            ),
            steps: vec![Step::Delete {
                object: ObjectRef::new("Pod", p.namespace(), p.name()),
            }],
        },
        None => Remedy {
            safe: false,
            because: text!(
                "no kube-proxy pod of that node is seen",
                "没有看到该节点的 kube-proxy Pod"
            ),
            steps: vec![Step::Ask {
                question: text!(
                    "what keeps the Service rules of node {name}? Restart it and look at its log",
                    "节点 {name} 的 Service 规则由什么维护？请重启它并查看其日志"
                ),
            }],
        },
    }
}

const PAGE: &str = r#"
## What it looks at

The packet-filter rules of the client's node, walked with a packet to the Service's address, against the
endpoints in the EndpointSlices.

## What proves it

The Service's address fails from the client while an endpoint itself answers, and the node's rules send the
address to somewhere that no EndpointSlice names (or nowhere). Where no rule of the node rewrites any destination, its
Service rules are missing altogether (F44): kube-proxy is dead, or something flushed them. That no rule leads to an endpoint
says nothing where its pod was started again within the last minute: it may have gone since it was read. Nor does it where
kube-proxy works by IPVS: its virtual servers are not among the rules.

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

The Service does not have the port: that nodes have no rule for it is right.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 81}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:81", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {node: {name: a}}, question: rules, answer: {rules: [{family: ip, name: nat, chains: [{name: PREROUTING, hook: {kind: nat, point: prerouting, priority: -100, policy_drop: false}}], sets: []}]}}
```
```finding
```

The only pod was killed half a minute ago, and may be down again by the time the rules are read:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a, containers: [{name: cart}]}, status: {phase: Running, podIP: 10.244.1.3, containerStatuses: [{name: cart, restartCount: 1, state: {running: {startedAt: "2026-01-07T23:59:31Z"}}, lastState: {terminated: {reason: Error, exitCode: 1, finishedAt: "2026-01-07T23:59:30Z"}}}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {node: {name: a}}, question: rules, answer: {rules: [{family: ip, name: nat, chains: [{name: PREROUTING, hook: {kind: nat, point: prerouting, priority: -100, policy_drop: false}, rules: [{exprs: [{payload: {dreg: 1, base: network, offset: 16, len: 4}}, {cmp: {sreg: 1, op: eq, data: [10, 96, 0, 1]}}, {immediate: {dreg: 1, data: [10, 0, 0, 1]}}, {nat: {kind: dnat, family: 2, addr: 1, flags: 0}}]}]}], sets: []}]}}
```
```finding
```

kube-proxy works by IPVS there, and its virtual servers are none of these rules: not known, and no rule is missed.

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
- {from: {node: {name: a}}, question: rules, answer: {rules: [{family: ip, name: nat, chains: [{name: PREROUTING, hook: {kind: nat, point: prerouting, priority: -100, policy_drop: false}}, {name: KUBE-NODE-PORT}, {name: KUBE-LOAD-BALANCER}], sets: []}]}}
```
```finding
```

The node has a NAT chain and not one rule in it, while the endpoint answers:

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
  because node a has no Service rules at all: none sends 10.96.0.9:80 of Service cart to its endpoints
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

客户端所在节点的包过滤规则，用一个发往 Service 地址的报文推演，并与 EndpointSlice 中的端点对照。

## 凭什么证实

从客户端访问 Service 的地址失败，而直接访问某个端点有应答，并且该节点的规则把这个地址转发到 EndpointSlice 未列出的去处（或不转发到任何去处）。若该节点没有任何规则改写目的地址，
则 Service 规则整体缺失（F44）：kube-proxy 已停止，或规则被清空。若端点的 Pod 在最近一分钟内重启过，没有规则通向它并不说明问题：读取之后它可能又已消失。若 kube-proxy 以 IPVS 方式工作，也不说明问题：其虚拟服务器不在这些规则中。

## 怎么办

重新启动该节点的 kube-proxy。它的日志会说明为何漏掉了更新。
"#;
