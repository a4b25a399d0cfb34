//! What a kubelet says of its node: conditions, lease.

use super::{Round, Sandbox};
use crate::controllers::conditions;
use crate::ground::Ground;
use crate::shape::{self, list, rfc3339};
use serde_json::json;
use std::collections::BTreeMap;

/// How often a node speaks.
const EVERY_MS: u64 = 2_000;

/// Where memory limits are not the kernel's work here, the node says so with this annotation.
pub const PLAYED: &str = "netshoot.lab/memory-limits";

/// When each node spoke last.
#[derive(Default)]
pub(super) struct Heartbeats(BTreeMap<String, u64>);

impl Heartbeats {
    pub fn pass(&mut self, round: &Round<'_>, ground: &Ground, pods: &BTreeMap<String, Sandbox>) {
        for node in round.store.of("Node") {
            let name = shape::name(&node).to_string();
            let last = self.0.get(&name).copied();
            let plugged = (round.plugged)(&name);
            let state = if plugged { "True" } else { "False" };
            let unknown = shape::condition(&node, "Ready") != state;
            if !(round.runs)(&name)
                || (last.is_some_and(|l| round.now_ms.saturating_sub(l) < EVERY_MS) && !unknown)
            {
                continue;
            }
            self.0.insert(name.clone(), round.now_ms);
            let played = pods
                .values()
                .filter(|p| p.node == name)
                .flat_map(|p| &p.containers)
                .filter_map(|c| ground.memory(c.pid()?))
                .any(|m| m.by == "process");
            say(round, &name, played, plugged);
            if last.is_none() {
                round.store.event(
                    &node,
                    "Normal",
                    "Starting",
                    "Starting kubelet.",
                    ("kubelet", &name),
                );
            }
            if unknown {
                let word = if plugged { "NodeReady" } else { "NodeNotReady" };
                round.store.event(
                    &node,
                    "Normal",
                    word,
                    &format!("Node {name} status is now: {word}"),
                    ("kubelet", &name),
                );
            }
        }
    }
}

/// What a runtime without a network says of itself (containerd, through the kubelet).
pub(super) const UNPLUGGED: &str = "container runtime network not ready: NetworkReady=false \
    reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";

fn say(round: &Round<'_>, name: &str, played: bool, plugged: bool) {
    let now = rfc3339(round.now_ms);
    let well = [
        (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available".to_string(),
        ),
        (
            "DiskPressure",
            "False",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure".to_string(),
        ),
        (
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available".to_string(),
        ),
        if plugged {
            (
                "Ready",
                "True",
                "KubeletReady",
                "kubelet is posting ready status".to_string(),
            )
        } else {
            ("Ready", "False", "KubeletNotReady", UNPLUGGED.to_string())
        },
    ];
    // A node that went in between says nothing.
    let _ = round.store.edit("Node", "", name, |node| {
        let mut made = conditions(list(node, "status.conditions"), &well, &now, None);
        for condition in made.as_array_mut().into_iter().flatten() {
            condition["lastHeartbeatTime"] = json!(now);
        }
        let status = shape::child(node, "status");
        status.insert("conditions".into(), made);
        for what in ["capacity", "allocatable"] {
            status.entry(what).or_insert(json!({"cpu": "2", "memory": "4Gi", "pods": "110"}));
        }
        status.entry("nodeInfo").or_insert(json!({
            "architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.37.2", "kubeProxyVersion": "", "containerRuntimeVersion": "containerd://1.6.20",
            "kernelVersion": "6.18.0", "osImage": "Debian GNU/Linux 12 (bookworm)"}));
        if played {
            let notes = shape::child(node, "metadata").entry("annotations").or_insert(json!({}));
            notes[PLAYED] = json!("played: no memory cgroup here, a process over its limit is killed by its kubelet's stand-in");
        }
    });
    let lease = json!({"kind": "Lease", "metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now.replace('Z', ".000000Z")}});
    let _ = round.store.apply(lease);
}
