//! The workload behind a Service has no replicas (F28).

use crate::check::{Check, Findings, View};
use crate::object::string_map;
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
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
            let says = format!(
                "{} behind Service {} is scaled to zero",
                w.reference(),
                service.name()
            );
            let f = out.broken(
                w.reference(),
                HopKind::Service,
                says,
                view.fact(HopKind::Service, w, "spec.replicas", "0"),
            );
            f.then("spec.replicas is 0")
                .then("no pod")
                .then("no endpoints");
            f.remedy(Remedy {
                safe: false,
                because:
                    "somebody or something scaled it down: one replica is the least that answers"
                        .into(),
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

const PAGE_ZH: &str = "";
