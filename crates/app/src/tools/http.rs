//! `http` and `https`: requests written as people think of them, answers as people read them, as HTTPie 3.2.1 does.
//!
//! Reading order: [`words`] (the command line), [`plan`] (what it means), [`items`] and [`nested`] (what is sent),
//! [`request`] (as a request), [`talk`] (asked, followed, logged in), [`hear`] (answered), [`output`], [`show`] and [`machine`] (printed),
//! [`kept`] (sessions).

mod hear;
mod items;
mod kept;
mod machine;
mod nested;
mod output;
mod plan;
mod request;
mod show;
mod talk;
mod words;
mod wrong;

use super::{Group, Tool, take_lang};
use crate::io::Io;
use anyhow::Result;
use plan::Plan;
use std::ffi::OsString;
use std::fmt;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "http",
    stands_for: "HTTPie 3.2.1",
    group: Group::Web,
    tier: 1,
    about: "HTTP requests as people think of them, answers as people read them",
    about_zh: "按人的思路书写 HTTP 请求，按人的习惯显示应答",
    page: include_str!("pages/http.md"),
    cases: include_str!("cases/http.txt"),
    run: |args, io| run("http", args, io),
};

/// The same, by TLS where the URL does not say.
pub const SECURE: Tool = Tool {
    name: "https",
    stands_for: "HTTPie 3.2.1",
    group: Group::Web,
    tier: 2,
    about: "The same as http, with https:// where the URL does not say",
    about_zh: "同 http，URL 未写明协议时使用 https://",
    page: include_str!("pages/https.md"),
    cases: include_str!("cases/https.txt"),
    run: |args, io| run("https", args, io),
};

/// Exit codes that the original has.
mod exit {
    pub const ERROR: i32 = 1;
    pub const TIMEOUT: i32 = 2;
    pub const REDIRECTED: i32 = 3;
    pub const CLIENT: i32 = 4;
    pub const SERVER: i32 = 5;
    pub const TOO_MANY: i32 = 6;
}

/// Why there is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// In the command line: what the usage line shows of an option, and what is wrong.
    Usage(String, String),
    /// In a key that leads into a value.
    Nested(String),
    /// Something else.
    Said(String),
    /// There is only something to be shown.
    Show(&'static str),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mistake::Usage(shape, said) => {
                let gap = if shape.is_empty() { "" } else { " " };
                let usage = format!("http{gap}{shape} [METHOD] URL [REQUEST_ITEM ...]");
                write!(
                    f,
                    "usage:\n{}\n\nerror:\n{}\n\nfor more information:\n    run 'http --help' or visit https://httpie.io/docs/cli\n\n",
                    wrapped(&usage),
                    wrapped(said)
                )
            }
            Mistake::Nested(said) | Mistake::Said(said) => f.write_str(said),
            Mistake::Show(what) => f.write_str(what),
        }
    }
}

fn usage(shape: &str, said: &str) -> Mistake {
    Mistake::Usage(shape.to_string(), said.to_string())
}

/// A text in lines of 80 letters, the first one indented; the space where a line ends stays if there is room for it.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 80;
    let mut lines = vec![String::from("    ")];
    for word in text.split_inclusive(' ') {
        let bare = word.trim_end().chars().count();
        let line = lines.last().map_or(0, |l| l.chars().count());
        if line + bare > WIDTH && line > 4 {
            lines.push(String::new());
        }
        if let Some(last) = lines.last_mut() {
            *last += word;
        }
    }
    let cut = |l: &String| match l.chars().count() > WIDTH {
        true => l.trim_end().to_string(),
        false => l.clone(),
    };
    lines.iter().map(cut).collect::<Vec<_>>().join("\n")
}

/// A text as Python shows it in quotes.
fn python(text: &str) -> String {
    let quote = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out += &format!("\\x{:02x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// `[Errno 2] No such file or directory`.
fn errno(e: &std::io::Error) -> String {
    let said = netshoot_host::sockets::strerror(e);
    format!("[Errno {}] {said}", e.raw_os_error().unwrap_or(0))
}

fn run(name: &'static str, args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut args: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    take_lang(&mut args, io);
    let plan = match Plan::read(name, &args) {
        Ok(plan) => plan,
        Err(mistake) => return mistaken(name, &mistake, io),
    };
    match talk::run(&plan, io) {
        Ok(code) => Ok(code),
        Err(talk::Stop::Mistake(mistake)) => mistaken(name, &mistake, io),
        Err(talk::Stop::Output(e)) => Err(e.into()),
    }
}

/// A line of the log, as the original writes it.
fn log(name: &str, level: &str, said: &str, io: &mut Io<'_>) -> std::io::Result<()> {
    let text = format!("\n{name}: LogLevel.{level}: {said}\n\n");
    match io.progress && std::env::var_os("NO_COLOR").is_none() {
        true => {
            let color = if level == "WARNING" { 33 } else { 31 };
            write!(io.err, "\x1b[{color}m{text}\x1b[0m\x1b[{color}m\n\x1b[0m")
        }
        false => writeln!(io.err, "{text}"),
    }
}

fn mistaken(name: &str, mistake: &Mistake, io: &mut Io<'_>) -> Result<i32> {
    match mistake {
        Mistake::Show("version") => writeln!(io.out, "3.2.1")?,
        Mistake::Show(_) => help(io)?,
        Mistake::Said(said) => log(name, "ERROR", said, io)?,
        other => io.err.write_all(other.to_string().as_bytes())?,
    }
    Ok(match mistake {
        Mistake::Show(_) => 0,
        _ => exit::ERROR,
    })
}

fn help(io: &mut Io<'_>) -> Result<()> {
    io.out.write_all(
        b"usage:\n    http [METHOD] URL [REQUEST_ITEM ...]\n\nRequest items: Name:value (header), name==value (query), name=value (field), name:=json, name@file, name=@file, name:=@file\n\nOptions:\n",
    )?;
    io.out.write_all(words::listed().as_bytes())?;
    io.out
        .write_all(b"\nFor every --OPTION there is also a --no-OPTION that reverts OPTION\n")?;
    Ok(())
}
