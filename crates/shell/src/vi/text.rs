//! The text of an editor: lines, a place in them, and what they were before.

use crate::posix::{Posix, Syntax, translate};

type Place = (usize, usize);

/// The text. There is always a line.
pub struct Text {
    pub lines: Vec<String>,
    pub row: usize,
    /// In characters.
    pub column: usize,
    before: Vec<(Vec<String>, Place)>,
    after: Vec<(Vec<String>, Place)>,
    /// The file did not end with a line's end.
    open_end: bool,
}

fn kind(c: char) -> u8 {
    match c {
        c if c.is_whitespace() => 0,
        c if c.is_alphanumeric() || c == '_' => 1,
        _ => 2,
    }
}

impl Text {
    /// From a file's text.
    pub fn new(text: &str) -> Text {
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        Text {
            lines,
            row: 0,
            column: 0,
            before: Vec::new(),
            after: Vec::new(),
            open_end: !text.is_empty() && !text.ends_with('\n'),
        }
    }

    /// As it is written to a file.
    pub fn whole(&self) -> String {
        let mut text = self.lines.join("\n");
        if !(self.open_end || self.lines.len() == 1 && text.is_empty()) {
            text.push('\n');
        }
        text
    }

    fn line(&self) -> &str {
        self.lines.get(self.row).map_or("", String::as_str)
    }

    /// Characters of the line.
    pub fn length(&self) -> usize {
        self.line().chars().count()
    }

    /// The column of its first letter.
    pub fn first_letter(&self) -> usize {
        self.line()
            .chars()
            .take_while(|c| c.is_whitespace())
            .count()
    }

    /// The place is a character; while inserting, also behind the last one.
    pub fn keep_inside(&mut self, inserting: bool) {
        if self.lines.is_empty() {
            self.lines.push(String::new());
        }
        self.row = self.row.min(self.lines.len() - 1);
        let most = self.length().saturating_sub(usize::from(!inserting));
        self.column = self.column.min(most);
    }

    /// What undo brings back.
    pub fn remember(&mut self) {
        if self.before.last().is_none_or(|(l, _)| *l != self.lines) {
            self.before
                .push((self.lines.clone(), (self.row, self.column)));
            self.before.drain(..self.before.len().saturating_sub(200));
        }
        self.after.clear();
    }

    /// `false`: there is nothing to undo.
    pub fn undo(&mut self) -> bool {
        while let Some((lines, place)) = self.before.pop() {
            if lines != self.lines {
                self.after.push((
                    std::mem::replace(&mut self.lines, lines),
                    (self.row, self.column),
                ));
                (self.row, self.column) = place;
                return true;
            }
        }
        false
    }

    /// `false`: nothing was undone.
    pub fn redo(&mut self) -> bool {
        let Some((lines, place)) = self.after.pop() else {
            return false;
        };
        self.before.push((
            std::mem::replace(&mut self.lines, lines),
            (self.row, self.column),
        ));
        (self.row, self.column) = place;
        true
    }

    fn byte(line: &str, column: usize) -> usize {
        line.char_indices()
            .nth(column)
            .map_or(line.len(), |(b, _)| b)
    }

    /// Puts text in at the place, which moves behind it.
    pub fn put(&mut self, text: &str) {
        let (row, column) = (self.row, self.column);
        let Some(line) = self.lines.get_mut(row) else {
            return;
        };
        let tail = line.split_off(Self::byte(line, column));
        let mut parts = text.split('\n');
        line.push_str(parts.next().unwrap_or_default());
        self.column = line.chars().count();
        for part in parts {
            self.row += 1;
            self.column = part.chars().count();
            self.lines.insert(self.row, part.to_string());
        }
        if let Some(line) = self.lines.get_mut(self.row) {
            line.push_str(&tail);
        }
    }

    /// Takes characters of the line away.
    pub fn take(&mut self, n: usize) -> String {
        let (row, column) = (self.row, self.column);
        let Some(line) = self.lines.get_mut(row) else {
            return String::new();
        };
        let from = Self::byte(line, column);
        let to = Self::byte(line, column.saturating_add(n));
        line.drain(from..to).collect()
    }

