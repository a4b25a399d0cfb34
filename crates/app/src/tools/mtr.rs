//! `mtr`: the routers on the way to a host, asked again and again: loss and times of each, as a report or a screen.

mod chart;
mod course;
mod figures;
mod looked_up;
mod plan;
mod report;
mod screen;
mod table;
pub mod trip;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::names::{self, Hints};
use plan::{Plan, Read};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "mtr",
    stands_for: "mtr-tiny",
    group: Group::Reach,
    tier: 1,
    about: "Watch loss and times of every router on the way to a host",
    about_zh: "持续观察到主机途中每一跳的丢包与时延",
    page: include_str!("pages/mtr.md"),
    cases: include_str!("cases/mtr.txt"),
    run,
};

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let plan = match plan::read(args) {
        Ok(Read::Plan(plan)) => plan,
        Ok(Read::Said(text)) => {
            write!(io.out, "{text}")?;
            return Ok(0);
        }
        Err(said) => {
            writeln!(io.err, "mtr: {said}")?;
            return Ok(1);
        }
    };
    ask(&plan, "mtr", 0, io)
}

/// Asks each host in turn, in the name of a tool; with `unknown` ends what knows no address of one.
fn ask(plan: &Plan, own: &str, unknown: i32, io: &mut Io<'_>) -> Result<i32> {
    let mut code = 0;
    for name in &plan.hosts {
        let to = match resolve(plan, name) {
            Ok(to) => to,
            Err(why) => {
                let name = crate::report::safe(name);
                writeln!(io.err, "{own}: Failed to resolve host: {name}: {why}")?;
                code = unknown;
                continue;
            }
        };
        if let Some(said) = one(plan, name, to, io)? {
            writeln!(io.err, "{own}: {said}")?;
            return Ok(1);
        }
    }
    Ok(code)
}

/// Asks one host; gives the sentence why it cannot be asked.
fn one(plan: &Plan, name: &str, to: SocketAddr, io: &mut Io<'_>) -> Result<Option<String>> {
    if let Some(said) = wrong_way(plan, to) {
        return Ok(Some(said.into()));
    }
    let mut course = match course::Course::new(plan, to) {
        Ok(course) => course,
        Err(said) => return Ok(Some(said)),
    };
    if plan.style.is_none() && std::io::stdout().is_terminal() {
        screen::watch(name, &mut course, io)?;
        return Ok(None);
    }
    if plan.style.is_none_or(|s| s == plan::Style::Report) {
        writeln!(io.out, "Start: {}", netshoot_host::clock::stamp())?;
        io.out.flush()?;
    }
    course.travel(|line| Ok(writeln!(io.out, "{line}")?))?;
    write!(io.out, "{}", report::text(plan, name, &mut course))?;
    if plan.explain {
        for line in report::explained(&course, io.lang) {
            writeln!(io.out, "{line}")?;
        }
    }
    Ok(None)
}

/// Why no packet can go there from the address or interface that was given.
fn wrong_way(plan: &Plan, to: SocketAddr) -> Option<&'static str> {
    let strange = |name: &String| netshoot_host::link::index(name).is_err();
    if plan.interface.as_ref().is_some_and(strange) {
        return Some("no such interface");
    }
    if plan.source.is_some_and(|s| s.is_ipv4() != to.is_ipv4()) {
        return Some("invalid local address");
    }
    let zoneless =
        matches!(to, SocketAddr::V6(a) if a.scope_id() == 0 && a.ip().is_unicast_link_local());
    let lost = zoneless && plan.interface.is_none();
    lost.then_some("udp socket connect failed: Invalid argument")
}

fn resolve(plan: &Plan, name: &str) -> Result<SocketAddr, String> {
    let hints = Hints {
        family: plan.family,
        kind: libc::SOCK_DGRAM,
        flags: 0,
    };
    let found = names::resolve(Some(name), None, hints)?;
    let first = found.addresses.first().copied();
    first.ok_or_else(|| "Name or service not known".into())
}
