//! Requests back as JSON, over anything that reads and writes.

use super::plan::Talk;
use super::serve::{Ends, Shared};
use super::socket;
use netshoot_host::requests::{read_head, reason, take_body};
use netshoot_wire::dns::digits::base64;
use netshoot_wire::http::{Body, Headers, MAX_HEAD, Request, Response};
use serde_json::{Map, Value, json};
use std::io::{Read, Result as Io, Write};

/// As much of a body is given back, bytes; the rest is counted.
const KEPT: usize = 64 * 1024;

/// Requests of one connection until it ends.
pub fn serve(stream: &mut (impl Read + Write), ends: &Ends, shared: &Shared) -> Io<()> {
    let mut bytes = Vec::new();
    loop {
        let request = match read_head(stream, &mut bytes) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(why) => {
                let status = if bytes.len() > MAX_HEAD { 431 } else { 400 };
                let text = json!({"problem": why}).to_string() + "\n";
                stream.write_all(&answer(status, &text, false, true))?;
                return Err(std::io::Error::other(why));
            }
        };
        let field = |name: &str| request.headers.get(name).unwrap_or_default();
        if field("upgrade").eq_ignore_ascii_case("websocket") {
            return socket::serve(stream, bytes, &request, ends, shared);
        }
        if field("expect").eq_ignore_ascii_case("100-continue") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let connection = field("connection").to_ascii_lowercase();
        let last = match request.minor {
            0 => !connection.contains("keep-alive"),
            _ => connection.contains("close"),
        };
        // What is behind a chunked body in the same read is not kept.
        let last = last || request.body() == Body::Chunked;
        let (mut kept, mut total) = (Vec::new(), 0u64);
        let whole = take_body(stream, &mut bytes, request.body(), |piece| {
            total += piece.len() as u64;
            let room = KEPT.saturating_sub(kept.len()).min(piece.len());
            kept.extend_from_slice(piece.get(..room).unwrap_or_default());
        });
        if !whole {
            return Ok(());
        }
        shared.delay();
        let status = shared.plan.status.unwrap_or(200);
        let text = told(&request, ends, &kept, total, &shared.plan.name) + "\n";
        let silent = request.method == "HEAD" || matches!(status, 204 | 304);
        stream.write_all(&answer(status, &text, silent, last))?;
        stream.flush()?;
        shared.tell(json!({
            "talk": ends.talk.word(), "from": ends.from.to_string(), "method": request.method,
            "path": request.target, "status": status, "bytes": total,
        }));
        if last {
            return Ok(());
        }
    }
}

fn answer(status: u16, text: &str, silent: bool, last: bool) -> Vec<u8> {
    let field = |name: &str, value: String| (name.to_string(), value);
    let mut headers = vec![
        field("Content-Type", "application/json".into()),
        field(
            "Connection",
            if last { "close" } else { "keep-alive" }.into(),
        ),
    ];
    if !matches!(status, 204 | 304) {
        headers.insert(1, field("Content-Length", text.len().to_string()));
    }
    let head = Response {
        minor: 1,
        status,
        reason: reason(status).into(),
        headers: Headers(headers),
    };
    let mut out = head.encode();
    if !silent {
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn told(request: &Request, ends: &Ends, body: &[u8], total: u64, name: &str) -> String {
    let mut headers: Map<String, Value> = Map::new();
    for (field, value) in &request.headers.0 {
        // The same field again: as one, in their order (RFC 9110, 5.3).
        match headers.get_mut(field) {
            Some(Value::String(all)) => *all += &format!(", {value}"),
            _ => drop(headers.insert(field.clone(), Value::String(value.clone()))),
        }
    }
    let (path, query) = match request.target.split_once('?') {
        Some((path, query)) => (path, Value::String(query.into())),
        None => (request.target.as_str(), Value::Null),
    };
    let mut all = json!({
        "name": name,
        "method": request.method,
        "path": path,
        "query": query,
        "version": format!("HTTP/1.{}", request.minor),
        "from": ends.from.to_string(),
        "to": ends.to.map(|a| a.to_string()),
        "tls": ends.tls,
        "headers": headers,
        "body_bytes": total,
    });
    if total > 0 {
        match std::str::from_utf8(body) {
            Ok(text) => all["body"] = Value::String(text.into()),
            Err(_) => all["body_base64"] = Value::String(base64(body)),
        }
        if total > body.len() as u64 {
            all["body_cut_at"] = json!(body.len());
        }
    }
    debug_assert!(ends.talk != Talk::Udp);
    serde_json::to_string_pretty(&all).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{plan, serve};
    use super::*;

    struct Given<'a>(&'a [u8], Vec<u8>);

    impl Read for Given<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> Io<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Given<'_> {
        fn write(&mut self, bytes: &[u8]) -> Io<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> Io<()> {
            Ok(())
        }
    }

    /// What a connection with these bytes is answered.
    pub fn answered(bytes: &[u8]) -> Vec<u8> {
        let args = ["--http".into(), "1".into(), "--name".into(), "echo".into()];
        let (read, ..) = crate::io::heard(|io| plan::read(&args, io).unwrap());
        let plan::Read::Plan(plan) = read else {
            panic!("a good line")
        };
        let ends = Ends {
            talk: Talk::Http,
            from: "10.0.0.1:5".parse().unwrap(),
            to: None,
            tls: None,
        };
        let mut stream = Given(bytes, Vec::new());
        let _ = serve(&mut stream, &ends, &serve::silent(*plan));
        stream.1
    }

    #[test]
    fn a_request_comes_back_as_json() {
        let said = answered(b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX: 1\r\nX: 2\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n");
        let text = String::from_utf8(said).unwrap();
        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
        for part in [
            "\"X\": \"1, 2\"",
            "\"body\": \"hello\"",
            "\"query\": \"b=c\"",
            "\"name\": \"echo\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_websocket_message_comes_back() {
        let mut bytes = b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".to_vec();
        // RFC 6455, 5.7: a masked "Hello"; then a close.
        bytes.extend([
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ]);
        bytes.extend([0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]);
        let said = answered(&bytes);
        let text = String::from_utf8_lossy(&said);
        assert!(
            text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{text}"
        );
        assert!(said.ends_with(b"\x81\x05Hello\x88\x02\x03\xe8"), "{text}");
    }

    #[test]
    fn damaged_requests_end() {
        let valid = b"POST /x HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        netshoot_wire::fuzz::mutations(valid, 4_000, |bytes| {
            let said = answered(bytes);
            assert!(said.len() < 16_384);
        });
    }
}
