//! `tracepath`: the way to a host and how large packets on it may be, as iputils' tracepath(8) says it.

use super::getopt::{self, Order, Takes, Word};
use super::{Group, Tool};
use crate::io::{Io, Lang};
use anyhow::Result;
use netshoot_host::message::Complaint;
use netshoot_host::names::{self, Hints};
use netshoot_host::sockets;
use netshoot_host::sweep::{Answer, Sweep};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// The tool.
pub const TOOL: Tool = Tool {
    name: "tracepath",
    stands_for: "iputils-tracepath",
    group: Group::Reach,
    tier: 2,
    about: "Trace the way to a host and the path MTU on it",
    about_zh: "跟踪到主机的路径及其路径 MTU",
    page: include_str!("pages/tracepath.md"),
    cases: include_str!("cases/tracepath.txt"),
    run,
};

const LETTERS: &str = "46nbl:m:p:Vh";
const LONG: &[getopt::Long] = &[
    ("json", Takes::Nothing, '\u{1}'),
    ("explain", Takes::Nothing, '\u{2}'),
];
const HELP: &str = "
Usage
  tracepath [options] <destination>

Options:
  -4             IPv4 only
  -6             IPv6 only
  -b             names and addresses
  -l <length>    first packets of this length
  -m <hops>      so many hops at most
  -n             no names
  -p <port>      first port
  -V             version
  --json         the result as JSON
  --explain      what it says in a cluster
";

/// How often a hop is asked, and the patience for each.
const TRIES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(1);
/// Datagrams that are too large are sent again smaller this often.
const SHRINKS: usize = 10;
/// First port, as the original has it.
const PORT: u16 = 44_444;
/// Width of a name, and of what stands for this machine.
const NAME: usize = 52;
const HERE: usize = 33;

#[derive(Debug)]
struct Plan {
    family: i32,
    numeric: bool,
    both: bool,
    length: Option<usize>,
    hops: u8,
    port: u16,
    json: bool,
    explain: bool,
    target: Option<String>,
}

enum Read {
    Plan(Plan),
    Version,
    Refused(String, i32),
}

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let plan = match read(args) {
        Read::Plan(plan) => plan,
        Read::Version => {
            writeln!(io.out, "tracepath of netshoot {}", crate::version::SHORT)?;
            return Ok(0);
        }
        Read::Refused(said, code) => {
            writeln!(io.err, "{said}")?;
            return Ok(code);
        }
    };
    let name = plan.target.as_deref().unwrap_or_default();
    let hints = Hints {
        family: plan.family,
        kind: libc::SOCK_DGRAM,
        flags: 0,
    };
    let to = match names::resolve(Some(name), None, hints) {
        Ok(found) => found.addresses.first().copied(),
        Err(why) => {
            writeln!(io.err, "tracepath: {}: {why}", crate::report::safe(name))?;
            return Ok(1);
        }
    };
    let Some(to) = to else {
        writeln!(
            io.err,
            "tracepath: {}: Name or service not known",
            crate::report::safe(name)
        )?;
        return Ok(1);
    };
    let sweep = match Sweep::open(to.is_ipv6()) {
        Ok(sweep) => sweep,
        Err(e) => {
            writeln!(io.err, "tracepath: socket: {}", sockets::strerror(&e))?;
            return Ok(1);
        }
    };
    let usual = if to.is_ipv6() { 128_000 } else { 65_535 };
    let mut course = Course {
        mtu: plan.length.unwrap_or(usual),
        plan: &plan,
        to,
        sweep,
        sent: BTreeMap::new(),
        next: 0,
        ends: None,
        names: BTreeMap::new(),
        seen: Vec::new(),
        refused: false,
    };
    course.travel(io)?;
    Ok(0)
}

