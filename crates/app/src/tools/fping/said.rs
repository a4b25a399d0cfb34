//! The lines of fping.

use super::course::{Figures, Host, Totals};
use super::plan::Plan;
use crate::io::{Io, Lang};
use anyhow::Result;
use netshoot_host::message::Complaint;
use netshoot_host::names;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// Milliseconds with three figures.
fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    let places = match ms {
        ms if ms < 1.0 => 3,
        ms if ms < 10.0 => 2,
        ms if ms < 100.0 => 1,
        _ => 0,
    };
    format!("{ms:.places$}")
}

fn average(figures: &Figures) -> String {
    figures.average().map_or_else(|| "NaN".into(), ms)
}

fn behind(other: Option<SocketAddr>) -> String {
    other.map_or(String::new(), |from| {
        format!(" [<- {}]", names::figures(from))
    })
}

/// A request that was answered, in counting.
pub fn answer(
    host: &Host,
    index: u32,
    length: usize,
    took: Duration,
    width: usize,
    other: Option<SocketAddr>,
) -> String {
    let (name, took, other) = (&host.target.name, ms(took), behind(other));
    let (average, loss) = (average(&host.all), host.all.loss());
    format!(
        "{name:width$} : [{index}], {length} bytes, {took} ms ({average} avg, {loss}% loss){other}"
    )
}

/// A request that was not.
pub fn silence(host: &Host, index: u32, width: usize) -> String {
    let (name, average, loss) = (&host.target.name, average(&host.all), host.all.loss());
    format!("{name:width$} : [{index}], timed out ({average} avg, {loss}% loss)")
}

/// A target that answers for the first time.
pub fn alive(
    plan: &Plan,
    host: &Host,
    took: Duration,
    other: Option<SocketAddr>,
    io: &mut Io<'_>,
) -> Result<()> {
    if plan.unreachable || plan.enough.is_some() || plan.json || plan.quiet && !plan.alive {
        return Ok(());
    }
    let verb = if plan.alive { "" } else { " is alive" };
    let took = if plan.elapsed {
        format!(" ({} ms)", ms(took))
    } else {
        String::new()
    };
    writeln!(io.out, "{}{verb}{took}{}", host.target.name, behind(other))?;
    Ok(())
}

/// Who did not answer, at the end.
pub fn unreachable(plan: &Plan, hosts: &[Host], io: &mut Io<'_>) -> Result<()> {
    for host in hosts.iter().filter(|h| !h.alive) {
        let name = &host.target.name;
        if plan.enough.is_some() {
            continue;
        }
        if plan.unreachable {
            writeln!(io.out, "{name}")?;
        } else if !plan.alive && !plan.quiet {
            writeln!(io.out, "{name} is unreachable")?;
        }
    }
    Ok(())
}

/// A line for each target.
pub fn figures(
    plan: &Plan,
    hosts: &[Host],
    width: usize,
    of: fn(&Host) -> Figures,
    io: &mut Io<'_>,
) -> Result<()> {
    // Written at once: a thousand targets are a thousand lines.
    let mut all = String::new();
    for host in hosts {
        let name = &host.target.name;
        let f = of(host);
        if plan.every_time {
            let times = host.times.iter().map(|t| t.map_or_else(|| "-".into(), ms));
            let times: Vec<String> = times.collect();
            all += &format!("{name:width$} : {}\n", times.join(" "));
            continue;
        }
        let loss = f.loss();
        let mut line = format!(
            "{name:width$} : xmt/rcv/%loss = {}/{}/{loss}%",
            f.sent, f.received
        );
        if plan.outage {
            let lost = f.sent.saturating_sub(f.received);
            line += &format!(", outage(ms) = {}", (plan.period * lost).as_millis());
        }
        if let Some(average) = f.average() {
            line += &format!(
                ", min/avg/max = {}/{}/{}",
                ms(f.least),
                ms(average),
                ms(f.most)
            );
        }
        all += &line;
        all.push('\n');
    }
    io.err.write_all(all.as_bytes())?;
    Ok(())
}

/// Charts and values of a target, as netdata's plug-ins print them.
pub fn netdata(host: &Host, first: bool, every: Duration) -> String {
    let name = &host.target.name;
    let id: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let every = every.as_secs().max(1);
    let f = &host.lately;
    let mut text = String::new();
    let mut chart = |what: &str, head: String, values: Vec<String>| {
        if first {
            text += &head;
        }
        text += &format!("BEGIN fping.{id}_{what}\n{}END\n", values.concat());
    };
    chart(
        "packets",
        format!(
            "CHART fping.{id}_packets '' 'FPing Packets for host {name}' packets '{name}' fping.packets line 110020 {every}\n\
             DIMENSION xmt sent absolute 1 1\nDIMENSION rcv received absolute 1 1\n"
        ),
        vec![
            format!("SET xmt = {}\n", f.sent),
            format!("SET rcv = {}\n", f.received),
        ],
    );
    let share = (u64::from(f.received) * 100)
        .checked_div(u64::from(f.sent))
        .unwrap_or(0);
    chart(
        "quality",
        format!(
            "CHART fping.{id}_quality '' 'FPing Quality for host {name}' percentage '{name}' fping.quality area 110010 {every}\n\
             DIMENSION returned '' absolute 1 1\n"
        ),
        vec![format!("SET returned = {share}\n")],
    );
    let times = f.average().map_or(Vec::new(), |average| {
        let set = |name: &str, time: Duration| format!("SET {name} = {}\n", time.as_nanos());
        vec![set("min", f.least), set("avg", average), set("max", f.most)]
    });
    chart(
        "latency",
        format!(
            "CHART fping.{id}_latency '' 'FPing Latency for host {name}' ms '{name}' fping.latency area 110000 {every}\n\
             DIMENSION min minimum absolute 1 1000000\nDIMENSION max maximum absolute 1 1000000\n\
             DIMENSION avg average absolute 1 1000000\n"
        ),
        times,
    );
    text
}

