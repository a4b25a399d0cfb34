//! Proofs that a name or a type does not exist: NSEC (RFC 4034, 4) and NSEC3 (RFC 5155).

use super::{Crypto, Set, joined, labels, within};
use crate::dns::{Cursor, digits::base32hex, rtype};

/// More rounds of hashing are not believed (RFC 9276, 3.2).
const MOST_ROUNDS: u16 = 150;

/// What the records of an answer prove of a name and a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The name exists and has no such type. `delegated`: it is a zone of its own without DS.
    NoData {
        /// The name is a delegation.
        delegated: bool,
    },
    /// There is no such name, nor a wildcard that would stand for it.
    NoName,
    /// Names in this range may be unsigned zones (RFC 5155, 6).
    OptOut,
    /// Nothing.
    Nothing,
}

/// Labels from the root down: the order of names (RFC 4034, 6.1).
fn order(name: &str) -> Vec<Vec<u8>> {
    let mut all = labels(name);
    all.reverse();
    all
}

/// Types of a bitmap.
fn kinds(bytes: &[u8]) -> Vec<u16> {
    let mut c = Cursor { bytes, at: 0 };
    let mut all = Vec::new();
    while let (Ok(window), Ok(length)) = (c.u8(""), c.u8("")) {
        let Ok(bitmap) = c.take(usize::from(length), "") else {
            break;
        };
        for (at, byte) in bitmap.iter().enumerate().take(32) {
            for bit in (0..8u16).filter(|bit| byte >> (7 - bit) & 1 == 1) {
                all.push(u16::from(window) << 8 | (at as u16) << 3 | bit);
            }
        }
    }
    all
}

fn no_data(has: &[u16], kind: u16) -> Option<Proof> {
    let of = |t: u16| has.contains(&t);
    if of(kind) || of(rtype::CNAME) && kind != rtype::NSEC {
        return None;
    }
    let cut = of(rtype::NS) && !of(rtype::SOA);
    // The parent's side of a delegation tells of DS alone, the zone's own side of everything else.
    if cut && kind != rtype::DS || of(rtype::SOA) && kind == rtype::DS {
        return None;
    }
    Some(Proof::NoData { delegated: cut })
}

struct Nsec {
    owner: String,
    next: String,
    kinds: Vec<u16>,
}

impl Nsec {
    fn all(sets: &[&Set]) -> Vec<Nsec> {
        let own = sets.iter().filter(|s| s.rtype == rtype::NSEC);
        own.filter_map(|s| {
            let raw = s.records.first()?.raw();
            let mut c = Cursor { bytes: &raw, at: 0 };
            let next = c.name().ok()?;
            Some(Nsec {
                owner: s.name.clone(),
                next,
                kinds: kinds(raw.get(c.at..)?),
            })
        })
        .collect()
    }

    fn covers(&self, name: &str) -> bool {
        let (own, next, name) = (order(&self.owner), order(&self.next), order(name));
        // What is below a delegation is not this zone's to deny.
        let cut = self.kinds.contains(&rtype::NS) && !self.kinds.contains(&rtype::SOA);
        if name.starts_with(&own) && (cut || self.kinds.contains(&39)) && name != own {
            return false;
        }
        if own < next {
            own < name && name < next
        } else {
            own < name || name < next
        }
    }
}

fn by_nsec(all: &[Nsec], name: &str, kind: u16) -> Proof {
    let same = |n: &&Nsec| order(&n.owner) == order(name);
    if let Some(own) = all.iter().find(same) {
        return no_data(&own.kinds, kind).unwrap_or(Proof::Nothing);
    }
    let Some(cover) = all.iter().find(|n| n.covers(name)) else {
        return Proof::Nothing;
    };
    // An empty name between others: the next one is below it.
    if within(&cover.next, name) {
        return Proof::NoData { delegated: false };
    }
    let wildcard = wildcard_above(name, &[&cover.owner, &cover.next]);
    if let Some(own) = all.iter().find(|n| order(&n.owner) == order(&wildcard)) {
        return no_data(&own.kinds, kind).unwrap_or(Proof::Nothing);
    }
    match all.iter().any(|n| n.covers(&wildcard)) {
        true => Proof::NoName,
        false => Proof::Nothing,
    }
}

/// The wildcard that would stand for a name: below the longest name it shares with those beside it.
fn wildcard_above(name: &str, beside: &[&String]) -> String {
    let own = order(name);
    let shared = beside.iter().map(|other| {
        let other = order(other);
        own.iter().zip(&other).take_while(|(a, b)| a == b).count()
    });
    let most = shared.max().unwrap_or(0);
    let mut all = own.get(..most).unwrap_or_default().to_vec();
    all.push(b"*".to_vec());
    all.reverse();
    joined(&all)
}

struct Nsec3 {
    hash: String,
    next: String,
    opt_out: bool,
    kinds: Vec<u16>,
}

/// NSEC3 records of one zone with the same parameters.
struct Hashed {
    zone: String,
    salt: Vec<u8>,
    rounds: u16,
    all: Vec<Nsec3>,
}

