//! Rules and elements written down the way `nft` would: one method a match or statement.

use super::expr::{BitOp, CmpOp, CtKey, DynsetOp, Expr, MetaKey, NatKind, PayloadBase};
use super::{Element, Rule, Set, Verdict};
use std::net::IpAddr;

/// `ct state` bits (`NF_CT_STATE_*`).
pub mod state {
    /// `invalid`
    pub const INVALID: u32 = 1;
    /// `established`
    pub const ESTABLISHED: u32 = 2;
    /// `related`
    pub const RELATED: u32 = 4;
    /// `new`
    pub const NEW: u32 = 8;
}

/// nft's key type numbers, for [`Set::key_type`]; a concatenation is 6 bits a part.
pub mod key_type {
    /// `integer`
    pub const INTEGER: u32 = 4;
    /// `ipv4_addr`
    pub const IPV4: u32 = 7;
    /// `ipv6_addr`
    pub const IPV6: u32 = 8;
    /// `inet_proto`
    pub const PROTOCOL: u32 = 12;
    /// `inet_service`
    pub const PORT: u32 = 13;

    /// Of parts, one after the other.
    pub fn concat(parts: &[u32]) -> u32 {
        parts.iter().fold(0, |all, part| all << 6 | part)
    }
}

/// Source or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where a packet comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// Offset and length of an address in the IP header (RFC 791, RFC 8200).
fn address_at(v6: bool, end: End) -> (u32, u32) {
    match (v6, end) {
        (false, End::Source) => (12, 4),
        (false, End::Destination) => (16, 4),
        (true, End::Source) => (8, 16),
        (true, End::Destination) => (24, 16),
    }
}

/// The bytes of an address.
pub fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// A device name as the kernel compares it.
fn name16(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = name.bytes().take(15).collect();
    bytes.resize(16, 0);
    bytes
}

impl Rule {
    /// A rule without anything: every packet, no decision.
    pub fn new() -> Rule {
        Rule::default()
    }

    /// With a comment.
    pub fn comment(mut self, text: &str) -> Rule {
        self.comment = text.into();
        self
    }

    /// With one more expression.
    pub fn expr(mut self, expr: Expr) -> Rule {
        self.exprs.push(expr);
        self
    }

    fn cmp(self, op: CmpOp, data: Vec<u8>) -> Rule {
        self.expr(Expr::Cmp { sreg: 1, op, data })
    }

    fn equal(self, equal: bool, data: Vec<u8>) -> Rule {
        self.cmp(if equal { CmpOp::Eq } else { CmpOp::Neq }, data)
    }

    /// `meta KEY` into register 1.
    pub fn meta(self, key: MetaKey) -> Rule {
        self.expr(Expr::Meta { dreg: 1, key })
    }

    /// IPv4 or IPv6 only, for a table of family `inet`.
    pub fn ip_version(self, v6: bool) -> Rule {
        self.meta(MetaKey::Nfproto)
            .cmp(CmpOp::Eq, vec![if v6 { 10 } else { 2 }])
    }

    /// `meta l4proto NUMBER`
    pub fn protocol(self, number: u8) -> Rule {
        self.meta(MetaKey::L4proto).cmp(CmpOp::Eq, vec![number])
    }

    /// `iifname NAME`, or not.
    pub fn iifname(self, equal: bool, name: &str) -> Rule {
        self.meta(MetaKey::Iifname).equal(equal, name16(name))
    }

    /// `oifname NAME`, or not.
    pub fn oifname(self, equal: bool, name: &str) -> Rule {
        self.meta(MetaKey::Oifname).equal(equal, name16(name))
    }

    /// An address of the packet into a register.
    pub fn load_address(self, dreg: u32, v6: bool, end: End) -> Rule {
        let (offset, len) = address_at(v6, end);
        self.expr(Expr::Payload {
            dreg,
            base: PayloadBase::Network,
            offset,
            len,
        })
    }

    /// A port of the packet into a register.
    pub fn load_port(self, dreg: u32, end: End) -> Rule {
        let offset = if end == End::Source { 0 } else { 2 };
        self.expr(Expr::Payload {
            dreg,
            base: PayloadBase::Transport,
            offset,
            len: 2,
        })
    }

