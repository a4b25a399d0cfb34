//! `netshoot attach POD`: back to a pod of ours.

use super::Applet;
use crate::faces::plugin::{finish, flags, run};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};

/// The word.
pub const APPLET: Applet = Applet {
    name: "attach",
    about: "Go back to the command of a pod that still runs",
    about_zh: "重新连接到仍在运行的 Pod",
    link: false,
    arguments,
    run: go,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let p = |en, zh| lang.pick(en, zh);
    let c = c
        .arg(
            Arg::new("name")
                .value_name("POD|deploy/NAME|svc/NAME")
                .required(true)
                .help(p(
                    "The pod, or what has pods: then one that runs",
                    "Pod，或拥有 Pod 的对象（取其中一个运行中的）",
                )),
        )
        .arg(
            flags::value(
                "container",
                "NAME",
                p(
                    "Its container; the main one if not given",
                    "容器；缺省为主容器",
                ),
            )
            .short('c'),
        )
        .arg(
            flags::flag(
                "stdin",
                p(
                    "Send standard input; where the container takes it that is so anyway",
                    "转发标准输入；容器接收输入时自动开启",
                ),
            )
            .short('i'),
        )
        .arg(
            flags::flag(
                "tty",
                p(
                    "With its terminal; on a terminal that is so anyway",
                    "使用其终端；在终端上自动开启",
                ),
            )
            .short('t'),
        )
        .arg(flags::flag("quiet", p("Say nothing but errors", "仅输出错误")).short('q'))
        .arg(
            flags::value(
                "pod-running-timeout",
                "TIME",
                p("How long to wait until it runs", "等待启动的时限"),
            )
            .default_value("1m"),
        );
    flags::connection(c, lang)
}

fn go(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    finish(run::attach(m, io), run::NEEDS, io)
}
