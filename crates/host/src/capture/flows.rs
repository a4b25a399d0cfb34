//! Packets summed up as conversations, those inside a tunnel as conversations of their own.

use netshoot_model::probe::Flow;
use netshoot_wire::inet::{
    Arp, Ethernet, Icmp, Ip, Message, Tcp, Udp, VXLAN_PORTS, Vxlan, ethertype, protocol,
};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Conversations kept at most; later ones are not seen.
const MAX_FLOWS: usize = 4096;
/// Separate stretches of a sequence kept at most; more holes than that are forgotten, lowest first.
const MAX_STRETCHES: usize = 64;
/// Tunnels in tunnels followed at most.
const MAX_DEPTH: usize = 3;
/// Not an IP protocol number.
const ARP: u8 = 255;

/// What to keep. A packet is kept with all its layers when one of them matches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// This address at either end.
    pub host: Option<IpAddr>,
    /// This TCP or UDP port at either end.
    pub port: Option<u16>,
}

/// One packet at one layer.
struct Layer<'a> {
    tunnel: Option<u32>,
    protocol: u8,
    source: SocketAddr,
    destination: SocketAddr,
    tcp: Option<(Tcp<'a>, usize)>,
    /// The ends of the packet an ICMP error is about, whether it is "too big", and its protocol.
    about: Option<(SocketAddr, SocketAddr, bool, u8)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    interface: u32,
    tunnel: Option<u32>,
    protocol: u8,
    low: SocketAddr,
    high: SocketAddr,
}

struct State {
    interface: u32,
    flow: Flow,
    /// Of the forward and the backward direction.
    sequences: [Sequence; 2],
}

/// All conversations of one capture.
pub struct Table {
    filter: Filter,
    states: Vec<State>,
    index: HashMap<Key, usize>,
}

impl Filter {
    fn wants(&self, layer: &Layer<'_>) -> bool {
        let fits = |a: SocketAddr, b: SocketAddr| {
            self.host.is_none_or(|h| h == a.ip() || h == b.ip())
                && self.port.is_none_or(|p| p == a.port() || p == b.port())
        };
        fits(layer.source, layer.destination) || layer.about.is_some_and(|(a, b, ..)| fits(a, b))
    }
}

impl Table {
    /// An empty table.
    pub fn new(filter: Filter) -> Table {
        Table {
            filter,
            states: vec![],
            index: HashMap::new(),
        }
    }

    /// Takes a packet into account, given from its network header on.
    pub fn see(&mut self, interface: u32, ethertype: u16, bytes: &[u8]) {
        let mut layers = Vec::new();
        peel(ethertype, bytes, None, &mut layers);
        if !layers.iter().any(|layer| self.filter.wants(layer)) {
            return;
        }
        for layer in &layers {
            self.count(interface, layer);
        }
    }

    /// The conversations in the order of their first packets.
    pub fn flows(self, mut name: impl FnMut(u32) -> String) -> Vec<Flow> {
        let mut names = HashMap::new();
        let mut named = |index| names.entry(index).or_insert_with(|| name(index)).clone();
        self.states
            .into_iter()
            .map(|s| Flow {
                interface: named(s.interface),
                ..s.flow
            })
            .collect()
    }

    fn count(&mut self, interface: u32, layer: &Layer<'_>) {
        if let Some((source, destination, true, number)) = layer.about
            && let Some((state, _)) =
                self.state(interface, layer.tunnel, number, source, destination)
        {
            state.flow.too_big += 1;
        }
        let Some((state, backward)) = self.state(
            interface,
            layer.tunnel,
            layer.protocol,
            layer.source,
            layer.destination,
        ) else {
            return;
        };
        let flow = &mut state.flow;
        *(if backward {
            &mut flow.backward
        } else {
            &mut flow.forward
        }) += 1;
        let Some((tcp, length)) = &layer.tcp else {
            return;
        };
        flow.syns += u64::from(tcp.has(Tcp::SYN) && !tcp.has(Tcp::ACK));
        flow.resets += u64::from(tcp.has(Tcp::RST));
        flow.zero_windows += u64::from(tcp.window == 0 && tcp.flags & (Tcp::RST | Tcp::SYN) == 0);
        let sequence = &mut state.sequences[usize::from(backward)];
        flow.retransmissions += u64::from(sequence.again(tcp, *length));
    }

