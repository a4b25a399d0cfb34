//! A run of traceroute: several probes at once, printed in their order.

use super::plan::Plan;
use crate::io::{Io, Lang};
use anyhow::Result;
use netshoot_host::hops::{self, Answer, Echoes, Failed, Method, Probe};
use netshoot_host::message::Complaint;
use netshoot_host::{names, sockets};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Beside a patience that comes from other answers: clocks and schedulers are no better.
const GRACE: Duration = Duration::from_millis(5);

/// One probe.
#[derive(Default)]
struct Shot {
    ttl: u8,
    sent: Option<Instant>,
    probe: Option<Probe>,
    seq: u16,
    done: bool,
    answer: Option<Heard>,
    /// The MTU that this probe found.
    mtu: Option<u32>,
}

struct Heard {
    from: IpAddr,
    took: Duration,
    note: String,
    last: bool,
}

struct Course<'a> {
    plan: &'a Plan,
    shots: Vec<Shot>,
    echoes: Option<Echoes>,
    next: usize,
    printed: usize,
    /// Behind the last hop.
    end: usize,
    last_sent: Option<Instant>,
    length: usize,
    names: BTreeMap<IpAddr, String>,
}

/// Asks until it is over; gives the exit code.
pub fn travel(plan: &Plan, io: &mut Io<'_>) -> Result<i32> {
    if !plan.json {
        let (host, to, most) = (&plan.host, names::figures(plan.to), plan.most);
        let length = plan.length;
        write!(
            io.out,
            "traceroute to {host} ({to}), {most} hops max, {length} byte packets"
        )?;
        io.out.flush()?;
    }
    let mut shots = Vec::new();
    for ttl in plan.first..=plan.most {
        for _ in 0..plan.each {
            let seq = (plan.port as usize + shots.len()) as u16;
            shots.push(Shot {
                ttl,
                seq,
                ..Shot::default()
            });
        }
    }
    let mut course = Course {
        plan,
        end: shots.len(),
        shots,
        echoes: None,
        next: 0,
        printed: 0,
        last_sent: None,
        length: plan.length,
        names: BTreeMap::new(),
    };
    match course.run(io)? {
        Ok(()) => {}
        Err(failed) => {
            let why = sockets::strerror(&failed.source);
            // The line of the head, or of the hop, is open so far.
            writeln!(io.err, "\n{}: {why}", failed.step)?;
            return Ok(1);
        }
    }
    if plan.json {
        writeln!(io.out, "{}", course.as_json())?;
    } else {
        writeln!(io.out)?;
    }
    if plan.explain {
        for line in course.explained(io.lang) {
            writeln!(io.out, "{line}")?;
        }
    }
    Ok(0)
}