impl Hashed {
    fn of(sets: &[&Set]) -> Option<Hashed> {
        let mut hashed: Option<Hashed> = None;
        for set in sets.iter().filter(|s| s.rtype == rtype::NSEC3) {
            for record in &set.records {
                let raw = record.raw();
                let mut c = Cursor { bytes: &raw, at: 0 };
                let (algorithm, flags) = (c.u8("").ok()?, c.u8("").ok()?);
                let rounds = c.u16("").ok()?;
                let length = usize::from(c.u8("").ok()?);
                let salt = c.take(length, "").ok()?.to_vec();
                let length = usize::from(c.u8("").ok()?);
                let next = base32hex(c.take(length, "").ok()?);
                let kinds = kinds(raw.get(c.at..).unwrap_or_default());
                let own = labels(&set.name);
                let (first, zone) = own.split_first()?;
                let first = String::from_utf8_lossy(first).to_ascii_uppercase();
                let into = hashed.get_or_insert_with(|| Hashed {
                    zone: joined(zone),
                    salt: salt.clone(),
                    rounds,
                    all: vec![],
                });
                if algorithm != 1 || rounds > MOST_ROUNDS {
                    return None;
                }
                if (into.rounds, &into.salt) == (rounds, &salt) {
                    into.all.push(Nsec3 {
                        hash: first,
                        next,
                        opt_out: flags & 1 == 1,
                        kinds,
                    });
                }
            }
        }
        hashed
    }

    fn hash(&self, name: &str, crypto: &dyn Crypto) -> Option<String> {
        let mut bytes = Vec::new();
        crate::dns::encode_name(&super::lower(name), &mut bytes).ok()?;
        for _ in 0..=self.rounds {
            bytes.extend(&self.salt);
            bytes = crypto.digest(1, &bytes)?;
        }
        Some(base32hex(&bytes))
    }

    fn at(&self, name: &str, crypto: &dyn Crypto) -> Option<&Nsec3> {
        let hash = self.hash(name, crypto)?;
        self.all.iter().find(|n| n.hash == hash)
    }

    fn covers(&self, name: &str, crypto: &dyn Crypto) -> Option<&Nsec3> {
        let hash = self.hash(name, crypto)?;
        self.all.iter().find(|n| {
            if n.hash < n.next {
                n.hash < hash && hash < n.next
            } else {
                n.hash < hash || hash < n.next
            }
        })
    }
}

fn by_nsec3(h: &Hashed, name: &str, kind: u16, crypto: &dyn Crypto) -> Proof {
    if !within(name, &h.zone) {
        return Proof::Nothing;
    }
    if let Some(own) = h.at(name, crypto) {
        return no_data(&own.kinds, kind).unwrap_or(Proof::Nothing);
    }
    // The closest name that exists, and that the one below it does not (RFC 5155, 8.3).
    let own = labels(name);
    let depth = labels(&h.zone).len();
    for at in 1..=own.len().saturating_sub(depth) {
        let encloser = joined(own.get(at..).unwrap_or_default());
        let Some(found) = h.at(&encloser, crypto) else {
            continue;
        };
        let cut = found.kinds.contains(&rtype::NS) && !found.kinds.contains(&rtype::SOA);
        if cut || found.kinds.contains(&39) {
            return Proof::Nothing;
        }
        let below = joined(own.get(at - 1..).unwrap_or_default());
        let Some(cover) = h.covers(&below, crypto) else {
            return Proof::Nothing;
        };
        let mut star = vec![b"*".to_vec()];
        star.extend_from_slice(own.get(at..).unwrap_or_default());
        let star = joined(&star);
        if let Some(wild) = h.at(&star, crypto) {
            return no_data(&wild.kinds, kind).unwrap_or(Proof::Nothing);
        }
        if cover.opt_out {
            return Proof::OptOut;
        }
        return match h.covers(&star, crypto) {
            Some(_) => Proof::NoName,
            None => Proof::Nothing,
        };
    }
    Proof::Nothing
}

/// What these verified sets prove.
pub fn proof(sets: &[&Set], name: &str, kind: u16, crypto: &dyn Crypto) -> Proof {
    let plain = Nsec::all(sets);
    if !plain.is_empty() {
        return by_nsec(&plain, name, kind);
    }
    Hashed::of(sets).map_or(Proof::Nothing, |h| by_nsec3(&h, name, kind, crypto))
}

/// Whether these verified sets prove that a name itself does not exist, so that a wildcard may stand for it: `above` is
/// the wildcard's parent.
pub fn no_closer(sets: &[&Set], name: &str, above: usize, crypto: &dyn Crypto) -> bool {
    if Nsec::all(sets).iter().any(|n| n.covers(name)) {
        return true;
    }
    let own = labels(name);
    let at = own.len().saturating_sub(above.saturating_add(1));
    let closer = joined(own.get(at..).unwrap_or_default());
    Hashed::of(sets).is_some_and(|h| h.covers(&closer, crypto).is_some())
}
