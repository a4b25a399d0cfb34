//! `-S`: from an answer up to a trusted key, as a tree; `-k`: an answer against keys that are given.

use super::{Said, Stop, Wish, ask, data, line, query, servers, stop};
use crate::io::Io;
use crate::tools::names::{self, Server};
use anyhow::Result;
use netshoot_host::dns::seal::Seal;
use netshoot_wire::dns::dnssec::{Ds, Fault, Key, Set, Signature, denial, lower, sets};
use netshoot_wire::dns::text::shown_name;
use netshoot_wire::dns::{self, Data, Message, Record, rtype, type_word};
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where Debian keeps the root's keys for ldns.
const ROOT_KEYS: &str = "/usr/share/dns/root.key";
/// Zones are no deeper than names have labels.
const MOST_ZONES: usize = 128;
/// `LDNS_STATUS_CRYPTO_NO_DNSKEY`, and its words.
const NO_KEY: (i32, &str) = (29, "No DNSSEC public key(s)");

/// Keys that are trusted: DNSKEY or DS records.
pub type Keys = Vec<Record>;

/// Reads DNSKEY and DS records, one a line.
pub fn parse(text: &str) -> Option<Keys> {
    let mut all = Keys::new();
    for line in text.lines().map(|l| l.split(';').next().unwrap_or("")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, rest @ ..] = words.as_slice() else {
            continue;
        };
        let at = rest.iter().position(|w| *w == "DNSKEY" || *w == "DS")?;
        let [kind, a, b, c, more @ ..] = rest.get(at..)? else {
            return None;
        };
        let mut raw = a.parse::<u16>().ok()?.to_be_bytes().to_vec();
        raw.extend([b.parse::<u8>().ok()?, c.parse::<u8>().ok()?]);
        let kind = match *kind {
            "DS" => {
                raw.extend(dns::digits::from_hex(&more.concat())?);
                rtype::DS
            }
            _ => {
                raw.extend(dns::digits::from_base64(&more.concat())?);
                rtype::DNSKEY
            }
        };
        let ttl = rest.get(..at)?.iter().find_map(|w| w.parse().ok());
        let mut record = Record::new(
            name.trim_end_matches('.'),
            ttl.unwrap_or(3600),
            Data::Other(raw),
        );
        record.rtype = kind;
        all.push(record);
    }
    (!all.is_empty()).then_some(all)
}

/// The keys of `-k`, or the root's.
pub fn trusted(w: &Wish, io: &mut Io<'_>) -> Said<Keys> {
    let Some(file) = &w.keys else {
        let own = std::fs::read_to_string(ROOT_KEYS).ok();
        return Ok(Ok(own.and_then(|t| parse(&t)).unwrap_or_default()));
    };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) => {
            let why = netshoot_host::sockets::strerror(&e);
            writeln!(io.err, "Error opening {file}: {why}")?;
            String::new()
        }
    };
    match parse(&text) {
        Some(keys) => Ok(Ok(keys)),
        None => stop(
            io,
            &format!("Error: Could not parse the key file {file}: General LDNS error"),
        ),
    }
}

/// What was wrong with a signature: the set, the signature and the key.
struct Wrong {
    fault: Fault,
    set: Set,
    signature: Record,
    key: Record,
}

/// A branch.
struct Node {
    shows: String,
    /// It is one of the keys that are trusted.
    trusted: bool,
    wrong: Option<Wrong>,
    below: Vec<Node>,
}

/// A status of ldns, and its words.
pub fn words(fault: Fault) -> (i32, &'static str) {
    match fault {
        Fault::Expired => (36, "DNSSEC signature has expired"),
        Fault::Early => (37, "DNSSEC signature has future inception date"),
        Fault::Wrong => (35, "Bogus DNSSEC signature"),
        Fault::Unknown => (22, "Unknown cryptographic algorithm"),
    }
}

struct Climb<'a> {
    w: &'a Wish,
    servers: &'a [Server],
    keys: &'a Keys,
    now: u32,
    known: HashMap<(String, u16), Option<Message>>,
}

