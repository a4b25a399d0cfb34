//! Applies a remedy and shows that it worked: the same conversation again, many times, for long
//! enough.

use super::diagnose::{Options, case, think};
use crate::access::Access;
use crate::io::Io;
use crate::report;
use anyhow::{Context, Result};
use netshoot_model::engine::Case;
use netshoot_model::object::{Object, at};
use netshoot_model::observe::{CONNECT_MS, HTTP_MS, PADDING, attempts, requests};
use netshoot_model::path::Path;
use netshoot_model::probe::{Answered, Outcome, Probe, Question};
use netshoot_model::remedy::Step;
use netshoot_model::report::{CauseReport, RemedyReport, Report, Verdict, Verified};
use netshoot_model::snapshot::ClusterSnapshot;
use netshoot_model::topology::Topology;
use netshoot_model::{text, time};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Requests that must all be answered.
const REQUESTS: u32 = 200;
/// Over at least this long.
const SHORTEST: Duration = Duration::from_millis(1500);
/// And at most this long.
const LONGEST: Duration = Duration::from_secs(30);
/// Within this time of the first healthy diagnosis what the remedy replaced may still be ending: pods that were
/// deleted stay in the rules of some node for a moment. Failures of that time are told, and the series begins anew, once.
const SETTLING: Duration = Duration::from_secs(3);
/// Another cause is believed when it has stood first for this long: a rollout shows many for a moment.
const STEADY: Duration = Duration::from_secs(4);
/// So many commands are applied at most, for causes one after the other.
const MOST_REMEDIES: usize = 4;
/// So many failures are told one by one.
const MOST_FAILURES: usize = 5;

/// The remedy that an earlier report (`-o json`) showed.
pub fn remedy_of(path: &std::path::Path) -> Result<Option<RemedyReport>> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("read report {name}"))?;
    remedy_in(&name.to_string(), &text)
}

/// The remedy in the text of a report.
pub fn remedy_in(name: &str, text: &str) -> Result<Option<RemedyReport>> {
    let report: Report = serde_json::from_str(text)
        .with_context(|| format!("{name} is not a report of netshoot diagnose -o json"))?;
    Ok(report.remedy)
}

/// Carries the remedy out, step by step, and tries the conversation until it holds.
pub fn run(
    found: &Report,
    before: &ClusterSnapshot,
    options: &Options,
    access: &mut dyn Access,
    io: &mut Io<'_>,
) -> Result<Verified> {
    let mut verified = Verified::default();
    let Some(remedy) = &found.remedy else {
        verified.says = io
            .lang
            .pick("there is no remedy to apply", "没有可应用的修复")
            .into();
        return Ok(verified);
    };
    apply(remedy, access, &mut verified)?;
    if verified.applied.is_empty() {
        verified.says = io
            .lang
            .pick(
                "the remedy is a question to a person; nothing was applied",
                "修复需要人工判断，未做任何更改",
            )
            .into();
        return Ok(verified);
    }
    let start = Instant::now();
    let mut cause = found.cause.clone();
    let (snapshot, case) = loop {
        match wait_healthy(options, cause.as_ref(), before, access, io)? {
            Shown::Healthy(snapshot, case) => break (snapshot, case),
            // Two things were broken: what stands first now is remedied, too.
            Shown::Another(next) if verified.applied.len() < MOST_REMEDIES => {
                if let Some(remedy) = &next.remedy {
                    apply(remedy, access, &mut verified)?;
                }
                cause = next.cause.clone();
            }
            Shown::Another(next) => {
                verified.says = still(start.elapsed(), next.cause.as_ref(), io);
                return Ok(verified);
            }
            Shown::Still(last) => {
                verified.says = still(start.elapsed(), last.as_ref(), io);
                return Ok(verified);
            }
        }
    };
    verified.healthy_after_ms = start.elapsed().as_millis() as u64;
    let length = former_interval(found, before)
        .map_or(SHORTEST, |i| i * 2)
        .clamp(SHORTEST, LONGEST);
    let mut held = hold(&snapshot, &case, length, access, io)?;
    if held.last_failure.is_some_and(|at| at < SETTLING) {
        verified.settling = std::mem::take(&mut held.failures);
        verified.healthy_after_ms = start.elapsed().as_millis() as u64;
        held = hold(&snapshot, &case, length, access, io)?;
    }
    verified.requests = held.requests;
    verified.failed = held.failed;
    verified.failures = held.failures;
    verified.held_ms = held.took.as_millis() as u64;
    verified.worked = verified.requests > 0 && verified.failed == 0;
    let (all, failed) = (verified.requests, verified.failed);
    let (seconds, answered) = (verified.held_ms as f64 / 1000.0, all - failed);
    verified.says = text!(
        "{all} requests over {seconds:.1} s after the remedy: {answered} answered, {failed} failed",
        "修复后 {seconds:.1} 秒内 {all} 次请求：成功 {answered} 次，失败 {failed} 次"
    )
    .in_lang(io.lang)
    .into();
    Ok(verified)
}

