//! Frames of WebSocket (RFC 6455, 5.2).

use crate::Malformed;

/// What a frame is (RFC 6455, 11.8).
pub mod opcode {
    /// More of the message before.
    pub const CONTINUATION: u8 = 0;
    /// UTF-8 text.
    pub const TEXT: u8 = 1;
    /// Bytes.
    pub const BINARY: u8 = 2;
    /// The end, with a number and a reason.
    pub const CLOSE: u8 = 8;
    /// A question whether somebody is there.
    pub const PING: u8 = 9;
    /// The answer to it.
    pub const PONG: u8 = 10;
}

/// What is put behind the client's key before it is hashed (RFC 6455, 1.3).
pub const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// One frame, its payload unmasked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The last of its message.
    pub last: bool,
    /// One of [`opcode`].
    pub opcode: u8,
    /// It came masked, as a client's must.
    pub masked: bool,
    /// Its content.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message.
    pub fn whole(opcode: u8, payload: impl Into<Vec<u8>>) -> Frame {
        Frame {
            last: true,
            opcode,
            masked: false,
            payload: payload.into(),
        }
    }

    /// The end of a connection, with its number (RFC 6455, 7.4) and reason.
    pub fn close(number: u16, reason: &str) -> Frame {
        let mut payload = number.to_be_bytes().to_vec();
        let short: String = reason.chars().take(40).collect();
        payload.extend(short.as_bytes().iter().take(123));
        Frame::whole(opcode::CLOSE, payload)
    }

    /// The number in a close frame; none where there is none.
    pub fn number(&self) -> Option<u16> {
        Some(u16::from_be_bytes([
            *self.payload.first()?,
            *self.payload.get(1)?,
        ]))
    }

    /// Reads a frame of at most `most` bytes of payload; none while it has not come whole. Gives the bytes it took.
    pub fn decode(bytes: &[u8], most: u64) -> Result<Option<(Frame, usize)>, Malformed> {
        let bad = |at, expected| Malformed {
            format: "WebSocket frame (RFC 6455)",
            at,
            expected,
        };
        let [first, second, ..] = *bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(bad(0, "no reserved bits"));
        }
        let opcode = first & 0x0f;
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Err(bad(0, "a known kind of frame"));
        }
        let (last, masked) = (first & 0x80 != 0, second & 0x80 != 0);
        let (length, mut at) = match second & 0x7f {
            126 => match bytes.get(2..4) {
                Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4usize),
                _ => return Ok(None),
            },
            127 => match bytes.get(2..10).and_then(|b| b.try_into().ok()) {
                Some(long) => (u64::from_be_bytes(long), 10),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        if opcode >= opcode::CLOSE && (length > 125 || !last) {
            return Err(bad(1, "a control frame in one piece of at most 125 bytes"));
        }
        if length > most {
            return Err(bad(1, "a shorter frame"));
        }
        let mut mask = [0; 4];
        if masked {
            let Some(key) = bytes.get(at..at.saturating_add(4)) else {
                return Ok(None);
            };
            mask.copy_from_slice(key);
            at = at.saturating_add(4);
        }
        let end = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .saturating_add(at);
        let Some(payload) = bytes.get(at..end) else {
            return Ok(None);
        };
        let payload = masked_by(payload, mask);
        Ok(Some((
            Frame {
                last,
                opcode,
                masked,
                payload,
            },
            end,
        )))
    }

    /// Bytes of the frame, masked by a key where a client sends it.
    pub fn encode(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut out = vec![self.opcode & 0x0f | if self.last { 0x80 } else { 0 }];
        let flag = if mask.is_some() { 0x80 } else { 0 };
        match self.payload.len() {
            n @ 0..126 => out.push(flag | n as u8),
            n @ 126..65_536 => {
                out.push(flag | 126);
                out.extend((n as u16).to_be_bytes());
            }
            n => {
                out.push(flag | 127);
                out.extend((n as u64).to_be_bytes());
            }
        }
        out.extend(mask.into_iter().flatten());
        out.extend(masked_by(&self.payload, mask.unwrap_or_default()));
        out
    }
}

fn masked_by(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let key = mask.iter().cycle();
    payload.iter().zip(key).map(|(b, m)| b ^ m).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc() {
        // RFC 6455, 5.7.
        for (bytes, text, masked) in [
            (
                &[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f][..],
                "Hello",
                false,
            ),
            (
                &[
                    0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
                ],
                "Hello",
                true,
            ),
        ] {
            let (frame, taken) = Frame::decode(bytes, 99).unwrap().unwrap();
            assert_eq!(
                (frame.payload.as_slice(), taken),
                (text.as_bytes(), bytes.len())
            );
            assert_eq!((frame.opcode, frame.masked, frame.last), (1, masked, true));
            let mask = masked.then_some([0x37, 0xfa, 0x21, 0x3d]);
            assert_eq!(frame.encode(mask), bytes);
        }
        for length in [0, 125, 126, 65_535, 65_536] {
            let frame = Frame::whole(opcode::BINARY, vec![7; length]);
            let bytes = frame.encode(None);
            assert_eq!(
                Frame::decode(&bytes, 1 << 20),
                Ok(Some((frame, bytes.len())))
            );
        }
    }

    #[test]
    fn what_the_rfc_forbids_is_refused() {
        for (bytes, why) in [
            (&[0xc1, 0][..], "a reserved bit"),
            (&[0x83, 0], "a kind that nobody knows"),
            (&[0x09, 0], "a ping in pieces"),
            (&[0x88, 126, 0, 126], "a long close"),
            (&[0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0], "no end"),
        ] {
            assert!(Frame::decode(bytes, 1 << 20).is_err(), "{why}");
        }
        assert_eq!(Frame::close(1000, "bye").number(), Some(1000));
    }

    #[test]
    fn fuzz() {
        let valid = Frame::whole(opcode::TEXT, "hello, world").encode(Some([1, 2, 3, 4]));
        crate::fuzz::mutations(&valid, 30_000, |bytes| {
            if let Ok(Some((frame, taken))) = Frame::decode(bytes, 1 << 16) {
                assert!(taken <= bytes.len());
                let again = frame.encode(frame.masked.then_some([9, 8, 7, 6]));
                let back = Frame::decode(&again, 1 << 16).unwrap().unwrap().0;
                assert_eq!(back, frame);
            }
        });
    }
}
