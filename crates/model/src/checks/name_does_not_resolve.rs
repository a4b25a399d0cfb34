//! The name of a host outside the cluster gives no address: it does not exist, or its servers fail
//! or are silent.

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{ask, here, host, subject};
use crate::path::HopKind;
use crate::probe::{Answer, Answered, DnsReply, Outcome, Question, ResolvConf};
use std::net::IpAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "name-does-not-resolve",
    title: "Host name does not resolve",
    title_zh: "主机名无法解析",
    catalogue: &[],
    layer: "L7",
    looks_at: &[],
    after: &[
        "dns-has-no-ready-endpoints",
        "dns-policy-wrong",
        "policy-blocks-dns",
        "service-rules-stale",
        "ip-forwarding-off",
        "forward-policy-drops",
        "link-down",
        "tunnel-port-blocked",
    ],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let (Some(name), Some(lookup)) = (host(view), view.observed().lookup) else {
        return;
    };
    let Answer::Lookup { queries, addresses } = &lookup.answer else {
        return;
    };
    if !addresses.is_empty() || queries.is_empty() {
        return;
    }
    let conf = conf(view);
    let servers = servers(conf.map(|(_, c)| c), queries);
    let (what, why, todo) = kind(name, &here(view), queries, &servers);
    let says = format!("{name} does not resolve: {what}");
    let f = out.broken(
        subject(name),
        HopKind::Name,
        says,
        view.saw(HopKind::Name, lookup, replies(queries)),
    );
    if let Some((answered, c)) = conf {
        f.and(view.saw(HopKind::Name, answered, shown(c)));
    }
    f.then(what)
        .then("an application gets no address to connect to");
    f.remedy(ask(why, todo));
}

fn conf<'a>(view: &View<'a>) -> Option<(&'a Answered, &'a ResolvConf)> {
    let answered = view.ask(view.path.vantage(), Question::ResolvConf)?;
    match &answered.answer {
        Answer::ResolvConf(c) => Some((answered, c)),
        _ => None,
    }
}

fn shown(c: &ResolvConf) -> String {
    let servers = join(&c.nameservers);
    let mut text = if servers.is_empty() {
        "resolv.conf names no server: the one on this machine is meant".to_string()
    } else {
        format!("nameserver {servers}")
    };
    if !c.search.is_empty() {
        text.push_str(&format!("; search {}", c.search.join(" ")));
    }
    text
}

/// The servers that were asked; those of resolv.conf where it could be read.
fn servers(conf: Option<&ResolvConf>, queries: &[DnsReply]) -> String {
    let asked = || {
        let mut all: Vec<IpAddr> = Vec::new();
        for q in queries {
            if !all.contains(&q.server.ip()) {
                all.push(q.server.ip());
            }
        }
        all
    };
    match conf {
        Some(c) if !c.nameservers.is_empty() => join(&c.nameservers),
        _ => join(&asked()),
    }
}

fn join(all: &[IpAddr]) -> String {
    all.iter()
        .map(IpAddr::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn replies(queries: &[DnsReply]) -> String {
    let each: Vec<String> = queries
        .iter()
        .take(8)
        .map(|q| {
            let how = if q.rcode.is_empty() {
                crate::observe::word(q.outcome)
            } else {
                crate::text::Text::same(&q.rcode)
            };
            format!("{} {} at {}: {how}", q.name, q.record, q.server.ip())
        })
        .collect();
    each.join("; ")
}

/// What is wrong, why that helps, and what to do.
fn kind(
    name: &str,
    here: &crate::text::Text,
    queries: &[DnsReply],
    servers: &str,
) -> (String, String, Vec<String>) {
    let every = |o: Outcome| queries.iter().all(|q| q.outcome == o);
    let said = |rcode: &str| queries.iter().any(|q| q.rcode == rcode);
    let first = servers.split(", ").next().unwrap_or_default();
    if !queries.iter().any(|q| q.outcome == Outcome::Answered) {
        let how = if every(Outcome::Unreachable) {
            "cannot be reached"
        } else if every(Outcome::Refused) {
            "refuses: nothing listens on port 53"
        } else {
            "gives no answer"
        };
        return (
            format!("name server {servers} {how}"),
            "the name may be right: nobody could be asked".into(),
            vec![
                format!("does {here} reach the name server? netshoot diagnose --to {first}:53"),
                format!("is {servers} the right server for /etc/resolv.conf of {here}?"),
            ],
        );
    }
    if said("SERVFAIL") || said("REFUSED") {
        let word = if said("SERVFAIL") {
            "SERVFAIL"
        } else {
            "REFUSED"
        };
        return (
            format!("name server {servers} says {word}"),
            "the server is there and could not, or would not, find out".into(),
            vec![format!(
                "does another server know it, and what does the server's log say? dig {name} @{first}"
            )],
        );
    }
    if said("NXDOMAIN") {
        return (
            format!("name server {servers} says NXDOMAIN: there is no such name"),
            "the server answers, and the name is not in its zone".into(),
            vec![format!(
                "is {name} spelt right, and is it a name that {servers} should know?"
            )],
        );
    }
    (
        format!("name server {servers} knows the name, and no address of it"),
        "the name has neither an A nor an AAAA record".into(),
        vec![format!(
            "which records does it have? dig {name} ANY @{first}"
        )],
    )
}

const PAGE: &str = r#"
## What it looks at

The lookup of a host's name as an application does it: hosts file, resolv.conf, search suffixes, A and AAAA.

## What proves it

No query gave an address. NXDOMAIN, SERVFAIL and silence are told apart, and the servers are named.

## What to do

NXDOMAIN: mend the name, or ask a server that knows it. SERVFAIL: look at the server. Silence: look at the way to the server.

## Examples

```cluster
ask: {to: Host api.example.test, port: 443, tls: true}
```
```evidence
- {from: here, question: {lookup: {name: api.example.test, timeout_ms: 2000}}, answer: {lookup: {queries: [{name: api.example.test, record: A, server: "192.0.2.53:53", outcome: answered, rcode: NXDOMAIN, answers: [], truncated: false, authoritative: true, rtt_us: 900}], addresses: []}}}
- {from: here, question: resolv_conf, answer: {resolv_conf: {nameservers: [192.0.2.53], search: [], ndots: 1}}}
```
```finding
name-does-not-resolve Host/api.example.test
  because api.example.test does not resolve: name server 192.0.2.53 says NXDOMAIN: there is no such name
```

Silence is not NXDOMAIN:

```cluster
ask: {to: Host api.example.test, port: 443, tls: true}
```
```evidence
- {from: here, question: {lookup: {name: api.example.test, timeout_ms: 2000}}, answer: {lookup: {queries: [{name: api.example.test, record: A, server: "192.0.2.53:53", outcome: silent, rcode: "", answers: [], truncated: false, authoritative: false, rtt_us: 0}], addresses: []}}}
```
```finding
name-does-not-resolve Host/api.example.test
  because api.example.test does not resolve: name server 192.0.2.53 gives no answer
```

A name with an address is no reason:

```cluster
ask: {to: Host api.example.test, port: 443, tls: true}
```
```evidence
- {from: here, question: {lookup: {name: api.example.test, timeout_ms: 2000}}, answer: {lookup: {queries: [], addresses: [192.0.2.7]}}}
```
```finding
```
"#;

const PAGE_ZH: &str = "";
