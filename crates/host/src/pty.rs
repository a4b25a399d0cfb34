//! A pair of a terminal and the program that plays it (pty(7)).

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

/// The playing side; the other one is a file that a program opens as its terminal.
pub struct Pty {
    /// What is written here is typed there, and what is shown there is read here. Reading fails with EIO when
    /// nobody has the other side open any more.
    pub side: File,
    /// The file of the other side.
    pub terminal: PathBuf,
}

impl Pty {
    /// Makes a pair, without becoming its owner. Fails where no devpts is mounted at /dev/pts.
    pub fn open() -> io::Result<Pty> {
        // SAFETY: posix_openpt(3) takes flags only and gives a new descriptor, or -1.
        let fd = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: new, and nobody else's.
        let side = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let mut name = [0; 128];
        // SAFETY: the descriptor is open, and ptsname_r(3) writes a text that ends with zero into what it is given.
        let named = unsafe {
            libc::grantpt(fd) == 0
                && libc::unlockpt(fd) == 0
                && libc::ptsname_r(fd, name.as_mut_ptr(), name.len()) == 0
        };
        if !named {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: written by the call above.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        Ok(Pty {
            side,
            terminal: PathBuf::from(name.to_string_lossy().into_owned()),
        })
    }

    /// Gives it a size; the programs in its foreground are told.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let size = libc::winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: an open descriptor, and a size that lives through the call.
        match unsafe { libc::ioctl(self.side.as_raw_fd(), libc::TIOCSWINSZ, &size) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn what_is_typed_on_one_side_is_read_on_the_other() {
        let mut pty = Pty::open().unwrap();
        let mut there = File::options()
            .read(true)
            .write(true)
            .open(&pty.terminal)
            .unwrap();
        pty.resize(101, 33).unwrap();
        pty.side.write_all(b"typed\n").unwrap();
        let mut line = [0; 6];
        there.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"typed\n");
        there.write_all(b"shown").unwrap();
        let mut shown = vec![0; 64];
        let mut seen = String::new();
        // The terminal echoes what is typed, and makes two bytes of a line's end.
        while !seen.contains("shown") {
            let n = pty.side.read(&mut shown).unwrap();
            seen.push_str(&String::from_utf8_lossy(&shown[..n]));
        }
        assert_eq!(seen, "typed\r\nshown");
    }
}
