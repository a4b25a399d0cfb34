//! `netshoot completion SHELL`: a script that completes words, computed from the parser.

use super::{ALL, Applet};
use crate::faces::plugin;
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;
#[cfg(feature = "node")]
use netshoot_lab::labs::LABS;
use netshoot_model::checks;
use netshoot_model::probe::kinds;

/// The word.
pub const APPLET: Applet = Applet {
    name: "completion",
    about: "Print a completion script for bash, zsh or fish",
    about_zh: "输出 bash、zsh 或 fish 的补全脚本",
    link: false,
    arguments,
    run,
};

fn arguments(c: Command, lang: Lang) -> Command {
    c.arg(
        Arg::new("shell")
            .value_name("SHELL")
            .required(true)
            .value_parser(["bash", "zsh", "fish"])
            .help(lang.pick("Whose script", "目标 shell")),
    )
    .after_help(lang.pick(
        "bash: source <(netshoot completion bash)\nzsh:  netshoot completion zsh > \"${fpath[1]}/_netshoot\"\nfish: netshoot completion fish | source",
        "bash：source <(netshoot completion bash)\nzsh： netshoot completion zsh > \"${fpath[1]}/_netshoot\"\nfish：netshoot completion fish | source",
    ))
}

fn run(m: &ArgMatches, io: &mut Io<'_>) -> Result<i32> {
    let shell = m.get_one::<String>("shell").map_or("bash", String::as_str);
    io.out.write_all(&script(shell, io.lang))?;
    Ok(0)
}

/// The script for a shell.
pub fn script(shell: &str, lang: Lang) -> Vec<u8> {
    let shell = match shell {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    let mut command = with_names(super::with_tools(crate::command(lang), lang));
    clap_complete::generate(shell, &mut command, "netshoot", &mut script);
    if shell == Shell::Bash {
        let words = plugin::WORDS.join(" | ");
        script.extend(NAMES.replace("@words@", &words).into_bytes());
    }
    script
}

/// What only a cluster knows is asked when it is wanted.
const NAMES: &str = r#"
# Names of pods, nodes, Services, namespaces and contexts come from the cluster.
_netshoot_names() {
    local line
    COMPREPLY=()
    case "${COMP_WORDS[1]}" in
    @words@ | diagnose)
        while read -r line; do
            case $line in
            :*) ;;
            *) COMPREPLY+=("$line") ;;
            esac
        done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
        ;;
    esac
    [ ${#COMPREPLY[@]} -gt 0 ] || _netshoot "$@"
}
complete -F _netshoot_names -o bashdefault -o default netshoot
"#;

/// The parser with the names that words take, which the shell may offer. The real one takes more (a
/// folder of one's own worlds), and answers typos itself.
fn with_names(whole: Command) -> Command {
    let ids = checks::ALL.iter().map(|c| c.id);
    let ids: Vec<&str> = ids.chain(kinds::ALL.iter().map(|k| k.id)).collect();
    let words: Vec<&str> = ALL.iter().map(|a| a.name).collect();
    let whole = whole
        .mut_subcommand("explain", |c| offer(c, "id", &ids))
        .mut_subcommand("man", |c| offer(c, "word", &words));
    #[cfg(feature = "node")]
    let whole = whole.mut_subcommand("lab", |c| {
        let worlds: Vec<&str> = LABS.iter().map(|(name, ..)| *name).collect();
        let world = |c: Command| offer(c, "name", &worlds);
        c.mut_subcommand("up", world)
            .mut_subcommand("run", world)
            .mut_subcommand("solve", world)
    });
    whole
}

fn offer(c: Command, argument: &str, names: &[&'static str]) -> Command {
    // Not mut_arg: it moves a positional argument to the end.
    c.mut_args(|a| {
        if a.get_id() == argument {
            a.value_parser(PossibleValuesParser::new(names.to_vec()))
        } else {
            a
        }
    })
}
