//! An ExternalName Service names a target that does not exist, or an address (F20).

use crate::check::{Check, Findings, View};
use crate::checks::places::dns_addresses;
use crate::object::Object;
use crate::path::HopKind;
use crate::probe::{Answer, Answered, DnsReply, Outcome, Question, Transport};
use crate::remedy::{Remedy, Step};
use crate::symptom::nearest;
use crate::text;
use crate::text::Text;
use serde_json::json;
use std::net::IpAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "external-name-wrong",
    title: "ExternalName Service names a target that does not exist",
    title_zh: "ExternalName Service 指向不存在的目标",
    catalogue: &["F20"],
    layer: "L7",
    looks_at: &["Service", "Pod"],
    after: &[
        "dns-has-no-ready-endpoints",
        "dns-policy-wrong",
        "policy-blocks-dns",
        "dns-upstream-unreachable",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let (Some(service), Some(lookup), Some(true)) = (
        view.path
            .service
            .filter(|s| s.str("spec.type") == "ExternalName"),
        o.lookup,
        o.name_fails(),
    ) else {
        return;
    };
    let target = service.str("spec.externalName");
    let address: Option<IpAddr> = target.parse().ok();
    // An address is never a name; a name has to be denied by the DNS to be wrong.
    let denied = if address.is_some() || target.is_empty() {
        None
    } else {
        match denied(view, target) {
            Some(d) => Some(d),
            None => return,
        }
    };
    let name = service.name();
    let says = if address.is_some() {
        text!(
            "ExternalName Service {name} names the address {target}: it has to name a host",
            "ExternalName Service {name} 写的是地址 {target}：它必须是主机名"
        )
    } else {
        text!(
            "ExternalName Service {name} names {target}, which does not exist",
            "ExternalName Service {name} 指向 {target}，而它不存在"
        )
    };
    let f = out.broken(
        service.reference(),
        HopKind::Service,
        says,
        view.fact(
            HopKind::Service,
            service,
            "spec.externalName",
            Text::same(target),
        ),
    );
    if let Some((answered, reply)) = denied {
        let (rcode, server) = (&reply.rcode, reply.server.ip());
        f.and(view.saw(
            HopKind::Name,
            answered,
            text!(
                "{target} at {server}: {rcode}",
                "在 {server} 查询 {target}：{rcode}"
            ),
        ));
    }
    let host = &view.path.name;
    f.and(view.saw(
        HopKind::Name,
        lookup,
        text!("{host} does not resolve", "{host} 无法解析"),
    ));
    f.then(text!(
        "the DNS answers {host} with the alias {target}",
        "DNS 以别名 {target} 应答 {host}"
    ))
    .then(text!("the alias has no address", "该别名没有地址"))
    .then(text!(
        "the client gets no address to connect to",
        "客户端得不到可连接的地址"
    ));
    f.remedy(remedy(view, service, target, address));
}

/// The cluster DNS, asked from the client, says that there is no such name.
fn denied<'a>(view: &View<'a>, target: &str) -> Option<(&'a Answered, &'a DnsReply)> {
    dns_addresses(view).into_iter().find_map(|server| {
        let record = if server.is_ipv4() { "A" } else { "AAAA" };
        let question = Question::Resolve {
            name: target.trim_end_matches('.').into(),
            record: record.into(),
            server,
            over: Transport::Udp,
            timeout_ms: crate::observe::FAR_MS,
        };
        let answered = view.ask(view.path.vantage(), question)?;
        match &answered.answer {
            Answer::Resolve(r) if r.outcome == Outcome::Answered && r.rcode == "NXDOMAIN" => {
                Some((answered, r))
            }
            _ => None,
        }
    })
}

fn remedy(view: &View<'_>, service: &Object, target: &str, address: Option<IpAddr>) -> Remedy {
    let name = service.name();
    if let Some(address) = address {
        return Remedy {
            safe: false,
            because: text!(
                "an address needs a Service without selector and an EndpointSlice of its own",
                "指向地址需要一个没有选择器的 Service 以及自建的 EndpointSlice"
            ),
            steps: vec![Step::Ask {
                question: text!(
                    "which name has {address}? Write it to spec.externalName of Service {name}, or make it a Service without selector and an EndpointSlice that lists {address}",
                    "{address} 的主机名是什么？把它写入 Service {name} 的 spec.externalName，或改为没有选择器的 Service 并创建列出 {address} 的 EndpointSlice"
                ),
            }],
        };
    }
    if let Some(right) = meant(view, target) {
        return Remedy {
            safe: false,
            because: text!(
                "{right} is the Service there with the nearest name",
                "{right} 是那里名称最接近的 Service"
            ),
            steps: vec![Step::Patch {
                object: service.reference(),
                strategic: false,
                patch: json!({"spec": {"externalName": right}}),
            }],
        };
    }
    Remedy {
        safe: false,
        because: text!(
            "only its owner knows how the target is called",
            "只有其所有者知道目标的名称"
        ),
        steps: vec![Step::Ask {
            question: text!(
                "how is the host called that Service {name} means by {target}?",
                "Service {name} 的 {target} 所指的主机叫什么？"
            ),
        }],
    }
}

