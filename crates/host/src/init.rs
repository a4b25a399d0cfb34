//! The first process of a container. The kernel lets it ignore every signal it has no handler for
//! and gives it all orphans, and neither shell nor sleep knows that. So it forks: the child does
//! the work, the parent passes signals on, takes orphans, and ends when the child does.

use std::ffi::c_int;
use std::mem::MaybeUninit;

/// In the first process of a PID namespace, looks after a child that goes on with the program, and
/// gives the child's exit code. Gives none in that child, in every other process, and where no
/// process can be made. To be called before any thread starts.
pub fn first_process() -> Option<i32> {
    // SAFETY: getpid(2) cannot fail.
    if unsafe { libc::getpid() } != 1 {
        return None;
    }
    let all = every_signal();
    let mut before = MaybeUninit::uninit();
    // Blocked from before the fork, so that none is lost in between.
    // SAFETY: both sets live through the call, and it writes the second one.
    if unsafe { libc::sigprocmask(libc::SIG_SETMASK, &all, before.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: written by the call above.
    let before = unsafe { before.assume_init() };
    // SAFETY: no other thread runs, so the child may do anything.
    let child = unsafe { libc::fork() };
    if child > 0 {
        return Some(look_after(child, &all));
    }
    // SAFETY: calls about this process and its terminal only; SIGTTOU is blocked, so that the
    // group that is not in the foreground yet may put itself there. Without a terminal that fails,
    // and needs not be done.
    unsafe {
        if child == 0 {
            libc::setpgid(0, 0);
            libc::tcsetpgrp(libc::STDIN_FILENO, libc::getpgrp());
        }
        libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
    }
    None
}

fn every_signal() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset(3) writes the whole set.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn look_after(child: libc::pid_t, all: &libc::sigset_t) -> i32 {
    loop {
        // SAFETY: the set lives through the call; where the details go may be null.
        let signal = unsafe { libc::sigwaitinfo(all, std::ptr::null_mut()) };
        match signal {
            libc::SIGCHLD => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            1.. => pass_on(child, signal),
            _ => {} // interrupted
        }
    }
}

/// Takes everything that has ended; the exit code when the child is among it.
fn reap(child: libc::pid_t) -> Option<i32> {
    loop {
        let mut status: c_int = 0;
        // SAFETY: the status lives through the call.
        let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::WUNTRACED) };
        if pid <= 0 {
            return None;
        }
        if pid != child {
            continue;
        }
        if libc::WIFSTOPPED(status) {
            // Ctrl-Z outside a shell: nobody else is here who could continue it.
            if libc::WSTOPSIG(status) == libc::SIGTSTP {
                // SAFETY: the group of our own child.
                unsafe { libc::kill(-child, libc::SIGCONT) };
            }
            continue;
        }
        return Some(if libc::WIFSIGNALED(status) {
            128 + libc::WTERMSIG(status)
        } else {
            libc::WEXITSTATUS(status)
        });
    }
}

fn pass_on(child: libc::pid_t, signal: c_int) {
    // SAFETY: our own child, which is not reaped yet, and a signal that the kernel has just given.
    unsafe {
        libc::kill(child, signal);
        // A shell at a prompt ignores SIGTERM; a hangup ends it and what it runs.
        if signal == libc::SIGTERM && libc::isatty(libc::STDIN_FILENO) == 1 {
            libc::kill(child, libc::SIGHUP);
        }
    }
}
