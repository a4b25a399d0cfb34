//! What the engine reads from counters and sockets, a person reads from `mtr` and `tcpdump`.

use super::{at, comment, host_of, line};
use crate::io::Lang;
use netshoot_model::path::Destination;
use netshoot_model::probe::{Question, Vantage};
use netshoot_model::report::Report;
use std::fmt::Write;
use std::net::SocketAddr;

/// Where requests go first: the address of the request or of the repeated connect.
fn front(r: &Report) -> Option<(Vantage, SocketAddr)> {
    let mut best: Option<(u32, Vantage, SocketAddr)> = None;
    for a in &r.audit {
        let (weight, to) = match &a.probe.question {
            Question::Http { to, .. } | Question::TlsHandshake { to, .. } => (1000, *to),
            Question::TcpConnect { to, tries, .. } => (*tries, *to),
            _ => continue,
        };
        if best.as_ref().is_none_or(|(w, ..)| weight > *w) {
            best = Some((weight, a.probe.from.clone(), to));
        }
    }
    best.map(|(_, from, to)| (from, to))
}

/// The loss as TCP meets it, and the packets themselves.
pub(super) fn commands(b: &mut String, r: &Report, lang: Lang) {
    let Some((from, to)) = front(r) else { return };
    let (ip, port) = host_of(to);
    let to_service = r
        .conversation
        .as_ref()
        .is_some_and(|c| matches!(c.to, Destination::Service(_)));
    let mut words = vec!["mtr", "--tcp", "--port", &port, "-Z", "1"];
    let patience = lang.pick(
        "-Z 1: a SYN that is answered only after it was sent again counts as lost; by itself mtr waits 10 s and counts it as received, late",
        "-Z 1：重传后才得到应答的 SYN 计为丢失；缺省等待 10 秒，会计为收到（但很慢）",
    );
    let _ = writeln!(b, "{}", comment(patience));
    if to_service {
        let far = lang.pick(
            "-f 10: a packet with a smaller TTL ends at a node, whose rules give its ICMP error the address of the Service; mtr takes that for the Service and looks no further",
            "-f 10：TTL 较小的报文止于节点，节点规则会把 ICMP 错误的源地址改写成 Service 地址，mtr 会误以为已经到达",
        );
        let _ = writeln!(b, "{}", comment(far));
        words.extend(["-f", "10"]);
    }
    words.extend(["--report", "-c", "20", "-n", &ip]);
    let filter = format!("host {ip} and port {port}");
    let dump = line(&[
        "timeout", "10", "tcpdump", "-ni", "any", "-c", "200", &filter,
    ]);
    let note = lang.pick(
        "while this listens, send a request from another terminal; repeated sequence numbers are retransmissions",
        "抓包时请在另一终端发起请求；重复的序号即为重传",
    );
    let _ = writeln!(
        b,
        "{}\n{}\n{}",
        at(&from, &line(&words)),
        comment(note),
        at(&from, &dump)
    );
}
