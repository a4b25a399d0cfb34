//! gRPC over HTTP/2 on anything that reads and writes: the server's side of one connection, and the client's.
//!
//! (gRPC over HTTP2: a message is a byte, four bytes of length, and as many bytes; a call ends with trailers.)

mod client;
pub mod health;

pub use client::{Client, Event};

use netshoot_wire::h2::{Frame, MAX_FRAME, PREFACE, WINDOW, flag, kind};
use netshoot_wire::hpack::{self, Decoder};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};

/// Header fields as text.
pub type Fields = Vec<(String, String)>;

/// Calls open at once on a connection of a server.
const STREAMS: usize = 100;
/// Longest header block, bytes.
const BLOCK: usize = 64 * 1024;
/// What is owed to a peer that takes nothing, bytes.
const OWED: usize = 8 << 20;

/// `grpc-status` (gRPC, "Status codes").
pub mod status {
    /// OK
    pub const OK: u8 = 0;
    /// INVALID_ARGUMENT
    pub const INVALID_ARGUMENT: u8 = 3;
    /// NOT_FOUND
    pub const NOT_FOUND: u8 = 5;
    /// UNIMPLEMENTED
    pub const UNIMPLEMENTED: u8 = 12;
}

/// A call as its server sees it.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// `/package.Service/Method`
    pub path: String,
    /// All of its header fields.
    pub headers: Fields,
}

/// What a server says to a message, or to the end of the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// These messages; the call ends when the caller has ended.
    Messages(Vec<Vec<u8>>),
    /// These messages, and more may follow for as long as the caller waits.
    Open(Vec<Vec<u8>>),
    /// The call failed: its number and why.
    Failed(u8, String),
}

/// The frames of one connection, both ways, with what may be sent.
pub(crate) struct Link<S> {
    stream: S,
    got: Vec<u8>,
    decoder: Decoder,
    window: i64,
    first_window: i64,
    windows: BTreeMap<u32, i64>,
    owed: VecDeque<Frame>,
    owed_bytes: usize,
}

fn no_http_2() -> io::Error {
    wrong("the server speaks HTTP/1, and gRPC needs HTTP/2")
}

pub(crate) fn cut() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

