//! Listening sockets with a backlog of one's own choice and both families where there are two.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Condvar, Mutex, PoisonError};

/// A TCP listener; `::` takes both families and falls back to `0.0.0.0` where IPv6 is not there.
pub fn tcp(address: IpAddr, port: u16, backlog: u32) -> io::Result<TcpListener> {
    let fd = bound(address, port, libc::SOCK_STREAM)?;
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // SAFETY: an open descriptor, no pointers.
    if unsafe { libc::listen(fd.as_raw_fd(), backlog) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let listener = TcpListener::from(fd);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A UDP socket, the same way.
pub fn udp(address: IpAddr, port: u16) -> io::Result<UdpSocket> {
    bound(address, port, libc::SOCK_DGRAM).map(UdpSocket::from)
}

fn bound(address: IpAddr, port: u16, kind: i32) -> io::Result<OwnedFd> {
    let absent = |e: &io::Error| {
        matches!(
            e.raw_os_error(),
            Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
        )
    };
    match bound_to(SocketAddr::new(address, port), kind) {
        Err(e) if absent(&e) && address == Ipv6Addr::UNSPECIFIED => {
            bound_to(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), kind)
        }
        other => other,
    }
}

fn bound_to(address: SocketAddr, kind: i32) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if kind == libc::SOCK_STREAM {
        set(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    }
    let done = match address {
        SocketAddr::V4(a) => {
            // SAFETY: all zeroes is a valid sockaddr_in.
            let mut raw: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            raw.sin_family = libc::AF_INET as libc::sa_family_t;
            raw.sin_port = a.port().to_be();
            raw.sin_addr.s_addr = u32::from_ne_bytes(a.ip().octets());
            // SAFETY: pointer and length are those of `raw`, which lives through the call.
            unsafe {
                libc::bind(
                    fd.as_raw_fd(),
                    std::ptr::from_ref(&raw).cast(),
                    size_of_val(&raw) as u32,
                )
            }
        }
        SocketAddr::V6(a) => {
            set(
                &fd,
                libc::IPPROTO_IPV6,
                libc::IPV6_V6ONLY,
                i32::from(!a.ip().is_unspecified()),
            )?;
            // SAFETY: all zeroes is a valid sockaddr_in6.
            let mut raw: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            raw.sin6_port = a.port().to_be();
            raw.sin6_addr.s6_addr = a.ip().octets();
            // SAFETY: pointer and length are those of `raw`, which lives through the call.
            unsafe {
                libc::bind(
                    fd.as_raw_fd(),
                    std::ptr::from_ref(&raw).cast(),
                    size_of_val(&raw) as u32,
                )
            }
        }
    };
    if done == 0 {
        Ok(fd)
    } else {
        Err(io::Error::last_os_error())
    }
}

fn set(fd: &impl AsRawFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: pointer and length are those of `value`, which lives through the call.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of_val(&value) as u32,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Closes with RST instead of FIN.
pub fn reset(stream: std::net::TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // SAFETY: pointer and length are those of `linger`, which lives through the call.
    unsafe {
        let value = std::ptr::from_ref(&linger).cast();
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            value,
            size_of_val(&linger) as u32,
        )
    };
    drop(stream);
}

/// Waits until there is something to read or accept, or `ms` have passed (-1: for ever).
pub fn wait_readable(fd: &impl AsRawFd, ms: i32) -> bool {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, on this stack.
    unsafe { libc::poll(&mut entry, 1, ms) > 0 }
}

/// Counts what is being served, so that no peer makes a server start threads without end.
#[derive(Debug)]
pub struct Slots {
    most: u32,
    taken: Mutex<u32>,
    given: Condvar,
}

impl Slots {
    /// So many at once.
    pub fn new(most: u32) -> Slots {
        Slots {
            most,
            taken: Mutex::new(0),
            given: Condvar::new(),
        }
    }

    /// Waits until one is free.
    pub fn take(&self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= self.most {
            taken = self
                .given
                .wait(taken)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
    }

    /// Gives one back.
    pub fn give(&self) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.given.notify_one();
    }
}
