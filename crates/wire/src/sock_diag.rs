//! UNIX, packet and netlink sockets as the kernel lists them (linux/unix_diag.h, packet_diag.h, netlink_diag.h).

use crate::Malformed;
use crate::netlink::Attrs;

/// Families, all asked by [`crate::inet_diag::BY_FAMILY`].
pub const AF_UNIX: u8 = 1;
/// See [`AF_UNIX`].
pub const AF_NETLINK: u8 = 16;
/// See [`AF_UNIX`].
pub const AF_PACKET: u8 = 17;

/// Name, file, peer, waiting connections, queues, memory, user.
const UNIX_ALL: u32 = 0x7f;
/// Info, rings, fanout, memory, filter.
const PACKET_ALL: u32 = 0x3d;
/// Memory, groups.
const NETLINK_ALL: u32 = 0x3;

fn words(bytes: &[u8]) -> Vec<u32> {
    let all = bytes.as_chunks::<4>().0.iter();
    all.map(|w| u32::from_ne_bytes(*w)).collect()
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    let four = bytes.get(at..).and_then(|b| b.first_chunk::<4>());
    four.map(|b| u32::from_ne_bytes(*b)).ok_or(Malformed {
        format: "socket message",
        at,
        expected: "4 bytes",
    })
}

fn long(bytes: &[u8], at: usize) -> Result<u64, Malformed> {
    Ok(u64::from(word(bytes, at + 4)?) << 32 | u64::from(word(bytes, at)?))
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

/// A UNIX socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unix {
    /// `SOCK_STREAM` 1, `SOCK_DGRAM` 2, `SOCK_SEQPACKET` 5.
    pub kind: u8,
    /// As of TCP: 1 connected, 7 not, 10 listening.
    pub state: u8,
    /// Its number.
    pub inode: u32,
    /// The kernel's number for it, never given twice.
    pub cookie: u64,
    /// Path, or a name that begins with a zero byte.
    pub name: Option<Vec<u8>>,
    /// Inode and device of its file.
    pub file: Option<(u32, u32)>,
    /// The number of the socket at its other end.
    pub peer: Option<u32>,
    /// Numbers of the connections that wait for accept(2).
    pub waiting: Option<Vec<u32>>,
    /// Bytes to be read, and sent but not read; of a listener the waiting connections and their limit.
    pub queues: (u32, u32),
    /// As of [`crate::inet_diag::Detail::memory`].
    pub memory: Option<Vec<u32>>,
    /// Bit 0: receives no more; bit 1: sends no more.
    pub shut: Option<u8>,
    /// Its user.
    pub uid: Option<u32>,
}

impl Unix {
    /// The request for all sockets in the states whose bit is set.
    pub fn request(states: u32) -> Vec<u8> {
        let mut bytes = vec![AF_UNIX, 0, 0, 0];
        for word in [states, 0, UNIX_ALL, 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes
    }

    /// Reads one answer.
    pub fn read(payload: &[u8]) -> Result<Unix, Malformed> {
        let mut socket = Unix {
            kind: byte(payload, 1),
            state: byte(payload, 2),
            inode: word(payload, 4)?,
            cookie: long(payload, 8)?,
            ..Unix::default()
        };
        for attr in Attrs::after(payload, 16)? {
            let attr = attr?;
            match attr.kind {
                0 => socket.name = Some(attr.payload.to_vec()),
                1 => socket.file = Some((word(attr.payload, 0)?, word(attr.payload, 4)?)),
                2 => socket.peer = Some(attr.u32()?),
                3 => socket.waiting = Some(words(attr.payload)),
                4 => socket.queues = (word(attr.payload, 0)?, word(attr.payload, 4)?),
                5 => socket.memory = Some(words(attr.payload)),
                6 => socket.shut = Some(attr.u8()?),
                7 => socket.uid = Some(attr.u32()?),
                _ => {}
            }
        }
        Ok(socket)
    }
}

/// A packet socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// `SOCK_RAW` 3, `SOCK_DGRAM` 2.
    pub kind: u8,
    /// `ETH_P_*`.
    pub protocol: u16,
    /// Its number.
    pub inode: u32,
    /// The kernel's number for it, never given twice.
    pub cookie: u64,
    /// Index of the interface, 0 for all; version, reserve, threshold of copying, timestamps, flags.
    pub info: Option<Vec<u32>>,
    /// `fanout` id and type.
    pub fanout: Option<u32>,
    /// As of [`crate::inet_diag::Detail::memory`].
    pub memory: Option<Vec<u32>>,
    /// Its user.
    pub uid: Option<u32>,
}

