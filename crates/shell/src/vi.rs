//! `vi`: the editor that hands know: motions, changes, undo, search, `:` commands.

mod text;

use crate::grep::system;
use crate::posix::{Posix, Syntax, translate};
use crate::term::{Key, Screen, fitted};
use std::ffi::OsString;
use std::io::{self, Write};
use text::Text;

#[derive(PartialEq)]
enum Mode {
    Normal,
    Insert,
}

struct Editor {
    text: Text,
    file: Option<String>,
    screen: Screen,
    mode: Mode,
    top: usize,
    left: usize,
    said: String,
    /// What was cut, and whether it is whole lines.
    cut: (String, bool),
    search: Option<(Posix, bool)>,
    numbers: bool,
    saved: Vec<String>,
    read_only: bool,
}

/// `vi`.
pub fn vi(args: Vec<OsString>) -> i32 {
    let args: Vec<String> = args
        .into_iter()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let read_only = args.iter().any(|a| a == "-R");
    let start = args
        .iter()
        .find_map(|a| a.strip_prefix('+'))
        .map(String::from);
    let file = args.iter().find(|a| !a.starts_with(['-', '+'])).cloned();
    let mut said = String::new();
    let text = match &file {
        None => String::new(),
        Some(f) => match std::fs::read(f) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                said = format!("\"{f}\" [New file]");
                String::new()
            }
            Err(e) => {
                let _ = writeln!(io::stderr(), "vi: {f}: {}", system(&e));
                return 1;
            }
        },
    };
    let screen = match Screen::open() {
        Ok(s) => s,
        Err(e) => {
            let _ = writeln!(io::stderr(), "vi: /dev/tty: {}", system(&e));
            return 1;
        }
    };
    let text = Text::new(&text);
    let saved = text.lines.clone();
    let mut editor = Editor {
        text,
        file,
        screen,
        mode: Mode::Normal,
        top: 0,
        left: 0,
        said,
        cut: (String::new(), true),
        search: None,
        numbers: false,
        saved,
        read_only,
    };
    match start {
        Some(s) if s.is_empty() => editor.text.row = editor.text.lines.len().saturating_sub(1),
        Some(s) if s.starts_with('/') => editor.look(s.get(1..).unwrap_or_default(), true),
        Some(s) => {
            editor.text.row = s
                .parse::<usize>()
                .unwrap_or(1)
                .saturating_sub(1)
                .min(editor.text.lines.len() - 1)
        }
        None => {}
    }
    editor.run();
    0
}

impl Editor {
    fn run(&mut self) {
        loop {
            self.draw();
            let Some(key) = self.screen.key(None) else {
                return;
            };
            self.said.clear();
            let goes_on = if self.mode == Mode::Insert {
                self.insert(key)
            } else {
                self.normal(key)
            };
            if !goes_on {
                return;
            }
        }
    }

    fn insert(&mut self, key: Key) -> bool {
        match key {
            Key::Escape | Key::Ctrl('c') => {
                self.mode = Mode::Normal;
                self.text.column = self.text.column.saturating_sub(1);
            }
            Key::Enter => self.text.put("\n"),
            Key::Backspace | Key::Ctrl('h') => self.text.backspace(),
            Key::Delete => drop(self.text.take(1)),
            Key::Char(c) => self.text.put(&c.to_string()),
            Key::Ctrl('i') => self.text.put("\t"),
            Key::Ctrl('w') => {
                let end = self.text.column;
                self.text.column = self.text.word_back(self.text.row, end).1;
                let n = end.saturating_sub(self.text.column);
                self.text.take(n);
            }
            key => {
                self.motion(key, 1);
            }
        }
        true
    }

