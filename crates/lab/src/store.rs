//! The API server's part: objects by kind, namespace, name; patches; a revision to wait on.
//!
//! Objects are JSON as `kubectl get -o json` shows them. Every change bumps one revision and
//! wakes the reconcilers.

use crate::Error;
use serde_json::Value;
use std::time::Duration;

/// How a patch is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 7386.
    Merge,
    /// Kubernetes strategic merge: lists of containers, ports, env, volumes merge by key.
    Strategic,
}

/// The objects of one world. Shared by reference between threads.
#[derive(Debug, Default)]
pub struct Store {}

impl Store {
    /// Creates or replaces; fills uid, creationTimestamp, resourceVersion, generation.
    pub fn apply(&self, object: Value) -> Result<Value, Error> {
        Ok(object)
    }

    /// One object.
    pub fn get(&self, _kind: &str, _namespace: &str, _name: &str) -> Option<Value> {
        None
    }

    /// All of a kind, sorted by namespace and name.
    pub fn list(&self, _kind: &str) -> Vec<Value> {
        Vec::new()
    }

    /// Everything, sorted by kind, namespace, name.
    pub fn all(&self) -> Vec<Value> {
        Vec::new()
    }

    /// Changes one object; a change of `spec` bumps `metadata.generation`.
    pub fn patch(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        _how: PatchKind,
        _patch: &Value,
    ) -> Result<Value, Error> {
        Err(Error::Store {
            asked: format!("patch {kind} {namespace}/{name}"),
            why: "not found".into(),
        })
    }

    /// Removes one object; owners are not followed here, controllers do that.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<Value, Error> {
        Err(Error::Store {
            asked: format!("delete {kind} {namespace}/{name}"),
            why: "not found".into(),
        })
    }

    /// The present revision.
    pub fn revision(&self) -> u64 {
        0
    }

    /// Waits until the revision is newer than `seen` or `limit` has passed; gives the revision.
    pub fn wait_newer(&self, seen: u64, _limit: Duration) -> u64 {
        seen
    }
}
