//! HTTP/2 (RFC 9113): its frames, and a client's side of a connection as a machine ([`client`]).

pub mod client;
mod stream;
#[cfg(test)]
mod tests;

use crate::Malformed;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Largest frame that is taken and sent, SETTINGS_MAX_FRAME_SIZE's first value (RFC 9113, 6.5.2).
pub const MAX_FRAME: usize = 16_384;
/// What may be sent before anything is given back (RFC 9113, 6.9.2).
pub const WINDOW: i64 = 65_535;

/// Kinds of frames (RFC 9113, 6).
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// RST_STREAM
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// PUSH_PROMISE
    pub const PUSH_PROMISE: u8 = 5;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION
    pub const CONTINUATION: u8 = 9;
}

/// Why a stream or a connection ends (RFC 9113, 7).
#[allow(missing_docs)] // each is the RFC's own word
pub mod why {
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    pub const FRAME_SIZE_ERROR: u32 = 6;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const COMPRESSION_ERROR: u32 = 9;
    pub const ENHANCE_YOUR_CALM: u32 = 11;

    /// The RFC's word for a number.
    pub fn name(number: u32) -> &'static str {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        NAMES.get(at).copied().unwrap_or("unknown")
    }
}

/// Flags of frames.
pub mod flag {
    /// Of SETTINGS and PING: an answer.
    pub const ACK: u8 = 1;
    /// Of DATA and HEADERS: the last one.
    pub const END_STREAM: u8 = 1;
    /// Of HEADERS and CONTINUATION: the block is whole.
    pub const END_HEADERS: u8 = 4;
    /// A length and as much padding.
    pub const PADDED: u8 = 8;
    /// Of HEADERS: five bytes of priority.
    pub const PRIORITY: u8 = 0x20;
}

/// One frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`].
    pub kind: u8,
    /// Of [`flag`].
    pub flags: u8,
    /// 0 is the connection.
    pub stream: u32,
    /// As it came.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame to be sent.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// Reads one; none while it has not come whole. Gives the bytes it took.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Malformed> {
        let Some(&[a, b, c, kind, flags, s, t, u, v]) = bytes.first_chunk::<9>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > MAX_FRAME {
            return Err(Malformed {
                format: "HTTP/2 frame (RFC 9113)",
                at: 0,
                expected: "a frame of at most 16384 bytes",
            });
        }
        let end = length.saturating_add(9);
        let Some(payload) = bytes.get(9..end) else {
            return Ok(None);
        };
        let stream = u32::from_be_bytes([s, t, u, v]) & 0x7fff_ffff;
        Ok(Some((Frame::new(kind, flags, stream, payload), end)))
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let [_, a, b, c] = (self.payload.len() as u32).to_be_bytes();
        let mut bytes = vec![a, b, c, self.kind, self.flags];
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of HEADERS, CONTINUATION or DATA without padding and priority (RFC 9113, 6.1, 6.2).
    pub fn content(&self) -> &[u8] {
        let mut bytes = self.payload.as_slice();
        if self.kind == kind::CONTINUATION {
            return bytes;
        }
        if self.has(flag::PADDED) {
            let Some((length, rest)) = bytes.split_first() else {
                return &[];
            };
            let end = rest.len().saturating_sub(usize::from(*length));
            bytes = rest.get(..end).unwrap_or_default();
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            bytes = bytes.get(5..).unwrap_or_default();
        }
        bytes
    }

    /// The number in the first four bytes: what a WINDOW_UPDATE gives, why a stream was reset.
    pub fn number(&self) -> u32 {
        self.payload
            .first_chunk::<4>()
            .map_or(0, |b| u32::from_be_bytes(*b))
    }

    /// The pairs of SETTINGS.
    pub fn settings(&self) -> Vec<(u16, u32)> {
        let pairs = self.payload.chunks_exact(6);
        let one = |p: &[u8]| match *p {
            [a, b, c, d, e, f] => (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])),
            _ => (0, 0),
        };
        pairs.map(one).collect()
    }
}
