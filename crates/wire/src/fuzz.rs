//! Damaged copies of valid inputs, for the tests of every parser here and in the other rooms: the
//! same ones on every run, so that what failed once fails again. A law of the app knows which
//! parser has its target where.

/// A small deterministic source of numbers (xorshift64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        Dice(0x9e37_79b9_7f4a_7c15)
    }
}

impl Dice {
    /// A number below `n`; 0 for none.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    /// One of the words; an empty one for none.
    pub fn word<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let at = self.below(words.len());
        words.get(at).copied().unwrap_or_default()
    }
}

/// Calls `decode` with `rounds` mutations of `valid`: flipped bytes, cut ends, spliced pieces.
pub fn mutations(valid: &[u8], rounds: u32, mut decode: impl FnMut(&[u8])) {
    let mut dice = Dice::default();
    for len in (0..=valid.len()).step_by(1 + valid.len() / 512) {
        decode(valid.get(..len).unwrap_or_default());
    }
    for _ in 0..rounds {
        let mut bytes = valid.to_vec();
        for _ in 0..=dice.below(4) {
            damage(&mut bytes, &mut dice);
        }
        decode(&bytes);
    }
}

fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    const ODD: [u8; 8] = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff];
    let (at, from) = (dice.below(bytes.len()), dice.below(bytes.len()));
    let other = bytes.get(from).copied().unwrap_or_default();
    match (dice.below(5), bytes.get_mut(at)) {
        (0, _) => bytes.truncate(at),
        (1, _) | (_, None) => bytes.insert(at, dice.below(256) as u8),
        (2, Some(b)) => *b = ODD[dice.below(ODD.len())],
        (3, Some(b)) => *b ^= 1 << dice.below(8),
        (_, Some(b)) => *b = other,
    }
}

/// What no seed would say: numbers at their limits, the marks of many languages, foreign letters.
const WORDS: &[&str] = &[
    "",
    "0",
    "-1",
    "1",
    "255",
    "65535",
    "65536",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "-9223372036854775809",
    "1e308",
    "1e-9",
    "0x10",
    "1.5",
    "NaN",
    "inf",
    "null",
    "true",
    "~",
    "[]",
    "{}",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ",",
    ":",
    ": ",
    ";",
    "-",
    "- ",
    "+",
    "*",
    "&",
    "&a",
    "*a",
    "!",
    "!!binary",
    "<<",
    "|",
    ">",
    "%",
    "%00",
    "$(x)",
    "${x}",
    "`",
    "'",
    "\"",
    "\\",
    "\\u0000",
    "\n",
    "\r\n",
    "\n---\n",
    "\t",
    " ",
    "\0",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{a0}",
    "\u{feff}",
    "\u{202e}",
    "\u{130}",
    "\u{df}",
    "\u{754c}",
    "\u{1f600}",
    ".",
    "..",
    "...",
    "/",
    "//",
    "://",
    "@",
    "#",
    "=",
    "::",
    "::1",
    "[::1]:80",
    "fe80::1%eth0",
    "::ffff:10.0.0.1",
    "0.0.0.0",
    "255.255.255.255/33",
    "2026-02-30T24:60:61Z",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Calls `parse` with each seed, with beginnings of it, and with `rounds` mutations of the seeds by
/// word and line: removed, doubled, swapped, taken from another seed, replaced by hostile words.
pub fn texts(seeds: &[&str], rounds: u32, mut parse: impl FnMut(&str)) {
    let mut dice = Dice::default();
    for seed in seeds {
        parse(seed);
        for len in (0..seed.len()).step_by(1 + seed.len() / 64) {
            parse(seed.get(..floor(seed, len)).unwrap_or_default());
        }
    }
    for _ in 0..rounds {
        let mut text = dice.word(seeds).to_string();
        for _ in 0..=dice.below(4) {
            reword(&mut text, seeds, &mut dice);
        }
        parse(&text);
    }
}

fn reword(text: &mut String, seeds: &[&str], dice: &mut Dice) {
    let other = dice.word(seeds);
    let (at, there) = (word_at(text, dice), word_at(other, dice));
    let (line, elsewhere) = (line_at(text, at.0), floor(text, dice.below(text.len())));
    let old = text.get(at.0..at.1).unwrap_or_default().to_string();
    match dice.below(12) {
        0 => text.truncate(at.0),
        1 => text.replace_range(at.0..at.1, ""),
        2 => text.insert_str(at.1, &old),
        3 => text.insert_str(elsewhere, &old),
        4 => text.replace_range(at.0..at.1, other.get(there.0..there.1).unwrap_or_default()),
        5 => text.replace_range(line.0..line.1, ""),
        6 => {
            let whole = text.get(line.0..line.1).unwrap_or_default().to_string();
            text.insert_str(line_at(text, elsewhere).0, &whole);
        }
        7 | 8 => text.insert_str(at.0, dice.word(WORDS)),
        _ => text.replace_range(at.0..at.1, dice.word(WORDS)),
    }
}

/// The nearest place at or before `at` where a character begins.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0)
}

/// A word or a single mark somewhere in the text.
fn word_at(text: &str, dice: &mut Dice) -> (usize, usize) {
    let at = floor(text, dice.below(text.len()));
    let (before, after) = text.split_at(at);
    let inside = |c: &char| c.is_alphanumeric() || *c == '_';
    let back: usize = before
        .chars()
        .rev()
        .take_while(inside)
        .take(64)
        .map(char::len_utf8)
        .sum();
    let on: usize = after
        .chars()
        .take_while(inside)
        .take(64)
        .map(char::len_utf8)
        .sum();
    match on {
        0 => (at, at + after.chars().next().map_or(0, char::len_utf8)),
        _ => (at - back, at + on),
    }
}

/// The line around a place, with its end.
fn line_at(text: &str, at: usize) -> (usize, usize) {
    let (before, after) = text.split_at(at);
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (start, at + after.find('\n').map_or(after.len(), |i| i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn copies_differ_and_are_the_same_on_every_run() {
        let run = || {
            let mut all = Vec::new();
            texts(&["search a.b\nndots:5\n", "被 x"], 500, |t| {
                all.push(t.to_string())
            });
            all
        };
        let all = run();
        assert_eq!(all, run());
        let different: BTreeSet<&String> = all.iter().collect();
        assert!(different.len() > 350, "{}", different.len());
        let mut bytes = BTreeSet::new();
        mutations(b"\x01\x02\x03\x04", 500, |b| {
            bytes.insert(b.to_vec());
        });
        assert!(bytes.len() > 300, "{}", bytes.len());
        texts(&[], 10, |_| ());
        mutations(&[], 10, |_| ());
    }
}
