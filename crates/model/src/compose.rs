//! From walks to the report: numbers the evidence, marks the hops, says the verdict.

mod line;

use crate::cause::Cause;
use crate::check::{Check, View, describe, place};
use crate::checks;
use crate::engine::{Case, Walked};
use crate::evidence::{Evidence, EvidenceSet};
use crate::finding::{Finding, Seen, State};
use crate::observe::{Observed, attempts, tally};
use crate::path::{Destination, HopKind, Path};
use crate::probe::{Answer, Outcome};
use crate::remedy::{Remedy, quote};
use crate::report::{
    AuditLine, CauseReport, ConversationReport, HopReport, RemedyReport, Report, RuledOut, SCHEMA,
    Understood, Verdict, Verify,
};
use crate::snapshot::Gap;
use crate::text;
use crate::text::{Lang, Text};
use crate::time::rfc3339;
use crate::topology::Topology;
use line::hops;
use std::collections::{BTreeMap, BTreeSet};

/// The client's view in sentences, with the observations behind them.
pub fn symptom(view: &View<'_>, o: &Observed<'_>) -> (Vec<Text>, Vec<Seen>) {
    let mut says = Vec::new();
    let mut seen = Vec::new();
    if let Some(a) = o.lookup {
        let addresses = o.addresses();
        let text = match &a.answer {
            Answer::Lookup { queries, .. } if addresses.is_empty() => {
                let how: Vec<Text> = queries
                    .iter()
                    .map(|q| {
                        let how = match q.rcode.as_str() {
                            "" => crate::observe::word(q.outcome),
                            rcode => Text::same(rcode),
                        };
                        text!("{} {how}", "{} {how:#}", q.record)
                    })
                    .collect();
                let (name, how) = (&view.path.name, Text::list(&how));
                text!("{name} does not resolve: {how}", "{name} 无法解析：{how:#}")
            }
            _ => {
                let (name, to) = (&view.path.name, join(addresses.iter()));
                text!("{name} resolves to {to}", "{name} 解析为 {to}")
            }
        };
        says.push(text.clone());
        seen.push(view.saw(HopKind::Name, a, text));
    }
    if let (Some(route), Some(true)) = (view.path.through, o.astray) {
        let (kind, name) = (route.kind(), route.name());
        let to = match &view.path.conversation.to {
            Destination::Service(s) => s.name.clone(),
            _ => String::new(),
        };
        says.push(text!(
            "nothing comes to Service {to} by {kind} {name}",
            "没有请求经由 {kind} {name} 到达 Service {to}"
        ));
    }
    let front = if o.outside {
        HopKind::Listener
    } else {
        HopKind::Service
    };
    for (to, a) in o.passed_over.iter().chain(&o.connect) {
        let how = tally(attempts(a).iter().map(|t| t.outcome));
        let text = text!("TCP connect to {to}: {how}", "TCP 连接 {to}：{how:#}");
        says.push(text.clone());
        seen.push(view.saw(front, a, text));
    }
    if let (Some(a), Some(to)) = (o.udp, o.fronts.first()) {
        let (hop, text) = match &a.answer {
            Answer::UdpExchange { attempt, .. } => {
                let how = crate::observe::word(attempt.outcome);
                let text = text!(
                    "UDP datagram to {to}: {how}",
                    "向 {to} 发送 UDP 报文：{how:#}"
                );
                (front, text)
            }
            Answer::Resolve(r) => {
                let (name, record) = (&r.name, &r.record);
                let how = match r.rcode.as_str() {
                    "" => crate::observe::word(r.outcome),
                    rcode => Text::same(rcode),
                };
                let text = text!(
                    "DNS query {name} {record} to {to}: {how}",
                    "向 {to} 查询 {name} {record}：{how:#}"
                );
                (HopKind::Name, text)
            }
            _ => (front, Text::default()),
        };
        if !text.is_empty() {
            says.push(text.clone());
            seen.push(view.saw(hop, a, text));
        }
    }
    for (e, a) in &o.endpoints {
        let pod = match &e.pod {
            Some(p) => text!(" (pod {})", "（pod {}）", p.name),
            None => Text::default(),
        };
        let ready = if e.ready {
            Text::default()
        } else {
            text!(", not ready", "，未就绪")
        };
        let how = tally(attempts(a).iter().map(|t| t.outcome));
        seen.push(view.saw(
            HopKind::Listener,
            a,
            text!(
                "TCP connect to endpoint {}:{}{pod}{ready}: {how}",
                "TCP 连接端点 {}:{}{pod:#}{ready:#}：{how:#}",
                e.address,
                e.port
            ),
        ));
    }
    for (to, a) in o.http.iter().chain(&o.series) {
        let all = crate::observe::requests(a);
        let text = if all.is_empty() {
            let how = tally(attempts(a).iter().map(|t| t.outcome));
            text!(
                "TCP connect to {to}, in series: {how}",
                "连续 TCP 连接 {to}：{how:#}"
            )
        } else {
            let mut phases: Vec<&str> = all
                .iter()
                .filter(|r| r.outcome != Outcome::Answered)
                .map(|r| r.phase.as_str())
                .collect();
            phases.dedup();
            let at = if phases.is_empty() {
                Text::default()
            } else {
                let phases = phases.join(", ");
                text!(" (failed at: {phases})", "（失败阶段：{phases}）")
            };
            let how = tally(all.iter().map(|r| r.outcome));
            text!(
                "HTTP request to {to}: {how}{at}",
                "HTTP 请求 {to}：{how:#}{at:#}"
            )
        };
        says.push(text.clone());
        seen.push(view.saw(HopKind::Http, a, text));
    }
    if let Some((a, t)) = o.chain() {
        let text = if t.outcome != Outcome::Answered {
            let how = crate::observe::word(t.outcome);
            text!(
                "TLS handshake: {how} ({})",
                "TLS 握手：{how:#}（{}）",
                t.detail
            )
        } else if t.problem.is_empty() && t.trusted_by.is_empty() {
            text!("TLS handshake: {}", "TLS 握手：{}", t.version)
        } else if t.problem.is_empty() {
            text!(
                "TLS handshake: {}, authority known to {}",
                "TLS 握手：{}，签发机构见于 {}",
                t.version,
                t.trusted_by
            )
        } else {
            text!("TLS handshake: {}", "TLS 握手：{}", t.problem)
        };
        says.push(text.clone());
        seen.push(view.saw(HopKind::Tls, a, text));
    }
    (says, seen)
}

