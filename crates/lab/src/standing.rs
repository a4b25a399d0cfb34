//! A world that stands: its objects, its ground, what keeps it alive, what breaks it.

use crate::Error;
use crate::fault::{self, Daemons};
use crate::ground::Ground;
use crate::hold::Orders;
use crate::living::Living;
use crate::store::Store;
use crate::world::{Plan, Reference};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a world may take to stand, and to stand again after what breaks it at the start.
const READY: Duration = Duration::from_secs(40);

/// Everything of one world, shared by its threads.
#[derive(Debug)]
pub struct Standing {
    /// What the API server would hold.
    pub store: Arc<Store>,
    /// What the kernel holds.
    pub ground: Arc<Ground>,
    /// Which daemons of which nodes run.
    pub daemons: Arc<Daemons>,
    /// What keeps it alive.
    living: Living,
    /// The world's plan. Not for a diagnosis.
    plan: Plan,
}

impl Standing {
    /// Builds it, lets it live, breaks it; each step is told to `progress`, and what of it could
    /// not be carried out at a later moment to `complain`.
    pub(crate) fn build(
        orders: &Orders,
        progress: &dyn Fn(&str),
        complain: impl Fn(String) + Send + 'static,
    ) -> Result<Arc<Standing>, Error> {
        let world = orders.world.completed();
        progress("nodes and cables");
        let nodes: Vec<Value> = world
            .objects
            .iter()
            .filter(|o| o.get("kind").and_then(Value::as_str) == Some("Node"))
            .cloned()
            .collect();
        let ground = Arc::new(Ground::build_under(
            &world.plan.wiring,
            &nodes,
            orders.cgroup.clone(),
        )?);
        let living = Living::start(&world, ground.clone(), orders.options.real.as_ref())?;
        let (store, daemons) = (living.store().clone(), living.daemons().clone());
        let standing = Arc::new(Standing {
            store,
            ground,
            daemons,
            living,
            plan: world.plan.clone(),
        });
        if orders.options.bare {
            return Ok(standing);
        }
        crate::dns::start_outside(
            &standing.ground.outside(),
            standing.ground.resolver(),
            &world.plan.wiring.outside,
        )?;
        // Rules, probes and DNS need the socket to be there.
        crate::serve::listen(standing.clone())?;
        progress("pods");
        standing.living.ready(READY)?;
        let faults = &world.plan.faults;
        if faults.iter().any(|f| f.at_ms == 0) {
            progress("what is to be found");
            fault::at_start(&standing, faults)?;
            standing.living.ready(READY)?;
        }
        progress("time passes");
        std::thread::sleep(Duration::from_millis(world.plan.settle_ms));
        fault::later(&standing, faults, complain)?;
        Ok(standing)
    }

    /// Text of a node's own resolv.conf: the outside's resolver.
    pub fn node_resolv_conf(&self) -> String {
        self.ground
            .resolver()
            .iter()
            .map(|ip| format!("nameserver {ip}\n"))
            .collect()
    }

    /// Lets the reconcilers look again.
    pub(crate) fn wake(&self) {
        self.store.nudge();
    }

    /// What some pods do from now on.
    pub(crate) fn behave(&self, behaviour: crate::world::PodBehaviour) {
        self.living.behave(behaviour);
    }

    /// Issues the certificate of a Secret anew.
    pub(crate) fn certificate(
        &self,
        namespace: &str,
        name: &str,
        expires_in_s: i64,
    ) -> Result<(), Error> {
        self.living.certificate(namespace, name, expires_in_s)
    }

    /// Namespace and name of the first pod of the world's client.
    pub(crate) fn client_pod(&self) -> Result<(String, String), String> {
        let client = &self.plan.client;
        let text = |pod: &Value, key: &str| {
            pod.pointer(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_string()
        };
        self.store
            .list("Pod")
            .iter()
            .filter(|p| p.pointer("/metadata/deletionTimestamp").is_none())
            // In the middle of a rollout some pods have no network yet.
            .filter(|p| self.ground.pod(&text(p, "/metadata/uid")).is_some())
            .map(|p| (text(p, "/metadata/namespace"), text(p, "/metadata/name")))
            .find(|(namespace, name)| of_owner(client, namespace, name))
            .ok_or_else(|| {
                format!(
                    "{} {}/{} has no pod",
                    client.kind, client.namespace, client.name
                )
            })
    }
}

/// Pods of a Deployment, StatefulSet or DaemonSet are named after it.
fn of_owner(owner: &Reference, namespace: &str, pod: &str) -> bool {
    let rest = pod
        .strip_prefix(owner.name.as_str())
        .filter(|_| namespace == owner.namespace);
    match (owner.kind.as_str(), rest) {
        ("Pod", rest) => rest == Some(""),
        (_, Some(rest)) => {
            // NAME-HASH-POD for a Deployment, NAME-SUFFIX for the others.
            let dashes = if owner.kind == "Deployment" { 2 } else { 1 };
            rest.starts_with('-') && rest.matches('-').count() == dashes
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_belong_to_their_owner() {
        let cases = [
            ("Deployment", "web", "web-5d4f8-x2x", true),
            ("Deployment", "web", "web-api-5d4f8-x2x", false),
            ("StatefulSet", "db", "db-0", true),
            ("DaemonSet", "agent", "agent-x7x", true),
            ("Pod", "one", "one", true),
            ("Pod", "one", "one-2", false),
            ("Deployment", "web", "other-1-2", false),
        ];
        for (kind, name, pod, expected) in cases {
            let owner = Reference {
                kind: kind.into(),
                namespace: "n".into(),
                name: name.into(),
            };
            assert_eq!(of_owner(&owner, "n", pod), expected, "{kind} {name} {pod}");
            assert!(!of_owner(&owner, "other", pod));
        }
    }
}
