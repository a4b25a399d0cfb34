//! Header fields of HTTP/3 (QPACK, RFC 9204), without a dynamic table: none was granted, so none can be referred to.

use crate::Malformed;
use crate::hpack::{Field, MOST, integer, put_integer, text, weight};

/// The static table (RFC 9204, appendix A).
#[rustfmt::skip] // as the RFC lists them
const STATIC: [(&str, &str); 99] = [
    (":authority", ""), (":path", "/"), ("age", "0"), ("content-disposition", ""), ("content-length", "0"), ("cookie", ""),
    ("date", ""), ("etag", ""), ("if-modified-since", ""), ("if-none-match", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("referer", ""), ("set-cookie", ""), (":method", "CONNECT"), (":method", "DELETE"), (":method", "GET"),
    (":method", "HEAD"), (":method", "OPTIONS"), (":method", "POST"), (":method", "PUT"), (":scheme", "http"),
    (":scheme", "https"), (":status", "103"), (":status", "200"), (":status", "304"), (":status", "404"), (":status", "503"),
    ("accept", "*/*"), ("accept", "application/dns-message"), ("accept-encoding", "gzip, deflate, br"),
    ("accept-ranges", "bytes"), ("access-control-allow-headers", "cache-control"),
    ("access-control-allow-headers", "content-type"), ("access-control-allow-origin", "*"), ("cache-control", "max-age=0"),
    ("cache-control", "max-age=2592000"), ("cache-control", "max-age=604800"), ("cache-control", "no-cache"),
    ("cache-control", "no-store"), ("cache-control", "public, max-age=31536000"), ("content-encoding", "br"),
    ("content-encoding", "gzip"), ("content-type", "application/dns-message"), ("content-type", "application/javascript"),
    ("content-type", "application/json"), ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "image/gif"), ("content-type", "image/jpeg"), ("content-type", "image/png"), ("content-type", "text/css"),
    ("content-type", "text/html; charset=utf-8"), ("content-type", "text/plain"),
    ("content-type", "text/plain;charset=utf-8"), ("range", "bytes=0-"), ("strict-transport-security", "max-age=31536000"),
    ("strict-transport-security", "max-age=31536000; includesubdomains"),
    ("strict-transport-security", "max-age=31536000; includesubdomains; preload"), ("vary", "accept-encoding"),
    ("vary", "origin"), ("x-content-type-options", "nosniff"), ("x-xss-protection", "1; mode=block"), (":status", "100"),
    (":status", "204"), (":status", "206"), (":status", "302"), (":status", "400"), (":status", "403"), (":status", "421"),
    (":status", "425"), (":status", "500"), ("accept-language", ""), ("access-control-allow-credentials", "FALSE"),
    ("access-control-allow-credentials", "TRUE"), ("access-control-allow-headers", "*"),
    ("access-control-allow-methods", "get"), ("access-control-allow-methods", "get, post, options"),
    ("access-control-allow-methods", "options"), ("access-control-expose-headers", "content-length"),
    ("access-control-request-headers", "content-type"), ("access-control-request-method", "get"),
    ("access-control-request-method", "post"), ("alt-svc", "clear"), ("authorization", ""),
    ("content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"), ("early-data", "1"),
    ("expect-ct", ""), ("forwarded", ""), ("if-range", ""), ("origin", ""), ("purpose", "prefetch"), ("server", ""),
    ("timing-allow-origin", "*"), ("upgrade-insecure-requests", "1"), ("user-agent", ""), ("x-forwarded-for", ""),
    ("x-frame-options", "deny"), ("x-frame-options", "sameorigin"),
];

fn bad(expected: &'static str) -> Malformed {
    Malformed {
        format: "QPACK (RFC 9204)",
        at: 0,
        expected,
    }
}

fn entry(index: usize) -> Result<(&'static str, &'static str), Malformed> {
    STATIC
        .get(index)
        .copied()
        .ok_or(bad("an entry of the table"))
}

