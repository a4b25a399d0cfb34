//! The command line of traceroute, which has a grammar of its own.

use netshoot_host::hops::{Manner, Method};
use netshoot_host::names::{self, Hints};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

/// Letter, long name, and the word for its value.
type Flag = (&'static str, &'static str, Option<&'static str>);

const FLAGS: &[Flag] = &[
    ("4", "", None),
    ("6", "", None),
    ("d", "debug", None),
    ("F", "dont-fragment", None),
    ("f", "first", Some("first_ttl")),
    ("g", "gateway", Some("gate,...")),
    ("I", "icmp", None),
    ("T", "tcp", None),
    ("i", "interface", Some("device")),
    ("m", "max-hops", Some("max_ttl")),
    ("N", "sim-queries", Some("squeries")),
    ("n", "", None),
    ("p", "port", Some("port")),
    ("t", "tos", Some("tos")),
    ("l", "flowlabel", Some("flow_label")),
    ("w", "wait", Some("MAX,HERE,NEAR")),
    ("q", "queries", Some("nqueries")),
    ("r", "", None),
    ("s", "source", Some("src_addr")),
    ("z", "sendwait", Some("sendwait")),
    ("e", "extensions", None),
    ("A", "as-path-lookups", None),
    ("M", "module", Some("name")),
    ("O", "options", Some("OPTS,...")),
    ("", "sport", Some("num")),
    ("", "fwmark", Some("num")),
    ("U", "udp", None),
    ("D", "dccp", None),
    ("P", "protocol", Some("prot")),
    ("", "mtu", None),
    ("", "back", None),
    ("V", "version", None),
    ("", "help", None),
    ("", "json", None),
    ("", "explain", None),
];

pub const HELP: &str = "\
Usage:
  traceroute [ -46dFITnrUV ] [ -f first_ttl ] [ -i device ] [ -m max_ttl ] [ -N squeries ] [ -p port ] [ -t tos ] [ -w MAX,HERE,NEAR ] [ -q nqueries ] [ -s src_addr ] [ -z sendwait ] host [ packetlen ]
Options:
  -4, -6                      IPv4 only, IPv6 only
  -F  --dont-fragment         No fragments
  -f  --first=first_ttl       Begin with this hop (1)
  -I  --icmp                  Echo requests instead of datagrams
  -T  --tcp                   Connections instead of datagrams (port 80)
  -U  --udp                   Datagrams to one port (53)
  -i  --interface=device      Through this interface
  -m  --max-hops=max_ttl      At most so many hops (30)
  -N  --sim-queries=squeries  So many probes at once (16)
  -n                          No names for addresses
  -p  --port=port             The port, for datagrams the first one (33434); the first number of echo requests
  -t  --tos=tos               Type of service, traffic class
  -w  --wait=MAX,HERE,NEAR    Patience: seconds, times an answer of the same hop, of a later hop (5.0, 3, 10)
  -q  --queries=nqueries      Probes for each hop (3)
  -r                          Only to networks of this machine
  -s  --source=src_addr       The own address
  -z  --sendwait=sendwait     Pause between probes: seconds, above 10 milliseconds (0)
      --sport=num             The own port; one probe at a time
      --fwmark=num            Mark the packets
      --mtu                   Say where the MTU shrinks; one probe at a time
  -M  --module=name           default, udp, icmp, tcp
  -V  --version, --help
      --json                  The hops as JSON
      --explain               What the result says in a cluster
";

/// What was asked for.
#[derive(Debug)]
pub struct Plan {
    pub host: String,
    pub to: SocketAddr,
    pub method: Method,
    pub manner: Manner,
    /// The port of datagrams rises with each probe.
    pub rising: bool,
    pub port: u16,
    pub first: u8,
    pub most: u8,
    pub at_once: usize,
    pub each: usize,
    pub names: bool,
    pub wait: Duration,
    pub here: f64,
    pub near: f64,
    pub pause: Duration,
    /// Bytes of the whole packet.
    pub length: usize,
    pub find_mtu: bool,
    pub json: bool,
    pub explain: bool,
}

pub enum Read {
    Plan(Box<Plan>),
    Help,
    Version,
}

/// What stands on the line, before it is put together.
#[derive(Default)]
struct Given {
    family: i32,
    host: Option<(String, SocketAddr)>,
    source: Option<SocketAddr>,
    length: Option<u64>,
    method: Option<Method>,
    fixed: bool,
    port: Option<u64>,
    own_port: Option<u64>,
    first: Option<u64>,
    most: Option<u64>,
    at_once: Option<u64>,
    each: Option<u64>,
    numeric: bool,
    wait: Option<Vec<f64>>,
    pause: f64,
    find_mtu: bool,
    json: bool,
    explain: bool,
    manner: Manner,
}

pub fn read(args: &[OsString]) -> Result<Read, String> {
    let mut given = Given::default();
    let words: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let mut words: VecDeque<(usize, String)> = (1..).zip(words).collect();
    if words.is_empty() {
        return Ok(Read::Help);
    }
    let (mut positions, mut only) = (0, false);
    while let Some((at, word)) = words.pop_front() {
        if !only && word == "--" {
            only = true;
        } else if let (Some(name), false) = (word.strip_prefix("--"), only) {
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (name, None),
            };
            let found = FLAGS.iter().find(|f| f.1 == name && !name.is_empty());
            let flag = found.ok_or_else(|| format!("Bad option `--{name}' (argc {at})"))?;
            match flag.2 {
                Some(what) if value.is_none() => {
                    return Err(format!(
                        "Option `--{name}' (argc {at}) requires an argument: `--{name}={what}'"
                    ));
                }
                _ => {}
            }
            if let Some(read) = given.take(flag, &format!("--{name}"), value.as_deref(), at)? {
                return Ok(read);
            }
        } else if let (Some(letters), false) =
            (word.strip_prefix('-').filter(|l| !l.is_empty()), only)
        {
            if let Some(read) = given.letters(letters, at, &mut words)? {
                return Ok(read);
            }
        } else {
            positions += 1;
            given.operand(positions, &word, at)?;
        }
    }
    given.settle().map(|plan| Read::Plan(Box::new(plan)))
}

