//! `lab bench --cluster`: scenarios in a real Kubernetes. What stands is seen to work and is diagnosed, then it is broken
//! and the symptom is seen, the diagnosis is asked with ever fewer rights, the remedy is applied, everything is seen to
//! work again and is diagnosed once more. Waits for conditions; takes its namespaces away.
//!
//! Reading order: `run` here, then `play`, `asked` (whose rights, what counts as right), `kubernetes`, `talk`, `figures`.

mod asked;
mod figures;
mod kubernetes;
mod play;
mod talk;

use crate::io::Io;
use crate::wrong::Wrong;
use anyhow::{Context, Result};
use asked::Asker;
use figures::{Figures, System};
use kubernetes::Kubernetes;
use netshoot_lab::scenario::{self, Scenario, Shape};
use std::path::{Path, PathBuf};
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

/// Plays the scenarios, one after the other; 0 when every symptom was proven and the diagnosis is good enough.
pub fn run(options: &Options, io: &mut Io<'_>) -> Result<i32> {
    let folder = match &options.folder {
        Some(folder) => folder.clone(),
        None => nearest_shelf()?,
    };
    let all = scenario::all_in(&folder).map_err(|e| Wrong::input(anyhow::anyhow!("{e}")))?;
    let wanted = |s: &&Scenario| {
        let mut words = options.only.split(',');
        options.only.is_empty()
            || words.any(|o| s.name == o || s.plan.catalogue.iter().any(|c| c == o))
    };
    // Those that share a cluster come first: it is healthy and warm while they last.
    let (fresh, mut chosen): (Vec<&Scenario>, Vec<&Scenario>) =
        all.iter().filter(wanted).partition(|s| s.plan.fresh);
    chosen.extend(fresh);
    chosen.sort_by_key(|s| (s.plan.fresh, s.plan.cluster.network.clone()));
    if chosen.is_empty() {
        return Err(Wrong::usage(format!(
            "no scenario in {} is called {}",
            folder.display(),
            options.only
        )));
    }
    let script = script_above(&folder)?;
    let asker = Asker::new(options.keep.clone())?;
    let (mut shared, mut own): (Option<Kubernetes>, Option<Kubernetes>) = (None, None);
    let mut figures = Figures::default();
    for (number, scenario) in chosen.iter().enumerate() {
        let (number, of, name) = (number + 1, chosen.len(), &scenario.name);
        io.progress(&format!("{number}/{of} {name}"));
        let begun = Instant::now();
        let mut outcome = if scenario.plan.fresh {
            // One that is as it was is as good as new.
            own = own.filter(|kubernetes| kubernetes.is(&scenario.plan.cluster));
            let kubernetes = match own.take() {
                Some(kubernetes) => kubernetes,
                None => Kubernetes::start(&script, Some("scenario"), &scenario.plan.cluster)?,
            };
            let outcome = play::play(&kubernetes, scenario, &asker);
            own = Some(kubernetes).filter(|_| outcome.is_mended());
            outcome
        } else {
            let kubernetes = match &shared {
                Some(kubernetes) => kubernetes,
                None => shared.insert(Kubernetes::start(&script, None, &Shape::default())?),
            };
            if figures.system.is_none() {
                figures.system = Some(system(kubernetes, &asker)?);
            }
            play::play(kubernetes, scenario, &asker)
        };
        outcome.seconds = begun.elapsed().as_secs();
        figures.scenarios.push(outcome);
    }
    if let Some(kubernetes) = &shared {
        let all = chosen.iter().filter(|s| !s.plan.fresh);
        let all: Vec<String> = all.flat_map(|s| s.plan.namespaces.clone()).collect();
        kubernetes.clear(&all, true)?;
    }
    io.progress_done();
    figures.count();
    figures::print(&figures, options.json, io)?;
    Ok(i32::from(!figures.good()))
}

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
