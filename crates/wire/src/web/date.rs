//! Dates of HTTP headers and of people: RFC 9110's three forms and what lies near them.

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];
/// Names of zones, minutes behind Greenwich.
const ZONES: [(&str, i64); 24] = [
    ("gmt", 0),
    ("ut", 0),
    ("utc", 0),
    ("wet", 0),
    ("bst", -60),
    ("wat", 60),
    ("ast", 240),
    ("adt", 180),
    ("est", 300),
    ("edt", 240),
    ("cst", 360),
    ("cdt", 300),
    ("mst", 420),
    ("mdt", 360),
    ("pst", 480),
    ("pdt", 420),
    ("cet", -60),
    ("cest", -120),
    ("met", -60),
    ("mest", -120),
    ("eet", -120),
    ("jst", -540),
    ("nzst", -720),
    ("z", 0),
];

/// Days since 1970 of a date of the Gregorian calendar.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month, day, hour, minute, second, day of the week (Sunday 0) of a time in seconds.
pub fn civil(seconds: i64) -> (i64, i64, i64, i64, i64, i64, i64) {
    let (day, left) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (
        year,
        month,
        doy - (153 * mp + 2) / 5 + 1,
        left / 3600,
        left % 3600 / 60,
        left % 60,
        (day + 4).rem_euclid(7),
    )
}

/// A time in the form of HTTP: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http(seconds: i64) -> String {
    let (year, month, day, h, m, s, w) = civil(seconds);
    format!(
        "{}, {day:02} {} {year:04} {h:02}:{m:02}:{s:02} GMT",
        weekday(w),
        month_name(month)
    )
}

/// `Jan` for 1.
pub fn month_name(month: i64) -> String {
    let name = MONTHS
        .get(usize::try_from(month - 1).unwrap_or(0))
        .unwrap_or(&"jan");
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |c| {
        c.to_ascii_uppercase().to_string() + letters.as_str()
    })
}

/// `Sun` for 0.
pub fn weekday(day: i64) -> &'static str {
    DAYS.get(usize::try_from(day).unwrap_or(0))
        .unwrap_or(&"Sun")
}

#[derive(Default)]
struct Parts {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    time: Option<(i64, i64, i64)>,
    offset: Option<i64>,
}

/// Seconds since 1970 of a date in words.
pub fn parse(text: &str) -> Option<i64> {
    let mut parts = Parts::default();
    let mut words = 0;
    let mut rest = text.as_bytes();
    let mut before = b' ';
    while let Some(first) = rest.first().copied() {
        if first.is_ascii_alphabetic() {
            let (word, behind) =
                rest.split_at(rest.iter().take_while(|b| b.is_ascii_alphabetic()).count());
            named(
                &String::from_utf8_lossy(word).to_ascii_lowercase(),
                &mut parts,
            )?;
            (rest, before) = (behind, b'a');
            words += 1;
        } else if first.is_ascii_digit() {
            rest = number(rest, before, &mut parts)?;
            before = b'0';
            words += 1;
        } else {
            before = first;
            rest = rest.get(1..)?;
        }
        if words > 12 {
            return None;
        }
    }
    let (year, month, day) = (parts.year?, parts.month?, parts.day?);
    let (h, m, s) = parts.time.unwrap_or((0, 0, 0));
    // Days of a larger year would not fit.
    let valid = (1583..=i64::from(i32::MAX)).contains(&year) && (1..=31).contains(&day);
    if !valid || h >= 24 || m >= 60 || s > 60 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + h * 3600 + m * 60 + s;
    Some(seconds + parts.offset.unwrap_or(0) * 60)
}

fn named(word: &str, parts: &mut Parts) -> Option<()> {
    if WEEKDAYS
        .iter()
        .any(|d| *d == word || d.get(..3) == Some(word))
    {
        return Some(());
    }
    if let Some(month) = MONTHS.iter().position(|m| *m == word) {
        parts.month = Some(month as i64 + 1);
        return Some(());
    }
    let zone = ZONES.iter().find(|z| z.0 == word)?;
    parts.offset = Some(zone.1);
    Some(())
}

fn number<'a>(rest: &'a [u8], before: u8, parts: &mut Parts) -> Option<&'a [u8]> {
    let (digits, behind) = rest.split_at(rest.iter().take_while(|b| b.is_ascii_digit()).count());
    let value: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if parts.time.is_none() && behind.first() == Some(&b':') && digits.len() <= 2 {
        let end = rest
            .iter()
            .take_while(|b| b.is_ascii_digit() || **b == b':')
            .count();
        let (clock, behind) = rest.split_at(end);
        let mut numbers = std::str::from_utf8(clock)
            .ok()?
            .split(':')
            .map(|n| n.parse::<i64>().ok());
        parts.time = Some((
            numbers.next()??,
            numbers.next()??,
            numbers.next().unwrap_or(Some(0))?,
        ));
        return Some(behind);
    }
    if digits.len() == 4 && matches!(before, b'+' | b'-') && parts.time.is_some() && value <= 1400 {
        let minutes = value / 100 * 60 + value % 100;
        parts.offset = Some(if before == b'+' { -minutes } else { minutes });
    } else if digits.len() == 8 && parts.year.is_none() {
        parts.year = Some(value / 10_000);
        parts.month = Some(value / 100 % 100).filter(|m| (1..=12).contains(m));
        parts.day = Some(value % 100);
    } else if parts.day.is_none() && digits.len() <= 2 && (1..=31).contains(&value) {
        parts.day = Some(value);
    } else if parts.year.is_none() {
        parts.year = Some(match value {
            0..=70 if digits.len() <= 2 => value + 2000,
            71..=99 if digits.len() <= 2 => value + 1900,
            value => value,
        });
    } else {
        return None;
    }
    Some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_all_forms() {
        for (text, wanted) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("06 Nov 1994 08:49:37 +0100", Some(784_108_177)),
            ("19941106 08:49:37", Some(784_111_777)),
            ("Nov 6 1994", Some(784_080_000)),
            ("Thu, 01-Jan-1970 00:00:00 GMT", Some(0)),
            ("06 Nov 9223372036854775807 08:49:37", None),
            ("rubbish", None),
            ("", None),
        ] {
            assert_eq!(parse(text), wanted, "{text}");
        }
        assert_eq!(http(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        crate::fuzz::texts(
            &[
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 +0100",
            ],
            2_000,
            |text| {
                if let Some(seconds) = parse(text) {
                    assert!(http(seconds).ends_with(" GMT"));
                }
            },
        );
    }
}
