//! A node does not forward packets (F56).

use crate::check::{Check, Findings, View};
use crate::checks::places::{loses, node, nodes};
use crate::probe::{Answer, Question};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;

/// The check.
pub const CHECK: Check = Check {
    id: "ip-forwarding-off",
    title: "Node does not forward packets",
    title_zh: "节点关闭了 IP 转发",
    catalogue: &["F56"],
    layer: "L3",
    looks_at: &["Node", "Pod", "Service", "EndpointSlice"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const V4: &str = "net.ipv4.ip_forward";
const V6: &str = "net.ipv6.conf.all.forwarding";

fn run(view: &View<'_>, out: &mut Findings) {
    if !loses(view) {
        return;
    }
    let addresses = &view.path.client_addresses;
    for (name, hop) in nodes(view) {
        let question = Question::Sysctls {
            names: vec![V4.into(), V6.into()],
        };
        let Some(answered) = view.ask(view.node(&name), question) else {
            continue;
        };
        let Answer::Sysctls(values) = &answered.answer else {
            continue;
        };
        for (key, wanted) in [
            (V4, addresses.iter().any(|a| a.is_ipv4())),
            (V6, addresses.iter().any(|a| a.is_ipv6())),
        ] {
            let Some(value) = values.get(key).filter(|_| wanted) else {
                continue;
            };
            let seen = text!(
                "{key} = {value} on node {name}",
                "节点 {name} 上 {key} = {value}"
            );
            let seen = view.saw(hop, answered, seen);
            if value != "0" {
                out.fine(
                    node(&name),
                    hop,
                    text!(
                        "node {name} forwards packets ({key} = {value})",
                        "节点 {name} 转发报文（{key} = {value}）"
                    ),
                    seen,
                );
                continue;
            }
            let says = text!(
                "node {name} does not forward packets: {key} is 0",
                "节点 {name} 不转发报文：{key} 为 0"
            );
            let f = out.broken(node(&name), hop, says, seen);
            f.then(Text::same(format!("{key} = 0")))
                .then(text!(
                    "the kernel drops every packet that is not for the node itself",
                    "内核丢弃所有不是发给本节点的报文"
                ))
                .then(text!(
                    "no pod of that node is reached through a route, none leaves it",
                    "经路由到达不了该节点上的 Pod，Pod 的报文也出不了该节点"
                ));
            f.remedy(remedy(&name, key));
        }
    }
}

fn remedy(name: &str, key: &str) -> Remedy {
    let set = format!("{key}=1");
    Remedy {
        safe: true,
        because: text!(
            "a Kubernetes node must forward; to keep it over a reboot, write it to /etc/sysctl.d as well",
            "Kubernetes 节点必须转发报文；要在重启后仍然生效，还需写入 /etc/sysctl.d"
        ),
        steps: vec![Step::OnNode {
            node: name.into(),
            argv: ["sysctl", "-w", &set].map(String::from).to_vec(),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

`net.ipv4.ip_forward` and `net.ipv6.conf.all.forwarding` on the nodes that the failing traffic crosses.

## What proves it

Packets are lost without an answer, and forwarding of that family is off on a node they cross.

## What to do

Switch it on, and find out what switched it off (a hardening script, a network manager).

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: {sysctls: {names: [net.ipv4.ip_forward, net.ipv6.conf.all.forwarding]}}, answer: {sysctls: {net.ipv4.ip_forward: "0", net.ipv6.conf.all.forwarding: "0"}}}
```
```finding
ip-forwarding-off Node/a
  because node a does not forward packets: net.ipv4.ip_forward is 0
```

Forwarding of the family that nobody uses does not matter:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: {sysctls: {names: [net.ipv4.ip_forward, net.ipv6.conf.all.forwarding]}}, answer: {sysctls: {net.ipv4.ip_forward: "1", net.ipv6.conf.all.forwarding: "0"}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

失败流量所经节点上的 `net.ipv4.ip_forward` 与 `net.ipv6.conf.all.forwarding`。

## 凭什么证实

报文丢失且无应答，并且所经的某个节点关闭了该地址族的转发。

## 怎么办

打开转发，并查明是什么关闭了它（加固脚本、网络管理程序）。
"#;
