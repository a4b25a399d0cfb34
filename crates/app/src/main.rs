//! The binary: looks at the name it was called by, then at the first word; both go to one list.

mod access;
mod agent;
mod applets;
mod clock;
mod connection;
mod faces;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod golden;
#[cfg(not(feature = "node"))]
mod interrupt;
mod io;
#[cfg(feature = "node")]
#[cfg(test)]
mod laws;
#[cfg(feature = "node")]
mod node;
mod own_line;
mod report;
#[cfg(feature = "node")]
mod tools;
mod version;
mod words;
mod wrong;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use io::{Io, Lang, choose_lang};
#[cfg(feature = "node")]
use netshoot_host::interrupt;
use netshoot_model::symptom::nearest;
use std::ffi::OsString;
use std::process::ExitCode;
use wrong::{USAGE, Wrong};

#[cfg(all(feature = "node", not(target_os = "linux")))]
compile_error!("the half for pods and nodes is for Linux: build with --no-default-features");

/// Exit code when something could not be done, or not be told.
const COULD_NOT: i32 = 2;
/// Exit code when nobody reads the output any more, as the shell shows it: 128 + SIGPIPE.
const NOBODY_READS: i32 = 141;

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    #[cfg(feature = "node")]
    if let Some(code) = node::begin(&given) {
        return code;
    }
    let (mut args, mut strange) = (Vec::new(), Vec::new());
    for word in given {
        let shown = word.to_string_lossy().into_owned();
        // The own name may be anything; a word with guessed letters would name another file.
        if word.to_str().is_none() && !args.is_empty() {
            strange.push(shown.clone());
        }
        args.push(shown);
    }
    if let Some(word) = strange.first() {
        let lang = choose_lang(asked_lang(&args));
        return ExitCode::from(Io::standard(lang, |io| not_text(word, io)));
    }
    ExitCode::from(u8::try_from(start(&args)).unwrap_or(255))
}

/// Says which word of the command line is not UTF-8.
fn not_text(word: &str, io: &mut Io<'_>) -> u8 {
    let said = io
        .lang
        .pick("this word is not UTF-8 text:", "该参数不是 UTF-8 文本：");
    let _ = writeln!(io.err, "netshoot: {said} {}", report::safe(word));
    USAGE as u8
}

fn start(args: &[String]) -> i32 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[cfg(feature = "node")]
    if let Some(code) = node::internal(args.get(1..).unwrap_or_default()) {
        return code;
    }
    let called = called(args);
    if let Some(words) = completes(called, args) {
        let words = connection::behind_word(&words, goes_to_a_cluster);
        return Io::standard(Lang::En, |io| faces::plugin::complete::run(&words, io));
    }
    let by_kubectl = called.starts_with("kubectl-");
    let args = by_first_word(args);
    #[cfg(feature = "node")]
    {
        // `help ls` has become `ls --help`; `--lang zh ls` is `ls`, which speaks as Debian's does.
        let behind = 1 + global_words(args.get(1..).unwrap_or_default());
        let words = args.iter().take(1).chain(args.iter().skip(behind));
        let given: Vec<OsString> = words.map(OsString::from).collect();
        if let Some(code) = node::tool(&given) {
            return code;
        }
    }
    // Known before anything is parsed: the help is written in it.
    let lang = choose_lang(asked_lang(&args));
    let mut whole = command(lang);
    if by_kubectl {
        whole = whole.bin_name("kubectl netshoot");
    }
    Io::standard(lang, |io| match whole.try_get_matches_from(&args) {
        Ok(m) => run(&m, io),
        Err(e) => match args.iter().skip(1).find(|w| applets::named(w).is_some()) {
            Some(word) if faces::plugin::WORDS.contains(&word.as_str()) => {
                faces::plugin::mistake(&e, word, io)
            }
            _ => complain(&e, io),
        },
    })
}

/// The name that the program was called by.
fn called(args: &[String]) -> &str {
    let own = args.first().map_or("", String::as_str);
    let name = own.rsplit(['/', '\\']).next().unwrap_or_default();
    name.strip_suffix(".exe").unwrap_or(name)
}

