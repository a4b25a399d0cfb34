//! TELNET as curl has it: what comes is printed, what is given is sent, options are refused.

use super::dial::Under;
use super::exchange::send_all;
use super::failure::{Failure, code};
use super::session::Connection;
use std::io::{self, Read};
use std::time::Duration;

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const SE: u8 = 240;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Command,
    Option(u8),
    Inside,
    InsideCommand,
}

/// Talks until one side ends.
pub fn talk(under: &mut Under<'_>, connection: &mut Connection) -> Result<(), Failure> {
    let mut state = State::Data;
    let mut buffer = vec![0; 16 * 1024];
    let mut giving = true;
    loop {
        if under.whole_left().is_some_and(|l| l.is_zero()) {
            let said = "Time-out";
            return Err(under.fail(code::TIMEOUT, said));
        }
        if giving {
            let mut piece = vec![0; 4096];
            match under.watch.give(&mut piece) {
                Ok(0) => giving = false,
                Ok(n) => {
                    let bytes = piece.get(..n).unwrap_or_default();
                    let doubled: Vec<u8> = bytes
                        .iter()
                        .flat_map(|b| vec![*b; if *b == IAC { 2 } else { 1 }])
                        .collect();
                    send_all(under, &mut connection.pipe, &doubled)?;
                    under.info.sent += n as u64;
                }
                Err(_) => {}
            }
        }
        match connection.pipe.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                let bytes = buffer.get(..n).unwrap_or_default().to_vec();
                let (data, answer) = understand(&bytes, &mut state);
                under.info.received += data.len() as u64;
                if !data.is_empty() {
                    under.watch.body(&data, under.info)?;
                }
                send_all(under, &mut connection.pipe, &answer)?;
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let patience = if giving { 100 } else { 500 };
                let waited = connection
                    .pipe
                    .wait(true, false, Duration::from_millis(patience));
                waited.map_err(|e| Failure::new(code::RECEIVE, e.to_string()))?;
            }
            Err(e) => {
                let said = format!("Recv failure: {}", crate::sockets::strerror(&e));
                return Err(under.fail(code::RECEIVE, said));
            }
        }
        under.watch.progress(under.info);
    }
}

/// Data, and what is answered: nothing is agreed to but binary transmission.
fn understand(bytes: &[u8], state: &mut State) -> (Vec<u8>, Vec<u8>) {
    let (mut data, mut answer) = (Vec::new(), Vec::new());
    for b in bytes {
        *state = match (*state, *b) {
            (State::Data, IAC) => State::Command,
            (State::Data, b) => {
                data.push(b);
                State::Data
            }
            (State::Command, IAC) => {
                data.push(IAC);
                State::Data
            }
            (State::Command, b @ (DO | DONT | WILL | WONT)) => State::Option(b),
            (State::Command, SB) => State::Inside,
            (State::Command, _) => State::Data,
            (State::Option(DO), option) => {
                answer.extend([IAC, WONT, option]);
                State::Data
            }
            (State::Option(WILL), option) => {
                answer.extend([IAC, DONT, option]);
                State::Data
            }
            (State::Option(_), _) => State::Data,
            (State::Inside, IAC) => State::InsideCommand,
            (State::Inside, _) => State::Inside,
            (State::InsideCommand, SE) => State::Data,
            (State::InsideCommand, _) => State::Inside,
        };
    }
    (data, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_refused_and_data_stays() {
        let mut state = State::Data;
        let (data, answer) = understand(
            &[b'a', IAC, DO, 1, IAC, WILL, 3, IAC, IAC, b'b'],
            &mut state,
        );
        assert_eq!(data, [b'a', IAC, b'b']);
        assert_eq!(answer, [IAC, WONT, 1, IAC, DONT, 3]);
        netshoot_wire::fuzz::mutations(
            &[b'a', IAC, DO, 1, IAC, SB, 24, 1, IAC, SE, b'b'],
            2_000,
            |bytes| {
                let mut state = State::Data;
                let (data, answer) = understand(bytes, &mut state);
                assert!(data.len() <= bytes.len() && answer.len() <= bytes.len());
            },
        );
    }
}