pub(crate) fn wrong(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

impl<S: Read + Write> Link<S> {
    fn new(stream: S, got: Vec<u8>) -> Link<S> {
        Link {
            stream,
            got,
            decoder: Decoder::default(),
            window: WINDOW,
            first_window: WINDOW,
            windows: BTreeMap::new(),
            owed: VecDeque::new(),
            owed_bytes: 0,
        }
    }

    /// A client's side, which speaks first.
    pub(crate) fn hello(stream: S, preface: &[u8]) -> io::Result<Link<S>> {
        let mut link = Link::new(stream, Vec::new());
        let hello = [preface, &Frame::new(kind::SETTINGS, 0, 0, []).encode()].concat();
        link.stream.write_all(&hello)?;
        link.stream.flush()?;
        Ok(link)
    }

    /// What is under it.
    pub(crate) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// A stream of ours: it has a window of its own.
    pub(crate) fn open(&mut self, id: u32) {
        self.windows.insert(id, self.first_window);
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece)? {
            0 => Err(cut()),
            n => {
                self.got
                    .extend_from_slice(piece.get(..n).unwrap_or_default());
                Ok(())
            }
        }
    }

    /// The next frame that is not the connection's own business.
    pub(crate) fn next(&mut self) -> io::Result<Frame> {
        loop {
            if self.spoke_http_1() {
                return Err(no_http_2());
            }
            let Some((frame, taken)) = Frame::decode(&self.got).map_err(wrong)? else {
                self.fill()?;
                continue;
            };
            self.got.drain(..taken);
            match frame.kind {
                kind::SETTINGS if !frame.has(flag::ACK) => {
                    for (id, value) in frame.settings() {
                        // SETTINGS_INITIAL_WINDOW_SIZE counts for open streams too (RFC 9113, 6.9.2).
                        if id == 4 {
                            let by = i64::from(value) - self.first_window;
                            self.first_window = i64::from(value);
                            self.windows
                                .values_mut()
                                .for_each(|w| *w = w.saturating_add(by));
                        }
                    }
                    self.put(&Frame::new(kind::SETTINGS, flag::ACK, 0, []))?;
                    self.flush()?;
                }
                kind::PING if !frame.has(flag::ACK) => {
                    self.put(&Frame::new(kind::PING, flag::ACK, 0, frame.payload))?;
                }
                kind::WINDOW_UPDATE => {
                    let by = i64::from(frame.number() & 0x7fff_ffff);
                    match frame.stream {
                        0 => self.window = self.window.saturating_add(by),
                        id => {
                            if let Some(w) = self.windows.get_mut(&id) {
                                *w = w.saturating_add(by);
                            }
                        }
                    }
                    self.flush()?;
                }
                kind::DATA => {
                    // What was read is given back to the sender's windows.
                    let n = (frame.payload.len() as u32).to_be_bytes();
                    if !frame.payload.is_empty() {
                        self.put(&Frame::new(kind::WINDOW_UPDATE, 0, 0, n))?;
                        if !frame.has(flag::END_STREAM) {
                            self.put(&Frame::new(kind::WINDOW_UPDATE, 0, frame.stream, n))?;
                        }
                    }
                    return Ok(frame);
                }
                kind::RST_STREAM => {
                    self.forget(frame.stream);
                    return Ok(frame);
                }
                _ => return Ok(frame),
            }
        }
    }

    fn forget(&mut self, id: u32) {
        self.windows.remove(&id);
        self.owed.retain(|f| f.stream != id);
        self.owed_bytes = self.owed.iter().map(|f| f.payload.len()).sum();
    }

    fn put(&mut self, frame: &Frame) -> io::Result<()> {
        let sent = self.stream.write_all(&frame.encode());
        sent.and_then(|()| self.stream.flush()).map_err(|e| {
            // A server that ended may have said why before.
            while !self.spoke_http_1() && self.got.len() < MAX_FRAME && self.fill().is_ok() {}
            if self.spoke_http_1() { no_http_2() } else { e }
        })
    }

    fn spoke_http_1(&self) -> bool {
        self.got.starts_with(b"HTTP/1")
    }

    /// HEADERS or DATA, when the windows allow it.
    pub(crate) fn send(&mut self, frame: Frame) -> io::Result<()> {
        self.owed_bytes += frame.payload.len();
        if self.owed_bytes > OWED {
            return Err(wrong("the peer takes nothing"));
        }
        self.owed.push_back(frame);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(frame) = self.owed.front() {
            let length = frame.payload.len() as i64;
            if frame.kind == kind::DATA {
                let own = self.windows.get(&frame.stream).copied().unwrap_or(0);
                if length > self.window.min(own) {
                    return Ok(());
                }
                self.window -= length;
                self.windows.insert(frame.stream, own - length);
            }
            self.owed_bytes = self.owed_bytes.saturating_sub(frame.payload.len());
            if let Some(frame) = self.owed.pop_front() {
                self.put(&frame)?;
            }
        }
        Ok(())
    }

    /// A message in frames of a size that every peer takes.
    fn message(&mut self, id: u32, message: &[u8]) -> io::Result<()> {
        let mut bytes = vec![0];
        bytes.extend((message.len() as u32).to_be_bytes());
        bytes.extend_from_slice(message);
        for piece in bytes.chunks(MAX_FRAME) {
            self.send(Frame::new(kind::DATA, 0, id, piece))?;
        }
        Ok(())
    }

    pub(crate) fn fields(&mut self, block: &[u8]) -> io::Result<Fields> {
        let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
        let fields = self.decoder.decode(block).map_err(wrong)?;
        Ok(fields
            .into_iter()
            .map(|(n, v)| (text(n), text(v)))
            .collect())
    }
}

/// Takes whole messages out of what has come.
fn messages(body: &mut Vec<u8>, most: usize) -> Result<Vec<Vec<u8>>, String> {
    let mut all = Vec::new();
    while let Some([packed, a, b, c, d]) = body.first_chunk::<5>().copied() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if packed != 0 {
            return Err("a message is compressed, which was not agreed on".into());
        }
        if length > most {
            return Err(format!("a message of {length} bytes is longer than {most}"));
        }
        let end = length.saturating_add(5);
        let Some(message) = body.get(5..end) else {
            break;
        };
        all.push(message.to_vec());
        body.drain(..end);
    }
    Ok(all)
}

