use super::{Need, Place, Runs, gap, not_mine};
use crate::udp;
use netshoot_model::probe::{Answer, Question, kinds};

/// One datagram; the function is [`udp::exchange`].
pub const PROBE: Runs = Runs {
    kind: &kinds::udp_exchange::KIND,
    run,
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
