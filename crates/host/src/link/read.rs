//! Reading links, neighbours and routes as the model knows them.

use crate::Error;
use crate::netlink::Socket;
use netshoot_model::probe::{Link, Neighbour, Route};
use netshoot_wire::netlink::{Builder, DUMP};
use netshoot_wire::rtnl::{self, AF_BRIDGE, AF_INET, AF_INET6, AF_UNSPEC, rta, rtm};
use std::collections::BTreeMap;
use std::net::IpAddr;

fn dump(
    socket: &Socket,
    tried: &'static str,
    kind: u16,
    header: &[u8],
) -> Result<Vec<Vec<u8>>, Error> {
    // The answer to a GET is the NEW of the same object, two numbers below.
    let wanted = kind.saturating_sub(2);
    let answers = socket.ask(tried, "this network namespace", kind, DUMP, header)?;
    Ok(answers
        .into_iter()
        .filter(|(kind, _)| *kind == wanted)
        .map(|(_, payload)| payload)
        .collect())
}

/// What of rtnetlink this namespace holds, as the kernel sends it: for those who show it.
pub mod raw {
    use super::{dump, rtm, rtnl};
    use crate::Error;
    use crate::netlink::Socket;
    use netshoot_wire::netlink::Builder;
    use netshoot_wire::rtnl::rta;
    use std::net::IpAddr;

    fn open() -> Result<Socket, Error> {
        Socket::open(libc::NETLINK_ROUTE)
    }

    /// All links, by index.
    pub fn links() -> Result<Vec<rtnl::Link>, Error> {
        super::read_links(&open()?)
    }

    /// All addresses of a family, 0 for both.
    pub fn addresses(family: u8) -> Result<Vec<rtnl::Address>, Error> {
        let header = rtnl::address_header(family, 0, 0);
        let all = dump(&open()?, "read addresses", rtm::GETADDR, &header)?;
        let all: Result<Vec<_>, _> = all.iter().map(|p| rtnl::Address::read(p)).collect();
        Ok(all?.into_iter().flatten().collect())
    }

    /// All routes of a family in all tables, those of the cache with them.
    pub fn routes(family: u8) -> Result<Vec<rtnl::Route>, Error> {
        let header = rtnl::RouteHeader {
            family,
            ..Default::default()
        };
        let all = dump(&open()?, "read routes", rtm::GETROUTE, &header.bytes())?;
        let all: Result<Vec<_>, _> = all.iter().map(|p| rtnl::Route::read(p)).collect();
        Ok(all?
            .into_iter()
            .filter(|r| r.header.family == family)
            .collect())
    }

    /// All neighbours of a family.
    pub fn neighbours(family: u8) -> Result<Vec<rtnl::Neighbour>, Error> {
        let header = rtnl::neighbour_header(family, 0, 0, 0);
        let all = dump(&open()?, "read neighbours", rtm::GETNEIGH, &header)?;
        let all: Result<Vec<_>, _> = all.iter().map(|p| rtnl::Neighbour::read(p)).collect();
        Ok(all?)
    }

    /// All rules of a family, in their order.
    pub fn rules(family: u8) -> Result<Vec<rtnl::Rule>, Error> {
        let header = rtnl::RouteHeader {
            family,
            ..Default::default()
        };
        let all = dump(&open()?, "read rules", rtm::GETRULE, &header.bytes())?;
        let all: Result<Vec<_>, _> = all.iter().map(|p| rtnl::Rule::read(p)).collect();
        Ok(all?)
    }

    /// What a packet is looked up by.
    #[derive(Clone, Debug, Default)]
    pub struct Packet {
        /// Where it goes, and how many bits of that are meant.
        pub to: Option<(IpAddr, u8)>,
        /// Where it comes from.
        pub from: Option<IpAddr>,
        /// Index of the link it came in by, 0 for one that is made here.
        pub incoming: u32,
        /// Index of the link it must go out by, 0 for any.
        pub outgoing: u32,
        /// Its mark.
        pub mark: u32,
        /// Whether the route that matches is wanted instead of the decision.
        pub matching: bool,
    }

