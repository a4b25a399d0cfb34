//! The command line of grep.

use crate::posix::Syntax;

/// What the options say.
#[derive(Debug)]
pub struct Options {
    pub patterns: Vec<String>,
    pub syntax: Syntax,
    pub files: Vec<String>,
    pub ignore_case: bool,
    pub invert: bool,
    pub word: bool,
    pub line: bool,
    pub count: bool,
    /// `-l`: names of files that match; `-L`: of those that do not.
    pub list: Option<bool>,
    pub quiet: bool,
    pub silent: bool,
    pub number: bool,
    pub offset: bool,
    /// `-H` and `-h`.
    pub name: Option<bool>,
    pub only: bool,
    pub max: Option<u64>,
    pub before: usize,
    pub after: usize,
    pub recursive: bool,
    /// Follow links while recursing.
    pub follow: bool,
    pub text: bool,
    pub skip_binary: bool,
    pub nul_lines: bool,
    pub nul_names: bool,
    pub color: bool,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub exclude_dir: Vec<String>,
    pub label: String,
    pub tab: bool,
    pub help: bool,
    pub version: bool,
}

impl Options {
    fn new(syntax: Syntax) -> Options {
        Options {
            patterns: Vec::new(),
            syntax,
            files: Vec::new(),
            ignore_case: false,
            invert: false,
            word: false,
            line: false,
            count: false,
            list: None,
            quiet: false,
            silent: false,
            number: false,
            offset: false,
            name: None,
            only: false,
            max: None,
            before: 0,
            after: 0,
            recursive: false,
            follow: false,
            text: false,
            skip_binary: false,
            nul_lines: false,
            nul_names: false,
            color: false,
            include: Vec::new(),
            exclude: Vec::new(),
            exclude_dir: Vec::new(),
            label: "(standard input)".into(),
            tab: false,
            help: false,
            version: false,
        }
    }
}

/// Reads the arguments after the name.
pub fn parse(args: &[String], syntax: Syntax, terminal: bool) -> Result<Options, String> {
    let mut o = Options::new(syntax);
    let mut words = Vec::new();
    let mut given = false;
    let mut args = args.iter().cloned();
    while let Some(arg) = args.next() {
        if arg == "--" {
            words.extend(args.by_ref());
        } else if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((n, v)) => (n, Some(v.to_string())),
                None => (long, None),
            };
            given |= long_option(&mut o, name, value, &mut args, terminal)?;
        } else if arg.len() > 1 && arg.starts_with('-') {
            let mut rest = arg.get(1..).unwrap_or_default().chars();
            let digits: String = rest.clone().take_while(char::is_ascii_digit).collect();
            if !digits.is_empty() {
                let n = number(&digits)?;
                (o.before, o.after) = (n, n);
                rest = arg.get(1 + digits.len()..).unwrap_or_default().chars();
            }
            while let Some(c) = rest.next() {
                if "efmABCdD".contains(c) {
                    let attached: String = rest.by_ref().collect();
                    let value = if attached.is_empty() {
                        args.next()
                    } else {
                        Some(attached)
                    };
                    let value =
                        value.ok_or_else(|| format!("option requires an argument -- '{c}'"))?;
                    given |= with_value(&mut o, c, value)?;
                } else {
                    flag(&mut o, c)?;
                }
            }
        } else {
            words.push(arg);
        }
    }
    if !given && !o.help && !o.version {
        if words.is_empty() {
            return Err(String::new());
        }
        let first = words.remove(0);
        o.patterns.extend(first.split('\n').map(String::from));
    }
    o.files = words;
    Ok(o)
}

fn number(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| format!("{text}: invalid context length argument"))
}

/// An option with a value; `true` where it gave patterns.
fn with_value(o: &mut Options, c: char, value: String) -> Result<bool, String> {
    match c {
        'e' => {
            o.patterns.extend(value.split('\n').map(String::from));
            return Ok(true);
        }
        'f' => {
            let text = if value == "-" {
                std::io::read_to_string(std::io::stdin())
            } else {
                std::fs::read_to_string(&value)
            };
            let text = text.map_err(|e| format!("{value}: {}", super::system(&e)))?;
            o.patterns.extend(text.lines().map(String::from));
            return Ok(true);
        }
        'm' => {
            o.max = Some(value.parse().map_err(|_| "invalid max count".to_string())?);
        }
        'A' => o.after = number(&value)?,
        'B' => o.before = number(&value)?,
        'C' => {
            let n = number(&value)?;
            (o.before, o.after) = (n, n);
        }
        // What to do with folders: `recurse` is the one that changes something.
        'd' => o.recursive |= value == "recurse",
        _ => {}
    }
    Ok(false)
}

