//! One UDP datagram and whatever comes back.

use crate::Error;
use crate::sockets::{self, Deadline};
use netshoot_model::probe::{Attempt, Outcome};
use std::io;
use std::net::SocketAddr;

/// Sends a payload and waits for the first datagram from there. The error is a gap.
pub fn exchange(
    to: SocketAddr,
    payload: &[u8],
    timeout_ms: u32,
) -> Result<(Attempt, Vec<u8>), Error> {
    let family = sockets::family(to.ip());
    let socket = sockets::open(family, libc::SOCK_DGRAM, libc::IPPROTO_UDP, "UDP")?;
    let deadline = Deadline::after_ms(timeout_ms);
    let talk = || -> io::Result<Vec<u8>> {
        sockets::want_icmp_errors(&socket, family)?;
        sockets::connect(&socket, to)?;
        sockets::send(&socket, payload)?;
        let mut buffer = vec![0u8; usize::from(u16::MAX)];
        loop {
            sockets::wait(&socket, libc::POLLIN, deadline)?;
            match sockets::receive(&socket, &mut buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => {
                    buffer.truncate(other?);
                    return Ok(buffer);
                }
            }
        }
    };
    let ended = talk();
    let took_us = deadline.spent_us();
    Ok(match ended {
        Ok(reply) => (
            Attempt {
                outcome: Outcome::Answered,
                took_us,
                detail: String::new(),
                retransmissions: 0,
            },
            reply,
        ),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => {
            let detail = "no datagram came back in time".into();
            (
                Attempt {
                    outcome: Outcome::Silent,
                    took_us,
                    detail,
                    retransmissions: 0,
                },
                vec![],
            )
        }
        Err(e) => (sockets::failed(&e, took_us), vec![]),
    })
}
