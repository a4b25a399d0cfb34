//! The API server's part: objects by kind, namespace, name; patches; a revision to wait on.
//!
//! Objects are JSON as `kubectl get -o json` shows them. Every change bumps one revision and
//! wakes the reconcilers. [`defaults`] fills what the API server fills, [`merge`] holds the two
//! patch languages. Absent: optimistic locking, admission beyond what worlds get wrong. Watches are
//! for programs that are not ours ([`crate::apiserver`]): a revision is enough where everybody lives in one process.

pub mod defaults;
#[cfg(test)]
mod fuzz;
pub mod merge;
#[cfg(test)]
mod tests;

use crate::Error;
use crate::kinds;
use crate::shape::{self, Dice, at, fnv, rfc3339, text};
use defaults::Allocation;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
pub struct Store {
    inner: Mutex<Inner>,
    newer: Condvar,
}

type Key = (String, String, String);

#[derive(Debug)]
struct Inner {
    objects: BTreeMap<Key, Arc<Value>>,
    revision: u64,
    /// What went lately, and at which revision.
    gone: VecDeque<(u64, Arc<Value>)>,
    /// The newest revision of which it is not known any more what went.
    forgotten: u64,
    dice: Dice,
    allocation: Allocation,
}

/// How many objects that went are remembered.
const GONE_KEPT: usize = 1000;

impl Default for Inner {
    fn default() -> Self {
        Inner {
            objects: BTreeMap::new(),
            revision: 1,
            gone: VecDeque::new(),
            forgotten: 0,
            dice: Dice::new(0),
            allocation: Allocation::default(),
        }
    }
}

fn refused(asked: String, why: impl Into<String>) -> Error {
    Error::Store {
        asked,
        why: why.into(),
    }
}

fn asked(verb: &str, kind: &str, namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        format!("{verb} {kind} {name}")
    } else {
        format!("{verb} {kind} {namespace}/{name}")
    }
}

fn not_found(verb: &str, kind: &str, namespace: &str, name: &str) -> Error {
    let plural = kinds::find(kind).map_or(kind, |k| k.plural);
    refused(
        asked(verb, kind, namespace, name),
        format!("{plural} \"{name}\" not found"),
    )
}

impl Store {
    /// An empty store that gives Services addresses of these families from these ranges. The seed
    /// decides what names and addresses it makes up.
    pub fn new(families: &[String], service_cidrs: &[String], seed: u64) -> Store {
        let inner = Inner {
            dice: Dice::new(seed),
            allocation: Allocation::new(families, service_cidrs),
            ..Inner::default()
        };
        Store {
            inner: Mutex::new(inner),
            newer: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A reconciler that panicked in between leaves whole objects: each change is one insert.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates or replaces; fills uid, creationTimestamp, resourceVersion, generation. Status of a
    /// replaced object stays unless the new one brings its own.
    pub fn apply(&self, object: Value) -> Result<Value, Error> {
        let made = self.lock().apply(object)?;
        self.newer.notify_all();
        Ok(made.as_ref().clone())
    }

    /// One object.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.find(kind, namespace, name).map(|o| o.as_ref().clone())
    }

    /// One object, shared.
    pub fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.lock()
            .objects
            .get(&(kind.to_string(), namespace.to_string(), name.to_string()))
            .cloned()
    }

