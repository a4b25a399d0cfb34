//! The shelf of tools: network tools under their usual names, each a file with a `pub const TOOL`. A tool reads its own
//! command line, prints what the original prints and exits with its codes; where it must differ, its page says so.
//!
//! To add one: a file, its `mod` line, its line in [`ALL`], its name in `netshoot_shell::NEIGHBOURS`, its page
//! (`pages/NAME.md`) and its cases (`cases/NAME.txt`); the laws say what is missing.
//!
//! A tool and a probe share one function: what asks the network lives in `host`, what reads its answer in `wire`.

mod arping;
mod curl;
mod delv;
mod dig;
mod drill;
mod echo_server;
mod fping;
pub mod getopt;
mod grpcurl;
mod host;
mod http;
mod httpd;
mod ip;
#[cfg(test)]
mod laws;
mod master;
mod mtr;
mod names;
mod nc;
mod nslookup;
mod openssl;
mod ping;
mod socat;
mod ss;
mod tcptraceroute;
mod telnet;
mod tracepath;
mod traceroute;
mod websocat;
mod wget;
mod whois;
mod zone;

use crate::io::{Io, Lang};
use crate::{NOBODY_READS, nobody_reads, report};
use anyhow::Result;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

/// What a tool is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Names and addresses.
    Names,
    /// What the kernel holds: links, routes, sockets.
    Kernel,
    /// Whether a host or a port can be reached, and by which way.
    Reach,
    /// HTTP and what is spoken over it.
    Web,
}

impl Group {
    /// For tables.
    pub fn title(self, lang: Lang) -> &'static str {
        match self {
            Group::Names => lang.pick("names", "名称解析"),
            Group::Kernel => lang.pick("kernel", "内核视图"),
            Group::Reach => lang.pick("reach", "连通性"),
            Group::Web => lang.pick("web", "Web"),
        }
    }
}

/// One tool.
pub struct Tool {
    /// What people type.
    pub name: &'static str,
    /// The original whose flags, output and exit codes it has, as Debian 12 has it.
    pub stands_for: &'static str,
    /// What it is for.
    pub group: Group,
    /// Named by the mission: 15 cases against the original, else 8.
    pub tier: u8,
    /// One line, English.
    pub about: &'static str,
    /// One line, Chinese.
    pub about_zh: &'static str,
    /// Its page: what it is in both languages, `## Examples`, `## Differences`.
    pub page: &'static str,
    /// Command lines that were run by ours and by the original in the same network with the same result, one a line.
    /// `[PLACE]` says where the next ones run, `#` begins a remark.
    pub cases: &'static str,
    /// Does it with the arguments behind its name; gives the exit code.
    pub run: fn(&[OsString], &mut Io<'_>) -> Result<i32>,
}

/// All tools, by group.
#[rustfmt::skip] // one tool, one line
pub const ALL: &[&Tool] = &[
    &dig::TOOL,
    &drill::TOOL,
    &delv::TOOL,
    &host::TOOL,
    &nslookup::TOOL,
    &whois::TOOL,
    &ip::TOOL,
    &ss::TOOL,
    &ping::TOOL,
    &fping::TOOL,
    &nc::TOOL,
    &traceroute::TOOL,
    &mtr::TOOL,
    &mtr::trip::TOOL,
    &tracepath::TOOL,
    &tcptraceroute::TOOL,
    &arping::TOOL,
    &telnet::TOOL,
    &socat::TOOL,
    &openssl::TOOL,
    &websocat::TOOL,
    &grpcurl::TOOL,
    &httpd::TOOL,
    &echo_server::TOOL,
    &curl::TOOL,
    &http::TOOL,
    &http::SECURE,
    &wget::TOOL,
];

/// The tool of that name.
pub fn named(name: &OsStr) -> Option<&'static Tool> {
    ALL.iter().copied().find(|t| name == t.name)
}

/// The tool that a command line asks for, by a link or by its first word, and what is behind its name.
pub fn called(args: &[OsString]) -> Option<(&'static Tool, &[OsString])> {
    let own = Path::new(args.first()?).file_name()?;
    if let Some(tool) = named(own) {
        return Some((tool, args.get(1..)?));
    }
    Some((named(args.get(1)?)?, args.get(2..)?))
}

