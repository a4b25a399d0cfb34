//! The FORWARD chain of a node drops what no rule accepts (F57).

use crate::check::{Check, Findings, View};
use crate::checks::places::{dns_endpoints, has_family, loses, lost, node, nodes};
use crate::path::HopKind;
use crate::probe::{Answer, Question};
use crate::remedy::{Remedy, Step};
use crate::rules::{Blocker, Packet, TCP, UDP, Way, blockers_on};
use crate::text;
use netshoot_wire::nft::{Family, Table};
use std::net::{IpAddr, SocketAddr};

/// The check.
pub const CHECK: Check = Check {
    id: "forward-policy-drops",
    title: "FORWARD chain of a node drops what no rule accepts",
    title_zh: "节点 FORWARD 链默认策略为 DROP",
    catalogue: &["F57"],
    layer: "L3",
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
        let Some(answered) = view.ask(view.node(&name), Question::Rules) else {
            continue;
        };
        let Answer::Rules(tables) = &answered.answer else {
            continue;
        };
        let Some((packet, blocker)) = blocked(view, tables) else {
            continue;
        };
        let chain = format!("{} {}", blocker.rule.table, blocker.rule.chain);
        let (rule, src, dst) = (&blocker.rule, packet.src, packet.dst);
        let says = text!(
            "chain {chain} of node {name} has policy drop, and no rule there accepts {src} to {dst}",
            "节点 {name} 的链 {chain} 默认策略为 drop，且其中没有规则放行 {src} 到 {dst}"
        );
        let f = out.broken(
            node(&name),
            hop,
            says,
            view.saw(
                hop,
                answered,
                text!(
                    "{rule}: drop for {src} to {dst}:{}",
                    "{rule:#}：丢弃 {src} 到 {dst}:{} 的报文",
                    packet.dport.unwrap_or(0)
                ),
            ),
        );
        for (e, a) in lost(view).into_iter().take(1) {
            f.and(view.saw(
                HopKind::Path,
                a,
                text!(
                    "TCP connect to {}:{}: no answer",
                    "TCP 连接 {}:{}：无应答",
                    e.address,
                    e.port
                ),
            ));
        }
        f.then(text!("policy drop in {chain}", "{chain} 的默认策略为 drop"))
            .then(text!(
                "forwarded packets that no rule accepts are dropped without a word",
                "没有规则放行的转发报文被静默丢弃"
            ))
            .then(text!(
                "pods of that node reach nobody elsewhere and are not reached",
                "该节点上的 Pod 访问不到别处，也无法被访问"
            ));
        f.remedy(remedy(&name, &blocker));
    }
}

/// The first packet that ends at the policy of a chain on the node, and that chain.
fn blocked(view: &View<'_>, tables: &[Table]) -> Option<(Packet, Blocker)> {
    let policy = |b: &Blocker| b.certain && b.rule.handle.is_none() && b.rule.index.is_none();
    packets(view).into_iter().find_map(|p| {
        let mut all = blockers_on(tables, Way::Through, &p).into_iter();
        all.find(policy).map(|b| (p, b))
    })
}

/// First packets of the conversation (and of its name lookup, if that fails) as a node forwards them.
fn packets(view: &View<'_>) -> Vec<Packet> {
    let from = |to: IpAddr| {
        view.path
            .client_addresses
            .iter()
            .copied()
            .find(|a| a.is_ipv4() == to.is_ipv4())
    };
    let mut out: Vec<Packet> = lost(view)
        .iter()
        .filter_map(|(e, _)| {
            Some(Packet::new(
                from(e.address)?,
                SocketAddr::new(e.address, e.port),
                TCP,
            ))
        })
        .collect();
    if view.observed().name_fails() == Some(true) {
        let dns = dns_endpoints(view)
            .into_iter()
            .filter(|e| has_family(&view.path.client_addresses, e.address));
        out.extend(dns.filter_map(|e| {
            Some(Packet::new(
                from(e.address)?,
                SocketAddr::new(e.address, e.port),
                UDP,
            ))
        }));
    }
    // The way back needs accepting too; replies are established, which most firewalls let through.
    out.truncate(6);
    out
}

