//! The packet that walks: what is known of it, and its bytes as far as they follow from that.

use super::registers::{Byte, known, unknown};
use netshoot_wire::nft::build::state;
use netshoot_wire::nft::{CtKey, MetaKey, PayloadBase};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
/// IP protocol number of SCTP.
pub const SCTP: u8 = 132;

/// `IPS_SRC_NAT`, `IPS_DST_NAT` (linux/netfilter/nf_conntrack_common.h).
pub(super) const SOURCE_NAT: u32 = 16;
pub(super) const DESTINATION_NAT: u32 = 32;

/// A packet. `None` is "not known": a rule that asks for it stays undecided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Packet {
    /// Source address; its family is the packet's.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Source port.
    pub sport: Option<u16>,
    /// Destination port.
    pub dport: Option<u16>,
    /// `NF_CT_STATE_*`: invalid 1, established 2, related 4, new 8, untracked 64.
    pub ct_state: u32,
    /// Name of the device it came by.
    pub iif: Option<String>,
    /// Name of the device it leaves by.
    pub oif: Option<String>,
    /// Mark.
    pub mark: Option<u32>,
    /// Mark of its connection.
    pub ct_mark: Option<u32>,
    /// TCP flags, SYN is 2.
    pub tcp_flags: u8,
    /// The node's own addresses, for rules that ask whether an address is local.
    pub local: Option<Vec<IpAddr>>,
    /// NAT done so far, as `IPS_*` bits: source 16, destination 32.
    pub nat: u32,
    /// Destination before NAT.
    pub original: Option<(IpAddr, Option<u16>)>,
}

impl Packet {
    /// The first packet of a connection; the source port is not known, devices neither.
    pub fn new(src: IpAddr, dst: SocketAddr, protocol: u8) -> Packet {
        Packet {
            src,
            dst: dst.ip(),
            protocol,
            sport: None,
            dport: Some(dst.port()),
            ct_state: state::NEW,
            iif: None,
            oif: None,
            mark: Some(0),
            ct_mark: Some(0),
            tcp_flags: 2,
            local: None,
            nat: 0,
            original: None,
        }
    }

    /// With devices; an empty name is none.
    pub fn through(mut self, iif: &str, oif: &str) -> Packet {
        let some = |name: &str| (!name.is_empty()).then(|| name.to_string());
        self.iif = some(iif);
        self.oif = some(oif);
        self
    }

    /// Whether it is the first of its connection: only then NAT rules are asked.
    pub fn is_new(&self) -> bool {
        self.ct_state & state::NEW != 0
    }

    pub(super) fn v6(&self) -> bool {
        self.src.is_ipv6()
    }

    /// Rewrites the destination.
    pub(super) fn redirect(&mut self, address: Option<IpAddr>, port: Option<u16>) {
        if self.original.is_none() {
            self.original = Some((self.dst, self.dport));
        }
        self.dst = address.unwrap_or(self.dst);
        self.dport = port.or(self.dport);
        self.nat |= DESTINATION_NAT;
    }

