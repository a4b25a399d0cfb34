//! Pods serve, but their readiness probe asks elsewhere and fails, so the Service is empty (F27).

use crate::check::{Check, Findings, View};
use crate::checks::behind::{came_up_lately, condition, events, nobody_ready, pods, ready_of_all};
use crate::checks::places::template_patch;
use crate::finding::Seen;
use crate::object::{Object, at};
use crate::observe::{CONNECT_MS, HTTP_MS, attempts, requests};
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use crate::topology::{Endpoint, addresses_of_pod, is_running};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// The check.
pub const CHECK: Check = Check {
    id: "readiness-probe-fails",
    title: "Readiness probe fails though the application serves",
    title_zh: "应用在提供服务，但就绪探针失败",
    catalogue: &["F27"],
    layer: "L7",
    looks_at: &[
        "Service",
        "EndpointSlice",
        "Pod",
        "Event",
        "Deployment",
        "StatefulSet",
        "ReplicaSet",
    ],
    after: &[
        "memory-limit-below-working-set",
        "memory-grows-without-bound",
        "network-plugin-not-ready",
        "node-not-reporting",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

/// A readiness probe with its container and the port it asks, where it asks one.
struct Readiness<'a> {
    container: &'a str,
    kind: &'static str,
    body: &'a Value,
    port: Option<u16>,
}

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(service) = nobody_ready(view) else {
        return;
    };
    for pod in pods(view, service) {
        let unready = condition(pod, "Ready").is_some_and(|(status, ..)| status == "False");
        let Some(probe) = readiness(pod).filter(|_| is_running(pod) && unready && stays_up(pod))
        else {
            continue;
        };
        let Some((endpoint, serves)) = serving(view, pod) else {
            continue;
        };
        let tried = ask(view, pod, &probe);
        let wrong = tried.as_ref().and_then(|(a, _)| misses(a));
        let said = events(view, &pod.reference())
            .into_iter()
            .find(|e| e.str("reason") == "Unhealthy" && e.str("message").contains("eadiness"));
        // A headless Service has no address that could be empty: there the probe must be proven wrong.
        let headless = service.str("spec.clusterIP") == "None";
        // What it was asked before it served is no fault of the probe's, where it passes now.
        let was_early = tried.as_ref().is_some_and(|(a, _)| passes(a)) && came_up_lately(view, pod);
        if wrong.is_none() && (headless || said.is_none() || was_early) {
            continue;
        }
        let first = match (tried, said) {
            (Some((_, seen)), _) if wrong.is_some() => seen,
            (_, Some(e)) => view.fact(
                HopKind::Listener,
                pod,
                "events",
                Text::same(format!("{}: {}", e.str("reason"), e.str("message"))),
            ),
            _ => continue,
        };
        let said = said.filter(|_| wrong.is_some()).map(|e| {
            view.fact(
                HopKind::Listener,
                pod,
                "events",
                Text::same(e.str("message")),
            )
        });
        let owner = view.topology.owner_of(pod);
        let (does, how) = (
            probe.does(),
            wrong.unwrap_or_else(|| text!("it fails", "失败")),
        );
        let served = endpoint.port;
        let says = text!(
            "the readiness probe of {owner} {does}: {how}, while the application serves port {served}",
            "{owner} 的就绪探针{does:#}：{how:#}，而应用在端口 {served} 上提供服务"
        );
        let f = out.broken(owner, HopKind::Service, says, first);
        if let Some(seen) = said {
            f.and(seen);
        }
        f.and(view.saw(
            HopKind::Listener,
            serves,
            text!(
                "TCP connect to pod {} port {served}: answered",
                "TCP 连接 Pod {} 端口 {served}：有应答",
                pod.name()
            ),
        ));
        f.and(view.fact(
            HopKind::Service,
            service,
            "EndpointSlices",
            ready_of_all(view),
        ));
        f.then(text!("the readiness probe {does}", "就绪探针{does:#}"))
            .then(text!("the pod never becomes ready", "Pod 一直不就绪"))
            .then(text!(
                "the Service has no ready endpoint and refuses",
                "Service 没有就绪的端点，拒绝连接"
            ));
        f.remedy(remedy(view, pod, &probe, served));
        return;
    }
}

impl Readiness<'_> {
    /// What it does, as a verb.
    fn does(&self) -> Text {
        if self.kind == "exec" {
            return text!("runs a command in the container", "在容器内运行命令");
        }
        let asks = self.asks();
        text!("asks {asks}", "探测 {asks:#}")
    }

    fn asks(&self) -> Text {
        // A name that no port of the container has stays a name.
        let named = at(self.body, "port").as_str().unwrap_or("?");
        let port = self.port.map_or(named.to_string(), |p| p.to_string());
        match self.kind {
            "httpGet" => {
                let path = at(self.body, "path").as_str().unwrap_or("/");
                Text::same(format!("HTTP {path} :{port}"))
            }
            "grpc" => text!("gRPC port {port}", "gRPC 端口 {port}"),
            _ => text!("TCP port {port}", "TCP 端口 {port}"),
        }
    }
}

