//! The command line of ss.

use super::Refused;
use super::filter::{self, Filter};
use crate::tools::getopt::{self, Long, Order, Takes, Word};
use std::ffi::OsString;

const LETTERS: &str = "hVHOnralompeTisbEZzN:460tMSudwxf:KA:D:F:BvO";
const LONG: &[Long] = &[
    ("help", Takes::Nothing, 'h'),
    ("version", Takes::Nothing, 'V'),
    ("no-header", Takes::Nothing, 'H'),
    ("oneline", Takes::Nothing, 'O'),
    ("numeric", Takes::Nothing, 'n'),
    ("resolve", Takes::Nothing, 'r'),
    ("all", Takes::Nothing, 'a'),
    ("listening", Takes::Nothing, 'l'),
    ("options", Takes::Nothing, 'o'),
    ("memory", Takes::Nothing, 'm'),
    ("extended", Takes::Nothing, 'e'),
    ("processes", Takes::Nothing, 'p'),
    ("threads", Takes::Nothing, 'T'),
    ("info", Takes::Nothing, 'i'),
    ("summary", Takes::Nothing, 's'),
    ("bpf", Takes::Nothing, 'b'),
    ("events", Takes::Nothing, 'E'),
    ("context", Takes::Nothing, 'Z'),
    ("contexts", Takes::Nothing, 'z'),
    ("net", Takes::Value, 'N'),
    ("ipv4", Takes::Nothing, '4'),
    ("ipv6", Takes::Nothing, '6'),
    ("packet", Takes::Nothing, '0'),
    ("tcp", Takes::Nothing, 't'),
    ("mptcp", Takes::Nothing, 'M'),
    ("sctp", Takes::Nothing, 'S'),
    ("udp", Takes::Nothing, 'u'),
    ("dccp", Takes::Nothing, 'd'),
    ("raw", Takes::Nothing, 'w'),
    ("unix", Takes::Nothing, 'x'),
    ("family", Takes::Value, 'f'),
    ("kill", Takes::Nothing, 'K'),
    ("query", Takes::Value, 'A'),
    ("socket", Takes::Value, 'A'),
    ("diag", Takes::Value, 'D'),
    ("filter", Takes::Value, 'F'),
    ("tos", Takes::Nothing, '\u{1}'),
    ("cgroup", Takes::Nothing, '\u{2}'),
    ("inet-sockopt", Takes::Nothing, '\u{3}'),
    ("vsock", Takes::Nothing, '\u{4}'),
    ("tipc", Takes::Nothing, '\u{5}'),
    ("xdp", Takes::Nothing, '\u{6}'),
    ("tipcinfo", Takes::Nothing, '\u{5}'),
    ("json", Takes::Nothing, '\u{7}'),
    ("explain", Takes::Nothing, '\u{8}'),
];

pub const HELP: &str = "\
Usage: ss [ OPTIONS ] [ FILTER ]
   -a, --all  -l, --listening     all sockets, or those that listen; else those that are connected
   -t, --tcp  -u, --udp  -w, --raw  -x, --unix  -0, --packet     which kinds
   -4, --ipv4  -6, --ipv6  -f, --family={inet|inet6|link|unix|netlink}
   -A, --query={all|inet|tcp|udp|raw|unix|unix_dgram|unix_stream|unix_seqpacket|packet|packet_raw|packet_dgram|netlink},...
   -n, --numeric  -r, --resolve   no names of services; names of hosts
   -p, --processes  -T, --threads who holds it
   -o, --options  -e, --extended  -m, --memory  -i, --info  --tos  --cgroup  --inet-sockopt
   -s, --summary  -H, --no-header  -O, --oneline
   -N, --net=NAME                 in the namespace of that name
   -F, --filter=FILE              the filter stands in a file
       --json  --explain          for machines; what the list says in a cluster
   FILTER := [ state STATE ] [ exclude STATE ] [ EXPRESSION ]
   EXPRESSION: {src|dst} ADDRESS[/PREFIX][:PORT], {sport|dport} OP [:]PORT, dev NAME, fwmark MARK[/MASK],
               autobound; not, and, or, ( )
It shows; it changes nothing.
";

/// What kinds of sockets there are, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Netlink,
    PacketRaw,
    PacketDatagram,
    UnixStream,
    UnixDatagram,
    UnixSequence,
    Raw,
    Udp,
    Tcp,
}

