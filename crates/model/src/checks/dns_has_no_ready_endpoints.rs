//! The cluster DNS has no ready endpoint (F7).

use crate::check::{Check, Findings, View};
use crate::checks::behind::slices_unread;
use crate::checks::places::dns_endpoints;
use crate::object::{Object, ObjectRef, at, string_map};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use serde_json::json;

/// The check.
pub const CHECK: Check = Check {
    id: "dns-has-no-ready-endpoints",
    title: "Cluster DNS has no ready endpoints",
    title_zh: "集群 DNS 没有就绪的端点",
    catalogue: &["F7"],
    layer: "L7",
    looks_at: &["Service", "EndpointSlice", "Pod", "Deployment"],
    // Where the table is full, kubelet's probes of the DNS pods on that node find no place either.
    after: &["conntrack-table-full"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let (Some(lookup), Some(true), Some(dns)) = (o.lookup, o.name_fails(), view.topology.dns())
    else {
        return;
    };
    if view.topology.unread("EndpointSlice", dns.namespace()) {
        slices_unread(view, dns);
        return;
    }
    let endpoints = dns_endpoints(view);
    let all = endpoints.len();
    let ready = endpoints.iter().filter(|e| e.ready).count();
    if ready > 0 {
        out.fine(
            dns.reference(),
            HopKind::Name,
            text!(
                "the cluster DNS has {ready} ready endpoints",
                "集群 DNS 有 {ready} 个就绪的端点"
            ),
            view.fact(
                HopKind::Name,
                dns,
                "EndpointSlices",
                text!("{ready} of {all} ready", "{all} 个中有 {ready} 个就绪"),
            ),
        );
        return;
    }
    let says = text!(
        "the cluster DNS (Service {}) has no ready endpoint: every name fails",
        "集群 DNS（Service {}）没有就绪的端点：所有域名都解析失败",
        dns.name()
    );
    let name = &view.path.name;
    let f = out.broken(
        dns.reference(),
        HopKind::Name,
        says,
        view.saw(
            HopKind::Name,
            lookup,
            text!("{name} does not resolve", "{name} 无法解析"),
        ),
    );
    f.and(view.fact(
        HopKind::Name,
        dns,
        "EndpointSlices",
        text!("0 of {all} endpoints ready", "{all} 个端点中有 0 个就绪"),
    ));
    let workload = workload(view, dns);
    let replicas = workload.and_then(|w| w.int("spec.replicas"));
    if let (Some(w), Some(n)) = (workload, replicas) {
        f.and(view.fact(HopKind::Name, w, "spec.replicas", Text::same(n.to_string())));
    }
    for pod in view
        .topology
        .selected(dns.namespace(), dns.get("spec.selector"))
        .into_iter()
        .take(3)
    {
        f.and(view.fact(HopKind::Name, pod, "status", why_not_ready(pod)));
    }
    f.then(text!("no DNS pod is ready", "没有就绪的 DNS Pod"))
        .then(text!(
            "the Service's address is refused or silent",
            "对该 Service 地址的访问被拒绝或无应答"
        ))
        .then(text!("no name resolves", "任何域名都无法解析"));
    f.remedy(remedy(workload, replicas, dns));
}

fn workload<'a>(view: &View<'a>, dns: &Object) -> Option<&'a Object> {
    let selector = string_map(dns.get("spec.selector"));
    view.topology
        .in_namespace("Deployment", dns.namespace())
        .find(|w| {
            let labels = string_map(w.get("spec.template.metadata.labels"));
            selector.iter().all(|(k, v)| labels.get(k) == Some(v))
        })
}

fn why_not_ready(pod: &Object) -> Text {
    let state = pod.list("status.containerStatuses").iter().find_map(|s| {
        let waiting = at(s, "state.waiting.reason").as_str();
        let last = at(s, "lastState.terminated.reason").as_str();
        waiting.or(last).map(str::to_string)
    });
    let phase = pod.str("status.phase");
    match state {
        Some(s) => text!("{phase}, not ready, {s}", "{phase}，未就绪，{s}"),
        None => text!("{phase}, not ready", "{phase}，未就绪"),
    }
}

fn remedy(workload: Option<&Object>, replicas: Option<i64>, dns: &Object) -> Remedy {
    match (workload, replicas) {
        (Some(w), Some(0)) => Remedy {
            safe: false,
            because: text!(
                "{} is scaled to zero; two replicas are the usual number",
                "{} 的副本数为 0；通常为两个副本",
                w.reference()
            ),
            steps: vec![Step::Patch {
                object: w.reference(),
                strategic: false,
                patch: json!({"spec": {"replicas": 2}}),
            }],
        },
        _ => {
            let who = workload
                .map(Object::reference)
                .unwrap_or_else(|| ObjectRef::new("Service", dns.namespace(), dns.name()));
            Remedy {
                safe: false,
                because: text!(
                    "its pods are there but not ready",
                    "它的 Pod 存在，但未就绪"
                ),
                steps: vec![Step::Ask {
                    question: text!(
                        "why are the pods of {who} not ready? kubectl -n {} logs -l k8s-app=kube-dns --previous shows what CoreDNS said",
                        "{who} 的 Pod 为何未就绪？kubectl -n {} logs -l k8s-app=kube-dns --previous 可查看 CoreDNS 的日志",
                        dns.namespace()
                    ),
                }],
            }
        }
    }
}

const PAGE: &str = r#"
## What it looks at

The Service of the cluster DNS, its EndpointSlices, its pods and its Deployment, once a name fails.

## What proves it

A lookup from the client fails, and no endpoint of the DNS Service is ready.

## What to do

Bring the DNS pods back: scale up, or read why they are not ready.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Deployment, metadata: {name: coredns, namespace: kube-system}, spec: {replicas: 0, template: {metadata: {labels: {k8s-app: kube-dns}}}}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
```
```finding
dns-has-no-ready-endpoints kube-system/Service/kube-dns
  because the cluster DNS (Service kube-dns) has no ready endpoint: every name fails
```

The name resolves, so whatever the slices say is not what hurts:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: [10.96.0.9]}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

在有域名解析失败时，查看集群 DNS 的 Service、它的 EndpointSlice、Pod 和 Deployment。

## 凭什么证实

从客户端解析域名失败，且 DNS Service 没有任何就绪的端点。

## 怎么办

让 DNS Pod 恢复：扩容，或查明它们为何未就绪。
"#;
