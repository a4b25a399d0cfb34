//! The name of a host outside the cluster gives no address: it does not exist, or its servers fail
//! or are silent.

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{ask, here, host, subject};
use crate::path::HopKind;
use crate::probe::{Answer, Answered, DnsReply, Outcome, Question, ResolvConf};
use crate::text;
use crate::text::Text;
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
        "dns-cache-down",
        "policy-blocks-dns-cache",
        "corefile-overrides-name",
        "dns-upstream-unreachable",
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
    let says = text!(
        "{name} does not resolve: {what}",
        "{name} 无法解析：{what:#}"
    );
    let f = out.broken(
        subject(name),
        HopKind::Name,
        says,
        view.saw(HopKind::Name, lookup, replies(queries)),
    );
    if let Some((answered, c)) = conf {
        f.and(view.saw(HopKind::Name, answered, shown(c)));
    }
    f.then(what).then(text!(
        "an application gets no address to connect to",
        "应用得不到可连接的地址"
    ));
    f.remedy(ask(why, todo));
}

fn conf<'a>(view: &View<'a>) -> Option<(&'a Answered, &'a ResolvConf)> {
    let answered = view.ask(view.path.vantage(), Question::ResolvConf)?;
    match &answered.answer {
        Answer::ResolvConf(c) => Some((answered, c)),
        _ => None,
    }
}

fn shown(c: &ResolvConf) -> Text {
    let servers = join(&c.nameservers);
    let first = if servers.is_empty() {
        text!(
            "resolv.conf names no server: the one on this machine is meant",
            "resolv.conf 没有指定服务器：使用本机上的服务器"
        )
    } else {
        Text::same(format!("nameserver {servers}"))
    };
    if c.search.is_empty() {
        return first;
    }
    let search = Text::same(format!("search {}", c.search.join(" ")));
    Text::row([&first, &search])
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

fn replies(queries: &[DnsReply]) -> Text {
    let each: Vec<Text> = queries
        .iter()
        .take(8)
        .map(|q| {
            let how = if q.rcode.is_empty() {
                crate::observe::word(q.outcome)
            } else {
                Text::same(&q.rcode)
            };
            let (name, record, server) = (&q.name, &q.record, q.server.ip());
            text!(
                "{name} {record} at {server}: {how}",
                "在 {server} 查询 {name} {record}：{how:#}"
            )
        })
        .collect();
    Text::row(&each)
}

/// What is wrong, why that helps, and what to do.
fn kind(name: &str, here: &Text, queries: &[DnsReply], servers: &str) -> (Text, Text, Vec<Text>) {
    let said = |rcode: &str| queries.iter().any(|q| q.rcode == rcode);
    let first = servers.split(", ").next().unwrap_or_default();
    if !queries.iter().any(|q| q.outcome == Outcome::Answered) {
        return nobody_answers(here, queries, servers, first);
    }
    if let Some(word) = ["SERVFAIL", "REFUSED"].into_iter().find(|w| said(w)) {
        return (
            text!(
                "name server {servers} says {word}",
                "域名服务器 {servers} 返回 {word}"
            ),
            text!(
                "the server is there and could not, or would not, find out",
                "服务器存在，但无法解析或不愿解析"
            ),
            vec![text!(
                "does another server know it, and what does the server's log say? dig {name} @{first}",
                "其他服务器是否知道该域名？该服务器的日志怎么说？dig {name} @{first}"
            )],
        );
    }
    if said("NXDOMAIN") {
        return (
            text!(
                "name server {servers} says NXDOMAIN: there is no such name",
                "域名服务器 {servers} 返回 NXDOMAIN：没有这个域名"
            ),
            text!(
                "the server answers, and the name is not in its zone",
                "服务器有应答，但该域名不在它的区域中"
            ),
            vec![text!(
                "is {name} spelt right, and is it a name that {servers} should know?",
                "{name} 拼写是否正确？{servers} 是否应当知道这个域名？"
            )],
        );
    }
    (
        text!(
            "name server {servers} knows the name, and no address of it",
            "域名服务器 {servers} 知道该域名，但没有它的地址"
        ),
        text!(
            "the name has neither an A nor an AAAA record",
            "该域名既没有 A 记录，也没有 AAAA 记录"
        ),
        vec![text!(
            "which records does it have? dig {name} ANY @{first}",
            "它有哪些记录？dig {name} ANY @{first}"
        )],
    )
}

/// The same where no server said anything.
fn nobody_answers(
    here: &Text,
    queries: &[DnsReply],
    servers: &str,
    first: &str,
) -> (Text, Text, Vec<Text>) {
    let every = |o: Outcome| queries.iter().all(|q| q.outcome == o);
    let how = if every(Outcome::Unreachable) {
        text!("cannot be reached", "不可达")
    } else if every(Outcome::Refused) {
        text!(
            "refuses: nothing listens on port 53",
            "拒绝连接：53 端口上没有进程监听"
        )
    } else {
        text!("gives no answer", "无应答")
    };
    (
        text!(
            "name server {servers} {how}",
            "域名服务器 {servers} {how:#}"
        ),
        text!(
            "the name may be right: nobody could be asked",
            "域名可能没有错：只是没有服务器可以查询"
        ),
        vec![
            text!(
                "does {here} reach the name server? netshoot diagnose --to {first}:53",
                "域名服务器是否可达（自 {here:#}）？netshoot diagnose --to {first}:53"
            ),
            text!(
                "is {servers} the right server for /etc/resolv.conf of {here}?",
                "/etc/resolv.conf（{here:#}）中的服务器应当是 {servers} 吗？"
            ),
        ],
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

const PAGE_ZH: &str = r#"
## 看什么

像应用那样解析主机名：hosts 文件、resolv.conf、搜索后缀、A 与 AAAA。

## 凭什么证实

没有一次查询得到地址。NXDOMAIN、SERVFAIL 与无应答分别说明，并指出是哪些服务器。

## 怎么办

NXDOMAIN：改正域名，或改问知道它的服务器。SERVFAIL：检查该服务器。无应答：检查通往该服务器的路径。
"#;
