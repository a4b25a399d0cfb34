//! `lab bench`: every world, its healthy and its near-miss twin, over seeds, asked the victim's
//! plain question; right is catalogue number and subject. Each run is a process of its own, as a
//! user would start it.

use super::lab::{NOT_CARRIED_OUT, STATS};
use crate::io::{Io, Lang};
use crate::wrong::Wrong;
use anyhow::{Context, Result};
use netshoot_lab::vary;
use netshoot_lab::world::{Expect, World};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Folder of worlds instead of the built-in ones.
    pub labs: Option<PathBuf>,
    /// Only worlds whose name or catalogue number is this; empty for all.
    pub only: String,
    /// How many seeds, from 1 on; seed 0 is the world as written.
    pub seeds: u64,
    /// First seed.
    pub first_seed: u64,
    /// Only the twins.
    pub twins_only: bool,
    /// On upstream's kube-proxy and CoreDNS.
    pub real: bool,
    /// Worlds at once.
    pub jobs: usize,
    /// As JSON.
    pub json: bool,
    /// Keep the report of every run that went wrong here.
    pub keep: Option<PathBuf>,
}

/// The line of a diagnosis that tells the most memory it held, KiB.
pub(super) const PEAK: &str = "netshoot-stats: peak_rss_kib=";
/// How the outcome of a run begins whose world could not be built.
const COULD_NOT_RUN: &str = "could not run";

/// One world, one seed, one twin.
#[derive(Clone, Debug)]
struct Run {
    world: usize,
    seed: u64,
    twin: &'static str,
}

#[derive(Clone, Debug, Default)]
struct Outcome {
    /// `first`, `top3`, `wrong`, `unknown`, `silent`, `false-alarm`, `skipped: why`.
    word: String,
    elapsed_ms: u64,
    probes: u64,
    peak_kib: u64,
}

/// Figures of one kind (one catalogue number asked for).
#[derive(Clone, Debug, Default, Serialize)]
struct Kind {
    name: String,
    catalogue: String,
    runs: usize,
    first: usize,
    top3: usize,
    wrong: usize,
    unknown: usize,
    p50_ms: u64,
    p95_ms: u64,
    probes_p50: u64,
    #[serde(skip)]
    times: Vec<u64>,
    #[serde(skip)]
    asked: Vec<u64>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Twins {
    runs: usize,
    false_alarms: usize,
    healthy_said: usize,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Total {
    runs: usize,
    first_share: f64,
    false_alarm_share: f64,
    p50_ms: u64,
    p95_ms: u64,
    peak_rss_mib: f64,
    skipped: usize,
    absent: usize,
    /// Runs that gave no result: their world could not be built, or one of its faults could not be
    /// carried out. In none of the other figures.
    errors: usize,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Figures {
    kinds: Vec<Kind>,
    twins: Twins,
    total: Total,
}

/// Runs the bench; exit code 0 when every kind was right first, no twin alarmed, and every run gave
/// a result.
pub fn run(worlds: &[World], options: &Options, io: &mut Io<'_>) -> Result<i32> {
    let chosen: Vec<usize> = (0..worlds.len())
        .filter(|i| wanted(worlds.get(*i), &options.only))
        .collect();
    if chosen.is_empty() {
        return Err(Wrong::usage(format!(
            "{} {}; {}",
            io.lang.pick("no world is called", "没有此场景："),
            options.only,
            io.lang
                .pick("see netshoot lab list", "参见 netshoot lab list")
        )));
    }
    let runs = plan(&chosen, worlds, options);
    let done = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let progress = Mutex::new(&mut *io);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, runs.len().max(1)) {
            scope.spawn(|| {
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = one(worlds, run, options);
                    let name = worlds.get(run.world).map(|w| w.name.as_str()).unwrap_or("");
                    let mut all = done.lock().unwrap_or_else(|p| p.into_inner());
                    all.push((run.clone(), outcome.clone()));
                    let count = all.len();
                    drop(all);
                    let mut io = progress.lock().unwrap_or_else(|p| p.into_inner());
                    let line = format!(
                        "{count}/{} {name} {} seed {}: {} in {} ms",
                        runs.len(),
                        run.twin,
                        run.seed,
                        outcome.word,
                        outcome.elapsed_ms
                    );
                    if ["first", "silent"].contains(&outcome.word.as_str()) {
                        io.progress(&line);
                    } else {
                        io.progress_done();
                        let _ = writeln!(io.err, "{line}");
                    }
                }
            });
        }
    });
    io.progress_done();
    let done = done.into_inner().unwrap_or_else(|p| p.into_inner());
    // No figure may come out of nothing: a machine that cannot build worlds measures none.
    if done.iter().all(|(_, o)| o.word.starts_with(COULD_NOT_RUN)) {
        let why = done.first().map_or("no run", |(_, o)| o.word.as_str());
        anyhow::bail!("nothing was measured: {why}");
    }
    let figures = count(worlds, &done);
    if options.json {
        writeln!(io.out, "{}", serde_json::to_string_pretty(&figures)?)?;
    } else {
        print(&figures, io)?;
    }
    let right = figures.kinds.iter().all(|k| k.first == k.runs)
        && figures.twins.false_alarms == 0
        && figures.total.errors == 0;
    Ok(i32::from(!right))
}

