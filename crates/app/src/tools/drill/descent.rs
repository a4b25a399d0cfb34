//! `-T` with `-D` or `-k`: from the root down, each zone's keys held against what is trusted.

use super::chase::{Keys, words};
use super::page::{data, line};
use super::{Said, Stop, Wish, ask, query, stop, trace};
use crate::io::Io;
use crate::tools::names::{self, Server};
use anyhow::Result;
use netshoot_host::dns::seal::Seal;
use netshoot_wire::dns::dnssec::{Ds, Key, Set, Signature, denial, lower, parent, sets};
use netshoot_wire::dns::text::shown_name;
use netshoot_wire::dns::{Data, Message, Record, rtype, type_word};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// `LDNS_STATUS_CRYPTO_NO_MATCHING_KEYTAG_DNSKEY`.
const NO_MATCH: &str = "No keys with the keytag and algorithm from the RRSIG found";
/// What drill ends with where the answer is bogus.
const BOGUS: i32 = 5;

/// What is known of a zone's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// A trusted key is above them.
    Trusted,
    /// They sign themselves, no more.
    Signed,
    /// What they sign does not hold.
    Bogus,
    /// There are none.
    Unsigned,
}

impl Trust {
    fn mark(self) -> &'static str {
        match self {
            Trust::Trusted => "[T]",
            Trust::Signed => "[S]",
            Trust::Bogus => "[B]",
            Trust::Unsigned => "[U]",
        }
    }
}

/// Whether keys hold a set; else in which words not.
fn holds(set: &Set, keys: &[Record], now: u32) -> std::result::Result<(), &'static str> {
    let mut why = NO_MATCH;
    for s in set
        .signatures
        .iter()
        .filter_map(|s| Signature::read(s).ok())
    {
        for own in keys.iter().filter(|k| lower(&k.name) == lower(&s.signer)) {
            let Some(key) = Key::read(own) else { continue };
            if (key.tag, key.algorithm) != (s.tag, s.algorithm) {
                continue;
            }
            match s.holds(set, &key, now, &Seal) {
                Ok(()) => return Ok(()),
                Err(fault) => why = words(fault).1,
            }
        }
    }
    Err(why)
}

/// The way down, and what is known where it stands.
struct Descent<'a> {
    w: &'a Wish,
    now: u32,
    servers: Vec<Server>,
    /// Keys and delegations that are believed.
    trusted: Keys,
    /// The keys of the zone that it stands in.
    keys: Vec<Record>,
    trust: Trust,
}

