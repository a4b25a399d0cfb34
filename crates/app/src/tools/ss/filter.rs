//! What is behind the flags: which sockets are wanted.

use super::Refused;
use super::about::{family_number, frame_number};
use super::plan::HELP;
use super::socket::{Detail, End, Socket};
use netshoot_host::names::{self, Hints};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// Parentheses and `not` inside of each other: more is nobody's question.
const DEEPEST: usize = 100;

/// How an address is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
    Unix,
    Link,
    Netlink,
}

impl Family {
    /// By its name.
    pub fn of(word: &str) -> Option<Family> {
        Some(match word {
            "inet" => Family::V4,
            "inet6" => Family::V6,
            "unix" => Family::Unix,
            "link" => Family::Link,
            "netlink" => Family::Netlink,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compared {
    fn of(word: &str) -> Option<Compared> {
        Some(match word {
            "=" | "==" | "eq" => Compared::Equal,
            "!=" | "ne" | "neq" => Compared::Unequal,
            "<" | "lt" => Compared::Less,
            "<=" | "le" | "leq" => Compared::LessOrEqual,
            ">" | "gt" => Compared::Greater,
            ">=" | "ge" | "geq" => Compared::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds(self, a: i64, b: i64) -> bool {
        match self {
            Compared::Equal => a == b,
            Compared::Unequal => a != b,
            Compared::Less => a < b,
            Compared::LessOrEqual => a <= b,
            Compared::Greater => a > b,
            Compared::GreaterOrEqual => a >= b,
        }
    }
}

/// What the address must be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    Any,
    /// One of these networks: address and length of the prefix.
    Ip(Vec<(IpAddr, u8)>),
    /// A pattern of names.
    Unix(String),
    /// The number of a protocol.
    Protocol(u32),
}

/// Which sockets are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    Not(Box<Filter>),
    All(Vec<Filter>),
    Any(Vec<Filter>),
    /// Own end or the other; its family if one was named; the port must be this one.
    Host(Side, Option<Family>, HostIs),
    Port(Side, PortIs),
    Device(u32, bool),
    /// Value, mask, whether it must be equal.
    Mark(u32, u32, bool),
    /// Path, whether it must be equal.
    Group(Option<u64>, bool),
    Autobound,
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Own,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostIs {
    address: Address,
    port: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortIs {
    compared: Compared,
    port: Option<i64>,
}

/// The ports that the kernel gives out by itself.
pub fn ephemeral() -> RangeInclusive<i64> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let text = text.unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|n| n.parse().ok());
    let first = numbers.next().unwrap_or(32768);
    first..=numbers.next().unwrap_or(60999)
}

impl Filter {
    /// Whether it lets a socket through.
    pub fn takes(&self, socket: &Socket, ephemeral: &RangeInclusive<i64>) -> bool {
        let end = |side: &Side| match side {
            Side::Own => &socket.local,
            Side::Other => &socket.peer,
        };
        match self {
            Filter::Not(inner) => !inner.takes(socket, ephemeral),
            Filter::All(each) => each.iter().all(|f| f.takes(socket, ephemeral)),
            Filter::Any(each) => each.iter().any(|f| f.takes(socket, ephemeral)),
            Filter::Host(side, family, is) => {
                let port = is.port.is_none_or(|p| port_of(end(side)) == Some(p));
                port && is.address.takes(end(side), *family)
            }
            Filter::Port(side, is) => match (is.port, port_of(end(side))) {
                (None, _) => true,
                (Some(wanted), Some(port)) => is.compared.holds(port, wanted),
                (Some(_), None) => is.compared == Compared::Unequal,
            },
            Filter::Device(index, equal) => (socket.interface == *index) == *equal,
            Filter::Mark(value, mask, equal) => {
                let mark = match &socket.detail {
                    Detail::Inet(s) => s.detail.mark.unwrap_or_default(),
                    _ => 0,
                };
                (mark & mask == *value) == *equal
            }
            Filter::Group(id, equal) => match &socket.detail {
                Detail::Inet(s) => (s.detail.cgroup == *id) == *equal,
                _ => false,
            },
            Filter::Autobound => match &socket.local {
                End::Ip(at) => ephemeral.contains(&at.port().into()),
                End::Unix(name, _) => name.is_none(),
                _ => false,
            },
        }
    }
}

fn port_of(end: &End) -> Option<i64> {
    match end {
        End::Ip(at) => Some(at.port().into()),
        End::Packet(_, interface) => Some((*interface).into()),
        End::Netlink(_, port) => Some((*port).into()),
        End::Unix(..) | End::Any => None,
    }
}

impl Address {
    fn takes(&self, end: &End, family: Option<Family>) -> bool {
        match (self, end) {
            (Address::Any, End::Ip(_)) => {
                !matches!(family, Some(Family::Link | Family::Unix | Family::Netlink))
            }
            (Address::Any, _) => true,
            (Address::Ip(nets), End::Ip(at)) => nets.iter().any(|n| within(at.ip(), *n)),
            (Address::Ip(nets), _) => nets.iter().any(|n| n.1 == 0),
            (Address::Unix(pattern), End::Unix(name, _)) => {
                let name = name.as_deref().unwrap_or_default().to_lowercase();
                fits(pattern.as_bytes(), name.as_bytes())
            }
            (Address::Protocol(number), End::Packet(protocol, _)) => {
                u32::from(*protocol) == *number
            }
            (Address::Protocol(number), End::Netlink(protocol, _)) => {
                u32::from(*protocol) == *number
            }
            _ => false,
        }
    }
}

fn within(ip: IpAddr, (net, length): (IpAddr, u8)) -> bool {
    match (net, ip, ip.to_canonical()) {
        (IpAddr::V4(net), _, IpAddr::V4(ip)) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(length.min(32)))
                .unwrap_or(0);
            (u32::from(net) ^ u32::from(ip)) & mask == 0
        }
        (IpAddr::V6(net), IpAddr::V6(ip), _) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(length.min(128)))
                .unwrap_or(0);
            (u128::from(net) ^ u128::from(ip)) & mask == 0
        }
        _ => false,
    }
}

/// A pattern with `*` and `?`.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what is behind the last star does not fit.
    let mut again = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                again = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(c) if *c == b'?' || Some(c) == text.get(t) => (p, t) = (p + 1, t + 1),
            _ => match again {
                Some((star, from)) => {
                    again = Some((star, from + 1));
                    (p, t) = (star, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|c| *c == b'*')
}

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

const KEYWORDS: &[&str] = &[
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::ss::plan::Kind;

    fn of(text: &str) -> Result<Option<Filter>, Refused> {
        let words: Vec<String> = text.split(' ').map(str::to_string).collect();
        read(&words, None)
    }

    fn takes(text: &str) -> bool {
        let socket = Socket {
            kind: Kind::Tcp,
            state: 1,
            queues: (0, 0),
            local: End::Ip("10.1.2.3:8080".parse().unwrap()),
            peer: End::Ip("[::ffff:10.9.0.1]:40000".parse().unwrap()),
            inode: 1,
            interface: 1,
            detail: Detail::Line,
        };
        of(text).unwrap().unwrap().takes(&socket, &(32768..=60999))
    }

    #[test]
    fn a_filter_takes_what_it_says() {
        for (text, wanted) in [
            ("sport = :8080", true),
            ("sport 8080", true),
            ("sport != :8080", false),
            ("dport ge 40000 and dport < 40001", true),
            ("src 10.0.0.0/8", true),
            ("src 10.1", false),
            ("dst 10.9.0.1", true),
            ("dst [::ffff:0:0/96]", true),
            ("dst [::1]", false),
            ("src 10.1.2.3:8081", false),
            ("( sport = :1 or sport = :8080 ) dst 10.9/16", true),
            ("not sport = :8080 or src 10/8", true),
            ("! ( sport = :8080 or src 11/8 )", false),
            ("autobound", false),
            ("dev 1", true),
            ("fwmark 0", true),
            ("src unix:x", false),
        ] {
            assert_eq!(takes(text), wanted, "{text}");
        }
        assert!(fits(b"*or*le", b"@oracle") && !fits(b"or*", b"@oracle") && fits(b"*", b""));
    }

    #[test]
    fn what_is_wrong_is_said_in_the_originals_words() {
        for (text, begins, code) in [
            ("sport", "ss: bison bellows", 255),
            ("( sport = :1", "ss: bison bellows", 255),
            (
                "sport = :x-y",
                "Error: \"x-y\" does not look like a port.",
                1,
            ),
            (
                "nobody.invalid/3",
                "Error: an inet prefix is expected rather than",
                1,
            ),
            (
                "dst ::1",
                "Error: an inet prefix is expected rather than \":\".",
                1,
            ),
            ("dev nosuch", "Cannot parse device.", 1),
            ("fwmark = x", "Cannot parse mark x.", 1),
        ] {
            let refused = of(text).unwrap_err();
            assert!(refused.said.starts_with(begins), "{text}: {}", refused.said);
            assert_eq!(refused.code, code, "{text}");
        }
    }

    #[test]
    fn damaged_filters_end() {
        let valid = "( sport = :80 or not dst 10.0.0.0/8 ) and dev lo";
        // No names: each would be looked up.
        netshoot_wire::fuzz::texts(&[valid], 3_000, |text| {
            let words: Vec<String> = text.split(' ').map(str::to_string).collect();
            let figures = |w: &String| !w.chars().any(char::is_alphabetic);
            let known = words
                .iter()
                .all(|w| KEYWORDS.contains(&w.as_str()) || figures(w));
            if known {
                let _ = read(&words, None);
            }
        });
        let deep = vec!["(".to_string(); 100_000];
        assert_eq!(read(&deep, None).unwrap_err().code, 255);
        let deep = vec!["!".to_string(); 100_000];
        assert_eq!(read(&deep, None).unwrap_err().code, 255);
    }
}
