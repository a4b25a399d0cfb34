//! The application listens on 127.0.0.1 or ::1 only (F29).

use crate::check::{Check, Findings, View};
use crate::checks::listeners::refusing;
use crate::checks::places::{settings, template_patch};
use crate::object::{Object, ObjectRef};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use serde_json::json;

/// The check.
pub const CHECK: Check = Check {
    id: "listens-on-loopback-only",
    title: "Application listens on the loopback address only",
    title_zh: "应用只监听回环地址",
    catalogue: &["F29"],
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
};

fn run(view: &View<'_>, out: &mut Findings) {
    for r in refusing(view) {
        let Some(socket) = r.only_on_loopback() else {
            continue;
        };
        let owner = view.topology.owner_of(r.pod);
        let says = format!(
            "{owner} listens on {} only: nobody outside the pod can reach it",
            socket.local
        );
        let f = out.broken(
            owner.clone(),
            HopKind::Listener,
            says,
            view.saw(
                HopKind::Listener,
                r.sockets,
                format!("pod {}: LISTEN {}", r.pod.name(), socket.local),
            ),
        );
        f.and(view.saw(
            HopKind::Listener,
            r.connect,
            format!(
                "TCP connect to {}:{}: refused",
                r.endpoint.address, r.endpoint.port
            ),
        ));
        f.then(format!("the socket is bound to {}", socket.local.ip()))
            .then("the pod's own address has no listener")
            .then("the kernel refuses the SYN with a RST");
        f.remedy(remedy(&owner, r.pod));
        return;
    }
}

fn remedy(owner: &ObjectRef, pod: &Object) -> Remedy {
    let word = |v: &str| {
        ["127.0.0.1", "localhost", "::1"]
            .into_iter()
            .find(|w| v == *w || v.starts_with(&format!("{w}:")) || v == format!("[{w}]"))
            .map(str::to_string)
    };
    let found = settings(pod).into_iter().find_map(|(c, n, v)| {
        word(&v)
            .filter(|_| n != "args" && n != "command")
            .map(|w| (c, n, v, w))
    });
    match found {
        Some((container, name, value, word)) => {
            let open = value.replacen(&word, if word == "::1" { "::" } else { "0.0.0.0" }, 1);
            let open = if pod.str("status.podIP").contains(':') {
                open.replacen("0.0.0.0", "::", 1)
            } else {
                open
            };
            Remedy {
                safe: false,
                because: format!(
                    "{name}={value} in container {container} is what binds it; {open} opens it to everybody who may reach the pod, so a NetworkPolicy should say who may"
                ),
                steps: vec![Step::Patch {
                    object: owner.clone(),
                    strategic: true,
                    patch: template_patch(
                        owner,
                        json!({"containers": [{"name": container, "env": [{"name": name, "value": open}]}]}),
                    ),
                }],
            }
        }
        None => Remedy {
            safe: false,
            because: "the pod's spec does not say where the application listens".into(),
            steps: vec![Step::Ask {
                question: format!(
                    "where is the listening address of {owner} set? It must be 0.0.0.0 or :: instead of the loopback address"
                ),
            }],
        },
    }
}

const PAGE: &str = r#"
## What it looks at

Endpoints that refuse the handshake, and the listening sockets of their pods.

## What proves it

The refused port has a listener in the pod, but only on a loopback address. `kubectl port-forward` works
all the same, since it connects inside the pod.

## What to do

Bind to `0.0.0.0` or `::`. Where the pod's environment holds the address, the patch is offered.

## Examples

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
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "127.0.0.1:8080", remote: "0.0.0.0:0", recv_q: 0, send_q: 8}]}}
```
```finding
listens-on-loopback-only shop/Pod/cart-1
  because shop/Pod/cart-1 listens on 127.0.0.1:8080 only: nobody outside the pod can reach it
```

An administration port on the loopback address beside the real one is usual:

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
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: cart-1}}, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "127.0.0.1:9901", remote: "0.0.0.0:0", recv_q: 0, send_q: 8}]}}
```
```finding
```
"#;
