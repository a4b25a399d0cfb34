//! A policy lets a namespace in by a label that no namespace carries (F61).

use crate::check::{Check, Findings, View};
use crate::checks::policies::{denied, hop, lacking_label, peer, steps, suspected};
use crate::object::ObjectRef;
use crate::policy::{Miss, mend};
use crate::remedy::{Remedy, Step};

/// The check.
pub const CHECK: Check = Check {
    id: "namespace-lacks-policy-label",
    title: "Namespace lacks the label that the policy asks for",
    title_zh: "命名空间缺少策略所要求的标签",
    catalogue: &["F61"],
    layer: "policy",
    looks_at: &[
        "NetworkPolicy",
        "Namespace",
        "Pod",
        "Service",
        "EndpointSlice",
    ],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (Some(client), Some(d)) = (view.path.client, denied(view)) else {
        return suspect(view, out);
    };
    let peer = peer(d.direction, client, d.server);
    let Some(near) = lacking_label(&d.side, peer) else {
        return;
    };
    let Some(Miss::Namespace {
        selector, nearest, ..
    }) = near.misses.first()
    else {
        return;
    };
    let (Some(policy), Some(namespace)) = (
        view.topology.get(&near.policy),
        view.topology.find("Namespace", "", peer),
    ) else {
        return;
    };
    let at = hop(d.direction);
    let labels: Vec<String> = namespace
        .labels()
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let says = format!(
        "NetworkPolicy {} lets namespaces with {selector} in, and no namespace carries that; {peer} has {}",
        near.policy.name,
        labels.join(", ")
    );
    let f = out.broken(
        ObjectRef::new("Namespace", "", peer),
        at,
        says,
        view.fact(at, namespace, "metadata.labels", labels.join(", ")),
    );
    f.and(view.fact(
        at,
        policy,
        &format!("spec.{}[{}]", d.direction.word().to_lowercase(), near.rule),
        format!("namespaceSelector {selector} selects 0 namespaces"),
    ));
    f.and(view.saw(
        at,
        d.connect,
        format!(
            "TCP connect from pod {} to {}:{}: no answer",
            client.name(),
            d.endpoint.address,
            d.endpoint.port
        ),
    ));
    f.and(d.from_node.clone());
    f.then(format!("namespace {peer} has no {selector}"))
        .then(format!(
            "rule {} of NetworkPolicy {} matches nobody",
            near.rule, near.policy.name
        ))
        .then("the SYN is dropped without an answer");
    let offers = steps(mend(policy, d.direction, near));
    let label = offers
        .iter()
        .find(|s| matches!(s, Step::Patch { object, .. } if object.kind == "Namespace"))
        .cloned();
    let nearest = nearest
        .as_ref()
        .map(|(n, _)| format!(" (the nearest is {n})"))
        .unwrap_or_default();
    f.remedy(Remedy {
        safe: false,
        because: format!("the rule fits otherwise; the label may open other policies too. The other way is to correct the selector of {}{nearest}", near.policy.name).into(),
        steps: label.into_iter().collect(),
    });
}

/// No network to ask: what the objects suggest, and no more.
fn suspect(view: &View<'_>, out: &mut Findings) {
    let (Some(client), Some(s)) = (view.path.client, suspected(view)) else {
        return;
    };
    let peer = peer(s.direction, client, s.server);
    let Some(near) = lacking_label(&s.side, peer) else {
        return;
    };
    let (Some(Miss::Namespace { selector, .. }), Some(policy)) =
        (near.misses.first(), view.topology.get(&near.policy))
    else {
        return;
    };
    let at = hop(s.direction);
    out.at_risk(
        ObjectRef::new("Namespace", "", peer),
        at,
        format!(
            "{} would be denied by NetworkPolicy {}: it lets namespaces with {selector} in, and no namespace carries that, {peer} neither",
            s.conversation(client),
            near.policy.name
        ),
        view.fact(
            at,
            policy,
            &format!("spec.{}[{}]", s.direction.word().to_lowercase(), near.rule),
            format!("namespaceSelector {selector} selects 0 namespaces"),
        ),
    );
}

const PAGE: &str = r#"
## What it looks at

The policy verdict, and of the rules that almost allow the conversation the namespaceSelector and the labels that
namespaces have.

## What proves it

The conversation is denied, and one rule would allow it but for its namespaceSelector, which selects no
namespace at all. A selector that selects another namespace is meant for somebody else: then it is
`policy-denies-by-default`. Where there is no network to ask (a dump), it is told as a risk: "would be denied".

## What to do

Label the namespace, or correct the selector.

## Examples

```cluster
ask: {from: Pod sales/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Namespace, metadata: {name: sales, labels: {stage: prod}}}
---
{kind: Pod, metadata: {name: web-1, namespace: sales, labels: {app: web}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
---
{kind: NetworkPolicy, metadata: {name: allow, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: sales}}}]}]}}
```
```evidence
- {from: {pod: {namespace: sales, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: b}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 90}]}}
```
```finding
namespace-lacks-policy-label Namespace/sales
  because NetworkPolicy allow lets namespaces with team=sales in, and no namespace carries that; sales has stage=prod
```

Another namespace carries the label, so the rule is for that one:

```cluster
ask: {from: Pod sales/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Namespace, metadata: {name: sales, labels: {stage: prod}}}
---
{kind: Namespace, metadata: {name: partners, labels: {team: sales}}}
---
{kind: Pod, metadata: {name: web-1, namespace: sales, labels: {app: web}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
---
{kind: NetworkPolicy, metadata: {name: allow, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: sales}}}]}]}}
```
```evidence
- {from: {pod: {namespace: sales, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: b}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 90}]}}
```
```finding
```

Nobody could try it:

```cluster
ask: {from: Pod sales/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Namespace, metadata: {name: sales, labels: {stage: prod}}}
---
{kind: Pod, metadata: {name: web-1, namespace: sales, labels: {app: web}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
---
{kind: NetworkPolicy, metadata: {name: allow, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: sales}}}]}]}}
```
```finding
namespace-lacks-policy-label Namespace/sales
  because pod web-1 to port 8080 of pod cart-1 would be denied by NetworkPolicy allow: it lets namespaces with team=sales in, and no namespace carries that, sales neither
```
"#;

const PAGE_ZH: &str = "";
