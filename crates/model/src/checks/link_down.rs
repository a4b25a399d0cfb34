//! A bridge, veth or tunnel device on the way is down or detached (F75).

use crate::check::{Check, Findings, View};
use crate::checks::hosts::holds;
use crate::checks::places::{loses, node, nodes};
use crate::object::{Object, ObjectRef};
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Link, Question};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use crate::topology::addresses_of_pod;

/// The check.
pub const CHECK: Check = Check {
    id: "link-down",
    title: "Bridge, veth or tunnel device is down",
    title_zh: "网桥、veth 或隧道设备处于关闭状态",
    catalogue: &["F75"],
    layer: "L1",
    looks_at: &["Node", "Pod", "Service", "EndpointSlice"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    if !loses(view) {
        return;
    }
    for (name, hop) in nodes(view) {
        let Some((answered, links)) = links(view, &name) else {
            continue;
        };
        let bad: Vec<&Link> = links
            .iter()
            .filter(|l| (l.kind == "bridge" || l.kind == "vxlan") && !l.up)
            .collect();
        for l in &bad {
            device(view, out, l, &name, hop, answered);
        }
        if bad.is_empty() && links.iter().any(|l| l.kind == "bridge") {
            out.fine(
                node(&name),
                hop,
                text!(
                    "bridges and tunnels of node {name} are up",
                    "节点 {name} 的网桥和隧道设备均已启用"
                ),
                view.saw(hop, answered, summary(links)),
            );
        }
        for pod in pods_on(view, &name) {
            veth(view, out, pod, &name, hop, answered, links);
        }
    }
}

/// A bridge or tunnel of the node itself.
fn device(
    view: &View<'_>,
    out: &mut Findings,
    l: &Link,
    name: &str,
    hop: HopKind,
    answered: &Answered,
) {
    let (kind, link) = (&l.kind, &l.name);
    let says = text!(
        "{kind} {link} of node {name} is down",
        "节点 {name} 的 {kind} {link} 处于关闭状态"
    );
    let seen = text!(
        "{link} ({kind}): not UP",
        "{link}（{kind}）：未处于 UP 状态"
    );
    let f = out.broken(node(name), hop, says, view.saw(hop, answered, seen));
    f.then(text!(
        "{link} is administratively down",
        "{link} 的管理状态为 down"
    ))
    .then(text!("no packet passes it", "没有报文能通过它"))
    .then(if kind == "bridge" {
        text!(
            "every pod of the node is cut off",
            "该节点上的所有 Pod 都被隔断"
        )
    } else {
        text!(
            "every pod on another node is cut off",
            "其他节点上的所有 Pod 都被隔断"
        )
    });
    f.remedy(up(name, link, None));
}

fn links<'a>(view: &View<'a>, name: &str) -> Option<(&'a Answered, &'a [Link])> {
    let answered = view.ask(view.node(name), Question::Links)?;
    match &answered.answer {
        Answer::Links(all) => Some((answered, all)),
        _ => None,
    }
}

fn summary(links: &[Link]) -> Text {
    let shown = links
        .iter()
        .filter(|l| ["bridge", "vxlan"].contains(&l.kind.as_str()));
    let each: Vec<Text> = shown
        .map(|l| text!("{} up, mtu {}", "{} 已启用，mtu {}", l.name, l.mtu))
        .collect();
    Text::row(&each)
}

/// The conversation's pods on that node.
fn pods_on<'a>(view: &View<'a>, name: &str) -> Vec<&'a Object> {
    let mut out: Vec<&Object> = view
        .path
        .client
        .into_iter()
        .filter(|c| c.str("spec.nodeName") == name)
        .collect();
    let lost = super::places::lost(view);
    for pod in lost
        .iter()
        .filter(|(e, _)| e.node == name)
        .filter_map(|(e, _)| view.topology.get(e.pod.as_ref()?))
    {
        if !out.iter().any(|p| p.reference() == pod.reference()) {
            out.push(pod);
        }
    }
    out.retain(|p| p.get("spec.hostNetwork").as_bool() != Some(true));
    out.truncate(4);
    out
}

