//! `netshoot clean`: takes away what was left in the cluster.

use super::Applet;
use crate::faces::plugin::{clean, finish, flags};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{ArgMatches, Command};

/// The word.
pub const APPLET: Applet = Applet {
    name: "clean",
    about: "Delete the pods of ours that were left in the cluster; say what cannot be deleted",
    about_zh: "删除集群中遗留的调试 Pod；说明哪些无法删除",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let p = |en, zh| lang.pick(en, zh);
    let c = c
        .arg(flags::flag("all-namespaces", p("In all namespaces", "所有命名空间")).short('A'))
        .arg(flags::flag(
            "all",
            p(
                "Also what others use, and running ephemeral containers",
                "包括他人正在使用的 Pod 与运行中的临时容器",
            ),
        ))
        .arg(
            flags::value(
                "dry-run",
                "none|client",
                p(
                    "client: only say what would be deleted",
                    "client：仅说明将删除什么",
                ),
            )
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("client")
            .default_value("none")
            .value_parser(["none", "client"])
            .hide_possible_values(true),
        );
    flags::connection(c, lang)
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    finish(clean::clean(m, io), clean::NEEDS, io)
}
