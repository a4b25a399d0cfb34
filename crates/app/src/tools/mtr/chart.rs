//! The chart of mtr's screen: a letter for each of the last probes, by how long it took.

use super::figures::Hop;

/// What stands for a time, from short to long; each has its bound but for the last.
const LETTERS: [char; 8] = ['.', '1', '2', '3', 'a', 'b', 'c', '>'];
const LOST: char = '?';

/// Up to which microseconds each letter goes: closer together where times are short.
pub struct Scale([f64; LETTERS.len() - 1]);

impl Scale {
    /// Between the shortest and the longest time of all.
    pub fn of<'h>(hops: impl Iterator<Item = &'h Hop>) -> Scale {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for micros in hops.flat_map(|h| h.pings.iter()).filter_map(|p| p.1) {
            (low, high) = (low.min(micros), high.max(micros));
        }
        let low = low.min(high);
        Scale(std::array::from_fn(|at| {
            let share = (at + 1) as f64 / LETTERS.len() as f64;
            low + (high - low) * share * share
        }))
    }

    /// What it means.
    pub fn line(&self) -> String {
        let each = LETTERS.iter().zip(self.0);
        let each = each.map(|(letter, to)| format!("  {letter}:{} ms", (to / 1000.0) as u64));
        format!("Scale:{}  >", each.collect::<String>())
    }

    /// The last probes of a hop, in so much room, the newest at the right. Without latency it is shown which ones took
    /// longest, no more.
    pub fn letters(&self, hop: &Hop, room: usize, latency: bool) -> String {
        let behind = hop.pings.len().saturating_sub(room);
        let newest = hop.pings.len().saturating_sub(1);
        let all = hop.pings.iter().enumerate().skip(behind);
        let letters = all.map(|(at, (_, took))| match took {
            None if at == newest && hop.transit > 0 => ' ',
            None => LOST,
            Some(micros) => {
                let at = self.0.iter().position(|to| micros <= to);
                match (at, latency) {
                    (Some(at), true) => LETTERS.get(at).copied().unwrap_or(LOST),
                    (Some(_), false) => LETTERS[0],
                    (None, _) => LETTERS[LETTERS.len() - 1],
                }
            }
        });
        let letters: String = letters.collect();
        format!("{letters:>room$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_letters_the_newest_at_the_right() {
        let mut hop = Hop::default();
        for (number, ms) in (0..).zip([0, 10, 20, 40, 64, 0, 63, 0]) {
            hop.asked(number);
            if ms > 0 || number == 0 {
                hop.answered(number, f64::from(ms) * 1000.0);
            }
        }
        let scale = Scale::of([&hop].into_iter());
        assert_eq!(
            scale.line(),
            "Scale:  .:1 ms  1:4 ms  2:9 ms  3:16 ms  a:25 ms  b:36 ms  c:49 ms  >"
        );
        assert_eq!(scale.letters(&hop, 10, true), "  .3ac>?>?");
        assert_eq!(scale.letters(&hop, 4, false), ">?>?");
        hop.transit = 1;
        assert_eq!(scale.letters(&hop, 4, false), ">?> ");
        let none = Scale::of(std::iter::empty());
        assert!(none.line().starts_with("Scale:  .:0 ms"), "{}", none.line());
    }
}
