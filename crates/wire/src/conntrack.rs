//! Tracked connections (linux/netfilter/nfnetlink_conntrack.h, nf_conntrack_common.h), both ways.

use crate::Malformed;
use crate::netlink::{Attr, Attrs, Builder};
use crate::rtnl;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW`, the type of an entry.
pub const NEW: u16 = 0x100;
/// `IPCTNL_MSG_CT_GET`
pub const GET: u16 = 0x101;
/// `IPCTNL_MSG_CT_DELETE`
pub const DELETE: u16 = 0x102;
/// `IPCTNL_MSG_CT_GET_STATS_CPU`: counters, one message for each CPU.
pub const GET_STATS_CPU: u16 = 0x104;
/// `IPCTNL_MSG_CT_GET_STATS`: size of the table.
pub const GET_STATS: u16 = 0x105;

const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOINFO: u16 = 4;
const TIMEOUT: u16 = 7;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const IP_V4_SRC: u16 = 1;
const IP_V4_DST: u16 = 2;
const IP_V6_SRC: u16 = 3;
const IP_V6_DST: u16 = 4;
const PROTO_NUM: u16 = 1;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;
const PROTOINFO_TCP: u16 = 1;
const TCP_STATE: u16 = 1;
/// `IPS_SEEN_REPLY`
const SEEN_REPLY: u32 = 0x2;
/// `IPS_ASSURED`: not thrown out early when the table is full.
const ASSURED: u32 = 0x4;
/// `IPS_CONFIRMED`
const CONFIRMED: u32 = 0x8;

const TCP: u8 = 6;

/// `struct nfgenmsg`, the fixed header of every message here.
pub fn header(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// `IPPROTO_*`
    pub protocol: u8,
    /// Source; port 0 for protocols without ports.
    pub source: SocketAddr,
    /// Destination; port 0 for protocols without ports.
    pub destination: SocketAddr,
}

/// One tracked connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The direction of the first packet.
    pub original: Tuple,
    /// The direction in which answers are expected.
    pub reply: Tuple,
    /// `IPS_*`
    pub status: u32,
    /// TCP state number, of TCP.
    pub tcp_state: Option<u8>,
    /// Seconds until it is forgotten, 0 where the kernel does not say.
    pub timeout: u32,
}

impl Tuple {
    fn read(tuple: &Attr<'_>) -> Result<Tuple, Malformed> {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut found = Tuple {
            protocol: 0,
            source: SocketAddr::new(any, 0),
            destination: SocketAddr::new(any, 0),
        };
        for attr in tuple.nested() {
            let attr = attr?;
            match attr.kind {
                TUPLE_IP => {
                    for ip in attr.nested() {
                        let ip = ip?;
                        match ip.kind {
                            IP_V4_SRC | IP_V6_SRC => {
                                found.source.set_ip(rtnl::address(ip.payload)?)
                            }
                            IP_V4_DST | IP_V6_DST => {
                                found.destination.set_ip(rtnl::address(ip.payload)?)
                            }
                            _ => {}
                        }
                    }
                }
                TUPLE_PROTO => {
                    for part in attr.nested() {
                        let part = part?;
                        match part.kind {
                            PROTO_NUM => found.protocol = part.u8()?,
                            PROTO_SRC_PORT => found.source.set_port(part.be16()?),
                            PROTO_DST_PORT => found.destination.set_port(part.be16()?),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn write(&self, kind: u16, into: &mut Builder) {
        into.nest(kind, |tuple| {
            tuple.nest(TUPLE_IP, |ip| {
                let (source, destination) = if self.source.is_ipv4() {
                    (IP_V4_SRC, IP_V4_DST)
                } else {
                    (IP_V6_SRC, IP_V6_DST)
                };
                ip.put(source, &rtnl::octets(self.source.ip()));
                ip.put(destination, &rtnl::octets(self.destination.ip()));
            });
            tuple.nest(TUPLE_PROTO, |proto| {
                proto
                    .u8(PROTO_NUM, self.protocol)
                    .be16(PROTO_SRC_PORT, self.source.port())
                    .be16(PROTO_DST_PORT, self.destination.port());
            });
        });
    }
}

impl Entry {
    /// Reads the payload of a [`NEW`].
    pub fn read(payload: &[u8]) -> Result<Entry, Malformed> {
        let (mut original, mut reply) = (None, None);
        let (mut status, mut timeout, mut tcp_state) = (0, 0, None);
        for attr in Attrs::after(payload, 4)? {
            let attr = attr?;
            match attr.kind {
                TUPLE_ORIG => original = Some(Tuple::read(&attr)?),
                TUPLE_REPLY => reply = Some(Tuple::read(&attr)?),
                STATUS => status = attr.be32()?,
                TIMEOUT => timeout = attr.be32()?,
                PROTOINFO => tcp_state = read_tcp_state(&attr)?,
                _ => {}
            }
        }
        match (original, reply) {
            (Some(original), Some(reply)) => Ok(Entry {
                original,
                reply,
                status,
                tcp_state,
                timeout,
            }),
            _ => Err(Malformed {
                format: "conntrack entry",
                at: payload.len(),
                expected: "both directions",
            }),
        }
    }

    /// No answer was seen yet.
    pub fn unreplied(&self) -> bool {
        self.status & SEEN_REPLY == 0
    }

    /// The protocol as conntrack(8) writes it, a number where it has no word.
    pub fn protocol_word(&self) -> String {
        match self.original.protocol {
            1 => "icmp".into(),
            TCP => "tcp".into(),
            17 => "udp".into(),
            33 => "dccp".into(),
            47 => "gre".into(),
            58 => "icmpv6".into(),
            132 => "sctp".into(),
            136 => "udplite".into(),
            number => number.to_string(),
        }
    }

    /// The TCP state as conntrack(8) writes it, empty for other protocols.
    pub fn state_word(&self) -> &'static str {
        const WORDS: [&str; 10] = [
            "NONE",
            "SYN_SENT",
            "SYN_RECV",
            "ESTABLISHED",
            "FIN_WAIT",
            "CLOSE_WAIT",
            "LAST_ACK",
            "TIME_WAIT",
            "CLOSE",
            "SYN_SENT2",
        ];
        self.tcp_state
            .and_then(|state| WORDS.get(usize::from(state)))
            .copied()
            .unwrap_or("")
    }

    /// The number of a word of [`Entry::state_word`].
    pub fn state_number(word: &str) -> Option<u8> {
        (0..10).find(|number| {
            let entry = Entry {
                tcp_state: Some(*number),
                ..Entry::blank()
            };
            entry.state_word() == word
        })
    }

    fn blank() -> Entry {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let tuple = Tuple {
            protocol: 0,
            source: any,
            destination: any,
        };
        Entry {
            original: tuple,
            reply: tuple,
            status: 0,
            tcp_state: None,
            timeout: 0,
        }
    }

    /// The status of an entry that user space makes: confirmed, and assured once it was answered.
    pub fn made_status(unreplied: bool) -> u32 {
        if unreplied {
            CONFIRMED
        } else {
            CONFIRMED | SEEN_REPLY | ASSURED
        }
    }

    /// The payload that makes this entry ([`NEW`]); for protocols with ports.
    pub fn write(&self) -> Vec<u8> {
        let mut message = Builder::after(&header(rtnl::family(self.original.source.ip())));
        self.original.write(TUPLE_ORIG, &mut message);
        self.reply.write(TUPLE_REPLY, &mut message);
        message
            .be32(STATUS, self.status)
            .be32(TIMEOUT, self.timeout);
        if let Some(state) = self.tcp_state {
            message.nest(PROTOINFO, |info| {
                info.nest(PROTOINFO_TCP, |tcp| {
                    tcp.u8(TCP_STATE, state);
                });
            });
        }
        message.finish()
    }

    /// The payload that names this entry by its original direction ([`GET`], [`DELETE`]).
    pub fn name(&self) -> Vec<u8> {
        let mut message = Builder::after(&header(rtnl::family(self.original.source.ip())));
        self.original.write(TUPLE_ORIG, &mut message);
        message.finish()
    }
}

fn read_tcp_state(info: &Attr<'_>) -> Result<Option<u8>, Malformed> {
    for attr in info.nested() {
        let attr = attr?;
        if attr.kind == PROTOINFO_TCP {
            for part in attr.nested() {
                let part = part?;
                if part.kind == TCP_STATE {
                    return part.u8().map(Some);
                }
            }
        }
    }
    Ok(None)
}

/// Counters of one CPU, by the names of `conntrack -S`, from the payload of an answer to
/// [`GET_STATS_CPU`].
pub fn read_cpu_stats(payload: &[u8]) -> Result<Vec<(&'static str, u64)>, Malformed> {
    let mut found = Vec::new();
    for attr in Attrs::after(payload, 4)? {
        let attr = attr?;
        let name = match attr.kind {
            2 => "found",
            4 => "invalid",
            8 => "insert",
            9 => "insert_failed",
            10 => "drop",
            11 => "early_drop",
            12 => "error",
            13 => "search_restart",
            14 => "clash_resolve",
            15 => "chaintoolong",
            _ => continue,
        };
        found.push((name, u64::from(attr.be32()?)));
    }
    Ok(found)
}

/// Entries in the table and the most it takes, from the payload of an answer to [`GET_STATS`];
/// kernels before 5.8 do not tell the limit.
pub fn read_table_size(payload: &[u8]) -> Result<(Option<u64>, Option<u64>), Malformed> {
    let (mut count, mut max) = (None, None);
    for attr in Attrs::after(payload, 4)? {
        let attr = attr?;
        match attr.kind {
            1 => count = Some(u64::from(attr.be32()?)),
            2 => max = Some(u64::from(attr.be32()?)),
            _ => {}
        }
    }
    Ok((count, max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(from: &str, to: &str, reply_from: &str) -> Entry {
        let tuple = |a: &str, b: &str| Tuple {
            protocol: TCP,
            source: a.parse().unwrap(),
            destination: b.parse().unwrap(),
        };
        Entry {
            original: tuple(from, to),
            reply: tuple(reply_from, from),
            status: Entry::made_status(false),
            tcp_state: Some(3),
            timeout: 300,
        }
    }

    #[test]
    fn an_entry_comes_back_as_written() {
        for wanted in [
            entry("10.0.0.1:4000", "10.96.0.1:443", "10.244.0.5:6443"),
            entry("[fd00::1]:4000", "[fd00:96::1]:443", "[fd00:244::5]:6443"),
        ] {
            let read = Entry::read(&wanted.write()).unwrap();
            assert_eq!(read, wanted);
            assert_eq!(
                (read.protocol_word().as_str(), read.state_word()),
                ("tcp", "ESTABLISHED")
            );
            assert!(!read.unreplied());
        }
        assert_eq!(Entry::state_number("TIME_WAIT"), Some(7));
        assert_eq!(Entry::state_number("nonsense"), None);
    }

    #[test]
    fn mutated_messages_never_panic() {
        let valid = entry("10.0.0.1:4000", "10.96.0.1:443", "10.244.0.5:6443").write();
        crate::fuzz::mutations(&valid, 20_000, |bytes| {
            let _ = Entry::read(bytes).map(|e| (e.protocol_word(), e.state_word(), e.write()));
            let _ = (read_cpu_stats(bytes), read_table_size(bytes));
        });
    }
}
