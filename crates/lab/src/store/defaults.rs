//! What the API server fills in and refuses: defaults of pods and workloads, addresses and node
//! ports of Services. Shapes as a real one writes them.

use crate::shape::{self, Dice, at, list, text};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses Services get.
#[derive(Clone, Debug, Default)]
pub struct Allocation {
    families: Vec<String>,
    ranges: Vec<(IpAddr, u8)>,
    taken: BTreeSet<String>,
    ports: BTreeSet<i64>,
}

impl Allocation {
    /// Families in order (`ipv4`, `ipv6`), ranges as CIDRs.
    pub fn new(families: &[String], ranges: &[String]) -> Allocation {
        let ranges = ranges.iter().filter_map(|r| parse_cidr(r)).collect();
        Allocation {
            families: families.to_vec(),
            ranges,
            taken: BTreeSet::new(),
            ports: BTreeSet::new(),
        }
    }

    /// Learns what the other Services hold.
    pub fn learn<'a>(&mut self, services: impl Iterator<Item = &'a Value>) {
        self.taken.clear();
        self.ports.clear();
        for service in services {
            self.taken.extend(shape::texts(service, "spec.clusterIPs"));
            self.ports.extend(
                list(service, "spec.ports")
                    .iter()
                    .filter_map(|p| shape::int(p, "nodePort")),
            );
        }
    }

    fn address(&mut self, family: &str, dice: &mut Dice) -> Option<String> {
        let (base, bits) = self
            .ranges
            .iter()
            .find(|(a, _)| family_of(*a) == family)
            .copied()?;
        for _ in 0..1000 {
            // The first addresses are kept for the API server and the cluster's DNS.
            let width: u32 = if base.is_ipv4() { 32 } else { 128 };
            let room = 1usize << width.saturating_sub(u32::from(bits)).clamp(7, 16);
            let host = 32 + dice.below(room - 40) as u128;
            let candidate = offset(base, host).to_string();
            if self.taken.insert(candidate.clone()) {
                return Some(candidate);
            }
        }
        None
    }

    fn node_port(&mut self, dice: &mut Dice) -> i64 {
        loop {
            let port = 30_000 + dice.below(2_768) as i64;
            if self.ports.insert(port) {
                return port;
            }
        }
    }
}

/// `IPv4` or `IPv6`, as Kubernetes spells them.
pub fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// Address and prefix length of a CIDR.
pub fn parse_cidr(cidr: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = cidr.split_once('/')?;
    Some((address.parse().ok()?, bits.parse().ok()?))
}

/// The address `n` after `base`.
pub fn offset(base: IpAddr, n: u128) -> IpAddr {
    match base {
        IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from(u32::from(a).wrapping_add(n as u32))),
        IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a).wrapping_add(n))),
    }
}

/// What a replacing manifest does not say and the old object knows.
pub fn keep(new: &mut Value, old: &Value) {
    for key in ["uid", "creationTimestamp", "resourceVersion", "generation"] {
        let value = at(old, "metadata").get(key).cloned();
        if let Some(value) = value {
            shape::child(new, "metadata").insert(key.into(), value);
        }
    }
    if new.get("status").is_none()
        && let (Some(status), Some(map)) = (old.get("status"), new.as_object_mut())
    {
        map.insert("status".into(), status.clone());
    }
    let kept: &[&str] = match shape::kind(new) {
        "Service" => &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"],
        "Pod" => &["nodeName"],
        _ => &[],
    };
    for key in kept {
        if let (Some(value), true) = (
            at(old, "spec").get(*key),
            at(new, "spec").get(*key).is_none(),
        ) {
            shape::child(new, "spec").insert((*key).into(), value.clone());
        }
    }
}

