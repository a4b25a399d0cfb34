//! dig's page for a message.

use super::key::Signing;
use super::{Lookup, Run, master, names};
use crate::io::Io;
use crate::tools::names::{Answer, Server, hash_port, over_word};
use anyhow::Result;
use master::Look;
use netshoot_wire::dns::digits::civil;
use netshoot_wire::dns::text::Style;
use netshoot_wire::dns::{Message, Record, rcode, rcode_word, rtype, type_word};
use std::time::{SystemTime, UNIX_EPOCH};

/// The layout a lookup asks for.
pub fn look(l: &Lookup) -> Look {
    Look {
        style: Style {
            multiline: l.multiline,
            split: l.split.unwrap_or(if l.multiline { 44 } else { 56 }),
            crypto: l.crypto,
            comments: l.rrcomments.unwrap_or(l.multiline),
            unknown: l.unknown,
            expand: l.expand,
            ..Style::default()
        },
        class: l.show_class,
        ttl: l.show_ttl,
        units: l.units,
    }
}

/// `Thu Nov 26 21:53:33 UTC 2026`.
pub fn when(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (y, mo, d, h, mi, s) = civil(seconds);
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let day = days.get((seconds / 86400 % 7) as usize).unwrap_or(&"");
    let month = months.get(mo.saturating_sub(1) as usize).unwrap_or(&"");
    format!("{day} {month} {d:02} {h:02}:{mi:02}:{s:02} UTC {y}")
}

fn sections(l: &Lookup, m: &Message, io: &mut Io<'_>) -> Result<()> {
    let look = look(l);
    if l.question && !m.questions.is_empty() {
        if l.comments {
            writeln!(io.out, ";; QUESTION SECTION:")?;
        }
        for q in &m.questions {
            writeln!(io.out, "{}", master::question(q, &look))?;
        }
        if l.comments {
            writeln!(io.out)?;
        }
    }
    let (signatures, additional): (Vec<Record>, Vec<Record>) = m
        .additional
        .iter()
        .cloned()
        .partition(|r| r.rtype == rtype::TSIG);
    for (on, title, records) in [
        (l.answer, "ANSWER", &m.answers),
        (l.authority, "AUTHORITY", &m.authorities),
        (l.additional, "ADDITIONAL", &additional),
        (l.additional, "TSIG PSEUDO", &signatures),
    ] {
        if !on || records.is_empty() {
            continue;
        }
        if l.comments {
            let gap = if title.ends_with("PSEUDO") { "" } else { " " };
            writeln!(io.out, ";; {title}{gap}SECTION:")?;
        }
        for r in records {
            writeln!(io.out, "{}", master::record(r, &look))?;
        }
        if l.comments {
            writeln!(io.out)?;
        }
    }
    Ok(())
}

/// The query, where `+qr` asks for it.
pub fn sending(
    l: &Lookup,
    q: &Message,
    servers: &[Server],
    run: &mut Run,
    io: &mut Io<'_>,
) -> Result<()> {
    let size = q.encode().map_or(0, |b| b.len());
    if l.yaml {
        return super::yaml::query(l, q, size, servers, io);
    }
    if run.short {
        return Ok(());
    }
    run.greet(io)?;
    if l.comments {
        write!(io.out, ";; Sending:\n{}\n", master::header(q))?;
        if let Some(e) = &q.edns {
            write!(io.out, "{}", master::pseudo(e, None))?;
        }
    }
    sections(l, q, io)?;
    if l.stats {
        write!(io.out, ";; QUERY SIZE: {size}\n\n")?;
    }
    Ok(())
}

fn took(a: &Answer, run: &Run) -> String {
    if run.micro {
        format!("{} usec", a.reply.took.as_micros())
    } else {
        format!("{} msec", a.reply.took.as_millis())
    }
}

/// How long it took, who answered, when.
pub fn stats(l: &Lookup, a: &Answer, run: &Run, io: &mut Io<'_>) -> Result<()> {
    if !l.stats {
        return Ok(());
    }
    let over = over_word(&a.over);
    writeln!(io.out, ";; Query time: {}", took(a, run))?;
    writeln!(
        io.out,
        ";; SERVER: {}({}) ({over})",
        hash_port(a.server.at),
        a.server.shown
    )?;
    writeln!(io.out, ";; WHEN: {}", when(a.reply.sent))?;
    let bytes = a.reply.bytes.len();
    if l.transfers() {
        let records = a.message.answers.len();
        writeln!(
            io.out,
            ";; XFR size: {records} records (messages {}, bytes {bytes})",
            a.messages
        )?;
    } else {
        writeln!(io.out, ";; MSG SIZE  rcvd: {bytes}")?;
    }
    match run.signing {
        Signing::With(_) if a.unsigned => {
            writeln!(io.out, ";; WARNING -- Some TSIG could not be validated")?;
        }
        Signing::Unused => writeln!(io.out, ";; WARNING -- TSIG key was not used.")?,
        _ => {}
    }
    writeln!(io.out)?;
    Ok(())
}

