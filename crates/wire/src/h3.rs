//! HTTP/3 (RFC 9114): its frames and fields, and a client's side of the streams as machines without sockets. QUIC below it is
//! somebody else's: what a stream brought goes in, in its order.
//!
//! Reading order: [`Frame`], [`qpack`] (header fields), [`response`] (what comes on a request's stream), [`peer`] (what the
//! server says of the connection).
//!
//! Deliberately absent: pushes, and the dynamic table of QPACK: a client that grants neither is promised that neither comes,
//! and a server that sends one breaks the rules.

pub mod peer;
pub mod qpack;
pub mod response;
#[cfg(test)]
mod tests;

use crate::Malformed;

/// Kinds of frames (RFC 9114, 7.2).
#[allow(missing_docs)] // each is the RFC's own word
pub mod kind {
    pub const DATA: u64 = 0;
    pub const HEADERS: u64 = 1;
    pub const CANCEL_PUSH: u64 = 3;
    pub const SETTINGS: u64 = 4;
    pub const PUSH_PROMISE: u64 = 5;
    pub const GOAWAY: u64 = 7;
    pub const MAX_PUSH_ID: u64 = 0xd;
    /// Those of HTTP/2 that must not be seen here (7.2.8).
    pub const FORBIDDEN: [u64; 4] = [2, 6, 8, 9];
}

/// Kinds of streams in one direction (RFC 9114, 6.2; RFC 9204, 4.2).
#[allow(missing_docs)] // each is the RFC's own word
pub mod lane {
    pub const CONTROL: u64 = 0;
    pub const PUSH: u64 = 1;
    pub const ENCODER: u64 = 2;
    pub const DECODER: u64 = 3;
}

/// Why a stream or a connection ends (RFC 9114, 8.1; RFC 9204, 6).
#[allow(missing_docs)] // each is the RFC's own word
pub mod why {
    pub const NO_ERROR: u64 = 0x100;
    pub const STREAM_CREATION_ERROR: u64 = 0x103;
    pub const CLOSED_CRITICAL_STREAM: u64 = 0x104;
    pub const FRAME_UNEXPECTED: u64 = 0x105;
    pub const FRAME_ERROR: u64 = 0x106;
    pub const EXCESSIVE_LOAD: u64 = 0x107;
    pub const ID_ERROR: u64 = 0x108;
    pub const SETTINGS_ERROR: u64 = 0x109;
    pub const MISSING_SETTINGS: u64 = 0x10a;
    pub const REQUEST_REJECTED: u64 = 0x10b;
    pub const REQUEST_CANCELLED: u64 = 0x10c;
    pub const MESSAGE_ERROR: u64 = 0x10e;
    pub const DECOMPRESSION_FAILED: u64 = 0x200;
    pub const ENCODER_STREAM_ERROR: u64 = 0x201;
    pub const DECODER_STREAM_ERROR: u64 = 0x202;

    /// The RFC's word for a number.
    pub fn name(number: u64) -> &'static str {
        const NAMES: [&str; 17] = [
            "H3_NO_ERROR",
            "H3_GENERAL_PROTOCOL_ERROR",
            "H3_INTERNAL_ERROR",
            "H3_STREAM_CREATION_ERROR",
            "H3_CLOSED_CRITICAL_STREAM",
            "H3_FRAME_UNEXPECTED",
            "H3_FRAME_ERROR",
            "H3_EXCESSIVE_LOAD",
            "H3_ID_ERROR",
            "H3_SETTINGS_ERROR",
            "H3_MISSING_SETTINGS",
            "H3_REQUEST_REJECTED",
            "H3_REQUEST_CANCELLED",
            "H3_REQUEST_INCOMPLETE",
            "H3_MESSAGE_ERROR",
            "H3_CONNECT_ERROR",
            "H3_VERSION_FALLBACK",
        ];
        match number {
            DECOMPRESSION_FAILED => "QPACK_DECOMPRESSION_FAILED",
            ENCODER_STREAM_ERROR => "QPACK_ENCODER_STREAM_ERROR",
            DECODER_STREAM_ERROR => "QPACK_DECODER_STREAM_ERROR",
            _ => {
                let at = number.checked_sub(NO_ERROR);
                let at = at.and_then(|n| usize::try_from(n).ok());
                at.and_then(|n| NAMES.get(n)).copied().unwrap_or("unknown")
            }
        }
    }
}

