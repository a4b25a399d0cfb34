//! x_tables matches and targets, which iptables puts into nf_tables rules (linux/netfilter/xt_*.h).
//!
//! Numbers in these structures are in the byte order of the machine, addresses and most ports of
//! NAT ranges in that of the network.

use super::Family;
use super::expr::Xt;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an x_tables match or target says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XtMeaning {
    /// `-m comment`
    Comment(String),
    /// `-m statistic --mode random`: matches `probability` of 2^31.
    StatisticRandom {
        /// Share, of 2^31.
        probability: u32,
        /// The others match.
        inverted: bool,
    },
    /// `-m statistic --mode nth`
    StatisticNth {
        /// One of so many (the structure holds one less).
        every: u32,
        /// Which.
        packet: u32,
        /// The others match.
        inverted: bool,
    },
    /// `-m addrtype`: bits by `RTN_*` number, 0 for not asked (LOCAL is bit 2).
    Addrtype {
        /// Types of the source.
        source: u16,
        /// Types of the destination.
        destination: u16,
        /// The source must not be of them.
        invert_source: bool,
        /// The destination must not be of them.
        invert_destination: bool,
    },
    /// `-m mark`
    Mark {
        /// Value.
        mark: u32,
        /// Bits looked at.
        mask: u32,
        /// The others match.
        inverted: bool,
    },
    /// `-m conntrack`, state and status only.
    Conntrack {
        /// Fields looked at (`enum` of xt_conntrack.h: 1 state, 2 protocol, 64 status, 4096 direction ...).
        fields: u16,
        /// Fields that must not match.
        inverted: u16,
        /// States: invalid 1, established 2, related 4, new 8, SNAT 64, DNAT 128, untracked 256.
        states: u16,
        /// `IPS_*` bits.
        statuses: u16,
    },
    /// `-m state`: as the states of conntrack.
    State(u16),
    /// `-m tcp`
    Tcp {
        /// First and last source port.
        source: (u16, u16),
        /// First and last destination port.
        destination: (u16, u16),
        /// Flag bits looked at.
        flag_mask: u8,
        /// Which of them are set.
        flags: u8,
        /// 1 source port, 2 destination port, 4 flags, 8 option.
        inverted: u8,
    },
    /// `-m udp`
    Udp {
        /// First and last source port.
        source: (u16, u16),
        /// First and last destination port.
        destination: (u16, u16),
        /// 1 source port, 2 destination port.
        inverted: u8,
    },
    /// `-m multiport`: first and last of each.
    Multiport {
        /// 0 source, 1 destination, 2 either.
        which: u8,
        /// Ports.
        ports: Vec<(u16, u16)>,
        /// The others match.
        inverted: bool,
    },
    /// `-p icmp` or `-p icmpv6` with a type.
    Icmp {
        /// Type, 255 for any.
        kind: u8,
        /// First and last code.
        codes: (u8, u8),
        /// The others match.
        inverted: bool,
    },
    /// `-j MARK`: `mark = (mark & !mask) ^ value`.
    SetMark {
        /// Value.
        value: u32,
        /// Bits cleared before.
        mask: u32,
    },
    /// `-j DNAT`, `-j SNAT`
    Nat {
        /// Destination rather than source.
        destination: bool,
        /// First and last address.
        addresses: Option<(IpAddr, IpAddr)>,
        /// First and last port.
        ports: Option<(u16, u16)>,
        /// Flags as in [`super::expr::NAT_RANDOM`].
        flags: u32,
    },
    /// `-j MASQUERADE`
    Masquerade {
        /// First and last port.
        ports: Option<(u16, u16)>,
        /// Flags as in [`super::expr::NAT_RANDOM`].
        flags: u32,
    },
    /// `-j REDIRECT`
    Redirect {
        /// First and last port.
        ports: Option<(u16, u16)>,
    },
    /// `-j REJECT`: number of `enum ipt_reject_with` or `enum ip6t_reject_with`.
    Reject(u32),
    /// `-j TCPMSS`: the MSS, 65535 for clamped to the path's.
    TcpMss(u16),
    /// A jump to what this reader does not know.
    Unknown,
}

