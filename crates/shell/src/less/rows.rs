//! A line as the rows of a terminal that it takes.

use crate::posix::Posix;
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
struct Cell {
    text: String,
    wide: usize,
    /// Where in the line it comes from.
    byte: usize,
    /// It is no character, and is written in another one's letters.
    strange: bool,
}

fn cells(line: &str, layout: Layout) -> Vec<Cell> {
    let mut out = Vec::new();
    let mut column = 0;
    let mut at = 0;
    while let Some(c) = line.get(at..).and_then(|rest| rest.chars().next()) {
        let byte = at;
        let rest = line.get(at..).unwrap_or_default();
        if layout.colors
            && let Some(length) = color(rest)
        {
            let text = rest.get(..length).unwrap_or_default().to_string();
            out.push(Cell {
                text,
                wide: 0,
                byte,
                strange: false,
            });
            at += length;
            continue;
        }
        at += c.len_utf8();
        let (text, strange) = match c {
            '\t' => (" ".repeat(layout.tab - column % layout.tab), false),
            '\x1b' => ("ESC".to_string(), true),
            '\x7f' => ("^?".to_string(), true),
            c if (c as u32) < 0x20 => (format!("^{}", char::from(c as u8 + 0x40)), true),
            c if ('\u{80}'..'\u{a0}').contains(&c) => (format!("<U+{:04X}>", c as u32), true),
            c => (c.to_string(), false),
        };
        for shown in text.chars() {
            let wide = shown.width().unwrap_or(0);
            column += wide;
            out.push(Cell {
                text: shown.to_string(),
                wide,
                byte,
                strange,
            });
        }
    }
    out
}

/// The length of a colour's sequence at the beginning. ECMA-48, SGR: `ESC [ numbers m`.
fn color(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\x1b[")?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, ';' | ':')))?;
    rest.get(end..)?.starts_with('m').then_some(end + 3)
}

/// The rows of a line, with what was searched for in reverse.
pub fn rows(line: &str, layout: Layout, search: Option<&Posix>) -> Vec<String> {
    let mut marks = Vec::new();
    let mut from = 0;
    if let Some(re) = search {
        while let Some((start, end)) = re.find_at(line.as_bytes(), from) {
            marks.push(start..end);
            from = if end > start { end } else { end + 1 };
            if from > line.len() {
                break;
            }
        }
    }
    let mut cells = cells(line, layout);
    let mut cut = false;
    if let Some(first) = layout.chopped {
        cut = chop(&mut cells, first, layout.columns);
    }
    let mut out = vec![String::new()];
    let (mut column, mut reverse) = (0, false);
    for cell in cells {
        if layout.chopped.is_none() && column + cell.wide > layout.columns {
            if std::mem::take(&mut reverse) {
                push(&mut out, "\x1b[27m");
            }
            out.push(String::new());
            column = 0;
        }
        let marked =
            cell.wide > 0 && (cell.strange || marks.iter().any(|m| m.contains(&cell.byte)));
        if marked != reverse && cell.wide > 0 {
            push(&mut out, if marked { "\x1b[7m" } else { "\x1b[27m" });
            reverse = marked;
        }
        push(&mut out, &cell.text);
        column += cell.wide;
    }
    if cut {
        push(&mut out, if reverse { ">" } else { "\x1b[7m>" });
        reverse = true;
    }
    if reverse {
        push(&mut out, "\x1b[27m");
    }
    out
}

/// Leaves what has room from a column on; whether more follows, which takes the last column for its sign.
fn chop(cells: &mut Vec<Cell>, first: usize, columns: usize) -> bool {
    let mut passed = 0;
    cells.retain(|c| {
        passed += c.wide;
        passed > first || c.wide == 0
    });
    let whole: usize = cells.iter().map(|c| c.wide).sum();
    let more = whole > columns;
    let room = columns - usize::from(more);
    let mut used = 0;
    cells.retain(|c| {
        used += c.wide;
        used <= room || c.wide == 0
    });
    more
}

fn push(rows: &mut [String], text: &str) {
    if let Some(row) = rows.last_mut() {
        row.push_str(text);
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
