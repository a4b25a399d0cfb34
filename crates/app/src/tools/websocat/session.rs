//! A WebSocket that stands: frames in, frames out.

use super::Accepted;
use super::plan::{Place, Plan, Serve, Url};
use crate::io::Io;
use crate::tools::echo_server::accepted;
use crate::tools::socat::{End, Secured};
use anyhow::Result;
use netshoot_host::listening;
use netshoot_host::names::{self, Hints};
use netshoot_host::requests::read_head;
use netshoot_host::secure::{self, Wish};
use netshoot_host::sockets::{self, Deadline};
use netshoot_host::streams;
use netshoot_wire::dns::digits::base64;
use netshoot_wire::http::{Headers, Request, Response};
use netshoot_wire::websocket::{Frame, opcode};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use std::io::{ErrorKind, Read, Result as IoResult};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest message that is taken, bytes.
const MOST: u64 = 64 << 20;
/// What waits to be taken by the peer: more is not read.
const ROOM: usize = 256 * 1024;
/// Silence after the end of the input, before the close: a server answers nothing that came with a close.
const GRACE: Duration = Duration::from_millis(300);
/// Patience for the other side's close.
const LAST: Duration = Duration::from_secs(5);

/// The connection, and what is under way on it.
pub struct Session {
    end: End,
    /// Frames of a client are masked.
    client: bool,
    got: Vec<u8>,
    owed: Vec<u8>,
    /// The pieces of a message, and what they are.
    message: Vec<u8>,
    kind: u8,
}

/// A connection that waits for what it asks, up to a deadline: for the handshake.
struct Patient<'a>(&'a mut End, Deadline);

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        loop {
            match self.0.take(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait(libc::POLLIN)?,
                other => return other,
            }
        }
    }
}

