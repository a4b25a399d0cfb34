//! TCP and UDP sockets over inet_diag.

use crate::Error;
use crate::netlink;
use netshoot_model::probe::Socket;
use netshoot_wire::Malformed;
use netshoot_wire::inet_diag;
use netshoot_wire::netlink::DUMP;
use netshoot_wire::rtnl::{AF_INET, AF_INET6};
use netshoot_wire::sock_diag::{Netlink, Packet, Unix};
use std::net::SocketAddr;

/// `NETLINK_SOCK_DIAG`
const SOCK_DIAG: i32 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Sockets of a family and protocol (`IPPROTO_*`) in the states whose bit is set, with everything that the kernel tells
/// of them if `about`. None where this kernel has no such sockets or cannot list them.
pub fn inet(
    family: u8,
    protocol: u8,
    states: u32,
    about: bool,
) -> Result<Option<Vec<inet_diag::Socket>>, Error> {
    let about = if about { inet_diag::ALL_ABOUT_IT } else { 0 };
    let request = inet_diag::request_of(family, protocol, states, about);
    let found = listed(&request, "sockets", inet_diag::Socket::read)?;
    Ok(found.map(|all| all.into_iter().flatten().collect()))
}

/// UNIX sockets in the states whose bit is set, as [`inet`].
pub fn unix(states: u32) -> Result<Option<Vec<Unix>>, Error> {
    listed(&Unix::request(states), "UNIX sockets", Unix::read)
}

/// Packet sockets, as [`inet`].
pub fn packet() -> Result<Option<Vec<Packet>>, Error> {
    listed(&Packet::request(), "packet sockets", Packet::read)
}

/// Netlink sockets, as [`inet`].
pub fn netlink() -> Result<Option<Vec<Netlink>>, Error> {
    listed(&Netlink::request(), "netlink sockets", Netlink::read)
}

fn listed<T>(
    request: &[u8],
    on: &str,
    read: impl Fn(&[u8]) -> Result<T, Malformed>,
) -> Result<Option<Vec<T>>, Error> {
    let socket = netlink::Socket::open(SOCK_DIAG)?;
    let mut all = Vec::new();
    let take = |kind: u16, payload: &[u8]| {
        if kind == inet_diag::BY_FAMILY {
            all.push(read(payload)?);
        }
        Ok(())
    };
    let kind = inet_diag::BY_FAMILY;
    match socket.each("list sockets", on, kind, DUMP, request, take) {
        Ok(_) => Ok(Some(all)),
        // No such module, or one that does not know this kind of question.
        Err(e)
            if matches!(
                e.errno(),
                Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EINVAL)
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// All TCP and UDP sockets of both families, listeners first. An IPv4 address that a dual-stack
/// socket sees as `::ffff:a.b.c.d` is given as IPv4.
pub fn sockets() -> Result<Vec<Socket>, Error> {
    let socket = netlink::Socket::open(SOCK_DIAG)?;
    let mut all = Vec::new();
    for (protocol, word) in [(TCP, "tcp"), (UDP, "udp")] {
        for family in [AF_INET, AF_INET6] {
            let request = inet_diag::request(family, protocol);
            let take = |kind: u16, payload: &[u8]| {
                if kind == inet_diag::BY_FAMILY
                    && let Some(found) = inet_diag::Socket::read(payload)?
                {
                    all.push(Socket {
                        protocol: word.into(),
                        state: found.state_word().into(),
                        local: unmapped(found.local),
                        remote: unmapped(found.remote),
                        recv_q: found.recv_q,
                        send_q: found.send_q,
                        v6_only: found.v6_only.unwrap_or(false),
                    });
                }
                Ok(())
            };
            match socket.each(
                "list sockets",
                word,
                inet_diag::BY_FAMILY,
                DUMP,
                &request,
                take,
            ) {
                Ok(_) => {}
                // A kernel without IPv6 has no such sockets; one without inet_diag cannot say.
                Err(e) if e.errno() == Some(libc::ENOENT) && family == AF_INET => {
                    return Err(Error::Absent {
                        what: format!("inet_diag for {word}"),
                    });
                }
                Err(e) if e.errno() == Some(libc::ENOENT) => {}
                Err(e) => return Err(e),
            }
        }
    }
    all.sort_by_key(|s| s.state != "LISTEN");
    Ok(all)
}

fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
