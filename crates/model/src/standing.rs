//! What stands at both ends of a case's conversations, as its objects say: whether it is still the same when they are read
//! again. A node or a pod is asked some seconds after its objects were read; where pods came and went in between, what it
//! shows fits what stands by then, and looks like a fault of its own beside what stood before.

use crate::engine::Case;
use crate::object::{Object, ObjectRef};
use crate::path::Path;
use crate::report::Report;
use crate::topology::{Endpoint, Topology};

/// Checks that hold what a node or a pod shows against objects that were read before.
const HOLD_AGAINST_OBJECTS: [&str; 9] = [
    "forward-policy-drops",
    "link-down",
    "listens-on-loopback-only",
    "no-local-endpoint",
    "nothing-listens-on-port",
    "pod-route-missing",
    "readiness-probe-fails",
    "service-rules-stale",
    "target-port-wrong",
];

/// Whether a report's cause hangs on that nothing has moved since the objects were read.
pub fn hangs_on(report: &Report) -> bool {
    let cause = report.cause.as_ref();
    cause.is_some_and(|c| HOLD_AGAINST_OBJECTS.contains(&c.id.as_str()))
}

/// What stands at both ends of each conversation.
#[derive(Debug, PartialEq, Eq)]
pub struct Standing(Vec<Ends>);

#[derive(Debug, PartialEq, Eq)]
struct Ends {
    client: Option<Identity>,
    endpoints: Vec<(Endpoint, Option<Identity>)>,
    nodes: Vec<ObjectRef>,
}

/// An object that was made anew under its name, or is about to go, is another one.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    uid: String,
    node: String,
    leaves: bool,
}

impl Identity {
    fn of(pod: &Object) -> Identity {
        Identity {
            uid: pod.str("metadata.uid").into(),
            node: pod.str("spec.nodeName").into(),
            leaves: !pod.get("metadata.deletionTimestamp").is_null(),
        }
    }
}

impl Standing {
    /// Of a case and the objects that it was made from.
    pub fn of(case: &Case, topology: &Topology<'_>) -> Standing {
        let ends = case.conversations.iter().map(|conversation| {
            let path = Path::new(topology, conversation.clone());
            let pod = |e: &Endpoint| topology.get(e.pod.as_ref()?).map(Identity::of);
            let mut nodes: Vec<&str> = path.backends.iter().map(|e| e.node.as_str()).collect();
            nodes.push(&path.client_node);
            nodes.sort_unstable();
            nodes.dedup();
            let known = |n: &str| topology.find("Node", "", n).map(Object::reference);
            Ends {
                client: path.client.map(Identity::of),
                endpoints: path.backends.iter().map(|e| (e.clone(), pod(e))).collect(),
                nodes: nodes.into_iter().filter_map(known).collect(),
            }
        });
        Standing(ends.collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::path::{Conversation, Destination};
    use crate::probe::Harm;
    use crate::report::Understood;
    use crate::snapshot::ClusterSnapshot;
    use crate::text::Lang;
    use serde_json::{Value, json};

    fn case() -> Case {
        let object = |kind: &str, name: &str| ObjectRef::new(kind, "shop", name);
        let conversation = Conversation {
            from: Some(object("Pod", "web-1")),
            to: Destination::Service(object("Service", "cart")),
            port: 80,
            protocol: "TCP".into(),
            tls: false,
            http: None,
            through: None,
        };
        Case {
            understood: Understood::default(),
            conversations: vec![conversation],
            most_harm: Harm::None,
            most_probes: 0,
            lang: Lang::En,
        }
    }

    fn objects() -> Value {
        let pod = |name: &str, address: &str, node: &str| {
            json!({"kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": {"app": "cart"}},
            "spec": {"nodeName": node}, "status": {"phase": "Running", "podIP": address}})
        };
        json!([
            pod("web-1", "10.244.1.2", "a"),
            pod("cart-1", "10.244.2.3", "b"),
            {"kind": "Node", "metadata": {"name": "a"}},
            {"kind": "Node", "metadata": {"name": "b"}},
            {"kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
             "spec": {"selector": {"app": "cart"}, "clusterIP": "10.96.0.9", "ports": [{"port": 80, "targetPort": 8080}]}},
            {"kind": "EndpointSlice", "metadata": {"name": "cart-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
             "ports": [{"port": 8080}],
             "endpoints": [{"addresses": ["10.244.2.3"], "nodeName": "b", "conditions": {"ready": true},
                            "targetRef": {"kind": "Pod", "name": "cart-1", "namespace": "shop"}}]},
        ])
    }

    fn standing(objects: Value) -> Standing {
        let mut snapshot = ClusterSnapshot::new("x", "y", 0);
        snapshot.objects = serde_json::from_value(objects).unwrap();
        Standing::of(&case(), &Topology::new(&snapshot))
    }

    #[test]
    fn what_moves_is_another_standing_and_what_only_restarts_is_not() {
        let before = standing(objects());
        assert_eq!(before, standing(objects()));
        let changed = |pointer: &str, value: Value| {
            let mut all = objects();
            *all.pointer_mut(pointer).unwrap() = value;
            standing(all)
        };
        for (pointer, value) in [
            ("/0/metadata/uid", json!("another")),
            ("/1/metadata/uid", json!("another")),
            (
                "/1/metadata",
                json!({"name": "cart-1", "namespace": "shop", "uid": "uid-cart-1", "deletionTimestamp": "2026-01-01T00:00:00Z"}),
            ),
            ("/3/metadata/name", json!("c")),
            ("/5/endpoints/0/addresses", json!(["10.244.2.4"])),
            ("/5/endpoints/0/conditions/ready", json!(false)),
            ("/5/endpoints", json!([])),
        ] {
            assert_ne!(before, changed(pointer, value), "{pointer}");
        }
        for (pointer, value) in [
            ("/1/metadata/labels", json!({"app": "cart", "more": "1"})),
            (
                "/1/status",
                json!({"phase": "Running", "podIP": "10.244.2.3", "containerStatuses": [{"restartCount": 7}]}),
            ),
        ] {
            assert_eq!(before, changed(pointer, value), "{pointer}");
        }
    }

    #[test]
    fn every_check_that_is_named_exists() {
        for id in HOLD_AGAINST_OBJECTS {
            assert!(crate::checks::ALL.iter().any(|c| c.id == id), "{id}");
        }
    }
}
