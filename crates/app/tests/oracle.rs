//! Network tools against the originals: every line of `src/tools/cases/NAME.txt` is run by ours and by Debian's in the
//! same network; standard output, standard error and exit code are compared after what must vary was masked.
//!
//! A place (`[PLACE]` in those files) is a network namespace with what answers there: `oracle/ground.rs`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "oracle/ground.rs"]
mod ground;
#[path = "oracle/h2.rs"]
mod h2;
#[path = "oracle/lies.rs"]
mod lies;
#[path = "oracle/masks.rs"]
mod masks;
#[path = "oracle/names.rs"]
mod names;
#[path = "oracle/peers.rs"]
mod peers;
#[path = "screen/mod.rs"]
mod screen;
#[path = "oracle/served.rs"]
mod served;
#[path = "oracle/site.rs"]
mod site;
#[path = "oracle/watched.rs"]
mod watched;
#[path = "oracle/web.rs"]
mod web;

use ground::Ground;
use std::collections::BTreeMap;
use std::path::Path;

/// Tools whose originals wait a few times as long as the answer before took, or as long as the line lasts: on a busy machine
/// they miss answers that came. A difference must show three times.
const HASTY: [&str; 2] = ["traceroute", "telnet"];

/// Of one case: place, line.
type Case = (String, String);

fn cases(tool: &str) -> Vec<Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/tools/cases/{tool}.txt"));
    let text = std::fs::read_to_string(&file).unwrap();
    let mut place = String::new();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            Some(at) => place = at.to_string(),
            None if line.is_empty() || line.starts_with('#') => {}
            None => found.push((place.clone(), line.to_string())),
        }
    }
    found
}

