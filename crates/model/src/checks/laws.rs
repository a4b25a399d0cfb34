//! Laws of the shelf: registered, unique, well named, page complete, examples true.

use super::ALL;
use crate::check::{Check, View};
use crate::engine;
use crate::evidence::EvidenceSet;
use crate::finding::Finding;
use crate::object::{Object, ObjectRef};
use crate::path::{Conversation, Destination, Path};
use crate::probe::{Answer, Answered, Probe};
use crate::remedy::Step;
use crate::snapshot::{ClusterSnapshot, Gap};
use crate::text;
use crate::text::{Lang, Text};
use crate::topology::Topology;
use serde::Deserialize;
use std::path::PathBuf;

/// Files of the shelf that are not checks.
const SHARED: &[&str] = &[
    "mod",
    "laws",
    "memory",
    "listeners",
    "places",
    "policies",
    "hosts",
    "behind",
    "upstreams",
    "routes",
];
/// Checks of clusters that no number of the catalogue fits: wrong questions, rightly unanswered.
const UNNUMBERED: &[&str] = &["service-lacks-port"];
/// Examples are looked at at this moment: 2026-01-08T00:00:00Z.
const NOW_MS: u64 = 1_767_830_400_000;

fn shelf() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/checks")
}

fn file_of(check: &Check) -> PathBuf {
    shelf().join(format!("{}.rs", check.id.replace('-', "_")))
}

#[test]
fn every_file_is_on_the_list_and_every_id_is_a_file() {
    let mut on_disk: Vec<String> = std::fs::read_dir(shelf())
        .unwrap()
        .filter_map(|e| Some(e.ok()?.path().file_stem()?.to_str()?.replace('_', "-")))
        .filter(|n| !SHARED.contains(&n.as_str()))
        .collect();
    on_disk.sort();
    let mut listed: Vec<String> = ALL.iter().map(|c| c.id.to_string()).collect();
    listed.sort();
    assert_eq!(
        on_disk, listed,
        "a check is a file, a mod line and a line in ALL"
    );
}

#[test]
fn ids_are_unique_and_name_a_state() {
    let mut seen = std::collections::BTreeSet::new();
    for c in ALL {
        assert!(seen.insert(c.id), "{} stands twice", c.id);
        assert!(
            c.id.chars()
                .all(|l| l.is_ascii_lowercase() || l.is_ascii_digit() || l == '-'),
            "{}",
            c.id
        );
        assert!(
            !["check", "bad", "error", "test"]
                .iter()
                .any(|w| c.id.starts_with(w)),
            "{} should name the bad state",
            c.id
        );
        assert!(
            !c.title.is_empty() && !c.title.ends_with('.') && !c.title_zh.is_empty(),
            "{}",
            c.id
        );
        // The catalogue is of clusters; checks of plain hosts read no objects and may lack a number.
        let known = !c.catalogue.is_empty() || UNNUMBERED.contains(&c.id);
        assert!(c.looks_at.is_empty() || known, "{}", c.id);
        assert!(
            ["L1", "L2", "L3", "L4", "L6", "L7", "policy", "host"].contains(&c.layer),
            "{}",
            c.id
        );
    }
}

#[test]
fn after_names_checks_and_makes_no_circle() {
    for c in ALL {
        let mut front = vec![c.id];
        for _ in 0..ALL.len() {
            front = front
                .iter()
                .flat_map(|id| {
                    ALL.iter()
                        .find(|k| k.id == *id)
                        .unwrap_or_else(|| panic!("{}: after names {id}, which is no check", c.id))
                        .after
                        .iter()
                        .copied()
                })
                .collect();
            assert!(!front.contains(&c.id), "{} comes after itself", c.id);
        }
    }
}

#[test]
fn pages_are_complete() {
    for c in ALL {
        for heading in [
            "## What it looks at",
            "## What proves it",
            "## What to do",
            "## Examples",
        ] {
            assert!(c.page.contains(heading), "{} lacks {heading}", c.id);
        }
        let examples = examples(c);
        assert!(
            examples.iter().any(|e| !e.expected.trim().is_empty()),
            "{} shows no example that fires",
            c.id
        );
        assert!(
            examples.iter().any(|e| e.expected.trim().is_empty()),
            "{} shows no example that stays silent",
            c.id
        );
    }
}

