//! Normal mode: a register, a count, a command; an operator and what it is put to.

use super::reach::Reach;
use super::text::{Place, at_most};
use super::{Editor, Mode, UNNAMED};
use crate::term::Key;
use std::collections::VecDeque;

/// A change as it was typed, for `.`.
#[derive(Clone, Default)]
pub struct Repeat {
    register: Option<char>,
    count: Option<usize>,
    /// The keys from the command's own on.
    pub keys: Vec<Key>,
    /// Where these begin among the typed ones.
    pub from: usize,
}

/// What is being typed in, and how often more it is to stand there.
#[derive(Default)]
pub struct Inserts {
    pub text: String,
    more: usize,
    /// Each on a line of its own.
    lines: bool,
}

/// The most that a count means.
const MOST: usize = 100_000;

impl Editor {
    /// A whole command; `false`: leave. `None`: the terminal is gone.
    pub fn normal(&mut self, first: Key) -> Option<bool> {
        let (mut key, mut register) = (first, None);
        let mut count = String::new();
        loop {
            match key {
                Key::Char('"') => match self.key()? {
                    Key::Char(name) => register = Some(name),
                    _ => return Some(true),
                },
                Key::Char(c @ '0'..='9') if c != '0' || !count.is_empty() => count.push(c),
                _ => break,
            }
            key = self.key()?;
        }
        let number = |count: &str| count.parse().ok().map(|n: usize| n.clamp(1, MOST));
        let n = number(&count).or((!count.is_empty()).then_some(MOST));
        match key {
            Key::Char('.') => self.repeat(n),
            Key::Char(':') => return Some(self.command()),
            Key::Char('Z') => match self.key()? {
                Key::Char('Z') => return Some(!self.write_changed()),
                Key::Char('Q') => return Some(false),
                _ => {}
            },
            Key::Char('m') => {
                if let Key::Char(name) = self.key()? {
                    self.marks.insert(name, self.place());
                }
            }
            Key::Char('u') | Key::Ctrl('r') => {
                let undo = key == Key::Char('u');
                let step = |s: &mut Self| if undo { s.text.undo() } else { s.text.redo() };
                let done = (0..n.unwrap_or(1)).take_while(|_| step(self)).count();
                if done == 0 {
                    self.said = "Nothing to undo".into();
                }
                self.wanted = self.text.column;
            }
            // What has words of its own behind it, and is not here.
            Key::Char(c @ ('z' | 'q' | '@')) => {
                let behind = self.key()?;
                let page = self.screen.size().0.saturating_sub(1).max(1);
                match (c, behind) {
                    ('z', Key::Enter | Key::Char('t')) => self.top = self.text.row,
                    ('z', Key::Char('.' | 'z')) => {
                        self.top = self.text.row.saturating_sub(page / 2)
                    }
                    ('z', Key::Char('-' | 'b')) => {
                        self.top = (self.text.row + 1).saturating_sub(page)
                    }
                    _ => self.said = format!("There is no {c} here"),
                }
            }
            Key::Char(c @ ('v' | 'V')) | Key::Ctrl(c @ 'v') => {
                self.said = format!("There is no visual mode ({c}) here: d, c, y take a motion");
            }
            Key::Char('U') => {
                if let Some((row, line)) = self.untouched.clone()
                    && let Some(now) = self.text.lines.get(row).cloned()
                {
                    self.text.remember();
                    self.text.lines.splice(row..=row, [line]);
                    (self.text.row, self.text.column) = (row, 0);
                    self.untouched = Some((row, now));
                }
            }
            Key::Ctrl('l') => self.screen.put("\x1b[2J"),
            Key::Ctrl('g') => {
                self.said = format!(
                    "\"{}\" line {} of {}",
                    self.file.clone().unwrap_or_default(),
                    self.text.row + 1,
                    self.text.lines.len()
                )
            }
            key => self.change_or_move(key, n, register)?,
        }
        self.text.keep_inside(self.mode != Mode::Normal);
        Some(true)
    }

    pub(super) fn place(&self) -> Place {
        (self.text.row, self.text.column)
    }

    /// `ZZ`; `false`: it could not be written.
    fn write_changed(&mut self) -> bool {
        self.text.lines == self.saved || self.write(None, false)
    }

    /// `.`: the keys of the last change once more, with another count where one is given.
    fn repeat(&mut self, n: Option<usize>) {
        let Some(last) = self.last.clone() else {
            return;
        };
        let mut keys: VecDeque<Key> = VecDeque::new();
        if let Some(name) = last.register {
            keys.extend([Key::Char('"'), Key::Char(name)]);
        }
        if let Some(n) = n.or(last.count) {
            keys.extend(n.to_string().chars().map(Key::Char));
        }
        keys.extend(last.keys);
        self.queue = keys;
    }

