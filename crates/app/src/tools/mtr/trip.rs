//! `trip`: trippy's words for what mtr does: the same probes, the same screen, the same reports.

use super::figures::Field;
use super::plan::{self, Plan, Style};
use crate::io::Io;
use crate::tools::getopt::{self, Long, Order, Takes, Word};
use crate::tools::{Group, Tool};
use anyhow::Result;
use netshoot_host::hops::Method;
use std::ffi::OsString;
use std::time::Duration;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "trip",
    stands_for: "trippy 0.13 (Debian 12 has none)",
    group: Group::Reach,
    tier: 2,
    about: "Watch the way to a host, in trippy's words",
    about_zh: "以 trippy 的参数持续观察到主机的路径",
    page: include_str!("../pages/trip.md"),
    cases: include_str!("../cases/trip.txt"),
    run,
};

const LETTERS: &str = "hVm:up:F:46P:S:A:I:i:T:g:R:U:f:t:Q:er:yzs:a:M:C:G:c:v";
const ICMP: char = '\u{1}';
const UDP: char = '\u{2}';
const TCP: char = '\u{3}';
const SIZE: char = '\u{4}';
const PATTERN: char = '\u{5}';
const EXPLAIN: char = '\u{6}';
/// Known to the original, and not here.
const OTHER: char = '\u{7}';

const LONG: &[Long] = &[
    ("help", Takes::Nothing, 'h'),
    ("version", Takes::Nothing, 'V'),
    ("mode", Takes::Value, 'm'),
    ("unprivileged", Takes::Nothing, 'u'),
    ("protocol", Takes::Value, 'p'),
    ("icmp", Takes::Nothing, ICMP),
    ("udp", Takes::Nothing, UDP),
    ("tcp", Takes::Nothing, TCP),
    ("addr-family", Takes::Value, 'F'),
    ("ipv4", Takes::Nothing, '4'),
    ("ipv6", Takes::Nothing, '6'),
    ("target-port", Takes::Value, 'P'),
    ("source-port", Takes::Value, 'S'),
    ("source-address", Takes::Value, 'A'),
    ("interface", Takes::Value, 'I'),
    ("min-round-duration", Takes::Value, 'i'),
    ("max-round-duration", Takes::Value, 'T'),
    ("grace-duration", Takes::Value, 'g'),
    ("multipath-strategy", Takes::Value, 'R'),
    ("max-inflight", Takes::Value, 'U'),
    ("first-ttl", Takes::Value, 'f'),
    ("max-ttl", Takes::Value, 't'),
    ("packet-size", Takes::Value, SIZE),
    ("payload-pattern", Takes::Value, PATTERN),
    ("tos", Takes::Value, 'Q'),
    ("icmp-extensions", Takes::Nothing, 'e'),
    ("dns-resolve-method", Takes::Value, 'r'),
    ("dns-resolve-all", Takes::Nothing, 'y'),
    ("dns-lookup-as-info", Takes::Nothing, 'z'),
    ("max-samples", Takes::Value, 's'),
    ("tui-address-mode", Takes::Value, 'a'),
    ("tui-max-addrs", Takes::Value, 'M'),
    ("report-cycles", Takes::Value, 'C'),
    ("geoip-mmdb-file", Takes::Value, 'G'),
    ("config-file", Takes::Value, 'c'),
    ("initial-sequence", Takes::Value, OTHER),
    ("verbose", Takes::Nothing, 'v'),
    ("explain", Takes::Nothing, EXPLAIN),
];

const HELP: &str = "\
Usage: trip [OPTIONS] TARGET...

 -m, --mode MODE                 tui (the screen), pretty, csv or json
 -p, --protocol PROTOCOL         icmp, udp or tcp; --icmp, --udp, --tcp
 -4, --ipv4  -6, --ipv6          one family only; -F, --addr-family FAMILY
 -P, --target-port PORT          port for UDP and TCP (80)
 -S, --source-port PORT          own port for UDP
 -A, --source-address ADDRESS    own address
 -I, --interface NAME            through this interface
 -i, --min-round-duration TIME   pause between rounds (1s)
 -g, --grace-duration TIME       patience after the last round (1s)
 -f, --first-ttl NUMBER          first hop (1)
 -t, --max-ttl NUMBER            last hop (64)
     --packet-size BYTES         size with all headers (84)
     --payload-pattern NUMBER    byte to fill with
 -Q, --tos NUMBER                type of service
 -e, --icmp-extensions           labels of MPLS that routers tell
 -a, --tui-address-mode MODE     ip, host or both
 -C, --report-cycles NUMBER      rounds of a report (10)
     --explain                   what the report says in a cluster
 -h, --help  -V, --version
