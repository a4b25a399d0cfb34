//! `curl`: transfers by URL as curl(1) of Debian 12 does them: its options, its words, its exit codes.

mod alternatives;
mod config;
mod data;
pub mod explain;
mod glob;
mod options;
mod plan;
mod prepare;
mod shows;
mod together;
mod transfer;
mod writeout;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::web::failure::code;
use netshoot_host::web::{Failure, Info, Order, Session};
use plan::{Config, Global, Mistake, Reading, Trace, USAGE};
use prepare::Job;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use together::Board;
use transfer::{Side, Streams, Transfer};

/// The tool.
pub const TOOL: Tool = Tool {
    name: "curl",
    stands_for: "curl",
    group: Group::Web,
    tier: 1,
    about: "Transfer by URL: HTTP, HTTPS, proxies, files, and every byte shown",
    about_zh: "按 URL 传输：HTTP、HTTPS、代理、文件，并可显示每一个字节",
    page: include_str!("pages/curl.md"),
    cases: include_str!("cases/curl.txt"),
    run,
};

/// What `%{curl_version}` gives.
pub const VERSION: &str = "libcurl/7.88.1 rustls/0.23 zlib/1.2.13 zstd/1.5.7";
const PROTOCOLS: &str = "file http https telnet ws wss";
const FEATURES: &str =
    "alt-svc AsynchDNS HTTP2 HTTP3 HTTPS-proxy IPv6 Largefile libz SSL threadsafe UnixSockets zstd";
/// What the original adds to a certificate that it does not trust.
const DISTRUST: &str = "More details here: https://curl.se/docs/sslcerts.html

curl failed to verify the legitimacy of the server and therefore could not
establish a secure connection to it. To learn more about this situation and
how to fix it, please visit the web page mentioned above.
";
const HINT: &str = "curl: try 'curl --help' or 'curl --manual' for more information\n";

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let args: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let mut early: Vec<String> = Vec::new();
    let mut warn = |global: &Global, text: &str| {
        if !global.silent {
            early.push(wrapped("Warning: ", text));
        }
    };
    let mut reading = Reading {
        parts: Vec::new(),
        global: Global::default(),
        warn: &mut warn,
        depth: 0,
    };
    let done = words(&args, &mut reading);
    let (mut parts, global) = (std::mem::take(&mut reading.parts), reading.global.clone());
    for text in early {
        io.err.write_all(text.as_bytes())?;
    }
    if let Err(mistake) = done {
        return mistaken(mistake, io);
    }
    if args.is_empty() {
        io.err.write_all(HINT.as_bytes())?;
        return Ok(USAGE);
    }
    let no_url = |c: &Config| c.outs.iter().all(|o| o.url.is_none());
    if parts.is_empty() || parts.last().is_some_and(no_url) {
        io.err.write_all(b"curl: no URL specified!\n")?;
        io.err.write_all(HINT.as_bytes())?;
        return Ok(USAGE);
    }
    for part in &mut parts {
        match part.settle() {
            Ok(()) => {}
            Err(Mistake::Warned(_)) if global.silent => return Ok(USAGE),
            Err(mistake) => return mistaken(mistake, io),
        }
    }
    ask_passwords(&mut parts, io)?;
    operate(&parts, &global, io)
}

/// A user without a password is asked for it.
fn ask_passwords(parts: &mut [Config], io: &mut Io<'_>) -> Result<()> {
    let many = parts.len() > 1;
    for (i, part) in parts.iter_mut().enumerate() {
        let on = match many {
            true => format!(" on URL #{}", i + 1),
            false => String::new(),
        };
        let order = &mut part.order;
        let of_host = part.asks_password && order.login.bearer.is_none();
        for (asks, whose, login) in [
            (of_host, "host", &mut order.login),
            (part.asks_proxy_password, "proxy", &mut order.proxy_login),
        ] {
            if let Some((user, password)) = &mut login.user
                && asks
            {
                let question = format!("Enter {whose} password for user '{user}'{on}:");
                *password = netshoot_host::secret::asked(&question, io.err)?;
            }
        }
    }
    Ok(())
}

