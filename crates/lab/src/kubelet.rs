//! Pods to processes: start, probe, restart, status, events.
//!
//! One value plays the kubelets of all nodes; a node whose kubelet is stopped is passed by: its
//! processes go on, nothing about them is written any more. [`container`] is the life of one
//! container, [`probes`] what is asked of it, [`launch`] what it is started with, [`status`] what
//! the API shows of it. Absent: init containers, images, volumes other than ConfigMap and Secret.

pub mod container;
pub mod launch;
pub mod node;
pub mod probes;
pub mod status;

use crate::ground::Ground;
use crate::real::Real;
use crate::shape::{self, list, text};
use crate::store::Store;
use crate::store::defaults::{offset, parse_cidr};
use crate::world::{Plan, PodBehaviour};
use container::Container;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// From a pod's deletion to the signal: kubelet and runtime take this long, and rules follow
/// endpoints in that time.
const SIGNAL_MS: u64 = 150;
/// How long a sandbox stays after its last process ended: its runtime needs that too.
const TEARDOWN_MS: u64 = 300;
/// Pods admitted within this time were there when the world began.
const BEGINNING_MS: u64 = 3_000;
/// The longest a container may take to end when asked to.
const GRACE_MS: u64 = 2_000;

/// The highest number of a pod's address in its node's range.
const MOST_PODS: u128 = 253;

fn ranges(node: &Value) -> Vec<(IpAddr, u8)> {
    let all = shape::texts(node, "spec.podCIDRs");
    all.iter().filter_map(|r| parse_cidr(r)).collect()
}

/// The number of the last address of a range that a pod may have: the one before the broadcast address.
fn last_host(range: &(IpAddr, u8)) -> u128 {
    let all = if range.0.is_ipv4() { 32 } else { 128 };
    let hosts = 1u128.checked_shl(u32::from(all - range.1.min(all)));
    hosts.map_or(MOST_PODS, |h| h.saturating_sub(2).min(MOST_PODS))
}

/// What host-local says through the kubelet when a range has no address left.
fn used_up(node: &Value) -> String {
    let sets: Vec<String> = ranges(node)
        .iter()
        .map(|r| format!("{}-{}", offset(r.0, 1), offset(r.0, last_host(r))))
        .collect();
    format!(
        "Failed to create pod sandbox: plugin type=\"bridge\" failed (add): failed to allocate for range 0: \
         no IP addresses available in range set: {}",
        sets.join(",")
    )
}

/// The kubelets of a world.
pub struct Kubelets {
    ground: Arc<Ground>,
    plan: Plan,
    /// Address of the cluster's DNS that kubelets write into resolv.conf.
    cluster_dns: Vec<String>,
    /// What some pods do since a later moment, the newest first.
    later: Vec<PodBehaviour>,
    pods: BTreeMap<String, Sandbox>,
    /// Pods that got no network when they were last tried.
    unplugged: BTreeSet<String>,
    /// The next address to give on a node.
    next: BTreeMap<String, u128>,
    nodes: node::Heartbeats,
    answers: (Sender<probes::Answer>, Receiver<probes::Answer>),
    began_ms: u64,
    real: Option<Arc<Real>>,
}

/// One pod on its node.
pub(crate) struct Sandbox {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub node: String,
    pub addresses: Vec<IpAddr>,
    pub started_ms: u64,
    pub containers: Vec<Container>,
    /// Since when it is on its way out, and since when nothing runs there any more.
    ending: Option<u64>,
    empty: Option<u64>,
    /// Its processes were asked to end.
    asked: bool,
    /// Was ready at least once.
    pub was_ready: bool,
}

/// What a pass looks at.
pub struct Round<'a> {
    /// The objects.
    pub store: &'a Store,
    /// Whether the kubelet of a node runs.
    pub runs: &'a dyn Fn(&str) -> bool,
    /// Whether the network plugin of a node runs: without it no new pod gets a network.
    pub plugged: &'a dyn Fn(&str) -> bool,
    /// Milliseconds since 1970.
    pub now_ms: u64,
}

impl Kubelets {
    /// For the nodes of a ground; `cluster_dns` is what pods get as their name server.
    pub fn new(ground: Arc<Ground>, plan: &Plan, cluster_dns: Vec<String>) -> Kubelets {
        Kubelets {
            ground,
            plan: plan.clone(),
            cluster_dns,
            later: Vec::new(),
            pods: BTreeMap::new(),
            unplugged: BTreeSet::new(),
            next: BTreeMap::new(),
            nodes: node::Heartbeats::default(),
            answers: channel(),
            began_ms: netshoot_host::clock::now_ms(),
            real: None,
        }
    }

    /// From now on containers of the cluster's DNS are upstream's.
    pub fn run_on(&mut self, real: Arc<Real>) {
        self.real = Some(real);
    }

