//! The command line of ping.

use crate::io::Io;
use crate::tools::getopt::{self, Long, Order, Takes, Word};
use anyhow::Result;
use netshoot_host::names::{self, Hints};
use netshoot_host::pinging::{Fragments, Manner};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};

const LETTERS: &str = "h4bR6aABc:CdDe:fi:I:l:Lm:M:nOp:qQ:rs:S:t:UvVw:W:";
const LONG: &[Long] = &[
    ("json", Takes::Nothing, '\u{1}'),
    ("explain", Takes::Nothing, '\u{2}'),
];

const USAGE: &str = "
Usage
  ping [options] <destination>

Options:
  -4, -6             IPv4 only, IPv6 only
  -a                 a bell for each answer
  -A                 as fast as answers come
  -b                 a broadcast address is allowed
  -B                 keep the source address
  -c <count>         end after <count> answers
  -D                 the time before each line
  -e <identifier>    the identifier of the requests
  -f                 as fast as answers come or 100 a second; dots instead of lines
  -i <interval>      seconds between requests (1)
  -I <interface>     the interface or the source address
  -l <preload>       so many requests without waiting
  -L                 what is sent to a group is not heard here
  -m <mark>          mark the packets
  -M <do|want|dont>  fragments: never, where the MTU is known, anywhere
  -n                 no names for addresses
  -O                 say that an answer is missing before the next request
  -p <pattern>       fill with these bytes (hex)
  -q                 only the first line and the figures
  -Q <tos>           type of service, traffic class
  -r                 only to networks of this machine
  -R                 record the route (IPv4)
  -s <size>          bytes of data (56)
  -S <size>          the socket's buffer for sending
  -t <ttl>           time to live
  -U                 time until the answer is read, not until it came
  -v                 say more
  -V                 the version
  -w <deadline>      end after so many seconds
  -W <timeout>       patience for the last answer, seconds (10)
  --json             the figures as JSON
  --explain          what the result says in a cluster
";

/// What was asked for.
#[derive(Debug, Default)]
pub struct Plan {
    pub target: String,
    /// As the first line calls it.
    pub name: String,
    pub numeric_target: bool,
    pub family: i32,
    pub manner: Manner,
    pub from_given: bool,
    pub sticky: bool,
    pub broadcast: bool,
    pub numeric: bool,
    pub count: Option<u64>,
    /// Milliseconds.
    pub interval: u64,
    pub preload: u64,
    pub deadline_s: Option<u64>,
    /// Milliseconds; none is for ever.
    pub linger: Option<u64>,
    pub size: usize,
    pub pattern: Vec<u8>,
    pub adaptive: bool,
    pub flood: bool,
    pub quiet: bool,
    pub bell: bool,
    pub stamps: bool,
    pub outstanding: bool,
    pub user_time: bool,
    pub verbose: bool,
    pub json: bool,
    pub explain: bool,
}

pub enum Read {
    Plan(Box<Plan>),
    Ended(i32),
}

/// A sentence of ping, and the exit code.
pub fn refuse(io: &mut Io<'_>, code: i32, said: &str) -> Result<i32> {
    writeln!(io.err, "ping: {said}")?;
    Ok(code)
}

/// A mistake on the command line: the exit code and the sentence.
type Mistake = (i32, String);

pub fn read(args: &[OsString], io: &mut Io<'_>) -> Result<Read> {
    let mut plan = Plan {
        interval: u64::MAX,
        preload: 1,
        linger: Some(10_000),
        size: 56,
        ..Plan::default()
    };
    let mut targets = Vec::new();
    for word in getopt::read(args, LETTERS, LONG, Order::Anywhere) {
        let (letter, value) = match word {
            Err(mistake) => {
                // The original knows no long words: a second dash is a letter to it.
                let said = mistake.to_string();
                let said = if said.starts_with("unrecognized") {
                    "invalid option -- '-'".into()
                } else {
                    said
                };
                write!(io.err, "ping: {said}\n{USAGE}")?;
                return Ok(Read::Ended(2));
            }
            Ok(Word::Operand(o)) => {
                targets.push(o.to_string_lossy().into_owned());
                continue;
            }
            Ok(Word::Option(letter, value)) => (letter, value),
        };
        let value = value.map(|v| v.to_string_lossy().into_owned());
        match letter {
            'h' => {
                write!(io.err, "{USAGE}")?;
                return Ok(Read::Ended(2));
            }
            'V' => {
                writeln!(io.out, "ping from netshoot {}", crate::version::SHORT)?;
                return Ok(Read::Ended(0));
            }
            _ => {}
        }
        let taken = match value {
            None if plan.family + family(letter) == libc::AF_INET + libc::AF_INET6 => {
                let said = "only one -4 or -6 option may be specified";
                Err((2, said.to_string()))
            }
            None => {
                plan.switch(letter);
                Ok(())
            }
            Some(value) => plan.take(letter, &value, io)?,
        };
        if let Err((code, said)) = taken {
            return Ok(Read::Ended(refuse(io, code, &said)?));
        }
    }
    match targets.len() {
        0 => {
            let said = "usage error: Destination address required";
            return Ok(Read::Ended(refuse(io, 1, said)?));
        }
        1 => plan.target = targets.swap_remove(0),
        _ => {
            let said = "hops between here and the destination are not taken: one destination";
            return Ok(Read::Ended(refuse(io, 2, said)?));
        }
    }
    plan.settle(io)
}