    /// As the key does it, over the line's beginning too.
    pub fn backspace(&mut self) {
        if self.column > 0 {
            self.column -= 1;
            self.take(1);
        } else if self.row > 0 {
            let line = self.lines.remove(self.row);
            self.row -= 1;
            self.column = self.length();
            if let Some(l) = self.lines.get_mut(self.row) {
                l.push_str(&line);
            }
        }
    }

    /// Joins the next line to this one.
    pub fn join(&mut self) {
        if self.row + 1 < self.lines.len() {
            let next = self.lines.remove(self.row + 1);
            let next = next.trim_start();
            self.column = self.length();
            if let Some(line) = self.lines.get_mut(self.row) {
                if !line.is_empty() && !next.is_empty() && !line.ends_with(' ') {
                    line.push(' ');
                }
                line.push_str(next);
            }
        }
    }

    /// Copies of lines.
    pub fn lines_from(&self, row: usize, n: usize) -> Vec<String> {
        self.lines.iter().skip(row).take(n).cloned().collect()
    }

    /// Takes lines away.
    pub fn drop_lines(&mut self, row: usize, n: usize) {
        let end = (row + n).min(self.lines.len());
        if row < end {
            self.lines.drain(row..end);
        }
        self.row = row;
        self.keep_inside(false);
        self.column = self.first_letter();
        self.keep_inside(false);
    }

    /// Puts in what was cut, behind the place or before it.
    pub fn paste(&mut self, text: &str, whole_lines: bool, behind: bool) {
        if whole_lines {
            let at = (self.row + usize::from(behind)).min(self.lines.len());
            for (n, line) in text.split('\n').enumerate() {
                self.lines.insert(at + n, line.to_string());
            }
            (self.row, self.column) = (at, 0);
        } else if !text.is_empty() {
            self.column = (self.column + usize::from(behind)).min(self.length());
            self.put(text);
            self.column = self.column.saturating_sub(1);
        }
    }

    /// The text between two places.
    pub fn between(&self, start: Place, end: Place) -> String {
        let part = |row: usize, from: usize, to: usize| -> String {
            self.lines.get(row).map_or(String::new(), |l| {
                l.chars().skip(from).take(to.saturating_sub(from)).collect()
            })
        };
        if start.0 == end.0 {
            return part(start.0, start.1, end.1);
        }
        let mut all = vec![part(start.0, start.1, usize::MAX)];
        all.extend((start.0 + 1..end.0).map(|r| part(r, 0, usize::MAX)));
        all.push(part(end.0, 0, end.1));
        all.join("\n")
    }

    /// Takes the text between two places away.
    pub fn cut_between(&mut self, start: Place, end: Place) {
        let tail: String = self
            .lines
            .get(end.0)
            .map_or(String::new(), |l| l.chars().skip(end.1).collect());
        if let Some(line) = self.lines.get_mut(start.0) {
            let at = Self::byte(line, start.1);
            line.truncate(at);
            line.push_str(&tail);
        }
        if end.0 > start.0 {
            self.lines
                .drain(start.0 + 1..=end.0.min(self.lines.len() - 1));
        }
        (self.row, self.column) = start;
    }

    fn at(&self, row: usize, column: usize) -> Option<char> {
        self.lines.get(row)?.chars().nth(column)
    }

    /// Where the next word begins.
    pub fn word_next(&self, row: usize, column: usize) -> Place {
        let (mut row, mut column) = (row, column);
        let here = self.at(row, column).map_or(0, kind);
        while here != 0 && self.at(row, column).is_some_and(|c| kind(c) == here) {
            column += 1;
        }
        loop {
            match self.at(row, column) {
                Some(c) if kind(c) == 0 => column += 1,
                Some(_) => return (row, column),
                None if row + 1 < self.lines.len() => {
                    row += 1;
                    column = 0;
                    if self.lines.get(row).is_some_and(String::is_empty) {
                        return (row, 0);
                    }
                }
                None => return (row, column.saturating_sub(1)),
            }
        }
    }

