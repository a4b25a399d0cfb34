//! `netshoot lab`: worlds to look at, to train in, and to be measured by.

use super::Applet;
use crate::faces::{bench, lab};
use crate::io::Io;
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::PathBuf;

/// The word.
pub const APPLET: Applet = Applet {
    name: "lab",
    about: "Worlds: small broken Kubernetes networks, real packets, on this machine",
    about_zh: "实验世界：在本机用真实数据包搭建的故障 Kubernetes 网络",
    arguments,
    run,
};

fn arguments(c: Command) -> Command {
    let labs = || {
        Arg::new("labs")
            .long("labs")
            .value_name("DIR")
            .help("Read worlds from this folder instead of the built-in ones")
            .global(true)
    };
    let name = || {
        Arg::new("name")
            .value_name("NAME")
            .required(true)
            .help("Name of the world: see netshoot lab list")
    };
    let seed = || {
        Arg::new("seed")
            .long("seed")
            .value_name("N")
            .value_parser(value_parser!(u64))
            .default_value("0")
            .help("Vary names, ports, addresses, placement and noise; 0 is the world as written")
    };
    let twin = || {
        Arg::new("twin")
            .long("twin")
            .value_name("TWIN")
            .value_parser(["healthy", "near-miss"])
            .help("The same world without the fault, or with a harmless look-alike")
    };
    let place = || {
        Arg::new("in")
            .long("in")
            .value_name("pod/X|node/Y")
            .help("Where to run it; the first client pod if not given")
    };
    let words = || {
        Arg::new("command")
            .num_args(1..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .required(true)
            .value_name("COMMAND")
    };
    let output = || {
        Arg::new("output")
            .short('o')
            .long("output")
            .value_name("FORMAT")
            .value_parser(["text", "json"])
            .default_value("text")
    };
    let number = |n: &'static str, d: &'static str, h: &'static str| {
        Arg::new(n)
            .long(n)
            .value_name("N")
            .value_parser(value_parser!(u64))
            .default_value(d)
            .help(h)
    };
    c.arg(labs())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("list")
                .about("Name every world, its catalogue numbers and layer")
                .arg(output()),
        )
        .subcommand(
            Command::new("up")
                .about("Hold a world, with a shell in its first client pod")
                .arg(name())
                .arg(seed())
                .arg(twin())
                .arg(place()),
        )
        .subcommand(
            Command::new("run")
                .about("Build a world, run a command inside, take it away")
                .arg(name())
                .arg(seed())
                .arg(twin())
                .arg(place())
                .arg(words()),
        )
        .subcommand(
            Command::new("solve")
                .about("Diagnose a world, apply the remedy, verify")
                .arg(name())
                .arg(seed()),
        )
        .subcommand(
            Command::new("bench")
                .about("Measure the diagnosis over all worlds, their twins, and seeds")
                .arg(
                    Arg::new("only")
                        .long("only")
                        .value_name("NAME")
                        .default_value("")
                        .help("Only this world or catalogue number (several with commas)"),
                )
                .arg(number("seeds", "1", "How many seeds"))
                .arg(number("first-seed", "1", "The first seed"))
                .arg(number("jobs", "2", "Worlds at once"))
                .arg(
                    Arg::new("twins")
                        .long("twins")
                        .action(ArgAction::SetTrue)
                        .help("Only the healthy and near-miss twins"),
                )
                .arg(
                    Arg::new("keep")
                        .long("keep")
                        .value_name("DIR")
                        .help("Keep the reports of runs that went wrong"),
                )
                .arg(output()),
        )
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let Some((word, m)) = m.subcommand() else {
        return Ok(64);
    };
    let labs = m.get_one::<String>("labs").map(PathBuf::from);
    let worlds = lab::worlds(labs.as_deref())?;
    let text = |k: &str| {
        m.try_get_one::<String>(k)
            .ok()
            .flatten()
            .cloned()
            .unwrap_or_default()
    };
    let number = |k: &str| m.try_get_one::<u64>(k).ok().flatten().copied().unwrap_or(0);
    let json = text("output") == "json";
    if word == "list" {
        return lab::list(&worlds, json, io);
    }
    if word == "bench" {
        let options = bench::Options {
            labs,
            only: text("only"),
            seeds: number("seeds"),
            first_seed: number("first-seed"),
            twins_only: m.get_flag("twins"),
            jobs: number("jobs") as usize,
            json,
            keep: m.get_one::<String>("keep").map(PathBuf::from),
        };
        return bench::run(&worlds, &options, io);
    }
    let chosen = lab::Chosen {
        world: lab::named(&worlds, &text("name"))?,
        labs,
        seed: number("seed"),
        twin: text("twin"),
        place: text("in"),
    };
    match word {
        "up" => lab::up(&chosen, io),
        "run" => {
            let command: Vec<String> = m
                .get_many::<String>("command")
                .map(|v| v.cloned().collect())
                .unwrap_or_default();
            lab::run(&chosen, &command, io)
        }
        _ => lab::solve(&chosen, io),
    }
}
