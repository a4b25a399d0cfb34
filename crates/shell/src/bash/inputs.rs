//! Lines as they are read: background lists are rewritten, and news of jobs come before the prompt.

use super::{jobs, rewrite::rewritten, signals};
use brush_interactive::{InputBackend, InteractivePrompt, ReadResult, ShellError, ShellRef};
use std::io::{IsTerminal, Write};

/// An input with both.
pub struct Rewriting<I>(pub I);

impl<I: InputBackend> InputBackend for Rewriting<I> {
    fn read_line(
        &mut self,
        shell: &ShellRef<impl brush_core::ShellExtensions>,
        prompt: InteractivePrompt,
    ) -> Result<ReadResult, ShellError> {
        let interactive = shell.try_lock().is_ok_and(|s| s.options().interactive);
        for line in jobs::news() {
            if interactive {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
        if interactive {
            take_typed_ahead();
        }
        let read = self.0.read_line(shell, prompt)?;
        signals::line_begins();
        let ReadResult::Input(line) = &read else {
            return Ok(read);
        };
        let Ok(mut held) = shell.try_lock() else {
            return Ok(read);
        };
        let Some(text) = rewritten(line, &held.parser_options()) else {
            return Ok(read);
        };
        // The history has what was typed.
        let _ = held.add_to_history(line.trim_end_matches('\n'));
        Ok(ReadResult::BoundCommand(text))
    }

    fn get_read_buffer(&self) -> Option<(String, usize)> {
        self.0.get_read_buffer()
    }

    fn set_read_buffer(&mut self, buffer: String, cursor: usize) {
        self.0.set_read_buffer(buffer, cursor);
    }
}

/// Reads the first line of what was typed while a command ran, before the line editor makes the terminal raw: until then
/// a line's end is taken for the Enter that it was. Read later it is Ctrl-J, and the editor drops what stands behind that;
/// so it still does with what stands behind a second line.
fn take_typed_ahead() {
    if std::io::stdin().is_terminal() {
        let _ = crossterm::event::poll(std::time::Duration::ZERO);
    }
}
