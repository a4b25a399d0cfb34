//! The host is there and refuses the port.

use crate::check::{Check, Findings, View};
use crate::checks::hosts::{all_ended, ask, here, host, route, route_is_there, subject};
use crate::checks::listeners::list;
use crate::path::HopKind;
use crate::probe::{Answer, Answered, Outcome, Question, Socket};
use crate::text;
use crate::text::Text;
use std::net::SocketAddr;

/// The check.
pub const CHECK: Check = Check {
    id: "port-refuses",
    title: "Nothing listens on the host's port",
    title_zh: "主机拒绝该端口的连接",
    catalogue: &[],
    layer: "L4",
    looks_at: &[],
    after: &["policy-denies-by-default"],
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(view: &View<'_>, out: &mut Findings) {
    let Some(name) = host(view) else { return };
    let Some((to, connect)) = all_ended(view, Outcome::Refused) else {
        return;
    };
    let way = route(view, to.ip());
    let own = matches!(way, Some((_, Some(r))) if r.kind == "local");
    if let Some((decision, Some(r))) = way {
        route_is_there(view, out, name, to.ip(), decision, r);
    }
    let refused = view.saw(
        HopKind::Listener,
        connect,
        text!("TCP connect to {to}: refused", "TCP 连接 {to}：被拒绝"),
    );
    let port = to.port();
    if own && let Some((answered, all)) = listening(view) {
        let (why, shown) = instead(&all, to);
        let here = here(view);
        let says = text!(
            "{to} refuses: {why} on {here}",
            "{to} 拒绝连接：{here:#}上{why:#}"
        );
        let seen = view.saw(HopKind::Listener, answered, shown);
        let f = out.broken(subject(name), HopKind::Listener, says, seen);
        f.and(refused).then(why).then(text!(
            "the kernel refuses the SYN with a RST",
            "内核以 RST 拒绝 SYN"
        ));
        f.remedy(ask(
            text!(
                "the address is this machine's own: the server has to listen on it",
                "该地址属于本机：服务端必须在其上监听"
            ),
            vec![text!(
                "does the server run, and with which address and port? ss -ltnp | grep ':{port} '",
                "服务端在运行吗？监听哪个地址和端口？ss -ltnp | grep ':{port} '"
            )],
        ));
        return;
    }
    let says = text!(
        "{to} refuses every connection: the host is there, and nothing listens on port {port} (or its firewall rejects it)",
        "{to} 拒绝所有连接：主机在线，但端口 {port} 上没有监听（或其防火墙拒绝）"
    );
    let f = out.broken(subject(name), HopKind::Listener, says, refused);
    f.then(text!(
        "nothing takes connections on {to}",
        "{to} 上没有程序接受连接"
    ))
    .then(text!("the SYN comes back as a RST", "SYN 得到的是 RST"));
    f.remedy(ask(
        text!(
            "the way there and back is proven good by the refusal",
            "拒绝本身证明往返路径正常"
        ),
        vec![text!(
            "does the server run, and on which port? On the host: ss -ltnp | grep ':{port} '; its firewall: nft list ruleset",
            "服务端在运行吗？在哪个端口？在主机上：ss -ltnp | grep ':{port} '；其防火墙：nft list ruleset"
        )],
    ));
}

fn listening<'a>(view: &View<'a>) -> Option<(&'a Answered, Vec<&'a Socket>)> {
    let answered = view.ask(view.path.vantage(), Question::Sockets)?;
    let Answer::Sockets(all) = &answered.answer else {
        return None;
    };
    let tcp = all
        .iter()
        .filter(|s| s.protocol == "tcp" && s.state == "LISTEN");
    Some((answered, tcp.collect()))
}

/// What listens instead: the port on another address, other ports, or nothing.
fn instead(all: &[&Socket], to: SocketAddr) -> (Text, Text) {
    let port = to.port();
    let mut elsewhere: Vec<String> = all
        .iter()
        .filter(|s| s.local.port() == port)
        .map(|s| s.local.to_string())
        .collect();
    elsewhere.sort();
    elsewhere.dedup();
    if !elsewhere.is_empty() {
        let text = elsewhere.join(", ");
        return (
            text!(
                "port {port} is listened on only at {text}",
                "端口 {port} 只在 {text} 监听"
            ),
            text!(
                "LISTEN on {text}; none on {}",
                "LISTEN 于 {text}；{} 上没有",
                to.ip()
            ),
        );
    }
    let mut ports: Vec<u16> = all.iter().map(|s| s.local.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    let ports = list(&ports);
    (
        text!("nothing listens on port {port}", "端口 {port} 没有监听"),
        text!(
            "no LISTEN on {port}; listening: {ports}",
            "{port} 上没有 LISTEN；正在监听：{ports:#}"
        ),
    )
}

const PAGE: &str = r#"
## What it looks at

Handshakes with the host; where the address is the machine's own, its sockets.

## What proves it

Every connection is refused. Where the address is the machine's own: no socket listens there, and what listens elsewhere is named.

## What to do

Start the server, or make it listen on that address and port.

## Examples

```cluster
ask: {to: Host 192.0.2.7, port: 443, tls: true}
```
```evidence
- {from: here, question: {tcp_connect: {to: "192.0.2.7:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: refused, took_us: 30}]}}
- {from: here, question: {route_to: {to: 192.0.2.7}}, answer: {route_to: {to: 192.0.2.7/32, interface: lo, kind: local}}}
- {from: here, question: sockets, answer: {sockets: [{protocol: tcp, state: LISTEN, local: "127.0.0.1:443", remote: "0.0.0.0:0", recv_q: 0, send_q: 128}]}}
```
```finding
port-refuses Host/192.0.2.7
  because 192.0.2.7:443 refuses: port 443 is listened on only at 127.0.0.1:443 on this host
```

```cluster
ask: {to: Host 192.0.2.7, port: 443, tls: true}
```
```evidence
- {from: here, question: {tcp_connect: {to: "192.0.2.7:443", tries: 5, timeout_ms: 2000}}, answer: {tcp_connect: [{outcome: silent, took_us: 2000000}]}}
```
```finding
```
"#;

const PAGE_ZH: &str = r#"
## 看什么

与主机的握手；若该地址属于本机，则看本机的套接字。

## 凭什么证实

每次连接都被拒绝。若该地址属于本机：没有套接字在那里监听，并列出在别处监听的套接字。

## 怎么办

启动服务端，或让它在该地址和端口上监听。
"#;
