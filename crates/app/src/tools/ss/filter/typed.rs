//! Filters as they are typed, read into conditions.

use super::*;
use crate::tools::ss::about::{family_number, frame_number};

/// Reads the words behind the flags.
pub fn read(words: &[String], family: Option<Family>) -> Result<Option<Filter>, Refused> {
    let words: Vec<&str> = words.iter().flat_map(|w| w.split_whitespace()).collect();
    if words.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader {
        words: &words,
        family,
        depth: 0,
    };
    let filter = reader.or()?;
    match reader.words {
        [] => Ok(Some(filter)),
        [word, ..] => {
            // A word that is none of the grammar's is taken for an address before its place is found wrong.
            if !KEYWORDS.contains(word) && Compared::of(word).is_none() {
                reader.host(word)?;
            }
            Err(syntax())
        }
    }
}

pub(super) const KEYWORDS: &[&str] = &[
    "(",
    ")",
    "!",
    "not",
    "|",
    "||",
    "or",
    "&",
    "&&",
    "and",
    "src",
    "dst",
    "sport",
    "dport",
    "dev",
    "fwmark",
    "cgroup",
    "autobound",
];

fn syntax() -> Refused {
    let said =
        format!("ss: bison bellows (while parsing filter): \"syntax error!\" Sorry.\n{HELP}");
    Refused::new(255, said.trim_end())
}

fn cannot(said: &str) -> Refused {
    Refused::new(1, format!("{said}Cannot parse dst/src address."))
}

struct Reader<'a> {
    words: &'a [&'a str],
    family: Option<Family>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn skip(&mut self, any: &[&str]) -> bool {
        let found = self.words.first().is_some_and(|w| any.contains(w));
        if found {
            self.next();
        }
        found
    }

    fn or(&mut self) -> Result<Filter, Refused> {
        let mut any = vec![self.and()?];
        while self.skip(&["|", "||", "or"]) {
            any.push(self.and()?);
        }
        Ok(Filter::Any(any))
    }

    fn and(&mut self) -> Result<Filter, Refused> {
        let mut all = vec![self.one()?];
        loop {
            let said = self.skip(&["&", "&&", "and"]);
            let ends = ["|", "||", "or", ")"];
            let more = self
                .words
                .first()
                .is_some_and(|w| KEYWORDS.contains(w) && !ends.contains(w));
            if !said && !more {
                return Ok(Filter::All(all));
            }
            all.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Filter, Refused> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(syntax());
        }
        let found = self.condition();
        self.depth -= 1;
        found
    }

    fn condition(&mut self) -> Result<Filter, Refused> {
        let Some(word) = self.next() else {
            return Err(syntax());
        };
        match word {
            "!" | "not" => Ok(Filter::Not(Box::new(self.one()?))),
            "(" => {
                let inner = self.or()?;
                match self.next() {
                    Some(")") => Ok(inner),
                    _ => Err(syntax()),
                }
            }
            "autobound" => Ok(Filter::Autobound),
            "src" | "dst" => {
                let side = if word == "src" {
                    Side::Own
                } else {
                    Side::Other
                };
                self.skip(&["=", "==", "eq"]);
                let word = self.value()?;
                let (family, is) = self.host(word)?;
                Ok(Filter::Host(side, family, is))
            }
            "sport" | "dport" => {
                let side = if word == "sport" {
                    Side::Own
                } else {
                    Side::Other
                };
                let compared = self.compared().unwrap_or(Compared::Equal);
                let word = self.value()?;
                let port = self.port(word.strip_prefix(':').unwrap_or(word), self.family)?;
                Ok(Filter::Port(side, PortIs { compared, port }))
            }
            "dev" | "fwmark" | "cgroup" => {
                let equal = match self.compared() {
                    None | Some(Compared::Equal) => true,
                    Some(Compared::Unequal) => false,
                    Some(_) => return Err(syntax()),
                };
                let value = self.value()?;
                match word {
                    "dev" => device(value, equal),
                    "fwmark" => mark(value, equal),
                    _ => group(value, equal),
                }
            }
            other => {
                if !KEYWORDS.contains(&other) && Compared::of(other).is_none() {
                    self.host(other)?;
                }
                Err(syntax())
            }
        }
    }

    fn compared(&mut self) -> Option<Compared> {
        let found = self.words.first().and_then(|w| Compared::of(w))?;
        self.next();
        Some(found)
    }

    /// A word that is none of the grammar's.
    fn value(&mut self) -> Result<&'a str, Refused> {
        let word = self.next().filter(|w| !KEYWORDS.contains(w));
        word.filter(|w| Compared::of(w).is_none())
            .ok_or_else(syntax)
    }

    /// `[FAMILY:]ADDRESS[:PORT]`.
    fn host(&self, word: &str) -> Result<(Option<Family>, HostIs), Refused> {
        let named = word
            .split_once(':')
            .and_then(|(f, rest)| Some((Family::of(f)?, rest)));
        let (family, word) = match named {
            Some((family, rest)) => (Some(family), rest),
            None => (self.family, word),
        };
        if family == Some(Family::Unix) {
            let address = Address::Unix(word.to_lowercase());
            return Ok((
                family,
                HostIs {
                    address,
                    port: None,
                },
            ));
        }
        let (address, port) = match word.strip_prefix('[') {
            Some(rest) => {
                let (inside, behind) = rest.split_once(']').ok_or_else(|| cannot(""))?;
                (inside, behind.strip_prefix(':').unwrap_or(behind))
            }
            None => word.rsplit_once(':').unwrap_or((word, "")),
        };
        let port = self.port(port, family)?;
        let address = match (address, family) {
            ("" | "*", _) => Address::Any,
            (name, Some(Family::Link)) => protocol(name, frame_number(&name.to_lowercase()))?,
            (name, Some(Family::Netlink)) => protocol(name, family_number(name).map(u32::from))?,
            (text, family) => Address::Ip(networks(text, family)?),
        };
        Ok((family, HostIs { address, port }))
    }

    /// None stands for every port.
    fn port(&self, word: &str, family: Option<Family>) -> Result<Option<i64>, Refused> {
        let number = match word {
            "" | "*" => return Ok(None),
            "kernel" if family == Some(Family::Netlink) => Some(0),
            word => word.parse::<i32>().ok().map(i64::from),
        };
        if number == Some(-1) {
            return Ok(None);
        }
        let found = number.or_else(|| match family {
            Some(Family::Link) => netshoot_host::link::index(word).ok().map(i64::from),
            Some(Family::Netlink | Family::Unix) => None,
            _ => service(word),
        });
        let said = || cannot(&format!("Error: \"{word}\" does not look like a port.\n"));
        found.map(Some).ok_or_else(said)
    }
}

