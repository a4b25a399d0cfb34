//! Data of types with a shape of their own.

use super::super::digits::{base64, hex};
use super::super::kinds::certificate_word;
use super::super::{Cursor, algorithm_word, rcode_word};
use super::{BREAK, Style, Text, ip6, quoted, shown_name, string};
use crate::Malformed;
use std::net::Ipv4Addr;

/// The data as text; nothing for a type that is not known.
pub(super) fn special(rtype: u16, c: &mut Cursor<'_>, style: &Style) -> Text {
    let left = c.bytes.len().saturating_sub(c.at);
    Ok(Some(match rtype {
        22 => format!("0x{}", hex(c.take(left, "an address")?)),
        29 => return location(c, style),
        37 => {
            let kind = certificate_word(c.u16("a type")?);
            let (tag, algorithm) = (c.u16("a key tag")?, c.u8("an algorithm")?);
            let algorithm = match style.ldns_way() {
                true => algorithm.to_string(),
                false => algorithm_word(algorithm),
            };
            let raw = c.take(c.bytes.len().saturating_sub(c.at), "a certificate")?;
            format!("{kind} {tag} {algorithm} {}", style.long(&base64(raw)))
        }
        42 => prefixes(c, style)?,
        45 => return ipsec_key(c, style),
        55 => host_identity(c, style)?,
        64 | 65 => service(c, style)?,
        250 => tsig(c, style)?,
        257 => {
            let (flags, tag) = (c.u8("flags")?, string(c)?);
            let value = c.take(c.bytes.len().saturating_sub(c.at), "a value")?;
            format!("{flags} {} {}", String::from_utf8_lossy(tag), quoted(value))
        }
        _ => return Ok(None),
    }))
}

/// RFC 1876: a digit and a power of ten of centimetres.
fn metres(byte: u8) -> Option<String> {
    let (base, power) = (u64::from(byte >> 4), u32::from(byte & 0xf));
    let cm = (base <= 9 && power <= 9).then(|| base * 10u64.pow(power))?;
    Some(if cm % 100 == 0 {
        format!("{}m", cm / 100)
    } else {
        format!("{}.{:02}m", cm / 100, cm % 100)
    })
}

