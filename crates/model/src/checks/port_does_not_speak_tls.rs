//! TLS is spoken to a port that does not speak it.

use crate::check::{Check, Findings, View};
use crate::checks::hosts::ask;
use crate::object::ObjectRef;
use crate::observe::{FAR_MS, HTTP_MS, answered, requests};
use crate::path::{Destination, HopKind};
use crate::probe::{Outcome, Question};
use crate::text;
use crate::text::Text;

/// The check.
pub const CHECK: Check = Check {
    id: "port-does-not-speak-tls",
    title: "Port does not speak TLS",
    title_zh: "端口不使用 TLS",
    catalogue: &[],
    layer: "L6",
    looks_at: &[],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let Some((handshake, tls)) = o.chain() else {
        return;
    };
    let through = o.connect.iter().find(|(_, a)| {
        let mut all = crate::observe::attempts(a).iter();
        all.any(|t| t.outcome == Outcome::Answered)
    });
    let (Some((to, _)), true) = (through, tls.outcome != Outcome::Answered) else {
        return;
    };
    let c = &view.path.conversation;
    let host = match view.path.name.as_str() {
        "" => to.ip().to_string(),
        name => name.to_string(),
    };
    // What decides: the same port answers a request in clear.
    let question = Question::Http {
        to: *to,
        host: host.clone(),
        path: c.http.clone().unwrap_or_else(|| "/".into()),
        tls: false,
        padding: 0,
        tries: 1,
        timeout_ms: if o.outside { FAR_MS } else { HTTP_MS },
    };
    let Some(clear) = view.ask(view.path.vantage(), question) else {
        return;
    };
    let status = requests(clear)
        .iter()
        .find(|r| answered(r))
        .map(|r| r.status);
    // Bytes came back that are no TLS record. Without them only the request in clear can tell, and a TLS server
    // may answer such a one too, with 400.
    let no_record = tls.outcome == Outcome::Garbled && tls.detail.contains("InvalidContentType");
    if !no_record && status.is_none_or(|s| s == 400) {
        return;
    }
    let port = c.port;
    let (subject, who) = match &c.to {
        Destination::Service(r) | Destination::Pod(r) => (r.clone(), Text::same(r.to_string())),
        Destination::Host(h) => (ObjectRef::new("Host", "", h), Text::same(h)),
    };
    let how = crate::observe::word(tls.outcome);
    let instead = match status {
        Some(_) => text!("it answers plain HTTP", "它以明文 HTTP 应答"),
        None => text!("it answers with something else", "它的应答是别的协议"),
    };
    let says = text!(
        "port {port} of {who} does not speak TLS: {instead}",
        "{who:#} 的端口 {port} 不使用 TLS：{instead:#}"
    );
    let seen = text!(
        "TLS handshake: {how} ({})",
        "TLS 握手：{how:#}（{}）",
        tls.detail
    );
    let f = out.broken(
        subject,
        HopKind::Tls,
        says,
        view.saw(HopKind::Tls, handshake, seen),
    );
    if let Some(status) = status {
        f.and(view.saw(
            HopKind::Http,
            clear,
            text!(
                "the same port in clear: HTTP {status}",
                "同一端口的明文请求：HTTP {status}"
            ),
        ));
    }
    f.then(text!("the client begins with TLS", "客户端以 TLS 开始"))
        .then(text!(
            "the server takes it for a broken request of its own protocol",
            "服务端把它当作自己协议的损坏请求"
        ))
        .then(text!("no handshake comes about", "握手无法完成"));
    f.remedy(ask(
        text!(
            "one of the two ends means another protocol",
            "两端之一使用了错误的协议"
        ),
        vec![text!(
            "is http://{host}:{port}/ meant? Else the server needs a certificate and has to listen with TLS there",
            "本意是 http://{host}:{port}/ 吗？否则服务端需要证书，并在该端口启用 TLS"
        )],
    ));
}

const PAGE: &str = r#"
## What it looks at

A TLS handshake that fails on a port that takes connections, and the same port asked in clear.

## What proves it

The handshake does not come about, and a plain HTTP request to the same port is answered.

## What to do

Ask with `http://`, or give the server a certificate.

## Examples

```cluster
ask: {to: Host 192.0.2.7, port: 8443, tls: true, http: /}
```
```evidence
- {from: here, question: {tcp_connect: {to: "192.0.2.7:8443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: answered, took_us: 90}]}}
- {from: here, question: {tls_handshake: {to: "192.0.2.7:8443", server_name: "", authorities: "", timeout_ms: 2000}}, answer: {tls_handshake: {outcome: garbled, version: "", problem: "", chain: [], took_us: 900, detail: received corrupt message of type InvalidContentType}}}
- {from: here, question: {http: {to: "192.0.2.7:8443", host: 192.0.2.7, path: /, tls: false, padding: 0, tries: 1, timeout_ms: 2000}}, answer: {http: [{outcome: answered, phase: done, status: 200, connect_us: 80, tls_us: 0, first_byte_us: 90, total_us: 95, retransmissions: 0, unacknowledged: 0}]}}
```
```finding
port-does-not-speak-tls Host/192.0.2.7
  because port 8443 of 192.0.2.7 does not speak TLS: it answers plain HTTP
```

Nothing in clear either: it may be TLS that is stuck.

```cluster
ask: {to: Host 192.0.2.7, port: 8443, tls: true, http: /}
```
```evidence
- {from: here, question: {tcp_connect: {to: "192.0.2.7:8443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: answered, took_us: 90}]}}
- {from: here, question: {tls_handshake: {to: "192.0.2.7:8443", server_name: "", authorities: "", timeout_ms: 2000}}, answer: {tls_handshake: {outcome: silent, version: "", problem: "", chain: [], took_us: 2000000}}}
- {from: here, question: {http: {to: "192.0.2.7:8443", host: 192.0.2.7, path: /, tls: false, padding: 0, tries: 1, timeout_ms: 2000}}, answer: {http: [{outcome: silent, phase: response, status: 0, connect_us: 80, tls_us: 0, first_byte_us: 0, total_us: 2000000, retransmissions: 0, unacknowledged: 0}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

一个接受连接的端口上失败的 TLS 握手，以及对同一端口的明文请求。

## 凭什么证实

握手无法完成，而对同一端口的明文 HTTP 请求有应答。

## 怎么办

改用 `http://` 访问，或为服务端配置证书。
"#;
