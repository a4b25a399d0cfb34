//! `arping`: who on this link has an IPv4 address, as iputils' arping(8) asks.

use super::getopt::{self, Order, Takes, Word};
use super::{Group, Tool};
use crate::io::{Io, Lang};
use anyhow::Result;
use netshoot_host::arp::{Asking, EVERYBODY, Heard};
use netshoot_host::link::raw;
use netshoot_host::names::{self, Hints};
use netshoot_host::{interrupt, pinging, sockets};
use netshoot_wire::arp::{Arp, REPLY, REQUEST};
use netshoot_wire::rtnl::AF_INET;
use serde_json::json;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// The tool.
pub const TOOL: Tool = Tool {
    name: "arping",
    stands_for: "iputils-arping",
    group: Group::Reach,
    tier: 2,
    about: "Ask on a link who has an IPv4 address",
    about_zh: "在链路上询问谁拥有某个 IPv4 地址（ARP）",
    page: include_str!("pages/arping.md"),
    cases: include_str!("cases/arping.txt"),
    run,
};

const LETTERS: &str = "hfqbDUAVc:w:i:I:s:";
const LONG: &[getopt::Long] = &[
    ("json", Takes::Nothing, '\u{1}'),
    ("explain", Takes::Nothing, '\u{2}'),
];

const HELP: &str = "
Usage:
  arping [options] <destination>

Options:
  -f            end with the first reply
  -q            say nothing
  -b            ask everybody each time
  -D            is the address somebody's already
  -U            tell the neighbours an own address
  -A            the same by replies
  -V            version
  -c <count>    so many probes
  -w <timeout>  so many seconds at most
  -i <interval> pause between probes (1 second)
  -I <device>   on this interface
  -s <source>   own address
      --json    the result as JSON
      --explain what it says in a cluster
";

#[derive(Debug, Default)]
struct Plan {
    first: bool,
    quiet: bool,
    everybody: bool,
    duplicate: bool,
    unasked: bool,
    by_reply: bool,
    count: Option<u32>,
    deadline: Option<Duration>,
    interval: Option<Duration>,
    interface: Option<String>,
    source: Option<Ipv4Addr>,
    json: bool,
    explain: bool,
    target: Option<String>,
}

/// How a run ends before its end: what is said, and the exit code.
type Refused = (String, i32);

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let plan = match read(args) {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            writeln!(io.out, "arping of netshoot {}", crate::version::SHORT)?;
            return Ok(0);
        }
        Err((said, code)) => {
            writeln!(io.err, "{said}")?;
            return Ok(code);
        }
    };
    let begun = begin(&plan);
    match begun {
        Ok((asking, interface, own, target)) => {
            let mut course = Course {
                plan: &plan,
                asking,
                interface,
                own,
                target,
                sent: 0,
                broadcasts: 0,
                replies: Vec::new(),
                known: None,
            };
            course.travel(io)
        }
        Err((said, code)) => {
            if plan.json {
                let all = json!({ "target": plan.target, "interface": plan.interface, "sent": 0, "replies": [], "error": said });
                writeln!(io.out, "{all}")?;
            }
            // The original says this one on its output.
            match said.starts_with("Interface ") && !plan.json {
                true => writeln!(io.out, "{said}")?,
                false => writeln!(io.err, "{said}")?,
            }
            if plan.explain {
                let text = io.lang.pick(
                    "Nothing was sent: ARP asks on one link of Ethernet (-I NAME), with CAP_NET_RAW, for an address of that link; lo and tunnels have none",
                    "未发送任何报文：ARP 只在一条以太网链路上查询（-I 名称），需要 CAP_NET_RAW，且地址须属于该链路；lo 与隧道接口没有 ARP",
                );
                writeln!(io.out, "{text}")?;
            }
            Ok(code)
        }
    }
}

