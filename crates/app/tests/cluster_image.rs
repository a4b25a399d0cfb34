//! The image in a real Kubernetes: the article's manifests as written, and ours under PodSecurity restricted.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod deploy;
mod ours;
mod ring5;

use deploy::{chart, folder, read};
use ours::{NAME, PROGRAM, ready};
use ring5::{Cluster, Space};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The cluster, with the image of this build on every node.
fn cluster() -> Option<&'static Cluster> {
    static READY: OnceLock<Option<Cluster>> = OnceLock::new();
    READY.get_or_init(ready).as_ref()
}

/// A manifest of ours with the image's name as it is on the nodes.
fn with_image(manifest: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let renamed = manifest.replace(&format!("netshoot:{version}"), &format!("{NAME}:{version}"));
    assert!(renamed.contains(NAME), "{manifest}");
    renamed
}

/// A namespace that enforces a PodSecurity level.
fn secured<'a>(cluster: &'a Cluster, word: &str, level: &str) -> Space<'a> {
    let space = cluster.namespace(word);
    let label = format!("pod-security.kubernetes.io/enforce={level}");
    cluster
        .kubectl(&["label", "namespace", &space.name, &label])
        .ok();
    space
}

fn rolled_out(space: &Space<'_>) {
    let said = space.kubectl(&["rollout", "status", "deployment/netshoot", "--timeout=60s"]);
    if said.code != 0 {
        let why = space.kubectl(&["get", "events,pods", "-o", "wide"]).all();
        panic!("{}\n{why}", said.all());
    }
}

#[track_caller]
fn here(space: &Space<'_>, object: &str) -> Value {
    let said = space.kubectl(&["exec", object, "--", "netshoot", "here", "-o", "json"]);
    serde_json::from_str(&said.ok()).unwrap()
}

/// This build's shell.
fn has_shell() -> bool {
    let has = Command::new(PROGRAM)
        .args(["bash", "-c", "true"])
        .output()
        .unwrap()
        .status
        .success();
    if !has {
        println!("SKIPPED: this build has no shell");
    }
    has
}

fn kustomized(cluster: &Cluster, which: &str) -> String {
    let at = folder().join("kustomize").join(which);
    with_image(&cluster.kubectl(&["kustomize", at.to_str().unwrap()]).ok())
}

#[test]
fn the_articles_pod_and_sidecar_run_as_written_and_stop_at_once() {
    let Some(cluster) = cluster() else { return };
    if !has_shell() {
        return;
    }
    let space = cluster.namespace("article");
    space.apply(&with_image(&read("article/pod.yaml")));
    space.apply(&with_image(&read("article/sidecar.yaml")));
    space.ready(&["pod/netshoot", "pod/app-with-netshoot"]);
    let seen = here(&space, "pod/netshoot");
    assert_eq!(
        (&seen["place"], &seen["name"]),
        (&json!("pod"), &json!("netshoot"))
    );
    assert_eq!(seen["namespace"], space.name.as_str());
    let get = format!(
        "kubectl netshoot debug netshoot -n {} --profile netadmin",
        space.name
    );
    assert_eq!(seen["get"], get.as_str());
    // Kubernetes would wait 30 s for a first process that does not listen.
    for pod in ["pod/netshoot", "pod/app-with-netshoot"] {
        let since = Instant::now();
        space.kubectl(&["delete", pod, "--wait"]).ok();
        let took = since.elapsed();
        assert!(took < Duration::from_secs(10), "{pod} took {took:?} to end");
    }
}

#[test]
fn the_articles_deployment_runs_as_written() {
    let Some(cluster) = cluster() else { return };
    if !has_shell() {
        return;
    }
    let space = cluster.namespace("article");
    space.apply(&with_image(&read("article/deployment.yaml")));
    rolled_out(&space);
    let said = space.kubectl(&[
        "exec",
        "deployment/netshoot",
        "--",
        "/bin/bash",
        "-c",
        "echo $((6*7))",
    ]);
    assert_eq!(said.ok(), "42\n");
}

