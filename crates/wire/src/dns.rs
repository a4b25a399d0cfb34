//! DNS messages (RFC 1035, 3596, 2782, 6891), both ways.
//!
//! Decoding is strict about bounds and lenient about content: a record of a type that is not
//! known here, or whose data do not parse, is kept as bytes.

pub mod digits;
pub mod dnssec;
mod kinds;
mod layout;
mod name;
mod record;
#[cfg(test)]
mod tests;
pub mod text;
pub mod tsig;

pub use kinds::{algorithm_word, class_number, class_word, opcode_number, opcode_word};
pub use name::{MAX_NAME, decode_name, encode_name};
pub use record::{Data, Record, Soa, Srv};

use crate::Malformed;

/// Largest message over UDP without EDNS (RFC 1035, 4.2.1), bytes.
pub const UDP_LIMIT: usize = 512;

/// Record types (IANA "Resource Record TYPEs").
pub mod rtype {
    /// IPv4 address.
    pub const A: u16 = 1;
    /// Name server.
    pub const NS: u16 = 2;
    /// Canonical name.
    pub const CNAME: u16 = 5;
    /// Start of authority.
    pub const SOA: u16 = 6;
    /// Pointer.
    pub const PTR: u16 = 12;
    /// Mail exchange.
    pub const MX: u16 = 15;
    /// Text.
    pub const TXT: u16 = 16;
    /// IPv6 address.
    pub const AAAA: u16 = 28;
    /// Service location.
    pub const SRV: u16 = 33;
    /// Keys a zone is signed with, delegated.
    pub const DS: u16 = 43;
    /// EDNS pseudo record.
    pub const OPT: u16 = 41;
    /// Signature of records.
    pub const RRSIG: u16 = 46;
    /// Next name of a signed zone.
    pub const NSEC: u16 = 47;
    /// Key of a zone.
    pub const DNSKEY: u16 = 48;
    /// Next hashed name of a signed zone.
    pub const NSEC3: u16 = 50;
    /// Signature of a message.
    pub const TSIG: u16 = 250;
    /// Changes of a zone (only in questions).
    pub const IXFR: u16 = 251;
    /// A whole zone (only in questions).
    pub const AXFR: u16 = 252;
    /// All records (only in questions).
    pub const ANY: u16 = 255;
}

/// Internet class.
pub const CLASS_IN: u16 = 1;

/// Response codes (RFC 1035, 4.1.1).
pub mod rcode {
    /// No error.
    pub const NOERROR: u16 = 0;
    /// Format error.
    pub const FORMERR: u16 = 1;
    /// Server failure.
    pub const SERVFAIL: u16 = 2;
    /// The name does not exist.
    pub const NXDOMAIN: u16 = 3;
    /// Not implemented.
    pub const NOTIMP: u16 = 4;
    /// Refused by policy.
    pub const REFUSED: u16 = 5;
}

const RCODES: &[&str] = &[
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "RESERVED11",
    "RESERVED12",
    "RESERVED13",
    "RESERVED14",
    "RESERVED15",
];

/// Word of a record type, `TYPE64` for one without a word here (RFC 3597).
pub fn type_word(number: u16) -> String {
    kinds::TYPES
        .iter()
        .find(|(n, _)| *n == number)
        .map_or_else(|| format!("TYPE{number}"), |(_, w)| (*w).to_string())
}

/// Number of a record type's word, in any case; `TYPE64` too.
pub fn type_number(word: &str) -> Option<u16> {
    let word = word.to_ascii_uppercase();
    kinds::TYPES
        .iter()
        .find(|(_, w)| *w == word)
        .map(|(n, _)| *n)
        .or_else(|| word.strip_prefix("TYPE")?.parse().ok())
}

/// Word of a response code, `RCODE23` for one without a word here. 16 is BADVERS (RFC 6891).
pub fn rcode_word(code: u16) -> String {
    match RCODES.get(usize::from(code)) {
        Some(word) => (*word).to_string(),
        None if code == 16 => "BADVERS".to_string(),
        None if code == 23 => "BADCOOKIE".to_string(),
        None => format!("RCODE{code}"),
    }
}

/// A question (RFC 1035, 4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Name, without the final dot; empty for the root.
    pub name: String,
    /// Record type, [`rtype`].
    pub rtype: u16,
    /// Class, [`CLASS_IN`].
    pub class: u16,
}

