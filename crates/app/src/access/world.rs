//! A running world, through its socket: the API server's part, and hands at every vantage point.

use super::Access;
use anyhow::{Context, Result, bail};
use netshoot_model::object::Object;
use netshoot_model::probe::{Answered, Probe, Vantage};
use netshoot_model::remedy::Step;
use netshoot_model::snapshot::ClusterSnapshot;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The environment variable that names a world's socket.
pub const SOCKET: &str = "NETSHOOT_WORLD";

/// A world.
pub struct World {
    socket: PathBuf,
}

impl World {
    /// The world that this process was started in, if any.
    pub fn around() -> Option<World> {
        std::env::var_os(SOCKET)
            .filter(|s| !s.is_empty())
            .map(|s| World { socket: s.into() })
    }

    /// One request, one reply.
    pub fn request(&self, request: &Value) -> Result<Value> {
        let mut stream = UnixStream::connect(&self.socket).with_context(|| {
            format!(
                "no world answers at {}, which {SOCKET} names (unset it to look at this host)",
                self.socket.display()
            )
        })?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream
            .write_all(format!("{request}\n").as_bytes())
            .context("send a request to the world")?;
        let mut line = String::new();
        BufReader::new(stream)
            .read_line(&mut line)
            .context("read the world's reply")?;
        let reply: Value = serde_json::from_str(&line).context("read the world's reply")?;
        if let Some(why) = reply.get("error").and_then(Value::as_str) {
            bail!("{why}");
        }
        Ok(reply)
    }
}

impl Access for World {
    fn snapshot(&mut self) -> Result<Arc<ClusterSnapshot>> {
        let reply = self.request(&json!({"snapshot": {"kinds": null}}))?;
        let objects: Vec<Object> =
            serde_json::from_value(reply.get("objects").cloned().unwrap_or_default())
                .context("objects of the world")?;
        let text = |k: &str, otherwise: &str| {
            reply
                .get(k)
                .and_then(Value::as_str)
                .unwrap_or(otherwise)
                .to_string()
        };
        let mut snapshot = ClusterSnapshot::new(
            &text("source", "world"),
            &text("identity", "world"),
            reply
                .get("taken_at_ms")
                .and_then(Value::as_u64)
                .unwrap_or(0),
        );
        snapshot.gaps =
            serde_json::from_value(reply.get("gaps").cloned().unwrap_or_else(|| json!([])))
                .context("gaps of the world")?;
        snapshot.objects = objects;
        netshoot_api::tidy(&mut snapshot);
        Ok(Arc::new(snapshot))
    }

    fn ask(&mut self, probes: &[Probe]) -> Result<Vec<Answered>> {
        // The world's hands stand in its pods and nodes; "here" is where this process runs.
        let (here, there): (Vec<Probe>, Vec<Probe>) = probes
            .iter()
            .cloned()
            .partition(|p| p.from == Vantage::Here);
        let mut answers = if here.is_empty() {
            Vec::new()
        } else {
            super::Local.ask(&here)?
        };
        if !there.is_empty() {
            let reply = self.request(&json!({ "probes": there }))?;
            let more: Vec<Answered> =
                serde_json::from_value(reply).context("answers of the world")?;
            answers.extend(more);
        }
        Ok(answers)
    }

    fn apply(&mut self, step: &Step) -> Result<()> {
        let request = match step {
            Step::Patch {
                object,
                strategic,
                patch,
            } => json!({"patch": {"object": object, "strategic": strategic, "patch": patch}}),
            Step::Create { object } => json!({ "apply": object }),
            Step::Delete { object } => json!({"delete": {"object": object}}),
            Step::OnNode { node, argv } => json!({"on_node": {"node": node, "argv": argv}}),
            Step::Ask { .. } => return Ok(()),
        };
        let what = step.command().unwrap_or_default();
        self.request(&request)
            .with_context(|| format!("apply: {what}"))?;
        Ok(())
    }
}
