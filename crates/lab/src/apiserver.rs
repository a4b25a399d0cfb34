//! The API server's part for programs that are not ours: the real kube-proxy and CoreDNS list and watch a world's objects
//! over HTTPS on the loopback of the network they run in. What they may not do here is change something.
//!
//! Deliberately absent: writing, authentication (nobody else reaches that loopback), tables, protobuf, field validation.

mod select;
mod watch;

use crate::Error;
use crate::certs::{self, Authority, server_config};
use crate::kinds::{KINDS, Kind};
use crate::own;
use crate::shape;
use crate::store::Store;
use netshoot_host::netns::NetNs;
use netshoot_wire::http::{Body, Headers, Request, Response};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use select::Selector;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where it listens: this name is in every container's /etc/hosts, and its certificate is for it.
pub const HOST: &str = "localhost";
/// Port.
pub const PORT: u16 = 6443;

/// Patience with a client that stops in the middle of a request, or does not read.
const STALLED: Duration = Duration::from_secs(20);

/// Serves the objects of one world.
#[derive(Debug)]
pub struct ApiServer {
    store: Arc<Store>,
    tls: Arc<ServerConfig>,
    /// Networks it listens in, by the numbers of their namespaces.
    doors: Mutex<BTreeSet<u64>>,
}

/// What a request comes to.
enum Reply {
    Whole(u16, Value),
    Watch(watch::Watch),
}

impl ApiServer {
    /// Of these objects, with a certificate of the world's authority.
    pub fn new(store: Arc<Store>, authority: &Authority) -> Result<Arc<ApiServer>, Error> {
        let now = i64::try_from(netshoot_host::clock::now_ms()).unwrap_or_default();
        let day = 86_400_000;
        let names = [HOST.to_string(), Ipv4Addr::LOCALHOST.to_string()];
        let (certificate, key) = certs::issue(authority, &names, now - day, now + 3650 * day)?;
        Ok(Arc::new(ApiServer {
            store,
            tls: server_config(&certificate, &key)?,
            doors: Mutex::default(),
        }))
    }

    /// Listens in a network from now on, until the process ends.
    pub fn open(self: &Arc<Self>, network: &NetNs) -> Result<(), Error> {
        let failed = |source| netshoot_host::Error::System {
            tried: "listen for the API's clients",
            on: format!("{}:{PORT}", Ipv4Addr::LOCALHOST),
            source,
        };
        let own = network.enter(|| std::fs::metadata("/proc/thread-self/ns/net"));
        let number = own?.map_err(failed)?.ino();
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if doors.contains(&number) {
            return Ok(());
        }
        let listener = network
            .enter(|| TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)))?
            .map_err(failed)?;
        let (server, thread) = (self.clone(), std::thread::Builder::new());
        thread
            .name("api-door".into())
            .spawn(move || server.take_clients(&listener))
            .map_err(failed)?;
        doors.insert(number);
        Ok(())
    }

    fn take_clients(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            let server = self.clone();
            let thread = std::thread::Builder::new().name("api-client".into());
            // Who gets no thread sees its connection end, and tries again.
            drop(thread.spawn(move || server.converse(stream)));
        }
    }

    /// Requests of one connection until one side ends it.
    fn converse(&self, stream: TcpStream) {
        let patient = stream
            .set_read_timeout(None)
            .and_then(|()| stream.set_write_timeout(Some(STALLED)));
        let (Ok(()), Ok(tls)) = (patient, ServerConnection::new(self.tls.clone())) else {
            return;
        };
        let mut stream = StreamOwned::new(tls, stream);
        let mut bytes = Vec::new();
        while let Some(request) = read_head(&mut stream, &mut bytes) {
            // A body means that something is to be written: it is not even read.
            let last = request.body() != Body::Length(0);
            let done = match self.reply(&request) {
                Reply::Whole(status, value) => whole(&mut stream, status, &value, last),
                Reply::Watch(w) => {
                    let gone = |s: &StreamOwned<ServerConnection, TcpStream>| {
                        own::readable(s.sock.as_raw_fd(), 0)
                    };
                    w.run(&self.store, &mut stream, &gone)
                }
            };
            if done.is_err() || last {
                break;
            }
        }
        stream.conn.send_close_notify();
        drop(stream.conn.complete_io(&mut stream.sock));
    }

    fn reply(&self, request: &Request) -> Reply {
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((&request.target, ""));
        if request.method != "GET" {
            let why = format!(
                "{} {path}: objects of a world are only read here",
                request.method
            );
            return Reply::Whole(403, refusal(403, "Forbidden", &why));
        }
        match path {
            "/version" => {
                return Reply::Whole(
                    200,
                    json!({"major": "1", "minor": "37", "gitVersion": "v1.37.0"}),
                );
            }
            "/readyz" | "/livez" | "/healthz" => return Reply::Whole(200, json!("ok")),
            _ => {}
        }
        let Some(asked) = Asked::of(path) else {
            let why = "the server could not find the requested resource";
            return Reply::Whole(404, refusal(404, "NotFound", why));
        };
        let mut selector = match Selector::read(query) {
            Ok(selector) => selector,
            Err(why) => return Reply::Whole(400, refusal(400, "BadRequest", &why)),
        };
        selector.namespace = asked.namespace;
        if let Some(name) = asked.name {
            let found = self.store.find(asked.kind.kind, &selector.namespace, &name);
            return match found {
                Some(object) => Reply::Whole(200, object.as_ref().clone()),
                None => {
                    let why = format!("{} \"{name}\" not found", asked.kind.plural);
                    Reply::Whole(404, refusal(404, "NotFound", &why))
                }
            };
        }
        if selector.watches() {
            return Reply::Watch(watch::Watch::new(asked.kind, selector));
        }
        // Read before the objects: what changes in between is told by the watch that follows.
        let revision = self.store.revision();
        let all = self.store.of(asked.kind.kind);
        let items: Vec<&Value> = all
            .iter()
            .map(AsRef::as_ref)
            .filter(|o| selector.takes(o))
            .collect();
        Reply::Whole(
            200,
            json!({"kind": format!("{}List", asked.kind.kind), "apiVersion": asked.kind.api_version,
                "metadata": {"resourceVersion": revision.to_string()}, "items": items}),
        )
    }
}

