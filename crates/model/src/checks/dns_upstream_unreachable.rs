//! The resolver that the cluster DNS asks about the rest of the world does not answer (F8).

use crate::check::{Check, Findings, View};
use crate::checks::hosts::subject;
use crate::checks::upstreams::{
    HOP, ask, cluster_names_resolve, could_not_find_out, outside_name, settings,
};
use crate::observe::word;
use crate::probe::{Answer, Outcome};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;

/// The check.
pub const CHECK: Check = Check {
    id: "dns-upstream-unreachable",
    title: "Upstream resolver of the cluster DNS does not answer",
    title_zh: "集群 DNS 的上游解析器没有应答",
    catalogue: &["F8"],
    layer: "L7",
    looks_at: &["ConfigMap", "Service", "EndpointSlice", "Pod"],
    after: &[
        "dns-has-no-ready-endpoints",
        "dns-policy-wrong",
        "policy-blocks-dns",
        "dns-cache-down",
        "policy-blocks-dns-cache",
        "ip-forwarding-off",
        "forward-policy-drops",
        "link-down",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (Some(lookup), Some(name)) = (view.observed().lookup, outside_name(view)) else {
        return;
    };
    if view.path.client.is_none() || !could_not_find_out(lookup) {
        return;
    }
    // If names of the cluster fail too, the way to the DNS is the matter.
    let Some((inside, inside_name)) = cluster_names_resolve(view) else {
        return;
    };
    let Some(settings) = settings(view) else {
        return;
    };
    let Some(asked) = ask(view, settings, &name).filter(|a| a.zone.is_empty()) else {
        return;
    };
    if !asked.nobody_answers() {
        for (server, a) in &asked.all {
            let Answer::Resolve(r) = &a.answer else {
                continue;
            };
            if r.outcome == Outcome::Answered {
                let says = text!(
                    "the upstream resolver {} answers",
                    "上游解析器 {} 有应答",
                    server.ip()
                );
                out.fine(
                    settings.reference(),
                    HOP,
                    says.clone(),
                    view.saw(HOP, a, says),
                );
            }
        }
        return;
    }
    let servers: Vec<String> = asked.all.iter().map(|(s, _)| s.ip().to_string()).collect();
    let servers = Text::names(&servers);
    let blamed = match asked.all.first() {
        Some((server, _)) if !asked.written => subject(&server.ip().to_string()),
        _ => settings.reference(),
    };
    let says = text!(
        "the cluster DNS forwards names outside the cluster to {servers}, which does not answer",
        "集群 DNS 把集群外的域名转发给 {servers:#}，而它没有应答"
    );
    let Some((first, rest)) = asked.all.split_first() else {
        return;
    };
    let tried = |(server, a): &(std::net::SocketAddr, &crate::probe::Answered)| {
        let how = match &a.answer {
            Answer::Resolve(r) => word(r.outcome),
            _ => Text::default(),
        };
        view.saw(
            HOP,
            a,
            text!(
                "query for {name} from the DNS pod to {server}: {how}",
                "从 DNS Pod 向 {server} 查询 {name}：{how:#}"
            ),
        )
    };
    let f = out.broken(blamed, HOP, says, tried(first));
    for one in rest {
        f.and(tried(one));
    }
    let from = if asked.written {
        "forward . ".to_string() + servers.as_str()
    } else {
        "forward . /etc/resolv.conf".to_string()
    };
    f.and(view.fact(HOP, settings, "data.Corefile", Text::same(from)));
    f.and(view.saw(
        HOP,
        inside,
        text!(
            "{inside_name} at the same DNS: answered",
            "在同一 DNS 查询 {inside_name}：有应答"
        ),
    ));
    f.then(text!(
        "{servers} does not answer the cluster DNS",
        "{servers:#} 不应答集群 DNS"
    ))
    .then(text!(
        "the cluster DNS gives up: SERVFAIL, or silence",
        "集群 DNS 放弃查询：返回 SERVFAIL 或没有应答"
    ))
    .then(text!(
        "names outside the cluster fail, those inside work",
        "集群外的域名失败，集群内的正常"
    ));
    f.remedy(Remedy {
        safe: false,
        because: text!(
            "nothing in the cluster can answer for the outside; it needs a resolver that it reaches",
            "集群自身无法解析外部域名；它需要一个可达的解析器"
        ),
        steps: vec![Step::Ask {
            question: text!(
                "is {servers} the right resolver, is it up, and may the nodes reach its port 53, UDP and TCP? Otherwise write another one after 'forward .' in ConfigMap kube-system/coredns",
                "{servers:#} 是正确的解析器吗？它是否在运行、节点能否访问其 53 端口（UDP 与 TCP）？否则请在 ConfigMap kube-system/coredns 的 'forward .' 之后改写为另一个"
            ),
        }],
    });
}

const PAGE: &str = r#"
## What it looks at

A name outside the cluster that the cluster DNS cannot find out, the resolvers that its Corefile forwards to, and
their answers to a pod of the cluster DNS.

## What proves it

A name inside the cluster resolves for the same client, and none of the upstreams answers a query for the name from
the DNS pod. A name that does not exist (NXDOMAIN) is another matter.

## What to do

Bring the resolver or the way to it back, or forward to another one.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Host api.partner.example, port: 443}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Pod, metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], targetRef: {kind: Pod, name: coredns-1, namespace: kube-system}}]}
---
{kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}, data: {Corefile: ".:53 {\n  kubernetes cluster.local\n  forward . 192.0.2.53\n}\n"}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: api.partner.example, timeout_ms: 2000}}, answer: {lookup: {queries: [{name: api.partner.example, record: A, server: "10.96.0.10:53", outcome: answered, rcode: SERVFAIL, answers: [], truncated: false, authoritative: false, rtt_us: 900}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.1], truncated: false, authoritative: true, rtt_us: 300}}}
- {from: {pod: {namespace: kube-system, name: coredns-1}}, question: {resolve: {name: api.partner.example, record: A, server: "192.0.2.53:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: api.partner.example, record: A, server: "192.0.2.53:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 0}}}
```
```finding
dns-upstream-unreachable kube-system/ConfigMap/coredns
  because the cluster DNS forwards names outside the cluster to 192.0.2.53, which does not answer