fn flag(o: &mut Options, c: char) -> Result<(), String> {
    match c {
        'E' => o.syntax = Syntax::Extended,
        'F' => o.syntax = Syntax::Fixed,
        'G' => o.syntax = Syntax::Basic,
        'P' => o.syntax = Syntax::Perl,
        'i' | 'y' => o.ignore_case = true,
        'v' => o.invert = true,
        'w' => o.word = true,
        'x' => o.line = true,
        'c' => o.count = true,
        'l' => o.list = Some(true),
        'L' => o.list = Some(false),
        'q' => o.quiet = true,
        's' => o.silent = true,
        'n' => o.number = true,
        'b' => o.offset = true,
        'H' => o.name = Some(true),
        'h' => o.name = Some(false),
        'o' => o.only = true,
        'r' => o.recursive = true,
        'R' => (o.recursive, o.follow) = (true, true),
        'a' => o.text = true,
        'I' => o.skip_binary = true,
        'z' => o.nul_lines = true,
        'Z' => o.nul_names = true,
        'T' => o.tab = true,
        'V' => o.version = true,
        'U' | 'u' => {}
        _ => return Err(format!("invalid option -- '{c}'")),
    }
    Ok(())
}

fn long_option(
    o: &mut Options,
    name: &str,
    value: Option<String>,
    args: &mut impl Iterator<Item = String>,
    terminal: bool,
) -> Result<bool, String> {
    const FLAGS: [(&str, char); 25] = [
        ("extended-regexp", 'E'),
        ("fixed-strings", 'F'),
        ("basic-regexp", 'G'),
        ("perl-regexp", 'P'),
        ("ignore-case", 'i'),
        ("invert-match", 'v'),
        ("word-regexp", 'w'),
        ("line-regexp", 'x'),
        ("count", 'c'),
        ("files-with-matches", 'l'),
        ("files-without-match", 'L'),
        ("quiet", 'q'),
        ("silent", 'q'),
        ("no-messages", 's'),
        ("line-number", 'n'),
        ("byte-offset", 'b'),
        ("with-filename", 'H'),
        ("no-filename", 'h'),
        ("only-matching", 'o'),
        ("recursive", 'r'),
        ("dereference-recursive", 'R'),
        ("text", 'a'),
        ("null-data", 'z'),
        ("null", 'Z'),
        ("initial-tab", 'T'),
    ];
    const VALUES: [(&str, char); 7] = [
        ("regexp", 'e'),
        ("file", 'f'),
        ("max-count", 'm'),
        ("after-context", 'A'),
        ("before-context", 'B'),
        ("context", 'C'),
        ("directories", 'd'),
    ];
    if let Some((_, c)) = FLAGS.iter().find(|(n, _)| *n == name) {
        return flag(o, *c).map(|()| false);
    }
    let mut need = |value: Option<String>| {
        value
            .or_else(|| args.next())
            .ok_or_else(|| format!("option '--{name}' requires an argument"))
    };
    if let Some((_, c)) = VALUES.iter().find(|(n, _)| *n == name) {
        return with_value(o, *c, need(value)?);
    }
    match name {
        "color" | "colour" => {
            o.color = match value.as_deref() {
                Some("always") => true,
                Some("never") => false,
                _ => terminal,
            };
        }
        "include" => o.include.push(need(value)?),
        "exclude" => o.exclude.push(need(value)?),
        "exclude-dir" => o.exclude_dir.push(need(value)?),
        "label" => o.label = need(value)?,
        "binary-files" => match need(value)?.as_str() {
            "text" => o.text = true,
            "without-match" => o.skip_binary = true,
            _ => {}
        },
        "line-buffered" | "binary" | "no-ignore-case" => {}
        "help" => o.help = true,
        "version" => o.version = true,
        _ => return Err(format!("unrecognized option '--{name}'")),
    }
    Ok(false)
}

#[cfg(test)]
mod damaged {
    #[test]
    fn damaged_command_lines_are_read_or_refused() {
        let seeds = [
            "-rniE --include=*.rs a|b .",
            "-A 3 -e x -f -",
            "-c -v -m1 -- -w",
            "--color=always -oP x",
        ];
        netshoot_wire::fuzz::texts(&seeds, 5_000, |text| {
            let args: Vec<String> = text.split(' ').map(str::to_string).collect();
            let read = |args: &[String]| super::parse(args, crate::posix::Syntax::Basic, false);
            if let Err(said) = read(&args)
                && said.is_empty()
            {
                // That is the usage: only the pattern lacks.
                let with_pattern = [&["-e".into(), "x".into()], &args[..]].concat();
                assert!(read(&with_pattern).is_ok(), "{text}");
            }
        });
    }
}
