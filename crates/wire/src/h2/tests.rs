use super::*;

#[test]
fn frames_both_ways() {
    let frame = Frame::new(
        kind::HEADERS,
        flag::PADDED | flag::PRIORITY,
        3,
        [1, 0, 0, 0, 0, 0, 7, 0],
    );
    let bytes = frame.encode();
    assert_eq!(Frame::decode(&bytes), Ok(Some((frame.clone(), 17))));
    assert_eq!(frame.content(), [7]);
    assert_eq!(Frame::decode(&bytes[..12]), Ok(None));
    assert!(Frame::decode(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    let settings = Frame::new(kind::SETTINGS, 0, 0, [0, 4, 0, 0, 1, 0]);
    assert_eq!(settings.settings(), [(4, 256)]);
}

#[test]
fn fuzz() {
    let valid = Frame::new(kind::DATA, flag::PADDED, 1, [2, b'a', 0, 0]).encode();
    crate::fuzz::mutations(&valid, 20_000, |bytes| {
        if let Ok(Some((frame, taken))) = Frame::decode(bytes) {
            assert!(taken <= bytes.len() && frame.content().len() <= frame.payload.len());
            let _ = (frame.settings(), frame.number());
        }
    });
}

use super::client::{Client, Event, MOST_OUT, SETTINGS};
use crate::hpack;

fn head(id: u32, fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    Frame::new(
        kind::HEADERS,
        flags | flag::END_HEADERS,
        id,
        hpack::encode(fields),
    )
    .encode()
}

fn data(id: u32, bytes: &[u8], flags: u8) -> Vec<u8> {
    Frame::new(kind::DATA, flags, id, bytes).encode()
}

fn asked() -> (Client, u32) {
    let mut client = Client::begin();
    let id = client.open(&[(":method", "GET"), (":path", "/")], true);
    (client, id)
}

fn all(client: &mut Client, id: u32) -> Vec<Event> {
    std::iter::from_fn(|| client.event(id)).collect()
}

#[test]
fn a_request_and_its_answer() {
    let (mut client, id) = asked();
    assert!(client.output().starts_with(PREFACE));
    let fields = [(":status", "200"), ("a", "b")];
    let came = [
        Frame::new(kind::SETTINGS, 0, 0, SETTINGS).encode(),
        head(id, &fields, 0),
        data(id, b"one", 0),
        data(id, b"two", 0),
        head(id, &[("t", "u")], flag::END_STREAM),
    ]
    .concat();
    // Byte by byte, as it may come.
    for byte in &came {
        client.take(&[*byte]).unwrap();
    }
    let pair = |a: &str, b: &str| vec![(a.to_string(), b.to_string())];
    let expected = [
        Event::Head(200, pair("a", "b")),
        Event::Data(b"onetwo".to_vec()),
        Event::Trailers(pair("t", "u")),
        Event::End,
    ];
    assert_eq!(all(&mut client, id), expected);
}

#[test]
fn a_body_waits_for_windows() {
    let mut client = Client::begin();
    let id = client.open(&[(":method", "PUT"), (":path", "/")], false);
    let body = vec![7; 100_000];
    assert_eq!(client.send(id, &body, true), 65_535);
    assert_eq!(client.send(id, &body[65_535..], true), 0);
    for stream in [0, id] {
        let more = Frame::new(kind::WINDOW_UPDATE, 0, stream, 50_000u32.to_be_bytes());
        client.take(&more.encode()).unwrap();
    }
    assert_eq!(client.send(id, &body[65_535..], true), 100_000 - 65_535);
}

#[test]
fn what_breaks_the_rules_ends_a_stream_or_all() {
    let ok = [(":status", "200")];
    let length = [(":status", "200"), ("content-length", "2")];
    let of_stream = [
        head(1, &[("a", "b")], flag::END_STREAM),
        head(1, &[(":status", "abc")], 0),
        head(1, &[(":status", "200"), ("Upper", "x")], 0),
        head(1, &[(":status", "200"), ("connection", "close")], 0),
        head(1, &[(":status", "200"), ("x", "a\r\nb: c")], 0),
        [head(1, &length, 0), data(1, b"x", flag::END_STREAM)].concat(),
        [head(1, &length, 0), data(1, b"xyz", 0)].concat(),
        [head(1, &ok, 0), head(1, &ok, flag::END_STREAM)].concat(),
        Frame::new(kind::WINDOW_UPDATE, 0, 1, [0x7f, 0xff, 0xff, 0xff]).encode(),
    ];
    for came in of_stream {
        let (mut client, id) = asked();
        assert_eq!(client.take(&came), Ok(()));
        assert!(matches!(all(&mut client, id).as_slice(), [Event::Reset(_)]));
        assert!(client.usable());
    }
    let of_all = [
        data(1, b"no head", 0),
        data(0, b"x", 0),
        head(77, &ok, 0),
        head(2, &ok, 0),
        vec![0xff; 9],
        Frame::new(kind::CONTINUATION, 0, 1, [0x88]).encode(),
        Frame::new(kind::PUSH_PROMISE, 4, 1, [0, 0, 0, 2, 0x82]).encode(),
        Frame::new(kind::WINDOW_UPDATE, 0, 0, [0x7f, 0xff, 0xff, 0xff]).encode(),
        Frame::new(kind::PING, 0, 0, [1]).encode(),
        [
            Frame::new(kind::HEADERS, 0, 1, [0x88]).encode(),
            data(1, b"x", 0),
        ]
        .concat(),
        Frame::new(kind::HEADERS, 5, 1, [0xff; 9]).encode(),
    ];
    for came in of_all {
        let (mut client, _) = asked();
        assert!(client.take(&came).is_err(), "{came:?}");
        assert!(!client.usable());
    }
}

#[test]
fn floods_end_and_cost_no_memory() {
    let kinds = [
        Frame::new(kind::PING, 0, 0, [1; 8]),
        Frame::new(kind::SETTINGS, 0, 0, SETTINGS),
        Frame::new(kind::WINDOW_UPDATE, 0, 1, [0, 0, 0, 1]),
        Frame::new(kind::DATA, 0, 1, []),
        Frame::new(0x42, 0, 0, [0; 100]),
    ];
    for flood in kinds {
        let (mut client, _) = asked();
        client.take(&head(1, &[(":status", "200")], 0)).unwrap();
        let (bytes, mut ended) = (flood.encode(), false);
        for _ in 0..200_000 {
            ended = client.take(&bytes).is_err();
            if ended {
                break;
            }
            assert!(client.output().len() < MOST_OUT * 3);
        }
        assert!(ended, "{flood:?}");
    }
    // Nobody takes what comes: the window ends it.
    let (mut client, id) = asked();
    client.take(&head(id, &[(":status", "200")], 0)).unwrap();
    let piece = data(id, &[0; 16_384], 0);
    let taken = (0..10_000)
        .take_while(|_| client.take(&piece).is_ok())
        .count();
    assert!(taken < 600, "{taken}");
}

#[test]
fn damaged_connections_end() {
    let good = [
        Frame::new(kind::SETTINGS, 0, 0, SETTINGS).encode(),
        head(1, &[(":status", "200"), ("content-length", "8")], 0),
        data(1, b"content\n", flag::END_STREAM),
        Frame::new(kind::GOAWAY, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0]).encode(),
    ]
    .concat();
    crate::fuzz::mutations(&good, 20_000, |came| {
        let (mut client, id) = asked();
        let _ = client.take(came);
        let got = all(&mut client, id);
        assert!(got.len() < 8 && client.output().len() < 4096, "{got:?}");
        client.forget(id);
    });
}
