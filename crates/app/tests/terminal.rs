//! At a terminal: who has the keyboard in a world, and who has it afterwards; what the shell's keys do. script(1) is the
//! terminal.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");
const WORLD: &str = "listens-on-other-port";
/// Says that it runs, and that it goes on; ends by a signal only. It starts nothing: a child that Ctrl-Z stops between
/// vfork(2) and exec would keep its parent from being stopped, in any terminal.
const COMMAND: &str =
    r#"trap "echo on=\$((2+2))" CONT; echo up=$((1+1)); while :; do read -r line; done"#;
const LIMIT: Duration = Duration::from_secs(120);

/// A command on a terminal of its own.
struct Terminal {
    child: Child,
    pieces: Receiver<Vec<u8>>,
    seen: String,
    /// It answers what an editor asks it.
    answers: bool,
}

impl Terminal {
    fn start(command: &str) -> Option<Terminal> {
        let mut child = match Command::new("script")
            .args(["-qefc", command, "/dev/null"])
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
            answers: true,
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
                Ok(piece) => {
                    // An editor asks where the cursor is.
                    for _ in piece.windows(4).filter(|w| w == b"\x1b[6n") {
                        if self.answers {
                            self.types("\x1b[1;1R");
                        }
                    }
                    self.seen += &String::from_utf8_lossy(&piece);
                }
                Err(e) => panic!("no {text:?} ({e}): {}", self.seen),
            }
        }
    }
}

