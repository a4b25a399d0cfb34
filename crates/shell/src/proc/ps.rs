//! `ps`: the options that people type, of both styles.

use super::read::{self, Process};
use crate::word::flushed;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Write};

/// A column.
struct Column {
    key: &'static str,
    head: &'static str,
    width: usize,
    left: bool,
}

const fn column(key: &'static str, head: &'static str, width: usize, left: bool) -> Column {
    Column {
        key,
        head,
        width,
        left,
    }
}

const COLUMNS: &[Column] = &[
    column("user", "USER", 8, true),
    column("uid", "UID", 5, false),
    column("uname", "UID", 8, true),
    column("group", "GROUP", 8, true),
    column("gid", "GID", 5, false),
    column("pid", "PID", 7, false),
    column("ppid", "PPID", 7, false),
    column("pgid", "PGID", 7, false),
    column("sid", "SID", 7, false),
    column("c", "C", 2, false),
    column("pcpu", "%CPU", 4, false),
    column("pmem", "%MEM", 4, false),
    column("vsz", "VSZ", 6, false),
    column("rss", "RSS", 5, false),
    column("tty", "TTY", 8, true),
    column("stat", "STAT", 4, true),
    column("s", "S", 1, true),
    column("start", "START", 5, false),
    column("stime", "STIME", 5, false),
    column("lstart", "STARTED", 24, false),
    column("bsdtime", "TIME", 6, false),
    column("time", "TIME", 8, false),
    column("etime", "ELAPSED", 11, false),
    column("etimes", "ELAPSED", 7, false),
    column("ni", "NI", 3, false),
    column("pri", "PRI", 3, false),
    column("nlwp", "NLWP", 4, false),
    column("comm", "COMMAND", 15, true),
    column("ucmd", "CMD", 15, true),
    column("args", "COMMAND", 27, true),
    column("cmd", "CMD", 27, true),
];

const OTHER_NAMES: &[(&str, &str)] = &[
    ("euser", "user"),
    ("ruser", "user"),
    ("euid", "uid"),
    ("%cpu", "pcpu"),
    ("%mem", "pmem"),
    ("vsize", "vsz"),
    ("rssize", "rss"),
    ("tt", "tty"),
    ("tname", "tty"),
    ("state", "s"),
    ("command", "args"),
    ("cputime", "time"),
    ("ucomm", "comm"),
    ("nice", "ni"),
    ("thcount", "nlwp"),
    ("pgrp", "pgid"),
    ("sess", "sid"),
    ("bsdstart", "start"),
];

