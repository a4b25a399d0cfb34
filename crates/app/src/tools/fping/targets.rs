//! Who is asked: names, addresses, lines of a file, all addresses of a network.

use super::Refused;
use super::plan::{Plan, usage};
use netshoot_host::names::{self, Hints};
use netshoot_host::sockets;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Most addresses of a network: more would be asked for hours.
const MOST: u32 = 1 << 20;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What it is called in lines.
    pub name: String,
    /// Its address.
    pub to: SocketAddr,
}

/// What was found.
#[derive(Default)]
pub struct Found {
    pub targets: Vec<Target>,
    /// A sentence for each name that has no address.
    pub unknown: Vec<String>,
}

/// All that were asked for.
pub fn of(plan: &Plan) -> Result<Found, Refused> {
    let mut found = Found::default();
    if plan.generate {
        for address in generated(plan)? {
            found.add(&address.to_string(), plan);
        }
        return Ok(found);
    }
    let from: Option<Box<dyn Read>> = match (plan.file.as_deref(), plan.targets.is_empty()) {
        (None, false) => None,
        (None | Some("-"), _) => Some(Box::new(std::io::stdin())),
        (Some(name), _) => {
            let opened = std::fs::File::open(name);
            let failed = |e| Refused::new(4, format!("fping: fopen : {}", sockets::strerror(&e)));
            Some(Box::new(opened.map_err(failed)?))
        }
    };
    match from {
        None => plan.targets.iter().for_each(|name| found.add(name, plan)),
        Some(from) => {
            for line in BufReader::new(from).lines() {
                let line = line.map_err(|e| {
                    Refused::new(4, format!("fping: read : {}", sockets::strerror(&e)))
                })?;
                if let Some(name) = parse_line(&line) {
                    found.add(name, plan);
                }
            }
        }
    }
    Ok(found)
}

/// Its first word; none where there is none, or a remark begins.
fn parse_line(line: &str) -> Option<&str> {
    line.split_whitespace()
        .next()
        .filter(|w| !w.starts_with('#'))
}

impl Found {
    fn add(&mut self, given: &str, plan: &Plan) {
        let hints = Hints {
            family: plan.family,
            kind: libc::SOCK_RAW,
            flags: 0,
        };
        let addresses = match names::resolve(Some(given), None, hints) {
            Ok(found) => found.addresses,
            Err(why) => {
                self.unknown
                    .push(format!("{}: {why}", crate::report::safe(given)));
                return;
            }
        };
        let wanted = if plan.all_addresses {
            addresses.len()
        } else {
            1
        };
        for to in addresses.into_iter().take(wanted) {
            let name = called(given, to, plan);
            self.targets.push(Target { name, to });
        }
    }
}

/// What a target is called: as given, by its address, by the name of its address, or by both.
fn called(given: &str, to: SocketAddr, plan: &Plan) -> String {
    let figures = || names::figures(to);
    let numeric = given.parse::<IpAddr>().is_ok();
    let name = match plan.reverse || (plan.by_name && numeric) {
        true => Some(names::name_of(to).unwrap_or_else(figures)),
        false if plan.by_name => Some(given.to_string()),
        false => None,
    };
    let name = match (name, plan.by_address) {
        (Some(name), true) => format!("{name} ({})", figures()),
        (Some(name), false) => name,
        (None, true) => figures(),
        (None, false) => given.to_string(),
    };
    crate::report::safe(&name)
}

/// The addresses between two, or of a network without its own and the broadcast address.
fn generated(plan: &Plan) -> Result<impl Iterator<Item = Ipv4Addr> + use<>, Refused> {
    let said = |text: String| Refused::new(1, format!("fping: {text}"));
    let address = |text: &str| -> Result<u32, Refused> {
        let hints = Hints {
            family: 0,
            kind: libc::SOCK_RAW,
            flags: libc::AI_NUMERICHOST,
        };
        let found = names::resolve(Some(text), None, hints);
        let found = found.map_err(|why| said(format!("can't parse address {text}: {why}")))?;
        match found.addresses.first().map(SocketAddr::ip) {
            Some(IpAddr::V4(a)) => Ok(u32::from(a)),
            _ => Err(said("-g works only with IPv4 addresses".into())),
        }
    };
    let (first, last) = match plan.targets.as_slice() {
        [first, last] => (address(first)?, address(last)?),
        [net] => {
            let Some((net, bits)) = net.split_once('/') else {
                return Err(usage());
            };
            let own = address(net)?;
            let digits: String = bits.chars().take_while(char::is_ascii_digit).collect();
            let length = digits.parse::<u32>().ok().filter(|l| (1..=32).contains(l));
            let length = length
                .ok_or_else(|| said(format!("netmask must be between 1 and 32 (is: {bits})")))?;
            let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
            let (first, last) = (own & !hosts, own | hosts);
            match length < 31 {
                true => (first + 1, last - 1),
                false => (first, last),
            }
        }
        _ => return Err(usage()),
    };
    if last.checked_sub(first).is_some_and(|n| n >= MOST) {
        let count = u64::from(last - first) + 1;
        return Err(said(format!(
            "{count} addresses are more than this fping asks ({MOST})"
        )));
    }
    Ok((first..=last).map(Ipv4Addr::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fping::plan::Read;
    use std::ffi::OsString;

    fn addresses(line: &str) -> Result<Vec<String>, String> {
        let args: Vec<OsString> = format!("-g {line}")
            .split(' ')
            .map(OsString::from)
            .collect();
        let Ok(Read::Plan(plan)) = super::super::plan::read(&args) else {
            return Err("no plan".into());
        };
        let all = generated(&plan).map_err(|r| r.said)?;
        Ok(all.map(|a| a.to_string()).collect())
    }

    #[test]
    fn a_network_is_its_hosts() {
        assert_eq!(addresses("10.0.0.1/30").unwrap(), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(addresses("10.0.0.2/31").unwrap(), ["10.0.0.2", "10.0.0.3"]);
        assert_eq!(addresses("10.0.0.9/32").unwrap(), ["10.0.0.9"]);
        assert_eq!(addresses("10.0.0.254 10.0.1.1").unwrap().len(), 4);
        assert!(addresses("10.0.0.2 10.0.0.1").unwrap().is_empty());
        assert!(addresses("10.0.0.0/33").unwrap_err().contains("(is: 33)"));
        assert!(
            addresses("0.0.0.0/1")
                .unwrap_err()
                .contains("2147483646 addresses")
        );
        assert!(addresses("::1/128").unwrap_err().contains("only with IPv4"));
        assert!(addresses("10.0.0.0/0").is_err() && addresses("x y").is_err());
        assert_eq!(parse_line("  far x"), Some("far"));
        assert_eq!(parse_line("# far"), None);
        netshoot_wire::fuzz::texts(&["  far x # y"], 1_000, |text| {
            let _ = parse_line(text);
        });
    }
}
