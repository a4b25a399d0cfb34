//! delv's command line.

use crate::io::Io;
use crate::tools::names::{self, Family};
use anyhow::Result;
use netshoot_wire::dns::{class_number, rtype, type_number};
use std::net::{IpAddr, SocketAddr};

const HELP: &str = include_str!("help.txt");

/// What is asked for and how it is shown.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // each is the option of its name
pub struct Plan {
    pub name: String,
    pub kind: u16,
    pub server: Option<String>,
    pub family: Family,
    pub port: u16,
    pub source: Option<SocketAddr>,
    pub anchors: Option<String>,
    /// The zone whose key is trusted; none for `+noroot`.
    pub root: Option<String>,
    /// `-i` is not given.
    pub validate: bool,
    pub cd: bool,
    pub tcp: bool,
    pub rtrace: bool,
    pub mtrace: bool,
    pub vtrace: bool,
    pub short: bool,
    pub class: bool,
    pub ttl: bool,
    pub trust: bool,
    pub rrcomments: bool,
    pub crypto: bool,
    pub split: Option<usize>,
    pub multiline: bool,
    pub dnssec: bool,
    pub unknown: bool,
    pub yaml: bool,
    pub json: bool,
    pub explain: bool,
}

impl Plan {
    fn new() -> Plan {
        Plan {
            name: String::new(),
            kind: rtype::A,
            server: None,
            family: Family::Any,
            port: 53,
            source: None,
            anchors: None,
            root: Some(".".into()),
            validate: true,
            cd: false,
            tcp: false,
            rtrace: false,
            mtrace: false,
            vtrace: false,
            short: false,
            class: true,
            ttl: true,
            trust: true,
            rrcomments: true,
            crypto: true,
            split: None,
            multiline: false,
            dnssec: true,
            unknown: false,
            yaml: false,
            json: false,
            explain: false,
        }
    }

    /// The server's address is of the family that is not to be used.
    pub fn wrong_family(&self) -> bool {
        let address = self.server.as_ref().and_then(|s| s.parse::<IpAddr>().ok());
        address.is_some_and(|a| !self.family.takes(a))
    }
}

/// The exit code of a run that ends early; it has been said.
pub struct Stop(pub i32);
type Said<T> = Result<std::result::Result<T, Stop>>;

fn stop<T>(io: &mut Io<'_>, says: &str) -> Said<T> {
    io.out.flush()?;
    writeln!(io.err, "delv: {says}")?;
    Ok(Err(Stop(1)))
}

fn usage<T>(io: &mut Io<'_>, option: &str) -> Said<T> {
    writeln!(io.err, "Invalid option: {option}")?;
    io.err.write_all(HELP.as_bytes())?;
    Ok(Err(Stop(1)))
}

/// What the words say so far.
#[derive(Default)]
struct Given {
    name: Option<String>,
    kind: Option<u16>,
    reverse: bool,
}

/// Reads the words.
pub fn read(words: &[String], io: &mut Io<'_>) -> Said<Plan> {
    let mut p = Plan::new();
    let mut given = Given::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--json" {
            p.json = true;
        } else if word == "--explain" {
            p.explain = true;
        } else if let Some(server) = word.strip_prefix('@') {
            p.server = Some(server.to_string());
        } else if let Some(option) = word.strip_prefix('+') {
            if let Err(e) = plus(option, &mut p, io)? {
                return Ok(Err(e));
            }
        } else if let Some(flags) = word.strip_prefix('-').filter(|f| !f.is_empty()) {
            if let Err(e) = dash(flags, &mut words, &mut p, &mut given, io)? {
                return Ok(Err(e));
            }
        } else if let Some(kind) = type_number(word).filter(|_| given.kind.is_none()) {
            if let Err(e) = kind_of(kind, &mut given, io)? {
                return Ok(Err(e));
            }
        } else if class_number(word).is_none() || given.name.is_none() && word.contains('.') {
            given.name.get_or_insert(word.clone());
        }
    }
    let usual = match (&given.name, given.reverse) {
        (None, _) => rtype::NS,
        (_, true) => rtype::PTR,
        _ => rtype::A,
    };
    p.kind = given.kind.unwrap_or(usual);
    p.name = given.name.unwrap_or_else(|| ".".into());
    Ok(Ok(p))
}

fn kind_of(kind: u16, given: &mut Given, io: &mut Io<'_>) -> Said<()> {
    if kind == rtype::AXFR || kind == rtype::IXFR {
        return stop(io, "Transfer not supported");
    }
    given.kind = Some(kind);
    Ok(Ok(()))
}

fn dash<'w>(
    flags: &str,
    words: &mut impl Iterator<Item = &'w String>,
    p: &mut Plan,
    given: &mut Given,
    io: &mut Io<'_>,
) -> Said<()> {
    let mut letters = flags.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '4' | '6' => {
                let family = match letter {
                    '4' => Family::V4,
                    _ => Family::V6,
                };
                if p.family != Family::Any && p.family != family {
                    return stop(io, "only one of -4 and -6 allowed");
                }
                p.family = family;
            }
            'h' => {
                io.err.write_all(HELP.as_bytes())?;
                return Ok(Err(Stop(0)));
            }
            'i' => p.validate = false,
            'm' => {}
            'v' => {
                writeln!(io.err, "delv {}", names::VERSION)?;
                return Ok(Err(Stop(0)));
            }
            'a' | 'b' | 'c' | 'd' | 'p' | 'q' | 't' | 'x' => {
                let own: String = letters.by_ref().collect();
                let value = match own.is_empty() {
                    true => words.next().cloned(),
                    false => Some(own),
                };
                let Some(value) = value else {
                    return usage(io, &format!("-{letter}"));
                };
                return valued(letter, &value, p, given, io);
            }
            _ => return usage(io, &format!("-{flags}")),
        }
    }
    Ok(Ok(()))
}

