//! Sockets with patience: deadlines, waiting, and what an error means for whoever asked.

use crate::Error;
use netshoot_model::probe::{Attempt, Outcome};
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// When patience ends.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Instant,
    ends: Instant,
}

impl Deadline {
    /// From now.
    pub fn after_ms(ms: u32) -> Deadline {
        let began = Instant::now();
        Deadline {
            began,
            ends: began + Duration::from_millis(u64::from(ms)),
        }
    }

    /// What is left; zero when it is over.
    pub fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// Microseconds since it was set.
    pub fn spent_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }
}

/// Waits until one of the descriptors is ready or `patience` ends; false at the end. The ready
/// events are in `revents`.
pub fn poll(fds: &mut [libc::pollfd], patience: Duration) -> io::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let time = libc::timespec {
            tv_sec: left.as_secs() as libc::time_t,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        // SAFETY: fds and time live through the call; the length is the slice's own.
        let n = unsafe {
            libc::ppoll(
                fds.as_mut_ptr(),
                fds.len() as libc::nfds_t,
                &time,
                std::ptr::null(),
            )
        };
        match n {
            0 => return Ok(false),
            n if n > 0 => return Ok(true),
            _ => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => {}
                e => return Err(e),
            },
        }
    }
}

/// Waits for `events` on one descriptor; `TimedOut` at the deadline.
pub fn wait(fd: &impl AsRawFd, events: i16, deadline: Deadline) -> io::Result<i16> {
    let mut fds = [libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    }];
    if poll(&mut fds, deadline.left())? {
        Ok(fds[0].revents)
    } else {
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// A new non-blocking socket.
pub fn open(family: i32, kind: i32, protocol: i32, what: &'static str) -> Result<OwnedFd, Error> {
    // SAFETY: socket takes no pointers.
    let fd = unsafe {
        libc::socket(
            family,
            kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            protocol,
        )
    };
    if fd < 0 {
        return Err(Error::last("open a socket", what));
    }
    // SAFETY: fd was just made and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The address family of an address.
pub fn family(of: IpAddr) -> i32 {
    if of.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    }
}

/// Sets an integer option.
pub fn set(fd: &impl AsRawFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which lives through the call.
    let rc = unsafe {
        let value = std::ptr::from_ref(&value).cast();
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            value,
            size_of::<i32>() as u32,
        )
    };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets an option of bytes.
pub fn set_bytes(fd: &impl AsRawFd, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and length are those of the slice, which lives through the call.
    let rc = unsafe {
        let length = value.len() as u32;
        libc::setsockopt(fd.as_raw_fd(), level, option, value.as_ptr().cast(), length)
    };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Binds to an interface by its name.
pub fn bind_to_device(fd: &impl AsRawFd, name: &str) -> io::Result<()> {
    set_bytes(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes())
}

/// The own address of a socket.
pub fn local(fd: &impl AsRawFd) -> io::Result<SocketAddr> {
    // SAFETY: all zeroes is a valid sockaddr_storage; the pointers describe places that live
    // through the call.
    let (rc, storage) = unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        let mut len = size_of::<libc::sockaddr_storage>() as u32;
        let to = std::ptr::from_mut(&mut storage).cast();
        (libc::getsockname(fd.as_raw_fd(), to, &mut len), storage)
    };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    from_storage(&storage).ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
}

/// Sends a datagram to an address.
pub fn send_to(fd: &impl AsRawFd, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
    let (storage, len) = to_storage(to);
    // SAFETY: the pointers and lengths are those of the slice and of the storage.
    let n = unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_NOSIGNAL,
            std::ptr::from_ref(&storage).cast(),
            len,
        )
    };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// The error as strerror(3) has it.
pub fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_string()
}

/// Reads an integer option.
pub fn get(fd: &impl AsRawFd, level: i32, option: i32) -> io::Result<i32> {
    let (mut value, mut len) = (0i32, size_of::<i32>() as u32);
    // SAFETY: the pointers describe `value` and `len`, which live through the call.
    let rc = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_mut(&mut value).cast(),
            &mut len,
        )
    };
    if rc == 0 {
        Ok(value)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The pending error of a socket, taken.
pub fn pending(fd: &impl AsRawFd) -> Option<io::Error> {
    match get(fd, libc::SOL_SOCKET, libc::SO_ERROR) {
        Ok(0) => None,
        Ok(errno) => Some(io::Error::from_raw_os_error(errno)),
        Err(e) => Some(e),
    }
}

/// Asks for ICMP errors in the error queue (ip(7), `IP_RECVERR`): without it a connected UDP
/// socket hears only of closed ports, not of unreachable hosts.
pub fn want_icmp_errors(fd: &impl AsRawFd, family: i32) -> io::Result<()> {
    if family == libc::AF_INET {
        set(fd, libc::IPPROTO_IP, libc::IP_RECVERR, 1)
    } else {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)
    }
}

