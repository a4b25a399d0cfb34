//! What rules make of real packets. A node with the rules stands between a network of pods and the world: each port of each
//! Service is called from a pod, from the node itself, from outside, and from its own backend, and what comes out is looked at.

use crate::ring5::until;
use netshoot_host::capture::{Capture, Packet};
use netshoot_host::netns::NetNs;
use netshoot_host::sockets::{self, Deadline};
use netshoot_host::{Error, link};
use netshoot_lab::ground::{address::Cidr, sysctl};
use netshoot_wire::inet::{Icmp, Ip, Tcp, build_ip, build_tcp, build_udp, protocol};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

/// Calls of each place by each caller: of five backends none is missed but once in 100,000 times.
const TRIES: usize = 60;
/// Calls made before what became of them is read: no more than a capture keeps.
const AT_ONCE: usize = 6000;
/// A port that no Service has.
const NO_PORT: u16 = 9;
/// In front of the number of a call, where the packet keeps it: TCP's sequence, or UDP's data.
const OURS: u32 = 0x5a << 24;

/// A place that is called.
#[derive(Clone, Debug)]
pub struct Place {
    called: String,
    to: SocketAddr,
    udp: bool,
    sticky: bool,
    /// A backend on the node: it calls the Service that it stands behind.
    backend: Option<IpAddr>,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or(&[])
}

fn of_kind<'a>(objects: &'a [Value], kind: &'static str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |o| text(o, "/kind") == kind)
}

fn addresses<'a>(values: &'a [Value], at: &'a str, v6: bool) -> impl Iterator<Item = IpAddr> + 'a {
    let all = values.iter().filter_map(move |v| text(v, at).parse().ok());
    all.filter(move |a: &IpAddr| a.is_ipv6() == v6)
}

/// The addresses of a node, by family.
fn node_addresses(node: &str, objects: &[Value], v6: bool) -> Vec<IpAddr> {
    let mut nodes = of_kind(objects, "Node").filter(|n| text(n, "/metadata/name") == node);
    let all = list(nodes.next().unwrap(), "/status/addresses");
    addresses(all, "/address", v6).collect()
}

/// Every port of every Service of these namespaces, at each of its addresses; and one that it has not.
pub fn places(node: &str, objects: &[Value], namespaces: &[&str], v6: bool) -> Vec<Place> {
    let own = node_addresses(node, objects, v6);
    let mut all = Vec::new();
    for service in of_kind(objects, "Service") {
        let (namespace, name) = (
            text(service, "/metadata/namespace"),
            text(service, "/metadata/name"),
        );
        if !namespaces.contains(&namespace) || text(service, "/spec/clusterIP") == "None" {
            continue;
        }
        let slices = of_kind(objects, "EndpointSlice").filter(|s| {
            text(s, "/metadata/labels/kubernetes.io~1service-name") == name
                && text(s, "/metadata/namespace") == namespace
        });
        let backend = slices
            .flat_map(|s| list(s, "/endpoints"))
            .filter(|e| text(e, "/nodeName") == node)
            .find_map(|e| addresses(list(e, "/addresses"), "", v6).next());
        for port in list(service, "/spec/ports") {
            let number = |field: &str| port[field].as_u64().unwrap_or(0) as u16;
            let mut to: Vec<SocketAddr> = Vec::new();
            for ip in addresses(list(service, "/spec/clusterIPs"), "", v6) {
                to.extend([number("port"), NO_PORT].map(|p| SocketAddr::new(ip, p)));
            }
            let outside = addresses(list(service, "/spec/externalIPs"), "", v6);
            let balanced = list(service, "/status/loadBalancer/ingress");
            let outside = outside.chain(addresses(balanced, "/ip", v6));
            to.extend(outside.map(|ip| SocketAddr::new(ip, number("port"))));
            if number("nodePort") != 0 {
                let own = own.iter();
                to.extend(own.map(|ip| SocketAddr::new(*ip, number("nodePort"))));
            }
            all.extend(to.into_iter().map(|to| Place {
                called: format!("{namespace}/{name}"),
                to,
                udp: text(port, "/protocol") == "UDP",
                sticky: text(service, "/spec/sessionAffinity") == "ClientIP",
                backend,
            }));
        }
    }
    all
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Pod,
    Node,
    Outside,
    Backend,
}

