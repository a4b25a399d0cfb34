//! Policies, pods and namespaces at random: the evaluator against the obvious one, suggestions
//! against the evaluator, and junk against both.

use super::tests::{apply, end, refs};
use super::*;
use serde_json::json;

/// A small deterministic generator (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }

    fn maybe(&mut self, value: Value) -> Value {
        if self.roll(3) == 0 {
            Value::Null
        } else {
            value
        }
    }

    fn labels(&mut self) -> Value {
        let mut labels = json!({});
        for key in ["app", "team", "tier"] {
            if self.roll(3) != 0 {
                labels[key] = json!(*self.one(&["a", "b", "c"]));
            }
        }
        labels
    }

    fn namespace_labels(&mut self, name: &str) -> Value {
        let mut labels = self.labels();
        labels["kubernetes.io/metadata.name"] = json!(name);
        labels
    }

    fn selector(&mut self) -> Value {
        let mut s = json!({});
        if self.roll(2) == 0 {
            s["matchLabels"] = json!({ *self.one(&["app", "team"]): *self.one(&["a", "b"]) });
        }
        if self.roll(2) == 0 {
            let operator = *self.one(&["In", "NotIn", "Exists", "DoesNotExist"]);
            let mut e = json!({ "key": *self.one(&["app", "tier"]), "operator": operator });
            if operator.ends_with("In") {
                e["values"] = json!([*self.one(&["a", "b"]), *self.one(&["b", "c"])]);
            }
            s["matchExpressions"] = json!([e]);
        }
        s
    }

    fn port(&mut self) -> Value {
        let mut p = json!({});
        if self.roll(2) == 0 {
            p["protocol"] = json!(*self.one(&["TCP", "UDP", "SCTP"]));
        }
        match self.roll(4) {
            0 => {}
            1 => p["port"] = json!(*self.one(&["http", "dns", "none"])),
            2 => p["port"] = json!(*self.one(&[80, 53, 8080])),
            _ => {
                p["port"] = json!(*self.one(&[1, 53, 60]));
                p["endPort"] = json!(*self.one(&[60, 80, 9000]));
            }
        }
        p
    }

    fn peer(&mut self) -> Value {
        if self.roll(4) == 0 {
            let block = *self.one(&[
                "10.0.0.0/8",
                "10.0.0.0/30",
                "0.0.0.0/0",
                "fd00::/16",
                "::/0",
                "10.0.0.4/32",
            ]);
            let mut b = json!({ "ipBlock": { "cidr": block } });
            if self.roll(2) == 0 {
                b["ipBlock"]["except"] =
                    json!([*self.one(&["10.0.0.0/31", "10.0.0.8/29", "fd00::8/125"])]);
            }
            return b;
        }
        let mut p = json!({});
        for key in ["namespaceSelector", "podSelector"] {
            if self.roll(2) == 0 {
                p[key] = self.selector();
            }
        }
        p
    }

    fn rules(&mut self, peers: &str) -> Value {
        let rules: Vec<Value> = (0..self.roll(3))
            .map(|_| {
                let mut rule = json!({});
                if self.roll(3) != 0 {
                    rule["ports"] = (0..self.roll(3)).map(|_| self.port()).collect();
                }
                if self.roll(3) != 0 {
                    rule[peers] = (0..self.roll(3)).map(|_| self.peer()).collect();
                }
                rule
            })
            .collect();
        self.maybe(json!(rules))
    }

    fn policy(&mut self, n: usize) -> Object {
        let types = [
            json!(["Ingress"]),
            json!(["Egress"]),
            json!(["Ingress", "Egress"]),
            json!([]),
            Value::Null,
        ];
        Object(json!({
            "kind": "NetworkPolicy",
            "metadata": { "name": format!("p{n}"), "namespace": *self.one(&["x", "y"]) },
            "spec": {
                "podSelector": self.selector(),
                "policyTypes": self.one(&types).clone(),
                "ingress": self.rules("from"),
                "egress": self.rules("to"),
            },
        }))
    }

    fn pod(&mut self, n: usize) -> Object {
        let address = if self.roll(3) == 0 {
            format!("fd00::{n:x}")
        } else {
            format!("10.0.0.{n}")
        };
        Object(json!({
            "kind": "Pod",
            "metadata": { "name": format!("pod{n}"), "namespace": *self.one(&["x", "y", "z"]), "labels": self.labels() },
            "spec": {
                "hostNetwork": self.roll(10) == 0,
                "containers": [{ "ports": [
                    { "name": "http", "containerPort": *self.one(&[80, 8080]) },
                    { "name": "dns", "containerPort": 53, "protocol": *self.one(&["UDP", "TCP"]) },
                ] }],
            },
            "status": { "podIP": address },
        }))
    }

    fn world(&mut self) -> (Vec<Object>, Vec<Object>, Vec<Object>) {
        let namespaces = ["x", "y", "z"]
            .iter()
            .map(|n| Object(json!({ "kind": "Namespace", "metadata": { "name": n, "labels": self.namespace_labels(n) } })))
            .collect();
        let pods = (1..9).map(|n| self.pod(n)).collect();
        let policies = (0..self.roll(4) + 1).map(|n| self.policy(n)).collect();
        (policies, namespaces, pods)
    }
}

