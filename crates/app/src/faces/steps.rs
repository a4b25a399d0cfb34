//! The five steps of a diagnosis in a live cluster, told while they are gone: DNS, connectivity, network policies,
//! kube-proxy, report. Each is told when its first question goes out, and again with what came of it. They stand on
//! standard error, so that a report in any format stays whole.

use crate::io::{Io, Lang};
use crate::report::safe;
use netshoot_model::check::{describe, place};
use netshoot_model::probe::{Probe, Question};
use netshoot_model::report::{HopReport, Report};
use netshoot_model::snapshot::ClusterSnapshot;
use std::collections::BTreeSet;

/// What a question or a hop belongs to, in the order in which people go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Dns,
    Connectivity,
    Policy,
    Proxy,
    Report,
}

const ALL: [Step; 5] = [
    Step::Dns,
    Step::Connectivity,
    Step::Policy,
    Step::Proxy,
    Step::Report,
];

impl Step {
    fn title(self, lang: Lang) -> &'static str {
        match self {
            Step::Dns => "DNS",
            Step::Connectivity => lang.pick("connectivity", "连通性"),
            Step::Policy => lang.pick("network policy", "网络策略"),
            Step::Proxy => lang.pick("Services and kube-proxy", "Service 与 kube-proxy"),
            Step::Report => lang.pick("report", "诊断报告"),
        }
    }

    /// The step that a question serves. Policies are asked nowhere: they are read.
    fn of_question(question: &Question) -> Step {
        match question {
            Question::Resolve { .. } | Question::Lookup { .. } | Question::ResolvConf => Step::Dns,
            Question::Rules | Question::Conntrack { .. } => Step::Proxy,
            _ => Step::Connectivity,
        }
    }

    /// The step that looks at a hop, by its word in reports.
    fn of_hop(word: &str) -> Step {
        match word {
            "name" | "name-cache" => Step::Dns,
            "egress-policy" | "ingress-policy" => Step::Policy,
            "service" => Step::Proxy,
            _ => Step::Connectivity,
        }
    }
}

/// What was told so far.
pub struct Steps {
    told: BTreeSet<Step>,
    policies: usize,
}

impl Steps {
    /// Nothing yet. Of the facts it takes how many policies there are.
    pub fn new(facts: &ClusterSnapshot) -> Steps {
        let policy = |kind: &str| kind.ends_with("NetworkPolicy");
        Steps {
            told: BTreeSet::new(),
            policies: facts.objects.iter().filter(|o| policy(o.kind())).count(),
        }
    }

    /// These questions go out now.
    pub fn asks(&mut self, probes: &[Probe], io: &mut Io<'_>) {
        let lang = io.lang;
        for step in ALL {
            if step == Step::Policy {
                let read = lang.pick("policies read: {}", "已读取策略：{}");
                self.tell(step, &read.replace("{}", &self.policies.to_string()), io);
                continue;
            }
            let mut of_it = probes
                .iter()
                .filter(|p| Step::of_question(&p.question) == step);
            let Some(first) = of_it.next() else {
                continue;
            };
            let more = of_it.count();
            let mut says = format!(
                "{} {} {}",
                describe(&first.question).in_lang(lang),
                lang.pick("from", "发自"),
                place(&first.from).in_lang(lang)
            );
            if more > 0 {
                let and = lang.pick(" and {} questions more", "，另有 {} 项");
                says.push_str(&and.replace("{}", &more.to_string()));
            }
            self.tell(step, &format!("{says} ..."), io);
        }
    }

    fn tell(&mut self, step: Step, says: &str, io: &mut Io<'_>) {
        if self.told.insert(step) {
            line(step, says, io);
        }
    }

    /// What came of each step.
    pub fn found(&self, report: &Report, io: &mut Io<'_>) {
        let lang = io.lang;
        for step in ALL {
            if step == Step::Report {
                let says = lang
                    .pick("{n} questions in {s} s", "{n} 次探测，用时 {s} 秒")
                    .replace("{n}", &report.probes.to_string())
                    .replace("{s}", &format!("{:.1}", report.elapsed_ms as f64 / 1000.0));
                line(step, &says, io);
                continue;
            }
            line(step, &outcome(step, report, lang), io);
        }
    }
}

