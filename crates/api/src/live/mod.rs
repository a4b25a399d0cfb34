//! A live cluster, by blocking calls.
//!
//! Reading order: [`Connect`] (how), [`Cluster`] (what can be asked), [`Error`] (what can go wrong),
//! [`Resource`] (kinds and where they are served), [`Session`] (exec and attach).
//!
//! kube and its event loop are hidden here: no public signature is asynchronous, for the rest of the
//! program is threads.

mod connect;
mod credentials;
mod error;
mod event_loop;
mod pages;
mod pods;
mod proxy;
mod refusal;
mod request;
mod resource;
mod review;
mod session;
#[cfg(test)]
mod tests;
mod watch;
mod words;
mod write;

pub use connect::{Connect, contexts};
pub use error::Error;
pub use pages::Selection;
pub use pods::LogOptions;
pub use resource::{Resource, Served};
pub use review::{Rule, Version};
pub use session::{Exit, Output, Program, Resizer, Session, Stdin};
pub use watch::Change;
pub use words::{Denial, Tried};
pub use write::{Patch, Propagation};

use event_loop::EventLoop;
use kube::Client;
use refusal::Asked;
use std::sync::Arc;
use std::time::Duration;

/// A cluster. Clones share one connection pool; any thread may use it.
#[derive(Clone)]
pub struct Cluster {
    events: EventLoop,
    client: Client,
    about: Arc<About>,
}

struct About {
    asked: Asked,
    namespace: String,
    context: String,
    /// For one request; none is no limit.
    limit: Option<Duration>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({})", self.about.asked.server)
    }
}

impl Cluster {
    /// Reads the kubeconfig, runs its credential plugin where it has one. Sends nothing yet.
    pub fn connect(how: &Connect) -> Result<Cluster, Error> {
        let events = EventLoop::start()?;
        let made = {
            let _inside = events.enter();
            events.wait(connect::connect(how))
        }?;
        let limit = match how.request_timeout {
            None => Some(Duration::from_secs(30)),
            Some(Duration::ZERO) => None,
            given => given,
        };
        Ok(Cluster {
            events,
            client: made.client,
            about: Arc::new(About {
                asked: Asked {
                    server: made.server,
                    user: made.user,
                    proxy: made.proxy,
                    plugin: made.plugin,
                },
                namespace: made.namespace,
                context: made.context,
                limit,
            }),
        })
    }

    /// URL of the API server.
    pub fn server(&self) -> &str {
        &self.about.asked.server
    }

    /// Namespace that is meant where none is named.
    pub fn namespace(&self) -> &str {
        &self.about.namespace
    }

    /// Name of the context; `in-cluster` in a pod.
    pub fn context(&self) -> &str {
        &self.about.context
    }

    /// The user entry of the kubeconfig, and whom it acts as.
    pub fn user(&self) -> &str {
        &self.about.asked.user
    }
}
