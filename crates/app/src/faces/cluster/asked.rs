//! The diagnosis, asked as the victim would ask: a process of its own with the cluster's KUBECONFIG, everything allowed
//! that the rights of who asks allow. Judged by catalogue number and subject, never by words.

use super::figures::{Outcome, Rung};
use super::kubernetes::Kubernetes;
use crate::faces::bench::{PEAK, matches};
use crate::faces::lab::STATS;
use anyhow::{Context, Result};
use netshoot_lab::scenario::{Rights, Scenario};
use netshoot_lab::world::Expect;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Diagnoses with fewer rights that run at the same time.
const AT_ONCE: usize = 2;

/// Asks and judges.
pub struct Asker {
    own: PathBuf,
    keep: Option<PathBuf>,
    peak_kib: AtomicU64,
}

/// What came back.
pub struct Answer {
    /// How long the whole process took.
    pub ms: u64,
    /// The most memory that it held, KiB; nothing where it did not say.
    pub peak_kib: Option<u64>,
    report: Value,
}

impl Answer {
    /// What a diagnosis printed, and what it said of itself beside it.
    pub fn of(said: &Output, words: &[&str], ms: u64) -> Result<Answer> {
        let err = String::from_utf8_lossy(&said.stderr);
        let report = serde_json::from_slice(&said.stdout)
            .with_context(|| format!("no report came of {}: {}", words.join(" "), err.trim()))?;
        let peak = err.lines().find_map(|l| l.strip_prefix(PEAK)?.parse().ok());
        Ok(Answer {
            ms,
            peak_kib: peak,
            report,
        })
    }

    /// `healthy`, `broken`, `unknown`.
    pub fn verdict(&self) -> &str {
        let verdict = self.report.get("verdict").and_then(Value::as_str);
        verdict.unwrap_or_default()
    }

    /// Where nothing is wrong: `healthy`, `unknown`, or `false alarm`.
    pub fn without_a_fault(&self) -> &'static str {
        match self.verdict() {
            "broken" => "false alarm",
            "healthy" => "healthy",
            _ => "unknown",
        }
    }

    /// Against what is expected: `first`, `top3`, `wrong`, `unknown`.
    fn judged(&self, expect: &Expect) -> &'static str {
        let list = |key: &str| self.report.get(key).and_then(Value::as_array).cloned();
        let also = list("also").unwrap_or_default();
        let cause = self.report.get("cause").cloned().unwrap_or_default();
        match self.verdict() {
            "broken" if matches(expect, &cause) => "first",
            "broken" if also.iter().take(2).any(|a| matches(expect, a)) => "top3",
            // What is called healthy and is not leads as far astray as a cause that is none.
            "broken" | "healthy" => "wrong",
            _ => "unknown",
        }
    }
}

