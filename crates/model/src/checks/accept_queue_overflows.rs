//! Connections arrive faster than the application accepts them (F91).

use crate::check::{Check, Findings, View};
use crate::path::HopKind;
use crate::probe::{Answer, Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::text;

/// The check.
pub const CHECK: Check = Check {
    id: "accept-queue-overflows",
    title: "Accept queue of a listener overflows",
    title_zh: "监听套接字的 accept 队列溢出",
    catalogue: &["F91"],
    layer: "L4",
    looks_at: &["Service", "EndpointSlice", "Pod"],
    after: &[
        "memory-limit-below-working-set",
        "memory-grows-without-bound",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    for (endpoint, connect) in view.observed().endpoints_that(Outcome::Silent) {
        let Some(pod) = endpoint.pod.as_ref().and_then(|p| view.topology.get(p)) else {
            continue;
        };
        let Some(sockets) = view.ask(view.pod(&pod.reference()), Question::Sockets) else {
            continue;
        };
        let Answer::Sockets(all) = &sockets.answer else {
            continue;
        };
        let full = all.iter().find(|s| {
            s.state == "LISTEN" && s.local.port() == endpoint.port && s.recv_q > s.send_q
        });
        let Some(s) = full else { continue };
        let says = text!(
            "pod {} does not accept: {} connections wait in a queue of {}, further SYNs vanish",
            "pod {} 不再接受连接：{} 个连接在长度为 {} 的队列中等待，后续 SYN 消失",
            pod.name(),
            s.recv_q,
            s.send_q
        );
        let first = view.saw(
            HopKind::Listener,
            sockets,
            text!(
                "LISTEN {}: Recv-Q {} above Send-Q {}",
                "LISTEN {}：Recv-Q {} 超过 Send-Q {}",
                s.local,
                s.recv_q,
                s.send_q
            ),
        );
        let f = out.broken(view.topology.owner_of(pod), HopKind::Listener, says, first);
        f.and(view.saw(
            HopKind::Listener,
            connect,
            text!(
                "TCP connect to {}:{} is silent",
                "TCP 连接 {}:{} 无应答",
                endpoint.address,
                endpoint.port
            ),
        ));
        f.remedy(Remedy {
            safe: false,
            because: text!(
                "the kernel has room for no more; only the application can make room",
                "内核已没有空位；只有应用自己能腾出空位"
            ),
            steps: vec![Step::Ask {
                question: text!(
                    "what keeps pod {} from calling accept(2): its threads, a lock, a collection of garbage, too little CPU?",
                    "是什么使 pod {} 不调用 accept(2)：线程、锁、垃圾回收，还是 CPU 不足？",
                    pod.name()
                ),
            }],
        });
    }
}

const PAGE: &str = r#"
## What it looks at

Endpoints whose handshake gets no answer, and the listening socket there: how many connections wait, and
for how many there is room.

## What proves it

The handshake is silent now and the listener's queue is fuller than its limit now (`Recv-Q` above
`Send-Q` on LISTEN). The counter alone is not proof: it may be old.

## What to do

Find out what keeps the application from accepting. A longer backlog hides short stalls only.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "[::]:8080", remote: "[::]:0", recv_q: 9, send_q: 8}]}}
```
```finding
accept-queue-overflows shop/Pod/cart-1
  because pod cart-1 does not accept: 9 connections wait in a queue of 8, further SYNs vanish
```

The same silence with an empty queue is something else:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "[::]:8080", remote: "[::]:0", recv_q: 0, send_q: 8}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

握手没有应答的端点及其监听套接字：有多少连接在等待，队列能容纳多少。

## 凭什么证实

握手此刻没有应答，且该监听套接字的队列此刻超过上限（LISTEN 的 `Recv-Q` 大于 `Send-Q`）。仅凭计数器不能证实：它可能
是旧的。

## 怎么办

找出应用为何不接受连接。更长的 backlog 只能掩盖短暂的停顿。
"#;