    /// A whole command of normal mode; `false`: leave.
    fn normal(&mut self, first: Key) -> bool {
        let mut key = first;
        let mut count = String::new();
        while let Key::Char(c @ '0'..='9') = key {
            if c == '0' && count.is_empty() {
                break;
            }
            count.push(c);
            match self.screen.key(None) {
                Some(k) => key = k,
                None => return false,
            }
        }
        let n: usize = count.parse().unwrap_or(1).clamp(1, 100_000);
        let given = !count.is_empty();
        match key {
            Key::Char(':') => return self.command(),
            Key::Char('Z') => {
                return self.screen.key(None) != Some(Key::Char('Z')) || !self.write(None);
            }
            Key::Char('G') => {
                self.text.row =
                    if given { n - 1 } else { usize::MAX }.min(self.text.lines.len() - 1)
            }
            Key::Char('g') => {
                if self.screen.key(None) == Some(Key::Char('g')) {
                    self.text.row = (n - 1).min(self.text.lines.len() - 1);
                }
            }
            Key::Char(sign @ ('/' | '?')) => {
                if let Some(pattern) = self.ask(sign) {
                    self.look(&pattern, sign == '/');
                }
            }
            Key::Char('n') => self.again(false),
            Key::Char('N') => self.again(true),
            Key::Char('u') | Key::Ctrl('r') => {
                let done = if key == Key::Char('u') {
                    self.text.undo()
                } else {
                    self.text.redo()
                };
                if !done {
                    self.said = "Nothing to undo".into();
                }
            }
            Key::Char(op @ ('d' | 'c' | 'y')) => self.operator(op, n),
            Key::Char(c) if "iIaAoOsSCDxXprJ~PY".contains(c) => self.change(c, n),
            Key::Ctrl('l') => self.screen.put("\x1b[2J"),
            Key::Ctrl('g') => {
                self.said = format!(
                    "\"{}\" line {} of {}",
                    self.file.clone().unwrap_or_default(),
                    self.text.row + 1,
                    self.text.lines.len()
                )
            }
            key => {
                self.motion(key, n);
            }
        }
        self.text.keep_inside(self.mode == Mode::Insert);
        true
    }

    fn change(&mut self, c: char, n: usize) {
        self.text.remember();
        match c {
            'i' => self.mode = Mode::Insert,
            'I' => {
                self.text.column = self.text.first_letter();
                self.mode = Mode::Insert;
            }
            'a' => {
                self.text.column = (self.text.column + 1).min(self.text.length());
                self.mode = Mode::Insert;
            }
            'A' => {
                self.text.column = self.text.length();
                self.mode = Mode::Insert;
            }
            'o' | 'O' => {
                let at = self.text.row + usize::from(c == 'o');
                self.text.lines.insert(at, String::new());
                (self.text.row, self.text.column) = (at, 0);
                self.mode = Mode::Insert;
            }
            's' => {
                self.cut = (self.text.take(n), false);
                self.mode = Mode::Insert;
            }
            'x' => self.cut = (self.text.take(n), false),
            'X' => {
                let back = n.min(self.text.column);
                self.text.column -= back;
                self.cut = (self.text.take(back), false);
            }
            'D' | 'C' => {
                self.cut = (self.text.take(usize::MAX), false);
                if c == 'C' {
                    self.mode = Mode::Insert;
                }
            }
            'S' => {
                self.text.column = 0;
                self.cut = (self.text.take(usize::MAX), false);
                self.mode = Mode::Insert;
            }
            'Y' => self.cut = (self.text.lines_from(self.text.row, n).join("\n"), true),
            'p' | 'P' => {
                for _ in 0..n {
                    let (cut, whole) = self.cut.clone();
                    self.text.paste(&cut, whole, c == 'p');
                }
            }
            'r' => {
                if let Some(Key::Char(by)) = self.screen.key(None) {
                    let old = self.text.take(n);
                    let column = self.text.column;
                    self.text.put(&by.to_string().repeat(old.chars().count()));
                    self.text.column = column;
                }
            }
            'J' => {
                for _ in 0..n.max(2) - 1 {
                    self.text.join();
                }
            }
            '~' => {
                let old = self.text.take(n);
                let turned: String = old
                    .chars()
                    .map(|c| {
                        if c.is_uppercase() {
                            c.to_lowercase().next().unwrap_or(c)
                        } else {
                            c.to_uppercase().next().unwrap_or(c)
                        }
                    })
                    .collect();
                self.text.put(&turned);
            }
            _ => {}
        }
    }

