//! The host's port gives no answer at all, though a route leads there.

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{
    all_ended, ask, host, link_trouble, route, route_is_there, subject, way,
};
use crate::observe::{attempts, tally};
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Neighbour, Outcome, Question, Route};
use crate::text;
use crate::text::Text;
use std::net::IpAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "port-is-silent",
    title: "Host's port gives no answer",
    title_zh: "主机端口没有任何应答",
    catalogue: &[],
    layer: "L4",
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
    let Some((to, connect)) = all_ended(view, Outcome::Silent) else {
        return;
    };
    let Some((decision, Some(r))) = route(view, to.ip()) else {
        return;
    };
    if let Some((why, seen)) = link_trouble(view, r) {
        let says = text!(
            "{to} gives no answer: {why}, and the route there goes out of it",
            "{to} 没有应答：{why:#}，而去往那里的路由正从它发出"
        );
        let f = out.broken(subject(name), HopKind::ClientNode, says, seen);
        f.and(view.saw(HopKind::ClientNode, decision, goes_out(to.ip(), r)));
        f.then(why)
            .then(text!("no packet leaves by it", "没有报文能从它发出"));
        f.remedy(ask(
            text!("the link carries nothing", "该接口无法传输"),
            vec![text!(
                "is the cable in, the other end up? ip link show dev {0}; ip link set dev {0} up",
                "网线插好了吗？对端启用了吗？ip link show dev {0}; ip link set dev {0} up",
                r.interface
            )],
        ));
        return;
    }
    route_is_there(view, out, name, to.ip(), decision, r);
    let echo = view.ask(
        view.path.vantage(),
        Question::Echo {
            to: to.ip(),
            count: 3,
            timeout_ms: 1000,
        },
    );
    let gone = dead_neighbour(view, to.ip(), r);
    let alive = echo.is_some_and(|a| attempts(a).iter().any(|t| t.outcome == Outcome::Answered));
    let (port, way) = (to.port(), way(r));
    let (says, why, todo) = if let Some((_, n)) = gone {
        let next = n.address.unwrap_or(to.ip());
        let who = if r.via.is_some() {
            text!("router", "路由器")
        } else {
            text!("host", "主机")
        };
        (
            text!(
                "{to} gives no answer: {who} {next} does not answer on {}",
                "{to} 没有应答：{who:#} {next} 在 {} 上没有回应",
                r.interface
            ),
            text!(
                "packets cannot leave: nobody says to which hardware address",
                "报文发不出去：没有人告知硬件地址"
            ),
            text!(
                "is {next} up, and on the same segment as {0}? ip neigh show dev {0}",
                "{next} 是否开机，并与 {0} 在同一网段？ip neigh show dev {0}",
                r.interface
            ),
        )
    } else if alive {
        (
            text!(
                "{to} gives no answer, though {} answers ICMP: a firewall drops port {port}, or the server's accept queue is full",
                "{to} 没有应答，但 {} 回应 ICMP：防火墙丢弃了端口 {port}，或服务端的 accept 队列已满",
                to.ip()
            ),
            text!(
                "the host and the way to it are proven good by the echo",
                "ICMP 回应证明主机和路径正常"
            ),
            text!(
                "on the host: does a firewall drop port {port} (nft list ruleset), is its queue full (ss -ltn 'sport = :{port}')? On the way: mtr -n -T -P {port} {}",
                "在主机上：防火墙是否丢弃端口 {port}（nft list ruleset）？队列是否已满（ss -ltn 'sport = :{port}'）？途中：mtr -n -T -P {port} {}",
                to.ip()
            ),
        )
    } else if echo.is_some() {
        (
            text!(
                "{to} gives no answer, and {} answers no ICMP either: the host is down, or something on the way drops packets",
                "{to} 没有应答，{} 也不回应 ICMP：主机已停机，或途中有设备丢包",
                to.ip()
            ),
            text!(
                "nothing at all came back from there",
                "那里没有任何报文返回"
            ),
            text!(
                "is the host up? Where does the way end? mtr -n -T -P {port} {}",
                "主机是否开机？路径在哪里中断？mtr -n -T -P {port} {}",
                to.ip()
            ),
        )
    } else {
        (
            text!(
                "{to} gives no answer, though a route leads there: {way}",
                "{to} 没有应答，尽管有路由通往那里：{way:#}"
            ),
            text!(
                "whether the host is up could not be asked: ICMP needs CAP_NET_RAW",
                "无法得知主机是否开机：ICMP 需要 CAP_NET_RAW"
            ),
            text!(
                "does the host answer? ping {}",
                "主机有回应吗？ping {}",
                to.ip()
            ),
        )
    };
    let outcomes = tally(attempts(connect).iter().map(|t| t.outcome));
    let seen = view.saw(
        HopKind::Path,
        connect,
        text!(
            "TCP connect to {to}: {outcomes}",
            "TCP 连接 {to}：{outcomes:#}"
        ),
    );
    let f = out.broken(subject(name), HopKind::Path, says, seen);
    f.and(view.saw(HopKind::Path, decision, goes_out(to.ip(), r)));
    if let Some(a) = echo {
        let outcomes = tally(attempts(a).iter().map(|t| t.outcome));
        f.and(view.saw(
            HopKind::Path,
            a,
            text!(
                "ICMP echo to {}: {outcomes}",
                "ICMP echo 到 {}：{outcomes:#}",
                to.ip()
            ),
        ));
    }
    if let Some((a, n)) = gone {
        let next = n.address.unwrap_or(to.ip());
        f.and(view.saw(
            HopKind::Path,
            a,
            text!(
                "neighbour {next} on {on}: {state}",
                "{on} 上的邻居 {next}：{state}",
                on = n.interface,
                state = n.state
            ),
        ));
    }
    f.then(text!(
        "SYNs to {to} go out {way}",
        "到 {to} 的 SYN 从 {way:#} 发出"
    ))
    .then(text!(
        "neither SYN-ACK nor RST nor ICMP error comes back",
        "没有 SYN-ACK、RST 或 ICMP 错误返回"
    ));
    f.remedy(ask(why, vec![todo]));
}

