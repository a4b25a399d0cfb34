//! A pod asks the wrong resolver, because of its dnsPolicy or dnsConfig (F11).

use crate::check::{Check, Findings, View};
use crate::checks::places::{dns_addresses, template_patch};
use crate::dns_cache::listens_at;
use crate::object::Object;
use crate::path::HopKind;
use crate::probe::{Answer, Answered, DnsReply, Outcome, Question, Transport};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// The check.
pub const CHECK: Check = Check {
    id: "dns-policy-wrong",
    title: "Pod does not use the cluster DNS",
    title_zh: "Pod 的 dnsPolicy 未指向集群 DNS",
    catalogue: &["F11"],
    layer: "L7",
    looks_at: &["Service", "Pod", "Deployment", "ReplicaSet"],
    after: &["dns-has-no-ready-endpoints"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let (Some(lookup), Some(true), Some(client)) = (o.lookup, o.name_fails(), view.path.client)
    else {
        return;
    };
    let Some(conf) = view.ask(view.path.vantage(), Question::ResolvConf) else {
        return;
    };
    let Answer::ResolvConf(c) = &conf.answer else {
        return;
    };
    let servers = dns_addresses(view);
    let is_dns = |a: &IpAddr| servers.iter().any(|s| s.ip() == *a) || listens_at(view.topology, *a);
    let nameservers = Text::names(&c.nameservers);
    let seen = view.saw(
        HopKind::Name,
        conf,
        Text::same(format!(
            "nameserver {nameservers}; search {}; ndots {}",
            c.search.join(" "),
            c.ndots
        )),
    );
    if c.nameservers.iter().any(is_dns) {
        out.fine(
            client.reference(),
            HopKind::Name,
            text!(
                "pod {} asks the cluster DNS ({nameservers})",
                "Pod {} 使用集群 DNS（{nameservers:#}）",
                client.name()
            ),
            seen,
        );
        return;
    }
    // Which one the cluster DNS is may not be known to who asks: then only the pod's own setting tells.
    let elsewhere = match client.str("spec.dnsPolicy") {
        "Default" => true,
        "ClusterFirst" => client.get("spec.hostNetwork").as_bool() == Some(true),
        _ => false,
    };
    if servers.is_empty() && !elsewhere {
        return;
    }
    // What decides: the wrong server itself says that there is no such name while the Service exists,
    // or the cluster DNS, asked from the same pod, knows it.
    let denied = denial(lookup);
    let direct = servers.iter().find_map(|server| direct(view, *server));
    if direct.is_none() && (denied.is_none() || view.path.service.is_none()) {
        return;
    }
    let owner = view.topology.owner_of(client);
    let policy = client.str("spec.dnsPolicy");
    let cluster: Vec<IpAddr> = servers.iter().map(SocketAddr::ip).collect();
    let cluster = match cluster.as_slice() {
        [] => Text::default(),
        all => text!(" {}", " {:#}", Text::names(all)),
    };
    let says = text!(
        "{owner} asks {nameservers} for names, not the cluster DNS{cluster}: dnsPolicy {policy}",
        "{owner} 向 {nameservers:#} 查询域名，而不是集群 DNS{cluster:#}：dnsPolicy {policy}"
    );
    let f = out.broken(owner.clone(), HopKind::Name, says, seen);
    f.and(view.fact(HopKind::Name, client, "spec.dnsPolicy", describe(client)));
    let name = &view.path.name;
    let how = denied.unwrap_or_else(|| text!("no answer", "无应答"));
    f.and(view.saw(
        HopKind::Name,
        lookup,
        text!("{name} does not resolve: {how}", "{name} 无法解析：{how:#}"),
    ));
    if let Some((answered, reply)) = direct {
        let answers = Text::names(&reply.answers);
        f.and(view.saw(
            HopKind::Name,
            answered,
            text!(
                "the same name at {}: {} {answers}",
                "在 {} 查询同一域名：{} {answers:#}",
                reply.server.ip(),
                reply.rcode
            ),
        ));
    }
    f.then(Text::same(format!("dnsPolicy {policy}")))
        .then(text!(
            "resolv.conf names {nameservers}",
            "resolv.conf 指定的服务器是 {nameservers:#}"
        ))
        .then(text!(
            "that server does not know cluster names",
            "该服务器不知道集群内的域名"
        ));
    f.remedy(remedy(view, client));
}

/// `NXDOMAIN from 198.51.100.53`, if a server denied the name.
fn denial(lookup: &Answered) -> Option<Text> {
    let Answer::Lookup { queries, .. } = &lookup.answer else {
        return None;
    };
    let no = queries
        .iter()
        .find(|q| q.outcome == Outcome::Answered && q.rcode == "NXDOMAIN")?;
    let (rcode, server) = (&no.rcode, no.server.ip());
    Some(text!("{rcode} from {server}", "{server} 返回 {rcode}"))
}

/// The same name at the cluster DNS, from the same pod, where that works.
fn direct<'a>(view: &View<'a>, server: SocketAddr) -> Option<(&'a Answered, &'a DnsReply)> {
    let record = if server.is_ipv4() { "A" } else { "AAAA" };
    let question = Question::Resolve {
        name: view.path.name.clone(),
        record: record.into(),
        server,
        over: Transport::Udp,
        timeout_ms: 700,
    };
    let answered = view.ask(view.path.vantage(), question)?;
    match &answered.answer {
        Answer::Resolve(r) if r.outcome == Outcome::Answered && r.rcode == "NOERROR" => {
            Some((answered, r))
        }
        _ => None,
    }
}