    /// A change begins: it is undone as one, and `.` does it again.
    fn begin(&mut self, register: Option<char>, count: Option<usize>) {
        self.text.remember();
        let row = self.text.row;
        if self.untouched.as_ref().is_none_or(|(r, _)| *r != row) {
            self.untouched = self.text.lines.get(row).map(|l| (row, l.clone()));
        }
        self.begun = Some(Repeat {
            register,
            count,
            keys: Vec::new(),
            from: self.typed.len().saturating_sub(1),
        });
    }

    fn change_or_move(&mut self, key: Key, n: Option<usize>, register: Option<char>) -> Option<()> {
        // Short words for an operator and its motion.
        let short = match key {
            Key::Char('x') | Key::Delete => Some(('d', 'l')),
            Key::Char('X') => Some(('d', 'h')),
            Key::Char('D') => Some(('d', '$')),
            Key::Char('C') => Some(('c', '$')),
            Key::Char('s') => Some(('c', 'l')),
            Key::Char('S') => Some(('c', 'c')),
            Key::Char('Y') => Some(('y', 'y')),
            _ => None,
        };
        match (key, short) {
            (_, Some((op, motion))) => {
                if op != 'y' {
                    self.begin(register, n);
                }
                self.operate(op, Key::Char(motion), n, register)
            }
            (Key::Char(op @ ('d' | 'c' | 'y' | '>' | '<')), _) => {
                if op != 'y' {
                    self.begin(register, n);
                }
                let mut motion = self.key()?;
                let mut times = String::new();
                while let Key::Char(c @ '0'..='9') = motion
                    && (c != '0' || !times.is_empty())
                {
                    times.push(c);
                    motion = self.key()?;
                }
                let times = times.parse().ok().map(|t: usize| t.clamp(1, MOST));
                let n = match (n, times) {
                    (Some(a), Some(b)) => Some(a.saturating_mul(b).min(MOST)),
                    (a, b) => a.or(b),
                };
                self.operate(op, motion, n, register)
            }
            (Key::Char(c), _) if "iIaAoORpPJr~".contains(c) => {
                self.begin(register, n);
                self.change(c, n, register)
            }
            (key, _) => {
                match self.motion(key, n, None) {
                    Some(reach) => self.go(&reach),
                    None => self.queue.clear(),
                }
                Some(())
            }
        }
    }

    /// Follows a motion.
    pub fn go(&mut self, reach: &Reach) {
        (self.text.row, self.text.column) = reach.to;
        if reach.column_stays {
            self.text.column = self.wanted;
        } else {
            self.wanted = self.text.column;
        }
        self.text.keep_inside(self.mode != Mode::Normal);
    }

    fn change(&mut self, c: char, n: Option<usize>, register: Option<char>) -> Option<()> {
        let times = n.unwrap_or(1);
        let t = &mut self.text;
        match c {
            'I' => {
                let line = t.lines.get(t.row).map_or("", String::as_str);
                t.column = line.chars().take_while(|c| c.is_whitespace()).count();
            }
            'a' => t.column = (t.column + 1).min(t.length()),
            'A' => t.column = t.length(),
            'o' | 'O' => {
                let at = t.row + usize::from(c == 'o');
                t.lines.insert(at, String::new());
                (t.row, t.column) = (at, 0);
            }
            'p' | 'P' => {
                let cut = self.cuts.get(&register.unwrap_or(UNNAMED));
                if let Some((text, whole)) = cut.cloned() {
                    t.paste(&text, whole, c == 'p', times);
                }
            }
            'r' => {
                let by = match self.key()? {
                    Key::Char(c) => c.to_string().repeat(times),
                    Key::Enter => "\n".into(),
                    _ => return Some(()),
                };
                let t = &mut self.text;
                if t.column + times <= t.length() {
                    t.take(times);
                    t.put(&by);
                    t.column = t.column.saturating_sub(usize::from(by != "\n"));
                }
            }
            'J' => (0..times.max(2) - 1).for_each(|_| t.join()),
            '~' => {
                let turned: String = t.take(times).chars().map(turned).collect();
                t.put(&turned);
            }
            _ => {}
        }
        if "iIaAoOR".contains(c) {
            self.mode = if c == 'R' {
                Mode::Replace
            } else {
                Mode::Insert
            };
            self.inserts = Inserts {
                text: String::new(),
                more: times - 1,
                lines: "oO".contains(c),
            };
        }
        self.wanted = self.text.column;
        Some(())
    }

    /// What was typed in stands there as often as the count says.
    pub fn insert_again(&mut self) {
        let inserts = std::mem::take(&mut self.inserts);
        for _ in 0..inserts.more.min(at_most(&inserts.text)) {
            if inserts.lines {
                self.text.lines.insert(self.text.row + 1, String::new());
                (self.text.row, self.text.column) = (self.text.row + 1, 0);
            } else if self.mode == Mode::Replace {
                self.text.take(inserts.text.chars().count());
            }
            self.text.put(&inserts.text);
        }
    }

