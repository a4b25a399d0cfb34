//! Links, addresses, routes, neighbours over rtnetlink: making them here (for worlds), reading
//! them in [`read`] (for probes). Every function acts in the namespace of the calling thread.
//!
//! Making is strict: what is there already is an error (`EEXIST`), except neighbours and
//! forwarding entries, which are replaced. Needs CAP_NET_ADMIN in the namespace's user namespace.

mod read;

pub use read::{links, neighbours, raw, route_to, routes};

use crate::Error;
use crate::netlink::Socket;
use crate::netns::NetNs;
use netshoot_wire::netlink::{APPEND, Builder, CREATE, EXCLUSIVE, REPLACE};
use netshoot_wire::rtnl::{
    self, AF_BRIDGE, AF_UNSPEC, IFF_UP, RouteHeader, ifa, ifla, nda, rta, rtm,
};
use std::ffi::CString;
use std::io;
use std::net::IpAddr;

const MAIN_TABLE: u8 = 254;
/// `RTPROT_BOOT`: made by hand.
const MADE_BY_HAND: u8 = 3;
const SCOPE_LINK: u8 = 253;
const SCOPE_NOWHERE: u8 = 255;
const UNICAST: u8 = 1;
/// `MACVLAN_MODE_BRIDGE`
const MACVLAN_BRIDGE: u32 = 4;

fn change(
    tried: &'static str,
    on: &str,
    kind: u16,
    flags: u16,
    payload: &[u8],
) -> Result<(), Error> {
    Socket::open(libc::NETLINK_ROUTE)?
        .ask(tried, on, kind, flags, payload)
        .map(drop)
}

fn invalid(tried: &'static str, on: &str) -> Error {
    Error::System {
        tried,
        on: on.into(),
        source: io::Error::from_raw_os_error(libc::EINVAL),
    }
}

/// The index of a link; `ENODEV` when there is none of that name.
pub fn index(name: &str) -> Result<u32, Error> {
    let tried = "find link";
    let c_name = CString::new(name).map_err(|_| invalid(tried, name))?;
    // SAFETY: c_name is a NUL-terminated string that lives through the call.
    match unsafe { libc::if_nametoindex(c_name.as_ptr()) } {
        0 => Err(Error::last(tried, name)),
        index => Ok(index),
    }
}

fn create(name: &str, tried: &'static str, write: impl FnOnce(&mut Builder)) -> Result<(), Error> {
    let mut message = Builder::after(&rtnl::link_header(AF_UNSPEC, 0, 0, 0));
    message.str(ifla::IFNAME, name);
    write(&mut message);
    change(
        tried,
        name,
        rtm::NEWLINK,
        CREATE | EXCLUSIVE,
        &message.finish(),
    )
}

/// A pair of virtual Ethernet devices; the peer may be born in another namespace.
pub fn create_veth(name: &str, peer_name: &str, peer_ns: Option<&NetNs>) -> Result<(), Error> {
    create(name, "create veth", |message| {
        message.nest(ifla::LINKINFO, |info| {
            info.str(ifla::INFO_KIND, "veth")
                .nest(ifla::INFO_DATA, |data| {
                    data.nest(ifla::VETH_PEER, |peer| {
                        peer.raw(&rtnl::link_header(AF_UNSPEC, 0, 0, 0))
                            .str(ifla::IFNAME, peer_name);
                        if let Some(ns) = peer_ns {
                            peer.put(ifla::NET_NS_FD, &ns.as_raw_fd().to_ne_bytes());
                        }
                    });
                });
        });
    })
}

/// A bridge, without spanning tree.
pub fn create_bridge(name: &str) -> Result<(), Error> {
    create(name, "create bridge", |message| {
        message.nest(ifla::LINKINFO, |info| {
            info.str(ifla::INFO_KIND, "bridge");
        });
    })
}

