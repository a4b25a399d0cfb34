//! What a person sees on a terminal of kind xterm: the letters in their places, whatever moved them there. Colours are not kept.

/// A screen.
pub struct Grid {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    saved: (usize, usize),
    last: char,
    /// A sequence that has begun, without its ESC.
    begun: Option<String>,
}

impl Grid {
    pub fn new(columns: usize, rows: usize) -> Grid {
        Grid {
            rows: vec![vec![' '; columns]; rows],
            at: (0, 0),
            saved: (0, 0),
            last: ' ',
            begun: None,
        }
    }

    /// As a terminal does it: what has room stays.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        self.rows.resize(rows, vec![' '; columns]);
        for row in &mut self.rows {
            row.resize(columns, ' ');
        }
    }

    /// The rows, without blanks at their ends.
    pub fn shown(&self) -> Vec<String> {
        let text = |row: &Vec<char>| row.iter().collect::<String>().trim_end().to_string();
        self.rows.iter().map(text).collect()
    }

    pub fn feed(&mut self, text: &str) {
        for c in text.chars() {
            self.take(c);
        }
    }

    fn take(&mut self, c: char) {
        let Some(mut begun) = self.begun.take() else {
            return self.plain(c);
        };
        begun.push(c);
        let first = begun.chars().next().unwrap();
        let whole = match first {
            '[' => begun.len() > 1 && ('@'..='~').contains(&c),
            '(' | ')' | '#' => begun.len() == 2,
            _ => true,
        };
        match (whole, first) {
            (false, _) => self.begun = Some(begun),
            (true, '[') => self.control(&begun[1..begun.len() - 1], c),
            (true, 'M') if self.at.0 == 0 => self.insert(1),
            (true, 'M') => self.at.0 -= 1,
            (true, '7') => self.saved = self.at,
            (true, '8') => self.at = self.saved,
            (true, '(' | ')' | '=' | '>') => {}
            (true, _) => panic!("an escape that this screen does not know: {begun:?}"),
        }
    }

    fn plain(&mut self, c: char) {
        let (height, width) = (self.rows.len(), self.rows[0].len());
        match c {
            '\x1b' => self.begun = Some(String::new()),
            '\r' => self.at.1 = 0,
            '\n' if self.at.0 + 1 < height => self.at.0 += 1,
            '\n' => {
                self.rows.remove(0);
                self.rows.push(vec![' '; width]);
            }
            '\x08' => self.at.1 = self.at.1.saturating_sub(1),
            '\t' => self.at.1 = (self.at.1 / 8 * 8 + 8).min(width - 1),
            '\x07' | '\x0e' | '\x0f' => {}
            c => {
                if self.at.1 >= width {
                    self.plain('\r');
                    self.plain('\n');
                }
                self.rows[self.at.0][self.at.1] = c;
                self.at.1 += 1;
                self.last = c;
            }
        }
    }

    fn insert(&mut self, lines: usize) {
        let width = self.rows[0].len();
        for _ in 0..lines {
            self.rows.pop();
            self.rows.insert(self.at.0, vec![' '; width]);
        }
    }

    fn control(&mut self, words: &str, end: char) {
        if words.starts_with(['?', '>']) || "mhltrcn".contains(end) {
            return;
        }
        let numbers: Vec<usize> = words.split(';').map(|w| w.parse().unwrap_or(0)).collect();
        let (n, or_one) = (numbers[0], numbers[0].max(1));
        let (height, width) = (self.rows.len(), self.rows[0].len());
        let (row, column) = (self.at.0, self.at.1.min(width - 1));
        let blank = |row: &mut Vec<char>, from: usize, to: usize| row[from..to].fill(' ');
        match end {
            'A' => self.at.0 = row.saturating_sub(or_one),
            'B' => self.at.0 = (row + or_one).min(height - 1),
            'C' => self.at.1 = (column + or_one).min(width - 1),
            'D' => self.at.1 = column.saturating_sub(or_one),
            'G' => self.at.1 = or_one.min(width) - 1,
            'd' => self.at.0 = or_one.min(height) - 1,
            'H' | 'f' => {
                let column = numbers.get(1).copied().unwrap_or(1).clamp(1, width);
                self.at = (or_one.min(height) - 1, column - 1);
            }
            'J' | 'K' => {
                let (from, to) = match n {
                    0 => (column, width),
                    1 => (0, column + 1),
                    _ => (0, width),
                };
                blank(&mut self.rows[row], from, to);
                let others = match (end, n) {
                    ('K', _) => 0..0,
                    (_, 0) => row + 1..height,
                    (_, 1) => 0..row,
                    _ => 0..height,
                };
                self.rows[others].fill(vec![' '; width]);
            }
            'X' => blank(&mut self.rows[row], column, (column + or_one).min(width)),
            'P' => {
                let line = &mut self.rows[row];
                line.drain(column..(column + or_one).min(width));
                line.resize(width, ' ');
            }
            '@' => {
                let line = &mut self.rows[row];
                (0..or_one).for_each(|_| line.insert(column, ' '));
                line.truncate(width);
            }
            'L' => self.insert(or_one),
            'M' => {
                for _ in 0..or_one {
                    self.rows.remove(row);
                    self.rows.push(vec![' '; width]);
                }
            }
            'b' => (0..or_one).for_each(|_| self.plain(self.last)),
            _ => panic!("a sequence that this screen does not know: {words}{end}"),
        }
    }
}

#[test]
fn letters_stand_where_they_were_moved_to() {
    let mut grid = Grid::new(10, 3);
    for piece in [
        "one\r\ntwo",
        "\x1b[",
        "1;3Hx\x1b[3b",
        "\x1b[2;1H\x1b[K3",
        "\x1b[3dy\x1b[2P",
        "\x1b[31m!\x1b(B",
    ] {
        grid.feed(piece);
    }
    assert_eq!(grid.shown(), ["onxxxx", "3", " y!"]);
    grid.feed("\x1b[2J\x1b[1;9Habc");
    assert_eq!(grid.shown(), ["        ab", "c", ""]);
}
