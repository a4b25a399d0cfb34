//! `traceroute`: by which routers packets go, as Dmitry Butskoy's traceroute(1) in Debian says it.

mod course;
mod plan;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use std::ffi::OsString;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "traceroute",
    stands_for: "traceroute",
    group: Group::Reach,
    tier: 1,
    about: "Name the routers on the way to a host",
    about_zh: "列出到主机途中的各个路由器",
    page: include_str!("pages/traceroute.md"),
    cases: include_str!("cases/traceroute.txt"),
    run,
};

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    match plan::read(args) {
        Ok(plan::Read::Plan(plan)) => course::travel(&plan, io),
        Ok(plan::Read::Help) => {
            write!(io.out, "{}", plan::HELP)?;
            Ok(0)
        }
        Ok(plan::Read::Version) => {
            writeln!(io.out, "traceroute of netshoot {}", crate::version::SHORT)?;
            Ok(0)
        }
        Err(said) => {
            writeln!(io.err, "{said}")?;
            Ok(2)
        }
    }
}
