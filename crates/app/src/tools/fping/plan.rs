//! The command line of fping.

use super::Refused;
use std::ffi::OsString;
use std::net::IpAddr;
use std::time::Duration;

/// Flags: letter, long name, whether it has a value.
const FLAGS: &[(char, &str, bool)] = &[
    ('4', "ipv4", false),
    ('6', "ipv6", false),
    ('a', "alive", false),
    ('A', "addr", false),
    ('b', "size", true),
    ('B', "backoff", true),
    ('c', "count", true),
    ('C', "vcount", true),
    ('d', "rdns", false),
    ('D', "timestamp", false),
    ('e', "elapsed", false),
    ('f', "file", true),
    ('g', "generate", false),
    ('h', "help", false),
    ('H', "ttl", true),
    ('i', "interval", true),
    ('I', "iface", true),
    ('l', "loop", false),
    ('m', "all", false),
    ('M', "dontfrag", false),
    ('n', "name", false),
    ('N', "netdata", false),
    ('o', "outage", false),
    ('O', "tos", true),
    ('p', "period", true),
    ('q', "quiet", false),
    ('Q', "squiet", true),
    ('r', "retry", true),
    ('R', "random", false),
    ('s', "stats", false),
    ('S', "src", true),
    ('t', "timeout", true),
    ('T', "", true),
    ('u', "unreach", false),
    ('v', "version", false),
    ('x', "reachable", true),
    ('\u{1}', "json", false),
    ('\u{2}', "explain", false),
];

const HELP: &str = "\
Usage: fping [options] [targets...]

Probing options:
   -4, --ipv4         only IPv4 addresses
   -6, --ipv6         only IPv6 addresses
   -b, --size=BYTES   bytes of data in each request (56)
   -B, --backoff=N    patience grows by this factor with each retry (1.5)
   -c, --count=N      so many requests to each target
   -f, --file=FILE    targets stand in a file (- is the input)
   -g, --generate     all addresses of a network, or from the first to the second
   -H, --ttl=N        time to live
   -I, --iface=IFACE  through this interface
   -i, --interval=MSEC  pause between requests (10 ms)
   -l, --loop         go on until interrupted
   -m, --all          each address of a name
   -M, --dontfrag     no fragments
   -O, --tos=N        type of service
   -p, --period=MSEC  pause between requests to one target (1000 ms)
   -r, --retry=N      retries (3)
   -R, --random       random data
   -S, --src=IP       own address
   -t, --timeout=MSEC patience (500 ms; with -c, -C, -l the period, up to 2000 ms)

Output options:
   -a, --alive        only those that answer
   -A, --addr         addresses in place of names
   -C, --vcount=N     as -c, with all times at the end
   -d, --rdns         names by a reverse lookup of whatever was given
   -D, --timestamp    when it was, in front
   -e, --elapsed      how long the answer took
   -n, --name         names by a reverse lookup of addresses
   -N, --netdata      for netdata (with -l -Q)
   -o, --outage       how long a target was away
   -q, --quiet        no lines for requests
   -Q, --squiet=SECS  as -q, with figures every so many seconds
   -s, --stats        figures of all at the end
   -u, --unreach      only those that do not answer
   -x, --reachable=N  whether so many answer
       --json         one object for each target
       --explain      what it says in a cluster
   -h, --help         show this
   -v, --version      show version
";

/// Most bytes of data.
const MOST_DATA: u64 = 65_488;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    pub family: i32,
    pub alive: bool,
    /// Only some targets are told, and no request.
    pub selective: bool,
    pub unreachable: bool,
    pub by_address: bool,
    pub by_name: bool,
    pub reverse: bool,
    pub size: usize,
    pub backoff: f64,
    pub count: Option<u32>,
    /// All times at the end.
    pub every_time: bool,
    pub endless: bool,
    pub timestamps: bool,
    pub elapsed: bool,
    pub file: Option<String>,
    pub generate: bool,
    pub ttl: Option<u8>,
    pub interval: Duration,
    pub interface: Option<String>,
    pub all_addresses: bool,
    pub whole: bool,
    pub netdata: bool,
    pub outage: bool,
    pub tos: Option<u32>,
    pub period: Duration,
    pub quiet: bool,
    pub report_every: Option<Duration>,
    pub retries: u32,
    pub random: bool,
    pub stats: bool,
    pub source: Option<IpAddr>,
    pub timeout: Duration,
    pub enough: Option<u32>,
    pub json: bool,
    pub explain: bool,
    pub targets: Vec<String>,
}

impl Plan {
    /// Requests to each target whatever it answers.
    pub fn counts(&self) -> bool {
        self.count.is_some() || self.endless
    }
}

pub enum Read {
    Plan(Box<Plan>),
    /// Help or version.
    Said(String),
}

/// The list of flags, with exit code 1.
pub fn usage() -> Refused {
    Refused::new(1, HELP.trim_end())
}

fn said<T>(text: String) -> Result<T, Refused> {
    Err(Refused::new(1, format!("fping: {text}")))
}

