//! The terminal on this side, on Linux, macOS and Windows: raw while a remote one is shown in it, and
//! its size.

use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard};

/// Standard input and output are a terminal: a remote one can be shown.
pub fn is_here() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Raw for as long as this lives: every key goes to the other side, Ctrl-C too.
pub struct Raw(());

impl Raw {
    /// Makes it raw.
    pub fn begin() -> std::io::Result<Raw> {
        crossterm::terminal::enable_raw_mode()?;
        Ok(Raw(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// What is typed, as the keys that it was. A terminal that is not raw yet makes a line end of Enter; at the other end,
/// where a raw terminal waits for keys, that is Ctrl-J.
#[derive(Debug, Default)]
pub struct Keys(Mutex<Mode>);

#[derive(Debug, Default)]
enum Mode {
    /// No terminal is shown: what is read is as it is to be.
    #[default]
    Elsewhere,
    /// A terminal that is not raw.
    Lines,
    /// A raw one, after so many bytes from before.
    Raw(usize),
}

impl Keys {
    /// The terminal has become raw.
    pub fn raw(&self) {
        *self.mode() = Mode::Raw(waiting());
    }

    /// It is not raw any more, and what is typed is still for the other end.
    pub fn lines(&self) {
        *self.mode() = Mode::Lines;
    }

    /// What was read, as keys.
    pub fn of(&self, read: &mut [u8]) {
        let mut mode = self.mode();
        let before = match &mut *mode {
            Mode::Elsewhere => 0,
            Mode::Lines => read.len(),
            Mode::Raw(left) => {
                let before = read.len().min(*left);
                *left -= before;
                before
            }
        };
        for byte in read.iter_mut().take(before).filter(|b| **b == b'\n') {
            *byte = b'\r';
        }
    }

    fn mode(&self) -> MutexGuard<'_, Mode> {
        self.0.lock().unwrap_or_else(|p| p.into_inner())
    }
}

/// Bytes that the terminal holds.
#[cfg(unix)]
fn waiting() -> usize {
    let held = rustix::io::ioctl_fionread(std::io::stdin()).unwrap_or(0);
    usize::try_from(held).unwrap_or(usize::MAX)
}

/// A console holds keys, not lines.
#[cfg(not(unix))]
fn waiting() -> usize {
    0
}

/// Columns and rows.
pub fn size() -> Option<(u16, u16)> {
    crossterm::terminal::size()
        .ok()
        .filter(|(w, h)| *w > 0 && *h > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_is_enter_whenever_it_was_typed() {
        let read = |keys: &Keys, text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            keys.of(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let keys = Keys::default();
        assert_eq!(read(&keys, "a\nb"), "a\nb");
        keys.lines();
        assert_eq!(read(&keys, "a\n"), "a\r");
        *keys.mode() = Mode::Raw(3);
        assert_eq!(read(&keys, "a\n"), "a\r");
        // Ctrl-J, typed at a raw terminal, is Ctrl-J.
        assert_eq!(read(&keys, "\n\n\r"), "\r\n\r");
    }
}