/// Carries out the steps of one remedy.
fn apply(remedy: &RemedyReport, access: &mut dyn Access, verified: &mut Verified) -> Result<()> {
    for step in &remedy.value.steps {
        match step {
            Step::Ask { question } => verified.asked.push(question.as_str().into()),
            _ => {
                access.apply(step)?;
                verified.applied.extend(step.command());
            }
        }
    }
    Ok(())
}

fn still(after: Duration, cause: Option<&CauseReport>, io: &Io<'_>) -> String {
    let s = after.as_secs();
    let said = text!(
        "{s} s after the remedy the conversation still fails",
        "修复 {s} 秒后该访问仍然失败"
    );
    let said = said.in_lang(io.lang);
    match cause {
        Some(c) => format!(
            "{said}{}{} ({})",
            io.lang.pick(": ", "："),
            c.title,
            c.subject
        ),
        None => said.into(),
    }
}

/// What showed after a remedy.
enum Shown {
    /// The conversation works.
    Healthy(Arc<ClusterSnapshot>, Case),
    /// It fails from another cause, steadily, and there is a remedy.
    Another(Box<Report>),
    /// It fails; the last cause that was found, if any.
    Still(Option<CauseReport>),
}

/// Diagnoses again and again, on fresh facts, until the conversation works, or until another cause than `former`
/// has stood first for a while.
fn wait_healthy(
    options: &Options,
    former: Option<&CauseReport>,
    before: &ClusterSnapshot,
    access: &mut dyn Access,
    io: &mut Io<'_>,
) -> Result<Shown> {
    let end = Instant::now() + options.patience;
    let same = |a: &CauseReport, b: &CauseReport| a.id == b.id && a.subject == b.subject;
    let mut last: Option<(CauseReport, Instant)> = None;
    while Instant::now() < end {
        io.progress(
            io.lang
                .pick("waiting for the remedy to show ...", "等待修复生效……"),
        );
        let snapshot = access.snapshot()?;
        let topology = Topology::new(&snapshot);
        let case = case(&topology, options, io.lang);
        if rolled_out(&topology, &Topology::new(before)) {
            let (again, _) = think(&case, &topology, access, io)?;
            if again.verdict == Verdict::Healthy {
                return Ok(Shown::Healthy(snapshot, case));
            }
            match (&again.cause, &last) {
                (Some(now), Some((was, since))) if same(now, was) => {
                    let other = former.is_some_and(|b| !same(now, b));
                    let steady = since.elapsed() >= STEADY;
                    if other && steady && again.remedy.is_some() && options.remedy_of.is_none() {
                        return Ok(Shown::Another(Box::new(again)));
                    }
                }
                (now, _) => last = now.clone().map(|c| (c, Instant::now())),
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(Shown::Still(last.map(|(cause, _)| cause)))
}

/// No Deployment is in the middle of a rollout, but for those that were stuck in the same one `before` the remedy.
fn rolled_out(topology: &Topology<'_>, before: &Topology<'_>) -> bool {
    let generation = |d: &Object| d.int("metadata.generation").unwrap_or(0);
    let stuck =
        |was: &Object, now: &Object| generation(was) == generation(now) && !is_rolled_out(was);
    topology.all("Deployment").iter().all(|now| {
        let was = before.find("Deployment", now.namespace(), now.name());
        is_rolled_out(now) || was.is_some_and(|was| stuck(was, now))
    })
}

/// As `kubectl rollout status` counts, without waiting for readiness: that is the diagnosis' to judge.
fn is_rolled_out(deployment: &Object) -> bool {
    let wanted = deployment.int("spec.replicas").unwrap_or(1);
    let of = |f: &str| deployment.int(&format!("status.{f}")).unwrap_or(0);
    let generation = deployment.int("metadata.generation").unwrap_or(0);
    let (updated, all) = (of("updatedReplicas"), of("replicas"));
    of("observedGeneration") >= generation && updated >= wanted && all <= wanted.max(updated)
}

/// How long a container used to live before it was killed, where kills are what was found.
fn former_interval(found: &Report, before: &ClusterSnapshot) -> Option<Duration> {
    let cause = found.cause.as_ref()?;
    if !cause.id.starts_with("memory-") {
        return None;
    }
    let mut lives: Vec<i64> = before
        .objects
        .iter()
        .filter(|o| o.kind() == "Pod")
        .flat_map(|p| p.list("status.containerStatuses"))
        .filter(|s| at(s, "lastState.terminated.reason").as_str() == Some("OOMKilled"))
        .filter_map(|s| {
            let of = |k: &str| time::parse(at(s, &format!("lastState.terminated.{k}")).as_str()?);
            Some(of("finishedAt")? - of("startedAt")?)
        })
        .filter(|ms| *ms > 0)
        .collect();
    lives.sort_unstable();
    lives
        .get(lives.len() / 2)
        .map(|ms| Duration::from_millis(*ms as u64))
}

/// What a series of requests showed.
#[derive(Debug, Default)]
struct Held {
    requests: usize,
    failed: usize,
    /// The first failures, in words.
    failures: Vec<String>,
    /// When, from the beginning, the last batch with a failure was answered.
    last_failure: Option<Duration>,
    took: Duration,
}

/// The same requests, evenly over the time.
fn hold(
    snapshot: &ClusterSnapshot,
    case: &Case,
    length: Duration,
    access: &mut dyn Access,
    io: &mut Io<'_>,
) -> Result<Held> {
    const BATCHES: u32 = 20;
    let mut held = Held::default();
    let topology = Topology::new(snapshot);
    let Some(conversation) = case.conversations.first() else {
        return Ok(held);
    };
    let path = Path::new(&topology, conversation.clone());
    let Some(to) = path.front.first().copied() else {
        return Ok(held);
    };
    let tries = REQUESTS / BATCHES;
    let question = match &conversation.http {
        Some(p) => {
            let host = if path.name.is_empty() {
                to.ip().to_string()
            } else {
                path.name.clone()
            };
            Question::Http {
                to,
                host,
                path: p.clone(),
                tls: conversation.tls,
                padding: PADDING,
                tries,
                timeout_ms: HTTP_MS,
            }
        }
        None => Question::TcpConnect {
            to,
            tries,
            timeout_ms: CONNECT_MS,
        },
    };
    let probe = Probe {
        from: path.vantage(),
        question,
    };
    let (start, begun_ms) = (Instant::now(), crate::clock::now_ms());
    for i in 0..BATCHES {
        io.progress(&format!(
            "{} {}/{REQUESTS}",
            io.lang.pick("trying the conversation again", "重复验证"),
            (i + 1) * tries
        ));
        for a in access.ask(std::slice::from_ref(&probe))? {
            let http = requests(&a).iter().map(|r| r.outcome);
            let all: Vec<Outcome> = http.chain(attempts(&a).iter().map(|t| t.outcome)).collect();
            let failed = all.iter().filter(|o| **o != Outcome::Answered).count();
            held.requests += all.len();
            held.failed += failed;
            if failed > 0 {
                held.last_failure = Some(start.elapsed());
            }
            let after = a.at_ms.saturating_sub(begun_ms) as f64 / 1000.0;
            let told = failures(&a).map(|said| format!("+{after:.1} s: {said}"));
            let room = MOST_FAILURES.saturating_sub(held.failures.len());
            held.failures.extend(told.take(room));
        }
        let due = length * (i + 1) / BATCHES;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    held.took = start.elapsed();
    io.progress_done();
    Ok(held)
}

/// Failed tries in words: how each ended, in which phase, after what time.
fn failures(answered: &Answered) -> impl Iterator<Item = String> {
    let http = requests(answered)
        .iter()
        .map(|r| (r.outcome, r.phase.as_str(), r.total_us, r.detail.as_str()));
    let tcp = attempts(answered)
        .iter()
        .map(|t| (t.outcome, "connect", t.took_us, t.detail.as_str()));
    http.chain(tcp)
        .filter(|(outcome, ..)| *outcome != Outcome::Answered)
        .map(|(outcome, phase, us, detail)| {
            let outcome = format!("{outcome:?}").to_lowercase();
            format!("{outcome} ({phase}, {} ms) {detail}", us / 1000)
                .trim_end()
                .to_string()
        })
}

/// Prints what was done and seen.
pub fn print(v: &Verified, io: &mut Io<'_>) -> Result<()> {
    writeln!(io.out)?;
    for c in &v.applied {
        writeln!(
            io.out,
            "{} {}",
            io.lang.pick("applied:", "已应用："),
            report::safe(c)
        )?;
    }
    for q in &v.asked {
        writeln!(
            io.out,
            "{} {}",
            io.lang.pick("for a person:", "需人工决定："),
            report::safe(q)
        )?;
    }
    let word = if v.worked {
        io.lang.pick("verified:", "已验证：")
    } else {
        io.lang.pick("not verified:", "未通过验证：")
    };
    writeln!(io.out, "{word} {}", report::safe(&v.says))?;
    for failure in &v.failures {
        writeln!(io.out, "  {}", report::safe(failure))?;
    }
    if !v.settling.is_empty() {
        let words = io.lang.pick(
            "before that, while what it replaced was still ending:",
            "此前，被替换的部分仍在退出时：",
        );
        writeln!(io.out, "{words}")?;
    }
    for failure in &v.settling {
        writeln!(io.out, "  {}", report::safe(failure))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A cluster with two Deployments: their generations, and how many pods of the newest template each has of two.
    fn cluster(all: [(&str, u64, u64); 2]) -> ClusterSnapshot {
        let objects = all.map(|(name, generation, updated)| {
            Object(json!({
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": "shop", "generation": generation},
                "spec": {"replicas": 2},
                "status": {"observedGeneration": generation, "replicas": 2, "updatedReplicas": updated},
            }))
        });
        let mut snapshot = ClusterSnapshot::new("test", "", 0);
        snapshot.objects = objects.into();
        snapshot
    }

    #[test]
    fn only_a_rollout_that_the_remedy_began_is_waited_for() {
        let before = cluster([("cart", 3, 2), ("search", 7, 1)]);
        let after = |all| rolled_out(&Topology::new(&cluster(all)), &Topology::new(&before));
        // search was stuck, and still is: nobody's remedy changes that.
        assert!(after([("cart", 4, 2), ("search", 7, 1)]));
        assert!(!after([("cart", 4, 1), ("search", 7, 1)]));
        // It is rolled out anew: the remedy was its.
        assert!(!after([("cart", 3, 2), ("search", 8, 1)]));
        assert!(after([("cart", 3, 2), ("search", 8, 2)]));
    }
}
