//! Folders of `kubectl get -o yaml|json`.

use netshoot_model::object::Object;
use netshoot_model::snapshot::{ClusterSnapshot, Gap};
use netshoot_model::text;
use netshoot_model::text::Text;
use netshoot_model::time;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Files larger than this are not read.
const MOST_BYTES: u64 = 128 << 20;

/// Files with more brackets open at once are refused unread: the time that the YAML scanner takes
/// grows with the square of it. Brackets in texts count too, so the limit is far above any nesting.
const MOST_DEPTH: usize = 20_000;

fn too_deep(text: &str) -> bool {
    let mut depth = 0usize;
    text.bytes().any(|b| {
        match b {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MOST_DEPTH
    })
}

/// Why a dump could not be read.
#[derive(Debug)]
pub enum Error {
    /// Opening or reading.
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What came back.
        source: std::io::Error,
    },
    /// Broken YAML or JSON.
    Syntax {
        /// The file.
        path: String,
        /// Where and what.
        why: String,
    },
    /// Nothing in it.
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read { path, source } => write!(f, "read {}: {source}", path.display()),
            Error::Syntax { path, why } => write!(f, "{path}: {why}"),
            Error::Empty { path } => write!(
                f,
                "{}: no object in any .yaml, .yml or .json file there",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {}

/// Objects of one text: single objects, several YAML documents, or Lists.
pub fn parse(name: &str, text: &str) -> Result<Vec<Object>, Error> {
    let syntax = |why: String| Error::Syntax {
        path: name.into(),
        why,
    };
    if too_deep(text) {
        return Err(syntax(format!(
            "brackets nested more than {MOST_DEPTH} deep: not a Kubernetes object"
        )));
    }
    let mut out = Vec::new();
    // YAML is no superset of JSON in its letters: a raw DEL is an error there, U+2028 a line's end.
    if text.trim_start().starts_with('{') {
        let whole: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text)
            .into_iter()
            .collect();
        if let Ok(values) = whole {
            for value in values {
                collect(value, &mut out).map_err(syntax)?;
            }
            return Ok(out);
        }
    }
    for doc in serde_yaml_ng::Deserializer::from_str(text) {
        let value = Value::deserialize(doc).map_err(|e| syntax(e.to_string()))?;
        collect(value, &mut out).map_err(syntax)?;
    }
    Ok(out)
}

fn collect(value: Value, out: &mut Vec<Object>) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    let kind = value
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_string();
    if kind.is_empty() {
        return Err("an entry has no kind: not a Kubernetes object".into());
    }
    match (kind.ends_with("List"), value.get("items")) {
        (true, Some(Value::Array(items))) => {
            let own = kind.strip_suffix("List").unwrap_or("").to_string();
            for item in items {
                let mut item = item.clone();
                if let Some(map) = item.as_object_mut()
                    && !own.is_empty()
                {
                    map.entry("kind")
                        .or_insert_with(|| Value::String(own.clone()));
                }
                collect(item, out)?;
            }
        }
        _ => {
            if value
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .is_none()
            {
                return Err(format!("a {kind} has no metadata.name"));
            }
            shaped(&kind, &value)?;
            out.push(Object(value));
        }
    }
    Ok(())
}

/// Fields that checks read as lists or maps: kind, field, whether it is a list.
const SHAPES: &[(&str, &str, bool)] = &[
    ("Service", "/spec/ports", true),
    ("Service", "/spec/selector", false),
    ("Service", "/spec/clusterIPs", true),
    ("Pod", "/spec/containers", true),
    ("Pod", "/status/podIPs", true),
    ("Pod", "/status/conditions", true),
    ("Pod", "/status/containerStatuses", true),
    ("EndpointSlice", "/endpoints", true),
    ("EndpointSlice", "/ports", true),
    ("NetworkPolicy", "/spec/podSelector", false),
    ("NetworkPolicy", "/spec/policyTypes", true),
    ("NetworkPolicy", "/spec/ingress", true),
    ("NetworkPolicy", "/spec/egress", true),
    ("Node", "/status/addresses", true),
    ("Node", "/status/conditions", true),
    ("Deployment", "/spec/template", false),
    ("StatefulSet", "/spec/template", false),
    ("DaemonSet", "/spec/template", false),
    ("", "/metadata/labels", false),
    ("", "/metadata/annotations", false),
    ("", "/metadata/ownerReferences", true),
    ("", "/spec", false),
    ("", "/status", false),
];

