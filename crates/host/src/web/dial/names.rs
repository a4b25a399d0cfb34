//! Names to addresses: what the command line says first, then the resolver.

use super::Under;
use crate::web::failure::{Failure, code};
use crate::web::session::Session;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::{PoisonError, mpsc};

/// What `--resolve` gives comes into the session's names.
pub fn tell_names(session: &mut Session, under: &mut Under<'_>) -> Result<(), Failure> {
    for entry in under.order.resolve.clone() {
        let mut names = session.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.told.contains(&entry) {
            continue;
        }
        names.told.push(entry.clone());
        let bare = entry.strip_prefix('+').unwrap_or(&entry);
        if let Some(gone) = bare.strip_prefix('-') {
            if let Some((host, port)) = gone.rsplit_once(':')
                && let Ok(port) = port.parse()
            {
                names.known.remove(&(host.to_ascii_lowercase(), port));
            }
            continue;
        }
        let bad = |under: &mut Under<'_>| {
            let said = format!("Couldn't parse CURLOPT_RESOLVE entry '{entry}'");
            under.fail(code::OPTION, said)
        };
        let host_port = match bare.strip_prefix('[') {
            Some(inside) => inside.split_once("]:"),
            None => bare.split_once(':'),
        };
        let Some((host, rest)) = host_port else {
            return Err(bad(under));
        };
        let Some((port, list)) = rest.split_once(':') else {
            return Err(bad(under));
        };
        let Ok(port) = port.parse::<u16>() else {
            return Err(bad(under));
        };
        let mut found = Vec::new();
        for one in list.split(',').filter(|o| !o.is_empty()) {
            let one = one.trim_start_matches('[').trim_end_matches(']');
            match one.parse::<IpAddr>() {
                Ok(ip) => found.push(ip),
                Err(_) => {
                    under.say(&format!("Resolve address '{one}' found illegal"));
                    return Err(bad(under));
                }
            }
        }
        let old = names.known.insert((host.to_ascii_lowercase(), port), found);
        if old.is_some() {
            under.say(&format!(
                "RESOLVE {host}:{port} is - old addresses discarded"
            ));
        }
        under.say(&format!("Added {host}:{port}:{list} to DNS cache"));
        if host == "*" {
            under.say(&format!("RESOLVE *:{port} using wildcard"));
        }
    }
    Ok(())
}

/// The number of the interface that a zone names (RFC 6874): its own, or that of the name; 0 for none. An address of a
/// link alone means nothing without it.
pub fn zone(under: &mut Under<'_>, zone: Option<&str>) -> u32 {
    let Some(zone) = zone else { return 0 };
    match zone.parse().ok().or_else(|| crate::link::index(zone).ok()) {
        Some(number) => number,
        None => {
            under.say(&format!("Invalid zoneid: {zone}; No such device"));
            0
        }
    }
}

/// An address and a port, within a zone.
pub fn within(ip: IpAddr, port: u16, zone: u32) -> SocketAddr {
    match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, port),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, zone).into(),
    }
}

fn of_family(ips: Vec<IpAddr>, family: u8) -> Vec<IpAddr> {
    ips.into_iter()
        .filter(|ip| match family {
            4 => ip.is_ipv4(),
            6 => ip.is_ipv6(),
            _ => true,
        })
        .collect()
}

/// The addresses of a host.
pub fn resolve(
    session: &mut Session,
    under: &mut Under<'_>,
    host: &str,
    port: u16,
    what: i32,
) -> Result<Vec<IpAddr>, Failure> {
    let family = under.order.family;
    let key = (host.to_ascii_lowercase(), port);
    let names = session.names.clone();
    let names = || names.lock().unwrap_or_else(PoisonError::into_inner);
    let known = {
        let names = names();
        let found = names.known.get(&key);
        found
            .or_else(|| names.known.get(&("*".into(), port)))
            .cloned()
    };
    if let Some(known) = known {
        under.say(&format!("Hostname {host} was found in DNS cache"));
        return Ok(of_family(known, family));
    }
    let none = |under: &mut Under<'_>| {
        let kind = if what == code::PROXY_NAME {
            "proxy"
        } else {
            "host"
        };
        under.fail(what, format!("Could not resolve {kind}: {host}"))
    };
    let bare = host.split('%').next().unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        let fits = of_family(vec![ip], family);
        return match fits.is_empty() {
            true => Err(Failure::new(
                what,
                format!("Could not resolve host: {host}"),
            )),
            false => {
                names().known.insert(key, fits.clone());
                Ok(fits)
            }
        };
    }
    let lower = host.to_ascii_lowercase();
    if lower == "localhost" || lower == "localhost." || lower.ends_with(".localhost") {
        let both: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        names().known.insert(key, both.clone());
        return Ok(of_family(both, family));
    }
    let hints = crate::names::Hints {
        family: match family {
            4 => libc::AF_INET,
            6 => libc::AF_INET6,
            _ => 0,
        },
        kind: libc::SOCK_STREAM,
        flags: 0,
    };
    // The C library knows no deadline: another thread asks.
    let (sender, answer) = mpsc::channel();
    let name = host.to_string();
    std::thread::spawn(move || {
        let _ = sender.send(crate::names::resolve(Some(&name), None, hints));
    });
    match answer.recv_timeout(under.left()) {
        Ok(Ok(found)) if !found.addresses.is_empty() => {
            let mut ips: Vec<IpAddr> = Vec::new();
            for ip in found.addresses.iter().map(SocketAddr::ip) {
                if !ips.contains(&ip) {
                    ips.push(ip);
                }
            }
            names().known.insert(key, ips.clone());
            Ok(ips)
        }
        Ok(_) => Err(none(under)),
        Err(_) => {
            let said = format!("Resolving timed out after {} milliseconds", under.ms());
            Err(under.fail(code::TIMEOUT, said))
        }
    }
}
