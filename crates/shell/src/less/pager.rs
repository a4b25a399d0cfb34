//! The screen of `less`: rows of lines, and what keys do to them.

use super::Options;
use super::rows::{Layout, count, rows};
use crate::posix::{Posix, Syntax, translate};
use crate::term::{Key, Screen, fitted};
use crate::word::flushed;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

/// A row: its line among those that are shown, and which of the line's rows it is.
type Place = (usize, usize);

/// The mark of where one was before the last jump.
const BEFORE: char = '\'';
/// How often a file that is followed is looked at.
const FOLLOW: Duration = Duration::from_millis(300);
/// Columns of a line's number and the blank behind it.
const NUMBER: usize = 8;

pub struct Pager<'a> {
    o: Options,
    name: &'a str,
    text: String,
    /// Where each line lies in the text.
    lines: Vec<(usize, usize)>,
    /// The numbers of the lines that are shown: all of them, or those that `&` lets through.
    shown: Vec<usize>,
    screen: Screen,
    top: Place,
    left: usize,
    /// Rows of half a screen and of a window, where they were set.
    half: Option<usize>,
    window: Option<usize>,
    sideways: Option<usize>,
    marks: BTreeMap<char, Place>,
    /// What is searched for, and whether forward.
    search: Option<(Posix, bool)>,
    said: String,
}

