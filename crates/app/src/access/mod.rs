//! Where facts and answers come from: a live cluster, a running world, a recording, a folder of dumps, this host.

mod dump;
mod live;
#[cfg(feature = "node")]
mod local;
#[cfg(not(feature = "node"))]
mod nobody;
mod recording;
#[cfg(feature = "node")]
mod world;

pub use dump::Dump;
pub use live::{How, Live, flags};
#[cfg(feature = "node")]
pub use local::Local;
#[cfg(not(feature = "node"))]
pub use nobody::Local;
pub use recording::{Batch, Recording, Replay, SCHEMA as RECORDING_SCHEMA};
#[cfg(feature = "node")]
pub use world::World;

use crate::io::Io;
#[cfg(not(feature = "node"))]
use crate::wrong::Wrong;
use anyhow::Result;
use netshoot_model::probe::{Answered, Probe};
use netshoot_model::remedy::Step;
use netshoot_model::snapshot::ClusterSnapshot;
use std::sync::Arc;

/// A way to the facts.
pub trait Access {
    /// All objects, now.
    fn snapshot(&mut self) -> Result<Arc<ClusterSnapshot>>;

    /// Makes ready for a batch: says what that takes, asks a person where it must.
    fn prepare(&mut self, _probes: &[Probe], _io: &mut Io<'_>) -> Result<()> {
        Ok(())
    }

    /// Answers to a batch, all asked together; one for each question.
    fn ask(&mut self, probes: &[Probe]) -> Result<Vec<Answered>>;

    /// Carries out one step of a remedy.
    fn apply(&mut self, step: &Step) -> Result<()> {
        let what = step.command().unwrap_or_default();
        anyhow::bail!("apply: {what}: only a world can be changed from here; see netshoot lab list")
    }
}

/// A world runs around this process.
pub fn in_a_world() -> bool {
    #[cfg(feature = "node")]
    return World::around().is_some();
    #[cfg(not(feature = "node"))]
    false
}

/// The world around this process, else this host.
#[cfg(feature = "node")]
pub fn around() -> Result<Box<dyn Access>> {
    Ok(match World::around() {
        Some(w) => Box::new(w),
        None => Box::new(Local),
    })
}

/// Nothing: a laptop's half asks in clusters.
#[cfg(not(feature = "node"))]
pub fn around() -> Result<Box<dyn Access>> {
    Err(Wrong::usage(
        "there is no kubeconfig, and this build for laptops asks nothing from its own machine: name one with --kubeconfig or KUBECONFIG, or give --dump or --snapshot",
    ))
}