/// The family that a letter asks for, or none.
fn family(letter: char) -> i32 {
    match letter {
        '4' => libc::AF_INET,
        '6' => libc::AF_INET6,
        _ => 0,
    }
}

impl Plan {
    fn switch(&mut self, letter: char) {
        match letter {
            '4' | '6' => self.family = family(letter),
            'a' => self.bell = true,
            'A' => self.adaptive = true,
            'b' => self.broadcast = true,
            'B' => self.sticky = true,
            'D' => self.stamps = true,
            'f' => self.flood = true,
            'L' => self.manner.no_loopback = true,
            'n' => self.numeric = true,
            'O' => self.outstanding = true,
            'q' => self.quiet = true,
            'r' => self.manner.no_routing = true,
            'R' => self.manner.record_route = true,
            'U' => self.user_time = true,
            'v' => self.verbose = true,
            '\u{1}' => self.json = true,
            '\u{2}' => self.explain = true,
            // -C and -d change nothing that is seen.
            _ => {}
        }
    }

    fn take(&mut self, letter: char, value: &str, io: &mut Io<'_>) -> Result<Result<(), Mistake>> {
        Ok(match letter {
            'i' => self.seconds(value, io)?.map(|ms| self.interval = ms),
            'W' => match self.seconds(value, io)? {
                Err((code, said)) => Err((code, said.replace("timing interval", "linger time"))),
                Ok(_) if value.trim_start().starts_with('-') => {
                    Err((2, format!("bad linger time: {value}")))
                }
                Ok(0) => {
                    self.linger = None;
                    Ok(())
                }
                Ok(ms) => {
                    self.linger = Some(ms);
                    Ok(())
                }
            },
            _ => self.take_plain(letter, value),
        })
    }

    fn take_plain(&mut self, letter: char, value: &str) -> Result<(), Mistake> {
        match letter {
            'c' => self.count = Some(whole(value, 1, i64::MAX)?),
            'w' => self.deadline_s = Some(whole(value, 0, i64::from(i32::MAX))?).filter(|d| *d > 0),
            'l' => self.preload = whole(value, 1, 65536)?,
            's' => {
                let size = whole(value, 0, i64::from(i32::MAX))?;
                if size > 65507 {
                    let said = format!("packet size {size} is too large. Maximum is 65507");
                    return Err((2, said));
                }
                self.size = usize::try_from(size).unwrap_or(0);
            }
            't' => self.manner.ttl = u8::try_from(whole(value, 0, 255)?).ok(),
            'e' => self.manner.id = u16::try_from(whole(value, 0, 65535)?).ok(),
            'm' => self.manner.mark = u32::try_from(whole(value, 0, i64::from(u32::MAX))?).ok(),
            'S' => {
                let size = whole(value, 1, i64::from(i32::MAX))?;
                self.manner.send_buffer = u32::try_from(size).ok();
            }
            'I' => self.from(value),
            'M' => {
                self.manner.fragments = Some(match value {
                    "do" => Fragments::Forbid,
                    "want" => Fragments::Here,
                    "dont" => Fragments::Allow,
                    _ => return Err((2, format!("invalid -M argument: {value}"))),
                });
            }
            'p' => self.pattern = pattern(value)?,
            'Q' => self.manner.tos = Some(tos(value)?),
            _ => {}
        }
        Ok(())
    }

    fn from(&mut self, value: &str) {
        match value.parse::<IpAddr>() {
            Ok(address) => {
                self.manner.source = Some(SocketAddr::new(address, 0));
                self.from_given = true;
            }
            Err(_) => match zoned(value) {
                Some(address) => {
                    self.manner.source = Some(address);
                    self.from_given = true;
                }
                None => self.manner.interface = Some(value.into()),
            },
        }
    }

