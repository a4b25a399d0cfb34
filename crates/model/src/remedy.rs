//! What to do, as values. The printed command line is made from the value, and what is applied is
//! the same value.

use crate::object::ObjectRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One step of a remedy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A merge patch (RFC 7386; lists replaced whole) on one object.
    Patch {
        /// The object.
        object: ObjectRef,
        /// Strategic merge for lists keyed by name (`containers`, `ports`), as kubectl does by default.
        strategic: bool,
        /// The patch.
        patch: Value,
    },
    /// Delete an object; its controller makes it anew.
    Delete {
        /// The object.
        object: ObjectRef,
    },
    /// A command on a node, argv.
    OnNode {
        /// Node name.
        node: String,
        /// Words.
        argv: Vec<String>,
    },
    /// A question only a person can answer.
    Ask {
        /// The question.
        question: String,
    },
}

/// What to do about one cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// May be applied without a person looking at it first.
    pub safe: bool,
    /// Why this, and what it costs.
    pub because: String,
    /// Steps in order.
    pub steps: Vec<Step>,
}
