//! Zone transfers (RFC 5936, RFC 1995): many messages that belong together.

use super::names::{self, Answer, Asking, Ended, Server};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::dns::talk::{Over, Reply, Route, Talk};
use netshoot_host::dns::tsig::{Fault, Key};
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
            Err(e) if names::untrusted(io, server, &e)? => return Ok(Ended::Untrusted),
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
        return match read(&mut talk, query, how) {
            Ok((message, bytes, sent, began, messages, fault)) => {
                if let Some(fault) = fault {
                    let why = fault.words();
                    writeln!(io.out, ";; Couldn't verify signature: {why}")?;
                }
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
                    unsigned: fault.is_some(),
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

type Transferred = (Message, Vec<u8>, SystemTime, Instant, usize, Option<Fault>);

fn read(talk: &mut Talk, query: &Message, how: &Asking) -> std::io::Result<Transferred> {
    let (sent, began) = (SystemTime::now(), Instant::now());
    let bad = |e: String| std::io::Error::new(std::io::ErrorKind::InvalidData, e);
    talk.send(&query.encode().map_err(|e| bad(e.to_string()))?)?;
    let incremental = query
        .questions
        .first()
        .is_some_and(|q| q.rtype == rtype::IXFR);
    let mut whole: Option<Message> = None;
    let (mut all, mut messages) = (Vec::new(), 0usize);
    let mut chain = how.key.as_ref().map(|(key, mac)| Signed {
        key,
        before: mac.clone(),
        waiting: Vec::new(),
        first: true,
    });
    let mut fault = None;
    for _ in 0..MAX_MESSAGES {
        let bytes = talk.receive()?;
        talk.patience();
        let mut next = Message::decode(&bytes).map_err(|e| bad(e.to_string()))?;
        if next.id != query.id {
            continue;
        }
        if let Some(Err(e)) = chain.as_mut().map(|c| c.take(&bytes)) {
            (fault, chain) = (Some(e), None);
        }
        all.extend(bytes);
        messages += 1;
        let m = match &mut whole {
            None => whole.insert(next),
            Some(m) => {
                m.answers.append(&mut next.answers);
                m.additional.append(&mut next.additional);
                m
            }
        };
        if m.rcode != 0 || ended(&m.answers, incremental) {
            break;
        }
    }
    let message = whole.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    // The last message is signed, whatever is between (RFC 8945, 5.3.1).
    if chain.is_some_and(|c| !c.waiting.is_empty()) {
        fault = Some(Fault::Missing);
    }
    Ok((message, all, sent, began, messages, fault))
}

/// The signatures of many messages, each of which signs the one before.
struct Signed<'k> {
    key: &'k Key,
    before: Vec<u8>,
    /// Messages without a signature of their own.
    waiting: Vec<u8>,
    first: bool,
}

impl Signed<'_> {
    fn take(&mut self, bytes: &[u8]) -> std::result::Result<(), Fault> {
        match self
            .key
            .verify_with(&self.waiting, bytes, &self.before, !self.first)
        {
            Ok(mac) => {
                (self.before, self.first) = (mac, false);
                self.waiting.clear();
                Ok(())
            }
            Err(Fault::Missing) if !self.first => {
                self.waiting.extend(bytes);
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }
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