fn describe(client: &Object) -> Text {
    let config = client.get("spec.dnsConfig");
    let network = if client.get("spec.hostNetwork").as_bool() == Some(true) {
        ", hostNetwork"
    } else {
        ""
    };
    Text::same(format!(
        "{}{network}{}",
        client.str("spec.dnsPolicy"),
        if config.is_null() {
            String::new()
        } else {
            format!(", dnsConfig {config}")
        }
    ))
}

fn remedy(view: &View<'_>, client: &Object) -> Remedy {
    let owner = view.topology.owner_of(client);
    let right = if client.get("spec.hostNetwork").as_bool() == Some(true) {
        "ClusterFirstWithHostNet"
    } else {
        "ClusterFirst"
    };
    let servers = client.get("spec.dnsConfig.nameservers");
    let mut spec = json!({ "dnsPolicy": right });
    if !servers.is_null()
        && let Some(map) = spec.as_object_mut()
    {
        map.insert("dnsConfig".into(), Value::Null);
    }
    Remedy {
        safe: false,
        because: text!(
            "{right} makes the kubelet write the cluster DNS into resolv.conf; the pods are replaced",
            "{right} 使 kubelet 把集群 DNS 写入 resolv.conf；Pod 会被替换"
        ),
        steps: vec![Step::Patch {
            object: owner.clone(),
            strategic: true,
            patch: template_patch(&owner, spec),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

The client's resolv.conf, its dnsPolicy and dnsConfig, and the address of the cluster DNS.

## What proves it

The lookup fails; none of the pod's nameservers is the cluster DNS (nor a node-local cache); and the same
name, asked at the cluster DNS from the same pod, resolves.

## What to do

`dnsPolicy: ClusterFirst`, or `ClusterFirstWithHostNet` on the host network.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {dnsPolicy: Default}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: resolv_conf, answer: {resolv_conf: {nameservers: [198.51.100.53], search: [], ndots: 1}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 700}}, answer: {resolve: {name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.9], truncated: false, authoritative: true, rtt_us: 300}}}
```
```finding
dns-policy-wrong shop/Pod/web-1
  because shop/Pod/web-1 asks 198.51.100.53 for names, not the cluster DNS 10.96.0.10: dnsPolicy Default
```

It asks the cluster DNS, so another thing is wrong:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {dnsPolicy: None}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: resolv_conf, answer: {resolv_conf: {nameservers: [10.96.0.10], search: [], ndots: 5}}}
```
```finding
```

Who asks may not read where the cluster DNS is, and the pod is set to use it: nothing can be said.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {dnsPolicy: ClusterFirst}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 300}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: resolv_conf, answer: {resolv_conf: {nameservers: [10.96.0.10], search: [], ndots: 5}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

客户端的 resolv.conf、dnsPolicy 与 dnsConfig，以及集群 DNS 的地址。

## 凭什么证实

解析失败；Pod 的 nameserver 中没有集群 DNS（也没有节点本地缓存）；而从同一个 Pod 向集群 DNS 查询同一域名，可以解析。

## 怎么办

使用 `dnsPolicy: ClusterFirst`；使用主机网络时则为 `ClusterFirstWithHostNet`。
"#;
