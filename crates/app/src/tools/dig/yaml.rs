//! `+yaml`.

use super::{Lookup, master};
use crate::io::Io;
use crate::tools::names::{Answer, Server, over_word};
use anyhow::Result;
use netshoot_host::dns::talk::Over;
use netshoot_wire::dns::digits::civil;
use netshoot_wire::dns::text::shown_name;
use netshoot_wire::dns::{Message, Record, class_word, opcode_word, rcode_word, rtype, type_word};
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

fn time(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (y, mo, d, h, mi, s) = civil(since.as_secs());
    let ms = since.subsec_millis();
    format!("!!timestamp {y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{ms:03}Z")
}

fn place(size: usize, at: SocketAddr, over: &Over, io: &mut Io<'_>) -> Result<()> {
    let (family, any) = match at.ip() {
        IpAddr::V4(_) => ("INET", "0.0.0.0"),
        IpAddr::V6(_) => ("INET6", "::"),
    };
    let protocol = match over {
        Over::Http(_) | Over::Https(..) => "TCP",
        other => over_word(other),
    };
    writeln!(
        io.out,
        "    message_size: {size}b\n    socket_family: {family}"
    )?;
    writeln!(io.out, "    socket_protocol: {protocol}")?;
    writeln!(
        io.out,
        "    response_address: \"{}\"\n    response_port: {}",
        at.ip(),
        at.port()
    )?;
    writeln!(io.out, "    query_address: \"{any}\"\n    query_port: 0")?;
    Ok(())
}

fn body(l: &Lookup, m: &Message, sent: Option<&[u8]>, io: &mut Io<'_>) -> Result<()> {
    let (opcode, status) = (opcode_word(m.opcode), rcode_word(m.rcode));
    writeln!(
        io.out,
        "      opcode: {opcode}\n      status: {status}\n      id: {}",
        m.id
    )?;
    writeln!(io.out, "      flags:{}", master::flags(m))?;
    let additional = m.additional.len() + usize::from(m.edns.is_some());
    writeln!(
        io.out,
        "      QUESTION: {}\n      ANSWER: {}",
        m.questions.len(),
        m.answers.len()
    )?;
    writeln!(
        io.out,
        "      AUTHORITY: {}\n      ADDITIONAL: {additional}",
        m.authorities.len()
    )?;
    if let Some(e) = m.edns.as_ref().filter(|_| !l.transfers()) {
        let set = if e.dnssec_ok { " do" } else { "" };
        writeln!(
            io.out,
            "      OPT_PSEUDOSECTION:\n        EDNS:\n          version: {}",
            e.version
        )?;
        writeln!(
            io.out,
            "          flags:{set}\n          udp: {}",
            e.udp_size
        )?;
        for (code, bytes) in &e.options {
            let (word, says) = master::option(*code, bytes, sent);
            let gap = if says.is_empty() { "" } else { " " };
            writeln!(io.out, "          {word}:{gap}{says}")?;
        }
    }
    let mut look = super::show::look(l);
    look.style.multiline = false;
    if l.question && !m.questions.is_empty() && !l.transfers() {
        writeln!(io.out, "      QUESTION_SECTION:")?;
        for q in &m.questions {
            let (class, kind) = (class_word(q.class), type_word(q.rtype));
            writeln!(
                io.out,
                "        - '{} {class} {kind}'",
                quoted(&shown_name(&q.name))
            )?;
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
    ] {
        if on && !records.is_empty() {
            writeln!(io.out, "      {title}_SECTION:")?;
            for r in records {
                writeln!(io.out, "        - '{}'", quoted(&master::spaced(r, &look)))?;
            }
        }
    }
    for r in signatures.iter().filter(|_| l.additional) {
        let shown = quoted(&master::spaced(r, &look));
        writeln!(io.out, "      TSIG_PSEUDOSECTION:\n      - '{shown}'\n")?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

/// The query.
pub fn query(
    l: &Lookup,
    q: &Message,
    size: usize,
    servers: &[Server],
    io: &mut Io<'_>,
) -> Result<()> {
    let Some(server) = servers.first() else {
        return Ok(());
    };
    let kind = if q.recursion_desired {
        "RECURSIVE"
    } else {
        "AUTH"
    };
    writeln!(
        io.out,
        "- type: MESSAGE\n  message:\n    type: {kind}_QUERY"
    )?;
    writeln!(io.out, "    query_time: {}", time(SystemTime::now()))?;
    let over = l.over(l.tcp == Some(true));
    place(size, server.at, &over, io)?;
    writeln!(io.out, "    query_message_data:")?;
    body(l, q, None, io)
}

/// An answer.
pub fn answer(l: &Lookup, a: &Answer, io: &mut Io<'_>) -> Result<()> {
    let kind = if a.message.recursion_available {
        "RECURSIVE"
    } else {
        "AUTH"
    };
    writeln!(
        io.out,
        "- type: MESSAGE\n  message:\n    type: {kind}_RESPONSE"
    )?;
    writeln!(io.out, "    query_time: {}", time(a.reply.sent))?;
    writeln!(
        io.out,
        "    response_time: {}",
        time(a.reply.sent + a.reply.took)
    )?;
    place(a.reply.bytes.len(), a.server.at, &a.over, io)?;
    writeln!(io.out, "    response_message_data:")?;
    body(
        l,
        &a.message,
        master::client_cookie(&a.query).as_deref(),
        io,
    )
}
