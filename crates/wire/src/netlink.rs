//! Netlink frames and attributes (linux/netlink.h).
//!
//! Numbers travel in the byte order of the machine, except where the `be` methods are used
//! (netfilter, addresses, ports: network order). Everything is padded to four bytes.

use crate::Malformed;

/// Length of `struct nlmsghdr`, bytes.
pub const HEADER: usize = 16;
/// `NLM_F_REQUEST`: goes to the kernel.
pub const REQUEST: u16 = 0x1;
/// `NLM_F_MULTI`: one of several, ended by [`DONE`].
pub const MULTI: u16 = 0x2;
/// `NLM_F_ACK`: answer even when it worked.
pub const ACK: u16 = 0x4;
/// `NLM_F_DUMP_INTR`: the table changed while it was dumped.
pub const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLM_F_DUMP` of a GET: the whole table.
pub const DUMP: u16 = 0x300;
/// `NLM_F_REPLACE` of a NEW.
pub const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL` of a NEW: fail when it is there.
pub const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE` of a NEW: make it when it is not there.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND` of a NEW: put it behind the others.
pub const APPEND: u16 = 0x800;
/// `NLMSG_NOOP`
pub const NOOP: u16 = 1;
/// `NLMSG_ERROR`: an errno, 0 for an acknowledgement.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`: end of a dump.
pub const DONE: u16 = 3;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;
/// `NLA_TYPE_MASK`
const KIND: u16 = 0x3fff;
/// `NLM_F_CAPPED` of an error: the request is not quoted in full.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS` of an error: attributes follow.
const ACK_ATTRS: u16 = 0x200;

const FORMAT: &str = "netlink attribute";
const FRAME: &str = "netlink message";

/// Rounds up to the next multiple of four, which every length here is padded to.
fn padded(len: usize) -> usize {
    len.saturating_add(3) & !3
}

/// The first `N` bytes, if there are as many.
fn first<const N: usize>(
    bytes: &[u8],
    format: &'static str,
    expected: &'static str,
) -> Result<[u8; N], Malformed> {
    bytes.first_chunk::<N>().copied().ok_or(Malformed {
        format,
        at: bytes.len(),
        expected,
    })
}

/// One attribute (`struct nlattr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its type, without the flag bits.
    pub kind: u16,
    /// Its payload, without padding.
    pub payload: &'a [u8],
}

impl<'a> Attr<'a> {
    /// One byte.
    pub fn u8(&self) -> Result<u8, Malformed> {
        first::<1>(self.payload, FORMAT, "1 byte").map(|[b]| b)
    }

    /// Two bytes in the machine's order.
    pub fn u16(&self) -> Result<u16, Malformed> {
        first(self.payload, FORMAT, "2 bytes").map(u16::from_ne_bytes)
    }

    /// Four bytes in the machine's order.
    pub fn u32(&self) -> Result<u32, Malformed> {
        first(self.payload, FORMAT, "4 bytes").map(u32::from_ne_bytes)
    }

    /// Eight bytes in the machine's order.
    pub fn u64(&self) -> Result<u64, Malformed> {
        first(self.payload, FORMAT, "8 bytes").map(u64::from_ne_bytes)
    }

    /// Two bytes in network order.
    pub fn be16(&self) -> Result<u16, Malformed> {
        first(self.payload, FORMAT, "2 bytes").map(u16::from_be_bytes)
    }

    /// Four bytes in network order.
    pub fn be32(&self) -> Result<u32, Malformed> {
        first(self.payload, FORMAT, "4 bytes").map(u32::from_be_bytes)
    }

    /// Eight bytes in network order.
    pub fn be64(&self) -> Result<u64, Malformed> {
        first(self.payload, FORMAT, "8 bytes").map(u64::from_be_bytes)
    }

    /// Text up to the first NUL; bytes that are not UTF-8 become U+FFFD.
    pub fn str(&self) -> String {
        let text = self.payload.split(|b| *b == 0).next().unwrap_or(&[]);
        String::from_utf8_lossy(text).into_owned()
    }

    /// The attributes inside.
    pub fn nested(&self) -> Attrs<'a> {
        Attrs::new(self.payload)
    }
}

/// Attributes one after the other; after bytes that do not fit, one error and then the end.
#[derive(Clone, Debug)]
pub struct Attrs<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Attrs<'a> {
    /// Over a payload, without the fixed header of its message.
    pub fn new(bytes: &'a [u8]) -> Self {
        Attrs { rest: bytes, at: 0 }
    }

    /// Over a payload that begins with a fixed header of `header` bytes.
    pub fn after(payload: &'a [u8], header: usize) -> Result<Self, Malformed> {
        let start = padded(header);
        match payload.get(start..) {
            Some(rest) => Ok(Attrs { rest, at: start }),
            // A header without attributes may lack its padding.
            None if payload.len() >= header => Ok(Attrs {
                rest: &[],
                at: payload.len(),
            }),
            None => Err(Malformed {
                format: FRAME,
                at: payload.len(),
                expected: "a whole fixed header",
            }),
        }
    }

    fn stop(&mut self, expected: &'static str) -> Option<Result<Attr<'a>, Malformed>> {
        self.rest = &[];
        Some(Err(Malformed {
            format: FORMAT,
            at: self.at,
            expected,
        }))
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(&[l0, l1, k0, k1]) = self.rest.first_chunk::<4>() else {
            return self.stop("a 4 byte attribute header");
        };
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(payload) = self.rest.get(4..len) else {
            return self.stop("an attribute length within the message");
        };
        let attr = Attr {
            kind: u16::from_ne_bytes([k0, k1]) & KIND,
            payload,
        };
        // The last attribute may lack its padding.
        self.rest = self.rest.get(padded(len)..).unwrap_or(&[]);
        self.at = self.at.saturating_add(padded(len));
        Some(Ok(attr))
    }
}

