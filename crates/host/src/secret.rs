//! What is typed and not shown: a password.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

/// The most that is taken for one line.
const MOST: usize = 4096;

/// Asks at the terminal, where there is one, without showing what is typed; else the next line of standard input is the answer.
/// The question goes to `err`.
pub fn asked(question: &str, err: &mut dyn Write) -> io::Result<String> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    // Before the question: what is typed at once is an answer, too.
    let quiet = terminal.as_ref().ok().and_then(Quiet::new);
    err.write_all(question.as_bytes())?;
    err.flush()?;
    let said = match &terminal {
        Ok(terminal) => line(terminal),
        // No more than the line is taken: what follows is another's.
        Err(_) => line(io::stdin().lock()),
    };
    drop(quiet);
    err.write_all(b"\n")?;
    said
}

/// Up to the end of the line or of the input, a byte at a time: what is behind it is left.
fn line(mut from: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while bytes.len() < MOST && from.read(&mut byte)? > 0 && byte != *b"\n" {
        bytes.extend(byte);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A terminal that shows nothing of what is typed, until this goes.
struct Quiet<'a> {
    terminal: &'a File,
    before: libc::termios,
}

impl Quiet<'_> {
    fn new(terminal: &File) -> Option<Quiet<'_>> {
        // SAFETY: all zeros is a value of this struct of numbers.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: an open descriptor, and a struct that lives through the call.
        if unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut before) } != 0 {
            return None;
        }
        let mut quiet = before;
        quiet.c_lflag &= !libc::ECHO;
        set(terminal, &quiet).then_some(Quiet { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        set(self.terminal, &self.before);
    }
}

fn set(terminal: &File, to: &libc::termios) -> bool {
    // SAFETY: an open descriptor, and a struct that lives through the call.
    unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSAFLUSH, to) == 0 }
}
