//! What this machine's network is doing: sockets (inet_diag), tracked connections (ctnetlink),
//! counters and sysctls (`/proc`), memory of control groups.
//!
//! Everything is read in the namespace of the calling thread.

pub mod conntrack;
pub mod counters;
pub mod memory;
pub mod owners;
pub mod sockets;
pub mod sysctl;

pub use counters::counters;
pub use memory::read_memory;
pub use sockets::sockets;
pub use sysctl::{set_sysctl, sysctls};
