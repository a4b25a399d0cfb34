//! The columns: as wide as what stands in them; on a terminal the room that is left is shared out.

use super::plan::Plan;

/// Heading, what parts the column from the one before, whether it ends at its right edge.
const COLUMNS: [(&str, &str, bool); 9] = [
    ("Netid", "", false),
    ("State", " ", false),
    ("Recv-Q", " ", false),
    ("Send-Q", " ", false),
    ("Local Address:", " ", true),
    ("Port", "", false),
    ("Peer Address:", " ", true),
    ("Port", "", false),
    ("Process", "", false),
];

/// One line: its cells, column by column.
pub type Row = [String; 9];

/// The lines.
pub struct Table {
    rows: Vec<Row>,
    shown: Vec<usize>,
}

impl Table {
    /// An empty one, with a heading unless none is wanted.
    pub fn new(plan: &Plan) -> Table {
        let shown = (0..COLUMNS.len()).filter(|c| match c {
            0 => plan.mixed(),
            1 => plan.states.count_ones() > 1,
            _ => true,
        });
        let heading = COLUMNS.map(|c| c.0.to_string());
        Table {
            rows: if plan.no_header {
                Vec::new()
            } else {
                vec![heading]
            },
            shown: shown.collect(),
        }
    }

    /// Adds a line.
    pub fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// What is printed; `screen` is the width of a terminal.
    pub fn text(&self, screen: Option<usize>) -> String {
        let mut widths = [0; 9];
        for (at, row) in self.rows.iter().enumerate() {
            for (column, (width, cell)) in widths.iter_mut().zip(row).enumerate() {
                // The original does not look how long the very last cell is: nothing stands behind or below it.
                if (at + 1, column + 1) != (self.rows.len(), COLUMNS.len()) {
                    *width = cell.chars().count().max(*width);
                }
            }
        }
        let first = self.shown.first().copied().unwrap_or_default();
        let gap = |column: usize| match column == first {
            true => "",
            false => COLUMNS.get(column).map_or("", |c| c.1),
        };
        if let Some(screen) = screen {
            self.spread(&mut widths, screen, gap);
        }
        let mut text = String::new();
        for row in &self.rows {
            for column in &self.shown {
                let (Some(cell), Some(width)) = (row.get(*column), widths.get(*column)) else {
                    continue;
                };
                let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
                text += gap(*column);
                match COLUMNS.get(*column).is_some_and(|c| c.2) {
                    true => text.extend([pad.as_str(), cell]),
                    false => text.extend([cell, pad.as_str()]),
                }
            }
            text.push('\n');
        }
        text
    }

    /// Columns fill lines of the screen's width, as many in each as fit; what is left of a line is shared by its
    /// columns, the last ones taking one more.
    fn spread(&self, widths: &mut [usize; 9], screen: usize, gap: impl Fn(usize) -> &'static str) {
        let mut line: Vec<usize> = Vec::new();
        let mut taken = 0;
        let fill = |line: &mut Vec<usize>, taken: usize, widths: &mut [usize; 9]| {
            let count = line.len();
            let left = screen.saturating_sub(taken);
            let (each, rest) = (left / count.max(1), left % count.max(1));
            for (i, column) in line.drain(..).enumerate() {
                if let Some(width) = widths.get_mut(column) {
                    *width += each + usize::from(i + rest >= count);
                }
            }
        };
        for column in self.shown.iter().copied() {
            let room = gap(column).len();
            let width = widths.get_mut(column).map_or(0, |w| {
                *w = (*w).min(screen.saturating_sub(room));
                *w + room
            });
            if taken + width > screen && !line.is_empty() {
                fill(&mut line, taken, widths);
                taken = 0;
            }
            line.push(column);
            taken += width;
        }
        fill(&mut line, taken, widths);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn table(rows: &[[&str; 9]]) -> Table {
        let args = ["-tln"].map(OsString::from);
        let Ok(super::super::plan::Read::Plan(plan)) = super::super::plan::read(&args) else {
            panic!("-tln is a list");
        };
        let mut table = Table::new(&plan);
        for row in rows {
            table.row(row.map(str::to_string));
        }
        table
    }

    const ROWS: &[[&str; 9]] = &[
        [
            "tcp", "LISTEN", "0     ", "128   ", "0.0.0.0:", "22", "0.0.0.0:", "*", "",
        ],
        [
            "tcp",
            "LISTEN",
            "0     ",
            "128   ",
            "127.0.0.1:",
            "8080",
            "0.0.0.0:",
            "*",
            "",
        ],
    ];

    /// The expected lines are the original's on terminals of those widths.
    #[test]
    fn room_is_shared_out_as_the_original_does() {
        let lines = |screen| {
            table(ROWS)
                .text(screen)
                .lines()
                .map(str::to_string)
                .collect::<Vec<_>>()
        };
        let plain = "State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess";
        assert_eq!(lines(None).first().unwrap(), plain);
        let wide = lines(Some(80));
        let at_80 =
            "State    Recv-Q   Send-Q     Local Address:Port     Peer Address:Port  Process  ";
        assert_eq!(wide.first().unwrap(), at_80);
        let at_83 =
            "State    Recv-Q   Send-Q     Local Address:Port      Peer Address:Port   Process   ";
        assert_eq!(lines(Some(83)).first().unwrap(), at_83);
        let narrow = lines(Some(60));
        let at_60 = format!(
            "State  Recv-Q Send-Q Local Address:Port   Peer Address:Port Process{}",
            " ".repeat(53)
        );
        assert_eq!(narrow.first(), Some(&at_60));
    }
}
