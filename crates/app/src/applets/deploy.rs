//! `netshoot deploy`: the resident Deployment.

use super::Applet;
use crate::faces::plugin::{deploy, finish, flags};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};

/// The word.
pub const APPLET: Applet = Applet {
    name: "deploy",
    about: "Make a Deployment that stays, for those who debug often",
    about_zh: "创建常驻 Deployment，适合频繁调试",
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
            flags::value("replicas", "N", p("How many pods", "副本数"))
                .value_parser(clap::value_parser!(u64))
                .default_value("1"),
        )
        .arg(flags::flag(
            "wait",
            p(
                "Wait until it is ready (default true)",
                "等待就绪（缺省为 true）",
            ),
        ))
        .args(flags::container(lang))
        .args(flags::printing(lang));
    flags::connection(c, lang).after_help(p(
        "It has no rights (profile restricted) unless --profile says more. Use it with:
  kubectl exec -it deploy/netshoot -- bash",
        "缺省无特权（profile restricted），可用 --profile 调整。使用方式：
  kubectl exec -it deploy/netshoot -- bash",
    ))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    finish(deploy::deploy(m, io), deploy::NEEDS, io)
}
