//! An egress policy forgets the DNS (F13).

use crate::check::{Check, Findings, View};
use crate::checks::places::{dns_addresses, dns_endpoints, servers_by_kubelet};
use crate::checks::policies::{client_end, facts, names};
use crate::dns_cache::DnsCache;
use crate::object::{Object, ObjectRef};
use crate::path::HopKind;
use crate::policy::{End, Side, shut_in, verdict};
use crate::probe::{Answer, Answered, Outcome, Question, Transport};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Where the cluster's DNS lives.
const SYSTEM: &str = "kube-system";

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
    let Some(shut) = shut(view, client) else {
        return;
    };
    let Some(policy) = shut.by.first().and_then(|p| view.topology.get(p)) else {
        return;
    };
    let Some(tried) = shut.servers.iter().find_map(|s| tried(view, *s)) else {
        return;
    };
    let (own, policies) = (client.name(), names(&shut.by));
    let says = text!(
        "egress of {own} is isolated by NetworkPolicy {policies}, and no rule allows DNS (53/UDP)",
        "{own} 的 egress 受 NetworkPolicy {policies} 隔离，没有规则允许 DNS（53/UDP）"
    );
    let f = out.broken(
        policy.reference(),
        HopKind::Name,
        says,
        view.fact(
            HopKind::Name,
            policy,
            "spec.egress",
            no_rule_allows_dns(client, policy, shut.dns_pod),
        ),
    );
    f.and(view.saw(
        HopKind::Name,
        lookup,
        text!("{} does not resolve", "{} 无法解析", view.path.name),
    ));
    f.and(view.saw(
        HopKind::Name,
        tried.from_pod,
        text!(
            "query to {} from pod {own}: {}",
            "向 {} 查询（自 pod {own}）：{:#}",
            tried.server.ip(),
            crate::observe::word(tried.outcome)
        ),
    ));
    f.and(view.saw(
        HopKind::Name,
        tried.from_node,
        text!(
            "the same query from node {}: {}",
            "从节点 {} 做同样的查询：{}",
            view.path.client_node,
            tried.rcode
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
    f.remedy(remedy(view, policy, shut.dns_pod));
}

/// What keeps the client from the DNS.
struct Shut<'a> {
    by: Vec<ObjectRef>,
    /// A DNS pod that they keep it from; none where those may not be read and nothing outside is let through.
    dns_pod: Option<&'a Object>,
    servers: Vec<SocketAddr>,
}

fn shut<'a>(view: &View<'a>, client: &Object) -> Option<Shut<'a>> {
    if let Some((pod, side)) = denying(view) {
        return Some(Shut {
            by: side.selecting,
            dns_pod: Some(pod),
            servers: dns_addresses(view),
        });
    }
    let by = shut_in(view.topology.all("NetworkPolicy"), client, "UDP");
    if by.is_empty() || view.topology.dns().is_some() || client.namespace() == SYSTEM {
        return None;
    }
    Some(Shut {
        by,
        dns_pod: None,
        servers: servers_by_kubelet(view),
    })
}

/// A query that the client got no answer to, and its node did.
pub(super) struct Tried<'a> {
    pub(super) server: SocketAddr,
    pub(super) from_pod: &'a Answered,
    pub(super) outcome: Outcome,
    pub(super) from_node: &'a Answered,
    pub(super) rcode: &'a str,
}

pub(super) fn tried<'a>(view: &View<'a>, server: SocketAddr) -> Option<Tried<'a>> {
    let record = if server.is_ipv4() { "A" } else { "AAAA" };
    let name = if view.path.name.is_empty() {
        format!("kubernetes.default.svc.{}", view.topology.domain())
    } else {
        view.path.name.clone()
    };
    let question = Question::Resolve {
        name,
        record: record.into(),
        server,
        over: Transport::Udp,
        timeout_ms: 700,
    };
    let from_pod = view.ask(view.path.vantage(), question.clone());
    let from_node = view.ask(view.node(&view.path.client_node), question);
    let (from_pod, from_node) = (from_pod?, from_node?);
    let (Answer::Resolve(mine), Answer::Resolve(theirs)) = (&from_pod.answer, &from_node.answer)
    else {
        return None;
    };
    let only_here = mine.outcome != Outcome::Answered && theirs.outcome == Outcome::Answered;
    only_here.then_some(Tried {
        server,
        from_pod,
        outcome: mine.outcome,
        from_node,
        rcode: &theirs.rcode,
    })
}