impl Terminal {
    /// Waits for the end of the command; gives its exit code.
    fn ends(&mut self) -> Option<i32> {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "the shell did not end");
            std::thread::park_timeout(Duration::from_millis(10));
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

#[test]
fn our_shell_has_editing_history_completion_and_job_control() {
    let line = format!("HOME=/nowhere exec '{PROGRAM}' bash --norc");
    let Some(mut terminal) = Terminal::start(&line) else {
        return;
    };
    let mut asks = |keys: &str, shown: &[&str]| {
        terminal.types(keys);
        for text in shown {
            terminal.shows(text);
        }
    };
    let prompt = "\x1b[?2004h";
    asks("", &[prompt]);
    asks("echo a$((40+2))b\r", &["a42b\r", prompt]);
    // Ctrl-C ends the loop, not only its child.
    asks(
        "while :; do echo turn=$((1+1)); sleep 60; done\r",
        &["turn=2\r"],
    );
    asks("\x03", &[prompt]);
    asks("echo code=$?\r", &["code=130\r", prompt]);
    // So it is after a line was left in the middle: of a function, a subshell in a loop, commands of the shell itself.
    let lines = [
        "f() { local a=1; b=2; echo turn=$((1+1)); sleep 60; }; a=7; f",
        "for i in 1 2 3; do (echo turn=$((1+1)); sleep 60); echo on; done",
        "x=$(echo turn=$((1+1)) >&2; sleep 60)",
        "echo turn=$((1+1)); while :; do :; done",
        "yes | sh -c 'echo turn=$((1+1)); exec cat >/dev/null'",
        "echo turn=$((1+1)); cat",
    ];
    for line in lines {
        asks(&format!("{line}\r"), &["turn=2\r"]);
        asks("\x03", &[prompt]);
        asks("echo code=$?,$a,$b,$i\r", &["code=130,7,2,", prompt]);
    }
    // A pipe has the terminal as a whole: nothing of it is left, and its first program may read keys.
    asks("echo turn=$((1+1)); cat | cat\r", &["turn=2\r"]);
    // Once by the terminal, once through the pipe.
    asks("keys\r", &["keys\r", "keys\r"]);
    asks("\x03", &[prompt]);
    asks(
        "echo left=$(jobs -p | wc -l)$(pgrep -c -P $$ cat)\r",
        &["left=00\r", prompt],
    );
    // What is typed while a line runs waits for its turn.
    asks("echo turn=$((1+1)); sleep 1\r", &["turn=2\r"]);
    asks("echo ahead=$((0+1))\r", &["ahead=1\r", prompt]);
    // So do several lines, a command of more than one, and the beginning of one.
    asks("echo turn=$((1+1)); sleep 1\r", &["turn=2\r"]);
    let ahead =
        "echo one=$((0+1))\rfor i in 1; do\recho two=$((1+$i))\rdone\recho three=$((1+2)); echo fo";
    asks(ahead, &["one=1\r", "two=2\r"]);
    asks("ur=$((2+2))\r", &["three=3\r", "four=4\r", prompt]);
    // Where the terminal says late where its cursor is, and was raw when it did, that is neither typed nor Ctrl-D.
    let raw = "stty -icanon -echo; echo turn=$((1+1)); sleep 1; stty icanon echo\r";
    asks(raw, &["turn=2\r"]);
    asks("\x1b[1;1R", &[prompt]);
    asks("echo still=$((2+2))\r", &["still=4\r", prompt]);
    // Ctrl-C takes with it what was typed ahead.
    asks("echo turn=$((1+1)); sleep 60\r", &["turn=2\r"]);
    asks("c=ahead\r\x03", &[prompt]);
    asks("echo c=${c-none}\r", &["c=none\r", prompt]);
    // One that only says 130 was not interrupted.
    asks("sh -c 'exit 130'\r", &[prompt]);
    asks("echo next=$((1+2))\r", &["next=3\r", prompt]);
    // Jobs: in the background, stopped, in front again, interrupted.
    asks("sleep 60 &\r", &["[1] ", prompt]);
    asks("jobs\r", &["Running", prompt]);
    asks("kill %1; wait; echo then=$?\r", &["then=0\r", prompt]);
    asks("sh -c 'echo slow=$((2+2)); exec sleep 50'\r", &["slow=4\r"]);
    asks("\x1a", &["Stopped", prompt]);
    asks("fg\r", &["sh -c"]);
    asks("\x03", &[prompt]);
    asks("echo after=$?\r", &["after=130\r", prompt]);
    // The line before, from the history; edited at its beginning: Ctrl-A, Ctrl-K, Ctrl-U; a word completed.
    asks("\x1b[A", &["echo after=$?"]);
    asks("\x01\x0becho here; false", &["here; false"]);
    asks("\x15ech\tdone-with-tab\r", &["done-with-tab\r", prompt]);
    asks("exit 5\r", &["exit"]);
    assert_eq!(terminal.ends(), Some(5));
}

#[test]
fn a_terminal_that_answers_nothing_can_be_typed_into_all_the_same() {
    let line = format!("HOME=/nowhere exec '{PROGRAM}' bash --norc");
    let Some(mut terminal) = Terminal::start(&line) else {
        return;
    };
    terminal.answers = false;
    // Typed while the editor waits for the answer; then a command of several lines, and the end of the input.
    terminal.shows("\x1b[6n");
    terminal.types("echo early=$((1+1))\recho beg");
    terminal.shows("early=2\r");
    terminal.types("un=$((2+2))\r");
    terminal.shows("begun=4\r");
    terminal.types("for i in 1; do\recho late=$((2+$i))\rdone; (exit 5)\r");
    terminal.shows("late=3\r");
    terminal.types("\x04");
    assert_eq!(terminal.ends(), Some(5));
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let mut said = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).unwrap();
            said.push(String::from_utf8_lossy(&bytes[..n]).into_owned());
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved";
            stream.write_all(answer.as_bytes()).unwrap();
        }
        said
    });
    let url = format!("127.0.0.1:{port}/");
    let line = format!(
        "'{PROGRAM}' curl -s -u me http://{url}; '{PROGRAM}' http -b -a you {url}; read -r line; echo \"end=$line\""
    );
    let Some(mut terminal) = Terminal::start(&line) else {
        // Whoever waits for a client ends with the process.
        return;
    };
    terminal.shows("Enter host password for user 'me':");
    terminal.types("pa55word\n");
    let shown = terminal.shows("served");
    assert!(!shown.contains("pa55"), "{shown}");
    terminal.shows(&format!("http: password for you@127.0.0.1:{port}:: "));
    terminal.types("s3cret\n");
    let shown = terminal.shows("served");
    assert!(!shown.contains("s3cret"), "{shown}");
    // Afterwards the terminal shows what is typed, as before.
    terminal.types("seen\n");
    terminal.shows("seen\r\n");
    terminal.shows("end=seen");
    assert_eq!(terminal.ends(), Some(0));
    let said = server.join().unwrap();
    // me:pa55word and you:s3cret
    assert!(said[0].contains("Basic bWU6cGE1NXdvcmQ="), "{}", said[0]);
    assert!(said[1].contains("Basic eW91OnMzY3JldA=="), "{}", said[1]);
}
