//! A Service sends to a port that its pods do not mean (F23).

use crate::check::{Check, Findings, View};
use crate::checks::listeners::{list, refusing};
use crate::object::at;
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
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
    for r in refusing(view) {
        let port = r.endpoint.port;
        let open = r.open_ports();
        // The pod's own word decides: it declares a port that it does serve, and not this one.
        let meant: Vec<u16> = open.iter().copied().filter(|p| r.declares(*p)).collect();
        if r.listens() || r.only_on_loopback().is_some() || r.declares(port) || meant.is_empty() {
            continue;
        }
        let says = format!(
            "Service {} sends port {} to {port}, but its pods serve {}",
            service.name(),
            view.path.conversation.port,
            list(&meant)
        );
        let field = view.fact(
            HopKind::Service,
            service,
            "spec.ports.targetPort",
            format!("{} goes to {port}", view.path.conversation.port),
        );
        let f = out.broken(service.reference(), HopKind::Service, says, field);
        f.and(view.saw(
            HopKind::Listener,
            r.connect,
            format!("TCP connect to {}:{port}: refused", r.endpoint.address),
        ));
        f.and(view.saw(
            HopKind::Listener,
            r.sockets,
            format!("pod {} listens on {}", r.pod.name(), list(&open)),
        ));
        f.and(view.fact(
            HopKind::Listener,
            r.pod,
            "spec.containers.ports",
            format!("declares {}", list(&meant)),
        ));
        f.then(format!("targetPort {port}"))
            .then(format!("pods listen on {}", list(&meant)))
            .then("the kernel refuses the SYN with a RST");
        f.remedy(remedy(view, service, &meant));
        return;
    }
}

fn remedy(view: &View<'_>, service: &crate::object::Object, meant: &[u16]) -> Remedy {
    let [only] = meant else {
        let question = format!(
            "which of the ports {} does Service {} mean?",
            list(meant),
            service.name()
        );
        return Remedy {
            safe: false,
            because: "the pods serve several declared ports".into(),
            steps: vec![Step::Ask {
                question: question.into(),
            }],
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
        because: format!("{only} is the one port that the pods both declare and serve").into(),
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
"#;

const PAGE_ZH: &str = "";