impl Climb<'_> {
    fn ask(&mut self, name: &str, kind: u16) -> Option<Message> {
        let key = (lower(name), kind);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let q = query(self.w, name, kind);
        let found = ask(self.w, self.servers, &q, self.w.tcp).ok().map(|f| f.1);
        self.known.insert(key, found.clone());
        found
    }

    fn set(&mut self, name: &str, kind: u16) -> Option<Set> {
        let message = self.ask(name, kind)?;
        let all = sets(&message.answers);
        all.into_iter()
            .find(|s| s.rtype == kind && lower(&s.name) == lower(name))
    }

    fn is_trusted(&self, record: &Record) -> bool {
        let Some(key) = Key::read(record) else {
            return false;
        };
        self.keys.iter().any(|own| {
            let same = lower(&own.name) == lower(&record.name);
            same && match own.rtype {
                rtype::DS => Ds::read(own).is_some_and(|d| d.is_of(&record.name, &key, &Seal)),
                _ => own.raw() == record.raw(),
            }
        })
    }

    /// The key that made a signature, and what hangs below it.
    fn key(&mut self, set: &Set, signature: &Record, keys: &Set, depth: usize) -> Option<Node> {
        let s = Signature::read(signature).ok()?;
        let own = keys
            .records
            .iter()
            .find(|r| Key::read(r).is_some_and(|k| (k.tag, k.algorithm) == (s.tag, s.algorithm)))?;
        let key = Key::read(own)?;
        let wrong = s.holds(set, &key, self.now, &Seal).err();
        let (name, flags) = (shown_name(&own.name), key.flags);
        let (tag, algorithm) = (key.tag, key.algorithm);
        let entry = set.rtype == rtype::DNSKEY;
        let below = match entry {
            true => vec![],
            false => self.entries(keys, Some(tag), depth),
        };
        Some(Node {
            shows: format!("{name} (DNSKEY keytag: {tag} alg: {algorithm} flags: {flags})"),
            trusted: self.is_trusted(own),
            wrong: wrong.map(|fault| Wrong {
                fault,
                set: set.clone(),
                signature: signature.clone(),
                key: own.clone(),
            }),
            below,
        })
    }

    /// Who signed a zone's keys, but for the one below which this hangs, and what the parent says of them.
    fn entries(&mut self, keys: &Set, but: Option<u16>, depth: usize) -> Vec<Node> {
        let mut all = Vec::new();
        for signature in &keys.signatures {
            let Ok(s) = Signature::read(signature) else {
                continue;
            };
            let entry = keys.records.iter().filter_map(Key::read);
            let entry = entry.filter(|k| k.tag == s.tag).any(|k| k.flags & 1 == 1);
            if Some(s.tag) == but || but.is_none() && !entry {
                continue;
            }
            all.extend(self.key(keys, signature, keys, depth));
        }
        if lower(&keys.name).is_empty() || depth > MOST_ZONES {
            return all;
        }
        let Some(set) = self.set(&keys.name, rtype::DS) else {
            return all;
        };
        let own: Vec<Key> = keys.records.iter().filter_map(Key::read).collect();
        for ds in set.records.iter().filter_map(Ds::read) {
            if !own.iter().any(|k| ds.is_of(&keys.name, k, &Seal)) {
                continue;
            }
            let (name, tag, kind) = (shown_name(&set.name), ds.tag, ds.kind);
            all.push(Node {
                shows: format!("{name} (DS keytag: {tag} digest type: {kind})"),
                trusted: false,
                wrong: None,
                below: self.signers(&set, depth + 1),
            });
        }
        all
    }

    /// Who signed a set.
    fn signers(&mut self, set: &Set, depth: usize) -> Vec<Node> {
        if set.rtype == rtype::DNSKEY {
            return self.entries(set, None, depth);
        }
        let mut all = Vec::new();
        for signature in &set.signatures {
            let Ok(s) = Signature::read(signature) else {
                continue;
            };
            if let Some(keys) = self.set(&s.signer, rtype::DNSKEY) {
                all.extend(self.key(set, signature, &keys, depth));
            }
        }
        all
    }
}

/// Whether a trusted key is reached; what is wrong first.
fn reached(node: &Node) -> std::result::Result<(), (i32, &'static str)> {
    let mut first = None;
    let mut good = node.trusted;
    for below in node.below.iter().filter(|_| !node.trusted) {
        match reached(below) {
            Ok(()) => good = true,
            Err(e) => {
                first.get_or_insert(e);
            }
        }
    }
    match (&node.wrong, good) {
        (Some(wrong), true) => Err(words(wrong.fault)),
        (None, true) => Ok(()),
        _ => Err(first.unwrap_or(NO_KEY)),
    }
}

