//! `tcptraceroute`: by which routers the packets of a connection go, and whether its port is open at the end.

use super::getopt::{self, Long, Order, Takes, Word};
use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::hops::{self, Answer, Manner, Method};
use netshoot_host::message::Complaint;
use netshoot_host::names::{self, Hints};
use netshoot_host::{link, sockets};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The tool.
pub const TOOL: Tool = Tool {
    name: "tcptraceroute",
    stands_for: "tcptraceroute",
    group: Group::Reach,
    tier: 2,
    about: "Name the routers on the way to a TCP port, and say whether it is open",
    about_zh: "列出到某个 TCP 端口途中的路由器，并报告端口是否开放",
    page: include_str!("pages/tcptraceroute.md"),
    cases: include_str!("cases/tcptraceroute.txt"),
    run,
};

const LETTERS: &str = "hvdnNFSAEi:f:l:q:t:m:p:P:s:w:";
const LONG: &[Long] = &[
    ("help", Takes::Nothing, 'h'),
    ("version", Takes::Nothing, 'v'),
    ("dnat", Takes::Nothing, 'd'),
    ("no-dnat", Takes::Nothing, 'd'),
    ("no-dnat-strict", Takes::Nothing, 'd'),
    ("track-port", Takes::Nothing, 'd'),
    ("json", Takes::Nothing, '\u{1}'),
    ("explain", Takes::Nothing, '\u{2}'),
    ("lang", Takes::Value, '\u{3}'),
];

const USAGE: &str = "\
Usage: tcptraceroute [-nNFS] [-i interface] [-f first ttl] [-l length] [-q queries]
       [-t tos] [-m max ttl] [-p source port] [-s source address] [-w wait time]
       [--json] [--explain] host [destination port] [packet length]

";
/// A SYN's headers, bytes.
const HEADERS: u64 = 40;

/// What was asked for.
#[derive(Debug)]
struct Plan {
    host: String,
    to: SocketAddr,
    first: u8,
    most: u8,
    each: u32,
    wait: Duration,
    length: u64,
    /// `-n`: no names; `-N`: names of private addresses too.
    numeric: bool,
    all_names: bool,
    own_port: u16,
    source: Option<Ipv4Addr>,
    manner: Manner,
    json: bool,
    explain: bool,
}

/// Where the line ends: to whom it is said, and the exit code.
struct Stop(String, i32);

fn stop<T>(says: impl Into<String>) -> Result<T, Stop> {
    Err(Stop(says.into(), 1))
}

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut plan = match read(args, io) {
        Ok(plan) => plan,
        Err(Stop(says, code)) => {
            write!(io.err, "{says}")?;
            return Ok(code);
        }
    };
    match travel(&mut plan, io)? {
        Ok(code) => Ok(code),
        Err(says) => {
            writeln!(io.err, "{says}")?;
            Ok(1)
        }
    }
}

fn number(letter: char, value: &str) -> Result<u64, Stop> {
    match value.parse() {
        Ok(n) => Ok(n),
        Err(_) => stop(format!("Numeric argument required for -{letter}\n")),
    }
}

/// A port by its number or its name.
fn port(text: &str) -> Result<u16, Stop> {
    if let Ok(n) = text.parse::<u64>() {
        return Ok(n as u16); // the original cuts it as well
    }
    let hints = Hints {
        kind: libc::SOCK_STREAM,
        ..Hints::default()
    };
    let found = names::resolve(None, Some(text), hints).ok();
    let found = found.and_then(|f| f.addresses.first().map(SocketAddr::port));
    match found.filter(|p| *p > 0) {
        Some(port) => Ok(port),
        None => stop(format!("Unknown port: {text}\n")),
    }
}

