//! What is always there in a cluster and has nothing to do with it: a slow bystander, a Service
//! nobody uses, old warnings, a policy for somebody else.

use crate::shape::{self, Dice};
use crate::world::{PodBehaviour, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BYSTANDERS: &[&str] = &[
    "metrics-adapter",
    "debug-tools",
    "housekeeping",
    "audit-tail",
    "old-frontend",
];
const SPACES: &[&str] = &["sandbox", "tooling", "attic"];

/// Adds some of it, as the dice will have it.
pub(super) fn add(world: &mut World, dice: &mut Dice) {
    let name = dice
        .pick(BYSTANDERS)
        .copied()
        .unwrap_or("bystander")
        .to_string();
    let space = dice.pick(SPACES).copied().unwrap_or("attic").to_string();
    let taken = |n: &str| world.objects.iter().any(|o| shape::name(o) == n);
    if taken(&name) || taken(&space) {
        return;
    }
    let home = world.plan.client.namespace.clone();
    let port = super::ports::any(world);
    if dice.below(3) > 0 {
        slow_bystander(world, &home, &name, port);
        if dice.below(2) == 0 {
            world.objects.push(policy_for(&home, &name, port));
        }
    }
    if dice.below(2) == 0 {
        world
            .objects
            .push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}));
        world.objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "legacy-gateway", "namespace": space},
            "spec": {"selector": {"app": "legacy-gateway"}, "ports": [{"port": 80, "targetPort": 8080}]}}));
    }
    if dice.below(2) == 0 {
        world.objects.extend(old_warnings(&home, dice));
    }
}

fn slow_bystander(world: &mut World, home: &str, name: &str, port: u64) {
    world.objects.push(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": home, "labels": {"app": name}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{
            "name": name, "image": format!("registry.example.test/{name}:0.9"), "ports": [{"name": "http", "containerPort": port}],
            "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "timeoutSeconds": 5}}]}}}}));
    world.objects.push(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": home, "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port, "targetPort": "http"}]}}));
    let does = serde_json::from_value(
        json!({"listen": [{"port": port, "serve": "http", "slow_ms": 700}]}),
    )
    .unwrap_or_default();
    world.plan.behaviour.push(PodBehaviour {
        namespace: home.into(),
        labels: BTreeMap::from([("app".into(), name.into())]),
        container: String::new(),
        does,
    });
}

/// Lets only its own namespace in, on its port; nodes' probes pass as they do on real clusters.
fn policy_for(home: &str, name: &str, port: u64) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": format!("{name}-only"), "namespace": home},
        "spec": {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": port, "protocol": "TCP"}]}]}})
}

fn old_warnings(home: &str, dice: &mut Dice) -> Vec<Value> {
    let gone = format!("nightly-job-{}", dice.suffix(5));
    let words = [
        (
            "Unhealthy",
            "Readiness probe failed: HTTP probe failed with statuscode: 503",
            "kubelet",
        ),
        (
            "FailedScheduling",
            "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.",
            "default-scheduler",
        ),
        (
            "BackOff",
            "Back-off restarting failed container job",
            "kubelet",
        ),
    ];
    let one = |(reason, message, source): &(&str, &str, &str)| {
        json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{gone}.{:016x}", shape::fnv(reason.as_bytes()) >> 4), "namespace": home},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": gone, "namespace": home, "uid": "0c5ed0a8-1f0e-4b5c-9d1e-5f0a3b1c2d4e"}, "type": "Warning",
            "reason": reason, "message": message, "source": {"component": source}, "count": 4, "firstTimestamp": "26h ago", "lastTimestamp": "25h ago"})
    };
    words
        .iter()
        .take(1 + dice.below(words.len()))
        .map(one)
        .collect()
}
