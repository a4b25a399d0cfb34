//! Ctrl-C, hang-up and termination, for work that must tidy up before it ends. What `netshoot_host::interrupt` does with
//! Linux's own signals, for laptops of any kind.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

type Work = Box<dyn FnOnce() + Send>;

/// The exit code after Ctrl-C, as shells show it: 128 + SIGINT.
const STOPPED: i32 = 130;

/// All that is owed, in order of promise.
static OWED: Mutex<Vec<(u64, Work)>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);
static WAITS: OnceLock<bool> = OnceLock::new();

/// Tidying up that is owed. Taken back when it is dropped.
pub struct Owed(u64);

/// From now on what would end the process first runs `work`, what was promised last before what was promised first.
pub fn on_end(work: impl FnOnce() + Send + 'static) -> io::Result<Owed> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    if let Ok(mut all) = OWED.lock() {
        all.push((number, Box::new(work)));
    }
    let owed = Owed(number);
    if *WAITS.get_or_init(|| ctrlc::set_handler(end).is_ok()) {
        Ok(owed)
    } else {
        Err(io::Error::other("nobody tells of Ctrl-C here"))
    }
}

/// Does what is owed, and ends the process: who listens takes the place of the system's own action.
#[allow(clippy::exit)]
fn end() {
    loop {
        // Work may take back what others promised: the lock is not held while it runs.
        let last = OWED.lock().ok().and_then(|mut all| all.pop());
        let Some((_, work)) = last else { break };
        work();
    }
    std::process::exit(STOPPED);
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Ok(mut all) = OWED.lock() {
            all.retain(|(number, _)| *number != self.0);
        }
    }
}
