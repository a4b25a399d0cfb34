//! `openssl`: `s_client`, `x509` and `version`, as people type them to look at TLS and certificates.

mod names;
mod s_client;
mod starttls;
mod text;
mod x509;

use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use std::ffi::OsString;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "openssl",
    stands_for: "openssl",
    group: Group::Reach,
    tier: 2,
    about: "Look at TLS handshakes and certificates: s_client, x509, version",
    about_zh: "查看 TLS 握手与证书：s_client、x509、version",
    page: include_str!("pages/openssl.md"),
    cases: include_str!("cases/openssl.txt"),
    run,
};

const HELP: &str = "\
Usage: openssl s_client -connect HOST:PORT [OPTION]...
       openssl x509 [-in FILE] [OPTION]...
       openssl version
";

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut words: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    if words.is_empty() {
        write!(io.err, "{HELP}")?;
        return Ok(0);
    }
    let command = words.remove(0);
    match command.as_str() {
        "s_client" => s_client::run(&words, io),
        "x509" => x509::run(&words, io),
        "version" => {
            writeln!(
                io.out,
                "netshoot {} (rustls, no OpenSSL)",
                crate::version::SHORT
            )?;
            Ok(0)
        }
        "help" | "-help" | "--help" => {
            write!(io.out, "{HELP}")?;
            Ok(0)
        }
        other => {
            let other = crate::report::safe(other);
            writeln!(
                io.err,
                "Invalid command '{other}'; type \"help\" for a list."
            )?;
            Ok(1)
        }
    }
}

/// Of a command's words: the options in their order with their values. The error is what is to be said.
fn options<'a>(
    command: &str,
    words: &'a [String],
    alone: &[&str],
    valued: &[&str],
) -> Result<Vec<(&'a str, &'a str)>, String> {
    let more = format!("{command}: Use -help for summary.");
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix('-').filter(|n| !n.is_empty()) else {
            return Err(more);
        };
        let name = name.strip_prefix('-').unwrap_or(name);
        if alone.contains(&name) {
            found.push((name, ""));
        } else if valued.contains(&name) {
            match words.next() {
                Some(value) => found.push((name, value.as_str())),
                None => return Err(format!("{command}: Option -{name} needs a value\n{more}")),
            }
        } else {
            return Err(format!("{command}: Unknown option: -{name}\n{more}"));
        }
    }
    Ok(found)
}