fn valued(letter: char, value: &str, p: &mut Plan, given: &mut Given, io: &mut Io<'_>) -> Said<()> {
    match letter {
        'a' => p.anchors = Some(value.to_string()),
        'b' => {
            let (address, port) = value.split_once('#').unwrap_or((value, "0"));
            match (address.parse::<IpAddr>(), port.parse()) {
                (Ok(address), Ok(port)) => p.source = Some(SocketAddr::new(address, port)),
                _ => return stop(io, &format!("Invalid address {value}")),
            }
        }
        'c' if class_number(value).is_none() => {
            writeln!(io.err, "delv: warning: ignoring non-IN query class")?;
        }
        'd' if names::number(io, value, 99, "debug level")?.is_none() => {
            return stop(io, "Couldn't parse debug level");
        }
        'd' => {
            let level = value.parse::<u8>().unwrap_or(0);
            (p.rtrace, p.vtrace) = (level > 0, level > 2);
            p.mtrace = level > 9;
        }
        'p' => match names::number(io, value, 65535, "port")? {
            Some(port) => p.port = u16::try_from(port).unwrap_or(53),
            None => return stop(io, "Couldn't parse port number"),
        },
        'q' => given.name = Some(value.to_string()),
        't' => match type_number(value) {
            Some(kind) => return kind_of(kind, given, io),
            None => writeln!(io.err, "delv: warning: ignoring invalid type")?,
        },
        'x' => {
            given.name = Some(crate::tools::dig::reverse(value));
            given.reverse = true;
        }
        _ => {}
    }
    Ok(Ok(()))
}

const PLUS: &[&str] = &[
    "all",
    "cdflag",
    "class",
    "comments",
    "crypto",
    "dlv",
    "dnssec",
    "mtrace",
    "multiline",
    "root",
    "rrcomments",
    "rtrace",
    "short",
    "split",
    "tcp",
    "trust",
    "ttl",
    "unknownformat",
    "vtrace",
    "yaml",
];

/// The whole name of an option that may be cut short where it stays clear.
fn whole(given: &str) -> Option<&'static str> {
    let mut near = PLUS.iter().filter(|p| p.starts_with(given));
    match (near.next(), near.next()) {
        (Some(only), None) if !given.is_empty() => Some(only),
        _ => PLUS.iter().find(|p| **p == given).copied(),
    }
}

fn plus(option: &str, p: &mut Plan, io: &mut Io<'_>) -> Said<()> {
    let (word, value) = match option.split_once('=') {
        Some((word, value)) => (word, Some(value)),
        None => (option, None),
    };
    let word = word.to_ascii_lowercase();
    let found = match (whole(&word), word.strip_prefix("no").and_then(whole)) {
        (Some(name), _) => Some((true, name)),
        (None, Some(name)) => Some((false, name)),
        _ => None,
    };
    let Some((on, name)) = found else {
        return usage(io, &format!("+{option}"));
    };
    match name {
        "all" => (p.trust, p.rrcomments) = (on, on),
        "cdflag" => p.cd = on,
        "class" => p.class = on,
        "crypto" => p.crypto = on,
        "dnssec" => p.dnssec = on,
        "mtrace" => p.mtrace = on,
        "multiline" => p.multiline = on,
        "root" => p.root = on.then(|| value.unwrap_or(".").to_string()),
        "rrcomments" => p.rrcomments = on,
        "rtrace" => p.rtrace = on,
        "short" => p.short = on,
        "split" if !on => p.split = Some(0),
        "split" => {
            let Some(text) = value else {
                return usage(io, &format!("+{option}"));
            };
            match names::number(io, text, 65535, "split")? {
                Some(n) => p.split = usize::try_from(n).ok().map(|n| n.div_ceil(4) * 4),
                None => {
                    io.out.flush()?;
                    let what = "split must be a multiple of 4; adjusting to 0";
                    writeln!(io.err, "delv: warning: {what}")?;
                    return stop(io, "Couldn't parse split");
                }
            }
        }
        "tcp" => p.tcp = on,
        "trust" => p.trust = on,
        "ttl" => p.ttl = on,
        "unknownformat" => p.unknown = on,
        "vtrace" => p.vtrace = on,
        "yaml" => p.yaml = on,
        // "comments" changes nothing in the original either, and "dlv" is no more.
        _ => {}
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_command_lines_are_refused_or_read() {
        let seeds = [
            "@127.0.0.1 www.signed.test aaaa +multiline +root=test -a keys +noall",
            "-x 192.0.2.1 -p 53 -b 127.0.0.1#0 +split=16 -c ch -d 3 -q name -t mx",
        ];
        crate::fuzz::command_lines(&seeds, 5_000, read);
    }

    #[test]
    fn options_may_be_cut_short() {
        assert_eq!(whole("multi"), Some("multiline"));
        assert_eq!(whole("cl"), Some("class"));
        assert_eq!(whole("c"), None);
    }
}
