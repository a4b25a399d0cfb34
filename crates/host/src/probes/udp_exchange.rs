use super::{Kind, Need, Place, gap, not_mine};
use crate::udp;
use netshoot_model::probe::{Answer, Harm, Question};

/// One datagram; the function is [`udp::exchange`].
pub const PROBE: Kind = Kind {
    id: "udp_exchange",
    asks: "what comes back for a UDP datagram",
    asks_zh: "一个 UDP 报文会换回什么",
    needs: &[Need::None],
    harm: Harm::FewPackets,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::UdpExchange {
        to,
        payload,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    match udp::exchange(*to, payload.as_bytes(), *timeout_ms) {
        Ok((attempt, reply)) => Answer::UdpExchange {
            attempt,
            reply: String::from_utf8_lossy(&reply).into_owned(),
        },
        Err(e) => gap(&e, Need::None),
    }
}

const PAGE: &str = "\
# udp_exchange

## What it asks

What comes back for one UDP datagram with a given text.

## What it sends

That datagram, once.

## What the answers mean

- `answered`: a datagram came back; `reply` is its text.
- `refused`: an ICMP port unreachable: the host is there, nobody listens, or a rule rejects it.
- `silent`: nothing came back. UDP does not tell a listener that does not answer such a payload
  from a packet that was dropped.
- `unreachable`: another ICMP error, or the own routes or filters refuse it.
";

const PAGE_ZH: &str = "\
# udp_exchange

## 问什么

一个带有给定文本的 UDP 报文会换回什么。

## 发送什么

该报文，一次。

## 应答的含义

- `answered`：收到一个报文；`reply` 是其文本。
- `refused`：收到 ICMP 端口不可达：主机存在，但没有监听者，或被规则拒绝。
- `silent`：没有任何回应。UDP 无法区分监听者不应答这种内容，还是报文被丢弃。
- `unreachable`：收到其他 ICMP 错误，或本机的路由或过滤规则拒绝。
";

#[cfg(test)]
mod tests {
    use crate::testground::alone;
    use crate::udp::exchange;
    use netshoot_model::probe::Outcome;
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    #[test]
    fn answered_silent_refused_unreachable() {
        alone(|| {
            for local in ["127.0.0.1:0", "[::1]:0"] {
                let socket = UdpSocket::bind(local).unwrap();
                let to = socket.local_addr().unwrap();
                let began = Instant::now();
                assert_eq!(exchange(to, b"x", 200).unwrap().0.outcome, Outcome::Silent);
                assert!(began.elapsed() < Duration::from_millis(350));
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        let mut buffer = [0u8; 9];
                        let _left_from_above = socket.recv_from(&mut buffer).unwrap();
                        let (n, from) = socket.recv_from(&mut buffer).unwrap();
                        socket.send_to(&buffer[..n], from).unwrap();
                    });
                    let (attempt, reply) = exchange(to, b"hello", 1000).unwrap();
                    assert_eq!(
                        (attempt.outcome, reply.as_slice()),
                        (Outcome::Answered, &b"hello"[..])
                    );
                });
                drop(socket);
                let (attempt, _) = exchange(to, b"x", 1000).unwrap();
                assert_eq!(
                    (attempt.outcome, attempt.detail.as_str()),
                    (Outcome::Refused, "Connection refused")
                );
            }
            for to in ["192.0.2.1:9", "[2001:db8::1]:9"] {
                assert_eq!(
                    exchange(to.parse().unwrap(), b"x", 200).unwrap().0.outcome,
                    Outcome::Unreachable
                );
            }
        });
    }
}
