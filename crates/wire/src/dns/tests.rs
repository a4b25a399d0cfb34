use super::*;

fn message() -> Message {
    let mut m =
        Message::query(0x1234, "web.production.svc.cluster.local.", rtype::A).reply(rcode::NOERROR);
    m.authoritative = true;
    m.recursion_available = true;
    let n = "web.production.svc.cluster.local";
    m.answers = vec![
        Record::new(
            n,
            5,
            Data::Cname("other.production.svc.cluster.local".into()),
        ),
        Record::new(n, 5, Data::A([10, 96, 0, 7].into())),
        Record::new(n, 5, Data::Aaaa("fd00::7".parse().unwrap())),
        Record::new("7.0.96.10.in-addr.arpa", 5, Data::Ptr(n.into())),
        Record::new(
            "_http._tcp.web",
            5,
            Data::Srv(Srv {
                priority: 0,
                weight: 100,
                port: 80,
                target: n.into(),
            }),
        ),
        Record::new(
            "t",
            5,
            Data::Txt(vec![b"dns-version=1.1.0".to_vec(), vec![]]),
        ),
        Record::new("m", 5, Data::Mx(10, "mail.example.com".into())),
        Record {
            rtype: 65300,
            ..Record::new("svcb", 5, Data::Other(vec![1, 2, 3]))
        },
    ];
    m.authorities = vec![
        Record::new("cluster.local", 5, Data::Ns("ns.dns.cluster.local".into())),
        Record::new(
            "cluster.local",
            5,
            Data::Soa(Soa {
                mname: "ns.dns.cluster.local".into(),
                rname: "hostmaster.cluster.local".into(),
                serial: 1,
                refresh: 7200,
                retry: 1800,
                expire: 86400,
                minimum: 5,
            }),
        ),
    ];
    m.additional = vec![Record::new(
        "ns.dns.cluster.local",
        5,
        Data::A([10, 96, 0, 10].into()),
    )];
    m.edns = Some(Edns {
        udp_size: 1232,
        version: 0,
        dnssec_ok: true,
        flags: 0,
        options: vec![(10, vec![1, 2, 3, 4, 5, 6, 7, 8])],
    });
    m
}

#[test]
fn what_is_written_is_read() {
    let m = message();
    let bytes = m.encode().unwrap();
    assert_eq!(Message::decode(&bytes).unwrap(), m);
    let uncompressed: usize = m.answers.iter().map(|r| r.name.len() + 12).sum();
    assert!(
        bytes.len() < uncompressed + 360,
        "names are compressed: {} bytes",
        bytes.len()
    );
}

#[test]
fn flags_and_extended_rcode() {
    for (set, word) in [
        (
            Message {
                response: true,
                ..Message::default()
            },
            0x8000u16,
        ),
        (
            Message {
                opcode: 5,
                ..Message::default()
            },
            0x2800,
        ),
        (
            Message {
                authoritative: true,
                ..Message::default()
            },
            0x0400,
        ),
        (
            Message {
                truncated: true,
                ..Message::default()
            },
            0x0200,
        ),
        (
            Message {
                recursion_desired: true,
                ..Message::default()
            },
            0x0100,
        ),
        (
            Message {
                recursion_available: true,
                ..Message::default()
            },
            0x0080,
        ),
        (
            Message {
                authentic: true,
                ..Message::default()
            },
            0x0020,
        ),
        (
            Message {
                checking_disabled: true,
                ..Message::default()
            },
            0x0010,
        ),
        (
            Message {
                rcode: 3,
                ..Message::default()
            },
            0x0003,
        ),
    ] {
        let bytes = set.encode().unwrap();
        assert_eq!(bytes[2..4], word.to_be_bytes(), "{set:?}");
        assert_eq!(Message::decode(&bytes).unwrap(), set);
    }
    let m = Message {
        rcode: 16,
        edns: Some(Edns::default()),
        ..Message::default()
    };
    assert_eq!(Message::decode(&m.encode().unwrap()).unwrap().rcode, 16);
}

#[test]
fn a_query_as_it_travels() {
    // Written by hand from RFC 1035 4.1 and RFC 6891 6.1.2.
    let expected = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01a\x02bc\x00\x00\x1c\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
    assert_eq!(
        Message::query(7, "a.bc.", rtype::AAAA).encode().unwrap(),
        expected
    );
}