/// What the API server refuses of what people get wrong in worlds.
pub fn check(object: &Value) -> Result<(), String> {
    if matches!(
        shape::kind(object),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet"
    ) {
        let labels = shape::strings(at(object, "spec.template.metadata.labels"));
        if !shape::selector_takes(at(object, "spec.selector"), &labels) {
            return Err("spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`".into());
        }
    }
    if shape::kind(object) == "Service"
        && text(object, "spec.type") != "ExternalName"
        && text(object, "spec.clusterIP") != "None"
        && list(object, "spec.ports").is_empty()
    {
        return Err("spec.ports: Required value".into());
    }
    Ok(())
}

/// Fills defaults.
pub fn fill(object: &mut Value, allocation: &mut Allocation, dice: &mut Dice) {
    match shape::kind(object) {
        "Namespace" => namespace(object),
        "Secret" => secret(object),
        "Service" => service(object, allocation, dice),
        "Pod" => pod_spec(shape::child(object, "spec")),
        "Deployment" => deployment(shape::child(object, "spec")),
        "ReplicaSet" | "StatefulSet" => {
            let spec = shape::child(object, "spec");
            spec.entry("replicas").or_insert(json!(1));
            template(spec);
        }
        "DaemonSet" => {
            let spec = shape::child(object, "spec");
            spec.entry("updateStrategy").or_insert(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}));
            spec.entry("revisionHistoryLimit").or_insert(json!(10));
            template(spec);
        }
        "NetworkPolicy" => network_policy(shape::child(object, "spec")),
        _ => {}
    }
}

fn namespace(object: &mut Value) {
    let name = shape::name(object).to_string();
    let meta = shape::child(object, "metadata");
    if let Some(labels) = meta
        .entry("labels")
        .or_insert_with(|| json!({}))
        .as_object_mut()
    {
        labels.insert("kubernetes.io/metadata.name".into(), json!(name));
    }
    shape::child(object, "spec")
        .entry("finalizers")
        .or_insert(json!(["kubernetes"]));
    shape::child(object, "status")
        .entry("phase")
        .or_insert(json!("Active"));
}

/// `stringData` is write-only: it goes into `data` in base64.
fn secret(object: &mut Value) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    map.entry("type").or_insert(json!("Opaque"));
    if let Some(Value::Object(plain)) = map.remove("stringData") {
        let data = shape::child(object, "data");
        for (key, value) in plain {
            data.insert(key, json!(base64(value.as_str().unwrap_or("").as_bytes())));
        }
    }
}

/// Base64 with padding (RFC 4648 section 4).
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|c| {
            let n = (0..3).fold(0u32, |n, i| {
                n << 8 | u32::from(c.get(i).copied().unwrap_or(0))
            });
            (0..4).map(move |i| {
                if i <= c.len() {
                    char::from(ALPHABET[(n >> (18 - 6 * i) & 63) as usize])
                } else {
                    '='
                }
            })
        })
        .collect()
}

/// The bytes of a base64 text; anything that is none of its letters is skipped.
pub fn unbase64(text: &str) -> Vec<u8> {
    let (mut bits, mut have, mut out) = (0u32, 0, Vec::new());
    for c in text.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(six);
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have & 0xff) as u8);
        }
    }
    out
}

fn service(object: &mut Value, allocation: &mut Allocation, dice: &mut Dice) {
    let spec = shape::child(object, "spec");
    let kind = spec
        .entry("type")
        .or_insert(json!("ClusterIP"))
        .as_str()
        .unwrap_or("")
        .to_string();
    spec.entry("sessionAffinity").or_insert(json!("None"));
    for port in spec
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let number = at(port, "port").clone();
        let Some(port) = port.as_object_mut() else {
            continue;
        };
        port.entry("protocol").or_insert(json!("TCP"));
        port.entry("targetPort").or_insert(number);
        if matches!(kind.as_str(), "NodePort" | "LoadBalancer") && !port.contains_key("nodePort") {
            port.insert("nodePort".into(), json!(allocation.node_port(dice)));
        }
    }
    if kind == "ExternalName" {
        return;
    }
    spec.entry("internalTrafficPolicy")
        .or_insert(json!("Cluster"));
    if kind != "ClusterIP" {
        spec.entry("externalTrafficPolicy")
            .or_insert(json!("Cluster"));
    }
    addresses(spec, allocation, dice);
    shape::child(object, "status")
        .entry("loadBalancer")
        .or_insert(json!({}));
}

