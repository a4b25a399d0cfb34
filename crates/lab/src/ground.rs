//! The ground a world stands on: a namespace per node with a bridge, one per pod with a veth, an
//! underlay that joins the nodes, an outside; processes inside them under memory cgroups.
//!
//! ```text
//!  outside --- lan (bridge, the switch) --- eth0 [node] cni0 --- eth0 [pod]
//! ```

pub(crate) mod accounting;
pub mod address;
pub mod cable;
pub mod container;
mod nodes;
pub mod sysctl;

use crate::Error;
use crate::hold::cgroup::Root;
use crate::relay::Relay;
use crate::world::{Cable, Wiring};
use accounting::Group;
use address::Cidr;
use container::Container;
use netshoot_host::link;
use netshoot_host::netns::NetNs;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Everything that exists in the kernel for one world. Dropping it ends it.
#[derive(Debug)]
pub struct Ground {
    cgroup: Option<Root>,
    lan: Arc<NetNs>,
    outside: Arc<NetNs>,
    resolver: Vec<IpAddr>,
    nodes: BTreeMap<String, Node>,
    pod_mtu: u32,
    pods: Mutex<BTreeMap<String, Arc<Sandbox>>>,
    containers: Mutex<Vec<(i32, Arc<Container>)>>,
    cables: Mutex<BTreeMap<String, Cable>>,
    relays: Mutex<BTreeMap<String, Relay>>,
    started: AtomicU64,
}

/// One node.
#[derive(Debug)]
struct Node {
    network: Arc<NetNs>,
    addresses: Vec<IpAddr>,
    cidrs: Vec<Cidr>,
    /// The switch's end of its cable.
    port: String,
}

/// One pod's network.
#[derive(Debug)]
struct Sandbox {
    node: String,
    network: Arc<NetNs>,
    /// The node's end of its veth; none for a pod in its node's network.
    veth: Option<String>,
    resolv_conf: Mutex<String>,
}

/// Under this pod uid [`Ground::spawn`] starts hosts of the outside.
pub const OUTSIDE: &str = "outside";

/// Ended containers whose log and last figures are kept.
const ENDED_KEPT: usize = 200;

/// A container as the node sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Process id.
    pub pid: i32,
    /// Container name.
    pub name: String,
    /// Its limit, bytes.
    pub limit: Option<u64>,
    /// Age, milliseconds.
    pub age_ms: u64,
    /// How it ended, if it did.
    pub ended: Option<Ended>,
}

/// What to start in a pod.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Pod uid.
    pub pod: String,
    /// Container name.
    pub container: String,
    /// What it does there (see [`crate::behave::Behaviour`]), as JSON.
    pub behaviour: Value,
    /// Environment of the container, `NAME`, `value`.
    pub env: Vec<(String, String)>,
    /// Memory limit, bytes.
    pub memory_limit: Option<u64>,
    /// Text of its `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Secret volumes: file path below the container's root, content.
    pub files: Vec<(String, Vec<u8>)>,
    /// A program of the machine that it becomes instead, with its arguments.
    pub program: Option<(PathBuf, Vec<String>)>,
}

/// How a container's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit code, 128 + signal when killed.
    pub code: i32,
    /// Killed because its memory limit was hit.
    pub out_of_memory: bool,
}

