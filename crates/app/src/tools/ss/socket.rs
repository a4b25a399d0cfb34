//! What is listed: one socket of any kind.

use super::plan::{Kind, Plan};
use anyhow::Result;
use netshoot_host::diag::sockets as listed;
use netshoot_wire::inet_diag;
use netshoot_wire::rtnl::{AF_INET, AF_INET6};
use netshoot_wire::sock_diag::{Netlink, Packet, Unix};
use std::net::{IpAddr, SocketAddr};

const TCP: u8 = 6;
const UDP: u8 = 17;
/// `IPPROTO_RAW`: stands for raw sockets of every protocol.
const RAW: u8 = 255;

/// One of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Ip(SocketAddr),
    /// A path or a name that begins with `@`, and the number of the socket.
    Unix(Option<String>, u32),
    /// `ETH_P_*`, index of the interface.
    Packet(u16, u32),
    /// `NETLINK_*`, address.
    Netlink(u8, u32),
    /// Nobody, everybody.
    Any,
}

/// All that the kernel said of it.
#[derive(Clone, Debug)]
pub enum Detail {
    Inet(Box<inet_diag::Socket>),
    /// A line of /proc/net/raw, which says no more.
    Line,
    Unix(Box<Unix>),
    Packet(Box<Packet>),
    Netlink(Box<Netlink>),
}

/// A socket.
#[derive(Clone, Debug)]
pub struct Socket {
    pub kind: Kind,
    /// By the numbers of TCP.
    pub state: u8,
    /// To be read, sent but not taken.
    pub queues: (u32, u32),
    pub local: End,
    pub peer: End,
    pub inode: u32,
    /// Bound to this interface, else 0.
    pub interface: u32,
    pub detail: Detail,
}

/// Of one kind, in the kernel's order. UNIX and packet sockets of all wanted kinds come with the first of them.
pub fn of(kind: Kind, plan: &Plan) -> Result<Vec<Socket>> {
    let first = |among: &[Kind]| plan.kinds.iter().find(|k| among.contains(k)) == Some(&kind);
    match kind {
        Kind::Netlink => netlink(),
        Kind::PacketRaw | Kind::PacketDatagram => {
            match first(&[Kind::PacketRaw, Kind::PacketDatagram]) {
                true => packet(plan),
                false => Ok(Vec::new()),
            }
        }
        Kind::UnixStream | Kind::UnixDatagram | Kind::UnixSequence => {
            match first(&[Kind::UnixStream, Kind::UnixDatagram, Kind::UnixSequence]) {
                true => unix(plan),
                false => Ok(Vec::new()),
            }
        }
        Kind::Raw => raw(plan),
        Kind::Udp => inet(plan, UDP, kind).map(Option::unwrap_or_default),
        Kind::Tcp => inet(plan, TCP, kind).map(Option::unwrap_or_default),
    }
}

fn families(plan: &Plan) -> impl Iterator<Item = u8> {
    let both = [(plan.v4, AF_INET), (plan.v6, AF_INET6)];
    both.into_iter().filter(|f| f.0).map(|f| f.1)
}

/// None where the kernel cannot list them.
fn inet(plan: &Plan, protocol: u8, kind: Kind) -> Result<Option<Vec<Socket>>> {
    let about = plan.extended || plan.memory || plan.info || plan.tos;
    let about = about || plan.cgroup || plan.socket_options || plan.json || plan.filter.is_some();
    let mut all = Vec::new();
    for family in families(plan) {
        match listed::inet(family, protocol, plan.states, about)? {
            Some(found) => all.extend(found.into_iter().map(|s| Socket::of_inet(s, kind))),
            None if family == AF_INET || protocol == RAW => return Ok(None),
            // No IPv6 in this kernel.
            None => {}
        }
    }
    Ok(Some(all))
}

impl Socket {
    fn of_inet(socket: inet_diag::Socket, kind: Kind) -> Socket {
        Socket {
            kind,
            // A connection that is being made has a state of its own.
            state: if socket.state == 12 { 3 } else { socket.state },
            queues: (socket.recv_q, socket.send_q),
            local: End::Ip(socket.local),
            peer: End::Ip(socket.remote),
            inode: socket.inode,
            interface: socket.interface,
            detail: Detail::Inet(Box::new(socket)),
        }
    }
}

fn raw(plan: &Plan) -> Result<Vec<Socket>> {
    if let Some(all) = inet(plan, RAW, Kind::Raw)? {
        return Ok(all);
    }
    let mut all = Vec::new();
    for (wanted, file) in [(plan.v4, "/proc/net/raw"), (plan.v6, "/proc/net/raw6")] {
        if wanted {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            all.extend(text.lines().skip(1).filter_map(parse_line));
        }
    }
    Ok(all)
}

