//! `netshoot man [WORD]`: manual pages, computed from the parser.

use super::{ALL, Applet};
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
            .help(lang.pick("One word instead of the whole", "仅某个子命令")),
    )
    .after_help(lang.pick(
        "Read it: netshoot man diagnose | man -l -",
        "阅读：netshoot man diagnose | man -l -",
    ))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let word = m.get_one::<String>("word").map_or("", String::as_str);
    let whole = crate::command(io.lang);
    let command = if word.is_empty() {
        whole
    } else if let Some(c) = whole.get_subcommands().find(|c| c.get_name() == word) {
        let name = format!("netshoot-{word}");
        c.clone()
            .bin_name(format!("netshoot {word}"))
            .display_name(name)
    } else {
        let names: Vec<&str> = ALL.iter().map(|a| a.name).collect();
        let near = nearest(word, &names);
        let known = if near.is_empty() {
            names.join(", ")
        } else {
            near.join(", ")
        };
        writeln!(
            io.err,
            "netshoot man: {} {}; {} {known}",
            io.lang.pick("there is no word", "没有子命令"),
            safe(word),
            io.lang.pick("there is", "可用：")
        )?;
        return Ok(USAGE);
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    io.out.write_all(&page)?;
    Ok(0)
}
