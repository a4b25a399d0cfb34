//! A zone, template or rewriting in the Corefile takes a name away from where it would be answered (F10).

use crate::check::{Check, Findings, View};
use crate::checks::upstreams::{HOP, ask, could_not_find_out, outside_name, settings};
use crate::corefile::{self, Plugin};
use crate::object::Object;
use crate::observe::word;
use crate::probe::{Answer, Answered, Outcome};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use serde_json::json;
use std::ops::Range;

/// The check.
pub const CHECK: Check = Check {
    id: "corefile-overrides-name",
    title: "Corefile of the cluster DNS sends a zone astray",
    title_zh: "集群 DNS 的 Corefile 把某个区域引向错误之处",
    catalogue: &["F10"],
    layer: "L7",
    looks_at: &["ConfigMap", "Service", "EndpointSlice", "Pod"],
    after: &[
        "dns-has-no-ready-endpoints",
        "dns-policy-wrong",
        "policy-blocks-dns",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(lookup) = view.observed().lookup else {
        return;
    };
    let service = view.path.service;
    if service.is_some_and(|s| s.str("spec.type") != "ExternalName") {
        overridden(view, out, lookup);
    } else if could_not_find_out(lookup) {
        sent_to_nobody(view, out);
    }
}

/// The name of a Service that exists is denied or gets other addresses, and the Corefile has an entry
/// that takes it.
fn overridden(view: &View<'_>, out: &mut Findings, lookup: &Answered) {
    let o = view.observed();
    let empty_headless = view
        .path
        .service
        .is_some_and(|s| s.str("spec.clusterIP") == "None")
        && view.path.ready_backends().next().is_none();
    let said = if o.name_lies() {
        let given = Text::names(&o.addresses());
        text!("gives {given}", "解析为 {given:#}")
    } else {
        match denial(lookup).filter(|_| !empty_headless) {
            Some((rcode, server)) => text!("{rcode} from {server}", "{server} 返回 {rcode}"),
            None => return,
        }
    };
    let Some(settings) = settings(view) else {
        return;
    };
    let (name, text) = (&view.path.name, settings.str("data.Corefile"));
    let Some(entry) = taking(text, name) else {
        return;
    };
    let (shown, lines) = (&entry.shown, entry.lines);
    let says = text!(
        "the Corefile of the cluster DNS has '{shown}', which takes {name}: {said}",
        "集群 DNS 的 Corefile 中有 '{shown}'，它截走了 {name}：{said:#}"
    );
    let f = out.broken(
        settings.reference(),
        HOP,
        says,
        view.saw(HOP, lookup, text!("{name}: {said}", "{name}：{said:#}")),
    );
    f.and(view.fact(
        HOP,
        settings,
        "data.Corefile",
        text!("line {}: {shown}", "第 {} 行：{shown}", lines.start + 1),
    ));
    if let Some(service) = view.path.service {
        f.and(view.fact(
            HOP,
            service,
            "spec.clusterIP",
            Text::same(service.str("spec.clusterIP")),
        ));
    }
    f.then(text!(
        "the Corefile answers {name} before the Services are asked",
        "Corefile 在查询 Service 之前就应答了 {name}"
    ))
    .then(text!(
        "the client gets no address of the Service, though it exists",
        "该 Service 虽然存在，客户端却得不到它的地址"
    ));
    f.remedy(Remedy {
        safe: false,
        because: text!(
            "the entry is taken out whole; whoever wrote it may mean other names by it",
            "整条删除该配置；写它的人可能还用它处理别的域名"
        ),
        steps: vec![Step::Patch {
            object: settings.reference(),
            strategic: false,
            patch: json!({"data": {"Corefile": corefile::without(text, &lines)}}),
        }],
    });
}

fn denial(lookup: &Answered) -> Option<(&str, std::net::IpAddr)> {
    let Answer::Lookup { queries, addresses } = &lookup.answer else {
        return None;
    };
    let no = queries.iter().find(|q| q.outcome == Outcome::Answered)?;
    addresses
        .is_empty()
        .then_some((no.rcode.as_str(), no.server.ip()))
}

/// The entry of a Corefile that answers a name before the `kubernetes` plugin does.
struct Entry {
    shown: String,
    lines: Range<usize>,
}

fn taking(text: &str, name: &str) -> Option<Entry> {
    let blocks = corefile::parse(text);
    let (block, zone) = corefile::block_for(&blocks, name)?;
    let name = corefile::plain(name);
    let entry = |p: &Plugin| Entry {
        shown: p.words.join(" "),
        lines: p.lines.clone(),
    };
    let taken = block.plugins.iter().find(|p| takes(p, &name, zone));
    if let Some(p) = taken {
        return Some(entry(p));
    }
    // A block for a narrower zone without the plugin that knows the Services.
    let deaf = !zone.is_empty() && block.all("kubernetes").next().is_none();
    deaf.then(|| Entry {
        shown: format!("{zone} {{ }}"),
        lines: block.lines.clone(),
    })
}

fn takes(plugin: &Plugin, name: &str, zone: &str) -> bool {
    let words: Vec<&str> = plugin.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["template", _, _, zones @ ..] => {
            let mut all = zones.iter().map(|z| corefile::plain(z));
            if zones.is_empty() {
                corefile::within(name, zone)
            } else {
                all.any(|z| corefile::within(name, &z))
            }
        }
        ["hosts", ..] => plugin
            .inside
            .iter()
            .any(|l| l.iter().skip(1).any(|n| corefile::plain(n) == *name)),
        ["rewrite", rest @ ..] => rewrites(rest, name),
        _ => false,
    }
}

