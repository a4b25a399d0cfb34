//! `grpc.health.v1.Health` as a program offers it to the kubelet's gRPC probe: HTTP/2 (RFC 9113)
//! with just enough HPACK (RFC 7541) to know which method was called.

use super::listen::slow;
use super::{Listen, Shared};
use std::collections::VecDeque;
use std::io::{Read, Result as Io, Write};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Largest frame that is taken, SETTINGS_MAX_FRAME_SIZE's initial value (RFC 9113, 6.5.2).
const MAX_FRAME: usize = 16_384;
/// Streams open at once on a connection.
const MAX_STREAMS: usize = 100;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// `grpc-status` (gRPC over HTTP2, "Status codes").
const UNIMPLEMENTED: u8 = 12;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A call that is not complete yet.
#[derive(Default)]
struct Open {
    id: u32,
    header_block: Vec<u8>,
    path: Option<String>,
    body: Vec<u8>,
    ended: bool,
}

/// Calls of one connection until it ends.
pub(super) fn serve(
    stream: &mut (impl Read + Write),
    listen: &Listen,
    shared: &Shared,
) -> Result<(), String> {
    let mut preface = [0; 24];
    if stream.read_exact(&mut preface).is_err() {
        return Ok(());
    }
    if preface != *PREFACE {
        return Err("grpc: no HTTP/2 preface".into());
    }
    if write(stream, SETTINGS, 0, 0, &[]).is_err() {
        return Ok(());
    }
    let mut table = Table::default();
    let mut open: Vec<Open> = Vec::new();
    while let Ok(frame) = read(stream) {
        if step(stream, frame, &mut table, &mut open, listen, shared).is_err() {
            break;
        }
    }
    Ok(())
}

fn step(
    stream: &mut impl Write,
    frame: Frame,
    table: &mut Table,
    open: &mut Vec<Open>,
    listen: &Listen,
    shared: &Shared,
) -> Io<()> {
    match frame.kind {
        SETTINGS if frame.flags & ACK == 0 => write(stream, SETTINGS, ACK, 0, &[])?,
        PING if frame.flags & ACK == 0 => write(stream, PING, ACK, 0, &frame.payload)?,
        RST_STREAM => open.retain(|o| o.id != frame.stream),
        GOAWAY => return Err(std::io::ErrorKind::ConnectionAborted.into()),
        HEADERS | CONTINUATION => {
            if frame.kind == HEADERS && !open.iter().any(|o| o.id == frame.stream) {
                if open.len() >= MAX_STREAMS {
                    return Err(std::io::ErrorKind::OutOfMemory.into());
                }
                open.push(Open {
                    id: frame.stream,
                    ..Open::default()
                });
            }
            if let Some(call) = open.iter_mut().find(|o| o.id == frame.stream) {
                call.header_block.extend_from_slice(content(&frame));
                call.ended |= frame.kind == HEADERS && frame.flags & END_STREAM != 0;
                if frame.flags & END_HEADERS != 0 {
                    let block = std::mem::take(&mut call.header_block);
                    call.path = table.path(&block).or(call.path.take());
                }
            }
        }
        DATA => {
            if !frame.payload.is_empty() {
                // What was read is given back to the sender's window.
                let n = (frame.payload.len() as u32).to_be_bytes();
                write(stream, WINDOW_UPDATE, 0, 0, &n)?;
            }
            if let Some(call) = open.iter_mut().find(|o| o.id == frame.stream) {
                if call.body.len() < MAX_FRAME {
                    call.body.extend_from_slice(content(&frame));
                }
                call.ended |= frame.flags & END_STREAM != 0;
            }
        }
        _ => {}
    }
    while let Some(at) = open
        .iter()
        .position(|o| o.ended && o.header_block.is_empty())
    {
        let call = open.swap_remove(at);
        slow(listen, shared);
        answer(stream, &call, listen)?;
    }
    Ok(())
}

fn answer(stream: &mut impl Write, call: &Open, listen: &Listen) -> Io<()> {
    // :status 200 is entry 8 of the static table, content-type is 31 (RFC 7541, appendix A).
    let mut head = vec![0x88, 0x0f, 0x10];
    literal(&mut head, "application/grpc");
    if call.path.as_deref() != Some("/grpc.health.v1.Health/Check") {
        head.extend(trailers(UNIMPLEMENTED));
        return write(stream, HEADERS, END_HEADERS | END_STREAM, call.id, &head);
    }
    let asked = service(&call.body).unwrap_or_default();
    let failing = listen.status.is_some_and(|s| s >= 400)
        || !listen.failing_path.is_empty() && listen.failing_path.as_bytes() == asked;
    // HealthCheckResponse: field 1, a varint: SERVING is 1, NOT_SERVING 2.
    let message = [0, 0, 0, 0, 2, 0x08, if failing { 2 } else { 1 }];
    write(stream, HEADERS, END_HEADERS, call.id, &head)?;
    write(stream, DATA, 0, call.id, &message)?;
    write(
        stream,
        HEADERS,
        END_HEADERS | END_STREAM,
        call.id,
        &trailers(0),
    )
}

