//! A policy lets a namespace in by a label that no namespace carries (F61).

use crate::check::{Check, Findings, View};
use crate::checks::policies::{
    denied, hop, lacking_label, no_answer, peer, steps, suspected, syn_dropped,
};
use crate::object::ObjectRef;
use crate::policy::{Miss, mend};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use std::net::SocketAddr;

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
    let labels = labels.join(", ");
    let nobody = nobody(view);
    let says = text!(
        "NetworkPolicy {} lets namespaces with {selector} in, and {nobody} carries that; {peer} has {labels}",
        "NetworkPolicy {} 放行带 {selector} 的命名空间，而{nobody:#}带有它；{peer} 带有 {labels}",
        near.policy.name
    );
    let f = out.broken(
        ObjectRef::new("Namespace", "", peer),
        at,
        says,
        view.fact(at, namespace, "metadata.labels", Text::same(labels)),
    );
    f.and(view.fact(
        at,
        policy,
        &format!("spec.{}[{}]", d.direction.word().to_lowercase(), near.rule),
        selects_none(view, selector),
    ));
    f.and(view.saw(
        at,
        d.connect,
        no_answer(
            client.name(),
            SocketAddr::new(d.endpoint.address, d.endpoint.port),
        ),
    ));
    f.and(d.from_node.clone());
    f.then(text!(
        "namespace {peer} has no {selector}",
        "命名空间 {peer} 没有 {selector}"
    ))
    .then(text!(
        "rule {rule} of NetworkPolicy {policy} matches nobody",
        "NetworkPolicy {policy} 的规则 {rule} 不匹配任何对象",
        rule = near.rule,
        policy = near.policy.name
    ))
    .then(syn_dropped());
    let offers = steps(mend(policy, d.direction, near));
    let label = offers
        .iter()
        .find(|s| matches!(s, Step::Patch { object, .. } if object.kind == "Namespace"))
        .cloned();
    let nearest = nearest
        .as_ref()
        .map(|(n, _)| text!(" (the nearest is {n})", "（最接近的是 {n}）"))
        .unwrap_or_default();
    f.remedy(Remedy {
        safe: false,
        because: text!(
            "the rule fits otherwise; the label may open other policies too. The other way is to correct the selector of {}{nearest}",
            "规则的其余部分都匹配；加标签也可能使其他策略放行。另一种办法是改正 {} 的选择器{nearest:#}",
            near.policy.name
        ),
        steps: label.into_iter().collect(),
    });
}

fn nobody(view: &View<'_>) -> Text {
    match view.topology.unread("Namespace", "") {
        true => text!("none that may be read", "可读取的命名空间都不"),
        false => text!("no namespace", "没有任何命名空间"),
    }
}

fn selects_none(view: &View<'_>, selector: &str) -> Text {
    let known = view.topology.all("Namespace").len();
    match view.topology.unread("Namespace", "") {
        true => text!(
            "namespaceSelector {selector} selects 0 of the {known} namespaces that may be read",
            "namespaceSelector {selector} 在可读取的 {known} 个命名空间中选中 0 个"
        ),
        false => text!(
            "namespaceSelector {selector} selects 0 namespaces",
            "namespaceSelector {selector} 选中 0 个命名空间"
        ),
    }
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
    let what = s.conversation(client);
    out.at_risk(
        ObjectRef::new("Namespace", "", peer),
        at,
        text!(
            "{what} would be denied by NetworkPolicy {}: it lets namespaces with {selector} in, and {} carries that, {peer} neither",
            "{what:#} 会被 NetworkPolicy {} 拒绝：它放行带 {selector} 的命名空间，而{:#}带有它，{peer} 也没有",
            near.policy.name,
            nobody(view)
        ),
        view.fact(
            at,
            policy,
            &format!("spec.{}[{}]", s.direction.word().to_lowercase(), near.rule),
            selects_none(view, selector),
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
`policy-denies-by-default`. Where not all namespaces may be read, those that may are counted, and the finding says so. Where there is no network to ask (a dump), it is told as a risk: "would be denied".

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

Not all namespaces may be read:

```cluster
ask: {from: Pod sales/web-1, to: Service shop/cart, port: 80}
unread: [Namespace]
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
  because NetworkPolicy allow lets namespaces with team=sales in, and none that may be read carries that; sales has stage=prod
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

const PAGE_ZH: &str = r#"
## 看什么

策略的判定；在几乎放行该连接的规则中，看其 namespaceSelector 与各命名空间实际的标签。

## 凭什么证实

连接被拒绝，而有一条规则除 namespaceSelector 外都匹配，且该选择器没有选中任何命名空间。若它选中了别的命名空间，那是为
别人准备的规则：此时属于 `policy-denies-by-default`。无权读取全部命名空间时，只数可读取的，并在结论中说明。没有网络可问时（转储文件），只报告为风险：“会被拒绝”。

## 怎么办

给命名空间加上标签，或改正选择器。
"#;
