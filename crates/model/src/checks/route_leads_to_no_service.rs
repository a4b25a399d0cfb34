//! An Ingress or HTTPRoute sends to a Service that does not exist (F105).

use crate::check::{Check, Findings, View};
use crate::checks::routes::{astray, mended, name, services, unread, written};
use crate::object::Object;
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::route::{Fault, Sends};
use crate::symptom::nearest;
use crate::text;
use crate::text::Text;
use serde_json::Value;

/// The check.
pub const CHECK: Check = Check {
    id: "route-leads-to-no-service",
    title: "Ingress or HTTPRoute sends to a Service that does not exist",
    title_zh: "Ingress 或 HTTPRoute 转发到不存在的 Service",
    catalogue: &["F105"],
    layer: "L7",
    looks_at: &["Ingress", "HTTPRoute", "Service"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (route, sends) = match astray(view) {
        Some((route, Fault::NoService(sends))) => (route, sends),
        Some((route, Fault::Unread("Service", ns))) => return unread(view, route, "Service", ns),
        _ => return,
    };
    let (whose, asked, to) = (name(route), sends.asked(), &sends.service);
    let says = text!(
        "{whose} sends {asked} to Service {}, which does not exist in {}",
        "{whose} 把 {asked} 转发到 Service {}，而 {} 中没有它",
        to.name,
        to.namespace
    );
    let f = out.broken(
        route.reference(),
        HopKind::Service,
        says,
        written(view, route, sends),
    );
    let o = view.observed();
    if let (Some(lookup), Some(true)) = (o.lookup, o.name_fails()) {
        let host = &view.path.name;
        f.and(view.saw(
            HopKind::Name,
            lookup,
            text!("{host} does not resolve", "{host} 无法解析"),
        ));
    }
    f.then(text!("a client asks for {asked}", "客户端请求 {asked}"))
        .then(text!(
            "the Service that {whose} names is not there",
            "{whose} 所写的 Service 不存在"
        ))
        .then(text!(
            "its controller has nobody to send it to and answers 503 or 404 itself",
            "其控制器无处转发，自行返回 503 或 404"
        ));
    f.remedy(remedy(view, route, sends));
}

fn remedy(view: &View<'_>, route: &Object, sends: &Sends) -> Remedy {
    let there = services(view, &sends.service);
    let (missing, ns) = (&sends.service.name, &sends.service.namespace);
    let rename = |right: &str| {
        mended(route, &sends.field, &|backend| {
            if let Some(n) = backend.get_mut("name") {
                *n = Value::from(right);
            }
        })
    };
    if let [right] = nearest(missing, &there).as_slice()
        && let Some(step) = rename(right)
    {
        return Remedy {
            safe: false,
            because: text!(
                "{right} is the Service there with the nearest name",
                "{right} 是那里名称最接近的 Service"
            ),
            steps: vec![step],
        };
    }
    let has = Text::names(&there);
    Remedy {
        safe: false,
        because: text!("nothing there has a name like it", "那里没有名称相近的对象"),
        steps: vec![Step::Ask {
            question: text!(
                "was Service {missing} deleted or renamed? Services in {ns}: {has}",
                "Service {missing} 是否被删除或改名？{ns} 中的 Service：{has:#}"
            ),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

The backends of an Ingress (`networking.k8s.io/v1`) or HTTPRoute (`gateway.networking.k8s.io`) that was named, whose host was
named, or that stands in the namespace in question; and the Services there.

## What proves it

No Service has the name, and the Services of that namespace could be read. That the cluster's DNS denies the name is said
where it was asked. A backend of weight 0 is sent nothing and is passed over.

## What to do

Name the Service that is meant, or make the one that is missing.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/catalogue, port: 80, through: Ingress shop/front}
---
{kind: Ingress, metadata: {name: front, namespace: shop}, spec: {rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: catalogue, port: {number: 80}}}}]}}]}}
---
{kind: Service, metadata: {name: catalog, namespace: shop}, spec: {selector: {app: catalog}, clusterIP: 10.96.0.9, ports: [{name: http, port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: catalogue.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {addresses: [], queries: [{name: catalogue.shop.svc.cluster.local., record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 900}]}}}
```
```finding
route-leads-to-no-service shop/Ingress/front
  because Ingress front sends shop.example.com/ to Service catalogue, which does not exist in shop
```

An HTTPRoute of which the missing Service gets nothing (weight 0) sends to the other.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/catalog, port: 80, through: HTTPRoute shop/front}
---
{kind: HTTPRoute, metadata: {name: front, namespace: shop}, spec: {hostnames: [shop.example.com], rules: [{backendRefs: [{name: catalogue, port: 80, weight: 0}, {name: catalog, port: 80}]}]}}
---
{kind: Service, metadata: {name: catalog, namespace: shop}, spec: {selector: {app: catalog}, clusterIP: 10.96.0.9, ports: [{name: http, port: 80, targetPort: 8080}]}}
```
```evidence
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

被点名的、其主机名被点名的、或位于所问命名空间中的 Ingress（`networking.k8s.io/v1`）或 HTTPRoute（`gateway.networking.k8s.io`）的后端；以及那里的 Service。

## 凭什么证实

没有 Service 叫这个名字，并且该命名空间的 Service 已读到。若问过集群 DNS 且被否认，也会说明。权重为 0 的后端不会收到请求，因而略过。

## 怎么办

写上真正所指的 Service，或创建缺失的 Service。
"#;
