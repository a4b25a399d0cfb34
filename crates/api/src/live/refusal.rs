//! From a `Status` of the API server to the variant that says it.

use super::credentials::Plugin;
use super::error::Error;
use super::words::{Denial, Tried};
use serde_json::Value;
use std::time::Duration;

/// Where and as whom was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub server: String,
    pub user: String,
    /// The proxy on the way; empty where there is none.
    pub proxy: String,
    /// What gives the credentials.
    pub plugin: Plugin,
}

/// The refusal with this HTTP status and body.
pub(super) fn of(tried: &Tried, asked: &Asked, code: u16, body: &str) -> Error {
    let status: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let text = |path: &str| status.pointer(path).and_then(Value::as_str).unwrap_or("");
    let says = match text("/message") {
        "" => one_line(body),
        message => one_line(message),
    };
    let reason = text("/reason");
    let tried = Box::new(tried.clone());
    if let Some(by_admission) = admission(&tried, &says) {
        return by_admission;
    }
    match code {
        401 => Error::Unauthorized {
            tried,
            server: asked.server.clone(),
            user: asked.user.clone(),
        },
        403 if says.contains("because it is being terminated") => Error::NamespaceEnds {
            namespace: tried.namespace.clone(),
            tried,
        },
        403 if says.contains("exceeded quota") => Error::Quota { tried, says },
        403 => Error::Forbidden(Box::new(denial(*tried, says))),
        404 if text("/details/name").is_empty() && reason != "NotFound"
            || says.contains("could not find the requested resource")
            || status.is_null() =>
        {
            let version = if tried.group.is_empty() {
                tried.full_resource()
            } else {
                format!("{} of API group {}", tried.full_resource(), tried.group)
            };
            Error::UnknownKind { tried, version }
        }
        404 => Error::NotFound { tried, says },
        409 if reason == "AlreadyExists" => Error::AlreadyExists { tried, says },
        409 => Error::Conflict { tried, says },
        410 => Error::Expired { tried },
        400 | 422 => Error::Invalid { tried, says },
        429 => Error::TooManyRequests {
            tried,
            waited: Duration::ZERO,
            says,
        },
        500 | 502 | 503 if says.contains("error dialing backend") => Error::Kubelet { tried, says },
        _ => Error::Refused { tried, code, says },
    }
}

/// What RBAC refused. Its own words are nearer than what was tried: the verb for streams differs
/// between versions, impersonation is refused in place of the request.
fn denial(mut tried: Tried, says: String) -> Denial {
    const VERBS: &[&str] = &[
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "impersonate",
        "proxy",
    ];
    let told = says.split_once(" cannot ").map(|(_, r)| r);
    let verb = told.and_then(|r| {
        VERBS
            .iter()
            .find(|v| r.starts_with(&format!("{v} resource ")))
    });
    if let Some(verb) = verb {
        tried.verb = verb;
        let resource = quoted(&says, " resource ").unwrap_or_default();
        let (plural, sub) = resource.split_once('/').unwrap_or((&resource, ""));
        tried.resource = plural.into();
        tried.subresource = sub.into();
        tried.group = quoted(&says, " in API group ").unwrap_or_default();
        tried.namespace = quoted(&says, " in the namespace ").unwrap_or_default();
    }
    Denial {
        user: quoted(&says, "User ").unwrap_or_default(),
        tried,
        says,
    }
}

/// Refusals that admission makes; their HTTP status is not always the same.
fn admission(tried: &Tried, says: &str) -> Option<Error> {
    if let Some(level) = quoted(says, "violates PodSecurity ") {
        let rest = says.split_once("violates PodSecurity ")?.1;
        let list = rest.split_once("\": ").map_or("", |(_, l)| l);
        return Some(Error::PodSecurity {
            tried: Box::new(tried.clone()),
            level: level.split(':').next().unwrap_or_default().to_string(),
            violations: violations(list),
        });
    }
    if let Some(webhook) = quoted(says, "failed calling webhook ") {
        let why = says
            .split_once("failed calling webhook ")
            .and_then(|(_, r)| r.split_once("\": "))
            .map_or(says, |(_, why)| why);
        return Some(Error::Webhook {
            tried: Box::new(tried.clone()),
            webhook,
            why: why.trim_start_matches("failed to call webhook: ").into(),
        });
    }
    if let Some(webhook) = quoted(says, "admission webhook ")
        && let Some((_, why)) = says.split_once("denied the request")
    {
        return Some(Error::Denied {
            tried: Box::new(tried.clone()),
            by: format!("admission webhook {webhook}"),
            says: why.trim_start_matches([':', ' ']).into(),
        });
    }
    if let Some((_, rest)) = says.split_once("ValidatingAdmissionPolicy '") {
        let (policy, rest) = rest.split_once('\'')?;
        let why = rest.split_once("denied request: ").map_or(rest, |(_, w)| w);
        return Some(Error::Denied {
            tried: Box::new(tried.clone()),
            by: format!("ValidatingAdmissionPolicy {policy}"),
            says: why.into(),
        });
    }
    None
}

/// `a (x, y), b (z)` at its outer commas.
fn violations(list: &str) -> Vec<String> {
    let (mut depth, mut out, mut current) = (0usize, Vec::new(), String::new());
    for c in list.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(std::mem::take(&mut current).trim().to_string());
                continue;
            }
            _ => {}
        }
        current.push(c);
    }
    out.push(current.trim().to_string());
    out.retain(|v| !v.is_empty());
    out
}

/// The text in quotes after `mark`.
fn quoted(text: &str, mark: &str) -> Option<String> {
    let rest = text.split_once(mark)?.1.strip_prefix('"')?;
    Some(rest.split_once('"')?.0.to_string())
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(2000).collect()
}
