//! The presented certificate has expired (F97).

use crate::check::{Check, Findings, View};
use crate::object::{Object, ObjectRef, at};
use crate::path::{Destination, HopKind};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use crate::time;

/// The check.
pub const CHECK: Check = Check {
    id: "certificate-expired",
    title: "TLS certificate has expired",
    title_zh: "TLS 证书已过期",
    catalogue: &["F97"],
    layer: "L6",
    looks_at: &[
        "Service",
        "EndpointSlice",
        "Pod",
        "Secret",
        "Certificate",
        "Deployment",
        "ReplicaSet",
    ],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let Some((answered, tls)) = view.observed().chain() else {
        return;
    };
    let now = answered.at_ms as i64;
    let Some(leaf) = tls.chain.first() else {
        return;
    };
    let Some(expired) = tls.chain.iter().find(|c| c.not_after_ms < now) else {
        let (name, ends) = (&leaf.subject, time::rfc3339(leaf.not_after_ms));
        out.fine(
            subject(view),
            HopKind::Tls,
            text!(
                "the certificate is valid until {ends}",
                "证书有效期至 {ends}"
            ),
            view.saw(
                HopKind::Tls,
                answered,
                text!("{name} valid until {ends}", "{name} 有效期至 {ends}"),
            ),
        );
        return;
    };
    let ago = time::age(now - expired.not_after_ms);
    let (name, ended) = (&expired.subject, time::rfc3339(expired.not_after_ms));
    let nth = 1 + tls.chain.iter().position(|c| c == expired).unwrap_or(0);
    let all = tls.chain.len();
    let subject = subject(view);
    let says = text!(
        "the certificate {name} of {subject} expired {ago} ago",
        "{subject} 的证书 {name} 已过期 {ago}"
    );
    let seen = view.saw(
        HopKind::Tls,
        answered,
        text!(
            "{name}: notAfter {ended}, {ago} ago; presented as {nth} of {all}",
            "{name}：notAfter {ended}，已过期 {ago}；在出示的 {all} 张证书中是第 {nth} 张"
        ),
    );
    let f = out.broken(subject.clone(), HopKind::Tls, says, seen);
    f.then(Text::same(format!("notAfter {ended}"))).then(text!(
        "clients that verify refuse the handshake",
        "校验证书的客户端会拒绝握手"
    ));
    f.remedy(remedy(view, &subject));
}

/// The Secret that the server's pods mount it from, else the Service or host.
pub(super) fn subject(view: &View<'_>) -> ObjectRef {
    for b in &view.path.backends {
        let Some(pod) = b.pod.as_ref().and_then(|p| view.topology.get(p)) else {
            continue;
        };
        let secrets: Vec<&str> = pod
            .list("spec.volumes")
            .iter()
            .filter_map(|v| at(v, "secret.secretName").as_str())
            .collect();
        let tls = |name: &&str| {
            let kind = view
                .topology
                .find("Secret", pod.namespace(), name)
                .map(|s| s.str("type").to_string());
            kind.as_deref() == Some("kubernetes.io/tls")
                || certificate(view, pod.namespace(), name).is_some()
                || kind.is_none()
        };
        if let Some(name) = secrets.into_iter().find(tls) {
            return ObjectRef::new("Secret", pod.namespace(), name);
        }
    }
    match &view.path.conversation.to {
        Destination::Service(r) | Destination::Pod(r) => r.clone(),
        Destination::Host(h) => ObjectRef::new("Host", "", h),
    }
}

/// The cert-manager Certificate that keeps a Secret.
fn certificate<'a>(view: &View<'a>, namespace: &str, secret: &str) -> Option<&'a Object> {
    view.topology
        .all("Certificate")
        .iter()
        .copied()
        .find(|c| c.namespace() == namespace && c.str("spec.secretName") == secret)
}

fn remedy(view: &View<'_>, subject: &ObjectRef) -> Remedy {
    match certificate(view, &subject.namespace, &subject.name) {
        Some(c) if subject.kind == "Secret" => Remedy {
            safe: false,
            because: text!(
                "{} keeps this Secret: cert-manager issues it anew when it is gone; why it was not renewed in time stands in the Certificate's status",
                "{} 维护该 Secret：删除后 cert-manager 会重新签发；未能及时续期的原因见该 Certificate 的 status",
                c.reference()
            ),
            steps: vec![Step::Delete {
                object: subject.clone(),
            }],
        },
        _ => Remedy {
            safe: false,
            because: text!(
                "nothing in the cluster is known to renew it",
                "集群中没有已知的组件为其续期"
            ),
            steps: vec![Step::Ask {
                question: text!(
                    "who issues the certificate of {subject}? It needs a new one",
                    "{subject} 的证书由谁签发？需要签发新证书"
                ),
            }],
        },
    }
}

const PAGE: &str = r#"
## What it looks at

The chain that the server presents in a TLS handshake, and the Secret its pods mount.

## What proves it

A certificate of the presented chain has a `notAfter` before the time of the handshake.

## What to do

Renew it. Where a cert-manager Certificate keeps the Secret, deleting the Secret makes it issue a new one.

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
- {from: {pod: {namespace: shop, name: web-1}}, question: {tls_handshake: {to: "10.96.0.9:443", server_name: cart.shop.svc.cluster.local, authorities: "", timeout_ms: 900}}, answer: {tls_handshake: {outcome: answered, version: TLSv1.3, problem: certificate expired, took_us: 900, chain: [{subject: CN=cart, issuer: CN=ca, serial: "1", not_before_ms: 1767000000000, not_after_ms: 1767800000000, names: [cart]}]}}}
```
```finding
certificate-expired shop/Service/cart
  because the certificate CN=cart of shop/Service/cart expired 8h ago
```

An unknown authority is another matter:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 443, tls: true}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 443, targetPort: 8443}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:443", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tls_handshake: {to: "10.96.0.9:443", server_name: cart.shop.svc.cluster.local, authorities: "", timeout_ms: 900}}, answer: {tls_handshake: {outcome: answered, version: TLSv1.3, problem: unknown issuer, took_us: 900, chain: [{subject: CN=cart, issuer: CN=ca, serial: "1", not_before_ms: 1767000000000, not_after_ms: 1797800000000, names: [cart]}]}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

服务器在 TLS 握手中出示的证书链，以及其 Pod 挂载的 Secret。

## 凭什么证实

所出示的证书链中，有证书的 `notAfter` 早于握手时刻。

## 怎么办

续期证书。若该 Secret 由 cert-manager 的 Certificate 维护，删除 Secret 即会重新签发。
"#;
