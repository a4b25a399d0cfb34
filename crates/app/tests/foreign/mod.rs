//! A foreign test suite, as a script runs it: by Debian's original and by ours.

use std::path::Path;
use std::process::Command;

/// All numbers of a line.
pub fn numbers(line: &str) -> Vec<usize> {
    let digits = line.split(|c: char| !c.is_ascii_digit());
    digits.filter_map(|n| n.parse().ok()).collect()
}

/// The last line of `scripts/NAME`, which counts; none where it said SKIPPED, and why.
pub fn last_line(script: &str) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../scripts/{script}"));
    let out = Command::new(script)
        .arg(env!("CARGO_BIN_EXE_netshoot"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    println!("{said}");
    if out.status.code() == Some(69) {
        return None;
    }
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    said.lines().last().map(str::to_string)
}

/// Holds `theirs ours share` of the last line against a floor of two numbers: cases that the original passes at least, and
/// per cent of what it passes.
#[allow(dead_code)] // a suite may count in another way
pub fn holds_share(script: &str, floor: &str) {
    let Some(last) = last_line(script) else {
        return;
    };
    let [theirs, ours, share] = numbers(&last)[..] else {
        panic!("{last}");
    };
    let [least, floor] = numbers(floor)[..] else {
        panic!("two numbers: cases that the original passes at least, per cent of these");
    };
    assert!(theirs >= least, "the suite did not run whole: {last}");
    assert!(
        share >= floor && ours * 100 >= theirs * floor,
        "{last}; the floor is {floor} %"
    );
}
