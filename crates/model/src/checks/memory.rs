//! What the two memory checks share: is it memory that hurts here, and how does it grow?

mod around;

use crate::check::{Findings, View};
use crate::finding::{Finding, Seen};
use crate::growth::{Growth, guess, judge, mebibytes, parse_quantity};
use crate::object::{Object, ObjectRef, at};
use crate::observe::attempts;
use crate::path::HopKind;
use crate::probe::{Answer, Answered, ContainerMemory, Outcome, Question};
use crate::remedy::{Remedy, Step, quote};
use crate::text;
use crate::text::Text;
use crate::time;
use around::Around;
use serde_json::{Value, json};

/// An OOM kill longer ago than this says nothing about now.
const RECENT_MS: i64 = 600_000;
/// How long the growth is watched.
const WATCH_MS: u32 = 1400;
/// How long it is watched again, together with the requests: a pod more or less that grows decides.
const AGAIN_MS: u32 = 900;
/// How long it is watched once more where the speeds seen so far can be read both ways.
const LONGER_MS: u32 = 3000;
/// A living container from this share of its limit on is "close".
const CLOSE: f64 = 0.8;

/// Memory that kills the pods behind a Service.
#[derive(Debug)]
pub struct Pressure {
    /// The workload to blame.
    pub owner: ObjectRef,
    /// The container.
    pub container: String,
    /// Its limit, bytes.
    pub limit: u64,
    /// The higher one that the workload's new pods get already, bytes; [`u64::MAX`] where they get none.
    pub raised: Option<u64>,
    /// How it grows.
    pub growth: Growth,
    /// The kill.
    pub first: Seen,
    /// Everything else, in order of the chain.
    pub more: Vec<Seen>,
    /// ICMP to the same pods, when all of it was answered.
    pub clean: Vec<Seen>,
    /// TCP retransmissions that the capture at the client counted.
    pub retransmissions: u64,
    /// The chain from root to the lost SYN.
    pub chain: Vec<Text>,
}

/// Looks at the pods behind the path's Service. None unless memory is what hurts.
pub fn pressure(view: &View<'_>) -> Option<Pressure> {
    let pods = pods(view);
    let kills: Vec<(&Object, Kill)> = pods
        .iter()
        .flat_map(|p| kills(view, p).into_iter().map(|k| (*p, k)))
        .collect();
    let (pod, kill) = kills.iter().min_by_key(|(_, k)| k.ago_ms)?;
    let limit = limit_of(pod, &kill.container)?;
    let memory = watched(view, &pods, &kill.container, WATCH_MS);
    let around = Around::of(view, &pods);
    let close = memory.iter().filter(|w| is_close(w.memory, limit)).count();
    let away: Vec<&(&Object, Kill)> = kills.iter().filter(|(_, k)| k.away).collect();
    if close == 0 && away.is_empty() {
        return None;
    }
    let mut again = watched(view, &pods, &kill.container, AGAIN_MS);
    // Everything was asked together with the symptom, since watching takes a while.
    if view.observed().hurts() != Some(true) || close == 0 && !explained(view, &kills) {
        return None;
    }
    let growth = match judge(&samples(&memory, &again)) {
        Growth::Unsure if !again.is_empty() => {
            again.extend(watched(view, &pods, &kill.container, LONGER_MS));
            guess(&samples(&memory, &again))
        }
        told => told,
    };
    let seen = memory.iter().chain(&again);
    let mut more: Vec<Seen> = seen.filter_map(|w| memory_seen(view, w, limit)).collect();
    let mut chain = vec![
        text!(
            "memory limit {} of container {container}",
            "容器 {container} 的内存上限 {}",
            mebibytes(limit),
            container = kill.container
        ),
        text!(
            "{killed} of {pods} pods OOMKilled, the last one {ago}",
            "{pods} 个 Pod 中 {killed} 个被 OOMKilled，最近一次在{ago:#}",
            ago = ago(kill.ago_ms),
            killed = kills.len(),
            pods = pods.len()
        ),
    ];
    if close > 0 {
        chain.push(text!(
            "{near} of {living} living pods above {} % of the limit",
            "{living} 个存活 Pod 中 {near} 个高于上限的 {} %",
            (CLOSE * 100.0) as u32,
            near = close,
            living = memory.len()
        ));
    }
    if !away.is_empty() {
        let names: Vec<&str> = away.iter().map(|(p, _)| p.name()).collect();
        let names = Text::names(&names);
        chain.push(text!(
            "not started again yet: {names}",
            "尚未重新启动：{names:#}"
        ));
    }
    more.extend(around.seen);
    chain.extend(around.chain);
    let first = kill.seen(view, pod);
    let owner = view.topology.owner_of(pod);
    let raised = template_limit(view, &owner, &kill.container).filter(|raised| *raised > limit);
    Some(Pressure {
        owner,
        container: kill.container.clone(),
        limit,
        raised,
        growth,
        first,
        more,
        clean: around.clean,
        retransmissions: around.retransmissions,
        chain,
    })
}

