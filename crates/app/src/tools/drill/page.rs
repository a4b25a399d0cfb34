//! What drill shows: a whole answer, one record, its data.

use super::Wish;
use crate::io::Io;
use crate::tools::names::{self, Server};
use anyhow::Result;
use netshoot_host::dns::talk::Reply;
use netshoot_wire::dns::digits::civil;
use netshoot_wire::dns::text::{self, Style};
use netshoot_wire::dns::{self, Message, Record, class_word, rtype, type_word};
use std::time::UNIX_EPOCH;

pub fn data(r: &Record, comments: bool) -> String {
    text::data(
        r.rtype,
        &r.raw(),
        &Style {
            comments,
            ..Style::ldns()
        },
    )
}

pub fn line(r: &Record) -> String {
    let (name, class, kind) = (
        text::shown_name(&r.name),
        class_word(r.class),
        type_word(r.rtype),
    );
    format!("{name}\t{}\t{class}\t{kind}\t{}", r.ttl, data(r, true))
}

pub fn page(w: &Wish, m: &Message, came: Option<(&Reply, &Server)>, io: &mut Io<'_>) -> Result<()> {
    let flags: String = names::flags(m).iter().map(|f| format!("{f} ")).collect();
    let (opcode, rcode) = (dns::opcode_word(m.opcode), dns::rcode_word(m.rcode));
    writeln!(
        io.out,
        ";; ->>HEADER<<- opcode: {opcode}, rcode: {rcode}, id: {}",
        m.id
    )?;
    let (a, b, c, d) = (
        m.questions.len(),
        m.answers.len(),
        m.authorities.len(),
        m.additional.len(),
    );
    writeln!(
        io.out,
        ";; flags: {flags}; QUERY: {a}, ANSWER: {b}, AUTHORITY: {c}, ADDITIONAL: {d} "
    )?;
    writeln!(io.out, ";; QUESTION SECTION:")?;
    for q in &m.questions {
        let (name, class) = (text::shown_name(&q.name), class_word(q.class));
        writeln!(io.out, ";; {name}\t{class}\t{}", type_word(q.rtype))?;
    }
    for (title, records) in [
        ("ANSWER", &m.answers),
        ("AUTHORITY", &m.authorities),
        ("ADDITIONAL", &m.additional),
    ] {
        writeln!(io.out, "\n;; {title} SECTION:")?;
        for r in records {
            writeln!(io.out, "{}", line(r))?;
        }
    }
    let took = came.map_or(0, |(r, _)| r.took.as_millis());
    writeln!(io.out, "\n;; Query time: {took} msec")?;
    if let Some(e) = &m.edns {
        let set = if e.dnssec_ok { " do" } else { "" };
        writeln!(
            io.out,
            ";; EDNS: version {}; flags:{set} ; udp: {}",
            e.version, e.udp_size
        )?;
        for (code, bytes) in &e.options {
            if *code == 3 {
                let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
                let text = String::from_utf8_lossy(bytes);
                writeln!(
                    io.out,
                    "; NSID: {} ({})",
                    hex.join(" "),
                    crate::report::safe(&text)
                )?;
            }
        }
    }
    let at = came.map_or_else(std::time::SystemTime::now, |(r, _)| r.sent);
    if let Some((_, server)) = came {
        writeln!(io.out, ";; SERVER: {}", server.at.ip())?;
    }
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (year, month, day, hour, minute, second) = civil(seconds);
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let weekday = days.get((seconds / 86400 % 7) as usize).unwrap_or(&"");
    let month = months.get(month.saturating_sub(1) as usize).unwrap_or(&"");
    writeln!(
        io.out,
        ";; WHEN: {weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}"
    )?;
    writeln!(
        io.out,
        ";; MSG SIZE  rcvd: {}",
        came.map_or(0, |(r, _)| r.bytes.len())
    )?;
    if w.show_ds && came.is_some() {
        delegations(m, io)?;
    }
    if m.truncated && came.is_some() {
        writeln!(
            io.out,
            "\n;; WARNING: The answer packet was truncated; you might want to"
        )?;
        writeln!(
            io.out,
            ";; query again with TCP (-t argument), or EDNS0 (-b for buffer size)"
        )?;
    }
    Ok(())
}

/// The DS records that would delegate to the keys of an answer.
fn delegations(m: &Message, io: &mut Io<'_>) -> Result<()> {
    for r in m.answers.iter().filter(|r| r.rtype == rtype::DNSKEY) {
        let raw = r.raw();
        let mut owner = Vec::new();
        if dns::encode_name(&r.name.to_ascii_lowercase(), &mut owner).is_err() {
            continue;
        }
        owner.extend(&raw);
        let tag = text::key_tag(&raw);
        let algorithm = raw.get(3).copied().unwrap_or(0);
        writeln!(io.out, ";\n; equivalent DS records for key {tag}:")?;
        for (word, number, digest) in [
            ("sha1", 1, &ring::digest::SHA1_FOR_LEGACY_USE_ONLY),
            ("sha256", 2, &ring::digest::SHA256),
        ] {
            let sum = dns::digits::hex(ring::digest::digest(digest, &owner).as_ref());
            let (name, class) = (text::shown_name(&r.name), class_word(r.class));
            writeln!(
                io.out,
                "; {word}: {name}\t{}\t{class}\tDS\t{tag} {algorithm} {number} {sum}",
                r.ttl
            )?;
        }
    }
    writeln!(io.out)?;
    Ok(())
}
