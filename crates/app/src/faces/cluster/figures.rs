//! What came of the scenarios, in numbers.

use super::levels::Level;
use super::promised::{self, Image, Promised};
use crate::faces::bench::quantile;
use crate::io::Io;
use anyhow::Result;
use netshoot_lab::scenario::{Mends, Rights};
use serde::Serialize;
use std::collections::BTreeMap;

/// The share of right answers, in percent, that is good enough.
const GOOD: f64 = 95.0;
/// The share of diagnoses of what is healthy, in percent, that must say so: `unknown` is no alarm, and no help either.
const HEALTHY: f64 = 90.0;
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
    /// The remedy of the report: `worked`, `asks` a person, or what came of it; nothing where it was not tried.
    pub remedy: String,
    /// Whether the remedy must have worked, or must ask.
    pub mends: Mends,
    /// From most rights to least; the first is the diagnosis above.
    pub ladder: Vec<Rung>,
    pub seconds: u64,
}

impl Outcome {
    /// The report's own remedy is what it must be.
    pub fn is_remedied(&self) -> bool {
        match self.mends {
            Mends::Report => self.remedy == "worked",
            Mends::Person => self.remedy == "asks",
            Mends::Scenario => true,
        }
    }

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
    /// Where the cause was found: the commands of the report mended it, or it asks a person who must decide.
    pub remedied: usize,
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
    /// `scripts/cluster up` with everything in the cache and nothing of ours beside it.
    pub up_ms: u64,
    /// The slowest of the further ones of scenarios' own, which start while others are played; 0 when none was.
    pub up_busy_ms: u64,
    /// By rights.
    pub ladder: BTreeMap<&'static str, Totals>,
    pub seconds: u64,
    /// The image that the cluster runs; nothing when only some scenarios were asked for, as for the two that follow.
    pub image: Option<Image>,
    /// Memory of a diagnosis outside of the cluster against 5,000 pods.
    pub crowd_rss_mib: Option<f64>,
    /// Memory of a diagnosis in a pod.
    pub pod_rss_mib: Option<f64>,
    /// Each promised figure with its goal.
    pub promised: Vec<Promised>,
    /// Which of them were not reached.
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
        self.remedied = count(&|o| o.diagnosis == "first" && o.is_remedied());
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
        self.promised = promised::table(self);
        self.missed = self.promised.iter().filter_map(Promised::missed).collect();
    }

    /// Whether the figures are those that the project promises.
    pub fn good(&self) -> bool {
        let fewer = self.ladder.iter();
        let mut fewer = fewer.filter(|(word, _)| **word != Rights::ClusterAdmin.word());
        self.symptom_proven == self.runs
            && self.right_first_percent >= GOOD
            && self.remedied == self.right_first
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
            "{name:<34} {:<5} symptom {:<8} diagnosis {:<8} {:>5} ms  remedy {:<6} before {:<8} after {:<8} {:>3} s",
            o.catalogue,
            o.symptom,
            o.diagnosis,
            o.diagnosis_ms,
            o.remedy,
            o.before,
            o.after,
            o.seconds
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
        "total: right first {:.1} % of {}, mended by the report {} of {}, healthy {} of {}, false alarms {}, p50 {} ms, p95 {} ms, {} s",
        f.right_first_percent,
        f.runs,
        f.scenarios.iter().filter(|o| o.remedy == "worked").count(),
        f.scenarios
            .iter()
            .filter(|o| o.mends == Mends::Report)
            .count(),
        f.healthy,
        f.healthy_asked,
        f.false_alarms,
        f.p50_ms,
        f.p95_ms,
        f.seconds
    )?;
    if f.up_busy_ms > 0 {
        let slowest = f.up_busy_ms as f64 / 1000.0;
        writeln!(
            io.out,
            "scripts/cluster up beside scenarios, the slowest: {slowest:.1} s"
        )?;
    }
    for promised in &f.promised {
        writeln!(io.out, "{}", promised.line())?;
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
            remedy: "worked".into(),
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
        let base = |up_ms, pod_rss_mib| {
            let mut f = Figures {
                up_ms,
                pod_rss_mib,
                ..figures(vec![outcome(
                    &[(Rights::ClusterAdmin, true, "first")],
                    "healthy",
                )])
            };
            f.count();
            (f.good(), f.missed)
        };
        assert_eq!(base(20_000, None), (true, vec![]));
        let late = "scripts/cluster up, warm: 20.1 s, more than 20";
        assert_eq!(base(20_100, None), (false, vec![late.to_string()]));
        let large = "memory of a diagnosis in a pod: 65 MiB, more than 64";
        assert_eq!(base(0, Some(65.0)), (false, vec![large.to_string()]));
    }
}
