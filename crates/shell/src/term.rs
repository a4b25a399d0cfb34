//! A terminal in raw mode: its size, its keys.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Ctrl(char),
    Enter,
    Escape,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

/// The terminal in raw mode and on its other screen, until dropped.
pub struct Screen {
    terminal: File,
    before: Termios,
    ahead: Vec<u8>,
}

impl Screen {
    /// The process's terminal, whatever its streams lead to.
    pub fn open() -> std::io::Result<Screen> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Flush, &raw)?;
        let mut screen = Screen {
            terminal,
            before,
            ahead: Vec::new(),
        };
        screen.put("\x1b[?1049h\x1b[H\x1b[2J");
        Ok(screen)
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        match tcgetwinsize(&self.terminal) {
            Ok(s) if s.ws_row > 0 && s.ws_col > 0 => (usize::from(s.ws_row), usize::from(s.ws_col)),
            _ => (24, 80),
        }
    }

    /// Writes as it is.
    pub fn put(&mut self, text: &str) {
        let _ = self.terminal.write_all(text.as_bytes());
    }

    fn ready(&self, wait: Option<Duration>) -> bool {
        let wait = wait.map(|d| Timespec {
            tv_sec: d.as_secs() as i64,
            tv_nsec: i64::from(d.subsec_nanos()),
        });
        let mut fds = [PollFd::new(&self.terminal, PollFlags::IN)];
        matches!(poll(&mut fds, wait.as_ref()), Ok(1..))
    }

    /// Reads what comes within a time; `false`: nothing did, or the terminal is gone.
    fn more(&mut self, wait: Option<Duration>) -> bool {
        let mut part = [0; 256];
        if !self.ready(wait) {
            return false;
        }
        let n = self.terminal.read(&mut part).unwrap_or(0);
        self.ahead
            .extend_from_slice(part.get(..n).unwrap_or_default());
        n > 0
    }

    /// A line that is asked for in the last row; `None`: nothing is wanted any more.
    pub fn ask(
        &mut self,
        sign: &str,
        mut next: impl FnMut(&mut Screen) -> Option<Key>,
    ) -> Option<String> {
        let mut text = String::new();
        loop {
            let row = self.size().0;
            self.put(&format!("\x1b[{row};1H\x1b[K{sign}{text}"));
            match next(self)? {
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

    /// The next key; `None` when the time is over or the terminal is gone.
    pub fn key(&mut self, wait: Option<Duration>) -> Option<Key> {
        if self.ahead.is_empty() && !self.more(wait) {
            return None;
        }
        // The rest of a sequence follows at once, that of what cannot be a key yet a little later.
        while self.ahead == [0x1b] && self.more(Some(Duration::from_millis(30))) {}
        for _ in 0..32 {
            if first_key(&self.ahead).is_some() || !self.more(Some(Duration::from_millis(100))) {
                break;
            }
        }
        // What stays without an end was typed one by one.
        let (key, used) = first_key(&self.ahead).unwrap_or((Key::Escape, 1));
        self.ahead.drain(..used.min(self.ahead.len()));
        Some(key)
    }

    /// More is typed than was taken: what is drawn now is drawn over at once.
    pub fn has_more(&self) -> bool {
        !self.ahead.is_empty() || self.ready(Some(Duration::ZERO))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.put("\x1b[m\x1b[?25h\x1b[?1049l");
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn first_key(bytes: &[u8]) -> Option<(Key, usize)> {
    Some(match bytes {
        [0x1b, b'[' | b'O', rest @ ..] => {
            let end = rest.iter().position(|b| (0x40..0x7f).contains(b))?;
            let key = match (rest.get(..end)?, rest.get(end)?) {
                (_, b'A') => Key::Up,
                (_, b'B') => Key::Down,
                (_, b'C') => Key::Right,
                (_, b'D') => Key::Left,
                (_, b'H') | (b"1" | b"7", b'~') => Key::Home,
                (_, b'F') | (b"4" | b"8", b'~') => Key::End,
                (b"5", b'~') => Key::PageUp,
                (b"6", b'~') => Key::PageDown,
                (b"3", b'~') => Key::Delete,
                _ => Key::Escape,
            };
            (key, end + 3)
        }
        [0x1b, ..] => (Key::Escape, 1),
        [b'\r' | b'\n', ..] => (Key::Enter, 1),
        [0x7f | 0x08, ..] => (Key::Backspace, 1),
        [c @ 0..=0x1f, ..] => (Key::Ctrl(char::from(c + 0x60)), 1),
        [..] => {
            let length = match bytes.first()? {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            if bytes.len() < length
                && std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
            {
                return None;
            }
            let text = String::from_utf8_lossy(bytes.get(..length.min(bytes.len()))?).into_owned();
            (Key::Char(text.chars().next()?), length)
        }
    })
}

/// The text as a terminal may show it: control characters as `^X`, tabs as spaces, no wider than the columns.
pub fn fitted(text: &str, from: usize, columns: usize) -> String {
    let mut out = String::new();
    let mut at = 0;
    for c in text.chars() {
        let shown = match c {
            '\t' => " ".repeat(8 - at % 8),
            c if (c as u32) < 0x20 => format!("^{}", char::from(c as u8 + 0x40)),
            '\x7f' => "^?".into(),
            c if ('\u{80}'..'\u{a0}').contains(&c) => "?".into(),
            c => c.to_string(),
        };
        for s in shown.chars() {
            if at >= from + columns {
                return out;
            }
            if at >= from {
                out.push(s);
            }
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_bytes() {
        for (bytes, key, used) in [
            (&b"a"[..], Key::Char('a'), 1),
            (b"\x1b[A", Key::Up, 3),
            (b"\x1b[5~x", Key::PageUp, 4),
            (b"\x03", Key::Ctrl('c'), 1),
            ("é".as_bytes(), Key::Char('é'), 2),
            (b"\x1b", Key::Escape, 1),
        ] {
            assert_eq!(first_key(bytes), Some((key, used)), "{bytes:?}");
        }
        for unfinished in [&b"\x1bO"[..], b"\x1b[", b"\x1b[3", b"\xe4\xb8"] {
            assert_eq!(first_key(unfinished), None, "{unfinished:?}");
        }
    }

    #[test]
    fn nothing_hostile_reaches_the_screen() {
        assert_eq!(fitted("a\x1b[2Jb\tc", 0, 80), "a^[[2Jb c");
        assert_eq!(fitted("abcdef", 2, 3), "cde");
    }
}
