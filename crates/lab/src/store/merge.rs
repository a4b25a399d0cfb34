//! The two patch languages: JSON merge patch (RFC 7386) and Kubernetes' strategic merge, where
//! lists of named things merge by their key.

use serde_json::{Map, Value};

/// RFC 7386: null deletes, objects merge, everything else replaces.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Kubernetes strategic merge patch, with `$patch: delete` and `$patch: replace`.
pub fn strategic(target: &mut Value, patch: &Value) {
    merge_named("", target, patch);
}

fn merge_named(field: &str, target: &mut Value, patch: &Value) {
    match patch {
        Value::Object(patch) => merge_map(target, patch),
        Value::Array(items) => merge_list(field, target, items),
        other => *target = other.clone(),
    }
}

fn merge_map(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() || patch.get("$patch").and_then(Value::as_str) == Some("replace") {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    if patch.get("$patch").and_then(Value::as_str) == Some("delete") {
        map.clear();
        return;
    }
    for (key, value) in patch.iter().filter(|(k, _)| !k.starts_with('$')) {
        if value.is_null() {
            map.remove(key);
        } else {
            merge_named(key, map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The key by which items of a list merge; none for lists that are replaced whole. From the
/// `patchMergeKey` of the API reference. `ports` of a container and of a Service have different
/// keys; those of a NetworkPolicy and an EndpointSlice have none, and their items hold neither.
fn merge_key(field: &str, items: &[Value]) -> Option<&'static str> {
    let all_have = |key: &str| {
        items.iter().all(|i| {
            i.get(key).is_some() || i.get("$patch").and_then(Value::as_str) == Some("replace")
        })
    };
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "hostAliases" => Some("ip"),
        "ownerReferences" => Some("uid"),
        "conditions" | "addresses" if all_have("type") => Some("type"),
        "ports" if all_have("containerPort") => Some("containerPort"),
        // A NetworkPolicy's ports may hold `port` too; they always say what they allow, never a name or target.
        "ports"
            if all_have("port")
                && items.iter().any(|i| {
                    ["name", "targetPort", "nodePort", "appProtocol", "$patch"]
                        .iter()
                        .any(|k| i.get(k).is_some())
                }) =>
        {
            Some("port")
        }
        _ => None,
    }
}

fn merge_list(field: &str, target: &mut Value, items: &[Value]) {
    let replaced = || -> Vec<Value> {
        items
            .iter()
            .filter(|i| i.get("$patch").is_none())
            .map(|i| {
                let mut v = Value::Null;
                merge_named("", &mut v, i);
                v
            })
            .collect()
    };
    let replace = items.iter().any(|i| {
        i.get("$patch").and_then(Value::as_str) == Some("replace")
            && i.as_object().is_some_and(|m| m.len() == 1)
    });
    let (Some(key), false) = (merge_key(field, items), replace) else {
        *target = Value::Array(replaced());
        return;
    };
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Value::Array(list) = target else { return };
    for item in items {
        let place = list.iter().position(|have| have.get(key) == item.get(key));
        let delete = item.get("$patch").and_then(Value::as_str) == Some("delete");
        match (place, delete) {
            (Some(i), true) => {
                list.remove(i);
            }
            (None, true) => {}
            (Some(i), false) => {
                if let Some(have) = list.get_mut(i) {
                    merge_named("", have, item);
                }
            }
            (None, false) => {
                let mut new = Value::Null;
                merge_named("", &mut new, item);
                list.push(new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merge_patch() {
        // The table of RFC 7386 appendix A, in part.
        for (original, patch, want) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let mut got = original.clone();
            merge(&mut got, &patch);
            assert_eq!(got, want, "{original} + {patch}");
        }
    }

    #[test]
    fn strategic_patch() {
        for (original, patch, want) in [
            (
                json!({"containers": [{"name": "a", "image": "x"}, {"name": "b"}]}),
                json!({"containers": [{"name": "a", "resources": {"limits": {"memory": "1Gi"}}}]}),
                json!({"containers": [{"name": "a", "image": "x", "resources": {"limits": {"memory": "1Gi"}}}, {"name": "b"}]}),
            ),
            (
                json!({"env": [{"name": "A", "value": "1"}]}),
                json!({"env": [{"name": "A", "$patch": "delete"}]}),
                json!({"env": []}),
            ),
            (
                json!({"ports": [{"port": 80, "targetPort": 1}]}),
                json!({"ports": [{"port": 80, "targetPort": 2}]}),
                json!({"ports": [{"port": 80, "targetPort": 2}]}),
            ),
            (
                json!({"ports": [{"port": 80, "protocol": "TCP"}]}),
                json!({"ports": [{"port": 53, "protocol": "UDP"}]}),
                json!({"ports": [{"port": 53, "protocol": "UDP"}]}),
            ),
            (
                json!({"tolerations": [{"key": "a"}]}),
                json!({"tolerations": [{"key": "b"}]}),
                json!({"tolerations": [{"key": "b"}]}),
            ),
            (
                json!({"selector": {"app": "a", "x": "y"}}),
                json!({"selector": {"app": "b", "x": null}}),
                json!({"selector": {"app": "b"}}),
            ),
            (
                json!({"selector": {"app": "a"}}),
                json!({"selector": {"$patch": "replace", "b": "c"}}),
                json!({"selector": {"b": "c"}}),
            ),
            (
                json!({"containers": [{"name": "a"}]}),
                json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
                json!({"containers": [{"name": "c"}]}),
            ),
        ] {
            let mut got = original.clone();
            strategic(&mut got, &patch);
            assert_eq!(got, want, "{original} + {patch}");
        }
    }
}
