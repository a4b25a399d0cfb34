//! What TCP knows of a connection, in the words of ss.

use super::plan::Plan;
use netshoot_wire::inet_diag::Detail;
use netshoot_wire::tcp_info::TcpInfo;
use std::fmt::Write;

const LISTEN: u8 = 10;
/// A threshold that was never set is far above this.
const NO_THRESHOLD: u32 = 0xffff;
/// Packets that may come out of order before one is taken for lost, when nothing else was learned.
const USUAL_REORDERING: u32 = 3;

/// Adds it to `text`, each figure behind a space.
pub fn figures(state: u8, t: &TcpInfo, detail: &Detail, plan: &Plan, text: &mut String) {
    let exact = plan.numeric;
    let options = plan.timers || plan.extended;
    let mut f = Figures { text, exact };
    for (bit, word) in [
        (1, "ts"),
        (2, "sack"),
        (8, "ecn"),
        (16, "ecnseen"),
        (32, "fastopen"),
    ] {
        f.word(options && t.options & bit != 0, word);
    }
    if let Some(name) = &detail.congestion {
        f.word(true, &crate::report::safe(name));
    }
    if t.options & 4 != 0 {
        f.word(
            true,
            &format!("wscale:{},{}", t.send_scale, t.receive_scale),
        );
    }
    if t.rto > 0 {
        f.word(true, &format!("rto:{}", thousandths(t.rto)));
    }
    f.count("backoff", t.backoff.into());
    if t.rtt > 0 {
        f.word(
            true,
            &format!(
                "rtt:{}/{}",
                thousandths(t.rtt),
                thousandths(t.rtt_variation)
            ),
        );
    }
    if t.ato > 0 {
        f.word(true, &format!("ato:{}", thousandths(t.ato)));
    }
    f.count("mss", t.mss.into());
    f.count("pmtu", t.path_mtu.into());
    f.count("rcvmss", t.receive_mss.into());
    f.count("advmss", t.advertised_mss.into());
    f.count("cwnd", t.window.into());
    if t.threshold < NO_THRESHOLD {
        f.count("ssthresh", t.threshold.into());
    }
    f.count("bytes_sent", t.bytes_sent);
    f.count("bytes_retrans", t.bytes_retrans);
    f.count("bytes_acked", t.bytes_acked);
    f.count("bytes_received", t.bytes_received);
    f.count("segs_out", t.segments_out.into());
    f.count("segs_in", t.segments_in.into());
    f.count("data_segs_out", t.data_segments_out.into());
    f.count("data_segs_in", t.data_segments_in.into());
    f.bbr(detail.bbr);
    f.speed(t);
    f.trouble(state, t);
}

struct Figures<'a> {
    text: &'a mut String,
    exact: bool,
}

