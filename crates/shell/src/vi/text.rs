//! The text of an editor: lines, a place in them, and what they were before.

use crate::posix::{Posix, behind};

/// A line and a character of it.
pub type Place = (usize, usize);

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
    /// What was searched for last, which an empty pattern means.
    pub pattern: String,
}

/// How often a text is repeated at most: a key held by accident is not to fill the memory.
pub fn at_most(text: &str) -> usize {
    (16 << 20) / text.len().max(16)
}

impl Text {
    /// From a file's text.
    pub fn new(text: &str) -> Text {
        // A carriage return before a line's end stays with its line.
        let mut lines: Vec<String> = text.split('\n').map(String::from).collect();
        if lines.len() > 1 && text.ends_with('\n') {
            lines.pop();
        }
        Text {
            lines,
            row: 0,
            column: 0,
            before: Vec::new(),
            after: Vec::new(),
            open_end: !text.is_empty() && !text.ends_with('\n'),
            pattern: String::new(),
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
            // Each is a whole text: of a large one only a few are kept.
            let size: usize = self.lines.iter().map(|l| l.len() + 32).sum();
            let most = ((64 << 20) / size.max(1)).clamp(1, 200);
            self.before.drain(..self.before.len().saturating_sub(most));
        }
        self.after.clear();
    }

    /// The lines before the change that was remembered last.
    pub fn remembered(&self) -> &[String] {
        self.before.last().map_or(&[], |(lines, _)| lines)
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
                let apart = !next.is_empty() && !next.starts_with(')');
                if !line.is_empty() && apart && !line.ends_with([' ', '\t']) {
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
        self.column = self.indent(self.row);
    }

    /// Puts in what was cut, so often, behind the place or before it.
    pub fn paste(&mut self, text: &str, whole_lines: bool, behind: bool, times: usize) {
        let times = times.min(at_most(text));
        if whole_lines {
            let at = (self.row + usize::from(behind)).min(self.lines.len());
            let lines = text.split('\n').map(String::from);
            let all: Vec<String> = std::iter::repeat_n(lines, times).flatten().collect();
            self.lines.splice(at..at, all);
            (self.row, self.column) = (at, self.indent(at));
        } else if !text.is_empty() {
            self.column = (self.column + usize::from(behind)).min(self.length());
            let from = (self.row, self.column);
            self.put(&text.repeat(times));
            match text.contains('\n') {
                true => (self.row, self.column) = from,
                false => self.column = self.column.saturating_sub(1),
            }
        }
    }

    /// Shifts lines by a tab's width to the right or to the left; empty ones stay empty.
    pub fn shift(&mut self, row: usize, n: usize, right: bool) {
        const WIDTH: usize = 8;
        for line in self.lines.iter_mut().skip(row).take(n) {
            let letters = line.trim_start_matches([' ', '\t']);
            if line.is_empty() {
                continue;
            }
            let blanks = line.len() - letters.len();
            let wide = line.chars().take(blanks).fold(0, |at, c| match c {
                '\t' => (at / WIDTH + 1) * WIDTH,
                _ => at + 1,
            });
            let wide = match right {
                true => wide + WIDTH,
                false => wide.saturating_sub(WIDTH),
            };
            *line = "\t".repeat(wide / WIDTH) + &" ".repeat(wide % WIDTH) + letters;
        }
        (self.row, self.column) = (row, self.indent(row));
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
                at = behind(line, (from, to));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_touched_is_written_as_it_was() {
        for text in ["a\r\nb\r\n", "a\n\nb", "", "a"] {
            assert_eq!(Text::new(text).whole(), text);
        }
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
