//! One conversation with a name server, over UDP, TCP or TLS: what the tools and the probes share.

use crate::sockets::{self, Deadline};
use crate::tcp::Connection;
use netshoot_wire::dns::Message;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

/// Where to ask, from where, how long.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The server.
    pub server: SocketAddr,
    /// Own address, where one is asked for; port 0 for any.
    pub source: Option<SocketAddr>,
    /// Patience for connecting, and for each message.
    pub timeout: Duration,
}

/// How.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// Datagrams.
    Udp,
    /// A stream, each message behind its length (RFC 1035, 4.2.2).
    Tcp,
    /// TCP inside TLS (RFC 7858); the name in the certificate, none for no verification.
    Tls(Option<String>),
}

/// An open conversation.
pub struct Talk {
    inner: Inner,
    timeout: Duration,
    deadline: Deadline,
    /// What a strict client would say of the server's certificate; empty for nothing.
    pub problem: String,
}

enum Inner {
    Udp(OwnedFd),
    Tcp(Connection),
    Tls(Box<StreamOwned<ClientConnection, Connection>>),
}

/// The step that failed.
#[derive(Debug)]
pub enum Failed {
    /// Nothing could be sent.
    Setup(io::Error),
    /// No reply came.
    Reply(io::Error),
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// As it came.
    pub bytes: Vec<u8>,
    /// When the query left.
    pub sent: SystemTime,
    /// From there to the reply.
    pub took: Duration,
}

fn ms(patience: Duration) -> u32 {
    u32::try_from(patience.as_millis()).unwrap_or(u32::MAX)
}

impl Talk {
    /// Opens it; over TCP the handshake has taken place.
    pub fn open(route: &Route, over: &Over) -> io::Result<Talk> {
        let deadline = Deadline::after_ms(ms(route.timeout));
        let mut problem = String::new();
        let inner = match over {
            Over::Udp => {
                let family = sockets::family(route.server.ip());
                let socket = open(family, libc::SOCK_DGRAM)?;
                sockets::want_icmp_errors(&socket, family)?;
                if let Some(source) = route.source {
                    sockets::bind(&socket, source)?;
                }
                sockets::connect(&socket, route.server)?;
                Inner::Udp(socket)
            }
            Over::Tcp => Inner::Tcp(crate::tcp::reach(route.server, route.source, deadline)?),
            Over::Tls(name) => {
                let mut connection = crate::tcp::reach(route.server, route.source, deadline)?;
                let stores = vec![crate::authorities::built_in()];
                let shown = name.clone().unwrap_or_default();
                let client = crate::tls::Client::new(&shown, route.server.ip(), stores)
                    .map_err(|e| io::Error::other(e.to_string()))?;
                let tls = client.handshake(&mut connection)?;
                problem = client.presented().1;
                Inner::Tls(Box::new(StreamOwned::new(tls, connection)))
            }
        };
        Ok(Talk {
            inner,
            timeout: route.timeout,
            deadline,
            problem,
        })
    }

    /// Sends a message; patience for the reply begins.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.patience();
        let behind_length = || {
            let len = u16::try_from(bytes.len());
            let len = len.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            Ok::<_, io::Error>([&len.to_be_bytes(), bytes].concat())
        };
        match &mut self.inner {
            Inner::Udp(socket) => sockets::send(socket, bytes).map(drop),
            Inner::Tcp(stream) => stream.write_all(&behind_length()?),
            Inner::Tls(stream) => {
                stream.write_all(&behind_length()?)?;
                stream.flush()
            }
        }
    }

    /// Patience begins anew.
    pub fn patience(&mut self) {
        self.deadline = Deadline::after_ms(ms(self.timeout));
        match &mut self.inner {
            Inner::Udp(_) => {}
            Inner::Tcp(stream) => stream.patience(self.deadline),
            Inner::Tls(stream) => stream.sock.patience(self.deadline),
        }
    }

    /// The next message.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        match &mut self.inner {
            Inner::Udp(socket) => {
                let mut buffer = vec![0u8; usize::from(u16::MAX)];
                loop {
                    sockets::wait(socket, libc::POLLIN, self.deadline)?;
                    match sockets::receive(socket, &mut buffer) {
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                        other => {
                            buffer.truncate(other?);
                            return Ok(buffer);
                        }
                    }
                }
            }
            Inner::Tcp(stream) => framed(stream),
            Inner::Tls(stream) => framed(stream),
        }
    }

    /// Sends a query and waits for the reply that `fits`; all others are let go by.
    pub fn exchange(
        &mut self,
        query: &[u8],
        mut fits: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<Reply> {
        let (sent, began) = (SystemTime::now(), Instant::now());
        self.send(query)?;
        loop {
            let bytes = self.receive()?;
            if fits(&bytes) {
                let took = began.elapsed();
                return Ok(Reply { bytes, sent, took });
            }
        }
    }
}

fn open(family: i32, kind: i32) -> io::Result<OwnedFd> {
    sockets::open(family, kind, 0, "DNS").map_err(|e| match e {
        crate::Error::System { source, .. } => source,
        other => io::Error::other(other.to_string()),
    })
}

fn framed(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut len = [0u8; 2];
    stream.read_exact(&mut len)?;
    let mut bytes = vec![0u8; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// One query, one reply: the first with the query's id.
pub fn exchange(route: &Route, over: &Over, query: &Message) -> Result<Reply, Failed> {
    let bytes = query
        .encode()
        .map_err(|e| Failed::Setup(io::Error::new(io::ErrorKind::InvalidInput, e.to_string())))?;
    let mut talk = Talk::open(route, over).map_err(Failed::Setup)?;
    let id = query.id.to_be_bytes();
    talk.exchange(&bytes, |reply| reply.starts_with(&id))
        .map_err(Failed::Reply)
}

impl AsRawFd for Talk {
    fn as_raw_fd(&self) -> i32 {
        match &self.inner {
            Inner::Udp(socket) => socket.as_raw_fd(),
            Inner::Tcp(stream) => stream.as_raw_fd(),
            Inner::Tls(stream) => stream.sock.as_raw_fd(),
        }
    }
}
