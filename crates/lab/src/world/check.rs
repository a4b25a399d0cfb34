//! References inside a world: what the plan speaks of exists among the objects.

use super::{Action, Reference, World};
use crate::{Error, shape};

/// Kinds that controllers make later and that a plan may speak of.
const SYSTEM: &[(&str, &str, &str)] = &[
    ("Service", "kube-system", "kube-dns"),
    ("Deployment", "kube-system", "coredns"),
    ("ConfigMap", "kube-system", "coredns"),
    ("DaemonSet", "kube-system", "kube-proxy"),
    ("DaemonSet", "kube-system", "policy-agent"),
];
const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Refuses references to what is not there, namespaces that nobody made, nodes that do not exist.
pub fn references(world: &World) -> Result<(), Error> {
    let wrong = |file: &str, why: String| Error::Format {
        file: format!("{}/{file}", world.name),
        why,
    };
    for object in &world.objects {
        let namespace = shape::namespace(object);
        if !namespace.is_empty() && !has_namespace(world, namespace) {
            let what = format!(
                "{} {}: there is no Namespace \"{namespace}\"",
                shape::kind(object),
                shape::name(object)
            );
            return Err(wrong("objects.yaml", what));
        }
    }
    if !world.objects.iter().any(|o| shape::kind(o) == "Node") {
        return Err(wrong("objects.yaml", "no object of kind Node".into()));
    }
    let plan = &world.plan;
    let mut spoken: Vec<(String, Reference)> = vec![("client".into(), plan.client.clone())];
    let server = Reference {
        kind: plan.server.kind.clone(),
        namespace: plan.server.namespace.clone(),
        name: plan.server.name.clone(),
    };
    if server.kind != "Outside" {
        spoken.push(("server".into(), server));
    }
    spoken.extend(
        plan.expect
            .iter()
            .chain(&plan.also)
            .map(|e| ("expect".to_string(), e.subject.clone())),
    );
    for fault in &plan.faults {
        match &fault.action {
            Action::Patch { object, .. } | Action::Delete(object) | Action::Restart(object) => {
                spoken.push(("faults".into(), object.clone()))
            }
            Action::Apply(object) => {
                if let Some(unknown) = crate::kinds::unknown_field(object) {
                    return Err(wrong(
                        "world.yaml",
                        format!("faults: unknown field \"{}\"", unknown.path),
                    ));
                }
            }
            other => {
                for node in nodes_of(other) {
                    spoken.push((
                        "faults".into(),
                        Reference {
                            kind: "Node".into(),
                            namespace: String::new(),
                            name: node,
                        },
                    ));
                }
            }
        }
    }
    for place in &plan.placement {
        spoken.extend(place.nodes.iter().map(|n| {
            (
                "placement".to_string(),
                Reference {
                    kind: "Node".into(),
                    namespace: String::new(),
                    name: n.clone(),
                },
            )
        }));
    }
    for cable in &plan.wiring.cables {
        spoken.push((
            "wiring.cables".into(),
            Reference {
                kind: "Node".into(),
                namespace: String::new(),
                name: cable.node.clone(),
            },
        ));
    }
    for (place, reference) in spoken {
        if !exists(world, &reference) {
            let Reference {
                kind,
                namespace,
                name,
            } = &reference;
            return Err(wrong(
                "world.yaml",
                format!("{place}: there is no {kind} {namespace}/{name} in objects.yaml"),
            ));
        }
    }
    for behaviour in &plan.behaviour {
        if !has_namespace(world, &behaviour.namespace) {
            return Err(wrong(
                "world.yaml",
                format!(
                    "behaviour: there is no Namespace \"{}\"",
                    behaviour.namespace
                ),
            ));
        }
    }
    Ok(())
}

fn nodes_of(action: &Action) -> Vec<String> {
    let all: Vec<&String> = match action {
        Action::Sysctl { node, .. }
        | Action::Link { node, .. }
        | Action::Drop { node, .. }
        | Action::ForwardPolicy { node, .. }
        | Action::Daemon { node, .. } => vec![node],
        Action::RouteGone { node, to_node } => vec![node, to_node],
        Action::Cable(cable) => vec![&cable.node],
        _ => Vec::new(),
    };
    all.into_iter().filter(|n| !n.is_empty()).cloned().collect()
}

fn has_namespace(world: &World, name: &str) -> bool {
    NAMESPACES.contains(&name)
        || world
            .objects
            .iter()
            .any(|o| shape::kind(o) == "Namespace" && shape::name(o) == name)
}

fn exists(world: &World, reference: &Reference) -> bool {
    let Reference {
        kind,
        namespace,
        name,
    } = reference;
    let written = |o: &&serde_json::Value| {
        shape::kind(o) == kind && shape::name(o) == name && shape::namespace(o) == namespace
    };
    let applied = world.plan.faults.iter().filter_map(|f| {
        if let Action::Apply(o) = &f.action {
            Some(o)
        } else {
            None
        }
    });
    world.objects.iter().chain(applied).any(|o| written(&o))
        || SYSTEM.iter().any(|(k, ns, n)| k == kind && ns == namespace && n == name)
        // A pod of a workload, or a Secret that a Certificate yields.
        || (kind == "Secret" && world.objects.iter().any(|o| shape::kind(o) == "Certificate" && shape::namespace(o) == namespace && shape::text(o, "spec.secretName") == name))
        || (kind == "Pod" && world.objects.iter().any(|o| shape::namespace(o) == namespace && matches!(shape::kind(o), "Deployment" | "StatefulSet" | "DaemonSet") && (name == shape::name(o) || name.starts_with(&format!("{}-", shape::name(o))))))
}
