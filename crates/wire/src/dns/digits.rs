//! Bytes as text: base64 (RFC 4648, 4), base32hex (7), hexadecimal, and times of DNSSEC.

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

fn groups(bytes: &[u8], table: &[u8], bits: u32) -> String {
    let (mut held, mut have, mut text) = (0u32, 0u32, String::new());
    let mut push = |value: u32| {
        let at = value as usize & (table.len() - 1);
        text.extend(table.get(at).map(|b| char::from(*b)));
    };
    for byte in bytes {
        held = (held & 0xffff) << 8 | u32::from(*byte);
        have += 8;
        while have >= bits {
            have -= bits;
            push(held >> have);
        }
    }
    if have > 0 {
        push(held << (bits - have));
    }
    text
}

/// Base64 with its padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = groups(bytes, BASE64, 6);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Bytes of a base64 text; white space is passed over.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let (mut held, mut have, mut bytes) = (0u32, 0u32, Vec::new());
    let mut letters = 0usize;
    for letter in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        letters += 1;
        if letter == b'=' {
            continue;
        }
        let value = BASE64.iter().position(|b| *b == letter)?;
        held = (held & 0xffff) << 6 | value as u32;
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push((held >> have) as u8);
        }
    }
    letters.is_multiple_of(4).then_some(bytes)
}

/// Base32 with the extended hex alphabet, without padding, in capitals.
pub fn base32hex(bytes: &[u8]) -> String {
    groups(bytes, BASE32, 5)
}

/// Hexadecimal in small letters.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes of a hexadecimal text.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    let digits = digits?;
    let pairs = digits.chunks(2);
    pairs
        .map(|p| match p {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}

/// Year, month, day, hour, minute, second (UTC) of seconds since 1970.
pub fn civil(seconds: u64) -> (i64, u32, u32, u32, u32, u32) {
    let days = (seconds / 86400) as i64;
    let rest = (seconds % 86400) as u32;
    // Days from 0000-03-01, in eras of 400 years.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, day, rest / 3600, rest / 60 % 60, rest % 60)
}

/// YYYYMMDDHHMMSS.
pub fn stamp(seconds: u32) -> String {
    let (y, mo, d, h, mi, s) = civil(u64::from(seconds));
    format!("{y:04}{mo:02}{d:02}{h:02}{mi:02}{s:02}")
}