/// Reads it.
pub fn read(args: &[OsString]) -> Result<Read, Refused> {
    let mut reader = Reader::default();
    let mut words = args.iter().map(|a| a.to_string_lossy().into_owned());
    let mut only_targets = false;
    while let Some(word) = words.next() {
        if only_targets || word == "-" || !word.starts_with('-') {
            reader.targets.push(word);
        } else if word == "--" {
            only_targets = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, own) = long
                .split_once('=')
                .map_or((long, None), |(n, v)| (n, Some(v)));
            let flag = FLAGS.iter().find(|f| f.1 == name && !name.is_empty());
            let Some((letter, _, valued)) = flag.filter(|f| f.2 || own.is_none()) else {
                return invalid(long);
            };
            let value = match (valued, own) {
                (true, Some(v)) => Some(v.to_string()),
                (true, None) => Some(words.next().ok_or_else(|| missing(name))?),
                _ => None,
            };
            if let Some(read) = reader.take(*letter, value)? {
                return Ok(read);
            }
        } else {
            let mut letters = word.get(1..).unwrap_or_default().chars();
            while let Some(letter) = letters.next() {
                let Some((_, _, valued)) = FLAGS.iter().find(|f| f.0 == letter) else {
                    return invalid(&letter.to_string());
                };
                let rest = letters.as_str();
                let value = match (valued, rest.is_empty()) {
                    (false, _) => None,
                    (true, false) => Some(rest.to_string()),
                    (true, true) => Some(words.next().ok_or_else(|| missing(&letter.to_string()))?),
                };
                if let Some(read) = reader.take(letter, value)? {
                    return Ok(read);
                }
                if *valued {
                    break;
                }
            }
        }
    }
    reader.plan().map(|plan| Read::Plan(Box::new(plan)))
}

fn invalid(name: &str) -> Result<Read, Refused> {
    let name = crate::report::safe(name);
    said(format!(
        "invalid option -- '{name}'\nsee 'fping -h' for usage information"
    ))
}

fn missing(name: &str) -> Refused {
    let text = format!(
        "fping: option requires an argument -- '{name}'\nsee 'fping -h' for usage information"
    );
    Refused::new(1, text)
}

/// The flags as they were given.
#[derive(Default)]
struct Reader {
    switches: Vec<char>,
    size: Option<u64>,
    backoff: Option<f64>,
    count: Option<u32>,
    every_time: bool,
    ttl: Option<u64>,
    interval: Option<f64>,
    period: Option<f64>,
    timeout: Option<f64>,
    report_every: Option<f64>,
    retries: Option<u32>,
    tos: Option<u32>,
    enough: Option<u32>,
    source: Option<IpAddr>,
    interface: Option<String>,
    file: Option<String>,
    targets: Vec<String>,
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Refused> {
    text.parse().map_err(|_| usage())
}

/// A number of milliseconds or seconds, not below zero.
fn span(text: &str) -> Result<f64, Refused> {
    let value: f64 = number(text)?;
    match (0.0..1e9).contains(&value) {
        true => Ok(value),
        false => Err(usage()),
    }
}

impl Reader {
    fn on(&self, letter: char) -> bool {
        self.switches.contains(&letter)
    }

    fn take(&mut self, letter: char, value: Option<String>) -> Result<Option<Read>, Refused> {
        let Some(value) = value else {
            match (letter, self.on('4') || self.on('6')) {
                ('h', _) => return Ok(Some(Read::Said(HELP.into()))),
                ('v', _) => {
                    let own = crate::version::SHORT;
                    let text = format!("fping: Version 5.1 (netshoot {own})\n");
                    return Ok(Some(Read::Said(text)));
                }
                ('4' | '6', true) if !self.on(letter) => {
                    return said("can't specify both -4 and -6".into());
                }
                _ => self.switches.push(letter),
            }
            return Ok(None);
        };
        match letter {
            // Below zero it was a number without a sign once.
            'b' => {
                let size: i64 = number(&value)?;
                self.size = Some(if size < 0 {
                    u64::from(size as u32)
                } else {
                    size as u64
                });
            }
            'B' => self.backoff = Some(number(&value)?),
            'c' | 'C' => {
                let count: u32 = number(&value)?;
                self.count = Some(Some(count).filter(|c| *c > 0).ok_or_else(usage)?);
                self.every_time |= letter == 'C';
            }
            'f' => self.file = Some(value),
            'H' => self.ttl = Some(number(&value)?),
            'i' => self.interval = Some(span(&value)?),
            'I' => self.interface = Some(value),
            'O' => {
                let hex = value.strip_prefix("0x");
                let tos =
                    hex.map_or_else(|| value.parse().ok(), |h| u32::from_str_radix(h, 16).ok());
                self.tos = Some(tos.ok_or_else(usage)?);
            }
            'p' => self.period = Some(span(&value)?),
            'Q' => self.report_every = Some(span(&value)?),
            'r' => self.retries = Some(number(&value)?),
            'S' => match value.parse() {
                Ok(address) => self.source = Some(address),
                Err(_) => return said(format!("can't parse source address: {value}")),
            },
            't' => self.timeout = Some(span(&value)?),
            'x' => {
                let enough: u32 = number(&value)?;
                self.enough = Some(Some(enough).filter(|e| *e > 0).ok_or_else(usage)?);
            }
            // -T: nothing of it is left.
            _ => {}
        }
        Ok(None)
    }

