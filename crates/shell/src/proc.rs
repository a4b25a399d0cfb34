//! `ps`, `free`, `top`, `watch`: what runs here and what it takes, from `/proc`.

mod ps;
mod read;
mod top;
mod watch;

pub use ps::ps;
pub use top::top;
pub use watch::watch;

use crate::word::flushed;
use std::ffi::OsString;
use std::io::{self, Write};

/// `free`.
pub fn free(args: Vec<OsString>) -> i32 {
    let mut unit = 'k';
    let (mut wide, mut total) = (false, false);
    for arg in args.iter().skip(1).map(|a| a.to_string_lossy()) {
        match arg.as_ref() {
            "-b" | "--bytes" => unit = 'b',
            "-k" | "--kibi" => unit = 'k',
            "-m" | "--mebi" => unit = 'm',
            "-g" | "--gibi" => unit = 'g',
            "-h" | "--human" => unit = 'h',
            "-w" | "--wide" => wide = true,
            "-t" | "--total" => total = true,
            other => {
                let _ = writeln!(
                    io::stderr(),
                    "free: invalid option -- '{}'\nUsage: free [-bkmghwt]",
                    other.trim_start_matches('-')
                );
                return 1;
            }
        }
    }
    let m = match read::memory() {
        Ok(m) => m,
        Err(e) => {
            let _ = writeln!(
                io::stderr(),
                "free: /proc/meminfo: {}",
                crate::grep::system(&e)
            );
            return 1;
        }
    };
    let of = |name: &str| m.get(name).copied().unwrap_or(0);
    let (all, left, available) = (of("MemTotal"), of("MemFree"), of("MemAvailable"));
    let cache = of("Cached") + of("SReclaimable");
    let used = all.saturating_sub(available);
    let mut memory = vec![all, used, left, of("Shmem")];
    let mut heads = vec!["total", "used", "free", "shared"];
    if wide {
        heads.extend(["buffers", "cache"]);
        memory.extend([of("Buffers"), cache]);
    } else {
        heads.push("buff/cache");
        memory.push(of("Buffers") + cache);
    }
    heads.push("available");
    memory.push(available);
    let (swap, swap_left) = (of("SwapTotal"), of("SwapFree"));
    let swaps = vec![swap, swap.saturating_sub(swap_left), swap_left];
    let sums = vec![
        all + swap,
        used + swap.saturating_sub(swap_left),
        left + swap_left,
    ];
    let mut out = io::stdout().lock();
    let row = |label: &str, cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|c| format!("{c:>11}")).collect();
        format!("{label:<9}{}\n", cells.join(" "))
    };
    let shown = |all: &[u64]| all.iter().map(|n| amount(*n, unit)).collect::<Vec<_>>();
    let mut text = row("", heads.iter().map(|h| (*h).to_string()).collect());
    text.push_str(&row("Mem:", shown(&memory)));
    text.push_str(&row("Swap:", shown(&swaps)));
    if total {
        text.push_str(&row("Total:", shown(&sums)));
    }
    let _ = out.write_all(text.as_bytes());
    drop(out);
    flushed(0)
}

/// Kibibytes in a unit.
fn amount(kib: u64, unit: char) -> String {
    match unit {
        'b' => (kib * 1024).to_string(),
        'm' => (kib / 1024).to_string(),
        'g' => (kib / 1024 / 1024).to_string(),
        'h' => {
            let mut n = kib as f64;
            let mut units = ["Ki", "Mi", "Gi", "Ti"].iter();
            let mut unit = units.next();
            if kib == 0 {
                return "0B".into();
            }
            while n >= 1000.0 {
                n /= 1024.0;
                unit = units.next().or(unit);
            }
            let unit = unit.copied().unwrap_or("Ti");
            if n < 10.0 {
                format!("{n:.1}{unit}")
            } else {
                format!("{n:.0}{unit}")
            }
        }
        _ => kib.to_string(),
    }
}
