//! No controller takes an Ingress or HTTPRoute: its class or Gateway is not there, or does not take it (F105).

use crate::check::{Check, Findings, View};
use crate::checks::routes::{astray, name, unread};
use crate::object::Object;
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::route::{Fault, Untaken};
use crate::symptom::nearest;
use crate::text;
use crate::text::Text;
use serde_json::json;

/// The check.
pub const CHECK: Check = Check {
    id: "route-taken-by-nobody",
    title: "No controller takes the Ingress or HTTPRoute",
    title_zh: "没有控制器处理该 Ingress 或 HTTPRoute",
    catalogue: &["F105"],
    layer: "L7",
    looks_at: &[
        "Ingress",
        "IngressClass",
        "HTTPRoute",
        "Gateway",
        "Service",
        "Namespace",
    ],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (route, why) = match astray(view) {
        Some((route, Fault::Untaken(why))) => (route, why),
        Some((route, Fault::Unread(kind, ns))) if ["IngressClass", "Gateway"].contains(kind) => {
            return unread(view, route, kind, ns);
        }
        _ => return,
    };
    let whose = name(route);
    let (says, field, value) = match why {
        Untaken::NoClass(class) => (
            text!(
                "{whose} asks for IngressClass {class}, which does not exist",
                "{whose} 要求 IngressClass {class}，而它不存在"
            ),
            "spec.ingressClassName",
            Text::same(class),
        ),
        Untaken::NoGateway(g) => (
            text!(
                "{whose} belongs to Gateway {} in {}, which does not exist",
                "{whose} 属于 {1} 中的 Gateway {0}，而它不存在",
                g.name,
                g.namespace
            ),
            "spec.parentRefs",
            Text::same(g.to_string()),
        ),
        Untaken::NoListener(g, listener) => (
            text!(
                "{whose} belongs to listener {listener} of Gateway {}, which has none such",
                "{whose} 属于 Gateway {} 的监听器 {listener}，而该 Gateway 没有它",
                g.name
            ),
            "spec.parentRefs",
            Text::same(format!("{g} {listener}")),
        ),
        Untaken::NotAllowed(g, from) => (
            text!(
                "Gateway {} takes no routes of namespace {} (allowedRoutes: {from})",
                "Gateway {} 不接受命名空间 {} 的路由（allowedRoutes：{from}）",
                g.name,
                route.namespace()
            ),
            "spec.parentRefs",
            Text::same(g.to_string()),
        ),
    };
    let f = out.broken(
        route.reference(),
        HopKind::Service,
        says,
        view.fact(HopKind::Service, route, field, value),
    );
    f.then(text!(
        "a controller serves the routes of its own class or Gateway",
        "控制器只处理属于自己类别或 Gateway 的路由"
    ))
    .then(text!("{whose} is nobody's", "{whose} 不归任何控制器"))
    .then(text!(
        "no request for its hosts comes to a Service",
        "对其主机的请求到不了任何 Service"
    ));
    f.remedy(remedy(view, route, why));
}