use Kind::*;
const UNIX: &[Kind] = &[UnixStream, UnixDatagram, UnixSequence];
const PACKET: &[Kind] = &[PacketRaw, PacketDatagram];
const INET: &[Kind] = &[Raw, Udp, Tcp];
const EVERY: &[Kind] = &[
    Netlink,
    PacketRaw,
    PacketDatagram,
    UnixStream,
    UnixDatagram,
    UnixSequence,
    Raw,
    Udp,
    Tcp,
];

/// States by the numbers of TCP.
pub const LISTEN: u32 = 1 << 10;
const CLOSE: u32 = 1 << 7;
const ESTABLISHED: u32 = 1 << 1;
const BUCKET: u32 = 1 << 3 | 1 << 6;
pub const ALL_STATES: u32 = 0xfff;
const CONNECTED: u32 = ALL_STATES & !(LISTEN | CLOSE | 1);
const USUAL: u32 = CONNECTED & !BUCKET;

impl Kind {
    /// The states that are shown when none was asked for.
    fn usual(self) -> u32 {
        match self {
            Netlink | PacketRaw | PacketDatagram => CLOSE,
            Raw | Udp => ESTABLISHED,
            _ => USUAL,
        }
    }

    fn of_table(word: &str) -> Option<&'static [Kind]> {
        Some(match word {
            "all" => EVERY,
            "inet" => INET,
            "tcp" => &[Tcp],
            "udp" => &[Udp],
            "raw" => &[Raw],
            "unix" | "u" => UNIX,
            "unix_stream" | "u_str" => &[UnixStream],
            "unix_dgram" | "u_dgr" => &[UnixDatagram],
            "unix_seqpacket" | "u_seq" => &[UnixSequence],
            "packet" => PACKET,
            "packet_raw" | "p_raw" => &[PacketRaw],
            "packet_dgram" | "p_dgr" => &[PacketDatagram],
            "netlink" => &[Netlink],
            _ => return None,
        })
    }
}

/// What was asked for.
#[derive(Debug, Default)]
pub struct Plan {
    /// Which kinds, in their order.
    pub kinds: Vec<Kind>,
    /// Bits of states.
    pub states: u32,
    pub v4: bool,
    pub v6: bool,
    pub numeric: bool,
    pub resolve: bool,
    pub all: bool,
    pub listening: bool,
    pub timers: bool,
    pub memory: bool,
    pub extended: bool,
    pub processes: bool,
    pub threads: bool,
    pub info: bool,
    pub summary: bool,
    /// More was asked for than the summary.
    pub lists: bool,
    pub no_header: bool,
    pub one_line: bool,
    pub tos: bool,
    pub cgroup: bool,
    pub socket_options: bool,
    pub json: bool,
    pub explain: bool,
    pub namespace: Option<String>,
    pub filter: Option<Filter>,
    family: Option<filter::Family>,
    filter_file: Option<String>,
    chosen: bool,
}

pub enum Read {
    Plan(Box<Plan>),
    Help,
    Version,
}

/// Reads it.
pub fn read(args: &[OsString]) -> Result<Read, Refused> {
    let mut plan = Plan::default();
    let mut words = Vec::new();
    for word in getopt::read(args, LETTERS, LONG, Order::Anywhere) {
        match word {
            Err(mistake) => {
                return Err(Refused::new(
                    255,
                    format!("ss: {mistake}\n{HELP}").trim_end(),
                ));
            }
            Ok(Word::Operand(o)) => words.push(o.to_string_lossy().into_owned()),
            Ok(Word::Option('h', _)) => return Ok(Read::Help),
            Ok(Word::Option('V' | 'v', _)) => return Ok(Read::Version),
            Ok(Word::Option(letter, None)) => plan.switch(letter)?,
            Ok(Word::Option(letter, Some(v))) => plan.take(letter, &v.to_string_lossy())?,
        }
    }
    if let Some(file) = plan.filter_file.take() {
        let text = match file.as_str() {
            "-" => std::io::read_to_string(std::io::stdin()),
            name => std::fs::read_to_string(name),
        };
        let text = text.map_err(|e| {
            let why = netshoot_host::sockets::strerror(&e);
            Refused::new(255, format!("fopen filter file: {why}"))
        })?;
        words = text
            .split_whitespace()
            .map(str::to_string)
            .chain(words)
            .collect();
    }
    plan.settle(&words)?;
    Ok(Read::Plan(Box::new(plan)))
}

