//! Laws of the shelf: unique, in both languages, reachable by every way, documented.

use super::{ALL, Applet, completion, explain, toolbox};
use crate::golden;
use crate::io::Lang;
use crate::tools;
use netshoot_host::probes;
use netshoot_lab::labs::LABS;
use netshoot_model::checks;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

#[test]
fn names_are_unique_and_every_file_is_on_the_list() {
    let listed: BTreeSet<String> = ALL.iter().map(|a| a.name.to_string()).collect();
    assert_eq!(listed.len(), ALL.len(), "a word stands twice");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/applets");
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
    for w in netshoot_shell::ALL {
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
        for name in [checks::ALL[0].id, probes::ALL[0].id, LABS[0].0] {
            assert!(script.contains(name), "{shell} lacks {name}");
        }
    }
}

#[test]
fn a_link_and_a_first_word_lead_to_the_same() {
    let words = |line: &str| -> Vec<String> { line.split(' ').map(String::from).collect() };
    let cases = [
        ("/usr/bin/diagnose -n a", "netshoot diagnose -n a"),
        ("./lab list", "netshoot lab list"),
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

/// docs/generated: path and text of every page, those in Chinese below zh/.
fn pages() -> BTreeMap<String, String> {
    let mut pages = pages_in(Lang::En);
    let chinese = pages_in(Lang::Zh).into_iter();
    pages.extend(chinese.map(|(path, text)| (format!("zh/{path}"), text)));
    pages
}

fn pages_in(lang: Lang) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut index = format!(
        "# {}\n\n{}\n\n## {}\n\n",
        lang.pick("Reference", "参考手册"),
        lang.pick(
            "Written by the tests from the code: `UPDATE=1 cargo test -p netshoot-app`. [中文](zh/index.md)",
            "由测试根据代码写出：`UPDATE=1 cargo test -p netshoot-app`。[English](../index.md)",
        ),
        lang.pick("Words", "命令"),
    );
    for a in ALL {
        let about = lang.pick(a.about, a.about_zh);
        let _ = writeln!(index, "- [{0}](commands/{0}.md): {about}", a.name);
        pages.insert(format!("commands/{}.md", a.name), help_page(a, lang));
    }
    let _ = writeln!(index, "\n## {}\n", lang.pick("Network tools", "网络工具"));
    for t in tools::ALL {
        let about = lang.pick(t.about, t.about_zh);
        let _ = writeln!(
            index,
            "- [{0}](applets/{0}.md): {about} ({1})",
            t.name, t.stands_for
        );
        pages.insert(format!("applets/{}.md", t.name), toolbox::page(t, lang));
    }
    let _ = writeln!(
        index,
        "\n## {}\n\n{}\n\n| {} | | {} |\n|---|---|---|",
        lang.pick("The shell and its tools", "Shell 及其工具"),
        lang.pick(
            "Options, output and exit codes are those of the tool named.",
            "选项、输出与退出码均与所列工具相同。"
        ),
        lang.pick("word", "命令"),
        lang.pick("stands for", "代表"),
    );
    for w in netshoot_shell::ALL {
        let about = lang.pick(w.about, w.about_zh);
        let _ = writeln!(index, "| `{}` | {about} | {} |", w.name, w.stands_for);
    }
    let _ = writeln!(index, "\n## {}\n", lang.pick("Checks", "检查项"));
    for c in checks::ALL {
        let _ = writeln!(
            index,
            "- [{0}](checks/{0}.md): {1} ({2})",
            c.id,
            lang.pick(c.title, c.title_zh),
            c.catalogue
                .iter()
                .chain([&c.layer])
                .copied()
                .collect::<Vec<_>>()
                .join(", "),
        );
        pages.insert(format!("checks/{}.md", c.id), explain::check_page(c, lang));
    }
    let _ = writeln!(index, "\n## {}\n", lang.pick("Probes", "探测方式"));
    for k in probes::ALL {
        let asks = lang.pick(k.asks, k.asks_zh);
        let _ = writeln!(index, "- [{0}](probes/{0}.md): {asks}", k.id);
        pages.insert(format!("probes/{}.md", k.id), explain::probe_page(k, lang));
    }
    pages.insert("index.md".into(), index);
    pages
}

/// The help of a word and of all that follows it.
fn help_page(a: &Applet, lang: Lang) -> String {
    let mut text = format!(
        "# netshoot {}\n\n{}\n",
        a.name,
        lang.pick(a.about, a.about_zh)
    );
    let whole = crate::command(lang);
    let own = whole.find_subcommand(a.name).expect("a word of ALL");
    walk(own, "netshoot", &mut |path, _| {
        let mut words: Vec<&str> = path.split(' ').collect();
        words.push("--help");
        let e = crate::command(lang)
            .try_get_matches_from(&words)
            .unwrap_err();
        let help = e.render().to_string();
        let _ = write!(
            text,
            "\n```console\n$ {path} --help\n{}\n```\n",
            help.trim_end()
        );
    });
    text
}

#[test]
fn generated_docs_are_current() {
    let folder = golden::root().join("docs/generated");
    let pages = pages();
    let mut wrong: Vec<String> = pages
        .iter()
        .filter_map(|(path, text)| golden::differs(&folder.join(path), text))
        .collect();
    for path in golden::files_below(&folder) {
        if pages.contains_key(&path) {
            continue;
        }
        if golden::update() {
            std::fs::remove_file(folder.join(path)).unwrap();
        } else {
            wrong.push(format!("{path} belongs to nothing any more"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
