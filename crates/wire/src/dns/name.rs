//! Domain names (RFC 1035, 3.1 and 4.1.4) in presentation form: labels joined by dots, no final
//! dot, `\.`, `\\` and `\DDD` for bytes that would not survive.

use super::bad;
use crate::Malformed;
use std::collections::HashMap;

/// Longest name on the wire, bytes, with lengths and the root (RFC 1035, 2.3.4).
pub const MAX_NAME: usize = 255;

const MAX_LABEL: usize = 63;
const POINTER: u8 = 0xc0;
/// A pointer has 14 bits.
const MAX_POINTER: usize = 0x3fff;

/// Suffixes already written in a message, lower case, with their offsets.
pub(super) type Seen = HashMap<Vec<Vec<u8>>, u16>;

/// Reads the name at `at` of a whole message; gives it and the offset behind it. Pointers must
/// go backwards, so that a loop is impossible.
pub fn decode_name(message: &[u8], at: usize) -> Result<(String, usize), Malformed> {
    let mut text = String::new();
    let (mut here, mut behind, mut length) = (at, None, 1usize);
    let mut before = at;
    loop {
        let len = *message.get(here).ok_or(bad(here, "a label length"))?;
        match len & POINTER {
            0 if len == 0 => return Ok((text, behind.unwrap_or(here.saturating_add(1)))),
            0 => {
                let start = here.saturating_add(1);
                let end = start.saturating_add(usize::from(len));
                let label = message
                    .get(start..end)
                    .ok_or(bad(here, "a label inside the message"))?;
                length = length.saturating_add(label.len()).saturating_add(1);
                if length > MAX_NAME {
                    return Err(bad(here, "a name of at most 255 bytes"));
                }
                if !text.is_empty() {
                    text.push('.');
                }
                label.iter().for_each(|b| push_escaped(*b, &mut text));
                here = end;
            }
            POINTER => {
                let low = *message
                    .get(here.saturating_add(1))
                    .ok_or(bad(here, "a pointer of two bytes"))?;
                let to = usize::from(len & !POINTER) << 8 | usize::from(low);
                if to >= before {
                    return Err(bad(here, "a pointer to an earlier name"));
                }
                behind.get_or_insert(here.saturating_add(2));
                before = to;
                here = to;
            }
            _ => return Err(bad(here, "a label or a pointer")),
        }
    }
}

fn push_escaped(byte: u8, text: &mut String) {
    match byte {
        b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
        0x21..=0x7e => text.push(char::from(byte)),
        _ => text.push_str(&format!("\\{byte:03}")),
    }
}

/// Appends a name without compression. Fails for an empty or long label, or a long name.
pub fn encode_name(name: &str, out: &mut Vec<u8>) -> Result<(), Malformed> {
    encode(name, out, None)
}

pub(super) fn encode(
    name: &str,
    out: &mut Vec<u8>,
    mut seen: Option<&mut Seen>,
) -> Result<(), Malformed> {
    let labels = labels(name)?;
    let mut rest = labels.as_slice();
    while let [label, further @ ..] = rest {
        if let Some(seen) = seen.as_deref_mut() {
            let key: Vec<Vec<u8>> = rest.iter().map(|l| l.to_ascii_lowercase()).collect();
            if let Some(at) = seen.get(&key) {
                out.extend((u16::from(POINTER) << 8 | at).to_be_bytes());
                return Ok(());
            }
            if out.len() <= MAX_POINTER {
                seen.insert(key, out.len() as u16);
            }
        }
        out.push(label.len() as u8); // at most 63: labels() saw to it
        out.extend(label);
        rest = further;
    }
    out.push(0);
    Ok(())
}

/// The labels of a name in presentation form. Error offsets are those in the text.
pub(super) fn labels(name: &str) -> Result<Vec<Vec<u8>>, Malformed> {
    let text = |at, expected| Malformed {
        format: "domain name",
        at,
        expected,
    };
    let mut all = Vec::new();
    let mut label = Vec::new();
    let (mut length, mut ended) = (1usize, name.is_empty() || name == ".");
    let mut bytes = if ended { &[] } else { name.as_bytes() }
        .iter()
        .copied()
        .enumerate();
    while let Some((at, byte)) = bytes.next() {
        ended = byte == b'.';
        match byte {
            b'.' if label.is_empty() => return Err(text(at, "a label that is not empty")),
            b'.' => all.push(std::mem::take(&mut label)),
            b'\\' => {
                let (_, first) = bytes
                    .next()
                    .ok_or(text(at, "a character behind the backslash"))?;
                if !first.is_ascii_digit() {
                    label.push(first);
                } else {
                    let mut digit = || bytes.next().map(|(_, b)| b).filter(u8::is_ascii_digit);
                    let (second, third) = digit()
                        .zip(digit())
                        .ok_or(text(at, "three digits behind the backslash"))?;
                    let value = [first, second, third]
                        .iter()
                        .fold(0u32, |v, d| v * 10 + u32::from(d - b'0'));
                    label.push(u8::try_from(value).map_err(|_| text(at, "a byte of at most 255"))?);
                }
            }
            _ => label.push(byte),
        }
        if label.len() > MAX_LABEL {
            return Err(text(at, "a label of at most 63 bytes"));
        }
        length = length.saturating_add(1);
        if length > MAX_NAME.saturating_mul(4) {
            break;
        }
    }
    if !ended {
        all.push(label);
    }
    let wire = all.iter().fold(1usize, |sum, l| {
        sum.saturating_add(l.len()).saturating_add(1)
    });
    if wire > MAX_NAME {
        Err(text(name.len(), "a name of at most 255 bytes"))
    } else {
        Ok(all)
    }
}
