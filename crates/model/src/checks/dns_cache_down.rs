//! The DNS cache on the client's node does not answer, and the cluster DNS behind it does (F12).

use crate::check::{Check, Findings, View};
use crate::checks::places::{dns_endpoints, has_family, node};
use crate::dns_cache::DnsCache;
use crate::object::{Object, at};
use crate::observe::{DNS_MS, word};
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Outcome, Question, Transport, Vantage};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use crate::topology::{condition, is_running};
use std::net::SocketAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "dns-cache-down",
    title: "DNS cache of the client's node does not answer",
    title_zh: "客户端所在节点的 DNS 缓存没有应答",
    catalogue: &["F12"],
    layer: "L7",
    looks_at: &["DaemonSet", "ConfigMap", "Pod", "Service", "EndpointSlice"],
    after: &[
        "dns-has-no-ready-endpoints",
        "policy-blocks-dns",
        "service-rules-stale",
        "node-not-reporting",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const HOP: HopKind = HopKind::NameCache;

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let (Some(lookup), Some(true), Some(cache)) =
        (o.lookup, o.name_fails(), view.path.cache.as_ref())
    else {
        return;
    };
    let at = SocketAddr::new(cache.address, 53);
    let Some((from_pod, mine)) = asked(view, view.path.vantage(), at) else {
        return;
    };
    if mine == Outcome::Answered {
        return answers(view, cache, from_pod, out);
    }
    let from_node = view
        .path
        .node_vantage()
        .and_then(|node| asked(view, node, at))
        .filter(|(_, how)| *how != Outcome::Garbled);
    let ill = ill(view, cache);
    let proof = match from_node {
        // It answers its own node: something between the pod and it is the matter.
        Some((_, Outcome::Answered)) => return,
        Some(_) => true,
        None => ill.is_some(),
    };
    // Where the address is the Service's too, silence may come from the node's Service rules; a refusal comes from a node
    // that holds the address and has nobody listening there.
    let refused =
        mine == Outcome::Refused || from_node.is_some_and(|(_, how)| how == Outcome::Refused);
    let of_cache = !cache.stands_before_service || refused || ill.is_some();
    let (true, true, Some((endpoint, direct))) = (proof, of_cache, behind(view)) else {
        return;
    };
    let (on, address) = (&view.path.client_node, cache.address);
    let why = ill.unwrap_or_else(|| word(from_node.map_or(mine, |(_, how)| how)));
    let subject = match (cache.pod, cache.workload) {
        (Some(pod), _) => pod.reference(),
        (None, Some(workload)) => workload.reference(),
        (None, None) => node(on),
    };
    let says = text!(
        "the DNS cache of node {on}, which its pods ask at {address}, does not answer: {why}",
        "节点 {on} 的 DNS 缓存（该节点的 Pod 向 {address} 查询）没有应答：{why:#}"
    );
    let f = out.broken(
        subject,
        HOP,
        says,
        view.saw(
            HOP,
            from_pod,
            text!(
                "query to the cache {address} from the pod: {}",
                "从 Pod 向缓存 {address} 查询：{:#}",
                word(mine)
            ),
        ),
    );
    if let Some((answered, how)) = from_node {
        f.and(view.saw(
            HOP,
            answered,
            text!(
                "the same query from node {on} itself: {}",
                "从节点 {on} 自身做同样的查询：{:#}",
                word(how)
            ),
        ));
    }
    f.and(view.saw(
        HOP,
        direct,
        text!(
            "the same query to the DNS pod {endpoint}, past the cache: answered",
            "绕过缓存，直接向 DNS Pod {endpoint} 做同样的查询：有应答"
        ),
    ));
    if let Some(pod) = cache.pod {
        f.and(view.fact(HOP, pod, "status", state(pod)));
    } else if let Some(workload) = cache.workload {
        let pods = text!("no pod on node {on}", "节点 {on} 上没有 Pod");
        f.and(view.fact(HOP, workload, "pods", pods));
    }
    let name = &view.path.name;
    f.and(view.saw(
        HopKind::Name,
        lookup,
        text!("{name} does not resolve", "{name} 无法解析"),
    ));
    f.then(text!(
        "pods of node {on} ask {address}, and nobody answers there",
        "节点 {on} 的 Pod 向 {address} 查询，而那里无人应答"
    ))
    .then(text!(
        "no name resolves on that node; on others all do",
        "该节点上任何域名都无法解析，其他节点上都正常"
    ));
    f.remedy(remedy(view, cache));
}

