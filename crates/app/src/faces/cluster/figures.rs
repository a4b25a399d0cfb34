//! What came of the scenarios, in numbers.

use super::levels::Level;
use crate::faces::bench::quantile;
use crate::io::Io;
use anyhow::Result;
use netshoot_lab::scenario::Rights;
use serde::Serialize;
use std::collections::BTreeMap;

/// The share of right answers, in percent, that is good enough.
const GOOD: f64 = 95.0;
/// The share of diagnoses of what is healthy, in percent, that must say so: `unknown` is no alarm, and no help either.
const HEALTHY: f64 = 90.0;
/// What p95 may be by level of access, ms.
const IN_TIME: [(&str, u64); 3] = [("objects", 2_000), ("ephemeral", 6_000), ("debug", 3_000)];
/// What a cluster may take to come up, ms.
const UP: u64 = 20_000;
/// What a diagnosis may hold, MiB.
const MEMORY: f64 = 128.0;

/// One scenario.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    pub name: String,
    pub catalogue: String,
    /// `proven`, or what was waited for in vain.
    pub symptom: String,
    /// With all rights: `first`, `top3`, `wrong`, `unknown`, or nothing when it was not asked.
    pub diagnosis: String,
    /// Of that diagnosis, the start of its process included.
    pub diagnosis_ms: u64,
    /// Before the break: `healthy`, `unknown`, `false alarm`.
    pub before: String,
    /// After the remedy, the same.
    pub after: String,
    /// From most rights to least; the first is the diagnosis above.
    pub ladder: Vec<Rung>,
    pub seconds: u64,
}

impl Outcome {
    /// Broken as told, mended, and nothing is found in it any more.
    pub fn is_mended(&self) -> bool {
        self.symptom == "proven" && self.after == "healthy"
    }
}

/// A diagnosis of the broken state with certain rights.
#[derive(Clone, Debug, Serialize)]
pub struct Rung {
    pub rights: Rights,
    /// Whether the scenario says that these rights must do.
    pub wanted: bool,
    /// As for `diagnosis`.
    pub answer: String,
    pub ms: u64,
}

/// All diagnoses with certain rights.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    pub asked: usize,
    pub right: usize,
    pub unknown: usize,
    /// Another cause first, or called healthy.
    pub wrong: usize,
    /// How many had to be right.
    pub wanted: usize,
    /// How many of these were not.
    pub missed: usize,
}

/// The healthy cluster as a whole.
#[derive(Clone, Debug, Serialize)]
pub struct System {
    /// `healthy`, `unknown`, `false alarm`.
    pub answer: String,
    pub ms: u64,
}

/// Everything.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    pub scenarios: Vec<Outcome>,
    /// `kube-system` before anything is broken; nothing when no scenario shares a cluster.
    pub system: Option<System>,
    pub runs: usize,
    pub symptom_proven: usize,
    pub right_first: usize,
    pub right_first_percent: f64,
    pub wrong: usize,
    pub unknown: usize,
    pub false_alarms: usize,
    /// Diagnoses while nothing was broken, and how many of them said so.
    pub healthy_asked: usize,
    pub healthy: usize,
    pub p50_ms: u64,
    pub p95_ms: u64,
    /// By level of access, among fifty pods; nothing when only some scenarios were asked for.
    pub levels: Vec<Level>,
    /// Most memory of one diagnosis.
    pub peak_rss_mib: f64,
    /// `scripts/cluster up` with everything in the cache; the slowest of those that were started.
    pub up_ms: u64,
    /// By rights.
    pub ladder: BTreeMap<&'static str, Totals>,
    pub seconds: u64,
    /// Which of the promised figures of time and memory were not reached.
    pub missed: Vec<String>,
}

