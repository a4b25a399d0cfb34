//! delv's page: what was found, and what it is worth.

use super::plan::Plan;
use crate::io::Io;
use crate::tools::master::{self, Look};
use anyhow::Result;
use netshoot_wire::dns::dnssec::Signature;
use netshoot_wire::dns::dnssec::chain::{Found, Outcome, Trust, Why};
use netshoot_wire::dns::text::{Style, shown_name};
use netshoot_wire::dns::{CLASS_IN, Data, Message, Record, rtype, type_word};
use std::rc::Rc;

fn look(p: &Plan) -> Look {
    Look {
        style: Style {
            multiline: p.multiline,
            split: p.split.unwrap_or(if p.multiline { 44 } else { 56 }),
            crypto: p.crypto,
            comments: p.rrcomments,
            unknown: p.unknown,
            ..Style::default()
        },
        class: p.class,
        ttl: p.ttl,
        units: false,
    }
}

fn worth(trust: Trust, negative: bool) -> String {
    let word = match trust {
        Trust::Secure => "fully validated",
        Trust::Insecure => "unsigned answer",
        Trust::Authoritative => "authoritative",
        Trust::Unchecked => "answer not validated",
    };
    match negative {
        true => format!("negative response, {word}"),
        false => word.into(),
    }
}

/// What is shown of an outcome: what it is worth, and its records in order.
struct Part {
    trust: Trust,
    negative: Option<Negative>,
    records: Vec<Record>,
}

struct Negative {
    no_name: bool,
    name: String,
    kind: u16,
    ttl: u32,
}

fn parts(p: &Plan, found: &[Rc<Outcome>]) -> Vec<Part> {
    let mut all = Vec::new();
    for outcome in found {
        match &outcome.found {
            Found::Sets(sets) | Found::Alias(sets, _) => {
                for (set, trust) in sets {
                    let signatures = set.signatures.iter().filter(|_| p.dnssec && p.validate);
                    let signatures: Vec<Record> = signatures.cloned().collect();
                    let records = match p.kind {
                        rtype::ANY => [signatures, set.records.clone()].concat(),
                        _ => [set.records.clone(), signatures].concat(),
                    };
                    all.push(Part {
                        trust: *trust,
                        negative: None,
                        records,
                    });
                }
            }
            Found::Nothing {
                no_name,
                proof,
                trust,
                ..
            } => {
                let soa = proof.iter().find_map(|r| match &r.data {
                    Data::Soa(s) => Some(s.minimum.min(r.ttl)),
                    _ => None,
                });
                let kinds = [rtype::SOA, rtype::NSEC, rtype::NSEC3, rtype::RRSIG];
                let told = proof.iter().filter(|r| kinds.contains(&r.rtype));
                let mut told: Vec<Record> = told.cloned().collect();
                // As BIND's cache holds them: of a name in the order of their types.
                for own in told.chunk_by_mut(|a, b| a.name.eq_ignore_ascii_case(&b.name)) {
                    own.sort_by_key(|r| r.rtype);
                }
                all.push(Part {
                    trust: *trust,
                    negative: Some(Negative {
                        no_name: *no_name,
                        name: outcome.name.clone(),
                        kind: outcome.kind,
                        ttl: soa.unwrap_or(0),
                    }),
                    records: told,
                });
            }
        }
    }
    all
}

/// `\-MX`, `;-$NXRRSET`.
fn nothing(n: &Negative) -> (String, &'static str) {
    match n.no_name {
        true => ("\\-ANY".into(), ";-$NXDOMAIN"),
        false => (format!("\\-{}", type_word(n.kind)), ";-$NXRRSET"),
    }
}

/// A record that proves that there is nothing.
fn told(r: &Record, look: &Look) -> String {
    let name = shown_name(&r.name);
    match Signature::read(r).ok().filter(|_| r.rtype == rtype::RRSIG) {
        Some(s) => format!("{name} RRSIG {} ...", type_word(s.covers)),
        None => {
            let data = master::data(r, look);
            format!("{name} {} {data}", type_word(r.rtype))
        }
    }
}

/// How it ended, as delv calls it.
fn status(parts: &[Part], why: Option<&Why>) -> String {
    match (why, parts.last().and_then(|p| p.negative.as_ref())) {
        (Some(why), _) => why.words().to_string(),
        (None, Some(n)) if n.no_name => "ncache nxdomain".into(),
        (None, Some(_)) => "ncache nxrrset".into(),
        (None, None) => "success".into(),
    }
}

/// The whole answer.
pub fn answer(p: &Plan, found: &[Rc<Outcome>], why: Option<&Why>, io: &mut Io<'_>) -> Result<()> {
    let parts = parts(p, found);
    let status = status(&parts, why);
    if p.json {
        writeln!(io.out, "{:#}", json(p, &parts, &status))?;
    } else if p.yaml {
        yaml(p, &parts, &status, io)?;
    } else {
        plain(p, &parts, io)?;
        if status != "success" {
            io.out.flush()?;
            writeln!(io.err, ";; resolution failed: {status}")?;
        }
    }
    if p.explain {
        explain(&parts, why, io)?;
    }
    Ok(())
}

fn plain(p: &Plan, parts: &[Part], io: &mut Io<'_>) -> Result<()> {
    let look = look(p);
    let mut before = String::new();
    for part in parts {
        if p.short {
            let own = part.records.iter().filter(|r| r.rtype != rtype::RRSIG);
            for r in own.filter(|_| part.negative.is_none()) {
                writeln!(io.out, "{}", master::data(r, &look))?;
            }
            continue;
        }
        let worth = worth(part.trust, part.negative.is_some());
        if p.trust && worth != before {
            writeln!(io.out, "; {worth}")?;
            before = worth;
        }
        match &part.negative {
            None => {
                for r in &part.records {
                    writeln!(io.out, "{}", master::record(r, &look))?;
                }
            }
            Some(n) => {
                let (kind, data) = nothing(n);
                let line = master::line(&n.name, n.ttl, CLASS_IN, &kind, data, &look);
                writeln!(io.out, "; {line}")?;
                for r in &part.records {
                    writeln!(io.out, "; {}", told(r, &look))?;
                }
            }
        }
    }
    Ok(())
}

