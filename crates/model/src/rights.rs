//! The rights that reading objects takes, as rules of Kubernetes RBAC.

use crate::check::Check;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One rule of a Role or ClusterRole (rbac.authorization.k8s.io/v1 `PolicyRule`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// API groups; the empty word is the core group.
    pub api_groups: Vec<String>,
    /// Resources, plural.
    pub resources: Vec<String>,
    /// Verbs.
    pub verbs: Vec<String>,
}

/// Kinds that checks read: kind, API group, resource, as `kubectl api-resources` lists them.
const RESOURCES: &[(&str, &str, &str)] = &[
    ("Certificate", "cert-manager.io", "certificates"),
    ("ConfigMap", "", "configmaps"),
    ("CronJob", "batch", "cronjobs"),
    ("DaemonSet", "apps", "daemonsets"),
    ("Deployment", "apps", "deployments"),
    ("EndpointSlice", "discovery.k8s.io", "endpointslices"),
    ("Endpoints", "", "endpoints"),
    ("Event", "", "events"),
    ("Gateway", "gateway.networking.k8s.io", "gateways"),
    ("HTTPRoute", "gateway.networking.k8s.io", "httproutes"),
    ("Ingress", "networking.k8s.io", "ingresses"),
    ("IngressClass", "networking.k8s.io", "ingressclasses"),
    ("Job", "batch", "jobs"),
    ("Lease", "coordination.k8s.io", "leases"),
    ("Namespace", "", "namespaces"),
    (
        "MutatingWebhookConfiguration",
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
    ),
    ("NetworkPolicy", "networking.k8s.io", "networkpolicies"),
    ("Node", "", "nodes"),
    ("Pod", "", "pods"),
    ("ReplicaSet", "apps", "replicasets"),
    (
        "ReferenceGrant",
        "gateway.networking.k8s.io",
        "referencegrants",
    ),
    ("Secret", "", "secrets"),
    ("Service", "", "services"),
    ("ServiceAccount", "", "serviceaccounts"),
    ("StatefulSet", "apps", "statefulsets"),
    (
        "ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
    ),
];

/// API group and resource of a kind, if it is one that checks read.
pub fn resource(kind: &str) -> Option<(&'static str, &'static str)> {
    RESOURCES
        .iter()
        .find(|(k, ..)| *k == kind)
        .map(|(_, group, resource)| (*group, *resource))
}

/// The rules that let somebody read objects of these kinds, a rule for each API group.
pub fn to_read(kinds: &[&str]) -> Vec<Rule> {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (group, resource) in kinds.iter().filter_map(|k| resource(k)) {
        groups.entry(group).or_default().insert(resource);
    }
    groups
        .into_iter()
        .map(|(group, resources)| Rule {
            api_groups: vec![group.into()],
            resources: resources.into_iter().map(String::from).collect(),
            verbs: ["get", "list", "watch"].map(String::from).to_vec(),
        })
        .collect()
}

/// The rules of one check, from the kinds it looks at.
pub fn of(check: &Check) -> Vec<Rule> {
    to_read(check.looks_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;

    #[test]
    fn every_kind_that_a_check_reads_has_a_resource() {
        for check in checks::ALL {
            for kind in check.looks_at {
                assert!(
                    resource(kind).is_some(),
                    "{} looks at {kind}, which has no line in RESOURCES",
                    check.id
                );
            }
        }
    }

    #[test]
    fn one_rule_for_each_group() {
        let rules = to_read(&["Pod", "Service", "Deployment", "Pod"]);
        let text = serde_json::to_value(&rules).unwrap();
        assert_eq!(
            text,
            serde_json::json!([
                {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]},
            ])
        );
    }
}