";

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    match read(args) {
        Ok(plan::Read::Plan(plan)) => super::ask(&plan, "trip", 1, io),
        Ok(plan::Read::Said(text)) => {
            write!(io.out, "{text}")?;
            Ok(0)
        }
        Err(said) => {
            writeln!(io.err, "trip: {}", crate::report::safe(&said))?;
            Ok(2)
        }
    }
}

fn usual() -> Plan {
    Plan {
        fields: Field::list("LSR NABWV").unwrap_or_default(),
        grace: Duration::from_secs(1),
        most: 64,
        size: 84,
        wide: true,
        ..Plan::usual()
    }
}

fn read(args: &[OsString]) -> Result<plan::Read, String> {
    let mut plan = usual();
    for word in getopt::read(args, LETTERS, LONG, Order::Anywhere) {
        match word {
            Err(mistake) => return Err(mistake.to_string()),
            Ok(Word::Operand(o)) => plan.hosts.push(o.to_string_lossy().into_owned()),
            Ok(Word::Option('h', _)) => return Ok(plan::Read::Said(HELP.into())),
            Ok(Word::Option('V', _)) => {
                let own = crate::version::SHORT;
                return Ok(plan::Read::Said(format!("trip 0.13 (netshoot {own})\n")));
            }
            Ok(Word::Option(letter, None)) => switch(&mut plan, letter)?,
            Ok(Word::Option(letter, Some(v))) => take(&mut plan, letter, &v.to_string_lossy())?,
        }
    }
    if plan.hosts.is_empty() {
        return Err("no target: trip HOST".into());
    }
    if plan.first > plan.most {
        let (first, most) = (plan.first, plan.most);
        return Err(format!(
            "the first hop ({first}) lies behind the last one ({most})"
        ));
    }
    if plan.style.is_some() {
        plan.endless = false;
    }
    Ok(plan::Read::Plan(Box::new(plan)))
}

fn not_taken(flag: &str, why: &str) -> String {
    format!("{flag} is not taken: {why}")
}

fn switch(plan: &mut Plan, letter: char) -> Result<(), String> {
    match letter {
        '4' => plan.family = libc::AF_INET,
        '6' => plan.family = libc::AF_INET6,
        ICMP => plan.method = Method::Icmp,
        UDP => plan.method = Method::Udp,
        TCP => plan.method = Method::Tcp,
        'e' => plan.labels = true,
        EXPLAIN => plan.explain = true,
        'y' => {
            return Err(not_taken(
                "--dns-resolve-all",
                "the first address of a name is asked",
            ));
        }
        'z' => {
            return Err(not_taken(
                "--dns-lookup-as-info",
                "numbers of networks are asked of a service on the Internet, which a pod has no business to call",
            ));
        }
        'v' => return Err(not_taken("--verbose", "there is no log")),
        // --unprivileged: whatever socket may be opened is taken in any case.
        _ => {}
    }
    Ok(())
}

