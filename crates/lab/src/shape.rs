//! Reading objects: the few places of a Kubernetes object that everybody here looks at. Objects
//! stay JSON, because a world must keep fields that nobody here knows.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

static NULL: Value = Value::Null;

/// The value at a dotted path, or null. Keys that hold dots are not reachable this way.
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

/// The text at a path, empty when there is none.
pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or("")
}

/// The list at a path.
pub fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).as_array().map(Vec::as_slice).unwrap_or(&[])
}

/// The number at a path.
pub fn int(value: &Value, path: &str) -> Option<i64> {
    at(value, path).as_i64()
}

/// The truth at a path; absent is false.
pub fn truth(value: &Value, path: &str) -> bool {
    at(value, path).as_bool().unwrap_or(false)
}

/// The texts of a list at a path.
pub fn texts(value: &Value, path: &str) -> Vec<String> {
    list(value, path)
        .iter()
        .filter_map(|v| v.as_str().map(str::to_string))
        .collect()
}

/// A JSON object of texts as a map.
pub fn strings(value: &Value) -> BTreeMap<String, String> {
    value
        .as_object()
        .map(|m| {
            m.iter()
                .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_string())))
                .collect()
        })
        .unwrap_or_default()
}

/// `kind`.
pub fn kind(object: &Value) -> &str {
    text(object, "kind")
}

/// `metadata.name`.
pub fn name(object: &Value) -> &str {
    text(object, "metadata.name")
}

/// `metadata.namespace`, empty for cluster-wide kinds.
pub fn namespace(object: &Value) -> &str {
    text(object, "metadata.namespace")
}

/// `metadata.uid`.
pub fn uid(object: &Value) -> &str {
    text(object, "metadata.uid")
}

/// `metadata.labels`.
pub fn labels(object: &Value) -> BTreeMap<String, String> {
    strings(at(object, "metadata.labels"))
}

/// One annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    at(object, "metadata.annotations")
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or("")
}

/// One label.
pub fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    at(object, "metadata.labels")
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or("")
}

/// True when it is on its way out.
pub fn is_ending(object: &Value) -> bool {
    !at(object, "metadata.deletionTimestamp").is_null()
}

/// The owner that controls it: kind, name, uid.
pub fn controller(object: &Value) -> Option<(&str, &str, &str)> {
    list(object, "metadata.ownerReferences")
        .iter()
        .find(|o| truth(o, "controller"))
        .map(|o| (text(o, "kind"), text(o, "name"), text(o, "uid")))
}

/// An owner reference to `owner`, as controllers write it.
pub fn owner_reference(owner: &Value) -> Value {
    serde_json::json!({
        "apiVersion": text(owner, "apiVersion"), "blockOwnerDeletion": true, "controller": true,
        "kind": kind(owner), "name": name(owner), "uid": uid(owner),
    })
}

/// A condition's status (`True`, `False`, `Unknown`), empty when it is not there.
pub fn condition<'a>(object: &'a Value, which: &str) -> &'a str {
    list(object, "status.conditions")
        .iter()
        .find(|c| text(c, "type") == which)
        .map_or("", |c| text(c, "status"))
}

/// The child object under `key`, made when it is not there or not an object.
pub fn child<'a>(value: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(map) = value else {
        unreachable!("made an object above")
    };
    let slot = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    let Value::Object(inner) = slot else {
        unreachable!("made an object above")
    };
    inner
}

/// Whether labels satisfy a LabelSelector (`matchLabels`, `matchExpressions`); an empty selector
/// takes everything, null takes nothing.
pub fn selector_takes(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    if selector.is_null() {
        return false;
    }
    let equal = strings(at(selector, "matchLabels"))
        .iter()
        .all(|(k, v)| labels.get(k) == Some(v));
    equal
        && list(selector, "matchExpressions")
            .iter()
            .all(|e| expression_holds(e, labels))
}

/// One `matchExpressions` entry; also that of a node selector.
pub fn expression_holds(expression: &Value, labels: &BTreeMap<String, String>) -> bool {
    let have = labels.get(text(expression, "key"));
    let values = texts(expression, "values");
    match text(expression, "operator") {
        "In" => have.is_some_and(|v| values.contains(v)),
        "NotIn" => have.is_none_or(|v| !values.contains(v)),
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        _ => false,
    }
}

/// Whether labels hold every pair of a plain selector (`spec.selector` of a Service).
pub fn pairs_hold(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    strings(selector)
        .iter()
        .all(|(k, v)| labels.get(k) == Some(v))
}

/// RFC 3339 in seconds, as the API server writes times.
pub fn rfc3339(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, rest) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Days since 1970 to year, month, day: civil calendar with eras of 400 years that start in March.
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (
        doy - (153 * mp + 2) / 5 + 1,
        if mp < 10 { mp + 3 } else { mp - 9 },
    );
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}

/// FNV-1a, 64 bits: names and hashes that look random and are the same every time.
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A small generator: the same numbers for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed; any number will do.
    pub fn new(seed: u64) -> Self {
        Dice(fnv(&seed.to_le_bytes()) | 1)
    }

    /// The next 64 bits (xorshift64*).
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n` (0 when `n` is 0).
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            0
        } else {
            ((self.roll() >> 33) as usize) % n
        }
    }

    /// One of a list.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// Letters and digits as Kubernetes makes them for names (no vowels).
    pub fn suffix(&mut self, length: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length)
            .map(|_| char::from(*self.pick(ALPHABET).unwrap_or(&b'x')))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times() {
        for (ms, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_764_155_520_999, "2025-11-26T11:12:00Z"),
        ] {
            assert_eq!(rfc3339(ms), want);
        }
    }

    #[test]
    fn selectors() {
        let labels = strings(&json!({"app": "web", "tier": "front"}));
        for (selector, want) in [
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "api"}}), false),
            (json!({}), true),
            (Value::Null, false),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "x", "operator": "Exists"}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]}),
                true,
            ),
        ] {
            assert_eq!(selector_takes(&selector, &labels), want, "{selector}");
        }
    }
}
