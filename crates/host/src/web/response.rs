//! Response heads as they come, line by line, and where bodies end.

use super::failure::{Failure, code};
use std::time::SystemTime;

/// Longest line of a head, bytes.
const LONGEST_LINE: usize = 100 * 1024;
/// Largest head, bytes.
const LARGEST_HEAD: usize = 300 * 1024;

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ends {
    /// After so many bytes.
    After(u64),
    /// Chunks.
    Chunked,
    /// With the connection.
    #[default]
    Closed,
}

/// A head that has been read.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// `1.0`, `1.1`.
    pub minor: u8,
    /// HTTP/2 or more, by name.
    pub major: u8,
    /// Status.
    pub status: u16,
    /// Fields as they came, without line ends.
    pub fields: Vec<(String, String)>,
    /// Bytes of all its lines.
    pub bytes: usize,
    /// It comes by HTTP/2 or 3, as text: that version.
    pub many: Option<u8>,
    length: Option<u64>,
    chunked: bool,
    endless: bool,
    close: bool,
    keep: bool,
}

/// What a line was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The status.
    Status,
    /// A field.
    Field,
    /// The end.
    End,
}

/// What the first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// Not enough to tell.
    Unknown,
    /// A head.
    Http,
    /// Something else.
    Other,
}

/// Whether the bytes begin a head.
pub fn first(bytes: &[u8]) -> First {
    let n = bytes.len().min(5);
    match bytes.get(..n) == b"HTTP/".get(..n) {
        true if n == 5 => First::Http,
        true => First::Unknown,
        false => First::Other,
    }
}

fn weird(said: impl Into<String>) -> Failure {
    Failure::new(code::WEIRD, said)
}

impl Head {
    /// One that is yet to come, by HTTP/2 or 3 or neither.
    pub fn of(many: Option<u8>) -> Head {
        Head {
            many,
            ..Head::default()
        }
    }

    /// Takes one line, with its end.
    pub fn take(&mut self, line: &[u8], ignore_length: bool) -> Result<Line, Failure> {
        self.bytes += line.len();
        if line.len() > LONGEST_LINE || self.bytes > LARGEST_HEAD {
            let said = format!(
                "Too large response headers: {} > {LARGEST_HEAD}",
                self.bytes
            );
            return Err(Failure::new(
                if line.len() > LONGEST_LINE {
                    27
                } else {
                    code::RECEIVE
                },
                said,
            ));
        }
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        let text = String::from_utf8_lossy(bare).into_owned();
        if self.status == 0 {
            self.status_line(&text)?;
            return Ok(Line::Status);
        }
        if bare.is_empty() {
            return Ok(Line::End);
        }
        if bare.contains(&0) {
            return Err(weird("Nul byte in header"));
        }
        if text.starts_with([' ', '\t']) {
            // The line before goes on.
            if let Some(last) = self.fields.last_mut() {
                last.1 = format!("{} {}", last.1, text.trim());
                return Ok(Line::Field);
            }
            return Err(weird("Invalid header folding"));
        }
        let Some((name, value)) = text.split_once(':') else {
            return Err(weird("Header without colon"));
        };
        let (name, value) = (name.trim_end().to_string(), value.trim().to_string());
        self.field(&name.to_ascii_lowercase(), &value, ignore_length)?;
        self.fields.push((name, value));
        Ok(Line::Field)
    }