impl Course<'_> {
    fn run(&mut self, io: &mut Io<'_>) -> Result<Result<(), Failed>> {
        if self.plan.method == Method::Icmp {
            match Echoes::open(self.plan.to, &self.plan.manner)? {
                Ok(echoes) => self.echoes = Some(echoes),
                Err(source) => {
                    let step = "socket";
                    return Ok(Err(Failed { step, source }));
                }
            }
        }
        while self.printed < self.end {
            let mut due = None;
            while self.next < self.end && self.flying() < self.plan.at_once {
                due = self.last_sent.map(|l| l + self.plan.pause);
                if due.is_some_and(|d| d > Instant::now()) {
                    break;
                }
                due = None;
                if let Err(failed) = self.send(self.next) {
                    return Ok(Err(failed));
                }
                self.next += 1;
            }
            self.wait(due)?;
            if let Err(failed) = self.collect() {
                return Ok(Err(failed));
            }
            self.print(io)?;
        }
        Ok(Ok(()))
    }

    fn flying(&self) -> usize {
        let sent = self.shots.get(self.printed..self.next).unwrap_or_default();
        sent.iter().filter(|s| !s.done).count()
    }

    fn send(&mut self, at: usize) -> Result<(), Failed> {
        if self.plan.find_mtu && self.length == self.plan.length {
            let known = hops::known_mtu(self.plan.to, &self.plan.manner);
            if let Some(mtu) = known.filter(|m| (*m as usize) < self.length) {
                self.length = mtu as usize;
                if let Some(shot) = self.shots.get_mut(at) {
                    shot.mtu = Some(mtu);
                }
            }
        }
        let head = if self.plan.to.is_ipv6() { 48 } else { 28 };
        let size = self.length.saturating_sub(head);
        let Some(shot) = self.shots.get_mut(at) else {
            return Ok(());
        };
        let now = Instant::now();
        (shot.sent, self.last_sent) = (Some(now), Some(now));
        if let Some(echoes) = &self.echoes {
            return echoes.send(shot.ttl, shot.seq, size);
        }
        let mut to = self.plan.to;
        to.set_port(if self.plan.rising {
            shot.seq
        } else {
            self.plan.port
        });
        let probe = hops::send(self.plan.method, to, shot.ttl, size, &self.plan.manner)?;
        shot.probe = Some(probe);
        Ok(())
    }

    /// How long an unanswered probe is waited for.
    fn patience(&self) -> Duration {
        let most = self.plan.wait;
        let Some(first) = self.shots.get(self.printed) else {
            return most;
        };
        let took = |ttl: u8, same: bool| {
            let mut heard = self
                .shots
                .iter()
                .filter(|s| if same { s.ttl == ttl } else { s.ttl > ttl });
            heard.find_map(|s| s.answer.as_ref()).map(|h| h.took)
        };
        let times = |took: Duration, factor: f64| (took.mul_f64(factor) + GRACE).min(most);
        match (took(first.ttl, true), took(first.ttl, false)) {
            (Some(t), _) if self.plan.here > 0.0 => times(t, self.plan.here),
            (None, Some(t)) if self.plan.near > 0.0 => times(t, self.plan.near),
            _ => most,
        }
    }

    fn wait(&self, due: Option<Instant>) -> Result<()> {
        let patience = self.patience();
        let sent = self.shots.get(self.printed..self.next).unwrap_or_default();
        let open = sent.iter().filter(|s| !s.done);
        let mut until = due;
        let mut fds = Vec::new();
        let entry = |fd, events| libc::pollfd {
            fd,
            events,
            revents: 0,
        };
        for shot in open {
            let ends = shot.sent.map(|s| s + patience);
            until = [until, ends].into_iter().flatten().min();
            if let Some(probe) = &shot.probe {
                let write = if self.plan.method == Method::Tcp {
                    libc::POLLOUT
                } else {
                    0
                };
                fds.push(entry(probe.as_raw_fd(), libc::POLLIN | write));
            }
        }
        if let Some(echoes) = &self.echoes {
            fds.push(entry(echoes.as_raw_fd(), libc::POLLIN));
        }
        let left = until.map_or(Duration::ZERO, |u| {
            u.saturating_duration_since(Instant::now())
        });
        sockets::poll(&mut fds, left)?;
        Ok(())
    }

    /// Takes what has come, and gives up what is too late.
    fn collect(&mut self) -> Result<(), Failed> {
        let mut heard = Vec::new();
        if let Some(echoes) = &mut self.echoes {
            while let Some((seq, answer)) = echoes.answer() {
                let at = self
                    .shots
                    .iter()
                    .position(|s| s.seq == seq && s.sent.is_some());
                heard.extend(at.map(|at| (at, answer)));
            }
        }
        for at in self.printed..self.next {
            let shot = self.shots.get(at).filter(|s| !s.done);
            if let Some(answer) = shot.and_then(|s| s.probe.as_ref()).and_then(Probe::answer) {
                heard.push((at, answer));
            }
        }
        for (at, answer) in heard {
            self.note(at, answer)?;
        }
        let (patience, now) = (self.patience(), Instant::now());
        for at in self.printed..self.next {
            if let Some(shot) = self.shots.get_mut(at)
                && shot.sent.is_some_and(|s| now >= s + patience)
            {
                shot.done = true;
                shot.probe = None;
            }
        }
        Ok(())
    }

    fn note(&mut self, at: usize, answer: Answer) -> Result<(), Failed> {
        let (v6, to) = (self.plan.to.is_ipv6(), self.plan.to.ip());
        if let Answer::Complaint(said) = answer
            && self.plan.find_mtu
            && said.errno == libc::EMSGSIZE
            && (said.info as usize) < self.length
        {
            self.length = said.info as usize;
            if let Some(shot) = self.shots.get_mut(at) {
                shot.mtu = Some(said.info);
            }
            return self.send(at);
        }
        let Some(shot) = self.shots.get_mut(at).filter(|s| !s.done) else {
            return Ok(());
        };
        let took = shot.sent.map_or(Duration::ZERO, |s| s.elapsed());
        let (from, note, last) = match answer {
            Answer::There | Answer::Refused => (to, String::new(), true),
            Answer::Complaint(said) => {
                let (note, last) = meaning(v6, &said);
                (said.by().unwrap_or(to), note, last)
            }
        };
        let answer = Heard {
            from,
            took,
            note,
            last,
        };
        (shot.answer, shot.done, shot.probe) = (Some(answer), true, None);
        if last {
            let hop = usize::from(shot.ttl - self.plan.first) + 1;
            self.end = self.end.min(hop * self.plan.each);
            // What was sent beyond is not looked at.
            self.next = self.next.min(self.end);
        }
        Ok(())
    }

    fn print(&mut self, io: &mut Io<'_>) -> Result<()> {
        while self.printed < self.next && self.shots.get(self.printed).is_some_and(|s| s.done) {
            let text = self.text(self.printed);
            if !self.plan.json {
                write!(io.out, "{text}")?;
                io.out.flush()?;
            }
            self.printed += 1;
        }
        Ok(())
    }

    /// A probe as it stands in its hop's line.
    fn text(&mut self, at: usize) -> String {
        let place = at % self.plan.each;
        let Some(shot) = self.shots.get(at) else {
            return String::new();
        };
        let mut text = match place {
            0 => format!("\n{:2} ", shot.ttl),
            _ => String::new(),
        };
        let mtu = shot.mtu;
        match &shot.answer {
            None => text += " *",
            Some(heard) => {
                let (from, took, note) = (heard.from, heard.took, heard.note.clone());
                let before = self.shots.get(at - place..at).unwrap_or_default();
                let before = before.iter().rev().find_map(|s| s.answer.as_ref());
                if before.is_none_or(|b| b.from != from) {
                    text += &format!(" {}", self.host(from));
                }
                text += &format!("  {:.3} ms{note}", took.as_secs_f64() * 1000.0);
                if let Some(mtu) = mtu {
                    text += &format!(" F={mtu}");
                }
            }
        }
        text
    }

    fn host(&mut self, address: IpAddr) -> String {
        if !self.plan.names {
            return address.to_string();
        }
        let named = self.names.entry(address).or_insert_with(|| {
            let name = names::name_of(SocketAddr::new(address, 0));
            format!(
                "{} ({address})",
                name.unwrap_or_else(|| address.to_string())
            )
        });
        named.clone()
    }

    /// Hops that were printed.
    fn hops(&self) -> impl Iterator<Item = &[Shot]> {
        let shots = self.shots.get(..self.end).unwrap_or_default();
        shots.chunks(self.plan.each)
    }

    fn as_json(&self) -> Value {
        let probe = |s: &Shot| match &s.answer {
            None => Value::Null,
            Some(h) => json!({
                "from": h.from.to_string(),
                "ms": h.took.as_secs_f64() * 1000.0,
                "note": h.note.trim(),
                "mtu": s.mtu,
            }),
        };
        let hop = |hop: &[Shot]| {
            let ttl = hop.first().map(|s| s.ttl);
            json!({"ttl": ttl, "probes": hop.iter().map(probe).collect::<Vec<_>>()})
        };
        json!({
            "host": self.plan.host,
            "address": self.plan.to.ip().to_string(),
            "method": format!("{:?}", self.plan.method).to_lowercase(),
            "hops": self.hops().map(hop).collect::<Vec<_>>(),
        })
    }

    /// The result in a cluster's terms.
    fn explained(&self, lang: Lang) -> Vec<String> {
        let heard = || self.shots.iter().filter_map(|s| s.answer.as_ref());
        let refused = heard().find(|h| !h.note.is_empty());
        let reached = heard().any(|h| h.last && h.note.is_empty());
        let far = heard().next_back().map(|h| h.from);
        let host = &self.plan.host;
        let mut lines = Vec::new();
        lines.push(match (refused, reached, far) {
            (Some(h), ..) => match lang {
                Lang::En => format!("{} has no way on or forbids it ({}): look at its routes and policies", h.from, h.note.trim()),
                Lang::Zh => format!("{} 没有继续的路径或禁止通过（{}）：请检查它的路由和策略", h.from, h.note.trim()),
            },
            (_, true, _) => lang.pick(
                "The host itself answered: the way is whole; between pods on two nodes one hop is the sender's node, the next the receiver's",
                "主机本身有应答：路径完整；两个节点上的 Pod 之间，一跳是发送方节点，下一跳是接收方节点",
            ).into(),
            (_, _, Some(far)) => match lang {
                Lang::En => format!("Behind {far} nobody answers: a drop there, or machines that keep silent about it (many do)"),
                Lang::Zh => format!("{far} 之后无应答：可能在那里被丢弃，也可能设备不作回应（很常见）"),
            },
            _ => lang.pick(
                "Nobody answered, not even the first router: a policy or a firewall on this side drops it, or nobody sends such complaints",
                "没有任何应答，连第一个路由器也没有：本侧的策略或防火墙丢弃了数据包，或途中设备不发送此类消息",
            ).into(),
        });
        lines.push(match lang {
            Lang::En => format!("A ClusterIP has no way of its own: trace a pod behind it, or try the port: nc -zv {host} PORT, traceroute -T -p PORT {host}"),
            Lang::Zh => format!("ClusterIP 本身没有路径：请追踪其后的 Pod，或直接试端口：nc -zv {host} 端口，traceroute -T -p 端口 {host}"),
        });
        lines
    }
}

/// A complaint as it stands behind the time, and whether the way ends with it.
fn meaning(v6: bool, said: &Complaint) -> (String, bool) {
    let text = match (v6, said.kind, said.code) {
        (false, 11, _) | (true, 3, _) => return (String::new(), false),
        (false, 3, 3) | (true, 1, 4) => "",
        (false, 3, 0 | 6 | 11) | (true, 1, 0) => " !N",
        (false, 3, 1 | 7 | 8 | 12) | (true, 1, 3) => " !H",
        (false, 3, 2) => " !P",
        (false, 3, 4) | (true, 2, _) => return (format!(" !F-{}", said.info), true),
        (false, 3, 5) => " !S",
        (false, 3, 9 | 10 | 13) | (true, 1, 1) => " !X",
        (false, 3, 14) => " !V",
        (false, 3, 15) => " !C",
        (_, _, code) => return (format!(" !<{code}>"), true),
    };
    (text.into(), true)
}
