use super::*;
use std::net::{IpAddr, SocketAddr};

fn ends(v6: bool) -> (SocketAddr, SocketAddr) {
    let at = |n: u8| -> IpAddr {
        if v6 {
            format!("fd00::{n}").parse().unwrap()
        } else {
            [10, 0, 0, n].into()
        }
    };
    (SocketAddr::new(at(1), 40000), SocketAddr::new(at(2), 80))
}

fn packet(v6: bool, segment: &Tcp<'_>) -> Vec<u8> {
    let (from, to) = ends(v6);
    build_ip(
        from.ip(),
        to.ip(),
        protocol::TCP,
        &build_tcp(from, to, segment).unwrap(),
    )
    .unwrap()
}

#[test]
fn checksum_of_rfc_1071() {
    assert_eq!(
        checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]),
        !0xddf2
    );
    // An IPv4 header that has been on a wire: 192.168.0.1 to 192.168.0.199, UDP.
    let header = [
        0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,
        0xc7,
    ];
    assert_eq!(checksum(&[&header]), 0);
    assert_eq!(checksum(&[&[1]]), !0x0100);
}

#[test]
fn tcp_both_ways() {
    for v6 in [false, true] {
        let segment = Tcp {
            source: 40000,
            destination: 80,
            seq: 7,
            ack: 9,
            flags: Tcp::SYN | Tcp::ACK,
            window: 512,
            header: 28,
            options: &[1, 2, 4, 5, 0xb4, 1, 0, 0],
            payload: b"hello",
        };
        let bytes = packet(v6, &segment);
        let ip = Ip::decode(&bytes).unwrap();
        assert_eq!(
            (ip.protocol, ip.length, ip.hop_limit, ip.dont_fragment),
            (protocol::TCP, bytes.len(), 64, true)
        );
        assert_eq!(
            (ip.source, ip.destination),
            (ends(v6).0.ip(), ends(v6).1.ip())
        );
        assert_eq!(ip.checksum(ip.payload), 0, "the checksum is right");
        let tcp = Tcp::decode(ip.payload).unwrap();
        assert_eq!(tcp, segment);
        assert_eq!(
            (tcp.mss(), tcp.has(Tcp::SYN), tcp.has(Tcp::SYN | Tcp::FIN)),
            (Some(1460), true, false)
        );
    }
}

#[test]
fn udp_vxlan_and_the_frame_inside() {
    for v6 in [false, true] {
        let inner = packet(
            !v6,
            &Tcp {
                header: 20,
                flags: Tcp::RST,
                ..Tcp::default()
            },
        );
        let ethertype = if v6 { ethertype::IPV4 } else { ethertype::IPV6 };
        let frame = Ethernet {
            destination: [1; 6],
            source: [2; 6],
            vlan: Some(5),
            ethertype,
            payload: &inner,
        };
        let frame_bytes = frame.encode();
        let vxlan = Vxlan {
            vni: 0x00ab_cdef,
            frame: &frame_bytes,
        }
        .encode();
        let (from, to) = ends(v6);
        let to = SocketAddr::new(to.ip(), VXLAN_PORTS[0]);
        let bytes = build_ip(
            from.ip(),
            to.ip(),
            protocol::UDP,
            &build_udp(from, to, &vxlan).unwrap(),
        )
        .unwrap();
        let ip = Ip::decode(&bytes).unwrap();
        assert_eq!(ip.checksum(ip.payload), 0);
        let udp = Udp::decode(ip.payload).unwrap();
        assert_eq!(
            (udp.source, udp.destination, udp.length),
            (40000, 4789, vxlan.len() + 8)
        );
        let got = Vxlan::decode(udp.payload).unwrap();
        assert_eq!(
            (got.vni, Ethernet::decode(got.frame).unwrap()),
            (0x00ab_cdef, frame)
        );
    }
    assert!(Vxlan::decode(&[0; 8]).is_err(), "without the I flag");
}

#[test]
fn arp_both_ways() {
    let arp = Arp {
        operation: 2,
        sender_mac: [1; 6],
        sender: [10, 0, 0, 1].into(),
        target_mac: [2; 6],
        target: [10, 0, 0, 2].into(),
    };
    assert_eq!(Arp::decode(&arp.encode()).unwrap(), arp);
    assert!(Arp::decode(&[0; 28]).is_err());
}

