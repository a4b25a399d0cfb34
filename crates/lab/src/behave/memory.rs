//! Memory as a cache takes it: really allocated, every page of it written.

use super::{Gate, Memory, Random, say};
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;
/// How often the cache does its work.
const TICK: Duration = Duration::from_millis(20);
/// From the kill of a process to the growth of the next: restart, start, ready.
const AWAY: Duration = Duration::from_millis(900);
/// How replicas are spread that nothing kills.
const SPREAD: Duration = Duration::from_millis(4800);

/// What a cache holds.
#[derive(Debug)]
pub(super) struct Cache {
    plan: Memory,
    limit: Option<u64>,
    random: Random,
    /// Pause before the growth begins.
    pause: Duration,
    base: Vec<u8>,
    /// A place for each distinct item; with `leak` every item is a new one.
    items: Vec<Vec<u8>>,
    taken: u64,
    stalled: bool,
}

impl Cache {
    /// Nothing is taken yet. `seed` comes from the pod's name.
    pub(super) fn new(
        plan: Memory,
        limit: Option<u64>,
        seed: u64,
        turn: Option<(u32, u32)>,
    ) -> Cache {
        let items = if plan.leak {
            Vec::new()
        } else {
            vec![Vec::new(); plan.items as usize]
        };
        // Replicas that were started together must not die together: the growth of their first
        // processes begins spread over one life.
        let spread = limit
            .and_then(|l| life(&plan, l))
            .map_or(SPREAD, |life| life + AWAY);
        let pause = turn.map_or(Duration::ZERO, |(index, count)| spread * index / count);
        Cache {
            plan,
            limit,
            random: Random::new(seed),
            pause,
            base: Vec::new(),
            items,
            taken: 0,
            stalled: false,
        }
    }

    /// What is there at the start: the base.
    pub(super) fn fill(&mut self) {
        let base = u64::from(self.plan.base_mib) * MIB;
        // A byte that is not zero: every page is written, none can be the kernel's zero page.
        self.base = vec![0x5a; usize::try_from(base).unwrap_or(usize::MAX)];
    }

    /// Works for as long as the process lives.
    pub(super) fn grow(&mut self, gate: &Gate) {
        std::thread::sleep(self.pause);
        let mut since = Instant::now();
        let mut done = 0u64;
        loop {
            std::thread::sleep(TICK);
            let due = since.elapsed().as_millis() as u64 * u64::from(self.plan.per_second) / 1000;
            while done < due {
                self.touch();
                done += 1;
                if self.stall(gate) {
                    (since, done) = (Instant::now(), 0);
                    break;
                }
            }
        }
    }

    fn item(&self) -> u64 {
        u64::from(self.plan.item_kib) * 1024
    }

    fn stall_at(&self) -> Option<u64> {
        let percent = if self.plan.stall_percent == 0 {
            100
        } else {
            u64::from(self.plan.stall_percent)
        };
        Some(self.limit? / 100 * percent)
    }

    /// One item of work: found in the cache, or taken into it.
    fn touch(&mut self) {
        let item = usize::try_from(self.item()).unwrap_or(usize::MAX);
        if self.plan.leak {
            self.items.push(vec![0x5a; item]);
            self.taken += item as u64;
            return;
        }
        let index = self.random.below(self.items.len() as u64) as usize;
        if let Some(place) = self.items.get_mut(index)
            && place.is_empty()
        {
            *place = vec![0x5a; item];
            self.taken += item as u64;
        }
    }

    /// Close to the limit the process stands still, once, before it grows further.
    fn stall(&mut self, gate: &Gate) -> bool {
        let Some(at) = self.stall_at() else {
            return false;
        };
        // Looked at closely only when it can be near.
        let far = self.base.len() as u64 + self.taken + 8 * MIB < at;
        if self.stalled || self.plan.stall_ms == 0 || far || self.used() < at {
            return false;
        }
        self.stalled = true;
        gate.set_closed(true);
        std::thread::sleep(Duration::from_millis(self.plan.stall_ms));
        gate.set_closed(false);
        let (used, limit) = (self.used() / MIB, self.limit.unwrap_or(0) / MIB);
        say(format_args!(
            "GC pause {} ms, heap {used} MiB of {limit} MiB limit",
            self.plan.stall_ms
        ));
        true
    }

    /// Bytes of its own that the process holds.
    fn used(&self) -> u64 {
        private_memory().unwrap_or(self.base.len() as u64 + self.taken)
    }
}

