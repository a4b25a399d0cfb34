//! `netshoot checks`: what it knows to recognise, prove and mend.

use super::{Applet, output, wants_json};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{ArgMatches, Command};
use netshoot_model::{checks, rights};
use serde_json::json;

/// The word.
pub const APPLET: Applet = Applet {
    name: "checks",
    about: "List every kind of fault it knows, with the rights that finding it takes",
    about_zh: "列出全部检查项及其所需权限",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    c.arg(output(lang))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    if wants_json(m) {
        let rows: Vec<_> = checks::ALL
            .iter()
            .map(|c| {
                json!({
                    "id": c.id,
                    "title": c.title,
                    "title_zh": c.title_zh,
                    "catalogue": c.catalogue,
                    "kinds": c.looks_at,
                    "layer": c.layer,
                    "rights": rights::of(c),
                })
            })
            .collect();
        writeln!(io.out, "{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(0);
    }
    let width = checks::ALL.iter().map(|c| c.id.len()).max().unwrap_or(0);
    for c in checks::ALL {
        writeln!(
            io.out,
            "{:<width$}  {:<9} {:<7} {}",
            c.id,
            c.catalogue.join(","),
            c.layer,
            io.lang.pick(c.title, c.title_zh)
        )?;
    }
    Ok(0)
}
