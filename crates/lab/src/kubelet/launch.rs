//! What a container is started with: behaviour, environment, files of its volumes, resolv.conf,
//! memory limit.

use crate::ground::Launch;
use crate::shape::{self, at, list, text};
use crate::store::Store;
use crate::store::defaults::unbase64;
use crate::world::PodBehaviour;
use serde_json::{Value, json};
use std::net::IpAddr;

/// A pod on its node.
pub(crate) struct Site<'a> {
    pub store: &'a Store,
    pub pod: &'a Value,
    pub node: Option<&'a Value>,
    pub addresses: &'a [IpAddr],
    pub cluster_dns: &'a [String],
    /// The resolver outside the cluster that nodes use themselves.
    pub outside: &'a [IpAddr],
}

/// Something a container refers to is not there.
pub(crate) enum Missing {
    /// A volume cannot be mounted.
    Volume(String),
    /// An environment variable cannot be filled.
    Config(String),
}

/// What a container does: the newest change that fits it, then the plan's first that fits; the
/// cluster's DNS does its work without being told; everything else sleeps.
pub(crate) fn behaviour(
    pod: &Value,
    container: &str,
    later: &[PodBehaviour],
    plan: &[PodBehaviour],
) -> Value {
    let labels = shape::labels(pod);
    let fits = |b: &&PodBehaviour| {
        b.namespace == shape::namespace(pod)
            && (b.container.is_empty() || b.container == container)
            && b.labels.iter().all(|(k, v)| labels.get(k) == Some(v))
    };
    if let Some(found) = later.iter().chain(plan).find(fits) {
        return serde_json::to_value(&found.does).unwrap_or_else(|_| json!({}));
    }
    if shape::namespace(pod) == "kube-system"
        && shape::label(pod, "k8s-app") == "kube-dns"
        && container == "coredns"
    {
        let health = |port: u16| json!({"port": port, "serve": "http"});
        return json!({"dns": true, "listen": [health(8080), health(8181), health(9153)]});
    }
    json!({})
}

fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    list(pod, "spec.containers")
        .iter()
        .find(|c| text(c, "name") == name)
}

/// Everything a container is started with.
pub(crate) fn order(site: &Site<'_>, name: &str, behaviour: &Value) -> Result<Launch, Missing> {
    let files = files(site, name)?;
    let spec = container(site.pod, name).cloned().unwrap_or_default();
    Ok(Launch {
        pod: shape::uid(site.pod).into(),
        container: name.into(),
        behaviour: behaviour.clone(),
        env: environment(site, &spec)?,
        memory_limit: bytes(text(&spec, "resources.limits.memory")),
        resolv_conf: resolv_conf(site),
        files,
        program: None,
    })
}

/// A quantity of memory in bytes (`64Mi`, `1G`, `1500`).
pub fn bytes(quantity: &str) -> Option<u64> {
    let digits = quantity
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(digits);
    let factor: f64 = match unit {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|n| (n * factor) as u64)
}

/// Content of one key of a ConfigMap or Secret.
fn content(object: &Value, key: &str) -> Option<Vec<u8>> {
    let data = at(object, "data").get(key)?.as_str()?;
    Some(if shape::kind(object) == "Secret" {
        unbase64(data)
    } else {
        data.as_bytes().to_vec()
    })
}

