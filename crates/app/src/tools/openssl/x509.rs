//! `openssl x509`: a certificate's fields.

use super::names;
use super::text::{self, NameStyle};
use crate::io::{Io, Lang};
use anyhow::Result;
use netshoot_wire::der::tag;
use netshoot_wire::dns::digits::{base64, from_base64};
use netshoot_wire::x509::{Certificate, seconds};
use ring::digest;
use serde_json::json;
use std::io::Read;
use std::net::IpAddr;

/// Longest input that is read, bytes.
const MOST: u64 = 16 << 20;

const ALONE: &[&str] = &[
    "noout",
    "text",
    "dates",
    "startdate",
    "enddate",
    "subject",
    "issuer",
    "serial",
    "fingerprint",
    "pubkey",
    "modulus",
    "email",
    "ocsp_uri",
    "sha1",
    "sha256",
    "sha384",
    "sha512",
    "json",
    "explain",
    "help",
    "hash",
    "subject_hash",
    "issuer_hash",
];
const VALUED: &[&str] = &[
    "in",
    "inform",
    "outform",
    "out",
    "ext",
    "checkend",
    "checkhost",
    "checkip",
    "checkemail",
    "nameopt",
    "lang",
];
const REFUSED: &[&str] = &[
    "req",
    "CA",
    "CAkey",
    "signkey",
    "key",
    "days",
    "x509toreq",
    "new",
    "purpose",
    "certopt",
    "trustout",
];

const HELP: &str = "\
Usage: openssl x509 [-in FILE] [-inform PEM|DER] [-outform PEM|DER] [-out FILE] [-noout]
  -text -dates -startdate -enddate -subject -issuer -serial -fingerprint [-sha1|-sha256|-sha384|-sha512]
  -ext NAMES -pubkey -modulus -email -ocsp_uri -subject_hash -issuer_hash
  -checkend SECONDS -checkhost NAME -checkip ADDRESS -nameopt oneline|RFC2253|multiline|compat
  --json --explain
";

fn is_der(form: &str) -> bool {
    form.eq_ignore_ascii_case("der") || form.eq_ignore_ascii_case("d")
}