impl Packet {
    /// The request for all.
    pub fn request() -> Vec<u8> {
        let mut bytes = vec![AF_PACKET, 0, 0, 0];
        for word in [0, PACKET_ALL, 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes
    }

    /// Reads one answer.
    pub fn read(payload: &[u8]) -> Result<Packet, Malformed> {
        let mut socket = Packet {
            kind: byte(payload, 1),
            protocol: u16::from_ne_bytes([byte(payload, 2), byte(payload, 3)]),
            inode: word(payload, 4)?,
            cookie: long(payload, 8)?,
            ..Packet::default()
        };
        for attr in Attrs::after(payload, 16)? {
            let attr = attr?;
            match attr.kind {
                0 => socket.info = Some(words(attr.payload)),
                4 => socket.fanout = Some(attr.u32()?),
                5 => socket.uid = Some(attr.u32()?),
                6 => socket.memory = Some(words(attr.payload)),
                _ => {}
            }
        }
        Ok(socket)
    }
}

/// A netlink socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Netlink {
    /// `NETLINK_*`.
    pub protocol: u8,
    /// As of TCP.
    pub state: u8,
    /// Its address: mostly the process, 0 for the kernel.
    pub port: u32,
    /// The address that it is connected to.
    pub peer_port: u32,
    /// The group that it sends to.
    pub peer_group: u32,
    /// Its number.
    pub inode: u32,
    /// The kernel's number for it, never given twice.
    pub cookie: u64,
    /// As of [`crate::inet_diag::Detail::memory`].
    pub memory: Option<Vec<u32>>,
    /// Bits of the groups that it listens to.
    pub groups: Option<Vec<u32>>,
}

impl Netlink {
    /// The request for all.
    pub fn request() -> Vec<u8> {
        let mut bytes = vec![AF_NETLINK, 255, 0, 0];
        for word in [0, NETLINK_ALL, 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes
    }

    /// Reads one answer.
    pub fn read(payload: &[u8]) -> Result<Netlink, Malformed> {
        let mut socket = Netlink {
            protocol: byte(payload, 2),
            state: byte(payload, 3),
            port: word(payload, 4)?,
            peer_port: word(payload, 8)?,
            peer_group: word(payload, 12)?,
            inode: word(payload, 16)?,
            cookie: long(payload, 20)?,
            ..Netlink::default()
        };
        for attr in Attrs::after(payload, 28)? {
            let attr = attr?;
            match attr.kind {
                0 => socket.memory = Some(words(attr.payload)),
                1 => socket.groups = Some(words(attr.payload)),
                _ => {}
            }
        }
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Builder;

    #[test]
    fn sockets_are_read_and_damaged_ones_never_panic() {
        let mut fixed = vec![1, 1, 10, 0, 7, 0, 0, 0];
        fixed.resize(16, 0);
        let mut all = Builder::after(&fixed);
        all.put(0, b"\0oracle").put(1, &[0; 8]).u32(2, 5);
        let unix = all.put(3, &[1; 8]).put(4, &[2; 8]).u8(6, 3).finish();
        let socket = Unix::read(&unix).unwrap();
        assert_eq!(
            (socket.state, socket.peer, socket.shut),
            (10, Some(5), Some(3))
        );
        assert_eq!(socket.waiting.map(|w| w.len()), Some(2));
        let mut all = Builder::after(&fixed);
        let packet = all.put(0, &[0; 24]).put(6, &[0; 36]).u32(5, 1).finish();
        assert_eq!(
            Packet::read(&packet).unwrap().info.map(|i| i.len()),
            Some(6)
        );
        fixed.resize(28, 0);
        let netlink = Builder::after(&fixed)
            .put(0, &[0; 36])
            .put(1, &[0; 4])
            .finish();
        assert_eq!(Netlink::read(&netlink).unwrap().groups, Some(vec![0]));
        crate::fuzz::mutations(&unix, 10_000, |bytes| drop(Unix::read(bytes)));
        crate::fuzz::mutations(&packet, 10_000, |bytes| drop(Packet::read(bytes)));
        crate::fuzz::mutations(&netlink, 10_000, |bytes| drop(Netlink::read(bytes)));
    }
}
