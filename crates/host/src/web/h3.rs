//! HTTP/3 on a connection that several transfers share, each in its own thread: one of them waits for the socket and the
//! clock, the others for what it brings them.

#[cfg(test)]
mod tests;

use super::many::Came;
use super::pipe::Pipe;
use super::quic::{Over, Quic};
use netshoot_wire::h3::peer::{Peer, Wanted};
use netshoot_wire::h3::response::Response;
use netshoot_wire::h3::{Fault, Frame, hello, kind, qpack, why};
use netshoot_wire::message::Event;
use quinn_proto::{
    ConnectionError, Dir, Event as Happened, ReadError, ReadableError, StreamEvent, StreamId,
    VarInt, WriteError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Streams at once.
const STREAMS: usize = 100;
/// Of a body in one frame, bytes.
const PIECE: usize = 32 * 1024;
/// Read at once of a stream, bytes.
const READ: usize = 256 * 1024;
/// Turns in which what came to an idle connection is looked at: a server that never stops is not waited for.
const TURNS: u32 = 64;

/// A connection that speaks HTTP/3.
pub struct Shared {
    state: Mutex<State>,
}

/// One request and its response.
struct One {
    /// None while the server allows no more streams.
    stream: Option<StreamId>,
    response: Response,
    out: Vec<u8>,
    /// The end follows on what is to be sent.
    last: bool,
    /// And was sent, or the server wants no more.
    sent_all: bool,
    readable: bool,
    wake: Arc<Condvar>,
}

struct State {
    quic: Quic,
    peer: Peer,
    streams: BTreeMap<u64, One>,
    numbers: BTreeMap<StreamId, u64>,
    next: u64,
    /// Streams of the server that brought something.
    lanes: BTreeSet<StreamId>,
    watched: bool,
    fault: Option<Fault>,
}

/// A request that is under way.
pub struct Stream {
    shared: Arc<Shared>,
    key: u64,
    wake: Arc<Condvar>,
}

fn number(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::from_u32(0))
}

/// What reading brought, and whether it was the end.
enum Read {
    More(Vec<u8>),
    End(Vec<u8>),
    Reset(u64),
}

impl State {
    fn over(&self) -> bool {
        self.quic.over.is_some() || self.fault.is_some()
    }

    fn usable(&self) -> bool {
        !self.over() && self.peer.goaway().is_none()
    }

    /// Sends and reads what goes without waiting; true where something came.
    fn pump(&mut self) -> bool {
        self.push();
        let happened = self.quic.pump();
        let came = !happened.is_empty();
        for event in happened {
            match event {
                Happened::Stream(StreamEvent::Readable { id }) => match self.numbers.get(&id) {
                    Some(key) => {
                        if let Some(one) = self.streams.get_mut(key) {
                            one.readable = true;
                        }
                    }
                    None => {
                        self.lanes.insert(id);
                    }
                },
                Happened::Stream(StreamEvent::Stopped { id, .. }) => {
                    // The server wants no more of the body; its answer may come all the same.
                    let one = self.numbers.get(&id).and_then(|k| self.streams.get_mut(k));
                    if let Some(one) = one {
                        one.out.clear();
                        one.sent_all = true;
                    }
                }
                _ => {}
            }
        }
        while let Some(id) = self.quic.connection.streams().accept(Dir::Uni) {
            self.lanes.insert(id);
        }
        for id in std::mem::take(&mut self.lanes) {
            self.lane(id);
        }
        self.push();
        came
    }

    /// What the server says of the connection.
    fn lane(&mut self, id: StreamId) {
        loop {
            let (read, more) = match self.read(id) {
                None => return,
                Some(Read::More(bytes)) => (bytes, true),
                Some(Read::End(bytes)) => (bytes, false),
                Some(Read::Reset(_)) => (Vec::new(), false),
            };
            let lane = VarInt::from(id).into_inner();
            let taken = self.peer.take(lane, &read).and_then(|wanted| match more {
                true => Ok(wanted),
                false => self.peer.end(lane).map(|()| wanted),
            });
            match taken {
                Err(fault) => return self.broke(fault),
                Ok(Wanted::Stop) if more => {
                    let unknown = number(why::STREAM_CREATION_ERROR);
                    let _ = self.quic.connection.recv_stream(id).stop(unknown);
                    return;
                }
                Ok(_) if more => {}
                Ok(_) => return,
            }
        }
    }

