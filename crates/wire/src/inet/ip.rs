//! IPv4 (RFC 791) and IPv6 (RFC 8200).

use super::{Reader, checksum};
use crate::Malformed;
use std::net::IpAddr;

/// An IP packet of either version; IPv6 extension headers are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip<'a> {
    /// Source.
    pub source: IpAddr,
    /// Destination.
    pub destination: IpAddr,
    /// Protocol of the payload, [`super::protocol`]; 59 (none) where extension headers go on
    /// behind what is there.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Length of the whole packet as the header says, bytes; may be more than is there.
    pub length: usize,
    /// IPv4's DF; always true for IPv6.
    pub dont_fragment: bool,
    /// Set for a fragment.
    pub fragment: Option<Fragment>,
    /// Length of headers and extension headers, bytes.
    pub header: usize,
    /// What follows the headers, without link padding.
    pub payload: &'a [u8],
}

/// A piece of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Identification.
    pub id: u32,
    /// Where it starts in the whole payload, bytes.
    pub offset: u32,
    /// More follow.
    pub more: bool,
}

/// Extension headers followed at most.
const MAX_EXTENSIONS: usize = 16;
/// "No next header" (RFC 8200, 4.7).
const NONE: u8 = 59;

impl<'a> Ip<'a> {
    /// Reads a packet of either version from its first byte on.
    pub fn decode(bytes: &'a [u8]) -> Result<Ip<'a>, Malformed> {
        match bytes.first().map(|b| b >> 4) {
            Some(4) => v4(bytes),
            Some(6) => v6(bytes),
            _ => Err(Malformed {
                format: "IP packet",
                at: 0,
                expected: "version 4 or 6",
            }),
        }
    }

    /// Bytes of payload that the header promises.
    pub fn payload_length(&self) -> usize {
        self.length.saturating_sub(self.header)
    }

    /// The ports' part: not in a fragment behind the first.
    pub fn is_first(&self) -> bool {
        self.fragment.is_none_or(|f| f.offset == 0)
    }

    /// Checksum of TCP, UDP or ICMPv6 over its pseudo header (RFC 9293 3.1, RFC 8200 8.1) and
    /// `payload`; 0 where it is right already.
    pub fn checksum(&self, payload: &[u8]) -> u16 {
        pseudo_checksum(self.source, self.destination, self.protocol, payload)
    }
}

pub(super) fn pseudo_checksum(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    payload: &[u8],
) -> u16 {
    let len = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let tail = [0, 0, 0, protocol];
    match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            checksum(&[&s.octets(), &d.octets(), &len, &tail, payload])
        }
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            checksum(&[&s.octets(), &d.octets(), &len, &tail, payload])
        }
        _ => 0,
    }
}

fn v4(bytes: &[u8]) -> Result<Ip<'_>, Malformed> {
    let mut r = Reader::new("IPv4 header (RFC 791)", bytes);
    let words = usize::from(r.u8("version and length")? & 0xf);
    if words < 5 {
        return Err(r.bad("a header of at least 20 bytes"));
    }
    r.u8("a type of service")?;
    let length = usize::from(r.u16("a total length")?);
    let id = r.u16("an identification")?;
    let flags = r.u16("flags and fragment offset")?;
    let hop_limit = r.u8("a time to live")?;
    let protocol = r.u8("a protocol")?;
    r.u16("a checksum")?;
    let source = IpAddr::from(r.array::<4>("a source")?);
    let destination = IpAddr::from(r.array::<4>("a destination")?);
    let header = words.saturating_mul(4);
    r.take(header.saturating_sub(20), "options")?;
    // Large receive offload can leave a length of 0 for what does not fit into 16 bits.
    let length = if length == 0 { bytes.len() } else { length };
    if length < header {
        return Err(r.bad("a total length that covers the header"));
    }
    let (offset, more) = (
        u32::from(flags & 0x1fff).saturating_mul(8),
        flags & 0x2000 != 0,
    );
    let fragment = (offset > 0 || more).then_some(Fragment {
        id: u32::from(id),
        offset,
        more,
    });
    let payload = bounded(r.rest(), length.saturating_sub(header));
    let dont_fragment = flags & 0x4000 != 0;
    Ok(Ip {
        source,
        destination,
        protocol,
        hop_limit,
        length,
        dont_fragment,
        fragment,
        header,
        payload,
    })
}

fn v6(bytes: &[u8]) -> Result<Ip<'_>, Malformed> {
    let mut r = Reader::new("IPv6 header (RFC 8200)", bytes);
    r.u32("version, class and flow")?;
    let said = usize::from(r.u16("a payload length")?);
    let mut protocol = r.u8("a next header")?;
    let hop_limit = r.u8("a hop limit")?;
    let source = IpAddr::from(r.array::<16>("a source")?);
    let destination = IpAddr::from(r.array::<16>("a destination")?);
    // A jumbo payload (RFC 2675) or large receive offload says 0.
    let length = if said == 0 {
        bytes.len()
    } else {
        said.saturating_add(40)
    };
    let mut fragment = None;
    for _ in 0..MAX_EXTENSIONS {
        match protocol {
            // Hop-by-hop, routing, destination options, mobility, HIP, Shim6: length in 8 bytes, the first not counted.
            0 | 43 | 60 | 135 | 139 | 140 => {
                let Ok([next, len]) = r.array::<2>("an extension header") else {
                    break;
                };
                let rest = usize::from(len).saturating_mul(8).saturating_add(6);
                protocol = if r.take(rest, "an extension header").is_ok() {
                    next
                } else {
                    NONE
                };
            }
            44 => {
                let Ok([next, _, high, low, id @ ..]) = r.array::<8>("a fragment header") else {
                    protocol = NONE;
                    break;
                };
                let word = u16::from_be_bytes([high, low]);
                let offset = u32::from(word & 0xfff8);
                fragment = Some(Fragment {
                    id: u32::from_be_bytes(id),
                    offset,
                    more: word & 1 == 1,
                });
                protocol = next;
                if offset > 0 {
                    break;
                }
            }
            // Authentication header (RFC 4302): length in 4 bytes, the first two not counted.
            51 => {
                let Ok([next, len]) = r.array::<2>("an authentication header") else {
                    break;
                };
                let rest = usize::from(len).saturating_mul(4).saturating_add(6);
                protocol = if r.take(rest, "an authentication header").is_ok() {
                    next
                } else {
                    NONE
                };
            }
            _ => break,
        }
    }
    let header = r.at();
    let payload = bounded(r.rest(), length.saturating_sub(header));
    Ok(Ip {
        source,
        destination,
        protocol,
        hop_limit,
        length,
        dont_fragment: true,
        fragment,
        header,
        payload,
    })
}

fn bounded(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

/// A packet around a payload, hop limit 64, DF set; the version is the addresses'. None where the
/// versions differ or the payload is too long.
pub fn build_ip(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(payload.len().saturating_add(40));
    match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            let length = u16::try_from(payload.len().checked_add(20)?)
                .ok()?
                .to_be_bytes();
            out.extend([0x45, 0]);
            out.extend(length);
            out.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            out.extend(s.octets());
            out.extend(d.octets());
            let sum = checksum(&[&out]).to_be_bytes();
            out.get_mut(10..12)?.copy_from_slice(&sum);
        }
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            let length = u16::try_from(payload.len()).ok()?.to_be_bytes();
            out.extend([0x60, 0, 0, 0]);
            out.extend(length);
            out.extend([protocol, 64]);
            out.extend(s.octets());
            out.extend(d.octets());
        }
        _ => return None,
    }
    out.extend(payload);
    Some(out)
}