fn show(nodes: &[Node], before: &str, io: &mut Io<'_>) -> Result<()> {
    for (n, node) in nodes.iter().enumerate() {
        if let Some(wrong) = &node.wrong {
            writeln!(io.out, "{before}|---{}:", words(wrong.fault).1)?;
            writeln!(io.out, "{}\nFor RRset:", line(&wrong.signature))?;
            for r in &wrong.set.records {
                writeln!(io.out, "{}", line(r))?;
            }
            writeln!(io.out, "With key:\n{}", line(&wrong.key))?;
        }
        for part in node.shows.lines() {
            writeln!(io.out, "{before}|---{part}")?;
        }
        let more = if n + 1 < nodes.len() && before.is_empty() && denies(node) {
            "|   "
        } else {
            "    "
        };
        show(&node.below, &format!("{before}{more}"), io)?;
    }
    Ok(())
}

fn denies(node: &Node) -> bool {
    node.shows.starts_with("Existence is denied")
}

/// Climbs.
pub fn run(w: &Wish, keys: &Keys, io: &mut Io<'_>) -> Said<()> {
    let servers = match servers(w, io)? {
        Ok(servers) => servers,
        Err(e) => return Ok(Err(e)),
    };
    let (name, kind) = (w.name.clone(), w.kind.unwrap_or(rtype::A));
    if names::name_is_wrong(&name).is_some() {
        return stop(io, "Error: error in making qname");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut climb = Climb {
        w,
        servers: &servers,
        keys,
        now: now.map_or(0, |d| d.as_secs()) as u32, // times of signatures wrap as well
        known: HashMap::new(),
    };
    let q = query(w, &name, kind);
    let message = match ask(w, &servers, &q, w.tcp) {
        Ok((_, message, _)) => message,
        Err(why) => return stop(io, &format!("Error: error sending query: {why}")),
    };
    let (shown, word) = (shown_name(name.trim_end_matches('.')), type_word(kind));
    writeln!(io.out, ";; Chasing: {shown} {word}\n\n\nDNSSEC Trust tree:")?;
    let all = sets(&message.answers);
    let own = all.iter().filter(|s| lower(&s.name) == lower(&name));
    let own = own
        .filter(|s| s.rtype == kind || s.rtype == rtype::CNAME)
        .find(|s| !s.signatures.is_empty());
    let (root, denied) = match own {
        Some(set) => {
            let root = Node {
                shows: format!("{shown} ({})", type_word(set.rtype)),
                trusted: false,
                wrong: None,
                below: climb.signers(set, 0),
            };
            (root, false)
        }
        None => (nothing(&mut climb, &message, &shown, &word), true),
    };
    let denies_nothing = denied && root.below.is_empty();
    if denies_nothing {
        writeln!(io.out, "<no data>")?;
    } else {
        writeln!(io.out, "{}", root.shows)?;
        show(&root.below, "", io)?;
    }
    let plain = root.below.iter().any(|n| n.shows.contains("(NSEC "));
    let ended = match denied {
        true => root.below.iter().try_for_each(reached),
        false => reached(&root),
    };
    match ended {
        Ok(()) if !denies_nothing => {
            if plain {
                writeln!(io.out, "Existence denied or verifiably insecure")?;
            }
            writeln!(io.out, ";; Chase successful")?;
            Ok(Ok(()))
        }
        ended => {
            let (code, why) = ended.err().unwrap_or(NO_KEY);
            writeln!(
                io.out,
                "No trusted keys found in tree: first error was: {why}"
            )?;
            writeln!(io.out, ";; Chase failed.")?;
            Ok(Err(Stop(code)))
        }
    }
}

/// The sets that say that there is nothing.
fn nothing(climb: &mut Climb<'_>, message: &Message, shown: &str, word: &str) -> Node {
    let mut below = Vec::new();
    let all = sets(&message.authorities);
    let own: Vec<&Set> = all.iter().collect();
    let kind = climb.w.kind.unwrap_or(rtype::A);
    let says = denial::proof(&own, &climb.w.name, kind, &Seal);
    for set in all.iter().filter(|_| says != denial::Proof::Nothing) {
        let what = match set.rtype {
            rtype::NSEC => {
                let own = set.records.first().map(|r| data(r, false));
                format!("(NSEC {})", own.unwrap_or_default())
            }
            rtype::NSEC3 => "(NSEC3)".to_string(),
            _ => continue,
        };
        let name = shown_name(&set.name);
        below.push(Node {
            shows: format!("Existence is denied by:\n{name} {what}"),
            trusted: false,
            wrong: None,
            below: climb.signers(set, 0),
        });
    }
    Node {
        shows: format!("{shown} ({word})"),
        trusted: false,
        wrong: None,
        below,
    }
}

/// Holds the answer against the keys that were given.
pub fn check(w: &Wish, keys: &[Record], message: &Message, io: &mut Io<'_>) -> Said<()> {
    let kind = w.kind.unwrap_or(rtype::A);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |d| d.as_secs()) as u32; // times of signatures wrap as well
    let all = sets(&message.answers);
    let own = |s: &&Set| s.rtype == kind && lower(&s.name) == lower(&w.name);
    if let Some(set) = all.iter().find(own) {
        for r in &set.records {
            writeln!(io.out, "; {}", line(r))?;
        }
        let mut tried = None;
        for record in &set.signatures {
            let Ok(s) = Signature::read(record) else {
                continue;
            };
            for own in keys {
                let Some(key) = Key::read(own) else { continue };
                let owner = shown_name(&own.name);
                let what = format!("id = {}, owner = {owner}", key.tag);
                if (key.tag, key.algorithm) != (s.tag, s.algorithm) || lower(&own.name) != s.signer
                {
                    let none = "No keys with the keytag and algorithm from the RRSIG found";
                    tried.get_or_insert((33, format!("; {none} for {what}")));
                    continue;
                }
                match s.holds(set, &key, now, &Seal) {
                    Ok(()) => {
                        writeln!(io.out, "; VALIDATED by {what}")?;
                        return Ok(Ok(()));
                    }
                    Err(fault) => {
                        let (code, why) = words(fault);
                        tried = Some((code, format!("; {why} for {what}")));
                    }
                }
            }
        }
        if let Some((code, says)) = tried {
            writeln!(io.out, "{says}")?;
            return Ok(Err(Stop(code)));
        }
    } else {
        let authority = sets(&message.authorities);
        let holds = |set: &&Set| {
            let signed = set
                .signatures
                .iter()
                .filter_map(|r| Signature::read(r).ok());
            let known = keys.iter().filter_map(Key::read);
            let known: Vec<Key> = known.collect();
            let mut by = signed.flat_map(|s| known.iter().map(move |k| (s.clone(), k)));
            by.any(|(s, k)| s.tag == k.tag && s.holds(set, k, now, &Seal).is_ok())
        };
        let own: Vec<&Set> = authority.iter().filter(holds).collect();
        let says = denial::proof(&own, &w.name, kind, &Seal);
        if !matches!(says, denial::Proof::Nothing) {
            let name = shown_name(w.name.trim_end_matches('.'));
            writeln!(io.out, "; Existence denied for {name}\t{}", type_word(kind))?;
            return Ok(Ok(()));
        }
    }
    let bad = "Bad data; RR for name and type not found or failed to verify, and denial of existence failed.";
    writeln!(io.out, "{bad}")?;
    Ok(Err(Stop(28)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_key_files_are_refused_or_read() {
        let seed = "; a remark\n. 3600 IN DNSKEY 257 3 13 a3EcQDNb8+mzzbfAZLJLxrSDqOwla5yt92G6S3mOlE1EVRy8bMaXHpvV Cn75PvpxJs/eZtZhtlCbZlitSUimyg==\ntest. IN DS 60272 13 2 602AD6FD 4CDDE1FC\n";
        assert_eq!(parse(seed).map(|k| k.len()), Some(2));
        assert_eq!(parse("; nothing\n"), None);
        netshoot_wire::fuzz::texts(&[seed], 5_000, |text| {
            for record in parse(text).unwrap_or_default() {
                assert!([rtype::DS, rtype::DNSKEY].contains(&record.rtype));
            }
        });
    }
}
