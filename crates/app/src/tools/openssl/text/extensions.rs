//! Extensions in words.

use super::*;

/// One extension; its name stands behind so many blanks, its value four more.
pub fn extension(e: &Extension<'_>, indent: usize) -> String {
    let critical = if e.critical { "critical" } else { "" };
    let mut out = format!("{:indent$}{}: {critical}\n", "", names::long(&e.kind));
    let deep = indent + 4;
    let lines = content(e).unwrap_or_else(|| vec![raw(e.value)]);
    for line in lines {
        let _ = writeln!(out, "{:deep$}{line}", "");
    }
    out
}

/// Bytes that nobody understands here.
pub(super) fn raw(bytes: &[u8]) -> String {
    let one = |b: &u8| match b {
        b'\n' | b'\r' | 0x20..=0x7e => char::from(*b),
        _ => '.',
    };
    bytes.iter().map(one).collect()
}

fn content(e: &Extension<'_>) -> Option<Vec<String>> {
    let (item, _) = der::read(e.value).ok()?;
    let parts = || der::items(item.content).ok();
    let line = |s: String| Some(vec![s]);
    match names::short(&e.kind) {
        "subjectAltName" | "issuerAltName" => {
            let all: Vec<String> = parts()?.iter().map(general_name).collect();
            line(if all.is_empty() {
                "<EMPTY>\n".into()
            } else {
                all.join(", ")
            })
        }
        "keyUsage" => line(flags(item.content, &USAGES)),
        "nsCertType" => line(flags(
            item.content,
            &[
                "SSL Client",
                "SSL Server",
                "S/MIME",
                "Object Signing",
                "Unused",
                "SSL CA",
                "S/MIME CA",
                "Object Signing CA",
            ],
        )),
        "nsComment" => line(characters(&item)),
        "extendedKeyUsage" => {
            let all: Vec<String> = parts()?
                .iter()
                .map(|p| names::long(&der::oid(p.content)).to_string())
                .collect();
            line(all.join(", "))
        }
        "basicConstraints" => {
            let parts = parts()?;
            let ca = parts
                .iter()
                .any(|p| p.tag == tag::BOOLEAN && p.content != [0]);
            let most = parts.iter().find(|p| p.tag == tag::INTEGER);
            let most = most.map(|p| p.content.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)));
            let most = most.map(|n| format!(", pathlen:{n}")).unwrap_or_default();
            line(format!("CA:{}{most}", if ca { "TRUE" } else { "FALSE" }))
        }
        "subjectKeyIdentifier" => line(colons(item.content, true)),
        "authorityKeyIdentifier" => authority(&parts()?),
        "crlDistributionPoints" => points(&parts()?),
        "authorityInfoAccess" => {
            let mut lines = Vec::new();
            for one in parts()? {
                let pair = der::items(one.content).ok()?;
                let how = names::long(&der::oid(pair.first()?.content)).to_string();
                lines.push(format!("{how} - {}", general_name(pair.get(1)?)));
            }
            Some(lines)
        }
        "certificatePolicies" => policies(&parts()?),
        "nameConstraints" => constraints(&parts()?),
        "privateKeyUsagePeriod" => {
            let times = parts()?.into_iter().map(|p| {
                let word = if p.tag == 0x80 {
                    "Not Before"
                } else {
                    "Not After"
                };
                let moment = Item {
                    tag: tag::GENERALIZED_TIME,
                    ..p
                };
                format!("{word}: {}", time(&moment))
            });
            line(times.collect::<Vec<_>>().join(", "))
        }
        "tlsfeature" => {
            let all: Vec<String> = parts()?
                .iter()
                .map(|p| match p.content {
                    [5] => "status_request".into(),
                    [17] => "status_request_v2".into(),
                    other => other
                        .iter()
                        .fold(0u64, |n, b| n << 8 | u64::from(*b))
                        .to_string(),
                })
                .collect();
            line(all.join(", "))
        }
        "ct_precert_scts" => timestamps(item.content),
        _ => None,
    }
}