    fn status_line(&mut self, text: &str) -> Result<(), Failure> {
        let rest = text.strip_prefix("HTTP/").unwrap_or_default();
        let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let digits = rest.trim_start();
        let status: Option<u16> = digits
            .get(..3)
            .filter(|d| d.bytes().all(|b| b.is_ascii_digit()))
            .filter(|_| {
                !digits
                    .get(3..4)
                    .is_some_and(|c| c.bytes().all(|b| b.is_ascii_digit()))
            })
            .and_then(|d| d.parse().ok());
        let (major, minor) = match version {
            "1.0" => (1, 0),
            "1.1" => (1, 1),
            "2" | "2.0" => (2, 0),
            "3" => (3, 0),
            _ if version.starts_with("1.") || version.len() != 1 => {
                return Err(Failure::new(
                    code::UNSUPPORTED,
                    "Unsupported HTTP version in response",
                ));
            }
            _ => {
                return Err(Failure::new(
                    code::UNSUPPORTED,
                    "Unsupported HTTP version in response",
                ));
            }
        };
        if major != self.many.unwrap_or(1) {
            return Err(Failure::new(
                code::UNSUPPORTED,
                "Unsupported HTTP version in response",
            ));
        }
        let Some(status) = status.filter(|s| *s >= 100) else {
            return Err(Failure::new(
                code::UNSUPPORTED,
                "Unsupported HTTP/1 subversion in response",
            ));
        };
        (self.major, self.minor, self.status) = (major, minor, status);
        self.close = minor == 0 && self.many.is_none();
        Ok(())
    }

