//! What every cluster has before anybody deploys anything. A world that brings one of these
//! itself keeps its own.

use crate::Error;
use crate::controllers::certificates::Authority;
use crate::shape;
use crate::store::Store;
use crate::store::defaults::{offset, parse_cidr};
use crate::world::World;
use serde_json::{Value, json};

/// The Corefile of a cluster made by kubeadm.
pub const COREFILE: &str = ".:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
";

/// The `n`th Service address of the primary family: 1 is the API server, 10 the cluster's DNS.
pub fn service_address(world: &World, n: u128) -> Option<String> {
    let wiring = &world.plan.wiring;
    let v6 = wiring.families.first().is_some_and(|f| f == "ipv6");
    wiring
        .service_cidrs
        .iter()
        .filter_map(|c| parse_cidr(c))
        .find(|(a, _)| a.is_ipv6() == v6)
        .map(|(a, _)| offset(a, n).to_string())
}

/// Puts the world's own objects and the system's into an empty store.
pub fn fill(store: &Store, world: &World, authority: &Authority) -> Result<(), Error> {
    let written = |o: &Value| {
        world.objects.iter().any(|w| {
            shape::kind(w) == shape::kind(o)
                && shape::name(w) == shape::name(o)
                && shape::namespace(w) == shape::namespace(o)
        })
    };
    let system = objects(world, authority);
    let rank = |o: &Value| match shape::kind(o) {
        "Namespace" => 0,
        "Node" | "ConfigMap" | "Secret" => 1,
        _ => 2,
    };
    let mut all: Vec<Value> = system.into_iter().filter(|o| !written(o)).collect();
    all.extend(world.objects.iter().map(|o| {
        if shape::kind(o) == "Node" {
            node(o)
        } else {
            o.clone()
        }
    }));
    let now = netshoot_host::clock::now_ms();
    all.iter_mut()
        .filter(|o| shape::kind(o) == "Event")
        .for_each(|o| date(o, now));
    all.sort_by_key(rank);
    for object in all {
        store.apply(object)?;
    }
    for namespace in store.of("Namespace") {
        store.apply(json!({"kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt", "namespace": shape::name(&namespace)}, "data": {"ca.crt": authority.pem()}}))?;
        store.apply(json!({"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": shape::name(&namespace)}}))?;
    }
    Ok(())
}

/// Times of an Event in a manifest may be written as seen from now, `3d ago`, `25h ago`, `90m ago`.
fn date(event: &mut Value, now_ms: u64) {
    for key in ["firstTimestamp", "lastTimestamp"] {
        let ago = shape::text(event, key).strip_suffix(" ago").and_then(|t| {
            let (number, unit) = t.split_at_checked(t.len().checked_sub(1)?)?;
            let seconds = match unit {
                "d" => 86_400,
                "h" => 3_600,
                "m" => 60,
                "s" => 1,
                _ => return None,
            };
            Some(number.parse::<u64>().ok()?.saturating_mul(seconds * 1000))
        });
        if let Some(ago) = ago {
            let time = shape::rfc3339(now_ms.saturating_sub(ago));
            event[key] = json!(time);
            if key == "firstTimestamp" {
                shape::child(event, "metadata").insert("creationTimestamp".into(), json!(time));
            }
        }
    }
}

/// A node with the labels that a kubelet gives itself.
fn node(written: &Value) -> Value {
    let mut node = written.clone();
    let name = shape::name(&node).to_string();
    let labels = shape::child(&mut node, "metadata")
        .entry("labels")
        .or_insert(json!({}));
    for (key, value) in [
        ("kubernetes.io/hostname", name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", "amd64"),
    ] {
        if labels.get(key).is_none() {
            labels[key] = json!(value);
        }
    }
    node
}

fn objects(world: &World, authority: &Authority) -> Vec<Value> {
    let mut all: Vec<Value> = ["default", "kube-system", "kube-public", "kube-node-lease"]
        .iter()
        .map(|n| json!({"kind": "Namespace", "metadata": {"name": n}}))
        .collect();
    all.extend(dns(world));
    all.extend(kube_proxy(world));
    all.push(daemon("policy-agent", "policy-agent:1.0", json!({})));
    all.push(json!({"kind": "ConfigMap", "metadata": {"name": "internal-ca", "namespace": "kube-public"}, "data": {"ca.crt": authority.pem()}}));
    all.push(json!({"kind": "ClusterIssuer", "metadata": {"name": "internal-ca"}, "spec": {"ca": {"secretName": "internal-ca"}}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KeyPairVerified"}]}}));
    if let Some(address) = service_address(world, 1) {
        all.push(json!({
            "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"clusterIP": address, "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]},
        }));
    }
    all
}

fn dns(world: &World) -> Vec<Value> {
    let labels = json!({"k8s-app": "kube-dns"});
    let mut service = json!({
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}},
        "spec": {"selector": labels, "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53}, {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
            {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153}]},
    });
    if let Some(address) = service_address(world, 10) {
        service["spec"]["clusterIP"] = json!(address);
    }
    let container = json!({
        "name": "coredns", "image": "registry.k8s.io/coredns/coredns:v1.14.1", "args": ["-conf", "/etc/coredns/Corefile"],
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "ports": [{"containerPort": 53, "name": "dns", "protocol": "UDP"}, {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"}, {"containerPort": 9153, "name": "metrics", "protocol": "TCP"}],
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 60, "timeoutSeconds": 5, "failureThreshold": 5},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}},
        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": true}],
    });
    let deployment = json!({
        "kind": "Deployment", "metadata": {"name": "coredns", "namespace": "kube-system", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"metadata": {"labels": labels}, "spec": {
                "containers": [container], "dnsPolicy": "Default", "priorityClassName": "system-cluster-critical",
                "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
                "volumes": [{"name": "config-volume", "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]}}]}}},
    });
    let config = json!({"kind": "ConfigMap", "metadata": {"name": "coredns", "namespace": "kube-system"}, "data": {"Corefile": COREFILE}});
    vec![service, deployment, config]
}

fn kube_proxy(world: &World) -> Vec<Value> {
    let cidrs: Vec<String> = world
        .objects
        .iter()
        .filter(|o| shape::kind(o) == "Node")
        .flat_map(|n| shape::texts(n, "spec.podCIDRs"))
        .collect();
    let mode = &world.plan.wiring.proxy;
    let config = format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclusterCIDR: \"{}\"\nmode: {mode}\n",
        cidrs.join(",")
    );
    let command = json!({"command": ["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--hostname-override=$(NODE_NAME)"],
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}}],
        "volumeMounts": [{"name": "kube-proxy", "mountPath": "/var/lib/kube-proxy"}]});
    vec![
        json!({"kind": "ConfigMap", "metadata": {"name": "kube-proxy", "namespace": "kube-system", "labels": {"app": "kube-proxy"}}, "data": {"config.conf": config}}),
        daemon("kube-proxy", "registry.k8s.io/kube-proxy:v1.37.2", command),
    ]
}

/// A DaemonSet on the nodes' own network.
fn daemon(name: &str, image: &str, more: Value) -> Value {
    let labels = json!({"k8s-app": name});
    let mut container = json!({"name": name, "image": image, "resources": {}});
    crate::store::merge::merge(&mut container, &more);
    let volumes = if name == "kube-proxy" {
        json!([{"name": "kube-proxy", "configMap": {"name": "kube-proxy"}}])
    } else {
        json!([])
    };
    json!({
        "kind": "DaemonSet", "metadata": {"name": name, "namespace": "kube-system", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "hostNetwork": true, "priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}], "containers": [container], "volumes": volumes}}},
    })
}
