use super::{Need, Place, Runs, gap, not_mine};
use crate::capture::{Capture, flows::Filter};
use netshoot_model::probe::{Answer, Question, kinds};

/// Packets as they pass; the functions are [`Capture::open`] and [`Capture::listen`].
pub const PROBE: Runs = Runs {
    kind: &kinds::capture_packets::KIND,
    run,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::Capture {
        interface,
        host,
        port,
        millis,
    } = question
    else {
        return not_mine(question);
    };
    let filter = Filter {
        host: *host,
        port: *port,
    };
    match Capture::open(interface).and_then(|capture| capture.listen(filter, *millis)) {
        Ok(flows) => Answer::Capture(flows),
        Err(e) => gap(&e, Need::NetRaw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testground::{Far, Narrow, alone, narrowed, routed};
    use crate::{link, tcp};
    use netshoot_model::probe::{Flow, Outcome};
    use std::io::{Read, Write};
    use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

    fn heard(capture: &Capture, host: IpAddr, protocol: &str) -> Vec<Flow> {
        let flows = capture
            .listen(
                Filter {
                    host: Some(host),
                    port: None,
                },
                50,
            )
            .unwrap();
        flows
            .into_iter()
            .filter(|f| f.protocol == protocol)
            .collect()
    }

    fn listen_far(far: &Far, to: IpAddr) -> TcpListener {
        far.ns
            .enter(|| TcpListener::bind(SocketAddr::new(to, 80)).unwrap())
            .unwrap()
    }

    #[test]
    fn handshakes_refusals_and_silence() {
        routed(|far| {
            for (to, dead) in far.reachable.into_iter().zip(far.dead) {
                let _listener = listen_far(&far, to);
                let capture = Capture::open("e0").unwrap();
                for (port, outcome) in [(80, Outcome::Answered), (81, Outcome::Refused)] {
                    assert_eq!(
                        tcp::connect_many(SocketAddr::new(to, port), 1, 1000).unwrap()[0].outcome,
                        outcome
                    );
                }
                tcp::connect_many(SocketAddr::new(dead, 80), 1, 1200).unwrap();
                let open = &heard(&capture, to, "tcp")[..];
                let [accepted, refused] = open else {
                    panic!("{open:?}")
                };
                assert_eq!(
                    (accepted.syns, accepted.retransmissions, accepted.resets),
                    (1, 0, 0),
                    "{accepted:?}"
                );
                assert!(
                    accepted.forward >= 3 && accepted.backward >= 1 && accepted.interface == "e0",
                    "{accepted:?}"
                );
                assert_eq!(
                    (refused.syns, refused.resets, refused.backward),
                    (1, 1, 1),
                    "{refused:?}"
                );

                let capture = Capture::open("").unwrap();
                tcp::connect_many(SocketAddr::new(dead, 80), 1, 1200).unwrap();
                let silent = heard(&capture, dead, "tcp");
                assert_eq!(
                    (
                        silent[0].syns,
                        silent[0].retransmissions,
                        silent[0].backward
                    ),
                    (2, 1, 0),
                    "{silent:?}"
                );
            }
        });
    }

    #[test]
    fn too_large_for_the_router() {
        narrowed(Narrow::Announced(1300), |far| {
            for to in far.reachable {
                let listener = listen_far(&far, to);
                let capture = Capture::open("e0").unwrap();
                let mut stream = TcpStream::connect(SocketAddr::new(to, 80)).unwrap();
                let (mut other, _) = listener.accept().unwrap();
                stream.write_all(&[7; 20_000]).unwrap();
                other.read_exact(&mut [0; 20_000]).unwrap();
                let flows = heard(&capture, to, "tcp");
                assert!(
                    flows[0].too_big >= 1 && flows[0].retransmissions >= 1,
                    "{flows:?}"
                );
            }
        });
    }

    #[test]
    fn loopback_counts_each_packet_once() {
        alone(|| {
            for local in ["127.0.0.1:0", "[::1]:0"] {
                let capture = Capture::open("").unwrap();
                let to = TcpListener::bind(local).unwrap().local_addr().unwrap();
                tcp::connect_many(to, 1, 500).unwrap();
                let flows = heard(&capture, to.ip(), "tcp");
                assert_eq!(
                    (flows.len(), flows[0].forward, flows[0].backward),
                    (1, 1, 1),
                    "{flows:?}"
                );
            }
        });
    }

    #[test]
    fn through_a_tunnel() {
        routed(|far| {
            let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
            let end = |own: &str, other: &str, inner: &str| {
                link::create_vxlan("tunnel", 7, 8472, ip(own), 0, true).unwrap();
                link::set_up("tunnel").unwrap();
                link::add_address("tunnel", ip(inner), 24).unwrap();
                link::add_fdb("00:00:00:00:00:00", ip(other), "tunnel").unwrap();
            };
            end("10.1.0.2", "10.2.0.2", "10.9.0.1");
            far.ns
                .enter(|| end("10.2.0.2", "10.1.0.2", "10.9.0.2"))
                .unwrap();
            let _listener = listen_far(&far, ip("10.9.0.2"));
            let capture = Capture::open("e0").unwrap();
            let all = tcp::connect_many("10.9.0.2:80".parse().unwrap(), 1, 3000).unwrap();
            assert_eq!(all[0].outcome, Outcome::Answered, "{all:?}");
            let flows = capture
                .listen(
                    Filter {
                        host: Some(ip("10.9.0.2")),
                        port: Some(80),
                    },
                    50,
                )
                .unwrap();
            let inner = flows
                .iter()
                .find(|f| f.protocol == "tcp")
                .unwrap_or_else(|| panic!("{flows:?}"));
            assert_eq!(
                (inner.tunnel.as_str(), inner.interface.as_str()),
                ("vxlan 7", "e0")
            );
            assert!(inner.forward >= 2 && inner.backward >= 1, "{inner:?}");
            let outer = flows.iter().find(|f| f.protocol == "udp").unwrap();
            assert_eq!(
                (outer.destination.port(), outer.tunnel.as_str()),
                (8472, "")
            );
        });
    }

    #[test]
    fn an_absent_interface_is_a_gap() {
        alone(|| {
            let question = Question::Capture {
                interface: "eth9".into(),
                host: None,
                port: None,
                millis: 10,
            };
            match run(&question, &Place::default()) {
                Answer::CouldNotAsk { why, .. } => assert!(why.contains("eth9"), "{why}"),
                other => panic!("{other:?}"),
            }
        });
    }
}
