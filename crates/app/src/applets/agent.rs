//! `netshoot agent`: hands at another place, for a diagnosis that runs elsewhere.

use super::Applet;
use crate::agent;
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};
use std::time::Duration;

/// The word.
pub const APPLET: Applet = Applet {
    name: "agent",
    about: "Answer questions of a diagnosis that runs elsewhere, as JSON lines",
    about_zh: "以 JSON 行的形式为别处运行的诊断执行探测",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let seconds = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("SECONDS")
            .value_parser(clap::value_parser!(u64))
            .default_value(default)
            .help(help)
    };
    c.arg(seconds(
        "idle",
        "120",
        lang.pick(
            "End when nothing was asked for so long",
            "空闲超过此时长即退出",
        ),
    ))
    .arg(seconds(
        "deadline",
        "600",
        lang.pick("End after so long in any case", "无论如何超过此时长即退出"),
    ))
    .after_help(lang.pick(
        "Example:
  netshoot agent --idle 30

A diagnosis starts it in pods and on nodes with exec or attach; it ends with its input.",
        "示例：
  netshoot agent --idle 30

由诊断通过 exec 或 attach 在 Pod 与节点上启动；输入结束即退出。",
    ))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let seconds = |k: &str| Duration::from_secs(m.get_one::<u64>(k).copied().unwrap_or(60));
    agent::serve(
        std::io::stdin(),
        io.out,
        seconds("idle"),
        seconds("deadline"),
    )?;
    Ok(0)
}