/// One call.
struct Call<'a> {
    place: &'a Place,
    caller: Caller,
    from: SocketAddr,
}

/// A node between pods and the world.
pub struct Scene {
    pub node: NetNs,
    pods: NetNs,
    world: NetNs,
    own: Vec<IpAddr>,
    pod_networks: Vec<Cidr>,
}

const MACS: [&str; 4] = [
    "02:00:00:00:00:01",
    "02:00:00:00:00:02",
    "02:00:00:00:00:03",
    "02:00:00:00:00:04",
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Everything by a neighbour that need not be asked for.
fn default_by(device: &str, mac: &str) -> Result<(), Error> {
    for (all, neighbour) in [("0.0.0.0", "169.254.1.1"), ("::", "fe80::1")] {
        link::add_neighbour(device, ip(neighbour), mac)?;
        link::add_route(ip(all), 0, Some(ip(neighbour)), Some(device))?;
    }
    Ok(())
}

impl Scene {
    pub fn new(node: &str, objects: &[Value]) -> Scene {
        let mut nodes = of_kind(objects, "Node").filter(|n| text(n, "/metadata/name") == node);
        let cidrs = list(nodes.next().unwrap(), "/spec/podCIDRs").iter();
        let scene = Scene {
            node: NetNs::new().unwrap(),
            pods: NetNs::new().unwrap(),
            world: NetNs::new().unwrap(),
            own: [false, true]
                .iter()
                .flat_map(|v6| node_addresses(node, objects, *v6))
                .collect(),
            pod_networks: cidrs
                .map(|c| Cidr::parse(c.as_str().unwrap()).unwrap())
                .collect(),
        };
        scene.build().unwrap();
        scene
    }

    fn build(&self) -> Result<(), Error> {
        for ns in [&self.node, &self.pods, &self.world] {
            ns.enter(|| sysctl::write("net/ipv6/conf/default/accept_dad", "0"))?
                .unwrap();
        }
        self.node.enter(|| {
            for (name, value) in [
                ("net/ipv4/ip_forward", "1"),
                ("net/ipv6/conf/all/forwarding", "1"),
                ("net/ipv4/conf/all/rp_filter", "0"),
                ("net/ipv4/conf/default/rp_filter", "0"),
                // Every refusal is told.
                ("net/ipv4/icmp_ratemask", "0"),
                ("net/ipv6/icmp/ratemask", "254"),
            ] {
                sysctl::write(name, value).unwrap();
            }
            link::set_up("lo")?;
            link::create_veth("pods", "eth0", Some(&self.pods))?;
            link::create_veth("lan", "eth0", Some(&self.world))?;
            for (name, mac) in [("pods", MACS[0]), ("lan", MACS[2])] {
                link::set_mac(name, mac)?;
                link::set_up(name)?;
            }
            for own in &self.own {
                link::add_address("lan", *own, if own.is_ipv6() { 128 } else { 32 })?;
            }
            Ok::<_, Error>(())
        })??;
        for (ns, mac, by) in [
            (&self.pods, MACS[1], MACS[0]),
            (&self.world, MACS[3], MACS[2]),
        ] {
            ns.enter(|| {
                link::set_mac("eth0", mac)?;
                link::set_up("eth0")?;
                link::add_address("eth0", ip("169.254.1.9"), 32)?;
                link::add_address("eth0", ip("2001:db8:8::9"), 128)?;
                default_by("eth0", by)
            })??;
        }
        self.node.enter(|| {
            default_by("lan", MACS[3])?;
            for pods in &self.pod_networks {
                let by = ip(if pods.address.is_ipv6() {
                    "fe80::2"
                } else {
                    "169.254.1.2"
                });
                link::add_neighbour("pods", by, MACS[1])?;
                // Those that call; who is called lies in the world.
                let prefix = if by.is_ipv6() { 120 } else { 25 };
                link::add_route(pods.nth(128), prefix, Some(by), Some("pods"))?;
            }
            Ok::<_, Error>(())
        })??;
        Ok(())
    }

    /// What became of the calls of each place: for each caller, all that was seen.
    pub fn decisions(&self, places: &[Place], v6: bool) -> BTreeMap<String, BTreeSet<String>> {
        let mut calls = Vec::new();
        for place in places {
            for caller in [Caller::Pod, Caller::Node, Caller::Outside, Caller::Backend] {
                let tries = if place.to.port() == NO_PORT { 3 } else { TRIES };
                for n in 0..tries {
                    let from = match caller {
                        Caller::Pod => self.pods_of(v6).nth(129 + n as u128),
                        Caller::Node => *self.own.iter().find(|a| a.is_ipv6() == v6).unwrap(),
                        Caller::Outside if v6 => ip(&format!("2001:db8::{:x}", 0x100 + n)),
                        Caller::Outside => ip(&format!("198.51.100.{}", 130 + n)),
                        Caller::Backend => match place.backend {
                            Some(backend) => backend,
                            None => continue,
                        },
                    };
                    let port = 1024 + (calls.len() % 60_000) as u16;
                    calls.push(Call {
                        place,
                        caller,
                        from: (from, port).into(),
                    });
                }
            }
        }
        self.carries(v6);
        let seen = self.make(&calls);
        let mut all = BTreeMap::<String, BTreeMap<String, (usize, usize)>>::new();
        for (call, seen) in calls.iter().zip(seen) {
            let place = call.place;
            let protocol = if place.udp { "udp" } else { "tcp" };
            let key = format!(
                "{} {}/{protocol} called by {:?}",
                place.called, place.to, call.caller
            );
            let (what, new_source) = match seen {
                // One caller stays with the backend that chance gave it first.
                Some(Seen::Came { to, from })
                    if place.sticky && matches!(call.caller, Caller::Node | Caller::Backend) =>
                {
                    let what = if to == place.to {
                        to.to_string()
                    } else {
                        "one backend".into()
                    };
                    (what, from != call.from)
                }
                Some(Seen::Came { to, from }) => (to.to_string(), from != call.from),
                Some(Seen::Refused) => ("refused".into(), false),
                Some(Seen::Reset) => ("no listener".into(), false),
                None => ("dropped".into(), false),
            };
            let counts = all.entry(key).or_default().entry(what).or_default();
            counts.0 += 1;
            counts.1 += usize::from(new_source);
        }
        // A port drawn anew is by chance the old one, once in a while.
        let words = |(what, (all, new)): (String, (usize, usize))| {
            if new * 2 > all {
                format!("{what} masqueraded")
            } else {
                what
            }
        };
        all.into_iter()
            .map(|(key, seen)| (key, seen.into_iter().map(words).collect()))
            .collect()
    }

    fn pods_of(&self, v6: bool) -> &Cidr {
        let mut all = self.pod_networks.iter();
        all.find(|p| p.address.is_ipv6() == v6).unwrap()
    }

    /// Waits until the links carry packets, both ways.
    fn carries(&self, v6: bool) {
        let far = ip(if v6 { "2001:db8:9::9" } else { "203.0.113.9" });
        let pod = self.pods_of(v6).nth(128);
        for (from, source, at, to) in [
            (&self.pods, pod, &self.world, far),
            (&self.world, far, &self.pods, pod),
        ] {
            let heard = at.enter(|| Capture::open("eth0")).unwrap().unwrap();
            until("the links carry packets", 10, || {
                let packet = packet((source, 1).into(), (to, 9).into(), true, 0);
                from.enter(|| send(&packet, to)).unwrap();
                let mut buffer = Vec::new();
                let deadline = Deadline::after_ms(100);
                while let Some(p) = heard.next(&mut buffer, deadline).unwrap() {
                    if !p.outgoing && matches!(read(&p), Some((0, Seen::Came { .. }))) {
                        return Ok(());
                    }
                }
                Err("nothing came".into())
            });
        }
    }

    fn make(&self, calls: &[Call<'_>]) -> Vec<Option<Seen>> {
        let hear = |ns: &NetNs, name: &str| ns.enter(|| Capture::open(name)).unwrap().unwrap();
        let captures = [
            hear(&self.pods, "eth0"),
            hear(&self.world, "eth0"),
            hear(&self.node, "lo"),
        ];
        let mut all: Vec<Option<Seen>> = calls.iter().map(|_| None).collect();
        for (part, some) in calls.chunks(AT_ONCE).enumerate() {
            for caller in [&self.pods, &self.world, &self.node] {
                caller
                    .enter(|| {
                        for (i, call) in some.iter().enumerate() {
                            let at = match call.caller {
                                Caller::Pod | Caller::Backend => &self.pods,
                                Caller::Outside => &self.world,
                                Caller::Node => &self.node,
                            };
                            if std::ptr::eq(at, caller) {
                                let number = (part * AT_ONCE + i + 1) as u32;
                                let (to, udp) = (call.place.to, call.place.udp);
                                send(&packet(call.from, to, udp, number), to.ip());
                            }
                        }
                    })
                    .unwrap();
            }
            for (i, capture) in captures.iter().enumerate() {
                let mut buffer = Vec::new();
                while let Some(p) = capture.next(&mut buffer, Deadline::after_ms(150)).unwrap() {
                    let Some((number, seen)) = read(&p).filter(|_| !p.outgoing) else {
                        continue;
                    };
                    // On its way to the node itself: what that says to it counts.
                    if i == 2 && matches!(seen, Seen::Came { .. }) {
                        continue;
                    }
                    if let Some(at) = (number as usize).checked_sub(1) {
                        all[at] = Some(seen);
                    }
                }
            }
        }
        all
    }
}

/// What was seen of a call.
#[derive(Clone, Debug)]
enum Seen {
    Came { to: SocketAddr, from: SocketAddr },
    Refused,
    Reset,
}

fn packet(from: SocketAddr, to: SocketAddr, udp: bool, number: u32) -> Vec<u8> {
    let number = OURS | number;
    let (protocol, payload) = if udp {
        (
            protocol::UDP,
            build_udp(from, to, &number.to_be_bytes()).unwrap(),
        )
    } else {
        let syn = Tcp {
            seq: number,
            flags: Tcp::SYN,
            window: 1024,
            ..Tcp::default()
        };
        (protocol::TCP, build_tcp(from, to, &syn).unwrap())
    };
    build_ip(from.ip(), to.ip(), protocol, &payload).unwrap()
}

/// From the network of the calling thread.
fn send(packet: &[u8], to: IpAddr) {
    thread_local!(static SOCKETS: [std::os::fd::OwnedFd; 2] = [libc::AF_INET, libc::AF_INET6].map(|family| {
        sockets::open(family, libc::SOCK_RAW, libc::IPPROTO_RAW, "packets").unwrap()
    }));
    let sent = SOCKETS.with(|s| {
        let socket = &s[usize::from(to.is_ipv6())];
        sockets::send_to(socket, packet, (to, 0).into())
    });
    match sent {
        // The rules refused it at once.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {}
        other => drop(other.unwrap()),
    }
}

/// The number of a call, and what this packet says of it.
fn read(packet: &Packet<'_>) -> Option<(u32, Seen)> {
    let ip = Ip::decode(packet.bytes).ok()?;
    let v6 = ip.source.is_ipv6();
    let number = |ip: &Ip<'_>| -> Option<u32> {
        let at = match ip.protocol {
            protocol::TCP => 4,
            protocol::UDP => 8,
            _ => return None,
        };
        let bytes = ip.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let (number, seen) = match ip.protocol {
        protocol::ICMP | protocol::ICMPV6 => {
            let icmp = Icmp::decode(v6, ip.payload).ok()?;
            (number(&Ip::decode(icmp.about()?).ok()?)?, Seen::Refused)
        }
        protocol::TCP if Tcp::decode(ip.payload).ok()?.has(Tcp::RST) => {
            let reset = Tcp::decode(ip.payload).ok()?;
            (reset.ack.wrapping_sub(1), Seen::Reset)
        }
        _ => {
            let port = |at: usize| {
                let bytes = ip.payload.get(at..at + 2)?;
                Some(u16::from_be_bytes(bytes.try_into().ok()?))
            };
            let to = SocketAddr::new(ip.destination, port(2)?);
            let from = SocketAddr::new(ip.source, port(0)?);
            (number(&ip)?, Seen::Came { to, from })
        }
    };
    (number & 0xff00_0000 == OURS).then_some((number & 0x00ff_ffff, seen))
}
