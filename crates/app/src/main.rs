//! The binary: looks at the name it was called by, then at the first word; both go to one list.

mod access;
mod applets;
mod faces;
mod io;
mod report;
mod version;

use clap::{Arg, Command};
use io::{Io, Lang};
use std::process::ExitCode;

/// Exit code for a wrong command line (EX_USAGE of sysexits.h).
const USAGE: i32 = 64;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let _ = rustls::crypto::ring::default_provider().install_default();
    ExitCode::from(u8::try_from(start(&args)).unwrap_or(255))
}

fn start(args: &[String]) -> i32 {
    // Words that the program calls itself with: the processes of a world.
    if let Some(code) = netshoot_lab::own::internal(args.get(1..).unwrap_or_default()) {
        return code;
    }
    let lang = Lang::choose(None);
    let command = command();
    let matches = match command.try_get_matches_from(args) {
        Ok(m) => m,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { USAGE } else { 0 };
        }
    };
    let Some((word, m)) = matches.subcommand() else {
        return USAGE;
    };
    let Some(applet) = applets::ALL.iter().find(|a| a.name == word) else {
        return USAGE;
    };
    Io::standard(lang, |io| match (applet.run)(m, io) {
        Ok(code) => code,
        Err(e) => {
            let _ = writeln!(
                io.err,
                "netshoot {word}: {}",
                report::safe(&format!("{e:#}"))
            );
            2
        }
    })
}

fn command() -> Command {
    let words = applets::ALL
        .iter()
        .map(|a| (a.arguments)(Command::new(a.name).about(a.about)));
    Command::new("netshoot")
        .version(version::SHORT)
        .about("Network toolbox and diagnostician for Kubernetes")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("lang")
                .long("lang")
                .global(true)
                .value_name("en|zh")
                .value_parser(["en", "zh"]),
        )
        .subcommands(words)
}