fn join<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items.map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
}

/// The evidence that the report speaks of, numbered.
struct Book {
    lang: Lang,
    evidence: Vec<Evidence>,
}

impl Book {
    fn enter(&mut self, seen: &[Seen]) -> Vec<String> {
        let mut ids = Vec::new();
        for s in seen {
            let at = rfc3339(s.at_ms as i64);
            let [source, value, from] =
                [&s.source, &s.value, &s.from].map(|t| t.in_lang(self.lang).to_string());
            let known = self.evidence.iter().find(|e| {
                e.source == source
                    && e.value == value
                    && e.seen_from == from
                    && e.hop == s.hop.word()
            });
            let id = match known {
                Some(e) => e.id.clone(),
                None => {
                    let id = format!("e{}", self.evidence.len() + 1);
                    self.evidence.push(Evidence {
                        id: id.clone(),
                        hop: s.hop.word().into(),
                        source,
                        value,
                        seen_at: at,
                        seen_from: from,
                    });
                    id
                }
            };
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }
}

/// The report of ranked walks.
pub fn report(
    case: &Case,
    topology: &Topology<'_>,
    evidence: &EvidenceSet,
    walks: &[Walked<'_>],
) -> Report {
    let snapshot = topology.snapshot();
    let lang = case.lang;
    let mut book = Book {
        lang,
        evidence: Vec::new(),
    };
    let first = walks.first();
    let confirmed =
        |w: &Walked<'_>, c: &Cause| c.root.state == State::Broken && w.hurts != Some(false);
    let root = first.and_then(|w| w.causes.iter().find(|c| confirmed(w, c)).map(|c| (w, c)));
    let verdict = match (root, first.map(|w| w.hurts)) {
        (Some(_), _) => Verdict::Broken,
        (None, Some(Some(false))) => Verdict::Healthy,
        _ => Verdict::Unknown,
    };
    let cause = root.map(|(w, c)| cause_report(w, c, &mut book));
    let mut also = Vec::new();
    for (i, w) in walks.iter().enumerate() {
        for c in &w.causes {
            let is_root = i == 0 && root.is_some_and(|(_, r)| std::ptr::eq(r, c));
            let r = cause_report(w, c, &mut book);
            let known = |k: &CauseReport| k.id == r.id && k.subject == r.subject;
            if !is_root && !cause.as_ref().is_some_and(known) && !also.iter().any(known) {
                also.push(r);
            }
        }
    }
    let mut symptom_lines = Vec::new();
    let mut ruled_out = Vec::new();
    let mut path = Vec::new();
    if let Some(w) = first {
        book.enter(&w.seen);
        symptom_lines = w.symptom.iter().map(|t| t.in_lang(lang).into()).collect();
        for f in &w.fine {
            let evidence = book.enter(&f.evidence);
            let line = RuledOut {
                what: f.says.in_lang(lang).into(),
                evidence,
            };
            if !ruled_out.contains(&line) {
                ruled_out.push(line);
            }
        }
        path = hops(w, root.map(|(_, c)| c), &book);
    }
    let mut unknown: BTreeSet<Gap> = snapshot.gaps.iter().cloned().collect();
    unknown.extend(folded(walks.iter().flat_map(|w| &w.gaps)));
    if verdict == Verdict::Unknown && unknown.is_empty() {
        unknown.extend(first.filter(|w| w.hurts == Some(true)).map(unexplained));
    }
    let remedy = root.and_then(|(w, c)| {
        c.root
            .remedy
            .as_ref()
            .map(|r| remedy_report(&w.path, r, lang))
    });
    let last = evidence
        .iter()
        .map(|a| a.at_ms + a.took_ms)
        .max()
        .unwrap_or(snapshot.taken_at_ms);
    let summary = summarise(verdict, first, root, case).in_lang(lang).into();
    Report {
        schema: SCHEMA.into(),
        verdict,
        summary,
        understood: Understood {
            conversations: walks
                .iter()
                .map(|w| w.path.describe().settle(lang))
                .collect(),
            ..settled(&case.understood, lang)
        },
        conversations: walks.iter().map(|w| walked(w, lang)).collect(),
        conversation: first.map(|w| w.path.conversation.clone()),
        cause,
        also,
        symptom: symptom_lines,
        path,
        evidence: book.evidence,
        ruled_out,
        unknown: unknown.iter().map(|g| g.settle(lang)).collect(),
        remedy,
        audit: audit(evidence, &snapshot.identity, lang),
        probes: evidence.iter().count(),
        elapsed_ms: last.saturating_sub(snapshot.taken_at_ms),
        source: snapshot.source.clone(),
        taken_at: rfc3339(snapshot.taken_at_ms as i64),
        verified: None,
    }
}

fn summarise(
    verdict: Verdict,
    first: Option<&Walked<'_>>,
    root: Option<(&Walked<'_>, &Cause)>,
    case: &Case,
) -> Text {
    let way = first.map(|w| w.path.describe()).unwrap_or_default();
    match (verdict, first, root) {
        (Verdict::Broken, _, Some((_, c))) => c.root.says.clone(),
        (Verdict::Healthy, Some(w), _) => {
            let how = w.symptom.last().cloned().unwrap_or_default();
            text!("{way} works: {how}", "{way:#} 正常：{how:#}")
        }
        (_, Some(w), _) if w.hurts == Some(true) => text!(
            "{way} fails, and no cause could be proven with what could be looked at",
            "{way:#} 不通，就所能查看的内容无法证实原因"
        ),
        (_, Some(_), _) => text!("{way} could not be tried", "{way:#} 无法尝试"),
        _ if case.conversations.is_empty() => text!(
            "no conversation to look at was understood",
            "没有理解到要检查的连接"
        ),
        _ => text!("nothing could be told", "无法判断"),
    }
}

/// As many as one reads; the list of probes has them all.
fn some_of(what: &BTreeSet<&Text>) -> Text {
    const MOST: usize = 4;
    let shown = Text::row(what.iter().copied().take(MOST));
    match what.len().saturating_sub(MOST) {
        0 => shown,
        n => text!("{shown}; and {n} more", "{shown:#}；以及另外 {n} 项"),
    }
}

/// Questions that lack the same are one gap: what is missing is said once.
fn folded<'a>(gaps: impl Iterator<Item = &'a Gap>) -> Vec<Gap> {
    let mut by_lack: BTreeMap<(&Text, &Text), BTreeSet<&Text>> = BTreeMap::new();
    for g in gaps {
        let lack = (&g.missing, &g.how_to_get);
        by_lack.entry(lack).or_default().insert(&g.what);
    }
    by_lack
        .into_iter()
        .map(|((missing, how_to_get), what)| Gap {
            what: some_of(&what),
            missing: missing.clone(),
            how_to_get: how_to_get.clone(),
        })
        .collect()
}

/// Why a failure has no cause: nothing was missing, and no check knows what was seen.
fn unexplained(w: &Walked<'_>) -> Gap {
    let way = w.path.describe();
    let what = text!("why {way} fails", "{way:#} 为何不通");
    let seen = w.symptom.last().cloned().unwrap_or_default();
    if let Some(s) = w.path.service.filter(|_| w.path.backends.is_empty()) {
        let (ns, name) = (s.namespace(), s.name());
        return Gap {
            what,
            missing: text!(
                "Service {name} has no endpoints, and nothing tells who should keep them ({seen})",
                "Service {name} 没有端点，也无从得知应由谁维护（{seen:#}）"
            ),
            how_to_get: Text::same(format!(
                "kubectl get endpointslices -n {} -l kubernetes.io/service-name={} -o yaml",
                quote(ns),
                quote(name)
            )),
        };
    }
    Gap {
        what,
        missing: text!(
            "no check explains what was seen ({seen})",
            "没有检查能解释所见（{seen:#}）"
        ),
        how_to_get: text!(
            "look at it by hand: the same command with --runbook",
            "手工查看：同一命令加 --runbook"
        ),
    }
}

/// One conversation of the case in a line: whether it works, and why not.
fn walked(w: &Walked<'_>, lang: Lang) -> ConversationReport {
    let cause = w
        .causes
        .iter()
        .find(|c| c.root.state == State::Broken && w.hurts != Some(false));
    let state = match (w.hurts, cause) {
        (Some(false), _) => "works",
        (_, Some(_)) => "broken",
        (Some(true), None) => "fails",
        (None, None) => "unknown",
    };
    let says = cause.map(|c| c.root.says.clone());
    let says = says
        .or_else(|| w.symptom.last().cloned())
        .unwrap_or_default();
    ConversationReport {
        conversation: w.path.describe().settle(lang),
        state: state.into(),
        says: says.in_lang(lang).into(),
        pods: w.pods,
    }
}

fn check_of(f: &Finding) -> Option<&'static Check> {
    checks::ALL.iter().copied().find(|c| c.id == f.check)
}

/// Certainty: something was seen by a probe, the symptom was seen too, and nothing is missing.
fn confidence(w: &Walked<'_>, f: &Finding) -> f64 {
    let probed = f.evidence.iter().any(|e| e.probed);
    let value: f64 = match (f.state, w.hurts, probed) {
        (State::Broken, Some(true), true) => 0.97,
        (State::Broken, Some(true), false) => 0.9,
        (State::Broken, None, true) => 0.85,
        (State::Broken, None, false) => 0.7,
        _ => 0.5,
    };
    value
}

fn cause_report(w: &Walked<'_>, c: &Cause, book: &mut Book) -> CauseReport {
    let check = check_of(&c.root);
    let lang = book.lang;
    CauseReport {
        id: c.root.check.into(),
        catalogue: c
            .root
            .number
            .or_else(|| check.and_then(|k| k.catalogue.first().copied()))
            .unwrap_or("")
            .to_string(),
        title: match (check, lang) {
            (None, _) => "",
            (Some(k), Lang::En) => k.title,
            (Some(k), Lang::Zh) => k.title_zh,
        }
        .into(),
        says: c.root.says.in_lang(lang).into(),
        subject: c.root.subject.clone(),
        hop: c.root.hop.word().into(),
        confidence: confidence(w, &c.root),
        at_risk: c.root.state == State::AtRisk,
        chain: c
            .root
            .chain
            .iter()
            .map(|t| t.in_lang(lang).into())
            .collect(),
        evidence: book.enter(&c.root.evidence),
        echoes: c
            .echoes
            .iter()
            .map(|e| e.says.in_lang(lang).into())
            .collect(),
    }
}

fn remedy_report(path: &Path<'_>, remedy: &Remedy, lang: Lang) -> RemedyReport {
    let c = &path.conversation;
    let from = c
        .from
        .as_ref()
        .map(|r| {
            format!(
                " --from {} -n {}",
                quote(&format!("{}/{}", r.kind.to_lowercase(), r.name)),
                quote(&r.namespace)
            )
        })
        .unwrap_or_default();
    let to = match &c.to {
        _ if c.through.is_some() => String::new(),
        Destination::Service(r) => format!("svc/{}.{}:{}", r.name, r.namespace, c.port),
        Destination::Pod(r) => format!("pod/{}.{}:{}", r.name, r.namespace, c.port),
        Destination::Host(h) if h.contains(':') => format!("[{h}]:{}", c.port),
        Destination::Host(h) => format!("{h}:{}", c.port),
    };
    // What was asked as a URL is asked as one again.
    let to = match (&c.to, &c.http) {
        (Destination::Host(_), Some(path)) if c.tls => format!("https://{to}{path}"),
        (Destination::Host(_), Some(path)) => format!("http://{to}{path}"),
        _ => to,
    };
    let (from, to) = match &c.through {
        Some(r) => (
            format!(" -n {}", quote(&r.namespace)),
            quote(&format!("{}/{}", r.kind.to_lowercase(), r.name)),
        ),
        None => (from, quote(&to)),
    };
    let way = path.describe();
    RemedyReport {
        safe: remedy.safe,
        because: remedy.because.in_lang(lang).into(),
        steps: remedy.steps.iter().map(|s| s.describe(lang)).collect(),
        verify: Verify {
            says: text!(
                "the same conversation again: {way}",
                "再次尝试同一连接：{way:#}"
            )
            .in_lang(lang)
            .into(),
            command: format!("netshoot diagnose{from} --to {to}"),
        },
        value: remedy.settle(lang),
    }
}

fn audit(evidence: &EvidenceSet, who: &str, lang: Lang) -> Vec<AuditLine> {
    let mut lines: Vec<AuditLine> = evidence
        .iter()
        .map(|a| AuditLine {
            who: who.into(),
            from: place(&a.probe.from).in_lang(lang).into(),
            what: describe(&a.probe.question).in_lang(lang).into(),
            probe: a.probe.clone(),
            when: rfc3339(a.at_ms as i64),
            took_ms: a.took_ms,
            harm: a.probe.question.harm(),
            outcome: match &a.answer {
                Answer::CouldNotAsk { why, .. } => why.clone(),
                _ => "answered".into(),
            },
        })
        .collect();
    lines.sort_by(|a, b| (&a.when, &a.from, &a.what).cmp(&(&b.when, &b.from, &b.what)));
    lines
}

/// What was understood, in one language.
fn settled(understood: &Understood, lang: Lang) -> Understood {
    let settle = |all: &[Text]| all.iter().map(|t| t.settle(lang)).collect();
    Understood {
        conversations: settle(&understood.conversations),
        asked_back: settle(&understood.asked_back),
        left_out: settle(&understood.left_out),
        ..understood.clone()
    }
}
