//! curl's own test suite, as `scripts/foreign-curl` runs it: by Debian's curl and by ours. The suite
//! comes by apt-get when the test runs and is never kept here.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::process::Command;

/// What may not get worse: so many of the cases that curl passes must be passed, in per cent.
const FLOOR: &str = include_str!("foreign_curl.floor");

#[test]
fn our_curl_passes_what_curl_passes_of_its_own_suite() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/foreign-curl");
    let out = Command::new(script)
        .arg(env!("CARGO_BIN_EXE_netshoot"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    println!("{said}");
    if out.status.code() == Some(69) {
        return; // it said SKIPPED, and why
    }
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let numbers = |line: &str| -> Vec<usize> {
        let digits = line.split(|c: char| !c.is_ascii_digit());
        digits.filter_map(|n| n.parse().ok()).collect()
    };
    let last = said.lines().last().unwrap();
    let [theirs, ours, share] = numbers(last)[..] else {
        panic!("{last}");
    };
    let [least, floor] = numbers(FLOOR)[..] else {
        panic!("two numbers: cases that curl passes at least, per cent of these");
    };
    assert!(theirs >= least, "the suite did not run whole: {last}");
    assert!(
        share >= floor && ours * 100 >= theirs * floor,
        "{last}; the floor is {floor} %"
    );
}
