//! `top`: at a terminal it refreshes until `q`; with `-b` it prints.

use super::read::{self, Process};
use crate::term::{Key, Screen, fitted};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

struct Options {
    batch: bool,
    times: Option<u64>,
    delay: f64,
    pids: Vec<i32>,
    by_memory: bool,
}

/// `top`.
pub fn top(args: Vec<OsString>) -> i32 {
    let args: Vec<String> = args
        .into_iter()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let mut o = Options {
        batch: !io::stdout().is_terminal(),
        times: None,
        delay: 3.0,
        pids: Vec::new(),
        by_memory: false,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (flag, attached) = (
            arg.get(..2).unwrap_or(arg),
            arg.get(2..).unwrap_or_default(),
        );
        let mut value = || {
            if attached.is_empty() {
                args.next().cloned()
            } else {
                Some(attached.to_string())
            }
        };
        let fine = match flag {
            "-b" => {
                o.batch = true;
                // `-bn1` is how it is mostly typed.
                if let Some(n) = attached.strip_prefix('n') {
                    o.times = n
                        .parse()
                        .ok()
                        .or_else(|| args.next().and_then(|n| n.parse().ok()));
                }
                true
            }
            "-n" => {
                o.times = value().and_then(|v| v.parse().ok());
                o.times.is_some()
            }
            "-d" => value()
                .and_then(|v| v.parse().ok())
                .map(|d: f64| o.delay = d.max(0.1))
                .is_some(),
            "-p" => value()
                .map(|v| {
                    o.pids
                        .extend(v.split(',').filter_map(|p| p.parse::<i32>().ok()))
                })
                .is_some(),
            "-o" => {
                o.by_memory = value().is_some_and(|v| v.contains("MEM") || v.contains("RES"));
                true
            }
            "-H" | "-c" | "-i" | "-w" => true,
            _ => false,
        };
        if !fine {
            let _ = writeln!(
                io::stderr(),
                "top: unknown option '{}'\nUsage:\n  top -b -n NUMBER -d SECONDS -p PIDS -o FIELD",
                flag.trim_start_matches('-')
            );
            return 1;
        }
    }
    let mut before = Sample::default();
    if o.batch {
        let mut left = o.times.unwrap_or(u64::MAX);
        loop {
            let now = Sample::take();
            let text = page(&o, &before, &now, usize::MAX, 512);
            if io::stdout()
                .write_all(text.as_bytes())
                .and_then(|()| io::stdout().flush())
                .is_err()
            {
                return 1;
            }
            before = now;
            left = left.saturating_sub(1);
            if left == 0 {
                return 0;
            }
            let _ = io::stdout().write_all(b"\n");
            std::thread::sleep(Duration::from_secs_f64(o.delay));
        }
    }
    interactive(&mut o, before)
}

fn interactive(o: &mut Options, mut before: Sample) -> i32 {
    let mut screen = match Screen::open() {
        Ok(s) => s,
        Err(e) => {
            let _ = writeln!(io::stderr(), "top: /dev/tty: {}", crate::grep::system(&e));
            return 1;
        }
    };
    let mut left = o.times.unwrap_or(u64::MAX);
    loop {
        let now = Sample::take();
        let (rows, columns) = screen.size();
        let text = page(o, &before, &now, rows, columns).replace('\n', "\x1b[K\r\n");
        screen.put(&format!(
            "\x1b[?25l\x1b[H{}\x1b[J",
            text.trim_end_matches("\r\n")
        ));
        left = left.saturating_sub(1);
        if left == 0 {
            return 0;
        }
        let end = Instant::now() + Duration::from_secs_f64(o.delay);
        match screen.key(Some(end.saturating_duration_since(Instant::now()))) {
            Some(Key::Char('q') | Key::Ctrl('c')) => return 0,
            Some(Key::Char('M')) => o.by_memory = true,
            Some(Key::Char('P')) => o.by_memory = false,
            Some(_) | None => {}
        }
        before = now;
    }
}

#[derive(Default)]
struct Sample {
    at: f64,
    cpu: Vec<u64>,
    all: Vec<Process>,
}

impl Sample {
    fn take() -> Sample {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().next().unwrap_or_default();
        let cpu = line
            .split_whitespace()
            .skip(1)
            .filter_map(|f| f.parse().ok())
            .collect();
        Sample {
            at: read::uptime(),
            cpu,
            all: read::processes(),
        }
    }
}