fn trailers(status: u8) -> Vec<u8> {
    let mut block = vec![0];
    literal(&mut block, "grpc-status");
    literal(&mut block, &status.to_string());
    block
}

/// A string literal shorter than 127 bytes, not Huffman coded.
fn literal(block: &mut Vec<u8>, text: &str) {
    block.push(text.len() as u8 & 0x7f);
    block.extend_from_slice(text.as_bytes());
}

/// `service` of a HealthCheckRequest (field 1, a string) behind the five bytes of gRPC's framing.
fn service(body: &[u8]) -> Option<&[u8]> {
    let message = body.get(5..)?;
    let (0x0a, length) = (*message.first()?, usize::from(*message.get(1)?)) else {
        return None;
    };
    message.get(2..length.checked_add(2)?)
}

/// The payload of HEADERS, CONTINUATION or DATA without padding and priority (RFC 9113, 6.1, 6.2).
fn content(frame: &Frame) -> &[u8] {
    let mut bytes = frame.payload.as_slice();
    if frame.kind == CONTINUATION {
        return bytes;
    }
    if frame.flags & PADDED != 0 {
        let Some((length, rest)) = bytes.split_first() else {
            return &[];
        };
        bytes = rest
            .get(..rest.len().saturating_sub(usize::from(*length)))
            .unwrap_or_default();
    }
    if frame.kind == HEADERS && frame.flags & PRIORITY != 0 {
        bytes = bytes.get(5..).unwrap_or_default();
    }
    bytes
}

fn read(stream: &mut impl Read) -> Io<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [a, b, c, kind, flags, id @ ..] = head;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > MAX_FRAME {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok(Frame {
        kind,
        flags,
        stream: u32::from_be_bytes(id) & 0x7fff_ffff,
        payload,
    })
}

fn write(stream: &mut impl Write, kind: u8, flags: u8, id: u32, payload: &[u8]) -> Io<()> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(id.to_be_bytes());
    bytes.extend_from_slice(payload);
    stream.write_all(&bytes).and_then(|()| stream.flush())
}

/// HPACK's dynamic table, with only what tells a `:path`. An entry that the sender has evicted is
/// never referred to again, so nothing is evicted here before 128 newer ones have come: more do
/// not fit into the 4096 bytes that a sender may use.
#[derive(Default)]
struct Table {
    entries: VecDeque<Field>,
}

#[derive(Clone, Default)]
struct Field {
    is_path: bool,
    value: Option<String>,
}

/// Entries of the static table (RFC 7541, appendix A).
const STATIC: usize = 61;

impl Table {
    /// `:path` of a header block, when there is one that can be read.
    fn path(&mut self, block: &[u8]) -> Option<String> {
        let mut bytes = block;
        let mut found = None;
        while let Some(first) = bytes.first().copied() {
            let field = if first & 0x80 != 0 {
                self.at(integer(&mut bytes, 7)?)
            } else if first & 0xe0 == 0x20 {
                integer(&mut bytes, 5)?;
                continue;
            } else {
                let kept = first & 0x40 != 0;
                let index = integer(&mut bytes, if kept { 6 } else { 4 })?;
                let is_path = match index {
                    0 => string(&mut bytes)?.as_deref() == Some(":path"),
                    n => self.at(n).is_path,
                };
                let field = Field {
                    is_path,
                    value: string(&mut bytes)?,
                };
                if kept {
                    self.entries.push_front(field.clone());
                    self.entries.truncate(128);
                }
                field
            };
            if field.is_path {
                found = field.value;
            }
        }
        found
    }

    fn at(&self, index: usize) -> Field {
        match index {
            4 => Field {
                is_path: true,
                value: Some("/".into()),
            },
            5 => Field {
                is_path: true,
                value: Some("/index.html".into()),
            },
            n => n
                .checked_sub(STATIC + 1)
                .and_then(|i| self.entries.get(i))
                .cloned()
                .unwrap_or_default(),
        }
    }
}

/// An integer with a prefix of so many bits (RFC 7541, 5.1).
fn integer(bytes: &mut &[u8], prefix: u32) -> Option<usize> {
    let (first, mut rest) = bytes.split_first()?;
    let full = (1usize << prefix) - 1;
    let mut value = usize::from(*first) & full;
    if value == full {
        for shift in [0, 7, 14, 21] {
            let (byte, behind) = rest.split_first()?;
            rest = behind;
            value = value.checked_add(usize::from(byte & 0x7f) << shift)?;
            if byte & 0x80 == 0 {
                *bytes = rest;
                return Some(value);
            }
        }
        return None;
    }
    *bytes = rest;
    Some(value)
}

