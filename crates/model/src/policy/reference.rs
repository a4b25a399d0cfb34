//! The obvious evaluator: slow, no explanations, written from the API reference alone. It shares
//! no code with the real one.

use serde_json::Value;
use std::net::IpAddr;

/// One end: namespace labels and pod, or only an address.
pub struct End {
    pub pod: Option<Value>,
    pub address: IpAddr,
}

pub fn allowed(
    policies: &[Value],
    namespaces: &[Value],
    from: &End,
    to: &End,
    protocol: &str,
    port: u16,
    ingress: bool,
) -> bool {
    let (own, peer) = if ingress { (to, from) } else { (from, to) };
    let Some(pod) = &own.pod else { return true };
    if pod["spec"]["hostNetwork"] == true {
        return true;
    }
    let mut isolated = false;
    for policy in policies {
        if policy["metadata"]["namespace"] != pod["metadata"]["namespace"]
            || !matches(&policy["spec"]["podSelector"], &pod["metadata"]["labels"])
        {
            continue;
        }
        let (section, peers) = if ingress {
            ("ingress", "from")
        } else {
            ("egress", "to")
        };
        let applies = match policy["spec"]["policyTypes"].as_array() {
            Some(types) if !types.is_empty() => types
                .iter()
                .any(|t| t == if ingress { "Ingress" } else { "Egress" }),
            _ => {
                ingress
                    || policy["spec"]["egress"]
                        .as_array()
                        .is_some_and(|e| !e.is_empty())
            }
        };
        if !applies {
            continue;
        }
        isolated = true;
        for rule in policy["spec"][section].as_array().unwrap_or(&Vec::new()) {
            let ports = rule["ports"].as_array().cloned().unwrap_or_default();
            let peers = rule[peers].as_array().cloned().unwrap_or_default();
            let port_fits =
                ports.is_empty() || ports.iter().any(|p| port_matches(p, to, protocol, port));
            let peer_fits = peers.is_empty()
                || peers
                    .iter()
                    .any(|p| peer_matches(p, policy, namespaces, peer));
            if port_fits && peer_fits {
                return true;
            }
        }
    }
    !isolated
}

fn matches(selector: &Value, labels: &Value) -> bool {
    if let Some(want) = selector["matchLabels"].as_object() {
        for (key, value) in want {
            if labels[key] != *value {
                return false;
            }
        }
    }
    for e in selector["matchExpressions"]
        .as_array()
        .unwrap_or(&Vec::new())
    {
        let label = &labels[e["key"].as_str().unwrap()];
        let listed = e["values"].as_array().is_some_and(|v| v.contains(label));
        let ok = match e["operator"].as_str().unwrap() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => !label.is_null(),
            "DoesNotExist" => label.is_null(),
            _ => false,
        };
        if !ok {
            return false;
        }
    }
    true
}

fn port_matches(entry: &Value, to: &End, protocol: &str, port: u16) -> bool {
    if entry["protocol"].as_str().unwrap_or("TCP") != protocol {
        return false;
    }
    if entry["port"].is_null() {
        return true;
    }
    if let Some(name) = entry["port"].as_str() {
        let Some(pod) = &to.pod else { return false };
        for container in pod["spec"]["containers"].as_array().unwrap_or(&Vec::new()) {
            for p in container["ports"].as_array().unwrap_or(&Vec::new()) {
                if p["name"] == name && p["protocol"].as_str().unwrap_or("TCP") == protocol {
                    return p["containerPort"] == port;
                }
            }
        }
        return false;
    }
    let first = entry["port"].as_u64().unwrap();
    let last = entry["endPort"].as_u64().unwrap_or(first);
    (first..=last).any(|p| p == u64::from(port))
}

fn peer_matches(entry: &Value, policy: &Value, namespaces: &[Value], peer: &End) -> bool {
    if !entry["ipBlock"].is_null() {
        let block = &entry["ipBlock"];
        return within(&block["cidr"], peer.address)
            && !block["except"]
                .as_array()
                .is_some_and(|all| all.iter().any(|e| within(e, peer.address)));
    }
    let Some(pod) = &peer.pod else { return false };
    if pod["spec"]["hostNetwork"] == true {
        return false;
    }
    let name = &pod["metadata"]["namespace"];
    let namespace_fits = if entry["namespaceSelector"].is_null() {
        *name == policy["metadata"]["namespace"]
    } else {
        let namespace = namespaces.iter().find(|n| n["metadata"]["name"] == *name);
        let labels = namespace.map_or(Value::Null, |n| n["metadata"]["labels"].clone());
        matches(&entry["namespaceSelector"], &labels)
    };
    let some = !entry["namespaceSelector"].is_null() || !entry["podSelector"].is_null();
    some && namespace_fits && matches(&entry["podSelector"], &pod["metadata"]["labels"])
}

/// Bit by bit.
fn within(cidr: &Value, address: IpAddr) -> bool {
    let (network, prefix) = cidr.as_str().unwrap().split_once('/').unwrap();
    let bits = |a: IpAddr| -> Vec<bool> {
        let bytes = match a {
            IpAddr::V4(a) => a.octets().to_vec(),
            IpAddr::V6(a) => a.octets().to_vec(),
        };
        bytes
            .iter()
            .flat_map(|b| (0..8).rev().map(move |i| b >> i & 1 == 1))
            .collect()
    };
    let (network, address) = (bits(network.parse().unwrap()), bits(address));
    let prefix: usize = prefix.parse().unwrap();
    network.len() == address.len() && network[..prefix] == address[..prefix]
}
