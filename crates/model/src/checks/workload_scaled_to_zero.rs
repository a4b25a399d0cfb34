//! The workload behind a Service has no replicas (F28).

use crate::check::{Check, Findings, View};
use crate::object::string_map;
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use serde_json::json;

/// The check.
pub const CHECK: Check = Check {
    id: "workload-scaled-to-zero",
    title: "Workload behind the Service is scaled to zero",
    title_zh: "Service 后端的工作负载副本数为 0",
    catalogue: &["F28"],
    layer: "L7",
    looks_at: &[
        "Service",
        "Pod",
        "EndpointSlice",
        "Deployment",
        "StatefulSet",
    ],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(service) = view.path.service else {
        return;
    };
    let selector = string_map(service.get("spec.selector"));
    if selector.is_empty()
        || view.path.ready_backends().count() > 0
        || view.path.lacks_port()
        || view.observed().hurts() == Some(false)
    {
        return;
    }
    for kind in ["Deployment", "StatefulSet"] {
        for w in view.topology.in_namespace(kind, service.namespace()) {
            let labels = string_map(w.get("spec.template.metadata.labels"));
            if w.int("spec.replicas") != Some(0)
                || !selector.iter().all(|(k, v)| labels.get(k) == Some(v))
            {
                continue;
            }
            let (workload, name) = (w.reference(), service.name());
            let says = text!(
                "{workload} behind Service {name} is scaled to zero",
                "Service {name} 后端的 {workload} 副本数为 0"
            );
            let f = out.broken(
                workload,
                HopKind::Service,
                says,
                view.fact(HopKind::Service, w, "spec.replicas", Text::same("0")),
            );
            f.then(text!("spec.replicas is 0", "spec.replicas 为 0"))
                .then(text!("no pod", "没有 Pod"))
                .then(text!("no endpoints", "没有端点"));
            f.remedy(Remedy {
                safe: false,
                because: text!(
                    "somebody or something scaled it down: one replica is the least that answers",
                    "有人或某个组件把它缩容了：至少要有一个副本才能应答"
                ),
                steps: vec![Step::Patch {
                    object: w.reference(),
                    strategic: false,
                    patch: json!({"spec": {"replicas": 1}}),
                }],
            });
        }
    }
}

const PAGE: &str = r#"
## What it looks at

Workloads whose template has the labels that the Service selects, and their replica counts.

## What proves it

`spec.replicas` is 0 and no endpoint is ready.

## What to do

Scale it up, after asking who scaled it down: an autoscaler, a night schedule, a person.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Deployment, metadata: {name: cart, namespace: shop}, spec: {replicas: 0, template: {metadata: {labels: {app: cart, tier: x}}}}}
```
```finding
workload-scaled-to-zero shop/Deployment/cart
  because shop/Deployment/cart behind Service cart is scaled to zero
```

Another workload at zero does not matter:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Deployment, metadata: {name: old, namespace: shop}, spec: {replicas: 0, template: {metadata: {labels: {app: old}}}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

模板带有 Service 所选标签的工作负载，以及它们的副本数。

## 凭什么证实

`spec.replicas` 为 0，且没有就绪的端点。

## 怎么办

先问清是谁缩的容（自动伸缩、夜间计划或某个人），再扩容。
"#;
