//! The largest IP packet that a path carries, by unfragmentable echoes.
//!
//! A black hole must cost one timeout, not one per rung. So a round sends many rungs at once, and
//! once something has answered, what is not back after a few round-trip times counts as lost for
//! the next round. Late replies correct that until patience is over, and the smallest lost rung
//! is sent again in the meantime.

use crate::Error;
use crate::icmp::{Echo, Event};
use crate::sockets::{self, Deadline};
use netshoot_model::probe::PathMtu;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Rungs of one round.
const RUNGS: u32 = 8;
/// Each rung is sent so often: one lost echo must not end the ladder.
const COPIES: u32 = 2;
/// The smallest rung, far below every link's MTU.
const SMALLEST: u32 = 100;
/// Largest IP packet there is.
const LARGEST: u32 = 65_535;

struct Ladder {
    echo: Echo,
    deadline: Deadline,
    /// Sequence number to size.
    sent: Vec<u32>,
    /// Size to whether it was answered; only of sizes that left this machine.
    rungs: BTreeMap<u32, bool>,
    /// Shortest time to an answer.
    rtt: Option<Duration>,
    found: PathMtu,
}

/// Climbs to at most `largest` bytes of IP packet. The error is a gap.
pub fn climb(to: IpAddr, largest: u32, timeout_ms: u32) -> Result<PathMtu, Error> {
    let deadline = Deadline::after_ms(timeout_ms);
    let system = |source| Error::System {
        tried: "send unfragmentable echoes",
        on: to.to_string(),
        source,
    };
    let smallest = SMALLEST.min(largest);
    let nothing = PathMtu {
        smallest_lost: smallest,
        ..PathMtu::default()
    };
    let Ok(echo) = Echo::open(to)? else {
        return Ok(nothing);
    };
    echo.forbid_fragments().map_err(system)?;
    let largest = largest.min(LARGEST).max(echo.overhead() as u32);
    let mut ladder = Ladder {
        echo,
        deadline,
        sent: vec![],
        rungs: BTreeMap::new(),
        rtt: None,
        found: PathMtu::default(),
    };
    ladder
        .round(
            smallest.max(ladder.echo.overhead() as u32),
            largest,
            usual(largest),
        )
        .map_err(system)?;
    while let Some((low, high)) = ladder.gap(largest) {
        if ladder.deadline.left().is_zero() {
            break;
        }
        ladder
            .round(low, high, between(low, high))
            .map_err(system)?;
    }
    ladder.confirm(largest).map_err(system)?;
    let PathMtu {
        announced, local, ..
    } = ladder.found;
    let (answered, lost) = ladder.verdict(largest);
    Ok(PathMtu {
        largest_answered: answered,
        smallest_lost: lost,
        announced,
        local,
    })
}

/// Rungs that are often the answer: the ends, and the MTUs of tunnels over 1500.
fn usual(largest: u32) -> Vec<u32> {
    let mut rungs: Vec<u32> = [SMALLEST, 576, 1280, 1400, 1450, 1500, 8950, largest].into();
    rungs.retain(|size| *size <= largest);
    rungs.dedup();
    rungs
}

/// Rungs strictly between two sizes, evenly.
fn between(low: u32, high: u32) -> Vec<u32> {
    let gap = high.saturating_sub(low);
    let step = gap.div_ceil(RUNGS + 1).max(1);
    (1..=RUNGS)
        .map(|i| low + i * step)
        .filter(|size| *size < high)
        .collect()
}

impl Ladder {
    /// The largest size that was answered (0 for none) and the smallest above it that was not
    /// (0 for none).
    fn verdict(&self, largest: u32) -> (u32, u32) {
        let answered = self
            .rungs
            .iter()
            .rev()
            .find(|(_, ok)| **ok)
            .map_or(0, |(size, _)| *size);
        let lost = self
            .rungs
            .range(answered + 1..)
            .next()
            .map(|(size, _)| *size);
        // What this machine itself refuses to send never got to be a rung.
        let local = self
            .found
            .local
            .map(|mtu| mtu + 1)
            .filter(|size| *size > answered && *size <= largest);
        (answered, lost.into_iter().chain(local).min().unwrap_or(0))
    }

