//! `host`: a name's addresses and mail servers, or any record, in short sentences.

use super::names::{self, Answer, Asking, Conf, Ended, Family, Server, Servfail};
use super::{Group, Tool, master};
use crate::io::Io;
use anyhow::Result;
use master::Look;
use netshoot_host::dns::talk::Over;
use netshoot_wire::dns::{self, Data, Message, Record, rcode, rcode_word, rtype, type_word};
use std::ffi::OsString;
use std::net::IpAddr;
use std::time::Duration;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "host",
    stands_for: "BIND host",
    group: Group::Names,
    tier: 2,
    about: "Look up a name's addresses and mail servers, or any record",
    about_zh: "查询域名的地址、邮件服务器或任意记录",
    page: include_str!("pages/host.md"),
    cases: include_str!("cases/host.txt"),
    run,
};

const USAGE: &str = include_str!("host/usage.txt");

/// The command line.
struct Wish {
    conf: Conf,
    family: Family,
    name: String,
    server: Option<String>,
    kind: Option<u16>,
    serial: Option<u32>,
    class: u16,
    class_given: bool,
    verbose: bool,
    almost: bool,
    list: bool,
    soa: bool,
    recurse: bool,
    tcp: Option<bool>,
    stop_at_servfail: bool,
    port: u16,
    retries: u32,
    wait: u32,
    ndots: u32,
    json: bool,
    explain: bool,
    greeted: bool,
    failed: bool,
}

/// The exit code of a command line that is no good; it has been said.
struct Stop(i32);

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut words: Vec<String> = args.iter().map(|a| names::text(a)).collect();
    super::take_lang(&mut words, io);
    let mut wish = match read(&words, io)? {
        Ok(wish) => wish,
        Err(Stop(code)) => return Ok(code),
    };
    let servers = match wish.server.clone() {
        None => wish.conf.servers(wish.family, wish.port),
        Some(name) => match names::find_server(&name, wish.family, wish.port) {
            Ok(servers) => servers,
            Err(why) => {
                writeln!(io.err, "host: couldn't get address for '{name}': {why}")?;
                return Ok(1);
            }
        },
    };
    if let Ok(address) = wish.name.parse::<IpAddr>() {
        wish.name = format!("{}.", names::reverse(address));
        wish.kind = Some(rtype::PTR);
    }
    if let Some(why) = names::name_is_wrong(&wish.name) {
        writeln!(
            io.err,
            "host: '{}' is not in legal name syntax ({why})",
            wish.name
        )?;
        return Ok(1);
    }
    look_up(&mut wish, &servers, io)?;
    Ok(i32::from(wish.failed))
}

fn read(words: &[String], io: &mut Io<'_>) -> Result<std::result::Result<Wish, Stop>> {
    let conf = Conf::read();
    let mut w = Wish {
        family: Family::Any,
        name: String::new(),
        server: None,
        kind: None,
        serial: None,
        class: dns::CLASS_IN,
        class_given: false,
        verbose: false,
        almost: false,
        list: false,
        soa: false,
        recurse: true,
        tcp: None,
        stop_at_servfail: false,
        port: 53,
        retries: conf.attempts.unwrap_or(1),
        wait: conf.timeout.unwrap_or(5),
        ndots: conf.base.ndots,
        json: false,
        explain: false,
        greeted: false,
        failed: false,
        conf,
    };
    let mut plain = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => w.json = true,
            "--explain" => w.explain = true,
            "--" if plain.is_empty() => {
                plain.extend(words.by_ref());
            }
            _ if !word.starts_with('-') || !plain.is_empty() => plain.push(word),
            _ => {
                if let Err(e) = flags(&word[1..], &mut words, &mut w, io)? {
                    return Ok(Err(e));
                }
            }
        }
    }
    let Some(name) = plain.first() else {
        io.err.write_all(USAGE.as_bytes())?;
        return Ok(Err(Stop(1)));
    };
    w.name = (*name).clone();
    w.server = plain.get(1).map(|s| (*s).clone());
    // Who names a class is asked for one type.
    if w.class_given {
        w.kind = w.kind.or(Some(rtype::A));
    }
    if w.soa {
        (w.kind, w.list) = (Some(rtype::NS), false);
    }
    if w.list {
        w.kind = Some(rtype::AXFR);
    }
    Ok(Ok(w))
}

