//! An end that stands open: something to read from, something to write to.

use super::secured::Secured;
use netshoot_host::sockets;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::Child;

/// What bytes go through.
pub enum Way {
    /// A file, a pipe, a terminal.
    File(File),
    /// A stream socket that does not block.
    Stream(OwnedFd),
    /// A socket of datagrams; with true one is enough.
    Datagrams(OwnedFd, bool),
}

impl Way {
    pub fn fd(&self) -> RawFd {
        match self {
            Way::File(f) => f.as_raw_fd(),
            Way::Stream(fd) | Way::Datagrams(fd, _) => fd.as_raw_fd(),
        }
    }
}

/// One end.
#[derive(Default)]
pub struct End {
    pub read: Option<Way>,
    pub write: Option<Way>,
    pub tls: Option<Box<Secured>>,
    pub child: Option<Child>,
    /// Line ends outside are CR LF, or CR.
    pub lines: Lines,
    /// The end of the input is none.
    pub ignore_eof: bool,
    /// The end of writing is not told.
    pub shut_none: bool,
    /// Taken away at the end.
    #[allow(dead_code)] // its end is what it is for
    pub unlinked: Option<Unlinked>,
    /// What a command behind it is told.
    pub told: Vec<(String, String)>,
    /// The last byte outward was a carriage return.
    pub returned: bool,
    /// A datagram came.
    pub seen: bool,
}

/// How lines end outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lines {
    #[default]
    AsTheyAre,
    CrLf,
    Cr,
}

impl End {
    /// Both ways through one socket.
    pub fn stream(fd: OwnedFd) -> io::Result<End> {
        Ok(End {
            read: Some(Way::Stream(fd.try_clone()?)),
            write: Some(Way::Stream(fd)),
            ..End::default()
        })
    }

    /// Bytes have come that nobody has read yet, and no descriptor tells of it.
    pub fn holds(&self) -> bool {
        self.tls.as_ref().is_some_and(|t| t.holds())
    }

    /// It wants to write before anything is given to it.
    pub fn wants_to_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|t| t.wants_to_write())
    }

    /// Reads; 0 is the end.
    pub fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match (&mut self.tls, &mut self.read) {
            (Some(tls), _) => tls.take(buffer)?,
            (None, Some(Way::File(f))) => f.read(buffer)?,
            (None, Some(Way::Stream(fd))) => sockets::receive(fd, buffer)?,
            (None, Some(Way::Datagrams(_, true))) if self.seen => 0,
            (None, Some(Way::Datagrams(fd, _))) => match sockets::receive(fd, buffer)? {
                0 => return Err(ErrorKind::WouldBlock.into()),
                n => {
                    self.seen = true;
                    n
                }
            },
            (None, None) => 0,
        };
        if n == 0 && self.ignore_eof {
            std::thread::sleep(std::time::Duration::from_millis(100));
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(n)
    }

    /// Writes as much as it takes at once.
    pub fn give(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (&mut self.tls, &mut self.write) {
            (Some(tls), _) => tls.give(bytes),
            // A pipe takes so much without waiting once it is ready.
            (None, Some(Way::File(f))) => f.write(bytes.get(..4096).unwrap_or(bytes)),
            (None, Some(Way::Stream(fd) | Way::Datagrams(fd, _))) => sockets::send(fd, bytes),
            (None, None) => Ok(bytes.len()),
        }
    }

    /// Line ends as they are outside become ours.
    pub fn inward(&self, bytes: &[u8]) -> Vec<u8> {
        let text = bytes.iter().copied();
        match self.lines {
            Lines::AsTheyAre => bytes.to_vec(),
            Lines::CrLf => text.filter(|b| *b != b'\r').collect(),
            Lines::Cr => text.map(|b| if b == b'\r' { b'\n' } else { b }).collect(),
        }
    }

    /// Ours become those outside.
    pub fn outward(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            match (self.lines, byte) {
                (Lines::CrLf, b'\n') if !self.returned => out.extend(b"\r\n"),
                (Lines::Cr, b'\n') => out.push(b'\r'),
                _ => out.push(*byte),
            }
            self.returned = *byte == b'\r';
        }
        out
    }

    /// Says that no more will be written.
    pub fn end_writing(&mut self) {
        if self.shut_none {
            return;
        }
        if let Some(tls) = &mut self.tls {
            tls.end_writing();
        }
        match &self.write {
            Some(Way::Stream(fd)) => netshoot_host::streams::end_sending(fd),
            Some(Way::Datagrams(..)) | None => {}
            // A pipe ends when it is closed; the person's terminal stays.
            Some(Way::File(f)) if f.as_raw_fd() > 2 => self.write = None,
            Some(Way::File(_)) => {}
        }
    }

    /// What a command that ended badly ended with.
    pub fn failed(&mut self) -> Option<(u32, i32)> {
        let child = self.child.as_mut()?;
        let code = child.try_wait().ok()??.code().filter(|c| *c != 0)?;
        Some((child.id(), code))
    }
}

/// A file that goes when the end goes.
pub struct Unlinked(pub PathBuf);

impl Drop for Unlinked {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