#[test]
fn agrees_with_the_obvious_evaluator() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut denied, mut near) = (0, 0);
    for round in 0..200 {
        let (policies, namespaces, pods) = dice.world();
        let (rp, rn, ra) = (refs(&policies), refs(&namespaces), refs(&pods));
        let values = |all: &[Object]| -> Vec<Value> { all.iter().map(|o| o.0.clone()).collect() };
        let (vp, vn) = (values(&policies), values(&namespaces));
        for _ in 0..60 {
            let (a, b) = (dice.one(&pods), dice.one(&pods));
            let (mut a, b) = (end(a), end(b));
            if dice.roll(8) == 0 {
                a = End {
                    pod: None,
                    address: dice
                        .one(&["10.0.0.1", "192.0.2.1", "fd00::9"])
                        .parse()
                        .unwrap(),
                };
            }
            let (protocol, port) = (
                *dice.one(&["TCP", "UDP", "SCTP"]),
                *dice.one(&[80, 53, 8080, 60]),
            );
            let v = verdict(&rp, &rn, &ra, &a, &b, protocol, port);
            let plain = |e: &End<'_>| reference::End {
                pod: e.pod.map(|p| p.0.clone()),
                address: e.address,
            };
            for direction in [Direction::Ingress, Direction::Egress] {
                let ingress = direction == Direction::Ingress;
                let want =
                    reference::allowed(&vp, &vn, &plain(&a), &plain(&b), protocol, port, ingress);
                let side = v.side(direction);
                assert_eq!(
                    side.allowed, want,
                    "round {round}: {a:?} {b:?} {protocol}/{port} {direction:?} {policies:#?}"
                );
                assert_eq!(
                    side.allowed_by.is_some(),
                    side.allowed && !side.selecting.is_empty()
                );
                denied += usize::from(!side.allowed);
                near += side.near_misses.len();
                assert!(
                    side.near_misses
                        .iter()
                        .all(|m| m.distance > 0 && !m.misses.is_empty()),
                    "{side:?}"
                );
            }
        }
    }
    assert!(denied > 1000 && near > 250, "{denied} {near}");
}

#[test]
fn a_suggestion_opens_what_was_asked_and_nothing_else() {
    let mut dice = Dice(42);
    let (mut opened, mut extended, mut created) = (0, 0, 0);
    for _ in 0..300 {
        let (mut policies, mut namespaces, pods) = dice.world();
        let all = refs(&pods);
        let judge = |policies: &[Object], namespaces: &[Object]| -> Vec<bool> {
            let (p, n) = (refs(policies), refs(namespaces));
            let mut out = Vec::new();
            for a in &pods {
                for b in &pods {
                    for port in [80, 8080] {
                        out.push(verdict(&p, &n, &all, &end(a), &end(b), "TCP", port).allowed());
                    }
                }
            }
            out
        };
        let before = judge(&policies, &namespaces);
        let (a, b) = (dice.one(&pods), dice.one(&pods));
        let suggestions = suggest_allow(
            &refs(&policies),
            &refs(&namespaces),
            &all,
            &end(a),
            &end(b),
            "TCP",
            80,
        );
        for s in &suggestions {
            match s {
                Suggestion::Create { .. } => created += 1,
                Suggestion::Patch { .. } => extended += 1,
            }
        }
        apply(&suggestions, &mut policies, &mut namespaces);
        let v = verdict(
            &refs(&policies),
            &refs(&namespaces),
            &all,
            &end(a),
            &end(b),
            "TCP",
            80,
        );
        assert!(v.allowed(), "{suggestions:#?}");
        let after = judge(&policies, &namespaces);
        let alike = |p: &Object, q: &Object| {
            // labels of a selector are a subset: pods with more labels are selected too
            p.namespace() == q.namespace()
                && q.labels().iter().all(|(k, v)| p.labels().get(k) == Some(v))
        };
        let mut i = 0;
        for x in &pods {
            for y in &pods {
                for port in [80, 8080] {
                    if before[i] != after[i] {
                        let block = on_host_network(a) || on_host_network(b);
                        assert!(port == 80 && after[i], "{suggestions:#?}");
                        assert!(block || (alike(x, a) || alike(y, b)), "{suggestions:#?}");
                        opened += 1;
                    }
                    i += 1;
                }
            }
        }
    }
    assert!(
        opened > 30 && extended > 10 && created > 10,
        "{opened} {extended} {created}"
    );
}

/// Any JSON where a policy, pod or namespace should be: an answer, never a panic.
#[test]
fn strange_objects_do_no_harm() {
    let mut dice = Dice(7);
    let junk = [
        json!(null),
        json!(-1),
        json!("x"),
        json!([]),
        json!([[], {}, 3]),
        json!({}),
        json!(1e300),
        json!(true),
        json!("::/0"),
    ];
    for _ in 0..1500 {
        let (mut policies, mut namespaces, mut pods) = dice.world();
        for _ in 0..4 {
            let list = match dice.roll(3) {
                0 => &mut policies,
                1 => &mut namespaces,
                _ => &mut pods,
            };
            let at = dice.roll(list.len());
            let mut value = &mut list[at].0;
            for _ in 0..dice.roll(8) {
                let pick = dice.roll(8);
                let size = value.as_object().map_or(0, serde_json::Map::len)
                    + value.as_array().map_or(0, Vec::len);
                if size == 0 {
                    break;
                }
                value = match value {
                    Value::Object(m) => m.values_mut().nth(pick % size).unwrap(),
                    other => &mut other[pick % size],
                };
            }
            *value = dice.one(&junk).clone();
        }
        let (p, n, a) = (refs(&policies), refs(&namespaces), refs(&pods));
        let e = |o: usize| End {
            pod: Some(&pods[o]),
            address: "10.0.0.1".parse().unwrap(),
        };
        let v = verdict(&p, &n, &a, &e(0), &e(1), "TCP", 80);
        for s in [&v.ingress, &v.egress] {
            for m in &s.near_misses {
                assert!(!m.to_string().is_empty());
                for policy in &policies {
                    mend(policy, Direction::Ingress, m);
                    mend(policy, Direction::Egress, m);
                }
            }
        }
        suggest_allow(&p, &n, &a, &e(0), &e(1), "TCP", 80);
    }
}
