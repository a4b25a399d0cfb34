//! gRPC: health, reflection, and an echo of what is sent.

use super::serve::{Ends, Shared};
use netshoot_host::grpc::{self, Call, Said, health, status};
use netshoot_wire::protobuf::{put_bytes, put_number, read_fields};
use serde_json::json;
use std::io::{Read, Result as Io, Write};

/// Longest message that is taken, bytes.
const MOST: usize = 4 << 20;
/// Our own service: Say gives back a message, with what is known of the connection; Chat gives back each.
const ECHO: &str = "netshoot.v1.Echo";
const REFLECTION: [&str; 2] = ["grpc.reflection.v1", "grpc.reflection.v1alpha"];

/// A field of a message for a descriptor: name, number, kind (9 text, 11 message, 14 enum, 5 number, 12 bytes), its
/// type's name, whether it is a list.
type FieldOf<'a> = (&'a str, u32, u64, &'a str, bool);

fn field(out: &mut Vec<u8>, f: &FieldOf<'_>) {
    let mut one = Vec::new();
    put_bytes(&mut one, 1, f.0.as_bytes());
    put_number(&mut one, 3, u64::from(f.1));
    put_number(&mut one, 4, if f.4 { 3 } else { 1 });
    put_number(&mut one, 5, f.2);
    if !f.3.is_empty() {
        put_bytes(&mut one, 6, f.3.as_bytes());
    }
    put_bytes(out, 2, &one);
}

fn message(file: &mut Vec<u8>, name: &str, fields: &[FieldOf<'_>], values: &[(&str, u64)]) {
    let mut one = Vec::new();
    put_bytes(&mut one, 1, name.as_bytes());
    for f in fields {
        field(&mut one, f);
    }
    if !values.is_empty() {
        let mut list = Vec::new();
        put_bytes(&mut list, 1, b"ServingStatus");
        for (name, number) in values {
            let mut value = Vec::new();
            put_bytes(&mut value, 1, name.as_bytes());
            put_number(&mut value, 2, *number);
            put_bytes(&mut list, 2, &value);
        }
        put_bytes(&mut one, 4, &list);
    }
    put_bytes(file, 4, &one);
}

/// Name, input, output, whether each streams.
type MethodOf<'a> = (&'a str, &'a str, &'a str, bool, bool);

fn service(file: &mut Vec<u8>, name: &str, methods: &[MethodOf<'_>]) {
    let mut one = Vec::new();
    put_bytes(&mut one, 1, name.as_bytes());
    for m in methods {
        let mut method = Vec::new();
        put_bytes(&mut method, 1, m.0.as_bytes());
        put_bytes(&mut method, 2, m.1.as_bytes());
        put_bytes(&mut method, 3, m.2.as_bytes());
        for (number, on) in [(5, m.3), (6, m.4)] {
            if on {
                put_number(&mut method, number, 1);
            }
        }
        put_bytes(&mut one, 2, &method);
    }
    put_bytes(file, 6, &one);
}

fn file(name: &str, package: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, name.as_bytes());
    put_bytes(&mut out, 2, package.as_bytes());
    out
}

fn ended(mut file: Vec<u8>) -> Vec<u8> {
    put_bytes(&mut file, 12, b"proto3");
    file
}

/// The files that this server is made of: FileDescriptorProto each.
pub fn descriptors() -> Vec<Vec<u8>> {
    let mut own = file("netshoot/v1/echo.proto", "netshoot.v1");
    message(
        &mut own,
        "EchoRequest",
        &[("text", 1, 9, "", false), ("payload", 2, 12, "", false)],
        &[],
    );
    message(
        &mut own,
        "EchoResponse",
        &[
            ("text", 1, 9, "", false),
            ("payload", 2, 12, "", false),
            ("name", 3, 9, "", false),
            ("from", 4, 9, "", false),
            ("headers", 5, 9, "", true),
        ],
        &[],
    );
    let (request, response) = (".netshoot.v1.EchoRequest", ".netshoot.v1.EchoResponse");
    service(
        &mut own,
        "Echo",
        &[
            ("Say", request, response, false, false),
            ("Chat", request, response, true, true),
        ],
    );
    let mut health = file("grpc/health/v1/health.proto", "grpc.health.v1");
    message(
        &mut health,
        "HealthCheckRequest",
        &[("service", 1, 9, "", false)],
        &[],
    );
    message(
        &mut health,
        "HealthCheckResponse",
        &[(
            "status",
            1,
            14,
            ".grpc.health.v1.HealthCheckResponse.ServingStatus",
            false,
        )],
        &[
            ("UNKNOWN", 0),
            ("SERVING", 1),
            ("NOT_SERVING", 2),
            ("SERVICE_UNKNOWN", 3),
        ],
    );
    let (request, response) = (
        ".grpc.health.v1.HealthCheckRequest",
        ".grpc.health.v1.HealthCheckResponse",
    );
    service(
        &mut health,
        "Health",
        &[
            ("Check", request, response, false, false),
            ("Watch", request, response, false, true),
        ],
    );
    let mut all = vec![ended(own), ended(health)];
    all.extend(REFLECTION.map(reflection));
    all
}

