//! A node's network plugin is not initialised: the node is not ready, its pods do not start (F82).

use crate::check::{Check, Findings, View};
use crate::checks::behind::{condition, nobody_ready, pods, ready_of_all};
use crate::checks::places::node;
use crate::object::{Object, at, string_map};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;

/// The check.
pub const CHECK: Check = Check {
    id: "network-plugin-not-ready",
    title: "Node's network plugin is not ready",
    title_zh: "节点的网络插件未就绪",
    catalogue: &["F82"],
    layer: "L3",
    looks_at: &["Service", "EndpointSlice", "Pod", "Node"],
    after: &["node-not-reporting"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

/// What a kubelet says of a runtime without a network (the message of the condition Ready).
const SAYS: &[&str] = &[
    "cni plugin not initialized",
    "cni config uninitialized",
    "NetworkPluginNotReady",
    "network plugin is not ready",
];

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(service) = nobody_ready(view) else {
        return;
    };
    for n in view.topology.all("Node") {
        let Some((status, _, message)) = condition(n, "Ready") else {
            continue;
        };
        if status != "False" || !SAYS.iter().any(|w| message.contains(w)) {
            continue;
        }
        let name = n.name();
        let Some(pod) = pods(view, service).into_iter().find(|p| waits(p, n)) else {
            continue;
        };
        let says = text!(
            "the network plugin of node {name} is not ready, and pod {} needs it",
            "节点 {name} 的网络插件未就绪，而 Pod {} 需要它",
            pod.name()
        );
        let f = out.broken(
            node(name),
            HopKind::ServerNode,
            says,
            view.fact(
                HopKind::ServerNode,
                n,
                "status.conditions.Ready",
                Text::same(format!("False: {message}")),
            ),
        );
        f.and(view.fact(HopKind::Backend, pod, "status", state(pod)));
        f.and(view.fact(
            HopKind::Service,
            service,
            "EndpointSlices",
            ready_of_all(view),
        ));
        f.then(text!(
            "node {name} has no working CNI configuration",
            "节点 {name} 没有可用的 CNI 配置"
        ))
        .then(text!(
            "the node is not ready: pods there do not start or count as not ready",
            "节点未就绪：其上的 Pod 无法启动或被视为未就绪"
        ))
        .then(text!(
            "the Service has no ready endpoint",
            "Service 没有就绪的端点"
        ));
        f.remedy(Remedy {
            safe: false,
            because: text!(
                "the network plugin's own pod writes the configuration when it starts",
                "网络插件自己的 Pod 在启动时写入该配置"
            ),
            steps: vec![Step::Ask {
                question: text!(
                    "why does the network plugin not run on node {name}? On the node: ls /etc/cni/net.d; its pod: kubectl -n kube-system get pods -o wide --field-selector spec.nodeName={name}",
                    "节点 {name} 上的网络插件为何没有运行？在节点上：ls /etc/cni/net.d；它的 Pod：kubectl -n kube-system get pods -o wide --field-selector spec.nodeName={name}"
                ),
            }],
        });
        return;
    }
}

/// The pod is on this node and not ready, or waits for a place because the node is not ready.
fn waits(pod: &Object, n: &Object) -> bool {
    let on = pod.str("spec.nodeName");
    let ready = condition(pod, "Ready").is_some_and(|(s, ..)| s == "True");
    if !on.is_empty() {
        return on == n.name() && !ready;
    }
    condition(pod, "PodScheduled").is_some_and(|(s, _, message)| {
        let named = ["node.kubernetes.io/not-ready", "network-unavailable"];
        // The scheduler of newer releases does not say which taint it was: then the node says it, and the pod that it
        // wants this node.
        let tainted = message.contains("untolerated taint") && is_tainted(n) && wants(pod, n);
        s == "False" && (tainted || named.iter().any(|w| message.contains(w)))
    })
}

fn is_tainted(n: &Object) -> bool {
    n.list("spec.taints").iter().any(|t| {
        let key = at(t, "key").as_str().unwrap_or("");
        [
            "node.kubernetes.io/not-ready",
            "node.kubernetes.io/network-unavailable",
        ]
        .contains(&key)
    })
}

/// The pod's node selector fits the node's labels.
fn wants(pod: &Object, n: &Object) -> bool {
    let labels = n.labels();
    string_map(pod.get("spec.nodeSelector"))
        .iter()
        .all(|(k, v)| labels.get(k) == Some(v))
}

fn state(pod: &Object) -> Text {
    let phase = pod.str("status.phase");
    match condition(pod, "PodScheduled") {
        Some(("False", reason, message)) => Text::same(format!("{phase}, {reason}: {message}")),
        _ => text!("{phase}, not ready", "{phase}，未就绪"),
    }
}

const PAGE: &str = r#"
## What it looks at

Nodes that are not ready, what their kubelet says of it, and the pods behind a Service without ready endpoints.

## What proves it

The node's condition Ready is False and its message says that the network plugin is not initialised; a pod of the Service is on
that node and not ready, or waits for a place because nodes are not ready.

## What to do

Bring the network plugin back on that node: its DaemonSet, or the file in `/etc/cni/net.d`.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Node, metadata: {name: b}, status: {conditions: [{type: Ready, status: "False", reason: KubeletNotReady, message: "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Pending}}
```
```finding
network-plugin-not-ready Node/b
  because the network plugin of node b is not ready, and pod cart-1 needs it
```

The pods of the Service are elsewhere:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Node, metadata: {name: b}, status: {conditions: [{type: Ready, status: "False", reason: KubeletNotReady, message: "cni plugin not initialized"}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a}, status: {phase: Pending}}
```
```finding
```

The node is not ready for another reason:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Node, metadata: {name: b}, status: {conditions: [{type: Ready, status: "False", reason: KubeletNotReady, message: "PLEG is not healthy"}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Pending}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

未就绪的节点、其 kubelet 对此的说明，以及没有就绪端点的 Service 背后的 Pod。

## 凭什么证实

节点的 Ready 状况为 False，且说明写着网络插件未初始化；Service 的某个 Pod 就在该节点上且未就绪，或因节点未就绪而等待调度。

## 怎么办

恢复该节点上的网络插件：它的 DaemonSet，或 `/etc/cni/net.d` 中的文件。
"#;
