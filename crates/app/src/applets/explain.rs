//! `netshoot explain ID`: the page of a check or a probe.

use super::Applet;
use crate::io::{Io, Lang};
use crate::report::safe;
use crate::wrong::USAGE;
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};
use netshoot_model::check::Check;
use netshoot_model::probe::kinds::{self, Kind};
use netshoot_model::symptom::nearest;
use netshoot_model::{checks, rights};
use std::fmt::Write;

/// The word.
pub const APPLET: Applet = Applet {
    name: "explain",
    about: "Show the page of a check or a probe: what it looks at, what proves it, what to do",
    about_zh: "显示某个检查项或探测方式的说明：看什么、如何证明、如何处理",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    c.arg(
        Arg::new("id")
            .value_name("ID")
            .required(true)
            .help(lang.pick(
            "Id of a check (netshoot checks), of a probe (netshoot probes), or a catalogue number",
            "检查项（netshoot checks）、探测方式（netshoot probes）的标识，或故障编号",
        )),
    )
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let id = m.get_one::<String>("id").map_or("", String::as_str);
    // A catalogue number may stand for several checks.
    let found: Vec<&&Check> = checks::ALL
        .iter()
        .filter(|c| c.id == id || c.catalogue.iter().any(|f| f.eq_ignore_ascii_case(id)))
        .collect();
    if !found.is_empty() {
        for c in found {
            let page = io.lang.pick(split(c.page).0, c.page_zh);
            write!(io.out, "{}", with_rights(c, page, io.lang))?;
        }
        return Ok(0);
    }
    if let Some(k) = kinds::ALL.iter().find(|k| k.id == id) {
        write!(io.out, "{}", probe_page(k, io.lang))?;
        return Ok(0);
    }
    let ids: Vec<&str> = checks::ALL
        .iter()
        .map(|c| c.id)
        .chain(kinds::ALL.iter().map(|k| k.id))
        .collect();
    let near = nearest(id, &ids);
    let hint = if near.is_empty() {
        io.lang
            .pick(
                "see netshoot checks and netshoot probes",
                "参见 netshoot checks 与 netshoot probes",
            )
            .to_string()
    } else {
        let or = io.lang.pick(" or ", " 或 ");
        format!(
            "{} {}",
            io.lang.pick("did you mean", "您是否想找"),
            near.join(or)
        )
    };
    writeln!(
        io.err,
        "netshoot explain: {} {}; {hint}",
        io.lang.pick(
            "there is no check or probe called",
            "没有此检查项或探测方式："
        ),
        safe(id)
    )?;
    Ok(USAGE)
}

/// A page as people read it, and its examples, which are there for the tests and the docs.
fn split(page: &str) -> (&str, &str) {
    page.split_once("\n## Examples\n").unwrap_or((page, ""))
}

/// The page of a check, Markdown, with its examples, as the docs hold it.
#[cfg(feature = "node")]
#[cfg(test)]
pub fn check_page(c: &Check, lang: Lang) -> String {
    let (about, examples) = split(c.page);
    let page = format!(
        "{}\n\n## {}\n{examples}",
        lang.pick(about, c.page_zh).trim_end(),
        lang.pick("Examples", "例子")
    );
    with_rights(c, &page, lang)
}

fn with_rights(c: &Check, page: &str, lang: Lang) -> String {
    let mut b = format!(
        "# {}\n\n{} ({})\n",
        c.id,
        lang.pick(c.title, c.title_zh),
        c.catalogue
            .iter()
            .chain([&c.layer])
            .copied()
            .collect::<Vec<_>>()
            .join(", "),
    );
    let _ = writeln!(b, "\n{}\n", page.trim());
    let _ = writeln!(b, "## {}\n", lang.pick("Rights it needs", "所需权限"));
    for r in rights::of(c) {
        let group = r.api_groups.join(",");
        let _ = writeln!(
            b,
            "- {}: {} {}",
            if group.is_empty() { "core" } else { &group },
            r.verbs.join(", "),
            r.resources.join(", ")
        );
    }
    if rights::of(c).is_empty() {
        let none = lang.pick(
            "None of a cluster: it looks at a host.",
            "无需集群权限：仅查看主机。",
        );
        let _ = writeln!(b, "{none}");
    }
    if !c.after.is_empty() {
        let _ = writeln!(
            b,
            "\n{} {}",
            lang.pick(
                "Only an echo where one of these is broken:",
                "以下问题成立时仅为其后果："
            ),
            c.after.join(", ")
        );
    }
    b
}

/// The page of a probe, Markdown.
pub fn probe_page(k: &Kind, lang: Lang) -> String {
    let needs = super::probes::needs(k).join(", ");
    format!(
        "{}\n\n## {}\n\n{}; {}\n",
        lang.pick(k.page, k.page_zh).trim(),
        lang.pick("Needs and harm", "所需能力与影响"),
        if needs.is_empty() {
            lang.pick("needs no right", "无需特权")
        } else {
            &needs
        },
        super::probes::harm(k.harm, lang)
    )
}