    fn field(&mut self, name: &str, value: &str, ignore_length: bool) -> Result<(), Failure> {
        match name {
            "content-length" if !ignore_length => {
                let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
                let rest = value.get(digits.len()..).unwrap_or_default().trim();
                if digits.is_empty() || !rest.is_empty() {
                    return Err(weird("Invalid Content-Length: value"));
                }
                match digits.parse() {
                    Ok(n) => self.length = Some(n),
                    Err(_) => {
                        // Larger than anything: known only by its end.
                        self.close = self.many.is_none();
                        self.length = None;
                        self.endless = true;
                    }
                }
            }
            "transfer-encoding" if self.many.is_none() => {
                let last = value.rsplit(',').next().unwrap_or_default().trim();
                self.chunked |= last.eq_ignore_ascii_case("chunked");
                self.close |= !self.chunked
                    && !value.trim().is_empty()
                    && !value.eq_ignore_ascii_case("identity");
            }
            "connection" | "proxy-connection" => {
                for word in value.split(',').map(str::trim) {
                    if word.eq_ignore_ascii_case("close") {
                        self.close = true;
                    } else if word.eq_ignore_ascii_case("keep-alive") && self.minor == 0 {
                        self.close = false;
                        self.keep = true;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The first field of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let named = |f: &&(String, String)| f.0.eq_ignore_ascii_case(name);
        self.fields.iter().find(named).map(|f| f.1.as_str())
    }

    /// All fields of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self
            .fields
            .iter()
            .filter(move |f| f.0.eq_ignore_ascii_case(name));
        named.map(|f| f.1.as_str())
    }

    /// How the body ends.
    pub fn ends(&self, no_body: bool) -> Ends {
        match self.status {
            _ if no_body => Ends::After(0),
            100..=199 | 204 | 304 => Ends::After(0),
            _ if self.chunked => Ends::Chunked,
            _ => self.length.map_or(Ends::Closed, Ends::After),
        }
    }

    /// Of the body, as it was announced.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The same, the largest number for what is larger than any.
    pub fn announced(&self) -> Option<u64> {
        self.length.or(self.endless.then_some(u64::MAX))
    }

    /// The connection ends with this response.
    pub fn closes(&self, no_body: bool) -> bool {
        self.many.is_none() && (self.close || self.ends(no_body) == Ends::Closed)
    }

    /// Nothing says where the body ends, and nothing says that the connection does.
    pub fn endless(&self, no_body: bool) -> bool {
        self.ends(no_body) == Ends::Closed && !self.close && !self.keep && self.minor == 1
    }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// Chunks (RFC 9112, 7.1), read as they come.
#[derive(Debug, Default)]
pub struct Chunks {
    state: Chunk,
    line: Vec<u8>,
    trailer: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Chunk {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

/// What chunks hold.
pub enum Piece<'a> {
    /// Of the body.
    Data(&'a [u8]),
    /// A line behind it.
    Trailer(&'a [u8]),
}

impl Chunks {
    /// Takes bytes; gives how many were not needed once the end is there.
    pub fn take(
        &mut self,
        mut bytes: &[u8],
        mut keep: impl FnMut(Piece<'_>) -> Result<(), Failure>,
    ) -> Result<Option<usize>, Failure> {
        let bad = |said: &str| Failure::new(code::RECEIVE, said);
        while self.state != Chunk::Done {
            if let Chunk::Data(left) = self.state {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (data, rest) = bytes.split_at(n);
                if n > 0 {
                    keep(Piece::Data(data))?;
                }
                bytes = rest;
                self.state = match left - n as u64 {
                    0 => Chunk::DataEnd,
                    left => Chunk::Data(left),
                };
                if self.state != Chunk::DataEnd {
                    return Ok(None);
                }
            }
            let Some((byte, rest)) = bytes.split_first() else {
                return Ok(None);
            };
            bytes = rest;
            self.line.push(*byte);
            if *byte != b'\n' {
                self.check()?;
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let bare = line.strip_suffix(b"\n").unwrap_or(&line);
            let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
            self.state = match self.state {
                Chunk::Size => {
                    let digits: Vec<u8> = bare
                        .iter()
                        .copied()
                        .take_while(u8::is_ascii_hexdigit)
                        .collect();
                    let size = std::str::from_utf8(&digits)
                        .ok()
                        .and_then(|d| u64::from_str_radix(d, 16).ok());
                    match size {
                        Some(0) => Chunk::Trailer,
                        Some(n) => Chunk::Data(n),
                        None if digits.is_empty() => {
                            return Err(bad(
                                "Illegal or missing hexadecimal sequence in chunked-encoding",
                            ));
                        }
                        None => return Err(bad("Invalid chunk-size: too large")),
                    }
                }
                Chunk::DataEnd if bare.is_empty() => Chunk::Size,
                Chunk::DataEnd => return Err(bad("Malformed encoding found in chunked-encoding")),
                Chunk::Trailer if bare.is_empty() => Chunk::Done,
                Chunk::Trailer => {
                    self.trailer += line.len();
                    if self.trailer > LARGEST_HEAD {
                        return Err(bad("Too large response headers"));
                    }
                    keep(Piece::Trailer(&line))?;
                    Chunk::Trailer
                }
                other => other,
            };
        }
        Ok(Some(bytes.len()))
    }

    /// A line that can be no good any more is refused before its end.
    fn check(&self) -> Result<(), Failure> {
        let bad = |said: &str| Failure::new(code::RECEIVE, said);
        match self.state {
            Chunk::Size if !self.line.first().is_some_and(u8::is_ascii_hexdigit) => Err(bad(
                "Illegal or missing hexadecimal sequence in chunked-encoding",
            )),
            Chunk::Size
                if self
                    .line
                    .iter()
                    .take_while(|b| b.is_ascii_hexdigit())
                    .count()
                    > 16 =>
            {
                Err(bad("Too long hexadecimal number in chunked-encoding"))
            }
            _ if self.line.len() > LONGEST_LINE => Err(bad("Too long line in chunked-encoding")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_heads_and_chunks_end_in_a_sentence() {
        let seed = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nX: y\r\n z\r\n\r\n";
        netshoot_wire::fuzz::mutations(seed, 3_000, |bytes| {
            let mut head = Head::default();
            for line in bytes.split_inclusive(|b| *b == b'\n') {
                match head.take(line, false) {
                    Ok(Line::End) => break,
                    Ok(_) => {}
                    Err(e) => {
                        assert!(!e.said.is_empty() && e.code > 0);
                        break;
                    }
                }
            }
        });
        netshoot_wire::fuzz::mutations(
            b"5\r\nhello\r\na;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
            3_000,
            |bytes| {
                let (mut chunks, mut seen) = (Chunks::default(), 0);
                let _ = chunks.take(bytes, |piece| {
                    seen += match piece {
                        Piece::Data(d) | Piece::Trailer(d) => d.len(),
                    };
                    Ok(())
                });
                assert!(seen <= bytes.len());
            },
        );
    }
}