#[test]
fn examples_are_true() {
    let update = std::env::var_os("UPDATE").is_some();
    assert!(
        !(update && std::env::var_os("CI").is_some()),
        "expectations are not rewritten in CI"
    );
    let mut wrong = Vec::new();
    for c in ALL {
        for (i, e) in examples(c).iter().enumerate() {
            let got = e.run(c);
            if got.trim() != e.expected.trim() {
                wrong.push(format!(
                    "{} example {}:\n--- expected\n{}\n--- got\n{got}",
                    c.id,
                    i + 1,
                    e.expected
                ));
                if update {
                    let path = file_of(c);
                    let text = std::fs::read_to_string(&path).unwrap();
                    std::fs::write(&path, replace_block(&text, i, &got)).unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty() || update, "{}", wrong.join("\n"));
}

#[test]
fn pages_and_sentences_are_in_both_languages() {
    let mut wrong = Vec::new();
    for c in ALL {
        for heading in ["## 看什么", "## 凭什么证实", "## 怎么办"] {
            if !c.page_zh.contains(heading) {
                wrong.push(format!("{}: its Chinese page lacks {heading}", c.id));
            }
        }
        for finding in examples(c).iter().flat_map(|e| e.findings(c)) {
            let sentences = std::iter::once(&finding.says).chain(spoken(&finding));
            wrong.extend(
                sentences
                    .filter(|t| !bilingual(t))
                    .map(|t| format!("{}: '{t}' / '{t:#}'", c.id)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What decides in the first example of a page: kinds of objects and questions. Without any one of them
/// nothing is called broken.
const DECIDES: &[(&str, &[&str])] = &[
    (
        "dns-upstream-unreachable",
        &["ConfigMap", "EndpointSlice", "lookup", "resolve"],
    ),
    (
        "corefile-overrides-name",
        &["ConfigMap", "Service", "lookup"],
    ),
    (
        "dns-cache-down",
        &["Service", "EndpointSlice", "lookup", "resolve"],
    ),
    (
        "policy-blocks-dns-cache",
        &["NetworkPolicy", "lookup", "resolve"],
    ),
    ("service-does-not-exist", &["Service", "lookup"]),
    ("external-name-wrong", &["Service", "lookup", "resolve"]),
    (
        "headless-service-has-no-ready-pod",
        &["Service", "Pod", "lookup"],
    ),
    ("route-leads-to-no-service", &["Service", "Ingress"]),
    ("route-names-missing-port", &["Service", "Ingress"]),
    ("route-lacks-reference-grant", &["HTTPRoute"]),
    ("route-taken-by-nobody", &["Ingress"]),
    ("named-port-missing", &["Service", "Pod"]),
    (
        "readiness-probe-fails",
        &["Service", "Pod", "tcp_connect", "http"],
    ),
    ("no-local-endpoint", &["Service", "Pod", "EndpointSlice"]),
    ("webhook-unreachable", &["Service", "Deployment", "Event"]),
    ("node-not-reporting", &["Service", "Node", "Pod"]),
    ("network-plugin-not-ready", &["Service", "Node", "Pod"]),
    ("pod-addresses-exhausted", &["Service", "Pod", "Event"]),
    (
        "pod-route-missing",
        &["Node", "EndpointSlice", "tcp_connect", "routes"],
    ),
    ("conntrack-table-full", &["tcp_connect", "conntrack"]),
    (
        "bridge-skips-filter",
        &["EndpointSlice", "tcp_connect", "links", "sysctls"],
    ),
    ("hairpin-off", &["EndpointSlice", "tcp_connect", "links"]),
    ("link-loses-packets", &["Node", "tcp_connect", "echo"]),
];

#[test]
fn without_what_decides_nothing_is_called_broken() {
    let broken = |e: &Example, c: &'static Check| {
        let all = e.findings(c);
        all.iter().any(|f| f.state == crate::finding::State::Broken)
    };
    let mut wrong = Vec::new();
    for (id, deciding) in DECIDES {
        let check = ALL.iter().find(|c| c.id == *id).unwrap();
        let example = &examples(check)[0];
        assert!(broken(example, check), "{id}: its first example fires");
        for word in *deciding {
            let less = example.without(word);
            let lost = less.cluster.len() + less.evidence.len();
            assert!(
                lost < example.cluster.len() + example.evidence.len(),
                "{id}: its first example has no {word}"
            );
            if broken(&less, check) {
                wrong.push(format!("{id} is sure without {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The whole sentences of a finding; evidence may be a mere value.
fn spoken(f: &Finding) -> impl Iterator<Item = &Text> {
    let remedy = f.remedy.iter();
    let asked = remedy
        .clone()
        .flat_map(|r| &r.steps)
        .filter_map(|s| match s {
            Step::Ask { question } => Some(question),
            _ => None,
        });
    remedy.map(|r| &r.because).chain(asked)
}

fn bilingual(t: &Text) -> bool {
    let chinese = |s: &str| s.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    !chinese(t.in_lang(Lang::En)) && chinese(t.in_lang(Lang::Zh))
}

fn replace_block(text: &str, which: usize, with: &str) -> String {
    let mut at = 0;
    for _ in 0..=which {
        at += text[at..].find("```finding\n").unwrap() + "```finding\n".len();
    }
    let end = at + text[at..].find("```").unwrap();
    format!("{}{}{}", &text[..at], with, &text[end..])
}

struct Example {
    cluster: String,
    evidence: String,
    expected: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskLine {
    #[serde(default)]
    from: Option<String>,
    to: String,
    port: u16,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    http: Option<String>,
    #[serde(default)]
    through: Option<String>,
}

/// `unread: [Service in namespace kube-system]` beside `ask`: what may not be read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    ask: AskLine,
    #[serde(default)]
    unread: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scripted {
    from: crate::probe::Vantage,
    question: crate::probe::Question,
    answer: Answer,
}

fn examples(c: &Check) -> Vec<Example> {
    let mut out = Vec::new();
    let (mut cluster, mut evidence) = (String::new(), String::new());
    let mut block: Option<(&str, String)> = None;
    for line in c.page.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(kind)) if !kind.is_empty() => block = Some((kind, String::new())),
            (Some(_), Some("")) => match block.take().unwrap() {
                ("cluster", t) => cluster = t,
                ("evidence", t) => evidence = t,
                ("finding", expected) => out.push(Example {
                    cluster: std::mem::take(&mut cluster),
                    evidence: std::mem::take(&mut evidence),
                    expected,
                }),
                (other, _) => panic!("{}: unknown block {other}", c.id),
            },
            (Some((_, t)), _) => {
                t.push_str(line);
                t.push('\n');
            }
            _ => {}
        }
    }
    out
}

fn reference(text: &str) -> ObjectRef {
    let (kind, rest) = text
        .split_once(' ')
        .unwrap_or_else(|| panic!("'{text}' is not 'Kind namespace/name'"));
    let (ns, name) = rest.split_once('/').unwrap_or(("", rest));
    ObjectRef::new(kind, ns, name)
}

impl Example {
    /// The same without the objects of a kind, or without the answers to a question.
    fn without(&self, word: &str) -> Example {
        let (kind, asked) = (format!("{{kind: {word},"), format!("question: {word},"));
        let asked_with = format!("question: {{{word}:");
        let docs = self.cluster.split("---\n");
        let lines = self.evidence.lines();
        Example {
            cluster: docs
                .filter(|d| !d.starts_with(&kind))
                .collect::<Vec<_>>()
                .join("---\n"),
            evidence: lines
                .filter(|l| !l.contains(&asked) && !l.contains(&asked_with))
                .map(|l| format!("{l}\n"))
                .collect(),
            expected: String::new(),
        }
    }

    /// The findings as the page shows them.
    fn run(&self, check: &'static Check) -> String {
        self.findings(check)
            .iter()
            .filter(|f| f.state != crate::finding::State::Fine)
            .map(|f| format!("{} {}\n  because {}\n", f.check, f.subject, f.says))
            .collect()
    }

    fn findings(&self, check: &'static Check) -> Vec<Finding> {
        let mut docs = serde_yaml_ng::Deserializer::from_str(&self.cluster);
        let first = Deserialize::deserialize(docs.next().expect("an ask line"));
        let First { ask, unread } = first.unwrap_or_else(|e| panic!("{}: {e}", check.id));
        let mut snapshot = ClusterSnapshot::new("example", "you", NOW_MS);
        snapshot.gaps.extend(unread.iter().map(|what| Gap {
            what: text!("objects of kind {what}", "{what}"),
            missing: Text::default(),
            how_to_get: Text::default(),
        }));
        for doc in docs {
            let value: serde_json::Value = Deserialize::deserialize(doc)
                .unwrap_or_else(|e| panic!("{}: {e}\n{}", check.id, self.cluster));
            let object = Object(value);
            assert!(
                check.looks_at.contains(&object.kind()) || object.kind() == "Pod",
                "{}: example holds a {}, which it does not look at",
                check.id,
                object.kind()
            );
            snapshot.objects.push(object);
        }
        let to = reference(&ask.to);
        let conversation = Conversation {
            from: ask.from.as_deref().map(reference),
            to: match to.kind.as_str() {
                "Service" => Destination::Service(to),
                "Host" => Destination::Host(to.name),
                _ => Destination::Pod(to),
            },
            port: ask.port,
            protocol: if ask.protocol.is_empty() {
                "TCP".into()
            } else {
                ask.protocol
            },
            tls: ask.tls,
            http: ask.http,
            through: ask.through.as_deref().map(reference),
        };
        let mut evidence = EvidenceSet::default();
        if !self.evidence.is_empty() {
            let value: serde_json::Value = serde_yaml_ng::from_str(&self.evidence)
                .unwrap_or_else(|e| panic!("{}: {e}", check.id));
            let lines: Vec<Scripted> =
                serde_json::from_value(value).unwrap_or_else(|e| panic!("{}: {e}", check.id));
            evidence.add(lines.into_iter().map(|s| Answered {
                probe: Probe {
                    from: s.from,
                    question: s.question,
                },
                at_ms: NOW_MS + 5,
                took_ms: 1,
                answer: s.answer,
            }));
        }
        let topology = Topology::new(&snapshot);
        let mut path = Path::new(&topology, conversation);
        path.learn_cache(&topology, &evidence);
        let view = View::new(&topology, &path, &evidence, true);
        engine::run(check, &view)
    }
}
