//! Ctrl-C, hang-up and termination, for work that must tidy up before it ends.

use std::io;
use std::sync::{Arc, Mutex};

type Work = Box<dyn FnOnce() + Send>;

/// Tidying up that is owed. Taken back when it is dropped; then the signals end the process as
/// ever.
pub struct Owed(Arc<Mutex<Option<Work>>>);

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

/// From now on a signal that would end the process first runs `work`, and ends it then by the same
/// signal. To be called before threads are started: those that run already could be hit themselves.
pub fn on_end(work: impl FnOnce() + Send + 'static) -> io::Result<Owed> {
    let set = set();
    // SAFETY: the set is valid and outlives the call; the old mask is not asked for.
    let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    let owed: Arc<Mutex<Option<Work>>> = Arc::new(Mutex::new(Some(Box::new(work))));
    let held = Arc::clone(&owed);
    std::thread::Builder::new()
        .name("interrupt".into())
        .spawn(move || {
            let mut signal = 0;
            // SAFETY: both point to values of this frame; sigwait returns one of the set.
            if unsafe { libc::sigwait(&set, &mut signal) } != 0 {
                return;
            }
            let work = held.lock().ok().and_then(|mut w| w.take());
            if let Some(work) = work {
                work();
            }
            // SAFETY: puts the default action back and lets the signal through to it.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
                libc::raise(signal);
            }
        })?;
    Ok(Owed(owed))
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Ok(mut work) = self.0.lock() {
            work.take();
        }
    }
}
