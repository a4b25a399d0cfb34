//! One stream of a client: what it got and may send, and the rules of its messages (RFC 9113, 8).

use super::client::Event;
use super::why;
use crate::hpack::Field;
use std::collections::VecDeque;

/// Heads below 200 that are borne.
const INTERIM: u32 = 1000;

/// Names and values.
pub(super) type Fields = Vec<(String, String)>;

/// A stream broke the rules: one of [`why`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub u32);

/// A stream.
#[derive(Debug)]
pub struct Stream {
    pub(super) events: VecDeque<Event>,
    /// What may be sent.
    pub(super) window: i64,
    /// What the server may send.
    pub(super) room: i64,
    /// What was taken of it, and not yet given back.
    pub(super) taken: i64,
    /// The last head is there.
    pub(super) headed: bool,
    /// The server sends no more.
    pub(super) ended: bool,
    /// We send no more.
    pub(super) sent_all: bool,
    head_only: bool,
    interim: u32,
    announced: Option<u64>,
    came: u64,
}

impl Stream {
    pub(super) fn new(window: i64, room: i64, head_only: bool, sent_all: bool) -> Stream {
        Stream {
            events: VecDeque::new(),
            window,
            room,
            taken: 0,
            headed: false,
            ended: false,
            sent_all,
            head_only,
            interim: 0,
            announced: None,
            came: 0,
        }
    }

    pub(super) fn closed(&self) -> bool {
        self.ended && self.sent_all
    }

    /// Bytes that nobody took.
    pub(super) fn waiting(&self) -> i64 {
        let size = |e: &Event| match e {
            Event::Data(bytes) => bytes.len() as i64,
            _ => 0,
        };
        self.events.iter().map(size).sum()
    }

    /// The end by force: what waits is lost, which gives so many bytes back.
    pub(super) fn cut(&mut self, by: Event) -> i64 {
        let lost = self.waiting();
        self.events.clear();
        self.events.push_back(by);
        (self.ended, self.sent_all) = (true, true);
        lost
    }

    pub(super) fn more_window(&mut self, by: i64) -> Result<(), Refusal> {
        self.window = self.window.saturating_add(by);
        match by {
            0 => Err(Refusal(why::PROTOCOL_ERROR)),
            _ if self.window > 0x7fff_ffff => Err(Refusal(why::FLOW_CONTROL_ERROR)),
            _ => Ok(()),
        }
    }

    pub(super) fn data(&mut self, content: &[u8], size: i64, end: bool) -> Result<(), Refusal> {
        self.room = self.room.saturating_sub(size);
        if self.room < 0 {
            return Err(Refusal(why::FLOW_CONTROL_ERROR));
        }
        self.came = self.came.saturating_add(content.len() as u64);
        if self.announced.is_some_and(|n| self.came > n) {
            return Err(Refusal(why::PROTOCOL_ERROR));
        }
        match self.events.back_mut() {
            // Small pieces become one: a piece costs more than its bytes.
            Some(Event::Data(bytes)) if bytes.len() < 16_384 => bytes.extend_from_slice(content),
            _ if content.is_empty() => {}
            _ => self.events.push_back(Event::Data(content.to_vec())),
        }
        self.finish(end)
    }

    fn finish(&mut self, end: bool) -> Result<(), Refusal> {
        if !end {
            return Ok(());
        }
        if self.announced.is_some_and(|n| self.came != n) {
            return Err(Refusal(why::PROTOCOL_ERROR));
        }
        self.ended = true;
        self.events.push_back(Event::End);
        Ok(())
    }

    pub(super) fn fields(&mut self, fields: Vec<Field>, end: bool) -> Result<(), Refusal> {
        let bad = Refusal(why::PROTOCOL_ERROR);
        let (status, fields) = checked(fields).ok_or(bad)?;
        if self.headed {
            // Behind the body: nothing but fields, and the end.
            if status.is_some() || !end {
                return Err(bad);
            }
            self.events.push_back(Event::Trailers(fields));
            return self.finish(true);
        }
        let status = status.ok_or(bad)?;
        if status < 200 {
            self.interim = self.interim.saturating_add(1);
            if end || status == 101 || self.interim > INTERIM {
                return Err(bad);
            }
            self.events.push_back(Event::Head(status, fields));
            return Ok(());
        }
        self.headed = true;
        let bodiless = self.head_only || matches!(status, 204 | 304);
        let mut lengths = fields.iter().filter(|f| f.0 == "content-length");
        if let Some((_, value)) = lengths.next() {
            let digits = value.bytes().all(|b| b.is_ascii_digit());
            let n = value.parse().ok().filter(|_| digits).ok_or(bad)?;
            if lengths.next().is_some() {
                return Err(bad);
            }
            self.announced = (!bodiless).then_some(n);
        }
        self.events.push_back(Event::Head(status, fields));
        self.finish(end)
    }
}

/// The status and the fields; none where the rules are broken: names in small letters, none that belong to a connection, no
/// line ends within, `:status` alone and first.
fn checked(fields: Vec<Field>) -> Option<(Option<u16>, Fields)> {
    let mut status = None;
    let mut own = Vec::new();
    for (name, value) in fields {
        if name.first() == Some(&b':') {
            let digits = value.len() == 3 && value.iter().all(u8::is_ascii_digit);
            if name != b":status" || status.is_some() || !own.is_empty() || !digits {
                return None;
            }
            status = std::str::from_utf8(&value).ok()?.parse().ok();
            status.filter(|s| *s >= 100)?;
            continue;
        }
        let token = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
        let of_connection: [&[u8]; 5] = [
            b"connection",
            b"keep-alive",
            b"proxy-connection",
            b"transfer-encoding",
            b"upgrade",
        ];
        let inside = |b: &u8| matches!(b, 0 | b'\r' | b'\n');
        if name.is_empty()
            || !name.iter().all(token)
            || of_connection.contains(&name.as_slice())
            || value.iter().any(inside)
        {
            return None;
        }
        let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
        own.push((text(name), text(value)));
    }
    Some((status, own))
}