    /// The sizes between which the answer lies, while there is anything between.
    fn gap(&self, largest: u32) -> Option<(u32, u32)> {
        let (answered, lost) = self.verdict(largest);
        (answered > 0 && lost > answered + 1).then_some((answered, lost))
    }

    /// Sends rungs and waits for them: until patience ends for the first sign of life, then a few
    /// round-trip times.
    fn round(&mut self, low: u32, high: u32, mut sizes: Vec<u32>) -> io::Result<()> {
        // What was announced is worth trying exactly.
        for mtu in [self.found.announced, self.found.local]
            .into_iter()
            .flatten()
        {
            sizes.extend(
                [mtu, mtu + 1]
                    .iter()
                    .filter(|size| (low + 1..high).contains(*size)),
            );
        }
        sizes.sort_unstable();
        sizes.dedup();
        for size in &sizes {
            self.send(*size, COPIES)?;
        }
        let began = Instant::now();
        loop {
            self.listen(began);
            let done = sizes
                .iter()
                .all(|size| self.rungs.get(size).copied().unwrap_or(true));
            let patience = match self.rtt {
                Some(rtt) => (rtt * 4 + Duration::from_millis(20)).min(Duration::from_millis(400)),
                None => Duration::MAX,
            };
            let left = patience
                .saturating_sub(began.elapsed())
                .min(self.deadline.left());
            if done || left.is_zero() {
                return Ok(());
            }
            self.wait(left)?;
        }
    }

    /// Gives the smallest lost rung two more chances, and late replies the rest of the patience.
    fn confirm(&mut self, largest: u32) -> io::Result<()> {
        let mut again = 0;
        loop {
            self.listen(Instant::now());
            let (answered, lost) = self.verdict(largest);
            let settled = lost == 0 || self.found.local.is_some_and(|mtu| lost == mtu + 1);
            // Who announced exactly this has said why; nothing more will come.
            let explained = self
                .found
                .announced
                .is_some_and(|mtu| answered == mtu && lost == mtu + 1);
            let left = self.deadline.left();
            if settled || explained || answered == 0 || left.is_zero() {
                return Ok(());
            }
            if again < 2 {
                self.send(lost, COPIES)?;
                again += 1;
            }
            self.wait(left / (3 - again))?;
        }
    }

    fn wait(&self, left: Duration) -> io::Result<()> {
        let mut fds = [libc::pollfd {
            fd: self.echo.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        }];
        sockets::poll(&mut fds, left).map(|_| ())
    }

    fn send(&mut self, size: u32, copies: u32) -> io::Result<()> {
        for _ in 0..copies {
            let Ok(seq) = u16::try_from(self.sent.len()) else {
                return Ok(());
            };
            self.sent.push(size);
            match self
                .echo
                .send(seq, (size as usize).saturating_sub(self.echo.overhead()))
            {
                Ok(()) => {
                    self.rungs.entry(size).or_insert(false);
                }
                // The reason is in the error queue, with the MTU.
                Err(e) if e.raw_os_error() == Some(libc::EMSGSIZE) => {}
                // An error that came for an earlier one, or no room for the moment: a lost rung.
                Err(_) => {
                    self.rungs.entry(size).or_insert(false);
                }
            }
        }
        Ok(())
    }

    fn listen(&mut self, began: Instant) {
        for event in self.echo.receive() {
            match event {
                Event::Reply { seq } => {
                    if let Some(size) = self.sent.get(usize::from(seq)) {
                        self.rungs.insert(*size, true);
                        let rtt = began.elapsed();
                        self.rtt = Some(self.rtt.map_or(rtt, |known| known.min(rtt)));
                    }
                }
                Event::Error(refusal) if refusal.errno == libc::EMSGSIZE && refusal.mtu > 0 => {
                    let known = if refusal.local {
                        &mut self.found.local
                    } else {
                        &mut self.found.announced
                    };
                    *known = Some(known.map_or(refusal.mtu, |mtu| mtu.min(refusal.mtu)));
                }
                Event::Error(_) => {}
            }
        }
    }
}
