//! Who has the keyboard. A command inside a world gets a process group of its own, in the
//! foreground, as a shell does with its jobs (tcsetpgrp(3)). Without that it would stand in our
//! group, which its PID namespace cannot see: a shell in there could never hand the terminal back
//! ("cannot set tty process group"), and would leave it with a group that is gone.
//!
//! Everything here but [`Terminal::ours`] runs between clone(2) and exec: system calls only.

use std::os::fd::RawFd;

/// A terminal whose foreground group is ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal(RawFd);

impl Terminal {
    /// The terminal of this process, if it alone has it: in a pipe somebody else may want the
    /// keyboard, and in the background it is a shell's.
    pub(super) fn ours() -> Option<Terminal> {
        // SAFETY: numbers only.
        let mine = |fd| unsafe { libc::tcgetpgrp(fd) == libc::getpgrp() };
        (0..=2).all(mine).then_some(Terminal(0))
    }

    /// In the new process: a group of its own, in the foreground.
    pub(super) fn take(self) {
        // SAFETY: numbers only. A change from the background would stop this process.
        unsafe {
            libc::setpgid(0, 0);
            libc::signal(libc::SIGTTOU, libc::SIG_IGN);
            libc::tcsetpgrp(self.0, libc::getpgrp());
            libc::signal(libc::SIGTTOU, libc::SIG_DFL);
        }
    }

    /// In its parent: waits for the end of the command, which is the group `pid`, and takes the
    /// terminal back; 128 + signal when killed. When the command is stopped (Ctrl-Z), so are we,
    /// with our whole group: that is what the shell we were started from waits for.
    pub(super) fn attend(self, pid: i32) -> i32 {
        let mut status = 0;
        // SAFETY: numbers, and a status on this stack.
        unsafe {
            libc::signal(libc::SIGTTOU, libc::SIG_IGN);
            libc::setpgid(pid, pid);
            loop {
                let got = libc::waitpid(pid, &mut status, libc::WUNTRACED);
                if got != pid {
                    if *libc::__errno_location() == libc::EINTR {
                        continue;
                    }
                    status = 255 << 8;
                    break;
                }
                if !libc::WIFSTOPPED(status) {
                    break;
                }
                self.back_from(pid);
                libc::kill(0, libc::SIGTSTP);
                // Going on. In the background the terminal is not ours to give.
                if libc::tcgetpgrp(self.0) == libc::getpgrp() {
                    libc::tcsetpgrp(self.0, pid);
                }
                libc::kill(-pid, libc::SIGCONT);
            }
            self.back_from(pid);
        }
        if libc::WIFSIGNALED(status) {
            128 + libc::WTERMSIG(status)
        } else {
            libc::WEXITSTATUS(status)
        }
    }

    /// Takes the terminal from a group, or from one that is gone; never from a shell's other job.
    fn back_from(self, group: i32) {
        // SAFETY: numbers only.
        unsafe {
            let front = libc::tcgetpgrp(self.0);
            if front == group || (front > 0 && libc::kill(-front, 0) != 0) {
                libc::tcsetpgrp(self.0, libc::getpgrp());
            }
        }
    }
}
