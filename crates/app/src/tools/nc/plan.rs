//! The command line of nc.

use super::Stop;
use crate::io::Io;
use crate::tools::getopt::{self, Long, Order, Takes, Word};
use netshoot_host::names::{self, Hints};
use netshoot_host::streams::Manner;
use std::ffi::OsString;
use std::time::Duration;

const LETTERS: &str = "46bCDdFhI:i:klM:m:NnO:P:p:q:rSs:T:tUuV:vW:w:X:x:Zz";
const LONG: &[Long] = &[
    ("json", Takes::Nothing, '\u{1}'),
    ("explain", Takes::Nothing, '\u{2}'),
];

const USAGE: &str = "\
usage: nc [-46bCDdhklNnrtUuvz] [-I length] [-i interval] [-M ttl]
\t  [-m minttl] [-O length] [-p source_port] [-q seconds]
\t  [-s sourceaddr] [-T keyword] [-W recvlimit] [-w timeout]
\t  [-X proxy_protocol] [-x proxy_address[:port]] [--json] [--explain]
\t  [destination] [port]
";

const SUMMARY: &str = "\
\tCommand Summary:
\t\t-4, -6\t\tIPv4 only, IPv6 only
\t\t-b\t\tA broadcast address is allowed
\t\t-C\t\tLines end with CR and LF
\t\t-d\t\tRead nothing from the input
\t\t-I, -O length\tBuffers for receiving and sending
\t\t-i interval\tPause between lines and ports
\t\t-k\t\tListen on after a connection
\t\t-l\t\tListen
\t\t-M, -m ttl\tTime to live, least time to live of what comes
\t\t-N\t\tEnd sending when the input ends
\t\t-n\t\tNo names
\t\t-p port\t\tThe own port
\t\t-q secs\t\tEnd so long after the input
\t\t-r\t\tPorts in any order
\t\t-s address\tThe own address
\t\t-T keyword\tType of service
\t\t-t\t\tAnswer telnet's questions with no
\t\t-U\t\tUNIX sockets
\t\t-u\t\tUDP
\t\t-v\t\tSay what happens
\t\t-W count\tEnd after so many packets
\t\t-w timeout\tPatience for connecting and for silence
\t\t-X proto\tProxy protocol: \"4\", \"5\" (SOCKS) or \"connect\"
\t\t-x addr[:port]\tThe proxy
\t\t-z\t\tOnly see whether somebody listens
\t\t--json\t\tWith -z: the result as JSON
\t\t--explain\tWith -z: what the result says in a cluster
\tPort numbers can be individual or ranges: lo-hi [inclusive]
";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    #[default]
    Socks5,
    Socks4,
    Connect,
}

/// What was asked for.
#[derive(Debug, Default)]
pub struct Plan {
    pub family: i32,
    pub manner: Manner,
    pub crlf: bool,
    pub no_input: bool,
    pub pause: Option<Duration>,
    pub keep: bool,
    pub listen: bool,
    pub end_with_input: bool,
    pub quit: Option<Duration>,
    pub numeric: bool,
    pub own_port: Option<String>,
    pub own: Option<String>,
    pub any_order: bool,
    pub telnet: bool,
    pub unix: bool,
    pub verbose: bool,
    pub limit: Option<u64>,
    pub timeout: Option<Duration>,
    pub proxy: Option<(String, String)>,
    pub proxy_kind: Proxy,
    pub scan: bool,
    pub json: bool,
    pub explain: bool,
    pub host: Option<String>,
    /// Listening: one, as it was given. Else numbers.
    pub port: Option<String>,
    pub ports: Vec<u16>,
}

pub enum Read {
    Plan(Box<Plan>),
    Ended(i32),
}

fn said<T>(text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Said(text.into()))
}

