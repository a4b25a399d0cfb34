//! HTTP/1.1 heads and body framing (RFC 9112).

use crate::Malformed;

/// Longest head that is read, bytes: beyond it nobody is speaking HTTP.
pub const MAX_HEAD: usize = 64 * 1024;

/// Head of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, ...
    pub method: String,
    /// Path with query as sent.
    pub target: String,
    /// Minor version: 1 for HTTP/1.1.
    pub minor: u8,
    /// Header fields in order.
    pub headers: Headers,
}

/// Head of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Minor version: 1 for HTTP/1.1.
    pub minor: u8,
    /// Status code, 100 to 999.
    pub status: u16,
    /// Reason phrase, often empty.
    pub reason: String,
    /// Header fields in order.
    pub headers: Headers,
}

/// Header fields in order, names as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

/// How the end of a body is known (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// After so many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// When the connection is closed.
    Close,
}

impl Headers {
    /// The first field of that name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    fn chunked(&self) -> bool {
        let last = self
            .get("transfer-encoding")
            .and_then(|v| v.rsplit(',').next());
        last.is_some_and(|coding| coding.trim().eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<u64> {
        self.get("content-length")
            .and_then(|v| v.split(',').next()?.trim().parse().ok())
    }
}

impl Request {
    /// Reads a head; none while the empty line has not come. Gives the bytes it took.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Request, usize)>, Malformed> {
        let Some((lines, taken)) = head(bytes)? else {
            return Ok(None);
        };
        let mut lines = lines.into_iter();
        let (at, first) = lines.next().unwrap_or((0, ""));
        let mut words = first.splitn(3, ' ');
        let (method, target) = words
            .next()
            .zip(words.next())
            .ok_or(bad(at, "a method and a target"))?;
        if method.is_empty() || !method.bytes().all(is_token) {
            return Err(bad(at, "a method"));
        }
        let minor =
            minor(words.next().unwrap_or_default()).ok_or(bad(at, "HTTP/1.x behind the target"))?;
        let headers = fields(lines)?;
        Ok(Some((
            Request {
                method: method.into(),
                target: target.into(),
                minor,
                headers,
            },
            taken,
        )))
    }

    /// Bytes of the head with its empty line. Line breaks inside fields are left out, so that a
    /// value cannot become another field.
    pub fn encode(&self) -> Vec<u8> {
        let first = format!(
            "{} {} HTTP/1.{}",
            clean(&self.method),
            clean(&self.target),
            self.minor
        );
        encode(&first, &self.headers)
    }

    /// How the end of this request's body is known; a request without a length has none.
    pub fn body(&self) -> Body {
        if self.headers.chunked() {
            Body::Chunked
        } else {
            Body::Length(self.headers.length().unwrap_or(0))
        }
    }
}

impl Response {
    /// Reads a head; none while the empty line has not come. Gives the bytes it took.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Response, usize)>, Malformed> {
        // Tell early that it is something else: a banner may never bring an empty line.
        let start = bytes.get(..7.min(bytes.len())).unwrap_or_default();
        if !b"HTTP/1.".starts_with(start) {
            return Err(bad(0, "HTTP/1."));
        }
        let Some((lines, taken)) = head(bytes)? else {
            return Ok(None);
        };
        let mut lines = lines.into_iter();
        let (at, first) = lines.next().unwrap_or((0, ""));
        let mut words = first.splitn(3, ' ');
        let minor = minor(words.next().unwrap_or_default()).ok_or(bad(at, "HTTP/1.x"))?;
        let status = words
            .next()
            .filter(|w| w.len() == 3)
            .and_then(|w| w.parse().ok())
            .filter(|s| *s >= 100);
        let status = status.ok_or(bad(at, "a status of three digits"))?;
        let reason = words.next().unwrap_or_default().to_string();
        Ok(Some((
            Response {
                minor,
                status,
                reason,
                headers: fields(lines)?,
            },
            taken,
        )))
    }

    /// Bytes of the head with its empty line.
    pub fn encode(&self) -> Vec<u8> {
        encode(
            &format!(
                "HTTP/1.{} {:03} {}",
                self.minor,
                self.status,
                clean(&self.reason)
            ),
            &self.headers,
        )
    }

    /// How the end of the body is known, for a response to `method`.
    pub fn body(&self, method: &str) -> Body {
        match self.status {
            100..=199 | 204 | 304 => Body::Length(0),
            _ if method.eq_ignore_ascii_case("HEAD") => Body::Length(0),
            _ if self.headers.chunked() => Body::Chunked,
            _ => self.headers.length().map_or(Body::Close, Body::Length),
        }
    }
}