```

The upstream answers, so it is something else:

```cluster
ask: {from: Pod shop/web-1, to: Host api.partner.example, port: 443}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: Pod, metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}, status: {phase: Running, podIP: 10.244.2.3}}
---
{kind: EndpointSlice, metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: [10.244.2.3], targetRef: {kind: Pod, name: coredns-1, namespace: kube-system}}]}
---
{kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}, data: {Corefile: ".:53 {\n  kubernetes cluster.local\n  forward . 192.0.2.53\n}\n"}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: api.partner.example, timeout_ms: 2000}}, answer: {lookup: {queries: [{name: api.partner.example, record: A, server: "10.96.0.10:53", outcome: answered, rcode: SERVFAIL, answers: [], truncated: false, authoritative: false, rtt_us: 900}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.1], truncated: false, authoritative: true, rtt_us: 300}}}
- {from: {pod: {namespace: kube-system, name: coredns-1}}, question: {resolve: {name: api.partner.example, record: A, server: "192.0.2.53:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: api.partner.example, record: A, server: "192.0.2.53:53", outcome: answered, rcode: SERVFAIL, answers: [], truncated: false, authoritative: false, rtt_us: 5000}}}
```
```finding
```

Nobody could ask from the DNS pod: nothing is said of the upstream.

```cluster
ask: {from: Pod shop/web-1, to: Host api.partner.example, port: 443}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}}
---
{kind: ConfigMap, metadata: {name: coredns, namespace: kube-system}, data: {Corefile: ".:53 {\n  kubernetes cluster.local\n  forward . 192.0.2.53\n}\n"}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: api.partner.example, timeout_ms: 2000}}, answer: {lookup: {queries: [{name: api.partner.example, record: A, server: "10.96.0.10:53", outcome: answered, rcode: SERVFAIL, answers: [], truncated: false, authoritative: false, rtt_us: 900}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", over: udp, timeout_ms: 2000}}, answer: {resolve: {name: kubernetes.default.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: [10.96.0.1], truncated: false, authoritative: true, rtt_us: 300}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

集群 DNS 无法解析的集群外域名、其 Corefile 转发到的解析器，以及这些解析器对集群 DNS Pod 的应答。

## 凭什么证实

同一客户端可以解析集群内的域名；而从 DNS Pod 查询该域名时，没有一个上游应答。域名不存在（NXDOMAIN）属于其他问题。

## 怎么办

恢复解析器或通往它的路径，或者转发到另一个解析器。
"#;
