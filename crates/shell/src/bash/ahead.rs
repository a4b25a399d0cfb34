//! What was typed while a command ran. Until the line editor makes the terminal raw, the terminal keeps whole lines, each
//! ended as Enter ends it. The editor would find Ctrl-J in place of Enter there, and drop what stands behind it; so one
//! whole line is taken for each prompt before it is asked, and the others stay in the terminal: for the command that reads
//! them, and for Ctrl-C, which empties it.

use brush_interactive::{InteractivePrompt, ReadResult};
use brush_parser::{ParseError, Parser, ParserOptions};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use rustix::termios::LocalModes;
use std::collections::VecDeque;
use std::io::Write;

/// The longest line that a terminal keeps is of 4,096 bytes.
const LONGEST: usize = 4096;

/// More keys than a person types while an editor waits for an answer.
const MOST_KEYS: usize = 1 << 16;

/// What the terminal had.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// All of a command, one line or several.
    Line(String),
    /// The beginning of one: the editor goes on with it.
    Begun(String),
    /// Ctrl-D at the beginning of a line.
    End,
    /// No whole line.
    Nothing,
}

impl Taken {
    /// What it is for the shell.
    pub fn read(self) -> ReadResult {
        match self {
            Taken::Line(text) | Taken::Begun(text) => ReadResult::Input(text),
            Taken::End | Taken::Nothing => ReadResult::Eof,
        }
    }
}

/// Where the next line is.
#[derive(Default)]
pub struct Ahead {
    /// The editor has read further than its line, and still holds what was typed first.
    held: bool,
    /// Lines that were read with the first one.
    rest: VecDeque<String>,
}

impl Ahead {
    /// Takes a command that was typed whole, and shows it as the editor would.
    pub fn take(&mut self, prompt: &InteractivePrompt, options: &ParserOptions) -> Taken {
        if std::mem::take(&mut self.held) {
            return Taken::Nothing;
        }
        let rest = &mut self.rest;
        let next = || {
            if rest.is_empty() {
                rest.extend(waiting()?);
            }
            rest.pop_front()
        };
        gather(
            next,
            |text| complete(text, options),
            |before, line| say(&format!("{}{line}\n", asked(prompt, before))),
        )
    }

    /// Waits for a command at a terminal that no editor can use: it echoes what is typed.
    pub fn wait(&mut self, prompt: &InteractivePrompt, options: &ParserOptions) -> Taken {
        let mut text = String::new();
        loop {
            let before = self.rest.pop_front().unwrap_or_default();
            say(&format!("{}{before}", asked(prompt, &text)));
            text.push_str(&before);
            if !before.ends_with('\n') {
                let line = terminal_line();
                if line.is_empty() {
                    return match text.is_empty() {
                        true => Taken::End,
                        false => Taken::Line(text),
                    };
                }
                text.push_str(&without_answers(&line));
            }
            if complete(&text, options) {
                return Taken::Line(text);
            }
        }
    }

    /// The editor could not begin: what it read while it waited is taken back from it.
    pub fn unread(&mut self) {
        let mut typed = String::new();
        for _ in 0..MOST_KEYS {
            if !crossterm::event::poll(std::time::Duration::ZERO).unwrap_or(false) {
                break;
            }
            match crossterm::event::read() {
                Ok(Event::Key(key)) => press(&mut typed, key),
                Ok(Event::Paste(text)) => typed.push_str(&text),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        if !typed.is_empty() {
            self.rest.extend(lines(&typed));
        }
    }

    /// Ctrl-C: what was typed before it is not wanted any more.
    pub fn forget(&mut self) {
        self.rest.clear();
    }

    /// The editor has given a line.
    pub fn edited(&mut self) {
        // Where the terminal itself has no line, what can be read is what the editor holds.
        self.held =
            !line_waits() && crossterm::event::poll(std::time::Duration::ZERO).unwrap_or(false);
    }
}

/// A key, as a terminal that keeps lines would have taken it.
fn press(typed: &mut String, key: KeyEvent) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Enter => typed.push('\n'),
        KeyCode::Char('j' | 'm') if control => typed.push('\n'),
        KeyCode::Char('u') if control => typed.truncate(typed.rfind('\n').map_or(0, |at| at + 1)),
        KeyCode::Char(c) if !control => typed.push(c),
        KeyCode::Tab => typed.push('\t'),
        KeyCode::Backspace if !typed.ends_with('\n') => drop(typed.pop()),
        _ => {}
    }
}