impl Given {
    fn letters(
        &mut self,
        letters: &str,
        at: usize,
        words: &mut VecDeque<(usize, String)>,
    ) -> Result<Option<Read>, String> {
        for (i, letter) in letters.char_indices() {
            let letter = letter.to_string();
            let found = FLAGS.iter().find(|f| f.0 == letter);
            let flag = found.ok_or_else(|| format!("Bad option `-{letter}' (argc {at})"))?;
            let Some(what) = flag.2 else {
                if let Some(read) = self.take(flag, &format!("-{letter}"), None, at)? {
                    return Ok(Some(read));
                }
                continue;
            };
            let rest = &letters[i + letter.len()..];
            // Only a flag that stands first in its word has its value there.
            let (at, value) = match (i, rest.is_empty()) {
                (0, false) => (at, rest.to_string()),
                (_, true) if !words.is_empty() => words.pop_front().unwrap_or_default(),
                _ => {
                    return Err(format!(
                        "Option `-{letter}' (argc {at}) requires an argument: `-{letter} {what}'"
                    ));
                }
            };
            return self.take(flag, &format!("-{letter}"), Some(&value), at);
        }
        Ok(None)
    }

    fn operand(&mut self, position: usize, word: &str, at: usize) -> Result<(), String> {
        match position {
            1 => match self.address(word) {
                Ok(address) => self.host = Some((word.into(), address)),
                Err(why) => {
                    return Err(format!(
                        "{word}: {why}\nCannot handle \"host\" cmdline arg `{word}' on position 1 (argc {at})"
                    ));
                }
            },
            2 => {
                let length = word.parse().map_err(|_| {
                    format!(
                        "Cannot handle \"packetlen\" cmdline arg `{word}' on position 2 (argc {at})"
                    )
                })?;
                self.length = Some(length);
            }
            _ => {
                return Err(format!(
                    "Extra arg `{word}' (position {position}, argc {at})"
                ));
            }
        }
        Ok(())
    }

