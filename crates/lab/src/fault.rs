//! What breaks a world: each [`Action`] carried out on objects and ground.

mod rules;

use crate::Error;
use crate::serve::command;
use crate::standing::Standing;
use crate::store::PatchKind;
use crate::world::{Action, Fault, Reference};
use netshoot_host::link;
use netshoot_host::netns::NetNs;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The daemons of a node.
const DAEMONS: [&str; 4] = ["kubelet", "kube-proxy", "policy-agent", "network-plugin"];

/// Which daemons of which nodes are stopped. All others run.
#[derive(Debug, Default)]
pub struct Daemons {
    stopped: Mutex<BTreeSet<(String, String)>>,
}

impl Daemons {
    /// Whether `kubelet`, `kube-proxy`, `policy-agent` or `network-plugin` of a node runs. One that does not run does
    /// nothing: what it wrote stays as it is.
    pub fn running(&self, node: &str, name: &str) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        !stopped.contains(&(node.to_string(), name.to_string()))
    }

    /// Stops or starts one.
    pub fn set(&self, node: &str, name: &str, running: bool) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let daemon = (node.to_string(), name.to_string());
        if running {
            stopped.remove(&daemon);
        } else {
            stopped.insert(daemon);
        }
    }
}

/// Carries out what is due at the start, in order.
pub fn at_start(standing: &Standing, faults: &[Fault]) -> Result<(), Error> {
    faults
        .iter()
        .filter(|f| f.at_ms == 0)
        .try_for_each(|f| carry_out(standing, &f.action))
}

/// Carries out the others, each at its moment after now, on a thread of its own. One that cannot
/// be carried out is told to `complain`.
pub fn later(
    standing: &Arc<Standing>,
    faults: &[Fault],
    complain: impl Fn(String) + Send + 'static,
) -> Result<(), Error> {
    let mut due: Vec<Fault> = faults.iter().filter(|f| f.at_ms > 0).cloned().collect();
    if due.is_empty() {
        return Ok(());
    }
    due.sort_by_key(|f| f.at_ms);
    let (standing, began) = (standing.clone(), Instant::now());
    let each = move || {
        for fault in due {
            std::thread::sleep(Duration::from_millis(fault.at_ms).saturating_sub(began.elapsed()));
            if let Err(e) = carry_out(&standing, &fault.action) {
                complain(format!("at {} ms: {e}", fault.at_ms));
            }
        }
    };
    let started = std::thread::Builder::new()
        .name("faults".into())
        .spawn(each);
    started.map(drop).map_err(|source| {
        netshoot_host::Error::System {
            tried: "start a thread",
            on: "the world's faults".into(),
            source,
        }
        .into()
    })
}

/// Carries out one action.
pub fn carry_out(standing: &Standing, action: &Action) -> Result<(), Error> {
    let store = &standing.store;
    match action {
        Action::Patch { object: o, patch } => store
            .patch(&o.kind, &o.namespace, &o.name, PatchKind::Strategic, patch)
            .map(drop),
        Action::Apply(object) => store.apply(object.clone()).map(drop),
        Action::Delete(o) => store.delete(&o.kind, &o.namespace, &o.name).map(drop),
        Action::Restart(o) => restart(standing, o),
        Action::Sysctl { node, name, value } => {
            node_network(standing, node)?.enter(|| crate::ground::sysctl::write(name, value))?
        }
        Action::Link {
            node,
            interface,
            down,
            mtu,
            hairpin,
        } => change_link(standing, node, interface, (*down, *mtu, *hairpin)),
        Action::Drop {
            node,
            hook,
            protocol,
            port,
        } => {
            let rule = rules::Firewall {
                hook,
                protocol,
                port: *port,
            };
            node_network(standing, node)?.enter(|| rules::firewall(&rule))?
        }
        Action::ForwardPolicy { node, drop, accept } => {
            node_network(standing, node)?.enter(|| rules::forward_policy(*drop, accept))?
        }
        Action::RouteGone { node, to_node } => standing.ground.forget_routes(node, to_node),
        Action::Daemon {
            node,
            name,
            running,
        } => {
            if !DAEMONS.contains(&name.as_str()) {
                return Err(Error::Absent {
                    what: format!("a node has no daemon {name}: {}", DAEMONS.join(", ")),
                });
            }
            node_network(standing, node)?;
            standing.daemons.set(node, name, *running);
            standing.wake();
            Ok(())
        }
        Action::Cable(cable) => standing.ground.set_cable(cable),
        Action::Behave(behaviour) => {
            standing.behave(behaviour.clone());
            Ok(())
        }
        Action::Certificate {
            namespace,
            name,
            expires_in_s,
        } => standing.certificate(namespace, name, *expires_in_s),
        Action::Run { on, argv } => run(standing, on, argv),
    }
}

fn node_network(standing: &Standing, node: &str) -> Result<Arc<NetNs>, Error> {
    standing.ground.node(node).ok_or_else(|| Error::Absent {
        what: format!("node {node} is not in this world"),
    })
}

/// What `kubectl rollout restart` does: an annotation on the template.
fn restart(standing: &Standing, o: &Reference) -> Result<(), Error> {
    let stamp = netshoot_host::clock::now_ms().to_string();
    let annotation = json!({ "kubectl.kubernetes.io/restartedAt": stamp });
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotation } } } });
    standing
        .store
        .patch(&o.kind, &o.namespace, &o.name, PatchKind::Strategic, &patch)
        .map(drop)
}

fn change_link(
    standing: &Standing,
    node: &str,
    interface: &str,
    (down, mtu, hairpin): (bool, u32, Option<bool>),
) -> Result<(), Error> {
    let (node, name) = match interface.strip_prefix("pod:") {
        Some(pod) => veth_of(standing, pod)?,
        None => (node.to_string(), interface.to_string()),
    };
    node_network(standing, &node)?.enter(|| -> Result<(), Error> {
        if mtu > 0 {
            link::set_mtu(&name, mtu)?;
        }
        if let Some(on) = hairpin {
            link::set_hairpin(&name, on)?;
        }
        if down {
            link::set_down(&name)?;
        }
        Ok(())
    })?
}

/// Node and interface of the first pod whose name starts so: `NAMESPACE/PREFIX`.
fn veth_of(standing: &Standing, words: &str) -> Result<(String, String), Error> {
    let absent = || Error::Absent {
        what: format!("pod:{words} is no pod with a cable of its own (pod:NAMESPACE/PREFIX)"),
    };
    let (namespace, prefix) = words.split_once('/').ok_or_else(absent)?;
    let text = |pod: &Value, key: &str| {
        pod.pointer(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string()
    };
    let pods = standing.store.list("Pod");
    let mut fitting = pods.iter().filter(|p| {
        text(p, "/metadata/namespace") == namespace && text(p, "/metadata/name").starts_with(prefix)
    });
    fitting
        .find_map(|p| standing.ground.veth(&text(p, "/metadata/uid")))
        .ok_or_else(absent)
}

fn run(standing: &Standing, on: &str, argv: &[String]) -> Result<(), Error> {
    let (network, resolv_conf) =
        crate::serve::network_of(standing, on).map_err(|what| Error::Absent { what })?;
    let done = command::run(&network, &resolv_conf, argv)?;
    if done.code == 0 {
        return Ok(());
    }
    Err(Error::Absent {
        what: format!(
            "{} on {on}: code {}: {}",
            argv.join(" "),
            done.code,
            done.stderr.trim()
        ),
    })
}
