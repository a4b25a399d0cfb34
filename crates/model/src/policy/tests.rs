use super::*;
use serde_json::json;

const TABLE: &str = include_str!("../../testdata/networkpolicy-cases.json");

/// A world of the table as objects: namespaces, pods.
fn world(table: &Value, world: &Value) -> (Vec<Object>, Vec<Object>) {
    let namespaces = world["namespaces"].as_object().unwrap().iter();
    let namespaces = namespaces
        .map(|(name, labels)| {
            Object(json!({ "kind": "Namespace", "metadata": { "name": name, "labels": labels } }))
        })
        .collect();
    let ports: Vec<Value> = table["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(
            |p| json!({ "protocol": p["protocol"], "containerPort": p["port"], "name": p["name"] }),
        )
        .collect();
    let pods = world["pods"].as_array().unwrap().iter();
    let pods = pods
        .map(|p| {
            Object(json!({
                "kind": "Pod",
                "metadata": { "name": p["name"], "namespace": p["ns"], "labels": p["labels"] },
                "spec": { "containers": [{ "ports": ports }] },
                "status": { "podIP": p["ip"] },
            }))
        })
        .collect();
    (namespaces, pods)
}

pub(super) fn end(pod: &Object) -> End<'_> {
    End {
        pod: Some(pod),
        address: pod.str("status.podIP").parse().unwrap(),
    }
}

pub(super) fn refs(objects: &[Object]) -> Vec<&Object> {
    objects.iter().collect()
}

#[test]
fn the_whole_truth_table_holds() {
    let table: Value = serde_json::from_str(TABLE).unwrap();
    let (mut steps, mut verdicts, mut denied) = (0, 0, 0);
    for step in table["steps"].as_array().unwrap() {
        let at = usize::try_from(step["world"].as_u64().unwrap()).unwrap();
        let (namespaces, pods) = world(&table, &table["worlds"][at]);
        let policies: Vec<Object> = step["policies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| Object(p.clone()))
            .collect();
        let (policies, namespaces, all) = (refs(&policies), refs(&namespaces), refs(&pods));
        let cells = |direction: Direction| -> std::collections::BTreeMap<&str, Vec<&str>> {
            let groups = step[direction.field()].as_array().unwrap().iter();
            groups
                .flat_map(|g| {
                    let rows: Vec<&str> = g[1].as_str().unwrap().split(' ').collect();
                    g[0].as_str()
                        .unwrap()
                        .split(',')
                        .map(move |port| (port, rows.clone()))
                })
                .collect()
        };
        let (ingress, egress) = (cells(Direction::Ingress), cells(Direction::Egress));
        assert!(ingress.keys().eq(egress.keys()));
        for (port, rows) in &ingress {
            let (protocol, number) = port.split_once('/').unwrap();
            let number = number.parse().unwrap();
            for (i, from) in pods.iter().enumerate() {
                for (j, to) in pods.iter().enumerate() {
                    let (a, b) = (end(from), end(to));
                    let v = verdict(&policies, &namespaces, &all, &a, &b, protocol, number);
                    for (side, rows) in [(&v.ingress, rows), (&v.egress, &egress[port])] {
                        assert_eq!(
                            side.allowed,
                            rows[i].as_bytes()[j] == b'.',
                            "case {} step {} ({}): {} to {} {port}",
                            step["case"],
                            step["step"],
                            step["description"],
                            from.reference(),
                            to.reference()
                        );
                        verdicts += 1;
                        denied += usize::from(!side.allowed);
                        assert!(side.allowed || !side.selecting.is_empty());
                    }
                }
            }
        }
        steps += 1;
    }
    assert_eq!((steps, verdicts), (256, 247_338));
    assert_eq!(denied, 11_347 + 9_697 + 2 * 1_324);
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

pub(super) fn apply(
    suggestions: &[Suggestion],
    policies: &mut Vec<Object>,
    namespaces: &mut [Object],
) {
    for s in suggestions {
        match s {
            Suggestion::Create { object, .. } => {
                assert!(
                    policies
                        .iter()
                        .all(|p| p.reference() != Object(object.clone()).reference())
                );
                policies.push(Object(object.clone()));
            }
            Suggestion::Patch { object, patch, .. } => {
                let mut all = policies.iter_mut().chain(namespaces.iter_mut());
                merge(
                    &mut all.find(|o| o.reference() == *object).unwrap().0,
                    patch,
                );
            }
        }
    }
}

fn object(text: &str) -> Object {
    Object(serde_json::from_str(text).unwrap())
}

fn shop() -> (Vec<Object>, Vec<Object>) {
    let pod = |ns: &str, name: &str, ip: &str, host_ip: &str| {
        object(&format!(
            r#"{{"kind":"Pod","metadata":{{"name":"{name}-7d9f-abcde","namespace":"{ns}","labels":{{"app":"{name}","pod-template-hash":"7d9f"}}}},
                "spec":{{"containers":[{{"name":"c","ports":[{{"name":"http","containerPort":8080}}]}}]}},
                "status":{{"podIP":"{ip}","hostIP":"{host_ip}"}}}}"#
        ))
    };
    let namespaces = vec![
        object(
            r#"{"kind":"Namespace","metadata":{"name":"front","labels":{"team":"storefront","kubernetes.io/metadata.name":"front"}}}"#,
        ),
        object(
            r#"{"kind":"Namespace","metadata":{"name":"shop","labels":{"team":"orders","kubernetes.io/metadata.name":"shop"}}}"#,
        ),
    ];
    let pods = vec![
        pod("front", "web", "10.1.0.5", "192.168.0.1"),
        pod("shop", "cart", "10.1.1.6", "192.168.0.2"),
        pod("shop", "admin", "fd00::7", "192.168.0.2"),
    ];
    (namespaces, pods)
}