impl Descent<'_> {
    fn ask(&self, name: &str, kind: u16) -> std::result::Result<Message, &'static str> {
        let mut q = query(self.w, name, kind);
        q.recursion_desired = false;
        ask(self.w, &self.servers, &q, self.w.tcp).map(|found| found.1)
    }

    fn believed(&self, record: &Record) -> bool {
        let Some(key) = Key::read(record) else {
            return false;
        };
        self.trusted.iter().any(|own| {
            let same = lower(&own.name) == lower(&record.name);
            same && match own.rtype {
                rtype::DS => Ds::read(own).is_some_and(|d| d.is_of(&record.name, &key, &Seal)),
                _ => own.raw() == record.raw(),
            }
        })
    }

    /// Looks at the keys of a zone; where it has none, what is above goes on to count.
    fn zone(&mut self, name: &str, io: &mut Io<'_>) -> Said<()> {
        let shown = shown_name(name);
        writeln!(io.out, ";; Domain: {shown}")?;
        let message = match self.ask(name, rtype::DNSKEY) {
            Ok(message) => message,
            Err(why) => return stop(io, &format!("Error sending query: {why}")),
        };
        let Some(set) = of(&message.answers, name, rtype::DNSKEY) else {
            writeln!(io.out, ";; No DNSKEY record found for {shown}")?;
            return Ok(Ok(()));
        };
        let own = holds(&set, &set.records, self.now).is_ok();
        let above = set.records.iter().any(|r| self.believed(r));
        self.trust = match (own, above) {
            (true, true) => Trust::Trusted,
            (true, false) => Trust::Signed,
            (false, _) => Trust::Bogus,
        };
        self.keys = if own { set.records.clone() } else { vec![] };
        if self.trust == Trust::Signed {
            writeln!(
                io.out,
                ";; Signature ok but no chain to a trusted key or ds record"
            )?;
        }
        if self.trust == Trust::Trusted {
            self.trusted.extend(set.records.iter().cloned());
        }
        let lines = sorted(&set).into_iter().map(|r| {
            let Some(key) = Key::read(r) else {
                return line(r);
            };
            let raw = r.raw();
            let protocol = raw.get(2).copied().unwrap_or(0);
            let behind = data(r, true);
            let behind = behind.split_once(" ;").map_or("", |b| b.1);
            let (ttl, flags, algorithm) = (r.ttl, key.flags, key.algorithm);
            format!("{shown} {ttl} IN DNSKEY {flags} {protocol} {algorithm} ;{behind}")
        });
        show(self.trust, lines, io)?;
        Ok(Ok(()))
    }

    /// What the zone says of the keys of the one below it; nothing where the name below is only part of longer ones.
    /// Behind such a one it speaks only where there is something to say.
    fn delegation(
        &mut self,
        name: &str,
        last: bool,
        behind_nothing: bool,
        io: &mut Io<'_>,
    ) -> Said<bool> {
        let shown = shown_name(name);
        let message = match self.ask(name, rtype::DS) {
            Ok(message) => message,
            Err(why) => return stop(io, &format!("Error sending query: {why}")),
        };
        if let Some(set) = of(&message.answers, name, rtype::DS) {
            let trust = self.judged(&set).0;
            let lines = sorted(&set).into_iter().map(|r| {
                let (ttl, says) = (r.ttl, data(r, false).to_lowercase());
                format!("{shown} {ttl} IN DS {says} ")
            });
            show(trust, lines, io)?;
            if trust == Trust::Trusted {
                self.trusted.extend(set.records);
            }
            return Ok(Ok(true));
        }
        if let Some(set) = of(&message.answers, name, rtype::CNAME) {
            match holds(&set, &self.keys, self.now) {
                Ok(()) => writeln!(io.out, ";; No DS record found for {shown}, but valid CNAME")?,
                Err(_) => writeln!(
                    io.out,
                    "[B] Unable to verify denial of existence for {shown}, because of BOGUS CNAME"
                )?,
            }
            return Ok(Ok(true));
        }
        let denied = self.denied(&message, name, rtype::DS);
        if behind_nothing && !matches!(denied, Some(Err(_))) {
            return Ok(Ok(true));
        }
        match denied {
            Some(Ok(())) => {
                let mark = self.trust.mark();
                writeln!(io.out, "{mark} Existence denied: {shown} DS")?;
            }
            Some(Err(why)) => writeln!(
                io.out,
                "[B] Error verifying denial of existence for {shown} DS: {why}"
            )?,
            None => write!(io.out, ";; No DS for {shown}")?,
        }
        writeln!(io.out, ";; No ds record for delegation")?;
        if last {
            return Ok(Ok(true));
        }
        let message = match self.ask(name, rtype::NS) {
            Ok(message) => message,
            Err(why) => return stop(io, &format!("Error sending query: {why}")),
        };
        if let Some(Ok(())) = self.denied(&message, name, rtype::NS) {
            let mark = self.trust.mark();
            writeln!(io.out, "{mark} Existence denied: {shown} NS")?;
            writeln!(io.out, ";; There is an empty non-terminal here, continue")?;
            return Ok(Ok(false));
        }
        Ok(Ok(true))
    }

    /// What a set is worth, signed by the zone's keys.
    fn judged(&self, set: &Set) -> (Trust, &'static str) {
        if self.trust == Trust::Unsigned || set.signatures.is_empty() {
            return (Trust::Unsigned, "");
        }
        match holds(set, &self.keys, self.now) {
            Ok(()) => (self.trust, ""),
            Err(why) => (Trust::Bogus, why),
        }
    }

    /// Whether a message proves that there is nothing; none where nothing in it is signed.
    fn denied(
        &self,
        message: &Message,
        name: &str,
        kind: u16,
    ) -> Option<std::result::Result<(), &'static str>> {
        let all = sets(&message.authorities);
        let says = |s: &&Set| [rtype::NSEC, rtype::NSEC3].contains(&s.rtype);
        let all: Vec<&Set> = all.iter().filter(says).collect();
        if all.is_empty() {
            return None;
        }
        for set in &all {
            if let Err(why) = holds(set, &self.keys, self.now) {
                return Some(Err(why));
            }
        }
        match denial::proof(&all, name, kind, &Seal) {
            denial::Proof::Nothing => Some(Err("RR for name and type not found")),
            _ => Some(Ok(())),
        }
    }

    /// Goes to the servers of a zone below, where there are others.
    fn down(&mut self, name: &str) {
        let Ok(message) = self.ask(name, rtype::NS) else {
            return;
        };
        let known = message.answers.iter().chain(&message.authorities);
        let of_it = known.filter(|r| lower(&r.name) == lower(name));
        let hosts: Vec<String> = of_it
            .filter_map(|r| match &r.data {
                Data::Ns(to) => Some(to.clone()),
                _ => None,
            })
            .collect();
        let mut next = Vec::new();
        for to in &hosts {
            let glue = message.additional.iter();
            let glue = glue.filter(|r| lower(&r.name) == lower(to));
            let glue: Vec<Server> = glue
                .filter_map(|r| r.data.address())
                .map(|ip| Server {
                    at: SocketAddr::new(ip, self.w.port),
                    shown: ip.to_string(),
                })
                .collect();
            match glue.is_empty() {
                false => next.extend(glue),
                true => next
                    .extend(names::find_server(to, self.w.family, self.w.port).unwrap_or_default()),
            }
        }
        next.retain(|s| self.w.family.takes(s.at.ip()));
        if !next.is_empty() {
            self.servers = next;
        }
    }

    fn answer(&self, name: &str, kind: u16, io: &mut Io<'_>) -> Said<()> {
        let message = match self.ask(name, kind) {
            Ok(message) => message,
            Err(why) => return stop(io, &format!("Error sending query: {why}")),
        };
        let (shown, word) = (shown_name(name), type_word(kind));
        if let Some(set) = of(&message.answers, name, kind) {
            let (trust, why) = self.judged(&set);
            show(trust, sorted(&set).into_iter().map(line), io)?;
            if trust == Trust::Bogus {
                writeln!(io.out, ";; Error: {why}")?;
                return Ok(Err(Stop(BOGUS)));
            }
            return Ok(Ok(()));
        }
        match self.denied(&message, name, kind) {
            Some(Ok(())) if message.answers.is_empty() => {
                let mark = self.trust.mark();
                writeln!(io.out, "{mark} Existence denied: {shown} {word}")?;
            }
            Some(Err(why)) => {
                writeln!(
                    io.out,
                    "[B] Error verifying denial of existence for {shown} {word}: {why}"
                )?;
                return Ok(Err(Stop(BOGUS)));
            }
            _ => writeln!(io.out, "[U] No data found for: {shown} type {word}")?,
        }
        Ok(Ok(()))
    }
}

