//! An egress policy allows the DNS pods and forgets the DNS cache on the node, which its clients ask (F12).

use crate::check::{Check, Findings, View};
use crate::checks::policies::{client_end, facts, names};
use crate::checks::policy_blocks_dns::{block, denying, tried};
use crate::dns_cache::DnsCache;
use crate::object::Object;
use crate::observe::word;
use crate::path::HopKind;
use crate::policy::{End, Side, verdict};
use crate::remedy::{Remedy, Step};
use crate::text;
use serde_json::json;
use std::net::SocketAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "policy-blocks-dns-cache",
    title: "Egress policy does not allow the DNS cache on the node",
    title_zh: "Egress 策略没有放行节点上的 DNS 缓存",
    catalogue: &["F12"],
    layer: "policy",
    looks_at: &[
        "NetworkPolicy",
        "Namespace",
        "Pod",
        "DaemonSet",
        "ConfigMap",
        "Service",
        "EndpointSlice",
    ],
    after: &[
        "dns-has-no-ready-endpoints",
        "policy-blocks-dns",
        "dns-cache-down",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const HOP: HopKind = HopKind::NameCache;

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let (Some(lookup), Some(true), Some(client), Some(cache)) = (
        o.lookup,
        o.name_fails(),
        view.path.client,
        view.path.cache.as_ref(),
    ) else {
        return;
    };
    // Who forgot the DNS altogether is told so, with both ways to be opened.
    let Some(side) = side(view, cache).filter(|_| denying(view).is_none()) else {
        return;
    };
    let Some(policy) = side.selecting.first().and_then(|p| view.topology.get(p)) else {
        return;
    };
    let Some(tried) = tried(view, SocketAddr::new(cache.address, 53)) else {
        return;
    };
    let (own, policies, address) = (client.name(), names(&side.selecting), cache.address);
    let (on, count) = (&view.path.client_node, policy.list("spec.egress").len());
    let says = text!(
        "{own} asks the DNS cache of its node at {address}; egress is isolated by NetworkPolicy {policies}, and no rule allows that address (53/UDP)",
        "{own} 向其节点的 DNS 缓存 {address} 查询；egress 受 NetworkPolicy {policies} 隔离，没有规则允许该地址（53/UDP）"
    );
    let f = out.broken(
        policy.reference(),
        HOP,
        says,
        view.fact(
            HOP,
            policy,
            "spec.egress",
            text!(
                "selects {own}; none of its {count} rules allows 53/UDP to {address}: a pod selector never matches the cache, which is in its node's network",
                "选中 {own}；其 {count} 条规则均不允许 53/UDP 到 {address}：缓存使用节点的网络，Pod 选择器永远匹配不到它"
            ),
        ),
    );
    f.and(view.saw(
        HopKind::Name,
        lookup,
        text!("{} does not resolve", "{} 无法解析", view.path.name),
    ));
    f.and(view.saw(
        HOP,
        tried.from_pod,
        text!(
            "query to the cache {} from pod {own}: {}",
            "向缓存 {} 查询（自 pod {own}）：{:#}",
            tried.server.ip(),
            word(tried.outcome)
        ),
    ));
    f.and(view.saw(
        HOP,
        tried.from_node,
        text!(
            "the same query from node {on}: {}",
            "从节点 {on} 做同样的查询：{}",
            tried.rcode
        ),
    ));
    f.then(text!(
        "{own} asks {address}, where the cache of its node listens",
        "{own} 向 {address} 查询，其节点的缓存在那里监听"
    ))
    .then(text!(
        "NetworkPolicy {policies} allows DNS to pods only, and the cache is no pod to it",
        "NetworkPolicy {policies} 只允许到 Pod 的 DNS，而缓存对它来说不是 Pod"
    ))
    .then(text!(
        "no name resolves, addresses work",
        "域名都无法解析，直接用地址则可通"
    ));
    f.remedy(remedy(policy, cache));
}

/// What the policies say of the client's queries to its cache; none where they allow them, or where that is not known.
fn side(view: &View<'_>, cache: &DnsCache<'_>) -> Option<Side> {
    let from = client_end(view, cache.address)?;
    let (policies, namespaces, pods) = facts(view);
    let to = End {
        pod: None,
        address: cache.address,
    };
    let egress = verdict(policies, namespaces, pods, &from, &to, "UDP", 53).egress;
    (!egress.allowed && egress.unknown.is_empty()).then_some(egress)
}

