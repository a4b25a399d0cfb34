//! The shelf of checks: one file each.
//!
//! To add one: a file with a `pub const CHECK: Check`, its `mod` line and its line in [`ALL`]; the
//! laws at the end of this file say what else is missing.

use crate::check::Check;

/// Every check, in the order of the walk.
pub const ALL: &[&Check] = &[];
