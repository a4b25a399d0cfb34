//! Who is meant: selectors, and the pods and blocks that peers stand for.

use super::{protocol, ranges::Ranges};
use crate::ground::address::Cidr;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// The text at a JSON pointer, or an empty word.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// The array at a JSON pointer, or none of it.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or(&[])
}

/// A pod with a network of its own.
#[derive(Clone, Debug, Default)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    /// Its uid, or its name where it has none.
    pub id: String,
    pub node: String,
    pub labels: Labels,
    pub addresses: Vec<IpAddr>,
    /// Named container ports: name, protocol number, port.
    pub ports: Vec<(String, u8, u16)>,
}

/// What the objects say.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub pods: Vec<Pod>,
    pub policies: Vec<Value>,
    namespaces: BTreeMap<String, Labels>,
}

fn labels(object: &Value) -> Labels {
    let map = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    pairs
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_string())))
        .collect()
}

/// Whether a label selector picks these labels. None picks nothing, an empty one everything.
pub fn matches(selector: Option<&Value>, labels: &Labels) -> bool {
    let Some(selector) = selector.filter(|s| s.is_object()) else {
        return false;
    };
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let all = wanted
        .into_iter()
        .flatten()
        .all(|(k, v)| labels.get(k).map(String::as_str) == v.as_str());
    all && list(selector, "/matchExpressions")
        .iter()
        .all(|expression| {
            let value = labels.get(text(expression, "/key")).map(String::as_str);
            let listed = value.is_some_and(|v| {
                list(expression, "/values")
                    .iter()
                    .any(|w| w.as_str() == Some(v))
            });
            match text(expression, "/operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

fn read_pod(object: &Value) -> Option<Pod> {
    let on_host = object
        .pointer("/spec/hostNetwork")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    if on_host || matches!(text(object, "/status/phase"), "Succeeded" | "Failed") {
        return None;
    }
    let mut addresses: Vec<IpAddr> = list(object, "/status/podIPs")
        .iter()
        .filter_map(|a| text(a, "/ip").parse().ok())
        .collect();
    if addresses.is_empty() {
        addresses.extend(text(object, "/status/podIP").parse::<IpAddr>().ok());
    }
    let sidecars = list(object, "/spec/initContainers").iter();
    let sidecars = sidecars.filter(|c| text(c, "/restartPolicy") == "Always");
    let ports = list(object, "/spec/containers")
        .iter()
        .chain(sidecars)
        .flat_map(|c| list(c, "/ports"))
        .filter(|p| !text(p, "/name").is_empty())
        .filter_map(|p| {
            let number = p.get("containerPort")?.as_u64()?;
            let number = u16::try_from(number).ok()?;
            Some((
                text(p, "/name").to_string(),
                protocol(text(p, "/protocol")),
                number,
            ))
        })
        .collect();
    let (namespace, name) = (
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    );
    let id = match text(object, "/metadata/uid") {
        // Chain names are limited to 255 bytes.
        "" => format!("{namespace}/{name}").chars().take(240).collect(),
        uid => uid.to_string(),
    };
    Some(Pod {
        namespace: namespace.into(),
        name: name.into(),
        id,
        node: text(object, "/spec/nodeName").into(),
        labels: labels(object),
        addresses,
        ports,
    })
}

impl World {
    /// Reads the objects.
    pub fn read(objects: &[Value]) -> World {
        let mut world = World::default();
        for object in objects {
            match text(object, "/kind") {
                "Pod" => world.pods.extend(read_pod(object)),
                "NetworkPolicy" => world.policies.push(object.clone()),
                "Namespace" => {
                    let name = text(object, "/metadata/name").to_string();
                    world.namespaces.insert(name, labels(object));
                }
                _ => {}
            }
        }
        for name in world
            .pods
            .iter()
            .map(|p| p.namespace.clone())
            .collect::<Vec<_>>()
        {
            world.namespaces.entry(name).or_default();
        }
        // The API server gives every namespace this label.
        for (name, labels) in &mut world.namespaces {
            labels
                .entry("kubernetes.io/metadata.name".into())
                .or_insert_with(|| name.clone());
        }
        world
            .pods
            .sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        world
    }

    /// Addresses of all these peers of a policy in `namespace`.
    pub fn peers(&self, namespace: &str, peers: &[Value]) -> Ranges {
        let mut ranges = Ranges::default();
        for peer in peers {
            if let Some(block) = peer.get("ipBlock").filter(|b| b.is_object()) {
                let except: Vec<Cidr> = list(block, "/except")
                    .iter()
                    .filter_map(|e| Cidr::parse(e.as_str()?))
                    .collect();
                if let Some(cidr) = Cidr::parse(text(block, "/cidr")) {
                    ranges.add_block(cidr, &except);
                }
                continue;
            }
            for pod in self
                .pods
                .iter()
                .filter(|p| self.is_peer(namespace, peer, p))
            {
                ranges.add_all(&pod.addresses);
            }
        }
        ranges
    }

    /// Pods that are among these peers; all pods when no peer is listed.
    pub fn peer_pods<'a>(
        &'a self,
        namespace: &'a str,
        peers: &'a [Value],
    ) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(move |pod| {
            peers.is_empty() || peers.iter().any(|peer| self.is_peer(namespace, peer, pod))
        })
    }

    fn is_peer(&self, namespace: &str, peer: &Value, pod: &Pod) -> bool {
        let given = |key: &str| peer.get(key).filter(|s| s.is_object());
        let (pods, namespaces) = (given("podSelector"), given("namespaceSelector"));
        let place = match namespaces {
            Some(_) => self
                .namespaces
                .get(&pod.namespace)
                .is_some_and(|l| matches(namespaces, l)),
            None => pods.is_some() && pod.namespace == namespace,
        };
        place && (pods.is_none() || matches(pods, &pod.labels))
    }
}
