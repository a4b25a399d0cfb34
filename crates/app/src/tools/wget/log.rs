//! What is said, to whom, and when: standard error or a file, in three degrees of talk; numbers as people read them.

use super::plan::Plan;
use crate::io::Io;
use std::fs::File;
use std::io::{self, Write};

/// The log of a run.
pub struct Log<'i, 'b> {
    pub io: &'i mut Io<'b>,
    file: Option<File>,
    /// Everything.
    pub verbose: bool,
    /// Nothing.
    pub quiet: bool,
    utf8: bool,
    /// `-o -`.
    on_output: bool,
}

impl<'i, 'b> Log<'i, 'b> {
    /// The file it goes to, if one.
    pub fn file(plan: &Plan) -> io::Result<Option<File>> {
        let Some(name) = plan.log.as_deref().filter(|n| *n != "-") else {
            return Ok(None);
        };
        let mut options = File::options();
        options.create(true).write(true);
        match plan.log_append {
            true => options.append(true),
            false => options.truncate(true),
        };
        options.open(name).map(Some)
    }

    /// Opens it.
    pub fn new(plan: &Plan, io: &'i mut Io<'b>) -> io::Result<Log<'i, 'b>> {
        let file = Log::file(plan)?;
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let locale = var("LC_ALL")
            .or_else(|| var("LC_CTYPE"))
            .or_else(|| var("LANG"));
        let utf8 = locale.is_some_and(|l| {
            let l = l.to_ascii_lowercase();
            l.contains("utf-8") || l.contains("utf8")
        });
        Ok(Log {
            io,
            file,
            verbose: plan.verbose.unwrap_or(true) && !plan.quiet,
            quiet: plan.quiet,
            utf8,
            on_output: plan.log.as_deref() == Some("-"),
        })
    }

    /// A terminal reads it.
    pub fn on_terminal(&self) -> bool {
        self.file.is_none() && self.io.progress
    }

    /// Whatever was asked for.
    pub fn always(&mut self, text: &str) -> io::Result<()> {
        let plain;
        let text = match self.utf8 {
            true => text,
            false => {
                plain = text.replace(['‘', '’'], "'");
                &plain
            }
        };
        match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()),
            None if self.on_output => self.io.out.write_all(text.as_bytes()),
            None => self.io.err.write_all(text.as_bytes()),
        }
    }

    /// Where everything is said.
    pub fn verbose(&mut self, text: &str) -> io::Result<()> {
        if self.verbose {
            self.always(text)
        } else {
            Ok(())
        }
    }

    /// Unless it is to be quiet.
    pub fn plain(&mut self, text: &str) -> io::Result<()> {
        if self.quiet {
            Ok(())
        } else {
            self.always(text)
        }
    }

    /// Only where little is said.
    pub fn brief(&mut self, text: &str) -> io::Result<()> {
        match self.verbose || self.quiet {
            true => Ok(()),
            false => self.always(text),
        }
    }
}

/// `2026-11-27 05:02:21`.
pub fn stamp() -> String {
    let stamp = netshoot_host::clock::stamp();
    stamp.get(..19).unwrap_or_default().replace('T', " ")
}

/// `1.2K`; digits alone below 1,024.
pub fn human(n: u64) -> String {
    let mut value = n as f64 / 1024.0;
    if n < 1024 {
        return n.to_string();
    }
    for unit in ['K', 'M', 'G', 'T'] {
        if value < 1024.0 {
            return match value < 9.95 {
                true => format!("{value:.1}{unit}"),
                false => format!("{value:.0}{unit}"),
            };
        }
        value /= 1024.0;
    }
    format!("{value:.0}P")
}

/// Bytes a second in a unit that fits, and which.
pub fn rate(bytes: u64, seconds: f64) -> (f64, usize) {
    let mut value = match bytes {
        0 => 0.0,
        n => n as f64 / seconds.max(1e-6),
    };
    let mut unit = 0;
    while value >= 1024.0 && unit < 3 {
        value /= 1024.0;
        unit += 1;
    }
    (value, unit)
}

/// Three digits of it.
pub fn digits(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:4.0}"),
        v if v >= 9.995 => format!("{v:4.1}"),
        v => format!("{v:4.2}"),
    }
}

/// `1.59 MB/s`.
pub fn speed(bytes: u64, seconds: f64) -> String {
    let (value, unit) = rate(bytes, seconds);
    let unit = ["B/s", "KB/s", "MB/s", "GB/s"].get(unit).unwrap_or(&"");
    format!("{} {unit}", digits(value).trim_start())
}

/// Seconds with as many digits as matter.
pub fn decimal(seconds: f64) -> String {
    match seconds {
        s if s >= 10.0 => format!("{s:.0}"),
        s if s >= 1.0 => format!("{s:.1}"),
        s if s >= 0.1 => format!("{s:.1}"),
        s if s >= 0.01 => format!("{s:.2}"),
        s if s >= 0.0005 => format!("{s:.3}"),
        _ => "0".into(),
    }
}

/// `1m 2s`, or what [`decimal`] says.
pub fn time(seconds: f64) -> String {
    if seconds < 100.0 {
        return format!("{}s", decimal(seconds));
    }
    let whole = seconds.round() as u64;
    match whole {
        s if s < 6_000 => format!("{}m {}s", s / 60, s % 60),
        s if s < 48 * 3_600 => format!("{}h {}m", s / 3_600, s % 3_600 / 60),
        s => format!("{}d {}h", s / 86_400, s % 86_400 / 3_600),
    }
}