    /// The kernel's decision for a packet.
    pub fn route_of(packet: &Packet) -> Result<Option<rtnl::Route>, Error> {
        let Some((to, bits)) = packet.to else {
            return Ok(None);
        };
        let mut flags = rta::LOOKUP_TABLE;
        if packet.matching {
            flags |= rta::FIB_MATCH;
        }
        let mut header = rtnl::RouteHeader {
            family: rtnl::family(to),
            prefix: bits,
            flags,
            ..Default::default()
        }
        .bytes();
        if let (Some(from), Some(length)) = (packet.from, header.get_mut(2)) {
            *length = if from.is_ipv4() { 32 } else { 128 };
        }
        let mut message = Builder::after(&header);
        message.put(rta::DST, &rtnl::octets(to));
        if let Some(from) = packet.from {
            message.put(rta::SRC, &rtnl::octets(from));
        }
        for (kind, value) in [
            (rta::IIF, packet.incoming),
            (rta::OIF, packet.outgoing),
            (rta::MARK, packet.mark),
        ] {
            if value != 0 {
                message.u32(kind, value);
            }
        }
        let on = to.to_string();
        let answers = open()?.ask("look up route", &on, rtm::GETROUTE, 0, &message.finish())?;
        let answer = answers.iter().find(|(kind, _)| *kind == rtm::NEWROUTE);
        Ok(answer.map(|(_, p)| rtnl::Route::read(p)).transpose()?)
    }
}

fn read_links(socket: &Socket) -> Result<Vec<rtnl::Link>, Error> {
    dump(
        socket,
        "read links",
        rtm::GETLINK,
        &rtnl::link_header(AF_UNSPEC, 0, 0, 0),
    )?
    .iter()
    .map(|payload| Ok(rtnl::Link::read(payload)?))
    .collect()
}

fn names(socket: &Socket) -> Result<BTreeMap<u32, String>, Error> {
    Ok(read_links(socket)?
        .into_iter()
        .map(|link| (link.index, link.name))
        .collect())
}

fn name_of(names: &BTreeMap<u32, String>, index: u32) -> String {
    // A link may have come after the names were read.
    match names.get(&index) {
        Some(name) => name.clone(),
        None if index == 0 => String::new(),
        None => format!("#{index}"),
    }
}

/// All links with addresses, counters, bridge ports and tunnel settings, by index.
pub fn links() -> Result<Vec<Link>, Error> {
    let socket = Socket::open(libc::NETLINK_ROUTE)?;
    let mut links: BTreeMap<u32, Link> = read_links(&socket)?
        .into_iter()
        .map(|link| (link.index, model_link(link)))
        .collect();
    for payload in dump(
        &socket,
        "read addresses",
        rtm::GETADDR,
        &rtnl::address_header(AF_UNSPEC, 0, 0),
    )? {
        if let Some(found) = rtnl::Address::read(&payload)?
            && let Some(link) = links.get_mut(&found.index)
        {
            link.addresses
                .push(format!("{}/{}", found.address, found.prefix));
        }
    }
    Ok(links.into_values().collect())
}

fn model_link(link: rtnl::Link) -> Link {
    Link {
        index: link.index,
        name: link.name,
        kind: link.kind,
        up: link.flags & rtnl::IFF_UP != 0,
        carrier: link.flags & rtnl::IFF_LOWER_UP != 0,
        mtu: link.mtu,
        mac: rtnl::mac_text(&link.mac),
        master: link.master,
        peer: link.link,
        addresses: Vec::new(),
        promiscuous: link.flags & rtnl::IFF_PROMISC != 0,
        hairpin: link.hairpin,
        port_state: link.port_state,
        vni: link.vni,
        tunnel_port: link.tunnel_port,
        tunnel_local: link.tunnel_local,
        rx_packets: link.stats.rx_packets,
        tx_packets: link.stats.tx_packets,
        rx_errors: link.stats.rx_errors,
        rx_dropped: link.stats.rx_dropped,
        tx_dropped: link.stats.tx_dropped,
    }
}

