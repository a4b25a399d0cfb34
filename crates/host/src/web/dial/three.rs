//! HTTP/3: QUIC to one of the addresses, and TCP beside it where an older version does as well.

use super::shake::named;
use super::{Under, own_end, proxy, resolve, within};
use crate::sockets;
use crate::web::failure::{Failure, code};
use crate::web::h3;
use crate::web::many::Shared;
use crate::web::order::Version;
use crate::web::pipe::Pipe;
use crate::web::quic::{self, Over, Quic};
use crate::web::secure::{self, Verifier};
use crate::web::session::{Connection, Session};
use netshoot_wire::web::alternatives::Protocol;
use netshoot_wire::web::url::Url;
use quinn_proto::ConnectionError;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// TCP is given up: QUIC was there first.
pub const OUTRUN: i32 = -5;
const OLDER: &str = "HTTP/3 is not to be had, trying older versions";
const SILENT: &str = "HTTP/3 has not answered yet, an older version was quicker";
/// How long QUIC's thread sleeps at most before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Where a connection leads.
pub struct Place<'a> {
    /// What was asked for.
    pub url: &'a Url,
    /// Where that is, after `--connect-to`.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// The number of the interface that it is meant at.
    pub zone: u32,
    /// The number of the connection.
    pub number: i64,
    /// What it is known by.
    pub key: &'a str,
    /// As people are told.
    pub named: &'a str,
}

/// Why there is no connection by QUIC.
enum Why {
    /// Certificate and handshake.
    Lost(ConnectionError),
    /// The socket: the system's number.
    Failed(i32),
    /// The machine would not begin.
    Said(String),
}

enum News {
    Trying(SocketAddr),
    Failed(SocketAddr, String),
    Made(Box<Quic>, SocketAddr),
    /// The last address failed, too.
    None(Why),
}

/// A handshake by QUIC in a thread of its own.
pub struct Rival {
    news: Receiver<News>,
    wanted: Arc<AtomicBool>,
    verifier: Arc<Verifier>,
    outcome: Option<Result<(Box<Quic>, SocketAddr), Why>>,
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
    }
}

impl Rival {
    fn heard(&mut self, under: &mut Under<'_>, news: News) {
        match news {
            News::Trying(to) => under.say_trying(to),
            News::Failed(to, why) => under.say(&format!(
                "QUIC connect to {} port {} failed: {why}",
                to.ip(),
                to.port()
            )),
            News::Made(quic, to) => self.outcome = Some(Ok((quic, to))),
            News::None(why) => self.outcome = Some(Err(why)),
        }
    }

    /// Whether it is there; what it tells is said.
    pub fn won(&mut self, under: &mut Under<'_>) -> bool {
        while self.outcome.is_none() {
            match self.news.try_recv() {
                Ok(news) => self.heard(under, news),
                Err(_) => break,
            }
        }
        matches!(self.outcome, Some(Ok(_)))
    }

    /// Waits for its outcome, not longer than the connection may take nor than `most`.
    fn wait(&mut self, under: &mut Under<'_>, most: Option<Duration>) -> Result<(), Failure> {
        let began = Instant::now();
        while self.outcome.is_none() {
            let mut left = under.left();
            if left.is_zero() {
                return Ok(());
            }
            if let Some(most) = most {
                left = left.min(most.saturating_sub(began.elapsed()));
                if left.is_zero() {
                    return Ok(());
                }
            }
            match self.news.recv_timeout(left.min(Duration::from_millis(100))) {
                Ok(news) => self.heard(under, news),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let said = "the handshake's thread is gone".to_string();
                    self.outcome = Some(Err(Why::Said(said)));
                }
            }
            if !under.watch.progress(under.info) {
                return Err(Failure::new(code::ABORTED, "Callback aborted"));
            }
        }
        Ok(())
    }
}

