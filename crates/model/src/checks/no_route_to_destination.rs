//! No route leads to the host, or a router on the way says so.

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{
    all_ended, ask, here, holds, host, link_trouble, links, route, states, subject, way,
};
use crate::finding::Seen;
use crate::observe::attempts;
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Link, Outcome, Question, Route};
use crate::text;
use crate::text::Text;
use std::net::IpAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "no-route-to-destination",
    title: "Host is unreachable: no route leads there",
    title_zh: "主机不可达：没有到达它的路由",
    catalogue: &[],
    layer: "L3",
    looks_at: &[],
    after: &[
        "policy-denies-by-default",
        "ip-forwarding-off",
        "forward-policy-drops",
        "link-down",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(name) = host(view) else { return };
    let Some((to, connect)) = all_ended(view, Outcome::Unreachable) else {
        return;
    };
    let Some((decision, found)) = route(view, to.ip()) else {
        return;
    };
    let errors: Vec<&str> = attempts(connect)
        .iter()
        .map(|t| t.detail.as_str())
        .collect();
    let error = errors.first().copied().unwrap_or_default();
    let tried = view.saw(
        HopKind::ClientNode,
        connect,
        text!(
            "TCP connect to {to}: unreachable ({error})",
            "TCP 连接 {to}：不可达（{error}）"
        ),
    );
    match found {
        None => no_route(view, out, name, to.ip(), decision, tried),
        Some(r) => {
            let (says, seen) = on_the_way(view, to.ip(), r, error);
            let hop = HopKind::Path;
            let f = out.broken(subject(name), hop, says.clone(), tried);
            let (to, way, link) = (to.ip(), way(r), &r.interface);
            let goes = text!("{to} goes out {way}", "到 {to} 的报文从 {way:#} 发出");
            f.and(view.saw(hop, decision, goes));
            if let Some(seen) = seen {
                f.and(seen);
            }
            f.then(says).then(text!(
                "the connection ends before it reaches the host",
                "连接在到达主机之前就已终止"
            ));
            f.remedy(ask(
                text!(
                    "this host sends; what comes after it says no",
                    "本机已经发出；拒绝来自其后的设备"
                ),
                vec![text!(
                    "where does the way end? mtr -n {to}; ip neigh show dev {link}",
                    "路径在哪里中断？查看：mtr -n {to}；ip neigh show dev {link}"
                )],
            ));
        }
    }
}

fn no_route(
    view: &View<'_>,
    out: &mut Findings,
    name: &str,
    to: IpAddr,
    decision: &Answered,
    tried: Seen,
) {
    let here = here(view);
    let why = reason(view, to);
    let tail = match &why {
        Some((why, _)) => text!(": {why}", "：{why:#}"),
        None => Text::default(),
    };
    let says = text!(
        "no route leads from {here} to {to}{tail}",
        "没有到 {to} 的路由（自 {here:#}）{tail:#}"
    );
    let shown = text!("no route to {to}", "没有到 {to} 的路由");
    let shown = view.saw(HopKind::ClientNode, decision, shown);
    let f = out.broken(subject(name), HopKind::ClientNode, says, shown);
    f.and(tried);
    if let Some((why, seen)) = why {
        f.and(seen).then(why);
    }
    f.then(text!(
        "the kernel has no way to {to}",
        "内核没有通往 {to} 的路径"
    ))
    .then(text!(
        "it refuses to send, and the application hears \"unreachable\"",
        "内核拒绝发送，应用得到“不可达”错误"
    ));
    let (family, bits) = if to.is_ipv4() {
        ("-4", 32)
    } else {
        ("-6", 128)
    };
    f.remedy(ask(
        text!(
            "packets leave only where a route leads",
            "只有存在路由，报文才能发出"
        ),
        vec![text!(
            "which router leads to {to}? Look at: ip {family} route; ip -br addr; then: ip {family} route add {to}/{bits} via ROUTER",
            "通往 {to} 的是哪台路由器？查看：ip {family} route；ip -br addr；然后：ip {family} route add {to}/{bits} via ROUTER"
        )],
    ));
}

/// Why no route leads there: one that throws away, or links that are down.
fn reason(view: &View<'_>, to: IpAddr) -> Option<(Text, Seen)> {
    let vantage = view.path.vantage();
    if let Some(answered) = view.ask(vantage, Question::Routes)
        && let Answer::Routes(all) = &answered.answer
        && let Some(r) = all
            .iter()
            .find(|r| throws_away(&r.kind) && holds(&r.to, to))
    {
        let route = format!("{} {}", r.kind, r.to);
        let why = text!("the route {route} takes it", "它命中路由 {route}");
        let seen = view.saw(HopKind::ClientNode, answered, Text::same(route));
        return Some((why, seen));
    }
    let (answered, links) = links(view)?;
    let others: Vec<&Link> = links.iter().filter(|l| l.name != "lo").collect();
    let works = |l: &&&Link| l.up && l.carrier && !l.addresses.is_empty();
    let leads = |l: &&&Link| l.addresses.iter().any(|a| holds(a, to));
    let down = |l: &&&Link| !l.up || !l.carrier;
    let any = others.iter().find(works).is_some();
    let blamed = others
        .iter()
        .filter(down)
        .find(leads)
        .or_else(|| others.iter().find(|l| !any && down(l)));
    let why = match blamed.map(|l| (l.up, &l.name)) {
        Some((false, name)) => text!("link {name} is down", "接口 {name} 已关闭"),
        Some((true, name)) => text!("link {name} has no carrier", "接口 {name} 没有载波"),
        None if others.is_empty() => text!("there is no link but lo", "除 lo 外没有其他接口"),
        None if !any => text!("no link has an address", "没有接口配置地址"),
        None => return None,
    };
    let seen = view.saw(HopKind::ClientNode, answered, states(links));
    Some((why, seen))
}