/// Neighbours of both families, then the forwarding entries of bridges and tunnels. Entries that
/// need no resolution (`NOARP`: multicast, loopback) are left out, as ip-neighbour(8) does.
pub fn neighbours() -> Result<Vec<Neighbour>, Error> {
    let socket = Socket::open(libc::NETLINK_ROUTE)?;
    let names = names(&socket)?;
    let mut all = Vec::new();
    for family in [AF_INET, AF_INET6, AF_BRIDGE] {
        let header = rtnl::neighbour_header(family, 0, 0, 0);
        for payload in dump(&socket, "read neighbours", rtm::GETNEIGH, &header)? {
            let found = rtnl::Neighbour::read(&payload)?;
            let forwarding = found.family == AF_BRIDGE;
            if !forwarding && (found.state & rtnl::nda::NOARP != 0 || found.state == 0) {
                continue;
            }
            all.push(Neighbour {
                address: found.address,
                mac: rtnl::mac_text(&found.mac),
                interface: name_of(&names, found.index),
                state: found.state_word().into(),
                forwarding,
            });
        }
    }
    Ok(all)
}

/// The routes of both families that are in the main table or in one that a rule may name (all
/// but `local`), a multipath route as one route for each way out.
pub fn routes() -> Result<Vec<Route>, Error> {
    /// `RT_TABLE_LOCAL`
    const LOCAL: u32 = 255;
    let socket = Socket::open(libc::NETLINK_ROUTE)?;
    let names = names(&socket)?;
    let mut all = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let header = rtnl::RouteHeader {
            family,
            ..Default::default()
        };
        for payload in dump(&socket, "read routes", rtm::GETROUTE, &header.bytes())? {
            let route = rtnl::Route::read(&payload)?;
            let passing = route.header.flags & rta::CLONED != 0;
            if route.header.family == family && route.table != LOCAL && !passing {
                all.extend(model_routes(&route, &names));
            }
        }
    }
    Ok(all)
}

/// The kernel's decision for a packet from here to `to`; none where there is no route or an
/// `unreachable`, `blackhole`, `prohibit` one.
pub fn route_to(to: IpAddr) -> Result<Option<Route>, Error> {
    let socket = Socket::open(libc::NETLINK_ROUTE)?;
    let names = names(&socket)?;
    // First the decision itself (source address, next hop), then the route that made it.
    let Some(mut decision) = decide(&socket, &names, to, rta::LOOKUP_TABLE)? else {
        return Ok(None);
    };
    // Kernels before 5.12 (IPv4) and 6.1 (IPv6) do not know the flag and repeat the decision.
    if let Ok(Some(matching)) = decide(&socket, &names, to, rta::FIB_MATCH) {
        decision.to = matching.to;
        decision.table = matching.table;
        decision.metric = matching.metric;
    }
    Ok(Some(decision))
}

fn decide(
    socket: &Socket,
    names: &BTreeMap<u32, String>,
    to: IpAddr,
    flags: u32,
) -> Result<Option<Route>, Error> {
    let bits = if to.is_ipv4() { 32 } else { 128 };
    let header = rtnl::RouteHeader {
        family: rtnl::family(to),
        prefix: bits,
        flags,
        ..Default::default()
    };
    let message = Builder::after(&header.bytes())
        .put(rta::DST, &rtnl::octets(to))
        .finish();
    let answers = match socket.ask("look up route", &to.to_string(), rtm::GETROUTE, 0, &message) {
        Ok(answers) => answers,
        // `blackhole` answers EINVAL, `prohibit` EACCES; no route ENETUNREACH.
        Err(e)
            if matches!(
                e.errno(),
                Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL)
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    for (kind, payload) in answers {
        if kind == rtm::NEWROUTE {
            let route = rtnl::Route::read(&payload)?;
            // IPv6 answers with the rejecting route itself.
            if matches!(
                route.kind_word(),
                "unreachable" | "blackhole" | "prohibit" | "throw"
            ) {
                return Ok(None);
            }
            return Ok(model_routes(&route, names).into_iter().next());
        }
    }
    Ok(None)
}

fn model_routes(route: &rtnl::Route, names: &BTreeMap<u32, String>) -> Vec<Route> {
    let to = match route.to {
        Some(to) => format!("{to}/{}", route.header.prefix),
        None => "default".into(),
    };
    let one = |hop: rtnl::NextHop| Route {
        to: to.clone(),
        via: hop.via,
        interface: name_of(names, hop.index),
        source: route.source,
        table: route.table,
        kind: route.kind_word().into(),
        mtu: route.mtu,
        metric: route.priority,
    };
    if route.hops.is_empty() {
        return vec![one(rtnl::NextHop::default())];
    }
    route.hops.iter().map(|hop| one(*hop)).collect()
}
