//! The side that listens.

use super::plan::Plan;
use super::{Stop, reach, relay, words};
use crate::io::Io;
use netshoot_host::names::{self, Hints};
use netshoot_host::streams;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};

pub fn serve(plan: &Plan, io: &mut Io<'_>) -> Result<i32, Stop> {
    if plan.unix {
        return unix(plan, io);
    }
    let (fd, own) = bound(plan)?;
    say(
        plan,
        if plan.manner.datagram {
            "Bound on"
        } else {
            "Listening on"
        },
        own,
        io,
    )?;
    if plan.manner.datagram {
        return datagrams(plan, fd, io);
    }
    let listener = TcpListener::from(fd);
    loop {
        let fd = listener.as_fd().try_clone_to_owned()?;
        streams::readable(&fd, None)?;
        let (stream, from) = match listener.accept() {
            Ok(one) => one,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(e) => return Err(Stop::Said(format!("accept: {}", words(&e)))),
        };
        stream.set_nonblocking(true)?;
        say(plan, "Connection received on", from, io)?;
        if !plan.keep {
            drop(listener);
            relay::relay(plan, &stream.into(), io)?;
            return Ok(0);
        }
        relay::relay(plan, &stream.into(), io)?;
    }
}

/// A socket bound to the first own address that can be.
fn bound(plan: &Plan) -> Result<(OwnedFd, SocketAddr), Stop> {
    let hints = Hints {
        family: plan.family,
        kind: match plan.manner.datagram {
            true => libc::SOCK_DGRAM,
            false => libc::SOCK_STREAM,
        },
        flags: libc::AI_PASSIVE
            | if plan.numeric {
                libc::AI_NUMERICHOST
            } else {
                0
            },
    };
    let found = names::resolve(plan.host.as_deref(), plan.port.as_deref(), hints);
    let found = found.map_err(|why| Stop::Said(format!("getaddrinfo: {why}")))?;
    let mut last = None;
    for own in found.addresses {
        let fd = streams::open(own, &plan.manner);
        let fd = fd.map_err(|f| Stop::Said(format!("{}: {}", f.step, words(&f.source))))?;
        match streams::bind(&fd, own) {
            Ok(()) if plan.manner.datagram => return Ok((fd, own)),
            Ok(()) => match streams::listen(&fd) {
                Ok(()) => return Ok((fd, own)),
                Err(e) => last = Some(e),
            },
            Err(e) => last = Some(e),
        }
    }
    let why = last.map_or_else(|| "no address".into(), |e| words(&e));
    Err(Stop::Said(why))
}

fn say(plan: &Plan, what: &str, at: SocketAddr, io: &mut Io<'_>) -> Result<(), Stop> {
    if plan.verbose {
        let name = (!plan.numeric).then(|| names::name_of(at)).flatten();
        let name = name.unwrap_or_else(|| names::figures(at));
        writeln!(io.err, "{what} {name} {}", at.port())?;
    }
    Ok(())
}

fn datagrams(plan: &Plan, fd: OwnedFd, io: &mut Io<'_>) -> Result<i32, Stop> {
    if plan.keep {
        // From whoever sends: nothing can be sent back.
        relay::relay(plan, &fd, io)?;
        return Ok(0);
    }
    streams::readable(&fd, None)?;
    let socket = UdpSocket::from(fd);
    let (_, from) = socket.peek_from(&mut [0; 1])?;
    socket.connect(from)?;
    say(plan, "Connection received on", from, io)?;
    relay::relay(plan, &socket.into(), io)?;
    Ok(0)
}

fn unix(plan: &Plan, io: &mut Io<'_>) -> Result<i32, Stop> {
    let path = plan.host.as_deref().unwrap_or_default();
    let failed = |e: std::io::Error| Stop::Said(words(&e));
    let name = reach::name(path).map_err(failed)?;
    let told = |what: &str, io: &mut Io<'_>| -> Result<(), Stop> {
        if plan.verbose {
            writeln!(io.err, "{what} {path}")?;
        }
        Ok(())
    };
    if plan.manner.datagram {
        let socket = UnixDatagram::bind_addr(&name).map_err(failed)?;
        told("Bound on", io)?;
        let fd = socket.as_fd().try_clone_to_owned()?;
        if !plan.keep {
            streams::readable(&fd, None)?;
            told("Connection received on", io)?;
        }
        socket.set_nonblocking(true)?;
        relay::relay(plan, &fd, io)?;
        return Ok(0);
    }
    let listener = UnixListener::bind_addr(&name).map_err(failed)?;
    told("Bound on", io)?;
    told("Listening on", io)?;
    loop {
        let (stream, _) = listener.accept().map_err(failed)?;
        told("Connection received on", io)?;
        stream.set_nonblocking(true)?;
        relay::relay(plan, &stream.into(), io)?;
        if !plan.keep {
            return Ok(0);
        }
    }
}