impl Figures {
    /// Counts what the scenarios brought.
    pub fn count(&mut self) {
        let all = &self.scenarios;
        let count = |f: &dyn Fn(&Outcome) -> bool| all.iter().filter(|o| f(o)).count();
        self.runs = all.len();
        self.symptom_proven = count(&|o| o.symptom == "proven");
        self.right_first = count(&|o| o.diagnosis == "first");
        self.wrong = count(&|o| ["wrong", "top3"].contains(&o.diagnosis.as_str()));
        self.unknown = count(&|o| o.diagnosis == "unknown");
        self.right_first_percent = 100.0 * self.right_first as f64 / self.runs.max(1) as f64;
        let mut times: Vec<u64> = all.iter().map(|o| o.diagnosis_ms).collect();
        times.retain(|ms| *ms > 0);
        self.p50_ms = quantile(&mut times, 0.5);
        self.p95_ms = quantile(&mut times, 0.95);
        self.seconds = all.iter().map(|o| o.seconds).sum();
        let healthy = all.iter().flat_map(|o| [&o.before, &o.after]);
        let healthy = healthy.chain(self.system.iter().map(|s| &s.answer));
        let healthy: Vec<&String> = healthy.filter(|w| !w.is_empty()).collect();
        let of = |word: &str| healthy.iter().filter(|w| **w == word).count();
        (self.false_alarms, self.healthy) = (of("false alarm"), of("healthy"));
        self.healthy_asked = healthy.len();
        self.missed = self.late();
        for rung in all.iter().flat_map(|o| &o.ladder) {
            let totals = self.ladder.entry(rung.rights.word()).or_default();
            totals.asked += 1;
            totals.wanted += usize::from(rung.wanted);
            let right = rung.answer == "first";
            totals.missed += usize::from(rung.wanted && !right);
            match rung.answer.as_str() {
                "first" => totals.right += 1,
                "unknown" => totals.unknown += 1,
                _ => totals.wrong += 1,
            }
        }
    }

    /// Figures of time and memory that are above what is promised, each in a few words. They say as much of the machine as
    /// of the program, so they are judged here and not by a test.
    fn late(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (access, most) in IN_TIME {
            let slow = self
                .levels
                .iter()
                .find(|l| l.access == access && l.p95_ms > most);
            out.extend(slow.map(|l| format!("{access}: p95 {} ms, more than {most}", l.p95_ms)));
        }
        if self.up_ms > UP {
            out.push(format!(
                "a cluster came up in {} ms, more than {UP}",
                self.up_ms
            ));
        }
        if self.peak_rss_mib > MEMORY {
            out.push(format!(
                "memory {:.1} MiB, more than {MEMORY}",
                self.peak_rss_mib
            ));
        }
        out
    }

    /// Whether the figures are those that the project promises.
    pub fn good(&self) -> bool {
        let fewer = self.ladder.iter();
        let mut fewer = fewer.filter(|(word, _)| **word != Rights::ClusterAdmin.word());
        self.symptom_proven == self.runs
            && self.right_first_percent >= GOOD
            && self.false_alarms == 0
            && self.healthy as f64 >= self.healthy_asked as f64 * HEALTHY / 100.0
            && self.missed.is_empty()
            && self.levels.iter().all(|l| l.right == l.runs)
            && fewer.all(|(_, t)| t.wrong == 0 && t.missed == 0)
    }
}

