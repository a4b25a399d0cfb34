//! Damaged texts for the small parsers of this room. Those of [`crate::rules`], [`crate::policy`]
//! and [`crate::symptom`] stand beside them.

use crate::growth::{mebibytes, parse_quantity};
use crate::policy::Cidr;
use crate::remedy::quote;
use crate::time;
use netshoot_wire::fuzz;
use std::process::Command;

#[test]
fn a_time_that_is_read_is_written_the_same() {
    let seeds = [
        "2026-11-26T10:57:36.123Z",
        "1969-12-31T23:59:60Z",
        "2024-02-29T00:00:00.123456789Z",
    ];
    let mut read = 0;
    fuzz::texts(&seeds, 60_000, |text| {
        let Some(ms) = time::parse(text) else { return };
        read += 1;
        let written = time::rfc3339(ms);
        assert_eq!(time::parse(&written), Some(ms), "{text}");
        if text.get(17..19) != Some("60") {
            assert_eq!(written.get(..19), text.get(..19), "{text}");
        }
    });
    assert!(read > 100, "{read}");
}

#[test]
fn a_quantity_that_is_read_is_a_number_of_bytes() {
    let seeds = ["64Mi", "1.5G", "12e3", "128974848", "100m", "0.5Ei", "7E"];
    let mut read = 0;
    fuzz::texts(&seeds, 60_000, |text| {
        let Some(bytes) = parse_quantity(text) else {
            return;
        };
        read += 1;
        assert!(bytes <= i64::MAX as u64, "{text}");
        assert_eq!(parse_quantity(&bytes.to_string()), Some(bytes), "{text}");
        if let Some(rounded) = parse_quantity(&mebibytes(bytes)) {
            assert!((bytes..bytes + (1 << 20)).contains(&rounded), "{text}");
        }
    });
    assert!(read > 1000, "{read}");
}

#[test]
fn a_block_of_addresses_that_is_read_is_written_the_same() {
    let seeds = [
        "10.0.0.0/8",
        "0.0.0.0/0",
        "fd00:1::/64",
        "::ffff:10.0.0.1/128",
    ];
    let mut read = 0;
    fuzz::texts(&seeds, 60_000, |text| {
        let Ok(block) = text.parse::<Cidr>() else {
            return;
        };
        read += 1;
        assert_eq!(block.to_string().parse(), Ok(block), "{text}");
    });
    assert!(read > 1000, "{read}");
}

#[test]
fn a_shell_gives_back_every_quoted_word() {
    let seeds = [
        "web-1",
        "svc/cart.shop:8080",
        "x$(id)`id`;id\n'",
        "{\"spec\":{\"a\":[\"it's\"]}}",
        "-n",
        "~/*?[a-z]\\",
        "!x #y &z|<>",
    ];
    let mut words = Vec::new();
    fuzz::texts(&seeds, 4_000, |text| words.push(text.replace('\0', "")));
    for some in words.chunks(200) {
        let script: String = some
            .iter()
            .map(|w| format!("printf '%s\\0' {}\n", quote(w)))
            .collect();
        let out = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
        let text = String::from_utf8(out.stdout).unwrap();
        let back: Vec<&str> = text.split_terminator('\0').collect();
        assert_eq!(back, some);
    }
}