/// A field of another shape would read as if it were not there: it is named instead.
fn shaped(kind: &str, value: &Value) -> Result<(), String> {
    for (of, field, list) in SHAPES {
        // Only kinds of SHAPES are known to have a map there.
        let known = SHAPES.iter().any(|(k, ..)| *k == kind);
        let concerned = *of == kind || (of.is_empty() && (known || field.starts_with("/metadata")));
        let Some(there) = value.pointer(field).filter(|v| concerned && !v.is_null()) else {
            continue;
        };
        if there.is_array() == *list && there.is_object() != *list {
            continue;
        }
        let word = |p: &str| value.pointer(p).and_then(Value::as_str).unwrap_or("");
        let (ns, name) = (word("/metadata/namespace"), word("/metadata/name"));
        let slash = if ns.is_empty() { "" } else { "/" };
        let path = field.trim_start_matches('/').replace('/', ".");
        let wanted = if *list { "a list" } else { "a map" };
        let is = match there {
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a map",
            _ => "a single value",
        };
        return Err(format!(
            "{kind} {ns}{slash}{name}: {path} is {is}, not {wanted}"
        ));
    }
    Ok(())
}

/// Reads every `.yaml`, `.yml` and `.json` below a folder.
pub fn read_dump(dir: &Path) -> Result<ClusterSnapshot, Error> {
    let mut files = Vec::new();
    list(dir, 0, &mut files)?;
    files.sort();
    let mut newest = 0;
    let mut objects = Vec::new();
    for path in &files {
        let read = |source| Error::Read {
            path: path.clone(),
            source,
        };
        let meta = std::fs::metadata(path).map_err(read)?;
        if meta.len() > MOST_BYTES {
            return Err(Error::Syntax {
                path: path.display().to_string(),
                why: format!("{} bytes; more than {MOST_BYTES} are not read", meta.len()),
            });
        }
        let changed = meta
            .modified()
            .ok()
            .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |d| d.as_millis() as u64);
        newest = newest.max(changed);
        let text = std::fs::read_to_string(path).map_err(read)?;
        objects.extend(parse(&path.display().to_string(), &text)?);
    }
    if objects.is_empty() {
        return Err(Error::Empty { path: dir.into() });
    }
    let name = dir
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let taken = told_time(&objects).unwrap_or(newest);
    let mut snapshot =
        ClusterSnapshot::new(&format!("dump {name}"), "whoever made the dump", taken);
    let holds = |kind: &str| objects.iter().any(|o| o.kind() == kind);
    let mut kinds = vec![
        "Pod",
        "Service",
        "EndpointSlice",
        "NetworkPolicy",
        "Namespace",
        "Node",
    ];
    // What routes refer to.
    if holds("Ingress") {
        kinds.push("IngressClass");
    }
    if holds("HTTPRoute") {
        kinds.extend(["Gateway", "ReferenceGrant"]);
    }
    for kind in kinds {
        if !holds(kind) {
            let word = kind.to_lowercase();
            let how = format!("kubectl get {word} -A -o yaml > {name}/{word}.yaml");
            snapshot.gaps.push(Gap {
                what: text!("objects of kind {kind}", "类型为 {kind} 的对象"),
                missing: text!(
                    "the dump holds none (perhaps it was not asked for)",
                    "转储中没有（可能没有导出）"
                ),
                how_to_get: Text::same(how),
            });
        }
    }
    snapshot.objects = objects;
    crate::tidy(&mut snapshot);
    Ok(snapshot)
}

