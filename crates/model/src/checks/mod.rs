//! The shelf of checks: one file each.
//!
//! To add one: a file with a `pub const CHECK: Check`, its `mod` line and its line in [`ALL`]; the
//! laws in `laws.rs` say what else is missing.

mod accept_queue_overflows;
mod memory;
mod memory_grows_without_bound;
mod memory_limit_below_working_set;

#[cfg(test)]
mod laws;

use crate::check::Check;

/// Every check, in the order of the walk.
pub const ALL: &[&Check] = &[
    &accept_queue_overflows::CHECK,
    &memory_limit_below_working_set::CHECK,
    &memory_grows_without_bound::CHECK,
];