fn flags<'w>(
    text: &str,
    words: &mut impl Iterator<Item = &'w String>,
    w: &mut Wish,
    io: &mut Io<'_>,
) -> Result<std::result::Result<(), Stop>> {
    if text.is_empty() {
        write!(io.err, "host: illegal option -- -\n{USAGE}")?;
        return Ok(Err(Stop(1)));
    }
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '4' | '6' => {
                let family = if letter == '4' {
                    Family::V4
                } else {
                    Family::V6
                };
                if w.family != Family::Any && w.family != family {
                    writeln!(io.err, "host: only one of -4 and -6 allowed")?;
                    return Ok(Err(Stop(1)));
                }
                w.family = family;
            }
            'a' | 'A' => {
                (w.verbose, w.almost) = (true, letter == 'A');
                w.kind = Some(w.kind.filter(|k| *k == rtype::AXFR).unwrap_or(rtype::ANY));
            }
            'C' => w.soa = true,
            'd' | 'v' => w.verbose = true,
            'l' => w.list = true,
            'r' => w.recurse = false,
            's' => w.stop_at_servfail = true,
            'T' => w.tcp = Some(true),
            'U' => w.tcp = Some(false),
            'w' => w.wait = u32::MAX / 2000,
            'i' | 'n' | 'D' => {}
            'V' => {
                writeln!(io.err, "host {}", names::VERSION)?;
                return Ok(Err(Stop(0)));
            }
            'c' | 'm' | 'N' | 'p' | 'R' | 't' | 'W' => {
                let own: String = letters.by_ref().collect();
                let value = if own.is_empty() {
                    words.next().cloned()
                } else {
                    Some(own)
                };
                let Some(value) = value else {
                    write!(
                        io.err,
                        "host: option requires an argument -- {letter}\n{USAGE}"
                    )?;
                    return Ok(Err(Stop(1)));
                };
                if let Err(e) = valued(letter, &value, w, io)? {
                    return Ok(Err(e));
                }
            }
            _ => {
                write!(io.err, "host: illegal option -- {letter}\n{USAGE}")?;
                return Ok(Err(Stop(1)));
            }
        }
    }
    Ok(Ok(()))
}

fn valued(
    letter: char,
    value: &str,
    w: &mut Wish,
    io: &mut Io<'_>,
) -> Result<std::result::Result<(), Stop>> {
    let n = value.parse::<i64>().unwrap_or(0);
    match letter {
        'c' => match dns::class_number(value) {
            Some(class) => (w.class, w.class_given) = (class, true),
            None => {
                write!(io.err, "host: invalid class: {value}\n\n")?;
                return Ok(Err(Stop(2)));
            }
        },
        't' => {
            let lower = value.to_ascii_lowercase();
            let (text, serial) = match lower.strip_prefix("ixfr=") {
                Some(serial) => ("ixfr", serial.parse().ok()),
                None => (lower.as_str(), None),
            };
            match dns::type_number(text) {
                Some(kind) => (w.kind, w.serial) = (Some(kind), serial),
                None => {
                    write!(io.err, "host: invalid type: {value}\n\n")?;
                    return Ok(Err(Stop(2)));
                }
            }
        }
        'N' => w.ndots = u32::try_from(n).unwrap_or(0),
        'p' => match u16::try_from(n) {
            Ok(port) => w.port = port,
            Err(_) => {
                writeln!(io.err, "host: invalid port: {value}")?;
                return Ok(Err(Stop(1)));
            }
        },
        'R' => w.retries = u32::try_from(n.max(1)).unwrap_or(u32::MAX),
        'W' => w.wait = u32::try_from(n.max(1)).unwrap_or(u32::MAX),
        _ => {}
    }
    Ok(Ok(()))
}

fn asking(w: &Wish, kind: u16) -> Asking {
    let tcp = w.tcp.unwrap_or(kind == rtype::ANY && !w.almost);
    Asking {
        tries: w.retries.saturating_add(1),
        timeout: Duration::from_secs(w.wait.into()),
        over: if tcp { Over::Tcp } else { Over::Udp },
        source: None,
        ignore_truncation: true,
        hush: false,
        key: None,
        servfail: if w.stop_at_servfail {
            Servfail::Keep
        } else {
            Servfail::Next
        },
    }
}

