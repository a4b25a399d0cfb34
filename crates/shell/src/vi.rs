//! `vi`: the editor that hands know: motions, changes, undo, search, `:` commands.

mod ex;
mod moves;
mod normal;
mod reach;
mod text;

use crate::grep::system;
use crate::posix::{Posix, Syntax, translate};
use crate::term::{Key, Screen, fitted};
use normal::{Inserts, Repeat};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, Write};
use text::{Place, Text};

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Normal,
    Insert,
    Replace,
}

/// Text that was cut or copied, and whether it is whole lines.
type Cut = (String, bool);

/// The register that has what was cut last, whatever its name.
const UNNAMED: char = '"';

struct Editor {
    text: Text,
    file: Option<String>,
    screen: Screen,
    mode: Mode,
    top: usize,
    left: usize,
    said: String,
    /// What was cut, by the name of its register.
    cuts: BTreeMap<char, Cut>,
    marks: BTreeMap<char, Place>,
    /// Lines when this command began.
    count: usize,
    /// A line before the changes that were made to it, for `U`.
    untouched: Option<(usize, String)>,
    /// The column that up and down go for.
    wanted: usize,
    /// The last `f`, `t`, `F` or `T`.
    sought: Option<(char, char)>,
    /// The keys of this command, and those that are still to be taken as typed.
    typed: Vec<Key>,
    queue: VecDeque<Key>,
    /// What `.` does again; what it will do when this command has ended.
    last: Option<Repeat>,
    begun: Option<Repeat>,
    inserts: Inserts,
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
    let (mut said, mut strange) = (String::new(), false);
    let text = match &file {
        None => String::new(),
        Some(f) => match std::fs::read(f) {
            Ok(bytes) => String::from_utf8(bytes).unwrap_or_else(|e| {
                strange = true;
                said = format!("\"{f}\" is not UTF-8 text: read only (:w! writes what is shown)");
                String::from_utf8_lossy(e.as_bytes()).into_owned()
            }),
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
        cuts: BTreeMap::new(),
        marks: BTreeMap::new(),
        count: 0,
        untouched: None,
        wanted: 0,
        sought: None,
        typed: Vec::new(),
        queue: VecDeque::new(),
        last: None,
        begun: None,
        inserts: Inserts::default(),
        search: None,
        numbers: false,
        saved,
        read_only: read_only || strange,
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
            if self.queue.is_empty() && !self.screen.has_more() {
                self.draw();
            }
            if self.mode == Mode::Normal {
                self.typed.clear();
                self.count = self.text.lines.len();
            }
            let Some(key) = self.key() else {
                return;
            };
            self.said.clear();
            let goes_on = match self.mode {
                Mode::Normal => self.normal(key).unwrap_or(false),
                _ => self.insert(key),
            };
            if !goes_on {
                return;
            }
            if self.mode == Mode::Normal && self.text.lines.len() != self.count {
                self.follow_lines();
            }
            if self.mode == Mode::Normal
                && let Some(mut repeat) = self.begun.take()
            {
                repeat.keys = self.typed.split_off(repeat.from.min(self.typed.len()));
                self.last = Some(repeat);
            }
        }
    }

    /// Lines came or went: marks stay with theirs, and a line of before is not put back over another one.
    fn follow_lines(&mut self) {
        self.untouched = None;
        let (old, new) = (self.count, self.text.lines.len());
        let before = self.text.remembered();
        let same = before.iter().zip(&self.text.lines);
        let first = same.take_while(|(a, b)| a == b).count();
        let gone = first..first + old.saturating_sub(new);
        self.marks.retain(|_, (row, _)| !gone.contains(row));
        for (row, _) in self.marks.values_mut().filter(|(row, _)| *row >= first) {
            *row = (*row + new).saturating_sub(old);
        }
    }

    /// The next key, typed or repeated; `None`: the terminal is gone.
    fn key(&mut self) -> Option<Key> {
        let key = match self.queue.pop_front() {
            Some(key) => key,
            None => self.screen.key(None)?,
        };
        self.typed.push(key);
        Some(key)
    }