/// The pod's own end tells the index of the node's end.
fn veth(
    view: &View<'_>,
    out: &mut Findings,
    pod: &Object,
    name: &str,
    hop: HopKind,
    on_node: &Answered,
    links: &[Link],
) {
    let Some(answered) = view.ask(view.pod(&pod.reference()), Question::Links) else {
        return;
    };
    let Answer::Links(own) = &answered.answer else {
        return;
    };
    let Some(eth) = own.iter().find(|l| l.peer != 0 && l.name != "lo") else {
        return;
    };
    // Each names the other: the index alone may be another device's, of a pod that is somewhere else by now, or of a device
    // that has no second end.
    let pair = |l: &&Link| l.kind == "veth" && (l.index, l.peer) == (eth.peer, eth.index);
    let Some(end) = links.iter().find(pair) else {
        return;
    };
    let (subject, own) = (pod.reference(), pod.name());
    let (inside, outside) = (&eth.name, &end.name);
    // Not every node has its pods behind a bridge, and one may have bridges for something else.
    let addresses = addresses_of_pod(pod);
    let spans = |l: &&Link| {
        let blocks = &l.addresses;
        l.kind == "bridge"
            && blocks
                .iter()
                .any(|b| addresses.iter().any(|a| holds(b, *a)))
    };
    let bridge = links.iter().find(spans);
    if !eth.up {
        let says = text!(
            "{inside} inside pod {own} is down",
            "Pod {own} 内的 {inside} 处于关闭状态"
        );
        broken(view, out, subject, hop, says, answered, None);
    } else if !end.up {
        let says = text!(
            "the node's end {outside} of pod {own} is down on node {name}",
            "Pod {own} 在节点 {name} 一侧的 {outside} 处于关闭状态"
        );
        let up = up(name, outside, None);
        broken(view, out, subject, hop, says, on_node, Some(up));
    } else if let (Some(bridge), 0) = (bridge, end.master) {
        let says = text!(
            "the node's end {outside} of pod {own} is not a port of any bridge on node {name}",
            "Pod {own} 在节点 {name} 一侧的 {outside} 不是任何网桥的端口"
        );
        let up = up(name, outside, Some(&bridge.name));
        broken(view, out, subject, hop, says, on_node, Some(up));
    }
}

fn broken(
    view: &View<'_>,
    out: &mut Findings,
    subject: ObjectRef,
    hop: HopKind,
    says: Text,
    seen: &Answered,
    remedy: Option<Remedy>,
) {
    let seen = view.saw(hop, seen, says.clone());
    let f = out.broken(subject, hop, says.clone(), seen);
    f.then(says).then(text!(
        "no packet reaches or leaves the pod",
        "没有报文能进出该 Pod"
    ));
    if let Some(r) = remedy {
        f.remedy(r);
    }
}

fn up(name: &str, interface: &str, master: Option<&str>) -> Remedy {
    let mut argv: Vec<String> = ["ip", "link", "set", "dev", interface]
        .map(String::from)
        .to_vec();
    if let Some(bridge) = master {
        argv.extend(["master".to_string(), bridge.to_string()]);
    }
    argv.push("up".into());
    Remedy {
        safe: true,
        because: text!(
            "brings the device back; what took it down should be looked for in the node's log",
            "重新启用该设备；它被关闭的原因应在节点日志中查找"
        ),
        steps: vec![Step::OnNode {
            node: name.into(),
            argv,
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

Bridges, tunnel devices and the pods' veth pairs on the nodes that the failing traffic crosses, from both ends.

## What proves it

Packets are lost without an answer, and a device they must pass is down, or a pod's veth is not in the bridge that its address belongs to.

## What to do

Bring it up (or back into the bridge), and look for what took it down.

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
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 2, name: cni0, kind: bridge, up: false}]}}
```
```finding
link-down Node/a
  because bridge cni0 of node a is down
```

The bridge is up, and the pod's device is a port of it: something else is wrong.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 2, name: cni0, kind: bridge, up: true}, {index: 5, name: veth1, kind: veth, up: true, master: 2, peer: 2}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: links, answer: {links: [{index: 2, name: eth0, kind: veth, up: true, peer: 5}]}}
```
```finding
```

The pod's device was taken off the bridge that its address belongs to:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 2, name: cni0, kind: bridge, up: true, addresses: [10.244.1.1/24]}, {index: 5, name: veth1, kind: veth, up: true, peer: 2}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: links, answer: {links: [{index: 2, name: eth0, kind: veth, up: true, peer: 5}]}}
```
```finding
link-down shop/Pod/web-1
  because the node's end veth1 of pod web-1 is not a port of any bridge on node a
```

Its node has a bridge for something else, and routes to each pod's device:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 2, name: docker0, kind: bridge, up: true, addresses: [172.17.0.1/16]}, {index: 5, name: cali1, kind: veth, up: true, peer: 2}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: links, answer: {links: [{index: 2, name: eth0, kind: veth, up: true, peer: 5}]}}
```
```finding
```

The pod has been made anew on another node since the objects were read: here its number is another device's.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 2, name: cni0, kind: bridge, up: true, addresses: [10.244.1.1/24]}, {index: 5, name: eth0, kind: veth, up: true, peer: 9}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: links, answer: {links: [{index: 2, name: eth0, kind: veth, up: true, peer: 5}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

失败流量所经节点上的网桥、隧道设备和 Pod 的 veth 对，从两端分别查看。

## 凭什么证实

报文丢失且无应答，并且必经的某个设备处于关闭状态，或某个 Pod 的 veth 不在其地址所属的网桥中。

## 怎么办

启用该设备（或重新接入网桥），并查明是什么关闭了它。
"#;
