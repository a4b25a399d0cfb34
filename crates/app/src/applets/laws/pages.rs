//! The reference is what the parser and the shelves say: docs/generated.

use super::super::{ALL, Applet, explain, toolbox};
use super::walk;
use crate::golden;
use crate::io::Lang;
use crate::tools;
use netshoot_model::checks;
use netshoot_model::probe::kinds;
use std::collections::BTreeMap;
use std::fmt::Write;

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
    for k in kinds::ALL {
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

/// Written by `bench/toolbox`: what a machine measured follows from no parser.
const MEASURED: &str = "bench-toolbox.md";

#[test]
fn generated_docs_are_current() {
    let folder = golden::root().join("docs/generated");
    let pages = pages();
    let mut wrong: Vec<String> = pages
        .iter()
        .filter_map(|(path, text)| golden::differs(&folder.join(path), text))
        .collect();
    for path in golden::files_below(&folder) {
        if pages.contains_key(&path) || path == MEASURED {
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