/// Whether HTTP/3 is tried, or why it cannot be.
fn tried(under: &mut Under<'_>, url: &Url, via: &proxy::Way) -> Result<bool, Failure> {
    let order = under.order;
    let only = match order.version {
        // Chosen because HTTP/3 can be spoken here.
        _ if promised(under) => return Ok(true),
        Version::V3 => false,
        Version::V3Only => true,
        _ => return Ok(false),
    };
    let (number, what) = if url.scheme != "https" {
        (code::URL, "HTTP/3 requested for non-HTTPS URL")
    } else if order.unix.is_some() {
        let what = "HTTP/3 is not supported over a UNIX domain socket";
        (code::QUIC, what)
    } else if via.socks.is_some() {
        (code::URL, "HTTP/3 is not supported over a SOCKS proxy")
    } else if via.http.is_some() {
        (code::URL, "HTTP/3 is not supported over a HTTP proxy")
    } else if order.tls.most < 13 {
        (code::TLS, "QUIC needs at least TLS version 1.3")
    } else {
        return Ok(true);
    };
    match only {
        true => Err(under.fail(number, what)),
        false => Ok(false),
    }
}

/// The origin said that HTTP/3 is spoken there: nothing else is, and where it does not answer the origin itself is asked.
pub fn promised(under: &Under<'_>) -> bool {
    let instead = under.alternative.as_ref();
    instead.is_some_and(|o| o.to == Protocol::Three)
}

/// Tries HTTP/3, where it is wanted: a connection, an error, or nothing where TCP is to be tried as well.
pub fn first(
    session: &mut Session,
    under: &mut Under<'_>,
    place: &Place<'_>,
    via: &proxy::Way,
) -> Result<Option<Connection>, Failure> {
    if !tried(under, place.url, via)? {
        return Ok(None);
    }
    let only = under.order.version == Version::V3Only;
    under.connecting = Instant::now();
    let mut rival = match begin(session, under, place) {
        Err(e) if only || !promised(under) || e.code == code::ABORTED => return Err(e),
        Err(_) => {
            under.say(OLDER);
            return Ok(None);
        }
        Ok(rival) => rival,
    };
    rival.wait(under, (!only).then_some(under.order.second_family))?;
    match rival.outcome.take() {
        Some(Ok((quic, to))) => made(under, place, &rival.verifier, *quic, to).map(Some),
        Some(Err(why)) if only => Err(failed(under, place, &rival.verifier, &why)),
        None if only => {
            Err(under.not_connected(code::TIMEOUT, place.host, place.port, "Timeout was reached"))
        }
        Some(Err(_)) => {
            under.say(OLDER);
            Ok(None)
        }
        None => {
            under.rival = Some(rival);
            Ok(None)
        }
    }
}

/// What TCP came to: where that is nothing, HTTP/3 may still come.
pub fn after(
    under: &mut Under<'_>,
    place: &Place<'_>,
    result: Result<Connection, Failure>,
) -> Result<Connection, Failure> {
    let Some(mut rival) = under.rival.take() else {
        return result;
    };
    match result {
        Ok(connection) => {
            under.say(SILENT);
            Ok(connection)
        }
        Err(e) if e.code == code::ABORTED => Err(e),
        Err(e) => {
            rival.wait(under, None)?;
            match rival.outcome.take() {
                Some(Ok((quic, to))) => made(under, place, &rival.verifier, *quic, to),
                _ => Err(e),
            }
        }
    }
}

