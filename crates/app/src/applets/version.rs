//! `netshoot version`: of this program and of the cluster.

use super::Applet;
use crate::faces::plugin::{deploy, finish, flags};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{ArgMatches, Command};

/// The word.
pub const APPLET: Applet = Applet {
    name: "version",
    about: "Print the versions of this program, its image, and the API server",
    about_zh: "显示本程序、镜像与 API server 的版本",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let p = |en, zh| lang.pick(en, zh);
    let c = c
        .arg(flags::flag(
            "client",
            p("Only this program; ask no cluster", "仅本程序；不访问集群"),
        ))
        .arg(
            flags::value("output", "FORMAT", p("Print as", "输出格式"))
                .short('o')
                .value_parser(["yaml", "json"]),
        );
    flags::connection(c, lang)
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    finish(deploy::version(m, io), &[], io)
}
