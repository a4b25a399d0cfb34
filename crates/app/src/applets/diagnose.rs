//! `netshoot diagnose`.

use super::Applet;
use crate::access::{flags, in_a_world};
use crate::faces::diagnose::{Options, Source, run as diagnose};
use crate::io::{Io, Lang};
use crate::report::Format;
use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use netshoot_api::live::Resource;
use netshoot_model::symptom::Request;
use std::path::PathBuf;

/// The word.
pub const APPLET: Applet = Applet {
    name: "diagnose",
    about: "Find out why one thing cannot reach another, with proof and remedy",
    about_zh: "找出访问失败的根因，给出证据与修复",
    link: true,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    // An empty word here is a variable that was never set: another question than the one meant.
    let filled = NonEmptyStringValueParser::new;
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    c.arg(
        text(
            "symptom",
            "WORDS",
            lang.pick(
                "What hurts, in plain words (English or Chinese)",
                "用自然语言描述的症状（中文或英文）",
            ),
        )
        .short('s')
        .value_parser(filled()),
    )
    .arg(
        text(
            "namespace",
            "NAME",
            lang.pick("Namespace it is about", "所涉及的命名空间"),
        )
        .short('n'),
    )
    .arg(
        text(
            "from",
            "pod/NAME",
            lang.pick(
                "Who cannot reach: pod/NAME, deploy/NAME, node/NAME",
                "访问方：pod/NAME、deploy/NAME、node/NAME",
            ),
        )
        .value_parser(filled()),
    )
    .arg(
        text(
            "to",
            "svc/NAME:PORT",
            lang.pick(
                "What cannot be reached: svc/NAME:PORT, pod/NAME:PORT, HOST:PORT, URL",
                "访问目标：svc/NAME:PORT、pod/NAME:PORT、HOST:PORT、URL",
            ),
        )
        .value_parser(filled()),
    )
    .arg(
        text(
            "snapshot",
            "FILE",
            lang.pick(
                "Answer from a recording instead of the network",
                "基于录制文件诊断，不访问网络",
            ),
        )
        .value_parser(filled()),
    )
    .arg(
        text(
            "dump",
            "DIR",
            lang.pick(
                "Read objects from a folder of kubectl get -o yaml|json",
                "从 kubectl get -o yaml|json 的输出目录读取对象",
            ),
        )
        .conflicts_with("snapshot")
        .value_parser(filled()),
    )
    .arg(
        text(
            "record",
            "FILE",
            lang.pick(
                "Keep everything that was seen, for --snapshot",
                "保存全部所见，供 --snapshot 使用",
            ),
        )
        .value_parser(filled()),
    )
    .arg(flag(
        "passive",
        lang.pick("Send nothing to the network", "不发送任何报文"),
    ))
    .arg(flag(
        "plan",
        lang.pick(
            "Say what would be asked, and ask nothing",
            "仅说明将探测什么，不实际探测",
        ),
    ))
    .arg(flag(
        "runbook",
        lang.pick(
            "Print the equivalent script of ordinary tools",
            "输出等价的常用工具脚本",
        ),
    ))
    .arg(
        flag(
            "verify",
            lang.pick(
                "Apply the remedy (in a world) and show that it worked",
                "（在实验世界中）执行修复并验证",
            ),
        )
        .conflicts_with_all(["snapshot", "dump", "plan", "passive"]),
    )
    .arg(
        text(
            "remedy",
            "REPORT",
            lang.pick(
                "With --verify: apply the remedy of this earlier report (-o json)",
                "配合 --verify：执行此前报告（-o json）中的修复",
            ),
        )
        .requires("verify")
        .value_parser(filled()),
    )
    .arg(
        text(
            "patience",
            "SECONDS",
            lang.pick(
                "With --verify: how long the remedy may take to show",
                "配合 --verify：等待修复生效的时间",
            ),
        )
        .value_parser(clap::value_parser!(u64))
        .default_value("40"),
    )
    .arg(
        text(
            "max-probes",
            "N",
            lang.pick("Ask at most so many questions", "探测次数上限"),
        )
        .value_parser(clap::value_parser!(usize))
        .default_value("400"),
    )
    .arg(
        text("output", "FORMAT", lang.pick("How to print", "输出格式"))
            .short('o')
            .value_parser(["text", "json", "md", "markdown", "html"])
            .default_value("text"),
    )
    .args(flags::arguments(lang))
    .after_help(lang.pick(
        "Examples:
  netshoot diagnose -n shop --symptom 'web cannot reach cart'
  netshoot diagnose --from pod/web-1 -n shop --to svc/cart:80
  netshoot diagnose --to https://example.com/   from this host, without Kubernetes

Outside a world and without --dump or --snapshot it looks at the cluster of the kubeconfig, and without one at this host. In a cluster nothing is made unasked: see --access.
Exit codes: 0 healthy, 1 cause found, 2 could not tell, 64 and up for a wrong command line or file.",
        "示例：
  netshoot diagnose -n shop --symptom 'web 访问不了 cart'
  netshoot diagnose --from pod/web-1 -n shop --to svc/cart:80
  netshoot diagnose --to https://example.com/   从本机出发，无需 Kubernetes

不在实验世界中且未给出 --dump 或 --snapshot 时，诊断 kubeconfig 指向的集群；没有 kubeconfig 时诊断本机。未经允许不会在集群中创建任何对象，参见 --access。
退出码：0 正常，1 找到根因，2 无法判断，64 及以上为命令行或文件有误。",
    ))
}

/// A question that no cluster is needed for: from here to a name or address.
fn asks_this_host(m: &ArgMatches) -> bool {
    let text = |k: &str| m.get_one::<String>(k).map(String::as_str).unwrap_or("");
    let to = text("to");
    let object = to
        .split_once('/')
        .is_some_and(|(kind, rest)| !rest.starts_with('/') && Resource::known(kind).is_some());
    !to.is_empty()
        && !object
        && ["symptom", "from", "namespace"]
            .iter()
            .all(|k| text(k).is_empty())
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let text = |k: &str| m.get_one::<String>(k).cloned().unwrap_or_default();
    let path = |k: &str| m.get_one::<String>(k).map(PathBuf::from);
    let source = match (path("snapshot"), path("dump")) {
        (Some(f), _) => Source::Recording(f),
        (None, Some(d)) => Source::Dump(d),
        (None, None) if in_a_world() => Source::Around,
        (None, None) => match flags::how(m, asks_this_host(m))? {
            Some(how) => Source::Cluster(Box::new(how)),
            None => Source::Around,
        },
    };
    let options = Options {
        request: Request {
            said: text("symptom"),
            namespace: text("namespace"),
            from: text("from"),
            to: text("to"),
        },
        source,
        record: path("record"),
        passive: m.get_flag("passive"),
        plan: m.get_flag("plan"),
        runbook: m.get_flag("runbook"),
        verify: m.get_flag("verify"),
        remedy_of: path("remedy"),
        patience: std::time::Duration::from_secs(
            m.get_one::<u64>("patience").copied().unwrap_or(40),
        ),
        most_probes: m.get_one::<usize>("max-probes").copied().unwrap_or(400),
        format: Format::named(&text("output")),
    };
    diagnose(&options, io)
}
