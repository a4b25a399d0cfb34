//! Zone transfers (RFC 5936, RFC 1995): many messages that belong together.

use super::names::{self, Answer, Asking, Ended, Server};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::dns::talk::{Over, Reply, Route, Talk};
use netshoot_wire::dns::{Data, Message, Record, rtype};
use std::time::{Instant, SystemTime};

/// More messages than any zone people list by hand.
const MAX_MESSAGES: usize = 100_000;

/// Asks for a zone; all records stand in the answer section of one message. Its
/// bytes are those of all messages.
pub fn transfer(
    io: &mut Io<'_>,
    how: &Asking,
    servers: &[Server],
    query: &Message,
    typed: &str,
) -> Result<Ended> {
    let Some(server) = servers.first() else {
        return Ok(Ended::Silent);
    };
    let over = if how.over == Over::Udp {
        Over::Tcp
    } else {
        how.over.clone()
    };
    for _ in 0..how.tries.max(1) {
        let route = Route {
            server: server.at,
            source: how.source,
            timeout: how.timeout,
        };
        let mut talk = match Talk::open(&route, &over) {
            Ok(talk) => talk,
            Err(e) => {
                let (at, why) = (names::hash_port(server.at), names::words(&e));
                let shown = &server.shown;
                writeln!(
                    io.out,
                    ";; Connection to {at}({shown}) for {typed} failed: {why}."
                )?;
                writeln!(io.out, ";; no servers could be reached")?;
                continue;
            }
        };
        return match read(&mut talk, query) {
            Ok((message, bytes, sent, began, messages)) => {
                let reply = Reply {
                    bytes,
                    sent,
                    took: began.elapsed(),
                };
                let (query, server) = (query.clone(), server.clone());
                Ok(Ended::Answered(Box::new(Answer {
                    query,
                    message,
                    reply,
                    server,
                    over,
                    messages,
                })))
            }
            Err(e) => {
                let at = names::hash_port(server.at);
                writeln!(
                    io.out,
                    ";; communications error to {at}: {}",
                    names::words(&e)
                )?;
                Ok(Ended::Silent)
            }
        };
    }
    Ok(Ended::Unsent)
}

fn read(
    talk: &mut Talk,
    query: &Message,
) -> std::io::Result<(Message, Vec<u8>, SystemTime, Instant, usize)> {
    let (sent, began) = (SystemTime::now(), Instant::now());
    let bad = |e: String| std::io::Error::new(std::io::ErrorKind::InvalidData, e);
    talk.send(&query.encode().map_err(|e| bad(e.to_string()))?)?;
    let incremental = query
        .questions
        .first()
        .is_some_and(|q| q.rtype == rtype::IXFR);
    let mut whole: Option<Message> = None;
    let (mut all, mut messages) = (Vec::new(), 0usize);
    for _ in 0..MAX_MESSAGES {
        let bytes = talk.receive()?;
        talk.patience();
        let mut next = Message::decode(&bytes).map_err(|e| bad(e.to_string()))?;
        if next.id != query.id {
            continue;
        }
        all.extend(bytes);
        messages += 1;
        let m = match &mut whole {
            None => whole.insert(next),
            Some(m) => {
                m.answers.append(&mut next.answers);
                m
            }
        };
        if m.rcode != 0 || ended(&m.answers, incremental) {
            break;
        }
    }
    let message = whole.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((message, all, sent, began, messages))
}

/// A transfer ends with the record it began with; one without changes has that record alone.
fn ended(records: &[Record], incremental: bool) -> bool {
    let serial = |r: &Record| match &r.data {
        Data::Soa(s) => Some(s.serial),
        _ => None,
    };
    let Some(first) = records.first().and_then(serial) else {
        return true;
    };
    let last = records.last().and_then(serial);
    match records.len() {
        1 => incremental,
        _ if incremental => {
            // Each sequence of changes begins with its own, older, SOA.
            let same = records.iter().filter(|r| serial(r) == Some(first)).count();
            let whole = records.get(1).and_then(serial).is_none();
            last == Some(first) && same >= if whole { 2 } else { 3 }
        }
        _ => last == Some(first),
    }
}
