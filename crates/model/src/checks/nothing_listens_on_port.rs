//! The application does not listen on the port it declares (F30).

use crate::check::{Check, Findings, View};
use crate::checks::listeners::{Refusing, list, refusing, setting};
use crate::object::ObjectRef;
use crate::path::HopKind;
use crate::probe::Outcome;
use crate::remedy::{Remedy, Step};
use crate::text;

/// The check.
pub const CHECK: Check = Check {
    id: "nothing-listens-on-port",
    title: "Nothing listens on the port the pod declares",
    title_zh: "Pod 声明的端口上没有进程监听",
    catalogue: &["F30"],
    layer: "L4",
    looks_at: &[
        "Service",
        "EndpointSlice",
        "Pod",
        "Deployment",
        "ReplicaSet",
    ],
    after: &[
        "target-port-wrong",
        "memory-limit-below-working-set",
        "memory-grows-without-bound",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    for r in refusing(view) {
        let port = r.endpoint.port;
        let open = r.open_ports();
        // Where no pod serves it; else this one is of another application, or of another time of it.
        let nobody = view.observed().endpoints_that(Outcome::Answered).is_empty();
        let service_is_wrong = nobody && !r.declares(port) && open.iter().any(|p| r.declares(*p));
        if r.listens() || r.only_on_loopback().is_some() || service_is_wrong {
            continue;
        }
        let owner = view.topology.owner_of(r.pod);
        let open = list(&open);
        let says = text!(
            "{owner} does not listen on port {port}: it listens on {open}",
            "{owner} 没有监听端口 {port}，它监听的端口：{open:#}"
        );
        let f = out.broken(
            owner.clone(),
            HopKind::Listener,
            says,
            view.saw(
                HopKind::Listener,
                r.sockets,
                text!(
                    "pod {}: no LISTEN on {port}; listens on {open}",
                    "Pod {}：{port} 上没有 LISTEN；监听的端口：{open:#}",
                    r.pod.name()
                ),
            ),
        );
        f.and(view.saw(
            HopKind::Listener,
            r.connect,
            text!(
                "TCP connect to {}:{port}: refused",
                "TCP 连接 {}:{port}：被拒绝",
                r.endpoint.address
            ),
        ));
        f.then(text!(
            "no socket listens on {port}",
            "没有套接字监听 {port}"
        ))
        .then(text!(
            "the kernel refuses the SYN with a RST",
            "内核以 RST 拒绝 SYN"
        ));
        f.remedy(remedy(&owner, &r));
        return;
    }
}

fn remedy(owner: &ObjectRef, r: &Refusing<'_, '_>) -> Remedy {
    let port = r.endpoint.port;
    let open = r.open_ports();
    let mend = |value: &str| {
        let is = |p: &&u16| value == p.to_string() || value.ends_with(&format!(":{p}"));
        let wrong = open.iter().find(is)?;
        Some(value.replacen(&wrong.to_string(), &port.to_string(), 1))
    };
    match setting(r.pod, mend) {
        Some(set) => Remedy {
            safe: false,
            because: text!(
                "{name}={value} in container {container} sets the port it listens on, while the Service and the pod's own ports say {port}",
                "容器 {container} 中的 {name}={value} 设定了监听端口，而 Service 和 Pod 自己声明的端口是 {port}",
                name = set.name,
                value = set.value,
                container = set.container
            ),
            steps: vec![set.patch(owner)],
        },
        None => Remedy {
            safe: false,
            because: text!("the pod's spec does not say why", "Pod 的 spec 看不出原因"),
            steps: vec![Step::Ask {
                question: text!(
                    "should {owner} listen on {port}, or should the Service send elsewhere? Its log tells whether the listener failed to start",
                    "应由 {owner} 监听 {port}，还是 Service 应转发到别处？它的日志会说明监听是否启动失败"
                ),
            }],
        },
    }
}

const PAGE: &str = r#"
## What it looks at

Endpoints that refuse the handshake, the listening sockets of their pods, the ports the pods declare.

## What proves it

No socket listens on the refused port, on any address. The pod declares that port, or declares none that it
serves.

## What to do

Mend the application's port. Where its environment holds the port that is served instead, the patch is
offered; else the log of the container says why the listener is missing.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a, containers: [{name: c, env: [{name: PORT, value: "9090"}], ports: [{containerPort: 8080}]}]}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "[::]:9090", remote: "[::]:0", recv_q: 0, send_q: 8}]}}
```
```finding
nothing-listens-on-port shop/Pod/cart-1
  because shop/Pod/cart-1 does not listen on port 8080: it listens on 9090
```

It listens, so the refusal came from elsewhere:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "[::]:8080", remote: "[::]:0", recv_q: 0, send_q: 8}]}}
```
```finding
```

It was started ten seconds ago and listens on nothing yet: it may be about to.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a, containers: [{name: c, env: [{name: PORT, value: "9090"}], ports: [{containerPort: 8080}]}]}, status: {phase: Running, podIP: 10.244.1.3, containerStatuses: [{name: c, state: {running: {startedAt: "2026-01-07T23:59:50Z"}}}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: []}}
```
```finding
```

It was started ten seconds ago and listens elsewhere already: it has come up.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a, containers: [{name: c, env: [{name: PORT, value: "9090"}], ports: [{containerPort: 8080}]}]}, status: {phase: Running, podIP: 10.244.1.3, containerStatuses: [{name: c, state: {running: {startedAt: "2026-01-07T23:59:50Z"}}}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "[::]:9090", remote: "[::]:0", recv_q: 0, send_q: 8}]}}
```
```finding
nothing-listens-on-port shop/Pod/cart-1
  because shop/Pod/cart-1 does not listen on port 8080: it listens on 9090
```

It is being deleted, and has closed its port before it ends:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, deletionTimestamp: "2026-01-07T23:59:58Z", labels: {app: cart}}, spec: {nodeName: a, containers: [{name: c, env: [{name: PORT, value: "9090"}], ports: [{containerPort: 8080}]}]}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "[::]:9090", remote: "[::]:0", recv_q: 0, send_q: 8}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

拒绝握手的端点、其 Pod 中的监听套接字，以及 Pod 声明的端口。

## 凭什么证实

没有任何套接字在任何地址上监听被拒绝的端口。Pod 声明了该端口，或者它声明的端口没有一个在提供服务。

## 怎么办

改正应用的端口。若实际提供服务的端口写在其环境变量中，会给出相应的补丁；否则容器日志会说明为何没有监听。
"#;
