//! The connection: calls, and what a server tells of itself (grpc.reflection).

use super::plan::Plan;
use super::schema::Schema;
use anyhow::Result as Any;
use netshoot_host::grpc::{Client, Event, Fields};
use netshoot_host::names::{self, Hints};
use netshoot_host::secure::{self, Own, Wish};
use netshoot_host::sockets::{self, Deadline};
use netshoot_host::tcp::{self, Connection};
use netshoot_wire::protobuf::{put_bytes, read_fields};
use rustls::{ClientConnection, StreamOwned};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Names of status codes.
pub const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// Versions of the reflection service, the newest first.
const REFLECTION: [&str; 2] = ["grpc.reflection.v1", "grpc.reflection.v1alpha"];
/// Files that one symbol may need.
const FILES: usize = 500;

/// Why something did not come about.
#[derive(Clone, Debug)]
pub enum Trouble {
    Said(String),
    /// The server's status.
    Status(u8, String),
}

impl Trouble {
    /// With what was tried in front.
    pub fn about(self, tried: &str) -> Trouble {
        Trouble::Said(match self {
            Trouble::Said(why) => format!("{tried}: {why}"),
            Trouble::Status(12, _) => {
                format!("{tried}: server does not support the reflection API")
            }
            Trouble::Status(n, why) => {
                let word = CODES.get(usize::from(n)).unwrap_or(&"Unknown");
                format!("{tried}: rpc error: code = {word} desc = {why}")
            }
        })
    }
}

/// What comes in a call.
pub enum Came<'a> {
    Headers(&'a Fields),
    Message(&'a [u8]),
    Trailers(&'a Fields),
}

/// Bare or secured.
enum Wire {
    Bare(Connection),
    Secured(Box<StreamOwned<ClientConnection, Connection>>),
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Bare(c) => c.read(buffer),
            Wire::Secured(s) => s.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Bare(c) => c.write(bytes),
            Wire::Secured(s) => s.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Bare(c) => c.flush(),
            Wire::Secured(s) => s.flush(),
        }
    }
}

/// An open connection.
pub struct Line {
    client: Client<Wire>,
    scheme: &'static str,
    authority: String,
}

fn ms(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

/// Connects, by TLS unless it is not wanted.
pub fn open(plan: &Plan, address: &str) -> Result<Line, String> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host.trim_matches(['[', ']']), port),
        None => (address, if plan.plaintext { "80" } else { "443" }),
    };
    let hints = Hints {
        kind: libc::SOCK_STREAM,
        ..Hints::default()
    };
    let found = names::resolve(Some(host), Some(port), hints)
        .map_err(|why| format!("look up {host}: {why}"))?;
    let deadline = Deadline::after_ms(ms(plan.connect));
    let mut last = "no address".to_string();
    let mut open = None;
    for to in found.addresses {
        match tcp::reach(to, None, deadline) {
            Ok(connection) => {
                open = Some(connection);
                break;
            }
            Err(e) if e.kind() == ErrorKind::TimedOut => {
                last = format!("dial tcp {to}: no answer in time")
            }
            Err(e) => {
                last = format!(
                    "dial tcp {to}: connect: {}",
                    sockets::words(&e).to_lowercase()
                )
            }
        }
    }
    let mut connection = open.ok_or(last)?;
    let wire = if plan.plaintext {
        connection.patience(Deadline::after_ms(plan.whole.map_or(u32::MAX, ms)));
        Wire::Bare(connection)
    } else {
        let own = match &plan.cert {
            Some(cert) => {
                let key = plan.key.as_ref().unwrap_or(cert);
                Some(Arc::new(Own::read(Path::new(cert), Path::new(key))?))
            }
            None => None,
        };
        let wish = Wish {
            verify: !plan.insecure,
            alpn: vec![b"h2".to_vec()],
            roots: plan
                .cacert
                .as_ref()
                .map(|f| secure::certificates(Path::new(f)))
                .transpose()?,
            own,
            ..Wish::default()
        };
        let name = plan
            .server_name
            .as_deref()
            .or(plan.authority.as_deref())
            .unwrap_or(host);
        let name = name
            .rsplit_once(':')
            .filter(|p| p.1.parse::<u16>().is_ok() && !p.0.contains(':'))
            .map_or(name, |p| p.0);
        let mut client = secure::Client::new(&wish, name)?;
        client
            .shake(&mut connection)
            .map_err(|e| format!("tls: {}", secure::words(&e)))?;
        connection.patience(Deadline::after_ms(plan.whole.map_or(u32::MAX, ms)));
        Wire::Secured(Box::new(StreamOwned::new(client.tls, connection)))
    };
    Ok(Line {
        client: Client::begin(wire, plan.most).map_err(|e| words(&e))?,
        scheme: if plan.plaintext { "http" } else { "https" },
        authority: plan
            .authority
            .clone()
            .unwrap_or_else(|| address.to_string()),
    })
}

