//! `socat`: two ends of any kind, and what comes from the one goes to the other.

mod address;
mod end;
mod listen;
mod log;
mod open;
mod options;
mod relay;
mod secured;

pub use end::End;
pub use secured::Secured;

use super::{Group, Tool};
use crate::io::Io;
use address::Address;
use anyhow::Result;
use log::Log;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "socat",
    stands_for: "socat",
    group: Group::Reach,
    tier: 2,
    about: "Join two ends: TCP, UDP, UNIX sockets, TLS, commands, files",
    about_zh: "连接任意两端：TCP、UDP、UNIX 套接字、TLS、命令、文件",
    page: include_str!("pages/socat.md"),
    cases: include_str!("cases/socat.txt"),
    run,
};

const HELP: &str = "\
Usage:
socat [options] <bi-address> <bi-address>
   options:
      -V     print version and feature information to stdout, and exit
      -h|-?  print a help text describing command line options and addresses
      -d[ddd]         increase verbosity (use up to 4 times; 2 are recommended)
      -lf<logfile>   log to file
      -ls            log to stderr
      -lp<progname>  set the program name used for logging
      -lu            use microseconds for logging timestamps
      -v     verbose text dump of data traffic
      -x     verbose hexadecimal dump of data traffic
      -b<size_t>     set data buffer size (8192)
      -t<timeout>    wait seconds before closing second channel
      -T<timeout>    total inactivity timeout in seconds
      -u     unidirectional mode (left to right)
      -U     unidirectional mode (right to left)
      -4     prefer IPv4 if version is not explicitly specified
      -6     prefer IPv6 if version is not explicitly specified
      --json     say at the end, as one line on standard error, what was carried
      --explain  say at the end what was carried, and what an error means in a cluster
   bi-address:
      <single-address>!!<single-address>
      <single-address>
   single-address:
      <address-head>[,<opts>]
   address-head:
      - | STDIO | STDIN | STDOUT | STDERR | FD:<num> | PIPE
      OPEN:<file> | GOPEN:<file> | CREATE:<file>
      TCP[4|6]:<host>:<port> | TCP[4|6]-LISTEN:<port>
      UDP[4|6]:<host>:<port> | UDP[4|6]-LISTEN:<port> | UDP-RECV:<port> | UDP-RECVFROM:<port> | UDP-SENDTO:<host>:<port>
      UNIX-CONNECT:<file> | UNIX-LISTEN:<file> | ABSTRACT-CONNECT:<name> | ABSTRACT-LISTEN:<name>
      OPENSSL:<host>:<port> | OPENSSL-LISTEN:<port>
      EXEC:<command-line> | SYSTEM:<shell-command>
";

/// Which ways are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ways {
    #[default]
    Both,
    LeftToRight,
    RightToLeft,
}

/// What the options in front of the addresses say.
#[derive(Debug)]
struct Plan {
    log: Log,
    ways: Ways,
    text: bool,
    hex: bool,
    buffer: usize,
    /// After the one end is over.
    closing: Duration,
    /// Without any byte.
    idle: Option<Duration>,
    family: i32,
    explain: bool,
    json: bool,
    /// Bytes from left to right, and from right to left.
    carried: [AtomicU64; 2],
}

/// A larger buffer saves no call any more.
const MOST_AT_ONCE: u64 = 1 << 24;

/// How a run ends early: what was to be said was said.
struct Failed;

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut plan = Plan {
        log: Log::new(),
        ways: Ways::Both,
        text: false,
        hex: false,
        buffer: 8192,
        closing: Duration::from_millis(500),
        idle: None,
        family: 0,
        explain: false,
        json: false,
        carried: Default::default(),
    };
    let words: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let operands = match plan.read(&words, io) {
        Ok(Ok(operands)) => operands,
        Ok(Err(code)) => return Ok(code),
        Err(why) => {
            plan.log.error(&why);
            return Ok(1);
        }
    };
    let [left, right] = operands.as_slice() else {
        let n = operands.len();
        plan.log.error(&format!(
            "exactly 2 addresses required (there are {n}); use option \"-h\" for help"
        ));
        return Ok(1);
    };
    let explain = plan.explain;
    let lang = io.lang;
    let plan = Arc::new(plan);
    let began = std::time::Instant::now();
    let done = join(&plan, left, right);
    if plan.json {
        let carried = |i: usize| plan.carried.get(i).map_or(0, |c| c.load(Ordering::Relaxed));
        let all = serde_json::json!({"left": left, "right": right, "reached": done.is_ok(),
            "bytes": {"to_right": carried(0), "to_left": carried(1)}, "seconds": began.elapsed().as_secs_f64()});
        writeln!(io.err, "{all}")?;
    }
    if explain {
        let text = match done {
            Ok(_) => lang.pick(
                "Both ends were reached: what did not come through was dropped behind them, not on the way between",
                "两端均已到达：未能通过的内容是在两端之后丢弃的，而不是在途中",
            ),
            Err(_) => lang.pick(
                "An end was not reached: refused means that nobody listens there, a timeout that something on the way drops it (a NetworkPolicy, a firewall)",
                "有一端未能到达：拒绝表示无人监听，超时表示途中被丢弃（NetworkPolicy、防火墙）",
            ),
        };
        writeln!(io.err, "{text}")?;
    }
    Ok(done.unwrap_or(1))
}

