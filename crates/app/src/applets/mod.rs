//! The shelf of words: each a file with a `pub const APPLET`, reached as `netshoot WORD` or
//! through a link of that name. Parser, help, completions, man pages and docs are computed from it.
//!
//! To add one: a file, its `mod` line, its line in [`ALL`]; the laws say what is missing.

#[cfg(feature = "node")]
mod agent;
mod attach;
mod checks;
mod clean;
mod completion;
mod debug;
#[cfg(feature = "node")]
mod demo;
mod deploy;
mod diagnose;
mod exec_in;
mod explain;
#[cfg(feature = "node")]
mod here;
#[cfg(feature = "node")]
mod image;
mod install;
#[cfg(feature = "node")]
mod lab;
#[cfg(test)]
mod laws;
mod man;
mod probes;
mod run;
#[cfg(feature = "node")]
mod toolbox;
mod undeploy;
mod version;

pub use probes::harm;

use crate::io::{Io, Lang};
use crate::own_line;
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};

/// One word.
pub struct Applet {
    /// The word people type.
    pub name: &'static str,
    /// One line, English.
    pub about: &'static str,
    /// One line, Chinese.
    pub about_zh: &'static str,
    /// `netshoot install` makes a link of this name: not where another tool owns the word.
    pub link: bool,
    /// Its arguments, added to a command of that name.
    pub arguments: fn(Command, Lang) -> Command,
    /// Does it; gives the exit code.
    pub run: fn(&ArgMatches, &mut Io<'_>) -> Result<i32>,
}

/// All words, in the order of the help; on laptops those that need no Linux.
pub const ALL: &[&Applet] = &[
    &diagnose::APPLET,
    #[cfg(feature = "node")]
    &lab::APPLET,
    #[cfg(feature = "node")]
    &demo::APPLET,
    &run::APPLET,
    &debug::APPLET,
    &exec_in::APPLET,
    &attach::APPLET,
    &deploy::APPLET,
    &undeploy::APPLET,
    &clean::APPLET,
    &checks::APPLET,
    &probes::APPLET,
    &explain::APPLET,
    #[cfg(feature = "node")]
    &here::APPLET,
    #[cfg(feature = "node")]
    &toolbox::APPLET,
    &completion::APPLET,
    &man::APPLET,
    #[cfg(feature = "node")]
    &image::APPLET,
    &install::APPLET,
    #[cfg(feature = "node")]
    &agent::APPLET,
    &version::APPLET,
];

/// The word of that name.
pub fn named(word: &str) -> Option<&'static Applet> {
    ALL.iter().copied().find(|a| a.name == word)
}

/// Names under which links to this program are of use: in a folder of the PATH, in the image.
pub fn links() -> Vec<&'static str> {
    // kubectl runs kubectl-NAME as `kubectl NAME`.
    let words = ALL.iter().filter(|a| a.link).map(|a| a.name);
    let tools = own_line::network().into_iter().chain(own_line::small());
    [
        "netshoot",
        "kubectl-netshoot",
        "kubectl-ai_debug",
        "kubectl_complete-netshoot",
        "kubectl_complete-ai_debug",
    ]
    .into_iter()
    .chain(words)
    .chain(tools.map(|w| w.name))
    .collect()
}

/// The parser with the shell and its tools as words too, for those who list words: they read their own arguments.
fn with_tools(whole: Command, lang: Lang) -> Command {
    let small = own_line::small().into_iter();
    let small = small.filter(|w| named(w.name).is_none() && w.name != "[");
    let all = own_line::network().into_iter().chain(small);
    whole.subcommands(all.map(|w| {
        Command::new(w.name)
            .about(lang.pick(w.about, w.about_zh))
            .override_usage(format!("{} [ARGUMENTS]", w.name))
            .after_help(format!(
                "{} {}",
                lang.pick(
                    "Its options, output and exit codes are those of",
                    "选项、输出与退出码同"
                ),
                w.stands_for
            ))
    }))
}

/// The names of the tools, and of the shell and its own, for the end of the help.
pub fn tool_names(lang: Lang) -> String {
    let network = own_line::network().into_iter().map(|w| w.name);
    let mut small = own_line::small().into_iter().map(|w| w.name).peekable();
    if small.peek().is_none() {
        return String::new();
    }
    format!(
        "{}\n\n{}",
        filled(lang.pick("Network tools:", "网络工具："), network),
        filled(
            lang.pick("The shell and its tools:", "命令解释器与小工具："),
            small
        ),
    )
}

/// A heading and words, in lines of 90 letters.
fn filled(heading: &str, words: impl Iterator<Item = &'static str>) -> String {
    let mut text = heading.to_string();
    let mut width = usize::MAX;
    for word in words {
        if width.saturating_add(word.len()) > 90 {
            text.push_str("\n ");
            width = 1;
        }
        text.push(' ');
        text.push_str(word);
        width += word.len() + 1;
    }
    text
}

/// What a person can type in the image, in one line.
#[cfg(feature = "node")]
fn at_hand(lang: Lang) -> String {
    let own = ALL.iter().filter(|a| a.link).map(|a| a.name);
    let own = own.collect::<Vec<_>>().join(", ");
    let own = own_line::network()
        .iter()
        .map(|w| w.name)
        .fold(own, |line, name| line + ", " + name);
    let (small, number) = (
        lang.pick("bash and small tools", "bash 与小工具"),
        own_line::small().len(),
    );
    let rest = lang.pick("all words: netshoot --help", "全部子命令：netshoot --help");
    format!("{own}, {small} ({number}); {rest}")
}

/// `-o text|json`, as every list has it.
fn output(lang: Lang) -> Arg {
    Arg::new("output")
        .short('o')
        .long("output")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .default_value("text")
        .help(lang.pick("How to print", "输出格式"))
}

fn wants_json(m: &ArgMatches) -> bool {
    m.get_one::<String>("output").is_some_and(|o| o == "json")
}
