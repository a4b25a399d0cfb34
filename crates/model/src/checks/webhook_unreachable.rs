//! The control plane cannot reach an admission webhook, so pods are not made (F106).

use crate::check::{Check, Findings, View};
use crate::checks::behind::{events, nobody_ready, pods, ready_of_all, workloads};
use crate::object::{Object, ObjectRef, at};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;

/// The check.
pub const CHECK: Check = Check {
    id: "webhook-unreachable",
    title: "Control plane cannot reach an admission webhook",
    title_zh: "控制面无法访问准入 webhook",
    catalogue: &["F106"],
    layer: "L4",
    looks_at: &[
        "Service",
        "EndpointSlice",
        "Pod",
        "Event",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const KINDS: [&str; 2] = [
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
];

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(service) = nobody_ready(view) else {
        return;
    };
    if !pods(view, service).is_empty() {
        return;
    }
    for w in workloads(view, service) {
        let said = events(view, &w.reference())
            .into_iter()
            .find(|e| e.str("reason") == "FailedCreate");
        let Some((said, name, why)) =
            said.and_then(|e| failed_call(e.str("message")).map(|(n, y)| (e, n, y)))
        else {
            continue;
        };
        let found = configuration(view, name);
        let blamed = match found {
            Some((c, _)) => c.reference(),
            // Its configuration may not be read: what is known is its name, and not even of which of the two kinds it is.
            None => ObjectRef::new("Webhook", "", name),
        };
        let owner = view.topology.owner_of(w);
        let says = text!(
            "the API server cannot call the admission webhook {name} ({why}), so {owner} gets no pods",
            "API Server 无法调用准入 webhook {name}（{why}），因此 {owner} 无法创建 Pod"
        );
        let f = out.broken(
            blamed.clone(),
            HopKind::Backend,
            says,
            view.fact(
                HopKind::Backend,
                w,
                "events",
                Text::same(format!("FailedCreate: {}", said.str("message"))),
            ),
        );
        if let Some((c, hook)) = found {
            f.and(view.fact(HopKind::Backend, c, "webhooks", describe(hook)));
            if let Some(seen) = behind_it(view, hook) {
                f.and(seen);
            }
        } else {
            view.gap(
                text!(
                    "the configuration of webhook {name}",
                    "webhook {name} 的配置"
                ),
                text!(
                    "leave to list webhook configurations",
                    "列出 webhook 配置的权限"
                ),
                text!(
                    "kubectl auth can-i list validatingwebhookconfigurations",
                    "kubectl auth can-i list validatingwebhookconfigurations"
                ),
            );
        }
        f.and(view.fact(
            HopKind::Service,
            service,
            "EndpointSlices",
            ready_of_all(view),
        ));
        f.then(text!(
            "the webhook does not answer the API server",
            "webhook 不应答 API Server"
        ))
        .then(text!(
            "every write that it must see is refused",
            "凡需经过它的写操作都被拒绝"
        ))
        .then(text!(
            "no pod is made, the Service has no endpoint",
            "无法创建 Pod，Service 没有端点"
        ));
        f.remedy(remedy(name, found.map(|(_, h)| h), &blamed));
        return;
    }
}

/// Name and reason of `failed calling webhook "NAME": failed to call webhook: Post "URL": REASON`. A
/// webhook that was reached and said no writes `denied the request`: that is its good right.
fn failed_call(message: &str) -> Option<(&str, &str)> {
    let (_, rest) = message.split_once("failed calling webhook \"")?;
    let (name, rest) = rest.split_once('"')?;
    let why = rest.rsplit_once("\": ").map_or(rest, |(_, why)| why);
    Some((name, why.trim_start_matches([':', ' '])))
}

fn configuration<'a>(view: &View<'a>, name: &str) -> Option<(&'a Object, &'a serde_json::Value)> {
    KINDS.iter().find_map(|kind| {
        view.topology.all(kind).iter().find_map(|c| {
            let hook = c
                .list("webhooks")
                .iter()
                .find(|h| at(h, "name").as_str() == Some(name))?;
            Some((*c, hook))
        })
    })
}

fn describe(hook: &serde_json::Value) -> Text {
    let word = |k: &str| at(hook, k).as_str().unwrap_or("").to_string();
    let policy = Some(word("failurePolicy"))
        .filter(|p| !p.is_empty())
        .unwrap_or_else(|| "Fail".into());
    let (ns, service) = (
        word("clientConfig.service.namespace"),
        word("clientConfig.service.name"),
    );
    let port = at(hook, "clientConfig.service.port")
        .as_i64()
        .unwrap_or(443);
    let to = if service.is_empty() {
        word("clientConfig.url")
    } else {
        format!("{ns}/Service/{service}:{port}")
    };
    Text::same(format!("{to}, failurePolicy {policy}"))
}

