//! dig's command line: queries, each with its own options, and the options in front that hold for all.

mod plus;

use super::key::{self, Signing, Source};
use super::{Run, Stop, USAGE, names};
use crate::io::Io;
use anyhow::Result;
use names::{Family, Server};
use netshoot_host::dns::talk::{Guard, Http, Over};
use netshoot_wire::dns::{CLASS_IN, class_number, rtype, type_number};
use std::net::{IpAddr, SocketAddr};

/// One query and how it is asked and shown.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // each is the option of its name
pub struct Lookup {
    pub name: String,
    pub kind: u16,
    pub kind_given: bool,
    pub class: u16,
    pub class_given: bool,
    pub serial: Option<u32>,
    pub servers: Option<Vec<Server>>,
    pub port: Option<u16>,
    pub comments: bool,
    pub question: bool,
    pub answer: bool,
    pub authority: bool,
    pub additional: bool,
    pub stats: bool,
    pub show_class: bool,
    pub show_ttl: bool,
    pub units: bool,
    pub multiline: bool,
    pub identify: bool,
    pub crypto: bool,
    pub rrcomments: Option<bool>,
    pub split: Option<usize>,
    pub unknown: bool,
    pub expand: bool,
    pub qr: bool,
    pub yaml: bool,
    pub onesoa: bool,
    pub recurse: bool,
    pub ad: bool,
    pub cd: bool,
    pub aa: bool,
    pub tc: bool,
    pub ra: bool,
    pub z: bool,
    pub opcode: u8,
    pub edns: Option<u8>,
    pub bufsize: u16,
    pub dnssec: bool,
    pub ednsflags: u16,
    pub negotiate: bool,
    pub more: Vec<(u16, Vec<u8>)>,
    pub cookie: Option<Vec<u8>>,
    pub nsid: bool,
    pub expire: bool,
    pub keepalive: bool,
    pub padding: u16,
    pub subnet: Option<Vec<u8>>,
    pub header_only: bool,
    pub qid: Option<u16>,
    pub tcp: Option<bool>,
    pub tls: bool,
    /// Path, whether the query stands in the address, whether without TLS.
    pub https: Option<(String, bool, bool)>,
    /// Verified: a file of authorities, or those of this machine.
    pub tls_ca: Option<Option<String>>,
    pub tls_hostname: Option<String>,
    pub tls_certfile: Option<String>,
    pub tls_keyfile: Option<String>,
    pub ignore: bool,
    pub tries: Option<u32>,
    pub timeout: Option<u32>,
    pub search: bool,
    pub showsearch: bool,
    pub domain: Option<String>,
    pub ndots: Option<u32>,
    pub fail: bool,
    pub trace: bool,
    pub nssearch: bool,
}

impl Default for Lookup {
    fn default() -> Lookup {
        Lookup {
            name: String::new(),
            kind: rtype::A,
            kind_given: false,
            class: CLASS_IN,
            class_given: false,
            serial: None,
            servers: None,
            port: None,
            comments: true,
            question: true,
            answer: true,
            authority: true,
            additional: true,
            stats: true,
            show_class: true,
            show_ttl: true,
            units: false,
            multiline: false,
            identify: false,
            crypto: true,
            rrcomments: None,
            split: None,
            unknown: false,
            expand: false,
            qr: false,
            yaml: false,
            onesoa: false,
            recurse: true,
            ad: true,
            cd: false,
            aa: false,
            tc: false,
            ra: false,
            z: false,
            opcode: 0,
            edns: Some(0),
            bufsize: 1232,
            dnssec: false,
            ednsflags: 0,
            negotiate: true,
            more: vec![],
            cookie: Some(vec![]),
            nsid: false,
            expire: false,
            keepalive: false,
            padding: 0,
            subnet: None,
            header_only: false,
            qid: None,
            tcp: None,
            tls: false,
            https: None,
            tls_ca: None,
            tls_hostname: None,
            tls_certfile: None,
            tls_keyfile: None,
            ignore: false,
            tries: None,
            timeout: None,
            search: false,
            showsearch: false,
            domain: None,
            ndots: None,
            fail: true,
            trace: false,
            nssearch: false,
        }
    }
}

impl Lookup {
    /// A zone is asked for.
    pub fn transfers(&self) -> bool {
        self.kind == rtype::AXFR || self.kind == rtype::IXFR
    }

    /// How it is asked.
    pub fn over(&self, tcp: bool) -> Over {
        match &self.https {
            _ if self.tls => Over::Tls(self.guard()),
            Some((path, get, plain)) => {
                let (path, get) = (path.clone(), *get);
                let http = Http { path, get };
                match plain {
                    true => Over::Http(http),
                    false => Over::Https(self.guard(), http),
                }
            }
            None if tcp => Over::Tcp,
            None => Over::Udp,
        }
    }