#[test]
fn icmp_messages() {
    let echo = build_echo(false, 1, 2, b"x");
    assert_eq!(checksum(&[&echo]), 0);
    assert_eq!(
        Icmp::decode(false, &echo).unwrap().message(),
        Message::EchoRequest { id: 1, seq: 2 }
    );
    let about = packet(
        false,
        &Tcp {
            header: 20,
            ..Tcp::default()
        },
    );
    for (v6, head, is_too_big) in [
        (false, [3, 4, 0, 0, 0, 0, 0x05, 0x78], Some(1400)),
        (true, [2, 0, 0, 0, 0, 0, 0x05, 0x78], Some(1400)),
        (false, [3, 13, 0, 0, 0, 0, 0, 0], None),
        (true, [1, 1, 0, 0, 0, 0, 0, 0], None),
    ] {
        let bytes = [&head[..], &about].concat();
        let icmp = Icmp::decode(v6, &bytes).unwrap();
        assert_eq!(icmp.about(), Some(&about[..]));
        let mtu = match icmp.message() {
            Message::TooBig { mtu, .. } => Some(mtu),
            _ => None,
        };
        assert_eq!(mtu, is_too_big, "{head:?}");
    }
    assert_eq!(Icmp::words(true, 1, 1), Icmp::words(false, 3, 13));
    assert_eq!(Icmp::words(false, 42, 1), "ICMP type 42 code 1");
}

#[test]
fn fragments_and_extension_headers() {
    let mut v4 = packet(
        false,
        &Tcp {
            header: 20,
            ..Tcp::default()
        },
    );
    v4[6..8].copy_from_slice(&0x2001u16.to_be_bytes());
    let ip = Ip::decode(&v4).unwrap();
    assert_eq!(
        ip.fragment,
        Some(Fragment {
            id: 0,
            offset: 8,
            more: true
        })
    );
    assert!(!ip.is_first() && !ip.dont_fragment);

    let v6 = packet(
        true,
        &Tcp {
            header: 20,
            seq: 3,
            ..Tcp::default()
        },
    );
    let (head, tcp) = v6.split_at(40);
    // Hop-by-hop (8 bytes), then a first fragment, then TCP.
    let mut bytes = head.to_vec();
    bytes[4..6].copy_from_slice(&(16 + tcp.len() as u16).to_be_bytes());
    bytes[6] = 0;
    bytes.extend([44, 0, 1, 4, 0, 0, 0, 0]);
    bytes.extend([6, 0, 0, 1, 0, 0, 0, 9]);
    bytes.extend(tcp);
    let ip = Ip::decode(&bytes).unwrap();
    assert_eq!(
        (ip.protocol, ip.header, ip.payload),
        (protocol::TCP, 56, tcp)
    );
    assert_eq!(
        ip.fragment,
        Some(Fragment {
            id: 9,
            offset: 0,
            more: true
        })
    );
}

#[test]
fn a_short_capture_keeps_the_lengths_and_padding_is_not_payload() {
    let whole = packet(
        false,
        &Tcp {
            header: 20,
            payload: &[0; 1000],
            ..Tcp::default()
        },
    );
    let ip = Ip::decode(&whole[..50]).unwrap();
    assert_eq!(
        (ip.length, ip.payload_length(), ip.payload.len()),
        (1040, 1020, 30)
    );
    let mut padded = packet(
        false,
        &Tcp {
            header: 20,
            ..Tcp::default()
        },
    );
    padded.extend([0; 6]);
    assert_eq!(
        Tcp::decode(Ip::decode(&padded).unwrap().payload)
            .unwrap()
            .payload,
        b""
    );
}

#[test]
fn fuzz() {
    let (from, to) = ends(false);
    let inner = packet(
        true,
        &Tcp {
            header: 24,
            options: &[2, 4, 5, 0xb4],
            payload: b"abc",
            ..Tcp::default()
        },
    );
    let frame = Ethernet {
        destination: [1; 6],
        source: [2; 6],
        vlan: None,
        ethertype: ethertype::IPV6,
        payload: &inner,
    }
    .encode();
    let to = SocketAddr::new(to.ip(), 4789);
    let udp = build_udp(
        from,
        to,
        &Vxlan {
            vni: 1,
            frame: &frame,
        }
        .encode(),
    )
    .unwrap();
    let outer = build_ip(from.ip(), to.ip(), protocol::UDP, &udp).unwrap();
    crate::fuzz::mutations(&outer, 60_000, |bytes| {
        let _ = Arp::decode(bytes);
        let _ = Icmp::decode(true, bytes).map(|i| (i.message(), i.about().map(Ip::decode)));
        let Ok(ip) = Ip::decode(bytes) else { return };
        let _ = (ip.checksum(ip.payload), ip.payload_length());
        let Ok(udp) = Udp::decode(ip.payload) else {
            return;
        };
        let Ok(frame) = Vxlan::decode(udp.payload).and_then(|v| Ethernet::decode(v.frame)) else {
            return;
        };
        let Ok(ip) = Ip::decode(frame.payload) else {
            return;
        };
        let _ = Tcp::decode(ip.payload).map(|t| t.mss());
    });
    crate::fuzz::mutations(&inner, 60_000, |bytes| {
        let _ = Ip::decode(bytes).map(|ip| Tcp::decode(ip.payload).map(|t| t.mss()));
    });
}
