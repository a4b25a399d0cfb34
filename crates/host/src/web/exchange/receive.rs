//! The receiving half of an exchange: heads line by line, then the body, decoded and delivered.

use super::{BUFFER, Exchange, Fate, State};
use crate::web::decode::Decoder;
use crate::web::failure::{Failure, code};
use crate::web::response::{Ends, First, Head, Line, Piece, first};
use crate::web::session::Kind;

impl Exchange<'_, '_> {
    pub(super) fn not_http(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if !self.under.order.http09 {
            return Err(self
                .under
                .fail(code::UNSUPPORTED, "Received HTTP/0.9 when not allowed"));
        }
        self.under.info.version = "0.9";
        if self.no_body {
            self.answer.close = true;
            self.state = State::Done;
            return Ok(());
        }
        self.answer.close = true;
        self.state = State::Body(Ends::Closed);
        self.body(Ends::Closed, bytes)
    }

    pub(super) fn heads(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.input.extend(bytes);
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        while self.state == State::Head && !rest.is_empty() {
            if self.head.status == 0 && self.head.bytes == 0 {
                match first(rest) {
                    First::Unknown => break,
                    First::Other => {
                        let all = rest.to_vec();
                        return self.not_http(&all);
                    }
                    First::Http => {}
                }
            }
            let Some(end) = rest.iter().position(|b| *b == b'\n') else {
                if rest.len() > BUFFER {
                    let said = format!("Too large response headers: {} > {BUFFER}", rest.len());
                    return Err(self.under.fail(27, said));
                }
                break;
            };
            let (line, behind) = rest.split_at(end + 1);
            rest = behind;
            self.line(line)?;
            if self.upgrade && self.head.status == 0 && self.changed {
                return self.change(rest);
            }
        }
        match self.state {
            State::Head => self.input = rest.to_vec(),
            State::Body(ends) if !rest.is_empty() => {
                let rest = rest.to_vec();
                self.body(ends, &rest)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let ignore = self.under.order.ignore_length;
        let kind = self
            .head
            .take(line, ignore)
            .map_err(|e| self.under.fail(e.code, e.said))?;
        let info = &mut *self.under.info;
        match kind {
            Line::Status => {
                info.status = self.head.status;
                info.version = match self.head.minor {
                    _ if self.head.many == Some(3) => "3",
                    _ if self.head.many.is_some() => "2",
                    0 => "1.0",
                    _ => "1.1",
                };
                info.headers.clear();
                if self.head.many.is_none() && self.head.minor == 0 {
                    self.under.say("HTTP 1.0, assume close after body");
                }
            }
            Line::Field => {
                // The last one is new, or goes on: copying all of them each time would cost their square.
                info.headers
                    .truncate(self.head.fields.len().saturating_sub(1));
                info.headers.extend(self.head.fields.last().cloned());
                if let Some((name, kind)) = self.head.fields.last()
                    && name.eq_ignore_ascii_case("content-type")
                {
                    info.content_type = Some(kind.clone()).filter(|k| !k.is_empty());
                }
                let name = self.head.fields.last().map(|f| f.0.to_ascii_lowercase());
                if let Some((name, value)) = self.head.fields.last() {
                    (self.field)(name, value, self.under);
                    let moved =
                        name.eq_ignore_ascii_case("location") && self.head.status / 100 == 3;
                    if moved && self.under.order.follow && self.given > 0 {
                        self.under.say("Please rewind output before next send");
                    }
                }
                if name.as_deref() == Some("content-length") {
                    self.too_large()?;
                }
            }
            Line::End => return self.head_ended(line),
        }
        self.tell(line)
    }

    pub(super) fn tell(&mut self, line: &[u8]) -> Result<(), Failure> {
        if self.under.order.verbose {
            self.under.watch.show(Kind::HeadIn, line);
        }
        self.under.info.head_bytes += line.len() as u64;
        let told = self.under.watch.head(line, self.under.info);
        told.map_err(|e| self.under.fail(e.code, e.said))
    }

    fn too_large(&mut self) -> Result<(), Failure> {
        match (self.head.announced(), self.under.order.largest) {
            (Some(n), Some(most)) if most > 0 && n > most && !self.no_body => Err(self
                .under
                .fail(code::TOO_LARGE, "Maximum file size exceeded")),
            _ => Ok(()),
        }
    }

    fn head_ended(&mut self, line: &[u8]) -> Result<(), Failure> {
        let status = self.head.status;
        if status == 101 && self.upgrade && self.head.many.is_none() {
            self.under.info.head_bytes += line.len() as u64;
            self.under.watch.head(line, self.under.info)?;
            self.under.say("Received 101, Switching to HTTP/2");
            self.head = Head::of(Some(2));
            self.changed = true;
            return Ok(());
        }
        if (100..200).contains(&status) && status != 101 {
            self.under.info.head_bytes += line.len() as u64;
            let told = self.under.watch.head(line, self.under.info);
            told.map_err(|e| self.under.fail(e.code, e.said))?;
            if status == 100 {
                self.waiting = None;
            }
            self.head = Head::of(self.head.many);
            return Ok(());
        }
        let no_body = self.no_body;
        if self.head.endless(no_body) {
            self.under
                .say("no chunk, no close, no size. Assume close to signal end");
        }
        let early = !self.sent_all || self.out_at < self.out.len();
        if status == 417 && self.waiting.is_some() {
            self.under
                .say("Got HTTP failure 417 while waiting for a 100");
            self.answer.refused_expect = true;
        }
        let fate = (self.decide)(&self.head, self.under);
        match fate {
            // Said already, and the end of the head is not shown any more.
            Fate::Fail(failure) if failure.code == code::HTTP => {
                self.under.info.wanted = self.head.length();
                self.under.info.head_bytes += line.len() as u64;
                self.under.watch.head(line, self.under.info)?;
                return Err(failure);
            }
            Fate::Fail(failure) => {
                self.tell(line)?;
                return Err(self.under.fail(failure.code, failure.said));
            }
            Fate::Leave(why) => {
                self.tell(line)?;
                self.under.say(why);
                self.under.say("Simulate an HTTP 304 response");
                self.answer.close |= self.stream.is_none();
                self.state = State::Done;
                return Ok(());
            }
            _ => self.tell(line)?,
        }
        self.agreed()?;
        if early && status >= 300 {
            if !self.answer.refused_expect {
                self.under
                    .say("HTTP error before end of send, stop sending");
            }
            self.stop_sending();
        }
        self.under.info.wanted = match self.head.ends(no_body) {
            Ends::After(n) if !no_body => Some(n),
            _ if no_body => self.head.length(),
            _ => None,
        };
        self.answer.close |= self.head.closes(no_body);
        if matches!(fate, Fate::Ignore) {
            self.answer.ignored = true;
            if !no_body && self.head.ends(no_body) != Ends::After(0) {
                self.under.say("Ignoring the response-body");
            }
        }
        self.codings()?;
        let ends = match status {
            101 => Ends::Closed,
            _ => self.head.ends(no_body),
        };
        self.state = match ends {
            Ends::After(0) => State::Done,
            ends => State::Body(ends),
        };
        if self.answer.ignored && self.state == State::Body(Ends::Closed) {
            // Nobody waits for the end of what nobody wants.
            self.answer.close |= self.stream.is_none();
            self.state = State::Done;
        }
        if self.state == State::Done && !self.sent_all && status < 300 {
            // The answer came before all was sent: nobody waits for the rest.
            self.stop_sending();
        }
        Ok(())
    }

    fn stop_sending(&mut self) {
        self.sent_all = true;
        self.waiting = None;
        self.quiet_upload = true;
        let partly = self.out_at < self.out.len()
            || self.given > 0
            || self.sending.given
            || !self.sending.bytes.is_empty();
        self.answer.close |= partly && self.stream.is_none();
        self.end_sent |= partly;
        self.out_at = self.out.len();
    }

    fn codings(&mut self) -> Result<(), Failure> {
        let order = self.under.order;
        if order.raw {
            return Ok(());
        }
        let mut names: Vec<String> = Vec::new();
        if order.encoding.is_some() {
            names.extend(
                self.head
                    .all("content-encoding")
                    .flat_map(|v| v.split(',').map(String::from)),
            );
        }
        names.extend(
            self.head
                .all("transfer-encoding")
                .flat_map(|v| v.split(',').map(String::from)),
        );
        if names.len() > 5 {
            let said = "Reject response due to more than 5 content encodings";
            return Err(self.under.fail(code::ENCODING, said));
        }
        for name in names.iter().rev() {
            match Decoder::of(name) {
                Ok(decoder) => self.decoders.extend(decoder),
                // Nobody decodes a body that there is not.
                Err(_) if self.no_body || self.head.ends(self.no_body) == Ends::After(0) => {}
                Err(e) => return Err(self.under.fail(e.code, e.said)),
            }
        }
        Ok(())
    }

    pub(super) fn body(&mut self, ends: Ends, bytes: &[u8]) -> Result<(), Failure> {
        if self.under.order.verbose {
            self.under.watch.show(Kind::DataIn, bytes);
        }
        self.pace.bytes += bytes.len() as u64;
        if self.frames(bytes)? {
            return Ok(());
        }
        match ends {
            Ends::Closed => self.deliver(bytes),
            Ends::After(left) => {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (own, more) = bytes.split_at(n);
                if !more.is_empty() {
                    let size = self.under.info.wanted.unwrap_or(0);
                    self.under.say(&format!(
                        "Excess found in a read: excess = {}, size = {size}, maxdownload = {size}, bytecount = {}",
                        more.len(),
                        self.under.info.received
                    ));
                    self.answer.close = true;
                }
                self.deliver(own)?;
                let left = left - n as u64;
                self.state = match left {
                    0 => State::Done,
                    left => State::Body(Ends::After(left)),
                };
                Ok(())
            }
            Ends::Chunked if self.under.order.raw => {
                let mut chunks = std::mem::take(&mut self.chunks);
                let done = chunks.take(bytes, |_| Ok(()));
                self.chunks = chunks;
                let over = done.map_err(|e| self.under.fail(e.code, e.said))?;
                let n = bytes.len() - over.unwrap_or(0);
                self.deliver(bytes.get(..n).unwrap_or_default())?;
                if over.is_some() {
                    self.state = State::Done;
                }
                Ok(())
            }
            Ends::Chunked => self.chunked(bytes),
        }
    }

    fn chunked(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut chunks = std::mem::take(&mut self.chunks);
        let done = chunks.take(bytes, |piece| match piece {
            Piece::Data(data) => self.deliver(data),
            Piece::Trailer(line) => {
                self.under.info.head_bytes += line.len() as u64;
                self.under.watch.head(line, self.under.info)
            }
        });
        self.chunks = chunks;
        match done {
            Ok(Some(over)) => {
                if over > 0 {
                    self.under
                        .say(&format!("Leftovers after chunking: {over} bytes"));
                    self.answer.close = true;
                }
                self.state = State::Done;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(e) if e.shown => Err(e),
            Err(e) => Err(self.under.fail(e.code, e.said)),
        }
    }

    pub(super) fn deliver(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.is_empty() || self.answer.ignored {
            return Ok(());
        }
        self.under.info.received += bytes.len() as u64;
        let most = self.under.order.largest.filter(|m| *m > 0);
        if most.is_some_and(|m| self.under.info.received > m) {
            let said = format!(
                "Exceeded the maximum allowed file size ({})",
                most.unwrap_or(0)
            );
            return Err(self.under.fail(code::TOO_LARGE, said));
        }
        let mut decoders = std::mem::take(&mut self.decoders);
        let under = &mut *self.under;
        let done = feed(&mut decoders, bytes, &mut |piece| {
            under.watch.body(piece, under.info)
        });
        self.decoders = decoders;
        done.map_err(|e| match e.shown {
            true => e,
            false => self.under.fail(e.code, e.said),
        })
    }
}

type Keep<'k> = &'k mut dyn FnMut(&[u8]) -> Result<(), Failure>;

fn feed(decoders: &mut [Decoder], bytes: &[u8], keep: Keep<'_>) -> Result<(), Failure> {
    match decoders.split_first_mut() {
        None => keep(bytes),
        Some((first, rest)) => first.take(bytes, &mut |piece| feed(rest, piece, keep)),
    }
}
