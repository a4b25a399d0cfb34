//! Certificates in OpenSSL's words, byte for byte.

mod extensions;

pub use extensions::extension;
use extensions::raw;

use super::names::{self, USAGES};
use netshoot_wire::der::{self, Item, tag};
use netshoot_wire::x509::{Certificate, Extension, Name, read_name, seconds};
use std::fmt::Write;
use std::net::Ipv4Addr;

/// How a name is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameStyle {
    /// `C = DE, CN = x`
    #[default]
    OneLine,
    /// `CN=x,C=DE`
    Rfc2253,
    /// One part a line.
    MultiLine,
    /// `/C=DE/CN=x`
    Compat,
}

/// `aa:bb`, in small letters or capitals.
pub fn colons(bytes: &[u8], capitals: bool) -> String {
    let one = |b: &u8| {
        if capitals {
            format!("{b:02X}")
        } else {
            format!("{b:02x}")
        }
    };
    bytes.iter().map(one).collect::<Vec<_>>().join(":")
}

/// Lines of so many bytes, each behind so many blanks; a colon ends all but the last.
fn block(bytes: &[u8], across: usize, indent: usize) -> String {
    let count = bytes.len().div_ceil(across);
    let mut out = String::new();
    for (i, line) in bytes.chunks(across).enumerate() {
        let end = if i + 1 == count { "" } else { ":" };
        let _ = writeln!(out, "{:indent$}{}{end}", "", colons(line, false));
    }
    out
}

/// `Nov 27 02:02:34 2026 GMT`
pub fn time(item: &Item<'_>) -> String {
    match seconds(item) {
        Some(s) => moment(s),
        None => "Bad time value".into(),
    }
}

/// The same, of seconds since 1970.
pub fn moment(s: i64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let text = netshoot_model::time::rfc3339(s.saturating_mul(1000));
    let part = |a: usize, b: usize| text.get(a..b).unwrap_or_default();
    let month = part(5, 7)
        .parse::<usize>()
        .ok()
        .and_then(|m| MONTHS.get(m.wrapping_sub(1)));
    let day: u32 = part(8, 10).parse().unwrap_or(0);
    format!(
        "{} {day:2} {} {} GMT",
        month.unwrap_or(&"Bad"),
        part(11, 19),
        part(0, 4)
    )
}

/// The characters of a string of any kind.
fn characters(value: &Item<'_>) -> String {
    match value.tag {
        tag::BMP => {
            let units: Vec<u16> = value
                .content
                .chunks(2)
                .map(|c| match c {
                    [a, b] => u16::from_be_bytes([*a, *b]),
                    _ => 0xfffd,
                })
                .collect();
            String::from_utf16_lossy(&units)
        }
        tag::UTF8 => String::from_utf8_lossy(value.content).into_owned(),
        // Of the others a byte is a character (Latin 1).
        _ => value.content.iter().map(|b| char::from(*b)).collect(),
    }
}