    fn operator(&mut self, op: char, n: usize) {
        let Some(mut key) = self.screen.key(None) else {
            return;
        };
        let mut times = String::new();
        while let Key::Char(c @ '1'..='9') = key {
            times.push(c);
            match self.screen.key(None) {
                Some(k) => key = k,
                None => return,
            }
        }
        let n = n * times.parse::<usize>().unwrap_or(1).clamp(1, 10_000);
        self.text.remember();
        let from = (self.text.row, self.text.column);
        if key == Key::Char(op) {
            self.cut = (self.text.lines_from(from.0, n).join("\n"), true);
            match op {
                'd' => self.text.drop_lines(from.0, n),
                'c' => {
                    self.text.drop_lines(from.0, n - 1);
                    self.text.column = 0;
                    self.text.take(usize::MAX);
                    self.mode = Mode::Insert;
                }
                _ => {}
            }
            return;
        }
        // `cw` changes the word, not the space after it.
        let key = if op == 'c' && key == Key::Char('w') {
            Key::Char('e')
        } else {
            key
        };
        let includes = matches!(key, Key::Char('e' | '$' | 'E' | '%') | Key::End);
        if !self.motion(key, n) {
            return;
        }
        let to = (self.text.row, self.text.column);
        if matches!(key, Key::Char('j' | 'k' | 'G') | Key::Up | Key::Down) {
            let (first, last) = (from.0.min(to.0), from.0.max(to.0));
            self.cut = (
                self.text.lines_from(first, last - first + 1).join("\n"),
                true,
            );
            if op != 'y' {
                self.text.drop_lines(first, last - first + 1);
            }
            return;
        }
        let (start, mut end) = if from <= to { (from, to) } else { (to, from) };
        end.1 += usize::from(includes && from <= to);
        // A word at the end of a line does not take the line's end along.
        if key == Key::Char('w') && end.0 > start.0 {
            end = (
                start.0,
                self.text
                    .lines
                    .get(start.0)
                    .map_or(0, |l| l.chars().count()),
            );
        }
        (self.text.row, self.text.column) = start;
        let taken = self.text.between(start, end);
        if op != 'y' {
            self.text.cut_between(start, end);
        }
        self.cut = (taken, false);
        if op == 'c' {
            self.mode = Mode::Insert;
        }
    }

