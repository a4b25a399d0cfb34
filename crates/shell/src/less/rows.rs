//! A line as the rows of a terminal that it takes.

use crate::posix::{Posix, behind};
use unicode_width::UnicodeWidthChar;

/// How lines are laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Columns of the text.
    pub columns: usize,
    /// Columns from one tab to the next.
    pub tab: usize,
    /// Colours of the text are the terminal's.
    pub colors: bool,
    /// One row a line, from this column on; else a long line goes on below.
    pub chopped: Option<usize>,
}

/// What stands in one or two columns, or is a colour and takes none.
struct Cell<'a> {
    shown: Shown<'a>,
    wide: usize,
    /// Where in the line it comes from.
    byte: usize,
    /// It is no character, and is written in another one's letters.
    strange: bool,
}

enum Shown<'a> {
    Letter(char),
    Color(&'a str),
}

/// The cells of a line, one after the other: of a line of megabytes, only what is on the screen is held.
struct Cells<'a> {
    line: &'a str,
    layout: Layout,
    at: usize,
    column: usize,
    /// What is left of letters that stand for something else, and where that is.
    pending: std::vec::IntoIter<char>,
    byte: usize,
    strange: bool,
}

impl<'a> Cells<'a> {
    fn of(line: &'a str, layout: Layout) -> Cells<'a> {
        Cells {
            line,
            layout,
            at: 0,
            column: 0,
            pending: Vec::new().into_iter(),
            byte: 0,
            strange: false,
        }
    }

    fn letter(&mut self, letter: char) -> Cell<'a> {
        let wide = letter.width().unwrap_or(0);
        self.column += wide;
        Cell {
            shown: Shown::Letter(letter),
            wide,
            byte: self.byte,
            strange: self.strange,
        }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        if let Some(letter) = self.pending.next() {
            return Some(self.letter(letter));
        }
        let rest = self.line.get(self.at..)?;
        let c = rest.chars().next()?;
        self.byte = self.at;
        if self.layout.colors
            && let Some(length) = color(rest)
        {
            self.at += length;
            return Some(Cell {
                shown: Shown::Color(rest.get(..length).unwrap_or_default()),
                wide: 0,
                byte: self.byte,
                strange: false,
            });
        }
        self.at += c.len_utf8();
        let instead = match c {
            '\t' => " ".repeat(self.layout.tab - self.column % self.layout.tab),
            '\x1b' => "ESC".to_string(),
            '\x7f' => "^?".to_string(),
            c if (c as u32) < 0x20 => format!("^{}", char::from(c as u8 + 0x40)),
            c if ('\u{80}'..'\u{a0}').contains(&c) => format!("<U+{:04X}>", c as u32),
            c => {
                self.strange = false;
                return Some(self.letter(c));
            }
        };
        self.strange = c != '\t';
        self.pending = instead.chars().collect::<Vec<_>>().into_iter();
        let first = self.pending.next()?;
        Some(self.letter(first))
    }
}

/// The length of a colour's sequence at the beginning. ECMA-48, SGR: `ESC [ numbers m`.
fn color(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\x1b[")?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, ';' | ':')))?;
    rest.get(end..)?.starts_with('m').then_some(end + 3)
}

/// How many rows a line takes.
pub fn count(line: &str, layout: Layout) -> usize {
    if layout.chopped.is_some() {
        return 1;
    }
    if line.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return line.len().div_ceil(layout.columns).max(1);
    }
    let (mut rows, mut column) = (1, 0);
    for cell in Cells::of(line, layout) {
        if column + cell.wide > layout.columns {
            (rows, column) = (rows + 1, 0);
        }
        column += cell.wide;
    }
    rows
}

/// Some rows of a line from one on, with what was searched for in reverse.
pub fn rows(
    line: &str,
    layout: Layout,
    search: Option<&Posix>,
    from: usize,
    most: usize,
) -> Vec<String> {
    let mut row = Row::default();
    let mut marks = Marks::of(line, search);
    let mut out = Vec::new();
    let (mut at, mut passed) = (0, 0);
    let room = layout.columns - usize::from(layout.chopped.is_some());
    let mut held: Option<Cell<'_>> = None;
    for cell in Cells::of(line, layout) {
        let marked = cell.wide > 0 && (cell.strange || marks.have(cell.byte));
        if let Some(first) = layout.chopped {
            passed += cell.wide;
            if passed <= first && cell.wide > 0 {
                continue;
            }
            // The last column is the sign's, where more follows than has room.
            if row.wide + held.as_ref().map_or(0, |h| h.wide) + cell.wide > layout.columns {
                row.sign();
                return vec![row.text];
            }
            if row.wide + cell.wide > room {
                held = Some(cell);
                continue;
            }
        } else if row.wide + cell.wide > layout.columns {
            if at >= from {
                out.push(std::mem::take(&mut row).ended());
                if out.len() >= most {
                    return out;
                }
            }
            row = Row::default();
            at += 1;
        }
        row.push(&cell, marked);
    }
    if let Some(cell) = held {
        row.push(&cell, marks.have(cell.byte) || cell.strange);
    }
    if at >= from {
        out.push(row.ended());
    }
    out
}

