//! Times and permissions as people read them.

/// Local time as `2024-05-01 12:34`.
pub fn minutes(seconds: u64) -> String {
    shown(seconds, "%Y-%m-%d %H:%M")
}

/// Local time by a format.
pub fn shown(seconds: u64, format: &str) -> String {
    local(seconds).map_or_else(|| seconds.to_string(), |t| t.strftime(format).to_string())
}

fn local(seconds: u64) -> Option<jiff::Zoned> {
    let at = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::system()))
}

/// Permissions as `rwxr-xr-x`.
pub fn mode(mode: u32) -> String {
    let mut text = String::new();
    for (shift, special, sign) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = (mode >> shift) & 7;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => sign,
            (false, true) => sign.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}