fn degrees(value: u32, letters: [char; 2], padded: bool) -> String {
    let away = i64::from(value) - (1i64 << 31);
    let (letter, ms) = (letters[usize::from(away < 0)], away.unsigned_abs());
    let (d, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let frac = ms % 1000;
    if padded {
        format!("{d:02} {m:02} {s:02}.{frac:03} {letter}")
    } else {
        format!("{d} {m} {s}.{frac:03} {letter}")
    }
}

fn location(c: &mut Cursor<'_>, style: &Style) -> Text {
    if c.u8("a version")? != 0 {
        return Ok(None);
    }
    let sizes = [c.u8("")?, c.u8("")?, c.u8("")?].map(metres);
    let (lat, long, alt) = (c.u32("")?, c.u32("")?, c.u32("")?);
    let [Some(size), Some(across), Some(up)] = sizes else {
        return Ok(None);
    };
    let padded = style.ldns_way();
    let cm = i64::from(alt) - 10_000_000;
    let sign = if cm < 0 { "-" } else { "" };
    let (whole, rest) = (cm.unsigned_abs() / 100, cm.unsigned_abs() % 100);
    let height = if padded && rest == 0 {
        format!("{sign}{whole}m")
    } else {
        format!("{sign}{whole}.{rest:02}m")
    };
    Ok(Some(format!(
        "{} {} {height} {size} {across} {up}",
        degrees(lat, ['N', 'S'], padded),
        degrees(long, ['E', 'W'], padded),
    )))
}

/// RFC 3123.
fn prefixes(c: &mut Cursor<'_>, style: &Style) -> Result<String, Malformed> {
    let mut all = Vec::new();
    while c.at < c.bytes.len() {
        let (family, prefix, len) = (c.u16("a family")?, c.u8("a prefix")?, c.u8("a length")?);
        let part = c.take(usize::from(len & 0x7f), "an address")?;
        let not = if len & 0x80 != 0 { "!" } else { "" };
        let mut whole = [0u8; 16];
        for (to, from) in whole.iter_mut().zip(part) {
            *to = *from;
        }
        let address = match family {
            1 => {
                let [a, b, d, e, ..] = whole;
                Ipv4Addr::new(a, b, d, e).to_string()
            }
            _ if style.ldns_way() => ip6(
                whole,
                &Style {
                    expand: true,
                    ..style.clone()
                },
            ),
            _ => ip6(whole, style),
        };
        let behind = if style.ldns_way() { " " } else { "" };
        all.push(format!("{not}{family}:{address}/{prefix}{behind}"));
    }
    Ok(all.join(if style.ldns_way() { "" } else { " " }))
}

/// RFC 4025.
fn ipsec_key(c: &mut Cursor<'_>, style: &Style) -> Text {
    let (precedence, kind, algorithm) = (c.u8("")?, c.u8("")?, c.u8("")?);
    let gateway = match kind {
        0 => ".".to_string(),
        1 => Ipv4Addr::from(c.array::<4>("a gateway")?).to_string(),
        2 => ip6(c.array::<16>("a gateway")?, style),
        3 => shown_name(&c.name()?),
        _ => return Ok(None),
    };
    let raw = c.take(c.bytes.len().saturating_sub(c.at), "a key")?;
    let shown = base64(raw);
    let words = style.words(&shown);
    let head = format!("{precedence} {kind} {algorithm} {gateway}");
    Ok(Some(if style.multiline {
        format!("( {head}{BREAK}{} )", words.join(BREAK))
    } else if raw.is_empty() {
        head
    } else {
        format!("{head} {}", words.join(" "))
    }))
}

/// RFC 8005.
fn host_identity(c: &mut Cursor<'_>, style: &Style) -> Result<String, Malformed> {
    let (len, algorithm, key) = (c.u8("")?, c.u8("")?, c.u16("")?);
    let tag = c.take(usize::from(len), "a tag")?;
    let mut words = vec![algorithm.to_string(), style.hex(tag)];
    words.push(base64(c.take(usize::from(key), "a key")?));
    while c.at < c.bytes.len() {
        words.push(shown_name(&c.name()?));
    }
    Ok(words.join(" "))
}

const KEYS: [&str; 8] = [
    "mandatory",
    "alpn",
    "no-default-alpn",
    "port",
    "ipv4hint",
    "ech",
    "ipv6hint",
    "dohpath",
];

/// RFC 9460.
fn service(c: &mut Cursor<'_>, style: &Style) -> Result<String, Malformed> {
    let (priority, target) = (c.u16("a priority")?, c.name()?);
    let mut words = vec![priority.to_string(), shown_name(&target)];
    let bare = style.ldns_way();
    while c.at < c.bytes.len() {
        let (number, len) = (c.u16("a key")?, c.u16("a length")?);
        let value = c.take(usize::from(len), "a value")?;
        let key = KEYS.get(usize::from(number));
        let key = key.map_or_else(|| format!("key{number}"), |k| (*k).to_string());
        let shown = parameter(number, value, style);
        words.push(match (number, shown) {
            (_, None) if value.is_empty() => key,
            (1 | 7, Some(text)) if !bare => format!("{key}=\"{text}\""),
            (_, Some(text)) => format!("{key}={text}"),
            (_, None) if bare => format!("{key}={}", quoted(value).trim_matches('"')),
            (_, None) => format!("{key}={}", quoted(value)),
        });
    }
    Ok(words.join(" "))
}

fn parameter(number: u16, value: &[u8], style: &Style) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    let mut c = Cursor {
        bytes: value,
        at: 0,
    };
    let mut all = Vec::new();
    while c.at < value.len() {
        all.push(match number {
            0 => {
                let n = c.u16("a key").ok()?;
                let known = KEYS.get(usize::from(n));
                known.map_or_else(|| format!("key{n}"), |k| (*k).to_string())
            }
            1 => {
                let text = quoted(string(&mut c).ok()?);
                text.trim_matches('"').to_string()
            }
            3 => c.u16("a port").ok()?.to_string(),
            4 => Ipv4Addr::from(c.array::<4>("").ok()?).to_string(),
            5 => base64(c.take(value.len(), "").ok()?),
            6 => ip6(c.array::<16>("").ok()?, style),
            7 => String::from_utf8_lossy(c.take(value.len(), "").ok()?).into_owned(),
            _ => return None,
        });
    }
    Some(all.join(","))
}

/// RFC 8945.
fn tsig(c: &mut Cursor<'_>, style: &Style) -> Result<String, Malformed> {
    let algorithm = c.name()?;
    let (high, low) = (c.u16("a time")?, c.u32("a time")?);
    let time = u64::from(high) << 32 | u64::from(low);
    let (fudge, len) = (c.u16("a fudge")?, c.u16("a length")?);
    let mac = match c.take(usize::from(len), "a code")? {
        [] => String::new(),
        some => style.words(&base64(some)).join(" ") + " ",
    };
    let (id, error, other) = (c.u16("an id")?, c.u16("an error")?, c.u16("a length")?);
    let word = match error {
        16 => "BADSIG".to_string(),
        17 => "BADKEY".to_string(),
        18 => "BADTIME".to_string(),
        22 => "BADTRUNC".to_string(),
        _ => rcode_word(error),
    };
    let rest = c.take(usize::from(other), "other data")?;
    let rest = if rest.is_empty() {
        String::new()
    } else {
        base64(rest)
    };
    Ok(format!(
        "{} {time} {fudge} {len} {mac}{id} {word} {other} {rest}",
        shown_name(&algorithm)
    ))
}
