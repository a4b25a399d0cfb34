//! A command line as getopt_long(3) reads it, with its words for what is wrong: most originals use it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Whether an option has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// One, in the same word or the next.
    Value,
    /// One in the same word, or none.
    Maybe,
}

/// A long option: its name, what it takes, and the letter that it stands for or one beyond all letters.
pub type Long = (&'static str, Takes, char);

/// What the command line holds, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// An option by its letter, with its value.
    Option(char, Option<OsString>),
    /// No option.
    Operand(OsString),
}

/// What is wrong with it, in the words of the C library, without the program's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(String);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where options may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Anywhere before `--`, as GNU programs allow.
    Anywhere,
    /// Before the first operand only: a `+` before the letters.
    First,
}

/// Reads `args` by the letters of `short` (`a` alone, `b:` with a value, `c::` perhaps with one) and by `long`.
/// Each item is what stands there or what is wrong with it; after a mistake the reading goes on, as in C.
pub fn read(
    args: &[OsString],
    short: &str,
    long: &[Long],
    order: Order,
) -> Vec<Result<Word, Mistake>> {
    let mut words: VecDeque<&OsString> = args.iter().collect();
    let mut found = Vec::new();
    let mut only_operands = false;
    while let Some(word) = words.pop_front() {
        let bytes = word.as_bytes();
        if only_operands || bytes.len() < 2 || bytes[0] != b'-' {
            found.push(Ok(Word::Operand(word.clone())));
            only_operands |= order == Order::First;
        } else if bytes == b"--" {
            only_operands = true;
        } else if let Some(name) = bytes.strip_prefix(b"--") {
            found.push(long_option(name, &mut words, long));
        } else {
            letters(&bytes[1..], &mut words, short, &mut found);
        }
    }
    found
}

fn long_option(
    text: &[u8],
    words: &mut VecDeque<&OsString>,
    long: &[Long],
) -> Result<Word, Mistake> {
    let at = text.iter().position(|b| *b == b'=');
    let name = String::from_utf8_lossy(&text[..at.unwrap_or(text.len())]).into_owned();
    let own = at.map(|at| OsString::from_vec(text[at + 1..].to_vec()));
    let exact = long.iter().find(|l| l.0 == name);
    let near: Vec<&Long> = long.iter().filter(|l| l.0.starts_with(&name)).collect();
    let (full, takes, letter) = match (exact, near.as_slice()) {
        (Some(l), _) => *l,
        (None, [l]) => **l,
        // With its value, as the C library names it.
        (None, []) => {
            let whole = String::from_utf8_lossy(text);
            return Err(Mistake(format!("unrecognized option '--{whole}'")));
        }
        // Spellings of one option are no choice.
        (None, [first, rest @ ..]) if rest.iter().all(|l| (l.1, l.2) == (first.1, first.2)) => {
            **first
        }
        (None, several) => {
            let all: Vec<String> = several.iter().map(|l| format!(" '--{}'", l.0)).collect();
            let all = all.concat();
            let whole = String::from_utf8_lossy(text);
            return Err(Mistake(format!(
                "option '--{whole}' is ambiguous; possibilities:{all}"
            )));
        }
    };
    let value = match (takes, own) {
        (Takes::Nothing, Some(_)) => {
            return Err(Mistake(format!(
                "option '--{full}' doesn't allow an argument"
            )));
        }
        (Takes::Value, None) => match words.pop_front() {
            Some(next) => Some(next.clone()),
            None => return Err(Mistake(format!("option '--{full}' requires an argument"))),
        },
        (_, own) => own,
    };
    Ok(Word::Option(letter, value))
}

fn letters(
    mut text: &[u8],
    words: &mut VecDeque<&OsString>,
    short: &str,
    found: &mut Vec<Result<Word, Mistake>>,
) {
    while let Some((letter, rest)) = text.split_first() {
        text = rest;
        let letter = char::from(*letter);
        let at = short.find(letter).filter(|_| letter != ':');
        let Some(at) = at else {
            found.push(Err(Mistake(format!("invalid option -- '{letter}'"))));
            continue;
        };
        let behind = &short[at + letter.len_utf8()..];
        let takes = match (behind.starts_with("::"), behind.starts_with(':')) {
            (true, _) => Takes::Maybe,
            (_, true) => Takes::Value,
            _ => Takes::Nothing,
        };
        if takes == Takes::Nothing {
            found.push(Ok(Word::Option(letter, None)));
            continue;
        }
        let own = (!rest.is_empty()).then(|| OsString::from_vec(rest.to_vec()));
        found.push(match (takes, own) {
            (Takes::Value, None) => match words.pop_front() {
                Some(next) => Ok(Word::Option(letter, Some(next.clone()))),
                None => Err(Mistake(format!(
                    "option requires an argument -- '{letter}'"
                ))),
            },
            (_, own) => Ok(Word::Option(letter, own)),
        });
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str, order: Order) -> String {
        let long: &[Long] = &[
            ("count", Takes::Value, 'c'),
            ("color", Takes::Maybe, 'o'),
            ("colour", Takes::Maybe, 'o'),
            ("quiet", Takes::Nothing, 'q'),
        ];
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let words = read(&args, "c:qo::", long, order);
        let said = words.into_iter().map(|w| match w {
            Ok(Word::Option(letter, None)) => format!("-{letter}"),
            Ok(Word::Option(letter, Some(v))) => format!("-{letter}={}", v.to_string_lossy()),
            Ok(Word::Operand(o)) => o.to_string_lossy().into_owned(),
            Err(e) => format!("({e})"),
        });
        said.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_are_read_as_the_c_library_reads_them() {
        for (line, wanted) in [
            ("-qc5 host", "-q -c=5 host"),
            ("-c 5 host -q", "-c=5 host -q"),
            ("-o -o3 x", "-o -o=3 x"),
            ("--count=5 --count 6 --quiet", "-c=5 -c=6 -q"),
            ("--cou 5 --q", "-c=5 -q"),
            ("--colo=no", "-o=no"),
            ("-q -- -c 5", "-q -c 5"),
            ("- x", "- x"),
            ("-Zq", "(invalid option -- 'Z') -q"),
            ("-c", "(option requires an argument -- 'c')"),
            ("--none", "(unrecognized option '--none')"),
            ("--none=1 x", "(unrecognized option '--none=1') x"),
            ("--count", "(option '--count' requires an argument)"),
            ("--quiet=1", "(option '--quiet' doesn't allow an argument)"),
            (
                "--co",
                "(option '--co' is ambiguous; possibilities: '--count' '--color' '--colour')",
            ),
        ] {
            assert_eq!(told(line, Order::Anywhere), wanted, "{line}");
        }
        assert_eq!(told("-q ls -q", Order::First), "-q ls -q");
        assert_eq!(told("ls -Z", Order::First), "ls -Z");
    }
}
