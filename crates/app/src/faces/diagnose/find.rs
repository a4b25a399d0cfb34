//! The loop of a diagnosis: think, ask, think again; and read again what may have moved meanwhile.

use crate::access::{Access, Batch};
use crate::faces::steps::Steps;
use crate::io::{Io, Lang};
use anyhow::{Context, Result};
use netshoot_model::check::{describe, place};
use netshoot_model::engine::{self, Case, Next};
use netshoot_model::evidence::EvidenceSet;
use netshoot_model::report::Report;
use netshoot_model::snapshot::ClusterSnapshot;
use netshoot_model::standing::{self, Standing};
use netshoot_model::topology::Topology;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// More rounds than this mean that two checks ask each other in a circle.
const MOST_ROUNDS: usize = 12;
/// Getting to where questions are put took longer than this: meanwhile pods came and went, and what was read of the
/// cluster before may fit no answer.
const SLOW: Duration = Duration::from_secs(2);
/// So often it is read at most, the reading that a cause is held against once more included.
const MOST_READINGS: usize = 3;

/// What a diagnosis goes by.
pub struct Facts {
    /// The question.
    pub case: Case,
    /// The objects.
    pub snapshot: Arc<ClusterSnapshot>,
}

/// How the case follows from objects that were read again.
pub type CaseOf<'x> = &'x dyn Fn(&Topology<'_>, Lang) -> Case;

/// What a recording keeps.
pub enum Kept<'x> {
    /// Objects that were read again: what was seen before belongs to others.
    Objects(&'x Case, &'x ClusterSnapshot),
    /// What was asked and answered.
    Answers(Batch),
}

