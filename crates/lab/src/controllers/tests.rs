use super::certificates::Authority;
use super::*;
use crate::shape::{self, at, int, list, text};
use crate::store::PatchKind;
use std::sync::Arc;

/// A store with two nodes and a namespace, and its controllers.
struct Cluster {
    store: Store,
    plan: Plan,
    authority: Authority,
}

impl Cluster {
    fn new() -> Cluster {
        let store = Store::new(&["ipv4".into()], &["10.96.0.0/16".into()], 5);
        for object in [
            json!({"kind": "Namespace", "metadata": {"name": "shop"}}),
            json!({"kind": "Node", "metadata": {"name": "a"}}),
            json!({"kind": "Node", "metadata": {"name": "b"}}),
        ] {
            store.apply(object).unwrap();
        }
        let now = netshoot_host::clock::now_ms() as i64;
        let authority = Authority::new("test", now - 1000, now + 1_000_000).unwrap();
        Cluster {
            store,
            plan: Plan::default(),
            authority,
        }
    }

    /// Passes, each followed by what kubelets would do: pods get an address and are ready unless
    /// `ready` says no; those on their way out are gone.
    fn pass(&self, times: usize, ready: impl Fn(&Value) -> bool) {
        for _ in 0..times {
            pass(&Pass {
                store: &self.store,
                plan: &self.plan,
                now_ms: 1_700_000_000_000,
                silent_ms: &|_| 0,
                authority: &self.authority,
            });
            for (i, pod) in self.pods().iter().enumerate() {
                if shape::is_ending(pod) {
                    self.store.remove("Pod", "shop", shape::name(pod));
                } else if !text(pod, "spec.nodeName").is_empty() {
                    let word = if ready(pod) { "True" } else { "False" };
                    let address = text(pod, "status.podIP").to_string();
                    let address = if address.is_empty() {
                        format!("10.244.1.{}", self.store.revision() % 200 + i as u64)
                    } else {
                        address
                    };
                    let status = json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [{"type": "Ready", "status": word}]});
                    self.store
                        .set_status("Pod", "shop", shape::name(pod), &status);
                }
            }
        }
    }

    fn pods(&self) -> Vec<Arc<Value>> {
        self.store.of("Pod")
    }

    fn web(&self, replicas: i64) {
        let object = json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}]}}}});
        self.store.apply(object).unwrap();
        let object = json!({"kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}});
        self.store.apply(object).unwrap();
    }

    fn slice(&self) -> Arc<Value> {
        let all = self.store.of("EndpointSlice");
        assert_eq!(all.len(), 1);
        all[0].clone()
    }
}

#[test]
fn a_deployment_becomes_pods_on_all_nodes_and_endpoints() {
    let cluster = Cluster::new();
    cluster.web(4);
    cluster.pass(4, |_| true);
    let on = |node: &str| {
        cluster
            .pods()
            .iter()
            .filter(|p| text(p, "spec.nodeName") == node)
            .count()
    };
    assert_eq!((on("a"), on("b")), (2, 2));
    let slice = cluster.slice();
    assert_eq!(list(&slice, "endpoints").len(), 4);
    assert_eq!(
        at(&slice, "ports"),
        &json!([{"name": "", "port": 8080, "protocol": "TCP"}])
    );
    assert_eq!(
        at(&slice, "endpoints.0.conditions"),
        &json!({"ready": true, "serving": true, "terminating": false})
    );
    let web = cluster.store.get("Deployment", "shop", "web").unwrap();
    assert_eq!(int(&web, "status.availableReplicas"), Some(4));
    assert_eq!(shape::condition(&web, "Available"), "True");
    let before = cluster.store.revision();
    cluster.pass(3, |_| true);
    assert_eq!(
        cluster.store.revision(),
        before,
        "what is well is left alone"
    );
}