    /// Where the word before begins.
    pub fn word_back(&self, row: usize, column: usize) -> Place {
        let (mut row, mut column) = (row, column);
        loop {
            if column == 0 {
                if row == 0 {
                    return (0, 0);
                }
                row -= 1;
                column = self.lines.get(row).map_or(0, |l| l.chars().count());
                if column == 0 {
                    return (row, 0);
                }
                continue;
            }
            column -= 1;
            if let Some(c) = self.at(row, column).filter(|c| kind(*c) != 0) {
                while column > 0 && self.at(row, column - 1).is_some_and(|b| kind(b) == kind(c)) {
                    column -= 1;
                }
                return (row, column);
            }
        }
    }

    /// Where the word ends.
    pub fn word_end(&self, row: usize, column: usize) -> Place {
        let (mut row, mut column) = (row, column + 1);
        loop {
            match self.at(row, column) {
                Some(c) if kind(c) == 0 => column += 1,
                Some(c) => {
                    while self.at(row, column + 1).is_some_and(|n| kind(n) == kind(c)) {
                        column += 1;
                    }
                    return (row, column);
                }
                None if row + 1 < self.lines.len() => (row, column) = (row + 1, 0),
                None => return (row, column.saturating_sub(1)),
            }
        }
    }

    /// `f`, `t`, `F`, `T`: to a letter of the line.
    pub fn go_to_letter(&mut self, how: char, wanted: char) -> bool {
        let chars: Vec<char> = self.line().chars().collect();
        let found = if how.is_lowercase() {
            (self.column + 1..chars.len()).find(|n| chars.get(*n) == Some(&wanted))
        } else {
            (0..self.column.min(chars.len()))
                .rev()
                .find(|n| chars.get(*n) == Some(&wanted))
        };
        let Some(at) = found else { return false };
        self.column = match how {
            't' => at - 1,
            'T' => at + 1,
            _ => at,
        };
        true
    }

    /// The next match from the place on, around the ends.
    pub fn find(&self, re: &Posix, forward: bool) -> Option<Place> {
        let rows = self.lines.len();
        for step in 0..=rows {
            let row = if forward {
                (self.row + step) % rows
            } else {
                (self.row + rows - step % rows) % rows
            };
            let line = self.lines.get(row)?;
            let mut all = Vec::new();
            let mut at = 0;
            while let Some((from, to)) = re.find_at(line.as_bytes(), at) {
                all.push(line.get(..from).map_or(0, |l| l.chars().count()));
                at = if to > from { to } else { to + 1 };
                if at > line.len() {
                    break;
                }
            }
            let fits = |c: &usize| match (step, forward) {
                (0, true) => *c > self.column,
                (0, false) => *c < self.column,
                _ => true,
            };
            let found = if forward {
                all.into_iter().find(fits)
            } else {
                all.into_iter().rev().find(fits)
            };
            if let Some(column) = found {
                return Some((row, column));
            }
        }
        None
    }

    /// `:s`, `:d` and the like on a range of lines.
    pub fn ex(&mut self, line: &str) -> Result<String, String> {
        let (range, rest) = self.range(line)?;
        let (first, last) = range;
        if let Some(rest) = rest.strip_prefix('s') {
            return self.substitute(first, last, rest);
        }
        if rest == "d" {
            self.drop_lines(first, last - first + 1);
            return Ok(String::new());
        }
        Err(format!("Not an editor command: {line}"))
    }

