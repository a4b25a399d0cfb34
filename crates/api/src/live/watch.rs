//! Waiting for something to become true: first what is there, then what changes.

use super::Cluster;
use super::connect::chain;
use super::error::Error;
use super::pages::Selection;
use super::refusal;
use super::request::{Call, query};
use super::resource::Resource;
use super::words::Tried;
use http_body_util::BodyExt;
use netshoot_model::object::Object;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often an object is looked at where watching is not allowed.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// The longest single watch; the server ends it, and it is begun anew.
const ONE_WATCH: u64 = 240;

/// What happened.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is there: from the beginning, new, or changed.
    Now(Object),
    /// It is gone; this was its last state.
    Gone(Object),
    /// Nothing for a while: the caller may look at something else.
    Tick,
}

/// How one watch ended.
enum Ended<T> {
    Found(T),
    Again { from: String },
    Anew,
}

impl Cluster {
    /// Calls `look` with what is there and with each change until it gives something or the limit
    /// has passed (then none). At least once a second it is called with [`Change::Tick`].
    pub fn wait_for<T>(
        &self,
        resource: &Resource,
        namespace: &str,
        which: &Selection,
        limit: Duration,
        look: &mut dyn FnMut(&Change) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let until = Instant::now() + limit;
        loop {
            let listed = match self.listed(resource, namespace, which, &|_| {}) {
                Err(Error::Forbidden(d)) => match named(which) {
                    Some(name) => return self.poll(resource, namespace, &name, until, look),
                    None => return Err(Error::Forbidden(d)),
                },
                other => other?,
            };
            for object in listed.items {
                if let Some(found) = look(&Change::Now(object)) {
                    return Ok(Some(found));
                }
            }
            let mut from = listed.resource_version;
            loop {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(None);
                }
                match self.watch_once(resource, namespace, which, &from, until, look) {
                    Ok(Ended::Found(found)) => return Ok(Some(found)),
                    Ok(Ended::Again { from: next }) => from = next,
                    Ok(Ended::Anew) | Err(Error::Expired { .. }) => break,
                    Err(Error::Forbidden(d)) => match named(which) {
                        Some(name) => return self.poll(resource, namespace, &name, until, look),
                        None => return Err(Error::Forbidden(d)),
                    },
                    Err(e) => return Err(e),
                }
            }
        }
    }

    /// The same for one named object.
    pub fn wait_for_one<T>(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        limit: Duration,
        look: &mut dyn FnMut(&Change) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let which = Selection::fields(&format!("metadata.name={name}"));
        self.wait_for(resource, namespace, &which, limit, look)
    }

    /// Looks again and again: for those who may get an object and not watch it.
    fn poll<T>(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        until: Instant,
        look: &mut dyn FnMut(&Change) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let mut last = None;
        loop {
            let change = match self.get(resource, namespace, name) {
                Ok(object) => {
                    last = Some(object.clone());
                    Change::Now(object)
                }
                Err(e) if e.is_not_found() => match last.take() {
                    Some(object) => Change::Gone(object),
                    None => Change::Tick,
                },
                Err(e) => return Err(e),
            };
            if let Some(found) = look(&change) {
                return Ok(Some(found));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.events.wait(tokio::time::sleep(LOOK_AGAIN.min(left)));
        }
    }

    fn watch_once<T>(
        &self,
        resource: &Resource,
        namespace: &str,
        which: &Selection,
        from: &str,
        until: Instant,
        look: &mut dyn FnMut(&Change) -> Option<T>,
    ) -> Result<Ended<T>, Error> {
        let tried = resource.tried("watch", namespace, "", "");
        let seconds = until
            .saturating_duration_since(Instant::now())
            .as_secs()
            .clamp(1, ONE_WATCH)
            .to_string();
        let pairs = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", from),
            ("timeoutSeconds", &seconds),
            ("labelSelector", &which.labels),
            ("fieldSelector", &which.fields),
        ];
        let call = Call::get(tried, resource.path(namespace, "", "") + &query(&pairs));
        self.events.wait(async {
            let mut body = self.send(&call).await?.into_body();
            let (mut held, mut from) = (Vec::new(), from.to_string());
            loop {
                let left = until.saturating_duration_since(Instant::now());
                let pause = left.min(Duration::from_secs(1));
                let data = match tokio::time::timeout(pause, body.frame()).await {
                    Err(_) => {
                        if let Some(found) = look(&Change::Tick) {
                            return Ok(Ended::Found(found));
                        }
                        if left <= pause {
                            return Ok(Ended::Again { from });
                        }
                        continue;
                    }
                    // The server ends a watch when its time is over; a broken one is begun anew.
                    Ok(None | Some(Err(_))) => return Ok(Ended::Again { from }),
                    Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                };
                held.extend_from_slice(&data);
                while let Some(end) = held.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = held.drain(..=end).collect();
                    match self.event(&call.tried, &line)? {
                        Event::Version(v) => from = v,
                        Event::Expired => return Ok(Ended::Anew),
                        Event::Change(change, v) => {
                            from = v;
                            if let Some(found) = look(&change) {
                                return Ok(Ended::Found(found));
                            }
                        }
                    }
                }
            }
        })
    }

    fn event(&self, tried: &Tried, line: &[u8]) -> Result<Event, Error> {
        let mut event: Value = serde_json::from_slice(line).map_err(|e| Error::Nonsense {
            tried: Box::new(tried.clone()),
            why: chain(&e),
        })?;
        let object = Object(event.get_mut("object").map(Value::take).unwrap_or_default());
        let version = object.str("metadata.resourceVersion").to_string();
        Ok(match event.get("type").and_then(Value::as_str) {
            Some("ADDED" | "MODIFIED") => Event::Change(Change::Now(object), version),
            Some("DELETED") => Event::Change(Change::Gone(object), version),
            Some("ERROR") => {
                let code = object.int("code").unwrap_or(0);
                if code == 410 {
                    Event::Expired
                } else {
                    let code = u16::try_from(code).unwrap_or(500);
                    let body = object.0.to_string();
                    return Err(refusal::of(tried, &self.about.asked, code, &body));
                }
            }
            _ => Event::Version(version),
        })
    }
}

enum Event {
    Change(Change, String),
    Version(String),
    Expired,
}

/// The one name that a selection means.
fn named(which: &Selection) -> Option<String> {
    let name = which.fields.strip_prefix("metadata.name=")?;
    (!name.contains(',') && which.labels.is_empty()).then(|| name.to_string())
}
