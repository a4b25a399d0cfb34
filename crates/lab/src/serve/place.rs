//! Places in a world: a pod or a node, by the words people use.

use crate::standing::Standing;
use netshoot_host::netns::NetNs;
use serde_json::{Value, json};
use std::sync::Arc;

/// A pod's or node's network, and the resolv.conf there.
pub(super) struct Place {
    pub network: Arc<NetNs>,
    pub resolv_conf: String,
}

/// A pod's uid.
pub(super) fn uid(standing: &Standing, namespace: &str, name: &str) -> Result<String, String> {
    let pod = standing
        .store
        .get("Pod", namespace, name)
        .ok_or_else(|| format!("pod {namespace}/{name} is not in this world"))?;
    let uid = pod.pointer("/metadata/uid").and_then(Value::as_str);
    uid.map(String::from)
        .ok_or_else(|| format!("pod {namespace}/{name} has no uid"))
}

pub(super) fn pod(standing: &Standing, namespace: &str, name: &str) -> Result<Place, String> {
    let uid = uid(standing, namespace, name)?;
    let network = standing
        .ground
        .pod(&uid)
        .ok_or_else(|| format!("pod {namespace}/{name} has no network (yet, or any more)"))?;
    Ok(Place {
        network,
        resolv_conf: standing.ground.resolv_conf(&uid).unwrap_or_default(),
    })
}

pub(super) fn node(standing: &Standing, name: &str) -> Result<Place, String> {
    let network = standing.ground.node(name).ok_or_else(|| {
        let known: Vec<&str> = standing.ground.node_names().collect();
        format!(
            "node {name} is not in this world; it has {}",
            known.join(", ")
        )
    })?;
    Ok(Place {
        network,
        resolv_conf: standing.node_resolv_conf(),
    })
}

/// `pod/NAMESPACE/NAME`, `pod/NAME`, `node/NAME`, `client`; a pod's name may be the beginning of
/// one. Gives the whole name too.
pub(super) fn named(standing: &Standing, words: &str) -> Result<(String, Place), String> {
    let parts: Vec<&str> = words.split('/').collect();
    match parts.as_slice() {
        ["client"] => {
            let (namespace, name) = standing.client_pod()?;
            Ok((
                format!("pod/{namespace}/{name}"),
                pod(standing, &namespace, &name)?,
            ))
        }
        ["node", name] => Ok((words.to_string(), node(standing, name)?)),
        ["pod", namespace, name] => by_beginning(standing, Some(namespace), name),
        ["pod", name] => by_beginning(standing, None, name),
        _ => Err(format!(
            "{words}: a place is pod/NAMESPACE/NAME, pod/NAME or node/NAME"
        )),
    }
}

/// How another process of the world gets into a place.
pub(super) fn find(standing: &Standing, words: &str) -> Result<Value, String> {
    let (said, place) = named(standing, words)?;
    // It opens PID 1's descriptor: the namespace has no name.
    Ok(json!({
        "place": said,
        "netns": format!("/proc/1/fd/{}", place.network.as_raw_fd()),
        "resolv_conf": place.resolv_conf,
    }))
}

fn by_beginning(
    standing: &Standing,
    namespace: Option<&str>,
    name: &str,
) -> Result<(String, Place), String> {
    let text = |pod: &Value, key: &str| {
        pod.pointer(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string()
    };
    let mut found: Vec<(String, String)> = standing
        .store
        .list("Pod")
        .iter()
        .map(|p| (text(p, "/metadata/namespace"), text(p, "/metadata/name")))
        .filter(|(ns, n)| namespace.is_none_or(|wanted| ns == wanted) && n.starts_with(name))
        .collect();
    // The exact name before longer ones.
    found.sort_by_key(|(ns, n)| (n != name, ns.clone(), n.clone()));
    let Some((namespace, name)) = found.into_iter().next() else {
        return Err(format!("no pod in this world is called {name}"));
    };
    Ok((
        format!("pod/{namespace}/{name}"),
        pod(standing, &namespace, &name)?,
    ))
}
