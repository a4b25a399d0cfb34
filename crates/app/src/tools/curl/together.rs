//! Transfers that run at once, and their meter: all of them on one line.

use super::shows::{five, hours};
use super::{Run, prepare};
use netshoot_host::memory;
use netshoot_host::web::{Failure, Info, Session};
use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a line is drawn.
const EVERY: Duration = Duration::from_millis(500);
/// So many lines back is the speed measured.
const SAMPLES: usize = 10;
const HEADER: &str = "DL% UL%  Dled  Uled  Xfers  Live Total     Current  Left    Speed\n";

/// One way of one transfer: what went, and of how much.
#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    now: u64,
    whole: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct One {
    down: Moved,
    up: Moved,
    over: bool,
}

/// What all transfers have done so far.
#[derive(Debug)]
pub struct Board {
    began: Instant,
    most: usize,
    each: Mutex<Vec<One>>,
    samples: Mutex<Vec<(Instant, u64, u64)>>,
}

/// Of how much, where each that is under way knows it.
fn known(each: &[One], of: impl Fn(&One) -> Moved) -> Option<u64> {
    let told = |one: &One| one.over || of(one).whole.is_some_and(|w| w > 0);
    let all = each.iter().filter_map(|one| of(one).whole);
    let all = all.fold(0, u64::saturating_add);
    (all > 0 && each.iter().all(told)).then_some(all)
}

fn percent(now: u64, of: Option<u64>) -> String {
    match of {
        Some(of) if of > 0 => format!("{:3}", u128::from(now) * 100 / u128::from(of)),
        _ => "-- ".into(),
    }
}

impl Board {
    /// Of so many transfers, of which `most` run at once.
    pub fn new(transfers: usize, most: usize) -> Board {
        Board {
            began: Instant::now(),
            most,
            each: Mutex::new(vec![One::default(); transfers]),
            samples: Mutex::default(),
        }
    }

    /// How far a transfer is.
    pub fn note(&self, number: usize, info: &Info) {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = each.get_mut(number) {
            one.down = Moved {
                now: info.received,
                whole: info.wanted,
            };
            one.up = Moved {
                now: info.sent,
                whole: info.to_send,
            };
        }
    }

    /// A transfer is over.
    pub fn over(&self, number: usize) {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = each.get_mut(number) {
            one.over = true;
        }
    }

    /// The heading and the first line.
    pub fn first(&self) -> String {
        format!("{HEADER}{}", self.line(false))
    }

    /// The line as it is now.
    pub fn line(&self, last: bool) -> String {
        let each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let over = each.iter().filter(|one| one.over).count();
        let live = match last {
            true => 0,
            false => self.most.min(each.len() - over),
        };
        // One more than can run is made ready.
        let begun = each.len().min(over.saturating_add(self.most) + 1);
        let (mut down, mut up) = (0u64, 0u64);
        for one in each.iter() {
            down = down.saturating_add(one.down.now);
            up = up.saturating_add(one.up.now);
        }
        let running = each.get(..begun).unwrap_or_default();
        let running = running.get(..over + live).unwrap_or(running);
        let (of_down, of_up) = match last {
            true => {
                let ended: Vec<One> = each.iter().map(|o| One { over: true, ..*o }).collect();
                (known(&ended, |o| o.down), known(&ended, |o| o.up))
            }
            false => (known(running, |o| o.down), known(running, |o| o.up)),
        };
        let speed = self.speed(down, up);
        let spent = self.began.elapsed();
        let (total, left) = match of_down.filter(|_| speed > 0) {
            Some(all) => {
                let total = all as f64 / speed as f64;
                (total as u64, (total - spent.as_secs_f64()).max(0.0) as u64)
            }
            None => (0, 0),
        };
        format!(
            "\r{} {} {} {} {begun:5} {live:5}  {} {} {} {} {:>5}",
            percent(down, of_down),
            percent(up, of_up),
            five(down),
            five(up),
            hours(total),
            hours(spent.as_secs()),
            hours(left),
            five(speed),
            if last { "\n" } else { "" },
        )
    }

