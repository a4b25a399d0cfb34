//! Several URLs in one: `{a,b}`, `[1-9]`, `[a-z:2]`.

/// Most URLs that one text may stand for in memory terms: each is made when it is its turn.
pub type Pattern = Vec<Part>;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// One of these.
    Set(Vec<String>),
    /// Letters: first, last, step.
    Letters(u8, u8, u64),
    /// Numbers: first, last, step, digits.
    Numbers(u64, u64, u64, usize),
}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad {
    pub why: &'static str,
    pub at: usize,
}

/// Reads a text.
pub fn parse(text: &str) -> Result<Pattern, Bad> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let bytes: Vec<(usize, char)> = text.char_indices().collect();
    let mut i = 0;
    let mut choices: u64 = 1;
    while let Some((at, c)) = bytes.get(i).copied() {
        let next = bytes.get(i + 1).map(|n| n.1);
        match c {
            '\\' if matches!(next, Some('{' | '[' | '}' | ']')) => {
                plain.extend(next);
                i += 2;
                continue;
            }
            '[' if text.get(at..at + 2) == Some("[]") => {
                plain += "[]";
                i += 2;
                continue;
            }
            '[' if is_address(text.get(at..).unwrap_or_default()) => {
                let end = text.get(at..).and_then(|t| t.find(']')).unwrap_or(0);
                plain += text.get(at..=at + end).unwrap_or_default();
                i += text.get(at..=at + end).map_or(1, |t| t.chars().count());
                continue;
            }
            '[' | '{' => {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                let rest = text.get(at + 1..).unwrap_or_default();
                let (part, taken) = match c {
                    '[' => range(rest, at)?,
                    _ => set(rest, at)?,
                };
                choices = choices.checked_mul(count(&part)).ok_or(Bad {
                    why: "range overflow",
                    at: at + 1,
                })?;
                parts.push(part);
                let until = at + 1 + taken;
                while bytes.get(i).is_some_and(|b| b.0 < until) {
                    i += 1;
                }
                continue;
            }
            ']' | '}' => {
                return Err(Bad {
                    why: "unmatched close brace/bracket",
                    at: at + 1,
                });
            }
            c => plain.push(c),
        }
        i += 1;
    }
    if !plain.is_empty() || parts.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

fn is_address(text: &str) -> bool {
    let Some(end) = text.find(']') else {
        return false;
    };
    let inside = text.get(1..end).unwrap_or_default();
    let bare = inside.split('%').next().unwrap_or_default();
    bare.parse::<std::net::Ipv6Addr>().is_ok()
}

fn set(text: &str, at: usize) -> Result<(Part, usize), Bad> {
    let (mut words, mut word, mut escaped) = (Vec::new(), String::new(), false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '{' | '[' => {
                return Err(Bad {
                    why: "nested brace",
                    at: at + i + 2,
                });
            }
            ']' => {
                return Err(Bad {
                    why: "unexpected close bracket",
                    at: at + i + 2,
                });
            }
            '}' => {
                if text.get(..i) == Some("") {
                    return Err(Bad {
                        why: "empty string within braces",
                        at: at + i + 2,
                    });
                }
                words.push(word);
                return Ok((Part::Set(words), i + 1));
            }
            ',' => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    Err(Bad {
        why: "unmatched brace",
        at: at + 1,
    })
}

fn range(text: &str, at: usize) -> Result<(Part, usize), Bad> {
    let bad = || Bad {
        why: "bad range specification",
        at: at + 2,
    };
    let end = text.find(']').ok_or_else(bad)?;
    // What can be read and makes no sense is told at its end.
    let senseless = Bad {
        why: "bad range",
        at: at + end + 3,
    };
    let inside = text.get(..end).unwrap_or_default();
    let (span, step) = match inside.split_once(':') {
        Some((span, step)) => (span, step.parse::<u64>().ok().filter(|s| *s > 0)),
        None => (inside, Some(1)),
    };
    let step = step.ok_or_else(bad)?;
    let (first, last) = span.split_once('-').ok_or_else(bad)?;
    let part = match (first.as_bytes(), last.as_bytes()) {
        ([a], [b]) if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
            if b < a || (u64::from(b - a) < step && b != a) || b - a > b'z' - b'A' {
                return Err(senseless);
            }
            Part::Letters(*a, *b, step)
        }
        _ => {
            let number = |t: &str| t.trim_start().parse::<u64>().map_err(|_| bad());
            let (a, b) = (number(first)?, number(last)?);
            if b < a || (b - a < step && a != b) {
                return Err(senseless);
            }
            let padded = first.len() > 1 && first.starts_with('0');
            Part::Numbers(a, b, step, if padded { first.len() } else { 0 })
        }
    };
    Ok((part, end + 1))
}

