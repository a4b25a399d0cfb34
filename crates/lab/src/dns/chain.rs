//! How a query passes the plugins of its server block, in the order that CoreDNS is built with,
//! whatever order the Corefile has: cache, template, hosts, kubernetes, loop, forward.

use super::corefile::{Block, Forward, Hosts, Template};
use super::zone::{Answered, Zone};
use crate::behave::resolve::{in_words, over_tcp, over_udp};
use crate::behave::{Random, say};
use netshoot_wire::dns::{
    CLASS_IN, Data, Edns, Message, Record, UDP_LIMIT, rcode, rtype, type_number, type_word,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one upstream may take; the next is asked as long as all together took less than 5 s.
const UPSTREAM: Duration = Duration::from_secs(2);
const ALL_UPSTREAMS: Duration = Duration::from_secs(5);
/// Answers kept.
const CACHED: usize = 4096;
/// How long an answer without any record is kept, seconds.
const CACHED_EMPTY: u32 = 5;

/// What a query was sent over; it is forwarded over the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// The server blocks at one moment, with the zone that each `kubernetes` sees.
#[derive(Debug, Default)]
pub struct Chain {
    /// Block, and the zone of its `kubernetes`.
    pub blocks: Vec<(Block, Option<Zone>)>,
}

/// Name, type, and how it was asked.
type Asked = (String, u16, Over);
/// When it came, how long it holds in seconds, and what it is.
type Cached = (Instant, u32, Message);

/// What outlives a reload: answers kept, and the name by which a loop is found.
#[derive(Debug, Default)]
pub struct Kept {
    answers: Mutex<BTreeMap<Asked, Cached>>,
    loop_name: Mutex<(String, u32)>,
}

impl PartialOrd for Over {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Over {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

impl Chain {
    /// The reply to a query that came to a port.
    pub fn answer(&self, query: &Message, over: Over, port: u16, kept: &Kept) -> Message {
        let mut reply = self.reply(query, over, port, kept);
        // CoreDNS gives back the size that it was offered, and DO.
        reply.edns = query.edns.as_ref().map(|e| Edns {
            udp_size: e.udp_size.max(UDP_LIMIT as u16),
            version: 0,
            dnssec_ok: e.dnssec_ok,
            ..Edns::default()
        });
        reply
    }

    fn reply(&self, query: &Message, over: Over, port: u16, kept: &Kept) -> Message {
        let Some(question) = query.questions.first().filter(|_| query.opcode == 0) else {
            return query.reply(if query.opcode == 0 {
                rcode::FORMERR
            } else {
                rcode::NOTIMP
            });
        };
        let lower = question.name.to_lowercase();
        let of_port = self.blocks.iter().filter(|(b, _)| b.port == port);
        let longest = of_port
            .filter_map(|found| {
                let zones = found.0.zones.iter().filter(|z| within(&lower, z));
                Some((zones.map(String::len).max()?, found))
            })
            .max_by_key(|(length, _)| *length);
        let Some((_, (block, zone))) = longest.filter(|_| question.class == CLASS_IN) else {
            return query.reply(rcode::REFUSED);
        };
        if block.log {
            say(format_args!(
                "[INFO] {} IN {}.",
                type_word(question.rtype),
                question.name
            ));
        }
        if let Some(reply) = from_template(&block.templates, query, &lower).or_else(|| {
            block
                .hosts
                .as_ref()
                .and_then(|h| from_hosts(h, query, &lower))
        }) {
            return reply;
        }
        match zone
            .as_ref()
            .map(|z| z.answer(&question.name, question.rtype))
        {
            Some(Answered::Here(found)) => {
                let mut reply = query.reply(found.rcode);
                reply.authoritative = true;
                reply.answers = found.answers;
                reply.authorities = found.authorities;
                reply.additional = found.additional;
                // The target of a CNAME goes through the whole chain again, as a query of its own.
                if let Some(target) = found.chase {
                    let asked = Message::query(query.id, &target, question.rtype);
                    let more = self.reply(&asked, over, port, kept);
                    reply.answers.extend(more.answers);
                }
                shuffle(&mut reply.answers);
                reply
            }
            _ => {
                if block.loops && question.rtype == HINFO {
                    kept.note_loop(&lower);
                }
                forwarded(block, query, &lower, over, kept)
            }
        }
    }

    /// Sends each upstream a query that nobody else would send; what comes back to this server
    /// has gone in a circle.
    pub fn look_for_loop(&self, kept: &Kept) -> bool {
        for (block, _) in self.blocks.iter().filter(|(b, _)| b.loops) {
            let mut random = Random::new(std::process::id().into());
            let name = format!("{}.{}", random.below(u64::MAX), random.below(u64::MAX));
            *lock(&kept.loop_name) = (name.clone(), 0);
            drop(forwarded(
                block,
                &Message::query(1, &name, HINFO),
                &name,
                Over::Udp,
                kept,
            ));
            if lock(&kept.loop_name).1 > 2 {
                return true;
            }
        }
        false
    }
}

/// Host information (RFC 1035), asked by nobody but the `loop` plugin.
const HINFO: u16 = 13;

impl Kept {
    fn note_loop(&self, name: &str) {
        let mut own = lock(&self.loop_name);
        if own.0 == name {
            own.1 += 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a name is a zone's or below it; both lower case, without the final dot.
fn within(name: &str, zone: &str) -> bool {
    zone.is_empty()
        || name == zone
        || name
            .strip_suffix(zone)
            .is_some_and(|rest| rest.ends_with('.'))
}

fn from_template(templates: &[Template], query: &Message, lower: &str) -> Option<Message> {
    let question = query.questions.first()?;
    let fits = |t: &&Template| {
        (t.kind == "ANY" || type_number(&t.kind) == Some(question.rtype))
            && t.zones.iter().any(|z| within(lower, z))
    };
    let template = templates.iter().find(fits)?;
    let code = (0..24).find(|c| netshoot_wire::dns::rcode_word(*c) == template.rcode);
    let mut reply = query.reply(code.unwrap_or(rcode::SERVFAIL));
    reply.authoritative = true;
    reply.answers = template
        .answers
        .iter()
        .filter(|(_, a)| of_type(*a, question.rtype))
        .map(|(ttl, a)| Record::new(question.name.clone(), *ttl, address(*a)))
        .collect();
    Some(reply)
}

fn from_hosts(hosts: &Hosts, query: &Message, lower: &str) -> Option<Message> {
    let question = query.questions.first()?;
    let own: Vec<IpAddr> = hosts
        .lines
        .iter()
        .filter(|(n, _)| n == lower)
        .map(|(_, a)| *a)
        .collect();
    if own.is_empty() && hosts.fallthrough {
        return None;
    }
    let mut reply = query.reply(if own.is_empty() {
        rcode::NXDOMAIN
    } else {
        rcode::NOERROR
    });
    reply.authoritative = true;
    let fitting = own.into_iter().filter(|a| of_type(*a, question.rtype));
    reply.answers = fitting
        .map(|a| Record::new(question.name.clone(), hosts.ttl, address(a)))
        .collect();
    Some(reply)
}

fn of_type(a: IpAddr, asked: u16) -> bool {
    asked == if a.is_ipv4() { rtype::A } else { rtype::AAAA }
}

fn address(a: IpAddr) -> Data {
    match a {
        IpAddr::V4(a) => Data::A(a),
        IpAddr::V6(a) => Data::Aaaa(a),
    }
}

fn forwarded(block: &Block, query: &Message, lower: &str, over: Over, kept: &Kept) -> Message {
    let fits = |f: &&Forward| within(lower, &f.from) && !f.except.iter().any(|z| within(lower, z));
    let asked = query.questions.first().map_or(0, |q| q.rtype);
    let failed = |why: String| {
        if block.errors {
            say(format_args!(
                "[ERROR] plugin/errors: 2 {lower}. {}: {why}",
                type_word(asked)
            ));
        }
        query.reply(rcode::SERVFAIL)
    };
    let Some(forward) = block.forwards.iter().find(fits) else {
        return failed("no next plugin found".into());
    };
    let key = (lower.to_string(), asked, over);
    if let Some(cached) = block.cache.and_then(|_| from_cache(&key, query, kept)) {
        return cached;
    }
    match ask(forward, query, over) {
        Ok(mut reply) => {
            reply.id = query.id;
            if let Some(cap) = block.cache {
                for record in reply.answers.iter_mut().chain(&mut reply.authorities) {
                    record.ttl = record.ttl.min(cap);
                }
                keep(key, &reply, kept);
            }
            reply
        }
        Err(why) => failed(why),
    }
}

/// One upstream after the other, beginning with any.
fn ask(forward: &Forward, query: &Message, over: Over) -> Result<Message, String> {
    let end = Instant::now() + ALL_UPSTREAMS;
    let first = Random::new(query.id.into()).below(forward.to.len() as u64) as usize;
    let mut why = "no upstream".to_string();
    for server in forward.to.iter().cycle().skip(first).take(forward.to.len()) {
        let until = end.min(Instant::now() + UPSTREAM);
        match exchange(
            *server,
            query,
            over == Over::Tcp || forward.force_tcp,
            until,
        ) {
            Ok(reply) => return Ok(reply),
            Err(e) => why = e,
        }
        if Instant::now() >= end {
            break;
        }
    }
    Err(why)
}

fn exchange(
    server: SocketAddr,
    query: &Message,
    tcp: bool,
    until: Instant,
) -> Result<Message, String> {
    let kind = if tcp { "tcp" } else { "udp" };
    let asked = if tcp {
        over_tcp(server, query, until)
    } else {
        over_udp(server, std::slice::from_ref(query), until).and_then(|replies| {
            replies
                .into_iter()
                .next()
                .ok_or(std::io::ErrorKind::TimedOut.into())
        })
    };
    asked.map_err(|e| format!("read {kind} {server}: {}", in_words(&e)))
}

fn from_cache(key: &Asked, query: &Message, kept: &Kept) -> Option<Message> {
    let answers = lock(&kept.answers);
    let (at, ttl, reply) = answers.get(key)?;
    let age = u32::try_from(at.elapsed().as_secs())
        .ok()
        .filter(|age| age < ttl)?;
    let mut reply = Message {
        id: query.id,
        recursion_desired: query.recursion_desired,
        ..reply.clone()
    };
    reply.questions.clone_from(&query.questions);
    for record in reply.answers.iter_mut().chain(&mut reply.authorities) {
        record.ttl = record.ttl.saturating_sub(age);
    }
    Some(reply)
}

fn keep(key: Asked, reply: &Message, kept: &Kept) {
    if reply.truncated || ![rcode::NOERROR, rcode::NXDOMAIN].contains(&reply.rcode) {
        return;
    }
    let shortest = reply
        .answers
        .iter()
        .chain(&reply.authorities)
        .map(|r| r.ttl)
        .min();
    let mut answers = lock(&kept.answers);
    if answers.len() >= CACHED {
        answers.clear();
    }
    answers.insert(
        key,
        (
            Instant::now(),
            shortest.unwrap_or(CACHED_EMPTY),
            reply.clone(),
        ),
    );
}

/// `loadbalance`: addresses in a random order, behind what leads to them.
fn shuffle(answers: &mut [Record]) {
    let is_address = |r: &Record| r.data.address().is_some();
    let Some(first) = answers.iter().position(is_address) else {
        return;
    };
    let (_, addresses) = answers.split_at_mut(first);
    let mut random = Random::new(addresses.len() as u64);
    for last in (1..addresses.len()).rev() {
        addresses.swap(last, random.below(last as u64 + 1) as usize);
    }
}

/// Bytes of a reply that fits: records that are too many are left out from the end, and TC is set.
pub fn fit(reply: &Message, limit: usize) -> Vec<u8> {
    let whole = reply.encode().unwrap_or_default();
    if whole.len() <= limit {
        return whole;
    }
    let with = |n: usize| {
        let part = Message {
            truncated: true,
            answers: reply.answers.iter().take(n).cloned().collect(),
            additional: Vec::new(),
            ..reply.clone()
        };
        part.encode().unwrap_or_default()
    };
    // The largest number that fits; sizes grow with it.
    let (mut fits, mut over) = (0, reply.answers.len() + 1);
    while over - fits > 1 {
        let middle = fits + (over - fits) / 2;
        if with(middle).len() <= limit {
            fits = middle
        } else {
            over = middle
        }
    }
    with(fits)
}
