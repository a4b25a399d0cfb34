//! An egress policy forgets the DNS (F13).

use crate::check::{Check, Findings, View};
use crate::checks::places::{dns_addresses, dns_endpoints};
use crate::checks::policies::{client_end, facts, names};
use crate::object::Object;
use crate::path::HopKind;
use crate::policy::{End, Side, verdict};
use crate::probe::{Answer, Outcome, Question, Transport};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use serde_json::{Value, json};

/// The check.
pub const CHECK: Check = Check {
    id: "policy-blocks-dns",
    title: "Egress policy does not allow DNS",
    title_zh: "Egress 策略没有放行 DNS",
    catalogue: &["F13"],
    layer: "policy",
    looks_at: &[
        "NetworkPolicy",
        "Namespace",
        "Pod",
        "Service",
        "EndpointSlice",
    ],
    after: &["dns-has-no-ready-endpoints"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let (Some(lookup), Some(true), Some(client)) = (o.lookup, o.name_fails(), view.path.client)
    else {
        return suspect(view, out);
    };
    let Some((dns_pod, side)) = denying(view) else {
        return;
    };
    let Some(first) = side.selecting.first().cloned() else {
        return;
    };
    let Some(policy) = view.topology.get(&first) else {
        return;
    };
    for server in dns_addresses(view) {
        let record = if server.is_ipv4() { "A" } else { "AAAA" };
        let name = if view.path.name.is_empty() {
            format!("kubernetes.default.svc.{}", view.topology.domain())
        } else {
            view.path.name.clone()
        };
        let question = |_| Question::Resolve {
            name: name.clone(),
            record: record.into(),
            server,
            over: Transport::Udp,
            timeout_ms: 700,
        };
        let (Some(asked), Some(node)) = (
            view.ask(view.path.vantage(), question(())),
            view.ask(view.node(&view.path.client_node), question(())),
        ) else {
            continue;
        };
        let (Answer::Resolve(mine), Answer::Resolve(theirs)) = (&asked.answer, &node.answer) else {
            continue;
        };
        if mine.outcome == Outcome::Answered || theirs.outcome != Outcome::Answered {
            continue;
        }
        let (own, policies) = (client.name(), names(&side.selecting));
        let says = text!(
            "egress of {own} is isolated by NetworkPolicy {policies}, and no rule allows DNS (53/UDP)",
            "{own} 的 egress 受 NetworkPolicy {policies} 隔离，没有规则允许 DNS（53/UDP）"
        );
        let f = out.broken(
            first.clone(),
            HopKind::Name,
            says,
            view.fact(
                HopKind::Name,
                policy,
                "spec.egress",
                no_rule_allows_dns(client, policy, dns_pod),
            ),
        );
        f.and(view.saw(
            HopKind::Name,
            lookup,
            text!("{} does not resolve", "{} 无法解析", view.path.name),
        ));
        let how = crate::observe::word(mine.outcome);
        f.and(view.saw(
            HopKind::Name,
            asked,
            text!(
                "query to {} from pod {own}: {how}",
                "向 {} 查询（自 pod {own}）：{how:#}",
                server.ip()
            ),
        ));
        f.and(view.saw(
            HopKind::Name,
            node,
            text!(
                "the same query from node {}: {}",
                "从节点 {} 做同样的查询：{}",
                view.path.client_node,
                theirs.rcode
            ),
        ));
        f.then(text!(
            "NetworkPolicy {policies} isolates egress of {own}",
            "NetworkPolicy {policies} 隔离了 {own} 的 egress"
        ))
        .then(text!(
            "no rule allows 53/UDP to the DNS pods",
            "没有规则允许 53/UDP 到 DNS Pod"
        ))
        .then(text!("queries are dropped", "查询被丢弃"))
        .then(text!(
            "no name resolves, addresses work",
            "域名都无法解析，直接用地址则可通"
        ));
        f.remedy(Remedy {
            safe: false,
            because: text!(
                "pods that may send at all need DNS; the rule opens port 53 to the DNS pods only",
                "只要 Pod 能对外发包就需要 DNS；该规则只放行到 DNS Pod 的 53 端口"
            ),
            steps: vec![Step::Patch {
                object: first.clone(),
                strategic: false,
                patch: patch(policy, dns_pod),
            }],
        });
        return;
    }
}

/// The first DNS pod that the policies keep the client from, and the client's side of it.
fn denying<'a>(view: &View<'a>) -> Option<(&'a Object, Side)> {
    dns_endpoints(view)
        .into_iter()
        .filter(|e| e.ready)
        .find_map(|e| {
            let pod = e.pod.as_ref().and_then(|p| view.topology.get(p))?;
            let from = client_end(view, e.address)?;
            let (policies, namespaces, pods) = facts(view);
            let v = verdict(
                policies,
                namespaces,
                pods,
                &from,
                &End {
                    pod: Some(pod),
                    address: e.address,
                },
                "UDP",
                e.port,
            );
            (!v.egress.allowed).then_some((pod, v.egress))
        })
}