/// Takes `--lang LANGUAGE` out of the words of a tool whose original has none.
pub fn take_lang(words: &mut Vec<String>, io: &mut Io<'_>) {
    while let Some(at) = words
        .iter()
        .position(|w| w == "--lang" || w.starts_with("--lang="))
    {
        let word = words.remove(at);
        let value = match word.split_once('=') {
            Some((_, value)) => value.to_string(),
            None if at < words.len() => words.remove(at),
            None => return,
        };
        io.lang = crate::io::choose_lang(Some(&value));
    }
}

/// Tools whose originals go on where output cannot be written, and end as if it had been.
const UNHEARD: &[&str] = &[
    "dig",
    "drill",
    "fping",
    "host",
    "ip",
    "nslookup",
    "ss",
    "traceroute",
];

/// Those that end in their own way then: with which code, and what they say.
const HEARD: &[(&str, i32, &str)] = &[
    ("mtr", 1, "write error: No space left on device"),
    ("ping", 1, "write error"),
    ("tracepath", 1, "write error"),
    ("wget", 3, ""),
];

/// Standard output; a deaf one does not hear that there is no room.
struct Out<'a> {
    to: &'a mut (dyn Write + Send),
    deaf: bool,
}

impl Out<'_> {
    fn heard<T>(&self, done: std::io::Result<T>, instead: T) -> std::io::Result<T> {
        match done {
            Err(e) if self.deaf && no_room(&e) => Ok(instead),
            done => done,
        }
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = self.to.write(bytes);
        self.heard(done, bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let done = self.to.flush();
        self.heard(done, ())
    }
}

fn no_room(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    [StorageFull, QuotaExceeded].contains(&e.kind())
}

/// There is no room for what is to be written.
fn full(e: &anyhow::Error) -> bool {
    let own = e.chain().filter_map(|c| c.downcast_ref::<std::io::Error>());
    own.into_iter().any(no_room)
}

impl Tool {
    /// Runs it with the process's streams; gives the exit code.
    pub fn start(&self, args: &[OsString]) -> i32 {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let lang = crate::io::choose_lang(None);
        Io::standard(lang, |io| {
            let deaf = UNHEARD.contains(&self.name);
            let mut out = Out {
                to: &mut *io.out,
                deaf,
            };
            let mut own = Io {
                out: &mut out,
                err: &mut *io.err,
                color: io.color,
                progress: io.progress,
                lang: io.lang,
            };
            let result = (self.run)(args, &mut own).and_then(|code| {
                own.out.flush()?;
                Ok(code)
            });
            match result {
                Ok(code) => code,
                Err(e) if nobody_reads(&e) => NOBODY_READS,
                Err(e) => match HEARD.iter().find(|h| h.0 == self.name && full(&e)) {
                    Some((name, code, said)) => {
                        if !said.is_empty() {
                            let _ = writeln!(io.err, "{name}: {said}");
                        }
                        *code
                    }
                    None => {
                        let said = report::safe(&format!("{e:#}"));
                        let _ = writeln!(io.err, "{}: {said}", self.name);
                        crate::COULD_NOT
                    }
                },
            }
        })
    }

    /// What differs from the original on purpose, one sentence each, as the page has it.
    pub fn differences(&self) -> Vec<&'static str> {
        let behind = self
            .page
            .split_once("\n## Differences\n")
            .map_or("", |p| p.1);
        let own = behind.split("\n## ").next().unwrap_or_default();
        own.lines().filter_map(|l| l.strip_prefix("- ")).collect()
    }

    /// Its cases: where, and the command line.
    pub fn lines(&self) -> Vec<(&'static str, &'static str)> {
        let mut place = "";
        let mut lines = Vec::new();
        for line in self.cases.lines().map(str::trim) {
            match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                Some(at) => place = at,
                None if line.is_empty() || line.starts_with('#') => {}
                None => lines.push((place, line)),
            }
        }
        lines
    }
}
