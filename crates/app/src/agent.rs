//! Hands at another place: questions come in as JSON lines, answers go out as JSON lines. It is
//! told what to ask; it decides nothing and remembers nothing.

#[cfg(feature = "node")]
mod serve;

use netshoot_model::probe::{Answered, Probe};
use serde::{Deserialize, Serialize};
#[cfg(feature = "node")]
pub use serve::serve;

/// Number of the protocol. Both ends must have the same.
pub const PROTOCOL: u32 = 1;

/// The first line it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub netshoot_agent: u32,
    /// Version of the program.
    pub version: String,
    /// Capabilities that it has, of those that probes need.
    pub capabilities: Vec<String>,
}

/// A container, as its node knows it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Container {
    /// Name in the pod.
    pub name: String,
    /// Id of the container runtime.
    pub id: String,
    /// Unique id of its pod: the pod's network is there also while the container is not.
    #[serde(default)]
    pub pod: String,
}

/// One line in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Asked {
    /// Comes back with the answer: several lines may be worked on at the same time.
    #[serde(default)]
    pub id: u64,
    /// The questions; none asks for [`Hello`] again (its first may be lost before somebody listens).
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// Ask in the network of this container; none asks where the agent runs.
    #[serde(default)]
    pub inside: Option<Container>,
    /// Containers of which memory is asked.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// Name of the container that the agent itself runs in, where it is one of these.
    #[serde(default)]
    pub own: String,
}

/// One line out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Said {
    /// Which line it answers.
    pub id: u64,
    /// One answer for each question.
    #[serde(default)]
    pub answers: Vec<Answered>,
    /// Why the line could not be followed; empty when it was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}