pub fn read(args: &[OsString], io: &mut Io<'_>) -> Result<Read, Stop> {
    let mut plan = Plan::default();
    let mut operands = Vec::new();
    let mut proxy = None;
    for word in getopt::read(args, LETTERS, LONG, Order::Anywhere) {
        match word {
            Err(mistake) => {
                // The original knows no long words: a second dash is a letter to it.
                let text = mistake.to_string();
                let long = text.starts_with("unrecognized");
                let text = if long { "invalid option -- '-'" } else { &text };
                write!(io.err, "nc: {text}\n{USAGE}")?;
                return Ok(Read::Ended(1));
            }
            Ok(Word::Operand(o)) => operands.push(o.to_string_lossy().into_owned()),
            Ok(Word::Option('h', _)) => {
                let own = crate::version::SHORT;
                write!(io.err, "nc of netshoot {own}\n{USAGE}{SUMMARY}")?;
                return Ok(Read::Ended(0));
            }
            Ok(Word::Option(letter, None)) => plan.switch(letter)?,
            Ok(Word::Option('x', Some(v))) => proxy = Some(v.to_string_lossy().into_owned()),
            Ok(Word::Option(letter, Some(v))) => plan.take(letter, &v.to_string_lossy())?,
        }
    }
    if !plan.operands(operands) {
        write!(io.err, "{USAGE}")?;
        return Ok(Read::Ended(1));
    }
    plan.settle(proxy)?;
    Ok(Read::Plan(Box::new(plan)))
}

