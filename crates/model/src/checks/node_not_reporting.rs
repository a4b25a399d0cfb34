//! A node stopped reporting: it is down, or its kubelet is (F83).

use crate::check::{Check, Findings, View};
use crate::checks::behind::{condition, nobody_ready, pods, ready_of_all};
use crate::checks::places::{has_family, lost, node};
use crate::object::{Object, at};
use crate::observe::{CONNECT_MS, attempts, word};
use crate::path::HopKind;
use crate::probe::{Answered, Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use std::net::SocketAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "node-not-reporting",
    title: "Node stopped reporting: it is down, or its kubelet is",
    title_zh: "节点停止上报：节点宕机或其 kubelet 停止",
    catalogue: &["F83"],
    layer: "L3",
    looks_at: &["Service", "EndpointSlice", "Pod", "Node"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let behind = nobody_ready(view)
        .map(|s| pods(view, s))
        .unwrap_or_default();
    let silent = lost(view);
    for n in view.topology.all("Node") {
        let Some(("Unknown", reason, message)) = condition(n, "Ready") else {
            continue;
        };
        let name = n.name();
        let pod = behind
            .iter()
            .find(|p| p.str("spec.nodeName") == name)
            .copied();
        let endpoint = silent.iter().find(|(e, _)| e.node == name);
        if pod.is_none() && endpoint.is_none() {
            continue;
        }
        let since = at_ready(n);
        let asked = kubelet_port(view, n);
        let gone = asked
            .as_ref()
            .map(|(_, a)| !attempts(a).iter().any(|t| alive(t.outcome)));
        let says = match gone {
            Some(true) => text!(
                "node {name} is down: it stopped reporting, and its address answers nothing",
                "节点 {name} 已宕机：它停止上报，其地址也没有任何应答"
            ),
            Some(false) => text!(
                "the kubelet of node {name} stopped reporting, though the node itself answers",
                "节点 {name} 的 kubelet 停止上报，而节点本身有应答"
            ),
            None => text!(
                "node {name} stopped reporting: it is down, or its kubelet is",
                "节点 {name} 停止上报：节点宕机或其 kubelet 停止"
            ),
        };
        let f = out.broken(
            node(name),
            HopKind::ServerNode,
            says,
            view.fact(
                HopKind::ServerNode,
                n,
                "status.conditions.Ready",
                text!(
                    "Unknown since {since}: {reason}, {message}",
                    "自 {since} 起为 Unknown：{reason}，{message}"
                ),
            ),
        );
        if let Some((to, a)) = &asked {
            let how: Vec<Text> = attempts(a).iter().map(|t| word(t.outcome)).collect();
            let how = Text::list(&how);
            f.and(view.saw(
                HopKind::ServerNode,
                a,
                text!(
                    "TCP connect to the kubelet's port {to}: {how}",
                    "TCP 连接 kubelet 端口 {to}：{how:#}"
                ),
            ));
        }
        if let Some(pod) = pod {
            f.and(view.fact(
                HopKind::Backend,
                pod,
                "spec.nodeName",
                text!("{name}, not ready", "{name}，未就绪"),
            ));
        }
        if let Some(service) = view.path.service {
            f.and(view.fact(
                HopKind::Service,
                service,
                "EndpointSlices",
                ready_of_all(view),
            ));
        }
        f.then(text!(
            "node {name} sends no status",
            "节点 {name} 不再发送状态"
        ))
        .then(text!(
            "its pods count as not ready",
            "其上的 Pod 被视为未就绪"
        ))
        .then(text!(
            "the Service lost the endpoints there",
            "Service 失去了那里的端点"
        ));
        f.remedy(remedy(name, gone));
        return;
    }
}

/// A RST, too, comes from a kernel that lives.
fn alive(o: Outcome) -> bool {
    matches!(o, Outcome::Answered | Outcome::Refused | Outcome::Reset)
}

fn at_ready(n: &Object) -> &str {
    n.list("status.conditions")
        .iter()
        .find(|c| at(c, "type").as_str() == Some("Ready"))
        .and_then(|c| at(c, "lastTransitionTime").as_str())
        .unwrap_or("?")
}

/// A handshake with the node's kubelet, asked from the client.
fn kubelet_port<'a>(view: &View<'a>, n: &Object) -> Option<(SocketAddr, &'a Answered)> {
    let address = view
        .topology
        .node_addresses(n.name())
        .into_iter()
        .find(|a| has_family(&view.path.client_addresses, *a))?;
    let to = SocketAddr::new(address, 10250);
    let question = Question::TcpConnect {
        to,
        tries: 2,
        timeout_ms: CONNECT_MS,
    };
    Some((to, view.ask(view.path.vantage(), question)?))
}

