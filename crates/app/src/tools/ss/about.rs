//! A socket as a line: its ends by name or number, and what else was asked.

use super::Known;
use super::plan::{Kind, Plan};
use super::socket::{Detail, End, Socket};
use super::table::Row;
use super::tcp;
use netshoot_host::diag::owners;
use netshoot_host::names;
use netshoot_wire::inet_diag::{self, state_word};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

impl Kind {
    /// The word in the first column.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Netlink => "nl",
            Kind::PacketRaw => "p_raw",
            Kind::PacketDatagram => "p_dgr",
            Kind::UnixStream => "u_str",
            Kind::UnixDatagram => "u_dgr",
            Kind::UnixSequence => "u_seq",
            Kind::Raw => "raw",
            Kind::Udp => "udp",
            Kind::Tcp => "tcp",
        }
    }
}

/// Its line.
pub fn row(socket: &Socket, plan: &Plan, known: &Known) -> Row {
    let (local, local_port) = end(&socket.local, socket, plan, true);
    let (peer, peer_port) = end(&socket.peer, socket, plan, false);
    [
        socket.kind.word().into(),
        state_word(socket.state).into(),
        format!("{:<6}", socket.queues.0),
        format!("{:<6}", socket.queues.1),
        local,
        local_port,
        peer,
        peer_port,
        process(socket, plan, known),
    ]
}

/// Address with what parts it from the port, and port.
fn end(end: &End, socket: &Socket, plan: &Plan, own: bool) -> (String, String) {
    match end {
        End::Ip(at) => {
            let interface = match own && socket.interface > 0 {
                true => names::interface(socket.interface),
                false => None,
            };
            let zone = interface.map_or(String::new(), |name| format!("%{name}"));
            let address = address(*at, socket, plan);
            (format!("{address}{zone}:"), port(*at, socket.kind, plan))
        }
        End::Unix(name, number) => {
            let name = name.as_deref().unwrap_or("*");
            (
                format!("{} ", crate::report::safe(name)),
                number.to_string(),
            )
        }
        End::Packet(protocol, interface) => {
            let name = match interface {
                0 => "*".to_string(),
                index => names::interface(*index).unwrap_or_else(|| format!("if{index}")),
            };
            (format!("{}:", frame(*protocol, plan.numeric)), name)
        }
        End::Netlink(protocol, port) => {
            let name = match plan.numeric {
                true => protocol.to_string(),
                false => family(*protocol),
            };
            (format!("{name}:"), netlink_port(*port, plan.numeric))
        }
        End::Any => ("*".into(), String::new()),
    }
}

fn address(at: SocketAddr, socket: &Socket, plan: &Plan) -> String {
    // A socket of IPv6 that takes IPv4 too.
    let both = match &socket.detail {
        Detail::Inet(s) => s.v6_only == Some(false),
        _ => true,
    };
    if at.is_ipv6() && at.ip().is_unspecified() && both {
        return "*".into();
    }
    if plan.resolve && !at.ip().is_unspecified() {
        let whole = SocketAddr::new(at.ip().to_canonical(), 0);
        if let Some(name) = names::name_of(whole) {
            return crate::report::safe(&name);
        }
    }
    match at.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn port(at: SocketAddr, kind: Kind, plan: &Plan) -> String {
    match (at.port(), kind) {
        (0, _) => "*".into(),
        (port, _) if plan.numeric => port.to_string(),
        (port, Kind::Raw) => protocol(port),
        _ => names::service_of(at, kind == Kind::Udp),
    }
}

/// The name of a protocol above IP in protocols(5).
fn protocol(number: u16) -> String {
    let text = std::fs::read_to_string("/etc/protocols").unwrap_or_default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(value)) = (words.next(), words.next())
            && value.parse() == Ok(number)
        {
            return name.into();
        }
    }
    let known = [
        (1, "icmp"),
        (2, "igmp"),
        (6, "tcp"),
        (17, "udp"),
        (58, "ipv6-icmp"),
        (132, "sctp"),
    ];
    let known = known.iter().find(|k| k.0 == number);
    known.map_or_else(|| format!("ipproto-{number}"), |k| k.1.into())
}

/// What an Ethernet frame carries (linux/if_ether.h).
const FRAMES: [(u16, &str); 9] = [
    (0x0003, "*"),
    (0x0001, "802_3"),
    (0x0004, "802_2"),
    (0x0800, "ip"),
    (0x0806, "arp"),
    (0x86dd, "ipv6"),
    (0x8100, "802.1Q"),
    (0x88a8, "802.1ad"),
    (0x88cc, "LLDP"),
];

/// The number of what a frame carries.
pub fn frame_number(name: &str) -> Option<u32> {
    let found = FRAMES.iter().find(|f| f.1.eq_ignore_ascii_case(name));
    found.map(|f| f.0.into()).or_else(|| name.parse().ok())
}

