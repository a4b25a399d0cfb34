//! What only pods and nodes have: logs, events about them, the kubelet's figures.

use super::Cluster;
use super::connect::chain;
use super::error::Error;
use super::pages::Selection;
use super::request::{Call, query};
use super::resource::Resource;
use http_body_util::BodyExt;
use netshoot_model::object::Object;
use serde_json::Value;
use std::io::Write;
use std::time::Duration;

/// Which part of a container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Container; empty for the only one.
    pub container: String,
    /// The incarnation before the running one.
    pub previous: bool,
    /// The last so many lines; none is all.
    pub tail: Option<u32>,
    /// Not older than that.
    pub since: Option<Duration>,
    /// At most so many bytes; none is all.
    pub most_bytes: Option<u64>,
    /// With the time of each line.
    pub timestamps: bool,
    /// Go on with new lines until the container ends.
    pub follow: bool,
}

impl Cluster {
    fn log_call(&self, namespace: &str, pod: &str, options: &LogOptions) -> Call {
        let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let flag = |on: bool| if on { "true" } else { "" };
        let tail = number(options.tail.map(u64::from));
        let since = number(options.since.map(|d| d.as_secs().max(1)));
        let bytes = number(options.most_bytes);
        let pairs = [
            ("container", options.container.as_str()),
            ("previous", flag(options.previous)),
            ("tailLines", &tail),
            ("sinceSeconds", &since),
            ("limitBytes", &bytes),
            ("timestamps", flag(options.timestamps)),
            ("follow", flag(options.follow)),
        ];
        let pods = Resource::pods();
        let mut call = Call::get(
            pods.tried("get", namespace, pod, "log"),
            pods.path(namespace, pod, "log") + &query(&pairs),
        );
        call.accept = "*/*";
        call
    }

    /// A container's log, lossily as text.
    pub fn log(&self, namespace: &str, pod: &str, options: &LogOptions) -> Result<String, Error> {
        let options = LogOptions {
            follow: false,
            ..options.clone()
        };
        let bytes = self.bytes(&self.log_call(namespace, pod, &options))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Writes a log as it comes, byte for byte.
    pub fn log_to(
        &self,
        namespace: &str,
        pod: &str,
        options: &LogOptions,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let call = self.log_call(namespace, pod, options);
        let mut body = self.events.wait(self.send(&call))?.into_body();
        while let Some(frame) = self.events.wait(body.frame()) {
            let frame = frame.map_err(|e| Error::Dropped {
                tried: Box::new(call.tried.clone()),
                why: chain(&e),
            })?;
            if let Ok(data) = frame.into_data() {
                let written = out.write_all(&data).and_then(|()| out.flush());
                written.map_err(|e| Error::OwnStream {
                    tried: "write standard output",
                    closed: e.kind() == std::io::ErrorKind::BrokenPipe,
                    why: e.to_string(),
                })?;
            }
        }
        Ok(())
    }

    /// Events about one object, oldest first.
    pub fn events_of(&self, namespace: &str, kind: &str, name: &str) -> Result<Vec<Object>, Error> {
        let which = Selection::fields(&format!(
            "involvedObject.kind={kind},involvedObject.name={name}"
        ));
        let events = self.resource("Event")?;
        let mut all = self.list(&events, namespace, &which)?;
        all.sort_by_key(|e| {
            let times = ["series.lastObservedTime", "lastTimestamp", "eventTime"];
            let last = times.iter().map(|t| e.str(t)).find(|t| !t.is_empty());
            last.unwrap_or(e.str("metadata.creationTimestamp"))
                .to_string()
        });
        Ok(all)
    }

    /// The kubelet's own account of its node (`/stats/summary` through the API server; the right is
    /// `get nodes/proxy`).
    pub fn kubelet_summary(&self, node: &str) -> Result<Value, Error> {
        let nodes = Resource {
            kind: "Node".into(),
            plural: "nodes".into(),
            namespaced: false,
            ..Resource::pods()
        };
        let path = nodes.path("", node, "proxy") + "/stats/summary";
        self.json(&Call::get(nodes.tried("get", "", node, "proxy"), path))
    }
}
