//! What a word is, and how its process is prepared.

use std::ffi::OsString;

/// A word of the shell's world: a small tool, or the shell itself.
pub struct Word {
    /// What people type.
    pub name: &'static str,
    /// One line, English.
    pub about: &'static str,
    /// One line, Chinese.
    pub about_zh: &'static str,
    /// The tool whose flags, output and exit codes it has.
    pub stands_for: &'static str,
    /// Does it, as the process's only work: it has the process's own streams and signals. Its arguments begin
    /// with its name; gives the exit code.
    pub run: fn(Vec<OsString>) -> i32,
}

/// How a word was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A link of its name, or another program's choice of `argv[0]`.
    Name,
    /// `netshoot WORD`.
    FirstWord,
}

impl Word {
    /// Runs it in this process and gives the exit code. `by` says where the library behind the word finds its own
    /// name in the process's arguments.
    pub fn start(&self, by: By, args: Vec<OsString>) -> i32 {
        if by == By::FirstWord {
            uucore::set_utility_is_second_arg();
        }
        // Nobody reads: die quietly, as every tool in a pipe does. Rust starts with the signal ignored.
        let _ = uucore::signals::enable_pipe_errors();
        (self.run)(args)
    }
}

/// A coreutil: its messages, then its work, then what is left in the buffer.
pub(crate) fn coreutil(
    name: &str,
    args: Vec<OsString>,
    uumain: fn(std::vec::IntoIter<OsString>) -> i32,
) -> i32 {
    let _ = uucore::locale::setup_localization(name);
    let code = uumain(args.into_iter());
    flushed(code)
}

/// The code, or 1 where the rest of the output could not be written.
pub(crate) fn flushed(code: i32) -> i32 {
    use std::io::Write;
    match std::io::stdout().flush() {
        Err(_) if code == 0 => 1,
        _ => code,
    }
}
