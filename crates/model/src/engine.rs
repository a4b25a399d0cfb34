//! The loop: `think` looks at what is known and either asks for more or is done. Pure: the same
//! facts and answers give the same next step, whatever order the answers came in.

use crate::cause::{self, Cause};
use crate::check::{Check, Findings, View, describe};
use crate::checks;
use crate::compose;
use crate::evidence::EvidenceSet;
use crate::finding::{Finding, State};
use crate::object::ObjectRef;
use crate::path::{Conversation, Path};
use crate::probe::{Harm, Probe};
use crate::report::{Report, Understood};
use crate::snapshot::Gap;
use crate::text;
use crate::text::{Lang, Text};
use crate::topology::{Topology, is_running};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be found out, and how far one may go for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What was understood of the question.
    pub understood: Understood,
    /// Conversations to walk, most likely first.
    pub conversations: Vec<Conversation>,
    /// The most harm a probe may do.
    pub most_harm: Harm,
    /// The most probes in all.
    pub most_probes: usize,
    /// The language of the report; not part of the case as it is kept.
    #[serde(skip)]
    pub lang: Lang,
}

/// The next step.
#[derive(Debug)]
pub enum Next {
    /// Questions, sorted, to be asked together: reading and a few packets before series of them.
    Ask(Vec<Probe>),
    /// The answer.
    Done(Box<Report>),
}

/// What one walk along one path gave.
#[derive(Debug)]
pub struct Walked<'a> {
    /// The path.
    pub path: Path<'a>,
    /// Something the client does fails; none when nothing was or could be asked.
    pub hurts: Option<bool>,
    /// Failed and tried.
    pub share: (usize, usize),
    /// Pods that the client stands for: those of its workload on its node.
    pub pods: usize,
    /// At least one try came through to the listener: everything before it can be passed.
    pub got_through: bool,
    /// What the client sees, in sentences.
    pub symptom: Vec<Text>,
    /// Observations of the symptom.
    pub seen: Vec<crate::finding::Seen>,
    /// Causes in order.
    pub causes: Vec<Cause>,
    /// Suspicions ruled out.
    pub fine: Vec<Finding>,
    /// What could not be read.
    pub gaps: BTreeSet<Gap>,
    /// Questions still open.
    pub wants: BTreeSet<Probe>,
}

/// Thinks about all conversations of a case.
pub fn think(case: &Case, topology: &Topology<'_>, evidence: &EvidenceSet) -> Next {
    let mut walks: Vec<Walked<'_>> = case
        .conversations
        .iter()
        .map(|c| walk(case, topology, c, evidence))
        .collect();
    let asked = evidence.iter().count();
    let wants: BTreeSet<Probe> = walks
        .iter()
        .filter(|w| !settled(w))
        .flat_map(|w| w.wants.iter().cloned())
        .collect();
    if let Some(least) = wants.iter().map(|p| p.question.harm()).min() {
        let room = case.most_probes.saturating_sub(asked);
        let batch: Vec<Probe> = wants
            .into_iter()
            // Reading disturbs nobody, but may take a while: it goes along with the few packets.
            .filter(|p| p.question.harm() <= least.max(Harm::FewPackets))
            .take(room)
            .collect();
        if !batch.is_empty() {
            return Next::Ask(batch);
        }
    }
    for w in &mut walks {
        // Open questions and no room for them: said, not passed over.
        let open = if settled(w) {
            BTreeSet::new()
        } else {
            w.wants.clone()
        };
        w.gaps.extend(unasked(
            &open,
            text!("more than {} probes", "探测次数超过 {}", case.most_probes),
            text!(
                "run it again with a larger --max-probes",
                "用更大的 --max-probes 再运行一次"
            ),
        ));
    }
    rank(&mut walks);
    Next::Done(Box::new(compose::report(case, topology, evidence, &walks)))
}

/// A proven cause explains the symptom, and only loud questions are left.
fn settled(w: &Walked<'_>) -> bool {
    let proven = w.hurts == Some(true)
        && w.causes.first().is_some_and(|c| {
            c.root.state == State::Broken && c.root.evidence.iter().any(|e| e.probed)
        });
    proven && w.wants.iter().all(|p| p.question.harm() >= Harm::Series)
}

/// Running pods of the client's workload on its node: what the client sees, they see.
fn stands_for(topology: &Topology<'_>, path: &Path<'_>) -> usize {
    let Some(client) = path.client else { return 1 };
    let owner = topology.owner_of(client);
    let node = client.str("spec.nodeName");
    let pods = topology
        .get(&owner)
        .map(|o| topology.pods_of(o))
        .unwrap_or_default();
    let same = |p: &&&crate::object::Object| p.str("spec.nodeName") == node && is_running(p);
    pods.iter().filter(same).count().max(1)
}

