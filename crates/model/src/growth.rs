//! How a container's memory grows: towards a bound, or without one?
//!
//! A cache that is asked for random items grows as `slope = (bound - used) / time constant`: the
//! fuller it is, the slower. A leak grows at one speed however full it is. So the speed is fitted
//! over the fill level, across all containers of one workload (they stand at different fill
//! levels), and the bound is where the line meets zero.

use crate::probe::ContainerMemory;

/// What the growth looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Growth {
    /// Bends towards a bound, bytes.
    Bounded(u64),
    /// Does not bend within what was seen; speed in bytes a second.
    Unbounded(u64),
    /// Grows, but too few samples, too narrow a range or too uneven a speed to say how.
    Unsure,
    /// No growth was seen.
    Untold,
}

/// From this share of the limit on the kernel itself holds a process back: its speed there says
/// nothing about its appetite.
const NEAR_LIMIT: f64 = 0.9;
/// What a process takes in its first moments is its start, not its growth.
const YOUNG_MS: u64 = 400;
/// Slower than this at 80 % of the limit, compared with 20 %, and it bends: a bound at three times
/// the limit or below. Measured speeds of a leak vary by about a tenth.
const BENDS: f64 = 0.78;
/// A slope is believed when it is on one side of [`BENDS`] by this many standard errors: a longer look is
/// cheaper than a wrong cause.
const ERRORS: f64 = 1.0;
/// Speeds are taken over this long, milliseconds.
const STRIDE_MS: u64 = 150;

/// Judges the growth of the containers of one workload, all with the same limit; [`Growth::Unsure`] where a
/// longer look could say something else.
pub fn judge(containers: &[&ContainerMemory]) -> Growth {
    speed_over_fill(containers, ERRORS)
}

/// The likelier reading, for when no longer look is to be had.
pub fn guess(containers: &[&ContainerMemory]) -> Growth {
    speed_over_fill(containers, 0.0)
}

fn speed_over_fill(containers: &[&ContainerMemory], errors: f64) -> Growth {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut limit = 0f64;
    for c in containers {
        let Some(l) = c.limit.filter(|l| *l > 0) else {
            continue;
        };
        limit = limit.max(l as f64);
        points.extend(speeds(c, l as f64 * NEAR_LIMIT));
    }
    fit(&points, limit, errors)
}

/// (bytes in use, bytes a second) over strides that grow all the time. A stride in which the
/// process stood still for a moment (a collection of garbage, a lock) would look like a slow one, and so
/// would its neighbours: when it stopped and went on is known to a sample only.
fn speeds(c: &ContainerMemory, ceiling: f64) -> Vec<(f64, f64)> {
    let mut out = Vec::new();
    let (mut from, mut ended) = (0, None);
    for (i, (t, used)) in c.samples.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|b| c.samples.get(b));
        let young = c.age_ms + t < YOUNG_MS;
        if before.is_some_and(|b| *used <= b.1) {
            if ended.is_some_and(|end| end + 1 == i) {
                out.pop();
            }
            from = i + 1;
            continue;
        }
        if young || *used as f64 >= ceiling {
            from = i;
            continue;
        }
        let Some((t0, used0)) = c.samples.get(from).copied() else {
            break;
        };
        if t.saturating_sub(t0) < STRIDE_MS {
            continue;
        }
        (from, ended) = (i, Some(i));
        let (rise, seconds) = (*used as f64 - used0 as f64, (t - t0) as f64 / 1000.0);
        out.push(((used0 as f64 + *used as f64) / 2.0, rise / seconds));
    }
    out
}

/// The line of speed over fill level after Theil and Sen: the median of the slopes of all pairs, each weighed by its
/// distance, so that the few strides in which a busy machine held a process back do not bend it.
fn fit(points: &[(f64, f64)], limit: f64, errors: f64) -> Growth {
    let lowest = points.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
    let highest = points.iter().map(|p| p.0).fold(0.0, f64::max);
    if points.is_empty() || limit <= 0.0 {
        return Growth::Untold;
    }
    if points.len() < 4 || highest - lowest < 0.2 * limit {
        return Growth::Unsure;
    }
    let mut slopes: Vec<(f64, f64)> = Vec::new();
    for (i, p) in points.iter().enumerate() {
        let others = points.iter().skip(i + 1).filter(|q| q.0 != p.0);
        slopes.extend(others.map(|q| ((q.1 - p.1) / (q.0 - p.0), (q.0 - p.0).abs())));
    }
    let slope = median(slopes);
    let even = |values: Vec<f64>| median(values.into_iter().map(|v| (v, 1.0)).collect());
    let start = even(points.iter().map(|p| p.1 - slope * p.0).collect());
    let rest = |p: &(f64, f64)| (p.1 - start - slope * p.0).abs();
    let middle = points.iter().map(|p| p.0).sum::<f64>() / points.len() as f64;
    let width: f64 = points.iter().map(|p| (p.0 - middle).powi(2)).sum();
    // 1.48 medians are a standard deviation where the rest is noise.
    let error = 1.48 * even(points.iter().map(rest).collect()) / width.sqrt();
    let speed = start + slope * middle;
    let bends = |slope: f64| {
        let at = |x: f64| speed + slope * (x - middle);
        at(0.8 * limit) < BENDS * at(0.2 * limit)
    };
    match (bends(slope - errors * error), bends(slope + errors * error)) {
        (true, true) => Growth::Bounded((-start / slope) as u64),
        (false, false) => Growth::Unbounded(speed as u64),
        _ => Growth::Unsure,
    }
}

