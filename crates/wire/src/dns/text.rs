//! Record data as text (RFC 1035, 5.1; RFC 3597, 5), as BIND's tools and as ldns's write it.

use super::digits::{base32hex, base64, hex, stamp};
use super::layout::{Part, layout};
use super::{Cursor, algorithm_word, type_word};
use crate::Malformed;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Whose habits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// dig, host, nslookup, delv.
    #[default]
    Bind,
    /// drill.
    Ldns,
}

/// How data are written.
#[derive(Clone, Debug)]
pub struct Style {
    /// Whose habits.
    pub dialect: Dialect,
    /// Over several lines, with comments.
    pub multiline: bool,
    /// Long fields are cut into words of so many characters; 0 for never.
    pub split: usize,
    /// Keys and signatures are shown.
    pub crypto: bool,
    /// What a key is stands behind it.
    pub comments: bool,
    /// Everything as if its type were unknown (RFC 3597).
    pub unknown: bool,
    /// IPv6 addresses with all their zeroes.
    pub expand: bool,
}

impl Default for Style {
    fn default() -> Style {
        Style {
            dialect: Dialect::Bind,
            multiline: false,
            split: 56,
            crypto: true,
            comments: false,
            unknown: false,
            expand: false,
        }
    }
}

/// What begins a further line of a record.
pub const BREAK: &str = "\n\t\t\t\t";

impl Style {
    /// drill's.
    pub fn ldns() -> Style {
        Style {
            dialect: Dialect::Ldns,
            split: 0,
            ..Style::default()
        }
    }

    fn ldns_way(&self) -> bool {
        self.dialect == Dialect::Ldns
    }

    fn hex(&self, bytes: &[u8]) -> String {
        let text = hex(bytes);
        if self.ldns_way() {
            text
        } else {
            text.to_ascii_uppercase()
        }
    }

    pub(super) fn words<'t>(&self, text: &'t str) -> Vec<&'t str> {
        if self.split == 0 || text.is_empty() {
            return vec![text];
        }
        let bytes = text.as_bytes().chunks(self.split);
        bytes
            .map(|c| std::str::from_utf8(c).unwrap_or_default())
            .collect()
    }

    /// A long field behind others.
    fn long(&self, text: &str) -> String {
        let words = self.words(text);
        if self.multiline {
            format!("({BREAK}{} )", words.join(BREAK))
        } else {
            words.join(" ")
        }
    }
}

/// A name as the tools print it: with its final dot, marks of zone files escaped.
pub fn shown_name(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 1);
    let mut letters = name.chars();
    while let Some(c) = letters.next() {
        match c {
            '\\' => {
                text.push(c);
                text.extend(letters.next());
            }
            '@' | ';' | '$' | '"' | '(' | ')' => text.extend(['\\', c]),
            _ => text.push(c),
        }
    }
    text.push('.');
    text
}

/// A character string in quotes.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for b in bytes {
        match b {
            b'"' | b'\\' => text.extend(['\\', char::from(*b)]),
            0x20..=0x7e => text.push(char::from(*b)),
            _ => text.push_str(&format!("\\{b:03}")),
        }
    }
    text.push('"');
    text
}

/// The data of a record, whole names inside.
pub fn data(rtype: u16, bytes: &[u8], style: &Style) -> String {
    let shapeless = bytes.is_empty() && layout(rtype).is_none();
    if !(style.unknown || shapeless) {
        let mut c = Cursor { bytes, at: 0 };
        let text = match layout(rtype) {
            Some(parts) => by_parts(rtype, parts, &mut c, style),
            None => special(rtype, &mut c, style),
        };
        if let Ok(Some(text)) = text
            && c.at == bytes.len()
        {
            return text;
        }
    }
    unknown(bytes, style)
}