/// As a table, or as JSON.
pub fn print(f: &Figures, json: bool, io: &mut Io<'_>) -> Result<()> {
    if json {
        writeln!(io.out, "{}", serde_json::to_string_pretty(f)?)?;
        return Ok(());
    }
    for o in &f.scenarios {
        let name = &o.name;
        writeln!(
            io.out,
            "{name:<34} {:<5} symptom {:<8} diagnosis {:<8} {:>5} ms  before {:<8} after {:<8} {:>3} s",
            o.catalogue, o.symptom, o.diagnosis, o.diagnosis_ms, o.before, o.after, o.seconds
        )?;
        let rungs = o.ladder.iter().skip(1).map(|r| {
            let must = if r.wanted { "" } else { " (may be unknown)" };
            format!("{} {}{must}", r.rights.word(), r.answer)
        });
        writeln!(io.out, "    {}", rungs.collect::<Vec<_>>().join(", "))?;
    }
    if let Some(s) = &f.system {
        writeln!(io.out, "the healthy cluster: {} ({} ms)", s.answer, s.ms)?;
    }
    for l in &f.levels {
        writeln!(
            io.out,
            "access {:<9} {} pods: {} of {} right, p50 {} ms, p95 {} ms",
            l.access, l.pods, l.right, l.runs, l.p50_ms, l.p95_ms
        )?;
    }
    writeln!(
        io.out,
        "a cluster came up in {:.1} s; peak memory of a diagnosis {:.1} MiB",
        f.up_ms as f64 / 1000.0,
        f.peak_rss_mib
    )?;
    for (rights, t) in &f.ladder {
        writeln!(
            io.out,
            "{rights:<14} asked {}, right {} of {} that must be, unknown {}, wrong {}",
            t.asked,
            t.wanted - t.missed,
            t.wanted,
            t.unknown,
            t.wrong
        )?;
    }
    writeln!(
        io.out,
        "total: right first {:.1} % of {}, healthy {} of {}, false alarms {}, p50 {} ms, p95 {} ms, {} s",
        f.right_first_percent,
        f.runs,
        f.healthy,
        f.healthy_asked,
        f.false_alarms,
        f.p50_ms,
        f.p95_ms,
        f.seconds
    )?;
    for missed in &f.missed {
        writeln!(io.out, "not reached: {missed}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(answers: &[(Rights, bool, &str)], before: &str) -> Outcome {
        Outcome {
            symptom: "proven".into(),
            diagnosis: answers.first().map(|a| a.2.to_string()).unwrap_or_default(),
            diagnosis_ms: 700,
            before: before.into(),
            ladder: answers
                .iter()
                .map(|(rights, wanted, answer)| Rung {
                    rights: *rights,
                    wanted: *wanted,
                    answer: (*answer).into(),
                    ms: 7,
                })
                .collect(),
            ..Outcome::default()
        }
    }

    fn figures(all: Vec<Outcome>) -> Figures {
        let mut f = Figures {
            scenarios: all,
            ..Figures::default()
        };
        f.count();
        f
    }

    #[test]
    fn what_counts_as_good() {
        let right = [
            (Rights::ClusterAdmin, true, "first"),
            (Rights::Edit, true, "first"),
        ];
        let less = |answer, wanted| {
            let mut all = right.to_vec();
            all.push((Rights::View, wanted, answer));
            outcome(&all, "healthy")
        };
        for (one, good) in [
            (less("unknown", false), true),
            (less("first", false), true),
            (less("unknown", true), false),
            (less("wrong", false), false),
            (less("top3", false), false),
            (outcome(&right, "unknown"), false),
            (outcome(&right, "false alarm"), false),
            (
                outcome(&[(Rights::ClusterAdmin, true, "unknown")], ""),
                false,
            ),
        ] {
            let f = figures(vec![one]);
            assert_eq!(f.good(), good, "{f:?}");
        }
        assert_eq!(figures(vec![less("wrong", false)]).ladder["view"].wrong, 1);
        // Now and then a healthy state may be unknown, not as a rule.
        for (unknown, good) in [(1, true), (2, false)] {
            let fine = (unknown..10).map(|_| outcome(&right, "healthy"));
            let other = (0..unknown).map(|_| outcome(&right, "unknown"));
            assert_eq!(
                figures(fine.chain(other).collect()).good(),
                good,
                "{unknown}"
            );
        }
    }

    #[test]
    fn what_is_late_or_large_is_named_and_not_good() {
        let level = |access, p95_ms| Level {
            access,
            p95_ms,
            ..Level::default()
        };
        let base = |levels, up_ms, peak_rss_mib| {
            let mut f = Figures {
                levels,
                up_ms,
                peak_rss_mib,
                ..Figures::default()
            };
            f.count();
            f.missed
        };
        let all = |n| {
            vec![
                level("objects", n),
                level("ephemeral", n),
                level("debug", n),
            ]
        };
        assert!(base(all(2_000), 20_000, 128.0).is_empty());
        assert_eq!(
            base(all(2_001), 0, 0.0),
            ["objects: p95 2001 ms, more than 2000"]
        );
        assert_eq!(base(all(6_001), 20_001, 128.1).len(), 5);
    }
}
