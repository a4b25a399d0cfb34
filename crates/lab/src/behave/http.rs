//! An HTTP/1.1 server as small as a program's health endpoint, over anything that reads and writes.

use super::listen::slow;
use super::{Listen, Shared, say};
use netshoot_host::requests::{read_head, reason, take_body};
use netshoot_wire::http::{Body, Headers, MAX_HEAD, Request, Response};
use std::io::{Read, Write};

/// Body bytes written at once.
const PIECE: usize = 16 * 1024;

/// Requests of one connection until it ends.
pub(super) fn serve(
    stream: &mut (impl Read + Write),
    listen: &Listen,
    shared: &Shared,
) -> Result<(), String> {
    let mut bytes = Vec::new();
    loop {
        let request = match read_head(stream, &mut bytes) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(why) => {
                let status = if bytes.len() > MAX_HEAD { 431 } else { 400 };
                drop(answer(
                    stream,
                    listen,
                    shared,
                    &Request::default(),
                    status,
                    true,
                ));
                return Err(format!("bad request ({why})"));
            }
        };
        if request
            .headers
            .get("expect")
            .is_some_and(|e| e.eq_ignore_ascii_case("100-continue"))
            && stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err()
        {
            return Ok(());
        }
        let connection = request
            .headers
            .get("connection")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let last = if request.minor == 0 {
            !connection.contains("keep-alive")
        } else {
            connection.contains("close")
        };
        let last = last || request.body() == Body::Chunked;
        if !take_body(stream, &mut bytes, request.body(), |_| ()) {
            return Ok(());
        }
        slow(listen, shared);
        let path = request.target.split('?').next().unwrap_or_default();
        let failing = !listen.failing_path.is_empty() && path == listen.failing_path;
        let status = if failing {
            503
        } else {
            listen.status.unwrap_or(200)
        };
        if status >= 500 {
            say(format_args!("{} {path} {status}", request.method));
        }
        if answer(stream, listen, shared, &request, status, last).is_err() || last {
            return Ok(());
        }
    }
}

fn answer(
    stream: &mut impl Write,
    listen: &Listen,
    shared: &Shared,
    request: &Request,
    status: u16,
    last: bool,
) -> std::io::Result<()> {
    let word = if status < 400 { "ok" } else { "not ok" };
    let short = format!("{{\"status\":\"{word}\",\"pod\":\"{}\"}}\n", shared.name);
    let length = if listen.body_bytes == 0 {
        short.len()
    } else {
        listen.body_bytes as usize
    };
    let field = |name: &str, value: String| (name.to_string(), value);
    let head = Response {
        minor: 1,
        status,
        reason: reason(status).into(),
        headers: Headers(vec![
            field(
                "Content-Type",
                if listen.body_bytes == 0 {
                    "application/json"
                } else {
                    "text/plain"
                }
                .into(),
            ),
            field("Content-Length", length.to_string()),
            field(
                "Connection",
                if last { "close" } else { "keep-alive" }.into(),
            ),
        ]),
    };
    let mut out = head.encode();
    let silent = request.method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
    if silent {
        return stream.write_all(&out).and_then(|()| stream.flush());
    }
    if listen.body_bytes == 0 {
        out.extend_from_slice(short.as_bytes());
        return stream.write_all(&out).and_then(|()| stream.flush());
    }
    let mut left = length;
    while left > 0 || !out.is_empty() {
        let n = left.min(PIECE.saturating_sub(out.len()).max(1));
        out.resize(out.len() + n.min(left), b'x');
        left -= n.min(left);
        stream.write_all(&out)?;
        out.clear();
    }
    stream.flush()
}
