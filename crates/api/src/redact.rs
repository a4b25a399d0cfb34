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
            // A number or a truth value is a mistake that is as secret as a text.
            let scalar = |v: &&mut Value| !(v.is_object() || v.is_array() || v.is_null());
            if secret_env && let Some(v) = map.get_mut("value").filter(scalar) {
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
/// `--token=x`, `password=x`, `"password": "x"`, whatever the case of the words.
pub fn text(s: &str) -> Option<String> {
    // ASCII only: places stay where they are.
    let lower = s.to_ascii_lowercase();
    let mut spans = users_of_urls(s);
    for mark in ["bearer ", "authorization: basic "] {
        let ends = lower.match_indices(mark).map(|(i, m)| i + m.len());
        spans.extend(ends.map(|at| (at, value_end(s, at, false))));
    }
    for name in NAMES {
        for (i, _) in lower.match_indices(name) {
            if let Some((at, quoted)) = value_of(&lower, i + name.len()) {
                spans.push((at, value_end(s, at, quoted)));
            }
        }
    }
    // All are found before any goes: what one takes away may be what shows another.
    spans.retain(|(from, to)| from < to);
    spans.sort_unstable();
    let (mut out, mut done) = (String::new(), 0);
    for (from, to) in spans {
        if from >= done {
            out += s.get(done..from).unwrap_or_default();
            out += GONE;
        }
        done = done.max(to);
    }
    out += s.get(done..).unwrap_or_default();
    (out != s).then_some(out)
}

/// `user:password` of each `://user:password@host`; a password may hold further at-signs.
fn users_of_urls(s: &str) -> Vec<(usize, usize)> {
    let user = |(i, mark): (usize, &str)| {
        let at = i + mark.len();
        let rest = s.get(at..)?;
        let end = rest
            .find(|c: char| c == '/' || c.is_whitespace() || c == '"')
            .unwrap_or(rest.len());
        Some((at, at + rest.get(..end)?.rfind('@')?))
    };
    s.match_indices("://").filter_map(user).collect()
}

/// Where the value begins of a name that ends here, and whether quotes end it: `name=x`,
/// `name": "x"`.
fn value_of(text: &str, end: usize) -> Option<(usize, bool)> {
    let behind = text.get(end..)?;
    if behind.starts_with('=') {
        return Some((end + 1, false));
    }
    let value = behind.strip_prefix('"')?.trim_start().strip_prefix(':')?;
    let value = value.trim_start().strip_prefix('"')?;
    Some((text.len() - value.len(), true))
}

fn value_end(text: &str, at: usize, quoted: bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let ends = |c: char| match quoted {
        true => c == '"',
        false => c.is_whitespace() || matches!(c, '&' | '"' | '\'' | ',' | ';'),
    };
    at + rest.find(ends).unwrap_or(rest.len())
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
            ("Password=abc;x", Some("Password=[redacted];x")),
            (
                "{\"Token\" : \"a b\", \"secretName\": \"tls\"}",
                Some("{\"Token\" : \"[redacted]\", \"secretName\": \"tls\"}"),
            ),
            ("a basic check of the secret: done", None),
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
