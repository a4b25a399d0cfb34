//! What record data consist of, type by type: enough to write them as text and to take the
//! compression out of the names inside.

use super::{Cursor, encode_name};
use crate::Malformed;

/// A piece of record data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A domain name.
    Name,
    U8,
    U16,
    U32,
    /// One character string.
    Text,
    /// Character strings up to the end.
    Texts,
    /// The rest, as one quoted string.
    Quoted,
    /// The rest, hexadecimal.
    Hex,
    /// The rest, base64.
    Base64,
    /// Seconds since 1970, written as YYYYMMDDHHMMSS (RFC 4034, 3.2).
    Time,
    /// A record type.
    Kind,
    /// Record types, a bit each (RFC 4034, 4.1.2), up to the end.
    Kinds,
    Ip4,
    Ip6,
    /// 64 bits in four groups (RFC 6742).
    Groups,
    /// A length and so many bytes, hexadecimal, `-` for none (RFC 5155).
    Salt,
    /// A length and so many bytes, base32hex (RFC 5155).
    Hash,
    /// Bytes with dashes between (RFC 7043).
    Dashes,
}

use Part::*;

/// The pieces of a type's data; none for types of their own shape and unknown ones.
pub(super) fn layout(rtype: u16) -> Option<&'static [Part]> {
    Some(match rtype {
        1 => &[Ip4],
        28 => &[Ip6],
        2..=5 | 7..=9 | 12 | 23 | 39 => &[Name],
        6 => &[Name, Name, U32, U32, U32, U32, U32],
        13 => &[Text, Text],
        14 | 17 | 58 => &[Name, Name],
        15 | 18 | 21 | 36 | 107 => &[U16, Name],
        16 | 20 | 56 | 99 | 258 => &[Texts],
        19 => &[Text],
        24 | 46 => &[Kind, U8, U8, U32, Time, Time, U16, Name, Base64],
        25 | 48 | 57 | 60 => &[U16, U8, U8, Base64],
        26 => &[U16, Name, Name],
        27 => &[Text, Text, Text],
        33 => &[U16, U16, U16, Name],
        35 => &[U16, U16, Text, Text, Text, Name],
        43 | 59 | 32768 | 32769 => &[U16, U8, U8, Hex],
        44 => &[U8, U8, Hex],
        47 => &[Name, Kinds],
        49 | 61 => &[Base64],
        50 => &[U8, U8, U16, Salt, Hash, Kinds],
        51 => &[U8, U8, U16, Salt],
        52 | 53 => &[U8, U8, U8, Hex],
        62 => &[U32, U16, Kinds],
        63 => &[U32, U8, U8, Hex],
        104 | 106 => &[U16, Groups],
        105 => &[U16, Ip4],
        108 | 109 => &[Dashes],
        256 => &[U16, U16, Quoted],
        _ => return None,
    })
}

/// The data at the cursor with every name whole. The cursor's message must end with the data.
pub(super) fn whole(rtype: u16, c: &mut Cursor<'_>) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    for part in layout(rtype).unwrap_or_default() {
        let fixed = match part {
            Name => {
                encode_name(&c.name()?, &mut out)?;
                continue;
            }
            U8 => 1,
            U16 | Kind => 2,
            U32 | Time | Ip4 => 4,
            Groups => 8,
            Ip6 => 16,
            Text | Salt | Hash => {
                let len = c.u8("a string length")?;
                out.push(len);
                usize::from(len)
            }
            Texts | Quoted | Hex | Base64 | Kinds | Dashes => c.bytes.len().saturating_sub(c.at),
        };
        out.extend(c.take(fixed, "record data")?);
    }
    out.extend(c.take(c.bytes.len().saturating_sub(c.at), "record data")?);
    Ok(out)
}
