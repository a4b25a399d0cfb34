//! DNSSEC (RFC 4033 to 4035, 5155, 6840): signatures of record sets, proofs that something does not exist, and the chain from
//! a trusted key down to an answer. The arithmetic of signatures is handed in ([`Crypto`]), and so is asking ([`Source`]).
//!
//! Reading order: this file (sets and signatures), [`denial`], [`chain`].

pub mod anchors;
pub mod chain;
pub mod denial;
#[cfg(test)]
mod tests;

use super::layout::{Part, layout};
use super::text::key_tag;
use super::{Cursor, Record, encode_name, name, rtype};
use crate::Malformed;

/// What needs arithmetic.
pub trait Crypto {
    /// The digest of a DS record's kind (1 SHA-1, 2 SHA-256, 4 SHA-384); none for a kind that is not known.
    fn digest(&self, kind: u8, bytes: &[u8]) -> Option<Vec<u8>>;
    /// Whether this key signed these bytes; none for an algorithm that is not known.
    fn verify(&self, algorithm: u8, key: &[u8], signed: &[u8], signature: &[u8]) -> Option<bool>;
}

/// Records of one name and type, with their signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Their name, as it came.
    pub name: String,
    /// Their type.
    pub rtype: u16,
    /// In the order they came.
    pub records: Vec<Record>,
    /// The RRSIG records that cover them.
    pub signatures: Vec<Record>,
}

/// A signature's fields (RFC 4034, 3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The type that is signed.
    pub covers: u16,
    /// Algorithm.
    pub algorithm: u8,
    /// Labels of the name that was signed, without a `*`.
    pub labels: u8,
    /// When it ends, seconds since 1970.
    pub expires: u32,
    /// When it begins.
    pub begins: u32,
    /// Tag of the key.
    pub tag: u16,
    /// The zone that signed, small letters.
    pub signer: String,
    head: Vec<u8>,
    ttl: u32,
    bytes: Vec<u8>,
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ended.
    Expired,
    /// It has not begun.
    Early,
    /// The bytes are others, or the key is.
    Wrong,
    /// The algorithm is not known.
    Unknown,
}

/// A name in the form that is compared.
pub fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The labels of a name, small letters; none for a name that is none.
pub fn labels(name: &str) -> Vec<Vec<u8>> {
    let all = name::labels(&lower(name)).unwrap_or_default();
    all.into_iter().map(|l| l.to_ascii_lowercase()).collect()
}

/// The name of these labels.
fn joined(labels: &[Vec<u8>]) -> String {
    let mut wire = Vec::new();
    for label in labels {
        wire.push(label.len() as u8); // at most 63, as they were read
        wire.extend(label);
    }
    wire.push(0);
    super::decode_name(&wire, 0).map_or_else(|_| String::new(), |(name, _)| name)
}

/// The name without its first label; none for the root.
pub fn parent(name: &str) -> Option<String> {
    let all = labels(name);
    all.get(1..).map(joined)
}

/// Whether `name` is `zone` or below it.
pub fn within(name: &str, zone: &str) -> bool {
    labels(name).ends_with(&labels(zone))
}

/// Puts records of a section together: one set for each name and type, in the order of their first records.
pub fn sets(section: &[Record]) -> Vec<Set> {
    let mut all: Vec<Set> = Vec::new();
    for record in section {
        let covered = (record.rtype == rtype::RRSIG)
            .then(|| Signature::read(record).ok())
            .flatten();
        let kind = covered.as_ref().map_or(record.rtype, |s| s.covers);
        let same = |s: &&mut Set| s.rtype == kind && s.name.eq_ignore_ascii_case(&record.name);
        let at = match all.iter_mut().find(same) {
            Some(set) => set,
            None => {
                all.push(Set {
                    name: record.name.clone(),
                    rtype: kind,
                    ..Set::default()
                });
                let Some(set) = all.last_mut() else { continue };
                set
            }
        };
        match covered {
            Some(_) => at.signatures.push(record.clone()),
            None => at.records.push(record.clone()),
        }
    }
    all.retain(|s| !s.records.is_empty());
    all
}

impl Signature {
    /// Reads an RRSIG record.
    pub fn read(record: &Record) -> Result<Signature, Malformed> {
        let raw = record.raw();
        let mut c = Cursor { bytes: &raw, at: 0 };
        let covers = c.u16("a type")?;
        let (algorithm, labels) = (c.u8("an algorithm")?, c.u8("labels")?);
        let ttl = c.u32("a time to live")?;
        let (expires, begins) = (c.u32("an end")?, c.u32("a beginning")?);
        let tag = c.u16("a tag")?;
        let mut head = raw.get(..c.at).unwrap_or_default().to_vec();
        let signer = lower(&c.name()?);
        encode_name(&signer, &mut head)?;
        let bytes = raw.get(c.at..).unwrap_or_default().to_vec();
        Ok(Signature {
            covers,
            algorithm,
            labels,
            expires,
            begins,
            tag,
            signer,
            head,
            ttl,
            bytes,
        })
    }

    /// Whether it covers what a wildcard stands for, not the name itself.
    pub fn from_wildcard(&self, name: &str) -> bool {
        labels(name).len() > usize::from(self.labels)
    }

