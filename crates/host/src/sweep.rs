//! Datagrams that find out how large a packet the way takes, hop by hop: what tracepath(8) sends. No right is needed.

use crate::message::{self, Complaint};
use crate::sockets;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A socket for all datagrams of a run.
pub struct Sweep {
    socket: OwnedFd,
    v6: bool,
}

impl AsRawFd for Sweep {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// What came back for a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// What is wrong with it; none where somebody answers by a datagram.
    pub complaint: Option<Complaint>,
    /// Where it was sent to.
    pub to: Option<SocketAddr>,
    /// Time to live that the answer came with.
    pub ttl: Option<u8>,
}

impl Sweep {
    /// Opens it: no fragments, complaints are told.
    pub fn open(v6: bool) -> io::Result<Sweep> {
        let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
        let socket = sockets::open(family, libc::SOCK_DGRAM, libc::IPPROTO_UDP, "a datagram");
        let socket =
            socket.map_err(|e| io::Error::from_raw_os_error(e.errno().unwrap_or(libc::EIO)))?;
        let sweep = Sweep { socket, v6 };
        sockets::want_icmp_errors(&sweep, family)?;
        let (level, discover, value, ttl) = match v6 {
            true => (
                libc::IPPROTO_IPV6,
                libc::IPV6_MTU_DISCOVER,
                libc::IPV6_PMTUDISC_DO,
                libc::IPV6_RECVHOPLIMIT,
            ),
            false => (
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                libc::IP_PMTUDISC_DO,
                libc::IP_RECVTTL,
            ),
        };
        sockets::set(&sweep, level, discover, value)?;
        sockets::set(&sweep, level, ttl, 1)?;
        Ok(sweep)
    }

    /// Sends so many bytes with that time to live.
    pub fn send(&self, to: SocketAddr, ttl: u8, size: usize) -> io::Result<()> {
        let (level, option) = match self.v6 {
            true => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
            false => (libc::IPPROTO_IP, libc::IP_TTL),
        };
        sockets::set(self, level, option, i32::from(ttl))?;
        sockets::send_to(self, &vec![0; size], to).map(|_| ())
    }

    /// The next thing that came; does not wait.
    pub fn answer(&self) -> Option<Answer> {
        let mut buffer = [0; 2048];
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        if let Ok(m) = message::receive(self, flags, &mut buffer) {
            return Some(Answer {
                complaint: m.complaint,
                to: m.from,
                ttl: m.ttl,
            });
        }
        let m = message::receive(self, libc::MSG_DONTWAIT, &mut buffer).ok()?;
        Some(Answer {
            complaint: None,
            to: m.from,
            ttl: m.ttl,
        })
    }
}
