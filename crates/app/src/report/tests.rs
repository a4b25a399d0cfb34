//! Reports of recorded runs, whole: golden texts, hostile names, the schema, the runbook.

use super::{html, markdown, runbook, text};
use crate::access::{Recording, Replay};
use crate::faces::diagnose::think;
use crate::golden;
use crate::io::{Io, Lang};
use netshoot_model::report::Report;
use netshoot_model::topology::Topology;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Recordings of worlds: broken, healthy, and unknown since nobody may look at the sockets. Their
/// reports are thought anew, so that they always say what the checks say now.
pub const STORIES: [&str; 3] = ["broken", "healthy", "unknown"];

/// What somebody might call a pod, or answer to a probe.
const HOSTILE: &str =
    "x<script>alert(1)</script>\x1b[2J|`$(touch /tmp/owned)`'\"\u{202e}lru\nEOF\n";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reports")
}

pub fn report(story: &str) -> Report {
    report_in(story, Lang::En)
}

fn report_in(story: &str, lang: Lang) -> Report {
    let path = folder().join(format!("../recordings/{story}.json"));
    let mut recording = Recording::read(&path).unwrap();
    recording.case.lang = lang;
    let topology = Topology::new(&recording.snapshot);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut io = quiet(&mut out, &mut err, lang);
    let mut replay = Replay::new(&recording);
    let (report, _) = think(&recording.case, &topology, &mut replay, &mut io).unwrap();
    report
}

fn value(story: &str) -> Value {
    serde_json::to_value(report(story)).unwrap()
}

fn quiet<'a>(out: &'a mut Vec<u8>, err: &'a mut Vec<u8>, lang: Lang) -> Io<'a> {
    Io {
        out,
        err,
        color: false,
        progress: false,
        lang,
    }
}

