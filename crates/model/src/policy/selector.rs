//! Label selectors (`meta/v1.LabelSelector`): does one match, and if not, what is missing.

use crate::object::{at, string_map};
use crate::text;
use crate::text::Text;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Labels by key.
pub type Labels<'a> = BTreeMap<&'a str, &'a str>;

/// The label that the API server puts on every namespace, holding its name. It is read like any
/// other: whoever makes namespaces without an API server has to add it.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// One requirement of a selector, with what the looked-at thing has instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Need {
    /// Label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, or whatever else stood there.
    pub operator: String,
    /// Values of `In` and `NotIn`; one for an entry of `matchLabels`.
    pub values: Vec<String>,
    /// The label's value on the thing, none when it has no such label.
    pub has: Option<String>,
}

impl Need {
    /// The requirement and what is there instead.
    pub fn says(&self) -> Text {
        let (key, values) = (&self.key, self.values.join(","));
        let wanted = match (self.operator.as_str(), self.values.as_slice()) {
            ("In", [one]) => Text::same(format!("{key}={one}")),
            ("In", _) => Text::same(format!("{key} in ({values})")),
            ("NotIn", [one]) => Text::same(format!("{key}!={one}")),
            ("NotIn", _) => Text::same(format!("{key} notin ({values})")),
            ("Exists", _) => Text::same(key),
            ("DoesNotExist", _) => Text::same(format!("!{key}")),
            (other, _) => text!(
                "{key} {other} ({values}), which is no operator",
                "{key} {other} ({values})（不是合法的运算符）"
            ),
        };
        match &self.has {
            Some(has) => text!(
                "{wanted} (has {key}={has})",
                "{wanted:#}（实际为 {key}={has}）"
            ),
            None => text!("{wanted} (has no {key})", "{wanted:#}（没有 {key}）"),
        }
    }
}

/// English, or Chinese with `{:#}`.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.says(), f)
    }
}

/// Whether a selector matches labels. An absent or empty selector matches everything; whether an
/// absent one means "everything" at its place is the caller's knowledge. A requirement that the
/// API would refuse matches nothing.
pub fn selects(selector: &Value, labels: &Labels<'_>) -> bool {
    unmet(selector, labels).is_empty()
}

/// The requirements of a selector that labels do not meet.
pub fn unmet(selector: &Value, labels: &Labels<'_>) -> Vec<Need> {
    requirements(selector)
        .into_iter()
        .filter_map(|mut need| {
            need.has = labels.get(need.key.as_str()).map(ToString::to_string);
            (!met(&need)).then_some(need)
        })
        .collect()
}

/// A selector in one line, as `kubectl get -l` writes it; `{}` for one that selects everything.
pub fn describe(selector: &Value) -> String {
    let words: Vec<String> = requirements(selector)
        .iter()
        .map(|need| {
            let text = need.to_string();
            match text.rsplit_once(" (has ") {
                Some((head, _)) => head.to_string(),
                None => text,
            }
        })
        .collect();
    if words.is_empty() {
        "{}".into()
    } else {
        words.join(",")
    }
}

fn requirements(selector: &Value) -> Vec<Need> {
    let mut out: Vec<Need> = string_map(at(selector, "matchLabels"))
        .into_iter()
        .map(|(key, value)| Need {
            key: key.into(),
            operator: "In".into(),
            values: vec![value.into()],
            has: None,
        })
        .collect();
    for e in list(selector, "matchExpressions") {
        out.push(Need {
            key: text(e, "key"),
            operator: text(e, "operator"),
            values: list(e, "values")
                .iter()
                .filter_map(|v| v.as_str().map(str::to_string))
                .collect(),
            has: None,
        });
    }
    out
}

fn met(need: &Need) -> bool {
    let among = |value: &String| need.values.contains(value);
    match need.operator.as_str() {
        "In" => need.has.as_ref().is_some_and(among),
        "NotIn" => !need.has.as_ref().is_some_and(among),
        "Exists" => need.has.is_some(),
        "DoesNotExist" => need.has.is_none(),
        _ => false,
    }
}

/// The array below a key, or none of it.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    at(value, key).as_array().map(Vec::as_slice).unwrap_or(&[])
}

fn text(value: &Value, key: &str) -> String {
    at(value, key).as_str().unwrap_or("").to_string()
}
