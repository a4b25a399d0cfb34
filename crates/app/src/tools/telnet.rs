//! `telnet`: a line to a port, as GNU inetutils has it: what people type to see whether somebody listens.

mod line;
mod prompt;

use super::getopt::{self, Long, Order, Takes, Word};
use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::names::{self, Hints};
use netshoot_host::{sockets, streams};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "telnet",
    stands_for: "inetutils-telnet",
    group: Group::Reach,
    tier: 2,
    about: "Open a line to a port and talk through it",
    about_zh: "连接到端口并与之对话",
    page: include_str!("pages/telnet.md"),
    cases: include_str!("cases/telnet.txt"),
    run,
};

const LETTERS: &str = "468ab:cde:EKl:Ln:rk:xX:?V";
const LONG: &[Long] = &[
    ("ipv4", Takes::Nothing, '4'),
    ("ipv6", Takes::Nothing, '6'),
    ("binary", Takes::Nothing, '8'),
    ("login", Takes::Nothing, 'a'),
    ("bind", Takes::Value, 'b'),
    ("no-rc", Takes::Nothing, 'c'),
    ("debug", Takes::Nothing, 'd'),
    ("escape", Takes::Value, 'e'),
    ("no-escape", Takes::Nothing, 'E'),
    ("no-login", Takes::Nothing, 'K'),
    ("user", Takes::Value, 'l'),
    ("binary-output", Takes::Nothing, 'L'),
    ("trace", Takes::Value, 'n'),
    ("rlogin", Takes::Nothing, 'r'),
    ("encrypt", Takes::Nothing, 'x'),
    ("realm", Takes::Value, 'k'),
    ("disable-auth", Takes::Value, 'X'),
    ("help", Takes::Nothing, '?'),
    ("usage", Takes::Nothing, '\u{1}'),
    ("version", Takes::Nothing, 'V'),
    ("explain", Takes::Nothing, '\u{2}'),
    ("lang", Takes::Value, '\u{3}'),
    ("json", Takes::Nothing, '\u{4}'),
];

const HELP: &str = "\
Usage: telnet [OPTION...] [HOST [PORT]]
Login to remote system HOST (optionally, on service port PORT)

  -4, --ipv4                 use only IPv4
  -6, --ipv6                 use only IPv6
  -8, --binary               use an 8-bit data transmission
  -b, --bind=ADDRESS         bind to specific local ADDRESS
  -e, --escape=CHAR          use CHAR as an escape character
  -E, --no-escape            use no escape character
  -L, --binary-output        use an 8-bit data transmission for output only
      --json                 say as JSON whether the line opens, and hang up
      --explain              say what the result means in a cluster
  -?, --help                 give this help list
  -V, --version              print program version
";

/// What was asked for.
#[derive(Clone, Debug)]
struct Plan {
    family: i32,
    own: Option<IpAddr>,
    /// Ends what is typed; none with `-E`.
    escape: Option<u8>,
    explain: bool,
    json: bool,
}

/// A word for the escape character: `^]`, `q`, `off`.
fn shown(escape: Option<u8>) -> String {
    match escape {
        None => "off".into(),
        Some(c @ 0..32) => format!("^{}", char::from(c ^ 64)),
        Some(127) => "^?".into(),
        Some(c) => char::from(c).to_string(),
    }
}

