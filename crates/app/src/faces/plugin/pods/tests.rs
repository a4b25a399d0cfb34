//! What is asked for on a command line, and what stands in the pod that is sent.

use super::*;

fn ours() -> Container {
    Container {
        image: "netshoot:1".into(),
        pull_policy: "IfNotPresent".into(),
        command: vec!["curl".into(), "x".into()],
        requests: requests(),
        limits: limits(),
        ..Container::default()
    }
}

fn owner() -> Owner {
    Owner {
        who: "jo@laptop".into(),
        client: "laptop/7".into(),
        deadline: "2026-01-01T00:00:00Z".into(),
    }
}

fn around() -> Around {
    Around {
        name: "tmp".into(),
        namespace: "shop".into(),
        deadline_s: 3600,
        ..Around::default()
    }
}

fn made(around: &Around) -> Value {
    temporary(around, &ours(), Profile::Restricted, &owner())
}

/// Each path must have this value; null: it must not be there.
#[track_caller]
fn says(pod: &Value, all: &[(&str, Value)]) {
    for (path, want) in all {
        let got = pod.pointer(path).cloned().unwrap_or_default();
        assert_eq!(got, *want, "{path} of {pod:#}");
    }
}

#[test]
fn a_temporary_pod_has_the_articles_limits_an_owner_and_an_end() {
    says(
        &made(&around()),
        &[
            ("/metadata/name", json!("tmp")),
            ("/metadata/namespace", json!("shop")),
            (
                "/metadata/labels",
                json!({"app.kubernetes.io/name": "netshoot", "app.kubernetes.io/managed-by": "netshoot"}),
            ),
            (
                "/metadata/annotations",
                json!({"netshoot/owner": "jo@laptop", "netshoot/client": "laptop/7",
                    "netshoot/deadline": "2026-01-01T00:00:00Z",
                    "kubectl.kubernetes.io/default-container": "netshoot"}),
            ),
            ("/spec/activeDeadlineSeconds", json!(3600)),
            ("/spec/restartPolicy", json!("Never")),
            ("/spec/nodeSelector", json!({"kubernetes.io/os": "linux"})),
            ("/spec/dnsPolicy", json!("ClusterFirst")),
            ("/spec/automountServiceAccountToken", json!(false)),
            ("/spec/hostNetwork", Value::Null),
            ("/spec/nodeName", Value::Null),
            ("/spec/tolerations", Value::Null),
            ("/spec/containers/1", Value::Null),
            ("/spec/containers/0/name", json!("netshoot")),
            ("/spec/containers/0/image", json!("netshoot:1")),
            ("/spec/containers/0/imagePullPolicy", json!("IfNotPresent")),
            ("/spec/containers/0/command", json!(["curl", "x"])),
            (
                "/spec/containers/0/resources",
                json!({"requests": {"memory": "64Mi", "cpu": "50m"}, "limits": {"memory": "128Mi", "cpu": "200m"}}),
            ),
            (
                "/spec/containers/0/securityContext",
                Profile::Restricted.context(),
            ),
        ],
    );
}

#[test]
fn each_flag_of_run_changes_what_it_names() {
    let host = Around {
        host_network: true,
        node: Some("node-a".into()),
        ..around()
    };
    says(
        &made(&host),
        &[
            ("/spec/hostNetwork", json!(true)),
            // Else it would ask the node's resolver and know no Service.
            ("/spec/dnsPolicy", json!("ClusterFirstWithHostNet")),
            ("/spec/nodeName", json!("node-a")),
            ("/spec/hostPID", Value::Null),
        ],
    );
    let some = Around {
        labels: pairs("team=a,app.kubernetes.io/managed-by=me").unwrap(),
        annotations: pairs("why=tests").unwrap(),
        node_selector: pairs("disk=ssd").unwrap(),
        tolerations: vec![toleration("*").unwrap()],
        service_account: Some("robot".into()),
        container: Some("c".into()),
        port: Some(80),
        restart: Some("OnFailure".into()),
        ..around()
    };
    says(
        &made(&some),
        &[
            ("/metadata/labels/team", json!("a")),
            // What finds it again is not for others to set.
            (
                "/metadata/labels/app.kubernetes.io~1managed-by",
                json!("netshoot"),
            ),
            ("/metadata/annotations/why", json!("tests")),
            (
                "/spec/nodeSelector",
                json!({"disk": "ssd", "kubernetes.io/os": "linux"}),
            ),
            ("/spec/tolerations", json!([{"operator": "Exists"}])),
            ("/spec/serviceAccountName", json!("robot")),
            ("/spec/automountServiceAccountToken", Value::Null),
            ("/spec/containers/0/name", json!("c")),
            (
                "/metadata/annotations/kubectl.kubernetes.io~1default-container",
                json!("c"),
            ),
            ("/spec/containers/0/ports", json!([{"containerPort": 80}])),
            ("/spec/restartPolicy", json!("OnFailure")),
        ],
    );
}