fn asked<'a>(prompt: &'a InteractivePrompt, before: &str) -> &'a str {
    match before.is_empty() {
        true => &prompt.prompt,
        false => &prompt.continuation_prompt,
    }
}

fn say(text: &str) {
    let mut err = std::io::stderr();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Lines until they are a command; `show` gets what was before a line, and the line.
fn gather(
    mut next: impl FnMut() -> Option<String>,
    complete: impl Fn(&str) -> bool,
    mut show: impl FnMut(&str, &str),
) -> Taken {
    let mut text = String::new();
    while let Some(line) = next() {
        let Some(line) = line.strip_suffix('\n') else {
            // Ctrl-D ends a line that has begun without an end, and so does the terminal that was raw until now. A key
            // that is no character may be all of it.
            text.push_str(typed(&line));
            return match text.is_empty() && line.is_empty() {
                true => Taken::End,
                false => Taken::Begun(text),
            };
        };
        if typed(line).len() < line.len() {
            text.push_str(typed(line));
            return Taken::Begun(text);
        }
        show(&text, line);
        text.push_str(line);
        text.push('\n');
        if complete(&text) {
            return Taken::Line(text);
        }
    }
    match text.is_empty() {
        true => Taken::Nothing,
        false => Taken::Begun(text),
    }
}

/// The text up to a key that is no character: what such a key does, only the editor knows.
fn typed(line: &str) -> &str {
    let key = |c: char| c.is_control() && c != '\t';
    line.split(key).next().unwrap_or_default()
}

/// As the editor decides whether Enter ends a command.
fn complete(text: &str, options: &ParserOptions) -> bool {
    let mut reader = std::io::BufReader::new(text.as_bytes());
    match Parser::new(&mut reader, options).parse_program() {
        Err(ParseError::Tokenizing { inner, .. }) => !inner.is_incomplete(),
        Err(ParseError::ParsingAtEndOfInput) => false,
        _ => true,
    }
}

/// The lines in what was read at once: keys that came while the terminal was still raw end a line with a carriage return,
/// and count as one line together. An empty one is Ctrl-D.
fn lines(read: &str) -> Vec<String> {
    match read.is_empty() {
        true => vec![String::new()],
        false => without_answers(read)
            .replace('\r', "\n")
            .split_inclusive('\n')
            .map(str::to_string)
            .collect(),
    }
}

/// What was typed, without what the terminal said itself of where its cursor is: such an answer comes late where a stream
/// broke, when the editor that asked has its line already. ECMA-48, CPR: `ESC [ row ; column R`.
fn without_answers(read: &str) -> String {
    let mut pieces = read.split("\x1b[");
    let mut out = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let numbers = |c: char| c.is_ascii_digit() || c == ';';
        match piece.trim_start_matches(numbers).strip_prefix('R') {
            Some(rest) if piece.contains(';') => out.push_str(rest),
            _ => out.extend(["\x1b[", piece]),
        }
    }
    out
}

/// Lines that wait in the terminal.
fn waiting() -> Option<Vec<String>> {
    line_waits().then(|| lines(&terminal_line()))
}

/// The terminal's next line; nothing at its end.
fn terminal_line() -> String {
    let mut line = vec![0; LONGEST];
    let n = loop {
        match rustix::io::read(stdin(), &mut line) {
            Err(rustix::io::Errno::INTR) => {}
            read => break read.unwrap_or(0),
        }
    };
    line.truncate(n);
    String::from_utf8_lossy(&line).into_owned()
}

