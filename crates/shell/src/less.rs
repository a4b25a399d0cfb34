//! `less`: pages through files or the standard input.

use crate::grep::system;
use crate::posix::{Posix, Syntax, translate};
use crate::term::{Key, Screen, fitted};
use crate::word::flushed;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};

#[derive(Default)]
struct Options {
    numbers: bool,
    chop: bool,
    ignore_case: bool,
    quit_if_one: bool,
    quit_at_end: bool,
    colors: bool,
    start: Option<String>,
    files: Vec<String>,
}

/// `less`.
pub fn less(args: Vec<OsString>) -> i32 {
    let args: Vec<String> = args
        .into_iter()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let o = match parse(&args) {
        Ok(o) => o,
        Err(said) => {
            let _ = writeln!(io::stderr(), "less: {said}");
            return 1;
        }
    };
    let (name, text) = match read(&o) {
        Ok(read) => read,
        Err(said) => {
            let _ = writeln!(io::stderr(), "{said}");
            return 1;
        }
    };
    if !io::stdout().is_terminal() {
        let _ = io::stdout().write_all(&text);
        return flushed(0);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    match Screen::open() {
        Ok(screen) => Pager::new(&o, &name, &text, screen).run(),
        Err(e) => {
            let _ = writeln!(io::stderr(), "less: /dev/tty: {}", system(&e));
            1
        }
    }
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut o = Options::default();
    for arg in args {
        if let Some(pattern) = arg.strip_prefix('+') {
            o.start = Some(pattern.to_string());
        } else if arg == "--help" {
            return Err("usage: less [-NSiIFER] [+G|+/PATTERN] [FILE]...".into());
        } else if arg.len() > 1 && arg.starts_with('-') && !arg.starts_with("--") {
            for c in arg.chars().skip(1) {
                match c {
                    'N' => o.numbers = true,
                    'S' => o.chop = true,
                    'i' | 'I' => o.ignore_case = true,
                    'F' => o.quit_if_one = true,
                    'E' | 'e' => o.quit_at_end = true,
                    'R' | 'r' => o.colors = true,
                    'X' | 'M' | 'm' | 'n' | 'K' | 's' | 'c' | 'q' | 'Q' | 'f' => {}
                    c => return Err(format!("there is no {c} option")),
                }
            }
        } else if !arg.starts_with("--") {
            o.files.push(arg.clone());
        }
    }
    Ok(o)
}

fn read(o: &Options) -> Result<(String, Vec<u8>), String> {
    let mut all = Vec::new();
    if o.files.is_empty() {
        if io::stdin().is_terminal() {
            return Err("Missing filename (\"less --help\" for help)".into());
        }
        io::stdin().read_to_end(&mut all).map_err(|e| system(&e))?;
        return Ok((String::new(), all));
    }
    for file in &o.files {
        if file == "-" {
            io::stdin().read_to_end(&mut all).map_err(|e| system(&e))?;
            continue;
        }
        let text = std::fs::read(file).map_err(|e| match e.raw_os_error() {
            Some(21) => format!("{file} is a directory"),
            _ => format!("{file}: {}", system(&e)),
        })?;
        all.extend(text);
    }
    Ok((o.files.join(" "), all))
}

struct Pager<'a> {
    o: &'a Options,
    name: &'a str,
    lines: Vec<&'a str>,
    screen: Screen,
    /// The first line on the screen, and the first column.
    top: usize,
    left: usize,
    search: Option<Posix>,
    said: String,
}

