//! A client is configured for a Service that does not exist (F26).

use crate::check::{Check, Findings, View};
use crate::checks::places::{dns_addresses, settings, template_patch};
use crate::object::{Object, ObjectRef, at, string_map};
use crate::path::{Destination, HopKind};
use crate::probe::{Answer, Answered, DnsReply, Outcome, Question};
use crate::remedy::{Remedy, Step};
use crate::symptom::nearest;
use crate::text;
use crate::text::Text;
use serde_json::{Value, json};

/// The check.
pub const CHECK: Check = Check {
    id: "service-does-not-exist",
    title: "Client is configured for a Service that does not exist",
    title_zh: "客户端配置的 Service 不存在",
    catalogue: &["F26"],
    layer: "L7",
    looks_at: &["Service", "Pod", "Deployment", "StatefulSet", "ReplicaSet"],
    after: &[
        "dns-has-no-ready-endpoints",
        "route-leads-to-no-service",
        "dns-policy-wrong",
        "policy-blocks-dns",
        "dns-cache-down",
        "policy-blocks-dns-cache",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (Destination::Service(missing), None) = (&view.path.conversation.to, view.path.service)
    else {
        return;
    };
    let o = view.observed();
    let (Some(lookup), Some(true)) = (o.lookup, o.name_fails()) else {
        return;
    };
    let Some(reply) = denied(view, lookup) else {
        return;
    };
    // What may not be read may be there all the same.
    if unread(view, &missing.namespace) {
        view.gap(
            text!(
                "whether Service {} exists in {}",
                "Service {} 在 {} 中是否存在",
                missing.name,
                missing.namespace
            ),
            text!("leave to list Services", "列出 Service 的权限"),
            text!(
                "kubectl auth can-i list services -n {0}",
                "kubectl auth can-i list services -n {0}",
                missing.namespace
            ),
        );
        return;
    }
    let (name, ns) = (&missing.name, &missing.namespace);
    // As the client says it, with its search list, the name may mean a host that is no Service.
    let short = if view.path.client.is_some_and(|c| c.namespace() == ns) {
        name.clone()
    } else {
        format!("{name}.{ns}")
    };
    let question = Question::Lookup {
        name: short.clone(),
        timeout_ms: crate::observe::DNS_MS,
    };
    let Some(as_said) = view.ask(view.path.vantage(), question) else {
        return;
    };
    if !matches!(&as_said.answer, Answer::Lookup { addresses, .. } if addresses.is_empty()) {
        return;
    }
    let says = text!(
        "there is no Service {name} in {ns}",
        "{ns} 中没有 Service {name}"
    );
    let (rcode, server) = (&reply.rcode, reply.server.ip());
    let host = &view.path.name;
    let f = out.broken(
        missing.clone(),
        HopKind::Name,
        says,
        view.saw(
            HopKind::Name,
            lookup,
            text!(
                "{host}: {rcode} from {server}",
                "{host}：{server} 返回 {rcode}"
            ),
        ),
    );
    f.and(view.saw(
        HopKind::Name,
        as_said,
        text!(
            "{short} with the client's search list: no address",
            "按客户端的搜索列表解析 {short}：没有地址"
        ),
    ));
    let there: Vec<&str> = view
        .topology
        .in_namespace("Service", ns)
        .map(Object::name)
        .collect();
    let setting = view.path.client.and_then(|c| Some((c, setting(c, name)?)));
    if let Some((client, (container, variable, value))) = &setting {
        f.and(view.fact(
            HopKind::Client,
            client,
            &format!("spec.containers.{container}"),
            Text::same(format!("{variable} {value}")),
        ));
    }
    f.then(text!("the client asks for {host}", "客户端请求 {host}"))
        .then(text!("no Service has that name", "没有 Service 叫这个名字"))
        .then(text!("the DNS says {rcode}", "DNS 返回 {rcode}"));
    f.remedy(remedy(view, missing, &there, setting.as_ref()));
}

/// The cluster DNS says that there is no such name.
fn denied<'a>(view: &View<'_>, lookup: &'a Answered) -> Option<&'a DnsReply> {
    let Answer::Lookup { queries, .. } = &lookup.answer else {
        return None;
    };
    let servers = dns_addresses(view);
    queries.iter().find(|q| {
        q.outcome == Outcome::Answered
            && q.rcode == "NXDOMAIN"
            && (servers.is_empty() || servers.contains(&q.server))
    })
}

/// Services of a namespace could not be read, all or in part.
fn unread(view: &View<'_>, ns: &str) -> bool {
    // Where those of the cluster were refused and these were not, there is none here.
    let some =
        !view.topology.all("Service").is_empty() || view.topology.unread("Service", "kube-system");
    !some || view.topology.unread("Service", ns)
}

type Setting = (String, String, String);

/// Container, variable and value that name the Service: `http://cart:80/`, `cart.shop:6379`.
fn setting(client: &Object, name: &str) -> Option<Setting> {
    settings(client).into_iter().find(|(_, _, value)| {
        value
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .any(|w| w == name)
    })
}

fn remedy(
    view: &View<'_>,
    missing: &ObjectRef,
    there: &[&str],
    setting: Option<&(&Object, Setting)>,
) -> Remedy {
    let (name, ns) = (&missing.name, &missing.namespace);
    if let Some(object) = made_anew(view, missing) {
        return Remedy {
            safe: false,
            because: text!(
                "a workload of that name is there and has lost its Service",
                "同名的工作负载还在，只是失去了它的 Service"
            ),
            steps: vec![Step::Create { object }],
        };
    }
    let near = nearest(name, there);
    if let ([right], Some((client, (container, variable, value)))) = (near.as_slice(), setting)
        && !["args", "command"].contains(&variable.as_str())
    {
        let owner = view.topology.owner_of(client);
        let env = json!([{"name": variable, "value": value.replacen(name.as_str(), right, 1)}]);
        return Remedy {
            safe: false,
            because: text!(
                "{right} is the Service there with the nearest name",
                "{right} 是那里名称最接近的 Service"
            ),
            steps: vec![Step::Patch {
                patch: template_patch(
                    &owner,
                    json!({"containers": [{"name": container, "env": env}]}),
                ),
                object: owner,
                strategic: true,
            }],
        };
    }
    let has = Text::names(there);
    Remedy {
        safe: false,
        because: text!("nothing there has a name like it", "那里没有名称相近的对象"),
        steps: vec![Step::Ask {
            question: text!(
                "was Service {name} deleted or renamed, or is another namespace meant? Services in {ns}: {has}",
                "Service {name} 是被删除、改名，还是本应指另一个命名空间？{ns} 中的 Service：{has:#}"
            ),
        }],
    }
}

/// The Service that a workload of the same name would have.
fn made_anew(view: &View<'_>, missing: &ObjectRef) -> Option<Value> {
    let workload = ["Deployment", "StatefulSet"]
        .into_iter()
        .find_map(|k| view.topology.find(k, &missing.namespace, &missing.name))?;
    let selector = string_map(workload.get("spec.selector.matchLabels"));
    let mut ports = workload
        .list("spec.template.spec.containers")
        .iter()
        .flat_map(|c| at(c, "ports").as_array().map(Vec::as_slice).unwrap_or(&[]))
        .filter_map(|p| at(p, "containerPort").as_i64());
    let target = ports.next()?;
    if selector.is_empty() || ports.next().is_some() {
        return None;
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": missing.name, "namespace": missing.namespace},
        "spec": {
            "selector": selector,
            "ports": [{"port": view.path.conversation.port, "targetPort": target}],
        },
    }))
}