/// The terminal keeps lines, and has one.
fn line_waits() -> bool {
    let keeps = rustix::termios::tcgetattr(stdin())
        .is_ok_and(|mode| mode.local_modes.contains(LocalModes::ICANON));
    let stdin = stdin();
    let mut one = [PollFd::new(&stdin, PollFlags::IN)];
    keeps
        && poll(&mut one, Some(&Timespec::default())).is_ok()
        && one.iter().any(|fd| fd.revents().contains(PollFlags::IN))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn taken(lines: &[&str]) -> (Taken, Vec<String>, usize) {
        let mut left = lines.iter();
        let mut shown = Vec::new();
        let got = gather(
            || left.next().map(|l| l.to_string()),
            |text| complete(text, &ParserOptions::default()),
            |_, line| shown.push(line.to_string()),
        );
        (got, shown, left.len())
    }

    #[test]
    fn one_command_is_taken_and_the_next_one_left() {
        let (got, shown, left) = taken(&["echo a\n", "echo b\n"]);
        assert_eq!((got, left), (Taken::Line("echo a\n".into()), 1));
        assert_eq!(shown, ["echo a"]);
        let (got, shown, left) = taken(&["for i in 1 2; do\n", "echo $i\n", "done\n", "x\n"]);
        let whole = "for i in 1 2; do\necho $i\ndone\n";
        assert_eq!((got, left), (Taken::Line(whole.into()), 1));
        assert_eq!(shown.len(), 3);
        // A here-document and an open quote go on, too.
        let (got, ..) = taken(&["echo 'a\n", "b'\n", "c\n"]);
        assert_eq!(got, Taken::Line("echo 'a\nb'\n".into()));
        assert_eq!(taken(&[]).0, Taken::Nothing);
        assert_eq!(taken(&["\n"]).0, Taken::Line("\n".into()));
    }

    #[test]
    fn keys_of_a_raw_terminal_are_lines_too() {
        assert_eq!(lines("a\rb\rc"), ["a\n", "b\n", "c"]);
        assert_eq!(lines("a\n"), ["a\n"]);
        // Ctrl-D.
        assert_eq!(lines(""), [""]);
    }

    #[test]
    fn what_the_terminal_answers_late_was_not_typed() {
        let none: [String; 0] = [];
        assert_eq!(lines("\x1b[1;1R"), none);
        assert_eq!(lines("\x1b[24;80Recho a\r\x1b[1;1Rb"), ["echo a\n", "b"]);
        // Up, F3, Delete, and letters that look like an answer's.
        for keys in ["\x1b[A", "\x1bOR", "\x1b[R", "\x1b[3~", "[1;1R", "\x1b["] {
            assert_eq!(lines(keys), [keys]);
        }
    }

    #[test]
    fn keys_that_the_editor_had_read_are_text_again() {
        let mut typed = String::new();
        let plain = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        let other = |code| KeyEvent::new(code, KeyModifiers::NONE);
        for key in [
            plain('a'),
            plain('x'),
            other(KeyCode::Backspace),
            other(KeyCode::Tab),
            plain('ü'),
            other(KeyCode::Up),
            control('j'),
            other(KeyCode::Backspace),
            plain('b'),
            control('u'),
            plain('c'),
            other(KeyCode::Enter),
        ] {
            press(&mut typed, key);
        }
        assert_eq!(typed, "a\tü\nc\n");
    }

    #[test]
    fn what_is_not_whole_is_the_editors() {
        let begun = |text: &str| Taken::Begun(text.into());
        assert_eq!(taken(&["if true; then\n"]).0, begun("if true; then\n"));
        assert_eq!(taken(&[""]).0, Taken::End);
        assert_eq!(taken(&["ech"]).0, begun("ech"));
        // A key of the moment in which the terminal took to lines again is not Ctrl-D.
        assert_eq!(taken(&["\u{1b}[A"]).0, begun(""));
        // Up, which brings a line of the history back in the editor, runs nothing here.
        assert_eq!(taken(&["\u{1b}[A\n", "x\n"]), (begun(""), vec![], 1));
        assert_eq!(taken(&["a\tb\n"]).0, Taken::Line("a\tb\n".into()));
    }
}
