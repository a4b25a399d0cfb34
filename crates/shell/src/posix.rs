//! POSIX regular expressions, basic and extended with GNU's additions, by way of the regex library: translated, and
//! with the longest match where the library would take the first.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input, MatchKind, nfa::thompson, util::syntax};
use std::cell::RefCell;

/// Whose syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    Basic,
    Extended,
    /// Every character for itself.
    Fixed,
    /// As the library has it, which is Perl's without looking around.
    Perl,
}

/// A compiled expression.
pub enum Posix {
    Plain(regex::bytes::Regex, Option<Box<Longest>>),
    /// With references to groups: only a backtracking engine can.
    References(fancy_regex::Regex),
}

/// The automaton that finds the longest match from a place.
pub struct Longest {
    dfa: DFA,
    cache: RefCell<Cache>,
}

impl Posix {
    /// From an expression in the library's syntax; the error is what it says.
    pub fn new(translated: &str, ignore_case: bool) -> Result<Posix, String> {
        if references(translated) {
            let flags = if ignore_case { "(?i)" } else { "" };
            return fancy_regex::Regex::new(&format!("{flags}{translated}"))
                .map(Posix::References)
                .map_err(|e| e.to_string());
        }
        let re = regex::bytes::RegexBuilder::new(translated)
            .case_insensitive(ignore_case)
            .size_limit(64 << 20)
            .build()
            .map_err(|e| match e {
                regex::Error::Syntax(s) => s.lines().last().unwrap_or_default().to_string(),
                e => e.to_string(),
            })?;
        let longest = translated
            .contains('|')
            .then(|| Longest::new(translated, ignore_case))
            .flatten();
        Ok(Posix::Plain(re, longest.map(Box::new)))
    }

    /// The leftmost match from a place on, and of those that begin there the longest.
    pub fn find_at(&self, hay: &[u8], at: usize) -> Option<(usize, usize)> {
        match self {
            Posix::Plain(re, longest) => {
                let m = re.find_at(hay, at)?;
                let end = longest.as_ref().and_then(|l| l.end(hay, m.start()));
                Some((m.start(), end.unwrap_or(m.end())))
            }
            Posix::References(re) => {
                let text = String::from_utf8_lossy(hay);
                let m = re.find_from_pos(&text, at.min(text.len())).ok()??;
                Some((m.start(), m.end().min(hay.len())))
            }
        }
    }

    /// Whether it matches anywhere.
    pub fn is_match(&self, hay: &[u8]) -> bool {
        match self {
            Posix::Plain(re, _) => re.is_match(hay),
            Posix::References(re) => re.is_match(&String::from_utf8_lossy(hay)).unwrap_or(false),
        }
    }
}

impl Longest {
    fn new(translated: &str, ignore_case: bool) -> Option<Longest> {
        let dfa = DFA::builder()
            .configure(DFA::config().match_kind(MatchKind::All))
            .syntax(
                syntax::Config::new()
                    .case_insensitive(ignore_case)
                    .utf8(false),
            )
            .thompson(thompson::Config::new().utf8(false))
            .build(translated)
            .ok()?;
        let cache = RefCell::new(dfa.create_cache());
        Some(Longest { dfa, cache })
    }

    fn end(&self, hay: &[u8], start: usize) -> Option<usize> {
        let input = Input::new(hay).range(start..).anchored(Anchored::Yes);
        let mut cache = self.cache.borrow_mut();
        let found = self.dfa.try_search_fwd(&mut cache, &input).ok()??;
        Some(found.offset())
    }
}

/// Whether a translated expression refers to a group: `\1` outside brackets.
fn references(translated: &str) -> bool {
    let mut chars = translated.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.next().is_some_and(|d| d.is_ascii_digit()) {
            return true;
        }
    }
    false
}

/// The expression in the library's syntax.
pub fn translate(pattern: &str, syntax: Syntax) -> Result<String, String> {
    match syntax {
        Syntax::Fixed => Ok(regex::escape(pattern)),
        Syntax::Perl => Ok(pattern.to_string()),
        Syntax::Basic | Syntax::Extended => {
            let mut t = Translation {
                chars: pattern.chars().collect(),
                at: 0,
                out: String::new(),
                open: 0,
                extended: syntax == Syntax::Extended,
            };
            t.all()?;
            Ok(t.out)
        }
    }
}

