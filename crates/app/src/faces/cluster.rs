//! `lab bench --cluster`: scenarios in a real Kubernetes. What stands is seen to work and is diagnosed, then it is broken
//! and the symptom is seen, the diagnosis is asked with ever fewer rights, the remedy is applied, everything is seen to
//! work again and is diagnosed once more. Waits for conditions; takes its namespaces away.
//!
//! Reading order: `run` here, then `play`, `asked` (whose rights, what counts as right), `kubernetes`, `talk`, `levels`, `memory`, `figures`,
//! `promised`.

mod asked;
mod figures;
mod kubernetes;
mod levels;
mod memory;
mod play;
mod promised;
mod remedy;
mod talk;

use crate::io::Io;
use crate::wrong::Wrong;
use anyhow::{Context, Result, anyhow};
use asked::Asker;
use figures::{Figures, Outcome, System};
use kubernetes::Kubernetes;
use levels::Level;
use netshoot_lab::scenario::{self, Scenario, Shape};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, RwLock};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Folder of scenarios; `lab/cluster/scenarios` of the project one stands in, if not given.
    pub folder: Option<PathBuf>,
    /// Only scenarios whose name or catalogue number is this; empty for all.
    pub only: String,
    /// As JSON.
    pub json: bool,
    /// Keep the report of every diagnosis that was not right here.
    pub keep: Option<PathBuf>,
}

/// Scenarios of the shared cluster that are played at the same time, each in namespaces of its own.
const AT_ONCE: usize = 2;

/// Plays the scenarios; 0 when every symptom was proven and the diagnosis is good enough. Those that share a cluster are
/// played two at a time, and beside them, one after the other, those that want one of their own: all wait for most of their
/// time. While a diagnosis is timed nothing is begun beside it.
pub fn run(options: &Options, io: &mut Io<'_>) -> Result<i32> {
    let folder = match &options.folder {
        Some(folder) => folder.clone(),
        None => nearest_shelf()?,
    };
    let all = scenario::all_in(&folder).map_err(|e| Wrong::input(anyhow!("{e}")))?;
    let wanted = |s: &&Scenario| {
        let mut words = options.only.split(',');
        options.only.is_empty()
            || words.any(|o| s.name == o || s.plan.catalogue.iter().any(|c| c == o))
    };
    let (mut fresh, shared): (Vec<&Scenario>, Vec<&Scenario>) =
        all.iter().filter(wanted).partition(|s| s.plan.fresh);
    // Those of one shape can take the same cluster.
    fresh.sort_by_key(|s| s.plan.cluster.network.clone());
    let of = fresh.len() + shared.len();
    if of == 0 {
        return Err(Wrong::usage(format!(
            "no scenario in {} is called {}",
            folder.display(),
            options.only
        )));
    }
    let script = script_above(&folder)?;
    let asker = Asker::new(options.keep.clone())?;
    // The first one is started before anything else, for how long that takes is a figure.
    io.progress(io.lang.pick("starting a cluster ...", "启动集群……"));
    let first = fresh.first().map(|s| own(&script, s)).transpose()?;
    let up_ms = first.as_ref().map_or(0, Kubernetes::up_ms);
    let (tell, told) = channel();
    let (of_shared, of_fresh) = std::thread::scope(|scope| {
        let (script, asker, tell_too) = (&script, &asker, tell.clone());
        let beside = scope.spawn(move || play_fresh(script, &fresh, first, asker, &tell_too));
        let whole = options.only.is_empty();
        let shared = scope.spawn(move || play_shared(script, &shared, asker, whole, &tell));
        for (number, name) in told.iter().enumerate() {
            io.progress(&format!("{}/{of} {name}", number + 1));
        }
        (shared.join(), beside.join())
    });
    io.progress_done();
    let panicked = |_| anyhow!("playing the scenarios ended in a panic");
    let mut figures = Figures::default();
    (figures.system, figures.levels, figures.scenarios) = of_shared.map_err(panicked)??;
    let (up_busy_ms, scenarios) = of_fresh.map_err(panicked)??;
    figures.scenarios.extend(scenarios);
    (figures.up_ms, figures.up_busy_ms) = (up_ms, up_busy_ms);
    figures.peak_rss_mib = asker.peak_kib() as f64 / 1024.0;
    if options.only.is_empty() && figures.system.is_some() {
        // Last, for a crowd keeps an API server busy, and nothing is timed any more.
        let kubernetes = Kubernetes::start(&script, None, &Shape::default())?;
        let held = memory::measure(&kubernetes, &asker).context("measure memory")?;
        figures.image = Some(held.image);
        (figures.pod_rss_mib, figures.crowd_rss_mib) = (held.pod_mib, held.crowd_mib);
    }
    figures.count();
    figures::print(&figures, options.json, io)?;
    Ok(i32::from(!figures.good()))
}

/// What the shared cluster brings: itself, the levels of access, scenarios.
type OfShared = (Option<System>, Vec<Level>, Vec<Outcome>);

