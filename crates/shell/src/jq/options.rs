//! The command line of jq.

use std::ffi::OsString;

/// What the options say.
#[derive(Default)]
pub struct Options {
    pub filter: Option<String>,
    pub from_file: Option<String>,
    pub files: Vec<OsString>,
    pub null_input: bool,
    pub slurp: bool,
    pub raw_input: bool,
    pub raw_output: bool,
    pub join: bool,
    pub nul: bool,
    pub compact: bool,
    pub tab: bool,
    pub indent: usize,
    pub sort_keys: bool,
    pub ascii: bool,
    pub color: Option<bool>,
    pub exit_status: bool,
    /// Names and where their value comes from.
    pub named: Vec<(String, Source)>,
    /// What follows `--args` and `--jsonargs`.
    pub positional: Vec<Source>,
    pub help: bool,
    pub version: bool,
}

/// Where a variable's value comes from.
pub enum Source {
    Text(String),
    Json(String),
    SlurpFile(String),
    RawFile(String),
}

#[derive(Clone, Copy, PartialEq)]
enum Rest {
    Files,
    Text,
    Json,
}

/// Reads the arguments after the name; the error is what jq says about them.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Options, String> {
    let mut o = Options {
        indent: 2,
        ..Options::default()
    };
    let mut args = args;
    let mut rest = Rest::Files;
    let mut only_words = false;
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        if only_words || !text.starts_with('-') || text == "-" {
            word(&mut o, arg, text, rest);
        } else if text == "--" {
            only_words = true;
        } else if let Some(long) = text.strip_prefix("--") {
            match long {
                "args" => rest = Rest::Text,
                "jsonargs" => rest = Rest::Json,
                _ => named(&mut o, long, &mut args)?,
            }
        } else {
            for flag in text.chars().skip(1) {
                short(&mut o, flag, &text, &mut args)?;
            }
        }
    }
    Ok(o)
}

fn word(o: &mut Options, arg: OsString, text: String, rest: Rest) {
    match rest {
        _ if o.filter.is_none() && o.from_file.is_none() => o.filter = Some(text),
        Rest::Files => o.files.push(arg),
        Rest::Text => o.positional.push(Source::Text(text)),
        Rest::Json => o.positional.push(Source::Json(text)),
    }
}

fn value(args: &mut impl Iterator<Item = OsString>, what: &str) -> Result<String, String> {
    args.next()
        .map(|a| a.to_string_lossy().into_owned())
        .ok_or_else(|| what.to_string())
}

fn named(
    o: &mut Options,
    long: &str,
    args: &mut impl Iterator<Item = OsString>,
) -> Result<(), String> {
    let pair = |args: &mut _| {
        let what = format!("--{long} takes two parameters (e.g. --{long} varname value)");
        Ok::<_, String>((value(args, &what)?, value(args, &what)?))
    };
    match long {
        "arg" => {
            let (name, v) = pair(args)?;
            o.named.push((name, Source::Text(v)));
        }
        "argjson" => {
            let (name, v) = pair(args)?;
            o.named.push((name, Source::Json(v)));
        }
        "slurpfile" => {
            let (name, v) = pair(args)?;
            o.named.push((name, Source::SlurpFile(v)));
        }
        "rawfile" => {
            let (name, v) = pair(args)?;
            o.named.push((name, Source::RawFile(v)));
        }
        "indent" => {
            let n = value(args, "--indent takes one parameter")?;
            o.indent = n
                .parse()
                .ok()
                .filter(|n| *n <= 7)
                .ok_or("Cannot indent more than 7 characters")?;
            o.compact = o.indent == 0;
        }
        "tab" => o.tab = true,
        "raw-output0" => {
            o.raw_output = true;
            o.nul = true;
        }
        _ => {
            let flag = match long {
                "null-input" => 'n',
                "slurp" => 's',
                "raw-input" => 'R',
                "raw-output" => 'r',
                "join-output" => 'j',
                "compact-output" => 'c',
                "sort-keys" => 'S',
                "ascii-output" => 'a',
                "color-output" => 'C',
                "monochrome-output" => 'M',
                "exit-status" => 'e',
                "from-file" => 'f',
                "help" => 'h',
                "version" => 'V',
                _ => return Err(format!("Unknown option: --{long}")),
            };
            short(o, flag, &format!("--{long}"), args)?;
        }
    }
    Ok(())
}

fn short(
    o: &mut Options,
    flag: char,
    shown: &str,
    args: &mut impl Iterator<Item = OsString>,
) -> Result<(), String> {
    match flag {
        'n' => o.null_input = true,
        's' => o.slurp = true,
        'R' => o.raw_input = true,
        'r' => o.raw_output = true,
        'j' => {
            o.raw_output = true;
            o.join = true;
        }
        'c' => o.compact = true,
        'S' => o.sort_keys = true,
        'a' => o.ascii = true,
        'C' => o.color = Some(true),
        'M' => o.color = Some(false),
        'e' => o.exit_status = true,
        'h' => o.help = true,
        'V' => o.version = true,
        'f' => {
            let file = value(args, "-f takes a parameter")?;
            // Where the filter came first it is the first file after all.
            if let Some(first) = o.filter.take() {
                o.files.insert(0, first.into());
            }
            o.from_file = Some(file);
        }
        _ => return Err(format!("Unknown option: {shown}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_options_are_read_or_refused_in_a_sentence() {
        let seeds = [
            "-r .a b.json",
            "--arg x 1 --argjson y {} -n $x+$y",
            "--indent 3 -sc . --args a b",
            "--tab -e --jsonargs . 1 2",
        ];
        let mut read = 0;
        netshoot_wire::fuzz::texts(&seeds, 10_000, |text| {
            match parse(text.split(' ').map(OsString::from)) {
                Ok(_) => read += 1,
                Err(why) => assert!(!why.is_empty(), "{text:?}"),
            }
        });
        assert!(read > 500, "{read}");
    }
}