/// EDNS(0) as the OPT record carries it (RFC 6891, 6.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edns {
    /// Largest UDP payload the sender takes, bytes.
    pub udp_size: u16,
    /// Version, 0.
    pub version: u8,
    /// "DNSSEC OK".
    pub dnssec_ok: bool,
    /// The other flags.
    pub flags: u16,
    /// Options as they came: code and data.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// A message (RFC 1035, 4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Identifier.
    pub id: u16,
    /// QR: a response rather than a query.
    pub response: bool,
    /// Opcode, 0 for a standard query.
    pub opcode: u8,
    /// AA: authoritative answer.
    pub authoritative: bool,
    /// TC: truncated.
    pub truncated: bool,
    /// RD: recursion desired.
    pub recursion_desired: bool,
    /// RA: recursion available.
    pub recursion_available: bool,
    /// Z: must be zero (RFC 1035).
    pub reserved: bool,
    /// AD: authenticated data (RFC 4035).
    pub authentic: bool,
    /// CD: checking disabled (RFC 4035).
    pub checking_disabled: bool,
    /// Response code, with EDNS's upper eight bits.
    pub rcode: u16,
    /// Questions.
    pub questions: Vec<Question>,
    /// Answer section.
    pub answers: Vec<Record>,
    /// Authority section.
    pub authorities: Vec<Record>,
    /// Additional section without the OPT record.
    pub additional: Vec<Record>,
    /// The OPT record.
    pub edns: Option<Edns>,
}

impl Message {
    /// A recursive query for one name, with an EDNS size of 1232 bytes.
    pub fn query(id: u16, name: &str, rtype: u16) -> Message {
        Message {
            id,
            recursion_desired: true,
            questions: vec![Question {
                name: name.trim_end_matches('.').to_string(),
                rtype,
                class: CLASS_IN,
            }],
            edns: Some(Edns {
                udp_size: 1232,
                ..Edns::default()
            }),
            ..Message::default()
        }
    }

    /// An empty response to this query: same id, opcode, question, RD.
    pub fn reply(&self, rcode: u16) -> Message {
        Message {
            id: self.id,
            response: true,
            opcode: self.opcode,
            recursion_desired: self.recursion_desired,
            rcode,
            questions: self.questions.clone(),
            edns: self.edns.as_ref().map(|_| Edns {
                udp_size: 1232,
                ..Edns::default()
            }),
            ..Message::default()
        }
    }

    /// Largest UDP response this query's sender takes, bytes (RFC 6891, 6.2.3).
    pub fn udp_limit(&self) -> usize {
        self.edns
            .as_ref()
            .map_or(UDP_LIMIT, |e| usize::from(e.udp_size).max(UDP_LIMIT))
    }

    /// Bytes of the message, names compressed. Fails for a name that has no wire form.
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::with_capacity(UDP_LIMIT);
        out.extend(self.id.to_be_bytes());
        let flags = [
            (self.response, 15),
            (self.authoritative, 10),
            (self.truncated, 9),
            (self.recursion_desired, 8),
            (self.recursion_available, 7),
            (self.reserved, 6),
            (self.authentic, 5),
            (self.checking_disabled, 4),
        ]
        .iter()
        .fold(
            u16::from(self.opcode & 0xf) << 11 | self.rcode & 0xf,
            |word, (set, bit)| word | u16::from(*set) << bit,
        );
        out.extend(flags.to_be_bytes());
        let additional = self
            .additional
            .len()
            .saturating_add(usize::from(self.edns.is_some()));
        for count in [
            self.questions.len(),
            self.answers.len(),
            self.authorities.len(),
            additional,
        ] {
            let count = u16::try_from(count)
                .map_err(|_| bad(out.len(), "at most 65535 records in a section"))?;
            out.extend(count.to_be_bytes());
        }
        let mut seen = name::Seen::new();
        for q in &self.questions {
            name::encode(&q.name, &mut out, Some(&mut seen))?;
            out.extend(q.rtype.to_be_bytes());
            out.extend(q.class.to_be_bytes());
        }
        let (signatures, additional): (Vec<_>, Vec<_>) =
            self.additional.iter().partition(|r| r.rtype == rtype::TSIG);
        let sections = self.answers.iter().chain(&self.authorities);
        for r in sections.chain(additional) {
            r.encode(&mut out, &mut seen)?;
        }
        if let Some(e) = &self.edns {
            e.encode(self.rcode, &mut out)?;
        }
        // The signature of all of it stands last, its name whole (RFC 8945, 5.1).
        for r in signatures {
            r.encode(&mut out, &mut name::Seen::new())?;
        }
        Ok(out)
    }

    /// Bytes of at most `limit`: where the whole does not fit, the records are left out and TC is
    /// set, so that the client asks over TCP (RFC 2181, 9).
    pub fn encode_within(&self, limit: usize) -> Result<Vec<u8>, Malformed> {
        let whole = self.encode()?;
        if whole.len() <= limit {
            return Ok(whole);
        }
        Message {
            truncated: true,
            answers: vec![],
            authorities: vec![],
            additional: vec![],
            ..self.clone()
        }
        .encode()
    }

    /// Reads a whole message. Bytes behind the last record are an error.
    pub fn decode(bytes: &[u8]) -> Result<Message, Malformed> {
        let mut c = Cursor { bytes, at: 0 };
        let id = c.u16("an identifier")?;
        let flags = c.u16("flags")?;
        let bit = |n: u32| flags >> n & 1 == 1;
        let mut m = Message {
            id,
            response: bit(15),
            opcode: (flags >> 11 & 0xf) as u8,
            authoritative: bit(10),
            truncated: bit(9),
            recursion_desired: bit(8),
            recursion_available: bit(7),
            reserved: bit(6),
            authentic: bit(5),
            checking_disabled: bit(4),
            rcode: flags & 0xf,
            ..Message::default()
        };
        let mut counts = [0u16; 4];
        for count in &mut counts {
            *count = c.u16("a record count")?;
        }
        let [questions, answers, authorities, additional] = counts;
        for _ in 0..questions {
            let name = c.name()?;
            m.questions.push(Question {
                name,
                rtype: c.u16("a question type")?,
                class: c.u16("a question class")?,
            });
        }
        for (count, section) in [
            (answers, &mut m.answers),
            (authorities, &mut m.authorities),
            (additional, &mut m.additional),
        ] {
            for _ in 0..count {
                section.push(Record::decode(&mut c)?);
            }
        }
        if let Some(i) = m.additional.iter().position(|r| r.rtype == rtype::OPT) {
            let opt = m.additional.remove(i);
            m.rcode |= (opt.ttl >> 24 << 4) as u16;
            m.edns = Some(Edns::from_record(&opt));
        }
        if c.at != bytes.len() {
            return Err(bad(c.at, "the end of the message"));
        }
        Ok(m)
    }
}