    /// `ip saddr ADDRESS`, or not.
    pub fn address(self, end: End, equal: bool, address: IpAddr) -> Rule {
        self.load_address(1, address.is_ipv6(), end)
            .equal(equal, address_bytes(address))
    }

    /// `ip saddr NETWORK/PREFIX`, or not.
    pub fn network(self, end: End, equal: bool, network: IpAddr, prefix: u8) -> Rule {
        let (mut wanted, _) = network_range(network, prefix);
        let (offset, len) = address_at(network.is_ipv6(), end);
        let bytes = u32::from(prefix / 8);
        if prefix.is_multiple_of(8) && bytes > 0 && bytes <= len {
            // Whole bytes need no mask: only they are loaded, as nft does.
            wanted.truncate(usize::from(prefix / 8));
            let base = PayloadBase::Network;
            let load = Expr::Payload {
                dreg: 1,
                base,
                offset,
                len: bytes,
            };
            return self.expr(load).equal(equal, wanted);
        }
        let op = BitOp::MaskXor {
            mask: mask(wanted.len(), prefix),
            xor: vec![0; wanted.len()],
        };
        self.load_address(1, network.is_ipv6(), end)
            .expr(Expr::Bitwise {
                sreg: 1,
                dreg: 1,
                len,
                op,
            })
            .equal(equal, wanted)
    }

    /// `ip saddr @SET`, or not.
    pub fn address_in(self, end: End, inside: bool, v6: bool, set: &str) -> Rule {
        self.load_address(1, v6, end).lookup(1, inside, set)
    }

    /// `th dport PORT`, behind a match on the protocol.
    pub fn port(self, end: End, port: u16) -> Rule {
        self.load_port(1, end)
            .cmp(CmpOp::Eq, port.to_be_bytes().to_vec())
    }

    /// `th dport FIRST-LAST`, behind a match on the protocol.
    pub fn ports(self, end: End, first: u16, last: u16) -> Rule {
        self.load_port(1, end)
            .cmp(CmpOp::Gte, first.to_be_bytes().to_vec())
            .cmp(CmpOp::Lte, last.to_be_bytes().to_vec())
    }

    /// First byte of the transport header (an ICMP type) between these, behind a match on the
    /// protocol.
    pub fn first_byte_in(self, first: u8, last: u8) -> Rule {
        let base = PayloadBase::Transport;
        self.expr(Expr::Payload {
            dreg: 1,
            base,
            offset: 0,
            len: 1,
        })
        .cmp(CmpOp::Gte, vec![first])
        .cmp(CmpOp::Lte, vec![last])
    }

    /// `REGISTER @SET`, or not.
    pub fn lookup(self, sreg: u32, inside: bool, set: &str) -> Rule {
        self.expr(Expr::Lookup {
            sreg,
            set: set.into(),
            dreg: None,
            inverted: !inside,
        })
    }

    /// `REGISTER vmap @MAP`
    pub fn verdict_map(self, sreg: u32, map: &str) -> Rule {
        self.expr(Expr::Lookup {
            sreg,
            set: map.into(),
            dreg: Some(0),
            inverted: false,
        })
    }

    /// `update @SET { REGISTER }`
    pub fn update_set(self, sreg_key: u32, set: &str) -> Rule {
        self.expr(Expr::Dynset {
            set: set.into(),
            op: DynsetOp::Update,
            sreg_key,
            sreg_data: None,
            timeout_ms: 0,
            inverted: false,
            exprs: Vec::new(),
        })
    }

    /// `ct state BITS`: any of them.
    pub fn ct_state(self, bits: u32) -> Rule {
        self.expr(Expr::Ct {
            dreg: 1,
            key: CtKey::State,
            direction: None,
        })
        .any_bit(bits)
    }

    /// `meta mark & BITS != 0`
    pub fn mark_has(self, bits: u32) -> Rule {
        self.meta(MetaKey::Mark).any_bit(bits)
    }

    /// `ct status & BITS != 0` (`IPS_*` of linux/netfilter/nf_conntrack_common.h).
    pub fn ct_status(self, bits: u32) -> Rule {
        self.expr(Expr::Ct {
            dreg: 1,
            key: CtKey::Status,
            direction: None,
        })
        .any_bit(bits)
    }

