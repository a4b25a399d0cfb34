//! ICMP echo without and with privilege, and the ICMP errors that come back for it.

use crate::Error;
use crate::message;
use crate::probes::Need;
use crate::sockets::{self, Deadline};
use netshoot_model::probe::{Attempt, Outcome};
use netshoot_wire::inet::{Icmp, Message, build_echo};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Pause between the echo requests of a series.
const INTERVAL: Duration = Duration::from_millis(20);

/// A socket that sends echo requests to one address.
pub struct Echo {
    socket: OwnedFd,
    v6: bool,
    raw: bool,
    id: u16,
}

/// Something that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The reply to a request.
    Reply {
        /// Sequence number of the request.
        seq: u16,
    },
    /// An error about a request.
    Error(Refusal),
}

/// An error about a request, from a router or from this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Sequence number of the request; none where the quotation is too short.
    pub seq: Option<u16>,
    /// The kernel's number for it.
    pub errno: i32,
    /// The MTU, with `EMSGSIZE`.
    pub mtu: u32,
    /// Said by this machine's own stack, not by ICMP.
    pub local: bool,
    /// ICMP's words and who sent it.
    pub words: String,
}

/// A socket for echo requests to `to`, not connected, and whether it is a raw one.
pub fn socket(to: IpAddr) -> Result<(OwnedFd, bool), Error> {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (libc::AF_INET, libc::IPPROTO_ICMP),
        IpAddr::V6(_) => (libc::AF_INET6, libc::IPPROTO_ICMPV6),
    };
    match sockets::open(family, libc::SOCK_DGRAM, protocol, "ICMP echo") {
        Ok(socket) => Ok((socket, false)),
        Err(e) if matches!(e.errno(), Some(libc::EACCES | libc::EPERM)) => {
            let raw = sockets::open(family, libc::SOCK_RAW, protocol, "ICMP echo");
            Ok((raw.map_err(denied)?, true))
        }
        Err(e) => Err(e),
    }
}

impl AsRawFd for Echo {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Echo {
    /// Opens a ping socket, which `net.ipv4.ping_group_range` may allow to anybody, else a raw
    /// one, which needs CAP_NET_RAW. The inner error says that there is no way to `to`.
    pub fn open(to: IpAddr) -> Result<io::Result<Echo>, Error> {
        let (family, v6) = (sockets::family(to), to.is_ipv6());
        let (socket, raw) = socket(to)?;
        let echo = Echo {
            socket,
            v6,
            raw,
            id: sockets::random_u16(),
        };
        let ready = sockets::want_icmp_errors(&echo, family)
            .and_then(|()| sockets::connect(&echo, SocketAddr::new(to, 0)));
        Ok(ready.map(|()| echo))
    }

    /// Forbids fragments, whatever is known of the path's MTU (ip(7), `IP_PMTUDISC_PROBE`).
    pub fn forbid_fragments(&self) -> io::Result<()> {
        if self.v6 {
            sockets::set(
                self,
                libc::IPPROTO_IPV6,
                libc::IPV6_MTU_DISCOVER,
                libc::IPV6_PMTUDISC_PROBE,
            )?;
            sockets::set(self, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 1)
        } else {
            sockets::set(
                self,
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                libc::IP_PMTUDISC_PROBE,
            )
        }
    }

    /// Bytes of IP and ICMP headers around the data.
    pub fn overhead(&self) -> usize {
        if self.v6 { 48 } else { 28 }
    }

    /// Sends a request with so many bytes of data.
    pub fn send(&self, seq: u16, data: usize) -> io::Result<()> {
        sockets::send(self, &build_echo(self.v6, self.id, seq, &vec![0x2e; data])).map(|_| ())
    }

    /// Everything that has come; does not wait.
    pub fn receive(&self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(refusal) = self.refusal() {
            events.push(Event::Error(refusal));
        }
        let mut buffer = vec![0u8; usize::from(u16::MAX)];
        loop {
            match sockets::receive(self, &mut buffer) {
                Ok(n) => events.extend(self.reply(buffer.get(..n).unwrap_or_default())),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return events,
                // The pending error of something read from the queue already, or about to be.
                Err(_) => match self.refusal() {
                    Some(refusal) => events.push(Event::Error(refusal)),
                    None if sockets::wait(self, libc::POLLIN, Deadline::after_ms(0)).is_err() => {
                        return events;
                    }
                    None => {}
                },
            }
        }
    }

    fn reply(&self, bytes: &[u8]) -> Option<Event> {
        // A raw IPv4 socket gives the IP header too.
        let header = match bytes.first() {
            Some(first) if self.raw && !self.v6 => usize::from(first & 0xf) * 4,
            _ => 0,
        };
        match Icmp::decode(self.v6, bytes.get(header..)?).ok()?.message() {
            // The kernel has its own identifier for a ping socket, and sorts replies by it.
            Message::EchoReply { id, seq } if !self.raw || id == self.id => {
                Some(Event::Reply { seq })
            }
            _ => None,
        }
    }

