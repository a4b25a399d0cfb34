//! Options that begin with a plus.

use super::{Lookup, Said, stop, usage};
use crate::io::Io;
use crate::tools::dig::{Run, names};
use netshoot_wire::dns::digits::from_hex;
use netshoot_wire::dns::opcode_number;
use std::net::IpAddr;

/// Options by their whole names; `no` may stand before them. Those with a second name have it
/// behind a bar.
const PLUS: &[&str] = &[
    "aaflag",
    "aaonly",
    "additional",
    "adflag|ad",
    "all",
    "answer",
    "authority",
    "badcookie",
    "besteffort",
    "bufsize",
    "cdflag|cd",
    "class",
    "cmd",
    "coflag|co",
    "comments",
    "cookie",
    "crypto",
    "defname",
    "dns64prefix",
    "dnssec|do",
    "domain",
    "dscp",
    "edns",
    "ednsflags",
    "ednsnegotiation",
    "ednsopt",
    "expandaaaa",
    "expire",
    "fail",
    "fuzztime",
    "header-only",
    "https",
    "https-get",
    "https-post",
    "http-plain",
    "http-plain-get",
    "http-plain-post",
    "identify",
    "idnin",
    "idnout",
    "ignore",
    "keepalive",
    "keepopen",
    "multiline",
    "ndots",
    "nsid",
    "nssearch",
    "onesoa",
    "opcode",
    "padding",
    "qid",
    "qr",
    "question",
    "raflag",
    "rdflag",
    "recurse",
    "retry",
    "rrcomments",
    "search",
    "short",
    "showbadcookie",
    "showsearch",
    "split",
    "stats",
    "subnet",
    "tcflag",
    "tcp",
    "timeout",
    "tls",
    "tls-ca",
    "tls-certfile",
    "tls-keyfile",
    "tls-hostname",
    "trace",
    "tries",
    "ttlid|ttl",
    "ttlunits",
    "unknownformat",
    "vc",
    "yaml",
    "zflag",
];

/// Clear, and yet the original wants more of them.
const TOO_SHORT: &[&str] = &["ed", "edn", "m", "p", "tc", "u", "un"];

/// The whole name of an option that may be cut short where it stays clear.
fn whole(given: &str) -> Option<&'static str> {
    if TOO_SHORT.contains(&given) {
        return None;
    }
    let names = |entry: &&'static str| entry.split('|').any(|n| n == given);
    let first = |entry: &'static str| entry.split('|').next().unwrap_or(entry);
    if let Some(entry) = PLUS.iter().find(|e| names(e)) {
        return Some(first(entry));
    }
    let near: Vec<&str> = PLUS
        .iter()
        .copied()
        .filter(|e| first(e).starts_with(given))
        .collect();
    match near.as_slice() {
        [only] => Some(first(only)),
        // Both forms of one thing.
        [a, ..] if given.len() >= 2 && near.iter().all(|e| e.starts_with(first(a))) => {
            Some(first(a))
        }
        _ => None,
    }
}

