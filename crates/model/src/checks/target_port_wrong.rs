//! A Service sends to a port that its pods do not mean (F23).

use crate::check::{Check, Findings, View};
use crate::checks::listeners::{list, refusing};
use crate::object::at;
use crate::path::HopKind;
use crate::probe::Outcome;
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use serde_json::{Value, json};

/// The check.
pub const CHECK: Check = Check {
    id: "target-port-wrong",
    title: "Service sends to a port its pods do not serve",
    title_zh: "Service 的 targetPort 与 Pod 实际端口不符",
    catalogue: &["F23"],
    layer: "L4",
    looks_at: &[
        "Service",
        "EndpointSlice",
        "Pod",
        "Deployment",
        "ReplicaSet",
    ],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(service) = view.path.service else {
        return;
    };
    // Where one pod does serve it, others are old or new ones of a rollout, or another application's.
    if !view.observed().endpoints_that(Outcome::Answered).is_empty() {
        return;
    }
    for r in refusing(view) {
        let port = r.endpoint.port;
        let open = r.open_ports();
        // The pod's own word decides: it declares a port that it does serve, and not this one.
        let meant: Vec<u16> = open.iter().copied().filter(|p| r.declares(*p)).collect();
        if r.listens() || r.only_on_loopback().is_some() || r.declares(port) || meant.is_empty() {
            continue;
        }
        let front = view.path.conversation.port;
        let (serves, open) = (list(&meant), list(&open));
        let says = text!(
            "Service {} sends port {front} to {port}, but its pods serve {serves}",
            "Service {} 把端口 {front} 转发到 {port}，但其 Pod 提供服务的端口是 {serves:#}",
            service.name()
        );
        let field = view.fact(
            HopKind::Service,
            service,
            "spec.ports.targetPort",
            text!("{front} goes to {port}", "{front} 转发到 {port}"),
        );
        let f = out.broken(service.reference(), HopKind::Service, says, field);
        f.and(view.saw(
            HopKind::Listener,
            r.connect,
            text!(
                "TCP connect to {}:{port}: refused",
                "TCP 连接 {}:{port}：被拒绝",
                r.endpoint.address
            ),
        ));
        f.and(view.saw(
            HopKind::Listener,
            r.sockets,
            text!(
                "pod {} listens on {open}",
                "Pod {} 监听的端口：{open:#}",
                r.pod.name()
            ),
        ));
        f.and(view.fact(
            HopKind::Listener,
            r.pod,
            "spec.containers.ports",
            text!("declares {serves}", "声明了 {serves:#}"),
        ));
        f.then(Text::same(format!("targetPort {port}")))
            .then(text!("pods listen on {serves}", "Pod 监听 {serves:#}"))
            .then(text!(
                "the kernel refuses the SYN with a RST",
                "内核以 RST 拒绝 SYN"
            ));
        f.remedy(remedy(view, service, &meant));
        return;
    }
}

fn remedy(view: &View<'_>, service: &crate::object::Object, meant: &[u16]) -> Remedy {
    let [only] = meant else {
        let (ports, name) = (list(meant), service.name());
        let question = text!(
            "which of the ports {ports} does Service {name} mean?",
            "Service {name} 指的是端口 {ports:#} 中的哪一个？"
        );
        return Remedy {
            safe: false,
            because: text!(
                "the pods serve several declared ports",
                "Pod 在多个声明过的端口上提供服务"
            ),
            steps: vec![Step::Ask { question }],
        };
    };
    // A merge patch replaces the list, so every port is given whole.
    let ports: Vec<Value> = service
        .list("spec.ports")
        .iter()
        .map(|p| {
            let mut p = p.clone();
            if at(&p, "port").as_i64() == Some(i64::from(view.path.conversation.port))
                && let Some(map) = p.as_object_mut()
            {
                map.insert("targetPort".into(), json!(only));
            }
            p
        })
        .collect();
    Remedy {
        safe: false,
        because: text!(
            "{only} is the one port that the pods both declare and serve",
            "{only} 是 Pod 既声明又提供服务的唯一端口"
        ),
        steps: vec![Step::Patch {
            object: service.reference(),
            strategic: false,
            patch: json!({"spec": {"ports": ports}}),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

Endpoints that refuse the handshake, the listening sockets of their pods, and the ports the pods declare.

## What proves it

The endpoint's port has no listener, the pod does not declare it, and the pod declares and serves another.
Where the pod declares the refused port, the application is wrong and not the Service:
`nothing-listens-on-port`.

## What to do

Point `targetPort` at the port that is served; better, name the container's port and use the name.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8081}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a, containers: [{name: c, ports: [{containerPort: 8080}]}]}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8081}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8081", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "[::]:8080", remote: "[::]:0", recv_q: 0, send_q: 8}]}}
```
```finding
target-port-wrong shop/Service/cart
  because Service cart sends port 80 to 8081, but its pods serve 8080
```

The pod declares the refused port: the application is to blame, not the Service.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8081}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a, containers: [{name: c, ports: [{containerPort: 8081}]}]}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8081}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8081", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "[::]:8080", remote: "[::]:0", recv_q: 0, send_q: 8}]}}
```
```finding
```

Another pod does serve that port: this one is an old or a new one of a rollout, or of another application.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8081}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a, containers: [{name: c, ports: [{containerPort: 8080}]}]}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8081}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}, {addresses: [10.244.1.4], nodeName: a}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.4:8081", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8081", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "[::]:8080", remote: "[::]:0", recv_q: 0, send_q: 8}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

拒绝握手的端点、其 Pod 中的监听套接字，以及 Pod 声明的端口。

## 凭什么证实

端点的端口上没有监听，Pod 没有声明该端口，却声明并服务于另一个端口。若 Pod 声明了被拒绝的端口，则错在应用而不在 Service：见 `nothing-listens-on-port`。

## 怎么办

把 `targetPort` 指向实际提供服务的端口；更好的做法是给容器端口命名，并使用该名称。
"#;