    /// Any of these bits in register 1.
    fn any_bit(self, bits: u32) -> Rule {
        let op = BitOp::MaskXor {
            mask: bits.to_ne_bytes().to_vec(),
            xor: vec![0; 4],
        };
        self.expr(Expr::Bitwise {
            sreg: 1,
            dreg: 1,
            len: 4,
            op,
        })
        .cmp(CmpOp::Neq, vec![0; 4])
    }

    /// `fib saddr type local`, `fib daddr type local`: an address of this machine (`RTN_LOCAL`).
    pub fn is_local(self, end: End) -> Rule {
        let flags = if end == End::Source { 1 } else { 2 };
        self.expr(Expr::Fib {
            dreg: 1,
            result: 3,
            flags,
        })
        .cmp(CmpOp::Eq, 2u32.to_ne_bytes().to_vec())
    }

    /// `meta mark set (meta mark & !clear) ^ flip`
    pub fn mark_change(self, clear: u32, flip: u32) -> Rule {
        let op = BitOp::MaskXor {
            mask: (!clear).to_ne_bytes().to_vec(),
            xor: flip.to_ne_bytes().to_vec(),
        };
        self.meta(MetaKey::Mark)
            .expr(Expr::Bitwise {
                sreg: 1,
                dreg: 1,
                len: 4,
                op,
            })
            .expr(Expr::MetaSet {
                sreg: 1,
                key: MetaKey::Mark,
            })
    }

    /// `numgen random mod MODULUS` into register 1.
    pub fn random(self, modulus: u32) -> Rule {
        self.expr(Expr::Numgen {
            dreg: 1,
            modulus,
            random: true,
            offset: 0,
        })
    }

    /// `counter`
    pub fn counter(self) -> Rule {
        self.expr(Expr::Counter {
            packets: 0,
            bytes: 0,
        })
    }

    /// A verdict.
    pub fn verdict(self, verdict: Verdict) -> Rule {
        self.expr(Expr::Verdict(verdict))
    }

    /// `accept`
    pub fn accept(self) -> Rule {
        self.verdict(Verdict::Accept)
    }

    /// `drop`
    pub fn drop(self) -> Rule {
        self.verdict(Verdict::Drop)
    }

    /// `jump CHAIN`
    pub fn jump(self, chain: &str) -> Rule {
        self.verdict(Verdict::Jump(chain.into()))
    }

    /// `goto CHAIN`
    pub fn goto(self, chain: &str) -> Rule {
        self.verdict(Verdict::Goto(chain.into()))
    }

    /// `dnat to ADDRESS:PORT`
    pub fn dnat(self, address: IpAddr, port: u16) -> Rule {
        self.expr(Expr::Immediate {
            dreg: 1,
            data: address_bytes(address),
        })
        .expr(Expr::Immediate {
            dreg: 2,
            data: port.to_be_bytes().to_vec(),
        })
        .dnat_registers(address.is_ipv6(), 2)
    }

    /// `dnat ip addr . port to numgen random mod COUNT map @MAP`: one of the map's addresses and
    /// ports (see [`Set::backends`]).
    pub fn dnat_random(self, v6: bool, count: u32, map: &str) -> Rule {
        self.random(count)
            .expr(Expr::Lookup {
                sreg: 1,
                set: map.into(),
                dreg: Some(1),
                inverted: false,
            })
            // The port lies in the register behind the address.
            .dnat_registers(v6, if v6 { 2 } else { 9 })
    }

    fn dnat_registers(self, v6: bool, port: u32) -> Rule {
        self.expr(Expr::Nat {
            kind: NatKind::Dnat,
            family: if v6 { 10 } else { 2 },
            addr: Some(1),
            addr_max: None,
            port: Some(port),
            port_max: None,
            flags: 0,
        })
    }

    /// `masquerade` with flags ([`super::expr::NAT_FULLY_RANDOM`] and so on).
    pub fn masquerade(self, flags: u32) -> Rule {
        self.expr(Expr::Masquerade {
            flags,
            port: None,
            port_max: None,
        })
    }