fn frame(protocol: u16, numeric: bool) -> String {
    let found = FRAMES.iter().find(|f| f.0 == protocol);
    match found {
        Some((_, name)) if !numeric || *name == "*" => (*name).into(),
        _ => format!("[{protocol}]"),
    }
}

/// Netlink's families (linux/netlink.h), by iproute2's names.
const FAMILIES: [&str; 22] = [
    "rtnl",
    "unused",
    "usersock",
    "fw",
    "tcpdiag",
    "nflog",
    "xfrm",
    "selinux",
    "iscsi",
    "audit",
    "fiblookup",
    "connector",
    "nft",
    "ip6fw",
    "dec-rt",
    "uevent",
    "genl",
    "",
    "scsi-trans",
    "ecryptfs",
    "rdma",
    "crypto",
];

/// The number of a netlink family.
pub fn family_number(name: &str) -> Option<u8> {
    let known = FAMILIES.iter().position(|f| *f == name && !f.is_empty());
    known
        .and_then(|k| u8::try_from(k).ok())
        .or_else(|| name.parse().ok())
}

fn family(number: u8) -> String {
    let name = FAMILIES.get(usize::from(number)).filter(|n| !n.is_empty());
    name.map_or_else(|| number.to_string(), |n| (*n).to_string())
}

fn netlink_port(port: u32, numeric: bool) -> String {
    if numeric {
        return port.to_string();
    }
    match port {
        0 => "kernel".into(),
        u32::MAX => "*".into(),
        pid => match owners::name_of(pid) {
            Some(name) => format!("{}/{pid}", crate::report::safe(&name)),
            None => port.to_string(),
        },
    }
}

/// The last column.
fn process(socket: &Socket, plan: &Plan, known: &Known) -> String {
    let mut text = String::new();
    if plan.processes {
        text += &held_by(socket, plan, known);
    }
    match &socket.detail {
        Detail::Inet(s) => inet(socket.kind, s, plan, known, &mut text),
        Detail::Line => {}
        Detail::Unix(s) => {
            if plan.memory {
                text += &memory(s.memory.as_deref());
            }
            if plan.extended {
                text += arrows(s.shut);
                if let Some((inode, device)) = s.file {
                    let (major, minor) = (device >> 20, device & 0xf_ffff);
                    let _ = write!(text, " ino:{inode} dev:{major}/{minor}");
                }
                if let Some(waiting) = &s.waiting {
                    text += " peers:";
                    text.extend(waiting.iter().map(|w| format!(" {w}")));
                }
            }
        }
        Detail::Packet(s) => packet(s, plan, &mut text),
        Detail::Netlink(s) => {
            if plan.extended {
                let groups = s
                    .groups
                    .as_ref()
                    .and_then(|g| g.first().copied())
                    .unwrap_or_default();
                let _ = write!(text, " sk=0 cb=0 groups=0x{groups:08x}");
            }
            if plan.memory {
                let _ = write!(text, "\t{}", memory(s.memory.as_deref()));
            }
        }
    }
    text
}

fn held_by(socket: &Socket, plan: &Plan, known: &Known) -> String {
    let owners = known.owners.get(&socket.inode).filter(|_| socket.inode > 0);
    let Some(owners) = owners.filter(|_| socket.kind != Kind::Netlink) else {
        return String::new();
    };
    let each = owners.iter().map(|o| {
        let thread = match plan.threads {
            true => format!("tid={},", o.thread),
            false => String::new(),
        };
        let name = crate::report::safe(&o.name);
        format!("(\"{name}\",pid={},{thread}fd={})", o.pid, o.fd)
    });
    format!(" users:({})", each.collect::<Vec<_>>().join(","))
}

fn user(uid: Option<u32>) -> String {
    match uid {
        None | Some(0) => String::new(),
        Some(uid) => format!(" uid:{uid}"),
    }
}

/// Which ways are still open.
fn arrows(shut: Option<u8>) -> &'static str {
    match shut.map(|s| s & 3) {
        None => "",
        Some(0) => " <->",
        Some(1) => " -->",
        Some(2) => " <--",
        Some(_) => " ---",
    }
}

fn memory(of: Option<&[u32]>) -> String {
    let Some([r, rb, t, tb, f, w, o, rest @ ..]) = of else {
        return String::new();
    };
    let mut text = format!(" skmem:(r{r},rb{rb},t{t},tb{tb},f{f},w{w},o{o}");
    for (letter, value) in ["bl", "d"].iter().zip(rest) {
        let _ = write!(text, ",{letter}{value}");
    }
    text + ")"
}

