//! Those who do not talk in lines and codes of mail: XMPP, IRC and LDAP.

use super::{Begun, MOST, lines, say, silent, words};
use netshoot_host::tcp::Connection;
use std::io::{Read, Write};

/// The name space of the element that begins TLS (RFC 6120, 5.4.2).
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";

/// A stream is opened, TLS is among its features, and the server proceeds (RFC 6120, 5.4).
pub fn xmpp(protocol: &str, name: &str, c: &mut Connection) -> Result<Begun, String> {
    let kind = protocol.strip_prefix("xmpp-").unwrap_or("client");
    let name = name
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('\'', "&apos;");
    say(
        c,
        &format!(
            "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:{kind}' to='{name}' version='1.0'>"
        ),
    )?;
    let over = |said: &str| said.contains("</stream:stream>");
    let features = tags(c, |said| {
        said.contains("</stream:features>") || said.ends_with("<stream:features/>") || over(said)
    })?;
    if !features.contains(TLS) {
        return Err("the server does not offer TLS".into());
    }
    say(c, &format!("<starttls xmlns='{TLS}'/>"))?;
    // An element without content, or with its end behind it.
    let answer = tags(c, |said| said.ends_with("/>") || said.contains("</"))?;
    match answer.trim_start().starts_with("<proceed") {
        true => Ok(silent()),
        false => Err(refused(&answer)),
    }
}

/// The server answers with a number (IRCv3, "STARTTLS"): 670 is yes, 691 is no, others may come before.
pub fn irc(c: &mut Connection) -> Result<Begun, String> {
    say(c, "STARTTLS\r\n")?;
    let number = |l: &str| l.split_whitespace().nth(1).map(str::to_string);
    let decided = |l: &str| {
        let number = number(l);
        number.is_some_and(|n| ["670", "691", "421", "451"].contains(&n.as_str()))
    };
    let said = lines(c, decided)?;
    let last = said.lines().last().unwrap_or_default();
    match number(last).as_deref() {
        Some("670") => Ok(Begun {
            last: last.to_string(),
            offered: true,
        }),
        Some("691") => Err(format!(
            "STARTTLS negotiation failed: {}",
            crate::report::safe(last)
        )),
        _ => Err(format!(
            "STARTTLS not supported: {}\nServer does not support STARTTLS.",
            crate::report::safe(last)
        )),
    }
}

/// An extended request by its object identifier; its response holds a result, 0 for yes (RFC 4511, 4.12 and 4.14).
pub fn ldap(c: &mut Connection) -> Result<Begun, String> {
    let mut asked = vec![0x30, 29, 0x02, 1, 1, 0x77, 24, 0x80, 22];
    asked.extend(b"1.3.6.1.4.1.1466.20037");
    c.write_all(&asked).map_err(words)?;
    let mut got = Vec::new();
    loop {
        let mut byte = [0];
        c.read_exact(&mut byte).map_err(words)?;
        got.extend(byte);
        match element(&got) {
            Ok(Some(_)) => break,
            Ok(None) if got.len() < MOST => {}
            _ => return Err("Unexpected LDAP response".into()),
        }
    }
    match result(&got) {
        Some(0) => Ok(silent()),
        Some(code) => Err(format!("STARTTLS failed, LDAP Result Code: {code}")),
        None => Err("Unexpected LDAP response".into()),
    }
}

/// The result of an extended response.
fn result(message: &[u8]) -> Option<u32> {
    let whole = element(message).ok()??;
    let number = element(whole.content).ok()??;
    let response = element(number.rest).ok()??;
    let code = element(response.content).ok()??;
    if (whole.tag, number.tag, response.tag, code.tag) != (0x30, 0x02, 0x78, 0x0a)
        || code.content.len() > 4
    {
        return None;
    }
    Some(code.content.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
}

struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

/// An element in BER (X.690, 8.1); nothing where more bytes are needed. Its length may be longer than it must: Active
/// Directory takes four bytes for each.
fn element(bytes: &[u8]) -> Result<Option<Element<'_>>, ()> {
    let [tag, first, behind @ ..] = bytes else {
        return Ok(None);
    };
    let more = match first {
        ..=0x7f => 0,
        0x81..=0x84 => usize::from(first & 0x7f),
        _ => return Err(()),
    };
    let Some((length, behind)) = behind.split_at_checked(more) else {
        return Ok(None);
    };
    let length = match more {
        0 => usize::from(*first),
        _ => length.iter().fold(0, |n, b| n << 8 | usize::from(*b)),
    };
    if length > MOST {
        return Err(());
    }
    Ok(behind
        .split_at_checked(length)
        .map(|(content, rest)| Element {
            tag: *tag,
            content,
            rest,
        }))
}

fn refused(said: &str) -> String {
    format!("the server refused: {}", crate::report::safe(said.trim()))
}

/// Tags up to one that is the last; byte by byte, for what is behind belongs to TLS.
fn tags(c: &mut Connection, last: impl Fn(&str) -> bool) -> Result<String, String> {
    let mut all = Vec::new();
    while all.len() < MOST {
        let mut byte = [0];
        c.read_exact(&mut byte).map_err(words)?;
        all.extend(byte);
        if byte == *b">" {
            let said = String::from_utf8_lossy(&all).into_owned();
            if last(&said) {
                return Ok(said);
            }
        }
    }
    Err("the server's greeting has no end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &[u8] = b"0\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00";
    /// As Active Directory writes lengths.
    const LONG: &[u8] = b"0\x84\0\0\0\x10\x02\x01\x01\x78\x84\0\0\0\x07\x0a\x01\0\x04\x00\x04\x00";

    #[test]
    fn results_are_read() {
        assert_eq!(result(SHORT), Some(52));
        assert_eq!(result(LONG), Some(0));
        for cut in 0..SHORT.len() {
            assert!(matches!(element(&SHORT[..cut]), Ok(None)), "{cut}");
        }
        for wrong in [
            &b"junk"[..],
            b"0\x80",
            b"0\x84\xff\xff\xff\xff",
            b"0\x03\x02\x01\x01",
            b"",
        ] {
            assert_eq!(result(wrong), None, "{wrong:?}");
        }
        for seed in [SHORT, LONG] {
            netshoot_wire::fuzz::mutations(seed, 2_000, |bytes| {
                result(bytes);
            });
        }
    }
}
