//! rtnetlink messages (linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h):
//! links, addresses, neighbours and routes as the kernel sends them.
//!
//! Reading order: [`Link`], [`Address`], [`Neighbour`], [`Route`]; each with the fixed header it
//! begins with. Making is `netshoot-host`'s business; the constants for it are here.
//!
//! Deliberately absent: rules (`ip rule`), qdiscs, nexthop objects.

use crate::Malformed;
use crate::netlink::{Attr, Attrs};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod numbers;
mod route;

pub use numbers::*;
pub use route::{NextHop, Route, RouteHeader};

fn header<const N: usize>(payload: &[u8], format: &'static str) -> Result<[u8; N], Malformed> {
    payload.first_chunk::<N>().copied().ok_or(Malformed {
        format,
        at: payload.len(),
        expected: "a whole fixed header",
    })
}

/// An address of 4 or 16 bytes.
pub fn address(bytes: &[u8]) -> Result<IpAddr, Malformed> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
        return Ok(IpAddr::V6(Ipv6Addr::from(v6)));
    }
    Err(Malformed {
        format: "address attribute",
        at: bytes.len(),
        expected: "4 or 16 bytes",
    })
}

/// The bytes of an address in network order.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// `AF_INET` or `AF_INET6`.
pub fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

/// A hardware address as people write it, `02:00:5e:00:00:01`; empty for no bytes.
pub fn mac_text(bytes: &[u8]) -> String {
    let parts: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    parts.join(":")
}

/// The six bytes of a hardware address as people write it.
pub fn mac_bytes(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// `struct ifinfomsg`: family, index, flags and which flags change.
pub fn link_header(family: u8, index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut bytes = vec![family, 0, 0, 0];
    for word in [index, flags, change] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// `struct ifaddrmsg`.
pub fn address_header(family: u8, prefix: u8, index: u32) -> Vec<u8> {
    let mut bytes = vec![family, prefix, 0, 0];
    bytes.extend_from_slice(&index.to_ne_bytes());
    bytes
}

/// `struct ndmsg`.
pub fn neighbour_header(family: u8, index: u32, state: u16, flags: u8) -> Vec<u8> {
    let mut bytes = vec![family, 0, 0, 0];
    bytes.extend_from_slice(&index.to_ne_bytes());
    bytes.extend_from_slice(&state.to_ne_bytes());
    bytes.extend_from_slice(&[flags, 0]);
    bytes
}

/// Counters of a link (`struct rtnl_link_stats64`, the first eight).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct LinkStats {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
}

impl LinkStats {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut words = [0u64; 8];
        for (word, chunk) in words
            .iter_mut()
            .zip(header::<64>(bytes, "link counters")?.chunks_exact(8))
        {
            *word = u64::from_ne_bytes(header(chunk, "link counters")?);
        }
        let [
            rx_packets,
            tx_packets,
            rx_bytes,
            tx_bytes,
            rx_errors,
            tx_errors,
            rx_dropped,
            tx_dropped,
        ] = words;
        Ok(LinkStats {
            rx_packets,
            tx_packets,
            rx_bytes,
            tx_bytes,
            rx_errors,
            tx_errors,
            rx_dropped,
            tx_dropped,
        })
    }
}

/// One link (`RTM_NEWLINK`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// `IFF_*`
    pub flags: u32,
    /// Name.
    pub name: String,
    /// Driver kind, empty for hardware and `lo`.
    pub kind: String,
    /// Hardware address.
    pub mac: Vec<u8>,
    /// MTU, bytes.
    pub mtu: u32,
    /// Index of the master, 0 for none.
    pub master: u32,
    /// Index of the lower device or of the peer, 0 for none.
    pub link: u32,
    /// Counters.
    pub stats: LinkStats,
    /// Hairpin mode, of a bridge port.
    pub hairpin: Option<bool>,
    /// STP state, of a bridge port.
    pub port_state: Option<u8>,
    /// VXLAN identifier.
    pub vni: Option<u32>,
    /// VXLAN destination port.
    pub tunnel_port: Option<u16>,
    /// VXLAN source address.
    pub tunnel_local: Option<IpAddr>,
}

impl Link {
    /// Reads the payload of an `RTM_NEWLINK`.
    pub fn read(payload: &[u8]) -> Result<Link, Malformed> {
        let [_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] =
            header::<16>(payload, "link message")?;
        let mut link = Link {
            index: u32::from_ne_bytes([i0, i1, i2, i3]),
            flags: u32::from_ne_bytes([f0, f1, f2, f3]),
            ..Link::default()
        };
        for attr in Attrs::after(payload, 16)? {
            let attr = attr?;
            match attr.kind {
                ifla::ADDRESS => link.mac = attr.payload.to_vec(),
                ifla::IFNAME => link.name = attr.str(),
                ifla::MTU => link.mtu = attr.u32()?,
                ifla::LINK => link.link = attr.u32()?,
                ifla::MASTER => link.master = attr.u32()?,
                ifla::PROTINFO => link.read_port(&attr)?,
                ifla::LINKINFO => link.read_info(&attr)?,
                ifla::STATS64 => link.stats = LinkStats::read(attr.payload)?,
                _ => {}
            }
        }
        Ok(link)
    }

