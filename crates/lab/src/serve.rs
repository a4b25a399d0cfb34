//! What a diagnosis is given of a world: objects as an API server shows them, the network as
//! probes find it, and ways to change objects. Never the world's folder, its faults, what its pods
//! were told to do, or its seed.
//!
//! A unix socket; one JSON request a line, one JSON answer a line. Its path is in [`VARIABLE`] for
//! everything that is started inside a world.

mod asked;
pub mod command;
mod place;

use crate::Error;
use crate::hold::child::folder;
use crate::standing::Standing;
use crate::store::PatchKind;
use crate::world::Reference;
use netshoot_host::netns::NetNs;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Environment variable with the socket's path.
pub const VARIABLE: &str = "NETSHOOT_WORLD";

/// Longest request, bytes.
const LONGEST: u64 = 4 << 20;

/// The socket, as seen inside the world.
pub fn socket() -> PathBuf {
    folder().join("world.sock")
}

/// What can be asked. Patch, delete and on_node have the shape of a remedy's steps.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    /// All objects, or those of some kinds.
    Snapshot { kinds: Option<Vec<String>> },
    /// Questions to the network, asked at the same time.
    Probes(Vec<Value>),
    /// A change of one object.
    Patch {
        object: Reference,
        strategic: bool,
        patch: Value,
    },
    /// An object created or replaced.
    Apply(Value),
    /// An object's end.
    Delete { object: Reference },
    /// A command on a node.
    OnNode { node: String, argv: Vec<String> },
    /// How to get into a place: `pod/NAMESPACE/NAME`, `node/NAME`, `client`.
    Place(String),
}

/// Takes connections for as long as the world stands.
pub fn listen(standing: Arc<Standing>) -> Result<(), Error> {
    let path = socket();
    let failed = |source| netshoot_host::Error::System {
        tried: "listen",
        on: path.display().to_string(),
        source,
    };
    let listener = UnixListener::bind(&path).map_err(failed)?;
    let each = move || {
        for stream in listener.incoming().flatten() {
            let standing = standing.clone();
            // A thread that cannot be started drops its connection: the other end sees that.
            drop(
                std::thread::Builder::new()
                    .name("request".into())
                    .spawn(move || converse(&standing, &stream)),
            );
        }
    };
    std::thread::Builder::new()
        .name("serve".into())
        .spawn(each)
        .map_err(failed)?;
    Ok(())
}

fn converse(standing: &Standing, stream: &UnixStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        if !read.is_ok_and(|n| n > 0) {
            return;
        }
        let whole = line.ends_with(b"\n") || (line.len() as u64) < LONGEST;
        let answer = if whole {
            answer(standing, &line).unwrap_or_else(|why| json!({ "error": why }))
        } else {
            json!({ "error": format!("a request is at most {LONGEST} bytes") })
        };
        let mut to = stream;
        if to.write_all(format!("{answer}\n").as_bytes()).is_err() || !whole {
            return;
        }
    }
}

fn answer(standing: &Standing, line: &[u8]) -> Result<Value, String> {
    let request: Request =
        serde_json::from_slice(line).map_err(|e| format!("not a request: {e}"))?;
    match request {
        Request::Snapshot { kinds } => Ok(snapshot(standing, kinds.as_deref())),
        Request::Probes(probes) => Ok(Value::Array(asked::ask(standing, &probes))),
        Request::Patch {
            object,
            strategic,
            patch,
        } => {
            let how = if strategic {
                PatchKind::Strategic
            } else {
                PatchKind::Merge
            };
            let patched =
                standing
                    .store
                    .patch(&object.kind, &object.namespace, &object.name, how, &patch);
            patched
                .map(|o| json!({ "object": o }))
                .map_err(|e| e.to_string())
        }
        Request::Apply(object) => standing
            .store
            .apply(object)
            .map(|o| json!({ "object": o }))
            .map_err(|e| e.to_string()),
        Request::Delete { object } => {
            let deleted = standing
                .store
                .delete(&object.kind, &object.namespace, &object.name);
            deleted
                .map(|o| json!({ "object": o }))
                .map_err(|e| e.to_string())
        }
        Request::OnNode { node, argv } => {
            let network = standing
                .ground
                .node(&node)
                .ok_or_else(|| format!("node {node} is not in this world"))?;
            let resolv_conf = standing.node_resolv_conf();
            command::run(&network, &resolv_conf, &argv)
                .map(|done| json!(done))
                .map_err(|e| e.to_string())
        }
        Request::Place(name) => place::find(standing, &name),
    }
}

/// The network of a place and the resolv.conf there.
pub(crate) fn network_of(standing: &Standing, place: &str) -> Result<(Arc<NetNs>, String), String> {
    place::named(standing, place).map(|(_, p)| (p.network, p.resolv_conf))
}

fn snapshot(standing: &Standing, kinds: Option<&[String]>) -> Value {
    let kind = |o: &Value| {
        o.get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string()
    };
    let mut objects = standing.store.all();
    if let Some(kinds) = kinds {
        objects.retain(|o| kinds.contains(&kind(o)));
    }
    for secret in objects.iter_mut().filter(|o| kind(o) == "Secret") {
        if let Some(fields) = secret.as_object_mut() {
            fields.remove("data");
            fields.remove("stringData");
        }
    }
    json!({
        "objects": objects,
        "taken_at_ms": netshoot_host::clock::now_ms(),
        "source": "world",
        "identity": "kubernetes-admin",
    })
}

/// One request to a world's socket. An answer that is an error is one.
pub fn ask(socket: &Path, request: &Value) -> Result<Value, Error> {
    let failed = |source| netshoot_host::Error::System {
        tried: "ask the world",
        on: socket.display().to_string(),
        source,
    };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream
        .write_all(format!("{request}\n").as_bytes())
        .map_err(failed)?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .map_err(failed)?;
    let said: Value = serde_json::from_str(&line).map_err(|_| Error::Absent {
        what: "the world ended while it was asked".into(),
    })?;
    match said.get("error").and_then(Value::as_str) {
        Some(why) => Err(Error::Absent { what: why.into() }),
        None => Ok(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_request_is_refused_or_one_of_those_there_are() {
        let seeds = [
            r#"{"snapshot":{"kinds":["Pod","Service"]}}"#,
            r#"{"probes":[{"from":"here","question":"links"}]}"#,
            r#"{"patch":{"object":{"kind":"Service","namespace":"shop","name":"cart"},"strategic":true,"patch":{"spec":null}}}"#,
            r#"{"apply":{"kind":"Pod"}}"#,
            r#"{"delete":{"object":{"kind":"Pod","namespace":"a","name":"b"}}}"#,
            r#"{"on_node":{"node":"a","argv":["sysctl","-w","x=1"]}}"#,
            r#"{"place":"pod/shop/cart"}"#,
        ];
        for seed in seeds {
            serde_json::from_str::<Request>(seed).unwrap();
        }
        let mut read = 0;
        netshoot_wire::fuzz::texts(&seeds, 10_000, |text| {
            let Ok(request) = serde_json::from_slice::<Request>(text.as_bytes()) else {
                return;
            };
            read += 1;
            // A field that nobody knows is refused, so what was said was understood.
            let said: Value = serde_json::from_str(text).unwrap();
            let word = said.as_object().and_then(|m| m.keys().next().cloned());
            let shown = format!("{request:?}").replace('_', "").to_lowercase();
            let word = word.unwrap_or_default().replace('_', "");
            assert!(shown.starts_with(&word), "{text} {shown}");
        });
        assert!(read > 500, "{read}");
    }
}
