//! TCP connections whose end says why: refused, reset, silent and unreachable are kept apart, and
//! the kernel's own counters are read before the socket goes.

use crate::Error;
use crate::sockets::{self, Deadline};
use netshoot_model::probe::{Attempt, Outcome};
use std::io::{self, Read, Write};
use std::mem::size_of;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// A connection, non-blocking underneath; reading and writing end with `TimedOut` at the deadline.
pub struct Connection {
    stream: TcpStream,
    deadline: Deadline,
}

impl Connection {
    /// Microseconds since the SYN.
    pub fn spent_us(&self) -> u64 {
        self.deadline.spent_us()
    }

    /// From now on reading and writing end at this deadline.
    pub fn patience(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }
}

/// Opens one connection, from an address of this machine where one is asked for.
pub fn reach(
    to: SocketAddr,
    source: Option<SocketAddr>,
    deadline: Deadline,
) -> io::Result<Connection> {
    let family = sockets::family(to.ip());
    let socket = sockets::open(family, libc::SOCK_STREAM, libc::IPPROTO_TCP, "TCP");
    let socket = socket.map_err(|e| match e {
        Error::System { source, .. } => source,
        other => io::Error::other(other.to_string()),
    })?;
    if let Some(source) = source {
        sockets::set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        sockets::bind(&socket, source)?;
    }
    sockets::connect(&socket, to)?;
    sockets::wait(&socket, libc::POLLOUT, deadline)?;
    match sockets::pending(&socket) {
        Some(e) => Err(e),
        None => Ok(Connection {
            stream: socket.into(),
            deadline,
        }),
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    sockets::wait(&self.stream, libc::POLLIN, self.deadline)?;
                }
                other => return other,
            }
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    sockets::wait(&self.stream, libc::POLLOUT, self.deadline)?;
                }
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Retransmissions of a TCP socket over its life, SYNs included (`tcpi_total_retrans`).
pub fn retransmissions(fd: &impl AsRawFd) -> u32 {
    // SAFETY: all zeroes is a valid tcp_info.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as u32;
    // SAFETY: the pointers describe info and len, which live through the call.
    unsafe {
        let info = std::ptr::from_mut(&mut info).cast();
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info,
            &mut len,
        );
    }
    info.tcpi_total_retrans
}

/// Bytes written that the other end has not acknowledged (tcp(7), `SIOCOUTQ`).
pub fn unacknowledged(fd: &impl AsRawFd) -> u32 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one int, to which the pointer leads.
    let rc = unsafe {
        libc::ioctl(
            fd.as_raw_fd(),
            libc::TIOCOUTQ,
            std::ptr::from_mut(&mut bytes),
        )
    };
    if rc == 0 {
        u32::try_from(bytes).unwrap_or(0)
    } else {
        0
    }
}

/// A handshake under way.
struct Handshake {
    socket: OwnedFd,
    deadline: Deadline,
}

/// Sends the SYN. The inner error is the kernel's verdict on the destination; the outer one means
/// that nothing could be asked.
fn begin(to: SocketAddr, timeout_ms: u32) -> Result<Result<Handshake, Attempt>, Error> {
    let socket = sockets::open(
        sockets::family(to.ip()),
        libc::SOCK_STREAM,
        libc::IPPROTO_TCP,
        "TCP",
    )?;
    let deadline = Deadline::after_ms(timeout_ms);
    Ok(match sockets::connect(&socket, to) {
        Ok(()) => Ok(Handshake { socket, deadline }),
        Err(e) => Err(sockets::failed(&e, deadline.spent_us())),
    })
}

impl Handshake {
    /// How it went, once the socket is writable or patience is over.
    fn verdict(&self, ready: bool) -> Attempt {
        let took_us = self.deadline.spent_us();
        let retransmissions = retransmissions(&self.socket);
        let attempt = match sockets::pending(&self.socket) {
            Some(e) => sockets::failed(&e, took_us),
            None if ready => Attempt {
                outcome: Outcome::Answered,
                took_us,
                detail: String::new(),
                retransmissions: 0,
            },
            None => Attempt {
                outcome: Outcome::Silent,
                took_us,
                detail: "no answer to the SYN in time".into(),
                retransmissions: 0,
            },
        };
        Attempt {
            retransmissions,
            ..attempt
        }
    }
}

/// Opens one connection. The inner error is an answer, the outer one a gap.
pub fn connect(
    to: SocketAddr,
    timeout_ms: u32,
) -> Result<Result<(Connection, Attempt), Attempt>, Error> {
    let handshake = match begin(to, timeout_ms)? {
        Ok(handshake) => handshake,
        Err(attempt) => return Ok(Err(attempt)),
    };
    let ready = sockets::wait(&handshake.socket, libc::POLLOUT, handshake.deadline).is_ok();
    let attempt = handshake.verdict(ready);
    Ok(match attempt.outcome {
        Outcome::Answered => {
            let connection = Connection {
                stream: handshake.socket.into(),
                deadline: handshake.deadline,
            };
            Ok((connection, attempt))
        }
        _ => Err(attempt),
    })
}

/// Opens `tries` connections at the same time and closes each as soon as it stands.
pub fn connect_many(to: SocketAddr, tries: u32, timeout_ms: u32) -> Result<Vec<Attempt>, Error> {
    let began = Instant::now();
    let mut attempts: Vec<Option<Attempt>> = Vec::new();
    let mut open: Vec<(usize, Handshake)> = Vec::new();
    while attempts.len() < tries as usize || !open.is_empty() {
        let due = (SPACING * attempts.len() as u32).saturating_sub(began.elapsed());
        let all_begun = attempts.len() >= tries as usize;
        if due.is_zero() && !all_begun {
            match begin(to, timeout_ms)? {
                Ok(handshake) => {
                    open.push((attempts.len(), handshake));
                    attempts.push(None);
                }
                Err(attempt) => attempts.push(Some(attempt)),
            }
            continue;
        }
        // They were begun in this order, so the first is the first to run out of patience.
        let patience = open.first().map_or(due, |(_, h)| h.deadline.left());
        let mut fds: Vec<libc::pollfd> = open
            .iter()
            .map(|(_, h)| libc::pollfd {
                fd: h.socket.as_raw_fd(),
                events: libc::POLLOUT,
                revents: 0,
            })
            .collect();
        let waited = sockets::poll(
            &mut fds,
            if all_begun {
                patience
            } else {
                patience.min(due)
            },
        );
        waited.map_err(|source| Error::System {
            tried: "wait for handshakes",
            on: to.to_string(),
            source,
        })?;
        let mut still = Vec::with_capacity(open.len());
        for ((i, handshake), fd) in open.into_iter().zip(fds) {
            if fd.revents != 0 || handshake.deadline.left().is_zero() {
                if let Some(slot) = attempts.get_mut(i) {
                    *slot = Some(handshake.verdict(fd.revents != 0));
                }
            } else {
                still.push((i, handshake));
            }
        }
        open = still;
    }
    Ok(attempts.into_iter().flatten().collect())
}

/// Pause between the beginnings of several tries: a listener with a short accept queue must not be
/// overrun by the one who measures it.
pub const SPACING: Duration = Duration::from_millis(8);