/// The name that every cluster has, at that server.
fn asked<'a>(
    view: &View<'a>,
    from: Vantage,
    server: SocketAddr,
) -> Option<(&'a Answered, Outcome)> {
    let question = Question::Resolve {
        name: format!("kubernetes.default.svc.{}", view.topology.domain()),
        record: if server.is_ipv4() { "A" } else { "AAAA" }.into(),
        server,
        over: Transport::Udp,
        timeout_ms: DNS_MS,
    };
    let answered = view.ask(from, question)?;
    match &answered.answer {
        Answer::Resolve(r) => Some((answered, r.outcome)),
        _ => None,
    }
}

fn answers(view: &View<'_>, cache: &DnsCache<'_>, answered: &Answered, out: &mut Findings) {
    let (on, address) = (&view.path.client_node, cache.address);
    let subject = cache.pod.map_or_else(|| node(on), Object::reference);
    let says = text!(
        "the DNS cache of node {on} answers at {address}",
        "节点 {on} 的 DNS 缓存在 {address} 有应答"
    );
    out.fine(subject, HOP, says.clone(), view.saw(HOP, answered, says));
}

/// A ready endpoint of the cluster DNS that answers the client, or its node, without the cache.
fn behind<'a>(view: &View<'a>) -> Option<(SocketAddr, &'a Answered)> {
    let ready = dns_endpoints(view)
        .into_iter()
        .filter(|e| e.ready && has_family(&view.path.client_addresses, e.address))
        .map(|e| SocketAddr::new(e.address, e.port))
        .take(2);
    let from: Vec<Vantage> = std::iter::once(view.path.vantage())
        .chain(view.path.node_vantage())
        .collect();
    let all: Vec<_> = ready
        .flat_map(|to| from.iter().map(move |from| (from.clone(), to)))
        .collect();
    all.into_iter().find_map(|(from, to)| {
        let (answered, how) = asked(view, from, to)?;
        (how == Outcome::Answered).then_some((to, answered))
    })
}

/// Why its pod on the client's node cannot answer, as the objects say.
fn ill(view: &View<'_>, cache: &DnsCache<'_>) -> Option<Text> {
    let on = &view.path.client_node;
    match (cache.pod, cache.workload) {
        _ if cache.is_ready() => None,
        (Some(pod), _) => {
            let (name, state) = (pod.name(), state(pod));
            Some(text!("pod {name} is {state}", "Pod {name}：{state:#}"))
        }
        (None, Some(w)) if !view.topology.unread("Pod", w.namespace()) => {
            let name = w.name();
            Some(text!(
                "DaemonSet {name} has no pod on node {on}",
                "DaemonSet {name} 在节点 {on} 上没有 Pod"
            ))
        }
        _ => None,
    }
}

/// `Running, not ready, CrashLoopBackOff`.
fn state(pod: &Object) -> Text {
    let phase = pod.str("status.phase");
    let reason = pod.list("status.containerStatuses").iter().find_map(|s| {
        ["state.waiting.reason", "state.terminated.reason"]
            .iter()
            .find_map(|k| at(s, k).as_str())
    });
    let ready = is_running(pod) && condition(pod, "Ready") == Some(true);
    match (ready, reason) {
        (true, _) => text!("{phase}, ready", "{phase}，就绪"),
        (false, Some(r)) => text!("{phase}, not ready, {r}", "{phase}，未就绪，{r}"),
        (false, None) => text!("{phase}, not ready", "{phase}，未就绪"),
    }
}

