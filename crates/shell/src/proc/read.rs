//! What `/proc` says.

use std::collections::HashMap;
use std::io;

/// A process.
#[derive(Clone, Debug, Default)]
pub struct Process {
    pub pid: i32,
    pub name: String,
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    pub tty: i32,
    pub foreground: i32,
    pub user: u64,
    pub system: u64,
    pub priority: i64,
    pub nice: i64,
    pub threads: i64,
    pub start: u64,
    pub virtual_kib: u64,
    pub resident_kib: u64,
    pub shared_kib: u64,
    pub locked: bool,
    pub uid: u32,
    pub gid: u32,
    pub command: Vec<String>,
}

impl Process {
    /// Ticks of processor time.
    pub fn ticks(&self) -> u64 {
        self.user + self.system
    }

    /// Its words, or its name in brackets where it has none.
    pub fn words(&self) -> String {
        let joined = self.command.join(" ");
        if joined.is_empty() {
            let gone = if self.state == 'Z' { " <defunct>" } else { "" };
            return format!("[{}]{gone}", self.name);
        }
        clean(&joined)
    }
}

/// Without what a terminal would obey.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// All processes, by number.
pub fn processes() -> Vec<Process> {
    let mut all: Vec<Process> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| process(e.file_name().to_str()?.parse().ok()?))
        .collect();
    all.sort_by_key(|p| p.pid);
    all
}

/// One, unless it has gone.
pub fn process(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, spaces and brackets too.
    let (head, tail) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(tail + 2..)?.split_whitespace().collect();
    let number = |n: usize| {
        fields
            .get(n)
            .and_then(|f| f.parse::<i64>().ok())
            .unwrap_or(0)
    };
    let unsigned = |n: usize| u64::try_from(number(n)).unwrap_or(0);
    let small = |n: usize| i32::try_from(number(n)).unwrap_or(0);
    let page = rustix::param::page_size() as u64 / 1024;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name))?;
        line.split_whitespace()
            .nth(1)
            .or(line.split_whitespace().next())?
            .parse::<u64>()
            .ok()
    };
    let first = |name: &str| {
        status.lines().find_map(|l| {
            l.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        })
    };
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command: Vec<String> = command
        .split(|b| *b == 0)
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .collect();
    let command = match command.split_last() {
        Some((last, rest)) if last.is_empty() => rest.to_vec(),
        _ => command,
    };
    Some(Process {
        pid,
        name: clean(stat.get(head + 1..tail)?),
        state: fields.first()?.chars().next()?,
        parent: small(1),
        group: small(2),
        session: small(3),
        tty: small(4),
        foreground: small(5),
        user: unsigned(11),
        system: unsigned(12),
        priority: number(15),
        nice: number(16),
        threads: number(17),
        start: unsigned(19),
        virtual_kib: unsigned(20) / 1024,
        resident_kib: unsigned(21) * page,
        shared_kib: first("RssFile:").unwrap_or(0) + first("RssShmem:").unwrap_or(0),
        locked: first("VmLck:").unwrap_or(0) > 0,
        // The effective one is the second.
        uid: u32::try_from(of("Uid:").unwrap_or(0)).unwrap_or(0),
        gid: u32::try_from(of("Gid:").unwrap_or(0)).unwrap_or(0),
        command,
    })
}

/// `/proc/meminfo`, in kibibytes.
pub fn memory() -> io::Result<HashMap<String, u64>> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    Ok(text
        .lines()
        .filter_map(|l| {
            let (name, rest) = l.split_once(':')?;
            Some((
                name.to_string(),
                rest.split_whitespace().next()?.parse().ok()?,
            ))
        })
        .collect())
}

/// Seconds since the machine started.
pub fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|t| t.parse().ok())
        .unwrap_or(0.0)
}

/// When the machine started, since 1970.
pub fn boot() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    text.lines()
        .find_map(|l| l.strip_prefix("btime ")?.trim().parse().ok())
        .unwrap_or(0)
}

/// Ticks in a second.
pub fn hertz() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

/// Names of users and groups, by number.
pub fn names(file: &str) -> HashMap<u32, String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|l| {
            let mut fields = l.split(':');
            let name = fields.next()?;
            Some((fields.nth(1)?.parse().ok()?, name.to_string()))
        })
        .collect()
}

/// The terminal of a device number.
pub fn terminal(device: i32) -> String {
    let device = device as u32;
    let (major, minor) = (
        (device >> 8) & 0xfff,
        (device & 0xff) | ((device >> 12) & 0xfff00),
    );
    match major {
        0 => "?".into(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        5 if minor == 1 => "console".into(),
        _ => "?".into(),
    }
}
