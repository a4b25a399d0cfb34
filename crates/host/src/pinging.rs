//! Echo requests with all that ping(8) can ask for: the packets are [`crate::icmp`]'s, the socket is not connected, so
//! that whoever answers is heard.

use crate::message::{self, Complaint};
use crate::{Error, icmp, sockets};
use netshoot_wire::inet::{Icmp, Message, build_echo};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// What to do about packets that are too big for the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragments {
    /// Never, here or on the way.
    Forbid,
    /// Here, where the path's MTU is known.
    Here,
    /// Anywhere.
    Allow,
}

/// How to ask.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Through this interface.
    pub interface: Option<String>,
    /// From this address.
    pub source: Option<SocketAddr>,
    /// Time to live.
    pub ttl: Option<u8>,
    /// Type of service, traffic class.
    pub tos: Option<u8>,
    /// Fragments.
    pub fragments: Option<Fragments>,
    /// A broadcast address is allowed.
    pub broadcast: bool,
    /// What is sent to a group is not heard here.
    pub no_loopback: bool,
    /// Ask routers to write themselves down (RFC 791).
    pub record_route: bool,
    /// Only to networks of this machine.
    pub no_routing: bool,
    /// `SO_MARK`.
    pub mark: Option<u32>,
    /// `SO_SNDBUF`.
    pub send_buffer: Option<u32>,
    /// Identifier.
    pub id: Option<u16>,
    /// Hear what routers tell of MPLS.
    pub labels: bool,
}

/// A step that failed, in the words of the originals: `bind`, `SO_BINDTODEVICE eth9`.
#[derive(Debug)]
pub struct Failed {
    /// The step.
    pub step: String,
    /// What the kernel said.
    pub source: io::Error,
}

fn step<T>(step: &str, result: io::Result<T>) -> Result<T, Failed> {
    let step = step.to_string();
    result.map_err(|source| Failed { step, source })
}

/// Something that came.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// An answer.
    Reply {
        /// Sequence number of the request.
        seq: u16,
        /// Who answers.
        from: SocketAddr,
        /// Its time to live.
        ttl: Option<u8>,
        /// Bytes of ICMP.
        length: usize,
        /// What was sent with the request.
        data: Vec<u8>,
        /// When it came, by the kernel's clock.
        at: Option<Duration>,
        /// Options of its header.
        options: Vec<u8>,
        /// The checksum holds.
        sound: bool,
    },
    /// A complaint about a request of ours, or of this machine's stack.
    Refused {
        /// Sequence number; none where the stack itself refused to send.
        seq: Option<u16>,
        /// What is wrong.
        complaint: Complaint,
    },
}

/// A socket that sends echo requests.
pub struct Pinging {
    socket: OwnedFd,
    to: SocketAddr,
    raw: bool,
    id: u16,
    labels: bool,
    buffer: Vec<u8>,
}

impl AsRawFd for Pinging {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The address that packets to `to` start from, which is also `to` where that is nobody's (0.0.0.0).
pub fn route(to: SocketAddr, manner: &Manner) -> Result<SocketAddr, Failed> {
    let family = sockets::family(to.ip());
    let socket = sockets::open(family, libc::SOCK_DGRAM, 0, "UDP").map_err(|e| Failed {
        step: "socket".into(),
        source: io::Error::from_raw_os_error(e.errno().unwrap_or(libc::EIO)),
    })?;
    if let Some(name) = &manner.interface {
        let what = format!("SO_BINDTODEVICE {name}");
        step(&what, sockets::bind_to_device(&socket, name))?;
    }
    if manner.broadcast {
        let set = sockets::set(&socket, libc::SOL_SOCKET, libc::SO_BROADCAST, 1);
        step("SO_BROADCAST", set)?;
    }
    if let Some(source) = manner.source {
        let what = if to.is_ipv6() {
            "bind icmp socket"
        } else {
            "bind"
        };
        step(what, sockets::bind(&socket, source))?;
    }
    // With its zone.
    let to = with_port(to, 1025);
    step("connect", sockets::connect(&socket, to))?;
    step("getsockname", sockets::local(&socket))
}

impl Pinging {
    /// Opens the socket: a ping socket, which `net.ipv4.ping_group_range` may allow to anybody, else a raw one, which
    /// needs CAP_NET_RAW. The inner error is a step that failed.
    pub fn open(to: SocketAddr, manner: &Manner) -> Result<Result<Pinging, Failed>, Error> {
        let (socket, raw) = icmp::socket(to.ip())?;
        let pinging = Pinging {
            socket,
            to: with_port(to, 0),
            raw,
            id: manner.id.unwrap_or_else(sockets::random_u16),
            labels: manner.labels,
            buffer: vec![0; 1 << 17],
        };
        let prepared = pinging.prepare(manner);
        Ok(prepared.map(|()| pinging))
    }