/// `^A`, `q`; nothing is none.
fn escape(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [] => None,
        [b'^', b'?'] => Some(127),
        [b'^', c, ..] => Some(c.to_ascii_uppercase() & 31),
        [c, ..] => Some(*c),
    }
}

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut plan = Plan {
        family: 0,
        own: None,
        escape: Some(29),
        explain: false,
        json: false,
    };
    let mut operands = Vec::new();
    for word in getopt::read(args, LETTERS, LONG, Order::Anywhere) {
        let (letter, value) = match word {
            Err(mistake) => {
                let more = "Try 'telnet --help' or 'telnet --usage' for more information.";
                writeln!(io.err, "telnet: {mistake}\n{more}")?;
                return Ok(64);
            }
            Ok(Word::Operand(o)) => {
                operands.push(o.to_string_lossy().into_owned());
                continue;
            }
            Ok(Word::Option(letter, value)) => (letter, value.unwrap_or_default()),
        };
        let value = value.to_string_lossy().into_owned();
        match letter {
            '?' | '\u{1}' => {
                write!(io.out, "{HELP}")?;
                return Ok(0);
            }
            'V' => {
                writeln!(io.out, "telnet of netshoot {}", crate::version::SHORT)?;
                return Ok(0);
            }
            '\u{3}' => io.lang = crate::io::choose_lang(Some(&value)),
            'x' | 'k' | 'n' => {
                let why = match letter {
                    'n' => "traces are tcpdump's business",
                    _ => "telnet's own encryption keeps nobody out",
                };
                writeln!(io.err, "telnet: -{letter} is not taken: {why}")?;
                return Ok(1);
            }
            letter => plan.take(letter, &value, io)?,
        }
    }
    if operands.len() > 2 {
        writeln!(io.err, "telnet: too many arguments")?;
        return Ok(1);
    }
    if operands.iter().any(String::is_empty) {
        let usage = "usage: telnet [-4] [-6] [-l user] [-b addr] [-a] host-name [port]";
        writeln!(io.out, "{usage}")?;
        return Ok(1);
    }
    let Some(host) = operands.first() else {
        return prompt::without_a_line(&plan, io);
    };
    let port = operands.get(1).map_or("telnet", String::as_str);
    if plan.json {
        return told(&plan, host, port, io);
    }
    match open(&plan, host, port, io)? {
        Some(fd) => line::talk(&plan, fd, io),
        None => Ok(1),
    }
}

impl Plan {
    fn take(&mut self, letter: char, value: &str, io: &mut Io<'_>) -> Result<()> {
        match letter {
            '4' => self.family = libc::AF_INET,
            '6' => self.family = libc::AF_INET6,
            'E' => self.escape = None,
            'e' => {
                self.escape = escape(value);
                writeln!(
                    io.out,
                    "Telnet escape character is '{}'.",
                    shown(self.escape)
                )?;
            }
            'b' => {
                let found = names::resolve(Some(value), None, Hints::default());
                self.own = found.ok().and_then(|f| f.addresses.first().map(|a| a.ip()));
            }
            '\u{2}' => self.explain = true,
            '\u{4}' => self.json = true,
            // Logging in, terminals and debugging change nothing for a line to a port.
            _ => {}
        }
        Ok(())
    }
}

/// Tries each address; says what came back.
fn open(plan: &Plan, host: &str, port: &str, io: &mut Io<'_>) -> Result<Option<OwnedFd>> {
    // `-23` asks the original to negotiate at any port, which ours always does.
    let port = port
        .strip_prefix(['-', '+'])
        .filter(|p| !p.is_empty())
        .unwrap_or(port);
    if port.parse::<u64>().is_ok_and(|p| !(1..65_536).contains(&p)) {
        writeln!(io.out, "Port number {port} is out of range.")?;
        return Ok(None);
    }
    if port.starts_with(|c: char| c.is_ascii_digit()) && port.parse::<u64>().is_err() {
        writeln!(io.out, "Invalid port name '{port}'.")?;
        return Ok(None);
    }
    let hints = Hints {
        family: plan.family,
        kind: libc::SOCK_STREAM,
        flags: 0,
    };
    let found = match names::resolve(Some(host), Some(port), hints) {
        Ok(found) => found.addresses,
        Err(why) => {
            writeln!(io.out, "Server lookup failure:  {host}:{port}, {why}")?;
            return Ok(None);
        }
    };
    let count = found.len();
    for (i, to) in found.into_iter().enumerate() {
        writeln!(io.out, "Trying {}...", names::figures(to))?;
        io.out.flush()?;
        let last = i + 1 == count;
        match reach(plan, to) {
            Ok(fd) => {
                writeln!(io.out, "Connected to {host}.")?;
                writeln!(io.out, "Escape character is '{}'.", shown(plan.escape))?;
                io.out.flush()?;
                explain(plan, None, io)?;
                return Ok(Some(fd));
            }
            Err((step, e)) => {
                let why = sockets::strerror(&e);
                match (step, last) {
                    ("connect", false) => {
                        writeln!(io.err, "Connection failed: {why}")?;
                        continue;
                    }
                    ("connect", true) => {
                        writeln!(io.err, "telnet: Unable to connect to remote host: {why}")?;
                    }
                    (step, _) => writeln!(io.err, "telnet: {step}: {why}")?,
                }
                explain(plan, Some(&e), io)?;
                return Ok(None);
            }
        }
    }
    Ok(None)
}

