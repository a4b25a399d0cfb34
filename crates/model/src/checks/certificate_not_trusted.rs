//! The presented chain ends at no authority that clients know (F99).

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{ask, host, subject};
use crate::path::HopKind;

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
    let why = if alone {
        format!("{} signed itself", leaf.subject)
    } else {
        format!("it ends at {}, which is no public authority", last.issuer)
    };
    let seen = view.saw(
        HopKind::Tls,
        answered,
        format!(
            "{}; {} presented, the last issued by {}",
            tls.problem,
            tls.chain.len(),
            last.issuer
        ),
    );
    let says = format!("the certificate of {name} is not trusted: {why}");
    let f = out.broken(subject(name), HopKind::Tls, says, seen);
    f.then(why)
        .then("clients without that authority refuse the handshake");
    let port = view.path.conversation.port;
    f.remedy(ask(
        "built-in public authorities were trusted; those that this machine adds were not looked at",
        vec![if alone {
            format!("is a self-signed certificate meant on {name}? Then clients need it: openssl s_client -connect {name}:{port} -showcerts")
        } else {
            format!("is {} your own authority? Then clients need its certificate; else the server has to send the missing intermediate: openssl s_client -connect {name}:{port} -showcerts", last.issuer)
        }],
    ));
}

const PAGE: &str = r#"
## What it looks at

The chain that a host presents, against the public authorities. Services and pods are left out: a cluster's own authority is not public.

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

const PAGE_ZH: &str = "";
