//! A folder of `kubectl get -o yaml|json` dumps: facts without a network. Every question to the
//! network is a gap.

use super::Access;
use crate::wrong::Wrong;
use anyhow::Result;
use netshoot_model::probe::{Answer, Answered, Probe};
use netshoot_model::snapshot::ClusterSnapshot;
use netshoot_model::text;
use std::path::PathBuf;
use std::sync::Arc;

/// A folder of dumps.
pub struct Dump {
    /// The folder.
    pub dir: PathBuf,
    /// Time of the facts, milliseconds since 1970: the newest file's.
    pub taken_at_ms: u64,
}

impl Access for Dump {
    fn snapshot(&mut self) -> Result<Arc<ClusterSnapshot>> {
        let snapshot = netshoot_api::read_dump(&self.dir).map_err(Wrong::input)?;
        self.taken_at_ms = snapshot.taken_at_ms;
        Ok(Arc::new(snapshot))
    }

    fn ask(&mut self, probes: &[Probe]) -> Result<Vec<Answered>> {
        let answer = || Answer::CouldNotAsk {
            why: "a dump has no network".into(),
            missing: text!(
                "a network to ask: the facts come from a dump",
                "没有可以探测的网络：事实来自转储文件"
            ),
            how_to_get: text!(
                "run the diagnosis in the cluster, or give a recording with --snapshot",
                "在集群中运行诊断，或用 --snapshot 给出录制文件"
            ),
        };
        Ok(probes
            .iter()
            .map(|p| Answered {
                probe: p.clone(),
                at_ms: self.taken_at_ms,
                took_ms: 0,
                answer: answer(),
            })
            .collect())
    }
}
