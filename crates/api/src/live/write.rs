//! Changing objects. Nothing here is done unasked.

use super::Cluster;
use super::error::Error;
use super::request::{Call, query};
use super::resource::Resource;
use http::Method;
use netshoot_model::object::Object;
use serde_json::{Value, json};

/// Whose fields a server-side apply owns.
const FIELD_MANAGER: &str = "netshoot";

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch {
    /// RFC 7386.
    Merge,
    /// Lists are merged by their keys; built-in kinds only.
    Strategic,
    /// RFC 6902.
    Json,
    /// Server-side apply; a field that belongs to somebody else is a conflict.
    Apply,
    /// Server-side apply that takes such fields over.
    ApplyForced,
}

/// What happens to what an object owns when it is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// The owned go later.
    #[default]
    Background,
    /// The owned go first.
    Foreground,
    /// The owned stay.
    Orphan,
}

impl Cluster {
    /// Creates an object in a namespace (empty for cluster-wide kinds). With `dry_run` the server
    /// checks and admits it and keeps nothing.
    pub fn create(
        &self,
        resource: &Resource,
        namespace: &str,
        object: &Value,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let name = object
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or("");
        let tried = resource.tried("create", namespace, name, "");
        let pairs = [
            ("dryRun", if dry_run { "All" } else { "" }),
            ("fieldManager", FIELD_MANAGER),
        ];
        let path = resource.path(namespace, "", "") + &query(&pairs);
        self.json(&Call::post(tried, path, object)).map(Object)
    }

    /// Patches an object or, where named, its subresource (`ephemeralcontainers`, `scale`,
    /// `resize`, `status`).
    pub fn patch(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        how: Patch,
        patch: &Value,
    ) -> Result<Object, Error> {
        let tried = resource.tried("patch", namespace, name, subresource);
        let force = if how == Patch::ApplyForced {
            "true"
        } else {
            ""
        };
        let pairs = [("fieldManager", FIELD_MANAGER), ("force", force)];
        let path = resource.path(namespace, name, subresource) + &query(&pairs);
        let content_type = match how {
            Patch::Merge => "application/merge-patch+json",
            Patch::Strategic => "application/strategic-merge-patch+json",
            Patch::Json => "application/json-patch+json",
            // JSON is YAML; the name is the one that every version knows.
            Patch::Apply | Patch::ApplyForced => "application/apply-patch+yaml",
        };
        let call = Call {
            method: Method::PATCH,
            content_type,
            ..Call::post(tried, path, patch)
        };
        self.json(&call).map(Object)
    }

    /// Replaces an object or a subresource of it; a conflict if it changed since `object` was read.
    pub fn replace(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        object: &Value,
    ) -> Result<Object, Error> {
        let tried = resource.tried("update", namespace, name, subresource);
        let path = resource.path(namespace, name, subresource)
            + &query(&[("fieldManager", FIELD_MANAGER)]);
        let call = Call {
            method: Method::PUT,
            ..Call::post(tried, path, object)
        };
        self.json(&call).map(Object)
    }

    /// Adds an ephemeral container to a running pod; gives the pod.
    pub fn add_ephemeral_container(
        &self,
        namespace: &str,
        pod: &str,
        container: &Value,
    ) -> Result<Object, Error> {
        let patch = json!({"spec": {"ephemeralContainers": [container]}});
        self.patch(
            &Resource::pods(),
            namespace,
            pod,
            "ephemeralcontainers",
            Patch::Strategic,
            &patch,
        )
    }

    /// Deletes an object. `grace` in seconds; none is the object's own.
    pub fn delete(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        grace: Option<u32>,
        propagation: Propagation,
    ) -> Result<(), Error> {
        let tried = resource.tried("delete", namespace, name, "");
        let mut body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": format!("{propagation:?}"),
        });
        if let (Some(seconds), Some(map)) = (grace, body.as_object_mut()) {
            map.insert("gracePeriodSeconds".into(), seconds.into());
        }
        let call = Call {
            method: Method::DELETE,
            ..Call::post(tried, resource.path(namespace, name, ""), &body)
        };
        self.bytes(&call).map(|_| ())
    }
}
