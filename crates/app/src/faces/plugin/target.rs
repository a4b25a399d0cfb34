//! What people name: `web-1`, `pod/web-1`, `deploy/web`, `svc/web`, `node/a`, and which pod that is.

use netshoot_model::object::Object;
use serde_json::Value;

/// A thing that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A pod.
    Pod(String),
    /// A node.
    Node(String),
    /// Something that has pods: its kind in the singular, and its name.
    Pods(&'static str, String),
}

/// Kinds that have pods, with all their words.
const OWNERS: [(&str, &[&str]); 6] = [
    (
        "deployment",
        &[
            "deploy",
            "deployment",
            "deployments",
            "deployments.apps",
            "deployment.apps",
        ],
    ),
    ("service", &["svc", "service", "services"]),
    (
        "statefulset",
        &["sts", "statefulset", "statefulsets", "statefulset.apps"],
    ),
    (
        "daemonset",
        &["ds", "daemonset", "daemonsets", "daemonset.apps"],
    ),
    (
        "replicaset",
        &["rs", "replicaset", "replicasets", "replicaset.apps"],
    ),
    ("job", &["job", "jobs", "job.batch"]),
];

/// Reads a word.
pub fn parse(word: &str) -> Result<Target, String> {
    let Some((kind, name)) = word.split_once('/') else {
        return match word {
            "" => Err("the name is empty".into()),
            _ => Ok(Target::Pod(word.into())),
        };
    };
    if name.is_empty() || name.contains('/') {
        return Err(format!("{word:?} is not KIND/NAME"));
    }
    let kind = kind.to_lowercase();
    match kind.as_str() {
        "po" | "pod" | "pods" => Ok(Target::Pod(name.into())),
        "no" | "node" | "nodes" => Ok(Target::Node(name.into())),
        _ => OWNERS
            .iter()
            .find(|(_, words)| words.contains(&kind.as_str()))
            .map(|(kind, _)| Target::Pods(kind, name.into()))
            .ok_or(format!(
                "{kind:?} has no pods; there is pod, node, {}",
                OWNERS.map(|(k, _)| k).join(", ")
            )),
    }
}

/// The label selector of an object that has pods, as text; none where it selects nothing.
pub fn selector(object: &Value) -> Option<String> {
    // A Service has the labels at once, the others below matchLabels.
    let plain = object.pointer("/spec/selector")?.as_object()?;
    let labels = match plain.get("matchLabels") {
        Some(l) => l.as_object(),
        None if plain.contains_key("matchExpressions") => None,
        None => Some(plain),
    };
    let mut terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)))
        .collect();
    let expressions = plain.get("matchExpressions").and_then(Value::as_array);
    for e in expressions.into_iter().flatten() {
        let key = e["key"].as_str()?;
        let values: Vec<&str> = e["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        terms.push(match e["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_string(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

/// The pod to look into: one that runs and is ready, else one that runs; the youngest name decides
/// nothing, so that two people who ask get the same.
pub fn choose(pods: &[Object]) -> Option<&Object> {
    pods.iter()
        .filter(|p| {
            p.str("status.phase") == "Running" && p.str("metadata.deletionTimestamp").is_empty()
        })
        .min_by_key(|p| (!ready(&p.0), p.name().to_string()))
}

/// The pod's Ready condition.
pub fn ready(pod: &Value) -> bool {
    let all = pod.pointer("/status/conditions").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_for_things() {
        let cases = [
            ("web-1", Ok(Target::Pod("web-1".into()))),
            ("pod/web-1", Ok(Target::Pod("web-1".into()))),
            ("node/a", Ok(Target::Node("a".into()))),
            ("deploy/web", Ok(Target::Pods("deployment", "web".into()))),
            (
                "deployment.apps/web",
                Ok(Target::Pods("deployment", "web".into())),
            ),
            ("svc/web", Ok(Target::Pods("service", "web".into()))),
            ("sts/db", Ok(Target::Pods("statefulset", "db".into()))),
        ];
        for (word, expected) in cases {
            assert_eq!(parse(word), expected, "{word}");
        }
        for word in ["", "pod/", "cm/x", "pod/a/b", "/x"] {
            assert!(parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn selectors_of_services_and_of_workloads() {
        let cases = [
            (json!({"app": "web", "tier": "a"}), Some("app=web,tier=a")),
            (json!({"matchLabels": {"app": "web"}}), Some("app=web")),
            (
                json!({"matchLabels": {"a": "b"}, "matchExpressions": [
                    {"key": "t", "operator": "In", "values": ["x", "y"]},
                    {"key": "u", "operator": "DoesNotExist"}]}),
                Some("a=b,t in (x,y),!u"),
            ),
            (json!({}), None),
        ];
        for (s, expected) in cases {
            assert_eq!(
                selector(&json!({"spec": {"selector": s}})).as_deref(),
                expected,
                "{s}"
            );
        }
        assert_eq!(selector(&json!({"spec": {}})), None);
    }

    #[test]
    fn a_ready_pod_is_chosen() {
        let pod = |name: &str, phase: &str, ready: &str| {
            Object(
                json!({"metadata": {"name": name}, "status": {"phase": phase,
                "conditions": [{"type": "Ready", "status": ready}]}}),
            )
        };
        let all = [
            pod("a", "Pending", "False"),
            pod("b", "Running", "False"),
            pod("d", "Running", "True"),
            pod("c", "Running", "True"),
        ];
        assert_eq!(choose(&all).unwrap().name(), "c");
        assert_eq!(choose(&all[..2]).unwrap().name(), "b");
        assert_eq!(choose(&all[..1]), None);
    }
}

#[cfg(test)]
mod damaged {
    #[test]
    fn a_damaged_target_is_understood_or_refused() {
        let seeds = [
            "pod/web-1",
            "deploy/web",
            "svc/cart",
            "node/node-a",
            "web-1",
            "deployment.apps/web",
        ];
        netshoot_wire::fuzz::texts(&seeds, 20_000, |text| {
            if let Err(said) = super::parse(text) {
                assert!(!said.is_empty(), "{text}");
            }
        });
    }
}