const PAGE: &str = r#"
## What it looks at

A Service that a client's environment or arguments name, or that was asked for, and that is not among the
Services of its namespace.

## What proves it

The cluster DNS answers NXDOMAIN for its name, the name as the client says it has no address either, and no such
object is there. Where Services cannot be listed, nothing is said.

## What to do

Make the Service anew where its workload is still there; mend the client's setting where the Service was renamed.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {containers: [{name: c, env: [{name: CART_URL, value: "http://cart/"}]}]}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: carts, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 200}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart, timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: []}}}
```
```finding
service-does-not-exist shop/Service/cart
  because there is no Service cart in shop
```

The name as the client says it means a host that is no Service:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/metadata, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {containers: [{name: c, env: [{name: META, value: "http://metadata/"}]}]}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: carts, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: metadata.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: metadata.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 200}], addresses: []}}}
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: metadata, timeout_ms: 700}}, answer: {lookup: {queries: [], addresses: [169.254.169.254]}}}
```
```finding
```

Nobody answered: the Service may be there.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {containers: [{name: c, env: [{name: CART_URL, value: "http://cart/"}]}]}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: carts, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 0}], addresses: []}}}
```
```finding
```

Services could not be listed at all: what is not seen is not missing.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {containers: [{name: c, env: [{name: CART_URL, value: "http://cart/"}]}]}, status: {phase: Running, podIP: 10.244.1.2}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {lookup: {name: cart.shop.svc.cluster.local., timeout_ms: 700}}, answer: {lookup: {queries: [{name: cart.shop.svc.cluster.local, record: A, server: "10.96.0.10:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 200}], addresses: []}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

客户端的环境变量或参数中写明的、或被问到的 Service，而其命名空间的 Service 中没有它。

## 凭什么证实

集群 DNS 对其域名返回 NXDOMAIN，按客户端的写法也解析不到地址，且没有这个对象。若无权列出 Service，则什么也不说。

## 怎么办

若其工作负载还在，重新创建该 Service；若 Service 已改名，则改正客户端的配置。
"#;