fn bad(at: usize, expected: &'static str) -> Malformed {
    Malformed {
        format: "HTTP/1.1 head (RFC 9112)",
        at,
        expected,
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn minor(version: &str) -> Option<u8> {
    match version.strip_prefix("HTTP/1.")?.as_bytes() {
        [digit @ b'0'..=b'9'] => Some(digit.wrapping_sub(b'0')),
        _ => None,
    }
}

fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\r' | '\n' | '\0'))
        .collect()
}

fn encode(first: &str, headers: &Headers) -> Vec<u8> {
    let mut out = format!("{first}\r\n");
    for (name, value) in &headers.0 {
        out.push_str(&format!("{}: {}\r\n", clean(name), clean(value)));
    }
    out.push_str("\r\n");
    out.into_bytes()
}

/// Lines with the offset of each.
type Lines<'a> = Vec<(usize, &'a str)>;

/// The lines of a head, each with its offset, and the offset behind the empty line. A bare LF
/// ends a line too (RFC 9112, 2.2).
fn head(bytes: &[u8]) -> Result<Option<(Lines<'_>, usize)>, Malformed> {
    let mut lines = Vec::new();
    let mut at = 0usize;
    while let Some(len) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|b| *b == b'\n'))
    {
        let end = at.saturating_add(len);
        let line = bytes.get(at..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let behind = end.saturating_add(1);
        if line.is_empty() && !lines.is_empty() {
            return Ok(Some((lines, behind)));
        }
        if !line.is_empty() {
            lines.push((at, std::str::from_utf8(line).map_err(|_| bad(at, "text"))?));
        }
        at = behind;
    }
    if bytes.len() > MAX_HEAD {
        Err(bad(MAX_HEAD, "the empty line behind the head"))
    } else {
        Ok(None)
    }
}

fn fields<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Headers, Malformed> {
    let mut all = Vec::new();
    for (at, line) in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or(bad(at, "a field name and a colon"))?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(bad(at, "a field name"));
        }
        all.push((
            name.to_string(),
            value.trim_matches([' ', '\t']).to_string(),
        ));
    }
    Ok(Headers(all))
}

/// A chunked body, read piece by piece (RFC 9112, 7.1). Extensions and trailers are passed over.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    state: State,
    line: Vec<u8>,
    /// Bytes of content seen.
    pub content: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

impl Chunks {
    /// Longest chunk-size or trailer line, bytes.
    const MAX_LINE: usize = 8 * 1024;

