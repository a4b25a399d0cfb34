//! Where the motions lead. None of them moves.

use super::text::{Place, Text};

/// Blank, letters, or other signs; of a WORD all that is not blank is one.
fn kind(c: char, big: bool) -> u8 {
    match c {
        c if c.is_whitespace() => 0,
        c if big || c.is_alphanumeric() || c == '_' => 1,
        _ => 2,
    }
}

const BRACKETS: [(char, char); 3] = [('(', ')'), ('[', ']'), ('{', '}')];

impl Text {
    fn at(&self, (row, column): Place) -> Option<char> {
        self.lines.get(row)?.chars().nth(column)
    }

    /// Characters of a line.
    pub fn length_of(&self, row: usize) -> usize {
        self.lines.get(row).map_or(0, |l| l.chars().count())
    }

    /// The column of a line's first letter, or of its last blank.
    pub fn indent(&self, row: usize) -> usize {
        let line = self.lines.get(row).map_or("", String::as_str);
        let blanks = line.chars().take_while(|c| c.is_whitespace()).count();
        blanks.min(self.length_of(row).saturating_sub(1))
    }

    /// Where the next word begins.
    pub fn word_next(&self, (mut row, mut column): Place, big: bool) -> Place {
        let here = self.at((row, column)).map_or(0, |c| kind(c, big));
        while here != 0 && self.at((row, column)).is_some_and(|c| kind(c, big) == here) {
            column += 1;
        }
        loop {
            match self.at((row, column)) {
                Some(c) if kind(c, big) == 0 => column += 1,
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

    /// Behind the last of some words and the blanks after it, for an operator: the line's end is not taken along.
    pub fn words_over(&self, from: Place, n: usize, big: bool) -> Place {
        let last = (1..n).fold(from, |at, _| self.word_next(at, big));
        if self.length_of(last.0) == 0 && last.0 + 1 < self.lines.len() {
            return (last.0 + 1, 0);
        }
        let mut end = match self.is_blank(last) {
            true => last.1,
            false => kind_run(self, last, big),
        };
        while self.at((last.0, end)).is_some_and(char::is_whitespace) {
            end += 1;
        }
        (last.0, end)
    }

    /// Where the word before begins.
    pub fn word_back(&self, (mut row, mut column): Place, big: bool) -> Place {
        loop {
            if column == 0 {
                if row == 0 {
                    return (0, 0);
                }
                row -= 1;
                column = self.length_of(row);
                if column == 0 {
                    return (row, 0);
                }
                continue;
            }
            column -= 1;
            if let Some(c) = self.at((row, column)).filter(|c| kind(*c, big) != 0) {
                let same = |b: char| kind(b, big) == kind(c, big);
                while column > 0 && self.at((row, column - 1)).is_some_and(same) {
                    column -= 1;
                }
                return (row, column);
            }
        }
    }

    /// Where the word ends.
    pub fn word_end(&self, (mut row, mut column): Place, big: bool) -> Place {
        column += 1;
        loop {
            match self.at((row, column)) {
                Some(c) if kind(c, big) == 0 => column += 1,
                Some(_) => return (row, kind_run(self, (row, column), big) - 1),
                None if row + 1 < self.lines.len() => (row, column) = (row + 1, 0),
                None => return (row, column.saturating_sub(1)),
            }
        }
    }

    /// What `cw` changes from a letter on: up to the end of this word, which may be the letter itself.
    pub fn words_end(&self, from: Place, n: usize, big: bool) -> Place {
        let first = (from.0, kind_run(self, from, big) - 1);
        (1..n).fold(first, |at, _| self.word_end(at, big))
    }

    /// A blank or nothing stands there.
    pub fn is_blank(&self, at: Place) -> bool {
        self.at(at).is_none_or(char::is_whitespace)
    }

    /// The first and the last column of the word at a place, with the blanks behind it or not.
    pub fn word_around(&self, at: Place, blanks: bool) -> Option<(usize, usize)> {
        let here = kind(self.at(at)?, false);
        let same = |c: char| kind(c, false) == here;
        let mut first = at.1;
        while first > 0 && self.at((at.0, first - 1)).is_some_and(same) {
            first -= 1;
        }
        let mut end = kind_run(self, at, false);
        let blank = |column: usize| self.at((at.0, column)).is_some_and(char::is_whitespace);
        if blanks && blank(end) {
            end = kind_run(self, (at.0, end), false);
        } else if blanks && here != 0 {
            // None behind it: those in front go.
            while first > 0 && blank(first - 1) {
                first -= 1;
            }
        }
        Some((first, end - 1))
    }

    /// The first and the last column between two of the same quotes of the line, the quotes included.
    pub fn quoted(&self, (row, column): Place, quote: char) -> Option<(usize, usize)> {
        let line = self.lines.get(row)?;
        let all: Vec<usize> = line
            .chars()
            .enumerate()
            .filter(|(_, c)| *c == quote)
            .map(|(n, _)| n)
            .collect();
        let pairs = all.chunks(2).filter(|p| p.len() == 2);
        pairs
            .map(|p| {
                (
                    p.first().copied().unwrap_or(0),
                    p.last().copied().unwrap_or(0),
                )
            })
            .find(|(_, last)| *last >= column)
    }

    /// The brackets around a place.
    pub fn bracketed(&self, at: Place, bracket: char) -> Option<(Place, Place)> {
        let pair = BRACKETS
            .into_iter()
            .find(|(open, close)| [*open, *close].contains(&bracket))?;
        let open = match self.at(at) {
            Some(c) if c == pair.0 => at,
            _ => self.partner(at, pair, false)?,
        };
        Some((open, self.partner(open, pair, true)?))
    }

    /// `%`: the partner of the first bracket from the place on in its line.
    pub fn bracket(&self, (row, column): Place) -> Option<Place> {
        let line = self.lines.get(row)?;
        let (at, c, pair) = line.chars().enumerate().skip(column).find_map(|(n, c)| {
            let pair = BRACKETS.into_iter().find(|(a, b)| [*a, *b].contains(&c))?;
            Some((n, c, pair))
        })?;
        self.partner((row, at), pair, c == pair.0)
    }

    /// The bracket that closes what is open at a place, or opened it, that place not counted.
    fn partner(&self, from: Place, (open, close): (char, char), forward: bool) -> Option<Place> {
        let (mine, its) = if forward {
            (open, close)
        } else {
            (close, open)
        };
        let mut depth = 0_usize;
        let mut row = from.0;
        loop {
            let line: Vec<char> = self.lines.get(row)?.chars().collect();
            let columns: Vec<usize> = match (forward, row == from.0) {
                (true, true) => (from.1 + 1..line.len()).collect(),
                (true, false) => (0..line.len()).collect(),
                (false, true) => (0..from.1.min(line.len())).rev().collect(),
                (false, false) => (0..line.len()).rev().collect(),
            };
            for column in columns {
                match line.get(column) {
                    Some(c) if *c == its && depth == 0 => return Some((row, column)),
                    Some(c) if *c == its => depth -= 1,
                    Some(c) if *c == mine => depth += 1,
                    _ => {}
                }
            }
            row = if forward {
                row + 1
            } else {
                row.checked_sub(1)?
            };
        }
    }

    /// `}` and `{`: the next empty line behind lines that are none; the text's end.
    pub fn paragraph(&self, from: usize, forward: bool) -> Place {
        let empty = |row: usize| self.lines.get(row).is_none_or(String::is_empty);
        let mut row = from;
        let mut passed = !empty(row);
        loop {
            match (forward, row) {
                (false, 0) => return (0, 0),
                (true, r) if r + 1 >= self.lines.len() => return (r, self.length_of(r)),
                (true, _) => row += 1,
                (false, _) => row -= 1,
            }
            if passed && empty(row) {
                return (row, 0);
            }
            passed |= !empty(row);
        }
    }

    /// `f`, `t`, `F`, `T`: to the n-th of a letter in the line. Repeated, `t` passes the one that it stands before.
    pub fn letter(&self, how: char, wanted: char, n: usize, repeated: bool) -> Option<usize> {
        let line: Vec<char> = self.lines.get(self.row)?.chars().collect();
        let past = usize::from(repeated && "tT".contains(how));
        let hit = |c: &usize| line.get(*c) == Some(&wanted);
        let n = n.saturating_sub(1);
        match how {
            'f' | 't' => {
                let at = (self.column + 1 + past..line.len()).filter(hit).nth(n)?;
                Some(at - usize::from(how == 't'))
            }
            _ => {
                let end = self.column.saturating_sub(past).min(line.len());
                let at = (0..end).rev().filter(hit).nth(n)?;
                Some(at + usize::from(how == 'T'))
            }
        }
    }

    /// The word at the place or behind it in the line, for `*`.
    pub fn word_here(&self) -> Option<String> {
        let line: Vec<char> = self.lines.get(self.row)?.chars().collect();
        let letter = |c: &char| kind(*c, false) == 1;
        let from = (self.column..line.len()).find(|n| line.get(*n).is_some_and(letter))?;
        let (first, last) = self.word_around((self.row, from), false)?;
        Some(line.get(first..=last)?.iter().collect())
    }
}

/// The column behind what is of one kind from a place on.
fn kind_run(text: &Text, (row, column): Place, big: bool) -> usize {
    let line = text.lines.get(row).map_or("", String::as_str);
    let mut rest = line.chars().skip(column).map(|c| kind(c, big)).peekable();
    let here = rest.peek().copied();
    column + rest.take_while(|k| Some(*k) == here).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_walked() {
        let t = Text::new("one two.three\n\n  four\n");
        let small = |f: fn(&Text, Place, bool) -> Place, at| f(&t, at, false);
        assert_eq!(small(Text::word_next, (0, 0)), (0, 4));
        assert_eq!(small(Text::word_next, (0, 4)), (0, 7));
        assert_eq!(small(Text::word_next, (0, 8)), (1, 0));
        assert_eq!(small(Text::word_next, (1, 0)), (2, 2));
        assert_eq!(small(Text::word_back, (2, 2)), (1, 0));
        assert_eq!(small(Text::word_back, (0, 8)), (0, 7));
        assert_eq!(small(Text::word_end, (0, 0)), (0, 2));
        assert_eq!(t.word_next((0, 4), true), (1, 0));
        assert_eq!(t.word_end((0, 4), true), (0, 12));
        assert_eq!(t.words_over((0, 4), 1, true), (0, 13));
        assert_eq!(t.words_over((2, 2), 1, false), (2, 6));
    }

    #[test]
    fn brackets_and_quotes_are_found() {
        let t = Text::new("f(a, (b)) \"x y\"\n{\n  [1]\n}\n");
        assert_eq!(t.bracket((0, 0)), Some((0, 8)));
        assert_eq!(t.bracket((0, 8)), Some((0, 1)));
        assert_eq!(t.bracket((1, 0)), Some((3, 0)));
        assert_eq!(t.bracketed((2, 3), '{'), Some(((1, 0), (3, 0))));
        assert_eq!(t.bracket((0, 10)), None);
        assert_eq!(t.quoted((0, 12), '"'), Some((10, 14)));
        assert_eq!(t.paragraph(0, true), (3, 1));
    }
}