    /// From now on some pods do something else: what runs of them is started anew with it.
    pub fn behave(&mut self, behaviour: PodBehaviour) {
        self.later.insert(0, behaviour);
    }

    /// Pods (uid) that were ready at least once, or of which nothing better can come: their
    /// containers crash, wait for what is missing, or keep failing their probes.
    pub fn settled(&self) -> BTreeSet<String> {
        self.pods
            .values()
            .filter(|p| p.was_ready || p.containers.iter().any(Container::is_stuck))
            .map(|p| p.uid.clone())
            .chain(self.unplugged.iter().cloned())
            .collect()
    }

    /// A pod whose program was asked to read its settings again and has not said that it did.
    pub fn reloading(&self) -> Option<String> {
        let busy = |p: &&Sandbox| p.containers.iter().any(Container::is_reloading);
        let pod = self.pods.values().find(busy)?;
        Some(format!("{}/{}", pod.namespace, pod.name))
    }

    /// Pods of the host's daemons that were started since the last call: node and container name.
    pub fn started_daemons(&mut self) -> Vec<(String, String)> {
        let fresh = |p: &mut Sandbox| {
            let node = p.node.clone();
            p.containers
                .iter_mut()
                .filter_map(move |c| c.take_fresh().then(|| (node.clone(), c.name.clone())))
                .collect::<Vec<_>>()
        };
        self.pods.values_mut().flat_map(fresh).collect()
    }

    /// One pass over all nodes whose kubelet runs.
    pub fn pass(&mut self, round: &Round<'_>) {
        self.nodes.pass(round, &self.ground, &self.pods);
        while let Ok(answer) = self.answers.1.try_recv() {
            if let Some(pod) = self.pods.get_mut(&answer.pod) {
                let about = round
                    .store
                    .find("Pod", &pod.namespace, &pod.name)
                    .filter(|p| shape::uid(p) == answer.pod);
                if let (Some(about), true) = (about, (round.runs)(&pod.node)) {
                    probes::take(pod, &answer, &about, round, &self.ground);
                }
            }
        }
        let objects = round.store.of("Pod");
        for object in &objects {
            let node = text(object, "spec.nodeName");
            if node.is_empty() || !(round.runs)(node) {
                continue;
            }
            if !self.pods.contains_key(shape::uid(object)) {
                self.admit(object, round);
            }
            self.keep(object, round);
        }
        // Objects that went without their kubelet: nothing may stay behind.
        let known: BTreeSet<&str> = objects.iter().map(|o| shape::uid(o)).collect();
        self.unplugged.retain(|uid| known.contains(uid.as_str()));
        let lost: Vec<String> = self
            .pods
            .keys()
            .filter(|uid| !known.contains(uid.as_str()))
            .cloned()
            .collect();
        for uid in lost {
            self.ground.remove_pod(&uid);
            self.pods.remove(&uid);
        }
    }

    fn admit(&mut self, object: &Value, round: &Round<'_>) {
        let node_name = text(object, "spec.nodeName").to_string();
        let Some(node) = round.store.find("Node", "", &node_name) else {
            return;
        };
        if shape::is_ending(object)
            || matches!(text(object, "status.phase"), "Succeeded" | "Failed")
        {
            if shape::is_ending(object) {
                round
                    .store
                    .remove("Pod", shape::namespace(object), shape::name(object));
            }
            return;
        }
        let host = shape::truth(object, "spec.hostNetwork");
        if !host && !(round.plugged)(&node_name) {
            if !round.store.said_lately(object, "NetworkNotReady", 1_000) {
                let words = format!("network is not ready: {}", node::UNPLUGGED);
                let source = ("kubelet", node_name.as_str());
                round
                    .store
                    .event(object, "Warning", "NetworkNotReady", &words, source);
            }
            self.unplugged.insert(shape::uid(object).to_string());
            return;
        }
        let addresses = if host {
            status::node_addresses(&node)
        } else {
            self.addresses(&node)
        };
        let uid = shape::uid(object).to_string();
        if addresses.is_empty() {
            if !round
                .store
                .said_lately(object, "FailedCreatePodSandBox", 1_000)
            {
                round.store.event(
                    object,
                    "Warning",
                    "FailedCreatePodSandBox",
                    &used_up(&node),
                    ("kubelet", &node_name),
                );
            }
            self.unplugged.insert(uid);
            return;
        }
        self.unplugged.remove(&uid);
        if let Err(e) = self.ground.add_pod(&uid, &node_name, &addresses, host) {
            let words = format!("Failed to create pod sandbox: {e}");
            round.store.event(
                object,
                "Warning",
                "FailedCreatePodSandBox",
                &words,
                ("kubelet", &node_name),
            );
            return;
        }
        let mut containers: Vec<Container> = list(object, "spec.containers")
            .iter()
            .map(|c| Container::new(c, &uid))
            .collect();
        let labels = shape::labels(object);
        let happened = |p: &&crate::world::Past| {
            p.namespace == shape::namespace(object)
                && p.labels.iter().all(|(k, v)| labels.get(k) == Some(v))
        };
        // Only pods that are there from the beginning have a past.
        if let (Some(past), true) = (
            self.plan.past.iter().find(happened),
            round.now_ms.saturating_sub(self.began_ms) < BEGINNING_MS,
        ) {
            containers
                .iter_mut()
                .for_each(|c| c.remember(past, round.now_ms));
        }
        let pod = Sandbox {
            namespace: shape::namespace(object).into(),
            name: shape::name(object).into(),
            uid: uid.clone(),
            node: node_name,
            addresses,
            started_ms: round.now_ms,
            containers,
            ending: None,
            empty: None,
            asked: false,
            was_ready: false,
        };
        self.pods.insert(uid, pod);
    }