fn remedy(view: &View<'_>, cache: &DnsCache<'_>) -> Remedy {
    let on = &view.path.client_node;
    let Some(pod) = cache.pod else {
        let name = cache.workload.map_or("node-local-dns", Object::name);
        return Remedy {
            safe: false,
            because: text!(
                "the pods of node {on} ask an address that only a pod of this DaemonSet serves",
                "节点 {on} 的 Pod 所查询的地址只由该 DaemonSet 的 Pod 提供服务"
            ),
            steps: vec![Step::Ask {
                question: text!(
                    "why does DaemonSet {name} run no pod on node {on}? Its nodeSelector, affinity or tolerations may leave the node out: kubectl -n kube-system describe daemonset {name}; kubectl describe node {on}",
                    "DaemonSet {name} 为何没有在节点 {on} 上运行 Pod？它的 nodeSelector、亲和性或容忍度可能排除了该节点：kubectl -n kube-system describe daemonset {name}；kubectl describe node {on}"
                ),
            }],
        };
    };
    let name = pod.name();
    Remedy {
        safe: false,
        because: text!(
            "its DaemonSet makes the pod anew, and a fresh cache sets up its interface again; if it fails again, its log says why: kubectl -n kube-system logs {name} --previous",
            "DaemonSet 会重建该 Pod，新的缓存会重新建立它的网络接口；若再次失败，其日志会说明原因：kubectl -n kube-system logs {name} --previous"
        ),
        steps: vec![Step::Delete {
            object: pod.reference(),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

NodeLocal DNSCache (DaemonSet `node-local-dns`, or another with `-localip` among its arguments): the address at which
the client asks it, a link-local one or the one of Service `kube-dns`, and its pod on the client's node.

## What proves it

The client's query gets no answer there; its node, asked to try the same, gets none either, or the cache's pod there is missing
or not ready; and a pod of the cluster DNS, asked past the cache, answers. Where the cache answers its own node, it is not
the cause. Where the address is the one of Service `kube-dns` too, silence alone proves nothing: the node's Service rules
may lose the query.

## What to do

Have the pod made anew, or read in its log why it fails. Where the DaemonSet has no pod on that node, find out what
leaves the node out.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a, dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {template: {spec: {containers: [{name: node-cache, args: [-localip, "169.254.20.10,10.96.0.10"]}]}}}}
---
{kind: Pod, metadata: {name: node-local-dns-x, namespace: kube-system, labels: {k8s-app: node-local-dns}}, spec: {nodeName: a, hostNetwork: true}, status: {phase: Running, conditions: [{type: Ready, status: "False"}], containerStatuses: [{state: {waiting: {reason: CrashLoopBackOff}}}]}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: refused, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 90}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "169.254.20.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: refused, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 90}}}
- {from: {node: {name: a}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "169.254.20.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: refused, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 40}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.244.2.3:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.244.2.3:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.1], truncated: false, authoritative: true, rtt_us: 300}}}
```
```finding
dns-cache-down kube-system/Pod/node-local-dns-x
  because the DNS cache of node a, which its pods ask at 169.254.20.10, does not answer: pod node-local-dns-x is Running, not ready, CrashLoopBackOff
```

The cache is in order, and the DNS behind it fails: that is none of the cache's.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a, dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {template: {spec: {containers: [{name: node-cache, args: [-localip, 169.254.20.10]}]}}}}
---
{kind: Pod, metadata: {name: node-local-dns-x, namespace: kube-system, labels: {k8s-app: node-local-dns}}, spec: {nodeName: a, hostNetwork: true}, status: {phase: Running, conditions: [{type: Ready, status: "True"}]}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: answered, rcode: SERVFAIL, answers: [], truncated: false, authoritative: false, rtt_us: 90}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "169.254.20.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: answered, rcode: SERVFAIL, answers: [], truncated: false, authoritative: false, rtt_us: 90}}}
```
```finding
```

The cache is down on another node than the client's:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a, dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {template: {spec: {containers: [{name: node-cache, args: [-localip, 169.254.20.10]}]}}}}
---
{kind: Pod, metadata: {name: node-local-dns-y, namespace: kube-system, labels: {k8s-app: node-local-dns}}, spec: {nodeName: b, hostNetwork: true}, status: {phase: Running, conditions: [{type: Ready, status: "False"}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "169.254.20.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.9], truncated: false, authoritative: true, rtt_us: 90}], addresses: [10.96.0.9]}}}
```
```finding
```

The address is the Service's too, the cache's pod is ready, and queries are lost: the node's rules may lose them.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a, dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {template: {spec: {containers: [{name: node-cache, args: [-localip, "169.254.20.10,10.96.0.10"]}]}}}}
---
{kind: Pod, metadata: {name: node-local-dns-x, namespace: kube-system, labels: {k8s-app: node-local-dns}}, spec: {nodeName: a, hostNetwork: true}, status: {phase: Running, conditions: [{type: Ready, status: "True"}]}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], nodeName: b}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 0}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 0}}}
- {from: {node: {name: a}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 0}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.244.2.3:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.244.2.3:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.1], truncated: false, authoritative: true, rtt_us: 300}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

NodeLocal DNSCache（DaemonSet `node-local-dns`，或参数中带有 `-localip` 的其他 DaemonSet）：客户端向它查询的地址（链路本地地址，
或 Service `kube-dns` 的地址），以及它在客户端所在节点上的 Pod。

## 凭什么证实

客户端在该地址得不到应答；其节点做同样的查询也得不到应答，或者该节点上缓存的 Pod 不存在或未就绪；而绕过缓存直接查询集群 DNS 的
Pod 有应答。如果缓存对本节点有应答，它就不是原因。如果该地址同时也是 Service `kube-dns` 的地址，仅有无应答不能证明什么：
也可能是节点的 Service 规则丢失了查询。

## 怎么办

让该 Pod 重建，或在其日志中查明它为何失败。如果 DaemonSet 在该节点上没有 Pod，查明是什么排除了该节点。
"#;