struct Translation {
    chars: Vec<char>,
    at: usize,
    out: String,
    open: usize,
    extended: bool,
}

impl Translation {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Whether an expression, a group or an alternative begins here: then `*` is a star.
    fn begins(&self) -> bool {
        self.out.is_empty()
            || self.out.ends_with("(?:")
            || self.out.ends_with(['(', '|', '^'])
                && !self.out.ends_with("\\(")
                && !self.out.ends_with("\\|")
                && !self.out.ends_with("\\^")
    }

    fn literal(&mut self, c: char) {
        if regex_syntax(c) {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    fn all(&mut self) -> Result<(), String> {
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '\\' => self.escape()?,
                '[' => self.bracket()?,
                '.' => self.out.push('.'),
                '*' if self.begins() => self.out.push_str("\\*"),
                '*' => self.repeat("*"),
                '^' => self.caret(),
                '$' => self.dollar(),
                '(' | ')' | '|' | '+' | '?' | '{' if self.extended => self.operator(c)?,
                c => self.literal(c),
            }
        }
        if self.open > 0 {
            return Err("Unmatched ( or \\(".into());
        }
        Ok(())
    }

    /// A repetition of what may be one already: `a**`.
    fn repeat(&mut self, sign: &str) {
        if self.out.ends_with(['*', '+', '?'])
            && !self.out.ends_with("\\*")
            && !self.out.ends_with("\\+")
            && !self.out.ends_with("\\?")
        {
            if self.out.ends_with(sign) {
                return;
            }
            self.out.pop();
            self.out.push('*');
            return;
        }
        self.out.push_str(sign);
    }

    fn caret(&mut self) {
        if self.extended || self.begins() {
            self.out.push('^');
        } else {
            self.out.push_str("\\^");
        }
    }

    fn dollar(&mut self) {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let ends = rest.is_empty() || matches!(rest, ['\\', ')' | '|', ..] | ['\n', ..]);
        self.out
            .push_str(if self.extended || ends { "$" } else { "\\$" });
    }

    fn operator(&mut self, c: char) -> Result<(), String> {
        match c {
            '(' => {
                self.open += 1;
                self.out.push('(');
            }
            ')' if self.open > 0 => {
                self.open -= 1;
                self.out.push(')');
            }
            ')' if self.extended => self.out.push_str("\\)"),
            ')' => return Err("Unmatched ) or \\)".into()),
            '|' => self.out.push('|'),
            '+' | '?' if self.begins() => self.literal(c),
            '+' => self.repeat("+"),
            '?' => self.repeat("?"),
            '{' => self.interval()?,
            c => self.literal(c),
        }
        Ok(())
    }