impl Plan {
    fn switch(&mut self, letter: char) -> Result<(), Stop> {
        match letter {
            '4' => self.family = libc::AF_INET,
            '6' => self.family = libc::AF_INET6,
            'b' => self.manner.broadcast = true,
            'C' => self.crlf = true,
            'd' => self.no_input = true,
            'k' => self.keep = true,
            'l' => self.listen = true,
            'N' => self.end_with_input = true,
            'n' => self.numeric = true,
            'r' => self.any_order = true,
            't' => self.telnet = true,
            'U' => self.unix = true,
            'u' => self.manner.datagram = true,
            'v' => self.verbose = true,
            'z' => self.scan = true,
            '\u{1}' => self.json = true,
            '\u{2}' => self.explain = true,
            'F' | 'S' | 'Z' => {
                let why = match letter {
                    'F' => "hands a connection to another program, which is ssh's business",
                    'S' => "signs segments with MD5, which needs a key that nc cannot take",
                    _ => "speaks DCCP, which kernels no longer have",
                };
                return said(format!("-{letter} is not taken: it {why}"));
            }
            // -D: nothing of it is seen.
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, letter: char, value: &str) -> Result<(), Stop> {
        match letter {
            'I' => self.manner.receive_buffer = Some(buffer(value, "receive")?),
            'O' => self.manner.send_buffer = Some(buffer(value, "send")?),
            'i' => {
                let seconds = number(value, 0, i64::from(u32::MAX));
                let seconds = seconds.or_else(|e| said(format!("interval {e}: {value}")))?;
                self.pause = Some(Duration::from_secs(seconds));
            }
            'M' => self.manner.ttl = Some(ttl(value, "ttl")?),
            'm' => self.manner.least_ttl = Some(ttl(value, "minttl")?),
            'p' => self.own_port = Some(value.into()),
            'q' => {
                let text = value
                    .strip_prefix('-')
                    .filter(|t| number(t, 0, i64::MAX).is_ok());
                if text.is_none() {
                    let seconds = number(value, 0, i64::from(i32::MAX));
                    let seconds = seconds.or_else(|e| said(format!("quit timer {e}: {value}")))?;
                    self.quit = Some(Duration::from_secs(seconds));
                    self.end_with_input = true;
                }
            }
            's' => self.own = Some(value.into()),
            'T' => self.manner.tos = Some(tos(value)?),
            'V' => return said("no alternate routing table support available"),
            'W' => {
                let limit = number(value, 1, i64::from(i32::MAX));
                self.limit = Some(limit.or_else(|e| said(format!("receive limit {e}: {value}")))?);
            }
            'w' => {
                let seconds = number(value, 0, i64::from(i32::MAX) / 1000);
                let seconds = seconds.or_else(|e| said(format!("timeout {e}: {value}")))?;
                self.timeout = Some(Duration::from_secs(seconds));
            }
            'X' => {
                self.proxy_kind = match value.to_ascii_lowercase().as_str() {
                    "connect" => Proxy::Connect,
                    "4" => Proxy::Socks4,
                    "5" => Proxy::Socks5,
                    _ => return said("unsupported proxy protocol"),
                };
            }
            'P' => return said("-P is not taken: no proxy is given a password"),
            _ => {}
        }
        Ok(())
    }

    /// Host and ports; false where the usage is to be told.
    fn operands(&mut self, mut given: Vec<String>) -> bool {
        match (given.len(), self.unix, self.listen) {
            (1, true, _) => self.host = given.pop(),
            (2, true, false) => {
                self.port = given.pop();
                self.host = given.pop();
            }
            (_, true, _) => return false,
            (0, _, true) => (self.host, self.port) = (self.own.take(), self.own_port.take()),
            (1, _, true) if self.own_port.is_some() => {
                if self.own.is_some() {
                    return false;
                }
                (self.host, self.port) = (given.pop(), self.own_port.take());
            }
            (1, _, true) if self.own.is_some() => return false,
            (1, _, true) => self.port = given.pop(),
            (2, _, true) if self.own.is_none() && self.own_port.is_none() => {
                self.port = given.pop();
                self.host = given.pop();
            }
            (_, _, true) => return false,
            (0, _, false) => return false,
            (_, _, false) => {
                self.host = Some(given.remove(0));
                self.port = (!given.is_empty()).then(|| given.join("\0"));
            }
        }
        true
    }

    fn settle(&mut self, proxy: Option<String>) -> Result<(), Stop> {
        if self.listen && self.scan {
            return said("cannot use -z and -l");
        }
        if !self.listen && self.keep {
            return said("must use -l with -k");
        }
        if let Some(proxy) = proxy {
            if self.manner.datagram {
                return said("no proxy support for UDP mode");
            }
            if self.listen {
                return said("no proxy support for listen");
            }
            if self.unix {
                return said("no proxy support for unix sockets");
            }
            if self.own.is_some() {
                return said("no proxy support for local source address");
            }
            self.proxy = Some(self.proxy_at(&proxy));
        }
        if self.unix {
            if !self.listen && self.port.is_some() {
                return said("cannot use port with -U");
            }
            return Ok(());
        }
        let Some(port) = &self.port else {
            return said("missing port number");
        };
        if !self.listen {
            for one in port.split('\0') {
                ports(one, self.manner.datagram, &mut self.ports)?;
            }
            if self.any_order {
                shuffle(&mut self.ports);
            }
        }
        Ok(())
    }

    fn proxy_at(&self, text: &str) -> (String, String) {
        let own = match self.proxy_kind {
            Proxy::Connect => "3128",
            _ => "1080",
        };
        let (host, port) = match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        (host.into(), port.unwrap_or(own).into())
    }
}

/// A whole number between two others; else OpenBSD's word for what is wrong.
fn number(value: &str, least: i64, most: i64) -> Result<u64, &'static str> {
    let number: i128 = value.trim_start().parse().map_err(|_| "invalid")?;
    if number < i128::from(least) {
        return Err("too small");
    }
    if number > i128::from(most) {
        return Err("too large");
    }
    u64::try_from(number).map_err(|_| "invalid")
}

fn buffer(value: &str, which: &str) -> Result<u32, Stop> {
    match number(value, 1, 65536 << 14) {
        Ok(bytes) => Ok(u32::try_from(bytes).unwrap_or(u32::MAX)),
        Err(e) => said(format!("TCP {which} window {e}: {value}")),
    }
}

fn ttl(value: &str, what: &str) -> Result<u8, Stop> {
    match number(value, 0, 255) {
        Ok(ttl) => Ok(u8::try_from(ttl).unwrap_or(u8::MAX)),
        Err(e) => said(format!("{what} is {e}")),
    }
}