    /// What it signs (RFC 4034, 3.1.8.1); none where it has more labels than the name.
    pub fn signed(&self, set: &Set) -> Option<Vec<u8>> {
        let own = labels(&set.name);
        let above = own.len().checked_sub(usize::from(self.labels))?;
        let mut owner = own.get(above..)?.to_vec();
        if above > 0 {
            owner.insert(0, b"*".to_vec());
        }
        let mut name = Vec::new();
        encode_name(&joined(&owner), &mut name).ok()?;
        let mut data: Vec<Vec<u8>> = set.records.iter().map(canonical).collect();
        data.sort();
        data.dedup();
        let class = set.records.first()?.class;
        let mut out = self.head.clone();
        for one in data {
            out.extend(&name);
            out.extend(set.rtype.to_be_bytes());
            out.extend(class.to_be_bytes());
            out.extend(self.ttl.to_be_bytes());
            out.extend(u16::try_from(one.len()).ok()?.to_be_bytes());
            out.extend(one);
        }
        Some(out)
    }

    /// Whether this key made it, now.
    pub fn holds(&self, set: &Set, key: &Key, now: u32, crypto: &dyn Crypto) -> Result<(), Fault> {
        // Times wrap (RFC 4034, 3.1.5).
        let after = |a: u32, b: u32| a.wrapping_sub(b) as i32 > 0;
        if after(now, self.expires) {
            return Err(Fault::Expired);
        }
        if after(self.begins, now) {
            return Err(Fault::Early);
        }
        let signed = self.signed(set).ok_or(Fault::Wrong)?;
        match crypto.verify(self.algorithm, &key.bytes, &signed, &self.bytes) {
            None => Err(Fault::Unknown),
            Some(true) => Ok(()),
            Some(false) => Err(Fault::Wrong),
        }
    }
}

/// Data in the form that is signed: the names in it of the old types in small letters (RFC 4034, 6.2; RFC 6840, 5.1).
fn canonical(record: &Record) -> Vec<u8> {
    let raw = record.raw();
    let old = [2..=9, 12..=12, 14..=15, 17..=18, 21..=21, 24..=24, 26..=26];
    let more = [33, 35, 36, 39, 46];
    let changes = old.iter().any(|r| r.contains(&record.rtype)) || more.contains(&record.rtype);
    let Some(parts) = layout(record.rtype).filter(|_| changes) else {
        return raw;
    };
    lowered(parts, &raw).unwrap_or(raw)
}

fn lowered(parts: &[Part], raw: &[u8]) -> Option<Vec<u8>> {
    let mut c = Cursor { bytes: raw, at: 0 };
    let mut out = Vec::new();
    for part in parts {
        let length = match part {
            Part::Name => {
                encode_name(&c.name().ok()?.to_ascii_lowercase(), &mut out).ok()?;
                continue;
            }
            Part::U8 => 1,
            Part::U16 | Part::Kind => 2,
            Part::U32 | Part::Time | Part::Ip4 => 4,
            Part::Text => {
                let n = c.u8("").ok()?;
                out.push(n);
                usize::from(n)
            }
            _ => raw.len().checked_sub(c.at)?,
        };
        out.extend(c.take(length, "").ok()?);
    }
    out.extend(raw.get(c.at..)?);
    Some(out)
}

/// A zone's key (RFC 4034, 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// 256 for keys of a zone, and 1 for its entry.
    pub flags: u16,
    /// Algorithm.
    pub algorithm: u8,
    /// Tag.
    pub tag: u16,
    bytes: Vec<u8>,
    raw: Vec<u8>,
}

impl Key {
    /// Reads a DNSKEY record; none for what is no key of a zone.
    pub fn read(record: &Record) -> Option<Key> {
        Key::of(&record.raw())
    }

    /// Of its data.
    pub fn of(raw: &[u8]) -> Option<Key> {
        let [a, b, 3, algorithm, bytes @ ..] = raw else {
            return None;
        };
        let flags = u16::from_be_bytes([*a, *b]);
        // Bit 7: a zone's key; bit 8 (RFC 5011): it was revoked.
        (flags & 0x100 != 0 && flags & 0x80 == 0).then(|| Key {
            flags,
            algorithm: *algorithm,
            tag: key_tag(raw),
            bytes: bytes.to_vec(),
            raw: raw.to_vec(),
        })
    }
}

/// A key by its digest (RFC 4034, 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ds {
    /// Tag of the key.
    pub tag: u16,
    /// Its algorithm.
    pub algorithm: u8,
    /// Kind of the digest.
    pub kind: u8,
    /// The digest.
    pub digest: Vec<u8>,
}

impl Ds {
    /// Reads a DS record.
    pub fn read(record: &Record) -> Option<Ds> {
        match record.raw().as_slice() {
            [a, b, algorithm, kind, digest @ ..] => Some(Ds {
                tag: u16::from_be_bytes([*a, *b]),
                algorithm: *algorithm,
                kind: *kind,
                digest: digest.to_vec(),
            }),
            _ => None,
        }
    }

    /// Whether it is this key's, of that zone.
    pub fn is_of(&self, zone: &str, key: &Key, crypto: &dyn Crypto) -> bool {
        if (self.tag, self.algorithm) != (key.tag, key.algorithm) {
            return false;
        }
        let mut bytes = Vec::new();
        if encode_name(&lower(zone), &mut bytes).is_err() {
            return false;
        }
        bytes.extend(&key.raw);
        crypto
            .digest(self.kind, &bytes)
            .is_some_and(|d| d == self.digest)
    }

    /// Whether its digest and its algorithm are known: others are as if they were not there (RFC 4035, 5.2).
    pub fn usable(&self, crypto: &dyn Crypto) -> bool {
        crypto.digest(self.kind, &[]).is_some()
            && crypto.verify(self.algorithm, &[], &[], &[]).is_some()
    }
}
