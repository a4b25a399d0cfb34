//! A Kubernetes object as the API server gave it, with the few accessors the checks need.
//!
//! Objects stay JSON: a snapshot must give back what was read, including fields this program has
//! never heard of.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Kind, namespace and name: what a person needs to find the object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Kind as in the manifest, `Service`.
    pub kind: String,
    /// Empty for cluster-wide kinds.
    #[serde(default)]
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectRef {
    /// A reference from its three words.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        ObjectRef {
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.namespace, self.kind, self.name)
        }
    }
}

/// One object, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(pub Value);

static NULL: Value = Value::Null;

impl Object {
    /// `kind`, or an empty word.
    pub fn kind(&self) -> &str {
        self.str("kind")
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.str("metadata.name")
    }

    /// `metadata.namespace`, empty for cluster-wide kinds.
    pub fn namespace(&self) -> &str {
        self.str("metadata.namespace")
    }

    /// Kind, namespace and name.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(self.kind(), self.namespace(), self.name())
    }

    /// The value at a dotted path (`spec.template.spec`), or JSON null. A number is an index into
    /// an array. Keys that hold dots (labels) are read through [`Object::labels`].
    pub fn get(&self, path: &str) -> &Value {
        at(&self.0, path)
    }

    /// The text at a dotted path, or an empty word.
    pub fn str(&self, path: &str) -> &str {
        self.get(path).as_str().unwrap_or("")
    }

    /// The number at a dotted path.
    pub fn int(&self, path: &str) -> Option<i64> {
        self.get(path).as_i64()
    }

    /// The array at a dotted path, or none of it.
    pub fn list(&self, path: &str) -> &[Value] {
        self.get(path).as_array().map(Vec::as_slice).unwrap_or(&[])
    }

    /// `metadata.labels`.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        string_map(self.get("metadata.labels"))
    }

    /// `metadata.annotations`.
    pub fn annotations(&self) -> BTreeMap<&str, &str> {
        string_map(self.get("metadata.annotations"))
    }
}

/// The value at a dotted path below `value`, or JSON null.
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |v, key| match v {
        Value::Array(items) => key
            .parse::<usize>()
            .ok()
            .and_then(|i| items.get(i))
            .unwrap_or(&NULL),
        other => other.get(key).unwrap_or(&NULL),
    })
}

/// A JSON object of strings as a map; anything else is empty.
pub fn string_map(value: &Value) -> BTreeMap<&str, &str> {
    value
        .as_object()
        .map(|m| {
            m.iter()
                .filter_map(|(k, v)| Some((k.as_str(), v.as_str()?)))
                .collect()
        })
        .unwrap_or_default()
}
