//! A run of fping: whom to ask next, what came, what did not.

use super::Ways;
use super::plan::Plan;
use super::said;
use super::targets::Target;
use crate::io::Io;
use anyhow::Result;
use netshoot_host::interrupt::Heard;
use netshoot_host::pinging::{Arrival, Pinging};
use netshoot_host::sockets;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime};

/// What was counted, of requests that have ended: answered, given up, not sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub sent: u32,
    pub received: u32,
    pub least: Duration,
    pub most: Duration,
    pub sum: Duration,
}

impl Figures {
    fn answered(&mut self, took: Duration) {
        self.least = if self.received == 0 {
            took
        } else {
            self.least.min(took)
        };
        self.most = self.most.max(took);
        self.sum += took;
        self.sent += 1;
        self.received += 1;
    }

    pub fn average(&self) -> Option<Duration> {
        self.sum.checked_div(self.received)
    }

    /// Per cent.
    pub fn loss(&self) -> u32 {
        let lost = u64::from(self.sent.saturating_sub(self.received));
        (lost * 100)
            .checked_div(u64::from(self.sent))
            .map_or(0, |l| l as u32)
    }
}

/// A target and what it answered.
pub struct Host {
    pub target: Target,
    pub all: Figures,
    /// Since the last report.
    pub lately: Figures,
    /// Of each request; kept only when they are told.
    pub times: Vec<Option<Duration>>,
    /// Requests that were begun.
    begun: u32,
    patience: Duration,
    pub alive: bool,
}

/// A request on its way.
struct Asked {
    host: usize,
    index: u32,
    /// How many were sent before it.
    number: u64,
    at: Instant,
    /// By the clock that stamps arrivals, since 1970.
    stamp: Duration,
}

/// Figures of the whole run.
#[derive(Default)]
pub struct Totals {
    pub sent: u64,
    pub timeouts: u64,
    pub others: u64,
}

/// What ended a pause: with 1,000 targets each look at what did not come counts.
#[derive(Default)]
struct Woken {
    came: [bool; 2],
    complains: [bool; 2],
    signal: bool,
}

pub struct Course<'a> {
    plan: &'a Plan,
    hosts: Vec<Host>,
    unknown: usize,
    ways: Ways,
    signals: Heard,
    woken: Woken,
    begun: Instant,
    /// When to ask whom; of the same time in their order.
    due: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    /// When to give up which request.
    ends: BinaryHeap<Reverse<(Instant, u16, u64)>>,
    asked: BTreeMap<u16, Asked>,
    next_seq: u16,
    order: u64,
    last_sent: Option<Instant>,
    report: Option<Instant>,
    reports: u32,
    totals: Totals,
    width: usize,
    data: Vec<u8>,
}