fn take(plan: &mut Plan, letter: char, value: &str) -> Result<(), String> {
    let none = |what: &str, which: &str| Err(format!("no {what} {value:?}: {which}"));
    match letter {
        'm' => {
            plan.style = match value {
                "tui" => None,
                "pretty" => Some(Style::Report),
                "csv" => Some(Style::Csv),
                "json" => Some(Style::Json),
                "stream" | "markdown" | "dot" | "flows" | "silent" => {
                    return Err(not_taken(
                        &format!("--mode {value}"),
                        "tui, pretty, csv and json are",
                    ));
                }
                _ => return none("mode", "tui, pretty, csv, json"),
            }
        }
        'p' => {
            plan.method = match value {
                "icmp" => Method::Icmp,
                "udp" => Method::Udp,
                "tcp" => Method::Tcp,
                _ => return none("protocol", "icmp, udp, tcp"),
            }
        }
        'F' => {
            plan.family = match value {
                "ipv4" => libc::AF_INET,
                "ipv6" => libc::AF_INET6,
                "system" => 0,
                "ipv4-then-ipv6" | "ipv6-then-ipv4" => {
                    return Err(not_taken(
                        &format!("--addr-family {value}"),
                        "ipv4, ipv6 and system are",
                    ));
                }
                _ => return none("family", "ipv4, ipv6, system"),
            }
        }
        'a' => {
            (plan.numeric, plan.both) = match value {
                "ip" => (true, false),
                "host" => (false, false),
                "both" => (false, true),
                _ => return none("way to show addresses", "ip, host, both"),
            }
        }
        'r' if value == "system" => {}
        'r' => {
            return Err(not_taken(
                "--dns-resolve-method",
                "names are asked of the resolver of this pod (system)",
            ));
        }
        'i' => plan.interval = span(value)?,
        'g' => plan.grace = span(value)?,
        'P' | 'A' | 'I' | 'f' | 't' | 'Q' | 'S' | 'C' | SIZE | PATTERN => {
            let its = match letter {
                'A' => 'a',
                't' => 'm',
                'S' => 'L',
                'C' => 'c',
                SIZE => 's',
                PATTERN => 'B',
                same => same,
            };
            let endless = plan.endless;
            plan.take(its, value)?;
            // How many rounds a report has says nothing of the screen.
            plan.endless = endless;
        }
        other => {
            let long = LONG.iter().find(|l| l.2 == other).map_or("it", |l| l.0);
            return Err(not_taken(
                &format!("--{long}"),
                "there is nothing here that it would change",
            ));
        }
    }
    Ok(())
}

/// `1s`, `100ms`.
fn span(value: &str) -> Result<Duration, String> {
    let units = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let number: f64 = value.strip_suffix(unit)?.parse().ok()?;
        Some(number * seconds)
    });
    match found {
        Some(seconds) if seconds > 0.0 && seconds < 1e6 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!(
            "no time {value:?}: a number with ms or s, as in 500ms"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<plan::Read, String> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        read(&args)
    }

    #[test]
    fn its_words_become_a_plan_of_mtr() {
        let line =
            "web -m json -C 3 --tcp -P 443 -t 9 -f 2 -i 250ms --grace-duration=2s -4 -e -a both";
        let Ok(plan::Read::Plan(p)) = of(line) else {
            panic!("a plan");
        };
        assert_eq!(
            (p.style, p.cycles, p.endless),
            (Some(Style::Json), 3, false)
        );
        assert_eq!(
            (p.method, p.port, p.family),
            (Method::Tcp, Some(443), libc::AF_INET)
        );
        assert_eq!((p.first, p.most, p.labels, p.both), (2, 9, true, true));
        assert_eq!((p.interval.as_millis(), p.grace.as_secs()), (250, 2));
        let Ok(plan::Read::Plan(p)) = of("-C 3 web") else {
            panic!("a plan");
        };
        assert!(p.endless && p.style.is_none() && p.hosts == ["web"]);
        for line in [
            "-m dot web",
            "-m x web",
            "-p sctp web",
            "-i 5 web",
            "-i -1s web",
            "-z web",
            "-f 9 -t 3 web",
            "-C 0 web",
            "-r google web",
            "-R paris web",
            "-P 0 web",
            "--nothing web",
            "-F x web",
            "-A here web",
            "-4",
        ] {
            let Err(said) = of(line) else {
                panic!("{line}: taken");
            };
            assert!(!said.is_empty() && !said.contains('\n'), "{line}: {said}");
        }
    }

    #[test]
    fn damaged_command_lines_end() {
        let seed = "web -m json -C 3 --tcp -P 443 -t 9 -f 2 -i 250ms -g 2s -4 -e -a both -p udp -F ipv6 -A ::1";
        netshoot_wire::fuzz::texts(&[seed], 3_000, |text| {
            if let Err(said) = of(text) {
                assert!(!said.is_empty(), "{text}");
            }
        });
    }
}
