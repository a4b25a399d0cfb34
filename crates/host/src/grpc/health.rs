//! `grpc.health.v1.Health`: Check and Watch.

use super::{Call, Said, status};

/// Its name.
pub const SERVICE: &str = "grpc.health.v1.Health";

/// `service` of a HealthCheckRequest (field 1, a string).
fn asked(message: &[u8]) -> Option<&str> {
    let (0x0a, length) = (*message.first()?, usize::from(*message.get(1)?)) else {
        return None;
    };
    std::str::from_utf8(message.get(2..length.checked_add(2)?)?).ok()
}

/// What the service says; `serving` knows for each name whether it serves, and none of names that there are not.
pub fn answer(call: &Call, message: Option<&[u8]>, serving: &dyn Fn(&str) -> Option<bool>) -> Said {
    let method = call.path.strip_prefix("/grpc.health.v1.Health/");
    if !matches!(method, Some("Check" | "Watch")) {
        return Said::Failed(status::UNIMPLEMENTED, format!("no method {}", call.path));
    }
    let Some(message) = message else {
        return Said::Messages(Vec::new());
    };
    let service = asked(message).unwrap_or_default();
    // HealthCheckResponse: field 1, a varint: SERVING is 1, NOT_SERVING 2, SERVICE_UNKNOWN 3.
    let number = match (serving(service), method) {
        (Some(true), _) => 1,
        (Some(false), _) => 2,
        (None, Some("Watch")) => 3,
        (None, _) => return Said::Failed(status::NOT_FOUND, format!("unknown service {service}")),
    };
    let all = vec![vec![0x08, number]];
    match method {
        Some("Watch") => Said::Open(all),
        _ => Said::Messages(all),
    }
}
