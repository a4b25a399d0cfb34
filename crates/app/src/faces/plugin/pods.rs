//! What we send: the temporary pod, the ephemeral container, the pod on a node, the copy of a pod, the
//! resident Deployment. Pure: what was asked for in, an object out.

use super::profile::Profile;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Our container in every pod that is ours.
pub const CONTAINER: &str = "netshoot";
/// Label and value of everything that is ours.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "netshoot");
/// Who had it made.
pub const OWNER: &str = "netshoot/owner";
/// Which process of which machine: `HOST/PID`.
pub const CLIENT: &str = "netshoot/client";
/// When it must be gone, RFC 3339.
pub const DEADLINE: &str = "netshoot/deadline";

/// Who asks, from where, until when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// User, as the cluster or the kubeconfig names it.
    pub who: String,
    /// Machine and process.
    pub client: String,
    /// RFC 3339; empty where there is no clock to ask (`--dry-run`).
    pub deadline: String,
}

/// What our container shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Image.
    pub image: String,
    /// `Always`, `IfNotPresent`, `Never`.
    pub pull_policy: String,
    /// The command; empty leaves it to the image.
    pub command: Vec<String>,
    /// Standard input stays open.
    pub stdin: bool,
    /// Standard input ends with the first stream: what is piped in must end.
    pub stdin_once: bool,
    /// A terminal.
    pub tty: bool,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
    /// `memory=128Mi,cpu=200m`, as maps.
    pub requests: BTreeMap<String, String>,
    /// The same for limits.
    pub limits: BTreeMap<String, String>,
}

/// What the pod around it shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Name of the pod.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Labels besides ours.
    pub labels: BTreeMap<String, String>,
    /// Annotations besides ours.
    pub annotations: BTreeMap<String, String>,
    /// Node to run on, past the scheduler.
    pub node: Option<String>,
    /// Labels the node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations.
    pub tolerations: Vec<Value>,
    /// In the node's network.
    pub host_network: bool,
    /// Its own service account; without one no token is mounted.
    pub service_account: Option<String>,
    /// Seconds after which Kubernetes ends it.
    pub deadline_s: u64,
    /// The name of our container where it is another than usual.
    pub container: Option<String>,
    /// The port that our container says it listens on.
    pub port: Option<u16>,
    /// `Always` or `OnFailure`; none: it runs once.
    pub restart: Option<String>,
    /// Of a copy: its containers see each other's processes unless that is `false`.
    pub share_processes: Option<bool>,
    /// Of a copy: images of its containers, `*` for all.
    pub images: BTreeMap<String, String>,
}

impl Around {
    /// The name of our container.
    pub fn own(&self) -> &str {
        self.container.as_deref().unwrap_or(CONTAINER)
    }
}

/// The requests of the article.
pub fn requests() -> BTreeMap<String, String> {
    quantities("64Mi", "50m")
}

/// The limits of the article.
pub fn limits() -> BTreeMap<String, String> {
    quantities("128Mi", "200m")
}

fn quantities(memory: &str, cpu: &str) -> BTreeMap<String, String> {
    [("memory", memory), ("cpu", cpu)]
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .into()
}

fn container(name: &str, c: &Container, profile: Profile, resources: bool) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("name".into(), name.into());
    out.insert("image".into(), c.image.clone().into());
    out.insert("imagePullPolicy".into(), c.pull_policy.clone().into());
    out.insert("securityContext".into(), profile.context());
    if !c.command.is_empty() {
        out.insert("command".into(), json!(c.command));
    }
    if !c.env.is_empty() {
        let env: Vec<Value> = c
            .env
            .iter()
            .map(|(k, v)| json!({"name": k, "value": v}))
            .collect();
        out.insert("env".into(), env.into());
    }
    // An ephemeral container may not have any.
    if resources && !(c.limits.is_empty() && c.requests.is_empty()) {
        let mut r = Map::new();
        for (key, map) in [("limits", &c.limits), ("requests", &c.requests)] {
            if !map.is_empty() {
                r.insert(key.into(), json!(map));
            }
        }
        out.insert("resources".into(), r.into());
    }
    for (key, on) in [
        ("stdin", c.stdin),
        ("stdinOnce", c.stdin && c.stdin_once),
        ("tty", c.tty),
    ] {
        if on {
            out.insert(key.into(), true.into());
        }
    }
    // Why it ended badly is seen where people look.
    out.insert(
        "terminationMessagePolicy".into(),
        "FallbackToLogsOnError".into(),
    );
    out
}