/// The fields of a block (RFC 9204, 4.5).
pub fn decode(block: &[u8]) -> Result<Vec<Field>, Malformed> {
    let mut bytes = block;
    // Required Insert Count and Base: of a table that is not there, both are 0; a sign alone changes nothing.
    if integer(&mut bytes, 8)? != 0 {
        return Err(bad("no insertions"));
    }
    if integer(&mut bytes, 7)? != 0 {
        return Err(bad("no base"));
    }
    let (mut fields, mut total) = (Vec::new(), 0usize);
    while let Some(first) = bytes.first().copied() {
        let own = |n: &str| n.as_bytes().to_vec();
        let field = match first {
            // Both are in the table.
            0xc0.. => {
                let (name, value) = entry(integer(&mut bytes, 6)?)?;
                (own(name), own(value))
            }
            // The name is.
            0x50..=0x5f | 0x70..=0x7f => {
                let (name, _) = entry(integer(&mut bytes, 4)?)?;
                (own(name), text(&mut bytes, 7)?)
            }
            // Neither.
            0x20..=0x3f => (text(&mut bytes, 3)?, text(&mut bytes, 7)?),
            _ => return Err(bad("no entry of a dynamic table")),
        };
        total = total.saturating_add(weight(&field));
        if total > MOST {
            return Err(bad("a shorter list of fields"));
        }
        fields.push(field);
    }
    Ok(fields)
}

/// A block of fields, by the table where that has them.
pub fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![0, 0];
    for field in fields {
        let whole = STATIC.iter().position(|e| e == field);
        let named = STATIC.iter().position(|e| e.0 == field.0);
        match (whole, named) {
            (Some(index), _) => {
                put_integer(&mut out, 0xc0, 6, index);
                continue;
            }
            (None, Some(index)) => put_integer(&mut out, 0x50, 4, index),
            (None, None) => {
                put_integer(&mut out, 0x20, 3, field.0.len());
                out.extend_from_slice(field.0.as_bytes());
            }
        }
        put_integer(&mut out, 0, 7, field.1.len());
        out.extend_from_slice(field.1.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc() {
        // RFC 9204, B.1: a literal value with a name of the static table.
        let block = [&[0, 0, 0x51, 0x0b][..], b"/index.html"].concat();
        let fields = decode(&block).unwrap();
        assert_eq!(fields, [(b":path".to_vec(), b"/index.html".to_vec())]);
        // B.2: a table that was not granted.
        assert!(decode(&[3, 0x81, 0x10, 0x11]).is_err());
        assert!(decode(&[0, 0, 0x80]).is_err() && decode(&[0, 0, 0x10]).is_err());
        // An entry behind the last, and a block without its beginning.
        assert!(decode(&[0, 0, 0xff, 36]).is_err() && decode(&[0]).is_err());
        assert_eq!(
            decode(&[0, 0, 0xff, 35]).unwrap(),
            [(b"x-frame-options".to_vec(), b"sameorigin".to_vec())]
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(300);
        let fields = [
            (":method", "GET"),
            (":authority", "a"),
            ("accept", "text/html"),
            ("x-own", long.as_str()),
            (long.as_str(), ""),
        ];
        let back = decode(&encode(&fields)).unwrap();
        let own: Vec<Field> = fields.iter().map(|f| (f.0.into(), f.1.into())).collect();
        assert_eq!(back, own);
    }

    #[test]
    fn fuzz() {
        let mut valid = encode(&[(":status", "200"), ("x", "y"), ("server", "z")]);
        // A name and a value by Huffman's code.
        valid.extend([
            0x2e, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x86, 0xa8, 0xeb, 0x10,
        ]);
        crate::fuzz::mutations(&valid, 20_000, |bytes| {
            if let Ok(fields) = decode(bytes) {
                let total: usize = fields.iter().map(weight).sum();
                assert!(total <= MOST);
                let text = |b: &Vec<u8>| String::from_utf8(b.clone()).ok();
                let own: Option<Vec<_>> =
                    fields.iter().map(|f| text(&f.0).zip(text(&f.1))).collect();
                if let Some(own) = own {
                    let own: Vec<_> = own.iter().map(|f| (f.0.as_str(), f.1.as_str())).collect();
                    assert_eq!(decode(&encode(&own)).unwrap(), fields);
                }
            }
        });
    }
}
