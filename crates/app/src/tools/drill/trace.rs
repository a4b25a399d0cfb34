//! `-T`: from the root down.

use super::{Said, Wish, ask, line, query, stop};
use crate::io::Io;
use crate::tools::names::{self, Server};
use netshoot_wire::dns::{Data, rtype};
use std::net::{IpAddr, SocketAddr};

/// Addresses of the root's servers in a file of hints.
fn hints(file: &str, port: u16) -> std::io::Result<Vec<Server>> {
    let text = std::fs::read_to_string(file)?;
    let words = text
        .lines()
        .filter(|l| !l.starts_with(';'))
        .filter_map(|l| {
            let mut all = l.split_whitespace().rev();
            let (address, kind) = (all.next()?, all.next()?);
            let known = kind.eq_ignore_ascii_case("A") || kind.eq_ignore_ascii_case("AAAA");
            known.then(|| address.parse::<IpAddr>().ok()).flatten()
        });
    let server = |ip: IpAddr| Server {
        at: SocketAddr::new(ip, port),
        shown: ip.to_string(),
    };
    Ok(words.map(server).collect())
}

/// The root's servers, of the file of `-r`.
pub fn root(w: &Wish, io: &mut Io<'_>) -> Said<Vec<Server>> {
    let Some(file) = &w.hints else {
        writeln!(io.err, "Warning: No root server information received")?;
        return stop(io, "Error: cannot use local resolver");
    };
    match hints(file, w.port) {
        Ok(found) => Ok(Ok(found)),
        Err(e) => {
            let why = e.to_string();
            let why = why.split(" (os error").next().unwrap_or_default();
            writeln!(io.err, "Unable to open {file} for reading: {why}")?;
            stop(
                io,
                &format!("Unable to read root hints file {file}, aborting"),
            )
        }
    }
}

/// Asks on.
pub fn run(w: &Wish, io: &mut Io<'_>) -> Said<()> {
    let mut next = match root(w, io)? {
        Ok(servers) => servers,
        Err(e) => return Ok(Err(e)),
    };
    let kind = w.kind.unwrap_or(rtype::A);
    let below = |name: &str, kind| {
        let mut q = query(w, name, kind);
        q.recursion_desired = false;
        q
    };
    let (mut q, mut first) = (below(".", rtype::NS), true);
    for _ in 0..128 {
        let found = ask(w, &next, &q, w.tcp);
        let (_, m, _) = match found {
            Ok(found) => found,
            Err(why) => return stop(io, &format!("Error: error sending query: {why}")),
        };
        for r in m.answers.iter().chain(&m.authorities) {
            if first || !m.answers.is_empty() || matches!(r.data, Data::Ns(_) | Data::Soa(_)) {
                writeln!(io.out, "{}", line(r))?;
            }
        }
        if !first && (m.authoritative || !m.answers.is_empty()) {
            return Ok(Ok(()));
        }
        let records = if first { &m.answers } else { &m.authorities };
        let glue = m.additional.iter().filter_map(|r| r.data.address());
        let server = |ip: IpAddr| Server {
            at: SocketAddr::new(ip, w.port),
            shown: ip.to_string(),
        };
        let mut further: Vec<Server> = glue.map(server).collect();
        if further.is_empty() {
            for r in records {
                if let Data::Ns(name) = &r.data {
                    further.extend(names::find_server(name, w.family, w.port).unwrap_or_default());
                }
            }
        }
        if further.is_empty() {
            return Ok(Ok(()));
        }
        (next, q, first) = (further, below(&w.name, kind), false);
    }
    Ok(Ok(()))
}