/// Memory accounting of one container.
#[derive(Clone, Debug, Default)]
pub struct Accounting {
    /// `cgroup v1`, `cgroup v2` or `process`.
    pub by: String,
    /// Bytes now.
    pub usage: u64,
    /// Highest since start.
    pub max_usage: u64,
    /// Times the limit was hit.
    pub limit_hits: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ground {
    /// Underlay, outside and the nodes (objects of kind Node: name, InternalIP, podCIDRs), without
    /// memory cgroups.
    pub fn build(wiring: &Wiring, nodes: &[Value]) -> Result<Ground, Error> {
        Ground::build_under(wiring, nodes, None)
    }

    /// The same, with containers under `cgroup`.
    pub fn build_under(
        wiring: &Wiring,
        nodes: &[Value],
        cgroup: Option<Root>,
    ) -> Result<Ground, Error> {
        let wired = nodes::wire(wiring, nodes)?;
        let ground = Ground {
            cgroup,
            lan: wired.lan,
            outside: wired.outside.clone(),
            resolver: wired.resolver,
            nodes: wired.nodes,
            pod_mtu: wired.pod_mtu,
            pods: Mutex::default(),
            containers: Mutex::default(),
            cables: Mutex::default(),
            relays: Mutex::default(),
            started: AtomicU64::new(0),
        };
        let outside = Sandbox {
            node: String::new(),
            network: wired.outside,
            veth: None,
            resolv_conf: Mutex::default(),
        };
        locked(&ground.pods).insert(OUTSIDE.into(), Arc::new(outside));
        for cable in &wiring.cables {
            ground.set_cable(cable)?;
        }
        Ok(ground)
    }

    /// The host network of a node.
    pub fn node(&self, name: &str) -> Option<Arc<NetNs>> {
        self.nodes.get(name).map(|n| n.network.clone())
    }

    /// Names of the nodes.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// The network beyond the underlay's gateway.
    pub fn outside(&self) -> Arc<NetNs> {
        self.outside.clone()
    }

    /// Addresses of the upstream resolver in the outside; the node's own resolv.conf names them.
    pub fn resolver(&self) -> &[IpAddr] {
        &self.resolver
    }

    /// The network of a pod (its node's for hostNetwork).
    pub fn pod(&self, uid: &str) -> Option<Arc<NetNs>> {
        self.sandbox(uid).map(|s| s.network.clone())
    }

    /// The node's end of a pod's veth: node, interface.
    pub fn veth(&self, uid: &str) -> Option<(String, String)> {
        let sandbox = self.sandbox(uid)?;
        Some((sandbox.node.clone(), sandbox.veth.clone()?))
    }

    /// Text of the resolv.conf that a pod's containers were last started with.
    pub fn resolv_conf(&self, uid: &str) -> Option<String> {
        self.sandbox(uid).map(|s| locked(&s.resolv_conf).clone())
    }

    fn sandbox(&self, uid: &str) -> Option<Arc<Sandbox>> {
        locked(&self.pods).get(uid).cloned()
    }

    /// Gives a pod its sandbox: namespace, veth on the node's bridge, addresses, routes.
    pub fn add_pod(
        &self,
        uid: &str,
        node: &str,
        addresses: &[IpAddr],
        host_network: bool,
    ) -> Result<(), Error> {
        let on = self.nodes.get(node).ok_or_else(|| Error::Absent {
            what: format!("node {node} is not in this world"),
        })?;
        let (network, veth) = if host_network {
            (on.network.clone(), None)
        } else {
            let (network, veth) = nodes::add_pod(on, uid, addresses, self.pod_mtu)?;
            (Arc::new(network), Some(veth))
        };
        let sandbox = Sandbox {
            node: node.into(),
            network,
            veth,
            resolv_conf: Mutex::default(),
        };
        locked(&self.pods).insert(uid.into(), Arc::new(sandbox));
        Ok(())
    }

    /// Takes the sandbox away, with every process in it.
    pub fn remove_pod(&self, uid: &str) {
        let sandbox = locked(&self.pods).remove(uid);
        let of_pod: Vec<_> = locked(&self.containers)
            .iter()
            .filter(|(_, c)| c.pod == uid)
            .cloned()
            .collect();
        for (_, container) in &of_pod {
            container.signal(libc::SIGKILL);
        }
        for (_, container) in &of_pod {
            container.wait(Duration::from_secs(2));
        }
        let Some(sandbox) = sandbox else { return };
        if let (Some(veth), Some(node)) = (&sandbox.veth, self.nodes.get(&sandbox.node)) {
            // Its address must be free at once; the namespace itself goes when the kernel gets to it.
            drop(node.network.enter(|| link::delete(veth)));
        }
    }

    /// Starts a container; gives its process id (in the world's PID namespace).
    pub fn spawn(&self, launch: &Launch) -> Result<i32, Error> {
        let gone = || Error::Absent {
            what: format!("pod {} has no sandbox", launch.pod),
        };
        let sandbox = self.sandbox(&launch.pod).ok_or_else(gone)?;
        locked(&sandbox.resolv_conf).clone_from(&launch.resolv_conf);
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name: String = launch
            .container
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        let group = self
            .cgroup
            .as_ref()
            .map(|root| Group::make(root, &format!("{number}-{name}"), launch.memory_limit));
        let (pid, container) = Container::start(launch, &sandbox.network, group.transpose()?)?;
        let mut containers = locked(&self.containers);
        let ended = containers
            .iter()
            .filter(|(_, c)| c.ended().is_some())
            .count();
        let mut surplus = ended.saturating_sub(ENDED_KEPT);
        containers.retain(|(old, c)| {
            let forget = c.ended().is_some() && (surplus > 0 || *old == pid);
            surplus -= usize::from(forget && surplus > 0);
            !forget
        });
        containers.push((pid, container));
        Ok(pid)
    }

    fn container(&self, pid: i32) -> Option<Arc<Container>> {
        locked(&self.containers)
            .iter()
            .rev()
            .find(|(p, _)| *p == pid)
            .map(|(_, c)| c.clone())
    }

    /// A pod's containers that were started, oldest first.
    pub fn containers(&self, uid: &str) -> Vec<Seen> {
        let all = locked(&self.containers);
        let of_pod = all.iter().filter(|(_, c)| c.pod == uid);
        of_pod
            .map(|(pid, c)| Seen {
                pid: *pid,
                name: c.name.clone(),
                limit: c.limit,
                age_ms: c.began.elapsed().as_millis() as u64,
                ended: c.ended(),
            })
            .collect()
    }

    /// Waits without blocking for a container to end.
    pub fn ended(&self, pid: i32) -> Option<Ended> {
        self.container(pid)?.ended()
    }

    /// Asks a container to end (SIGTERM, or SIGKILL when `now`).
    pub fn stop(&self, pid: i32, now: bool) {
        if let Some(c) = self.container(pid) {
            c.signal(if now { libc::SIGKILL } else { libc::SIGTERM });
        }
    }

    /// Sends a container's first process a signal.
    pub fn signal(&self, pid: i32, signal: i32) {
        if let Some(c) = self.container(pid) {
            c.signal(signal);
        }
    }

    /// What the container uses, or used when it ended.
    pub fn memory(&self, pid: i32) -> Option<Accounting> {
        Some(self.container(pid)?.memory())
    }

    /// The container's last lines of output.
    pub fn log(&self, pid: i32) -> Vec<String> {
        self.container(pid).map(|c| c.log()).unwrap_or_default()
    }

    /// The condition of one cable from now on.
    pub fn set_cable(&self, cable: &Cable) -> Result<(), Error> {
        let node = self.nodes.get(&cable.node);
        let node = node.ok_or_else(|| Error::Absent {
            what: format!("node {} is not in this world", cable.node),
        })?;
        let mut cables = locked(&self.cables);
        cables.insert(node.port.clone(), cable.clone());
        cable::relay(&self.lan, &node.port, cable, &mut locked(&self.relays))?;
        cable::apply(&self.lan, &cables)
    }

    /// Takes away a node's routes to another node's pods.
    pub fn forget_routes(&self, node: &str, to_node: &str) -> Result<(), Error> {
        let absent = |n: &str| Error::Absent {
            what: format!("node {n} is not in this world"),
        };
        let from = self.nodes.get(node).ok_or_else(|| absent(node))?;
        let to = self.nodes.get(to_node).ok_or_else(|| absent(to_node))?;
        from.network.enter(|| {
            to.cidrs
                .iter()
                .try_for_each(|c| link::del_route(c.network(), c.prefix, None, None))
        })??;
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for (_, container) in locked(&self.containers).iter() {
            container.signal(libc::SIGKILL);
        }
        for (_, container) in locked(&self.containers).iter() {
            container.wait(Duration::from_secs(2));
        }
    }
}

#[cfg(test)]
mod tests;