/// The name of the Service that a target inside the cluster comes near.
fn meant(view: &View<'_>, target: &str) -> Option<String> {
    let domain = view.topology.domain();
    let inside = target
        .trim_end_matches('.')
        .strip_suffix(domain)?
        .strip_suffix(".svc.")?;
    let (name, ns) = inside.split_once('.')?;
    let there: Vec<&str> = view
        .topology
        .in_namespace("Service", ns)
        .map(Object::name)
        .collect();
    match nearest(name, &there).as_slice() {
        [right] => Some(format!("{right}.{ns}.svc.{domain}")),
        _ => None,
    }
}

const PAGE: &str = r#"
## What it looks at

`spec.externalName` of a Service of type ExternalName whose name does not resolve.

## What proves it

It is an address, which can never be resolved as a name; or the cluster DNS answers NXDOMAIN for it. Where the Service of the
cluster DNS may not be read, the server in the pod's `resolv.conf` is it if kubelet wrote that and it knows
`kubernetes.default`. SERVFAIL and
silence say nothing about the target: those are `dns-upstream-unreachable` and its neighbours.

## What to do

Write the target as it is called; for an address use a Service without selector and an EndpointSlice.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/rates, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Service, metadata: {name: rates, namespace: shop}, spec: {type: ExternalName, externalName: rates.partner.example}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: rates.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: rates.partner.example, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: rates.partner.example, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: false, rtt_us: 900}}}
```
```finding
external-name-wrong shop/Service/rates
  because ExternalName Service rates names rates.partner.example, which does not exist
```

The cluster's DNS may not be read; what kubelet told the pod answers as only that does:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/rates, port: 80}
unread: [Service in namespace kube-system]
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: rates, namespace: shop}, spec: {type: ExternalName, externalName: rates.partner.example}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: rates.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: resolv_conf, answer: {resolv_conf: {nameservers: [10.96.0.10], search: [shop.svc.cluster.local], ndots: 5}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.1], truncated: false, authoritative: true, rtt_us: 300}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: rates.partner.example, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: rates.partner.example, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: false, rtt_us: 900}}}
```
```finding
external-name-wrong shop/Service/rates
  because ExternalName Service rates names rates.partner.example, which does not exist
```

A server that does not know the cluster's own names is not the cluster's DNS, and its word is not enough:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/rates, port: 80}
unread: [Service in namespace kube-system]
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: rates, namespace: shop}, spec: {type: ExternalName, externalName: rates.partner.example}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: rates.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: resolv_conf, answer: {resolv_conf: {nameservers: [192.0.2.53], search: [], ndots: 5}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "192.0.2.53:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "192.0.2.53:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: false, rtt_us: 300}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: rates.partner.example, record: A, server: "192.0.2.53:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: rates.partner.example, record: A, server: "192.0.2.53:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: false, rtt_us: 900}}}
```
```finding
```

An address is no name:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/rates, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: rates, namespace: shop}, spec: {type: ExternalName, externalName: 192.0.2.7}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: rates.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
```
```finding
external-name-wrong shop/Service/rates
  because ExternalName Service rates names the address 192.0.2.7: it has to name a host
```

The DNS cannot find out: that is no word about the target.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/rates, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Service, metadata: {name: rates, namespace: shop}, spec: {type: ExternalName, externalName: rates.partner.example}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: rates.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: rates.partner.example, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: rates.partner.example, record: A, server: "10.96.0.10:53", outcome: answered, rcode: SERVFAIL, answers: [], truncated: false, authoritative: false, rtt_us: 900}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

域名无法解析的 ExternalName 类型 Service 的 `spec.externalName`。

## 凭什么证实

它是一个地址，而地址不能当作域名解析；或者集群 DNS 对它返回 NXDOMAIN。无权读取集群 DNS 的 Service 时，取 Pod 的 `resolv.conf` 中由 kubelet 写入、且能解析 `kubernetes.default` 的服务器。SERVFAIL 与无应答不能说明目标有错：那属于
`dns-upstream-unreachable` 等检查。

## 怎么办

改为目标真正的名称；若要指向地址，使用没有选择器的 Service 和 EndpointSlice。
"#;