    fn range<'a>(&self, line: &'a str) -> Result<(Place, &'a str), String> {
        let last = self.lines.len() - 1;
        if let Some(rest) = line.strip_prefix('%') {
            return Ok(((0, last), rest));
        }
        let end = line
            .find(|c: char| !(c.is_ascii_digit() || ".$,+-".contains(c)))
            .unwrap_or(line.len());
        let (words, rest) = line.split_at(end);
        let one = |w: &str| -> Result<usize, String> {
            match w {
                "" | "." => Ok(self.row),
                "$" => Ok(last),
                w => w
                    .parse::<usize>()
                    .map(|n| n.saturating_sub(1))
                    .map_err(|_| format!("Invalid range: {w}")),
            }
        };
        let (a, b) = words.split_once(',').unwrap_or((words, words));
        let (a, b) = (one(a)?.min(last), one(b)?.min(last));
        Ok(((a.min(b), a.max(b)), rest))
    }

    fn substitute(&mut self, first: usize, last: usize, rest: &str) -> Result<String, String> {
        let sign = rest
            .chars()
            .next()
            .filter(|c| !c.is_alphanumeric())
            .ok_or("No pattern")?;
        let mut parts = vec![String::new()];
        let mut chars = rest.chars().skip(1).peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.peek() == Some(&sign) => {
                    parts.last_mut().into_iter().for_each(|p| p.push(sign))
                }
                '\\' => {
                    if let Some(p) = parts.last_mut() {
                        p.push('\\');
                        p.extend(chars.next());
                    }
                }
                c if c == sign && parts.len() < 3 => parts.push(String::new()),
                c => parts.last_mut().into_iter().for_each(|p| p.push(c)),
            }
        }
        let part = |n: usize| parts.get(n).map_or("", String::as_str);
        let translated = translate(part(0), Syntax::Basic)?;
        let flags = part(2);
        let re = regex::RegexBuilder::new(&translated)
            .case_insensitive(flags.contains('i'))
            .build()
            .map_err(|_| format!("Invalid pattern: {}", part(0)))?;
        let by = replacement(part(1));
        let mut count = 0;
        for row in first..=last {
            let Some(line) = self.lines.get_mut(row) else {
                break;
            };
            let found = re.find_iter(line).count();
            if found > 0 {
                count += if flags.contains('g') { found } else { 1 };
                *line = if flags.contains('g') {
                    re.replace_all(line, by.as_str())
                } else {
                    re.replace(line, by.as_str())
                }
                .into_owned();
                self.row = row;
            }
        }
        if count == 0 {
            return Err("Pattern not found".into());
        }
        Ok(format!(
            "{count} substitution{}",
            if count == 1 { "" } else { "s" }
        ))
    }
}

/// vi's `&` and `\1` as the library's `${0}` and `${1}`.
fn replacement(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("$$"),
            '&' => out.push_str("${0}"),
            '\\' => match chars.next() {
                Some(d) if d.is_ascii_digit() => out.push_str(&format!("${{{d}}}")),
                Some(c) => out.push(c),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_walked() {
        let t = Text::new("one two.three\n\n  four\n");
        assert_eq!(t.word_next(0, 0), (0, 4));
        assert_eq!(t.word_next(0, 4), (0, 7));
        assert_eq!(t.word_next(0, 8), (1, 0));
        assert_eq!(t.word_next(1, 0), (2, 2));
        assert_eq!(t.word_back(2, 2), (1, 0));
        assert_eq!(t.word_back(0, 8), (0, 7));
        assert_eq!(t.word_end(0, 0), (0, 2));
    }

    #[test]
    fn changes_can_be_undone_and_redone() {
        let mut t = Text::new("a\nb\n");
        t.remember();
        t.drop_lines(0, 1);
        assert_eq!(t.whole(), "b\n");
        assert!(t.undo());
        assert_eq!(t.whole(), "a\nb\n");
        assert!(t.redo());
        assert_eq!(t.whole(), "b\n");
        assert!(!t.redo());
    }

    #[test]
    fn substitution_knows_ranges_groups_and_flags() {
        for (command, expected) in [
            ("%s/o/0/g", "f00 b0\nb0o\n".replace("b0o", "b00")),
            ("s/\\(f\\)o/<\\1&>/", "<ffo>o bo\nboo\n".to_string()),
            ("2s/b/\\//", "foo bo\n/oo\n".to_string()),
            ("$d", "foo bo\n".to_string()),
        ] {
            let mut t = Text::new("foo bo\nboo\n");
            assert!(t.ex(command).is_ok(), "{command}");
            assert_eq!(t.whole(), expected, "{command}");
        }
        assert!(Text::new("x").ex("s/y/z/").is_err());
        assert!(Text::new("x").ex("frobnicate").is_err());
    }

    #[test]
    fn text_moves_between_places() {
        let mut t = Text::new("abc\ndef\n");
        assert_eq!(t.between((0, 1), (1, 2)), "bc\nde");
        t.cut_between((0, 1), (1, 2));
        assert_eq!(t.whole(), "af\n");
        t.put("1\n2");
        assert_eq!(t.whole(), "a1\n2f\n");
        t.backspace();
        assert_eq!(t.whole(), "a1\nf\n");
    }
}