fn unknown(bytes: &[u8], style: &Style) -> String {
    if bytes.is_empty() {
        let own = if style.ldns_way() { "# 0" } else { "\\# 0" };
        return own.into();
    }
    let text = style.hex(bytes);
    let words = style.words(&text);
    if style.multiline {
        format!("\\# {} ( {} )", bytes.len(), words.join(BREAK))
    } else {
        format!("\\# {} {}", bytes.len(), words.join(" "))
    }
}

type Text = Result<Option<String>, Malformed>;

fn by_parts(rtype: u16, parts: &[Part], c: &mut Cursor<'_>, style: &Style) -> Text {
    let bytes = c.bytes;
    match rtype {
        6 if style.multiline => return soa(c).map(Some),
        25 | 48 | 57 | 60 => return key(bytes, c, style).map(Some),
        24 | 46 => return signature(c, style).map(Some),
        49 | 61 if style.multiline => {
            let text = base64(c.take(bytes.len(), "data")?);
            let mut text = format!("( {} )", style.words(&text).join(BREAK));
            if let (49, [high, low, digest, rest @ ..]) = (rtype, bytes) {
                let kind = u16::from(*high) << 8 | u16::from(*low);
                text.push_str(&format!(" ; {kind} {digest} {}", rest.len()));
            }
            return Ok(Some(text));
        }
        50 => return nsec3(c, style).map(Some),
        43 | 59 | 32768 | 32769 if !style.crypto => {
            let words = [
                c.u16("")?.to_string(),
                c.u8("")?.to_string(),
                c.u8("")?.to_string(),
            ];
            c.at = bytes.len();
            return Ok(Some(format!("{} [omitted]", words.join(" "))));
        }
        _ => {}
    }
    let mut words = Vec::new();
    for part in parts {
        words.push(piece(*part, c, style)?);
    }
    words.retain(|w| !w.is_empty());
    let mut text = words.join(" ");
    // ldns puts a blank behind each type.
    if style.ldns_way() && parts.ends_with(&[Part::Kinds]) && !text.ends_with('.') {
        text.push(' ');
    }
    Ok(Some(text))
}

fn piece(part: Part, c: &mut Cursor<'_>, style: &Style) -> Result<String, Malformed> {
    let left = c.bytes.len().saturating_sub(c.at);
    Ok(match part {
        Part::Name => shown_name(&c.name()?),
        Part::U8 => c.u8("a number")?.to_string(),
        Part::U16 => c.u16("a number")?.to_string(),
        Part::U32 => c.u32("a number")?.to_string(),
        Part::Text => quoted(string(c)?),
        Part::Texts => {
            let mut all = Vec::new();
            while c.at < c.bytes.len() {
                all.push(quoted(string(c)?));
            }
            all.join(" ")
        }
        Part::Quoted => quoted(c.take(left, "text")?),
        Part::Hex => style.long(&style.hex(c.take(left, "data")?)),
        Part::Base64 => style.long(&base64(c.take(left, "data")?)),
        Part::Time => stamp(c.u32("a time")?),
        Part::Kind => type_word(c.u16("a type")?),
        Part::Kinds => kinds(c)?.join(" "),
        Part::Ip4 => Ipv4Addr::from(c.array::<4>("an address")?).to_string(),
        Part::Ip6 => ip6(c.array::<16>("an address")?, style),
        Part::Groups => {
            let groups = [c.u16("")?, c.u16("")?, c.u16("")?, c.u16("")?];
            let words = groups.map(|g| {
                if style.ldns_way() {
                    format!("{g:04x}")
                } else {
                    format!("{g:x}")
                }
            });
            words.join(":")
        }
        Part::Salt => {
            let len = c.u8("a length")?;
            let salt = c.take(usize::from(len), "a salt")?;
            if salt.is_empty() {
                "-".into()
            } else {
                style.hex(salt)
            }
        }
        Part::Hash => {
            let len = c.u8("a length")?;
            base32hex(c.take(usize::from(len), "a hash")?)
        }
        Part::Dashes => {
            let bytes = c.take(left, "an identifier")?;
            let words: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
            words.join("-")
        }
    })
}

