//! Ends that wait for a peer.

use super::address::{Address, Kind};
use super::end::{End, Way};
use super::open::{self, fail, family, manner, shown, size, unlinked_at_the_end};
use super::secured::{self, Secured};
use super::{Failed, Plan, relay};
use netshoot_host::listening::{self, Slots};
use netshoot_host::names::{self, Hints};
use netshoot_host::{sockets, streams};
use rustls::ServerConfig;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

/// Peers served at once with `fork`, unless `max-children` says otherwise.
const CHILDREN: u32 = 256;

/// What waits for peers.
enum Waiting {
    Tcp(TcpListener, Option<Arc<ServerConfig>>),
    Unix(UnixListener, String),
}

/// Waits for one peer.
pub fn one(plan: &Plan, a: &Address) -> Result<End, String> {
    match a.kind {
        Kind::UdpListen(family) | Kind::UdpRecv(family) | Kind::UdpRecvFrom(family) => {
            datagrams(plan, a, family)
        }
        _ => {
            let waiting = begin(plan, a)?;
            let end = waiting.accept(plan)?;
            if let Waiting::Unix(_, path) = &waiting
                && a.kind == Kind::UnixListen
            {
                let _ = std::fs::remove_file(path);
            }
            waiting.finish(end)
        }
    }
}

/// Waits for peers for ever, a thread for each.
pub fn for_ever(plan: &Arc<Plan>, a: &Address, right: Vec<Address>) -> Result<i32, Failed> {
    if matches!(a.kind, Kind::UdpListen(_) | Kind::UdpRecvFrom(_)) {
        return datagrams_for_ever(plan, a, &right);
    }
    let waiting = match begin(plan, a) {
        Ok(waiting) => waiting,
        Err(why) => return fail(plan, &why),
    };
    let waiting = Arc::new(waiting);
    let most = a.option("max-children").and_then(|m| m.parse().ok());
    let busy = Arc::new(Slots::new(most.unwrap_or(CHILDREN).max(1)));
    loop {
        busy.take();
        let end = match waiting.accept(plan) {
            Ok(end) => end,
            Err(why) => return fail(plan, &why),
        };
        let (plan, right, busy, waiting) =
            (plan.clone(), right.clone(), busy.clone(), waiting.clone());
        std::thread::spawn(move || {
            match waiting.finish(end) {
                Ok(end) => {
                    let told = end.told.clone();
                    if let Ok(second) = open::open_told(&plan, &right, 1, &told) {
                        let _ = relay::relay(&plan, end, second);
                    }
                }
                Err(why) => plan.log.error(&why),
            }
            busy.give();
        });
    }
}

fn begin(plan: &Plan, a: &Address) -> Result<Waiting, String> {
    match a.kind {
        Kind::UnixListen | Kind::AbstractListen => {
            let path = a.param(0);
            if a.has("unlink-early") {
                let _ = std::fs::remove_file(path);
            }
            if a.kind == Kind::UnixListen && std::fs::symlink_metadata(path).is_ok() {
                return Err(format!("\"{path}\" exists"));
            }
            let name = open::unix_name(a)?;
            let listener = UnixListener::bind_addr(&name).map_err(|e| {
                format!(
                    "bind(5, {{AF=1 \"{}\"}}, {}): {}",
                    open::shown_name(a),
                    open::unix_length(a),
                    sockets::strerror(&e)
                )
            })?;
            if a.kind == Kind::UnixListen {
                unlinked_at_the_end(path);
                if let Some(mode) = a
                    .option("mode")
                    .and_then(|m| u32::from_str_radix(m, 8).ok())
                {
                    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
                }
            }
            plan.log.note(&format!("listening on AF=1 \"{path}\""));
            Ok(Waiting::Unix(listener, path.into()))
        }
        Kind::TcpListen(own) => Ok(Waiting::Tcp(bound(plan, a, own)?.0, None)),
        Kind::OpensslListen(own) => {
            let config = secured::server(a)?;
            Ok(Waiting::Tcp(bound(plan, a, own)?.0, Some(config)))
        }
        _ => Err(format!("{}: cannot be opened", a.word)),
    }
}