/// The words to complete, when a shell asks: by kubectl's name for it, or by our own word.
fn completes(called: &str, args: &[String]) -> Option<Vec<String>> {
    let rest = args.get(1..).unwrap_or_default();
    let by_kubectl = faces::plugin::complete::NAMES
        .iter()
        .find(|(name, _)| *name == called);
    let mut words: Vec<String> = match by_kubectl {
        Some((_, "")) => Vec::new(),
        Some((_, word)) => vec![(*word).to_string()],
        None if rest.first().is_some_and(|w| w == "__complete") => {
            return Some(rest.get(1..).unwrap_or_default().to_vec());
        }
        None => return None,
    };
    words.extend(rest.iter().cloned());
    Some(words)
}

fn run(matches: &clap::ArgMatches, io: &mut Io<'_>) -> i32 {
    let Some((word, m)) = matches.subcommand() else {
        return USAGE;
    };
    let Some(applet) = applets::named(word) else {
        return USAGE;
    };
    let result = (applet.run)(m, io).and_then(|code| {
        io.out.flush()?;
        Ok(code)
    });
    let full = |e: &anyhow::Error| {
        let kinds = [
            std::io::ErrorKind::StorageFull,
            std::io::ErrorKind::QuotaExceeded,
        ];
        let own = e.chain().filter_map(|c| c.downcast_ref::<std::io::Error>());
        own.into_iter().any(|e| kinds.contains(&e.kind()))
    };
    match result {
        Ok(code) => code,
        Err(e) if nobody_reads(&e) => NOBODY_READS,
        Err(e) => {
            io.progress_done();
            let said = report::safe(&format!("{e:#}"));
            let _ = writeln!(io.err, "netshoot {word}: {said}");
            let without = if full(&e) { wrong::OUTPUT } else { COULD_NOT };
            e.downcast_ref::<Wrong>().map_or(without, |w| w.code)
        }
    }
}

fn nobody_reads(e: &anyhow::Error) -> bool {
    e.chain().any(|c| {
        c.downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// The command line as if the program had been called `netshoot`: a link's name becomes the first
/// word, `help WORD` becomes `WORD --help`, `--install DIR` becomes `install DIR`.
fn by_first_word(args: &[String]) -> Vec<String> {
    let rest = args.get(1..).unwrap_or_default();
    let called = called(args);
    let mut words = vec!["netshoot".to_string()];
    if called == "kubectl-ai_debug" {
        words.push("diagnose".into());
        words.extend(rest.iter().cloned());
        return words;
    }
    if let Some(applet) = applets::named(called) {
        words.push(applet.name.to_string());
        words.extend(rest.iter().cloned());
        return words;
    }
    let at = global_words(rest);
    words.extend(rest.iter().take(at).cloned());
    let (first, after) = (rest.get(at).map(String::as_str), rest.get(at + 1..));
    let after = after.unwrap_or_default().iter().cloned();
    match first {
        Some("help") => {
            words.extend(after);
            words.push("--help".into());
        }
        Some("--install") => {
            words.push("install".into());
            words.extend(after);
        }
        _ => {
            let rest = rest.get(at..).unwrap_or_default();
            words.extend(connection::behind_word(rest, goes_to_a_cluster));
        }
    }
    words
}

/// Whether a word takes the flags of kubectl that say which cluster, and as whom.
fn goes_to_a_cluster(word: &str) -> bool {
    let taken = applets::named(word).map(|a| (a.arguments)(Command::new(a.name), Lang::En));
    taken.is_some_and(|c| c.get_arguments().any(|a| a.get_id() == "kubeconfig"))
}

/// How many words come before the first one: `--lang zh` may.
fn global_words(rest: &[String]) -> usize {
    let mut at = 0;
    while let Some(word) = rest.get(at) {
        match word.as_str() {
            "--lang" => at += 2,
            w if w.starts_with("--lang=") => at += 1,
            _ => break,
        }
    }
    at.min(rest.len())
}

/// The value of `--lang`, wherever it stands before `--`.
fn asked_lang(args: &[String]) -> Option<&str> {
    let own = args.iter().take_while(|a| *a != "--");
    own.clone()
        .zip(own.skip(1).map(Some).chain([None]))
        .find_map(|(a, next)| match a.strip_prefix("--lang") {
            Some("") => next.map(String::as_str),
            Some(value) => value.strip_prefix('='),
            None => None,
        })
}

/// Prints help or what is wrong with the command line; gives the exit code.
fn complain(e: &clap::Error, io: &mut Io<'_>) -> i32 {
    if e.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(word)) = e.get(ContextKind::InvalidSubcommand)
    {
        let said = unknown(word, e, io.lang);
        let _ = io.err.write_all(said.as_bytes());
        return USAGE;
    }
    let text = match io.lang {
        Lang::En => e.render().to_string(),
        Lang::Zh => words::in_chinese(e),
    };
    if e.use_stderr() {
        let _ = io.err.write_all(text.as_bytes());
        USAGE
    } else if io.out.write_all(text.as_bytes()).is_err() {
        NOBODY_READS
    } else {
        0
    }
}

fn unknown(word: &str, e: &clap::Error, lang: Lang) -> String {
    let own = applets::ALL.iter().map(|a| a.name);
    let tools = own_line::network().into_iter().chain(own_line::small());
    let all: Vec<&str> = own.chain(tools.map(|w| w.name)).collect();
    let near = match e.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::String(s)) => vec![s.clone()],
        Some(ContextValue::Strings(s)) if !s.is_empty() => s.clone(),
        _ => nearest(word, &all),
    };
    let hint = if near.is_empty() {
        format!(
            "{} netshoot --help",
            lang.pick("all words:", "全部子命令：")
        )
    } else {
        format!(
            "{} {}",
            lang.pick("did you mean", "您是否想输入"),
            near.join(lang.pick(" or ", " 或 "))
        )
    };
    format!(
        "netshoot: {} {}; {hint}\n",
        lang.pick("there is no word", "没有子命令"),
        report::safe(word)
    )
}

