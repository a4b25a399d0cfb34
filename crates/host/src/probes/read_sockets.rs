use super::{Need, Place, Runs, gap, not_mine};
use crate::diag;
use netshoot_model::probe::{Answer, Question, kinds};

/// TCP and UDP sockets; the function is [`diag::sockets()`].
pub const PROBE: Runs = Runs {
    kind: &kinds::read_sockets::KIND,
    run,
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
