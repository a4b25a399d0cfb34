//! `+trace`: from the root down; `+nssearch`: all servers of a zone.

use super::options::Lookup;
use super::{Run, asking, master, names, query, servers, show};
use crate::io::Io;
use crate::tools::names::{Answer, Ended, Server};
use anyhow::Result;
use netshoot_wire::dns::{Data, Record, rtype};

/// More referrals than any name has labels.
const MAX_STEPS: usize = 128;

/// Addresses of the name servers in these records.
fn servers_in(records: &[Record], run: &Run, port: u16) -> Vec<Server> {
    let mut all: Vec<Server> = Vec::new();
    for record in records {
        let Data::Ns(name) = &record.data else {
            continue;
        };
        all.extend(names::find_server(name, run.family, port).unwrap_or_default());
    }
    all
}

fn ask(
    l: &Lookup,
    name: &str,
    to: &[Server],
    run: &mut Run,
    io: &mut Io<'_>,
) -> Result<Option<Box<Answer>>> {
    let mut q = query(l, name, run);
    let mut how = asking(l, run);
    how.key = super::key::sign(run, &mut q)?;
    let ended = names::ask(io, &how, to, &q, name)?;
    Ok(match ended {
        Ended::Answered(answer) => Some(answer),
        Ended::Silent => {
            run.code = run.code.max(super::NO_REPLY);
            writeln!(io.out, ";; no servers could be reached")?;
            None
        }
        Ended::Untrusted => None,
        Ended::Unsent => {
            run.code = run.code.max(super::NO_REPLY);
            None
        }
    })
}

fn step(l: &Lookup, a: &Answer, authorities: &[Record], run: &Run, io: &mut Io<'_>) -> Result<()> {
    let m = &a.message;
    if run.short {
        return match l.answer {
            true => show::short(l, a, run, true, io),
            false => Ok(()),
        };
    }
    if l.comments {
        show::whole(l, a, io)?;
    } else {
        let shown = [(l.answer, m.answers.as_slice()), (l.authority, authorities)];
        for r in shown.into_iter().filter(|s| s.0).flat_map(|s| s.1) {
            writeln!(io.out, "{}", master::record(r, &show::look(l)))?;
        }
    }
    if l.stats {
        return show::stats(l, a, run, io);
    }
    let (bytes, at) = (a.reply.bytes.len(), names::hash_port(a.server.at));
    let (shown, ms) = (&a.server.shown, a.reply.took.as_millis());
    writeln!(
        io.out,
        ";; Received {bytes} bytes from {at}({shown}) in {ms} ms\n"
    )?;
    Ok(())
}

/// Follows the delegations.
pub fn run(l: &Lookup, run: &mut Run, io: &mut Io<'_>) -> Result<()> {
    if !run.short {
        run.greet(io)?;
    }
    let port = l.port.unwrap_or(53);
    let root = Lookup {
        kind: rtype::NS,
        ..l.clone()
    };
    let Some(first) = ask(&root, ".", &servers(l, run), run, io)? else {
        return Ok(());
    };
    step(l, &first, &[], run, io)?;
    let mut next = servers_in(&first.message.answers, run, port);
    let below = Lookup {
        recurse: false,
        ..l.clone()
    };
    for _ in 0..MAX_STEPS {
        if next.is_empty() {
            return Ok(());
        }
        let Some(a) = ask(&below, &l.name, &next, run, io)? else {
            return Ok(());
        };
        let m = &a.message;
        step(l, &a, &m.authorities, run, io)?;
        if !m.answers.is_empty() || m.rcode != 0 || m.authoritative {
            return Ok(());
        }
        next = servers_in(&m.authorities, run, port);
    }
    Ok(())
}

/// What each server of the zone says of its version.
pub fn servers_of_zone(l: &Lookup, run: &mut Run, io: &mut Io<'_>) -> Result<()> {
    let port = l.port.unwrap_or(53);
    let first = Lookup {
        kind: rtype::NS,
        ..l.clone()
    };
    let Some(found) = ask(&first, &l.name, &servers(l, run), run, io)? else {
        return Ok(());
    };
    let each = Lookup {
        kind: rtype::SOA,
        recurse: false,
        cookie: None,
        ..l.clone()
    };
    for server in servers_in(&found.message.answers, run, port) {
        let Some(a) = ask(&each, &l.name, &[server], run, io)? else {
            continue;
        };
        for r in &a.message.answers {
            let (data, ip) = (master::data(r, &show::look(l)), a.server.at.ip());
            let ms = a.reply.took.as_millis();
            writeln!(io.out, "SOA {data} from server {ip} in {ms} ms.")?;
        }
    }
    Ok(())
}
