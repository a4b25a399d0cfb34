//! What the policy checks share: the verdict of the policies on this conversation, and the proof
//! that nothing else stops it.

use crate::check::View;
use crate::checks::places::lost;
use crate::finding::Seen;
use crate::object::{Object, ObjectRef};
use crate::observe::{CONNECT_MS, attempts, tally};
use crate::path::HopKind;
use crate::policy::{Direction, End, Miss, NearMiss, Side, Suggestion, verdict};
use crate::probe::{Answered, Outcome, Question};
use crate::remedy::Step;
use crate::text;
use crate::text::Text;
use crate::topology::Endpoint;
use std::net::{IpAddr, SocketAddr};

/// A conversation that policies deny and nothing else stops.
pub struct Denied<'v, 'a> {
    /// The endpoint.
    pub endpoint: &'v Endpoint,
    /// Its pod.
    pub server: &'a Object,
    /// The client's lost handshake.
    pub connect: &'a Answered,
    /// Which side denies.
    pub direction: Direction,
    /// That side.
    pub side: Side,
    /// The same handshake from a node, which policies do not stop.
    pub from_node: Seen,
}

/// The hop of a direction.
pub fn hop(direction: Direction) -> HopKind {
    match direction {
        Direction::Egress => HopKind::EgressPolicy,
        Direction::Ingress => HopKind::IngressPolicy,
    }
}

/// All policies, namespaces and pods, as the evaluator wants them.
pub fn facts<'v, 'a>(view: &'v View<'a>) -> (&'v [&'a Object], &'v [&'a Object], &'v [&'a Object]) {
    (
        view.topology.all("NetworkPolicy"),
        view.topology.all("Namespace"),
        view.topology.all("Pod"),
    )
}

/// The client's end of a family.
pub fn client_end<'a>(view: &View<'a>, like: IpAddr) -> Option<End<'a>> {
    let address = view
        .path
        .client_addresses
        .iter()
        .copied()
        .find(|a| a.is_ipv4() == like.is_ipv4())?;
    Some(End {
        pod: view.path.client,
        address,
    })
}

/// What the policies say of one endpoint.
fn verdict_on<'a>(
    view: &View<'a>,
    endpoint: &Endpoint,
) -> Option<Option<(&'a Object, Direction, Side)>> {
    let server = endpoint.pod.as_ref().and_then(|p| view.topology.get(p))?;
    let from = client_end(view, endpoint.address)?;
    let to = End {
        pod: Some(server),
        address: endpoint.address,
    };
    let (policies, namespaces, pods) = facts(view);
    let v = verdict(
        policies,
        namespaces,
        pods,
        &from,
        &to,
        &view.path.conversation.protocol,
        endpoint.port,
    );
    let direction = if !v.egress.allowed {
        Direction::Egress
    } else if !v.ingress.allowed {
        Direction::Ingress
    } else {
        return Some(None);
    };
    Some(Some((server, direction, v.side(direction).clone())))
}

/// A conversation that policies would deny, as the objects say; nobody could try it.
pub struct Suspected<'v, 'a> {
    /// The first such endpoint.
    pub endpoint: &'v Endpoint,
    /// Its pod.
    pub server: &'a Object,
    /// Which side denies.
    pub direction: Direction,
    /// That side.
    pub side: Side,
    /// Endpoints denied, and endpoints judged.
    pub share: (usize, usize),
}

impl Suspected<'_, '_> {
    /// `pod client-a to port 8080 of pod web-1 (all 3 endpoints)`.
    pub fn conversation(&self, client: &Object) -> Text {
        let (denied, of) = self.share;
        let share = match of {
            0 | 1 => Text::default(),
            n if n == denied => text!(" (all {n} endpoints)", "（全部 {n} 个端点）"),
            n => text!(
                " ({denied} of {n} endpoints)",
                "（{n} 个端点中的 {denied} 个）"
            ),
        };
        text!(
            "pod {} to port {} of pod {}{share}",
            "pod {} 到端口 {}（pod {}）{share:#}",
            client.name(),
            self.endpoint.port,
            self.server.name()
        )
    }
}

