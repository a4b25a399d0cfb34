//! Through a proxy: SOCKS 4, SOCKS 5 (RFC 1928), CONNECT of HTTP (RFC 9110).

use super::plan::{Plan, Proxy};
use super::{Stop, words};
use netshoot_host::names::{self, Hints};
use netshoot_host::sockets::{self, Deadline};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// Longest line that a proxy may answer with.
const LONGEST: usize = 1024;

fn said<T>(text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Said(text.into()))
}

/// Asks the proxy behind `fd` for a way to the host.
pub fn through(plan: &Plan, fd: &OwnedFd, host: &str, port: u16) -> Result<(), Stop> {
    match plan.proxy_kind {
        Proxy::Socks5 => socks5(plan, fd, host, port),
        Proxy::Socks4 => socks4(plan, fd, host, port),
        Proxy::Connect => connect(fd, host, port),
    }
}

fn send(fd: &OwnedFd, bytes: &[u8]) -> Result<(), Stop> {
    match sockets::send(fd, bytes) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => said("write failed: too little was taken"),
        Err(e) => said(format!("write failed: {}", words(&e))),
    }
}

/// Reads exactly so many bytes: what follows belongs to the connection.
fn take(fd: &OwnedFd, count: usize) -> Result<Vec<u8>, Stop> {
    let mut all = Vec::with_capacity(count);
    let mut byte = vec![0; count];
    while all.len() < count {
        let room = byte.get_mut(all.len()..).unwrap_or_default();
        match sockets::receive(fd, room) {
            Ok(0) => return said("read failed (0/0): Broken pipe"),
            Ok(n) => all.extend(room.iter().copied().take(n)),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                sockets::wait(fd, libc::POLLIN, Deadline::after_ms(u32::MAX))?;
            }
            Err(e) => return said(format!("read failed: {}", words(&e))),
        }
    }
    Ok(all)
}

fn socks5(plan: &Plan, fd: &OwnedFd, host: &str, port: u16) -> Result<(), Stop> {
    send(fd, &[5, 1, 0])?;
    match take(fd, 2)?.as_slice() {
        [5, 0] => {}
        [5, _] => return said("authentication method negotiation failed"),
        _ => return said("unexpected reply from the proxy"),
    }
    let hints = Hints {
        family: plan.family,
        kind: libc::SOCK_STREAM,
        flags: libc::AI_NUMERICHOST,
    };
    let found = names::resolve(Some(host), None, hints).unwrap_or_default();
    let mut request = vec![5, 1, 0];
    match found.addresses.first().map(SocketAddr::ip) {
        Some(IpAddr::V4(a)) => {
            request.push(1);
            request.extend(a.octets());
        }
        Some(IpAddr::V6(a)) => {
            request.push(4);
            request.extend(a.octets());
        }
        None => {
            let Ok(length) = u8::try_from(host.len()) else {
                return said("hostname too long");
            };
            request.extend([3, length]);
            request.extend(host.bytes());
        }
    }
    request.extend(port.to_be_bytes());
    send(fd, &request)?;
    let head = take(fd, 4)?;
    let failed = match head.get(1) {
        Some(0) => None,
        Some(1) => Some("General proxy server failure"),
        Some(2) => Some("Connection not allowed by ruleset"),
        Some(3) => Some("Network unreachable"),
        Some(4) => Some("Host unreachable"),
        Some(5) => Some("Connection refused"),
        Some(6) => Some("TTL expired"),
        Some(7) => Some("Command not supported"),
        Some(8) => Some("Address type not supported"),
        _ => Some("Unknown SOCKS error"),
    };
    if let Some(failed) = failed {
        return said(format!("connection failed, SOCKSv5 error: {failed}"));
    }
    let address = match head.get(3) {
        Some(1) => 4,
        Some(4) => 16,
        _ => return said("connection failed, unsupported address type"),
    };
    take(fd, address + 2).map(|_| ())
}

fn socks4(_: &Plan, fd: &OwnedFd, host: &str, port: u16) -> Result<(), Stop> {
    let hints = Hints {
        family: libc::AF_INET,
        kind: libc::SOCK_STREAM,
        flags: 0,
    };
    let found = match names::resolve(Some(host), None, hints) {
        Ok(found) => found,
        Err(why) => return said(format!("getaddrinfo(\"{host}\", \"{port}\"): {why}")),
    };
    let Some(IpAddr::V4(address)) = found.addresses.first().map(SocketAddr::ip) else {
        return said(format!("no IPv4 address for {host}"));
    };
    let mut request = vec![4, 1];
    request.extend(port.to_be_bytes());
    request.extend(address.octets());
    request.push(0);
    send(fd, &request)?;
    let reply = take(fd, 8)?;
    let failed = match reply.get(1) {
        Some(90) => return Ok(()),
        Some(91) => "Request rejected or failed",
        Some(92) => "Request rejected: no connection to identd",
        Some(93) => "Request rejected: identd disagrees",
        _ => "Unknown SOCKS error",
    };
    said(format!("connection failed, SOCKSv4 error: {failed}"))
}

fn connect(fd: &OwnedFd, host: &str, port: u16) -> Result<(), Stop> {
    let target = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    send(fd, format!("CONNECT {target} HTTP/1.0\r\n\r\n").as_bytes())?;
    let status = line(fd)?;
    let code = status.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with("HTTP/") || !code.starts_with('2') {
        return said(format!("Proxy error: \"{status}\""));
    }
    // Headers end with an empty line.
    while !line(fd)?.is_empty() {}
    Ok(())
}

fn line(fd: &OwnedFd) -> Result<String, Stop> {
    let mut text = Vec::new();
    while text.len() < LONGEST {
        match take(fd, 1)?.first() {
            Some(b'\n') | None => {
                let text = String::from_utf8_lossy(&text);
                return Ok(text.trim_end_matches('\r').to_string());
            }
            Some(byte) => text.push(*byte),
        }
    }
    said("proxy read too long")
}
