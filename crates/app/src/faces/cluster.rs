//! `lab bench --cluster`: scenarios in a real Kubernetes. What stands is seen to work, then it is broken and the symptom is
//! seen, the diagnosis is asked, the remedy is applied and everything is seen to work again. Waits for
//! conditions; takes its namespaces away.
//!
//! Reading order: `run`, `play`, `Kubernetes`, `Heard`.

use super::bench::matches;
use crate::io::Io;
use crate::wrong::Wrong;
use anyhow::{Context, Result, bail};
use netshoot_lab::scenario::{self, Daemon, Fails, On, Patch, Scenario, Step, Talk};
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Whether `diagnose` finds a cluster by KUBECONFIG. As long as it does not, the symptom is proven and the
/// diagnosis is shown as missing.
const DIAGNOSE_READS_CLUSTERS: bool = false;

/// Everything stands, or stands again, within this time.
const STANDS: Duration = Duration::from_secs(120);
/// The symptom shows within this time.
const SHOWS: Duration = Duration::from_secs(90);
/// So many answers in a row are called working; an intermittent fault needs more.
const IN_A_ROW: (usize, usize) = (3, 15);

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Folder of scenarios; `lab/cluster/scenarios` of the project one stands in, if not given.
    pub folder: Option<PathBuf>,
    /// Only scenarios whose name or catalogue number is this; empty for all.
    pub only: String,
    /// As JSON.
    pub json: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Outcome {
    name: String,
    catalogue: String,
    /// `proven`, or what was waited for in vain.
    symptom: String,
    /// `first`, `top3`, `wrong`, `unknown`, `not there yet`, or nothing when it was not asked.
    diagnosis: String,
    /// Of the diagnosis alone.
    diagnosis_ms: u64,
    seconds: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Figures {
    scenarios: Vec<Outcome>,
    runs: usize,
    symptom_proven: usize,
    right_first: usize,
    diagnosis_not_there_yet: usize,
}

/// Plays the scenarios, one after the other; 0 when every symptom was proven and no diagnosis was wrong.
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
    let chosen: Vec<&Scenario> = all.iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(Wrong::usage(format!(
            "no scenario in {} is called {}",
            folder.display(),
            options.only
        )));
    }
    let script = script_above(&folder)?;
    let mut shared = None;
    let mut figures = Figures::default();
    for (number, scenario) in chosen.iter().enumerate() {
        io.progress(&format!(
            "{}/{} {}",
            number + 1,
            chosen.len(),
            scenario.name
        ));
        let begun = Instant::now();
        let mut outcome = if scenario.plan.fresh {
            let own = Kubernetes::start(&script, Some("scenario"))?;
            let outcome = play(&own, scenario);
            own.script(&["down"])?;
            outcome
        } else {
            if shared.is_none() {
                shared = Some(Kubernetes::start(&script, None)?);
            }
            shared
                .as_ref()
                .map(|kubernetes| play(kubernetes, scenario))
                .unwrap_or_default()
        };
        outcome.seconds = begun.elapsed().as_secs();
        figures.scenarios.push(outcome);
    }
    io.progress_done();
    let count = |f: &dyn Fn(&Outcome) -> bool| figures.scenarios.iter().filter(|o| f(o)).count();
    (figures.runs, figures.symptom_proven) =
        (figures.scenarios.len(), count(&|o| o.symptom == "proven"));
    figures.right_first = count(&|o| o.diagnosis == "first");
    figures.diagnosis_not_there_yet = count(&|o| o.diagnosis == NOT_YET);
    print(&figures, options.json, io)?;
    let right = figures.symptom_proven == figures.runs
        && figures.right_first + figures.diagnosis_not_there_yet == figures.runs;
    Ok(i32::from(!right))
}

const NOT_YET: &str = "not there yet";