    /// Moves; `false`: the key is no motion.
    fn motion(&mut self, key: Key, n: usize) -> bool {
        let page = self.screen.size().0.saturating_sub(2).max(1);
        let rows = self.text.lines.len() - 1;
        let t = &mut self.text;
        match key {
            Key::Char('h') | Key::Left | Key::Backspace => t.column = t.column.saturating_sub(n),
            Key::Char('l' | ' ') | Key::Right => t.column = (t.column + n).min(t.length()),
            Key::Char('j') | Key::Down | Key::Ctrl('n') => t.row = (t.row + n).min(rows),
            Key::Char('k') | Key::Up | Key::Ctrl('p') => t.row = t.row.saturating_sub(n),
            Key::Enter | Key::Char('+') => {
                t.row = (t.row + n).min(rows);
                t.column = t.first_letter();
            }
            Key::Char('-') => {
                t.row = t.row.saturating_sub(n);
                t.column = t.first_letter();
            }
            Key::Char('0') | Key::Home => t.column = 0,
            Key::Char('^') => t.column = t.first_letter(),
            Key::Char('$') | Key::End => {
                t.column = t
                    .length()
                    .saturating_sub(usize::from(self.mode == Mode::Normal))
            }
            Key::Char('w' | 'W') => {
                (0..n).for_each(|_| (t.row, t.column) = t.word_next(t.row, t.column))
            }
            Key::Char('b' | 'B') => {
                (0..n).for_each(|_| (t.row, t.column) = t.word_back(t.row, t.column))
            }
            Key::Char('e' | 'E') => {
                (0..n).for_each(|_| (t.row, t.column) = t.word_end(t.row, t.column))
            }
            Key::Char('G') => t.row = rows,
            Key::Ctrl('f') | Key::PageDown => t.row = (t.row + page).min(rows),
            Key::Ctrl('b') | Key::PageUp => t.row = t.row.saturating_sub(page),
            Key::Ctrl('d') => t.row = (t.row + page / 2).min(rows),
            Key::Ctrl('u') => t.row = t.row.saturating_sub(page / 2),
            Key::Char(c @ ('f' | 't' | 'F' | 'T')) => {
                let Some(Key::Char(wanted)) = self.screen.key(None) else {
                    return false;
                };
                return self.text.go_to_letter(c, wanted);
            }
            _ => return false,
        }
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
            match translate(pattern, Syntax::Basic).and_then(|t| Posix::new(&t, false)) {
                Ok(re) => self.search = Some((re, forward)),
                Err(said) => {
                    self.said = said;
                    return;
                }
            }
        }
        self.again(false);
    }

    fn again(&mut self, other_way: bool) {
        let Some((re, forward)) = &self.search else {
            return;
        };
        match self.text.find(re, *forward != other_way) {
            Some(at) => (self.text.row, self.text.column) = at,
            None => self.said = "Pattern not found".into(),
        }
    }

    /// Writes the file; `false`: it could not be.
    fn write(&mut self, to: Option<&str>) -> bool {
        let Some(file) = to.map(String::from).or_else(|| self.file.clone()) else {
            self.said = "No current filename".into();
            return false;
        };
        if self.read_only && to.is_none() {
            self.said = format!("\"{file}\" is read only");
            return false;
        }
        let text = self.text.whole();
        match std::fs::write(&file, &text) {
            Ok(()) => {
                self.said = format!(
                    "\"{file}\" {}L, {}C written",
                    self.text.lines.len(),
                    text.len()
                );
                self.file.get_or_insert(file);
                self.saved = self.text.lines.clone();
                true
            }
            Err(e) => {
                self.said = format!("\"{file}\" {}", system(&e));
                false
            }
        }
    }

    /// A `:` command; `false`: leave.
    fn command(&mut self) -> bool {
        let Some(line) = self.ask(':') else {
            return true;
        };
        let line = line.trim();
        let (word, rest) = line.split_once(' ').map_or((line, None), |(w, r)| {
            (w, Some(r.trim()).filter(|r| !r.is_empty()))
        });
        let changed = self.text.lines != self.saved;
        match word {
            "" => {}
            "q" | "quit" if changed => {
                self.said = "No write since last change (:q! overrides)".into()
            }
            "q" | "q!" | "quit" | "qa" | "qa!" => return false,
            "w" | "w!" | "write" => {
                self.write(rest);
            }
            "wq" | "wq!" | "x" | "xit" => return !(self.write(rest)),
            "set" => match rest {
                Some("nu" | "number") => self.numbers = true,
                Some("nonu" | "nonumber") => self.numbers = false,
                other => self.said = format!("Unknown option: {}", other.unwrap_or_default()),
            },
            "r" | "read" => match rest.map(std::fs::read_to_string) {
                Some(Ok(text)) => {
                    self.text.remember();
                    self.text.paste(text.trim_end_matches('\n'), true, true);
                }
                Some(Err(e)) => self.said = system(&e),
                None => self.said = "No filename".into(),
            },
            w if w.chars().all(|c| c.is_ascii_digit()) => {
                self.text.row = w
                    .parse::<usize>()
                    .unwrap_or(1)
                    .saturating_sub(1)
                    .min(self.text.lines.len() - 1);
            }
            "$" => self.text.row = self.text.lines.len() - 1,
            _ => {
                self.text.remember();
                self.said = match self.text.ex(line) {
                    Ok(said) | Err(said) => said,
                };
            }
        }
        self.text.keep_inside(false);
        true
    }

    fn draw(&mut self) {
        let (rows, columns) = self.screen.size();
        let page = rows.saturating_sub(1).max(1);
        let (row, column) = (self.text.row, self.text.column);
        self.top = self.top.min(row).max((row + 1).saturating_sub(page));
        let line = self.text.lines.get(row).map_or("", String::as_str);
        let before: String = line.chars().take(column).collect();
        let gutter = if self.numbers { 8 } else { 0 };
        let wide = columns.saturating_sub(gutter).max(1);
        let at = fitted(&before, 0, usize::MAX / 2).chars().count();
        self.left = self.left.min(at).max((at + 1).saturating_sub(wide));
        let mut text = String::from("\x1b[?25l\x1b[H");
        for n in 0..page {
            match self.text.lines.get(self.top + n) {
                Some(l) => {
                    if self.numbers {
                        text.push_str(&format!("{:>7} ", self.top + n + 1));
                    }
                    text.push_str(&fitted(l, self.left, wide));
                }
                None => text.push('~'),
            }
            text.push_str("\x1b[K\r\n");
        }
        let status = if self.said.is_empty() && self.mode == Mode::Insert {
            "-- INSERT --".to_string()
        } else {
            fitted(&self.said, 0, columns.saturating_sub(1))
        };
        text.push_str(&format!(
            "{status}\x1b[K\x1b[{};{}H\x1b[?25h",
            row - self.top + 1,
            at - self.left + gutter + 1
        ));
        self.screen.put(&text);
    }
}