fn policy(spec: Value) -> Object {
    Object(
        json!({ "kind": "NetworkPolicy", "metadata": { "name": "cart", "namespace": "shop" }, "spec": spec }),
    )
}

/// The ingress side of web (in front) to cart (in shop), TCP 8080.
fn ingress_of(spec: Value) -> (Object, Side) {
    let (namespaces, pods) = shop();
    let p = policy(spec);
    let v = verdict(
        &[&p],
        &refs(&namespaces),
        &refs(&pods),
        &end(&pods[0]),
        &end(&pods[1]),
        "TCP",
        8080,
    );
    (p, v.ingress)
}

#[test]
fn near_misses_say_what_is_missing() {
    let ns = |key: &str, value: &str| json!([{ "namespaceSelector": { "matchLabels": { key: value } } }]);
    let cases = [
        (json!([]), ""),
        (
            json!([{ "from": ns("team", "store-front") }]),
            "shop/NetworkPolicy/cart rule 0 peer 0: namespaceSelector team=store-front selects 0 namespaces, not front: it needs team=store-front (has team=storefront)",
        ),
        (
            json!([{ "from": ns("team", "orders") }]),
            "shop/NetworkPolicy/cart rule 0 peer 0: namespaceSelector team=orders selects 1 namespaces, not front: it needs team=orders (has team=storefront)",
        ),
        (
            json!([{ "from": ns("zone", "a") }, { "from": [{ "podSelector": { "matchLabels": { "app": "web" } } }] }]),
            "shop/NetworkPolicy/cart rule 1 peer 0: podSelector without namespaceSelector looks in namespace shop only, the peer is in front",
        ),
        (
            json!([{ "from": [{ "namespaceSelector": {}, "podSelector": { "matchExpressions": [{ "key": "app", "operator": "In", "values": ["api", "admin"] }] } }] }]),
            "shop/NetworkPolicy/cart rule 0 peer 0: podSelector app in (api,admin) selects 1 pods, not front/Pod/web-7d9f-abcde: it needs app in (api,admin) (has app=web)",
        ),
        (
            json!([{ "ports": [{ "port": 80 }, { "port": "web" }, { "port": 9000, "endPort": 9010 }] }]),
            "shop/NetworkPolicy/cart rule 0: opens TCP/80, TCP/web, TCP/9000-9010, not TCP/8080 (the pod has no port named web)",
        ),
        (
            json!([{ "from": [{ "ipBlock": { "cidr": "10.0.0.0/8", "except": ["10.1.0.0/24"] } }] }]),
            "shop/NetworkPolicy/cart rule 0 peer 0: ipBlock 10.0.0.0/8 has an exception for 10.1.0.0/24",
        ),
        (
            json!([{ "from": ns("team", "orders"), "ports": [{ "port": 80 }] }]),
            "",
        ),
    ];
    for (rules, want) in cases {
        let (_, side) = ingress_of(json!({ "podSelector": {}, "ingress": rules }));
        assert!(!side.allowed, "{rules}");
        let got = side
            .near_misses
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert_eq!(got, want, "{rules}");
    }
}