/// `rewrite [stop|continue] name [exact|prefix|suffix|substring] FROM TO`; a regular expression may mean
/// anything and counts as nothing.
fn rewrites(words: &[&str], name: &str) -> bool {
    let words = match words {
        ["stop" | "continue", rest @ ..] => rest,
        all => all,
    };
    match words {
        ["name", "exact", from, _, ..] => corefile::plain(from) == name,
        ["name", "prefix", from, _, ..] => name.starts_with(from),
        ["name", "suffix", from, _, ..] => name.ends_with(from.trim_end_matches('.')),
        ["name", "substring", from, _, ..] => name.contains(from),
        ["name", "regex", ..] => false,
        ["name", from, _, ..] => corefile::plain(from) == name,
        _ => false,
    }
}

/// A zone of the Corefile is forwarded to servers that do not answer.
fn sent_to_nobody(view: &View<'_>, out: &mut Findings) {
    let Some(name) = outside_name(view).filter(|_| view.path.client.is_some()) else {
        return;
    };
    let Some(settings) = settings(view) else {
        return;
    };
    let Some(asked) = ask(view, settings, &name)
        .filter(|a| !a.zone.is_empty() && a.written && a.nobody_answers())
    else {
        return;
    };
    let servers: Vec<String> = asked.all.iter().map(|(s, _)| s.to_string()).collect();
    let (zone, servers) = (&asked.zone, Text::names(&servers));
    let says = text!(
        "the Corefile of the cluster DNS forwards zone {zone} to {servers}, which does not answer",
        "集群 DNS 的 Corefile 把区域 {zone} 转发给 {servers:#}，而它没有应答"
    );
    let seen = view.fact(
        HOP,
        settings,
        "data.Corefile",
        text!("{zone}: forward to {servers}", "{zone}：转发到 {servers:#}"),
    );
    let f = out.broken(settings.reference(), HOP, says, seen);
    for (server, a) in &asked.all {
        if let Answer::Resolve(r) = &a.answer {
            let how = word(r.outcome);
            f.and(view.saw(
                HOP,
                a,
                text!(
                    "query for {name} from the DNS pod to {server}: {how}",
                    "从 DNS Pod 向 {server} 查询 {name}：{how:#}"
                ),
            ));
        }
    }
    f.then(text!(
        "nobody answers for zone {zone}",
        "没有服务器应答区域 {zone}"
    ))
    .then(text!(
        "names of that zone fail, all others work",
        "该区域的域名失败，其他域名正常"
    ));
    f.remedy(stale(settings, zone, &servers));
}

