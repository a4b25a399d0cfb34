//! `httpd`: serves a folder, as busybox's httpd does: what one needs to prove a path between two pods.

mod answer;
mod conf;
mod request;
mod serve;

pub use request::unescaped;

use super::getopt::{self, Long, Order, Takes, Word};
use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use conf::Conf;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "httpd",
    stands_for: "busybox httpd",
    group: Group::Reach,
    tier: 2,
    about: "Serve a folder over HTTP",
    about_zh: "通过 HTTP 提供一个目录",
    page: include_str!("pages/httpd.md"),
    cases: include_str!("cases/httpd.txt"),
    run,
};

const LETTERS: &str = "c:d:h:e:r:m:u:p:ifv";
const LONG: &[Long] = &[
    ("list", Takes::Nothing, '\u{1}'),
    ("json", Takes::Nothing, '\u{2}'),
    ("explain", Takes::Nothing, '\u{3}'),
    ("lang", Takes::Value, '\u{4}'),
];

const USAGE: &str = "\
Usage: httpd [-ifv[v]] [-c CONFFILE] [-p [IP:]PORT] [-r REALM] [-h HOME] [--list] [--json] [--explain]
or httpd -d/-e STRING

Listen for incoming HTTP requests

\t-i\t\tInetd mode
\t-f\t\tRun in foreground
\t-v[v]\t\tVerbose
\t-p [IP:]PORT\tBind to IP:PORT (default *:80)
\t-r REALM\tAuthentication Realm for Basic Authentication
\t-h HOME\t\tHome directory (default .)
\t-c FILE\t\tConfiguration file (default {/etc,HOME}/httpd.conf)
\t-e STRING\tHTML encode STRING
\t-d STRING\tURL decode STRING
\t--list\t\tShow what a folder without index.html holds
\t--json\t\tOne JSON line for each request
\t--explain\tSay first how it can be reached, and what silence would mean
";

/// What was asked for.
#[derive(Debug, Default)]
struct Plan {
    foreground: bool,
    inetd: bool,
    verbose: u8,
    list: bool,
    json: bool,
    explain: bool,
    at: Option<SocketAddr>,
    home: Option<PathBuf>,
    conf_file: Option<PathBuf>,
    realm: Option<String>,
}

/// How the command line ends: something to do, or done.
enum Read {
    Plan(Box<Plan>),
    Ended(i32),
}

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let plan = match read(args, io)? {
        Read::Plan(plan) => plan,
        Read::Ended(code) => return Ok(code),
    };
    let said = |why: String, io: &mut Io<'_>| -> Result<i32> {
        writeln!(io.err, "httpd: {why}")?;
        Ok(1)
    };
    let conf = match settle(&plan, io)? {
        Ok(conf) => conf,
        Err(why) => return said(why, io),
    };
    match serve::serve(&plan, conf, args, io)? {
        Ok(code) => Ok(code),
        Err(why) => said(why, io),
    }
}

/// The settings, of the command line and of the files that it names.
fn settle(plan: &Plan, io: &mut Io<'_>) -> Result<Result<Conf, String>> {
    let mut conf = Conf {
        realm: plan
            .realm
            .clone()
            .unwrap_or_else(|| "Web Server Authentication".into()),
        list: plan.list,
        ..Conf::default()
    };
    let home = plan.home.clone().unwrap_or_else(|| ".".into());
    match std::path::absolute(&home) {
        Ok(folder) if folder.is_dir() => conf.home = folder,
        _ => {
            let why = match std::fs::read_dir(&home) {
                Err(e) => netshoot_host::sockets::strerror(&e),
                Ok(_) => "Not a directory".into(),
            };
            let home = home.display();
            return Ok(Err(format!("can't change directory to '{home}': {why}")));
        }
    }
    let own = match &plan.conf_file {
        Some(file) => file.clone(),
        None => "/etc/httpd.conf".into(),
    };
    let beside = conf.home.join("httpd.conf");
    for (file, asked) in [(own, plan.conf_file.is_some()), (beside, false)] {
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                for wrong in conf.read(&text) {
                    writeln!(io.err, "httpd: {wrong} in '{}'", file.display())?;
                }
            }
            Err(e) if asked => {
                let why = netshoot_host::sockets::strerror(&e);
                return Ok(Err(format!("{}: {why}", file.display())));
            }
            Err(_) => {}
        }
    }
    Ok(Ok(conf))
}

fn read(args: &[OsString], io: &mut Io<'_>) -> Result<Read> {
    let mut plan = Plan::default();
    for word in getopt::read(args, LETTERS, LONG, Order::Anywhere) {
        let (letter, value) = match word {
            Err(mistake) => {
                write!(io.err, "httpd: {mistake}\n{USAGE}")?;
                return Ok(Read::Ended(1));
            }
            Ok(Word::Operand(_)) => continue,
            Ok(Word::Option(letter, value)) => (letter, value.unwrap_or_default()),
        };
        let text = value.to_string_lossy().into_owned();
        match letter {
            'f' => plan.foreground = true,
            'i' => plan.inetd = true,
            'v' => plan.verbose = plan.verbose.saturating_add(1),
            'h' => plan.home = Some(value.into()),
            'c' => plan.conf_file = Some(value.into()),
            'r' => plan.realm = Some(text),
            'p' => match place(&text) {
                Some(at) => plan.at = Some(at),
                None => {
                    writeln!(io.err, "httpd: bad address '{text}'")?;
                    return Ok(Read::Ended(1));
                }
            },
            'd' => {
                io.out.write_all(&request::unescaped(&value, true))?;
                return Ok(Read::Ended(0));
            }
            'e' => {
                write!(io.out, "{}", answer::entities(&text))?;
                return Ok(Read::Ended(0));
            }
            'm' | 'u' => {
                let why = match letter {
                    'm' => "MD5-crypt no longer keeps a password",
                    _ => "a container's user comes from runAsUser",
                };
                writeln!(io.err, "httpd: -{letter} is not taken: {why}")?;
                return Ok(Read::Ended(1));
            }
            '\u{1}' => plan.list = true,
            '\u{2}' => plan.json = true,
            '\u{3}' => plan.explain = true,
            _ => io.lang = crate::io::choose_lang(Some(&text)),
        }
    }
    Ok(Read::Plan(Box::new(plan)))
}

/// `8080`, `127.0.0.1:8080`, `[::1]:8080`; a port alone is every address of both families.
fn place(text: &str) -> Option<SocketAddr> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host.trim_matches(['[', ']']), port),
        None => ("::", text),
    };
    let port = port.parse().ok()?;
    let ip: IpAddr = match host {
        "" | "*" => Ipv6Addr::UNSPECIFIED.into(),
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host.parse().ok()?,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_words_are_refused_or_read() {
        let valid = "-f -vv -p [::1]:8080 -h /srv -c /etc/httpd.conf -r realm --list --json";
        netshoot_wire::fuzz::texts(&[valid], 3_000, |line| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let (read, _, err) = crate::io::heard(|io| read(&args, io).unwrap());
            if let Read::Ended(1) = read {
                assert!(!err.is_empty(), "{line}");
            }
        });
    }

    #[test]
    fn a_place_is_a_port_or_an_address_with_one() {
        for (text, at) in [
            ("80", Some("[::]:80")),
            ("*:80", Some("[::]:80")),
            ("10.0.0.1:81", Some("10.0.0.1:81")),
            ("[::1]:82", Some("[::1]:82")),
            ("x", None),
            ("1.2.3.4:x", None),
            ("99999", None),
        ] {
            assert_eq!(place(text).map(|a| a.to_string()).as_deref(), at, "{text}");
        }
    }
}