    /// An address of the host, of IPv4 where it has both.
    fn address(&self, host: &str) -> Result<SocketAddr, String> {
        let hints = Hints {
            family: self.family,
            // The tests of this file ask nobody.
            flags: if cfg!(test) { libc::AI_NUMERICHOST } else { 0 },
            ..Hints::default()
        };
        let found = names::resolve(Some(host), None, hints)?.addresses;
        let first = found.iter().find(|a| a.is_ipv4()).or(found.first());
        first
            .copied()
            .ok_or_else(|| "No address associated with hostname".into())
    }

    fn take(
        &mut self,
        flag: &Flag,
        spelt: &str,
        value: Option<&str>,
        at: usize,
    ) -> Result<Option<Read>, String> {
        let Some(value) = value else {
            return self.switch(if flag.0.is_empty() { flag.1 } else { flag.0 });
        };
        let bad = || format!("Cannot handle `{spelt}' option with arg `{value}' (argc {at})");
        let number = || value.parse::<u64>().map_err(|_| bad());
        match if flag.0.is_empty() { flag.1 } else { flag.0 } {
            "f" => self.first = Some(number()?),
            "m" => self.most = Some(number()?),
            "N" => self.at_once = Some(number()?),
            "q" => self.each = Some(number()?),
            "p" => self.port = Some(number()?),
            "t" => self.manner.tos = Some(u8::try_from(number()?).map_err(|_| bad())?),
            "sport" => self.own_port = Some(number()?),
            "fwmark" => self.manner.mark = Some(u32::try_from(number()?).map_err(|_| bad())?),
            "i" => self.manner.interface = Some(value.into()),
            "s" => {
                let address = self.address(value);
                self.source = Some(address.map_err(|why| format!("{value}: {why}\n{}", bad()))?);
            }
            "w" => {
                let parts = value.split([',', '/']).map(str::parse::<f64>);
                let parts: Vec<f64> = parts.collect::<Result<_, _>>().map_err(|_| bad())?;
                self.wait = Some(parts);
            }
            "z" => self.pause = value.parse().map_err(|_| bad())?,
            "M" => match value {
                "default" => (self.method, self.fixed) = (Some(Method::Udp), false),
                "udp" => (self.method, self.fixed) = (Some(Method::Udp), true),
                "icmp" => self.method = Some(Method::Icmp),
                "tcp" | "tcpconn" => self.method = Some(Method::Tcp),
                _ => return Err(format!("Unknown traceroute module {value}")),
            },
            "g" => return refused(spelt, "routers drop source routes"),
            "l" => return refused(spelt, "the kernel chooses flow labels"),
            "P" | "O" => {
                return refused(
                    spelt,
                    "packets are UDP, ICMP or TCP as the kernel makes them",
                );
            }
            _ => return Err(bad()),
        }
        Ok(None)
    }

    fn switch(&mut self, name: &str) -> Result<Option<Read>, String> {
        match name {
            "4" => self.family = libc::AF_INET,
            "6" => self.family = libc::AF_INET6,
            "F" => self.manner.whole = true,
            "I" => self.method = Some(Method::Icmp),
            "T" => self.method = Some(Method::Tcp),
            "U" => (self.method, self.fixed) = (Some(Method::Udp), true),
            "n" => self.numeric = true,
            "r" => self.manner.no_routing = true,
            "mtu" => self.find_mtu = true,
            "json" => self.json = true,
            "explain" => self.explain = true,
            "V" => return Ok(Some(Read::Version)),
            "help" => return Ok(Some(Read::Help)),
            "A" => {
                let why = "it asks a routing registry in the internet, which a pod rarely reaches and no private address is in";
                return refused("-A", why);
            }
            "e" => return refused("-e", "the kernel does not hand extensions on"),
            "back" => return refused("--back", "how far it is back can only be guessed"),
            "D" => return refused("-D", "kernels no longer speak DCCP"),
            // -d: nothing of it is seen.
            _ => {}
        }
        Ok(None)
    }