impl<'a> Pager<'a> {
    fn new(o: &'a Options, name: &'a str, text: &'a str, screen: Screen) -> Pager<'a> {
        Pager {
            o,
            name,
            lines: text.lines().collect(),
            screen,
            top: 0,
            left: 0,
            search: None,
            said: String::new(),
        }
    }

    fn page(&self) -> usize {
        self.screen.size().0.saturating_sub(1).max(1)
    }

    fn last_top(&self) -> usize {
        self.lines.len().saturating_sub(self.page())
    }

    fn run(mut self) -> i32 {
        if self.o.quit_if_one && self.lines.len() < self.page() {
            let text = self.lines.join("\n");
            drop(self.screen);
            let _ = writeln!(io::stdout(), "{text}");
            return flushed(0);
        }
        match self.o.start.as_deref() {
            Some("G") => self.top = self.last_top(),
            Some(p) if p.starts_with('/') => self.look(p.get(1..).unwrap_or_default(), true),
            Some(n) => {
                self.top = n
                    .parse::<usize>()
                    .unwrap_or(1)
                    .saturating_sub(1)
                    .min(self.last_top())
            }
            None => {}
        }
        let mut count = String::new();
        loop {
            self.draw();
            let Some(key) = self.screen.key(None) else {
                return 0;
            };
            if let Key::Char(c @ '0'..='9') = key {
                count.push(c);
                continue;
            }
            let n: Option<usize> = count.parse().ok();
            count.clear();
            self.said.clear();
            if !self.act(key, n) {
                return 0;
            }
        }
    }

    /// Does what a key says; `false`: leave.
    fn act(&mut self, key: Key, n: Option<usize>) -> bool {
        let page = self.page();
        let down = |top: usize, by: usize| top.saturating_add(by);
        match key {
            Key::Char('q' | 'Q') | Key::Ctrl('c') => return false,
            Key::Char('j' | 'e') | Key::Down | Key::Enter => {
                self.top = down(self.top, n.unwrap_or(1))
            }
            Key::Char('k' | 'y') | Key::Up => self.top = self.top.saturating_sub(n.unwrap_or(1)),
            Key::Char(' ' | 'f') | Key::PageDown | Key::Ctrl('f' | 'v') => {
                if self.o.quit_at_end && self.top >= self.last_top() {
                    return false;
                }
                self.top = down(self.top, page);
            }
            Key::Char('b') | Key::PageUp | Key::Ctrl('b') => {
                self.top = self.top.saturating_sub(page)
            }
            Key::Char('d') | Key::Ctrl('d') => self.top = down(self.top, page / 2),
            Key::Char('u') | Key::Ctrl('u') => self.top = self.top.saturating_sub(page / 2),
            Key::Char('g' | '<') | Key::Home => self.top = n.unwrap_or(1).saturating_sub(1),
            Key::Char('G' | '>') | Key::End => {
                self.top = n.map_or(usize::MAX, |n| n.saturating_sub(1))
            }
            Key::Right => self.left += 8,
            Key::Left => self.left = self.left.saturating_sub(8),
            Key::Char(sign @ ('/' | '?')) => {
                if let Some(pattern) = self.ask(sign) {
                    self.look(&pattern, sign == '/');
                }
            }
            Key::Char('n') => self.again(true),
            Key::Char('N') => self.again(false),
            Key::Char('h' | 'H') => {
                self.said = "space b: pages; j k: lines; g G: ends; /text n N: search; arrows: sideways; q: leave".into();
            }
            _ => {}
        }
        self.top = self.top.min(self.last_top());
        true
    }

    fn ask(&mut self, sign: char) -> Option<String> {
        let mut text = String::new();
        loop {
            let row = self.screen.size().0;
            self.screen.put(&format!("\x1b[{row};1H\x1b[K{sign}{text}"));
            match self.screen.key(None)? {
                Key::Enter => return Some(text),
                Key::Escape | Key::Ctrl('c') => return None,
                Key::Backspace => {
                    text.pop()?;
                }
                Key::Char(c) => text.push(c),
                _ => {}
            }
        }
    }

    fn look(&mut self, pattern: &str, forward: bool) {
        if !pattern.is_empty() {
            let lower = pattern.chars().all(|c| !c.is_uppercase());
            let re = translate(pattern, Syntax::Extended)
                .and_then(|t| Posix::new(&t, self.o.ignore_case && lower));
            match re {
                Ok(re) => self.search = Some(re),
                Err(said) => {
                    self.said = said;
                    return;
                }
            }
        }
        self.again(forward);
    }

    fn again(&mut self, forward: bool) {
        let Some(re) = &self.search else { return };
        let hit = |n: &usize| {
            self.lines
                .get(*n)
                .is_some_and(|l| re.is_match(l.as_bytes()))
        };
        let found = if forward {
            (self.top + 1..self.lines.len()).find(hit)
        } else {
            (0..self.top).rev().find(hit)
        };
        match found {
            Some(n) => self.top = n.min(self.last_top().max(n)),
            None => self.said = "Pattern not found".into(),
        }
    }

    fn draw(&mut self) {
        let (rows, columns) = self.screen.size();
        let mut text = String::from("\x1b[?25l\x1b[H");
        let mut at = self.top;
        let mut used = 0;
        while used < rows.saturating_sub(1) {
            let Some(line) = self.lines.get(at) else {
                text.push_str("\x1b[K~\r\n");
                used += 1;
                at += 1;
                continue;
            };
            let number = if self.o.numbers {
                format!("{:>7} ", at + 1)
            } else {
                String::new()
            };
            let wide = columns.saturating_sub(number.len()).max(1);
            // Long lines go on below, unless they are chopped.
            let mut from = self.left;
            loop {
                let part = if self.o.colors
                    && !line.contains(|c: char| c.is_control() && c != '\x1b' && c != '\t')
                    && line.contains("\x1b[")
                {
                    line.to_string()
                } else {
                    self.marked(line, from, wide)
                };
                text.push_str(&format!("{number}{part}\x1b[m\x1b[K\r\n"));
                used += 1;
                from += wide;
                let more = fitted(line, from, 1);
                if self.o.chop
                    || self.o.colors
                    || self.left > 0
                    || more.is_empty()
                    || used + 1 >= rows
                {
                    break;
                }
            }
            at += 1;
        }
        let end = at >= self.lines.len();
        let status = match (self.said.as_str(), end) {
            ("", true) => "\x1b[7m(END)\x1b[m".to_string(),
            ("", false) if self.top == 0 && !self.name.is_empty() => {
                format!("\x1b[7m{}\x1b[m", fitted(self.name, 0, columns - 1))
            }
            ("", false) => ":".into(),
            (said, _) => format!("\x1b[7m{}\x1b[m", fitted(said, 0, columns - 1)),
        };
        text.push_str(&format!("\x1b[K{status}\x1b[?25h"));
        self.screen.put(&text);
    }

    /// A part of a line, with what was searched for shown in reverse.
    fn marked(&self, line: &str, from: usize, wide: usize) -> String {
        let part = fitted(line, from, wide);
        let Some(re) = &self.search else { return part };
        let mut out = String::new();
        let mut at = 0;
        while let Some((start, end)) = re.find_at(part.as_bytes(), at).filter(|(s, e)| e > s) {
            out.push_str(part.get(at..start).unwrap_or_default());
            out.push_str(&format!(
                "\x1b[7m{}\x1b[27m",
                part.get(start..end).unwrap_or_default()
            ));
            at = end;
        }
        out.push_str(part.get(at..).unwrap_or_default());
        out
    }
}

#[cfg(test)]
mod damaged {
    #[test]
    fn damaged_command_lines_are_read_or_refused() {
        let seeds = ["-NSR +G file", "+/word a b", "-X -F -- -f"];
        netshoot_wire::fuzz::texts(&seeds, 5_000, |text| {
            let args: Vec<String> = text.split(' ').map(str::to_string).collect();
            if let Err(said) = super::parse(&args) {
                assert!(!said.is_empty(), "{text}");
            }
        });
    }
}
