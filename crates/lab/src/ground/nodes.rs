//! Making nodes, their underlay and the outside, and the networks of pods.

use super::address::{Cidr, bits};
use super::{Node, sysctl};
use crate::Error;
use crate::world::Wiring;
use netshoot_host::link;
use netshoot_host::netns::NetNs;
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

/// Where the outside's resolver listens (documentation prefixes, RFC 5737 and 3849).
const RESOLVER: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 53)),
    IpAddr::V6(std::net::Ipv6Addr::new(
        0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0x53,
    )),
];

/// The switch's bridge and its cable to the outside.
pub(super) const BRIDGE: &str = "lan";
const UPLINK: &str = "uplink";

/// flannel's numbers for VXLAN.
const VNI: u32 = 1;
const VXLAN_PORT: u16 = 8472;
/// Bytes VXLAN adds: Ethernet 14, VXLAN 8, UDP 8, and IPv4 20 or IPv6 40.
const VXLAN_OVER_V4: u32 = 50;
const VXLAN_OVER_V6: u32 = 70;

pub(super) struct Wired {
    pub lan: Arc<NetNs>,
    pub outside: Arc<NetNs>,
    pub resolver: Vec<IpAddr>,
    pub nodes: BTreeMap<String, Node>,
    pub pod_mtu: u32,
}

/// The underlay of one family: its prefix and the gateway to the outside.
#[derive(Clone, Copy, Debug)]
struct Underlay {
    cidr: Cidr,
    gateway: IpAddr,
}

/// Everything but pods.
pub(super) fn wire(wiring: &Wiring, objects: &[Value]) -> Result<Wired, Error> {
    let lan = Arc::new(new_network()?);
    let outside = Arc::new(new_network()?);
    let mut nodes = BTreeMap::new();
    for (i, object) in objects.iter().enumerate() {
        let (name, addresses, cidrs) = read_node(object)?;
        let network = Arc::new(new_network()?);
        nodes.insert(
            name,
            Node {
                network,
                addresses,
                cidrs,
                port: format!("port{i}"),
            },
        );
    }
    let underlays = underlays(&nodes);
    lan.enter(|| make_switch(wiring, &outside, &nodes))??;
    let resolver: Vec<IpAddr> = RESOLVER
        .into_iter()
        .filter(|r| underlays.iter().any(|u| u.gateway.is_ipv4() == r.is_ipv4()))
        .collect();
    let hosts = wiring.outside.values().filter_map(|a| a.parse().ok());
    let hosts: Vec<IpAddr> = resolver.iter().copied().chain(hosts).collect();
    outside.enter(|| make_outside(wiring, &underlays, &hosts))??;
    let pod_mtu = pod_mtu(wiring, &nodes);
    for (name, node) in &nodes {
        node.network
            .enter(|| make_node(wiring, name, &nodes, &underlays, pod_mtu))??;
    }
    let ports: Vec<&str> = nodes
        .values()
        .map(|n| n.port.as_str())
        .chain([UPLINK, BRIDGE])
        .collect();
    lan.enter(|| super::cable::wait_running(&ports))??;
    for network in nodes
        .values()
        .map(|n| n.network.as_ref())
        .chain([&*outside])
    {
        network.enter(|| super::cable::wait_running(&["eth0"]))??;
    }
    Ok(Wired {
        lan,
        outside,
        resolver,
        nodes,
        pod_mtu,
    })
}

fn pod_mtu(wiring: &Wiring, nodes: &BTreeMap<String, Node>) -> u32 {
    let over_v6 = nodes
        .values()
        .any(|n| n.addresses.iter().any(IpAddr::is_ipv6));
    match (wiring.network.as_str(), over_v6) {
        ("vxlan", true) => wiring.mtu.saturating_sub(VXLAN_OVER_V6),
        ("vxlan", false) => wiring.mtu.saturating_sub(VXLAN_OVER_V4),
        _ => wiring.mtu,
    }
}

type NodeFacts = (String, Vec<IpAddr>, Vec<Cidr>);

