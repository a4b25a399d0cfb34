use super::{Kind, Need, Place, gap, not_mine};
use crate::dns;
use netshoot_model::probe::{Answer, Harm, Question};

/// One DNS query; the function is [`dns::query`].
pub const PROBE: Kind = Kind {
    id: "resolve_name",
    asks: "what does one DNS server say to one exact name",
    asks_zh: "某一个 DNS 服务器对某一个确切的域名如何应答",
    needs: &[Need::None],
    harm: Harm::FewPackets,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::Resolve {
        name,
        record,
        server,
        over,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    match dns::query(name, record, *server, *over, *timeout_ms) {
        Ok(asked) => Answer::Resolve(asked.reply),
        Err(e) => gap(&e, Need::None),
    }
}

const PAGE: &str = "\
# resolve_name

## What it asks

What one DNS server answers to one exact name and record type. No search suffixes, no second
server, no second try.

## What it sends

One query with recursion desired and an EDNS size of 1232 bytes, over UDP, or over one TCP
connection. UDP and TCP differ where a rule lets only one of them through.

## What the answers mean

- `answered` with an `rcode`: `NOERROR` without answers means that the name exists but has no such
  record; `NXDOMAIN` that it does not exist; `SERVFAIL` that the server could not find out;
  `REFUSED` that it does not want to.
- `refused`: a closed port (ICMP port unreachable, or RST): the host is there, the server is not.
- `silent`: nothing came back: dropped on the way, or the server is stuck.
- `unreachable`: an ICMP error, or the own routes or filters refuse it.
- `garbled`: something came back that is no reply to this query.
- `truncated`: the answer did not fit; ask over TCP.
";

const PAGE_ZH: &str = "\
# resolve_name

## 问什么

某一个 DNS 服务器对某一个确切的域名和记录类型如何应答。不用搜索后缀，不问第二个服务器，不做第二次尝试。

## 发送什么

一个要求递归、EDNS 大小为 1232 字节的查询，经 UDP 或一个 TCP 连接发送。当规则只放行其中一种时，UDP 与 TCP 的结果不同。

## 应答的含义

- `answered` 并带 `rcode`：`NOERROR` 而没有记录，表示域名存在但没有这类记录；`NXDOMAIN` 表示域名不存在；`SERVFAIL` 表示服务器无法查到；`REFUSED` 表示服务器不愿回答。
- `refused`：端口关闭（ICMP 端口不可达，或 RST）：主机存在，但没有 DNS 服务。
- `silent`：没有任何回应：在路径上被丢弃，或服务器卡住。
- `unreachable`：收到 ICMP 错误，或本机的路由或过滤规则拒绝。
- `garbled`：收到了内容，但不是对该查询的应答。
- `truncated`：应答放不下；应改用 TCP 查询。
";

#[cfg(test)]
pub(super) mod tests {
    use crate::dns::query;
    use crate::testground::alone;
    use netshoot_model::probe::{DnsReply, Outcome, Transport};
    use netshoot_wire::dns::{Data, Message, Record, rcode};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, UdpSocket};
    use std::time::{Duration, Instant};

    /// Serves `replies` UDP queries with what `answer` makes of each; none is silence.
    pub fn serve_udp(
        socket: UdpSocket,
        replies: u32,
        answer: impl Fn(&Message) -> Option<Vec<u8>> + Send + 'static,
    ) {
        std::thread::spawn(move || {
            let mut buffer = [0u8; 1500];
            for _ in 0..replies {
                let (n, from) = socket.recv_from(&mut buffer).unwrap();
                if let Some(bytes) = answer(&Message::decode(&buffer[..n]).unwrap()) {
                    socket.send_to(&bytes, from).unwrap();
                }
            }
        });
    }

    fn ask(server: SocketAddr, over: Transport) -> DnsReply {
        query("web.shop.", "a", server, over, 400).unwrap().reply
    }

    fn with_address(q: &Message) -> Message {
        let mut reply = q.reply(rcode::NOERROR);
        reply.authoritative = true;
        reply.answers = vec![
            Record::new("web.shop", 5, Data::Cname("w.shop".into())),
            Record::new("w.shop", 5, Data::A([10, 0, 0, 1].into())),
        ];
        reply
    }

    #[test]
    fn replies_over_udp_and_tcp() {
        alone(|| {
            for local in ["127.0.0.1:0", "[::1]:0"] {
                let socket = UdpSocket::bind(local).unwrap();
                let server = socket.local_addr().unwrap();
                serve_udp(socket, 1, |q| Some(with_address(q).encode().unwrap()));
                let listener = TcpListener::bind(server).unwrap();
                std::thread::spawn(move || {
                    let (mut s, _) = listener.accept().unwrap();
                    let mut len = [0u8; 2];
                    s.read_exact(&mut len).unwrap();
                    let mut bytes = vec![0u8; u16::from_be_bytes(len).into()];
                    s.read_exact(&mut bytes).unwrap();
                    let reply = with_address(&Message::decode(&bytes).unwrap())
                        .encode()
                        .unwrap();
                    s.write_all(&[&(reply.len() as u16).to_be_bytes(), reply.as_slice()].concat())
                        .unwrap();
                });
                for over in [Transport::Udp, Transport::Tcp] {
                    let r = ask(server, over);
                    assert_eq!(
                        (r.outcome, r.rcode.as_str(), r.authoritative),
                        (Outcome::Answered, "NOERROR", true)
                    );
                    assert_eq!(r.answers, ["CNAME w.shop.", "10.0.0.1"]);
                    assert_eq!((r.name.as_str(), r.record.as_str()), ("web.shop", "A"));
                    assert!(r.rtt_us > 0);
                }
            }
        });
    }

    #[test]
    fn ways_to_fail() {
        type Make = fn(&Message) -> Option<Vec<u8>>;
        let cases: [(&str, Make, Outcome, &str); 6] = [
            ("silence", |_| None, Outcome::Silent, ""),
            (
                "nonsense",
                |_| Some(b"hello".to_vec()),
                Outcome::Garbled,
                "",
            ),
            (
                "another id",
                |q| {
                    Message {
                        id: !q.id,
                        ..with_address(q)
                    }
                    .encode()
                    .ok()
                },
                Outcome::Garbled,
                "",
            ),
            (
                "another name",
                |q| Message::query(q.id, "x", 1).reply(0).encode().ok(),
                Outcome::Garbled,
                "",
            ),
            (
                "no such name",
                |q| q.reply(rcode::NXDOMAIN).encode().ok(),
                Outcome::Answered,
                "NXDOMAIN",
            ),
            (
                "failure",
                |q| q.reply(rcode::SERVFAIL).encode().ok(),
                Outcome::Answered,
                "SERVFAIL",
            ),
        ];
        alone(|| {
            for (what, make, outcome, rcode) in cases {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let server = socket.local_addr().unwrap();
                serve_udp(socket, 1, make);
                let began = Instant::now();
                let r = ask(server, Transport::Udp);
                assert_eq!((r.outcome, r.rcode.as_str()), (outcome, rcode), "{what}");
                assert!(began.elapsed() < Duration::from_millis(600), "{what}");
            }
            for local in ["127.0.0.1:53", "[::1]:53"] {
                for over in [Transport::Udp, Transport::Tcp] {
                    assert_eq!(
                        ask(local.parse().unwrap(), over).outcome,
                        Outcome::Refused,
                        "{local} {over:?}"
                    );
                }
            }
            for over in [Transport::Udp, Transport::Tcp] {
                assert_eq!(
                    ask("192.0.2.1:53".parse().unwrap(), over).outcome,
                    Outcome::Unreachable,
                    "{over:?}"
                );
            }
            assert!(
                query(
                    "a..b",
                    "A",
                    "127.0.0.1:53".parse().unwrap(),
                    Transport::Udp,
                    100
                )
                .is_err()
            );
            assert!(
                query(
                    "a",
                    "NONSENSE",
                    "127.0.0.1:53".parse().unwrap(),
                    Transport::Udp,
                    100
                )
                .is_err()
            );
        });
    }
}
