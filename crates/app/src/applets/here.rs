//! `netshoot here`: what this place is, what it may not do, and how to get that.

use super::{Applet, output, wants_json};
use crate::faces::here::{Here, Place};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The word.
pub const APPLET: Applet = Applet {
    name: "here",
    about: "Say what this pod or machine may not do for a diagnosis, and how to get it",
    about_zh: "说明当前 Pod 或主机缺少哪些诊断所需的权限，以及如何获取",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    c.arg(
        Arg::new("greet")
            .long("greet")
            .action(ArgAction::SetTrue)
            .help(lang.pick(
                "Say nothing outside containers: for the start of a shell",
                "在容器之外不输出：供 shell 启动时使用",
            )),
    )
    .arg(output(lang))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let here = Here::look();
    if m.get_flag("greet") && here.place == Place::Machine {
        return Ok(0);
    }
    if wants_json(m) {
        writeln!(io.out, "{}", serde_json::to_string_pretty(&here.json())?)?;
    } else {
        write!(io.out, "{}", here.text(&super::at_hand(io.lang), io.lang))?;
    }
    Ok(0)
}