    /// `reject` with an ICMP port unreachable of the packet's own family (`inet` tables: icmpx).
    pub fn reject(self, v6: bool) -> Rule {
        // ICMP_PORT_UNREACH 3 of RFC 792, ICMPV6_PORT_UNREACH 4 of RFC 4443.
        self.expr(Expr::Reject {
            kind: 0,
            code: if v6 { 4 } else { 3 },
        })
    }
}

/// A network mask of so many bytes.
fn mask(len: usize, prefix: u8) -> Vec<u8> {
    let mut left = u32::from(prefix);
    (0..len)
        .map(|_| {
            let bits = left.min(8);
            left = left.saturating_sub(8);
            u8::try_from(0xff00u32 >> bits & 0xff).unwrap_or(0)
        })
        .collect()
}

/// First and last address of a network, as bytes.
pub fn network_range(network: IpAddr, prefix: u8) -> (Vec<u8>, Vec<u8>) {
    let bytes = address_bytes(network);
    let mask = mask(bytes.len(), prefix);
    let first = bytes.iter().zip(&mask).map(|(a, m)| a & m).collect();
    let last = bytes.iter().zip(&mask).map(|(a, m)| a | !m).collect();
    (first, last)
}

/// Elements of an interval set for ranges (first and last, inclusive, of equal length), merged
/// where they touch: the kernel keeps a start and, behind the last key, an end.
pub fn intervals(mut ranges: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<Element> {
    ranges.sort();
    let mut merged: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if next(end).is_none_or(|n| first <= n) => {
                if last > *end {
                    *end = last;
                }
            }
            _ => merged.push((first, last)),
        }
    }
    let mut elements = Vec::new();
    for (first, last) in merged {
        elements.push(Element {
            key: first,
            ..Element::default()
        });
        if let Some(behind) = next(&last) {
            elements.push(Element {
                key: behind,
                interval_end: true,
                ..Element::default()
            });
        }
    }
    elements
}

/// The number behind this one; none behind the largest.
pub fn next(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(bytes);
        }
    }
    None
}

/// A concatenated key: each part padded to four bytes.
pub fn concat(parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::new();
    for part in parts {
        key.extend_from_slice(part);
        key.resize(key.len().next_multiple_of(4), 0);
    }
    key
}

impl Set {
    /// A set of addresses.
    pub fn addresses(name: &str, v6: bool) -> Set {
        Set {
            name: name.into(),
            key_type: if v6 { key_type::IPV6 } else { key_type::IPV4 },
            key_len: if v6 { 16 } else { 4 },
            ..Set::default()
        }
    }

    /// An anonymous verdict map from the numbers 0, 1, ... to these verdicts, for [`Rule::random`].
    pub fn choice(name: &str, verdicts: impl IntoIterator<Item = Verdict>) -> Set {
        let element = |(number, verdict): (u32, Verdict)| Element {
            key: number.to_ne_bytes().to_vec(),
            verdict: Some(verdict),
            ..Element::default()
        };
        Set {
            name: name.into(),
            key_type: key_type::INTEGER,
            key_len: 4,
            map: true,
            verdicts: true,
            anonymous: true,
            constant: true,
            host_order: true,
            elements: (0..).zip(verdicts).map(element).collect(),
            ..Set::default()
        }
    }

    /// An anonymous map from the numbers 0, 1, ... to an address and a port, for
    /// [`Rule::dnat_random`].
    pub fn backends(
        name: &str,
        v6: bool,
        backends: impl IntoIterator<Item = (IpAddr, u16)>,
    ) -> Set {
        let element = |(number, (address, port)): (u32, (IpAddr, u16))| Element {
            key: number.to_ne_bytes().to_vec(),
            data: concat(&[&address_bytes(address), &port.to_be_bytes()]),
            ..Element::default()
        };
        let address = if v6 { key_type::IPV6 } else { key_type::IPV4 };
        Set {
            verdicts: false,
            data_type: key_type::concat(&[address, key_type::PORT]),
            data_len: if v6 { 20 } else { 8 },
            elements: (0..).zip(backends).map(element).collect(),
            ..Set::choice(name, [])
        }
    }
}