/// Asks one name; nothing where nobody answered, which has been said.
fn one(
    w: &mut Wish,
    name: &str,
    kind: u16,
    servers: &[Server],
    io: &mut Io<'_>,
) -> Result<Option<Box<Answer>>> {
    let mut q = Message::query(netshoot_host::sockets::random_u16(), name, kind);
    q.edns = None;
    let transfer = kind == rtype::AXFR || kind == rtype::IXFR;
    q.recursion_desired = w.recurse && !transfer;
    if let Some(first) = q.questions.first_mut() {
        first.class = w.class;
    }
    if let (rtype::IXFR, Some(serial)) = (kind, w.serial) {
        let soa = dns::Soa {
            serial,
            ..dns::Soa::default()
        };
        q.authorities.push(Record::new(name, 0, Data::Soa(soa)));
    }
    let mut how = asking(w, kind);
    let typed = w.name.clone();
    loop {
        if w.verbose && !w.json {
            writeln!(io.out, "Trying \"{name}\"")?;
        }
        let (ended, told) = names::told(w.json, &q, io, |io| {
            if transfer {
                super::zone::transfer(io, &how, servers, &q, &typed)
            } else {
                names::ask(io, &how, servers, &q, &typed)
            }
        })?;
        match ended {
            Ended::Answered(a) if a.message.truncated && how.over == Over::Udp => {
                how.over = Over::Tcp;
            }
            Ended::Answered(a) => return Ok(Some(a)),
            Ended::Silent if !told => {
                writeln!(io.out, ";; no servers could be reached")?;
                break;
            }
            Ended::Silent | Ended::Unsent | Ended::Untrusted => break,
        }
    }
    w.failed = true;
    if w.explain {
        names::explain(io, &typed, None)?;
    }
    Ok(None)
}

fn look_up(w: &mut Wish, servers: &[Server], io: &mut Io<'_>) -> Result<()> {
    let kind = w.kind.unwrap_or(rtype::A);
    let tried = names::candidates(&w.name, &w.conf.base.search.clone(), w.ndots);
    for (n, name) in tried.iter().enumerate() {
        let Some(a) = one(w, name, kind, servers, io)? else {
            return Ok(());
        };
        if a.message.rcode == rcode::NXDOMAIN && n + 1 < tried.len() {
            continue;
        }
        if w.soa {
            return consistency(w, name, &a, io);
        }
        show(w, &a, io)?;
        if w.kind.is_none() && a.message.rcode == 0 {
            let last = end_of_aliases(&a.message, name);
            for more in [rtype::AAAA, rtype::MX] {
                let Some(a) = one(w, &last, more, servers, io)? else {
                    return Ok(());
                };
                show(w, &a, io)?;
            }
        }
        if w.explain {
            names::explain(io, &w.name.clone(), Some(&a))?;
        }
        return Ok(());
    }
    Ok(())
}

/// The name at the end of the aliases in a message.
fn end_of_aliases(m: &Message, from: &str) -> String {
    let mut at = from.to_string();
    for _ in 0..m.answers.len() {
        let next = m.answers.iter().find_map(|r| match &r.data {
            Data::Cname(to) if r.name.eq_ignore_ascii_case(&at) => Some(to.clone()),
            _ => None,
        });
        match next {
            Some(to) => at = to,
            None => break,
        }
    }
    at
}

/// The SOA record as each server of the zone has it.
fn consistency(w: &mut Wish, zone: &str, found: &Answer, io: &mut Io<'_>) -> Result<()> {
    if found.message.rcode != 0 {
        let ip = found.server.at.ip();
        writeln!(
            io.out,
            "Nameserver {ip}:\n\t{} not found: {}({})",
            w.name,
            found.message.rcode,
            rcode_word(found.message.rcode)
        )?;
        w.failed = true;
        return Ok(());
    }
    w.recurse = false;
    for r in &found.message.answers {
        let Data::Ns(name) = &r.data else {
            continue;
        };
        for server in names::find_server(name, w.family, w.port).unwrap_or_default() {
            let ip = server.at.ip();
            if let Some(a) = one(w, zone, rtype::SOA, &[server], io)? {
                writeln!(io.out, "Nameserver {ip}:")?;
                for r in &a.message.answers {
                    writeln!(io.out, "\t{}", sentence(r))?;
                }
            }
        }
    }
    Ok(())
}

fn bare(name: &str) -> String {
    let shown = dns::text::shown_name(name);
    match shown.strip_suffix('.') {
        Some(bare) if !bare.is_empty() => bare.to_string(),
        _ => shown,
    }
}

