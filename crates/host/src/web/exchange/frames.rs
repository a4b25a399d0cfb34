//! WebSocket behind its handshake: what frames hold is the body; pings are answered, and a good-bye is.

use super::{Exchange, State};
use crate::web::failure::{Failure, code};
use netshoot_wire::web::base64;
use netshoot_wire::websocket::{Frame, GUID, opcode};

/// Largest frame, bytes.
const LARGEST: u64 = 16 << 20;

/// A client's side of a WebSocket.
#[derive(Debug, Default)]
pub(super) struct Socket {
    key: String,
    came: Vec<u8>,
    /// The server agreed.
    open: bool,
}

impl Socket {
    /// For a request that asks for it.
    pub(super) fn asked(head: &[u8]) -> Option<Socket> {
        let text = String::from_utf8_lossy(head);
        let key = text
            .lines()
            .find_map(|l| l.strip_prefix("Sec-WebSocket-Key: "))?;
        Some(Socket {
            key: key.to_string(),
            ..Socket::default()
        })
    }

    /// What a server proves with that it read the key (RFC 6455, 4.2.2).
    fn proof(&self) -> String {
        let both = format!("{}{GUID}", self.key);
        let kind = &ring::digest::SHA1_FOR_LEGACY_USE_ONLY;
        base64(ring::digest::digest(kind, both.as_bytes()).as_ref())
    }
}

fn mask() -> [u8; 4] {
    let mut mask = [0; 4];
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut mask);
    mask
}

impl Exchange<'_, '_> {
    /// The head is there: the server agreed, or the transfer failed.
    pub(super) fn agreed(&mut self) -> Result<(), Failure> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        let status = self.head.status;
        if status != 101 {
            let said = format!("Refused WebSockets upgrade: {status}");
            return Err(self.under.fail(code::HTTP, said));
        }
        if self.head.get("sec-websocket-accept") != Some(socket.proof().as_str()) {
            let said = "WebSocket: the server has not proved that it read the key";
            return Err(self.under.fail(code::RECEIVE, said));
        }
        socket.open = true;
        Ok(())
    }

    /// Takes bytes of frames; false where there are none here.
    pub(super) fn frames(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let Some(socket) = self.socket.as_mut().filter(|s| s.open) else {
            return Ok(false);
        };
        let mut came = std::mem::take(&mut socket.came);
        came.extend_from_slice(bytes);
        let mut at = 0;
        while self.state != State::Done {
            let rest = came.get(at..).unwrap_or_default();
            let decoded = Frame::decode(rest, LARGEST);
            let Some((frame, taken)) = decoded.map_err(|e| {
                let said = format!("WebSocket: {e}");
                self.under.fail(code::RECEIVE, said)
            })?
            else {
                break;
            };
            at += taken;
            self.frame(frame)?;
        }
        came.drain(..at);
        if let Some(socket) = &mut self.socket {
            socket.came = came;
        }
        Ok(true)
    }

    fn frame(&mut self, frame: Frame) -> Result<(), Failure> {
        let answer = match frame.opcode {
            opcode::PING => Frame::whole(opcode::PONG, frame.payload),
            opcode::CLOSE => {
                self.state = State::Done;
                Frame::whole(opcode::CLOSE, frame.payload)
            }
            opcode::PONG => return Ok(()),
            _ => return self.deliver(&frame.payload),
        };
        self.out.drain(..self.out_at.min(self.out.len()));
        self.out_at = 0;
        // Whoever asks and does not listen gets no more answers.
        if self.out.len() < super::BUFFER {
            self.out.extend(answer.encode(Some(mask())));
        }
        if self.state == State::Done {
            self.answer.close = true;
            self.send()?;
        }
        Ok(())
    }
}
