//! The figures that were promised: each with its goal and whether it was reached. What a run did not measure it does not
//! judge. Times and memory say as much of the machine as of the program, so they are judged here and not by a test.

use super::figures::Figures;
use netshoot_lab::scenario::Rights;
use serde::Serialize;

/// What an image is promised to be built with; of another one its size says nothing.
pub const DIST: &str = "dist";

/// The image that the cluster runs.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// Packed with zstd, bytes.
    pub packed: u64,
    /// At this level; `netshoot image` packs at 22.
    pub level: i32,
    /// The profile of cargo that its binary says it was built with; empty when it could not say.
    pub profile: String,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Promised {
    pub key: &'static str,
    pub what: String,
    pub unit: &'static str,
    /// Nothing: this run did not measure it.
    pub figure: Option<f64>,
    /// `<=` or `>=`.
    pub must_be: &'static str,
    pub goal: f64,
    /// Nothing when it was not measured, or when the goal is not one for what was measured.
    pub reached: Option<bool>,
}

impl Promised {
    fn most(key: &'static str, what: &str, unit: &'static str, goal: f64) -> Promised {
        Promised {
            key,
            what: what.into(),
            unit,
            figure: None,
            must_be: "<=",
            goal,
            reached: None,
        }
    }

    fn is(mut self, figure: Option<f64>) -> Promised {
        self.figure = figure;
        self.reached = figure.map(|f| match self.must_be {
            ">=" => f >= self.goal,
            _ => f <= self.goal,
        });
        self
    }

    /// What came of it, in a few words.
    fn verdict(&self) -> &'static str {
        match (self.figure, self.reached) {
            (None, _) => "not measured by this run",
            (_, Some(true)) => "reached",
            (_, Some(false)) => "not reached",
            (_, None) => "not judged: the goal is one for profile dist",
        }
    }

    /// A line of the table.
    pub fn line(&self) -> String {
        let figure = match self.figure {
            Some(f) => format!("{} {}", round(f), self.unit),
            None => "-".into(),
        };
        let goal = format!("{} {} {}", self.must_be, round(self.goal), self.unit);
        let (what, verdict) = (&self.what, self.verdict());
        format!("{what:<58} {figure:>12}  {goal:<13} {verdict}")
    }

    /// That it was not reached, in a few words.
    pub fn missed(&self) -> Option<String> {
        let (what, unit) = (&self.what, self.unit);
        let figure = self.figure.filter(|_| self.reached == Some(false))?;
        let than = if self.must_be == "<=" { "more" } else { "less" };
        Some(
            format!(
                "{what}: {} {unit}, {than} than {}",
                round(figure),
                round(self.goal)
            )
            .replace("  ", " "),
        )
    }
}

/// Whole numbers as they are, others to a tenth.
fn round(f: f64) -> String {
    format!("{f:.1}").trim_end_matches(".0").to_string()
}

/// All of them, in the order in which they were promised.
pub fn table(f: &Figures) -> Vec<Promised> {
    let p95 = |access: &str| {
        let level = f.levels.iter().find(|l| l.access == access);
        level.map(|l| l.p95_ms as f64 / 1000.0)
    };
    let fewer = f.ladder.iter();
    let fewer = fewer.filter(|(word, _)| **word != Rights::ClusterAdmin.word());
    let (asked, wrong) = fewer.fold((0, 0), |(a, w), (_, t)| (a + t.asked, w + t.wrong));
    let measured = |is: bool, figure: f64| is.then_some(figure);
    let most = Promised::most;
    vec![
        image(f.image.as_ref()),
        most("debug_s", "debug POD to its prompt, p95", "s", 3.0).is(p95("debug")),
        most("objects_s", "diagnosis, objects, 50 pods, p95", "s", 2.0).is(p95("objects")),
        most(
            "ephemeral_s",
            "diagnosis, ephemeral container, p95",
            "s",
            6.0,
        )
        .is(p95("ephemeral")),
        most(
            "crowd_mib",
            "memory of diagnose against 5,000 pods",
            "MiB",
            128.0,
        )
        .is(f.crowd_rss_mib),
        most("pod_mib", "memory of a diagnosis in a pod", "MiB", 64.0).is(f.pod_rss_mib),
        most("peak_mib", "memory of any other diagnosis", "MiB", 128.0)
            .is(measured(f.peak_rss_mib > 0.0, f.peak_rss_mib)),
        Promised {
            must_be: ">=",
            ..most(
                "right_first_percent",
                "right cause first, all rights",
                "%",
                95.0,
            )
        }
        .is(measured(f.runs > 0, f.right_first_percent)),
        most(
            "wrong_with_fewer_rights",
            "wrong answers with fewer rights",
            "",
            0.0,
        )
        .is(measured(asked > 0, wrong as f64)),
        most("up_s", "scripts/cluster up, warm", "s", 20.0)
            .is(measured(f.up_ms > 0, f.up_ms as f64 / 1000.0)),
    ]
}

