//! A response as HTTP/2 and HTTP/3 bring it: heads, a body, fields behind it, in an order and by rules that both share (RFC
//! 9113, 8.1 and RFC 9114, 4.1).

use crate::hpack::Field;
use std::collections::VecDeque;

/// Heads below 200 that are borne.
const INTERIM: u32 = 1000;

/// Names and values.
pub type Fields = Vec<(String, String)>;

/// What a stream got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A head: the status, and the fields without it. One below 200 is followed by another.
    Head(u16, Fields),
    /// Of the body.
    Data(Vec<u8>),
    /// Fields behind the body.
    Trailers(Fields),
    /// The end.
    End,
    /// It was cut short, by the server or because the server broke the rules: the protocol's number for why.
    Reset(u64),
    /// The server will not look at it: it goes no further with this connection.
    Unseen,
}

/// The rules were broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What came of a response, and what may come yet.
#[derive(Debug, Default)]
pub struct Message {
    /// What came and nobody took.
    pub events: VecDeque<Event>,
    /// The last head is there.
    pub headed: bool,
    /// Fields came behind the body: nothing but the end may follow.
    pub trailed: bool,
    /// No more comes.
    pub ended: bool,
    head_only: bool,
    interim: u32,
    announced: Option<u64>,
    came: u64,
}

impl Message {
    /// One that is yet to come; `head_only` where no body will.
    pub fn new(head_only: bool) -> Message {
        Message {
            head_only,
            ..Message::default()
        }
    }

    /// Bytes that nobody took.
    pub fn waiting(&self) -> usize {
        let size = |e: &Event| match e {
            Event::Data(bytes) => bytes.len(),
            _ => 0,
        };
        self.events.iter().map(size).sum()
    }

    /// The end by force: what waits is lost, which gives so many bytes back.
    pub fn cut(&mut self, by: Event) -> usize {
        let lost = self.waiting();
        self.events.clear();
        self.events.push_back(by);
        self.ended = true;
        lost
    }

    /// The end by force, behind what came before it.
    pub fn broken_off(&mut self, by: Event) {
        self.events.push_back(by);
        self.ended = true;
    }

    /// Of the body.
    pub fn data(&mut self, content: &[u8]) -> Result<(), Broken> {
        self.came = self.came.saturating_add(content.len() as u64);
        let too_much = self.announced.is_some_and(|n| self.came > n);
        if too_much || !self.headed || self.trailed {
            return Err(Broken);
        }
        match self.events.back_mut() {
            // Small pieces become one: a piece costs more than its bytes.
            Some(Event::Data(bytes)) if bytes.len() < 16_384 => bytes.extend_from_slice(content),
            _ if content.is_empty() => {}
            _ => self.events.push_back(Event::Data(content.to_vec())),
        }
        Ok(())
    }

    /// The end, where it may be.
    pub fn finish(&mut self) -> Result<(), Broken> {
        if !self.headed || self.announced.is_some_and(|n| self.came != n) {
            return Err(Broken);
        }
        self.ended = true;
        self.events.push_back(Event::End);
        Ok(())
    }

    /// A head, or the fields behind the body.
    pub fn fields(&mut self, fields: Vec<Field>) -> Result<(), Broken> {
        let (status, fields) = checked(fields).ok_or(Broken)?;
        if self.headed {
            if status.is_some() || self.trailed {
                return Err(Broken);
            }
            self.trailed = true;
            self.events.push_back(Event::Trailers(fields));
            return Ok(());
        }
        let status = status.ok_or(Broken)?;
        if status < 200 {
            self.interim = self.interim.saturating_add(1);
            if status == 101 || self.interim > INTERIM {
                return Err(Broken);
            }
            self.events.push_back(Event::Head(status, fields));
            return Ok(());
        }
        self.headed = true;
        let bodiless = self.head_only || matches!(status, 204 | 304);
        let mut lengths = fields.iter().filter(|f| f.0 == "content-length");
        if let Some((_, value)) = lengths.next() {
            let digits = value.bytes().all(|b| b.is_ascii_digit());
            let n = value.parse().ok().filter(|_| digits).ok_or(Broken)?;
            if lengths.next().is_some() {
                return Err(Broken);
            }
            self.announced = (!bodiless).then_some(n);
        }
        self.events.push_back(Event::Head(status, fields));
        Ok(())
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
