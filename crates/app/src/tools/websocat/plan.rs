//! The command line of websocat.

use crate::io::Io;
use crate::tools::getopt::{self, Long, Order, Takes, Word};
use anyhow::Result;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

const LETTERS: &str = "tb1nEkH:s:qvuUS0hV";
const LONG: &[Long] = &[
    ("text", Takes::Nothing, 't'),
    ("binary", Takes::Nothing, 'b'),
    ("one-message", Takes::Nothing, '1'),
    ("no-close", Takes::Nothing, 'n'),
    ("exit-on-eof", Takes::Nothing, 'E'),
    ("insecure", Takes::Nothing, 'k'),
    ("header", Takes::Value, 'H'),
    ("server-mode", Takes::Value, 's'),
    ("unidirectional", Takes::Nothing, 'u'),
    ("unidirectional-reverse", Takes::Nothing, 'U'),
    ("strict", Takes::Nothing, 'S'),
    ("null-terminated", Takes::Nothing, '0'),
    ("origin", Takes::Value, 'o'),
    ("protocol", Takes::Value, 'p'),
    ("server-protocol", Takes::Value, 'p'),
    ("basic-auth", Takes::Value, 'a'),
    ("ping-interval", Takes::Value, 'i'),
    ("conncap", Takes::Value, 'c'),
    ("cafile", Takes::Value, 'f'),
    ("timeout", Takes::Value, 'w'),
    ("json", Takes::Nothing, 'j'),
    ("explain", Takes::Nothing, 'e'),
    ("lang", Takes::Value, 'l'),
    ("help", Takes::Nothing, 'h'),
    ("version", Takes::Nothing, 'V'),
];

const USAGE: &str = "\
Usage: websocat [OPTION]... ws://HOST[:PORT]/PATH | wss://...
       websocat [OPTION]... -s PORT | ws-l:ADDRESS:PORT [mirror: | literalreply:TEXT | -]

  -t, --text            lines are text messages (as without -b)
  -b, --binary          what is read is a binary message as it comes
  -1, --one-message     one message each way
  -n, --no-close        the end of the input closes nothing
  -E, --exit-on-eof     the end of either side ends both
  -k, --insecure        take any certificate
      --cafile FILE     who signs certificates
  -H, --header LINE     one more header of the request
      --origin URL, --protocol NAME, --basic-auth USER:PASSWORD
      --ping-interval SECONDS
  -0, --null-terminated NUL ends a message instead of a line end
  -u, -U                only to the server, only from it
  -s, --server-mode PORT  listen for one client and talk with it
      --timeout SECONDS patience for the connection and the handshake (30)
      --json            each message that comes as a JSON line
      --explain         what the result means in a cluster
  -v                    say what happens
";

/// `ws://host:port/path`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub secure: bool,
    pub host: String,
    pub port: u16,
    pub target: String,
}

/// What a server does with messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serve {
    Terminal,
    Mirror,
    Reply(String),
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Url(Url),
    Listen(SocketAddr, Serve),
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    pub place: Place,
    pub binary: bool,
    pub one: bool,
    pub no_close: bool,
    pub exit_on_eof: bool,
    pub insecure: bool,
    pub cafile: Option<String>,
    pub headers: Vec<(String, String)>,
    pub protocol: Option<String>,
    pub ping: Option<Duration>,
    pub end: u8,
    pub only_to: bool,
    pub only_from: bool,
    pub patience: Duration,
    pub json: bool,
    pub explain: bool,
    pub verbose: bool,
}

/// How the command line ends: something to do, or done.
pub enum Read {
    Plan(Box<Plan>),
    Ended(i32),
}

pub fn read(args: &[OsString], io: &mut Io<'_>) -> Result<Read> {
    let mut plan = Plan {
        place: Place::Listen(SocketAddr::from(([127, 0, 0, 1], 0)), Serve::Terminal),
        binary: false,
        one: false,
        no_close: false,
        exit_on_eof: false,
        insecure: false,
        cafile: None,
        headers: Vec::new(),
        protocol: None,
        ping: None,
        end: b'\n',
        only_to: false,
        only_from: false,
        patience: Duration::from_secs(30),
        json: false,
        explain: false,
        verbose: false,
    };
    let (mut operands, mut server) = (Vec::new(), None);
    for word in getopt::read(args, LETTERS, LONG, Order::Anywhere) {
        let wrong = match word {
            Err(mistake) => Err(mistake.to_string()),
            Ok(Word::Operand(o)) => {
                operands.push(o.to_string_lossy().into_owned());
                Ok(())
            }
            Ok(Word::Option('h', _)) => {
                write!(io.out, "{USAGE}")?;
                return Ok(Read::Ended(0));
            }
            Ok(Word::Option('V', _)) => {
                writeln!(io.out, "websocat of netshoot {}", crate::version::SHORT)?;
                return Ok(Read::Ended(0));
            }
            Ok(Word::Option(letter, value)) => {
                let value = value.unwrap_or_default().to_string_lossy().into_owned();
                match letter {
                    's' => {
                        server = Some(value);
                        Ok(())
                    }
                    'l' => {
                        io.lang = crate::io::choose_lang(Some(&value));
                        Ok(())
                    }
                    letter => plan.take(letter, value),
                }
            }
        };
        if let Err(wrong) = wrong {
            write!(io.err, "websocat: {wrong}\n{USAGE}")?;
            return Ok(Read::Ended(1));
        }
    }
    match place(server, &operands) {
        Ok(place) => plan.place = place,
        Err(why) => {
            writeln!(io.err, "websocat: {why}")?;
            return Ok(Read::Ended(1));
        }
    }
    Ok(Read::Plan(Box::new(plan)))
}

