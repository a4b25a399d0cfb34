//! One request and its response on a connection: both directions at once, at a given pace, with patience.

mod frames;
mod pace;
mod receive;
mod stream;

pub use stream::REFUSED;

use super::decode::Decoder;
use super::dial::Under;
use super::failure::{Failure, code};
use super::many::Stream;
use super::pipe::Pipe;
use super::request::{Built, Sending};
use super::response::{Chunks, Ends, Head};
use super::session::{Connection, Kind};
use crate::memory::Pages;
use crate::sockets;
use frames::Socket;
use pace::Pace;
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Read at once at most.
pub(super) const BUFFER: usize = 100 * 1024;
/// Sent at once at most.
const PIECE: usize = 64 * 1024;

thread_local! {
    /// The buffer of the exchange before: made anew for each, it would be filled with zeros each time.
    static SPARE: Cell<Option<Pages>> = const { Cell::new(None) };
}

/// What becomes of a body.
pub enum Fate {
    /// It is handed on.
    Keep,
    /// It is read and forgotten: the request is made again, or another.
    Ignore,
    /// It is not read.
    Fail(Failure),
    /// It is not read, and nothing failed: why.
    Leave(&'static str),
}

/// How an exchange ended.
#[derive(Debug, Default)]
pub struct Answer {
    /// The last head.
    pub head: Head,
    /// The connection cannot be used again.
    pub close: bool,
    /// The body was not for us.
    pub ignored: bool,
    /// The server does not want to be asked first.
    pub refused_expect: bool,
    /// Something came.
    pub spoke: bool,
    /// All of the request's body was sent.
    pub sent_all: bool,
}

fn receive_failed(e: &io::Error) -> String {
    match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(tls) => super::secure::said(tls),
        None => format!("Recv failure: {}", sockets::strerror(e)),
    }
}

/// Sends all of something small.
pub fn send_all(under: &mut Under<'_>, pipe: &mut Pipe, mut bytes: &[u8]) -> Result<(), Failure> {
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                pause(under, pipe, false, true)?;
            }
            Err(e) => {
                let said = format!("Send failure: {}", sockets::strerror(&e));
                return Err(under.fail(code::SEND, said));
            }
        }
    }
    loop {
        match pipe.flush() {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => pause(under, pipe, false, true)?,
            Err(e) => {
                let said = format!("Send failure: {}", sockets::strerror(&e));
                return Err(under.fail(code::SEND, said));
            }
        }
    }
}

fn pause(under: &mut Under<'_>, pipe: &Pipe, read: bool, write: bool) -> Result<(), Failure> {
    let left = under.left();
    if left.is_zero() {
        let said = format!("Connection timed out after {} milliseconds", under.ms());
        return Err(under.fail(code::TIMEOUT, said));
    }
    let waited = pipe.wait(read, write, left.min(Duration::from_millis(500)));
    waited.map_err(|e| Failure::new(code::RECEIVE, e.to_string()))?;
    match under.watch.progress(under.info) {
        true => Ok(()),
        false => Err(Failure::new(code::ABORTED, "Callback aborted")),
    }
}

/// Reads so many bytes.
pub fn read_exact(under: &mut Under<'_>, pipe: &mut Pipe, n: usize) -> Result<Vec<u8>, Failure> {
    let mut got = vec![0; n];
    let mut at = 0;
    while at < n {
        match pipe.read(got.get_mut(at..).unwrap_or_default()) {
            Ok(0) => return Err(Failure::new(code::RECEIVE, "connection to proxy closed")),
            Ok(more) => at += more,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => pause(under, pipe, true, false)?,
            Err(e) => return Err(Failure::new(code::RECEIVE, receive_failed(&e))),
        }
    }
    Ok(got)
}

/// One request and its response.
pub struct Exchange<'e, 'u> {
    /// Patience and who watches.
    pub under: &'e mut Under<'u>,
    /// Where.
    pub connection: &'e mut Connection,
    /// What is done with a body.
    pub decide: &'e mut dyn FnMut(&Head, &mut Under<'_>) -> Fate,
    /// Who looks at each field as it comes.
    pub field: &'e mut dyn FnMut(&str, &str, &mut Under<'_>),
    no_body: bool,
    out: Vec<u8>,
    out_at: usize,
    sending: Sending,
    given: u64,
    waiting: Option<Instant>,
    sent_all: bool,
    quiet_upload: bool,
    input: Vec<u8>,
    head: Head,
    state: State,
    chunks: Chunks,
    decoders: Vec<Decoder>,
    answer: Answer,
    pace: Pace,
    began_reading: bool,
    old: bool,
    /// By HTTP/2 or 3.
    stream: Option<Stream>,
    /// The end of what is sent was sent.
    end_sent: bool,
    /// The change to HTTP/2 was asked for.
    upgrade: bool,
    /// And was agreed to.
    changed: bool,
    head_only: bool,
    socket: Option<Socket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body(Ends),
    Done,
}

