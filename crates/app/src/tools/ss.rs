//! `ss`: sockets of this network namespace, as iproute2 shows them. It shows and changes nothing.

mod about;
mod filter;
mod plan;
mod said;
mod socket;
mod summary;
mod table;
mod tcp;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::diag::owners::{self, Owner};
use plan::Plan;
use socket::Socket;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "ss",
    stands_for: "iproute2 ss",
    group: Group::Kernel,
    tier: 1,
    about: "Show sockets: who listens, who is connected, by which process",
    about_zh: "显示套接字：谁在监听、谁已连接、属于哪个进程",
    page: include_str!("pages/ss.md"),
    cases: include_str!("cases/ss.txt"),
    run,
};

/// What ends the command: what is said on standard error, and an exit code.
#[derive(Debug, PartialEq, Eq)]
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
    match asked(args, io) {
        Ok(code) => Ok(code),
        Err(Stop::Refused(refused)) => {
            writeln!(io.err, "{}", refused.said)?;
            Ok(refused.code)
        }
        Err(Stop::Broken(e)) => Err(e),
    }
}

/// How a run ends before its end.
enum Stop {
    Refused(Refused),
    /// What we print to is gone, or the like.
    Broken(anyhow::Error),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Stop {
        Stop::Refused(refused)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Stop {
    fn from(e: E) -> Stop {
        Stop::Broken(e.into())
    }
}

fn asked(args: &[OsString], io: &mut Io<'_>) -> std::result::Result<i32, Stop> {
    let plan = match plan::read(args)? {
        plan::Read::Plan(plan) => plan,
        plan::Read::Help => {
            write!(io.out, "{}", plan::HELP)?;
            return Ok(0);
        }
        plan::Read::Version => {
            writeln!(io.out, "ss utility, netshoot {}", crate::version::SHORT)?;
            return Ok(0);
        }
    };
    if let Some(name) = &plan.namespace {
        enter(name)?;
    }
    if plan.summary {
        write!(io.out, "{}", summary::text(plan.json)?)?;
        if !plan.lists {
            return Ok(0);
        }
    }
    let shown = shown(&plan)?;
    let known = Known::of(&plan);
    if plan.json {
        writeln!(io.out, "{}", said::json(&shown, &known))?;
    } else {
        let mut table = table::Table::new(&plan);
        for socket in &shown {
            table.row(about::row(socket, &plan, &known));
        }
        write!(io.out, "{}", table.text(width()))?;
    }
    if plan.explain {
        for line in said::explained(&shown, io.lang) {
            writeln!(io.out, "{line}")?;
        }
    }
    Ok(0)
}

/// Columns of the terminal; none where the output is none.
fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let size = crossterm::terminal::size().ok();
    Some(size.map_or(80, |(columns, _)| columns.into()))
}

/// What is asked once for all sockets.
struct Known {
    owners: BTreeMap<u32, Vec<Owner>>,
    cgroups: BTreeMap<u64, String>,
}

impl Known {
    fn of(plan: &Plan) -> Known {
        Known {
            owners: match plan.processes {
                true => owners::owners(plan.threads),
                false => BTreeMap::new(),
            },
            cgroups: match plan.extended || plan.cgroup {
                true => netshoot_host::groups::paths(),
                false => BTreeMap::new(),
            },
        }
    }
}

/// The sockets that were asked for and that the filter lets through, in the original's order of kinds.
fn shown(plan: &Plan) -> Result<Vec<Socket>> {
    let mut all = Vec::new();
    for kind in &plan.kinds {
        all.extend(socket::of(*kind, plan)?);
    }
    let states = plan.states;
    let ports = filter::ephemeral();
    all.retain(|s: &Socket| {
        let wanted = states & (1 << s.state) != 0;
        let taken = plan.filter.as_ref().is_none_or(|f| f.takes(s, &ports));
        wanted && taken
    });
    Ok(all)
}

/// Goes into a namespace that has a name below /run/netns.
fn enter(name: &str) -> std::result::Result<(), Refused> {
    let place = format!("/var/run/netns/{name}");
    let entered = netshoot_host::netns::NetNs::open(&place).and_then(|ns| ns.set_current());
    entered.map_err(|e| {
        let errno = e.errno().unwrap_or(libc::ENOENT);
        let why = netshoot_host::sockets::strerror(&std::io::Error::from_raw_os_error(errno));
        Refused::new(
            1,
            format!("Cannot open network namespace \"{name}\": {why}"),
        )
    })
}