/// What policies would deny, where the conversation could not be tried: a suspicion for want of a
/// network, never a proof. None as soon as anything was tried: then [`denied`] decides.
pub fn suspected<'v, 'a>(view: &'v View<'a>) -> Option<Suspected<'v, 'a>> {
    view.path.client?;
    if !view.observed().untried() {
        return None;
    }
    let judged: Vec<_> = view
        .path
        .backends
        .iter()
        .filter_map(|e| Some((e, verdict_on(view, e)?)))
        .collect();
    let of = judged.len();
    let denied = judged.iter().filter(|(_, v)| v.is_some()).count();
    let (endpoint, (server, direction, side)) =
        judged.into_iter().find_map(|(e, v)| Some((e, v?)))?;
    Some(Suspected {
        endpoint,
        server,
        direction,
        side,
        share: (denied, of),
    })
}

/// The namespace that a rule of that direction would have to let in.
pub fn peer<'o>(direction: Direction, client: &'o Object, server: &'o Object) -> &'o str {
    match direction {
        Direction::Egress => server.namespace(),
        Direction::Ingress => client.namespace(),
    }
}

/// The first lost endpoint that policies deny, with the proof; egress is looked at first.
pub fn denied<'v, 'a>(view: &'v View<'a>) -> Option<Denied<'v, 'a>> {
    view.path.client?;
    for (endpoint, connect) in lost(view) {
        let Some(Some((server, direction, side))) = verdict_on(view, endpoint) else {
            continue;
        };
        let node = if direction == Direction::Egress {
            view.path.client_node.clone()
        } else {
            endpoint.node.clone()
        };
        let to = SocketAddr::new(endpoint.address, endpoint.port);
        let question = Question::TcpConnect {
            to,
            tries: 1,
            timeout_ms: CONNECT_MS,
        };
        let Some(decider) = view.ask(view.node(&node), question) else {
            continue;
        };
        let outcomes = attempts(decider).iter().map(|t| t.outcome);
        // From the node the handshake must come through (or be refused by the pod itself): then it
        // is the policy, and not the way, that loses the client's.
        if !outcomes
            .clone()
            .any(|o| matches!(o, Outcome::Answered | Outcome::Refused))
        {
            continue;
        }
        let from_node = view.saw(hop(direction), decider, from_node(&node, outcomes));
        return Some(Denied {
            endpoint,
            server,
            connect,
            direction,
            side,
            from_node,
        });
    }
    None
}

/// What became of the handshake when a node made it.
pub fn from_node(node: &str, outcomes: impl Iterator<Item = Outcome>) -> Text {
    let how = tally(outcomes);
    text!(
        "the same handshake from node {node}: {how}",
        "从节点 {node} 做同样的握手：{how:#}"
    )
}

/// No rule of the policy fits.
pub fn no_rule_fits(selected: &str, rules: usize) -> Text {
    text!(
        "selects {selected}; none of its {rules} rules fits",
        "选中 {selected}；其 {rules} 条规则均不匹配"
    )
}

/// The client's handshake got no answer.
pub fn no_answer(client: &str, to: SocketAddr) -> Text {
    text!(
        "TCP connect from pod {client} to {to}: no answer",
        "从 pod {client} 发起的 TCP 连接 {to}：无应答"
    )
}

/// What did not fit, in a line.
pub fn misses(near: &NearMiss) -> Text {
    Text::row(&near.misses.iter().map(Miss::says).collect::<Vec<_>>())
}

/// How a denied packet ends.
pub fn syn_dropped() -> Text {
    text!(
        "the SYN is dropped without an answer",
        "SYN 被丢弃，没有任何应答"
    )
}

/// The rule that would let the peer in if only its namespace carried a label that no namespace
/// carries.
pub fn lacking_label<'s>(side: &'s Side, peer: &str) -> Option<&'s NearMiss> {
    side.near_misses.iter().find(|n| {
        matches!(n.misses.as_slice(), [Miss::Namespace { namespace, selects: 0, .. }] if namespace == peer)
    })
}

/// Suggestions as steps.
pub fn steps(suggestions: Vec<Suggestion>) -> Vec<Step> {
    suggestions
        .into_iter()
        .map(|s| match s {
            Suggestion::Patch { object, patch, .. } => Step::Patch {
                object,
                strategic: false,
                patch,
            },
            Suggestion::Create { object, .. } => Step::Create { object },
        })
        .collect()
}

/// `a, b` of object names.
pub fn names(all: &[ObjectRef]) -> String {
    all.iter()
        .map(|r| r.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