    fn insert(&mut self, key: Key) -> bool {
        let text = match key {
            Key::Escape | Key::Ctrl('c') => {
                self.insert_again();
                self.mode = Mode::Normal;
                self.text.column = self.text.column.saturating_sub(1);
                self.wanted = self.text.column;
                return true;
            }
            Key::Enter => "\n".to_string(),
            Key::Char(c) => c.to_string(),
            Key::Ctrl('i') => "\t".to_string(),
            Key::Backspace | Key::Ctrl('h') if self.mode == Mode::Replace => {
                self.text.column = self.text.column.saturating_sub(1);
                return true;
            }
            Key::Backspace | Key::Ctrl('h') => {
                self.inserts.text.pop();
                self.text.backspace();
                return true;
            }
            key => {
                // What is typed from here on is another text.
                self.inserts = Inserts::default();
                self.insert_control(key);
                return true;
            }
        };
        if self.mode == Mode::Replace && key != Key::Enter {
            self.text.take(1);
        }
        self.inserts.text.push_str(&text);
        self.text.put(&text);
        true
    }

    fn insert_control(&mut self, key: Key) {
        let end = self.text.column;
        match key {
            Key::Delete => drop(self.text.take(1)),
            Key::Ctrl('w') => {
                self.text.column = match self.text.word_back((self.text.row, end), false) {
                    (row, column) if row == self.text.row => column,
                    _ => 0,
                };
                self.text.take(end - self.text.column);
            }
            Key::Ctrl('u') => {
                self.text.column = 0;
                self.text.take(end);
            }
            Key::Char(_) | Key::Ctrl(_) | Key::Enter | Key::Backspace => {}
            key => {
                if let Some(reach) = self.motion(key, None, None) {
                    self.go(&reach);
                }
            }
        }
        self.text.keep_inside(true);
    }

    fn ask(&mut self, sign: char) -> Option<String> {
        let (queue, typed) = (&mut self.queue, &mut self.typed);
        self.screen.ask(&sign.to_string(), |screen| {
            let key = queue.pop_front().or_else(|| screen.key(None))?;
            typed.push(key);
            Some(key)
        })
    }

    fn look(&mut self, pattern: &str, forward: bool) {
        if self.set_search(pattern, forward).is_some()
            && let Some(at) = self.again(false)
        {
            (self.text.row, self.text.column) = at;
        }
    }

    /// What `n` goes for from now on; an empty pattern is the last one. `None`: it is no pattern, which is said.
    fn set_search(&mut self, pattern: &str, forward: bool) -> Option<()> {
        if pattern.is_empty() {
            let (_, way) = self.search.as_mut()?;
            *way = forward;
            return Some(());
        }
        match translate(pattern, Syntax::Basic).and_then(|t| Posix::new(&t, false)) {
            Ok(re) => {
                self.text.pattern = pattern.to_string();
                self.search = Some((re, forward));
                Some(())
            }
            Err(said) => {
                self.said = said;
                None
            }
        }
    }

    /// Where the next match is, in the direction of the search or in the other one.
    fn again(&mut self, other_way: bool) -> Option<Place> {
        let (re, forward) = self.search.as_ref()?;
        let found = self.text.find(re, *forward != other_way);
        if found.is_none() {
            self.said = "Pattern not found".into();
        }
        found
    }

    /// Writes the file; `false`: it could not be.
    fn write(&mut self, to: Option<&str>, forced: bool) -> bool {
        if to.is_some_and(|to| to.starts_with(['!', '>'])) {
            self.said = "Only to a file: programs and >> are not here".into();
            return false;
        }
        let other = to.filter(|to| self.file.as_deref() != Some(*to));
        if let Some(to) = other.filter(|to| !forced && std::path::Path::new(to).exists()) {
            self.said = format!("\"{to}\" exists (add ! to override)");
            return false;
        }

        let Some(file) = to.map(String::from).or_else(|| self.file.clone()) else {
            self.said = "No current filename".into();
            return false;
        };
        if self.read_only && other.is_none() && !forced {
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
                // A copy elsewhere is not this file.
                if self.file.as_ref().is_none_or(|own| *own == file) {
                    self.file = Some(file);
                    self.saved = self.text.lines.clone();
                }
                true
            }
            Err(e) => {
                self.said = format!("\"{file}\" {}", system(&e));
                false
            }
        }
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
        let status = match (self.said.as_str(), self.mode) {
            ("", Mode::Insert) => "-- INSERT --".to_string(),
            ("", Mode::Replace) => "-- REPLACE --".to_string(),
            (said, _) => fitted(said, 0, columns.saturating_sub(1)),
        };
        text.push_str(&format!(
            "{status}\x1b[K\x1b[{};{}H\x1b[?25h",
            row - self.top + 1,
            at - self.left + gutter + 1
        ));
        self.screen.put(&text);
    }
}