impl Plan {
    fn take(&mut self, letter: char, value: String) -> Result<(), String> {
        let seconds = |v: &str| {
            let span = v
                .parse()
                .ok()
                .and_then(|s| Duration::try_from_secs_f64(s).ok());
            span.ok_or_else(|| format!("'{v}' is no number of seconds"))
        };
        match letter {
            'b' => self.binary = true,
            't' => self.binary = false,
            '1' => self.one = true,
            'n' => self.no_close = true,
            'E' => self.exit_on_eof = true,
            'k' => self.insecure = true,
            'f' => self.cafile = Some(value),
            'H' => {
                let (name, text) = value.split_once(':').ok_or("a header is NAME: VALUE")?;
                self.headers.push((name.trim().into(), text.trim().into()));
            }
            'o' => self.headers.push(("Origin".into(), value)),
            'a' => {
                let coded = netshoot_wire::dns::digits::base64(value.as_bytes());
                self.headers
                    .push(("Authorization".into(), format!("Basic {coded}")));
            }
            'p' => self.protocol = Some(value),
            'i' => self.ping = Some(seconds(&value)?),
            'w' => self.patience = seconds(&value)?,
            '0' => self.end = 0,
            'u' => self.only_to = true,
            'U' => self.only_from = true,
            'j' => self.json = true,
            'e' => self.explain = true,
            'v' => self.verbose = true,
            // -q, -S and the cap of connections change nothing.
            _ => {}
        }
        Ok(())
    }
}

fn place(server: Option<String>, operands: &[String]) -> Result<Place, String> {
    if let Some(at) = server {
        return Ok(Place::Listen(address(&at)?, Serve::Terminal));
    }
    let words: Vec<&str> = operands
        .iter()
        .map(String::as_str)
        .filter(|o| *o != "-")
        .collect();
    let (first, second) = match words.as_slice() {
        [] => return Err("no URL is given (websocat ws://HOST/PATH)".into()),
        [one] => (*one, "-"),
        [one, two] => (*one, *two),
        _ => return Err("more than two ends are given".into()),
    };
    let listens = ["ws-l:", "ws-listen:", "l-ws:"]
        .iter()
        .find_map(|p| first.strip_prefix(p));
    if let Some(at) = listens {
        let serve = match second {
            "-" => Serve::Terminal,
            "mirror:" => Serve::Mirror,
            other => match other.strip_prefix("literalreply:") {
                Some(text) => Serve::Reply(text.into()),
                None => {
                    return Err(format!(
                        "'{other}' is no end that is known here (mirror:, literalreply:TEXT, -)"
                    ));
                }
            },
        };
        return Ok(Place::Listen(address(at)?, serve));
    }
    if second != "-" {
        return Err(format!(
            "'{second}' is no end that is known here (websocat URL, or ws-l:ADDRESS:PORT)"
        ));
    }
    parse_url(first).map(Place::Url)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("'{text}' is no ADDRESS:PORT");
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.replace("localhost", "127.0.0.1")
        .parse()
        .map_err(|_| wrong())
}

/// Reads a URL.
pub fn parse_url(text: &str) -> Result<Url, String> {
    let wrong = |why: &str| format!("'{text}' is no URL of WebSocket: {why}");
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| wrong("it begins with ws:// or wss://"))?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => false,
        "wss" | "https" => true,
        _ => return Err(wrong("it begins with ws:// or wss://")),
    };
    let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(at);
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner
                .split_once(']')
                .ok_or_else(|| wrong("a bracket is open"))?;
            (host, rest.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.contains(|c: char| c.is_control() || c == ' ') {
        return Err(wrong("it names no host"));
    }
    let port = match port {
        Some(port) => port.parse().map_err(|_| wrong("the port is no number"))?,
        None => {
            if secure {
                443
            } else {
                80
            }
        }
    };
    let target = target.split('#').next().unwrap_or_default();
    let target = if target.starts_with('/') {
        target.to_string()
    } else {
        format!("/{target}")
    };
    if target.bytes().any(|b| b <= b' ') {
        return Err(wrong("a blank stands in it"));
    }
    Ok(Url {
        secure,
        host: host.into(),
        port,
        target,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = parse_url("wss://[::1]:8443/a?b=c#d").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.target.as_str(), url.secure),
            ("::1", 8443, "/a?b=c", true)
        );
        assert_eq!(parse_url("ws://x").unwrap().target, "/");
        for wrong in [
            "x",
            "ftp://x",
            "ws://",
            "ws://a:b/",
            "ws://[::1",
            "ws://a/b c",
        ] {
            assert!(parse_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn damaged_words_are_refused_or_read() {
        let valid = "-b -k -H A:b --protocol chat --ping-interval 3 -s 80 wss://user@[::1]:80/a?b#c mirror:";
        netshoot_wire::fuzz::texts(
            &[valid, "ws-l:127.0.0.1:80 literalreply:x"],
            4_000,
            |line| {
                let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
                let (read, _, err) = crate::io::heard(|io| read(&args, io).unwrap());
                if let Read::Ended(1) = read {
                    assert!(!err.is_empty(), "{line}");
                }
                let _ = parse_url(line);
            },
        );
    }
}
