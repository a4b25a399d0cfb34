//! Motions: where a key leads, and what of the way an operator takes.

use super::text::Place;
use super::{Editor, Mode};
use crate::term::Key;

/// Where a motion leads, and what an operator takes of the way.
pub struct Reach {
    pub to: Place,
    /// Whole lines.
    pub lines: bool,
    /// The last letter, too.
    pub with_last: bool,
    /// Up and down go for the column of before.
    pub column_stays: bool,
    /// From here in place of where the cursor is.
    pub from: Option<Place>,
}

impl Reach {
    pub fn letters(to: Place) -> Reach {
        Reach {
            to,
            lines: false,
            with_last: false,
            column_stays: false,
            from: None,
        }
    }

    pub fn with_last(to: Place) -> Reach {
        Reach {
            with_last: true,
            ..Reach::letters(to)
        }
    }

    pub fn lines(to: Place) -> Reach {
        Reach {
            lines: true,
            ..Reach::letters(to)
        }
    }
}

impl Editor {
    /// Where a key leads, for an operator or for the cursor; `None`: nowhere, or it is no motion.
    pub fn motion(&mut self, key: Key, given: Option<usize>, op: Option<char>) -> Option<Reach> {
        let n = given.unwrap_or(1);
        let page = self.screen.size().0.saturating_sub(2).max(1);
        let shown = self.screen.size().0.saturating_sub(1).max(1);
        let t = &self.text;
        let (row, column) = (t.row, t.column);
        let rows = t.lines.len() - 1;
        let length = t.length();
        let typing = self.mode != Mode::Normal;
        let line = |row: usize| Reach::lines((row.min(rows), t.indent(row.min(rows))));
        let same = |row: usize| Reach {
            column_stays: true,
            ..Reach::lines((row.min(rows), column))
        };
        let change = |at: Place, big: bool| t.words_end(at, n, big);
        Some(match key {
            Key::Char('h') | Key::Left | Key::Backspace => {
                Reach::letters((row, column.checked_sub(1)?.saturating_sub(n - 1)))
            }
            Key::Char('l' | ' ') | Key::Right => {
                let most = match op.is_some() || typing {
                    true => length,
                    false => length.saturating_sub(1),
                };
                if op == Some('d') && length == 0 {
                    return None;
                }
                Reach::letters((row, (column + n).min(most)))
            }
            Key::Char('j') | Key::Down | Key::Ctrl('n' | 'j') if row < rows => same(row + n),
            Key::Char('k') | Key::Up | Key::Ctrl('p') if row > 0 => same(row.saturating_sub(n)),
            Key::Enter | Key::Char('+') if row < rows => line(row + n),
            Key::Char('-') if row > 0 => line(row.saturating_sub(n)),
            Key::Char('_') => line(row + n - 1),
            Key::Char('0') | Key::Home => Reach::letters((row, 0)),
            Key::Char('^') => Reach::letters((row, t.indent(row))),
            Key::Char('|') => Reach::letters((row, (n - 1).min(length.saturating_sub(1)))),
            Key::Char('$') | Key::End => {
                let row = (row + n - 1).min(rows);
                let length = t.length_of(row);
                if !typing && op.is_none() {
                    self.wanted = usize::MAX;
                    return Some(Reach {
                        column_stays: true,
                        ..Reach::letters((row, length))
                    });
                }
                Reach::letters((row, length))
            }
            Key::Char(w @ ('w' | 'W')) => match op {
                Some('c') if !t.is_blank((row, column)) => {
                    Reach::with_last(change((row, column), w == 'W'))
                }
                Some(_) => Reach::letters(t.words_over((row, column), n, w == 'W')),
                None => {
                    let to = (0..n).fold((row, column), |at, _| t.word_next(at, w == 'W'));
                    Reach::letters(to)
                }
            },
            Key::Char(b @ ('b' | 'B')) if (row, column) != (0, 0) => {
                let to = (0..n).fold((row, column), |at, _| t.word_back(at, b == 'B'));
                Reach::letters(to)
            }
            Key::Char(e @ ('e' | 'E')) => {
                let to = (0..n).fold((row, column), |at, _| t.word_end(at, e == 'E'));
                Reach::with_last(to)
            }
            Key::Char(c @ ('G' | 'g')) => {
                if c == 'g' && self.key()? != Key::Char('g') {
                    return None;
                }
                let to = if c == 'g' {
                    n - 1
                } else {
                    given.map_or(rows, |n| n - 1)
                };
                let to = (to.min(rows), self.text.indent(to.min(rows)));
                if to != (row, column) {
                    self.marks.insert('\'', (row, column));
                }
                Reach::lines(to)
            }
            Key::Char('H') => line(self.top + n - 1),
            Key::Char('L') => line((self.top + shown - 1).min(rows).saturating_sub(n - 1)),
            Key::Char('M') => line((self.top + (self.top + shown - 1).min(rows)) / 2),
            Key::Char(c @ ('{' | '}')) => {
                let mut to = (row, column);
                for _ in 0..n {
                    to = t.paragraph(to.0, c == '}');
                }
                Reach::letters(to)
            }
            Key::Char('%') => Reach::with_last(t.bracket((row, column))?),
            Key::Ctrl('f') | Key::PageDown => same(row + page * n),
            Key::Ctrl('b') | Key::PageUp => same(row.saturating_sub(page * n)),
            Key::Ctrl('d') => same(row + page / 2),
            Key::Ctrl('u') => same(row.saturating_sub(page / 2)),
            Key::Char(c @ ('f' | 't' | 'F' | 'T' | ';' | ',')) => self.letter_reached(c, n)?,
            Key::Char(c @ ('\'' | '`')) => {
                let Key::Char(name) = self.key()? else {
                    return None;
                };
                let name = if name == '`' { '\'' } else { name };
                let old = *self.marks.get(&name)?;
                let row_of = old.0.min(self.text.lines.len() - 1);
                self.marks.insert('\'', (row, column));
                match c {
                    '\'' => Reach::lines((row_of, self.text.indent(row_of))),
                    _ => Reach::letters((row_of, old.1)),
                }
            }
            Key::Char(c @ ('/' | '?' | 'n' | 'N' | '*' | '#')) => {
                Reach::letters(self.match_reached(c, n)?)
            }
            _ => return None,
        })
    }