/// Writes attributes. An attribute holds at most 65531 bytes; a longer one gets that length and
/// makes a message which the kernel refuses, so split lists before.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// Nothing yet.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Begins with the fixed header of a message.
    pub fn after(header: &[u8]) -> Self {
        let mut bytes = header.to_vec();
        bytes.resize(padded(bytes.len()), 0);
        Builder { bytes }
    }

    /// Any payload.
    pub fn put(&mut self, kind: u16, payload: &[u8]) -> &mut Self {
        let len = u16::try_from(payload.len().saturating_add(4)).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&len.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(padded(self.bytes.len()), 0);
        self
    }

    /// One byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.put(kind, &[value])
    }

    /// Two bytes in the machine's order.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Four bytes in the machine's order.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Eight bytes in the machine's order.
    pub fn u64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Two bytes in network order.
    pub fn be16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Four bytes in network order.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Eight bytes in network order.
    pub fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Text, ended by a NUL.
    pub fn str(&mut self, kind: u16, text: &str) -> &mut Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// An attribute that holds what `inside` writes.
    pub fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Builder)) -> &mut Self {
        let mut inner = Builder::new();
        inside(&mut inner);
        self.put(kind | NESTED, &inner.bytes)
    }

    /// Bytes as they are, for the fixed header that some nested attributes begin with.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(padded(self.bytes.len()), 0);
        self
    }

    /// What was written; the builder is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// One message (`struct nlmsghdr` and what follows).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// `nlmsg_type`
    pub kind: u16,
    /// `nlmsg_flags`
    pub flags: u16,
    /// `nlmsg_seq`
    pub seq: u32,
    /// `nlmsg_pid`: the port of the socket it belongs to.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// Messages one after the other; after bytes that do not fit, one error and then the end.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    /// Over one datagram.
    pub fn new(bytes: &'a [u8]) -> Self {
        Frames { rest: bytes, at: 0 }
    }

    fn stop(&mut self, expected: &'static str) -> Option<Result<Frame<'a>, Malformed>> {
        self.rest = &[];
        Some(Err(Malformed {
            format: FRAME,
            at: self.at,
            expected,
        }))
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(
            &[
                l0,
                l1,
                l2,
                l3,
                k0,
                k1,
                f0,
                f1,
                s0,
                s1,
                s2,
                s3,
                p0,
                p1,
                p2,
                p3,
            ],
        ) = self.rest.first_chunk::<HEADER>()
        else {
            return self.stop("a 16 byte message header");
        };
        let len = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let Some(payload) = self.rest.get(HEADER..len) else {
            return self.stop("a message length within the datagram");
        };
        self.rest = self.rest.get(padded(len)..).unwrap_or(&[]);
        self.at = self.at.saturating_add(padded(len));
        Some(Ok(Frame {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            seq: u32::from_ne_bytes([s0, s1, s2, s3]),
            port: u32::from_ne_bytes([p0, p1, p2, p3]),
            payload,
        }))
    }
}

/// One message, padded so that another may follow.
pub fn message(kind: u16, flags: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
    let len = payload.len().saturating_add(HEADER);
    let mut bytes = Vec::with_capacity(padded(len));
    bytes.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&seq.to_ne_bytes());
    bytes.extend_from_slice(&0u32.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(padded(bytes.len()), 0);
    bytes
}

/// What the kernel says about a request: [`ERROR`], or the end of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The errno, positive; 0 when it worked.
    pub errno: i32,
    /// The kernel's own words (`NLMSGERR_ATTR_MSG`), empty for none.
    pub said: String,
}