#[test]
fn a_rollout_never_has_fewer_than_it_may() {
    let cluster = Cluster::new();
    cluster.web(4);
    cluster.pass(4, |_| true);
    let old: Vec<String> = cluster
        .pods()
        .iter()
        .map(|p| shape::uid(p).to_string())
        .collect();
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "resources": {"limits": {"memory": "128Mi"}}}]}}}});
    cluster
        .store
        .patch("Deployment", "shop", "web", PatchKind::Strategic, &patch)
        .unwrap();
    for _ in 0..12 {
        cluster.pass(1, |_| true);
        let alive = cluster
            .pods()
            .iter()
            .filter(|p| shape::condition(p, "Ready") == "True")
            .count();
        assert!(
            alive >= 3,
            "a quarter of four may be missing: {alive} alive"
        );
    }
    let pods = cluster.pods();
    assert_eq!(pods.len(), 4);
    assert!(
        pods.iter()
            .all(|p| !old.contains(&shape::uid(p).to_string())
                && text(p, "spec.containers.0.resources.limits.memory") == "128Mi")
    );
    assert_eq!(
        shape::annotation(
            &cluster.store.get("Deployment", "shop", "web").unwrap(),
            "deployment.kubernetes.io/revision"
        ),
        "2"
    );
}

#[test]
fn a_rollout_whose_new_pods_are_not_ready_stops() {
    let cluster = Cluster::new();
    cluster.web(4);
    cluster.pass(4, |_| true);
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "broken"}]}}}});
    cluster
        .store
        .patch("Deployment", "shop", "web", PatchKind::Strategic, &patch)
        .unwrap();
    cluster.pass(12, |p| text(p, "spec.containers.0.image") != "broken");
    let good = cluster
        .pods()
        .iter()
        .filter(|p| shape::condition(p, "Ready") == "True")
        .count();
    assert_eq!(good, 3);
    assert_eq!(
        list(&cluster.slice(), "endpoints")
            .iter()
            .filter(|e| shape::truth(e, "conditions.ready"))
            .count(),
        3
    );
}

#[test]
fn scaling_down_takes_the_unready_and_deleting_takes_all() {
    let cluster = Cluster::new();
    cluster.web(3);
    cluster.pass(4, |_| true);
    let victim = shape::name(&cluster.pods()[1]).to_string();
    let bad = victim.clone();
    cluster.pass(1, |p| shape::name(p) != bad);
    cluster
        .store
        .patch(
            "Deployment",
            "shop",
            "web",
            PatchKind::Merge,
            &json!({"spec": {"replicas": 2}}),
        )
        .unwrap();
    cluster.pass(3, |p| shape::name(p) != victim);
    assert!(cluster.pods().iter().all(|p| shape::name(p) != victim));
    cluster.store.delete("Deployment", "shop", "web").unwrap();
    cluster.store.delete("Service", "shop", "web").unwrap();
    cluster.pass(4, |_| true);
    assert!(
        cluster.pods().is_empty()
            && cluster.store.of("ReplicaSet").is_empty()
            && cluster.store.of("EndpointSlice").is_empty()
    );
}

#[test]
fn a_selector_that_takes_nothing_leaves_an_empty_slice() {
    let cluster = Cluster::new();
    cluster.web(2);
    cluster
        .store
        .patch(
            "Service",
            "shop",
            "web",
            PatchKind::Merge,
            &json!({"spec": {"selector": {"app": "none"}}}),
        )
        .unwrap();
    cluster.pass(3, |_| true);
    let slice = cluster.slice();
    assert!(
        slice.get("endpoints").is_some_and(Value::is_null)
            && slice.get("ports").is_some_and(Value::is_null),
        "{slice}"
    );
}

