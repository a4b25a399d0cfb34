//! The command line of echo-server.

use crate::io::Io;
use crate::tools::getopt::{self, Long, Order, Takes, Word};
use anyhow::Result;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

const LONG: &[Long] = &[
    ("http", Takes::Value, 'h'),
    ("https", Takes::Value, 's'),
    ("tcp", Takes::Value, 't'),
    ("udp", Takes::Value, 'u'),
    ("grpc", Takes::Value, 'g'),
    ("grpcs", Takes::Value, 'G'),
    ("bind", Takes::Value, 'b'),
    ("delay", Takes::Value, 'd'),
    ("status", Takes::Value, 'S'),
    ("name", Takes::Value, 'n'),
    ("write-ca", Takes::Value, 'c'),
    ("quiet", Takes::Nothing, 'q'),
    ("json", Takes::Nothing, 'j'),
    ("explain", Takes::Nothing, 'e'),
    ("lang", Takes::Value, 'l'),
    ("help", Takes::Nothing, '?'),
];

const USAGE: &str = "\
Usage: echo-server [--http PORT] [--https PORT] [--tcp PORT] [--udp PORT] [--grpc PORT] [--grpcs PORT] [OPTION]...

Gives back what it is sent. Each port option may stand several times; with none: --http 8080.

  --http PORT      requests back as JSON; WebSocket messages as they are
  --https PORT     the same behind TLS, with a certificate made at the start
  --tcp PORT       bytes as they are
  --udp PORT       datagrams as they are
  --grpc PORT      gRPC: health, reflection, and netshoot.v1.Echo
  --grpcs PORT     the same behind TLS
  --bind ADDRESS   the own address (all of both families)
  --delay TIME     wait before each answer: 300ms, 2s
  --status CODE    of each HTTP answer; 400 and above make gRPC health NOT_SERVING
  --name NAME      the name in answers and in the certificate (the host's name)
  --write-ca FILE  write there who signed the certificate, for curl --cacert FILE
  --quiet          no line for each connection or request
  --json           such lines as JSON
  --explain        say first how it can be reached
";

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    Http,
    Https,
    Tcp,
    Udp,
    Grpc,
    Grpcs,
}

impl Talk {
    pub fn word(self) -> &'static str {
        match self {
            Talk::Http => "http",
            Talk::Https => "https",
            Talk::Tcp => "tcp",
            Talk::Udp => "udp",
            Talk::Grpc => "grpc",
            Talk::Grpcs => "grpcs",
        }
    }
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    pub ports: Vec<(Talk, u16)>,
    pub bind: IpAddr,
    pub delay: Duration,
    pub status: Option<u16>,
    pub name: String,
    pub write_ca: Option<PathBuf>,
    pub quiet: bool,
    pub json: bool,
    pub explain: bool,
}

/// How the command line ends: something to do, or done.
pub enum Read {
    Plan(Box<Plan>),
    Ended(i32),
}

pub fn read(args: &[OsString], io: &mut Io<'_>) -> Result<Read> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut plan = Plan {
        ports: Vec::new(),
        bind: Ipv6Addr::UNSPECIFIED.into(),
        delay: Duration::ZERO,
        status: None,
        name: host.trim().to_string(),
        write_ca: None,
        quiet: false,
        json: false,
        explain: false,
    };
    for word in getopt::read(args, "q", LONG, Order::Anywhere) {
        let wrong = match word {
            Err(mistake) => Some(mistake.to_string()),
            Ok(Word::Operand(o)) => Some(format!("unexpected word '{}'", o.to_string_lossy())),
            Ok(Word::Option('?', _)) => {
                write!(io.out, "{USAGE}")?;
                return Ok(Read::Ended(0));
            }
            Ok(Word::Option('l', value)) => {
                let value = value.unwrap_or_default();
                io.lang = crate::io::choose_lang(Some(&value.to_string_lossy()));
                None
            }
            Ok(Word::Option(letter, value)) => {
                let value = value.unwrap_or_default().to_string_lossy().into_owned();
                plan.take(letter, &value).err()
            }
        };
        if let Some(wrong) = wrong {
            write!(io.err, "echo-server: {wrong}\n{USAGE}")?;
            return Ok(Read::Ended(2));
        }
    }
    if plan.ports.is_empty() {
        plan.ports.push((Talk::Http, 8080));
    }
    Ok(Read::Plan(Box::new(plan)))
}

impl Plan {
    fn take(&mut self, letter: char, value: &str) -> Result<(), String> {
        let talk = match letter {
            'h' => Talk::Http,
            's' => Talk::Https,
            't' => Talk::Tcp,
            'u' => Talk::Udp,
            'g' => Talk::Grpc,
            'G' => Talk::Grpcs,
            other => return self.set(other, value),
        };
        let port = value.parse().map_err(|_| format!("'{value}' is no port"))?;
        self.ports.push((talk, port));
        Ok(())
    }

    fn set(&mut self, letter: char, value: &str) -> Result<(), String> {
        match letter {
            'b' => {
                let bare = value.trim_matches(['[', ']']);
                self.bind = bare
                    .parse()
                    .map_err(|_| format!("'{value}' is no address"))?;
            }
            'd' => {
                self.delay =
                    delay(value).ok_or_else(|| format!("'{value}' is no time (300ms, 2s)"))?
            }
            'S' => {
                let status = value.parse().ok().filter(|s| (200..1000).contains(s));
                self.status =
                    Some(status.ok_or_else(|| format!("'{value}' is no status (200 to 999)"))?);
            }
            'n' => self.name = value.into(),
            'c' => self.write_ca = Some(value.into()),
            'q' => self.quiet = true,
            'j' => self.json = true,
            _ => self.explain = true,
        }
        Ok(())
    }
}

/// `300ms`, `2s`, `1.5s`, `2` (seconds).
fn delay(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|d| d.as_secs() <= 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_words_are_refused_or_read() {
        let valid = "--http 8080 --https 8443 --tcp 7 --udp 7 --grpc 9 --bind ::1 --delay 300ms --status 503 --name x";
        netshoot_wire::fuzz::texts(&[valid], 3_000, |line| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let (read, _, err) = crate::io::heard(|io| read(&args, io).unwrap());
            match read {
                Read::Plan(plan) => assert!(!plan.ports.is_empty()),
                Read::Ended(code) => assert!(code == 0 || !err.is_empty(), "{line}"),
            }
        });
    }

    #[test]
    fn times() {
        let ms = |t: &str| delay(t).map(|d| d.as_millis());
        assert_eq!(
            (ms("300ms"), ms("2s"), ms("1.5"), ms("0")),
            (Some(300), Some(2000), Some(1500), Some(0))
        );
        for wrong in ["", "s", "-1", "nan", "1e99s", "2h"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }
}
