//! Certificates (RFC 5280), as they are written: nothing is judged here.

use crate::Malformed;
use crate::der::{self, Item, tag};

/// A certificate's fields.
#[derive(Clone, Debug)]
pub struct Certificate<'a> {
    /// 1 to 3.
    pub version: u8,
    /// The serial number's bytes, as a signed integer has them.
    pub serial: &'a [u8],
    /// What signed it, in figures.
    pub signed_with: String,
    /// Who.
    pub issuer: Name<'a>,
    /// From when.
    pub not_before: Item<'a>,
    /// Until when.
    pub not_after: Item<'a>,
    /// Whose it is.
    pub subject: Name<'a>,
    /// The public key with its kind, as it is written.
    pub key: Item<'a>,
    /// The kind of key, in figures.
    pub key_kind: String,
    /// What the kind needs besides: the curve.
    pub key_parameters: Option<Item<'a>>,
    /// The key's bytes.
    pub key_bits: &'a [u8],
    /// What version 3 adds.
    pub extensions: Vec<Extension<'a>>,
    /// What the signature outside says it was made with.
    pub outer_signed_with: String,
    /// The signature.
    pub signature: &'a [u8],
}

/// A name, part by part.
#[derive(Clone, Debug)]
pub struct Name<'a> {
    /// As it is written.
    pub whole: &'a [u8],
    /// Parts, each of one attribute or several.
    pub parts: Vec<Vec<Attribute<'a>>>,
}

/// `CN = localhost`
#[derive(Clone, Debug)]
pub struct Attribute<'a> {
    /// In figures.
    pub kind: String,
    /// A string of some kind.
    pub value: Item<'a>,
}

/// What version 3 adds.
#[derive(Clone, Debug)]
pub struct Extension<'a> {
    /// In figures.
    pub kind: String,
    /// Who does not understand it must not go on.
    pub critical: bool,
    /// What is in the octet string.
    pub value: &'a [u8],
}

fn bad(expected: &'static str) -> Malformed {
    Malformed {
        format: "certificate (RFC 5280)",
        at: 0,
        expected,
    }
}

fn wanted<'a>(
    item: Option<&Item<'a>>,
    tag: u8,
    expected: &'static str,
) -> Result<Item<'a>, Malformed> {
    item.copied().filter(|i| i.tag == tag).ok_or(bad(expected))
}

fn algorithm(item: Option<&Item<'_>>) -> Result<String, Malformed> {
    let parts = der::items(wanted(item, tag::SEQUENCE, "an algorithm")?.content)?;
    Ok(der::oid(
        wanted(parts.first(), tag::OID, "an algorithm's identifier")?.content,
    ))
}

fn bits<'a>(item: Option<&Item<'a>>) -> Result<&'a [u8], Malformed> {
    let content = wanted(item, tag::BIT_STRING, "bits")?.content;
    // The first byte counts the bits that are none.
    content.get(1..).ok_or(bad("bits"))
}

/// Reads a name.
pub fn read_name<'a>(whole: &'a [u8]) -> Result<Name<'a>, Malformed> {
    let (item, _) = der::read(whole)?;
    let mut parts = Vec::new();
    for set in der::items(item.content)? {
        let mut all = Vec::new();
        for one in der::items(set.content)? {
            let pair = der::items(one.content)?;
            let kind = der::oid(wanted(pair.first(), tag::OID, "an attribute's kind")?.content);
            let value = *pair.get(1).ok_or(bad("an attribute's value"))?;
            all.push(Attribute { kind, value });
        }
        parts.push(all);
    }
    Ok(Name {
        whole: item.whole,
        parts,
    })
}

fn extensions<'a>(bytes: &'a [u8]) -> Result<Vec<Extension<'a>>, Malformed> {
    let (list, _) = der::read(bytes)?;
    let mut all = Vec::new();
    for one in der::items(list.content)? {
        let parts = der::items(one.content)?;
        let kind = der::oid(wanted(parts.first(), tag::OID, "an extension's kind")?.content);
        let critical = parts
            .get(1)
            .is_some_and(|p| p.tag == tag::BOOLEAN && p.content != [0]);
        let value = wanted(parts.last(), tag::OCTET_STRING, "an extension's value")?.content;
        all.push(Extension {
            kind,
            critical,
            value,
        });
    }
    Ok(all)
}

impl<'a> Certificate<'a> {
    /// Reads one.
    pub fn decode(bytes: &'a [u8]) -> Result<Certificate<'a>, Malformed> {
        let (outer, _) = der::read(bytes)?;
        if outer.tag != tag::SEQUENCE {
            return Err(bad("a sequence"));
        }
        let three = der::items(outer.content)?;
        let inner = wanted(three.first(), tag::SEQUENCE, "what is signed")?;
        let fields = der::items(inner.content)?;
        let mut fields = fields.iter().peekable();
        let mut version = 1;
        if let Some(explicit) = fields.next_if(|f| f.tag == 0xa0) {
            let number = der::read(explicit.content)?.0.content;
            version = number.last().copied().unwrap_or(0).saturating_add(1);
        }
        let serial = wanted(fields.next(), tag::INTEGER, "a serial number")?.content;
        let signed_with = algorithm(fields.next())?;
        let issuer = wanted(fields.next(), tag::SEQUENCE, "an issuer")?;
        let times = der::items(wanted(fields.next(), tag::SEQUENCE, "two times")?.content)?;
        let subject = wanted(fields.next(), tag::SEQUENCE, "a subject")?;
        let key = wanted(fields.next(), tag::SEQUENCE, "a key")?;
        let halves = der::items(key.content)?;
        let kinds = der::items(wanted(halves.first(), tag::SEQUENCE, "a kind of key")?.content)?;
        let added = fields.find(|f| f.tag == 0xa3);
        Ok(Certificate {
            version,
            serial,
            signed_with,
            issuer: read_name(issuer.whole)?,
            not_before: *times.first().ok_or(bad("a beginning"))?,
            not_after: *times.get(1).ok_or(bad("an end"))?,
            subject: read_name(subject.whole)?,
            key,
            key_kind: der::oid(wanted(kinds.first(), tag::OID, "a kind of key")?.content),
            key_parameters: kinds.get(1).copied(),
            key_bits: bits(halves.get(1))?,
            extensions: match added {
                Some(added) => extensions(added.content)?,
                None => Vec::new(),
            },
            outer_signed_with: algorithm(three.get(1))?,
            signature: bits(three.get(2))?,
        })
    }

    /// The value of an extension by its kind in figures.
    pub fn extension(&self, kind: &str) -> Option<&Extension<'a>> {
        self.extensions.iter().find(|e| e.kind == kind)
    }
}