/// Files of a container's ConfigMap and Secret volumes, path below its root and content.
pub(crate) fn files(site: &Site<'_>, name: &str) -> Result<Vec<(String, Vec<u8>)>, Missing> {
    let mut all = Vec::new();
    let Some(spec) = container(site.pod, name) else {
        return Ok(all);
    };
    // The part of a service account's volume that a TLS client looks into.
    if let Some(ca) = site
        .store
        .find("ConfigMap", shape::namespace(site.pod), "kube-root-ca.crt")
    {
        let path = "var/run/secrets/kubernetes.io/serviceaccount/ca.crt".to_string();
        all.extend(content(&ca, "ca.crt").map(|c| (path, c)));
    }
    for mount in list(spec, "volumeMounts") {
        let volumes = list(site.pod, "spec.volumes");
        let Some(volume) = volumes
            .iter()
            .find(|v| text(v, "name") == text(mount, "name"))
        else {
            continue;
        };
        let (source, kind, named) = if volume.get("secret").is_some() {
            ("secret", "Secret", "secretName")
        } else {
            ("configMap", "ConfigMap", "name")
        };
        let Some(source) = volume.get(source) else {
            continue;
        };
        let wanted = text(source, named);
        let Some(object) = site.store.find(kind, shape::namespace(site.pod), wanted) else {
            if shape::truth(source, "optional") {
                continue;
            }
            return Err(Missing::Volume(format!(
                "MountVolume.SetUp failed for volume \"{}\" : {} \"{wanted}\" not found",
                text(volume, "name"),
                kind.to_lowercase()
            )));
        };
        let items: Vec<(String, String)> = match list(source, "items") {
            [] => at(&object, "data")
                .as_object()
                .map(|d| d.keys().map(|k| (k.clone(), k.clone())).collect())
                .unwrap_or_default(),
            items => items
                .iter()
                .map(|i| (text(i, "key").to_string(), text(i, "path").to_string()))
                .collect(),
        };
        let (folder, single) = (text(mount, "mountPath"), text(mount, "subPath"));
        for (key, path) in items {
            let Some(content) = content(&object, &key) else {
                return Err(Missing::Volume(format!(
                    "MountVolume.SetUp failed for volume \"{}\" : references non-existent config key: {key}",
                    text(volume, "name")
                )));
            };
            if single.is_empty() {
                all.push((format!("{}/{path}", folder.trim_matches('/')), content));
            } else if single == path {
                all.push((folder.trim_matches('/').to_string(), content));
            }
        }
    }
    Ok(all)
}

/// Writes files into a running container's root, each whole or not at all.
pub(crate) fn refresh(pid: i32, files: &[(String, Vec<u8>)]) -> std::io::Result<()> {
    for (path, content) in files {
        let below: std::path::PathBuf = std::path::Path::new(path)
            .components()
            .filter(|c| matches!(c, std::path::Component::Normal(_)))
            .collect();
        let target = std::path::Path::new("/proc")
            .join(pid.to_string())
            .join("root")
            .join(below);
        let fresh = target.with_extension("netshoot-new");
        std::fs::write(&fresh, content)?;
        std::fs::rename(&fresh, &target)?;
    }
    Ok(())
}

fn environment(site: &Site<'_>, spec: &Value) -> Result<Vec<(String, String)>, Missing> {
    let mut env: Vec<(String, String)> = vec![("HOSTNAME".into(), shape::name(site.pod).into())];
    if let Some(limit) = bytes(text(spec, "resources.limits.memory")) {
        // As runtimes with a collector read it from their cgroup; a process cannot see it everywhere.
        env.push((crate::behave::MEMORY_LIMIT.into(), limit.to_string()));
    }
    for from in list(spec, "envFrom") {
        let (kind, source) = if from.get("secretRef").is_some() {
            ("Secret", at(from, "secretRef"))
        } else {
            ("ConfigMap", at(from, "configMapRef"))
        };
        let object = find_config(site, kind, source)?;
        for key in object
            .iter()
            .flat_map(|o| at(o, "data").as_object().into_iter().flat_map(|d| d.keys()))
        {
            if let Some(value) = object.as_ref().and_then(|o| content(o, key)) {
                env.push((
                    format!("{}{key}", text(from, "prefix")),
                    String::from_utf8_lossy(&value).into_owned(),
                ));
            }
        }
    }
    for variable in list(spec, "env") {
        let from = at(variable, "valueFrom");
        let value = if from.is_null() {
            Some(expand(text(variable, "value"), &env))
        } else if let Some(field) = from.get("fieldRef") {
            Some(self::field(site, text(field, "fieldPath")))
        } else if from.get("resourceFieldRef").is_some() {
            bytes(text(spec, "resources.limits.memory")).map(|b| b.to_string())
        } else {
            let (kind, source) = if from.get("secretKeyRef").is_some() {
                ("Secret", at(from, "secretKeyRef"))
            } else {
                ("ConfigMap", at(from, "configMapKeyRef"))
            };
            let key = text(source, "key");
            let found = find_config(site, kind, source)?.and_then(|o| content(&o, key));
            if found.is_none() && !shape::truth(source, "optional") {
                return Err(Missing::Config(format!(
                    "couldn't find key {key} in {kind} {}/{}",
                    shape::namespace(site.pod),
                    text(source, "name")
                )));
            }
            found.map(|v| String::from_utf8_lossy(&v).into_owned())
        };
        if let Some(value) = value {
            env.retain(|(name, _)| name != text(variable, "name"));
            env.push((text(variable, "name").into(), value));
        }
    }
    Ok(env)
}