/// Thinks and asks until there is a report. `again`: the objects can be read once more, and are where so much time passed
/// that they may have moved; a cause that hangs on them is told only when they have not.
pub fn find(
    facts: &mut Facts,
    again: Option<CaseOf<'_>>,
    access: &mut dyn Access,
    mut steps: Option<&mut Steps>,
    io: &mut Io<'_>,
    keep: &mut dyn FnMut(Kept<'_>),
) -> Result<Report> {
    let mut readings = 1;
    loop {
        let topology = Topology::new(&facts.snapshot);
        let again = again.filter(|_| readings < MOST_READINGS);
        let slow = again.map(|_| SLOW);
        let mut tell = |batch| keep(Kept::Answers(batch));
        let steps = steps.as_deref_mut();
        let found = think_aloud(&facts.case, &topology, access, slow, steps, io, &mut tell)?;
        let (report, case_of) = match (found, again) {
            (Some(report), None) => return Ok(report),
            (Some(report), Some(_)) if !standing::hangs_on(&report) => return Ok(report),
            (report, Some(case_of)) => (report, case_of),
            (None, None) => anyhow::bail!("no report"),
        };
        io.progress(io.lang.pick("reading objects again ...", "重新读取对象……"));
        readings += 1;
        let Ok(snapshot) = access.snapshot() else {
            // Where they cannot be read any more, what was read before must do.
            readings = MOST_READINGS;
            match report {
                Some(report) => return Ok(report),
                None => continue,
            }
        };
        let read = Topology::new(&snapshot);
        let case = case_of(&read, io.lang);
        if let Some(report) = report
            && Standing::of(&facts.case, &topology) == Standing::of(&case, &read)
        {
            return Ok(report);
        }
        keep(Kept::Objects(&case, &snapshot));
        *facts = Facts { case, snapshot };
    }
}

/// Thinks and asks on these objects.
pub fn think(
    case: &Case,
    topology: &Topology<'_>,
    access: &mut dyn Access,
    io: &mut Io<'_>,
) -> Result<(Report, Vec<Batch>)> {
    let mut batches = Vec::new();
    let mut tell = |b| batches.push(b);
    let report = think_aloud(case, topology, access, None, None, io, &mut tell)?;
    let report = report.context("no report")?;
    Ok((report, batches))
}

/// The same; each batch is told as soon as it is there, and the steps are told while they are gone. Nothing comes of it,
/// and nothing more is asked, where making ready for questions took longer than `slow`.
fn think_aloud(
    case: &Case,
    topology: &Topology<'_>,
    access: &mut dyn Access,
    slow: Option<Duration>,
    mut steps: Option<&mut Steps>,
    io: &mut Io<'_>,
    tell: &mut dyn FnMut(Batch),
) -> Result<Option<Report>> {
    let mut evidence = EvidenceSet::default();
    for round in 0..MOST_ROUNDS {
        let probes = match engine::think(case, topology, &evidence) {
            Next::Done(report) => {
                io.progress_done();
                return Ok(Some(*report));
            }
            Next::Ask(probes) => probes,
        };
        let first = probes
            .first()
            .map(|p| format!("{} from {}", describe(&p.question), place(&p.from)))
            .unwrap_or_default();
        io.progress(&format!(
            "round {}: {} questions: {first} ...",
            round + 1,
            probes.len()
        ));
        if let Some(steps) = steps.as_deref_mut() {
            steps.asks(&probes, io);
        }
        let began = Instant::now();
        access.prepare(&probes, io)?;
        if slow.is_some_and(|slow| began.elapsed() > slow) {
            return Ok(None);
        }
        let answers = access.ask(&probes).context("ask the network")?;
        evidence.add(answers.iter().cloned());
        tell(Batch { answers });
    }
    io.progress_done();
    let case = Case {
        most_probes: 0,
        ..case.clone()
    };
    match engine::think(&case, topology, &evidence) {
        Next::Done(report) => Ok(Some(*report)),
        Next::Ask(_) => anyhow::bail!("no end was found after {MOST_ROUNDS} rounds of questions"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::access::{Recording, Replay};
    use netshoot_model::path::{Conversation, Destination};
    use netshoot_model::probe::{Answer, Answered, Probe, Question};
    use netshoot_model::report::Verdict;
    use serde_json::{Value, json};

    /// A recording whose places take long to get to.
    struct FarAway {
        replay: Replay,
        asked: usize,
    }

    impl Access for FarAway {
        fn snapshot(&mut self) -> Result<Arc<ClusterSnapshot>> {
            self.replay.snapshot()
        }

        fn prepare(&mut self, _: &[Probe], _: &mut Io<'_>) -> Result<()> {
            let began = Instant::now();
            while began.elapsed() == Duration::ZERO {}
            Ok(())
        }

        fn ask(&mut self, probes: &[Probe]) -> Result<Vec<Answered>> {
            self.asked += probes.len();
            self.replay.ask(probes)
        }
    }

    #[test]
    fn nothing_is_asked_about_objects_that_were_read_long_before() {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let recording = Recording::read(&here.join("tests/recordings/broken.json")).unwrap();
        let topology = Topology::new(&recording.snapshot);
        let asked = |slow| {
            let mut access = FarAway {
                replay: Replay::new(&recording),
                asked: 0,
            };
            let (report, _, _) = crate::io::heard(|io| {
                let case = &recording.case;
                think_aloud(case, &topology, &mut access, slow, None, io, &mut |_| {}).unwrap()
            });
            (report.map(|r| r.verdict), access.asked)
        };
        assert_eq!(asked(Some(Duration::ZERO)), (None, 0));
        for slow in [None, Some(Duration::from_secs(3600))] {
            let (verdict, asked) = asked(slow);
            assert!(
                verdict == Some(Verdict::Broken) && asked > 0,
                "{verdict:?} {asked}"
            );
        }
    }

    /// A cluster in which node a has no Service rules, whose objects are read in turn; asked, it answers the same.
    struct Moves {
        readings: Vec<Option<ClusterSnapshot>>,
        read: usize,
    }

    impl Access for Moves {
        fn snapshot(&mut self) -> Result<Arc<ClusterSnapshot>> {
            self.read += 1;
            let next = match self.readings.is_empty() {
                true => None,
                false => self.readings.remove(0),
            };
            next.map(Arc::new).context("the API server is gone")
        }

        fn ask(&mut self, probes: &[Probe]) -> Result<Vec<Answered>> {
            let answer = |p: &Probe| -> Answer {
                let value = match &p.question {
                    Question::TcpConnect { to, tries, .. } => {
                        let how = match to.ip().to_string().starts_with("10.96.") {
                            true => "silent",
                            false => "answered",
                        };
                        let one = json!({"outcome": how, "took_us": 70});
                        json!({"tcp_connect": vec![one; *tries as usize]})
                    }
                    Question::Rules => {
                        json!({"rules": [{"family": "ip", "name": "nat", "chains": [{"name": "PREROUTING",
                        "hook": {"kind": "nat", "point": "prerouting", "priority": -100, "policy_drop": false}}], "sets": []}]})
                    }
                    _ => {
                        json!({"could_not_ask": {"why": "not here", "missing": {"en": "", "zh": ""}, "how_to_get": {"en": "", "zh": ""}}})
                    }
                };
                serde_json::from_value(value).unwrap()
            };
            let all = probes.iter().map(|p| Answered {
                probe: p.clone(),
                at_ms: 0,
                took_ms: 0,
                answer: answer(p),
            });
            Ok(all.collect())
        }
    }

    /// The endpoint of Service cart has this address.
    fn reading(address: &str) -> ClusterSnapshot {
        let pod = |name: &str, address: &str| {
            json!({"kind": "Pod", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"nodeName": "a"}, "status": {"phase": "Running", "podIP": address}})
        };
        let objects: Value = json!([
            pod("web-1", "10.244.1.2"),
            pod("cart-1", address),
            {"kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
             "spec": {"selector": {"app": "cart"}, "clusterIP": "10.96.0.9", "ports": [{"port": 80, "targetPort": 8080}]}},
            {"kind": "EndpointSlice", "metadata": {"name": "cart-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
             "ports": [{"port": 8080}],
             "endpoints": [{"addresses": [address], "nodeName": "a", "targetRef": {"kind": "Pod", "name": "cart-1", "namespace": "shop"}}]},
        ]);
        let mut snapshot = ClusterSnapshot::new("test", "x", 0);
        snapshot.objects = serde_json::from_value(objects).unwrap();
        snapshot
    }

    #[test]
    fn a_cause_that_hangs_on_objects_is_told_when_they_have_not_moved() {
        let object =
            |kind: &str, name: &str| netshoot_model::object::ObjectRef::new(kind, "shop", name);
        let conversation = Conversation {
            from: Some(object("Pod", "web-1")),
            to: Destination::Service(object("Service", "cart")),
            port: 80,
            protocol: "TCP".into(),
            tls: false,
            http: None,
            through: None,
        };
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let recording = Recording::read(&here.join("tests/recordings/broken.json")).unwrap();
        let case = Case {
            conversations: vec![conversation],
            ..recording.case
        };
        let found = |later: &[Option<&str>]| {
            let mut access = Moves {
                readings: later.iter().map(|a| a.map(reading)).collect(),
                read: 0,
            };
            let mut facts = Facts {
                case: case.clone(),
                snapshot: Arc::new(reading("10.244.1.3")),
            };
            let (mut anew, case_of) = (0, |_: &Topology<'_>, _| case.clone());
            let mut keep = |kept: Kept<'_>| anew += i32::from(matches!(kept, Kept::Objects(..)));
            let (report, _, _) = crate::io::heard(|io| {
                find(&mut facts, Some(&case_of), &mut access, None, io, &mut keep).unwrap()
            });
            let told = serde_json::to_string(&report).unwrap();
            let ready = told.contains("ready: 10.244.1.4:8080");
            (report.cause.unwrap().id, ready, access.read, anew)
        };
        let id = || "service-rules-stale".to_string();
        // Nothing moved: read once more, and told.
        assert_eq!(found(&[Some("10.244.1.3")]), (id(), false, 1, 0));
        // The endpoint is another one by now: all is asked again.
        let moved = [Some("10.244.1.4"), Some("10.244.1.4")];
        assert_eq!(found(&moved), (id(), true, 2, 1));
        // It never comes to rest, or cannot be read any more: what was found is told at last.
        let restless = [Some("10.244.1.5"), Some("10.244.1.4"), Some("10.244.1.5")];
        assert_eq!(found(&restless), (id(), true, 2, 2));
        assert_eq!(found(&[None]), (id(), false, 1, 0));
    }
}