/// The structure, read from front to back; past its end everything is 0.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0
            .get(at..)
            .and_then(|b| b.first_chunk::<N>())
            .copied()
            .unwrap_or([0; N])
    }

    fn u8(&self, at: usize) -> u8 {
        let [b] = self.array::<1>(at);
        b
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.array(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }

    fn be16(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    fn pair(&self, at: usize) -> (u16, u16) {
        (self.u16(at), self.u16(at.saturating_add(2)))
    }

    fn address(&self, family: Family, at: usize) -> IpAddr {
        if family == Family::Ip6 {
            IpAddr::V6(Ipv6Addr::from(self.array::<16>(at)))
        } else {
            IpAddr::V4(Ipv4Addr::from(self.array::<4>(at)))
        }
    }
}

impl Xt {
    /// What the match says; `family` is that of its table. A structure shorter than it should be
    /// reads as if zeros followed.
    pub fn read_match(&self, family: Family) -> XtMeaning {
        let b = Bytes(&self.info);
        match (self.name.as_str(), self.revision) {
            ("comment", _) => {
                let text = self.info.split(|c| *c == 0).next().unwrap_or(&[]);
                XtMeaning::Comment(String::from_utf8_lossy(text).into_owned())
            }
            ("statistic", _) if b.u16(0) == 0 => XtMeaning::StatisticRandom {
                probability: b.u32(4),
                inverted: b.u16(2) & 1 != 0,
            },
            ("statistic", _) => XtMeaning::StatisticNth {
                every: b.u32(4).saturating_add(1),
                packet: b.u32(8),
                inverted: b.u16(2) & 1 != 0,
            },
            ("addrtype", 0) => XtMeaning::Addrtype {
                source: b.u16(0),
                destination: b.u16(2),
                invert_source: b.u32(4) != 0,
                invert_destination: b.u32(8) != 0,
            },
            ("addrtype", _) => XtMeaning::Addrtype {
                source: b.u16(0),
                destination: b.u16(2),
                invert_source: b.u32(4) & 1 != 0,
                invert_destination: b.u32(4) & 2 != 0,
            },
            ("mark", 1..) => XtMeaning::Mark {
                mark: b.u32(0),
                mask: b.u32(4),
                inverted: b.u8(8) != 0,
            },
            ("conntrack", 2..) => XtMeaning::Conntrack {
                fields: b.u16(146),
                inverted: b.u16(148),
                states: b.u16(150),
                statuses: b.u16(152),
            },
            ("state", _) => XtMeaning::State(u16::try_from(b.u32(0)).unwrap_or(u16::MAX)),
            ("tcp", _) => XtMeaning::Tcp {
                source: b.pair(0),
                destination: b.pair(4),
                flag_mask: b.u8(9),
                flags: b.u8(10),
                inverted: b.u8(11),
            },
            ("udp", _) => XtMeaning::Udp {
                source: b.pair(0),
                destination: b.pair(4),
                inverted: b.u8(8),
            },
            ("multiport", 1..) => multiport(&b),
            ("icmp" | "icmp6", _) => XtMeaning::Icmp {
                kind: b.u8(0),
                codes: (b.u8(1), b.u8(2)),
                inverted: b.u8(3) & 1 != 0,
            },
            _ => {
                let _ = family; // addresses stand only in parts of matches not read yet
                XtMeaning::Unknown
            }
        }
    }

    /// What the target does; `family` is that of its table. A structure shorter than it should be
    /// reads as if zeros followed.
    pub fn read_target(&self, family: Family) -> XtMeaning {
        let b = Bytes(&self.info);
        match (self.name.as_str(), self.revision) {
            ("MARK", 2..) => XtMeaning::SetMark {
                value: b.u32(0),
                mask: b.u32(4),
            },
            ("DNAT" | "SNAT", revision) => {
                let range = nat_range(&b, family, revision == 0 && family != Family::Ip6);
                XtMeaning::Nat {
                    destination: self.name == "DNAT",
                    addresses: range.addresses,
                    ports: range.ports,
                    flags: range.flags,
                }
            }
            ("MASQUERADE", _) => {
                let range = nat_range(&b, family, family != Family::Ip6);
                XtMeaning::Masquerade {
                    ports: range.ports,
                    flags: range.flags,
                }
            }
            ("REDIRECT", _) => XtMeaning::Redirect {
                ports: nat_range(&b, family, family != Family::Ip6).ports,
            },
            ("REJECT", _) => XtMeaning::Reject(b.u32(0)),
            ("TCPMSS", _) => XtMeaning::TcpMss(b.u16(0)),
            _ => XtMeaning::Unknown,
        }
    }
}

struct Range {
    addresses: Option<(IpAddr, IpAddr)>,
    ports: Option<(u16, u16)>,
    flags: u32,
}

/// `struct nf_nat_ipv4_multi_range_compat` (a count, then 4-byte addresses) or `struct nf_nat_range`.
fn nat_range(b: &Bytes<'_>, family: Family, old: bool) -> Range {
    let (flags, first, last, ports) = if old { (4, 8, 12, 16) } else { (0, 4, 20, 36) };
    let bits = b.u32(flags);
    Range {
        addresses: (bits & 1 != 0).then(|| (b.address(family, first), b.address(family, last))),
        ports: (bits & 2 != 0).then(|| (b.be16(ports), b.be16(ports.saturating_add(2)))),
        flags: bits & !3,
    }
}

/// `struct xt_multiport_v1`: a port with its flag is the first of a range that the next one ends.
fn multiport(b: &Bytes<'_>) -> XtMeaning {
    let count = usize::from(b.u8(1)).min(15);
    let mut ports = Vec::new();
    let mut at = 0;
    while at < count {
        let first = b.u16(2 + at * 2);
        let range = b.u8(32 + at) != 0 && at + 1 < count;
        at += usize::from(range);
        ports.push((first, b.u16(2 + at * 2)));
        at += 1;
    }
    XtMeaning::Multiport {
        which: b.u8(0),
        ports,
        inverted: b.u8(47) != 0,
    }
}
