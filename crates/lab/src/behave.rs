//! What runs in a pod: real listeners and real callers, good and bad ones.
//!
//! One process per container, lean: a pod with a memory limit of 32 MiB must spend it on what its
//! behaviour asks for. Threads, blocking sockets, no more of either than the caps below allow.

mod call;
mod grpc;
mod http;
mod listen;
mod memory;
pub(crate) mod resolve;
#[cfg(test)]
mod tests;
mod tls;

use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
#[serde(untagged, try_from = "serde_json::Value")]
pub enum PortFrom {
    /// A number.
    Number(u16),
    /// `env:PORT`
    Named(String),
}

impl TryFrom<serde_json::Value> for PortFrom {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<PortFrom, String> {
        let number = value.as_u64().and_then(|n| u16::try_from(n).ok());
        match (number, value.as_str()) {
            (Some(port), _) => Ok(PortFrom::Number(port)),
            (_, Some(name)) => Ok(PortFrom::Named(name.into())),
            _ => Err(format!(
                "port {value} is neither a number from 1 to 65535 nor env:NAME"
            )),
        }
    }
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
    /// How many make this call, independently of each other.
    #[serde(default = "one")]
    pub callers: u32,
}

fn one() -> u32 {
    1
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

/// Name of the environment variable with the container's memory limit in bytes.
pub const MEMORY_LIMIT: &str = "MEMORY_LIMIT_BYTES";

/// Name of the environment variable with `INDEX/COUNT`: which of its workload's replicas the pod
/// is. Only a container's first process has it.
pub const TURN: &str = "REPLICA_TURN";

/// Stack of a thread that answers one connection, bytes. Untouched pages of it cost nothing.
const STACK: usize = 256 * 1024;

/// What the threads of one container share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Pod name, as `HOSTNAME` tells it.
    name: String,
    /// Closed while the process stands still.
    gate: Gate,
    /// Ends the process with a code.
    end: Sender<i32>,
}

impl Shared {
    /// Logs why and ends the container with code 1, as a program does whose start fails.
    fn fail(&self, why: impl Display) {
        say(format_args!("fatal: {why}"));
        let _ = self.end.send(1);
    }
}

/// The process of one container, until it ends; gives its exit code. SIGTERM ends it at once with
/// code 0.
pub fn run(behaviour: &serde_json::Value, world: Option<UnixStream>) -> i32 {
    match serde_json::from_value::<Behaviour>(behaviour.clone()) {
        Ok(behaviour) => live(behaviour, world),
        Err(e) => {
            say(format_args!("fatal: behaviour: {e}"));
            64
        }
    }
}

fn live(behaviour: Behaviour, world: Option<UnixStream>) -> i32 {
    end_on_sigterm();
    small_pages();
    let name = ["HOSTNAME", "POD_NAME"]
        .iter()
        .find_map(|n| std::env::var(n).ok())
        .unwrap_or_else(|| "pod".into());
    let (end, ended) = mpsc::channel();
    let shared = Arc::new(Shared {
        name,
        gate: Gate::default(),
        end,
    });
    for line in &behaviour.says {
        say(line);
    }
    say(format_args!("{} started", shared.name));
    if let Some(crash) = behaviour.crash.clone() {
        let end = shared.end.clone();
        start("crash", &shared, move |_| {
            std::thread::sleep(Duration::from_millis(crash.after_ms));
            say(format_args!(
                "fatal: unrecoverable error, exit code {}",
                crash.code
            ));
            let _ = end.send(crash.code);
        });
    }
    // Memory first: a program fills its cache before it says that it listens.
    if let Some(memory) = behaviour.memory.clone() {
        let limit = std::env::var(MEMORY_LIMIT)
            .ok()
            .and_then(|v| v.parse().ok());
        let turn = std::env::var(TURN).ok().and_then(|t| memory::turn(&t));
        let mut cache = memory::Cache::new(memory, limit, hash(&shared.name), turn);
        cache.fill();
        start("cache", &shared, move |shared| cache.grow(&shared.gate));
    }
    for listen in behaviour.listen {
        if let Err(why) = listen::start(&listen, &shared) {
            shared.fail(why);
        }
    }
    for call in behaviour.call {
        for _ in 0..call.callers {
            let call = call.clone();
            start("call", &shared, move |shared| {
                call::again_and_again(&call, shared)
            });
        }
    }
    if behaviour.dns {
        let started = match world {
            Some(world) => crate::dns::start(world, shared.end.clone()),
            None => Err("no way to the API".into()),
        };
        if let Err(why) = started {
            shared.fail(why);
        }
    }
    // A sender lives in `shared`, so this waits for ever when nothing ends the container.
    ended.recv().unwrap_or(0)
}

/// A thread that lives as long as the process.
fn start(
    what: &'static str,
    shared: &Arc<Shared>,
    work: impl FnOnce(&Arc<Shared>) + Send + 'static,
) {
    let theirs = shared.clone();
    let thread = std::thread::Builder::new()
        .name(what.into())
        .stack_size(STACK);
    if let Err(e) = thread.spawn(move || work(&theirs)) {
        shared.fail(format_args!("start thread {what}: {e}"));
    }
}

/// One line of the container's log.
pub(crate) fn say(line: impl Display) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// `env:NAME` is what the variable holds, anything else is itself.
fn from_environment(text: &str) -> Result<String, String> {
    match text.strip_prefix("env:") {
        Some(name) => {
            std::env::var(name).map_err(|_| format!("environment variable {name} is not set"))
        }
        None => Ok(text.to_string()),
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A quick source of numbers (xorshift64*): for shares and choices, not for secrets.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Different in every life of the process.
    pub(crate) fn new(seed: u64) -> Random {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos() as u64);
        Random((seed ^ now.rotate_left(17)) | 1)
    }

    /// From 0 to `below - 1`.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % below.max(1)
    }
}

/// What every thread passes before it does something. A process that collects garbage stands
/// still as a whole: nothing is accepted, nothing answered, and the kernel goes on without it.
#[derive(Debug, Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        while *closed {
            closed = self
                .opened
                .wait(closed)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set_closed(&self, now: bool) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.opened.notify_all();
    }
}

fn end_on_sigterm() {
    extern "C" fn end(_: libc::c_int) {
        // SAFETY: _exit is async-signal-safe and takes no pointers.
        unsafe { libc::_exit(0) }
    }
    // SAFETY: the handler does nothing but _exit.
    unsafe { libc::signal(libc::SIGTERM, end as *const () as libc::sighandler_t) };
}

/// Huge pages would take 2 MiB where the behaviour asks for a few KiB.
fn small_pages() {
    // SAFETY: no pointers; a kernel without the option refuses it.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}
