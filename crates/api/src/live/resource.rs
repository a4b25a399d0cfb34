//! Kinds: where they are served, and what the API server serves at all.

use super::Cluster;
use super::error::Error;
use super::request::{Call, encode};
use super::words::Tried;
use serde_json::Value;

/// A kind and where it is served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version, `v1`.
    pub version: String,
    /// Kind as in manifests.
    pub kind: String,
    /// Plural, as in URLs.
    pub plural: String,
    /// Lives in namespaces.
    pub namespaced: bool,
}

/// A resource as the API server offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// What and where.
    pub resource: Resource,
    /// Singular and short names: `pod`, `po`.
    pub also: Vec<String>,
    /// What may be done with it: `get`, `list`, ...
    pub verbs: Vec<String>,
    /// Subresources: `log`, `exec`, `ephemeralcontainers`.
    pub subresources: Vec<String>,
}

type Known = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    bool,
    &'static [&'static str],
);

/// The group of the Gateway API, which many clusters do not serve, and some in another version.
pub(super) const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// Kinds that every cluster of the last years serves at this place: no question is needed to use
/// them. Kind, group, version, plural, namespaced, short names.
const KNOWN: &[Known] = &[
    (
        "ClusterRole",
        "rbac.authorization.k8s.io",
        "v1",
        "clusterroles",
        false,
        &[],
    ),
    (
        "ClusterRoleBinding",
        "rbac.authorization.k8s.io",
        "v1",
        "clusterrolebindings",
        false,
        &[],
    ),
    ("ConfigMap", "", "v1", "configmaps", true, &["cm"]),
    ("CronJob", "batch", "v1", "cronjobs", true, &["cj"]),
    ("DaemonSet", "apps", "v1", "daemonsets", true, &["ds"]),
    ("Deployment", "apps", "v1", "deployments", true, &["deploy"]),
    (
        "EndpointSlice",
        "discovery.k8s.io",
        "v1",
        "endpointslices",
        true,
        &[],
    ),
    ("Endpoints", "", "v1", "endpoints", true, &["ep"]),
    ("Event", "", "v1", "events", true, &["ev"]),
    ("Gateway", GATEWAY_API, "v1", "gateways", true, &["gtw"]),
    ("HTTPRoute", GATEWAY_API, "v1", "httproutes", true, &[]),
    (
        "Ingress",
        "networking.k8s.io",
        "v1",
        "ingresses",
        true,
        &["ing"],
    ),
    (
        "IngressClass",
        "networking.k8s.io",
        "v1",
        "ingressclasses",
        false,
        &[],
    ),
    ("Job", "batch", "v1", "jobs", true, &[]),
    ("Lease", "coordination.k8s.io", "v1", "leases", true, &[]),
    (
        "MutatingWebhookConfiguration",
        "admissionregistration.k8s.io",
        "v1",
        "mutatingwebhookconfigurations",
        false,
        &[],
    ),
    ("Namespace", "", "v1", "namespaces", false, &["ns"]),
    (
        "NetworkPolicy",
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        true,
        &["netpol"],
    ),
    ("Node", "", "v1", "nodes", false, &["no"]),
    (
        "PersistentVolumeClaim",
        "",
        "v1",
        "persistentvolumeclaims",
        true,
        &["pvc"],
    ),
    ("Pod", "", "v1", "pods", true, &["po"]),
    (
        "ReferenceGrant",
        GATEWAY_API,
        "v1beta1",
        "referencegrants",
        true,
        &["refgrant"],
    ),
    ("ReplicaSet", "apps", "v1", "replicasets", true, &["rs"]),
    (
        "Role",
        "rbac.authorization.k8s.io",
        "v1",
        "roles",
        true,
        &[],
    ),
    (
        "RoleBinding",
        "rbac.authorization.k8s.io",
        "v1",
        "rolebindings",
        true,
        &[],
    ),
    ("Secret", "", "v1", "secrets", true, &[]),
    ("Service", "", "v1", "services", true, &["svc"]),
    ("ServiceAccount", "", "v1", "serviceaccounts", true, &["sa"]),
    ("StatefulSet", "apps", "v1", "statefulsets", true, &["sts"]),
    (
        "ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io",
        "v1",
        "validatingwebhookconfigurations",
        false,
        &[],
    ),
];