/// Does it. Gives the exit code.
pub fn run(words: &[String], io: &mut Io<'_>) -> Result<i32> {
    if let Some(word) = words
        .iter()
        .find(|w| REFUSED.contains(&w.trim_start_matches('-')) && w.starts_with('-'))
    {
        writeln!(
            io.err,
            "x509: {word} is not taken: nothing is signed or judged here"
        )?;
        return Ok(1);
    }
    let options = match super::options("x509", words, ALONE, VALUED) {
        Ok(options) => options,
        Err(why) => {
            writeln!(io.err, "{why}")?;
            return Ok(1);
        }
    };
    let value = |name: &str| options.iter().rev().find(|o| o.0 == name).map(|o| o.1);
    let has = |name: &str| value(name).is_some();
    if let Some(lang) = value("lang") {
        io.lang = crate::io::choose_lang(Some(lang));
    }
    if has("help") {
        write!(io.out, "{HELP}")?;
        return Ok(0);
    }
    let known = |f: &str| ["pem", "der", "p", "d"].contains(&f.to_ascii_lowercase().as_str());
    for name in ["inform", "outform"] {
        if let Some(form) = value(name).filter(|f| !known(f)) {
            let bad = format!("x509: Bad format \"{form}\"");
            writeln!(
                io.err,
                "{bad}\nx509: Invalid format \"{form}\" for option -{name}"
            )?;
            writeln!(io.err, "x509: Use -help for summary.")?;
            return Ok(1);
        }
    }
    if value("nameopt").is_some_and(|n| !names::is_style(n)) {
        writeln!(io.err, "x509: Use -help for summary.")?;
        return Ok(1);
    }
    // Read as none it would call the certificate good.
    if let Some(ahead) = value("checkend").filter(|v| v.parse::<i64>().is_err()) {
        writeln!(io.err, "x509: Can't parse \"{ahead}\" as a number")?;
        writeln!(io.err, "x509: Use -help for summary.")?;
        return Ok(1);
    }
    let binary = value("inform").is_some_and(is_der);
    let from = value("in").filter(|f| *f != "-");
    let bytes = input(from);
    let der = bytes.and_then(|b| {
        if binary {
            Some(b)
        } else {
            pem(&b, "CERTIFICATE").or(Some(b))
        }
    });
    let certificate = der.as_deref().and_then(|d| Certificate::decode(d).ok());
    let (Some(der), Some(c)) = (&der, &certificate) else {
        let what = from.unwrap_or("<stdin>");
        if let Some(Err(e)) = from.map(std::fs::metadata) {
            let (file, why) = (
                crate::report::safe(what),
                netshoot_host::sockets::strerror(&e),
            );
            writeln!(
                io.err,
                "Could not open file or uri for loading certificate from {file}\nerror:16000069:STORE routines:ossl_store_get0_loader_int:unregistered scheme:scheme=file\nerror:80000002:system library:file_open:{why}:calling stat({file})\nUnable to load certificate"
            )?;
            return Ok(1);
        }
        writeln!(
            io.err,
            "Could not read certificate from {}\nUnable to load certificate",
            crate::report::safe(what)
        )?;
        return Ok(1);
    };
    if has("json") {
        writeln!(io.out, "{:#}", as_json(c, der))?;
        return Ok(0);
    }
    let mut out: Vec<u8> = Vec::new();
    let code = shown(c, der, &options, &mut out);
    if !has("noout") {
        match value("outform").is_some_and(is_der) {
            true => out.extend(der),
            false => out.extend(armoured(der, "CERTIFICATE").bytes()),
        }
    }
    match value("out") {
        Some(file) => {
            if let Err(e) = std::fs::write(file, &out) {
                let why = netshoot_host::sockets::strerror(&e);
                writeln!(
                    io.err,
                    "Can't open \"{}\" for writing, {why}",
                    crate::report::safe(file)
                )?;
                return Ok(1);
            }
        }
        None => io.out.write_all(&out)?,
    }
    if value("ext").is_some_and(|asked| extensions(c, asked).is_empty()) {
        writeln!(io.err, "No extensions in certificate")?;
    }
    if has("explain") {
        for line in explained(c, io.lang) {
            writeln!(io.err, "{line}")?;
        }
    }
    Ok(code)
}

fn input(from: Option<&str>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match from {
        Some(file) => std::fs::File::open(file)
            .ok()?
            .take(MOST)
            .read_to_end(&mut bytes)
            .ok()?,
        None => std::io::stdin().take(MOST).read_to_end(&mut bytes).ok()?,
    };
    Some(bytes)
}

/// The first block of that kind in a text (RFC 7468).
pub fn pem(bytes: &[u8], kind: &str) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(bytes);
    let begin = format!("-----BEGIN {kind}-----");
    let (_, behind) = text.split_once(&begin)?;
    let (inside, _) = behind.split_once("-----END ")?;
    from_base64(inside)
}

/// Bytes in a text (RFC 7468).
pub fn armoured(der: &[u8], kind: &str) -> String {
    let text = base64(der);
    let mut out = format!("-----BEGIN {kind}-----\n");
    for line in text.as_bytes().chunks(64) {
        out += &String::from_utf8_lossy(line);
        out.push('\n');
    }
    out + &format!("-----END {kind}-----\n")
}

fn style(options: &[(&str, &str)]) -> NameStyle {
    let asked = options
        .iter()
        .rev()
        .find(|o| o.0 == "nameopt")
        .map_or("", |o| o.1);
    match asked.split(',').next().unwrap_or_default() {
        "RFC2253" | "rfc2253" => NameStyle::Rfc2253,
        "multiline" => NameStyle::MultiLine,
        "compat" => NameStyle::Compat,
        _ => NameStyle::OneLine,
    }
}