fn reflection(package: &str) -> Vec<u8> {
    let mut f = file(
        &format!("{}/reflection.proto", package.replace('.', "/")),
        package,
    );
    let of = |name: &str| format!(".{package}.{name}");
    let (files, services, error, one) = (
        of("FileDescriptorResponse"),
        of("ListServiceResponse"),
        of("ErrorResponse"),
        of("ServiceResponse"),
    );
    let (request, response) = (
        of("ServerReflectionRequest"),
        of("ServerReflectionResponse"),
    );
    message(
        &mut f,
        "ServerReflectionRequest",
        &[
            ("host", 1, 9, "", false),
            ("file_by_filename", 3, 9, "", false),
            ("file_containing_symbol", 4, 9, "", false),
            ("list_services", 7, 9, "", false),
        ],
        &[],
    );
    message(
        &mut f,
        "ServerReflectionResponse",
        &[
            ("valid_host", 1, 9, "", false),
            ("original_request", 2, 11, &request, false),
            ("file_descriptor_response", 4, 11, &files, false),
            ("list_services_response", 6, 11, &services, false),
            ("error_response", 7, 11, &error, false),
        ],
        &[],
    );
    message(
        &mut f,
        "FileDescriptorResponse",
        &[("file_descriptor_proto", 1, 12, "", true)],
        &[],
    );
    message(
        &mut f,
        "ListServiceResponse",
        &[("service", 1, 11, &one, true)],
        &[],
    );
    message(&mut f, "ServiceResponse", &[("name", 1, 9, "", false)], &[]);
    message(
        &mut f,
        "ErrorResponse",
        &[
            ("error_code", 1, 5, "", false),
            ("error_message", 2, 9, "", false),
        ],
        &[],
    );
    service(
        &mut f,
        "ServerReflection",
        &[("ServerReflectionInfo", &request, &response, true, true)],
    );
    ended(f)
}

/// Names that a file declares: of services, messages, methods.
fn declares(bytes: &[u8], symbol: &str) -> bool {
    let fields = read_fields(bytes).unwrap_or_default();
    let package = fields
        .iter()
        .find(|f| f.0 == 2)
        .map(|f| f.1.text())
        .unwrap_or_default();
    let Some(inner) = symbol.strip_prefix(&format!("{package}.")) else {
        return false;
    };
    let first = inner.split('.').next().unwrap_or_default();
    fields.iter().filter(|f| f.0 == 4 || f.0 == 6).any(|f| {
        let parts = read_fields(f.1.bytes()).unwrap_or_default();
        parts.iter().any(|p| p.0 == 1 && p.1.text() == first)
    })
}

/// One question of reflection, answered.
fn told(request: &[u8]) -> Vec<u8> {
    let asked = read_fields(request).unwrap_or_default();
    let mut out = Vec::new();
    put_bytes(&mut out, 2, request);
    let question = asked.iter().rev().find(|f| matches!(f.0, 3 | 4 | 7));
    let all = descriptors();
    let found = match question {
        Some((7, _)) => {
            let mut list = Vec::new();
            let names = [ECHO.to_string(), health::SERVICE.into()];
            let more = REFLECTION.map(|p| format!("{p}.ServerReflection"));
            for name in names.iter().chain(&more) {
                let mut one = Vec::new();
                put_bytes(&mut one, 1, name.as_bytes());
                put_bytes(&mut list, 1, &one);
            }
            put_bytes(&mut out, 6, &list);
            return out;
        }
        Some((4, symbol)) => all.iter().find(|f| declares(f, &symbol.text())),
        Some((_, name)) => {
            let named = |f: &&Vec<u8>| {
                read_fields(f)
                    .unwrap_or_default()
                    .iter()
                    .any(|p| p.0 == 1 && p.1.text() == name.text())
            };
            all.iter().find(named)
        }
        None => None,
    };
    match found {
        Some(file) => {
            let mut list = Vec::new();
            put_bytes(&mut list, 1, file);
            put_bytes(&mut out, 4, &list);
        }
        None => {
            let mut error = Vec::new();
            put_number(&mut error, 1, u64::from(status::NOT_FOUND));
            let what = question.map(|q| q.1.text()).unwrap_or_default();
            put_bytes(&mut error, 2, what.as_bytes());
            put_bytes(&mut out, 7, &error);
        }
    }
    out
}

fn echoed(call: &Call, message: &[u8], ends: &Ends, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, value) in read_fields(message).unwrap_or_default() {
        if matches!(number, 1 | 2) {
            put_bytes(&mut out, number, value.bytes());
        }
    }
    put_bytes(&mut out, 3, name.as_bytes());
    put_bytes(&mut out, 4, ends.from.to_string().as_bytes());
    for (n, v) in &call.headers {
        put_bytes(&mut out, 5, format!("{n}: {v}").as_bytes());
    }
    out
}

/// Calls of one connection until it ends.
pub fn serve(stream: &mut (impl Read + Write), ends: &Ends, shared: &Shared) -> Io<()> {
    let failing = shared.plan.status.is_some_and(|s| s >= 400);
    let known = |name: &str| {
        (name.is_empty() || name == ECHO || name == health::SERVICE).then_some(!failing)
    };
    let done = grpc::serve(stream, Vec::new(), MOST, &mut |call, message| {
        if let Some(m) = message {
            shared.delay();
            shared.tell(json!({
                "talk": ends.talk.word(), "from": ends.from.to_string(), "path": call.path, "bytes": m.len(),
            }));
        }
        let reflects = REFLECTION
            .iter()
            .any(|p| call.path == format!("/{p}.ServerReflection/ServerReflectionInfo"));
        match (call.path.as_str(), message) {
            (_, Some(m)) if reflects => Said::Messages(vec![told(m)]),
            ("/netshoot.v1.Echo/Say" | "/netshoot.v1.Echo/Chat", Some(m)) => {
                Said::Messages(vec![echoed(call, m, ends, &shared.plan.name)])
            }
            ("/netshoot.v1.Echo/Say" | "/netshoot.v1.Echo/Chat", None) => {
                Said::Messages(Vec::new())
            }
            (_, None) if reflects => Said::Messages(Vec::new()),
            _ => health::answer(call, message, &known),
        }
    });
    done.map_err(std::io::Error::other)
}
