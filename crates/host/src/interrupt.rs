//! Ctrl-C, hang-up and termination, for work that must tidy up before it ends.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

type Work = Box<dyn FnOnce() + Send>;

/// All that is owed, in order of promise.
static OWED: Mutex<Vec<(u64, Work)>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);
static WAITS: OnceLock<bool> = OnceLock::new();

/// Tidying up that is owed. Taken back when it is dropped; when nothing is owed, the signals end the process as
/// ever.
pub struct Owed(u64);

const SIGNALS: [i32; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

fn set() -> libc::sigset_t {
    // SAFETY: an all-zero sigset_t is a valid place for sigemptyset to fill; sigaddset takes
    // numbers of signals that exist.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for s in SIGNALS {
            libc::sigaddset(&mut set, s);
        }
        set
    }
}

/// From now on a signal that would end the process first runs `work`, what was promised last before what was
/// promised first, and ends it then by the same signal. To be called before threads are started: those that run
/// already could be hit themselves.
pub fn on_end(work: impl FnOnce() + Send + 'static) -> io::Result<Owed> {
    let set = set();
    // SAFETY: the set is valid and outlives the call; the old mask is not asked for.
    let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    if let Ok(mut all) = OWED.lock() {
        all.push((number, Box::new(work)));
    }
    let owed = Owed(number);
    let begin = || {
        let thread = std::thread::Builder::new().name("interrupt".into());
        thread.spawn(move || wait(&set)).is_ok()
    };
    if *WAITS.get_or_init(begin) {
        Ok(owed)
    } else {
        Err(io::Error::other("no thread that waits for signals"))
    }
}

fn wait(set: &libc::sigset_t) {
    let mut signal = 0;
    // SAFETY: both are valid for the call; sigwait returns one of the set.
    if unsafe { libc::sigwait(set, &mut signal) } != 0 {
        return;
    }
    loop {
        // Work may take back what others promised: the lock is not held while it runs.
        let last = OWED.lock().ok().and_then(|mut all| all.pop());
        let Some((_, work)) = last else { break };
        work();
    }
    // SAFETY: puts the default action back and lets the signal through to it.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set, std::ptr::null_mut());
        libc::raise(signal);
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Ok(mut all) = OWED.lock() {
            all.retain(|(number, _)| *number != self.0);
        }
    }
}

/// Signals that are read like bytes (signalfd(2)), for work that goes on after them.
pub struct Heard(OwnedFd);

impl AsRawFd for Heard {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// From now on these signals do nothing but wait here. To be called before threads are started.
pub fn hear(signals: &[i32]) -> io::Result<Heard> {
    // SAFETY: an all-zero sigset_t is a valid place for sigemptyset to fill; the set is valid and
    // outlives the calls; the descriptor was just made and has no other owner.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for s in signals {
            libc::sigaddset(&mut set, *s);
        }
        let failed = libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        // What a shell told a background job to ignore would not even wait.
        for s in signals {
            libc::signal(*s, libc::SIG_DFL);
        }
        match libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) {
            fd if fd >= 0 => Ok(Heard(OwnedFd::from_raw_fd(fd))),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Heard {
    /// The next signal that came; does not wait.
    pub fn next(&self) -> Option<i32> {
        // SAFETY: all zeroes is a valid signalfd_siginfo, which is plain numbers; the kernel fills
        // at most its size.
        let (n, info) = unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            let to = std::ptr::from_mut(&mut info).cast();
            (libc::read(self.0.as_raw_fd(), to, size), info)
        };
        (n > 0).then(|| i32::try_from(info.ssi_signo).ok())?
    }
}
