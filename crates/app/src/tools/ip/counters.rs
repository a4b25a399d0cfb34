//! Counters of a link, as `-s` and `-s -s` show them.

use super::Options;
use super::record::{Json, Record};
use netshoot_wire::rtnl::{Link, LinkStats};
use std::fmt::Write;

/// Adds them to what is shown of a link.
pub fn statistics(r: &mut Record, link: &Link, options: &Options) {
    if options.statistics == 0 {
        return;
    }
    let s: &LinkStats = &link.stats;
    let detailed = options.statistics > 1;
    let rx = [
        ("bytes", "bytes", s.rx_bytes),
        ("packets", "packets", s.rx_packets),
        ("errors", "errors", s.rx_errors),
        ("dropped", "dropped", s.rx_dropped),
        ("missed", "over_errors", s.rx_missed),
        ("mcast", "multicast", s.multicast),
    ];
    let rx_errors = [
        ("length", "length_errors", s.rx_length),
        ("crc", "crc_errors", s.rx_crc),
        ("frame", "frame_errors", s.rx_frame),
        ("fifo", "fifo_errors", s.rx_fifo),
        ("overrun", "missed_errors", s.rx_over),
    ];
    let tx = [
        ("bytes", "bytes", s.tx_bytes),
        ("packets", "packets", s.tx_packets),
        ("errors", "errors", s.tx_errors),
        ("dropped", "dropped", s.tx_dropped),
        ("carrier", "carrier_errors", s.tx_carrier),
        ("collsns", "collisions", s.collisions),
    ];
    let tx_errors = [
        ("aborted", "aborted_errors", s.tx_aborted),
        ("fifo", "fifo_errors", s.tx_fifo),
        ("window", "window_errors", s.tx_window),
        ("heartbt", "heartbeat_errors", s.tx_heartbeat),
        (
            "transns",
            "carrier_changes",
            u64::from(link.carrier_changes),
        ),
    ];
    let mut both = Vec::new();
    for (word, key, main, errors) in [("RX", "rx", rx, rx_errors), ("TX", "tx", tx, tx_errors)] {
        r.text(table(word, &main, if detailed { &errors } else { &[] }));
        let more = errors.iter().filter(|_| detailed);
        let fields = main
            .iter()
            .chain(more)
            .map(|(_, key, n)| (*key, Json::from(*n)));
        both.push((key, Json::Object(fields.collect())));
    }
    r.fields.push(("stats64", Json::Object(both)));
}

/// Counters below their headings, each column as wide as the longer of both.
fn table(word: &str, main: &[(&str, &str, u64)], errors: &[(&str, &str, u64)]) -> String {
    let least = [10, 7, 6, 7, 7, 7];
    let mut widths: Vec<usize> = least.to_vec();
    for (at, width) in widths.iter_mut().enumerate() {
        let below = at.checked_sub(1).and_then(|a| errors.get(a));
        for n in main.get(at).into_iter().chain(below).map(|c| c.2) {
            *width = (*width).max(n.to_string().len());
        }
    }
    let width = |at: usize| widths.get(at).copied().unwrap_or(7);
    let mut text = format!("\n    {word}: {:>1$}", "bytes", width(0).saturating_sub(4));
    for (at, (heading, _, _)) in main.iter().enumerate().skip(1) {
        let _ = write!(text, " {heading:>0$}", width(at));
    }
    text.push_str("           \n   ");
    for (at, (_, _, n)) in main.iter().enumerate() {
        let _ = write!(text, " {n:>0$}", width(at));
    }
    text.push(' ');
    if errors.is_empty() {
        return text;
    }
    let _ = write!(text, "\n    {:<1$}", format!("{word} errors:"), width(0));
    for (at, (heading, _, _)) in errors.iter().enumerate() {
        let _ = write!(text, " {heading:>0$}", width(at + 1));
    }
    let _ = write!(text, "\n    {:<1$}", "", width(0));
    for (at, (_, _, n)) in errors.iter().enumerate() {
        let _ = write!(text, " {n:>0$}", width(at + 1));
    }
    text.push(' ');
    text
}
