//! What a client asks for of a kind: selectors and the other words of a query.

use crate::shape::{self, text};
use serde_json::Value;

/// The words of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    /// From the path; empty for all.
    pub namespace: String,
    labels: Vec<Needs>,
    fields: Vec<Needs>,
    watch: bool,
    /// Where a watch begins; empty or 0 for what there is.
    pub revision: String,
    /// What there is comes first, and a mark after it.
    pub initial: bool,
    /// How long a watch lasts.
    pub seconds: Option<u64>,
}

/// One requirement: a key, and the values of which it must or must not have one; without values it is about being there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Needs {
    key: String,
    values: Option<Vec<String>>,
    not: bool,
}

impl Needs {
    fn holds(&self, value: Option<&str>) -> bool {
        let found = match &self.values {
            None => value.is_some(),
            Some(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
        };
        found != self.not
    }
}

impl Selector {
    /// Reads a query; a word that is not understood is refused, for its like would be told too much.
    pub fn read(query: &str) -> Result<Selector, String> {
        let mut out = Selector::default();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = plain(value);
            let yes = ["true", "1"].contains(&value.as_str());
            match key {
                "labelSelector" => out.labels = requirements(&value)?,
                "fieldSelector" => out.fields = requirements(&value)?,
                "watch" => out.watch = yes,
                "resourceVersion" => out.revision = value,
                "sendInitialEvents" => out.initial = yes,
                "timeoutSeconds" => out.seconds = value.parse().ok(),
                // Pages are whole here, and bookmarks come where they must.
                "limit"
                | "continue"
                | "allowWatchBookmarks"
                | "resourceVersionMatch"
                | "timeout"
                | "pretty" => {}
                _ => return Err(format!("unknown word {key} in a query")),
            }
        }
        Ok(out)
    }

    pub fn watches(&self) -> bool {
        self.watch
    }

    /// Whether an object is meant.
    pub fn takes(&self, object: &Value) -> bool {
        let labels = shape::labels(object);
        super::is_in(object, &self.namespace)
            && self
                .labels
                .iter()
                .all(|n| n.holds(labels.get(&n.key).map(String::as_str)))
            && self
                .fields
                .iter()
                .all(|n| n.holds(Some(text(object, &n.key))))
    }
}

/// `a=b,c!=d,e in (f,g),h,!i`.
fn requirements(text: &str) -> Result<Vec<Needs>, String> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut depth = 0;
    for ch in text.chars() {
        match ch {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match (ch, parts.last_mut()) {
            (',', _) if depth == 0 => parts.push(String::new()),
            (ch, Some(last)) => last.push(ch),
            _ => {}
        }
    }
    let parts = parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty());
    parts.map(requirement).collect()
}

fn requirement(text: &str) -> Result<Needs, String> {
    let needs = |key: &str, values: Option<Vec<String>>, not| {
        let key = key.trim().to_string();
        let odd = key.is_empty() || key.contains(|c: char| " ()!=".contains(c));
        if odd {
            return Err(format!("unable to parse requirement: {text}"));
        }
        Ok(Needs { key, values, not })
    };
    let one = |v: &str| Some(vec![v.trim().to_string()]);
    if let Some((key, value)) = text.split_once("!=") {
        return needs(key, one(value), true);
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return needs(key, one(value), false);
    }
    for (word, not) in [(" notin ", true), (" in ", false)] {
        if let Some((key, list)) = text.split_once(word) {
            let list = list
                .trim()
                .strip_prefix('(')
                .and_then(|l| l.strip_suffix(')'));
            let list = list.ok_or_else(|| format!("unable to parse requirement: {text}"))?;
            let values = list.split(',').map(|v| v.trim().to_string()).collect();
            return needs(key, Some(values), not);
        }
    }
    match text.strip_prefix('!') {
        Some(key) => needs(key, None, true),
        None => needs(text, None, false),
    }
}

/// Percent signs and plus signs of a query (application/x-www-form-urlencoded).
fn plain(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|d| char::from(d).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => b'%',
                }
            }
            b => b,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_query_takes() {
        let object = json!({"kind": "Service", "metadata": {"name": "cart", "namespace": "shop", "labels": {"app": "cart", "tier": "back"}}});
        for (query, takes) in [
            ("", true),
            ("labelSelector=app%3Dcart", true),
            ("labelSelector=app%3D%3Dcart%2Ctier%21%3Dfront", true),
            ("labelSelector=app%3Dother", false),
            (
                "labelSelector=%21service.kubernetes.io%2Fheadless%2C%21tier",
                false,
            ),
            ("labelSelector=%21service.kubernetes.io%2Fheadless", true),
            ("labelSelector=tier+in+%28front%2Cback%29%2Capp", true),
            ("labelSelector=tier+notin+%28front%2Cback%29", false),
            ("fieldSelector=metadata.name%3Dcart", true),
            ("fieldSelector=metadata.name%3Dcarts", false),
            (
                "fieldSelector=metadata.name%21%3Dcarts&limit=500&resourceVersion=0",
                true,
            ),
        ] {
            let selector = Selector::read(query).unwrap();
            assert_eq!(selector.takes(&object), takes, "{query}");
        }
        let other = Selector {
            namespace: "other".into(),
            ..Selector::default()
        };
        assert!(!other.takes(&object));
        for bad in [
            "labelSelector=a+in+b",
            "labelSelector=%3Db",
            "fieldSelector=%28",
            "dryRun=All",
        ] {
            assert!(Selector::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_damaged_query_is_refused_or_selects() {
        let seeds = [
            "labelSelector=%21service.kubernetes.io%2Fheadless%2Capp+in+%28a%2Cb%29&watch=true&resourceVersion=12",
            "fieldSelector=metadata.name%3Dnode-a&limit=500&sendInitialEvents=true&timeoutSeconds=300",
        ];
        let object = json!({"kind": "Node", "metadata": {"name": "node-a"}});
        netshoot_wire::fuzz::texts(&seeds, 10_000, |text| match Selector::read(text) {
            Ok(selector) => {
                let takes = selector.takes(&object);
                let again = Selector::read(text).map(|s| s.takes(&object));
                assert_eq!(again, Ok(takes), "{text}");
            }
            Err(why) => assert!(!why.is_empty(), "{text}"),
        });
    }
}
