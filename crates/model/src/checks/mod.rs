//! The shelf of checks.
