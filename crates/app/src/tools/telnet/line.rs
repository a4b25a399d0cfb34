//! The line itself: telnet's questions answered, what is typed sent, what comes shown (RFC 854, 1091, 1073).

use super::{Plan, prompt};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::sockets;
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const SE: u8 = 240;

const ECHO: u8 = 1;
const SUPPRESS_GO_AHEAD: u8 = 3;
const TERMINAL_TYPE: u8 = 24;
const WINDOW_SIZE: u8 = 31;
const TERMINAL_SPEED: u8 = 32;
const FLOW_CONTROL: u8 = 33;
const LINE_MODE: u8 = 34;
const ENVIRONMENT: u8 = 39;

/// Longest subnegotiation that is kept, bytes.
const MOST: usize = 512;
/// Bytes that the peer has not taken yet: more is not read.
const ROOM: usize = 64 * 1024;

/// What the peer's bytes have led to so far.
#[derive(Debug, Default)]
pub struct Peer {
    state: State,
    /// The content of a subnegotiation.
    kept: Vec<u8>,
    /// Options that we do, and that the peer does.
    ours: Vec<u8>,
    theirs: Vec<u8>,
    /// The name of our terminal, and its size.
    terminal: String,
    size: Option<(u16, u16)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Data,
    /// A carriage return came: a NUL behind it means nothing.
    Returned,
    Command,
    /// The option of DO, DONT, WILL or WONT comes next.
    Asked(u8),
    Sub,
    SubCommand,
}

impl Peer {
    pub fn new(terminal: String, size: Option<(u16, u16)>) -> Peer {
        Peer {
            terminal,
            size,
            ..Peer::default()
        }
    }

