//! `--overrides`: laid over the pod that we make. Lists whose entries have a key are merged entry by
//! entry, as the API server's strategic merge does for pods, so that naming a container's privilege
//! does not take away its command.

use serde_json::{Map, Value};

/// How `--override-type` says to lay it over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Lists with keys are merged.
    #[default]
    Strategic,
    /// RFC 7396: lists are replaced. Only when asked for.
    Merge,
    /// RFC 6902: a list of operations.
    Json,
}

/// Keys of the lists in a pod that are merged entry by entry; other lists are appended to where
/// that is what Kubernetes does (tolerations), else replaced.
const KEYS: &[(&str, &str)] = &[
    ("containers", "name"),
    ("ephemeralContainers", "name"),
    ("env", "name"),
    ("hostAliases", "ip"),
    ("imagePullSecrets", "name"),
    ("initContainers", "name"),
    ("ports", "containerPort"),
    ("topologySpreadConstraints", "topologyKey"),
    ("volumeDevices", "devicePath"),
    ("volumeMounts", "mountPath"),
    ("volumes", "name"),
];

/// Lists in which an entry more never takes away another.
const ADDED_TO: [&str; 3] = ["add", "tolerations", "finalizers"];

/// The object with the override laid over it.
pub fn over(object: &Value, overlay: &Value, way: Way) -> Result<Value, String> {
    match way {
        Way::Json => patch(object, overlay),
        Way::Merge | Way::Strategic if !overlay.is_object() => {
            Err("the override is not a JSON object".into())
        }
        Way::Merge => {
            let mut out = object.clone();
            lay(&mut out, overlay, false);
            Ok(out)
        }
        Way::Strategic => {
            let mut out = object.clone();
            lay(&mut out, &for_our_container(object, overlay), true);
            Ok(out)
        }
    }
}

/// An override with one container means ours, whatever it calls it: nobody who writes one wants a
/// second container beside it.
fn for_our_container(object: &Value, overlay: &Value) -> Value {
    let mut overlay = overlay.clone();
    let ours = object.pointer("/spec/containers/0/name").cloned();
    if let Some(Value::Array(all)) = overlay.pointer_mut("/spec/containers")
        && let [only] = all.as_mut_slice()
        && let (Some(only), Some(ours)) = (only.as_object_mut(), ours)
    {
        only.insert("name".into(), ours);
    }
    overlay
}

fn lay(into: &mut Value, overlay: &Value, keyed: bool) {
    let (Value::Object(into), Value::Object(overlay)) = (&mut *into, overlay) else {
        *into = overlay.clone();
        return;
    };
    for (key, value) in overlay {
        match (into.get_mut(key), value) {
            (_, Value::Null) => {
                into.remove(key);
            }
            (Some(held @ Value::Object(_)), Value::Object(_)) => lay(held, value, keyed),
            (Some(Value::Array(held)), Value::Array(new)) if keyed => list(key, held, new),
            _ => {
                let mut clean = Value::Object(Map::new());
                if value.is_object() {
                    lay(&mut clean, value, keyed);
                } else {
                    clean = value.clone();
                }
                into.insert(key.clone(), clean);
            }
        }
    }
}

fn list(name: &str, held: &mut Vec<Value>, new: &[Value]) {
    if let Some((_, key)) = KEYS.iter().find(|(n, _)| *n == name) {
        for entry in new {
            let id = entry.get(key);
            match held.iter_mut().find(|h| id.is_some() && h.get(key) == id) {
                Some(h) => lay(h, entry, true),
                None => held.push(entry.clone()),
            }
        }
    } else if ADDED_TO.contains(&name) {
        for entry in new {
            if !held.contains(entry) {
                held.push(entry.clone());
            }
        }
    } else {
        *held = new.to_vec();
    }
}

/// RFC 6902 with the operations that can be written without another document: add, remove, replace,
/// test, copy, move.
fn patch(object: &Value, operations: &Value) -> Result<Value, String> {
    let all = operations
        .as_array()
        .ok_or("the override is not a JSON list of operations")?;
    let mut out = object.clone();
    for op in all {
        let text = |k: &str| op.get(k).and_then(Value::as_str).unwrap_or_default();
        let (verb, path) = (text("op"), text("path"));
        let value = || {
            op.get("value")
                .cloned()
                .ok_or(format!("{verb} {path}: no value"))
        };
        let nothing = || format!("{verb} {path}: there is nothing");
        match verb {
            "add" => put(&mut out, path, value()?, true).ok_or_else(nothing)?,
            "replace" => put(&mut out, path, value()?, false).ok_or_else(nothing)?,
            "remove" => {
                take(&mut out, path).ok_or_else(nothing)?;
            }
            "move" => {
                let moved = take(&mut out, text("from")).ok_or_else(nothing)?;
                put(&mut out, path, moved, true).ok_or_else(nothing)?;
            }
            "copy" => {
                let copied = out.pointer(text("from")).cloned().ok_or_else(nothing)?;
                put(&mut out, path, copied, true).ok_or_else(nothing)?;
            }
            "test" if out.pointer(path) == op.get("value") => {}
            "test" => return Err(format!("test {path}: it is something else")),
            other => return Err(format!("there is no operation {other:?}")),
        }
    }
    Ok(out)
}

/// Parent of a JSON pointer and its last word.
fn parent<'a>(root: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (before, last) = path.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Some((root.pointer_mut(before)?, last))
}

