//! What stalled pods look like from around them: full accept queues, lost handshakes, packets sent
//! again, and ICMP that is answered all the same.

use crate::check::View;
use crate::finding::Seen;
use crate::object::Object;
use crate::observe::{attempts, tally};
use crate::path::HopKind;
use crate::probe::{Answer, Flow, Outcome, Question};
use crate::text;
use crate::text::Text;

/// How long the client's packets are watched: longer than the 1 s after which a SYN is sent again.
const CAPTURE_MS: u32 = 1500;

/// What was seen around the pods.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// Observations.
    pub seen: Vec<Seen>,
    /// What follows from the stalls.
    pub chain: Vec<Text>,
    /// ICMP to the pods, when all of it was answered.
    pub clean: Vec<Seen>,
    /// TCP retransmissions at the client.
    pub retransmissions: u64,
}

impl Around {
    /// Asks all of it together.
    pub fn of(view: &View<'_>, pods: &[&Object]) -> Around {
        let mut around = Around::default();
        queues(view, pods, &mut around.seen, &mut around.chain);
        around.clean = network_is_clean(view, pods);
        around.retransmissions = sent_again(view, &mut around.seen);
        around
    }
}

/// Accept queues of the pods: full ones, and the overflows the kernel counted.
fn queues(view: &View<'_>, pods: &[&Object], more: &mut Vec<Seen>, chain: &mut Vec<Text>) {
    let mut overflows = 0;
    for pod in pods {
        let place = view.pod(&pod.reference());
        if let Some(a) = view.ask(place.clone(), Question::Counters)
            && let Answer::Counters(c) = &a.answer
            && let Some(n) = c.get("TcpExt.ListenOverflows").filter(|n| **n > 0)
        {
            overflows += n;
            more.push(view.saw(
                HopKind::Listener,
                a,
                text!(
                    "pod {}: accept queue overflowed {n} times (TcpExt.ListenOverflows)",
                    "pod {}：accept 队列溢出 {n} 次（TcpExt.ListenOverflows）",
                    pod.name()
                ),
            ));
        }
        if let Some(a) = view.ask(place, Question::Sockets)
            && let Answer::Sockets(all) = &a.answer
            && let Some(s) = all
                .iter()
                .find(|s| s.state == "LISTEN" && s.recv_q > s.send_q)
        {
            more.push(view.saw(
                HopKind::Listener,
                a,
                text!(
                    "pod {}: {} connections wait in an accept queue of {}",
                    "pod {}：{} 个连接在长度为 {} 的 accept 队列中等待",
                    pod.name(),
                    s.recv_q,
                    s.send_q
                ),
            ));
        }
    }
    if overflows > 0 {
        chain.push(text!(
            "stalled pods stop accepting: accept queues overflowed {overflows} times, SYNs to them vanish",
            "停顿的 Pod 不再接受连接：accept 队列溢出 {overflows} 次，发往它们的 SYN 消失"
        ));
    }
    let silent = view.observed().endpoints_that(Outcome::Silent);
    if !silent.is_empty() {
        let names: Vec<String> = silent
            .iter()
            .filter_map(|(e, _)| e.pod.as_ref().map(|p| p.name.clone()))
            .collect();
        chain.push(text!(
            "handshakes with {} go unanswered",
            "与 {} 的握手没有应答",
            names.join(", ")
        ));
    }
    let (lost, of) = view.observed().share();
    // Where every request of the last step came back, the losses are told above.
    if lost > 0 {
        chain.push(text!(
            "{lost} of {of} tries through the Service fail",
            "经 Service 的 {of} 次尝试中 {lost} 次失败"
        ));
    }
}

/// What a capture at the client shows meanwhile: packets sent again look like a lossy network.
/// Gives their number.
fn sent_again(view: &View<'_>, more: &mut Vec<Seen>) -> u64 {
    let question = Question::Capture {
        interface: String::new(),
        host: None,
        port: Some(view.path.conversation.port),
        millis: CAPTURE_MS,
    };
    let Some(answered) = view.ask(view.path.vantage(), question) else {
        return 0;
    };
    let Answer::Capture(flows) = &answered.answer else {
        return 0;
    };
    let again: u64 = flows.iter().map(|f| f.retransmissions).sum();
    let of = |fits: fn(&&Flow) -> bool| flows.iter().filter(fits).count();
    let unanswered = of(|f| f.syns > 0 && f.backward == 0);
    if again > 0 || unanswered > 0 {
        let text = text!(
            "capture at the client, {CAPTURE_MS} ms: {again} TCP retransmissions in {hurt} of {all} connections, {unanswered} handshakes without any answer",
            "客户端抓包 {CAPTURE_MS} 毫秒：{all} 个连接中有 {hurt} 个共 {again} 次 TCP 重传，{unanswered} 次握手毫无应答",
            hurt = of(|f| f.retransmissions > 0),
            all = flows.len()
        );
        more.push(view.saw(HopKind::Path, answered, text));
    }
    again
}

/// ICMP to the same pods, to tell a stalled process from a lossy network; nothing unless all of it
/// was answered.
fn network_is_clean(view: &View<'_>, pods: &[&Object]) -> Vec<Seen> {
    let mut outcomes = Vec::new();
    let mut seen = Vec::new();
    for b in view.path.backends.iter().take(pods.len().max(1)) {
        let question = Question::Echo {
            to: b.address,
            count: 3,
            timeout_ms: 500,
        };
        if let Some(a) = view.ask(view.path.vantage(), question) {
            let all = attempts(a);
            let how = tally(all.iter().map(|t| t.outcome));
            outcomes.extend(all.iter().map(|t| t.outcome));
            seen.push(view.saw(
                HopKind::Path,
                a,
                text!(
                    "ICMP echo to {}: {how}",
                    "ICMP echo 到 {}：{how:#}",
                    b.address
                ),
            ));
        }
    }
    if outcomes.is_empty() || outcomes.iter().any(|o| *o != Outcome::Answered) {
        return Vec::new();
    }
    seen
}