/// A VXLAN device (RFC 7348) that sends from `local` to UDP `port`, over the link with index
/// `dev` (0 for whatever the route says).
pub fn create_vxlan(
    name: &str,
    vni: u32,
    port: u16,
    local: IpAddr,
    dev: u32,
    learning: bool,
) -> Result<(), Error> {
    create(name, "create vxlan", |message| {
        message.nest(ifla::LINKINFO, |info| {
            info.str(ifla::INFO_KIND, "vxlan")
                .nest(ifla::INFO_DATA, |data| {
                    data.u32(ifla::VXLAN_ID, vni)
                        .be16(ifla::VXLAN_PORT, port)
                        .u8(ifla::VXLAN_LEARNING, learning.into());
                    if dev != 0 {
                        data.u32(ifla::VXLAN_LINK, dev);
                    }
                    let attr = if local.is_ipv4() {
                        ifla::VXLAN_LOCAL
                    } else {
                        ifla::VXLAN_LOCAL6
                    };
                    data.put(attr, &rtnl::octets(local));
                });
        });
    })
}

/// A macvlan device in bridge mode on the link with index `dev`.
pub fn create_macvlan(name: &str, dev: u32) -> Result<(), Error> {
    create(name, "create macvlan", |message| {
        message.u32(ifla::LINK, dev).nest(ifla::LINKINFO, |info| {
            info.str(ifla::INFO_KIND, "macvlan")
                .nest(ifla::INFO_DATA, |data| {
                    data.u32(ifla::MACVLAN_MODE, MACVLAN_BRIDGE);
                });
        });
    })
}

fn set(
    name: &str,
    tried: &'static str,
    flags: u32,
    change_mask: u32,
    write: impl FnOnce(&mut Builder),
) -> Result<(), Error> {
    let mut message = Builder::after(&rtnl::link_header(
        AF_UNSPEC,
        index(name)?,
        flags,
        change_mask,
    ));
    write(&mut message);
    change(tried, name, rtm::SETLINK, 0, &message.finish())
}

/// Administratively up.
pub fn set_up(name: &str) -> Result<(), Error> {
    set(name, "set link up", IFF_UP, IFF_UP, |_| {})
}

/// Administratively down.
pub fn set_down(name: &str) -> Result<(), Error> {
    set(name, "set link down", 0, IFF_UP, |_| {})
}

/// MTU in bytes.
pub fn set_mtu(name: &str, mtu: u32) -> Result<(), Error> {
    set(name, "set MTU", 0, 0, |message| {
        message.u32(ifla::MTU, mtu);
    })
}

/// Hardware address, `02:00:5e:00:00:01`.
pub fn set_mac(name: &str, mac: &str) -> Result<(), Error> {
    let bytes = rtnl::mac_bytes(mac).ok_or_else(|| invalid("read hardware address", mac))?;
    set(name, "set hardware address", 0, 0, |message| {
        message.put(ifla::ADDRESS, &bytes);
    })
}

/// Makes the link a port of a bridge.
pub fn set_master(name: &str, bridge: &str) -> Result<(), Error> {
    let bridge = index(bridge)?;
    set(name, "put into bridge", 0, 0, |message| {
        message.u32(ifla::MASTER, bridge);
    })
}

/// Takes the link out of its bridge.
pub fn clear_master(name: &str) -> Result<(), Error> {
    set(name, "take out of bridge", 0, 0, |message| {
        message.u32(ifla::MASTER, 0);
    })
}

/// A new name; kernels before 6.2 want the link down.
pub fn rename(name: &str, new: &str) -> Result<(), Error> {
    set(name, "rename link", 0, 0, |message| {
        message.str(ifla::IFNAME, new);
    })
}

/// Moves the link into another namespace, where it arrives down and without addresses.
pub fn move_to(name: &str, ns: &NetNs) -> Result<(), Error> {
    set(name, "move link to another namespace", 0, 0, |message| {
        message.put(ifla::NET_NS_FD, &ns.as_raw_fd().to_ne_bytes());
    })
}

