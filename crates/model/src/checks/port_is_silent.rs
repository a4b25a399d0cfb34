//! The host's port gives no answer at all, though a route leads there.

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{
    all_ended, ask, host, link_trouble, route, route_is_there, subject, way,
};
use crate::observe::{attempts, tally};
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Neighbour, Outcome, Question, Route};
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
        let says = format!("{to} gives no answer: {why}, and the route there goes out of it");
        let f = out.broken(subject(name), HopKind::ClientNode, says, seen);
        f.and(view.saw(
            HopKind::ClientNode,
            decision,
            format!("{} goes out {}", to.ip(), way(r)),
        ));
        f.then(why).then("no packet leaves by it");
        f.remedy(ask(
            "the link carries nothing",
            vec![format!(
                "is the cable in, the other end up? ip link show dev {0}; ip link set dev {0} up",
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
    let port = to.port();
    let (says, why, todo) = if let Some((_, n)) = gone {
        let next = n.address.unwrap_or(to.ip());
        let who = if r.via.is_some() { "router" } else { "host" };
        (
            format!(
                "{to} gives no answer: {who} {next} does not answer on {}",
                r.interface
            ),
            "packets cannot leave: nobody says to which hardware address",
            format!(
                "is {next} up, and on the same segment as {}? ip neigh show dev {0}",
                r.interface
            ),
        )
    } else if alive {
        (
            format!(
                "{to} gives no answer, though {} answers ICMP: a firewall drops port {port}, or the server's accept queue is full",
                to.ip()
            ),
            "the host and the way to it are proven good by the echo",
            format!(
                "on the host: does a firewall drop port {port} (nft list ruleset), is its queue full (ss -ltn 'sport = :{port}')? On the way: mtr -n -T -P {port} {}",
                to.ip()
            ),
        )
    } else if echo.is_some() {
        (
            format!(
                "{to} gives no answer, and {} answers no ICMP either: the host is down, or something on the way drops packets",
                to.ip()
            ),
            "nothing at all came back from there",
            format!(
                "is the host up? Where does the way end? mtr -n -T -P {port} {}",
                to.ip()
            ),
        )
    } else {
        (
            format!(
                "{to} gives no answer, though a route leads there: {}",
                way(r)
            ),
            "whether the host is up could not be asked: ICMP needs CAP_NET_RAW",
            format!("does the host answer? ping {}", to.ip()),
        )
    };
    let outcomes = tally(attempts(connect).iter().map(|t| t.outcome));
    let seen = view.saw(
        HopKind::Path,
        connect,
        format!("TCP connect to {to}: {outcomes}"),
    );
    let f = out.broken(subject(name), HopKind::Path, says, seen);
    f.and(view.saw(
        HopKind::Path,
        decision,
        format!("{} goes out {}", to.ip(), way(r)),
    ));
    if let Some(a) = echo {
        let outcomes = tally(attempts(a).iter().map(|t| t.outcome));
        f.and(view.saw(
            HopKind::Path,
            a,
            format!("ICMP echo to {}: {outcomes}", to.ip()),
        ));
    }
    if let Some((a, n)) = gone {
        let next = n.address.unwrap_or(to.ip());
        f.and(view.saw(
            HopKind::Path,
            a,
            format!("neighbour {next} on {}: {}", n.interface, n.state),
        ));
    }
    f.then(format!("SYNs to {to} go out {}", way(r)))
        .then("neither SYN-ACK nor RST nor ICMP error comes back");
    f.remedy(ask(why, vec![todo]));
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

const PAGE_ZH: &str = "";