/// A call that is not over.
#[derive(Default)]
struct Open {
    call: Call,
    block: Vec<u8>,
    body: Vec<u8>,
    /// The header fields are all there.
    headed: bool,
    /// The caller said that no more comes.
    ended: bool,
    /// Our header fields are sent.
    answered: bool,
    /// It stays open until the caller goes.
    stays: bool,
}

/// The server's side: calls of one connection until it ends. `got` is what was read of it already.
pub fn serve(
    stream: impl Read + Write,
    got: Vec<u8>,
    most: usize,
    answer: &mut dyn FnMut(&Call, Option<&[u8]>) -> Said,
) -> Result<(), String> {
    let mut link = Link::new(stream, got);
    while link.got.len() < PREFACE.len() {
        if link.fill().is_err() {
            return Ok(());
        }
    }
    if !link.got.starts_with(PREFACE) {
        return Err("grpc: no HTTP/2 preface".into());
    }
    link.got.drain(..PREFACE.len());
    if link.put(&Frame::new(kind::SETTINGS, 0, 0, [])).is_err() {
        return Ok(());
    }
    let mut open: BTreeMap<u32, Open> = BTreeMap::new();
    while let Ok(frame) = link.next() {
        if step(&mut link, frame, most, &mut open, answer).is_err() {
            break;
        }
    }
    Ok(())
}

fn step<S: Read + Write>(
    link: &mut Link<S>,
    frame: Frame,
    most: usize,
    open: &mut BTreeMap<u32, Open>,
    answer: &mut dyn FnMut(&Call, Option<&[u8]>) -> Said,
) -> io::Result<()> {
    let id = frame.stream;
    match frame.kind {
        kind::RST_STREAM => drop(open.remove(&id)),
        kind::GOAWAY => return Err(io::ErrorKind::ConnectionAborted.into()),
        kind::HEADERS | kind::CONTINUATION => {
            if frame.kind == kind::HEADERS && !open.contains_key(&id) {
                if open.len() >= STREAMS {
                    return Err(wrong("too many calls at once"));
                }
                open.insert(id, Open::default());
                link.windows.insert(id, link.first_window);
            }
            if let Some(one) = open.get_mut(&id) {
                one.block.extend_from_slice(frame.content());
                one.ended |= frame.kind == kind::HEADERS && frame.has(flag::END_STREAM);
                if one.block.len() > BLOCK {
                    return Err(wrong("header fields without an end"));
                }
                if frame.has(flag::END_HEADERS) {
                    let block = std::mem::take(&mut one.block);
                    let fields = link.fields(&block)?;
                    if !one.headed {
                        let path = fields.iter().find(|f| f.0 == ":path");
                        one.call.path = path.map(|f| f.1.clone()).unwrap_or_default();
                        one.call.headers = fields;
                        one.headed = true;
                    }
                }
            }
        }
        kind::DATA => {
            if let Some(one) = open.get_mut(&id) {
                one.body.extend_from_slice(frame.content());
                one.ended |= frame.has(flag::END_STREAM);
            }
        }
        _ => {}
    }
    let Some(one) = open.get_mut(&id).filter(|o| o.headed) else {
        return Ok(());
    };
    let done = converse(link, id, one, most, answer)?;
    if done {
        open.remove(&id);
    }
    Ok(())
}

/// Answers what has come; true when the call is over.
fn converse<S: Read + Write>(
    link: &mut Link<S>,
    id: u32,
    one: &mut Open,
    most: usize,
    answer: &mut dyn FnMut(&Call, Option<&[u8]>) -> Said,
) -> io::Result<bool> {
    let came = match messages(&mut one.body, most) {
        Ok(came) => came,
        Err(why) => return finish(link, id, one, 8, &why),
    };
    let asks = came
        .iter()
        .map(|m| Some(m.as_slice()))
        .chain(one.ended.then_some(None));
    for ask in asks {
        let said = match answer(&one.call, ask) {
            Said::Failed(number, why) => return finish(link, id, one, number, &why),
            Said::Messages(all) => all,
            Said::Open(all) => {
                one.stays = true;
                all
            }
        };
        for message in said {
            if !one.answered {
                let head = [(":status", "200"), ("content-type", "application/grpc")];
                link.send(Frame::new(
                    kind::HEADERS,
                    flag::END_HEADERS,
                    id,
                    hpack::encode(&head),
                ))?;
                one.answered = true;
            }
            link.message(id, &message)?;
        }
    }
    match one.ended && !one.stays {
        true => finish(link, id, one, status::OK, ""),
        false => Ok(false),
    }
}