impl Plan {
    fn switch(&mut self, letter: char) -> Result<(), Refused> {
        match letter {
            'H' => self.no_header = true,
            'O' => self.one_line = true,
            'n' => self.numeric = true,
            'r' => self.resolve = true,
            'a' => self.all = true,
            'l' => self.listening = true,
            'o' => self.timers = true,
            'm' => self.memory = true,
            'e' => self.extended = true,
            'p' => self.processes = true,
            'T' => (self.processes, self.threads) = (true, true),
            'i' => self.info = true,
            's' => self.summary = true,
            '4' => self.set_family("inet")?,
            '6' => self.set_family("inet6")?,
            '0' => self.set_family("link")?,
            'x' => self.set_family("unix")?,
            't' => self.choose(&[Tcp]),
            'u' => self.choose(&[Udp]),
            'w' => self.choose(&[Raw]),
            '\u{1}' => self.tos = true,
            '\u{2}' => self.cgroup = true,
            '\u{3}' => self.socket_options = true,
            '\u{7}' => self.json = true,
            '\u{8}' => self.explain = true,
            'Z' | 'z' => return Err(Refused::new(1, "ss: SELinux is not enabled.")),
            other => return Err(refused(other)),
        }
        Ok(())
    }

    fn take(&mut self, letter: char, value: &str) -> Result<(), Refused> {
        match letter {
            'N' => self.namespace = Some(value.into()),
            'f' => self.set_family(value)?,
            'F' if self.filter_file.is_some() => {
                return Err(Refused::new(255, "More than one filter file"));
            }
            'F' => self.filter_file = Some(value.into()),
            'A' => {
                for word in value.split(',') {
                    let (word, without) = match word.strip_prefix('!') {
                        Some(rest) => (rest, true),
                        None => (word, false),
                    };
                    let Some(kinds) = Kind::of_table(word) else {
                        if filter_free(word) {
                            return Err(not_taken(word));
                        }
                        let said = format!("ss: \"{word}\" is illegal socket table id\n{HELP}");
                        return Err(Refused::new(255, said.trim_end()));
                    };
                    match without {
                        true => {
                            self.chosen = true;
                            self.kinds.retain(|k| !kinds.contains(k));
                        }
                        false => self.choose(kinds),
                    }
                }
            }
            other => return Err(refused(other)),
        }
        Ok(())
    }

    fn choose(&mut self, kinds: &[Kind]) {
        self.chosen = true;
        for kind in kinds {
            if !self.kinds.contains(kind) {
                self.kinds.push(*kind);
            }
        }
    }

    fn set_family(&mut self, word: &str) -> Result<(), Refused> {
        let family = filter::Family::of(word);
        match family {
            Some(filter::Family::V4) => (self.v4, self.v6) = (true, false),
            Some(filter::Family::V6) => (self.v4, self.v6) = (false, true),
            Some(filter::Family::Link) => self.choose(PACKET),
            Some(filter::Family::Unix) => self.choose(UNIX),
            Some(filter::Family::Netlink) => self.choose(&[Netlink]),
            None if ["vsock", "tipc", "xdp"].contains(&word) => return Err(not_taken(word)),
            None => {
                let said = format!("ss: \"{word}\" is invalid family\n{HELP}");
                return Err(Refused::new(255, said.trim_end()));
            }
        }
        self.family = family;
        Ok(())
    }

    /// What follows from all that was given.
    fn settle(&mut self, words: &[String]) -> Result<(), Refused> {
        self.lists = self.chosen || self.all || self.listening || self.v4 || self.v6;
        // A family of IP alone means its kinds; with UNIX sockets it means them too.
        let only_unix = self
            .kinds
            .iter()
            .all(|k| UNIX.contains(k) || PACKET.contains(k));
        if (self.v4 || self.v6) && only_unix {
            self.choose(INET);
        }
        if !self.chosen {
            self.kinds = EVERY.to_vec();
        }
        self.kinds.sort_unstable();
        if self.kinds.is_empty() {
            return Err(Refused::new(
                0,
                "ss: no socket tables to show with such filter.",
            ));
        }
        if !self.v4 && !self.v6 {
            (self.v4, self.v6) = (true, true);
        }
        self.states = match (self.all, self.listening) {
            (true, _) => ALL_STATES,
            (false, true) => LISTEN | CLOSE,
            _ if !self.chosen => USUAL,
            _ => self.kinds.iter().fold(0, |all, k| all | k.usual()),
        };
        let (states, rest) = states(words)?;
        if let Some(states) = states {
            self.states = states;
        }
        self.filter = filter::read(rest, self.family)?;
        Ok(())
    }

    /// Several kinds may be in the list.
    pub fn mixed(&self) -> bool {
        self.kinds.len() > 1
    }
}

/// Kinds that the original knows and this does not.
fn filter_free(word: &str) -> bool {
    [
        "dccp",
        "sctp",
        "mptcp",
        "vsock",
        "vsock_stream",
        "vsock_dgram",
        "tipc",
        "xdp",
    ]
    .contains(&word)
}

