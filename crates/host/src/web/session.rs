//! What transfers share, what one tells, and who listens.

use super::failure::Failure;
use super::many::Shared;
use super::pipe::Pipe;
use super::pool::Pool;
use super::resume::Sessions;
use netshoot_wire::web::cookie::Jar;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What is shown with `-v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sentence.
    Text,
    /// Of the response's head.
    HeadIn,
    /// Of the request's head.
    HeadOut,
    /// Of the response's body.
    DataIn,
    /// Of the request's body.
    DataOut,
}

/// Who watches a transfer: gets what comes, gives what is sent.
pub trait Watch {
    /// Something to be shown; only where the order is verbose.
    fn show(&mut self, _kind: Kind, _bytes: &[u8]) {}
    /// A line of a head, with its line end.
    fn head(&mut self, _line: &[u8], _info: &Info) -> Result<(), Failure> {
        Ok(())
    }
    /// A piece of the body.
    fn body(&mut self, bytes: &[u8], info: &Info) -> Result<(), Failure>;
    /// Fills the buffer with what is sent; 0 at its end, `WouldBlock` when there is none now.
    fn give(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
    /// What is sent begins anew; false where it cannot.
    fn rewind(&mut self) -> bool {
        false
    }
    /// One request is through, or failed.
    fn ended(&mut self, _info: &Info) {}
    /// How far it came; false ends it.
    fn progress(&mut self, _info: &Info) -> bool {
        true
    }
}

/// Times of a transfer, from its beginning; zero for what did not happen.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Times {
    pub name: Duration,
    pub connect: Duration,
    pub secure: Duration,
    pub ready: Duration,
    pub first: Duration,
    pub total: Duration,
    pub redirect: Duration,
}

/// What a transfer tells.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Info {
    pub began: Instant,
    /// When the request that is under way began.
    pub hop: Instant,
    pub times: Times,
    pub url: String,
    pub scheme: String,
    pub method: String,
    pub status: u16,
    /// Of the proxy to CONNECT.
    pub connect_status: u16,
    /// `1.1`, `2`, `3`; `0` for none.
    pub version: &'static str,
    /// Header lines of the last response, without their ends.
    pub headers: Vec<(String, String)>,
    pub content_type: Option<String>,
    pub redirect_url: Option<String>,
    pub referer: Option<String>,
    pub redirects: u32,
    pub connects: u32,
    pub head_bytes: u64,
    pub request_bytes: u64,
    pub received: u64,
    pub sent: u64,
    /// Of the body, where it is known.
    pub wanted: Option<u64>,
    pub to_send: Option<u64>,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    /// OpenSSL's number of what is wrong with the certificate.
    pub verify: i64,
    pub proxy_verify: i64,
    /// DER, leaf first.
    pub certificates: Vec<Vec<u8>>,
    /// Of `Last-Modified`, seconds since 1970.
    pub modified: Option<i64>,
    pub retry_after: Option<i64>,
    /// A condition on the time was not met.
    pub unmet: bool,
    /// System's number of the error.
    pub errno: i32,
}

impl Default for Info {
    fn default() -> Info {
        let now = Instant::now();
        Info {
            began: now,
            hop: now,
            times: Times::default(),
            url: String::new(),
            scheme: String::new(),
            method: String::new(),
            status: 0,
            connect_status: 0,
            version: "0",
            headers: Vec::new(),
            content_type: None,
            redirect_url: None,
            referer: None,
            redirects: 0,
            connects: 0,
            head_bytes: 0,
            request_bytes: 0,
            received: 0,
            sent: 0,
            wanted: None,
            to_send: None,
            local: None,
            remote: None,
            verify: 0,
            proxy_verify: 0,
            certificates: Vec::new(),
            modified: None,
            retry_after: None,
            unmet: false,
            errno: 0,
        }
    }
}

/// A connection that stands.
pub struct Connection {
    /// Counted from 0.
    pub number: i64,
    /// Where it leads, by which way.
    pub key: String,
    /// Host that people know it by.
    pub host: String,
    pub(super) pipe: Pipe,
    /// Ends.
    pub local: Option<SocketAddr>,
    /// The other.
    pub remote: Option<SocketAddr>,
    /// What the peer presented.
    pub certificates: Vec<Vec<u8>>,
    /// OpenSSL's number for it.
    pub verify: i64,
    /// The protocol is HTTP/2 or HTTP/3: the pipe is in there.
    pub(super) many: Option<Shared>,
    /// The last answer was one of HTTP/1.0.
    pub minor0: bool,
}

/// Addresses that were found or given.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub(super) known: HashMap<(String, u16), Vec<IpAddr>>,
    pub(super) told: Vec<String>,
}

/// What transfers share.
#[derive(Default)]
pub struct Session {
    pub(super) pool: Arc<Pool>,
    /// Cookies.
    pub jar: Arc<Mutex<Jar>>,
    pub(super) names: Arc<Mutex<Names>>,
    pub(super) secured: Arc<Sessions>,
    /// Others run at the same time: a connection is begun when those before it have shown what the server can do.
    pub together: bool,
}

impl Session {
    /// A session for another thread: cookies, names and connections are the same.
    pub fn beside(&self) -> Session {
        Session {
            pool: self.pool.clone(),
            jar: self.jar.clone(),
            names: self.names.clone(),
            secured: self.secured.clone(),
            together: self.together,
        }
    }
}