#[test]
fn names() {
    let longest = format!("{0}.{0}.{0}.{1}", "x".repeat(63), "y".repeat(61));
    for (text, ok) in [
        ("", true),
        (".", true),
        ("a", true),
        ("a.b.", true),
        ("a..b", false),
        (".a", false),
        (&"x".repeat(63), true),
        (&"x".repeat(64), false),
        (&longest, true),
        (&format!("{longest}y"), false),
        (r"a\.b.c", true),
        (r"a\032b", true),
        (r"a\999", false),
        (r"a\1", false),
        ("a\\", false),
    ] {
        let mut out = Vec::new();
        assert_eq!(encode_name(text, &mut out).is_ok(), ok, "{text}");
        if ok {
            let (back, next) = decode_name(&out, 0).unwrap();
            assert_eq!(
                (back.as_str(), next),
                (text.trim_end_matches('.'), out.len())
            );
        }
    }
}

#[test]
fn pointers_cannot_loop_or_lead_astray() {
    for (bytes, why) in [
        (&b"\xc0\x00"[..], "to itself"),
        (b"\x01a\xc0\x00", "back into its own name"),
        (b"\xc0\x05\x00", "beyond the end"),
        (b"\xc0", "half"),
        (b"\x40", "a reserved kind"),
        (b"\x05ab", "a label beyond the end"),
        (b"", "nothing"),
    ] {
        assert!(decode_name(bytes, 0).is_err(), "{why}");
    }
    assert_eq!(
        decode_name(b"\x01b\x00\x01a\xc0\x00", 3).unwrap(),
        ("a.b".to_string(), 7)
    );
}

#[test]
fn damaged_data_of_any_type_are_written() {
    let seeds: [&[u8]; 5] = [
        b"\0\x01\x03web\x04shop\x04test\0\0\x01\0\x03\x02h2\0\x03\0\x02\x20\xfb",
        b"\0\x01\x0d\x02\0\0\x01\x2c\0\0\0\0\0\0\0\0\0\x07\x04test\0sig",
        b"\x01\0\0\x02\x02\xab\xcd\x04hash\0\x02\x40\x01",
        b"\0\x12\x16\x13\x8b\x3b\x7b\x38\x81\x0c\xd2\x20\0\x98\x95\xb8",
        b"\0\x01\x15\x03\xc0\xa8\x20\0\x01\x1c\x83\xc0\xa8\x26",
    ];
    let styles = [
        text::Style::default(),
        text::Style::ldns(),
        text::Style {
            multiline: true,
            split: 44,
            comments: true,
            ..text::Style::default()
        },
    ];
    for seed in seeds {
        crate::fuzz::mutations(seed, 300, |bytes| {
            for (kind, _) in kinds::TYPES {
                for style in &styles {
                    assert!(!text::data(*kind, bytes, style).is_empty() || bytes.is_empty());
                }
            }
        });
    }
}

#[test]
fn what_does_not_fit_is_truncated() {
    let mut m = message();
    for i in 0..100 {
        m.answers.push(Record::new(
            "x.example.com",
            5,
            Data::A([10, 0, 0, i].into()),
        ));
    }
    let bytes = m.encode_within(UDP_LIMIT).unwrap();
    assert!(bytes.len() <= UDP_LIMIT);
    let cut = Message::decode(&bytes).unwrap();
    assert!(cut.truncated && cut.answers.is_empty() && cut.questions == m.questions);
}

#[test]
fn words() {
    for (number, word) in [
        (1, "A"),
        (28, "AAAA"),
        (33, "SRV"),
        (64, "SVCB"),
        (65300, "TYPE65300"),
    ] {
        assert_eq!(type_word(number), word);
        assert_eq!(type_number(&word.to_lowercase()), Some(number));
    }
    assert_eq!(type_number("nonsense"), None);
    assert_eq!(
        (rcode_word(3), rcode_word(16), rcode_word(99)),
        ("NXDOMAIN".into(), "BADVERS".into(), "RCODE99".into())
    );
    let texts: Vec<String> = message().answers.iter().map(|r| r.to_string()).collect();
    assert_eq!(texts[0], "CNAME other.production.svc.cluster.local.");
    assert_eq!(texts[1], "10.96.0.7");
    assert_eq!(texts[4], "SRV 0 100 80 web.production.svc.cluster.local.");
    assert_eq!(texts[5], "TXT \"dns-version=1.1.0\" \"\"");
    assert_eq!(texts[7], "TYPE65300 \\# 3 010203");
}

#[test]
fn fuzz_never_panics_and_what_is_read_can_be_written() {
    let valid = message().encode().unwrap();
    crate::fuzz::mutations(&valid, 60_000, |bytes| {
        if let Ok(m) = Message::decode(bytes) {
            let again = m.encode().expect("a decoded message has a wire form");
            assert_eq!(
                Message::decode(&again).map(|m2| m2.questions),
                Ok(m.questions)
            );
        }
    });
}
