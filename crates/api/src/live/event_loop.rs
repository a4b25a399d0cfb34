//! The one place where asynchronous code runs: an event loop on a thread of its own, and a way to
//! wait for it. kube knows only this way; everything else here is threads.

use super::error::Error;
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

/// An event loop on its own thread; it ends with the last clone.
#[derive(Clone)]
pub(super) struct EventLoop(Arc<Inner>);

struct Inner {
    handle: Handle,
    end: Arc<Notify>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end.notify_one();
    }
}

impl EventLoop {
    /// Starts it.
    pub fn start() -> Result<EventLoop, Error> {
        let failed = |why: std::io::Error| Error::Runtime {
            why: why.to_string(),
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let end = Arc::new(Notify::new());
        let asked_to_end = Arc::clone(&end);
        std::thread::Builder::new()
            .name("api-client".into())
            .spawn(move || {
                runtime.block_on(asked_to_end.notified());
                // Threads that look names up may hang in the resolver: nobody waits for them.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(EventLoop(Arc::new(Inner { handle, end })))
    }

    /// Waits for a piece of work. Never called from the loop itself.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.handle.block_on(work)
    }

    /// Has a piece of work done beside everything else; nobody waits for it.
    pub fn start_work(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.handle.spawn(work);
    }

    /// Makes `spawn` find this loop while the guard lives.
    pub fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.0.handle.enter()
    }
}
