//! An HTTPRoute sends to a Service of another namespace, which does not grant it (F105).

use crate::check::{Check, Findings, View};
use crate::checks::routes::{astray, name, unread, written};
use crate::object::Object;
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::route::{Fault, Sends};
use crate::text;
use serde_json::json;

/// The check.
pub const CHECK: Check = Check {
    id: "route-lacks-reference-grant",
    title: "HTTPRoute may not refer to the Service of another namespace",
    title_zh: "HTTPRoute 无权引用另一命名空间的 Service",
    catalogue: &["F105"],
    layer: "L7",
    looks_at: &["HTTPRoute", "ReferenceGrant", "Service"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (route, sends) = match astray(view) {
        Some((route, Fault::NoGrant(sends))) => (route, sends),
        Some((route, Fault::Unread("ReferenceGrant", ns))) => {
            return unread(view, route, "ReferenceGrant", ns);
        }
        _ => return,
    };
    let (whose, from, to) = (name(route), route.namespace(), &sends.service);
    let says = text!(
        "{whose} in {from} sends to Service {} in {}, and no ReferenceGrant there lets it",
        "{from} 中的 {whose} 转发到 {1} 中的 Service {0}，而那里没有 ReferenceGrant 允许",
        to.name,
        to.namespace
    );
    let f = out.broken(
        route.reference(),
        HopKind::Service,
        says,
        written(view, route, sends),
    );
    let there = view.topology.in_namespace("ReferenceGrant", &to.namespace);
    let there: Vec<&Object> = there.collect();
    let grants: Vec<&str> = there.iter().map(|g| g.name()).collect();
    if let Some(first) = there.first() {
        f.and(view.fact(
            HopKind::Service,
            first,
            "spec",
            text!(
                "{} lets others, or to others",
                "{} 允许的是其他来源或其他目标",
                grants.join(", ")
            ),
        ));
    }
    f.then(text!(
        "a reference into another namespace counts only where that namespace grants it",
        "跨命名空间的引用只有在对方命名空间授权时才有效"
    ))
    .then(text!(
        "{} grants {from} nothing of the kind",
        "{} 没有授予 {from} 这一权限",
        to.namespace
    ))
    .then(text!(
        "the controller takes the backend for none (ResolvedRefs: RefNotPermitted) and answers 500",
        "控制器视该后端为无效（ResolvedRefs：RefNotPermitted），返回 500"
    ));
    f.remedy(remedy(route, sends));
}

fn remedy(route: &Object, sends: &Sends) -> Remedy {
    let to = &sends.service;
    Remedy {
        safe: false,
        because: text!(
            "only {} may decide who sends to its Services",
            "谁可以转发到其 Service，只能由 {} 决定",
            to.namespace
        ),
        steps: vec![Step::Create {
            object: json!({
                "apiVersion": "gateway.networking.k8s.io/v1beta1",
                "kind": "ReferenceGrant",
                "metadata": {"name": format!("{}-from-{}", to.name, route.namespace()), "namespace": to.namespace},
                "spec": {
                    "from": [{"group": "gateway.networking.k8s.io", "kind": route.kind(), "namespace": route.namespace()}],
                    "to": [{"group": "", "kind": "Service", "name": to.name}],
                },
            }),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

Backends of an HTTPRoute that lie in another namespace, and the ReferenceGrants of that namespace.

## What proves it

The ReferenceGrants there were read, and none names the route's kind and namespace (`from`) and the Service, or all Services
(`to`). Where they may not be read, that is said instead.

## What to do

Let the Service's namespace grant it by a ReferenceGrant, or move the route beside the Service.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service stock/catalog, port: 80, through: HTTPRoute shop/front}
---
{kind: HTTPRoute, metadata: {name: front, namespace: shop}, spec: {hostnames: [shop.example.com], rules: [{backendRefs: [{name: catalog, namespace: stock, port: 80}]}]}}
---
{kind: Service, metadata: {name: catalog, namespace: stock}, spec: {selector: {app: catalog}, clusterIP: 10.96.0.9, ports: [{name: http, port: 80, targetPort: 8080}]}}
---
{kind: ReferenceGrant, metadata: {name: others, namespace: stock}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: billing}], to: [{group: "", kind: Service}]}}
```
```evidence
```
```finding
route-lacks-reference-grant shop/HTTPRoute/front
  because HTTPRoute front in shop sends to Service catalog in stock, and no ReferenceGrant there lets it
```

The namespace grants it, to all its Services.

```cluster
ask: {from: Pod shop/web-1, to: Service stock/catalog, port: 80, through: HTTPRoute shop/front}
---
{kind: HTTPRoute, metadata: {name: front, namespace: shop}, spec: {hostnames: [shop.example.com], rules: [{backendRefs: [{name: catalog, namespace: stock, port: 80}]}]}}
---
{kind: Service, metadata: {name: catalog, namespace: stock}, spec: {selector: {app: catalog}, clusterIP: 10.96.0.9, ports: [{name: http, port: 80, targetPort: 8080}]}}
---
{kind: ReferenceGrant, metadata: {name: shop, namespace: stock}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}], to: [{group: "", kind: Service}]}}
```
```evidence
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

HTTPRoute 位于另一命名空间的后端，以及该命名空间的 ReferenceGrant。

## 凭什么证实

那里的 ReferenceGrant 已读到，且没有一个既写有该路由的种类与命名空间（`from`），又写有该 Service 或全部 Service（`to`）。若无权读取，则如实说明。

## 怎么办

由 Service 所在的命名空间用 ReferenceGrant 授权，或把路由移到 Service 旁边。
"#;
