//! The Helm chart, rendered: its templates keep to what Go's template language and `toJson` give.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part

use gtmpl::{Context, FuncError, Template, Value as Go};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// `deploy/` of the project.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

pub fn read(path: &str) -> String {
    let path = folder().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The chart's own values with these over them.
pub fn values(over: &Value) -> Value {
    let mut all: Value = serde_yaml_ng::from_str(&read("chart/values.yaml")).unwrap();
    merge(&mut all, over);
    all
}

fn merge(into: &mut Value, over: &Value) {
    match (into, over) {
        (Value::Object(into), Value::Object(over)) => {
            for (key, value) in over {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, over) => *into = over.clone(),
    }
}

/// All templates as `helm template netshoot --namespace NAMESPACE` would print them.
pub fn chart(namespace: &str, over: &Value) -> String {
    let about: Value = serde_yaml_ng::from_str(&read("chart/Chart.yaml")).unwrap();
    let context = json!({
        "Values": values(over),
        "Release": {"Name": "netshoot", "Namespace": namespace, "Service": "Helm"},
        "Chart": {"AppVersion": about["appVersion"]},
    });
    let mut all = String::new();
    for file in ["rights.yaml", "deployment.yaml"] {
        let mut template = Template::default();
        template.add_func("toJson", |args: &[Go]| -> Result<Go, FuncError> {
            Ok(Go::String(from_go(&args[0]).to_string()))
        });
        template
            .parse(read(&format!("chart/templates/{file}")))
            .unwrap();
        let text = template.render(&Context::from(to_go(&context))).unwrap();
        all.push_str(&format!("---\n{}\n", text.trim()));
    }
    all
}

/// The documents of a stream.
pub fn documents(text: &str) -> Vec<Value> {
    let parts = text.split("\n---").map(|p| p.trim_start_matches("---"));
    let parsed =
        parts.map(|p| serde_yaml_ng::from_str::<Value>(p).unwrap_or_else(|e| panic!("{e}\n{p}")));
    parsed.filter(|d| !d.is_null()).collect()
}

fn to_go(value: &Value) -> Go {
    match value {
        Value::Null => Go::Nil,
        Value::Bool(b) => Go::Bool(*b),
        Value::Number(n) => Go::Number(n.as_i64().unwrap().into()),
        Value::String(s) => Go::String(s.clone()),
        Value::Array(all) => Go::Array(all.iter().map(to_go).collect()),
        Value::Object(all) => Go::Map(all.iter().map(|(k, v)| (k.clone(), to_go(v))).collect()),
    }
}

fn from_go(value: &Go) -> Value {
    match value {
        Go::Bool(b) => json!(b),
        Go::Number(n) => json!(n.as_i64().unwrap()),
        Go::String(s) => json!(s),
        Go::Array(all) => all.iter().map(from_go).collect(),
        Go::Map(all) | Go::Object(all) => {
            Value::Object(all.iter().map(|(k, v)| (k.clone(), from_go(v))).collect())
        }
        _ => Value::Null,
    }
}
