//! Agents at the places where questions are asked: found in what runs, else made.

use super::hand::{Hand, OtherVersion};
use super::made::{self, MadePod, Silent};
use super::{Level, Live, Stand};
use crate::clock;
use anyhow::Result;
use netshoot_api::live::{Resource, Selection};
use netshoot_model::object::{Object, at};

/// Neither in a pod nor from its node.
#[derive(Debug)]
pub(super) struct AlsoNode {
    /// Why not in the pod: less would be needed there.
    pub first: anyhow::Error,
    node: String,
    e: anyhow::Error,
}

impl std::fmt::Display for AlsoNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let AlsoNode { first, node, e } = self;
        write!(f, "{first:#}; and from node {node}: {e:#}")
    }
}

impl std::error::Error for AlsoNode {}

impl Live {
    /// An agent in what runs already.
    pub(super) fn found(&self, stand: &Stand) -> Result<Option<(Hand, Option<MadePod>)>> {
        match stand {
            Stand::Pod(namespace, name) => {
                let Some(pod) = self.find("Pod", namespace, name) else {
                    return Ok(None);
                };
                for container in ours(pod) {
                    match Hand::reach(&self.cluster, namespace, name, &container, true) {
                        Ok(hand) => return Ok(Some((hand, None))),
                        // It is told unless the next step brings one that is understood.
                        Err(e) if e.is::<OtherVersion>() => return Err(e),
                        // What is called so and is not.
                        Err(_) => {}
                    }
                }
                Ok(None)
            }
            Stand::Node(node) | Stand::Seeing(node) => {
                let which = Selection {
                    // The agent of another diagnosis goes with that one, at any moment.
                    labels: "app.kubernetes.io/name=netshoot,netshoot/role!=agent".into(),
                    fields: format!("spec.nodeName={node},status.phase=Running"),
                };
                let namespace = &self.request.namespace;
                let all = self.cluster.list(&Resource::pods(), namespace, &which);
                for pod in all.unwrap_or_default() {
                    if pod.get("spec.hostNetwork").as_bool() != Some(true) {
                        continue;
                    }
                    let container = at(pod.get("spec.containers"), "0.name")
                        .as_str()
                        .unwrap_or("");
                    let reached =
                        Hand::reach(&self.cluster, pod.namespace(), pod.name(), container, true);
                    if let Ok(mut hand) = reached {
                        hand.sees_node = pod.get("spec.hostPID").as_bool() == Some(true)
                            && hand.has("CAP_SYS_ADMIN");
                        if !hand.sees_node && matches!(stand, Stand::Seeing(_)) {
                            continue;
                        }
                        return Ok(Some((hand, None)));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Makes an agent.
    pub(super) fn make(&self, stand: &Stand) -> Result<Option<(Hand, Option<MadePod>)>> {
        match stand {
            Stand::Pod(namespace, name) => {
                let pod = self.find("Pod", namespace, name);
                let pod =
                    pod.ok_or_else(|| anyhow::anyhow!("pod {namespace}/{name} is not known"))?;
                let node = pod.str("spec.nodeName").to_string();
                self.is_heard(&node)?;
                let made = made::ephemeral(
                    &self.cluster,
                    pod,
                    &self.how.image,
                    &letters(name),
                    &self.heard,
                )
                .and_then(|c| Hand::reach(&self.cluster, namespace, name, &c, false));
                match made {
                    Ok(hand) => Ok(Some((hand, None))),
                    Err(e) if e.is::<Silent>() => Err(self.unheard(&node, e)),
                    // From its node one can enter it all the same.
                    Err(first) if self.most >= Level::Node => self
                        .on_node(&node, true)
                        .map_err(|e| AlsoNode { first, node, e }.into()),
                    Err(e) => Err(e),
                }
            }
            Stand::Node(node) => self.on_node(node, false),
            Stand::Seeing(node) => self.on_node(node, true),
        }
    }

    /// Nothing more is made where the kubelet was waited for in vain: it would be waited for again.
    fn is_heard(&self, node: &str) -> Result<()> {
        match self.silent.lock() {
            Ok(silent) if silent.contains(node) => {
                anyhow::bail!("nothing more is made on node {node}, its kubelet was silent before")
            }
            _ => Ok(()),
        }
    }

    fn unheard(&self, node: &str, e: anyhow::Error) -> anyhow::Error {
        if let Ok(mut silent) = self.silent.lock() {
            silent.insert(node.into());
        }
        e
    }

    fn on_node(&self, node: &str, sees: bool) -> Result<Option<(Hand, Option<MadePod>)>> {
        self.is_heard(node)?;
        let mut last = None;
        // The namespace in question may admit no such pod; the system's own usually does.
        for namespace in [self.request.namespace.as_str(), netshoot_api::facts::SYSTEM] {
            // Owed from before it is made: Ctrl-C may come in between.
            let made = made::named(namespace, node, &letters(node));
            if let Ok(mut all) = self.made.lock() {
                all.push(made.clone());
            }
            let done = made::on_node(&self.cluster, &made, node, sees, &self.how.image);
            if let Err(e) = done {
                last = last.or(Some(e));
                continue;
            }
            // One that was admitted and does not start would not start elsewhere either.
            match made::starts(&self.cluster, &made, &self.heard) {
                Err(e) if e.is::<Silent>() => return Err(self.unheard(node, e)),
                started => started?,
            }
            match Hand::reach(&self.cluster, namespace, &made.name, "agent", false) {
                Ok(mut hand) => {
                    hand.sees_node = sees;
                    return Ok(Some((hand, Some(made))));
                }
                Err(e) => {
                    let _ = made.delete(&self.cluster);
                    return Err(e);
                }
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no namespace to make a pod in")))
    }
}

/// Containers of a pod that may hold our program, running ones, the latest first.
fn ours(pod: &Object) -> Vec<String> {
    let mut all = Vec::new();
    for (spec, status) in [
        (
            "spec.ephemeralContainers",
            "status.ephemeralContainerStatuses",
        ),
        ("spec.containers", "status.containerStatuses"),
    ] {
        for c in pod.list(spec).iter().rev() {
            let name = at(c, "name").as_str().unwrap_or("");
            let image = at(c, "image").as_str().unwrap_or("");
            let runs = pod
                .list(status)
                .iter()
                .any(|s| at(s, "name").as_str() == Some(name) && !at(s, "state.running").is_null());
            // The agent of another diagnosis goes with that one, at any moment.
            let agent = at(c, "command.1").as_str() == Some("agent");
            if runs && !agent && image.contains("netshoot") {
                all.push(name.to_string());
            }
        }
    }
    all
}

/// Letters that no other run beside this one has.
fn letters(place: &str) -> String {
    let mut n = clock::now_ms() ^ (u64::from(std::process::id()) << 24);
    for b in place.bytes() {
        n = n.wrapping_mul(31).wrapping_add(u64::from(b));
    }
    (0..6)
        .map(|i| {
            let digit = (n >> (5 * i)) % 32;
            char::from_digit(digit as u32, 36).unwrap_or('x')
        })
        .collect()
}
