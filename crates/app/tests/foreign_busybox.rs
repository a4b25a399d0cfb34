//! Busybox's own test suite for the small tools, as `scripts/foreign` runs it: by Debian's busybox and by ours. The suite
//! comes by apt-get when the test runs and is never kept here.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod foreign;

/// What may not get worse: so many of the cases that busybox passes must be passed, in per cent.
const FLOOR: &str = include_str!("foreign_busybox.floor");

#[test]
fn small_tools_pass_what_busybox_passes_of_its_own_suite() {
    foreign::holds_share("foreign", FLOOR);
}
