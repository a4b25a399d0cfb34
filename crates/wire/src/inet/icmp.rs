//! ICMP for IPv4 (RFC 792, 1191) and IPv6 (RFC 4443).

use super::{Reader, checksum};
use crate::Malformed;

/// An ICMP message of either version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp<'a> {
    /// For IPv6.
    pub v6: bool,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The four bytes behind the checksum.
    pub word: u32,
    /// What follows: echo data, or the packet an error is about.
    pub payload: &'a [u8],
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Echo request.
    EchoRequest {
        /// Identifier.
        id: u16,
        /// Sequence number.
        seq: u16,
    },
    /// Echo reply.
    EchoReply {
        /// Identifier.
        id: u16,
        /// Sequence number.
        seq: u16,
    },
    /// "Fragmentation needed" or "packet too big".
    TooBig {
        /// MTU of the next hop, bytes; 0 from a router older than RFC 1191.
        mtu: u32,
        /// The beginning of the packet.
        about: &'a [u8],
    },
    /// Destination unreachable, any other code.
    Unreachable {
        /// Code.
        code: u8,
        /// The beginning of the packet.
        about: &'a [u8],
    },
    /// Time to live exceeded, or time for the fragments.
    TimeExceeded {
        /// Code.
        code: u8,
        /// The beginning of the packet.
        about: &'a [u8],
    },
    /// Anything else.
    Other,
}

impl<'a> Icmp<'a> {
    /// Reads a message; `v6` says of which version.
    pub fn decode(v6: bool, bytes: &'a [u8]) -> Result<Icmp<'a>, Malformed> {
        let mut r = Reader::new("ICMP message (RFC 792, 4443)", bytes);
        let (kind, code) = (r.u8("a type")?, r.u8("a code")?);
        r.u16("a checksum")?;
        let word = r.u32("the rest of the header")?;
        Ok(Icmp {
            v6,
            kind,
            code,
            word,
            payload: r.rest(),
        })
    }

    /// What it says.
    pub fn message(&self) -> Message<'a> {
        let (id, seq) = ((self.word >> 16) as u16, self.word as u16);
        let (code, about) = (self.code, self.payload);
        match (self.v6, self.kind) {
            (false, 8) | (true, 128) => Message::EchoRequest { id, seq },
            (false, 0) | (true, 129) => Message::EchoReply { id, seq },
            (false, 3) if code == 4 => Message::TooBig {
                mtu: self.word & 0xffff,
                about,
            },
            (true, 2) => Message::TooBig {
                mtu: self.word,
                about,
            },
            (false, 3) | (true, 1) => Message::Unreachable { code, about },
            (false, 11) | (true, 3) => Message::TimeExceeded { code, about },
            _ => Message::Other,
        }
    }

    /// The packet an error message is about; none for other messages.
    pub fn about(&self) -> Option<&'a [u8]> {
        match self.message() {
            Message::TooBig { about, .. }
            | Message::Unreachable { about, .. }
            | Message::TimeExceeded { about, .. } => Some(about),
            _ => None,
        }
    }

    /// Type and code in words.
    pub fn words(v6: bool, kind: u8, code: u8) -> String {
        let text = match (v6, kind, code) {
            (false, 3, 0) | (true, 1, 0) => "network unreachable",
            (false, 3, 1) | (true, 1, 3) => "host unreachable",
            (false, 3, 2) => "protocol unreachable",
            (false, 3, 3) | (true, 1, 4) => "port unreachable",
            (false, 3, 4) => "fragmentation needed",
            (false, 3, 9) => "network administratively prohibited",
            (false, 3, 10) => "host administratively prohibited",
            (false, 3, 13) | (true, 1, 1) => "communication administratively prohibited",
            (true, 1, 2) => "beyond scope of source address",
            (true, 1, 5) => "source address failed policy",
            (true, 1, 6) => "reject route to destination",
            (true, 2, _) => "packet too big",
            (false, 11, 0) | (true, 3, 0) => "time to live exceeded",
            (false, 11, _) | (true, 3, _) => "fragment reassembly time exceeded",
            _ => return format!("ICMP{} type {kind} code {code}", if v6 { "v6" } else { "" }),
        };
        text.to_string()
    }
}

/// An echo request with `data` behind it. The checksum is IPv4's; for IPv6 the kernel fills it in.
pub fn build_echo(v6: bool, id: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len().saturating_add(8));
    out.extend([if v6 { 128 } else { 8 }, 0, 0, 0]);
    out.extend(id.to_be_bytes());
    out.extend(seq.to_be_bytes());
    out.extend(data);
    if !v6 {
        let sum = checksum(&[&out]).to_be_bytes();
        if let Some(field) = out.get_mut(2..4) {
            field.copy_from_slice(&sum);
        }
    }
    out
}
