//! Routes (linux/rtnetlink.h).

use super::{address, header, rta};
use crate::Malformed;
use crate::netlink::{Attr, Attrs};
use std::net::IpAddr;

/// Fields of `struct rtmsg`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteHeader {
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// Length of the destination prefix, bits.
    pub prefix: u8,
    /// Table number, 254 for main; larger ones go into [`rta::TABLE`].
    pub table: u8,
    /// Who made it (`RTPROT_*`), 3 for boot.
    pub protocol: u8,
    /// `RT_SCOPE_*`: 0 universe, 253 link, 254 host, 255 nowhere.
    pub scope: u8,
    /// `RTN_*`: 1 unicast, 2 local, ...
    pub kind: u8,
    /// `RTM_F_*`
    pub flags: u32,
}

impl RouteHeader {
    /// As the kernel wants it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![
            self.family,
            self.prefix,
            0,
            0,
            self.table,
            self.protocol,
            self.scope,
            self.kind,
        ];
        bytes.extend_from_slice(&self.flags.to_ne_bytes());
        bytes
    }
}

/// One way out of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// Router, none for on-link.
    pub via: Option<IpAddr>,
    /// Index of the outgoing link, 0 for none.
    pub index: u32,
    /// `RTNH_F_*`: 1 dead, 4 on-link, 16 link down.
    pub flags: u32,
    /// Its share among several, from 1.
    pub weight: u32,
}

/// One route (`RTM_NEWROUTE`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Fixed header.
    pub header: RouteHeader,
    /// Destination; none for the default route.
    pub to: Option<IpAddr>,
    /// Ways out; more than one for a multipath route, none for `blackhole` and the like.
    pub hops: Vec<NextHop>,
    /// Preferred source.
    pub source: Option<IpAddr>,
    /// Table number.
    pub table: u32,
    /// Priority, lower wins.
    pub priority: u32,
    /// MTU of the route, bytes.
    pub mtu: Option<u32>,
    /// All metrics (`RTAX_*`), in the kernel's order.
    pub metrics: Vec<(u16, u32)>,
    /// Source prefix that it is for, with its length.
    pub from: Option<(IpAddr, u8)>,
    /// Index of the incoming link of a looked-up route.
    pub incoming: u32,
    /// Preference of IPv6 (RFC 4191): 0 medium, 1 high, 3 low.
    pub preference: Option<u8>,
    /// Clock ticks of 10 ms until it goes, 0 for never; and an error of a cached entry.
    pub expires: (i32, u32),
    /// Whom a looked-up route is for.
    pub uid: Option<u32>,
    /// Identifier of a nexthop object.
    pub nexthop: Option<u32>,
}

impl Route {
    /// Reads the payload of an `RTM_NEWROUTE`.
    pub fn read(payload: &[u8]) -> Result<Route, Malformed> {
        let [
            family,
            prefix,
            source_prefix,
            _,
            table,
            protocol,
            scope,
            kind,
            f0,
            f1,
            f2,
            f3,
        ] = header::<12>(payload, "route message")?;
        let header = RouteHeader {
            family,
            prefix,
            table,
            protocol,
            scope,
            kind,
            flags: u32::from_ne_bytes([f0, f1, f2, f3]),
        };
        let mut route = Route {
            header,
            table: u32::from(table),
            ..Route::default()
        };
        let mut single = NextHop::default();
        for attr in Attrs::after(payload, 12)? {
            let attr = attr?;
            match attr.kind {
                rta::DST => route.to = Some(address(attr.payload)?),
                rta::PREFSRC => route.source = Some(address(attr.payload)?),
                rta::TABLE => route.table = attr.u32()?,
                rta::PRIORITY => route.priority = attr.u32()?,
                rta::METRICS => route.read_metrics(&attr)?,
                rta::MULTIPATH => route.hops = multipath(attr.payload)?,
                rta::SRC => route.from = Some((address(attr.payload)?, source_prefix)),
                rta::IIF => route.incoming = attr.u32()?,
                rta::PREF => route.preference = Some(attr.u8()?),
                rta::UID => route.uid = Some(attr.u32()?),
                rta::NH_ID => route.nexthop = Some(attr.u32()?),
                rta::CACHEINFO => {
                    // rta_clntref, rta_lastuse, rta_expires, rta_error
                    let [_, _, _, _, _, _, _, _, e0, e1, e2, e3, r0, r1, r2, r3] =
                        super::header::<16>(attr.payload, "route ages")?;
                    route.expires = (
                        i32::from_ne_bytes([e0, e1, e2, e3]),
                        u32::from_ne_bytes([r0, r1, r2, r3]),
                    );
                }
                rta::OIF | rta::GATEWAY | rta::VIA => single.read(&attr)?,
                _ => {}
            }
        }
        if single != NextHop::default() {
            single.flags = header.flags;
            single.weight = 1;
            route.hops.insert(0, single);
        }
        Ok(route)
    }

    fn read_metrics(&mut self, metrics: &Attr<'_>) -> Result<(), Malformed> {
        for attr in metrics.nested() {
            let attr = attr?;
            if attr.kind == rta::METRIC_MTU {
                self.mtu = Some(attr.u32()?);
            }
            // The congestion algorithm is a word.
            if let Ok(value) = attr.u32() {
                self.metrics.push((attr.kind, value));
            }
        }
        Ok(())
    }

    /// The kind as ip-route(8) writes it.
    pub fn kind_word(&self) -> &'static str {
        match self.header.kind {
            1 => "unicast",
            2 => "local",
            3 => "broadcast",
            4 => "anycast",
            5 => "multicast",
            6 => "blackhole",
            7 => "unreachable",
            8 => "prohibit",
            9 => "throw",
            10 => "nat",
            _ => "unknown",
        }
    }
}

impl NextHop {
    fn read(&mut self, attr: &Attr<'_>) -> Result<(), Malformed> {
        match attr.kind {
            rta::OIF => self.index = attr.u32()?,
            rta::GATEWAY => self.via = Some(address(attr.payload)?),
            // struct rtvia: a family, then an address of that family (RFC 5549 routes).
            rta::VIA => self.via = Some(address(attr.payload.get(2..).unwrap_or(&[]))?),
            _ => {}
        }
        Ok(())
    }
}

/// `struct rtnexthop` one after the other, each with attributes.
fn multipath(bytes: &[u8]) -> Result<Vec<NextHop>, Malformed> {
    let mut hops = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let [l0, l1, flags, weight, i0, i1, i2, i3] = header::<8>(rest, "next hop")?;
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let inside = rest.get(8..len).ok_or(Malformed {
            format: "next hop",
            at: bytes.len().saturating_sub(rest.len()),
            expected: "a length within the message",
        })?;
        let mut hop = NextHop {
            via: None,
            index: u32::from_ne_bytes([i0, i1, i2, i3]),
            flags: u32::from(flags),
            weight: u32::from(weight) + 1,
        };
        for attr in Attrs::new(inside) {
            let attr = attr?;
            // The index stands in the fixed part.
            if attr.kind != rta::OIF {
                hop.read(&attr)?;
            }
        }
        hops.push(hop);
        rest = rest.get((len.saturating_add(3)) & !3..).unwrap_or(&[]);
    }
    Ok(hops)
}