/// Every endpoint that fails is a pod that was killed lately, or one beside it that is just being started or was ended by
/// SIGKILL, which a busy node may call an error: nothing else has to hurt.
fn explained(view: &View<'_>, kills: &[(&Object, Kill)]) -> bool {
    let o = view.observed();
    let failing = o.endpoints.iter().filter(|(_, a)| {
        let all = attempts(a);
        all.iter().any(|t| t.outcome != Outcome::Answered)
    });
    let (killed, others): (Vec<_>, Vec<_>) = failing.partition(|(e, _)| {
        let of = |(p, _): &(&Object, Kill)| Some(p.reference()) == e.pod;
        kills.iter().any(of)
    });
    killed.len() > others.len()
        && others.iter().all(|(e, _)| {
            let pod = e.pod.as_ref().and_then(|p| view.topology.get(p));
            pod.is_some_and(|p| !e.ready && (is_new(p) || was_ended_by_sigkill(p)))
        })
}

/// None of its containers was ever started again.
fn is_new(pod: &Object) -> bool {
    let mut all = pod.list("status.containerStatuses").iter();
    all.all(|s| at(s, "restartCount").as_i64().unwrap_or(0) == 0)
}

fn was_ended_by_sigkill(pod: &Object) -> bool {
    let ends = pod
        .list("status.containerStatuses")
        .iter()
        .flat_map(|s| ["state.terminated", "lastState.terminated"].map(|p| at(s, p)));
    ends.into_iter()
        .any(|e| at(e, "exitCode").as_i64() == Some(137))
}

/// Recent kills behind a Service that could not be tried: what the objects alone suggest. None as
/// soon as anything was tried: then [`pressure`] decides.
pub fn suspect(view: &View<'_>, out: &mut Findings) {
    if !view.observed().untried() {
        return;
    }
    let pods = pods(view);
    let killed: Vec<(&Object, Kill)> = pods
        .iter()
        .filter_map(|p| Some((*p, kills(view, p).into_iter().min_by_key(|k| k.ago_ms)?)))
        .collect();
    let Some((pod, last)) = killed.iter().min_by_key(|(_, k)| k.ago_ms) else {
        return;
    };
    let owner = view.topology.owner_of(pod);
    let limit = limit_of(pod, &last.container)
        .map(|l| text!(" at the memory limit {}", "（内存上限 {}）", mebibytes(l)))
        .unwrap_or_default();
    let field = "status.containerStatuses.lastState";
    let seen = |p: &Object, k: &Kill| {
        let text = text!(
            "pod {}: OOMKilled {ago}, {since}",
            "pod {}：{ago:#} OOMKilled，{since:#}",
            p.name(),
            ago = ago(k.ago_ms),
            since = k.since()
        );
        view.fact(HopKind::Backend, p, field, text)
    };
    let f = out.at_risk(
        owner.clone(),
        HopKind::Backend,
        text!(
            "{hit} of {all} pods of {owner} were OOMKilled{limit}, the last one {ago}: each time they are away, and stall before",
            "{owner} 的 {all} 个 Pod 中 {hit} 个被 OOMKilled{limit:#}，最近一次在{ago:#}：每次都会离线，并在此之前停顿",
            hit = killed.len(),
            all = pods.len(),
            ago = ago(last.ago_ms)
        ),
        seen(pod, last),
    );
    for (p, k) in killed.iter().filter(|(p, _)| p.name() != pod.name()) {
        f.and(seen(p, k));
    }
}

