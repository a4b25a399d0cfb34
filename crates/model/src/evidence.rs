//! Answers as a set the engine can look into, and evidence as the report shows it.

use crate::probe::{Answer, Answered, Probe};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All answers so far, sorted by question, so that the order of arrival does not matter.
#[derive(Clone, Debug, Default)]
pub struct EvidenceSet(BTreeMap<Probe, Answered>);

impl EvidenceSet {
    /// Adds answers; a later answer to the same question replaces the earlier.
    pub fn add(&mut self, batch: impl IntoIterator<Item = Answered>) {
        for a in batch {
            self.0.insert(a.probe.clone(), a);
        }
    }

    /// The answer to a question, if it was asked.
    pub fn get(&self, probe: &Probe) -> Option<&Answered> {
        self.0.get(probe)
    }

    /// All answers in order of their questions.
    pub fn iter(&self) -> impl Iterator<Item = &Answered> {
        self.0.values()
    }

    /// Answers that are gaps.
    pub fn gaps(&self) -> impl Iterator<Item = &Answered> {
        self.iter()
            .filter(|a| matches!(a.answer, Answer::CouldNotAsk { .. }))
    }
}

/// One observation: says what was seen, never what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// `e1`, `e2`, ... in the order of the report.
    pub id: String,
    /// The hop it speaks of.
    pub hop: String,
    /// Where it comes from: `Service production/cart spec.selector`, `probe tcp_connect`.
    pub source: String,
    /// What was seen, one line.
    pub value: String,
    /// When, RFC 3339 with milliseconds.
    pub seen_at: String,
    /// From where: `pod production/web-1`, `node a`, `api`.
    pub seen_from: String,
}