fn read(args: &[OsString]) -> Read {
    let mut plan = Plan {
        family: 0,
        numeric: false,
        both: false,
        length: None,
        hops: 30,
        port: PORT,
        json: false,
        explain: false,
        target: None,
    };
    let wrong = |said: String| Read::Refused(format!("tracepath: {said}"), 1);
    for word in getopt::read(args, LETTERS, LONG, Order::Anywhere) {
        match word {
            Err(mistake) => {
                return Read::Refused(format!("tracepath: {mistake}\n{}", HELP.trim_end()), 255);
            }
            Ok(Word::Operand(o)) => plan.target = Some(o.to_string_lossy().into_owned()),
            Ok(Word::Option('V', _)) => return Read::Version,
            Ok(Word::Option('h', _)) => return Read::Refused(HELP.trim_end().into(), 255),
            Ok(Word::Option(letter, None)) => match letter {
                '4' => plan.family = libc::AF_INET,
                '6' => plan.family = libc::AF_INET6,
                'n' => plan.numeric = true,
                'b' => plan.both = true,
                '\u{1}' => plan.json = true,
                _ => plan.explain = true,
            },
            Ok(Word::Option(letter, Some(value))) => {
                let value = value.to_string_lossy().into_owned();
                let Ok(number) = value.parse::<i64>() else {
                    return wrong(format!("invalid argument: '{value}'"));
                };
                let (least, most) = match letter {
                    'm' => (0, 255),
                    'p' => (0, 65_535),
                    _ => (0, i64::from(i32::MAX)),
                };
                if !(least..=most).contains(&number) {
                    return wrong(format!(
                        "invalid argument: '{value}': out of range: {least} <= value <= {most}"
                    ));
                }
                match letter {
                    'm' => plan.hops = number as u8,
                    'p' => plan.port = number as u16,
                    _ => plan.length = Some(number as usize),
                }
            }
        }
    }
    let headers = if plan.family == libc::AF_INET6 {
        48
    } else {
        28
    };
    if plan.length.is_some_and(|l| l <= headers) {
        return wrong(format!(
            "pktlen must be within: {headers} < value <= {}",
            i32::MAX
        ));
    }
    match plan.target {
        Some(_) => Read::Plan(plan),
        None => Read::Refused(HELP.trim_end().into(), 255),
    }
}

/// What came of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Somebody answers and the way goes on.
    Answered,
    Silent,
    /// The way ends here.
    Ended,
}

struct Course<'a> {
    plan: &'a Plan,
    to: SocketAddr,
    sweep: Sweep,
    mtu: usize,
    /// By port: with which time to live, when.
    sent: BTreeMap<u16, (u8, Instant)>,
    next: u16,
    /// Hops there and back.
    ends: Option<(Option<u8>, Option<u8>)>,
    names: BTreeMap<SocketAddr, String>,
    seen: Vec<Value>,
    refused: bool,
}