fn remedy(name: &str, gone: Option<bool>) -> Remedy {
    let (because, question) = match gone {
        Some(false) => (
            text!(
                "the machine lives: its kubelet has to be started, and pods there go on meanwhile",
                "机器还在运行：需要启动它的 kubelet，其上的 Pod 在此期间继续运行"
            ),
            text!(
                "why did the kubelet of {name} stop? On the node: systemctl status kubelet; journalctl -u kubelet -n 50; then: systemctl start kubelet",
                "{name} 的 kubelet 为何停止？在节点上：systemctl status kubelet；journalctl -u kubelet -n 50；然后：systemctl start kubelet"
            ),
        ),
        _ => (
            text!(
                "pods are made anew elsewhere after five minutes (tolerationSeconds of the not-reachable taint), or at once when the Node object is deleted",
                "Pod 会在五分钟后（不可达污点的 tolerationSeconds）在别处重建；删除该 Node 对象则立即重建"
            ),
            text!(
                "is the machine of {name} on, and is its link up? If it is lost: kubectl delete node {name}",
                "{name} 的机器是否开机、网络是否连通？若已无法恢复：kubectl delete node {name}"
            ),
        ),
    };
    Remedy {
        safe: false,
        because,
        steps: vec![Step::Ask { question }],
    }
}

const PAGE: &str = r#"
## What it looks at

Nodes whose status is Unknown, the endpoints and pods of the conversation that stand on them, and whether the node's
address answers.

## What proves it

The condition Ready is Unknown (the node controller heard nothing for its grace period), and the Service lost its
endpoints there, or an endpoint there gives no answer. A handshake with port 10250 tells a dead kubelet (refused) from a dead node (silence).

## What to do

Start the kubelet or the machine; where it is lost, delete the Node, and its pods are made anew elsewhere.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Node, metadata: {name: b}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}], conditions: [{type: Ready, status: Unknown, reason: NodeStatusUnknown, message: Kubelet stopped posting node status., lastTransitionTime: "2026-01-07T23:58:00Z"}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.90.0.12:10250", tries: 2, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}, {outcome: silent, took_us: 700000}]}}
```
```finding
node-not-reporting Node/b
  because node b is down: it stopped reporting, and its address answers nothing
```

The machine answers, only its kubelet is gone:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Node, metadata: {name: b}, status: {addresses: [{type: InternalIP, address: 10.90.0.12}], conditions: [{type: Ready, status: Unknown, reason: NodeStatusUnknown, message: Kubelet stopped posting node status., lastTransitionTime: "2026-01-07T23:58:00Z"}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.90.0.12:10250", tries: 2, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 200}, {outcome: refused, took_us: 200}]}}
```
```finding
node-not-reporting Node/b
  because the kubelet of node b stopped reporting, though the node itself answers
```

A lost node that the conversation does not touch:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Node, metadata: {name: b}, status: {conditions: [{type: Ready, status: Unknown, reason: NodeStatusUnknown}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.3}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

状态为 Unknown 的节点、其上属于该会话的端点和 Pod，以及节点地址是否有应答。

## 凭什么证实

Ready 状况为 Unknown（节点控制器在宽限期内没有收到任何消息），且 Service 失去了那里的端点，或那里的端点没有应答。到 10250 端口的
握手可区分 kubelet 停止（被拒绝）与节点宕机（无应答）。

## 怎么办

启动 kubelet 或机器；若已无法恢复，删除该 Node，其 Pod 会在别处重建。
"#;