fn ip6(bytes: [u8; 16], style: &Style) -> String {
    let address = Ipv6Addr::from(bytes);
    if style.expand {
        let words = address.segments().map(|s| format!("{s:04x}"));
        words.join(":")
    } else {
        address.to_string()
    }
}

fn string<'a>(c: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
    let len = c.u8("a string length")?;
    c.take(usize::from(len), "a string")
}

/// The types of a bitmap.
fn kinds(c: &mut Cursor<'_>) -> Result<Vec<String>, Malformed> {
    let mut all = Vec::new();
    while c.at < c.bytes.len() {
        let window = c.u8("a window")?;
        let len = c.u8("a bitmap length")?;
        let bitmap = c.take(usize::from(len), "a bitmap")?;
        for (at, byte) in bitmap.iter().enumerate() {
            for bit in (0..8usize).filter(|bit| byte >> (7 - bit) & 1 == 1) {
                let low = u16::try_from(at * 8 + bit).unwrap_or_default();
                all.push(type_word(u16::from(window) << 8 | low));
            }
        }
    }
    Ok(all)
}

/// `1 week 2 days` of seconds.
pub fn span_in_words(seconds: u32) -> String {
    let units = [
        (604_800, "week"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let (mut left, mut words) = (seconds, Vec::new());
    for (size, unit) in units {
        let n = left / size;
        left %= size;
        if n > 0 {
            words.push(format!("{n} {unit}{}", if n == 1 { "" } else { "s" }));
        }
    }
    if words.is_empty() {
        words.push("0 seconds".into());
    }
    words.join(" ")
}

/// `4m52s` of seconds.
pub fn span_in_letters(seconds: u32) -> String {
    let (mut left, mut text) = (seconds, String::new());
    for (size, unit) in [
        (604_800, 'w'),
        (86_400, 'd'),
        (3600, 'h'),
        (60, 'm'),
        (1, 's'),
    ] {
        let n = left / size;
        left %= size;
        if n > 0 {
            text.push_str(&format!("{n}{unit}"));
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

fn soa(c: &mut Cursor<'_>) -> Result<String, Malformed> {
    let (mname, rname) = (c.name()?, c.name()?);
    let mut text = format!("{} {} (", shown_name(&mname), shown_name(&rname));
    for word in ["serial", "refresh", "retry", "expire", "minimum"] {
        let n = c.u32("a number")?;
        text.push_str(&format!("{BREAK}{n:<10} ; {word}"));
        if word != "serial" {
            text.push_str(&format!(" ({})", span_in_words(n)));
        }
    }
    text.push_str(BREAK);
    text.push(')');
    Ok(text)
}

/// The tag of a DNSKEY's data (RFC 4034, appendix B).
pub fn key_tag(bytes: &[u8]) -> u16 {
    let pairs = bytes.chunks(2).map(|p| {
        let (high, low) = (
            p.first().copied().unwrap_or(0),
            p.get(1).copied().unwrap_or(0),
        );
        u32::from(high) << 8 | u32::from(low)
    });
    let sum = pairs.fold(0u32, u32::wrapping_add);
    (sum.wrapping_add(sum >> 16 & 0xffff) & 0xffff) as u16
}

/// Bits of a public key.
fn key_bits(algorithm: u8, key: &[u8]) -> usize {
    match (algorithm, key) {
        (5 | 7 | 8 | 10, [0, high, low, rest @ ..]) => {
            let exponent = usize::from(*high) << 8 | usize::from(*low);
            rest.len().saturating_sub(exponent) * 8
        }
        (5 | 7 | 8 | 10, [exponent, rest @ ..]) => {
            rest.len().saturating_sub(usize::from(*exponent)) * 8
        }
        (13, _) => 256,
        (14, _) => 384,
        (15, _) => 256,
        (16, _) => 456,
        _ => key.len() * 8,
    }
}

fn key(bytes: &[u8], c: &mut Cursor<'_>, style: &Style) -> Result<String, Malformed> {
    let (flags, protocol, algorithm) = (c.u16("flags")?, c.u8("a protocol")?, c.u8("")?);
    let raw = c.take(bytes.len().saturating_sub(c.at), "a key")?;
    let (tag, entry) = (key_tag(bytes), flags & 1 == 1);
    let head = format!("{flags} {protocol} {algorithm}");
    if style.ldns_way() {
        let kind = if entry { "ksk" } else { "zsk" };
        let bits = key_bits(algorithm, raw);
        let text = format!("{head} {}", base64(raw));
        return Ok(if style.comments {
            format!("{text} ;{{id = {tag} ({kind}), size = {bits}b}}")
        } else {
            text
        });
    }
    let shown = base64(raw);
    let words = style.words(&shown);
    let kind = match (flags & 0x80 != 0, entry) {
        (true, true) => "revoked KSK",
        (true, false) => "revoked ZSK",
        (false, true) => "KSK",
        (false, false) => "ZSK",
    };
    let comment = format!(
        "; {kind}; alg = {} ; key id = {tag}",
        algorithm_word(algorithm)
    );
    Ok(if !style.crypto && style.comments && !style.multiline {
        format!("{head} [key id = {tag}]  {comment}")
    } else if !style.crypto {
        format!("{head} [key id = {tag}]")
    } else if style.multiline {
        let behind = if style.comments {
            format!(" {comment}")
        } else {
            String::new()
        };
        format!("{head} ({BREAK}{}{BREAK}){behind}", words.join(BREAK))
    } else if style.comments {
        format!("{head} {}  {comment}", words.join(" "))
    } else {
        format!("{head} {}", words.join(" "))
    })
}

fn signature(c: &mut Cursor<'_>, style: &Style) -> Result<String, Malformed> {
    let head = [
        type_word(c.u16("a type")?),
        c.u8("an algorithm")?.to_string(),
        c.u8("a number of labels")?.to_string(),
        c.u32("a time to live")?.to_string(),
    ];
    let middle = [
        stamp(c.u32("a time")?),
        stamp(c.u32("a time")?),
        c.u16("a key tag")?.to_string(),
        shown_name(&c.name()?),
    ];
    let raw = c.take(c.bytes.len().saturating_sub(c.at), "a signature")?;
    let shown = if style.crypto {
        base64(raw)
    } else {
        "[omitted]".into()
    };
    let words = style.words(&shown);
    let (head, middle) = (head.join(" "), middle.join(" "));
    Ok(if style.multiline {
        format!("{head} ({BREAK}{middle}{BREAK}{} )", words.join(BREAK))
    } else {
        format!("{head} {middle} {}", words.join(" "))
    })
}

fn nsec3(c: &mut Cursor<'_>, style: &Style) -> Result<String, Malformed> {
    let head = [
        piece(Part::U8, c, style)?,
        piece(Part::U8, c, style)?,
        piece(Part::U16, c, style)?,
        piece(Part::Salt, c, style)?,
    ];
    let (head, hash, types) = (head.join(" "), piece(Part::Hash, c, style)?, kinds(c)?);
    Ok(if style.ldns_way() {
        let types: String = types.iter().map(|t| format!("{t} ")).collect();
        let types = if types.is_empty() {
            types
        } else {
            format!(" {types}")
        };
        format!("{head}  {}{types}", hash.to_ascii_lowercase())
    } else if style.multiline {
        let types = types.join(" ");
        let types = if types.is_empty() {
            types
        } else {
            format!("{BREAK}{types}")
        };
        format!("{head} ({BREAK}{hash}{types} )")
    } else {
        let mut words = vec![head, hash];
        words.extend(types);
        words.join(" ")
    })
}

#[path = "text_special.rs"]
mod shapes;
use shapes::special;
