use super::*;
use crate::live::Tried;
use serde_json::json;

fn objects(all: Value) -> Vec<Object> {
    serde_json::from_value(all).unwrap()
}

#[test]
fn namespaces_that_conversations_cross() {
    let spaces = ["shop", "billing", "auth", "kube-system", "web"]
        .map(|n| json!({"kind": "Namespace", "metadata": {"name": n}}));
    let pod = |env: &str| {
        json!({"kind": "Pod", "metadata": {"name": "a", "namespace": "shop"},
            "spec": {"containers": [{"env": [{"name": "X", "value": env}]}]}})
    };
    let cases = [
        ("", "http://invoice.billing:80/", vec!["billing"]),
        ("", "invoice.billing.svc.cluster.local:80", vec!["billing"]),
        ("", "https://www.example.test/", vec![]),
        ("", "dns.kube-system", vec![]),
        ("cart cannot reach login.auth", "", vec!["auth"]),
        (
            "cart cannot reach login in namespace auth",
            "",
            vec!["auth"],
        ),
        ("web cannot reach cart", "", vec!["web"]),
    ];
    for (words, env, want) in cases {
        let mut all = spaces.to_vec();
        all.push(pod(env));
        let wanted = Wanted {
            namespaces: BTreeSet::from(["shop".to_string()]),
            words: words.into(),
            ..Wanted::default()
        };
        let found: Vec<String> = crossed(&wanted, &objects(json!(all))).into_iter().collect();
        assert_eq!(found, want, "{words} {env}");
    }
    // Where namespaces may not be listed, a name must say itself that it is one.
    let wanted = Wanted {
        namespaces: BTreeSet::from(["shop".to_string()]),
        ..Wanted::default()
    };
    for (env, want) in [
        ("a.billing.svc:80", vec!["billing"]),
        ("www.example.test", vec![]),
    ] {
        let found: Vec<String> = crossed(&wanted, &objects(json!([pod(env)])))
            .into_iter()
            .collect();
        assert_eq!(found, want, "{env}");
    }
}

#[test]
fn of_routes_is_read_what_lets_in_the_asked_ones() {
    let wanted = Wanted {
        kinds: ["Gateway", "HTTPRoute", "Ingress", "ReferenceGrant"]
            .map(String::from)
            .into(),
        namespaces: BTreeSet::from(["shop".to_string()]),
        ..Wanted::default()
    };
    let said = |jobs: Vec<Job>| -> Vec<String> {
        let jobs = jobs.into_iter().filter(|j| wanted.kinds.contains(&j.kind));
        jobs.map(|j| format!("{}/{}", j.namespace, j.kind))
            .collect()
    };
    let spaces = ["shop", "stock", SYSTEM].map(String::from).into();
    assert_eq!(
        said(jobs_in(&wanted, &spaces)),
        [
            "shop/Gateway",
            "stock/Gateway",
            "shop/HTTPRoute",
            "shop/Ingress",
            "stock/ReferenceGrant"
        ]
    );
    let route = |namespace: &str| {
        objects(
            json!([{"kind": "HTTPRoute", "metadata": {"name": "a", "namespace": "shop"}, "spec": {
            "parentRefs": [{"name": "edge", "namespace": namespace}]}}]),
        )
    };
    assert!(routes_of_system(&wanted, &route("stock")).is_empty());
    assert_eq!(
        said(routes_of_system(&wanted, &route(SYSTEM))),
        ["kube-system/Gateway", "kube-system/ReferenceGrant"]
    );
}

#[test]
fn what_is_refused_is_one_gap_for_each_namespace() {
    let one = |kind: &str, group: &str, resource: &str, namespace: &str| {
        let tried = Tried {
            verb: "list",
            group: group.into(),
            resource: resource.into(),
            namespace: namespace.into(),
            ..Tried::default()
        };
        let job = Job {
            kind: kind.into(),
            namespace: namespace.into(),
        };
        let user = "jane".to_string();
        (
            job,
            Denial {
                tried,
                user,
                says: String::new(),
            },
        )
    };
    let gaps = refused_together(&[
        one("Pod", "", "pods", "shop"),
        one(
            "NetworkPolicy",
            "networking.k8s.io",
            "networkpolicies",
            "shop",
        ),
        one("Node", "", "nodes", ""),
    ]);
    let said: Vec<String> = gaps
        .iter()
        .map(|g| format!("{} | {} | {}", g.what, g.missing, g.how_to_get))
        .collect();
    assert_eq!(
        said,
        [
            "objects of kind Node | the right to list nodes in all namespaces | kubectl create clusterrole netshoot-read --verb=get,list --resource=nodes && kubectl create clusterrolebinding netshoot-read --clusterrole=netshoot-read --user=jane",
            "objects of kind NetworkPolicy, Pod in namespace shop | the right to list networkpolicies.networking.k8s.io, pods in namespace shop | kubectl -n shop create role netshoot-read --verb=get,list --resource=networkpolicies.networking.k8s.io,pods && kubectl -n shop create rolebinding netshoot-read --role=netshoot-read --user=jane",
        ]
    );
}

#[test]
fn a_thin_pod_keeps_what_checks_read() {
    let mut pod: Value = serde_json::from_str(include_str!("../../tests/pod.json")).unwrap();
    thin(&mut pod);
    let o = Object(pod);
    assert!(o.get("metadata.managedFields").is_null() && o.get("spec.volumes").is_null());
    assert_eq!(o.str("spec.nodeName"), "node-a");
    assert_eq!(o.int("spec.containers.0.ports.0.containerPort"), Some(8080));
    assert_eq!(o.str("metadata.ownerReferences.0.name"), "cart-9f5b49f5b");
    assert_eq!(o.str("status.conditions.0.type"), "Ready");
    assert!(
        o.str("status.containerStatuses.0.containerID")
            .starts_with("containerd://")
    );
}