    /// `{m,n}` or `\{m,n\}`; in an extended expression, what is none stands for itself.
    fn interval(&mut self) -> Result<(), String> {
        let rest: String = self
            .chars
            .get(self.at..)
            .unwrap_or_default()
            .iter()
            .collect();
        let close = if self.extended { "}" } else { "\\}" };
        let inside = rest.split_once(close).map(|(i, _)| i);
        let valid = inside.filter(|i| {
            let (m, n) = i.split_once(',').unwrap_or((i, "0"));
            let number = |s: &str| s.chars().all(|c| c.is_ascii_digit());
            number(m) && number(n) && (!m.is_empty() || i.contains(','))
        });
        match valid {
            Some(i) if !self.begins() => {
                self.at += i.chars().count() + close.len();
                let i = if i.starts_with(',') {
                    format!("0{i}")
                } else {
                    i.to_string()
                };
                self.out.push_str(&format!("{{{i}}}"));
                Ok(())
            }
            _ if self.extended => {
                self.out.push_str("\\{");
                Ok(())
            }
            None if inside.is_none() => Err("Unmatched \\{".into()),
            _ => Err("Invalid content of \\{\\}".into()),
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.peek() else {
            return Err("Trailing backslash".into());
        };
        self.at += 1;
        match c {
            '(' | ')' | '|' | '+' | '?' | '{' if !self.extended => self.operator(c)?,
            'w' | 'W' | 's' | 'S' | 'b' | 'B' | '<' | '>' => {
                self.out.push('\\');
                self.out.push(c);
            }
            '`' => self.out.push_str("\\A"),
            '\'' => self.out.push_str("\\z"),
            '1'..='9' => {
                self.out.push_str(&format!("\\{c}"));
                // A digit that follows belongs to the text.
                if self.peek().is_some_and(|d| d.is_ascii_digit()) {
                    self.out.push_str("(?:)");
                }
            }
            c => self.literal(c),
        }
        Ok(())
    }

    /// A bracket expression: a backslash in it is one, and `]` first is one of its characters.
    fn bracket(&mut self) -> Result<(), String> {
        const OPEN: &str = "Unmatched [, [^, [:, [., or [=";
        self.out.push('[');
        if self.peek() == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.peek() else {
                return Err(OPEN.into());
            };
            self.at += 1;
            match (c, self.peek()) {
                (']', _) if !first => break,
                ('[', Some(kind @ (':' | '.' | '='))) => {
                    let rest: String = self
                        .chars
                        .get(self.at + 1..)
                        .unwrap_or_default()
                        .iter()
                        .collect();
                    let close = format!("{kind}]");
                    let Some((name, _)) = rest.split_once(&close) else {
                        return Err(OPEN.into());
                    };
                    self.at += 1 + name.chars().count() + 2;
                    if kind == ':' {
                        const NAMES: [&str; 12] = [
                            "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print",
                            "punct", "space", "upper", "xdigit",
                        ];
                        if !NAMES.contains(&name) {
                            return Err("Invalid character class name".into());
                        }
                        self.out.push_str(&format!("[:{name}:]"));
                    } else {
                        name.chars().for_each(|c| self.inside(c));
                    }
                }
                ('-', next) if !first && next != Some(']') => self.out.push('-'),
                (c, _) => self.inside(c),
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    fn inside(&mut self, c: char) {
        if "[]\\^-&~".contains(c) {
            self.out.push('\\');
        }
        self.out.push(c);
    }
}

fn regex_syntax(c: char) -> bool {
    "\\.+*?()|[]{}^$#&-~".contains(c)
}

/// Where the search goes on behind a match: behind the next letter where the match was empty.
pub fn behind(text: &str, (start, end): (usize, usize)) -> usize {
    match end > start {
        true => end,
        false => (end + 1..=text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(text.len() + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, syntax: Syntax, hay: &str, expected: Option<(usize, usize)>) {
        let translated = translate(pattern, syntax).unwrap();
        let re = Posix::new(&translated, false).unwrap();
        assert_eq!(
            re.find_at(hay.as_bytes(), 0),
            expected,
            "{pattern} as {translated} in {hay}"
        );
    }

    #[test]
    fn basic_expressions() {
        use Syntax::Basic;
        check("a*", Basic, "baaa", Some((0, 0)));
        check("*a", Basic, "b*a", Some((1, 3)));
        check("a\\+", Basic, "baaa", Some((1, 4)));
        check("a+", Basic, "aa+", Some((1, 3)));
        check("\\(ab\\)\\1", Basic, "xabab", Some((1, 5)));
        check("a\\{2\\}", Basic, "caaa", Some((1, 3)));
        check("a^b$c", Basic, "a^b$c", Some((0, 5)));
        check("[]x]", Basic, "a]", Some((1, 2)));
        check("[^]x]", Basic, "]a", Some((1, 2)));
        check("[a\\]", Basic, "\\", Some((0, 1)));
        check("\\<b", Basic, "ab b", Some((3, 4)));
        check("(a)", Basic, "(a)", Some((0, 3)));
    }

    #[test]
    fn extended_expressions_and_the_longest_match() {
        use Syntax::Extended;
        check("a|ab", Extended, "xab", Some((1, 3)));
        check("(a|ab)(c|bcd)", Extended, "abcd", Some((0, 4)));
        check("x{2,3}", Extended, "xxxx", Some((0, 3)));
        check("a{x", Extended, "a{x", Some((0, 3)));
        check("[[:digit:]]+", Extended, "ab12", Some((2, 4)));
        check("(^| )b", Extended, "a b", Some((1, 3)));
        check("*a", Extended, "*a", Some((0, 2)));
    }

    #[test]
    fn what_is_no_expression_is_said() {
        for (pattern, said) in [
            ("\\(", "Unmatched ( or \\("),
            ("[a", "Unmatched [, [^, [:, [., or [="),
            ("a\\", "Trailing backslash"),
        ] {
            assert_eq!(translate(pattern, Syntax::Basic), Err(said.to_string()));
        }
    }
}