fn metadata(a: &Around, owner: &Owner) -> Value {
    let mut labels = a.labels.clone();
    labels.insert("app.kubernetes.io/name".into(), "netshoot".into());
    labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
    let mut annotations = a.annotations.clone();
    for (key, value) in [
        (OWNER, &owner.who),
        (CLIENT, &owner.client),
        (DEADLINE, &owner.deadline),
    ] {
        if !value.is_empty() {
            annotations.insert(key.into(), value.clone());
        }
    }
    // kubectl's own choice of a container, for everybody who types less.
    annotations.insert(DEFAULT_CONTAINER.into(), a.own().into());
    let mut out = json!({"name": a.name, "labels": labels, "annotations": annotations});
    if !a.namespace.is_empty() {
        out["namespace"] = a.namespace.clone().into();
    }
    out
}

/// The annotation that says which container is meant where none is named.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The temporary pod of `run`.
pub fn temporary(a: &Around, c: &Container, profile: Profile, owner: &Owner) -> Value {
    let mut ours = container(a.own(), c, profile, true);
    if let Some(port) = a.port {
        ours.insert("ports".into(), json!([{"containerPort": port}]));
    }
    let mut spec = json!({
        "activeDeadlineSeconds": a.deadline_s,
        "containers": [ours],
        "restartPolicy": a.restart.as_deref().unwrap_or("Never"),
        "terminationGracePeriodSeconds": 1,
        // As if it ran in the same place as everything else: no links of Services in its environment.
        "enableServiceLinks": false,
        "dnsPolicy": "ClusterFirst",
    });
    place(&mut spec, a);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(a, owner), "spec": spec})
}

fn place(spec: &mut Value, a: &Around) {
    let mut selector = a.node_selector.clone();
    selector
        .entry("kubernetes.io/os".into())
        .or_insert_with(|| "linux".into());
    spec["nodeSelector"] = json!(selector);
    if !a.tolerations.is_empty() {
        spec["tolerations"] = a.tolerations.clone().into();
    }
    if let Some(node) = &a.node {
        spec["nodeName"] = node.clone().into();
    }
    if a.host_network {
        spec["hostNetwork"] = true.into();
        // Without it such a pod asks the node's resolver and knows no Service.
        spec["dnsPolicy"] = "ClusterFirstWithHostNet".into();
    }
    match &a.service_account {
        Some(name) => spec["serviceAccountName"] = name.clone().into(),
        None => spec["automountServiceAccountToken"] = false.into(),
    }
}

/// A pod in the namespaces of a node, its files at /host.
pub fn on_node(a: &Around, c: &Container, profile: Profile, owner: &Owner) -> Value {
    let a = Around {
        host_network: true,
        // A node that is cordoned or out of memory is the one to look at.
        tolerations: vec![json!({"operator": "Exists"})],
        ..a.clone()
    };
    let mut pod = temporary(&a, c, profile, owner);
    pod["spec"]["hostPID"] = true.into();
    pod["spec"]["hostIPC"] = true.into();
    pod["spec"]["volumes"] = json!([{"name": "host", "hostPath": {"path": "/"}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "host", "mountPath": "/host"}]);
    pod
}

/// An ephemeral container.
pub fn ephemeral(name: &str, c: &Container, profile: Profile, target: Option<&str>) -> Value {
    let mut out = container(name, c, profile, false);
    if let Some(target) = target {
        out.insert("targetContainerName".into(), target.into());
    }
    out.into()
}

/// The pod with an ephemeral container more.
pub fn with_ephemeral(pod: &Value, container: &Value) -> Value {
    let mut pod = pod.clone();
    if !pod["spec"]["ephemeralContainers"].is_array() {
        pod["spec"]["ephemeralContainers"] = json!([]);
    }
    if let Some(all) = pod["spec"]["ephemeralContainers"].as_array_mut() {
        all.push(container.clone());
    }
    pod
}

