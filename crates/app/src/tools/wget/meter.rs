//! Progress: lines of dots, or a bar.

use super::log::{Log, digits, human, rate};
use super::plan::{Meter, Plan};
use std::io;
use std::time::{Duration, Instant};

/// A transfer that took less, seconds, has no speed in its bar.
const SHORTEST: f64 = 0.15;
/// How often a bar is drawn.
const REDRAWN: Duration = Duration::from_millis(200);
/// Columns of a bar's terminal where nobody tells.
const WIDTH: usize = 80;

/// The progress of one transfer.
pub struct Progress {
    kind: Kind,
    /// Bytes that were there already.
    from: u64,
    got: u64,
    /// All of it.
    total: Option<u64>,
    began: Instant,
    name: String,
    /// How often a bar was drawn.
    drawn: usize,
}

enum Kind {
    Hidden,
    Bar(Option<Instant>),
    Dots(Dots),
}

struct Dots {
    /// Bytes of a dot.
    bytes: u64,
    /// Dots of a group.
    group: u64,
    /// Dots of a line.
    line: u64,
    /// Dots that were made.
    made: u64,
    /// When this line began.
    row: Instant,
}

impl Progress {
    /// Begins; a line is left free before it.
    pub fn begin(
        plan: &Plan,
        log: &mut Log<'_, '_>,
        name: &str,
        from: u64,
        total: Option<u64>,
    ) -> io::Result<Progress> {
        let shown = plan.show_progress.unwrap_or(log.verbose);
        let terminal = log.on_terminal();
        let meter = plan.meter.unwrap_or(Meter::BarOnTerminal);
        let now = Instant::now();
        let dots = |(bytes, group, line)| {
            Kind::Dots(Dots {
                bytes,
                group,
                line,
                made: 0,
                row: now,
            })
        };
        let kind = match meter {
            _ if !shown => Kind::Hidden,
            Meter::Dots(style) => dots(style),
            Meter::BarOnTerminal if !terminal => dots((1_024, 10, 50)),
            _ => Kind::Bar(None),
        };
        let mut progress = Progress {
            kind,
            from,
            got: 0,
            total,
            began: now,
            name: name.to_string(),
            drawn: 0,
        };
        match &progress.kind {
            Kind::Hidden => {}
            Kind::Bar(_) => {
                log.verbose("\n")?;
                progress.draw(log, false)?;
            }
            Kind::Dots(_) => progress.skip(log)?,
        }
        Ok(progress)
    }

    /// What was there already stands before the first dots.
    fn skip(&mut self, log: &mut Log<'_, '_>) -> io::Result<()> {
        let from = self.from;
        let Kind::Dots(dots) = &mut self.kind else {
            return Ok(());
        };
        let row = dots.bytes * dots.line;
        let rows = from / row;
        if from > 0 {
            let skipped = rows * row / 1024;
            match rows {
                0 => log.always(&format!("\n{:>6}K", 0))?,
                _ => {
                    let width = skipped.to_string().len().max(6) + "[ skipping K ]".len();
                    log.always(&format!("\n{:>width$}", format!("[ skipping {skipped}K ]")))?;
                }
            }
        }
        log.always(&format!("\n{:>6}K", rows * row / 1024))?;
        dots.made = rows * dots.line;
        let commas = (from - rows * row) / dots.bytes;
        for _ in 0..commas {
            dots.one(log, ',')?;
        }
        Ok(())
    }

