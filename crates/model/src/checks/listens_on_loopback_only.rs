//! The application listens on 127.0.0.1 or ::1 only (F29).

use crate::check::{Check, Findings, View};
use crate::checks::listeners::{refusing, setting};
use crate::object::{Object, ObjectRef};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::text;

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
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    for r in refusing(view) {
        let Some(socket) = r.only_on_loopback() else {
            continue;
        };
        let owner = view.topology.owner_of(r.pod);
        let (local, own) = (socket.local, socket.local.ip());
        let says = text!(
            "{owner} listens on {local} only: nobody outside the pod can reach it",
            "{owner} 只监听 {local}：Pod 之外无法访问"
        );
        let f = out.broken(
            owner.clone(),
            HopKind::Listener,
            says,
            view.saw(
                HopKind::Listener,
                r.sockets,
                text!(
                    "pod {}: LISTEN {local}",
                    "Pod {}：LISTEN {local}",
                    r.pod.name()
                ),
            ),
        );
        f.and(view.saw(
            HopKind::Listener,
            r.connect,
            text!(
                "TCP connect to {}:{}: refused",
                "TCP 连接 {}:{}：被拒绝",
                r.endpoint.address,
                r.endpoint.port
            ),
        ));
        f.then(text!("the socket is bound to {own}", "套接字绑定在 {own}"))
            .then(text!(
                "the pod's own address has no listener",
                "Pod 自身的地址上没有监听"
            ))
            .then(text!(
                "the kernel refuses the SYN with a RST",
                "内核以 RST 拒绝 SYN"
            ));
        f.remedy(remedy(&owner, r.pod));
        return;
    }
}

fn remedy(owner: &ObjectRef, pod: &Object) -> Remedy {
    let six = pod.str("status.podIP").contains(':');
    match setting(pod, |v| opened(v, six)) {
        Some(set) => Remedy {
            safe: false,
            because: text!(
                "{name}={value} in container {container} is what binds it; {right} opens it to everybody who may reach the pod, so a NetworkPolicy should say who may",
                "容器 {container} 中的 {name}={value} 决定了绑定地址；改为 {right} 后，凡能到达该 Pod 者均可访问，因此应以 NetworkPolicy 规定谁可以访问",
                name = set.name,
                value = set.value,
                container = set.container,
                right = set.right
            ),
            steps: vec![set.patch(owner)],
        },
        None => Remedy {
            safe: false,
            because: text!(
                "the pod's spec does not say where the application listens",
                "Pod 的 spec 没有说明应用在哪里监听"
            ),
            steps: vec![Step::Ask {
                question: text!(
                    "where is the listening address of {owner} set? It must be 0.0.0.0 or :: instead of the loopback address",
                    "{owner} 的监听地址在哪里设置？应为 0.0.0.0 或 ::，而不是回环地址"
                ),
            }],
        },
    }
}

/// A listening address with the loopback address replaced by that of every interface.
fn opened(value: &str, six: bool) -> Option<String> {
    let follows = |rest: &str| rest.is_empty() || rest.starts_with(':');
    let (word, rest) = ["[::1]", "::1", "127.0.0.1", "localhost"]
        .into_iter()
        .find_map(|w| Some((w, value.strip_prefix(w).filter(|r| follows(r))?)))?;
    let all = match (
        word.contains("::1") || six,
        word == "[::1]" || !rest.is_empty(),
    ) {
        (true, true) => "[::]",
        (true, false) => "::",
        (false, _) => "0.0.0.0",
    };
    Some(format!("{all}{rest}"))
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

const PAGE_ZH: &str = r#"
## 看什么

拒绝握手的端点，以及其 Pod 中的监听套接字。

## 凭什么证实

被拒绝的端口在 Pod 中有监听，但只在回环地址上。`kubectl port-forward` 依然可用，因为它是在 Pod 内部建立连接。

## 怎么办

绑定到 `0.0.0.0` 或 `::`。若地址写在 Pod 的环境变量中，会给出相应的补丁。
"#;

#[cfg(test)]
mod tests {
    #[test]
    fn the_loopback_address_alone_is_replaced() {
        let four = |v: &str| super::opened(v, false);
        assert_eq!(four("127.0.0.1:8080").as_deref(), Some("0.0.0.0:8080"));
        assert_eq!(four("localhost").as_deref(), Some("0.0.0.0"));
        assert_eq!(four("[::1]:8080").as_deref(), Some("[::]:8080"));
        assert_eq!(four("::1").as_deref(), Some("::"));
        let six = super::opened("127.0.0.1:8080", true);
        assert_eq!(six.as_deref(), Some("[::]:8080"));
        for other in ["127.0.0.10", "localhost.shop", "::1f", "0.0.0.0:8080", ""] {
            assert_eq!(four(other), None, "{other}");
        }
    }
}