fn throws_away(kind: &str) -> bool {
    matches!(kind, "blackhole" | "unreachable" | "prohibit")
}

/// A route is there: the neighbour does not answer, or somebody on the way says no.
fn on_the_way(view: &View<'_>, to: IpAddr, r: &Route, error: &str) -> (Text, Option<Seen>) {
    if let Some((why, seen)) = link_trouble(view, r) {
        let says = text!(
            "{why}, and the route to {to} goes out there",
            "{why:#}，而到 {to} 的路由由此发出"
        );
        return (says, Some(seen));
    }
    let next = r.via.unwrap_or(to);
    if let Some(answered) = view.ask(view.path.vantage(), Question::Neighbours)
        && let Answer::Neighbours(all) = &answered.answer
        && let Some(n) = all.iter().find(|n| {
            n.address == Some(next) && ["FAILED", "INCOMPLETE"].contains(&n.state.as_str())
        })
    {
        let who = if r.via.is_some() {
            text!("router", "路由器")
        } else {
            text!("host", "主机")
        };
        let how = if next.is_ipv4() {
            Text::same("ARP")
        } else {
            text!("neighbour discovery", "邻居发现")
        };
        let (link, state) = (&n.interface, &n.state);
        let seen = text!("{next} on {link}: {state}", "{link} 上的 {next}：{state}");
        let says = text!(
            "{who} {next} does not answer {how} on {}",
            "{who:#} {next} 没有应答 {} 上的 {how:#}",
            r.interface
        );
        return (says, Some(view.saw(HopKind::Path, answered, seen)));
    }
    let way = way(r);
    let says = text!(
        "{to} is said to be unreachable ({error}), though a route leads there: {way}",
        "{to} 被报告为不可达（{error}），尽管存在到它的路由：{way:#}"
    );
    (says, None)
}

const PAGE: &str = r#"
## What it looks at

The kernel's route decision for the host's address, routes that throw packets away, the links, and the neighbour that is the next hop.

## What proves it

Every connection ends as unreachable, and no route leads there; or one does, and the next hop does not answer, or a router says no.

## What to do

Bring the link up or add the route; where a router on the way says no, look there.

## Examples

```cluster
ask: {to: Host 192.0.2.7, port: 443, tls: true}
```
```evidence
- {from: here, question: {tcp_connect: {to: "192.0.2.7:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: unreachable, took_us: 30, detail: Network is unreachable}]}}
- {from: here, question: {route_to: {to: 192.0.2.7}}, answer: {route_to: null}}
- {from: here, question: routes, answer: {routes: []}}
- {from: here, question: links, answer: {links: [{index: 1, name: lo, up: true, carrier: true}, {index: 2, name: eth0, up: false, addresses: [192.0.2.2/24]}]}}
```
```finding
no-route-to-destination Host/192.0.2.7
  because no route leads from this host to 192.0.2.7: link eth0 is down
```

```cluster
ask: {to: Host 192.0.2.7, port: 443, tls: true}
```
```evidence
- {from: here, question: {tcp_connect: {to: "192.0.2.7:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: unreachable, took_us: 30, detail: Invalid argument}]}}
- {from: here, question: {route_to: {to: 192.0.2.7}}, answer: {route_to: null}}
- {from: here, question: routes, answer: {routes: [{to: 192.0.2.0/24, kind: blackhole}]}}
```
```finding
no-route-to-destination Host/192.0.2.7
  because no route leads from this host to 192.0.2.7: the route blackhole 192.0.2.0/24 takes it
```

One address of two that cannot be reached is passed over, as clients do:

```cluster
ask: {to: Host api.example.test, port: 443, tls: true}
```
```evidence
- {from: here, question: {lookup: {name: api.example.test, timeout_ms: 2000}}, answer: {lookup: {queries: [], addresses: ["2001:db8::7", 192.0.2.7]}}}
- {from: here, question: {tcp_connect: {to: "[2001:db8::7]:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: unreachable, took_us: 30}]}}
- {from: here, question: {tcp_connect: {to: "192.0.2.7:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: answered, took_us: 30}]}}
- {from: here, question: {route_to: {to: "2001:db8::7"}}, answer: {route_to: null}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

内核对该主机地址的路由决策、会丢弃报文的路由、网络接口，以及作为下一跳的邻居。

## 凭什么证实

每次连接都以不可达告终，且没有到它的路由；或者路由存在，但下一跳不应答，或由某台路由器拒绝。

## 怎么办

启用接口或添加路由；若是路径上的路由器拒绝，则到那里检查。
"#;