    /// Bytes came.
    pub fn more(&mut self, log: &mut Log<'_, '_>, bytes: u64) -> io::Result<()> {
        self.got += bytes;
        let all = self.from + self.got;
        match &mut self.kind {
            Kind::Hidden => Ok(()),
            Kind::Bar(drawn) => {
                if drawn.is_some_and(|d| d.elapsed() < REDRAWN) {
                    return Ok(());
                }
                self.draw(log, false)
            }
            Kind::Dots(dots) => {
                while (dots.made + 1) * dots.bytes <= all {
                    dots.one(log, '.')?;
                    if dots.made.is_multiple_of(dots.line) {
                        let row = dots.row.elapsed().as_secs_f64();
                        let full = dots.bytes * dots.line;
                        let stats = stats(self.total, dots.made * dots.bytes, full, row);
                        let left = self.total.map_or(String::new(), |t| {
                            let spent = self.began.elapsed().as_secs_f64();
                            let left =
                                spent / self.got.max(1) as f64 * t.saturating_sub(all) as f64;
                            format!(" {}", brief(left))
                        });
                        dots.row = Instant::now();
                        let next = dots.made * dots.bytes / 1024;
                        log.always(&format!("{stats}{left}\n{next:>6}K"))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// It is through.
    pub fn end(&mut self, log: &mut Log<'_, '_>) -> io::Result<()> {
        let spent = self.began.elapsed().as_secs_f64();
        match &mut self.kind {
            Kind::Hidden => Ok(()),
            Kind::Bar(_) => {
                self.draw(log, true)?;
                log.always("\n")?;
                log.verbose("\n")
            }
            Kind::Dots(dots) => {
                let all = self.from + self.got;
                let in_row = dots.made % dots.line;
                let mut rest = String::new();
                for at in in_row..dots.line {
                    if at.is_multiple_of(dots.group) {
                        rest.push(' ');
                    }
                    rest.push(' ');
                }
                let row = all.saturating_sub((dots.made - in_row) * dots.bytes);
                let fresh = row.min(self.got);
                let stats = stats(self.total, all, fresh, dots.row.elapsed().as_secs_f64());
                log.always(&format!("{rest}{stats}={}\n\n", super::log::time(spent)))
            }
        }
    }

    /// Seconds since it began.
    pub fn spent(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn draw(&mut self, log: &mut Log<'_, '_>, last: bool) -> io::Result<()> {
        let all = self.from + self.got;
        let spent = self.spent();
        let name: String = self.name.chars().take(19).collect();
        let bar = WIDTH - 60;
        let (percent, bar) = match self.total.filter(|t| *t > 0) {
            Some(total) => {
                let share = all.min(total) as f64 / total as f64;
                let filled = (share * bar as f64) as usize;
                let drawn = match filled {
                    0 => String::new(),
                    n => format!("{}>", "=".repeat(n - 1)),
                };
                (
                    format!("{:>3}%", (share * 100.0) as u64),
                    format!("{drawn:<bar$}"),
                )
            }
            None => {
                let at = self.drawn % (bar - 2);
                (
                    "    ".into(),
                    format!("{:<bar$}", format!("{}<=>", " ".repeat(at.min(bar - 3)))),
                )
            }
        };
        let fast = fast(self.got, spent);
        let end = match (last, self.total) {
            (true, _) => format!("    in {:<8}", super::log::time(spent)),
            (false, Some(total)) if self.got > 0 && spent > 3.0 => {
                let left = spent / self.got as f64 * total.saturating_sub(all) as f64;
                format!("    eta {:<7}", brief(left))
            }
            _ => " ".repeat(15),
        };
        self.drawn += 1;
        if let Kind::Bar(drawn) = &mut self.kind {
            *drawn = Some(Instant::now());
        }
        log.always(&format!(
            "\r{name:<20}{percent}[{bar}]{:>8}  {fast}{end}",
            sized(all)
        ))
    }
}

/// A speed in a bar.
fn fast(got: u64, seconds: f64) -> String {
    if got == 0 || seconds < SHORTEST {
        return "--.-KB/s".into();
    }
    let (value, unit) = rate(got, seconds);
    let unit = [" B/s", "KB/s", "MB/s", "GB/s"].get(unit).unwrap_or(&"");
    format!("{}{unit}", digits(value))
}

/// A size in a bar.
fn sized(n: u64) -> String {
    match n {
        n if n < 1024 => n.to_string(),
        n => {
            let (mut value, mut unit) = (n as f64 / 1024.0, 'K');
            for next in ['M', 'G', 'T'] {
                if value >= 1024.0 {
                    (value, unit) = (value / 1024.0, next);
                }
            }
            format!("{}{unit}", digits(value).trim_start())
        }
    }
}

impl Dots {
    fn one(&mut self, log: &mut Log<'_, '_>, mark: char) -> io::Result<()> {
        let gap = if (self.made % self.line).is_multiple_of(self.group) {
            " "
        } else {
            ""
        };
        self.made += 1;
        log.always(&format!("{gap}{mark}"))
    }
}

fn stats(total: Option<u64>, all: u64, row: u64, seconds: f64) -> String {
    let percent = match total {
        Some(0) | None => String::new(),
        Some(total) => format!("{:>3}%", all.min(total) * 100 / total),
    };
    let (value, unit) = rate(row, seconds);
    let unit = [" ", "K", "M", "G"].get(unit).unwrap_or(&"");
    format!("{percent} {}{unit}", digits(value))
}

/// Seconds that are left, in a word.
fn brief(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        s if s < 60 => format!("{s}s"),
        s if s < 3_600 => format!("{}m{}s", s / 60, s % 60),
        s => format!("{}h{}m", s / 3_600, s % 3_600 / 60),
    }
}

/// `Length:` as the log tells it.
pub fn length(total: Option<u64>, from: u64, kind: Option<&str>) -> String {
    let with = |n: u64| match n {
        n if n >= 1024 => format!("{n} ({})", human(n)),
        n => n.to_string(),
    };
    let mut text = match total {
        Some(total) => format!("Length: {}", with(total)),
        None => "Length: unspecified".into(),
    };
    if let Some(total) = total.filter(|_| from > 0) {
        text += &format!(", {} remaining", with(total.saturating_sub(from)));
    }
    if let Some(kind) = kind {
        text += &format!(" [{kind}]");
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Debian's wget showed bodies that a server held back for so long.
    #[test]
    fn what_is_over_in_a_moment_has_no_speed() {
        for (got, seconds, shown) in [
            (6, 0.12, "--.-KB/s"),
            (6, 0.188, "31.9 B/s"),
            (6, 0.5, "12.0 B/s"),
            (24, 0.2, " 120 B/s"),
            (0, 3.0, "--.-KB/s"),
        ] {
            assert_eq!(fast(got, seconds), shown, "{got} in {seconds} s");
        }
    }
}