    /// Of one stream as much as is there; none where there is nothing.
    fn read(&mut self, id: StreamId) -> Option<Read> {
        let mut stream = self.quic.connection.recv_stream(id);
        let mut chunks = match stream.read(true) {
            Ok(chunks) => chunks,
            Err(ReadableError::ClosedStream | ReadableError::IllegalOrderedRead) => return None,
        };
        let mut bytes = Vec::new();
        let read = loop {
            let left = READ.saturating_sub(bytes.len());
            if left == 0 {
                break Some(Read::More(bytes));
            }
            match chunks.next(left) {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk.bytes),
                Ok(None) => break Some(Read::End(bytes)),
                Err(ReadError::Reset(number)) => break Some(Read::Reset(number.into_inner())),
                Err(ReadError::Blocked) => {
                    break (!bytes.is_empty()).then_some(Read::More(bytes));
                }
            }
        };
        let _ = chunks.finalize();
        read
    }

    /// The server broke the rules.
    fn broke(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
        self.quic.close(fault.number, fault.what);
    }

    /// Reads what came for a request, where all that came before was taken: more than that stays with the server.
    fn fetch(&mut self, key: u64) {
        let Some(one) = self.streams.get_mut(&key) else {
            return;
        };
        let (Some(id), true) = (one.stream, one.readable) else {
            return;
        };
        if !one.response.message.events.is_empty() {
            return;
        }
        let read = self.read(id);
        let Some(one) = self.streams.get_mut(&key) else {
            return;
        };
        let result = match read {
            None => {
                one.readable = false;
                Ok(())
            }
            Some(Read::More(bytes)) => one.response.take(&bytes),
            Some(Read::End(bytes)) => {
                one.readable = false;
                one.response.take(&bytes).and_then(|()| one.response.end())
            }
            Some(Read::Reset(number)) => {
                one.readable = false;
                one.response.message.broken_off(Event::Reset(number));
                Ok(())
            }
        };
        match result {
            Ok(()) => {}
            Err(fault) if fault.whole => self.broke(fault),
            Err(fault) => {
                one.response.message.broken_off(Event::Reset(fault.number));
                one.readable = false;
                let wrong = number(fault.number);
                let _ = self.quic.connection.recv_stream(id).stop(wrong);
            }
        }
    }

    /// Hands to the machine what is to be sent.
    fn push(&mut self) {
        if self.over() {
            return;
        }
        let State {
            quic,
            streams,
            numbers,
            ..
        } = self;
        for (key, one) in streams.iter_mut() {
            if one.stream.is_none() {
                one.stream = quic.connection.streams().open(Dir::Bi);
                if let Some(id) = one.stream {
                    numbers.insert(id, *key);
                }
            }
            let Some(id) = one.stream else { continue };
            let mut at = 0;
            while at < one.out.len() {
                let rest = one.out.get(at..).unwrap_or_default();
                match quic.connection.send_stream(id).write(rest) {
                    Ok(n) => at += n,
                    Err(WriteError::Blocked) => break,
                    Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {
                        one.sent_all = true;
                        at = one.out.len();
                    }
                }
            }
            one.out.drain(..at);
            if one.last && one.out.is_empty() && !one.sent_all {
                let _ = quic.connection.send_stream(id).finish();
                one.sent_all = true;
            }
        }
        quic.transmit();
    }

    fn has_event(&self, key: u64) -> bool {
        let one = self.streams.get(&key);
        one.is_none_or(|o| o.readable || !o.response.message.events.is_empty())
    }

    /// Wakes those for whom something came, and all of them at the end.
    fn wake(&self) {
        let end = !self.usable();
        for (key, one) in &self.streams {
            if end || self.has_event(*key) || (!one.sent_all && one.out.is_empty()) {
                one.wake.notify_one();
            }
        }
    }
}

