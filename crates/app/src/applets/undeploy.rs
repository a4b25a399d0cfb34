//! `netshoot undeploy`: takes the resident Deployment away.

use super::Applet;
use crate::faces::plugin::{deploy, finish, flags};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};

/// The word.
pub const APPLET: Applet = Applet {
    name: "undeploy",
    about: "Delete the Deployment that stays",
    about_zh: "删除常驻 Deployment",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let p = |en, zh| lang.pick(en, zh);
    let c = c
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .default_value("netshoot")
                .help(p("Name of the Deployment", "Deployment 名称")),
        )
        .arg(
            flags::value(
                "pod-running-timeout",
                "TIME",
                p("How long to wait until it is gone", "等待删除完成的时限"),
            )
            .default_value("1m"),
        );
    flags::connection(c, lang)
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    finish(deploy::undeploy(m, io), deploy::NEEDS, io)
}
