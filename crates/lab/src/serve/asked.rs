//! Questions of a diagnosis, each asked where it says: in a pod's or a node's network, or of the
//! node's accounting. All at the same time.

use super::place::{self, Place};
use crate::ground::Seen;
use crate::standing::Standing;
use netshoot_host::clock::now_ms;
use netshoot_host::probes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Longest time memory is watched, whatever was asked.
const LONGEST_WATCH_MS: u64 = 60_000;

/// The answers, in the order of the questions.
pub(super) fn ask(standing: &Standing, all: &[Value]) -> Vec<Value> {
    let mut by_vantage: BTreeMap<String, Vec<(usize, &Value)>> = BTreeMap::new();
    let mut of_node = Vec::new();
    for (i, probe) in all.iter().enumerate() {
        match probe.get("question") {
            Some(q) if q.get("memory").is_some() || q.get("log").is_some() => {
                of_node.push((i, probe))
            }
            _ => by_vantage
                .entry(probe.get("from").map(Value::to_string).unwrap_or_default())
                .or_default()
                .push((i, probe)),
        }
    }
    let mut answers: Vec<(usize, Value)> = std::thread::scope(|scope| {
        let from_network = by_vantage
            .values()
            .map(|group| scope.spawn(|| at_vantage(standing, group)));
        let accounted = of_node
            .iter()
            .map(|(i, probe)| scope.spawn(move || vec![(*i, by_node(standing, probe))]));
        // Collected first: a lazy chain would start each thread only when the one before is done.
        let threads: Vec<_> = from_network.chain(accounted).collect();
        threads
            .into_iter()
            .filter_map(|t| t.join().ok())
            .flatten()
            .collect()
    });
    answers.sort_by_key(|(i, _)| *i);
    answers.into_iter().map(|(_, a)| a).collect()
}

fn answered(probe: &Value, at_ms: u64, began: Instant, answer: Value) -> Value {
    json!({ "probe": probe, "at_ms": at_ms, "took_ms": began.elapsed().as_millis() as u64, "answer": answer })
}

fn could_not_ask(why: &str) -> Value {
    json!({ "could_not_ask": { "why": why, "missing": "", "how_to_get": "" } })
}

fn at_vantage(standing: &Standing, group: &[(usize, &Value)]) -> Vec<(usize, Value)> {
    let (at_ms, began) = (now_ms(), Instant::now());
    let refuse = |why: &str| {
        group
            .iter()
            .map(|(i, p)| (*i, answered(p, at_ms, began, could_not_ask(why))))
            .collect()
    };
    let vantage = group.first().and_then(|(_, p)| p.get("from"));
    let place = match vantage_place(standing, vantage) {
        Ok(place) => place,
        Err(why) => return refuse(&why),
    };
    let questions: Vec<&Value> = group.iter().map(|(_, p)| *p).collect();
    let text = json!(questions).to_string();
    let at = probes::Place {
        resolv_conf: Some(place.resolv_conf),
    };
    let answers = match place.network.enter(|| probes::ask_json(&text, &at)) {
        Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
        Err(e) => return refuse(&e.to_string()),
    };
    match answers {
        Value::Array(answers) if answers.len() == group.len() => {
            group.iter().map(|(i, _)| *i).zip(answers).collect()
        }
        other => refuse(
            other
                .get("error")
                .and_then(Value::as_str)
                .unwrap_or("the probes gave no answer"),
        ),
    }
}

fn vantage_place(standing: &Standing, vantage: Option<&Value>) -> Result<Place, String> {
    let text = |v: &Value, key: &str| {
        v.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string()
    };
    match vantage {
        Some(v) if v.get("pod").is_some() => {
            let pod = v.get("pod").unwrap_or(v);
            place::pod(standing, &text(pod, "namespace"), &text(pod, "name"))
        }
        Some(v) if v.get("node").is_some() => {
            place::node(standing, &text(v.get("node").unwrap_or(v), "name"))
        }
        Some(v) if v == "here" => Err(
            "a world answers from its pods and nodes; \"here\" is the caller's own network".into(),
        ),
        other => Err(format!(
            "{} is no vantage point",
            other.unwrap_or(&Value::Null)
        )),
    }
}

/// What the node's accounting or log files say.
fn by_node(standing: &Standing, probe: &Value) -> Value {
    let (at_ms, began) = (now_ms(), Instant::now());
    let question = |kind: &str| probe.pointer(&format!("/question/{kind}"));
    let answer = match (question("memory"), question("log")) {
        (Some(q), _) => memory(standing, q).map(|m| json!({ "memory": m })),
        (_, Some(q)) => log(standing, q).map(|l| json!({ "log": l })),
        _ => Err("no question".into()),
    };
    answered(
        probe,
        at_ms,
        began,
        answer.unwrap_or_else(|why| could_not_ask(&why)),
    )
}

fn pod_of(standing: &Standing, question: &Value) -> Result<String, String> {
    let text = |key: &str| {
        question
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    place::uid(standing, text("namespace"), text("pod"))
}

fn memory(standing: &Standing, question: &Value) -> Result<Vec<Value>, String> {
    let uid = pod_of(standing, question)?;
    let watch_ms = question
        .get("watch_ms")
        .and_then(Value::as_u64)
        .unwrap_or(0)
        .min(LONGEST_WATCH_MS);
    let mut current: BTreeMap<String, Seen> = BTreeMap::new();
    for seen in standing.ground.containers(&uid) {
        // The latest incarnation of each.
        current.insert(seen.name.clone(), seen);
    }
    let began = Instant::now();
    let mut samples: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    let step = Duration::from_millis((watch_ms / 50).clamp(20, 200));
    loop {
        let at = began.elapsed().as_millis() as u64;
        for seen in current
            .values()
            .filter(|s| standing.ground.ended(s.pid).is_none())
        {
            if let Some(now) = standing.ground.memory(seen.pid) {
                samples
                    .entry(seen.name.clone())
                    .or_default()
                    .push((at, now.usage));
            }
        }
        if at >= watch_ms {
            break;
        }
        std::thread::sleep(step.min(Duration::from_millis(watch_ms - at)));
    }
    let read = |seen: &Seen| {
        let accounting = standing.ground.memory(seen.pid).unwrap_or_default();
        json!({
            "container": seen.name,
            "accounted_by": accounting.by,
            "limit": seen.limit,
            "max_usage": accounting.max_usage,
            "limit_hits": accounting.limit_hits,
            "age_ms": seen.age_ms,
            "samples": samples.get(&seen.name).cloned().unwrap_or_default(),
        })
    };
    Ok(current.values().map(read).collect())
}

fn log(standing: &Standing, question: &Value) -> Result<Vec<String>, String> {
    let uid = pod_of(standing, question)?;
    let wanted = question
        .get("container")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let previous = question
        .get("previous")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let all = standing.ground.containers(&uid);
    let first = all.first().map(|s| s.name.clone()).unwrap_or_default();
    let name = if wanted.is_empty() {
        first.as_str()
    } else {
        wanted
    };
    let mut incarnations = all.iter().rev().filter(|s| s.name == name);
    let chosen = if previous {
        incarnations.nth(1)
    } else {
        incarnations.next()
    };
    let which = if previous {
        "an incarnation before this one"
    } else {
        "started"
    };
    let chosen = chosen.ok_or_else(|| format!("container {name:?} of this pod has not {which}"))?;
    Ok(standing.ground.log(chosen.pid))
}
