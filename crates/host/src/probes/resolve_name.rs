use super::{Need, Place, Runs, gap, not_mine};
use crate::dns;
use netshoot_model::probe::{Answer, Question, kinds};

/// One DNS query; the function is [`dns::query`].
pub const PROBE: Runs = Runs {
    kind: &kinds::resolve_name::KIND,
    run,
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