    fn letter_reached(&mut self, key: char, n: usize) -> Option<Reach> {
        let (how, wanted) = match key {
            ';' | ',' => self.sought?,
            how => match self.key()? {
                Key::Char(wanted) => (how, wanted),
                _ => return None,
            },
        };
        let other = |c: char| match c.is_lowercase() {
            true => c.to_ascii_uppercase(),
            false => c.to_ascii_lowercase(),
        };
        if !matches!(key, ';' | ',') {
            self.sought = Some((how, wanted));
        }
        let how = if key == ',' { other(how) } else { how };
        let at = self.text.letter(how, wanted, n, matches!(key, ';' | ','))?;
        let to = (self.text.row, at);
        Some(match how.is_lowercase() {
            true => Reach::with_last(to),
            false => Reach::letters(to),
        })
    }

    fn match_reached(&mut self, key: char, n: usize) -> Option<Place> {
        let from = self.place();
        match key {
            '/' | '?' => {
                let pattern = self.ask(key)?;
                self.set_search(&pattern, key == '/')?;
            }
            '*' | '#' => {
                let word = self.text.word_here()?;
                self.set_search(&format!("\\<{word}\\>"), key == '*')?;
            }
            _ => {}
        }
        let mut to = None;
        for _ in 0..n.min(1000) {
            to = self.again(key == 'N');
            (self.text.row, self.text.column) = to?;
        }
        (self.text.row, self.text.column) = from;
        self.marks.insert('\'', from);
        to
    }
}
