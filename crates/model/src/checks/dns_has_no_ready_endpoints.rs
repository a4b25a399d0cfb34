//! The cluster DNS has no ready endpoint (F7).

use crate::check::{Check, Findings, View};
use crate::checks::places::dns_endpoints;
use crate::object::{Object, ObjectRef, at, string_map};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use serde_json::json;

/// The check.
pub const CHECK: Check = Check {
    id: "dns-has-no-ready-endpoints",
    title: "Cluster DNS has no ready endpoints",
    title_zh: "集群 DNS 没有就绪的端点",
    catalogue: &["F7"],
    layer: "L7",
    looks_at: &["Service", "EndpointSlice", "Pod", "Deployment"],
    after: &[],
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
    let endpoints = dns_endpoints(view);
    let ready = endpoints.iter().filter(|e| e.ready).count();
    if ready > 0 {
        out.fine(
            dns.reference(),
            HopKind::Name,
            format!("the cluster DNS has {ready} ready endpoints"),
            view.fact(
                HopKind::Name,
                dns,
                "EndpointSlices",
                format!("{ready} of {} ready", endpoints.len()),
            ),
        );
        return;
    }
    let says = format!(
        "the cluster DNS (Service {}) has no ready endpoint: every name fails",
        dns.name()
    );
    let f = out.broken(
        dns.reference(),
        HopKind::Name,
        says,
        view.saw(
            HopKind::Name,
            lookup,
            format!("{} does not resolve", view.path.name),
        ),
    );
    f.and(view.fact(
        HopKind::Name,
        dns,
        "EndpointSlices",
        format!("0 of {} endpoints ready", endpoints.len()),
    ));
    let workload = workload(view, dns);
    let replicas = workload.and_then(|w| w.int("spec.replicas"));
    if let (Some(w), Some(n)) = (workload, replicas) {
        f.and(view.fact(HopKind::Name, w, "spec.replicas", n.to_string()));
    }
    for pod in view
        .topology
        .selected(dns.namespace(), dns.get("spec.selector"))
        .into_iter()
        .take(3)
    {
        f.and(view.fact(HopKind::Name, pod, "status", why_not_ready(pod)));
    }
    f.then("no DNS pod is ready")
        .then("the Service's address is refused or silent")
        .then("no name resolves");
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

fn why_not_ready(pod: &Object) -> String {
    let state = pod.list("status.containerStatuses").iter().find_map(|s| {
        let waiting = at(s, "state.waiting.reason").as_str();
        let last = at(s, "lastState.terminated.reason").as_str();
        waiting.or(last).map(str::to_string)
    });
    format!(
        "{}, not ready{}",
        pod.str("status.phase"),
        state.map(|s| format!(", {s}")).unwrap_or_default()
    )
}

fn remedy(workload: Option<&Object>, replicas: Option<i64>, dns: &Object) -> Remedy {
    match (workload, replicas) {
        (Some(w), Some(0)) => Remedy {
            safe: false,
            because: format!(
                "{} is scaled to zero; two replicas are the usual number",
                w.reference()
            )
            .into(),
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
                because: "its pods are there but not ready".into(),
                steps: vec![Step::Ask {
                    question: format!(
                        "why are the pods of {who} not ready? kubectl -n {} logs -l k8s-app=kube-dns --previous shows what CoreDNS said",
                        dns.namespace()
                    ).into(),
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

const PAGE_ZH: &str = "";
