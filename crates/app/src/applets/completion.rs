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
    let script = String::from_utf8(script).unwrap_or_default();
    let with_names = match shell {
        Shell::Zsh => in_zsh(&script),
        Shell::Fish => script + &NAMES_FISH.replace("@words@", &plugin::WORDS.join(" ")),
        _ => script + &NAMES.replace("@words@", &plugin::WORDS.join(" | ")),
    };
    with_names.into_bytes()
}

/// zsh calls one function, and the script may be loaded as that function: ours takes its name, and calls it where the
/// cluster has no names.
fn in_zsh(script: &str) -> String {
    let names = NAMES_ZSH.replace("@words@", &plugin::WORDS.join("|"));
    let script = script.replacen("\n_netshoot() {", "\n_netshoot_parsed() {", 1);
    match script.rfind("\nif [ \"$funcstack") {
        Some(at) => {
            let (functions, end) = script.split_at(at);
            format!("{functions}{names}{end}")
        }
        None => script + &names,
    }
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

/// The same for zsh. What ends in a slash goes on.
const NAMES_ZSH: &str = r#"
# Names of pods, nodes, Services, namespaces and contexts come from the cluster.
_netshoot() {
    local -a _netshoot_found
    local _netshoot_line
    case "${words[2]}" in
    @words@|diagnose)
        if [[ $CURRENT -gt 2 && $PREFIX != -* ]]; then
            for _netshoot_line in "${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
                [[ -z $_netshoot_line || $_netshoot_line == :* ]] || _netshoot_found+=("$_netshoot_line")
            done
        fi
        ;;
    esac
    if (( ! ${#_netshoot_found} )); then
        _netshoot_parsed "$@"
        return
    fi
    compadd -S '' -- ${(M)_netshoot_found:#*/}
    compadd -- ${_netshoot_found:#*/}
}
"#;

/// The same for fish.
const NAMES_FISH: &str = r#"
# Names of pods, nodes, Services, namespaces and contexts come from the cluster.
function __netshoot_names
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    test (count $words) -ge 2; or return
    contains -- $words[2] @words@ diagnose; or return
    string match -q -- '-*' "$typed"; and return
    $words[1] __complete $words[2..-1] "$typed" 2>/dev/null | string match -v -- ':*'
end
function __netshoot_has_names
    test -n "$(__netshoot_names | string collect)"
end
complete -c netshoot -n __netshoot_has_names -f -a "(__netshoot_names)"
# Behind an option fish looks at what is said of that option alone.
for option in namespace pod-namespace context node from to
    complete -c netshoot -n __netshoot_has_names -l $option -r -f -a "(__netshoot_names)"
end
complete -c netshoot -n __netshoot_has_names -s n -r -f -a "(__netshoot_names)"
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
