//! Fields of Protocol Buffers as they travel (protobuf.dev, "Encoding").

use crate::Malformed;

/// A field's content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Kind 0.
    Varint(u64),
    /// Kind 1.
    Fixed64(u64),
    /// Kind 2: text, bytes, a message, packed numbers.
    Bytes(&'a [u8]),
    /// Kind 5.
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// Bytes; none of a number.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(b) => b,
            _ => &[],
        }
    }

    /// Bytes as text.
    pub fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// A number; 0 of bytes.
    pub fn number(self) -> u64 {
        match self {
            Value::Varint(n) | Value::Fixed64(n) => n,
            Value::Fixed32(n) => u64::from(n),
            Value::Bytes(_) => 0,
        }
    }
}

fn bad(at: usize, expected: &'static str) -> Malformed {
    Malformed {
        format: "Protocol Buffers",
        at,
        expected,
    }
}

/// Reads a varint; gives what is behind it.
pub fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f)
            .checked_shl(7 * i as u32)
            .unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok((value, bytes.get(i.saturating_add(1)..).unwrap_or_default()));
        }
    }
    Err(bad(0, "a number of at most ten bytes"))
}

/// All fields of a message, in their order.
pub fn read_fields(message: &[u8]) -> Result<Vec<(u32, Value<'_>)>, Malformed> {
    let (mut rest, mut all) = (message, Vec::new());
    while !rest.is_empty() {
        let at = message.len().saturating_sub(rest.len());
        let (key, behind) = read_varint(rest)?;
        let number = u32::try_from(key >> 3)
            .ok()
            .filter(|n| *n > 0)
            .ok_or(bad(at, "a field's number"))?;
        let short = || bad(at, "a field as long as it says");
        let (value, behind) = match key & 7 {
            0 => {
                let (n, behind) = read_varint(behind)?;
                (Value::Varint(n), behind)
            }
            1 => {
                let (n, behind) = behind.split_first_chunk::<8>().ok_or_else(short)?;
                (Value::Fixed64(u64::from_le_bytes(*n)), behind)
            }
            2 => {
                let (length, behind) = read_varint(behind)?;
                let length = usize::try_from(length).map_err(|_| short())?;
                let (bytes, behind) = behind.split_at_checked(length).ok_or_else(short)?;
                (Value::Bytes(bytes), behind)
            }
            5 => {
                let (n, behind) = behind.split_first_chunk::<4>().ok_or_else(short)?;
                (Value::Fixed32(u32::from_le_bytes(*n)), behind)
            }
            _ => return Err(bad(at, "a kind of field that is still used")),
        };
        all.push((number, value));
        rest = behind;
    }
    Ok(all)
}

/// Writes a varint.
pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 & 0x7f | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Writes a field of text, bytes or a message.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a field of a number.
pub fn put_number(out: &mut Vec<u8>, number: u32, n: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, n);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_both_ways() {
        let mut out = Vec::new();
        put_number(&mut out, 1, 150);
        put_bytes(&mut out, 2, b"testing");
        // The examples of the specification.
        assert_eq!(
            out,
            [&[0x08, 0x96, 0x01, 0x12, 0x07][..], b"testing"].concat()
        );
        let fields = read_fields(&out).unwrap();
        assert_eq!(
            fields,
            [(1, Value::Varint(150)), (2, Value::Bytes(b"testing"))]
        );
        let fixed = [0x0d, 1, 0, 0, 0, 0x11, 2, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            read_fields(&fixed).unwrap(),
            [(1, Value::Fixed32(1)), (2, Value::Fixed64(2))]
        );
        for wrong in [&[0x12, 5, 1][..], &[0x0b], &[0xff; 11], &[0x00]] {
            assert!(read_fields(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn fuzz() {
        let mut valid = Vec::new();
        put_number(&mut valid, 1, 1 << 40);
        put_bytes(&mut valid, 300, b"x");
        crate::fuzz::mutations(&valid, 30_000, |bytes| {
            if let Ok(fields) = read_fields(bytes) {
                assert!(fields.len() <= bytes.len());
            }
            let _ = read_varint(bytes);
        });
    }
}
