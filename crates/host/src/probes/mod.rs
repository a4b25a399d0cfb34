//! The shelf of probes: one file each, run in the namespace of the calling thread.
//!
//! To add one: a file with a `pub const PROBE: Kind`, a `mod` line, a line in [`ALL`]; a law test
//! says what is missing.