/// The parser, with texts in one language. Help, completions, man pages and docs come from it.
pub fn command(lang: Lang) -> Command {
    let words = applets::ALL.iter().map(|a| {
        (a.arguments)(
            Command::new(a.name).about(lang.pick(a.about, a.about_zh)),
            lang,
        )
    });
    let lang_arg = Arg::new("lang")
        .long("lang")
        .global(true)
        .value_name("en|zh")
        .value_parser(["en", "zh"])
        .hide_possible_values(true)
        .help(lang.pick(
            "Language of texts; the locale's if not given",
            "输出语言；缺省取自 locale",
        ));
    let version = Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version)
        .help(lang.pick(
            "Print version, commit and target",
            "显示版本、提交与目标平台",
        ));
    let whole = Command::new("netshoot")
        .version(version::FULL)
        .about(lang.pick(
            "Finds out why one thing in Kubernetes cannot reach another",
            "找出 Kubernetes 中访问失败的原因",
        ))
        .disable_version_flag(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(lang_arg)
        .arg(version)
        .after_help(applets::tool_names(lang))
        .subcommands(words);
    // The shell's libraries switch wrapping and colours on.
    #[cfg(feature = "node")]
    let whole = whole.term_width(0).color(clap::ColorChoice::Never);
    in_language(whole, lang)
}

/// Headings and the help flag, for a command and all below it.
fn in_language(c: Command, lang: Lang) -> Command {
    let help = Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help(lang.pick("Print help", "显示帮助"));
    let below: Vec<String> = c
        .get_subcommands()
        .map(|s| s.get_name().to_string())
        .collect();
    let mut c = c
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .arg(help)
        .subcommand_help_heading(lang.pick("Words", "子命令"))
        .subcommand_value_name(lang.pick("WORD", "子命令"))
        .help_template(lang.pick(
            "{about-with-newline}\nUsage: {usage}\n\n{all-args}{after-help}\n",
            "{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}\n",
        ))
        .mut_args(|a| {
            let heading = if a.is_positional() {
                lang.pick("Arguments", "参数")
            } else {
                lang.pick("Options", "选项")
            };
            a.help_heading(heading)
        });
    for name in below {
        c = c.mut_subcommand(name, |s| in_language(s, lang));
    }
    c
}
