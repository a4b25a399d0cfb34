//! Probes with a small time to live, and what routers and the destination make of them: what traceroute(1) sends.
//!
//! UDP and TCP have a socket of their own for each probe and need no right; echo requests share one.

use crate::message::{self, Complaint};
use crate::pinging::{self, Arrival, Pinging};
use crate::sockets;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A datagram to a port.
    Udp,
    /// An echo request.
    Icmp,
    /// The SYN of a connection, which is reset as soon as it stands.
    Tcp,
}

/// How it is sent.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Through this interface.
    pub interface: Option<String>,
    /// From this address and port.
    pub source: Option<SocketAddr>,
    /// Type of service, traffic class.
    pub tos: Option<u8>,
    /// No fragments.
    pub whole: bool,
    /// Only to networks of this machine.
    pub no_routing: bool,
    /// `SO_MARK`.
    pub mark: Option<u32>,
    /// Hear what routers tell of MPLS.
    pub labels: bool,
}

/// A step that failed, in the original's words.
#[derive(Debug)]
pub struct Failed {
    /// `connect`.
    pub step: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

fn step<T>(step: &'static str, result: io::Result<T>) -> Result<T, Failed> {
    result.map_err(|source| Failed { step, source })
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The destination itself answers.
    There,
    /// The destination answers that nobody listens at that port.
    Refused,
    /// A complaint of ICMP, or of this machine.
    Complaint(Complaint),
}

/// A probe on its way.
pub struct Probe {
    socket: OwnedFd,
    tcp: bool,
    labels: bool,
}

impl AsRawFd for Probe {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Sends a datagram of so many bytes, or a SYN, with that time to live.
pub fn send(
    method: Method,
    to: SocketAddr,
    ttl: u8,
    size: usize,
    manner: &Manner,
) -> Result<Probe, Failed> {
    let tcp = method == Method::Tcp;
    let (kind, protocol) = match tcp {
        true => (libc::SOCK_STREAM, libc::IPPROTO_TCP),
        false => (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
    };
    let socket = sockets::open(sockets::family(to.ip()), kind, protocol, "a probe");
    let socket = socket.map_err(|e| Failed {
        step: "socket",
        source: io::Error::from_raw_os_error(e.errno().unwrap_or(libc::EIO)),
    })?;
    prepare(&socket, to, manner)?;
    set_ttl(&socket, to, ttl)?;
    if tcp {
        let at_once = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: plain numbers are read as bytes; the value lives through the call.
        let bytes = unsafe {
            let length = size_of::<libc::linger>();
            std::slice::from_raw_parts(std::ptr::from_ref(&at_once).cast::<u8>(), length)
        };
        let set = sockets::set_bytes(&socket, libc::SOL_SOCKET, libc::SO_LINGER, bytes);
        step("setsockopt SO_LINGER", set)?;
    }
    let connected = sockets::connect(&socket, to);
    let probe = Probe {
        socket,
        tcp,
        labels: manner.labels,
    };
    match connected {
        // A port that refuses at once, on this machine.
        Err(e) if tcp && e.raw_os_error() == Some(libc::ECONNREFUSED) => return Ok(probe),
        other => step("connect", other)?,
    }
    if !tcp {
        let data: Vec<u8> = (0x40..=0x7f).cycle().take(size).collect();
        step("send", sockets::send(&probe, &data))?;
    }
    Ok(probe)
}

fn prepare(socket: &OwnedFd, to: SocketAddr, manner: &Manner) -> Result<(), Failed> {
    let v6 = to.is_ipv6();
    let level = if v6 {
        libc::IPPROTO_IPV6
    } else {
        libc::IPPROTO_IP
    };
    let on = |what, level, option, value| step(what, sockets::set(socket, level, option, value));
    if let Some(name) = &manner.interface {
        step(
            "setsockopt SO_BINDTODEVICE",
            sockets::bind_to_device(socket, name),
        )?;
    }
    if let Some(own) = manner.source {
        step("bind", sockets::bind(socket, own))?;
    }
    let errors = sockets::want_icmp_errors(socket, sockets::family(to.ip()));
    step("setsockopt IP_RECVERR", errors)?;
    if manner.labels {
        sockets::want_extensions(socket, sockets::family(to.ip()));
    }
    if let Some(tos) = manner.tos {
        let option = if v6 { libc::IPV6_TCLASS } else { libc::IP_TOS };
        on("setsockopt IP_TOS", level, option, i32::from(tos))?;
    }
    let (option, value) = match (v6, manner.whole) {
        (false, true) => (libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
        (false, false) => (libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT),
        (true, true) => (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE),
        (true, false) => (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT),
    };
    on("setsockopt IP_MTU_DISCOVER", level, option, value)?;
    if v6 && manner.whole {
        on("setsockopt IPV6_DONTFRAG", level, libc::IPV6_DONTFRAG, 1)?;
    }
    if manner.no_routing {
        on(
            "setsockopt SO_DONTROUTE",
            libc::SOL_SOCKET,
            libc::SO_DONTROUTE,
            1,
        )?;
    }
    if let Some(mark) = manner.mark {
        on(
            "setsockopt SO_MARK",
            libc::SOL_SOCKET,
            libc::SO_MARK,
            mark.cast_signed(),
        )?;
    }
    Ok(())
}

fn set_ttl(socket: &impl AsRawFd, to: SocketAddr, ttl: u8) -> Result<(), Failed> {
    let (level, option) = match to.is_ipv6() {
        true => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
        false => (libc::IPPROTO_IP, libc::IP_TTL),
    };
    step(
        "setsockopt IP_TTL",
        sockets::set(socket, level, option, i32::from(ttl)),
    )
}

impl Probe {
    /// What has come; does not wait.
    pub fn answer(&self) -> Option<Answer> {
        let mut buffer = [0; 2048];
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        if let Ok(message) = message::receive(self, flags, &mut buffer)
            && let Some(mut complaint) = message.complaint
        {
            if self.labels {
                let v6 = message.from.is_some_and(|f| f.is_ipv6());
                complaint.look_behind(message.bytes, if v6 { 48 } else { 28 });
            }
            return Some(Answer::Complaint(complaint));
        }
        if !self.tcp {
            let came = message::receive(self, libc::MSG_DONTWAIT, &mut buffer);
            return came.is_ok().then_some(Answer::There);
        }
        match sockets::pending(self) {
            Some(e) if e.raw_os_error() == Some(libc::ECONNREFUSED) => Some(Answer::Refused),
            Some(_) => None,
            None => {
                let now = sockets::Deadline::after_ms(0);
                let ready = sockets::wait(self, libc::POLLOUT, now);
                ready.is_ok().then_some(Answer::There)
            }
        }
    }

    /// The MTU that the kernel knows of the way there.
    pub fn mtu(&self, v6: bool) -> Option<u32> {
        mtu(self, v6)
    }
}

fn mtu(fd: &impl AsRawFd, v6: bool) -> Option<u32> {
    let known = match v6 {
        true => sockets::get(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU),
        false => sockets::get(fd, libc::IPPROTO_IP, libc::IP_MTU),
    };
    known.ok().and_then(|m| u32::try_from(m).ok())
}

/// The MTU of the way there as far as this machine knows it.
pub fn known_mtu(to: SocketAddr, manner: &Manner) -> Option<u32> {
    let socket = sockets::open(sockets::family(to.ip()), libc::SOCK_DGRAM, 0, "UDP").ok()?;
    prepare(&socket, to, manner).ok()?;
    sockets::connect(&socket, to).ok()?;
    mtu(&socket, to.is_ipv6())
}

/// Echo requests with a time to live each.
pub struct Echoes {
    pinging: Pinging,
    to: SocketAddr,
}

impl AsRawFd for Echoes {
    fn as_raw_fd(&self) -> RawFd {
        self.pinging.as_raw_fd()
    }
}

impl Echoes {
    /// Opens the socket, for which a right may be missing; the inner error is a step that failed.
    pub fn open(
        to: SocketAddr,
        manner: &Manner,
    ) -> Result<Result<Echoes, io::Error>, crate::Error> {
        let how = pinging::Manner {
            interface: manner.interface.clone(),
            source: manner.source,
            tos: manner.tos,
            fragments: manner.whole.then_some(pinging::Fragments::Forbid),
            no_routing: manner.no_routing,
            mark: manner.mark,
            labels: manner.labels,
            ..pinging::Manner::default()
        };
        let opened = Pinging::open(to, &how)?;
        Ok(opened
            .map(|pinging| Echoes { pinging, to })
            .map_err(|f| f.source))
    }

    /// Sends one.
    pub fn send(&self, ttl: u8, seq: u16, size: usize) -> Result<(), Failed> {
        set_ttl(self, self.to, ttl)?;
        let data: Vec<u8> = (0x40..=0x7f).cycle().take(size).collect();
        step("send", self.pinging.send(seq, &data))
    }

    /// What has come, and for which request; does not wait.
    pub fn answer(&mut self) -> Option<(u16, Answer)> {
        for _ in 0..3 {
            if let Some(Arrival::Refused {
                seq: Some(seq),
                complaint,
            }) = self.pinging.complaint()
            {
                return Some((seq, Answer::Complaint(complaint)));
            }
            match self.pinging.reply() {
                Ok(Some(Arrival::Reply { seq, .. })) => return Some((seq, Answer::There)),
                Ok(_) => return None,
                // The error of what is in the queue now.
                Err(_) => {}
            }
        }
        None
    }
}
