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
    Duration::try_from_secs_f64(n).map_err(|_| wrong("the given value is too large for a time"))
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

pub fn login(value: &str) -> (String, String) {
    let (user, password) = value.split_once(':').unwrap_or((value, ""));
    (user.to_string(), password.to_string())
}

/// The names of protocols that an option adds, takes away or sets.
pub fn schemes(list: &str, known: &[String]) -> Result<Vec<String>, String> {
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
            return Err(name.to_string());
        }
        match mark {
            "-" => set.retain(|s| !named.contains(s)),
            "=" => set = named,
            _ => set.extend(named),
        }
    }
    Ok(set)
}
