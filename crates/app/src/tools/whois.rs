//! `whois -h SERVER OBJECT`: one question to a given server (RFC 3912).

use super::getopt::{self, Long, Order, Takes, Word};
use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "whois",
    stands_for: "whois",
    group: Group::Names,
    tier: 2,
    about: "Ask a given whois server about a name or an address",
    about_zh: "向指定的 whois 服务器查询域名或地址",
    page: include_str!("pages/whois.md"),
    cases: include_str!("cases/whois.txt"),
    run,
};

/// The port of RFC 3912.
const PORT: &str = "43";
/// Patience for the connection, and for each piece of the answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Flags for servers that speak as RIPE's does: alone, and with a value.
const RIPE: &str = "abBcdGKlLmMrRx";
const RIPE_VALUED: &str = "giqstTv";

const LONG: &[Long] = &[
    ("host", Takes::Value, 'h'),
    ("port", Takes::Value, 'p'),
    ("verbose", Takes::Nothing, '!'),
    ("no-recursion", Takes::Nothing, '+'),
    ("help", Takes::Nothing, '?'),
    ("version", Takes::Nothing, '='),
    ("json", Takes::Nothing, '\u{1}'),
    ("explain", Takes::Nothing, '\u{2}'),
];

const HELP: &str = "\
Usage: whois -h HOST [-p PORT] [OPTION]... OBJECT...

-h, --host HOST    the server to ask
-p, --port PORT    its port (43)
-H                 taken for its habit; nothing is hidden
--no-recursion     taken for its habit; no referral is followed
--verbose          say which server is asked what
--json             server, question and answer as JSON
--explain          what the result says in a cluster
--help, --version
Flags that go to the server in front of the object: -a -b -B -c -d -G -K -l -L -m -M -r -R -x,
and with a value -g -i -q -s -t -T -v
";

/// What is asked, and whether for JSON and with an explanation; else the exit code.
type Wanted = Result<std::result::Result<(Question, bool, bool), i32>>;

fn read(args: &[OsString], io: &mut Io<'_>) -> Wanted {
    let letters: String = RIPE_VALUED.chars().flat_map(|c| [c, ':']).collect();
    let letters = format!("h:p:HIV:{RIPE}{letters}");
    let (mut host, mut port, mut verbose) = (None, PORT.to_string(), false);
    let (mut json, mut explain) = (false, false);
    let (mut flags, mut objects) = (Vec::new(), Vec::new());
    for word in getopt::read(args, &letters, LONG, Order::Anywhere) {
        match word {
            Err(mistake) => {
                write!(io.err, "whois: {mistake}\n{HELP}")?;
                return Ok(Err(1));
            }
            Ok(Word::Operand(o)) => objects.push(o.to_string_lossy().into_owned()),
            Ok(Word::Option(letter, value)) => {
                let value = value.map(|v| v.to_string_lossy().into_owned());
                match (letter, value) {
                    ('h', Some(v)) => host = Some(v),
                    ('p', Some(v)) => port = v,
                    ('!', _) => verbose = true,
                    ('\u{1}', _) => json = true,
                    ('\u{2}', _) => explain = true,
                    ('?', _) => {
                        write!(io.out, "{HELP}")?;
                        return Ok(Err(0));
                    }
                    ('=', _) => {
                        writeln!(io.out, "Version {} (netshoot).", crate::version::SHORT)?;
                        return Ok(Err(0));
                    }
                    ('H' | 'I' | '+' | 'V', _) => {}
                    (flag, None) => flags.push(format!("-{flag} ")),
                    (flag, Some(v)) => flags.push(format!("-{flag} {v} ")),
                }
            }
        }
    }
    // A request for a template has its object in the flag.
    let alone = flags
        .iter()
        .any(|f| ["-t ", "-v ", "-q "].iter().any(|a| f.starts_with(a)));
    if objects.is_empty() && !alone {
        write!(io.err, "{HELP}")?;
        return Ok(Err(1));
    }
    // HOST:PORT is one word too; an address of IPv6 has more colons.
    if let Some((name, number)) = host.as_deref().and_then(|h| h.split_once(':'))
        && !number.contains(':')
    {
        (port, host) = (number.to_string(), Some(name.to_string()));
    }
    let Some(host) = host else {
        writeln!(
            io.err,
            "whois: no server given and none is guessed: whois -h HOST {}",
            objects.join(" ")
        )?;
        return Ok(Err(2));
    };
    let question = Question {
        host,
        port,
        flags,
        object: objects.join(" "),
        verbose,
    };
    Ok(Ok((question, json, explain)))
}

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let (question, json, explain) = match read(args, io)? {
        Ok(read) => read,
        Err(code) => return Ok(code),
    };
    let code = match json {
        true => as_json(&question, io)?,
        false => ask(&question, io)?,
    };
    if explain {
        let said = match code {
            0 => io.lang.pick(
                "The server was reached: the way out of the cluster is open for TCP to it",
                "已连上服务器：集群到该服务器的 TCP 出口是通的",
            ),
            _ => io.lang.pick(
                "No answer: egress to the Internet is often closed for pods (a NetworkPolicy, a firewall); nc -zv SERVER 43 says which",
                "没有应答：Pod 的公网出口常被关闭（NetworkPolicy、防火墙）；用 nc -zv 服务器 43 可以确认",
            ),
        };
        writeln!(io.out, "{said}")?;
    }
    Ok(code)
}