fn join(plan: &Arc<Plan>, left: &str, right: &str) -> Result<i32, Failed> {
    let said = |why: String| {
        plan.log.error(&why);
        Failed
    };
    let left = address::parse(left).map_err(said)?;
    // The original looks at the second one only when the first stands open.
    let right = || -> Result<Vec<Address>, Failed> { address::parse(right).map_err(said) };
    if let [one] = left.as_slice()
        && one.forks()
    {
        return listen::for_ever(plan, one, right()?);
    }
    let first = open::open(plan, &left, 0)?;
    let right = right()?;
    if let [one] = right.as_slice()
        && one.forks()
    {
        plan.log
            .error("option fork is taken with the first address only");
        return Err(Failed);
    }
    let second = open::open(plan, &right, 1)?;
    relay::relay(plan, first, second)
}

impl Plan {
    /// Options in front; the rest are addresses. The outer error is a sentence, the inner one an exit code.
    fn read(
        &mut self,
        words: &[String],
        io: &mut Io<'_>,
    ) -> Result<Result<Vec<String>, i32>, String> {
        let mut words = words.iter().peekable();
        let mut operands = Vec::new();
        let mut both_ways = false;
        while let Some(word) = words.next() {
            if !word.starts_with('-')
                || word == "-"
                || word.starts_with("-,")
                || word.starts_with("-!!")
                || !operands.is_empty()
            {
                operands.push(word.clone());
                continue;
            }
            let end = word.char_indices().nth(2).map_or(word.len(), |c| c.0);
            let (letter, rest) = word.split_at(end);
            let mut value = |what: &str| match rest {
                "" => words.next().cloned().ok_or_else(|| {
                    format!("option {what} requires an argument; use option \"-h\" for help")
                }),
                rest => Ok(rest.to_string()),
            };
            if let (Some(own), Some(next)) = (letter.strip_prefix('-'), rest.chars().next())
                && "vxuUDgs46".contains(own)
            {
                let _ = writeln!(
                    io.err,
                    "Do not merge single character options, i.e. use \"{letter} -{next}\" instead of \"{letter}{next}\""
                );
                return Ok(Err(1));
            }
            match (letter, rest) {
                ("-V", _) => {
                    let _ = writeln!(io.out, "socat of netshoot {}", crate::version::SHORT);
                    return Ok(Err(0));
                }
                ("-h" | "-?", _) => {
                    let _ = write!(io.out, "{HELP}");
                    return Ok(Err(0));
                }
                ("-d", rest) if rest.chars().all(|c| c == 'd') => self.log.louder(1 + rest.len()),
                ("-d", "0" | "1" | "2" | "3" | "4") => self.log.set(rest.parse().unwrap_or(0)),
                ("-v", "") => self.text = true,
                ("-x", "") => self.hex = true,
                ("-u" | "-U", "") => {
                    let way = match letter {
                        "-u" => Ways::LeftToRight,
                        _ => Ways::RightToLeft,
                    };
                    both_ways |= self.ways != Ways::Both && self.ways != way;
                    self.ways = way;
                }
                ("-4", "") => self.family = libc::AF_INET,
                ("-6", "") => self.family = libc::AF_INET6,
                ("-D" | "-g" | "-s", "") => {}
                ("-l", "s" | "y" | "m" | "h") => {}
                ("-l", "u") => self.log.micros = true,
                ("-l", "f" | "p") => {
                    let name = words.next().cloned().ok_or_else(|| {
                        format!("option {word} requires an argument; use option \"-h\" for help")
                    })?;
                    match rest {
                        "f" => self.log.write_to(&name)?,
                        _ => self.log.name = name,
                    }
                }
                ("-l", rest) if rest.starts_with('f') => self.log.write_to(&rest[1..])?,
                ("-l", rest) if rest.starts_with('p') => self.log.name = rest[1..].into(),
                ("-l", _) => {
                    return Err(format!(
                        "unknown log option \"{word}\"; use option \"-h\" for help"
                    ));
                }
                ("-b", _) => {
                    let size = options::size("-b", &value("-b")?)?.min(MOST_AT_ONCE);
                    self.buffer = usize::try_from(size).unwrap_or(self.buffer);
                }
                ("-t", _) => self.closing = options::seconds("-t", &value("-t")?)?,
                ("-T", _) => self.idle = Some(options::seconds("-T", &value("-T")?)?),
                ("-r" | "-R" | "-L" | "-W", _) => {
                    return Err(format!("option \"{letter}\" is not taken here"));
                }
                ("--", "explain") => self.explain = true,
                ("--", "json") => self.json = true,
                ("--", rest) if rest.starts_with("lang=") => {
                    io.lang = crate::io::choose_lang(rest.get(5..));
                }
                _ => {
                    return Err(format!(
                        "unknown option \"{word}\"; use option \"-h\" for help"
                    ));
                }
            }
        }
        match both_ways {
            true => Err("-U and -u must not be combined".into()),
            false => Ok(Ok(operands)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_options_are_refused_or_read() {
        let valid =
            "-d -d -v -x -u -t 3 -T5 -b 100 -lpname -lu -4 - TCP:localhost:80,bind=127.0.0.1";
        netshoot_wire::fuzz::texts(&[valid], 5_000, |line| {
            // Not to write files of any name.
            if line.contains("lf") {
                return;
            }
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            let mut plan = Plan {
                log: Log::new(),
                ways: Ways::Both,
                text: false,
                hex: false,
                buffer: 1,
                closing: Duration::ZERO,
                idle: None,
                family: 0,
                explain: false,
                json: false,
                carried: Default::default(),
            };
            let (read, ..) = crate::io::heard(|io| plan.read(&words, io));
            if let Ok(Ok(operands)) = read {
                for one in operands {
                    let _ = address::parse(&one);
                }
            }
        });
    }
}
