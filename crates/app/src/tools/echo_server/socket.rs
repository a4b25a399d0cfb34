//! WebSocket messages as they are (RFC 6455).

use super::serve::{Ends, Shared};
use netshoot_wire::dns::digits::base64;
use netshoot_wire::http::Request;
use netshoot_wire::websocket::{Frame, GUID, opcode};
use ring::digest;
use serde_json::json;
use std::io::{Read, Result as Io, Write};

/// Longest frame that is given back, bytes.
const MOST: u64 = 1 << 20;

/// What proves that a server understood (RFC 6455, 4.2.2).
pub fn accepted(key: &str) -> String {
    let text = format!("{key}{GUID}");
    base64(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

/// Answers the handshake and gives back messages until the end.
pub fn serve(
    stream: &mut (impl Read + Write),
    mut bytes: Vec<u8>,
    request: &Request,
    ends: &Ends,
    shared: &Shared,
) -> Io<()> {
    let field = |name: &str| request.headers.get(name);
    let Some(key) = field("sec-websocket-key") else {
        return stream.write_all(
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    if field("sec-websocket-version").is_some_and(|v| v != "13") {
        return stream.write_all(b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    // Of the protocols that a client offers, the first: an echo speaks all.
    let protocol = field("sec-websocket-protocol").and_then(|p| p.split(',').next());
    let protocol = protocol.map(|p| format!("Sec-WebSocket-Protocol: {}\r\n", p.trim()));
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n{}\r\n",
        accepted(key.trim()),
        protocol.unwrap_or_default()
    )?;
    stream.flush()?;
    let (mut messages, mut piece) = (0u64, vec![0; 16 * 1024]);
    let end = loop {
        match Frame::decode(&bytes, MOST) {
            Ok(Some((frame, taken))) => {
                bytes.drain(..taken);
                if !frame.masked {
                    break Frame::close(1002, "a client's frames are masked");
                }
                messages += u64::from(frame.last && frame.opcode < opcode::CLOSE);
                match frame.opcode {
                    opcode::CLOSE => break frame,
                    opcode::PONG => continue,
                    opcode::TEXT if frame.last && std::str::from_utf8(&frame.payload).is_err() => {
                        break Frame::close(1007, "text is UTF-8");
                    }
                    _ => {}
                }
                shared.delay();
                let back = match frame.opcode {
                    opcode::PING => Frame::whole(opcode::PONG, frame.payload),
                    _ => frame,
                };
                stream.write_all(&back.encode(None))?;
                stream.flush()?;
            }
            Ok(None) => match stream.read(&mut piece)? {
                0 => return Ok(()),
                n => bytes.extend_from_slice(piece.get(..n).unwrap_or_default()),
            },
            Err(wrong) if wrong.expected == "a shorter frame" => {
                break Frame::close(1009, "at most 1 MiB");
            }
            Err(wrong) => break Frame::close(1002, wrong.expected),
        }
    };
    stream.write_all(&end.encode(None))?;
    stream.flush()?;
    shared.tell(json!({
        "talk": "websocket", "from": ends.from.to_string(), "path": request.target, "status": end.number(),
        "bytes": messages,
    }));
    Ok(())
}
