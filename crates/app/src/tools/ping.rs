//! `ping`: echo requests to a host, with the figures of iputils' ping(8).

mod course;
mod plan;
mod words;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::names::{self, Hints};
use netshoot_host::pinging::{self, Failed, Pinging};
use netshoot_host::{interrupt, sockets};
use plan::{Plan, Read};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The tool.
pub const TOOL: Tool = Tool {
    name: "ping",
    stands_for: "iputils-ping",
    group: Group::Reach,
    tier: 1,
    about: "Ask a host for echoes and count what comes back",
    about_zh: "向主机发送回显请求并统计应答",
    page: include_str!("pages/ping.md"),
    cases: include_str!("cases/ping.txt"),
    run,
};

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut plan = match plan::read(args, io)? {
        Read::Plan(plan) => plan,
        Read::Ended(code) => return Ok(code),
    };
    let found = match resolve(&mut plan) {
        Ok(found) => found,
        Err(why) => return plan::refuse(io, 2, &format!("{}: {why}", plan.target)),
    };
    let Some(to) = found.0 else {
        return plan::refuse(
            io,
            2,
            &format!("{}: Name or service not known", plan.target),
        );
    };
    // The original calls an IPv4 host by its full name, an IPv6 host by the name it was given.
    plan.name = match found.1 {
        Some(full) if to.is_ipv4() && !plan.numeric_target => full,
        _ => plan.target.clone(),
    };
    match begin(&mut plan, to, io)? {
        Ok((pinging, ends)) => {
            let signals = interrupt::hear(&[libc::SIGINT, libc::SIGQUIT])?;
            head(&plan, ends, io)?;
            course::Course::new(&plan, pinging, signals, ends.1).travel(io)
        }
        Err(said) => plan::refuse(io, 2, &said),
    }
}

type Found = (Option<SocketAddr>, Option<String>);

fn resolve(plan: &mut Plan) -> Result<Found, String> {
    let hints = |flags| Hints {
        family: plan.family,
        kind: libc::SOCK_RAW,
        flags,
    };
    let target = Some(plan.target.as_str());
    let figures = names::resolve(target, None, hints(libc::AI_NUMERICHOST));
    let found = match figures {
        Ok(found) => {
            plan.numeric_target = true;
            plan.numeric = true;
            found
        }
        Err(_) => names::resolve(target, None, hints(libc::AI_CANONNAME))?,
    };
    Ok((found.addresses.first().copied(), found.canonical))
}

/// Source and destination.
type Ends = (SocketAddr, SocketAddr);

/// Finds the source and opens the socket; else the sentence that says why not.
fn begin(
    plan: &mut Plan,
    mut to: SocketAddr,
    io: &mut Io<'_>,
) -> Result<Result<(Pinging, Ends), String>> {
    let words = |f: Failed| format!("{}: {}", f.step, sockets::strerror(&f.source));
    if plan
        .manner
        .source
        .is_some_and(|s| s.is_ipv4() != to.is_ipv4())
    {
        plan.manner.source = None;
    }
    if let (true, Some(name)) = (to.is_ipv6(), &plan.manner.interface)
        && netshoot_host::link::index(name).is_err()
    {
        return Ok(Err(format!("unknown iface: {name}")));
    }
    let mut own = pinging::route(to, &plan.manner);
    let refused = |e: &Failed| e.source.raw_os_error() == Some(libc::EACCES);
    if to.is_ipv4() && own.as_ref().err().is_some_and(refused) {
        if !plan.broadcast {
            let said =
                "Do you want to ping broadcast? Then -b. If not, check your local firewall rules";
            return Ok(Err(said.into()));
        }
        writeln!(io.err, "WARNING: pinging broadcast address")?;
        plan.manner.broadcast = true;
        own = pinging::route(to, &plan.manner);
    }
    let own = match own {
        Ok(own) => own,
        // The kernel takes the first link there is, where a connected socket would want a zone.
        Err(_) if zoneless(to) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
        Err(failed) => return Ok(Err(words(failed))),
    };
    // Nobody's address stands for this machine.
    if to.ip().is_unspecified() {
        to.set_ip(own.ip());
    }
    let opened = Pinging::open(to, &plan.manner)?;
    Ok(opened.map(|p| (p, (own, to))).map_err(words))
}

/// An address of a link, without its zone.
fn zoneless(to: SocketAddr) -> bool {
    matches!(to, SocketAddr::V6(a) if a.scope_id() == 0
        && (a.ip().is_unicast_link_local() || a.ip().segments()[0] & 0xff0f == 0xff02))
}

fn head(plan: &Plan, ends: Ends, io: &mut Io<'_>) -> Result<()> {
    let (own, to) = ends;
    if plan.json {
        return Ok(());
    }
    let mut line = match to.ip() {
        IpAddr::V4(a) => format!("PING {} ({a}) ", plan.name),
        IpAddr::V6(_) => format!("PING {}({}) ", plan.name, words::host(plan, to)),
    };
    if plan.sticky || plan.from_given || plan.manner.interface.is_some() {
        let interface = plan.manner.interface.as_deref().unwrap_or_default();
        line += &format!("from {} {interface}: ", names::figures(own));
    }
    let data = plan.size;
    if to.is_ipv4() {
        let options = if plan.manner.record_route { 40 } else { 0 };
        let whole = data + 28 + options;
        writeln!(io.out, "{line}{data}({whole}) bytes of data.")?;
    } else {
        writeln!(io.out, "{line}{data} data bytes")?;
    }
    io.out.flush()?;
    Ok(())
}