impl Asker {
    /// `keep`: a folder for the reports of diagnoses that were not right.
    pub fn new(keep: Option<PathBuf>) -> Result<Asker> {
        if let Some(folder) = &keep {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("make {}", folder.display()))?;
        }
        let own = std::env::current_exe().context("find the own program")?;
        Ok(Asker {
            own,
            keep,
            peak_kib: AtomicU64::new(0),
        })
    }

    /// One diagnosis with these words.
    pub fn ask(&self, kubernetes: &Kubernetes, words: &[&str]) -> Result<Answer> {
        let begun = Instant::now();
        let said = kubernetes
            .command(&self.own)
            .args(["diagnose", "-o", "json", "--yes"])
            .args(words)
            .env(STATS, "1")
            .output()
            .context("start the diagnosis")?;
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let answer = Answer::of(&said, words, ms)?;
        let peak = answer.peak_kib.unwrap_or(0);
        self.peak_kib.fetch_max(peak, Ordering::Relaxed);
        Ok(answer)
    }

    /// The most memory that one diagnosis held, KiB.
    pub fn peak_kib(&self) -> u64 {
        self.peak_kib.load(Ordering::Relaxed)
    }

    /// One diagnosis, and nothing is begun beside it.
    pub fn alone(&self, kubernetes: &Kubernetes, words: &[&str]) -> Result<Answer> {
        let alone = super::BEGUN.write();
        let answer = self.ask(kubernetes, words);
        drop(alone);
        answer
    }

    /// The victim's question while nothing is broken.
    pub fn healthy(
        &self,
        kubernetes: &Kubernetes,
        scenario: &Scenario,
        when: &str,
    ) -> Result<String> {
        let ask = &scenario.plan.ask;
        let words = ["-n", &ask.namespace, "--symptom", &ask.en];
        let answer = self.ask(kubernetes, &words)?;
        let word = answer.without_a_fault();
        self.keep(&format!("{}-{when}", scenario.name), word, &answer)?;
        Ok(word.into())
    }

    /// The victim's question while it is broken: with all rights, alone, for its time is measured; then with fewer. The report
    /// of the first.
    pub fn broken(
        &self,
        kubernetes: &Kubernetes,
        scenario: &Scenario,
        outcome: &mut Outcome,
    ) -> Result<Value> {
        let [most, fewer @ ..] = Rights::ALL;
        let (first, report) = self.rung(kubernetes, scenario, most, true)?;
        outcome.diagnosis.clone_from(&first.answer);
        outcome.diagnosis_ms = first.ms;
        grant(kubernetes, scenario)?;
        let left = Mutex::new(fewer.to_vec());
        let next = || left.lock().ok().and_then(|mut l| l.pop());
        let climb = || {
            let mut rungs = Vec::new();
            while let Some(rights) = next() {
                rungs.push(self.rung(kubernetes, scenario, rights, false)?.0);
            }
            Ok::<_, anyhow::Error>(rungs)
        };
        let climbed = std::thread::scope(|scope| {
            let climbing: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(climb)).collect();
            let climbed = climbing
                .into_iter()
                .map(std::thread::ScopedJoinHandle::join);
            climbed.collect::<Vec<_>>()
        });
        outcome.ladder.push(first);
        for rungs in climbed {
            let rungs = rungs.map_err(|_| anyhow::anyhow!("a diagnosis ended in a panic"))?;
            outcome.ladder.extend(rungs?);
        }
        outcome.ladder.sort_by_key(|r| std::cmp::Reverse(r.rights));
        Ok(report)
    }

    /// `timed`: nothing of ours is begun beside it.
    fn rung(
        &self,
        kubernetes: &Kubernetes,
        scenario: &Scenario,
        rights: Rights,
        timed: bool,
    ) -> Result<(Rung, Value)> {
        let ask = &scenario.plan.ask;
        let mut words = vec!["-n", &ask.namespace, "--symptom", &ask.en, "--as", USER];
        let (pod, group) = (client(kubernetes, scenario)?, group(rights));
        let from = format!("pod/{pod}");
        words.extend(["--as-group", &group]);
        if rights == Rights::OnePod {
            // Who may see one pod only knows which.
            words.extend(["--from", &from]);
        }
        let answer = match timed {
            true => self.alone(kubernetes, &words)?,
            false => self.ask(kubernetes, &words)?,
        };
        let mut word = answer.judged(&scenario.plan.expect);
        if let (Some(subject), true) = (&scenario.plan.unread, rights < Rights::ClusterAdmin) {
            let expect = Expect {
                subject: subject.clone(),
                ..scenario.plan.expect.clone()
            };
            if answer.judged(&expect) == "first" {
                word = "first";
            }
        }
        self.keep(
            &format!("{}-{}", scenario.name, rights.word()),
            word,
            &answer,
        )?;
        let rung = Rung {
            rights,
            wanted: rights >= scenario.plan.ladder,
            answer: word.into(),
            ms: answer.ms,
        };
        Ok((rung, answer.report))
    }

    /// Keeps a report that is not right.
    pub fn keep(&self, name: &str, word: &str, answer: &Answer) -> Result<()> {
        let Some(folder) = &self.keep else {
            return Ok(());
        };
        if ["first", "healthy"].contains(&word) {
            return Ok(());
        }
        let file = folder.join(format!("{name}-{}.json", word.replace(' ', "-")));
        let text = serde_json::to_string_pretty(&answer.report)?;
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))
    }
}