/// Figures of all.
pub fn totals(hosts: &[Host], unknown: usize, totals: &Totals, took: Duration) -> String {
    let alive = hosts.iter().filter(|h| h.alive).count();
    let received: u64 = hosts.iter().map(|h| u64::from(h.all.received)).sum();
    let answered = || hosts.iter().map(|h| h.all).filter(|f| f.received > 0);
    let least = answered().map(|f| f.least).min().unwrap_or_default();
    let most = answered().map(|f| f.most).max().unwrap_or_default();
    let sum: Duration = answered().map(|f| f.sum).sum();
    let average = sum.as_secs_f64() / received.max(1) as f64;
    let average = Duration::from_secs_f64(average);
    let mut text = String::from("\n");
    for (number, what) in [
        (hosts.len() as u64, "targets"),
        (alive as u64, "alive"),
        ((hosts.len() - alive) as u64, "unreachable"),
        (unknown as u64, "unknown addresses\n"),
        (totals.timeouts, "timeouts (waiting for response)"),
        (totals.sent, "ICMP Echos sent"),
        (received, "ICMP Echo Replies received"),
        (totals.others, "other ICMP received\n"),
    ] {
        text += &format!(" {number:7} {what}\n");
    }
    for (time, what) in [(least, "min"), (average, "avg"), (most, "max")] {
        text += &format!(" {} ms ({what} round trip time)\n", ms(time));
    }
    text + &format!(" {:12.3} sec (elapsed real time)\n\n", took.as_secs_f64())
}

/// What ICMP complains of (RFC 792), about a request to a target.
pub fn complaint(c: &Complaint, name: &str) -> String {
    let what = match (c.kind, c.code) {
        (3, 0) => "ICMP Network Unreachable".into(),
        (3, 1) => "ICMP Host Unreachable".into(),
        (3, 2) => "ICMP Protocol Unreachable".into(),
        (3, 3) => "ICMP Port Unreachable".into(),
        (3, code) => {
            let why = match code {
                4 => "Fragmentation Needed",
                5 => "Source Route Failed",
                6 => "Destination Network Unknown",
                7 => "Destination Host Unknown",
                8 => "Source Host Isolated",
                9 => "Communication with Network Prohibited",
                10 => "Communication with Host Prohibited",
                11 => "Network Unreachable For Type Of Service",
                12 => "Host Unreachable For Type Of Service",
                13 => "Communication Administratively Prohibited",
                14 => "Host Precedence Violation",
                15 => "Precedence cutoff in effect",
                _ => "Unknown",
            };
            format!("ICMP Unreachable ({why})")
        }
        (4, _) => "ICMP Source Quench".into(),
        (5, _) => "ICMP Redirect".into(),
        (11, _) => "ICMP Time Exceeded".into(),
        (12, _) => "ICMP Parameter Problem".into(),
        (kind, _) => format!("ICMP {kind}"),
    };
    let by = c.from.map_or_else(|| "nobody".into(), names::figures);
    format!("{what} from {by} for ICMP Echo sent to {name}")
}

/// An object for each target.
pub fn json(hosts: &[Host]) -> Value {
    let ms = |t: Duration| (t.as_secs_f64() * 1e6).round() / 1e3;
    let each = hosts.iter().map(|h| {
        let f = &h.all;
        let times: Vec<Value> = h
            .times
            .iter()
            .map(|t| t.map_or(Value::Null, |t| json!(ms(t))))
            .collect();
        json!({
            "target": h.target.name,
            "address": h.target.to.ip().to_string(),
            "alive": h.alive,
            "sent": f.sent,
            "received": f.received,
            "loss_percent": f.loss(),
            "min_ms": f.average().map(|_| ms(f.least)),
            "avg_ms": f.average().map(ms),
            "max_ms": f.average().map(|_| ms(f.most)),
            "times_ms": times,
        })
    });
    Value::Array(each.collect())
}

/// What it says in a cluster's terms.
pub fn explained(hosts: &[Host], lang: Lang) -> Vec<&'static str> {
    let alive = hosts.iter().filter(|h| h.alive).count();
    let mut lines = Vec::new();
    if alive > 0 {
        lines.push(lang.pick(
            "Alive: the address answers and the way there and back is open for ICMP; whether a port answers is another question (nc -zv)",
            "在线：该地址有应答，往返路径对 ICMP 开放；端口是否可达需另行确认（nc -zv）",
        ));
    }
    if alive < hosts.len() {
        lines.push(lang.pick(
            "Unreachable: nobody has the address, ICMP is dropped on the way, or it is a Service's: a ClusterIP is often not answered although its ports are open (nc -zv)",
            "不可达：该地址不存在、ICMP 在途中被丢弃，或它是 Service 的地址：ClusterIP 通常不应答 ping，但端口可能是通的（nc -zv）",
        ));
    }
    if hosts.iter().any(|h| h.alive && h.all.loss() > 0) {
        lines.push(lang.pick(
            "Some answers are missing: loss on a link, a node that is overloaded, or a limit on ICMP",
            "部分应答缺失：链路丢包、节点过载，或对 ICMP 的速率限制",
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_figures() {
        for (us, wanted) in [
            (43, "0.043"),
            (1_234, "1.23"),
            (36_820, "36.8"),
            (991_700, "992"),
            (0, "0.000"),
        ] {
            assert_eq!(ms(Duration::from_micros(us)), wanted);
        }
    }
}
