//! A node's connection tracking table is full: new connections are dropped (F52).

use crate::check::{Check, Findings, View};
use crate::checks::places::{loses, node, nodes};
use crate::probe::{Answer, Question};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;

/// The check.
pub const CHECK: Check = Check {
    id: "conntrack-table-full",
    title: "Connection tracking table of a node is full",
    title_zh: "节点的 conntrack 表已满",
    catalogue: &["F52"],
    layer: "L4",
    looks_at: &["Node", "Pod", "Service", "EndpointSlice"],
    after: &[],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    if !loses(view) {
        return;
    }
    for (name, hop) in nodes(view) {
        let Some(answered) = view.ask(view.node(&name), Question::Conntrack { to: None }) else {
            continue;
        };
        let Answer::Conntrack(table) = &answered.answer else {
            continue;
        };
        let (count, max) = (table.count, table.max);
        if max == 0 {
            continue;
        }
        let stat = |k: &str| table.stats.get(k).copied().unwrap_or(0);
        let (dropped, early) = (stat("drop"), stat("early_drop"));
        let shown = text!(
            "{count} of {max} entries; dropped {dropped}, evicted early {early}",
            "{max} 个条目中已用 {count} 个；丢弃 {dropped}，提前回收 {early}"
        );
        let seen = view.saw(hop, answered, shown);
        // A table at its end that dropped nothing has hurt nobody: the counter is the second half of the proof.
        let full = count.saturating_mul(100) >= max.saturating_mul(98);
        if !full || dropped == 0 {
            out.fine(
                node(&name),
                hop,
                text!(
                    "the conntrack table of node {name} has room: {count} of {max}",
                    "节点 {name} 的 conntrack 表还有空间：{count} / {max}"
                ),
                seen,
            );
            continue;
        }
        let says = text!(
            "the conntrack table of node {name} is full: {count} of {max} entries, {dropped} packets dropped",
            "节点 {name} 的 conntrack 表已满：{max} 个条目中已用 {count} 个，丢弃了 {dropped} 个报文"
        );
        let f = out.broken(node(&name), hop, says, seen);
        f.then(text!(
            "the table holds {max} connections",
            "该表最多容纳 {max} 个连接"
        ))
        .then(text!(
            "the first packet of a new connection finds no place and is dropped",
            "新连接的首个报文没有位置，被丢弃"
        ))
        .then(text!(
            "new connections over that node time out, those that stand go on",
            "经过该节点的新连接超时，已建立的连接不受影响"
        ));
        f.remedy(remedy(&name, max));
    }
}

fn remedy(name: &str, max: u64) -> Remedy {
    let set = format!("net.netfilter.nf_conntrack_max={}", max.saturating_mul(2));
    Remedy {
        safe: false,
        because: text!(
            "room for twice as many connections costs some 320 bytes each; kube-proxy sets the value again at its start (conntrack.maxPerCore), and who opens so many connections should be found",
            "容量翻倍，每个条目约占 320 字节；kube-proxy 启动时会重新设置该值（conntrack.maxPerCore），还应查明是谁打开了这么多连接"
        ),
        steps: vec![
            Step::OnNode {
                node: name.into(),
                argv: ["sysctl", "-w", &set].map(String::from).to_vec(),
            },
            Step::Ask {
                question: Text::new(
                    format!(
                        "who opens them? On node {name}: conntrack -L | awk '{{print $4, $5}}' | sort | uniq -c | sort -n | tail"
                    ),
                    format!(
                        "是谁打开的？在节点 {name} 上：conntrack -L | awk '{{print $4, $5}}' | sort | uniq -c | sort -n | tail"
                    ),
                ),
            },
        ],
    }
}

const PAGE: &str = r#"
## What it looks at

Size, limit and counters of the connection tracking table on the nodes that the failing traffic crosses.

## What proves it

Packets are lost without an answer, the table is at its limit (98 % and more), and the kernel counted packets that it dropped
for want of room. A table that is nearly full and dropped nothing is not the cause.

## What to do

Raise `net.netfilter.nf_conntrack_max`, and find out who opens so many connections.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: {conntrack: {to: null}}, answer: {conntrack: {count: 65535, max: 65536, stats: {drop: 912, early_drop: 4000}, entries: []}}}
```
```finding
conntrack-table-full Node/a
  because the conntrack table of node a is full: 65535 of 65536 entries, 912 packets dropped
```

Nearly full, but nothing was dropped:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: {conntrack: {to: null}}, answer: {conntrack: {count: 65000, max: 65536, stats: {drop: 0}, entries: []}}}
```
```finding
```

Packets were dropped some day, and there is room now:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80}]}}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.96.0.9:80", tries: 5, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: a}}, question: {conntrack: {to: null}}, answer: {conntrack: {count: 1200, max: 65536, stats: {drop: 912}, entries: []}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

失败流量所经节点的 conntrack 表：大小、上限与计数器。

## 凭什么证实

报文丢失且没有任何应答；表已到上限（98% 及以上）；且内核记录了因没有空间而丢弃的报文。表虽快满但没有丢弃过报文，则不是原因。

## 怎么办

调大 `net.netfilter.nf_conntrack_max`，并查明是谁打开了这么多连接。
"#;