fn read(args: &[OsString], io: &mut Io<'_>) -> Result<Plan, Stop> {
    let mut plan = Plan {
        host: String::new(),
        to: SocketAddr::from(([0, 0, 0, 0], 80)),
        first: 1,
        most: 30,
        each: 3,
        wait: Duration::from_secs(3),
        length: 0,
        numeric: false,
        all_names: false,
        own_port: 0,
        source: None,
        manner: Manner::default(),
        json: false,
        explain: false,
    };
    let (mut first, mut most, mut operands) = (1, 30, Vec::new());
    for word in getopt::read(args, LETTERS, LONG, Order::Anywhere) {
        let (letter, value) = match word {
            Err(_) => {
                let wrong = wrong(args);
                return stop(format!("Unknown command line argument: {wrong}\n{USAGE}"));
            }
            Ok(Word::Operand(o)) => {
                operands.push(o.to_string_lossy().into_owned());
                continue;
            }
            Ok(Word::Option(letter, value)) => (letter, value.unwrap_or_default()),
        };
        let value = value.to_string_lossy().into_owned();
        match letter {
            'h' | 'v' => return Err(Stop(USAGE.into(), i32::from(letter == 'h'))),
            'n' => plan.numeric = true,
            'N' => plan.all_names = true,
            'F' => plan.manner.whole = true,
            'A' | 'E' => {
                let why = "packets of one's own making need a right that pods seldom have";
                return stop(format!("tcptraceroute: -{letter} is not taken: {why}\n"));
            }
            'i' => plan.manner.interface = Some(value),
            'f' => first = number('f', &value)?,
            'm' => most = number('m', &value)?,
            'l' => plan.length = number('l', &value)?,
            'q' => plan.each = number('q', &value)?.clamp(1, 255) as u32,
            't' => plan.manner.tos = u8::try_from(number('t', &value)?).ok(),
            'p' | 'P' => plan.own_port = number('p', &value)? as u16,
            's' => match value.parse() {
                Ok(source) => plan.source = Some(source),
                Err(_) => return stop(format!("Bad source address: {value}\n")),
            },
            'w' => plan.wait = Duration::from_secs(number('w', &value)?),
            '\u{1}' => plan.json = true,
            '\u{2}' => plan.explain = true,
            '\u{3}' => io.lang = crate::io::choose_lang(Some(&value)),
            // SYN is what is sent anyway; of DNAT the kernel's own matching sees enough.
            _ => {}
        }
    }
    if first == 0 || most == 0 {
        return stop("TTL must be greater than 0\n");
    }
    if first > most {
        return stop(format!(
            "Minimum TTL ({first}) must be less than maximum TTL ({most})\n"
        ));
    }
    if plan.wait.is_zero() {
        return stop("Timeout must be at least 1\n");
    }
    plan.first = first.min(255) as u8;
    plan.most = most.min(255) as u8;
    settle(plan, &operands, io)
}

/// The words that stand alone.
fn settle(mut plan: Plan, operands: &[String], io: &mut Io<'_>) -> Result<Plan, Stop> {
    let (host, rest) = match operands {
        [host, rest @ ..] if rest.len() < 3 => (host, rest),
        _ => return stop(USAGE),
    };
    let at = rest.first().map_or(Ok(80), |text| port(text))?;
    if let Some(text) = rest.get(1) {
        plan.length = number('l', text)?;
    }
    let hints = Hints {
        family: libc::AF_INET,
        kind: libc::SOCK_STREAM,
        flags: 0,
    };
    let found = names::resolve(Some(host), None, hints).ok();
    let Some(to) = found.and_then(|f| f.addresses.first().copied()) else {
        let host = crate::report::safe(host);
        return stop(format!("Bad destination address: {host}\n"));
    };
    plan.to = SocketAddr::new(to.ip(), at);
    plan.host.clone_from(host);
    if plan.length > 0 && plan.length < HEADERS {
        let _ = writeln!(
            io.err,
            "Warning: Increasing packet length to {HEADERS} bytes"
        );
        plan.length = 0;
    }
    if plan.length > HEADERS {
        return stop(format!(
            "tcptraceroute: a SYN of {} bytes is not taken: the kernel makes them, {HEADERS} bytes and its options\n",
            plan.length
        ));
    }
    Ok(plan)
}

/// The word that getopt stumbled over.
fn wrong(args: &[OsString]) -> String {
    let words = args.iter().map(|a| a.to_string_lossy().into_owned());
    let mut near = words.filter(|w| {
        let letter = w.strip_prefix('-').and_then(|w| w.chars().next());
        letter.is_some_and(|l| l == '-' || !LETTERS.contains(l) || l == ':')
    });
    crate::report::safe(&near.next().unwrap_or_default())
}

/// One answer, as it is kept for machines.
struct Heard {
    ttl: u8,
    from: Option<IpAddr>,
    took: Duration,
    note: String,
}

fn device(source: Ipv4Addr) -> Option<String> {
    let links = link::links().ok()?;
    let mark = format!("{source}/");
    let own = links
        .into_iter()
        .find(|l| l.addresses.iter().any(|a| a.starts_with(&mark)));
    own.map(|l| l.name)
}

