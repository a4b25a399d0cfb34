//! `netshoot demo`: the article's incident, built, diagnosed, mended, verified, taken away.

use super::Applet;
use crate::faces::lab;
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{ArgMatches, Command};
use std::time::Instant;

/// The word.
pub const APPLET: Applet = Applet {
    name: "demo",
    about: "Watch one incident from the first symptom to the verified remedy (about 30 s)",
    about_zh: "演示：一次故障从症状到验证修复的全过程（约 30 秒）",
    link: true,
    arguments,
    run,
};

/// The article's case.
const WORLD: &str = "auth-service-out-of-memory";

fn arguments(c: Command, _: Lang) -> Command {
    c
}

fn run(_: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let start = Instant::now();
    let lines = [
        (
            "A small Kubernetes network is built on this machine: three nodes, five replicas of auth-service,",
            "在本机搭建一个小型 Kubernetes 网络：三个节点、五个 auth-service 副本，",
        ),
        (
            "user-service calling it. People report: \"user-service calls to auth-service time out\".",
            "user-service 在调用它。用户反馈：“user-service 调用 auth-service 频繁超时”。",
        ),
        (
            "Nothing of it touches this machine's own network.",
            "整个过程不触碰本机自身的网络。",
        ),
    ];
    for (en, zh) in lines {
        writeln!(io.out, "{}", io.lang.pick(en, zh))?;
    }
    writeln!(io.out)?;
    io.out.flush()?;
    let worlds = lab::worlds(None, io.lang)?;
    let world = lab::named(&worlds, WORLD, io.lang)?;
    let chosen = lab::Chosen {
        real: false,
        world,
        seed: 0,
        hashed: false,
        twin: String::new(),
        place: String::new(),
    };
    let code = lab::ask(&chosen, &["--verify"], io)?;
    writeln!(io.out)?;
    writeln!(
        io.out,
        "{} {:.1} s",
        io.lang.pick("From nothing to here:", "全程用时："),
        start.elapsed().as_secs_f64()
    )?;
    writeln!(
        io.out,
        "{} netshoot lab list",
        io.lang.pick("More incidents:", "更多故障：")
    )?;
    Ok(code)
}
