//! rtnetlink messages (linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h):
//! links, addresses, neighbours, routes and rules as the kernel sends them.
//!
//! Reading order: [`Link`], [`Address`], [`Neighbour`], [`Route`], [`Rule`]; each with the fixed header it
//! begins with. Making is `netshoot-host`'s business; the constants for it are here.
//!
//! Deliberately absent: qdiscs, nexthop objects.

use crate::Malformed;
use crate::netlink::{Attr, Attrs};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod numbers;
mod route;
mod rule;

pub use numbers::*;
pub use route::{NextHop, Route, RouteHeader};
pub use rule::Rule;

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

/// Counters of a link (`struct rtnl_link_stats64`, without those of compression).
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
    pub multicast: u64,
    pub collisions: u64,
    pub rx_length: u64,
    pub rx_over: u64,
    pub rx_crc: u64,
    pub rx_frame: u64,
    pub rx_fifo: u64,
    pub rx_missed: u64,
    pub tx_aborted: u64,
    pub tx_carrier: u64,
    pub tx_fifo: u64,
    pub tx_heartbeat: u64,
    pub tx_window: u64,
}

impl LinkStats {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut s = LinkStats::default();
        let fields = [
            &mut s.rx_packets,
            &mut s.tx_packets,
            &mut s.rx_bytes,
            &mut s.tx_bytes,
            &mut s.rx_errors,
            &mut s.tx_errors,
            &mut s.rx_dropped,
            &mut s.tx_dropped,
            &mut s.multicast,
            &mut s.collisions,
            &mut s.rx_length,
            &mut s.rx_over,
            &mut s.rx_crc,
            &mut s.rx_frame,
            &mut s.rx_fifo,
            &mut s.rx_missed,
            &mut s.tx_aborted,
            &mut s.tx_carrier,
            &mut s.tx_fifo,
            &mut s.tx_heartbeat,
            &mut s.tx_window,
        ];
        // The first eight are older than any kernel that is met; the rest may end early.
        header::<64>(bytes, "link counters")?;
        for (field, word) in fields.into_iter().zip(bytes.chunks_exact(8)) {
            *field = u64::from_ne_bytes(header(word, "link counters")?);
        }
        Ok(s)
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
    /// `link` was told; 0 is then a tunnel without a lower device.
    pub link_given: bool,
    /// `ARPHRD_*`: 1 for Ethernet, 772 for loopback.
    pub hardware: u16,
    /// Hardware broadcast address.
    pub broadcast: Vec<u8>,
    /// Queueing discipline.
    pub qdisc: String,
    /// `IF_OPER_*` (RFC 2863): 6 for up.
    pub operstate: u8,
    /// 0 for the default, 1 for dormant.
    pub linkmode: u8,
    /// Number of its group, 0 for the default.
    pub group: u32,
    /// Length of the transmit queue, packets.
    pub txqlen: u32,
    /// Identifier of the namespace that `link` is in, where it is another.
    pub link_netns: Option<i32>,
    /// A description that somebody gave.
    pub alias: String,
    /// Kind of the port it is: `bridge`, `bond`.
    pub slave_kind: String,
    /// How often its carrier came or went.
    pub carrier_changes: u32,
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
        let [_, _, h0, h1, i0, i1, i2, i3, f0, f1, f2, f3, ..] =
            header::<16>(payload, "link message")?;
        let mut link = Link {
            hardware: u16::from_ne_bytes([h0, h1]),
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
                ifla::LINK => {
                    link.link = attr.u32()?;
                    link.link_given = true;
                }
                ifla::MASTER => link.master = attr.u32()?,
                ifla::PROTINFO => link.read_port(&attr)?,
                ifla::LINKINFO => link.read_info(&attr)?,
                ifla::STATS64 => link.stats = LinkStats::read(attr.payload)?,
                ifla::BROADCAST => link.broadcast = attr.payload.to_vec(),
                ifla::QDISC => link.qdisc = attr.str(),
                ifla::OPERSTATE => link.operstate = attr.u8()?,
                ifla::LINKMODE => link.linkmode = attr.u8()?,
                ifla::GROUP => link.group = attr.u32()?,
                ifla::TXQLEN => link.txqlen = attr.u32()?,
                ifla::IFALIAS => link.alias = attr.str(),
                ifla::CARRIER_CHANGES => link.carrier_changes = attr.u32()?,
                ifla::LINK_NETNSID => {
                    link.link_netns = Some(i32::from_ne_bytes(attr.u32()?.to_ne_bytes()))
                }
                _ => {}
            }
        }
        Ok(link)
    }

    fn read_info(&mut self, info: &Attr<'_>) -> Result<(), Malformed> {
        // The kernel puts each kind before its data.
        for attr in info.nested() {
            let attr = attr?;
            match attr.kind {
                ifla::INFO_KIND => self.kind = attr.str(),
                ifla::INFO_SLAVE_KIND => self.slave_kind = attr.str(),
                ifla::INFO_SLAVE_DATA if self.slave_kind == "bridge" => self.read_port(&attr)?,
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
    /// `RT_SCOPE_*`
    pub scope: u8,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// Broadcast address.
    pub broadcast: Option<IpAddr>,
    /// Its name, of IPv4: that of the link, or an alias behind a colon.
    pub label: String,
    /// How long it is preferred and valid, seconds; `u32::MAX` for ever.
    pub lifetimes: (u32, u32),
}

impl Address {
    /// Reads the payload of an `RTM_NEWADDR`; none for families other than IPv4 and IPv6.
    pub fn read(payload: &[u8]) -> Result<Option<Address>, Malformed> {
        let [family, prefix, flags, scope, i0, i1, i2, i3] =
            header::<8>(payload, "address message")?;
        if family != AF_INET && family != AF_INET6 {
            return Ok(None);
        }
        // On a point-to-point link IFA_ADDRESS is the other end and IFA_LOCAL the own one.
        let (mut any, mut local, mut flags) = (None, None, u32::from(flags));
        let (mut broadcast, mut label) = (None, String::new());
        let mut lifetimes = (u32::MAX, u32::MAX);
        for attr in Attrs::after(payload, 8)? {
            let attr = attr?;
            match attr.kind {
                ifa::ADDRESS => any = Some(address(attr.payload)?),
                ifa::LOCAL => local = Some(address(attr.payload)?),
                ifa::FLAGS => flags = attr.u32()?,
                ifa::BROADCAST => broadcast = Some(address(attr.payload)?),
                ifa::LABEL => label = attr.str(),
                ifa::CACHEINFO => {
                    let [p0, p1, p2, p3, v0, v1, v2, v3] =
                        header::<8>(attr.payload, "address lifetimes")?;
                    lifetimes = (
                        u32::from_ne_bytes([p0, p1, p2, p3]),
                        u32::from_ne_bytes([v0, v1, v2, v3]),
                    );
                }
                _ => {}
            }
        }
        let index = u32::from_ne_bytes([i0, i1, i2, i3]);
        Ok(local.or(any).map(|address| Address {
            index,
            address,
            prefix,
            flags,
            scope,
            peer: any.filter(|_| local.is_some_and(|l| Some(l) != any)),
            broadcast,
            label,
            lifetimes,
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
    /// Ticks of 10 ms since it was used, confirmed, updated.
    pub ages: [u32; 3],
    /// Who holds it.
    pub references: u32,
    /// Questions that were sent for it.
    pub probes: Option<u32>,
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
                nda::CACHEINFO => {
                    let words = header::<16>(attr.payload, "neighbour ages")?;
                    let word = |at: usize| -> Result<u32, Malformed> {
                        let bytes = words.get(at..).unwrap_or_default();
                        Ok(u32::from_ne_bytes(header(bytes, "neighbour ages")?))
                    };
                    // ndm_confirmed, ndm_used, ndm_updated, ndm_refcnt
                    neighbour.ages = [word(4)?, word(0)?, word(8)?];
                    neighbour.references = word(12)?;
                }
                nda::PROBES => neighbour.probes = Some(attr.u32()?),
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
            flags: 0,
            weight: 1,
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
