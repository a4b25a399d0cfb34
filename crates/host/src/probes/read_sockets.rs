use super::{Kind, Need, Place, gap, not_mine};
use crate::diag;
use netshoot_model::probe::{Answer, Harm, Question};

/// TCP and UDP sockets; the function is [`diag::sockets()`].
pub const PROBE: Kind = Kind {
    id: "read_sockets",
    asks: "who listens and who talks here, and how full are their queues",
    asks_zh: "这里谁在监听、谁在通信，它们的队列有多满",
    needs: &[Need::None],
    harm: Harm::None,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(question: &Question, _: &Place) -> Answer {
    match question {
        Question::Sockets => match diag::sockets() {
            Ok(sockets) => Answer::Sockets(sockets),
            Err(e) => gap(&e, Need::None),
        },
        _ => not_mine(question),
    }
}

const PAGE: &str = "\
# read_sockets

## What it asks

All TCP and UDP sockets of the network namespace, IPv4 and IPv6, with state and queues
(inet_diag, as `ss -tuan`).

## What it sends

Nothing. It reads, needs no right and disturbs nothing.

## What the answers mean

- `LISTEN`: `recv_q` counts connections that wait for accept(2), `send_q` is how many may. When
  they are more than that, the kernel throws SYNs away in silence: the program is too slow or
  stuck, and clients see time-outs.
- A listener on 127.0.0.1 or ::1 is out of reach for everybody else.
- A listener on `[::]` takes IPv4 too unless `v6_only`.
- `recv_q` of a connection are bytes that the program did not read; `send_q` are bytes that the
  other end did not acknowledge.
- Many `SYN-SENT`: answers do not come. Many `CLOSE-WAIT`: the program does not close.
- An IPv4 peer of a dual-stack socket is given as IPv4, not as ::ffff:a.b.c.d.
";

const PAGE_ZH: &str = "\
# read_sockets

## 问什么

网络命名空间中所有的 TCP 与 UDP 套接字，IPv4 与 IPv6，及其状态和队列（inet_diag，等同 `ss -tuan`）。

## 发送什么

不发送任何报文。只读取，不需要权限，也没有任何影响。

## 应答的含义

- `LISTEN`：`recv_q` 是等待 accept(2) 的连接数，`send_q` 是允许的上限。超过上限时，内核会静默丢弃 SYN：程序太慢或卡住，客户端看到的是超时。
- 监听在 127.0.0.1 或 ::1 上的套接字，其他任何人都无法访问。
- 监听在 `[::]` 上的套接字也接受 IPv4，除非 `v6_only`。
- 连接的 `recv_q` 是程序尚未读取的字节；`send_q` 是对端尚未确认的字节。
- 大量 `SYN-SENT`：收不到应答。大量 `CLOSE-WAIT`：程序没有关闭连接。
- 双栈套接字的 IPv4 对端以 IPv4 给出，而不是 ::ffff:a.b.c.d。
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link;
    use crate::testing::{in_new_netns, oracle_text};
    use netshoot_model::probe::Socket;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn sockets() -> Vec<Socket> {
        match run(&Question::Sockets, &Place::default()) {
            Answer::Sockets(sockets) => sockets,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_accept_queue_is_seen_to_fill() {
        in_new_netns(|| {
            link::set_up("lo").unwrap();
            for at in ["127.0.0.1:0", "[::1]:0"] {
                let listener = TcpListener::bind(at).unwrap();
                let local = listener.local_addr().unwrap();
                let waiting = || {
                    let all = sockets();
                    all.iter()
                        .find(|s| s.state == "LISTEN" && s.local == local)
                        .unwrap()
                        .clone()
                };
                assert_eq!(waiting().recv_q, 0);
                let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(local).unwrap()).collect();
                assert_eq!(waiting().recv_q, 3);
                assert_eq!(waiting().send_q, 128);
                assert_eq!(waiting().protocol, "tcp");
                drop(clients);
            }
        });
    }

    #[test]
    fn a_dual_stack_listener_is_told_from_a_six_only_one() {
        in_new_netns(|| {
            link::set_up("lo").unwrap();
            let both = TcpListener::bind("[::]:0").unwrap();
            let local = both.local_addr().unwrap();
            let client = TcpStream::connect(("127.0.0.1", local.port())).unwrap();
            let all = sockets();
            let listener = all.iter().find(|s| s.state == "LISTEN").unwrap();
            assert_eq!((listener.local, listener.v6_only), (local, false));
            let accepted = all
                .iter()
                .find(|s| s.remote == client.local_addr().unwrap())
                .unwrap();
            assert_eq!(accepted.local, client.peer_addr().unwrap());
        });
    }

    #[test]
    fn sockets_are_what_ss_says() {
        in_new_netns(|| {
            link::set_up("lo").unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let six = TcpListener::bind("[::1]:0").unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let other = TcpStream::connect(six.local_addr().unwrap()).unwrap();
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            udp.send_to(b"unread", udp.local_addr().unwrap()).unwrap();
            let connected = UdpSocket::bind("[::1]:0").unwrap();
            connected.connect("[::1]:9").unwrap();
            let Some(text) = oracle_text("ss", &["-H", "-n", "-t", "-u", "-a"]) else {
                return;
            };
            let mut theirs: Vec<String> = text
                .lines()
                .map(|line| {
                    line.split_whitespace()
                        .take(6)
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect();
            // ss writes the wildcard port as a star.
            let end = |a: std::net::SocketAddr| match a.port() {
                0 if a.is_ipv6() => format!("[{}]:*", a.ip()),
                0 => format!("{}:*", a.ip()),
                _ => a.to_string(),
            };
            let mut ours: Vec<String> = sockets()
                .iter()
                .map(|s| {
                    let ends = format!("{} {}", end(s.local), end(s.remote));
                    format!(
                        "{} {} {} {} {ends}",
                        s.protocol, s.state, s.recv_q, s.send_q
                    )
                })
                .collect();
            theirs.sort();
            ours.sort();
            assert_eq!(ours, theirs);
            assert_eq!(ours.len(), 8);
            drop((client, other));
        });
    }
}