/// Takes an option that begins with a plus.
pub fn take(option: &str, l: &mut Lookup, first: bool, run: &mut Run, io: &mut Io<'_>) -> Said<()> {
    let (word, value) = match option.split_once('=') {
        // Nothing behind the sign is as good as no sign.
        Some((word, value)) => (word, Some(value).filter(|v| !v.is_empty())),
        None => (option, None),
    };
    if word.is_empty() {
        writeln!(io.out, ";; Invalid option {option}")?;
        return Ok(Ok(()));
    }
    let (on, name) = match (whole(word), word.strip_prefix("no")) {
        (Some(name), _) => (true, name),
        (None, Some(bare)) if !bare.is_empty() => match whole(bare) {
            Some(name) => (false, name),
            None => return usage(io, &format!("+{word}")),
        },
        _ => return usage(io, &format!("+{word}")),
    };
    match name {
        "aaflag" | "aaonly" => l.aa = on,
        "additional" => l.additional = on,
        "adflag" => l.ad = on,
        "all" => {
            let all = [
                &mut l.question,
                &mut l.authority,
                &mut l.answer,
                &mut l.additional,
            ];
            all.into_iter().for_each(|f| *f = on);
            (l.comments, l.stats, run.printcmd) = (on, on, on);
        }
        "answer" => l.answer = on,
        "authority" => l.authority = on,
        "cdflag" => l.cd = on,
        "class" => l.show_class = on,
        "cmd" => run.printcmd = on,
        "coflag" => {
            l.ednsflags = if on {
                l.ednsflags | 0x4000
            } else {
                l.ednsflags & !0x4000
            }
        }
        "comments" => l.comments = on,
        "crypto" => l.crypto = on,
        "dnssec" => {
            l.dnssec = on;
            if on && l.edns.is_none() {
                l.edns = Some(0);
            }
        }
        "expandaaaa" => l.expand = on,
        "expire" => l.expire = on,
        "fail" => l.fail = on,
        "header-only" => l.header_only = on,
        "identify" => l.identify = on,
        "ignore" => l.ignore = on,
        "keepalive" => l.keepalive = on,
        "multiline" => l.multiline = on,
        "ednsnegotiation" => l.negotiate = on,
        "nsid" => l.nsid = on,
        "nssearch" => (l.nssearch, l.recurse) = (on, true),
        "onesoa" => l.onesoa = on,
        "qr" => l.qr = on,
        "question" => l.question = on,
        "raflag" => l.ra = on,
        "rdflag" | "recurse" => l.recurse = on,
        "rrcomments" => l.rrcomments = Some(on),
        "search" | "defname" => l.search = on,
        "showsearch" => (l.search, l.showsearch) = (on, on),
        "short" => {
            run.short = on;
            if first {
                run.printcmd = !on;
            }
        }
        "stats" => l.stats = on,
        "tcflag" => l.tc = on,
        "tcp" | "vc" => l.tcp = Some(on),
        "tls" => l.tls = on,
        "trace" => {
            l.trace = on;
            if on {
                (l.recurse, l.dnssec, l.comments, l.stats) = (true, true, false, false);
                (l.question, l.additional) = (false, false);
            }
        }
        "ttlid" => l.show_ttl = on,
        "ttlunits" => (l.units, l.show_ttl) = (on, true),
        "unknownformat" => l.unknown = on,
        "yaml" => {
            l.yaml = on;
            run.printcmd &= !on;
        }
        "zflag" => l.z = on,
        // Taken: what they ask for is so anyway, or has no effect in the original either.
        "badcookie" | "besteffort" | "dscp" | "fuzztime" | "idnin" | "idnout" | "keepopen"
        | "showbadcookie" => {}
        "https" | "https-get" | "https-post" | "http-plain" | "http-plain-get"
        | "http-plain-post" | "tls-ca" | "tls-certfile" | "tls-keyfile" | "tls-hostname" => {
            return secured(name, on, value, l, io);
        }
        "dns64prefix" => {
            if on {
                return stop(io, &format!("dig: +{name} is not here yet"), 1);
            }
        }
        _ => return with_value(name, on, value, word, l, io),
    }
    Ok(Ok(()))
}

/// How HTTP and TLS are spoken.
fn secured(name: &str, on: bool, value: Option<&str>, l: &mut Lookup, io: &mut Io<'_>) -> Said<()> {
    if name.starts_with("http") {
        let path = value.filter(|v| !v.is_empty()).unwrap_or("/dns-query");
        if on && !path.starts_with('/') {
            io.out.flush()?;
            let what = "is not a valid absolute path";
            writeln!(io.err, ";; The given HTTP path \"{path}\" {what}")?;
            return usage(io, &format!("+{name}"));
        }
        let how = (
            path.to_string(),
            name.ends_with("-get"),
            name.starts_with("http-plain"),
        );
        l.https = on.then_some(how);
        return Ok(Ok(()));
    }
    let text = value.filter(|v| !v.is_empty()).map(String::from);
    let (what, field) = match name {
        "tls-ca" => {
            l.tls_ca = on.then_some(text);
            return Ok(Ok(()));
        }
        "tls-hostname" => ("TLS hostname", &mut l.tls_hostname),
        "tls-certfile" => ("TLS certificate file", &mut l.tls_certfile),
        _ => ("TLS private key file", &mut l.tls_keyfile),
    };
    if on && text.is_none() {
        io.out.flush()?;
        writeln!(io.err, ";; {what} is not specified")?;
        return usage(io, &format!("+{name}"));
    }
    *field = text.filter(|_| on);
    Ok(Ok(()))
}