/// The address and port that packets come from.
fn origin(plan: &Plan) -> Result<SocketAddr, String> {
    let unreachable = |e: std::io::Error| format!("connect: {}", sockets::strerror(&e));
    let own = match plan.source {
        Some(own) => own,
        None => {
            let socket = sockets::open(libc::AF_INET, libc::SOCK_DGRAM, 0, "a way")
                .map_err(|e| e.to_string())?;
            sockets::connect(&socket, plan.to).map_err(unreachable)?;
            match sockets::local(&socket).map_err(unreachable)?.ip() {
                IpAddr::V4(own) => own,
                IpAddr::V6(_) => return Err("connect: no IPv4 address".into()),
            }
        }
    };
    if plan.own_port > 0 {
        return Ok(SocketAddr::from((own, plan.own_port)));
    }
    let free = std::net::TcpListener::bind((own, 0)).and_then(|l| l.local_addr());
    free.map_err(|e| format!("bind: {}", sockets::strerror(&e)))
}

fn travel(plan: &mut Plan, io: &mut Io<'_>) -> Result<Result<i32, String>> {
    let origin = match origin(plan) {
        Ok(origin) => origin,
        Err(says) => return Ok(Err(says)),
    };
    plan.manner.source = Some(origin);
    let (own, own_port) = (origin.ip(), origin.port());
    if !plan.json {
        let found = match (&plan.manner.interface, own) {
            (Some(name), _) => Some(name.clone()),
            (None, IpAddr::V4(own)) => device(own),
            _ => None,
        };
        let found = found.unwrap_or_else(|| "?".into());
        writeln!(
            io.err,
            "Selected device {found}, address {own}, port {own_port} for outgoing packets"
        )?;
        let (to, port) = (plan.to.ip(), plan.to.port());
        let shown = match plan.host == to.to_string() {
            true => plan.host.clone(),
            false => format!("{} ({to})", crate::report::safe(&plan.host)),
        };
        let service = names::service_of(plan.to, false);
        let service = match service.parse::<u16>() {
            Ok(_) => String::new(),
            Err(_) => format!(" ({service})"),
        };
        let most = plan.most;
        writeln!(
            io.err,
            "Tracing the path to {shown} on TCP port {port}{service}, {most} hops max"
        )?;
    }
    let mut all = Vec::new();
    let mut names = BTreeMap::new();
    let mut end = None;
    for ttl in plan.first..=plan.most {
        end = match hop(plan, ttl, &mut all, &mut names, io)? {
            Ok(end) => end,
            Err(says) => return Ok(Err(says)),
        };
        if end.is_some() {
            break;
        }
    }
    if plan.json {
        writeln!(io.out, "{:#}", as_json(plan, &all))?;
    } else if end.is_none() {
        writeln!(io.err, "Destination not reached")?;
    }
    if plan.explain {
        explain(plan, end.as_deref(), io)?;
    }
    Ok(Ok(i32::from(end.is_none())))
}

/// Asks one hop; gives how the way ended, if it did.
fn hop(
    plan: &Plan,
    ttl: u8,
    all: &mut Vec<Heard>,
    names: &mut BTreeMap<IpAddr, String>,
    io: &mut Io<'_>,
) -> Result<Result<Option<String>, String>> {
    let (mut end, mut before) = (None, None);
    if !plan.json {
        write!(io.out, "{ttl:2} ")?;
    }
    for _ in 0..plan.each {
        let heard = match probe(plan, ttl) {
            Ok(heard) => heard,
            Err(says) => return Ok(Err(says)),
        };
        if !plan.json {
            match heard.from {
                None => write!(io.out, " *")?,
                Some(from) => {
                    let ms = heard.took.as_secs_f64() * 1000.0;
                    let port = heard.note.starts_with('[');
                    if before != Some(from) {
                        write!(io.out, " {}", shown(plan, from, names))?;
                        if port {
                            write!(io.out, " {}", heard.note)?;
                        }
                    }
                    let note = match port || heard.note.is_empty() {
                        true => String::new(),
                        false => format!(" {}", heard.note),
                    };
                    write!(io.out, "  {ms:.3} ms{note}")?;
                    before = Some(from);
                }
            }
            io.out.flush()?;
        }
        if heard.from.is_some() && !heard.note.is_empty() {
            end = Some(heard.note.clone());
        }
        all.push(heard);
    }
    if !plan.json {
        writeln!(io.out)?;
    }
    Ok(Ok(end))
}

fn shown(plan: &Plan, from: IpAddr, names: &mut BTreeMap<IpAddr, String>) -> String {
    let private = matches!(from, IpAddr::V4(a) if a.is_private());
    if plan.numeric || private && !plan.all_names {
        return from.to_string();
    }
    let named = names.entry(from).or_insert_with(|| {
        let name = names::name_of(SocketAddr::new(from, 0));
        match name {
            Some(name) => format!("{} ({from})", crate::report::safe(&name)),
            None => from.to_string(),
        }
    });
    named.clone()
}