fn goes_out(to: IpAddr, r: &Route) -> Text {
    let way = way(r);
    text!("{to} goes out {way}", "{to} 从 {way:#} 发出")
}

/// The next hop, if the kernel asked for its hardware address in vain.
fn dead_neighbour<'a>(
    view: &View<'a>,
    to: IpAddr,
    r: &Route,
) -> Option<(&'a Answered, &'a Neighbour)> {
    let next = r.via.unwrap_or(to);
    let answered = view.ask(view.path.vantage(), Question::Neighbours)?;
    let Answer::Neighbours(all) = &answered.answer else {
        return None;
    };
    let n = all.iter().find(|n| {
        n.address == Some(next)
            && n.interface == r.interface
            && ["FAILED", "INCOMPLETE"].contains(&n.state.as_str())
    })?;
    Some((answered, n))
}

const PAGE: &str = r#"
## What it looks at

Handshakes with the host, the route to it, the neighbour that is the next hop, and an ICMP echo.

## What proves it

Every connection stays without answer though a route leads there. The echo tells whether the host is up: then a firewall or a full queue drops the SYN; else the host is down or filtered.

## What to do

Look at the firewalls on the host and on the way; `mtr` with TCP shows where packets end.

## Examples

```cluster
ask: {to: Host 192.0.2.7, port: 443, tls: true}
```
```evidence
- {from: here, question: {tcp_connect: {to: "192.0.2.7:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: silent, took_us: 2000000}]}}
- {from: here, question: {route_to: {to: 192.0.2.7}}, answer: {route_to: {to: default, interface: eth0, via: 198.51.100.1, kind: unicast}}}
- {from: here, question: {echo: {to: 192.0.2.7, count: 3, timeout_ms: 1000}}, answer: {echo: [{outcome: answered, took_us: 900}]}}
```
```finding
port-is-silent Host/192.0.2.7
  because 192.0.2.7:443 gives no answer, though 192.0.2.7 answers ICMP: a firewall drops port 443, or the server's accept queue is full
```

```cluster
ask: {to: Host 192.0.2.7, port: 443, tls: true}
```
```evidence
- {from: here, question: {tcp_connect: {to: "192.0.2.7:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: refused, took_us: 900}]}}
- {from: here, question: {route_to: {to: 192.0.2.7}}, answer: {route_to: {to: default, interface: eth0, via: 198.51.100.1, kind: unicast}}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

与主机的握手、到它的路由、作为下一跳的邻居，以及 ICMP echo。

## 凭什么证实

有路由通往那里，但每次连接都没有应答。ICMP echo 说明主机是否在线：在线则是防火墙或已满的队列丢弃了 SYN；否则主机已停机
或被过滤。

## 怎么办

查看主机上和途中的防火墙；用 TCP 方式的 `mtr` 可看出报文在哪里中断。
"#;