/// The first container with a readiness probe.
fn readiness(pod: &Object) -> Option<Readiness<'_>> {
    pod.list("spec.containers").iter().find_map(|c| {
        let container = at(c, "name").as_str().unwrap_or("");
        ["httpGet", "tcpSocket", "grpc", "exec"]
            .into_iter()
            .find_map(|kind| {
                let body = at(c, &format!("readinessProbe.{kind}"));
                let port = number(c, at(body, "port"));
                body.is_object().then_some(Readiness {
                    container,
                    kind,
                    body,
                    port,
                })
            })
    })
}

/// A port given by number or by a name of the container's ports.
fn number(container: &Value, port: &Value) -> Option<u16> {
    let n = port.as_i64().or_else(|| {
        let ports = at(container, "ports").as_array()?;
        ports
            .iter()
            .find(|p| at(p, "name") == port)
            .and_then(|p| at(p, "containerPort").as_i64())
    });
    u16::try_from(n?).ok()
}

/// All containers run, and none of them ended before: a pod that comes and goes is another matter.
fn stays_up(pod: &Object) -> bool {
    let all = pod.list("status.containerStatuses");
    all.iter().all(|s| {
        at(s, "state.waiting").is_null()
            && at(s, "state.terminated").is_null()
            && at(s, "lastState.terminated").is_null()
    })
}

/// The pod's endpoint of the Service, if it answers the client.
fn serving<'v, 'a>(view: &'v View<'a>, pod: &Object) -> Option<(&'v Endpoint, &'a Answered)> {
    let own = pod.reference();
    view.observed()
        .endpoints_that(Outcome::Answered)
        .into_iter()
        .find(|(e, _)| e.pod.as_ref() == Some(&own))
}

/// The probe's own question, put from the client.
fn ask<'a>(view: &View<'a>, pod: &Object, probe: &Readiness<'_>) -> Option<(&'a Answered, Seen)> {
    let address: IpAddr = addresses_of_pod(pod).into_iter().find(|a| {
        let own = &view.path.client_addresses;
        crate::checks::places::has_family(own, *a)
    })?;
    let to = SocketAddr::new(address, probe.port?);
    let question = match probe.kind {
        "httpGet" => Question::Http {
            to,
            host: address.to_string(),
            path: at(probe.body, "path").as_str().unwrap_or("/").into(),
            tls: at(probe.body, "scheme").as_str() == Some("HTTPS"),
            padding: 0,
            tries: 1,
            timeout_ms: HTTP_MS,
        },
        "tcpSocket" | "grpc" => Question::TcpConnect {
            to,
            tries: 1,
            timeout_ms: CONNECT_MS,
        },
        _ => return None,
    };
    let answered = view.ask(view.path.vantage(), question)?;
    let how = misses(answered).unwrap_or_else(|| text!("not refused", "未被拒绝"));
    let asks = probe.asks();
    let seen = view.saw(
        HopKind::Listener,
        answered,
        text!(
            "the readiness probe's question to pod {} ({asks}): {how}",
            "就绪探针对 Pod {} 的探测（{asks:#}）：{how:#}",
            pod.name()
        ),
    );
    Some((answered, seen))
}

/// How the answer shows that the probe asks the wrong thing: nothing listens there, or the application
/// knows no such path. A 5xx is the application's own word that it is not ready.
fn misses(answered: &Answered) -> Option<Text> {
    let refused = || text!("refused", "被拒绝");
    match &answered.answer {
        Answer::Http(_) => {
            let tries = requests(answered);
            if tries.iter().any(|r| r.outcome == Outcome::Refused) {
                return Some(refused());
            }
            tries
                .iter()
                .map(|r| r.status)
                .find(|s| (400..500).contains(s))
                .map(|s| Text::same(format!("HTTP {s}")))
        }
        Answer::TcpConnect(_) => attempts(answered)
            .iter()
            .any(|t| t.outcome == Outcome::Refused)
            .then(refused),
        _ => None,
    }
}

/// Whether an answer would make the probe pass.
fn passes(answered: &Answered) -> bool {
    match &answered.answer {
        Answer::Http(_) => requests(answered)
            .iter()
            .all(|r| r.outcome == Outcome::Answered && (200..400).contains(&r.status)),
        Answer::TcpConnect(_) => attempts(answered)
            .iter()
            .all(|t| t.outcome == Outcome::Answered),
        _ => false,
    }
}