    /// The conversation of a packet, made where it is new, and whether the packet goes back.
    fn state(
        &mut self,
        interface: u32,
        tunnel: Option<u32>,
        number: u8,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Option<(&mut State, bool)> {
        let (low, high) = (source.min(destination), source.max(destination));
        let key = Key {
            interface,
            tunnel,
            protocol: number,
            low,
            high,
        };
        let at = match self.index.get(&key) {
            Some(at) => *at,
            None if self.states.len() >= MAX_FLOWS => return None,
            None => {
                let flow = Flow {
                    interface: String::new(),
                    protocol: word(number),
                    source,
                    destination,
                    tunnel: tunnel.map(|vni| format!("vxlan {vni}")).unwrap_or_default(),
                    forward: 0,
                    backward: 0,
                    syns: 0,
                    retransmissions: 0,
                    resets: 0,
                    zero_windows: 0,
                    too_big: 0,
                };
                self.states.push(State {
                    interface,
                    flow,
                    sequences: Default::default(),
                });
                self.index.insert(key, self.states.len() - 1);
                self.states.len() - 1
            }
        };
        let state = self.states.get_mut(at)?;
        let backward = state.flow.source != source;
        Some((state, backward))
    }
}

fn word(number: u8) -> String {
    match number {
        protocol::ICMP => "icmp",
        protocol::ICMPV6 => "icmpv6",
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::SCTP => "sctp",
        ARP => "arp",
        other => return format!("ip {other}"),
    }
    .to_string()
}

/// The layers of a packet, outermost first.
fn peel<'a>(kind: u16, bytes: &'a [u8], tunnel: Option<u32>, layers: &mut Vec<Layer<'a>>) {
    if kind == ethertype::ARP {
        if let Ok(arp) = Arp::decode(bytes) {
            let [source, destination] =
                [arp.sender, arp.target].map(|ip| SocketAddr::new(ip.into(), 0));
            layers.push(Layer {
                tunnel,
                protocol: ARP,
                source,
                destination,
                tcp: None,
                about: None,
            });
        }
        return;
    }
    let Ok(ip) = Ip::decode(bytes) else { return };
    let [source_port, destination_port] = if ip.is_first() {
        ports(ip.protocol, ip.payload)
    } else {
        [0, 0]
    };
    let source = SocketAddr::new(ip.source, source_port);
    let destination = SocketAddr::new(ip.destination, destination_port);
    let tcp = (ip.protocol == protocol::TCP && ip.is_first())
        .then(|| Tcp::decode(ip.payload).ok())
        .flatten()
        .map(|tcp| (tcp.clone(), ip.payload_length().saturating_sub(tcp.header)));
    layers.push(Layer {
        tunnel,
        protocol: ip.protocol,
        source,
        destination,
        tcp,
        about: about(&ip),
    });
    if ip.protocol == protocol::UDP
        && VXLAN_PORTS.contains(&destination_port)
        && layers.len() < MAX_DEPTH
        && let Ok(udp) = Udp::decode(ip.payload)
        && let Ok(vxlan) = Vxlan::decode(udp.payload)
        && let Ok(frame) = Ethernet::decode(vxlan.frame)
    {
        peel(frame.ethertype, frame.payload, Some(vxlan.vni), layers);
    }
}

/// The packet that an ICMP error is about.
fn about(ip: &Ip<'_>) -> Option<(SocketAddr, SocketAddr, bool, u8)> {
    let v6 = match ip.protocol {
        protocol::ICMP => false,
        protocol::ICMPV6 => true,
        _ => return None,
    };
    let icmp = Icmp::decode(v6, ip.payload).ok()?;
    let quoted = Ip::decode(icmp.about()?).ok()?;
    let [source, destination] = ports(quoted.protocol, quoted.payload);
    let too_big = matches!(icmp.message(), Message::TooBig { .. });
    let ends = (
        SocketAddr::new(quoted.source, source),
        SocketAddr::new(quoted.destination, destination),
    );
    Some((ends.0, ends.1, too_big, quoted.protocol))
}

/// Both ports: an ICMP error quotes at least these.
fn ports(number: u8, bytes: &[u8]) -> [u16; 2] {
    match (number, bytes) {
        (protocol::TCP | protocol::UDP | protocol::SCTP, [a, b, c, d, ..]) => {
            [u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])]
        }
        _ => [0, 0],
    }
}

/// What of one direction's sequence space was seen, as stretches relative to the first segment.
#[derive(Default)]
struct Sequence {
    /// A sequence number that was seen, and where it lies.
    anchor: Option<(u32, i64)>,
    /// Disjoint, ascending.
    stretches: Vec<(i64, i64)>,
}