    /// The next entry of the error queue (ip(7), `IP_RECVERR`).
    fn refusal(&self) -> Option<Refusal> {
        let mut buffer = [0u8; 256];
        let message = message::receive(self, libc::MSG_ERRQUEUE, &mut buffer).ok()?;
        let said = message.complaint?;
        // Only what is about an echo request of this socket.
        let about = Icmp::decode(self.v6, message.bytes)
            .ok()
            .map(|icmp| icmp.message());
        let seq = match about {
            Some(Message::EchoRequest { id, seq }) if !self.raw || id == self.id => Some(seq),
            _ => None,
        };
        let words = match said.by() {
            _ if said.local => sockets::words(&io::Error::from_raw_os_error(said.errno)),
            Some(from) => format!(
                "{} (from {from})",
                Icmp::words(self.v6, said.kind, said.code)
            ),
            None => Icmp::words(self.v6, said.kind, said.code),
        };
        Some(Refusal {
            seq,
            errno: said.errno,
            mtu: said.info,
            local: said.local,
            words,
        })
    }
}

fn denied(error: Error) -> Error {
    match error.errno() {
        Some(libc::EPERM | libc::EACCES) => Error::Denied {
            tried: format!(
                "{error}; net.ipv4.ping_group_range does not allow it without privilege either"
            ),
            missing: Need::NetRaw.word(),
            how_to_get: Need::NetRaw.how_to_get().into(),
        },
        _ => error,
    }
}

/// Sends `count` requests, 20 ms apart, each with its own patience. The error is a gap.
pub fn series(to: IpAddr, count: u32, timeout_ms: u32) -> Result<Vec<Attempt>, Error> {
    let count = usize::from(u16::try_from(count).unwrap_or(u16::MAX));
    let echo = match Echo::open(to)? {
        Ok(echo) => echo,
        Err(e) => return Ok((0..count).map(|_| sockets::failed(&e, 0)).collect()),
    };
    let patience = Duration::from_millis(u64::from(timeout_ms));
    let mut sent: Vec<Instant> = Vec::new();
    let mut ended: Vec<Option<Attempt>> = vec![None; count];
    let mut next = Instant::now();
    loop {
        let now = Instant::now();
        if sent.len() < count && now >= next {
            let seq = sent.len();
            sent.push(now);
            next = now + INTERVAL;
            if let (Err(e), Some(slot)) = (echo.send(seq as u16, 56), ended.get_mut(seq)) {
                *slot = Some(sockets::failed(&e, 0));
            }
        }
        for event in echo.receive() {
            note(&event, &sent, &mut ended);
        }
        let now = Instant::now();
        for (at, slot) in sent
            .iter()
            .zip(&mut ended)
            .filter(|(at, slot)| slot.is_none() && now >= **at + patience)
        {
            let took_us = (now - *at).as_micros() as u64;
            let detail = "no reply in time".into();
            *slot = Some(Attempt {
                outcome: Outcome::Silent,
                took_us,
                detail,
                retransmissions: 0,
            });
        }
        if ended.iter().all(Option::is_some) {
            return Ok(ended.into_iter().flatten().collect());
        }
        let waiting = sent
            .iter()
            .zip(&ended)
            .filter(|(_, slot)| slot.is_none())
            .map(|(at, _)| *at + patience)
            .min();
        let sending = (sent.len() < count).then_some(next);
        let until = waiting.into_iter().chain(sending).min().unwrap_or(now);
        let mut fds = [libc::pollfd {
            fd: echo.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        }];
        sockets::poll(&mut fds, until.saturating_duration_since(now)).map_err(|source| {
            Error::System {
                tried: "wait for echo replies",
                on: to.to_string(),
                source,
            }
        })?;
    }
}

fn note(event: &Event, sent: &[Instant], ended: &mut [Option<Attempt>]) {
    let (seq, outcome, detail) = match event {
        Event::Reply { seq } => (*seq, Outcome::Answered, String::new()),
        Event::Error(r) => {
            let Some(seq) = r.seq else { return };
            (
                seq,
                sockets::outcome(&io::Error::from_raw_os_error(r.errno)),
                r.words.clone(),
            )
        }
    };
    if let (Some(at), Some(slot @ None)) =
        (sent.get(usize::from(seq)), ended.get_mut(usize::from(seq)))
    {
        let took_us = at.elapsed().as_micros() as u64;
        *slot = Some(Attempt {
            outcome,
            took_us,
            detail,
            retransmissions: 0,
        });
    }
}