#[test]
fn the_articles_host_pod_sees_the_node() {
    let Some(cluster) = cluster() else { return };
    if !has_shell() {
        return;
    }
    let space = cluster.namespace("article");
    let overrides = with_image(&read("article/host.json"));
    let image = format!("{NAME}:{}", env!("CARGO_PKG_VERSION"));
    let said = space.kubectl(&[
        "run",
        "netshoot",
        "--image",
        &image,
        "--overrides",
        &overrides,
        "--",
        "/bin/bash",
    ]);
    said.ok();
    space.ready(&["pod/netshoot"]);
    let seen = here(&space, "pod/netshoot");
    let nodes = ["node-a", "node-b"];
    assert!(
        nodes.contains(&seen["name"].as_str().unwrap()),
        "the node's name: {seen}"
    );
    let all = json!(["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_PTRACE"]);
    assert_eq!(seen["capabilities"], all);
}

#[test]
fn the_base_and_the_chart_run_where_restricted_is_enforced() {
    let Some(cluster) = cluster() else { return };
    if !has_shell() {
        return;
    }
    let manifests = [
        kustomized(cluster, "base"),
        with_image(&chart("NAMESPACE", &json!({}))),
    ];
    for manifest in manifests {
        let space = secured(cluster, "restricted", "restricted");
        space.apply(&manifest.replace("NAMESPACE", &space.name));
        rolled_out(&space);
        let seen = here(&space, "deployment/netshoot");
        assert_eq!(seen["user"], 65532);
        assert_eq!(seen["capabilities"], json!([]));
        let lacks = seen["not_possible"].to_string();
        assert!(lacks.contains("\"the root is read-only\""), "{lacks}");
        let wrote = [
            "exec",
            "deployment/netshoot",
            "--",
            "/bin/sh",
            "-c",
            "echo a >/tmp/a && cat /tmp/a",
        ];
        assert_eq!(space.kubectl(&wrote).ok(), "a\n");
    }
}

#[test]
fn any_user_id_runs_where_restricted_is_enforced() {
    let Some(cluster) = cluster() else { return };
    if !has_shell() {
        return;
    }
    let space = secured(cluster, "anyone", "restricted");
    let over = json!({"user": 1_000_650_000, "image": {"tag": env!("CARGO_PKG_VERSION")}});
    space.apply(&with_image(&chart(&space.name, &over)));
    rolled_out(&space);
    assert_eq!(here(&space, "deployment/netshoot")["user"], 1_000_650_000);
}

#[test]
fn the_two_rights_reach_a_user_who_is_not_root() {
    let Some(cluster) = cluster() else { return };
    if !has_shell() {
        return;
    }
    let capture = json!({"capture": true});
    let manifests = [
        kustomized(cluster, "capture"),
        with_image(&chart("NAMESPACE", &capture)),
    ];
    for manifest in manifests {
        let space = secured(cluster, "capture", "privileged");
        space.apply(&manifest.replace("NAMESPACE", &space.name));
        rolled_out(&space);
        let seen = here(&space, "deployment/netshoot");
        assert_eq!(seen["user"], 65532);
        assert_eq!(
            seen["capabilities"],
            json!(["CAP_NET_ADMIN", "CAP_NET_RAW"])
        );
    }
    let refused = secured(cluster, "refused", "restricted");
    let dry = ["-n", &refused.name, "apply", "--dry-run=server", "-f", "-"];
    let pod = with_image(&chart(&refused.name, &capture));
    let said = cluster.feed(&dry, &pod).all();
    assert!(
        said.contains("would violate PodSecurity") && said.contains("NET_RAW"),
        "{said}"
    );
}

