//! The command line of mtr.

use super::figures::Field;
use crate::tools::getopt::{self, Long, Order, Takes, Word};
use netshoot_host::hops::Method;
use std::ffi::OsString;
use std::net::IpAddr;
use std::time::Duration;

const LETTERS: &str = "hv46F:rwxtglCjpnbo:y:zi:c:s:B:G:Q:eI:a:f:m:U:uTSP:L:Z:M:";
const LONG: &[Long] = &[
    ("help", Takes::Nothing, 'h'),
    ("version", Takes::Nothing, 'v'),
    ("inet", Takes::Nothing, '4'),
    ("inet6", Takes::Nothing, '6'),
    ("filename", Takes::Value, 'F'),
    ("report", Takes::Nothing, 'r'),
    ("report-wide", Takes::Nothing, 'w'),
    ("xml", Takes::Nothing, 'x'),
    ("curses", Takes::Nothing, 't'),
    ("displaymode", Takes::Value, '\u{1}'),
    ("gtk", Takes::Nothing, 'g'),
    ("raw", Takes::Nothing, 'l'),
    ("csv", Takes::Nothing, 'C'),
    ("json", Takes::Nothing, 'j'),
    ("split", Takes::Nothing, 'p'),
    ("no-dns", Takes::Nothing, 'n'),
    ("show-ips", Takes::Nothing, 'b'),
    ("order", Takes::Value, 'o'),
    ("ipinfo", Takes::Value, 'y'),
    ("aslookup", Takes::Nothing, 'z'),
    ("interval", Takes::Value, 'i'),
    ("report-cycles", Takes::Value, 'c'),
    ("psize", Takes::Value, 's'),
    ("bitpattern", Takes::Value, 'B'),
    ("gracetime", Takes::Value, 'G'),
    ("tos", Takes::Value, 'Q'),
    ("mpls", Takes::Nothing, 'e'),
    ("interface", Takes::Value, 'I'),
    ("address", Takes::Value, 'a'),
    ("first-ttl", Takes::Value, 'f'),
    ("max-ttl", Takes::Value, 'm'),
    ("max-unknown", Takes::Value, 'U'),
    ("udp", Takes::Nothing, 'u'),
    ("tcp", Takes::Nothing, 'T'),
    ("sctp", Takes::Nothing, 'S'),
    ("port", Takes::Value, 'P'),
    ("localport", Takes::Value, 'L'),
    ("timeout", Takes::Value, 'Z'),
    ("mark", Takes::Value, 'M'),
    ("explain", Takes::Nothing, '\u{2}'),
];

/// More do not fit into a line.
const MOST_FIELDS: usize = 20;

const HELP: &str = "\
Usage:
 mtr [options] hostname

 -F, --filename FILE        hosts stand in a file
 -4, -6                     IPv4 only, IPv6 only
 -u, --udp                  UDP instead of ICMP echo
 -T, --tcp                  TCP instead of ICMP echo
 -I, --interface NAME       through this interface
 -a, --address ADDRESS      own address
 -f, --first-ttl NUMBER     first hop (1)
 -m, --max-ttl NUMBER       last hop (30)
 -U, --max-unknown NUMBER   hops without answer before it stops (5)
 -P, --port PORT            port for TCP and UDP
 -L, --localport PORT       own port for UDP
 -s, --psize PACKETSIZE     size with all headers (64)
 -B, --bitpattern NUMBER    byte to fill with
 -i, --interval SECONDS     pause between cycles (1)
 -G, --gracetime SECONDS    patience after the last one (5)
 -Q, --tos NUMBER           type of service
 -Z, --timeout SECONDS      patience for a TCP or UDP probe (10)
 -M, --mark MARK            mark of each packet
 -r, --report               a report
 -w, --report-wide          a report with whole names
 -c, --report-cycles COUNT  so many cycles (10)
 -j, --json  -x, --xml  -C, --csv  -l, --raw
 -t, --curses               the screen
     --displaymode MODE     what it shows: 0 figures, 1 answers, 2 answers with latency
 -e, --mpls                 labels of MPLS that routers tell
 -n, --no-dns               no names
 -b, --show-ips             names and addresses
 -o, --order FIELDS         which figures: LDRSNBAWVGJMXI
 -z, --aslookup             a column for the network's number
     --explain              what the report says in a cluster
 -h, --help                 show this
 -v, --version              show version
";

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Report,
    Xml,
    Csv,
    Json,
    Raw,
}

/// What the screen shows: figures, or a letter for each of the last probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    Table,
    Answers,
    Latency,
}

