//! Resource records (RFC 1035, 3.2 and 3.3; AAAA: RFC 3596; SRV: RFC 2782).

use super::{CLASS_IN, Cursor, bad, layout, name, rtype, type_word};
use crate::Malformed;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A resource record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Owner name, without the final dot.
    pub name: String,
    /// Type, [`rtype`].
    pub rtype: u16,
    /// Class, [`CLASS_IN`]; for OPT the sender's UDP size.
    pub class: u16,
    /// Time to live, seconds.
    pub ttl: u32,
    /// Data.
    pub data: Data,
}

/// Data of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Canonical name.
    Cname(String),
    /// Name server.
    Ns(String),
    /// Pointer.
    Ptr(String),
    /// Mail exchange: preference and name.
    Mx(u16, String),
    /// Text: strings of at most 255 bytes.
    Txt(Vec<Vec<u8>>),
    /// Start of authority.
    Soa(Soa),
    /// Service location.
    Srv(Srv),
    /// Anything else, or data that do not parse as their type's.
    Other(Vec<u8>),
}

/// Start of authority. Times are seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Soa {
    /// Primary name server.
    pub mname: String,
    /// Mailbox of who is responsible.
    pub rname: String,
    /// Version of the zone.
    pub serial: u32,
    /// Interval between refreshes.
    pub refresh: u32,
    /// Interval between failed refreshes.
    pub retry: u32,
    /// When the zone is no longer authoritative.
    pub expire: u32,
    /// Time to live of a negative answer (RFC 2308).
    pub minimum: u32,
}

/// Service location.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Srv {
    /// Lower is tried first.
    pub priority: u16,
    /// Share among equals.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Host name.
    pub target: String,
}

impl Data {
    /// The type these data are of; none for [`Data::Other`].
    pub fn rtype(&self) -> Option<u16> {
        Some(match self {
            Data::A(_) => rtype::A,
            Data::Aaaa(_) => rtype::AAAA,
            Data::Cname(_) => rtype::CNAME,
            Data::Ns(_) => rtype::NS,
            Data::Ptr(_) => rtype::PTR,
            Data::Mx(..) => rtype::MX,
            Data::Txt(_) => rtype::TXT,
            Data::Soa(_) => rtype::SOA,
            Data::Srv(_) => rtype::SRV,
            Data::Other(_) => return None,
        })
    }

    /// The address of an A or AAAA record.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Data::A(a) => Some(IpAddr::V4(*a)),
            Data::Aaaa(a) => Some(IpAddr::V6(*a)),
            _ => None,
        }
    }
}

impl fmt::Display for Data {
    /// The data as in a zone file, names with their final dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::A(a) => write!(f, "{a}"),
            Data::Aaaa(a) => write!(f, "{a}"),
            Data::Cname(n) | Data::Ns(n) | Data::Ptr(n) => write!(f, "{n}."),
            Data::Mx(preference, n) => write!(f, "{preference} {n}."),
            Data::Txt(strings) => {
                for (i, s) in strings.iter().enumerate() {
                    write!(
                        f,
                        "{}\"{}\"",
                        if i == 0 { "" } else { " " },
                        s.escape_ascii()
                    )?;
                }
                Ok(())
            }
            Data::Soa(s) => {
                write!(
                    f,
                    "{}. {}. {} {} {} {} {}",
                    s.mname, s.rname, s.serial, s.refresh, s.retry, s.expire, s.minimum
                )
            }
            Data::Srv(s) => write!(f, "{} {} {} {}.", s.priority, s.weight, s.port, s.target),
            Data::Other(bytes) => {
                write!(f, "\\# {}", bytes.len())?; // RFC 3597
                if !bytes.is_empty() {
                    write!(f, " ")?;
                }
                bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
    }
}

impl fmt::Display for Record {
    /// `10.0.0.1` for an address, `CNAME x.example.` and the like for anything else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Data::A(_) | Data::Aaaa(_) => write!(f, "{}", self.data),
            data => write!(f, "{} {data}", type_word(self.rtype)),
        }
    }
}