    fn settle(self) -> Result<Plan, String> {
        let Some((host, mut to)) = self.host else {
            return Err("Specify \"host\" missing argument.".into());
        };
        let (first, most) = (self.first.unwrap_or(1), self.most.unwrap_or(30));
        if first == 0 || first > most {
            return Err("first hop out of range".into());
        }
        if most > 255 {
            return Err("max hops cannot be more than 255".into());
        }
        let each = self.each.unwrap_or(3);
        if each == 0 || each > 10 {
            return Err("no more than 10 probes per hop".into());
        }
        let wait = self.wait.unwrap_or_else(|| vec![5.0, 3.0, 10.0]);
        let part = |i: usize| wait.get(i).copied().unwrap_or(0.0);
        let good = |i: usize| part(i).is_finite() && part(i) >= 0.0 && part(i) < 1e6;
        if !good(0) || !good(1) || !good(2) {
            let (a, b, c) = (part(0), part(1), part(2));
            return Err(format!("bad wait specifications `{a},{b},{c}' used"));
        }
        if !self.pause.is_finite() || self.pause < 0.0 || self.pause > 1e6 {
            return Err(format!("bad sendtime `{}' specified", self.pause));
        }
        let length = self.length.unwrap_or(if to.is_ipv6() { 80 } else { 60 });
        if length > 65000 {
            return Err(format!("too big packetlen {length} specified"));
        }
        let mut manner = self.manner;
        if self.source.is_some_and(|s| s.is_ipv4() != to.is_ipv4()) {
            return Err("IP version mismatch in addresses specified".into());
        }
        manner.source = self.source;
        let alone = self.own_port.is_some() || self.find_mtu;
        if let Some(port) = self.own_port {
            let nobody: SocketAddr = match to.is_ipv6() {
                true => SocketAddr::from(([0u16; 8], 0)),
                false => SocketAddr::from(([0u8; 4], 0)),
            };
            let source = manner.source.get_or_insert(nobody);
            source.set_port(port as u16);
        }
        manner.whole |= self.find_mtu;
        let method = self.method.unwrap_or(Method::Udp);
        let rising = method == Method::Udp && !self.fixed;
        let port = self.port.unwrap_or(match method {
            Method::Udp if rising => 33434,
            Method::Udp => 53,
            Method::Tcp => 80,
            Method::Icmp => 1,
        });
        to.set_port(0);
        let head = if to.is_ipv6() { 48 } else { 28 };
        let seconds = if self.pause > 10.0 {
            self.pause / 1000.0
        } else {
            self.pause
        };
        Ok(Plan {
            host,
            to,
            method,
            manner,
            rising,
            port: port as u16,
            first: first as u8,
            most: most as u8,
            at_once: match (alone, self.at_once) {
                (true, _) => 1,
                (false, n) => usize::try_from(n.unwrap_or(16))
                    .unwrap_or(16)
                    .clamp(1, 1000),
            },
            each: each as usize,
            names: !self.numeric,
            wait: Duration::from_secs_f64(part(0)),
            here: part(1),
            near: part(2),
            pause: Duration::from_secs_f64(seconds),
            length: match self.find_mtu {
                true => 65000,
                false => (length as usize).max(head),
            },
            find_mtu: self.find_mtu,
            json: self.json,
            explain: self.explain,
        })
    }
}

fn refused<T>(spelt: &str, why: &str) -> Result<T, String> {
    Err(format!("traceroute: {spelt} is not taken: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_command_lines_are_plans_or_sentences() {
        let seeds = [
            "-n -q 2 -m 9 -f 2 -w 1,2,3 -z 20 -N 4 -p 33434 -t 16 -s 10.0.0.1 10.0.0.2 60",
            "-T --port=443 --max-hops=4 --sport=5000 --mtu -i eth0 --json ::1",
        ];
        netshoot_wire::fuzz::texts(&seeds, 3_000, |text| {
            let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
            match read(&words) {
                Ok(Read::Plan(plan)) => {
                    let hops = plan.first >= 1 && plan.first <= plan.most;
                    let sane = (1..=10).contains(&plan.each) && plan.length <= 65000;
                    assert!(hops && sane && plan.at_once >= 1, "{text:?}");
                }
                Ok(Read::Help | Read::Version) => {}
                Err(said) => assert!(!said.is_empty(), "{text:?}"),
            }
        });
    }
}