/// Lost SYNs and retransmissions look like a bad network. Says why that reading is wrong here.
pub fn rule_out_the_network(out: &mut Findings, p: &Pressure) {
    let [first, rest @ ..] = p.clean.as_slice() else {
        return;
    };
    let looks = match p.retransmissions {
        0 => Text::default(),
        n => text!(
            ", though {n} TCP retransmissions look like one",
            "，虽然 {n} 次 TCP 重传看起来像"
        ),
    };
    let says = text!(
        "not a lossy network{looks}: ICMP to the very pods whose SYNs are lost is answered every time, and their accept queues count the losses",
        "不是网络丢包{looks:#}：丢失 SYN 的那些 Pod 每次都回应 ICMP，丢失的数量记在它们的 accept 队列上"
    );
    let f = out.fine(p.owner.clone(), HopKind::Path, says, first.clone());
    for seen in rest {
        f.and(seen.clone());
    }
}

/// Adds what was seen to a finding.
pub fn tell(f: &mut Finding, p: &Pressure) {
    for seen in &p.more {
        f.and(seen.clone());
    }
    for link in &p.chain {
        f.then(link.clone());
    }
}

/// The patch that sets a container's memory limit, the request at half of it.
pub fn limit_patch(container: &str, limit: u64) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{
        "name": container,
        "resources": {"limits": {"memory": mebibytes(limit)}, "requests": {"memory": mebibytes(limit / 2)}}
    }]}}}})
}

/// Up to a number of MiB that people would write: the next multiple of 16 (of 64 above 512).
pub fn round_up(bytes: u64) -> u64 {
    let step = if bytes > 512 << 20 {
        64 << 20
    } else {
        16 << 20
    };
    bytes.div_ceil(step) * step
}

struct Kill {
    container: String,
    ago_ms: i64,
    restarts: i64,
    /// The container has not been started again: the kill is why it does not answer.
    away: bool,
}

/// How long ago, in words: a kill of this very second is no "0s".
fn ago(ms: i64) -> Text {
    if ms < 1000 {
        return text!("just now", "刚刚");
    }
    let age = time::age(ms);
    text!("{age} ago", " {age} 前")
}

impl Kill {
    /// What came of it: a container that has not been started again counts no restart yet.
    fn since(&self) -> Text {
        match self.restarts {
            0 if self.away => text!("not started again yet", "尚未重新启动"),
            n => text!("{n} restarts", "重启 {n} 次"),
        }
    }

    fn seen(&self, view: &View<'_>, pod: &Object) -> Seen {
        let text = text!(
            "OOMKilled (exit code 137) {ago}, {since}",
            "{ago:#} OOMKilled（退出码 137），{since:#}",
            ago = ago(self.ago_ms),
            since = self.since()
        );
        let field = "status.containerStatuses.lastState";
        view.fact(HopKind::Backend, pod, field, text)
    }
}

/// The pods behind the Service: named by its endpoints, ready or not.
fn pods<'a>(view: &View<'a>) -> Vec<&'a Object> {
    let mut out: Vec<&Object> = Vec::new();
    for pod in view
        .path
        .backends
        .iter()
        .filter_map(|b| view.topology.get(b.pod.as_ref()?))
    {
        if !out.iter().any(|p| p.reference() == pod.reference()) {
            out.push(pod);
        }
    }
    out.truncate(8);
    out
}

fn kills(view: &View<'_>, pod: &Object) -> Vec<Kill> {
    let now = view.topology.snapshot().taken_at_ms as i64;
    let mut out = Vec::new();
    for status in pod.list("status.containerStatuses") {
        let ends = ["state.terminated", "lastState.terminated"].map(|p| at(status, p));
        let newest = ends
            .iter()
            .filter(|e| at(e, "reason").as_str() == Some("OOMKilled"))
            .filter_map(|e| Some(now - time::parse(at(e, "finishedAt").as_str()?)?))
            .min();
        if let Some(ago_ms) = newest.filter(|ago| *ago <= RECENT_MS) {
            out.push(Kill {
                container: at(status, "name").as_str().unwrap_or("").into(),
                ago_ms,
                restarts: at(status, "restartCount").as_i64().unwrap_or(0),
                away: at(status, "state.running").is_null(),
            });
        }
    }
    out
}

