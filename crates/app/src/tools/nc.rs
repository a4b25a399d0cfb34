//! `nc`: connections and listeners for TCP, UDP and UNIX sockets, as OpenBSD's nc(1) in Debian has them.

mod plan;
mod proxy;
mod reach;
mod relay;
mod serve;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::sockets;
use plan::Plan;
use std::ffi::OsString;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "nc",
    stands_for: "netcat-openbsd",
    group: Group::Reach,
    tier: 1,
    about: "Try ports, open connections, listen: TCP, UDP, UNIX sockets",
    about_zh: "探测端口、建立连接、监听：TCP、UDP、UNIX 套接字",
    page: include_str!("pages/nc.md"),
    cases: include_str!("cases/nc.txt"),
    run,
};

/// How a run ends before its end: the exit code was earned, something broke.
enum Stop {
    /// A sentence and exit code 1.
    Said(String),
    /// What we print to is gone, or the like.
    Broken(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Stop {
    fn from(e: E) -> Stop {
        Stop::Broken(e.into())
    }
}

fn words(e: &std::io::Error) -> String {
    sockets::strerror(e)
}

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let plan = match plan::read(args, io) {
        Ok(plan::Read::Plan(plan)) => plan,
        Ok(plan::Read::Ended(code)) => return Ok(code),
        Err(stop) => return ended(stop, io),
    };
    let done = if plan.listen {
        serve::serve(&plan, io)
    } else {
        reach::reach(&plan, io)
    };
    match done {
        Ok(code) => Ok(code),
        Err(stop) => ended(stop, io),
    }
}

fn ended(stop: Stop, io: &mut Io<'_>) -> Result<i32> {
    match stop {
        Stop::Said(said) => {
            writeln!(io.err, "nc: {said}")?;
            Ok(1)
        }
        Stop::Broken(e) => Err(e),
    }
}

impl Plan {
    /// The word for the protocol.
    fn protocol(&self) -> &'static str {
        if self.manner.datagram { "udp" } else { "tcp" }
    }
}
