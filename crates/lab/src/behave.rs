//! What runs in a pod: real listeners and real callers, good and bad ones.

use serde::{Deserialize, Serialize};

/// What one container does. Where a number or address is written `env:NAME`, the container's own
/// environment decides, so that a pod's spec can be wrong in the ways people get it wrong.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// Listeners.
    pub listen: Vec<Listen>,
    /// Calls it makes for as long as it lives.
    pub call: Vec<Call>,
    /// Memory it takes.
    pub memory: Option<Memory>,
    /// Ends with this code after this many milliseconds.
    pub crash: Option<Crash>,
    /// Lines it logs when it starts.
    pub says: Vec<String>,
    /// Answers DNS as CoreDNS does (container of the cluster's DNS); the Corefile comes from its ConfigMap.
    pub dns: bool,
}

/// A number or the name of an environment variable that holds one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortFrom {
    /// A number.
    Number(u16),
    /// `env:PORT`
    Named(String),
}

/// One listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Port.
    pub port: PortFrom,
    /// Address to bind, `::` (both families) when not given; may be `env:BIND`.
    #[serde(default)]
    pub address: String,
    /// `http`, `https`, `tcp` (echo), `udp` (echo), `grpc-health`.
    pub serve: String,
    /// Delay before each answer, milliseconds.
    #[serde(default)]
    pub slow_ms: u64,
    /// Accepts and never answers.
    #[serde(default)]
    pub stall: bool,
    /// HTTP status of every answer.
    #[serde(default)]
    pub status: Option<u16>,
    /// Bytes of each answer's body.
    #[serde(default)]
    pub body_bytes: u32,
    /// listen(2) backlog.
    #[serde(default)]
    pub backlog: Option<u32>,
    /// Directory with `tls.crt` and `tls.key` (a Secret volume), for `https`.
    #[serde(default)]
    pub certificate: String,
    /// Refuses (closes with RST) this many of 100 connections.
    #[serde(default)]
    pub reset_percent: u32,
    /// Path that answers 503, so that readiness fails; empty for none.
    #[serde(default)]
    pub failing_path: String,
}

/// A call made again and again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// URL (`http://auth-service:8080/health`, `tcp://...`, `udp://...`), or `env:NAME`.
    pub url: String,
    /// Pause between calls, milliseconds.
    pub every_ms: u64,
    /// Patience, milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Request body bytes.
    #[serde(default)]
    pub body_bytes: u32,
}

/// Memory, as a cache takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Taken at start, MiB.
    pub base_mib: u32,
    /// Distinct items the cache may come to hold: the working set is bounded by them. 0 with `leak`.
    #[serde(default)]
    pub items: u32,
    /// Size of an item, KiB.
    pub item_kib: u32,
    /// Items touched a second by the work itself (a random one each, taken when not yet held).
    pub per_second: u32,
    /// Never gives back, never repeats: grows without bound.
    #[serde(default)]
    pub leak: bool,
    /// Near the limit the process stalls (collects garbage) before it grows further: from this
    /// percent of the limit on ...
    #[serde(default)]
    pub stall_percent: u32,
    /// ... it stops accepting for this long, then grows over the limit.
    #[serde(default)]
    pub stall_ms: u64,
}

/// An end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// When.
    pub after_ms: u64,
    /// Exit code.
    pub code: i32,
}

/// Does it, in the process of a container, until it is killed or its plan ends; gives the exit code.
pub fn run(_behaviour: &serde_json::Value) -> i32 {
    0
}
