//! How fast a body may go, and whether it is too slow.

use std::time::{Duration, Instant};

/// Keeps to a limit, and knows when it is too slow.
pub(super) struct Pace {
    began: Instant,
    pub(super) bytes: u64,
    slow_since: Option<Instant>,
    last: (Instant, u64),
}

impl Pace {
    pub(super) fn new() -> Pace {
        let now = Instant::now();
        Pace {
            began: now,
            bytes: 0,
            slow_since: None,
            last: (now, 0),
        }
    }

    /// How long nothing should be moved.
    pub(super) fn rest(&self, limit: Option<u64>) -> Duration {
        let Some(limit) = limit.filter(|l| *l > 0) else {
            return Duration::ZERO;
        };
        let due = Duration::from_secs_f64(self.bytes as f64 / limit as f64);
        due.saturating_sub(self.began.elapsed())
    }

    pub(super) fn too_slow(&mut self, slow: Option<(u64, u64)>) -> bool {
        let Some((least, seconds)) = slow else {
            return false;
        };
        let (at, bytes) = self.last;
        let spent = at.elapsed();
        if spent < Duration::from_secs(1) {
            return self
                .slow_since
                .is_some_and(|s| s.elapsed() >= Duration::from_secs(seconds));
        }
        let speed = (self.bytes - bytes) as f64 / spent.as_secs_f64();
        self.last = (Instant::now(), self.bytes);
        match speed < least as f64 {
            true => {
                let since = *self.slow_since.get_or_insert(at);
                since.elapsed() >= Duration::from_secs(seconds)
            }
            false => {
                self.slow_since = None;
                false
            }
        }
    }
}
