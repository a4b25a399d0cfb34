//! Where facts and answers come from: a live cluster, a running world, a recording, a folder of dumps, this host.

mod dump;
mod live;
mod local;
mod recording;
mod world;

pub use dump::Dump;
pub use live::{How, Live, flags};
pub use local::Local;
pub use recording::{Batch, Recording, Replay, SCHEMA as RECORDING_SCHEMA};
pub use world::World;

use crate::io::Io;
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
