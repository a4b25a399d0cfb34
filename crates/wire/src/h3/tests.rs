use super::peer::{Peer, Wanted};
use super::response::Response;
use super::*;
use crate::message::Event;

fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    Frame::new(kind::HEADERS, qpack::encode(fields)).encode()
}

fn data(bytes: &[u8]) -> Vec<u8> {
    Frame::new(kind::DATA, bytes).encode()
}

fn all(response: &mut Response) -> Vec<Event> {
    std::iter::from_fn(|| response.event()).collect()
}

/// What a stream becomes that brings these bytes and ends.
fn read(bytes: &[u8]) -> Result<Vec<Event>, u64> {
    let mut response = Response::new(false);
    let taken = response.take(bytes).and_then(|()| response.end());
    taken.map(|()| all(&mut response)).map_err(|f| f.number)
}

#[test]
fn integers_both_ways() {
    // RFC 9000, A.1.
    for (bytes, value) in [
        (
            &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..],
            151_288_809_941_952_652,
        ),
        (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
        (&[0x7b, 0xbd], 15_293),
        (&[0x25], 37),
    ] {
        assert_eq!(integer(bytes), Some((value, bytes.len())));
        let mut out = Vec::new();
        put_integer(&mut out, value);
        assert_eq!(out, bytes);
        assert_eq!(integer(&bytes[..bytes.len() - 1]), None);
    }
    assert_eq!(integer(&[0x40, 0x25]), Some((37, 2)));
}

#[test]
fn a_response_in_any_pieces() {
    let whole = [
        head(&[(":status", "103"), ("link", "a")]),
        Frame::new(0x21, *b"grease").encode(),
        head(&[(":status", "200"), ("content-length", "5")]),
        data(b"he"),
        data(b""),
        data(b"llo"),
        head(&[("x-sum", "1")]),
    ]
    .concat();
    let text = |s: &str| s.to_string();
    let wanted = vec![
        Event::Head(103, vec![(text("link"), text("a"))]),
        Event::Head(200, vec![(text("content-length"), text("5"))]),
        Event::Data(b"hello".to_vec()),
        Event::Trailers(vec![(text("x-sum"), text("1"))]),
        Event::End,
    ];
    for size in [1, 2, 3, 7, 1000] {
        let mut response = Response::new(false);
        for piece in whole.chunks(size) {
            response.take(piece).unwrap();
        }
        response.end().unwrap();
        assert_eq!(all(&mut response), wanted, "in pieces of {size}");
    }
}

#[test]
fn responses_against_the_rules() {
    let good = head(&[(":status", "200")]);
    let with = |more: &[Vec<u8>]| [&[good.clone()][..], more].concat().concat();
    for (bytes, number) in [
        (data(b"x"), why::FRAME_UNEXPECTED),
        (with(&[vec![0, 5, b'x']]), why::FRAME_ERROR),
        (
            with(&[Frame::new(kind::SETTINGS, []).encode()]),
            why::FRAME_UNEXPECTED,
        ),
        (
            with(&[Frame::new(8, *b"abc").encode()]),
            why::FRAME_UNEXPECTED,
        ),
        (
            with(&[Frame::new(kind::PUSH_PROMISE, [0]).encode()]),
            why::ID_ERROR,
        ),
        (
            with(&[head(&[("a", "b")]), data(b"x")]),
            why::FRAME_UNEXPECTED,
        ),
        (
            with(&[head(&[("a", "b")]), head(&[("a", "b")])]),
            why::FRAME_UNEXPECTED,
        ),
        (with(&[head(&[(":status", "200")])]), why::MESSAGE_ERROR),
        (head(&[("x", "y")]), why::MESSAGE_ERROR),
        (head(&[(":status", "2000")]), why::MESSAGE_ERROR),
        (head(&[(":status", "101")]), why::MESSAGE_ERROR),
        (
            head(&[(":status", "200"), ("Upper", "y")]),
            why::MESSAGE_ERROR,
        ),
        (
            head(&[(":status", "200"), ("connection", "close")]),
            why::MESSAGE_ERROR,
        ),
        (
            head(&[(":status", "200"), ("content-length", "3")]),
            why::MESSAGE_ERROR,
        ),
        (
            [
                head(&[(":status", "200"), ("content-length", "1")]),
                data(b"xy"),
            ]
            .concat(),
            why::MESSAGE_ERROR,
        ),
        (
            Frame::new(kind::HEADERS, [2, 0, 0x80]).encode(),
            why::DECOMPRESSION_FAILED,
        ),
        (vec![1, 0x80, 0x10, 0, 0], why::EXCESSIVE_LOAD),
    ] {
        assert_eq!(read(&bytes), Err(number), "{bytes:?}");
    }
    // No head at all is an end, and who asked sees that it was early.
    assert_eq!(read(&[]), Ok(vec![Event::End]));
    let waited = Ok(vec![Event::Head(100, vec![]), Event::End]);
    assert_eq!(read(&head(&[(":status", "100")])), waited);
    // Nothing without end.
    let flood = Frame::new(0x21, []).encode().repeat(30_000);
    assert_eq!(read(&with(&[flood])), Err(why::EXCESSIVE_LOAD));
}