fn print(figures: &Figures, json: bool, io: &mut Io<'_>) -> Result<()> {
    if json {
        writeln!(io.out, "{}", serde_json::to_string_pretty(figures)?)?;
        return Ok(());
    }
    for o in &figures.scenarios {
        writeln!(
            io.out,
            "{:<34} {:<5} symptom {:<8} diagnosis {:<14} {} s",
            o.name, o.catalogue, o.symptom, o.diagnosis, o.seconds
        )?;
    }
    if figures.diagnosis_not_there_yet > 0 {
        writeln!(
            io.out,
            "diagnose does not read live clusters yet: the symptoms were proven, and no diagnosis was judged"
        )?;
    }
    Ok(())
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

/// One scenario from the first namespace to the last. What goes wrong on the way is its outcome.
fn play(kubernetes: &Kubernetes, scenario: &Scenario) -> Outcome {
    let mut outcome = Outcome {
        name: scenario.name.clone(),
        catalogue: scenario.plan.expect.catalogue.clone(),
        ..Outcome::default()
    };
    let played = act(kubernetes, scenario, &mut outcome);
    let cleared = kubernetes.clear(&scenario.plan.namespaces);
    outcome.symptom = match played.and(cleared) {
        Ok(()) => "proven".into(),
        Err(e) => format!("{e:#}"),
    };
    outcome
}

fn act(kubernetes: &Kubernetes, scenario: &Scenario, outcome: &mut Outcome) -> Result<()> {
    let plan = &scenario.plan;
    kubernetes.clear(&plan.namespaces)?;
    for namespace in &plan.namespaces {
        kubernetes.kubectl(&["create", "namespace", namespace])?;
        // Pods are refused as long as their namespace has no ServiceAccount.
        let account = ["-n", namespace, "get", "serviceaccount", "default"];
        wait("the default ServiceAccount", STANDS, || {
            kubernetes.kubectl(&account).map(drop)
        })?;
    }
    kubernetes.apply(scenario, "manifests.yaml")?;
    let available = [
        "-n",
        &plan.ask.namespace,
        "wait",
        "--for=condition=Ready",
        "pod",
        "--all",
        "--timeout=5s",
    ];
    wait("all pods ready", STANDS, || {
        kubernetes.kubectl(&available).map(drop)
    })?;
    let works = |what: &str| -> Result<()> {
        for talk in &plan.talk {
            let enough = if talk.fails == Fails::Sometimes {
                IN_A_ROW.1
            } else {
                IN_A_ROW.0
            };
            wait(
                &format!("{what}: {} reaches {}", talk.from, talk.to),
                STANDS,
                || {
                    let mut heard = (0..enough).map(|_| kubernetes.hear(talk));
                    heard
                        .find(|h| *h != Heard::Answer)
                        .map_or(Ok(()), |h| Err(anyhow::anyhow!("{h:?}")))
                },
            )?;
        }
        Ok(())
    };
    works("before the break")?;
    for step in &plan.breaks {
        kubernetes.step(scenario, step).context("break it")?;
    }
    for talk in &plan.talk {
        let (from, to, how) = (&talk.from, &talk.to, talk.fails);
        wait(
            &format!("the symptom: {from} to {to} fails ({how:?})"),
            SHOWS,
            || {
                let heard: Vec<Heard> = (0..IN_A_ROW.0).map(|_| kubernetes.hear(talk)).collect();
                let seen = match how {
                    Fails::Sometimes => heard.iter().any(|h| *h != Heard::Answer),
                    Fails::Refused => heard.iter().all(|h| *h == Heard::Refused),
                    Fails::Timeout => heard.iter().all(|h| *h == Heard::Silence),
                    Fails::Name => heard.iter().all(|h| *h == Heard::NoName),
                };
                if seen {
                    Ok(())
                } else {
                    Err(anyhow::anyhow!("{heard:?}"))
                }
            },
        )?;
    }
    for condition in &plan.until {
        let path = format!("jsonpath={}", condition.path);
        let words: Vec<&str> = ["-n", &plan.ask.namespace, "get", "-o", &path]
            .into_iter()
            .chain(condition.object.iter().map(String::as_str))
            .collect();
        wait(
            &format!("{} has {}", condition.path, condition.has),
            SHOWS,
            || {
                let shown = kubernetes.kubectl(&words)?;
                if shown.contains(&condition.has) {
                    Ok(())
                } else {
                    Err(anyhow::anyhow!("{shown}"))
                }
            },
        )?;
    }
    diagnose(kubernetes, scenario, outcome)?;
    for step in &plan.remedy {
        kubernetes.step(scenario, step).context("mend it")?;
    }
    works("after the remedy")
}

/// Asks as the victim would, and judges the answer by number and subject.
fn diagnose(kubernetes: &Kubernetes, scenario: &Scenario, outcome: &mut Outcome) -> Result<()> {
    outcome.diagnosis = NOT_YET.into();
    if !DIAGNOSE_READS_CLUSTERS {
        return Ok(());
    }
    let own = std::env::current_exe().context("find the own program")?;
    let ask = &scenario.plan.ask;
    let words = [
        "diagnose",
        "-o",
        "json",
        "--symptom",
        &ask.en,
        "-n",
        &ask.namespace,
    ];
    let begun = Instant::now();
    let said = kubernetes
        .command(&own)
        .args(words)
        .output()
        .context("start the diagnosis")?;
    outcome.diagnosis_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let report: Value = serde_json::from_slice(&said.stdout).with_context(|| {
        format!(
            "no report came: {}",
            String::from_utf8_lossy(&said.stderr).trim()
        )
    })?;
    let also = report
        .get("also")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let broken = report.get("verdict").and_then(Value::as_str) == Some("broken");
    let expect = &scenario.plan.expect;
    let cause = report.get("cause").cloned().unwrap_or_default();
    outcome.diagnosis = match broken {
        true if matches(expect, &cause) => "first",
        _ if also.iter().take(2).any(|a| matches(expect, a)) => "top3",
        true => "wrong",
        false => "unknown",
    }
    .into();
    Ok(())
}

/// Asks until it is so.
fn wait(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<()>) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        match ask() {
            Ok(()) => return Ok(()),
            Err(last) if Instant::now() > end => {
                return Err(last.context(format!("waited {} s for {what}", limit.as_secs())));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// What a conversation brought.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Answer,
    Refused,
    Silence,
    NoName,
    Other(String),
}

impl Heard {
    fn of(output: &Output) -> Heard {
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => Heard::Answer,
            _ if said.contains("Connection refused") => Heard::Refused,
            _ if said.contains("bad address") => Heard::NoName,
            // timeout(1) ended it: by its own account, or by that of a shell.
            Some(124 | 143) => Heard::Silence,
            _ => Heard::Other(said.trim().to_string()),
        }
    }
}

/// A cluster that `scripts/cluster` started.
struct Kubernetes {
    script: PathBuf,
    state: Option<PathBuf>,
    env: Vec<(String, String)>,
}

impl Kubernetes {
    /// The shared one, or one of its own beside it.
    fn start(script: &Path, own: Option<&str>) -> Result<Kubernetes> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || script.with_file_name("").join("../target"),
            PathBuf::from,
        );
        let mut cluster = Kubernetes {
            script: script.to_path_buf(),
            state: own.map(|word| target.join(format!("cluster-{word}"))),
            env: Vec::new(),
        };
        if cluster.state.is_some() {
            cluster.script(&["down"])?; // what a killed run left
        }
        cluster.script(&["up"])?;
        for line in cluster.script(&["env"])?.lines() {
            if let Some((name, value)) =
                line.strip_prefix("export ").and_then(|l| l.split_once('='))
            {
                let value = match value.strip_suffix(":\"$PATH\"") {
                    Some(first) => format!("{first}:{}", std::env::var("PATH").unwrap_or_default()),
                    None => value.to_string(),
                };
                cluster.env.push((name.into(), value));
            }
        }
        Ok(cluster)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.envs(self.env.iter().cloned()).stdin(Stdio::null());
        if let Some(state) = &self.state {
            command.env("CLUSTER_STATE", state);
        }
        command
    }

    fn script(&self, words: &[&str]) -> Result<String> {
        done(
            self.command(&self.script).args(words),
            "scripts/cluster",
            words,
        )
    }

    fn program(&self) -> PathBuf {
        let path = self.env.iter().find(|(name, _)| name == "PATH");
        let folders = path
            .into_iter()
            .flat_map(|(_, path)| std::env::split_paths(path));
        folders
            .map(|f| f.join("kubectl"))
            .find(|f| f.is_file())
            .unwrap_or_else(|| "kubectl".into())
    }

    fn kubectl(&self, words: &[&str]) -> Result<String> {
        done(self.command(&self.program()).args(words), "kubectl", words)
    }

    fn apply(&self, scenario: &Scenario, file: &str) -> Result<()> {
        let file = scenario.folder.join(file);
        let words = [
            "-n",
            &scenario.plan.ask.namespace,
            "apply",
            "-f",
            &file.display().to_string(),
        ];
        self.kubectl(&words).map(drop)
    }

    fn step(&self, scenario: &Scenario, step: &Step) -> Result<()> {
        let namespace = ["-n", &scenario.plan.ask.namespace];
        match step {
            Step::Apply(file) => self.apply(scenario, file),
            Step::Patch(Patch { object, patch }) => {
                let words = [
                    "patch",
                    object,
                    "--type=strategic",
                    "-p",
                    &patch.to_string(),
                ];
                self.kubectl(&[&namespace[..], &words].concat()).map(drop)
            }
            Step::Delete(object) => self
                .kubectl(&[&namespace[..], &["delete", object]].concat())
                .map(drop),
            Step::Kubectl(words) => {
                let words = words.iter().map(String::as_str);
                let words: Vec<&str> = namespace.into_iter().chain(words).collect();
                self.kubectl(&words).map(drop)
            }
            Step::On(On { place, run }) => {
                let run = run.iter().map(String::as_str);
                let words: Vec<&str> = ["on", place].into_iter().chain(run).collect();
                self.script(&words).map(drop)
            }
            Step::Daemon(Daemon { what, node, name }) => {
                self.script(&["daemon", what, node, name]).map(drop)
            }
        }
    }

    /// One call of a client.
    fn hear(&self, talk: &Talk) -> Heard {
        let call = ["timeout", "3", "wget", "-q", "-O", "-", &talk.to];
        let words = ["-n", &talk.namespace, "exec", &talk.from, "--"];
        let output = self
            .command(&self.program())
            .args(words)
            .args(call)
            .output();
        output.map_or_else(|e| Heard::Other(e.to_string()), |o| Heard::of(&o))
    }

    /// Deletes namespaces and waits until they are gone.
    fn clear(&self, namespaces: &[String]) -> Result<()> {
        let names = namespaces.iter().map(String::as_str);
        let words: Vec<&str> = ["delete", "namespace", "--ignore-not-found", "--timeout=90s"]
            .into_iter()
            .chain(names)
            .collect();
        self.kubectl(&words).map(drop)
    }
}

/// Its output, when it went well.
fn done(command: &mut Command, program: &str, words: &[&str]) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("start {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", words.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
