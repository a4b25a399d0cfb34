//! The list for machines, and what it says in a cluster.

use super::Known;
use super::plan::Kind;
use super::socket::{Detail, End, Socket};
use crate::io::Lang;
use netshoot_wire::inet_diag::state_word;
use serde_json::{Map, Value, json};

const LISTEN: u8 = 10;

/// One array, an object for each.
pub fn json(all: &[Socket], known: &Known) -> Value {
    Value::Array(all.iter().map(|s| one(s, known)).collect())
}

fn one(socket: &Socket, known: &Known) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.into(), value);
        }
    };
    put("netid", socket.kind.word().into());
    put("state", state_word(socket.state).into());
    put("recv_q", socket.queues.0.into());
    put("send_q", socket.queues.1.into());
    for (name, end) in [("local", &socket.local), ("peer", &socket.peer)] {
        put(
            name,
            match end {
                End::Ip(at) => {
                    json!({ "address": at.ip().to_canonical().to_string(), "port": at.port() })
                }
                End::Unix(path, number) => json!({ "name": path, "inode": number }),
                End::Packet(protocol, interface) => {
                    json!({ "protocol": protocol, "interface": interface })
                }
                End::Netlink(protocol, port) => json!({ "protocol": protocol, "port": port }),
                End::Any => Value::Null,
            },
        );
    }
    put("inode", socket.inode.into());
    if socket.interface > 0 {
        put(
            "interface",
            netshoot_host::names::interface(socket.interface).into(),
        );
    }
    if let Detail::Inet(s) = &socket.detail {
        put("uid", s.uid.into());
        put("v6_only", s.v6_only.into());
        put("mark", s.detail.mark.filter(|m| *m > 0).into());
        if s.timer > 0 {
            put("timer_ms", s.expires_ms.into());
            put("retransmitted", s.retransmitted.into());
        }
        if let (Kind::Tcp, Some(t)) = (
            socket.kind,
            s.detail.tcp.as_ref().filter(|_| socket.state != LISTEN),
        ) {
            put("rtt_us", t.rtt.into());
            put("mss", t.mss.into());
            put("path_mtu", t.path_mtu.into());
            put("bytes_sent", t.bytes_sent.into());
            put("bytes_received", t.bytes_received.into());
            put("retransmits", t.total_retrans.into());
            put("lost", t.lost.into());
        }
    }
    if let Some(owners) = known.owners.get(&socket.inode).filter(|_| socket.inode > 0) {
        let each = owners
            .iter()
            .map(|o| json!({ "name": o.name, "pid": o.pid, "fd": o.fd }));
        put("processes", each.collect());
    }
    Value::Object(fields)
}

/// What the list says in a cluster's terms.
pub fn explained(all: &[Socket], lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    let tcp = || all.iter().filter(|s| s.kind == Kind::Tcp);
    let ip = |end: &End| match end {
        End::Ip(at) => Some(at.ip().to_canonical()),
        _ => None,
    };
    let port = |s: &&Socket| match &s.local {
        End::Ip(at) => at.port().to_string(),
        _ => String::new(),
    };
    let mut say = |ports: Vec<String>, en: &str, zh: &str| {
        if !ports.is_empty() {
            let mut ports = ports;
            ports.sort_unstable();
            ports.dedup();
            ports.truncate(5);
            lines.push(lang.pick(en, zh).replace("{}", &ports.join(", ")));
        }
    };
    let listens = || tcp().filter(|s| s.state == LISTEN);
    say(
        listens()
            .filter(|s| ip(&s.local).is_some_and(|i| i.is_loopback()))
            .map(|s| port(&s))
            .collect(),
        "Listens on loopback only: {}: nobody outside of this pod reaches it, a Service neither; 0.0.0.0 or :: would be heard",
        "仅监听回环地址：{}：Pod 之外（包括 Service）无法访问；应监听 0.0.0.0 或 ::",
    );
    say(
        listens()
            .filter(|s| s.queues.0 > s.queues.1)
            .map(|s| port(&s))
            .collect(),
        "Queue of connections full: {}: the process does not accept as fast as clients come, new ones time out",
        "连接队列已满：{}：进程接受连接的速度跟不上，新连接会超时",
    );
    say(
        tcp()
            .filter(|s| s.state == 2)
            .map(|s| match &s.peer {
                End::Ip(at) => at.to_string(),
                _ => String::new(),
            })
            .collect(),
        "Waits for an answer to its SYN: {}: dropped on the way (a NetworkPolicy, a firewall, no route back) or nobody has the address",
        "SYN 尚无应答：{}：途中被丢弃（NetworkPolicy、防火墙、没有回程路由），或该地址不存在",
    );
    say(
        tcp().filter(|s| s.state == 8).map(|s| port(&s)).collect(),
        "CLOSE-WAIT: {}: the other end has closed and this process has not: it leaks connections if the number grows",
        "CLOSE-WAIT：{}：对端已关闭而本进程未关闭；若数量增长，则为连接泄漏",
    );
    say(
        tcp()
            .filter(|s| s.state != LISTEN && s.queues.1 > 100_000)
            .map(|s| port(&s))
            .collect(),
        "Much is sent and not acknowledged: {}: loss on the way, a packet too large for it, or a peer that does not read",
        "大量数据已发送但未确认：{}：途中丢包、报文过大，或对端不读取",
    );
    if lines.is_empty() {
        lines.push(lang.pick(
            "None of these listens on loopback only, has a full queue or waits for an answer to its SYN; who listens on 0.0.0.0 or * is reached at the pod's address",
            "这些套接字中没有仅监听回环、队列已满或等待 SYN 应答的；监听 0.0.0.0 或 * 的进程可通过 Pod 地址访问",
        ).into());
    }
    lines
}