#[derive(Default)]
struct Options {
    all: bool,
    with_terminal: bool,
    /// Of whoever, where there is a terminal.
    others: bool,
    no_terminal_too: bool,
    full: bool,
    long_user: bool,
    columns: Vec<(&'static Column, Option<String>)>,
    pids: Vec<i32>,
    parents: Vec<i32>,
    names: Vec<String>,
    users: Vec<String>,
    no_heads: bool,
    wide: bool,
    sort: Vec<String>,
}

/// `ps`.
pub fn ps(args: Vec<OsString>) -> i32 {
    let args: Vec<String> = args
        .into_iter()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let o = match parse(&args) {
        Ok(o) => o,
        Err(said) => {
            let _ = writeln!(io::stderr(), "error: {said}\n\nUsage:\n ps [options]");
            return 1;
        }
    };
    let shown = chosen(&o);
    let found = !shown.is_empty();
    let text = table(&o, shown);
    let _ = io::stdout().write_all(text.as_bytes());
    let selects =
        !(o.pids.is_empty() && o.names.is_empty() && o.users.is_empty() && o.parents.is_empty());
    flushed(i32::from(selects && !found))
}

fn list<T>(text: &str, one: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let parts = text.split([',', ' ']).filter(|p| !p.is_empty());
    parts
        .map(|p| one(p).ok_or_else(|| format!("improper list: {p}")))
        .collect()
}

fn columns(o: &mut Options, text: &str) -> Result<(), String> {
    let mut rest = text;
    while !rest.is_empty() {
        // After `=`, everything is the head of the last column.
        let end = rest.find([',', ' ', '=']).unwrap_or(rest.len());
        let key = rest.get(..end).unwrap_or_default();
        let head = rest.get(end..).and_then(|r| r.strip_prefix('='));
        let key = OTHER_NAMES
            .iter()
            .find(|(n, _)| *n == key)
            .map_or(key, |(_, k)| k);
        let column = COLUMNS
            .iter()
            .find(|c| c.key == key)
            .ok_or_else(|| format!("unknown user-defined format specifier \"{key}\""))?;
        o.columns.push((column, head.map(String::from)));
        if head.is_some() {
            return Ok(());
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Ok(())
}

fn set(o: &mut Options, text: &str) {
    let _ = columns(o, text);
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut o = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = |attached: &str, what: &str| -> Result<String, String> {
            if !attached.is_empty() {
                return Ok(attached.to_string());
            }
            args.next()
                .cloned()
                .ok_or_else(|| format!("{what} must follow this option"))
        };
        if let Some(long) = arg.strip_prefix("--") {
            let (name, v) = long.split_once('=').unwrap_or((long, ""));
            match name {
                "no-headers" | "no-heading" | "noheaders" | "no-header" => o.no_heads = true,
                "sort" => {
                    o.sort = value(v, "list of keys")?
                        .split(',')
                        .map(String::from)
                        .collect()
                }
                "pid" => o.pids.extend(list(&value(v, "list of process IDs")?, |p| {
                    p.parse::<i32>().ok()
                })?),
                "ppid" => o
                    .parents
                    .extend(list(&value(v, "list of process IDs")?, |p| {
                        p.parse::<i32>().ok()
                    })?),
                "format" => columns(&mut o, &value(v, "format specification")?)?,
                "forest" | "headers" => {}
                _ => return Err("unknown gnu long option".into()),
            }
        } else if let Some(letters) = arg.strip_prefix('-') {
            let mut at = 0;
            while let Some(c) = letters.get(at..).and_then(|r| r.chars().next()) {
                at += c.len_utf8();
                let rest = letters.get(at..).unwrap_or_default();
                match c {
                    'e' | 'A' => o.all = true,
                    'f' => o.full = true,
                    'a' => (o.with_terminal, o.others) = (true, true),
                    'x' => o.no_terminal_too = true,
                    'w' => o.wide = true,
                    'l' | 'y' | 'j' | 'L' | 'T' | 'H' | 'F' | 'd' => {}
                    'o' | 'p' | 'C' | 'u' | 'U' => {
                        let v = value(rest, "list")?;
                        match c {
                            'o' => columns(&mut o, &v)?,
                            'p' => o.pids.extend(list(&v, |p| p.parse::<i32>().ok())?),
                            'C' => o.names.extend(v.split(',').map(String::from)),
                            _ => o.users.extend(v.split(',').map(String::from)),
                        }
                        break;
                    }
                    _ => return Err("unsupported SysV option".into()),
                }
            }
        } else if arg.starts_with(|c: char| c.is_ascii_digit()) {
            o.pids.extend(list(arg, |p| p.parse::<i32>().ok())?);
        } else {
            for (n, c) in arg.char_indices() {
                let rest = arg.get(n + 1..).unwrap_or_default();
                match c {
                    'a' => o.others = true,
                    'x' => o.no_terminal_too = true,
                    'u' => o.long_user = true,
                    'w' => o.wide = true,
                    'h' => o.no_heads = true,
                    'f' | 'e' | 'j' | 'l' => {}
                    'o' => {
                        let v = value(rest, "format specification")?;
                        columns(&mut o, &v)?;
                        break;
                    }
                    'p' => {
                        o.pids
                            .extend(list(&value(rest, "list of process IDs")?, |p| {
                                p.parse::<i32>().ok()
                            })?);
                        break;
                    }
                    _ => return Err("unsupported option (BSD syntax)".into()),
                }
            }
            if o.others && o.no_terminal_too {
                o.all = true;
            }
            if !o.long_user && o.columns.is_empty() && (o.others || o.no_terminal_too) {
                set(&mut o, "pid,tty,stat,bsdtime,args");
            }
        }
    }
    if o.long_user {
        o.columns.clear();
        set(
            &mut o,
            "user,pid,pcpu,pmem,vsz,rss,tty,stat,start,bsdtime,args",
        );
    } else if o.full {
        o.columns.clear();
        set(&mut o, "uname,pid,ppid,c,stime,tty,time,cmd");
    } else if o.columns.is_empty() {
        set(&mut o, "pid,tty,time,ucmd");
    }
    Ok(o)
}

fn chosen(o: &Options) -> Vec<Process> {
    let own = read::process(i32::try_from(std::process::id()).unwrap_or(0)).unwrap_or_default();
    let users = read::names("/etc/passwd");
    let all = read::processes();
    let selects =
        !(o.pids.is_empty() && o.names.is_empty() && o.users.is_empty() && o.parents.is_empty());
    all.into_iter()
        .filter(|p| {
            if selects {
                let user = users.get(&p.uid).cloned().unwrap_or_default();
                return o.pids.contains(&p.pid)
                    || o.parents.contains(&p.parent)
                    || o.names.contains(&p.name)
                    || o.users
                        .iter()
                        .any(|u| *u == user || *u == p.uid.to_string());
            }
            if o.all {
                return true;
            }
            let terminal = if o.others || o.no_terminal_too {
                p.tty != 0 || o.no_terminal_too
            } else {
                p.tty == own.tty
            };
            let owner = o.others || p.uid == own.uid;
            let leader = o.with_terminal && p.pid == p.session;
            terminal && owner && !leader
        })
        .collect()
}

struct Facts {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
    uptime: f64,
    boot: u64,
    hertz: f64,
    memory: f64,
    now: u64,
}

fn table(o: &Options, mut all: Vec<Process>) -> String {
    let facts = Facts {
        users: read::names("/etc/passwd"),
        groups: read::names("/etc/group"),
        uptime: read::uptime(),
        boot: read::boot(),
        hertz: read::hertz() as f64,
        memory: read::memory()
            .ok()
            .and_then(|m| m.get("MemTotal").copied())
            .unwrap_or(1) as f64,
        now: std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs()),
    };
    for key in o.sort.iter().rev() {
        let (down, name) = match key.strip_prefix('-') {
            Some(n) => (true, n),
            None => (false, key.trim_start_matches('+')),
        };
        let name = OTHER_NAMES
            .iter()
            .find(|(n, _)| *n == name)
            .map_or(name, |(_, k)| k);
        all.sort_by(|a, b| {
            let (x, y) = (cell(name, a, &facts), cell(name, b, &facts));
            let order = match (x.parse::<f64>(), y.parse::<f64>()) {
                (Ok(x), Ok(y)) => x.total_cmp(&y),
                _ => x.cmp(&y),
            };
            if down { order.reverse() } else { order }
        });
    }
    let mut text = String::new();
    let heads: Vec<String> = o
        .columns
        .iter()
        .map(|(c, h)| h.clone().unwrap_or_else(|| c.head.to_string()))
        .collect();
    if !o.no_heads && heads.iter().any(|h| !h.is_empty()) {
        text.push_str(&row(o, &heads, &heads));
    }
    for p in &all {
        let cells: Vec<String> = o
            .columns
            .iter()
            .map(|(c, _)| cell(c.key, p, &facts))
            .collect();
        text.push_str(&row(o, &cells, &heads));
    }
    text
}

fn row(o: &Options, cells: &[String], heads: &[String]) -> String {
    let mut line = String::new();
    let last = cells.len().saturating_sub(1);
    for (n, ((column, _), cell)) in o.columns.iter().zip(cells).enumerate() {
        if n > 0 {
            line.push(' ');
        }
        let width = column
            .width
            .max(heads.get(n).map_or(0, |h| h.chars().count()));
        if column.left && n == last {
            line.push_str(cell);
        } else if column.left {
            let cut: String = if column.key == "user" || column.key == "uname" {
                short(cell, width)
            } else {
                cell.chars().take(width).collect()
            };
            line.push_str(&format!("{cut:<width$}"));
        } else {
            line.push_str(&format!("{cell:>width$}"));
        }
    }
    line.push('\n');
    line
}

/// A name that does not fit is cut, and says so.
fn short(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_string();
    }
    let cut: String = name.chars().take(width - 1).collect();
    format!("{cut}+")
}