    fn operate(
        &mut self,
        op: char,
        motion: Key,
        n: Option<usize>,
        register: Option<char>,
    ) -> Option<()> {
        let at = self.place();
        let reach = match motion {
            Key::Char(c) if c == op => {
                let last = at.0 + n.unwrap_or(1) - 1;
                Some(Reach::lines((last.min(self.text.lines.len() - 1), at.1)))
            }
            Key::Char(how @ ('i' | 'a')) => {
                let Key::Char(what) = self.key()? else {
                    return Some(());
                };
                self.object(how == 'a', what)
            }
            key => self.motion(key, n, Some(op)),
        };
        let Some(reach) = reach else {
            // A command that has no way to go changes nothing, and is none to be done again.
            self.begun = None;
            self.queue.clear();
            return Some(());
        };
        let from = reach.from.unwrap_or(at);
        if reach.lines || matches!(op, '>' | '<') {
            self.operate_on_lines(op, from, reach.to, register);
            return Some(());
        }
        let (mut start, mut end) = (from.min(reach.to), from.max(reach.to));
        end.1 += usize::from(reach.with_last);
        // POSIX vi: up to the beginning of a line means up to the end of the one before it; from the beginning of a line
        // on, that is whole lines.
        if !reach.with_last && end.1 == 0 && end.0 > start.0 {
            end = (end.0 - 1, self.text.length_of(end.0 - 1));
            if op != 'c' && start.1 <= self.text.indent(start.0) {
                start.1 = 0;
                self.operate_on_lines(op, start, end, register);
                return Some(());
            }
        }
        let taken = self.text.between(start, end);
        (self.text.row, self.text.column) = start;
        if op != 'y' {
            self.text.cut_between(start, end);
        }
        if op == 'c' {
            self.mode = Mode::Insert;
            self.inserts = Inserts::default();
        }
        self.keep(taken, false, register);
        self.wanted = self.text.column;
        Some(())
    }

    fn operate_on_lines(&mut self, op: char, from: Place, to: Place, register: Option<char>) {
        let (first, last) = (from.0.min(to.0), from.0.max(to.0));
        let count = last - first + 1;
        let taken = self.text.lines_from(first, count).join("\n");
        match op {
            'd' => self.text.drop_lines(first, count),
            'c' => {
                self.text.lines.splice(first..=last, [String::new()]);
                (self.text.row, self.text.column) = (first, 0);
                self.mode = Mode::Insert;
                self.inserts = Inserts::default();
            }
            '>' | '<' => self.text.shift(first, count, op == '>'),
            _ => self.text.row = first,
        }
        if !matches!(op, '>' | '<') {
            self.keep(taken, true, register);
        }
        self.wanted = self.text.column;
    }

    /// Text goes into its register; a capital letter adds to it.
    fn keep(&mut self, text: String, whole: bool, register: Option<char>) {
        let cut = match register.filter(char::is_ascii_uppercase) {
            Some(name) => {
                let old = self.cuts.remove(&name.to_ascii_lowercase());
                let (before, lines) = old.unwrap_or_default();
                let between = if (lines || whole) && !before.is_empty() {
                    "\n"
                } else {
                    ""
                };
                (before + between + &text, lines || whole)
            }
            None => (text, whole),
        };
        if register == Some('_') {
            return;
        }
        if let Some(name) = register {
            self.cuts.insert(name.to_ascii_lowercase(), cut.clone());
        }
        self.cuts.insert(UNNAMED, cut);
    }

    /// `iw`, `a"`, `i(` and the like, for an operator.
    fn object(&self, around: bool, what: char) -> Option<Reach> {
        let (t, at) = (&self.text, self.place());
        let (first, last) = match what {
            'w' => {
                let (first, last) = t.word_around(at, around)?;
                ((at.0, first), (at.0, last))
            }
            '"' | '\'' | '`' => {
                let (first, last) = t.quoted(at, what)?;
                ((at.0, first), (at.0, last))
            }
            'b' | 'B' => t.bracketed(at, if what == 'b' { '(' } else { '{' })?,
            '(' | ')' | '[' | ']' | '{' | '}' => t.bracketed(at, what)?,
            _ => return None,
        };
        let inner = !around && what != 'w';
        let (from, to) = match inner {
            true => ((first.0, first.1 + 1), last),
            false => (first, last),
        };
        Some(Reach {
            from: Some(from),
            with_last: !inner,
            ..Reach::letters(to)
        })
    }
}

/// The same letter, large or small.
fn turned(c: char) -> char {
    match c.is_uppercase() {
        true => c.to_lowercase().next().unwrap_or(c),
        false => c.to_uppercase().next().unwrap_or(c),
    }
}