fn put(root: &mut Value, path: &str, value: Value, insert: bool) -> Option<()> {
    let (holder, last) = parent(root, path)?;
    match holder {
        Value::Object(map) => {
            if !insert && !map.contains_key(&last) {
                return None;
            }
            map.insert(last, value);
        }
        Value::Array(all) if last == "-" && insert => all.push(value),
        Value::Array(all) => {
            let at: usize = last.parse().ok()?;
            if insert && at <= all.len() {
                all.insert(at, value);
            } else {
                *all.get_mut(at)? = value;
            }
        }
        _ => return None,
    }
    Some(())
}

fn take(root: &mut Value, path: &str) -> Option<Value> {
    let (holder, last) = parent(root, path)?;
    match holder {
        Value::Object(map) => map.remove(&last),
        Value::Array(all) => {
            let at = last.parse().ok().filter(|at| *at < all.len())?;
            Some(all.remove(at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ours() -> Value {
        json!({"spec": {
            "containers": [{"name": "netshoot", "image": "netshoot:1", "command": ["bash"], "stdin": true,
                "env": [{"name": "A", "value": "1"}],
                "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_RAW"]}}}],
            "tolerations": [{"operator": "Exists"}],
            "nodeSelector": {"kubernetes.io/os": "linux"}}})
    }

    #[test]
    fn the_override_of_the_article_keeps_the_command() {
        let overlay = json!({"spec": {"hostNetwork": true, "hostPID": true, "containers": [
            {"name": "netshoot-host", "image": "nicolaka/netshoot", "stdin": true, "tty": true,
             "securityContext": {"privileged": true}}]}});
        let got = over(&ours(), &overlay, Way::Strategic).unwrap();
        assert_eq!(got["spec"]["containers"].as_array().unwrap().len(), 1);
        let c = &got["spec"]["containers"][0];
        assert_eq!(c["command"], json!(["bash"]));
        assert_eq!(c["name"], "netshoot");
        assert_eq!(c["image"], "nicolaka/netshoot");
        assert_eq!(c["securityContext"]["privileged"], true);
        assert_eq!(c["securityContext"]["runAsUser"], 0);
        assert_eq!(got["spec"]["hostNetwork"], true);
        assert_eq!(got["spec"]["nodeSelector"]["kubernetes.io/os"], "linux");
    }

    #[test]
    fn lists_with_a_key_are_merged_by_it_and_null_takes_away() {
        let overlay = json!({"spec": {
            "containers": [{"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}],
                "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}, "runAsUser": null},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "tolerations": [{"key": "k"}, {"operator": "Exists"}]}});
        let got = over(&ours(), &overlay, Way::Strategic).unwrap();
        let c = &got["spec"]["containers"][0];
        assert_eq!(
            c["env"],
            json!([{"name": "A", "value": "3"}, {"name": "B", "value": "2"}])
        );
        assert_eq!(
            c["securityContext"],
            json!({"capabilities": {"add": ["NET_RAW", "NET_ADMIN"]}})
        );
        assert_eq!(
            got["spec"]["tolerations"],
            json!([{"operator": "Exists"}, {"key": "k"}])
        );
        assert_eq!(got["spec"]["volumes"][0]["name"], "v");
    }

    #[test]
    fn two_containers_in_the_override_are_matched_by_name() {
        let overlay =
            json!({"spec": {"containers": [{"name": "netshoot", "tty": true}, {"name": "side"}]}});
        let got = over(&ours(), &overlay, Way::Strategic).unwrap();
        let names: Vec<_> = got["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].clone())
            .collect();
        assert_eq!(names, ["netshoot", "side"]);
    }

    #[test]
    fn the_other_ways_do_what_was_asked_for() {
        let overlay = json!({"spec": {"containers": [{"name": "x"}]}});
        let got = over(&ours(), &overlay, Way::Merge).unwrap();
        assert_eq!(got["spec"]["containers"], json!([{"name": "x"}]));
        let ops = json!([
            {"op": "test", "path": "/spec/containers/0/name", "value": "netshoot"},
            {"op": "add", "path": "/spec/containers/0/command/-", "value": "-x"},
            {"op": "replace", "path": "/spec/containers/0/image", "value": "other"},
            {"op": "remove", "path": "/spec/nodeSelector/kubernetes.io~1os"},
            {"op": "copy", "from": "/spec/containers/0/image", "path": "/spec/hostname"},
        ]);
        let got = over(&ours(), &ops, Way::Json).unwrap();
        assert_eq!(
            got["spec"]["containers"][0]["command"],
            json!(["bash", "-x"])
        );
        assert_eq!(got["spec"]["hostname"], "other");
        assert_eq!(got["spec"]["nodeSelector"], json!({}));
    }

    #[test]
    fn a_wrong_override_is_named() {
        for (overlay, way) in [
            (json!([]), Way::Strategic),
            (json!("x"), Way::Merge),
            (json!({}), Way::Json),
            (json!([{"op": "jump"}]), Way::Json),
            (json!([{"op": "remove", "path": "/no/where"}]), Way::Json),
            (
                json!([{"op": "replace", "path": "/none", "value": 1}]),
                Way::Json,
            ),
            (
                json!([{"op": "test", "path": "/spec", "value": 1}]),
                Way::Json,
            ),
        ] {
            assert!(over(&ours(), &overlay, way).is_err(), "{overlay}");
        }
    }
}
