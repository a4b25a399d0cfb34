//! DNS inside HTTP/2 (RFC 8484): a request for each message.

use super::talk::Http;
use crate::grpc::{Link, cut, wrong};
use netshoot_wire::h2::{Frame, MAX_FRAME, PREFACE, flag, kind};
use netshoot_wire::hpack;
use std::io::{self, Read, Write};

/// The type of a body.
const MESSAGE: &str = "application/dns-message";
/// Longest block of header fields, bytes.
const BLOCK: usize = 64 * 1024;
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A connection to a server that answers DNS by HTTP.
pub struct Doh<S> {
    link: Link<S>,
    next: u32,
    id: u32,
    http: Http,
    scheme: &'static str,
    authority: String,
}

/// Base64 for addresses of the web, without padding (RFC 4648, 5).
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let held = [0, 1, 2].map(|i| u32::from(group.get(i).copied().unwrap_or(0)));
        let held = held.iter().fold(0, |h, b| h << 8 | b);
        for at in 0..=group.len() {
            let digit = held >> (18 - 6 * at) & 63;
            text.extend(BASE64URL.get(digit as usize).map(|b| char::from(*b)));
        }
    }
    text
}

impl<S: Read + Write> Doh<S> {
    /// Says hello.
    pub fn begin(
        stream: S,
        http: &Http,
        scheme: &'static str,
        authority: String,
    ) -> io::Result<Doh<S>> {
        Ok(Doh {
            link: Link::hello(stream, PREFACE)?,
            next: 1,
            id: 0,
            http: http.clone(),
            scheme,
            authority,
        })
    }

    /// What is under it.
    pub fn stream(&mut self) -> &mut S {
        self.link.stream()
    }

    /// Sends a message.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.id = self.next;
        self.next += 2;
        let length = message.len().to_string();
        let path = match self.http.get {
            true => format!("{}?dns={}", self.http.path, base64url(message)),
            false => self.http.path.clone(),
        };
        let mut fields = vec![
            (":method", if self.http.get { "GET" } else { "POST" }),
            (":scheme", self.scheme),
            (":authority", self.authority.as_str()),
            (":path", path.as_str()),
            ("accept", MESSAGE),
        ];
        if !self.http.get {
            fields.extend([("content-type", MESSAGE), ("content-length", &length)]);
        }
        let end = if self.http.get { flag::END_STREAM } else { 0 };
        let block = hpack::encode(&fields);
        self.link.open(self.id);
        let flags = flag::END_HEADERS | end;
        self.link
            .send(Frame::new(kind::HEADERS, flags, self.id, block))?;
        if self.http.get {
            return Ok(());
        }
        let mut pieces = message.chunks(MAX_FRAME).peekable();
        while let Some(piece) = pieces.next() {
            let last = if pieces.peek().is_none() {
                flag::END_STREAM
            } else {
                0
            };
            self.link
                .send(Frame::new(kind::DATA, last, self.id, piece))?;
        }
        Ok(())
    }

    /// The answer to the request under way.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let (mut block, mut body, mut ended) = (Vec::new(), Vec::new(), false);
        let mut good = None;
        loop {
            let frame = self.link.next()?;
            match frame.kind {
                kind::GOAWAY => return Err(cut()),
                _ if frame.stream != self.id => continue,
                kind::RST_STREAM => return Err(io::Error::other("failure")),
                kind::HEADERS | kind::CONTINUATION => {
                    block.extend_from_slice(frame.content());
                    ended |= frame.kind == kind::HEADERS && frame.has(flag::END_STREAM);
                    if block.len() > BLOCK {
                        return Err(wrong("header fields without an end"));
                    }
                    if frame.has(flag::END_HEADERS) {
                        let fields = self.link.fields(&std::mem::take(&mut block))?;
                        let status = fields.iter().find(|f| f.0 == ":status");
                        good = good.or(status.map(|s| s.1 == "200"));
                    }
                }
                kind::DATA => {
                    body.extend_from_slice(frame.content());
                    ended |= frame.has(flag::END_STREAM);
                    if body.len() > usize::from(u16::MAX) {
                        return Err(wrong("a message of more than 65535 bytes"));
                    }
                }
                _ => continue,
            }
            if good == Some(false) {
                return Err(io::Error::other("failure"));
            }
            if ended && block.is_empty() {
                return Ok(body);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_what_was_asked_without_padding() {
        // RFC 8484, 4.1.1: the example's bytes.
        let query = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01";
        let text = "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB";
        assert_eq!(base64url(query), text);
        assert_eq!(base64url(&[0xff]), "_w");
        assert_eq!(base64url(&[0xff, 0xfe]), "__4");
    }

    /// Gives what was prepared, takes everything.
    struct Given(std::io::Cursor<Vec<u8>>);

    impl Read for Given {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.0.read(to)
        }
    }

    impl Write for Given {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn damaged_answers_end_as_an_answer_or_an_error() {
        let head = hpack::encode(&[(":status", "200"), ("content-type", MESSAGE)]);
        let mut said = Frame::new(kind::SETTINGS, 0, 0, []).encode();
        said.extend(Frame::new(kind::HEADERS, flag::END_HEADERS, 1, head).encode());
        said.extend(Frame::new(kind::DATA, flag::END_STREAM, 1, *b"a message").encode());
        let http = Http {
            path: "/dns-query".into(),
            get: false,
        };
        let ask = |bytes: &[u8]| {
            let given = Given(std::io::Cursor::new(bytes.to_vec()));
            let mut doh = Doh::begin(given, &http, "http", "x".into()).unwrap();
            doh.send(b"a query").and_then(|()| doh.receive())
        };
        assert_eq!(ask(&said).unwrap(), b"a message");
        netshoot_wire::fuzz::mutations(&said, 5_000, |bytes| {
            if let Ok(body) = ask(bytes) {
                assert!(body.len() <= bytes.len());
            }
        });
    }
}