fn limit_of(pod: &Object, container: &str) -> Option<u64> {
    limit_in(pod.list("spec.containers"), container)
}

fn limit_in(containers: &[Value], container: &str) -> Option<u64> {
    let of_it = |c: &&Value| at(c, "name").as_str() == Some(container);
    let c = containers.iter().find(of_it)?;
    parse_quantity(at(c, "resources.limits.memory").as_str()?)
}

/// The limit that new pods of the workload get, [`u64::MAX`] for none.
fn template_limit(view: &View<'_>, owner: &ObjectRef, container: &str) -> Option<u64> {
    let template = view.topology.get(owner)?;
    let containers = template.list("spec.template.spec.containers");
    let has_it = |c: &Value| at(c, "name").as_str() == Some(container);
    let there = containers.iter().any(has_it);
    there.then(|| limit_in(containers, container).unwrap_or(u64::MAX))
}

/// Somebody has raised the limit, and the rollout has not come to every pod: nothing may set it back.
pub fn wait(f: &mut Finding, p: &Pressure, raised: u64) {
    let owner = &p.owner;
    let because = if raised == u64::MAX {
        text!(
            "the limit of {owner} was taken away already, and pods with the old one still run",
            "{owner} 的上限已被取消，但仍有使用旧上限的 Pod 在运行"
        )
    } else {
        let raised = mebibytes(raised);
        text!(
            "the limit of {owner} was raised to {raised} already, and pods with the old one still run",
            "{owner} 的上限已调高到 {raised}，但仍有使用旧上限的 Pod 在运行"
        )
    };
    f.remedy(Remedy {
        safe: false,
        because,
        steps: vec![Step::Ask {
            question: text!(
                "does its rollout get on? kubectl rollout status {} -n {} tells",
                "它的滚动更新是否在推进？用 kubectl rollout status {} -n {} 查看",
                quote(&format!("{}/{}", owner.kind.to_lowercase(), owner.name)),
                quote(&owner.namespace)
            ),
        }],
    });
}

/// A container while it was watched.
struct Watched<'a> {
    pod: &'a Object,
    answered: &'a Answered,
    memory: &'a ContainerMemory,
}

fn samples<'a>(first: &[Watched<'a>], more: &[Watched<'a>]) -> Vec<&'a ContainerMemory> {
    first.iter().chain(more).map(|w| w.memory).collect()
}

fn watched<'a>(
    view: &View<'a>,
    pods: &[&'a Object],
    container: &str,
    watch_ms: u32,
) -> Vec<Watched<'a>> {
    let one = |pod: &&'a Object| {
        let question = Question::Memory {
            namespace: pod.namespace().into(),
            pod: pod.name().into(),
            watch_ms,
        };
        let answered = view.ask(view.node(pod.str("spec.nodeName")), question)?;
        let Answer::Memory(all) = &answered.answer else {
            return None;
        };
        let memory = all.iter().find(|m| m.container == container)?;
        Some(Watched {
            pod,
            answered,
            memory,
        })
    };
    pods.iter().filter_map(one).collect()
}

fn highest(m: &ContainerMemory) -> u64 {
    m.samples.iter().map(|s| s.1).max().unwrap_or(0)
}

fn is_close(m: &ContainerMemory, limit: u64) -> bool {
    m.limit_hits > 0 || highest(m).max(m.max_usage) as f64 >= CLOSE * limit as f64
}

fn memory_seen(view: &View<'_>, w: &Watched<'_>, limit: u64) -> Option<Seen> {
    let (pod, m) = (w.pod, w.memory);
    let (first, last) = (m.samples.first()?.1, m.samples.last()?.1);
    let text = text!(
        "pod {}: {} to {} of {} within {} ms, highest {}, limit hit {} times ({})",
        "pod {}：{} 到 {}（上限 {}，{} 毫秒内），最高 {}，触及上限 {} 次（{}）",
        pod.name(),
        mebibytes(first),
        mebibytes(last),
        mebibytes(limit),
        m.samples.last()?.0,
        mebibytes(m.max_usage.max(highest(m))),
        m.limit_hits,
        m.accounted_by
    );
    Some(view.saw(HopKind::Backend, w.answered, text))
}
