//! Secrets out of objects: Secret data, environment values that are or look like credentials,
//! user and password in URLs, bearer tokens.

use serde_json::Value;

const GONE: &str = "[redacted]";
/// Parts of names that hold credentials.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "credential",
    "private_key",
    "access_key",
    "auth_key",
];

/// Redacts one object in place. What a diagnosis needs (names, hosts, ports, paths) stays.
pub fn redact(object: &mut Value) {
    if object.get("kind").and_then(Value::as_str) == Some("Secret")
        && let Some(map) = object.as_object_mut()
    {
        for key in ["data", "stringData"] {
            if let Some(Value::Object(data)) = map.get_mut(key) {
                data.values_mut()
                    .for_each(|v| *v = Value::String(GONE.into()));
            }
        }
    }
    if let Some(Value::Object(a)) = object.pointer_mut("/metadata/annotations") {
        a.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    if let Some(Value::Object(m)) = object.pointer_mut("/metadata") {
        m.remove("managedFields");
    }
    walk(object);
}

fn walk(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let secret_env = map
                .get("name")
                .and_then(Value::as_str)
                .is_some_and(is_secret_name);
            if secret_env && let Some(v) = map.get_mut("value").filter(|v| v.is_string()) {
                *v = Value::String(GONE.into());
            }
            map.values_mut().for_each(walk);
        }
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::String(s) => {
            if let Some(clean) = text(s) {
                *s = clean;
            }
        }
        _ => {}
    }
}

/// Takes credentials out of every text below a value, whatever it is: a recording, a report.
pub fn redact_texts(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(redact_texts),
        Value::Array(items) => items.iter_mut().for_each(redact_texts),
        Value::String(s) => {
            if let Some(clean) = text(s) {
                *s = clean;
            }
        }
        _ => {}
    }
}

fn is_secret_name(name: &str) -> bool {
    let lower = name.to_lowercase().replace('-', "_");
    NAMES.iter().any(|n| lower.contains(n))
}

/// The text without credentials, if it holds any: `scheme://user:password@host`, `Bearer x`,
/// `--token=x`, `password=x`.
pub fn text(s: &str) -> Option<String> {
    let mut out = s.to_string();
    let mut from = 0;
    while let Some(at) = out
        .get(from..)
        .and_then(|r| r.find("://"))
        .map(|i| i + from + 3)
    {
        let rest = out.get(at..).unwrap_or("");
        let end = rest
            .find(|c: char| c == '/' || c.is_whitespace() || c == '"')
            .unwrap_or(rest.len());
        if let Some(user) = rest.get(..end).and_then(|a| a.rfind('@')) {
            out.replace_range(at..at + user, GONE);
            from = at + GONE.len();
        } else {
            from = at;
        }
    }
    for mark in ["Bearer ", "bearer ", "Basic "] {
        mask_after(&mut out, mark);
    }
    for name in NAMES {
        mask_after(&mut out, &format!("{name}="));
        mask_after(&mut out, &format!("{}=", name.to_uppercase()));
    }
    (out != s).then_some(out)
}

fn mask_after(out: &mut String, mark: &str) {
    let mut from = 0;
    while let Some(at) = out
        .get(from..)
        .and_then(|r| r.find(mark))
        .map(|i| i + from + mark.len())
    {
        let rest = out.get(at..).unwrap_or("");
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\'' | ',' | ';'))
            .unwrap_or(rest.len());
        if end > 0 && !rest.starts_with(GONE) {
            out.replace_range(at..at + end, GONE);
        }
        from = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts() {
        for (given, want) in [
            ("http://cart:8080/x", None),
            (
                "postgres://app:s3cret@db:5432/x",
                Some("postgres://[redacted]@db:5432/x"),
            ),
            (
                "Authorization: Bearer abc.def",
                Some("Authorization: Bearer [redacted]"),
            ),
            ("--token=abc --port=1", Some("--token=[redacted] --port=1")),
        ] {
            assert_eq!(text(given).as_deref(), want, "{given}");
        }
    }

    #[test]
    fn objects() {
        let mut pod = json!({"kind": "Pod", "spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "PORT", "value": "80"}]}]}});
        redact(&mut pod);
        assert_eq!(
            pod["spec"]["containers"][0]["env"],
            json!([{"name": "DB_PASSWORD", "value": GONE}, {"name": "PORT", "value": "80"}])
        );
        let mut secret = json!({"kind": "Secret", "data": {"tls.key": "eA=="}});
        redact(&mut secret);
        assert_eq!(secret["data"]["tls.key"], GONE);
    }
}
