//! Damaged recordings, reports and command lines: refused in a sentence, or as good as any.

use crate::access::{Recording, Replay};
use crate::faces::{diagnose, verify};
use crate::golden::root;
use crate::io::{Io, Lang};
use crate::report::{self, Format};
#[cfg(feature = "node")]
use crate::tools::getopt::{self, Order, Takes};
use netshoot_model::probe::Probe;
use netshoot_model::report::Report;
use netshoot_model::topology::Topology;
use netshoot_wire::fuzz;
use serde_json::Value;
use std::collections::BTreeSet;
#[cfg(feature = "node")]
use std::ffi::OsString;

fn quiet<T>(work: impl FnOnce(&mut Io<'_>) -> T) -> (T, String) {
    let (done, out, _) = crate::io::heard(work);
    (done, out)
}

/// Damaged command lines of a tool: each is read, or refused with a word.
#[cfg(feature = "node")]
pub fn command_lines<T, E>(
    seeds: &[&str],
    rounds: u32,
    read: impl Fn(&[String], &mut Io<'_>) -> anyhow::Result<Result<T, E>>,
) {
    fuzz::texts(seeds, rounds, |text| {
        let words: Vec<String> = text.split_whitespace().map(String::from).collect();
        let (read, out, err) = crate::io::heard(|io| read(&words, io));
        let refused = read.unwrap().is_err();
        assert!(
            !(refused && out.is_empty() && err.is_empty()),
            "{text:?}: refused without a word"
        );
    });
}

fn held(file: &str) -> String {
    std::fs::read_to_string(root().join("crates/app/tests").join(file)).unwrap()
}

/// A recording with the objects that its conversation needs, so that damage hits what matters.
fn small(story: &str, namespace: &str) -> String {
    let text = held(&format!("recordings/{story}.json"));
    let mut recording = Recording::from_text(story, &text).unwrap();
    let wanted = ["Pod", "Service", "EndpointSlice", "Deployment", "Node"];
    recording.snapshot.objects.retain(|o| {
        wanted.contains(&o.kind()) && (o.namespace() == namespace || o.kind() == "Node")
    });
    serde_json::to_string_pretty(&recording).unwrap()
}

fn concluded(recording: &Recording) -> Report {
    let topology = Topology::new(&recording.snapshot);
    let mut replay = Replay::new(recording);
    let (said, _) = quiet(|io| diagnose::think(&recording.case, &topology, &mut replay, io));
    said.unwrap().0
}

fn render(r: &Report) {
    for format in [Format::Text, Format::Markdown, Format::Html, Format::Json] {
        let (done, page) = quiet(|io| report::write(r, format, io));
        done.unwrap();
        let raw = page
            .chars()
            .find(|c| c.is_control() && !"\n\t".contains(*c));
        assert_eq!(raw, None, "{format:?}: {page}");
    }
    report::runbook(r, Lang::Zh);
}

#[test]
fn a_damaged_recording_is_refused_or_gives_one_report() {
    let (a, b) = (small("unknown", "crm"), small("broken", "production"));
    let mut read = 0;
    fuzz::texts(&[&a, &b], 400, |text| {
        let recording = match Recording::from_text("r.json", text) {
            Ok(recording) => recording,
            Err(e) => return assert!(format!("{e:#}").contains("r.json"), "{e:#}"),
        };
        read += 1;
        let written = serde_json::to_value(&recording).unwrap();
        let mut again = Recording::from_text("again", &written.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), written);
        let report = concluded(&recording);
        render(&report);
        // Two answers to one question are no recording of ours: there the order decides.
        let asked: Vec<&Probe> = recording
            .batches
            .iter()
            .flat_map(|b| b.answers.iter().map(|a| &a.probe))
            .collect();
        if asked.iter().collect::<BTreeSet<_>>().len() == asked.len() {
            again.batches.iter_mut().for_each(|b| b.answers.reverse());
            let shuffled = serde_json::to_value(concluded(&again)).unwrap();
            assert_eq!(shuffled, serde_json::to_value(&report).unwrap());
        }
    });
    assert!(read > 30, "{read}");
}

#[test]
fn a_foreign_recording_is_refused_in_a_sentence() {
    for (text, says) in [
        ("", "broken JSON"),
        ("[]", "no schema"),
        (
            "{\"schema\": \"netshoot.recording/9\"}",
            "netshoot.recording/9",
        ),
        ("{\"schema\": \"netshoot.report/1\"}", "netshoot.report/1"),
        ("{\"schema\": 1}", "no schema"),
        (
            "{\"schema\": \"netshoot.recording/1\"}",
            "not a whole recording",
        ),
        ("kind: Pod", "broken JSON"),
    ] {
        let said = format!("{:#}", Recording::from_text("r.json", text).unwrap_err());
        assert!(said.contains("r.json") && said.contains(says), "{said}");
    }
}

#[test]
fn a_damaged_report_is_refused_or_rendered() {
    let (a, b) = (held("reports/broken.json"), held("reports/unknown.json"));
    let mut read = 0;
    fuzz::texts(&[&a, &b], 500, |text| {
        let said = verify::remedy_in("r.json", text);
        let Ok(report) = serde_json::from_str::<Report>(text) else {
            return assert!(said.unwrap_err().to_string().contains("r.json"));
        };
        read += 1;
        let remedy = serde_json::to_value(said.unwrap()).unwrap();
        assert_eq!(remedy, serde_json::to_value(&report.remedy).unwrap());
        let written: Value = serde_json::to_value(&report).unwrap();
        let again: Report = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(again).unwrap(), written);
        render(&report);
    });
    assert!(read > 30, "{read}");
}

#[test]
fn a_damaged_command_line_is_understood_or_explained() {
    let seeds = [
        "netshoot diagnose -n shop --symptom slow --from pod/a --to svc/b:80 -o json",
        "netshoot --lang zh help diagnose",
        "netshoot lab run listens-on-loopback --in pod/a --seed 3 -- sh -c true",
        "netshoot lab bench --seeds 5 --only bridge-down -o json",
        "netshoot explain path-mtu-black-hole",
        "/usr/bin/netshoot --version",
    ];
    let command = crate::command(Lang::En);
    fuzz::texts(&seeds, 400, |text| {
        let words: Vec<String> = text.split(' ').map(String::from).collect();
        let words = crate::by_first_word(&words);
        crate::asked_lang(&words);
        #[cfg(feature = "node")]
        {
            let args: Vec<OsString> = words.iter().map(OsString::from).collect();
            getopt::read(
                &args,
                "o:n::q",
                &[("symptom", Takes::Value, 's')],
                Order::Anywhere,
            );
        }
        if let Err(e) = command.clone().try_get_matches_from(&words) {
            let (code, _) = quiet(|io| crate::complain(&e, io));
            assert!([0, crate::USAGE].contains(&code), "{text:?} {code}");
        }
    });
}