/// The value in the middle of the weight; (value, weight).
fn median(mut values: Vec<(f64, f64)>) -> f64 {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = values.iter().map(|v| v.1).sum::<f64>() / 2.0;
    let mut weight = 0.0;
    let middle = values.iter().find(|v| {
        weight += v.1;
        weight >= half
    });
    middle.map_or(0.0, |v| v.0)
}

/// `96Mi`: bytes as Kubernetes writes them, rounded up to a whole MiB.
pub fn mebibytes(bytes: u64) -> String {
    format!("{}Mi", bytes.div_ceil(1 << 20))
}

/// Bytes of a Kubernetes quantity (`64Mi`, `1G`, `1e6`, `128974848`), rounded up to a whole one as
/// the API server does; none for anything else, for less than nothing and for more than 2^63.
pub fn parse_quantity(text: &str) -> Option<u64> {
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let factor: f64 = match unit {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        _ => 10f64.powi(unit.strip_prefix(['e', 'E'])?.parse::<i8>().ok()?.into()),
    };
    if let Some(whole) = number.parse::<u64>().ok().filter(|_| factor == 1.0) {
        return (whole <= i64::MAX as u64).then_some(whole);
    }
    let value = (number.parse::<f64>().ok()? * factor).ceil();
    (value < i64::MAX as f64).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Containers of one workload, each watched for a second at another age.
    fn grown(used: impl Fn(f64) -> f64) -> Vec<ContainerMemory> {
        (0..5)
            .map(|i| ContainerMemory {
                limit: Some(64 << 20),
                samples: (0..=20)
                    .map(|k| (k * 50, used(0.7 * i as f64 + 0.05 * k as f64) as u64))
                    .collect(),
                ..ContainerMemory::default()
            })
            .collect()
    }

    /// One stride for each (fill level, speed), MiB and MiB a second.
    fn seen_at(strides: &[(u64, f64)]) -> Vec<ContainerMemory> {
        let one = |(fill, speed): &(u64, f64)| {
            let half = (speed * 0.1 * f64::from(1 << 20)) as u64;
            ContainerMemory {
                limit: Some(64 << 20),
                age_ms: 1000,
                samples: vec![(0, (fill << 20) - half), (200, (fill << 20) + half)],
                ..ContainerMemory::default()
            }
        };
        strides.iter().map(one).collect()
    }

    #[test]
    fn a_cache_bends_a_leak_does_not() {
        let mib = f64::from(1 << 20);
        let cache = grown(|t| mib * (8.0 + 100.0 * (1.0 - (-t / 3.5f64).exp())));
        let Growth::Bounded(bound) = judge(&cache.iter().collect::<Vec<_>>()) else {
            panic!("not seen as bounded")
        };
        assert!((100 << 20..118 << 20).contains(&bound), "{bound}");
        // Both stand still for a while on their way.
        let leak = grown(|t| mib * (8.0 + 15.0 * if t > 1.8 { (t - 0.5).max(1.8) } else { t }));
        assert!(matches!(
            judge(&leak.iter().collect::<Vec<_>>()),
            Growth::Unbounded(_)
        ));
        // What a busy machine shows: the same leak, every other stride held back; and few strides of a cache, near its limit.
        let jerky = grown(|t| mib * (8.0 + 15.0 * (t - 0.12 * (t * 9.0).sin())));
        assert!(!matches!(
            judge(&jerky.iter().collect::<Vec<_>>()),
            Growth::Bounded(_)
        ));
        let busy = seen_at(&[
            (40, 18.0),
            (44, 14.0),
            (48, 17.5),
            (52, 13.0),
            (54, 17.0),
            (46, 15.0),
        ]);
        let busy: Vec<_> = busy.iter().collect();
        assert_eq!(judge(&busy), Growth::Unsure);
        assert_ne!(guess(&busy), Growth::Unsure);
        assert_eq!(
            judge(&grown(|_| mib * 30.0).iter().collect::<Vec<_>>()),
            Growth::Untold
        );
    }

    #[test]
    fn quantities() {
        for (text, bytes) in [
            ("64Mi", Some(64 << 20)),
            ("1G", Some(1_000_000_000)),
            ("12", Some(12)),
            ("1.5Gi", Some(3 << 29)),
            ("2e3", Some(2000)),
            ("12E-1", Some(2)),
            ("100m", Some(1)),
            ("1Ei", Some(1 << 60)),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("9Ei", None),
            ("-1", None),
            ("1e", None),
            ("1e300", None),
            (".", None),
            ("x", None),
            ("1Zi", None),
            ("", None),
        ] {
            assert_eq!(parse_quantity(text), bytes, "{text}");
        }
    }
}
