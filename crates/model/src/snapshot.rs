//! All facts read from the Kubernetes side: when, from where, with whose rights, and what could
//! not be read.

use crate::object::Object;
use crate::text::{Lang, Text};
use serde::{Deserialize, Serialize};

/// The schema word of this version.
pub const SCHEMA: &str = "netshoot.snapshot/1";

/// Facts at one moment. A bug report, a fixture and an offline run are the same file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSnapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// Milliseconds since 1970-01-01 UTC. The only clock the model knows.
    pub taken_at_ms: u64,
    /// Where the facts come from, in words: `cluster kind-1`, `dump ./out`, `this host`.
    pub source: String,
    /// Whose rights the facts were read with.
    pub identity: String,
    /// What could not be read, and why.
    pub gaps: Vec<Gap>,
    /// The objects, sorted by kind, namespace, name.
    pub objects: Vec<Object>,
}

/// Something that could not be read or asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// What was wanted: `NetworkPolicies in production`, `sockets of pod production/cart-1`.
    pub what: Text,
    /// The missing right, tool or thing.
    pub missing: Text,
    /// The command or change that would give it; may be empty.
    pub how_to_get: Text,
}

impl Gap {
    /// The same with its words in one language.
    pub fn settle(&self, lang: Lang) -> Gap {
        Gap {
            what: self.what.settle(lang),
            missing: self.missing.settle(lang),
            how_to_get: self.how_to_get.settle(lang),
        }
    }
}

impl ClusterSnapshot {
    /// An empty snapshot, to be filled by a collector.
    pub fn new(source: &str, identity: &str, taken_at_ms: u64) -> Self {
        ClusterSnapshot {
            schema: SCHEMA.into(),
            taken_at_ms,
            source: source.into(),
            identity: identity.into(),
            gaps: Vec::new(),
            objects: Vec::new(),
        }
    }
}