#[test]
fn a_near_miss_can_be_mended() {
    let (namespaces, pods) = shop();
    let cases = [
        (
            json!([{ "from": [{ "namespaceSelector": { "matchLabels": { "team": "store-front" } } }] }]),
            2,
        ),
        (
            json!([{ "from": [{ "namespaceSelector": { "matchLabels": { "zone": "a" } } }] }]),
            1,
        ),
        (
            json!([{ "from": [{ "namespaceSelector": { "matchExpressions": [{ "key": "team", "operator": "In", "values": ["x", "y"] }] } }] }]),
            1,
        ),
        (json!([{ "ports": [{ "port": 80 }] }]), 1),
        (
            json!([{ "from": [{ "ipBlock": { "cidr": "10.2.0.0/16" } }] }]),
            0,
        ),
    ];
    for (rules, count) in cases {
        let (p, side) = ingress_of(json!({ "podSelector": {}, "ingress": rules }));
        let mends = mend(&p, Direction::Ingress, &side.near_misses[0]);
        assert_eq!(mends.len(), count, "{rules}");
        for m in mends {
            let (mut policies, mut spaces) = (vec![p.clone()], namespaces.clone());
            apply(&[m], &mut policies, &mut spaces);
            let v = verdict(
                &refs(&policies),
                &refs(&spaces),
                &refs(&pods),
                &end(&pods[0]),
                &end(&pods[1]),
                "TCP",
                8080,
            );
            assert!(v.allowed(), "{policies:?}");
        }
    }
}

#[test]
fn the_suggested_policy_is_what_a_person_would_write() {
    let (namespaces, pods) = shop();
    let deny = policy(json!({ "podSelector": {}, "policyTypes": ["Ingress"] }));
    let got = suggest_allow(
        &[&deny],
        &refs(&namespaces),
        &refs(&pods),
        &end(&pods[0]),
        &end(&pods[1]),
        "tcp",
        8080,
    );
    let want = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": "allow-web-to-cart-8080", "namespace": "shop" },
        "spec": {
            "podSelector": { "matchLabels": { "app": "cart" } },
            "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [{
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "front" } },
                    "podSelector": { "matchLabels": { "app": "web" } },
                }],
                "ports": [{ "protocol": "TCP", "port": 8080 }],
            }],
        },
    });
    assert_eq!(
        got,
        vec![Suggestion::Create {
            direction: Direction::Ingress,
            object: want
        }]
    );
    let mut own = policy(
        json!({ "podSelector": { "matchLabels": { "app": "cart" } }, "ingress": [{ "ports": [{ "port": 1 }] }] }),
    );
    own.0["metadata"]["name"] = json!("cart-only");
    let got = suggest_allow(
        &[&deny, &own],
        &refs(&namespaces),
        &refs(&pods),
        &end(&pods[0]),
        &end(&pods[1]),
        "TCP",
        8080,
    );
    let [Suggestion::Patch { object, patch, .. }] = got.as_slice() else {
        panic!("{got:?}")
    };
    assert_eq!(object, &own.reference());
    assert_eq!(patch["spec"]["ingress"].as_array().unwrap().len(), 2);
}