fn of(section: &[Record], name: &str, kind: u16) -> Option<Set> {
    let same = |s: &Set| s.rtype == kind && lower(&s.name) == lower(name);
    sets(section).into_iter().find(same)
}

/// In the order that signatures have.
fn sorted(set: &Set) -> Vec<&Record> {
    let mut all: Vec<&Record> = set.records.iter().collect();
    all.sort_by_key(|r| r.raw());
    all
}

/// The first line is marked.
fn show(trust: Trust, lines: impl Iterator<Item = String>, io: &mut Io<'_>) -> Result<()> {
    for (at, one) in lines.enumerate() {
        let mark = if at == 0 { trust.mark() } else { "" };
        let between = if at == 0 { " " } else { "" };
        writeln!(io.out, "{mark}{between}{one}")?;
    }
    Ok(())
}

/// Goes down.
pub fn run(w: &Wish, keys: &Keys, io: &mut Io<'_>) -> Said<()> {
    let servers = match trace::root(w, io)? {
        Ok(servers) => servers,
        Err(e) => return Ok(Err(e)),
    };
    if names::name_is_wrong(&w.name).is_some() {
        return stop(io, "Error: error in making qname");
    }
    match keys.len() {
        0 => writeln!(
            io.out,
            ";; No trusted keys were given. Will not be able to verify authenticity!"
        )?,
        n => writeln!(io.out, ";; Number of trusted keys: {n}")?,
    }
    let (name, kind) = (w.name.trim_end_matches('.'), w.kind.unwrap_or(rtype::A));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut descent = Descent {
        w,
        now: now.map_or(0, |d| d.as_secs()) as u32, // times of signatures wrap as well
        servers,
        trusted: keys.clone(),
        keys: vec![],
        trust: Trust::Unsigned,
    };
    if let Err(e) = descent.zone("", io)? {
        return Ok(Err(e));
    }
    let mut way: Vec<String> =
        std::iter::successors(Some(lower(name)), |n| parent(n).map(|p| lower(&p))).collect();
    way.retain(|n| !n.is_empty());
    let mut behind_nothing = false;
    while let Some(below) = way.pop() {
        let last = way.is_empty();
        // What delegates to a zone stands above it, and is the answer.
        if last && kind == rtype::DS {
            break;
        }
        match descent.delegation(&below, last, behind_nothing, io)? {
            Err(e) => return Ok(Err(e)),
            Ok(false) => {
                behind_nothing = true;
                continue;
            }
            Ok(true) => behind_nothing = false,
        }
        descent.down(&below);
        if let Err(e) = descent.zone(&below, io)? {
            return Ok(Err(e));
        }
    }
    let ended = descent.answer(name, kind, io)?;
    writeln!(
        io.out,
        ";;[S] self sig OK; [B] bogus; [T] trusted; [U] unsigned"
    )?;
    Ok(ended)
}