/// What each option shows, in their order. Gives the exit code.
fn shown(c: &Certificate<'_>, der: &[u8], options: &[(&str, &str)], out: &mut Vec<u8>) -> i32 {
    use std::fmt::Write;
    let (style, mut code, mut text) = (style(options), 0, String::new());
    for (name, value) in options {
        let done = match *name {
            "text" => {
                text += &text::certificate(c, style);
                Ok(())
            }
            "subject" => writeln!(text, "subject={}", text::name(&c.subject, style)),
            "issuer" => writeln!(text, "issuer={}", text::name(&c.issuer, style)),
            "serial" => writeln!(text, "serial={}", serial(c.serial)),
            "startdate" => writeln!(text, "notBefore={}", text::time(&c.not_before)),
            "enddate" => writeln!(text, "notAfter={}", text::time(&c.not_after)),
            "dates" => {
                let (from, to) = (text::time(&c.not_before), text::time(&c.not_after));
                writeln!(text, "notBefore={from}\nnotAfter={to}")
            }
            "fingerprint" => {
                let (word, print) = fingerprint(der, options);
                writeln!(text, "{word} Fingerprint={}", text::colons(&print, true))
            }
            "pubkey" => {
                text += &armoured(c.key.whole, "PUBLIC KEY");
                Ok(())
            }
            "modulus" => writeln!(text, "Modulus={}", modulus(c)),
            "email" => {
                text += &emails(c);
                Ok(())
            }
            "ocsp_uri" => {
                text += &responders(c);
                Ok(())
            }
            "hash" | "subject_hash" => writeln!(text, "{:08x}", hash(&c.subject)),
            "issuer_hash" => writeln!(text, "{:08x}", hash(&c.issuer)),
            "ext" => {
                text += &extensions(c, value);
                Ok(())
            }
            _ => Ok(()),
        };
        let _ = done;
    }
    code = checks(c, options, &mut text).unwrap_or(code);
    out.extend(text.bytes());
    std::mem::take(&mut code)
}

/// What is asked of it, and the exit code that says no.
fn checks(c: &Certificate<'_>, options: &[(&str, &str)], text: &mut String) -> Option<i32> {
    let (named, addresses) = text::hosts(c);
    let mut code = None;
    for (name, value) in options {
        let does = |fits: bool| if fits { "does match" } else { "does NOT match" };
        match *name {
            "checkend" => {
                let ahead: i64 = value.parse().unwrap_or(0);
                let now = i64::try_from(netshoot_host::clock::now_ms() / 1000).unwrap_or(0);
                let ends = seconds(&c.not_after).is_none_or(|end| end < now.saturating_add(ahead));
                *text += if ends {
                    "Certificate will expire\n"
                } else {
                    "Certificate will not expire\n"
                };
                code = Some(i32::from(ends));
            }
            "checkhost" => {
                let fits = named.iter().any(|own| text::fits(own, value));
                *text += &format!("Hostname {value} {} certificate\n", does(fits));
            }
            "checkip" => {
                let bytes = value.parse::<IpAddr>().ok().map(|ip| match ip {
                    IpAddr::V4(ip) => ip.octets().to_vec(),
                    IpAddr::V6(ip) => ip.octets().to_vec(),
                });
                let fits = bytes.is_some_and(|b| addresses.contains(&b));
                *text += &format!("IP {value} {} certificate\n", does(fits));
            }
            "checkemail" => {
                let fits = emails(c).lines().any(|l| l == *value);
                *text += &format!("Email {value} {} certificate\n", does(fits));
            }
            _ => {}
        }
    }
    code
}

fn serial(bytes: &[u8]) -> String {
    let start = usize::from(bytes.len() > 1 && bytes.first() == Some(&0));
    let shown = bytes.get(start..).unwrap_or_default();
    shown.iter().map(|b| format!("{b:02X}")).collect()
}