    /// All of a kind, sorted by namespace and name.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        self.of(kind).iter().map(|o| o.as_ref().clone()).collect()
    }

    /// All of a kind, shared, sorted by namespace and name.
    pub fn of(&self, kind: &str) -> Vec<Arc<Value>> {
        let from = (kind.to_string(), String::new(), String::new());
        self.lock()
            .objects
            .range(from..)
            .take_while(|(k, _)| k.0 == kind)
            .map(|(_, o)| o.clone())
            .collect()
    }

    /// Everything, sorted by kind, namespace, name.
    pub fn all(&self) -> Vec<Value> {
        let shared: Vec<Arc<Value>> = self.lock().objects.values().cloned().collect();
        shared.iter().map(|o| o.as_ref().clone()).collect()
    }

    /// Changes one object; a change of `spec` bumps `metadata.generation`. `status` in a patch is
    /// ignored, as it is where status is a subresource.
    pub fn patch(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        how: PatchKind,
        patch: &Value,
    ) -> Result<Value, Error> {
        let mut patch = patch.clone();
        if let Some(map) = patch.as_object_mut().filter(|_| kind != "Event") {
            map.remove("status");
        }
        self.edit(kind, namespace, name, |object| match how {
            PatchKind::Merge => merge::merge(object, &patch),
            PatchKind::Strategic => merge::strategic(object, &patch),
        })?
        .ok_or_else(|| not_found("patch", kind, namespace, name))
    }

    /// Changes one object in place and gives the new one, or none when there is no such object.
    /// Nothing is written and nobody is woken when nothing changed.
    pub fn edit(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Option<Value>, Error> {
        let mut inner = self.lock();
        let key = (kind.to_string(), namespace.to_string(), name.to_string());
        let Some(old) = inner.objects.get(&key).cloned() else {
            return Ok(None);
        };
        let mut new = old.as_ref().clone();
        change(&mut new);
        if new == *old {
            return Ok(Some(new));
        }
        let written = inner.write(key, new, Some(&old))?;
        drop(inner);
        self.newer.notify_all();
        Ok(Some(written.as_ref().clone()))
    }

    /// Replaces the status of an object, when it differs.
    pub fn set_status(&self, kind: &str, namespace: &str, name: &str, status: &Value) {
        let put = |object: &mut Value| {
            if let Some(map) = object.as_object_mut() {
                map.insert("status".into(), status.clone());
            }
        };
        // A refusal concerns spec only; an object that is gone needs no status.
        let _ = self.edit(kind, namespace, name, put);
    }

    /// Asks for the end of an object. A pod on a node goes gracefully: it gets its
    /// deletionTimestamp, and its kubelet removes it. Owners are not followed here, controllers
    /// do that.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<Value, Error> {
        let Some(object) = self.find(kind, namespace, name) else {
            return Err(not_found("delete", kind, namespace, name));
        };
        if kind == "Pod" && !text(&object, "spec.nodeName").is_empty() {
            if shape::is_ending(&object) {
                return Ok(object.as_ref().clone());
            }
            let grace = shape::int(&object, "spec.terminationGracePeriodSeconds").unwrap_or(30);
            // A year is longer than any world stands.
            let grace = grace.clamp(0, 31_536_000);
            let when = rfc3339(netshoot_host::clock::now_ms() + grace.unsigned_abs() * 1000);
            let mark = |o: &mut Value| {
                let meta = shape::child(o, "metadata");
                meta.insert("deletionTimestamp".into(), json!(when));
                meta.insert("deletionGracePeriodSeconds".into(), json!(grace));
            };
            return self
                .edit(kind, namespace, name, mark)?
                .ok_or_else(|| not_found("delete", kind, namespace, name));
        }
        self.remove(kind, namespace, name)
            .ok_or_else(|| not_found("delete", kind, namespace, name))
    }

    /// Takes an object away at once.
    pub fn remove(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let mut inner = self.lock();
        let gone =
            inner
                .objects
                .remove(&(kind.to_string(), namespace.to_string(), name.to_string()))?;
        inner.revision += 1;
        let revision = inner.revision;
        inner.gone.push_back((revision, gone.clone()));
        if inner.gone.len() > GONE_KEPT
            && let Some((oldest, _)) = inner.gone.pop_front()
        {
            inner.forgotten = oldest;
        }
        drop(inner);
        self.newer.notify_all();
        Some(gone.as_ref().clone())
    }

    /// What went after a revision, with the revision at which it did; none when that was too long ago.
    pub fn gone_since(&self, revision: u64) -> Option<Vec<(u64, Arc<Value>)>> {
        let inner = self.lock();
        let later = inner.gone.iter().filter(|(r, _)| *r > revision).cloned();
        (revision >= inner.forgotten).then(|| later.collect())
    }

    /// Whether an Event of this reason about an object was written within so many milliseconds.
    pub fn said_lately(&self, about: &Value, reason: &str, ms: u64) -> bool {
        let since = rfc3339(netshoot_host::clock::now_ms().saturating_sub(ms));
        self.of("Event").iter().any(|e| {
            text(e, "reason") == reason
                && text(e, "involvedObject.uid") == shape::uid(about)
                && text(e, "lastTimestamp") > since.as_str()
        })
    }

    /// Says something about an object, as an Event of the core group. The same words about the
    /// same object from the same source are counted, not repeated.
    pub fn event(
        &self,
        about: &Value,
        kind: &str,
        reason: &str,
        message: &str,
        source: (&str, &str),
    ) {
        let now = rfc3339(netshoot_host::clock::now_ms());
        let space = if shape::namespace(about).is_empty() {
            "default"
        } else {
            shape::namespace(about)
        };
        let (component, host) = source;
        let words = format!(
            "{}/{}/{}/{reason}/{message}/{component}/{host}",
            shape::kind(about),
            shape::uid(about),
            text(about, "fieldPath")
        );
        let name = format!("{}.{:016x}", shape::name(about), fnv(words.as_bytes()) >> 4);
        let again = self.edit("Event", space, &name, |event| {
            // The newer form has no count: it is said once.
            if let Some(count) = shape::int(event, "count") {
                merge::merge(event, &json!({"count": count + 1, "lastTimestamp": now}));
            }
        });
        if !matches!(again, Ok(None)) {
            return;
        }
        let mut origin = json!({"component": component});
        if !host.is_empty() {
            origin["host"] = json!(host);
        }
        let mut involved = json!({
            "apiVersion": text(about, "apiVersion"), "kind": shape::kind(about), "name": shape::name(about),
            "resourceVersion": text(about, "metadata.resourceVersion"), "uid": shape::uid(about),
        });
        for (key, value) in [
            ("namespace", shape::namespace(about)),
            ("fieldPath", text(about, "fieldPath")),
        ] {
            if !value.is_empty() {
                involved[key] = json!(value);
            }
        }
        let mut event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": space},
            "involvedObject": involved, "reason": reason, "message": message, "source": origin, "type": kind,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1, "eventTime": null,
            "reportingComponent": component, "reportingInstance": host,
        });
        if component == "default-scheduler" {
            // The scheduler speaks the newer form: one moment instead of a count and two.
            let action = if kind == "Normal" {
                "Binding"
            } else {
                "Scheduling"
            };
            let newer = json!({
                "source": {}, "firstTimestamp": null, "lastTimestamp": null, "count": null, "action": action,
                "eventTime": now.replace('Z', ".000000Z"), "reportingInstance": "default-scheduler-control",
            });
            if let (Some(event), Some(newer)) = (event.as_object_mut(), newer.as_object()) {
                event.extend(newer.clone());
            }
        }
        // The namespace of an event is that of a living object; one that just went needs no event.
        let _ = self.apply(event);
    }

    /// A suffix as Kubernetes gives generated names.
    pub fn suffix(&self, length: usize) -> String {
        self.lock().dice.suffix(length)
    }

    /// The present revision.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// Wakes everybody who waits, without a change.
    pub fn nudge(&self) {
        self.newer.notify_all();
    }

    /// Waits until the revision is newer than `seen` or `limit` has passed; gives the revision.
    pub fn wait_newer(&self, seen: u64, limit: Duration) -> u64 {
        let until = Instant::now() + limit;
        let mut inner = self.lock();
        while inner.revision <= seen {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let (next, wait) = self
                .newer
                .wait_timeout(inner, left)
                .unwrap_or_else(PoisonError::into_inner);
            inner = next;
            if wait.timed_out() {
                break;
            }
        }
        inner.revision
    }
}