/// The worst that was seen at the hops of a step.
fn outcome(step: Step, report: &Report, lang: Lang) -> String {
    let bad = |state: &str| {
        let order = ["broken", "at_risk", "ok"];
        order
            .iter()
            .position(|s| *s == state)
            .unwrap_or(order.len())
    };
    let hops = report.path.iter().filter(|h| Step::of_hop(&h.hop) == step);
    let Some(worst) = hops.min_by_key(|h| bad(&h.state)) else {
        return lang.pick("not looked at", "未检查").into();
    };
    let of_it = |c: &&netshoot_model::report::CauseReport| Step::of_hop(&c.hop) == step;
    let cause = report.cause.iter().chain(&report.also).find(of_it);
    let note = |h: &HopReport| {
        h.notes
            .first()
            .map(|n| format!(": {n}"))
            .unwrap_or_default()
    };
    match (worst.state.as_str(), cause) {
        ("broken", Some(cause)) => format!("{}: {}", lang.pick("broken", "故障"), cause.says),
        ("broken", None) => format!("{}{}", lang.pick("broken", "故障"), note(worst)),
        ("at_risk", _) => format!("{}{}", lang.pick("at risk", "有风险"), note(worst)),
        ("ok", _) => format!("{}{}", lang.pick("ok", "正常"), note(worst)),
        _ => lang.pick("not looked at", "未检查").into(),
    }
}

fn line(step: Step, says: &str, io: &mut Io<'_>) {
    io.progress_done();
    let (number, title) = (step as usize + 1, step.title(io.lang));
    let colon = io.lang.pick(": ", "：");
    // A closed standard error is no reason to end a diagnosis.
    let _ = writeln!(io.err, "[{number}/5] {title}{colon}{}", safe(says));
}

#[cfg(test)]
mod tests {
    use super::*;
    use netshoot_model::path::HopKind;
    use netshoot_model::probe::Vantage;

    fn told(work: impl FnOnce(&mut Io<'_>)) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        work(&mut Io {
            out: &mut out,
            err: &mut err,
            color: false,
            progress: false,
            lang: Lang::En,
        });
        assert!(out.is_empty());
        String::from_utf8(err).unwrap()
    }

    #[test]
    fn a_step_is_told_when_its_first_question_goes_out_and_once() {
        let ask = |question| Probe {
            from: Vantage::Node { name: "a".into() },
            question,
        };
        let facts = ClusterSnapshot::new("x", "y", 0);
        let said = told(|io| {
            let mut steps = Steps::new(&facts);
            steps.asks(&[ask(Question::Rules), ask(Question::ResolvConf)], io);
            steps.asks(&[ask(Question::Rules), ask(Question::Links)], io);
        });
        assert_eq!(
            said,
            "[1/5] DNS: resolv.conf from node a ...\n[3/5] network policy: policies read: 0\n\
             [4/5] Services and kube-proxy: packet-filter rules from node a ...\n[2/5] connectivity: links from node a ...\n"
        );
    }

    #[test]
    fn every_hop_has_its_step() {
        for (hop, step) in [
            (HopKind::Name, Step::Dns),
            (HopKind::NameCache, Step::Dns),
            (HopKind::EgressPolicy, Step::Policy),
            (HopKind::IngressPolicy, Step::Policy),
            (HopKind::Service, Step::Proxy),
            (HopKind::Listener, Step::Connectivity),
        ] {
            assert_eq!(Step::of_hop(hop.word()), step);
        }
    }

    #[test]
    fn the_steps_end_with_what_was_seen() {
        let text = include_str!("../../tests/reports/broken.json");
        let mut report: Report = serde_json::from_str(text).unwrap();
        let said = told(|io| Steps::new(&ClusterSnapshot::new("x", "y", 0)).found(&report, io));
        assert_eq!(said.lines().count(), 5, "{said}");
        let cause = report.cause.clone().unwrap();
        let step = Step::of_hop(&cause.hop);
        let line = said.lines().nth(step as usize).unwrap();
        assert!(line.contains(&format!("broken: {}", cause.says)), "{said}");
        // Nothing is fine that was not looked at.
        report.path.clear();
        assert_eq!(outcome(Step::Dns, &report, Lang::En), "not looked at");
    }
}
