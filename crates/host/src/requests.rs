//! The server's side of HTTP/1.1: heads and bodies as they come over anything that reads.

use netshoot_wire::http::{Body, Chunks, Request};
use std::io::Read;

/// The next head; none at the end of the connection. Bytes behind it stay in `bytes`.
pub fn read_head(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Result<Option<Request>, String> {
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

/// Reads the body and hands it on, piece by piece; false when the connection ended within.
pub fn take_body(
    stream: &mut impl Read,
    bytes: &mut Vec<u8>,
    body: Body,
    mut keep: impl FnMut(&[u8]),
) -> bool {
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
            keep(bytes.get(..taken as usize).unwrap_or_default());
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
                let done = chunks.feed(bytes, &mut keep);
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

/// Reason phrases (RFC 9110, 15) of the codes that servers here use.
pub fn reason(status: u16) -> &'static str {
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
                if !take_body(&mut stream, &mut kept, request.body(), |_| ()) {
                    break;
                }
            }
            assert!(heads <= bytes.len());
        });
    }
}