fn begin(
    session: &mut Session,
    under: &mut Under<'_>,
    place: &Place<'_>,
) -> Result<Rival, Failure> {
    let ips = resolve(session, under, place.host, place.port, code::HOST_NAME)?;
    under.info.times.name = under.at();
    if ips.is_empty() {
        let said = format!("Could not resolve host: {}", place.host);
        return Err(under.fail(code::HOST_NAME, said));
    }
    let mut tls = under.order.tls.clone();
    tls.least = 13;
    let prepared = match secure::prepare(&tls, &["h3"]) {
        Ok(prepared) => prepared,
        Err(e) => {
            under.say(&e.said);
            return Err(e);
        }
    };
    for line in &prepared.shown {
        under.say(line);
    }
    let mut ends = Vec::new();
    for ip in alternating(&ips) {
        let to = within(ip, place.port, place.zone);
        let Ok(fd) = quic::socket(to) else { continue };
        own_end(session, under, &fd, to)?;
        ends.push((fd, to));
    }
    let host = place.url.host.trim_end_matches('.');
    let name = match rustls::pki_types::ServerName::try_from(host.to_string()) {
        Ok(_) => host.to_string(),
        // What is no name cannot be in a certificate either.
        Err(_) => "0.0.0.0".into(),
    };
    let (teller, news) = mpsc::channel();
    let wanted = Arc::new(AtomicBool::new(true));
    let shaking = Shaking {
        ends,
        name,
        tls: prepared.config,
        second: under.order.second_family,
        until: Instant::now() + under.left(),
        wanted: wanted.clone(),
        teller,
    };
    // A new thread stands in the namespace of the one that began it.
    std::thread::spawn(move || shaking.run());
    Ok(Rival {
        news,
        wanted,
        verifier: prepared.verifier,
        outcome: None,
    })
}

/// The families by turns, the first one first.
fn alternating(ips: &[IpAddr]) -> Vec<IpAddr> {
    let first = ips.first().is_some_and(IpAddr::is_ipv4);
    let (own, other): (Vec<IpAddr>, Vec<IpAddr>) = ips.iter().partition(|i| i.is_ipv4() == first);
    let mut all = Vec::new();
    for at in 0..own.len().max(other.len()) {
        all.extend(own.get(at));
        all.extend(other.get(at));
    }
    all
}

/// The handshake: the first address at once, each further one some time later or when those before it failed.
struct Shaking {
    ends: Vec<(OwnedFd, SocketAddr)>,
    name: String,
    tls: Arc<rustls::ClientConfig>,
    second: Duration,
    until: Instant,
    wanted: Arc<AtomicBool>,
    teller: Sender<News>,
}

impl Shaking {
    fn run(mut self) {
        self.ends.reverse();
        let mut open: Vec<(Quic, SocketAddr)> = Vec::new();
        let mut last = Why::Failed(libc::ENETUNREACH);
        let mut begun: Option<Instant> = None;
        while self.wanted.load(Ordering::Relaxed) && Instant::now() < self.until {
            let due = open.is_empty() || begun.is_none_or(|at| at.elapsed() >= self.second);
            if due && let Some((fd, to)) = self.ends.pop() {
                begun = Some(Instant::now());
                let _ = self.teller.send(News::Trying(to));
                match self.attempt(fd, to) {
                    Ok(quic) => open.push((quic, to)),
                    Err(why) => last = self.lost(to, why),
                }
                continue;
            }
            if open.is_empty() {
                let _ = self.teller.send(News::None(last));
                return;
            }
            wait(&mut open);
            for at in (0..open.len()).rev() {
                let Some((quic, to)) = open.get_mut(at) else {
                    continue;
                };
                quic.pump();
                let (to, connected, over) = (*to, quic.connected, quic.over.clone());
                if let Some(over) = over {
                    open.remove(at);
                    last = self.lost(
                        to,
                        match over {
                            Over::Lost(why) => Why::Lost(why),
                            Over::Failed(number) => Why::Failed(number),
                        },
                    );
                } else if connected {
                    let (quic, to) = open.remove(at);
                    let _ = self.teller.send(News::Made(Box::new(quic), to));
                    return;
                }
            }
        }
    }

    fn attempt(&self, fd: OwnedFd, to: SocketAddr) -> Result<Quic, Why> {
        sockets::connect(&fd, to).map_err(|e| Why::Failed(e.raw_os_error().unwrap_or(0)))?;
        let mut quic = Quic::begin(fd, to, self.tls.clone(), &self.name).map_err(Why::Said)?;
        quic.transmit();
        Ok(quic)
    }

