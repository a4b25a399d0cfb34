//! Ethernet, ARP, IPv4, IPv6, TCP, UDP, ICMP, VXLAN: headers read in place, and built with their
//! checksums.
//!
//! A capture keeps only the beginning of a frame: lengths are those that the headers say, payloads
//! those that are there.

mod icmp;
mod ip;
mod labels;
#[cfg(test)]
mod tests;
mod transport;

pub use icmp::{Icmp, Message, build_echo};
pub use ip::{Fragment, Ip, build_ip};
pub use labels::{Label, Labels};
pub use transport::{Tcp, Udp, build_tcp, build_udp};

use crate::Malformed;
use std::net::Ipv4Addr;

/// Ethernet protocol numbers (linux/if_ether.h).
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// 802.1Q tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// 802.1ad tag.
    pub const QINQ: u16 = 0x88a8;
}

/// IP protocol numbers (IANA).
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// UDP ports that carry VXLAN: IANA's and the Linux default, which flannel uses.
pub const VXLAN_PORTS: [u16; 2] = [4789, 8472];

/// An Ethernet frame (IEEE 802.3), tags passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ethernet<'a> {
    /// Destination hardware address.
    pub destination: [u8; 6],
    /// Source hardware address.
    pub source: [u8; 6],
    /// Innermost VLAN identifier, 12 bits.
    pub vlan: Option<u16>,
    /// What the payload is, [`ethertype`].
    pub ethertype: u16,
    /// The rest of the frame.
    pub payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Reads a frame from its destination address on.
    pub fn decode(bytes: &'a [u8]) -> Result<Ethernet<'a>, Malformed> {
        let mut r = Reader::new("Ethernet frame", bytes);
        let destination = r.array("a destination address")?;
        let source = r.array("a source address")?;
        let mut ethertype = r.u16("an ethertype")?;
        let mut vlan = None;
        while matches!(ethertype, ethertype::VLAN | ethertype::QINQ) {
            vlan = Some(r.u16("a VLAN tag")? & 0xfff);
            ethertype = r.u16("an ethertype behind the tag")?;
        }
        Ok(Ethernet {
            destination,
            source,
            vlan,
            ethertype,
            payload: r.rest(),
        })
    }

    /// The bytes of the frame, without check sequence or padding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len().saturating_add(18));
        out.extend(self.destination);
        out.extend(self.source);
        if let Some(id) = self.vlan {
            out.extend(ethertype::VLAN.to_be_bytes());
            out.extend((id & 0xfff).to_be_bytes());
        }
        out.extend(self.ethertype.to_be_bytes());
        out.extend(self.payload);
        out
    }
}

/// An ARP packet for IPv4 over Ethernet (RFC 826).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Who sends it.
    pub sender_mac: [u8; 6],
    /// Its address.
    pub sender: Ipv4Addr,
    /// Whom it is about; zero in a request.
    pub target_mac: [u8; 6],
    /// Its address.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Reads an ARP packet, only of IPv4 over Ethernet.
    pub fn decode(bytes: &[u8]) -> Result<Arp, Malformed> {
        let mut r = Reader::new("ARP (RFC 826)", bytes);
        if r.array::<6>("hardware and protocol types and lengths")? != [0, 1, 8, 0, 6, 4] {
            return Err(r.bad("IPv4 over Ethernet"));
        }
        Ok(Arp {
            operation: r.u16("an operation")?,
            sender_mac: r.array("a sender's hardware address")?,
            sender: r.array::<4>("a sender's address")?.into(),
            target_mac: r.array("a target's hardware address")?,
            target: r.array::<4>("a target's address")?.into(),
        })
    }

    /// The bytes of the packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0, 1, 8, 0, 6, 4];
        out.extend(self.operation.to_be_bytes());
        out.extend(self.sender_mac);
        out.extend(self.sender.octets());
        out.extend(self.target_mac);
        out.extend(self.target.octets());
        out
    }
}

/// A VXLAN packet, as a UDP payload (RFC 7348, 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vxlan<'a> {
    /// Network identifier, 24 bits.
    pub vni: u32,
    /// The inner Ethernet frame.
    pub frame: &'a [u8],
}

impl<'a> Vxlan<'a> {
    /// Reads the header; the I flag must be set.
    pub fn decode(bytes: &'a [u8]) -> Result<Vxlan<'a>, Malformed> {
        let mut r = Reader::new("VXLAN (RFC 7348)", bytes);
        let [flags, ..] = r.array::<4>("flags")?;
        if flags & 0x08 == 0 {
            return Err(r.bad("the I flag"));
        }
        let vni = r.u32("a network identifier")? >> 8;
        Ok(Vxlan {
            vni,
            frame: r.rest(),
        })
    }

    /// The bytes of the header and the frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0x08, 0, 0, 0];
        out.extend((self.vni << 8).to_be_bytes());
        out.extend(self.frame);
        out
    }
}

/// The Internet checksum (RFC 1071) over pieces as if they stood behind each other; every piece
/// but the last must have an even length.
pub fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for piece in pieces {
        for pair in piece.chunks(2) {
            let word = match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                [high] => u16::from_be_bytes([*high, 0]),
                _ => 0,
            };
            sum = sum.wrapping_add(u64::from(word));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
    }
    !(sum as u16)
}

/// A place in a header of a named format.
pub(crate) struct Reader<'a> {
    format: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(format: &'static str, bytes: &'a [u8]) -> Reader<'a> {
        Reader {
            format,
            bytes,
            at: 0,
        }
    }

    pub(crate) fn bad(&self, expected: &'static str) -> Malformed {
        Malformed {
            format: self.format,
            at: self.at,
            expected,
        }
    }

    pub(crate) fn take(&mut self, n: usize, expected: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(n).ok_or(self.bad(expected))?;
        let taken = self.bytes.get(self.at..end).ok_or(self.bad(expected))?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        expected: &'static str,
    ) -> Result<[u8; N], Malformed> {
        let taken = self.take(N, expected)?;
        taken.try_into().map_err(|_| self.bad(expected))
    }

    pub(crate) fn u8(&mut self, expected: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn u16(&mut self, expected: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn u32(&mut self, expected: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}
