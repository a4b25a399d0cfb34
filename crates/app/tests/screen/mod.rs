//! A terminal for tests, of script(1): what is typed into it, and what it shows.

#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout)] // each test file uses its part

pub mod grid;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// A command on a terminal of its own.
pub struct Terminal {
    child: Child,
    pieces: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// With the environment of another command, which is not run. It has 80 columns and 24 rows.
    pub fn start(command: &str, like: &Command) -> Option<Terminal> {
        let line = format!("stty cols 80 rows 24; exec {command}");
        let environment = like.get_envs().filter_map(|(k, v)| Some((k, v?)));
        let mut child = match Command::new("script")
            .args(["-qefc", &line, "/dev/null"])
            .envs(environment)
            .env("LC_ALL", "C")
            .env("PS1", "$ ")
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        {
            Ok(child) => child,
            Err(e) => {
                println!("SKIPPED: script(1): {e}");
                return None;
            }
        };
        let mut out = child.stdout.take().unwrap();
        let (tell, pieces) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut bytes) {
                if tell.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Some(Terminal {
            child,
            pieces,
            seen: String::new(),
        })
    }

    pub fn types(&mut self, text: &str) {
        let keys = self.child.stdin.as_mut().unwrap();
        keys.write_all(text.as_bytes()).unwrap();
        keys.flush().unwrap();
    }

    /// Another size, as whoever drags the corner of a window sees to.
    pub fn resize(&self, columns: u16, rows: u16) {
        let script = self.child.id();
        let children = format!("/proc/{script}/task/{script}/children");
        let children = std::fs::read_to_string(children).unwrap();
        let shown = children.split_whitespace().next().unwrap();
        let terminal = std::fs::read_link(format!("/proc/{shown}/fd/0")).unwrap();
        let size = [("cols", columns), ("rows", rows)].map(|(w, n)| [w.to_string(), n.to_string()]);
        let set = Command::new("stty")
            .arg("-F")
            .arg(terminal)
            .args(size.as_flattened())
            .status();
        assert!(set.unwrap().success());
    }

    fn take(&mut self, piece: &[u8]) {
        // An editor asks where the cursor is.
        for _ in piece.windows(4).filter(|w| w == b"\x1b[6n") {
            let keys = self.child.stdin.as_mut().unwrap();
            let _ = keys.write_all(b"\x1b[1;1R").and_then(|()| keys.flush());
        }
        self.seen += &String::from_utf8_lossy(piece);
    }

    /// Waits until something is on the screen; what was there up to it is forgotten.
    pub fn shows(&mut self, text: &str) -> String {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.take(&piece),
                Err(e) => panic!("no {text:?} ({e}): {}", self.seen),
            }
        }
    }
}

impl Terminal {
    /// Waits until the screen is as wanted, and for a moment until nothing more comes; gives its rows.
    pub fn looks(
        &mut self,
        grid: &mut grid::Grid,
        wanted: impl Fn(&[String]) -> bool,
    ) -> Vec<String> {
        const STILL: Duration = Duration::from_millis(80);
        let until = Instant::now() + LIMIT;
        grid.feed(&std::mem::take(&mut self.seen));
        while !wanted(&grid.shown()) {
            let left = until.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.take(&piece),
                Err(e) => panic!("not so in time ({e}):\n{}", grid.shown().join("\n")),
            }
            grid.feed(&std::mem::take(&mut self.seen));
        }
        for _ in 0..8 {
            let Ok(piece) = self.pieces.recv_timeout(STILL) else {
                break;
            };
            self.take(&piece);
            grid.feed(&std::mem::take(&mut self.seen));
        }
        grid.shown()
    }

    /// Waits for the end; its exit code, and what was on the screen until then.
    pub fn ends(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + LIMIT;
        loop {
            match self.pieces.recv_timeout(Duration::from_millis(20)) {
                Ok(piece) => self.take(&piece),
                Err(_) => {
                    if let Some(status) = self.child.try_wait().unwrap() {
                        // Its last words may have come since; a child of its own that keeps the screen is not waited for long.
                        while let Ok(piece) = self.pieces.recv_timeout(Duration::from_millis(500)) {
                            self.take(&piece);
                        }
                        return (status.code(), std::mem::take(&mut self.seen));
                    }
                }
            }
            assert!(Instant::now() < until, "no end: {}", self.seen);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