    fn read_info(&mut self, info: &Attr<'_>) -> Result<(), Malformed> {
        let mut slave = String::new();
        // The kernel puts each kind before its data.
        for attr in info.nested() {
            let attr = attr?;
            match attr.kind {
                ifla::INFO_KIND => self.kind = attr.str(),
                ifla::INFO_SLAVE_KIND => slave = attr.str(),
                ifla::INFO_SLAVE_DATA if slave == "bridge" => self.read_port(&attr)?,
                ifla::INFO_DATA if self.kind == "vxlan" => self.read_vxlan(&attr)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_port(&mut self, port: &Attr<'_>) -> Result<(), Malformed> {
        for attr in port.nested() {
            let attr = attr?;
            match attr.kind {
                ifla::BRPORT_STATE => self.port_state = Some(attr.u8()?),
                ifla::BRPORT_MODE => self.hairpin = Some(attr.u8()? != 0),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_vxlan(&mut self, data: &Attr<'_>) -> Result<(), Malformed> {
        for attr in data.nested() {
            let attr = attr?;
            match attr.kind {
                ifla::VXLAN_ID => self.vni = Some(attr.u32()?),
                ifla::VXLAN_PORT => self.tunnel_port = Some(attr.be16()?),
                ifla::VXLAN_LOCAL | ifla::VXLAN_LOCAL6 => {
                    self.tunnel_local = Some(address(attr.payload)?)
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// One address of a link (`RTM_NEWADDR`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the link.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Prefix length, bits.
    pub prefix: u8,
    /// `IFA_F_*`
    pub flags: u32,
}

impl Address {
    /// Reads the payload of an `RTM_NEWADDR`; none for families other than IPv4 and IPv6.
    pub fn read(payload: &[u8]) -> Result<Option<Address>, Malformed> {
        let [family, prefix, flags, _, i0, i1, i2, i3] = header::<8>(payload, "address message")?;
        if family != AF_INET && family != AF_INET6 {
            return Ok(None);
        }
        // On a point-to-point link IFA_ADDRESS is the other end and IFA_LOCAL the own one.
        let (mut any, mut local, mut flags) = (None, None, u32::from(flags));
        for attr in Attrs::after(payload, 8)? {
            let attr = attr?;
            match attr.kind {
                ifa::ADDRESS => any = Some(address(attr.payload)?),
                ifa::LOCAL => local = Some(address(attr.payload)?),
                ifa::FLAGS => flags = attr.u32()?,
                _ => {}
            }
        }
        let index = u32::from_ne_bytes([i0, i1, i2, i3]);
        Ok(local.or(any).map(|address| Address {
            index,
            address,
            prefix,
            flags,
        }))
    }
}

/// One neighbour or forwarding entry (`RTM_NEWNEIGH`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbour {
    /// `AF_INET`, `AF_INET6`, `AF_BRIDGE` for a forwarding entry.
    pub family: u8,
    /// Index of the link.
    pub index: u32,
    /// `NUD_*`
    pub state: u16,
    /// `NTF_*`
    pub flags: u8,
    /// Protocol address, or the far end of the tunnel.
    pub address: Option<IpAddr>,
    /// Hardware address, empty when not resolved.
    pub mac: Vec<u8>,
}

impl Neighbour {
    /// Reads the payload of an `RTM_NEWNEIGH`.
    pub fn read(payload: &[u8]) -> Result<Neighbour, Malformed> {
        let [family, _, _, _, i0, i1, i2, i3, s0, s1, flags, _] =
            header::<12>(payload, "neighbour message")?;
        let mut neighbour = Neighbour {
            family,
            index: u32::from_ne_bytes([i0, i1, i2, i3]),
            state: u16::from_ne_bytes([s0, s1]),
            flags,
            ..Neighbour::default()
        };
        for attr in Attrs::after(payload, 12)? {
            let attr = attr?;
            match attr.kind {
                nda::DST => neighbour.address = Some(address(attr.payload)?),
                nda::LLADDR => neighbour.mac = attr.payload.to_vec(),
                _ => {}
            }
        }
        Ok(neighbour)
    }

    /// The state as ip-neighbour(8) writes it.
    pub fn state_word(&self) -> &'static str {
        match self.state {
            0x00 => "NONE",
            0x01 => "INCOMPLETE",
            0x02 => "REACHABLE",
            0x04 => "STALE",
            0x08 => "DELAY",
            0x10 => "PROBE",
            0x20 => "FAILED",
            0x40 => "NOARP",
            state if state & 0x80 != 0 => "PERMANENT",
            _ => "UNKNOWN",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Builder;

    fn link_bytes() -> Vec<u8> {
        Builder::after(&link_header(0, 7, IFF_UP, 0))
            .str(ifla::IFNAME, "flannel.1")
            .u32(ifla::MTU, 1450)
            .put(ifla::ADDRESS, &[2, 0, 0, 0, 0, 1])
            .put(ifla::STATS64, &[1; 200])
            .nest(ifla::LINKINFO, |b| {
                b.str(ifla::INFO_KIND, "vxlan");
                b.nest(ifla::INFO_DATA, |b| {
                    b.u32(ifla::VXLAN_ID, 1)
                        .be16(ifla::VXLAN_PORT, 8472)
                        .put(ifla::VXLAN_LOCAL, &[10, 0, 0, 1]);
                });
                b.str(ifla::INFO_SLAVE_KIND, "bridge");
                b.nest(ifla::INFO_SLAVE_DATA, |b| {
                    b.u8(ifla::BRPORT_STATE, 3).u8(ifla::BRPORT_MODE, 1);
                });
            })
            .finish()
    }

    fn route_bytes() -> Vec<u8> {
        let header = RouteHeader {
            family: AF_INET,
            prefix: 24,
            table: 254,
            kind: 1,
            ..RouteHeader::default()
        };
        let mut hop = 16u16.to_ne_bytes().to_vec();
        hop.extend([0, 0]);
        hop.extend(3u32.to_ne_bytes());
        hop.extend(Builder::new().put(rta::GATEWAY, &[10, 0, 0, 9]).finish());
        let mut hops = hop.clone();
        hops.extend(&hop);
        Builder::after(&header.bytes())
            .put(rta::DST, &[10, 244, 1, 0])
            .put(rta::MULTIPATH, &hops)
            .nest(rta::METRICS, |b| {
                b.u32(rta::METRIC_MTU, 1400);
            })
            .finish()
    }

    #[test]
    fn a_link_is_read_with_port_and_tunnel() {
        let link = Link::read(&link_bytes()).unwrap();
        assert_eq!(
            (link.index, link.name.as_str(), link.mtu),
            (7, "flannel.1", 1450)
        );
        assert_eq!(
            (link.kind.as_str(), link.vni, link.tunnel_port),
            ("vxlan", Some(1), Some(8472))
        );
        assert_eq!(link.tunnel_local, Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!((link.port_state, link.hairpin), (Some(3), Some(true)));
        assert_eq!(link.stats.rx_dropped, 0x0101_0101_0101_0101);
    }

    #[test]
    fn a_multipath_route_has_every_hop() {
        let route = Route::read(&route_bytes()).unwrap();
        let hop = NextHop {
            via: Some(IpAddr::from([10, 0, 0, 9])),
            index: 3,
        };
        assert_eq!(route.hops, [hop, hop]);
        assert_eq!(
            (route.to, route.mtu),
            (Some(IpAddr::from([10, 244, 1, 0])), Some(1400))
        );
    }

    #[test]
    fn hardware_addresses_both_ways() {
        for (text, bytes) in [
            ("02:00:5e:00:00:01", Some([2, 0, 0x5e, 0, 0, 1])),
            ("2:0:5e:0:0:1", Some([2, 0, 0x5e, 0, 0, 1])),
            ("02:00:5e:00:00", None),
            ("02:00:5e:00:00:01:02", None),
            ("02:00:5e:00:00:+1", None),
            ("", None),
        ] {
            assert_eq!(mac_bytes(text), bytes, "{text}");
        }
        assert_eq!(mac_text(&[2, 0, 0x5e, 0, 0, 1]), "02:00:5e:00:00:01");
    }

    #[test]
    fn mutated_messages_never_panic() {
        let neighbour = Builder::after(&neighbour_header(AF_INET, 3, 2, 0))
            .put(nda::DST, &[10, 0, 0, 1])
            .put(nda::LLADDR, &[2, 0, 0, 0, 0, 1])
            .finish();
        let address = Builder::after(&address_header(AF_INET6, 64, 3))
            .put(ifa::ADDRESS, &[1; 16])
            .u32(ifa::FLAGS, ifa::NODAD)
            .finish();
        for valid in [link_bytes(), route_bytes(), neighbour, address] {
            crate::fuzz::mutations(&valid, 10_000, |bytes| {
                let _ = (Link::read(bytes), Route::read(bytes));
                let _ = (Neighbour::read(bytes), Address::read(bytes));
            });
        }
    }
}
