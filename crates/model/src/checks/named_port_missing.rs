//! A Service's targetPort is a name that none of its pods gives a port (F24).

use crate::check::{Check, Findings, View};
use crate::checks::behind::pods;
use crate::object::{Object, at};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::symptom::nearest;
use crate::text;
use crate::text::Text;
use serde_json::{Value, json};

/// The check.
pub const CHECK: Check = Check {
    id: "named-port-missing",
    title: "Service's targetPort is a name that its pods do not have",
    title_zh: "Service 的 targetPort 是 Pod 中不存在的端口名",
    catalogue: &["F24"],
    layer: "L4",
    looks_at: &[
        "Service",
        "EndpointSlice",
        "Pod",
        "Deployment",
        "ReplicaSet",
    ],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (Some(service), Some(entry)) = (view.path.service, view.path.service_port) else {
        return;
    };
    let Some(wanted) = at(entry, "targetPort").as_str() else {
        return;
    };
    let pods = pods(view, service);
    if pods.is_empty() || !view.path.backends.is_empty() || view.observed().hurts() == Some(false) {
        return;
    }
    let declared: Vec<(String, i64)> = pods.iter().flat_map(|p| named_ports(p)).collect();
    if declared.iter().any(|(n, _)| n == wanted) {
        return;
    }
    let (name, port, n) = (service.name(), view.path.conversation.port, pods.len());
    let says = text!(
        "Service {name} sends port {port} to the port named {wanted}, which none of its pods has (pods: {n})",
        "Service {name} 把端口 {port} 转发到名为 {wanted} 的端口，而它的 Pod 都没有这个端口名（共 {n} 个）"
    );
    let f = out.broken(
        service.reference(),
        HopKind::Service,
        says,
        view.fact(
            HopKind::Service,
            service,
            "spec.ports.targetPort",
            Text::same(wanted),
        ),
    );
    let mut names: Vec<String> = declared
        .iter()
        .filter(|(n, _)| !n.is_empty())
        .map(|(n, p)| format!("{n}={p}"))
        .collect();
    names.sort();
    names.dedup();
    let has = if names.is_empty() {
        text!("names no port", "没有给任何端口命名")
    } else {
        let names = Text::names(&names);
        text!("has {names}", "有 {names:#}")
    };
    if let Some(pod) = pods.first() {
        f.and(view.fact(HopKind::Listener, pod, "spec.containers.ports", has));
    }
    let none = text!("no endpoint for port {port}", "端口 {port} 没有端点");
    if !view.topology.unread("EndpointSlice", service.namespace()) {
        f.and(view.fact(HopKind::Service, service, "EndpointSlices", none.clone()));
    }
    f.then(text!("targetPort {wanted}", "targetPort 为 {wanted}"))
        .then(text!(
            "no container port has that name",
            "没有容器端口叫这个名字"
        ))
        .then(none)
        .then(text!(
            "the Service's port answers nobody",
            "该 Service 的端口对谁都没有应答"
        ));
    f.remedy(remedy(view, service, wanted, &declared));
}

/// Name and number of the ports that a pod's containers declare; a name may be empty.
fn named_ports(pod: &Object) -> Vec<(String, i64)> {
    ["spec.containers", "spec.initContainers"]
        .into_iter()
        .flat_map(|k| pod.list(k))
        .flat_map(|c| at(c, "ports").as_array().map(Vec::as_slice).unwrap_or(&[]))
        .filter_map(|p| {
            let name = at(p, "name").as_str().unwrap_or("").to_string();
            Some((name, at(p, "containerPort").as_i64()?))
        })
        .collect()
}

fn remedy(view: &View<'_>, service: &Object, wanted: &str, declared: &[(String, i64)]) -> Remedy {
    let mut all = declared.to_vec();
    all.sort();
    all.dedup();
    let names: Vec<&str> = all
        .iter()
        .map(|(n, _)| n.as_str())
        .filter(|n| !n.is_empty())
        .collect();
    let near = nearest(wanted, &names);
    let right = match (near.as_slice(), all.as_slice()) {
        ([only], _) => Some(json!(only)),
        (_, [(name, number)]) if name.is_empty() => Some(json!(number)),
        (_, [(name, _)]) => Some(json!(name)),
        _ => None,
    };
    let Some(right) = right else {
        let (name, has) = (service.name(), Text::names(&names));
        return Remedy {
            safe: false,
            because: text!(
                "several ports may be meant, or none of them",
                "可能是其中某个端口，也可能都不是"
            ),
            steps: vec![Step::Ask {
                question: text!(
                    "which port of its pods does Service {name} mean by {wanted}? They name: {has}",
                    "Service {name} 的 {wanted} 指 Pod 的哪个端口？它们的端口名：{has:#}"
                ),
            }],
        };
    };
    // A merge patch replaces the list, so every port is given whole.
    let ports: Vec<Value> = service
        .list("spec.ports")
        .iter()
        .map(|p| {
            let mut p = p.clone();
            if at(&p, "port").as_i64() == Some(i64::from(view.path.conversation.port))
                && let Some(map) = p.as_object_mut()
            {
                map.insert("targetPort".into(), right.clone());
            }
            p
        })
        .collect();
    Remedy {
        safe: false,
        because: text!(
            "{right} is the port of its pods that comes nearest; if the pods lost the name by mistake, give it back to them instead",
            "{right} 是其 Pod 中最接近的端口；若是 Pod 误丢了端口名，则应改为补回端口名"
        ),
        steps: vec![Step::Patch {
            object: service.reference(),
            strategic: false,
            patch: json!({"spec": {"ports": ports}}),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

A `targetPort` that is a name, and the names that the selected pods give their ports.

## What proves it

Pods are selected, none of their containers has a port of that name, and the Service has no endpoint for the
port. The same name on some of the pods only is no such case: those are endpoints.

## What to do

Use the name that the pods have, or give it back to them.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: web}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}, status: {phase: Running, podIP: 10.244.1.3}}
```
```finding
named-port-missing shop/Service/cart
  because Service cart sends port 80 to the port named web, which none of its pods has (pods: 1)
```

The pods have the name; they are only not ready:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: http}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}, status: {phase: Pending}}
```
```finding
```

Another port of the Service has the wrong name:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 81, targetPort: metrics}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}, status: {phase: Running, podIP: 10.244.1.3}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

写成名称的 `targetPort`，以及被选中的 Pod 给端口起的名字。

## 凭什么证实

Service 选中了 Pod，但它们的容器都没有叫这个名字的端口，Service 的这个端口也没有端点。若只有部分 Pod 有这个名字，则不属于此类：
那些 Pod 就是端点。

## 怎么办

使用 Pod 已有的端口名，或者给 Pod 补回这个端口名。
"#;
