//! A run of ping: when to send, what to make of what comes, and the figures at the end.

mod figures;

use super::plan::{self, Plan};
use super::words;
use crate::io::Io;
use anyhow::Result;
use netshoot_host::interrupt::Heard;
use netshoot_host::message::Complaint;
use netshoot_host::pinging::{Arrival, Pinging};
use netshoot_host::sockets;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime};

/// Between requests of a flood without answers, milliseconds.
const LEAST_MS: u64 = 10;
/// Least pause of an adaptive run of somebody who is not root.
const USERS_MS: u64 = 200;

pub struct Course<'a> {
    plan: &'a Plan,
    pinging: Pinging,
    signals: Heard,
    to: SocketAddr,
    filling: Vec<u8>,
    interval: u64,
    tokens: u64,
    begun: Instant,
    /// When was sent last.
    last: Option<Instant>,
    sent: u64,
    received: u64,
    repeats: u64,
    corrupted: u64,
    errors: u64,
    acked: u64,
    pipe: u64,
    times: Times,
    seen: Vec<bool>,
    ends: Option<Instant>,
    route: Option<Vec<u8>>,
    names: BTreeMap<SocketAddr, String>,
    refused: Vec<String>,
    replies: Vec<Value>,
}

/// Round-trip times, microseconds.
#[derive(Default)]
struct Times {
    least: u64,
    most: u64,
    sum: u128,
    squares: u128,
    count: u64,
    /// Eight times the moving average.
    smooth: u64,
}

impl Times {
    fn note(&mut self, us: u64) {
        self.least = if self.count == 0 {
            us
        } else {
            self.least.min(us)
        };
        self.most = self.most.max(us);
        self.sum += u128::from(us);
        self.squares += u128::from(us) * u128::from(us);
        self.smooth = match self.count {
            0 => us * 8,
            _ => (self.smooth + us).saturating_sub(self.smooth / 8),
        };
        self.count += 1;
    }

    /// Average and deviation over `total` answers.
    fn average(&self, total: u64) -> (u64, u64) {
        let total = u128::from(total.max(1));
        let average = self.sum / total;
        let spread = self.squares.saturating_sub(self.sum * self.sum / total) / total;
        let low = |x: u128| u64::try_from(x).unwrap_or(u64::MAX);
        (low(average), low(spread.isqrt()))
    }
}