fn read_node(object: &Value) -> Result<NodeFacts, Error> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let list = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    let name = text("/metadata/name").unwrap_or_default().to_string();
    let wrong = |why: String| Error::Format {
        file: format!("Node {name}"),
        why,
    };
    let addresses: Vec<IpAddr> = list("/status/addresses")
        .iter()
        .filter(|a| a.get("type").and_then(Value::as_str) == Some("InternalIP"))
        .filter_map(|a| a.get("address").and_then(Value::as_str)?.parse().ok())
        .collect();
    let mut cidrs: Vec<Cidr> = list("/spec/podCIDRs")
        .iter()
        .filter_map(|c| Cidr::parse(c.as_str()?))
        .collect();
    if cidrs.is_empty() {
        cidrs.extend(text("/spec/podCIDR").and_then(Cidr::parse));
    }
    if name.is_empty() || addresses.is_empty() {
        return Err(wrong(
            "needs metadata.name and an address of type InternalIP in status.addresses".into(),
        ));
    }
    if cidrs.is_empty() {
        return Err(wrong("needs spec.podCIDRs".into()));
    }
    Ok((name, addresses, cidrs))
}

fn underlays(nodes: &BTreeMap<String, Node>) -> Vec<Underlay> {
    let all: Vec<IpAddr> = nodes
        .values()
        .flat_map(|n| n.addresses.iter().copied())
        .collect();
    let family = |v4: bool| {
        all.iter()
            .copied()
            .filter(|a| a.is_ipv4() == v4)
            .collect::<Vec<_>>()
    };
    [(family(true), 24), (family(false), 64)]
        .iter()
        .filter_map(|(addresses, longest)| {
            let cidr = Cidr::around(addresses, *longest)?;
            let gateway = (1..)
                .map(|n| cidr.nth(n))
                .find(|a| !addresses.contains(a))?;
            Some(Underlay { cidr, gateway })
        })
        .collect()
}

fn make_switch(
    wiring: &Wiring,
    outside: &NetNs,
    nodes: &BTreeMap<String, Node>,
) -> Result<(), Error> {
    // The switch is a switch: it does not hand frames to IP's filters.
    for family in ["iptables", "ip6tables", "arptables"] {
        sysctl::write_if_there(&format!("net.bridge.bridge-nf-call-{family}"), "0")?;
    }
    link::create_bridge(BRIDGE)?;
    // A bridge takes the smallest MTU of its ports until it is given one.
    link::set_mtu(BRIDGE, wiring.mtu)?;
    let plug = |port: &str, network: &NetNs| -> Result<(), Error> {
        link::create_veth(port, "eth0", Some(network))?;
        link::set_mtu(port, wiring.mtu)?;
        super::cable::no_offload(port)?;
        link::set_master(port, BRIDGE)?;
        Ok(link::set_up(port)?)
    };
    plug(UPLINK, outside)?;
    for node in nodes.values() {
        plug(&node.port, &node.network)?;
    }
    Ok(link::set_up(BRIDGE)?)
}

fn make_outside(wiring: &Wiring, underlays: &[Underlay], hosts: &[IpAddr]) -> Result<(), Error> {
    link::set_up("lo")?;
    plug_in(wiring, underlays.iter().map(|u| (u.gateway, u.cidr.prefix)))?;
    for host in hosts {
        link::add_address("lo", *host, bits(*host))?;
    }
    Ok(())
}

/// The end of a cable in a node or in the outside.
fn plug_in(wiring: &Wiring, addresses: impl Iterator<Item = (IpAddr, u8)>) -> Result<(), Error> {
    link::set_mtu("eth0", wiring.mtu)?;
    super::cable::no_offload("eth0")?;
    for (address, prefix) in addresses {
        link::add_address("eth0", address, prefix)?;
    }
    Ok(link::set_up("eth0")?)
}

/// A namespace ready for its first link.
fn new_network() -> Result<NetNs, Error> {
    let network = NetNs::new()?;
    network.enter(before_links)??;
    Ok(network)
}