    fn guard(&self) -> Guard {
        let own = self
            .tls_certfile
            .clone()
            .zip(self.tls_keyfile.clone())
            .map(|(c, k)| (c.into(), k.into()));
        Guard {
            verify: self.tls_ca.is_some() || self.tls_hostname.is_some() || own.is_some(),
            name: self.tls_hostname.clone(),
            authorities: self.tls_ca.clone().flatten().map(Into::into),
            own,
        }
    }

    /// Why its TLS cannot be had.
    pub fn guard_fault(&self) -> Option<&'static str> {
        let (Over::Tls(guard) | Over::Https(guard, _)) = self.over(false) else {
            return None;
        };
        if self.tls_certfile.is_some() != self.tls_keyfile.is_some() {
            return Some(
                "both TLS client certificate and key file must be specified a the same time",
            );
        }
        guard.fault().map(|_| "TLS context cannot be created")
    }
}

/// What a command line asks for.
pub struct Parsed {
    /// The queries in their order.
    pub lookups: Vec<Lookup>,
    /// A file of further command lines.
    pub batch: Option<String>,
}

/// What was read, or the end.
pub type Said<T> = Result<std::result::Result<T, Stop>>;

/// Reads a command line; `names` are taken for queries.
pub fn read(
    words: &[String],
    default: &mut Lookup,
    run: &mut Run,
    io: &mut Io<'_>,
    names: bool,
) -> Said<Parsed> {
    let mut lookups: Vec<Lookup> = Vec::new();
    let mut batch = None;
    run.bare_names = false;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let first = lookups.is_empty();
        let current = match lookups.last_mut() {
            Some(l) => l,
            None => &mut *default,
        };
        if let Some(server) = word.strip_prefix('@') {
            match names::find_server(server, run.family, 53) {
                Ok(found) => current.servers = Some(found),
                Err(why) => {
                    return stop(
                        io,
                        &format!("dig: couldn't get address for '{server}': {why}"),
                        1,
                    );
                }
            }
            continue;
        }
        if let Some(option) = word.strip_prefix('+') {
            if let Err(e) = plus::take(option, current, first, run, io)? {
                return Ok(Err(e));
            }
            continue;
        }
        if word == "-" {
            return usage(io, "-");
        }
        if let Some(flags) = word.strip_prefix('-') {
            match dash(flags, &mut words, current, run, io)? {
                Ok(Dash::Done) => {}
                Ok(Dash::Batch(file)) => batch = Some(file),
                Ok(Dash::Name(name, kind)) => {
                    let mut l = default.clone();
                    l.name = name;
                    if let Some(kind) = kind.filter(|_| !l.kind_given) {
                        l.kind = kind;
                    }
                    lookups.push(l);
                }
                Err(e) => return Ok(Err(e)),
            }
            continue;
        }
        if !names {
            continue;
        }
        if !run.bare_names {
            match kind_word(
                word,
                current,
                ";; Warning, ixfr requires a serial number",
                io,
            )? {
                Ok(false) => {}
                Ok(true) => continue,
                Err(e) => return Ok(Err(e)),
            }
            if class_word(word, current, io)? {
                continue;
            }
        }
        lookups.push(Lookup {
            name: word.clone(),
            ..default.clone()
        });
    }
    Ok(Ok(Parsed { lookups, batch }))
}

/// Takes a type, `ixfr=N` too; without the number `alone` is said and nothing taken.
fn kind_word(word: &str, l: &mut Lookup, alone: &str, io: &mut Io<'_>) -> Said<bool> {
    let lower = word.to_ascii_lowercase();
    let (text, serial) = match lower.strip_prefix("ixfr=") {
        Some(n) => match names::number(io, n, u32::MAX.into(), "serial number")? {
            Some(n) => ("ixfr", u32::try_from(n).ok()),
            None => return stop(io, "dig: Couldn't parse serial number", 1),
        },
        None => (lower.as_str(), None),
    };
    let Some(kind) = type_number(text) else {
        return Ok(Ok(false));
    };
    if kind == rtype::IXFR && serial.is_none() {
        io.out.flush()?;
        writeln!(io.err, "{alone}")?;
        return Ok(Ok(true));
    }
    if l.kind_given {
        io.out.flush()?;
        writeln!(io.err, ";; Warning, extra type option")?;
    }
    (l.kind, l.kind_given, l.serial) = (kind, true, serial);
    if l.transfers() {
        (l.comments, l.question) = (false, false);
    }
    Ok(Ok(true))
}

/// Takes a class.
fn class_word(word: &str, l: &mut Lookup, io: &mut Io<'_>) -> Result<bool> {
    let Some(class) = class_number(word) else {
        return Ok(false);
    };
    if l.class_given {
        io.out.flush()?;
        writeln!(io.err, ";; Warning, extra class option")?;
    }
    (l.class, l.class_given) = (class, true);
    Ok(true)
}

/// Ends with these words.
pub fn stop<T>(io: &mut Io<'_>, says: &str, code: i32) -> Said<T> {
    io.out.flush()?;
    writeln!(io.err, "{says}")?;
    Ok(Err(Stop(code)))
}