impl Inner {
    fn apply(&mut self, mut object: Value) -> Result<Arc<Value>, Error> {
        let kind = shape::kind(&object).to_string();
        let Some(known) = kinds::find(&kind) else {
            return Err(refused(format!("apply {kind}"), "no such kind in a world"));
        };
        if shape::name(&object).is_empty() && !text(&object, "metadata.generateName").is_empty() {
            let name = format!(
                "{}{}",
                text(&object, "metadata.generateName"),
                self.dice.suffix(5)
            );
            shape::child(&mut object, "metadata").insert("name".into(), json!(name));
        }
        let name = shape::name(&object).to_string();
        if known.namespaced && shape::namespace(&object).is_empty() {
            shape::child(&mut object, "metadata").insert("namespace".into(), json!("default"));
        } else if !known.namespaced {
            shape::child(&mut object, "metadata").remove("namespace");
        }
        let namespace = shape::namespace(&object).to_string();
        if name.is_empty() {
            return Err(refused(format!("apply {kind}"), "metadata.name is missing"));
        }
        if known.namespaced
            && !self
                .objects
                .contains_key(&("Namespace".into(), String::new(), namespace.clone()))
        {
            return Err(refused(
                asked("apply", &kind, &namespace, &name),
                format!("namespaces \"{namespace}\" not found"),
            ));
        }
        if let Some(map) = object.as_object_mut() {
            map.insert("apiVersion".into(), json!(known.api_version));
        }
        let key = (kind, namespace, name);
        let old = self.objects.get(&key).cloned();
        if let Some(old) = &old {
            defaults::keep(&mut object, old);
            let mut same = object.clone();
            defaults::fill(&mut same, &mut self.allocation, &mut self.dice);
            if same == **old {
                return Ok(old.clone());
            }
        } else {
            let uid = self.uid();
            let meta = shape::child(&mut object, "metadata");
            meta.insert("uid".into(), json!(uid));
            // Set before only for things that are said to be old.
            meta.entry("creationTimestamp")
                .or_insert_with(|| json!(rfc3339(netshoot_host::clock::now_ms())));
        }
        self.write(key, object, old.as_deref())
    }

