//! What bytes go through: a socket, or TLS over such a thing; never blocking, so that one can wait for both directions.

use crate::sockets;
use rustls::ClientConnection;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// One layer upon another.
pub enum Pipe {
    /// TCP.
    Tcp(TcpStream),
    /// A UNIX socket.
    Unix(UnixStream),
    /// TLS over another.
    Tls(Box<Secured>),
    /// Nothing any more.
    Gone,
}

/// TLS over something.
pub struct Secured {
    pub(super) tls: ClientConnection,
    pub(super) under: Pipe,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Pipe::Tcp(s) => s.read(buffer),
            Pipe::Unix(s) => s.read(buffer),
            Pipe::Tls(s) => s.read(buffer),
            Pipe::Gone => Ok(0),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Pipe::Tcp(s) => s.write(bytes),
            Pipe::Unix(s) => s.write(bytes),
            Pipe::Tls(s) => s.write(bytes),
            Pipe::Gone => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Pipe::Tls(s) => s.flush(),
            _ => Ok(()),
        }
    }
}

impl Secured {
    /// Sends what TLS has to say; false where it could not all go.
    fn drain(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.under) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // The end without a close_notify: HTTP knows by itself whether that was too early.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            self.drain()?;
            self.tls.read_tls(&mut self.under)?;
            if let Err(e) = self.tls.process_new_packets() {
                let _ = self.drain();
                return Err(io::Error::new(io::ErrorKind::InvalidData, e));
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.drain()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.tls.writer().write(bytes)?;
        self.drain()?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.drain()? {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Pipe {
    /// The socket at the bottom.
    pub fn fd(&self) -> RawFd {
        match self {
            Pipe::Tcp(s) => s.as_raw_fd(),
            Pipe::Unix(s) => s.as_raw_fd(),
            Pipe::Tls(s) => s.under.fd(),
            Pipe::Gone => -1,
        }
    }

    /// Waits until something can be read or written, or for `patience`; what can be done.
    pub fn wait(&self, read: bool, write: bool, patience: Duration) -> io::Result<(bool, bool)> {
        Pipe::wait_for(self.fd(), read, write, patience)
    }

    /// The same for a socket by its descriptor.
    pub fn wait_for(
        fd: RawFd,
        read: bool,
        write: bool,
        patience: Duration,
    ) -> io::Result<(bool, bool)> {
        let events = if read { libc::POLLIN } else { 0 } | if write { libc::POLLOUT } else { 0 };
        let mut fds = [libc::pollfd {
            fd,
            events,
            revents: 0,
        }];
        sockets::poll(&mut fds, patience)?;
        let is = |event| fds.iter().any(|f| f.revents & event != 0);
        let broken = is(libc::POLLERR | libc::POLLHUP | libc::POLLNVAL);
        Ok((is(libc::POLLIN) || broken, is(libc::POLLOUT) || broken))
    }

    /// It was idle: nothing came, and it is not closed. Over TLS, what the peer's TLS says is read.
    pub fn alive(&mut self) -> bool {
        match self.wait(true, false, Duration::ZERO) {
            Ok((false, _)) => !matches!(self, Pipe::Gone),
            Ok(_) => match self {
                Pipe::Tls(s) => {
                    let read = s.tls.read_tls(&mut s.under);
                    let fine = matches!(read, Ok(1..)) && s.tls.process_new_packets().is_ok();
                    fine && s
                        .tls
                        .reader()
                        .read(&mut [0; 1])
                        .is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
                }
                _ => false,
            },
            Err(_) => false,
        }
    }

    /// Says good-bye.
    pub fn close(&mut self) {
        if let Pipe::Tls(s) = self {
            s.tls.send_close_notify();
            let _ = s.drain();
        }
        *self = Pipe::Gone;
    }
}
