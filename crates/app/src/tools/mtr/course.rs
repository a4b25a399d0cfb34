//! The probes of mtr: each cycle one to every hop, until the host answers or too many hops are silent.

use super::figures::Hop;
use super::looked_up::Names;
use super::plan::{Plan, Style};
use anyhow::Result;
use netshoot_host::hops::{self, Answer, Echoes, Manner, Method, Probe};
use netshoot_host::message::Complaint;
use netshoot_host::{pinging, sockets};
use netshoot_wire::inet::Labels;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Of IPv4 and ICMP, and of IPv6 and ICMPv6.
const HEADERS: (usize, usize) = (28, 48);
/// Probes of the first cycle are sent this much faster than cycles.
const FIRST_SHARE: u32 = 10;
/// Between two reads when somebody watches.
const GLANCE: Duration = Duration::from_millis(100);
/// `ICMP_TIME_EXCEEDED`, `ICMPV6_TIME_EXCEED`.
const EXCEEDED: (u8, u8) = (11, 3);
/// `ICMP_DEST_UNREACH` with `ICMP_PORT_UNREACH`, and those of ICMPv6: the host itself says that nobody listens.
const NO_PORT: ((u8, u8), (u8, u8)) = ((3, 3), (1, 4));

/// A probe on its way.
struct Asked {
    ttl: u8,
    at: Instant,
    /// None of echo requests, which share one socket.
    probe: Option<Probe>,
}

/// A run.
pub struct Course {
    /// What was asked for; keys change it on the way.
    pub plan: Plan,
    pub to: SocketAddr,
    /// Where the probes start from; none where there is no way.
    pub own: Option<IpAddr>,
    manner: Manner,
    echoes: Option<Echoes>,
    /// By time to live, the first for 1.
    hops: Vec<Hop>,
    asked: BTreeMap<u32, Asked>,
    next: u32,
    names: Names,
    /// Cycles that are done.
    pub cycles: u32,
    next_ttl: u8,
    next_at: Instant,
    cycle_at: Instant,
}

impl Course {
    /// Opens what is needed; the error is a sentence.
    pub fn new(plan: &Plan, to: SocketAddr) -> Result<Course, String> {
        let manner = manner(plan);
        let now = Instant::now();
        let echoes = echoes(plan, to, &manner)?;
        let asks = pinging::Manner {
            interface: manner.interface.clone(),
            source: manner.source,
            ..pinging::Manner::default()
        };
        Ok(Course {
            plan: plan.clone(),
            to,
            own: pinging::route(to, &asks).ok().map(|own| own.ip()),
            manner,
            echoes,
            hops: vec![Hop::default(); usize::from(u8::MAX)],
            asked: BTreeMap::new(),
            next: 0,
            names: Names::default(),
            cycles: 0,
            next_ttl: plan.first,
            next_at: now,
            cycle_at: now,
        })
    }

    /// Goes on in the manner that the plan has now; what is on its way is forgotten.
    pub fn change(&mut self) -> Result<(), String> {
        self.manner = manner(&self.plan);
        self.echoes = echoes(&self.plan, self.to, &self.manner)?;
        self.forget();
        Ok(())
    }

