//! `delv`: ask, and prove each answer from the keys one trusts.

mod ask;
mod plan;
mod show;

use super::names::{self, Family};
use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use ask::Asker;
use netshoot_host::dns::seal::Seal;
use netshoot_wire::dns::dnssec::anchors::{self, Anchors};
use netshoot_wire::dns::dnssec::chain::Chain;
use plan::{Plan, Stop};
use std::ffi::OsString;
use std::time::{SystemTime, UNIX_EPOCH};

/// The tool.
pub const TOOL: Tool = Tool {
    name: "delv",
    stands_for: "BIND delv",
    group: Group::Names,
    tier: 2,
    about: "Ask a name server and prove the answer by DNSSEC",
    about_zh: "查询域名服务器并以 DNSSEC 验证应答",
    page: include_str!("pages/delv.md"),
    cases: include_str!("cases/delv.txt"),
    run,
};

/// Keys that come with BIND.
const KEYS: &str = "/etc/bind/bind.keys";

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut words: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    super::take_lang(&mut words, io);
    let plan = match plan::read(&words, io)? {
        Ok(plan) => plan,
        Err(Stop(code)) => return Ok(code),
    };
    let Some(anchors) = trusted(&plan, io)? else {
        return Ok(1);
    };
    if names::name_is_wrong(&plan.name).is_some() {
        let why = names::name_is_wrong(&plan.name).unwrap_or_default();
        writeln!(io.err, ";; failed to convert QNAME {}: {why}", plan.name)?;
        return Ok(0);
    }
    let Some(servers) = servers(&plan, io)? else {
        return Ok(i32::from(plan.wrong_family()));
    };
    if let Some(source) = plan.source
        && let Err(e) = std::net::UdpSocket::bind(source)
    {
        writeln!(io.err, ";; dns_client_create: {}", names::words(&e))?;
        return Ok(0);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |d| d.as_secs()) as u32; // times of signatures wrap as well
    let mut chain = Chain::new(&Seal, &anchors, now, plan.validate && plan.root.is_some());
    let mut asker = Asker::new(&plan, servers, io);
    let name = plan.name.trim_end_matches('.');
    let (found, why) = chain.resolve(name, plan.kind, &mut asker);
    asker.ended()?;
    show::answer(&plan, &found, why.as_ref(), io)?;
    Ok(0)
}

/// The keys that are trusted; none where they cannot be read, which has been said.
fn trusted(plan: &Plan, io: &mut Io<'_>) -> Result<Option<Anchors>> {
    let Some(root) = plan.root.as_ref().filter(|_| plan.validate) else {
        return Ok(Some(Anchors::new()));
    };
    let mut all = match &plan.anchors {
        Some(file) => {
            let Ok(text) = std::fs::read_to_string(file) else {
                writeln!(io.err, "delv: Unable to read key file '{file}'")?;
                return Ok(None);
            };
            match anchors::parse(&text) {
                Ok(all) => all,
                Err((line, why)) => {
                    writeln!(io.err, ";; {file}:{line}: {why}")?;
                    writeln!(io.err, "delv: Unable to load keys from '{file}'")?;
                    return Ok(None);
                }
            }
        }
        None => {
            let own = std::fs::read_to_string(KEYS).ok();
            let own = own.and_then(|text| anchors::parse(&text).ok());
            own.filter(|all| !all.is_empty())
                .unwrap_or_else(anchors::of_the_root)
        }
    };
    all.retain(|(zone, _)| *zone == netshoot_wire::dns::dnssec::lower(root));
    if all.is_empty() {
        writeln!(io.err, "delv: No trusted keys were loaded")?;
        return Ok(None);
    }
    Ok(Some(all))
}

/// Whom to ask; none where there is nobody, which has been said.
fn servers(plan: &Plan, io: &mut Io<'_>) -> Result<Option<Vec<names::Server>>> {
    let Some(name) = &plan.server else {
        return Ok(Some(names::Conf::read().servers(plan.family, plan.port)));
    };
    if plan.wrong_family() {
        let (which, by) = match plan.family {
            Family::V4 => ("IPv6", "-4"),
            _ => ("IPv4", "-6"),
        };
        writeln!(io.err, "delv: Use of {which} disabled by {by}")?;
        return Ok(None);
    }
    match names::find_server(name, plan.family, plan.port) {
        Ok(found) => Ok(Some(found)),
        Err(_) => {
            writeln!(io.err, ";; getaddrinfo failed: Name or service not known")?;
            writeln!(io.err, ";; resolution failed: NXDOMAIN")?;
            Ok(None)
        }
    }
}
