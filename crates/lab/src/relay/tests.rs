//! Two namespaces on a cable through a third one.

use super::*;
use netshoot_host::link;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

struct Ends {
    left: NetNs,
    right: NetNs,
    relay: Relay,
    _middle: NetNs,
}

const RIGHT: [&str; 2] = ["10.9.0.2", "fd09::2"];

fn joined(conditions: Conditions) -> Ends {
    let [left, middle, right] = [(); 3].map(|()| NetNs::new().unwrap());
    for (ns, link, own) in [(&left, "l", "1"), (&right, "r", "2")] {
        middle
            .enter(|| {
                link::create_veth(link, "eth0", Some(ns)).unwrap();
                let quiet = format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6");
                std::fs::write(quiet, "1").unwrap();
                link::set_up(link).unwrap();
            })
            .unwrap();
        ns.enter(|| {
            // No duplicate address detection: it would take a second.
            std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0").unwrap();
            link::set_up("lo").unwrap();
            link::set_up("eth0").unwrap();
            link::add_address("eth0", format!("10.9.0.{own}").parse().unwrap(), 24).unwrap();
            link::add_address("eth0", format!("fd09::{own}").parse().unwrap(), 64).unwrap();
        })
        .unwrap();
    }
    let relay = Relay::start(&middle, "l", "r", conditions).unwrap();
    Ends {
        left,
        right,
        relay,
        _middle: middle,
    }
}

fn right(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().unwrap(), port)
}

/// A UDP echo on the right; gives a socket on the left that is connected to it.
fn echo(ends: &Ends, address: &str) -> UdpSocket {
    let server = ends
        .right
        .enter(|| UdpSocket::bind(right(address, 7)).unwrap())
        .unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 2048];
        server
            .set_read_timeout(Some(Duration::from_secs(4)))
            .unwrap();
        while let Ok((n, from)) = server.recv_from(&mut bytes) {
            drop(server.send_to(&bytes[..n], from));
        }
    });
    let any = if address.contains(':') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let client = ends.left.enter(|| UdpSocket::bind(any).unwrap()).unwrap();
    client.connect(right(address, 7)).unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    client
}

/// Sends numbered datagrams a little apart; gives those that came back, in order of arrival.
fn numbers(client: &UdpSocket, count: u32) -> Vec<u32> {
    let sender = client.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        for n in 0..count {
            sender
                .send(&[&n.to_be_bytes()[..], &[0x55; 96]].concat())
                .unwrap();
            std::thread::sleep(Duration::from_micros(500));
        }
    });
    let mut got = Vec::new();
    let mut bytes = [0; 2048];
    while let Ok(n) = client.recv(&mut bytes) {
        assert_eq!(n, 100);
        got.push(u32::from_be_bytes(bytes[..4].try_into().unwrap()));
    }
    sending.join().unwrap();
    got
}

/// Resolves the neighbour, so that what is measured is the path.
fn warm(client: &UdpSocket) {
    // A new link may carry nothing for a moment.
    let answered = (0..50).any(|_| {
        client.send(b"first").unwrap();
        client.recv(&mut [0; 16]).is_ok()
    });
    assert!(answered, "no answer in 50 tries");
    // Later answers to the earlier tries must not be counted.
    while client.recv(&mut [0; 16]).is_ok() {}
}

#[test]
fn tcp_through_it_is_whole_and_late() {
    let ends = joined(Conditions {
        delay_ms: 10,
        ..Conditions::default()
    });
    for address in RIGHT {
        let listener = ends
            .right
            .enter(|| TcpListener::bind(right(address, 80)).unwrap())
            .unwrap();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(&all).unwrap();
        });
        // Larger than any segment, so that offloaded ones cross the cable.
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let began = Instant::now();
        let mut stream = ends
            .left
            .enter(|| {
                TcpStream::connect_timeout(&right(address, 80), Duration::from_secs(5)).unwrap()
            })
            .unwrap();
        let connected = began.elapsed();
        assert!(connected >= Duration::from_millis(20), "{connected:?}");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut writer = stream.try_clone().unwrap();
        let copy = sent.clone();
        let writing = std::thread::spawn(move || {
            writer.write_all(&copy).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        writing.join().unwrap();
        served.join().unwrap();
        assert!(
            back == sent,
            "{address}: {} of {} bytes",
            back.len(),
            sent.len()
        );
    }
}

#[test]
fn jitter_lets_datagrams_overtake() {
    let ends = joined(Conditions::default());
    for address in RIGHT {
        ends.relay.set(Conditions::default());
        let client = echo(&ends, address);
        warm(&client);
        assert!(
            numbers(&client, 50).is_sorted(),
            "without jitter the order is kept"
        );
        ends.relay.set(Conditions {
            delay_ms: 2,
            jitter_ms: 20,
            ..Conditions::default()
        });
        let got = numbers(&client, 100);
        assert_eq!(got.len(), 100);
        assert!(!got.is_sorted(), "{got:?}");
    }
}

#[test]
fn bits_flip_and_datagrams_double() {
    let ends = joined(Conditions::default());
    for address in RIGHT {
        ends.relay.set(Conditions::default());
        let client = echo(&ends, address);
        warm(&client);
        let before = ends.relay.counters();
        ends.relay.set(Conditions {
            corrupt_percent: 30,
            ..Conditions::default()
        });
        // The receiver's checksums find the flipped bit: corruption is loss by another name.
        let got = numbers(&client, 100).len();
        let corrupted = ends.relay.counters().corrupted - before.corrupted;
        assert!(
            corrupted >= 15 && (20..95).contains(&got),
            "{got} of 100 back, {corrupted} corrupted"
        );
        ends.relay.set(Conditions {
            duplicate_percent: 100,
            ..Conditions::default()
        });
        let twice = numbers(&client, 10).len();
        assert_eq!(twice, 40, "{address}: twice each way");
        assert_eq!(ends.relay.counters().lost, 0);
    }
}

#[test]
fn it_ends_when_it_is_dropped() {
    let Ends {
        left,
        right: _right,
        relay,
        _middle,
    } = joined(Conditions::default());
    let address = right(RIGHT[0], 80);
    drop(relay);
    let refused = left
        .enter(|| TcpStream::connect_timeout(&address, Duration::from_millis(200)))
        .unwrap();
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let missing = Relay::start(&_middle, "l", "no-such-link", Conditions::default());
    assert!(missing.unwrap_err().to_string().contains("no-such-link"));
}