fn fingerprint(der: &[u8], options: &[(&str, &str)]) -> (&'static str, Vec<u8>) {
    let asked = options.iter().rev().find(|o| o.0.starts_with("sha"));
    let (word, kind) = match asked.map(|o| o.0) {
        Some("sha1") => ("sha1", &digest::SHA1_FOR_LEGACY_USE_ONLY),
        Some("sha256") => ("sha256", &digest::SHA256),
        Some("sha384") => ("sha384", &digest::SHA384),
        Some("sha512") => ("sha512", &digest::SHA512),
        _ => ("SHA1", &digest::SHA1_FOR_LEGACY_USE_ONLY),
    };
    (word, digest::digest(kind, der).as_ref().to_vec())
}

fn modulus(c: &Certificate<'_>) -> String {
    use netshoot_wire::der;
    if c.key_kind != "1.2.840.113549.1.1.1" {
        return "No modulus for this public key type".into();
    }
    let numbers = der::read(c.key_bits)
        .and_then(|k| der::items(k.0.content))
        .unwrap_or_default();
    serial(numbers.first().map_or(&[], |n| n.content))
}

fn emails(c: &Certificate<'_>) -> String {
    use netshoot_wire::der;
    let mut found: Vec<String> = Vec::new();
    for a in c
        .subject
        .parts
        .iter()
        .flatten()
        .filter(|a| a.kind == "1.2.840.113549.1.9.1")
    {
        found.push(String::from_utf8_lossy(a.value.content).into_owned());
    }
    let list = c
        .extension("2.5.29.17")
        .and_then(|e| der::read(e.value).ok());
    for item in list
        .and_then(|l| der::items(l.0.content).ok())
        .unwrap_or_default()
    {
        if item.tag == 0x81 {
            found.push(String::from_utf8_lossy(item.content).into_owned());
        }
    }
    found.dedup();
    found.iter().map(|e| format!("{e}\n")).collect()
}

fn responders(c: &Certificate<'_>) -> String {
    let all = c
        .extension("1.3.6.1.5.5.7.1.1")
        .map(|e| text::extension(e, 0))
        .unwrap_or_default();
    let lines = all
        .lines()
        .filter_map(|l| l.trim().strip_prefix("OCSP - URI:"));
    lines.map(|l| format!("{l}\n")).collect()
}

/// `-ext NAMES`: by their short names.
fn extensions(c: &Certificate<'_>, asked: &str) -> String {
    let asked: Vec<&str> = asked.split(',').map(str::trim).collect();
    let found = c
        .extensions
        .iter()
        .filter(|e| asked.contains(&names::short(&e.kind)));
    found.map(|e| text::extension(e, 0)).collect()
}

/// The name of files in a folder of authorities: of the name in small letters, with single blanks, as UTF-8.
fn hash(name: &netshoot_wire::x509::Name<'_>) -> u32 {
    let wrap = |tag: u8, content: Vec<u8>| -> Vec<u8> {
        let length = content.len();
        let mut out = vec![tag];
        match length {
            0..0x80 => out.push(length as u8),
            0x80..0x100 => out.extend([0x81, length as u8]),
            _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        out.extend(content);
        out
    };
    let mut all = Vec::new();
    for part in &name.parts {
        let mut set = Vec::new();
        for a in part {
            let plain = match a.value.tag {
                tag::UTF8 | 19 | 20 | 22 | 26 | tag::BMP => {
                    let text = String::from_utf8_lossy(a.value.content).into_owned();
                    let text = match a.value.tag {
                        tag::BMP => {
                            let units: Vec<u16> = a
                                .value
                                .content
                                .chunks(2)
                                .map(|c| c.iter().fold(0, |n, b| n << 8 | u16::from(*b)))
                                .collect();
                            String::from_utf16_lossy(&units)
                        }
                        20 => a.value.content.iter().map(|b| char::from(*b)).collect(),
                        _ => text,
                    };
                    let words: Vec<&str> = text.split_ascii_whitespace().collect();
                    wrap(tag::UTF8, words.join(" ").to_ascii_lowercase().into_bytes())
                }
                _ => a.value.whole.to_vec(),
            };
            set.extend(wrap(tag::SEQUENCE, [oid(&a.kind), plain].concat()));
        }
        all.extend(wrap(tag::SET, set));
    }
    let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &all);
    let first: [u8; 4] = sum
        .as_ref()
        .get(..4)
        .and_then(|b| b.try_into().ok())
        .unwrap_or_default();
    u32::from_le_bytes(first)
}