    fn lost(&self, to: SocketAddr, why: Why) -> Why {
        let words = match &why {
            Why::Lost(why) => why.to_string(),
            Why::Failed(number) => sockets::strerror(&std::io::Error::from_raw_os_error(*number)),
            Why::Said(said) => said.clone(),
        };
        let _ = self.teller.send(News::Failed(to, words));
        why
    }
}

/// Waits for the sockets and the clocks of the attempts.
fn wait(open: &mut [(Quic, SocketAddr)]) {
    let mut patience = LOOK;
    let mut fds = Vec::new();
    for (quic, _) in open.iter_mut() {
        if let Some(rest) = quic.rest() {
            patience = patience.min(rest.max(Duration::from_micros(100)));
        }
        let write = if quic.blocked() { libc::POLLOUT } else { 0 };
        fds.push(libc::pollfd {
            fd: quic.fd(),
            events: libc::POLLIN | write,
            revents: 0,
        });
    }
    let _ = sockets::poll(&mut fds, patience);
}

/// What the handshake failed with.
fn failed(under: &mut Under<'_>, place: &Place<'_>, verifier: &Verifier, why: &Why) -> Failure {
    if let (Some((number, words)), true) = (verifier.seen().chain_fault, under.order.tls.verify) {
        under.info.verify = number;
        return under.fail(code::UNTRUSTED, format!("SSL certificate problem: {words}"));
    }
    let (number, words) = match why {
        Why::Failed(number) => {
            under.info.errno = *number;
            (code::CONNECT, "Couldn't connect to server".to_string())
        }
        Why::Lost(ConnectionError::TimedOut) => (code::TIMEOUT, "Timeout was reached".into()),
        Why::Lost(_) => (code::QUIC, "QUIC connection error".into()),
        Why::Said(said) => (code::QUIC, said.clone()),
    };
    under.not_connected(number, place.host, place.port, &words)
}

fn made(
    under: &mut Under<'_>,
    place: &Place<'_>,
    verifier: &Verifier,
    quic: Quic,
    to: SocketAddr,
) -> Result<Connection, Failure> {
    let own = quic.local().unwrap_or(to);
    let (seen, tls) = (verifier.seen(), &under.order.tls);
    under.info.local = Some(own);
    under.info.remote = Some(to);
    under.info.times.connect = under.at();
    under.info.times.secure = under.at();
    under.info.connects += 1;
    let leaf = seen.chain.first().map_or(&[][..], Vec::as_slice);
    let refused = |e: Failure, mut quic: Quic| {
        // The server is told no reason: that its certificate is not taken is for the person who asked.
        quic.close(netshoot_wire::h3::why::NO_ERROR, "");
        Err(e)
    };
    if let Err(e) = named(under, leaf, &seen, tls.verify, &place.url.host) {
        return refused(e, quic);
    }
    if let Some(pinned) = &tls.pinned
        && let Err(said) = crate::web::local::pinned(pinned, leaf)
    {
        let e = under.fail(code::PINNED, said);
        return refused(e, quic);
    }
    match seen.chain_fault {
        None => under.say("Verified certificate just fine"),
        Some((number, words)) => under.say(&format!(
            " SSL certificate verify result: {words} ({number}), continuing anyway."
        )),
    }
    under.say(&format!(
        "Connected to {} ({}) port {} (#{})",
        place.named,
        to.ip(),
        to.port(),
        place.number
    ));
    under.say("using HTTP/3");
    Ok(Connection {
        number: place.number,
        key: place.key.to_string(),
        host: place.named.to_string(),
        pipe: Pipe::Gone,
        local: Some(own),
        remote: Some(to),
        certificates: seen.chain.clone(),
        verify: seen.chain_fault.map_or(0, |f| f.0),
        many: Some(Shared::Three(h3::Shared::begin(quic))),
        minor0: false,
    })
}
