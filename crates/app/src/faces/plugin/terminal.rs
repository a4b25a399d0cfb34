//! The terminal on this side, on Linux, macOS and Windows: raw while a remote one is shown in it, and
//! its size.

use std::io::IsTerminal;

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

/// Columns and rows.
pub fn size() -> Option<(u16, u16)> {
    crossterm::terminal::size()
        .ok()
        .filter(|(w, h)| *w > 0 && *h > 0)
}
