//! A headless Service has no ready pod, so its name has no address (F19).

use crate::check::{Check, Findings, View};
use crate::checks::behind::{came_up_lately, no_endpoint_ready, pods, ready_of_all};
use crate::object::Object;
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Outcome};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use crate::topology::{addresses_of_pod, is_running};
use serde_json::json;
use std::net::IpAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "headless-service-has-no-ready-pod",
    title: "Headless Service has no ready pod, so its name has no address",
    title_zh: "Headless Service 没有就绪的 Pod，其域名没有地址",
    catalogue: &["F19"],
    layer: "L7",
    looks_at: &["Service", "EndpointSlice", "Pod", "StatefulSet"],
    after: &[
        "dns-has-no-ready-endpoints",
        "dns-policy-wrong",
        "policy-blocks-dns",
        "corefile-overrides-name",
        "readiness-probe-fails",
        "network-plugin-not-ready",
        "node-not-reporting",
        "pod-addresses-exhausted",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let o = view.observed();
    let Some(lookup) = o.lookup else { return };
    // A client that an old answer still leads to pods that are not ready is well for some seconds only.
    let Some(service) = no_endpoint_ready(view).filter(|s| s.str("spec.clusterIP") == "None")
    else {
        return;
    };
    let pods = pods(view, service);
    let published = service.get("spec.publishNotReadyAddresses").as_bool() == Some(true);
    if pods.is_empty() || published {
        return;
    }
    let (name, n, host) = (service.name(), pods.len(), &view.path.name);
    // The DNS said that there is nothing; silence would be another matter.
    let (says, answer) = if let (Some(true), Some(said)) = (o.name_fails(), denied(lookup)) {
        (
            text!(
                "headless Service {name} has no ready pod: its name has no address (pods there: {n})",
                "Headless Service {name} 没有就绪的 Pod：其域名没有地址（现有 {n} 个 Pod）"
            ),
            text!("{host}: no address ({said})", "{host}：没有地址（{said}）"),
        )
    } else if remembered(&o.addresses(), &pods) && !pods.iter().any(|p| came_up_lately(view, p)) {
        (
            text!(
                "headless Service {name} has no ready pod: its name loses its addresses as soon as the DNS forgets its last answer (pods there: {n})",
                "Headless Service {name} 没有就绪的 Pod：DNS 缓存中的旧应答一过期，其域名就没有地址（现有 {n} 个 Pod）"
            ),
            text!(
                "{host}: the addresses of pods that are not ready, from a cache",
                "{host}：来自缓存，是未就绪 Pod 的地址"
            ),
        )
    } else {
        return;
    };
    let f = out.broken(
        service.reference(),
        HopKind::Service,
        says,
        view.saw(HopKind::Name, lookup, answer),
    );
    f.and(view.fact(
        HopKind::Service,
        service,
        "EndpointSlices",
        ready_of_all(view),
    ));
    f.and(view.fact(
        HopKind::Service,
        service,
        "spec.publishNotReadyAddresses",
        Text::same("false"),
    ));
    f.then(text!("no pod is ready", "没有就绪的 Pod"))
        .then(text!(
            "DNS leaves pods out that are not ready",
            "DNS 不列出未就绪的 Pod"
        ))
        .then(text!(
            "the name of the headless Service has no address",
            "该 Headless Service 的域名没有地址"
        ));
    f.remedy(remedy(service, &pods));
}

/// Whether a name gives nothing but addresses of these pods.
fn remembered(given: &[IpAddr], pods: &[&Object]) -> bool {
    let of_pods: Vec<IpAddr> = pods.iter().flat_map(|p| addresses_of_pod(p)).collect();
    !given.is_empty() && given.iter().all(|a| of_pods.contains(a))
}

/// The answer code of a lookup that the server denied.
fn denied(lookup: &Answered) -> Option<&str> {
    let Answer::Lookup { queries, .. } = &lookup.answer else {
        return None;
    };
    let all = |r: &str| {
        queries
            .iter()
            .any(|q| q.outcome == Outcome::Answered && q.rcode == r)
    };
    ["NXDOMAIN", "NOERROR"].into_iter().find(|r| all(r))
}