fn find_config(
    site: &Site<'_>,
    kind: &str,
    source: &Value,
) -> Result<Option<std::sync::Arc<Value>>, Missing> {
    let name = text(source, "name");
    match site.store.find(kind, shape::namespace(site.pod), name) {
        None if !shape::truth(source, "optional") => Err(Missing::Config(format!(
            "{} \"{name}\" not found",
            kind.to_lowercase()
        ))),
        found => Ok(found),
    }
}

/// `$(NAME)` of variables that stand before.
fn expand(value: &str, env: &[(String, String)]) -> String {
    env.iter().fold(value.to_string(), |v, (name, content)| {
        v.replace(&format!("$({name})"), content)
    })
}

fn field(site: &Site<'_>, path: &str) -> String {
    let addresses: Vec<String> = site.addresses.iter().map(ToString::to_string).collect();
    match path {
        "status.podIP" => addresses.first().cloned().unwrap_or_default(),
        "status.podIPs" => addresses.join(","),
        "status.hostIP" => site
            .node
            .and_then(|n| {
                super::status::node_addresses(n)
                    .first()
                    .map(ToString::to_string)
            })
            .unwrap_or_default(),
        "spec.serviceAccountName" => "default".into(),
        other => match other
            .strip_prefix("metadata.labels['")
            .and_then(|k| k.strip_suffix("']"))
        {
            Some(key) => shape::label(site.pod, key).into(),
            None => text(site.pod, other).into(),
        },
    }
}

/// Servers, search suffixes, and options with their values.
type Lines = (Vec<String>, Vec<String>, Vec<(String, Option<String>)>);

