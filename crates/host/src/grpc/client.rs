//! The client's half: one call at a time over one connection.

use super::*;

/// What a server says in a call of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its header fields.
    Headers(Fields),
    /// A message.
    Message(Vec<u8>),
    /// The end.
    Trailers(Fields),
}

/// The client's side of a connection; one call after the other.
pub struct Client<S> {
    link: Link<S>,
    next: u32,
    /// The call under way.
    id: u32,
    headed: bool,
    body: Vec<u8>,
    waiting: VecDeque<Event>,
    most: usize,
}

impl<S: Read + Write> Client<S> {
    /// Says hello.
    pub fn begin(stream: S, most: usize) -> io::Result<Client<S>> {
        Ok(Client {
            link: Link::hello(stream, PREFACE)?,
            next: 1,
            id: 0,
            headed: false,
            body: Vec::new(),
            waiting: VecDeque::new(),
            most,
        })
    }

    /// Begins a call; what was left of the one before is forgotten.
    pub fn call(
        &mut self,
        path: &str,
        scheme: &str,
        authority: &str,
        more: &[(String, String)],
    ) -> io::Result<()> {
        if self.id != 0 {
            self.link.forget(self.id);
        }
        self.id = self.next;
        self.next += 2;
        (self.headed, self.body, self.waiting) = (false, Vec::new(), VecDeque::new());
        let mut fields = vec![
            (":method", "POST"),
            (":scheme", scheme),
            (":path", path),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        fields.extend(more.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        self.link.open(self.id);
        self.link.send(Frame::new(
            kind::HEADERS,
            flag::END_HEADERS,
            self.id,
            hpack::encode(&fields),
        ))
    }

    /// A message of ours.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.link.message(self.id, message)?;
        // The window is small: wait until the server has given back enough.
        while !self.link.owed.is_empty() && self.waiting.is_empty() {
            self.take()?;
        }
        Ok(())
    }

    /// No more messages of ours.
    pub fn end(&mut self) -> io::Result<()> {
        self.link
            .send(Frame::new(kind::DATA, flag::END_STREAM, self.id, []))
    }

    /// The next thing that the server says.
    pub fn event(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            self.take()?;
        }
    }

    fn take(&mut self) -> io::Result<()> {
        let frame = self.link.next()?;
        match frame.kind {
            kind::GOAWAY => {
                let number = frame
                    .payload
                    .get(4..8)
                    .map_or(0, |b| b.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)));
                if number != 0 {
                    return Err(wrong(format!(
                        "the server ends the connection (GOAWAY {number})"
                    )));
                }
            }
            _ if frame.stream != self.id && frame.stream != 0 && frame.kind != kind::HEADERS => {}
            kind::RST_STREAM => {
                return Err(wrong(format!(
                    "the server ends the call (RST_STREAM {})",
                    frame.number()
                )));
            }
            kind::HEADERS => {
                let (mut block, mut whole) =
                    (frame.content().to_vec(), frame.has(flag::END_HEADERS));
                while !whole {
                    let more = self.link.next()?;
                    if more.kind != kind::CONTINUATION {
                        return Err(wrong("header fields were cut"));
                    }
                    block.extend_from_slice(more.content());
                    if block.len() > BLOCK {
                        return Err(wrong("header fields without an end"));
                    }
                    whole = more.has(flag::END_HEADERS);
                }
                let fields = self.link.fields(&block)?;
                if frame.stream != self.id {
                    return Ok(());
                }
                self.waiting.push_back(match frame.has(flag::END_STREAM) {
                    true => Event::Trailers(fields),
                    false => Event::Headers(fields),
                });
                self.headed = true;
            }
            kind::DATA => {
                self.body.extend_from_slice(frame.content());
                let came = messages(&mut self.body, self.most).map_err(wrong)?;
                self.waiting.extend(came.into_iter().map(Event::Message));
                if frame.has(flag::END_STREAM) {
                    self.waiting.push_back(Event::Trailers(Vec::new()));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