/// An identifier in figures, as it is written.
fn oid(figures: &str) -> Vec<u8> {
    let parts: Vec<u128> = figures.split('.').filter_map(|p| p.parse().ok()).collect();
    let mut out = Vec::new();
    let first = parts.first().copied().unwrap_or(0) * 40 + parts.get(1).copied().unwrap_or(0);
    for (i, value) in std::iter::once(first)
        .chain(parts.into_iter().skip(2))
        .enumerate()
    {
        let _ = i;
        let mut digits = vec![(value & 0x7f) as u8];
        let mut rest = value >> 7;
        while rest > 0 {
            digits.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out.extend(digits.into_iter().rev());
    }
    [vec![tag::OID, out.len() as u8], out].concat()
}

fn as_json(c: &Certificate<'_>, der: &[u8]) -> serde_json::Value {
    let (named, _) = text::hosts(c);
    let print = digest::digest(&digest::SHA256, der);
    let ms = |t| seconds(t).map(|s| netshoot_model::time::rfc3339(s.saturating_mul(1000)));
    let san = c.extension("2.5.29.17").map(|e| text::extension(e, 0));
    json!({
        "version": c.version,
        "serial": serial(c.serial),
        "subject": text::name(&c.subject, NameStyle::Rfc2253),
        "issuer": text::name(&c.issuer, NameStyle::Rfc2253),
        "not_before": ms(&c.not_before),
        "not_after": ms(&c.not_after),
        "signature_algorithm": names::long(&c.signed_with),
        "key": { "kind": names::long(&c.key_kind), "bits": text::key_bits(c) },
        "hosts": named,
        "subject_alt_name": san.as_deref().and_then(|t| t.lines().nth(1)).map(str::trim),
        "sha256": text::colons(print.as_ref(), true),
    })
}

/// What a certificate says in a cluster.
fn explained(c: &Certificate<'_>, lang: Lang) -> Vec<String> {
    let now = i64::try_from(netshoot_host::clock::now_ms() / 1000).unwrap_or(0);
    let days = seconds(&c.not_after).map_or(0, |end| (end - now).div_euclid(86_400));
    let (named, _) = text::hosts(c);
    let names = named.join(", ");
    let names = crate::report::safe(&names);
    let mut lines = vec![match (days < 0, lang) {
        (true, Lang::En) => format!("Expired {} days ago: clients that verify refuse it", -days),
        (true, Lang::Zh) => format!("已过期 {} 天：会校验证书的客户端将拒绝", -days),
        (false, Lang::En) => format!("Valid for {days} days more"),
        (false, Lang::Zh) => format!("还有 {days} 天有效"),
    }];
    lines.push(match lang {
        Lang::En => {
            format!("Good for these names only: {names}; a Service is called NAME.NAMESPACE.svc")
        }
        Lang::Zh => format!("仅适用于这些名称：{names}；Service 的名称是 NAME.NAMESPACE.svc"),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_around_bytes() {
        let text = armoured(&[7; 100], "CERTIFICATE");
        assert_eq!(pem(text.as_bytes(), "CERTIFICATE").unwrap(), [7; 100]);
        assert_eq!(pem(b"nothing", "CERTIFICATE"), None);
        assert_eq!(oid("2.5.4.3"), [6, 3, 0x55, 4, 3]);
        assert_eq!(serial(&[0, 0x82]), "82");
    }
}