impl Record {
    /// A record of class IN; the type follows from the data ([`Data::Other`] gets type 0, set it).
    pub fn new(name: impl Into<String>, ttl: u32, data: Data) -> Record {
        Record {
            name: name.into(),
            rtype: data.rtype().unwrap_or(0),
            class: CLASS_IN,
            ttl,
            data,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>, seen: &mut name::Seen) -> Result<(), Malformed> {
        name::encode(&self.name, out, Some(seen))?;
        out.extend(self.rtype.to_be_bytes());
        out.extend(self.class.to_be_bytes());
        out.extend(self.ttl.to_be_bytes());
        let at = out.len();
        out.extend([0, 0]);
        self.encode_data(out, &mut Some(seen))?;
        let start = at.saturating_add(2);
        let len = u16::try_from(out.len().saturating_sub(start))
            .map_err(|_| bad(start, "record data of at most 65535 bytes"))?;
        if let Some(field) = out.get_mut(at..start) {
            field.copy_from_slice(&len.to_be_bytes());
        }
        Ok(())
    }

    /// The data's bytes with every name whole.
    pub fn raw(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let ended = self.encode_data(&mut out, &mut None);
        if ended.is_err() {
            out.clear();
        }
        out
    }

    /// Only the types of RFC 1035 may have compressed names inside (RFC 3597, 4).
    fn encode_data(
        &self,
        out: &mut Vec<u8>,
        seen: &mut Option<&mut name::Seen>,
    ) -> Result<(), Malformed> {
        match &self.data {
            Data::A(a) => out.extend(a.octets()),
            Data::Aaaa(a) => out.extend(a.octets()),
            Data::Cname(n) | Data::Ns(n) | Data::Ptr(n) => {
                name::encode(n, out, seen.as_deref_mut())?
            }
            Data::Mx(preference, n) => {
                out.extend(preference.to_be_bytes());
                name::encode(n, out, seen.as_deref_mut())?;
            }
            Data::Txt(strings) => {
                for s in strings {
                    out.push(
                        u8::try_from(s.len())
                            .map_err(|_| bad(out.len(), "a string of at most 255 bytes"))?,
                    );
                    out.extend(s);
                }
            }
            Data::Soa(s) => {
                name::encode(&s.mname, out, seen.as_deref_mut())?;
                name::encode(&s.rname, out, seen.as_deref_mut())?;
                for number in [s.serial, s.refresh, s.retry, s.expire, s.minimum] {
                    out.extend(number.to_be_bytes());
                }
            }
            Data::Srv(s) => {
                for number in [s.priority, s.weight, s.port] {
                    out.extend(number.to_be_bytes());
                }
                name::encode(&s.target, out, None)?;
            }
            Data::Other(bytes) => out.extend(bytes),
        }
        Ok(())
    }

    pub(super) fn decode(c: &mut Cursor<'_>) -> Result<Record, Malformed> {
        let name = c.name()?;
        let rtype = c.u16("a record type")?;
        let class = c.u16("a record class")?;
        let ttl = c.u32("a time to live")?;
        let len = usize::from(c.u16("a data length")?);
        let start = c.at;
        let raw = c.take(len, "record data inside the message")?;
        // Names inside may point anywhere before, but must not run over the end of the data.
        let mut inner = Cursor {
            bytes: c.bytes.get(..c.at).unwrap_or_default(),
            at: start,
        };
        let data = match decode_data(rtype, &mut inner) {
            Ok(Some(data)) if inner.at == c.at => data,
            _ => {
                inner.at = start;
                let whole = layout::whole(rtype, &mut inner);
                Data::Other(whole.unwrap_or_else(|_| raw.to_vec()))
            }
        };
        Ok(Record {
            name,
            rtype,
            class,
            ttl,
            data,
        })
    }
}

fn decode_data(number: u16, c: &mut Cursor<'_>) -> Result<Option<Data>, Malformed> {
    Ok(Some(match number {
        rtype::A => Data::A(c.array::<4>("an IPv4 address")?.into()),
        rtype::AAAA => Data::Aaaa(c.array::<16>("an IPv6 address")?.into()),
        rtype::CNAME => Data::Cname(c.name()?),
        rtype::NS => Data::Ns(c.name()?),
        rtype::PTR => Data::Ptr(c.name()?),
        rtype::MX => Data::Mx(c.u16("a preference")?, c.name()?),
        rtype::TXT => {
            let mut strings = Vec::new();
            while c.at < c.bytes.len() {
                let len = c.u8("a string length")?;
                strings.push(c.take(usize::from(len), "a string")?.to_vec());
            }
            Data::Txt(strings)
        }
        rtype::SOA => Data::Soa(Soa {
            mname: c.name()?,
            rname: c.name()?,
            serial: c.u32("a serial")?,
            refresh: c.u32("a refresh time")?,
            retry: c.u32("a retry time")?,
            expire: c.u32("an expire time")?,
            minimum: c.u32("a minimum time")?,
        }),
        rtype::SRV => Data::Srv(Srv {
            priority: c.u16("a priority")?,
            weight: c.u16("a weight")?,
            port: c.u16("a port")?,
            target: c.name()?,
        }),
        _ => return Ok(None),
    }))
}
