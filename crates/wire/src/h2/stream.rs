//! One stream of a client: its windows, and the response it gets.

use super::why;
use crate::hpack::Field;
use crate::message::{Broken, Event, Message};

/// A stream broke the rules: one of [`why`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub u32);

impl From<Broken> for Refusal {
    fn from(_: Broken) -> Refusal {
        Refusal(why::PROTOCOL_ERROR)
    }
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    /// What the server sends.
    pub(super) got: Message,
    /// What may be sent.
    pub(super) window: i64,
    /// What the server may send.
    pub(super) room: i64,
    /// What was taken of it, and not yet given back.
    pub(super) taken: i64,
    /// We send no more.
    pub(super) sent_all: bool,
}

impl Stream {
    pub(super) fn new(window: i64, room: i64, head_only: bool, sent_all: bool) -> Stream {
        Stream {
            got: Message::new(head_only),
            window,
            room,
            taken: 0,
            sent_all,
        }
    }

    pub(super) fn closed(&self) -> bool {
        self.got.ended && self.sent_all
    }

    /// Bytes that nobody took.
    pub(super) fn waiting(&self) -> i64 {
        self.got.waiting() as i64
    }

    /// The end by force: what waits is lost, which gives so many bytes back.
    pub(super) fn cut(&mut self, by: Event) -> i64 {
        self.sent_all = true;
        self.got.cut(by) as i64
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
        self.got.data(content)?;
        if end {
            self.got.finish()?;
        }
        Ok(())
    }

    pub(super) fn fields(&mut self, fields: Vec<Field>, end: bool) -> Result<(), Refusal> {
        self.got.fields(fields)?;
        // Behind the body: nothing but fields, and the end.
        if self.got.trailed && !end {
            return Err(Refusal(why::PROTOCOL_ERROR));
        }
        if end {
            self.got.finish()?;
        }
        Ok(())
    }
}
