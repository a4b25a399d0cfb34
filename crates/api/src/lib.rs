//! Kubernetes: objects from manifests, dumps and recordings, and a live API server.
//!
//! Reading order: [`read_dump`], [`parse`], [`redact`], then [`live`].
//!
//! Deliberately absent: packets, opinions, anything that only Linux has. Asynchronous code is inside
//! [`live`] and nowhere in a signature.

mod dump;
pub mod facts;
#[cfg(test)]
mod fuzz;
pub mod live;
mod redact;

pub use dump::{Error, parse, read_dump};
pub use redact::{redact, redact_texts};

use netshoot_model::snapshot::ClusterSnapshot;

/// Sorts objects and takes secrets out: every snapshot goes through here before anybody sees it.
pub fn tidy(snapshot: &mut ClusterSnapshot) {
    for object in &mut snapshot.objects {
        redact(&mut object.0);
    }
    let key = |o: &netshoot_model::object::Object| {
        (
            o.kind().to_string(),
            o.namespace().to_string(),
            o.name().to_string(),
        )
    };
    snapshot.objects.sort_by_cached_key(key);
    snapshot.objects.dedup_by_key(|o| key(o));
}
