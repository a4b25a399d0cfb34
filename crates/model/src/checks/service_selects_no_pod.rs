//! A Service whose selector matches no pod (F21).

use crate::check::{Check, Findings, View};
use crate::object::{Object, at, string_map};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use serde_json::{Map, Value, json};

/// The check.
pub const CHECK: Check = Check {
    id: "service-selects-no-pod",
    title: "Service selects no pod",
    title_zh: "Service 的选择器没有匹配到任何 Pod",
    catalogue: &["F21"],
    layer: "L7",
    looks_at: &[
        "Service",
        "Pod",
        "EndpointSlice",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
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
    let selector = service.get("spec.selector");
    let pods_known = !view.topology.all("Pod").is_empty();
    if string_map(selector).is_empty() || !pods_known || view.observed().hurts() == Some(false) {
        return;
    }
    let selected = view.topology.selected(service.namespace(), selector).len();
    let meant = workloads(view, service).into_iter().find(|w| {
        string_map(selector)
            .iter()
            .all(|(k, v)| template_labels(w).get(k) == Some(v))
    });
    if selected > 0 || meant.is_some() || !view.path.backends.is_empty() {
        return;
    }
    if view.path.lacks_port() {
        return;
    }
    let wanted = words(selector);
    let (name, ns) = (service.name(), service.namespace());
    let says = text!(
        "Service {name} selects no pod: no pod in {ns} has {wanted}",
        "Service {name} 没有选中任何 Pod：{ns} 中没有带 {wanted} 的 Pod"
    );
    let f = out.broken(
        service.reference(),
        HopKind::Service,
        says,
        view.fact(
            HopKind::Service,
            service,
            "spec.selector",
            text!(
                "{wanted}: matches 0 of {} pods in {ns}",
                "{wanted}：{ns} 的 {} 个 Pod 中匹配 0 个",
                view.topology.in_namespace("Pod", ns).count()
            ),
        ),
    );
    let none = text!("no endpoints", "没有端点");
    // That pods match nothing is seen on pods alone; what nobody read of endpoints is not "none".
    if !view.topology.unread("EndpointSlice", service.namespace()) {
        f.and(view.fact(HopKind::Service, service, "EndpointSlices", none.clone()));
    }
    f.then(text!("selector {wanted}", "选择器 {wanted}"))
        .then(text!("no pod matches", "没有匹配的 Pod"))
        .then(none)
        .then(text!(
            "the Service's address answers nobody",
            "该 Service 的地址对谁都没有应答"
        ));
    match nearest(view, service) {
        Some((workload, patch)) => {
            let labels = words(&Value::Object(
                template_labels(workload)
                    .iter()
                    .map(|(k, v)| (k.to_string(), json!(v)))
                    .collect(),
            ));
            f.and(view.fact(
                HopKind::Service,
                workload,
                "spec.template.metadata.labels",
                Text::same(labels),
            ));
            f.remedy(Remedy {
                safe: false,
                because: text!(
                    "{} is the workload with the nearest labels; if another is meant, its labels belong into the selector",
                    "{} 是标签最接近的工作负载；若本意是另一个，则应把那一个的标签写入选择器",
                    workload.reference()
                ),
                steps: vec![Step::Patch { object: service.reference(), strategic: false, patch }],
            });
        }
        None => {
            f.remedy(Remedy {
                safe: false,
                because: text!(
                    "no workload there has labels near the selector",
                    "那里没有标签与选择器相近的工作负载"
                ),
                steps: vec![Step::Ask {
                    question: text!(
                        "which pods is Service {name} meant for? None in {ns} comes near {wanted}",
                        "Service {name} 本应选中哪些 Pod？{ns} 中没有与 {wanted} 相近的"
                    ),
                }],
            });
        }
    }
}

fn workloads<'a>(view: &View<'a>, service: &Object) -> Vec<&'a Object> {
    ["Deployment", "StatefulSet", "DaemonSet"]
        .into_iter()
        .flat_map(|k| {
            view.topology
                .in_namespace(k, service.namespace())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn template_labels(w: &Object) -> std::collections::BTreeMap<&str, &str> {
    string_map(w.get("spec.template.metadata.labels"))
}

/// The workload most like the selector, and the selector that fits it. Two equally like ones are none.
fn nearest<'a>(view: &View<'a>, service: &Object) -> Option<(&'a Object, Value)> {
    let selector = string_map(service.get("spec.selector"));
    let ports: Vec<&Value> = service
        .list("spec.ports")
        .iter()
        .map(|p| at(p, "targetPort"))
        .collect();
    let score = |w: &Object| -> usize {
        let labels = template_labels(w);
        let same: usize = selector
            .iter()
            .map(|(k, v)| match labels.get(k) {
                Some(l) if l == v => 4,
                Some(l) if alike(l, v) => 3,
                Some(l) if alike(l, service.name()) => 3,
                Some(_) => 1,
                None => 0,
            })
            .sum();
        let same_port = w
            .list("spec.template.spec.containers")
            .iter()
            .flat_map(|c| at(c, "ports").as_array().cloned().unwrap_or_default())
            .any(|p| {
                ports
                    .iter()
                    .any(|t| *t == at(&p, "containerPort") || *t == at(&p, "name"))
            });
        same * 2
            + usize::from(same_port)
            + if alike(w.name(), service.name()) {
                4
            } else {
                0
            }
    };
    let mut scored: Vec<(usize, &Object)> = workloads(view, service)
        .into_iter()
        .map(|w| (score(w), w))
        .collect();
    scored.sort_by_key(|s| std::cmp::Reverse(s.0));
    let (best, second) = (scored.first()?, scored.get(1).map_or(0, |s| s.0));
    if best.0 < 5 || best.0 == second {
        return None;
    }
    let labels = template_labels(best.1);
    let mut change = Map::new();
    for (k, v) in &selector {
        match labels.get(k) {
            Some(l) if l == v => {}
            Some(l) => drop(change.insert(k.to_string(), json!(l))),
            None => drop(change.insert(k.to_string(), Value::Null)),
        }
    }
    let empties = selector
        .keys()
        .all(|k| change.get(*k).is_some_and(Value::is_null));
    if empties {
        let own = string_map(best.1.get("spec.selector.matchLabels"));
        change.extend(own.iter().map(|(k, v)| (k.to_string(), json!(v))));
    }
    Some((best.1, json!({"spec": {"selector": change}})))
}

/// One is the other with something added or left out at either end.
fn alike(a: &str, b: &str) -> bool {
    let short = a.len().min(b.len());
    let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let tail = a
        .bytes()
        .rev()
        .zip(b.bytes().rev())
        .take_while(|(x, y)| x == y)
        .count();
    short > 2 && (a.contains(b) || b.contains(a) || common.max(tail) * 3 >= short * 2)
}

fn words(labels: &Value) -> String {
    string_map(labels)
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect::<Vec<_>>()
        .join(",")
}

const PAGE: &str = r#"
## What it looks at

The Service's selector and the labels of the pods in its namespace.

## What proves it

The selector matches no pod, no workload's template carries such labels either (a workload scaled to
zero does: that is `workload-scaled-to-zero`), and there are no endpoints.

## What to do

Give the selector the labels that the pods really have.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart-v1}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Deployment, metadata: {name: cart, namespace: shop}, spec: {template: {metadata: {labels: {app: cart}}}}}
```
```finding
service-selects-no-pod shop/Service/cart
  because Service cart selects no pod: no pod in shop has app=cart-v1
```

Scaled to zero is not a wrong selector:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Deployment, metadata: {name: cart, namespace: shop}, spec: {replicas: 0, template: {metadata: {labels: {app: cart}}}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

Service 的选择器，以及其命名空间中 Pod 的标签。

## 凭什么证实

选择器没有匹配到任何 Pod，也没有任何工作负载的模板带有这些标签（缩容到零的工作负载带有：那属于 `workload-scaled-to-zero`），并且没有端点。

## 怎么办

把选择器改为 Pod 实际带有的标签。
"#;
