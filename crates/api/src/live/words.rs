//! What was tried, as people and RBAC say it.

use std::fmt;

/// What was tried: verb, resource, place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// RBAC verb: `get`, `list`, `watch`, `create`, `patch`, `update`, `delete`.
    pub verb: &'static str,
    /// API group, empty for the core group.
    pub group: String,
    /// Resource, plural; empty for something that is no resource (`/version`).
    pub resource: String,
    /// `exec`, `log`, `ephemeralcontainers`, ...; may be empty.
    pub subresource: String,
    /// Namespace; empty for cluster-wide.
    pub namespace: String,
    /// Object; empty for all.
    pub name: String,
}

impl Tried {
    /// `pods/exec`, `pods`.
    pub fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

impl fmt::Display for Tried {
    /// `list pods in namespace shop`, `create pods/exec web-1 in namespace shop`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.full_resource();
        write!(f, "{} {resource}", self.verb)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if !self.namespace.is_empty() {
            write!(f, " in namespace {}", self.namespace)?;
        }
        Ok(())
    }
}

/// A refusal by the authorizer, with the rule that would allow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What was tried.
    pub tried: Tried,
    /// The user as the API server knows them.
    pub user: String,
    /// The API server's words.
    pub says: String,
}

impl Denial {
    /// The right, as people say it: `list pods in namespace shop`.
    pub fn right(&self) -> String {
        let t = &self.tried;
        let group = if t.group.is_empty() {
            String::new()
        } else {
            format!(".{}", t.group)
        };
        let place = if t.namespace.is_empty() {
            "in all namespaces".to_string()
        } else {
            format!("in namespace {}", t.namespace)
        };
        format!("{} {}{group} {place}", t.verb, t.full_resource())
    }

    /// The name that the Role below has: `netshoot-list-pods`.
    fn role_name(&self) -> String {
        format!(
            "netshoot-{}-{}",
            self.tried.verb,
            self.tried.full_resource().replace('/', "-")
        )
    }

    /// The Role, or ClusterRole, that grants it, as a manifest.
    pub fn role(&self) -> serde_json::Value {
        let t = &self.tried;
        let mut metadata = serde_json::json!({"name": self.role_name()});
        if !t.namespace.is_empty()
            && let Some(m) = metadata.as_object_mut()
        {
            m.insert("namespace".into(), t.namespace.clone().into());
        }
        serde_json::json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": if t.namespace.is_empty() { "ClusterRole" } else { "Role" },
            "metadata": metadata,
            "rules": [{
                "apiGroups": [t.group],
                "resources": [t.full_resource()],
                "verbs": [t.verb],
            }],
        })
    }

    /// The resource as `kubectl create role` takes it: `pods/exec`, `deployments.apps`.
    pub fn resource_word(&self) -> String {
        let t = &self.tried;
        match (t.group.as_str(), t.subresource.as_str()) {
            ("", "") => t.resource.clone(),
            ("", sub) => format!("{}/{sub}", t.resource),
            (group, "") => format!("{}.{group}", t.resource),
            (group, sub) => format!("{}.{group}/{sub}", t.resource),
        }
    }

    /// The commands, joined by `&&`, that give the right to this user.
    pub fn command(&self) -> String {
        self.grant(&self.role_name(), self.tried.verb, &self.resource_word())
    }

    /// The commands that give this user, in the same namespace, verbs on resources.
    pub fn grant(&self, name: &str, verbs: &str, resources: &str) -> String {
        let subject = match self.user.strip_prefix("system:serviceaccount:") {
            Some(account) => format!("--serviceaccount={account}"),
            None if self.user.is_empty() => "--user=YOU".into(),
            None => format!("--user={}", self.user),
        };
        let n = &self.tried.namespace;
        if n.is_empty() {
            format!(
                "kubectl create clusterrole {name} --verb={verbs} --resource={resources} && kubectl create clusterrolebinding {name} --clusterrole={name} {subject}"
            )
        } else {
            format!(
                "kubectl -n {n} create role {name} --verb={verbs} --resource={resources} && kubectl -n {n} create rolebinding {name} --role={name} {subject}"
            )
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.user.is_empty() {
            "you".to_string()
        } else {
            format!("user {}", self.user)
        };
        write!(f, "{}: {who} may not {} (403)", self.tried, self.right())
    }
}