/// A line of /proc/net/raw or raw6: number, ends in hexadecimal figures, state, queues, ..., user, ..., inode.
fn parse_line(line: &str) -> Option<Socket> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, local, peer, state, queues, _, _, _, _, inode, ..] = words[..] else {
        return None;
    };
    let (sent, received) = queues.split_once(':')?;
    let count = |hex: &str| u32::from_str_radix(hex, 16).ok();
    Some(Socket {
        kind: Kind::Raw,
        state: u8::from_str_radix(state, 16).ok()?,
        queues: (count(received)?, count(sent)?),
        local: End::Ip(parse_end(local)?),
        peer: End::Ip(parse_end(peer)?),
        inode: inode.parse().ok()?,
        interface: 0,
        detail: Detail::Line,
    })
}

fn parse_end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for at in (0..address.len()).step_by(8) {
        // Words of four bytes in the machine's order.
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip: IpAddr = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok()?.into(),
        16 => <[u8; 16]>::try_from(bytes).ok()?.into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn unix(plan: &Plan) -> Result<Vec<Socket>> {
    let found = listed::unix(plan.states)?.unwrap_or_default();
    let all = found.into_iter().map(|s| Socket {
        kind: match s.kind {
            2 => Kind::UnixDatagram,
            5 => Kind::UnixSequence,
            _ => Kind::UnixStream,
        },
        state: s.state,
        queues: s.queues,
        local: End::Unix(s.name.as_deref().map(name), s.inode),
        peer: End::Unix(None, s.peer.unwrap_or_default()),
        inode: s.inode,
        interface: 0,
        detail: Detail::Unix(Box::new(s)),
    });
    Ok(all.filter(|s| plan.kinds.contains(&s.kind)).collect())
}

/// A path as it is; of an abstract name zero bytes are shown as `@`.
fn name(bytes: &[u8]) -> String {
    let shown: Vec<u8> = match bytes.first() {
        Some(0) => bytes
            .iter()
            .map(|b| if *b == 0 { b'@' } else { *b })
            .collect(),
        _ => bytes.iter().copied().take_while(|b| *b != 0).collect(),
    };
    String::from_utf8_lossy(&shown).into_owned()
}

fn packet(plan: &Plan) -> Result<Vec<Socket>> {
    let found = listed::packet()?.unwrap_or_default();
    let all = found.into_iter().map(|s| {
        let interface = s
            .info
            .as_ref()
            .and_then(|i| i.first().copied())
            .unwrap_or_default();
        let queued = s.memory.as_ref().and_then(|m| m.first().copied());
        Socket {
            kind: if s.kind == 3 {
                Kind::PacketRaw
            } else {
                Kind::PacketDatagram
            },
            state: 7,
            queues: (queued.unwrap_or_default(), 0),
            local: End::Packet(s.protocol, interface),
            peer: End::Any,
            inode: s.inode,
            interface,
            detail: Detail::Packet(Box::new(s)),
        }
    });
    Ok(all.filter(|s| plan.kinds.contains(&s.kind)).collect())
}

fn netlink() -> Result<Vec<Socket>> {
    let found = listed::netlink()?.unwrap_or_default();
    let all = found.into_iter().map(|s| {
        let memory = s.memory.as_deref().unwrap_or_default();
        let queue = |at: usize| memory.get(at).copied().unwrap_or_default();
        Socket {
            kind: Kind::Netlink,
            state: 7,
            queues: (queue(0), queue(2)),
            local: End::Netlink(s.protocol, s.port),
            peer: End::Any,
            inode: s.inode,
            interface: 0,
            detail: Detail::Netlink(Box::new(s)),
        }
    });
    Ok(all.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "   1: 0100007F:0001 00000000:0000 07 00000000:00000340 00:00000000 00000000     0        0 77 2 0000000000000000 0";

    #[test]
    fn a_line_of_a_raw_socket_is_read_and_a_damaged_one_never_panics() {
        let socket = parse_line(V4).unwrap();
        assert_eq!(socket.local, End::Ip("127.0.0.1:1".parse().unwrap()));
        assert_eq!((socket.queues, socket.inode), ((0x340, 0), 77));
        let v6 = V4.replace("0100007F", "00000000000000000000000001000000");
        assert_eq!(
            parse_line(&v6).unwrap().local,
            End::Ip("[::1]:1".parse().unwrap())
        );
        netshoot_wire::fuzz::texts(&[V4], 5_000, |text| drop(parse_line(text)));
        assert_eq!(name(b"\0a\0b"), "@a@b");
        assert_eq!(name(b"/run/x\0"), "/run/x");
    }
}
