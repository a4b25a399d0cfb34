//! A memory leak behind the same symptom (F108).

use crate::check::{Check, Findings, View};
use crate::checks::memory;
use crate::growth::{Growth, mebibytes};
use crate::path::HopKind;
use crate::remedy::{Remedy, Step};
use crate::text;

/// The check.
pub const CHECK: Check = Check {
    id: "memory-grows-without-bound",
    title: "Memory of a Service's pods grows without bound",
    title_zh: "服务 Pod 的内存无上界增长（泄漏）",
    catalogue: &["F108"],
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
        return;
    };
    let Growth::Unbounded(speed) = p.growth else {
        return;
    };
    let says = text!(
        "memory of {} grows by {}/s without bending until the limit {} kills the pods in turn: a leak",
        "{} 的内存以 {}/s 持续增长、毫不放缓，直到上限 {} 使 Pod 轮流被杀：内存泄漏",
        p.owner,
        mebibytes(speed),
        mebibytes(p.limit)
    );
    memory::rule_out_the_network(out, &p);
    let f = out.broken(p.owner.clone(), HopKind::Backend, says, p.first.clone());
    memory::tell(f, &p);
    if let Some(raised) = p.raised {
        return memory::wait(f, &p, raised);
    }
    let proposed = memory::round_up(p.limit * 2);
    f.remedy(Remedy {
        safe: false,
        because: text!(
            "a delay, not a cure: with {} each pod lives about {} times as long before it is killed again; the leak itself must be mended in the application",
            "这是拖延而非治愈：上限为 {} 时，每个 Pod 再次被杀之前的寿命约为原来的 {} 倍；泄漏本身必须在应用中修复",
            mebibytes(proposed),
            proposed / p.limit.max(1)
        ),
        steps: vec![
            Step::Patch { object: p.owner.clone(), strategic: true, patch: memory::limit_patch(&p.container, proposed) },
            Step::Ask {
                question: text!(
                    "what does {} keep for every request and never give back? A heap profile of a pod shortly before the limit shows it",
                    "{} 为每个请求保留了什么而从不归还？在接近上限时对某个 Pod 做堆剖析即可看出",
                    p.owner
                ),
            },
        ],
    });
}

const PAGE: &str = r#"
## What it looks at

The same pods, limits and memory samples as `memory-limit-below-working-set`.

## What proves it

Everything that proves that check, but the speed of growth does not fall with the fill level: over the
range from 20 % to 80 % of the limit it falls by little more than a fifth at most. Where few pods were seen
to grow, or unevenly, they are watched for three seconds more before that is said.

## What to do

Mend the leak. A higher limit only moves the kill; it is offered as a delay.

## Examples

No pod was ever killed: silence, however the memory looks.

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
```
```finding
```

A steady 15 MiB/s, whatever the fill level:

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
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: {memory: {namespace: shop, pod: cart-1, watch_ms: 1400}}, answer: {memory: [{container: cart, accounted_by: cgroup v1, limit: 67108864, max_usage: 67108864, limit_hits: 40, age_ms: 4000, samples: [[0, 10000000], [400, 16000000], [800, 22000000], [1200, 28000000], [1600, 34000000], [2000, 40000000]]}]}}
```
```finding
memory-grows-without-bound shop/Pod/cart-1
  because memory of shop/Pod/cart-1 grows by 15Mi/s without bending until the limit 64Mi kills the pods in turn: a leak
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

与 `memory-limit-below-working-set` 相同的 Pod、上限和内存采样。

## 凭什么证实

该检查的全部证据都成立，但增长速度不随占用量下降：从上限的 20 % 到 80 %，速度至多下降略多于五分之一。若看到增长的 Pod
很少或速度不均，先再观察三秒才下结论。

## 怎么办

修复泄漏。提高上限只是推迟被杀的时刻，因此只作为拖延手段给出。
"#;
