//! What breaks a world: each [`Action`](crate::world::Action) carried out on objects and ground.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Which daemons of which nodes are stopped. All others run.
#[derive(Debug, Default)]
pub struct Daemons {
    stopped: Mutex<BTreeSet<(String, String)>>,
}

impl Daemons {
    /// Whether `kubelet`, `kube-proxy` or `policy-agent` of a node runs. One that does not run does
    /// nothing: what it wrote stays as it is.
    pub fn running(&self, node: &str, name: &str) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        !stopped.contains(&(node.to_string(), name.to_string()))
    }

    /// Stops or starts one.
    pub fn set(&self, node: &str, name: &str, running: bool) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let daemon = (node.to_string(), name.to_string());
        if running {
            stopped.remove(&daemon);
        } else {
            stopped.insert(daemon);
        }
    }
}
