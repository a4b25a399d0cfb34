//! HTTP/1.1 requests with the time of each phase, and where they got stuck.

use crate::sockets::{self, words};
use crate::tcp::{self, Connection};
use crate::{Error, tls};
use netshoot_model::probe::{Attempt, HttpAttempt, Outcome};
use netshoot_wire::http::{Body, Chunks, Headers, Request, Response};
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::SocketAddr;

/// Content that is read of a response at most, bytes.
pub const MAX_CONTENT: u64 = 16 * 1024 * 1024;
/// Servers refuse header lines that are much longer.
const MAX_PADDING_LINE: usize = 2000;

/// A GET request.
#[derive(Clone, Debug)]
pub struct Get {
    /// Destination.
    pub to: SocketAddr,
    /// `Host` header and TLS server name; empty for the address.
    pub host: String,
    /// Path with query; empty for `/`.
    pub path: String,
    /// Over TLS, the certificate not verified.
    pub tls: bool,
    /// Extra bytes of request header.
    pub padding: u32,
    /// Patience from SYN to last byte.
    pub timeout_ms: u32,
}

enum Stream {
    Plain(Connection),
    Tls(Box<StreamOwned<ClientConnection, Connection>>),
}

impl Stream {
    fn connection(&self) -> &Connection {
        match self {
            Stream::Plain(c) => c,
            Stream::Tls(t) => &t.sock,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(c) => c.write_all(bytes),
            Stream::Tls(t) => t.write_all(bytes).and_then(|()| t.flush()),
        }
    }

    /// Zero at the end, also where TLS was closed without saying so.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(c) => c.read(buffer),
            Stream::Tls(t) => match t.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                other => other,
            },
        }
    }
}

impl Get {
    fn request(&self) -> Request {
        let host = if self.host.is_empty() {
            self.to.to_string()
        } else {
            self.host.clone()
        };
        let target = if self.path.is_empty() {
            "/".into()
        } else {
            self.path.clone()
        };
        let mut headers: Vec<(String, String)> = [
            ("Host", host.as_str()),
            ("User-Agent", "netshoot"),
            ("Accept", "*/*"),
        ]
        .iter()
        .map(|(n, v)| ((*n).to_string(), (*v).to_string()))
        .collect();
        headers.push(("Connection".into(), "close".into()));
        let mut left = self.padding as usize;
        while left > 0 {
            let n = left.min(MAX_PADDING_LINE);
            headers.push(("X-Padding".into(), "x".repeat(n)));
            left -= n;
        }
        Request {
            method: "GET".into(),
            target,
            minor: 1,
            headers: Headers(headers),
        }
    }

    /// The host without port and brackets.
    fn server_name(&self) -> &str {
        match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None if self.host.matches(':').count() == 1 => {
                self.host.split(':').next().unwrap_or_default()
            }
            None => &self.host,
        }
    }
}

/// Asks once. Content is handed to `keep` as it comes. The error is a gap.
pub fn get(
    ask: &Get,
    keep: &mut dyn FnMut(&[u8]),
) -> Result<(HttpAttempt, Option<Response>), Error> {
    let client = if ask.tls {
        Some(tls::Client::new(
            ask.server_name(),
            ask.to.ip(),
            vec![crate::authorities::built_in()],
        )?)
    } else {
        None
    };
    let mut so_far = HttpAttempt {
        outcome: Outcome::Answered,
        phase: "connect".into(),
        status: 0,
        connect_us: 0,
        tls_us: 0,
        first_byte_us: 0,
        total_us: 0,
        retransmissions: 0,
        unacknowledged: 0,
        detail: String::new(),
    };
    let connection = match tcp::connect(ask.to, ask.timeout_ms)? {
        Ok((connection, attempt)) => {
            so_far.connect_us = attempt.took_us;
            connection
        }
        Err(Attempt {
            outcome,
            took_us,
            detail,
            retransmissions,
        }) => {
            return Ok((
                HttpAttempt {
                    outcome,
                    total_us: took_us,
                    detail,
                    retransmissions,
                    ..so_far
                },
                None,
            ));
        }
    };
    let mut stream = match client {
        None => Stream::Plain(connection),
        Some(client) => {
            so_far.phase = "tls".into();
            let mut connection = connection;
            match client.handshake(&mut connection) {
                Ok(session) => {
                    so_far.tls_us = connection.spent_us().saturating_sub(so_far.connect_us);
                    Stream::Tls(Box::new(StreamOwned::new(session, connection)))
                }
                Err(e) => return Ok((ended(so_far, &connection, Err((e, tls::said))), None)),
            }
        }
    };
    let mut response = None;
    let end = exchange(ask, &mut stream, &mut so_far, &mut response, keep)
        .map_err(|e| (e, said as fn(&_) -> _));
    Ok((ended(so_far, stream.connection(), end), response))
}

