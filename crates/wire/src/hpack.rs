//! Header fields of HTTP/2 (HPACK, RFC 7541).

use crate::Malformed;
use std::collections::VecDeque;

/// A field: name and value.
pub type Field = (Vec<u8>, Vec<u8>);

/// Longest list of fields that is taken, bytes.
pub(crate) const MOST: usize = 256 * 1024;

/// The static table (RFC 7541, appendix A).
#[rustfmt::skip] // as the RFC lists them
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
];

/// The Huffman code (RFC 7541, appendix B) is canonical: codes of one length follow each other in the order of their
/// bytes, so lengths and bytes say all. 256 is the end of a string.
#[rustfmt::skip] // as the code is
const CODES: [(u32, &[u16]); 21] = [
    (5, &[48, 49, 50, 97, 99, 101, 105, 111, 115, 116]),
    (6, &[32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100, 102, 103, 104, 108, 109, 110, 112, 114, 117]),
    (7, &[58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 89, 106, 107, 113, 118, 119, 120, 121, 122]),
    (8, &[38, 42, 44, 59, 88, 90]),
    (10, &[33, 34, 40, 41, 63]),
    (11, &[39, 43, 124]),
    (12, &[35, 62]),
    (13, &[0, 36, 64, 91, 93, 126]),
    (14, &[94, 125]),
    (15, &[60, 96, 123]),
    (19, &[92, 195, 208]),
    (20, &[128, 130, 131, 162, 184, 194, 224, 226]),
    (21, &[153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]),
    (22, &[129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233]),
    (23, &[1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239]),
    (24, &[9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]),
    (25, &[199, 207, 234, 235]),
    (26, &[192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255]),
    (27, &[203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254]),
    (28, &[2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127, 220, 249]),
    (30, &[10, 13, 22, 256]),
];

fn bad(expected: &'static str) -> Malformed {
    Malformed {
        format: "HPACK (RFC 7541)",
        at: 0,
        expected,
    }
}

/// Reads header blocks of one connection, in their order.
#[derive(Clone, Debug)]
pub struct Decoder {
    entries: VecDeque<Field>,
    size: usize,
    most: usize,
}

impl Default for Decoder {
    /// With the table that a peer may use unless it is told otherwise.
    fn default() -> Self {
        Decoder {
            entries: VecDeque::new(),
            size: 0,
            most: 4096,
        }
    }
}