/// What must hold before the first link exists, for links take it over when they are made.
fn before_links() -> Result<(), Error> {
    for name in ["accept_dad", "accept_ra", "dad_transmits"] {
        sysctl::write_if_there(&format!("net.ipv6.conf.default.{name}"), "0")?;
        sysctl::write_if_there(&format!("net.ipv6.conf.all.{name}"), "0")?;
    }
    // Closed in a new namespace; a container engine opens it. Group 0 is all a user namespace has.
    sysctl::write_if_there("net.ipv4.ping_group_range", "0 0")
}

fn make_node(
    wiring: &Wiring,
    name: &str,
    nodes: &BTreeMap<String, Node>,
    underlays: &[Underlay],
    pod_mtu: u32,
) -> Result<(), Error> {
    let forwarding = [
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv6.conf.all.forwarding", "1"),
        ("net.ipv6.conf.default.forwarding", "1"),
        ("net.ipv4.conf.all.rp_filter", "0"),
        ("net.ipv4.conf.default.rp_filter", "0"),
        ("net.bridge.bridge-nf-call-iptables", "1"),
        ("net.bridge.bridge-nf-call-ip6tables", "1"),
    ];
    for (name, value) in forwarding {
        sysctl::write_if_there(name, value)?;
    }
    link::set_up("lo")?;
    let Some(own) = nodes.get(name) else {
        return Ok(());
    };
    let prefix = |ip: IpAddr| {
        underlays
            .iter()
            .find(|u| u.cidr.holds(ip))
            .map_or(bits(ip), |u| u.cidr.prefix)
    };
    plug_in(wiring, own.addresses.iter().map(|a| (*a, prefix(*a))))?;
    link::create_bridge("cni0")?;
    // A fixed address: a bridge otherwise takes the lowest of its ports, a new one with each pod.
    link::set_mac("cni0", &mac(&[name, "cni0"]))?;
    link::set_mtu("cni0", pod_mtu)?;
    for cidr in &own.cidrs {
        link::add_address("cni0", cidr.nth(1), cidr.prefix)?;
    }
    link::set_up("cni0")?;
    for underlay in underlays {
        link::add_route(
            any(underlay.gateway),
            0,
            Some(underlay.gateway),
            Some("eth0"),
        )?;
    }
    if wiring.network == "vxlan" {
        tunnels(wiring, name, nodes)?
    } else {
        routes(name, nodes)?
    }
    super::cable::masquerade(&own.cidrs, &inside(nodes, underlays))
}

/// Where pods keep their own address: all pods and all nodes.
fn inside(nodes: &BTreeMap<String, Node>, underlays: &[Underlay]) -> Vec<Cidr> {
    let pods = nodes.values().flat_map(|n| n.cidrs.iter().copied());
    pods.chain(underlays.iter().map(|u| u.cidr)).collect()
}

fn any(like: IpAddr) -> IpAddr {
    Cidr {
        address: like,
        prefix: 0,
    }
    .network()
}

fn others<'a>(
    name: &'a str,
    nodes: &'a BTreeMap<String, Node>,
) -> impl Iterator<Item = (&'a String, &'a Node)> {
    nodes.iter().filter(move |(n, _)| *n != name)
}

fn of_family(node: &Node, like: IpAddr) -> Option<IpAddr> {
    node.addresses
        .iter()
        .copied()
        .find(|a| a.is_ipv4() == like.is_ipv4())
}

/// A route for each other node's pods.
fn routes(name: &str, nodes: &BTreeMap<String, Node>) -> Result<(), Error> {
    for (_, other) in others(name, nodes) {
        for cidr in &other.cidrs {
            let via = of_family(other, cidr.address);
            link::add_route(cidr.network(), cidr.prefix, via, Some("eth0"))?;
        }
    }
    Ok(())
}

