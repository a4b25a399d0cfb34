//! A laptop's own network: nothing is asked from there. What a laptop reaches says little of what a pod reaches, and the
//! ways to ask are Linux's.

use super::Access;
use crate::clock;
use anyhow::Result;
use netshoot_model::probe::{Answer, Answered, Probe};
use netshoot_model::snapshot::ClusterSnapshot;
use netshoot_model::text;
use std::sync::Arc;

/// This machine, which is not asked.
pub struct Local;

impl Access for Local {
    fn snapshot(&mut self) -> Result<Arc<ClusterSnapshot>> {
        let now = clock::now_ms();
        Ok(Arc::new(ClusterSnapshot::new(
            "this host",
            "this user",
            now,
        )))
    }

    fn ask(&mut self, asked: &[Probe]) -> Result<Vec<Answered>> {
        let answer = || Answer::CouldNotAsk {
            why: "this build for laptops asks nothing from its own machine".into(),
            missing: text!(
                "a place to ask from: the build for laptops asks only in clusters",
                "可发起探测的位置：笔记本版本只在集群内探测"
            ),
            how_to_get: text!(
                "ask from a pod with --from pod/NAME, or run netshoot on a Linux host",
                "用 --from pod/NAME 从 Pod 发起，或在 Linux 主机上运行 netshoot"
            ),
        };
        let unanswered = asked.iter().map(|p| Answered {
            probe: p.clone(),
            at_ms: clock::now_ms(),
            took_ms: 0,
            answer: answer(),
        });
        Ok(unanswered.collect())
    }
}
