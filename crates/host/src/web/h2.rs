//! HTTP/2 on a connection that several transfers share, each in its own thread: one of them waits for the socket, the
//! others for what it brings them.

use super::many::Came;
use super::pipe::Pipe;
use netshoot_wire::h2::client::{Client, GoAway};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Read at once at most.
const PIECE: usize = 64 * 1024;
/// Pieces read before somebody looks at what came.
const PIECES: usize = 8;

/// A connection that speaks HTTP/2.
pub struct Shared {
    state: Mutex<State>,
}

struct State {
    pipe: Pipe,
    client: Client,
    buffer: Vec<u8>,
    /// Somebody waits for the socket.
    watched: bool,
    /// TLS may hold what the socket does not show any more.
    more: bool,
    waiting: BTreeMap<u32, Arc<Condvar>>,
    over: Option<Over>,
}

/// How the connection below ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Closed,
    Failed(i32),
}

/// One request and its response.
pub struct Stream {
    shared: Arc<Shared>,
    /// Its number.
    pub id: u32,
    wake: Arc<Condvar>,
}

impl State {
    /// Sends and reads what goes without waiting; true where something came.
    fn pump(&mut self) -> bool {
        self.push();
        let mut came = false;
        self.more = true;
        for _ in 0..PIECES {
            if self.over.is_some() || self.client.fault().is_some() {
                break;
            }
            match self.pipe.read(&mut self.buffer) {
                Ok(0) => {
                    self.more = false;
                    self.over = Some(Over::Closed);
                }
                Ok(n) => {
                    came = true;
                    let _ = self.client.take(self.buffer.get(..n).unwrap_or_default());
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.more = false;
                    break;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => self.over = Some(Over::Failed(e.raw_os_error().unwrap_or(0))),
            }
        }
        self.push();
        came
    }

    fn push(&mut self) {
        while !self.client.output().is_empty() {
            match self.pipe.write(self.client.output()) {
                Ok(n) => self.client.sent(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // What the server said before it went is still worth reading.
                Err(_) => {
                    let n = self.client.output().len();
                    self.client.sent(n);
                }
            }
        }
        let _ = self.pipe.flush();
    }

    /// Wakes those for whom something came, and all of them at the end.
    fn wake(&self) {
        let end = self.over.is_some() || !self.client.usable();
        for (id, wake) in &self.waiting {
            if end || self.client.has_event(*id) || self.client.can_send(*id) {
                wake.notify_one();
            }
        }
    }
}

impl Shared {
    /// Begins on a pipe; `upgraded` where stream 1 was asked for by HTTP/1.1, with its method and what came behind the answer.
    pub fn begin(pipe: Pipe, upgraded: Option<(bool, &[u8])>) -> Arc<Shared> {
        let client = match upgraded {
            Some((head_only, rest)) => {
                let mut client = Client::upgraded(head_only);
                let _ = client.take(rest);
                client
            }
            None => Client::begin(),
        };
        Arc::new(Shared {
            state: Mutex::new(State {
                pipe,
                client,
                buffer: vec![0; PIECE],
                watched: false,
                more: false,
                waiting: BTreeMap::new(),
                over: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another stream can be begun.
    pub fn has_room(&self) -> bool {
        self.state().client.has_room()
    }

    /// It can be used again, as far as is known without looking.
    pub fn usable(&self) -> bool {
        self.state().client.usable()
    }

    /// It can be used again: what came meanwhile was looked at.
    pub fn alive(&self) -> bool {
        let mut state = self.state();
        state.pump();
        state.wake();
        state.over.is_none() && state.client.usable()
    }

    /// The server's good-bye.
    pub fn goaway(&self) -> Option<GoAway> {
        self.state().client.goaway()
    }

    /// Begins a stream.
    pub fn open(self: &Arc<Shared>, fields: &[(&str, &str)], end: bool) -> Stream {
        let mut state = self.state();
        let id = state.client.open(fields, end);
        state.push();
        self.stream(id, state)
    }

    /// The stream that HTTP/1.1 asked for.
    pub fn first(self: &Arc<Shared>) -> Stream {
        self.stream(1, self.state())
    }

    fn stream(self: &Arc<Shared>, id: u32, mut state: MutexGuard<'_, State>) -> Stream {
        let wake = Arc::new(Condvar::new());
        state.waiting.insert(id, wake.clone());
        Stream {
            shared: self.clone(),
            id,
            wake,
        }
    }

    /// Says good-bye, where no stream is under way.
    pub fn close(&self) {
        let mut state = self.state();
        if !state.waiting.is_empty() {
            return;
        }
        if state.client.fault().is_none() {
            state.client.end();
        }
        state.push();
        state.pipe.close();
        state.over = Some(Over::Closed);
        state.wake();
    }
}

impl Stream {
    /// Sends of a body what the windows allow; so much went. 0 where nothing can go now.
    pub fn send(&self, bytes: &[u8], end: bool) -> usize {
        let mut state = self.shared.state();
        let n = state.client.send(self.id, bytes, end);
        state.push();
        n
    }

    /// What came.
    pub fn next(&self) -> Came {
        let mut state = self.shared.state();
        if !state.client.has_event(self.id) && state.pump() {
            state.wake();
        }
        if let Some(event) = state.client.event(self.id) {
            return Came::Event(event);
        }
        if let Some(fault) = state.client.fault() {
            return Came::Broken(fault.what);
        }
        match state.over {
            Some(Over::Closed) => Came::Closed,
            Some(Over::Failed(number)) => Came::Failed(number),
            None => Came::Nothing,
        }
    }

    /// The server's good-bye.
    pub fn goaway(&self) -> Option<GoAway> {
        self.shared.goaway()
    }

    /// Waits until something comes or, where something is to be sent, can go; no longer than `patience`.
    pub fn wait(&self, patience: Duration) -> io::Result<()> {
        let mut state = self.shared.state();
        if state.client.has_event(self.id) || state.over.is_some() || state.more {
            return Ok(());
        }
        if state.watched {
            let waited = self.wake.wait_timeout(state, patience);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            return Ok(());
        }
        state.watched = true;
        let (fd, write) = (state.pipe.fd(), !state.client.output().is_empty());
        // Others may want to send meanwhile.
        let patience = match state.waiting.len() {
            0 | 1 => patience,
            _ => patience.min(Duration::from_millis(50)),
        };
        drop(state);
        let waited = Pipe::wait_for(fd, true, write, patience);
        let mut state = self.shared.state();
        state.watched = false;
        if state.pump() || state.over.is_some() {
            state.wake();
        }
        // Who waits for this one's news must not wait for nobody: another takes its place.
        if let Some((_, other)) = state.waiting.iter().find(|(id, _)| **id != self.id) {
            other.notify_one();
        }
        waited.map(drop)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.waiting.remove(&self.id);
        state.client.forget(self.id);
        state.push();
        if let Some(other) = state.waiting.values().next().filter(|_| !state.watched) {
            other.notify_one();
        }
    }
}