/// flannel's way: a device for each family, a fixed neighbour and forwarding entry for each other
/// node, nothing learned.
fn tunnels(wiring: &Wiring, name: &str, nodes: &BTreeMap<String, Node>) -> Result<(), Error> {
    let Some(own) = nodes.get(name) else {
        return Ok(());
    };
    for (device, v4) in [("flannel.1", true), ("flannel-v6.1", false)] {
        let local = own.addresses.iter().find(|a| a.is_ipv4() == v4);
        let cidr = own.cidrs.iter().find(|c| c.address.is_ipv4() == v4);
        let (Some(local), Some(cidr)) = (local, cidr) else {
            continue;
        };
        link::create_vxlan(device, VNI, VXLAN_PORT, *local, link::index("eth0")?, false)?;
        link::set_mac(device, &mac(&[name, device]))?;
        let added = if v4 { VXLAN_OVER_V4 } else { VXLAN_OVER_V6 };
        link::set_mtu(device, wiring.mtu.saturating_sub(added))?;
        link::add_address(device, cidr.network(), bits(cidr.address))?;
        link::set_up(device)?;
        for (other_name, other) in others(name, nodes) {
            let there = other.cidrs.iter().find(|c| c.address.is_ipv4() == v4);
            let (Some(there), Some(at)) = (there, of_family(other, *local)) else {
                continue;
            };
            let hardware = mac(&[other_name, device]);
            link::add_fdb(&hardware, at, device)?;
            link::add_neighbour(device, there.network(), &hardware)?;
            link::add_route(
                there.network(),
                there.prefix,
                Some(there.network()),
                Some(device),
            )?;
        }
    }
    Ok(())
}

/// A number that is always the same for the same words.
fn hash(words: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    hasher.finish()
}

/// A locally administered address, always the same for the same words.
fn mac(words: &[&str]) -> String {
    let [a, b, c, d, e, f, ..] = hash(words).to_be_bytes();
    format!(
        "{:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}",
        (a & 0xfc) | 0x02
    )
}

/// Made from the address, so that a neighbour who remembers the pod that had it before is right.
fn pod_mac(addresses: &[IpAddr]) -> String {
    match addresses.first() {
        Some(IpAddr::V4(a)) => {
            let [a, b, c, d] = a.octets();
            format!("0a:58:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
        }
        other => mac(&[&format!("{other:?}")]),
    }
}

/// The network of one pod, and the name of the node's end of its veth.
pub(super) fn add_pod(
    node: &Node,
    uid: &str,
    addresses: &[IpAddr],
    mtu: u32,
) -> Result<(NetNs, String), Error> {
    let placed: Vec<(IpAddr, Cidr)> = addresses
        .iter()
        .map(|a| {
            let cidr = node.cidrs.iter().find(|c| c.holds(*a)).copied();
            let what = || format!("address {a} is in none of the node's podCIDRs");
            Ok((*a, cidr.ok_or_else(|| Error::Absent { what: what() })?))
        })
        .collect::<Result<_, Error>>()?;
    let network = new_network()?;
    let veth = format!("veth{:08x}", hash(&[uid]) as u32);
    node.network.enter(|| -> Result<(), Error> {
        link::create_veth(&veth, "eth0", Some(&network))?;
        link::set_mtu(&veth, mtu)?;
        link::set_master(&veth, "cni0")?;
        link::set_hairpin(&veth, true)?;
        Ok(link::set_up(&veth)?)
    })??;
    network.enter(|| -> Result<(), Error> {
        link::set_up("lo")?;
        link::set_mac("eth0", &pod_mac(addresses))?;
        link::set_mtu("eth0", mtu)?;
        for (address, cidr) in &placed {
            link::add_address("eth0", *address, cidr.prefix)?;
        }
        link::set_up("eth0")?;
        for (address, cidr) in &placed {
            link::add_route(any(*address), 0, Some(cidr.nth(1)), Some("eth0"))?;
        }
        super::cable::wait_running(&["eth0"])
    })??;
    node.network
        .enter(|| super::cable::wait_running(&[&veth, "cni0"]))??;
    Ok((network, veth))
}
