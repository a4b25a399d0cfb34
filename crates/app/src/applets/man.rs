//! `netshoot man [WORD]`: manual pages, computed from the parser.

use super::Applet;
use crate::io::{Io, Lang};
use crate::report::safe;
use crate::wrong::USAGE;
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};
use netshoot_model::symptom::nearest;

/// The word.
pub const APPLET: Applet = Applet {
    name: "man",
    about: "Print the manual page, of everything or of one word",
    about_zh: "输出手册页（全部或某个子命令）",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    c.arg(
        Arg::new("word")
            .value_name("WORD")
            .num_args(0..)
            .help(lang.pick(
                "One word instead of the whole; two for a word below it (lab run)",
                "仅某个子命令；其下级用两个词（lab run）",
            )),
    )
    .after_help(lang.pick(
        "Read it: netshoot man diagnose | man -l -",
        "阅读：netshoot man diagnose | man -l -",
    ))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let mut command = super::with_tools(crate::command(io.lang), io.lang);
    let mut called = String::from("netshoot");
    for word in m.get_many::<String>("word").into_iter().flatten() {
        let Some(below) = command.find_subcommand(word) else {
            let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            let near = nearest(word, &names);
            let there = io.lang.pick("there is", "可用：");
            let hint = match (near.is_empty(), called.as_str()) {
                (true, "netshoot") => {
                    format!(
                        "{} netshoot --help",
                        io.lang.pick("all words:", "全部子命令：")
                    )
                }
                (true, _) => format!("{there} {}", names.join(", ")),
                (false, _) => format!("{there} {}", near.join(", ")),
            };
            writeln!(
                io.err,
                "netshoot man: {} {}; {hint}",
                io.lang.pick("there is no word", "没有子命令"),
                safe(word)
            )?;
            return Ok(USAGE);
        };
        called = format!("{called} {word}");
        command = below.clone();
    }
    let command = command
        .display_name(called.replace(' ', "-"))
        .bin_name(called);
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .source(format!("netshoot {}", crate::version::SHORT))
        .manual("netshoot")
        .render(&mut page)?;
    io.out.write_all(&page)?;
    Ok(0)
}