fn addresses(spec: &mut Map<String, Value>, allocation: &mut Allocation, dice: &mut Dice) {
    let kubernetes = |f: &String| if f == "ipv6" { "IPv6" } else { "IPv4" };
    let given: Vec<String> = match (
        spec.get("clusterIPs").and_then(Value::as_array),
        spec.get("clusterIP").and_then(Value::as_str),
    ) {
        (Some(all), _) if !all.is_empty() => all
            .iter()
            .filter_map(|v| v.as_str().map(str::to_string))
            .collect(),
        (_, Some(one)) if !one.is_empty() => vec![one.to_string()],
        _ => Vec::new(),
    };
    let headless = given.first().is_some_and(|a| a == "None");
    let policy = spec
        .get("ipFamilyPolicy")
        .and_then(Value::as_str)
        .unwrap_or("SingleStack")
        .to_string();
    let wanted = if policy == "SingleStack" {
        1
    } else {
        allocation.families.len().max(1)
    };
    let mut families: Vec<String> = shape::texts(&Value::Object(spec.clone()), "ipFamilies");
    if families.is_empty() && !headless {
        families = given
            .iter()
            .filter_map(|a| a.parse().ok().map(|a| family_of(a).to_string()))
            .collect();
    }
    for family in allocation.families.iter().map(kubernetes) {
        if families.len() < wanted && !families.iter().any(|f| f == family) {
            families.push(family.to_string());
        }
    }
    if families.is_empty() {
        families.push("IPv4".into());
    }
    let mut ips = given.clone();
    if !headless {
        for family in families.iter().skip(given.len()) {
            ips.extend(allocation.address(family, dice));
        }
    }
    if let Some(first) = ips.first() {
        spec.insert("clusterIP".into(), json!(first));
        spec.insert("clusterIPs".into(), json!(ips));
    }
    spec.insert("ipFamilies".into(), json!(families));
    spec.insert("ipFamilyPolicy".into(), json!(policy));
}

fn deployment(spec: &mut Map<String, Value>) {
    spec.entry("replicas").or_insert(json!(1));
    spec.entry("progressDeadlineSeconds").or_insert(json!(600));
    spec.entry("revisionHistoryLimit").or_insert(json!(10));
    spec.entry("strategy")
        .or_insert(json!({"type": "RollingUpdate"}));
    if let Some(strategy) = spec.get_mut("strategy").and_then(Value::as_object_mut)
        && strategy
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("RollingUpdate")
            == "RollingUpdate"
    {
        strategy.entry("type").or_insert(json!("RollingUpdate"));
        let rolling = strategy.entry("rollingUpdate").or_insert(json!({}));
        if let Some(rolling) = rolling.as_object_mut() {
            rolling.entry("maxSurge").or_insert(json!("25%"));
            rolling.entry("maxUnavailable").or_insert(json!("25%"));
        }
    }
    template(spec);
}

fn template(spec: &mut Map<String, Value>) {
    let Some(template) = spec.get_mut("template") else {
        return;
    };
    shape::child(template, "metadata")
        .entry("creationTimestamp")
        .or_insert(Value::Null);
    pod_spec(shape::child(template, "spec"));
}

fn pod_spec(spec: &mut Map<String, Value>) {
    for (key, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("securityContext", json!({})),
    ] {
        spec.entry(key).or_insert(value);
    }
    let host = spec
        .get("hostNetwork")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    for group in ["containers", "initContainers"] {
        for container in spec
            .get_mut(group)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            fill_container(container, host);
        }
    }
    for volume in spec
        .get_mut("volumes")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        for source in ["configMap", "secret"] {
            if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
                source.entry("defaultMode").or_insert(json!(420));
            }
        }
    }
}