fn flags(content: &[u8], words: &[&'static str]) -> String {
    let bits = content.get(1..).unwrap_or_default();
    let set = |i: usize| bits.get(i / 8).is_some_and(|b| b >> (7 - i % 8) & 1 == 1);
    let all: Vec<&str> = words
        .iter()
        .enumerate()
        .filter(|(i, _)| set(*i))
        .map(|(_, w)| *w)
        .collect();
    all.join(", ")
}

/// RFC 5280, 4.2.1.6.
pub fn general_name(item: &Item<'_>) -> String {
    let text = || raw(item.content);
    match item.tag {
        0x81 => format!("email:{}", text()),
        0x82 => format!("DNS:{}", text()),
        0x86 => format!("URI:{}", text()),
        0x87 => format!("IP Address:{}", address(item.content)),
        0x88 => format!("Registered ID:{}", names::long(&der::oid(item.content))),
        0xa4 => {
            let inner = read_name(item.content);
            format!(
                "DirName:{}",
                inner
                    .map(|n| name(&n, NameStyle::Compat))
                    .unwrap_or_default()
            )
        }
        0xa0 => other_name(item.content).unwrap_or_else(|| "othername:<unsupported>".into()),
        0xa3 => "X400Name:<unsupported>".into(),
        0xa5 => "EdiPartyName:<unsupported>".into(),
        _ => String::new(),
    }
}

/// A name of a kind of its own, where it is text.
fn other_name(content: &[u8]) -> Option<String> {
    let parts = der::items(content).ok()?;
    let kind = der::oid(parts.first()?.content);
    let value = der::read(parts.get(1)?.content).ok()?.0;
    matches!(value.tag, tag::UTF8 | 22)
        .then(|| format!("othername: {}::{}", names::long(&kind), raw(value.content)))
}

fn address(bytes: &[u8]) -> String {
    let v4 = |b: &[u8]| b.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
    let v6 = |b: &[u8]| {
        let parts = b
            .chunks(2)
            .map(|c| format!("{:X}", c.iter().fold(0u16, |n, b| n << 8 | u16::from(*b))));
        parts.collect::<Vec<_>>().join(":")
    };
    match bytes.len() {
        4 => v4(bytes),
        16 => v6(bytes),
        8 => format!("{}/{}", v4(&bytes[..4]), v4(&bytes[4..])),
        32 => format!("{}/{}", v6(&bytes[..16]), v6(&bytes[16..])),
        n => format!("IP Address:<invalid length={n}>"),
    }
}

fn authority(parts: &[Item<'_>]) -> Option<Vec<String>> {
    let key = parts.iter().find(|p| p.tag == 0x80);
    let issuer = parts.iter().find(|p| p.tag == 0xa1);
    let serial = parts.iter().find(|p| p.tag == 0x82);
    let alone = issuer.is_none() && serial.is_none();
    let mut lines = Vec::new();
    if let Some(key) = key {
        let word = if alone { "" } else { "keyid:" };
        lines.push(format!("{word}{}", colons(key.content, true)));
    }
    if let Some(issuer) = issuer {
        for one in der::items(issuer.content).ok()? {
            let text = general_name(&one);
            lines.push(text);
        }
    }
    if let Some(serial) = serial {
        let size = magnitude(serial.content);
        let shown = if size.is_empty() { &[0] } else { size };
        lines.push(format!("serial:{}", colons(shown, true)));
    }
    Some(lines)
}

fn points(parts: &[Item<'_>]) -> Option<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    for point in parts {
        for field in der::items(point.content).ok()? {
            match field.tag {
                0xa0 => {
                    let inner = der::items(field.content).ok()?;
                    let full = inner.first().filter(|n| n.tag == 0xa0)?;
                    lines.push("Full Name:".into());
                    for one in der::items(full.content).ok()? {
                        lines.push(format!("  {}", general_name(&one)));
                    }
                }
                _ => return None,
            }
        }
    }
    Some(lines)
}

fn policies(parts: &[Item<'_>]) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    for policy in parts {
        let fields = der::items(policy.content).ok()?;
        lines.push(format!(
            "Policy: {}",
            names::long(&der::oid(fields.first()?.content))
        ));
        let Some(qualifiers) = fields.get(1) else {
            continue;
        };
        for qualifier in der::items(qualifiers.content).ok()? {
            let pair = der::items(qualifier.content).ok()?;
            match names::short(&der::oid(pair.first()?.content)) {
                "id-qt-cps" => lines.push(format!("  CPS: {}", raw(pair.get(1)?.content))),
                "id-qt-unotice" => {
                    lines.push("  User Notice:".into());
                    for part in der::items(pair.get(1)?.content).ok()? {
                        if part.tag == tag::SEQUENCE {
                            let both = der::items(part.content).ok()?;
                            lines.push(format!("    Organization: {}", raw(both.first()?.content)));
                            let numbers = der::items(both.get(1)?.content).ok()?;
                            let s = if numbers.len() > 1 { "s" } else { "" };
                            let all: Vec<String> = numbers
                                .iter()
                                .map(|n| {
                                    n.content
                                        .iter()
                                        .fold(0u64, |v, b| v << 8 | u64::from(*b))
                                        .to_string()
                                })
                                .collect();
                            lines.push(format!("    Number{s}: {}", all.join(", ")));
                        } else {
                            let text = part.content.split(|b| *b == 0).next();
                            lines.push(format!(
                                "    Explicit Text: {}",
                                raw(text.unwrap_or_default())
                            ));
                        }
                    }
                }
                _ => return None,
            }
        }
    }
    Some(lines)
}

fn constraints(parts: &[Item<'_>]) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    for part in parts {
        lines.push(
            if part.tag == 0xa0 {
                "Permitted:"
            } else {
                "Excluded:"
            }
            .to_string(),
        );
        for tree in der::items(part.content).ok()? {
            let base = der::read(tree.content).ok()?.0;
            let text = match base.tag {
                0x87 => format!("IP:{}", address(base.content)),
                _ => general_name(&base),
            };
            lines.push(format!("  {text}"));
        }
    }
    Some(lines)
}

/// RFC 6962, 3.3: a list with lengths in front.
fn timestamps(list: &[u8]) -> Option<Vec<String>> {
    let take = |bytes: &mut &[u8], n: usize| -> Option<Vec<u8>> {
        let (head, rest) = bytes.split_at_checked(n)?;
        *bytes = rest;
        Some(head.to_vec())
    };
    let long = |b: Vec<u8>| b.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
    let mut all = list;
    long(take(&mut all, 2)?);
    let mut lines = Vec::new();
    while !all.is_empty() {
        let length = long(take(&mut all, 2)?);
        let one = take(&mut all, length)?;
        let mut one = one.as_slice();
        if take(&mut one, 1)? != [0] {
            return None;
        }
        let log = take(&mut one, 32)?;
        let ms = take(&mut one, 8)?
            .iter()
            .fold(0u64, |n, b| n << 8 | u64::from(*b));
        let more = long(take(&mut one, 2)?);
        let more = take(&mut one, more)?;
        let kind = take(&mut one, 2)?;
        let size = long(take(&mut one, 2)?);
        let signature = take(&mut one, size)?;
        let word = match kind.as_slice() {
            [4, 3] => "ecdsa-with-SHA256",
            [4, 1] => "sha256WithRSAEncryption",
            _ => "UNKNOWN",
        };
        let pieces = |title: &str, bytes: &[u8], capitals: bool| -> Vec<String> {
            let count = bytes.len().div_ceil(16);
            let line = |(i, l): (usize, &[u8])| {
                let end = if i + 1 == count { "" } else { ":" };
                let title = if i == 0 { title } else { "" };
                format!("    {title:<12}{}{end}", colons(l, capitals))
            };
            bytes.chunks(16).enumerate().map(line).collect()
        };
        let stamp = moment(i64::try_from(ms / 1000).ok()?);
        let at = stamp
            .rfind(' ')
            .and_then(|gmt| stamp.get(..gmt))
            .and_then(|s| s.rfind(' '))?;
        let (clock, year) = stamp.split_at(at);
        lines.push("Signed Certificate Timestamp:".into());
        lines.push("    Version   : v1 (0x0)".into());
        lines.extend(pieces("Log ID    : ", &log, true));
        lines.push(format!("    Timestamp : {clock}.{:03}{year}", ms % 1000));
        match more.is_empty() {
            true => lines.push("    Extensions: none".into()),
            false => lines.extend(pieces("Extensions: ", &more, true)),
        }
        lines.push(format!("    Signature : {word}"));
        lines.extend(pieces("", &signature, true));
    }
    Some(lines)
}