/// Takes the link away, a veth with its peer.
pub fn delete(name: &str) -> Result<(), Error> {
    let message = rtnl::link_header(AF_UNSPEC, index(name)?, 0, 0);
    change("delete link", name, rtm::DELLINK, 0, &message)
}

/// Hairpin mode of a bridge port: whether a frame may leave through the port it came in.
pub fn set_hairpin(name: &str, on: bool) -> Result<(), Error> {
    let message = Builder::after(&rtnl::link_header(AF_BRIDGE, index(name)?, 0, 0))
        .nest(ifla::PROTINFO, |port| {
            port.u8(ifla::BRPORT_MODE, on.into());
        })
        .finish();
    change("set hairpin mode", name, rtm::SETLINK, 0, &message)
}

fn address_message(name: &str, address: IpAddr, prefix: u8) -> Result<Builder, Error> {
    let mut message = Builder::after(&rtnl::address_header(
        rtnl::family(address),
        prefix,
        index(name)?,
    ));
    message
        .put(ifa::LOCAL, &rtnl::octets(address))
        .put(ifa::ADDRESS, &rtnl::octets(address));
    Ok(message)
}

/// Adds an address; an IPv6 one can be used at once (no duplicate address detection).
pub fn add_address(name: &str, address: IpAddr, prefix: u8) -> Result<(), Error> {
    let mut message = address_message(name, address, prefix)?;
    if address.is_ipv6() {
        message.u32(ifa::FLAGS, ifa::NODAD);
    }
    let on = format!("{address}/{prefix} dev {name}");
    change(
        "add address",
        &on,
        rtm::NEWADDR,
        CREATE | EXCLUSIVE,
        &message.finish(),
    )
}

/// Takes an address away.
pub fn del_address(name: &str, address: IpAddr, prefix: u8) -> Result<(), Error> {
    let on = format!("{address}/{prefix} dev {name}");
    change(
        "delete address",
        &on,
        rtm::DELADDR,
        0,
        &address_message(name, address, prefix)?.finish(),
    )
}

fn route_text(to: IpAddr, prefix: u8, via: Option<IpAddr>, dev: Option<&str>) -> String {
    let via = via.map(|v| format!(" via {v}")).unwrap_or_default();
    let dev = dev.map(|d| format!(" dev {d}")).unwrap_or_default();
    format!("{to}/{prefix}{via}{dev}")
}

fn route_message(
    mut header: RouteHeader,
    to: IpAddr,
    via: Option<IpAddr>,
    dev: Option<&str>,
) -> Result<Builder, Error> {
    header.family = rtnl::family(to);
    header.table = MAIN_TABLE;
    let mut message = Builder::after(&header.bytes());
    if header.prefix > 0 {
        message.put(rta::DST, &rtnl::octets(to));
    }
    if let Some(via) = via {
        if via.is_ipv4() == to.is_ipv4() {
            message.put(rta::GATEWAY, &rtnl::octets(via));
        } else {
            // struct rtvia: family in the machine's order, then the address.
            let mut bytes = u16::from(rtnl::family(via)).to_ne_bytes().to_vec();
            bytes.extend(rtnl::octets(via));
            message.put(rta::VIA, &bytes);
        }
    }
    if let Some(dev) = dev {
        message.u32(rta::OIF, index(dev)?);
    }
    Ok(message)
}

