//! The memory limit of a Service's pods lies below what they need (F107).

use crate::check::{Check, Findings, View};
use crate::checks::memory::{self, Pressure};
use crate::finding::Finding;
use crate::growth::{Growth, mebibytes};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::text;

/// The check.
pub const CHECK: Check = Check {
    id: "memory-limit-below-working-set",
    title: "Memory limit below the working set of a Service's pods",
    title_zh: "内存上限低于服务 Pod 的工作集",
    catalogue: &["F107"],
    layer: "host",
    looks_at: &[
        "Service",
        "EndpointSlice",
        "Pod",
        "ReplicaSet",
        "Deployment",
    ],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(p) = memory::pressure(view) else {
        return memory::suspect(view, out);
    };
    let bound = match p.growth {
        Growth::Unbounded(_) => return,
        Growth::Bounded(bound) => Some(bound),
        Growth::Unsure | Growth::Untold => None,
    };
    let (limit, owner) = (mebibytes(p.limit), &p.owner);
    let says = text!(
        "the memory limit {limit} of {owner} lies below what its pods need: they are OOMKilled in turn and stall before",
        "{owner} 的内存上限 {limit} 低于其 Pod 所需：它们轮流被 OOMKilled，并在此之前停顿"
    );
    memory::rule_out_the_network(out, &p);
    let f = out.broken(p.owner.clone(), HopKind::Backend, says, p.first.clone());
    memory::tell(f, &p);
    // One that was raised to less than they need is raised further.
    let enough = p
        .raised
        .filter(|raised| bound.is_none_or(|bound| *raised > bound));
    match enough {
        Some(raised) => memory::wait(f, &p, raised),
        None => remedy(f, &p, bound),
    }
}

fn remedy(f: &mut Finding, p: &Pressure, bound: Option<u64>) {
    let (at_least, proposed, because) = match bound {
        Some(b) => {
            // They were seen to use all of the limit: what they need is not below it, whatever the fit says.
            let b = b.max(p.limit);
            let proposed = memory::round_up(b + b / 2);
            (
                b,
                proposed,
                text!(
                    "the growth bends towards about {}; half as much again, since processes stall long before their limit",
                    "增长趋向于约 {}；再加一半，因为进程在到达上限之前很久就会停顿",
                    mebibytes(b)
                ),
            )
        }
        None => {
            let b = p.limit + p.limit / 4;
            (
                b,
                memory::round_up(p.limit * 2),
                text!(
                    "the growth was seen up to the limit only, so the working set is above it by an unknown amount; twice the limit is the usual next step",
                    "只看到增长到上限为止，工作集超出多少未知；通常的下一步是把上限加倍"
                ),
            )
        }
    };
    let enough = text!(
        "a limit of at least {}, proposed {} because {because}; the rollout replaces the pods one by one",
        "上限至少 {}，建议 {}，因为{because:#}；滚动更新会逐个替换 Pod",
        mebibytes(at_least),
        mebibytes(proposed)
    );
    f.remedy(Remedy {
        safe: false,
        because: enough,
        steps: vec![
            Step::Patch { object: p.owner.clone(), strategic: true, patch: memory::limit_patch(&p.container, proposed) },
            Step::Ask {
                question: text!(
                    "is {} a sum the nodes and the budget can carry for each of the pods, or should the application's cache be bounded lower instead?",
                    "每个 Pod {} 是节点和预算能承受的吗？还是应当把应用的缓存上限调低？",
                    mebibytes(proposed)
                ),
            },
        ],
    });
}

const PAGE: &str = r#"
## What it looks at

Pods behind the Service: how their containers ended last, their memory limit, what the node accounts for
the living ones, and whether their accept queues overflow.

## What proves it

All of these together: a container of a pod behind the Service was OOMKilled within the last ten minutes;
a living sibling stands above 80 % of the limit (or hit it), or the killed one has not been started again and
every endpoint that fails is such a pod (or, fewer than those, one that is just being started or was ended by SIGKILL); handshakes or requests fail now; and the
growth of memory bends towards a bound, or nobody lives long enough to show how it grows. Where there is no network to ask (a dump), recent kills are told as a
risk. ICMP that is answered by the same pods rules the network out.

## What to do

Raise the limit above the bound. The bound is estimated from how the growth slows down. Where the workload's template has a
higher limit already, its rollout is waited for.

## Examples

An OOM a week ago, and the Service answers now: silence.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a, containers: [{name: cart, resources: {limits: {memory: 64Mi}}}]}, status: {phase: Running, podIP: 10.244.1.3, containerStatuses: [{name: cart, restartCount: 1, lastState: {terminated: {reason: OOMKilled, exitCode: 137, finishedAt: "2026-01-01T00:00:00Z"}}}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```finding
```

Killed a minute ago, the sibling almost full, one handshake of two lost:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Pod, metadata: {name: cart-1, namespace: shop, labels: {app: cart}}, spec: {nodeName: a, containers: [{name: cart, resources: {limits: {memory: 64Mi}}}]}, status: {phase: Running, podIP: 10.244.1.3, containerStatuses: [{name: cart, restartCount: 3, lastState: {terminated: {reason: OOMKilled, exitCode: 137, finishedAt: "2026-01-07T23:59:00Z"}}}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.1.3], nodeName: a, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: answered, took_us: 90}, {outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: {memory: {namespace: shop, pod: cart-1, watch_ms: 1400}}, answer: {memory: [{container: cart, accounted_by: cgroup v1, limit: 67108864, max_usage: 67108864, limit_hits: 40, age_ms: 4000, samples: [[0, 60000000], [400, 63000000]]}]}}
```
```finding
memory-limit-below-working-set shop/Pod/cart-1
  because the memory limit 64Mi of shop/Pod/cart-1 lies below what its pods need: they are OOMKilled in turn and stall before
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

Service 后面的 Pod：容器上次如何结束、内存上限、节点对存活容器的内存记账，以及它们的 accept 队列是否溢出。

## 凭什么证实

以下同时成立：该 Service 后面某个 Pod 的容器在最近十分钟内被 OOMKilled；某个存活的同类高于上限的 80 %（或已触及上限），
或者被杀的容器尚未重新启动、且失败的端点都是这样的 Pod（或为数更少的、正在启动或被 SIGKILL 结束的 Pod）；此刻握手或请求失败；内存增长趋向某个上界，或没有容器存活到足以看出增长方式。没有网络可问时（转储文件），近期的 OOMKilled 只报告为风险。若同样的 Pod 都
回应 ICMP，则排除网络问题。

## 怎么办

把上限提高到该上界之上。上界由增长放缓的方式估计。若工作负载的模板中已是更高的上限，则等待其滚动更新完成。
"#;
