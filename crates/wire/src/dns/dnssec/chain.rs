//! From trusted keys down to an answer (RFC 4035, 5): which keys and delegations have to be asked for, and what holds in the end.

use super::anchors::{Anchor, Anchors, above};
use super::denial::{Proof, no_closer, proof};
use super::{Crypto, Ds, Fault, Key, Set, Signature, labels, lower, sets, within};
use crate::dns::{Data, Message, Record, rcode, rtype};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// More questions are not asked for one answer.
const MOST_FETCHES: usize = 200;
/// More aliases are not followed.
const MOST_ALIASES: usize = 16;
/// DNAME.
const DNAME: u16 = 39;

/// Why there is no answer that may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// No signature of a set holds.
    Unverified,
    /// No key of a zone is one that its parent names.
    NoValidKey,
    /// Something above is wrong.
    Broken,
    /// It is not signed where it should be.
    NotInsecure,
    /// There was no answer: how its asker calls that.
    Unanswered(String),
}

impl Why {
    /// In BIND's words.
    pub fn words(&self) -> &str {
        match self {
            Why::Unverified => "RRSIG failed to verify",
            Why::NoValidKey => "no valid RRSIG",
            Why::Broken => "broken trust chain",
            Why::NotInsecure => "insecurity proof failed",
            Why::Unanswered(said) => said,
        }
    }
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A chain of signatures leads to it.
    Secure,
    /// It is proved that there is none to be had.
    Insecure,
    /// No trusted key is above it, and its own server says so.
    Authoritative,
    /// Nobody looked.
    Unchecked,
}

/// What happens on the way.
pub enum Event<'a> {
    /// Something is asked for.
    Fetch(&'a str, u16),
    /// A step of the proof of a set, this deep inside another.
    Step(usize, &'a str, u16, &'a str),
    /// A step that failed.
    Fault(usize, &'a str, u16, &'a str),
    /// A question without a good answer.
    Failed(&'a Why, &'a str, u16),
}

/// Who asks, and who is told.
pub trait Source {
    /// Asks; the error is what to call it.
    fn fetch(&mut self, name: &str, kind: u16) -> Result<Message, String>;
    /// Hears what happens.
    fn told(&mut self, event: Event<'_>);
}

/// What was found.
#[derive(Clone, Debug)]
pub enum Found {
    /// Sets of the name and type.
    Sets(Vec<(Set, Trust)>),
    /// An alias: its sets, and the name it stands for.
    Alias(Vec<(Set, Trust)>, String),
    /// Nothing: whether the name exists, the sets that say so, and what that is worth.
    Nothing {
        /// The name is not there at all.
        no_name: bool,
        /// The authority section.
        proof: Vec<Record>,
        /// What it is worth.
        trust: Trust,
        /// What the proof says of the name.
        says: Option<Proof>,
    },
}

/// An answer to one question.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The name.
    pub name: String,
    /// The type.
    pub kind: u16,
    /// What was found.
    pub found: Found,
}

type Answered = Result<Rc<Outcome>, Why>;

/// A proof under way, with all that was proved before.
pub struct Chain<'a> {
    crypto: &'a dyn Crypto,
    anchors: &'a Anchors,
    now: u32,
    /// Nothing is proved, only asked.
    checks: bool,
    known: HashMap<(String, u16), Answered>,
    pending: HashSet<(String, u16)>,
    fetches: usize,
}