impl<'e, 'u> Exchange<'e, 'u> {
    /// Begins; `old` when the connection was used before.
    pub fn new(
        under: &'e mut Under<'u>,
        connection: &'e mut Connection,
        built: Built,
        no_body: bool,
        old: bool,
        decide: &'e mut dyn FnMut(&Head, &mut Under<'_>) -> Fate,
        field: &'e mut dyn FnMut(&str, &str, &mut Under<'_>),
    ) -> Exchange<'e, 'u> {
        let nothing =
            built.sending.bytes.is_empty() && !built.sending.given && !built.sending.chunked;
        let stream = stream::begin(under, connection, &built, nothing);
        if under.order.verbose {
            under.watch.show(Kind::HeadOut, &built.head);
        }
        under.info.request_bytes += built.head.len() as u64;
        let two = stream.is_some();
        let socket = Socket::asked(&built.head).filter(|_| !under.order.raw);
        let waiting = built.sending.expect.then(Instant::now);
        let exchange = Exchange {
            no_body,
            out: if two { Vec::new() } else { built.head },
            out_at: 0,
            given: 0,
            waiting: waiting.filter(|_| !nothing),
            sent_all: nothing,
            quiet_upload: nothing || (built.sending.inline && waiting.is_none() && !two),
            sending: built.sending,
            input: Vec::new(),
            head: Head::of(stream.as_ref().map(Stream::major)),
            state: State::Head,
            chunks: Chunks::default(),
            decoders: Vec::new(),
            answer: Answer::default(),
            pace: Pace::new(),
            began_reading: false,
            old,
            stream,
            end_sent: nothing,
            upgrade: built.upgrade,
            changed: false,
            head_only: built.method == "HEAD",
            socket,
            under,
            connection,
            decide,
            field,
        };
        exchange.under.info.to_send = exchange.sending.size.filter(|_| !nothing);
        exchange
    }

    /// Does it.
    pub fn run(mut self) -> Result<Answer, Failure> {
        let mut buffer = match SPARE.take() {
            Some(buffer) => buffer,
            None => Pages::new(BUFFER)
                .map_err(|_| self.under.fail(code::OUT_OF_MEMORY, "Out of memory"))?,
        };
        let done = self.exchanged(&mut buffer);
        SPARE.set(Some(buffer));
        done?;
        self.answer.sent_all = self.sent_all && self.out_at >= self.out.len();
        self.answer.close |= !self.answer.sent_all && self.stream.is_none();
        self.answer.head = std::mem::take(&mut self.head);
        Ok(self.answer)
    }

    fn exchanged(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        // What is small goes with the head.
        if self.quiet_upload && !self.sent_all {
            self.fill()?;
        }
        while self.state != State::Done {
            self.checks()?;
            let moved = self.send()? | self.receive(buffer)?;
            if !moved && self.state != State::Done {
                self.wait()?;
            }
        }
        Ok(())
    }

    fn checks(&mut self) -> Result<(), Failure> {
        if !self.under.watch.progress(self.under.info) {
            return Err(Failure::new(code::ABORTED, "Callback aborted"));
        }
        if self.under.whole_left().is_some_and(|l| l.is_zero()) {
            let (got, ms) = (
                self.under.info.received,
                self.under.info.began.elapsed().as_millis(),
            );
            let said = match self.under.info.wanted {
                Some(all) => format!(
                    "Operation timed out after {ms} milliseconds with {got} out of {all} bytes received"
                ),
                None => {
                    format!("Operation timed out after {ms} milliseconds with {got} bytes received")
                }
            };
            return Err(self.under.fail(code::TIMEOUT, said));
        }
        if self.pace.too_slow(self.under.order.slow) {
            let (least, seconds) = self.under.order.slow.unwrap_or_default();
            let said = format!(
                "Operation too slow. Less than {least} bytes/sec transferred the last {seconds} seconds"
            );
            return Err(self.under.fail(code::TIMEOUT, said));
        }
        if let Some(since) = self.waiting
            && since.elapsed() >= self.under.order.expect_patience
        {
            self.waiting = None;
            self.under.say("Done waiting for 100-continue");
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let mut patience = Duration::from_millis(500);
        if let Some(left) = self.under.whole_left() {
            patience = patience.min(left.max(Duration::from_millis(1)));
        }
        if let Some(since) = self.waiting {
            patience = patience.min(
                self.under
                    .order
                    .expect_patience
                    .saturating_sub(since.elapsed()),
            );
        }
        let rest = self.pace.rest(self.under.order.limit);
        if !rest.is_zero() {
            std::thread::sleep(rest.min(patience));
            return Ok(());
        }
        let write = self.out_at < self.out.len() || (!self.sent_all && self.waiting.is_none());
        if write && self.out_at >= self.out.len() {
            // Nothing was given now: it is asked for again soon.
            patience = patience.min(Duration::from_millis(50));
        }
        let write = self.out_at < self.out.len();
        let waited = match &self.stream {
            Some(stream) => stream.wait(patience),
            None => self.connection.pipe.wait(true, write, patience).map(drop),
        };
        waited.map_err(|e| Failure::new(code::RECEIVE, e.to_string()))
    }

    /// Gets more to send.
    fn fill(&mut self) -> Result<(), Failure> {
        let mut piece = match self.sending.bytes.is_empty() {
            false => std::mem::take(&mut self.sending.bytes),
            true => Vec::new(),
        };
        if piece.is_empty() && self.sending.given {
            piece = vec![0; PIECE];
            if let Some(size) = self.sending.size.filter(|_| !self.sending.chunked) {
                let left = usize::try_from(size - self.given.min(size)).unwrap_or(usize::MAX);
                piece.truncate(left.min(PIECE));
            }
            let n = match piece.len() {
                0 => Ok(0),
                _ => self.under.watch.give(&mut piece),
            };
            match n {
                Ok(n) => piece.truncate(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
                Err(_) => {
                    return Err(self
                        .under
                        .fail(code::READ, "read function returned funny value"));
                }
            }
        }
        self.given += piece.len() as u64;
        let ended = piece.is_empty() || (!self.sending.given && self.sending.bytes.is_empty());
        // Less was given than the head announced: the server waits for the rest.
        let promised = self.sending.size.filter(|_| !self.sending.chunked);
        self.answer.close |=
            piece.is_empty() && self.sending.given && promised.is_some_and(|s| s > self.given);
        if self.under.order.crlf && !piece.is_empty() {
            piece = with_cr(&piece);
        }
        if self.out_at >= self.out.len() {
            self.out.clear();
            self.out_at = 0;
        }
        if !piece.is_empty() {
            match self.sending.chunked {
                true => {
                    self.out.extend(format!("{:x}\r\n", piece.len()).as_bytes());
                    self.out.extend(&piece);
                    self.out.extend(b"\r\n");
                }
                false if self.out.is_empty() => self.out = piece.clone(),
                false => self.out.extend(&piece),
            }
            if self.under.order.verbose {
                let shown = match self.sending.chunked {
                    true => self.out.clone(),
                    false => piece,
                };
                self.under.watch.show(Kind::DataOut, &shown);
            }
        }
        let known = self.sending.size.filter(|_| !self.sending.chunked);
        if ended || known.is_some_and(|s| self.given >= s) {
            if self.sending.chunked {
                self.out.extend(b"0\r\n\r\n");
                if self.under.order.verbose {
                    self.under.watch.show(Kind::DataOut, b"0\r\n\r\n");
                }
            }
            self.sent_all = true;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<bool, Failure> {
        if !self.pace.rest(self.under.order.limit).is_zero() {
            return Ok(false);
        }
        let mut moved = false;
        if self.out_at >= self.out.len() && !self.sent_all && self.waiting.is_none() {
            self.fill()?;
            if self.sent_all && self.out_at >= self.out.len() {
                self.uploaded();
            }
        }
        while self.out_at < self.out.len() {
            let limit = self.under.order.limit.map_or(usize::MAX, |l| {
                usize::try_from(l.max(1)).unwrap_or(usize::MAX)
            });
            let rest = self.out.get(self.out_at..).unwrap_or_default();
            let rest = rest.get(..rest.len().min(limit)).unwrap_or_default();
            let done = match &self.stream {
                Some(stream) => {
                    let last = self.sent_all && self.out_at + rest.len() == self.out.len();
                    let n = stream.send(rest, last);
                    self.end_sent |= last && n == rest.len();
                    match n {
                        0 => Err(io::ErrorKind::WouldBlock.into()),
                        n => Ok(n),
                    }
                }
                None => self.connection.pipe.write(rest),
            };
            match done {
                Ok(n) => {
                    moved = true;
                    self.out_at += n;
                    if self.began_sending() {
                        self.pace.bytes += n as u64;
                        self.under.info.sent = self.given;
                    }
                    if self.under.order.limit.is_some() {
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // What the server said before it went is still worth hearing.
                Err(e) if self.state != State::Head || self.gone(&e) => {
                    self.out_at = self.out.len();
                    self.sent_all = true;
                    self.answer.close = true;
                }
                Err(e) => {
                    let said = format!("Send failure: {}", sockets::strerror(&e));
                    return Err(self.under.fail(code::SEND, said));
                }
            }
        }
        let flushed = match &self.stream {
            Some(stream) => {
                if self.sent_all && !self.end_sent && self.out_at >= self.out.len() {
                    stream.send(&[], true);
                    self.end_sent = true;
                }
                Ok(())
            }
            None => self.connection.pipe.flush(),
        };
        if flushed.is_ok() && moved && self.sent_all && self.out_at >= self.out.len() {
            self.uploaded();
        }
        Ok(moved)
    }

    fn gone(&self, e: &io::Error) -> bool {
        matches!(e.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET))
    }

    fn began_sending(&self) -> bool {
        self.given > 0
    }

    fn uploaded(&mut self) {
        if !self.quiet_upload {
            self.quiet_upload = true;
            self.under.say("We are completely uploaded and fine");
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<bool, Failure> {
        if !self.pace.rest(self.under.order.limit).is_zero() {
            return Ok(false);
        }
        if self.stream.is_some() {
            return self.of_stream();
        }
        let most = self.under.order.limit.map_or(buffer.len(), |l| {
            usize::try_from(l.clamp(1, buffer.len() as u64)).unwrap_or(1)
        });
        let n = match self
            .connection
            .pipe
            .read(buffer.get_mut(..most).unwrap_or_default())
        {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(e) => {
                if self.old && !self.answer.spoke {
                    return Err(Failure::new(-2, "the connection was gone"));
                }
                let said = receive_failed(&e);
                return Err(self.under.fail(code::RECEIVE, said));
            }
        };
        if n == 0 {
            self.ended()?;
            return Ok(true);
        }
        self.answer.spoke = true;
        if !self.began_reading {
            self.began_reading = true;
            self.under.info.times.first = self.under.at();
        }
        let bytes = buffer.get(..n).unwrap_or_default();
        match self.state {
            State::Head => self.heads(bytes)?,
            State::Body(ends) => self.body(ends, bytes)?,
            State::Done => {}
        }
        Ok(true)
    }

    /// The peer closed.
    fn ended(&mut self) -> Result<(), Failure> {
        self.answer.close = true;
        match self.state {
            State::Head if self.head.status == 0 && self.input.is_empty() => {
                if self.old && !self.answer.spoke {
                    return Err(Failure::new(-2, "the connection was gone"));
                }
                return Err(self.under.fail(code::NOTHING, "Empty reply from server"));
            }
            State::Head => {
                let rest = std::mem::take(&mut self.input);
                if self.head.status == 0 && !rest.is_empty() {
                    self.not_http(&rest)?;
                }
                self.answer.close = false;
            }
            State::Body(Ends::After(left)) if left > 0 => {
                let said = format!("transfer closed with {left} bytes remaining to read");
                return Err(self.under.fail(code::PARTIAL, said));
            }
            State::Body(Ends::Chunked) => {
                let said = "transfer closed with outstanding read data remaining";
                return Err(self.under.fail(code::PARTIAL, said));
            }
            _ => {}
        }
        self.state = State::Done;
        Ok(())
    }
}

fn with_cr(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let mut last = 0;
    for b in bytes {
        if *b == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(*b);
        last = *b;
    }
    out
}
