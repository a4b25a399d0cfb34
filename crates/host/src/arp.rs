//! Questions of ARP on one interface: who has an address, told by hardware address.

use crate::{Error, link, sockets};
use netshoot_wire::arp::Arp;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;
/// Everybody on the link.
pub const EVERYBODY: [u8; 6] = [0xff; 6];
/// `PACKET_HOST`: sent to this machine alone.
const TO_US: u8 = 0;

/// A socket on one interface.
pub struct Asking {
    socket: OwnedFd,
    index: i32,
    own: [u8; 6],
}

/// A message that came.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// What it says.
    pub arp: Arp,
    /// Sent to this machine alone.
    pub to_us: bool,
}

impl AsRawFd for Asking {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Asking {
    /// Opens it; none on an interface that is no Ethernet. Needs CAP_NET_RAW.
    pub fn open(interface: &str) -> Result<Option<Asking>, Error> {
        let index = link::index(interface)? as i32;
        let socket = sockets::open(libc::AF_PACKET, libc::SOCK_DGRAM, 0, "ARP")?;
        let mut asking = Asking {
            socket,
            index,
            own: [0; 6],
        };
        let address = asking.address(EVERYBODY);
        let length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: the pointer and length describe `address`, which lives through the call.
        let bound = unsafe {
            libc::bind(
                asking.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                length,
            )
        };
        if bound != 0 {
            return Err(Error::last("bind ARP socket", interface));
        }
        let mut own = address;
        let mut length = length;
        // SAFETY: the pointers describe `own` and `length`, which live through the call.
        let told = unsafe {
            libc::getsockname(
                asking.as_raw_fd(),
                std::ptr::from_mut(&mut own).cast(),
                &mut length,
            )
        };
        if told != 0 {
            return Err(Error::last("read hardware address", interface));
        }
        if own.sll_hatype != ETHERNET {
            return Ok(None);
        }
        if let Some(first) = own.sll_addr.first_chunk::<6>() {
            asking.own = *first;
        }
        Ok(Some(asking))
    }

    /// Its hardware address.
    pub fn own(&self) -> [u8; 6] {
        self.own
    }

    fn address(&self, to: [u8; 6]) -> libc::sockaddr_ll {
        // SAFETY: all zeroes is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ARP as u16).to_be();
        address.sll_ifindex = self.index;
        address.sll_halen = 6;
        if let Some(first) = address.sll_addr.first_chunk_mut::<6>() {
            *first = to;
        }
        address
    }

    /// Sends a message.
    pub fn send(&self, arp: &Arp, to: [u8; 6]) -> io::Result<()> {
        let (bytes, address) = (arp.encode(), self.address(to));
        // SAFETY: the pointers and lengths describe `bytes` and `address`, which live through the call.
        let sent = unsafe {
            let at = std::ptr::from_ref(&address).cast();
            let length = size_of::<libc::sockaddr_ll>() as u32;
            libc::sendto(
                self.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0,
                at,
                length,
            )
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// The next message; none when nothing is there. What is no ARP is passed over.
    pub fn receive(&self) -> io::Result<Option<Heard>> {
        let mut buffer = [0u8; 512];
        loop {
            let mut from = self.address(EVERYBODY);
            let mut length = size_of::<libc::sockaddr_ll>() as u32;
            // SAFETY: the pointers describe buffer, from and length, which live through the call.
            let n = unsafe {
                let at = std::ptr::from_mut(&mut from).cast();
                let to = buffer.as_mut_ptr().cast();
                libc::recvfrom(
                    self.as_raw_fd(),
                    to,
                    buffer.len(),
                    libc::MSG_DONTWAIT,
                    at,
                    &mut length,
                )
            };
            let Ok(n) = usize::try_from(n) else {
                let e = io::Error::last_os_error();
                return if e.kind() == io::ErrorKind::WouldBlock {
                    Ok(None)
                } else {
                    Err(e)
                };
            };
            if let Ok(arp) = Arp::decode(buffer.get(..n).unwrap_or_default()) {
                let to_us = from.sll_pkttype == TO_US;
                return Ok(Some(Heard { arp, to_us }));
            }
        }
    }
}