/// None asks for the version.
fn read(args: &[OsString]) -> Result<Option<Plan>, Refused> {
    let mut plan = Plan::default();
    let number = |value: &str, least: f64, most: f64| -> Result<f64, Refused> {
        let number: f64 = value
            .parse()
            .map_err(|_| (format!("arping: invalid argument: '{value}'"), 1))?;
        match (least..=most).contains(&number) {
            true => Ok(number),
            false => {
                let said = format!(
                    "arping: invalid argument: '{value}': out of range: {least} <= value <= {most}"
                );
                Err((said, 1))
            }
        }
    };
    for word in getopt::read(args, LETTERS, LONG, Order::Anywhere) {
        match word {
            Err(mistake) => return Err((format!("arping: {mistake}\n{}", HELP.trim_end()), 2)),
            Ok(Word::Operand(o)) => plan.target = Some(o.to_string_lossy().into_owned()),
            Ok(Word::Option('V', _)) => return Ok(None),
            Ok(Word::Option('h', _)) => return Err((HELP.trim_end().into(), 2)),
            Ok(Word::Option(letter, None)) => match letter {
                'f' => plan.first = true,
                'q' => plan.quiet = true,
                'b' => plan.everybody = true,
                'D' => (plan.duplicate, plan.first) = (true, true),
                'U' => plan.unasked = true,
                'A' => (plan.unasked, plan.by_reply) = (true, true),
                '\u{1}' => plan.json = true,
                _ => plan.explain = true,
            },
            Ok(Word::Option(letter, Some(value))) => {
                let value = value.to_string_lossy().into_owned();
                match letter {
                    'c' => plan.count = Some(number(&value, 1.0, i32::MAX.into())? as u32),
                    'w' => {
                        plan.deadline = Some(Duration::from_secs_f64(number(
                            &value,
                            0.0,
                            i32::MAX.into(),
                        )?))
                    }
                    'i' => {
                        plan.interval = Some(Duration::from_secs_f64(number(
                            &value,
                            0.0,
                            i32::MAX.into(),
                        )?))
                    }
                    'I' => plan.interface = Some(value),
                    _ => plan.source = Some(address(&value)?),
                }
            }
        }
    }
    if plan.target.is_none() {
        return Err((HELP.trim_end().into(), 2));
    }
    Ok(Some(plan))
}

fn address(name: &str) -> Result<Ipv4Addr, Refused> {
    let hints = Hints {
        family: libc::AF_INET,
        kind: libc::SOCK_RAW,
        flags: 0,
    };
    let said = |why: String| (format!("arping: {}: {why}", crate::report::safe(name)), 2);
    let found = names::resolve(Some(name), None, hints).map_err(said)?;
    match found.addresses.first().map(SocketAddr::ip) {
        Some(IpAddr::V4(a)) => Ok(a),
        _ => Err(said("Name or service not known".into())),
    }
}

type Begun = (Asking, String, Ipv4Addr, Ipv4Addr);

fn begin(plan: &Plan) -> Result<Begun, Refused> {
    let target = address(plan.target.as_deref().unwrap_or_default())?;
    let own = own_address(plan, target)?;
    let interface = match &plan.interface {
        Some(name) => name.clone(),
        None => {
            of_address(own).ok_or(("arping: no suitable device: name one by -I".to_string(), 2))?
        }
    };
    if netshoot_host::link::index(&interface).is_err() {
        return Err((
            format!(
                "arping: Device {} not available.",
                crate::report::safe(&interface)
            ),
            2,
        ));
    }
    match Asking::open(&interface) {
        Ok(Some(asking)) => {
            let own = if plan.duplicate && plan.source.is_none() {
                Ipv4Addr::UNSPECIFIED
            } else {
                own
            };
            Ok((asking, interface, own, target))
        }
        Ok(None) => Err((format!("Interface \"{interface}\" is not ARPable"), 2)),
        Err(e) => Err((format!("arping: {e}"), 2)),
    }
}

