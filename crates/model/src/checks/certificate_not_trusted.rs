//! The presented chain ends at no authority that clients know (F99).

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{ask, host, subject};
use crate::path::HopKind;
use crate::remedy::Remedy;
use crate::text;

/// The check.
pub const CHECK: Check = Check {
    id: "certificate-not-trusted",
    title: "TLS certificate is signed by no known authority",
    title_zh: "TLS 证书不是由受信任的机构签发",
    catalogue: &["F99"],
    layer: "L6",
    looks_at: &[],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (Some(name), Some((answered, tls))) = (host(view), view.observed().chain()) else {
        return;
    };
    if !tls.problem.contains("unknown issuer") {
        return;
    }
    let Some(last) = tls.chain.last() else {
        return;
    };
    let (Some(leaf), true) = (tls.chain.first(), !last.issuer.is_empty()) else {
        return;
    };
    let alone = leaf.subject == leaf.issuer;
    let issuer = &last.issuer;
    // The first is what is compiled in; the others are what the machine names.
    let own = tls.stores.get(1..).unwrap_or_default().join(", ");
    let why = if alone {
        text!("{} signed itself", "{} 是自签名证书", leaf.subject)
    } else if own.is_empty() {
        text!(
            "it ends at {issuer}, which is no public authority",
            "证书链止于 {issuer}，它不是公共 CA"
        )
    } else {
        text!(
            "it ends at {issuer}, which is no public authority and not in {own}",
            "证书链止于 {issuer}，它不是公共 CA，也不在 {own} 中"
        )
    };
    let looked = match tls.stores.as_slice() {
        [] => "built-in".to_string(),
        all => all.join(", "),
    };
    let seen = view.saw(
        HopKind::Tls,
        answered,
        text!(
            "{}; {} presented, the last issued by {issuer}; authorities looked for in: {looked}",
            "{}；出示了 {} 张证书，最后一张由 {issuer} 签发；查找 CA 的位置：{looked}",
            tls.problem,
            tls.chain.len()
        ),
    );
    let says = text!(
        "the certificate of {name} is not trusted: {why}",
        "{name} 的证书不受信任：{why:#}"
    );
    let f = out.broken(subject(name), HopKind::Tls, says, seen);
    f.then(why).then(text!(
        "clients without that authority refuse the handshake",
        "不信任该 CA 的客户端会拒绝握手"
    ));
    let port = view.path.conversation.port;
    f.remedy(remedy(name, port, (!alone).then_some(issuer), &own));
}

fn remedy(name: &str, port: u16, issuer: Option<&String>, own: &str) -> Remedy {
    let show = format!("openssl s_client -connect {name}:{port} -showcerts");
    let question = match issuer {
        None => text!(
            "is a self-signed certificate meant on {name}? Then clients need it: {show}",
            "{name} 是有意使用自签名证书吗？若是，客户端需要该证书：{show}"
        ),
        Some(issuer) => text!(
            "is {issuer} your own authority? Then clients need its certificate; else the server has to send the missing intermediate: {show}",
            "{issuer} 是您自己的 CA 吗？若是，客户端需要它的证书；否则服务器须补发缺少的中间证书：{show}"
        ),
    };
    let trusted = if own.is_empty() {
        text!(
            "built-in public authorities were trusted; those that this machine adds were not looked at",
            "校验所用的是内置的公共 CA；本机另外添加的 CA 未查看"
        )
    } else {
        text!(
            "the built-in public authorities and those of {own} were trusted; a program with a store of its own may differ",
            "校验所用的是内置的公共 CA 以及 {own} 中的 CA；自带证书库的程序可能不同"
        )
    };
    ask(trusted, vec![question])
}

const PAGE: &str = r#"
## What it looks at

The chain that a host presents, against the public authorities that are compiled in and, from a plain host, those of the machine
(`SSL_CERT_FILE`, `SSL_CERT_DIR`, else the distribution's bundle). Services and pods are left out: a cluster's own authority is not public.

## What proves it

The chain ends at an issuer that is not among them, or the certificate signed itself.

## What to do

Give clients the authority's certificate, let the server send the missing intermediate, or get a certificate of a public authority.

## Examples

```cluster
ask: {to: Host 192.0.2.7, port: 443, tls: true}
```
```evidence
- {from: here, question: {tcp_connect: {to: "192.0.2.7:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: here, question: {tls_handshake: {to: "192.0.2.7:443", server_name: "", authorities: "", timeout_ms: 2000}}, answer: {tls_handshake: {outcome: answered, version: TLSv1.3, problem: unknown issuer (self-signed), took_us: 900, chain: [{subject: CN=box, issuer: CN=box, serial: "1", not_before_ms: 1767000000000, not_after_ms: 1797800000000, names: [box]}]}}}
```
```finding
certificate-not-trusted Host/192.0.2.7
  because the certificate of 192.0.2.7 is not trusted: CN=box signed itself
```

```cluster
ask: {to: Host 192.0.2.7, port: 443, tls: true}
```
```evidence
- {from: here, question: {tcp_connect: {to: "192.0.2.7:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: here, question: {tls_handshake: {to: "192.0.2.7:443", server_name: "", authorities: "", timeout_ms: 2000}}, answer: {tls_handshake: {outcome: answered, version: TLSv1.3, problem: "", took_us: 900, chain: [{subject: CN=box, issuer: CN=ca, serial: "1", not_before_ms: 1767000000000, not_after_ms: 1797800000000, names: [box]}]}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

主机所出示的证书链，与内置的公共 CA 对照；从本机探测时还与本机的 CA 对照（`SSL_CERT_FILE`、`SSL_CERT_DIR`，否则为发行版的证书包）。Service 与 Pod 不在此列：集群自己的 CA 不是公共 CA。

## 凭什么证实

证书链止于这些 CA 之外的签发者，或证书是自签名的。

## 怎么办

把该 CA 的证书交给客户端，或让服务器补发缺少的中间证书，或改用公共 CA 签发的证书。
"#;
