//! Connections and listeners with all that nc(1) can ask for.

use crate::sockets::{self, Deadline};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// How a socket is to be.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// UDP.
    pub datagram: bool,
    /// Type of service, traffic class.
    pub tos: Option<u8>,
    /// Time to live.
    pub ttl: Option<u8>,
    /// Least time to live of what comes.
    pub least_ttl: Option<u8>,
    /// Bytes of the buffer for receiving.
    pub receive_buffer: Option<u32>,
    /// Bytes of the buffer for sending.
    pub send_buffer: Option<u32>,
    /// A broadcast address is allowed.
    pub broadcast: bool,
}

/// A step that failed: its name where the original names it.
#[derive(Debug)]
pub struct Failed {
    /// `set IP TTL`; empty where nothing is named.
    pub step: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

fn step<T>(step: &'static str, result: io::Result<T>) -> Result<T, Failed> {
    result.map_err(|source| Failed { step, source })
}

/// A socket that can be connected to `with`, or bound to it.
pub fn open(with: SocketAddr, manner: &Manner) -> Result<OwnedFd, Failed> {
    let (kind, protocol) = match manner.datagram {
        true => (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
        false => (libc::SOCK_STREAM, libc::IPPROTO_TCP),
    };
    let family = sockets::family(with.ip());
    let fd = sockets::open(family, kind, protocol, "TCP or UDP").map_err(|e| Failed {
        step: "socket",
        source: io::Error::from_raw_os_error(e.errno().unwrap_or(libc::EIO)),
    })?;
    let v4 = with.is_ipv4();
    let level = if v4 {
        libc::IPPROTO_IP
    } else {
        libc::IPPROTO_IPV6
    };
    let on =
        |what, option, value: u8| step(what, sockets::set(&fd, level, option, i32::from(value)));
    if let Some(tos) = manner.tos {
        match v4 {
            true => on("set IP ToS", libc::IP_TOS, tos)?,
            false => on("set IPv6 traffic class", libc::IPV6_TCLASS, tos)?,
        }
    }
    if let Some(ttl) = manner.ttl {
        match v4 {
            true => on("set IP TTL", libc::IP_TTL, ttl)?,
            false => on("set IPv6 unicast hops", libc::IPV6_UNICAST_HOPS, ttl)?,
        }
    }
    if let Some(ttl) = manner.least_ttl {
        match v4 {
            true => on("set IP min TTL", libc::IP_MINTTL, ttl)?,
            false => on("set IPv6 min hop count", IPV6_MINHOPCOUNT, ttl)?,
        }
    }
    let sized = |what, option, bytes: u32| {
        step(
            what,
            sockets::set(&fd, libc::SOL_SOCKET, option, bytes.cast_signed()),
        )
    };
    if let Some(bytes) = manner.receive_buffer {
        sized("set TCP receive buffer size", libc::SO_RCVBUF, bytes)?;
    }
    if let Some(bytes) = manner.send_buffer {
        sized("set TCP send buffer size", libc::SO_SNDBUF, bytes)?;
    }
    if manner.broadcast {
        sized("set broadcast", libc::SO_BROADCAST, 1)?;
    }
    Ok(fd)
}

/// <linux/in6.h>
const IPV6_MINHOPCOUNT: i32 = 73;

/// Connects; `EINPROGRESS` when patience is over, as the originals say it.
pub fn connect(fd: &OwnedFd, to: SocketAddr, patience: Option<Duration>) -> io::Result<()> {
    sockets::connect(fd, to)?;
    let ms = patience.map_or(u32::MAX, |p| {
        u32::try_from(p.as_millis()).unwrap_or(u32::MAX)
    });
    match sockets::wait(fd, libc::POLLOUT, Deadline::after_ms(ms)) {
        Err(e) if e.kind() == io::ErrorKind::TimedOut => {
            Err(io::Error::from_raw_os_error(libc::EINPROGRESS))
        }
        Err(e) => Err(e),
        Ok(_) => sockets::pending(fd).map_or(Ok(()), Err),
    }
}

/// Binds to an own address that may be in use by connections that ended.
pub fn bind(fd: &OwnedFd, own: SocketAddr) -> io::Result<()> {
    sockets::set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    sockets::bind(fd, own)
}

/// Listens.
pub fn listen(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: listen takes no pointers.
    match unsafe { libc::listen(fd.as_raw_fd(), 5) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Says that nothing more will be sent.
pub fn end_sending(fd: &OwnedFd) {
    // SAFETY: shutdown takes no pointers. That the peer is gone already does not matter.
    unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_WR) };
}

/// Waits until something can be read, or for ever.
pub fn readable(fd: &OwnedFd, patience: Option<Duration>) -> io::Result<bool> {
    let mut fds = [libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    }];
    sockets::poll(&mut fds, patience.unwrap_or(FOR_EVER))
}

/// Longer than any process lives.
pub const FOR_EVER: Duration = Duration::from_secs(1 << 30);