fn remedy(name: &str, b: &Blocker) -> Remedy {
    let argv: Vec<&str> = match (b.rule.family, b.rule.table.as_str(), b.rule.chain.as_str()) {
        (Family::Ip, "filter", "FORWARD") => vec!["iptables", "-P", "FORWARD", "ACCEPT"],
        (Family::Ip6, "filter", "FORWARD") => vec!["ip6tables", "-P", "FORWARD", "ACCEPT"],
        _ => Vec::new(),
    };
    let argv: Vec<String> = if argv.is_empty() {
        let family = b.rule.family.name();
        [
            "nft",
            "chain",
            family,
            &b.rule.table,
            &b.rule.chain,
            "{ policy accept ; }",
        ]
        .map(String::from)
        .to_vec()
    } else {
        argv.into_iter().map(String::from).collect()
    };
    Remedy {
        safe: false,
        because: text!(
            "everything is forwarded then; narrower is a rule that accepts the pod networks. What set the policy (Docker does, when it starts) will set it again",
            "此后一切报文都会被转发；更精确的做法是添加放行 Pod 网段的规则。当初设置该策略的程序（如启动时的 Docker）还会再次设置它"
        ),
        steps: vec![Step::OnNode {
            node: name.into(),
            argv,
        }],
    }
}

const PAGE: &str = r#"
## What it looks at

The packet-filter rules of the nodes that the failing traffic crosses, walked with its own packets.

## What proves it

Packets are lost without an answer, and on a node they cross they fall through a base chain at the forward
hook whose policy is drop. A rule that drops them (a NetworkPolicy's, a firewall's) is another matter.

## What to do

Accept the pod networks there, or set the policy to accept; and find out what sets it.

## Examples

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: b}}, question: rules, answer: {rules: [{family: ip, name: filter, chains: [{name: FORWARD, hook: {kind: filter, point: forward, priority: 0, policy_drop: true}}], sets: []}]}}
```
```finding
forward-policy-drops Node/b
  because chain filter FORWARD of node b has policy drop, and no rule there accepts 10.244.1.2 to 10.244.2.3
```

A rule accepts everything before the policy is asked:

```cluster
ask: {from: Pod shop/web-1, to: Service shop/cart, port: 80}
---
{kind: Pod, metadata: {name: web-1, namespace: shop}, spec: {nodeName: a}, status: {phase: Running, podIP: 10.244.1.2}}
---
{kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, clusterIP: 10.96.0.9, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: EndpointSlice, metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}, ports: [{port: 8080}], endpoints: [{addresses: [10.244.2.3], nodeName: b, targetRef: {kind: Pod, name: cart-1, namespace: shop}}]}
```
```evidence
- {from: {pod: {namespace: shop, name: web-1}}, question: {tcp_connect: {to: "10.244.2.3:8080", tries: 1, timeout_ms: 700}}, answer: {tcp_connect: [{outcome: silent, took_us: 700000}]}}
- {from: {node: {name: b}}, question: rules, answer: {rules: [{family: ip, name: filter, chains: [{name: FORWARD, hook: {kind: filter, point: forward, priority: 0, policy_drop: true}, rules: [{exprs: [{verdict: accept}]}]}], sets: []}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

失败流量所经节点的包过滤规则，用该流量自身的报文逐条推演。

## 凭什么证实

报文丢失且无应答，并且在所经的某个节点上，报文一直落到 forward 钩子上默认策略为 drop 的基链末尾。若是某条规则丢弃了它们（NetworkPolicy 或防火墙的规则），则属于另一种情况。

## 怎么办

在那里放行 Pod 网段，或把默认策略设为 accept；并查明是谁设置了它。
"#;
