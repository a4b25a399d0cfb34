//! What one may do, who one is, and which version answers.

use super::Cluster;
use super::error::Error;
use super::request::Call;
use super::words::{Denial, Tried};
use serde_json::{Value, json};

/// A rule of `kubectl auth can-i --list`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// API groups; `*` for all.
    pub groups: Vec<String>,
    /// Resources, with subresources as `pods/exec`; `*` for all.
    pub resources: Vec<String>,
    /// Names; empty for all.
    pub names: Vec<String>,
    /// Verbs; `*` for all.
    pub verbs: Vec<String>,
}

/// Version of the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// `v1.37.2`.
    pub git: String,
    /// `1`.
    pub major: String,
    /// `37`; clouds add a `+`.
    pub minor: String,
    /// `linux/amd64`.
    pub platform: String,
}

impl Version {
    /// The minor version as a number.
    pub fn minor(&self) -> Option<u32> {
        self.minor
            .trim_end_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .ok()
    }
}

fn strings(v: &Value, key: &str) -> Vec<String> {
    let list = v.get(key).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|w| w.as_str().map(String::from))
        .collect()
}

impl Cluster {
    /// The version. The first question that tells whether there is a cluster at all.
    pub fn version(&self) -> Result<Version, Error> {
        let tried = Tried {
            verb: "get",
            resource: "/version".into(),
            ..Tried::default()
        };
        let v = self.json(&Call::get(tried, "/version".into()))?;
        let text = |k: &str| v.get(k).and_then(Value::as_str).unwrap_or("").to_string();
        Ok(Version {
            git: text("gitVersion"),
            major: text("major"),
            minor: text("minor"),
            platform: text("platform"),
        })
    }

    /// Name and groups as the API server knows them (`kubectl auth whoami`).
    pub fn who_am_i(&self) -> Result<(String, Vec<String>), Error> {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let answer = self.review("authentication.k8s.io", "selfsubjectreviews", &body)?;
        let user = answer
            .pointer("/status/userInfo")
            .cloned()
            .unwrap_or_default();
        let name = user.get("username").and_then(Value::as_str).unwrap_or("");
        Ok((name.to_string(), strings(&user, "groups")))
    }

    /// Whether one may do that; if not, what would allow it.
    pub fn can_i(&self, what: &Tried) -> Result<Result<(), Denial>, Error> {
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": what.verb,
                "group": what.group,
                "resource": what.resource,
                "subresource": what.subresource,
                "namespace": what.namespace,
                "name": what.name,
            }},
        });
        let answer = self.review("authorization.k8s.io", "selfsubjectaccessreviews", &body)?;
        let status = answer.get("status").cloned().unwrap_or_default();
        if status.get("allowed").and_then(Value::as_bool) == Some(true) {
            return Ok(Ok(()));
        }
        let user = self.who_am_i().map(|(name, _)| name).unwrap_or_default();
        Ok(Err(Denial {
            tried: what.clone(),
            user,
            says: status
                .get("reason")
                .and_then(Value::as_str)
                .unwrap_or("")
                .into(),
        }))
    }

    /// All rules in a namespace, and whether the list is whole (some authorizers cannot tell).
    pub fn rules(&self, namespace: &str) -> Result<(Vec<Rule>, bool), Error> {
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        });
        let answer = self.review("authorization.k8s.io", "selfsubjectrulesreviews", &body)?;
        let rules = answer.pointer("/status/resourceRules");
        let rules = rules
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|r| Rule {
                groups: strings(r, "apiGroups"),
                resources: strings(r, "resources"),
                names: strings(r, "resourceNames"),
                verbs: strings(r, "verbs"),
            })
            .collect();
        let partial = answer
            .pointer("/status/incomplete")
            .and_then(Value::as_bool);
        Ok((rules, partial != Some(true)))
    }

    fn review(&self, group: &str, resource: &str, body: &Value) -> Result<Value, Error> {
        let tried = Tried {
            verb: "create",
            group: group.into(),
            resource: resource.into(),
            ..Tried::default()
        };
        self.json(&Call::post(
            tried,
            format!("/apis/{group}/v1/{resource}"),
            body,
        ))
    }
}