/// `--json`: whether the line opens, address by address.
fn told(plan: &Plan, host: &str, port: &str, io: &mut Io<'_>) -> Result<i32> {
    let port = port.strip_prefix(['-', '+']).unwrap_or(port);
    let hints = Hints {
        family: plan.family,
        kind: libc::SOCK_STREAM,
        flags: 0,
    };
    let (found, unresolved) = match names::resolve(Some(host), Some(port), hints) {
        Ok(found) => (found.addresses, None),
        Err(why) => (vec![], Some(why)),
    };
    let (mut tried, mut open, mut last) = (Vec::new(), false, None);
    for to in found {
        let began = std::time::Instant::now();
        let ended = reach(plan, to);
        let us = began.elapsed().as_micros() as u64;
        let error = ended.as_ref().err().map(|(step, e)| {
            let why = sockets::strerror(e);
            format!("{step}: {why}")
        });
        tried.push(serde_json::json!({"address": to.to_string(), "open": ended.is_ok(), "us": us, "error": error}));
        open = ended.is_ok();
        last = ended.err().map(|(_, e)| e);
        if open {
            break;
        }
    }
    let all = serde_json::json!({"host": host, "port": port, "open": open, "tried": tried, "error": unresolved});
    writeln!(io.out, "{all:#}")?;
    if open || last.is_some() {
        explain(plan, last.as_ref(), io)?;
    }
    Ok(i32::from(!open))
}

fn reach(plan: &Plan, to: SocketAddr) -> Result<OwnedFd, (&'static str, std::io::Error)> {
    let fd = streams::open(to, &streams::Manner::default()).map_err(|f| ("socket", f.source))?;
    if let Some(own) = plan.own {
        streams::bind(&fd, SocketAddr::new(own, 0)).map_err(|e| ("bind", e))?;
    }
    streams::connect(&fd, to, None).map_err(|e| ("connect", e))?;
    Ok(fd)
}

fn explain(plan: &Plan, failed: Option<&std::io::Error>, io: &mut Io<'_>) -> Result<()> {
    if !plan.explain {
        return Ok(());
    }
    let text = match failed.map(|e| e.raw_os_error().unwrap_or(0)) {
        None => io.lang.pick(
            "Open: something listens and nothing on the way drops it; what serves the port it does not say",
            "开放：有进程监听，途中没有丢弃；但端口本身不说明提供什么服务",
        ),
        Some(libc::ECONNREFUSED) => io.lang.pick(
            "Refused: the machine or pod answered and nobody listens there; behind a ClusterIP it may also mean a Service without ready endpoints",
            "拒绝：主机或 Pod 有应答，但无人监听；若是 ClusterIP，也可能是 Service 没有就绪的端点",
        ),
        Some(libc::ETIMEDOUT) => io.lang.pick(
            "Silent: dropped on the way (a NetworkPolicy, a firewall) or the address is nobody's",
            "静默：途中被丢弃（NetworkPolicy、防火墙），或该地址不存在",
        ),
        Some(_) => io.lang.pick(
            "No way there: look at the routes of this machine (ip route get)",
            "没有到达的路径：请检查本机路由（ip route get）",
        ),
    };
    writeln!(io.err, "{text}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_characters_as_people_write_them() {
        for (text, code, word) in [
            ("^]", Some(29), "^]"),
            ("^a", Some(1), "^A"),
            ("q", Some(b'q'), "q"),
            ("", None, "off"),
        ] {
            assert_eq!(escape(text), code, "{text}");
            assert_eq!(shown(code), word);
        }
    }
}
