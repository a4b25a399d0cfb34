//! `--as-json`: the whole run as one object; HTTPie itself has no format for machines, and its `--json` says what is sent.

use super::request::Request;
use super::show;
use netshoot_wire::web::base64;
use serde_json::{Value, json};

/// More of a body than this is counted and left out.
const MOST: usize = 32 * 1024 * 1024;

/// What was asked and answered so far.
#[derive(Debug, Default)]
pub struct Record {
    exchanges: Vec<Value>,
    body: Vec<u8>,
    bytes: u64,
    kind: String,
}

/// In the order they came, since a name may come twice.
fn headers(lines: &[(String, String)]) -> Value {
    let one = |(name, value): &(String, String)| json!({"name": name, "value": value});
    lines.iter().map(one).collect()
}

/// A body as text, or as base64 where it is none.
fn body(bytes: &[u8], kind: &str, into: &mut Value) {
    match std::str::from_utf8(bytes) {
        Ok("") => {}
        Ok(text) => into["body"] = text.into(),
        Err(_) if show::is_latin(kind) => into["body"] = show::text_of(bytes, kind).into(),
        Err(_) => into["body_base64"] = base64(bytes).into(),
    }
}

impl Record {
    /// A request goes out.
    pub fn request(&mut self, request: &Request, lines: &[(String, String)]) {
        let mut told = json!({
            "method": request.method,
            "url": request.url.to_string(),
            "headers": headers(lines),
        });
        body(&request.body, "", &mut told);
        self.exchanges.push(json!({"request": told}));
    }

    fn last(&mut self) -> Option<&mut Value> {
        self.exchanges.last_mut()
    }

    /// The head of its answer: `HTTP/1.1 200 OK` and fields.
    pub fn head(&mut self, first: &str, fields: &[(String, String)]) {
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|s| s.parse::<u16>().ok());
        let told = json!({
            "version": version.trim_start_matches("HTTP/"),
            "status": status,
            "reason": words.next().unwrap_or_default(),
            "headers": headers(fields),
        });
        let kind = super::hear::field(fields, "content-type");
        self.kind = kind.unwrap_or_default().to_string();
        if let Some(exchange) = self.last() {
            exchange["response"] = told;
        }
    }

    /// A piece of its body.
    pub fn piece(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let room = MOST.saturating_sub(self.body.len()).min(bytes.len());
        self.body
            .extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    /// It is through, or broke off.
    pub fn ended(&mut self, seconds: f64) {
        let (bytes, held) = (
            std::mem::take(&mut self.bytes),
            std::mem::take(&mut self.body),
        );
        let kind = std::mem::take(&mut self.kind);
        let Some(exchange) = self.last() else { return };
        exchange["seconds"] = seconds.into();
        let Some(told) = exchange.get_mut("response") else {
            return;
        };
        told["bytes"] = bytes.into();
        match bytes > held.len() as u64 {
            true => told["body_left_out"] = true.into(),
            false => body(&held, &kind, told),
        }
    }

    /// The object, with what went wrong.
    pub fn written(self, error: Option<&str>, code: i32) -> String {
        let mut all = json!({"exchanges": self.exchanges, "exit_code": code});
        if let Some(error) = error {
            all["error"] = error.into();
        }
        format!("{all:#}\n")
    }
}
