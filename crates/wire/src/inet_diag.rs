//! Sockets as the kernel lists them (linux/inet_diag.h, linux/sock_diag.h).

use crate::Malformed;
use crate::netlink::Attrs;
use crate::rtnl::{AF_INET, AF_INET6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `SOCK_DIAG_BY_FAMILY`, both of request and answer.
pub const BY_FAMILY: u16 = 20;
/// `INET_DIAG_SKV6ONLY`
const V6_ONLY: u16 = 11;
/// Length of `struct inet_diag_msg`, bytes.
const HEADER: usize = 72;

/// `struct inet_diag_req_v2` for all sockets of a family and protocol (`IPPROTO_*`).
pub fn request(family: u8, protocol: u8) -> Vec<u8> {
    let mut bytes = vec![family, protocol, 0, 0];
    bytes.extend_from_slice(&u32::MAX.to_ne_bytes()); // every state
    bytes.resize(56, 0); // struct inet_diag_sockid: any
    bytes
}

/// One socket (`struct inet_diag_msg`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// TCP state number (`TCP_ESTABLISHED` = 1, ...).
    pub state: u8,
    /// Own end.
    pub local: SocketAddr,
    /// Other end.
    pub remote: SocketAddr,
    /// Bytes received and not read; of a listener the connections waiting for accept(2).
    pub recv_q: u32,
    /// Bytes sent and not acknowledged; of a listener the backlog limit.
    pub send_q: u32,
    /// Inode number, 0 for a socket without owner (TIME-WAIT).
    pub inode: u32,
    /// Takes IPv6 only; none where the kernel does not say.
    pub v6_only: Option<bool>,
}

impl Socket {
    /// Reads one answer; none for families other than IPv4 and IPv6.
    pub fn read(payload: &[u8]) -> Result<Option<Socket>, Malformed> {
        let short = Malformed {
            format: "socket message",
            at: payload.len(),
            expected: "72 bytes",
        };
        let fixed = payload.get(..HEADER).ok_or(short.clone())?;
        let word = |at: usize| -> Result<u32, Malformed> {
            let bytes = fixed.get(at..).and_then(|b| b.first_chunk::<4>());
            bytes.map(|b| u32::from_ne_bytes(*b)).ok_or(short.clone())
        };
        let (Some([family, state]), Some(ports), Some(from), Some(to)) = (
            fixed.first_chunk::<2>(),
            fixed.get(4..8),
            fixed.get(8..24),
            fixed.get(24..40),
        ) else {
            return Err(short);
        };
        let (Some(local_port), Some(remote_port)) =
            (ports.first_chunk::<2>(), ports.last_chunk::<2>())
        else {
            return Err(short);
        };
        let address = |bytes: &[u8]| -> Option<IpAddr> {
            match *family {
                AF_INET => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
                AF_INET6 => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
                _ => None,
            }
        };
        let (Some(from), Some(to)) = (address(from), address(to)) else {
            return Ok(None);
        };
        let mut socket = Socket {
            state: *state,
            local: SocketAddr::new(from, u16::from_be_bytes(*local_port)),
            remote: SocketAddr::new(to, u16::from_be_bytes(*remote_port)),
            recv_q: word(56)?,
            send_q: word(60)?,
            inode: word(68)?,
            v6_only: None,
        };
        for attr in Attrs::after(payload, HEADER)? {
            let attr = attr?;
            if attr.kind == V6_ONLY {
                socket.v6_only = Some(attr.u8()? != 0);
            }
        }
        Ok(Some(socket))
    }

    /// The state as ss(8) writes it; `UNCONN` is a closed TCP and an unconnected UDP socket.
    pub fn state_word(&self) -> &'static str {
        match self.state {
            1 => "ESTAB",
            2 => "SYN-SENT",
            3 | 12 => "SYN-RECV",
            4 => "FIN-WAIT-1",
            5 => "FIN-WAIT-2",
            6 => "TIME-WAIT",
            7 => "UNCONN",
            8 => "CLOSE-WAIT",
            9 => "LAST-ACK",
            10 => "LISTEN",
            11 => "CLOSING",
            _ => "UNKNOWN",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Builder;

    fn listener() -> Vec<u8> {
        let mut fixed = vec![AF_INET6, 10, 0, 0, 0x1f, 0x90, 0, 0];
        fixed.resize(56, 0);
        for word in [3u32, 128, 0, 77] {
            fixed.extend(word.to_ne_bytes());
        }
        Builder::after(&fixed).u8(V6_ONLY, 0).finish()
    }

    #[test]
    fn a_listener_is_read() {
        let socket = Socket::read(&listener()).unwrap().unwrap();
        assert_eq!(socket.state_word(), "LISTEN");
        assert_eq!(socket.local, "[::]:8080".parse().unwrap());
        assert_eq!((socket.recv_q, socket.send_q, socket.inode), (3, 128, 77));
        assert_eq!(socket.v6_only, Some(false));
        assert_eq!(request(AF_INET, 6).len(), 56);
    }

    #[test]
    fn mutated_messages_never_panic() {
        crate::fuzz::mutations(&listener(), 20_000, |bytes| {
            let _ = Socket::read(bytes);
        });
    }
}
