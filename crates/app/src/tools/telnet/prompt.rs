//! `telnet> `: what the escape character leads to, and what a call without a host begins with.

use super::{Plan, line, open, shown};
use crate::io::Io;
use anyhow::Result;
use std::io::BufRead;

const COMMANDS: &str = "\
Commands may be abbreviated.  Commands are:

close   \tclose current connection
logout  \tforcibly logout remote user and close the connection
open    \tconnect to a site
quit    \texit telnet
send    \ttransmit special characters ('send ?' for more)
status  \tprint status information
?       \tprint help information
";

const SENDS: &[(&str, &[u8], &str)] = &[
    ("ao", &[255, 245], "Send Telnet Abort output"),
    ("ayt", &[255, 246], "Send Telnet 'Are You There'"),
    ("brk", &[255, 243], "Send Telnet Break"),
    ("ec", &[255, 247], "Send Telnet Erase Character"),
    ("el", &[255, 248], "Send Telnet Erase Line"),
    ("escape", &[], "Send current escape character"),
    ("ga", &[255, 249], "Send Telnet 'Go Ahead' sequence"),
    ("ip", &[255, 244], "Send Telnet Interrupt Process"),
    ("nop", &[255, 241], "Send Telnet 'No operation'"),
    ("eor", &[255, 239], "Send Telnet 'End of Record'"),
    ("abort", &[255, 238], "Send Telnet 'Abort Process'"),
    ("susp", &[255, 237], "Send Telnet 'Suspend Process'"),
    ("eof", &[255, 236], "Send Telnet End of File Character"),
];

/// What comes behind a command in a line that stands.
pub enum Then {
    /// Bytes for the peer, and what was typed behind the command.
    Send(Vec<u8>, Vec<u8>),
    /// The line is closed.
    End,
}

/// One command; a wrong one is asked for again. `typed` is what came behind the escape character already.
pub fn within_a_line(plan: &Plan, typed: &[u8], terminal: bool, io: &mut Io<'_>) -> Result<Then> {
    let mut typed = typed.to_vec();
    writeln!(io.out)?;
    loop {
        write!(io.out, "telnet> ")?;
        io.out.flush()?;
        let Some((text, rest)) = next(typed) else {
            writeln!(io.out, "\nConnection closed.")?;
            return Ok(Then::End);
        };
        typed = rest;
        if !terminal {
            writeln!(io.out, "{}", crate::report::safe(&text))?;
        }
        let mut words = text.split_whitespace();
        let word = words.next().unwrap_or_default();
        let is = |name: &str| !word.is_empty() && name.starts_with(word);
        if word.is_empty() {
            return Ok(Then::Send(Vec::new(), typed));
        } else if is("close") || is("quit") || is("logout") {
            writeln!(io.out, "Connection closed.")?;
            return Ok(Then::End);
        } else if is("status") {
            let escape = shown(plan.escape);
            writeln!(io.out, "Connected.\nEscape character is '{escape}'.")?;
            io.out.flush()?;
            return Ok(Then::Send(Vec::new(), typed));
        } else if is("send") {
            if let Some(bytes) = send(plan, words.next().unwrap_or("?"), io)? {
                return Ok(Then::Send(bytes, typed));
            }
        } else if is("?") || is("help") {
            write!(io.out, "{COMMANDS}")?;
        } else if is("open") {
            writeln!(io.out, "?Already connected")?;
        } else {
            writeln!(io.out, "?Invalid command")?;
        }
    }
}

fn send(plan: &Plan, what: &str, io: &mut Io<'_>) -> Result<Option<Vec<u8>>> {
    match SENDS.iter().find(|s| s.0 == what.to_lowercase()) {
        Some(("escape", ..)) => Ok(Some(plan.escape.into_iter().collect())),
        Some((_, bytes, _)) => Ok(Some(bytes.to_vec())),
        None if what == "?" => {
            for (name, _, about) in SENDS {
                writeln!(io.out, "{name:<15} {about}")?;
            }
            Ok(None)
        }
        None => {
            writeln!(
                io.out,
                "Unknown send argument '{}'\n'send ?' for help.",
                crate::report::safe(what)
            )?;
            Ok(None)
        }
    }
}

/// The next line: of what is there, else of the input.
fn next(mut typed: Vec<u8>) -> Option<(String, Vec<u8>)> {
    if !typed.contains(&b'\n') && std::io::stdin().lock().read_until(b'\n', &mut typed).ok()? == 0 {
        return None;
    }
    let at = typed
        .iter()
        .position(|b| *b == b'\n')
        .unwrap_or(typed.len());
    let rest = typed.split_off(at);
    let text = String::from_utf8_lossy(&typed).into_owned();
    Some((text, rest.get(1..).unwrap_or_default().to_vec()))
}

/// `telnet` alone: commands until a line is opened or the input ends.
pub fn without_a_line(plan: &Plan, io: &mut Io<'_>) -> Result<i32> {
    loop {
        write!(io.out, "telnet> ")?;
        io.out.flush()?;
        let mut text = String::new();
        if std::io::stdin().lock().read_line(&mut text)? == 0 {
            return Ok(0);
        }
        let mut words = text.split_whitespace();
        let word = words.next().unwrap_or_default();
        let is = |name: &str| !word.is_empty() && name.starts_with(word);
        if word.is_empty() {
            continue;
        } else if is("quit") {
            return Ok(0);
        } else if is("open") {
            let Some(host) = words.next() else {
                writeln!(io.out, "usage: open [-l user] [-a] host-name [port]")?;
                continue;
            };
            let port = words.next().unwrap_or("telnet");
            if let Some(fd) = open(plan, host, port, io)? {
                return line::talk(plan, fd, io);
            }
        } else if is("status") {
            let escape = shown(plan.escape);
            writeln!(io.out, "No connection.\nEscape character is '{escape}'.")?;
        } else if is("close") || is("logout") || is("send") {
            writeln!(io.out, "?Need to be connected first.")?;
        } else if is("?") || is("help") {
            write!(io.out, "{COMMANDS}")?;
        } else {
            writeln!(io.out, "?Invalid command")?;
        }
    }
}