/// The address to listen at: as the original, of IPv4 unless IPv6 is asked for.
fn place(plan: &Plan, a: &Address, own: i32) -> Result<SocketAddr, String> {
    let family = match family(plan, a, own) {
        0 => libc::AF_INET,
        other => other,
    };
    let port = a.param(0);
    let kind = match a.kind {
        Kind::UdpListen(_) | Kind::UdpRecv(_) | Kind::UdpRecvFrom(_) => libc::SOCK_DGRAM,
        _ => libc::SOCK_STREAM,
    };
    let hints = Hints {
        family,
        kind,
        flags: libc::AI_PASSIVE,
    };
    let named = matches!(a.kind, Kind::UdpListen(_)) && port.parse::<u32>().is_err();
    let unknown = || format!("cannot resolve service \"{port}/17\"");
    if named && port.is_empty() {
        return Err(unknown());
    }
    open::check(a, port)?;
    let wrong = |why: String| match named {
        true => unknown(),
        false => {
            format!("getaddrinfo\"NULL\", \"{port}\", {{1,{family},{kind},0}}, {{}}): {why}")
        }
    };
    let given = match a.option("bind").filter(|b| !b.is_empty()) {
        Some(bind) => {
            let v6 = bind.contains("::") && own == 0;
            open::own(a, if v6 { libc::AF_INET6 } else { family }, port, true)?
        }
        None => None,
    };
    if let Some(given) = given {
        return Ok(given);
    }
    let found = names::resolve(None, Some(port), hints).map_err(wrong)?;
    found
        .addresses
        .first()
        .copied()
        .ok_or_else(|| wrong("no address".into()))
}

fn bound(plan: &Plan, a: &Address, own: i32) -> Result<(TcpListener, SocketAddr), String> {
    let at = place(plan, a, own)?;
    let fd = socket(a, at, false)?;
    let listener = TcpListener::from(fd);
    streams::listen(
        &listener
            .try_clone()
            .map_err(|e| sockets::strerror(&e))?
            .into(),
    )
    .map_err(|e| format!("listen(): {}", sockets::strerror(&e)))?;
    plan.log.note(&format!("listening on {}", shown(at)));
    Ok((listener, at))
}

fn socket(a: &Address, at: SocketAddr, datagram: bool) -> Result<OwnedFd, String> {
    let fd = streams::open(at, &manner(a, datagram)).map_err(|f| sockets::strerror(&f.source))?;
    if a.has("reuseaddr") {
        let _ = sockets::set(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1);
    }
    if a.has("reuseport") {
        let _ = sockets::set(&fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1);
    }
    if at.is_ipv6() {
        let only = i32::from(a.has("ipv6only"));
        let _ = sockets::set(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only);
    }
    sockets::bind(&fd, at).map_err(|e| {
        format!(
            "bind({}, {{{}}}, {}): {}",
            fd.as_raw_fd(),
            shown(at),
            size(at),
            sockets::strerror(&e)
        )
    })?;
    Ok(fd)
}

impl Waiting {
    /// The next peer, before its handshake.
    fn accept(&self, plan: &Plan) -> Result<End, String> {
        let text = |e: io::Error| format!("accept(): {}", sockets::strerror(&e));
        match self {
            Waiting::Unix(listener, path) => {
                listening::wait_readable(listener, -1);
                let (stream, _) = listener.accept().map_err(text)?;
                plan.log.note(&format!(
                    "accepting connection from AF=1 \"<anon>\" on AF=1 \"{path}\""
                ));
                stream.set_nonblocking(true).map_err(text)?;
                End::stream(stream.into()).map_err(text)
            }
            Waiting::Tcp(listener, _) => loop {
                listening::wait_readable(listener, -1);
                match listener.accept() {
                    Ok((stream, peer)) => {
                        let here = stream.local_addr().map_err(text)?;
                        plan.log.note(&format!(
                            "accepting connection from {} on {}",
                            shown(peer),
                            shown(here)
                        ));
                        stream.set_nonblocking(true).map_err(text)?;
                        let mut end = End::stream(stream.into()).map_err(text)?;
                        end.told = told(peer, here);
                        return Ok(end);
                    }
                    // Gone before it was accepted.
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) => return Err(text(e)),
                }
            },
        }
    }

    /// Its handshake, where there is one.
    fn finish(&self, mut end: End) -> Result<End, String> {
        if let (Waiting::Tcp(_, Some(config)), Some(Way::Stream(fd))) = (self, &end.read) {
            let fd = fd.try_clone().map_err(|e| sockets::strerror(&e))?;
            end.tls = Some(Box::new(Secured::accept(fd, config.clone())?));
        }
        Ok(end)
    }
}

