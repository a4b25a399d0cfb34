//! A client's side of an HTTP/2 connection (RFC 9113) as a machine without sockets: bytes that came go in, what streams
//! got and bytes to be sent come out. Whatever a server does, no more is kept than [`ROOM`] and [`MOST_OUT`] allow.

use super::stream::{Refusal, Stream};
use super::{Frame, MAX_FRAME, PREFACE, WINDOW, flag, kind, why};
use crate::hpack::{self, Decoder, Field};
pub use crate::message::Event;
use std::collections::BTreeMap;

/// What a server may send in all before something is taken, bytes.
pub const ROOM: i64 = 8 << 20;
/// The same of one stream, as [`SETTINGS`] says.
const STREAM_ROOM: i64 = 32 << 20;
/// What may wait to be sent, bytes: a server that asks much and takes nothing gets no further.
pub const MOST_OUT: usize = 1 << 20;
/// Largest header block, bytes.
const BLOCK: usize = 256 * 1024;
/// Frames in a row that bring nothing.
const IDLE_FRAMES: u32 = 20_000;
/// Frames of a header block.
const PIECES: u32 = 64;

/// The settings that are asked for: at most 100 streams, windows of 32 MiB, no pushes (RFC 9113, 6.5.2).
pub const SETTINGS: [u8; 18] = [0, 3, 0, 0, 0, 100, 0, 4, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0];

/// Why a connection is over: one of [`why`], and what was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// One of [`why`].
    pub number: u32,
    /// What the server did.
    pub what: &'static str,
}

/// What a server said when it ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoAway {
    /// The last stream that it looks at.
    pub last: u32,
    /// One of [`why`].
    pub number: u32,
}

/// The machine.
#[derive(Debug)]
pub struct Client {
    input: Vec<u8>,
    out: Vec<u8>,
    decoder: Decoder,
    streams: BTreeMap<u32, Stream>,
    next: u32,
    window: i64,
    first_window: i64,
    most_frame: usize,
    most_streams: u32,
    room: i64,
    taken: i64,
    block: Option<(u32, u8, Vec<u8>, u32)>,
    idle: u32,
    goaway: Option<GoAway>,
    fault: Option<Fault>,
}

fn fault(number: u32, what: &'static str) -> Fault {
    Fault { number, what }
}

impl Client {
    /// Says hello.
    pub fn begin() -> Client {
        let mut client = Client {
            input: Vec::new(),
            out: PREFACE.to_vec(),
            decoder: Decoder::default(),
            streams: BTreeMap::new(),
            next: 1,
            window: WINDOW,
            first_window: WINDOW,
            most_frame: MAX_FRAME,
            most_streams: 100,
            room: ROOM,
            taken: 0,
            block: None,
            idle: 0,
            goaway: None,
            fault: None,
        };
        client.put(Frame::new(kind::SETTINGS, 0, 0, SETTINGS));
        let more = u32::try_from(ROOM.saturating_sub(WINDOW)).unwrap_or(0);
        client.put(Frame::new(kind::WINDOW_UPDATE, 0, 0, more.to_be_bytes()));
        client
    }

    /// Goes on after a request of HTTP/1.1 that asked for the change: its answer comes on stream 1.
    pub fn upgraded(head_only: bool) -> Client {
        let mut client = Client::begin();
        client.streams.insert(
            1,
            Stream::new(client.first_window, STREAM_ROOM, head_only, true),
        );
        client.next = 3;
        client
    }

    fn put(&mut self, frame: Frame) {
        self.out.extend(frame.encode());
    }

    /// Another stream can be begun.
    pub fn has_room(&self) -> bool {
        let open = self.streams.values().filter(|s| !s.closed()).count();
        self.usable() && (open as u32) < self.most_streams && self.next < 0x7fff_0000
    }

    /// Nothing ended the connection yet.
    pub fn usable(&self) -> bool {
        self.fault.is_none() && self.goaway.is_none()
    }

    /// What broke the rules.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The server's good-bye.
    pub fn goaway(&self) -> Option<GoAway> {
        self.goaway
    }

    /// Begins a stream with a request's fields; `end` where no body follows.
    pub fn open(&mut self, fields: &[(&str, &str)], end: bool) -> u32 {
        let id = self.next;
        self.next = self.next.saturating_add(2);
        let head_only = fields.contains(&(":method", "HEAD"));
        let stream = Stream::new(self.first_window, STREAM_ROOM, head_only, end);
        self.streams.insert(id, stream);
        let block = hpack::encode(fields);
        let pieces: Vec<&[u8]> = block.chunks(self.most_frame).collect();
        for (i, piece) in pieces.iter().enumerate() {
            let (first, last) = (i == 0, i.saturating_add(1) == pieces.len());
            let kind = if first {
                kind::HEADERS
            } else {
                kind::CONTINUATION
            };
            let mut flags = if last { flag::END_HEADERS } else { 0 };
            if first && end {
                flags |= flag::END_STREAM;
            }
            self.put(Frame::new(kind, flags, id, *piece));
        }
        id
    }