/// A row that is being made.
#[derive(Default)]
struct Row {
    text: String,
    wide: usize,
    reverse: bool,
}

impl Row {
    fn push(&mut self, cell: &Cell<'_>, marked: bool) {
        if marked != self.reverse && cell.wide > 0 {
            self.text
                .push_str(if marked { "\x1b[7m" } else { "\x1b[27m" });
            self.reverse = marked;
        }
        match cell.shown {
            Shown::Letter(c) => self.text.push(c),
            Shown::Color(text) => self.text.push_str(text),
        }
        self.wide += cell.wide;
    }

    /// More follows.
    fn sign(&mut self) {
        self.text.push_str(if self.reverse {
            ">\x1b[27m"
        } else {
            "\x1b[7m>\x1b[27m"
        });
    }

    fn ended(mut self) -> String {
        if self.reverse {
            self.text.push_str("\x1b[27m");
        }
        self.text
    }
}

/// The matches of a line, asked about from its beginning on.
struct Marks<'a> {
    line: &'a str,
    search: Option<&'a Posix>,
    next: Option<(usize, usize)>,
}

impl<'a> Marks<'a> {
    fn of(line: &'a str, search: Option<&'a Posix>) -> Marks<'a> {
        let next = search.and_then(|re| re.find_at(line.as_bytes(), 0));
        Marks { line, search, next }
    }

    fn have(&mut self, byte: usize) -> bool {
        while let Some((start, end)) = self.next {
            if byte < end {
                return byte >= start;
            }
            let from = behind(self.line, (start, end));
            self.next = match self.search {
                Some(re) if from <= self.line.len() => re.find_at(self.line.as_bytes(), from),
                _ => None,
            };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout = Layout {
        columns: 10,
        tab: 8,
        colors: false,
        chopped: None,
    };

    /// All rows, and as many as are counted.
    fn rows(line: &str, layout: Layout, search: Option<&Posix>) -> Vec<String> {
        let all = super::rows(line, layout, search, 0, usize::MAX);
        assert_eq!(count(line, layout), all.len(), "{line:?}");
        for from in 0..all.len() {
            assert_eq!(super::rows(line, layout, search, from, 1), all[from..=from]);
        }
        all
    }

    #[test]
    fn a_line_takes_as_many_rows_as_it_needs() {
        assert_eq!(rows("", PLAIN, None), [""]);
        assert_eq!(rows("0123456789", PLAIN, None), ["0123456789"]);
        assert_eq!(
            rows("0123456789a\tb", PLAIN, None),
            ["0123456789", "a     b"]
        );
        // A letter of two columns is not cut in two.
        assert_eq!(rows("012345678中文", PLAIN, None), ["012345678", "中文"]);
        let chopped = Layout {
            chopped: Some(5),
            ..PLAIN
        };
        assert_eq!(
            rows("0123456789abcdefgh", chopped, None),
            ["56789abcd\x1b[7m>\x1b[27m"]
        );
    }

    #[test]
    fn nothing_hostile_reaches_the_terminal_and_colours_do_where_asked() {
        let hostile = rows(
            "\x1b[2J\x07\u{9b}",
            Layout {
                columns: 80,
                ..PLAIN
            },
            None,
        );
        assert_eq!(hostile, ["\x1b[7mESC\x1b[27m[2J\x1b[7m^G<U+009B>\x1b[27m"]);
        let colors = Layout {
            colors: true,
            columns: 3,
            ..PLAIN
        };
        assert_eq!(
            rows("\x1b[31mabcd\x1b[m", colors, None),
            ["\x1b[31mabc", "d\x1b[m"]
        );
        assert_eq!(
            rows(
                "\x1b[2Ja",
                Layout {
                    columns: 9,
                    ..colors
                },
                None
            ),
            ["\x1b[7mESC\x1b[27m[2Ja"]
        );
    }

    #[test]
    fn what_was_searched_for_is_marked_over_the_end_of_a_row() {
        let re = Posix::new("b+", false).ok();
        let narrow = Layout {
            columns: 4,
            ..PLAIN
        };
        let shown = rows("aabbbba", narrow, re.as_ref());
        assert_eq!(shown, ["aa\x1b[7mbb\x1b[27m", "\x1b[7mbb\x1b[27ma"]);
    }
}
