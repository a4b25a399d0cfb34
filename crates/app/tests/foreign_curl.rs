//! curl's own test suite, as `scripts/foreign-curl` runs it: by Debian's curl and by ours. The suite
//! comes by apt-get when the test runs and is never kept here.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod foreign;

/// What may not get worse: so many of the cases that curl passes must be passed, in per cent.
const FLOOR: &str = include_str!("foreign_curl.floor");

#[test]
fn our_curl_passes_what_curl_passes_of_its_own_suite() {
    foreign::holds_share("foreign-curl", FLOOR);
}
