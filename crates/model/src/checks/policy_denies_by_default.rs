//! Policies select the pod, and none of their rules lets this conversation through (F60).

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{all_ended, host};
use crate::checks::policies::{
    client_end, denied, facts, from_node, hop, lacking_label, misses, names, no_answer,
    no_rule_fits, peer, steps, suspected, syn_dropped,
};
use crate::object::ObjectRef;
use crate::observe::{FAR_MS, attempts};
use crate::path::HopKind;
use crate::policy::{Cidr, End, suggest_allow, verdict};
use crate::probe::{Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::topology::addresses_of_pod;
use serde_json::json;
use std::net::SocketAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "policy-denies-by-default",
    title: "NetworkPolicies isolate the pod and no rule allows this conversation",
    title_zh: "NetworkPolicy 隔离了 Pod，且没有规则放行该访问",
    catalogue: &["F60"],
    layer: "policy",
    looks_at: &[
        "NetworkPolicy",
        "Namespace",
        "Pod",
        "Service",
        "EndpointSlice",
    ],
    after: &["namespace-lacks-policy-label"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    if host(view).is_some() {
        outside(view, out);
        return;
    }
    let (Some(client), Some(d)) = (view.path.client, denied(view)) else {
        return suspect(view, out);
    };
    if lacking_label(&d.side, peer(d.direction, client, d.server)).is_some() {
        return;
    }
    let word = d.direction.word().to_lowercase();
    let Some(first) = d.side.selecting.first().cloned() else {
        return;
    };
    let own = if word == "egress" {
        client.reference()
    } else {
        d.server.reference()
    };
    let (own, policies) = (&own.name, names(&d.side.selecting));
    let port = d.endpoint.port;
    let says = text!(
        "{word} of {own} is isolated by NetworkPolicy {policies}, and no rule allows {} to port {port}",
        "{own} 的 {word} 受 NetworkPolicy {policies} 隔离，没有规则允许 {} 访问端口 {port}",
        client.name()
    );
    let at = hop(d.direction);
    let Some(policy) = view.topology.get(&first) else {
        return;
    };
    let field = format!("spec.{word}");
    let f = out.broken(
        first.clone(),
        at,
        says,
        view.fact(
            at,
            policy,
            &field,
            no_rule_fits(own, policy.list(&field).len()),
        ),
    );
    f.and(view.saw(
        at,
        d.connect,
        no_answer(client.name(), SocketAddr::new(d.endpoint.address, port)),
    ));
    f.and(d.from_node.clone());
    for n in d.side.near_misses.iter().take(2) {
        if let Some(p) = view.topology.get(&n.policy) {
            f.and(view.fact(at, p, &format!("{field}[{}]", n.rule), misses(n)));
        }
    }
    f.then(text!(
        "NetworkPolicy {policies} selects {own}",
        "NetworkPolicy {policies} 选中 {own}"
    ))
    .then(text!(
        "{word} that no rule allows is denied",
        "没有规则允许的 {word} 一律拒绝"
    ))
    .then(syn_dropped());
    f.remedy(remedy(view, &d, &first));
}

/// To an address outside: the client's own egress policies drop it, and its node gets through.
fn outside(view: &View<'_>, out: &mut Findings) -> Option<()> {
    let client = view.path.client?;
    let node = view.node(&view.path.client_node);
    let (to, connect) = all_ended(view, Outcome::Silent)?;
    let (policies, namespaces, pods) = facts(view);
    let end = End {
        pod: pods
            .iter()
            .copied()
            .find(|p| addresses_of_pod(p).contains(&to.ip())),
        address: to.ip(),
    };
    let from = client_end(view, to.ip())?;
    let protocol = &view.path.conversation.protocol;
    let v = verdict(policies, namespaces, pods, &from, &end, protocol, to.port());
    if v.egress.allowed {
        return None;
    }
    let policy = view.topology.get(v.egress.selecting.first()?)?;
    let question = Question::TcpConnect {
        to,
        tries: 1,
        timeout_ms: FAR_MS,
    };
    let decider = view.ask(node, question)?;
    let outcomes = attempts(decider).iter().map(|t| t.outcome);
    let through = |o: Outcome| matches!(o, Outcome::Answered | Outcome::Refused);
    if !outcomes.clone().any(through) {
        return None;
    }
    let at = HopKind::EgressPolicy;
    let (own, isolating) = (client.name(), names(&v.egress.selecting));
    let says = text!(
        "egress of {own} is isolated by NetworkPolicy {isolating}, and no rule allows {to}",
        "{own} 的 egress 受 NetworkPolicy {isolating} 隔离，没有规则允许 {to}"
    );
    let rules = policy.list("spec.egress");
    let fact = no_rule_fits(own, rules.len());
    let f = out.broken(
        policy.reference(),
        at,
        says,
        view.fact(at, policy, "spec.egress", fact),
    );
    f.and(view.saw(
        at,
        connect,
        text!(
            "TCP connect to {to} from the pod: no answer",
            "从该 Pod 发起的 TCP 连接 {to}：无应答"
        ),
    ));
    let node = &view.path.client_node;
    f.and(view.saw(at, decider, from_node(node, outcomes)));
    f.then(text!(
        "NetworkPolicy {} selects {own}",
        "NetworkPolicy {} 选中 {own}",
        policy.name()
    ))
    .then(text!(
        "egress that no rule allows is denied",
        "没有规则允许的 egress 一律拒绝"
    ))
    .then(syn_dropped());
    let mut all = rules.to_vec();
    all.push(json!({
        "to": [{"ipBlock": {"cidr": Cidr::host(to.ip()).to_string()}}],
        "ports": [{"protocol": protocol, "port": to.port()}],
    }));
    f.remedy(Remedy {
        safe: false,
        because: text!(
            "allows {to} and nothing else; whether the pod may go there is for its owner to say",
            "只放行 {to}；该 Pod 是否可以访问那里，由其负责人决定"
        ),
        steps: vec![Step::Patch {
            object: policy.reference(),
            strategic: false,
            patch: json!({"spec": {"egress": all}}),
        }],
    });
    Some(())
}

/// No network to ask: what the objects suggest, and no more.
fn suspect(view: &View<'_>, out: &mut Findings) {
    let (Some(client), Some(s)) = (view.path.client, suspected(view)) else {
        return;
    };
    if lacking_label(&s.side, peer(s.direction, client, s.server)).is_some() {
        return;
    }
    let Some(policy) = s.side.selecting.first().and_then(|p| view.topology.get(p)) else {
        return;
    };
    let word = s.direction.word().to_lowercase();
    let own = if word == "egress" { client } else { s.server }.name();
    let (what, policies) = (s.conversation(client), names(&s.side.selecting));
    let field = format!("spec.{word}");
    let at = hop(s.direction);
    let f = out.at_risk(
        policy.reference(),
        at,
        text!(
            "{what} would be denied by NetworkPolicy {policies}: {word} of {own} is isolated and no rule allows this",
            "{what:#} 会被 NetworkPolicy {policies} 拒绝：{own} 的 {word} 受隔离，没有规则允许"
        ),
        view.fact(
            at,
            policy,
            &field,
            no_rule_fits(own, policy.list(&field).len()),
        ),
    );
    for n in s.side.near_misses.iter().take(2) {
        if let Some(p) = view.topology.get(&n.policy) {
            f.and(view.fact(at, p, &format!("{field}[{}]", n.rule), misses(n)));
        }
    }
}

fn remedy(
    view: &View<'_>,
    d: &crate::checks::policies::Denied<'_, '_>,
    first: &ObjectRef,
) -> Remedy {
    let (policies, namespaces, pods) = facts(view);
    let to = End {
        pod: Some(d.server),
        address: d.endpoint.address,
    };
    let suggestions = match client_end(view, d.endpoint.address) {
        Some(from) => suggest_allow(
            policies,
            namespaces,
            pods,
            &from,
            &to,
            &view.path.conversation.protocol,
            d.endpoint.port,
        ),
        None => Vec::new(),
    };
    Remedy {
        safe: false,
        because: text!(
            "opens exactly this conversation and nothing else; whether it is meant to be open, the owner of {} must say",
            "只放行这一条连接；是否应当放行，由 {} 的负责人决定",
            first.name
        ),
        steps: steps(suggestions),
    }
}

const PAGE: &str = r#"
## What it looks at

All NetworkPolicies that select the client (egress) and the server's pod (ingress), their rules, and the labels
they ask for.

## What proves it

The handshake from the client is silent; the verdict of the policies is "denied"; and the same handshake from
a node, which policies do not stop, is answered.

Where there is no network to ask (a dump), the verdict alone is told as a risk: "would be denied".

## What to do

Allow the conversation, by the smallest rule. The offered change opens this port for these pods only.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
---
{kind: NetworkPolicy, metadata: {name: deny, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: b}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 90}]}}
```
```finding
policy-denies-by-default shop/NetworkPolicy/deny
  because ingress of cart-1 is isolated by NetworkPolicy deny, and no rule allows web-1 to port 8080
