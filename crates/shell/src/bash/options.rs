//! The command line of bash.

/// What the options say.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// `-c`: the commands.
    pub command: Option<String>,
    /// Words after the options: `$0` and arguments with `-c`, else the script and its arguments.
    pub words: Vec<String>,
    pub stdin: bool,
    pub interactive: bool,
    pub login: bool,
    pub norc: bool,
    pub noprofile: bool,
    pub noediting: bool,
    pub posix: bool,
    pub rcfile: Option<String>,
    /// `set -o` names on and off.
    pub set: Vec<(String, bool)>,
    /// `shopt` names on and off.
    pub shopt: Vec<(String, bool)>,
    /// A background job of a shell: the descriptor with what it is handed.
    pub job: Option<String>,
    /// Print the version or the help and end.
    pub version: bool,
    pub help: bool,
}

/// The `set -o` name of a letter.
fn letter(c: char) -> Option<&'static str> {
    Some(match c {
        'a' => "allexport",
        'b' => "notify",
        'B' => "braceexpand",
        'C' => "noclobber",
        'e' => "errexit",
        'E' => "errtrace",
        'f' => "noglob",
        'h' => "hashall",
        'H' => "histexpand",
        'k' => "keyword",
        'm' => "monitor",
        'n' => "noexec",
        'p' => "privileged",
        'P' => "physical",
        't' => "onecmd",
        'T' => "functrace",
        'u' => "nounset",
        'v' => "verbose",
        'x' => "xtrace",
        _ => return None,
    })
}

/// Reads the arguments after the name; the error is what bash says about them.
pub fn parse(args: &[String]) -> Result<Options, String> {
    let mut o = Options::default();
    let mut command = false;
    let mut args = args.iter();
    let mut rest = Vec::new();
    let missing = |what: &str| format!("{what}: option requires an argument");
    while let Some(arg) = args.next() {
        let on = !arg.starts_with('+');
        match arg.as_str() {
            "--" | "-" => {
                rest.extend(args.by_ref().cloned());
                break;
            }
            super::jobs::OPTION => {
                o.job = Some(args.next().ok_or_else(|| missing(arg))?.clone());
            }
            "--login" => o.login = true,
            "--norc" => o.norc = true,
            "--noprofile" => o.noprofile = true,
            "--noediting" => o.noediting = true,
            "--posix" => o.posix = true,
            "--verbose" => o.set.push(("verbose".into(), true)),
            "--version" => o.version = true,
            "--help" => o.help = true,
            "--rcfile" | "--init-file" => {
                o.rcfile = Some(args.next().ok_or_else(|| missing(arg))?.clone());
            }
            a if a.starts_with("--") => return Err(format!("{a}: invalid option")),
            a if a.len() > 1 && a.starts_with(['-', '+']) => {
                for c in a.chars().skip(1) {
                    match c {
                        'c' => command = true,
                        's' => o.stdin = true,
                        'i' => o.interactive = true,
                        'l' => o.login = true,
                        'r' | 'D' => return Err(format!("-{c}: not supported")),
                        'o' | 'O' => {
                            let name = args.next().ok_or_else(|| missing(a))?.clone();
                            let list = if c == 'o' { &mut o.set } else { &mut o.shopt };
                            list.push((name, on));
                        }
                        c => {
                            let name = letter(c).ok_or_else(|| {
                                format!("{}{c}: invalid option", if on { '-' } else { '+' })
                            })?;
                            o.set.push((name.into(), on));
                        }
                    }
                }
            }
            _ => {
                rest.push(arg.clone());
                rest.extend(args.by_ref().cloned());
                break;
            }
        }
    }
    if command {
        if rest.is_empty() {
            return Err(missing("-c"));
        }
        o.command = Some(rest.remove(0));
    }
    o.words = rest;
    Ok(o)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Options) {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        assert_eq!(parse(&words), Ok(expected), "{line}");
    }

    #[test]
    fn options_are_read_as_bash_reads_them() {
        let words = |w: &[&str]| w.iter().map(|w| (*w).to_string()).collect();
        check(
            "-c ls a b",
            Options {
                command: Some("ls".into()),
                words: words(&["a", "b"]),
                ..Options::default()
            },
        );
        // The commands are the first word after all options.
        check(
            "-c -e ls",
            Options {
                command: Some("ls".into()),
                set: vec![("errexit".into(), true)],
                ..Options::default()
            },
        );
        check(
            "-euo pipefail script -x",
            Options {
                words: words(&["script", "-x"]),
                set: vec![
                    ("errexit".into(), true),
                    ("nounset".into(), true),
                    ("pipefail".into(), true),
                ],
                ..Options::default()
            },
        );
        check(
            "+x -O extglob --norc -s -- -a",
            Options {
                words: words(&["-a"]),
                stdin: true,
                norc: true,
                set: vec![("xtrace".into(), false)],
                shopt: vec![("extglob".into(), true)],
                ..Options::default()
            },
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, said) in [
            ("-c", "-c: option requires an argument"),
            ("--bogus", "--bogus: invalid option"),
            ("-Z", "-Z: invalid option"),
            ("-o", "-o: option requires an argument"),
        ] {
            assert_eq!(parse(&[line.into()]), Err(said.to_string()));
        }
    }

    #[test]
    fn damaged_options_lose_no_word() {
        let seeds = [
            "-c cmd name a b",
            "-euo pipefail script a",
            "--rcfile rc -i +x -O extglob",
            "--norc --posix -l -- -x",
        ];
        let mut read = 0;
        netshoot_wire::fuzz::texts(&seeds, 20_000, |text| {
            let args: Vec<String> = text.split(' ').map(String::from).collect();
            let Ok(o) = parse(&args) else { return };
            read += 1;
            let kept = o.command.iter().chain(&o.words).chain(&o.rcfile);
            assert!(kept.clone().all(|w| args.contains(w)), "{args:?} {o:?}");
            assert!(args.ends_with(&o.words), "{args:?} {o:?}");
        });
        assert!(read > 1000, "{read}");
    }
}
