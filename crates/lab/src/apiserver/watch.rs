//! Changes as they happen: one JSON object a line, each in a chunk of its own.

use super::select::Selector;
use super::{head, refusal};
use crate::kinds::Kind;
use crate::shape::{self, text};
use crate::store::Store;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a watch lasts where its client does not say.
const LASTS: Duration = Duration::from_secs(300);
/// How often it looks whether its client is still there.
const LOOK: Duration = Duration::from_millis(500);

/// A watch that was asked for.
pub(super) struct Watch {
    kind: &'static Kind,
    selector: Selector,
}

/// A name, with its namespace.
type Named = (String, String);

fn named(object: &Value) -> Named {
    let (namespace, name) = (shape::namespace(object), shape::name(object));
    (namespace.into(), name.into())
}

fn revision_of(object: &Value) -> u64 {
    text(object, "metadata.resourceVersion")
        .parse()
        .unwrap_or(0)
}

impl Watch {
    pub fn new(kind: &'static Kind, selector: Selector) -> Watch {
        Watch { kind, selector }
    }

    /// Tells changes until its time is over, its client is gone, or too much was forgotten meanwhile.
    pub fn run<S: Write>(
        &self,
        store: &Store,
        stream: &mut S,
        gone: &dyn Fn(&S) -> bool,
    ) -> std::io::Result<()> {
        stream.write_all(&head(200, None, false))?;
        stream.flush()?;
        let seconds = self.selector.seconds.map(Duration::from_secs);
        let until = Instant::now() + seconds.unwrap_or(LASTS).min(LASTS);
        let mut known: BTreeSet<Named> = BTreeSet::new();
        let mut seen = self.begin(store, stream, &mut known)?;
        while Instant::now() < until && !gone(stream) {
            if store.wait_newer(seen, LOOK) <= seen {
                continue;
            }
            // Read before the objects: what changes in between is told again the next time.
            let now = store.revision();
            let Some(events) = self.changes(store, seen, &mut known) else {
                let why = format!("too old resource version: {seen}");
                event(stream, "ERROR", &refusal(410, "Expired", &why))?;
                break;
            };
            for (_, kind, object) in events {
                event(stream, kind, &object)?;
            }
            seen = now;
        }
        stream.write_all(b"0\r\n\r\n")?;
        stream.flush()
    }

    /// What there is, where that was asked for; gives the revision from which on changes are told.
    fn begin(
        &self,
        store: &Store,
        stream: &mut impl Write,
        known: &mut BTreeSet<Named>,
    ) -> std::io::Result<u64> {
        let from: u64 = self.selector.revision.parse().unwrap_or(0);
        if from > 0 && !self.selector.initial {
            let before = |o: &Arc<Value>| revision_of(o) <= from && self.selector.takes(o);
            let all = store.of(self.kind.kind);
            known.extend(all.iter().filter(|o| before(o)).map(|o| named(o)));
            return Ok(from);
        }
        let now = store.revision();
        for object in store.of(self.kind.kind) {
            if self.selector.takes(&object) {
                known.insert(named(&object));
                event(stream, "ADDED", &object)?;
            }
        }
        if self.selector.initial {
            let end = json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version,
                "metadata": {"resourceVersion": now.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}}});
            event(stream, "BOOKMARK", &end)?;
        }
        Ok(now)
    }

    /// What changed since a revision, in order; none when the store does not remember.
    fn changes(
        &self,
        store: &Store,
        since: u64,
        known: &mut BTreeSet<Named>,
    ) -> Option<Vec<(u64, &'static str, Value)>> {
        let mut events = Vec::new();
        let gone = store.gone_since(since)?;
        for (revision, object) in gone
            .iter()
            .filter(|(_, o)| shape::kind(o) == self.kind.kind)
        {
            // One of the same name may stand in its place by now: its own event comes after this.
            known.remove(&named(object));
            if self.selector.takes(object) {
                events.push((*revision, "DELETED", at_revision(object, *revision)));
            }
        }
        for object in store.of(self.kind.kind) {
            let revision = revision_of(&object);
            if revision <= since {
                continue;
            }
            let kind = match self.selector.takes(&object) {
                true if known.insert(named(&object)) => "ADDED",
                true => "MODIFIED",
                // It was meant before it changed.
                false if known.remove(&named(&object)) => "DELETED",
                false => continue,
            };
            events.push((revision, kind, object.as_ref().clone()));
        }
        events.sort_by_key(|(revision, ..)| *revision);
        Some(events)
    }
}