/// Who asks: rights hang on the group, and one name for all is enough.
const USER: &str = "scenario";

fn group(rights: Rights) -> String {
    match rights {
        // The group that the API server itself lets do everything.
        Rights::ClusterAdmin => "system:masters".into(),
        _ => format!("scenario:{}", rights.word()),
    }
}

/// The pod of the first client.
fn client(kubernetes: &Kubernetes, scenario: &Scenario) -> Result<String> {
    let talk = scenario.plan.talk.first().context("nobody talks")?;
    kubernetes.pod(&talk.namespace, &talk.from)
}

/// Gives each group its rights, in the namespaces of the scenario alone; they go with them.
fn grant(kubernetes: &Kubernetes, scenario: &Scenario) -> Result<()> {
    let kind = "rbac.authorization.k8s.io";
    let binding = |namespace: &str, rights: Rights, role: &str, name: &str| {
        json!({
            "apiVersion": format!("{kind}/v1"),
            "kind": "RoleBinding",
            "metadata": {"name": format!("scenario-{}", rights.word()), "namespace": namespace},
            "roleRef": {"apiGroup": kind, "kind": role, "name": name},
            "subjects": [{"apiGroup": kind, "kind": "Group", "name": group(rights)}],
        })
    };
    let mut items = Vec::new();
    for namespace in &scenario.plan.namespaces {
        for rights in [Rights::Admin, Rights::Edit, Rights::View] {
            items.push(binding(namespace, rights, "ClusterRole", rights.word()));
        }
    }
    let talk = scenario.plan.talk.first().context("nobody talks")?;
    let (pod, namespace) = (client(kubernetes, scenario)?, &talk.namespace);
    let one = Rights::OnePod;
    let name = format!("scenario-{}", one.word());
    items.push(json!({
        "apiVersion": format!("{kind}/v1"),
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"], "resourceNames": [pod]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"], "resourceNames": [pod]},
            {"apiGroups": [""], "resources": ["pods/exec", "pods/attach"], "verbs": ["create"], "resourceNames": [pod]},
            {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["patch"], "resourceNames": [pod]},
        ],
    }));
    items.push(binding(namespace, one, "Role", &name));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    kubernetes.feed(&["apply", "-f", "-"], &list.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(report: Value) -> (&'static str, &'static str) {
        let expect: Expect = serde_json::from_value(
            json!({"catalogue": "F21", "subject": {"kind": "Service", "namespace": "shop", "name": "cart"}}),
        )
        .unwrap();
        let answer = Answer {
            ms: 1,
            peak_kib: None,
            report,
        };
        (answer.judged(&expect), answer.without_a_fault())
    }

    #[test]
    fn an_answer_is_judged_by_number_and_subject() {
        let right = json!({"catalogue": "F21", "subject": {"kind": "Service", "namespace": "shop", "name": "cart"}});
        let other = json!({"catalogue": "F21", "subject": {"kind": "Service", "namespace": "shop", "name": "carts"}});
        for (report, want) in [
            (
                json!({"verdict": "broken", "cause": right, "also": [other]}),
                ("first", "false alarm"),
            ),
            (
                json!({"verdict": "broken", "cause": other, "also": [right]}),
                ("top3", "false alarm"),
            ),
            (
                json!({"verdict": "broken", "cause": other, "also": []}),
                ("wrong", "false alarm"),
            ),
            (
                json!({"verdict": "healthy", "also": []}),
                ("wrong", "healthy"),
            ),
            (
                json!({"verdict": "unknown", "also": [right]}),
                ("unknown", "unknown"),
            ),
        ] {
            assert_eq!(judged(report.clone()), want, "{report}");
        }
    }
}
