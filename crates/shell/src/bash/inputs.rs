//! Lines as they are read: background lists are rewritten, and news of jobs come before the prompt.

use super::{ahead, jobs, rewrite::rewritten, signals};
use brush_interactive::{InputBackend, InteractivePrompt, ReadResult, ShellError, ShellRef};
use std::io::Write;

/// An input with both, and the lines that were typed before it was asked.
pub struct Lines<I> {
    input: I,
    ahead: ahead::Ahead,
    /// The terminal did not answer where its cursor is: it can be typed into all the same.
    plain: bool,
}

impl<I: InputBackend> Lines<I> {
    /// On top of a line editor, or of what reads plain lines.
    pub fn new(input: I) -> Lines<I> {
        Lines {
            input,
            ahead: ahead::Ahead::default(),
            plain: false,
        }
    }

    /// What was typed ahead of Ctrl-C is gone, as it is in the terminal.
    pub fn forget(&mut self) {
        self.ahead.forget();
    }

    /// One more line, of what was typed ahead or from the input.
    fn next(
        &mut self,
        shell: &ShellRef<impl brush_core::ShellExtensions>,
        prompt: InteractivePrompt,
        interactive: bool,
    ) -> Result<ReadResult, ShellError> {
        if !interactive {
            return self.input.read_line(shell, prompt);
        }
        let options = shell.try_lock().map(|held| held.parser_options());
        let Ok(options) = options else {
            return self.input.read_line(shell, prompt);
        };
        let again = InteractivePrompt {
            prompt: prompt.prompt.clone(),
            alt_side_prompt: String::new(),
            continuation_prompt: prompt.continuation_prompt.clone(),
        };
        if !self.plain {
            match self.ahead.take(&again, &options) {
                ahead::Taken::Nothing => {}
                ahead::Taken::Begun(text) => {
                    let end = text.len();
                    self.input.set_read_buffer(text, end);
                }
                whole => return Ok(whole.read()),
            }
            match self.input.read_line(shell, prompt) {
                Err(ShellError::InputError(_)) => self.plain = true,
                read => {
                    self.ahead.edited();
                    return read;
                }
            }
            self.ahead.unread();
        }
        Ok(self.ahead.wait(&again, &options).read())
    }
}

impl<I: InputBackend> InputBackend for Lines<I> {
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
        let read = self.next(shell, prompt, interactive)?;
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
        self.input.get_read_buffer()
    }

    fn set_read_buffer(&mut self, buffer: String, cursor: usize) {
        self.input.set_read_buffer(buffer, cursor);
    }
}