fn usage<T>(io: &mut Io<'_>, option: &str) -> Said<T> {
    stop(
        io,
        &format!("Invalid option: {option}\n{}", USAGE.trim_end()),
        1,
    )
}

enum Dash {
    Done,
    Batch(String),
    Name(String, Option<u16>),
}

fn dash<'w>(
    flags: &str,
    words: &mut impl Iterator<Item = &'w String>,
    l: &mut Lookup,
    run: &mut Run,
    io: &mut Io<'_>,
) -> Said<Dash> {
    let mut letters = flags.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '4' | '6' => {
                let family = if letter == '4' {
                    Family::V4
                } else {
                    Family::V6
                };
                if run.family != Family::Any && run.family != family {
                    return stop(io, "dig: only one of -4 and -6 allowed", 1);
                }
                run.family = family;
            }
            'u' => run.micro = true,
            'm' | 'n' | 'r' | 'i' | 'd' => {}
            'h' => {
                io.out.write_all(super::HELP.as_bytes())?;
                return Ok(Err(Stop(0)));
            }
            'v' => {
                writeln!(io.err, "DiG {}", names::VERSION)?;
                return Ok(Err(Stop(0)));
            }
            'b' | 'c' | 'f' | 'k' | 'p' | 'q' | 't' | 'x' | 'y' => {
                let own: String = letters.by_ref().collect();
                let value = if own.is_empty() {
                    words.next().cloned()
                } else {
                    Some(own)
                };
                let Some(value) = value else {
                    return usage(io, &format!("-{letter}"));
                };
                return valued(letter, value, l, run, io);
            }
            _ => return usage(io, &format!("-{flags}")),
        }
    }
    Ok(Ok(Dash::Done))
}

fn valued(
    letter: char,
    value: String,
    l: &mut Lookup,
    run: &mut Run,
    io: &mut Io<'_>,
) -> Said<Dash> {
    match letter {
        'f' => return Ok(Ok(Dash::Batch(value))),
        'q' => return Ok(Ok(Dash::Name(value, None))),
        'x' => return Ok(Ok(Dash::Name(reverse(&value), Some(rtype::PTR)))),
        't' => {
            run.bare_names = true;
            let ignored = format!(";; Warning, ignoring invalid type {value}");
            match kind_word(&value, l, &ignored, io)? {
                Ok(true) => {}
                Ok(false) => writeln!(io.err, "{ignored}")?,
                Err(e) => return Ok(Err(e)),
            }
        }
        'c' => {
            run.bare_names = true;
            if !class_word(&value, l, io)? {
                writeln!(io.err, ";; Warning, ignoring invalid class {value}")?;
            }
        }
        'p' => match names::number(io, &value, 65535, "port number")? {
            Some(n) => l.port = u16::try_from(n).ok(),
            None => return stop(io, "dig: Couldn't parse port number", 1),
        },
        'b' => {
            let (address, port) = value.split_once('#').unwrap_or((&value, "0"));
            let Some(port) = names::number(io, port, 65535, "port number")? else {
                return stop(io, "dig: Couldn't parse port number", 1);
            };
            let address = address.parse().ok().filter(|a| run.family.takes(*a));
            match (address, u16::try_from(port)) {
                (Some(address), Ok(port)) => run.source = Some(SocketAddr::new(address, port)),
                _ => return stop(io, &format!("dig: invalid address {value}"), 1),
            }
        }
        'k' => run.signing = Signing::Wanted(Source::File(value)),
        _ => {
            if let Err(e) = key::typed(&value, run, io)? {
                return Ok(Err(e));
            }
        }
    }
    Ok(Ok(Dash::Done))
}

/// The name of an address, or of the beginning of one.
pub fn reverse(text: &str) -> String {
    if let Ok(address) = text.parse::<IpAddr>() {
        return format!("{}.", names::reverse(address));
    }
    let parts: Vec<&str> = text.split('.').rev().collect();
    format!("{}.in-addr.arpa.", parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_command_lines_are_refused_or_read() {
        let seeds = [
            "+noall +answer web.shop.test A -x 192.0.2.1 +ndots=3 +subnet=192.0.2.0/24",
            "-4 -p 53 -t ixfr=7 -c ch -q name +cookie=0102 +ednsopt=65001:ab +split=16 +time=1",
        ];
        crate::fuzz::command_lines(&seeds, 5_000, |words, io| {
            let (mut default, mut run) = (Lookup::default(), Run::new());
            // Servers would be looked up.
            let here: Vec<String> = words.iter().filter(|w| !w.contains('@')).cloned().collect();
            let read = read(&here, &mut default, &mut run, io, true)?;
            if let Ok(parsed) = &read {
                for l in &parsed.lookups {
                    let _ = super::super::query(l, &l.name, &run).encode();
                }
            }
            Ok(read)
        });
    }

    #[test]
    fn parts_of_addresses_are_turned_round() {
        assert_eq!(reverse("10.96"), "96.10.in-addr.arpa.");
    }
}