fn remedy(view: &View<'_>, pod: &Object, probe: &Readiness<'_>, served: u16) -> Remedy {
    let owner = view.topology.owner_of(pod);
    let elsewhere = probe.port.is_some_and(|p| p != served);
    if elsewhere && matches!(probe.kind, "httpGet" | "tcpSocket") {
        let patch = json!({"containers": [{
            "name": probe.container,
            "readinessProbe": {probe.kind: {"port": served}},
        }]});
        return Remedy {
            safe: false,
            because: text!(
                "{served} is the port that the Service uses and the application serves",
                "{served} 是 Service 使用、应用也在提供服务的端口"
            ),
            steps: vec![Step::Patch {
                patch: template_patch(&owner, patch),
                object: owner,
                strategic: true,
            }],
        };
    }
    let (does, container) = (probe.does(), probe.container);
    Remedy {
        safe: false,
        because: text!(
            "the application serves, and only its owner knows by what it tells that it is ready",
            "应用在提供服务；只有其所有者知道应以什么判断就绪"
        ),
        steps: vec![Step::Ask {
            question: text!(
                "by what should the readiness probe of container {container} in {owner} tell that the application is ready? Now it {does}",
                "{owner} 中容器 {container} 的就绪探针应以什么判断应用已就绪？它现在{does:#}"
            ),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

A Service without ready endpoints whose pods run: their readiness probe, the events about it, and whether the
application answers on the Service's port.

## What proves it

The pod answers on the port that the Service uses, is not ready, and its probe's own question is refused or
gets a 4xx from the same client; or the kubelet reports that the readiness probe fails. Pods that crash are another matter.

## What to do

Point the probe at the port and path by which the application says that it is ready.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {containers: [{name: c, ports: [{containerPort: 8080}], readinessProbe: {httpGet: {path: /ready, port: 8081}}}]}, status: {phase: Running, podIP: 10.244.1.3, conditions: [{type: Ready, status: "False"}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], conditions: {ready: false}, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 90}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {http: {to: "10.244.1.3:8081", host: 10.244.1.3, path: /ready, tls: false, padding: 0, tries: 1, timeout_ms: 900}}, answer: {http: [{outcome: refused, phase: connect, status: 0, connect_us: 0, tls_us: 0, first_byte_us: 0, total_us: 60, retransmissions: 0, unacknowledged: 0}]}}
```
```finding
readiness-probe-fails shop/Pod/cart-1
  because the readiness probe of shop/Pod/cart-1 asks HTTP /ready :8081: refused, while the application serves port 8080
```

The application itself is silent: then the probe is right.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {containers: [{name: c, ports: [{containerPort: 8080}], readinessProbe: {httpGet: {path: /ready, port: 8080}}}]}, status: {phase: Running, podIP: 10.244.1.3, conditions: [{type: Ready, status: "False"}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], conditions: {ready: false}, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
---
{kind: Event, metadata: {name: e1, namespace: shop}, involvedObject: {kind: Pod, namespace: shop, name: cart-1}, reason: Unhealthy, message: "Readiness probe failed: dial tcp 10.244.1.3:8080: connect: connection refused"}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 90}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 70}]}}
```
```finding
```

The probe is a command, and the kubelet says what became of it:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {containers: [{name: c, ports: [{containerPort: 8080}], readinessProbe: {exec: {command: [/ready]}}}]}, status: {phase: Running, podIP: 10.244.1.3, conditions: [{type: Ready, status: "False"}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], conditions: {ready: false}, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
---
{kind: Event, metadata: {name: e1, namespace: shop}, involvedObject: {kind: Pod, namespace: shop, name: cart-1}, reason: Unhealthy, message: "Readiness probe failed: /ready: no such file"}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 90}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
```
```finding
readiness-probe-fails shop/Pod/cart-1
  because the readiness probe of shop/Pod/cart-1 runs a command in the container: it fails, while the application serves port 8080
```

It serves, and neither an event nor an answer to the probe's question was had:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {containers: [{name: c, ports: [{containerPort: 8080}], readinessProbe: {exec: {command: [/ready]}}}]}, status: {phase: Running, podIP: 10.244.1.3, conditions: [{type: Ready, status: "False"}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], conditions: {ready: false}, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 90}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
```
```finding
```

It was asked before the application served, seconds ago, and would pass now:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {containers: [{name: c, ports: [{containerPort: 8080}], readinessProbe: {httpGet: {path: /ready, port: 8081}}}]}, status: {phase: Running, podIP: 10.244.1.3, containerStatuses: [{name: c, state: {running: {startedAt: "2026-01-07T23:59:50Z"}}}], conditions: [{type: Ready, status: "False"}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], conditions: {ready: false}, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
---
{kind: Event, metadata: {name: e1, namespace: shop}, involvedObject: {kind: Pod, namespace: shop, name: cart-1}, reason: Unhealthy, message: "Readiness probe failed: dial tcp 10.244.1.3:8081: connect: connection refused"}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: refused, took_us: 90}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.1.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 70}]}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {http: {to: "10.244.1.3:8081", host: 10.244.1.3, path: /ready, tls: false, padding: 0, tries: 1, timeout_ms: 900}}, answer: {http: [{outcome: answered, phase: done, status: 200, connect_us: 0, tls_us: 0, first_byte_us: 0, total_us: 60, retransmissions: 0, unacknowledged: 0}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

没有就绪端点、而 Pod 在运行的 Service：其就绪探针、相关事件，以及应用是否在 Service 所用的端口上应答。

## 凭什么证实

Pod 在 Service 所用的端口上有应答，却未就绪；并且从同一客户端做探针同样的探测，被拒绝或得到 4xx，或者 kubelet 报告就绪探针
失败。崩溃的 Pod 属于其他问题。

## 怎么办

让探针指向应用用来表明就绪的端口和路径。
"#;