#[test]
fn what_a_server_says_of_the_connection() {
    let settings = Frame::new(kind::SETTINGS, [1, 0x40, 0x64]).encode();
    let control = [vec![0], settings.clone()].concat();
    let mut peer = Peer::default();
    for byte in &control {
        assert_eq!(peer.take(3, &[*byte]), Ok(Wanted::More));
    }
    assert_eq!(peer.take(7, &[2, 0x20]), Ok(Wanted::More));
    assert_eq!(peer.take(11, &[3, 0x44]), Ok(Wanted::More));
    assert_eq!(peer.take(15, &[0x21, 1, 2]), Ok(Wanted::Stop));
    assert_eq!(peer.end(15), Ok(()));
    let mut goodbye = Frame::new(kind::GOAWAY, [8]).encode();
    goodbye.extend(Frame::new(0x40, [1; 50]).encode());
    peer.take(3, &goodbye).unwrap();
    assert_eq!(peer.goaway(), Some(8));
    let frame = |kind: u64, payload: &[u8]| Frame::new(kind, payload).encode();
    for (bytes, number) in [
        (frame(kind::SETTINGS, &[]), why::FRAME_UNEXPECTED),
        (frame(kind::DATA, &[1]), why::FRAME_UNEXPECTED),
        (frame(kind::MAX_PUSH_ID, &[1]), why::FRAME_UNEXPECTED),
        (frame(6, &[1]), why::FRAME_UNEXPECTED),
        (frame(kind::CANCEL_PUSH, &[1]), why::ID_ERROR),
        (frame(kind::GOAWAY, &[5]), why::ID_ERROR),
        (frame(kind::GOAWAY, &[4, 4]), why::FRAME_ERROR),
        (vec![7, 0x80, 1, 0, 0], why::EXCESSIVE_LOAD),
    ] {
        let mut peer = Peer::default();
        peer.take(3, &control).unwrap();
        let got = peer.take(3, &bytes).map_err(|f| f.number);
        assert_eq!(got, Err(number), "{bytes:?}");
    }
    for (bytes, number) in [
        (vec![0, 7, 1, 0], why::MISSING_SETTINGS),
        (
            [vec![0], frame(kind::SETTINGS, &[2, 0])].concat(),
            why::SETTINGS_ERROR,
        ),
        (
            [vec![0], frame(kind::SETTINGS, &[6, 1, 6, 1])].concat(),
            why::SETTINGS_ERROR,
        ),
        (
            [vec![0], frame(kind::SETTINGS, &[6])].concat(),
            why::FRAME_ERROR,
        ),
        (vec![1, 0], why::ID_ERROR),
        (vec![2, 0x3f, 0xe1, 0x1f], why::ENCODER_STREAM_ERROR),
        (vec![3, 0x01], why::DECODER_STREAM_ERROR),
    ] {
        let got = Peer::default().take(3, &bytes).map_err(|f| f.number);
        assert_eq!(got, Err(number), "{bytes:?}");
    }
    let closed = peer.end(3).map_err(|f| f.number);
    assert_eq!(closed, Err(why::CLOSED_CRITICAL_STREAM));
    let mut peer = Peer::default();
    peer.take(3, &control).unwrap();
    let again = peer.take(7, &control).map_err(|f| f.number);
    assert_eq!(again, Err(why::STREAM_CREATION_ERROR));
}

#[test]
fn fuzz() {
    let valid = [
        head(&[(":status", "200"), ("content-length", "5")]),
        data(b"hello"),
        head(&[("x", "y")]),
    ]
    .concat();
    crate::fuzz::mutations(&valid, 20_000, |bytes| {
        // In one piece and in many, the same comes of it.
        let mut pieces = Response::new(false);
        let taken = bytes.iter().try_for_each(|b| pieces.take(&[*b]));
        let taken = taken.and_then(|()| pieces.end());
        let own = taken.map(|()| all(&mut pieces)).map_err(|f| f.number);
        assert_eq!(own, read(bytes));
        let _ = Frame::decode(bytes, 100);
    });
    let valid = [hello(), Frame::new(kind::GOAWAY, [4]).encode()].concat();
    crate::fuzz::mutations(&valid, 20_000, |bytes| {
        let mut peer = Peer::default();
        let _ = peer.take(3, bytes).and_then(|_| peer.end(3));
    });
}