fn remedy(service: &Object, pods: &[&Object]) -> Remedy {
    let name = service.name();
    if pods.iter().any(|p| is_running(p)) {
        return Remedy {
            safe: false,
            because: text!(
                "the pods run; where peers must find each other before they are ready, the Service has to publish them all the same",
                "Pod 在运行；若各成员必须先互相发现才能就绪，Service 就须在就绪前发布它们的地址"
            ),
            steps: vec![Step::Patch {
                object: service.reference(),
                strategic: false,
                patch: json!({"spec": {"publishNotReadyAddresses": true}}),
            }],
        };
    }
    Remedy {
        safe: false,
        because: text!("its pods do not run", "它的 Pod 没有运行"),
        steps: vec![Step::Ask {
            question: text!(
                "why do the pods of Service {name} not run? kubectl -n {} describe pods",
                "Service {name} 的 Pod 为何没有运行？kubectl -n {} describe pods",
                service.namespace()
            ),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

A headless Service (`clusterIP: None`) and what its name gives, the readiness of its endpoints,
`publishNotReadyAddresses`.

## What proves it

The DNS answers that the name has no address, or still gives those of pods that are not ready any more; pods are selected,
no endpoint is ready, and the Service does not publish pods that are not ready. With no pod at all it is another matter: `service-selects-no-pod`,
`workload-scaled-to-zero`.

## What to do

Find out why the pods are not ready. Where they wait for each other (a StatefulSet's peers), set
`publishNotReadyAddresses: true`: ready is what they become by meeting.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/queue, port: 5672}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: queue, namespace: shop}, spec: {selector: {app: queue}, clusterIP: None, ports: [{port: 5672}]}}
---
{kind: Pod, metadata: {name: queue-0, namespace: shop, labels: {app: queue}}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: queue-x, namespace: shop, labels: {kubernetes.io/service-name: queue}}, ports: [{port: 5672}], endpoints: [{addresses: [10.244.1.3], conditions: {ready: false}, targetRef: {kind: Pod, name: queue-0, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: queue.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: queue.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 200}], addresses: []}}}
```
```finding
headless-service-has-no-ready-pod shop/Service/queue
  because headless Service queue has no ready pod: its name has no address (pods there: 1)
```

The DNS still knows an old answer, whose pods are not ready any more: in some seconds it will not.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/queue, port: 5672}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: queue, namespace: shop}, spec: {selector: {app: queue}, clusterIP: None, ports: [{port: 5672}]}}
---
{kind: Pod, metadata: {name: queue-0, namespace: shop, labels: {app: queue}}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: queue-x, namespace: shop, labels: {kubernetes.io/service-name: queue}}, ports: [{port: 5672}], endpoints: [{addresses: [10.244.1.3], conditions: {ready: false}, targetRef: {kind: Pod, name: queue-0, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: queue.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: queue.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: ["10.244.1.3"], truncated: false, authoritative: true, rtt_us: 200}], addresses: [10.244.1.3]}}}
```
```finding
headless-service-has-no-ready-pod shop/Service/queue
  because headless Service queue has no ready pod: its name loses its addresses as soon as the DNS forgets its last answer (pods there: 1)
```

A headless Service may have no port, and then its EndpointSlices have none: the pod in them is ready.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/queue, port: 5672}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: queue, namespace: shop}, spec: {selector: {app: queue}, clusterIP: None}}
---
{kind: Pod, metadata: {name: queue-0, namespace: shop, labels: {app: queue}}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: queue-x, namespace: shop, labels: {kubernetes.io/service-name: queue}}, ports: null, endpoints: [{addresses: [10.244.1.3], conditions: {ready: true}, targetRef: {kind: Pod, name: queue-0, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: queue.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: queue.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NOERROR, answers: ["10.244.1.3"], truncated: false, authoritative: true, rtt_us: 200}], addresses: [10.244.1.3]}}}
```
```finding
```

Not ready, it is found without ports, too:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/queue, port: 5672}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: queue, namespace: shop}, spec: {selector: {app: queue}, clusterIP: None}}
---
{kind: Pod, metadata: {name: queue-0, namespace: shop, labels: {app: queue}}, status: {phase: Running, podIP: 10.244.1.3}}
---
{kind: EndpointSlice, metadata: {name: queue-x, namespace: shop, labels: {kubernetes.io/service-name: queue}}, ports: null, endpoints: [{addresses: [10.244.1.3], conditions: {ready: false}, targetRef: {kind: Pod, name: queue-0, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: queue.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: queue.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 200}], addresses: []}}}
```
```finding
headless-service-has-no-ready-pod shop/Service/queue
  because headless Service queue has no ready pod: its name has no address (pods there: 1)
```

It publishes them ready or not, so something else keeps the name from the client:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/queue, port: 5672}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: queue, namespace: shop}, spec: {selector: {app: queue}, clusterIP: None, publishNotReadyAddresses: true, ports: [{port: 5672}]}}
---
{kind: Pod, metadata: {name: queue-0, namespace: shop, labels: {app: queue}}, status: {phase: Running, podIP: 10.244.1.3}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: queue.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: queue.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 200}], addresses: []}}}
```
```finding
```

Nobody answered the query: that says nothing about the Service.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/queue, port: 5672}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: queue, namespace: shop}, spec: {selector: {app: queue}, clusterIP: None, ports: [{port: 5672}]}}
---
{kind: Pod, metadata: {name: queue-0, namespace: shop, labels: {app: queue}}, status: {phase: Running, podIP: 10.244.1.3}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: queue.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: queue.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 0}], addresses: []}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

域名没有地址的 Headless Service（`clusterIP: None`）、其端点是否就绪、`publishNotReadyAddresses`。

## 凭什么证实

DNS 应答说该域名没有地址，或仍给出已不再就绪的 Pod 的地址；Service 选中了 Pod，但没有就绪的端点；且它不发布未就绪的 Pod。若根本没有 Pod，则属于
`service-selects-no-pod` 或 `workload-scaled-to-zero`。

## 怎么办

查明 Pod 为何未就绪。若它们互相等待（StatefulSet 的成员），设置 `publishNotReadyAddresses: true`：它们要先相遇才能就绪。
"#;