/// One SYN and what came back.
fn probe(plan: &Plan, ttl: u8) -> Result<Heard, String> {
    let sent = Instant::now();
    let probe = hops::send(Method::Tcp, plan.to, ttl, 0, &plan.manner);
    let probe = probe.map_err(|f| format!("{}: {}", f.step, sockets::strerror(&f.source)))?;
    let mut heard = Heard {
        ttl,
        from: None,
        took: Duration::ZERO,
        note: String::new(),
    };
    loop {
        let left = plan.wait.saturating_sub(sent.elapsed());
        if let Some(answer) = probe.answer() {
            heard.took = sent.elapsed();
            (heard.from, heard.note) = match answer {
                Answer::There => (Some(plan.to.ip()), "[open]".into()),
                Answer::Refused => (Some(plan.to.ip()), "[closed]".into()),
                Answer::Complaint(said) => (said.by(), meaning(&said)),
            };
            return Ok(heard);
        }
        if left.is_zero() {
            return Ok(heard);
        }
        let mut fds = [libc::pollfd {
            fd: std::os::fd::AsRawFd::as_raw_fd(&probe),
            events: libc::POLLIN | libc::POLLOUT,
            revents: 0,
        }];
        sockets::poll(&mut fds, left).map_err(|e| format!("poll: {}", sockets::strerror(&e)))?;
    }
}

fn meaning(said: &Complaint) -> String {
    match (said.kind, said.code) {
        (11, _) => "",
        (3, 0) => "!N",
        (3, 1) => "!H",
        (3, 2) => "!P",
        (3, 3) => "!p",
        (3, 4) => "!F",
        (3, 5) => "!S",
        (3, 9 | 10 | 13) => "!A",
        (_, code) => return format!("!<{code}>"),
    }
    .into()
}

fn as_json(plan: &Plan, all: &[Heard]) -> Value {
    let hops = all.chunks(plan.each as usize).map(|hop| {
        let probes = hop.iter().map(|h| {
            json!({"from": h.from.map(|f| f.to_string()), "ms": h.from.map(|_| h.took.as_secs_f64() * 1000.0),
                "note": h.note})
        });
        json!({"ttl": hop.first().map(|h| h.ttl), "probes": probes.collect::<Vec<_>>()})
    });
    json!({"host": plan.host, "address": plan.to.ip().to_string(), "port": plan.to.port(),
        "hops": hops.collect::<Vec<_>>()})
}

fn explain(plan: &Plan, end: Option<&str>, io: &mut Io<'_>) -> Result<()> {
    let text = match end {
        Some("[open]") => io.lang.pick(
            "Open: the way is whole for this port and something listens at its end",
            "开放：该端口的路径完整，且末端有进程监听",
        ),
        Some("[closed]") => io.lang.pick(
            "Closed: the machine or pod answered and nobody listens there; behind a ClusterIP it may also mean a Service without ready endpoints",
            "关闭：主机或 Pod 有应答，但无人监听；若是 ClusterIP，也可能是 Service 没有就绪的端点",
        ),
        Some(_) => io.lang.pick(
            "A router has no way on or forbids it: look at its routes and at the policies there",
            "某个路由器没有继续的路径或禁止通过：请检查它的路由和策略",
        ),
        None => io.lang.pick(
            "Silent at the end: a NetworkPolicy or a firewall drops this port behind the last hop that answered, or the address is nobody's",
            "末端静默：在最后应答的一跳之后，NetworkPolicy 或防火墙丢弃了该端口的数据包，或该地址不存在",
        ),
    };
    let port = plan.to.port();
    writeln!(io.out, "{text} ({}:{port})", plan.to.ip())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_command_lines_are_refused_or_read() {
        let seeds = ["-n -q 2 -w 1 -f 1 -m 5 -p 1234 -s 127.0.0.1 127.0.0.1 80 40"];
        netshoot_wire::fuzz::texts(&seeds, 3_000, |text| {
            // Names would be looked up.
            if text
                .split(' ')
                .any(|w| w.starts_with(|c: char| c.is_alphabetic()))
            {
                return;
            }
            let args: Vec<OsString> = text.split(' ').map(OsString::from).collect();
            let (read, ..) = crate::io::heard(|io| Ok::<_, anyhow::Error>(read(&args, io).err()));
            if let Ok(Some(Stop(says, _))) = read {
                assert!(!says.is_empty());
            }
        });
    }
}
