//! What HTTP clients read and write besides heads and bodies: URLs, dates, cookies, alternative services, base64 and percent-encoding.

pub mod alternatives;
pub mod cookie;
pub mod date;
pub mod links;
pub mod robots;
pub mod url;

/// Base64 with padding (RFC 4648).
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let index = (bits >> (18 - 6 * i)) as usize & 63;
            match i <= group.len() {
                true => out.push(char::from(*LETTERS.get(index).unwrap_or(&b'='))),
                false => out.push('='),
            }
        }
    }
    out
}

/// Percent-encodes all but the unreserved letters (RFC 3986).
pub fn percent(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for b in bytes {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*b));
            }
            b => out += &format!("%{b:02X}"),
        }
    }
    out
}

/// The same with small letters.
pub fn percent_small(bytes: &[u8]) -> String {
    let mut out = percent(bytes);
    let mut at = 0;
    while let Some(found) = out.get(at..).and_then(|o| o.find('%')) {
        at += found + 3;
        if let Some(hex) = out.get(at - 2..at).map(str::to_ascii_lowercase) {
            out.replace_range(at - 2..at, &hex);
        }
    }
    out
}

/// Takes percent-encoding away; what is none stays.
pub fn unpercent(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(b) = bytes.get(at) {
        let hex = bytes
            .get(at + 1..at + 3)
            .filter(|h| *b == b'%' && h.iter().all(u8::is_ascii_hexdigit))
            .and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        match hex {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(*b);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_their_documents() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("user:pass", "dXNlcjpwYXNz"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(percent("a b&~é".as_bytes()), "a%20b%26~%C3%A9");
        assert_eq!(unpercent("a%20b%2"), b"a b%2");
        assert_eq!(unpercent("%zz%C3%A9"), "%zzé".as_bytes());
    }
}