impl Figures<'_> {
    fn word(&mut self, said: bool, word: &str) {
        if said {
            self.text.extend([" ", word]);
        }
    }

    fn count(&mut self, name: &str, value: u64) {
        if value > 0 {
            let _ = write!(self.text, " {name}:{value}");
        }
    }

    fn millis(&mut self, name: &str, micros: u32) {
        if micros > 0 && micros < u32::MAX {
            let _ = write!(self.text, " {name}:{}", thousandths(micros));
        }
    }

    fn rate(&self, bits: f64) -> String {
        if self.exact {
            return format!("{bits:.0}bps");
        }
        for (unit, letter) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
            if bits > unit {
                return format!("{}{letter}bps", significant(bits / unit, 3));
            }
        }
        format!("{}bps", significant(bits, 3))
    }

    fn bbr(&mut self, bbr: Option<(u64, u32, u32, u32)>) {
        let Some((bandwidth, rtt, pacing, window)) = bbr else {
            return;
        };
        let rate = self.rate(bandwidth as f64 * 8.0);
        let _ = write!(self.text, " bbr:(bw:{rate},mrtt:{}", thousandths(rtt));
        for (name, gain) in [("pacing_gain", pacing), ("cwnd_gain", window)] {
            if gain > 0 {
                let _ = write!(
                    self.text,
                    ",{name}:{}",
                    significant(f64::from(gain) / 256.0, 6)
                );
            }
        }
        self.text.push(')');
    }

    /// How fast it goes.
    fn speed(&mut self, t: &TcpInfo) {
        if t.rtt > 0 && t.mss > 0 && t.window > 0 {
            let bits = f64::from(t.window) * f64::from(t.mss) * 8.0;
            let rate = self.rate(bits * 1e6 / f64::from(t.rtt));
            let _ = write!(self.text, " send {rate}");
        }
        self.count("lastsnd", t.last_sent.into());
        self.count("lastrcv", t.last_received.into());
        self.count("lastack", t.last_ack.into());
        let set = |rate: u64| rate > 0 && rate < u64::MAX;
        if set(t.pacing_rate) {
            let rate = self.rate(t.pacing_rate as f64 * 8.0);
            let _ = write!(self.text, " pacing_rate {rate}");
            if set(t.max_pacing_rate) {
                let most = self.rate(t.max_pacing_rate as f64 * 8.0);
                let _ = write!(self.text, "/{most}");
            }
        }
        if t.delivery_rate > 0 {
            let rate = self.rate(t.delivery_rate as f64 * 8.0);
            let _ = write!(self.text, " delivery_rate {rate}");
        }
        self.count("delivered", t.delivered.into());
        self.count("delivered_ce", t.delivered_ce.into());
        self.word(t.app_limited, "app_limited");
        if t.busy > 0 {
            let _ = write!(self.text, " busy:{}ms", t.busy / 1000);
            for (name, of) in [
                ("rwnd_limited", t.window_limited),
                ("sndbuf_limited", t.buffer_limited),
            ] {
                if of > 0 {
                    let share = 100.0 * of as f64 / t.busy as f64;
                    let _ = write!(self.text, " {name}:{}ms({share:.1}%)", of / 1000);
                }
            }
        }
    }

    /// What was lost and what waits.
    fn trouble(&mut self, state: u8, t: &TcpInfo) {
        self.count("unacked", t.unacked.into());
        if t.retrans > 0 || t.total_retrans > 0 {
            let _ = write!(self.text, " retrans:{}/{}", t.retrans, t.total_retrans);
        }
        self.count("lost", t.lost.into());
        if state != LISTEN {
            self.count("sacked", t.sacked.into());
        }
        self.count("dsack_dups", t.duplicates.into());
        self.count("fackets", t.fackets.into());
        if t.reordering != USUAL_REORDERING {
            self.count("reordering", t.reordering.into());
        }
        self.count("reord_seen", t.reorderings.into());
        self.millis("rcv_rtt", t.receive_rtt);
        self.count("rcv_space", t.receive_space.into());
        self.count("rcv_ssthresh", t.receive_threshold.into());
        self.count("notsent", t.not_sent.into());
        self.millis("minrtt", t.least_rtt);
        self.count("rcv_ooopack", t.out_of_order.into());
        self.count("snd_wnd", t.send_window.into());
    }
}

/// Microseconds as milliseconds.
fn thousandths(micros: u32) -> String {
    significant(f64::from(micros) / 1000.0, 6)
}

/// As C's `%g` writes it: so many significant figures, no zeroes at the end.
fn significant(value: f64, figures: usize) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let scientific = format!("{value:.*e}", figures.saturating_sub(1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    };
    let most = i32::try_from(figures).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= most {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let places = usize::try_from(most - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.places$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_c_writes_them() {
        for (value, figures, wanted) in [
            (0.028, 6, "0.028"),
            (204.0, 6, "204"),
            (2.886_718_75, 6, "2.88672"),
            (1_234_567.0, 6, "1.23457e+06"),
            (70.849, 3, "70.8"),
            (999.6, 3, "1e+03"),
            (0.000_012, 6, "1.2e-05"),
            (0.0, 6, "0"),
        ] {
            assert_eq!(significant(value, figures), wanted);
        }
    }
}