fn count(part: &Part) -> u64 {
    match part {
        Part::Text(_) => 1,
        Part::Set(words) => words.len() as u64,
        Part::Letters(a, b, step) => u64::from(b - a) / step + 1,
        Part::Numbers(a, b, step, _) => ((b - a) / step).saturating_add(1),
    }
}

/// How many texts it stands for.
pub fn total(pattern: &[Part]) -> u64 {
    pattern.iter().map(count).fold(1, u64::saturating_mul)
}

/// The `n`-th text, and what each choice was.
pub fn nth(pattern: &[Part], n: u64) -> (String, Vec<String>) {
    let mut left = n;
    let mut found: Vec<(bool, String)> = Vec::new();
    for part in pattern.iter().rev() {
        let size = count(part).max(1);
        let index = left % size;
        let choice = match part {
            Part::Text(text) => (false, text.clone()),
            Part::Set(words) => {
                let word = usize::try_from(index).ok().and_then(|i| words.get(i));
                (true, word.cloned().unwrap_or_default())
            }
            Part::Letters(a, _, step) => {
                let letter = u64::from(*a) + index * step;
                (
                    true,
                    char::from(u8::try_from(letter).unwrap_or(*a)).to_string(),
                )
            }
            Part::Numbers(a, _, step, digits) => (true, format!("{:0digits$}", a + index * step)),
        };
        if choice.0 {
            left /= size;
        }
        found.push(choice);
    }
    found.reverse();
    let text = found.iter().map(|f| f.1.as_str()).collect();
    (
        text,
        found.into_iter().filter(|f| f.0).map(|f| f.1).collect(),
    )
}

/// The name of a file in which `#1` stands for the first choice.
pub fn filled(name: &str, choices: &[String]) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('#') {
        out += before;
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        let choice = digits
            .parse::<usize>()
            .ok()
            .filter(|n| *n > 0)
            .and_then(|n| choices.get(n - 1));
        match choice {
            Some(choice) => {
                out += choice;
                rest = after.get(digits.len()..).unwrap_or_default();
            }
            None => {
                out.push('#');
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let pattern = parse(text).unwrap();
        (0..total(&pattern)).map(|n| nth(&pattern, n).0).collect()
    }

    #[test]
    fn patterns_stand_for_their_texts() {
        assert_eq!(all("a{b,c}[1-2]"), ["ab1", "ab2", "ac1", "ac2"]);
        assert_eq!(all("[08-10]"), ["08", "09", "10"]);
        assert_eq!(all("[a-e:2]x"), ["ax", "cx", "ex"]);
        assert_eq!(all("http://[::1]/"), ["http://[::1]/"]);
        assert_eq!(parse("http://[::1/").unwrap_err().at, 9);
        assert_eq!(filled("o#1-#2#", &["x".into(), "y".into()]), "ox-y#");
        netshoot_wire::fuzz::texts(&["a{b,c}[1-20:3]{d,e}", "[a-z:2]\\{x"], 1_500, |text| {
            if let Ok(pattern) = parse(text) {
                let last = total(&pattern).saturating_sub(1);
                let _ = nth(&pattern, last);
            }
        });
    }
}