impl<'a> Chain<'a> {
    /// With these trusted keys, at this time (seconds since 1970); nothing is proved where `checks` is not set.
    pub fn new(crypto: &'a dyn Crypto, anchors: &'a Anchors, now: u32, checks: bool) -> Chain<'a> {
        Chain {
            crypto,
            anchors,
            now,
            checks,
            known: HashMap::new(),
            pending: HashSet::new(),
            fetches: 0,
        }
    }

    /// Answers a question and follows aliases: all that was found, and why it went no further.
    pub fn resolve(
        &mut self,
        name: &str,
        kind: u16,
        source: &mut dyn Source,
    ) -> (Vec<Rc<Outcome>>, Option<Why>) {
        let (mut all, mut name) = (Vec::new(), name.to_string());
        for _ in 0..MOST_ALIASES {
            let outcome = match self.fetch(&name, kind, source) {
                Ok(outcome) => outcome,
                Err(why) => return (all, Some(why)),
            };
            all.push(outcome.clone());
            match &outcome.found {
                Found::Alias(_, target) => name.clone_from(target),
                _ => return (all, None),
            }
        }
        (all, Some(Why::Unanswered("too many redirects".into())))
    }

    fn cached(&self, name: &str, kind: u16) -> Option<Answered> {
        self.known.get(&(lower(name), kind)).cloned()
    }

    /// Asks and proves.
    pub fn fetch(&mut self, name: &str, kind: u16, source: &mut dyn Source) -> Answered {
        if let Some(known) = self.cached(name, kind) {
            return known;
        }
        let key = (lower(name), kind);
        self.fetches += 1;
        if self.fetches > MOST_FETCHES || !self.pending.insert(key.clone()) {
            return Err(Why::Broken);
        }
        source.told(Event::Fetch(name, kind));
        let answered = match source.fetch(name, kind) {
            Ok(message) => self.prove(name, kind, &message, source),
            Err(said) => Err(Why::Unanswered(said)),
        };
        if let Err(why) = &answered
            && !matches!(why, Why::Unanswered(_))
        {
            source.told(Event::Failed(why, name, kind));
        }
        self.pending.remove(&key);
        let answered = answered.map(Rc::new);
        self.known.insert(key, answered.clone());
        answered
    }

    fn prove(
        &mut self,
        name: &str,
        kind: u16,
        message: &Message,
        source: &mut dyn Source,
    ) -> Result<Outcome, Why> {
        let all = sets(&message.answers);
        let own = |s: &&Set| s.name.eq_ignore_ascii_case(name.trim_end_matches('.'));
        let outcome = |found| Outcome {
            name: name.to_string(),
            kind,
            found,
        };
        let fits = |s: &&Set| s.rtype == kind || kind == rtype::ANY;
        let direct: Vec<&Set> = all.iter().filter(own).filter(fits).collect();
        if !direct.is_empty() {
            let mut found = Vec::new();
            for set in direct {
                let trust = self.worth(0, set, message, source)?;
                found.push((set.clone(), trust));
            }
            return Ok(outcome(Found::Sets(found)));
        }
        let alias = all.iter().filter(own).find(|s| s.rtype == rtype::CNAME);
        if let Some(set) = alias
            && let Some(Data::Cname(target)) = set.records.first().map(|r| &r.data)
        {
            let above = |s: &&Set| s.rtype == DNAME && within(name, &s.name);
            let mut found = Vec::new();
            let trust = match all.iter().find(above).filter(|_| set.signatures.is_empty()) {
                Some(dname) => {
                    let trust = self.worth(0, dname, message, source)?;
                    found.push((dname.clone(), trust));
                    trust
                }
                None => self.worth(0, set, message, source)?,
            };
            found.push((set.clone(), trust));
            return Ok(outcome(Found::Alias(found, target.clone())));
        }
        let no_name = message.rcode == rcode::NXDOMAIN;
        let (trust, says) = match self.checks {
            true => self.nothing(name, kind, message, source)?,
            false => (Trust::Unchecked, None),
        };
        Ok(outcome(Found::Nothing {
            no_name,
            proof: message.authorities.clone(),
            trust,
            says,
        }))
    }

    fn worth(
        &mut self,
        depth: usize,
        set: &Set,
        message: &Message,
        source: &mut dyn Source,
    ) -> Result<Trust, Why> {
        if !self.checks {
            return Ok(Trust::Unchecked);
        }
        if above(self.anchors, &set.name).is_none() {
            return Ok(beyond(message));
        }
        let say = |s: &mut dyn Source, what: &str| {
            s.told(Event::Step(depth, &set.name, set.rtype, what));
        };
        say(source, "starting");
        if set.signatures.is_empty() {
            say(source, "attempting insecurity proof");
            return self.unsigned(depth, (&set.name, set.rtype), source);
        }
        say(source, "attempting positive response validation");
        if set.rtype == rtype::DNSKEY {
            return self.entry(depth, set, source);
        }
        for record in &set.signatures {
            let Ok(signature) = Signature::read(record) else {
                continue;
            };
            let above = within(&set.name, &signature.signer);
            let itself = lower(&set.name) == signature.signer;
            if !above || itself && set.rtype == rtype::DS {
                continue;
            }
            let before = self.cached(&signature.signer, rtype::DNSKEY);
            let new = before.is_none();
            if let Some(Err(_)) = before {
                let what = format!("bad cache hit ({}/DNSKEY)", signature.signer);
                source.told(Event::Fault(depth, &set.name, set.rtype, &what));
                return Err(Why::Broken);
            }
            let keys = self.keys(&signature.signer, source);
            if new {
                say(source, "in fetch_callback_dnskey");
            }
            let Some(keys) = keys? else {
                say(source, "marking as answer (validate_answer)");
                return Ok(Trust::Insecure);
            };
            say(source, "keyset with trust secure");
            if new {
                say(source, "resuming validate");
            }
            for key in keys.iter().filter(|k| made(&signature, k)) {
                let held = signature.holds(set, key, self.now, self.crypto);
                let wild = signature.from_wildcard(&set.name);
                if let Err(fault) = held {
                    failed(depth, set, key, fault, source);
                    continue;
                }
                let word = if wild { "from wildcard" } else { "success" };
                let word = format!("verify rdataset (keyid={}): {word}", key.tag);
                say(source, &word);
                let star = labels(&set.name).first().is_some_and(|l| l == b"*");
                if !wild || star {
                    say(source, "marking as secure, noqname proof not needed");
                    return Ok(Trust::Secure);
                }
                say(source, "looking for noqname proof");
                let (verified, _) = self.verified(depth, message, source);
                let verified: Vec<&Set> = verified.iter().collect();
                let above = usize::from(signature.labels);
                if no_closer(&verified, &set.name, above, self.crypto) {
                    say(source, "marking as secure, noqname proof found");
                    return Ok(Trust::Secure);
                }
            }
        }
        let what = "no valid signature found";
        source.told(Event::Fault(depth, &set.name, set.rtype, what));
        Err(Why::Unverified)
    }

    /// The proved keys of a zone; none where it is proved that it has none.
    fn keys(&mut self, zone: &str, source: &mut dyn Source) -> Result<Option<Vec<Key>>, Why> {
        let outcome = self.fetch(zone, rtype::DNSKEY, source);
        let outcome = outcome.map_err(|_| Why::Broken)?;
        match &outcome.found {
            Found::Sets(all) => match all.first() {
                Some((set, Trust::Secure)) => {
                    let keys = set.records.iter().filter_map(Key::read);
                    Ok(Some(keys.collect()))
                }
                _ => Ok(None),
            },
            Found::Nothing {
                trust: Trust::Insecure,
                ..
            } => Ok(None),
            _ => Err(Why::Broken),
        }
    }

    /// The keys of a zone by those that are trusted, or by what its parent says of them.
    fn entry(&mut self, depth: usize, set: &Set, source: &mut dyn Source) -> Result<Trust, Why> {
        let zone = lower(&set.name);
        let say = |s: &mut dyn Source, what: &str| {
            s.told(Event::Step(depth, &set.name, set.rtype, what));
        };
        let own: Vec<&Anchor> = self
            .anchors
            .iter()
            .filter(|a| a.0 == zone)
            .map(|a| &a.1)
            .collect();
        let trusted: Vec<Anchor> = if own.is_empty() {
            let new = self.cached(&zone, rtype::DS).is_none();
            let outcome = self.fetch(&zone, rtype::DS, source);
            if new {
                say(source, "in fetch_callback_ds");
            }
            let outcome = outcome.map_err(|_| Why::Broken)?;
            let Some(all) = delegated(&outcome, self.crypto)? else {
                say(source, "marking as answer (validate_dnskey (2))");
                return Ok(Trust::Insecure);
            };
            if new {
                say(source, "dsset with trust secure");
            }
            all.into_iter().map(Anchor::Ds).collect()
        } else {
            own.into_iter().cloned().collect()
        };
        let keys: Vec<Key> = set.records.iter().filter_map(Key::read).collect();
        let named = |key: &&Key| {
            trusted.iter().any(|a| match a {
                Anchor::Key(own) => own == *key,
                Anchor::Ds(ds) => ds.is_of(&zone, key, self.crypto),
            })
        };
        for key in keys.iter().filter(named) {
            for record in &set.signatures {
                let Ok(signature) = Signature::read(record) else {
                    continue;
                };
                if signature.signer != zone || !made(&signature, key) {
                    continue;
                }
                match signature.holds(set, key, self.now, self.crypto) {
                    Ok(()) => {
                        let tag = key.tag;
                        say(source, &format!("verify rdataset (keyid={tag}): success"));
                        say(source, "marking as secure (DS)");
                        return Ok(Trust::Secure);
                    }
                    Err(fault) => failed(depth, set, key, fault, source),
                }
            }
        }
        let what = "no valid signature found (DS)";
        source.told(Event::Fault(depth, &set.name, set.rtype, what));
        Err(Why::NoValidKey)
    }

    /// Proves that what is not signed need not be: some zone above it has no key by its parent.
    fn unsigned(
        &mut self,
        depth: usize,
        of: (&str, u16),
        source: &mut dyn Source,
    ) -> Result<Trust, Why> {
        let (name, kind) = of;
        let say = |s: &mut dyn Source, what: &str| {
            s.told(Event::Step(depth, name, kind, what));
        };
        let Some(top) = above(self.anchors, name) else {
            say(source, "marking as answer (not beneath secure root)");
            return Ok(Trust::Insecure);
        };
        let own = labels(name);
        let least = labels(&top).len() + 1;
        // Of a delegation the parent speaks.
        let most = own.len().saturating_sub(usize::from(kind == rtype::DS));
        for count in least..=most {
            let at = own.len().saturating_sub(count);
            let zone = super::joined(own.get(at..).unwrap_or_default());
            say(source, &format!("checking existence of DS at '{zone}'"));
            let new = self.cached(&zone, rtype::DS).is_none();
            let outcome = self.fetch(&zone, rtype::DS, source);
            if new {
                say(source, "in fetch_callback_ds");
            }
            let outcome = outcome.map_err(|_| Why::Broken)?;
            let ends = match &outcome.found {
                Found::Nothing { trust, says, .. } => {
                    *trust != Trust::Secure
                        || matches!(says, Some(Proof::NoData { delegated: true }))
                }
                _ => delegated(&outcome, self.crypto)?.is_none(),
            };
            if ends {
                let by = if new {
                    "fetch_callback_ds"
                } else {
                    "seek_ds (3)"
                };
                say(source, &format!("marking as answer ({by})"));
                return Ok(Trust::Insecure);
            }
            if new {
                say(source, "resuming proveunsecure");
            }
        }
        let what = "got insecure response; parent indicates it should be secure";
        source.told(Event::Fault(depth, name, kind, what));
        Err(Why::NotInsecure)
    }

    /// The sets of an authority section that hold, and whether another is not signed.
    fn verified(
        &mut self,
        depth: usize,
        message: &Message,
        source: &mut dyn Source,
    ) -> (Vec<Set>, Option<Why>) {
        let (mut all, mut wrong) = (Vec::new(), None);
        for set in sets(&message.authorities) {
            if ![rtype::SOA, rtype::NSEC, rtype::NSEC3].contains(&set.rtype) {
                continue;
            }
            match self.worth(depth + 1, &set, message, source) {
                Ok(Trust::Secure) => all.push(set),
                Ok(_) => {}
                Err(why) => wrong = Some(why),
            }
        }
        (all, wrong)
    }

    /// That there is nothing.
    fn nothing(
        &mut self,
        name: &str,
        kind: u16,
        message: &Message,
        source: &mut dyn Source,
    ) -> Result<(Trust, Option<Proof>), Why> {
        if above(self.anchors, name).is_none() {
            return Ok((beyond(message), None));
        }
        let say = |s: &mut dyn Source, what: &str| s.told(Event::Step(0, name, kind, what));
        say(source, "starting");
        say(
            source,
            "attempting negative response validation from message",
        );
        let (verified, wrong) = self.verified(0, message, source);
        let verified: Vec<&Set> = verified.iter().collect();
        let says = proof(&verified, name, kind, self.crypto);
        let good = match says {
            Proof::NoName => message.rcode == rcode::NXDOMAIN,
            Proof::NoData { .. } => message.rcode == rcode::NOERROR,
            Proof::OptOut | Proof::Nothing => false,
        };
        if good {
            say(source, "nonexistence proof(s) found");
            return Ok((Trust::Secure, Some(says)));
        }
        if says == Proof::OptOut {
            say(source, "optout proof found");
            return Ok((Trust::Insecure, Some(says)));
        }
        say(source, "nonexistence proof(s) not found");
        match wrong {
            Some(Why::Broken) => return Err(Why::Broken),
            Some(_) => return Err(Why::NoValidKey),
            None => {}
        }
        let trust = self.unsigned(0, (name, kind), source)?;
        Ok((trust, None))
    }
}

