//! Ctrl-C, hang-up and termination, for work that must tidy up before it ends.

use std::io;
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