/// resolv.conf as a kubelet writes it for the pod's dnsPolicy and dnsConfig.
pub(crate) fn resolv_conf(site: &Site<'_>) -> String {
    let pod = site.pod;
    let host = shape::truth(pod, "spec.hostNetwork");
    let nodes_own = || -> Vec<String> { site.outside.iter().map(ToString::to_string).collect() };
    let space = shape::namespace(pod);
    let (mut servers, mut searches, mut options): Lines = match text(pod, "spec.dnsPolicy") {
        "None" => (Vec::new(), Vec::new(), Vec::new()),
        "Default" => (nodes_own(), Vec::new(), Vec::new()),
        // On the host's network only the longer word means the cluster's DNS.
        "ClusterFirst" if host => (nodes_own(), Vec::new(), Vec::new()),
        _ => (
            site.cluster_dns.to_vec(),
            vec![
                format!("{space}.svc.cluster.local"),
                "svc.cluster.local".into(),
                "cluster.local".into(),
            ],
            vec![("ndots".into(), Some("5".into()))],
        ),
    };
    let more = at(pod, "spec.dnsConfig");
    servers.extend(shape::texts(more, "nameservers"));
    searches.extend(shape::texts(more, "searches"));
    for option in list(more, "options") {
        options.retain(|o| o.0 != text(option, "name"));
        options.push((
            text(option, "name").into(),
            option
                .get("value")
                .and_then(Value::as_str)
                .map(str::to_string),
        ));
    }
    let mut lines = Vec::new();
    if !searches.is_empty() {
        lines.push(format!("search {}", searches.join(" ")));
    }
    lines.extend(servers.iter().take(3).map(|s| format!("nameserver {s}")));
    if !options.is_empty() {
        let words: Vec<String> = options
            .iter()
            .map(|(n, v)| v.as_ref().map_or(n.clone(), |v| format!("{n}:{v}")))
            .collect();
        lines.push(format!("options {}", words.join(" ")));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (text, want) in [
            ("64Mi", Some(67_108_864)),
            ("1G", Some(1_000_000_000)),
            ("1.5Gi", Some(1_610_612_736)),
            ("12", Some(12)),
            ("", None),
            ("3x", None),
        ] {
            assert_eq!(bytes(text), want, "{text}");
        }
    }

    #[test]
    fn resolvers() {
        let store = Store::default();
        let outside = ["198.51.100.53".parse().unwrap()];
        let cluster = ["10.96.0.10".to_string()];
        for (spec, want) in [
            (
                json!({"dnsPolicy": "ClusterFirst"}),
                "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
            ),
            (
                json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}),
                "nameserver 198.51.100.53\n",
            ),
            (
                json!({"dnsPolicy": "Default"}),
                "nameserver 198.51.100.53\n",
            ),
            (
                json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"], "searches": ["a.b"], "options": [{"name": "edns0"}]}}),
                "search a.b\nnameserver 192.0.2.1\noptions edns0\n",
            ),
            (
                json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true, "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}}),
                "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:2\n",
            ),
        ] {
            let pod = json!({"metadata": {"namespace": "shop", "name": "p"}, "spec": spec});
            let site = Site {
                store: &store,
                pod: &pod,
                node: None,
                addresses: &[],
                cluster_dns: &cluster,
                outside: &outside,
            };
            assert_eq!(resolv_conf(&site), want, "{spec}");
        }
    }

    #[test]
    fn environment_and_files() {
        let store = Store::default();
        for object in [
            json!({"kind": "Namespace", "metadata": {"name": "shop"}}),
            json!({"kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}, "data": {"k": "v", "l": "w"}}),
            json!({"kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "stringData": {"k": "hidden"}}),
        ] {
            store.apply(object).unwrap();
        }
        let pod = |env: Value| {
            json!({"metadata": {"namespace": "shop", "name": "p"}, "spec": {
                "containers": [{"name": "a", "env": env, "volumeMounts": [{"name": "v", "mountPath": "/etc/v"}]}],
                "volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "sub/k"}]}}]}})
        };
        let good = pod(json!([
            {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}, {"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "O", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k", "optional": true}}}]));
        let site = Site {
            store: &store,
            pod: &good,
            node: None,
            addresses: &[],
            cluster_dns: &[],
            outside: &[],
        };
        let Ok(order) = order(&site, "a", &json!({})) else {
            panic!("everything is there")
        };
        let env: Vec<String> = order.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(env, ["HOSTNAME=p", "A=1", "B=12", "P=p", "S=hidden"]);
        assert_eq!(order.files, [("etc/v/sub/k".to_string(), b"v".to_vec())]);
        let bad = pod(
            json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "none"}}}]),
        );
        let site = Site { pod: &bad, ..site };
        assert!(matches!(
            super::order(&site, "a", &json!({})),
            Err(Missing::Config(_))
        ));
    }

    #[test]
    fn a_damaged_quantity_is_none_or_bytes() {
        netshoot_wire::fuzz::texts(&["64Mi", "1.5G", "1500"], 20_000, |text| {
            if let Some(n) = bytes(text) {
                assert_eq!(
                    bytes(&n.to_string()).map(|m| m.abs_diff(n) <= n >> 50),
                    Some(true),
                    "{text:?}"
                );
            }
        });
    }
}
