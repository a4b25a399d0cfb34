use super::{Kind, Need, Place, gap, not_mine};
use crate::tcp;
use netshoot_model::probe::{Answer, Harm, Question};

/// TCP handshakes; the function is [`tcp::connect_many`].
pub const PROBE: Kind = Kind {
    id: "tcp_connect",
    asks: "does something accept TCP connections there, and if not, who says so",
    asks_zh: "该处是否有程序接受 TCP 连接；若没有，是谁说的",
    needs: &[Need::None],
    harm: Harm::Series,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::TcpConnect {
        to,
        tries,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    match tcp::connect_many(*to, *tries, *timeout_ms) {
        Ok(attempts) => Answer::TcpConnect(attempts),
        Err(e) => gap(&e, Need::None),
    }
}

const PAGE: &str = "\
# tcp_connect

## What it asks

Whether a TCP handshake with an address and port succeeds, as many times as told, 8 ms apart.

## What it sends

One SYN per try, the kernel's own retransmissions of it within the patience (after 1, 3, 7 s),
and an ordinary close. Never data.

## What the answers mean

- `answered`: the handshake was completed. The listener's kernel did that; the application may
  still be stuck behind it.
- `refused`: a RST came back, or an ICMP port unreachable: the host is there, nobody listens on the
  port, or a rule rejects it.
- `reset`: the connection stood and was torn down at once.
- `silent`: nothing came back. A rule drops the packets, the address is held by nobody, or the
  listener's accept queue is full (then `retransmissions` grow on some tries while others succeed).
- `unreachable`: an ICMP error, or the own routes or filters refuse it; `detail` has the words.
";

const PAGE_ZH: &str = "\
# tcp_connect

## 问什么

与某个地址和端口的 TCP 握手能否成功；按指定次数尝试，间隔 8 毫秒。

## 发送什么

每次尝试发送一个 SYN，在等待期限内由内核自行重传（1、3、7 秒之后），然后正常关闭。从不发送数据。

## 应答的含义

- `answered`：握手完成。这是监听方内核所做的；其后的应用仍可能卡住。
- `refused`：收到 RST，或 ICMP 端口不可达：主机存在，但该端口没有监听，或被规则拒绝。
- `reset`：连接建立后立即被断开。
- `silent`：没有任何回应。有规则丢弃报文，或该地址无人持有，或监听方的 accept 队列已满（此时部分尝试的 `retransmissions` 增长，而其他尝试成功）。
- `unreachable`：收到 ICMP 错误，或本机的路由或过滤规则拒绝；`detail` 中是原文。
";

#[cfg(test)]
mod tests {
    use crate::tcp::connect_many;
    use crate::testground::alone;
    use netshoot_model::probe::{Attempt, Outcome};
    use std::net::{SocketAddr, TcpListener};
    use std::time::{Duration, Instant};

    fn attempts(to: SocketAddr, tries: u32, timeout_ms: u32) -> (Vec<Attempt>, Duration) {
        let began = Instant::now();
        (
            connect_many(to, tries, timeout_ms).unwrap(),
            began.elapsed(),
        )
    }

    const BOTH: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

    #[test]
    fn open_and_closed_ports() {
        alone(|| {
            for local in BOTH {
                let listener = TcpListener::bind(local).unwrap();
                let to = listener.local_addr().unwrap();
                let (open, _) = attempts(to, 5, 1000);
                assert!(
                    open.len() == 5 && open.iter().all(|a| a.outcome == Outcome::Answered),
                    "{open:?}"
                );
                drop(listener);
                let (closed, took) = attempts(to, 2, 1000);
                assert!(
                    closed.len() == 2 && closed.iter().all(|a| a.outcome == Outcome::Refused),
                    "{closed:?}"
                );
                assert_eq!(closed[0].detail, "Connection refused");
                assert!(took < Duration::from_millis(500), "{took:?}");
            }
        });
    }

    #[test]
    fn a_full_accept_queue_is_silent() {
        alone(|| {
            for local in BOTH {
                let listener = TcpListener::bind(local).unwrap();
                // SAFETY: listen takes no pointers; again only to set the backlog.
                unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) };
                let to = listener.local_addr().unwrap();
                let (all, took) = attempts(to, 5, 1300);
                let silent: Vec<_> = all
                    .iter()
                    .filter(|a| a.outcome == Outcome::Silent)
                    .collect();
                assert!(
                    !silent.is_empty() && silent.len() < 5,
                    "a backlog of 0 takes some, not all: {all:?}"
                );
                assert!(silent.iter().all(|a| a.retransmissions >= 1), "{silent:?}");
                assert!(
                    took >= Duration::from_millis(1300) && took < Duration::from_millis(1600),
                    "{took:?}"
                );
            }
        });
    }

    #[test]
    fn no_route_is_unreachable() {
        alone(|| {
            for to in ["192.0.2.1:80", "[2001:db8::1]:80"] {
                let (all, _) = attempts(to.parse().unwrap(), 1, 500);
                assert_eq!(all[0].outcome, Outcome::Unreachable, "{all:?}");
                assert_eq!(all[0].detail, "Network is unreachable");
            }
        });
    }
}
