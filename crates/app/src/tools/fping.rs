//! `fping`: echo requests to many hosts in turn, with lines that scripts read, as fping(8) has them.

mod course;
mod plan;
mod said;
mod targets;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::pinging::{Fragments, Manner, Pinging};
use netshoot_host::{interrupt, sockets};
use plan::{Plan, Read};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use targets::Target;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "fping",
    stands_for: "fping",
    group: Group::Reach,
    tier: 1,
    about: "Ask many hosts for echoes at once: who is alive",
    about_zh: "同时向多台主机发送回显请求：谁在线",
    page: include_str!("pages/fping.md"),
    cases: include_str!("cases/fping.txt"),
    run,
};

/// A sentence on standard error, and the exit code.
struct Refused {
    said: String,
    code: i32,
}

impl Refused {
    fn new(code: i32, said: impl Into<String>) -> Refused {
        let said = said.into();
        Refused { said, code }
    }
}

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let plan = match plan::read(args) {
        Ok(Read::Plan(plan)) => plan,
        Ok(Read::Said(text)) => {
            write!(io.out, "{text}")?;
            return Ok(0);
        }
        Err(refused) => return refuse(&refused, io),
    };
    let found = match targets::of(&plan) {
        Ok(found) => found,
        Err(refused) => return refuse(&refused, io),
    };
    for said in &found.unknown {
        if !plan.quiet {
            writeln!(io.err, "{said}")?;
        }
    }
    if found.targets.is_empty() {
        return Ok(if found.unknown.is_empty() { 1 } else { 2 });
    }
    let ways = match Ways::open(&plan, &found.targets, io)? {
        Ok(ways) => ways,
        Err(refused) => return refuse(&refused, io),
    };
    let signals = interrupt::hear(&[libc::SIGINT, libc::SIGQUIT])?;
    let mut course = course::Course::new(&plan, found.targets, found.unknown.len(), ways, signals);
    course.travel(io)?;
    course.end(io)
}

fn refuse(refused: &Refused, io: &mut Io<'_>) -> Result<i32> {
    if !refused.said.is_empty() {
        writeln!(io.err, "{}", refused.said)?;
    }
    Ok(refused.code)
}

/// A socket for each family that is asked for.
struct Ways {
    v4: Option<Pinging>,
    v6: Option<Pinging>,
}

impl Ways {
    fn open(
        plan: &Plan,
        targets: &[Target],
        io: &mut Io<'_>,
    ) -> Result<std::result::Result<Ways, Refused>> {
        if plan.tos.is_some_and(|t| t > 255) {
            writeln!(
                io.err,
                "setting type of service octet IPV6_TCLASS: Invalid argument"
            )?;
        }
        let mut ways = Ways { v4: None, v6: None };
        for (v6, any) in [
            (false, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            (true, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        ] {
            if !targets.iter().any(|t| t.to.is_ipv6() == v6) {
                continue;
            }
            let manner = manner(plan, v6);
            let opened = match Pinging::open(SocketAddr::new(any, 0), &manner) {
                Ok(opened) => opened,
                Err(e) => {
                    let said =
                        format!("fping: can't create socket (must run as root?)\nfping: {e}");
                    return Ok(Err(Refused::new(4, said)));
                }
            };
            let pinging = match opened {
                Ok(pinging) => pinging,
                Err(failed) => return Ok(Err(step(&failed))),
            };
            match v6 {
                false => ways.v4 = Some(pinging),
                true => ways.v6 = Some(pinging),
            }
        }
        Ok(Ok(ways))
    }
}

/// The original's words for a step that failed.
fn step(failed: &netshoot_host::pinging::Failed) -> Refused {
    let why = sockets::strerror(&failed.source);
    if failed.step.starts_with("SO_BINDTODEVICE") {
        let said = format!("binding to specific interface (SO_BINTODEVICE): {why}");
        return Refused::new(1, said);
    }
    if failed.step.starts_with("bind") {
        return Refused::new(4, format!("fping: cannot bind source address : {why}"));
    }
    Refused::new(4, format!("fping: {}: {why}", failed.step))
}

fn manner(plan: &Plan, v6: bool) -> Manner {
    Manner {
        interface: plan.interface.clone(),
        source: plan
            .source
            .filter(|s| s.is_ipv6() == v6)
            .map(|s| SocketAddr::new(s, 0)),
        ttl: plan.ttl,
        tos: plan
            .tos
            .filter(|t| !v6 || *t < 256)
            .map(|t| (t & 0xff) as u8),
        fragments: plan.whole.then_some(Fragments::Forbid),
        id: None,
        ..Manner::default()
    }
}