impl<'a> Course<'a> {
    pub fn new(plan: &'a Plan, pinging: Pinging, signals: Heard, to: SocketAddr) -> Course<'a> {
        Course {
            filling: plan.filling(),
            interval: plan.interval,
            plan,
            pinging,
            signals,
            to,
            tokens: 0,
            begun: Instant::now(),
            last: None,
            sent: 0,
            received: 0,
            repeats: 0,
            corrupted: 0,
            errors: 0,
            acked: 0,
            pipe: 0,
            times: Times::default(),
            seen: vec![false; 1 << 16],
            ends: None,
            route: None,
            names: BTreeMap::new(),
            refused: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Asks until it is over; gives the exit code.
    pub fn travel(mut self, io: &mut Io<'_>) -> Result<i32> {
        let deadline = self
            .plan
            .deadline_s
            .map(|s| self.begun + Duration::from_secs(s));
        while !self.over(deadline) {
            match self.signals.next() {
                Some(libc::SIGQUIT) => self.snapshot(io)?,
                Some(_) => break,
                None => {}
            }
            // What may go at once goes before anything is read, so that a preload is one.
            let next = loop {
                let next = self.send_due(io)?;
                let next = self.linger(next);
                if !next.is_zero() {
                    break next;
                }
            };
            let until = [self.ends, deadline].into_iter().flatten().min();
            let left = until.map(|u| u.saturating_duration_since(Instant::now()));
            self.wait(left.map_or(next, |l| l.min(next)))?;
            self.drain(io)?;
        }
        self.finish(io)
    }

    fn over(&self, deadline: Option<Instant>) -> bool {
        let now = Instant::now();
        let passed = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        let enough = |count| self.received + self.errors >= count;
        passed(self.ends)
            || passed(deadline)
            || self.plan.count.is_some_and(enough)
            || (deadline.is_some() && self.errors > 0)
    }

    fn wait(&self, patience: Duration) -> Result<()> {
        let on = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut fds = [on(self.pinging.as_raw_fd()), on(self.signals.as_raw_fd())];
        sockets::poll(&mut fds, patience)?;
        Ok(())
    }

    fn all_sent(&self) -> bool {
        self.plan.deadline_s.is_none() && self.plan.count.is_some_and(|c| self.sent >= c)
    }

    /// Once everything is sent: how long to wait for the rest.
    fn linger(&mut self, next: Duration) -> Duration {
        if !self.all_sent() || self.ends.is_some() {
            return next;
        }
        let ms = match self.received {
            0 => self.plan.linger,
            _ => Some((2 * self.times.most / 1000).max(self.interval)),
        };
        // Two round trips, not less than one pause; for ever is a day of ages.
        let rest = Duration::from_millis(ms.unwrap_or(u64::from(u32::MAX)));
        self.ends = Some(Instant::now() + rest);
        next.max(rest)
    }

    fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.acked)
    }

    /// Sends where it is time to; gives how long until it may be again.
    fn send_due(&mut self, io: &mut Io<'_>) -> Result<Duration> {
        if self.all_sent() {
            return Ok(Duration::from_secs(1));
        }
        let now = Instant::now();
        let mut due = now;
        match self.last {
            None => self.tokens = self.interval * (self.plan.preload - 1),
            Some(last) => {
                let passed = u64::try_from((now - last).as_millis()).unwrap_or(u64::MAX);
                if self.interval == 0 && passed < LEAST_MS && self.in_flight() >= self.plan.preload
                {
                    return Ok(Duration::from_millis(LEAST_MS - passed));
                }
                let tokens = (passed + self.tokens).min(self.interval * self.plan.preload);
                if tokens < self.interval {
                    let at = last + Duration::from_millis(self.interval - self.tokens);
                    return Ok(at.saturating_duration_since(now));
                }
                self.tokens = tokens - self.interval;
                // Counted from when it was due, for each pause ends a little late.
                due = last + Duration::from_millis(passed);
            }
        }
        self.last = Some(due);
        self.missing(io)?;
        let next = due + Duration::from_millis(self.send(io)?);
        Ok(next.saturating_duration_since(Instant::now()))
    }

    /// With -O: the request before this one is unanswered.
    fn missing(&mut self, io: &mut Io<'_>) -> Result<()> {
        let before = (self.sent & 0xffff) as usize;
        let answered = self.seen.get(before).copied().unwrap_or(true);
        if self.plan.outstanding && self.sent > 0 && !answered && !self.plan.json {
            self.stamp(io)?;
            writeln!(io.out, "no answer yet for icmp_seq={before}")?;
        }
        Ok(())
    }

    fn send(&mut self, io: &mut Io<'_>) -> Result<u64> {
        let seq = ((self.sent + 1) & 0xffff) as u16;
        if let Some(seen) = self.seen.get_mut(usize::from(seq)) {
            *seen = false;
        }
        if self.plan.timing() {
            let stamp = encode(now_us());
            if let Some(room) = self.filling.get_mut(..16) {
                room.copy_from_slice(&stamp);
            }
        }
        let Err(e) = self.pinging.send(seq, &self.filling) else {
            self.sent += 1;
            if self.plan.flood && !self.plan.quiet {
                write!(io.out, ".")?;
                io.out.flush()?;
            }
            return Ok(self.interval - self.tokens.min(self.interval));
        };
        match self.pinging.complaint() {
            Some(Arrival::Refused {
                seq: Some(seq),
                complaint,
            }) => {
                self.refused(seq, &complaint, io)?;
                self.tokens += self.interval;
                return Ok(LEAST_MS);
            }
            Some(Arrival::Refused { complaint, .. }) => self.local(&complaint, io)?,
            _ if matches!(
                e.raw_os_error(),
                Some(libc::ENOBUFS | libc::ENOMEM | libc::EAGAIN)
            ) =>
            {
                self.tokens += self.interval;
                return Ok(LEAST_MS);
            }
            _ if self.plan.quiet => {}
            _ if self.plan.flood => write!(io.out, "E")?,
            _ => {
                plan::refuse(io, 2, &format!("sendmsg: {}", sockets::strerror(&e)))?;
            }
        }
        self.sent += 1;
        self.tokens = 0;
        Ok(self.interval)
    }

    /// Takes everything that has come.
    fn drain(&mut self, io: &mut Io<'_>) -> Result<()> {
        let mut broken = 0;
        loop {
            let arrival = match self.pinging.reply() {
                Ok(Some(arrival)) => Some(arrival),
                Ok(None) => self.pinging.complaint(),
                Err(_) => {
                    let complaint = self.pinging.complaint();
                    broken += 1;
                    if complaint.is_none() && broken < 3 {
                        continue;
                    }
                    complaint
                }
            };
            match arrival {
                None => return Ok(()),
                Some(Arrival::Refused {
                    seq: Some(seq),
                    complaint,
                }) => {
                    self.refused(seq, &complaint, io)?;
                }
                Some(Arrival::Refused { complaint, .. }) => self.local(&complaint, io)?,
                Some(reply) => self.reply(reply, io)?,
            }
            if self
                .plan
                .count
                .is_some_and(|c| self.received + self.errors >= c)
            {
                return Ok(());
            }
        }
    }

    fn acknowledge(&mut self, seq: u16) {
        let behind = u64::from((self.sent as u16).wrapping_sub(seq));
        if behind <= 0x7fff {
            self.pipe = self.pipe.max(behind + 1);
            self.acked = self.acked.max(self.sent - behind.min(self.sent));
        }
    }

    fn stamp(&self, io: &mut Io<'_>) -> Result<()> {
        if self.plan.stamps {
            let now = now_us();
            write!(io.out, "[{}.{:06}] ", now / 1_000_000, now % 1_000_000)?;
        }
        Ok(())
    }

    fn host(&mut self, address: SocketAddr) -> String {
        let plan = self.plan;
        let said = self.names.entry(address);
        said.or_insert_with(|| words::host(plan, address)).clone()
    }

    fn refused(&mut self, seq: u16, complaint: &Complaint, io: &mut Io<'_>) -> Result<()> {
        self.acknowledge(seq);
        self.errors += 1;
        let from = complaint.from.map(|a| self.host(a)).unwrap_or_default();
        let said = words::complaint(self.to.is_ipv6(), complaint);
        if self.plan.flood && !self.plan.quiet {
            write!(io.out, "\u{8}E")?;
            io.out.flush()?;
        } else if !self.plan.quiet {
            self.stamp(io)?;
            writeln!(io.out, "From {from} icmp_seq={seq} {said}")?;
        }
        if self.refused.len() < 100 {
            self.refused.push(format!("{from}: {said}"));
        }
        Ok(())
    }

    fn local(&mut self, complaint: &Complaint, io: &mut Io<'_>) -> Result<()> {
        self.errors += 1;
        let said = match complaint.errno {
            libc::EMSGSIZE => format!("message too long, mtu={}", complaint.info),
            errno => sockets::strerror(&std::io::Error::from_raw_os_error(errno)),
        };
        if self.plan.flood && !self.plan.quiet {
            write!(io.out, "E")?;
        } else if !self.plan.quiet {
            plan::refuse(io, 2, &format!("local error: {said}"))?;
        }
        if self.refused.len() < 100 {
            self.refused.push(format!("local error: {said}"));
        }
        Ok(())
    }

    fn reply(&mut self, arrival: Arrival, io: &mut Io<'_>) -> Result<()> {
        let Arrival::Reply {
            seq,
            from,
            ttl,
            length,
            data,
            at,
            options,
            sound,
        } = arrival
        else {
            return Ok(());
        };
        self.received += 1;
        if sound {
            self.acknowledge(seq);
        } else {
            self.corrupted += 1;
        }
        let trip = self.trip(&data, at);
        if let (Some(us), true) = (trip, sound) {
            self.times.note(us);
            if self.plan.adaptive {
                self.adapt();
            }
        }
        let again = self.seen.get(usize::from(seq)).copied().unwrap_or(false);
        if again {
            self.repeats += 1;
            self.received -= 1;
        } else if let Some(seen) = self.seen.get_mut(usize::from(seq)) {
            *seen = true;
        }
        if self.plan.json && self.replies.len() < 10_000 {
            let ms = trip.map(|us| us as f64 / 1000.0);
            let from = from.ip().to_string();
            self.replies
                .push(json!({"seq": seq, "from": from, "ttl": ttl, "ms": ms, "again": again}));
        }
        if self.plan.quiet {
            return Ok(());
        }
        if self.plan.flood {
            write!(io.out, "{}", if sound { "\u{8} \u{8}" } else { "\u{8}C" })?;
            io.out.flush()?;
            return Ok(());
        }
        self.stamp(io)?;
        let mut line = format!("{length} bytes from {}: icmp_seq={seq}", self.host(from));
        if self.plan.verbose {
            line += &format!(" ident={}", self.pinging.id());
        }
        if let Some(ttl) = ttl {
            line += &format!(" ttl={ttl}");
        }
        if data.len() < self.plan.size {
            writeln!(io.out, "{line} (truncated)")?;
            return Ok(());
        }
        if let Some(us) = trip {
            line += &format!(" time={}", words::trip(us));
        }
        for (holds, said) in [(again, " (DUP!)"), (!sound, " (BAD CHECKSUM!)")] {
            if holds {
                line += said;
            }
        }
        line += &self.changed(&data);
        line += &self.recorded(&options);
        if self.plan.bell {
            line.push('\u{7}');
        }
        writeln!(io.out, "{line}")?;
        io.out.flush()?;
        Ok(())
    }

    /// Microseconds since the request that this data was sent with.
    fn trip(&self, data: &[u8], at: Option<Duration>) -> Option<u64> {
        let sent = decode(data).filter(|_| self.plan.timing())?;
        let came = match at {
            Some(at) if !self.plan.user_time => u64::try_from(at.as_micros()).unwrap_or(u64::MAX),
            _ => now_us(),
        };
        Some(came.saturating_sub(sent))
    }

    fn adapt(&mut self) {
        self.interval = (self.times.smooth / 8 + 500) / 1000;
        if !rustix::process::geteuid().is_root() {
            self.interval = self.interval.max(USERS_MS);
        }
    }

    /// The first byte that came back otherwise than it went.
    fn changed(&self, data: &[u8]) -> String {
        let from = if self.plan.timing() { 16 } else { 0 };
        let pairs = self.filling.iter().zip(data).enumerate().skip(from);
        let Some((at, (sent, came))) = pairs.into_iter().find(|(_, (a, b))| a != b) else {
            return String::new();
        };
        format!("\nwrong data byte #{at} should be 0x{sent:x} but was 0x{came:x}")
    }

    fn recorded(&mut self, options: &[u8]) -> String {
        let Some(route) = words::route(options) else {
            return String::new();
        };
        if self.route.as_deref() == Some(options) {
            return "\t(same route)".into();
        }
        self.route = Some(options.to_vec());
        let mut text = "\nRR: ".to_string();
        for address in route {
            let named = match address.is_unspecified() {
                true => "0.0.0.0".into(),
                false => self.host(SocketAddr::new(address.into(), 0)),
            };
            text += &format!("\t{named}\n");
        }
        text
    }
}

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |n| u64::try_from(n.as_micros()).unwrap_or(0))
}

/// A time as a `timeval` in the data, so that captures show what they always showed.
fn encode(us: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(us / 1_000_000).to_ne_bytes());
    bytes[8..].copy_from_slice(&(us % 1_000_000).to_ne_bytes());
    bytes
}

fn decode(data: &[u8]) -> Option<u64> {
    let number = |at: usize| {
        let bytes = data.get(at..at + 8)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    };
    number(0)?.checked_mul(1_000_000)?.checked_add(number(8)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_data_has_a_time_or_none() {
        let sound = encode(1_234_567_890);
        assert_eq!(decode(&sound), Some(1_234_567_890));
        netshoot_wire::fuzz::mutations(&sound, 2_000, |bytes| {
            assert!(decode(bytes).is_none() || bytes.len() >= 16, "{bytes:?}");
        });
    }
}