/// Who is hurt comes first: those whose cause hurts the most pods, then the worst hurt; then who may be; the order of
/// the case decides ties.
fn rank(walks: &mut [Walked<'_>]) {
    let root = |w: &Walked<'_>| {
        let c = w.causes.first()?;
        (c.root.state == State::Broken).then(|| (c.root.check, c.root.subject.clone()))
    };
    let mut hurt: BTreeMap<(&str, ObjectRef), BTreeMap<Option<ObjectRef>, usize>> = BTreeMap::new();
    for w in walks.iter().filter(|w| w.hurts == Some(true)) {
        if let Some(cause) = root(w) {
            let by_client = hurt.entry(cause).or_default();
            by_client.insert(w.path.conversation.from.clone(), w.pods);
        }
    }
    let key = |w: &Walked<'_>| {
        let broken = w
            .causes
            .first()
            .is_some_and(|c| c.root.state == State::Broken);
        let share = (1000 * w.share.0).checked_div(w.share.1).unwrap_or(0);
        let pods: usize = root(w)
            .and_then(|r| hurt.get(&r))
            .map_or(w.pods, |by_client| by_client.values().sum());
        match (w.hurts, broken) {
            (Some(true), true) => (0, Reverse(pods), 1000 - share),
            (Some(true), false) => (1, Reverse(pods), 1000 - share),
            (None, true) => (2, Reverse(0), 0),
            (None, false) => (3, Reverse(0), 0),
            (Some(false), _) => (4, Reverse(0), 0),
        }
    };
    walks.sort_by_cached_key(key);
}

/// Runs every check on one conversation.
pub fn walk<'a>(
    case: &Case,
    topology: &'a Topology<'a>,
    conversation: &Conversation,
    evidence: &'a EvidenceSet,
) -> Walked<'a> {
    let mut path = Path::new(topology, conversation.clone());
    path.learn_domain(topology, evidence);
    path.learn_cache(topology, evidence);
    let (hurts, share, got_through, symptom, seen, findings, mut gaps, mut wants) = {
        let view = View::new(topology, &path, evidence, true).passive(case.most_harm == Harm::None);
        let findings: Vec<Finding> = checks::ALL.iter().flat_map(|c| run(c, &view)).collect();
        let o = view.observed();
        let (symptom, seen) = compose::symptom(&view, o);
        (
            o.hurts(),
            o.share(),
            o.some_connect(crate::probe::Outcome::Answered),
            symptom,
            seen,
            findings,
            view.take_gaps(),
            view.take_wants(),
        )
    };
    wants.retain(|p| evidence.get(p).is_none());
    let may = wants
        .iter()
        .filter(|p| p.question.harm() <= case.most_harm)
        .cloned()
        .collect();
    let barred = wants.difference(&may).cloned().collect();
    gaps.extend(unasked(
        &barred,
        text!(
            "leave to send packets: the run was told to be passive",
            "发送报文的许可：本次运行被要求只观察不发包"
        ),
        text!("run it again without --passive", "去掉 --passive 再次运行"),
    ));
    let wants: BTreeSet<Probe> = may;
    let (fine, rest): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| f.state == State::Fine);
    Walked {
        hurts,
        share,
        pods: stands_for(topology, &path),
        got_through,
        symptom,
        seen,
        causes: cause::group(checks::ALL, rest),
        fine,
        gaps,
        wants,
        path,
    }
}

/// The gap that questions leave which may not be asked; none where there are none.
fn unasked(probes: &BTreeSet<Probe>, missing: Text, how_to_get: Text) -> Option<Gap> {
    let first = describe(&probes.first()?.question);
    let more = probes.len() - 1;
    let what = match more {
        0 => first,
        n => text!(
            "{first}, and {n} more questions",
            "{first:#}，以及另外 {n} 个问题"
        ),
    };
    Some(Gap {
        what,
        missing,
        how_to_get,
    })
}

/// Runs one check.
pub fn run(check: &'static Check, view: &View<'_>) -> Vec<Finding> {
    let mut out = Findings::of(check.id);
    (check.run)(view, &mut out);
    out.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Destination;
    use crate::report::Verdict;
    use crate::snapshot::ClusterSnapshot;

    fn case(most_harm: Harm, most_probes: usize) -> Case {
        Case {
            understood: Understood::default(),
            conversations: vec![Conversation {
                from: None,
                to: Destination::Host("192.0.2.1".into()),
                port: 80,
                protocol: "TCP".into(),
                tls: false,
                http: None,
                through: None,
            }],
            most_harm,
            most_probes,
            lang: Lang::En,
        }
    }

    #[test]
    fn questions_that_may_not_be_asked_are_named() {
        let snapshot = ClusterSnapshot::new("this host", "you", 0);
        let topology = Topology::new(&snapshot);
        for (case, missing) in [
            (case(Harm::None, 400), "passive"),
            (case(Harm::Series, 0), "more than 0 probes"),
        ] {
            let Next::Done(report) = think(&case, &topology, &EvidenceSet::default()) else {
                panic!("nothing may be asked, so it must be done");
            };
            assert_eq!(report.verdict, Verdict::Unknown);
            let named = report
                .unknown
                .iter()
                .any(|g| g.missing.to_string().contains(missing));
            assert!(named, "{missing}: {:?}", report.unknown);
        }
        let free = case(Harm::Series, 400);
        assert!(matches!(
            think(&free, &topology, &EvidenceSet::default()),
            Next::Ask(_)
        ));
    }
}