fn as_text(r: &Report, lang: Lang) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut io = quiet(&mut out, &mut err, lang);
    text::write(r, &mut io).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn reports_look_as_they_did() {
    let mut wrong = Vec::new();
    for story in STORIES {
        let json = serde_json::to_string_pretty(&report(story)).unwrap() + "\n";
        let path = folder().join(format!("{story}.json"));
        wrong.extend(golden::differs(&path, &json));
        for (lang, word) in [(Lang::En, "en"), (Lang::Zh, "zh")] {
            let r = report_in(story, lang);
            let pages = [
                ("txt", as_text(&r, lang)),
                ("md", markdown::render(&r, lang)),
                ("sh", runbook(&r, lang)),
            ];
            for (kind, text) in pages {
                let path = folder().join(format!("{story}.{word}.{kind}"));
                wrong.extend(golden::differs(&path, &text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Puts the hostile text after every word that comes from outside.
fn poison(v: &mut Value, key: &str) {
    // Words of our own: numbers, states, enumerations, times.
    const OWN: [&str; 18] = [
        "schema",
        "verdict",
        "state",
        "harm",
        "when",
        "taken_at",
        "seen_at",
        "to",
        "over",
        "protocol",
        "outcome",
        "record",
        "server",
        "id",
        "catalogue",
        "hop",
        "evidence",
        "probe",
    ];
    match v {
        Value::String(s) if !OWN.contains(&key) => s.push_str(HOSTILE),
        Value::Array(a) => a.iter_mut().for_each(|x| poison(x, key)),
        Value::Object(o) if key != "probe" && key != "conversation" => {
            o.iter_mut().for_each(|(k, x)| poison(x, k));
        }
        _ => {}
    }
}

/// Poisoned names inside probes and ends.
fn poison_probes(v: &mut Value) {
    let Value::Object(o) = v else {
        if let Value::Array(a) = v {
            a.iter_mut().for_each(poison_probes);
        }
        return;
    };
    for (k, x) in o.iter_mut() {
        match (k.as_str(), &mut *x) {
            ("name" | "namespace" | "host" | "path" | "pod", Value::String(s)) => {
                s.push_str(HOSTILE);
            }
            _ => poison_probes(x),
        }
    }
}

pub fn poisoned(story: &str) -> Report {
    let mut v = value(story);
    poison(&mut v, "");
    if let Some(lines) = v["audit"].as_array_mut() {
        for l in lines {
            poison_probes(&mut l["probe"]);
        }
    }
    poison_probes(&mut v["conversation"]);
    serde_json::from_value(v).unwrap()
}

fn has_control(text: &str) -> Option<char> {
    text.chars().find(|c| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    })
}

#[test]
fn hostile_names_stay_text() {
    for story in STORIES {
        let r = poisoned(story);
        for lang in [Lang::En, Lang::Zh] {
            let pages = [
                ("text", as_text(&r, lang)),
                ("markdown", markdown::render(&r, lang)),
                ("html", html::render(&r, lang)),
                ("runbook", runbook(&r, lang)),
            ];
            for (kind, page) in &pages {
                assert!(page.contains("alert"), "{story} {kind}: the names are gone");
                assert_eq!(has_control(page), None, "{story} {kind}");
            }
            let [_, (_, markdown), (_, html), _] = &pages;
            assert!(!html.contains("<script>alert"), "{story}");
            assert!(
                !html.contains("\"lru"),
                "{story}: a quote ends an attribute"
            );
            for line in outside_fences(markdown) {
                assert!(!line.contains("<script"), "{story}: {line}");
                assert_eq!(bare(line, '`'), 0, "{story}: {line}");
                if line.starts_with('|') {
                    assert_eq!(bare(line, '|'), 5, "{story}: {line}");
                }
            }
        }
    }
}

/// Lines that are not inside a code block. A block ends with a fence as long as the one it began with.
fn outside_fences(text: &str) -> Vec<&str> {
    let mut open: Option<usize> = None;
    let mut out = Vec::new();
    for line in text.lines() {
        let marks = line.chars().take_while(|c| *c == '`').count();
        match open {
            None if marks >= 3 => open = Some(marks),
            None => out.push(line),
            Some(n) if marks >= n && line.len() == marks => open = None,
            Some(_) => {}
        }
    }
    assert!(open.is_none(), "a code block does not end");
    out
}

/// How often a character stands there without a backslash.
fn bare(line: &str, mark: char) -> usize {
    let mut escaped = false;
    let mut n = 0;
    for c in line.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            c => {
                n += usize::from(c == mark && !escaped);
                escaped = false;
            }
        }
    }
    n
}

fn sh(words: &[&str], script: &str) -> (bool, String, String) {
    use std::io::Write;
    let mut child = Command::new("sh")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let out = child.wait_with_output().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (out.status.success(), text(&out.stdout), text(&out.stderr))
}

#[test]
fn the_runbook_is_a_shell_script() {
    for story in STORIES {
        for r in [report_in(story, Lang::Zh), poisoned(story)] {
            let script = runbook(&r, Lang::Zh);
            let (ok, _, complaint) = sh(&["-n"], &script);
            assert!(ok && complaint.is_empty(), "{story}: {complaint}\n{script}");
        }
    }
}

#[test]
fn the_runbook_runs_each_command_and_nothing_else() {
    // Every program is replaced by one that says its words; a hostile name must not start another.
    for story in STORIES {
        let script = runbook(&poisoned(story), Lang::En);
        let stand_in = "say() { printf '<%s>' \"$@\"; echo; }\n\
            for p in kubectl touch sh mtr timeout curl nc dig nslookup ip ss; do eval \"$p() { say $p \\\"\\$@\\\"; }\"; done\n";
        let (ok, out, complaint) = sh(&[], &format!("{stand_in}{script}"));
        assert!(ok, "{story}: {complaint}");
        assert!(complaint.is_empty(), "{story}: {complaint}");
        let started: Vec<&str> = out.lines().filter(|l| l.starts_with("<touch>")).collect();
        assert!(started.is_empty(), "{story}: {started:?}");
        assert!(out.contains("<kubectl>"), "{story}:\n{out}");
    }
}

#[test]
fn the_runbook_goes_the_articles_way() {
    let script = runbook(&report("broken"), Lang::En);
    let mut rest = script.as_str();
    for tool in [
        "nslookup",
        "nc -zv",
        "curl",
        "mtr --tcp",
        "tcpdump",
        "endpointslices",
        "kubectl describe service",
        "ss -tuanp",
    ] {
        let at = rest
            .find(tool)
            .unwrap_or_else(|| panic!("no {tool} where it belongs:\n{script}"));
        rest = &rest[at..];
    }
}

#[test]
fn reports_follow_the_schema() {
    let path = golden::root().join("docs/report.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for story in STORIES {
        let mut wrong = Vec::new();
        follows(&value(story), &schema, &schema, "report", &mut wrong);
        assert!(wrong.is_empty(), "{story}:\n{}", wrong.join("\n"));
    }
    let mut broken = value("broken");
    broken.as_object_mut().unwrap().remove("verdict");
    let mut wrong = Vec::new();
    follows(&broken, &schema, &schema, "report", &mut wrong);
    assert_eq!(
        wrong,
        ["report lacks verdict"],
        "the schema must be able to say no"
    );
}

/// The part of JSON Schema that our schema uses: type, const, enum, required, properties, items,
/// anyOf, $ref.
fn follows(v: &Value, s: &Value, root: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(name) = s["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#'));
        return follows(
            v,
            target.expect("a $ref that leads somewhere"),
            root,
            at,
            wrong,
        );
    }
    if let Some(ways) = s["anyOf"].as_array() {
        let fits = |way: &&Value| {
            let mut w = Vec::new();
            follows(v, way, root, at, &mut w);
            w.is_empty()
        };
        if !ways.iter().any(|w| fits(&w)) {
            wrong.push(format!("{at} is none of what it may be: {v}"));
        }
    }
    let is = |t: &str| match t {
        "object" => v.is_object(),
        "array" => v.is_array(),
        "string" => v.is_string(),
        "boolean" => v.is_boolean(),
        "integer" => v.is_u64() || v.is_i64(),
        "number" => v.is_number(),
        "null" => v.is_null(),
        other => panic!("type {other}"),
    };
    let types: Vec<&str> = match &s["type"] {
        Value::String(t) => vec![t],
        Value::Array(a) => a.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|t| is(t)) {
        wrong.push(format!("{at} is no {types:?}: {v}"));
        return;
    }
    if !s["const"].is_null() && s["const"] != *v {
        wrong.push(format!("{at} is not {}: {v}", s["const"]));
    }
    if s["enum"].as_array().is_some_and(|e| !e.contains(v)) {
        wrong.push(format!("{at} is none of {}: {v}", s["enum"]));
    }
    for key in s["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if v.is_object() && v.get(key).is_none() {
            wrong.push(format!("{at} lacks {key}"));
        }
    }
    for (key, below) in s["properties"].as_object().into_iter().flatten() {
        if let Some(x) = v.get(key) {
            follows(x, below, root, &format!("{at}.{key}"), wrong);
        }
    }
    for (i, x) in v.as_array().into_iter().flatten().enumerate() {
        if !s["items"].is_null() {
            follows(x, &s["items"], root, &format!("{at}[{i}]"), wrong);
        }
    }
}
