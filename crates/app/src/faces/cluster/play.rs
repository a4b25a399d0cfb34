//! One scenario from the first namespace to the last. What goes wrong on the way is its outcome.

use super::asked::Asker;
use super::figures::Outcome;
use super::kubernetes::Kubernetes;
use super::remedy::{self, Remedied};
use super::talk;
use anyhow::{Context, Result, anyhow};
use netshoot_lab::scenario::{Condition, Mends, Scenario};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Everything stands within this time.
const STANDS: Duration = Duration::from_secs(120);
/// What is waited for when it is broken comes within this time.
const SHOWS: Duration = Duration::from_secs(90);
/// Between two questions whether it is so.
const SOON: Duration = Duration::from_millis(200);
const LATER: Duration = Duration::from_secs(2);

/// Plays it.
pub fn play(kubernetes: &Kubernetes, scenario: &Scenario, asker: &Asker) -> Outcome {
    let mut outcome = Outcome {
        name: scenario.name.clone(),
        catalogue: scenario.plan.expect.catalogue.clone(),
        mends: scenario.plan.mends,
        ..Outcome::default()
    };
    let played = act(kubernetes, scenario, asker, &mut outcome);
    // Nobody waits for it but the next scenario that wants the same name, and the end.
    let cleared = kubernetes.clear(&scenario.plan.namespaces, false);
    outcome.symptom = match played.and(cleared) {
        Ok(()) => "proven".into(),
        Err(e) => format!("{e:#}"),
    };
    outcome
}

fn act(
    kubernetes: &Kubernetes,
    scenario: &Scenario,
    asker: &Asker,
    outcome: &mut Outcome,
) -> Result<()> {
    let plan = &scenario.plan;
    stand(kubernetes, scenario)?;
    talk::works(kubernetes, &plan.talk, "before the break")?;
    outcome.before = asker.healthy(kubernetes, scenario, "before")?;
    for step in &plan.breaks {
        kubernetes.step(scenario, step).context("break it")?;
    }
    for condition in &plan.until {
        shows(kubernetes, &plan.ask.namespace, condition)?;
    }
    talk::fails(kubernetes, &plan.talk)?;
    let report = asker.broken(kubernetes, scenario, outcome)?;
    mend(kubernetes, scenario, &report, outcome)?;
    talk::works(kubernetes, &plan.talk, "after the remedy")?;
    outcome.after = asker.healthy(kubernetes, scenario, "after")?;
    Ok(())
}

/// By what the report says, where it found the cause; else, or where that asks a person, as the scenario says.
fn mend(
    kubernetes: &Kubernetes,
    scenario: &Scenario,
    report: &Value,
    outcome: &mut Outcome,
) -> Result<()> {
    if outcome.diagnosis == "first" && scenario.plan.mends != Mends::Scenario {
        outcome.remedy = match remedy::apply(kubernetes, scenario, report) {
            Remedied::Worked => "worked".into(),
            Remedied::Asks => "asks".into(),
            Remedied::Failed(why) => why,
        };
    }
    let worked = outcome.remedy == "worked";
    if worked && !scenario.plan.fresh {
        return Ok(());
    }
    for step in &scenario.plan.remedy {
        let done = kubernetes.step(scenario, step).context("mend it");
        // What breaks a node may leave more behind than its remedy has to do with: the next scenario's cluster is as it was.
        if !worked {
            done?;
        }
    }
    Ok(())
}

/// Makes the namespaces and what is healthy in them.
fn stand(kubernetes: &Kubernetes, scenario: &Scenario) -> Result<()> {
    let plan = &scenario.plan;
    kubernetes.clear(&plan.namespaces, true)?;
    for namespace in &plan.namespaces {
        kubernetes.kubectl(&["create", "namespace", namespace])?;
    }
    for namespace in &plan.namespaces {
        // Pods are refused as long as their namespace has no ServiceAccount.
        let account = ["-n", namespace, "get", "serviceaccount", "default"];
        wait("the default ServiceAccount", STANDS, || {
            kubernetes.kubectl(&account).map(drop)
        })?;
    }
    for step in &plan.before {
        kubernetes.step(scenario, step).context("prepare it")?;
    }
    kubernetes.apply(scenario, "manifests.yaml")?;
    for namespace in &plan.namespaces {
        let ready = ["-n", namespace, "wait", "--for=condition=Ready"];
        let words = [&ready[..], &["pod", "--all", "--timeout=5s"]].concat();
        wait("all pods ready", STANDS, || {
            kubernetes.kubectl(&words).map(drop)
        })?;
    }
    Ok(())
}

fn shows(kubernetes: &Kubernetes, namespace: &str, condition: &Condition) -> Result<()> {
    let path = format!("jsonpath={}", condition.path);
    let words: Vec<&str> = ["-n", namespace, "get", "-o", &path]
        .into_iter()
        .chain(condition.object.iter().map(String::as_str))
        .collect();
    let what = format!("{} has {}", condition.path, condition.has);
    wait(&what, SHOWS, || {
        let shown = kubernetes.kubectl(&words)?;
        if shown.contains(&condition.has) {
            Ok(())
        } else {
            Err(anyhow!("{shown}"))
        }
    })
}

/// Asks until it is so: the more seldom the longer it lasts, for each question costs the others of their processor.
pub fn wait(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    let end = begun + limit;
    loop {
        match ask() {
            Ok(()) => return Ok(()),
            Err(last) if Instant::now() > end => {
                return Err(last.context(format!("waited {} s for {what}", limit.as_secs())));
            }
            Err(_) => std::thread::sleep((begun.elapsed() / 10).clamp(SOON, LATER)),
        }
    }
}
