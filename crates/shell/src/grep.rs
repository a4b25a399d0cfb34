//! `grep`, `egrep`, `fgrep`: GNU's flags over the regex library.

mod options;

use crate::posix::{Posix, Syntax, translate};
use crate::word::flushed;
use options::Options;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::Path;

const USAGE: &str = "Usage: grep [OPTION]... PATTERNS [FILE]...\n";

/// `grep`.
pub fn grep(args: Vec<OsString>) -> i32 {
    run(args, Syntax::Basic)
}

/// `egrep`.
pub fn egrep(args: Vec<OsString>) -> i32 {
    run(args, Syntax::Extended)
}

/// `fgrep`.
pub fn fgrep(args: Vec<OsString>) -> i32 {
    run(args, Syntax::Fixed)
}

/// The system's words without Rust's number.
pub(crate) fn system(e: &io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

fn run(args: Vec<OsString>, syntax: Syntax) -> i32 {
    let args: Vec<String> = args
        .into_iter()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let o = match options::parse(&args, syntax, io::stdout().is_terminal()) {
        Ok(o) => o,
        Err(said) => {
            let said = if said.is_empty() {
                said
            } else {
                format!("grep: {said}\n")
            };
            let more = "Try 'grep --help' for more information.\n";
            let _ = write!(io::stderr(), "{said}{USAGE}{more}");
            return 2;
        }
    };
    if o.help || o.version {
        let text = if o.help {
            USAGE
        } else {
            "grep (netshoot) 3.8\n"
        };
        let _ = io::stdout().write_all(text.as_bytes());
        return 0;
    }
    match matcher(&o) {
        Ok(re) => flushed(search(&o, &re)),
        Err(said) => {
            let _ = writeln!(io::stderr(), "grep: {said}");
            2
        }
    }
}

fn matcher(o: &Options) -> Result<Posix, String> {
    let all: Result<Vec<String>, String> =
        o.patterns.iter().map(|p| translate(p, o.syntax)).collect();
    let all = all?;
    let joined = match all.as_slice() {
        // No pattern matches nothing.
        [] => "[^\\s\\S]".to_string(),
        [one] => one.clone(),
        many => many
            .iter()
            .map(|p| format!("(?:{p})"))
            .collect::<Vec<_>>()
            .join("|"),
    };
    let whole = if o.line {
        format!("^(?:{joined})$")
    } else {
        joined
    };
    Posix::new(&whole, o.ignore_case)
}

struct Run<'a> {
    o: &'a Options,
    re: &'a Posix,
    out: BufWriter<io::Stdout>,
    named: bool,
    found: bool,
    trouble: bool,
    /// Something was printed: the next group of context begins with a line of dashes.
    printed: bool,
}

fn search(o: &Options, re: &Posix) -> i32 {
    let mut files = o.files.clone();
    if files.is_empty() {
        files.push(if o.recursive { ".".into() } else { "-".into() });
    }
    let mut r = Run {
        o,
        re,
        out: BufWriter::new(io::stdout()),
        named: o.name.unwrap_or_else(|| {
            let folder = |f: &String| Path::new(f).is_dir();
            files.len() > 1 || (o.recursive && files.iter().any(folder))
        }),
        found: false,
        trouble: false,
        printed: false,
    };
    for file in &files {
        let shown = if o.files.is_empty() && o.recursive {
            ""
        } else {
            file
        };
        r.path(Path::new(file), shown, true);
        if o.quiet && r.found {
            return 0;
        }
    }
    let written = r.out.flush().is_ok();
    match (r.trouble || !written, r.found) {
        (true, _) => 2,
        (false, found) => i32::from(!found),
    }
}

/// Whether a name matches one of the shell patterns.
fn globbed(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|p| crate::glob::matches(p, name))
}