impl<'a> Course<'a> {
    pub fn new(
        plan: &'a Plan,
        targets: Vec<Target>,
        unknown: usize,
        ways: Ways,
        signals: Heard,
    ) -> Course<'a> {
        let begun = Instant::now();
        let width = targets
            .iter()
            .map(|t| t.name.chars().count())
            .max()
            .unwrap_or(0);
        let hosts: Vec<Host> = targets
            .into_iter()
            .map(|target| Host {
                target,
                all: Figures::default(),
                lately: Figures::default(),
                times: Vec::new(),
                begun: 0,
                patience: plan.timeout,
                alive: false,
            })
            .collect();
        let due = (0..hosts.len()).map(|h| Reverse((begun, h as u64, h)));
        Course {
            plan,
            due: due.collect(),
            order: hosts.len() as u64,
            hosts,
            unknown,
            ways,
            signals,
            woken: Woken::default(),
            begun,
            ends: BinaryHeap::new(),
            asked: BTreeMap::new(),
            next_seq: 0,
            last_sent: None,
            report: plan.report_every.map(|e| begun + e),
            reports: 0,
            totals: Totals::default(),
            width,
            data: vec![0; plan.size],
        }
    }

    /// Asks until all have answered or are given up.
    pub fn travel(&mut self, io: &mut Io<'_>) -> Result<()> {
        loop {
            let signal = self.woken.signal.then(|| self.signals.next()).flatten();
            match signal {
                Some(libc::SIGQUIT) => {
                    if !self.plan.quiet {
                        writeln!(io.err)?;
                    }
                    writeln!(io.err, "[{}]", netshoot_host::clock::time_of_day())?;
                    said::figures(self.plan, &self.hosts, self.width, |h| h.all, io)?;
                }
                // Nobody is asked any more; what is on its way is waited for.
                Some(_) => self.due.clear(),
                None => {}
            }
            self.hear(io)?;
            self.give_up(io)?;
            self.send_due(io)?;
            self.report(io)?;
            let enough = self.plan.enough.is_some_and(|n| self.alive() >= n as usize);
            if enough || self.due.is_empty() && self.asked.is_empty() {
                return Ok(());
            }
            self.wait()?;
        }
    }

    fn alive(&self) -> usize {
        self.hosts.iter().filter(|h| h.alive).count()
    }

    fn wait(&mut self) -> Result<()> {
        let pause = self.last_sent.map(|l| l + self.plan.interval);
        let send = self
            .due
            .peek()
            .map(|d| pause.map_or(d.0.0, |p| p.max(d.0.0)));
        let end = self.ends.peek().map(|e| e.0.0);
        let until = [send, end, self.report].into_iter().flatten().min();
        let now = Instant::now();
        let left = until.map_or(Duration::from_secs(1), |u| u.saturating_duration_since(now));
        let ways = [&self.ways.v4, &self.ways.v6].map(|w| w.as_ref().map_or(-1, |w| w.as_raw_fd()));
        let mut fds = [ways[0], ways[1], self.signals.as_raw_fd()].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        sockets::poll(&mut fds, left)?;
        let [v4, v6, signal] = fds.map(|f| f.revents);
        self.woken = Woken {
            came: [v4 != 0, v6 != 0],
            complains: [v4, v6].map(|r| r & libc::POLLERR != 0),
            signal: signal != 0,
        };
        Ok(())
    }

    /// Takes everything that has come.
    fn hear(&mut self, io: &mut Io<'_>) -> Result<()> {
        for (v6, at) in [(false, 0), (true, 1)] {
            if !self.woken.came.get(at).is_some_and(|c| *c) {
                continue;
            }
            let complains = self.woken.complains.get(at).is_some_and(|c| *c);
            while let Some(way) = self.way(v6) {
                let mut failed = false;
                match way.reply() {
                    Ok(Some(Arrival::Reply {
                        seq,
                        from,
                        length,
                        at,
                        ..
                    })) => {
                        self.answered(seq, from, length, at, io)?;
                    }
                    Ok(_) => break,
                    // The error of a complaint, which is read below.
                    Err(_) => failed = true,
                }
                if complains || failed {
                    self.complaints(v6, io)?;
                }
            }
            if complains {
                self.complaints(v6, io)?;
            }
        }
        Ok(())
    }

    fn way(&mut self, v6: bool) -> Option<&mut Pinging> {
        match v6 {
            false => self.ways.v4.as_mut(),
            true => self.ways.v6.as_mut(),
        }
    }

    /// Says what ICMP complains of; true when it does.
    fn complaints(&mut self, v6: bool, io: &mut Io<'_>) -> Result<bool> {
        let mut any = false;
        while let Some(Arrival::Refused { seq, complaint }) =
            self.way(v6).and_then(Pinging::complaint)
        {
            // What this machine itself complains of was the answer of the call.
            any |= !complaint.local;
            let asked = seq.and_then(|s| self.asked.get(&s));
            let host = asked.and_then(|a| self.hosts.get(a.host));
            if let (Some(host), false) = (host, complaint.local) {
                self.totals.others += 1;
                // The original says nothing of ICMPv6.
                if !self.plan.quiet && !self.plan.json && !v6 {
                    writeln!(io.err, "{}", said::complaint(&complaint, &host.target.name))?;
                }
            }
        }
        Ok(any)
    }

    fn answered(
        &mut self,
        seq: u16,
        from: SocketAddr,
        length: usize,
        at: Option<Duration>,
        io: &mut Io<'_>,
    ) -> Result<()> {
        let Some(asked) = self.asked.remove(&seq) else {
            return Ok(());
        };
        let elapsed = asked.at.elapsed();
        // The kernel saw it first; but its clock may have been set meanwhile.
        let stamped = at
            .map(|at| at.saturating_sub(asked.stamp))
            .filter(|took| *took <= elapsed);
        let took = stamped.unwrap_or(elapsed);
        let Some(host) = self.hosts.get_mut(asked.host) else {
            return Ok(());
        };
        host.all.answered(took);
        host.lately.answered(took);
        let first = !host.alive;
        host.alive = true;
        note(self.plan, host, asked.index, Some(took));
        let other = (from.ip() != host.target.to.ip()).then_some(from);
        if self.plan.counts() {
            if self.plan.tells_requests() {
                let line = said::answer(host, asked.index, length, took, self.width, other);
                writeln!(io.out, "{}{line}", self.stamp())?;
            }
        } else if first {
            said::alive(self.plan, host, took, other, io)?;
        }
        Ok(())
    }

    fn stamp(&self) -> String {
        if !self.plan.timestamps {
            return String::new();
        }
        format!("[{:.5}] ", since_1970().as_secs_f64())
    }

    /// Requests whose time is over.
    fn give_up(&mut self, io: &mut Io<'_>) -> Result<()> {
        let now = Instant::now();
        while let Some(Reverse((_, seq, number))) =
            self.ends.peek().copied().filter(|e| e.0.0 <= now)
        {
            self.ends.pop();
            // It may have been answered, and its number used again.
            if let Some(asked) = self.asked.get(&seq).filter(|a| a.number == number) {
                let (index, of) = (asked.index, asked.host);
                self.asked.remove(&seq);
                self.silent(of, index, now, io)?;
            }
        }
        Ok(())
    }

    fn silent(&mut self, of: usize, index: u32, now: Instant, io: &mut Io<'_>) -> Result<()> {
        self.totals.timeouts += 1;
        let stamp = self.stamp();
        let (plan, width) = (self.plan, self.width);
        let Some(host) = self.hosts.get_mut(of) else {
            return Ok(());
        };
        host.all.sent += 1;
        host.lately.sent += 1;
        note(plan, host, index, None);
        if plan.counts() {
            if plan.tells_requests() {
                writeln!(io.out, "{stamp}{}", said::silence(host, index, width))?;
            }
        } else if host.begun <= plan.retries {
            host.patience = host.patience.mul_f64(plan.backoff);
            self.order += 1;
            self.due.push(Reverse((now, self.order, of)));
        }
        Ok(())
    }

    /// Asks who is due, with the pause between them.
    fn send_due(&mut self, io: &mut Io<'_>) -> Result<()> {
        let now = Instant::now();
        let early = self.last_sent.is_some_and(|l| now < l + self.plan.interval);
        let Some(Reverse((at, _, of))) =
            self.due.peek().copied().filter(|d| d.0.0 <= now && !early)
        else {
            return Ok(());
        };
        self.due.pop();
        let Some(host) = self.hosts.get_mut(of) else {
            return Ok(());
        };
        let index = host.begun;
        host.begun += 1;
        let (to, patience) = (host.target.to, host.patience);
        if self.plan.endless || self.plan.count.is_some_and(|c| host.begun < c) {
            self.order += 1;
            self.due
                .push(Reverse((at + self.plan.period, self.order, of)));
        }
        if self.plan.random {
            let random = std::iter::repeat_with(|| sockets::random_u16().to_ne_bytes());
            self.data = random.flatten().take(self.plan.size).collect();
        }
        let seq = self.free_number();
        let number = self.totals.sent;
        let asked = Asked {
            host: of,
            index,
            number,
            at: Instant::now(),
            stamp: since_1970(),
        };
        let sent = self.send(to, seq, io)?;
        self.last_sent = Some(asked.at);
        match sent {
            Ok(()) => {
                self.totals.sent += 1;
                self.ends.push(Reverse((asked.at + patience, seq, number)));
                self.asked.insert(seq, asked);
            }
            Err(e) => self.unsent(of, index, &e, io)?,
        }
        Ok(())
    }

    /// A number that no request on its way has.
    fn free_number(&mut self) -> u16 {
        for _ in 0..=u16::MAX {
            self.next_seq = self.next_seq.wrapping_add(1);
            if !self.asked.contains_key(&self.next_seq) {
                break;
            }
        }
        self.next_seq
    }

    fn send(&mut self, to: SocketAddr, seq: u16, io: &mut Io<'_>) -> Result<std::io::Result<()>> {
        loop {
            let Some(way) = (match to.is_ipv6() {
                false => self.ways.v4.as_ref(),
                true => self.ways.v6.as_ref(),
            }) else {
                return Ok(Err(std::io::Error::from_raw_os_error(libc::EAFNOSUPPORT)));
            };
            let sent = way.send_towards(to, seq, &self.data);
            // What ICMP complained of is told by the next call, whatever that was.
            if sent.is_ok() || !self.complaints(to.is_ipv6(), io)? {
                return Ok(sent);
            }
        }
    }

    fn unsent(&mut self, of: usize, index: u32, e: &std::io::Error, io: &mut Io<'_>) -> Result<()> {
        let plan = self.plan;
        let Some(host) = self.hosts.get_mut(of) else {
            return Ok(());
        };
        host.all.sent += 1;
        host.lately.sent += 1;
        note(plan, host, index, None);
        if !plan.counts() && plan.tells_requests() {
            let name = &host.target.name;
            writeln!(
                io.err,
                "{name}: error while sending ping: {}",
                sockets::strerror(e)
            )?;
        }
        Ok(())
    }

    /// Figures every so often.
    fn report(&mut self, io: &mut Io<'_>) -> Result<()> {
        let (Some(at), Some(every)) = (self.report, self.plan.report_every) else {
            return Ok(());
        };
        if Instant::now() < at {
            return Ok(());
        }
        self.report = Some(at + every);
        self.reports += 1;
        if self.plan.netdata {
            for host in &self.hosts {
                write!(io.out, "{}", said::netdata(host, self.reports == 1, every))?;
            }
            io.out.flush()?;
        } else {
            writeln!(io.err, "[{}]", netshoot_host::clock::time_of_day())?;
            said::figures(self.plan, &self.hosts, self.width, |h| h.lately, io)?;
        }
        for host in &mut self.hosts {
            host.lately = Figures::default();
        }
        Ok(())
    }

    /// What is said at the end; gives the exit code.
    pub fn end(self, io: &mut Io<'_>) -> Result<i32> {
        let alive = self.alive();
        let plan = self.plan;
        if plan.json {
            writeln!(io.out, "{}", said::json(&self.hosts))?;
        } else if plan.counts() {
            if plan.tells_requests() {
                writeln!(io.err)?;
            }
            said::figures(plan, &self.hosts, self.width, |h| h.all, io)?;
        } else {
            said::unreachable(plan, &self.hosts, io)?;
        }
        if plan.stats {
            let took = self.begun.elapsed();
            write!(
                io.err,
                "{}",
                said::totals(&self.hosts, self.unknown, &self.totals, took)
            )?;
        }
        if let Some(enough) = plan.enough {
            let (word, code) = match alive >= enough as usize {
                true => ("Enough", 0),
                false => ("Not enough", 1),
            };
            writeln!(
                io.out,
                "{word} hosts reachable (required: {enough}, reachable: {alive})"
            )?;
            return Ok(code);
        }
        if plan.explain {
            for line in said::explained(&self.hosts, io.lang) {
                writeln!(io.out, "{line}")?;
            }
        }
        Ok(match (self.unknown, alive == self.hosts.len()) {
            (1.., _) => 2,
            (_, true) => 0,
            (_, false) => 1,
        })
    }
}

impl Plan {
    /// Whether each request is told, answered or not.
    fn tells_requests(&self) -> bool {
        !self.quiet && !self.selective && !self.json
    }
}

/// Keeps a time where they are told one by one.
fn note(plan: &Plan, host: &mut Host, index: u32, took: Option<Duration>) {
    if !plan.every_time && !plan.json {
        return;
    }
    let at = index as usize;
    if host.times.len() <= at {
        host.times.resize(at + 1, None);
    }
    if let Some(slot) = host.times.get_mut(at) {
        *slot = took;
    }
}

fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}