/// A string (RFC 7541, 5.2). The outer none is a block cut short, the inner one a string that is
/// not understood.
fn string(bytes: &mut &[u8]) -> Option<Option<String>> {
    let coded = bytes.first()? & 0x80 != 0;
    let length = integer(bytes, 7)?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(if coded {
        decoded(text)
    } else {
        std::str::from_utf8(text).ok().map(str::to_string)
    })
}

/// The Huffman code (RFC 7541, appendix B) is canonical: codes of one length are consecutive, in
/// the order of their characters. Length, first code, characters; longer ones do not occur in
/// the paths that matter.
const CODES: [(u32, u32, &str); 3] = [
    (5, 0x00, "012aceiost"),
    (6, 0x14, " %-./3456789=A_bdfghlmnpru"),
    (7, 0x5c, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
];

fn decoded(bytes: &[u8]) -> Option<String> {
    let (mut text, mut code, mut length) = (String::new(), 0u32, 0u32);
    for bit in bytes
        .iter()
        .flat_map(|b| (0..8).rev().map(move |n| u32::from(b >> n & 1)))
    {
        (code, length) = (code << 1 | bit, length + 1);
        let character = CODES
            .iter()
            .find(|(bits, ..)| *bits == length)
            .and_then(|(_, first, all)| all.as_bytes().get(code.checked_sub(*first)? as usize));
        if let Some(c) = character {
            text.push(char::from(*c));
            (code, length) = (0, 0);
        } else if length > 7 {
            return None;
        }
    }
    // What is left over is padding: the beginning of the longest code, all ones.
    (code == (1 << length) - 1).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huffman_examples_of_the_rfc() {
        // RFC 7541, C.4.1 to C.4.3, and a string with a character of a longer code.
        for (bytes, text) in [
            (
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ][..],
                Some("www.example.com"),
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], Some("no-cache")),
            (
                &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f],
                Some("custom-key"),
            ),
            (
                &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf],
                Some("custom-value"),
            ),
            (&[0xff, 0xc0], None),
            (&[], Some("")),
        ] {
            assert_eq!(decoded(bytes).as_deref(), text, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_path_is_found_again_through_the_dynamic_table() {
        let mut table = Table::default();
        let mut block = vec![0x83, 0x86, 0x44]; // :method POST, :scheme http, :path kept
        literal(&mut block, "/grpc.health.v1.Health/Check");
        let check = Some("/grpc.health.v1.Health/Check".to_string());
        assert_eq!(table.path(&block), check);
        assert_eq!(table.path(&[0x40, 1, b'x', 1, b'y']), None);
        assert_eq!(
            table.path(&[0x83, 0xbf]),
            check,
            "second youngest is entry 63"
        );
        assert_eq!(table.path(&[0x84]), Some("/".into()));
        // Cut short, an index beyond the table, an endless integer.
        for bad in [
            &[0x44, 9, b'a'][..],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0xff, 0x7f],
        ] {
            assert_eq!(table.path(bad), None, "{bad:02x?}");
        }
    }

    /// Reads given bytes, swallows what is written.
    struct Given<'a>(&'a [u8]);

    impl Read for Given<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> Io<usize> {
            self.0.read(bytes)
        }
    }

    impl Write for Given<'_> {
        fn write(&mut self, bytes: &[u8]) -> Io<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Io<()> {
            Ok(())
        }
    }

    #[test]
    fn no_bytes_of_a_client_panic() {
        let (end, _) = std::sync::mpsc::channel();
        let gate = crate::behave::Gate::default();
        let name = String::new();
        let shared = Shared { name, gate, end };
        let listen = serde_json::from_str(r#"{"port":1,"serve":"grpc-health"}"#).unwrap();
        let mut head = vec![0x83, 0x86, 0x44, 0x8c];
        head.extend([
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ]);
        let mut good = PREFACE.to_vec();
        good.extend([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
        good.extend([
            0,
            0,
            head.len() as u8 + 6,
            HEADERS,
            0x2c,
            0,
            0,
            0,
            1,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
        good.extend(&head);
        good.extend([
            0,
            0,
            9,
            DATA,
            PADDED | END_STREAM,
            0,
            0,
            0,
            1,
            2,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
        netshoot_wire::fuzz::mutations(&good[PREFACE.len()..], 20_000, |damaged| {
            let bytes = [PREFACE, damaged].concat();
            let _ = serve(&mut Given(&bytes), &listen, &shared);
        });
        netshoot_wire::fuzz::mutations(&head, 20_000, |bytes| {
            let _ = decoded(bytes);
            let _ = Table::default().path(bytes);
        });
    }
}
