//! What came back, as values: one variant for each question.

use super::Probe;
#[cfg(doc)]
use super::Question;
use crate::text::Text;
use netshoot_wire::nft;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// An answer, with when it came and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// The question.
    pub probe: Probe,
    /// Milliseconds since 1970-01-01 UTC when asking began.
    pub at_ms: u64,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// What came back.
    pub answer: Answer,
}

/// What came back. Each variant belongs to the question of the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Question::Links`].
    Links(Vec<Link>),
    /// To [`Question::Neighbours`].
    Neighbours(Vec<Neighbour>),
    /// To [`Question::Routes`].
    Routes(Vec<Route>),
    /// To [`Question::RouteTo`]; none where the kernel says unreachable.
    RouteTo(Option<Route>),
    /// To [`Question::ResolvConf`].
    ResolvConf(ResolvConf),
    /// To [`Question::Sockets`].
    Sockets(Vec<Socket>),
    /// To [`Question::Counters`].
    Counters(BTreeMap<String, u64>),
    /// To [`Question::Conntrack`].
    Conntrack(Conntrack),
    /// To [`Question::Rules`].
    Rules(Vec<nft::Table>),
    /// To [`Question::Sysctls`].
    Sysctls(BTreeMap<String, String>),
    /// To [`Question::Memory`].
    Memory(Vec<ContainerMemory>),
    /// To [`Question::Log`].
    Log(Vec<String>),
    /// To [`Question::Capture`].
    Capture(Vec<Flow>),
    /// To [`Question::Resolve`].
    Resolve(DnsReply),
    /// To [`Question::Lookup`]: every query made, in order, and the addresses at the end.
    Lookup {
        /// Each query with its reply.
        queries: Vec<DnsReply>,
        /// What an application would get; empty when nothing resolved.
        addresses: Vec<IpAddr>,
    },
    /// To [`Question::TcpConnect`]: one outcome for each try.
    TcpConnect(Vec<Attempt>),
    /// To [`Question::UdpExchange`]: the outcome and the payload that came back.
    UdpExchange {
        /// How it went.
        attempt: Attempt,
        /// Lossy text of the reply.
        reply: String,
    },
    /// To [`Question::Echo`]: one outcome for each request.
    Echo(Vec<Attempt>),
    /// To [`Question::PathMtu`].
    PathMtu(PathMtu),
    /// To [`Question::TlsHandshake`].
    TlsHandshake(TlsHandshake),
    /// To [`Question::Http`]: one outcome for each try.
    Http(Vec<HttpAttempt>),
    /// The question could not be asked. This is a gap, never a verdict.
    CouldNotAsk {
        /// What was tried and what came back.
        why: String,
        /// The missing right or thing; empty when unknown.
        missing: Text,
        /// The command that would give it; empty when unknown.
        how_to_get: Text,
    },
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Driver kind: `veth`, `bridge`, `vxlan`, empty for hardware.
    pub kind: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Has carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// MTU, bytes.
    pub mtu: u32,
    /// Hardware address, `02:00:...`.
    pub mac: String,
    /// Index of the bridge it is a port of, 0 for none.
    pub master: u32,
    /// Index of its peer in another namespace (`IFLA_LINK`), 0 for none.
    pub peer: u32,
    /// Addresses with prefix length, `10.0.0.1/24`.
    pub addresses: Vec<String>,
    /// Takes frames for anybody (`IFF_PROMISC`).
    pub promiscuous: bool,
    /// Hairpin mode of a bridge port.
    pub hairpin: Option<bool>,
    /// Bridge port STP state (3 = forwarding).
    pub port_state: Option<u8>,
    /// VXLAN identifier.
    pub vni: Option<u32>,
    /// VXLAN UDP destination port.
    pub tunnel_port: Option<u16>,
    /// VXLAN source address.
    pub tunnel_local: Option<IpAddr>,
    /// Received packets.
    pub rx_packets: u64,
    /// Sent packets.
    pub tx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Packets dropped on receive.
    pub rx_dropped: u64,
    /// Packets dropped on send.
    pub tx_dropped: u64,
}