fn words(e: &io::Error) -> String {
    match e.kind() {
        ErrorKind::TimedOut => "no answer in time".into(),
        ErrorKind::UnexpectedEof => "the server ended the connection".into(),
        ErrorKind::InvalidData => e.to_string(),
        _ => sockets::words(e),
    }
}

impl Line {
    /// A call with these messages; what comes is handed on as it comes.
    pub fn call(
        &mut self,
        plan: &Plan,
        path: &str,
        messages: &[Vec<u8>],
        keep: &mut dyn FnMut(Came<'_>) -> Any<()>,
    ) -> Any<Result<(), Trouble>> {
        let mut more: Fields = vec![("user-agent".into(), plan.agent.clone())];
        if let Some(whole) = plan.whole {
            more.push((
                "grpc-timeout".into(),
                format!("{}m", whole.as_millis().min(99_999_999)),
            ));
        }
        let own = plan.headers.iter().filter(|h| h.3);
        more.extend(own.map(|h| (h.0.clone(), h.1.clone())));
        let said = |e: io::Error| Trouble::Said(words(&e));
        if let Err(e) = self.client.call(path, self.scheme, &self.authority, &more) {
            return Ok(Err(said(e)));
        }
        for message in messages {
            if let Err(e) = self.client.send(message) {
                return Ok(Err(said(e)));
            }
        }
        if let Err(e) = self.client.end() {
            return Ok(Err(said(e)));
        }
        loop {
            match self.client.event() {
                Ok(Event::Headers(fields)) => {
                    if let Some(e) = refused(&fields) {
                        return Ok(Err(e));
                    }
                    keep(Came::Headers(&fields))?;
                }
                Ok(Event::Message(bytes)) => keep(Came::Message(&bytes))?,
                Ok(Event::Trailers(fields)) => {
                    if let Some(e) = refused(&fields) {
                        return Ok(Err(e));
                    }
                    keep(Came::Trailers(&fields))?;
                    return Ok(ended(&fields));
                }
                // The deadline is a status too.
                Err(e) if e.kind() == ErrorKind::TimedOut => {
                    return Ok(Err(Trouble::Status(4, "context deadline exceeded".into())));
                }
                Err(e) => return Ok(Err(said(e))),
            }
        }
    }

    /// One question to the reflection service, of the version that the server has.
    fn reflect(&mut self, plan: &Plan, request: &[u8]) -> Result<Vec<u8>, Trouble> {
        let own = plan.headers.iter().filter(|h| h.2);
        let more: Fields = own.map(|h| (h.0.clone(), h.1.clone())).collect();
        let mut last = Trouble::Status(12, String::new());
        for version in REFLECTION {
            let path = format!("/{version}.ServerReflection/ServerReflectionInfo");
            let said = |e: io::Error| Trouble::Said(words(&e));
            self.client
                .call(&path, self.scheme, &self.authority, &more)
                .map_err(said)?;
            self.client.send(request).map_err(said)?;
            self.client.end().map_err(said)?;
            let mut answer = None;
            let done = loop {
                match self.client.event().map_err(said)? {
                    Event::Headers(fields) => {
                        if let Some(e) = refused(&fields) {
                            break Err(e);
                        }
                    }
                    Event::Message(bytes) => answer = Some(bytes),
                    Event::Trailers(fields) => {
                        break refused(&fields).map_or_else(|| ended(&fields), Err);
                    }
                }
            };
            match (done, answer) {
                (_, Some(answer)) => return Ok(answer),
                (Err(Trouble::Status(12, why)), None) => last = Trouble::Status(12, why),
                (Err(e), None) => return Err(e),
                (Ok(()), None) => {
                    return Err(Trouble::Said(
                        "the reflection service gave no answer".into(),
                    ));
                }
            }
        }
        Err(last)
    }

    /// The names of the services, in their order.
    pub fn services(&mut self, plan: &Plan) -> Result<Vec<String>, Trouble> {
        let mut request = Vec::new();
        put_bytes(&mut request, 7, b"*");
        let answer = self.reflect(plan, &request)?;
        let mut names = BTreeSet::new();
        for (number, value) in fields(&answer)? {
            match number {
                6 => {
                    for (_, one) in fields(value.bytes())?.iter().filter(|f| f.0 == 1) {
                        names.extend(
                            fields(one.bytes())?
                                .iter()
                                .filter(|f| f.0 == 1)
                                .map(|f| f.1.text()),
                        );
                    }
                }
                7 => return Err(failed(value.bytes())),
                _ => {}
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Learns of a symbol and of all that it needs.
    pub fn learn(&mut self, plan: &Plan, symbol: &str, schema: &mut Schema) -> Result<(), Trouble> {
        let mut request = Vec::new();
        put_bytes(&mut request, 4, symbol.as_bytes());
        let mut wanted = match self.files(plan, &request, schema) {
            Err(Trouble::Said(why)) if why.contains("not found") || why.contains("NotFound") => {
                // A method by its name: its service knows it.
                let Some((service, _)) = symbol.rsplit_once('.') else {
                    return Err(Trouble::Said(why));
                };
                let mut request = Vec::new();
                put_bytes(&mut request, 4, service.as_bytes());
                self.files(plan, &request, schema)?
            }
            other => other?,
        };
        while let Some(name) = wanted.pop() {
            if schema.files.contains_key(&name) {
                continue;
            }
            if schema.files.len() > FILES {
                return Err(Trouble::Said("the server's descriptors have no end".into()));
            }
            let mut request = Vec::new();
            put_bytes(&mut request, 3, name.as_bytes());
            let more = self.files(plan, &request, schema)?;
            // A server that does not know its own file would be asked for ever.
            schema.files.entry(name).or_default();
            wanted.extend(more);
        }
        Ok(())
    }

    fn files(
        &mut self,
        plan: &Plan,
        request: &[u8],
        schema: &mut Schema,
    ) -> Result<Vec<String>, Trouble> {
        let answer = self.reflect(plan, request)?;
        let mut needs = Vec::new();
        for (number, value) in fields(&answer)? {
            match number {
                4 => {
                    for (_, file) in fields(value.bytes())?.iter().filter(|f| f.0 == 1) {
                        needs.extend(schema.add(file.bytes()).map_err(Trouble::Said)?);
                    }
                }
                7 => return Err(failed(value.bytes())),
                _ => {}
            }
        }
        Ok(needs)
    }
}

fn fields(bytes: &[u8]) -> Result<Vec<(u32, netshoot_wire::protobuf::Value<'_>)>, Trouble> {
    read_fields(bytes).map_err(|e| Trouble::Said(format!("the reflection service's answer: {e}")))
}

/// ErrorResponse: code, message.
fn failed(bytes: &[u8]) -> Trouble {
    let all = read_fields(bytes).unwrap_or_default();
    let code = all.iter().find(|f| f.0 == 1).map_or(2, |f| f.1.number());
    let text = all
        .iter()
        .find(|f| f.0 == 2)
        .map(|f| f.1.text())
        .unwrap_or_default();
    let word = usize::try_from(code)
        .ok()
        .and_then(|c| CODES.get(c))
        .unwrap_or(&"Unknown");
    Trouble::Said(match code {
        5 => format!("Symbol not found: {text}"),
        _ => format!("{word}: {text}"),
    })
}

/// An answer that is no gRPC.
fn refused(fields: &Fields) -> Option<Trouble> {
    let get = |name: &str| fields.iter().find(|f| f.0 == name).map(|f| f.1.as_str());
    let status = get(":status")?;
    let grpc = get("content-type").is_some_and(|t| t.starts_with("application/grpc"));
    match status == "200" && (grpc || get("grpc-status").is_some()) {
        true => None,
        false => Some(Trouble::Said(format!(
            "the server answered {status} with {}, which is no gRPC",
            get("content-type").unwrap_or("no content type")
        ))),
    }
}

fn ended(fields: &Fields) -> Result<(), Trouble> {
    let get = |name: &str| fields.iter().find(|f| f.0 == name).map(|f| f.1.as_str());
    match get("grpc-status").map(|s| s.parse::<u8>().unwrap_or(2)) {
        Some(0) => Ok(()),
        Some(number) => {
            let text = get("grpc-message").unwrap_or_default();
            let text = super::super::httpd::unescaped(std::ffi::OsStr::new(text), false);
            Err(Trouble::Status(
                number,
                String::from_utf8_lossy(&text).into_owned(),
            ))
        }
        None => Err(Trouble::Said(
            "the server ended the call without a status".into(),
        )),
    }
}
