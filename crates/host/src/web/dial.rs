//! A connection to whom the order means: names, both families, the own end, proxies and TLS on the way.

mod names;
mod shake;
pub(super) mod three;
mod under;

use super::exchange;
use super::failure::{Failure, code};
use super::h2;
use super::many::Shared;
use super::order::{Order, Version};
use super::pipe::Pipe;
use super::proxy::{self, Proxy};
use super::session::{Connection, Session};
use crate::sockets;
use netshoot_wire::web::url::Url;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub use names::{resolve, tell_names, within};
use shake::{Role, secured};
pub use under::Under;

/// A socket on its way to an address.
struct Attempt {
    fd: OwnedFd,
    to: SocketAddr,
}

fn begin(
    session: &mut Session,
    under: &mut Under<'_>,
    to: SocketAddr,
) -> Result<Option<Attempt>, Failure> {
    under.say_trying(to);
    let fd = sockets::open(
        sockets::family(to.ip()),
        libc::SOCK_STREAM,
        libc::IPPROTO_TCP,
        "TCP",
    );
    let Ok(fd) = fd else { return Ok(None) };
    if under.order.nodelay {
        let _ = sockets::set(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    }
    if let Some(idle) = under.order.keepalive {
        let seconds = i32::try_from(idle).unwrap_or(60);
        let _ = sockets::set(&fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
        let _ = sockets::set(&fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, seconds);
        let _ = sockets::set(&fd, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, seconds);
    }
    own_end(session, under, &fd, to)?;
    match sockets::connect(&fd, to) {
        Ok(()) => Ok(Some(Attempt { fd, to })),
        Err(e) => {
            under.info.errno = e.raw_os_error().unwrap_or(0);
            under.say(&format!(
                "Immediate connect fail for {}: {}",
                to.ip(),
                sockets::strerror(&e)
            ));
            Ok(None)
        }
    }
}

/// Binds to the interface, address and ports that were asked for.
fn own_end(
    session: &mut Session,
    under: &mut Under<'_>,
    fd: &OwnedFd,
    to: SocketAddr,
) -> Result<(), Failure> {
    let mut ip: Option<IpAddr> = None;
    if let Some(own) = under.order.interface.clone() {
        let (only_if, only_host) = (own.strip_prefix("if!"), own.strip_prefix("host!"));
        let name = only_if.or(only_host).unwrap_or(&own).to_string();
        // Not by /sys, which may show another network than the one that this thread is in.
        let is_link = crate::link::index(&name).is_ok();
        if let Ok(address) = name.parse::<IpAddr>() {
            ip = Some(address);
            if address.is_ipv4() == to.is_ipv4() {
                let family = if address.is_ipv4() { 2 } else { 10 };
                under.say(&format!(
                    "Name '{name}' family {family} resolved to '{address}' family {family}"
                ));
            }
        } else if is_link && only_host.is_none() {
            // Without the right for it, the address of the interface does.
            let _ = sockets::bind_to_device(fd, &name);
        } else {
            let found = match only_if {
                Some(_) => None,
                None => resolve(session, under, &name, 0, code::HOST_NAME).ok(),
            };
            let fits = found.and_then(|f| f.into_iter().find(|i| i.is_ipv4() == to.is_ipv4()));
            match fits {
                Some(address) => ip = Some(address),
                None => {
                    let what = if only_if.is_some() { "interface" } else { "" };
                    let said = match what {
                        "" => format!("Couldn't bind to '{name}'"),
                        _ => format!("Couldn't bind to interface '{name}'"),
                    };
                    return Err(under.fail(code::BIND, said));
                }
            }
        }
    }
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let (first, last) = under.order.local_ports.unwrap_or((0, 0));
    if ip.is_none() && first == 0 {
        return Ok(());
    }
    let ip = ip.unwrap_or(any);
    let mut error = io::Error::from_raw_os_error(libc::EADDRINUSE);
    for port in first..=last {
        match sockets::bind(fd, SocketAddr::new(ip, port)) {
            Ok(()) => {
                let port = sockets::local(fd).map_or(port, |a| a.port());
                under.say(&format!("Local port: {port}"));
                return Ok(());
            }
            Err(e) => {
                if port < last {
                    under.say(&format!("Bind to local port {port} failed, trying next"));
                }
                error = e;
            }
        }
    }
    let number = error.raw_os_error().unwrap_or(0);
    let said = format!(
        "bind failed with errno {number}: {}",
        sockets::strerror(&error)
    );
    Err(under.fail(code::BIND, said))
}

/// Connects to one of the addresses: the first family at once, the other some time later or when the first is through.
fn race(
    session: &mut Session,
    under: &mut Under<'_>,
    ips: &[IpAddr],
    port: u16,
    host: &str,
    zone: u32,
) -> Result<Attempt, Failure> {
    let first_v4 = ips.first().is_some_and(IpAddr::is_ipv4);
    let mut queues: [Vec<IpAddr>; 2] = [Vec::new(), Vec::new()];
    for ip in ips.iter().rev() {
        queues[usize::from(ip.is_ipv4() != first_v4)].push(*ip);
    }
    let mut open: [Option<Attempt>; 2] = [None, None];
    let began = Instant::now();
    let mut bound: Option<Failure> = None;
    let mut second = false;
    loop {
        second |= began.elapsed() >= under.order.second_family
            || (open[0].is_none() && queues[0].is_empty());
        for lane in 0..2 {
            while open[lane].is_none() && (lane == 0 || second) {
                let Some(ip) = queues[lane].pop() else { break };
                match begin(session, under, within(ip, port, zone)) {
                    Ok(attempt) => open[lane] = attempt,
                    Err(e) => bound = Some(e),
                }
            }
        }
        if open.iter().all(Option::is_none) {
            if second || queues[1].is_empty() {
                break;
            }
            continue;
        }
        let left = under.left();
        if left.is_zero() {
            return Err(match under.whole_left() {
                Some(whole) if whole.is_zero() => {
                    let said = format!("Connection timed out after {} milliseconds", under.ms());
                    under.fail(code::TIMEOUT, said)
                }
                _ => under.not_connected(code::TIMEOUT, host, port, "Timeout was reached"),
            });
        }
        if under.outrun() {
            return Err(Failure::new(three::OUTRUN, "the other way was quicker"));
        }
        let mut wait = under.turn(left);
        if !second && !queues[1].is_empty() {
            wait = wait.min(under.order.second_family.saturating_sub(began.elapsed()));
        }
        if let Some(winner) = ready(under, &mut open, wait)? {
            return Ok(winner);
        }
    }
    let why = match &bound {
        Some(_) => "Failed binding local connection end",
        None => "Couldn't connect to server",
    };
    let failure = under.not_connected(code::CONNECT, host, port, why);
    Err(bound.unwrap_or(failure))
}

fn ready(
    under: &mut Under<'_>,
    open: &mut [Option<Attempt>; 2],
    wait: Duration,
) -> Result<Option<Attempt>, Failure> {
    use std::os::fd::AsRawFd;
    let mut fds: Vec<libc::pollfd> = open
        .iter()
        .map(|a| libc::pollfd {
            fd: a.as_ref().map_or(-1, |a| a.fd.as_raw_fd()),
            events: libc::POLLOUT,
            revents: 0,
        })
        .collect();
    let polled = sockets::poll(&mut fds, wait);
    polled.map_err(|e| Failure::new(code::CONNECT, e.to_string()))?;
    if !under.watch.progress(under.info) {
        return Err(Failure::new(code::ABORTED, "Callback aborted"));
    }
    for (lane, fd) in fds.iter().enumerate() {
        if fd.revents == 0 {
            continue;
        }
        let Some(attempt) = open.get_mut(lane).and_then(Option::take) else {
            continue;
        };
        match sockets::pending(&attempt.fd) {
            None => return Ok(Some(attempt)),
            Some(e) => {
                under.info.errno = e.raw_os_error().unwrap_or(0);
                let (ip, port) = (attempt.to.ip(), attempt.to.port());
                under.say(&format!(
                    "connect to {ip} port {port} failed: {}",
                    sockets::strerror(&e)
                ));
            }
        }
    }
    Ok(None)
}

/// A pipe to a host by TCP.
pub fn tcp(
    session: &mut Session,
    under: &mut Under<'_>,
    host: &str,
    port: u16,
    what: i32,
    zone: u32,
) -> Result<(Pipe, SocketAddr, SocketAddr), Failure> {
    under.connecting = Instant::now();
    let ips = resolve(session, under, host, port, what)?;
    under.info.times.name = under.at();
    if ips.is_empty() {
        return Err(under.fail(what, format!("Could not resolve host: {host}")));
    }
    let attempt = race(session, under, &ips, port, host, zone)?;
    let own = sockets::local(&attempt.fd).unwrap_or(attempt.to);
    let stream = std::net::TcpStream::from(attempt.fd);
    Ok((Pipe::Tcp(stream), own, attempt.to))
}

fn unix(under: &mut Under<'_>, path: &str, host: &str, port: u16) -> Result<Pipe, Failure> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr as Name;
    let shown = if path.starts_with('@') { "" } else { path };
    under.say(&format!("  Trying {shown}:0..."));
    let stream = match path.strip_prefix('@') {
        Some(name) => Name::from_abstract_name(name).and_then(|n| UnixStream::connect_addr(&n)),
        None => UnixStream::connect(path),
    };
    match stream.and_then(|s| s.set_nonblocking(true).map(|()| s)) {
        Ok(stream) => Ok(Pipe::Unix(stream)),
        Err(e) => {
            under.info.errno = e.raw_os_error().unwrap_or(0);
            under.say(&format!(
                "Immediate connect fail for {shown}: {}",
                sockets::strerror(&e)
            ));
            Err(under.not_connected(code::CONNECT, host, port, "Couldn't connect to server"))
        }
    }
}

/// Where a URL leads after `--connect-to`.
pub fn elsewhere(order: &Order, url: &Url) -> Option<(Option<String>, Option<u16>)> {
    for entry in &order.connect_to {
        let parts = split_ends(entry);
        let [host, port, to_host, to_port] = parts.as_slice() else {
            continue;
        };
        let bare = |h: &str| h.trim_start_matches('[').trim_end_matches(']').to_string();
        let host_fits = host.is_empty() || bare(host).eq_ignore_ascii_case(&url.host);
        let port_fits = port.is_empty() || port.parse() == Ok(url.port());
        if host_fits && port_fits {
            let to_host = Some(bare(to_host)).filter(|h| !h.is_empty());
            return Some((to_host, to_port.parse().ok()));
        }
    }
    None
}

/// The four parts of `HOST1:PORT1:HOST2:PORT2`; colons in brackets are none.
fn split_ends(entry: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut inside = false;
    for c in entry.chars() {
        inside = (inside || c == '[') && c != ']';
        match c {
            ':' if !inside && parts.len() < 4 => parts.push(String::new()),
            c => {
                if let Some(last) = parts.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    while parts.len() < 4 {
        parts.push(String::new());
    }
    parts
}

/// Opens a connection for a URL.
pub fn open(
    session: &mut Session,
    under: &mut Under<'_>,
    url: &Url,
    key: String,
    via: &proxy::Way,
) -> Result<Connection, Failure> {
    let number = session.pool.number();
    let closing = |under: &mut Under<'_>, e: Failure| {
        if e.code >= 0 {
            under.watch.ended(under.info);
        }
        under.say(&format!("Closing connection {number}"));
        e
    };
    let result = open_numbered(session, under, url, key, via, number);
    result.map_err(|e| closing(under, e))
}

fn open_numbered(
    session: &mut Session,
    under: &mut Under<'_>,
    url: &Url,
    key: String,
    via: &proxy::Way,
    number: i64,
) -> Result<Connection, Failure> {
    let order = under.order;
    let other = elsewhere(order, url);
    let (mut host, mut port) = (url.host.clone(), url.port());
    if let Some((to_host, to_port)) = &other {
        if let Some(to) = to_host {
            under.say(&format!("Connecting to hostname: {to}"));
            host.clone_from(to);
        }
        if let Some(to) = to_port {
            under.say(&format!("Connecting to port: {to}"));
            port = *to;
        }
    }
    let mut redirected = other.as_ref().is_some_and(|o| o.0.is_some());
    let origin = (host.clone(), port, redirected);
    if let Some(alternative) = &under.alternative {
        (host, port) = (alternative.to_host.clone(), alternative.to_port);
        redirected = !host.eq_ignore_ascii_case(&url.host);
    }
    let place = place(under, url, (&host, port, redirected), number, &key);
    if let Some(connection) = three::first(session, under, &place, via)? {
        return Ok(connection);
    }
    if !three::promised(under) {
        let result = plain(session, under, &place, via, redirected);
        return three::after(under, &place, result);
    }
    let own = self::place(under, url, (&origin.0, origin.1, origin.2), number, &key);
    let result = plain(session, under, &own, via, origin.2);
    // What still may come is the alternative.
    three::after(under, &place, result)
}

fn place<'p>(
    under: &mut Under<'_>,
    url: &'p Url,
    (host, port, redirected): (&'p str, u16, bool),
    number: i64,
    key: &'p str,
) -> three::Place<'p> {
    // The zone belongs to the address that it stands with.
    let stays = host == url.host;
    let of_host = host.split_once('%').map(|h| h.1);
    let zone = match url.zone.as_deref().filter(|_| stays) {
        Some(zone) => names::zone(under, Some(zone)),
        None => names::zone(under, of_host),
    };
    three::Place {
        url,
        host,
        port,
        zone,
        number,
        key,
        named: if redirected { "(nil)" } else { &url.host },
    }
}

/// A connection by TCP or on a UNIX socket.
fn plain(
    session: &mut Session,
    under: &mut Under<'_>,
    place: &three::Place<'_>,
    via: &proxy::Way,
    redirected: bool,
) -> Result<Connection, Failure> {
    let order = under.order;
    let (url, number, key) = (place.url, place.number, place.key.to_string());
    let (host, port) = (place.host.to_string(), place.port);
    let mut made = match &order.unix {
        Some(path) => {
            let pipe = unix(under, path, &url.host, port)?;
            under.say(&format!(
                "Connected to {} ({path}) port {port} (#{number})",
                url.host
            ));
            (pipe, None)
        }
        None => {
            let first = via.first();
            let (to, to_port, what, zone) = match first {
                Some(p) => (p.host.as_str(), p.port, code::PROXY_NAME, 0),
                None => (host.as_str(), port, code::HOST_NAME, place.zone),
            };
            let (pipe, own, peer) = tcp(session, under, to, to_port, what, zone)?;
            under.info.local = Some(own);
            under.info.remote = Some(peer);
            let named = if redirected && first.is_none() {
                "(nil)"
            } else {
                to
            };
            let connected = format!(
                "Connected to {named} ({}) port {} (#{number})",
                peer.ip(),
                peer.port()
            );
            (pipe, Some((own, peer, connected)))
        }
    };
    let mut pipe = std::mem::replace(&mut made.0, Pipe::Gone);
    // SOCKS speaks before the connection counts as made.
    if let Some(socks) = &via.socks {
        let target = match &via.http {
            Some(p) => (p.host.clone(), p.port),
            None => (host.clone(), port),
        };
        proxy::socks(session, under, &mut pipe, socks, &target.0, target.1)?;
    }
    under.info.times.connect = under.at();
    under.info.connects += 1;
    if let Some((_, _, connected)) = &made.1 {
        under.say(connected);
    }
    let mut connection = Connection {
        number,
        key,
        host: if redirected && via.first().is_none() {
            "(nil)".into()
        } else {
            url.host.clone()
        },
        pipe,
        local: made.1.as_ref().map(|m| m.0),
        remote: made.1.as_ref().map(|m| m.1),
        certificates: Vec::new(),
        verify: 0,
        many: None,
        minor0: false,
    };
    let two = through(under, &mut connection, url, via, (&host, port))?;
    if two || (url.scheme == "http" && under.order.version == Version::V2 && !via.forwards()) {
        let pipe = std::mem::replace(&mut connection.pipe, Pipe::Gone);
        connection.many = Some(Shared::Two(h2::Shared::begin(pipe, None)));
    }
    Ok(connection)
}

/// The HTTP proxy and TLS, as far as they are wanted; true where TLS agreed on HTTP/2.
fn through(
    under: &mut Under<'_>,
    connection: &mut Connection,
    url: &Url,
    via: &proxy::Way,
    to: (&str, u16),
) -> Result<bool, Failure> {
    let secure = matches!(url.scheme.as_str(), "https" | "wss");
    let socket = url.scheme.starts_with("ws");
    if let Some(Proxy {
        scheme, host, port, ..
    }) = &via.http
    {
        if scheme == "https" {
            let pipe = std::mem::replace(&mut connection.pipe, Pipe::Gone);
            let (pipe, seen, _) = secured(under, pipe, host, *port, Role::Proxy)?;
            under.info.proxy_verify = seen.chain_fault.map_or(0, |f| f.0);
            connection.pipe = pipe;
            under.info.times.secure = under.at();
        }
        if via.tunnel {
            super::tunnel::tunnel(under, connection, to.0, to.1, url, via)?;
        }
    }
    if under.order.haproxy
        && let (Some(own), Some(peer)) = (connection.local, connection.remote)
    {
        let family = if own.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!(
            "PROXY {family} {} {} {} {}\r\n",
            own.ip(),
            peer.ip(),
            own.port(),
            peer.port()
        );
        exchange::send_all(under, &mut connection.pipe, line.as_bytes())?;
    }
    if !secure {
        return Ok(false);
    }
    let pipe = std::mem::replace(&mut connection.pipe, Pipe::Gone);
    let role = if socket { Role::Socket } else { Role::Host };
    let (pipe, seen, alpn) = secured(under, pipe, &url.host, url.port(), role)?;
    connection.pipe = pipe;
    connection.verify = seen.chain_fault.map_or(0, |f| f.0);
    connection.certificates = seen.chain;
    under.info.times.secure = under.at();
    match alpn.as_deref() {
        Some("h2") => under.say("using HTTP/2"),
        Some(_) if under.order.version == Version::V10 => under.say("using HTTP/1.0"),
        Some(_) => under.say("using HTTP/1.1"),
        None if under.order.tls.alpn => under.say("using HTTP/1.x"),
        None => {}
    }
    let two = alpn.as_deref() == Some("h2");
    // Who knows that it is HTTP/2 needs no agreement.
    Ok(two || (alpn.is_none() && under.order.version == Version::V2 && !under.order.tls.alpn))
}
