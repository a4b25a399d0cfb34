//! An HTTP/1.1 server as small as a program's health endpoint, over anything that reads and writes.

use super::listen::slow;
use super::{Listen, Shared, say};
use netshoot_wire::http::{Body, Chunks, Headers, MAX_HEAD, Request, Response};
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
        if !skip_body(stream, &mut bytes, request.body()) {
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

/// The next head; none at the end of the connection. Bytes behind it stay in `bytes`.
fn read_head(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Result<Option<Request>, String> {
    let mut piece = [0; 4096];
    loop {
        if let Some((request, taken)) = Request::decode(bytes).map_err(|e| e.to_string())? {
            bytes.drain(..taken);
            return Ok(Some(request));
        }
        match stream.read(&mut piece) {
            Ok(n @ 1..) => bytes.extend_from_slice(piece.get(..n).unwrap_or_default()),
            _ => return Ok(None),
        }
    }
}

/// Reads the body and forgets it; false when the connection ended within.
fn skip_body(stream: &mut impl Read, bytes: &mut Vec<u8>, body: Body) -> bool {
    let mut piece = [0; 4096];
    let mut read = move |bytes: &mut Vec<u8>| {
        let Ok(n @ 1..) = stream.read(&mut piece) else {
            return false;
        };
        bytes.extend_from_slice(piece.get(..n).unwrap_or_default());
        true
    };
    match body {
        Body::Close => true,
        Body::Length(mut left) => loop {
            let taken = left.min(bytes.len() as u64);
            bytes.drain(..taken as usize);
            left -= taken;
            if left == 0 {
                return true;
            }
            if !read(bytes) {
                return false;
            }
        },
        Body::Chunked => {
            let mut chunks = Chunks::default();
            loop {
                let done = chunks.feed(bytes, |_| {});
                bytes.clear();
                match done {
                    Ok(true) => return true,
                    Ok(false) if read(bytes) => {}
                    _ => return false,
                }
            }
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

/// Reason phrases (RFC 9110, 15) of the codes that worlds use.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_requests_end() {
        let valid = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        netshoot_wire::fuzz::mutations(valid, 20_000, |bytes| {
            let (mut stream, mut kept) = (bytes, Vec::new());
            let mut heads = 0;
            while let Ok(Some(request)) = read_head(&mut stream, &mut kept) {
                heads += 1;
                if !skip_body(&mut stream, &mut kept, request.body()) {
                    break;
                }
            }
            assert!(heads <= bytes.len());
        });
    }
}
