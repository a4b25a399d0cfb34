//! Laws of the shelf: unique, in both languages, reachable by every way, documented.

#[cfg(feature = "node")]
mod pages;

use super::{ALL, completion};
use crate::io::Lang;
#[cfg(feature = "node")]
use netshoot_lab::labs::LABS;
use netshoot_model::checks;
use netshoot_model::probe::kinds;
use std::collections::BTreeSet;

#[cfg(feature = "node")]
#[test]
fn names_are_unique_and_every_file_is_on_the_list() {
    let listed: BTreeSet<String> = ALL.iter().map(|a| a.name.to_string()).collect();
    assert_eq!(listed.len(), ALL.len(), "a word stands twice");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/applets");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|e| Some(e.ok()?.path().file_stem()?.to_str()?.replace('_', "-")))
        .filter(|f| f != "mod" && f != "laws")
        .collect();
    assert_eq!(
        files, listed,
        "a word is a file, a mod line and a line in ALL"
    );
}

#[test]
fn abouts_are_in_both_languages() {
    for a in ALL {
        assert!(!a.about.is_empty() && !a.about.ends_with('.'), "{}", a.name);
        assert!(a.about.is_ascii(), "{}: {}", a.name, a.about);
        assert!(!a.about_zh.is_ascii(), "{}: {}", a.name, a.about_zh);
    }
}

#[test]
fn the_shells_words_keep_the_shelf_laws() {
    let mut seen = BTreeSet::new();
    for w in crate::own_line::small() {
        assert!(seen.insert(w.name), "{} stands twice", w.name);
        assert!(w.about.is_ascii() && !w.about.ends_with('.'), "{}", w.name);
        assert!(!w.about_zh.is_ascii(), "{}: {}", w.name, w.about_zh);
        assert!(!w.stands_for.is_empty(), "{}", w.name);
        // Who links a name decides what it means: two owners of one link would be a matter of luck.
        let twice = ALL.iter().any(|a| a.name == w.name && a.link);
        assert!(!twice, "{} is linked to two words", w.name);
    }
}

/// Every command and every argument, deep down.
fn walk(c: &clap::Command, path: &str, see: &mut dyn FnMut(&str, &clap::Command)) {
    let path = format!("{path} {}", c.get_name());
    see(path.trim(), c);
    for s in c.get_subcommands() {
        walk(s, &path, see);
    }
}

#[test]
fn every_argument_is_explained_in_both_languages() {
    for lang in [Lang::En, Lang::Zh] {
        walk(&crate::command(lang), "", &mut |path, c| {
            for a in c.get_arguments() {
                let help = a.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty(), "{path}: {} has no help", a.get_id());
                assert_eq!(
                    help.is_ascii(),
                    lang == Lang::En,
                    "{path}: {} in {lang:?}: {help}",
                    a.get_id()
                );
            }
        });
    }
}

#[test]
fn every_help_works_in_both_languages() {
    for (lang, heading) in [(Lang::En, "Usage: netshoot"), (Lang::Zh, "用法：netshoot")] {
        walk(&crate::command(lang), "", &mut |path, _| {
            let mut words: Vec<&str> = path.split(' ').collect();
            words.push("--help");
            let e = crate::command(lang)
                .try_get_matches_from(&words)
                .unwrap_err();
            assert_eq!(e.kind(), clap::error::ErrorKind::DisplayHelp, "{path}");
            let text = e.render().to_string();
            assert!(text.contains(heading), "{path}:\n{text}");
        });
    }
}

#[test]
fn the_parser_is_consistent() {
    crate::command(Lang::En).debug_assert();
}

#[test]
fn completions_hold_every_word() {
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(completion::script(shell, Lang::En)).unwrap();
        for a in ALL {
            assert!(script.contains(a.name), "{shell} lacks {}", a.name);
        }
        assert!(script.contains("symptom"), "{shell} lacks --symptom");
        if shell == "fish" {
            continue; // clap_complete offers it options only
        }
        for name in [checks::ALL[0].id, kinds::ALL[0].id] {
            assert!(script.contains(name), "{shell} lacks {name}");
        }
        #[cfg(feature = "node")]
        assert!(script.contains(LABS[0].0), "{shell} lacks the worlds");
    }
}

#[test]
fn a_link_and_a_first_word_lead_to_the_same() {
    let words = |line: &str| -> Vec<String> { line.split(' ').map(String::from).collect() };
    let cases = [
        ("/usr/bin/diagnose -n a", "netshoot diagnose -n a"),
        ("./checks -o json", "netshoot checks -o json"),
        ("netshoot lab list", "netshoot lab list"),
        ("n lab list", "netshoot lab list"),
        ("kubectl-netshoot diagnose", "netshoot diagnose"),
        ("netshoot help lab", "netshoot lab --help"),
        ("netshoot help", "netshoot --help"),
        (
            "netshoot --lang zh help lab",
            "netshoot --lang zh lab --help",
        ),
        ("netshoot --install d", "netshoot install d"),
        (
            "netshoot --lang=zh --install d",
            "netshoot --lang=zh install d",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(
            crate::by_first_word(&words(line)),
            words(expected),
            "{line}"
        );
    }
    assert_eq!(crate::by_first_word(&[]), ["netshoot"]);
}

#[test]
fn the_language_is_found_wherever_it_stands() {
    let cases = [
        ("netshoot --lang zh lab list", Some("zh")),
        ("netshoot lab list --lang=en", Some("en")),
        ("netshoot lab run x -- netshoot --lang zh", None),
        ("netshoot lab list", None),
        ("netshoot lab list --lang", None),
    ];
    for (line, expected) in cases {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        assert_eq!(crate::asked_lang(&words), expected, "{line}");
    }
}
