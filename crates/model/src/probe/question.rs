//! What may be asked, from where, and how much it disturbs.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Where a question is asked from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vantage {
    /// The network this process runs in.
    Here,
    /// The network namespace of a pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The host network of a node.
    Node {
        /// Its name.
        name: String,
    },
}

/// A question with its vantage point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Probe {
    /// Where it is asked from.
    pub from: Vantage,
    /// What is asked.
    pub question: Question,
}

/// Transport of a DNS query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Over UDP.
    Udp,
    /// Over TCP.
    Tcp,
}

impl Transport {
    /// As people write it.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        }
    }
}

/// What is asked. Times are milliseconds, sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    // ---- passive: nothing is sent ----
    /// All links with state, MTU, counters, addresses, bridge ports, tunnel settings.
    Links,
    /// The neighbour table and bridge forwarding entries.
    Neighbours,
    /// The main routing tables of both families.
    Routes,
    /// The kernel's route decision for one address.
    RouteTo {
        /// Destination.
        to: IpAddr,
    },
    /// `/etc/resolv.conf` as processes there see it.
    ResolvConf,
    /// Listening and connected TCP and UDP sockets, with queues.
    Sockets,
    /// SNMP counters (`/proc/net/snmp`, `netstat`, `snmp6`) as `Group.Name`.
    Counters,
    /// Conntrack entries to one destination, or all (at most 1000), and the table's counters.
    Conntrack {
        /// Original destination to keep; none keeps all.
        to: Option<IpAddr>,
    },
    /// The packet filter's rules: nf_tables, with iptables-nft tables decoded.
    Rules,
    /// Values of sysctls, dotted names (`net.ipv4.ip_forward`). An absent one is left out.
    Sysctls {
        /// Names.
        names: Vec<String>,
    },
    /// Memory of a pod's containers over a short time, as the node accounts it. Vantage: the node.
    Memory {
        /// Namespace of the pod.
        namespace: String,
        /// Name of the pod.
        pod: String,
        /// How long to watch.
        watch_ms: u32,
    },
    /// The last lines of a container's log.
    Log {
        /// Namespace of the pod.
        namespace: String,
        /// Name of the pod.
        pod: String,
        /// Container; empty for the first.
        container: String,
        /// The previous incarnation instead of the running one.
        previous: bool,
    },
    /// Frames seen on an interface, summarised; sends nothing.
    Capture {
        /// Interface name; empty for all.
        interface: String,
        /// Keep only packets (outer or inner) with this address.
        host: Option<IpAddr>,
        /// Keep only packets with this TCP or UDP port.
        port: Option<u16>,
        /// How long to listen.
        millis: u32,
    },
    // ---- one or a few packets ----
    /// One DNS query for an exact name.
    Resolve {
        /// Fully qualified name, without the final dot.
        name: String,
        /// `A`, `AAAA`, `SRV`, ...
        record: String,
        /// The server to ask.
        server: SocketAddr,
        /// UDP or TCP.
        over: Transport,
        /// Patience.
        timeout_ms: u32,
    },
    /// What a resolver library does with a name: resolv.conf, search suffixes, ndots, A and AAAA.
    Lookup {
        /// The name as an application says it.
        name: String,
        /// Patience for each query.
        timeout_ms: u32,
    },
    /// TCP handshakes, in parallel, each closed at once.
    TcpConnect {
        /// Destination.
        to: SocketAddr,
        /// How many.
        tries: u32,
        /// Patience for each.
        timeout_ms: u32,
    },
    /// A UDP datagram and whatever comes back.
    UdpExchange {
        /// Destination.
        to: SocketAddr,
        /// Payload text.
        payload: String,
        /// Patience.
        timeout_ms: u32,
    },
    /// ICMP echo requests.
    Echo {
        /// Destination.
        to: IpAddr,
        /// How many, 20 ms apart.
        count: u32,
        /// Patience for each.
        timeout_ms: u32,
    },
    /// A ladder of unfragmentable ICMP echoes: the largest IP packet that comes back.
    PathMtu {
        /// Destination.
        to: IpAddr,
        /// Largest IP packet to try.
        largest: u32,
        /// Patience for each rung.
        timeout_ms: u32,
    },
    /// A TLS handshake, the chain read whether it is valid or not.
    TlsHandshake {
        /// Destination.
        to: SocketAddr,
        /// Server name to send; empty sends none.
        server_name: String,
        /// PEM of authorities to trust; empty trusts the built-in ones and, asked from a plain host,
        /// those of the machine.
        authorities: String,
        /// Patience.
        timeout_ms: u32,
    },
    /// HTTP/1.1 GET requests, with the time of each phase.
    Http {
        /// Destination.
        to: SocketAddr,
        /// `Host` header, and server name for TLS.
        host: String,
        /// Path with query.
        path: String,
        /// Over TLS (certificate not verified: [`Question::TlsHandshake`] does that).
        tls: bool,
        /// Extra request bytes in a padding header, to fill whole segments.
        padding: u32,
        /// How many requests, each on its own connection, in parallel.
        tries: u32,
        /// Patience for each, from SYN to last byte.
        timeout_ms: u32,
    },
}

/// How much a question disturbs. Ordered from least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// Reads only.
    None,
    /// One to a few packets.
    FewPackets,
    /// Tens of packets or connections.
    Series,
}

impl Question {
    /// The probe's id: verb and noun, the file on the shelf.
    pub fn id(&self) -> &'static str {
        match self {
            Question::Links => "read_links",
            Question::Neighbours => "read_neighbours",
            Question::Routes => "read_routes",
            Question::RouteTo { .. } => "lookup_route",
            Question::ResolvConf => "read_resolv_conf",
            Question::Sockets => "read_sockets",
            Question::Counters => "read_counters",
            Question::Conntrack { .. } => "read_conntrack",
            Question::Rules => "dump_rules",
            Question::Sysctls { .. } => "read_sysctls",
            Question::Memory { .. } => "watch_memory",
            Question::Log { .. } => "read_log",
            Question::Capture { .. } => "capture_packets",
            Question::Resolve { .. } => "resolve_name",
            Question::Lookup { .. } => "lookup_name",
            Question::TcpConnect { .. } => "tcp_connect",
            Question::UdpExchange { .. } => "udp_exchange",
            Question::Echo { .. } => "icmp_echo",
            Question::PathMtu { .. } => "path_mtu",
            Question::TlsHandshake { .. } => "tls_handshake",
            Question::Http { .. } => "http_get",
        }
    }

    /// What it may do to the network.
    pub fn harm(&self) -> Harm {
        match self {
            Question::TcpConnect { tries, .. } | Question::Http { tries, .. } if *tries > 5 => {
                Harm::Series
            }
            Question::PathMtu { .. } => Harm::Series,
            Question::Resolve { .. }
            | Question::Lookup { .. }
            | Question::TcpConnect { .. }
            | Question::UdpExchange { .. }
            | Question::Echo { .. }
            | Question::TlsHandshake { .. }
            | Question::Http { .. } => Harm::FewPackets,
            _ => Harm::None,
        }
    }
}