impl Resource {
    /// A built-in by its kind, plural, singular or short name: `Pod`, `pods`, `pod`, `po`. Others
    /// are found by [`Cluster::resource`].
    pub fn known(word: &str) -> Option<Resource> {
        let lower = word.to_lowercase();
        let (name, in_group) = lower
            .split_once('.')
            .map_or((lower.as_str(), None), |(n, g)| (n, Some(g.to_string())));
        KNOWN
            .iter()
            .filter(|(_, group, ..)| in_group.as_deref().is_none_or(|g| *group == g))
            .find(|(kind, _, _, plural, _, short)| {
                kind.to_lowercase() == name || *plural == name || short.contains(&name)
            })
            .map(|(kind, group, version, plural, namespaced, _)| Resource {
                group: (*group).into(),
                version: (*version).into(),
                kind: (*kind).into(),
                plural: (*plural).into(),
                namespaced: *namespaced,
            })
    }

    /// The `Pod` kind.
    pub fn pods() -> Resource {
        Resource {
            group: String::new(),
            version: "v1".into(),
            kind: "Pod".into(),
            plural: "pods".into(),
            namespaced: true,
        }
    }

    /// `apps/v1`, `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The URL path of a collection, an object, or a subresource.
    pub(super) fn path(&self, namespace: &str, name: &str, subresource: &str) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if self.namespaced && !namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(&encode(namespace));
        }
        path.push('/');
        path.push_str(&self.plural);
        for part in [name, subresource] {
            if !part.is_empty() {
                path.push('/');
                path.push_str(&encode(part));
            }
        }
        path
    }

    /// What is tried with it.
    pub(super) fn tried(
        &self,
        verb: &'static str,
        namespace: &str,
        name: &str,
        subresource: &str,
    ) -> Tried {
        Tried {
            verb,
            group: self.group.clone(),
            resource: self.plural.clone(),
            subresource: subresource.into(),
            namespace: if self.namespaced {
                namespace.into()
            } else {
                String::new()
            },
            name: name.into(),
        }
    }
}

impl Resource {
    /// Belongs to Kubernetes itself, not to an extension.
    pub fn is_kubernetes_own(&self) -> bool {
        let dotted = self.group.contains('.');
        !dotted || self.group.ends_with(".k8s.io") && self.group != GATEWAY_API
    }
}

/// The way of discovery in one answer for all groups (Kubernetes 1.27 and later).
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

impl Cluster {
    /// A kind by any of its names, built-in or not. Asks the API server only for what is not
    /// built in.
    pub fn resource(&self, word: &str) -> Result<Resource, Error> {
        if let Some(known) = Resource::known(word) {
            return Ok(known);
        }
        let lower = word.to_lowercase();
        let (name, group) = lower.split_once('.').unwrap_or((lower.as_str(), ""));
        self.served()?
            .into_iter()
            .find(|s| {
                let r = &s.resource;
                (group.is_empty() || r.group == group)
                    && (r.plural == name
                        || r.kind.to_lowercase() == name
                        || s.also.iter().any(|a| a == name))
            })
            .map(|s| s.resource)
            .ok_or_else(|| Error::UnknownKind {
                tried: Box::new(Tried {
                    verb: "get",
                    resource: word.into(),
                    ..Tried::default()
                }),
                version: word.into(),
            })
    }

