//! This host, without any Kubernetes: link, route, name, port, TLS, HTTP.

use super::Access;
use crate::clock;
use anyhow::Result;
use netshoot_host::probes::{self, Place};
use netshoot_model::probe::{Answered, Probe};
use netshoot_model::snapshot::ClusterSnapshot;
use std::sync::Arc;

/// This host.
pub struct Local;

impl Access for Local {
    fn snapshot(&mut self) -> Result<Arc<ClusterSnapshot>> {
        Ok(Arc::new(ClusterSnapshot::new(
            "this host",
            "this user",
            clock::now_ms(),
        )))
    }

    fn ask(&mut self, asked: &[Probe]) -> Result<Vec<Answered>> {
        Ok(std::thread::scope(|scope| {
            let running: Vec<_> = asked
                .iter()
                .map(|p| scope.spawn(move || probes::ask(p, &Place { resolv_conf: None })))
                .collect();
            running.into_iter().filter_map(|t| t.join().ok()).collect()
        }))
    }
}