fn at_revision(object: &Value, revision: u64) -> Value {
    let mut object = object.clone();
    shape::child(&mut object, "metadata")
        .insert("resourceVersion".into(), json!(revision.to_string()));
    object
}

fn event(stream: &mut impl Write, kind: &str, object: &Value) -> std::io::Result<()> {
    let line = format!("{}\n", json!({"type": kind, "object": object}));
    let chunk = format!("{:x}\r\n{line}\r\n", line.len());
    stream.write_all(chunk.as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use serde_json::Deserializer;

    fn told(bytes: &[u8]) -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(bytes);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, b)| b);
        let lines = body.lines().filter(|l| l.starts_with('{'));
        lines
            .filter_map(|l| Deserializer::from_str(l).into_iter::<Value>().next()?.ok())
            .map(|e| (text_of(&e, "type"), text_of(&e, "object.metadata.name")))
            .collect()
    }

    fn text_of(value: &Value, path: &str) -> String {
        text(value, path).to_string()
    }

    fn watched(store: &Store, query: &str, work: impl FnOnce() + Send) -> Vec<(String, String)> {
        let watch = Watch::new(
            kinds::find("ConfigMap").unwrap(),
            Selector::read(query).unwrap(),
        );
        let mut out = Vec::new();
        std::thread::scope(|scope| {
            let (done, is_done) = std::sync::mpsc::channel();
            let (begun, has_begun) = std::sync::mpsc::channel();
            scope.spawn(move || {
                let _ = has_begun.recv();
                work();
                let _ = done.send(());
            });
            let over = std::cell::Cell::new(0);
            let gone = |_: &Vec<u8>| {
                // Before the first look it was told what there is.
                let _ = begun.send(());
                // Two looks after the work: everything was told.
                if over.get() > 0 || is_done.try_recv().is_ok() {
                    over.set(over.get() + 1);
                }
                over.get() > 2
            };
            watch.run(store, &mut out, &gone).unwrap();
        });
        told(&out)
    }

    #[test]
    fn what_there_is_and_what_changes() {
        let store = Store::default();
        let put = |name: &str, app: &str| {
            let meta = json!({"name": name, "namespace": "shop", "labels": {"app": app}});
            store
                .apply(json!({"kind": "ConfigMap", "metadata": meta, "data": {}}))
                .unwrap()
        };
        store
            .apply(json!({"kind": "Namespace", "metadata": {"name": "shop"}}))
            .unwrap();
        put("a", "x");
        put("b", "y");
        let event = |kind: &str, name: &str| (kind.to_string(), name.to_string());
        let all = watched(
            &store,
            "watch=true&sendInitialEvents=true&labelSelector=app%3Dx",
            || {
                put("c", "x"); // new
                put("a", "y"); // is not meant any more
                put("b", "x"); // is meant from now on
                store.remove("ConfigMap", "shop", "c");
            },
        );
        assert_eq!(&all[..2], [event("ADDED", "a"), event("BOOKMARK", "")]);
        let mut rest = all[2..].to_vec();
        // What changes while it is read may be told again.
        rest.retain(|(kind, name)| name != "c" && kind != "MODIFIED");
        rest.sort();
        assert_eq!(
            rest,
            [event("ADDED", "b"), event("DELETED", "a")],
            "{all:?}"
        );
        // From a revision on: nothing of before.
        let from = store.revision();
        let query = format!("watch=true&resourceVersion={from}");
        let mut all = watched(&store, &query, || {
            put("a", "z");
            store.remove("ConfigMap", "shop", "b");
        });
        all.dedup();
        assert_eq!(all, [event("MODIFIED", "a"), event("DELETED", "b")]);
    }

    #[test]
    fn what_is_forgotten_is_said() {
        let store = Store::default();
        store
            .apply(json!({"kind": "Namespace", "metadata": {"name": "shop"}}))
            .unwrap();
        for i in 0..3000 {
            let meta = json!({"name": format!("c{i}"), "namespace": "shop"});
            store
                .apply(json!({"kind": "ConfigMap", "metadata": meta}))
                .unwrap();
            store.remove("ConfigMap", "shop", &format!("c{i}"));
        }
        let all = watched(&store, "watch=1&resourceVersion=3", || {});
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].0, "ERROR");
    }
}
