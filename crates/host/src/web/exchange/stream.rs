//! An exchange by HTTP/2 or 3: what a stream brings becomes the same lines and pieces as those of HTTP/1.1.

use super::{Exchange, State};
use crate::web::dial::Under;
use crate::web::failure::{Failure, code};
use crate::web::h2;
use crate::web::many::{Came, Shared, Stream};
use crate::web::pipe::Pipe;
use crate::web::request::Built;
use crate::web::response::Ends;
use crate::web::session::{Connection, Kind};
use netshoot_wire::message::Event;
use netshoot_wire::{h2 as two, h3 as three};

/// The stream refused to look at the request: it may be asked again elsewhere.
pub const REFUSED: i32 = -3;

/// Asks on a connection of HTTP/2 or 3; nothing on others.
pub(super) fn begin(
    under: &mut Under<'_>,
    connection: &Connection,
    built: &Built,
    nothing: bool,
) -> Option<Stream> {
    let shared = connection.many.as_ref()?;
    for (name, value) in &built.fields {
        under.say(&format!("h2h3 [{name}: {value}]"));
    }
    let fields: Vec<(&str, &str)> = built
        .fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let stream = shared.open(&fields, nothing);
    let easy = std::ptr::from_ref(under.order) as usize;
    let by = match &stream {
        Stream::Two(_) => "",
        Stream::Three(_) => "HTTP/3 ",
    };
    under.say(&format!(
        "Using {by}Stream ID: {} (easy handle {easy:#x})",
        stream.id()
    ));
    Some(stream)
}

impl Exchange<'_, '_> {
    /// The server agreed to the change: its answer comes by HTTP/2.
    pub(super) fn change(&mut self, rest: &[u8]) -> Result<(), Failure> {
        let pipe = std::mem::replace(&mut self.connection.pipe, Pipe::Gone);
        let shared = h2::Shared::begin(pipe, Some((self.head_only, rest)));
        self.stream = Some(Stream::Two(shared.first()));
        self.connection.many = Some(Shared::Two(shared));
        self.input.clear();
        (self.sent_all, self.end_sent, self.waiting) = (true, true, None);
        self.out_at = self.out.len();
        Ok(())
    }

    /// Takes what the stream brought.
    pub(super) fn of_stream(&mut self) -> Result<bool, Failure> {
        let Some(stream) = &self.stream else {
            return Ok(false);
        };
        let (came, id, major) = (stream.next(), stream.id(), stream.major());
        if let Some(bye) = stream.goodbye()
            && !self.answer.close
        {
            self.answer.close = true;
            self.under.say(&bye);
        }
        let event = match came {
            Came::Nothing => return Ok(false),
            Came::Event(event) => event,
            Came::Broken(what) => return self.broken(what).map(|()| true),
            Came::Closed | Came::Failed(_) | Came::Ended(_) if self.old && !self.answer.spoke => {
                return Err(Failure::new(-2, "the connection was gone"));
            }
            Came::Closed => {
                let said = format!(
                    "HTTP/{major} stream {id} was not closed cleanly before end of the underlying stream"
                );
                let code = match (major, self.head.status) {
                    (3, 0) => code::HTTP3,
                    _ => code::PARTIAL,
                };
                return Err(self.under.fail(code, said));
            }
            Came::Ended(how) => {
                self.answer.close = true;
                let said = format!("QUIC connection was lost: {how}");
                return Err(self.under.fail(code::RECEIVE, said));
            }
            Came::Failed(number) => {
                let e = std::io::Error::from_raw_os_error(number);
                let said = super::receive_failed(&e);
                return Err(self.under.fail(code::RECEIVE, said));
            }
        };
        if matches!(event, Event::Head(..)) {
            self.answer.spoke = true;
        }
        if !self.began_reading {
            self.began_reading = true;
            self.under.info.times.first = self.under.at();
        }
        self.event(id, event).map(|()| true)
    }