fn wanted(world: Option<&World>, only: &str) -> bool {
    world.is_some_and(|w| {
        only.is_empty()
            || only
                .split(',')
                .any(|o| w.name == o || w.plan.catalogue.iter().any(|c| c == o))
    })
}

fn plan(chosen: &[usize], worlds: &[World], options: &Options) -> Vec<Run> {
    let mut runs = Vec::new();
    for seed in options.first_seed..options.first_seed.saturating_add(options.seeds) {
        for world in chosen {
            let has = |t: &str| {
                worlds
                    .get(*world)
                    .is_some_and(|w| w.plan.twins.contains_key(t))
            };
            if !options.twins_only {
                runs.push(Run {
                    world: *world,
                    seed,
                    twin: "",
                });
            }
            runs.extend(
                ["healthy", "near-miss"]
                    .into_iter()
                    .filter(|t| has(t))
                    .map(|twin| Run {
                        world: *world,
                        seed,
                        twin,
                    }),
            );
        }
    }
    runs
}

/// Builds, asks, judges.
fn one(worlds: &[World], run: &Run, options: &Options) -> Outcome {
    let Some(world) = worlds.get(run.world) else {
        return Outcome::default();
    };
    match ask(world, run, options) {
        Ok((report, peak_kib)) => judge(world, run, &report, peak_kib, options),
        Err(e) => Outcome {
            word: format!("{COULD_NOT_RUN}: {e:#}"),
            ..Outcome::default()
        },
    }
}

fn ask(world: &World, run: &Run, options: &Options) -> Result<(Value, u64)> {
    let asked = vary::vary(world, run.seed);
    let own = std::env::current_exe().context("find the own program")?;
    let mut c = Command::new(own);
    c.args(["lab", "run", &world.name, "--seed", &run.seed.to_string()]);
    if !run.twin.is_empty() {
        c.args(["--twin", run.twin]);
    }
    if options.real {
        c.arg("--real");
    }
    if let Some(dir) = &options.labs {
        c.arg("--labs").arg(dir);
    }
    // Every second seed asks in Chinese.
    let zh = run.seed % 2 == 1 && !asked.plan.ask.zh.is_empty();
    let words = if zh {
        &asked.plan.ask.zh
    } else {
        &asked.plan.ask.en
    };
    c.args([
        "--",
        "netshoot",
        "diagnose",
        "-o",
        "json",
        "--symptom",
        words,
        "-n",
        &asked.plan.ask.namespace,
    ]);
    c.env(STATS, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let out = c.output().context("start a world")?;
    let err = String::from_utf8_lossy(&out.stderr);
    // A world that is not what it should be measures nothing.
    if let Some(why) = err.lines().find_map(|l| l.strip_prefix(NOT_CARRIED_OUT)) {
        anyhow::bail!("a fault of the world could not be carried out: {why}");
    }
    let peak = err
        .lines()
        .find_map(|l| l.strip_prefix(PEAK)?.parse().ok())
        .unwrap_or(0);
    let report = serde_json::from_slice(&out.stdout)
        .with_context(|| format!("no report came: {}", err.trim()))?;
    Ok((report, peak))
}

fn text<'a>(v: &'a Value, pointer: &str) -> &'a str {
    v.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// Whether a cause of a report is the expected one: by number and subject.