fn words(args: &[String], reading: &mut Reading<'_>) -> Result<(), Mistake> {
    let quiet = args
        .first()
        .is_some_and(|a| a == "--disable" || (a.starts_with("-q") && !a.starts_with("--")));
    if !quiet {
        let at = |home: &str, below: &str| Some(PathBuf::from(std::env::var_os(home)?).join(below));
        let files = [
            at("CURL_HOME", ".curlrc"),
            at("CURL_HOME", ".config/curlrc"),
            at("XDG_CONFIG_HOME", ".curlrc"),
            at("XDG_CONFIG_HOME", "curlrc"),
            at("HOME", ".curlrc"),
            at("HOME", ".config/curlrc"),
        ];
        if let Some(file) = files.into_iter().flatten().find(|f| f.is_file())
            && let Some(result) = config::read(&file.to_string_lossy(), reading)
        {
            result?;
        }
    }
    options::read(args, reading)
}

fn mistaken(mistake: Mistake, io: &mut Io<'_>) -> Result<i32> {
    Ok(match mistake {
        Mistake::Option(said) => {
            write!(io.err, "curl: {said}\n{HINT}")?;
            USAGE
        }
        Mistake::Said(code, said) => {
            if !said.is_empty() {
                writeln!(io.err, "curl: {said}")?;
            }
            if code == USAGE || code == code::READ {
                io.err.write_all(HINT.as_bytes())?;
            }
            code
        }
        Mistake::Refused(code, said) => {
            write!(io.err, "curl: {said}\n{HINT}")?;
            code
        }
        Mistake::Warned(said) => {
            io.err.write_all(wrapped("Warning: ", &said).as_bytes())?;
            USAGE
        }
        Mistake::Show("version") => {
            writeln!(io.out, "curl 7.88.1 (x86_64-pc-linux-gnu) {VERSION}")?;
            writeln!(
                io.out,
                "Release-Date: 2023-02-20, netshoot {}",
                env!("CARGO_PKG_VERSION")
            )?;
            writeln!(io.out, "Protocols: {PROTOCOLS}")?;
            writeln!(io.out, "Features: {FEATURES}")?;
            0
        }
        Mistake::Show(_) => {
            help(io)?;
            0
        }
    })
}

fn help(io: &mut Io<'_>) -> Result<()> {
    writeln!(io.out, "Usage: curl [options...] <url>")?;
    for (name, letter, kind) in options::ALL {
        let short = if *letter == ' ' {
            "    ".into()
        } else {
            format!("-{letter}, ")
        };
        let value = if *kind == options::Kind::Takes {
            " <value>"
        } else {
            ""
        };
        writeln!(io.out, " {short}--{name}{value}")?;
    }
    Ok(())
}

/// Text broken into lines with a prefix, as warnings are.
pub fn wrapped(prefix: &str, text: &str) -> String {
    const WIDTH: usize = 79;
    let width = WIDTH - prefix.len();
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        if rest.len() <= width {
            out += &format!("{prefix}{rest}\n");
            break;
        }
        let mut cut = (0..=width)
            .rev()
            .find(|i| rest.is_char_boundary(*i))
            .unwrap_or(rest.len());
        if let Some(space) = rest
            .get(..cut)
            .and_then(|t| t.rfind(' '))
            .filter(|s| *s > 0)
        {
            cut = space + 1;
        }
        let (line, behind) = rest.split_at(cut);
        out += &format!("{prefix}{line}\n");
        rest = behind;
    }
    out
}

/// What belongs to all transfers.
struct Run<'r, 'a, 'b> {
    parts: &'r [Config],
    global: &'r Global,
    streams: &'r Streams<'a, 'b>,
    trace: Option<Side>,
    errors: Side,
}

