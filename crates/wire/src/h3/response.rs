//! What comes on a request's stream: frames, and in them one response (RFC 9114, 4.1).

use super::{Fault, Frame, LONGEST_FIELDS, fault, kind, of_stream, qpack, why};
use crate::message::{Broken, Event, Message};

/// Frames in a row that bring nothing.
const IDLE_FRAMES: u32 = 20_000;

/// What the next bytes belong to.
#[derive(Clone, Copy, Debug, Default)]
enum Inside {
    /// A frame begins.
    #[default]
    Nothing,
    /// A body: so many bytes more.
    Data(u64),
    /// Fields: so many bytes in all.
    Fields(usize),
    /// A frame that nobody knows.
    Unknown(u64),
}

/// The reading side of a request's stream.
#[derive(Debug, Default)]
pub struct Response {
    /// What came.
    pub message: Message,
    input: Vec<u8>,
    inside: Inside,
    idle: u32,
}

impl From<Broken> for Fault {
    fn from(_: Broken) -> Fault {
        of_stream(why::MESSAGE_ERROR, "a response against the rules")
    }
}

impl Response {
    /// One that is yet to come; `head_only` where no body will.
    pub fn new(head_only: bool) -> Response {
        Response {
            message: Message::new(head_only),
            ..Response::default()
        }
    }

    /// The next thing that came.
    pub fn event(&mut self) -> Option<Event> {
        self.message.events.pop_front()
    }

    /// Takes what the stream brought.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut input = std::mem::take(&mut self.input);
        let mut rest = match input.is_empty() {
            true => bytes,
            false => {
                input.extend_from_slice(bytes);
                input.as_slice()
            }
        };
        while !self.message.ended {
            let before = rest.len();
            rest = self.step(rest)?;
            if rest.len() == before {
                break;
            }
        }
        self.input = rest.to_vec();
        Ok(())
    }

    /// Takes a piece; what is left. All of it where more must come first.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        match self.inside {
            Inside::Nothing => {
                let Some((kind, length, taken)) = Frame::head(bytes) else {
                    return Ok(bytes);
                };
                self.begin(kind, length)?;
                Ok(bytes.get(taken..).unwrap_or_default())
            }
            Inside::Data(left) => {
                let (piece, rest) = upto(bytes, left);
                if !piece.is_empty() {
                    self.message.data(piece)?;
                }
                self.left(left, piece.len(), Inside::Data);
                Ok(rest)
            }
            Inside::Unknown(left) => {
                let (piece, rest) = upto(bytes, left);
                self.left(left, piece.len(), Inside::Unknown);
                Ok(rest)
            }
            Inside::Fields(length) => {
                let Some((block, rest)) = bytes.split_at_checked(length) else {
                    return Ok(bytes);
                };
                self.inside = Inside::Nothing;
                let fields = qpack::decode(block).map_err(|_| {
                    let what = "header fields that cannot be read";
                    fault(why::DECOMPRESSION_FAILED, what)
                })?;
                self.message.fields(fields)?;
                Ok(rest)
            }
        }
    }

    fn left(&mut self, of: u64, taken: usize, inside: fn(u64) -> Inside) {
        let left = of.saturating_sub(taken as u64);
        self.inside = if left == 0 {
            Inside::Nothing
        } else {
            inside(left)
        };
    }

    fn begin(&mut self, kind: u64, length: u64) -> Result<(), Fault> {
        let brings = matches!(kind, kind::DATA | kind::HEADERS) && length > 0;
        self.idle = if brings {
            0
        } else {
            self.idle.saturating_add(1)
        };
        if self.idle > IDLE_FRAMES {
            let what = "frames without end that bring nothing";
            return Err(fault(why::EXCESSIVE_LOAD, what));
        }
        let nothing = length == 0;
        self.inside = match kind {
            kind::DATA | kind::HEADERS if self.message.trailed => {
                return Err(fault(why::FRAME_UNEXPECTED, "a frame behind the trailers"));
            }
            kind::DATA if !self.message.headed => {
                return Err(fault(why::FRAME_UNEXPECTED, "a body without a head"));
            }
            kind::HEADERS if length > LONGEST_FIELDS => {
                let what = "header fields that are too long";
                return Err(of_stream(why::EXCESSIVE_LOAD, what));
            }
            kind::HEADERS => Inside::Fields(usize::try_from(length).unwrap_or(0)),
            kind::PUSH_PROMISE => {
                return Err(fault(why::ID_ERROR, "a push that was not allowed"));
            }
            kind::SETTINGS | kind::GOAWAY | kind::CANCEL_PUSH | kind::MAX_PUSH_ID => {
                let what = "a frame of the control stream";
                return Err(fault(why::FRAME_UNEXPECTED, what));
            }
            kind if kind::FORBIDDEN.contains(&kind) => {
                return Err(fault(why::FRAME_UNEXPECTED, "a frame of HTTP/2"));
            }
            _ if nothing => Inside::Nothing,
            kind::DATA => Inside::Data(length),
            _ => Inside::Unknown(length),
        };
        Ok(())
    }

    /// The server sends no more on it. Without a head, that is an end, too: who asked knows that there was none.
    pub fn end(&mut self) -> Result<(), Fault> {
        if self.message.ended {
            return Ok(());
        }
        if !matches!(self.inside, Inside::Nothing) || !self.input.is_empty() {
            return Err(fault(why::FRAME_ERROR, "a frame that was cut"));
        }
        match self.message.headed {
            true => self.message.finish()?,
            false => self.message.broken_off(Event::End),
        }
        Ok(())
    }
}

fn upto(bytes: &[u8], most: u64) -> (&[u8], &[u8]) {
    let n = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    bytes.split_at(n)
}