    /// Sends of a body as much as the windows allow, and says how much that was. The end goes with the last of it.
    pub fn send(&mut self, id: u32, bytes: &[u8], end: bool) -> usize {
        let mut sent = 0usize;
        let Some(stream) = self
            .streams
            .get_mut(&id)
            .filter(|s| !s.sent_all && !s.closed())
        else {
            return bytes.len();
        };
        while sent < bytes.len() || (bytes.is_empty() && end) {
            let rest = bytes.get(sent..).unwrap_or_default();
            let room = usize::try_from(self.window.min(stream.window)).unwrap_or(0);
            let left = MOST_OUT.saturating_sub(self.out.len());
            let n = rest.len().min(room).min(self.most_frame).min(left);
            if n == 0 && !rest.is_empty() {
                break;
            }
            sent = sent.saturating_add(n);
            self.window = self.window.saturating_sub(n as i64);
            stream.window = stream.window.saturating_sub(n as i64);
            let over = end && sent == bytes.len();
            stream.sent_all = over;
            let piece = rest.get(..n).unwrap_or_default();
            let flags = if over { flag::END_STREAM } else { 0 };
            self.out
                .extend(Frame::new(kind::DATA, flags, id, piece).encode());
            if over {
                break;
            }
        }
        sent
    }

    /// The next thing a stream got. What is taken is given back to the server's windows.
    pub fn event(&mut self, id: u32) -> Option<Event> {
        let stream = self.streams.get_mut(&id)?;
        let event = stream.got.events.pop_front()?;
        if let Event::Data(bytes) = &event {
            let n = bytes.len() as i64;
            stream.taken = stream.taken.saturating_add(n);
            if stream.taken > STREAM_ROOM / 2 && !stream.got.ended {
                let by = u32::try_from(stream.taken).unwrap_or(0);
                stream.room = stream.room.saturating_add(stream.taken);
                stream.taken = 0;
                let frame = Frame::new(kind::WINDOW_UPDATE, 0, id, by.to_be_bytes());
                self.out.extend(frame.encode());
            }
            self.give_back(n);
        }
        Some(event)
    }

    fn give_back(&mut self, n: i64) {
        self.taken = self.taken.saturating_add(n);
        if self.taken > ROOM / 4 {
            let by = u32::try_from(self.taken).unwrap_or(0);
            self.room = self.room.saturating_add(self.taken);
            self.taken = 0;
            self.put(Frame::new(kind::WINDOW_UPDATE, 0, 0, by.to_be_bytes()));
        }
    }

    /// Something is there for a stream.
    pub fn has_event(&self, id: u32) -> bool {
        self.streams
            .get(&id)
            .is_none_or(|s| !s.got.events.is_empty())
    }

    /// More of a stream's body can be sent.
    pub fn can_send(&self, id: u32) -> bool {
        let open = self.streams.get(&id).filter(|s| !s.sent_all);
        open.is_some_and(|s| s.window.min(self.window) > 0)
    }

    /// Nothing more is wanted of a stream.
    pub fn forget(&mut self, id: u32) {
        if let Some(stream) = self.streams.remove(&id) {
            if !stream.closed() && self.fault.is_none() {
                self.reset(id, why::CANCEL);
            }
            self.give_back(stream.waiting());
        }
    }

    fn reset(&mut self, id: u32, number: u32) {
        self.put(Frame::new(kind::RST_STREAM, 0, id, number.to_be_bytes()));
    }

    /// Bytes to be sent.
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// So many of them went.
    pub fn sent(&mut self, n: usize) {
        self.out.drain(..n.min(self.out.len()));
    }

    /// Says good-bye.
    pub fn end(&mut self) {
        let number = self.fault.map_or(why::NO_ERROR, |f| f.number);
        let payload = [[0; 4], number.to_be_bytes()].concat();
        self.put(Frame::new(kind::GOAWAY, 0, 0, payload));
    }