/// What a command learns of a connection.
fn told(peer: SocketAddr, here: SocketAddr) -> Vec<(String, String)> {
    let pair = |name: &str, value: String| (format!("SOCAT_{name}"), value);
    let ip = |a: SocketAddr| match a {
        SocketAddr::V4(a) => a.ip().to_string(),
        other => shown(other)
            .trim_start_matches("AF=10 ")
            .rsplit_once(':')
            .map_or(String::new(), |p| p.0.into()),
    };
    vec![
        pair("PEERADDR", ip(peer)),
        pair("PEERPORT", peer.port().to_string()),
        pair("SOCKADDR", ip(here)),
        pair("SOCKPORT", here.port().to_string()),
    ]
}

/// The first datagram's sender is the peer; only it is heard from then on.
fn datagrams(plan: &Plan, a: &Address, own: i32) -> Result<End, String> {
    let text = |e: io::Error| sockets::strerror(&e);
    let at = place(plan, a, own)?;
    let socket = UdpSocket::from(socket(a, at, true)?);
    if matches!(a.kind, Kind::UdpRecv(_)) {
        return Ok(End {
            read: Some(Way::Datagrams(socket.into(), false)),
            ..End::default()
        });
    }
    if matches!(a.kind, Kind::UdpListen(_)) {
        plan.log.note(&format!("listening on UDP {}", shown(at)));
    }
    let peer = first(&socket).map_err(text)?;
    plan.log
        .note(&format!("accepting UDP connection from {}", shown(peer)));
    ended(a, socket, peer)
}

fn first(socket: &UdpSocket) -> io::Result<SocketAddr> {
    loop {
        listening::wait_readable(socket, -1);
        match socket.peek_from(&mut [0; 1]) {
            Ok((_, peer)) => return Ok(peer),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

fn ended(a: &Address, socket: UdpSocket, peer: SocketAddr) -> Result<End, String> {
    let text = |e: io::Error| sockets::strerror(&e);
    socket.connect(peer).map_err(text)?;
    let here = socket.local_addr().map_err(text)?;
    let one = matches!(a.kind, Kind::UdpRecvFrom(_));
    let fd = OwnedFd::from(socket);
    Ok(End {
        read: Some(Way::Datagrams(fd.try_clone().map_err(text)?, one)),
        write: Some(Way::Datagrams(fd, false)),
        told: told(peer, here),
        ..End::default()
    })
}

/// A socket for each peer: the one that heard it is connected to it, a new one waits for the next.
fn datagrams_for_ever(plan: &Arc<Plan>, a: &Address, right: &[Address]) -> Result<i32, Failed> {
    let mut a = a.clone();
    // Sockets that are connected keep the port.
    a.options.push(("reuseaddr", String::new()));
    a.options.push(("reuseport", String::new()));
    let busy = Arc::new(Slots::new(CHILDREN));
    loop {
        busy.take();
        let end = match one(plan, &a) {
            Ok(end) => end,
            Err(why) => return fail(plan, &why),
        };
        let (plan, right, busy) = (plan.clone(), right.to_vec(), busy.clone());
        std::thread::spawn(move || {
            let told = end.told.clone();
            if let Ok(second) = open::open_told(&plan, &right, 1, &told) {
                let _ = relay::relay(&plan, end, second);
            }
            busy.give();
        });
    }
}