impl Course<'_> {
    fn travel(&mut self, io: &mut Io<'_>) -> Result<()> {
        let mut over = false;
        for ttl in 1..=self.plan.hops {
            let mut outcome = Outcome::Silent;
            for _ in 0..TRIES {
                let before = self.mtu;
                outcome = self.probe(ttl, io)?;
                // What was too large is sent again.
                if self.mtu == before && outcome != Outcome::Silent {
                    break;
                }
            }
            if outcome == Outcome::Silent {
                self.say(io, &format!("{ttl:2}:  no reply"))?;
            }
            over = outcome == Outcome::Ended;
            if over {
                break;
            }
        }
        if !over {
            self.say(io, &format!("     Too many hops: pmtu {}", self.mtu))?;
        }
        self.end(io)
    }

    fn say(&self, io: &mut Io<'_>, line: &str) -> Result<()> {
        if !self.plan.json {
            writeln!(io.out, "{line}")?;
            io.out.flush()?;
        }
        Ok(())
    }

    fn end(&self, io: &mut Io<'_>) -> Result<()> {
        let (there, back) = self.ends.unwrap_or_default();
        let mut line = format!("     Resume: pmtu {} ", self.mtu);
        for (name, hops) in [("hops", there), ("back", back)] {
            line += &hops.map_or(String::new(), |h| format!("{name} {h} "));
        }
        self.say(io, &line)?;
        if self.plan.json {
            let all = json!({ "target": self.to.ip().to_string(), "pmtu": self.mtu, "hops": there, "back": back,
                "reached": self.ends.is_some(), "answers": self.seen });
            writeln!(io.out, "{all}")?;
        }
        if self.plan.explain {
            writeln!(io.out, "{}", self.explained(io.lang))?;
        }
        Ok(())
    }

    fn headers(&self) -> usize {
        if self.to.is_ipv6() { 48 } else { 28 }
    }

    fn probe(&mut self, ttl: u8, io: &mut Io<'_>) -> Result<Outcome> {
        for _ in 0..SHRINKS {
            let size = self.mtu.saturating_sub(self.headers());
            let port = self.plan.port.wrapping_add(self.next % 255);
            self.next = self.next.wrapping_add(1);
            self.sent.insert(port, (ttl, Instant::now()));
            let sent = self
                .sweep
                .send(SocketAddr::new(self.to.ip(), port), ttl, size);
            if sent.is_ok() {
                return self.hear(io);
            }
            // This machine says by itself how large it may be.
            let mut smaller = false;
            while let Some(answer) = self.sweep.answer() {
                let before = self.mtu;
                let outcome = self.told(&answer, io)?;
                if outcome == Outcome::Ended {
                    return Ok(outcome);
                }
                smaller |= self.mtu < before;
            }
            if !smaller {
                break;
            }
        }
        self.say(io, &format!("{ttl:2}:  send failed"))?;
        Ok(Outcome::Ended)
    }

    fn hear(&mut self, io: &mut Io<'_>) -> Result<Outcome> {
        let mut fds = [libc::pollfd {
            fd: self.sweep.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        }];
        if !sockets::poll(&mut fds, PATIENCE)? {
            return Ok(Outcome::Silent);
        }
        let mut outcome = Outcome::Silent;
        while let Some(answer) = self.sweep.answer() {
            outcome = self.told(&answer, io)?;
            if outcome == Outcome::Ended {
                break;
            }
        }
        Ok(outcome)
    }

    /// One line for what came.
    fn told(&mut self, answer: &Answer, io: &mut Io<'_>) -> Result<Outcome> {
        let asked = answer.to.and_then(|to| self.sent.get(&to.port()).copied());
        let took = asked.map(|a| a.1.elapsed().as_micros());
        let time = took.map_or(String::new(), |us| {
            format!("{:3}.{:03}ms ", us / 1000, us % 1000)
        });
        let Some(c) = answer.complaint else {
            // The host itself answers by a datagram.
            self.ends = Some((asked.map(|a| a.0), answer.ttl.map(back)));
            self.say(io, &format!("{time}reached"))?;
            return Ok(Outcome::Ended);
        };
        let hop = asked.map(|a| a.0);
        if c.local {
            let number = hop.unwrap_or(1);
            // Of IPv4 the kernel does not say for which datagram it was.
            let time = if self.to.is_ipv6() {
                time
            } else {
                String::new()
            };
            let mut line = format!("{number:2}?: {:HERE$}{time}", "[LOCALHOST]");
            let outcome = self.end_of(&c, hop, None, &mut line);
            self.say(io, &line)?;
            return Ok(outcome);
        }
        let name = c.from.map_or_else(|| "?".into(), |from| self.name(from));
        let mut line = match hop {
            Some(hop) => format!("{hop:2}:  "),
            None => " ?:  ".into(),
        };
        line += &format!("{name:NAME$}{time}");
        let returned = answer.ttl.map(back);
        // Who complains of something else complains from where it stands, which may be nearer.
        let passed = c.errno == libc::ECONNREFUSED || self.exceeded(&c);
        if let (Some(there), Some(back)) = (hop, returned)
            && there != back
            && passed
        {
            line += &format!("asymm {back:2} ");
        }
        let outcome = self.end_of(&c, hop, returned, &mut line);
        self.seen.push(json!({ "hop": hop, "from": c.by().map(|f| f.to_string()), "us": took.map(|t| t as u64), "pmtu": self.mtu }));
        self.say(io, &line)?;
        Ok(outcome)
    }

    fn exceeded(&self, c: &Complaint) -> bool {
        match self.to.is_ipv6() {
            true => c.kind == 3,
            false => c.kind == 11,
        }
    }

    /// Adds what a complaint means.
    fn end_of(
        &mut self,
        c: &Complaint,
        there: Option<u8>,
        returned: Option<u8>,
        line: &mut String,
    ) -> Outcome {
        let exceeded = self.exceeded(c);
        match c.errno {
            libc::EMSGSIZE => {
                *line += &format!("pmtu {}", c.info);
                self.mtu = (c.info as usize).max(self.headers() + 1);
                Outcome::Answered
            }
            libc::ECONNREFUSED => {
                *line += "reached";
                self.ends = Some((there, returned));
                Outcome::Ended
            }
            libc::EHOSTUNREACH if exceeded => Outcome::Answered,
            errno => {
                self.refused = true;
                *line += match errno {
                    libc::EPROTO => "!P",
                    libc::EHOSTUNREACH => "!H",
                    libc::ENETUNREACH => "!N",
                    libc::EACCES => "!A",
                    _ => "!",
                };
                Outcome::Ended
            }
        }
    }

    fn name(&mut self, from: SocketAddr) -> String {
        let from = SocketAddr::new(from.ip(), 0);
        let figures = names::figures(from);
        if self.plan.numeric && !self.plan.both {
            return figures;
        }
        let name = self.names.entry(from).or_insert_with(|| {
            let name = names::name_of(from);
            name.map_or_else(|| figures.clone(), |n| crate::report::safe(&n))
        });
        match self.plan.both {
            true => format!("{name} ({figures})"),
            false => name.clone(),
        }
    }

    fn explained(&self, lang: Lang) -> &'static str {
        match (self.ends.is_some(), self.mtu < 1500) {
            (true, false) => lang.pick(
                "The host was reached and packets of 1500 bytes pass: no overlay or tunnel makes them smaller on this way",
                "已到达主机，1500 字节的报文可以通过：此路径上没有覆盖网络或隧道使 MTU 变小",
            ),
            (true, true) => lang.pick(
                "The host was reached with less than 1500 bytes: an overlay (VXLAN takes 50, WireGuard 60 or 80) or a tunnel is on the way, and it says so; trouble comes only where such a message is dropped",
                "已到达主机，但 MTU 小于 1500：途中有覆盖网络（VXLAN 占 50，WireGuard 占 60 或 80）或隧道且会告知；只有当该告知被丢弃时才会出问题",
            ),
            (false, _) if self.refused => lang.pick(
                "A router or a firewall on the way says that it does not go on there",
                "途中的路由器或防火墙明确表示不通",
            ),
            (false, _) => lang.pick(
                "The host was not reached: UDP to high ports is often dropped; try mtr -T -P PORT",
                "未到达主机：发往高端口的 UDP 常被丢弃；请试 mtr -T -P 端口",
            ),
        }
    }
}

/// How many hops an answer took, by the usual first values of a time to live.
fn back(ttl: u8) -> u8 {
    match ttl {
        0..=64 => 65 - ttl,
        65..=128 => 129 - ttl,
        129..=192 => 193 - ttl,
        _ => (256 - u16::from(ttl)) as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_command_lines_end() {
        let of = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            read(&args)
        };
        assert!(matches!(of("-nb -l 1000 -m 5 far"), Read::Plan(p) if p.numeric && p.hops == 5));
        assert!(matches!(of("-l 10 far"), Read::Refused(said, 1) if said.contains("28 < value")));
        assert!(matches!(of("-Q far"), Read::Refused(_, 255)));
        netshoot_wire::fuzz::texts(&["-46nb -l 1000 -m 5 -p 44444 far"], 3_000, |text| {
            drop(of(text))
        });
        assert_eq!([63, 64, 255, 250, 127].map(back), [2, 1, 1, 6, 2]);
    }
}