fn finish<S: Read + Write>(
    link: &mut Link<S>,
    id: u32,
    one: &Open,
    number: u8,
    why: &str,
) -> io::Result<bool> {
    let number = number.to_string();
    let why = escaped(why);
    let mut fields = vec![];
    if !one.answered {
        fields.extend([(":status", "200"), ("content-type", "application/grpc")]);
    }
    fields.push(("grpc-status", number.as_str()));
    if !why.is_empty() {
        fields.push(("grpc-message", why.as_str()));
    }
    let flags = flag::END_HEADERS | flag::END_STREAM;
    link.send(Frame::new(kind::HEADERS, flags, id, hpack::encode(&fields)))?;
    Ok(true)
}

/// `grpc-message` holds printable ASCII without `%`; the rest as `%0A`.
fn escaped(text: &str) -> String {
    let one = |b: u8| match b {
        b' '..=b'~' if b != b'%' => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads given bytes, keeps what is written.
    struct Given<'a>(&'a [u8], &'a mut Vec<u8>);

    impl Read for Given<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.0.read(bytes)
        }
    }

    impl Write for Given<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn echo(call: &Call, message: Option<&[u8]>) -> Said {
        match (call.path.as_str(), message) {
            ("/x.Y/Echo", Some(m)) => Said::Messages(vec![m.to_vec()]),
            ("/x.Y/Echo", None) => Said::Messages(Vec::new()),
            _ => Said::Failed(status::UNIMPLEMENTED, "no such method".into()),
        }
    }

    /// What a client of ours says in a call with one message.
    fn spoken(path: &str) -> Vec<u8> {
        let mut said = Vec::new();
        let mut client = Client::begin(Given(&[], &mut said), 1 << 20).unwrap();
        client
            .call(path, "http", "x", &[("a".into(), "b".into())])
            .unwrap();
        client.send(b"hello").unwrap();
        client.end().unwrap();
        drop(client);
        said
    }

    fn answered(said: &[u8]) -> Vec<u8> {
        let mut back = Vec::new();
        let _ = serve(Given(said, &mut back), Vec::new(), 1 << 20, &mut echo);
        back
    }

    #[test]
    fn a_call_comes_back() {
        for (path, messages, number) in [("/x.Y/Echo", 1, "0"), ("/x.Y/No", 0, "12")] {
            let back = answered(&spoken(path));
            let mut ignored = Vec::new();
            let mut client = Client::begin(Given(&back, &mut ignored), 1 << 20).unwrap();
            client.call(path, "http", "x", &[]).unwrap();
            let mut count = 0;
            loop {
                match client.event().unwrap() {
                    Event::Message(m) => {
                        assert_eq!(m, b"hello");
                        count += 1;
                    }
                    Event::Headers(_) => {}
                    Event::Trailers(fields) => {
                        assert!(
                            fields.contains(&("grpc-status".into(), number.into())),
                            "{fields:?}"
                        );
                        break;
                    }
                }
            }
            assert_eq!(count, messages);
        }
    }

    #[test]
    fn damaged_connections_end() {
        let (good, back) = (spoken("/x.Y/Echo"), answered(&spoken("/x.Y/Echo")));
        let behind = good.get(PREFACE.len()..).unwrap();
        netshoot_wire::fuzz::mutations(behind, 8_000, |damaged| {
            let said = answered(&[PREFACE, damaged].concat());
            assert!(said.len() < 1 << 16);
        });
        netshoot_wire::fuzz::mutations(&back, 8_000, |damaged| {
            let mut ignored = Vec::new();
            let mut client = Client::begin(Given(damaged, &mut ignored), 1 << 16).unwrap();
            client.call("/x.Y/Echo", "http", "x", &[]).unwrap();
            while client.event().is_ok() {}
        });
    }
}