    /// Bytes of the packet for `payload`.
    pub(super) fn bytes(&self, base: PayloadBase, offset: u32, len: u32) -> Vec<Byte> {
        let header = match base {
            PayloadBase::Network => self.network_header(),
            PayloadBase::Transport => self.transport_header(),
            _ => Vec::new(),
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let len = usize::try_from(len).unwrap_or(0).min(64);
        (0..len)
            .map(|i| header.get(offset.saturating_add(i)).copied().flatten())
            .collect()
    }

    /// RFC 791 without options, RFC 8200 without extension headers; lengths, hops and checksums
    /// are not known.
    fn network_header(&self) -> Vec<Byte> {
        let mut out = Vec::new();
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                out.extend(known(&[0x45]));
                out.extend(unknown(5));
                // Flags may say "do not fragment"; the offset of a first fragment is 0.
                out.extend([None, Some(0), None, Some(self.protocol), None, None]);
                out.extend(known(&src.octets()));
                out.extend(known(&dst.octets()));
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                out.extend(unknown(6));
                out.extend([Some(self.protocol), None]);
                out.extend(known(&src.octets()));
                out.extend(known(&dst.octets()));
            }
            _ => {}
        }
        out
    }

    /// Ports and, for TCP, flags (RFC 9293).
    fn transport_header(&self) -> Vec<Byte> {
        if !matches!(self.protocol, TCP | UDP | SCTP) {
            return Vec::new();
        }
        let mut out = Vec::new();
        for port in [self.sport, self.dport] {
            match port {
                Some(port) => out.extend(known(&port.to_be_bytes())),
                None => out.extend(unknown(2)),
            }
        }
        if self.protocol == TCP {
            out.extend(unknown(9));
            out.push(Some(self.tcp_flags));
        }
        out
    }

    /// `meta KEY` at a hook.
    pub(super) fn meta(&self, key: MetaKey, hook: &str) -> Vec<Byte> {
        let number = |n: Option<u32>| n.map_or_else(|| unknown(4), |n| known(&n.to_ne_bytes()));
        match key {
            MetaKey::Protocol if self.v6() => known(&[0x86, 0xdd]),
            MetaKey::Protocol => known(&[0x08, 0x00]),
            MetaKey::Nfproto => known(&[if self.v6() { 10 } else { 2 }]),
            MetaKey::L4proto => known(&[self.protocol]),
            MetaKey::Mark => number(self.mark),
            // Where the kernel has no device its name is empty.
            MetaKey::Iifname if hook == "output" => unnamed(),
            MetaKey::Iifname => name(self.iif.as_deref()),
            MetaKey::Oifname if matches!(hook, "input" | "prerouting" | "ingress") => unnamed(),
            MetaKey::Oifname => name(self.oif.as_deref()),
            _ => unknown(16),
        }
    }

    /// `ct KEY`. Of connections that began before only state and NAT are known.
    pub(super) fn ct(&self, key: CtKey) -> Vec<Byte> {
        let (dst, dport) = self.original.unwrap_or((self.dst, self.dport));
        let port = |p: Option<u16>| p.map_or_else(|| unknown(2), |p| known(&p.to_be_bytes()));
        match key {
            CtKey::State => known(&self.ct_state.to_ne_bytes()),
            CtKey::Mark => match self.ct_mark {
                Some(mark) => known(&mark.to_ne_bytes()),
                None => unknown(4),
            },
            _ if !self.is_new() => unknown(16),
            // The NAT bits are all in the lowest byte; the others are the kernel's bookkeeping.
            CtKey::Status => {
                let bits = self.nat.to_ne_bytes();
                let ours = 0xffu32.to_ne_bytes();
                let pairs = bits.iter().zip(ours);
                pairs.map(|(b, o)| (o != 0).then_some(*b)).collect()
            }
            CtKey::Direction => known(&[0]),
            CtKey::Protocol => known(&[self.protocol]),
            CtKey::L3protocol => known(&[if self.v6() { 10 } else { 2 }]),
            CtKey::Src | CtKey::SrcIp | CtKey::SrcIp6 => known_address(self.src),
            CtKey::Dst | CtKey::DstIp | CtKey::DstIp6 => known_address(dst),
            CtKey::ProtoSrc => port(self.sport),
            CtKey::ProtoDst => port(dport),
            _ => unknown(16),
        }
    }

    /// Type of an address (`RTN_*` of linux/rtnetlink.h): 1 unicast, 2 local, 5 multicast.
    pub(super) fn address_type(&self, address: IpAddr) -> Option<u32> {
        if address.is_loopback() {
            return Some(2);
        }
        if address.is_multicast() {
            return Some(5);
        }
        let local = self.local.as_ref()?;
        Some(if local.contains(&address) { 2 } else { 1 })
    }

    /// The loopback address of its family.
    pub(super) fn loopback(&self) -> IpAddr {
        if self.v6() {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        } else {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        }
    }
}

fn known_address(address: IpAddr) -> Vec<Byte> {
    match address {
        IpAddr::V4(a) => known(&a.octets()),
        IpAddr::V6(a) => known(&a.octets()),
    }
}

fn unnamed() -> Vec<Byte> {
    known(&[0; 16])
}

fn name(name: Option<&str>) -> Vec<Byte> {
    let Some(name) = name else {
        return unknown(16);
    };
    let mut bytes: Vec<u8> = name.bytes().take(15).collect();
    bytes.resize(16, 0);
    known(&bytes)
}