fn yaml(p: &Plan, parts: &[Part], status: &str, io: &mut Io<'_>) -> Result<()> {
    let mut look = look(p);
    (look.style.multiline, look.style.comments) = (false, false);
    let name = p.name.trim_end_matches('.');
    writeln!(io.out, "type: DELV_RESULT\nquery_name: {name}")?;
    writeln!(io.out, "status: {status}\nrecords:")?;
    let quoted = |text: String| text.replace('\'', "''");
    let mut before = String::new();
    for part in parts {
        let worth = worth(part.trust, part.negative.is_some());
        if worth != before {
            let word = worth.replace(", ", "_").replace(' ', "_");
            writeln!(io.out, "  - {word}:")?;
            before = worth;
        }
        if let Some(n) = &part.negative {
            let (kind, data) = nothing(n);
            let name = shown_name(&n.name);
            let text = quoted(format!("{name} {} IN {kind} {data}", n.ttl));
            writeln!(io.out, "    - '{text}'")?;
        }
        for r in &part.records {
            let text = match part.negative {
                Some(_) => told(r, &look),
                None => master::spaced(r, &look),
            };
            writeln!(io.out, "    - '{}'", quoted(text))?;
        }
    }
    Ok(())
}

fn json(p: &Plan, parts: &[Part], status: &str) -> serde_json::Value {
    let mut look = look(p);
    (look.style.multiline, look.style.comments, look.style.split) = (false, false, 0);
    let record = |r: &Record| {
        serde_json::json!({"name": r.name, "ttl": r.ttl, "type": type_word(r.rtype),
            "data": master::data(r, &look)})
    };
    let part = |part: &Part| {
        let records: Vec<_> = part.records.iter().map(record).collect();
        let trust = match part.trust {
            Trust::Secure => "secure",
            Trust::Insecure => "insecure",
            Trust::Authoritative => "authoritative",
            Trust::Unchecked => "unchecked",
        };
        serde_json::json!({"trust": trust, "negative": part.negative.is_some(), "records": records})
    };
    let parts: Vec<_> = parts.iter().map(part).collect();
    serde_json::json!({"name": p.name, "type": type_word(p.kind), "status": status, "answers": parts})
}

/// A message as it came, for `+mtrace`.
pub fn packet(m: &Message, from: &str) -> String {
    let look = Look::default();
    let mut wide = Look::default();
    (wide.style.multiline, wide.style.split) = (true, 28);
    wide.style.comments = true;
    let header = master::header(m).replace("; QUERY: ", "; QUESTION: ");
    let header = header.replacen(", id: ", ", id:  ", 1);
    let mut text = format!(";; received packet from {from}\n{header}");
    if let Some(e) = &m.edns {
        text += &master::pseudo(e, None);
    }
    text += ";; QUESTION SECTION:\n";
    for q in &m.questions {
        text += &format!("{}\n", master::question(q, &look));
    }
    text += "\n";
    let sections = [
        ("ANSWER", &m.answers),
        ("AUTHORITY", &m.authorities),
        ("ADDITIONAL", &m.additional),
    ];
    for (title, records) in sections {
        if records.is_empty() {
            continue;
        }
        text += &format!(";; {title} SECTION:\n");
        for r in records {
            let line = master::record(r, &look);
            let bare = line.strip_suffix(&master::data(r, &look)).unwrap_or(&line);
            let data = master::data(r, &wide);
            let data = data.replace("\n\t\t\t\t", "\n;\t\t\t\t\t\t");
            text += &format!(";{bare}{data}\n");
        }
        text += "\n";
    }
    text
}

fn explain(parts: &[Part], why: Option<&Why>, io: &mut Io<'_>) -> Result<()> {
    let says = match (why, parts.last().map(|p| p.trust)) {
        (Some(Why::Unanswered(_)), _) => io.lang.pick(
            "No server gave a usable answer, so nothing could be proved; a validating resolver answers SERVFAIL for what it finds bogus: try again with +cd",
            "没有服务器给出可用的应答，无法验证；会做验证的解析器对伪造数据回答 SERVFAIL：请加上 +cd 再试",
        ),
        (Some(_), _) => io.lang.pick(
            "The signatures do not lead from the trusted key to this answer: expired or changed records, a wrong clock, or a DS record that does not fit the zone's keys",
            "签名链无法从信任锚到达该应答：记录过期或被改动、时钟错误，或 DS 记录与区域密钥不符",
        ),
        (None, Some(Trust::Secure)) => io.lang.pick(
            "Each step from the trusted key down to this answer was verified here, whatever the resolver says",
            "从信任锚到该应答的每一步都已在本机验证，与解析器的说法无关",
        ),
        (None, Some(Trust::Insecure | Trust::Authoritative)) => io.lang.pick(
            "This part of the name space is not signed: cluster.local never is, and most zones are not",
            "该部分名称空间没有签名：cluster.local 从不签名，多数区域也没有",
        ),
        _ => io.lang.pick(
            "Nothing was verified: -i and +noroot switch that off",
            "未做任何验证：-i 与 +noroot 会关闭验证",
        ),
    };
    writeln!(io.out, "{says}")?;
    Ok(())
}