/// The server broke the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// One of [`why`].
    pub number: u64,
    /// What it did.
    pub what: &'static str,
    /// The connection is over, not the stream alone.
    pub whole: bool,
}

/// Of the connection.
pub(crate) fn fault(number: u64, what: &'static str) -> Fault {
    Fault {
        number,
        what,
        whole: true,
    }
}

/// Of a stream.
pub(crate) fn of_stream(number: u64, what: &'static str) -> Fault {
    Fault {
        number,
        what,
        whole: false,
    }
}

/// An integer of QUIC (RFC 9000, 16) and the bytes it took; none while it is not whole.
pub fn integer(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1usize << (first >> 6);
    let mut value = u64::from(first & 0x3f);
    for byte in bytes.get(1..length)? {
        value = value << 8 | u64::from(*byte);
    }
    Some((value, length))
}

/// Writes an integer of QUIC in as few bytes as hold it; what is too large becomes the largest.
pub fn put_integer(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend((value as u16 | 0x4000).to_be_bytes()),
        0x4000..=0x3fff_ffff => out.extend((value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend((value.min((1 << 62) - 1) | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`], or one that nobody knows.
    pub kind: u64,
    /// What it holds.
    pub payload: Vec<u8>,
}

impl Frame {
    /// One to be sent.
    pub fn new(kind: u64, payload: impl Into<Vec<u8>>) -> Frame {
        Frame {
            kind,
            payload: payload.into(),
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len().saturating_add(16));
        put_integer(&mut out, self.kind);
        put_integer(&mut out, self.payload.len() as u64);
        out.extend_from_slice(&self.payload);
        out
    }

    /// Kind and length of the frame that begins here, and the bytes they took; none while they are not whole.
    pub fn head(bytes: &[u8]) -> Option<(u64, u64, usize)> {
        let (kind, first) = integer(bytes)?;
        let (length, second) = integer(bytes.get(first..)?)?;
        Some((kind, length, first.saturating_add(second)))
    }

    /// Reads one whole frame of at most `most` bytes; none while it is not whole.
    pub fn decode(bytes: &[u8], most: usize) -> Result<Option<(Frame, usize)>, Malformed> {
        let Some((kind, length, at)) = Frame::head(bytes) else {
            return Ok(None);
        };
        let length = usize::try_from(length).ok().filter(|n| *n <= most);
        let length = length.ok_or(Malformed {
            format: "HTTP/3 frame (RFC 9114)",
            at: 0,
            expected: "a shorter frame",
        })?;
        let end = at.saturating_add(length);
        let payload = bytes.get(at..end);
        Ok(payload.map(|p| (Frame::new(kind, p), end)))
    }
}

/// Longest list of fields that is taken, as SETTINGS_MAX_FIELD_SECTION_SIZE says it.
pub const LONGEST_FIELDS: u64 = crate::hpack::MOST as u64;

/// What a client says first, on its control stream: the stream's kind and its settings.
pub fn hello() -> Vec<u8> {
    let mut settings = Vec::new();
    // SETTINGS_MAX_FIELD_SECTION_SIZE (RFC 9114, 7.2.4.1); what is not said of QPACK is 0.
    put_integer(&mut settings, 6);
    put_integer(&mut settings, LONGEST_FIELDS);
    let mut out = vec![lane::CONTROL as u8];
    out.extend(Frame::new(kind::SETTINGS, settings).encode());
    out
}