/// A value with what must be escaped, escaped; quoted where the style quotes.
fn value(item: &Item<'_>, style: NameStyle) -> String {
    let text = characters(item);
    let mut out = String::new();
    let special = |c: char| ",+\"<>;\\".contains(c);
    let edge = text.starts_with(['#', ' ']) || text.ends_with(' ');
    let quoted = style == NameStyle::OneLine && (text.contains([',', '+', '<', '>', ';']) || edge);
    let count = text.chars().count();
    for (i, c) in text.chars().enumerate() {
        let (first, last) = (i == 0, i + 1 == count);
        match c {
            c if c.is_control() || c > '\u{7e}' => out += &escaped(c, style),
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if style == NameStyle::Rfc2253
                && (special(c) || first && "# ".contains(c) || last && c == ' ') =>
            {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    if quoted { format!("\"{out}\"") } else { out }
}

/// A character that is not printed as it is.
fn escaped(c: char, style: NameStyle) -> String {
    let code = u32::from(c);
    let mut buffer = [0; 4];
    let bytes = c.encode_utf8(&mut buffer).bytes();
    match style {
        // The only style that does not turn it into UTF-8 first.
        NameStyle::MultiLine => match code {
            0..0x100 => format!("\\{code:02X}"),
            0x100..0x1_0000 => format!("\\U{code:04X}"),
            _ => format!("\\W{code:08X}"),
        },
        NameStyle::Compat => bytes.map(|b| format!("\\x{b:02X}")).collect(),
        _ => bytes.map(|b| format!("\\{b:02X}")).collect(),
    }
}

/// A name.
pub fn name(name: &Name<'_>, style: NameStyle) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in &name.parts {
        let one = |a: &netshoot_wire::x509::Attribute<'_>| {
            let (short, long) = (names::short(&a.kind), names::long(&a.kind));
            let text = value(&a.value, style);
            match style {
                NameStyle::OneLine => format!("{short} = {text}"),
                NameStyle::Rfc2253 | NameStyle::Compat => format!("{short}={text}"),
                NameStyle::MultiLine => format!("{long:<25} = {text}"),
            }
        };
        let plus = if style == NameStyle::OneLine {
            " + "
        } else {
            "+"
        };
        parts.push(part.iter().map(one).collect::<Vec<_>>().join(plus));
    }
    match style {
        NameStyle::OneLine => parts.join(", "),
        NameStyle::Rfc2253 => {
            parts.reverse();
            parts.join(",")
        }
        NameStyle::MultiLine => parts.iter().map(|p| format!("\n    {p}")).collect(),
        NameStyle::Compat => parts.iter().map(|p| format!("/{p}")).collect(),
    }
}

/// `-text` without the PEM behind it.
pub fn certificate(c: &Certificate<'_>, style: NameStyle) -> String {
    let mut out = String::from("Certificate:\n    Data:\n");
    let _ = writeln!(
        out,
        "        Version: {} (0x{:x})",
        c.version,
        c.version.saturating_sub(1)
    );
    out += &serial(c.serial);
    let signed = names::long(&c.signed_with);
    let _ = writeln!(out, "        Signature Algorithm: {signed}");
    let _ = writeln!(out, "        Issuer: {}", name(&c.issuer, style));
    let _ = writeln!(
        out,
        "        Validity\n            Not Before: {}",
        time(&c.not_before)
    );
    let _ = writeln!(out, "            Not After : {}", time(&c.not_after));
    let _ = writeln!(out, "        Subject: {}", name(&c.subject, style));
    out += "        Subject Public Key Info:\n";
    let _ = writeln!(
        out,
        "            Public Key Algorithm: {}",
        names::long(&c.key_kind)
    );
    out += &key(c);
    if !c.extensions.is_empty() {
        out += "        X509v3 extensions:\n";
        for e in &c.extensions {
            out += &extension(e, 12);
        }
    }
    let _ = writeln!(
        out,
        "    Signature Algorithm: {}",
        names::long(&c.outer_signed_with)
    );
    out += "    Signature Value:\n";
    out + &block(c.signature, 18, 8)
}

/// The size of a number without the zero that keeps it positive.
fn magnitude(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn serial(bytes: &[u8]) -> String {
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let (size, sign) = match negative {
        // Two's complement.
        true => {
            let mut all: Vec<u8> = bytes.iter().map(|b| !b).collect();
            for b in all.iter_mut().rev() {
                let (sum, over) = b.overflowing_add(1);
                *b = sum;
                if !over {
                    break;
                }
            }
            (magnitude(&all).to_vec(), "-")
        }
        false => (magnitude(bytes).to_vec(), ""),
    };
    let short = size.len() < 8 || size.len() == 8 && size.first().is_some_and(|b| b & 0x80 == 0);
    if short {
        let n = size.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        return format!("        Serial Number: {sign}{n} ({sign}0x{n:x})\n");
    }
    let mark = if negative { " (Negative)" } else { "" };
    format!(
        "        Serial Number:\n            {mark}{}\n",
        colons(&size, false)
    )
}

/// The words for the bits of a key; none where its kind is not known.
pub fn key_bits(c: &Certificate<'_>) -> Option<u32> {
    match c.key_kind.as_str() {
        "1.2.840.113549.1.1.1" => {
            let numbers = der::items(der::read(c.key_bits).ok()?.0.content).ok()?;
            let modulus = magnitude(numbers.first()?.content);
            let top = 8 - modulus.first()?.leading_zeros();
            Some(u32::try_from(modulus.len()).ok()?.saturating_sub(1) * 8 + top)
        }
        "1.2.840.10045.2.1" => {
            let kind = c.key_parameters.filter(|p| p.tag == tag::OID)?;
            names::curve(&der::oid(kind.content)).map(|curve| curve.1)
        }
        "1.3.101.112" => Some(256),
        "1.3.101.113" => Some(456),
        _ => None,
    }
}

fn key(c: &Certificate<'_>) -> String {
    let Some(bits) = key_bits(c) else {
        return "            Unable to load Public Key\n".into();
    };
    let mut out = String::new();
    match c.key_kind.as_str() {
        "1.2.840.113549.1.1.1" => {
            let numbers = der::read(c.key_bits)
                .and_then(|k| der::items(k.0.content))
                .unwrap_or_default();
            let number = |i: usize| numbers.get(i).map_or(&[][..], |n| n.content);
            let modulus = magnitude(number(0));
            // With a zero in front where it would look negative.
            let shown = match modulus.first() {
                Some(0x80..) => [&[0], modulus].concat(),
                _ => modulus.to_vec(),
            };
            let _ = writeln!(
                out,
                "                Public-Key: ({bits} bit)\n                Modulus:"
            );
            out += &block(&shown, 15, 20);
            let e = magnitude(number(1))
                .iter()
                .fold(0u128, |n, b| n << 8 | u128::from(*b));
            let _ = writeln!(out, "                Exponent: {e} (0x{e:x})");
        }
        "1.2.840.10045.2.1" => {
            let figures = c
                .key_parameters
                .map(|p| der::oid(p.content))
                .unwrap_or_default();
            let nist = names::curve(&figures).map_or("", |n| n.0);
            let _ = writeln!(
                out,
                "                Public-Key: ({bits} bit)\n                pub:"
            );
            out += &block(c.key_bits, 15, 20);
            let _ = writeln!(out, "                ASN1 OID: {}", names::short(&figures));
            let _ = writeln!(out, "                NIST CURVE: {nist}");
        }
        kind => {
            let _ = writeln!(
                out,
                "                {} Public-Key:\n                pub:",
                names::long(kind)
            );
            out += &block(c.key_bits, 15, 20);
        }
    }
    out
}

/// The names that a certificate is for: of hosts, and addresses.
pub fn hosts(c: &Certificate<'_>) -> (Vec<String>, Vec<Vec<u8>>) {
    let (mut named, mut addresses) = (Vec::new(), Vec::new());
    let list = c
        .extension("2.5.29.17")
        .and_then(|e| der::read(e.value).ok());
    for item in list
        .and_then(|l| der::items(l.0.content).ok())
        .unwrap_or_default()
    {
        match item.tag {
            0x82 => named.push(raw(item.content).to_lowercase()),
            0x87 => addresses.push(item.content.to_vec()),
            _ => {}
        }
    }
    if list.is_none() {
        let all = c.subject.parts.iter().flatten();
        named.extend(
            all.filter(|a| a.kind == "2.5.4.3")
                .map(|a| characters(&a.value).to_lowercase()),
        );
    }
    (named, addresses)
}

/// Whether a name of a certificate, which may begin with `*.`, is that host's.
pub fn fits(own: &str, host: &str) -> bool {
    let host = host.to_lowercase();
    if own == host {
        return true;
    }
    match (own.strip_prefix("*."), host.split_once('.')) {
        (Some(domain), Some((label, rest))) => {
            rest == domain
                && !label.is_empty()
                && domain.contains('.')
                && host.parse::<Ipv4Addr>().is_err()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_and_hosts() {
        assert_eq!(
            serial(&[0x5c, 1]),
            "        Serial Number: 23553 (0x5c01)\n"
        );
        assert_eq!(serial(&[0xff]), "        Serial Number: -1 (-0x1)\n");
        assert!(serial(&[0, 0x82, 1, 1, 1, 1, 1, 1, 1]).contains("82:01"));
        assert!(fits("*.svc.test", "a.svc.test") && !fits("*.svc.test", "a.b.svc.test"));
        assert!(fits("x", "X") && !fits("*.test", "a.test"));
    }

    #[test]
    fn damaged_certificates_are_written_in_bounds() {
        let valid = issued();
        netshoot_wire::fuzz::mutations(&valid, 4_000, |bytes| {
            if let Ok(c) = Certificate::decode(bytes) {
                let text = certificate(&c, NameStyle::OneLine);
                assert!(text.len() < 64 * 1024, "{}", text.len());
                let _ = (hosts(&c), key_bits(&c));
            }
        });
    }

    /// A certificate as a world has it.
    fn issued() -> Vec<u8> {
        use netshoot_lab::certs;
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let authority = certs::Authority::new("x", 0, 1 << 40).unwrap();
        let names = ["a.test".to_string(), "10.0.0.1".into(), "fd00::1".into()];
        let (pem, _) = certs::issue(&authority, &names, 0, 1 << 40).unwrap();
        CertificateDer::from_pem_slice(pem.as_bytes())
            .unwrap()
            .to_vec()
    }
}