    /// Takes the next bytes; gives content to `keep`. True once the last chunk and its trailers
    /// are complete; bytes behind are not looked at.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut keep: impl FnMut(&[u8]),
    ) -> Result<bool, Malformed> {
        let bad = |expected| Malformed {
            format: "chunked body (RFC 9112)",
            at: 0,
            expected,
        };
        while self.state != State::Done {
            if let State::Data(left) = self.state {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (content, rest) = bytes.split_at_checked(n).unwrap_or((bytes, &[]));
                keep(content);
                self.content = self.content.saturating_add(n as u64);
                bytes = rest;
                let left = left.saturating_sub(n as u64);
                self.state = if left == 0 {
                    State::DataEnd
                } else {
                    State::Data(left)
                };
                if left > 0 {
                    break;
                }
            }
            let Some((byte, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            if *byte != b'\n' {
                if self.line.len() >= Self::MAX_LINE {
                    return Err(bad("a line of at most 8192 bytes"));
                }
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            self.state = match self.state {
                State::Size => match size(line).ok_or(bad("a chunk size in hex"))? {
                    0 => State::Trailer,
                    n => State::Data(n),
                },
                State::DataEnd if line.is_empty() => State::Size,
                State::DataEnd => return Err(bad("a line end behind the chunk")),
                State::Trailer if line.is_empty() => State::Done,
                other => other,
            };
        }
        Ok(self.state == State::Done)
    }
}

fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|b| *b == b';').next()?;
    let digits = std::str::from_utf8(digits).ok()?.trim();
    // from_str_radix would take a sign.
    if digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        u64::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX:  a b \r\n\r\nhello";
        let (r, taken) = Response::decode(whole).unwrap().unwrap();
        assert_eq!(
            (r.status, r.reason.as_str(), r.minor, &whole[taken..]),
            (200, "OK", 1, &b"hello"[..])
        );
        assert_eq!(
            (r.headers.get("x"), r.body("GET"), r.body("HEAD")),
            (Some("a b"), Body::Length(5), Body::Length(0))
        );
        assert_eq!(Response::decode(&r.encode()).unwrap().unwrap().0, r);
        for cut in 0..taken {
            assert_eq!(Response::decode(&whole[..cut]), Ok(None), "{cut}");
        }
        for (text, body) in [
            (
                "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n",
                Body::Chunked,
            ),
            ("HTTP/1.0 200\r\n\r\n", Body::Close),
            ("HTTP/1.1 204 No Content\r\n\r\n", Body::Length(0)),
        ] {
            assert_eq!(
                Response::decode(text.as_bytes())
                    .unwrap()
                    .unwrap()
                    .0
                    .body("GET"),
                body,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_http_is_told_early() {
        for text in [
            "SSH-2.0-x\r\n",
            "H2",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 20 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert!(Response::decode(text.as_bytes()).is_err(), "{text}");
        }
        assert!(
            Response::decode(
                &[b"HTTP/1.1 200 OK\r\nX: ", vec![b'a'; MAX_HEAD].as_slice()].concat()
            )
            .is_err()
        );
    }

    #[test]
    fn requests() {
        let r = Request {
            method: "GET".into(),
            target: "/a?b=c".into(),
            minor: 1,
            headers: Headers(vec![
                ("Host".into(), "web:80".into()),
                ("X".into(), "a\r\nEvil: 1".into()),
            ]),
        };
        let bytes = r.encode();
        assert_eq!(
            bytes,
            b"GET /a?b=c HTTP/1.1\r\nHost: web:80\r\nX: aEvil: 1\r\n\r\n"
        );
        let (back, taken) = Request::decode(&bytes).unwrap().unwrap();
        assert_eq!(
            (back.target.as_str(), back.headers.get("host"), taken),
            ("/a?b=c", Some("web:80"), bytes.len())
        );
        assert_eq!(back.body(), Body::Length(0));
        assert!(Request::decode(b"\x16\x03\x01\r\n\r\n").is_err());
        assert_eq!(Request::decode(b"GET / HTTP/1.1\r\n"), Ok(None));
    }

    #[test]
    fn chunks_in_any_pieces() {
        let body = b"5;x=y\r\nhello\r\n1\n!\r\n0\r\nTrailer: x\r\n\r\nbehind";
        for piece in 1..body.len() {
            let (mut chunks, mut text, mut done) = (Chunks::default(), Vec::<u8>::new(), false);
            for bytes in body.chunks(piece) {
                done = chunks.feed(bytes, |b| text.extend(b)).unwrap();
            }
            assert!(done && chunks.content == 6 && text == b"hello!", "{piece}");
        }
        for wrong in [
            "x\r\n",
            "\r\n",
            "+5\r\n",
            "1\r\nab\r\n",
            "ffffffffffffffffff\r\n",
        ] {
            assert!(
                Chunks::default().feed(wrong.as_bytes(), |_| ()).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn fuzz() {
        let valid =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        crate::fuzz::mutations(valid, 60_000, |bytes| {
            let _ = Request::decode(bytes);
            let _ = Chunks::default().feed(bytes, |_| ());
            if let Ok(Some((r, taken))) = Response::decode(bytes) {
                assert!(taken <= bytes.len());
                let _ = r.body("GET");
                let _ = Chunks::default().feed(&bytes[taken..], |_| ());
            }
        });
    }
}