impl Decoder {
    /// The fields of a block.
    pub fn decode(&mut self, block: &[u8]) -> Result<Vec<Field>, Malformed> {
        let (mut bytes, mut fields, mut total) = (block, Vec::new(), 0usize);
        while let Some(first) = bytes.first().copied() {
            let field = if first & 0x80 != 0 {
                self.at(integer(&mut bytes, 7)?)?
            } else if first & 0xe0 == 0x20 {
                let most = integer(&mut bytes, 5)?;
                if most > 4096 {
                    return Err(bad("a table of at most 4096 bytes"));
                }
                self.most = most;
                self.shrink();
                continue;
            } else {
                let kept = first & 0x40 != 0;
                let name = match integer(&mut bytes, if kept { 6 } else { 4 })? {
                    0 => string(&mut bytes)?,
                    index => self.at(index)?.0,
                };
                let field = (name, string(&mut bytes)?);
                if kept {
                    self.size = self.size.saturating_add(weight(&field));
                    self.entries.push_front(field.clone());
                    self.shrink();
                }
                field
            };
            total = total.saturating_add(weight(&field));
            if total > MOST {
                return Err(bad("a shorter list of fields"));
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn at(&self, index: usize) -> Result<Field, Malformed> {
        let field = match index.checked_sub(STATIC.len().saturating_add(1)) {
            Some(own) => self.entries.get(own).cloned(),
            None => {
                let own = STATIC.get(index.wrapping_sub(1));
                own.map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec()))
            }
        };
        field.ok_or(bad("an entry of the table"))
    }

    fn shrink(&mut self) {
        while self.size > self.most {
            match self.entries.pop_back() {
                Some(gone) => self.size = self.size.saturating_sub(weight(&gone)),
                None => self.size = 0,
            }
        }
    }
}

/// RFC 7541, 4.1.
pub(crate) fn weight(field: &Field) -> usize {
    field
        .0
        .len()
        .saturating_add(field.1.len())
        .saturating_add(32)
}

/// A block of fields that enter no table.
pub fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            put_integer(&mut out, 0, 7, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// An integer with a prefix of so many bits (RFC 7541, 5.1), above them what `first` has.
pub(crate) fn put_integer(out: &mut Vec<u8>, first: u8, prefix: u32, mut value: usize) {
    let full = (1usize << prefix).saturating_sub(1);
    if value < full {
        out.push(first | value as u8);
        return;
    }
    out.push(first | full as u8);
    value = value.saturating_sub(full);
    while value >= 128 {
        out.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn integer(bytes: &mut &[u8], prefix: u32) -> Result<usize, Malformed> {
    let (first, mut rest) = bytes.split_first().ok_or(bad("an integer"))?;
    let full = (1usize << prefix) - 1;
    let mut value = usize::from(*first) & full;
    if value == full {
        for shift in [0, 7, 14, 21, 28] {
            let (byte, behind) = rest.split_first().ok_or(bad("an integer"))?;
            rest = behind;
            value = value.saturating_add(usize::from(byte & 0x7f) << shift);
            if byte & 0x80 == 0 {
                *bytes = rest;
                return Ok(value);
            }
        }
        return Err(bad("a smaller integer"));
    }
    *bytes = rest;
    Ok(value)
}

fn string(bytes: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    text(bytes, 7)
}

/// A string whose length has so many bits in the first byte, above them the one that says whether it is coded.
pub(crate) fn text(bytes: &mut &[u8], prefix: u32) -> Result<Vec<u8>, Malformed> {
    let coded = bytes.first().ok_or(bad("a string"))? & (1 << prefix) != 0;
    let length = integer(bytes, prefix)?;
    let (text, rest) = bytes
        .split_at_checked(length)
        .ok_or(bad("a string as long as it says"))?;
    *bytes = rest;
    if coded {
        unpacked(text)
    } else {
        Ok(text.to_vec())
    }
}

/// Undoes the Huffman code.
pub fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (mut out, mut code, mut length, mut ones) = (Vec::new(), 0u32, 0u32, true);
    for byte in bytes {
        for shift in (0..8).rev() {
            let bit = u32::from(byte >> shift & 1);
            (code, length) = (code << 1 | bit, length.saturating_add(1));
            ones &= bit == 1;
            if length > 30 {
                return Err(bad("a code that there is"));
            }
            if let Some(letter) = letter(code, length) {
                // The end of a string stands for nothing within it.
                out.push(u8::try_from(letter).map_err(|_| bad("no end within a string"))?);
                (code, length, ones) = (0, 0, true);
            }
        }
    }
    // What is left is padding: less than a byte of ones.
    if length < 8 && ones {
        Ok(out)
    } else {
        Err(bad("padding of ones"))
    }
}

fn letter(code: u32, length: u32) -> Option<u16> {
    let (mut first, mut before) = (0u32, 0u32);
    for (bits, letters) in CODES {
        first <<= bits.saturating_sub(before);
        before = bits;
        if bits == length {
            return letters
                .get(usize::try_from(code.checked_sub(first)?).ok()?)
                .copied();
        }
        if bits > length {
            return None;
        }
        first = first.saturating_add(letters.len() as u32);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_whole() {
        // Kraft's sum is one, and each byte has its code once.
        let sum: u64 = CODES
            .iter()
            .map(|(bits, l)| (l.len() as u64) << (30 - bits))
            .sum();
        assert_eq!(sum, 1 << 30);
        let mut all: Vec<u16> = CODES.iter().flat_map(|c| c.1.iter().copied()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..=256).collect::<Vec<u16>>());
    }

    #[test]
    fn examples_of_the_rfc() {
        // RFC 7541, C.4.1 to C.4.3.
        for (bytes, text) in [
            (
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ][..],
                "www.example.com",
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (
                &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf],
                "custom-value",
            ),
            // C.6.1: a date, with longer codes.
            (
                &[
                    0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04,
                    0x0b, 0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
                ],
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
        ] {
            assert_eq!(unpacked(bytes).unwrap(), text.as_bytes());
        }
        assert!(unpacked(&[0xff, 0xff, 0xff, 0xff]).is_err());
        // C.3.1 and C.3.2: the second block refers to the first one's entry.
        let mut decoder = Decoder::default();
        let first = [&[0x82, 0x86, 0x84, 0x41, 0x0f][..], b"www.example.com"].concat();
        let second = [&[0x82, 0x86, 0x84, 0xbe, 0x58, 0x08][..], b"no-cache"].concat();
        assert_eq!(decoder.decode(&first).unwrap().len(), 4);
        let fields = decoder.decode(&second).unwrap();
        assert_eq!(
            fields[3],
            (b":authority".to_vec(), b"www.example.com".to_vec())
        );
        assert_eq!(fields[4], (b"cache-control".to_vec(), b"no-cache".to_vec()));
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(300);
        let fields = [("a", "b"), ("grpc-status", "0"), ("long", long.as_str())];
        let back = Decoder::default().decode(&encode(&fields)).unwrap();
        let own: Vec<Field> = fields.iter().map(|f| (f.0.into(), f.1.into())).collect();
        assert_eq!(back, own);
    }

    #[test]
    fn fuzz() {
        let mut valid = encode(&[(":path", "/a"), ("x", "y")]);
        valid.extend([
            0x82, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4,
            0xff, 0xbe,
        ]);
        crate::fuzz::mutations(&valid, 20_000, |bytes| {
            let mut decoder = Decoder::default();
            let _ = decoder.decode(bytes);
            let _ = decoder.decode(bytes);
            assert!(decoder.size <= 4096);
            let _ = unpacked(bytes);
        });
    }
}
