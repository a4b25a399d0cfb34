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
    /// Too few samples, too narrow a range, or no growth.
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
/// Speeds are taken over this long, milliseconds.
const STRIDE_MS: u64 = 200;

/// Judges the growth of the containers of one workload, all with the same limit.
pub fn judge(containers: &[&ContainerMemory]) -> Growth {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut limit = 0f64;
    for c in containers {
        let Some(l) = c.limit.filter(|l| *l > 0) else {
            continue;
        };
        limit = limit.max(l as f64);
        points.extend(speeds(c, l as f64 * NEAR_LIMIT));
    }
    fit(&points, limit)
}

/// (bytes in use, bytes a second) over strides that grow all the time. A stride in which the
/// process stood still for a moment (a collection of garbage, a lock) would look like a slow one.
fn speeds(c: &ContainerMemory, ceiling: f64) -> Vec<(f64, f64)> {
    let mut out = Vec::new();
    let mut from = 0;
    for (i, (t, used)) in c.samples.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|b| c.samples.get(b));
        let young = c.age_ms + t < YOUNG_MS;
        if young || before.is_some_and(|b| *used <= b.1) || *used as f64 >= ceiling {
            from = i;
            continue;
        }
        let Some((t0, used0)) = c.samples.get(from).copied() else {
            break;
        };
        if t.saturating_sub(t0) < STRIDE_MS {
            continue;
        }
        from = i;
        let (rise, seconds) = (*used as f64 - used0 as f64, (t - t0) as f64 / 1000.0);
        out.push(((used0 as f64 + *used as f64) / 2.0, rise / seconds));
    }
    out
}

/// Least squares of speed over fill level.
fn fit(points: &[(f64, f64)], limit: f64) -> Growth {
    let n = points.len() as f64;
    let lowest = points.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
    let highest = points.iter().map(|p| p.0).fold(0.0, f64::max);
    if points.len() < 4 || limit <= 0.0 || highest - lowest < 0.2 * limit {
        return Growth::Untold;
    }
    let (mx, my) = (
        points.iter().map(|p| p.0).sum::<f64>() / n,
        points.iter().map(|p| p.1).sum::<f64>() / n,
    );
    let sxx: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let sxy: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let slope = sxy / sxx;
    let at = |x: f64| my + slope * (x - mx);
    let (low, high) = (at(0.2 * limit), at(0.8 * limit));
    if low <= 0.0 || my <= 0.0 {
        return Growth::Untold;
    }
    if high < BENDS * low {
        return Growth::Bounded((mx - my / slope) as u64);
    }
    Growth::Unbounded(my as u64)
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