/// The data of the records alone; with `from` also their types, and who said so.
pub fn short(l: &Lookup, a: &Answer, run: &Run, from: bool, io: &mut Io<'_>) -> Result<()> {
    for r in &a.message.answers {
        if from {
            write!(io.out, "{} ", type_word(r.rtype))?;
        }
        write!(io.out, "{}", master::data(r, &look(l)))?;
        if from || l.identify {
            let (ip, took) = (a.server.at.ip(), took(a, run));
            let took = took.replace("msec", "ms").replace("usec", "us");
            write!(io.out, " from server {ip} in {took}.")?;
        }
        writeln!(io.out)?;
    }
    Ok(())
}

/// An answer.
pub fn answer(l: &Lookup, a: &Answer, run: &mut Run, io: &mut Io<'_>) -> Result<()> {
    let m = &a.message;
    if run.json {
        writeln!(io.out, "{:#}", names::json(a))?;
    } else if l.yaml {
        super::yaml::answer(l, a, io)?;
    } else if l.transfers() {
        if !run.short {
            run.greet(io)?;
        }
        let signatures = m.additional.iter().filter(|r| r.rtype == rtype::TSIG);
        let signatures: Vec<&Record> = signatures.collect();
        if m.rcode != 0 || m.answers.is_empty() {
            for r in signatures {
                writeln!(io.out, "{}", master::record(r, &look(l)))?;
            }
            writeln!(io.out, "; Transfer failed.")?;
            return Ok(());
        }
        if run.short {
            return short(l, a, run, false, io);
        }
        let last = m.answers.len() - usize::from(l.onesoa && m.answers.len() > 1);
        for r in m.answers.iter().take(last).filter(|_| l.answer) {
            writeln!(io.out, "{}", master::record(r, &look(l)))?;
        }
        for r in signatures.into_iter().filter(|_| l.additional) {
            writeln!(io.out, "{}", master::record(r, &look(l)))?;
        }
        stats(l, a, run, io)?;
    } else if run.short {
        short(l, a, run, false, io)?;
    } else {
        run.greet(io)?;
        whole(l, a, io)?;
        stats(l, a, run, io)?;
    }
    if run.explain {
        let asked = a
            .query
            .questions
            .first()
            .map(|q| q.name.clone())
            .unwrap_or_default();
        names::explain(io, &asked, Some(a))?;
    }
    Ok(())
}

/// All sections, with what stands around them.
pub fn whole(l: &Lookup, a: &Answer, io: &mut Io<'_>) -> Result<()> {
    let m = &a.message;
    if l.comments {
        writeln!(io.out, ";; Got answer:")?;
        let local = |n: &str| n.to_ascii_lowercase().ends_with(".local");
        if m.questions.first().is_some_and(|q| local(&q.name)) {
            writeln!(io.out, ";; WARNING: .local is reserved for Multicast DNS")?;
            let leaked = "what happens when an mDNS query is leaked to DNS";
            writeln!(io.out, ";; You are currently testing {leaked}")?;
        }
        write!(io.out, "{}", master::header(m))?;
        if m.recursion_desired && !m.recursion_available {
            writeln!(io.out, ";; WARNING: recursion requested but not available")?;
        }
        writeln!(io.out)?;
        let refused = m.rcode == rcode::FORMERR || m.rcode == rcode::NOTIMP;
        if refused && m.edns.is_none() && a.query.edns.is_some() {
            let status = rcode_word(m.rcode);
            let hint = "retry with '+noedns'";
            write!(
                io.out,
                ";; WARNING: EDNS query returned status {status} - {hint}\n\n"
            )?;
        }
        if let Some(e) = &m.edns {
            let sent = master::client_cookie(&a.query);
            write!(io.out, "{}", master::pseudo(e, sent.as_deref()))?;
        }
    }
    sections(l, m, io)
}