    /// A raw socket, which needs a right; else a ping socket.
    pub fn raw(&self) -> bool {
        self.raw
    }

    /// The identifier of the requests.
    pub fn id(&self) -> u16 {
        match sockets::local(self) {
            // The kernel chooses a ping socket's, and calls it a port.
            Ok(own) if !self.raw && own.port() != 0 => own.port(),
            _ => self.id,
        }
    }

    fn prepare(&self, manner: &Manner) -> Result<(), Failed> {
        let v6 = self.to.is_ipv6();
        let on =
            |what: &str, level, option, value| step(what, sockets::set(self, level, option, value));
        if let Some(name) = &manner.interface {
            let what = format!("SO_BINDTODEVICE {name}");
            step(&what, sockets::bind_to_device(self, name))?;
        }
        if let Some(source) = manner.source {
            let what = if v6 { "bind icmp socket" } else { "bind" };
            step(what, sockets::bind(self, with_port(source, 0)))?;
        }
        let errors = sockets::want_icmp_errors(self, sockets::family(self.to.ip()));
        step("IP_RECVERR", errors)?;
        if manner.labels {
            sockets::want_extensions(self, sockets::family(self.to.ip()));
        }
        on("SO_TIMESTAMP", libc::SOL_SOCKET, libc::SO_TIMESTAMP, 1)?;
        if manner.broadcast {
            on("broadcast pinging", libc::SOL_SOCKET, libc::SO_BROADCAST, 1)?;
        }
        if manner.no_routing {
            on("SO_DONTROUTE", libc::SOL_SOCKET, libc::SO_DONTROUTE, 1)?;
        }
        if let Some(mark) = manner.mark {
            on(
                "SO_MARK",
                libc::SOL_SOCKET,
                libc::SO_MARK,
                mark.cast_signed(),
            )?;
        }
        if let Some(size) = manner.send_buffer {
            on(
                "SO_SNDBUF",
                libc::SOL_SOCKET,
                libc::SO_SNDBUF,
                size.cast_signed(),
            )?;
        }
        if v6 {
            self.prepare6(manner)
        } else {
            self.prepare4(manner)
        }
    }

    fn prepare4(&self, manner: &Manner) -> Result<(), Failed> {
        let on = |what: &str, option, value| {
            step(what, sockets::set(self, libc::IPPROTO_IP, option, value))
        };
        if self.raw {
            // Everything else is read for nothing: complaints come by the error queue.
            let but_replies = !(1 << ECHO_REPLY);
            let _ = sockets::set(self, libc::SOL_RAW, ICMP_FILTER, but_replies);
        }
        on("IP_RECVTTL", libc::IP_RECVTTL, 1)?;
        on("IP_RETOPTS", libc::IP_RETOPTS, 1)?;
        if let Some(how) = manner.fragments {
            let value = match how {
                Fragments::Forbid => libc::IP_PMTUDISC_DO,
                Fragments::Here => libc::IP_PMTUDISC_WANT,
                Fragments::Allow => libc::IP_PMTUDISC_DONT,
            };
            on("IP_MTU_DISCOVER", libc::IP_MTU_DISCOVER, value)?;
        }
        if let Some(tos) = manner.tos {
            on("error setting QOS sockopts", libc::IP_TOS, i32::from(tos))?;
        }
        if manner.no_loopback {
            on(
                "cannot disable multicast loopback",
                libc::IP_MULTICAST_LOOP,
                0,
            )?;
        }
        if let Some(ttl) = manner.ttl {
            on(
                "cannot set multicast time-to-live",
                libc::IP_MULTICAST_TTL,
                i32::from(ttl),
            )?;
            on(
                "cannot set unicast time-to-live",
                libc::IP_TTL,
                i32::from(ttl),
            )?;
        }
        if manner.record_route {
            // Type 7, the whole room, the first free place; a no-operation in front keeps words aligned.
            let mut options = [0u8; 40];
            options[..4].copy_from_slice(&[1, 7, 39, 4]);
            let set = sockets::set_bytes(self, libc::IPPROTO_IP, libc::IP_OPTIONS, &options);
            step("record route", set)?;
        }
        Ok(())
    }