impl Run<'_> {
    fn complain(&mut self, shown: &str, e: &io::Error) {
        self.trouble = true;
        if !self.o.silent {
            let _ = self.out.flush();
            let _ = writeln!(io::stderr(), "grep: {shown}: {}", system(e));
        }
    }

    fn path(&mut self, path: &Path, shown: &str, given: bool) {
        if path == Path::new("-") {
            let label = self.o.label.clone();
            let mut input = BufReader::new(io::stdin());
            return self.stream(&mut input, &label);
        }
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let is_dir = if given || self.o.follow {
            path.is_dir()
        } else {
            path.symlink_metadata().is_ok_and(|m| m.is_dir())
        };
        if is_dir && self.o.recursive {
            if !given && globbed(&self.o.exclude_dir, &name) {
                return;
            }
            return self.folder(path, shown);
        }
        if is_dir {
            if !self.o.silent {
                let _ = self.out.flush();
                let _ = writeln!(io::stderr(), "grep: {shown}: Is a directory");
            }
            return;
        }
        let wanted = self.o.include.is_empty() || globbed(&self.o.include, &name);
        if (!wanted && (!given || self.o.recursive)) || globbed(&self.o.exclude, &name) {
            return;
        }
        if !given && !path.is_file() {
            return;
        }
        match std::fs::File::open(path) {
            Ok(file) => self.stream(&mut BufReader::with_capacity(64 << 10, file), shown),
            Err(e) => self.complain(shown, &e),
        }
    }

    fn folder(&mut self, path: &Path, shown: &str) {
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(e) => return self.complain(shown, &e),
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let below = match shown {
                "" => name.into_owned(),
                s if s.ends_with('/') => format!("{s}{name}"),
                s => format!("{s}/{name}"),
            };
            let path = entry.path();
            if path.is_symlink() && !self.o.follow {
                continue;
            }
            self.path(&path, &below, false);
            if self.o.quiet && self.found {
                return;
            }
        }
    }

    fn stream(&mut self, input: &mut dyn BufRead, shown: &str) {
        if let Err(e) = self.lines(input, shown) {
            // Nobody reads any more: the signal has said so, or will.
            if e.kind() != io::ErrorKind::BrokenPipe {
                self.complain(shown, &e);
            }
        }
    }

    fn lines(&mut self, input: &mut dyn BufRead, shown: &str) -> io::Result<()> {
        let o = self.o;
        let end = if o.nul_lines { 0 } else { b'\n' };
        let binary = !o.text && !o.nul_lines && input.fill_buf()?.contains(&0);
        if binary && o.skip_binary {
            if o.list == Some(false) {
                self.name_line(shown)?;
            }
            return Ok(());
        }
        let print = !(o.count || o.list.is_some() || o.quiet || binary);
        let (mut count, mut number, mut offset) = (0u64, 0u64, 0usize);
        let mut before: std::collections::VecDeque<(u64, usize, Vec<u8>)> = Default::default();
        let mut after = 0usize;
        let mut last = None;
        let mut line = Vec::new();
        loop {
            line.clear();
            if o.max.is_some_and(|m| count >= m) && after == 0 {
                break;
            }
            let read = input.read_until(end, &mut line)?;
            if read == 0 {
                break;
            }
            number += 1;
            if line.last() == Some(&end) {
                line.pop();
            }
            let full = o.max.is_some_and(|m| count >= m);
            let selected = !full && (self.first(&line, 0).is_some() != o.invert);
            if selected {
                count += 1;
                self.found = true;
                if o.quiet || o.list.is_some() || binary {
                    break;
                }
            }
            if print && selected {
                let gap = last.is_some_and(|l: u64| number > l + 1 + before.len() as u64);
                if (o.before > 0 || o.after > 0) && (gap || (last.is_none() && self.printed)) {
                    self.out.write_all(b"--\n")?;
                }
                for (n, at, text) in before.drain(..) {
                    self.line(shown, n, at, &text, b'-', end)?;
                }
                self.line(shown, number, offset, &line, b':', end)?;
                (after, last) = (o.after, Some(number));
            } else if print && after > 0 {
                self.line(shown, number, offset, &line, b'-', end)?;
                (after, last) = (after - 1, Some(number));
            } else if print && o.before > 0 {
                before.push_back((number, offset, line.clone()));
                if before.len() > o.before {
                    before.pop_front();
                }
            }
            offset += read;
        }
        self.printed |= last.is_some();
        self.summary(shown, count, binary)
    }

    fn summary(&mut self, shown: &str, count: u64, binary: bool) -> io::Result<()> {
        let o = self.o;
        match o.list {
            _ if o.quiet => {}
            Some(with) => {
                if (count > 0) == with {
                    self.name_line(shown)?;
                }
                if !with {
                    self.found |= count == 0;
                }
            }
            None if o.count => {
                if self.named {
                    self.name(shown, b':')?;
                }
                writeln!(self.out, "{count}")?;
            }
            None if binary && count > 0 => {
                writeln!(self.out, "Binary file {shown} matches")?;
            }
            None => {}
        }
        Ok(())
    }

    fn name_line(&mut self, shown: &str) -> io::Result<()> {
        let end = if self.o.nul_names { "\0" } else { "\n" };
        write!(self.out, "{}{end}", self.paint("35", shown))
    }

    fn paint(&self, color: &str, text: &str) -> String {
        if self.o.color {
            format!("\x1b[{color}m\x1b[K{text}\x1b[m\x1b[K")
        } else {
            text.to_string()
        }
    }

    fn name(&mut self, shown: &str, sign: u8) -> io::Result<()> {
        write!(self.out, "{}", self.paint("35", shown))?;
        if self.o.nul_names {
            return self.out.write_all(b"\0");
        }
        self.sign(sign)
    }

    fn sign(&mut self, sign: u8) -> io::Result<()> {
        let text = self.paint("36", if sign == b':' { ":" } else { "-" });
        self.out.write_all(text.as_bytes())
    }

    fn head(&mut self, shown: &str, number: u64, offset: usize, sign: u8) -> io::Result<()> {
        if self.named {
            self.name(shown, sign)?;
        }
        if self.o.number {
            let text = self.paint("32", &number.to_string());
            self.out.write_all(text.as_bytes())?;
            self.sign(sign)?;
        }
        if self.o.offset {
            let text = self.paint("32", &offset.to_string());
            self.out.write_all(text.as_bytes())?;
            self.sign(sign)?;
        }
        if self.o.tab && (self.named || self.o.number || self.o.offset) {
            self.out.write_all(b"\t")?;
        }
        Ok(())
    }

    fn line(
        &mut self,
        shown: &str,
        number: u64,
        offset: usize,
        line: &[u8],
        sign: u8,
        end: u8,
    ) -> io::Result<()> {
        let o = self.o;
        if o.only {
            let mut at = 0;
            while let Some((from, to)) = self.first(line, at).filter(|_| sign == b':' && !o.invert)
            {
                if to > from {
                    self.head(shown, number, offset + from, sign)?;
                    self.matched(line.get(from..to).unwrap_or_default())?;
                    self.out.write_all(&[end])?;
                }
                at = if to > from { to } else { to + 1 };
                if at > line.len() {
                    break;
                }
            }
            return Ok(());
        }
        self.head(shown, number, offset, sign)?;
        let mut at = 0;
        if o.color && (sign == b':') != o.invert {
            while let Some((from, to)) = self.first(line, at).filter(|(f, t)| t > f) {
                self.out.write_all(line.get(at..from).unwrap_or_default())?;
                self.matched(line.get(from..to).unwrap_or_default())?;
                at = to;
            }
        }
        self.out.write_all(line.get(at..).unwrap_or_default())?;
        self.out.write_all(&[end])
    }

    fn matched(&mut self, text: &[u8]) -> io::Result<()> {
        if self.o.color {
            self.out.write_all(b"\x1b[01;31m\x1b[K")?;
            self.out.write_all(text)?;
            return self.out.write_all(b"\x1b[m\x1b[K");
        }
        self.out.write_all(text)
    }

    /// The first match from a place on that counts: with `-w`, one with no word character beside it.
    fn first(&self, line: &[u8], at: usize) -> Option<(usize, usize)> {
        let mut at = at;
        while at <= line.len() {
            let (from, to) = self.re.find_at(line, at)?;
            if !self.o.word {
                return Some((from, to));
            }
            let is_word = |b: Option<&u8>| {
                b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80)
            };
            let left = from == 0 || !is_word(line.get(from - 1));
            if left && !is_word(line.get(to)) {
                return Some((from, to));
            }
            // A shorter one from the same place may stand alone.
            let shorter = (from..to).rev().find(|end| {
                let part = line.get(..*end).unwrap_or_default();
                left && *end > from
                    && !is_word(line.get(*end))
                    && self.re.find_at(part, from) == Some((from, *end))
            });
            if let Some(end) = shorter {
                return Some((from, end));
            }
            at = from + 1;
        }
        None
    }
}
