//! No route leads to the host, or a router on the way says so.

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{
    all_ended, ask, here, holds, host, link_trouble, links, route, states, subject, way,
};
use crate::finding::Seen;
use crate::observe::attempts;
use crate::path::HopKind;
use crate::probe::{Answer, Link, Outcome, Question, Route};
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
    let here = here(view);
    let errors: Vec<&str> = attempts(connect)
        .iter()
        .map(|t| t.detail.as_str())
        .collect();
    let error = errors.first().copied().unwrap_or_default();
    let tried = view.saw(
        HopKind::ClientNode,
        connect,
        format!("TCP connect to {to}: unreachable ({error})"),
    );
    match found {
        None => {
            let (why, seen) = reason(view, to.ip());
            let tail = if why.is_empty() {
                String::new()
            } else {
                format!(": {why}")
            };
            let says = format!("no route leads from {here} to {}{tail}", to.ip());
            let shown = format!("no route to {}", to.ip());
            let shown = view.saw(HopKind::ClientNode, decision, shown);
            let f = out.broken(subject(name), HopKind::ClientNode, says, shown);
            f.and(tried);
            if let Some(seen) = seen {
                f.and(seen);
            }
            if !why.is_empty() {
                f.then(why);
            }
            f.then(format!("the kernel has no way to {}", to.ip()))
                .then("it refuses to send, and the application hears \"unreachable\"");
            let family = if to.is_ipv4() { "-4" } else { "-6" };
            f.remedy(ask(
                "packets leave only where a route leads",
                vec![format!(
                    "which router leads to {}? Look at: ip {family} route; ip -br addr; then: ip {family} route add {}/{} via ROUTER",
                    to.ip(),
                    to.ip(),
                    if to.is_ipv4() { 32 } else { 128 }
                )],
            ));
        }
        Some(r) => {
            let (says, seen) = on_the_way(view, to.ip(), r, error);
            let hop = HopKind::Path;
            let f = out.broken(subject(name), hop, says.clone(), tried);
            f.and(view.saw(hop, decision, format!("{} goes out {}", to.ip(), way(r))));
            if let Some(seen) = seen {
                f.and(seen);
            }
            f.then(says)
                .then("the connection ends before it reaches the host");
            f.remedy(ask(
                "this host sends; what comes after it says no",
                vec![format!(
                    "where does the way end? mtr -n {}; ip neigh show dev {}",
                    to.ip(),
                    r.interface
                )],
            ));
        }
    }
}

/// Why no route leads there: one that throws away, or links that are down.
fn reason(view: &View<'_>, to: IpAddr) -> (String, Option<Seen>) {
    let vantage = view.path.vantage();
    if let Some(answered) = view.ask(vantage, Question::Routes)
        && let Answer::Routes(all) = &answered.answer
        && let Some(r) = all
            .iter()
            .find(|r| throws_away(&r.kind) && holds(&r.to, to))
    {
        let text = format!("the route {} {} takes it", r.kind, r.to);
        let seen = view.saw(
            HopKind::ClientNode,
            answered,
            format!("{} {}", r.kind, r.to),
        );
        return (text, Some(seen));
    }
    let Some((answered, links)) = links(view) else {
        return (String::new(), None);
    };
    let others: Vec<&Link> = links.iter().filter(|l| l.name != "lo").collect();
    let works = |l: &&&Link| l.up && l.carrier && !l.addresses.is_empty();
    let leads = |l: &&&Link| l.addresses.iter().any(|a| holds(a, to));
    let down = |l: &&&Link| !l.up || !l.carrier;
    let blamed = others.iter().filter(down).find(leads).or_else(|| {
        let any = others.iter().find(works).is_some();
        others.iter().find(|l| !any && down(l))
    });
    let text = match blamed {
        Some(l) if !l.up => format!("link {} is down", l.name),
        Some(l) => format!("link {} has no carrier", l.name),
        None if others.is_empty() => "there is no link but lo".into(),
        None if others.iter().find(works).is_none() => "no link has an address".into(),
        None => String::new(),
    };
    let seen = (!text.is_empty()).then(|| view.saw(HopKind::ClientNode, answered, states(links)));
    (text, seen)
}

fn throws_away(kind: &str) -> bool {
    matches!(kind, "blackhole" | "unreachable" | "prohibit")
}

/// A route is there: the neighbour does not answer, or somebody on the way says no.
fn on_the_way(view: &View<'_>, to: IpAddr, r: &Route, error: &str) -> (String, Option<Seen>) {
    if let Some((why, seen)) = link_trouble(view, r) {
        return (
            format!("{why}, and the route to {to} goes out there"),
            Some(seen),
        );
    }
    let next = r.via.unwrap_or(to);
    if let Some(answered) = view.ask(view.path.vantage(), Question::Neighbours)
        && let Answer::Neighbours(all) = &answered.answer
        && let Some(n) = all.iter().find(|n| {
            n.address == Some(next) && ["FAILED", "INCOMPLETE"].contains(&n.state.as_str())
        })
    {
        let who = if r.via.is_some() { "router" } else { "host" };
        let how = if next.is_ipv4() {
            "ARP"
        } else {
            "neighbour discovery"
        };
        return (
            format!("{who} {next} does not answer {how} on {}", r.interface),
            Some(view.saw(
                HopKind::Path,
                answered,
                format!("{next} on {}: {}", n.interface, n.state),
            )),
        );
    }
    (
        format!(
            "{to} is said to be unreachable ({error}), though a route leads there: {}",
            way(r)
        ),
        None,
    )
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

const PAGE_ZH: &str = "";
