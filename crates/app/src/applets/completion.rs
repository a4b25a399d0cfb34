//! `netshoot completion SHELL`: a script that completes words, computed from the parser.

use super::Applet;
use crate::io::{Io, Lang};
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;

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
    clap_complete::generate(shell, &mut crate::command(lang), "netshoot", &mut script);
    script
}