    /// Does all cycles and waits for what is still on its way; `tell` gets what the raw style says.
    pub fn travel(&mut self, mut tell: impl FnMut(String) -> Result<()>) -> Result<()> {
        while self.cycles < self.plan.cycles {
            self.step(&mut tell)?;
        }
        let ends = Instant::now() + self.plan.grace;
        // Who answered the last probe of all has answered; for who never answered nobody waits to the end of the grace.
        while Instant::now() < ends && self.waits() {
            self.wait(ends)?;
            self.hear(&mut tell)?;
        }
        self.forget();
        // Names were asked for while probes went on: for those that are not there yet nobody waits any longer either.
        let ends = Instant::now() + self.plan.grace;
        while Instant::now() < ends && self.names.waits() {
            self.names.wait(ends);
            self.tell_names(&mut tell)?;
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.asked.clear();
        self.hops.iter_mut().for_each(|h| h.transit = 0);
    }

    /// Something is on its way to a hop that counts.
    fn waits(&self) -> bool {
        let last = self.last();
        self.asked.values().any(|a| last.is_none_or(|l| a.ttl <= l))
    }

    /// The hop behind which nothing is, by its time to live.
    fn last(&self) -> Option<u8> {
        let at = self.hops.iter().position(|h| h.ends)?;
        u8::try_from(at + 1).ok()
    }

    /// Sends what is due, waits a little, reads.
    pub fn step(&mut self, tell: &mut impl FnMut(String) -> Result<()>) -> Result<()> {
        let now = Instant::now();
        if now >= self.next_at {
            match self.cycle_over() {
                false => self.send(tell)?,
                true if now >= self.cycle_at + self.plan.interval => {
                    self.cycles += 1;
                    (self.next_ttl, self.cycle_at, self.next_at) = (self.plan.first, now, now);
                    return Ok(());
                }
                true => self.next_at = self.cycle_at + self.plan.interval,
            }
        }
        self.wait(self.next_at.min(now + GLANCE))?;
        self.hear(tell)
    }

    /// Reads without sending.
    pub fn rest(&mut self) -> Result<()> {
        self.wait(Instant::now() + GLANCE)?;
        self.hear(&mut |_| Ok(()))
    }

    /// Every hop that counts was asked in this cycle.
    fn cycle_over(&self) -> bool {
        if self.next_ttl > self.plan.most || self.last().is_some_and(|l| self.next_ttl > l) {
            return true;
        }
        let behind = usize::from(self.next_ttl - 1);
        let begin = usize::from(self.plan.first - 1);
        let asked = self.hops.get(begin..behind).unwrap_or_default();
        let silent = asked.iter().rev().take_while(|h| h.from.is_none()).count();
        silent >= usize::from(self.plan.unknown)
    }

    fn send(&mut self, tell: &mut impl FnMut(String) -> Result<()>) -> Result<()> {
        let (ttl, number) = (self.next_ttl, self.next);
        self.next += 1;
        self.next_ttl += 1;
        let count = self.last().map_or(FIRST_SHARE, u32::from).max(1);
        self.next_at = Instant::now() + self.plan.interval / count;
        if self.plan.style == Some(Style::Raw) {
            tell(format!("x {} {}", ttl - 1, 33_000 + number))?;
        }
        let headers = if self.to.is_ipv6() {
            HEADERS.1
        } else {
            HEADERS.0
        };
        let size = self.plan.size.saturating_sub(headers);
        let at = Instant::now();
        let probe = match &self.echoes {
            Some(echoes) => echoes.send(ttl, number as u16, size).map(|()| None),
            None => {
                let to = self.target(number);
                hops::send(self.plan.method, to, ttl, size, &self.manner).map(Some)
            }
        };
        let Some(hop) = self.hops.get_mut(usize::from(ttl - 1)) else {
            return Ok(());
        };
        hop.asked(number);
        // What was sent nowhere is not on its way: no answer will come.
        if let Ok(probe) = probe {
            hop.transit += 1;
            self.asked.insert(number, Asked { ttl, at, probe });
        }
        Ok(())
    }

    /// Where a probe goes: UDP without a port of its own to one after the other, as traceroute does.
    fn target(&self, number: u32) -> SocketAddr {
        let usual = match self.plan.method {
            Method::Tcp => 80,
            _ => 33_434 + (number % 1000) as u16,
        };
        SocketAddr::new(self.to.ip(), self.plan.port.unwrap_or(usual))
    }

    fn wait(&self, until: Instant) -> Result<()> {
        let left = until.saturating_duration_since(Instant::now()).min(GLANCE);
        let probes = self.asked.values().filter_map(|a| a.probe.as_ref());
        let events = match self.plan.method {
            Method::Tcp => libc::POLLIN | libc::POLLOUT,
            _ => libc::POLLIN,
        };
        let fds = self
            .echoes
            .iter()
            .map(AsRawFd::as_raw_fd)
            .chain(probes.map(AsRawFd::as_raw_fd));
        let mut fds: Vec<libc::pollfd> = fds
            .map(|fd| libc::pollfd {
                fd,
                events,
                revents: 0,
            })
            .collect();
        sockets::poll(&mut fds, left)?;
        Ok(())
    }

    /// Reads what has come, and gives up what will not.
    fn hear(&mut self, tell: &mut impl FnMut(String) -> Result<()>) -> Result<()> {
        let mut came = Vec::new();
        if let Some(echoes) = &mut self.echoes {
            while let Some((seq, answer)) = echoes.answer() {
                let number = self.asked.keys().rev().find(|n| **n as u16 == seq);
                came.extend(number.map(|n| (*n, answer)));
            }
        } else {
            for (number, asked) in &self.asked {
                let answer = asked.probe.as_ref().and_then(Probe::answer);
                came.extend(answer.map(|a| (*number, a)));
            }
        }
        let now = Instant::now();
        for (number, answer) in came {
            if let Some(asked) = self.asked.remove(&number) {
                self.answered(number, &asked, answer, tell)?;
            }
        }
        self.tell_names(tell)?;
        let timeout = self.plan.timeout;
        let hops = &mut self.hops;
        self.asked.retain(|_, asked| {
            let waits = now.saturating_duration_since(asked.at) < timeout;
            if let (false, Some(hop)) = (waits, hops.get_mut(usize::from(asked.ttl - 1))) {
                hop.transit = hop.transit.saturating_sub(1);
            }
            waits
        });
        Ok(())
    }

    fn answered(
        &mut self,
        number: u32,
        asked: &Asked,
        answer: Answer,
        tell: &mut impl FnMut(String) -> Result<()>,
    ) -> Result<()> {
        let micros = asked.at.elapsed().as_secs_f64() * 1e6;
        let micros = micros.round();
        let mut labels = Labels::default();
        let (from, ends, refused) = match answer {
            Answer::There | Answer::Refused => (Some(self.to.ip()), true, false),
            Answer::Complaint(c) => {
                let passed = self.exceeded(&c);
                labels = c.labels;
                (c.by(), !passed, !passed && !self.no_port(&c))
            }
        };
        let at = usize::from(asked.ttl - 1);
        let Some(hop) = self.hops.get_mut(at) else {
            return Ok(());
        };
        // This machine itself says that there is no way: no hop does.
        let Some(from) = from else {
            hop.transit = hop.transit.saturating_sub(1);
            return Ok(());
        };
        let new = hop.from != Some(from);
        hop.from = Some(from);
        hop.ends |= ends;
        hop.refused = refused;
        hop.labels = labels;
        hop.answered(number, micros);
        if new && !self.plan.numeric {
            self.names.ask(from);
        }
        if self.plan.style == Some(Style::Raw) {
            if new {
                tell(format!("h {at} {from}"))?;
            }
            for l in labels.all().filter(|_| self.plan.labels) {
                let (label, class, bottom, ttl) = (l.label, l.class, u8::from(l.bottom), l.ttl);
                tell(format!("m {at} {label} {class} {bottom} {ttl}"))?;
            }
            tell(format!("p {at} {micros} {}", 33_000 + number))?;
        }
        Ok(())
    }

    /// The raw style says names as they come.
    fn tell_names(&mut self, tell: &mut impl FnMut(String) -> Result<()>) -> Result<()> {
        for (of, name) in self.names.come() {
            if self.plan.style != Some(Style::Raw) {
                continue;
            }
            let hops = self.hops.iter().enumerate();
            for (at, _) in hops.filter(|(_, hop)| hop.from == Some(of)) {
                tell(format!("d {at} {name}"))?;
            }
        }
        Ok(())
    }

    fn exceeded(&self, c: &Complaint) -> bool {
        match self.to.is_ipv6() {
            false => c.kind == EXCEEDED.0,
            true => c.kind == EXCEEDED.1,
        }
    }

    fn no_port(&self, c: &Complaint) -> bool {
        let (v4, v6) = NO_PORT;
        (c.kind, c.code) == if self.to.is_ipv6() { v6 } else { v4 }
    }

    /// What is shown: hops up to the end, or to the one behind the last that answers.
    pub fn shown(&self) -> Vec<(u8, Hop)> {
        let known = self.hops.iter().rposition(|h| h.from.is_some());
        let end = match (self.last(), known) {
            (Some(last), _) => usize::from(last.min(self.plan.most)),
            (None, Some(known)) => (known + 2).min(usize::from(self.plan.most)),
            (None, None) => 0,
        };
        let begin = usize::from(self.plan.first - 1);
        let numbered = self.hops.iter().enumerate().take(end).skip(begin);
        let asked = numbered.filter(|(_, h)| h.sent > 0 || h.from.is_some());
        asked
            .map(|(at, h)| (u8::try_from(at + 1).unwrap_or(u8::MAX), h.clone()))
            .collect()
    }

    /// The name of an address, once it is there.
    pub fn name(&mut self, of: IpAddr) -> Option<String> {
        self.names.ask(of);
        self.names.of(of)
    }

    /// Everything is counted anew.
    pub fn restart(&mut self) {
        self.hops.iter_mut().for_each(Hop::restart);
        self.asked.clear();
        self.cycles = 0;
    }
}

fn manner(plan: &Plan) -> Manner {
    let own_port = match plan.method {
        Method::Udp => plan.local_port,
        _ => 0,
    };
    Manner {
        interface: plan.interface.clone(),
        source: plan.source.map(|ip| SocketAddr::new(ip, own_port)),
        tos: (plan.tos > 0).then_some(plan.tos),
        mark: plan.mark,
        // `e` may ask for them at any time.
        labels: true,
        ..Manner::default()
    }
}

fn echoes(plan: &Plan, to: SocketAddr, manner: &Manner) -> Result<Option<Echoes>, String> {
    if plan.method != Method::Icmp {
        return Ok(None);
    }
    let opened = Echoes::open(to, manner).map_err(|e| format!("Failure to open sockets: {e}"))?;
    let failed = |e| format!("Failure to open sockets: {}", sockets::strerror(&e));
    opened.map(Some).map_err(failed)
}
