//! A network namespace held by a descriptor, never by a name: when the last holder is gone, the
//! kernel takes it away.

use crate::Error;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

/// A network namespace.
#[derive(Debug)]
pub struct NetNs {
    fd: OwnedFd,
}

impl NetNs {
    /// A new, empty namespace (only a downed `lo`). Needs CAP_SYS_ADMIN in the current user
    /// namespace.
    pub fn new() -> Result<NetNs, Error> {
        // A thread of its own: unshare(2) moves only the calling thread.
        std::thread::spawn(|| {
            // SAFETY: unshare takes no pointers; it changes only this thread, which ends below.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                return Err(Error::last("create network namespace", "this process"));
            }
            NetNs::current()
        })
        .join()
        .unwrap_or_else(|_| {
            Err(Error::Absent {
                what: "a thread for a new namespace".into(),
            })
        })
    }

    /// The namespace of the calling thread.
    pub fn current() -> Result<NetNs, Error> {
        NetNs::open("/proc/thread-self/ns/net")
    }

    /// The namespace behind a path such as `/proc/PID/ns/net`.
    pub fn open(path: &str) -> Result<NetNs, Error> {
        let file = File::open(path).map_err(|source| Error::System {
            tried: "open network namespace",
            on: path.into(),
            source,
        })?;
        Ok(NetNs { fd: file.into() })
    }

    /// Runs `work` on a fresh thread inside this namespace and waits for it. Sockets made there
    /// stay in this namespace whoever uses them later.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.set_current()?;
                    Ok(work())
                })
                .join()
                .unwrap_or_else(|_| {
                    Err(Error::Absent {
                        what: "the thread inside the namespace (it panicked)".into(),
                    })
                })
        })
    }

    /// Moves the calling thread into this namespace, for good.
    pub fn set_current(&self) -> Result<(), Error> {
        // SAFETY: the descriptor is open for as long as self lives; setns takes no pointers.
        if unsafe { libc::setns(self.fd.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(Error::last("enter network namespace", "this thread"));
        }
        Ok(())
    }

    /// The descriptor, to hand to a child or to the kernel.
    pub fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}