    /// The server broke the rules of the connection.
    fn broken(&mut self, what: &str) -> Result<(), Failure> {
        self.answer.close = true;
        if self.head.many == Some(3) {
            let said = format!("HTTP/3 error: the server sent {what}");
            return Err(self.under.fail(code::HTTP3, said));
        }
        match self.head.status {
            0 => Err(self.under.fail(code::NOTHING, "Empty reply from server")),
            _ => Err(Failure::plain(code::HTTP2)),
        }
    }

    fn event(&mut self, id: u64, event: Event) -> Result<(), Failure> {
        match event {
            Event::Head(status, fields) => {
                let major = self.head.many.unwrap_or(2);
                let mut text = format!("HTTP/{major} {status} \r\n");
                for (name, value) in fields {
                    text += &format!("{name}: {value}\r\n");
                }
                text += "\r\n";
                self.heads(text.as_bytes())?;
                if self.state == State::Done && !self.no_body && self.under.order.verbose {
                    self.under.watch.show(Kind::DataIn, &[]);
                }
                Ok(())
            }
            Event::Data(bytes) => match self.state {
                State::Body(ends) => self.body(ends, &bytes),
                _ => Ok(()),
            },
            Event::Trailers(fields) => {
                for (name, value) in fields {
                    self.tell(format!("{name}: {value}\r\n").as_bytes())?;
                }
                Ok(())
            }
            Event::End => self.stream_ended(id),
            Event::Unseen if self.head.many == Some(3) => {
                self.under
                    .say("The server did not look at it, retrying a fresh connect");
                Err(Failure::new(REFUSED, "the stream was refused"))
            }
            Event::Unseen => {
                self.answer.close = true;
                Err(Failure::plain(code::HTTP2))
            }
            Event::Reset(number) => self.was_reset(id, number),
        }
    }

    fn was_reset(&mut self, id: u64, number: u64) -> Result<(), Failure> {
        if self.head.many == Some(3) {
            return self.was_cut(id, number);
        }
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let said = match number {
            two::why::REFUSED_STREAM => {
                self.under.say("REFUSED_STREAM, retrying a fresh connect");
                return Err(Failure::new(REFUSED, "the stream was refused"));
            }
            two::why::NO_ERROR => format!(
                "HTTP/2 stream {id} was closed cleanly, but before getting  all response header fields, treated as error"
            ),
            number => format!(
                "HTTP/2 stream {id} was not closed cleanly: {} (err {number})",
                two::why::name(number)
            ),
        };
        Err(self.under.fail(code::STREAM, said))
    }

    /// The same by HTTP/3.
    fn was_cut(&mut self, id: u64, number: u64) -> Result<(), Failure> {
        if number == three::why::REQUEST_REJECTED && self.head.status == 0 {
            self.under
                .say("H3_REQUEST_REJECTED, retrying a fresh connect");
            return Err(Failure::new(REFUSED, "the stream was refused"));
        }
        let name = three::why::name(number);
        let said = format!("HTTP/3 stream {id} reset by server: {name} (err {number:#x})");
        let code = match self.head.status {
            0 => code::HTTP3,
            _ => code::PARTIAL,
        };
        Err(self.under.fail(code, said))
    }

    fn stream_ended(&mut self, id: u64) -> Result<(), Failure> {
        if self.head.status == 0 && self.head.many == Some(3) {
            let said = format!(
                "HTTP/3 stream {id} was closed cleanly, but before getting all response header fields, treated as error"
            );
            return Err(self.under.fail(code::HTTP3, said));
        }
        if self.head.status == 0 {
            return Err(self.under.fail(code::NOTHING, "Empty reply from server"));
        }
        if let State::Body(Ends::After(left)) = self.state
            && left > 0
        {
            let said = format!("transfer closed with {left} bytes remaining to read");
            return Err(self.under.fail(code::PARTIAL, said));
        }
        if self.under.info.received == 0 && !self.no_body && self.under.order.verbose {
            self.under.watch.show(Kind::DataIn, &[]);
        }
        self.state = State::Done;
        Ok(())
    }
}