/// What a path means.
struct Asked {
    kind: &'static Kind,
    namespace: String,
    name: Option<String>,
}

impl Asked {
    /// `/api/v1/...`, `/apis/GROUP/VERSION/...`, with or without a namespace and a name.
    fn of(path: &str) -> Option<Asked> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_string(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return None,
        };
        let kind = |plural: &str| {
            KINDS
                .iter()
                .find(|k| k.api_version == version && k.plural == plural)
        };
        let (kind, namespace, name) = match rest {
            ["namespaces", namespace, plural] => (kind(plural)?, *namespace, None),
            ["namespaces", namespace, plural, name] => (kind(plural)?, *namespace, Some(*name)),
            [plural] => (kind(plural)?, "", None),
            [plural, name] => (kind(plural)?, "", Some(*name)),
            _ => return None,
        };
        Some(Asked {
            kind,
            namespace: namespace.into(),
            name: name.map(String::from),
        })
    }
}

/// A Status, as the API server refuses.
fn refusal(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": message})
}

fn head(status: u16, length: Option<usize>, last: bool) -> Vec<u8> {
    let mut fields = vec![("Content-Type".to_string(), "application/json".to_string())];
    match length {
        Some(n) => fields.push(("Content-Length".into(), n.to_string())),
        None => fields.push(("Transfer-Encoding".into(), "chunked".into())),
    }
    if last {
        fields.push(("Connection".into(), "close".into()));
    }
    let head = Response {
        minor: 1,
        status,
        reason: if status < 400 { "OK" } else { "Refused" }.into(),
        headers: Headers(fields),
    };
    head.encode()
}

fn whole(stream: &mut impl Write, status: u16, value: &Value, last: bool) -> std::io::Result<()> {
    let body = value.to_string();
    stream.write_all(&head(status, Some(body.len()), last))?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

/// The next head; none at the end of the connection or of the patience with nonsense.
fn read_head(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Option<Request> {
    let mut piece = [0; 4096];
    loop {
        if let Some((request, taken)) = Request::decode(bytes).ok()? {
            bytes.drain(..taken);
            return Some(request);
        }
        match stream.read(&mut piece) {
            Ok(n @ 1..) => bytes.extend_from_slice(piece.get(..n)?),
            _ => return None,
        }
    }
}

/// Text of a kubeconfig for a client beside such a door.
pub fn kubeconfig(authority: &Authority) -> String {
    let user = json!({"name": "world", "user": {"token": "none"}});
    let cluster = json!({"server": format!("https://{}:{PORT}", Ipv4Addr::LOCALHOST),
        "certificate-authority-data": crate::store::defaults::base64(authority.pem().as_bytes())});
    json!({"apiVersion": "v1", "kind": "Config", "current-context": "world", "users": [user],
        "clusters": [{"name": "world", "cluster": cluster}],
        "contexts": [{"name": "world", "context": {"cluster": "world", "user": "world"}}]})
    .to_string()
}

/// Whether an object is of that namespace, or any is meant.
fn is_in(object: &Value, namespace: &str) -> bool {
    namespace.is_empty() || shape::namespace(object) == namespace
}

#[cfg(test)]
mod tests;