    /// Bytes a second of the way on which more goes.
    fn speed(&self, down: u64, up: u64) -> u64 {
        let now = Instant::now();
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, down0, up0) = match samples.first() {
            Some(oldest) if samples.len() >= SAMPLES => *oldest,
            _ => (self.began, 0, 0),
        };
        samples.push((now, down, up));
        if samples.len() > SAMPLES {
            samples.remove(0);
        }
        let moved = down.saturating_sub(down0).max(up.saturating_sub(up0));
        (moved as f64 / now.duration_since(at).as_secs_f64().max(0.001)) as u64
    }
}

impl Run<'_, '_, '_> {
    /// All transfers, so many at once as were asked for; gives the exit code of the last that failed.
    pub(super) fn at_once(&self, session: &Session) -> i32 {
        // Twice: a thousand of them need not lie in memory until their turn comes.
        let jobs = || {
            let of = |part| prepare::jobs(part).map(move |job| (part, job));
            self.parts.iter().flat_map(of)
        };
        let (mut count, mut shown) = (0, false);
        for (_, job) in jobs() {
            match job {
                Ok(job) => {
                    count += 1;
                    shown |= job.out.output.is_none() && !job.out.remote_name;
                }
                // Nothing is begun where one cannot be; the original says so for each that was ready.
                Err(failure) => {
                    let code = self.failed_early(&failure);
                    for _ in 0..count {
                        self.told(&Err(Failure::plain(code)));
                    }
                    return code;
                }
            }
        }
        let most = self.global.parallel_max.min(count);
        // Content that a terminal shows leaves no room for a meter.
        shown &= io::stdout().is_terminal();
        let board = (self.global.meter && !shown).then(|| Board::new(count, most));
        if let Some(board) = &board {
            self.say(&board.first());
        }
        let jobs = jobs().filter_map(|(part, job)| Some((part, job.ok()?)));
        let jobs = Mutex::new(jobs.enumerate());
        let (failed, stop) = (Mutex::new(0), AtomicBool::new(false));
        memory::share_heap();
        std::thread::scope(|scope| {
            let (working, all_done) = mpsc::channel::<()>();
            for _ in 0..most {
                let working = working.clone();
                let (failed, stop, jobs) = (&failed, &stop, &jobs);
                let board = board.as_ref();
                scope.spawn(move || {
                    let _working = working;
                    let mut own = session.beside();
                    while !stop.load(Ordering::Relaxed) {
                        let next = jobs.lock().ok().and_then(|mut jobs| jobs.next());
                        let Some((at, (part, job))) = next else {
                            return;
                        };
                        let code = self.one(&mut own, part, &job, at as u64, board);
                        if let Some(board) = board {
                            board.over(at);
                        }
                        if code != 0 {
                            if let Ok(mut failed) = failed.lock() {
                                *failed = code;
                            }
                            stop.fetch_or(self.global.fail_early, Ordering::Relaxed);
                        }
                    }
                });
            }
            drop(working);
            while let (Some(board), Err(RecvTimeoutError::Timeout)) =
                (&board, all_done.recv_timeout(EVERY))
            {
                self.say(&board.line(false));
            }
        });
        if let Some(board) = &board {
            self.say(&board.line(true));
        }
        failed.into_inner().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_needs_every_size() {
        let board = Board::new(3, 2);
        assert!(board.first().starts_with(
            "DL% UL%  Dled  Uled  Xfers  Live Total     Current  Left    Speed\n\r--  --      0     0     3     2  --:--:--"
        ));
        let mut info = Info::default();
        (info.received, info.wanted) = (50, Some(100));
        board.note(0, &info);
        assert!(board.line(false).starts_with("\r--  --     50 "));
        board.note(1, &info);
        assert!(board.line(false).starts_with("\r 50 --    100 "));
        (info.received, info.wanted, info.sent, info.to_send) = (7, None, 3, Some(3));
        board.note(2, &info);
        for number in 0..3 {
            board.over(number);
        }
        let last = board.line(true);
        assert!(
            last.starts_with("\r 53 100   107     3     3     0  "),
            "{last}"
        );
        assert!(last.ends_with("     \n"), "{last:?}");
    }
}