/// Adds a route to the main table. With `via` and `dev` the router is taken to be on that link,
/// whether an address there covers it or not (`onlink`).
pub fn add_route(
    to: IpAddr,
    prefix: u8,
    via: Option<IpAddr>,
    dev: Option<&str>,
) -> Result<(), Error> {
    /// `RTNH_F_ONLINK`
    const ON_LINK: u32 = 4;
    let header = RouteHeader {
        prefix,
        protocol: MADE_BY_HAND,
        scope: if via.is_none() && to.is_ipv4() {
            SCOPE_LINK
        } else {
            0
        },
        kind: UNICAST,
        flags: if via.is_some() && dev.is_some() {
            ON_LINK
        } else {
            0
        },
        ..RouteHeader::default()
    };
    let message = route_message(header, to, via, dev)?.finish();
    change(
        "add route",
        &route_text(to, prefix, via, dev),
        rtm::NEWROUTE,
        CREATE | EXCLUSIVE,
        &message,
    )
}

/// Takes the first matching route of the main table away.
pub fn del_route(
    to: IpAddr,
    prefix: u8,
    via: Option<IpAddr>,
    dev: Option<&str>,
) -> Result<(), Error> {
    let header = RouteHeader {
        prefix,
        scope: SCOPE_NOWHERE,
        ..RouteHeader::default()
    };
    let message = route_message(header, to, via, dev)?.finish();
    change(
        "delete route",
        &route_text(to, prefix, via, dev),
        rtm::DELROUTE,
        0,
        &message,
    )
}

/// A permanent neighbour; replaces what is known about the address.
pub fn add_neighbour(dev: &str, address: IpAddr, mac: &str) -> Result<(), Error> {
    let bytes = rtnl::mac_bytes(mac).ok_or_else(|| invalid("read hardware address", mac))?;
    let header = rtnl::neighbour_header(rtnl::family(address), index(dev)?, nda::PERMANENT, 0);
    let message = Builder::after(&header)
        .put(nda::DST, &rtnl::octets(address))
        .put(nda::LLADDR, &bytes)
        .finish();
    change(
        "add neighbour",
        &format!("{address} at {mac} dev {dev}"),
        rtm::NEWNEIGH,
        CREATE | REPLACE,
        &message,
    )
}

/// Forgets a neighbour.
pub fn del_neighbour(dev: &str, address: IpAddr) -> Result<(), Error> {
    let header = rtnl::neighbour_header(rtnl::family(address), index(dev)?, 0, 0);
    let message = Builder::after(&header)
        .put(nda::DST, &rtnl::octets(address))
        .finish();
    change(
        "delete neighbour",
        &format!("{address} dev {dev}"),
        rtm::DELNEIGH,
        0,
        &message,
    )
}

fn fdb_message(mac: &str, to: IpAddr, dev: &str) -> Result<Vec<u8>, Error> {
    let bytes = rtnl::mac_bytes(mac).ok_or_else(|| invalid("read hardware address", mac))?;
    let header = rtnl::neighbour_header(
        AF_BRIDGE,
        index(dev)?,
        nda::NOARP | nda::PERMANENT,
        nda::SELF,
    );
    Ok(Builder::after(&header)
        .put(nda::LLADDR, &bytes)
        .put(nda::DST, &rtnl::octets(to))
        .finish())
}

/// Forwarding entry of a VXLAN device: frames to `mac` go to the tunnel end `to`. The address
/// 00:00:00:00:00:00 is for frames to unknown or all; it may have several ends.
pub fn add_fdb(mac: &str, to: IpAddr, dev: &str) -> Result<(), Error> {
    let flood = rtnl::mac_bytes(mac) == Some([0; 6]);
    let flags = CREATE | if flood { APPEND } else { REPLACE };
    change(
        "add forwarding entry",
        &format!("{mac} dst {to} dev {dev}"),
        rtm::NEWNEIGH,
        flags,
        &fdb_message(mac, to, dev)?,
    )
}

/// Takes a forwarding entry away.
pub fn del_fdb(mac: &str, to: IpAddr, dev: &str) -> Result<(), Error> {
    change(
        "delete forwarding entry",
        &format!("{mac} dst {to} dev {dev}"),
        rtm::DELNEIGH,
        0,
        &fdb_message(mac, to, dev)?,
    )
}

#[cfg(test)]
mod tests;