#[test]
fn tolerations_are_read_as_taints_are_written() {
    for (text, want) in [
        (
            "a=b:NoSchedule",
            json!({"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}),
        ),
        (
            "a:NoExecute",
            json!({"key": "a", "operator": "Exists", "effect": "NoExecute"}),
        ),
        ("a", json!({"key": "a", "operator": "Exists"})),
        ("*", json!({"operator": "Exists"})),
    ] {
        assert_eq!(toleration(text), Ok(want), "{text}");
    }
    for text in ["", ":NoSchedule", "a:Sometimes"] {
        assert!(toleration(text).is_err(), "{text}");
    }
}

#[test]
fn a_pod_on_a_node_is_in_its_namespaces_and_tolerates_everything() {
    let around = Around {
        node: Some("node-b".into()),
        ..around()
    };
    let pod = on_node(&around, &ours(), Profile::Sysadmin, &owner());
    says(
        &pod,
        &[
            ("/spec/nodeName", json!("node-b")),
            ("/spec/hostNetwork", json!(true)),
            ("/spec/hostPID", json!(true)),
            ("/spec/hostIPC", json!(true)),
            ("/spec/tolerations", json!([{"operator": "Exists"}])),
            ("/spec/volumes/0/hostPath/path", json!("/")),
            (
                "/spec/containers/0/volumeMounts/0/mountPath",
                json!("/host"),
            ),
            ("/spec/containers/0/securityContext/privileged", json!(true)),
        ],
    );
}

#[test]
fn an_ephemeral_container_has_no_resources_and_its_target() {
    let c = ephemeral("netshoot-x", &ours(), Profile::Restricted, Some("web"));
    says(
        &c,
        &[
            ("/name", json!("netshoot-x")),
            ("/targetContainerName", json!("web")),
            ("/resources", Value::Null),
        ],
    );
    let pod = with_ephemeral(&json!({"spec": {}}), &c);
    assert_eq!(pod["spec"]["ephemeralContainers"][0], c);
}

#[test]
fn a_copy_is_out_of_reach_of_services_and_controllers() {
    let original = json!({"metadata": {"name": "web-1", "labels": {"app": "web"},
            "ownerReferences": [{"kind": "ReplicaSet"}]},
        "spec": {"nodeName": "node-a", "hostname": "web-1", "priority": 0, "ephemeralContainers": [{}],
            "volumes": [{"name": "kube-api-access-x"}, {"name": "v"}],
            "containers": [
                {"name": "web", "image": "web:1", "command": ["serve"], "args": ["a"], "livenessProbe": {},
                    "volumeMounts": [{"name": "kube-api-access-x"}, {"name": "v"}]},
                {"name": "side", "image": "side:1"}]}});
    let copied = |a: Around, c: &Container| copy(&original, &a, c, Profile::Baseline, &owner());
    let plain = copied(around(), &ours());
    says(
        &plain,
        &[
            ("/metadata/labels/app", Value::Null),
            ("/metadata/ownerReferences", Value::Null),
            ("/spec/nodeName", Value::Null),
            ("/spec/hostname", Value::Null),
            ("/spec/ephemeralContainers", Value::Null),
            ("/spec/restartPolicy", json!("Never")),
            ("/spec/shareProcessNamespace", json!(true)),
            ("/spec/volumes", json!([{"name": "v"}])),
            ("/spec/containers/0/volumeMounts", json!([{"name": "v"}])),
            ("/spec/containers/0/livenessProbe", Value::Null),
            ("/spec/containers/0/command", json!(["serve"])),
            ("/spec/containers/2/name", json!("netshoot")),
        ],
    );
    let own = Around {
        container: Some("web".into()),
        share_processes: Some(false),
        node: Some("node-a".into()),
        ..around()
    };
    says(
        &copied(own, &ours()),
        &[
            ("/spec/shareProcessNamespace", json!(false)),
            ("/spec/nodeName", json!("node-a")),
            ("/spec/containers/0/command", json!(["curl", "x"])),
            ("/spec/containers/0/args", Value::Null),
            ("/spec/containers/0/image", json!("web:1")),
            ("/spec/containers/0/securityContext", Value::Null),
            ("/spec/containers/2", Value::Null),
        ],
    );
    for (images, web, side) in [("*=new:2", "new:2", "new:2"), ("side=x:3", "web:1", "x:3")] {
        let other = Around {
            images: pairs(images).unwrap(),
            ..around()
        };
        let without = Container {
            command: Vec::new(),
            ..ours()
        };
        says(
            &copied(other, &without),
            &[
                ("/spec/containers/0/image", json!(web)),
                ("/spec/containers/1/image", json!(side)),
                ("/spec/containers/2", Value::Null),
            ],
        );
    }
}

#[test]
fn the_resident_deployment_has_no_end_of_its_own() {
    let d = deployment(&around(), &ours(), Profile::Restricted, &owner(), 2);
    says(
        &d,
        &[
            ("/spec/replicas", json!(2)),
            ("/spec/selector/matchLabels", json!({"app": "tmp"})),
            ("/spec/template/metadata/labels/app", json!("tmp")),
            ("/spec/template/spec/activeDeadlineSeconds", Value::Null),
            ("/spec/template/spec/restartPolicy", Value::Null),
            (
                "/spec/template/spec/containers/0/resources/limits/memory",
                json!("128Mi"),
            ),
        ],
    );
}
