//! nslookup's words for a message.

use super::State;
use crate::io::Io;
use crate::tools::names::{Answer, hash_port};
use anyhow::Result;
use netshoot_wire::dns::text::{self, Style};
use netshoot_wire::dns::{self, Data, Message, Record, rcode_word, rtype, type_word};

/// What stands between a name and its data.
const WORDS: &[(u16, &str)] = &[
    (1, "internet address = "),
    (2, "nameserver = "),
    (3, "md = "),
    (4, "mf = "),
    (5, "canonical name = "),
    (6, "soa = "),
    (7, "mb = "),
    (8, "mg = "),
    (9, "mr = "),
    (11, "protocol = "),
    (12, "name = "),
    (13, "hinfo = "),
    (14, "minfo = "),
    (15, "mail exchanger = "),
    (16, "text = "),
    (17, "rp = "),
    (18, "afsdb = "),
    (19, "x25 address = "),
    (20, "isdn address = "),
    (21, "rt = "),
    (22, "nsap = "),
    (23, "nsap_ptr = "),
    (24, "signature = "),
    (25, "key = "),
    (26, "px = "),
    (27, "gpos = "),
    (28, "has AAAA address "),
    (29, "loc = "),
    (30, "next = "),
    (33, "service = "),
    (35, "naptr = "),
    (36, "kx = "),
    (37, "cert = "),
    (38, "v6 address = "),
    (39, "dname = "),
    (41, "optional = "),
];

fn word(rtype: u16) -> String {
    let own = WORDS.iter().find(|(n, _)| *n == rtype);
    own.map_or_else(|| format!("rdata_{rtype} = "), |(_, w)| (*w).to_string())
}

fn name(of: &str) -> String {
    let shown = text::shown_name(of);
    match shown.strip_suffix('.') {
        Some(bare) if !bare.is_empty() => bare.to_string(),
        _ => shown,
    }
}

fn data(r: &Record) -> String {
    text::data(r.rtype, &r.raw(), &Style::default())
}

fn soa(r: &Record, io: &mut Io<'_>) -> Result<()> {
    if let Data::Soa(s) = &r.data {
        writeln!(
            io.out,
            "\torigin = {}\n\tmail addr = {}",
            name(&s.mname),
            name(&s.rname)
        )?;
        writeln!(io.out, "\tserial = {}\n\trefresh = {}", s.serial, s.refresh)?;
        writeln!(io.out, "\tretry = {}\n\texpire = {}", s.retry, s.expire)?;
        writeln!(io.out, "\tminimum = {}", s.minimum)?;
    }
    Ok(())
}

fn section(records: &[Record], answers: bool, io: &mut Io<'_>) -> Result<()> {
    for r in records {
        let owner = name(&r.name);
        match r.rtype {
            rtype::A | rtype::AAAA if answers => {
                writeln!(io.out, "Name:\t{owner}\nAddress: {}", data(r))?;
            }
            rtype::SOA => {
                writeln!(io.out, "{owner}")?;
                soa(r, io)?;
            }
            kind => writeln!(io.out, "{owner}\t{}{}", word(kind), data(r))?,
        }
    }
    Ok(())
}

fn in_detail(title: &str, records: &[Record], io: &mut Io<'_>) -> Result<()> {
    writeln!(io.out, "    {title}:")?;
    for r in records {
        writeln!(io.out, "    ->  {}", name(&r.name))?;
        match r.rtype {
            rtype::SOA => soa(r, io)?,
            kind => writeln!(io.out, "\t{}{}", word(kind), data(r))?,
        }
        writeln!(io.out, "\tttl = {}", r.ttl)?;
    }
    Ok(())
}

fn whole(m: &Message, io: &mut Io<'_>) -> Result<()> {
    writeln!(io.out, "------------\n    QUESTIONS:")?;
    for q in &m.questions {
        let (kind, class) = (type_word(q.rtype), dns::class_word(q.class));
        writeln!(
            io.out,
            "\t{}, type = {kind}, class = {class}",
            name(&q.name)
        )?;
    }
    in_detail("ANSWERS", &m.answers, io)?;
    in_detail("AUTHORITY RECORDS", &m.authorities, io)?;
    in_detail("ADDITIONAL RECORDS", &m.additional, io)?;
    writeln!(io.out, "------------")?;
    Ok(())
}

/// The name at the end of the aliases in a message.
pub fn end_of_aliases(m: &Message, from: &str) -> String {
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

/// The first answer to a name. `short` is that of an address, `both` will be followed by IPv6.
pub fn answer(
    state: &mut State,
    a: &Answer,
    typed: &str,
    short: bool,
    both: bool,
    io: &mut Io<'_>,
) -> Result<()> {
    let m = &a.message;
    let asked = m.questions.first().or(a.query.questions.first());
    let asked = asked.map(|q| name(&q.name)).unwrap_or_default();
    let kind = a.query.questions.first().map_or(0, |q| q.rtype);
    if !short || state.debug {
        let at = hash_port(a.server.at);
        writeln!(io.out, "Server:\t\t{}\nAddress:\t{at}\n", a.server.shown)?;
    }
    if state.debug {
        whole(m, io)?;
    }
    if m.rcode != 0 {
        state.failed = true;
        writeln!(
            io.out,
            "** server can't find {asked}: {}",
            rcode_word(m.rcode)
        )?;
        if kind == rtype::AXFR || kind == rtype::IXFR {
            writeln!(io.out, "; Transfer failed.")?;
        }
        return Ok(());
    }
    state.any_good = true;
    if !m.authoritative && !short {
        writeln!(io.out, "Non-authoritative answer:")?;
    }
    if !m.answers.is_empty() {
        section(&m.answers, true, io)?;
    } else if !both {
        writeln!(io.out, "*** Can't find {typed}: No answer")?;
    }
    let addresses = kind == rtype::A || kind == rtype::AAAA;
    let more = !m.authorities.is_empty() || !m.additional.is_empty();
    if !m.authoritative && !addresses && more {
        writeln!(io.out, "\nAuthoritative answers can be found from:")?;
        section(&m.authorities, false, io)?;
        section(&m.additional, false, io)?;
    }
    Ok(())
}

/// The IPv6 addresses behind the others; `nothing` was found before.
pub fn further(
    state: &mut State,
    a: &Answer,
    typed: &str,
    nothing: bool,
    io: &mut Io<'_>,
) -> Result<()> {
    if state.debug {
        whole(&a.message, io)?;
    }
    section(&a.message.answers, true, io)?;
    if nothing && a.message.answers.is_empty() {
        let searched = a
            .query
            .questions
            .first()
            .map(|q| name(&q.name))
            .unwrap_or_default();
        let shown = if typed.ends_with('.') {
            typed.to_string()
        } else {
            searched
        };
        writeln!(io.out, "*** Can't find {shown}: No answer")?;
    }
    Ok(())
}
