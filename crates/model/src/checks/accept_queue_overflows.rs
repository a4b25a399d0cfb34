//! Connections arrive faster than the application accepts them (F91).

use crate::check::{Check, Findings, View};
use crate::path::HopKind;
use crate::probe::{Answer, Outcome, Question};
use crate::remedy::{Remedy, Step};

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
        let says = format!(
            "pod {} does not accept: {} connections wait in a queue of {}, further SYNs vanish",
            pod.name(),
            s.recv_q,
            s.send_q
        );
        let first = view.saw(
            HopKind::Listener,
            sockets,
            format!(
                "LISTEN {}: Recv-Q {} above Send-Q {}",
                s.local, s.recv_q, s.send_q
            ),
        );
        let f = out.broken(view.topology.owner_of(pod), HopKind::Listener, says, first);
        f.and(view.saw(
            HopKind::Listener,
            connect,
            format!(
                "TCP connect to {}:{} is silent",
                endpoint.address, endpoint.port
            ),
        ));
        f.remedy(Remedy {
            safe: false,
            because: "the kernel has room for no more; only the application can make room".into(),
            steps: vec![Step::Ask { question: format!("what keeps pod {} from calling accept(2): its threads, a lock, a collection of garbage, too little CPU?", pod.name()).into() }],
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

const PAGE_ZH: &str = "";
