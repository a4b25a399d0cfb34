//! `netshoot lab`: worlds to look at, to train in, and to be measured by.

use super::{Applet, output};
use crate::faces::{bench, cluster, lab};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::PathBuf;

/// The word.
pub const APPLET: Applet = Applet {
    name: "lab",
    about: "Worlds: small broken Kubernetes networks, real packets, on this machine",
    about_zh: "实验世界：在本机用真实数据包搭建的故障 Kubernetes 网络",
    link: true,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    let labs = || {
        Arg::new("labs")
            .long("labs")
            .value_name("DIR")
            .help(lang.pick(
                "Read worlds from this folder instead of the built-in ones",
                "从该目录读取世界，而非内置世界",
            ))
            .global(true)
    };
    let name = || {
        Arg::new("name")
            .value_name("NAME")
            .required(true)
            .help(lang.pick(
                "Name of the world: see netshoot lab list",
                "世界名称，见 netshoot lab list",
            ))
    };
    let seed = || {
        Arg::new("seed")
            .long("seed")
            .value_name("N")
            .value_parser(value_parser!(u64))
            .default_value("0")
            .help(lang.pick(
                "Vary names, ports, addresses, placement and noise; 0 is the world as written",
                "按种子变化名称、端口、地址、位置与噪声；0 为原样",
            ))
    };
    let twin = || {
        Arg::new("twin")
            .long("twin")
            .value_name("TWIN")
            .value_parser(["healthy", "near-miss"])
            .help(lang.pick(
                "The same world without the fault, or with a harmless look-alike",
                "无故障的同一世界，或仅有无害的相似特征",
            ))
    };
    let hashed = || {
        Arg::new("hashed")
            .long("hashed")
            .action(ArgAction::SetTrue)
            .help(lang.pick(
                "Replace every name by a hash: a diagnosis must not read names",
                "将所有名称替换为哈希：诊断不得依赖名称",
            ))
    };
    let place = || {
        Arg::new("in")
            .long("in")
            .value_name("pod/X|node/Y")
            .help(lang.pick(
                "Where to run it; the first client pod if not given",
                "运行位置；缺省为第一个客户端 Pod",
            ))
    };
    let words = || {
        Arg::new("command")
            .num_args(1..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .required(true)
            .value_name("COMMAND")
            .help(lang.pick("What to run inside", "在其中运行的命令"))
    };
    let real = || {
        Arg::new("real")
            .long("real")
            .action(ArgAction::SetTrue)
            .help(lang.pick(
                "Run the world on the real kube-proxy and CoreDNS (scripts/cluster build of the project makes them)",
                "使用真实的 kube-proxy 与 CoreDNS 运行（由项目的 scripts/cluster build 构建）",
            ))
    };
    let output = || output(lang);
    let number =
        |n: &'static str, most: std::ops::RangeInclusive<u64>, d: &'static str, h: &'static str| {
            Arg::new(n)
                .long(n)
                .value_name("N")
                .value_parser(value_parser!(u64).range(most))
                .default_value(d)
                .help(h)
        };
    c.arg(labs())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("list")
                .about(lang.pick(
                    "Name every world, its catalogue numbers and layer",
                    "列出全部世界、故障编号与层次",
                ))
                .arg(output()),
        )
        .subcommand(
            Command::new("up")
                .about(lang.pick(
                    "Hold a world, with a shell in its first client pod",
                    "搭建并保持一个世界，在其第一个客户端 Pod 中打开 shell",
                ))
                .arg(real())
                .arg(name())
                .arg(seed())
                .arg(twin())
                .arg(place()),
        )
        .subcommand(
            Command::new("run")
                .about(lang.pick(
                    "Build a world, run a command inside, take it away",
                    "搭建世界，在其中运行命令，然后撤除",
                ))
                .arg(real())
                .arg(name())
                .arg(seed())
                .arg(twin())
                .arg(place())
                .arg(hashed())
                .arg(words()),
        )
        .subcommand(
            Command::new("ask")
                .about(lang.pick(
                    "Build a world and put its victim's question to the diagnosis",
                    "搭建世界，并以受影响者的原话发起诊断",
                ))
                .arg(real())
                .arg(name())
                .arg(seed())
                .arg(twin())
                .arg(hashed())
                .arg(
                    Arg::new("output")
                        .short('o')
                        .long("output")
                        .value_name("FORMAT")
                        .value_parser(["text", "json", "md", "markdown", "html"])
                        .default_value("text")
                        .help(lang.pick("How to print", "输出格式")),
                ),
        )
        .subcommand(
            Command::new("solve")
                .about(lang.pick(
                    "Diagnose a world, apply the remedy, verify",
                    "诊断、修复并验证一个世界",
                ))
                .arg(real())
                .arg(name())
                .arg(seed()),
        )
        .subcommand(
            Command::new("bench")
                .about(lang.pick(
                    "Measure the diagnosis over all worlds, their twins, and seeds",
                    "在全部世界、其对照与各种子上度量诊断",
                ))
                .arg(real())
                .arg(
                    Arg::new("only")
                        .long("only")
                        .value_name("NAME")
                        .default_value("")
                        .help(lang.pick(
                            "Only this world or catalogue number (several with commas)",
                            "仅该世界或故障编号（逗号分隔）",
                        )),
                )
                .arg(number(
                    "seeds",
                    1..=10_000,
                    "1",
                    lang.pick("How many seeds", "种子个数"),
                ))
                .arg(number(
                    "first-seed",
                    0..=u64::MAX / 2,
                    "1",
                    lang.pick("The first seed", "起始种子"),
                ))
                .arg(number(
                    "jobs",
                    1..=64,
                    "2",
                    lang.pick("Worlds at once", "同时搭建的世界数"),
                ))
                .arg(
                    Arg::new("cluster")
                        .long("cluster")
                        .action(ArgAction::SetTrue)
                        .help(lang.pick(
                            "Play the scenarios in a real Kubernetes instead (scripts/cluster of the project; --labs names their folder)",
                            "改为在真实 Kubernetes 中演练场景（项目的 scripts/cluster；--labs 指定其目录）",
                        )),
                )
                .arg(
                    Arg::new("twins")
                        .long("twins")
                        .action(ArgAction::SetTrue)
                        .help(
                            lang.pick("Only the healthy and near-miss twins", "仅无故障与近似对照"),
                        ),
                )
                .arg(
                    Arg::new("keep")
                        .long("keep")
                        .value_name("DIR")
                        .help(lang.pick(
                            "Keep the reports of runs that went wrong",
                            "保存出错运行的报告",
                        )),
                )
                .arg(output()),
        )
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let Some((word, m)) = m.subcommand() else {
        return Ok(64);
    };
    let labs = m.get_one::<String>("labs").map(PathBuf::from);
    let text = |k: &str| {
        m.try_get_one::<String>(k)
            .ok()
            .flatten()
            .cloned()
            .unwrap_or_default()
    };
    let number = |k: &str| m.try_get_one::<u64>(k).ok().flatten().copied().unwrap_or(0);
    let json = text("output") == "json";
    if word == "bench" && m.get_flag("cluster") {
        let options = cluster::Options {
            folder: labs,
            only: text("only"),
            json,
            keep: m.get_one::<String>("keep").map(PathBuf::from),
        };
        return cluster::run(&options, io);
    }
    let worlds = lab::worlds(labs.as_deref(), io.lang)?;
    if word == "list" {
        return lab::list(&worlds, json, io);
    }
    if word == "bench" {
        let options = bench::Options {
            labs,
            only: text("only"),
            seeds: number("seeds"),
            first_seed: number("first-seed"),
            twins_only: m.get_flag("twins"),
            real: m.get_flag("real"),
            jobs: number("jobs") as usize,
            json,
            keep: m.get_one::<String>("keep").map(PathBuf::from),
        };
        return bench::run(&worlds, &options, io);
    }
    let chosen = lab::Chosen {
        world: lab::named(&worlds, &text("name"), io.lang)?,
        seed: number("seed"),
        hashed: ["run", "ask"].contains(&word) && m.get_flag("hashed"),
        twin: text("twin"),
        place: text("in"),
        real: m.get_flag("real"),
    };
    match word {
        "up" => lab::up(&chosen, io),
        "run" => {
            let command: Vec<String> = m
                .get_many::<String>("command")
                .map(|v| v.cloned().collect())
                .unwrap_or_default();
            lab::run(&chosen, &command, io)
        }
        "ask" => lab::ask(&chosen, &["-o", &text("output")], io),
        _ => lab::ask(&chosen, &["--verify"], io),
    }
}
