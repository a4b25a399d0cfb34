//! What the tools for names say to machines: a message, and why there is none.

use super::{Answer, Ended, flags, hash_port, over_word};
use crate::io::Io;
use anyhow::Result;
use netshoot_wire::dns::{self, Message};
use serde_json::json;

/// Asks; for those who want JSON, what went wrong on the way stands in an object, where without it lines are said. The
/// second tells whether the end was told so.
pub fn told(
    json: bool,
    query: &Message,
    io: &mut Io<'_>,
    ask: impl FnOnce(&mut Io<'_>) -> Result<Ended>,
) -> Result<(Ended, bool)> {
    if !json {
        return Ok((ask(io)?, false));
    }
    let mut said = Vec::new();
    let ended = ask(&mut Io {
        out: &mut said,
        err: &mut *io.err,
        color: false,
        progress: io.progress,
        lang: io.lang,
    })?;
    let error = match ended {
        Ended::Answered(_) => return Ok((ended, false)),
        Ended::Untrusted => "the server's certificate does not verify",
        Ended::Unsent | Ended::Silent => "no servers could be reached",
    };
    let said = String::from_utf8_lossy(&said);
    let said: Vec<&str> = said
        .lines()
        .map(|l| l.trim_start_matches([';', ' ']))
        .collect();
    writeln!(io.out, "{:#}", failure(query, error, &said))?;
    Ok((ended, true))
}

/// No answer, for those who ask for JSON: why, and what was seen on the way.
pub fn failure(query: &Message, error: &str, said: &[&str]) -> serde_json::Value {
    json!({"error": error, "seen": said, "question": questions(query)})
}

fn questions(m: &Message) -> Vec<serde_json::Value> {
    let question = |q: &dns::Question| {
        json!({"name": q.name, "type": dns::type_word(q.rtype),
            "class": dns::class_word(q.class)})
    };
    m.questions.iter().map(question).collect()
}

/// A message for those who ask for JSON.
pub fn json(answer: &Answer) -> serde_json::Value {
    let m = &answer.message;
    let style = dns::text::Style {
        split: 0,
        ..Default::default()
    };
    let record = |r: &dns::Record| {
        json!({
            "name": r.name, "ttl": r.ttl, "class": dns::class_word(r.class),
            "type": dns::type_word(r.rtype),
            "data": dns::text::data(r.rtype, &r.raw(), &style),
        })
    };
    let section = |all: &[dns::Record]| all.iter().map(record).collect::<Vec<_>>();
    json!({
        "server": hash_port(answer.server.at), "over": over_word(&answer.over),
        "query_time_us": answer.reply.took.as_micros() as u64, "size": answer.reply.bytes.len(),
        "id": m.id, "opcode": dns::opcode_word(m.opcode),
        "status": dns::rcode_word(m.rcode), "flags": flags(m),
        "question": questions(m), "answer": section(&m.answers),
        "authority": section(&m.authorities), "additional": section(&m.additional),
    })
}