/// Given, or the target's own where the neighbours are told of it, or that from which packets to it start.
fn own_address(plan: &Plan, target: Ipv4Addr) -> Result<Ipv4Addr, Refused> {
    let source = plan.source.or(plan.unasked.then_some(target));
    let manner = pinging::Manner {
        interface: plan
            .interface
            .clone()
            .filter(|i| netshoot_host::link::index(i).is_ok()),
        source: source.map(|s| SocketAddr::new(s.into(), 0)),
        no_routing: true,
        ..pinging::Manner::default()
    };
    match pinging::route(SocketAddr::new(target.into(), 0), &manner) {
        Ok(own) => match own.ip() {
            IpAddr::V4(own) => Ok(own),
            IpAddr::V6(_) => Ok(Ipv4Addr::UNSPECIFIED),
        },
        // Nobody answers for an address that it has not.
        Err(failed) if failed.step == "bind" => Err((
            format!("arping: bind: {}", sockets::strerror(&failed.source)),
            2,
        )),
        Err(failed) => Err((
            format!(
                "arping: {}: {}",
                failed.step,
                sockets::strerror(&failed.source)
            ),
            2,
        )),
    }
}

/// The interface that has an address.
fn of_address(own: Ipv4Addr) -> Option<String> {
    let all = raw::addresses(AF_INET).ok()?;
    let found = all.iter().find(|a| a.address == IpAddr::V4(own))?;
    names::interface(found.index)
}

struct Course<'a> {
    plan: &'a Plan,
    asking: Asking,
    interface: String,
    own: Ipv4Addr,
    target: Ipv4Addr,
    sent: u32,
    broadcasts: u32,
    replies: Vec<(Arp, f64)>,
    known: Option<[u8; 6]>,
}

