//! A bridge, veth or tunnel device on the way is down or detached (F75).

use crate::check::{Check, Findings, View};
use crate::checks::places::{loses, node, nodes};
use crate::object::{Object, ObjectRef};
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Link, Question};
use crate::remedy::{Remedy, Step};

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
            let says = format!("{} {} of node {name} is down", l.kind, l.name);
            let f = out.broken(
                node(&name),
                hop,
                says,
                view.saw(hop, answered, format!("{} ({}): not UP", l.name, l.kind)),
            );
            f.then(format!("{} is administratively down", l.name))
                .then("no packet passes it")
                .then(if l.kind == "bridge" {
                    "every pod of the node is cut off"
                } else {
                    "every pod on another node is cut off"
                });
            f.remedy(up(&name, &l.name, None));
        }
        if bad.is_empty() && links.iter().any(|l| l.kind == "bridge") {
            out.fine(
                node(&name),
                hop,
                format!("bridges and tunnels of node {name} are up"),
                view.saw(hop, answered, summary(links)),
            );
        }
        for pod in pods_on(view, &name) {
            veth(view, out, pod, &name, hop, answered, links);
        }
    }
}

fn links<'a>(view: &View<'a>, name: &str) -> Option<(&'a Answered, &'a [Link])> {
    let answered = view.ask(view.node(name), Question::Links)?;
    match &answered.answer {
        Answer::Links(all) => Some((answered, all)),
        _ => None,
    }
}

fn summary(links: &[Link]) -> String {
    let shown = links
        .iter()
        .filter(|l| ["bridge", "vxlan"].contains(&l.kind.as_str()));
    shown
        .map(|l| format!("{} up, mtu {}", l.name, l.mtu))
        .collect::<Vec<_>>()
        .join("; ")
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
    let subject = pod.reference();
    let Some(end) = links.iter().find(|l| l.index == eth.peer) else {
        return;
    };
    let has_bridge = links.iter().any(|l| l.kind == "bridge");
    if !eth.up {
        broken(
            view,
            out,
            subject,
            hop,
            format!("{} inside pod {} is down", eth.name, pod.name()),
            answered,
            None,
        );
    } else if !end.up {
        let says = format!(
            "the node's end {} of pod {} is down on node {name}",
            end.name,
            pod.name()
        );
        broken(
            view,
            out,
            subject,
            hop,
            says,
            on_node,
            Some(up(name, &end.name, None)),
        );
    } else if has_bridge && end.master == 0 {
        let bridge = links
            .iter()
            .find(|l| l.kind == "bridge")
            .map(|l| l.name.clone());
        let says = format!(
            "the node's end {} of pod {} is not a port of any bridge on node {name}",
            end.name,
            pod.name()
        );
        broken(
            view,
            out,
            subject,
            hop,
            says,
            on_node,
            Some(up(name, &end.name, bridge.as_deref())),
        );
    }
}

fn broken(
    view: &View<'_>,
    out: &mut Findings,
    subject: ObjectRef,
    hop: HopKind,
    says: String,
    seen: &Answered,
    remedy: Option<Remedy>,
) {
    let seen = view.saw(hop, seen, says.clone());
    let f = out.broken(subject, hop, says.clone(), seen);
    f.then(says).then("no packet reaches or leaves the pod");
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
        because: "brings the device back; what took it down should be looked for in the node's log"
            .into(),
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

Packets are lost without an answer, and a device they must pass is down, or a pod's veth is in no bridge.

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

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: links, answer: {links: [{index: 2, name: cni0, kind: bridge, up: true}, {index: 5, name: veth1, kind: veth, up: true, master: 2}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: links, answer: {links: [{index: 2, name: eth0, kind: veth, up: true, peer: 5}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = "";
