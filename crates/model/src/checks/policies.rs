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

/// The first lost endpoint that policies deny, with the proof; egress is looked at first.
pub fn denied<'v, 'a>(view: &'v View<'a>) -> Option<Denied<'v, 'a>> {
    view.path.client?;
    for (endpoint, connect) in lost(view) {
        let Some(server) = endpoint.pod.as_ref().and_then(|p| view.topology.get(p)) else {
            continue;
        };
        let Some(from) = client_end(view, endpoint.address) else {
            continue;
        };
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
        let from_node = view.saw(
            hop(direction),
            decider,
            format!("the same handshake from node {node}: {}", tally(outcomes)),
        );
        return Some(Denied {
            endpoint,
            server,
            connect,
            direction,
            side: v.side(direction).clone(),
            from_node,
        });
    }
    None
}

/// The rule that would let the client in if only its namespace carried a label that no namespace
/// carries.
pub fn lacking_label<'s>(side: &'s Side, client_namespace: &str) -> Option<&'s NearMiss> {
    side.near_misses.iter().find(|n| {
        matches!(n.misses.as_slice(), [Miss::Namespace { namespace, selects: 0, .. }] if namespace == client_namespace)
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