/// One neighbour or bridge forwarding entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Neighbour {
    /// Protocol address; none for a bridge forwarding entry without a tunnel destination.
    pub address: Option<IpAddr>,
    /// Hardware address; empty when not resolved.
    pub mac: String,
    /// Interface name.
    pub interface: String,
    /// `REACHABLE`, `STALE`, `FAILED`, `PERMANENT`, ...
    pub state: String,
    /// A bridge forwarding entry (`AF_BRIDGE`) rather than a neighbour.
    pub forwarding: bool,
}

/// One route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// Destination prefix, `10.244.1.0/24`, `default` for 0.0.0.0/0 or ::/0.
    pub to: String,
    /// Next hop.
    pub via: Option<IpAddr>,
    /// Outgoing interface name.
    pub interface: String,
    /// Preferred source.
    pub source: Option<IpAddr>,
    /// Routing table number (254 = main).
    pub table: u32,
    /// `unicast`, `local`, `blackhole`, `unreachable`, `prohibit`, ...
    pub kind: String,
    /// MTU metric of the route.
    pub mtu: Option<u32>,
    /// Priority (`metric` of ip-route(8)); among equal prefixes the lower wins.
    pub metric: u32,
}

/// A parsed resolv.conf(5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResolvConf {
    /// Servers in order.
    pub nameservers: Vec<IpAddr>,
    /// Search suffixes in order.
    pub search: Vec<String>,
    /// `ndots`, 1 where not given.
    pub ndots: u32,
}

/// One TCP or UDP socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// TCP state word as in `ss` (`LISTEN`, `ESTAB`, `SYN-SENT`, ...); `UNCONN` for UDP.
    pub state: String,
    /// Own end.
    pub local: SocketAddr,
    /// Other end.
    pub remote: SocketAddr,
    /// `Recv-Q`: for LISTEN the connections waiting for accept(2).
    pub recv_q: u32,
    /// `Send-Q`: for LISTEN the backlog limit.
    pub send_q: u32,
    /// A v6 listener that takes IPv4 too is one socket with this set to false.
    #[serde(default)]
    pub v6_only: bool,
}

/// Conntrack's table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conntrack {
    /// Entries in the table.
    pub count: u64,
    /// `nf_conntrack_max`.
    pub max: u64,
    /// Statistics summed over CPUs: `drop`, `early_drop`, `insert_failed`, `invalid`, ...
    pub stats: BTreeMap<String, u64>,
    /// Entries asked for.
    pub entries: Vec<ConntrackEntry>,
}

/// One tracked connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConntrackEntry {
    /// `tcp`, `udp`, `icmp`, or the number.
    pub protocol: String,
    /// TCP state, empty otherwise.
    pub state: String,
    /// Original source.
    pub source: SocketAddr,
    /// Original destination.
    pub destination: SocketAddr,
    /// Source of the reply direction: where NAT sent it.
    pub reply_source: SocketAddr,
    /// Destination of the reply direction.
    pub reply_destination: SocketAddr,
    /// No reply was seen.
    pub unreplied: bool,
}

/// Memory of one container over a short time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerMemory {
    /// Container name.
    pub container: String,
    /// Who accounted it: `cgroup v1`, `cgroup v2`, `process`.
    pub accounted_by: String,
    /// The limit in force, bytes; none for unlimited.
    pub limit: Option<u64>,
    /// Highest usage since the container started, bytes; 0 where the accounting does not keep it.
    pub max_usage: u64,
    /// Times the limit was hit.
    pub limit_hits: u64,
    /// Age of the container when the first sample was taken, milliseconds.
    pub age_ms: u64,
    /// Usage samples: (milliseconds since the first sample, bytes).
    pub samples: Vec<(u64, u64)>,
}

/// Packets of one flow in a capture, both directions counted apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Interface it was seen on.
    pub interface: String,
    /// `tcp`, `udp`, `icmp`, ...
    pub protocol: String,
    /// Source of the first packet seen.
    pub source: SocketAddr,
    /// Destination of the first packet seen.
    pub destination: SocketAddr,
    /// Inside a tunnel: `vxlan 1`, else empty.
    pub tunnel: String,
    /// Packets from the source.
    pub forward: u64,
    /// Packets back.
    pub backward: u64,
    /// TCP SYNs without ACK.
    pub syns: u64,
    /// Segments seen more than once.
    pub retransmissions: u64,
    /// TCP resets, either way.
    pub resets: u64,
    /// Zero-window announcements.
    pub zero_windows: u64,
    /// ICMP "fragmentation needed" or "packet too big" about this flow.
    pub too_big: u64,
}