type End = Result<(), (io::Error, fn(&io::Error) -> String)>;

/// The attempt with what only the socket knows.
fn ended(so_far: HttpAttempt, connection: &Connection, end: End) -> HttpAttempt {
    let (outcome, detail) = match end {
        Ok(()) => (Outcome::Answered, String::new()),
        Err((e, say)) => (sockets::outcome(&e), say(&e)),
    };
    HttpAttempt {
        outcome,
        detail,
        total_us: connection.spent_us(),
        retransmissions: tcp::retransmissions(connection),
        unacknowledged: tcp::unacknowledged(connection),
        ..so_far
    }
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "nothing more came in time".into(),
        _ => words(error),
    }
}

fn garbled(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

/// Request and response; `so_far.phase` says how far it came.
fn exchange(
    ask: &Get,
    stream: &mut Stream,
    so_far: &mut HttpAttempt,
    response: &mut Option<Response>,
    keep: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    so_far.phase = "request".into();
    stream.send(&ask.request().encode())?;
    let sent_us = stream.connection().spent_us();
    so_far.phase = "response".into();
    let (mut bytes, mut buffer) = (Vec::new(), vec![0u8; 16 * 1024]);
    let head = loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Err(garbled(
                "the connection was closed before a whole response head",
            ));
        }
        if bytes.is_empty() && so_far.first_byte_us == 0 {
            so_far.first_byte_us = stream
                .connection()
                .spent_us()
                .saturating_sub(sent_us)
                .max(1);
        }
        bytes.extend(buffer.iter().take(n));
        while let Some((head, taken)) = Response::decode(&bytes).map_err(garbled)? {
            bytes.drain(..taken);
            // 100 to 199 announce the real head, save the switch to another protocol.
            if !(100..200).contains(&head.status) || head.status == 101 {
                so_far.status = head.status;
                *response = Some(head);
                break;
            }
        }
        if let Some(head) = response.as_ref() {
            break head;
        }
    };
    content(head.body("GET"), bytes, stream, keep)?;
    so_far.phase = "done".into();
    Ok(())
}

/// Reads the body, of which `bytes` came with the head.
fn content(
    body: Body,
    mut bytes: Vec<u8>,
    stream: &mut Stream,
    keep: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    let mut chunks = Chunks::default();
    let (mut seen, mut buffer) = (0u64, vec![0u8; 16 * 1024]);
    loop {
        seen += bytes.len() as u64;
        let whole = match body {
            Body::Chunked => chunks.feed(&bytes, &mut *keep).map_err(garbled)?,
            Body::Length(n) => {
                let before = seen - bytes.len() as u64;
                let wanted = usize::try_from(n.saturating_sub(before)).unwrap_or(usize::MAX);
                keep(bytes.get(..wanted.min(bytes.len())).unwrap_or_default());
                seen >= n
            }
            Body::Close => {
                keep(&bytes);
                false
            }
        };
        if whole || seen >= MAX_CONTENT {
            return Ok(());
        }
        match stream.read(&mut buffer)? {
            0 if body == Body::Close => return Ok(()),
            0 => {
                return Err(garbled(format!(
                    "the connection was closed inside the body, behind {seen} bytes"
                )));
            }
            n => bytes = buffer.iter().take(n).copied().collect(),
        }
    }
}

/// Asks `tries` times at the same time, at most [`AT_ONCE`] in flight.
pub fn get_many(ask: &Get, tries: u32) -> Result<Vec<HttpAttempt>, Error> {
    let mut all = Vec::new();
    let mut left = tries as usize;
    while left > 0 {
        let now = left.min(AT_ONCE);
        left -= now;
        // New threads start in the namespace of the thread that makes them.
        let batch: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..now)
                .map(|i| {
                    scope.spawn(move || {
                        std::thread::sleep(crate::tcp::SPACING * i as u32);
                        get(ask, &mut |_| ())
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join()).collect()
        });
        for one in batch {
            let one = one.unwrap_or_else(|_| {
                Err(Error::Absent {
                    what: "the thread of one request (it panicked)".into(),
                })
            });
            all.push(one?.0);
        }
    }
    Ok(all)
}

/// Requests in flight at most.
pub const AT_ONCE: usize = 128;