/// What is asked of whom.
struct Question {
    host: String,
    port: String,
    flags: Vec<String>,
    object: String,
    verbose: bool,
}

/// Most of an answer that is kept for JSON, bytes.
const KEPT: usize = 4 << 20;

fn as_json(question: &Question, io: &mut Io<'_>) -> Result<i32> {
    let (mut answer, mut wrong) = (Kept(Vec::new()), Kept(Vec::new()));
    let quiet = &mut Io {
        out: &mut answer,
        err: &mut wrong,
        color: false,
        progress: false,
        lang: io.lang,
    };
    let code = ask(question, quiet)?;
    let text = |kept: &Kept| String::from_utf8_lossy(&kept.0).into_owned();
    let mut all = serde_json::json!({
        "server": question.host,
        "port": question.port,
        "object": question.object,
        "answer": text(&answer),
    });
    if code != 0 {
        all["error"] = text(&wrong).trim_end().into();
    }
    writeln!(io.out, "{all}")?;
    io.err.write_all(&wrong.0)?;
    Ok(code)
}

/// Keeps the beginning of what is written to it.
struct Kept(Vec<u8>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = KEPT.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend(bytes.get(..room).unwrap_or_default());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn ask(question: &Question, io: &mut Io<'_>) -> Result<i32> {
    let Question {
        host,
        port,
        flags,
        object,
        verbose,
    } = question;
    // Names are asked for in small letters, as the original does.
    let query = format!("{}{}", flags.concat(), object.to_lowercase());
    if !flags.is_empty() {
        writeln!(
            io.out,
            "Warning: RIPE flags used with a traditional server."
        )?;
    }
    if *verbose {
        writeln!(io.out, "Using server {host}.\nQuery string: \"{query}\"\n")?;
    }
    io.out.flush()?;
    let stream = match connect(host, port) {
        Ok(stream) => stream,
        Err(said) => {
            writeln!(io.err, "{said}")?;
            return Ok(2);
        }
    };
    match talk(stream, &query, io) {
        Ok(()) => Ok(0),
        Err(Broken::Output(e)) => Err(e.into()),
        Err(Broken::Network(e)) => {
            writeln!(io.err, "read: {}", in_words(&e))?;
            Ok(2)
        }
    }
}

enum Broken {
    Network(std::io::Error),
    Output(std::io::Error),
}

/// Tries each address of the name; what went wrong, in the original's words.
fn connect(host: &str, port: &str) -> Result<TcpStream, String> {
    let Ok(number) = port.parse::<u16>() else {
        return Err(format!(
            "getaddrinfo({host}): Servname not supported for ai_socktype"
        ));
    };
    let addresses = (host, number).to_socket_addrs().map_err(|e| {
        let said = e.to_string();
        let why = said
            .rsplit_once("information: ")
            .map_or(said.as_str(), |p| p.1);
        format!("getaddrinfo({host}): {why}")
    })?;
    let mut said = format!("getaddrinfo({host}): No address associated with hostname");
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(e) => said = format!("connect: {}", in_words(&e)),
        }
    }
    Err(said)
}

/// An error of the kernel as strerror(3) has it.
fn in_words(e: &std::io::Error) -> String {
    let text = match e.kind() {
        std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => {
            "Connection timed out".to_string()
        }
        _ => e.to_string(),
    };
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_string()
}

/// Asks and copies the answer line by line, as it comes, without carriage returns.
fn talk(mut stream: TcpStream, query: &str, io: &mut Io<'_>) -> Result<(), Broken> {
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(Broken::Network)?;
    stream
        .write_all(format!("{query}\r\n").as_bytes())
        .map_err(Broken::Network)?;
    let mut buffer = vec![0; 16 * 1024];
    let mut ended = true;
    loop {
        let n = stream.read(&mut buffer).map_err(Broken::Network)?;
        if n == 0 {
            break;
        }
        let text: Vec<u8> = buffer[..n]
            .iter()
            .copied()
            .filter(|b| *b != b'\r')
            .collect();
        ended = text.last().map_or(ended, |b| *b == b'\n');
        io.out.write_all(&text).map_err(Broken::Output)?;
    }
    // The last line ends, also where the server's does not.
    if !ended {
        io.out.write_all(b"\n").map_err(Broken::Output)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_command_lines_are_refused_or_read() {
        let seeds = [
            "-h 127.0.0.1:4343 -p 43 --verbose -T domain -r example.com",
            "--host ::1 -H --json --explain -q version -i mnt-by x y",
        ];
        crate::fuzz::command_lines(&seeds, 3_000, |words, io| {
            let args: Vec<OsString> = words.iter().map(OsString::from).collect();
            read(&args, io)
        });
    }
}