fn packet(s: &netshoot_wire::sock_diag::Packet, plan: &Plan, text: &mut String) {
    let break_of = if plan.one_line { " " } else { "\n\t" };
    if plan.extended {
        *text += &user(s.uid);
        let _ = write!(text, " ino:{} sk:{:x}", s.inode, s.cookie);
        if let Some([_, version, _, threshold, _, flags]) = s.info.as_deref() {
            let _ = write!(
                text,
                "{break_of}ver:{version} cpy_thresh:{threshold} flags("
            );
            let names = [
                (1, "running"),
                (2, "auxdata"),
                (4, "origdev"),
                (8, "vnethdr"),
                (16, "loss"),
            ];
            for (_, name) in names.iter().filter(|(bit, _)| flags & bit != 0) {
                let _ = write!(text, " {name}");
            }
            *text += " )";
        }
    }
    if plan.memory {
        *text += &memory(s.memory.as_deref());
    }
}

fn inet(kind: Kind, s: &inet_diag::Socket, plan: &Plan, known: &Known, text: &mut String) {
    if (plan.timers || plan.extended) && s.timer > 0 {
        *text += &timer(s);
    }
    let detail = &s.detail;
    if plan.extended {
        *text += &user(Some(s.uid));
        let _ = write!(text, " ino:{} sk:{:x}", s.inode, s.cookie);
        if let Some(mark) = detail.mark.filter(|m| *m > 0) {
            let _ = write!(text, " fwmark:0x{mark:x}");
        }
        *text += &cgroup(detail, known);
        if let Some(only) = s.v6_only {
            let _ = write!(text, " v6only:{}", u8::from(only));
        }
        *text += arrows(detail.shut);
    }
    if plan.tos {
        for (name, value) in [
            ("tos", detail.tos.map(u32::from)),
            ("tclass", detail.class.map(u32::from)),
            ("class_id", detail.class_id),
        ] {
            match value {
                Some(0) => *text += &format!(" {name}:0"),
                Some(value) => *text += &format!(" {name}:0x{value:x}"),
                None => {}
            }
        }
    }
    if plan.cgroup {
        *text += &cgroup(detail, known);
    }
    let (line, tab) = if plan.one_line {
        (" ", "")
    } else {
        ("\n\t", "\n\t")
    };
    if let (true, Some(options)) = (plan.socket_options, detail.options) {
        let _ = write!(text, "{line}{}", socket_options(options));
    }
    let tcp = plan.info && kind == Kind::Tcp;
    if plan.memory || tcp {
        *text += tab;
    }
    if plan.memory {
        *text += &memory(detail.memory.as_deref());
    }
    if let (true, Some(info)) = (tcp, &detail.tcp) {
        tcp::figures(s.state, info, detail, plan, text);
    }
}

/// Which timer runs, when it fires, how often it did.
fn timer(s: &inet_diag::Socket) -> String {
    let name = match s.timer {
        1 => "on",
        2 => "keepalive",
        3 => "timewait",
        4 => "persist",
        _ => "unknown",
    };
    let (seconds, millis) = (s.expires_ms / 1000, s.expires_ms % 1000);
    let (minutes, rest) = (seconds / 60, seconds % 60);
    let when = match (minutes, rest) {
        (0, 0) => format!("{millis:03}ms"),
        (0, 1..10) => format!("{rest}.{millis:03}ms"),
        (0, _) => format!("{rest}sec"),
        (1..10, 1..) => format!("{minutes}min{rest}sec"),
        _ => format!("{minutes}min"),
    };
    format!(" timer:({name},{when},{})", s.retransmitted)
}

fn cgroup(detail: &inet_diag::Detail, known: &Known) -> String {
    match detail.cgroup {
        None | Some(0) => String::new(),
        Some(id) => match known.cgroups.get(&id) {
            Some(path) => format!(" cgroup:{}", crate::report::safe(path)),
            None => format!(" cgroup:unreachable:{id:x}"),
        },
    }
}

/// The bits of `struct inet_diag_sockopt`, in the machine's order of bits.
fn socket_options((first, second): (u8, u8)) -> String {
    let names = [
        "recverr",
        "is_icsk",
        "freebind",
        "hdrincl",
        "mc_loop",
        "transparent",
        "mc_all",
        "nodefrag",
        "bind_addr_no_port",
        "recverr_rfc4884",
        "defer_connect",
    ];
    let (first, second) = match cfg!(target_endian = "little") {
        true => (first, second),
        false => (first.reverse_bits(), second.reverse_bits()),
    };
    let bits = u16::from_le_bytes([first, second]);
    let set = names
        .iter()
        .enumerate()
        .filter(|(at, _)| bits & (1 << at) != 0);
    let all: Vec<String> = set.map(|(_, name)| format!(" {name}")).collect();
    format!("inet-sockopt: ({})", all.concat())
}