    /// Takes bytes of the peer; gives what is to be shown, and puts what is to be answered behind `answer`.
    pub fn take(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Vec<u8> {
        let mut show = Vec::with_capacity(bytes.len());
        for byte in bytes.iter().copied() {
            self.state = match (self.state, byte) {
                (State::Returned, 0) => {
                    show.extend(self.held_back().then_some(b'\r'));
                    State::Data
                }
                (State::Returned, b'\n') => {
                    show.push(b'\n');
                    State::Data
                }
                (State::Returned, byte) if self.held_back() && byte != IAC => {
                    show.push(b'\r');
                    match byte {
                        b'\r' => State::Returned,
                        byte => {
                            show.push(byte);
                            State::Data
                        }
                    }
                }
                (State::Data | State::Returned, IAC) => State::Command,
                (State::Data | State::Returned, byte) => {
                    if byte != b'\r' || !self.held_back() {
                        show.push(byte);
                    }
                    if byte == b'\r' {
                        State::Returned
                    } else {
                        State::Data
                    }
                }
                (State::Command, IAC) => {
                    show.push(IAC);
                    State::Data
                }
                (State::Command, SB) => {
                    self.kept.clear();
                    State::Sub
                }
                (State::Command, verb @ WILL..=DONT) => State::Asked(verb),
                (State::Command, _) => State::Data,
                (State::Asked(verb), option) => {
                    self.asked(verb, option, answer);
                    State::Data
                }
                (State::Sub, IAC) => State::SubCommand,
                (State::Sub, byte) => {
                    if self.kept.len() < MOST {
                        self.kept.push(byte);
                    }
                    State::Sub
                }
                (State::SubCommand, SE) => {
                    self.told(answer);
                    State::Data
                }
                (State::SubCommand, _) => State::Sub,
            };
        }
        show
    }

    /// A peer that does not echo ends lines for us: a CR before LF is not shown.
    fn held_back(&self) -> bool {
        !self.theirs.contains(&ECHO)
    }

    /// Each option is agreed to once, or refused; what is agreed already is not answered, so that there is no loop.
    fn asked(&mut self, verb: u8, option: u8, answer: &mut Vec<u8>) {
        let (list, known, yes, no) = match verb {
            DO | DONT => {
                let known = [
                    TERMINAL_TYPE,
                    WINDOW_SIZE,
                    TERMINAL_SPEED,
                    FLOW_CONTROL,
                    ENVIRONMENT,
                    SUPPRESS_GO_AHEAD,
                    LINE_MODE,
                ];
                (&mut self.ours, known.contains(&option), WILL, WONT)
            }
            _ => (
                &mut self.theirs,
                [ECHO, SUPPRESS_GO_AHEAD].contains(&option),
                DO,
                DONT,
            ),
        };
        let have = list.contains(&option);
        match verb {
            DO | WILL if have => {}
            DO | WILL if known => {
                list.push(option);
                answer.extend([IAC, yes, option]);
                if option == WINDOW_SIZE && verb == DO {
                    self.tell_size(answer);
                }
            }
            DO | WILL => answer.extend([IAC, no, option]),
            _ if have => {
                list.retain(|o| *o != option);
                answer.extend([IAC, no, option]);
            }
            _ => {}
        }
    }

    fn tell_size(&self, answer: &mut Vec<u8>) {
        if let Some((columns, rows)) = self.size {
            answer.extend([IAC, SB, WINDOW_SIZE]);
            for byte in columns.to_be_bytes().into_iter().chain(rows.to_be_bytes()) {
                answer.push(byte);
                if byte == IAC {
                    answer.push(IAC);
                }
            }
            answer.extend([IAC, SE]);
        }
    }

    /// A whole subnegotiation: SEND (1) asks, IS (0) answers.
    fn told(&mut self, answer: &mut Vec<u8>) {
        let [option, 1, ..] = *self.kept.as_slice() else {
            return;
        };
        let text = match option {
            TERMINAL_TYPE => self.terminal.to_ascii_uppercase(),
            TERMINAL_SPEED => "38400,38400".into(),
            // Nothing of our environment is told to anybody.
            ENVIRONMENT => String::new(),
            _ => return,
        };
        answer.extend([IAC, SB, option, 0]);
        answer.extend(text.bytes().filter(u8::is_ascii_graphic));
        answer.extend([IAC, SE]);
    }

    /// The peer echoes what is typed: it wants each key as it comes.
    fn wants_keys(&self) -> bool {
        self.theirs.contains(&ECHO) && self.theirs.contains(&SUPPRESS_GO_AHEAD)
    }
}

/// What is typed, as it is sent: a line end is CR LF, a lone CR is followed by NUL, IAC is doubled.
pub fn sent(typed: &[u8], keys: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(typed.len());
    for byte in typed {
        match byte {
            b'\n' if !keys => out.extend(b"\r\n"),
            b'\r' => out.extend(b"\r\0"),
            &IAC => out.extend([IAC, IAC]),
            other => out.push(*other),
        }
    }
    out
}

/// Raw keys for as long as it lives.
struct Raw(bool);

impl Raw {
    fn set(&mut self, on: bool) {
        if self.0 != on {
            let done = match on {
                true => crossterm::terminal::enable_raw_mode(),
                false => crossterm::terminal::disable_raw_mode(),
            };
            if done.is_ok() {
                self.0 = on;
            }
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Copies both ways until one end is closed or the person says so. Gives the exit code.
pub fn talk(plan: &Plan, fd: OwnedFd, io: &mut Io<'_>) -> Result<i32> {
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal();
    let size = terminal.then(|| crossterm::terminal::size().ok()).flatten();
    let mut peer = Peer::new(std::env::var("TERM").unwrap_or_default(), size);
    let mut raw = Raw(false);
    let mut owed: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let entry = |fd, events| libc::pollfd {
            fd,
            events,
            revents: 0,
        };
        let mut wanted = libc::POLLIN;
        if !owed.is_empty() {
            wanted |= libc::POLLOUT;
        }
        let typing = if owed.len() < ROOM {
            stdin.as_raw_fd()
        } else {
            -1
        };
        let mut fds = [entry(typing, libc::POLLIN), entry(fd.as_raw_fd(), wanted)];
        sockets::poll(&mut fds, netshoot_host::streams::FOR_EVER)?;
        if fds[1].revents & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) != 0 {
            let n = match sockets::receive(&fd, &mut buffer) {
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => 0,
            };
            if n == 0 {
                return gone(&mut raw, io);
            }
            let show = peer.take(buffer.get(..n).unwrap_or_default(), &mut owed);
            io.out.write_all(&show)?;
            io.out.flush()?;
            raw.set(terminal && peer.wants_keys());
        }
        if fds[0].revents != 0 {
            let n = rustix::io::read(stdin.as_fd(), &mut buffer).unwrap_or(0);
            if n == 0 {
                drain(&fd, &mut owed);
                return gone(&mut raw, io);
            }
            let typed = buffer.get(..n).unwrap_or_default();
            let at = plan.escape.and_then(|e| typed.iter().position(|b| *b == e));
            owed.extend(sent(
                typed.get(..at.unwrap_or(n)).unwrap_or_default(),
                peer.wants_keys(),
            ));
            if let Some(at) = at {
                drain(&fd, &mut owed);
                raw.set(false);
                let rest = typed.get(at + 1..).unwrap_or_default();
                match prompt::within_a_line(plan, rest, terminal, io)? {
                    prompt::Then::Send(bytes, rest) => {
                        owed.extend(bytes);
                        owed.extend(sent(&rest, false));
                        raw.set(terminal && peer.wants_keys());
                    }
                    prompt::Then::End => return Ok(0),
                }
            }
        }
        if !owed.is_empty()
            && let Ok(n) = sockets::send(&fd, &owed)
        {
            owed.drain(..n.min(owed.len()));
        }
    }
}

/// Sends what is still owed, as far as the peer takes it at once.
fn drain(fd: &OwnedFd, owed: &mut Vec<u8>) {
    while let Ok(n @ 1..) = sockets::send(fd, owed) {
        owed.drain(..n.min(owed.len()));
    }
}

fn gone(raw: &mut Raw, io: &mut Io<'_>) -> Result<i32> {
    raw.set(false);
    io.out.flush()?;
    writeln!(io.err, "Connection closed by foreign host.")?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_answered_once() {
        let mut peer = Peer::new("xterm".into(), Some((80, 24)));
        let mut answer = Vec::new();
        let asked = [
            IAC, DO, 24, IAC, DO, 24, IAC, WILL, 1, IAC, DO, 99, IAC, WILL, 99, IAC, DO, 31, b'x',
            b'\r', 0, IAC, IAC, IAC, SB, 24, 1, IAC, SE,
        ];
        assert_eq!(peer.take(&asked, &mut answer), [b'x', b'\r', 255]);
        let mut wanted = vec![
            IAC, WILL, 24, IAC, DO, 1, IAC, WONT, 99, IAC, DONT, 99, IAC, WILL, 31, IAC, SB, 31, 0,
            80, 0, 24, IAC, SE,
        ];
        wanted.extend([IAC, SB, 24, 0]);
        wanted.extend(b"XTERM");
        wanted.extend([IAC, SE]);
        assert_eq!(answer, wanted);
        assert_eq!(sent(b"a\n\r\xff", false), b"a\r\n\r\0\xff\xff");
    }

    #[test]
    fn damaged_questions_are_answered_in_bounds() {
        let valid = [
            IAC, DO, 24, IAC, WILL, 1, b'x', IAC, SB, 24, 1, IAC, SE, b'y', IAC, IAC, b'\r', 0,
        ];
        netshoot_wire::fuzz::mutations(&valid, 20_000, |bytes| {
            let (mut peer, mut answer) = (Peer::default(), Vec::new());
            let show = peer.take(bytes, &mut answer);
            assert!(show.len() <= bytes.len() && answer.len() <= 4 * bytes.len() + 64);
        });
        let (mut peer, mut answer) = (Peer::default(), Vec::new());
        peer.take(&[IAC, SB], &mut answer);
        for _ in 0..100 {
            peer.take(&[7; 4096], &mut answer);
        }
        assert!(peer.kept.len() <= MOST && answer.is_empty());
    }
}