    fn prepare6(&self, manner: &Manner) -> Result<(), Failed> {
        let on = |what: &str, option, value| {
            step(what, sockets::set(self, libc::IPPROTO_IPV6, option, value))
        };
        on("IPV6_RECVHOPLIMIT", libc::IPV6_RECVHOPLIMIT, 1)?;
        if let Some(how) = manner.fragments {
            let value = match how {
                Fragments::Forbid => libc::IPV6_PMTUDISC_DO,
                Fragments::Here => libc::IPV6_PMTUDISC_WANT,
                Fragments::Allow => libc::IPV6_PMTUDISC_DONT,
            };
            on("IPV6_MTU_DISCOVER", libc::IPV6_MTU_DISCOVER, value)?;
        }
        if let Some(tos) = manner.tos {
            on("setsockopt(IPV6_TCLASS)", libc::IPV6_TCLASS, i32::from(tos))?;
        }
        if manner.no_loopback {
            on(
                "cannot disable multicast loopback",
                libc::IPV6_MULTICAST_LOOP,
                0,
            )?;
        }
        if let Some(ttl) = manner.ttl {
            on(
                "cannot set multicast hop limit",
                libc::IPV6_MULTICAST_HOPS,
                i32::from(ttl),
            )?;
            on(
                "cannot set unicast hop limit",
                libc::IPV6_UNICAST_HOPS,
                i32::from(ttl),
            )?;
        }
        Ok(())
    }

    /// Sends a request.
    pub fn send(&self, seq: u16, data: &[u8]) -> io::Result<()> {
        let packet = build_echo(self.to.is_ipv6(), self.id, seq, data);
        sockets::send_to(self, &packet, self.to).map(|_| ())
    }

    /// Sends a request to somebody: for a socket that was opened for nobody (0.0.0.0 or `::`) and hears them all.
    pub fn send_towards(&self, to: SocketAddr, seq: u16, data: &[u8]) -> io::Result<()> {
        let packet = build_echo(to.is_ipv6(), self.id, seq, data);
        sockets::send_to(self, &packet, with_port(to, 0)).map(|_| ())
    }

    /// The next complaint about a request of ours; does not wait.
    pub fn complaint(&mut self) -> Option<Arrival> {
        let (v6, raw, own, to) = (self.to.is_ipv6(), self.raw, self.id, self.to.ip());
        let labels = self.labels;
        loop {
            let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
            let message = message::receive(&self.socket, flags, &mut self.buffer).ok()?;
            let Some(mut complaint) = message.complaint else {
                continue;
            };
            if labels {
                complaint.look_behind(message.bytes, if v6 { 40 } else { 20 });
            }
            if complaint.local {
                return Some(Arrival::Refused {
                    seq: None,
                    complaint,
                });
            }
            // A raw socket hears of all echo requests of this machine.
            let about = Icmp::decode(v6, message.bytes)
                .ok()
                .map(|icmp| icmp.message());
            let there = message
                .from
                .is_none_or(|a| a.ip() == to || to.is_unspecified());
            match about {
                Some(Message::EchoRequest { id, seq }) if (!raw || id == own) && there => {
                    let seq = Some(seq);
                    return Some(Arrival::Refused { seq, complaint });
                }
                _ => {}
            }
        }
    }

    /// The next reply; none when nothing is there. An error is a complaint that waits.
    pub fn reply(&mut self) -> io::Result<Option<Arrival>> {
        let (v6, raw, own) = (self.to.is_ipv6(), self.raw, self.id);
        loop {
            let flags = libc::MSG_DONTWAIT;
            let message = match message::receive(&self.socket, flags, &mut self.buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                other => other?,
            };
            let Some(from) = message.from else { continue };
            // A raw IPv4 socket gives the IP header too.
            let header = match message.bytes.first() {
                Some(first) if raw && !v6 => usize::from(first & 0xf) * 4,
                _ => 0,
            };
            let Some(bytes) = message.bytes.get(header..) else {
                continue;
            };
            let Ok(icmp) = Icmp::decode(v6, bytes) else {
                continue;
            };
            let Message::EchoReply { id, seq } = icmp.message() else {
                continue;
            };
            if raw && id != own {
                continue;
            }
            let own_options = message.bytes.get(20..header).map(<[u8]>::to_vec);
            return Ok(Some(Arrival::Reply {
                seq,
                from: with_port(from, 0),
                ttl: message.ttl,
                length: bytes.len(),
                data: icmp.payload.to_vec(),
                at: message.at,
                options: own_options.unwrap_or(message.options),
                sound: v6 || netshoot_wire::inet::checksum(&[bytes]) == 0,
            }));
        }
    }
}

/// icmp(7), raw(7): a raw socket's option with the types that it does not want, by bits.
const ICMP_FILTER: i32 = 1;
const ECHO_REPLY: i32 = 0;

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// An address of everybody on a network, as far as it shows: the kernel knows more of them.
pub fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_multicast() || a.is_broadcast(),
        IpAddr::V6(a) => a.is_multicast(),
    }
}