/// A copy of a pod with our container in it. What made the original reachable and restarted is left
/// out: no Service may send requests to a copy, no controller may count it. Where one of its own containers is meant,
/// that one gets the command instead; without a command and with images of its own nothing is added.
pub fn copy(pod: &Value, a: &Around, c: &Container, profile: Profile, owner: &Owner) -> Value {
    let mut copy = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(a, owner), "spec": pod["spec"]});
    let Some(spec) = copy["spec"].as_object_mut() else {
        return copy;
    };
    for key in ["ephemeralContainers", "nodeName", "hostname", "priority"] {
        spec.remove(key);
    }
    // What admission added for the original's token is added anew for the copy.
    let token = |v: &Value| {
        v["name"]
            .as_str()
            .is_some_and(|n| n.starts_with("kube-api-access-"))
    };
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|v| !token(v));
    }
    for kind in ["containers", "initContainers"] {
        let all = spec.get_mut(kind).and_then(Value::as_array_mut);
        for container in all.into_iter().flatten() {
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                mounts.retain(|m| !token(m));
            }
            if let Some(fields) = container.as_object_mut() {
                for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                    fields.remove(probe);
                }
            }
        }
    }
    spec.insert("activeDeadlineSeconds".into(), a.deadline_s.into());
    spec.insert(
        "shareProcessNamespace".into(),
        (a.share_processes != Some(false)).into(),
    );
    spec.insert("restartPolicy".into(), "Never".into());
    if let Some(node) = &a.node {
        spec.insert("nodeName".into(), node.clone().into());
    }
    with_images(spec, &a.images);
    let all = spec.entry("containers").or_insert_with(|| json!([]));
    let Some(all) = all.as_array_mut() else {
        return copy;
    };
    match all.iter_mut().find(|own| own["name"] == a.own()) {
        Some(own) if !c.command.is_empty() => {
            own["command"] = json!(c.command);
            if let Some(fields) = own.as_object_mut() {
                fields.remove("args");
            }
        }
        Some(_) => {}
        None if !a.images.is_empty() && c.command.is_empty() => {}
        None => all.push(container(a.own(), c, profile, true).into()),
    }
    copy
}

fn with_images(spec: &mut Map<String, Value>, images: &BTreeMap<String, String>) {
    for kind in ["containers", "initContainers"] {
        let all = spec.get_mut(kind).and_then(Value::as_array_mut);
        for container in all.into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default();
            if let Some(image) = images.get(name).or_else(|| images.get("*")) {
                container["image"] = image.clone().into();
            }
        }
    }
}

/// The resident Deployment of the article.
pub fn deployment(
    a: &Around,
    c: &Container,
    profile: Profile,
    owner: &Owner,
    replicas: u64,
) -> Value {
    let mut pod = temporary(a, c, profile, owner);
    let spec = pod["spec"].as_object_mut();
    if let Some(spec) = spec {
        spec.remove("activeDeadlineSeconds");
        spec.remove("restartPolicy");
    }
    let app = json!({"app": a.name});
    let mut labels = pod["metadata"]["labels"].clone();
    labels["app"] = a.name.clone().into();
    let mut whole = pod["metadata"].clone();
    whole["labels"] = labels.clone();
    if let Some(annotations) = whole["annotations"].as_object_mut() {
        annotations.remove(DEFAULT_CONTAINER);
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": whole,
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": app},
            "template": {
                "metadata": {"labels": labels, "annotations": {DEFAULT_CONTAINER: CONTAINER}},
                "spec": pod["spec"],
            },
        },
    })
}

/// The container that is meant where none is named: the annotated one, else the first.
pub fn main_container(pod: &Value) -> Option<&str> {
    let named = pod
        .pointer("/metadata/annotations")
        .and_then(|a| a.get(DEFAULT_CONTAINER))
        .and_then(Value::as_str);
    let all = pod.pointer("/spec/containers").and_then(Value::as_array)?;
    let names = || all.iter().filter_map(|c| c["name"].as_str());
    named
        .and_then(|n| names().find(|name| *name == n))
        .or_else(|| names().next())
}

/// `memory=128Mi,cpu=200m`.
pub fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    text.split(',')
        .filter(|p| !p.is_empty())
        .map(|p| {
            p.split_once('=')
                .filter(|(k, _)| !k.is_empty())
                .map(|(k, v)| (k.trim().to_string(), v.trim().to_string()))
                .ok_or(format!("{p:?} is not NAME=VALUE"))
        })
        .collect()
}

/// `key=value:Effect`, `key:Effect`, `key`, or `*` for everything: a toleration.
pub fn toleration(text: &str) -> Result<Value, String> {
    if text == "*" {
        return Ok(json!({"operator": "Exists"}));
    }
    let (what, effect) = text.split_once(':').unwrap_or((text, ""));
    let effects = ["", "NoSchedule", "PreferNoSchedule", "NoExecute"];
    if !effects.contains(&effect) || what.is_empty() {
        return Err(format!(
            "{text:?} is not KEY[=VALUE][:NoSchedule|PreferNoSchedule|NoExecute]"
        ));
    }
    let mut out = match what.split_once('=') {
        Some((key, value)) => json!({"key": key, "operator": "Equal", "value": value}),
        None => json!({"key": what, "operator": "Exists"}),
    };
    if !effect.is_empty() {
        out["effect"] = effect.into();
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