impl<'a> Pager<'a> {
    pub fn new(o: Options, name: &'a str, text: String, screen: Screen) -> Pager<'a> {
        let lines = lines_of(&text, o.squeeze);
        Pager {
            o,
            name,
            shown: (0..lines.len()).collect(),
            lines,
            text,
            screen,
            top: (0, 0),
            left: 0,
            half: None,
            window: None,
            sideways: None,
            marks: BTreeMap::new(),
            search: None,
            said: String::new(),
        }
    }

    /// Rows for text.
    fn page(&self) -> usize {
        self.screen.size().0.saturating_sub(1).max(1)
    }

    fn layout(&self) -> Layout {
        let number = if self.o.numbers { NUMBER } else { 0 };
        Layout {
            columns: self.screen.size().1.saturating_sub(number).max(2),
            tab: self.o.tab.unwrap_or(8),
            colors: self.o.colors,
            chopped: (self.o.chop || self.left > 0).then_some(self.left),
        }
    }

    fn line(&self, n: usize) -> &str {
        self.shown.get(n).map_or("", |at| self.line_of(*at))
    }

    fn line_of(&self, number: usize) -> &str {
        let (from, to) = self.lines.get(number).copied().unwrap_or_default();
        self.text.get(from..to).unwrap_or_default()
    }

    fn rows_of(&self, n: usize) -> usize {
        count(self.line(n), self.layout())
    }

    /// So many rows further down, at most at the last one.
    fn down(&self, (mut line, mut part): Place, mut n: usize) -> Place {
        while n > 0 {
            let left = self.rows_of(line) - 1 - part.min(self.rows_of(line) - 1);
            if n <= left {
                return (line, part + n);
            }
            if line + 1 >= self.shown.len() {
                return (line, part + left);
            }
            n -= left + 1;
            (line, part) = (line + 1, 0);
        }
        (line, part)
    }

    fn up(&self, (mut line, mut part): Place, mut n: usize) -> Place {
        while n > 0 {
            if n <= part {
                return (line, part - n);
            }
            if line == 0 {
                return (0, 0);
            }
            n -= part + 1;
            line -= 1;
            part = self.rows_of(line) - 1;
        }
        (line, part)
    }

    /// The top when the last row stands at the bottom.
    fn last_top(&self) -> Place {
        let last = self.shown.len().saturating_sub(1);
        let end = (last, self.rows_of(last).saturating_sub(1));
        self.up(end, self.page() - 1)
    }

    pub fn run(mut self) -> i32 {
        if self.o.quit_if_one && self.last_top() == (0, 0) && self.fits() {
            let layout = self.layout();
            let all = (0..self.lines.len())
                .flat_map(|n| rows(self.line_of(n), layout, None, 0, usize::MAX));
            let text = all.collect::<Vec<_>>().join("\n");
            drop(self.screen);
            let _ = writeln!(io::stdout(), "{text}");
            return flushed(0);
        }
        match self.o.start.take().as_deref() {
            Some("G") => self.top = self.last_top(),
            Some("F") if !self.follow() => return 0,
            Some("F") => {}
            Some(p) if p.starts_with('/') => {
                self.look(p.get(1..).unwrap_or_default(), true, 1);
            }
            Some(n) => self.go_to_line(n.parse().unwrap_or(1)),
            None => {}
        }
        let mut count = String::new();
        loop {
            self.draw();
            let told = !self.said.is_empty() && count.is_empty();
            let Some(key) = self.screen.key(None) else {
                return 0;
            };
            if let Key::Char(c @ '0'..='9') = key {
                count.push(c);
                self.said = format!(":{count}");
                continue;
            }
            self.said.clear();
            // It only says that a message was read.
            if told && matches!(key, Key::Enter | Key::Char(' ')) {
                continue;
            }
            let n: Option<usize> = count.parse().ok().filter(|n| *n > 0);
            count.clear();
            if !self.act(key, n) {
                return 0;
            }
        }
    }

    fn fits(&self) -> bool {
        let rows: usize = (0..self.shown.len().min(self.page() + 1))
            .map(|n| self.rows_of(n))
            .sum();
        rows <= self.page()
    }

    /// Down, and no further than to the last row at the bottom.
    fn forward(&mut self, n: usize) {
        let last = self.last_top().max(self.top);
        self.top = self.down(self.top, n).min(last);
    }

    /// Does what a key says; `false`: leave.
    fn act(&mut self, key: Key, n: Option<usize>) -> bool {
        let page = self.page();
        let half = self.half.unwrap_or(self.screen.size().0 / 2).max(1);
        let window = self.window.unwrap_or(page);
        match key {
            Key::Char('q' | 'Q') | Key::Ctrl('c') => return false,
            Key::Char('j' | 'e') | Key::Down | Key::Enter | Key::Ctrl('n' | 'e') => {
                self.forward(n.unwrap_or(1))
            }
            Key::Char('k' | 'y') | Key::Up | Key::Ctrl('p' | 'y' | 'k') => {
                self.top = self.up(self.top, n.unwrap_or(1))
            }
            Key::Char(' ' | 'f' | 'z') | Key::PageDown | Key::Ctrl('f' | 'v') => {
                if self.o.quit_at_end && self.top >= self.last_top() {
                    return false;
                }
                if key == Key::Char('z') {
                    self.window = n.or(self.window);
                }
                self.forward(n.unwrap_or(window));
            }
            Key::Char('b' | 'w') | Key::PageUp | Key::Ctrl('b') => {
                if key == Key::Char('w') {
                    self.window = n.or(self.window);
                }
                self.top = self.up(self.top, n.unwrap_or(window));
            }
            Key::Char('d' | 'u') | Key::Ctrl('d' | 'u') => {
                self.half = n.or(self.half);
                let by = n.unwrap_or(half);
                match key {
                    Key::Char('d') | Key::Ctrl('d') => self.forward(by),
                    _ => self.top = self.up(self.top, by),
                }
            }
            Key::Char('g' | '<') | Key::Home => self.go_to_line(n.unwrap_or(1)),
            Key::Char('G' | '>') | Key::End => match n {
                Some(n) => self.go_to_line(n),
                None => {
                    self.marks.insert(BEFORE, self.top);
                    self.top = self.last_top();
                }
            },
            Key::Char('p' | '%') => self.go_to_percent(n.unwrap_or(0).min(100)),
            Key::Right | Key::Left => {
                self.sideways = n.or(self.sideways);
                let by = self.sideways.unwrap_or(self.screen.size().1 / 2).max(1);
                self.left = match key {
                    Key::Right => self.left.saturating_add(by),
                    _ => self.left.saturating_sub(by),
                };
                self.top.1 = if self.left > 0 { 0 } else { self.top.1 };
            }
            Key::Char(sign @ ('/' | '?')) => {
                if let Some(pattern) = self.ask(&sign.to_string()) {
                    self.look(&pattern, sign == '/', n.unwrap_or(1));
                }
            }
            Key::Char('n') => self.again(true, n.unwrap_or(1)),
            Key::Char('N') => self.again(false, n.unwrap_or(1)),
            Key::Char('&') => {
                if let Some(pattern) = self.ask("&/") {
                    self.filter(&pattern);
                }
            }
            Key::Char('m') => {
                if let Some(Key::Char(c)) = self.screen.key(None) {
                    self.marks.insert(c, self.top);
                }
            }
            Key::Char('\'') => {
                let to = match self.screen.key(None) {
                    Some(Key::Char('^')) => Some((0, 0)),
                    Some(Key::Char('$')) => Some(self.last_top()),
                    Some(Key::Char(c)) => self.marks.get(&c).copied(),
                    _ => return true,
                };
                match to {
                    Some(to) => {
                        self.marks.insert(BEFORE, self.top);
                        self.top = to;
                    }
                    None => self.said = "Mark not set".into(),
                }
            }
            Key::Char('-') => self.set(),
            Key::Char('F') => return self.follow(),
            Key::Char('=') | Key::Ctrl('g') => {
                self.said = format!(
                    "{} lines {}-{} of {}",
                    self.name,
                    self.top.0 + 1,
                    self.down(self.top, page - 1).0 + 1,
                    self.shown.len()
                );
            }
            Key::Char('h' | 'H') => {
                self.said = "space b: pages; j k: lines; d u: halves; g G p: line, end, percent; /text n N &: search; -N -S: numbers, chop; F: follow; q: leave".into();
            }
            _ => {}
        }
        true
    }

    /// To a line by its number, at the top.
    fn go_to_line(&mut self, n: usize) {
        match self.shown.iter().position(|at| at + 1 >= n) {
            Some(at) => {
                self.marks.insert(BEFORE, self.top);
                self.top = (at, 0);
            }
            None => self.said = format!("Cannot seek to line number {n}"),
        }
    }

    /// To the line that has the byte after so much of the text.
    fn go_to_percent(&mut self, percent: usize) {
        let sizes = |n: &usize| self.line_of(*n).len() + 1;
        let whole: usize = self.shown.iter().map(sizes).sum();
        let (wanted, mut before) = (whole / 100 * percent + whole % 100 * percent / 100, 0);
        let at = self.shown.iter().position(|n| {
            before += sizes(n);
            before > wanted
        });
        self.marks.insert(BEFORE, self.top);
        self.top = (at.unwrap_or(self.shown.len().saturating_sub(1)), 0);
    }

    /// `-N`, `-S` and the like, while it runs.
    fn set(&mut self) {
        let Some(Key::Char(c)) = self.screen.key(None) else {
            return;
        };
        let o = &mut self.o;
        let flag = match c {
            'N' => &mut o.numbers,
            'S' => &mut o.chop,
            'i' => &mut o.ignore_case,
            'R' => &mut o.colors,
            c => {
                self.said = format!("There is no {c} option");
                return;
            }
        };
        *flag = !*flag;
        self.said = format!("-{c} {}", if *flag { "on" } else { "off" });
        self.top.1 = 0;
    }

    fn ask(&mut self, sign: &str) -> Option<String> {
        self.screen.ask(sign, |screen| screen.key(None))
    }

    fn pattern(&mut self, pattern: &str) -> Option<Posix> {
        let large = pattern.chars().any(char::is_uppercase);
        let any = self.o.ignore_case && (self.o.ignore_all_case || !large);
        match translate(pattern, Syntax::Extended).and_then(|t| Posix::new(&t, any)) {
            Ok(re) => Some(re),
            Err(said) => {
                self.said = said;
                None
            }
        }
    }

    /// A new search: from the screen's first line on, or from its last one back.
    fn look(&mut self, pattern: &str, forward: bool, n: usize) {
        if pattern.is_empty() {
            if let Some((_, way)) = &mut self.search {
                *way = forward;
            }
            return self.again(true, n);
        }
        let Some(re) = self.pattern(pattern) else {
            return;
        };
        self.search = Some((re, forward));
        let from = match forward {
            // A line whose beginning is above the screen is not on it.
            true => self.top.0 + usize::from(self.top.1 > 0),
            false => self.down(self.top, self.page() - 1).0 + 1,
        };
        self.find(from, forward, n);
    }

    fn again(&mut self, same_way: bool, n: usize) {
        match &self.search {
            Some((_, way)) => {
                let forward = *way == same_way;
                self.find(self.top.0 + usize::from(forward), forward, n);
            }
            None => self.said = "No previous regular expression".into(),
        }
    }

    /// The n-th line that matches: `from` or behind it, or before it.
    fn find(&mut self, from: usize, forward: bool, n: usize) {
        let Some((re, _)) = &self.search else { return };
        let hit = |n: &usize| re.is_match(self.line(*n).as_bytes());
        let found = match forward {
            true => (from..self.shown.len()).filter(hit).nth(n - 1),
            false => (0..from.min(self.shown.len())).rev().filter(hit).nth(n - 1),
        };
        match found {
            Some(line) => {
                self.marks.insert(BEFORE, self.top);
                self.top = (line, 0);
            }
            None => self.said = "Pattern not found".into(),
        }
    }

    /// Only the lines that match; all again after an empty pattern.
    fn filter(&mut self, pattern: &str) {
        let all = 0..self.lines.len();
        let shown: Vec<usize> = if pattern.is_empty() {
            all.collect()
        } else {
            let (plain, not) = match pattern.strip_prefix('!') {
                Some(rest) => (rest.to_string(), true),
                None => (pattern.to_string(), false),
            };
            let Some(re) = self.pattern(&plain) else {
                return;
            };
            let hit = |n: &usize| re.is_match(self.line_of(*n).as_bytes()) != not;
            all.filter(hit).collect()
        };
        if shown.is_empty() {
            self.said = "Nothing matches".into();
            return;
        }
        let was = self.shown.get(self.top.0).copied().unwrap_or(0);
        // Marks are of the lines that were shown.
        let place = |row: usize| self.shown.get(row).copied().unwrap_or(0);
        let marks = self.marks.iter().map(|(name, at)| (*name, place(at.0)));
        let at = |line: usize| shown.iter().position(|n| *n >= line);
        self.marks = marks
            .filter_map(|(name, line)| Some((name, (at(line)?, 0))))
            .collect();
        self.top = (shown.iter().position(|n| *n >= was).unwrap_or(0), 0);
        self.shown = shown;
    }

    /// `F`: what comes to the file is shown, until Ctrl-C; `false`: leave.
    fn follow(&mut self) -> bool {
        self.filter("");
        let mut size = u64::MAX;
        loop {
            self.top = self.last_top();
            self.said = "Waiting for data... (Ctrl-C to stop)".into();
            self.draw();
            let asked = std::time::Instant::now();
            match self.screen.key(Some(FOLLOW)) {
                Some(Key::Ctrl('c')) => break,
                Some(Key::Char('q' | 'Q')) => return false,
                // The terminal is gone.
                None if asked.elapsed() < FOLLOW / 2 => return false,
                _ => {}
            }
            let now = std::fs::metadata(self.name).map_or(0, |m| m.len());
            if now == size {
                continue;
            }
            size = now;
            let Ok(bytes) = std::fs::read(self.name) else {
                continue;
            };
            self.text = super::text(bytes);
            self.lines = lines_of(&self.text, self.o.squeeze);
            self.shown = (0..self.lines.len()).collect();
        }
        self.said.clear();
        true
    }

    fn draw(&mut self) {
        let (height, columns) = self.screen.size();
        let layout = self.layout();
        let mut text = String::from("\x1b[?25l\x1b[H");
        // Of a wider terminal, the line has fewer rows.
        self.top.1 = self.top.1.min(self.rows_of(self.top.0).saturating_sub(1));
        let (mut line, mut part) = self.top;
        let mut used = 0;
        let re = self.search.as_ref().map(|(re, _)| re);
        while used < height.saturating_sub(1) {
            if line >= self.shown.len() {
                text.push_str("\x1b[K~\r\n");
                used += 1;
                continue;
            }
            let room = height.saturating_sub(1) - used;
            for row in rows(self.line(line), layout, re, part, room) {
                let number = match self.o.numbers {
                    true => format!("{:>7} ", self.shown.get(line).map_or(0, |at| at + 1)),
                    false => String::new(),
                };
                // Cleared first: behind the last column, a terminal would clear what stands in it.
                text.push_str(&format!("\x1b[m\x1b[K{number}{row}\x1b[m\r\n"));
                used += 1;
            }
            (line, part) = (line + 1, 0);
        }
        let end = self.top >= self.last_top();
        let status = match (self.said.as_str(), end) {
            ("", true) => "\x1b[7m(END)\x1b[m".to_string(),
            ("", false) if self.top == (0, 0) && !self.name.is_empty() => {
                format!("\x1b[7m{}\x1b[m", fitted(self.name, 0, columns - 1))
            }
            ("", false) => ":".into(),
            (said, _) if said.starts_with(':') => fitted(said, 0, columns - 1),
            (said, _) => format!("\x1b[7m{}\x1b[m", fitted(said, 0, columns - 1)),
        };
        text.push_str(&format!("\x1b[K{status}\x1b[?25h"));
        self.screen.put(&text);
    }
}

/// Where the lines of a text lie; of empty ones in a row only the first, where it is asked for.
fn lines_of(text: &str, squeeze: bool) -> Vec<(usize, usize)> {
    let mut at = 0;
    let mut lines: Vec<(usize, usize)> = text
        .split_inclusive('\n')
        .map(|line| {
            let from = at;
            at += line.len();
            let line = line.strip_suffix('\n').unwrap_or(line);
            (from, from + line.strip_suffix('\r').unwrap_or(line).len())
        })
        .collect();
    if squeeze {
        lines.dedup_by(|b, a| a.0 == a.1 && b.0 == b.1);
    }
    lines
}