fn remedy(view: &View<'_>, route: &Object, why: &Untaken) -> Remedy {
    let whose = name(route);
    let names =
        |kind: &str| -> Vec<&str> { view.topology.all(kind).iter().map(|o| o.name()).collect() };
    if let Untaken::NoClass(class) = why {
        let there = names("IngressClass");
        let near = nearest(class, &there);
        let right = match (near.as_slice(), there.as_slice()) {
            ([one], _) => Some(one.clone()),
            ([], [one]) => Some((*one).to_string()),
            _ => None,
        };
        if let Some(right) = right {
            return Remedy {
                safe: false,
                because: text!(
                    "{right} is the IngressClass that is there",
                    "现有的 IngressClass 是 {right}"
                ),
                steps: vec![Step::Patch {
                    object: route.reference(),
                    strategic: false,
                    patch: json!({"spec": {"ingressClassName": right}}),
                }],
            };
        }
    }
    let (kind, there) = match why {
        Untaken::NoClass(_) => ("IngressClass", names("IngressClass")),
        _ => ("Gateway", names("Gateway")),
    };
    let has = Text::names(&there);
    Remedy {
        safe: false,
        because: text!(
            "which controller shall serve it is the owner's choice",
            "由哪个控制器处理，应由其所有者决定"
        ),
        steps: vec![Step::Ask {
            question: text!(
                "which {kind} shall {whose} belong to? Known are: {has}",
                "{whose} 应属于哪个 {kind}？已知的有：{has:#}"
            ),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

`ingressClassName` of an Ingress against the IngressClasses; `parentRefs` of an HTTPRoute against the Gateways, their listeners
and whose routes they take (`allowedRoutes`).

## What proves it

The class or Gateway is not there although its kind could be read, or no listener takes the route. Who has taken it all the
same proves the contrary: an address in the Ingress's status, the condition `Accepted` of the HTTPRoute. An Ingress that names no class is not
judged: some controllers take those, others do not.

## What to do

Name a class or Gateway that is there, or let the Gateway take routes of that namespace.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/catalog, port: 80, through: Ingress shop/front}
---
{kind: Ingress, metadata: {name: front, namespace: shop}, spec: {ingressClassName: ngnix, rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: catalog, port: {number: 80}}}}]}}]}}
---
{kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}
---
{kind: Service, metadata: {name: catalog, namespace: shop}, spec: {selector: {app: catalog}, clusterIP: 10.96.0.9, ports: [{name: http, port: 80, targetPort: 8080}]}}
```
```evidence
```
```finding
route-taken-by-nobody shop/Ingress/front
  because Ingress front asks for IngressClass ngnix, which does not exist
```

A controller that goes by names alone has taken it: it has an address.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/catalog, port: 80, through: Ingress shop/front}
---
{kind: Ingress, metadata: {name: front, namespace: shop}, spec: {ingressClassName: internal, rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: catalog, port: {number: 80}}}}]}}]}, status: {loadBalancer: {ingress: [{ip: 192.0.2.7}]}}}
---
{kind: Service, metadata: {name: catalog, namespace: shop}, spec: {selector: {app: catalog}, clusterIP: 10.96.0.9, ports: [{name: http, port: 80, targetPort: 8080}]}}
```
```evidence
```
```finding
```

A Gateway of another namespace that takes routes of its own only.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/catalog, port: 80, through: HTTPRoute shop/front}
---
{kind: HTTPRoute, metadata: {name: front, namespace: shop}, spec: {parentRefs: [{name: edge, namespace: infra}], hostnames: [shop.example.com], rules: [{backendRefs: [{name: catalog, port: 80}]}]}}
---
{kind: Gateway, metadata: {name: edge, namespace: infra}, spec: {gatewayClassName: some, listeners: [{name: web, port: 80, protocol: HTTP}]}}
---
{kind: Service, metadata: {name: catalog, namespace: shop}, spec: {selector: {app: catalog}, clusterIP: 10.96.0.9, ports: [{name: http, port: 80, targetPort: 8080}]}}
```
```evidence
```
```finding
route-taken-by-nobody shop/HTTPRoute/front
  because Gateway edge takes no routes of namespace shop (allowedRoutes: Same)
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

Ingress 的 `ingressClassName` 与 IngressClass 对照；HTTPRoute 的 `parentRefs` 与 Gateway、其监听器以及它接受谁的路由（`allowedRoutes`）对照。

## 凭什么证实

该类别或 Gateway 不存在而其种类可以读取，或没有监听器接受该路由。已被处理的迹象则证明相反：Ingress 状态中的地址、HTTPRoute 的 `Accepted` 条件。没有写类别的 Ingress 不作判断：有的控制器会处理，有的不会。

## 怎么办

写上现有的类别或 Gateway，或让 Gateway 接受该命名空间的路由。
"#;
