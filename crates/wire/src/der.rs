//! DER (X.690): what certificates are written in.

use crate::Malformed;

/// One value with its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The first byte: class, whether it is made of others, number.
    pub tag: u8,
    /// What is behind the length.
    pub content: &'a [u8],
    /// With tag and length.
    pub whole: &'a [u8],
}

/// Tags (X.690, 8).
pub mod tag {
    /// BOOLEAN
    pub const BOOLEAN: u8 = 1;
    /// INTEGER
    pub const INTEGER: u8 = 2;
    /// BIT STRING
    pub const BIT_STRING: u8 = 3;
    /// OCTET STRING
    pub const OCTET_STRING: u8 = 4;
    /// OBJECT IDENTIFIER
    pub const OID: u8 = 6;
    /// UTF8String
    pub const UTF8: u8 = 12;
    /// UTCTime
    pub const UTC_TIME: u8 = 23;
    /// GeneralizedTime
    pub const GENERALIZED_TIME: u8 = 24;
    /// BMPString
    pub const BMP: u8 = 30;
    /// SEQUENCE
    pub const SEQUENCE: u8 = 0x30;
    /// SET
    pub const SET: u8 = 0x31;
}

fn bad(at: usize, expected: &'static str) -> Malformed {
    Malformed {
        format: "DER (X.690)",
        at,
        expected,
    }
}

/// Reads one value; gives what is behind it.
pub fn read(bytes: &[u8]) -> Result<(Item<'_>, &[u8]), Malformed> {
    let [tag, first, ..] = *bytes else {
        return Err(bad(0, "a tag and a length"));
    };
    if tag & 0x1f == 0x1f {
        return Err(bad(0, "a tag of one byte"));
    }
    let (length, head) = match first {
        short @ 0..0x80 => (usize::from(short), 2usize),
        long => {
            let count = usize::from(long & 0x7f);
            let digits = bytes
                .get(2..2usize.saturating_add(count))
                .filter(|d| (1..=4).contains(&d.len()));
            let digits = digits.ok_or(bad(1, "a length of at most four bytes"))?;
            let length = digits.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
            (length, 2usize.saturating_add(count))
        }
    };
    let end = head.saturating_add(length);
    let content = bytes
        .get(head..end)
        .ok_or(bad(1, "as many bytes as the length says"))?;
    let (whole, rest) = bytes
        .split_at_checked(end)
        .ok_or(bad(1, "as many bytes as the length says"))?;
    Ok((
        Item {
            tag,
            content,
            whole,
        },
        rest,
    ))
}

/// All values in a row.
pub fn items(mut bytes: &[u8]) -> Result<Vec<Item<'_>>, Malformed> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (item, rest) = read(bytes)?;
        all.push(item);
        bytes = rest;
    }
    Ok(all)
}

/// An object identifier in figures.
pub fn oid(content: &[u8]) -> String {
    let mut parts: Vec<u128> = Vec::new();
    let mut value = 0u128;
    for byte in content {
        value = value.wrapping_shl(7) | u128::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if parts.is_empty() {
                let first = (value / 40).min(2);
                parts.push(first);
                value -= first * 40;
            }
            parts.push(value);
            value = 0;
        }
    }
    let words: Vec<String> = parts.iter().map(u128::to_string).collect();
    words.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_identifiers() {
        let (item, rest) = read(&[0x30, 3, 2, 1, 5, 9]).unwrap();
        assert_eq!(
            (item.tag, item.content, rest),
            (tag::SEQUENCE, &[2, 1, 5][..], &[9][..])
        );
        assert_eq!(items(item.content).unwrap()[0].content, [5]);
        assert_eq!(
            oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b]),
            "1.2.840.113549.1.1.11"
        );
        assert_eq!(oid(&[0x55, 0x1d, 0x11]), "2.5.29.17");
        let long = [&[4, 0x81, 0x80][..], &[7; 128]].concat();
        assert_eq!(read(&long).unwrap().0.content.len(), 128);
        for wrong in [
            &[0x30][..],
            &[0x30, 4, 1],
            &[0x1f, 1, 1],
            &[4, 0x85, 1, 1, 1, 1, 1],
            &[4, 0x80],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn fuzz() {
        let valid = [0x30, 8, 2, 1, 5, 6, 3, 0x55, 0x1d, 0x11];
        crate::fuzz::mutations(&valid, 30_000, |bytes| {
            if let Ok((item, rest)) = read(bytes) {
                assert_eq!(item.whole.len() + rest.len(), bytes.len());
                let _ = items(item.content);
                let _ = oid(item.content);
            }
        });
    }
}
