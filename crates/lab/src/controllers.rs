//! Deployments, ReplicaSets, EndpointSlices, nodes: objects that follow from objects.
//!
//! One pass looks at everything and changes what differs; passes repeat whenever the store has
//! changed. Real controllers work from queues and come to the same end.

pub mod admission;
pub mod certificates;
pub mod deployments;
pub mod garbage;
pub mod nodes;
pub mod replicas;
pub mod scheduler;
pub mod sets;
pub mod slices;
pub mod system;

use crate::store::Store;
use crate::world::Plan;
use serde_json::{Value, json};

/// What a pass needs to know beside the objects.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// The objects.
    pub store: &'a Store,
    /// Pace and placement.
    pub plan: &'a Plan,
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// How long a node's kubelet has said nothing, milliseconds.
    pub silent_ms: &'a dyn Fn(&str) -> u64,
    /// The authority that signs the world's certificates.
    pub authority: &'a certificates::Authority,
}

/// One pass of every controller.
pub fn pass(pass: &Pass<'_>) {
    garbage::pass(pass.store);
    certificates::pass(pass);
    deployments::pass(pass);
    replicas::pass(pass);
    sets::pass(pass);
    scheduler::pass(pass);
    nodes::pass(pass);
    slices::pass(pass);
}

/// Conditions with `lastTransitionTime` kept where the status did not change. `new` are type,
/// status, reason, message.
pub fn conditions(
    old: &[Value],
    new: &[(&str, &str, &str, String)],
    now: &str,
    update_key: Option<&str>,
) -> Value {
    let made = new.iter().map(|(kind, status, reason, message)| {
        let before = old.iter().find(|c| crate::shape::text(c, "type") == *kind);
        let same = before.is_some_and(|c| crate::shape::text(c, "status") == *status);
        let since = before
            .filter(|_| same)
            .map_or(now, |c| crate::shape::text(c, "lastTransitionTime"));
        let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": since});
        if !reason.is_empty() {
            condition["reason"] = json!(reason);
        }
        if !message.is_empty() {
            condition["message"] = json!(message);
        }
        if let Some(key) = update_key {
            let unchanged = same
                && before.is_some_and(|c| {
                    crate::shape::text(c, "message") == message
                        && crate::shape::text(c, "reason") == *reason
                });
            condition[key] = json!(
                before
                    .filter(|_| unchanged)
                    .map_or(now, |c| crate::shape::text(c, key))
            );
        }
        condition
    });
    Value::Array(made.collect())
}

#[cfg(test)]
mod tests;