    fn plan(self) -> Result<Plan, Refused> {
        self.settle()?;
        let ms = |v: f64| Duration::from_secs_f64(v / 1000.0);
        let counts = self.count.is_some() || self.on('l');
        let period = self.period.unwrap_or(1000.0);
        let usual = if counts { period.min(2000.0) } else { 500.0 };
        let every = self.report_every.filter(|s| *s > 0.0);
        Ok(Plan {
            family: match (self.on('4'), self.on('6')) {
                (true, _) => libc::AF_INET,
                (_, true) => libc::AF_INET6,
                _ => 0,
            },
            selective: self.on('a') || self.on('u') || self.enough.is_some(),
            alive: self.on('a') && !counts,
            unreachable: self.on('u') && !counts,
            by_address: self.on('A'),
            by_name: self.on('n'),
            reverse: self.on('d'),
            size: usize::try_from(self.size.unwrap_or(56)).unwrap_or(0),
            backoff: self.backoff.unwrap_or(1.5),
            count: self.count,
            every_time: self.every_time,
            endless: self.on('l'),
            timestamps: self.on('D'),
            elapsed: self.on('e'),
            generate: self.on('g'),
            ttl: self.ttl.and_then(|t| u8::try_from(t).ok()),
            interval: ms(self.interval.unwrap_or(10.0)),
            all_addresses: self.on('m'),
            whole: self.on('M'),
            netdata: self.on('N'),
            outage: self.on('o'),
            tos: self.tos,
            period: ms(period),
            quiet: self.on('q') || every.is_some(),
            report_every: every.map(Duration::from_secs_f64).filter(|_| counts),
            retries: self.retries.unwrap_or(3),
            random: self.on('R'),
            stats: self.on('s'),
            source: self.source,
            timeout: ms(self.timeout.unwrap_or(usual)),
            enough: self.enough,
            json: self.on('\u{1}'),
            explain: self.on('\u{2}'),
            interface: self.interface,
            file: self.file,
            targets: self.targets,
        })
    }

    /// What does not go together, or is out of range.
    fn settle(&self) -> Result<(), Refused> {
        if let Some(size) = self.size.filter(|s| *s > MOST_DATA) {
            return said(format!(
                "data size {size} not valid, must be lower than {MOST_DATA}"
            ));
        }
        if self.on('l') && self.count.is_some() {
            return said("specify only one of c, l".into());
        }
        // Who is not root may not flood.
        let root = rustix::process::geteuid().is_root();
        let short = self.interval.is_some_and(|i| i < 1.0) || self.period.is_some_and(|p| p < 10.0);
        if short && !root {
            let why = "these options are too risky for mere mortals.\nfping: You need -i >= 1 and -p >= 10";
            return said(why.into());
        }
        if let Some(ttl) = self.ttl.filter(|t| !(1..=255).contains(t)) {
            return said(format!("ttl {ttl} out of range"));
        }
        if self.on('a') && self.on('u') {
            return said("specify only one of a, u".into());
        }
        if self.on('d') && self.on('n') {
            return said("use either one of -d or -n".into());
        }
        if let Some(factor) = self.backoff.filter(|b| !(1.0..=5.0).contains(b)) {
            let text = format!("backoff factor {factor:.1} not valid, must be between 1.0 and 5.0");
            return said(text);
        }
        let both = self.file.is_some() && (self.on('g') || !self.targets.is_empty());
        let few = self.on('g') && !matches!(self.targets.len(), 1 | 2);
        if both || few {
            return Err(usage());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Read, Refused> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        read(&args)
    }

    #[test]
    fn a_command_line_becomes_a_plan() {
        let Ok(Read::Plan(plan)) = of("-C3 --period=50 a -qe --size 20 b -H 5") else {
            panic!("a plan");
        };
        assert_eq!((plan.count, plan.every_time), (Some(3), true));
        assert_eq!(
            (plan.period.as_millis(), plan.timeout.as_millis()),
            (50, 50)
        );
        assert_eq!((plan.size, plan.ttl, plan.quiet), (20, Some(5), true));
        assert_eq!(plan.targets, ["a", "b"]);
        for line in [
            "-c 0 a",
            "-c x a",
            "-Z",
            "--cou=1 a",
            "-g a b c",
            "-f x y",
            "-H 300 a",
            "-t -1 a",
            "-c",
        ] {
            assert!(of(line).is_err_and(|r| r.code == 1), "{line}");
        }
    }

    #[test]
    fn damaged_command_lines_end() {
        let valid = "-C3 --period=50 -qe --size 20 -H 5 -S ::1 -O 0x10 -B 2.5 far";
        netshoot_wire::fuzz::texts(&[valid], 5_000, |text| drop(of(text)));
    }
}
