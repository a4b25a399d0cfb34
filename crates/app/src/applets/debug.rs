//! `netshoot debug TARGET`: our tools beside what runs.

use super::Applet;
use crate::faces::plugin::{debug, finish, flags};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};

/// The word.
pub const APPLET: Applet = Applet {
    name: "debug",
    about: "Add the tools to a running pod, a copy of it, or a node",
    about_zh: "将工具加入运行中的 Pod、其副本或节点",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let p = |en, zh| lang.pick(en, zh);
    let c = c
        .arg(
            Arg::new("name")
                .value_name("POD|deploy/NAME|svc/NAME|node/NAME")
                .required(true)
                .help(p("What to look into", "调试目标")),
        )
        .arg(
            flags::value(
                "target",
                "CONTAINER",
                p(
                    "Container whose processes are seen; the pod's main one if not given",
                    "查看其进程的容器；缺省为主容器",
                ),
            ),
        )
        .arg(
            flags::value(
                "container",
                "NAME",
                p(
                    "Name of the container that is added; with --copy-to it may be one of the pod's, which then gets the command",
                    "所添加容器的名称；配合 --copy-to 可为 Pod 自身的容器，由其执行命令",
                ),
            )
            .short('c'),
        )
        .arg(flags::value(
            "copy-to",
            "NAME",
            p(
                "In a copy of the pod with this name; the original stays as it is",
                "在该名称的副本中调试；原 Pod 不变",
            ),
        ))
        .arg(flags::flag(
            "same-node",
            p(
                "With --copy-to: on the same node",
                "配合 --copy-to：位于同一节点",
            ),
        ))
        .arg(flags::flag(
            "rm",
            p(
                "With --copy-to: delete the copy at the end (default false)",
                "配合 --copy-to：结束时删除副本（缺省为 false）",
            ),
        ))
        .arg(flags::flag(
            "share-processes",
            p(
                "With --copy-to: its containers see each other's processes (default true)",
                "配合 --copy-to：容器间共享进程命名空间（缺省为 true）",
            ),
        ))
        .arg(flags::many(
            "set-image",
            "CONTAINER=IMAGE",
            p(
                "With --copy-to: another image for a container, * for all; without a command nothing else is added",
                "配合 --copy-to：替换容器镜像，* 表示全部；未给命令时不再添加容器",
            ),
        ))
        .arg(flags::flag(
            "replace",
            p(
                "With --copy-to: delete the original",
                "配合 --copy-to：删除原 Pod",
            ),
        ))
        .args(flags::container(lang))
        .args(flags::printing(lang));
    flags::connection(c, lang).after_help(p(
        "Examples:
  kubectl netshoot debug web-1                       a shell in the pod's network
  kubectl netshoot debug deploy/web -- ss -tln       one command; its exit code
  kubectl netshoot debug node/node-a -- ip route     in the node's namespaces; its files at /host
  kubectl netshoot debug web-1 --copy-to web-debug

A container of ours that runs there already is used again: Kubernetes cannot take one out of a pod.
It ends at its deadline, netshoot clean --all ends it before.",
        "示例：
  kubectl netshoot debug web-1                       在 Pod 网络中打开 shell
  kubectl netshoot debug deploy/web -- ss -tln       执行一条命令；返回其退出码
  kubectl netshoot debug node/node-a -- ip route     位于节点命名空间；节点文件在 /host
  kubectl netshoot debug web-1 --copy-to web-debug

已在运行的调试容器会被复用：Kubernetes 无法从 Pod 中移除容器。到期后结束，netshoot clean --all 可提前结束。",
    ))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let on_node = m
        .get_one::<String>("name")
        .is_some_and(|n| n.starts_with("node") || n.starts_with("no/"));
    let needs = if on_node {
        debug::NODE_NEEDS
    } else {
        debug::NEEDS
    };
    finish(debug::debug(m, io), needs, io)
}