/// Of what no trusted key is above.
fn beyond(message: &Message) -> Trust {
    match message.authoritative {
        true => Trust::Authoritative,
        false => Trust::Insecure,
    }
}

/// Tells that a signature does not hold: times are everybody's business, the rest is for who traces.
fn failed(depth: usize, set: &Set, key: &Key, fault: Fault, source: &mut dyn Source) {
    let (plain, word) = match fault {
        Fault::Expired => (true, "RRSIG has expired"),
        Fault::Early => (true, "RRSIG validity period has not begun"),
        Fault::Wrong => (false, "RRSIG failed to verify"),
        Fault::Unknown => (false, "algorithm is unsupported"),
    };
    let tag = key.tag;
    let word = format!("verify failed due to bad signature (keyid={tag}): {word}");
    source.told(match plain {
        true => Event::Fault(depth, &set.name, set.rtype, &word),
        false => Event::Step(depth, &set.name, set.rtype, &word),
    });
}

fn made(signature: &Signature, key: &Key) -> bool {
    (signature.tag, signature.algorithm) == (key.tag, key.algorithm)
}

/// What a parent says of a zone's keys; none where the zone is not signed.
fn delegated(outcome: &Outcome, crypto: &dyn Crypto) -> Result<Option<Vec<Ds>>, Why> {
    match &outcome.found {
        Found::Sets(all) => {
            let Some((set, Trust::Secure)) = all.first() else {
                return Ok(None);
            };
            let mut known: Vec<Ds> = set.records.iter().filter_map(Ds::read).collect();
            known.retain(|ds| ds.usable(crypto));
            Ok((!known.is_empty()).then_some(known))
        }
        Found::Nothing {
            trust: Trust::Secure,
            says: Some(Proof::NoData { delegated: true }),
            ..
        } => Ok(None),
        Found::Nothing {
            trust: Trust::Insecure,
            ..
        } => Ok(None),
        _ => Err(Why::Broken),
    }
}