impl Course<'_> {
    fn travel(&mut self, io: &mut Io<'_>) -> Result<i32> {
        let plan = self.plan;
        let tells = !plan.quiet && !plan.json;
        if tells {
            writeln!(
                io.out,
                "ARPING {} from {} {}",
                self.target, self.own, self.interface
            )?;
            io.out.flush()?;
        }
        let signals = interrupt::hear(&[libc::SIGINT])?;
        let interval = plan.interval.unwrap_or(Duration::from_secs(1));
        let begun = Instant::now();
        let deadline = plan.deadline.map(|d| begun + d);
        let mut last = begun;
        let mut next = begun;
        loop {
            let now = Instant::now();
            if signals.next().is_some() {
                break;
            }
            if now >= next {
                if plan.count.is_some_and(|c| self.sent >= c) {
                    break;
                }
                self.send()?;
                (last, next) = (now, now + interval);
            }
            if self.hear(last, tells, io)? && plan.first {
                break;
            }
            if deadline.is_some_and(|d| now >= d) {
                break;
            }
            let until = deadline.map_or(next, |d| d.min(next));
            let entry = |fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            };
            let mut fds = [entry(self.asking.as_raw_fd()), entry(signals.as_raw_fd())];
            sockets::poll(&mut fds, until.saturating_duration_since(Instant::now()))?;
        }
        self.end(tells, io)
    }

    fn send(&mut self) -> Result<()> {
        let plan = self.plan;
        let operation = if plan.by_reply { REPLY } else { REQUEST };
        let target = if plan.by_reply {
            self.asking.own()
        } else {
            EVERYBODY
        };
        let arp = Arp {
            operation,
            sender: self.asking.own(),
            sender_ip: self.own,
            target,
            target_ip: self.target,
        };
        let to = self.known.filter(|_| !plan.everybody && !plan.unasked);
        self.broadcasts += u32::from(to.is_none());
        self.sent += 1;
        self.asking.send(&arp, to.unwrap_or(EVERYBODY))?;
        Ok(())
    }

    /// True when an answer came.
    fn hear(&mut self, sent: Instant, tells: bool, io: &mut Io<'_>) -> Result<bool> {
        let before = self.replies.len();
        while let Some(Heard { arp, to_us }) = self.asking.receive()? {
            let about = arp.sender_ip == self.target;
            let ours = arp.target_ip == self.own || self.plan.duplicate;
            let asked = arp.operation == REPLY || self.plan.duplicate;
            if !about || !ours || !asked || arp.sender == self.asking.own() {
                continue;
            }
            let ms = sent.elapsed().as_secs_f64() * 1000.0;
            if tells {
                let how = if to_us { "Unicast" } else { "Broadcast" };
                let what = if arp.operation == REPLY {
                    "reply"
                } else {
                    "request"
                };
                writeln!(
                    io.out,
                    "{how} {what} from {} [{}]  {ms:.3}ms",
                    arp.sender_ip,
                    hardware(arp.sender)
                )?;
                io.out.flush()?;
            }
            self.known = Some(arp.sender);
            self.replies.push((arp, ms));
        }
        Ok(self.replies.len() > before)
    }

    fn end(&self, tells: bool, io: &mut Io<'_>) -> Result<i32> {
        let count = self.replies.len();
        if tells {
            writeln!(
                io.out,
                "Sent {} probes ({} broadcast(s))",
                self.sent, self.broadcasts
            )?;
            writeln!(io.out, "Received {count} response(s)")?;
        }
        if self.plan.json {
            let each = self
                .replies
                .iter()
                .map(|(arp, ms)| json!({ "hardware": hardware(arp.sender), "ms": ms }));
            let each: Vec<serde_json::Value> = each.collect();
            let all = json!({ "target": self.target.to_string(), "interface": self.interface, "sent": self.sent, "replies": each });
            writeln!(io.out, "{all}")?;
        }
        if self.plan.explain {
            writeln!(io.out, "{}", self.explained(io.lang))?;
        }
        let answered = count > 0;
        Ok(match (self.plan.duplicate, self.plan.unasked) {
            (true, _) => i32::from(answered),
            (_, true) => 0,
            _ => i32::from(!answered),
        })
    }

    fn explained(&self, lang: Lang) -> &'static str {
        let mut all: Vec<[u8; 6]> = self.replies.iter().map(|r| r.0.sender).collect();
        all.sort_unstable();
        all.dedup();
        match all.len() {
            0 => lang.pick(
                "Nobody on this link has the address: it is another network's (a pod of another node is behind a router), or its machine is off",
                "本链路上没有主机拥有该地址：它属于其他网络（其他节点的 Pod 在路由器之后），或主机已关闭",
            ),
            1 => lang.pick(
                "One machine on this link has the address: below IP nothing is in the way",
                "本链路上有一台主机拥有该地址：IP 之下没有障碍",
            ),
            _ => lang.pick(
                "Several machines answer for the address: a duplicate, or a proxy that answers for others; connections will break now and then",
                "有多台主机为该地址应答：地址重复，或有代理代答；连接会时断时续",
            ),
        }
    }
}

fn hardware(address: [u8; 6]) -> String {
    let each: Vec<String> = address.iter().map(|b| format!("{b:02X}")).collect();
    each.join(":")
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
        let plan = of("-fqc 3 -w 2.5 -I eth0 10.0.0.1").unwrap().unwrap();
        assert_eq!((plan.count, plan.first, plan.quiet), (Some(3), true, true));
        assert_eq!(of("-c x 10.0.0.1").unwrap_err().1, 1);
        assert_eq!(of("-f").unwrap_err().1, 2);
        netshoot_wire::fuzz::texts(
            &["-fqDUAb -c 3 -w 2.5 -i 1 -I eth0 10.0.0.1"],
            3_000,
            |text| drop(of(text)),
        );
        assert_eq!(hardware([0xca, 1, 2, 3, 4, 0xff]), "CA:01:02:03:04:FF");
    }
}