impl Shared {
    /// Begins on a connection whose handshake is through.
    pub fn begin(quic: Quic) -> Arc<Shared> {
        let mut state = State {
            quic,
            peer: Peer::default(),
            streams: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next: 0,
            lanes: BTreeSet::new(),
            watched: false,
            fault: None,
        };
        let control = state.quic.connection.streams().open(Dir::Uni);
        if let Some(id) = control {
            let _ = state.quic.connection.send_stream(id).write(&hello());
        }
        state.quic.transmit();
        Arc::new(Shared {
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another stream can be begun.
    pub fn has_room(&self) -> bool {
        let state = self.state();
        state.usable() && state.streams.len() < STREAMS
    }

    /// It can be used again, as far as is known without looking.
    pub fn usable(&self) -> bool {
        self.state().usable()
    }

    /// It can be used again: what came meanwhile was looked at.
    pub fn alive(&self) -> bool {
        let mut state = self.state();
        for _ in 0..TURNS {
            if !state.pump() {
                break;
            }
        }
        state.wake();
        state.usable()
    }

    /// The server said good-bye: the first request that it does not look at.
    pub fn goaway(&self) -> Option<u64> {
        self.state().peer.goaway()
    }

    /// Begins a stream.
    pub fn open(self: &Arc<Shared>, fields: &[(&str, &str)], end: bool) -> Stream {
        let mut state = self.state();
        let key = state.next;
        state.next += 1;
        let head_only = fields.contains(&(":method", "HEAD"));
        let wake = Arc::new(Condvar::new());
        let one = One {
            stream: None,
            response: Response::new(head_only),
            out: Frame::new(kind::HEADERS, qpack::encode(fields)).encode(),
            last: end,
            sent_all: false,
            readable: true,
            wake: wake.clone(),
        };
        state.streams.insert(key, one);
        state.push();
        Stream {
            shared: self.clone(),
            key,
            wake,
        }
    }

    /// Says good-bye, where no stream is under way.
    pub fn close(&self) {
        let mut state = self.state();
        if state.streams.is_empty() {
            state.quic.close(why::NO_ERROR, "");
        }
    }
}

impl Stream {
    /// Its number, as long as every stream before it was really begun.
    pub fn id(&self) -> u64 {
        let state = self.shared.state();
        let known = state.streams.get(&self.key).and_then(|o| o.stream);
        known.map_or(self.key * 4, |id| VarInt::from(id).into_inner())
    }

    /// Sends of a body what can be sent; so much went. 0 where nothing can go now.
    pub fn send(&self, bytes: &[u8], end: bool) -> usize {
        let mut state = self.shared.state();
        state.push();
        let over = state.over();
        let Some(one) = state.streams.get_mut(&self.key) else {
            return bytes.len();
        };
        if one.sent_all || over {
            return bytes.len();
        }
        if !one.out.is_empty() {
            return 0;
        }
        let n = bytes.len().min(PIECE);
        if n > 0 {
            let piece = bytes.get(..n).unwrap_or_default();
            one.out = Frame::new(kind::DATA, piece).encode();
        }
        one.last |= end && n == bytes.len();
        state.push();
        n
    }

    /// What came.
    pub fn next(&self) -> Came {
        let mut state = self.shared.state();
        state.fetch(self.key);
        if !state.has_event(self.key) && state.pump() {
            state.fetch(self.key);
            state.wake();
        }
        // What is taken gives the server room for more.
        state.quic.transmit();
        let id = state.streams.get(&self.key).and_then(|o| o.stream);
        let event = state
            .streams
            .get_mut(&self.key)
            .and_then(|o| o.response.event());
        if let Some(event) = event {
            return Came::Event(event);
        }
        if let Some(fault) = state.fault {
            return Came::Broken(fault.what);
        }
        let id = id.map(|id| VarInt::from(id).into_inner());
        let unseen = state
            .peer
            .goaway()
            .is_some_and(|first| id.is_none_or(|id| id >= first));
        match &state.quic.over {
            None if unseen => Came::Event(Event::Unseen),
            None => Came::Nothing,
            Some(Over::Failed(number)) => Came::Failed(*number),
            Some(Over::Lost(why)) => ended(why),
        }
    }

    /// Waits until something comes or, where something is to be sent, can go; no longer than `patience`.
    pub fn wait(&self, patience: Duration) -> io::Result<()> {
        let mut state = self.shared.state();
        if state.has_event(self.key) || state.over() {
            return Ok(());
        }
        if state.watched {
            let waited = self.wake.wait_timeout(state, patience);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            return Ok(());
        }
        state.watched = true;
        let (fd, write) = (state.quic.fd(), state.quic.blocked());
        // Others may want to send meanwhile.
        let mut patience = match state.streams.len() {
            0 | 1 => patience,
            _ => patience.min(Duration::from_millis(50)),
        };
        if let Some(rest) = state.quic.rest() {
            patience = patience.min(rest.max(Duration::from_micros(100)));
        }
        drop(state);
        let waited = Pipe::wait_for(fd, true, write, patience);
        let mut state = self.shared.state();
        state.watched = false;
        state.pump();
        state.wake();
        // Who waits for this one's news must not wait for nobody: another takes its place.
        if let Some((_, other)) = state.streams.iter().find(|(key, _)| **key != self.key) {
            other.wake.notify_one();
        }
        waited.map(drop)
    }

    /// The server's good-bye.
    pub fn goaway(&self) -> Option<u64> {
        self.shared.goaway()
    }
}

/// A connection that ended, in words.
fn ended(why: &ConnectionError) -> Came {
    match why {
        ConnectionError::ApplicationClosed(close)
            if close.error_code.into_inner() == self::why::NO_ERROR =>
        {
            Came::Closed
        }
        ConnectionError::ApplicationClosed(close) => {
            let number = close.error_code.into_inner();
            let name = self::why::name(number);
            Came::Ended(format!("the server closed it: {name} (err {number})"))
        }
        ConnectionError::TimedOut => Came::Ended("nothing was heard any more".into()),
        other => Came::Ended(other.to_string()),
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Some(one) = state.streams.remove(&self.key)
            && let Some(id) = one.stream
        {
            state.numbers.remove(&id);
            let cancelled = number(why::REQUEST_CANCELLED);
            if !one.sent_all {
                let _ = state.quic.connection.send_stream(id).reset(cancelled);
            }
            if !one.response.message.ended {
                let _ = state.quic.connection.recv_stream(id).stop(cancelled);
            }
        }
        state.push();
        state.quic.transmit();
        let other = state.streams.values().next().filter(|_| !state.watched);
        if let Some(other) = other {
            other.wake.notify_one();
        }
    }
}