fn hours(seconds: u64) -> String {
    let (d, h, m, s) = (
        seconds / 86400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    );
    if d > 0 {
        format!("{d}-{h:02}:{m:02}:{s:02}")
    } else {
        format!("{h:02}:{m:02}:{s:02}")
    }
}

fn cell(key: &str, p: &Process, f: &Facts) -> String {
    let ticks = p.ticks() as f64 / f.hertz;
    let age = (f.uptime - p.start as f64 / f.hertz).max(0.0);
    let started = f.boot + (p.start as f64 / f.hertz) as u64;
    let share = if age > 0.0 { 100.0 * ticks / age } else { 0.0 };
    match key {
        "user" | "uname" => f
            .users
            .get(&p.uid)
            .cloned()
            .unwrap_or_else(|| p.uid.to_string()),
        "group" => f
            .groups
            .get(&p.gid)
            .cloned()
            .unwrap_or_else(|| p.gid.to_string()),
        "uid" => p.uid.to_string(),
        "gid" => p.gid.to_string(),
        "pid" => p.pid.to_string(),
        "ppid" => p.parent.to_string(),
        "pgid" => p.group.to_string(),
        "sid" => p.session.to_string(),
        "c" => format!("{:.0}", share.min(99.0).trunc()),
        "pcpu" => {
            if share >= 100.0 {
                format!("{share:.0}")
            } else {
                format!("{:.1}", (share * 10.0).trunc() / 10.0)
            }
        }
        "pmem" => format!(
            "{:.1}",
            (1000.0 * p.resident_kib as f64 / f.memory).trunc() / 10.0
        ),
        "vsz" => p.virtual_kib.to_string(),
        "rss" => p.resident_kib.to_string(),
        "tty" => read::terminal(p.tty),
        "s" => p.state.to_string(),
        "stat" => {
            let mut text = p.state.to_string();
            text.push_str(if p.nice < 0 {
                "<"
            } else if p.nice > 0 {
                "N"
            } else {
                ""
            });
            text.push_str(if p.locked { "L" } else { "" });
            text.push_str(if p.session == p.pid { "s" } else { "" });
            text.push_str(if p.threads > 1 { "l" } else { "" });
            text.push_str(if p.foreground == p.group && p.tty != 0 {
                "+"
            } else {
                ""
            });
            text
        }
        "start" | "stime" => {
            let today = crate::clock::shown(f.now, "%F") == crate::clock::shown(started, "%F");
            let form = if today || f.now.saturating_sub(started) < 86400 && key == "start" {
                "%H:%M"
            } else {
                "%b%d"
            };
            crate::clock::shown(started, form)
        }
        "lstart" => crate::clock::shown(started, "%a %b %e %H:%M:%S %Y"),
        "bsdtime" => format!("{}:{:02}", ticks as u64 / 60, ticks as u64 % 60),
        "time" => hours(ticks as u64),
        "etime" => {
            let text = hours(age as u64);
            text.strip_prefix("00:").map_or(text.clone(), String::from)
        }
        "etimes" => (age as u64).to_string(),
        "ni" => p.nice.to_string(),
        "pri" => (39 - p.priority - 20 + 20).to_string(),
        "nlwp" => p.threads.to_string(),
        "comm" => p.name.clone(),
        "ucmd" => {
            if p.state == 'Z' {
                format!("{} <defunct>", p.name)
            } else {
                p.name.clone()
            }
        }
        _ => p.words(),
    }
}

#[cfg(test)]
mod damaged {
    #[test]
    fn damaged_command_lines_are_read_or_refused() {
        let seeds = [
            "-eo pid,ppid,cmd --sort -rss",
            "aux",
            "-p 1,2 -o pid=,comm=NAME",
            "--ppid 1 -f",
        ];
        netshoot_wire::fuzz::texts(&seeds, 5_000, |text| {
            let args: Vec<String> = text.split(' ').map(str::to_string).collect();
            if let Err(said) = super::parse(&args) {
                assert!(!said.is_empty(), "{text}");
            }
        });
    }
}