fn remedy(view: &View<'_>, policy: &Object, dns_pod: Option<&Object>) -> Remedy {
    let because = match dns_pod {
        Some(_) => text!(
            "pods that may send at all need DNS; the rule opens port 53 to the DNS pods only",
            "只要 Pod 能对外发包就需要 DNS；该规则只放行到 DNS Pod 的 53 端口"
        ),
        None => text!(
            "pods that may send at all need DNS; the rule opens port 53 to {SYSTEM}, for which pods there answer may not be read",
            "只要 Pod 能对外发包就需要 DNS；该规则放行到 {SYSTEM} 的 53 端口，因为无权读取其中由哪些 Pod 应答"
        ),
    };
    Remedy {
        safe: false,
        because,
        steps: vec![Step::Patch {
            object: policy.reference(),
            strategic: false,
            patch: patch(view, policy, dns_pod),
        }],
    }
}

/// The first DNS pod that the policies keep the client from, and the client's side of it.
pub(super) fn denying<'a>(view: &View<'a>) -> Option<(&'a Object, Side)> {
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
            no_rule_allows_dns(client, policy, Some(dns_pod)),
        ),
    );
}

fn no_rule_allows_dns(client: &Object, policy: &Object, dns_pod: Option<&Object>) -> Text {
    let (own, count) = (client.name(), policy.list("spec.egress").len());
    match dns_pod.map(Object::name) {
        Some(pod) => text!(
            "selects {own}; none of its {count} rules allows 53/UDP to {pod}",
            "选中 {own}；其 {count} 条规则均不允许 53/UDP 到 {pod}"
        ),
        None => text!(
            "selects {own}; none of its {count} rules allows UDP to anybody outside namespace {}",
            "选中 {own}；其 {count} 条规则均不允许 UDP 到命名空间 {} 之外",
            client.namespace()
        ),
    }
}

/// The policy's egress rules with one more: DNS over UDP and TCP.
fn patch(view: &View<'_>, policy: &Object, dns_pod: Option<&Object>) -> Value {
    let mut rules = policy.list("spec.egress").to_vec();
    let namespace = dns_pod.map_or(SYSTEM, Object::namespace);
    let mut to = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    });
    if let Some(pod) = dns_pod {
        let labels = pod.labels();
        let app = labels
            .get("k8s-app")
            .map_or_else(|| json!(labels), |v| json!({ "k8s-app": v }));
        to["podSelector"] = json!({ "matchLabels": app });
    }
    let mut peers = vec![to];
    peers.extend(view.path.cache.as_ref().map(block));
    rules.push(json!({
        "to": peers,
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }));
    json!({"spec": {"egress": rules}})
}

/// The cache on a node as a peer: in its node's network it has no pod's labels, so only its address can be named.
pub(super) fn block(cache: &DnsCache<'_>) -> Value {
    let length = if cache.address.is_ipv4() { 32 } else { 128 };
    json!({"ipBlock": {"cidr": format!("{}/{length}", cache.address)}})
}

const PAGE: &str = r#"
## What it looks at

The egress verdict of the policies on client pod to DNS pods, 53/UDP, once a lookup fails.

## What proves it

The policies deny it; a query from the pod is silent; the same query from the pod's node is answered. Where `kube-system` may
not be read, the policies deny it only if no rule lets UDP out of the namespace at all, and the server is the one that kubelet
wrote into the pod's `resolv.conf`.
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

