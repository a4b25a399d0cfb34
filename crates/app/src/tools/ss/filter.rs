//! What is behind the flags: which sockets are wanted.

mod typed;

pub use typed::read;

use super::Refused;
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

#[cfg(test)]
mod tests {
    use super::typed::KEYWORDS;
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