/// No network to ask: what the objects suggest, and no more.
fn suspect(view: &View<'_>, out: &mut Findings) {
    let Some(client) = view.path.client else {
        return;
    };
    // Pods with a resolver of their own do not ask the cluster's.
    let elsewhere = matches!(client.str("spec.dnsPolicy"), "Default" | "None");
    if elsewhere || view.path.name.is_empty() || !view.observed().untried() {
        return;
    }
    let Some((dns_pod, side)) = denying(view) else {
        return;
    };
    let Some(policy) = side.selecting.first().and_then(|p| view.topology.get(p)) else {
        return;
    };
    out.at_risk(
        policy.reference(),
        HopKind::Name,
        text!(
            "DNS of pod {} (53/UDP to pod {}) would be denied by NetworkPolicy {}: egress is isolated and no rule allows this",
            "pod {} 的 DNS（53/UDP 到 pod {}）会被 NetworkPolicy {} 拒绝：egress 受隔离，没有规则允许",
            client.name(),
            dns_pod.name(),
            names(&side.selecting)
        ),
        view.fact(
            HopKind::Name,
            policy,
            "spec.egress",
            no_rule_allows_dns(client, policy, dns_pod),
        ),
    );
}

fn no_rule_allows_dns(client: &Object, policy: &Object, dns_pod: &Object) -> Text {
    text!(
        "selects {}; none of its {} rules allows 53/UDP to {}",
        "选中 {}；其 {} 条规则均不允许 53/UDP 到 {}",
        client.name(),
        policy.list("spec.egress").len(),
        dns_pod.name()
    )
}

/// The policy's egress rules with one more: DNS over UDP and TCP.
fn patch(policy: &Object, dns_pod: &Object) -> Value {
    let mut rules = policy.list("spec.egress").to_vec();
    let labels = dns_pod.labels();
    let app = labels
        .get("k8s-app")
        .map_or_else(|| json!(labels), |v| json!({ "k8s-app": v }));
    rules.push(json!({
        "to": [{
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": dns_pod.namespace()}},
            "podSelector": {"matchLabels": app},
        }],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }));
    json!({"spec": {"egress": rules}})
}

const PAGE: &str = r#"
## What it looks at

The egress verdict of the policies on client pod to DNS pods, 53/UDP, once a lookup fails.

## What proves it

The policies deny it; a query from the pod is silent; the same query from the pod's node is answered.
Where there is no network to ask (a dump), the verdict alone is told as a risk: "would be denied".

## What to do

Add an egress rule for port 53, UDP and TCP, to the DNS pods.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Namespace, metadata: {name: kube-system, labels: {kubernetes.io/metadata.name: kube-system}}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Pod, metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: coredns-1, namespace: kube-system}}]}
---
{kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 700000}}}
- {from: {node: {name: a}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.9], truncated: false, authoritative: true, rtt_us: 300}}}
```
```finding
policy-blocks-dns shop/NetworkPolicy/web
  because egress of web-1 is isolated by NetworkPolicy web, and no rule allows DNS (53/UDP)
```

The policy has a rule for DNS:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Namespace, metadata: {name: kube-system, labels: {kubernetes.io/metadata.name: kube-system}}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Pod, metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: coredns-1, namespace: kube-system}}]}
---
{kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
```
```finding
```

Nobody could try it:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Namespace, metadata: {name: kube-system, labels: {kubernetes.io/metadata.name: kube-system}}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Pod, metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: coredns-1, namespace: kube-system}}]}
---
{kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}}
```
```finding
policy-blocks-dns shop/NetworkPolicy/web
  because DNS of pod web-1 (53/UDP to pod coredns-1) would be denied by NetworkPolicy web: egress is isolated and no rule allows this
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

一旦域名解析失败：策略对客户端 Pod 到 DNS Pod（53/UDP）的 egress 判定。

## 凭什么证实

策略拒绝；从该 Pod 发出的查询没有应答；从该 Pod 所在节点做同样的查询有应答。没有网络可问时（转储文件），仅凭判定
只报告为风险：“会被拒绝”。

## 怎么办

增加一条 egress 规则：到 DNS Pod 的 53 端口，UDP 和 TCP。
"#;