/// About how long a process lives until it is at its limit; none when it never gets there.
fn life(plan: &Memory, limit: u64) -> Option<Duration> {
    let base = u64::from(plan.base_mib) * MIB;
    let wanted = limit.saturating_sub(base) as f64 / (f64::from(plan.item_kib) * 1024.0);
    let (all, rate) = (f64::from(plan.items), f64::from(plan.per_second));
    let seconds = if plan.leak {
        wanted / rate
    } else {
        // Of random items more and more are there already.
        (all / rate) * (all / (all - wanted)).ln()
    };
    // Never: not a number, or not finite.
    (0.0..3600.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds) + Duration::from_millis(plan.stall_ms))
}

/// Resident bytes that are not a file's (proc(5), statm: the second number less the third, pages).
pub(super) fn private_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text
        .split_ascii_whitespace()
        .skip(1)
        .map_while(|w| w.parse::<u64>().ok());
    let (resident, shared) = (pages.next()?, pages.next()?);
    // SAFETY: no pointers.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    Some(resident.saturating_sub(shared) * page)
}

/// Index and count of `INDEX/COUNT`.
pub(super) fn turn(text: &str) -> Option<(u32, u32)> {
    let (index, count) = text.split_once('/')?;
    let (index, count) = (index.parse().ok()?, count.parse().ok()?);
    (count > 0 && index < count).then_some((index, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(items: u32, leak: bool) -> Memory {
        Memory {
            base_mib: 4,
            items,
            item_kib: 256,
            per_second: 10,
            leak,
            stall_percent: 90,
            stall_ms: 1,
        }
    }

    #[test]
    fn a_bounded_set_saturates_and_a_leak_does_not() {
        let mut bounded = Cache::new(plan(200, false), None, 1000, None);
        let mut leaking = Cache::new(plan(0, true), None, 1000, None);
        let before = private_memory().unwrap();
        bounded.fill();
        leaking.fill();
        assert_eq!(
            (bounded.taken, leaking.taken),
            (0, 0),
            "everything starts cold"
        );
        let mut steps = Vec::new();
        for _ in 0..6 {
            let had = bounded.taken;
            (0..200).for_each(|_| bounded.touch());
            steps.push((bounded.taken - had) / bounded.item());
        }
        let (early, late) = (steps[0], steps[5]);
        assert!(
            early > 100 && late < 10,
            "taken in each round of 200: {steps:?}"
        );
        assert!(bounded.taken <= 200 * bounded.item());
        (0..200).for_each(|_| leaking.touch());
        assert_eq!(leaking.taken, 200 * leaking.item());
        let grown = private_memory().unwrap() - before;
        let asked = bounded.taken + leaking.taken + 8 * MIB;
        assert!(
            grown + 2 * MIB > asked && grown < asked + 24 * MIB,
            "{grown} resident for {asked}"
        );
    }

    #[test]
    fn replicas_begin_one_after_the_other() {
        assert_eq!(turn("2/5"), Some((2, 5)));
        assert_eq!((turn("5/5"), turn("x"), turn("0/0")), (None, None, None));
        let pause = |t| Cache::new(plan(100, false), None, 1, turn(t)).pause;
        assert_eq!(
            (pause("0/5"), pause("1/5") * 4),
            (Duration::ZERO, pause("4/5"))
        );
    }

    #[test]
    fn a_life_is_as_long_as_the_limit_lets_it() {
        let limit = 64 * MIB;
        let leak = life(&plan(0, true), limit).unwrap();
        assert_eq!(
            leak,
            Duration::from_millis(24_001),
            "60 MiB, 10 x 256 KiB a second"
        );
        let bounded = life(&plan(400, false), limit).unwrap();
        assert!(bounded > leak, "it finds some of them: {bounded:?}");
        assert_eq!(life(&plan(200, false), limit), None, "54 MiB at most");
        let idle = Memory {
            per_second: 0,
            ..plan(400, false)
        };
        assert_eq!(life(&idle, limit), None);
    }

    #[test]
    fn near_the_limit_it_stands_still_once() {
        let gate = Gate::default();
        // A limit below what the test process has already.
        let mut near = Cache::new(plan(10, false), Some(1 << 16), 0, None);
        near.touch();
        assert!(near.stall(&gate));
        assert!(!near.stall(&gate));
        let mut far = Cache::new(plan(10, false), Some(1 << 40), 0, None);
        far.touch();
        assert!(!far.stall(&gate));
        let mut unlimited = Cache::new(plan(10, false), None, 0, None);
        unlimited.touch();
        assert!(!unlimited.stall(&gate));
    }

    #[test]
    fn a_damaged_turn_is_none_or_one_of_them() {
        netshoot_wire::fuzz::texts(&["0/5", "4/5"], 20_000, |text| {
            assert!(
                turn(text).is_none_or(|(index, count)| index < count),
                "{text:?}"
            );
        });
    }
}