pub(super) fn matches(expect: &Expect, cause: &Value) -> bool {
    let numbers = text(cause, "/catalogue") == expect.catalogue;
    let s = &expect.subject;
    let name = text(cause, "/subject/name");
    // Pods of a workload have made-up names behind the workload's.
    let same_name = name == s.name
        || (s.kind == "Pod"
            && name
                .strip_prefix(&s.name)
                .is_some_and(|r| r.starts_with('-')));
    numbers
        && text(cause, "/subject/kind") == s.kind
        && text(cause, "/subject/namespace") == s.namespace
        && same_name
}

fn judge(world: &World, run: &Run, report: &Value, peak_kib: u64, options: &Options) -> Outcome {
    let plan = vary::vary(world, run.seed).plan;
    let verdict = text(report, "/verdict");
    let cause = report.get("cause").cloned().unwrap_or_default();
    let also = report
        .get("also")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let word = if !run.twin.is_empty() {
        match verdict {
            "broken" => "false-alarm",
            "healthy" => "silent",
            _ => "not-said-healthy",
        }
    } else {
        let expect = plan.expect.clone().unwrap_or_default();
        if verdict == "broken" && matches(&expect, &cause) {
            let others = plan.also.iter().all(|e| also.iter().any(|a| matches(e, a)));
            if others {
                "first"
            } else {
                "first-without-also"
            }
        } else if also.iter().take(2).any(|a| matches(&expect, a)) {
            "top3"
        } else if verdict == "broken" {
            "wrong"
        } else {
            "unknown"
        }
    };
    if !["first", "silent"].contains(&word)
        && let Some(dir) = &options.keep
    {
        let name = format!(
            "{}-{}-{}.json",
            world.name,
            if run.twin.is_empty() {
                "fault"
            } else {
                run.twin
            },
            run.seed
        );
        let _ = std::fs::create_dir_all(dir);
        let _ = std::fs::write(
            dir.join(name),
            serde_json::to_string_pretty(report).unwrap_or_default(),
        );
    }
    let number = |k: &str| report.get(k).and_then(Value::as_u64).unwrap_or(0);
    Outcome {
        word: word.into(),
        elapsed_ms: number("elapsed_ms"),
        probes: number("probes"),
        peak_kib,
    }
}

fn count(worlds: &[World], done: &[(Run, Outcome)]) -> Figures {
    let mut f = Figures::default();
    let mut kinds: BTreeMap<(u32, String), Kind> = BTreeMap::new();
    let mut times = Vec::new();
    for (run, o) in done {
        let Some(world) = worlds.get(run.world) else {
            continue;
        };
        if o.word.starts_with(COULD_NOT_RUN) {
            f.total.errors += 1;
            continue;
        }
        f.total.peak_rss_mib = f.total.peak_rss_mib.max(o.peak_kib as f64 / 1024.0);
        if !run.twin.is_empty() {
            f.twins.runs += 1;
            f.twins.false_alarms += usize::from(o.word == "false-alarm");
            f.twins.healthy_said += usize::from(o.word == "silent");
            continue;
        }
        let number = world
            .plan
            .expect
            .as_ref()
            .map(|e| e.catalogue.clone())
            .unwrap_or_default();
        let order = number.trim_start_matches('F').parse().unwrap_or(0);
        let kind = kinds
            .entry((order, number.clone()))
            .or_insert_with(|| Kind {
                name: world.name.clone(),
                catalogue: number,
                ..Kind::default()
            });
        kind.runs += 1;
        match o.word.as_str() {
            "first" | "first-without-also" => kind.first += 1,
            "top3" => kind.top3 += 1,
            "unknown" => kind.unknown += 1,
            _ => kind.wrong += 1,
        }
        // Top 3 counts those that are first, too.
        kind.top3 += usize::from(o.word.starts_with("first"));
        kind.times.push(o.elapsed_ms);
        kind.asked.push(o.probes);
        times.push(o.elapsed_ms);
    }
    f.kinds = kinds.into_values().collect();
    for k in &mut f.kinds {
        k.p50_ms = quantile(&mut k.times, 0.5);
        k.p95_ms = quantile(&mut k.times, 0.95);
        k.probes_p50 = quantile(&mut k.asked, 0.5);
    }
    let (runs, first): (usize, usize) = (
        f.kinds.iter().map(|k| k.runs).sum(),
        f.kinds.iter().map(|k| k.first).sum(),
    );
    f.total.runs = runs + f.twins.runs;
    f.total.first_share = share(first, runs);
    f.total.false_alarm_share = share(f.twins.false_alarms, f.twins.runs);
    f.total.p50_ms = quantile(&mut times, 0.5);
    f.total.p95_ms = quantile(&mut times, 0.95);
    f
}