fn not_taken(word: &str) -> Refused {
    let said = format!("ss: {word}: this ss lists TCP, UDP, raw, UNIX, packet and netlink sockets");
    Refused::new(1, said)
}

/// What is refused, with the reason.
fn refused(letter: char) -> Refused {
    let (flag, why) = match letter {
        'K' => (
            "-K",
            "it closes connections; this ss shows and changes nothing",
        ),
        'D' => (
            "-D",
            "it writes the kernel's bytes to a file; --json has what is in them",
        ),
        'E' => ("-E", "it waits for sockets to end, for ever"),
        'b' => ("-b", "classic filters of sockets are not read"),
        'M' => return not_taken("mptcp"),
        'S' => return not_taken("sctp"),
        'd' => return not_taken("dccp"),
        '\u{4}' => return not_taken("vsock"),
        '\u{5}' => return not_taken("tipc"),
        '\u{6}' => return not_taken("xdp"),
        other => return Refused::new(1, format!("ss: -{other} is not taken")),
    };
    Refused::new(1, format!("ss: {flag} is not taken: {why}"))
}

/// `state S` and `exclude S` at the beginning, and the words behind.
fn states(mut words: &[String]) -> Result<(Option<u32>, &[String]), Refused> {
    let mut all: Option<u32> = None;
    while let [word, rest @ ..] = words {
        let without = match word.as_str() {
            "state" => false,
            "exclude" | "excl" => true,
            _ => break,
        };
        let name = rest.first().map_or("", String::as_str);
        let Some(bits) = state(name) else {
            let said = match name {
                "" => format!("ss: {word} needs the name of a state"),
                _ => format!("ss: wrong state name: {name}"),
            };
            return Err(Refused::new(255, said));
        };
        all = Some(match without {
            true => all.unwrap_or(ALL_STATES) & !bits,
            false => all.unwrap_or(0) | bits,
        });
        words = rest.get(1..).unwrap_or_default();
    }
    Ok((all, words))
}

fn state(name: &str) -> Option<u32> {
    let name = name.to_ascii_lowercase();
    Some(match name.as_str() {
        "all" => ALL_STATES,
        "connected" => CONNECTED,
        "synchronized" => CONNECTED & !(1 << 2),
        "bucket" => BUCKET,
        "big" => ALL_STATES & !BUCKET,
        "established" | "estab" => ESTABLISHED,
        "syn-sent" => 1 << 2,
        "syn-recv" => 1 << 3,
        "fin-wait-1" => 1 << 4,
        "fin-wait-2" => 1 << 5,
        "time-wait" => 1 << 6,
        "closed" | "unconnected" | "unconn" | "close" => CLOSE,
        "close-wait" => 1 << 8,
        "last-ack" => 1 << 9,
        "listening" | "listen" => LISTEN,
        "closing" => 1 << 11,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Plan, Refused> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match read(&args)? {
            Read::Plan(plan) => Ok(*plan),
            _ => Err(Refused::new(0, "")),
        }
    }

    #[test]
    fn flags_say_which_kinds_and_states() {
        for (line, kinds, states) in [
            ("-tln", vec![Tcp], LISTEN | CLOSE),
            ("-tulpn", vec![Udp, Tcp], LISTEN | CLOSE),
            ("-u", vec![Udp], ESTABLISHED),
            (
                "-4x",
                vec![UnixStream, UnixDatagram, UnixSequence, Raw, Udp, Tcp],
                USUAL,
            ),
            (
                "-A all,!tcp,!unix -a",
                vec![Netlink, PacketRaw, PacketDatagram, Raw, Udp],
                ALL_STATES,
            ),
            ("-t state listening exclude listening", vec![Tcp], 0),
            ("-f netlink", vec![Netlink], CLOSE),
        ] {
            let plan = of(line).unwrap();
            assert_eq!((plan.kinds, plan.states), (kinds, states), "{line}");
        }
        for (line, code) in [
            ("-K", 1),
            ("-A foo", 255),
            ("-f foo", 255),
            ("-A vsock", 1),
            ("-Q", 255),
        ] {
            assert_eq!(of(line).unwrap_err().code, code, "{line}");
        }
    }

    #[test]
    fn damaged_command_lines_end() {
        let valid = "-tulpn -A all,!tcp -f link -- state all sport = :5";
        netshoot_wire::fuzz::texts(&[valid], 3_000, |text| {
            // No file and no name is looked for.
            if !text.contains('F') && !text.contains("src") && !text.contains("dst") {
                let _ = of(text);
            }
        });
    }
}