#[test]
fn a_daemon_on_every_node_and_a_set_in_order() {
    let cluster = Cluster::new();
    let template =
        json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "x"}]}});
    for (kind, name) in [("DaemonSet", "agent"), ("StatefulSet", "db")] {
        let mut template = template.clone();
        template["metadata"]["labels"]["app"] = json!(name);
        let mut spec = json!({"selector": {"matchLabels": {"app": name}}, "template": template});
        if kind == "StatefulSet" {
            spec["replicas"] = json!(3);
            spec["serviceName"] = json!("db");
        }
        cluster.store.apply(json!({"kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})).unwrap();
    }
    cluster.pass(2, |p| shape::name(p) != "db-0");
    let names = |of: &str| -> Vec<String> {
        cluster
            .pods()
            .iter()
            .map(|p| shape::name(p).to_string())
            .filter(|n| n.starts_with(of))
            .collect()
    };
    assert_eq!(names("db-"), ["db-0"], "the next waits for the first");
    cluster.pass(6, |_| true);
    assert_eq!(names("db-"), ["db-0", "db-1", "db-2"]);
    let nodes: Vec<String> = cluster
        .pods()
        .iter()
        .filter(|p| shape::name(p).starts_with("agent-"))
        .map(|p| text(p, "spec.nodeName").to_string())
        .collect();
    assert_eq!(nodes.len(), 2);
    assert_ne!(nodes[0], nodes[1]);
}

#[test]
fn a_certificate_yields_a_secret_again_and_again() {
    let cluster = Cluster::new();
    let spec = json!({"secretName": "web-tls", "dnsNames": ["web.shop.svc"], "issuerRef": {"name": "internal-ca", "kind": "ClusterIssuer"}});
    cluster.store.apply(json!({"kind": "Certificate", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec})).unwrap();
    cluster.pass(1, |_| true);
    let first = cluster.store.get("Secret", "shop", "web-tls").unwrap();
    assert_eq!(text(&first, "type"), "kubernetes.io/tls");
    certificates::reissue(&cluster.store, &cluster.authority, "shop", "web-tls", -60).unwrap();
    assert_eq!(
        shape::condition(
            &cluster.store.get("Certificate", "shop", "web").unwrap(),
            "Ready"
        ),
        "False"
    );
    cluster.store.delete("Secret", "shop", "web-tls").unwrap();
    cluster.pass(1, |_| true);
    assert_ne!(
        at(
            &cluster.store.get("Secret", "shop", "web-tls").unwrap(),
            "data"
        ),
        at(&first, "data")
    );
    assert_eq!(
        shape::condition(
            &cluster.store.get("Certificate", "shop", "web").unwrap(),
            "Ready"
        ),
        "True"
    );
}

#[test]
fn a_webhook_without_anybody_ready_keeps_pods_from_being_made() {
    let cluster = Cluster::new();
    let labels = json!({"app": "web"});
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]);
    let hook = json!({"name": "gate.example.test", "rules": rules, "objectSelector": {"matchLabels": labels},
        "clientConfig": {"service": {"namespace": "shop", "name": "gate"}}});
    let configuration = |hook: &Value| json!({"kind": "ValidatingWebhookConfiguration", "metadata": {"name": "gate"}, "webhooks": [hook]});
    cluster.store.apply(configuration(&hook)).unwrap();
    for name in ["web", "other"] {
        let labels = json!({"app": name});
        let spec = json!({"replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}}});
        cluster.store.apply(json!({"kind": "Deployment", "metadata": {"name": name, "namespace": "shop"}, "spec": spec})).unwrap();
    }
    let made = |of: &str| {
        let mut pods = cluster.pods();
        pods.retain(|p| shape::name(p).starts_with(of));
        pods.len()
    };
    cluster.pass(3, |_| true);
    assert_eq!(
        (made("web-"), made("other-")),
        (0, 1),
        "it must see only one of them"
    );
    let said = cluster.store.of("Event");
    let said: Vec<&str> = said
        .iter()
        .filter(|e| text(e, "reason") == "FailedCreate")
        .map(|e| text(e, "message"))
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("failed calling webhook \"gate.example.test\""),
        "{said:?}"
    );
    assert!(said[0].ends_with("service \"gate\" not found"), "{said:?}");
    // Somebody is ready behind it: the pod is made.
    cluster
        .store
        .apply(
            json!({"kind": "Service", "metadata": {"name": "gate", "namespace": "shop"},
        "spec": {"selector": {"app": "other"}, "ports": [{"port": 443}]}}),
        )
        .unwrap();
    cluster.pass(3, |_| true);
    assert_eq!(made("web-"), 1);
}