/// Scenarios that leave nodes and control plane alone, in the cluster that everybody shares; `whole`: all of them were asked
/// for, and levels of access are measured before.
fn play_shared(
    script: &Path,
    all: &[&Scenario],
    asker: &Asker,
    whole: bool,
    tell: &Sender<String>,
) -> Result<OfShared> {
    if all.is_empty() {
        return Ok((None, Vec::new(), Vec::new()));
    }
    let kubernetes = Kubernetes::start(script, None, &Shape::default())?;
    let system = system(&kubernetes, asker)?;
    let levels = match whole {
        true => levels::measure(&kubernetes, asker).context("measure levels of access")?,
        false => Vec::new(),
    };
    let left = Mutex::new(all.iter());
    let next = || left.lock().ok().and_then(|mut l| l.next());
    let play = || {
        let mut outcomes = Vec::new();
        while let Some(scenario) = next() {
            let _ = tell.send(scenario.name.clone());
            outcomes.push(timed(&kubernetes, scenario, asker));
        }
        outcomes
    };
    let played = std::thread::scope(|scope| {
        let playing: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(play)).collect();
        let played = playing.into_iter().map(ScopedJoinHandle::join);
        played.collect::<Result<Vec<_>, _>>()
    });
    let played = played.map_err(|_| anyhow!("playing the scenarios ended in a panic"))?;
    let mut outcomes: Vec<Outcome> = played.into_iter().flatten().collect();
    outcomes.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<String> = all.iter().flat_map(|s| s.plan.namespaces.clone()).collect();
    kubernetes.clear(&names, true)?;
    Ok((Some(system), levels, outcomes))
}

/// A cluster of a scenario's own.
fn own(script: &Path, scenario: &Scenario) -> Result<Kubernetes> {
    Kubernetes::start(script, Some("scenario"), &scenario.plan.cluster)
}

/// Scenarios that break a node or the control plane, the first in a cluster that is up; and how long the slowest of the other
/// clusters took to come up.
fn play_fresh(
    script: &Path,
    all: &[&Scenario],
    first: Option<Kubernetes>,
    asker: &Asker,
    tell: &Sender<String>,
) -> Result<(u64, Vec<Outcome>)> {
    let mut slowest = 0;
    let mut up = first;
    let mut left = Vec::new();
    let mut outcomes = Vec::new();
    for scenario in all {
        let _ = tell.send(scenario.name.clone());
        // One that is as it was is as good as new, once what stood in it is gone: it gives back its addresses.
        up = up.filter(|kubernetes| {
            kubernetes.is(&scenario.plan.cluster) && kubernetes.clear(&left, true).is_ok()
        });
        left.clone_from(&scenario.plan.namespaces);
        let kubernetes = match up.take() {
            Some(kubernetes) => kubernetes,
            None => {
                let kubernetes = own(script, scenario)?;
                slowest = slowest.max(kubernetes.up_ms());
                kubernetes
            }
        };
        let outcome = timed(&kubernetes, scenario, asker);
        up = Some(kubernetes).filter(|_| outcome.is_mended());
        outcomes.push(outcome);
    }
    Ok((slowest, outcomes))
}

fn timed(kubernetes: &Kubernetes, scenario: &Scenario, asker: &Asker) -> Outcome {
    let begun = Instant::now();
    let mut outcome = play::play(kubernetes, scenario, asker);
    outcome.seconds = begun.elapsed().as_secs();
    outcome
}

/// Held for reading by whatever is begun, for writing while a diagnosis is timed.
static BEGUN: RwLock<()> = RwLock::new(());

/// The healthy cluster as a whole, its own programs included: nobody asks for anything in particular.
fn system(kubernetes: &Kubernetes, asker: &Asker) -> Result<System> {
    let words = ["-n", netshoot_api::facts::SYSTEM];
    let answer = asker.ask(kubernetes, &words)?;
    let word = answer.without_a_fault();
    asker.keep("kube-system", word, &answer)?;
    Ok(System {
        answer: word.into(),
        ms: answer.ms,
    })
}

/// `lab/cluster/scenarios` here or above.
fn nearest_shelf() -> Result<PathBuf> {
    let here = std::env::current_dir().context("find the current folder")?;
    let found = here
        .ancestors()
        .map(|f| f.join("lab/cluster/scenarios"))
        .find(|f| f.is_dir());
    found.ok_or_else(|| {
        Wrong::usage(format!(
            "no lab/cluster/scenarios in {} or above; --labs DIR says where they are",
            here.display()
        ))
    })
}

/// The script that starts clusters: it lies in the project that the scenarios belong to, or in the one we stand in.
fn script_above(folder: &Path) -> Result<PathBuf> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("find {}", folder.display()))?;
    let here = std::env::current_dir().context("find the current folder")?;
    let mut places = folder
        .ancestors()
        .chain(here.ancestors())
        .map(|f| f.join("scripts/cluster"));
    places
        .find(|f| f.is_file())
        .context("no scripts/cluster above the scenarios or the current folder")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use netshoot_lab::scenario::Rights;

    /// Scenario by rights: what each must be able to find.
    fn table(all: &[Scenario]) -> String {
        let numbered = |s: &&Scenario| {
            let number = s.plan.expect.catalogue.trim_start_matches('F');
            number.parse::<u32>().unwrap_or(u32::MAX)
        };
        let mut all: Vec<&Scenario> = all.iter().collect();
        all.sort_by_key(numbered);
        let words = Rights::ALL.map(Rights::word).join(" | ");
        let mut out = format!("| | what is broken | {words} |\n|---|---|---|---|---|---|---|\n");
        for s in all {
            let cells = Rights::ALL.map(|r| if r >= s.plan.ladder { "found" } else { "" });
            let (number, title) = (&s.plan.expect.catalogue, &s.plan.title);
            out += &format!("| {number} | {title} | {} |\n", cells.join(" | "));
        }
        out
    }

    #[test]
    fn the_page_says_which_rights_must_find_what() {
        let shelf = golden::root().join("lab/cluster/scenarios");
        let all = scenario::all_in(&shelf).unwrap();
        let page = golden::root().join("docs/live.md");
        let text = std::fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once("<!-- rights -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        let right = format!(
            "{before}<!-- rights -->\n{}<!-- end -->{after}",
            table(&all)
        );
        let wrong = golden::differs(&page, &right);
        assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
    }
}