/// The archive of `scripts/image`, as `scripts/cluster load` brought it: its second tag in a pod that no chart has helped with.
#[test]
fn the_tag_without_root_starts_whatever_is_granted_and_captures_where_it_may() {
    let Some(cluster) = cluster() else { return };
    if !has_shell() {
        return;
    }
    let image = format!("{NAME}:{}-nonroot", env!("CARGO_PKG_VERSION"));
    let container = |name: &str, escalates: bool, add: &[&str]| {
        json!({"name": name, "image": image, "imagePullPolicy": "Never", "command": ["sleep", "infinity"],
            "securityContext": {"allowPrivilegeEscalation": escalates, "capabilities": {"drop": ["ALL"], "add": add}}})
    };
    let apply = |space: &Space<'_>, containers: Value| {
        let spec = json!({"nodeName": "node-a", "terminationGracePeriodSeconds": 0, "containers": containers,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}});
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lone"}, "spec": spec});
        space.apply(&pod.to_string());
    };
    let both = ["NET_ADMIN", "NET_RAW"];
    let (tight, open) = (
        secured(cluster, "tight", "restricted"),
        secured(cluster, "open", "privileged"),
    );
    apply(&tight, json!([container("none", false, &[])]));
    let kept = container("kept", false, &both);
    apply(
        &open,
        json!([
            container("both", true, &both),
            container("raw", true, &both[1..]),
            kept
        ]),
    );
    let named = ["CAP_NET_ADMIN", "CAP_NET_RAW"];
    for (space, name, has) in [
        (&tight, "none", &named[2..]),
        (&open, "both", &named[..]),
        (&open, "raw", &named[1..]),
        // What escalation forbids is to gain what the container has not: this it has.
        (&open, "kept", &named[..]),
    ] {
        space.ready(&["pod/lone"]);
        let exec =
            |words: &[&str]| space.kubectl(&[&["exec", "lone", "-c", name, "--"], words].concat());
        let seen: Value =
            serde_json::from_str(&exec(&["netshoot", "here", "-o", "json"]).ok()).unwrap();
        assert_eq!(
            (&seen["user"], &seen["capabilities"]),
            (&json!(65532), &json!(has)),
            "{name}"
        );
        // It hears what comes in at the interface: a socket of packets.
        let said = exec(&["arping", "-c", "1", "-w", "5", "10.244.1.1"]);
        if has.contains(&"CAP_NET_RAW") {
            assert!(
                said.code == 0 && said.out.contains("from 10.244.1.1"),
                "{name}: {}",
                said.all()
            );
        } else {
            assert!(
                said.code != 0 && said.err.contains("not permitted"),
                "{name}: {}",
                said.all()
            );
        }
    }
}

/// `kubectl exec deploy/netshoot -- netshoot diagnose`: its own ServiceAccount, and half the memory that it is given.
#[test]
fn a_diagnosis_inside_the_cluster_uses_the_pods_own_account_and_64_mib() {
    let Some(cluster) = cluster() else { return };
    let space = cluster.namespace("inside");
    let tight = json!({"reads": "namespace", "resources": {"limits": {"memory": "64Mi"}}});
    space.apply(&with_image(&chart(&space.name, &tight)));
    space.apply("{apiVersion: v1, kind: Service, metadata: {name: cart}, spec: {selector: {app: none}, ports: [{port: 80}]}}");
    rolled_out(&space);
    let script = format!(
        "NETSHOOT_STATS=1 netshoot diagnose -n {} --from deploy/netshoot --to svc/cart:80",
        space.name
    );
    let said = space.kubectl(&["exec", "deploy/netshoot", "--", "sh", "-c", &script]);
    assert_eq!(said.code, 1, "{}", said.all());
    assert!(said.out.contains("cart"), "{}", said.out);
    let (_, peak) = said.err.split_once("peak_rss_kib=").unwrap();
    let peak: u64 = peak.lines().next().unwrap().parse().unwrap();
    println!("diagnose in a pod: {} MiB", peak >> 10);
    assert!(peak <= 64 << 10, "{} MiB", peak >> 10);
}

#[test]
fn the_token_reads_what_the_checks_look_at_and_writes_nothing() {
    let Some(cluster) = cluster() else { return };
    let space = cluster.namespace("reads");
    for reads in ["namespace", "cluster"] {
        space.apply(&with_image(&chart(
            &space.name,
            &json!({"reads": reads, "replicas": 0}),
        )));
        let who = format!("--as=system:serviceaccount:{}:netshoot", space.name);
        let may = |verb: &str, what: &str, at: &str| {
            let said = cluster.kubectl(&["auth", "can-i", verb, what, "-n", at, &who]);
            said.out.trim() == "yes"
        };
        assert!(may("list", "pods", &space.name) && may("list", "networkpolicies", &space.name));
        assert_eq!(may("list", "pods", "kube-system"), reads == "cluster");
        assert!(!may("create", "pods", &space.name) && !may("delete", "pods", &space.name));
        let gone = ["clusterrolebinding", "clusterrole"];
        for kind in gone {
            let name = format!("netshoot-{}", space.name);
            cluster
                .kubectl(&["delete", kind, &name, "--ignore-not-found"])
                .ok();
        }
    }
}