/// Names of type of service and of DiffServ (RFC 2474, 2597, 3246).
fn tos(value: &str) -> Result<u8, Stop> {
    let named = match value.to_ascii_lowercase().as_str() {
        "critical" => Some(0xa0),
        "inetcontrol" => Some(0xc0),
        "lowcost" => Some(0x02),
        "lowdelay" => Some(0x10),
        "netcontrol" => Some(0xe0),
        "reliability" => Some(0x04),
        "throughput" => Some(0x08),
        "ef" => Some(0xb8),
        class => match class.as_bytes() {
            [b'c', b's', n @ b'0'..=b'7'] => Some((n - b'0') << 5),
            [b'a', b'f', c @ b'1'..=b'4', d @ b'1'..=b'3'] => {
                Some(((c - b'0') << 5) | ((d - b'0') << 3))
            }
            _ => None,
        },
    };
    let hex = value.strip_prefix("0x").map(|h| u8::from_str_radix(h, 16));
    let plain = hex.unwrap_or_else(|| value.parse()).ok();
    named
        .or(plain)
        .map_or_else(|| said(format!("illegal tos value {value}")), Ok)
}

/// A port, a range of them or a service's name.
fn ports(text: &str, datagram: bool, into: &mut Vec<u16>) -> Result<(), Stop> {
    let one = |text: &str| match number(text, 1, 65535) {
        Ok(port) => Ok(u16::try_from(port).unwrap_or(u16::MAX)),
        Err(e) => said(format!("port number {e}: {text}")),
    };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        let kind = match datagram {
            true => libc::SOCK_DGRAM,
            false => libc::SOCK_STREAM,
        };
        let hints = Hints {
            kind,
            ..Hints::default()
        };
        let found = names::resolve(None, Some(text), hints).ok();
        if let Some(address) = found.and_then(|f| f.addresses.first().copied()) {
            into.push(address.port());
            return Ok(());
        }
    }
    match text.split_once('-') {
        Some((low, high)) if !low.is_empty() => {
            let (low, high) = (one(low)?, one(high)?);
            into.extend(low.min(high)..=low.max(high));
        }
        _ => into.push(one(text)?),
    }
    Ok(())
}

fn shuffle(ports: &mut [u16]) {
    for last in (1..ports.len()).rev() {
        let random = usize::from(netshoot_host::sockets::random_u16());
        ports.swap(last, random % (last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_run_upwards_and_nonsense_is_a_sentence() {
        let read = |text: &str| {
            let mut found = Vec::new();
            match ports(text, false, &mut found) {
                Ok(()) => Ok(found),
                Err(Stop::Said(said)) => Err(said),
                Err(Stop::Broken(e)) => panic!("{e}"),
            }
        };
        assert_eq!(read("3-1").unwrap(), [1, 2, 3]);
        assert_eq!(read("65535").unwrap(), [65535]);
        assert_eq!(read("0").unwrap_err(), "port number too small: 0");
        assert_eq!(read("1-70000").unwrap_err(), "port number too large: 70000");
        assert_eq!(read("5-x").unwrap_err(), "port number invalid: x");
    }

    #[test]
    fn damaged_command_lines_are_plans_or_sentences() {
        let seeds = [
            "-v -z -w 2 -i 1 -p 4000 -s 10.0.0.1 -T lowdelay -M 5 -m 1 shop.test 80-90 443",
            "-l -k -u -n -q 1 -W 3 -I 4096 -O 4096 -x [::1]:1080 -X connect 5000",
            "-U -d -N -C -t @name",
        ];
        netshoot_wire::fuzz::texts(&seeds, 2_000, |text| {
            let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
            let (read, _, err) = crate::io::heard(|io| read(&words, io));
            match read {
                Ok(Read::Plan(plan)) => {
                    assert!(
                        plan.unix || plan.listen || !plan.ports.is_empty(),
                        "{text:?}"
                    );
                }
                Ok(Read::Ended(_)) => assert!(!err.is_empty(), "{text:?}"),
                Err(Stop::Said(said)) => assert!(!said.is_empty(), "{text:?}"),
                Err(Stop::Broken(e)) => panic!("{text:?}: {e}"),
            }
        });
    }
}
