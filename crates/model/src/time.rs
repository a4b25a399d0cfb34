//! Times as text (RFC 3339) and back, without a clock.

/// `2026-11-26T10:57:36.123Z` from milliseconds since 1970.
pub fn rfc3339(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (y, m, d) = civil(days);
    let (h, min, s, milli) = (
        rest / 3_600_000,
        rest / 60_000 % 60,
        rest / 1000 % 60,
        rest % 1000,
    );
    format!("{y:04}-{m:02}-{d:02}T{h:02}:{min:02}:{s:02}.{milli:03}Z")
}

/// Milliseconds since 1970 from RFC 3339 in UTC (`Z`), fraction optional; none for anything else,
/// and none for days that the calendar has not. A leap second is the second after it.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, digits)) => (whole, digits),
        None => (text, "0"),
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let number = |from: usize, to: usize| whole.get(from..to).filter(|t| digits(t))?.parse().ok();
    let mark = |at: usize, mark: u8| whole.as_bytes().get(at) == Some(&mark);
    let (y, m, d): (i64, i64, i64) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (h, min, s): (i64, i64, i64) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let milli: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let days = days(y, m, d);
    let fits = whole.len() == 19
        && mark(4, b'-')
        && mark(7, b'-')
        && mark(10, b'T')
        && mark(13, b':')
        && mark(16, b':')
        && digits(fraction)
        && civil(days) == (y, m, d)
        && h < 24
        && min < 60
        && s <= 60;
    fits.then(|| days * 86_400_000 + h * 3_600_000 + min * 60_000 + s * 1000 + milli)
}

/// `3m12s`, `5d`, as kubectl writes ages.
pub fn age(ms: i64) -> String {
    let s = ms.max(0) / 1000;
    match s {
        0..120 => format!("{s}s"),
        120..7200 => format!("{}m", s / 60),
        7200..172_800 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86_400),
    }
}

// Days of the proleptic Gregorian calendar, counted from 1970-03-01 style eras.
fn days(y: i64, m: i64, d: i64) -> i64 {
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + d - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (
        yoe + era * 400 + i64::from(m <= 2),
        m,
        doy - (153 * mp + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for ms in [
            0,
            951_782_400_000,
            1_795_690_656_123,
            -86_400_000,
            4_102_444_799_999,
        ] {
            assert_eq!(parse(&rfc3339(ms)), Some(ms));
        }
        assert_eq!(rfc3339(1_772_323_200_000), "2026-03-01T00:00:00.000Z");
        assert_eq!(parse("2026-02-28T12:00:00.5Z"), Some(1_772_280_000_500));
        for wrong in [
            "2026-02-30",
            "2026-02-30T00:00:00Z",
            "2026-2-3T00:00:00Z",
            "2026-02-03T00:00:00.-5Z",
            "2026-02-03T00:00:00.Z",
            "2026-02-03T00:00:00+01:00",
            "+026-02-03T00:00:00Z",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
