//! Between the terminal and the socket, both ways at once.

use super::Stop;
use super::plan::Plan;
use crate::io::Io;
use netshoot_host::{sockets, streams};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

const ROOM: usize = 16 * 1024;

/// Telnet's bytes (RFC 854).
const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;

struct Relay<'a> {
    plan: &'a Plan,
    fd: &'a OwnedFd,
    /// The input is read.
    input: bool,
    /// The socket is read.
    net: bool,
    /// What is still to be sent.
    owed: Vec<u8>,
    /// The last byte that was read was a carriage return.
    returned: bool,
    /// Nothing more will be sent.
    ended: bool,
    packets: u64,
    quits: Option<Instant>,
}

/// Copies until both ends are done, or patience is.
pub fn relay(plan: &Plan, fd: &OwnedFd, io: &mut Io<'_>) -> Result<(), Stop> {
    let relay = Relay {
        plan,
        fd,
        input: !plan.no_input,
        net: true,
        owed: Vec::new(),
        returned: false,
        ended: false,
        packets: 0,
        quits: None,
    };
    relay.run(io)
}

impl Relay<'_> {
    fn run(mut self, io: &mut Io<'_>) -> Result<(), Stop> {
        let stdin = std::io::stdin();
        loop {
            let idle = self.owed.is_empty();
            let done = !self.net && (!self.input || self.plan.listen);
            if (done && idle) || (self.ended && !self.net) {
                return Ok(());
            }
            if let (Some(pause), true) = (self.plan.pause, self.packets > 0) {
                std::thread::sleep(pause);
            }
            let read_input = self.input && self.owed.len() < ROOM;
            let mut wanted = if self.net { libc::POLLIN } else { 0 };
            if !idle && !self.ended {
                wanted |= libc::POLLOUT;
            }
            let entry = |fd, events| libc::pollfd {
                fd: if events == 0 { -1 } else { fd },
                events,
                revents: 0,
            };
            let mut fds = [
                entry(stdin.as_raw_fd(), if read_input { libc::POLLIN } else { 0 }),
                entry(self.fd.as_raw_fd(), wanted),
            ];
            let ready = sockets::poll(&mut fds, self.patience())?;
            if !ready {
                return Ok(());
            }
            if fds[1].revents & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) != 0
                && !self.receive(io)?
            {
                return Ok(());
            }
            if fds[0].revents != 0 {
                self.read(&stdin)?;
            }
            if !self.owed.is_empty() {
                self.send();
            }
            self.end();
        }
    }

    fn patience(&self) -> Duration {
        let left = self
            .quits
            .map(|q| q.saturating_duration_since(Instant::now()));
        let both = [self.plan.timeout, left];
        both.into_iter()
            .flatten()
            .min()
            .unwrap_or(streams::FOR_EVER)
    }

    fn read(&mut self, stdin: &std::io::Stdin) -> Result<(), Stop> {
        let mut buffer = vec![0; ROOM];
        let n = rustix::io::read(stdin.as_fd(), &mut buffer).unwrap_or(0);
        let bytes = buffer.get(..n).unwrap_or_default();
        if n == 0 {
            self.input = false;
            self.quits = self.plan.quit.map(|q| Instant::now() + q);
        } else if self.plan.crlf {
            for byte in bytes {
                if *byte == b'\n' && !self.returned {
                    self.owed.push(b'\r');
                }
                self.returned = *byte == b'\r';
                self.owed.push(*byte);
            }
        } else {
            self.owed.extend(bytes);
        }
        Ok(())
    }

    fn send(&mut self) {
        match sockets::send(self.fd, &self.owed) {
            Ok(n) => drop(self.owed.drain(..n.min(self.owed.len()))),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            // Nobody takes it any more.
            Err(_) => {
                self.owed.clear();
                self.ended = true;
            }
        }
    }

    /// The input is over and everything of it is sent.
    fn end(&mut self) {
        if !self.input && self.owed.is_empty() && !self.ended && self.plan.end_with_input {
            self.ended = true;
            if !self.plan.manner.datagram {
                streams::end_sending(self.fd);
            }
        }
    }

    /// False when it is enough.
    fn receive(&mut self, io: &mut Io<'_>) -> Result<bool, Stop> {
        let mut buffer = vec![0; ROOM];
        let n = match sockets::receive(self.fd, &mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(true),
            Err(_) => 0,
        };
        let bytes = buffer.get(..n).unwrap_or_default();
        if n == 0 {
            self.net = false;
            return Ok(true);
        }
        if self.plan.telnet {
            self.refuse(bytes);
        }
        io.out.write_all(bytes)?;
        io.out.flush()?;
        self.packets += 1;
        Ok(self.plan.limit.is_none_or(|l| self.packets < l))
    }

    /// Telnet's questions are answered with no.
    fn refuse(&mut self, bytes: &[u8]) {
        for three in bytes.windows(3) {
            let answer = match three {
                [IAC, DO | DONT, _] => WONT,
                [IAC, WILL | WONT, _] => DONT,
                _ => continue,
            };
            self.owed.extend([IAC, answer]);
            self.owed.extend(three.get(2));
        }
    }
}
