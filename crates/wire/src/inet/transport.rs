//! TCP (RFC 9293) and UDP (RFC 768).

use super::{Reader, ip::pseudo_checksum, protocol};
use crate::Malformed;
use std::net::SocketAddr;

/// A TCP segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number of the first byte (or of the SYN).
    pub seq: u32,
    /// Next byte expected, where ACK is set.
    pub ack: u32,
    /// Flags, [`Tcp::FIN`] and so on.
    pub flags: u8,
    /// Window as sent, not scaled.
    pub window: u16,
    /// Length of the header with options, bytes.
    pub header: usize,
    /// Options as sent.
    pub options: &'a [u8],
    /// Data.
    pub payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment number counts.
    pub const ACK: u8 = 0x10;

    /// Reads a segment. Options that a capture cut off are those that are there.
    pub fn decode(bytes: &'a [u8]) -> Result<Tcp<'a>, Malformed> {
        let mut r = Reader::new("TCP header (RFC 9293)", bytes);
        let (source, destination) = (r.u16("a source port")?, r.u16("a destination port")?);
        let (seq, ack) = (
            r.u32("a sequence number")?,
            r.u32("an acknowledgment number")?,
        );
        let (offset, flags) = (r.u8("a data offset")?, r.u8("flags")?);
        let window = r.u16("a window")?;
        r.u32("a checksum and an urgent pointer")?;
        let header = usize::from(offset >> 4).saturating_mul(4);
        if header < 20 {
            return Err(r.bad("a header of at least 20 bytes"));
        }
        let rest = r.rest();
        let (options, payload) = rest
            .split_at_checked(header.saturating_sub(20))
            .unwrap_or((rest, &[]));
        Ok(Tcp {
            source,
            destination,
            seq,
            ack,
            flags,
            window,
            header,
            options,
            payload,
        })
    }

    /// All of these flags are set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The MSS option, bytes.
    pub fn mss(&self) -> Option<u16> {
        let mut rest = self.options;
        loop {
            rest = match rest {
                [1, rest @ ..] => rest,
                [2, 4, high, low, ..] => return Some(u16::from_be_bytes([*high, *low])),
                [0, ..] | [] | [_] => return None,
                [_, len, ..] => rest.get(usize::from(*len).max(2)..)?,
            };
        }
    }
}

/// A UDP datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Length of header and payload as the header says, bytes.
    pub length: usize,
    /// Payload.
    pub payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Reads a datagram.
    pub fn decode(bytes: &'a [u8]) -> Result<Udp<'a>, Malformed> {
        let mut r = Reader::new("UDP header (RFC 768)", bytes);
        let (source, destination) = (r.u16("a source port")?, r.u16("a destination port")?);
        let length = usize::from(r.u16("a length")?);
        r.u16("a checksum")?;
        let rest = r.rest();
        // A jumbogram (RFC 2675) says 0.
        let payload = if length == 0 {
            rest
        } else {
            rest.get(..length.saturating_sub(8)).unwrap_or(rest)
        };
        Ok(Udp {
            source,
            destination,
            length,
            payload,
        })
    }
}

fn with_checksum(
    mut out: Vec<u8>,
    at: usize,
    source: SocketAddr,
    destination: SocketAddr,
    number: u8,
) -> Vec<u8> {
    let sum = pseudo_checksum(source.ip(), destination.ip(), number, &out);
    // UDP's 0 means "none" (RFC 768).
    let sum = if sum == 0 && number == protocol::UDP {
        0xffff
    } else {
        sum
    };
    if let Some(field) = out.get_mut(at..at.saturating_add(2)) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    out
}

/// A datagram with its checksum; none where the payload is too long.
pub fn build_udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(payload.len().checked_add(8)?).ok()?;
    let mut out = Vec::with_capacity(usize::from(length));
    for word in [source.port(), destination.port(), length, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(payload);
    Some(with_checksum(out, 6, source, destination, protocol::UDP))
}

/// A segment with its checksum; ports are those of the addresses, options are padded to 4 bytes.
/// None where the options are too long.
pub fn build_tcp(
    source: SocketAddr,
    destination: SocketAddr,
    segment: &Tcp<'_>,
) -> Option<Vec<u8>> {
    let words = segment
        .options
        .len()
        .div_ceil(4)
        .checked_add(5)
        .filter(|w| *w < 16)?;
    let mut out = Vec::with_capacity(segment.payload.len().saturating_add(60));
    out.extend(source.port().to_be_bytes());
    out.extend(destination.port().to_be_bytes());
    out.extend(segment.seq.to_be_bytes());
    out.extend(segment.ack.to_be_bytes());
    out.extend([(words << 4) as u8, segment.flags]);
    out.extend(segment.window.to_be_bytes());
    out.extend([0; 4]);
    out.extend(segment.options);
    out.resize(words.saturating_mul(4), 0);
    out.extend(segment.payload);
    Some(with_checksum(out, 16, source, destination, protocol::TCP))
}
