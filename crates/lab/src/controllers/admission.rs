//! Admission webhooks, as far as they refuse: one whose Service has nobody ready cannot be called, and
//! the API server refuses what it must have seen. What a webhook that can be called would say is not played.

use super::Pass;
use crate::shape::{self, at, int, list, text, texts};
use serde_json::Value;

const KINDS: [&str; 2] = [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Why a pod cannot be made, in the API server's words.
pub fn refuses(pass: &Pass<'_>, pod: &Value) -> Option<String> {
    KINDS.iter().find_map(|kind| {
        pass.store.of(kind).iter().find_map(|c| {
            list(c, "webhooks")
                .iter()
                .filter(|h| text(h, "failurePolicy") != "Ignore" && sees(pass, h, pod))
                .find_map(|h| failed_call(pass, h))
        })
    })
}

/// The webhook must see the making of this pod.
fn sees(pass: &Pass<'_>, hook: &Value, pod: &Value) -> bool {
    let named = |rule: &Value, key: &str, wanted: &str| {
        let all = texts(rule, key);
        all.iter().any(|w| w == "*" || w == wanted)
    };
    let ruled = list(hook, "rules")
        .iter()
        .any(|r| named(r, "operations", "CREATE") && named(r, "resources", "pods"));
    let selects = |key: &str, object: &Value| {
        let labels = shape::labels(object);
        at(hook, key).as_object().is_none_or(|wanted| {
            wanted
                .iter()
                .all(|(k, v)| labels.get(k).map(String::as_str) == v.as_str())
        })
    };
    let namespace = pass.store.find("Namespace", "", shape::namespace(pod));
    ruled
        && selects("objectSelector.matchLabels", pod)
        && namespace.is_none_or(|n| selects("namespaceSelector.matchLabels", &n))
}

/// What comes of calling it: nothing, when somebody is ready.
fn failed_call(pass: &Pass<'_>, hook: &Value) -> Option<String> {
    let of = |key: &str| text(hook, &format!("clientConfig.service.{key}")).to_string();
    let (namespace, service, path) = (of("namespace"), of("name"), of("path"));
    if service.is_empty() {
        return None;
    }
    let why = if pass.store.find("Service", &namespace, &service).is_none() {
        format!("service \"{service}\" not found")
    } else if somebody_ready(pass, &namespace, &service) {
        return None;
    } else {
        format!("no endpoints available for service \"{service}\"")
    };
    let port = int(hook, "clientConfig.service.port").unwrap_or(443);
    let patience = int(hook, "timeoutSeconds").unwrap_or(10);
    let url = format!("https://{service}.{namespace}.svc:{port}{path}?timeout={patience}s");
    let name = text(hook, "name");
    Some(format!(
        "Internal error occurred: failed calling webhook \"{name}\": failed to call webhook: Post \"{url}\": {why}"
    ))
}

fn somebody_ready(pass: &Pass<'_>, namespace: &str, service: &str) -> bool {
    let of_it = |s: &Value| {
        shape::namespace(s) == namespace
            && shape::labels(s)
                .get("kubernetes.io/service-name")
                .is_some_and(|n| n == service)
    };
    let ready = |e: &Value| at(e, "conditions.ready").as_bool().unwrap_or(true);
    pass.store
        .of("EndpointSlice")
        .iter()
        .filter(|s| of_it(s))
        .any(|s| list(s, "endpoints").iter().any(ready))
}