    /// A number of seconds as strtod(3) reads it, in milliseconds.
    fn seconds(&self, value: &str, io: &mut Io<'_>) -> Result<Result<u64, Mistake>> {
        let text = value.trim_start();
        let end = (0..=text.len())
            .rev()
            .filter(|i| text.is_char_boundary(*i))
            .find(|i| text[..*i].parse::<f64>().is_ok())
            .unwrap_or(0);
        let number = text[..end].parse::<f64>().unwrap_or(0.0);
        if text.is_empty() {
            return Ok(Err((2, format!("bad timing interval: {value}"))));
        }
        if end < text.len() {
            let rest = &text[end..];
            writeln!(io.err, "ping: option argument contains garbage: {rest}")?;
            writeln!(io.err, "ping: this will become fatal error in the future")?;
        }
        if !number.is_finite() {
            let said = format!("bad timing interval: {value}: Numerical result out of range");
            return Ok(Err((2, said)));
        }
        if number > f64::from(i32::MAX) / 1000.0 {
            return Ok(Err((2, format!("bad timing interval: {value}"))));
        }
        Ok(Ok((number * 1000.0).max(0.0) as u64))
    }

    /// What follows from several options.
    fn settle(mut self, io: &mut Io<'_>) -> Result<Read> {
        let root = rustix::process::geteuid().is_root();
        if self.interval == u64::MAX {
            self.interval = if self.flood { 0 } else { 1000 };
        }
        if !root && self.interval < 2 && !self.adaptive {
            let said = "cannot flood; minimal interval allowed for user is 2ms";
            return Ok(Read::Ended(refuse(io, 2, said)?));
        }
        if !root && self.preload > 3 {
            let said = format!(
                "cannot set preload to value greater than 3: {}",
                self.preload
            );
            return Ok(Read::Ended(refuse(io, 2, &said)?));
        }
        if !self.pattern.is_empty() && !self.quiet && !self.json {
            let hex: String = self.pattern.iter().map(|b| format!("{b:02x}")).collect();
            writeln!(io.out, "PATTERN: 0x{hex}")?;
        }
        if self.json {
            self.quiet = true;
        }
        Ok(Read::Plan(Box::new(self)))
    }

    /// Round-trip times can be measured: there is room for the time in the data.
    pub fn timing(&self) -> bool {
        self.size >= 16
    }

    /// What the requests carry.
    pub fn filling(&self) -> Vec<u8> {
        let own = self.pattern.iter().copied().cycle();
        let counted = (0..=255).cycle();
        match self.pattern.is_empty() {
            true => counted.take(self.size).collect(),
            false => own.take(self.size).collect(),
        }
    }
}

/// An address of a link in its zone.
fn zoned(value: &str) -> Option<SocketAddr> {
    let hints = Hints {
        family: libc::AF_INET6,
        kind: libc::SOCK_RAW,
        flags: libc::AI_NUMERICHOST,
    };
    let found = value
        .contains('%')
        .then(|| names::resolve(Some(value), None, hints));
    found?.ok()?.addresses.first().copied()
}

/// A whole number as strtol(3) reads it, between two others.
fn whole(value: &str, least: i64, most: i64) -> Result<u64, Mistake> {
    let number: i128 = value
        .trim_start()
        .parse()
        .map_err(|_| (1, format!("invalid argument: '{value}'")))?;
    if i64::try_from(number).is_err() {
        let said = format!("invalid argument: '{value}': Numerical result out of range");
        return Err((1, said));
    }
    if number < i128::from(least) || number > i128::from(most) {
        let said = format!("invalid argument: '{value}': out of range: {least} <= value <= {most}");
        return Err((1, said));
    }
    u64::try_from(number).map_err(|_| (1, format!("invalid argument: '{value}'")))
}

fn pattern(value: &str) -> Result<Vec<u8>, Mistake> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err((
            2,
            format!("patterns must be specified as hex digits: {value}"),
        ));
    }
    let pairs = value.as_bytes().chunks(2).take(16);
    let number = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).unwrap_or_default();
        u8::from_str_radix(text, 16).unwrap_or(0)
    };
    Ok(pairs.map(number).collect())
}

fn tos(value: &str) -> Result<u8, Mistake> {
    let (digits, radix) = match value.strip_prefix("0x").or(value.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None => (value, 10),
    };
    let number = i64::from_str_radix(digits, radix);
    let number = number.map_err(|_| (2, format!("bad TOS value: {value}")))?;
    u8::try_from(number).map_err(|_| {
        let said = format!("the decimal value of TOS bits must be in range 0-255: {number}");
        (2, said)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_command_lines_are_plans_or_sentences() {
        let seeds = [
            "-c 3 -i 0.2 -W 1.5 -w 9 -s 56 -t 64 -M do -p ff00 -Q 0x10 -l 3 shop.test",
            "-AfqDnORvUbLB -I 10.0.0.1 -I eth0 -e 77 -m 5 -S 4096 --json ::1",
        ];
        netshoot_wire::fuzz::texts(&seeds, 3_000, |text| {
            let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
            let (read, out, err) = crate::io::heard(|io| read(&words, io));
            match read.unwrap() {
                Read::Plan(plan) => assert!(plan.filling().len() == plan.size, "{text:?}"),
                Read::Ended(_) => assert!(!(out.is_empty() && err.is_empty()), "{text:?}"),
            }
        });
    }
}
