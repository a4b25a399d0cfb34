//! Values of options: numbers, times, sizes, logins.

use super::Mistake;
use std::time::Duration;

pub fn number(value: &str, name: &str) -> Result<i64, Mistake> {
    let wrong = || Mistake::option(name, "expected a proper numerical parameter");
    value.trim_start().parse::<i64>().map_err(|_| wrong())
}

pub fn natural(value: &str, name: &str) -> Result<u64, Mistake> {
    let n = number(value, name)?;
    u64::try_from(n).map_err(|_| Mistake::option(name, "expected a positive numerical parameter"))
}

pub fn seconds(value: &str, name: &str) -> Result<Duration, Mistake> {
    let wrong = |why| Mistake::option(name, why);
    let n: f64 = value
        .trim_start()
        .parse()
        .map_err(|_| wrong("expected a proper numerical parameter"))?;
    if n < 0.0 {
        return Err(wrong("expected a positive numerical parameter"));
    }
    Duration::try_from_secs_f64(n).map_err(|_| wrong("too large number"))
}

/// `100K`, `2M`: with the letters of 1024.
pub fn size(value: &str, name: &str) -> Result<u64, Mistake> {
    let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
    let unit = value.get(digits.len()..).unwrap_or_default();
    let factor: u64 = match unit {
        "" | "b" | "B" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        "p" | "P" => 1 << 50,
        _ => return Err(Mistake::option(name, "is badly used here")),
    };
    let n: u64 = digits
        .parse()
        .map_err(|_| Mistake::option(name, "expected a proper numerical parameter"))?;
    n.checked_mul(factor)
        .ok_or_else(|| Mistake::option(name, "expected a proper numerical parameter"))
}

/// User and password; no password where one is still to be asked for.
pub fn login(value: &str) -> (String, Option<String>) {
    match value.split_once(':') {
        Some((user, password)) => (user.into(), Some(password.into())),
        None => (value.into(), None),
    }
}

/// `3`, `2/s`, `5/min`: the time for each transfer.
pub fn rate(value: &str, name: &str) -> Result<Duration, Mistake> {
    let (n, unit) = value.split_once('/').unwrap_or((value, "h"));
    let per = match unit.chars().next() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => 0,
    };
    match natural(n, name)? {
        n if n > 0 && per > 0 => Ok(Duration::from_millis(per * 1000 / n)),
        _ => Err(Mistake::option(name, "is badly used here")),
    }
}

/// The names of protocols that an option adds, takes away or sets.
pub fn schemes(list: &str, known: &[String], mut unknown: impl FnMut(&str)) -> Vec<String> {
    let mut set: Vec<String> = known.to_vec();
    for word in list.split(',').filter(|w| !w.is_empty()) {
        let (mark, name) = match word.as_bytes().first() {
            Some(b'+' | b'-' | b'=') => word.split_at(1),
            _ => ("+", word),
        };
        let all = ["http", "https", "file", "telnet", "ws", "wss"].map(String::from);
        let named: Vec<String> = match name {
            "all" => all.to_vec(),
            name => all
                .iter()
                .filter(|s| *s == &name.to_ascii_lowercase())
                .cloned()
                .collect(),
        };
        if named.is_empty() && mark != "-" {
            unknown(name);
        }
        match mark {
            "-" => set.retain(|s| !named.contains(s)),
            "=" => set = named,
            _ => set.extend(named),
        }
    }
    set
}