impl Verdict {
    /// Reads the payload of an [`ERROR`] or [`DONE`] message; a [`DONE`] without a number is a success.
    pub fn read(frame: &Frame<'_>) -> Result<Verdict, Malformed> {
        if frame.kind == DONE && frame.payload.is_empty() {
            return Ok(Verdict::default());
        }
        let code = i32::from_ne_bytes(first(frame.payload, FRAME, "an error number")?);
        let mut verdict = Verdict {
            errno: code.checked_neg().unwrap_or(i32::MAX),
            said: String::new(),
        };
        if frame.flags & ACK_ATTRS == 0 {
            return Ok(verdict);
        }
        let quoted = if frame.kind == DONE {
            0
        } else if frame.flags & CAPPED != 0 {
            HEADER
        } else {
            let len = first(
                frame.payload.get(4..).unwrap_or(&[]),
                FRAME,
                "the refused message",
            )?;
            padded(usize::try_from(u32::from_ne_bytes(len)).unwrap_or(usize::MAX))
        };
        for attr in Attrs::after(frame.payload, quoted.saturating_add(4))? {
            let attr = attr?;
            if attr.kind == 1 {
                verdict.said = attr.str();
            }
        }
        Ok(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_written() {
        let bytes = Builder::new()
            .u8(1, 7)
            .u16(2, 0x0102)
            .be16(3, 0x0102)
            .u32(4, 9)
            .be32(5, 10)
            .u64(6, 11)
            .be64(7, 12)
            .str(8, "eth0")
            .nest(9, |b| {
                b.u32(1, 5).str(2, "x");
            })
            .finish();
        assert_eq!(bytes.len() % 4, 0);
        let attrs: Vec<_> = Attrs::new(&bytes).map(|a| a.unwrap()).collect();
        assert_eq!(
            attrs.iter().map(|a| a.kind).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7, 8, 9]
        );
        assert_eq!(attrs[0].u8(), Ok(7));
        assert_eq!(attrs[1].u16(), Ok(0x0102));
        assert_eq!(attrs[2].be16(), Ok(0x0102));
        assert_eq!(attrs[2].payload, [1, 2]);
        assert_eq!(attrs[3].u32(), Ok(9));
        assert_eq!(attrs[4].be32(), Ok(10));
        assert_eq!(attrs[5].u64(), Ok(11));
        assert_eq!(attrs[6].be64(), Ok(12));
        assert_eq!(attrs[7].str(), "eth0");
        assert_eq!(
            attrs[8]
                .nested()
                .map(|a| a.unwrap().kind)
                .collect::<Vec<_>>(),
            [1, 2]
        );
        assert!(attrs[0].u32().is_err());
    }

    #[test]
    fn frames_come_back_as_written() {
        let mut bytes = message(16, REQUEST, 1, &[1, 2, 3]);
        bytes.extend(message(17, ACK, 2, &[]));
        let frames: Vec<_> = Frames::new(&bytes).map(|f| f.unwrap()).collect();
        assert_eq!(frames.len(), 2);
        assert_eq!(
            (
                frames[0].kind,
                frames[0].flags,
                frames[0].seq,
                frames[0].payload
            ),
            (16, REQUEST, 1, &[1u8, 2, 3][..])
        );
        assert_eq!((frames[1].kind, frames[1].seq), (17, 2));
    }

    #[test]
    fn lengths_that_lie_end_the_walk() {
        for (bytes, expected) in [
            (
                &[3u8, 0, 1, 0][..],
                "an attribute length within the message",
            ),
            (
                &[9, 0, 1, 0, 0, 0, 0, 0],
                "an attribute length within the message",
            ),
            (&[4, 0], "a 4 byte attribute header"),
        ] {
            let all: Vec<_> = Attrs::new(bytes).collect();
            assert_eq!(all.len(), 1, "{bytes:?}");
            assert_eq!(all[0].as_ref().unwrap_err().expected, expected);
        }
        assert!(
            Frames::new(&[15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
                .next()
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn the_kernels_words_are_read_from_an_error() {
        let mut payload = (-22i32).to_ne_bytes().to_vec();
        payload.extend(message(16, 0, 5, &[]));
        payload.extend(Builder::new().str(1, "Invalid prefix").finish());
        let capped = Frame {
            kind: ERROR,
            flags: ACK_ATTRS | CAPPED,
            seq: 5,
            port: 0,
            payload: &payload,
        };
        assert_eq!(
            Verdict::read(&capped),
            Ok(Verdict {
                errno: 22,
                said: "Invalid prefix".into()
            })
        );
        let whole = Frame {
            flags: ACK_ATTRS,
            ..capped
        };
        assert_eq!(
            Verdict::read(&whole),
            Ok(Verdict {
                errno: 22,
                said: "Invalid prefix".into()
            })
        );
        let plain = Frame {
            flags: 0,
            payload: &[0, 0, 0, 0],
            ..capped
        };
        assert_eq!(Verdict::read(&plain), Ok(Verdict::default()));
    }

    #[test]
    fn mutated_messages_never_panic() {
        let mut payload = Builder::new();
        payload.u32(1, 7).str(2, "abc").nest(3, |b| {
            b.u64(1, 1);
        });
        let mut valid = message(ERROR, ACK_ATTRS, 1, &payload.finish());
        valid.extend(message(DONE, MULTI, 2, &[0; 4]));
        crate::fuzz::mutations(&valid, 20_000, |bytes| {
            for frame in Frames::new(bytes).flatten() {
                let _ = Verdict::read(&frame);
                for attr in Attrs::new(frame.payload).flatten() {
                    let _ = (
                        attr.u8(),
                        attr.u32(),
                        attr.be64(),
                        attr.str(),
                        attr.nested().count(),
                    );
                }
            }
        });
    }
}