fn with_value(
    name: &str,
    on: bool,
    value: Option<&str>,
    option: &str,
    l: &mut Lookup,
    io: &mut Io<'_>,
) -> Said<()> {
    // What the original calls it, the largest, and whether it can go without.
    let (what, max) = match name {
        "bufsize" => ("buffer size", 65535),
        "edns" => ("edns", 255),
        "ednsflags" => ("ednsflags", 65535),
        "ndots" => ("ndots", 128),
        "padding" => ("padding", 512),
        "qid" => ("qid", 65535),
        "retry" => ("retries", 4_294_967_294),
        "split" => ("split", 65535),
        "timeout" => ("timeout", 65535),
        "tries" => ("tries", 4_294_967_295),
        "opcode" => ("opcode", 15),
        _ => return with_text(name, on, value, option, l, io),
    };
    let mut n = None;
    if let Some(text) = value.filter(|_| on) {
        let plain = match name {
            "ednsflags" => in_c(text).map(|n| n.to_string()),
            _ => None,
        };
        let text = plain.as_deref().unwrap_or(text);
        let word = if name == "opcode" {
            opcode_number(text).map(u64::from)
        } else {
            None
        };
        n = match word {
            Some(n) => Some(n),
            None => match names::number(io, text, max, what)? {
                Some(n) => Some(n),
                None => {
                    io.out.flush()?;
                    if name == "split" {
                        writeln!(
                            io.err,
                            ";; Warning, split must be a multiple of 4; adjusting to 0"
                        )?;
                    }
                    return stop(io, &format!("dig: Couldn't parse {what}"), 10);
                }
            },
        };
    }
    let small = n.and_then(|n| u16::try_from(n).ok());
    let large = n.and_then(|n| u32::try_from(n).ok());
    match (name, on) {
        ("bufsize", _) => {
            l.bufsize = small.unwrap_or(1232);
            l.edns = l.edns.or(Some(0));
        }
        ("edns", true) => l.edns = Some(small.and_then(|n| u8::try_from(n).ok()).unwrap_or(0)),
        ("edns", false) => l.edns = None,
        ("ednsflags", _) => l.ednsflags = small.unwrap_or(0),
        ("padding" | "opcode", true) if n.is_none() => {
            return usage(io, &format!("+{option}"));
        }
        ("padding", _) => l.padding = small.unwrap_or(0),
        ("opcode", _) => l.opcode = small.and_then(|n| u8::try_from(n).ok()).unwrap_or(0),
        ("split", false) => l.split = Some(0),
        ("split", true) => {
            let whole = small.map(|n| usize::from(n).next_multiple_of(4));
            if let Some(whole) = whole.filter(|w| Some(*w) != small.map(usize::from)) {
                let why = format!("split must be a multiple of 4; adjusting to {whole}");
                writeln!(io.err, ";; Warning, {why}")?;
            }
            l.split = whole;
        }
        (_, _) if large.is_none() => return usage(io, &format!("+{option}")),
        ("ndots", _) => l.ndots = large,
        ("qid", _) => l.qid = small,
        ("retry", _) => l.tries = large.map(|n| n.saturating_add(1)),
        ("timeout", _) => l.timeout = large,
        ("tries", _) => l.tries = large.map(|n| n.max(1)),
        _ => {}
    }
    Ok(Ok(()))
}