/// How a DNS query ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsReply {
    /// Name asked.
    pub name: String,
    /// Record type asked.
    pub record: String,
    /// Server asked.
    pub server: SocketAddr,
    /// `answered`, `silent` (timeout), `refused` (ICMP port unreachable or RST), `unreachable`.
    pub outcome: Outcome,
    /// Response code word (`NOERROR`, `NXDOMAIN`, `SERVFAIL`, ...); empty when not answered.
    pub rcode: String,
    /// Answer records as text: `10.0.0.1`, `CNAME x.example.`, ...
    pub answers: Vec<String>,
    /// Truncated (TC).
    pub truncated: bool,
    /// Authoritative (AA).
    pub authoritative: bool,
    /// Round trip, microseconds.
    pub rtt_us: u64,
}

/// How one attempt ended. Refusal, reset, silence and unreachable are four different causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It worked.
    Answered,
    /// RST to the SYN, or ICMP port unreachable.
    Refused,
    /// RST after the handshake.
    Reset,
    /// Nothing came back in time.
    Silent,
    /// ICMP host, network or administratively unreachable, or no route here.
    Unreachable,
    /// Something came back that is not the protocol.
    Garbled,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// How it ended.
    pub outcome: Outcome,
    /// Time to that, microseconds.
    pub took_us: u64,
    /// The error in words; empty when it worked.
    #[serde(default)]
    pub detail: String,
    /// SYN or data retransmissions seen by the own socket (`tcpi_total_retrans`).
    #[serde(default)]
    pub retransmissions: u32,
}

/// One HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAttempt {
    /// How it ended as a whole.
    pub outcome: Outcome,
    /// The phase it ended in: `connect`, `tls`, `request`, `response`, `done`.
    pub phase: String,
    /// Status code, 0 when none came.
    pub status: u16,
    /// Time of the handshake, microseconds, 0 when it did not happen.
    pub connect_us: u64,
    /// Time of the TLS handshake.
    pub tls_us: u64,
    /// From request sent to first byte.
    pub first_byte_us: u64,
    /// From SYN to the end.
    pub total_us: u64,
    /// Retransmissions seen by the own socket.
    pub retransmissions: u32,
    /// Bytes of ours that the other end never acknowledged.
    pub unacknowledged: u32,
    /// The error in words; empty when it worked.
    #[serde(default)]
    pub detail: String,
}

/// Result of the ladder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathMtu {
    /// Largest IP packet that came back, 0 when not even the smallest did.
    pub largest_answered: u32,
    /// Smallest IP packet that did not, 0 when all did.
    pub smallest_lost: u32,
    /// MTU that a router announced by ICMP; none when loss was silent.
    pub announced: Option<u32>,
    /// MTU of the own outgoing interface, if it refused the packet itself.
    pub local: Option<u32>,
}

/// A TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsHandshake {
    /// How it ended: `answered` when a chain was presented, valid or not.
    pub outcome: Outcome,
    /// `TLSv1.3`, ...; empty when none was agreed.
    pub version: String,
    /// Verification error in words, empty when the chain is valid for the name now.
    pub problem: String,
    /// Where authorities were looked for, in order: `built-in`, `given`, a file, a folder. Empty in
    /// older recordings, where they were the built-in ones or those given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
    /// The first of them by which the chain is valid; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trusted_by: String,
    /// The chain as presented, leaf first.
    pub chain: Vec<Certificate>,
    /// Time of the TCP and TLS handshakes, microseconds.
    pub took_us: u64,
    /// The error in words; empty when a chain came.
    #[serde(default)]
    pub detail: String,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Subject distinguished name.
    pub subject: String,
    /// Issuer distinguished name.
    pub issuer: String,
    /// Serial number, hex.
    pub serial: String,
    /// Not before, milliseconds since 1970.
    pub not_before_ms: i64,
    /// Not after, milliseconds since 1970.
    pub not_after_ms: i64,
    /// DNS names and addresses it is for.
    pub names: Vec<String>,
}