fn share(part: usize, of: usize) -> f64 {
    if of == 0 {
        0.0
    } else {
        part as f64 / of as f64
    }
}

/// The smallest value that at least this share of all is not above.
pub(super) fn quantile(values: &mut [u64], q: f64) -> u64 {
    values.sort_unstable();
    let at = ((values.len() as f64 * q).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(at).copied().unwrap_or(0)
}

fn print(f: &Figures, io: &mut Io<'_>) -> Result<()> {
    writeln!(
        io.out,
        "{:<6} {:<36} {:>5} {:>6} {:>6} {:>6} {:>8} {:>8} {:>8} {:>7}",
        "kind", "world", "runs", "first", "top3", "wrong", "unknown", "p50 ms", "p95 ms", "probes"
    )?;
    if io.lang == Lang::Zh {
        let says = "列：故障编号、场景、次数、首位正确、前三含正确、错误、无法判断、耗时中位数与 95 分位（毫秒）、探测次数";
        writeln!(io.out, "{says}")?;
    }
    for k in &f.kinds {
        writeln!(
            io.out,
            "{:<6} {:<36} {:>5} {:>6} {:>6} {:>6} {:>8} {:>8} {:>8} {:>7}",
            k.catalogue,
            k.name,
            k.runs,
            k.first,
            k.top3,
            k.wrong,
            k.unknown,
            k.p50_ms,
            k.p95_ms,
            k.probes_p50
        )?;
    }
    let t = &f.total;
    let (runs, alarms, healthy) = (f.twins.runs, f.twins.false_alarms, f.twins.healthy_said);
    let (first, p50, p95) = (t.first_share * 100.0, t.p50_ms, t.p95_ms);
    let (memory, errors) = (t.peak_rss_mib, t.errors);
    let lines = match io.lang {
        Lang::En => [
            format!("twins: {runs} runs, {alarms} false alarms, {healthy} said healthy"),
            format!(
                "total: right first {first:.1} %, p50 {p50} ms, p95 {p95} ms, peak memory {memory:.1} MiB"
            ),
            format!("errors: {errors} runs gave no result and are in none of these figures"),
        ],
        Lang::Zh => [
            format!("对照场景：{runs} 次，误报 {alarms} 次，判定健康 {healthy} 次"),
            format!(
                "合计：首位正确 {first:.1} %，耗时中位数 {p50} 毫秒，95 分位 {p95} 毫秒，内存峰值 {memory:.1} MiB"
            ),
            format!("出错：{errors} 次没有结果，未计入以上数字"),
        ],
    };
    for line in lines.iter().take(if errors > 0 { 3 } else { 2 }) {
        writeln!(io.out, "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_result_is_an_error_and_no_figure() {
        let worlds = netshoot_lab::labs::labs().unwrap();
        let run = |twin| Run {
            world: 0,
            seed: 1,
            twin,
        };
        let ended = |word: &str| Outcome {
            word: word.into(),
            elapsed_ms: 50,
            ..Outcome::default()
        };
        let failed = format!("{COULD_NOT_RUN}: a fault of the world could not be carried out");
        let done = [
            (run(""), ended("first")),
            (run(""), ended(&failed)),
            (run("healthy"), ended("silent")),
            (run("healthy"), ended(&failed)),
        ];
        let f = count(&worlds, &done);
        assert_eq!(
            (f.kinds[0].runs, f.kinds[0].first, f.kinds[0].wrong),
            (1, 1, 0)
        );
        assert_eq!((f.twins.runs, f.twins.healthy_said), (1, 1));
        assert_eq!((f.total.runs, f.total.errors), (2, 2));
        assert_eq!(f.total.first_share, 1.0);
    }

    #[test]
    fn quantiles() {
        assert_eq!(quantile(&mut [], 0.95), 0);
        assert_eq!(quantile(&mut [7], 0.5), 7);
        assert_eq!(quantile(&mut [4, 1, 3, 2], 0.5), 2);
        assert_eq!(quantile(&mut [4, 1, 3, 2], 0.95), 4);
    }
}