fn protocol(name: &str, number: Option<u32>) -> Result<Address, Refused> {
    let said = || cannot(&format!("Error: \"{name}\" is not a protocol.\n"));
    number.map(Address::Protocol).ok_or_else(said)
}

/// The number of a service's name.
fn service(name: &str) -> Option<i64> {
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
        let hints = Hints {
            family: libc::AF_INET,
            kind,
            flags: 0,
        };
        let found = names::resolve(None, Some(name), hints).unwrap_or_default();
        if let Some(at) = found.addresses.first() {
            return Some(at.port().into());
        }
    }
    None
}

/// An address or a name, with or without the length of a prefix.
fn networks(text: &str, family: Option<Family>) -> Result<Vec<(IpAddr, u8)>, Refused> {
    let said = || {
        cannot(&format!(
            "Error: an inet prefix is expected rather than \"{text}\".\n"
        ))
    };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().map_err(|_| said())?)),
        None => (text, None),
    };
    let v4 = Some(address)
        .filter(|_| family != Some(Family::V6))
        .and_then(quads);
    let v6 = address
        .parse::<Ipv6Addr>()
        .ok()
        .filter(|_| family != Some(Family::V4));
    let found = v4.map(IpAddr::V4).or(v6.map(IpAddr::V6));
    if let Some(ip) = found {
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(most);
        return if length <= most {
            Ok(vec![(ip, length)])
        } else {
            Err(said())
        };
    }
    if length.is_some() || !address.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(said());
    }
    let hints = Hints {
        family: match family {
            Some(Family::V4) => libc::AF_INET,
            Some(Family::V6) => libc::AF_INET6,
            _ => 0,
        },
        kind: libc::SOCK_STREAM,
        flags: 0,
    };
    let found = names::resolve(Some(address), None, hints).map_err(|_| said())?;
    let each = found
        .addresses
        .iter()
        .map(|a| (a.ip(), if a.is_ipv4() { 32 } else { 128 }));
    Ok(each.collect())
}

/// One to four numbers with points between; those that are missing are zero.
fn quads(text: &str) -> Option<Ipv4Addr> {
    let mut bytes = [0u8; 4];
    for (i, part) in text.split('.').enumerate() {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        *bytes.get_mut(i)? = part.parse().ok().filter(|_| digits)?;
    }
    Some(bytes.into())
}

fn device(name: &str, equal: bool) -> Result<Filter, Refused> {
    let index = netshoot_host::link::index(name)
        .ok()
        .or_else(|| name.parse().ok());
    let index = index.ok_or_else(|| Refused::new(1, "Cannot parse device."))?;
    Ok(Filter::Device(index, equal))
}

fn mark(text: &str, equal: bool) -> Result<Filter, Refused> {
    let number = |t: &str| match t.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => t.parse().ok(),
    };
    let (value, mask) = text
        .split_once('/')
        .map_or((text, None), |(v, m)| (v, Some(m)));
    match (number(value), mask.map_or(Some(u32::MAX), number)) {
        (Some(value), Some(mask)) => Ok(Filter::Mark(value, mask, equal)),
        _ => Err(Refused::new(1, format!("Cannot parse mark {text}."))),
    }
}

fn group(path: &str, equal: bool) -> Result<Filter, Refused> {
    let all = netshoot_host::groups::paths();
    let found = all
        .iter()
        .find(|(_, p)| p.as_str() == path)
        .map(|(id, _)| *id);
    match found {
        Some(id) => Ok(Filter::Group(Some(id), equal)),
        None => {
            let said = format!(
                "Failed to get cgroup2 ID: No such file or directory\nCannot parse cgroup {path}."
            );
            Err(Refused::new(1, said))
        }
    }
}
