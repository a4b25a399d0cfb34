//! The presented certificate is for other names (F98).

use crate::check::{Check, Findings, View};
use crate::checks::certificate_expired::subject;
use crate::checks::hosts::ask;
use crate::path::HopKind;
use crate::text;
use crate::text::Text;

/// The check.
pub const CHECK: Check = Check {
    id: "certificate-name-wrong",
    title: "TLS certificate is for other names",
    title_zh: "TLS 证书不包含所访问的主机名",
    catalogue: &["F98"],
    layer: "L6",
    looks_at: &["Service", "EndpointSlice", "Pod", "Secret", "Certificate"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let Some((answered, tls)) = o.chain() else {
        return;
    };
    let Some(leaf) = tls.chain.first() else {
        return;
    };
    // With an address, only the handshake itself knows what was asked for.
    let refused = o.outside && tls.problem.starts_with("not valid for");
    if !o.wrong_name && !refused {
        return;
    }
    let name = match view.path.name.as_str() {
        "" => answered_host(answered),
        name => name.to_string(),
    };
    let names = if leaf.names.is_empty() {
        text!("no name at all", "无")
    } else {
        Text::names(&leaf.names)
    };
    let subject = subject(view);
    let says = text!(
        "the certificate of {subject} is not for {name}: it is for {names}",
        "{subject} 的证书不适用于 {name}，证书中的域名：{names:#}"
    );
    let seen = view.saw(
        HopKind::Tls,
        answered,
        text!(
            "{}: names {names}; asked for {name}",
            "{}：证书中的域名：{names:#}；访问的是 {name}",
            leaf.subject
        ),
    );
    let f = out.broken(subject.clone(), HopKind::Tls, says, seen);
    f.then(text!(
        "the server presents a certificate for {names}",
        "服务器所出示证书中的域名：{names:#}"
    ))
    .then(text!(
        "clients that verify refuse the handshake",
        "校验证书的客户端会拒绝握手"
    ));
    f.remedy(ask(
        text!(
            "either the name is asked of the wrong server, or the certificate lacks it",
            "要么该域名指向了错误的服务器，要么证书中缺少该域名"
        ),
        vec![text!(
            "should {subject} have a certificate with the name {name}, or should clients use one of {names}?",
            "是 {subject} 的证书应包含 {name}，还是客户端应使用证书中的域名（{names:#}）？"
        )],
    ));
}

fn answered_host(answered: &crate::probe::Answered) -> String {
    match &answered.probe.question {
        crate::probe::Question::TlsHandshake { to, .. } => to.ip().to_string(),
        _ => String::new(),
    }
}

const PAGE: &str = r#"
## What it looks at

The names (subjectAltName) of the certificate that the server presents.

## What proves it

None of them is the host's name, as it is or by a wildcard for one label. A Service may be called by any of its names, `cart` to `cart.shop.svc.cluster.local`.

## What to do

Issue a certificate with that name, or use a name that it has.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 443, tls: true}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 443, targetPort: 8443}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:443", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tls_handshake: {to: "10.96.0.9:443", server_name: cart.shop.svc.cluster.local, authorities: "", timeout_ms: 900}}, answer: {tls_handshake: {outcome: answered, version: TLSv1.3, problem: unknown issuer, took_us: 900, chain: [{subject: CN=basket, issuer: CN=ca, serial: "1", not_before_ms: 1767000000000, not_after_ms: 1797800000000, names: [basket.shop.svc]}]}}}
```
```finding
certificate-name-wrong shop/Service/cart
  because the certificate of shop/Service/cart is not for cart.shop.svc.cluster.local: it is for basket.shop.svc
```

A wildcard and a short name count:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 443, tls: true}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 443, targetPort: 8443}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:443", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tls_handshake: {to: "10.96.0.9:443", server_name: cart.shop.svc.cluster.local, authorities: "", timeout_ms: 900}}, answer: {tls_handshake: {outcome: answered, version: TLSv1.3, problem: unknown issuer, took_us: 900, chain: [{subject: CN=shop, issuer: CN=ca, serial: "1", not_before_ms: 1767000000000, not_after_ms: 1797800000000, names: ["*.shop.svc"]}]}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

服务器所出示证书中的域名（subjectAltName）。

## 凭什么证实

其中没有一个是该主机名，无论是原样相同，还是由匹配一级标签的通配符覆盖。Service 可用它的任一名称访问，从 `cart` 到 `cart.shop.svc.cluster.local`。

## 怎么办

签发包含该域名的证书，或改用证书中已有的域名。
"#;