fn fill_container(container: &mut Map<String, Value>, host_network: bool) {
    let image = container
        .get("image")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_string();
    let tag = image
        .rsplit('/')
        .next()
        .and_then(|i| i.split_once(':'))
        .map(|t| t.1.to_string());
    let pull = if tag.as_deref().is_none_or(|t| t == "latest") {
        "Always"
    } else {
        "IfNotPresent"
    };
    container.entry("imagePullPolicy").or_insert(json!(pull));
    container
        .entry("terminationMessagePath")
        .or_insert(json!("/dev/termination-log"));
    container
        .entry("terminationMessagePolicy")
        .or_insert(json!("File"));
    for port in container
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        port.entry("protocol").or_insert(json!("TCP"));
        if let (true, Some(number)) = (host_network, port.get("containerPort").cloned()) {
            port.entry("hostPort").or_insert(number);
        }
    }
    let resources = container.entry("resources").or_insert(json!({}));
    if let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() {
        let requests = shape::child(resources, "requests");
        for (key, value) in limits {
            requests.entry(key).or_insert(value);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) else {
            continue;
        };
        for (key, value) in [
            ("timeoutSeconds", 1),
            ("periodSeconds", 10),
            ("successThreshold", 1),
            ("failureThreshold", 3),
        ] {
            probe.entry(key).or_insert(json!(value));
        }
        if let Some(http) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
            http.entry("path").or_insert(json!("/"));
            http.entry("scheme").or_insert(json!("HTTP"));
        }
    }
}

fn network_policy(spec: &mut Map<String, Value>) {
    spec.entry("podSelector").or_insert(json!({}));
    let egress = spec.contains_key("egress");
    spec.entry("policyTypes").or_insert(if egress {
        json!(["Ingress", "Egress"])
    } else {
        json!(["Ingress"])
    });
    for direction in ["ingress", "egress"] {
        let rules = spec.get_mut(direction).and_then(Value::as_array_mut);
        for port in rules
            .into_iter()
            .flatten()
            .filter_map(|r| r.get_mut("ports").and_then(Value::as_array_mut))
            .flatten()
        {
            if let Some(port) = port.as_object_mut() {
                port.entry("protocol").or_insert(json!("TCP"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_round_trip() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(unbase64(coded), plain.as_bytes());
        }
    }

    #[test]
    fn service_addresses() {
        let mut allocation = Allocation::new(
            &["ipv6".into(), "ipv4".into()],
            &["10.96.0.0/16".into(), "fd96::/112".into()],
        );
        let mut dice = Dice::new(3);
        for (spec, families, addresses) in [
            (json!({"ports": [{"port": 80}]}), vec!["IPv6"], 1),
            (
                json!({"ports": [{"port": 80}], "ipFamilyPolicy": "PreferDualStack"}),
                vec!["IPv6", "IPv4"],
                2,
            ),
            (
                json!({"ports": [{"port": 80}], "clusterIP": "10.96.7.7"}),
                vec!["IPv4"],
                1,
            ),
            (
                json!({"ports": [{"port": 80}], "clusterIP": "None"}),
                vec!["IPv6"],
                1,
            ),
        ] {
            let mut service = json!({"kind": "Service", "metadata": {"name": "a"}, "spec": spec});
            fill(&mut service, &mut allocation, &mut dice);
            assert_eq!(
                shape::texts(&service, "spec.ipFamilies"),
                families,
                "{service}"
            );
            assert_eq!(
                list(&service, "spec.clusterIPs").len(),
                addresses,
                "{service}"
            );
            let once = service.clone();
            fill(&mut service, &mut allocation, &mut dice);
            assert_eq!(service, once, "filling twice changes nothing");
        }
    }
}
