//! A node has no pod address left, so new pods do not start (F78).

use crate::check::{Check, Findings, View};
use crate::checks::behind::{events, nobody_ready, pods, ready_of_all};
use crate::checks::places::node;
use crate::object::Object;
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;

/// The check.
pub const CHECK: Check = Check {
    id: "pod-addresses-exhausted",
    title: "Node has no pod address left",
    title_zh: "节点的 Pod 地址已用尽",
    catalogue: &["F78"],
    layer: "L3",
    looks_at: &["Service", "EndpointSlice", "Pod", "Event", "Node"],
    after: &["network-plugin-not-ready", "node-not-reporting"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

/// What address managers say when their range is used up: host-local, Calico's, Amazon's, Cilium's.
const USED_UP: &[&str] = &[
    "no IP addresses available in range set",
    "Assigned 0 out of 1 requested IPv4 addresses",
    "failed to assign an IP address to container",
    "range is full",
];

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(service) = nobody_ready(view) else {
        return;
    };
    for pod in pods(view, service) {
        let on = pod.str("spec.nodeName");
        let waits = pod.str("status.phase") == "Pending"
            && pod.get("metadata.deletionTimestamp").is_null()
            && pod.str("status.podIP").is_empty();
        let said = events(view, &pod.reference())
            .into_iter()
            .find(|e| e.str("reason") == "FailedCreatePodSandBox");
        let Some(said) = said.filter(|e| waits && !on.is_empty() && used_up(e)) else {
            continue;
        };
        let name = pod.name();
        let says = text!(
            "node {on} has no pod address left: pod {name} waits for one",
            "节点 {on} 的 Pod 地址已用尽：Pod {name} 在等待地址"
        );
        let f = out.broken(
            node(on),
            HopKind::ServerNode,
            says,
            view.fact(
                HopKind::ServerNode,
                pod,
                "events",
                Text::same(format!("FailedCreatePodSandBox: {}", said.str("message"))),
            ),
        );
        f.and(view.fact(
            HopKind::Backend,
            pod,
            "status",
            text!("Pending, no address", "Pending，没有地址"),
        ));
        let holders = holders(view, on);
        if let Some(n) = view.topology.find("Node", "", on) {
            let range = n.str("spec.podCIDR");
            f.and(view.fact(
                HopKind::ServerNode,
                n,
                "spec.podCIDR",
                text!(
                    "{range}; pods seen with an address there: {holders}",
                    "{range}；看到其上有地址的 Pod：{holders} 个"
                ),
            ));
        }
        f.and(view.fact(
            HopKind::Service,
            service,
            "EndpointSlices",
            ready_of_all(view),
        ));
        f.then(text!(
            "the address range of node {on} is used up",
            "节点 {on} 的地址范围已用尽"
        ))
        .then(text!(
            "its network plugin gives new pods no address",
            "其网络插件无法给新 Pod 分配地址"
        ))
        .then(text!(
            "the pods stay in ContainerCreating, the Service has no ready endpoint",
            "Pod 停在 ContainerCreating，Service 没有就绪的端点"
        ));
        f.remedy(Remedy {
            safe: false,
            because: text!(
                "addresses of pods that are gone are given back by the plugin; leaked ones have to be taken away, and a full range needs fewer pods on the node or a larger range",
                "插件会收回已删除 Pod 的地址；泄漏的地址须手工清除，范围确实用满时则需减少该节点的 Pod 或扩大范围"
            ),
            steps: vec![Step::Ask {
                question: text!(
                    "does the plugin of node {on} hold addresses that no running pod has? With host-local: ls /var/lib/cni/networks/*/ on the node against 'kubectl get pods -A -o wide --field-selector spec.nodeName={on}'",
                    "节点 {on} 的插件是否占着没有运行中 Pod 使用的地址？host-local：在节点上 ls /var/lib/cni/networks/*/，与 'kubectl get pods -A -o wide --field-selector spec.nodeName={on}' 对照"
                ),
            }],
        });
        return;
    }
}

fn used_up(event: &Object) -> bool {
    let message = event.str("message");
    USED_UP.iter().any(|w| message.contains(w))
}

fn holders(view: &View<'_>, on: &str) -> usize {
    let has = |p: &&&Object| {
        p.str("spec.nodeName") == on
            && !p.str("status.podIP").is_empty()
            && p.get("spec.hostNetwork").as_bool() != Some(true)
    };
    view.topology.all("Pod").iter().filter(has).count()
}

const PAGE: &str = r#"
## What it looks at

Pods behind a Service without ready endpoints that are Pending on a node without an address, and what the kubelet says of them.

## What proves it

The pod waits, has no address, and the latest event about its sandbox is the address manager's word that its range
is used up. Other reasons for a sandbox that does not start are other matters.

## What to do

Take leaked allocations away, move pods to other nodes, or give the node a larger range.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Node, metadata: {name: b}, spec: {podCIDR: 10.244.2.0/28}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Pending}}
---
{kind: Event, metadata: {name: e1, namespace: shop}, involvedObject: {kind: Pod, namespace: shop, name: cart-1}, reason: FailedCreatePodSandBox, message: "Failed to create pod sandbox: plugin type=\"bridge\" failed (add): failed to allocate for range 0: no IP addresses available in range set: 10.244.2.1-10.244.2.14"}
```
```finding
pod-addresses-exhausted Node/b
  because node b has no pod address left: pod cart-1 waits for one
```

The sandbox fails for another reason:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Pending}}
---
{kind: Event, metadata: {name: e1, namespace: shop}, involvedObject: {kind: Pod, namespace: shop, name: cart-1}, reason: FailedCreatePodSandBox, message: "Failed to create pod sandbox: failed to get sandbox image"}
```
```finding
```

It was so, and the pod has its address now:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: Event, metadata: {name: e1, namespace: shop}, involvedObject: {kind: Pod, namespace: shop, name: cart-1}, reason: FailedCreatePodSandBox, message: "no IP addresses available in range set: 10.244.2.1-10.244.2.14"}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

没有就绪端点的 Service 背后、在节点上处于 Pending 且没有地址的 Pod，以及 kubelet 对它们的说明。

## 凭什么证实

Pod 在等待，没有地址，且关于其沙箱的最新事件是地址管理器说范围已用尽。沙箱因其他原因无法启动，属于其他问题。

## 怎么办

清除泄漏的分配，把 Pod 移到其他节点，或给节点更大的范围。
"#;
