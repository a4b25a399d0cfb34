//! `less`: pages through files or the standard input.

mod pager;
mod rows;

use crate::grep::system;
use crate::term::Screen;
use crate::word::flushed;
use pager::Pager;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};

#[derive(Default)]
struct Options {
    numbers: bool,
    chop: bool,
    /// Letters of a pattern match capitals too; of one with capitals only with `-I`.
    ignore_case: bool,
    ignore_all_case: bool,
    /// Lines that are empty one after the other are shown as one.
    squeeze: bool,
    /// Columns from one tab to the next.
    tab: Option<usize>,
    quit_if_one: bool,
    quit_at_end: bool,
    colors: bool,
    start: Option<String>,
    files: Vec<String>,
}

/// `less`.
pub fn less(args: Vec<OsString>) -> i32 {
    let args: Vec<String> = args
        .into_iter()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let o = match parse(&args) {
        Ok(o) => o,
        Err(said) => {
            let _ = writeln!(io::stderr(), "less: {said}");
            return 1;
        }
    };
    let (name, text) = match read(&o) {
        Ok(read) => read,
        Err(said) => {
            let _ = writeln!(io::stderr(), "{said}");
            return 1;
        }
    };
    if !io::stdout().is_terminal() {
        let _ = io::stdout().write_all(&text);
        return flushed(0);
    }
    let text = self::text(text);
    match Screen::open() {
        Ok(screen) => Pager::new(o, &name, text, screen).run(),
        Err(e) => {
            let _ = writeln!(io::stderr(), "less: /dev/tty: {}", system(&e));
            1
        }
    }
}

/// Bytes as text; what is none is seen to be none.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut o = Options::default();
    for arg in args {
        if let Some(pattern) = arg.strip_prefix('+') {
            o.start = Some(pattern.to_string());
        } else if arg == "--help" {
            return Err("usage: less [-NSiIFERsx N] [+G|+/PATTERN] [FILE]...".into());
        } else if arg.len() > 1 && arg.starts_with('-') && !arg.starts_with("--") {
            let mut letters = arg.chars().skip(1).peekable();
            while let Some(c) = letters.next() {
                match c {
                    'N' => o.numbers = true,
                    'S' => o.chop = true,
                    'i' => o.ignore_case = true,
                    'I' => (o.ignore_case, o.ignore_all_case) = (true, true),
                    'F' => o.quit_if_one = true,
                    'E' | 'e' => o.quit_at_end = true,
                    'R' | 'r' => o.colors = true,
                    's' => o.squeeze = true,
                    'x' => {
                        let mut digits = String::new();
                        while let Some(d) = letters.next_if(char::is_ascii_digit) {
                            digits.push(d);
                        }
                        let width = digits.parse().ok().filter(|n| (1..=100).contains(n));
                        o.tab = Some(width.ok_or("a number is required after -x")?);
                    }
                    'X' | 'M' | 'm' | 'n' | 'K' | 'c' | 'q' | 'Q' | 'f' | 'a' | 'A' | 'g' | 'G'
                    | 'w' | 'W' | 'J' | 'L' => {}
                    c => return Err(format!("there is no {c} option")),
                }
            }
        } else if !arg.starts_with("--") {
            o.files.push(arg.clone());
        }
    }
    Ok(o)
}

fn read(o: &Options) -> Result<(String, Vec<u8>), String> {
    let mut all = Vec::new();
    if o.files.is_empty() {
        if io::stdin().is_terminal() {
            return Err("Missing filename (\"less --help\" for help)".into());
        }
        io::stdin().read_to_end(&mut all).map_err(|e| system(&e))?;
        return Ok((String::new(), all));
    }
    for file in &o.files {
        if file == "-" {
            io::stdin().read_to_end(&mut all).map_err(|e| system(&e))?;
            continue;
        }
        let text = std::fs::read(file).map_err(|e| match e.raw_os_error() {
            Some(21) => format!("{file} is a directory"),
            _ => format!("{file}: {}", system(&e)),
        })?;
        // A last line without an end is a line all the same.
        if all.last().is_some_and(|b| *b != b'\n') {
            all.push(b'\n');
        }
        match all.is_empty() {
            true => all = text,
            false => all.extend(text),
        }
    }
    Ok((o.files.join(" "), all))
}

#[cfg(test)]
mod damaged {
    #[test]
    fn damaged_command_lines_are_read_or_refused() {
        let seeds = ["-NSR +G file", "+/word a b", "-X -F -- -f"];
        netshoot_wire::fuzz::texts(&seeds, 5_000, |text| {
            let args: Vec<String> = text.split(' ').map(str::to_string).collect();
            if let Err(said) = super::parse(&args) {
                assert!(!said.is_empty(), "{text}");
            }
        });
    }
}