impl Patient<'_> {
    fn wait(&self, events: i16) -> IoResult<()> {
        let fd = self.0.read.as_ref().map_or(-1, |w| w.fd());
        let mut fds = [libc::pollfd {
            fd,
            events,
            revents: 0,
        }];
        match sockets::poll(&mut fds, self.1.left())? {
            true => Ok(()),
            false => Err(ErrorKind::TimedOut.into()),
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> IoResult<()> {
        while !bytes.is_empty() {
            match self.0.give(bytes) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait(libc::POLLOUT)?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without random bytes a mask of zeros is still a mask.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}

/// Connects and shakes hands twice: TLS, then WebSocket.
pub fn connect(plan: &Plan, url: &Url) -> Accepted {
    let ms = u32::try_from(plan.patience.as_millis()).unwrap_or(u32::MAX);
    let deadline = Deadline::after_ms(ms);
    let to_text = format!("{}:{}", url.host, url.port);
    let hints = Hints {
        kind: libc::SOCK_STREAM,
        ..Hints::default()
    };
    let found = names::resolve(Some(&url.host), Some(&url.port.to_string()), hints);
    let found = found.map_err(|why| format!("look up {}: {why}", url.host))?;
    let mut last = format!("connect to {to_text}: no address");
    let mut open = None;
    for to in found.addresses {
        match reach(to, deadline) {
            Ok(fd) => {
                open = Some(fd);
                break;
            }
            Err(e) => last = format!("connect to {to}: {}", sockets::words(&e)),
        }
    }
    let Some(fd) = open else {
        return Err(last);
    };
    let mut end =
        End::stream(fd.try_clone().map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    if url.secure {
        let roots = plan
            .cafile
            .as_ref()
            .map(|f| secure::certificates(Path::new(f)))
            .transpose()?;
        let wish = Wish {
            verify: !plan.insecure,
            alpn: vec![b"http/1.1".to_vec()],
            roots,
            ..Wish::default()
        };
        let done = Secured::connect(fd, &wish, &url.host, None);
        end.tls = Some(Box::new(
            done.map_err(|why| format!("TLS with {to_text}: {why}"))?,
        ));
    }
    let mut session = Session::new(end, true);
    session
        .ask(plan, url, deadline)
        .map_err(|why| format!("WebSocket handshake with {to_text}: {why}"))?;
    Ok(session)
}

fn reach(to: SocketAddr, deadline: Deadline) -> IoResult<OwnedFd> {
    let fd = streams::open(to, &streams::Manner::default()).map_err(|f| f.source)?;
    streams::connect(&fd, to, Some(deadline.left()))?;
    Ok(fd)
}

impl Session {
    fn new(end: End, client: bool) -> Session {
        Session {
            end,
            client,
            got: Vec::new(),
            owed: Vec::new(),
            message: Vec::new(),
            kind: 0,
        }
    }

    /// The client's half of the handshake (RFC 6455, 4.1).
    fn ask(&mut self, plan: &Plan, url: &Url, deadline: Deadline) -> Result<(), String> {
        let key = base64(&random::<16>());
        let usual = if url.secure { 443 } else { 80 };
        let host = if url.host.contains(':') {
            format!("[{}]", url.host)
        } else {
            url.host.clone()
        };
        let host = if url.port == usual {
            host
        } else {
            format!("{host}:{}", url.port)
        };
        let mut headers = vec![
            ("Host".into(), host),
            ("Connection".into(), "Upgrade".into()),
            ("Upgrade".into(), "websocket".into()),
            ("Sec-WebSocket-Version".into(), "13".into()),
            ("Sec-WebSocket-Key".into(), key.clone()),
        ];
        if let Some(p) = &plan.protocol {
            headers.push(("Sec-WebSocket-Protocol".into(), p.clone()));
        }
        headers.extend(plan.headers.iter().cloned());
        let request = Request {
            method: "GET".into(),
            target: url.target.clone(),
            minor: 1,
            headers: Headers(headers),
        };
        let words = |e: std::io::Error| match e.kind() {
            ErrorKind::TimedOut => "no answer in time".to_string(),
            _ => sockets::words(&e),
        };
        let mut line = Patient(&mut self.end, deadline);
        line.send(&request.encode()).map_err(words)?;
        let mut piece = [0; 4096];
        let response = loop {
            match Response::decode(&self.got).map_err(|e| format!("the answer is no HTTP ({e})"))? {
                Some((response, taken)) => {
                    self.got.drain(..taken);
                    break response;
                }
                None => match line.read(&mut piece).map_err(words)? {
                    0 => return Err("the connection ended before an answer came".into()),
                    n => self
                        .got
                        .extend_from_slice(piece.get(..n).unwrap_or_default()),
                },
            }
        };
        if response.status != 101 {
            return Err(format!(
                "the server answered {} {}",
                response.status, response.reason
            ));
        }
        match response.headers.get("sec-websocket-accept") {
            Some(proof) if proof.trim() == accepted(&key) => Ok(()),
            Some(_) => {
                Err("the server's proof (Sec-WebSocket-Accept) is not for this question".into())
            }
            None => Err("the server gave no proof (Sec-WebSocket-Accept)".into()),
        }
    }

    /// The server's half.
    fn answer(&mut self, plan: &Plan, deadline: Deadline) -> Result<(), String> {
        let mut line = Patient(&mut self.end, deadline);
        let request = read_head(&mut line, &mut self.got)?
            .ok_or("the connection ended before a request came")?;
        let field = |name: &str| request.headers.get(name);
        let upgrade = field("upgrade").is_some_and(|u| u.eq_ignore_ascii_case("websocket"));
        let (Some(key), true) = (field("sec-websocket-key"), upgrade) else {
            let _ = line.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 32\r\nConnection: close\r\n\r\nOnly WebSocket is spoken here.\r\n");
            return Err(format!(
                "{} {}: no WebSocket was asked for",
                request.method, request.target
            ));
        };
        let protocol = match (&plan.protocol, field("sec-websocket-protocol")) {
            (Some(own), Some(all)) if all.split(',').any(|p| p.trim() == own) => {
                format!("Sec-WebSocket-Protocol: {own}\r\n")
            }
            _ => String::new(),
        };
        let text = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n{protocol}\r\n",
            accepted(key.trim())
        );
        line.send(text.as_bytes()).map_err(|e| sockets::words(&e))
    }

    fn put(&mut self, frame: &Frame) {
        let mask = self.client.then(random::<4>);
        self.owed.extend(frame.encode(mask));
    }

    fn flush(&mut self) -> IoResult<()> {
        while !self.owed.is_empty() || self.end.wants_to_write() {
            match self.end.give(&self.owed) {
                Ok(n) => drop(self.owed.drain(..n.min(self.owed.len()))),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
            if self.owed.is_empty() && !self.end.wants_to_write() {
                break;
            }
        }
        Ok(())
    }

    /// Takes what has come; gives the next whole message or control frame. A frame that is wrong closes.
    fn next(&mut self) -> Result<Option<Frame>, String> {
        loop {
            let (frame, taken) = match Frame::decode(&self.got, MOST) {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(None),
                Err(e) => {
                    let number = if e.expected == "a shorter frame" {
                        1009
                    } else {
                        1002
                    };
                    self.put(&Frame::close(number, e.expected));
                    let _ = self.flush();
                    return Err(format!("the peer sent a frame that is none: {e}"));
                }
            };
            self.got.drain(..taken);
            if frame.masked == self.client {
                self.put(&Frame::close(1002, "masking"));
                let _ = self.flush();
                return Err("the peer's frames are masked in the wrong way".into());
            }
            if frame.opcode >= opcode::CLOSE {
                return Ok(Some(frame));
            }
            if self.message.len() as u64 + frame.payload.len() as u64 > MOST {
                return Err("the peer's message has no end".into());
            }
            if frame.opcode != opcode::CONTINUATION {
                self.kind = frame.opcode;
                self.message.clear();
            }
            self.message.extend(frame.payload);
            if frame.last {
                let whole = std::mem::take(&mut self.message);
                return Ok(Some(Frame::whole(self.kind, whole)));
            }
        }
    }

    fn poll(&self, typing: i32, patience: Duration) -> IoResult<(bool, bool, bool)> {
        let entry = |fd, events| libc::pollfd {
            fd,
            events,
            revents: 0,
        };
        let fd = self.end.read.as_ref().map_or(-1, |w| w.fd());
        let mut events = libc::POLLIN;
        if !self.owed.is_empty() || self.end.wants_to_write() {
            events |= libc::POLLOUT;
        }
        let mut fds = [entry(typing, libc::POLLIN), entry(fd, events)];
        if self.end.holds() {
            return Ok((false, true, true));
        }
        let ready = sockets::poll(&mut fds, patience)?;
        Ok((
            fds[0].revents != 0,
            fds[1].revents & !libc::POLLOUT != 0,
            ready,
        ))
    }

    /// Reads what is there; false at the end.
    fn fill(&mut self) -> IoResult<bool> {
        let mut piece = vec![0; 64 * 1024];
        match self.end.take(&mut piece) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.got
                    .extend_from_slice(piece.get(..n).unwrap_or_default());
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// Lines of the input as messages, messages as lines of the output, until one side ends.
    pub fn with_terminal(mut self, plan: &Plan, io: &mut Io<'_>) -> Result<Result<i32, String>> {
        let stdin = std::io::stdin();
        let (mut typing, mut typed) = (!plan.only_from, Vec::new());
        let (mut closing, mut over): (Option<Instant>, bool) = (None, false);
        let mut pinged = Instant::now();
        let (mut sent, mut came) = (0u64, 0u64);
        loop {
            // What came with the handshake, too.
            loop {
                let frame = match self.next() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(why) => return Ok(Err(why)),
                };
                match frame.opcode {
                    opcode::CLOSE => {
                        if closing.is_none() {
                            self.put(&Frame::whole(opcode::CLOSE, frame.payload.clone()));
                            let _ = self.flush();
                        }
                        if plan.verbose {
                            let number =
                                frame.number().map_or("no number".into(), |n| n.to_string());
                            writeln!(io.err, "websocat: closed by the peer ({number})")?;
                        }
                        return Ok(Ok(0));
                    }
                    opcode::PING => self.put(&Frame::whole(opcode::PONG, frame.payload)),
                    opcode::PONG => {}
                    kind if !plan.only_to => {
                        show(plan, kind, &frame.payload, io)?;
                        came += 1;
                        if plan.one && (sent > 0 || plan.only_from) {
                            self.put(&Frame::close(1000, ""));
                            let _ = self.flush();
                            return Ok(Ok(0));
                        }
                    }
                    _ => {}
                }
            }
            let _ = self.flush().map_err(|e| e.kind());
            let patience = match (closing, plan.ping) {
                (None, _) if over && self.owed.is_empty() => GRACE,
                (Some(at), _) => (at + LAST).saturating_duration_since(Instant::now()),
                (None, Some(ping)) => (pinged + ping).saturating_duration_since(Instant::now()),
                (None, None) => streams::FOR_EVER,
            };
            let reads = typing && self.owed.len() < ROOM && !(plan.one && sent > 0);
            let (input, net, ready) =
                self.poll(if reads { stdin.as_raw_fd() } else { -1 }, patience)?;
            if !ready {
                if closing.is_some() {
                    return Ok(Ok(0));
                }
                if over && self.owed.is_empty() {
                    self.put(&Frame::close(1000, ""));
                    closing = Some(Instant::now());
                    continue;
                }
                self.put(&Frame::whole(opcode::PING, Vec::new()));
                pinged = Instant::now();
            }
            if net {
                match self.fill() {
                    Ok(true) => {}
                    Ok(false) if closing.is_some() || came + sent > 0 && self.got.is_empty() => {
                        return Ok(Ok(0));
                    }
                    Ok(false) => return Ok(Err("the connection ended without a close".into())),
                    Err(e) => {
                        return Ok(Err(format!("the connection broke: {}", sockets::words(&e))));
                    }
                }
            }
            if input {
                let mut buffer = vec![0; 16 * 1024];
                let n = rustix::io::read(stdin.as_fd(), &mut buffer).unwrap_or(0);
                typed.extend_from_slice(buffer.get(..n).unwrap_or_default());
                sent += self.say(plan, &mut typed, n == 0);
                if n == 0 {
                    typing = false;
                    over = !(plan.no_close || plan.one && came == 0);
                    if plan.exit_on_eof {
                        let _ = self.flush();
                        return Ok(Ok(0));
                    }
                }
            }
        }
    }

    /// What was typed as messages; what is no whole line stays until the end. Gives how many.
    fn say(&mut self, plan: &Plan, typed: &mut Vec<u8>, over: bool) -> u64 {
        let mut count = 0;
        if plan.binary {
            if !typed.is_empty() {
                self.put(&Frame::whole(opcode::BINARY, std::mem::take(typed)));
                count = 1;
            }
            return count;
        }
        loop {
            let at = typed.iter().position(|b| *b == plan.end);
            let mut line: Vec<u8> = match at {
                Some(at) => typed.drain(..=at).take(at).collect(),
                None if over && !typed.is_empty() => std::mem::take(typed),
                None => return count,
            };
            if plan.end == b'\n' && line.last() == Some(&b'\r') {
                line.pop();
            }
            if plan.one && count == 1 {
                return count;
            }
            // Text is UTF-8, or a server would end the connection.
            let text = String::from_utf8_lossy(&line).into_owned();
            self.put(&Frame::whole(opcode::TEXT, text));
            count += 1;
        }
    }

    /// Answers each message until the peer ends.
    fn reply(mut self, how: &Serve) -> Result<(), String> {
        loop {
            while let Some(frame) = self.next()? {
                match (frame.opcode, how) {
                    (opcode::CLOSE, _) => {
                        self.put(&Frame::whole(opcode::CLOSE, frame.payload));
                        return self.flush().map_err(|e| sockets::words(&e));
                    }
                    (opcode::PING, _) => self.put(&Frame::whole(opcode::PONG, frame.payload)),
                    (opcode::PONG, _) => {}
                    (_, Serve::Reply(text)) => self.put(&Frame::whole(opcode::TEXT, text.clone())),
                    _ => self.put(&frame),
                }
            }
            self.flush().map_err(|e| sockets::words(&e))?;
            // Who takes nothing is not read either.
            let full = self.owed.len() > ROOM;
            let (_, net, _) = self
                .poll(-1, streams::FOR_EVER)
                .map_err(|e| e.to_string())?;
            if net && !full && !self.fill().map_err(|e| sockets::words(&e))? {
                return Ok(());
            }
        }
    }
}

fn show(plan: &Plan, kind: u8, payload: &[u8], io: &mut Io<'_>) -> Result<()> {
    if plan.json {
        let line = match (kind, std::str::from_utf8(payload)) {
            (opcode::TEXT, Ok(text)) => json!({"kind": "text", "text": text}),
            _ => json!({"kind": "binary", "base64": base64(payload)}),
        };
        writeln!(io.out, "{line}")?;
    } else {
        io.out.write_all(payload)?;
        if kind == opcode::TEXT {
            io.out.write_all(&[plan.end])?;
        }
    }
    io.out.flush()?;
    Ok(())
}

fn bound(at: &SocketAddr) -> Result<std::net::TcpListener, String> {
    let bound = listening::tcp(at.ip(), at.port(), 128);
    bound.map_err(|e| format!("listen on {at}: {}", sockets::strerror(&e)))
}

fn met(plan: &Plan, stream: std::net::TcpStream) -> Accepted {
    let failed = |e: std::io::Error| sockets::words(&e);
    stream.set_nonblocking(true).map_err(failed)?;
    let mut session = Session::new(End::stream(stream.into()).map_err(failed)?, false);
    let ms = u32::try_from(plan.patience.as_millis()).unwrap_or(u32::MAX);
    session.answer(plan, Deadline::after_ms(ms))?;
    Ok(session)
}

/// Waits for one client.
pub fn listen(plan: &Plan, at: &SocketAddr, io: &mut Io<'_>) -> Result<Accepted> {
    let listener = match bound(at) {
        Ok(listener) => listener,
        Err(why) => return Ok(Err(why)),
    };
    writeln!(io.err, "Listening on ws://{at}/")?;
    loop {
        listening::wait_readable(&listener, -1);
        let Ok((stream, _)) = listener.accept() else {
            continue;
        };
        match met(plan, stream) {
            Ok(session) => return Ok(Ok(session)),
            Err(why) => writeln!(io.err, "websocat: {}", crate::report::safe(&why))?,
        }
    }
}

/// Serves clients for ever, a thread for each.
pub fn serve(plan: &Arc<Plan>, at: &SocketAddr, io: &mut Io<'_>) -> Result<Result<i32, String>> {
    let listener = match bound(at) {
        Ok(listener) => listener,
        Err(why) => return Ok(Err(why)),
    };
    writeln!(io.err, "Listening on ws://{at}/")?;
    let busy = Arc::new(listening::Slots::new(256));
    loop {
        busy.take();
        listening::wait_readable(&listener, -1);
        let Ok((stream, _)) = listener.accept() else {
            busy.give();
            continue;
        };
        let (plan, busy) = (plan.clone(), busy.clone());
        std::thread::spawn(move || {
            if let (Ok(session), Place::Listen(_, how)) = (met(&plan, stream), &plan.place) {
                let _ = session.reply(how);
            }
            busy.give();
        });
    }
}
