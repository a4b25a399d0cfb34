//! Worlds on a terminal: who has the keyboard, and who has it afterwards. script(1) is the terminal.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");
const WORLD: &str = "listens-on-other-port";
/// Says that it runs, and that it goes on; ends by a signal only.
const COMMAND: &str =
    r#"trap "echo on=\$((2+2))" CONT; echo up=$((1+1)); while :; do sleep 0.05; done"#;
const LIMIT: Duration = Duration::from_secs(120);

/// A command on a terminal of its own.
struct Terminal {
    child: Child,
    pieces: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn start(command: &str) -> Option<Terminal> {
        let mut child = match Command::new("script")
            .args(["-qefc", command, "/dev/null"])
            .env("LC_ALL", "C")
            .env("PS1", "$ ")
            .env("SHELL", "/bin/sh")
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

    fn types(&mut self, text: &str) {
        let keys = self.child.stdin.as_mut().unwrap();
        keys.write_all(text.as_bytes()).unwrap();
        keys.flush().unwrap();
    }

    /// Waits until something is on the screen; what was there up to it is forgotten.
    fn shows(&mut self, text: &str) -> String {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.seen += &String::from_utf8_lossy(&piece),
                Err(e) => panic!("no {text:?} ({e}): {}", self.seen),
            }
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

#[test]
fn a_shell_in_a_world_gives_the_terminal_back() {
    // The group of this sh has the terminal before and must have it afterwards: else its read fails.
    let line = format!("'{PROGRAM}' lab up {WORLD}; read -r line && echo \"got=$line\"");
    let Some(mut terminal) = Terminal::start(&line) else {
        return;
    };
    terminal.types("exit\nhello\n");
    let said = terminal.shows("got=hello");
    for complaint in ["process group", "job control", "access tty"] {
        assert!(!said.contains(complaint), "{said}");
    }
}

#[test]
fn a_command_in_a_world_is_stopped_goes_on_and_is_interrupted_as_a_job() {
    let Some(mut terminal) = Terminal::start("bash --norc -i") else {
        return;
    };
    terminal.types(&format!(
        "'{PROGRAM}' lab run {WORLD} -- sh -c '{COMMAND}'\n"
    ));
    terminal.shows("up=2");
    terminal.types("\x1a");
    terminal.shows("Stopped");
    terminal.types("fg; echo code=$((0+$?))\n");
    // It is told to go on when it has the keyboard again.
    terminal.shows("on=4");
    terminal.types("\x03");
    terminal.shows("code=130");
    terminal.types("echo ready=$((1+2))\n");
    terminal.shows("ready=3");
}