```

The node gets no answer either: something else is in the way, and the policy is not blamed.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
---
{kind: NetworkPolicy, metadata: {name: deny, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: b}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
```
```finding
```

To an address outside of the cluster:

```cluster
ask: {from: Pod shop/web-1, to: Host 192.0.2.7, port: 443}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: NetworkPolicy, metadata: {name: inside-only, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "192.0.2.7:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: silent, took_us: 2000000}]}}
- {from: {node: {name: a}}, question: {tcp_connect: {to: "192.0.2.7:443", tries: 1, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: answered, took_us: 900}]}}
```
```finding
policy-denies-by-default shop/NetworkPolicy/inside-only
  because egress of web-1 is isolated by NetworkPolicy inside-only, and no rule allows 192.0.2.7:443
```

Nobody could try it:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
---
{kind: NetworkPolicy, metadata: {name: deny, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress]}}
```
```finding
policy-denies-by-default shop/NetworkPolicy/deny
  because pod web-1 to port 8080 of pod cart-1 would be denied by NetworkPolicy deny: ingress of cart-1 is isolated and no rule allows this
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

选中客户端（egress）和服务端 Pod（ingress）的全部 NetworkPolicy、其规则，以及规则要求的标签。

## 凭什么证实

客户端的握手没有应答；策略的判定为“拒绝”；而从不受策略约束的节点做同样的握手有应答。

没有网络可问时（转储文件），仅凭判定只报告为风险：“会被拒绝”。

## 怎么办

用最小的规则放行这条连接。给出的改动只为这些 Pod 打开这个端口。
"#;
