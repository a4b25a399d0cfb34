//! Frames as they pass the interfaces of a namespace (packet(7)), and their summary as flows.

pub mod flows;

use crate::probes::Need;
use crate::sockets::{self, Deadline};
use crate::{Error, link};
use flows::{Filter, Table};
use netshoot_model::probe::Flow;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Bytes kept of each packet: all headers, also inside a tunnel.
const SNAP: usize = 512;
/// Room for packets that wait to be read, bytes.
const WAITING: i32 = 8 * 1024 * 1024;
/// `ARPHRD_LOOPBACK` (linux/if_arp.h).
const LOOPBACK: u16 = 772;
/// `PACKET_OUTGOING` (linux/if_packet.h).
const OUTGOING: u8 = 4;

/// A socket that hears everything on one interface or on all of them.
pub struct Capture {
    socket: OwnedFd,
}

/// A packet from its network header on.
pub struct Packet<'a> {
    /// Kernel index of the interface.
    pub interface: u32,
    /// Ethernet protocol number.
    pub ethertype: u16,
    /// Sent by this machine.
    pub outgoing: bool,
    /// The first bytes of it.
    pub bytes: &'a [u8],
}

impl AsRawFd for Capture {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Capture {
    /// Begins to hear; an empty name is all interfaces. Needs CAP_NET_RAW.
    pub fn open(interface: &str) -> Result<Capture, Error> {
        let index = if interface.is_empty() {
            0
        } else {
            link::index(interface)?
        };
        // Protocol 0 hears nothing, so that nothing of another interface comes before the bind.
        let socket =
            sockets::open(libc::AF_PACKET, libc::SOCK_DGRAM, 0, "packets").map_err(denied)?;
        let capture = Capture { socket };
        // Forced needs CAP_NET_ADMIN; else the kernel cuts it to net.core.rmem_max.
        if sockets::set(&capture, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, WAITING).is_err() {
            let _ = sockets::set(&capture, libc::SOL_SOCKET, libc::SO_RCVBUF, WAITING);
        }
        // SAFETY: all zeroes is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index as i32;
        // SAFETY: the pointer and length describe `address`, which lives through the call.
        let rc = unsafe {
            let at = std::ptr::from_ref(&address).cast();
            libc::bind(
                capture.as_raw_fd(),
                at,
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        let on = if interface.is_empty() {
            "all interfaces"
        } else {
            interface
        };
        if rc == 0 {
            Ok(capture)
        } else {
            Err(Error::last("listen to packets", on))
        }
    }

    /// The next packet; none at the deadline. Loopback shows each packet going out and coming in:
    /// only the latter counts.
    pub fn next<'a>(
        &self,
        buffer: &'a mut Vec<u8>,
        deadline: Deadline,
    ) -> io::Result<Option<Packet<'a>>> {
        loop {
            buffer.resize(SNAP, 0);
            // SAFETY: all zeroes is a valid sockaddr_ll.
            let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            let mut len = size_of::<libc::sockaddr_ll>() as u32;
            // SAFETY: the pointers describe buffer, from and len, which live through the call.
            let n = unsafe {
                let at = std::ptr::from_mut(&mut from).cast();
                libc::recvfrom(
                    self.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                    at,
                    &mut len,
                )
            };
            let Ok(n) = usize::try_from(n) else {
                match io::Error::last_os_error() {
                    e if e.kind() == io::ErrorKind::WouldBlock => {
                        match sockets::wait(self, libc::POLLIN, deadline) {
                            Err(e) if e.kind() == io::ErrorKind::TimedOut => return Ok(None),
                            other => other.map(|_| ())?,
                        }
                    }
                    // An interface went down; the others go on.
                    e if e.raw_os_error() == Some(libc::ENETDOWN) => {}
                    e => return Err(e),
                }
                continue;
            };
            let outgoing = from.sll_pkttype == OUTGOING;
            if outgoing && from.sll_hatype == LOOPBACK {
                continue;
            }
            buffer.truncate(n);
            return Ok(Some(Packet {
                interface: from.sll_ifindex as u32,
                ethertype: u16::from_be(from.sll_protocol),
                outgoing,
                bytes: buffer,
            }));
        }
    }

    /// Listens for so long, and sums up what passed the filter.
    pub fn listen(&self, filter: Filter, millis: u32) -> Result<Vec<Flow>, Error> {
        let deadline = Deadline::after_ms(millis);
        let mut table = Table::new(filter);
        let mut buffer = Vec::with_capacity(SNAP);
        loop {
            let next = self.next(&mut buffer, deadline);
            let next = next.map_err(|source| Error::System {
                tried: "read packets",
                on: "the capture".into(),
                source,
            })?;
            match next {
                Some(packet) => table.see(packet.interface, packet.ethertype, packet.bytes),
                None => return Ok(table.flows(interface_name)),
            }
            // A flood must not keep it from ending.
            if deadline.left().is_zero() {
                return Ok(table.flows(interface_name));
            }
        }
    }
}

fn denied(error: Error) -> Error {
    match error.errno() {
        Some(libc::EPERM | libc::EACCES) => Error::Denied {
            tried: error.to_string(),
            missing: Need::NetRaw.word(),
            how_to_get: Need::NetRaw.how_to_get().into(),
        },
        _ => error,
    }
}

/// The name of an interface; its number where it is gone.
fn interface_name(index: u32) -> String {
    crate::names::interface(index).unwrap_or_else(|| format!("interface {index}"))
}