/// Runs all cases of a tool; the test of its name. With `ORACLE=itself` the original is run twice: a case that differs then
/// is a race of the original's and proves nothing of ours.
fn prove(tool: &str) {
    let itself = std::env::var("ORACLE").is_ok_and(|w| w == "itself");
    if let Some(missing) = ground::missing(tool) {
        println!("SKIPPED: {tool} against the original: {missing}");
        return;
    }
    let mut by_place: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (place, line) in cases(tool) {
        by_place.entry(place).or_default().push(line);
    }
    let (mut proved, mut wrong) = (0, Vec::new());
    for (place, lines) in by_place {
        let ground = Ground::of(&place, tool);
        for line in lines {
            // A resolver answers from its cache in another order than the first time.
            if tool == "delv" {
                ground.original(&line);
            }
            let both = || {
                let theirs = masks::masked(tool, &line, &ground.original(&line));
                let ours = match itself {
                    true => ground.original(&line),
                    false => ground.ours(&line),
                };
                (theirs, masks::masked(tool, &line, &ours))
            };
            let (mut theirs, mut ours) = both();
            for _ in 0..2 {
                if theirs != ours && HASTY.contains(&tool) {
                    (theirs, ours) = both();
                }
            }
            if theirs == ours {
                proved += 1;
            } else {
                wrong.push(format!(
                    "---- [{place}] {line}\n{}",
                    difference(&theirs, &ours)
                ));
            }
        }
    }
    println!("oracle: {tool}: {proved} cases proved");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Runs all cases of a tool that has no original; what it says must be what `oracle/expected/NAME.txt` holds.
fn keep(tool: &str) {
    if let Some(missing) = ground::missing_rights() {
        println!("SKIPPED: {tool}: {missing}");
        return;
    }
    let mut told = String::new();
    let mut here: Option<(String, Ground)> = None;
    let all = cases(tool);
    for (place, line) in &all {
        if here.as_ref().is_none_or(|h| h.0 != *place) {
            here = Some((place.clone(), Ground::of(place, tool)));
        }
        let ground = &here.as_ref().unwrap().1;
        let said = masks::masked(tool, line, &ground.ours(line));
        told += &format!("$ {line}\n{}", said.out);
        if !said.out.is_empty() && !said.out.ends_with('\n') {
            told += "(no newline)\n";
        }
        for err in said.err.lines() {
            told += &format!("! {err}\n");
        }
        told += &format!("= {}\n\n", said.code);
    }
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/oracle/expected/{tool}.txt"));
    if std::env::var_os("UPDATE").is_some() && std::env::var_os("CI").is_none() {
        std::fs::write(&file, &told).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    for (had, has) in expected.split("\n\n").zip(told.split("\n\n")) {
        assert_eq!(
            had, has,
            "{tool} says something else (UPDATE=1 writes it down)"
        );
    }
    assert_eq!(
        expected.len(),
        told.len(),
        "{tool}: another number of cases"
    );
    println!(
        "oracle: {tool}: {} cases as they were written down",
        all.len()
    );
}

/// What the one has and the other has not.
fn difference(theirs: &ground::Said, ours: &ground::Said) -> String {
    let mut text = String::new();
    if theirs.code != ours.code {
        text += &format!("exit code: original {}, ours {}\n", theirs.code, ours.code);
    }
    for (what, a, b) in [
        ("out", &theirs.out, &ours.out),
        ("err", &theirs.err, &ours.err),
    ] {
        if a != b {
            text += &format!("original {what}:\n{a}\nour {what}:\n{b}\n");
        }
    }
    text
}

/// A server that lies costs a tool neither its life nor more than its patience.
#[test]
fn lies_end_cleanly() {
    if let Some(missing) = ground::missing("dig") {
        println!("SKIPPED: tools against a server that lies: {missing}");
        return;
    }
    let ground = Ground::of("names", "lies");
    for how in ["loop", "long", "cut", "count", "id", "head", "half", "eof"] {
        for (line, codes) in [
            (format!("dig +time=1 +tries=1 {how}.x @127.0.0.6"), [0, 9]),
            (
                format!("dig +tcp +time=1 +tries=1 {how}.x @127.0.0.6"),
                [0, 9],
            ),
            (
                format!("nslookup -timeout=1 -retry=1 {how}.x. 127.0.0.6"),
                [0, 1],
            ),
            (format!("host -W 1 {how}.x. 127.0.0.6"), [0, 1]),
        ] {
            let said = ground.ours(&line);
            assert!(codes.contains(&said.code), "{line}: {said:?}");
            assert!(!said.err.contains("panicked"), "{line}: {said:?}");
            let short = said.out.len() < 4_000;
            assert!(short && !said.out.is_empty(), "{line}: {said:?}");
        }
    }
}

#[test]
fn dig() {
    prove("dig");
}

#[test]
fn drill() {
    prove("drill");
}

#[test]
fn delv() {
    prove("delv");
}

#[test]
fn host() {
    prove("host");
}

#[test]
fn nslookup() {
    prove("nslookup");
}

#[test]
fn ip() {
    prove("ip");
}

#[test]
fn ss() {
    prove("ss");
}

#[test]
fn whois() {
    prove("whois");
}

#[test]
fn ping() {
    prove("ping");
}

#[test]
fn fping() {
    prove("fping");
}

#[test]
fn arping() {
    prove("arping");
}

#[test]
fn mtr() {
    prove("mtr");
}

#[test]
fn trip() {
    keep("trip");
}

#[test]
fn nc() {
    prove("nc");
}

#[test]
fn socat() {
    prove("socat");
}

#[test]
fn openssl() {
    prove("openssl");
}

#[test]
fn websocat() {
    keep("websocat");
}

#[test]
fn grpcurl() {
    keep("grpcurl");
}

#[test]
fn telnet() {
    prove("telnet");
}

#[test]
fn httpd() {
    prove("httpd");
}

#[test]
fn echo_server() {
    keep("echo-server");
}

#[test]
fn tracepath() {
    prove("tracepath");
}

#[test]
fn tcptraceroute() {
    prove("tcptraceroute");
}

#[test]
fn traceroute() {
    prove("traceroute");
}

#[test]
fn curl() {
    prove("curl");
}

#[test]
fn http() {
    prove("http");
}

#[test]
fn https() {
    prove("https");
}

#[test]
fn wget() {
    prove("wget");
}