    fn write(
        &mut self,
        key: Key,
        mut object: Value,
        old: Option<&Value>,
    ) -> Result<Arc<Value>, Error> {
        let refuse = |why: String| {
            refused(
                asked(
                    if old.is_some() { "patch" } else { "apply" },
                    &key.0,
                    &key.1,
                    &key.2,
                ),
                why,
            )
        };
        let own = (
            shape::kind(&object),
            shape::namespace(&object),
            shape::name(&object),
        );
        if own != (&*key.0, &*key.1, &*key.2) {
            return Err(refuse("kind, namespace and name cannot be changed".into()));
        }
        defaults::check(&object).map_err(refuse)?;
        if key.0 == "Service" {
            self.allocation.learn(
                self.objects
                    .range(("Service".to_string(), String::new(), String::new())..)
                    .take_while(|(k, _)| k.0 == "Service")
                    .filter(|(k, _)| **k != key)
                    .map(|(_, o)| o.as_ref()),
            );
        }
        defaults::fill(&mut object, &mut self.allocation, &mut self.dice);
        self.revision += 1;
        let changed = old.is_none_or(|old| at(old, "spec") != at(&object, "spec"));
        let counts = !at(&object, "spec").is_null()
            && key.0 != "Node"
            && key.0 != "Service"
            && key.0 != "Namespace"
            && key.0 != "Lease";
        let generation = old
            .and_then(|o| shape::int(o, "metadata.generation"))
            .unwrap_or(0);
        let revision = self.revision;
        let meta = shape::child(&mut object, "metadata");
        meta.insert("resourceVersion".into(), json!(revision.to_string()));
        if counts {
            meta.insert(
                "generation".into(),
                json!(if changed {
                    generation.saturating_add(1)
                } else {
                    generation
                }),
            );
        }
        let object = Arc::new(object);
        self.objects.insert(key, object.clone());
        Ok(object)
    }

    /// A random UUID, version 4 (RFC 9562 section 5.4).
    fn uid(&mut self) -> String {
        let (a, b) = (self.dice.roll(), self.dice.roll());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            (b >> 48 & 0x3fff) | 0x8000,
            b & 0xffff_ffff_ffff
        )
    }
}