impl Display {
    pub const ALL: [Display; 3] = [Display::Table, Display::Answers, Display::Latency];
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    pub family: i32,
    pub method: Method,
    pub style: Option<Style>,
    pub wide: bool,
    pub numeric: bool,
    pub both: bool,
    pub networks: bool,
    pub fields: Vec<Field>,
    pub interval: Duration,
    pub cycles: u32,
    pub endless: bool,
    pub size: usize,
    pub pattern: u8,
    pub grace: Duration,
    pub timeout: Duration,
    pub tos: u8,
    pub interface: Option<String>,
    pub source: Option<IpAddr>,
    pub local_port: u16,
    pub first: u8,
    pub most: u8,
    pub unknown: u8,
    pub port: Option<u16>,
    pub mark: Option<u32>,
    pub explain: bool,
    pub labels: bool,
    pub display: Display,
    pub hosts: Vec<String>,
}

pub enum Read {
    Plan(Box<Plan>),
    /// Help or version.
    Said(String),
}

impl Plan {
    pub fn usual() -> Plan {
        Plan {
            family: 0,
            method: Method::Icmp,
            style: None,
            wide: false,
            numeric: false,
            both: false,
            networks: false,
            fields: Field::list("LS NABWV").unwrap_or_default(),
            interval: Duration::from_secs(1),
            cycles: 10,
            endless: true,
            size: 64,
            pattern: 0,
            grace: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            tos: 0,
            interface: None,
            source: None,
            local_port: 0,
            first: 1,
            most: 30,
            unknown: 5,
            port: None,
            mark: None,
            explain: false,
            labels: false,
            display: Display::Table,
            hosts: Vec::new(),
        }
    }

    fn switch(&mut self, letter: char) -> Result<(), String> {
        match letter {
            '4' => self.family = libc::AF_INET,
            '6' => self.family = libc::AF_INET6,
            'r' => self.style = Some(Style::Report),
            'w' => (self.style, self.wide) = (Some(Style::Report), true),
            'x' => self.style = Some(Style::Xml),
            'C' => self.style = Some(Style::Csv),
            'j' => self.style = Some(Style::Json),
            'l' => self.style = Some(Style::Raw),
            't' => self.style = None,
            'n' => self.numeric = true,
            'b' => self.both = true,
            'z' => self.networks = true,
            'u' | 'T' | 'S' if self.method != Method::Icmp => {
                return Err("-u , -T and -S are mutually exclusive".into());
            }
            'u' => self.method = Method::Udp,
            'T' => self.method = Method::Tcp,
            '\u{2}' => self.explain = true,
            'S' => return Err("Packet type unsupported: Operation not supported".into()),
            'p' => return Err("--split is not taken: --raw says the same as it happens".into()),
            'g' => return Err("--gtk is not taken: there is no window system in a pod".into()),
            'e' => self.labels = true,
            _ => {}
        }
        Ok(())
    }

    /// A flag with its value.
    pub fn take(&mut self, letter: char, value: &str) -> Result<(), String> {
        match letter {
            'F' => {
                let read = match value {
                    "-" => std::io::read_to_string(std::io::stdin()),
                    file => std::fs::read_to_string(file),
                };
                let text = read.map_err(|e| {
                    let step = match e.kind() {
                        std::io::ErrorKind::IsADirectory => "ferror",
                        _ => "open",
                    };
                    format!("{step} {value}: {}", netshoot_host::sockets::strerror(&e))
                })?;
                let names = text.lines().map(str::trim).filter(|l| !l.is_empty());
                self.hosts.extend(names.map(str::to_string));
            }
            'o' if value.len() > MOST_FIELDS => return Err(format!("Too many fields: {value}")),
            'o' => self.fields = Field::list(value)?,
            '\u{1}' => {
                let wrong = || format!("value out of range (0 - 2): {value}");
                let at = whole(value)?;
                let at = usize::try_from(at)
                    .ok()
                    .filter(|at| *at < 3)
                    .ok_or_else(wrong)?;
                self.display = Display::ALL.get(at).copied().unwrap_or(Display::Table);
            }
            'y' => {
                number(value, 0, 4)?;
                self.networks = true;
            }
            'i' => self.interval = span(value)?,
            'G' => self.grace = span(value)?,
            'Z' => self.timeout = span(value)?,
            'c' => {
                self.cycles = number(value, 1, i32::MAX.into())? as u32;
                self.endless = false;
            }
            's' => self.size = number(value, 28, 4096)? as usize,
            'B' => self.pattern = number(value, 0, 255)? as u8,
            'Q' => self.tos = number(value, 0, 255)? as u8,
            'I' => self.interface = Some(value.into()),
            'a' => {
                self.source = Some(
                    value
                        .parse()
                        .map_err(|_| "invalid local address".to_string())?,
                )
            }
            'f' => self.first = number(value, 1, 255)?.min(30) as u8,
            'm' => self.most = number(value, 1, 255)? as u8,
            'U' => self.unknown = number(value, 1, 255)? as u8,
            'P' => {
                let port = whole(value)?;
                let port = u16::try_from(port).ok().filter(|p| *p > 0);
                self.port = Some(port.ok_or_else(|| format!("Illegal port number: {value}"))?);
            }
            'L' => {
                let port = u16::try_from(whole(value)?).ok().filter(|p| *p > 1023);
                self.local_port = port.ok_or_else(|| format!("Illegal port number: {value}"))?;
            }
            'M' => self.mark = Some(number(value, 0, u32::MAX.into())? as u32),
            _ => {}
        }
        Ok(())
    }
}