impl Sequence {
    /// Notes a segment; true when all of it was seen before.
    fn again(&mut self, tcp: &Tcp<'_>, data: usize) -> bool {
        let syn = tcp.has(Tcp::SYN);
        let length = data as i64 + i64::from(syn) + i64::from(tcp.has(Tcp::FIN));
        if length == 0 || tcp.has(Tcp::RST) {
            return false;
        }
        let (from, place) = *self.anchor.get_or_insert((tcp.seq, 0));
        let start = place + i64::from(tcp.seq.wrapping_sub(from) as i32);
        let end = start + length;
        let seen = self.stretches.iter().any(|(a, b)| *a <= start && end <= *b);
        if syn && !seen {
            // Another connection between the same ends.
            *self = Sequence {
                anchor: Some((tcp.seq, 0)),
                stretches: vec![(0, length)],
            };
            return false;
        }
        if seen {
            return true;
        }
        self.anchor = Some((tcp.seq, start));
        let (mut low, mut high) = (start, end);
        self.stretches.retain(|(a, b)| {
            let touches = *a <= high && low <= *b;
            if touches {
                (low, high) = (low.min(*a), high.max(*b));
            }
            !touches
        });
        let at = self.stretches.partition_point(|(a, _)| *a < low);
        self.stretches.insert(at, (low, high));
        if self.stretches.len() > MAX_STRETCHES {
            self.stretches.remove(0);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netshoot_wire::inet::{build_ip, build_tcp, build_udp};

    fn ends(v6: bool) -> (SocketAddr, SocketAddr) {
        let texts = if v6 {
            ["[fd00::1]:40000", "[fd00::2]:80"]
        } else {
            ["10.0.0.1:40000", "10.0.0.2:80"]
        };
        (texts[0].parse().unwrap(), texts[1].parse().unwrap())
    }

    fn packet(from: SocketAddr, to: SocketAddr, seq: u32, flags: u8, data: &[u8]) -> Vec<u8> {
        let segment = Tcp {
            seq,
            flags,
            payload: data,
            window: 9,
            ..Tcp::default()
        };
        build_ip(
            from.ip(),
            to.ip(),
            protocol::TCP,
            &build_tcp(from, to, &segment).unwrap(),
        )
        .unwrap()
    }

    fn kind(v6: bool) -> u16 {
        if v6 { ethertype::IPV6 } else { ethertype::IPV4 }
    }

    #[test]
    fn retransmissions_are_told_from_reordering_and_new_connections() {
        for v6 in [false, true] {
            let (a, b) = ends(v6);
            let mut table = Table::new(Filter::default());
            let wrap = u32::MAX - 2;
            for (seq, flags, data) in [
                (wrap, Tcp::SYN, ""),
                (wrap, Tcp::SYN, ""),                   // 1: again
                (wrap.wrapping_add(1), Tcp::ACK, ""),   // nothing in it
                (wrap.wrapping_add(1), Tcp::ACK, "ab"), // across the wrap
                (wrap.wrapping_add(5), Tcp::ACK, "ef"), // early
                (wrap.wrapping_add(3), Tcp::ACK, "cd"), // late, but new
                (wrap.wrapping_add(3), Tcp::ACK, "cd"), // 2: again
                (wrap.wrapping_add(5), Tcp::ACK, "e"),  // 3: a part again
                (wrap.wrapping_add(7), Tcp::FIN, ""),
                (wrap.wrapping_add(7), Tcp::FIN, ""), // 4: again
                (77, Tcp::SYN, ""),                   // a new connection
                (77, Tcp::RST, ""),
            ] {
                table.see(1, kind(v6), &packet(a, b, seq, flags, data.as_bytes()));
            }
            table.see(1, kind(v6), &packet(b, a, 5, Tcp::SYN | Tcp::ACK, b""));
            let flows = table.flows(|i| format!("eth{i}"));
            assert_eq!(flows.len(), 1);
            let f = &flows[0];
            assert_eq!(
                (
                    f.interface.as_str(),
                    f.protocol.as_str(),
                    f.source,
                    f.destination
                ),
                ("eth1", "tcp", a, b)
            );
            assert_eq!(
                (f.forward, f.backward, f.syns, f.retransmissions, f.resets),
                (12, 1, 3, 4, 1),
                "{f:?}"
            );
        }
    }

    #[test]
    fn a_tunnel_is_looked_into_and_an_error_belongs_to_its_flow() {
        let (a, b) = ends(true);
        let inner = packet(a, b, 1, Tcp::ACK, &[0; 100]);
        let frame = Ethernet {
            destination: [1; 6],
            source: [2; 6],
            vlan: None,
            ethertype: kind(true),
            payload: &inner,
        };
        let frame = frame.encode();
        let (node_a, node_b) = ends(false);
        let node_b = SocketAddr::new(node_b.ip(), 8472);
        let outer = |from: SocketAddr, to: SocketAddr| {
            let udp = build_udp(
                from,
                to,
                &Vxlan {
                    vni: 1,
                    frame: &frame,
                }
                .encode(),
            )
            .unwrap();
            build_ip(from.ip(), to.ip(), protocol::UDP, &udp).unwrap()
        };
        let mut too_big = vec![2, 0, 0, 0, 0, 0, 5, 0];
        too_big.extend(&inner[..48]); // the shortest quotation: the ports, no more
        let router = build_ip(
            "fd00::9".parse().unwrap(),
            a.ip(),
            protocol::ICMPV6,
            &too_big,
        )
        .unwrap();

        for (filter, kept) in [
            (
                Filter {
                    host: Some(a.ip()),
                    port: None,
                },
                3,
            ),
            (
                Filter {
                    host: Some(b.ip()),
                    port: Some(80),
                },
                3,
            ),
            (
                Filter {
                    host: Some(node_a.ip()),
                    port: Some(8472),
                },
                2,
            ),
            (
                Filter {
                    host: Some(node_a.ip()),
                    port: Some(80),
                },
                0,
            ),
            (
                Filter {
                    host: None,
                    port: Some(81),
                },
                0,
            ),
        ] {
            let mut table = Table::new(filter);
            table.see(3, ethertype::IPV4, &outer(node_a, node_b));
            table.see(3, kind(true), &inner);
            table.see(3, kind(true), &router);
            let flows = table.flows(|_| "eth0".into());
            // The wire's flow, the tunnel's flow, the flow without a tunnel, the ICMP.
            assert_eq!(
                flows.iter().filter(|f| f.protocol != "icmpv6").count(),
                kept,
                "{filter:?} {flows:?}"
            );
            if kept == 3 {
                assert_eq!((flows[1].tunnel.as_str(), flows[1].source), ("vxlan 1", a));
                assert_eq!(
                    (flows[2].tunnel.as_str(), flows[2].too_big, flows[2].source),
                    ("", 1, a)
                );
            }
        }
    }

    #[test]
    fn arp_without_a_reply_is_a_flow_in_one_direction() {
        let arp = Arp {
            operation: 1,
            sender_mac: [1; 6],
            sender: [10, 0, 0, 1].into(),
            target_mac: [0; 6],
            target: [10, 0, 0, 2].into(),
        };
        let mut table = Table::new(Filter {
            host: Some([10, 0, 0, 2].into()),
            port: None,
        });
        table.see(1, ethertype::ARP, &arp.encode());
        let flows = table.flows(|_| "eth0".into());
        assert_eq!(
            (
                flows[0].protocol.as_str(),
                flows[0].forward,
                flows[0].backward
            ),
            ("arp", 1, 0)
        );
    }

    #[test]
    fn flows_are_bounded() {
        let (a, b) = ends(false);
        let mut table = Table::new(Filter::default());
        for port in 0..u16::MAX {
            table.see(
                1,
                ethertype::IPV4,
                &packet(SocketAddr::new(a.ip(), port), b, 1, Tcp::SYN, b""),
            );
        }
        assert_eq!(table.flows(|_| String::new()).len(), MAX_FLOWS);
    }

    #[test]
    fn damaged_packets_are_counted_or_passed_over() {
        for v6 in [false, true] {
            let (from, to) = ends(v6);
            let valid = packet(from, to, 1, Tcp::SYN, b"data");
            let mut table = Table::new(Filter::default());
            let mut seen = 0u64;
            netshoot_wire::fuzz::mutations(&valid, 20_000, |bytes| {
                seen += 1;
                table.see(1, kind(v6), bytes);
            });
            let flows = table.flows(|n| format!("eth{n}"));
            assert!(!flows.is_empty());
            let counted: u64 = flows.iter().map(|f| f.forward + f.backward).sum();
            assert!(counted <= seen, "{counted} of {seen}");
        }
    }
}