impl Edns {
    fn encode(&self, rcode: u16, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.push(0);
        out.extend(rtype::OPT.to_be_bytes());
        out.extend(self.udp_size.to_be_bytes());
        let ttl = u32::from(rcode >> 4 & 0xff) << 24
            | u32::from(self.version) << 16
            | u32::from(self.dnssec_ok) << 15
            | u32::from(self.flags & 0x7fff);
        out.extend(ttl.to_be_bytes());
        let mut data = Vec::new();
        for (code, value) in &self.options {
            let len = u16::try_from(value.len())
                .map_err(|_| bad(out.len(), "an option of at most 65535 bytes"))?;
            data.extend(code.to_be_bytes());
            data.extend(len.to_be_bytes());
            data.extend(value);
        }
        let len = u16::try_from(data.len())
            .map_err(|_| bad(out.len(), "options of at most 65535 bytes"))?;
        out.extend(len.to_be_bytes());
        out.extend(data);
        Ok(())
    }

    fn from_record(opt: &Record) -> Edns {
        let mut options = Vec::new();
        if let Data::Other(bytes) = &opt.data {
            let mut c = Cursor { bytes, at: 0 };
            while let (Ok(code), Ok(len)) = (c.u16("an option code"), c.u16("an option length")) {
                let Ok(value) = c.take(usize::from(len), "an option") else {
                    break;
                };
                options.push((code, value.to_vec()));
            }
        }
        Edns {
            udp_size: opt.class,
            version: (opt.ttl >> 16) as u8,
            dnssec_ok: opt.ttl >> 15 & 1 == 1,
            flags: (opt.ttl & 0x7fff) as u16,
            options,
        }
    }
}

pub(crate) fn bad(at: usize, expected: &'static str) -> Malformed {
    Malformed {
        format: "DNS message (RFC 1035)",
        at,
        expected,
    }
}

/// A place in a message. Names need the whole of it, for their pointers.
pub(crate) struct Cursor<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn take(&mut self, n: usize, expected: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(n).ok_or(bad(self.at, expected))?;
        let taken = self.bytes.get(self.at..end).ok_or(bad(self.at, expected))?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        expected: &'static str,
    ) -> Result<[u8; N], Malformed> {
        let at = self.at;
        self.take(N, expected)?
            .try_into()
            .map_err(|_| bad(at, expected))
    }

    pub(crate) fn u8(&mut self, expected: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn u16(&mut self, expected: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn u32(&mut self, expected: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn name(&mut self) -> Result<String, Malformed> {
        let (name, next) = decode_name(self.bytes, self.at)?;
        self.at = next;
        Ok(name)
    }
}