fn remedy(policy: &Object, cache: &DnsCache<'_>) -> Remedy {
    let mut rules = policy.list("spec.egress").to_vec();
    rules.push(json!({
        "to": [block(cache)],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }));
    Remedy {
        safe: false,
        because: text!(
            "the cache has no pod address, so only an ipBlock reaches it; the rule opens port 53 of that one address",
            "缓存没有 Pod 地址，只有 ipBlock 能匹配到它；该规则只放行这一个地址的 53 端口"
        ),
        steps: vec![Step::Patch {
            object: policy.reference(),
            strategic: false,
            patch: json!({"spec": {"egress": rules}}),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

NodeLocal DNSCache: the address at which the client asks it, a link-local one or the one of Service `kube-dns`, and the egress verdict of
the policies on 53/UDP to that address.

## What proves it

Policies isolate the client, let it ask the DNS pods and not that address; the query from the pod is silent, and the same query from its
node is answered. The cache is in its node's network, where no pod selector matches; and a query to an address that the node itself holds never
becomes one to a DNS pod.

## What to do

An egress rule with an `ipBlock` of that one address, port 53, UDP and TCP.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Namespace, metadata: {name: kube-system, labels: {kubernetes.io/metadata.name: kube-system}}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a, dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {template: {spec: {containers: [{name: node-cache, args: [-localip, "169.254.20.10,10.96.0.10"]}]}}}}
---
{kind: Pod, metadata: {name: node-local-dns-x, namespace: kube-system, labels: {k8s-app: node-local-dns}}, spec: {nodeName: a, hostNetwork: true}, status: {phase: Running, podIP: 192.0.2.11, conditions: [{type: Ready, status: "True"}]}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Pod, metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: coredns-1, namespace: kube-system}}]}
---
{kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 700000}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 300}}}
- {from: {node: {name: a}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.9], truncated: false, authoritative: false, rtt_us: 300}}}
```
```finding
policy-blocks-dns-cache shop/NetworkPolicy/web
  because web-1 asks the DNS cache of its node at 169.254.20.10; egress is isolated by NetworkPolicy web, and no rule allows that address (53/UDP)
```

The same at the address of Service `kube-dns`, which the cache holds on its node:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Namespace, metadata: {name: kube-system, labels: {kubernetes.io/metadata.name: kube-system}}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a, dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {template: {spec: {containers: [{name: node-cache, args: [-localip, "169.254.20.10,10.96.0.10"]}]}}}}
---
{kind: Pod, metadata: {name: node-local-dns-x, namespace: kube-system, labels: {k8s-app: node-local-dns}}, spec: {nodeName: a, hostNetwork: true}, status: {phase: Running, podIP: 192.0.2.11, conditions: [{type: Ready, status: "True"}]}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Pod, metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: coredns-1, namespace: kube-system}}]}
---
{kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 700000}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 300}}}
- {from: {node: {name: a}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.9], truncated: false, authoritative: false, rtt_us: 300}}}
```
```finding
policy-blocks-dns-cache shop/NetworkPolicy/web
  because web-1 asks the DNS cache of its node at 10.96.0.10; egress is isolated by NetworkPolicy web, and no rule allows that address (53/UDP)
```

The policy names the cache by its address, so something else loses the query:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Namespace, metadata: {name: kube-system, labels: {kubernetes.io/metadata.name: kube-system}}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a, dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {template: {spec: {containers: [{name: node-cache, args: [-localip, "169.254.20.10,10.96.0.10"]}]}}}}
---
{kind: Pod, metadata: {name: node-local-dns-x, namespace: kube-system, labels: {k8s-app: node-local-dns}}, spec: {nodeName: a, hostNetwork: true}, status: {phase: Running, podIP: 192.0.2.11, conditions: [{type: Ready, status: "True"}]}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Pod, metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: coredns-1, namespace: kube-system}}]}
---
{kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}, {ipBlock: {cidr: 169.254.20.10/32}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 700000}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 300}}}
- {from: {node: {name: a}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.9], truncated: false, authoritative: false, rtt_us: 300}}}
```
```finding
```

The cache answers its own node neither: it is down.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Namespace, metadata: {name: shop}}
---
{kind: Namespace, metadata: {name: kube-system, labels: {kubernetes.io/metadata.name: kube-system}}}
---
{kind: Pod, metadata: {name: web-1, namespace: shop, labels: {app: web}}, spec: {nodeName: a, dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {template: {spec: {containers: [{name: node-cache, args: [-localip, "169.254.20.10,10.96.0.10"]}]}}}}
---
{kind: Pod, metadata: {name: node-local-dns-x, namespace: kube-system, labels: {k8s-app: node-local-dns}}, spec: {nodeName: a, hostNetwork: true}, status: {phase: Running, podIP: 192.0.2.11, conditions: [{type: Ready, status: "True"}]}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Pod, metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {nodeName: b}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: coredns-1, namespace: kube-system}}]}
---
{kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 700000}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 300}}}
- {from: {node: {name: a}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 300}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

NodeLocal DNSCache：客户端向它查询的地址（链路本地地址，或 Service `kube-dns` 的地址），以及策略对到该地址 53/UDP 的 egress 判定。

## 凭什么证实

策略隔离了客户端，允许它查询 DNS Pod，却不允许该地址；从该 Pod 发出的查询没有应答，从其节点做同样的查询有应答。缓存使用节点的网络，
Pod 选择器匹配不到它；而到节点自身所持有地址的查询，永远不会变成到 DNS Pod 的查询。

## 怎么办

增加一条 egress 规则：以 `ipBlock` 放行这一个地址的 53 端口，UDP 和 TCP。
"#;