fn with_text(
    name: &str,
    on: bool,
    value: Option<&str>,
    option: &str,
    l: &mut Lookup,
    io: &mut Io<'_>,
) -> Said<()> {
    match (name, on, value) {
        ("cookie", false, _) => l.cookie = None,
        ("cookie", true, None) => l.cookie = Some(vec![]),
        ("cookie", true, Some(text)) => match from_hex(text) {
            Some(bytes) => l.cookie = Some(bytes),
            None => return stop(io, "dig: isc_hex_decodestring: bad hex encoding", 1),
        },
        ("domain", true, Some(text)) => {
            if let Some(why) = names::name_is_wrong(text) {
                let why = format!("dig: '{text}' is not in legal name syntax ({why})");
                return stop(io, &why, 1);
            }
            (l.domain, l.search) = (Some(text.trim_matches('.').to_string()), true);
        }
        ("domain", false, _) => l.domain = None,
        ("subnet", false, _) => l.subnet = None,
        ("subnet", true, Some(text)) => match subnet(text) {
            Ok(bytes) => {
                l.subnet = Some(bytes);
                l.edns = l.edns.or(Some(0));
            }
            Err(why) => return stop(io, &format!("dig: {why}"), 1),
        },
        ("ednsopt", false, _) => l.more.clear(),
        ("ednsopt", true, None | Some(":")) => {
            return stop(io, "dig: ednsopt no code point specified", 10);
        }
        ("ednsopt", true, Some(text)) => {
            let (code, hex) = text.split_once(':').unwrap_or((text, ""));
            let words = [
                ("NSID", 3),
                ("ECS", 8),
                ("EXPIRE", 9),
                ("COOKIE", 10),
                ("KEEPALIVE", 11),
                ("PADDING", 12),
                ("EDE", 15),
            ];
            let known = words
                .iter()
                .find(|(w, _)| w.eq_ignore_ascii_case(code))
                .map(|(_, n)| *n);
            let number = match known {
                Some(number) => Some(number),
                None => {
                    names::number(io, code, 65535, "ednsopt")?.and_then(|n| u16::try_from(n).ok())
                }
            };
            match (number, from_hex(hex)) {
                (Some(code), Some(bytes)) => l.more.push((code, bytes)),
                (None, _) => return stop(io, &format!("dig: bad edns code point: {code}"), 1),
                (_, None) => return stop(io, "dig: isc_hex_decodestring: bad hex encoding", 1),
            }
        }
        _ => return usage(io, &format!("+{option}")),
    }
    Ok(Ok(()))
}

/// A number as C writes it: `0x10`, `020`, `16`.
fn in_c(text: &str) -> Option<u64> {
    match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) => u64::from_str_radix(octal, 8).ok(),
        (None, None) => text.parse().ok(),
    }
}

/// A network as the option carries it (RFC 7871), or what is wrong with it. A prefix that is longer than the address
/// is the whole of it; what lacks of an IPv4 address before a prefix is zero.
fn subnet(text: &str) -> Result<Vec<u8>, String> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, digits)) => match digits.parse::<u32>() {
            Ok(prefix) => (address, Some(prefix)),
            Err(_) => {
                let why = "not a valid number\n";
                return Err(format!("invalid prefix length in '{text}': {why}"));
            }
        },
        None => (text, None),
    };
    if text == "0" {
        return Ok(vec![0, 0, 0, 0]);
    }
    let parts = address.split('.').count();
    let whole = match prefix {
        Some(_) if parts < 4 && !address.contains(':') => {
            address.to_string() + &".0".repeat(4 - parts)
        }
        _ => address.to_string(),
    };
    let (family, bytes) = match whole.parse::<IpAddr>() {
        Ok(IpAddr::V4(a)) => (1, a.octets().to_vec()),
        Ok(IpAddr::V6(a)) => (2, a.octets().to_vec()),
        Err(_) => return Err(format!("invalid address '{text}'")),
    };
    let most = if family == 1 { 32 } else { 128 };
    let prefix = prefix
        .and_then(|p| u8::try_from(p).ok())
        .map_or(most, |p| p.min(most));
    let mut option = vec![0, family, prefix, 0];
    for (i, byte) in bytes
        .iter()
        .enumerate()
        .take(usize::from(prefix).div_ceil(8))
    {
        let kept = usize::from(prefix).saturating_sub(i * 8).min(8);
        let mask = if kept == 8 { 0xff } else { !(0xffu8 >> kept) };
        option.push(byte & mask);
    }
    Ok(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_may_be_cut_short() {
        for (given, wanted) in [
            ("multi", Some("multiline")),
            ("rec", Some("recurse")),
            ("do", Some("dnssec")),
            ("time", Some("timeout")),
            ("tri", Some("tries")),
            ("comm", Some("comments")),
            ("a", None),
            ("bogus", None),
        ] {
            assert_eq!(whole(given), wanted, "{given}");
        }
    }

    #[test]
    fn networks_of_clients() {
        let own = subnet("192.0.2.255/25");
        assert_eq!(own, Ok(vec![0, 1, 25, 0, 192, 0, 2, 128]));
        assert_eq!(subnet("0"), Ok(vec![0, 0, 0, 0]));
        assert_eq!(subnet("192.0.2.1/33"), subnet("192.0.2.1"));
        assert_eq!(subnet("192.0/16"), Ok(vec![0, 1, 16, 0, 192, 0]));
        let why = "invalid prefix length in '::/x': not a valid number\n";
        assert_eq!(subnet("::/x"), Err(why.into()));
        assert_eq!(subnet("192.0"), Err("invalid address '192.0'".into()));
    }
}