    /// One free address of each of the node's pod ranges, as host-local IPAM gives them: the next.
    fn addresses(&mut self, node: &Value) -> Vec<IpAddr> {
        let next = self.next.entry(shape::name(node).to_string()).or_insert(2);
        let ranges = ranges(node);
        let last = ranges.iter().map(last_host).min().unwrap_or(MOST_PODS);
        let used: BTreeSet<IpAddr> = self
            .pods
            .values()
            .flat_map(|p| p.addresses.iter().copied())
            .collect();
        for _ in 1..last {
            let n = *next;
            *next = if n >= last { 2 } else { n + 1 };
            let candidates: Vec<IpAddr> = ranges.iter().map(|r| offset(r.0, n)).collect();
            if candidates.iter().all(|c| !used.contains(c)) {
                return candidates;
            }
        }
        Vec::new()
    }

    fn keep(&mut self, object: &Value, round: &Round<'_>) {
        let Some(mut pod) = self.pods.remove(shape::uid(object)) else {
            return;
        };
        if shape::is_ending(object) {
            if !self.end(&mut pod, object, round) {
                status::write(&pod, object, round);
                self.pods.insert(pod.uid.clone(), pod);
            }
            return;
        }
        let node = round.store.find("Node", "", &pod.node);
        let site = launch::Site {
            store: round.store,
            pod: object,
            node: node.as_deref(),
            addresses: &pod.addresses,
            cluster_dns: &self.cluster_dns,
            outside: self.ground.resolver(),
        };
        for container in &mut pod.containers {
            let behaviour =
                launch::behaviour(object, &container.name, &self.later, &self.plan.behaviour);
            container.pass(&container::Turn {
                site: &site,
                behaviour: &behaviour,
                real: self.real.as_deref(),
                ground: &self.ground,
                pace: &self.plan.pace,
                now_ms: round.now_ms,
            });
        }
        if let Some(network) = self.ground.node(&pod.node) {
            probes::ask_due(
                &mut pod,
                object,
                &network,
                &self.answers.0,
                &self.plan.pace,
                round.now_ms,
            );
        }
        pod.was_ready |= status::is_ready(&pod);
        status::write(&pod, object, round);
        self.pods.insert(pod.uid.clone(), pod);
    }

    /// Takes a pod down step by step; true when it is gone.
    fn end(&self, pod: &mut Sandbox, object: &Value, round: &Round<'_>) -> bool {
        let since = *pod.ending.get_or_insert(round.now_ms);
        if !pod.asked && round.now_ms.saturating_sub(since) >= SIGNAL_MS {
            pod.asked = true;
            for container in &pod.containers {
                if let Some(pid) = container.pid() {
                    let about = container::part(object, &container.name);
                    let words = format!("Stopping container {}", container.name);
                    round
                        .store
                        .event(&about, "Normal", "Killing", &words, ("kubelet", &pod.node));
                    self.ground.stop(pid, false);
                }
            }
        }
        let grace = (shape::int(object, "metadata.deletionGracePeriodSeconds")
            .unwrap_or(30)
            .unsigned_abs()
            * 1000)
            .min(GRACE_MS);
        let late = round.now_ms.saturating_sub(since) > grace;
        for container in &mut pod.containers {
            container.reap(&self.ground, round.now_ms);
            if let (Some(pid), true) = (container.pid(), late) {
                self.ground.stop(pid, true);
            }
        }
        if pod.containers.iter().any(|c| c.pid().is_some()) {
            return false;
        }
        let empty = *pod.empty.get_or_insert(round.now_ms);
        if round.now_ms.saturating_sub(empty) < TEARDOWN_MS {
            return false;
        }
        self.ground.remove_pod(&pod.uid);
        round.store.remove("Pod", &pod.namespace, &pod.name);
        true
    }
}