    /// Where the kind is served, if it is not at the place that is built in: the Gateway API came to clusters in more than
    /// one version, and to many not at all. None where it is not served.
    pub fn elsewhere(&self, kind: &Resource) -> Result<Option<Resource>, Error> {
        if kind.group != GATEWAY_API {
            return Ok(None);
        }
        let path = format!("/apis/{}", kind.group);
        let tried = Tried {
            verb: "get",
            resource: path.clone(),
            ..Tried::default()
        };
        let group = match self.json(&Call::get(tried.clone(), path)) {
            Ok(group) => group,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        let versions = group.get("versions").and_then(Value::as_array);
        for v in versions.into_iter().flatten() {
            let Some(version) = v.get("groupVersion").and_then(Value::as_str) else {
                continue;
            };
            let list = self.json(&Call::get(tried.clone(), format!("/apis/{version}")))?;
            let mut found = listed(version, &list).into_iter();
            if let Some(s) = found.find(|s| s.resource.kind == kind.kind) {
                return Ok(Some(s.resource));
            }
        }
        Ok(None)
    }

    /// Everything that the API server serves, in each group the version it prefers.
    pub fn served(&self) -> Result<Vec<Served>, Error> {
        let mut all = Vec::new();
        for root in ["/api", "/apis"] {
            let tried = Tried {
                verb: "get",
                resource: root.into(),
                ..Tried::default()
            };
            let mut call = Call::get(tried, root.into());
            call.accept = AGGREGATED;
            let answer = self.json(&call)?;
            if answer.get("items").is_some() {
                all.extend(aggregated(&answer));
            } else {
                all.extend(self.one_by_one(root, &answer)?);
            }
        }
        Ok(all)
    }

    /// Discovery of servers before 1.27: a request for each group.
    fn one_by_one(&self, root: &str, answer: &Value) -> Result<Vec<Served>, Error> {
        let text = |v: &Value, p: &str| v.pointer(p).and_then(Value::as_str).map(String::from);
        let versions: Vec<String> = if root == "/api" {
            vec!["v1".into()]
        } else {
            let groups = answer.get("groups").and_then(Value::as_array);
            groups
                .into_iter()
                .flatten()
                .filter_map(|g| text(g, "/preferredVersion/groupVersion"))
                .collect()
        };
        let mut all = Vec::new();
        for version in versions {
            let path = format!("{root}/{version}");
            let tried = Tried {
                verb: "get",
                resource: path.clone(),
                ..Tried::default()
            };
            // An aggregated API whose server is down must not hide all others.
            let Ok(list) = self.json(&Call::get(tried, path)) else {
                continue;
            };
            all.extend(listed(&version, &list));
        }
        Ok(all)
    }
}

fn words(v: Option<&Value>) -> Vec<String> {
    let list = v.and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|w| w.as_str().map(String::from))
        .collect()
}

/// `APIGroupDiscoveryList`.
fn aggregated(answer: &Value) -> Vec<Served> {
    let list = |v: &Value, key: &str| {
        v.get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let text = |v: &Value, p: &str| {
        v.pointer(p)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_string()
    };
    let mut all = Vec::new();
    for group in list(answer, "items") {
        let name = text(&group, "/metadata/name");
        // The first version is the preferred one; later ones add what it lacks.
        let mut seen: Vec<String> = Vec::new();
        for version in list(&group, "versions") {
            for r in list(&version, "resources") {
                let plural = text(&r, "/resource");
                if seen.contains(&plural) {
                    continue;
                }
                seen.push(plural.clone());
                let mut also = words(r.get("shortNames"));
                also.push(text(&r, "/singularResource"));
                all.push(Served {
                    resource: Resource {
                        group: name.clone(),
                        version: text(&version, "/version"),
                        kind: text(&r, "/responseKind/kind"),
                        plural,
                        namespaced: text(&r, "/scope") == "Namespaced",
                    },
                    also,
                    verbs: words(r.get("verbs")),
                    subresources: list(&r, "subresources")
                        .iter()
                        .map(|s| text(s, "/subresource"))
                        .collect(),
                });
            }
        }
    }
    all
}

/// `APIResourceList` of one group and version.
fn listed(group_version: &str, list: &Value) -> Vec<Served> {
    let (group, version) = group_version
        .rsplit_once('/')
        .unwrap_or(("", group_version));
    let resources = list.get("resources").and_then(Value::as_array);
    let mut all: Vec<Served> = Vec::new();
    let mut below = Vec::new();
    for r in resources.into_iter().flatten() {
        let text = |k: &str| r.get(k).and_then(Value::as_str).unwrap_or("").to_string();
        let name = text("name");
        if let Some((parent, sub)) = name.split_once('/') {
            below.push((parent.to_string(), sub.to_string()));
            continue;
        }
        let mut also = words(r.get("shortNames"));
        also.push(text("singularName"));
        all.push(Served {
            resource: Resource {
                group: group.into(),
                version: version.into(),
                kind: text("kind"),
                plural: name,
                namespaced: r
                    .get("namespaced")
                    .and_then(Value::as_bool)
                    .unwrap_or(false),
            },
            also,
            verbs: words(r.get("verbs")),
            subresources: Vec::new(),
        });
    }
    for (parent, sub) in below {
        if let Some(s) = all.iter_mut().find(|s| s.resource.plural == parent) {
            s.subresources.push(sub);
        }
    }
    all
}
