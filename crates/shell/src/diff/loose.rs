//! Two texts whose lines are equal by a rule: space, blank lines or case may not count. Which lines are kept is decided by
//! the library over the numbers of such lines; what is printed are the lines themselves.

use diffutilslib::normal_diff;
use diffutilslib::params::{Format, Params};
use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;

/// What of a white space counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// All of it.
    #[default]
    All,
    /// That there is some, and not at the end of a line (`-b`).
    Some,
    /// None of it (`-w`).
    None,
}

/// When lines are equal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rule {
    /// White space.
    pub space: Space,
    /// Blank lines that come or go do not count (`-B`).
    pub blank: bool,
    /// Letters are equal whatever their case (`-i`).
    pub case: bool,
}

/// Lines of one side that stand for lines of the other; each counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    a: Range<usize>,
    b: Range<usize>,
}

/// Lines with their ends.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|b| *b == b'\n').collect()
}

/// What of a line is compared.
fn key(line: &[u8], rule: Rule) -> Vec<u8> {
    let space = |b: u8| b.is_ascii_whitespace() || b == 0x0b;
    let mut out = Vec::with_capacity(line.len());
    match rule.space {
        Space::All => out.extend_from_slice(line),
        Space::None => out.extend(line.iter().copied().filter(|b| !space(*b))),
        Space::Some => {
            for b in line.iter().copied() {
                match (space(b), out.last() == Some(&b' ')) {
                    (true, true) => {}
                    (true, false) => out.push(b' '),
                    (false, _) => out.push(b),
                }
            }
            if out.last() == Some(&b' ') {
                out.pop();
            }
        }
    }
    if rule.case {
        out.make_ascii_lowercase();
    }
    out
}

/// What changed, by the rule.
fn changes(a: &[&[u8]], b: &[&[u8]], rule: Rule) -> Vec<Change> {
    let mut numbers: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut numbered = |lines: &[&[u8]]| {
        let mut text = String::new();
        for line in lines {
            let next = numbers.len();
            let number = *numbers.entry(key(line, rule)).or_insert(next);
            text.push_str(&format!("{number}\n"));
        }
        text
    };
    let (from, to) = (numbered(a), numbered(b));
    let said = normal_diff(from.as_bytes(), to.as_bytes(), &Params::default());
    let said = String::from_utf8_lossy(&said).into_owned();
    let all = said.lines().filter_map(command);
    let blank = |lines: &[&[u8]]| {
        let nothing = |l: &&[u8]| l.iter().all(|b| *b == b'\n') || key(l, rule).is_empty();
        lines.iter().all(nothing)
    };
    let ignored = |c: &Change| {
        rule.blank
            && blank(a.get(c.a.clone()).unwrap_or_default())
            && blank(b.get(c.b.clone()).unwrap_or_default())
    };
    all.filter(|c| !ignored(c)).collect()
}

/// `3,4c5`, `2a3`, `7d6` as ranges; none where a line is no such command.
fn command(line: &str) -> Option<Change> {
    let at = line.find(['a', 'c', 'd'])?;
    let (left, right) = (line.get(..at)?, line.get(at + 1..)?);
    let range = |text: &str| -> Option<Range<usize>> {
        let (first, last) = text.split_once(',').unwrap_or((text, text));
        Some(first.parse::<usize>().ok()?.checked_sub(1)?..last.parse().ok()?)
    };
    // Where nothing stands, the number is that of the line before.
    let nothing = |text: &str| text.parse::<usize>().ok().map(|n| n..n);
    match line.as_bytes().get(at)? {
        b'a' => Some(Change {
            a: nothing(left)?,
            b: range(right)?,
        }),
        b'd' => Some(Change {
            a: range(left)?,
            b: nothing(right)?,
        }),
        _ => Some(Change {
            a: range(left)?,
            b: range(right)?,
        }),
    }
}

fn put(out: &mut Vec<u8>, sign: &str, lines: &[&[u8]]) {
    for line in lines {
        out.extend_from_slice(sign.as_bytes());
        out.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            out.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

/// What differs, in the format; empty where nothing does. `names` stand in the head of the unified format.
pub fn compared(
    a: &[u8],
    b: &[u8],
    rule: Rule,
    format: Format,
    context: usize,
    names: &str,
) -> Vec<u8> {
    let (a, b) = (lines(a), lines(b));
    let all = changes(&a, &b, rule);
    let mut out = Vec::new();
    if all.is_empty() {
        return out;
    }
    match format {
        Format::Unified => {
            out.extend_from_slice(names.as_bytes());
            unified(&mut out, &a, &b, &all, context);
        }
        _ => normal(&mut out, &a, &b, &all),
    }
    out
}

fn normal(out: &mut Vec<u8>, a: &[&[u8]], b: &[&[u8]], all: &[Change]) {
    let shown = |r: &Range<usize>| match r.len() {
        0 => format!("{}", r.start),
        1 => format!("{}", r.end),
        _ => format!("{},{}", r.start + 1, r.end),
    };
    for c in all {
        let word = match (c.a.is_empty(), c.b.is_empty()) {
            (true, _) => 'a',
            (_, true) => 'd',
            _ => 'c',
        };
        let _ = writeln!(out, "{}{word}{}", shown(&c.a), shown(&c.b));
        put(out, "< ", a.get(c.a.clone()).unwrap_or_default());
        if word == 'c' {
            out.extend_from_slice(b"---\n");
        }
        put(out, "> ", b.get(c.b.clone()).unwrap_or_default());
    }
}

fn unified(out: &mut Vec<u8>, a: &[&[u8]], b: &[&[u8]], all: &[Change], context: usize) {
    let near = |one: &Change, next: &Change| next.a.start - one.a.end <= 2 * context;
    for group in all.chunk_by(near) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let before = context.min(first.a.start).min(first.b.start);
        let end_a = (last.a.end + context).min(a.len());
        let end_b = (last.b.end + context).min(b.len());
        let shown = |start: usize, end: usize| match end - start {
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            n => format!("{},{n}", start + 1),
        };
        let start = (first.a.start - before, first.b.start - before);
        let _ = writeln!(
            out,
            "@@ -{} +{} @@",
            shown(start.0, end_a),
            shown(start.1, end_b)
        );
        let mut at = start.0;
        for c in group {
            put(out, " ", a.get(at..c.a.start).unwrap_or_default());
            put(out, "-", a.get(c.a.clone()).unwrap_or_default());
            put(out, "+", b.get(c.b.clone()).unwrap_or_default());
            at = c.a.end;
        }
        put(out, " ", a.get(at..end_a).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_in_a_line() {
        let by = |space, case, line: &str| {
            let rule = Rule {
                space,
                blank: false,
                case,
            };
            String::from_utf8(key(line.as_bytes(), rule)).unwrap()
        };
        assert_eq!(by(Space::Some, false, "a \t b  \n"), "a b");
        assert_eq!(by(Space::Some, false, "  a\n"), " a");
        assert_eq!(by(Space::None, true, " A b\n"), "ab");
        assert_eq!(by(Space::All, false, "a b\n"), "a b\n");
    }

    #[test]
    fn commands_are_ranges() {
        let c = |line| command(line).map(|c| (c.a, c.b));
        assert_eq!(c("2a3,4"), Some((2..2, 2..4)));
        assert_eq!(c("5,7d3"), Some((4..7, 3..3)));
        assert_eq!(c("1c1"), Some((0..1, 0..1)));
        assert_eq!(c("> 1"), None);
        assert_eq!(c("---"), None);
    }
}