/// When a dump was taken, as its heartbeats tell (Leases of nodes are renewed every 10 s, `kubelet`
/// posts node conditions at least every 5 minutes), milliseconds since 1970. A file's own time is
/// only that of its last copy. None for a dump without heartbeats.
fn told_time(objects: &[Object]) -> Option<u64> {
    let heartbeats = objects.iter().flat_map(|o| match o.kind() {
        "Lease" => vec![o.str("spec.renewTime")],
        "Node" => o
            .list("status.conditions")
            .iter()
            .filter_map(|c| c.get("lastHeartbeatTime")?.as_str())
            .collect(),
        _ => Vec::new(),
    });
    heartbeats
        .filter_map(|t| u64::try_from(time::parse(t)?).ok())
        .max()
}

fn list(dir: &Path, depth: usize, out: &mut Vec<PathBuf>) -> Result<(), Error> {
    let read = |source| Error::Read {
        path: dir.into(),
        source,
    };
    for entry in std::fs::read_dir(dir).map_err(read)? {
        let entry = entry.map_err(read)?;
        let kind = entry.file_type().map_err(read)?;
        let path = entry.path();
        let ending = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or("")
            .to_string();
        if kind.is_dir() && depth < 4 {
            list(&path, depth + 1, out)?;
        } else if kind.is_file() && ["yaml", "yml", "json"].contains(&ending.as_str()) {
            out.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{parse, told_time};

    #[test]
    fn shapes() {
        let text = "kind: List\nitems:\n- {kind: Pod, metadata: {name: a}}\n---\nkind: PodList\nitems: [{metadata: {name: b}}]\n---\n{kind: Node, metadata: {name: n}}\n";
        let names: Vec<String> = parse("x", text)
            .unwrap()
            .iter()
            .map(|o| format!("{}/{}", o.kind(), o.name()))
            .collect();
        assert_eq!(names, ["Pod/a", "Pod/b", "Node/n"]);
        for (text, says) in [
            ("a: [", "line"),
            ("foo: 1", "no kind"),
            ("kind: Pod", "no metadata.name"),
            (
                "{kind: Service, metadata: {name: cart, namespace: shop}, spec: {ports: oops}}",
                "Service shop/cart: spec.ports is text, not a list",
            ),
            (
                "{kind: Pod, metadata: {name: a, labels: [x]}}",
                "Pod a: metadata.labels is a list, not a map",
            ),
            (
                "{kind: Node, metadata: {name: a}, status: down}",
                "Node a: status is text, not a map",
            ),
        ] {
            let e = parse("f.yaml", text).unwrap_err().to_string();
            assert!(e.contains("f.yaml") && e.contains(says), "{e}");
        }
    }

    #[test]
    fn heartbeats_tell_the_time() {
        for (text, ms) in [
            (
                "{kind: Lease, metadata: {name: a}, spec: {renewTime: \"1970-01-01T00:00:05.250000Z\"}}",
                Some(5250),
            ),
            (
                "{kind: Node, metadata: {name: a}, status: {conditions: [{type: Ready, lastHeartbeatTime: \"1970-01-01T00:00:07Z\"}, {type: Disk}]}}\n---\n{kind: Lease, metadata: {name: a}, spec: {renewTime: \"1970-01-01T00:00:05Z\"}}",
                Some(7000),
            ),
            (
                "{kind: Lease, metadata: {name: a}, spec: {renewTime: yesterday}}",
                None,
            ),
            (
                "{kind: Pod, metadata: {name: a, creationTimestamp: \"1970-01-01T00:00:05Z\"}}",
                None,
            ),
        ] {
            assert_eq!(told_time(&parse("x", text).unwrap()), ms, "{text}");
        }
    }
}
