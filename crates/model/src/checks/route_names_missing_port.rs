//! An Ingress or HTTPRoute names a port that its Service does not have (F105).

use crate::check::{Check, Findings, View};
use crate::checks::routes::{astray, mended, name, written};
use crate::object::{Object, at};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::route::{Fault, Sends};
use crate::text;
use crate::text::Text;
use serde_json::{Value, json};

/// The check.
pub const CHECK: Check = Check {
    id: "route-names-missing-port",
    title: "Ingress or HTTPRoute names a port that its Service does not have",
    title_zh: "Ingress 或 HTTPRoute 写的端口不是其 Service 的端口",
    catalogue: &["F105"],
    layer: "L7",
    looks_at: &["Ingress", "HTTPRoute", "Service"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let Some((route, Fault::NoPort(sends, service))) = astray(view) else {
        return;
    };
    let (whose, asked, to) = (name(route), sends.asked(), service.name());
    let (port, has) = (sends.port_word(), Text::names(&ports(service)));
    let says = text!(
        "{whose} sends {asked} to port {port} of Service {to}, which has {has}",
        "{whose} 把 {asked} 转发到 Service {to} 的端口 {port}，而它的端口是 {has:#}"
    );
    let f = out.broken(
        route.reference(),
        HopKind::Service,
        says,
        written(view, route, sends),
    );
    f.and(view.fact(HopKind::Service, service, "spec.ports", has.clone()));
    f.then(text!("a client asks for {asked}", "客户端请求 {asked}"))
        .then(text!(
            "{whose} names port {port}, and Service {to} has none such",
            "{whose} 写的是端口 {port}，而 Service {to} 没有它"
        ))
        .then(text!(
            "its controller finds no endpoint of that port and answers 503 or 404 itself",
            "其控制器找不到该端口的端点，自行返回 503 或 404"
        ));
    f.remedy(remedy(route, sends, service, &has));
}

/// `80 (http)`.
fn ports(service: &Object) -> Vec<String> {
    let one = |p: &Value| {
        let number = at(p, "port").as_i64()?;
        Some(match at(p, "name").as_str() {
            Some(name) if !name.is_empty() => format!("{number} ({name})"),
            _ => number.to_string(),
        })
    };
    service.list("spec.ports").iter().filter_map(one).collect()
}

fn remedy(route: &Object, sends: &Sends, service: &Object, has: &Text) -> Remedy {
    let to = service.name();
    if let [only] = service.list("spec.ports")
        && let Some(number) = at(only, "port").as_i64()
        && let Some(step) = mended(route, &sends.field, &|backend| {
            if let Some(port) = backend.get_mut("port") {
                *port = if port.is_object() {
                    json!({ "number": number })
                } else {
                    json!(number)
                };
            }
        })
    {
        return Remedy {
            safe: false,
            because: text!(
                "{number} is the only port of Service {to}",
                "Service {to} 只有端口 {number}"
            ),
            steps: vec![step],
        };
    }
    Remedy {
        safe: false,
        because: text!("more than one port could be meant", "可能指的端口不止一个"),
        steps: vec![Step::Ask {
            question: text!(
                "which port of Service {to} is meant: {has}?",
                "指的是 Service {to} 的哪个端口：{has:#}？"
            ),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

The port of a backend of an Ingress or HTTPRoute, by number or by name, against `spec.ports` of the Service. The number is the
Service's port, not the pods' (`targetPort`).

## What proves it

The Service was read and has no such entry. A Service of type ExternalName keeps no ports and is passed over.

## What to do

Name a port that the Service has.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/catalog, port: 8080, through: Ingress shop/front}
---
{kind: Ingress, metadata: {name: front, namespace: shop}, spec: {rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: catalog, port: {number: 8080}}}}]}}]}}
---
{kind: Service, metadata: {name: catalog, namespace: shop}, spec: {selector: {app: catalog}, clusterIP: 10.96.0.9, ports: [{name: http, port: 80, targetPort: 8080}]}}
```
```evidence
```
```finding
route-names-missing-port shop/Ingress/front
  because Ingress front sends shop.example.com/ to port 8080 of Service catalog, which has 80 (http)
```

By name, and the Service has a port of that name, though another number.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/catalog, port: 9000, through: Ingress shop/front}
---
{kind: Ingress, metadata: {name: front, namespace: shop}, spec: {rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: catalog, port: {name: http}}}}]}}]}}
---
{kind: Service, metadata: {name: catalog, namespace: shop}, spec: {selector: {app: catalog}, clusterIP: 10.96.0.9, ports: [{name: http, port: 9000, targetPort: 8080}]}}
```
```evidence
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

Ingress 或 HTTPRoute 后端写的端口（编号或名称），与 Service 的 `spec.ports` 对照。编号是 Service 的端口，不是 Pod 的（`targetPort`）。

## 凭什么证实

已读到该 Service，而其中没有这一项。ExternalName 类型的 Service 不维护端口，因而略过。

## 怎么办

写上 Service 已有的端口。
"#;
