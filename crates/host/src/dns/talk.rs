//! One conversation with a name server, over UDP, TCP, TLS or HTTP: what the tools and the probes share.

use super::doh::Doh;
use crate::secure::{self, Own, Wish};
use crate::sockets::{self, Deadline};
use crate::tcp::Connection;
use netshoot_wire::dns::Message;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
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
    /// TCP inside TLS (RFC 7858).
    Tls(Guard),
    /// HTTP/2 inside TLS (RFC 8484).
    Https(Guard, Http),
    /// HTTP/2 as it is.
    Http(Http),
}

/// What a client asks of the other end of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// The certificate is verified: its chain, its dates, its name.
    pub verify: bool,
    /// The name in it; the server's address when `None`.
    pub name: Option<String>,
    /// A file of authorities; those of this machine when `None`.
    pub authorities: Option<PathBuf>,
    /// Own certificate and key, files.
    pub own: Option<(PathBuf, PathBuf)>,
}

impl Guard {
    /// Reads the files.
    fn wish(&self, alpn: &[u8]) -> Result<Wish, String> {
        let roots = self.authorities.as_deref().map(secure::certificates);
        let own = self.own.as_ref().map(|(c, k)| Own::read(c, k));
        Ok(Wish {
            verify: self.verify,
            alpn: vec![alpn.to_vec()],
            roots: roots.transpose()?,
            own: own.transpose()?.map(Arc::new),
            ..Wish::default()
        })
    }

    /// What is wrong with its files, if anything.
    pub fn fault(&self) -> Option<String> {
        self.wish(b"dot").err()
    }

    fn shake(
        &self,
        route: &Route,
        alpn: &[u8],
        connection: &mut Connection,
    ) -> io::Result<(ClientConnection, String)> {
        let wish = self.wish(alpn).map_err(io::Error::other)?;
        let name = self.name.clone();
        let name = name.unwrap_or_else(|| route.server.ip().to_string());
        let mut client = secure::Client::new(&wish, &name).map_err(io::Error::other)?;
        client.shake(connection).map_err(|e| {
            let seen = client.seen();
            match seen.problem.filter(|_| self.verify) {
                Some(problem) => {
                    let by_itself = seen.chain.first().is_some_and(|leaf| {
                        let own = crate::tls::certificate(leaf);
                        own.subject == own.issuer && !own.subject.is_empty()
                    });
                    io::Error::other(Untrusted(untrusted(&problem, by_itself, &name)))
                }
                None => e,
            }
        })?;
        let problem = client.seen().problem.map(|p| p.to_string());
        Ok((client.tls, problem.unwrap_or_default()))
    }
}

/// A certificate that did not verify, in OpenSSL's words.
#[derive(Clone, Copy, Debug)]
pub struct Untrusted(pub &'static str);

impl std::fmt::Display for Untrusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Untrusted {}

fn untrusted(problem: &rustls::Error, by_itself: bool, name: &str) -> &'static str {
    use rustls::CertificateError as E;
    match problem {
        rustls::Error::InvalidCertificate(e) => match e {
            E::Expired | E::ExpiredContext { .. } => "certificate has expired",
            E::NotValidYet | E::NotValidYetContext { .. } => "certificate is not yet valid",
            E::NotValidForName | E::NotValidForNameContext { .. } => {
                match name.parse::<std::net::IpAddr>() {
                    Ok(_) => "IP address mismatch",
                    Err(_) => "hostname mismatch",
                }
            }
            E::BadSignature => "certificate signature failure",
            _ if by_itself => "self-signed certificate",
            _ => "unable to get local issuer certificate",
        },
        _ => "unspecified certificate verification error",
    }
}

/// How HTTP asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// The path, `/dns-query`.
    pub path: String,
    /// The query stands in the address; else it is what is sent.
    pub get: bool,
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
    Tls(Secured),
    Https(Box<Doh<Secured>>),
    Http(Box<Doh<Connection>>),
}

type Secured = Box<StreamOwned<ClientConnection, Connection>>;

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
            Over::Tls(guard) => {
                let mut connection = crate::tcp::reach(route.server, route.source, deadline)?;
                let shaken = guard.shake(route, b"dot", &mut connection)?;
                problem = shaken.1;
                Inner::Tls(Box::new(StreamOwned::new(shaken.0, connection)))
            }
            Over::Https(guard, http) => {
                let mut connection = crate::tcp::reach(route.server, route.source, deadline)?;
                let shaken = guard.shake(route, b"h2", &mut connection)?;
                problem = shaken.1;
                let stream = Box::new(StreamOwned::new(shaken.0, connection));
                let authority = authority(route, guard.name.as_deref(), 443);
                Inner::Https(Box::new(Doh::begin(stream, http, "https", authority)?))
            }
            Over::Http(http) => {
                let connection = crate::tcp::reach(route.server, route.source, deadline)?;
                let authority = authority(route, None, 80);
                Inner::Http(Box::new(Doh::begin(connection, http, "http", authority)?))
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
            Inner::Https(doh) => doh.send(bytes),
            Inner::Http(doh) => doh.send(bytes),
        }
    }

    /// Patience begins anew.
    pub fn patience(&mut self) {
        self.deadline = Deadline::after_ms(ms(self.timeout));
        match &mut self.inner {
            Inner::Udp(_) => {}
            Inner::Tcp(stream) => stream.patience(self.deadline),
            Inner::Tls(stream) => stream.sock.patience(self.deadline),
            Inner::Https(doh) => doh.stream().sock.patience(self.deadline),
            Inner::Http(doh) => doh.stream().patience(self.deadline),
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
            Inner::Https(doh) => doh.receive(),
            Inner::Http(doh) => doh.receive(),
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

/// `HOST`, `HOST:PORT`, as a request names its server.
fn authority(route: &Route, name: Option<&str>, usual: u16) -> String {
    let host = match (name, route.server) {
        (Some(name), _) => name.to_string(),
        (None, SocketAddr::V4(a)) => a.ip().to_string(),
        (None, SocketAddr::V6(a)) => format!("[{}]", a.ip()),
    };
    match route.server.port() {
        port if port == usual => host,
        port => format!("{host}:{port}"),
    }
}
