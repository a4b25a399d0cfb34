//! `netshoot probes`: what it can ask the network.

use super::{Applet, output, wants_json};
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{ArgMatches, Command};
use netshoot_model::probe::Harm;
use netshoot_model::probe::kinds::{self, Kind};
use serde_json::json;

/// The word.
pub const APPLET: Applet = Applet {
    name: "probes",
    about: "List every question it can put to the network, with its needs and its harm",
    about_zh: "列出全部探测方式及其所需能力与影响",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    c.arg(output(lang))
}

/// Capabilities that a probe needs; empty for none.
pub fn needs(kind: &Kind) -> Vec<&'static str> {
    kind.needs
        .iter()
        .map(|n| n.word())
        .filter(|w| !w.is_empty())
        .collect()
}

/// What a probe does to the network, in words.
pub fn harm(h: Harm, lang: Lang) -> &'static str {
    match h {
        Harm::None => lang.pick("sends nothing", "不发包"),
        Harm::FewPackets => lang.pick("a few packets", "少量报文"),
        Harm::Series => lang.pick("tens of packets", "数十报文"),
    }
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    if wants_json(m) {
        let rows: Vec<_> = kinds::ALL
            .iter()
            .map(|k| json!({"id": k.id, "asks": k.asks, "asks_zh": k.asks_zh, "needs": needs(k), "harm": k.harm}))
            .collect();
        writeln!(io.out, "{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(0);
    }
    let width = kinds::ALL.iter().map(|k| k.id.len()).max().unwrap_or(0);
    for k in kinds::ALL {
        let needs = needs(k).join(",");
        writeln!(
            io.out,
            "{:<width$}  {:<15}  {:<13}  {}",
            k.id,
            harm(k.harm, io.lang),
            if needs.is_empty() { "-" } else { &needs },
            io.lang.pick(k.asks, k.asks_zh)
        )?;
    }
    Ok(0)
}
