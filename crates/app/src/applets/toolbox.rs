//! `netshoot toolbox`: the network tools, what each stands for, how many cases prove it, where it differs.

use super::{Applet, output, wants_json};
use crate::io::{Io, Lang};
use crate::tools::{ALL, Tool};
use crate::wrong::Wrong;
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};
use netshoot_model::symptom::nearest;
use serde_json::{Value, json};
use std::ffi::OsStr;

/// The word.
pub const APPLET: Applet = Applet {
    name: "toolbox",
    about: "List the network tools: what each stands for, cases proved against it, differences",
    about_zh: "列出网络工具：所代表的原工具、与其对照验证的用例数、差异",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    c.arg(Arg::new("tool").value_name("TOOL").help(lang.pick(
        "One tool: its page, with all its differences",
        "某个工具：显示其说明与全部差异",
    )))
    .arg(output(lang))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    if let Some(word) = m.get_one::<String>("tool") {
        let Some(tool) = crate::tools::named(OsStr::new(word)) else {
            let names: Vec<&str> = ALL.iter().map(|t| t.name).collect();
            let near = nearest(word, &names).join(", ");
            let near = if near.is_empty() {
                names.join(", ")
            } else {
                near
            };
            return Err(Wrong::usage(format!(
                "{} {word:?}; {near}",
                io.lang.pick("no tool", "没有工具")
            )));
        };
        if wants_json(m) {
            writeln!(io.out, "{}", serde_json::to_string_pretty(&value(tool))?)?;
        } else {
            write!(io.out, "{}", page(tool, io.lang))?;
        }
        return Ok(0);
    }
    if wants_json(m) {
        let all: Vec<Value> = ALL.iter().map(|t| value(t)).collect();
        writeln!(io.out, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(0);
    }
    for t in ALL {
        writeln!(
            io.out,
            "{:<14} {:<22} {:>3} {} {:>2} {}  {}",
            t.name,
            t.stands_for,
            t.lines().len(),
            io.lang.pick("cases", "个用例"),
            t.differences().len(),
            io.lang.pick("differences", "处差异"),
            io.lang.pick(t.about, t.about_zh),
        )?;
    }
    Ok(0)
}

fn value(t: &Tool) -> Value {
    json!({
        "name": t.name,
        "stands_for": t.stands_for,
        "group": t.group.title(Lang::En),
        "tier": t.tier,
        "about": t.about,
        "cases": t.lines().len(),
        "differences": t.differences(),
    })
}

/// The page of a tool: what the shelf knows, then what its file says.
pub fn page(t: &Tool, lang: Lang) -> String {
    let stands = lang.pick("Stands for", "代表");
    let (group, cases) = (lang.pick("group", "分组"), lang.pick("cases", "用例"));
    format!(
        "# {}\n\n{}\n\n{stands}: {}; {group}: {}; {cases}: {}\n\n{}",
        t.name,
        lang.pick(t.about, t.about_zh),
        t.stands_for,
        t.group.title(lang),
        t.lines().len(),
        t.page,
    )
}
