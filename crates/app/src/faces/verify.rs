//! Applies a remedy and shows that it worked: the same conversation again, many times, for long
//! enough.

use super::diagnose::{Options, case, think};
use crate::access::Access;
use crate::io::Io;
use crate::report;
use anyhow::{Context, Result};
use netshoot_model::engine::Case;
use netshoot_model::object::at;
use netshoot_model::observe::{CONNECT_MS, HTTP_MS, PADDING, attempts, requests};
use netshoot_model::path::Path;
use netshoot_model::probe::{Outcome, Probe, Question};
use netshoot_model::remedy::Step;
use netshoot_model::report::{RemedyReport, Report, Verdict, Verified};
use netshoot_model::snapshot::ClusterSnapshot;
use netshoot_model::time;
use netshoot_model::topology::Topology;
use std::time::{Duration, Instant};

/// Requests that must all be answered.
const REQUESTS: u32 = 200;
/// Over at least this long.
const SHORTEST: Duration = Duration::from_millis(1500);
const LONGEST: Duration = Duration::from_secs(30);

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
    for step in &remedy.value.steps {
        match step {
            Step::Ask { question } => verified.asked.push(question.as_str().into()),
            _ => {
                access.apply(step)?;
                verified.applied.extend(step.command());
            }
        }
    }
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
    let Some((snapshot, case)) = wait_healthy(options, access, io)? else {
        verified.says = format!(
            "{} s after the remedy the conversation still fails",
            start.elapsed().as_secs()
        );
        return Ok(verified);
    };
    verified.healthy_after_ms = start.elapsed().as_millis() as u64;
    let length = former_interval(found, before)
        .map_or(SHORTEST, |i| i * 2)
        .clamp(SHORTEST, LONGEST);
    hold(&snapshot, &case, length, access, io, &mut verified)?;
    verified.worked = verified.requests > 0 && verified.failed == 0;
    verified.says = format!(
        "{} requests over {:.1} s after the remedy: {} answered, {} failed",
        verified.requests,
        verified.held_ms as f64 / 1000.0,
        verified.requests - verified.failed,
        verified.failed
    );
    Ok(verified)
}

/// Diagnoses again and again, on fresh facts, until the conversation works.
fn wait_healthy(
    options: &Options,
    access: &mut dyn Access,
    io: &mut Io<'_>,
) -> Result<Option<(ClusterSnapshot, Case)>> {
    let end = Instant::now() + options.patience;
    while Instant::now() < end {
        io.progress(
            io.lang
                .pick("waiting for the remedy to show ...", "等待修复生效……"),
        );
        let snapshot = access.snapshot()?;
        let topology = Topology::new(&snapshot);
        let case = case(&topology, options, io.lang);
        if rolled_out(&topology) {
            let (again, _) = think(&case, &topology, access, io)?;
            if again.verdict == Verdict::Healthy {
                return Ok(Some((snapshot, case)));
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(None)
}

/// No Deployment is in the middle of a rollout.
fn rolled_out(topology: &Topology<'_>) -> bool {
    topology.all("Deployment").iter().all(|d| {
        let wanted = d.int("spec.replicas").unwrap_or(1);
        let of = |f: &str| d.int(&format!("status.{f}")).unwrap_or(0);
        let seen = of("observedGeneration") >= d.int("metadata.generation").unwrap_or(0);
        seen && of("updatedReplicas") >= wanted
            && of("replicas") <= wanted.max(of("updatedReplicas"))
    })
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

/// The same requests, evenly over the time.
fn hold(
    snapshot: &ClusterSnapshot,
    case: &Case,
    length: Duration,
    access: &mut dyn Access,
    io: &mut Io<'_>,
    verified: &mut Verified,
) -> Result<()> {
    const BATCHES: u32 = 20;
    let topology = Topology::new(snapshot);
    let Some(conversation) = case.conversations.first() else {
        return Ok(());
    };
    let path = Path::new(&topology, conversation.clone());
    let Some(to) = path.front.first().copied() else {
        return Ok(());
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
    let start = Instant::now();
    for i in 0..BATCHES {
        io.progress(&format!(
            "{} {}/{REQUESTS}",
            io.lang.pick("trying the conversation again", "重复验证"),
            (i + 1) * tries
        ));
        for a in access.ask(std::slice::from_ref(&probe))? {
            let http = requests(&a).iter().map(|r| r.outcome);
            let all: Vec<Outcome> = http.chain(attempts(&a).iter().map(|t| t.outcome)).collect();
            verified.requests += all.len();
            verified.failed += all.iter().filter(|o| **o != Outcome::Answered).count();
        }
        let due = length * (i + 1) / BATCHES;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    verified.held_ms = start.elapsed().as_millis() as u64;
    io.progress_done();
    Ok(())
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
    Ok(())
}