/// Has complaints of ICMP come with what routers tell behind them, where the kernel (5.9) can. linux/in.h, linux/in6.h.
pub fn want_extensions(fd: &impl AsRawFd, family: i32) {
    const IP_RECVERR_RFC4884: i32 = 26;
    const IPV6_RECVERR_RFC4884: i32 = 31;
    let _ = match family {
        libc::AF_INET => set(fd, libc::IPPROTO_IP, IP_RECVERR_RFC4884, 1),
        _ => set(fd, libc::IPPROTO_IPV6, IPV6_RECVERR_RFC4884, 1),
    };
}

/// Connects (for TCP: begins to). `EINPROGRESS` is no error.
pub fn connect(fd: &impl AsRawFd, to: SocketAddr) -> io::Result<()> {
    let (storage, len) = to_storage(to);
    // SAFETY: storage lives through the call and is at least len bytes long.
    let rc = unsafe { libc::connect(fd.as_raw_fd(), std::ptr::from_ref(&storage).cast(), len) };
    match io::Error::last_os_error() {
        _ if rc == 0 => Ok(()),
        e if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        e => Err(e),
    }
}

/// Binds to an address of this machine.
pub fn bind(fd: &impl AsRawFd, to: SocketAddr) -> io::Result<()> {
    let (storage, len) = to_storage(to);
    // SAFETY: storage lives through the call and is at least len bytes long.
    let rc = unsafe { libc::bind(fd.as_raw_fd(), std::ptr::from_ref(&storage).cast(), len) };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sends on a connected socket.
pub fn send(fd: &impl AsRawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of the slice.
    let n = unsafe {
        libc::send(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Receives from a socket; `WouldBlock` when there is nothing.
pub fn receive(fd: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of the slice.
    let n = unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// The kernel's form of an address.
pub fn to_storage(address: SocketAddr) -> (libc::sockaddr_storage, u32) {
    // SAFETY: all zeroes is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    match address {
        SocketAddr::V4(a) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: a.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(a.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is large and aligned enough for every sockaddr.
            unsafe {
                std::ptr::from_mut(&mut storage)
                    .cast::<libc::sockaddr_in>()
                    .write(raw)
            };
            (storage, size_of::<libc::sockaddr_in>() as u32)
        }
        SocketAddr::V6(a) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as u16,
                sin6_port: a.port().to_be(),
                sin6_flowinfo: a.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: a.ip().octets(),
                },
                sin6_scope_id: a.scope_id(),
            };
            // SAFETY: sockaddr_storage is large and aligned enough for every sockaddr.
            unsafe {
                std::ptr::from_mut(&mut storage)
                    .cast::<libc::sockaddr_in6>()
                    .write(raw)
            };
            (storage, size_of::<libc::sockaddr_in6>() as u32)
        }
    }
}

/// The address in the kernel's form; none for another family.
pub fn from_storage(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage holds a sockaddr_in.
            let a = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(a.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(a.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the storage holds a sockaddr_in6.
            let a = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(a.sin6_addr.s6_addr);
            Some(
                SocketAddrV6::new(
                    ip,
                    u16::from_be(a.sin6_port),
                    a.sin6_flowinfo,
                    a.sin6_scope_id,
                )
                .into(),
            )
        }
        _ => None,
    }
}

/// What an error of a socket says about the other end. `ECONNREFUSED` is a RST to the SYN or an
/// ICMP port unreachable; the unreachable ones come by ICMP or from the own routes and filters.
pub fn outcome(error: &io::Error) -> Outcome {
    match (error.raw_os_error(), error.kind()) {
        (Some(libc::ECONNREFUSED), _) => Outcome::Refused,
        (Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED), _) => Outcome::Reset,
        (Some(libc::ETIMEDOUT | libc::EAGAIN), _) => Outcome::Silent,
        (Some(_), _) => Outcome::Unreachable,
        (None, io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => Outcome::Silent,
        (None, _) => Outcome::Garbled,
    }
}

/// The error in words, without the number.
pub fn words(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        // connect(2) into a blackhole route gives this.
        Some(libc::EINVAL) => return "Invalid argument (a blackhole route takes it)".into(),
        Some(libc::EPERM) => {
            return "Operation not permitted (a packet filter here drops it)".into();
        }
        _ => error.to_string(),
    };
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_string()
}

/// A failed attempt.
pub fn failed(error: &io::Error, took_us: u64) -> Attempt {
    Attempt {
        outcome: outcome(error),
        took_us,
        detail: words(error),
        retransmissions: 0,
    }
}

/// Random bytes for identifiers.
pub fn random_u16() -> u16 {
    let mut bytes = [0u8; 2];
    // SAFETY: the pointer and length are those of the array.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    u16::from_ne_bytes(bytes)
}