The cluster's DNS may not be read, and nothing outside the namespace is let through over UDP:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
unread: [Service in namespace kube-system]
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a, dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}, {to: [{namespaceSelector: {}}], ports: [{port: 443}]}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: resolv_conf, answer: {resolv_conf: {nameservers: [10.96.0.10], search: [shop.svc.cluster.local], ndots: 5}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 700000}}}
- {from: {node: {name: a}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.9], truncated: false, authoritative: true, rtt_us: 300}}}
```
```finding
policy-blocks-dns shop/NetworkPolicy/web
  because egress of web-1 is isolated by NetworkPolicy web, and no rule allows DNS (53/UDP)
```

The same, and a rule lets some namespaces be asked over UDP: whether the DNS is among them is not known.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
unread: [Service in namespace kube-system]
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a, dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {role: names}}}], ports: [{port: 53, protocol: UDP}]}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: resolv_conf, answer: {resolv_conf: {nameservers: [10.96.0.10], search: [shop.svc.cluster.local], ndots: 5}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 700000}}}
- {from: {node: {name: a}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.9], truncated: false, authoritative: true, rtt_us: 300}}}
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

策略拒绝；从该 Pod 发出的查询没有应答；从该 Pod 所在节点做同样的查询有应答。无权读取 `kube-system` 时，只有没有任何规则放行
UDP 到命名空间之外才算拒绝，服务器取自 kubelet 写入该 Pod `resolv.conf` 的那一个。没有网络可问时（转储文件），仅凭判定
只报告为风险：“会被拒绝”。

## 怎么办

增加一条 egress 规则：到 DNS Pod 的 53 端口，UDP 和 TCP。
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::EvidenceSet;
    use crate::path::{Conversation, Destination, Path};
    use crate::snapshot::ClusterSnapshot;
    use crate::topology::Topology;

    /// Whoever asks a cache is let through to it too, else the remedy would not mend anything.
    #[test]
    fn the_rule_opens_the_cache_that_the_client_asks() {
        let client = |nameservers: Value| {
            json!({"kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop"},
                "spec": {"nodeName": "a", "dnsPolicy": "None", "dnsConfig": {"nameservers": nameservers}}})
        };
        let dns = json!({"kind": "Pod", "metadata": {"name": "coredns-1", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}});
        let policy = Object(
            json!({"kind": "NetworkPolicy", "metadata": {"name": "web", "namespace": "shop"}, "spec": {}}),
        );
        for (nameserver, cidrs) in [
            ("10.96.0.10", vec![]),
            ("169.254.20.10", vec!["169.254.20.10/32"]),
            ("fe80::53", vec!["fe80::53/128"]),
        ] {
            let mut snapshot = ClusterSnapshot::new("dump", "test", 0);
            let objects = [client(json!([nameserver])), dns.clone()];
            snapshot.objects = objects.into_iter().map(Object).collect();
            let topology = Topology::new(&snapshot);
            let conversation = Conversation {
                from: Some(ObjectRef::new("Pod", "shop", "web-1")),
                to: Destination::Host("192.0.2.1".into()),
                port: 80,
                protocol: "TCP".into(),
                tls: false,
                http: None,
                through: None,
            };
            let (mut path, evidence) = (Path::new(&topology, conversation), EvidenceSet::default());
            path.learn_cache(&topology, &evidence);
            let view = View::new(&topology, &path, &evidence, false);
            let dns_pod = topology.find("Pod", SYSTEM, "coredns-1");
            let patch = patch(&view, &policy, dns_pod);
            let peers = patch["spec"]["egress"][0]["to"].as_array().unwrap();
            let blocks = peers.iter().filter_map(|p| p["ipBlock"]["cidr"].as_str());
            assert_eq!(blocks.collect::<Vec<_>>(), cidrs, "{nameserver}");
            assert_eq!(peers.len(), 1 + cidrs.len(), "{nameserver}");
        }
    }
}