/// Seconds since 1970 of a UTCTime or GeneralizedTime in Greenwich (RFC 5280, 4.1.2.5).
pub fn seconds(time: &Item<'_>) -> Option<i64> {
    let text = std::str::from_utf8(time.content).ok()?.strip_suffix('Z')?;
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let (year, rest) = match (time.tag, digits) {
        (tag::UTC_TIME, true) => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (tag::GENERALIZED_TIME, true) => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| {
        rest.get(at..at + 2)
            .map_or(Some(0), |p| p.parse::<i64>().ok())
    };
    let (month, day, hour, minute, second) = (part(0)?, part(2)?, part(4)?, part(6)?, part(8)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    // Days since 1970 in years that begin in March.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate for `localhost` with a key of P-256, made by OpenSSL.
    const ONE: &str = "\
        MIICzTCCAbWgAwIBAgIUb1v6Xo5MZJIplT6Kd02f/YLFPckwDQYJKoZIhvcNAQELBQAwMjELMAkGA1UEBhMCREUxETAPBgNVBAoMCFRlc3QgT3\
        JnMRAwDgYDVQQDDAdUZXN0IENBMB4XDTI2MTEyNzAyMDIzNFoXDTI2MTIyNzAyMDIzNFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZI\
        zj0CAQYIKoZIzj0DAQcDQgAEarK5Bj5szuWkbhuXR0Cs0vYdXVjIWuP8CZmGExMpM0ZeJPTXIL+b8NHPpc1pHQ0FMMdLYXWNGT6kmhKEsJg5Ca\
        OBwzCBwDBBBgNVHREEOjA4gglsb2NhbGhvc3SCEyouc3ZjLmNsdXN0ZXIubG9jYWyHBH8AAAGHEAAAAAAAAAAAAAAAAAAAAAEwDgYDVR0PAQH/\
        BAQDAgWgMB0GA1UdJQQWMBQGCCsGAQUFBwMBBggrBgEFBQcDAjAMBgNVHRMBAf8EAjAAMB8GA1UdIwQYMBaAFIxFXg3OsHdOwtQP+9mlnubCKN\
        prMB0GA1UdDgQWBBROBL8oHSKMQckHScfPpRRFHQlyfjANBgkqhkiG9w0BAQsFAAOCAQEAFbOH2L1aMIFOHGvCH7q8uGD5UpR8CercbbyPl+a7\
        45pzsWe1vqZfedH4aD631a9i+0RvbReAo4gSUqYN8uK1hw70kxxXXqdVdPaiNjEbqA7TW2/Ba0QBiwmJRwMQe3jhyQqr5+/BM0yhnLrn1qRGIl\
        RO7nR9JbVWfnVsclumQIY/0k8h5+iHqe4QSUPSM0J6F7ojPslcLc0IYt4HDWD69XmpG+bVPk2+TWGK3aARkhDiZE6nPif51GtDdVrVLXCSqGGe\
        zIt4D9XfnXn29cEpwOR93BVCRs7FADMOLfJd+NP9U+Xg7+6+CUto10orxd2u42Qlm6/Y0RndjtFIgYKO8Q==\
        ";

    #[test]
    fn fields_and_times() {
        let bytes = crate::dns::digits::from_base64(ONE).unwrap();
        let c = Certificate::decode(&bytes).unwrap();
        assert_eq!((c.version, c.key_kind.as_str()), (3, "1.2.840.10045.2.1"));
        assert_eq!(c.subject.parts[0][0].value.content, b"localhost");
        assert!(c.extension("2.5.29.17").is_some());
        let item = |tag, content| Item {
            tag,
            content,
            whole: content,
        };
        assert_eq!(seconds(&item(tag::UTC_TIME, b"700101000000Z")), Some(0));
        assert_eq!(
            seconds(&item(tag::GENERALIZED_TIME, b"20240229120000Z")),
            Some(1_709_208_000)
        );
        for wrong in [&b"701301000000Z"[..], b"70", b"", b"700101000000"] {
            assert_eq!(seconds(&item(tag::UTC_TIME, wrong)), None);
        }
    }

    #[test]
    fn fuzz() {
        let bytes = crate::dns::digits::from_base64(ONE).unwrap();
        crate::fuzz::mutations(&bytes, 20_000, |bytes| {
            if let Ok(c) = Certificate::decode(bytes) {
                let _ = (seconds(&c.not_before), read_name(c.issuer.whole));
            }
        });
    }
}