fn page(o: &Options, before: &Sample, now: &Sample, rows: usize, columns: usize) -> String {
    let mut lines = heads(before, now);
    lines.push(String::new());
    // As wide as the largest number that this kernel gives, five digits at least.
    let most = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
    let digits = match most.trim().parse::<u64>() {
        Ok(most) => most.saturating_sub(1).to_string().len().clamp(5, 10),
        Err(_) => 7,
    };
    lines.push(format!(
        "{:>digits$} USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND",
        "PID"
    ));
    let users = read::names("/etc/passwd");
    let hertz = read::hertz() as f64;
    let memory = read::memory()
        .ok()
        .and_then(|m| m.get("MemTotal").copied())
        .unwrap_or(1) as f64;
    let past: HashMap<i32, u64> = before.all.iter().map(|p| (p.pid, p.ticks())).collect();
    let mut all: Vec<(f64, &Process)> = now
        .all
        .iter()
        .filter(|p| o.pids.is_empty() || o.pids.contains(&p.pid))
        .map(|p| {
            // Without a sample before: since it started.
            let (ticks, span) = match past.get(&p.pid) {
                Some(t) => (p.ticks().saturating_sub(*t), now.at - before.at),
                None if before.all.is_empty() => (p.ticks(), now.at - p.start as f64 / hertz),
                None => (p.ticks(), now.at - before.at),
            };
            (
                if span > 0.0 {
                    100.0 * ticks as f64 / hertz / span
                } else {
                    0.0
                },
                p,
            )
        })
        .collect();
    if o.by_memory {
        all.sort_by_key(|(_, p)| std::cmp::Reverse(p.resident_kib));
    } else {
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.pid.cmp(&b.1.pid)));
    }
    for (share, p) in all {
        if lines.len() >= rows {
            break;
        }
        let user: String = users
            .get(&p.uid)
            .cloned()
            .unwrap_or_else(|| p.uid.to_string())
            .chars()
            .take(8)
            .collect();
        let hundredths = (p.ticks() as f64 / hertz * 100.0) as u64;
        let time = format!(
            "{}:{:02}.{:02}",
            hundredths / 6000,
            hundredths / 100 % 60,
            hundredths % 100
        );
        let priority = if p.priority < -99 {
            "rt".to_string()
        } else {
            p.priority.to_string()
        };
        lines.push(format!(
            "{:>digits$} {user:<8} {priority:>3} {:>3} {:>7} {:>6} {:>6} {} {share:>5.1} {:>5.1} {time:>9} {}",
            p.pid,
            p.nice,
            size(p.virtual_kib, 7),
            size(p.resident_kib, 6),
            size(p.shared_kib, 6),
            p.state,
            100.0 * p.resident_kib as f64 / memory,
            p.name
        ));
    }
    lines.iter().map(|l| fitted(l, 0, columns) + "\n").collect()
}

/// Kibibytes, scaled where they do not fit.
fn size(kib: u64, width: usize) -> String {
    let plain = kib.to_string();
    if plain.len() <= width {
        return plain;
    }
    let mut n = kib as f64;
    for unit in ["m", "g", "t"] {
        n /= 1024.0;
        let text = format!("{n:.1}{unit}");
        if text.len() <= width {
            return text;
        }
    }
    plain
}

fn heads(before: &Sample, now: &Sample) -> Vec<String> {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let up = now.at as u64;
    let (days, h, m) = (up / 86400, up / 3600 % 24, up / 60 % 60);
    let up = match (days, h) {
        (0, 0) => format!("{m} min"),
        (0, h) => format!("{h:>2}:{m:02}"),
        (d, h) => format!("{d} day{}, {h:>2}:{m:02}", if d == 1 { "" } else { "s" }),
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let states = |s: &[char]| now.all.iter().filter(|p| s.contains(&p.state)).count();
    let differs: Vec<f64> = (0..8)
        .map(|n| {
            let of = |s: &Sample| s.cpu.get(n).copied().unwrap_or(0);
            of(now).saturating_sub(of(before)) as f64
        })
        .collect();
    let sum = differs.iter().sum::<f64>().max(1.0);
    let part = |n: usize| 100.0 * differs.get(n).copied().unwrap_or(0.0) / sum;
    let m = read::memory().unwrap_or_default();
    let mib = |name: &str| m.get(name).copied().unwrap_or(0) as f64 / 1024.0;
    let cache = mib("Buffers") + mib("Cached") + mib("SReclaimable");
    let used = mib("MemTotal") - mib("MemAvailable");
    vec![
        format!(
            "top - {} up {up},  load average: {}",
            crate::clock::shown(seconds, "%H:%M:%S"),
            load.join(", ")
        ),
        format!(
            "Tasks: {:>3} total, {:>3} running, {:>3} sleeping, {:>3} stopped, {:>3} zombie",
            now.all.len(),
            states(&['R']),
            states(&['S', 'D', 'I']),
            states(&['T', 't']),
            states(&['Z'])
        ),
        format!(
            "%Cpu(s): {:>4.1} us, {:>4.1} sy, {:>4.1} ni, {:>4.1} id, {:>4.1} wa, {:>4.1} hi, {:>4.1} si, {:>4.1} st",
            part(0),
            part(2),
            part(1),
            part(3),
            part(4),
            part(5),
            part(6),
            part(7)
        ),
        format!(
            "MiB Mem : {:>8.1} total, {:>8.1} free, {used:>8.1} used, {cache:>8.1} buff/cache",
            mib("MemTotal"),
            mib("MemFree")
        ),
        format!(
            "MiB Swap: {:>8.1} total, {:>8.1} free, {:>8.1} used. {:>8.1} avail Mem",
            mib("SwapTotal"),
            mib("SwapFree"),
            mib("SwapTotal") - mib("SwapFree"),
            mib("MemAvailable")
        ),
    ]
}
