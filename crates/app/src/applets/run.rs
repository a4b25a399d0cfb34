//! `netshoot run NAME`: a temporary pod.

use super::Applet;
use crate::faces::plugin::{finish, flags, run};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};

/// The word.
pub const APPLET: Applet = Applet {
    name: "run",
    about: "Start a temporary pod in the cluster, talk to it, delete it",
    about_zh: "在集群中启动临时 Pod，交互后删除",
    link: false,
    arguments,
    run: go,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let p = |en, zh| lang.pick(en, zh);
    let c = c
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .help(p("Name of the pod", "Pod 名称")),
        )
        .arg(flags::flag(
            "rm",
            p(
                "Delete it at the end (default true)",
                "结束时删除（缺省为 true）",
            ),
        ))
        .arg(flags::flag(
            "attach",
            p("Talk to it (default true)", "连接到 Pod（缺省为 true）"),
        ))
        .arg(flags::flag(
            "host-network",
            p(
                "In the node's network, with the cluster's DNS",
                "使用节点网络，并保留集群 DNS",
            ),
        ))
        .arg(flags::value(
            "node",
            "NODE",
            p("On this node", "运行在该节点"),
        ))
        .arg(flags::many(
            "node-selector",
            "KEY=VALUE",
            p(
                "On a node with this label; may be repeated",
                "运行在带该标签的节点；可重复",
            ),
        ))
        .arg(flags::many(
            "toleration",
            "KEY[=VALUE][:EFFECT]",
            p(
                "Tolerate a taint; * for all; may be repeated",
                "容忍污点；* 表示全部；可重复",
            ),
        ))
        .arg(flags::value(
            "overrides",
            "JSON",
            p(
                "Laid over the pod: what it does not name stays",
                "叠加到 Pod 上：未提及的内容保持不变",
            ),
        ))
        .arg(
            flags::value(
                "override-type",
                "TYPE",
                p(
                    "How: strategic merges lists by name",
                    "叠加方式：strategic 按名称合并列表",
                ),
            )
            .value_parser(["strategic", "merge", "json"])
            .default_value("strategic"),
        )
        .arg(
            flags::many(
                "labels",
                "KEY=VALUE",
                p("Label; may be repeated", "标签；可重复"),
            )
            .short('l'),
        )
        .arg(flags::many(
            "annotations",
            "KEY=VALUE",
            p("Annotation; may be repeated", "注解；可重复"),
        ))
        .arg(flags::value(
            "requests",
            "cpu=50m,memory=64Mi",
            p("Resource requests", "资源请求"),
        ))
        .arg(flags::value(
            "limits",
            "cpu=200m,memory=128Mi",
            p("Resource limits", "资源限制"),
        ))
        .arg(flags::value(
            "serviceaccount",
            "NAME",
            p(
                "Run as it, with its token; without it no token is there",
                "使用该 ServiceAccount 及其令牌；缺省不挂载令牌",
            ),
        ))
        .arg(
            flags::value(
                "restart",
                "POLICY",
                p(
                    "Never, or with --attach=false OnFailure or Always",
                    "Never；配合 --attach=false 可为 OnFailure 或 Always",
                ),
            )
            .value_parser(["Never", "OnFailure", "Always"]),
        )
        .arg(
            flags::value(
                "port",
                "PORT",
                p(
                    "The port that the container says it listens on",
                    "容器声明监听的端口",
                ),
            )
            .value_parser(clap::value_parser!(u16).range(1..)),
        )
        .arg(flags::flag(
            "privileged",
            p("The same as --profile=sysadmin", "等同 --profile=sysadmin"),
        ))
        .arg(
            flags::flag(
                "command",
                p(
                    "What follows -- is the command: always so; for those who type kubectl's flags",
                    "-- 之后始终为命令；为兼容 kubectl run",
                ),
            )
            .id("is-command"),
        )
        .args(flags::container(lang))
        .args(flags::printing(lang));
    flags::connection(c, lang).after_help(p(
        "Examples:
  kubectl netshoot run tmp-shell
  kubectl netshoot run tmp-shell -n frontend -- curl -sv http://api-service.backend:8080/health
  kubectl netshoot run tmp-shell --host-network --node node-a -- ip route show
  kubectl netshoot run tmp-shell --dry-run=client -o yaml

The exit code is the command's. Deleted at the end and on Ctrl-C; if this program is killed, the pod
ends at its deadline and netshoot clean deletes it.",
        "示例：
  kubectl netshoot run tmp-shell
  kubectl netshoot run tmp-shell -n frontend -- curl -sv http://api-service.backend:8080/health
  kubectl netshoot run tmp-shell --host-network --node node-a -- ip route show
  kubectl netshoot run tmp-shell --dry-run=client -o yaml

退出码为命令的退出码。结束或 Ctrl-C 时删除 Pod；若本程序被强制终止，Pod 到期结束，netshoot clean 可将其删除。",
    ))
}

fn go(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    finish(run::run(m, io), run::NEEDS, io)
}