fn operate(parts: &[Config], global: &Global, io: &mut Io<'_>) -> Result<i32> {
    let streams = Mutex::new(io);
    let errors = match &global.stderr {
        Some(name) => Side::of(if name == "-" { "-" } else { name }).unwrap_or(Side::Err),
        None => Side::Err,
    };
    let trace = match &global.trace {
        Trace::Off => None,
        Trace::Plain => Some(match &global.stderr {
            Some(name) if name == "-" => Side::Out,
            Some(name) => std::fs::OpenOptions::new()
                .append(true)
                .open(name)
                .map_or(Side::Err, |f| Side::File(Mutex::new(f))),
            None => Side::Err,
        }),
        Trace::Hex(name) | Trace::Ascii(name) => match Side::of(name) {
            Ok(side) => Some(side),
            Err(_) => {
                let _ = errors.write(
                    &streams,
                    wrapped("Warning: ", "Failed to create/open output").as_bytes(),
                );
                None
            }
        },
    };
    let run = Run {
        parts,
        global,
        streams: &streams,
        trace,
        errors,
    };
    let mut session = Session::default();
    session.together = global.parallel && !global.immediate;
    run.load_cookies(&session);
    let code = match global.parallel {
        true => run.at_once(&session),
        false => run.in_turn(&mut session),
    };
    run.store_cookies(&session);
    Ok(code)
}

