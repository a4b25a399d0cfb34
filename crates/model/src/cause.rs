//! Findings that share one root: the first broken hop on top, its echoes folded under it.

use crate::check::Check;
use crate::finding::{Finding, State};

/// One cause, with the findings that only echo it.
#[derive(Clone, Debug)]
pub struct Cause {
    /// The finding that explains the rest.
    pub root: Finding,
    /// Findings that the root explains.
    pub echoes: Vec<Finding>,
}

/// Groups findings of one path. A finding is an echo when a check that its own check names in
/// `after` is broken on the same path. Causes come in order of the walk, broken before at risk.
pub fn group(checks: &[&Check], findings: Vec<Finding>) -> Vec<Cause> {
    let explained_by = |f: &Finding| -> Option<&'static str> {
        let check = checks.iter().find(|c| c.id == f.check)?;
        findings
            .iter()
            .find(|g| g.state == State::Broken && check.after.contains(&g.check))
            .map(|g| g.check)
    };
    let parents: Vec<Option<&'static str>> = findings.iter().map(explained_by).collect();
    let mut causes: Vec<Cause> = Vec::new();
    for (f, parent) in findings.iter().zip(&parents) {
        if parent.is_none() {
            causes.push(Cause {
                root: f.clone(),
                echoes: Vec::new(),
            });
        }
    }
    for (f, parent) in findings.iter().zip(&parents) {
        let Some(mut top) = *parent else { continue };
        for _ in 0..findings.len() {
            match findings
                .iter()
                .zip(&parents)
                .find(|(g, _)| g.check == top)
                .and_then(|(_, p)| *p)
            {
                Some(next) => top = next,
                None => break,
            }
        }
        match causes.iter_mut().find(|c| c.root.check == top) {
            Some(c) => c.echoes.push(f.clone()),
            None => causes.push(Cause {
                root: f.clone(),
                echoes: Vec::new(),
            }),
        }
    }
    causes.sort_by(|a, b| {
        let key = |c: &Cause| {
            (
                c.root.state != State::Broken,
                c.root.hop,
                c.root.check,
                c.root.subject.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    causes
}