fn image(image: Option<&Image>) -> Promised {
    let row = |what: &str| Promised::most("image_mb", what, "MB", 12.0);
    let Some(image) = image else {
        return row("image, compressed").is(None);
    };
    let profile = match image.profile.as_str() {
        "" => "unknown",
        profile => profile,
    };
    let what = format!("image, zstd -{}, profile {profile}", image.level);
    let row = row(&what).is(Some(image.packed as f64 / 1e6));
    Promised {
        reached: row.reached.filter(|_| profile == DIST),
        ..row
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Outcome, Rung, Totals};
    use super::super::levels::Level;
    use super::*;

    fn level(access: &'static str, p95_ms: u64) -> Level {
        Level {
            access,
            p95_ms,
            ..Level::default()
        }
    }

    /// Everything is as promised, and not a bit better; `more`: a bit worse.
    fn figures(more: u64) -> Figures {
        let extra = more as f64;
        let image = Image {
            packed: 12_000_000 + more * 100_000,
            level: 22,
            profile: DIST.into(),
        };
        let totals = Totals {
            asked: 1,
            wrong: more as usize,
            ..Totals::default()
        };
        Figures {
            scenarios: vec![Outcome::default()],
            runs: 1,
            right_first_percent: 95.0 - extra,
            levels: vec![
                level("objects", 2_000 + more * 100),
                level("ephemeral", 6_000 + more * 100),
                level("debug", 3_000 + more * 100),
            ],
            image: Some(image),
            crowd_rss_mib: Some(128.0 + extra),
            pod_rss_mib: Some(64.0 + extra),
            peak_rss_mib: 128.0 + extra,
            up_ms: 20_000 + more * 100,
            ladder: [(Rights::View.word(), totals)].into(),
            ..Figures::default()
        }
    }

    #[test]
    fn each_figure_is_held_against_its_goal() {
        for (more, reached) in [(0, true), (1, false)] {
            for row in table(&figures(more)) {
                assert_eq!(row.reached, Some(reached), "{row:?}");
                assert_eq!(row.missed().is_none(), reached, "{row:?}");
                let ends = if reached { " reached" } else { " not reached" };
                assert!(row.line().ends_with(ends), "{}", row.line());
            }
        }
        let objects = &table(&figures(1))[2];
        let missed = "diagnosis, objects, 50 pods, p95: 2.1 s, more than 2";
        assert_eq!(objects.missed().as_deref(), Some(missed));
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        for row in table(&Figures::default()) {
            assert_eq!((row.figure, row.reached), (None, None), "{row:?}");
            assert_eq!(row.missed(), None);
            assert!(row.line().ends_with("not measured by this run"), "{row:?}");
        }
        let mut count = Figures {
            scenarios: vec![Outcome {
                symptom: "proven".into(),
                ladder: vec![Rung {
                    rights: Rights::View,
                    wanted: false,
                    answer: "wrong".into(),
                    ms: 1,
                }],
                ..Outcome::default()
            }],
            ..Figures::default()
        };
        count.count();
        let wrong = count.promised.iter().find(|p| p.figure == Some(1.0));
        assert_eq!(wrong.map(|p| p.key), Some("wrong_with_fewer_rights"));
    }

    #[test]
    fn an_image_of_another_profile_has_a_size_and_no_verdict() {
        for profile in ["debug", "release", ""] {
            let mut f = figures(1);
            f.image.as_mut().unwrap().profile = profile.into();
            let row = &table(&f)[0];
            assert_eq!((row.figure, row.reached), (Some(12.1), None));
            assert!(row.line().contains("not judged"), "{}", row.line());
        }
    }
}