    /// Takes what came.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut at = 0usize;
        let result = loop {
            let rest = input.get(at..).unwrap_or_default();
            match Frame::decode(rest) {
                Err(_) => break Err(fault(why::FRAME_SIZE_ERROR, "a frame that is too long")),
                Ok(None) => break Ok(()),
                Ok(Some((frame, n))) => {
                    at = at.saturating_add(n);
                    if let Err(fault) = self.frame(&frame) {
                        break Err(fault);
                    }
                }
            }
        };
        self.input = input.get(at..).unwrap_or_default().to_vec();
        if let Err(fault) = result {
            self.fault = Some(fault);
            self.end();
        }
        result
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), Fault> {
        let begun = self.block.as_ref().map(|b| b.0);
        if begun.is_some_and(|id| frame.kind != kind::CONTINUATION || frame.stream != id) {
            return Err(fault(why::PROTOCOL_ERROR, "header fields were cut"));
        }
        let brings = match frame.kind {
            kind::DATA => !frame.content().is_empty() || frame.has(flag::END_STREAM),
            kind::HEADERS | kind::RST_STREAM => true,
            _ => false,
        };
        self.idle = if brings {
            0
        } else {
            self.idle.saturating_add(1)
        };
        if self.idle > IDLE_FRAMES || self.out.len() > MOST_OUT.saturating_mul(2) {
            return Err(fault(
                why::ENHANCE_YOUR_CALM,
                "frames without end that bring nothing",
            ));
        }
        match frame.kind {
            kind::DATA => self.data(frame),
            kind::HEADERS => self.headers(frame),
            kind::CONTINUATION => self.continuation(frame),
            kind::RST_STREAM => self.was_reset(frame),
            kind::SETTINGS => self.settings(frame),
            kind::PING => self.ping(frame),
            kind::GOAWAY => self.went(frame),
            kind::WINDOW_UPDATE => self.more_window(frame),
            kind::PUSH_PROMISE => Err(fault(why::PROTOCOL_ERROR, "a push that was not allowed")),
            _ => Ok(()),
        }
    }

    /// The stream of a frame; an error where no such stream was ever begun.
    fn known(&self, id: u32) -> Result<(), Fault> {
        match id != 0 && id < self.next && id % 2 == 1 {
            true => Ok(()),
            false => Err(fault(why::PROTOCOL_ERROR, "a stream that nobody began")),
        }
    }

    fn data(&mut self, frame: &Frame) -> Result<(), Fault> {
        self.known(frame.stream)?;
        let size = frame.payload.len() as i64;
        self.room = self.room.saturating_sub(size);
        if self.room < 0 {
            return Err(fault(
                why::FLOW_CONTROL_ERROR,
                "more than the window allowed",
            ));
        }
        let content = frame.content();
        let padding = size.saturating_sub(content.len() as i64);
        let refused = match self.streams.get_mut(&frame.stream) {
            Some(stream) if !stream.got.ended => {
                if !stream.got.headed {
                    return Err(fault(why::PROTOCOL_ERROR, "a body without a head"));
                }
                stream.data(content, size, frame.has(flag::END_STREAM))
            }
            // It was forgotten, or is over: only the window counts.
            _ => {
                self.give_back(size);
                return Ok(());
            }
        };
        self.give_back(padding);
        self.judge(frame.stream, refused);
        Ok(())
    }

    /// A stream that broke the rules is reset, and has lost what it brought.
    fn judge(&mut self, id: u32, result: Result<(), Refusal>) {
        let Err(Refusal(number)) = result else { return };
        self.reset(id, number);
        if let Some(stream) = self.streams.get_mut(&id) {
            let lost = stream.cut(Event::Reset(u64::from(number)));
            self.give_back(lost);
        }
    }

    fn headers(&mut self, frame: &Frame) -> Result<(), Fault> {
        self.known(frame.stream)?;
        let block = frame.content().to_vec();
        match frame.has(flag::END_HEADERS) {
            true => self.whole_block(frame.stream, frame.flags, &block),
            false => {
                self.block = Some((frame.stream, frame.flags, block, 1));
                Ok(())
            }
        }
    }

    fn continuation(&mut self, frame: &Frame) -> Result<(), Fault> {
        let Some((id, flags, mut block, pieces)) = self.block.take() else {
            return Err(fault(
                why::PROTOCOL_ERROR,
                "fields that go on without a beginning",
            ));
        };
        block.extend_from_slice(&frame.payload);
        if block.len() > BLOCK || pieces > PIECES {
            return Err(fault(
                why::ENHANCE_YOUR_CALM,
                "header fields without an end",
            ));
        }
        match frame.has(flag::END_HEADERS) {
            true => self.whole_block(id, flags, &block),
            false => {
                self.block = Some((id, flags, block, pieces.saturating_add(1)));
                Ok(())
            }
        }
    }

    fn whole_block(&mut self, id: u32, flags: u8, block: &[u8]) -> Result<(), Fault> {
        // Every block is read, so that the table stays the server's.
        let fields: Vec<Field> = self
            .decoder
            .decode(block)
            .map_err(|_| fault(why::COMPRESSION_ERROR, "header fields that cannot be read"))?;
        let Some(stream) = self.streams.get_mut(&id).filter(|s| !s.got.ended) else {
            return Ok(());
        };
        let result = stream.fields(fields, flags & flag::END_STREAM != 0);
        self.judge(id, result);
        Ok(())
    }

    fn was_reset(&mut self, frame: &Frame) -> Result<(), Fault> {
        self.known(frame.stream)?;
        if frame.payload.len() != 4 {
            return Err(fault(why::FRAME_SIZE_ERROR, "a reset of a wrong size"));
        }
        let Some(stream) = self.streams.get_mut(&frame.stream) else {
            return Ok(());
        };
        let number = frame.number();
        stream.sent_all = true;
        if !stream.got.ended {
            // Nothing was wrong, it says: that is an end, too.
            let end = number == why::NO_ERROR && stream.got.headed;
            let lost = stream.cut(if end {
                Event::End
            } else {
                Event::Reset(u64::from(number))
            });
            self.give_back(lost);
        }
        Ok(())
    }

    fn settings(&mut self, frame: &Frame) -> Result<(), Fault> {
        let acknowledged = frame.has(flag::ACK);
        let odd =
            !frame.payload.len().is_multiple_of(6) || (acknowledged && !frame.payload.is_empty());
        if odd || frame.stream != 0 {
            return Err(fault(why::FRAME_SIZE_ERROR, "settings of a wrong size"));
        }
        if acknowledged {
            return Ok(());
        }
        for (id, value) in frame.settings() {
            match id {
                3 => self.most_streams = value,
                4 if value > 0x7fff_ffff => {
                    return Err(fault(why::FLOW_CONTROL_ERROR, "a window that is too large"));
                }
                4 => {
                    let by = i64::from(value).saturating_sub(self.first_window);
                    self.first_window = i64::from(value);
                    for stream in self.streams.values_mut() {
                        stream.window = stream.window.saturating_add(by);
                    }
                }
                5 if !(16_384..=16_777_215).contains(&value) => {
                    return Err(fault(
                        why::PROTOCOL_ERROR,
                        "a size of frames that is not allowed",
                    ));
                }
                // Larger ones are possible, and nothing is won by them.
                5 => self.most_frame = (value as usize).min(MAX_FRAME),
                _ => {}
            }
        }
        self.put(Frame::new(kind::SETTINGS, flag::ACK, 0, []));
        Ok(())
    }

    fn ping(&mut self, frame: &Frame) -> Result<(), Fault> {
        if frame.payload.len() != 8 || frame.stream != 0 {
            return Err(fault(why::FRAME_SIZE_ERROR, "a ping of a wrong size"));
        }
        if !frame.has(flag::ACK) {
            self.put(Frame::new(
                kind::PING,
                flag::ACK,
                0,
                frame.payload.as_slice(),
            ));
        }
        Ok(())
    }

    fn went(&mut self, frame: &Frame) -> Result<(), Fault> {
        let Some(&[a, b, c, d, e, f, g, h]) = frame.payload.first_chunk::<8>() else {
            return Err(fault(why::FRAME_SIZE_ERROR, "a good-bye of a wrong size"));
        };
        let last = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
        let number = u32::from_be_bytes([e, f, g, h]);
        self.goaway = Some(GoAway { last, number });
        let mut lost = 0i64;
        for (_, stream) in self.streams.iter_mut().filter(|s| *s.0 > last) {
            if !stream.got.ended {
                lost = lost.saturating_add(stream.cut(Event::Unseen));
            }
        }
        self.give_back(lost);
        Ok(())
    }

    fn more_window(&mut self, frame: &Frame) -> Result<(), Fault> {
        if frame.payload.len() != 4 {
            return Err(fault(why::FRAME_SIZE_ERROR, "a window of a wrong size"));
        }
        let by = i64::from(frame.number() & 0x7fff_ffff);
        if frame.stream == 0 {
            self.window = self.window.saturating_add(by);
            if by == 0 || self.window > 0x7fff_ffff {
                return Err(fault(why::FLOW_CONTROL_ERROR, "a window that is too large"));
            }
            return Ok(());
        }
        self.known(frame.stream)?;
        let result = match self.streams.get_mut(&frame.stream) {
            Some(stream) if !stream.got.ended => stream.more_window(by),
            _ => Ok(()),
        };
        self.judge(frame.stream, result);
        Ok(())
    }
}
