//! `netshoot diagnose`.

use super::Applet;
use crate::faces::diagnose::{Options, Source, run as diagnose};
use crate::io::Io;
use crate::report::Format;
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command};
use netshoot_model::symptom::Request;
use std::path::PathBuf;

/// The word.
pub const APPLET: Applet = Applet {
    name: "diagnose",
    about: "Find out why one thing cannot reach another, with proof and remedy",
    about_zh: "找出访问失败的根因，给出证据与修复",
    arguments,
    run,
};

fn arguments(c: Command) -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
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
            "What hurts, in plain words (English or Chinese)",
        )
        .short('s'),
    )
    .arg(text("namespace", "NAME", "Namespace it is about").short('n'))
    .arg(text(
        "from",
        "pod/NAME",
        "Who cannot reach: pod/NAME, deploy/NAME, node/NAME",
    ))
    .arg(text(
        "to",
        "svc/NAME:PORT",
        "What cannot be reached: svc/NAME:PORT, pod/NAME:PORT, HOST:PORT, URL",
    ))
    .arg(text(
        "snapshot",
        "FILE",
        "Answer from a recording instead of the network",
    ))
    .arg(text(
        "dump",
        "DIR",
        "Read objects from a folder of kubectl get -o yaml|json",
    ))
    .arg(text(
        "record",
        "FILE",
        "Keep everything that was seen, for --snapshot",
    ))
    .arg(flag("passive", "Send nothing to the network"))
    .arg(flag("plan", "Say what would be asked, and ask nothing"))
    .arg(flag(
        "runbook",
        "Print the equivalent script of ordinary tools",
    ))
    .arg(flag(
        "verify",
        "Apply the remedy (in a world) and show that it worked",
    ))
    .arg(
        text("max-probes", "N", "Ask at most so many questions")
            .value_parser(clap::value_parser!(usize))
            .default_value("400"),
    )
    .arg(
        text("output", "FORMAT", "How to print")
            .short('o')
            .value_parser(["text", "json", "markdown", "html"])
            .default_value("text"),
    )
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let text = |k: &str| m.get_one::<String>(k).cloned().unwrap_or_default();
    let path = |k: &str| m.get_one::<String>(k).map(PathBuf::from);
    let source = match (path("snapshot"), path("dump")) {
        (Some(f), _) => Source::Recording(f),
        (None, Some(d)) => Source::Dump(d),
        (None, None) => Source::Around,
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
        most_probes: m.get_one::<usize>("max-probes").copied().unwrap_or(400),
        format: Format::named(&text("output")),
    };
    diagnose(&options, io)
}
