//! Sockets as the kernel lists them (linux/inet_diag.h, linux/sock_diag.h).

use crate::Malformed;
use crate::netlink::Attrs;
use crate::rtnl::{AF_INET, AF_INET6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `SOCK_DIAG_BY_FAMILY`, both of request and answer.
pub const BY_FAMILY: u16 = 20;
/// `INET_DIAG_SKV6ONLY`
const V6_ONLY: u16 = 11;
/// Other `INET_DIAG_*`.
const INFO: u16 = 2;
const CONGESTION: u16 = 4;
const TOS: u16 = 5;
const CLASS: u16 = 6;
const MEMORY: u16 = 7;
const SHUT: u16 = 8;
const MARK: u16 = 15;
const BBR: u16 = 16;
const CLASS_ID: u16 = 17;
const CGROUP: u16 = 21;
const OPTIONS: u16 = 22;
/// Length of `struct inet_diag_msg`, bytes.
const HEADER: usize = 72;

/// `struct inet_diag_req_v2` for all sockets of a family and protocol (`IPPROTO_*`).
pub fn request(family: u8, protocol: u8) -> Vec<u8> {
    request_of(family, protocol, u32::MAX, 0)
}

/// Everything that a socket can be asked for: one bit for each of `INET_DIAG_MEMINFO` (1) to `INET_DIAG_SHUTDOWN` (8).
pub const ALL_ABOUT_IT: u8 = 0xff;

/// As [`request`], for the states whose bit is set (`1 << TCP_LISTEN`), with what else is asked of each socket
/// ([`ALL_ABOUT_IT`] or 0).
pub fn request_of(family: u8, protocol: u8, states: u32, about: u8) -> Vec<u8> {
    let mut bytes = vec![family, protocol, about, 0];
    bytes.extend_from_slice(&states.to_ne_bytes());
    bytes.resize(56, 0); // struct inet_diag_sockid: any
    bytes
}

/// What the kernel says of a socket when it is asked for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// `INET_DIAG_SKMEMINFO`: receive queue, its limit, send queue, its limit, forward, queued, options, backlog, drops.
    pub memory: Option<Vec<u32>>,
    /// `struct tcp_info`.
    pub tcp: Option<crate::tcp_info::TcpInfo>,
    /// Name of the congestion control.
    pub congestion: Option<String>,
    /// Type of service.
    pub tos: Option<u8>,
    /// Traffic class of IPv6.
    pub class: Option<u8>,
    /// `net_cls` class or, without one, the priority.
    pub class_id: Option<u32>,
    /// Bit 0: receives no more; bit 1: sends no more.
    pub shut: Option<u8>,
    /// `SO_MARK`.
    pub mark: Option<u32>,
    /// Number of its control group of version 2.
    pub cgroup: Option<u64>,
    /// BBR's bandwidth (bytes/s), least round trip (us), pacing and window gain (1/256).
    pub bbr: Option<(u64, u32, u32, u32)>,
    /// `struct inet_diag_sockopt`: two bytes of bits.
    pub options: Option<(u8, u8)>,
}

impl Detail {
    fn take(&mut self, attr: &crate::netlink::Attr<'_>) -> Result<(), Malformed> {
        let words = || {
            attr.payload
                .as_chunks::<4>()
                .0
                .iter()
                .map(|w| u32::from_ne_bytes(*w))
        };
        match attr.kind {
            MEMORY => self.memory = Some(words().collect()),
            INFO => self.tcp = Some(crate::tcp_info::TcpInfo::read(attr.payload)),
            CONGESTION => self.congestion = Some(attr.str()),
            TOS => self.tos = Some(attr.u8()?),
            CLASS => self.class = Some(attr.u8()?),
            CLASS_ID => self.class_id = Some(attr.u32()?),
            SHUT => self.shut = Some(attr.u8()?),
            MARK => self.mark = Some(attr.u32()?),
            CGROUP => self.cgroup = Some(attr.u64()?),
            BBR => {
                let all: Vec<u32> = words().collect();
                if let [low, high, rtt, pacing, window, ..] = all[..] {
                    let rate = u64::from(high) << 32 | u64::from(low);
                    self.bbr = Some((rate, rtt, pacing, window));
                }
            }
            OPTIONS => {
                if let Some([a, b]) = attr.payload.first_chunk::<2>() {
                    self.options = Some((*a, *b));
                }
            }
            _ => {}
        }
        Ok(())
    }
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
    /// Which timer runs: 0 none, 1 retransmission, 2 keepalive, 3 TIME-WAIT, 4 zero window probe.
    pub timer: u8,
    /// Retransmissions or probes so far.
    pub retransmitted: u8,
    /// When the timer fires, milliseconds.
    pub expires_ms: u32,
    /// Index of the interface that it is bound to, else 0.
    pub interface: u32,
    /// The kernel's number for the socket, never given twice.
    pub cookie: u64,
    /// Its user.
    pub uid: u32,
    /// What was asked besides.
    pub detail: Detail,
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
            timer: fixed.get(2).copied().unwrap_or_default(),
            retransmitted: fixed.get(3).copied().unwrap_or_default(),
            expires_ms: word(52)?,
            interface: word(40)?,
            cookie: u64::from(word(48)?) << 32 | u64::from(word(44)?),
            uid: word(64)?,
            detail: Detail::default(),
        };
        for attr in Attrs::after(payload, HEADER)? {
            let attr = attr?;
            if attr.kind == V6_ONLY {
                socket.v6_only = Some(attr.u8()? != 0);
            }
            socket.detail.take(&attr)?;
        }
        Ok(Some(socket))
    }

    /// The state as ss(8) writes it; `UNCONN` is a closed TCP and an unconnected UDP socket.
    pub fn state_word(&self) -> &'static str {
        state_word(self.state)
    }
}

/// A state of TCP as ss(8) writes it.
pub fn state_word(state: u8) -> &'static str {
    match state {
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
        let mut all = Builder::after(&fixed);
        all.u8(V6_ONLY, 0).str(CONGESTION, "bbr").u64(CGROUP, 7);
        all.put(BBR, &[1; 20])
            .put(INFO, &[2; 232])
            .put(MEMORY, &[0; 36]);
        all.put(OPTIONS, &[2, 0]).u32(MARK, 5).u8(SHUT, 1).finish()
    }

    #[test]
    fn a_listener_is_read() {
        let socket = Socket::read(&listener()).unwrap().unwrap();
        assert_eq!(socket.state_word(), "LISTEN");
        assert_eq!(socket.local, "[::]:8080".parse().unwrap());
        assert_eq!((socket.recv_q, socket.send_q, socket.inode), (3, 128, 77));
        assert_eq!(socket.v6_only, Some(false));
        let detail = socket.detail;
        assert_eq!(detail.congestion.as_deref(), Some("bbr"));
        assert_eq!(
            (detail.cgroup, detail.mark, detail.shut),
            (Some(7), Some(5), Some(1))
        );
        assert_eq!(detail.memory.map(|m| m.len()), Some(9));
        assert_eq!(detail.bbr.map(|b| b.1), Some(0x0101_0101));
        assert_eq!(detail.tcp.map(|t| t.rto), Some(0x0202_0202));
        assert_eq!(request(AF_INET, 6).len(), 56);
    }

    #[test]
    fn mutated_messages_never_panic() {
        crate::fuzz::mutations(&listener(), 20_000, |bytes| {
            let _ = Socket::read(bytes);
        });
    }
}
