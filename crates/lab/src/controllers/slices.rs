//! EndpointSlices of Services with a selector: one per family and set of ports, as the endpoint
//! slice controller writes them.

use super::Pass;
use super::replicas::is_ready;
use crate::shape::{self, at, list, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who wrote a slice.
pub const MANAGED_BY: &str = "endpointslice-controller.k8s.io";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED: &str = "endpointslice.kubernetes.io/managed-by";

/// One pass over all Services.
pub fn pass(pass: &Pass<'_>) {
    let pods = pass.store.of("Pod");
    for service in pass.store.of("Service") {
        if shape::strings(at(&service, "spec.selector")).is_empty()
            || text(&service, "spec.type") == "ExternalName"
        {
            continue;
        }
        for family in shape::texts(&service, "spec.ipFamilies") {
            write(pass, &service, &family, &pods);
        }
    }
}

/// The ports of a slice for one pod: `targetPort` names are looked up in its containers.
fn ports_for(service: &Value, pod: &Value) -> Vec<Value> {
    let named = |name: &str, protocol: &str| {
        list(pod, "spec.containers")
            .iter()
            .flat_map(|c| list(c, "ports"))
            .find(|p| text(p, "name") == name && text(p, "protocol") == protocol)
            .and_then(|p| shape::int(p, "containerPort"))
    };
    let ports = list(service, "spec.ports").iter().filter_map(|p| {
        let protocol = text(p, "protocol");
        let number = match at(p, "targetPort") {
            Value::String(name) => name.parse().ok().or_else(|| named(name, protocol))?,
            other => other.as_i64()?,
        };
        let mut port = json!({"name": text(p, "name"), "port": number, "protocol": protocol});
        if !text(p, "appProtocol").is_empty() {
            port["appProtocol"] = at(p, "appProtocol").clone();
        }
        Some(port)
    });
    ports.collect()
}

fn address_of(pod: &Value, family: &str) -> Option<String> {
    list(pod, "status.podIPs")
        .iter()
        .map(|a| text(a, "ip"))
        .find(|a| a.contains(':') == (family == "IPv6"))
        .map(str::to_string)
}

fn endpoint(service: &Value, pod: &Value, address: &str) -> Value {
    let serving = is_ready(pod);
    let terminating = shape::is_ending(pod);
    let ready = (serving && !terminating) || shape::truth(service, "spec.publishNotReadyAddresses");
    let mut made = json!({
        "addresses": [address], "conditions": {"ready": ready, "serving": serving, "terminating": terminating}, "nodeName": text(pod, "spec.nodeName"),
        "targetRef": {"kind": "Pod", "name": shape::name(pod), "namespace": shape::namespace(pod), "uid": shape::uid(pod)},
    });
    if !text(pod, "spec.hostname").is_empty() && text(pod, "spec.subdomain") == shape::name(service)
    {
        made["hostname"] = at(pod, "spec.hostname").clone();
    }
    made
}

fn write(pass: &Pass<'_>, service: &Value, family: &str, pods: &[Arc<Value>]) {
    // Endpoints by what their ports are: pods may name the same port differently.
    let mut groups: BTreeMap<String, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
    for pod in pods {
        let chosen = shape::namespace(pod) == shape::namespace(service)
            && shape::pairs_hold(at(service, "spec.selector"), &shape::labels(pod));
        let over = matches!(text(pod, "status.phase"), "Succeeded" | "Failed");
        let Some(address) = address_of(pod, family).filter(|_| chosen && !over) else {
            continue;
        };
        let ports = ports_for(service, pod);
        let group = groups
            .entry(json!(ports).to_string())
            .or_insert_with(|| (ports, Vec::new()));
        group.1.push(endpoint(service, pod, &address));
    }
    let mine = |s: &Arc<Value>| {
        shape::namespace(s) == shape::namespace(service)
            && shape::label(s, SERVICE_NAME) == shape::name(service)
            && shape::label(s, MANAGED) == MANAGED_BY
            && text(s, "addressType") == family
    };
    let mut old: Vec<Arc<Value>> = pass
        .store
        .of("EndpointSlice")
        .into_iter()
        .filter(mine)
        .collect();
    if groups.is_empty() {
        groups.insert(String::new(), (Vec::new(), Vec::new()));
    }
    for (ports, endpoints) in groups.into_values() {
        let same = old
            .iter()
            .position(|s| list(s, "ports") == ports.as_slice())
            .or(if old.is_empty() { None } else { Some(0) });
        // Null, not an empty list, where there is none: so the controller writes it.
        let or_null = |list: Vec<Value>| {
            if list.is_empty() {
                Value::Null
            } else {
                Value::Array(list)
            }
        };
        let (ports, endpoints) = (or_null(ports), or_null(endpoints));
        match same.map(|i| old.remove(i)) {
            Some(slice) => update(pass, service, &slice, &ports, &endpoints),
            None => {
                // A refusal means the namespace went away in between.
                let _ = pass
                    .store
                    .apply(new_slice(pass, service, family, &ports, &endpoints));
            }
        }
    }
    for slice in old {
        pass.store.remove(
            "EndpointSlice",
            shape::namespace(&slice),
            shape::name(&slice),
        );
    }
}

fn labels_of(service: &Value) -> Value {
    let mut labels = shape::labels(service);
    labels.insert(SERVICE_NAME.into(), shape::name(service).into());
    labels.insert(MANAGED.into(), MANAGED_BY.into());
    if text(service, "spec.clusterIP") == "None" {
        labels.insert("service.kubernetes.io/headless".into(), String::new());
    }
    json!(labels)
}

fn update(pass: &Pass<'_>, service: &Value, slice: &Value, ports: &Value, endpoints: &Value) {
    let change = |s: &mut Value| {
        let before = s.clone();
        s["ports"] = ports.clone();
        s["endpoints"] = endpoints.clone();
        s["metadata"]["labels"] = labels_of(service);
        if *s != before {
            s["metadata"]["annotations"] = json!({"endpoints.kubernetes.io/last-change-trigger-time": shape::rfc3339(pass.now_ms)});
            s["metadata"]["generation"] =
                json!(shape::int(s, "metadata.generation").unwrap_or(1) + 1);
        }
    };
    let _ = pass.store.edit(
        "EndpointSlice",
        shape::namespace(slice),
        shape::name(slice),
        change,
    );
}

fn new_slice(
    pass: &Pass<'_>,
    service: &Value,
    family: &str,
    ports: &Value,
    endpoints: &Value,
) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
        "metadata": {
            "generateName": format!("{}-", shape::name(service)), "namespace": shape::namespace(service), "labels": labels_of(service), "generation": 1,
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": shape::rfc3339(pass.now_ms)},
            "ownerReferences": [shape::owner_reference(service)],
        },
        "endpoints": endpoints, "ports": ports,
    })
}