fn sentence(r: &Record) -> String {
    let words = match r.rtype {
        rtype::A => "has address".to_string(),
        rtype::NS => "name server".into(),
        rtype::CNAME => "is an alias for".into(),
        rtype::PTR => "domain name pointer".into(),
        13 => "host information".into(),
        rtype::MX => "mail is handled by".into(),
        rtype::TXT => "descriptive text".into(),
        19 => "x25 address".into(),
        20 => "ISDN address".into(),
        24 => "has signature".into(),
        25 => "has key".into(),
        rtype::AAAA => "has IPv6 address".into(),
        29 => "location".into(),
        kind => format!("has {} record", type_word(kind)),
    };
    format!(
        "{} {words} {}",
        bare(&r.name),
        master::data(r, &Look::default())
    )
}

fn show(w: &mut Wish, a: &Answer, io: &mut Io<'_>) -> Result<()> {
    if w.json {
        w.failed |= a.message.rcode != 0;
        writeln!(io.out, "{:#}", names::json(a))?;
        return Ok(());
    }
    if w.server.is_some() && !w.greeted {
        w.greeted = true;
        let at = names::hash_port(a.server.at);
        writeln!(
            io.out,
            "Using domain server:\nName: {}\nAddress: {at}\nAliases: \n",
            a.server.shown
        )?;
    }
    let m = &a.message;
    let kind = a.query.questions.first().map_or(0, |q| q.rtype);
    let transfer = kind == rtype::AXFR || kind == rtype::IXFR;
    if m.rcode != 0 {
        w.failed = true;
        let asked = a
            .query
            .questions
            .first()
            .map(|q| bare(&q.name))
            .unwrap_or_default();
        let name = if m.rcode == rcode::NXDOMAIN {
            w.name.clone()
        } else {
            asked
        };
        writeln!(
            io.out,
            "Host {name} not found: {}({})",
            m.rcode,
            rcode_word(m.rcode)
        )?;
        if transfer {
            writeln!(io.out, "; Transfer failed.")?;
            return Ok(());
        }
    } else if w.verbose {
        whole(w, m, io)?;
    } else {
        let listed = [rtype::NS, rtype::PTR, rtype::A, rtype::AAAA];
        for r in m
            .answers
            .iter()
            .filter(|r| !transfer || listed.contains(&r.rtype))
        {
            writeln!(io.out, "{}", sentence(r))?;
        }
        if m.answers.is_empty()
            && w.kind.is_some()
            && m.authorities.iter().all(|r| r.rtype == rtype::SOA)
        {
            let asked = a
                .query
                .questions
                .first()
                .map(|q| bare(&q.name))
                .unwrap_or_default();
            writeln!(io.out, "{asked} has no {} record", type_word(kind))?;
        }
    }
    if w.verbose {
        let (bytes, at) = (a.reply.bytes.len(), names::hash_port(a.server.at));
        writeln!(
            io.out,
            "Received {bytes} bytes from {at} in {} ms",
            a.reply.took.as_millis()
        )?;
    }
    Ok(())
}

fn whole(w: &Wish, m: &Message, io: &mut Io<'_>) -> Result<()> {
    let look = Look::default();
    writeln!(io.out, "{}", master::header(m))?;
    if !m.questions.is_empty() {
        writeln!(io.out, ";; QUESTION SECTION:")?;
        for q in &m.questions {
            writeln!(io.out, "{}", master::question(q, &look))?;
        }
        writeln!(io.out)?;
    }
    let hidden = [rtype::RRSIG, rtype::NSEC, rtype::NSEC3];
    for (title, records) in [
        ("ANSWER", &m.answers),
        ("AUTHORITY", &m.authorities),
        ("ADDITIONAL", &m.additional),
    ] {
        if records.is_empty() {
            continue;
        }
        writeln!(io.out, ";; {title} SECTION:")?;
        for r in records
            .iter()
            .filter(|r| !w.almost || !hidden.contains(&r.rtype))
        {
            writeln!(io.out, "{}", master::record(r, &look))?;
        }
        writeln!(io.out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_command_lines_are_refused_or_read() {
        let seeds = [
            "-v -t mx -W 1 -R 2 shop.test 127.0.0.1",
            "-C -l -a -N 3 -c ch x",
        ];
        crate::fuzz::command_lines(&seeds, 3_000, read);
    }
}
