//! A connection that several transfers share, by HTTP/2 or by HTTP/3: what an exchange needs of it.

use super::{h2, h3};
use netshoot_wire::message::Event;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What a stream brings.
#[derive(Debug)]
pub enum Came {
    /// Nothing yet.
    Nothing,
    /// This.
    Event(Event),
    /// The connection was closed.
    Closed,
    /// It ended otherwise: how.
    Ended(String),
    /// It failed: the system's number of the error.
    Failed(i32),
    /// The server broke the rules: what it did.
    Broken(&'static str),
}

/// The connection.
#[derive(Clone)]
pub enum Shared {
    /// By HTTP/2.
    Two(Arc<h2::Shared>),
    /// By HTTP/3.
    Three(Arc<h3::Shared>),
}

/// One request and its response.
pub enum Stream {
    /// By HTTP/2.
    Two(h2::Stream),
    /// By HTTP/3.
    Three(h3::Stream),
}

impl Shared {
    /// Which version.
    pub fn major(&self) -> u8 {
        match self {
            Shared::Two(_) => 2,
            Shared::Three(_) => 3,
        }
    }

    /// Another stream can be begun.
    pub fn has_room(&self) -> bool {
        match self {
            Shared::Two(s) => s.has_room(),
            Shared::Three(s) => s.has_room(),
        }
    }

    /// It can be used again, as far as is known without looking.
    pub fn usable(&self) -> bool {
        match self {
            Shared::Two(s) => s.usable(),
            Shared::Three(s) => s.usable(),
        }
    }

    /// It can be used again: what came meanwhile was looked at.
    pub fn alive(&self) -> bool {
        match self {
            Shared::Two(s) => s.alive(),
            Shared::Three(s) => s.alive(),
        }
    }

    /// Begins a stream.
    pub fn open(&self, fields: &[(&str, &str)], end: bool) -> Stream {
        match self {
            Shared::Two(s) => Stream::Two(s.open(fields, end)),
            Shared::Three(s) => Stream::Three(s.open(fields, end)),
        }
    }

    /// Says good-bye, where no stream is under way.
    pub fn close(&self) {
        match self {
            Shared::Two(s) => s.close(),
            Shared::Three(s) => s.close(),
        }
    }
}

impl Stream {
    /// Which version.
    pub fn major(&self) -> u8 {
        match self {
            Stream::Two(_) => 2,
            Stream::Three(_) => 3,
        }
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        match self {
            Stream::Two(s) => u64::from(s.id),
            Stream::Three(s) => s.id(),
        }
    }

    /// Sends of a body what the windows allow; so much went. 0 where nothing can go now.
    pub fn send(&self, bytes: &[u8], end: bool) -> usize {
        match self {
            Stream::Two(s) => s.send(bytes, end),
            Stream::Three(s) => s.send(bytes, end),
        }
    }

    /// What came.
    pub fn next(&self) -> Came {
        match self {
            Stream::Two(s) => s.next(),
            Stream::Three(s) => s.next(),
        }
    }

    /// Waits until something comes or, where something is to be sent, can go; no longer than `patience`.
    pub fn wait(&self, patience: Duration) -> io::Result<()> {
        match self {
            Stream::Two(s) => s.wait(patience),
            Stream::Three(s) => s.wait(patience),
        }
    }

    /// The server's good-bye, in words.
    pub fn goodbye(&self) -> Option<String> {
        match self {
            // As the original spells it.
            Stream::Two(s) => s.goaway().map(|bye| {
                let (number, last) = (bye.number, bye.last);
                format!("recveived GOAWAY, error={number}, last_stream={last}")
            }),
            Stream::Three(s) => s
                .goaway()
                .map(|first| format!("received GOAWAY, first_unseen_stream={first}")),
        }
    }
}
