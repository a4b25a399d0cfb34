//! The store keeps what the API server would.

use super::*;

fn store() -> Store {
    let store = Store::new(&["ipv4".into()], &["10.96.0.0/16".into()], 1);
    store
        .apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))
        .unwrap();
    store
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
           "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]}})
}

#[test]
fn an_object_gets_what_the_api_server_gives() {
    let store = store();
    let made = store.apply(service()).unwrap();
    assert_eq!(shape::uid(&made).len(), 36);
    assert_eq!(at(&made, "spec.ports.0.targetPort"), &json!(80));
    assert_eq!(text(&made, "spec.ports.0.protocol"), "TCP");
    assert!(
        text(&made, "spec.clusterIP").starts_with("10.96."),
        "{made}"
    );
    let again = store.apply(service()).unwrap();
    assert_eq!(made, again, "the same manifest changes nothing");
}

#[test]
fn patches_merge_and_keep_the_address() {
    let store = store();
    let made = store.apply(service()).unwrap();
    let patch = json!({"spec": {"ports": [{"port": 81, "targetPort": 8081}]}, "status": {"x": 1}});
    let new = store
        .patch("Service", "shop", "web", PatchKind::Strategic, &patch)
        .unwrap();
    assert_eq!(shape::list(&new, "spec.ports").len(), 2);
    assert_eq!(at(&new, "spec.ports.1.targetPort"), &json!(8081));
    assert_eq!(at(&new, "spec.clusterIP"), at(&made, "spec.clusterIP"));
    assert!(at(&new, "status.x").is_null());
    assert!(
        store
            .patch("Service", "shop", "none", PatchKind::Merge, &json!({}))
            .is_err()
    );
}

#[test]
fn a_pod_on_a_node_goes_gracefully() {
    let store = store();
    let pod = json!({"kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}, "spec": {"nodeName": "n", "containers": [{"name": "a"}]}});
    store.apply(pod).unwrap();
    store.delete("Pod", "shop", "a").unwrap();
    assert!(shape::is_ending(&store.get("Pod", "shop", "a").unwrap()));
    store.remove("Pod", "shop", "a").unwrap();
    assert!(store.delete("Pod", "shop", "a").is_err());
}

#[test]
fn waiting_sees_a_change_from_another_thread() {
    let store = store();
    let seen = store.revision();
    std::thread::scope(|s| {
        s.spawn(|| store.apply(service()).unwrap());
        assert!(store.wait_newer(seen, Duration::from_secs(5)) > seen);
    });
    let seen = store.revision();
    assert_eq!(store.wait_newer(seen, Duration::from_millis(5)), seen);
}

#[test]
fn the_same_event_is_counted() {
    let store = store();
    let pod = store.apply(service()).unwrap();
    for _ in 0..3 {
        store.event(&pod, "Warning", "Unhealthy", "no", ("kubelet", "n1"));
    }
    let events = store.list("Event");
    assert_eq!(events.len(), 1);
    assert_eq!(shape::int(&events[0], "count"), Some(3));
    assert_eq!(text(&events[0], "source.host"), "n1");
}

#[test]
fn refusals() {
    let store = store();
    for (object, why) in [
        (
            json!({"kind": "Nonsense", "metadata": {"name": "a"}}),
            "no such kind",
        ),
        (
            json!({"kind": "Pod", "metadata": {"name": "a", "namespace": "nowhere"}}),
            "not found",
        ),
        (
            json!({"kind": "Pod", "metadata": {"namespace": "shop"}}),
            "metadata.name",
        ),
        (
            json!({"kind": "Deployment", "metadata": {"name": "d", "namespace": "shop"},
                "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": {"metadata": {"labels": {"app": "b"}}}}}),
            "selector",
        ),
    ] {
        let said = store.apply(object).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
}