#[test]
fn exemptions_and_defaults() {
    let (namespaces, mut pods) = shop();
    let deny = policy(json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }));
    let judge = |pods: &[Object], from: &End<'_>, to: &End<'_>| {
        verdict(
            &[&deny],
            &refs(&namespaces),
            &refs(pods),
            from,
            to,
            "TCP",
            8080,
        )
    };
    let outside = |a: &str| End {
        pod: None,
        address: a.parse().unwrap(),
    };
    let v = judge(&pods, &outside("192.168.0.2"), &end(&pods[1]));
    assert_eq!(
        (v.ingress.allowed, v.ingress.exempt, v.egress.exempt),
        (true, Some(Exempt::OwnNode), Some(Exempt::NoPod))
    );
    assert!(!judge(&pods, &outside("192.168.0.1"), &end(&pods[1])).allowed());
    assert!(
        !judge(&pods, &end(&pods[1]), &outside("2001:db8::1"))
            .egress
            .allowed
    );
    pods[1].0["spec"]["hostNetwork"] = json!(true);
    let v = judge(&pods, &end(&pods[0]), &end(&pods[1]));
    assert_eq!(
        (v.ingress.allowed, v.ingress.exempt),
        (true, Some(Exempt::HostNetwork))
    );
    for (spec, ingress, egress) in [
        (json!({}), true, false),
        (json!({ "egress": [] }), true, false),
        (json!({ "egress": [{}] }), true, true),
        (json!({ "policyTypes": ["Egress"] }), false, true),
    ] {
        let p = policy(spec.clone());
        assert_eq!(
            (
                applies(&p, Direction::Ingress),
                applies(&p, Direction::Egress)
            ),
            (ingress, egress),
            "{spec}"
        );
    }
}

#[test]
fn a_namespace_that_was_not_read_is_named() {
    let (namespaces, pods) = shop();
    let p = policy(
        json!({ "podSelector": {}, "ingress": [{ "from": [{ "namespaceSelector": { "matchLabels": { "team": "storefront" } } }] }] }),
    );
    let judge = |n: &[&Object]| {
        verdict(
            &[&p],
            n,
            &refs(&pods),
            &end(&pods[0]),
            &end(&pods[1]),
            "TCP",
            8080,
        )
        .ingress
    };
    assert!(judge(&refs(&namespaces)).allowed);
    let side = judge(&[]);
    assert!(!side.allowed);
    assert_eq!(side.unknown, ["labels of Namespace front"]);
}

#[test]
fn blocks_of_both_families() {
    for (cidr, address, want) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("0.0.0.0/0", "1.2.3.4", true),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "1.2.3.4", false),
        ("::/0", "fd00::1", true),
        ("fd00::/120", "fd00::ff", true),
        ("fd00::/120", "fd00::100", false),
        ("10.0.0.7/31", "10.0.0.6", true),
        ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ("1.2.3.4/32", "1.2.3.4", true),
    ] {
        assert_eq!(
            cidr.parse::<Cidr>()
                .unwrap()
                .contains(address.parse().unwrap()),
            want,
            "{cidr} {address}"
        );
    }
    for bad in [
        "",
        "/",
        "10.0.0.0",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/-1",
        "x/8",
        "10.0.0.0/8/8",
    ] {
        assert!(bad.parse::<Cidr>().is_err(), "{bad}");
    }
}

#[test]
fn whoever_listens_outside_is_out_of_reach_where_no_rule_speaks_of_outside() {
    let pod =
        object(r#"{"kind":"Pod","metadata":{"name":"a","namespace":"shop","labels":{"app":"a"}}}"#);
    let shut = |spec: Value| !shut_in(&[&policy(spec)], &pod, "UDP").is_empty();
    let egress =
        |rules: Value| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": rules});
    for (rules, want) in [
        (json!([]), true),
        (json!([{"to": [{"podSelector": {}}]}]), true),
        (
            json!([{"to": [{"namespaceSelector": {}}], "ports": [{"port": 53}]}]),
            true,
        ),
        (
            json!([{"ports": [{"protocol": "TCP"}, {"protocol": "SCTP", "port": 1}]}]),
            true,
        ),
        (json!([{}]), false),
        (json!([{"ports": [{"protocol": "UDP", "port": 1}]}]), false),
        (
            json!([{"to": [{"podSelector": {}}]}, {"to": [{"podSelector": {}, "namespaceSelector": {}}]}]),
            false,
        ),
        (
            json!([{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
            false,
        ),
    ] {
        assert_eq!(shut(egress(rules.clone())), want, "{rules}");
    }
    // Nothing isolates it: another's policy, ingress alone.
    assert!(!shut(
        json!({"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Egress"]})
    ));
    assert!(!shut(json!({"podSelector": {}})));
}