impl Run<'_, '_, '_> {
    fn say(&self, text: &str) {
        let _ = self.errors.write(self.streams, text.as_bytes());
    }

    fn warn(&self, text: &str) {
        if !self.global.silent {
            self.say(&wrapped("Warning: ", text));
        }
    }

    fn load_cookies(&self, session: &Session) {
        let now = netshoot_host::web::response::now();
        for part in self.parts {
            for file in &part.cookie_files {
                let text = match file.as_str() {
                    "" => continue,
                    "-" => std::io::read_to_string(std::io::stdin()).unwrap_or_default(),
                    file => match std::fs::read(file) {
                        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                        Err(_) => continue,
                    },
                };
                if let Ok(mut jar) = session.jar.lock() {
                    jar.load(&text, part.junk_cookies, now);
                }
            }
        }
    }

    fn store_cookies(&self, session: &Session) {
        let now = netshoot_host::web::response::now();
        for part in self.parts {
            let (Some(file), Ok(mut jar)) = (&part.cookie_jar, session.jar.lock()) else {
                continue;
            };
            let text = jar.to_file(now);
            if file == "-" {
                let _ = Side::Out.write(self.streams, text.as_bytes());
            } else if std::fs::write(file, text).is_err() {
                self.warn(&format!("failed to save cookies in {file}"));
            }
        }
    }

    fn in_turn(&self, session: &mut Session) -> i32 {
        let mut last = 0;
        let mut number = 0;
        let mut began: Option<Instant> = None;
        for part in self.parts {
            for job in prepare::jobs(part) {
                if let (Some(began), Some(pause)) = (began, part.rate) {
                    std::thread::sleep(pause.saturating_sub(began.elapsed()));
                }
                began = Some(Instant::now());
                last = match job {
                    Ok(job) => {
                        number += 1;
                        self.one(session, part, &job, number - 1, None)
                    }
                    Err(failure) => self.failed_early(&failure),
                };
                if last != 0 && self.global.fail_early {
                    return last;
                }
            }
        }
        last
    }

    fn failed_early(&self, failure: &prepare::Early) -> i32 {
        if !failure.said.is_empty()
            && (!self.global.silent || self.global.show_error || failure.always)
        {
            self.say(&failure.said);
        }
        // A file to upload that cannot be opened is told twice: the file by its name, and the transfer that does not begin.
        let unread = failure.always && failure.code == code::READ;
        if unread && (!self.global.silent || self.global.show_error) {
            self.say("curl: (26) Failed to open/read local data from file/application\n");
        }
        failure.code
    }

    /// One transfer with its tries; gives the exit code.
    fn one(
        &self,
        session: &mut Session,
        part: &Config,
        job: &Job,
        number: u64,
        board: Option<&Board>,
    ) -> i32 {
        let (mut order, file) = match job.order(part, self.global) {
            Ok(prepared) => prepared,
            Err(early) => return self.failed_early(&early),
        };
        let sides = (self.trace.as_ref(), &self.errors);
        let mut transfer = Transfer::new(self.streams, part, self.global, sides, &job.out, file);
        if let Some(board) = board {
            transfer.one_of(board, usize::try_from(number).unwrap_or(usize::MAX));
        }
        if let Err(early) = job.arrange(part, &mut order, &mut transfer) {
            return self.failed_early(&early);
        }
        order.offers = alternatives::load(&part.alt_svc);
        let began = Instant::now();
        let mut tries = part.retry;
        let mut delay = Duration::from_secs(1);
        loop {
            let mut info = Info::default();
            let mut done = session.perform(&order, &mut transfer, &mut info);
            if done.is_ok() && order.fail_with_body && info.status >= 400 {
                done = Err(Failure::new(
                    code::HTTP,
                    format!("The requested URL returned error: {}", info.status),
                ));
            }
            if let Some((why, wait)) = self.worth_another(part, &done, &info, tries, delay, began) {
                let _ = transfer.end(&info, &done);
                self.told(&done);
                let left = if tries == 1 {
                    "1 retries left.".to_string()
                } else {
                    format!("{tries} retries left.")
                };
                self.warn(&format!(
                    "Problem: {why}. Will retry in {} seconds. {left}",
                    wait.as_secs()
                ));
                std::thread::sleep(wait);
                delay = (delay * 2).min(Duration::from_secs(600));
                tries -= 1;
                transfer.again();
                continue;
            }
            if let Err(e) = transfer.end(&info, &done)
                && done.is_ok()
            {
                done = Err(e);
            }
            if let (Some(offers), Some(file)) = (&order.offers, part.alt_svc.last()) {
                alternatives::store(file, offers);
            }
            self.tell(part, job, &transfer, &info, &done, number);
            return done.map_or_else(|e| e.code, |()| 0);
        }
    }

    fn worth_another(
        &self,
        part: &Config,
        done: &Result<(), Failure>,
        info: &Info,
        tries: u32,
        delay: Duration,
        began: Instant,
    ) -> Option<(&'static str, Duration)> {
        if tries == 0 || part.retry_max.is_some_and(|m| began.elapsed() >= m) {
            return None;
        }
        let transient = matches!(info.status, 408 | 429 | 500 | 502 | 503 | 504);
        let why = match done {
            Err(e) if matches!(e.code, code::TIMEOUT | code::HOST_NAME | code::PROXY_NAME) => {
                "timeout"
            }
            Err(e) if e.code == code::CONNECT && info.errno == 111 && part.retry_refused => {
                "connection refused"
            }
            Err(e) if e.code == code::HTTP && transient => "HTTP error",
            Ok(()) if transient => "HTTP error",
            Err(_) if part.retry_all => "(retrying all errors)",
            _ => return None,
        };
        let mut wait = part.retry_delay.unwrap_or(delay);
        if part.retry_delay.is_none()
            && let Some(after) = info
                .retry_after
                .and_then(|s| u64::try_from(s).ok())
                .filter(|_| transient)
        {
            wait = wait.max(Duration::from_secs(after));
            let spent = began.elapsed().as_secs() + wait.as_secs();
            if part.retry_max.is_some_and(|m| spent > m.as_secs()) {
                return None;
            }
        }
        Some((why, wait))
    }

    /// Why it failed, where that is told.
    fn told(&self, done: &Result<(), Failure>) {
        if let Err(e) = done
            && (!self.global.silent || self.global.show_error)
        {
            self.say(&format!("curl: ({}) {}\n", e.code, e.said));
            if e.code == code::UNTRUSTED {
                self.say(DISTRUST);
            }
        }
    }

    fn tell(
        &self,
        part: &Config,
        job: &Job,
        transfer: &Transfer<'_, '_, '_>,
        info: &Info,
        done: &Result<(), Failure>,
        number: u64,
    ) {
        self.told(done);
        if let Some(format) = &part.write_out {
            let name = transfer.name();
            let known = writeout::Known {
                info,
                failure: done.as_ref().err(),
                file: name.as_deref(),
                url: &job.url,
                number,
            };
            for (err, text) in writeout::filled(format, &known) {
                let side = if err { &self.errors } else { &Side::Out };
                let _ = side.write(self.streams, text.as_bytes());
            }
        }
        if self.global.explain {
            let lang = self.streams.lock().map(|io| io.lang).unwrap_or_default();
            self.say(&explain::explained(info, done.as_ref().err(), lang));
        }
    }
}

/// Everything is shown.
fn verbose(order: &mut Order, global: &Global) {
    order.verbose = transfer::verbose(global);
}