/// As the original reads numbers: none is below zero or beyond 32 bits.
fn whole(value: &str) -> Result<i64, String> {
    let number = value.parse::<u32>().map(i64::from);
    number.map_err(|_| format!("invalid argument: '{value}'"))
}

fn number(value: &str, least: i64, most: i64) -> Result<i64, String> {
    let number = whole(value)?;
    match (least..=most).contains(&number) {
        true => Ok(number),
        false => Err(format!("value {number} out of range ({least} - {most})")),
    }
}

fn span(value: &str) -> Result<Duration, String> {
    let seconds: f64 = value
        .parse()
        .map_err(|_| format!("invalid argument: '{value}'"))?;
    match seconds > 0.0 && seconds < 1e9 {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("wait time must be positive".into()),
    }
}

/// Reads it, and before it what `MTR_OPTIONS` holds.
pub fn read(args: &[OsString]) -> Result<Read, String> {
    let before = std::env::var("MTR_OPTIONS").unwrap_or_default();
    let mut all: Vec<OsString> = before.split_whitespace().map(OsString::from).collect();
    all.extend_from_slice(args);
    let mut plan = Plan::usual();
    for word in getopt::read(&all, LETTERS, LONG, Order::Anywhere) {
        match word {
            Err(mistake) => return Err(format!("{mistake}\n\n{}", HELP.trim_end())),
            Ok(Word::Operand(o)) => plan.hosts.push(o.to_string_lossy().into_owned()),
            Ok(Word::Option('h', _)) => return Ok(Read::Said(format!("\n{HELP}"))),
            Ok(Word::Option('v', _)) => {
                let own = crate::version::SHORT;
                return Ok(Read::Said(format!("mtr 0.95 (netshoot {own})\n")));
            }
            Ok(Word::Option(letter, None)) => plan.switch(letter)?,
            Ok(Word::Option(letter, Some(v))) => plan.take(letter, &v.to_string_lossy())?,
        }
    }
    if plan.hosts.is_empty() {
        plan.hosts.push("localhost".into());
    }
    plan.first = plan.first.min(plan.most);
    Ok(Read::Plan(Box::new(plan)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Read, String> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        read(&args)
    }

    #[test]
    fn a_command_line_becomes_a_plan() {
        let Ok(Read::Plan(plan)) = of("--report -c 3 -nT -P 443 -o LSA --interval=0.5 web") else {
            panic!("a plan");
        };
        assert_eq!(
            (plan.cycles, plan.port, plan.method),
            (3, Some(443), Method::Tcp)
        );
        assert_eq!((plan.fields.len(), plan.interval.as_millis()), (3, 500));
        assert_eq!(
            (plan.style, plan.hosts),
            (Some(Style::Report), vec!["web".into()])
        );
        for line in [
            "-c x web", "-i 0 web", "-m 0 web", "-o Q web", "-P 0 web", "-y 9 web", "-S web",
            "--none", "-Z",
        ] {
            assert!(of(line).is_err(), "{line}");
        }
    }

    #[test]
    fn damaged_command_lines_end() {
        let valid = "--report -c 3 -nT -P 443 -o LSA --interval=0.5 -a ::1 -s 100 web";
        // No file is looked for.
        netshoot_wire::fuzz::texts(&[valid], 5_000, |text| {
            if !text.contains('F') && !text.contains("fil") {
                drop(of(text));
            }
        });
    }
}
