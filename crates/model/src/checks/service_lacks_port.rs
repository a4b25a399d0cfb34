//! The Service does not have the port that is asked for.

use crate::check::{Check, Findings, View};
use crate::checks::listeners::setting;
use crate::object::{Object, at};
use crate::observe::{attempts, tally};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;

/// The check.
pub const CHECK: Check = Check {
    id: "service-lacks-port",
    title: "Service does not have the port that is asked for",
    title_zh: "Service 没有所请求的端口",
    catalogue: &[],
    layer: "L4",
    looks_at: &[
        "Service",
        "EndpointSlice",
        "Pod",
        "Deployment",
        "ReplicaSet",
    ],
    after: &["route-names-missing-port"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (Some(service), true) = (view.path.service, view.path.lacks_port()) else {
        return;
    };
    let o = view.observed();
    if o.hurts() == Some(false) {
        return;
    }
    let (name, asked) = (service.name(), asked(view));
    let has = Text::names(&ports(service));
    let says = text!(
        "Service {name} has no port {asked}; it has {has}",
        "Service {name} 没有端口 {asked}；它的端口是 {has:#}"
    );
    let seen = view.fact(HopKind::Service, service, "spec.ports", has.clone());
    let f = out.broken(service.reference(), HopKind::Service, says, seen);
    for (to, a) in o.connect.iter().take(1) {
        let how = tally(attempts(a).iter().map(|t| t.outcome));
        f.and(view.saw(
            HopKind::Service,
            a,
            text!("TCP connect to {to}: {how}", "TCP 连接 {to}：{how:#}"),
        ));
    }
    f.then(text!("{asked} is asked for", "请求的是 {asked}"))
        .then(text!(
            "no port of Service {name} is that one",
            "Service {name} 的端口中没有它"
        ))
        .then(text!(
            "no node forwards packets for it to a pod",
            "没有节点会把发往它的报文转发给 Pod"
        ));
    f.remedy(remedy(view, service, &has));
}

/// `9999`, or `9200/UDP` where it is not TCP.
fn asked(view: &View<'_>) -> String {
    let c = &view.path.conversation;
    written(i64::from(c.port), &c.protocol)
}

fn written(port: i64, protocol: &str) -> String {
    match protocol {
        "" | "TCP" => port.to_string(),
        other => format!("{port}/{other}"),
    }
}

/// `9200 (rest)`, `53/UDP (dns)`.
fn ports(service: &Object) -> Vec<String> {
    let one = |p: &serde_json::Value| {
        let number = at(p, "port").as_i64()?;
        let number = written(number, at(p, "protocol").as_str().unwrap_or(""));
        Some(match at(p, "name").as_str() {
            Some(name) if !name.is_empty() => format!("{number} ({name})"),
            _ => number,
        })
    };
    service.list("spec.ports").iter().filter_map(one).collect()
}

fn remedy(view: &View<'_>, service: &Object, has: &Text) -> Remedy {
    let (name, asked) = (service.name(), asked(view));
    let wrong = format!("{name}:{}", view.path.conversation.port);
    let numbers: Vec<i64> = service
        .list("spec.ports")
        .iter()
        .filter_map(|p| at(p, "port").as_i64())
        .collect();
    // Where the client's own setting names the port and only one other can be meant, that is the mistake.
    if let ([only], Some(client)) = (numbers.as_slice(), view.path.client)
        && let Some(s) = setting(client, |value| mended(value, &wrong, *only))
    {
        return Remedy {
            safe: false,
            because: text!(
                "the client is told to use {asked}, and {only} is the only port of Service {name}",
                "客户端的配置使用 {asked}，而 Service {name} 只有端口 {only}"
            ),
            steps: vec![s.patch(&view.topology.owner_of(client))],
        };
    }
    Remedy {
        safe: false,
        because: text!(
            "either the client asks for a wrong port, or the Service should have one more",
            "要么客户端请求了错误的端口，要么 Service 还应有这个端口"
        ),
        steps: vec![Step::Ask {
            question: text!(
                "which port of Service {name} is meant: {has}? If pods really serve {asked}, add it to spec.ports",
                "指的是 Service {name} 的哪个端口：{has:#}？若 Pod 确实在 {asked} 上提供服务，则把它加入 spec.ports"
            ),
        }],
    }
}

/// The setting with the right port, if it names the wrong one (and not the beginning of a longer one).
fn mended(value: &str, wrong: &str, right: i64) -> Option<String> {
    let at = value.find(wrong)?;
    let rest = value.get(at + wrong.len()..)?;
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let name = wrong.split(':').next().unwrap_or(wrong);
    Some(value.replacen(wrong, &format!("{name}:{right}"), 1))
}

const PAGE: &str = r#"
## What it looks at

The port of the conversation against `spec.ports` of a Service that has an address of its own.

## What proves it

No entry has the port and protocol that is asked for, and the Service's address does not answer there. Nodes then
have no rule for it, rightly: that is no fault of theirs.

## What to do

Ask for a port that the Service has, or add the port to the Service if its pods serve it.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 81}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a, containers: [{name: web, env: [{name: CART, value: "http://cart:81/"}]}]}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{name: http, port: 80, targetPort: 8080}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{name: http, port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:81", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: rules, answer: {rules: [{family: ip, name: nat, chains: [{name: PREROUTING, hook: {kind: nat, point: prerouting, priority: -100, policy_drop: false}}], sets: []}]}}
```
```finding
service-lacks-port shop/Service/cart
  because Service cart has no port 81; it has 80 (http)
```

A headless Service has no address: its pods are asked for any port they have.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 81}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: None, ports: [{name: http, port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {addresses: [10.244.1.3], queries: []}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

会话的端口，与拥有自己地址的 Service 的 `spec.ports` 对照。

## 凭什么证实

没有任何一项与所请求的端口和协议相符，并且该 Service 的地址在那里没有应答。节点上因此没有它的规则，这是正确的，并非节点之过。

## 怎么办

请求 Service 已有的端口；若其 Pod 确实在该端口上提供服务，则把它加入 Service。
"#;
