//! `netshoot exec-in POD -- COMMAND`: from a node into the network of any pod.

use super::Applet;
use crate::faces::plugin::{debug, finish, flags};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};

/// The word.
pub const APPLET: Applet = Applet {
    name: "exec-in",
    about: "Run a command in the network of any pod, from a pod on its node",
    about_zh: "经由节点上的 Pod，在任意 Pod 的网络中执行命令",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let p = |en, zh| lang.pick(en, zh);
    let c = c
        .arg(
            Arg::new("name")
                .value_name("POD|deploy/NAME|svc/NAME")
                .required(true)
                .help(p("Whose network", "目标 Pod")),
        )
        .arg(flags::value("pod-namespace", "NAME", p("Namespace of the pod on the node; where PodSecurity refuses it, choose one that is privileged", "节点 Pod 所在命名空间；若被 PodSecurity 拒绝，请选择 privileged 的命名空间")))
        .args(flags::container(lang))
        .args(flags::printing(lang));
    flags::connection(c, lang).after_help(p(
        "Example:
  kubectl netshoot exec-in web-1 -- ip route show

The pod itself is not touched: it may be distroless, or crash in a loop. Names are looked up as it does.",
        "示例：
  kubectl netshoot exec-in web-1 -- ip route show

不触碰目标 Pod：它可以是 distroless，也可以正在反复崩溃。域名解析与目标 Pod 一致。",
    ))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    finish(debug::exec_in(m, io), debug::NODE_NEEDS, io)
}
