//! fping's own test suite, as `scripts/foreign-fping` runs it: by Debian's fping and by ours. The suite comes by apt-get when
//! the test runs and is never kept here.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod foreign;

/// What may not get worse: so many checks fping itself passes at least, and so many ours.
const FLOOR: &str = include_str!("foreign_fping.floor");

#[test]
fn fping_passes_what_its_original_passes_of_its_own_suite() {
    let Some(last) = foreign::last_line("foreign-fping") else {
        return;
    };
    let [theirs, ours] = foreign::numbers(&last)[..] else {
        panic!("{last}");
    };
    let [least, floor] = foreign::numbers(FLOOR)[..] else {
        panic!("two numbers: checks that fping passes at least, checks that ours pass at least");
    };
    assert!(theirs >= least, "the suite did not run whole: {last}");
    assert!(ours >= floor, "{last}; the floor is {floor}");
}