/// The Service behind the webhook, as far as it may be read.
fn behind_it(view: &View<'_>, hook: &serde_json::Value) -> Option<crate::finding::Seen> {
    let word = |k: &str| at(hook, k).as_str().unwrap_or("");
    let (ns, name) = (
        word("clientConfig.service.namespace"),
        word("clientConfig.service.name"),
    );
    let service = view.topology.find("Service", ns, name)?;
    let port = at(hook, "clientConfig.service.port")
        .as_i64()
        .unwrap_or(443);
    let all = view.topology.endpoints(service, u16::try_from(port).ok()?);
    let (n, ready) = (all.len(), all.iter().filter(|e| e.ready).count());
    Some(view.fact(
        HopKind::Backend,
        service,
        "EndpointSlices",
        text!(
            "{ready} of {n} endpoints of port {port} ready",
            "端口 {port} 的 {n} 个端点中有 {ready} 个就绪"
        ),
    ))
}

fn remedy(name: &str, hook: Option<&serde_json::Value>, blamed: &ObjectRef) -> Remedy {
    let to = hook.map(describe).unwrap_or_else(|| Text::same(name));
    let leftover = match hook {
        Some(_) => text!(
            " If it is a leftover: kubectl delete {} {}",
            "若是遗留物：kubectl delete {} {}",
            blamed.kind.to_lowercase(),
            blamed.name
        ),
        None => Text::default(),
    };
    Remedy {
        safe: false,
        because: text!(
            "until the webhook answers, nothing that it must see can be made; failurePolicy Ignore lets writes pass unseen by it, which may be against its purpose",
            "webhook 恢复应答之前，凡需经过它的对象都无法创建；failurePolicy 设为 Ignore 会让写操作绕过它，可能违背其目的"
        ),
        steps: vec![Step::Ask {
            question: text!(
                "do the pods behind webhook {name} run ({to}), and may the control plane reach their port (a firewall often lets only 443 and 10250 through)?{leftover}",
                "webhook {name} 背后的 Pod 在运行吗（{to}）？控制面能否访问其端口（防火墙往往只放行 443 和 10250）？{leftover:#}"
            ),
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

A Service whose workload has no pod at all, what its controller says about making them, the webhook configurations, and the
endpoints of the webhook's own Service.

## What proves it

The latest FailedCreate event is the API server's word that it failed to *call* a webhook: no endpoints, refused, timeout. A
webhook that denies a request was reached; that is no such case.

## What to do

Bring the webhook's pods back or open the way from the control plane to their port; delete the configuration of one that is gone.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Deployment, metadata: {name: cart, namespace: shop}, spec: {replicas: 2, template: {metadata: {labels: {app: cart}}}}}
---
{kind: ReplicaSet, metadata: {name: cart-5d, namespace: shop, ownerReferences: [{kind: Deployment, name: cart, controller: true}]}, spec: {replicas: 2}}
---
{kind: ValidatingWebhookConfiguration, metadata: {name: gate}, webhooks: [{name: check.gate.example, failurePolicy: Fail, clientConfig: {service: {namespace: gate, name: gate, port: 443}}}]}
---
{kind: Event, metadata: {name: e1, namespace: shop}, involvedObject: {kind: ReplicaSet, namespace: shop, name: cart-5d}, reason: FailedCreate, message: "Error creating: Internal error occurred: failed calling webhook \"check.gate.example\": failed to call webhook: Post \"https://gate.gate.svc:443/check?timeout=10s\": context deadline exceeded"}
```
```finding
webhook-unreachable ValidatingWebhookConfiguration/gate
  because the API server cannot call the admission webhook check.gate.example (context deadline exceeded), so shop/Deployment/cart gets no pods
```

The webhook was reached and said no:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Deployment, metadata: {name: cart, namespace: shop}, spec: {replicas: 2, template: {metadata: {labels: {app: cart}}}}}
---
{kind: ReplicaSet, metadata: {name: cart-5d, namespace: shop, ownerReferences: [{kind: Deployment, name: cart, controller: true}]}, spec: {replicas: 2}}
---
{kind: Event, metadata: {name: e1, namespace: shop}, involvedObject: {kind: ReplicaSet, namespace: shop, name: cart-5d}, reason: FailedCreate, message: "Error creating: admission webhook \"check.gate.example\" denied the request: no owner label"}
```
```finding
```

Pods are there: whatever was said earlier is not why the Service is empty.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, status: {phase: Pending}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
---
{kind: Deployment, metadata: {name: cart, namespace: shop}, spec: {replicas: 2, template: {metadata: {labels: {app: cart}}}}}
---
{kind: Event, metadata: {name: e1, namespace: shop}, involvedObject: {kind: Deployment, namespace: shop, name: cart}, reason: FailedCreate, message: "failed calling webhook \"check.gate.example\": failed to call webhook: Post \"https://gate.gate.svc:443/check\": connection refused"}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

其工作负载一个 Pod 都没有的 Service、控制器对创建 Pod 的说明、webhook 配置，以及 webhook 自己的 Service 的端点。

## 凭什么证实

最新的 FailedCreate 事件是 API Server 说它*调用* webhook 失败：没有端点、被拒绝或超时。webhook 拒绝请求说明它可达，不属于此类。

## 怎么办

恢复 webhook 的 Pod，或打通控制面到其端口的路径；已不存在的 webhook，删除其配置。
"#;