fn stale(settings: &Object, zone: &str, servers: &Text) -> Remedy {
    let object = settings.reference();
    Remedy {
        safe: false,
        because: text!(
            "only the owner of the zone knows its servers",
            "只有该区域的所有者知道它的服务器"
        ),
        steps: vec![Step::Ask {
            question: text!(
                "which servers answer for {zone} now, if {servers} are gone? Write them into {object}",
                "如果 {servers:#} 已不在，现在由哪些服务器应答 {zone}？请写入 {object}"
            ),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

The Corefile (ConfigMap `kube-system/coredns`): the block that answers for the name, its `template`, `hosts`, `rewrite` and
`forward` lines.

## What proves it

The Service exists, the DNS denies its name or gives other addresses than the Service's, and an entry of the
Corefile takes the name before the Services are asked. Or: the block of a zone forwards to servers none of which answers
a query from the DNS pod. Regular expressions in a `rewrite` are not read.

## What to do

Take the entry out, or point the zone to the servers that answer for it now.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}, data: {Corefile: ".:53 {\n  template ANY ANY shop.svc.cluster.local {\n    rcode NXDOMAIN\n  }\n  kubernetes cluster.local\n  forward . 192.0.2.53\n}\n"}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 200}], addresses: []}}}
```
```finding
corefile-overrides-name kube-system/ConfigMap/coredns
  because the Corefile of the cluster DNS has 'template ANY ANY shop.svc.cluster.local', which takes cart.shop.svc.cluster.local: NXDOMAIN from 10.96.0.10
```

A zone whose servers are gone:

```cluster
ask: {from: Pod shop/web-1, to: Host db.corp.example, port: 5432}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Pod, metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], targetRef: {kind: Pod, name: coredns-1, namespace: kube-system}}]}
---
{kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}, data: {Corefile: ".:53 {\n  kubernetes cluster.local\n  forward . 192.0.2.53\n}\ncorp.example:53 {\n  forward . 10.9.0.53\n}\n"}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: db.corp.example, timeout_ms: 2000}}, answer: {lookup: {queries: [{name: db.corp.example, record: A, server: "10.96.0.10:53", outcome: answered, rcode: SERVFAIL, answers: [], truncated: false, authoritative: false, rtt_us: 900}], addresses: []}}}
- {from: {pod: {namespace: kube-system, name: coredns-1}}, question: {resolve: {name: db.corp.example, record: A, server: "10.9.0.53:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: db.corp.example, record: A, server: "10.9.0.53:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 0}}}
```
```finding
corefile-overrides-name kube-system/ConfigMap/coredns
  because the Corefile of the cluster DNS forwards zone corp.example to 10.9.0.53:53, which does not answer
```

Inline hosts that give an old address:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}, data: {Corefile: ".:53 {\n  hosts {\n    192.0.2.9 cart.shop.svc.cluster.local\n    fallthrough\n  }\n  kubernetes cluster.local\n}\n"}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [192.0.2.9], truncated: false, authoritative: true, rtt_us: 200}], addresses: [192.0.2.9]}}}
```
```finding
corefile-overrides-name kube-system/ConfigMap/coredns
  because the Corefile of the cluster DNS has 'hosts', which takes cart.shop.svc.cluster.local: gives 192.0.2.9
```

The same entry, and the name gives the Service's address: it takes nothing away.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}, data: {Corefile: ".:53 {\n  hosts {\n    10.96.0.9 cart.shop.svc.cluster.local\n    fallthrough\n  }\n  kubernetes cluster.local\n}\n"}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.9], truncated: false, authoritative: true, rtt_us: 200}], addresses: [10.96.0.9]}}}
```
```finding
```

The entry is for another namespace, so it is not why this name is denied:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}, data: {Corefile: ".:53 {\n  template ANY ANY old.svc.cluster.local {\n    rcode NXDOMAIN\n  }\n  kubernetes cluster.local\n  forward . 192.0.2.53\n}\n"}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 200}], addresses: []}}}
```
```finding
```

The Corefile could not be read: nothing is said of it.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 200}], addresses: []}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

Corefile（ConfigMap `kube-system/coredns`）：负责该域名的块，以及其中的 `template`、`hosts`、`rewrite` 和 `forward`。

## 凭什么证实

Service 存在，而 DNS 否认其域名，或给出的地址不是该 Service 的；并且 Corefile 中有一条配置在查询 Service 之前就截走了该域名。
或者：某个区域的块转发给的服务器，对 DNS Pod 的查询都没有应答。`rewrite` 中的正则表达式不予解读。

## 怎么办

删除该配置，或把该区域指向现在负责它的服务器。
"#;
